/**
 * create.js - Create: the form at the left, the stream of jobs and their pictures at the right, newest first.
 *
 * Jobs live on the server; the page reads what is active and what ended last, and follows the events. Nothing is modal.
 */
import { debounce, h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { announce, attempt, copy, toast } from "../components/ui.js";
import { isActive, jobCard } from "../components/job-card.js";
import { chosenModel, createPanel, uploadInput } from "../components/create-panel.js";
import { askOf, controlTypes, recalled } from "../pictures/form.js";
import * as draft from "../pictures/draft.js";
import { modelFor, submit } from "../pictures/actions.js";
import { mountWorkflowForm } from "../components/workflow-form.js";
import { labelOf } from "../components/workflow-table.js";
import { missingOf } from "../pictures/workflow.js";
import { mountGridForm } from "./grid-form.js";

const PAGE = 30, FOLLOW_MS = 200;
const SAMPLES = ["one", "two", "three", "four"];

/** Models, styles and the queue, once. */
export async function loadPictures() {
  const set = (/** @type {string} */ key, /** @type {Promise<any>} */ what) => what.then((value) => store.dispatch({ type: "set", values: { [key]: value } })).catch(() => {});
  await Promise.all([set("pictureModels", api.get("/picture-models").then((page) => page.items)), store.get().styles.length ? null : set("styles", api.all("/styles")), set("queue", api.get("/queue"))]);
}

/** Places in the line are not events: when the queue changes, what waits is asked for. Returns how to stop. @returns {() => void} */
export function followQueue() {
  const ask = debounce(() => { if (Object.values(store.get().jobs).some((job) => job.state === "queued")) api.get("/jobs?state=active&limit=200").then((page) => store.dispatch({ type: "jobs.loaded", items: page.items })).catch(() => {}); }, FOLLOW_MS);
  return store.subscribe((state, old) => { if (state.queue !== old.queue) ask(); });
}

/** A job's own verbs, also for Activity. */
export const jobVerbs = {
  cancel: (/** @type {any} */ job) => attempt(async () => store.dispatch({ type: "job.updated", job: await api.post(`/jobs/${job.id}/cancel`) })),
  retry: (/** @type {any} */ job) => attempt(async () => store.dispatch({ type: "job.updated", job: await api.post(`/jobs/${job.id}/retry`) })),
};

/** @param {HTMLElement} root */
export function mountCreate(root) {
  let closed = false, loading = false, sending = 0;
  /** @type {string|null} */ let next = null;
  /** @type {Map<string, any>} */ const cards = new Map();
  /** @type {string|undefined} */ let shown; // the model that the empty state speaks of
  let edge = ""; // older jobs than this one are shown only after "older"

  const panel = createPanel((front) => generate(front), (file) => take(file, true));
  const list = h("div", { class: "job-list" }), dropped = h("div", { class: "card dropped", hidden: true, role: "region", "aria-label": t("create.dropped") });
  const empty = h("div", { class: "empty create-empty", hidden: true });
  const paused = h("div", { class: "notice row between", role: "status", hidden: true }, t("job.paused"), h("button", { class: "button small", onclick: () => attempt(async () => store.dispatch({ type: "queue.updated", queue: await api.post("/queue/resume") })) }, icon("play"), t("job.resume")));
  const older = h("button", { class: "button", hidden: true, onclick: () => load(true) }, t("create.older"));
  const stream = h("section", { class: "stream", "aria-label": t("create.results") }, dropped, paused, list, empty, h("div", { class: "row center" }, older));
  const box = h("div", { class: "create" }, panel, stream);
  replace(root, box);
  const endGrid = mountGridForm(panel), endWorkflow = mountWorkflowForm(panel);

  const on = {
    ...jobVerbs,
    remix: (/** @type {any} */ job) => { draft.remixJob(job); panel.prompt.focus(); },
    copy: (/** @type {any} */ job) => copy(job.prompt),
  };

  async function generate(/** @type {boolean} */ front) {
    const model = chosenModel(), now = draft.get();
    const lacking = missingOf(now)[0];
    if (lacking) return void toast(t("workflows.form.lacking", { name: labelOf(lacking) }), { bad: true });
    if (!now.workflow && !now.prompt.trim() && !now.init) { toast(t("create.empty.prompt")); panel.prompt.focus(); return; }
    if (!model) return void toast(t("create.empty.none"), { bad: true });
    sending++;
    panel.remember(now.prompt);
    const job = await attempt(() => submit({ ...askOf(model, now), model: model.id }, { front }));
    const enlarge = job && now.then_upscale && modelFor("upscale");
    if (enlarge) await attempt(() => submit({ task: "upscale", model: enlarge.id, prompt: "", depends_on: job.id }, { front }));
    sending--;
    if (!job) return;
    if (now.not_before) draft.set({ not_before: "" }); // it was said of this one
    announce(t("create.queued"));
    draw();
    if (matchMedia("(min-width: 900px)").matches) stream.scrollTo({ top: 0 });
    else { panel.prompt.blur(); stream.scrollIntoView({ block: "start", behavior: "smooth" }); }
  }

  function drawEmpty() {
    const models = store.get().pictureModels, model = chosenModel();
    shown = model?.id;
    empty.hidden = cards.size > 0 || loading;
    if (empty.hidden) return;
    const links = h("div", { class: "row center" }, h("a", { class: "button", href: "/settings/models" }, icon("download"), t("create.empty.catalogue")), h("a", { class: "button", href: "/settings/providers" }, icon("link"), t("create.empty.keys")));
    if (models && !models.length) return replace(empty, h("h2", {}, t("create.empty.title")), h("p", {}, t("create.empty.none")), links);
    const samples = model?.samples?.length ? model.samples : SAMPLES.map((one) => t(`create.sample.${one}`)); // its own: what it is good at
    replace(empty, h("h2", {}, t("create.empty.title")), h("p", {}, t("create.empty.text")),
      h("div", { class: "samples" }, samples.map((/** @type {string} */ one) => h("button", { type: "button", class: "sample", onclick: () => { draft.set({ prompt: one }); panel.prompt.focus(); } }, one))),
      model && h("p", { class: "small" }, t("create.empty.starter", { name: model.name, description: model.description ?? "" })), model?.starter && h("p", { class: "small" }, t("create.empty.more")), links);
  }

  function draw() {
    if (closed) return;
    const jobs = Object.values(store.get().jobs).filter((job) => job.id >= edge || isActive(job)).sort((a, b) => (a.id < b.id ? 1 : -1));
    const keep = new Set(jobs.map((one) => one.id));
    for (const [id, card] of cards) if (!keep.has(id)) { card.node.remove(); cards.delete(id); }
    /** @type {any} */ let before = null;
    for (const job of jobs) {
      let card = cards.get(job.id);
      if (!card) cards.set(job.id, card = { job, node: jobCard(job, on) });
      else if (card.job !== job) {
        if (isActive(card.job) && job.state === "done") announce(t("job.finished", { count: job.assets?.length ?? 0, prompt: job.prompt }));
        if (isActive(card.job) && job.state === "failed") announce(t("job.failed"));
        card.job = job;
        card.node.update(job);
      }
      if (card.node.previousElementSibling !== before || card.node.parentNode !== list) before ? before.after(card.node) : list.prepend(card.node);
      before = card.node;
    }
    const queue = store.get().queue;
    paused.hidden = !(queue?.paused || queue?.paused_all) || !jobs.some((job) => job.state === "queued");
    older.hidden = !next;
    drawEmpty();
  }

  async function load(more = false) {
    if (loading) return;
    loading = true;
    try {
      const [page, active] = await Promise.all([api.get(`/jobs${api.query({ limit: PAGE, after: more ? next : null })}`), more ? { items: [] } : api.get("/jobs?state=active&limit=200")]);
      next = page.next;
      edge = next ? page.items.at(-1)?.id ?? "" : "";
      loading = false;
      store.dispatch({ type: "jobs.loaded", items: [...page.items, ...active.items] });
    } catch (error) { loading = false; toast(/** @type {Error} */ (error).message, { bad: true, error }); }
    draw();
  }

  const readRecall = (/** @type {File} */ file) => api.send("POST", "/assets/recall", { raw: file, type: file.type }).then((answer) => answer.json()).catch(() => null);
  /** A picture came by drop, paste or choice: what shall it be? @param {File} file @param {boolean} [chosen] as input, when it tells nothing of how it was made */
  async function take(file, chosen = false) {
    const early = chosen ? await readRecall(file) : null;
    if (chosen && !early?.source && !early?.prompt) { const asset = await uploadInput(file); if (asset) draft.set({ init: asset, mask: null }); return; }
    const url = URL.createObjectURL(file);
    const end = () => { dropped.hidden = true; URL.revokeObjectURL(url); replace(dropped); };
    const button = (/** @type {string} */ label, /** @type {() => Promise<any>|void} */ run, kind = "") => h("button", { type: "button", class: `button small ${kind}`, onclick: async () => { await run(); end(); panel.prompt.focus(); } }, label);
    const use = async () => { const asset = await uploadInput(file); if (asset) draft.set({ init: asset, mask: null }); };
    const reference = async () => { const asset = await uploadInput(file); if (asset) draft.set({ references: [...draft.get().references, asset] }); };
    const control = async () => { const asset = await uploadInput(file); if (asset) draft.set({ control: asset }); };
    const found = h("div", { class: "row" }), text = h("p", { class: "small muted", role: "status" });
    const row = h("div", { class: "row" }, button(t("create.dropped.use"), use, "primary"), chosenModel()?.references_max > 0 && button(t("create.dropped.reference"), reference), controlTypes(chosenModel()).length > 0 && button(t("control.use"), control), found, iconButton("close", t("common.close"), end, { class: "icon-button small" }));
    replace(dropped, h("img", { src: url, alt: "" }), h("div", { class: "grow stack tight" }, h("strong", {}, t("create.dropped")), text, row));
    dropped.hidden = false;
    dropped.scrollIntoView({ block: matchMedia("(min-width: 900px)").matches ? "nearest" : "center" });
    row.querySelector("button")?.focus();
    const recall = early ?? await readRecall(file);
    if (!recall?.source && !recall?.prompt) return;
    text.textContent = t("create.dropped.found", { source: recall.source ?? "" });
    replace(found, button(t("create.dropped.recall"), () => { draft.set(recalled(draft.get(), known(recall))); toast(t("create.recalled")); }));
  }
  /** A model of another tool counts only when it is here too. @param {any} recall */
  const known = (recall) => {
    const own = recall.atelier ?? recall, model = (store.get().pictureModels ?? []).find((one) => one.id === own.model || one.remote_id === own.model || one.name === own.model);
    return { ...recall, ...(recall.atelier ?? {}), model: model?.id };
  };

  const picture = (/** @type {DataTransfer|null} */ data) => [...(data?.files ?? [])].find((one) => one.type.startsWith("image/"));
  const over = (/** @type {any} */ event) => { if ([...(event.dataTransfer?.types ?? [])].includes("Files")) { event.preventDefault(); box.classList.add("drop"); } };
  const leave = (/** @type {any} */ event) => { if (!box.contains(event.relatedTarget)) box.classList.remove("drop"); };
  const drop = (/** @type {any} */ event) => { box.classList.remove("drop"); const file = picture(event.dataTransfer); if (file) { event.preventDefault(); take(file); } };
  const paste = (/** @type {any} */ event) => {
    const file = picture(event.clipboardData);
    if (file) { event.preventDefault(); take(file); return; }
    const text = event.clipboardData?.getData("text") ?? "";
    if (event.target === panel.prompt && /\bSteps: \d+, .*\bSeed: \d+/s.test(text)) { // the text that A1111 writes
      event.preventDefault();
      attempt(async () => { const answer = await api.send("POST", "/assets/recall", { raw: text, type: "text/plain" }); draft.set(recalled(draft.get(), known(await answer.json()))); toast(t("create.recalled")); });
    }
  };
  box.addEventListener("dragover", over);
  box.addEventListener("dragleave", leave);
  box.addEventListener("drop", drop);
  document.addEventListener("paste", paste);

  let frame = 0;
  const unfollow = followQueue();
  const off = store.subscribe((state, old) => {
    if (state.jobs !== old.jobs || state.queue !== old.queue || state.pictureModels !== old.pictureModels) { if (!frame) frame = requestAnimationFrame(() => { frame = 0; draw(); }); }
    if (state.queue !== old.queue) panel.again();
  });
  const unchosen = draft.subscribe(() => { if (chosenModel()?.id !== shown) drawEmpty(); });
  loadPictures();
  const ready = load(), handed = draft.handed();
  if (handed) take(handed);
  if (matchMedia("(hover: hover)").matches) panel.prompt.focus();
  const tile = () => { const id = document.activeElement?.closest("[data-asset]")?.getAttribute("data-asset"); return id && Object.values(store.get().jobs).flatMap((job) => job.assets ?? []).find((one) => one.id === id); };
  const withTile = (/** @type {(asset: any, actions: any) => any} */ run) => () => { const asset = tile(); if (!asset) return false; import("../pictures/actions.js").then((actions) => run(asset, actions)); return true; };
  return {
    ready, reset: () => { load(); },
    actions: {
      generate: () => { generate(false); return true; }, generate_front: () => { generate(true); return true; },
      focus_prompt: () => { panel.prompt.focus(); return true; },
      history_back: () => panel.walk(1), history_forward: () => panel.walk(-1), weight_up: () => panel.weight(0.1), weight_down: () => panel.weight(-0.1),
      star: withTile((asset, actions) => actions.star(asset)), remix: withTile((asset, actions) => actions.remix(asset)), trash: withTile((asset, actions) => actions.trash([asset])),
      recall: withTile((asset, actions) => actions.recall(asset)), recall_seed: withTile((asset, actions) => actions.recall(asset, { seed: true })), recall_prompt: withTile((asset, actions) => actions.recall(asset, { prompt: true })),
    },
    dispose: () => { closed = true; off(); unchosen(); unfollow(); endGrid(); endWorkflow(); panel.dispose(); cancelAnimationFrame(frame); document.removeEventListener("paste", paste); },
  };
}
