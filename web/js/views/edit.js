/**
 * edit.js - edit one picture: paint what shall be made anew, drag the frame outward, or say in words what should change.
 *
 * The result stands beside the canvas and can be edited further; each remembers its parent and its mask.
 */
import { debounce, field, h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { go } from "../router.js";
import { announce, attempt, copy, failed, toast } from "../components/ui.js";
import { jobCard } from "../components/job-card.js";
import { mountCanvas } from "../components/canvas.js";
import { uploadInput } from "../components/create-panel.js";
import { fit, param } from "../pictures/form.js";
import { extended, fitFrame } from "../pictures/mask.js";
import { fileOf, modelFor, submit } from "../pictures/actions.js";
import * as draft from "../pictures/draft.js";
import { forget, keep, keepNow, kept, maskOf } from "../pictures/canvas-store.js";
import { jobVerbs, loadPictures } from "./create.js";

const TOOLS = /** @type {const} */ (["brush", "eraser", "lasso", "pan"]);
const KEEP_MS = 400;
const SIDES = /** @type {const} */ (["left", "top", "right", "bottom"]);

/** @param {HTMLElement} root @param {string} id */
export function mountEdit(root, id) {
  let closed = false, mode = "mask", sending = false;
  /** @type {any} */ let asset = null;
  /** @type {any} */ let canvas = null;
  /** @type {string|null} */ let chosen = draft.get().model;
  /** @type {string[]} */ let mine = [];
  /** @type {Map<string, any>} */ const cards = new Map();
  let strength = 0.9, blur = 8;

  const stage = h("div", { class: "paint-stage" }), tools = h("div", { class: "paint-tools", role: "toolbar", "aria-label": t("canvas.tools") });
  const prompt = h("textarea", { class: "input", id: "picture-prompt", rows: 3, "aria-label": t("create.prompt"), maxlength: 10000 });
  const modes = h("div", { class: "segments", role: "radiogroup", "aria-label": t("canvas.mode") }), model = h("select", { class: "input", onchange: () => { chosen = model.value; touch(); draw(); } }), hint = h("p", { class: "hint warn-text", role: "status" });
  const options = h("div", { class: "stack" }), results = h("div", { class: "job-list" }), goButton = h("button", { class: "button primary generate" }, t("create.go"));
  const panel = h("form", { class: "create-panel", "aria-label": t("canvas.title"), novalidate: true, onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); generate(); } },
    h("div", { class: "create-fields" }, h("div", { class: "row tight" }, h("a", { class: "icon-button", href: "/create", "aria-label": t("common.back") }, icon("left")), h("h1", { class: "grow" }, t("canvas.title"))), modes, h("div", { class: "prompt-box" }, prompt), field(t("create.model"), model), hint, options, results),
    h("div", { class: "create-go" }, goButton));
  replace(root, h("div", { class: "create edit" }, panel, h("section", { class: "paint-area", "aria-label": t("canvas.area") }, tools, stage, h("p", { class: "visually-hidden", id: "canvas-keys" }, t("canvas.keys")))));

  const key = `${store.get().status?.user?.id ?? ""}/${id}`;
  let restored = false, dirty = false, saving = 0;
  /** What stands here is kept in the browser a moment after each change, and when the page goes away. */
  const save = () => {
    if (!dirty || !canvas || !restored) return;
    dirty = false;
    saving++;
    keep(key, state()).finally(() => saving--);
  };
  const state = () => ({ mask: canvas.mask.read(), width: asset.width, height: asset.height, frame: canvas.frame(), tool: canvas.tool(), size: canvas.size(), prompt: prompt.value, mode, strength, model: chosen });
  const leave = () => { if (canvas && restored && (dirty || saving)) { dirty = false; keepNow(key, state()); } };
  const saveSoon = debounce(save, KEEP_MS);
  const touch = () => { dirty = true; saveSoon(); };
  prompt.addEventListener("input", touch);
  addEventListener("pagehide", leave);
  async function restore() {
    const was = await kept(key);
    if (closed || !canvas) return;
    if (!dirty && was && was.width === asset.width && was.height === asset.height) {
      const picture = await maskOf(was);
      if (closed) return;
      if (!dirty) put(was, picture); // whoever was quicker than the store has begun anew
    }
    restored = true;
    if (dirty) saveSoon();
  }
  /** @param {any} was @param {any} picture */
  function put(was, picture) {
    if (picture) canvas.mask.load(picture);
    mode = was.mode === "instruct" ? "instruct" : "mask";
    strength = was.strength ?? strength;
    chosen = was.model ?? chosen;
    if (was.prompt) prompt.value = was.prompt;
    canvas.pick(TOOLS.includes(/** @type {any} */ (was.tool)) ? was.tool : "brush");
    canvas.resize(was.size);
    canvas.setFrame(was.frame);
    if (picture) { canvas.change(() => {}); announce(t("canvas.restored")); }
    dirty = false;
  }

  const task = () => (mode === "mask" ? "inpaint" : "edit");
  const able = () => (store.get().pictureModels ?? []).filter((one) => one.tasks.includes(task()));
  const current = () => able().find((one) => one.id === chosen) ?? modelFor(task()) ?? able()[0] ?? null;

  function drawTools() {
    if (!canvas) return;
    const had = tools.contains(document.activeElement) ? document.activeElement?.getAttribute("data-key") : null;
    const tool = (/** @type {typeof TOOLS[number]} */ name) => iconButton(name === "pan" ? "hand" : name, t(`canvas.${name}`), () => canvas.pick(name), { "aria-pressed": String(canvas.tool() === name), "data-key": name });
    const act = (/** @type {string} */ key, /** @type {string} */ name, /** @type {() => any} */ run, more = {}) => iconButton(name, t(`canvas.${key}`), () => canvas.change(run), { "data-key": key, ...more });
    const size = h("input", { type: "range", min: 1, max: Math.max(asset.width, asset.height) / 2, value: canvas.size(), "aria-label": t("canvas.size"), "data-key": "size", oninput: () => canvas.resize(Number(size.value)) });
    const file = h("input", { type: "file", accept: "image/*", hidden: true, onchange: () => maskFile(file.files[0]) });
    replace(tools, TOOLS.map(tool), size, h("span", { class: "bar" }), act("undo", "undo", () => canvas.mask.undo(), { disabled: !canvas.mask.canUndo() }), act("redo", "redo", () => canvas.mask.redo(), { disabled: !canvas.mask.canRedo() }), h("span", { class: "bar" }),
      act("invert", "invert", () => canvas.mask.invert()), act("blur", "blur", () => canvas.mask.blur(blur)), act("clear", "trash", () => canvas.mask.clear()), iconButton("again", t("canvas.begin"), () => begin(), { "data-key": "begin" }), iconButton("upload", t("canvas.file"), () => file.click(), { "data-key": "file" }), file, h("span", { class: "bar" }),
      iconButton("plus", t("canvas.zoom_in"), () => canvas.zoom(1.25), { "data-key": "in" }), iconButton("minus", t("canvas.zoom_out"), () => canvas.zoom(0.8), { "data-key": "out" }), iconButton("expand", t("canvas.fit"), () => canvas.fit(), { "data-key": "fit" }));
    if (had) /** @type {any} */ (tools.querySelector(`[data-key="${had}"]`))?.focus();
  }
  /** What a stroke changes, without building the tools anew while a finger is on one of them. */
  function touched() {
    touch();
    if (tools.contains(document.activeElement) && document.activeElement?.matches("input[type=range]")) return;
    drawTools();
    const frame = canvas.frame();
    for (const side of SIDES) { const input = options.querySelector(`[data-side=${side}]`); if (input && document.activeElement !== input) input.value = frame[side] || ""; }
  }
  /** Nothing painted, no frame, the words of the picture. */
  function begin() {
    canvas.change(() => canvas.mask.clear());
    canvas.setFrame({ left: 0, top: 0, right: 0, bottom: 0 });
    prompt.value = asset.prompt ?? "";
    draw();
    dirty = false;
    forget(key);
  }
  /** @param {File|undefined} file */
  const maskFile = (file) => file && attempt(async () => { const picture = await createImageBitmap(file); canvas.change(() => canvas.mask.load(picture)); });

  function draw() {
    if (closed || !asset) return;
    const list = able(), one = current();
    replace(modes, ["mask", "instruct"].map((name) => h("label", { class: "segment" }, h("input", { type: "radio", name: "edit-mode", class: "visually-hidden", checked: mode === name, onchange: () => { mode = name; touch(); draw(); /** @type {any} */ (modes.querySelector("input:checked"))?.focus(); } }), t(`canvas.mode.${name}`))));
    replace(model, list.map((it) => h("option", { value: it.id, selected: it.id === one?.id }, `${it.name} · ${it.provider_name}${it.ready ? "" : ` (${t("canvas.not_ready")})`}`)));
    model.disabled = list.length === 0;
    hint.hidden = !!one;
    replace(hint, t(mode === "mask" ? "canvas.none.mask" : "canvas.none.instruct"), " ", h("a", { href: "/settings/models" }, t("create.model.none.do")));
    prompt.placeholder = t(mode === "mask" ? "canvas.prompt.mask" : "canvas.prompt.instruct");
    goButton.disabled = !one || sending;
    tools.hidden = mode !== "mask";
    stage.classList.toggle("still", mode !== "mask");
    const how = param(one, "strength"), frame = canvas?.frame() ?? { left: 0, top: 0, right: 0, bottom: 0 };
    const slide = how && h("input", { type: "range", min: how.min ?? 0, max: how.max ?? 1, step: how.step ?? 0.01, value: strength, "aria-label": t("create.strength"), oninput: () => { strength = Number(slide.value); touch(); value.textContent = slide.value; } }), value = h("output", { class: "small muted" }, String(strength));
    replace(options, mode === "mask" && [slide && h("div", { class: "field" }, h("span", { class: "field-label", "aria-hidden": "true" }, t("create.strength")), h("div", { class: "slide" }, slide, value)),
      h("fieldset", { class: "field sides" }, h("legend", { class: "field-label" }, t("canvas.outpaint")), SIDES.map((side) => h("label", { class: "small" }, t(`canvas.${side}`), h("input", { class: "input", type: "number", inputmode: "numeric", min: 0, max: one?.size_max || 4096, step: one?.size_multiple || 8, value: frame[side] || "", placeholder: "0", "data-side": side, oninput: (/** @type {any} */ event) => canvas?.setFrame({ ...canvas.frame(), [side]: Math.max(0, Math.round(Number(event.target.value) || 0)) }) })))),
      field(t("canvas.blur_radius"), h("input", { class: "input small-number", type: "number", min: 1, max: 100, value: blur, oninput: (/** @type {any} */ event) => { blur = Math.max(1, Number(event.target.value) || 1); } }))]);
    drawTools();
  }

  async function generate() {
    const one = current();
    if (sending || !one || !canvas) return;
    if (!prompt.value.trim()) { toast(t("create.empty.prompt")); return prompt.focus(); }
    const wanted = canvas.frame(), frame = fitFrame(asset.width, asset.height, wanted, one), larger = SIDES.some((side) => frame[side] > 0);
    const whole = (/** @type {any} */ it) => SIDES.reduce((sum, side) => sum + it[side], 0);
    if (mode === "mask" && whole(frame) < whole(wanted)) return toast(t("canvas.too_large", { name: one.name, size: one.size_max }), { bad: true });
    if (mode === "mask" && !larger && canvas.mask.empty()) { toast(t("canvas.empty")); return canvas.element.focus(); }
    sending = true;
    goButton.disabled = true;
    const job = await attempt(async () => {
      /** @type {any} */ const body = { task: task(), model: one.id, prompt: prompt.value, init_asset: id, seed: -1 };
      if (mode === "mask") {
        const mask = await uploadInput(await canvas.mask.file(frame));
        if (!mask) return null;
        body.mask_asset = mask.id;
        if (larger) {
          const wide = await extended(canvas.image, asset.width, asset.height, frame), made = wide && await uploadInput(wide, id); // it knows what it was made of
          if (!made) return null;
          body.init_asset = made.id;
        }
        body.width = asset.width + frame.left + frame.right;
        body.height = asset.height + frame.top + frame.bottom;
        const how = param(one, "strength");
        if (how) body.strength = fit(how, larger ? Math.max(strength, 0.9) : strength);
      }
      return submit(body);
    });
    sending = false;
    goButton.disabled = false;
    if (!job) return;
    mine = [job.id, ...mine];
    announce(t("create.queued"));
    drawResults();
  }

  function drawResults() {
    const jobs = mine.map((one) => store.get().jobs[one]).filter(Boolean);
    for (const job of jobs) {
      let card = cards.get(job.id);
      if (!card) { const node = jobCard(job, { ...jobVerbs, remix: () => { draft.remixJob(job); go("/create"); }, copy: () => copy(job.prompt) }); cards.set(job.id, card = { job, node }); results.prepend(node); }
      if (card.job !== job) { card.job = job; card.node.update(job); }
      if (job.state === "done" && job.assets?.[0] && !card.further) {
        card.further = true;
        card.node.append(h("a", { class: "button small", href: `/create/edit/${job.assets[0].id}` }, icon("brush"), t("canvas.further")));
        announce(t("job.finished", { count: 1, prompt: job.prompt }));
      }
    }
  }

  async function load() {
    try {
      asset = await api.get(`/assets/${id}`);
      const image = new Image();
      image.alt = "";
      await new Promise((done, fail) => { image.onload = done; image.onerror = () => fail(new Error(t("canvas.unreadable"))); image.src = fileOf(asset); });
      if (closed) return;
      canvas = mountCanvas(image, asset.width || image.naturalWidth, asset.height || image.naturalHeight, { changed: touched });
      replace(stage, canvas.element);
      if (!prompt.value) prompt.value = asset.prompt ?? "";
      await restore();
      if (!closed) draw();
    } catch (error) { if (!closed) failed(stage, error, load); }
  }
  const off = store.subscribe((state, old) => { if (state.jobs !== old.jobs) drawResults(); if (state.pictureModels !== old.pictureModels) draw(); });
  if (!store.get().pictureModels) loadPictures();
  const ready = load();
  const withCanvas = (/** @type {() => any} */ run) => () => { if (!canvas || mode !== "mask") return false; run(); return true; };
  return {
    ready, actions: {
      generate: () => { generate(); return true; }, focus_prompt: () => { prompt.focus(); return true; }, stop: () => { go(`/library/${id}`); return true; },
      ...Object.fromEntries(TOOLS.map((name) => [name, withCanvas(() => canvas.pick(name))])),
      smaller: withCanvas(() => canvas.resize(canvas.size() * 0.8)), larger: withCanvas(() => canvas.resize(Math.max(canvas.size() + 1, canvas.size() * 1.25))),
      undo: withCanvas(() => canvas.change(() => canvas.mask.undo())), redo: withCanvas(() => canvas.change(() => canvas.mask.redo())),
    },
    dispose: () => { save(); closed = true; off(); removeEventListener("pagehide", leave); canvas?.dispose(); },
  };
}
