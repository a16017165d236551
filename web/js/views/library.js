/**
 * library.js - everything that was made or uploaded: a filter bar, the wall of pictures, the selection, the viewer over it.
 *
 * The filter stands in the address (/library?starred=true&model=…), the open picture too (/library/{id}?…). The list is read
 * page by page as it is scrolled; what changes on the server arrives as events.
 */
import { debounce, h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { offered, store } from "../state.js";
import { soon, size } from "../format.js";
import { go } from "../router.js";
import { announce, ask, attempt, dialog, failed, menu, toast } from "../components/ui.js";
import { mountGrid } from "../components/grid.js";
import { mountViewer } from "../components/viewer.js";
import { boardMenu } from "../components/boards.js";
import { bulkAll, fileOf, nameOf, rate, recall, remix, star, trash } from "../pictures/actions.js";
import { uploadFile } from "../pictures/upload.js";
import { loadPictures } from "./create.js";

const PAGE = 200, ZIP_MAX = 240; // a ZIP's address holds this many ids
const FILTERS = ["q", "kind", "model", "character_id", "board_id", "tag", "lora", "starred", "rating", "from", "to", "trash"];
const DATES = [["today", 1], ["week", 7], ["month", 30], ["year", 365]];

/** @param {HTMLElement} root @param {import("../router.js").Route} route */
export function mountLibrary(root, route) {
  /** @type {any[]} */ let items = [];
  /** @type {string|null} */ let next = null;
  let loading = false, loaded = false, turn = 0, closed = false;
  /** @type {Record<string, string>} */ let filter = {};
  /** @type {any} */ let facets = { models: [], tags: [], loras: [], characters: [] };
  /** @type {any[]} */ let boards = [];
  /** @type {any} */ let viewer = null;

  const search = h("input", { class: "input", type: "search", id: "list-search", placeholder: t("library.search"), "aria-label": t("library.search") });
  search.addEventListener("input", debounce(() => apply({ q: search.value.trim() }), 250));
  const chips = h("div", { class: "chips scroll", role: "group", "aria-label": t("library.filters") });
  const picker = h("input", { type: "file", accept: "image/*,video/*", multiple: true, hidden: true, onchange: () => { upload([...picker.files]); picker.value = ""; } });
  const scroller = h("div", { class: "library-scroll" }), empty = h("div", { class: "empty", hidden: true }), bar = h("div", { class: "selection", role: "toolbar", "aria-label": t("library.selection"), hidden: true });
  const head = h("div", { class: "library-head" }, h("h1", { class: "visually-hidden" }, t("nav.library")), h("div", { class: "row tight" }, h("div", { class: "grow" }, search), offered("uploads") && iconButton("upload", t("library.upload"), () => picker.click()), iconButton("more", t("library.menu"), (event) => more(event.currentTarget))), chips, picker);
  const wall = h("div", { class: "library-wall" }, head, scroller, bar);
  const box = h("div", { class: "library" }, wall);
  replace(root, box);
  scroller.append(empty);

  const grid = mountGrid(scroller, { open: (item) => go(`/library/${item.id}${location.search}`), selected: drawBar, more: () => load() });

  const query = () => Object.fromEntries(FILTERS.filter((key) => filter[key]).map((key) => [key, filter[key]]));
  /** @param {Record<string, string|null|undefined>} change */
  function apply(change) { go(`/library${api.query({ ...query(), ...change })}`, { replace: true }); }

  async function load(fresh = false) {
    if (!fresh && (loading || (loaded && !next))) return;
    const mine = fresh ? ++turn : turn;
    loading = true;
    try {
      const page = await api.get(`/assets${api.query({ ...query(), limit: PAGE, after: fresh ? null : next })}`);
      if (closed || mine !== turn) return;
      const known = new Set(fresh ? [] : items.map((one) => one.id));
      items = fresh ? page.items : [...items, ...page.items.filter((/** @type {any} */ one) => !known.has(one.id))];
      next = page.next;
      loaded = true;
      loading = false;
      grid.set(items, !next, fresh);
      drawEmpty();
      if (fresh) announce(items.length || next ? t("library.found", { count: next ? `${items.length}+` : items.length }) : t("library.none.found"));
      viewer?.asset() && viewer.show(items.find((one) => one.id === viewer.asset().id) ?? viewer.asset());
    } catch (error) {
      if (closed || mine !== turn) return;
      loading = false;
      if (fresh) { empty.hidden = false; failed(empty, error, () => load(true)); } else toast(/** @type {Error} */ (error).message, { bad: true, error });
    }
  }

  function drawEmpty() {
    empty.hidden = items.length > 0;
    if (empty.hidden) return;
    const filtered = Object.keys(query()).length > 0;
    replace(empty, h("h2", {}, t(filter.trash ? "library.trash.empty" : filtered ? "library.none.found" : "library.empty.title")), !filtered && h("p", {}, t("library.empty.text")),
      filtered ? h("a", { class: "button", href: "/library" }, t("library.filter.clear")) : h("div", { class: "row center" }, h("a", { class: "button primary", href: "/create" }, icon("create"), t("create.empty.title")), offered("uploads") && h("button", { class: "button", onclick: () => picker.click() }, icon("upload"), t("library.upload"))));
  }

  /** @param {string} key @param {string} label @param {() => import("../components/ui.js").MenuRow[]} rows @param {string} [shown] */
  const choice = (key, label, rows, shown) => h("button", { type: "button", class: "chip", "data-filter": key, "aria-haspopup": "menu", "aria-pressed": String(!!filter[key]), onclick: (/** @type {any} */ event) => menu(event.currentTarget, rows()) }, filter[key] ? shown ?? filter[key] : label);
  /** @param {string} key @param {{name: string, label?: string}[]} list */
  const options = (key, list) => [{ label: t("library.all"), checked: !filter[key], run: () => apply({ [key]: null }) }, ...list.slice(0, 200).map((one) => ({ label: one.label ?? one.name, checked: filter[key] === one.name, run: () => apply({ [key]: one.name }) }))];
  const modelName = (/** @type {string} */ id) => (store.get().pictureModels ?? []).find((one) => one.id === id)?.name ?? id.split("/").pop() ?? id;
  const personName = (/** @type {string} */ id) => (store.get().characters ?? []).find((one) => one.id === id)?.name ?? id;
  const since = (/** @type {number} */ days) => { const day = new Date(); day.setHours(0, 0, 0, 0); day.setDate(day.getDate() - days + 1); return day.toISOString(); };
  function drawChips() {
    const had = chips.contains(document.activeElement) ? document.activeElement?.getAttribute("data-filter") : null;
    const on = (/** @type {string} */ key, /** @type {string} */ label, /** @type {any} */ mark) => h("button", { type: "button", class: "chip", "data-filter": key, "aria-pressed": String(!!filter[key]), onclick: () => apply({ [key]: filter[key] ? null : "true" }) }, mark, label);
    const date = DATES.find(([, days]) => filter.from && filter.from === since(Number(days)));
    replace(chips, on("starred", t("library.starred"), h("span", { "aria-hidden": "true" }, "★")), choice("rating", t("viewer.rating"), () => options("rating", [1, 2, 3, 4, 5].map((n) => ({ name: String(n), label: t("library.rating.least", { n }) }))), t("library.rating.least", { n: filter.rating })),
      choice("board_id", t("library.board"), () => [...options("board_id", boards.map((one) => ({ name: one.id, label: `${one.name} (${one.count ?? 0})` }))), null, { label: t("board.new"), icon: "plus", run: () => ask(t("board.name"), "", (name) => attempt(async () => { const made = await api.post("/boards", { name }); boards = [...boards, made]; apply({ board_id: made.id }); })) }], boards.find((one) => one.id === filter.board_id)?.name),
      filter.board_id && iconButton("more", t("board.menu"), (event) => boardOptions(event.currentTarget), { class: "icon-button small" }),
      choice("model", t("create.model"), () => options("model", facets.models.map((/** @type {any} */ one) => ({ name: one.name, label: `${modelName(one.name)} (${one.count})` }))), filter.model && modelName(filter.model)),
      choice("character_id", t("create.character"), () => options("character_id", facets.characters.map((/** @type {any} */ one) => ({ name: one.id ?? one.name, label: one.id ? one.name : personName(one.name) }))), filter.character_id && personName(filter.character_id)),
      choice("tag", t("library.tag"), () => options("tag", facets.tags)), choice("lora", t("create.loras"), () => options("lora", facets.loras)),
      choice("kind", t("library.kind"), () => options("kind", [{ name: "picture", label: t("library.kind.picture") }, { name: "video", label: t("library.kind.video") }]), filter.kind && t(`library.kind.${filter.kind}`)),
      choice("from", t("library.date"), () => [{ label: t("library.all"), checked: !filter.from, run: () => apply({ from: null, to: null }) }, ...DATES.map(([key, days]) => ({ label: t(`library.date.${key}`), checked: date?.[0] === key, run: () => apply({ from: since(Number(days)), to: null }) })), null, { label: t("library.date.own"), run: ownDates }], date ? t(`library.date.${date[0]}`) : t("library.date.own")),
      on("trash", t("library.trash"), icon("trash")), Object.keys(query()).length > 0 && h("a", { class: "chip clear", href: "/library", "data-filter": "clear" }, t("library.filter.clear")));
    if (had) /** @type {any} */ (chips.querySelector(`[data-filter="${had}"]`))?.focus();
    if (document.activeElement !== search) search.value = filter.q ?? "";
  }
  function ownDates() {
    const from = h("input", { type: "date", class: "input", value: (filter.from ?? "").slice(0, 10) }), to = h("input", { type: "date", class: "input", value: (filter.to ?? "").slice(0, 10) });
    const close = dialog(t("library.date.own"), h("form", { class: "stack", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); close(); apply({ from: from.value ? new Date(`${from.value}T00:00`).toISOString() : null, to: to.value ? new Date(new Date(`${to.value}T00:00`).getTime() + 86400000).toISOString() : null }); } }, h("label", { class: "field" }, h("span", { class: "field-label" }, t("library.date.from")), from), h("label", { class: "field" }, h("span", { class: "field-label" }, t("library.date.to")), to), h("button", { class: "button primary" }, t("library.date.show"))));
  }
  /** @param {Element} anchor */
  function boardOptions(anchor) {
    const board = boards.find((one) => one.id === filter.board_id);
    menu(anchor, [{ label: t("chat.rename"), icon: "edit", run: () => ask(t("board.name"), board?.name ?? "", (name) => attempt(async () => { await api.patch(`/boards/${filter.board_id}`, { name }); side(); })) },
      { label: t("board.delete"), icon: "trash", danger: true, run: () => attempt(async () => {
        const ids = (await api.all("/assets", { board_id: filter.board_id })).map((one) => one.id);
        await api.del(`/boards/${filter.board_id}`);
        toast(t("board.deleted", { name: board?.name ?? "" }), { undo: () => attempt(async () => { const back = await api.post("/boards", { name: board?.name ?? "" }); if (ids.length) await bulkAll(ids, "board", back.id); await side(); apply({ board_id: back.id }); }) });
        apply({ board_id: null });
        side();
      }) }]);
  }
  /** @param {Element} anchor */
  const more = (anchor) => menu(anchor, [{ label: t("library.select.all"), icon: "check", run: () => { grid.all(); } }, { label: t("library.duplicates"), icon: "copy", run: duplicates }, ...(offered("uploads") ? [{ label: t("library.upload"), icon: "upload", run: () => picker.click() }] : [])]);

  /** @param {Set<string>} ids */
  function drawBar(ids) {
    const shown = bar.hidden;
    bar.hidden = ids.size === 0;
    if (bar.hidden) { if (!shown) announce(t("library.selected.none")); return; }
    const list = () => grid.items().filter((one) => ids.has(one.id)), all = [...ids];
    /** @param {string} action @param {any} [value] */
    const bulk = (action, value) => attempt(() => bulkAll(all, action, value));
    const had = bar.contains(document.activeElement) ? document.activeElement?.getAttribute("data-key") : null;
    const tool = (/** @type {string} */ key, /** @type {string} */ label, /** @type {(event: any) => void} */ run) => h("button", { type: "button", class: "button small quiet", "data-key": key, onclick: run }, icon(key), h("span", { class: "wide" }, label), h("span", { class: "visually-hidden narrow-label" }, label));
    const starred = list().every((one) => one.starred);
    replace(bar, h("strong", { class: "small", role: "status" }, t("library.selected", { count: ids.size })), h("span", { class: "grow" }),
      filter.trash ? [tool("again", t("library.restore"), async () => { await bulk("restore"); const back = list(); grid.clear(); drop(all); for (const one of back) store.dispatch({ type: "asset.updated", asset: { ...one, deleted_at: null } }); toast(t("library.restored", { count: all.length })); }), tool("trash", t("library.forever"), () => forever(all))]
        : [tool("star", t(starred ? "asset.unstar" : "asset.star"), async () => { await bulk(starred ? "unstar" : "star"); for (const one of list()) change({ ...one, starred: !starred }); drawBar(ids); }), tool("library", t("library.board"), (event) => boardMenu(event.currentTarget, all, side)), filter.board_id && tool("minus", t("board.take"), () => takeOff("board", filter.board_id, all)), filter.tag && tool("eraser", t("library.untag"), () => takeOff("tag", filter.tag, all)), tool("pin", t("library.tag"), () => ask(t("library.tag.add"), "", (tag) => bulk("tag", tag).then(() => { toast(t("common.saved")); side(); }))),
          tool("download", t("library.zip"), () => zip(all)), tool("trash", t("common.delete"), () => { const gone = list(); grid.clear(); trash(gone); })],
      iconButton("close", t("library.selected.clear"), () => { grid.clear(); grid.moveTo(grid.items().indexOf(grid.current())); }, { class: "icon-button small", "data-key": "close" }));
    if (had) /** @type {any} */ (bar.querySelector(`[data-key="${had}"]`))?.focus();
  }
  /** Off the board, or without the tag, that is looked at. @param {"board"|"tag"} what @param {string} value @param {string[]} ids */
  const takeOff = (what, value, ids) => attempt(async () => {
    await bulkAll(ids, `un${what}`, value);
    grid.clear();
    drop(ids);
    side();
    toast(t(what === "board" ? "board.taken" : "library.untagged", { count: ids.length }), { undo: () => attempt(async () => { await bulkAll(ids, what, value); side(); load(true); }) });
  });
  /** @param {string[]} ids */
  function zip(ids) {
    for (let at = 0; at < ids.length; at += ZIP_MAX) { const link = h("a", { href: `/api/v1/assets/zip?ids=${ids.slice(at, at + ZIP_MAX).join(",")}`, download: "", hidden: true }); document.body.append(link); link.click(); link.remove(); }
  }
  /** @param {string[]} ids */
  function forever(ids) {
    const close = dialog(t("library.forever"), h("div", { class: "stack" }, h("p", {}, t("library.forever.text")), h("button", { class: "button danger", onclick: () => { close(); attempt(async () => { for (const id of ids) await api.del(`/assets/${id}?forever=true`); grid.clear(); drop(ids); }); } }, t("library.forever.do", { count: ids.length }))));
  }

  /** What is being uploaded; more may join while it runs. @type {{files: File[], done: number, all: number, stop: AbortController}|null} */ let sending = null;
  const uploads = h("div", { class: "upload-strip", role: "status", hidden: true });
  head.append(uploads);
  /** @param {File[]} files */
  async function upload(files) {
    if (!files.length) return;
    if (sending) { sending.files.push(...files); sending.all += files.length; return; }
    const mine = sending = { files: [...files], done: 0, all: files.length, stop: new AbortController() };
    const bar = h("progress", { max: 1, value: 0, "aria-label": t("job.progress") }), words = h("span", { class: "grow" });
    replace(uploads, words, bar, h("button", { type: "button", class: "button small quiet", onclick: () => mine.stop.abort() }, t("common.cancel")));
    uploads.hidden = false;
    let good = 0;
    for (let file = mine.files.shift(); file && !mine.stop.signal.aborted; file = mine.files.shift()) {
      const { name } = file;
      const progress = (/** @type {number} */ share, /** @type {boolean} */ waiting) => { bar.value = (mine.done + share) / mine.all; words.textContent = t(waiting ? "library.uploading.waits" : "library.uploading", { at: mine.done + 1, all: mine.all, name }); };
      progress(0, false);
      const one = file, asset = await attempt(() => uploadFile(one, { signal: mine.stop.signal, progress }).catch((error) => { if (error.name === "AbortError") return null; throw error; }));
      if (asset) { good++; store.dispatch({ type: "asset.created", asset }); }
      mine.done++;
    }
    sending = null;
    uploads.hidden = true;
    if (good) toast(t("library.uploaded", { count: good }));
  }

  async function duplicates() {
    const page = await attempt(() => api.get("/assets/duplicates?distance=6"));
    if (!page) return;
    if (!page.groups.length) return void toast(t("library.duplicates.none"));
    const list = h("div", { class: "stack" });
    let left = page.groups.length;
    const group = (/** @type {any[]} */ all) => {
      let alive = [...all];
      const box = h("section", { class: "card stack tight" });
      const end = () => { const next = box.nextElementSibling ?? box.previousElementSibling; box.remove(); if (--left === 0) replace(list, h("p", { class: "muted", role: "status" }, t("library.duplicates.end"))); /** @type {any} */ (next?.querySelector("button"))?.focus(); };
      const gone = async (/** @type {any[]} */ some) => { const was = alive; alive = alive.filter((one) => !some.includes(one)); draw(); await trash(some, () => { alive = was; if (!box.isConnected) { left++; list.append(box); } draw(); }); if (alive.length < 2) end(); };
      const draw = () => replace(box, h("div", { class: "row between" }, h("strong", { class: "small" }, t("library.duplicates.alike", { count: alive.length }))), h("div", { class: "row top" }, alive.map((one) => h("figure", { class: "duplicate" }, h("a", { href: `/library/${one.id}`, onclick: () => close() }, h("img", { src: fileOf(one, 256), alt: nameOf(one) })), h("figcaption", { class: "muted small" }, [`${one.width} × ${one.height}`, size(one.size_bytes), one.starred && "★"].filter(Boolean).join(" · "), h("br"), soon(one.created_at)),
        h("div", { class: "row tight" }, h("button", { type: "button", class: "button small", onclick: () => gone(alive.filter((other) => other !== one)) }, t("library.duplicates.keep")), iconButton("trash", t("asset.trash"), () => gone([one]), { class: "icon-button small" }))))));
      draw();
      return box;
    };
    replace(list, page.groups.map((/** @type {any} */ one) => group(one.items)));
    const close = dialog(t("library.duplicates"), list, "wide");
  }

  /** @param {string[]} ids */
  function drop(ids) { const gone = new Set(ids); items = items.filter((one) => !gone.has(one.id)); grid.set(items, !next); drawEmpty(); }
  /** @param {any} asset */
  function change(asset) { const at = items.findIndex((one) => one.id === asset.id); if (at >= 0) { items = [...items]; items[at] = asset; grid.set(items, !next); } }
  /** May a new picture be at the top of what is shown? @param {any} asset */
  const fits = (asset) => asset.library !== false && !asset.deleted_at === !filter.trash && FILTERS.every((key) => !filter[key] || key === "trash" || (key === "starred" && asset.starred) || (key === "rating" && asset.rating >= Number(filter.rating)) || (["kind", "model", "character_id"].includes(key) && asset[key] === filter[key]) || (key === "from" && asset.created_at >= filter.from));

  const side = () => Promise.all([api.get("/assets/facets").then((it) => { facets = { ...facets, ...it }; }).catch(() => {}), api.get("/boards?limit=200").then((it) => { boards = it.items; }).catch(() => {})]).then(() => { if (!closed) drawChips(); });

  const at = (/** @type {string} */ id) => items.findIndex((one) => one.id === id);
  const on = {
    close: () => go(`/library${location.search}`),
    /** @param {number} by */
    step: (by) => { const here = at(viewer?.asset()?.id), item = here < 0 ? null : items[here + by]; if (item) go(`/library/${item.id}${location.search}`, { replace: true }); if (here > items.length - 20) load(); return item ?? null; },
    /** @param {string} id */
    place: (id) => { const here = at(id); return here < 0 ? null : { at: here, all: items.length }; },
  };
  /** @param {string|undefined} id */
  async function openViewer(id) {
    if (!id) {
      if (!viewer) return;
      const last = viewer.asset()?.id;
      viewer.dispose();
      viewer = null;
      wall.inert = false;
      document.title = t("app.name");
      grid.arrange(false);
      if (last && at(last) >= 0) grid.moveTo(at(last));
      return;
    }
    const fresh = !viewer;
    viewer ??= mountViewer(box, on);
    wall.inert = true;
    const known = items.find((one) => one.id === id) ?? Object.values(store.get().jobs).flatMap((job) => job.assets ?? []).find((one) => one.id === id);
    if (known) viewer.show(known);
    else try { const asset = await api.get(`/assets/${id}`); if (!closed && viewer && location.pathname === `/library/${id}`) viewer.show(asset); } catch (error) { viewer?.fail(error, () => openViewer(id)); }
    if (fresh) viewer?.focus();
  }

  let first = true;
  /** @param {import("../router.js").Route} to */
  function take(to) {
    if (to.view !== "library") return false;
    const params = new URLSearchParams(to.q ?? "");
    const wanted = Object.fromEntries(FILTERS.filter((key) => params.get(key)).map((key) => [key, params.get(key) ?? ""]));
    if (first || JSON.stringify(wanted) !== JSON.stringify(query())) { first = false; filter = wanted; drawChips(); ready = load(true); }
    openViewer(to.id);
    return true;
  }
  /** @type {Promise<any>} */ let ready = Promise.resolve();
  take(route);
  side();
  if (!store.get().pictureModels) loadPictures();

  const over = (/** @type {any} */ event) => { if ([...(event.dataTransfer?.types ?? [])].includes("Files")) { event.preventDefault(); box.classList.add("drop"); } };
  box.addEventListener("dragover", over);
  box.addEventListener("dragleave", (/** @type {any} */ event) => { if (!box.contains(event.relatedTarget)) box.classList.remove("drop"); });
  box.addEventListener("drop", (/** @type {any} */ event) => { event.preventDefault(); box.classList.remove("drop"); upload([...event.dataTransfer.files]); });
  scroller.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => { if (/^[1-5]$/.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); for (const one of grid.acted()) rate(one, Number(event.key)); } });

  const off = store.subscribe((state, old) => {
    const it = state.assetChange;
    if (it === old.assetChange || !it) { if (state.pictureModels !== old.pictureModels || state.characters !== old.characters) drawChips(); return; }
    if (it.type === "asset.created" && fits(it.asset) && at(it.asset.id) < 0) { items = [...items, it.asset].sort((a, b) => (a.id < b.id ? 1 : -1)); grid.set(items, !next); drawEmpty(); }
    if (it.type === "asset.updated") { if (at(it.asset.id) >= 0) { if (!!it.asset.deleted_at !== !!filter.trash) drop([it.asset.id]); else change(it.asset); } }
    if (it.type === "asset.deleted" && !filter.trash) drop([it.id]);
  });

  const acted = () => grid.acted();
  const each = (/** @type {(asset: any) => any} */ run) => () => { const list = acted(); for (const one of list) run(one); return list.length > 0; };
  const one = (/** @type {(asset: any) => any} */ run) => () => { const [asset] = acted(); if (asset) run(asset); return !!asset; };
  const own = {
    stop: () => { if (grid.chosen().size) { grid.clear(); return true; } return false; },
    view: () => { if (!grid.has()) return false; const item = grid.current(); if (item) go(`/library/${item.id}${location.search}`); return !!item; },
    star: each(star), trash: () => { const list = acted(); if (list.length) { grid.clear(); trash(list); } return list.length > 0; }, select_all: () => { grid.all(); return true; },
    remix: one(remix), recall: one((asset) => recall(asset)), recall_seed: one((asset) => recall(asset, { seed: true })), recall_prompt: one((asset) => recall(asset, { prompt: true })),
    info: one((asset) => { localStorage.setItem("viewer", "info"); go(`/library/${asset.id}${location.search}`); }), zoom: one((asset) => go(`/library/${asset.id}${location.search}`)),
  };
  return {
    ready, route: take, reset: () => load(true), toggleDetails: () => viewer?.actions.info(),
    get actions() { return viewer ? viewer.actions : own; },
    dispose: () => { closed = true; off(); viewer?.dispose(); grid.dispose(); },
  };
}
