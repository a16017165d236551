/** reset.js - the pages around a forgotten password, outside of the studio: ask by mail, and what the links of mails open. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";

const MIN_PASSWORD = 8;
const home = () => h("a", { class: "button wide", href: "/", target: "_self" }, t("signin.go"));
const show = (/** @type {Element} */ root, /** @type {string} */ title, /** @type {any[]} */ ...children) => replace(root, h("main", { class: "gate", id: "work" }, h("div", { class: "gate-card" }, h("img", { src: "/icon.svg", alt: "" }), h("h1", {}, title), children)));

/** @param {any[]} fields @param {string} label @param {() => Promise<any>} run */
function form(fields, label, run) {
  const problem = h("p", { class: "notice bad", role: "alert", hidden: true }), go = h("button", { class: "button primary wide" }, label);
  return h("form", { onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    go.disabled = true;
    problem.hidden = true;
    try { await run(); } catch (error) {
      problem.hidden = false;
      problem.textContent = /** @type {Error} */ (error).message;
      go.disabled = false;
    }
  } }, fields, problem, h("br"), go);
}

/** @param {Element} root @param {() => void} back */
export function askGate(root, back) {
  const email = h("input", { class: "input", name: "email", type: "email", autocomplete: "email", required: true });
  show(root, t("reset.ask"), h("p", {}, t("reset.ask.text")), form([field(t("join.email"), email)], t("reset.ask.go"), async () => {
    await api.post("/password-reset", { email: email.value.trim() });
    show(root, t("reset.asked"), h("p", { role: "status" }, t("reset.asked.text")), home());
  }), h("br"), h("button", { class: "button quiet wide", onclick: back }, t("signin.back")));
  email.focus();
}

/** The token leaves the address at once: it should not stay in the history. */
function takeToken() {
  const token = new URLSearchParams(location.search).get("token") ?? "";
  history.replaceState(null, "", location.pathname);
  return token;
}

/** @param {Element} root */
export function resetGate(root) {
  const token = takeToken();
  const password = h("input", { class: "input", name: "password", type: "password", required: true, minlength: MIN_PASSWORD, autocomplete: "new-password" });
  show(root, t("reset.title"), h("p", {}, t("reset.text")), form([field(t("account.new"), password, t("join.password.hint", { count: MIN_PASSWORD }))], t("reset.go"), async () => {
    await api.post("/password-reset/finish", { token, password: password.value });
    show(root, t("reset.done"), h("p", { role: "status" }, t("reset.done.text")), home());
  }));
  password.focus();
}

/** A button, not the link itself: programs that look into mails open links. @param {Element} root */
export function verifyGate(root) {
  const token = takeToken();
  show(root, t("prove.title"), h("p", {}, t("prove.text")), form([], t("prove.go"), async () => {
    await api.post("/sign-up/verify", { token });
    show(root, t("prove.done"), h("p", { role: "status" }, t("prove.done.text")), home());
  }));
}
