/**
 * grids.js - the grids a person made, and one of them: a table for each value of Z, its cells filling in while they are
 * made. A cell opens the viewer, whose arrows go from cell to cell.
 */
import { h, icon, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { go } from "../router.js";
import { moment } from "../format.js";
import { announce, attempt, dialog, failed, toast } from "../components/ui.js";
import { ring, share } from "../components/job-card.js";
import { mountViewer } from "../components/viewer.js";
import { faceOf, fileOf } from "../pictures/actions.js";
import { tables } from "../pictures/grid-axes.js";
import { loadPictures } from "./create.js";

const PAGE = 50, KEEP_MS = 60000; // how long a file that is being saved stays
const isActive = (/** @type {any} */ cell) => cell.state === "queued" || cell.state === "leased" || cell.state === "running";
const nameOf = (/** @type {any} */ axis) => t(`grid.param.${axis.parameter}`) + (axis.lora ? ` ${axis.lora}` : "");

/** What a value is called: models and styles have names. @param {any} axis @param {string} label */
function labelOf(axis, label) {
  if (axis?.parameter === "model") return (store.get().pictureModels ?? []).find((one) => one.id === label)?.name ?? label;
  if (axis?.parameter === "style") return label ? store.get().styles.find((one) => one.id === label)?.name ?? label : t("grid.default");
  return label === "" ? "—" : label;
}
/** "Steps by Sampler" @param {any} grid */
const axesOf = (grid) => grid.axes.map(nameOf).reduce((/** @type {string} */ a, /** @type {string} */ b) => t("grid.by", { a, b }));

/** @param {HTMLElement} root @param {import("../router.js").Route} route */
export const mountGrids = (root, route) => route.id ? mountOne(root, route.id) : mountList(root);

/** @param {HTMLElement} root */
function mountList(root) {
  let closed = false;
  /** @type {string|null} */ let next = null;
  const list = h("ul", { class: "grid-list" }), empty = h("div", { class: "empty", hidden: true }), older = h("button", { class: "button", hidden: true, onclick: () => load(true) }, t("create.older"));
  replace(root, h("div", { class: "page" }, h("div", { class: "page-inner" }, h("div", { class: "page-head" }, h("h1", {}, t("grids.title")), h("a", { class: "button", href: "/create" }, icon("create"), t("nav.create"))), list, empty, h("div", { class: "row center" }, older))));
  async function load(more = false) {
    try {
      const page = await api.get(`/grids${api.query({ limit: PAGE, after: more ? next : null })}`);
      if (closed) return;
      next = page.next;
      if (!more) replace(list);
      for (const grid of page.items) list.append(h("li", {}, h("a", { class: "grid-row", href: `/grids/${grid.id}` },
        h("span", { class: "thumb" }, grid.cover_id && h("img", { src: fileOf({ id: grid.cover_id }, 128), alt: "", loading: "lazy" })),
        h("span", { class: "grow" }, h("span", { class: "block grid-prompt" }, grid.prompt || t("job.untitled")), h("span", { class: "block muted small" }, [axesOf(grid), t("grid.state", { done: grid.done_count, count: grid.count }), moment(grid.created_at)].join(" · "))))));
      older.hidden = !next;
      empty.hidden = list.childElementCount > 0;
      list.hidden = !empty.hidden;
      if (!empty.hidden) replace(empty, h("h2", {}, t("grids.empty.title")), h("p", {}, t("grids.empty.text")), h("a", { class: "button primary", href: "/create" }, icon("create"), t("grids.empty.go")));
    } catch (error) { if (!closed && !more) failed(root, error, () => mountList(root)); else toast(/** @type {Error} */ (error).message, { bad: true, error }); }
  }
  return { ready: load(), reset: () => { load(); }, dispose: () => { closed = true; } };
}

/** @param {HTMLElement} root @param {string} id */
function mountOne(root, id) {
  /** @type {any} */ let grid = null;
  /** @type {any} */ let viewer = null;
  /** @type {string|null} */ let open = null;
  let closed = false, frame = 0;
  /** @type {Map<string, any>} cells by job */ const cells = new Map();
  const title = h("h1", { class: "grid-prompt" }, t("grids.title")), facts = h("p", { class: "muted small" }), said = h("p", { class: "small", role: "status" }), bar = h("progress", { max: 1, value: 0, "aria-label": t("job.progress"), hidden: true }), tools = h("div", { class: "row tight" }), place = h("div", { class: "grid-tables" });
  const page = h("div", { class: "page" }, h("div", { class: "page-inner wide-inner" }, h("a", { class: "small muted", href: "/grids" }, t("grids.title")), h("div", { class: "page-head" }, title, tools), facts, said, bar, place));
  const box = h("div", { class: "grid-one" }, page);
  replace(root, box);

  const axis = (/** @type {string} */ name) => grid.axes.find((/** @type {any} */ one) => one.axis === name);
  /** "Steps 20, Sampler euler" @param {any} cell */
  const describe = (cell) => grid.axes.map((/** @type {any} */ one) => `${nameOf(one)} ${labelOf(one, one.labels[cell[one.axis]])}`).join(", ");
  const shown = () => grid.cells.map((/** @type {any} */ cell) => cell.assets[0]).filter((/** @type {any} */ one) => one && !one.deleted_at);

  /** What the events say of a cell's job stands above what was read. @param {any} cell */
  function follow(cell) {
    const job = store.get().jobs[cell.job_id];
    if (!job || cell.job === job || (isActive(job) && !isActive(cell))) return false; // what has ended stays ended
    cell.job = job;
    cell.state = job.state;
    cell.error_detail = job.error_detail;
    cell.assets = job.assets?.length ? job.assets : cell.assets;
    return true;
  }

  /** @param {any} cell */
  function makeCell(cell) {
    const node = h("td", {}), wait = ring();
    let key = "";
    const update = () => {
      const asset = cell.assets[0], now = asset ? `${asset.id} ${asset.deleted_at}` : cell.state;
      wait.set(share(cell.job ?? cell));
      if (now === key) return;
      key = now;
      const had = node.contains(document.activeElement);
      if (asset && !asset.deleted_at) {
        replace(node, h("a", { href: `/library/${asset.id}`, class: "grid-cell", "aria-label": t("grid.cell.done", { name: describe(cell) }), onclick: (/** @type {MouseEvent} */ event) => { if (event.button || event.metaKey || event.ctrlKey || event.shiftKey) return; event.preventDefault(); show(asset); } },
          h("img", { ...faceOf(asset, 512), alt: "", width: asset.width, height: asset.height, loading: "lazy", decoding: "async", draggable: "false" })));
        if (had) node.querySelector("a").focus();
      } else {
        const words = t(cell.state === "done" ? "grid.cell.none" : `grid.cell.${cell.state}`);
        replace(node, h("div", { class: `grid-cell waiting ${cell.state}`, title: cell.error_detail ?? "" }, cell.state === "running" && wait.box, h("span", { class: "small" }, words), cell.state === "failed" && h("span", { class: "small muted grid-why" }, cell.error_detail ?? "")));
      }
    };
    update();
    cells.set(cell.job_id, { cell, update });
    return node;
  }

  function drawTables() {
    cells.clear();
    const x = axis("x"), y = axis("y"), z = axis("z");
    replace(place, tables(grid).map((one) => h("div", { class: "grid-scroll", tabindex: 0, role: "region", "aria-label": `${t("grid.table", { prompt: grid.prompt })}${z ? `, ${nameOf(z)} ${labelOf(z, one.label ?? "")}` : ""}` },
      h("table", { class: "grid-table" }, z && h("caption", {}, h("span", { class: "muted" }, `${nameOf(z)} `), labelOf(z, one.label ?? "")),
        h("thead", {}, h("tr", {}, h("td", { class: "corner small muted" }, h("span", {}, `${nameOf(x)} →`), y && h("span", {}, `${nameOf(y)} ↓`)), x.labels.map((/** @type {string} */ label) => h("th", { scope: "col" }, labelOf(x, label))))),
        h("tbody", {}, one.rows.map((row) => h("tr", {}, y ? h("th", { scope: "row" }, labelOf(y, row.label ?? "")) : h("td", { class: "corner" }), row.cells.map((cell) => cell ? makeCell(cell) : h("td", {})))))))));
  }

  function drawHead() {
    const done = grid.cells.filter((/** @type {any} */ one) => one.assets.length).length, active = grid.cells.some(isActive), bad = grid.cells.filter((/** @type {any} */ one) => !isActive(one) && !one.assets.length).length;
    const text = [t("grid.state", { done, count: grid.count }), bad ? t("grid.failed", { count: bad }) : null].filter(Boolean).join(" · ");
    if (said.textContent !== text) said.textContent = text;
    bar.hidden = !active;
    bar.value = (done + bad) / grid.count;
    const key = `${active} ${done > 0} ${bad > 0}`;
    if (tools.dataset.key !== key) {
      tools.dataset.key = key;
      const had = tools.contains(document.activeElement);
      replace(tools, active && h("button", { class: "button", onclick: cancel }, icon("close"), t("grid.cancel")), !active && bad > 0 && h("button", { class: "button", onclick: again }, icon("again"), t("grid.again")), done > 0 && h("button", { class: "button", onclick: sheet }, icon("download"), t("grid.sheet")), h("button", { class: "button quiet", onclick: remove }, icon("trash"), t("common.delete")));
      if (had) tools.querySelector("button")?.focus();
    }
    return { active, done };
  }

  let wasActive = false;
  function draw() {
    frame = 0;
    if (closed || !grid) return;
    let changed = false;
    for (const one of cells.values()) if (follow(one.cell)) { one.update(); changed = true; }
    if (!changed) return;
    const { active, done } = drawHead();
    if (wasActive && !active) announce(t("grid.finished", { done, count: grid.count }));
    wasActive = active;
  }

  function take(/** @type {any} */ fresh) {
    if (closed) return;
    grid = fresh;
    for (const cell of grid.cells) follow(cell);
    title.textContent = grid.prompt || t("job.untitled");
    document.title = `${grid.prompt || t("grids.title")} · ${t("app.name")}`;
    facts.textContent = [axesOf(grid), (store.get().pictureModels ?? []).find((one) => one.id === grid.model)?.name ?? grid.model.split("/").pop(), moment(grid.created_at)].join(" · ");
    drawTables();
    wasActive = drawHead().active;
  }

  async function load() {
    try {
      const [fresh] = await Promise.all([api.get(`/grids/${id}`), store.get().pictureModels && store.get().styles.length ? null : loadPictures()]);
      take(fresh);
      if (fresh.state === "active") api.get("/jobs?state=active&limit=200").then((it) => store.dispatch({ type: "jobs.loaded", items: it.items })).catch(() => {});
    } catch (error) { if (!closed) failed(place, error, load); }
  }

  const cancel = () => attempt(async () => { take(await api.post(`/grids/${id}/cancel`)); place.focus(); });
  const again = () => attempt(async () => { take(await api.post(`/grids/${id}/retry`, {}, { key: crypto.randomUUID?.() ?? String(Math.random()) })); announce(t("create.queued")); });
  function remove() {
    const close = dialog(t("grid.delete"), h("div", { class: "stack" }, h("p", {}, t("grid.delete.text")), h("button", { class: "button danger", onclick: () => attempt(async () => { await api.del(`/grids/${id}`); close(); toast(t("grid.deleted")); go("/grids"); }) }, icon("trash"), t("grid.delete"))));
  }
  const sheet = () => attempt(async () => {
    announce(t("grid.sheet.wait"));
    const { makeSheet } = await import("../pictures/grid-sheet.js");
    const url = URL.createObjectURL(await makeSheet(grid, nameOf, labelOf)), link = h("a", { href: url, download: `${id}.png`, hidden: true });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), KEEP_MS);
  });

  /** @param {any} asset */
  function show(asset) {
    const fresh = !viewer;
    open = asset.id;
    viewer ??= mountViewer(box, on);
    page.inert = true;
    viewer.show(asset);
    if (fresh) viewer.focus();
  }
  const on = {
    close: () => {
      if (!viewer) return;
      viewer.dispose();
      viewer = null;
      page.inert = false;
      place.querySelector(`a[href="/library/${open}"]`)?.focus();
      open = null;
    },
    step: (/** @type {number} */ by) => { const all = shown(), one = all[all.findIndex((/** @type {any} */ it) => it.id === open) + by]; if (one) show(one); return one; },
    place: (/** @type {string} */ asset) => { const all = shown(), at = all.findIndex((/** @type {any} */ it) => it.id === asset); return at < 0 ? null : { at, all: all.length }; },
  };

  const off = store.subscribe((state, old) => {
    if (state.assetChange !== old.assetChange && grid && state.assetChange) {
      const { type, id: gone, asset } = state.assetChange;
      for (const one of cells.values()) one.cell.assets = one.cell.assets.map((/** @type {any} */ it) => type === "asset.updated" && it.id === asset?.id ? asset : type === "asset.deleted" && it.id === gone ? { ...it, deleted_at: new Date().toISOString() } : it);
      for (const one of cells.values()) one.update();
      if (viewer && type === "asset.deleted" && gone === open) on.close();
    }
    if (state.jobs !== old.jobs && !frame) frame = requestAnimationFrame(draw);
  });
  const ready = load();
  return {
    ready, reset: () => { load(); },
    toggleDetails: () => viewer?.actions.info(),
    get actions() { return viewer ? viewer.actions : {}; },
    dispose: () => { closed = true; off(); cancelAnimationFrame(frame); viewer?.dispose(); },
  };
}
