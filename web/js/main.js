/** main.js - start: who is here, the shell around the views, live events, keys. */
import { h, icon, replace, stylesheet } from "./dom.js";
import { t } from "./i18n.js";
import * as api from "./api.js";
import { store, sortConversations } from "./state.js";
import * as router from "./router.js";
import { connect } from "./socket.js";
import { actionFor } from "./shortcuts.js";
import { accountGate, engineGate, outcomeText, pickGate, takeOutcome } from "./views/auth.js";
import { loadThread, mountChat, mountStart, startConversation } from "./views/chat.js";
import { mountConversations } from "./components/conversations.js";
import { openHelp, openPalette } from "./components/palette.js";
import { mountNotice } from "./components/notice.js";
import { attempt, failed, menu, toast } from "./components/ui.js";

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
/** @type {any} */ let view = null;
/** @type {any} */ let list = null;
/** @type {() => void} */ let disconnect = () => {};

function theme() {
  const choice = store.get().prefs.theme ?? localStorage.getItem("theme") ?? "system";
  localStorage.setItem("theme", choice);
  document.documentElement.dataset.theme = choice === "system" ? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light") : choice;
}

/** Views that the first paint does not need. @type {Record<string, () => Promise<any>>} */
const later = {
  characters: () => import("./views/characters.js"), settings: () => import("./views/settings.js"), temporary: () => import("./views/temporary.js"),
  create: () => styled(import("./views/create.js")), edit: () => styled(import("./views/edit.js")), library: () => styled(import("./views/library.js")), activity: () => styled(import("./views/activity.js")),
  grids: () => styled(import("./views/grids.js")),
};
/** A view of pictures comes with their style sheet. @param {Promise<any>} view */
const styled = (view) => Promise.all([view, stylesheet("pictures")]).then(([module]) => module);
/** Which of the rail's areas a view belongs to; the others are the chat's. @type {Record<string, string>} */
const AREAS = { characters: "people", character: "people", settings: "settings", create: "create", edit: "create", library: "library", activity: "activity", grids: "create" };

async function refresh() {
  const set = (/** @type {string} */ key, /** @type {string} */ path) => api.all(path).then((items) => store.dispatch({ type: "set", values: { [key]: items } })).catch(() => {});
  await Promise.all([
    api.get("/conversations?limit=200").then((page) => store.dispatch({ type: "set", values: { conversations: sortConversations(page.items), conversations_next: page.next } })).catch(() => {}),
    set("characters", "/characters"), set("personas", "/personas"), set("folders", "/folders"), set("models", "/models"),
    api.get("/engine").then((engine) => store.dispatch({ type: "engine.state", engine })).catch(() => {}),
    api.get("/queue").then((queue) => store.dispatch({ type: "queue.updated", queue })).catch(() => {}),
  ]);
}

/** @param {string} event @param {any} data */
function onevent(event, data) {
  if (event === "reset") { refresh(); view?.reset?.(); for (const id of Object.keys(store.get().threads)) if (location.pathname === `/c/${id}`) loadThread(id).catch(() => {}); return; }
  if (event === "session.revoked") return void begin();
  if (event === "persona.changed") api.all("/personas").then((personas) => store.dispatch({ type: "set", values: { personas } })).catch(() => {});
  if (event === "folder.changed") api.all("/folders").then((folders) => store.dispatch({ type: "set", values: { folders } })).catch(() => {});
  if (event === "engine.state" || event === "provider.updated") api.all("/models").then((models) => store.dispatch({ type: "set", values: { models } })).catch(() => {});
  if (event === "picture_models.changed" || event === "provider.updated") if (store.get().pictureModels) api.get("/picture-models").then((list) => store.dispatch({ type: "set", values: { pictureModels: list.items } })).catch(() => {});
  if (event === "style.changed") api.all("/styles").then((styles) => store.dispatch({ type: "set", values: { styles } })).catch(() => {});
  store.dispatch({ type: event, ...data });
}

function signOut() { attempt(async () => { await api.del("/session"); sessionStorage.clear(); import("./pictures/canvas-store.js").then((it) => it.forgetAll()).catch(() => {}); await begin(); }); }

