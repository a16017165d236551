/** usage.js - Settings, Usage: one's own limits with when they begin again, what was used by day, and asking for more. */
import { field, h, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { duration, moment, size } from "../format.js";
import { announce, dialog, toast } from "../components/ui.js";
import { button, follow, loading, submit } from "../components/pieces.js";

const SVG = "http://www.w3.org/2000/svg";
export const KINDS = ["messages", "input_tokens", "output_tokens", "pictures", "video_ms", "gpu_ms", "money_micro_usd"];

/** An amount in words. @param {string} kind @param {number} value */
export function amount(kind, value) {
  if (kind === "money_micro_usd") return new Intl.NumberFormat(undefined, { style: "currency", currency: "USD" }).format(value / 1e6);
  return kind.endsWith("_ms") ? duration(value / 1000) : new Intl.NumberFormat().format(value);
}
/** What people type in a form, in the ledger's units. @param {string} kind @param {number} value */
export const units = (kind, value) => Math.round(kind === "money_micro_usd" ? value * 1e6 : kind.endsWith("_ms") ? value * 1000 : value);

/** Every day from the first to the last, also those without use. @param {any[]} history @param {string} from @param {string} to */
export function everyDay(history, from, to) {
  const days = [], known = new Map(history.map((day) => [day.day, day]));
  for (let at = Date.parse(from); at <= Date.parse(to); at += 86400000) { const day = new Date(at).toISOString().slice(0, 10); days.push(known.get(day) ?? { day }); }
  return days;
}
/** A bar a day; the same numbers stand in the table below it. @param {any[]} history @param {string} kind @param {string} label */
export function chart(history, kind, label) {
  const top = Math.max(1, ...history.map((day) => day[kind] ?? 0)), svg = document.createElementNS(SVG, "svg"), wide = 100 / Math.max(history.length, 1);
  for (const [name, value] of [["viewBox", "0 0 100 30"], ["preserveAspectRatio", "none"], ["role", "img"], ["aria-label", label], ["width", "100%"], ["height", "96"], ["fill", "var(--accent)"]]) svg.setAttribute(name, value);
  history.forEach((day, index) => {
    const bar = document.createElementNS(SVG, "rect"), tall = day[kind] ? Math.max(0.6, day[kind] / top * 29) : 0;
    for (const [name, value] of [["x", index * wide + wide * 0.1], ["y", 30 - tall], ["width", wide * 0.8], ["height", tall]]) bar.setAttribute(String(name), String(value));
    svg.append(bar);
  });
  return svg;
}

/** @param {any} quota @param {() => any} again */
function askMore(quota, again) {
  const more = h("input", { class: "input", type: "number", required: true, min: quota.kind === "money_micro_usd" ? "0.01" : "1", step: quota.kind === "money_micro_usd" ? "0.01" : "1" }), note = h("textarea", { class: "input", maxlength: 500 });
  const close = dialog(t("usage.ask"), h("form", { class: "stack", onsubmit: submit(async () => { await api.post("/quota-requests", { quota_id: quota.id, amount: units(quota.kind, Number(more.value)), note: note.value.trim() }); close(); toast(t("usage.asked")); again(); }) },
    field(t(`usage.more.${quota.kind}`), more, t("usage.more.hint", { limit: amount(quota.kind, quota.limit) })), field(t("usage.note"), note), h("div", {}, h("button", { class: "button primary" }, t("usage.ask.go")))));
}

/** @param {any} box @returns {Promise<any>} dispose */
export async function mountUsage(box) {
  const done = loading(box);
  await stylesheet("recipes").catch(() => {});
  let closed = false;
  /** @type {any} */ let own = await api.get("/usage/me").finally(done);
  const again = async () => { own = await api.get("/usage/me"); if (!closed) draw(); };
  const bar = (/** @type {any} */ one) => {
    const name = t("usage.limit", { what: t(`usage.kind.${one.kind}`), span: t(`usage.span.${one.span}`) });
    const open = own.requests.some((/** @type {any} */ it) => it.quota_id === one.id && it.state === "open");
    return h("li", { class: "card stack", dataset: { id: one.id } },
      h("div", { class: "row between" }, h("strong", {}, name), h("span", {}, t("usage.of", { used: amount(one.kind, one.used), limit: amount(one.kind, one.limit) }))),
      one.model && h("div", { class: "hint" }, t("usage.model", { model: one.model })),
      h("progress", { "aria-label": name, max: Math.max(one.limit, 1), value: one.limit ? Math.min(one.used, one.limit) : 1 }),
      h("div", { class: "row between" }, h("span", { class: one.used >= one.limit ? "bad-text small" : "muted small" }, [one.used >= one.limit ? t("usage.up") : one.near ? t("usage.near") : "", one.resets_at ? t("usage.resets", { at: moment(one.resets_at) }) : t("usage.never"), t(`usage.scope.${one.scope}`)].filter(Boolean).join(" · ")),
        open ? h("span", { class: "chip" }, t("usage.open")) : one.may_ask && button(t("usage.ask"), () => askMore(one, again), "", { "aria-label": t("usage.ask.one", { what: name }) })));
  };
  function draw() {
    const shown = KINDS.filter((kind) => own.history.some((/** @type {any} */ day) => day[kind])), main = shown.includes("pictures") ? "pictures" : shown[0];
    replace(box, h("div", { class: "stack" }, own.quotas.length ? h("ul", { class: "recipes", "aria-label": t("usage.limits") }, own.quotas.map(bar)) : h("p", { class: "muted" }, t("usage.none")),
      h("p", { class: "muted" }, own.storage_limit_bytes ? t("usage.storage.of", { size: size(own.storage_bytes), limit: size(own.storage_limit_bytes) }) : t("usage.storage", { size: size(own.storage_bytes) })),
      h("h3", {}, t("usage.history")), main ? [h("div", { class: "card" }, chart(everyDay(own.history, own.from, own.to), main, t("usage.chart", { what: t(`usage.kind.${main}`) }))),
        h("div", { class: "text table figures", tabindex: 0, role: "region", "aria-label": t("usage.history") }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("usage.day")), shown.map((kind) => h("th", { scope: "col" }, t(`usage.kind.${kind}`))))), h("tbody", {}, [...own.history].reverse().map((/** @type {any} */ day) => h("tr", {}, h("th", { scope: "row" }, day.day), shown.map((kind) => h("td", {}, amount(kind, day[kind]))))))))] : h("p", { class: "muted" }, t("usage.nothing")),
      own.requests.length > 0 && [h("h3", {}, t("usage.requests")), h("ul", { class: "recipes" }, own.requests.map((/** @type {any} */ one) => h("li", { class: "card" }, h("div", {}, t(`usage.request.${one.state}`, { what: t(`usage.kind.${one.kind}`), asked: amount(one.kind, one.amount), granted: amount(one.kind, one.granted) })), one.answer && h("p", {}, one.answer), h("div", { class: "hint" }, moment(one.decided_at ?? one.created_at)))))]));
  }
  draw();
  const offs = [follow(["quota.near", "quota.answered"], () => again().then(() => announce(t("usage.changed")), () => {}))];
  return Object.assign(() => { closed = true; for (const off of offs) off(); }, { reset: () => again().catch(() => {}) });
}
