/** ui.js - what every view uses: toast, menu, dialog, avatar, error. */
import { h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import { initials } from "../format.js";

const UNDO_MS = 10000;
const TOAST_MS = 4000;

/** What a report needs. @param {any} error */
const detailsOf = (error) => JSON.stringify({ status: error.status, slug: error.slug, field: error.field ?? undefined, request_id: error.request_id, detail: error.message, at: new Date().toISOString() });

/** @param {string} text */
async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = h("textarea", { value: text, class: "visually-hidden" });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** @param {string} text */
export async function copy(text) { await toClipboard(text); toast(t("common.copied")); }

/**
 * Toasts stand above everything: a popover in the top layer, inside the topmost open dialog (what is outside of a modal
 * dialog cannot be pressed).
 */
function placeToasts() {
  const box = document.getElementById("toasts");
  if (!box) return;
  const host = [...document.querySelectorAll("dialog:modal")].at(-1) ?? document.body;
  if (box.parentElement !== host) host.append(box);
  if (!box.showPopover) return; // an old browser: it stands where it is
  box.popover = "manual";
  if (box.matches(":popover-open")) box.hidePopover(); // what is shown last is on top
  if (box.childElementCount) box.showPopover();
}

/** @param {string} text @param {{undo?: () => void, bad?: boolean, error?: any}} [options] */
export function toast(text, options = {}) {
  const box = h("div", { class: options.bad ? "toast bad" : "toast", role: options.bad ? "alert" : "status" }, h("span", { class: "grow" }, text));
  const timer = setTimeout(() => box.remove(), options.undo || options.bad ? UNDO_MS : TOAST_MS);
  const end = () => { clearTimeout(timer); box.remove(); };
  if (options.undo) box.append(h("button", { type: "button", onclick: () => { end(); options.undo?.(); } }, t("common.undo")));
  const own = ["user", "group", "role", "everyone"].includes(options.error?.quota?.scope); // others are not theirs to ask for
  if (own) box.append(h("a", { href: "/settings/usage", onclick: end }, t("usage.ask")));
  else if (options.error?.status) box.append(h("button", { type: "button", onclick: () => copy(detailsOf(options.error)) }, t("error.copy")));
  if (!options.undo) box.append(h("button", { type: "button", "aria-label": t("common.close"), onclick: end }, icon("close")));
  document.getElementById("toasts")?.append(box);
  placeToasts();
}

/** Run, and say what went wrong. @template T @param {() => Promise<T>} fn @returns {Promise<T|undefined>} */
export async function attempt(fn) {
  try { return await fn(); } catch (error) {
    toast(/** @type {Error} */ (error).message, { bad: true, error });
    return undefined;
  }
}

const PRESS_MS = 450;
/** Listeners of a long press by touch; moving or lifting the finger before ends it. @param {(element: any) => void} run */
export function longPress(run) {
  /** @type {any} */ let timer = 0;
  const end = () => clearTimeout(timer);
  return {
    ontouchstart: (/** @type {any} */ event) => { const element = event.currentTarget; end(); timer = setTimeout(() => { navigator.vibrate?.(8); run(element); }, PRESS_MS); },
    ontouchend: end, ontouchmove: end, ontouchcancel: end,
  };
}

/** Say it to a screen reader. @param {string} text */
export function announce(text) { const live = document.getElementById("live"); if (live) live.textContent = text; }

/** @param {any} who @param {string} [size] */
export function avatar(who, size = "") {
  const name = who?.name ?? t("app.name");
  if (who?.avatar?.url) {
    const width = size === "large" || size === "cover" || size === "portrait" ? 512 : 128;
    return h("img", { class: `avatar ${size}`, src: `${who.avatar.url}?width=${width}`, alt: "", loading: "lazy", width, height: width });
  }
  return h("span", { class: `avatar ${size}`, "aria-hidden": "true" }, initials(name));
}

/** @typedef {{label: string, icon?: string, danger?: boolean, checked?: boolean, run: () => void}|null} MenuRow */
/** @param {Element} anchor @param {MenuRow[]} rows null is a line between groups */
export function menu(anchor, rows) {
  document.querySelector(".menu")?.remove();
  const close = (focus = true) => {
    box.remove();
    anchor.removeAttribute("aria-expanded");
    removeEventListener("pointerdown", outside, true);
    if (focus) /** @type {HTMLElement} */ (anchor).focus();
  };
  const outside = (/** @type {Event} */ event) => { if (!box.contains(event.target)) close(false); };
  const box = h("div", { class: "menu", role: "menu", onkeydown: (/** @type {KeyboardEvent} */ event) => {
    const items = [...box.querySelectorAll("button")];
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step) { event.preventDefault(); items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus(); }
    if (event.key === "Escape" || event.key === "Tab") { event.preventDefault(); event.stopPropagation(); close(); }
  } }, rows.map((row) => row
    ? h("button", { type: "button", role: row.checked === undefined ? "menuitem" : "menuitemradio", "aria-checked": row.checked === undefined ? null : String(row.checked), class: row.danger ? "danger" : null, onclick: () => { close(); row.run(); } }, row.icon && icon(row.icon), row.label, row.checked ? " ✓" : null)
    : h("hr")));
  document.body.append(box);
  anchor.setAttribute("aria-expanded", "true");
  const at = anchor.getBoundingClientRect(), size = box.getBoundingClientRect();
  box.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
  box.style.top = `${at.bottom + size.height + 12 > innerHeight ? Math.max(8, at.top - size.height - 4) : at.bottom + 4}px`;
  addEventListener("pointerdown", outside, true);
  box.querySelector("button")?.focus();
}

/** @param {string} title @param {any} body @param {string} [kind] @returns {() => void} close */
export function dialog(title, body, kind = "") {
  const back = /** @type {HTMLElement|null} */ (document.activeElement);
  const close = () => box.close();
  const box = h("dialog", { class: kind, "aria-label": title, onclose: () => { placeToasts(); box.remove(); if (document.activeElement === document.body) back?.focus?.(); }, onclick: (/** @type {Event} */ event) => { if (event.target === box) close(); } },
    h("header", {}, h("h2", {}, title), iconButton("close", t("common.close"), close)), h("div", { class: "dialog-body" }, body));
  document.body.append(box);
  box.showModal();
  placeToasts();
  return close;
}

/** Ask for one line of text. @param {string} title @param {string} value @param {(text: string) => void} done */
export function ask(title, value, done) {
  const input = h("input", { class: "input", value, "aria-label": title, required: true, maxlength: 200 });
  const close = dialog(title, h("form", { class: "stack", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); close(); done(input.value.trim()); } }, input, h("button", { class: "button primary" }, t("common.save"))));
  input.select();
}

/** The error state of a view. @param {Element} root @param {any} error @param {() => void} again */
export function failed(root, error, again) {
  replace(root, h("div", { class: "empty", role: "alert" }, h("h2", {}, t("error.title")), h("p", {}, error.message),
    h("div", { class: "row" }, h("button", { class: "button", onclick: again }, t("error.retry")),
      h("button", { class: "button quiet", onclick: () => copy(detailsOf(error)) }, t("error.copy")))));
}