function shell() {
  const link = (/** @type {string} */ href, /** @type {string} */ name, /** @type {string} */ label, wide = "") => h("a", { href, title: label, class: wide, dataset: { area: name } }, icon(name), h("span", { class: "label" }, label), h("span", { class: "visually-hidden" }, label));
  const aside = h("aside", { class: "list", "aria-label": t("nav.chat") });
  const work = h("main", { class: "work", id: "work", tabindex: -1 });
  const details = h("aside", { class: "details", "aria-label": t("details.title") });
  const line = h("div", { class: "line", role: "status", hidden: true });
  const told = h("div", { role: "region", "aria-label": t("notice.title") });
  const user = store.get().status.user;
  const box = h("div", { class: "shell" }, h("a", { class: "skip", href: "#work", onclick: (/** @type {Event} */ event) => { event.preventDefault(); work.focus(); } }, t("app.skip")),
    h("nav", { class: "rail", "aria-label": t("nav.main") }, h("a", { class: "brand", href: "/", "aria-label": t("app.name") }, h("img", { src: "/icon.svg", alt: "" })), link("/", "chat", t("nav.chat")), link("/create", "create", t("nav.create")), link("/library", "library", t("nav.library")), link("/characters", "people", t("nav.characters")), link("/activity", "activity", t("nav.activity"), "wide"), link("/settings", "settings", t("nav.settings"), "wide"),
      h("button", { class: "more", dataset: { area: "more" }, onclick: (/** @type {any} */ event) => menu(event.currentTarget, [{ label: t("nav.activity"), icon: "activity", run: () => router.go("/activity") }, { label: t("nav.settings"), icon: "settings", run: () => router.go("/settings") }, { label: user.name, icon: "people", run: () => router.go("/settings/account") }, { label: t("help.title"), icon: "menu", run: openHelp }, null, { label: t("nav.signout"), icon: "close", run: signOut }]) }, icon("more"), h("span", { class: "label" }, t("common.more")), h("span", { class: "visually-hidden" }, t("common.more"))),
      h("button", { class: "end wide", "aria-label": t("nav.account"), onclick: (/** @type {any} */ event) => menu(event.currentTarget, [{ label: user.name, icon: "people", run: () => router.go("/settings/account") }, { label: t("help.title"), icon: "menu", run: openHelp }, null, { label: t("nav.signout"), icon: "close", run: signOut }]) }, h("span", { class: "avatar small", "aria-hidden": "true" }, user.name.slice(0, 1).toUpperCase()))),
    h("div", { class: "lines" }, told, line), aside, work, details, h("button", { class: "scrim", "aria-label": t("common.close"), onclick: () => box.classList.remove("list-open", "details-open") }));
  replace(root, box);
  list = mountConversations(aside, () => router.go("/"));
  unnotice = mountNotice(told);
  return { box, aside, work, line, details };
}

/** @type {(() => void) | null} */ let unnotice = null;
/** @type {any} */ let parts = null;
let turn = 0;
/** @param {router.Route} route */
async function show(route) {
  if (!parts) return;
  if (view?.route?.(route)) return;
  const mine = ++turn;
  const { box, aside, work, details } = parts;
  (view?.dispose ?? view)?.();
  view = null;
  box.classList.remove("list-open", "details-open");
  replace(details);
  const area = AREAS[route.view] ?? "chat";
  aside.hidden = area !== "chat";
  for (const one of box.querySelectorAll(".rail [data-area]")) one.dataset.area === area || (one.dataset.area === "more" && (area === "activity" || area === "settings")) ? one.setAttribute("aria-current", "page") : one.removeAttribute("aria-current");
  document.title = t("app.name");
  list.draw();
  if (route.view === "search") { box.classList.toggle("list-open", innerWidth < 900); list.search(route.q ?? ""); }
  if (route.view === "chat" && route.id) view = mountChat(work, route.id, details);
  else if (route.view === "chat" || route.view === "search") view = mountStart(work);
  else if (route.view === "missing") replace(work, h("div", { class: "empty" }, h("h1", {}, t("error.missing")), h("a", { class: "button", href: "/" }, t("common.back"))));
  else {
    /** @type {any} */ const module = await later[route.view === "character" ? "characters" : route.view]?.().catch(() => null);
    if (mine !== turn) return;
    if (!module) return failed(work, new api.ApiError(0, { slug: "offline", detail: t("error.offline") }), () => show(route));
    if (route.view === "characters") view = module.mountCharacters(work);
    else if (route.view === "character") view = module.mountCharacter(work, route.id ?? "");
    else if (route.view === "temporary") view = module.mountTemporary(work, route.id);
    else if (route.view === "create") view = module.mountCreate(work);
    else if (route.view === "edit") view = module.mountEdit(work, route.id ?? "");
    else if (route.view === "library") view = module.mountLibrary(work, route);
    else if (route.view === "activity") view = module.mountActivity(work);
    else if (route.view === "grids") view = module.mountGrids(work, route);
    else view = module.mountSettings(work, route.section ?? "appearance", route.id);
  }
}

