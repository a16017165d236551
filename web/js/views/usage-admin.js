/** usage-admin.js - Settings, Allowances: who used what and what it cost; requests for more; the quotas themselves. */
import { field, h, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { toast } from "../components/ui.js";
import { button, loading, submit } from "../components/pieces.js";
import { mountPrices } from "./prices.js";
import { KINDS, amount, units } from "./usage.js";

const SCOPES = ["everyone", "role", "user", "group", "key", "server"], SPANS = ["minute", "day", "month", "total"];
const pick = (/** @type {string[]} */ values, /** @type {string} */ words, change = () => {}) => h("select", { class: "input", onchange: () => change() }, values.map((value) => h("option", { value }, t(`${words}.${value}`))));

/** @param {any} box */
async function mountSums(box) {
  const by = pick(["user", "model", "day"], "usage.by", () => draw()), from = h("input", { class: "input", type: "date", onchange: () => draw() }), to = h("input", { class: "input", type: "date", onchange: () => draw() });
  const table = h("div", { class: "text table figures", tabindex: 0, role: "region", "aria-label": t("usage.everybody") }), file = h("a", { class: "button small", download: "usage.csv" }, t("usage.csv"));
  const what = () => ({ by: by.value, from: from.value, to: to.value });
  async function draw() {
    const list = (await api.get(`/usage${api.query(what())}`)).items, shown = KINDS.filter((kind) => list.some((/** @type {any} */ one) => one[kind]));
    file.href = `/api/v1/usage${api.query({ ...what(), format: "csv" })}`;
    replace(table, list.length ? h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t(`usage.by.${by.value}`)), shown.map((kind) => h("th", { scope: "col" }, t(`usage.kind.${kind}`))))),
      h("tbody", {}, list.map((/** @type {any} */ one) => h("tr", {}, h("th", { scope: "row" }, one.day || one.model || one.user_name || one.user_id), shown.map((kind) => h("td", {}, amount(kind, one[kind]))))))) : h("p", { class: "muted" }, t("usage.nothing.anybody")));
  }
  replace(box, h("div", { class: "stack" }, h("h3", {}, t("usage.everybody")), h("div", { class: "grid" }, field(t("usage.by"), by), field(t("usage.from"), from), field(t("usage.to"), to)), table, h("div", {}, file)));
  await draw();
}

/** @param {any} box */
async function mountRequests(box) {
  const list = (await api.get("/quota-requests")).items.filter((/** @type {any} */ one) => one.state === "open"), again = () => mountRequests(box);
  const decide = (/** @type {any} */ one, /** @type {number} */ granted, /** @type {string} */ answer) => api.post(`/quota-requests/${one.id}/decision`, { amount: granted, answer }).then(() => { toast(t("common.saved")); return again(); });
  replace(box, h("h3", {}, t("usage.inbox")), list.length ? h("ul", { class: "recipes" }, list.map((/** @type {any} */ one) => {
    const answer = h("input", { class: "input", maxlength: 500 }), more = h("input", { class: "input", type: "number", min: "0", step: "any", value: one.amount / units(one.kind, 1) });
    return h("li", { class: "card stack", dataset: { id: one.id } }, h("div", {}, t("usage.wants", { who: one.user_name, amount: amount(one.kind, one.amount), what: t(`usage.kind.${one.kind}`), limit: amount(one.kind, one.limit), span: t(`usage.span.${one.span}`) })), one.note && h("p", {}, one.note), h("div", { class: "grid" }, field(t("usage.grant.amount"), more), field(t("usage.answer"), answer)),
      h("div", { class: "row" }, button(t("usage.grant.do"), () => { if (Number(more.value) > 0) return decide(one, units(one.kind, Number(more.value)), answer.value); more.focus(); }, "primary", { "aria-label": t("usage.grant.one", { who: one.user_name, amount: amount(one.kind, one.amount) }) }), button(t("usage.refuse"), () => decide(one, 0, answer.value), "quiet", { "aria-label": t("usage.refuse.one", { who: one.user_name }) })));
  })) : h("p", { class: "muted" }, t("usage.inbox.none")));
}

/** @param {any} box */
async function mountQuotas(box) {
  const list = (await api.get("/quotas")).items, again = () => mountQuotas(box);
  const subject = h("input", { class: "input", maxlength: 64, autocomplete: "off", spellcheck: false }), model = h("input", { class: "input", maxlength: 300, autocomplete: "off", spellcheck: false }), limit = h("input", { class: "input", type: "number", min: "0", step: "any", required: true });
  const whose = field(t("usage.subject"), subject, t("usage.subject.hint")), scope = pick(SCOPES, "usage.scope", () => { whose.hidden = ["everyone", "server"].includes(scope.value); }), kind = pick(KINDS, "usage.more"), span = pick(SPANS, "usage.span");
  whose.hidden = true;
  const name = (/** @type {any} */ one) => [t(`usage.scope.${one.scope}`), one.subject_name || one.subject].filter(Boolean).join(" "), whole = (/** @type {any} */ one) => t("usage.row", { limit: amount(one.kind, one.amount), what: t(`usage.kind.${one.kind}`), span: t(`usage.span.${one.span}`) });
  replace(box, h("h3", {}, t("usage.quotas")), list.length ? h("ul", { class: "recipes" }, list.map((/** @type {any} */ one) => h("li", { class: "card row", dataset: { id: one.id } }, h("div", { class: "grow" }, h("strong", {}, whole(one)), h("div", { class: "hint" }, name(one), one.model && ` · ${one.model}`)), button(t("common.delete"), () => api.del(`/quotas/${one.id}`).then(again), "quiet danger", { "aria-label": t("usage.delete", { what: `${whole(one)}, ${name(one)}` }) })))) : h("p", { class: "muted" }, t("usage.quotas.none")),
    h("form", { class: "card stack", onsubmit: submit(async () => { await api.put("/quotas", { scope: scope.value, subject: whose.hidden ? "" : subject.value.trim(), kind: kind.value, span: span.value, model: model.value.trim(), amount: units(kind.value, Number(limit.value)) }); toast(t("common.saved")); await again(); }) },
      h("div", { class: "grid" }, field(t("usage.scope"), scope), whose, field(t("usage.kind"), kind), field(t("usage.span"), span), field(t("usage.limit.value"), limit), field(t("usage.one.model"), model, t("usage.one.model.hint"))), h("div", {}, h("button", { class: "button primary" }, t("usage.set")))));
}

/** @param {any} box */
export async function mountUsageAdmin(box) {
  const done = loading(box), sums = h("section", { class: "stack" }), inbox = h("section", { class: "stack" }), quotas = h("section", { class: "stack" }), prices = h("section", { class: "stack" });
  await stylesheet("recipes").catch(() => {});
  const may = (/** @type {string} */ one) => store.get().status?.permissions?.includes(one);
  await Promise.all([may("usage.read") && mountSums(sums), may("quotas.manage") && mountRequests(inbox), may("quotas.manage") && mountQuotas(quotas), may("quotas.manage") && mountPrices(prices)]).finally(done);
  replace(box, h("div", { class: "stack" }, inbox, sums, quotas, prices));
}
