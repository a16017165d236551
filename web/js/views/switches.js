/** switches.js - Settings, Switches: what the server offers at all, the most that anything may cost, and every change of a setting. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { moment } from "../format.js";
import { toast } from "../components/ui.js";
import { button, loading, submit } from "../components/pieces.js";

const FEATURES = ["pictures", "videos", "uploads", "temporary_chats", "sharing", "api", "api_keys", "webhooks", "workflows"];
/** A setting's value for people. @param {any} value */
const words = (value) => (value === null || value === undefined ? "–" : Array.isArray(value) && !value.length ? t("switches.none") : typeof value === "string" ? value : JSON.stringify(value).slice(0, 120));

/** @param {any} box */
export async function mountSwitches(box) {
  const done = loading(box), history = h("section", { class: "stack" });
  let settings = await api.get("/settings").finally(done);
  const checks = FEATURES.map((one) => ({ one, check: h("input", { type: "checkbox", checked: !settings.features_off.includes(one) }) }));
  const most = h("input", { class: "input", type: "number", min: 0, step: "0.0001", value: settings.max_cost_micro_usd ? settings.max_cost_micro_usd / 1e6 : "" });
  const kept = async () => { toast(t("common.saved")); store.dispatch({ type: "set", values: { status: await api.get("/status") } }); await drawHistory(); };

  async function drawHistory() {
    const list = (await api.get("/settings/history")).items;
    replace(history, h("h3", {}, t("switches.history")), list.length ? h("ul", { class: "stack", "aria-label": t("switches.history") }, list.map((/** @type {any} */ one) => h("li", { class: "card row" }, h("div", { class: "grow" }, h("strong", {}, t(`switches.name.${one.name}`)),
      h("p", {}, one.was === null && one.became === null ? t("switches.secret") : t("switches.change", { was: words(one.was), became: words(one.became) })), h("div", { class: "hint" }, `${one.user_name || t("switches.server")} · ${moment(one.at)}`)),
      one.revertible && button(t("switches.revert"), async () => { settings = await api.post(`/settings/history/${one.id}/revert`); fill(); await kept(); }, "quiet", { "aria-label": t("switches.revert.one", { name: t(`switches.name.${one.name}`), at: moment(one.at) }) })))) : h("p", { class: "muted" }, t("switches.history.none")));
  }
  function fill() {
    for (const { one, check } of checks) check.checked = !settings.features_off.includes(one);
    most.value = settings.max_cost_micro_usd ? settings.max_cost_micro_usd / 1e6 : "";
  }
  await drawHistory();
  replace(box, h("div", { class: "stack" },
    h("form", { class: "card stack", onsubmit: submit(async () => { settings = await api.patch("/settings", { features_off: checks.filter((it) => !it.check.checked).map((it) => it.one) }); await kept(); }) }, h("h3", {}, t("switches.features")), h("p", { class: "muted" }, t("switches.features.text")),
      checks.map(({ one, check }) => h("label", { class: "row" }, check, t(`switches.feature.${one}`))), h("div", {}, h("button", { class: "button" }, t("common.save")))),
    h("form", { class: "card stack", onsubmit: submit(async () => { settings = await api.patch("/settings", { max_cost_micro_usd: Number(most.value) > 0 ? Math.round(Number(most.value) * 1e6) : null }); await kept(); }) }, field(t("switches.most"), most, t("switches.most.hint")), h("div", {}, h("button", { class: "button", "aria-label": t("switches.most.save") }, t("common.save")))), history));
}
