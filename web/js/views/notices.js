/** notices.js - Settings, Notices: what moderators told this account, and the appeal. */
import { field, h, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { announce, dialog } from "../components/ui.js";
import { button, emptyState, loading, submit } from "../components/pieces.js";

/** @param {any} one @param {() => any} again */
function askAppeal(one, again) {
  const note = h("textarea", { class: "input", rows: 5, maxlength: 2000, required: true });
  const close = dialog(t("notice.appeal.title"), h("form", { class: "stack", onsubmit: submit(async () => { await api.post(`/reports/${one.report_id}/appeal`, { note: note.value.trim() }); close(); announce(t("notice.appeal.sent")); await again(); }) },
    h("p", {}, t("notice.appeal.text")), field(t("notice.appeal.why"), note), h("div", { class: "row" }, h("button", { class: "button primary" }, t("notice.appeal.send")), h("button", { type: "button", class: "button quiet", onclick: () => close() }, t("common.cancel")))));
}

/** @param {any} box */
export async function mountNotices(box) {
  const done = loading(box);
  await Promise.all([stylesheet("recipes"), stylesheet("people")]).catch(() => {});
  const again = async () => {
    const items = (await api.get("/notices")).items;
    replace(box, h("div", { class: "stack" }, h("p", { class: "muted" }, t("notices.text")), items.length ? h("ul", { class: "recipes", "aria-label": t("settings.notices") }, items.map((/** @type {any} */ one) => h("li", { class: one.read_at ? "card stack" : "card stack unread", dataset: { id: one.id } },
      h("div", {}, h("strong", {}, t(`notice.${one.kind}${one.decision ? `.${one.decision}` : ""}`, { what: t(`report.target.${one.target_kind}`) })), h("div", { class: "muted small" }, [one.reason && t(`report.kind.${one.reason}`), moment(one.created_at)].filter(Boolean).join(" · "))),
      one.answer && h("blockquote", {}, one.answer), (one.may_appeal || !one.read_at) && h("div", { class: "row" }, one.may_appeal && button(t("notice.appeal"), () => askAppeal(one, again)), !one.read_at && button(t("notice.read"), async () => { await api.post(`/notices/${one.id}/read`); await again(); }, "quiet"))))) : emptyState(t("notices.none"), t("notices.none.text"))));
  };
  await again().finally(done);
}
