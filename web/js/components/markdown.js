/** markdown.js - message text to a sanitised fragment; no raw HTML survives but what markdown itself makes. */
import { marked } from "../../vendor/marked.esm.js";
import DOMPurify from "../../vendor/purify.es.mjs";
import { h, iconButton } from "../dom.js";
import { t } from "../i18n.js";
import { toast } from "./ui.js";

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

/** @param {string} text */
export async function copy(text) {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else {
    const area = h("textarea", { value: text, class: "visually-hidden" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(t("common.copied"));
}
