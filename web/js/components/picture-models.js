/** picture-models.js - the part of Settings, Models about pictures: the engine, and the models that can be fetched. */
import { h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { size } from "../format.js";
import { attempt, toast } from "./ui.js";

/** @param {any} model @returns {{part: string, file: string, url?: string, size_bytes?: number, sha256?: string}[]} */
const filesOf = (model) => Object.entries(model.files ?? {}).map(([part, one]) => ({ part, ...one }));

/** @param {Element} box */
export async function mountPictureModels(box) {
  const [models, engine] = await Promise.all([api.get("/picture-models").then((page) => page.items), api.get("/picture-engine").catch(() => null)]);
  store.dispatch({ type: "set", values: { pictureModels: models } });
  const fetchAll = (/** @type {any} */ model) => attempt(async () => {
    for (const one of filesOf(model)) if (one.url) store.dispatch({ type: "transfer.progress", transfer: await api.post("/engine/transfers", { url: one.url, file: one.file, ...(one.sha256 ? { sha256: one.sha256 } : {}) }) });
    toast(t("pictures.fetching", { name: model.name }));
  });
  const card = (/** @type {any} */ model) => {
    const files = filesOf(model), bytes = files.reduce((sum, one) => sum + (one.size_bytes ?? 0), 0), can = !model.ready && files.some((one) => one.url);
    return h("div", { class: "card stack" }, h("div", { class: "row" }, h("span", { class: `light ${model.ready ? "good" : "warn"}` }), h("strong", { class: "grow" }, model.name), model.ready ? h("span", { class: "chip" }, t("engine.installed")) : can && h("button", { class: "button small", onclick: () => fetchAll(model) }, t("engine.download"))),
      h("p", {}, model.description), !model.ready && model.why && h("p", { class: "muted small" }, model.why),
      h("div", { class: "hint" }, bytes ? [size(bytes), " · "] : null, model.licence_url ? h("a", { href: model.licence_url, target: "_blank", rel: "noopener noreferrer" }, model.licence) : model.licence),
      can && h("details", {}, h("summary", { class: "small" }, t("pictures.files")), h("ul", { class: "small" }, files.map((one) => h("li", {}, one.url ? h("a", { href: one.url, target: "_blank", rel: "noopener noreferrer" }, one.file) : one.file, one.size_bytes ? ` · ${size(one.size_bytes)}` : "")))));
  };
  replace(box, h("h2", {}, t("pictures.models")), engine && h("div", { class: "card row" }, h("span", { class: `light ${engine.state === "healthy" ? "good" : engine.state === "backoff" || engine.state === "not_installed" ? "bad" : ""}` }), h("div", { class: "grow" }, h("strong", {}, t("pictures.engine")), h("div", { class: "hint" }, [t(`pictures.state.${engine.state}`), engine.model, engine.backend, engine.memory_bytes ? size(engine.memory_bytes) : null].filter(Boolean).join(" · ")), engine.why && h("p", { class: "notice" }, engine.why)),
    engine.model && h("button", { class: "button small", onclick: () => attempt(async () => { await api.post("/picture-engine/unload"); await mountPictureModels(box); }) }, t("pictures.unload"))),
  models.filter((/** @type {any} */ one) => one.provider_kind === "local").map(card));
}
