/** report.js - pages for people without an account: /report (?s=a link's key), /report/KEY tells how it ended, /made-here. */
import { h, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { reportForm, thanks } from "../components/report.js";
import { verifyBox } from "../components/verify.js";

const card = (/** @type {Element} */ root, /** @type {string} */ title, /** @type {any[]} */ ...children) => replace(root, h("main", { class: "gate", id: "work" }, h("div", { class: "gate-card join" }, h("img", { src: "/icon.svg", alt: "" }), h("h1", {}, title), children)));

/** @param {Element} root @param {any} status */
export async function reportGate(root, status) {
  await stylesheet("people").catch(() => {});
  const key = location.pathname.split("/")[2], share = new URLSearchParams(location.search).get("s");
  if (key) {
    const one = await api.get(`/reports/status/${encodeURIComponent(key)}`);
    return card(root, t("report.status"), h("p", {}, t(`report.status.${one.decision}`)), h("p", { class: "muted small" }, t("report.status.since", { at: moment(one.created_at) })), one.decided_at && h("p", { class: "muted small" }, t("report.status.at", { at: moment(one.decided_at) })));
  }
  const body = h("div");
  card(root, t("report.page"), h("p", {}, t("report.page.text")), body);
  replace(body, reportForm({ ...(share ? { target_kind: "share", target: share } : {}), strange: !status.signed_in }, (receipt) => replace(body, thanks(receipt, !status.signed_in))));
}

/** @param {Element} root */
export async function madeHereGate(root) {
  await stylesheet("people").catch(() => {});
  card(root, t("made_here.title"), verifyBox());
}
