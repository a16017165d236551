/** markdown.js - message text to a sanitised fragment; no raw HTML survives but what markdown itself makes. */
import { marked } from "../../vendor/marked.esm.js";
import DOMPurify from "../../vendor/purify.es.mjs";
import { h, iconButton } from "../dom.js";
import { t } from "../i18n.js";
import { copy } from "./ui.js";

const TAGS = ["p", "br", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "table", "thead", "tbody", "tr", "th", "td", "a"];

/** @param {string} text @returns {DocumentFragment} */
export function markdown(text) {
  const html = marked.parse(text, { async: false, breaks: true, gfm: true });
  const fragment = /** @type {any} */ (DOMPurify).sanitize(html, { RETURN_DOM_FRAGMENT: true, ALLOWED_TAGS: TAGS, ALLOWED_ATTR: ["href", "start", "align"] });
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  for (const pre of fragment.querySelectorAll("pre")) {
    const box = h("div", { class: "code" });
    pre.replaceWith(box);
    pre.tabIndex = 0;
    box.append(pre, iconButton("copy", t("message.code"), () => copy(pre.textContent ?? ""), { class: "icon-button small" }));
  }
  for (const table of fragment.querySelectorAll("table")) {
    const box = h("div", { class: "table", tabindex: 0 });
    table.replaceWith(box);
    box.append(table);
  }
  return fragment;
}

/**
 * Grows the text of a reply while it streams: finished blocks stay as they are, only the last one is rendered again.
 * @param {Element} box @returns {(text: string) => void}
 */
export function grower(box) {
  let done = 0, fixed = 0; // characters rendered for good, and the nodes they made
  return (text) => {
    const tokens = marked.lexer(text.slice(done).replaceAll("\r", " "), { gfm: true, breaks: true });
    let last = tokens.length - 1;
    while (last > 0 && tokens[last].type === "space") last--;
    const raw = (/** @type {any[]} */ some) => some.map((one) => one.raw).join("");
    const stable = raw(tokens.slice(0, Math.max(0, last)));
    while (box.childNodes.length > fixed) box.lastChild?.remove();
    if (stable) { box.append(markdown(stable)); done += stable.length; fixed = box.childNodes.length; }
    if (last >= 0) box.append(markdown(raw(tokens.slice(last))));
  };
}
