/** login-services.js - Settings > Sign-in services, for who may change settings: which there are, whom they bring, which role they give. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { attempt, toast } from "../components/ui.js";
import { BUILT_IN } from "./people.js";

const PRESETS = [["google", "Google"], ["github", "GitHub"], ["discord", "Discord"], ["generic", ""]];
const NEW_PEOPLE = ["none", "rules", "all"];
const button = (/** @type {string} */ label, /** @type {() => any} */ run, kind = "") => h("button", { type: "button", class: `button small ${kind}`, onclick: () => attempt(async () => run()) }, label);
const input = (props = {}) => h("input", { class: "input", ...props });
const words = (/** @type {string} */ text) => text.split(/[\s,]+/).filter(Boolean);

/** One rule's line. @param {any} rule @param {any[]} roles @param {() => void} remove */
function ruleRow(rule, roles, remove) {
  const claim = input({ value: rule.claim, maxlength: 200, required: true, "aria-label": t("services.rule.claim"), placeholder: "groups" });
  const value = input({ value: rule.value, maxlength: 200, required: true, "aria-label": t("services.rule.value"), placeholder: "staff" });
  const role = h("select", { class: "input", "aria-label": t("services.rule.role") }, roles.map((one) => h("option", { value: one.id, selected: one.id === rule.role }, one.name)));
  return { row: h("div", { class: "row wrap" }, h("div", { class: "grow" }, claim), h("div", { class: "grow" }, value), h("div", { class: "grow" }, role), button(t("services.rule.remove"), remove, "quiet")), read: () => ({ claim: claim.value.trim(), value: value.value.trim(), role: role.value }) };
}

/** Whom a service brings and what it gives them. @param {any} one @param {any[]} roles @param {() => any} again */
function rulesForm(one, roles, again) {
  const people = h("select", { class: "input" }, NEW_PEOPLE.map((kind) => h("option", { value: kind, selected: kind === one.new_people }, t(`services.new.${kind}`))));
  const domains = input({ value: one.domains.join(", "), placeholder: "example.org" });
  let rows = /** @type {any[]} */ ([]);
  const box = h("div", { class: "stack" });
  const draw = () => replace(box, rows.map((row) => row.row));
  const add = (/** @type {any} */ rule) => {
    const made = ruleRow(rule, roles, () => { rows = rows.filter((row) => row !== made); draw(); });
    rows.push(made);
    draw();
  };
  one.role_rules.forEach(add);
  return h("details", {}, h("summary", {}, t("services.rules")), h("form", { class: "stack", onsubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    attempt(async () => {
      await api.patch(`/login-providers/${one.id}`, { new_people: people.value, domains: words(domains.value), role_rules: rows.map((row) => row.read()) });
      toast(t("services.saved"));
      again();
    });
  } }, h("br"), field(t("services.new"), people), field(t("services.domains"), domains, t(one.preset === "google" ? "services.domains.hd" : "services.domains.hint")),
  h("div", { class: "stack" }, h("strong", {}, t("services.rule")), h("p", { class: "hint" }, t("services.rule.hint")), box,
    h("div", {}, button(t("services.rule.add"), () => add({ claim: "", value: "", role: roles[0]?.id }), "quiet"))),
  h("div", {}, h("button", { class: "button primary" }, t("services.save")))));
}

/** @param {Element} box @param {() => any} again */
export async function mountLoginProviders(box, again) {
  const [list, roleList] = await Promise.all([api.get("/login-providers"), api.get("/roles").catch(() => ({ items: BUILT_IN.map((id) => ({ id, name: id })) }))]);
  const roles = roleList.items.filter((/** @type {any} */ role) => role.id !== "owner").map((/** @type {any} */ role) => ({ id: role.id, name: BUILT_IN.includes(role.id) ? t(`people.role.${role.id}`) : role.name }));
  const preset = h("select", { class: "input", onchange: () => draw() }, PRESETS.map(([value, label]) => h("option", { value }, label || t("services.generic"))));
  const name = input({ maxlength: 60 }), issuer = input({ type: "url" }), client = input({ required: true, autocomplete: "off" }), secret = input({ type: "password", autocomplete: "off" });
  const hint = h("span"), label = h("div", {}, field(t("services.name"), name)), own = h("div", {}, field(t("services.issuer"), issuer, hint));
  const draw = () => {
    const generic = preset.value === "generic";
    label.hidden = !generic;
    own.hidden = preset.value === "google";
    name.required = issuer.required = generic;
    issuer.placeholder = generic ? "https://id.example.org/realms/home" : preset.value === "github" ? "https://github.com" : "https://discord.com";
    hint.textContent = generic ? t("services.issuer.hint") : t("services.issuer.own");
  };
  const enabled = (/** @type {any} */ one) => h("label", { class: "row" }, h("input", { type: "checkbox", checked: one.enabled, onchange: (/** @type {any} */ event) => attempt(() => api.patch(`/login-providers/${one.id}`, { enabled: event.target.checked })) }), t("services.enabled"));
  replace(box, h("div", { class: "stack" }, h("p", { class: "hint" }, t("services.text")), h("code", { class: "notice" }, `${location.origin}/login/callback`),
    list.items.map((/** @type {any} */ one) => h("div", { class: "card stack" },
      h("div", { class: "row" }, h("strong", { class: "grow" }, one.name), button(t("common.delete"), () => api.del(`/login-providers/${one.id}`).then(again))),
      h("div", { class: "hint" }, `${one.issuer} · ${one.client_id}`), enabled(one), rulesForm(one, roles, again))),
    h("form", { class: "card", onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      attempt(async () => {
        await api.post("/login-providers", { preset: preset.value, client_id: client.value.trim(), ...(secret.value ? { secret: secret.value } : {}), ...(label.hidden ? {} : { name: name.value.trim() }), ...(own.hidden || !issuer.value.trim() ? {} : { issuer: issuer.value.trim() }) });
        again();
      });
    } }, h("h2", {}, t("services.add")), h("br"), field(t("services.preset"), preset), label, own, field(t("services.client"), client), field(t("services.secret"), secret), h("button", { class: "button primary" }, t("services.add")))));
  draw();
}
