/**
 * control-input.js - the control picture of Create (ControlNet): what holds the pose, the depth or the lines of the result.
 *
 * Holds nothing itself: everything stands in the draft. A model without control types is said, the picture is kept.
 */
import { h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import { controlTypes, param } from "../pictures/form.js";
import * as draft from "../pictures/draft.js";
import { fileOf } from "../pictures/actions.js";
import { pickPicture, uploadInput } from "./picture-picker.js";

const known = ["pose", "depth", "canny", "scribble", "lineart", "tile"];
/** @param {string} type */
const nameOf = (type) => known.includes(type) ? t(`control.${type}`) : type;
/** Say what a type wants: a ready map, or any picture. @param {string} type */
const hintOf = (type) => known.includes(type) ? t(`control.${type}.hint`) : "";

/** @param {(asset: any) => void} [done] */
export const chooseControl = (done) => pickPicture(t("control.choose"), (asset) => { draft.set({ control: asset }); done?.(asset); });

/** The button that adds one; nothing where the model takes none or has one. @param {any} model */
export const controlAdd = (model) => controlTypes(model).length > 0 && !draft.get().control && h("div", { class: "field" }, h("span", { class: "field-label" }, t("control.title")),
  h("div", { class: "control-drop" }, h("button", { type: "button", class: "button small", onclick: () => chooseControl(() => document.querySelector(/** @type {any} */ (".control-input select"))?.focus()) }, icon("plus"), t("control.add")), h("span", { class: "muted small" }, t("control.hint"))));

/** @param {HTMLElement} box @param {any} model @param {(change: any, quiet?: boolean) => void} set */
export function drawControl(box, model, set) {
  const now = draft.get(), types = controlTypes(model);
  box.hidden = !now.control;
  if (box.hidden) return replace(box);
  const type = types.includes(now.control_type) ? now.control_type : types[0], how = param(model, "control_strength");
  const min = how?.min ?? 0, max = how?.max ?? 2, step = how?.step ?? 0.05;
  const value = h("output", { class: "small muted" }, String(now.control_strength));
  const slide = h("input", { type: "range", min, max, step, value: now.control_strength, "aria-label": t("control.strength"), oninput: () => { value.textContent = slide.value; set({ control_strength: Number(slide.value) }, true); } });
  const hint = h("span", { class: "muted small" }, hintOf(type));
  const select = h("select", { class: "input", "aria-label": t("control.type"), onchange: () => { hint.textContent = hintOf(select.value); set({ control_type: select.value }, true); } }, types.map((one) => h("option", { value: one, selected: one === type }, nameOf(one))));
  replace(box, h("div", { class: "row" }, h("button", { type: "button", class: "thumb large plain", "aria-label": t("control.choose"), title: t("control.choose"), onclick: () => chooseControl() }, h("img", { src: fileOf(now.control, 256), alt: t("control.alt") })),
    h("div", { class: "grow stack tight" }, h("div", { class: "row between tight" }, h("strong", {}, t("control.title")), iconButton("close", t("control.remove"), () => { set({ control: null }, false); document.getElementById("picture-prompt")?.focus(); }, { class: "icon-button small" })),
      types.length ? select : h("span", { class: "small warn-text", role: "status" }, t("control.cannot", { name: model?.name ?? "" })))),
  types.length > 0 && [hint, how && h("div", {}, h("span", { class: "field-label", "aria-hidden": "true" }, t("control.strength")), h("div", { class: "slide" }, slide, value))]);
}

/** A picture file dropped on the box becomes the control picture. @param {HTMLElement} box */
export function controlDrop(box) {
  box.addEventListener("drop", (event) => {
    const target = /** @type {Element} */ (event.target).closest(".control-drop, .control-input"), file = [...(event.dataTransfer?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!target || !file) return;
    event.preventDefault();
    event.stopPropagation();
    for (const one of document.querySelectorAll(".create.drop")) one.classList.remove("drop");
    uploadInput(file).then((asset) => { if (asset) draft.set({ control: asset }); });
  });
}
