/** look.js - the Look tab of a character: what is added to every picture of it. Saves by itself a moment after typing. */
import { debounce, field, h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { go } from "../router.js";
import { fileOf } from "../pictures/actions.js";
import * as draft from "../pictures/draft.js";
import { attempt, failed } from "./ui.js";

const SAVE_MS = 600, LORAS_MAX = 8, REFERENCES_MAX = 8;

/** @param {Element} box @param {string} id of the character @param {(saved: boolean) => void} said @returns {Promise<() => void>} what saves at once */
export async function mountLook(box, id, said) {
  /** @type {any} */ let look;
  /** @type {any[]} */ let models = [];
  let dirty = false;
  try { [look, models] = await Promise.all([api.get(`/characters/${id}/look`), api.get("/picture-models").then((page) => page.items).catch(() => [])]); } catch (error) { failed(box, error, () => mountLook(box, id, said)); return () => {}; }
  const flush = async () => {
    if (!dirty) return;
    dirty = false;
    const body = { prompt_prefix: look.prompt_prefix ?? "", negative_prompt: look.negative_prompt ?? "", model: look.model || null, loras: (look.loras ?? []).filter((/** @type {any} */ one) => one.name), reference_assets: look.reference_assets ?? [], seed: look.seed ?? -1, seed_policy: look.seed_policy ?? "free" };
    if (await attempt(() => api.put(`/characters/${id}/look`, body))) said(true);
  };
  const save = debounce(flush, SAVE_MS);
  const set = (/** @type {any} */ change) => { look = { ...look, ...change }; dirty = true; said(false); save(); };
  const area = (/** @type {string} */ key, /** @type {string} */ label, hint = "") => field(label, h("textarea", { class: "input", rows: 3, maxlength: 2000, value: look[key] ?? "", oninput: (/** @type {any} */ event) => set({ [key]: event.target.value }) }), hint);
  const model = h("select", { class: "input", onchange: () => set({ model: model.value || null }) }, h("option", { value: "" }, t("look.model.any")), models.map((one) => h("option", { value: one.id, selected: one.id === look.model }, `${one.name} · ${one.provider_name}`)));
  const loras = h("fieldset", { class: "field plain" }), references = h("div", { class: "look-references" }), seed = h("div");
  const change = (/** @type {number} */ index, /** @type {any} */ value) => set({ loras: look.loras.map((/** @type {any} */ one, /** @type {number} */ at) => at === index ? { ...one, ...value } : one) });
  const drawLoras = () => replace(loras, h("legend", { class: "field-label" }, t("create.loras")), (look.loras ?? []).map((/** @type {any} */ one, /** @type {number} */ index) => h("div", { class: "row tight lora" }, h("input", { class: "input grow", value: one.name, "aria-label": t("create.loras.name"), placeholder: t("create.loras.name"), oninput: (/** @type {any} */ event) => change(index, { name: event.target.value.trim() }) }), h("input", { class: "input small-number", type: "number", min: -4, max: 4, step: 0.05, value: one.weight, "aria-label": t("create.loras.weight", { name: one.name || index + 1 }), oninput: (/** @type {any} */ event) => change(index, { weight: Number(event.target.value) || 0 }) }), iconButton("close", t("create.loras.remove", { name: one.name || index + 1 }), () => { set({ loras: look.loras.filter((/** @type {any} */ _, /** @type {number} */ at) => at !== index) }); drawLoras(); }, { class: "icon-button small" }))),
    (look.loras ?? []).length < LORAS_MAX && h("button", { type: "button", class: "button small", onclick: () => { set({ loras: [...(look.loras ?? []), { name: "", weight: 1 }] }); drawLoras(); [...loras.querySelectorAll(".lora input")].at(-2)?.focus(); } }, icon("plus"), t("create.loras.add")));
  const picker = h("input", { type: "file", accept: "image/*", multiple: true, hidden: true, onchange: async () => { for (const file of [...picker.files]) { const asset = await attempt(() => api.sendRaw("POST", "/assets?library=false", file, file.type)); if (asset) { set({ reference_assets: [...(look.reference_assets ?? []), asset.id].slice(0, REFERENCES_MAX) }); drawReferences(); } } picker.value = ""; } });
  const drawReferences = () => replace(references, (look.reference_assets ?? []).map((/** @type {string} */ one) => h("span", { class: "thumb large" }, h("img", { src: fileOf({ id: one }, 256), alt: "" }), iconButton("close", t("create.references.remove"), () => { set({ reference_assets: look.reference_assets.filter((/** @type {string} */ other) => other !== one) }); drawReferences(); }, { class: "icon-button small" }))), (look.reference_assets ?? []).length < REFERENCES_MAX && h("button", { type: "button", class: "button small", onclick: () => picker.click() }, icon("plus"), t("create.references.add")), picker);
  const drawSeed = () => { const policy = h("select", { class: "input", onchange: () => { set({ seed_policy: policy.value }); drawSeed(); seed.querySelector("select")?.focus(); } }, ["free", "fixed", "conversation"].map((one) => h("option", { value: one, selected: one === (look.seed_policy ?? "free") }, t(`look.seed.${one}`)))); replace(seed, field(t("look.seed_policy"), policy), look.seed_policy === "fixed" && field(t("look.seed"), h("input", { class: "input", type: "number", min: 0, max: 4294967295, value: look.seed >= 0 ? look.seed : "", oninput: (/** @type {any} */ event) => set({ seed: event.target.value === "" ? -1 : Math.round(Number(event.target.value)) }) }))); };
  drawLoras(); drawReferences(); drawSeed();
  replace(box, h("p", { class: "muted" }, t("look.hint")), h("br"), area("prompt_prefix", t("look.prompt_prefix"), t("look.prompt_prefix.hint")), area("negative_prompt", t("look.negative_prompt")), field(t("look.model"), model), loras, h("div", { class: "field" }, h("span", { class: "field-label" }, t("look.references")), references, h("span", { class: "hint" }, t("look.references.hint"))), seed,
    h("button", { type: "button", class: "button", onclick: async () => { await flush(); draft.set({ character_id: id }); go("/create"); } }, icon("create"), t("look.try")));
  return flush;
}
