/** message.js - one message of the conversation as an element. */
import { h, iconButton } from "../dom.js";
import { t } from "../i18n.js";
import { avatar } from "./ui.js";
import { markdown } from "./markdown.js";

/**
 * @param {any} message @param {{first: boolean, last: boolean, who: any}} place
 * @param {(action: string, message: any) => void} act
 */
export function messageElement(message, place, act) {
  const user = message.role === "user";
  const streaming = message.status === "streaming";
  const text = h("div", { class: "text" });
  if (user) text.append(message.content);
  else text.append(markdown(message.content ?? ""));
  if (streaming) (text.lastElementChild ?? text).classList.add("caret");
  const at = (message.siblings ?? []).indexOf(message.id);
  const swipe = at >= 0 && message.siblings.length > 1 && h("span", { class: "swipe" },
    iconButton("left", t("message.previous"), () => act("previous", message), { class: "icon-button small", disabled: at === 0 }),
    h("span", {}, t("message.swipe", { at: at + 1, all: message.siblings.length })),
    iconButton("right", t("message.next"), () => act("next", message), { class: "icon-button small", disabled: at === message.siblings.length - 1 }));
  const rows = [["copy", "copy", t("common.copy")], ["edit", "edit", t("common.edit")], ["regenerate", "again", t("message.regenerate")],
    !user && ["continue", "continue", t("message.continue")], ["fork", "fork", t("message.fork")], !user && ["sent", "eye", t("message.sent")], ["delete", "trash", t("common.delete")]];
  return h("article", { class: `message ${message.role} ${message.status} ${place.first ? "first" : ""}`, dataset: { id: message.id }, "aria-label": place.who.name,
    ontouchstart: (/** @type {any} */ event) => event.currentTarget.classList.add("touched") },
  user ? null : place.first ? avatar(place.who) : h("span"),
  h("div", { class: "body" },
    place.first && h("div", { class: "who" }, place.who.name),
    message.reasoning && h("details", { class: "reasoning" }, h("summary", {}, t("message.reasoning")), h("div", {}, message.reasoning)),
    streaming && !message.content && !message.reasoning ? h("div", { class: "muted small caret", role: "status" }, t("message.waiting")) : text,
    stateLine(message, act),
    h("div", { class: "foot" }, swipe, h("div", { class: "actions", role: "group", "aria-label": t("message.actions") },
      rows.map((row) => row && !streaming && iconButton(row[1], row[2], () => act(row[0], message), { class: "icon-button small" }))))));
}

/** @param {any} message @param {(action: string, message: any) => void} act */
function stateLine(message, act) {
  const button = (/** @type {string} */ action, /** @type {string} */ label) => h("button", { class: "button small", onclick: () => act(action, message) }, label);
  if (message.status === "failed") return h("div", { class: "state bad" }, t("message.failed", { why: message.error?.detail ?? "" }), button("regenerate", t("message.retry")));
  if (message.status === "interrupted") return h("div", { class: "state" }, t("message.interrupted"), button("continue", t("message.continue")));
  if (message.status === "stopped") return h("div", { class: "state" }, t("message.stopped"), button("continue", t("message.continue")));
  return null;
}
