/**
 * activity.js - every job in one list: what waits can be moved (drag, or Alt with the arrows), paused, cancelled; what
 * ended can be retried.
 */
import { h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { go } from "../router.js";
import { duration, moment, soon } from "../format.js";
import { announce, attempt, dialog, menu, toast } from "../components/ui.js";
import { canFollow, errorOf, isActive, isLater, price, ring, share, stateWords, thenUpscale, titleOf } from "../components/job-card.js";
import { faceOf } from "../pictures/actions.js";
import * as draft from "../pictures/draft.js";
import { followQueue, jobVerbs, loadPictures } from "./create.js";

const PAGE = 50;
const FILTERS = ["all", "active", "done", "failed", "cancelled"];
const PRIORITIES = [5, 0, -5];

/** As the queue will take them: what runs, then by place; what ended, newest first. @param {any} a @param {any} b */
function order(a, b) {
  const group = (/** @type {any} */ job) => job.state === "running" || job.state === "leased" ? 0 : job.state === "queued" ? 1 : 2;
  return group(a) - group(b) || (group(a) === 1 ? (a.position || 1e9) - (b.position || 1e9) || (a.id < b.id ? -1 : 1) : a.id < b.id ? 1 : -1);
}

/** @param {HTMLElement} root */
export function mountActivity(root) {
  let filter = "all", closed = false, loading = false, frame = 0, dragged = "";
  /** @type {string|null} */ let next = null;
  let edge = "";
  /** @type {Map<string, any>} */ const rows = new Map();
  const list = h("ul", { class: "activity-list", "aria-label": t("activity.jobs") }), empty = h("div", { class: "empty", hidden: true }), tools = h("div", { class: "row tight" });
  const chips = h("div", { class: "chips", role: "group", "aria-label": t("library.filters") });
  const older = h("button", { class: "button", hidden: true, onclick: () => load(true) }, t("create.older"));
  const hint = h("p", { class: "hint", id: "activity-hint" }, t("activity.hint"));
  replace(root, h("div", { class: "page" }, h("div", { class: "page-inner" }, h("div", { class: "page-head" }, h("h1", {}, t("nav.activity")), h("a", { class: "button quiet", href: "/grids" }, icon("library"), t("grids.title")), tools), chips, hint, list, empty, h("div", { class: "row center" }, older))));

  const matches = (/** @type {any} */ job) => filter === "all" || (filter === "active" ? isActive(job) : job.state === filter);

  /** @param {any} job @param {any} change @param {string} said */
  const move = (job, change, said) => attempt(async () => { store.dispatch({ type: "job.updated", job: await api.patch(`/jobs/${job.id}`, change) }); store.dispatch({ type: "jobs.loaded", items: (await api.get("/jobs?state=active&limit=200")).items }); announce(said); });
  const waiting = () => Object.values(store.get().jobs).filter((one) => one.state === "queued").sort(order);
  /** @param {any} job @param {number} by */
  function shift(job, by) {
    const all = waiting(), at = all.findIndex((one) => one.id === job.id), other = all[at + by];
    if (at < 0 || !other) return;
    move(job, by < 0 ? { before: other.id } : { after: other.id }, t("activity.moved", { n: at + by + 1, all: all.length }));
  }

  /** Not before a time of day. @param {any} job */
  function later(job) {
    const at = new Date(isLater(job) ? job.not_before : Date.now() + 3600000), local = new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
    const input = h("input", { class: "input", type: "datetime-local", value: local, required: true, "aria-label": t("create.later") });
    const close = dialog(t("activity.later"), h("form", { class: "stack", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); close(); move(job, { not_before: new Date(input.value).toISOString() }, t("job.not_before", { at: moment(new Date(input.value).toISOString()) })); } }, h("p", { class: "muted" }, titleOf(job)), input, h("button", { class: "button primary" }, t("common.save"))));
    input.focus();
  }

  /** @param {any} job */
  function rowMenu(job) {
    return [
      { label: t("job.remix"), icon: "remix", run: () => { draft.remixJob(job); go("/create"); } },
      ...(job.state === "queued" ? [{ label: t("activity.first"), icon: "up", run: () => { const [head] = waiting(); if (head && head.id !== job.id) move(job, { before: head.id }, t("activity.moved", { n: 1, all: waiting().length })); } }, ...(isLater(job) ? [{ label: t("create.later.remove"), icon: "play", run: () => { move(job, { not_before: null }, t("common.saved")); } }] : []), { label: t("activity.later"), icon: "clock", run: () => later(job) }, null, ...PRIORITIES.map((n) => ({ label: t(`activity.priority.${n > 0 ? "high" : n < 0 ? "low" : "normal"}`), checked: Math.sign(job.priority) === Math.sign(n), run: () => { move(job, { priority: n }, t("common.saved")); } }))] : []),
      ...(canFollow(job) ? [null, { label: t("job.then"), icon: "expand", run: () => { thenUpscale(job); } }] : []),
      ...(isActive(job) ? [null, { label: t("job.cancel"), icon: "close", danger: true, run: () => { jobVerbs.cancel(job); } }] : [{ label: t("job.retry"), icon: "again", run: () => { jobVerbs.retry(job); } }]),
    ];
  }

  /** @param {any} first */
  function makeRow(first) {
    let job = first;
    const wait = ring(), mark = h("span", { class: "activity-mark" }), words = h("span", { class: "activity-state small" }), facts = h("span", { class: "muted small" }), acts = h("span", { class: "row tight activity-acts" }), line = h("p", { class: "activity-prompt" }, titleOf(job)), bar = h("progress", { max: 1, value: 0, "aria-label": t("job.progress"), hidden: true });
    const grip = h("span", { class: "grip", "aria-hidden": "true" }, icon("grip"));
    const node = h("li", { class: "activity-row", tabindex: 0, dataset: { id: job.id }, "aria-describedby": "activity-hint" }, grip, mark, h("div", { class: "grow" }, line, h("div", { class: "activity-facts" }, words, facts), bar), acts);
    node.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
      if (event.target !== node && !(by && event.altKey)) return;
      if (by && event.altKey) { event.preventDefault(); if (job.state === "queued") shift(job, by); } else if (by && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); /** @type {any} */ (by > 0 ? node.nextElementSibling : node.previousElementSibling)?.focus(); } else if (event.key === "Delete" && isActive(job)) { event.preventDefault(); jobVerbs.cancel(job); }
    });
    node.addEventListener("dragstart", (/** @type {DragEvent} */ event) => { dragged = job.id; event.dataTransfer?.setData("text/plain", job.prompt); if (event.dataTransfer) event.dataTransfer.effectAllowed = "move"; requestAnimationFrame(() => node.classList.add("dragged")); });
    node.addEventListener("dragend", () => { dragged = ""; node.classList.remove("dragged"); });
    const below = (/** @type {DragEvent} */ event) => { const at = node.getBoundingClientRect(); return event.clientY > at.top + at.height / 2; };
    node.addEventListener("dragover", (/** @type {DragEvent} */ event) => { if (!dragged || dragged === job.id || job.state !== "queued") return; event.preventDefault(); node.classList.toggle("drop-below", below(event)); node.classList.toggle("drop-above", !below(event)); });
    node.addEventListener("dragleave", () => node.classList.remove("drop-below", "drop-above"));
    node.addEventListener("drop", (/** @type {DragEvent} */ event) => { const own = store.get().jobs[dragged]; node.classList.remove("drop-below", "drop-above"); if (!own || own.id === job.id) return; event.preventDefault(); const all = waiting(), at = all.findIndex((one) => one.id === job.id); move(own, below(event) ? { after: job.id } : { before: job.id }, t("activity.moved", { n: at + 1, all: all.length })); });
    let key = "";
    const update = (/** @type {any} */ now) => {
      job = now;
      const queued = job.state === "queued", running = isActive(job) && !queued, asset = (job.assets ?? []).find((/** @type {any} */ one) => !one.deleted_at);
      node.draggable = queued;
      node.className = `activity-row ${job.state}`;
      words.textContent = job.state === "failed" ? `${t("job.failed")}: ${errorOf(job)}` : stateWords(job);
      facts.textContent = [t(`task.${job.task}`), job.count > 1 ? `${job.done_count}/${job.count}` : null, job.request?.model_name ?? (job.model ?? "").split("/").pop(), job.finished_at && job.started_at ? duration((new Date(job.finished_at).getTime() - new Date(job.started_at).getTime()) / 1000) : null, job.cost_micro_usd ? price(job.cost_micro_usd) : null, soon(job.created_at)].filter(Boolean).join(" · ");
      const done = share(job);
      bar.hidden = !running;
      if (done === null) bar.removeAttribute("value"); else bar.value = (job.done_count + done) / (job.count || 1);
      wait.set(done);
      const fresh = `${job.state}${asset?.id}${job.priority}${job.not_before}`;
      if (fresh === key) return;
      key = fresh;
      const had = acts.contains(document.activeElement);
      replace(mark, asset ? h("a", { href: `/library/${asset.id}`, "aria-label": t("asset.open") }, h("img", { ...faceOf(asset, 128), alt: "", loading: "lazy" })) : running ? wait.box : icon(job.state === "failed" ? "info" : job.state === "cancelled" ? "close" : job.depends_on && queued ? "link" : queued ? "clock" : "image"));
      replace(acts, isActive(job) ? iconButton("close", t("job.cancel"), () => jobVerbs.cancel(job), { class: "icon-button small" }) : job.state !== "done" && iconButton("again", t("job.retry"), () => jobVerbs.retry(job), { class: "icon-button small" }),
        job.priority !== 0 && queued && h("span", { class: "chip" }, t(`activity.priority.${job.priority > 0 ? "high" : "low"}`)), iconButton("more", t("job.menu"), (event) => menu(event.currentTarget, rowMenu(job)), { class: "icon-button small" }));
      if (had) node.focus();
    };
    update(job);
    return { node, update, job };
  }

  function drawTools() {
    const queue = store.get().queue, active = Object.values(store.get().jobs).filter(isActive).length, paused = queue?.paused || queue?.paused_all;
    const had = tools.contains(document.activeElement) ? document.activeElement?.getAttribute("data-key") : null;
    replace(tools, h("button", { class: "button", "data-key": "pause", disabled: !!queue?.paused_all && !queue?.paused, onclick: () => attempt(async () => { const one = await api.post(`/queue/${queue?.paused ? "resume" : "pause"}`); store.dispatch({ type: "queue.updated", queue: one }); announce(t(one.paused ? "job.paused" : "activity.resumed")); }) }, icon(paused ? "play" : "pause"), t(paused ? "job.resume" : "activity.pause")),
      h("button", { class: "button", "data-key": "cancel", disabled: active === 0, onclick: cancelAll }, t("activity.cancel_all")));
    if (had) /** @type {any} */ (tools.querySelector(`[data-key="${had}"]`))?.focus();
  }
  const cancelAll = () => attempt(async () => {
    const gone = Object.values(store.get().jobs).filter(isActive).sort(order);
    const { cancelled } = await api.post("/jobs/cancel");
    toast(t("activity.cancelled", { count: cancelled }), { undo: () => attempt(async () => { for (const job of gone) store.dispatch({ type: "job.updated", job: await api.post(`/jobs/${job.id}/retry`) }); }) });
    await load();
  });
  const drawChips = () => replace(chips, FILTERS.map((one) => h("button", { type: "button", class: "chip", "aria-pressed": String(one === filter), onclick: (/** @type {any} */ event) => { filter = one; const at = [...chips.children].indexOf(event.currentTarget); drawChips(); /** @type {any} */ (chips.children[at]).focus(); load(); } }, t(`activity.filter.${one}`))));

  function draw() {
    frame = 0;
    if (closed) return;
    const jobs = Object.values(store.get().jobs).filter((job) => matches(job) && (job.id >= edge || isActive(job))).sort(order), keep = new Set(jobs.map((one) => one.id));
    for (const [id, row] of rows) if (!keep.has(id)) { const focused = row.node.contains(document.activeElement), after = row.node.nextElementSibling ?? row.node.previousElementSibling; row.node.remove(); rows.delete(id); if (focused) /** @type {any} */ (after)?.focus(); }
    /** @type {any} */ let before = null;
    for (const job of jobs) {
      let row = rows.get(job.id);
      if (!row) rows.set(job.id, row = makeRow(job)); else if (row.job !== job) { row.job = job; row.update(job); }
      if (row.node.previousElementSibling !== before || row.node.parentNode !== list) { const focused = row.node.contains(document.activeElement) ? document.activeElement : null; before ? before.after(row.node) : list.prepend(row.node); /** @type {any} */ (focused)?.focus(); }
      before = row.node;
    }
    hint.hidden = jobs.filter((job) => job.state === "queued").length < 2;
    list.hidden = jobs.length === 0;
    empty.hidden = jobs.length > 0 || loading;
    if (!empty.hidden) replace(empty, h("h2", {}, t(filter === "all" ? "activity.empty.title" : "activity.none")), filter === "all" && h("p", {}, t("activity.empty.text")), filter === "all" && h("a", { class: "button primary", href: "/create" }, icon("create"), t("create.empty.title")));
    older.hidden = !next;
    drawTools();
  }

  async function load(more = false) {
    loading = true;
    try {
      const state = filter === "all" ? null : filter;
      const [page, active] = await Promise.all([api.get(`/jobs${api.query({ state, limit: PAGE, after: more ? next : null })}`), more ? { items: [] } : api.get("/jobs?state=active&limit=200")]);
      next = page.next;
      edge = next ? page.items.at(-1)?.id ?? "" : "";
      loading = false;
      store.dispatch({ type: "jobs.loaded", items: [...page.items, ...active.items] });
    } catch (error) { loading = false; toast(/** @type {Error} */ (error).message, { bad: true, error }); }
    draw();
  }

  // a picture dropped here goes to Create, which asks what it shall be
  const over = (/** @type {DragEvent} */ event) => { if ([...(event.dataTransfer?.types ?? [])].includes("Files")) event.preventDefault(); };
  const drop = (/** @type {DragEvent} */ event) => { const file = [...(event.dataTransfer?.files ?? [])].find((one) => one.type.startsWith("image/")); if (file) { event.preventDefault(); draft.hand(file); go("/create"); } };
  root.addEventListener("dragover", over);
  root.addEventListener("drop", drop);
  const unfollow = followQueue();
  const off = store.subscribe((state, old) => { if ((state.jobs !== old.jobs || state.queue !== old.queue) && !frame) frame = requestAnimationFrame(draw); });
  drawChips();
  drawTools();
  if (!store.get().pictureModels) loadPictures(); // what can follow a job depends on them
  api.get("/queue").then((queue) => store.dispatch({ type: "queue.updated", queue })).catch(() => {});
  const ready = load();
  return { ready, reset: () => { load(); }, dispose: () => { closed = true; root.removeEventListener("dragover", over); root.removeEventListener("drop", drop); off(); unfollow(); cancelAnimationFrame(frame); } };
}
