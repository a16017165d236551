/**
 * dom.js - build elements without markup strings: text only ever enters as text.
 *
 * `h("button", {class: "primary", onclick}, "Save")`. Properties named `on…` are listeners, `dataset` is copied,
 * `true` makes an empty attribute, `null`, `undefined` and `false` leave it out.
 */

/** @typedef {Node|string|number|null|undefined|false|Array<any>} Child */

/**
 * @param {Element|DocumentFragment} parent
 * @param {Child} child
 */
function append(parent, child) {
  if (child === null || child === undefined || child === false) return;
  if (Array.isArray(child)) for (const one of child) append(parent, one);
  else parent.append(child instanceof Node ? child : String(child));
}

/**
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...Child} children
 * @returns {any}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value" && "value" in element) /** @type {any} */ (element).value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/**
 * A symbol of the set in index.html. Decorative; give the control around it a label.
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * A button that shows a symbol and is named by its label.
 * @param {string} name @param {string} label @param {(event: any) => void} onclick @param {Record<string, any>} [props]
 */
export function iconButton(name, label, onclick, props = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props }, icon(name));
}

/** @param {Element} parent @param {...Child} children */
export function replace(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/** A label with its control and a hint. @param {string} label @param {any} control @param {string} [hint] */
export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", { class: "field-label" }, label), control,
    hint && h("span", { class: "hint" }, hint));
}

/** @param {string} selector @param {ParentNode} [root] @returns {any} */
export const find = (selector, root = document) => root.querySelector(selector);

/** The last call within `delay_ms` wins. @param {(...args: any[]) => void} fn @param {number} delay_ms */
export function debounce(fn, delay_ms) {
  /** @type {any} */ let timer;
  return (/** @type {any[]} */ ...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => fn(...args), delay_ms);
  };
}

/** @type {Record<string, Promise<void>>} */ const sheets = {};
/** Load css/<name>.css once; resolves when it applies. @param {string} name */
export function stylesheet(name) {
  return sheets[name] ??= new Promise((done, fail) => document.head.append(h("link", { rel: "stylesheet", href: new URL(`../css/${name}.css`, import.meta.url).href, onload: () => done(), onerror: () => { delete sheets[name]; fail(new Error(name)); } })));
}
