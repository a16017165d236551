/** conversations.js - the list of conversations and what can be done with one. */
import { debounce, h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { go } from "../router.js";
import { age } from "../format.js";
import { ask, attempt, avatar, longPress, menu, toast } from "./ui.js";

/** @param {string} id @param {any} body */
async function change(id, body) {
  const fresh = await attempt(() => api.patch(`/conversations/${id}`, body));
  if (fresh) store.dispatch({ type: "conversation.updated", conversation: fresh });
}

/** @param {Element} anchor @param {any} it @param {() => void} [rename] */
export function conversationMenu(anchor, it, rename = () => ask(t("chat.rename"), it.title, (title) => change(it.id, { title }))) {
  const folders = store.get().folders;
  const saveAs = (/** @type {string} */ format) => { const link = h("a", { href: `/api/v1/conversations/${it.id}/export?format=${format}`, download: "" }); document.body.append(link); link.click(); link.remove(); };
  menu(anchor, [
    { label: t("chat.rename"), icon: "edit", run: rename },
    { label: t(it.pinned_at ? "chat.unpin" : "chat.pin"), icon: "pin", run: () => change(it.id, { pinned: !it.pinned_at }) },
    { label: t("chat.folder"), icon: "menu", run: () => menu(anchor, [{ label: t("chat.folder.none"), run: () => change(it.id, { folder_id: null }) }, ...folders.map((one) => ({ label: one.name, checked: one.id === it.folder_id, run: () => change(it.id, { folder_id: one.id }) })),
      { label: t("chat.folder.new"), icon: "plus", run: () => ask(t("chat.folder.name"), "", (name) => attempt(async () => { const made = await api.post("/folders", { name }); store.dispatch({ type: "set", values: { folders: [...store.get().folders, made] } }); await change(it.id, { folder_id: made.id }); })) }]) },
    { label: t(it.archived_at ? "chat.unarchive" : "chat.archive"), icon: "down", run: () => change(it.id, { archived: !it.archived_at }) },
    null,
    ...["atelier", "sillytavern", "text"].map((format) => ({ label: `${t("chat.export")}: ${t(`chat.export.${format}`)}`, icon: "upload", run: () => saveAs(format) })),
    { label: t("report.menu"), icon: "flag", run: () => import("./report.js").then((module) => module.openReport("conversation", it.id, it.title, () => { store.dispatch({ type: "conversation.deleted", id: it.id }); if (location.pathname === `/c/${it.id}`) go("/"); })) },
    null,
    { label: t("common.delete"), icon: "trash", danger: true, run: () => attempt(async () => {
      await api.del(`/conversations/${it.id}`);
      store.dispatch({ type: "conversation.deleted", id: it.id });
      if (location.pathname === `/c/${it.id}`) go("/");
      toast(t("chat.deleted"), { undo: () => attempt(async () => { await api.post(`/conversations/${it.id}/restore`); store.dispatch({ type: "conversation.updated", conversation: await api.get(`/conversations/${it.id}`) }); }) });
    }) },
  ]);
}

/** @param {FileList|File[]} files */
async function importFiles(files) {
  for (const file of files) await attempt(async () => {
    const made = await api.sendRaw("POST", "/conversations/import", file, "application/octet-stream");
    for (const conversation of made.items) store.dispatch({ type: "conversation.created", conversation });
    toast(t("chat.imported", { count: made.items.length }));
    if (made.skipped) toast(t("chat.import.skipped", { count: made.skipped, reason: made.skipped_reason ?? "" }), { bad: true });
  });
}

/** @param {Element} root @param {() => void} newChat */
export function mountConversations(root, newChat) {
  /** @type {any[]|null} */ let found = null;
  let folder = "", archived = false, renaming = "";
  /** @type {any[]} */ let archive = [];
  const picker = h("input", { type: "file", accept: ".json,.jsonl", multiple: true, hidden: true, onchange: () => importFiles(picker.files) });
  const search = h("input", { class: "input", type: "search", id: "list-search", placeholder: t("chat.search"), "aria-label": t("chat.search") });
  const list = h("div", { class: "list-scroll" });
  const filters = h("div", { class: "row" });
  replace(root, h("div", { class: "list-head" }, h("div", { class: "row" }, h("button", { class: "button primary grow", onclick: newChat }, icon("plus"), t("chat.new")), h("a", { class: "icon-button", href: "/temporary", title: t("temporary.title"), "aria-label": t("temporary.title") }, icon("ghost")), iconButton("upload", t("chat.import"), () => picker.click()), picker), search, filters), list);

  search.addEventListener("input", debounce(async () => {
    const q = search.value.trim();
    found = q ? (await attempt(() => api.get("/search" + api.query({ q }))))?.items ?? [] : null;
    draw();
  }, 180));
  root.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("drop"); });
  root.addEventListener("dragleave", () => root.classList.remove("drop"));
  root.addEventListener("drop", (event) => { event.preventDefault(); root.classList.remove("drop"); importFiles(/** @type {any} */ (event).dataTransfer.files); });

  const nameOf = (/** @type {any} */ it) => it.title || it.character?.name || t("chat.untitled");

  /** The name becomes a field in its place. @param {any} it */
  function rename(it) {
    renaming = it.id;
    draw();
    const input = /** @type {any} */ (list.querySelector(".rename"));
    input?.focus();
    input?.select();
  }
  /** @param {any} it */
  function renameField(it) {
    const input = h("input", { class: "input rename", value: nameOf(it), "aria-label": t("chat.rename"), maxlength: 200 });
    const end = async (/** @type {boolean} */ keep) => {
      if (renaming !== it.id) return;
      renaming = "";
      const title = input.value.trim();
      if (keep && title && title !== it.title) await change(it.id, { title });
      draw();
      /** @type {any} */ (list.querySelector(`[data-id="${it.id}"] a`))?.focus();
    };
    input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); event.stopPropagation(); end(event.key === "Enter"); } });
    input.addEventListener("blur", () => end(true));
    return input;
  }
  const row = (/** @type {any} */ it) => h("div", { class: "item", dataset: { id: it.id }, ...longPress((element) => conversationMenu(element.querySelector("button"), it, () => rename(it))), onkeydown: (/** @type {KeyboardEvent} */ event) => { if (event.key === "F2" && !renaming) { event.preventDefault(); rename(it); } }, ondblclick: (/** @type {Event} */ event) => { event.preventDefault(); rename(it); } },
    it.id === renaming ? renameField(it) : [h("a", { href: `/c/${it.id}`, "aria-current": location.pathname === `/c/${it.id}` ? "page" : null }, avatar(it.character, "small"), h("span", {}, nameOf(it))),
    iconButton("more", `${t("chat.options")}: ${nameOf(it)}`, (event) => conversationMenu(event.currentTarget, it, () => rename(it)), { class: "icon-button small" })]);

  let loadingMore = false;
  async function more() {
    const after = store.get().conversations_next;
    if (found || archived || loadingMore || !after || list.scrollHeight - list.scrollTop - list.clientHeight > 800) return;
    loadingMore = true;
    const page = await attempt(() => api.get("/conversations" + api.query({ limit: 200, after })));
    loadingMore = false;
    if (page) store.dispatch({ type: "conversations.older", items: page.items, next: page.next });
  }
  list.addEventListener("scroll", more, { passive: true });

  function draw() {
    if (renaming && document.activeElement?.matches(".rename")) return;
    const state = store.get();
    const toggle = (/** @type {string} */ label, /** @type {boolean} */ on, /** @type {() => void} */ run) => h("button", { class: "chip", "aria-pressed": String(on), onclick: async () => { await run(); draw(); } }, label);
    replace(filters, toggle(t("chat.all"), !folder && !archived, () => { folder = ""; archived = false; }), state.folders.map((one) => toggle(one.name, folder === one.id, () => { folder = one.id; archived = false; })),
      toggle(t("chat.archived"), archived, async () => { archived = true; folder = ""; archive = (await attempt(() => api.get("/conversations?archived=true")))?.items ?? []; }));
    if (found) return replace(list, found.length ? found.map((hit) => h("div", { class: "item" }, h("a", { href: `/c/${hit.conversation_id}` }, h("span", { class: "grow" }, hit.title || t("chat.untitled"), hit.message_id && h("small", {}, hit.snippet.map((/** @type {any} */ part) => part.hit ? h("mark", {}, part.text) : part.text)))))) : h("p", { class: "empty" }, t("chat.none.found")));
    if (!state.conversations) return;
    const top = list.scrollTop, focused = /** @type {any} */ (list.contains(document.activeElement) && document.activeElement?.closest(".item"))?.dataset?.id;
    const items = archived ? archive : state.conversations.filter((one) => !one.archived_at && (!folder || one.folder_id === folder));
    if (!items.length) return replace(list, h("p", { class: "empty small" }, t("chat.none")));
    let group = "";
    replace(list, items.map((it) => {
      const name = it.pinned_at ? t("chat.pinned") : t(`age.${age(it.active_at)}`);
      const heading = name !== group && h("h2", {}, name);
      group = name;
      return [heading, row(it)];
    }));
    list.scrollTop = top;
    if (focused && !renaming) /** @type {any} */ (list.querySelector(`[data-id="${focused}"] a`))?.focus({ preventScroll: true });
    more();
  }
  draw();
  const searchFor = (/** @type {string} */ q) => { if (search.value !== q) { search.value = q; search.dispatchEvent(new Event("input")); } search.focus(); };
  return { draw, search: searchFor, dispose: store.subscribe((state, old) => { if (state.conversations !== old.conversations || state.folders !== old.folders) draw(); }) };
}
