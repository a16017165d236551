/**
 * temporary.js - a chat of which nothing is stored: the messages live in this page only and are sent whole each time.
 *
 * The reply belongs to the request: leaving the page or Stop hangs up.
 */
import { h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { modelName } from "../format.js";
import { announce, attempt, avatar, copy, menu, toast } from "../components/ui.js";
import { messageElement } from "../components/message.js";
import { answering } from "../components/details.js";

const NEAR_PX = 60;
const ACTIONS = ["copy", "regenerate", "delete"];

/** @param {Element} root @param {string} [characterId] */
export function mountTemporary(root, characterId) {
  /** @type {any[]} */ let messages = [];
  /** @type {AbortController|null} */ let running = null;
  /** @type {Map<string, {message: any, key: string, element: any}>} */ const shown = new Map();
  let serial = 0, frame = 0, follow = true, closed = false, chosen = characterId ?? null, persona = /** @type {string|null} */ (null), model = /** @type {string|null} */ (null);
  const column = h("div", { class: "column" });
  const scroller = h("div", { class: "messages", role: "log", "aria-live": "off", "aria-label": t("message.log"), tabindex: 0 }, column);
  const head = h("header", { class: "chat-head" });
  const input = h("textarea", { rows: 1, "aria-label": t("prompt.label"), id: "prompt" });
  const sendButton = h("button", { type: "submit", class: "send" });
  const chips = h("div", { class: "row" });
  const form = h("form", { class: "prompt", onsubmit: submit }, input, h("div", { class: "prompt-row" }, chips, h("span", { class: "space" }), sendButton));
  const notice = h("p", { class: "temporary-notice", role: "note" }, icon("ghost"), t("temporary.text"));
  replace(root, h("div", { class: "temporary" }, head, notice, scroller, h("div", { class: "prompt-area" }, h("div", { class: "column" }, form))));

  const who = () => (store.get().characters ?? []).find((one) => one.id === chosen) ?? null;
  const make = (/** @type {string} */ role, /** @type {string} */ content, status = "complete") => ({ id: `tmp_${++serial}`, role, content, reasoning: "", status, error: null, siblings: [], model: null });

  function drawHead() {
    document.title = `${t("temporary.title")} · ${t("app.name")}`;
    replace(head, iconButton("menu", t("nav.list"), () => document.querySelector(".shell")?.classList.add("list-open"), { class: "icon-button only-narrow" }),
      h("span", { class: "avatar small ghost" }, icon("ghost")), h("div", { class: "title" }, h("h1", {}, t("temporary.title"))),
      messages.length > 0 && h("button", { type: "button", class: "button quiet small", onclick: clear }, t("temporary.clear")));
    const { characters, personas, models } = store.get();
    const one = who(), me = personas.find((it) => it.id === persona), answers = model ? (models ?? []).find((it) => it.id === model) : answering({ character: one });
    const chip = (/** @type {string} */ label, /** @type {string} */ text, /** @type {any[]} */ items, /** @type {any} */ now, /** @type {(id: any) => void} */ set) => h("button", { type: "button", class: "chip", "aria-label": `${label}: ${text}`, onclick: (/** @type {any} */ event) => menu(event.currentTarget, items.map((it) => ({ label: it.name, checked: it.id === now, run: () => { set(it.id); drawHead(); drawEmpty(); } }))) }, text);
    replace(chips, chip(t("temporary.with"), one?.name ?? t("temporary.plain"), [{ id: null, name: t("temporary.plain") }, ...(characters ?? []).slice(0, 100)], chosen, (id) => { chosen = id; }),
      personas.length > 0 && chip(t("prompt.persona"), me?.name ?? t("prompt.persona"), [{ id: null, name: t("common.none") }, ...personas], persona, (id) => { persona = id; }),
      chip(t("prompt.model"), modelName(answers?.id) || t("prompt.model"), [{ id: null, name: t("prompt.model.default") }, ...(models ?? [])], model, (id) => { model = id; }));
    input.placeholder = t("prompt.hint", { name: one?.name ?? t("app.name") });
  }
  function drawButton() {
    const key = running ? "stop" : "send";
    replace(sendButton, icon(key));
    sendButton.setAttribute("aria-label", t(`prompt.${key}`));
    sendButton.disabled = !running && !input.value.trim();
  }
  function drawEmpty() {
    if (!messages.length) replace(column, h("div", { class: "empty" }, h("span", { class: "avatar large ghost" }, icon("ghost")), h("h2", {}, t("temporary.empty")), h("p", {}, t("temporary.text"))));
  }
  function draw() {
    if (closed) return;
    if (messages.length) column.querySelector(".empty")?.remove();
    const keep = new Set(messages.map((one) => one.id));
    for (const [key, entry] of shown) if (!keep.has(key)) { entry.element.remove(); shown.delete(key); }
    messages.forEach((message, at) => {
      const place = { first: messages[at - 1]?.role !== message.role, last: at === messages.length - 1, who: message.role === "user" ? { name: t("message.you") } : who() ?? { name: modelName(message.model) || t("app.name") } };
      const key = `${place.first}${place.last}${place.who.name}`;
      /** @type {any} */ const entry = shown.get(message.id);
      if (entry?.message === message && entry.key === key) return;
      if (entry && entry.key === key && message.status === "streaming" && entry.element.grow) { entry.element.grow(message); entry.message = message; return; }
      const fresh = messageElement(message, place, act, ACTIONS);
      if (entry) entry.element.replaceWith(fresh); else column.append(fresh);
      shown.set(message.id, { message, key, element: fresh });
    });
    drawEmpty();
    scroller.setAttribute("aria-busy", String(!!running));
    if (follow) scroller.scrollTop = scroller.scrollHeight;
    drawButton();
  }
  const later = () => { if (!frame) frame = requestAnimationFrame(() => { frame = 0; draw(); }); };

  /** @param {any} values */
  function last(values) { messages = [...messages.slice(0, -1), { ...messages[messages.length - 1], ...values }]; later(); }

  async function reply() {
    const control = running = new AbortController();
    const turns = messages.filter((one) => one.content).map(({ role, content }) => ({ role, content }));
    messages = [...messages, make("assistant", "", "streaming")];
    follow = true;
    drawHead();
    draw();
    let ended = false;
    try {
      await api.stream("/temporary/replies", { messages: turns, ...(chosen ? { character_id: chosen } : {}), ...(persona ? { persona_id: persona } : {}), ...(model ? { model } : {}) }, (event, data) => {
        if (control !== running) return;
        const now = messages[messages.length - 1];
        if (event === "delta") last(data.channel === "reasoning" ? { reasoning: now.reasoning + data.text } : { content: now.content + data.text });
        else if (event === "done") { ended = true; last({ status: "complete" }); announce(t("message.finished", { name: who()?.name ?? t("app.name"), text: now.content })); }
        else if (event === "error") { ended = true; last({ status: "failed", error: data }); }
      }, control.signal);
      if (!ended && control === running) last({ status: "failed", error: { slug: "interrupted", detail: t("temporary.cut") } });
    } catch (error) {
      if (control === running) last(control.signal.aborted ? { status: "stopped" } : { status: "failed", error: { slug: "failed", detail: /** @type {Error} */ (error).message } });
    }
    if (control === running) { running = null; draw(); }
  }

  /** @param {Event} [event] */
  function submit(event) {
    event?.preventDefault();
    if (running) return stop();
    const content = input.value.trim();
    if (!content) return;
    input.value = "";
    messages = [...messages, make("user", content)];
    reply();
  }
  function stop() { const busy = !!running; running?.abort(); return busy; }
  function clear() {
    const kept = messages;
    stop();
    running = null;
    messages = [];
    drawHead();
    draw();
    input.focus();
    toast(t("temporary.cleared"), { undo: () => { if (closed) return; messages = kept.map((one) => one.status === "streaming" ? { ...one, status: "stopped" } : one); shown.clear(); replace(column); drawHead(); draw(); } });
  }
  /** @param {string} action @param {any} message */
  function act(action, message) {
    const at = messages.findIndex((one) => one.id === message.id);
    if (action === "copy") copy(message.content);
    else if (running || at < 0) return;
    else if (action === "delete") { messages = messages.slice(0, at); drawHead(); draw(); }
    else attempt(async () => { messages = messages.slice(0, message.role === "user" ? at + 1 : at); await reply(); });
  }

  scroller.addEventListener("scroll", () => { follow = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX; }, { passive: true });
  input.addEventListener("input", drawButton);
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    if (store.get().prefs.send_key === "mod" ? event.ctrlKey || event.metaKey : !event.shiftKey) { event.preventDefault(); if (!running) submit(); }
  });
  drawHead();
  draw();
  if (matchMedia("(hover: hover)").matches) input.focus();
  const off = store.subscribe((state, old) => { if (state.characters !== old.characters || state.personas !== old.personas || state.models !== old.models) drawHead(); });
  return { actions: { stop, focus_prompt: () => { input.focus(); return true; } }, dispose: () => { closed = true; off(); running?.abort(); cancelAnimationFrame(frame); } };
}
