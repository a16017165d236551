/** auth.js - sign in, and the first run: account, what answers, whom to talk to. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { attempt, avatar } from "../components/ui.js";
import { modelName } from "../format.js";
import { passkeysOffered, signInWithPasskey } from "../components/passkeys.js";

const gate = (/** @type {string} */ title, /** @type {any[]} */ ...children) => h("main", { class: "gate", id: "work" },
  h("div", { class: "gate-card" }, h("img", { src: "/icon.svg", alt: "" }), h("h1", {}, title), ...children));

/** What a service's way back left in the address, taken out of it; null: nothing. */
export function takeOutcome() {
  const query = new URLSearchParams(location.search), outcome = query.get("login");
  if (!outcome) return null;
  query.delete("login");
  const rest = query.toString();
  history.replaceState(null, "", location.pathname + (rest ? `?${rest}` : "") + location.hash);
  return outcome;
}
const OUTCOMES = ["stale", "cancelled", "refused", "client", "unknown", "taken", "off", "busy", "closed", "unreachable", "maintenance", "domain", "sign_up", "waiting", "linked"];
/** Only our own sentences, whatever the address says. @param {string|null} outcome */
export const outcomeText = (outcome) => outcome && OUTCOMES.includes(outcome) ? t(`login.${outcome}`) : null;

/** A form whose failure is told in it. @param {any[]} fields @param {HTMLButtonElement} button @param {() => Promise<any>} run */
function tellingForm(fields, button, run, said = "") {
  const problem = h("p", { class: "notice bad", role: "alert", hidden: !said }, said);
  return h("form", { onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    button.disabled = true;
    try { await run(); } catch (error) {
      problem.hidden = false;
      problem.textContent = /** @type {Error} */ (error).message;
    }
    button.disabled = false;
  } }, fields, problem, h("br"), button);
}

/** @param {(session: any, fresh: boolean) => void} done */
const passkeyButton = (done) => passkeysOffered() && h("button", { type: "button", class: "button wide", onclick: () => attempt(async () => {
  const session = await signInWithPasskey();
  if (session) done(session, false);
}) }, t("signin.passkey"));

/** @param {Element} root @param {any} status @param {(session: any, fresh: boolean) => void} done */
function secondGate(root, status, done) {
  const code = h("input", { class: "input", name: "code", required: true, autocomplete: "one-time-code", maxlength: 40, autocapitalize: "none", spellcheck: false });
  const form = tellingForm([field(t("second.code"), code)], h("button", { class: "button primary wide" }, t("signin.go")), async () => {
    try { done(await api.post("/session/second", { code: code.value.trim() }), false); } catch (error) {
      if (/** @type {any} */ (error).slug === "gone") return accountGate(root, status, done, /** @type {Error} */ (error).message);
      throw error;
    }
  });
  replace(root, gate(t("signin.second"), h("p", {}, t("signin.second.text")), form, h("br"), passkeyButton(done), h("button", { class: "button quiet wide", onclick: () => accountGate(root, status, done) }, t("signin.back"))));
  code.focus();
}

/** @param {Element} root @param {any} status @param {(session: any, fresh: boolean) => void} done @param {string} [said] */
export function accountGate(root, status, done, said) {
  const outcome = takeOutcome();
  if (outcome === "second") return secondGate(root, status, done);
  const setup = status.setup_required;
  const name = h("input", { class: "input", name: "name", autocomplete: "username", required: true, maxlength: 64 });
  const password = h("input", { class: "input", name: "password", type: "password", required: true, minlength: setup ? 10 : null, autocomplete: setup ? "new-password" : "current-password" });
  const token = setup && status.setup_token_required && h("input", { class: "input", name: "token", required: true, autocomplete: "off", value: new URLSearchParams(location.search).get("token") ?? "" });
  const services = h("div", { class: "stack" });
  const form = tellingForm([field(t("setup.name"), name), field(t("setup.password"), password, setup ? t("setup.password.hint") : ""), token && field(t("setup.token"), token, t("setup.token.hint"))],
    h("button", { class: "button primary wide" }, setup ? t("setup.create") : t("signin.go")), async () => {
      const body = { name: name.value.trim(), password: password.value, ...(token ? { token: token.value.trim() } : {}) };
      let session;
      try { session = await api.post(setup ? "/setup" : "/session", body); } catch (error) {
        if (/** @type {any} */ (error).slug === "second_factor_required") return secondGate(root, status, done);
        throw error;
      }
      if (location.pathname === "/setup") history.replaceState(null, "", "/"); // the token is used up
      done(session, setup);
    }, said ?? outcomeText(outcome) ?? "");
  replace(root, gate(setup ? t("setup.title") : t("signin.title"), h("p", {}, setup ? t("setup.text") : ""), form,
    !setup && status.mail && h("p", { class: "center" }, h("button", { type: "button", class: "button small quiet", onclick: () => import("./reset.js").then((module) => module.askGate(root, () => accountGate(root, status, done))) }, t("reset.forgot"))), !setup && h("div", { class: "stack" }, h("br"), passkeyButton(done)), services));
  name.focus();
  if (!setup) api.get("/sign-up").then((door) => (door.mode === "open" || door.mode === "domain") && form.after(h("p", { class: "hint center" }, h("a", { href: "/join", target: "_self" }, t("join.title.open"))))).catch(() => {});
  if (!setup) api.get("/login").then((list) => list.items.length && replace(services, h("br"), h("p", { class: "hint" }, t("signin.or")),
    list.items.map((/** @type {any} */ one) => h("a", { class: "button wide", href: `/api/v1/login/${one.id}/start` }, t("signin.with", { name: one.name }))))).catch(() => {});
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
