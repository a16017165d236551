/** keys.js - Settings, API keys: what each may use, from where, until when and how much of it. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { copy, dialog, toast } from "../components/ui.js";
import { button, submit, sure } from "../components/pieces.js";
import { KINDS, amount, units } from "./usage.js";

const SCOPES = ["chat", "models", "characters", "pictures", "admin"], SPANS = ["minute", "day", "month", "total"], DAY_MS = 86400000;
const text = (props = {}) => h("input", { class: "input", autocomplete: "off", spellcheck: false, ...props });
const pick = (/** @type {string[][]} */ rows, /** @type {string} */ value) => h("select", { class: "input" }, rows.map(([key, label]) => h("option", { value: key, selected: key === value }, label)));
/** A list as people type it: one a line, or with commas. @param {string} value */
export const lines = (value) => value.split(/[\n,]/).map((one) => one.trim()).filter(Boolean);

/** What a key is limited to, in words. @param {any} one */
function limits(one) {
  return [one.models.length ? t("keys.models.few", { count: one.models.length }) : null, one.addresses.length ? one.addresses.join(", ") : null,
    one.budget ? t("keys.budget.used", { used: amount(one.budget.kind, one.budget.used), of: amount(one.budget.kind, one.budget.amount), what: t(`usage.kind.${one.budget.kind}`), span: t(`usage.span.${one.budget.span}`) }) : null].filter(Boolean).join(" · ");
}

/** The form of one key; `one` null: a new one. @param {any} one @param {(body: any) => Promise<any>} send */
function form(one, send) {
  const name = text({ required: true, maxlength: 100, value: one?.name ?? "" });
  const scopes = SCOPES.map((scope) => ({ scope, check: h("input", { type: "checkbox", checked: one ? one.scopes.includes(scope) : scope === "chat" || scope === "models" }) }));
  const days = pick([...(one ? [["keep", one.expires_at ? t("keys.expires.at", { at: moment(one.expires_at) }) : t("keys.expires.never")]] : []), ["30", t("keys.expires.days", { days: 30 })], ["90", t("keys.expires.days", { days: 90 })], ["365", t("keys.expires.days", { days: 365 })], ["", t("keys.expires.never")]], one ? "keep" : "90");
  const models = h("textarea", { class: "input", rows: 2, spellcheck: false }, one?.models.join("\n") ?? ""), addresses = h("textarea", { class: "input", rows: 2, spellcheck: false }, one?.addresses.join("\n") ?? "");
  const kind = pick([["", t("keys.budget.none")], ...KINDS.map((it) => [it, t(`usage.more.${it}`)])], one?.budget?.kind ?? ""), span = pick(SPANS.map((it) => [it, t(`usage.span.${it}`)]), one?.budget?.span ?? "month");
  const limit = text({ type: "number", min: "0", step: "any", value: one?.budget ? one.budget.amount / units(one.budget.kind, 1) : "" });
  const fields = [field(t("usage.limit.value"), limit), field(t("usage.span"), span)];
  const show = () => fields.forEach((it) => { it.hidden = !kind.value; limit.required = Boolean(kind.value); });
  kind.addEventListener("change", show);
  show();
  return h("form", { class: "stack", onsubmit: submit(async () => {
    const expires = days.value === "keep" ? {} : { expires_at: days.value ? new Date(Date.now() + Number(days.value) * DAY_MS).toISOString() : null };
    await send({ name: name.value, scopes: scopes.filter((it) => it.check.checked).map((it) => it.scope), ...expires, models: lines(models.value), addresses: lines(addresses.value),
      budget: kind.value ? { kind: kind.value, span: span.value, amount: units(kind.value, Number(limit.value)) } : null });
  }) }, field(t("common.name"), name), h("fieldset", { class: "row" }, h("legend", { class: "field-label" }, t("keys.scopes")), scopes.map((it) => h("label", { class: "row" }, it.check, it.scope))), field(t("keys.expires"), days),
    h("details", { open: Boolean(one && limits(one)) }, h("summary", {}, t("keys.limits")), h("div", { class: "stack" }, field(t("keys.models"), models, t("keys.models.hint")), field(t("keys.addresses"), addresses, t("keys.addresses.hint")), h("div", { class: "grid" }, field(t("keys.budget"), kind), fields))),
    h("div", {}, h("button", { class: "button primary" }, one ? t("common.save") : t("keys.create"))));
}

/** @param {any} box @param {() => any} again */
export async function mountKeys(box, again) {
  const list = (await api.get("/keys")).items;
  const edit = (/** @type {any} */ one) => { const close = dialog(t("apikey.edit", { name: one.name }), form(one, async (body) => { await api.patch(`/keys/${one.id}`, body); close(); toast(t("common.saved")); again(); })); };
  const told = (/** @type {any} */ one) => [`${one.prefix}…`, one.scopes.join(", "), one.expires_at ? t("keys.expires.at", { at: moment(one.expires_at) }) : null, one.last_used_at ? t("keys.used", { at: moment(one.last_used_at) }) : t("keys.unused")].filter(Boolean).join(" · ");
  replace(box, h("div", { class: "stack" }, list.length ? list.map((/** @type {any} */ one) => h("div", { class: "card row", dataset: { id: one.id } }, h("div", { class: "grow" }, h("strong", {}, one.name), h("div", { class: "hint" }, told(one)), limits(one) && h("div", { class: "hint" }, limits(one))),
    button(t("common.edit"), () => edit(one), "", { "aria-label": t("apikey.edit", { name: one.name }) }),
    button(t("keys.revoke.do"), () => sure(t("keys.revoke.title"), t("keys.revoke", { name: one.name }), t("keys.revoke.do"), () => api.del(`/keys/${one.id}`).then(again)), "quiet danger", { "aria-label": t("keys.revoke", { name: one.name }) }))) : h("p", { class: "muted" }, t("keys.none")),
    h("section", { class: "card stack" }, h("h2", {}, t("keys.create")), form(null, async (body) => {
      const made = await api.post("/keys", body);
      dialog(t("keys.create"), h("div", { class: "stack" }, h("p", {}, t("keys.once")), h("code", { class: "notice" }, made.key), button(t("common.copy"), () => copy(made.key))));
      again();
    }))));
}
