/** notice.js - what the operator tells everybody, above every page: the announcement until it is dismissed, and maintenance. */
import { h, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { attempt } from "./ui.js";

const KEY = "atelier.notice.dismissed";
const AGAIN_MS = 60000;

/** @param {HTMLElement} box @returns {() => void} dispose */
export function mountNotice(box) {
  const draw = async () => {
    const { announcement, maintenance } = await api.get("/notice");
    const shown = announcement && localStorage.getItem(KEY) !== announcement.id;
    const { impersonator, user } = store.get().status ?? {};
    replace(box, impersonator && h("div", { class: "told warning", id: "impersonated" }, h("span", { class: "grow" }, t("impersonate.banner", { name: user.name, by: impersonator })), h("button", { type: "button", class: "button small", onclick: () => attempt(async () => { await api.del("/impersonation"); sessionStorage.clear(); location.href = "/settings/people"; }) }, t("impersonate.stop"))), maintenance && h("div", { class: "told warning" }, h("span", { class: "grow" }, t("notice.maintenance"))),
      shown && h("div", { class: `told ${announcement.kind}` }, h("span", { class: "grow" }, announcement.text), iconButton("close", t("notice.dismiss"), () => { localStorage.setItem(KEY, announcement.id); draw().catch(() => {}); })));
  };
  const again = () => { if (!document.hidden) draw().catch(() => {}); };
  const timer = setInterval(again, AGAIN_MS);
  document.addEventListener("notice", again);
  again();
  return () => { clearInterval(timer); document.removeEventListener("notice", again); };
}
