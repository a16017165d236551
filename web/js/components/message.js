/** message.js - one message of the conversation as an element. */
import { h, iconButton } from "../dom.js";
import { t } from "../i18n.js";
import { avatar, longPress } from "./ui.js";
import { grower, markdown } from "./markdown.js";

/**
 * A streaming one has `grow(message)`, which brings it up to date without building it anew. `rows`: which actions.
 * @param {any} message @param {{first: boolean, last: boolean, who: any}} place
 * @param {(action: string, message: any, anchor?: any) => void} act @param {string[]} [only]
 */
export function messageElement(message, place, act, only) {
  const user = message.role === "user";
  const streaming = message.status === "streaming";
  const text = h("div", { class: "text" });
  const waiting = streaming && h("div", { class: "muted small caret waiting", role: "status" }, t("message.waiting"));
  const thought = h("div", {}, message.reasoning);
  const reasoning = h("details", { class: "reasoning", hidden: !message.reasoning }, h("summary", {}, t("message.reasoning")), thought);
  const grow = streaming && grower(text);
  const draw = (/** @type {any} */ now) => {
    if (!grow) return;
    grow(now.content ?? "");
    waiting.hidden = !!(now.content || now.reasoning);
    reasoning.hidden = !now.reasoning;
    if (thought.textContent !== now.reasoning) thought.textContent = now.reasoning ?? "";
    if (now.content) (text.lastElementChild ?? text).classList.add("caret");
  };
  if (user) text.append(message.content);
  else if (streaming) draw(message);
  else text.append(markdown(message.content ?? ""));
  const at = (message.siblings ?? []).indexOf(message.id);
  const swipe = at >= 0 && message.siblings.length > 1 && h("span", { class: "swipe" },
    iconButton("left", t("message.previous"), () => act("previous", message), { class: "icon-button small", disabled: at === 0 }),
    h("span", {}, t("message.swipe", { at: at + 1, all: message.siblings.length })),
    iconButton("right", t("message.next"), () => act("next", message), { class: "icon-button small", disabled: at === message.siblings.length - 1 }));
  const rows = [["copy", "copy", t("common.copy")], ["edit", "edit", t("common.edit")], ["regenerate", "again", t("message.regenerate")],
    !user && ["continue", "continue", t("message.continue")], ["fork", "fork", t("message.fork")], ["picture", "image", t("message.picture")], !user && ["sent", "eye", t("message.sent")], ["delete", "trash", t("common.delete")]];
  const element = h("article", { class: `message ${message.role} ${message.status} ${place.first ? "first" : ""}`, dataset: { id: message.id }, "aria-label": place.who.name,
    ...longPress((element) => { for (const other of document.querySelectorAll(".message.touched")) if (other !== element) other.classList.remove("touched"); element.classList.toggle("touched"); }) },
  user ? null : place.first ? avatar(place.who) : h("span"),
  h("div", { class: "body" },
    place.first && h("div", { class: "who" }, place.who.name),
    reasoning, waiting, text,
    stateLine(message, act, only),
    h("div", { class: "foot" }, swipe, h("div", { class: "actions", role: "group", "aria-label": t("message.actions") },
      rows.map((row) => row && !streaming && (!only || only.includes(row[0])) && iconButton(row[1], row[2], (event) => act(row[0], message, event.currentTarget), { class: "icon-button small" }))))));
  if (streaming) /** @type {any} */ (element).grow = draw;
  return element;
}

/** @param {any} message @param {(action: string, message: any) => void} act @param {string[]} [only] */
function stateLine(message, act, only) {
  const button = (/** @type {string} */ action, /** @type {string} */ label) => (!only || only.includes(action)) && h("button", { class: "button small", onclick: () => act(action, message) }, label);
  if (message.status === "failed") return h("div", { class: "state bad" }, t("message.failed", { why: message.error?.detail ?? "" }), button("regenerate", t("message.retry")));
  if (message.status === "interrupted") return h("div", { class: "state" }, t("message.interrupted"), button("continue", t("message.continue")));
  if (message.status === "stopped") return h("div", { class: "state" }, t(message.finish_reason === "cost" ? "message.cost" : "message.stopped"), button("continue", t("message.continue")));
  return null;
}
