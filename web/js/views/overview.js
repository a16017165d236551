/**
 * overview.js - Settings, Overview: who used what, what it cost, what failed and why, is it healthy, when was the last good backup.
 *
 * Numbers are of whole days in UTC; each table can be had as a file.
 */
import { field, h, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { moment, size } from "../format.js";
import { attempt } from "../components/ui.js";
import { loading } from "../components/pieces.js";
import { amount, chart, everyDay } from "./usage.js";

const DAY_MS = 86400000, LATE_MS = 36 * 3600 * 1000;
const SPANS = [1, 7, 30, 90], SHOWN = ["requests", "failed", "active_users", "pictures", "cost_micro_usd", "p50_ms", "p95_ms"], BYS = ["user", "model", "provider", "day"];
const number = (/** @type {number} */ value) => new Intl.NumberFormat().format(value);
/** @param {number} ms */
const took = (ms) => (!ms ? "–" : ms < 10000 ? t("overview.seconds", { s: (ms / 1000).toFixed(1) }) : t("overview.seconds", { s: Math.round(ms / 1000) }));
/** @param {string} key @param {number} value */
const shown = (key, value) => (key.endsWith("_usd") ? amount("money_micro_usd", value) : key.endsWith("_ms") ? took(value) : number(value));
const percent = (/** @type {number} */ part, /** @type {number} */ of) => (of ? `${Math.round((100 * part) / of)} %` : "–");
/** How far estimates were off, in words. @param {any} one */
const drift = (one) => (one.estimated_micro_usd ? `${one.estimated_cost_micro_usd >= one.estimated_micro_usd ? "+" : "−"}${Math.abs(Math.round((100 * (one.estimated_cost_micro_usd - one.estimated_micro_usd)) / one.estimated_micro_usd))} %` : "–");

/** @param {any} box */
export async function mountOverview(box) {
  const done = loading(box);
  await stylesheet("recipes").catch(() => {});
  const may = (/** @type {string} */ one) => store.get().status?.permissions?.includes(one);
  const pick = (/** @type {any[]} */ values, /** @type {string} */ words, /** @type {any} */ first, /** @type {() => any} */ change) => h("select", { class: "input", onchange: () => attempt(change) }, values.map((value) => h("option", { value, selected: value === first }, t(`${words}.${value}`))));
  const days = pick(SPANS, "overview.days", 30, () => draw()), by = pick(BYS, "overview.by", "user", () => drawTable()), kind = pick(SHOWN.slice(0, 5).concat("p95_ms"), "overview", "requests", () => drawChart());
  const facts = h("div", { class: "grid" }), health = h("div", { class: "stack" }), curve = h("div", { class: "card" }), table = h("div", { class: "text table figures", tabindex: 0, role: "region", "aria-label": t("overview.who") }), failures = h("div", { class: "text table figures", tabindex: 0, role: "region", "aria-label": t("overview.failures") });
  const storage = h("div", { class: "text table figures", tabindex: 0, role: "region", "aria-label": t("overview.storage") });
  const file = h("a", { class: "button small", download: "summary.csv" }, t("usage.csv")), failureFile = h("a", { class: "button small", download: "failures.csv" }, t("usage.csv"));
  /** @type {any[]} */ let perDay = [];
  const span = () => { const to = new Date().toISOString().slice(0, 10); return { from: new Date(Date.parse(to) - (Number(days.value) - 1) * DAY_MS).toISOString().slice(0, 10), to }; };
  const ask = (/** @type {string} */ path, more = {}) => api.get(`/usage/${path}${api.query({ ...more, ...span() })}`).then((answer) => answer.items);
  const fact = (/** @type {string} */ name, /** @type {string} */ value, hint = "") => h("div", { class: "card" }, h("div", { class: "hint" }, t(`overview.${name}`)), h("strong", {}, value), hint && h("div", { class: "hint" }, hint));

  function drawChart() {
    const { from, to } = span(), label = t("overview.chart", { what: t(`overview.${kind.value}`) });
    replace(curve, chart(everyDay(perDay.map((one) => ({ ...one, day: one.key })), from, to), kind.value, label));
  }
  async function drawTable() {
    const list = await ask("summary", { by: by.value });
    file.href = `/api/v1/usage/summary${api.query({ by: by.value, ...span(), format: "csv" })}`;
    const drifts = by.value === "model" && list.some((/** @type {any} */ one) => one.estimated_micro_usd);
    const name = (/** @type {any} */ one) => one.name || (by.value === "provider" && one.key === "local" ? t("overview.local") : one.key) || t("overview.other");
    replace(table, list.length ? h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t(`overview.by.${by.value}`)), SHOWN.map((key) => h("th", { scope: "col" }, t(`overview.${key}`))), drifts && h("th", { scope: "col" }, t("overview.drift")))),
      h("tbody", {}, list.map((/** @type {any} */ one) => h("tr", {}, h("th", { scope: "row" }, name(one)), SHOWN.map((key) => h("td", {}, shown(key, one[key]))), drifts && h("td", {}, drift(one)))))) : h("p", { class: "muted" }, t("usage.nothing.anybody")));
  }
  async function drawFailures() {
    const list = await ask("failures");
    failureFile.href = `/api/v1/usage/failures${api.query({ ...span(), format: "csv" })}`;
    replace(failures, list.length ? h("table", {}, h("thead", {}, h("tr", {}, ["cause", "model", "count", "users", "last"].map((key) => h("th", { scope: "col" }, t(`overview.failure.${key}`))))),
      h("tbody", {}, list.map((/** @type {any} */ one) => h("tr", {}, h("th", { scope: "row" }, one.sentence || one.error), h("td", {}, one.model || "–"), h("td", {}, number(one.count)), h("td", {}, number(one.users)), h("td", {}, moment(one.last_at)))))) : h("p", { class: "muted" }, t("overview.failures.none")));
  }
  async function drawStorage() {
    const list = (await api.get("/usage/storage")).items;
    replace(storage, list.length ? h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("overview.by.user")), h("th", { scope: "col" }, t("overview.storage.files")), h("th", { scope: "col" }, t("overview.storage.bytes")))),
      h("tbody", {}, list.slice(0, 50).map((/** @type {any} */ one) => h("tr", {}, h("th", { scope: "row" }, one.user_name || one.user_id), h("td", {}, number(one.files)), h("td", {}, size(one.bytes)))))) : h("p", { class: "muted" }, t("overview.storage.none")));
  }
  async function drawHealth() {
    const server = may("server.manage") ? await api.get("/server").catch(() => null) : null;
    if (!server) return replace(health);
    const late = !server.last_backup || Date.parse(server.now) - Date.parse(server.last_backup.created_at) > LATE_MS;
    const ill = ["engine", "picture_engine"].filter((one) => server[`${one}_state`] === "backoff");
    replace(health, h("p", { class: ill.length ? "notice bad" : "notice" }, ill.length ? t("overview.ill", { what: ill.map((one) => t(`server.${one}`)).join(", ") }) : t("overview.healthy")),
      h("p", { class: late ? "notice bad" : "notice" }, server.last_backup ? t("server.backup.last", { at: moment(server.last_backup.created_at) }) : t("server.backup.none"), " ", h("a", { href: "/settings/server" }, t("settings.server"))));
  }
  async function draw() {
    const [[all], daily] = await Promise.all([ask("summary"), ask("summary", { by: "day" }), drawTable(), drawFailures(), drawStorage(), drawHealth()]);
    const one = all ?? { requests: 0, failed: 0, active_users: 0, pictures: 0, cost_micro_usd: 0, p50_ms: 0, p95_ms: 0, estimated_micro_usd: 0 };
    perDay = daily;
    replace(facts, fact("requests", number(one.requests)), fact("active_users", number(one.active_users)), fact("cost_micro_usd", amount("money_micro_usd", one.cost_micro_usd), one.estimated_micro_usd ? t("overview.drift.text", { drift: drift(one) }) : ""),
      fact("failed", number(one.failed), percent(one.failed, one.requests)), fact("p50_ms", took(one.p50_ms)), fact("p95_ms", took(one.p95_ms)), fact("pictures", number(one.pictures)));
    drawChart();
  }
  await draw().finally(done);
  replace(box, h("div", { class: "stack" }, field(t("overview.days"), days), facts, health, h("div", { class: "row between" }, h("h3", {}, t("overview.daily")), field(t("overview.what"), kind)), curve,
    h("div", { class: "row between" }, h("h3", {}, t("overview.who")), field(t("usage.by"), by)), table, h("div", {}, file), h("h3", {}, t("overview.failures")), failures, h("div", {}, failureFile), h("h3", {}, t("overview.storage")), storage, h("div", {}, h("a", { class: "button small", download: "storage.csv", href: "/api/v1/usage/storage?format=csv" }, t("usage.csv")))));
}
