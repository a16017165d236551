/**
 * chat.js - the conversation: messages, prompt, streaming. The list beside it is components/conversations.js.
 *
 * At most WINDOW messages are in the page; scrolling up fetches and shows older ones and keeps what is read in place.
 */
import { h, icon, iconButton, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { go } from "../router.js";
import { count, modelName } from "../format.js";
import { announce, attempt, avatar, copy, dialog, failed, menu, toast } from "../components/ui.js";
import { messageElement } from "../components/message.js";
import { conversationMenu } from "../components/conversations.js";
import { answering, mountDetails } from "../components/details.js";
import { characterCard } from "./auth.js";

const WINDOW = 200;
const STEP = 50;
const NEAR_PX = 60;

/** @param {string} id */
export async function loadThread(id) {
  const page = await api.get(`/conversations/${id}/messages?limit=${STEP}`);
  store.dispatch({ type: "thread.loaded", id, items: page.items, more: page.more });
}

/** @param {any|null} character */
export async function startConversation(character) {
  const made = await attempt(() => api.post("/conversations", character ? { character_id: character.id } : {}));
  if (!made) return;
  store.dispatch({ type: "conversation.created", conversation: made });
  go(`/c/${made.id}`);
}

/** The page without a conversation. @param {Element} root */
export function mountStart(root) {
  const draw = () => {
    const characters = store.get().characters ?? [];
    replace(root, h("div", { class: "page" }, h("div", { class: "page-inner" }, h("div", { class: "page-head start-head" }, iconButton("menu", t("nav.list"), () => document.querySelector(".shell")?.classList.add("list-open"), { class: "icon-button only-narrow" }), h("div", { class: "grow" }, h("h1", {}, t("chat.start.title")), h("p", { class: "muted" }, t("chat.start.text"))),
      h("a", { class: "button quiet", href: "/temporary" }, icon("ghost"), t("temporary.title")), h("button", { class: "button", onclick: () => startConversation(null) }, icon("chat"), t("chat.plain"))),
    h("div", { class: "grid" }, characters.slice(0, 24).map((one) => characterCard(one, () => startConversation(one)))))));
  };
  draw();
  return store.subscribe((state, old) => { if (state.characters !== old.characters) draw(); });
}

const WIDE = matchMedia("(min-width: 1200px)");

/** @param {Element} root @param {string} id @param {Element} aside where the details go */
export function mountChat(root, id, aside) {
  /** @type {Map<string, {message: any, key: string, element: any}>} */ const shown = new Map();
  /** @type {any} */ let conversation = null;
  let end = -1; // index after the last message in the page; -1: the end of the path
  let size = STEP;
  let follow = true, loading = false, frame = 0, closed = false;
  /** @type {any} */ let details = null;
  /** @type {any} */ let characterSampling = null;
  const column = h("div", { class: "column" });
  const scroller = h("div", { class: "messages", role: "log", "aria-live": "off", "aria-label": t("message.log"), tabindex: 0 }, h("p", { class: "column hint ai-note" }, t("chat.ai")), column);
  const head = h("header", { class: "chat-head" });
  const input = h("textarea", { rows: 1, "aria-label": t("prompt.label"), id: "prompt" });
  const sendButton = h("button", { type: "submit", class: "send" });
  const jump = h("button", { class: "button small jump", hidden: true, onclick: () => { end = -1; follow = true; draw(); } }, icon("down"), t("prompt.jump"));
  const gauge = h("div", { class: "gauge" });
  const chips = h("div", { class: "row" });
  const form = h("form", { class: "prompt", onsubmit: submit }, input, h("div", { class: "prompt-row" }, chips, h("span", { class: "space" }), sendButton));
  replace(root, head, scroller, h("div", { class: "prompt-area" }, jump, h("div", { class: "column" }, gauge, form)));

  const thread = () => store.get().threads[id];
  const messages = () => { const it = thread(); return it ? it.ids.map((one) => it.byId[one]) : []; };
  const streaming = () => messages().findLast((one) => one.status === "streaming");
  const whoIs = (/** @type {any} */ message) => message.role === "user" ? { name: t("message.you") } : conversation?.character ?? { name: modelName(message.model) || t("app.name") };

  /** What the next reply will probably cost; asked for once after each answer, and only where the model has a price. */
  /** @type {any} */ let estimate = null;
  let estimated = "";
  function cost(/** @type {any} */ model, /** @type {any} */ last, /** @type {any} */ busy) {
    if (busy || !model || !(model.input_micro_usd || model.output_micro_usd)) return null;
    const key = `${model.id} ${last?.id} ${last?.status}`;
    if (key !== estimated) {
      estimated = key;
      api.get(`/conversations/${id}/estimate`).then((one) => { estimate = one; if (!closed) drawGauge(); }, () => {});
    }
    if (!estimate?.cost_micro_usd) return null;
    const typed = input.value.length / 3.6 * estimate.input_micro_usd / 1e6, usd = (estimate.cost_micro_usd + typed) / 1e6;
    return h("span", { title: t("prices.about.title") }, t("prices.about", { cost: new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", maximumSignificantDigits: 2 }).format(usd) }));
  }
  function drawHead() {
    if (!conversation) return;
    document.title = `${conversation.title || conversation.character?.name || t("chat.untitled")} · ${t("app.name")}`;
    replace(head, iconButton("menu", t("nav.list"), () => document.querySelector(".shell")?.classList.add("list-open"), { class: "icon-button only-narrow" }), avatar(conversation.character, "small"),
      h("div", { class: "title" }, h("h1", {}, conversation.title || conversation.character?.name || t("chat.untitled"))),
      iconButton("panel", t("details.open"), toggleDetails, { "aria-pressed": String(!!details), class: "icon-button details-toggle" }),
      iconButton("more", t("chat.options"), (event) => conversationMenu(event.currentTarget, conversation)));
    input.placeholder = t("prompt.hint", { name: conversation.character?.name ?? t("app.name") });
    drawChips();
  }

  /** @param {boolean} [remember] */
  function toggleDetails(remember = true) {
    const shell = document.querySelector(".shell");
    if (details) {
      const inside = aside.contains(document.activeElement);
      details.dispose();
      details = null;
      shell?.classList.remove("details-open");
      if (inside) /** @type {any} */ (head.querySelector(".details-toggle"))?.focus();
    } else if (conversation) {
      details = mountDetails(aside, { conversation: () => conversation, change, sampling: () => characterSampling, close: () => toggleDetails(),
        sent: () => { const last = messages().findLast((one) => one.role === "assistant" && one.prompt_tokens); if (last) act("sent", last); else toast(t("details.sent.none")); } });
      shell?.classList.add("details-open");
      if (conversation.character && !characterSampling) api.get(`/characters/${conversation.character.id}`).then((it) => { characterSampling = it.sampling ?? {}; details?.draw(true); }).catch(() => {});
      if (!WIDE.matches) /** @type {any} */ (aside.querySelector("button"))?.focus();
    }
    head.querySelector(".details-toggle")?.setAttribute("aria-pressed", String(!!details));
    if (remember && WIDE.matches) localStorage.setItem("details", details ? "open" : "closed");
    return true;
  }

  function drawChips() {
    const { personas, models } = store.get(), answers = answering(conversation);
    const persona = personas.find((one) => one.id === conversation?.persona_id);
    replace(chips, personas.length > 0 && h("button", { type: "button", class: "chip", "aria-label": t("prompt.persona"), onclick: (/** @type {any} */ event) => menu(event.currentTarget, [{ id: null, name: t("common.none") }, ...personas].map((one) => ({ label: one.name, checked: one.id === (conversation.persona_id ?? null), run: () => change({ persona_id: one.id }) }))) }, persona?.name ?? t("prompt.persona")),
      h("button", { type: "button", class: "chip", "aria-label": `${t("prompt.model")}: ${modelName(answers?.id) || t("common.none")}`, onclick: (/** @type {any} */ event) => menu(event.currentTarget, [{ id: null, name: t("prompt.model.default"), provider_name: "" }, ...(models ?? [])].map((one) => ({ label: one.provider_name ? `${one.name} · ${one.provider_name}` : one.name, checked: one.id === (conversation.model ?? null), run: () => change({ model: one.id }) }))) }, modelName(answers?.id) || t("prompt.model")));
  }

  function drawGauge() {
    const state = store.get(), progress = state.progress[id], busy = streaming();
    const last = messages().findLast((one) => one.role === "assistant");
    const used = progress?.prompt_tokens ?? (last?.prompt_tokens ? last.prompt_tokens + last.completion_tokens : 0);
    const context = progress?.context_size ?? answering(conversation)?.context_size;
    const none = state.models && !state.models.some((one) => one.ready);
    const speed = busy ? progress?.tokens_per_second : null;
    replace(gauge, none && h("span", { class: "light-line", role: "status" }, state.engine?.state === "starting" ? t("engine.starting") : [t("engine.none"), " ", h("a", { href: "/settings/models" }, t("engine.none.do"))]),
      speed ? h("span", {}, t("prompt.speed", { speed: Math.round(speed) })) : null, used && context ? h("span", {}, t("prompt.context", { used: count(used), size: count(context) })) : null, cost(answering(conversation), last, busy));
    const key = busy ? "stop" : "send";
    if (sendButton.dataset.key !== key) { replace(sendButton, icon(key)); sendButton.dataset.key = key; sendButton.setAttribute("aria-label", t(`prompt.${key}`)); }
    sendButton.disabled = !busy && !input.value.trim();
  }

  function draw() {
    if (closed) return;
    const list = messages();
    const stop = end < 0 ? list.length : Math.min(end, list.length);
    const start = Math.max(0, stop - size);
    const window = list.slice(start, stop);
    const keep = new Set(window.map((one) => one.id));
    for (const [key, entry] of shown) if (!keep.has(key)) { entry.element.remove(); shown.delete(key); }
    /** @type {any} */ let before = null;
    window.forEach((message, at) => {
      const previous = list[start + at - 1];
      const place = { first: !previous || previous.role !== message.role, last: start + at === list.length - 1, who: whoIs(message) };
      const key = `${place.first}${place.last}${place.who.name}${place.who.avatar?.id ?? ""}`;
      const entry = shown.get(message.id);
      let element = entry?.element;
      if (!entry || entry.message !== message || entry.key !== key) {
        if (entry && entry.key === key && message.status === "streaming" && element.grow) element.grow(message);
        else if (!element?.dataset.editing) {
          const fresh = messageElement(message, place, act);
          if (element?.querySelector("details")?.open) fresh.querySelector("details")?.setAttribute("open", "");
          element?.replaceWith(fresh);
          element = fresh;
        }
        shown.set(message.id, { message, key, element });
      }
      if (element.previousElementSibling !== before || element.parentNode !== column) before ? before.after(element) : column.prepend(element);
      before = element;
    });
    scroller.setAttribute("aria-busy", String(!!streaming()));
    drawPictures();
    if (follow && end < 0) scroller.scrollTop = scroller.scrollHeight;
    jump.hidden = follow && end < 0;
    drawGauge();
  }
  const later = () => { if (!frame) frame = requestAnimationFrame(() => { frame = 0; draw(); }); };

  /** Pictures come with their code and style only where there are some. @type {Promise<any>|null} */ let pictures = null;
  const withPictures = () => pictures ??= Promise.all([import("../components/message-pictures.js"), stylesheet("pictures")]).then(([module]) => module).catch((error) => { pictures = null; throw error; });
  function drawPictures() {
    const jobs = Object.values(store.get().jobs);
    const some = [...shown.values()].filter(({ message, element }) => message.assets?.length || jobs.some((job) => job.message_id === message.id) || element.querySelector(".message-pictures"));
    if (some.length) withPictures().then((module) => { if (closed) return; for (const { message } of some) { const entry = shown.get(message.id); if (entry && !entry.element.dataset.editing) module.drawPictures(entry.element, entry.message); } if (follow && end < 0) scroller.scrollTop = scroller.scrollHeight; }).catch(() => {});
  }

  /** Change what is in the page while the message being read stays where it is. @param {() => void} fn */
  function anchored(fn) {
    const top = scroller.getBoundingClientRect().top;
    const anchor = [...column.children].find((one) => one.getBoundingClientRect().bottom > top);
    const id_ = anchor?.dataset.id, was = anchor?.getBoundingClientRect().top;
    fn();
    const now = id_ && shown.get(id_)?.element;
    if (now) scroller.scrollTop += now.getBoundingClientRect().top - was;
  }

  scroller.addEventListener("scroll", async () => {
    const rest = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    follow = rest < NEAR_PX && end < 0;
    jump.hidden = follow;
    const list = messages();
    const stop = end < 0 ? list.length : end;
    if (scroller.scrollTop < 600 && !loading) {
      if (stop - size <= 0 && thread()?.more) {
        loading = true;
        const page = await attempt(() => api.get(`/conversations/${id}/messages?limit=${STEP}&before=${list[0].id}`));
        if (page) {
          const had = messages().length;
          anchored(() => { store.dispatch({ type: "thread.older", id, items: page.items, more: page.more }); const added = messages().length - had; if (end >= 0) end += added; grow(added); draw(); });
        }
        loading = false;
      } else if (stop - size > 0) anchored(() => { grow(STEP); draw(); });
    } else if (end >= 0 && rest < 600) anchored(() => { end = Math.min(list.length, end + STEP); if (end === list.length) end = -1; draw(); });
  }, { passive: true });

  /** @param {number} by */
  function grow(by) {
    size += by;
    if (size <= WINDOW) return;
    const stop = end < 0 ? messages().length : end;
    end = stop - (size - WINDOW);
    size = WINDOW;
  }

  /** @param {any} body */
  async function change(body) {
    const fresh = await attempt(() => api.patch(`/conversations/${id}`, body));
    if (!fresh) return;
    conversation = fresh;
    store.dispatch({ type: "conversation.updated", conversation: fresh });
    drawHead();
    details?.draw();
  }

  /** @param {any} answer */
  function took(answer) {
    for (const message of [answer?.message, answer?.reply]) if (message) store.dispatch({ type: "message.created", message });
    follow = true; end = -1;
    draw();
  }

  /** @param {Event} [event] */
  async function submit(event) {
    event?.preventDefault();
    const busy = streaming();
    if (busy) return void attempt(() => api.post(`/messages/${busy.id}/stop`));
    const content = input.value.trim();
    if (!content) return;
    input.value = "";
    fit();
    const answer = await attempt(() => api.post(`/conversations/${id}/messages`, { content }, { key: crypto.randomUUID?.() ?? String(Math.random()) }));
    if (answer) took(answer);
    else { input.value = content; fit(); }
  }

  function fit() {
    if (!CSS.supports("field-sizing", "content")) { input.style.height = "auto"; input.style.height = `${input.scrollHeight}px`; }
    drawGauge();
  }
  input.addEventListener("input", fit);
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    const mod = event.ctrlKey || event.metaKey;
    if (store.get().prefs.send_key === "mod" ? mod : !event.shiftKey) { event.preventDefault(); if (!streaming()) submit(); }
  });

  /** @param {any} message @param {number} step */
  async function swipe(message, step) {
    const target = message.siblings[message.siblings.indexOf(message.id) + step];
    if (!target) return;
    await attempt(async () => { await api.post(`/messages/${target}/select`); await loadThread(id); });
  }

  /** @param {any} message */
  function edit(message) {
    const entry = shown.get(message.id);
    if (!entry) return;
    const area = h("textarea", { class: "input", value: message.content, "aria-label": t("common.edit") });
    const end_ = () => { delete entry.element.dataset.editing; shown.delete(message.id); entry.element.remove(); draw(); input.focus(); };
    const save = async (/** @type {boolean} */ in_place) => {
      const answer = await attempt(() => api.post(`/messages/${message.id}/edit`, in_place ? { content: area.value, in_place: true } : { content: area.value, reply: message.role === "user" }));
      if (!answer) return;
      end_();
      if (in_place) store.dispatch({ type: "message.updated", message: answer.message }); else took(answer);
    };
    entry.element.dataset.editing = "1";
    area.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape") { event.stopPropagation(); end_(); } });
    replace(entry.element.querySelector(".body"), area, h("div", { class: "row" }, h("button", { class: "button primary small", onclick: () => save(false) }, message.role === "user" ? t("message.save") : t("common.save")), h("button", { class: "button small", onclick: () => save(true) }, t("message.save.in_place")), h("button", { class: "button quiet small", onclick: end_ }, t("common.cancel"))));
    area.focus();
  }

  /** @param {string} action @param {any} message @param {any} [anchor] */
  function act(action, message, anchor) {
    if (action === "copy") copy(message.content);
    else if (action === "picture") withPictures().then((module) => module.pictureMenu(anchor, message, conversation)).catch(() => {});
    else if (action === "edit") edit(message);
    else if (action === "previous") swipe(message, -1);
    else if (action === "next") swipe(message, 1);
    else if (action === "regenerate" || action === "continue") attempt(async () => {
      const answer = await api.post(`/messages/${message.id}/${action}`);
      if (thread()?.byId[answer.message.id]) store.dispatch({ type: "message.updated", message: answer.message }); else took(answer);
    });
    else if (action === "fork") attempt(async () => { const made = await api.post(`/messages/${message.id}/fork`); store.dispatch({ type: "conversation.created", conversation: made }); go(`/c/${made.id}`); });
    else if (action === "delete") attempt(async () => {
      await api.del(`/messages/${message.id}`);
      store.dispatch({ type: "message.deleted", id: message.id, conversation_id: id });
      toast(t("message.deleted"), { undo: () => attempt(async () => { await api.post(`/messages/${message.id}/restore`); await loadThread(id); }) });
    });
    else if (action === "sent") attempt(async () => {
      const sent = await api.get(`/messages/${message.id}/prompt`);
      dialog(t("sent.title"), h("div", { class: "stack" }, h("p", { class: "muted" }, t("sent.total", { total: sent.total_tokens, size: sent.context_size, exact: t(sent.exact ? "sent.exact" : "sent.estimate") }), ` · ${modelName(sent.model)}`),
        sent.parts.map((/** @type {any} */ part) => h("details", { class: "card" }, h("summary", {}, part.label, " ", h("span", { class: "muted small" }, t("sent.tokens", { count: part.tokens }), part.included ? "" : ` · ${t("sent.left_out")}`)), h("pre", { class: "log", tabindex: 0 }, part.text)))));
    });
  }

  const actions = {
    stop: () => { if (details && !WIDE.matches) return toggleDetails(); const busy = streaming(); if (busy) attempt(() => api.post(`/messages/${busy.id}/stop`)); return !!busy; },
    focus_prompt: () => { input.focus(); return true; },
    edit_last: () => { const own = input.value ? null : messages().findLast((one) => one.role === "user"); if (own) edit(own); return !!own; },
    swipe_previous: () => swipeLast(-1), swipe_next: () => swipeLast(1),
  };
  const swipeLast = (/** @type {number} */ step) => { const last = input.value || streaming() ? null : messages().findLast((one) => one.role === "assistant"); if (last) swipe(last, step); return !!last; };

  async function load() {
    try {
      const [it] = await Promise.all([api.get(`/conversations/${id}`), loadThread(id)]);
      if (closed) return;
      conversation = it;
      drawHead();
      draw();
      if (WIDE.matches && localStorage.getItem("details") === "open" && !details) toggleDetails(false);
      if (matchMedia("(hover: hover)").matches && !document.activeElement?.matches("input, textarea, select")) input.focus();
      setTimeout(() => { if (!closed) api.get(`/jobs?conversation_id=${id}&limit=200`).then((page) => store.dispatch({ type: "jobs.loaded", items: page.items })).catch(() => {}); }, 500);
    } catch (error) { failed(column, error, load); }
  }
  const unsubscribe = store.subscribe((state, old) => {
    const now = state.conversations?.find((one) => one.id === id);
    if (now && now !== conversation && conversation) { conversation = now; drawHead(); details?.draw(); }
    if (state.threads[id] !== old.threads[id]) {
      const it = state.threads[id];
      if (it?.stale && !old.threads[id]?.stale) loadThread(id).catch(() => {});
      const was = old.threads[id]?.byId ?? {};
      const done = it?.ids.map((one) => it.byId[one]).find((one) => one.status === "complete" && was[one.id]?.status === "streaming");
      if (done) announce(t("message.finished", { name: whoIs(done).name, text: done.content }));
      later();
    } else if (state.progress !== old.progress || state.models !== old.models || state.engine !== old.engine) { drawGauge(); if (conversation) drawChips(); }
    if (state.personas !== old.personas && conversation) drawChips();
    if (state.jobs !== old.jobs) drawPictures();
    if (state.personas !== old.personas || state.models !== old.models) { details?.draw(); if (conversation) drawChips(); }
  });
  const ready = load();
  drawGauge();
  return { actions, ready, toggleDetails, dispose: () => { closed = true; details?.dispose(); unsubscribe(); cancelAnimationFrame(frame); } };
}
