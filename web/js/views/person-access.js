/** person-access.js - what helps somebody who cannot sign in: a link to a new password, and taking the second factor off. */
import { h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { announce, attempt, copy, dialog } from "../components/ui.js";

const button = (/** @type {string} */ label, /** @type {() => any} */ run, kind = "") => h("button", { type: "button", class: `button ${kind}`, onclick: () => attempt(async () => run()) }, label);

/** @param {any} one the person */
export function helpPerson(one) {
  const link = h("div", { class: "stack" });
  const make = async () => {
    const made = await api.post(`/users/${one.id}/reset-link`), url = new URL(made.url, location.origin).href;
    replace(link, h("p", { class: "hint" }, t("access.link.once", { at: moment(made.expires_at) })), h("code", { class: "notice breaks", tabindex: 0 }, url), h("div", {}, button(t("common.copy"), () => copy(url), "small")));
  };
  const takeOff = async () => {
    await api.del(`/users/${one.id}/second-factor`);
    close();
    announce(t("access.second.done", { name: one.name }));
  };
  const close = dialog(t("access.title", { name: one.name }), h("div", { class: "stack" },
    h("p", {}, t("access.link.text")), h("div", {}, button(t("access.link"), make)), link,
    h("p", {}, t("access.second.text")), h("div", {}, button(t("access.second"), takeOff, "danger"))));
}
