/** picture-picker.js - choose one picture for the form: from the library, or from this device. */
import { debounce, h, icon, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { faceOf, nameOf } from "../pictures/actions.js";
import { attempt, dialog, failed } from "./ui.js";

const SHOWN = 60;

/** A picture for the form: uploaded, outside the library. @param {Blob} file @param {string} [parent] what it was made of here */
export const uploadInput = (file, parent) => attempt(() => api.sendRaw("POST", `/assets?library=false${parent ? `&parent=${encodeURIComponent(parent)}` : ""}`, file, file.type));

/** @param {string} title @param {(asset: any) => void} done @param {(file: File) => void} [ask] what to do with a file of this device, instead of uploading it */
export function pickPicture(title, done, ask) {
  let turn = 0;
  const list = h("div", { class: "picker-list", role: "group", "aria-label": t("library.pictures"), "aria-busy": "true" });
  const search = h("input", { class: "input grow", type: "search", placeholder: t("library.search"), "aria-label": t("library.search") });
  const file = h("input", { type: "file", accept: "image/*", hidden: true, onchange: async () => { if (ask && file.files[0]) { close(); return ask(file.files[0]); } const asset = file.files[0] && await uploadInput(file.files[0]); if (asset) end(asset); } });
  const close = dialog(title, h("div", { class: "stack" }, h("div", { class: "row picker-head" }, search, h("button", { type: "button", class: "button", onclick: () => file.click() }, icon("upload"), t("picker.device")), file), list), "wide picker");
  const end = (/** @type {any} */ asset) => { close(); done({ id: asset.id, width: asset.width, height: asset.height }); };
  async function load() {
    const mine = ++turn;
    try {
      const page = await api.get(`/assets${api.query({ kind: "picture", limit: SHOWN, q: search.value.trim() || null })}`);
      if (mine !== turn) return;
      list.removeAttribute("aria-busy");
      replace(list, page.items.map((/** @type {any} */ one) => h("button", { type: "button", class: "picker-one", title: nameOf(one), "aria-label": nameOf(one), onclick: () => end(one) }, h("img", { ...faceOf(one, 256), alt: "", loading: "lazy", width: 120, height: 120 }))),
        !page.items.length && h("p", { class: "muted" }, t(search.value ? "library.none.found" : "picker.empty")));
    } catch (error) { if (mine === turn) failed(list, error, load); }
  }
  search.addEventListener("input", debounce(load, 250));
  list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const all = [...list.querySelectorAll(".picker-one")], at = all.indexOf(/** @type {any} */ (document.activeElement)), wide = Math.max(1, Math.floor(list.clientWidth / Math.max(1, all[0]?.clientWidth ?? 1)));
    const by = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide })[event.key];
    if (at < 0 || !by) return;
    event.preventDefault();
    /** @type {any} */ (all[Math.max(0, Math.min(all.length - 1, at + by))]).focus();
  });
  load();
  if (matchMedia("(hover: hover)").matches) search.focus(); // no keyboard over the pictures of a phone
}
