/** role-rights.js - what a role may use besides its permissions: models, services, features, room for files. */
import { field, h } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { size } from "../format.js";
import { dialog } from "../components/ui.js";
import { submit } from "../components/pieces.js";
import { lines } from "./keys.js";

const MIB = 1 << 20;

/** In words, for the list of roles. @param {any} role */
export function limitsOf(role) {
  return [role.models.length && t("rights.models.few", { count: role.models.length }), role.providers.length && t("rights.providers.few", { count: role.providers.length }),
    role.features_off.length && t("rights.without", { what: role.features_off.map((/** @type {string} */ one) => t(`rights.feature.${one}`)).join(", ") }), role.storage_bytes && t("rights.room.of", { size: size(role.storage_bytes) })].filter(Boolean).join(" · ");
}

/** @param {any} role @param {string} name @param {() => any} again */
export async function askRights(role, name, again) {
  const [features, providers] = await Promise.all([api.get("/features"), api.get("/providers").catch(() => ({ items: [] }))]);
  const rows = [{ id: "local", name: t("rights.local") }, ...providers.items, ...role.providers.filter((/** @type {string} */ id) => id !== "local" && !providers.items.some((/** @type {any} */ it) => it.id === id)).map((/** @type {string} */ id) => ({ id, name: id }))];
  const services = rows.map((one) => ({ id: one.id, name: one.name, box: h("input", { type: "checkbox", checked: !role.providers.length || role.providers.includes(one.id) }) }));
  const has = features.items.map((/** @type {any} */ one) => ({ name: one.name, box: h("input", { type: "checkbox", checked: !role.features_off.includes(one.name) }) }));
  const models = h("textarea", { class: "input", rows: 3, spellcheck: false }, role.models.join("\n"));
  const room = h("input", { class: "input", type: "number", min: "1", step: "1", value: role.storage_bytes ? Math.round(role.storage_bytes / MIB) : "" });
  const check = (/** @type {any} */ box, /** @type {string} */ label) => h("label", { class: "row check" }, box, h("span", {}, label));
  const close = dialog(t("rights.of", { name }), h("form", { class: "stack", onsubmit: submit(async () => {
    const chosen = services.filter((one) => one.box.checked);
    await api.patch(`/roles/${role.id}`, { models: lines(models.value), providers: chosen.length === services.length ? [] : chosen.map((one) => one.id),
      features_off: has.filter((/** @type {any} */ one) => !one.box.checked).map((/** @type {any} */ one) => one.name), storage_bytes: room.value ? Number(room.value) * MIB : null });
    close();
    await again();
  }) }, field(t("rights.models"), models, t("rights.models.hint")),
    h("fieldset", { class: "rights" }, h("legend", { class: "field-label" }, t("rights.providers")), services.map((one) => check(one.box, one.name))),
    h("fieldset", { class: "rights" }, h("legend", { class: "field-label" }, t("rights.features")), has.map((/** @type {any} */ one) => check(one.box, t(`rights.feature.${one.name}`)))),
    field(t("rights.room"), room, t("rights.room.hint")), h("div", {}, h("button", { class: "button primary" }, t("common.save")))));
}