document.addEventListener("keydown", (event) => {
  if (!parts || event.isComposing || document.querySelector("dialog[open], .menu")) return;
  const target = /** @type {HTMLElement} */ (event.target);
  const where = target.id === "prompt" ? "prompt" : target.id === "picture-prompt" ? "picture" : target.closest("input, textarea, select, [contenteditable]") ? "text" : "page";
  const action = actionFor(event, store.get().prefs.shortcuts ?? {}, where);
  /** @type {Record<string, () => any>} */
  const doing = { palette: openPalette, help: openHelp, new_chat: () => router.go("/"), go_create: () => router.go("/create"), go_library: () => router.go("/library"), temporary: () => router.go("/temporary"), search: () => document.getElementById("list-search")?.focus(),
    toggle_details: () => view?.toggleDetails?.(), toggle_list: () => parts.box.classList.toggle(innerWidth < 900 ? "list-open" : "list-closed"), ...(view?.actions ?? {}) };
  if (action && doing[action] && doing[action]() !== false) event.preventDefault();
});

async function begin() {
  disconnect();
  unnotice?.();
  unnotice = null;
  parts = null;
  try {
    const status = await api.get("/status");
    api.setCsrf(status.csrf_token);
    store.dispatch({ type: "set", values: { status } });
    theme();
    if (!status.signed_in) store.dispatch({ type: "set", values: { jobs: {}, queue: null, assetChange: null } });
    if (location.pathname === "/reset") return (await import("./views/reset.js")).resetGate(root);
    if (location.pathname === "/verify") return (await import("./views/reset.js")).verifyGate(root);
    if (location.pathname === "/join") return await (await import("./views/join.js")).joinGate(root, status, (session) => signedIn(session, false));
    if (/^\/report(\/|$)/.test(location.pathname)) return await (await import("./views/report.js")).reportGate(root, status);
    if (location.pathname === "/made-here") return await (await import("./views/report.js")).madeHereGate(root);
    if (!status.signed_in) return accountGate(root, status, (session, fresh) => signedIn(session, fresh));
    await enter();
    const said = takeOutcome(), text = outcomeText(said);
    if (text) toast(text, { bad: said !== "linked" });
  } catch (error) { failed(root, error, begin); }
}

/** @param {any} session @param {boolean} fresh */
async function signedIn(session, fresh) {
  api.setCsrf(session.csrf_token);
  store.dispatch({ type: "set", values: { status: { ...store.get().status, signed_in: true, setup_required: false, user: session.user, permissions: session.permissions } } });
  if (!fresh) return enter();
  engineGate(root, () => pickGate(root, async (character) => { await enter(); startConversation(character); }));
}

/** What is switched off has no way in: base.css hides what these words name. */
store.subscribe((state, old) => { if (state.status !== old.status) document.documentElement.dataset.off = (state.status?.features_off ?? []).join(" "); });

let routed = false;
async function enter() {
  parts = shell();
  api.get("/me/preferences").then((prefs) => store.dispatch({ type: "prefs", values: prefs ?? {} })).catch(() => {});
  disconnect = connect(onevent, (state) => {
    store.dispatch({ type: "set", values: { connection: state } });
    if (parts) { parts.line.hidden = state === "online"; parts.line.textContent = state === "online" ? "" : t(`line.${state}`); }
  }, store.get().status.last_event_id);
  if (routed) show(router.match(location.pathname, location.search)); else { routed = true; router.start(show); }
  // what is read comes first; the list and the rest follow it
  await Promise.race([view?.ready, new Promise((done) => setTimeout(done, 1000))]);
  requestAnimationFrame(() => setTimeout(refresh));
}

/** The dot beside Activity: something runs or waits. */
function mark() {
  const { queue } = store.get(), n = (queue?.queued ?? 0) + (queue?.running ?? 0);
  for (const one of parts?.box.querySelectorAll('.rail [data-area="activity"], .rail [data-area="more"]') ?? []) {
    one.classList.toggle("dot", n > 0);
    one.title = n > 0 ? t("nav.active", { count: n }) : one.dataset.area === "more" ? "" : t("nav.activity");
  }
}

store.subscribe((state, old) => { if (state.prefs.theme !== old.prefs.theme) theme(); if (state.queue !== old.queue) mark(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
visualViewport?.addEventListener("resize", () => {
  const port = /** @type {VisualViewport} */ (visualViewport);
  root.style.setProperty("--viewport", `${port.height}px`);
  root.classList.toggle("typing", port.height < innerHeight * 0.75);
});
api.onSignedOut(() => { if (parts) begin(); });
begin();
