/** report.js - "Report": the form, the same in a menu's dialog and on the page for people without an account. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { announce, copy, dialog } from "./ui.js";
import { button } from "./pieces.js";

/** The gravest first; the server takes the first three from sight at once. */
export const KINDS = ["minors", "real_person", "non_consensual", "illegal", "harassment", "copyright", "spam", "other"];

/**
 * @param {{target_kind?: string, target?: string, strange?: boolean}} about what is reported; strange: nobody is signed in
 * @param {(receipt: any) => void} done
 */
export function reportForm(about, done) {
  const kind = h("select", { class: "input", required: true }, h("option", { value: "" }, t("report.kind.pick")), KINDS.map((one) => h("option", { value: one }, t(`report.kind.${one}`))));
  const note = h("textarea", { class: "input", rows: 4, maxlength: 2000 }), contact = h("input", { class: "input", maxlength: 200, autocomplete: "email" });
  const what = about.target_kind ? null : h("select", { class: "input" }, ["share", "account"].map((one) => h("option", { value: one }, t(`report.what.${one}`))));
  const target = about.target ? null : h("input", { class: "input", maxlength: 500, required: true, autocomplete: "off", spellcheck: false });
  const problem = h("p", { class: "notice bad", role: "alert", hidden: true }), go = h("button", { class: "button primary" }, t("report.send"));
  return h("form", { class: "stack", onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    go.disabled = true;
    problem.hidden = true;
    try {
      done(await api.post("/reports", { target_kind: about.target_kind ?? /** @type {any} */ (what).value, target: about.target ?? /** @type {any} */ (target).value.trim(), kind: kind.value,
        ...(note.value.trim() ? { note: note.value.trim() } : {}), ...(contact.value.trim() ? { contact: contact.value.trim() } : {}) }));
    } catch (error) {
      problem.hidden = false;
      problem.textContent = /** @type {Error} */ (error).message;
    }
    go.disabled = false;
  } }, what && field(t("report.what"), what), target && field(t("report.target"), target, t("report.target.hint")), field(t("report.kind"), kind),
  field(t("report.note"), note, t("report.note.hint")), about.strange && field(t("report.contact"), contact, t("report.contact.hint")), problem, h("div", { class: "row" }, go));
}

/** What whoever reported takes along. @param {any} receipt @param {boolean} strange */
export const thanks = (receipt, strange) => {
  const address = `${location.origin}/report/${receipt.key}`;
  return h("div", { class: "stack" }, h("p", {}, t(receipt.quarantined ? "report.thanks.held" : "report.thanks")), strange ? [h("p", {}, t("report.key")), h("code", { class: "notice" }, address), h("div", {}, button(t("report.key.copy"), () => copy(address)))] : h("p", { class: "muted" }, t("report.notice")));
};

/** From a menu. @param {string} target_kind @param {string} target @param {string} name @param {() => void} [gone] it is out of sight now */
export function openReport(target_kind, target, name, gone) {
  const body = h("div");
  dialog(t("report.title", { name }), body);
  replace(body, reportForm({ target_kind, target }, (receipt) => { replace(body, thanks(receipt, false)); announce(t("report.sent")); if (receipt.quarantined) gone?.(); }));
}
