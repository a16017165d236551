/** prices.js - what every model costs and who says so; the operator's own prices win. Part of Settings, Allowances. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { dialog, toast } from "../components/ui.js";
import { button, submit } from "../components/pieces.js";

const UNITS = ["image", "megapixel", "second"];
const money = (/** @type {number} */ micro) => new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", maximumFractionDigits: 6 }).format(micro / 1e6);
/** @param {any} one */
const price = (one) => (one.source === "local" ? t("prices.free") : one.source === "unknown" ? t("prices.none") : one.kind === "chat" ? t("prices.tokens", { input: money(one.input_micro_usd), output: money(one.output_micro_usd), cached: money(one.cached_micro_usd) }) : t(`prices.per.${one.unit}`, { price: money(one.unit_micro_usd) }));

/** @param {any} one @param {() => any} again */
function edit(one, again) {
  const amount = (/** @type {number} */ micro) => h("input", { class: "input", type: "number", min: 0, max: 10000, step: "any", value: one.source === "unknown" || one.source === "local" ? "" : micro / 1e6 });
  const inputs = one.kind === "chat" ? ["input", "output", "cached"].map((key) => ({ key, control: amount(one[`${key}_micro_usd`]) })) : [{ key: "unit", control: amount(one.unit_micro_usd) }];
  const unit = h("select", { class: "input" }, UNITS.map((value) => h("option", { value, selected: value === one.unit }, t(`prices.unit.${value}`))));
  const send = async (/** @type {any} */ body) => { await api.put("/prices", { model: one.model, ...body }); close(); toast(t("common.saved")); await again(); };
  const body = () => Object.fromEntries([...inputs.filter(({ control }) => control.value !== "").map(({ key, control }) => [`${key}_micro_usd`, Math.round(Number(control.value) * 1e6)]), ...(one.kind === "chat" ? [] : [["unit", unit.value]])]);
  const close = dialog(t("prices.edit", { model: one.name }), h("form", { class: "stack", onsubmit: submit(() => send(body())) }, one.kind === "chat" ? h("p", { class: "muted" }, t("prices.tokens.hint")) : field(t("prices.unit"), unit), inputs.map(({ key, control }) => field(t(`prices.${key}`), control)),
    h("div", { class: "row" }, h("button", { class: "button primary" }, t("common.save")), one.source === "operator" && button(t("prices.reset"), () => send({}), "quiet"))));
}

/** @param {any} box */
export async function mountPrices(box) {
  const list = (await api.get("/prices")).items, again = () => mountPrices(box), rows = h("ul", { class: "stack", "aria-label": t("prices.title") });
  const search = h("input", { class: "input", type: "search", "aria-label": t("prices.search"), placeholder: t("prices.search"), oninput: () => draw() });
  function draw() {
    const wanted = search.value.trim().toLowerCase(), found = list.filter((/** @type {any} */ one) => `${one.name} ${one.service} ${one.model}`.toLowerCase().includes(wanted));
    replace(rows, found.slice(0, 50).map((/** @type {any} */ one) => h("li", { class: "card row" }, h("div", { class: "grow" }, h("strong", {}, one.name), h("div", { class: "hint" }, `${one.service} · ${t(`prices.source.${one.source}`)}`), h("div", {}, price(one))), button(t("common.edit"), () => edit(one, again), "quiet", { "aria-label": `${t("common.edit")}: ${t("prices.edit", { model: one.name })}` }))), found.length > 50 && h("li", { class: "muted" }, t("prices.more", { count: found.length - 50 })), !found.length && h("li", { class: "muted" }, t("prices.empty")));
  }
  draw();
  replace(box, h("h3", {}, t("prices.title")), h("p", { class: "muted" }, t("prices.text")), list.length > 8 && search, rows);
}
