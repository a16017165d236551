/**
 * style-chips.js - the styles above the form, each with an example picture: one of the person's own that they chose in the
 * viewer ("Use as this style's picture"), else a drawn placeholder in colours of the style's name.
 *
 * Which picture belongs to which style stands in the person's preferences, so that built-in and shared styles have one too.
 */
import { h, icon } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { fileOf } from "../pictures/actions.js";
import { attempt, dialog, toast } from "./ui.js";

const PICTURES_MAX = 200; // kept in the preferences

/** A hue for a name, always the same. @param {string} name */
const hueOf = (name) => [...name].reduce((sum, one) => (sum * 31 + (one.codePointAt(0) ?? 0)) % 360, 7);

/** @param {any} style @returns {HTMLElement} */
export function styleFace(style) {
  const id = store.get().prefs.style_pictures?.[style.id];
  const blank = () => { const face = h("span", { class: "style-face blank", "aria-hidden": "true" }, [...style.name][0]?.toUpperCase() ?? ""); face.style.setProperty("--hue", String(hueOf(style.id + style.name))); return face; };
  if (!id) return blank();
  const face = h("img", { class: "style-face", src: fileOf({ id }, 128), alt: "", width: 34, height: 34, loading: "lazy", onerror: () => face.replaceWith(blank()) });
  return face;
}

/** @param {any} style @param {boolean} on @param {(event: any) => void} onclick */
export const styleChip = (style, on, onclick) => h("button", { type: "button", class: "style-chip", "aria-pressed": String(on), title: style.prompt, onclick }, styleFace(style), h("span", { class: "style-name" }, style.name));

/** @param {string} style @param {string|null} asset null takes it away */
export async function setStylePicture(style, asset) {
  const { [style]: _gone, ...rest } = store.get().prefs.style_pictures ?? {};
  const pictures = Object.fromEntries(Object.entries(asset ? { ...rest, [style]: asset } : rest).slice(-PICTURES_MAX));
  store.dispatch({ type: "prefs", values: { style_pictures: pictures } });
  return attempt(() => api.put("/me/preferences", store.get().prefs));
}

/** From the viewer: of which style is this the example? @param {any} asset */
export async function chooseStyleFor(asset) {
  const styles = store.get().styles.length ? store.get().styles : await attempt(() => api.all("/styles")) ?? [];
  store.dispatch({ type: "set", values: { styles } });
  const now = store.get().prefs.style_pictures ?? {};
  const close = dialog(t("styles.picture"), h("div", { class: "stack" }, h("p", { class: "muted" }, t("styles.picture.text")), h("ul", { class: "style-list" }, styles.map((/** @type {any} */ one) => h("li", {}, h("button", { type: "button", class: "style-row", onclick: async () => { close(); const taken = now[one.id] === asset.id; await setStylePicture(one.id, taken ? null : asset.id); toast(t(taken ? "styles.picture.removed" : "styles.picture.set", { name: one.name })); } }, styleFace(one), h("span", { class: "grow" }, one.name), now[one.id] === asset.id && icon("check")))))));
}
