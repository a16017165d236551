/** privacy.js - in one's own account: deleting it. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { attempt, dialog } from "../components/ui.js";

const button = (/** @type {string} */ label, /** @type {() => any} */ run, kind = "") => h("button", { type: "button", class: `button small ${kind}`, onclick: () => attempt(async () => run()) }, label);
const submit = (/** @type {() => Promise<any>} */ run) => (/** @type {Event} */ event) => { event.preventDefault(); attempt(run); };

function askDelete() {
  const password = h("input", { class: "input", type: "password", required: true, autocomplete: "current-password" });
  const close = dialog(t("privacy.delete"), h("form", { class: "stack", onsubmit: submit(async () => {
    await api.post("/me/delete", { password: password.value });
    close();
    location.assign("/");
  }) }, h("p", {}, t("privacy.delete.sure")), field(t("account.current"), password, t("privacy.delete.hint")),
    h("div", { class: "row" }, h("button", { class: "button danger" }, t("privacy.delete.do")), h("button", { type: "button", class: "button quiet", onclick: () => close() }, t("common.cancel")))));
  password.focus();
}

/** @param {Element} box */
export async function mountPrivacy(box) {
  replace(box, h("section", { class: "stack" }, h("h2", {}, t("privacy.delete")), h("div", { class: "card row" },
    h("div", { class: "grow hint" }, t("privacy.delete.text")), button(t("privacy.delete.open"), askDelete, "danger"))));
}
