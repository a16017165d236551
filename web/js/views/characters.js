/** characters.js - the cards, and the editor of one character. Saves by itself a moment after typing. */
import { debounce, field, h, icon, iconButton, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { go } from "../router.js";
import { attempt, avatar, failed, longPress, menu, toast } from "../components/ui.js";
import { samplingFields } from "../components/sampling.js";
import { markdown } from "../components/markdown.js";
import { startConversation } from "./chat.js";
import { characterCard } from "./auth.js";

const SAVE_MS = 600;
const PAGE = 60;

/** @param {Element} anchor @param {any} it */
function characterMenu(anchor, it) {
  const gone = (/** @type {string} */ text, /** @type {() => Promise<any>} */ back) => { store.dispatch({ type: "character.deleted", id: it.id }); if (location.pathname !== "/characters") go("/characters"); toast(text, { undo: () => attempt(async () => { await back(); store.dispatch({ type: "character.updated", character: await api.get(`/characters/${it.id}`) }); }) }); };
  menu(anchor, [
    { label: t("characters.chat"), icon: "chat", run: () => startConversation(it) },
    { label: t("characters.duplicate"), icon: "copy", run: () => attempt(async () => { const made = await api.post(`/characters/${it.id}/duplicate`); store.dispatch({ type: "character.created", character: made }); go(`/characters/${made.id}`); }) },
    { label: t("characters.archive"), icon: "down", run: () => attempt(async () => { await api.patch(`/characters/${it.id}`, { archived: true }); gone(t("characters.archived", { name: it.name }), () => api.patch(`/characters/${it.id}`, { archived: false })); }) },
    { label: t("report.menu"), icon: "flag", run: () => import("../components/report.js").then((module) => module.openReport("character", it.id, it.name, () => { store.dispatch({ type: "character.deleted", id: it.id }); if (location.pathname !== "/characters") go("/characters"); })) },
    null,
    { label: t("common.delete"), icon: "trash", danger: true, run: () => attempt(async () => { await api.del(`/characters/${it.id}`); gone(t("characters.deleted", { name: it.name }), () => api.post(`/characters/${it.id}/restore`)); }) },
  ]);
}

/** @param {string} id @param {File|undefined} file */
const upload = (id, file) => file && attempt(async () => store.dispatch({ type: "character.updated", character: await api.sendRaw("PUT", `/characters/${id}/avatar`, file, file.type) }));

/** @param {Element} root */
export function mountCharacters(root) {
  const search = h("input", { class: "input", type: "search", id: "list-search", placeholder: t("characters.search"), "aria-label": t("characters.search") });
  const grid = h("div", { class: "grid" });
  const create = () => attempt(async () => { const made = await api.post("/characters", { name: t("characters.untitled") }); store.dispatch({ type: "character.created", character: made }); go(`/characters/${made.id}`); });
  replace(root, h("div", { class: "page" }, h("div", { class: "page-inner" }, h("div", { class: "page-head" }, h("h1", {}, t("characters.title")), h("button", { class: "button primary", onclick: create }, icon("plus"), t("characters.new"))), field(t("common.search"), search), grid)));
  const end = h("div", { class: "page-end" });
  /** @type {any[]} */ let items = [];
  const card = (/** @type {any} */ one) => {
    const wrap = h("div", { class: "character-wrap", ...longPress((element) => characterMenu(element.querySelector(".icon-button"), one)) }, characterCard(one, () => go(`/characters/${one.id}`)), iconButton("more", `${t("characters.options")}: ${one.name}`, (event) => characterMenu(event.currentTarget, one)));
    wrap.addEventListener("dragover", (/** @type {Event} */ event) => event.preventDefault());
    wrap.addEventListener("drop", (/** @type {any} */ event) => { event.preventDefault(); upload(one.id, event.dataTransfer.files[0]); });
    return wrap;
  };
  const more = (/** @type {number} */ upTo) => { if (items.length) grid.append(...items.slice(grid.childElementCount, upTo).map(card)); };
  const watcher = new IntersectionObserver((entries) => { if (entries[0].isIntersecting && grid.childElementCount < items.length) { more(grid.childElementCount + PAGE); watcher.unobserve(end); watcher.observe(end); } }, { rootMargin: "800px" });
  let asked = "";
  const draw = () => {
    const all = store.get().characters;
    if (!all) return;
    const q = search.value.trim().toLowerCase();
    const kept = q === asked ? Math.max(PAGE, grid.childElementCount) : PAGE;
    asked = q;
    items = all.filter((one) => !one.archived_at && (!q || `${one.name} ${one.summary} ${(one.tags ?? []).join(" ")}`.toLowerCase().includes(q)));
    grid.className = items.length ? "grid" : "empty";
    if (items.length) { replace(grid); more(kept); }
    else replace(grid, q ? t("chat.none.found") : [h("p", {}, t("characters.none")), h("button", { class: "button", onclick: create }, icon("plus"), t("characters.new"))]);
  };
  grid.after(end);
  watcher.observe(end);
  search.addEventListener("input", debounce(draw, 100));
  draw();
  const off = store.subscribe((state, old) => { if (state.characters !== old.characters) draw(); });
  return () => { off(); watcher.disconnect(); };
}

/** @param {Element} root @param {string} id */
export function mountCharacter(root, id) {
  /** @type {any} */ let it = null;
  /** @type {any} */ let pending = {};
  let flushLook = () => {};
  let tab = "who", closed = false;
  const save = debounce(flush, SAVE_MS);
  const state = h("span", { class: "muted small", role: "status" });
  async function flush() {
    if (!Object.keys(pending).length) return;
    const body = pending;
    pending = {};
    const fresh = await attempt(() => api.patch(`/characters/${id}`, body));
    if (!fresh) return;
    it = { ...fresh, card: { ...fresh.card, ...(pending.card ?? {}) } };
    state.textContent = t("common.saved");
    store.dispatch({ type: "character.updated", character: fresh });
  }
  const set = (/** @type {string} */ key, /** @type {any} */ value) => { it.card[key] = value; pending.card = { ...pending.card, [key]: value }; state.textContent = ""; save(); };
  const text = (/** @type {string} */ key, /** @type {string} */ label, rows = 0, hint = "") => {
    const control = h(rows ? "textarea" : "input", { class: "input", rows: rows || null, value: it.card[key] ?? "" });
    control.addEventListener("input", () => set(key, control.value));
    return field(label, control, hint);
  };
  /** @type {Record<string, () => any>} */
  const tabs = {
    who: () => {
      const picker = h("input", { type: "file", accept: "image/*", hidden: true, onchange: async () => { await upload(id, picker.files[0]); await load(); } });
      const tags = h("input", { class: "input", value: (it.card.tags ?? []).join(", ") });
      tags.addEventListener("input", () => set("tags", tags.value.split(",").map((/** @type {string} */ one) => one.trim()).filter(Boolean)));
      const portrait = h("div", { class: "row" }, avatar(it, "large"), h("button", { class: "button", onclick: () => picker.click() }, icon("upload"), t("card.avatar.change")), it.avatar && h("button", { class: "button quiet", onclick: () => attempt(async () => { await api.del(`/characters/${id}/avatar`); await load(); }) }, t("card.avatar.remove")), picker);
      portrait.addEventListener("dragover", (/** @type {Event} */ event) => event.preventDefault());
      portrait.addEventListener("drop", async (/** @type {any} */ event) => { event.preventDefault(); await upload(id, event.dataTransfer.files[0]); await load(); });
      return [portrait, h("br"), text("name", t("common.name")), text("description", t("card.description"), 6, t("card.description.hint")), text("personality", t("card.personality"), 3), text("scenario", t("card.scenario"), 3), field(t("card.tags"), tags, t("card.tags.hint")), text("creator_notes", t("card.creator_notes"), 3), text("creator", t("card.creator"))];
    },
    look: () => {
      const box = h("div");
      Promise.all([import("../components/look.js"), stylesheet("pictures")]).then(([module]) => module.mountLook(box, id, (saved) => { state.textContent = saved ? t("common.saved") : ""; })).then((now) => { if (closed) now(); else flushLook = now; }).catch(() => failed(box, new api.ApiError(0, { slug: "offline", detail: t("error.offline") }), draw));
      return box;
    },
    rules: () => {
      const model = h("select", { class: "input", onchange: () => { pending.model = model.value || null; it.model = pending.model; save(); } }, h("option", { value: "" }, t("prompt.model.default")), (store.get().models ?? []).map((one) => h("option", { value: one.id, selected: one.id === it.model }, `${one.name} · ${one.provider_name}`)));
      const change = (/** @type {any} */ next) => { it.sampling = next; pending.sampling = next; save(); };
      const answers = (store.get().models ?? []).find((one) => one.id === it.model) ?? (store.get().models ?? []).find((one) => one.ready);
      return [text("system_prompt", t("card.system_prompt"), 5), text("post_history_instructions", t("card.post_history_instructions"), 4, t("card.post_history_instructions.hint")), field(t("prompt.model"), model), h("h2", {}, t("card.sampling")), h("p", { class: "hint" }, t("card.sampling.hint")), h("br"), samplingFields(it.sampling, { local: !!answers?.local }, change)];
    },
    greetings: () => {
      const others = it.card.alternate_greetings ?? [];
      return [text("first_mes", t("card.first_mes"), 5), others.map((/** @type {string} */ one, /** @type {number} */ at) => {
        const area = h("textarea", { class: "input", rows: 3, value: one });
        area.addEventListener("input", () => { const next = [...it.card.alternate_greetings]; next[at] = area.value; set("alternate_greetings", next); });
        return [field(t("card.alternate", { n: at + 1 }), area), h("button", { class: "button small quiet", onclick: () => { set("alternate_greetings", it.card.alternate_greetings.filter((/** @type {string} */ _, /** @type {number} */ i) => i !== at)); draw(); } }, t("card.alternate.remove"))];
      }), h("p", {}, h("button", { class: "button small", onclick: () => { set("alternate_greetings", [...others, ""]); draw(); } }, icon("plus"), t("card.alternate.add"))), h("br"), text("mes_example", t("card.mes_example"), 8, t("card.mes_example.hint"))];
    },
    preview: () => [h("div", { class: "row" }, avatar(it, "large"), h("div", {}, h("h2", {}, it.card.name), h("p", { class: "muted" }, it.summary))), h("br"), h("div", { class: "card text" }, markdown((it.card.first_mes ?? "").replaceAll("{{char}}", it.card.name).replaceAll("{{user}}", store.get().status.user.name))), h("br"), h("button", { class: "button primary", onclick: async () => { await flush(); startConversation(it); } }, icon("chat"), t("characters.chat"))],
  };
  function draw() {
    const body = h("div", { role: "tabpanel", "aria-label": t(`tab.${tab}`) }, tabs[tab]());
    const names = Object.keys(tabs);
    const bar = h("div", { class: "tabs", role: "tablist", onkeydown: (/** @type {KeyboardEvent} */ event) => { const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0; if (step) { tab = names[(names.indexOf(tab) + step + names.length) % names.length]; draw(); /** @type {HTMLElement} */ (root.querySelector("[aria-selected=true]")).focus(); } } },
      names.map((name) => h("button", { type: "button", role: "tab", tabindex: name === tab ? 0 : -1, "aria-selected": String(name === tab), onclick: () => { tab = name; draw(); } }, t(`tab.${name}`))));
    replace(root, h("div", { class: "page" }, h("div", { class: "page-inner narrow" }, h("div", { class: "page-head" }, h("a", { class: "icon-button", href: "/characters", "aria-label": t("common.back") }, icon("left")), h("h1", {}, it.name), state, h("button", { class: "button primary", onclick: async () => { await flush(); startConversation(it); } }, icon("chat"), t("characters.chat")), iconButton("more", t("characters.options"), (event) => characterMenu(event.currentTarget, it))), bar, body)));
  }
  async function load() {
    try {
      const fresh = await api.get(`/characters/${id}`);
      if (closed) return;
      it = fresh;
      draw();
    } catch (error) { if (!closed) failed(root, error, load); }
  }
  load();
  return () => { closed = true; flush(); flushLook(); };
}
