/** people-invite.js - Settings, People: who may sign up, invitation links, and the roles there are. */
import { field, h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { attempt, copy, dialog, toast } from "../components/ui.js";
import { button, emptyState, loading, submit, sure } from "../components/pieces.js";
import { givable, roleName, select } from "./people.js";
import { askRights, limitsOf } from "./role-rights.js";

const DAY_MS = 86400000;

/** The link is shown this once. @param {any} made */
function showLink(made) {
  const address = `${location.origin}/join?token=${encodeURIComponent(made.token)}`;
  const close = dialog(t("invite.made"), h("div", { class: "stack" }, h("p", {}, t("invite.once")),
    h("div", { class: "row nowrap" }, h("code", { class: "notice grow secret", tabindex: 0 }, address), iconButton("copy", t("invite.copy"), () => copy(address))),
    h("div", {}, h("button", { class: "button primary", onclick: () => close() }, t("invite.done")))));
}

/** @param {any} rules */
function rulesForm(rules) {
  const domains = h("input", { class: "input", value: rules.domains.join(", "), placeholder: "example.org", autocomplete: "off" });
  const line = field(t("invite.domains"), domains, t("invite.domains.hint"));
  const mode = select(["closed", "invitation", "domain", "open"].map((one) => [one, t(`invite.mode.${one}`)]), rules.mode);
  const follow = () => { line.hidden = mode.value !== "domain"; };
  mode.addEventListener("change", follow);
  follow();
  return h("form", { class: "card", onsubmit: submit(async () => { await api.put("/sign-up/rules", { mode: mode.value, domains: domains.value.split(/[\s,]+/).filter(Boolean) }); toast(t("common.saved")); }) },
    h("h3", {}, t("invite.rules")), field(t("invite.mode"), mode, t("invite.mode.hint")), line, h("button", { class: "button" }, t("common.save")));
}

/** @param {any} box @returns {Promise<any>} */
export async function mountInvitations(box) {
  const done = loading(box);
  const [rules, roles, links] = await Promise.all([api.get("/sign-up/rules"), api.get("/roles"), api.get("/invitations")]).finally(done);
  let items = links.items;
  const rows = givable(roles.items);
  const role = select(rows.map((one) => [one.id, roleName(one)]), rows.some((one) => one.id === "member") ? "member" : rows[0]?.id);
  const uses = select([["1", t("invite.uses.one")], ["5", t("invite.uses.many", { count: 5 })], ["25", t("invite.uses.many", { count: 25 })], ["", t("invite.uses.any")]], "1");
  const days = select([["1", t("people.suspend.day")], ["7", t("people.suspend.days", { days: 7 })], ["30", t("people.suspend.days", { days: 30 })], ["", t("invite.never")]], "7");
  const note = h("input", { class: "input", maxlength: 200, autocomplete: "off" });
  const list = h("ul", { class: "recipes", "aria-label": t("people.tab.invitations") });
  const told = (/** @type {any} */ one) => [t("invite.used", { count: one.uses, of: one.uses_max ?? "∞" }), one.expires_at ? t("invite.until", { at: moment(one.expires_at) }) : t("invite.never"), t("invite.by", { name: one.created_by || "?", at: moment(one.created_at) })].join(" · ");
  function draw() {
    replace(list, items.length ? items.map((/** @type {any} */ one) => h("li", { class: "card recipe", dataset: { id: one.id } },
      h("div", { class: "grow" }, h("div", { class: "row tight" }, h("strong", { class: "recipe-name" }, one.note || t("invite.plain")), h("span", { class: "chip" }, roleName({ id: one.role, name: one.role_name })), one.state !== "open" && h("span", { class: "chip closed" }, t(`invite.state.${one.state}`))), h("div", { class: "muted small" }, told(one))),
      h("div", { class: "row tight" }, one.state === "open" && button(t("invite.revoke"), () => sure(t("invite.revoke.title"), t("invite.revoke.text"), t("invite.revoke"), async () => { await api.del(`/invitations/${one.id}`); items = (await api.get("/invitations")).items; draw(); }), "quiet danger", { "aria-label": t("invite.revoke.one", { name: one.note || t("invite.plain") }) }))))
      : h("li", {}, emptyState(t("invite.none"), t("invite.none.text"))));
  }
  const make = submit(async () => {
    const made = await api.post("/invitations", { role: role.value, note: note.value.trim(), uses_max: uses.value ? Number(uses.value) : null, expires_at: days.value ? new Date(Date.now() + Number(days.value) * DAY_MS).toISOString() : null });
    const { token, ...bare } = made;
    items = [bare, ...items];
    note.value = "";
    draw();
    showLink({ token });
  });
  draw();
  replace(box, h("div", { class: "stack" }, h("form", { class: "card", onsubmit: make }, h("h3", {}, t("invite.title")), h("div", { class: "invite-fields" }, field(t("people.role"), role), field(t("invite.uses"), uses), field(t("invite.expires"), days)), field(t("invite.note"), note, t("invite.note.hint")), h("button", { class: "button primary" }, icon("plus"), t("invite.make"))), list, rulesForm(rules)));
  return () => {};
}

/** @param {any} box @returns {Promise<any>} */
export async function mountRoles(box) {
  const done = loading(box);
  const [read, permissions] = await Promise.all([api.get("/roles"), api.get("/permissions")]).finally(done);
  let roles = read.items;
  const list = h("ul", { class: "recipes", "aria-label": t("people.tab.roles") });
  const again = async () => { roles = (await api.get("/roles")).items; draw(); };
  function edit(/** @type {any} */ one) {
    const name = h("input", { class: "input", required: true, maxlength: 40, value: one?.name ?? "", autocomplete: "off" });
    const mine = permissions.items.filter((/** @type {any} */ it) => one?.permissions.includes(it.name) || givable([{ id: "", permissions: [it.name] }]).length);
    const checks = mine.map((/** @type {any} */ it) => ({ name: it.name, text: it.text, box: h("input", { type: "checkbox", checked: one?.permissions.includes(it.name) }) }));
    const close = dialog(one ? t("roles.edit", { name: one.name }) : t("roles.make"), h("form", { class: "stack", onsubmit: submit(async () => {
      const body = { name: name.value.trim(), permissions: checks.filter((/** @type {any} */ it) => it.box.checked).map((/** @type {any} */ it) => it.name) };
      await (one ? api.patch(`/roles/${one.id}`, body) : api.post("/roles", body));
      close();
      await again();
    }) }, field(t("common.name"), name), h("fieldset", { class: "rights" }, h("legend", { class: "field-label" }, t("roles.rights")), checks.map((/** @type {any} */ it) => h("label", { class: "row nowrap" }, it.box, h("span", {}, h("code", {}, it.name), h("span", { class: "hint" }, it.text))))), h("div", {}, h("button", { class: "button primary" }, t("common.save")))));
  }
  /** Only the operator's own switch in Settings allows any at all. */
  function matureSwitch(/** @type {any} */ one) {
    const on = h("input", { type: "checkbox", role: "switch", checked: one.mature, disabled: !givable([one]).length, "aria-label": t("roles.mature.of", { name: roleName(one) }), onchange: () => attempt(async () => { one.mature = (await api.patch(`/roles/${one.id}`, { mature: on.checked })).mature; }).then(() => { on.checked = one.mature; }) });
    return h("label", { class: "row check switch" }, on, h("span", {}, t("roles.mature")));
  }
  function draw() {
    replace(list, roles.map((/** @type {any} */ one) => h("li", { class: "card recipe", dataset: { id: one.id } },
      h("div", { class: "grow" }, h("div", { class: "row tight" }, h("strong", { class: "recipe-name" }, roleName(one)), h("span", { class: "muted small" }, t("roles.people", { count: one.users }))), h("p", { class: "muted small" }, one.built_in ? t(`roles.text.${one.id}`) : one.permissions.join(", ") || t("roles.nothing")), limitsOf(one) && h("p", { class: "muted small" }, limitsOf(one))),
      h("div", { class: "row tight" }, matureSwitch(one), one.id !== "owner" && givable([one]).length > 0 && button(t("rights.edit"), () => askRights(one, roleName(one), again), "", { "aria-label": t("rights.of", { name: roleName(one) }) }), !one.built_in && [button(t("common.edit"), () => edit(one), "", { "aria-label": t("roles.edit", { name: one.name }) }), button(t("common.delete"), () => sure(t("roles.delete.title"), t("roles.delete.text"), t("roles.delete", { name: one.name }), async () => { await api.del(`/roles/${one.id}`); await again(); }), "quiet danger", { "aria-label": t("roles.delete", { name: one.name }) })]))));
  }
  draw();
  replace(box, h("div", { class: "stack" }, h("p", { class: "muted" }, t("roles.about")), list, h("div", {}, button(t("roles.make"), () => edit(null), "primary"))));
  return () => {};
}
