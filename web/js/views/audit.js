/** audit.js - Settings, Audit log: who did what, when and from where; filters, more by page, a file, and whether it is whole. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { button, loading, submit } from "../components/pieces.js";

const PAGE = 50;

/** @param {any} box @returns {Promise<any>} */
export async function mountAudit(box) {
  const done = loading(box);
  /** @type {any[]} */ let rows = [];
  /** @type {string|null} */ let next = null;
  const control = (props = {}) => h("input", { class: "input", ...props });
  const who = control({ autocomplete: "off" }), action = control({ placeholder: "session.", autocomplete: "off", spellcheck: false }), target = control({ autocomplete: "off", spellcheck: false }), from = control({ type: "datetime-local" }), to = control({ type: "datetime-local" });
  const time = (/** @type {any} */ one) => one.value ? new Date(one.value).toISOString() : "";
  const filter = () => ({ who: who.value.trim(), action: action.value.trim(), target: target.value.trim(), from: time(from), to: time(to) });
  const read = async (/** @type {string} */ after = "") => { const page = await api.get(`/audit${api.query({ ...filter(), limit: PAGE, after })}`); rows = after ? [...rows, ...page.items] : page.items; next = page.next; };
  await read().finally(done);

  const body = h("tbody"), none = h("p", { class: "muted", role: "status" }), verdict = h("p", { role: "status" });
  const older = button(t("audit.older"), async () => { await read(/** @type {string} */ (next)); draw(); });
  const file = (/** @type {string} */ format) => h("a", { class: "button small", download: `audit.${format}` }, t(`audit.export.${format}`));
  const csv = file("csv"), jsonl = file("jsonl");
  function draw() {
    replace(body, rows.map((row) => h("tr", {}, h("td", {}, moment(row.at)), h("td", {}, row.user_name || t(row.channel === "none" ? "audit.nobody" : "audit.server"), row.channel === "key" && h("span", { class: "hint" }, t("audit.key"))), h("td", {}, h("code", {}, row.action)), h("td", { class: "breaks" }, row.target_id || row.target_kind, row.note && h("div", { class: "hint" }, row.note)), h("td", {}, row.remote))));
    none.textContent = rows.length ? "" : t("audit.none");
    older.hidden = !next;
    for (const [link, format] of [[csv, "csv"], [jsonl, "jsonl"]]) link.href = `/api/v1/audit/export${api.query({ ...filter(), format })}`;
  }
  const verify = button(t("audit.verify"), async () => {
    const seen = await api.get("/audit/verify");
    verdict.className = seen.intact ? "notice" : "notice bad";
    verdict.textContent = seen.intact ? t("audit.whole", { count: seen.rows }) : t("audit.broken", { row: seen.broken_at, why: seen.why });
  });
  draw();
  replace(box, h("div", { class: "stack" }, h("p", { class: "muted" }, t("audit.text")),
    h("form", { class: "card stack", onsubmit: submit(async () => { await read(); draw(); }) }, h("div", { class: "grid" }, field(t("audit.who"), who), field(t("audit.action"), action), field(t("audit.target"), target), field(t("audit.from"), from), field(t("audit.to"), to)), h("div", { class: "row" }, h("button", { class: "button primary" }, t("audit.find")), csv, jsonl, verify)),
    verdict, h("div", { class: "text table", tabindex: 0, role: "region", "aria-label": t("settings.audit") }, h("table", { class: "wide-table" }, h("thead", {}, h("tr", {}, ["at", "who", "action", "target", "remote"].map((one) => h("th", { scope: "col" }, t(`audit.${one}`))))), body)), none, h("div", {}, older)));
}
