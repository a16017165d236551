/** pieces.js - small parts that the pages about workflows, wildcards and webhooks share. */
import { h, replace } from "../dom.js";
import { t } from "../i18n.js";
import { store } from "../state.js";
import { attempt, dialog } from "./ui.js";

/** A button that says what went wrong. @param {any} label @param {(event: any) => any} run @param {string} [kind] @param {Record<string, any>} [props] */
export const button = (label, run, kind = "", props = {}) => h("button", { type: "button", class: `button small ${kind}`, onclick: (/** @type {any} */ event) => attempt(async () => run(event)), ...props }, label);
/** @param {() => Promise<any>} run @returns {(event: Event) => void} */
export const submit = (run) => (event) => { event.preventDefault(); attempt(run); };

/** What cannot be undone is asked with the thing's name in the button. @param {string} title @param {string} text @param {string} label @param {() => Promise<any>} run */
export function sure(title, text, label, run) {
  const close = dialog(title, h("div", { class: "stack" }, h("p", {}, text), h("div", { class: "row" },
    h("button", { class: "button danger", onclick: () => { close(); attempt(run); } }, label), h("button", { class: "button quiet", onclick: () => close() }, t("common.cancel")))));
}

/** Nothing here yet: what this is, and what to do. @param {string} title @param {string} text @param {...any} action */
export const emptyState = (title, text, ...action) => h("div", { class: "empty" }, h("h3", {}, title), h("p", {}, text), h("div", { class: "row center" }, action));

/** While something is fetched: nothing for 200 ms, then a quiet line. @param {Element} box @returns {() => void} done */
export function loading(box) {
  const timer = setTimeout(() => replace(box, h("p", { class: "muted", role: "status" }, t("common.loading"))), 200);
  return () => clearTimeout(timer);
}

/** Run when one of these events came. @param {string[]} events @param {(change: any) => void} run @returns {() => void} stop */
export const follow = (events, run) => store.subscribe((state, old) => { if (state.recipeChange !== old.recipeChange && events.includes(state.recipeChange?.type)) run(state.recipeChange); });

/** Take dropped files, anywhere on `box`. @param {HTMLElement} box @param {(files: File[]) => void} take @returns {() => void} stop */
export function dropZone(box, take) {
  const on = (/** @type {DragEvent} */ event) => { if (event.dataTransfer?.types.includes("Files")) { event.preventDefault(); box.classList.add("drop"); } };
  const off = (/** @type {DragEvent} */ event) => { if (!box.contains(/** @type {Node|null} */ (event.relatedTarget))) box.classList.remove("drop"); };
  const drop = (/** @type {DragEvent} */ event) => { const files = [...(event.dataTransfer?.files ?? [])]; box.classList.remove("drop"); if (files.length) { event.preventDefault(); take(files); } };
  box.addEventListener("dragover", on); box.addEventListener("dragleave", off); box.addEventListener("drop", drop);
  return () => { box.removeEventListener("dragover", on); box.removeEventListener("dragleave", off); box.removeEventListener("drop", drop); box.classList.remove("drop"); };
}
