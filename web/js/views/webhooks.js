/**
 * webhooks.js - Settings, Webhooks: addresses that are told when a job has ended, and the log of what was sent to them.
 *
 * The log is read page by page, newest first; an event about a delivery brings that part of it up to date in place.
 */
import { debounce, field, h, icon, iconButton, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { announce, attempt, copy, dialog, failed, toast } from "../components/ui.js";
import { button, emptyState, follow, loading, submit, sure } from "../components/pieces.js";

const PAGE = 20, FOLLOW_MS = 150;
const VERIFY_URL = "https://www.standardwebhooks.com/";
/** @type {Record<string, string>} */ const LIGHTS = { delivered: "good", pending: "warn", failed: "bad" };

/** The secret is shown this once. @param {any} made */
function showSecret(made) {
  const close = dialog(t("webhooks.secret"), h("div", { class: "stack" }, h("p", {}, t("webhooks.secret.once", { url: made.url })),
    h("div", { class: "row nowrap" }, h("code", { class: "notice grow secret", tabindex: 0 }, made.secret), iconButton("copy", t("webhooks.secret.copy"), () => copy(made.secret))),
    h("h3", {}, t("webhooks.verify")), h("p", {}, t("webhooks.verify.text")), h("pre", { class: "log", tabindex: 0 }, t("webhooks.verify.code")),
    h("p", {}, h("a", { href: VERIFY_URL, target: "_blank", rel: "noopener noreferrer" }, t("webhooks.verify.link"))),
    h("div", {}, h("button", { class: "button primary", onclick: () => close() }, t("webhooks.secret.done")))));
}

/** What an answer comes to, in words. @param {any} one */
export function outcome(one) {
  if (one.state === "delivered") return t("webhooks.state.delivered", { status: one.response_status });
  const why = one.error_detail ?? "";
  if (one.state === "failed") return t("webhooks.state.failed", { why });
  if (one.attempt === 0 || !why) return t("webhooks.state.pending");
  return t("webhooks.state.again", { why, at: one.next_at ? moment(one.next_at) : "" });
}

/** @param {any} box @returns {Promise<any>} dispose */
export async function mountWebhooks(box) {
  const done = loading(box);
  await stylesheet("recipes").catch(() => {});
  /** @type {any[]} */ let hooks = [];
  /** @type {any[]} */ let log = [];
  /** @type {string|null} */ let next = null;
  let closed = false;
  const page = (/** @type {string} */ after = "") => api.get(`/webhooks/deliveries${api.query({ limit: PAGE, after })}`);
  const readHooks = async () => { hooks = (await api.get("/webhooks")).items; };
  const readLog = async () => { const first = await page(); log = first.items; next = first.next; };
  await Promise.all([readHooks(), readLog()]).finally(done);

  const url = h("input", { class: "input", type: "url", required: true, maxlength: 2000, placeholder: "https://example.com/hook", autocomplete: "off" });
  const list = h("ul", { class: "recipes", "aria-label": t("settings.webhooks") });
  const rows = h("ul", { class: "deliveries", "aria-labelledby": "deliveries-title" });
  const older = button(t("webhooks.older"), async () => { const more = await page(/** @type {string} */ (next)); next = more.next; const known = new Set(log.map((one) => one.id)); log = [...log, ...more.items.filter((/** @type {any} */ one) => !known.has(one.id))]; drawLog(); });

  const change = async (/** @type {any} */ one, /** @type {any} */ values) => { const now = await api.patch(`/webhooks/${one.id}`, values); hooks = hooks.map((it) => it.id === one.id ? { ...it, ...now } : it); drawHooks(); };
  function changeAddress(/** @type {any} */ one) {
    const text = h("input", { class: "input", type: "url", required: true, maxlength: 2000, value: one.url });
    const close = dialog(t("webhooks.change.title"), h("form", { class: "stack", onsubmit: submit(async () => { await change(one, { url: text.value.trim() }); close(); toast(t("common.saved")); }) }, field(t("webhooks.url"), text, t("webhooks.change.hint")), h("div", {}, h("button", { class: "button primary" }, t("common.save")))));
    text.select();
  }
  function drawHooks() {
    replace(list, hooks.length ? hooks.map((one) => {
      const on = h("input", { type: "checkbox", role: "switch", checked: one.enabled, "aria-label": t("webhooks.enabled.one", { url: one.url }), onchange: () => attempt(() => change(one, { enabled: on.checked })).then(() => { on.checked = hooks.find((it) => it.id === one.id)?.enabled ?? on.checked; }) });
      return h("li", { class: "card recipe", dataset: { id: one.id } }, h("div", { class: "grow" }, h("strong", { class: "address" }, one.url), h("div", { class: "muted small" }, one.enabled ? t("webhooks.since", { at: moment(one.created_at) }) : t("webhooks.off"))),
        h("div", { class: "row tight" }, h("label", { class: "row check switch" }, on, h("span", {}, t("webhooks.enabled"))),
          button(t("webhooks.change"), () => changeAddress(one), "", { "aria-label": t("webhooks.change.one", { url: one.url }) }),
          button(t("common.delete"), () => sure(t("webhooks.delete.title"), t("webhooks.delete.text"), t("webhooks.delete", { url: one.url }), async () => { await api.del(`/webhooks/${one.id}`); hooks = hooks.filter((it) => it.id !== one.id); drawHooks(); await refreshLog(); }), "quiet danger", { "aria-label": t("webhooks.delete", { url: one.url }) })));
    }) : h("li", {}, emptyState(t("webhooks.none"), t("webhooks.none.text"), button(t("webhooks.none.do"), () => url.focus(), "primary"))));
  }

  const row = (/** @type {any} */ one) => h("li", { class: `delivery ${one.state}`, dataset: { id: one.id } }, h("span", { class: `light ${LIGHTS[one.state] ?? ""}` }),
    h("div", { class: "grow" }, h("div", { class: "row between" }, h("strong", {}, t(`webhooks.event.${one.event}`)), h("time", { class: "muted small", datetime: one.updated_at }, moment(one.updated_at))),
      h("p", { class: one.state === "failed" ? "small bad-text" : "small" }, outcome(one)),
      h("p", { class: "muted small clip" }, [one.response_status ? t("webhooks.code", { status: one.response_status }) : t("webhooks.code.none"), t("webhooks.tries", { count: one.attempt }), one.url].join(" · "))),
    button(t("webhooks.redeliver"), async () => { put(await api.post(`/webhooks/deliveries/${one.id}/redeliver`)); announce(t("webhooks.redelivered")); }, "", { "aria-label": t("webhooks.redeliver.one", { event: t(`webhooks.event.${one.event}`), at: moment(one.updated_at) }) }));
  function drawLog() {
    const held = rows.contains(document.activeElement) ? /** @type {any} */ (document.activeElement).closest("li")?.dataset.id : null;
    replace(rows, log.length ? log.map(row) : h("li", { class: "muted empty-log" }, t("webhooks.log.none")));
    if (held) rows.querySelector(`[data-id="${held}"] button`)?.focus();
    older.hidden = !next;
  }
  const put = (/** @type {any} */ one) => { log = log.map((it) => it.id === one.id ? one : it); drawLog(); };
  /** The newest page again; what was read beyond it stays. */
  async function refreshLog() {
    const first = await page().catch(() => null);
    if (!first || closed) return;
    const fresh = new Set(first.items.map((/** @type {any} */ one) => one.id)), last = first.items.at(-1)?.id;
    const rest = log.filter((one) => !fresh.has(one.id) && last && one.id < last);
    if (!rest.length) next = first.next;
    log = [...first.items, ...rest];
    drawLog();
  }

  drawHooks();
  drawLog();
  replace(box, h("div", { class: "stack" }, h("p", { class: "muted" }, t("webhooks.text")), list,
    h("form", { class: "card", onsubmit: submit(async () => { const made = await api.post("/webhooks", { url: url.value.trim() }); const { secret, ...bare } = made; url.value = ""; if (!hooks.some((one) => one.id === made.id)) hooks = [...hooks, bare]; drawHooks(); showSecret(made); }) },
      h("h3", {}, t("webhooks.add")), field(t("webhooks.url"), url, t("webhooks.url.hint")), h("button", { class: "button primary" }, icon("plus"), t("webhooks.add.go"))),
    h("div", { class: "row between log-head" }, h("h3", { id: "deliveries-title" }, t("webhooks.log")), button(t("webhooks.log.refresh"), refreshLog, "quiet")), rows, h("div", { class: "row center" }, older)));

  const again = debounce(() => { if (!closed) refreshLog(); }, FOLLOW_MS);
  const hooksAgain = debounce(() => { if (!closed) readHooks().then(drawHooks, () => {}); }, FOLLOW_MS);
  const offs = [follow(["webhook.delivery"], again), follow(["webhook.changed"], hooksAgain)];
  return Object.assign(() => { closed = true; for (const off of offs) off(); }, { reset: () => { readHooks().then(drawHooks, (error) => failed(box, error, () => mountWebhooks(box))); again(); } });
}
