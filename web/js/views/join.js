/** join.js - the page behind an invitation link, and where anybody signs up when the server is open: /join?token=... */
import { field, h, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { BUILT_IN } from "./people.js";

const MIN_PASSWORD = 8;
const home = (/** @type {string} */ label, kind = "") => h("a", { class: `button wide ${kind}`, href: "/", target: "_self" }, label);

/**
 * @param {Element} root @param {any} status @param {(session: any) => void} done after the sign-in with the new account
 */
export async function joinGate(root, status, done) {
  await stylesheet("people").catch(() => {});
  const token = new URLSearchParams(location.search).get("token") ?? "";
  const show = (/** @type {string} */ title, /** @type {any[]} */ ...children) => replace(root, h("main", { class: "gate", id: "work" }, h("div", { class: "gate-card join" }, h("img", { src: "/icon.svg", alt: "" }), h("h1", {}, title), children)));
  if (status.signed_in) return show(t("join.inside"), h("p", {}, t("join.inside.text", { name: status.user.name })), home(t("join.go_on"), "primary"));
  const door = await api.get(`/sign-up${api.query({ token })}`);
  if (door.mode === "closed") return show(t("join.closed"), h("p", {}, t("join.closed.text")), home(t("signin.go")));
  if (door.problem) return show(t("join.bad"), h("p", {}, door.problem), home(t("signin.go")));
  if (!token && door.mode === "invitation") return show(t("join.closed"), h("p", {}, t("join.needs_link")), home(t("signin.go")));

  const name = h("input", { class: "input", name: "name", autocomplete: "username", required: true, maxlength: 64 });
  const password = h("input", { class: "input", name: "password", type: "password", required: true, minlength: MIN_PASSWORD, autocomplete: "new-password" });
  const email = !token && door.mode === "domain" && h("input", { class: "input", name: "email", type: "email", autocomplete: "email", required: true });
  const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
  const go = h("button", { class: "button primary wide" }, t("setup.create"));
  const form = h("form", { onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    go.disabled = true;
    problem.hidden = true;
    try {
      const made = await api.post("/sign-up", { name: name.value.trim(), password: password.value, ...(token ? { token } : {}), ...(email ? { email: email.value.trim() } : {}) });
      if (made.waiting) { show(t(made.mailed ? "join.mailed" : "join.waiting"), h("p", {}, t(made.mailed ? "join.mailed.text" : "join.waiting.text", { name: made.name })), home(t("signin.go"))); return; }
      const session = await api.post("/session", { name: name.value.trim(), password: password.value });
      history.replaceState(null, "", "/"); // the link may be used up
      done(session);
    } catch (error) {
      problem.hidden = false;
      problem.textContent = /** @type {Error} */ (error).message;
      go.disabled = false;
    }
  } }, field(t("setup.name"), name), email && field(t("join.email"), email, t("join.email.hint", { domains: door.domains.join(", ") })), field(t("setup.password"), password, t("join.password.hint", { count: MIN_PASSWORD })), problem, go);
  const role = door.role_name && (BUILT_IN.includes(door.role_name) ? t(`people.role.${door.role_name}`) : door.role_name);
  const services = h("div", { class: "stack" });
  show(token ? t("join.title") : t("join.title.open"), h("p", {}, token ? t("join.text", { role }) + (door.expires_at ? ` ${t("join.until", { at: moment(door.expires_at) })}` : "") : t(email && status.mail ? "join.text.mail" : "join.text.open")), form, services, h("p", { class: "join-else muted small" }, t("join.have"), " ", h("a", { href: "/", target: "_self" }, t("signin.go"))));
  name.focus();
  const offers = (await api.get("/login").catch(() => ({ items: [] }))).items.filter((/** @type {any} */ one) => one.takes_new);
  if (offers.length) replace(services, h("br"), h("p", { class: "hint" }, t("signin.or")), offers.map((/** @type {any} */ one) => h("a", { class: "button wide", href: `/api/v1/login/${one.id}/start${token ? `?invitation=${encodeURIComponent(token)}` : ""}` }, t("signin.with", { name: one.name }))));
}
