/** auth.js - sign in, and the first run: account, what answers, whom to talk to. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { attempt, avatar } from "../components/ui.js";
import { modelName } from "../format.js";

const gate = (/** @type {string} */ title, /** @type {any[]} */ ...children) => h("main", { class: "gate", id: "work" },
  h("div", { class: "gate-card" }, h("img", { src: "/icon.svg", alt: "" }), h("h1", {}, title), ...children));

/** @param {Element} root @param {any} status @param {(session: any, fresh: boolean) => void} done */
export function accountGate(root, status, done) {
  const setup = status.setup_required;
  const name = h("input", { class: "input", name: "name", autocomplete: "username", required: true, maxlength: 64 });
  const password = h("input", { class: "input", name: "password", type: "password", required: true, minlength: setup ? 10 : null, autocomplete: setup ? "new-password" : "current-password" });
  const token = setup && status.setup_token_required && h("input", { class: "input", name: "token", required: true, autocomplete: "off", value: new URLSearchParams(location.search).get("token") ?? "" });
  const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
  const button = h("button", { class: "button primary wide" }, setup ? t("setup.create") : t("signin.go"));
  const form = h("form", { onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const body = { name: name.value.trim(), password: password.value, ...(token ? { token: token.value.trim() } : {}) };
      const session = await api.post(setup ? "/setup" : "/session", body);
      if (location.pathname === "/setup") history.replaceState(null, "", "/"); // the token is used up
      done(session, setup);
    } catch (error) {
      problem.hidden = false;
      problem.textContent = /** @type {Error} */ (error).message;
      button.disabled = false;
    }
  } }, field(t("setup.name"), name), field(t("setup.password"), password, setup ? t("setup.password.hint") : ""), token && field(t("setup.token"), token, t("setup.token.hint")), problem, h("br"), button);
  replace(root, gate(setup ? t("setup.title") : t("signin.title"), h("p", {}, setup ? t("setup.text") : ""), form));
  name.focus();
  if (!setup) api.get("/sign-up").then((door) => (door.mode === "open" || door.mode === "domain") && form.after(h("p", { class: "hint center" }, h("a", { href: "/join", target: "_self" }, t("join.title.open"))))).catch(() => {});
}

/** Second screen, shown only while nothing can answer. @param {Element} root @param {() => void} done */
export async function engineGate(root, done) {
  const models = (await attempt(() => api.get("/models")))?.items ?? [];
  if (models.some((/** @type {any} */ model) => model.ready)) return done();
  const [engine, presets] = await Promise.all([api.get("/engine").catch(() => null), api.get("/provider-presets").catch(() => ({ items: [] }))]);
  if (engine?.state === "starting" || engine?.state === "healthy") return done();
  const preset = h("select", { class: "input" }, presets.items.map((/** @type {any} */ one) => h("option", { value: one.preset }, one.name)));
  const key = h("input", { class: "input", type: "password", autocomplete: "off" });
  replace(root, gate(t("setup.engine.title"), h("p", {}, engine?.model ? t("setup.engine.wait", { state: t(`engine.state.${engine.state}`) }) + ` ${modelName(engine.model)}` : t("setup.engine.text")),
    h("form", { onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      attempt(async () => {
        const made = await api.post("/providers", { preset: preset.value, ...(key.value ? { key: key.value } : {}) });
        await api.post(`/providers/${made.id}/refresh`).catch(() => null);
        done();
      });
    } }, field(t("setup.provider"), preset), field(t("setup.key"), key), h("button", { class: "button primary wide" }, t("setup.key.add"))),
    h("br"), h("button", { class: "button quiet wide", onclick: done }, t("setup.skip"))));
}

/** Third screen. @param {Element} root @param {(character: any|null) => void} done null: talk without a character */
export async function pickGate(root, done) {
  const items = (await attempt(() => api.get("/characters?limit=12")))?.items ?? [];
  const box = gate(t("setup.pick.title"), h("p", {}, t("setup.pick.text")), items.length > 0 && h("div", { class: "grid" }, items.map((/** @type {any} */ one) => characterCard(one, () => done(one)))),
    h("br"), h("button", { class: items.length ? "button quiet" : "button primary", onclick: () => done(null) }, t("setup.plain")));
  box.firstElementChild?.classList.add("wide");
  replace(root, box);
  box.querySelector("button")?.focus();
}

/** @param {any} character @param {() => void} onclick */
export function characterCard(character, onclick) {
  return h("button", { type: "button", class: "character", onclick }, avatar(character, "cover"),
    h("div", { class: "text" }, h("h2", {}, character.name), h("p", {}, character.summary)));
}
