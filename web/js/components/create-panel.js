/**
 * create-panel.js - the form of Create, made from what the chosen model takes. It holds nothing itself: every change goes
 * into the draft (pictures/draft.js), and a draft that others changed is drawn again.
 */
import { debounce, field, h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { duration, moment } from "../format.js";
import { SEED_MAX, aspects, askOf, controls, nearestAspect, param, ratio, taskOf, weigh } from "../pictures/form.js";
import * as draft from "../pictures/draft.js";
import { fileOf, modelFor } from "../pictures/actions.js";
import { attempt, toast } from "./ui.js";
import { stylesMenu } from "./styles.js";
import { styleChip } from "./style-chips.js";
import { controlAdd, controlDrop, drawControl } from "./control-input.js";
import { pickPicture, uploadInput } from "./picture-picker.js";
import { modelPicker } from "./model-picker.js";
import { price } from "./job-card.js";

const ESTIMATE_MS = 400;
const COUNTS = [1, 2, 3, 4, 6, 8, 12, 16];
const random = () => Math.floor(Math.random() * (SEED_MAX + 1));

/** The model that would paint: the chosen one, else the server's default. @returns {any} */
export function chosenModel() {
  const models = store.get().pictureModels ?? [], { model } = draft.get();
  return models.find((one) => one.id === model) ?? models.find((one) => one.is_default) ?? models.find((one) => one.ready) ?? models[0] ?? null;
}

export { uploadInput };

/** @param {(front: boolean) => void} generate @param {(file: File) => void} take a file of this device @returns {any} */
export function createPanel(generate, take) {
  /** @type {string[]} */ let history = [];
  let at = -1, before = "", closed = false;
  /** @type {any} */ let estimate = null;
  let more = sessionStorage.getItem("create-more") === "1";
  const set = (/** @type {any} */ change, quiet = true) => { draft.set(change, { quiet }); ask(); };

  const prompt = h("textarea", { class: "input", id: "picture-prompt", rows: 3, value: draft.get().prompt, placeholder: t("create.prompt.hint"), "aria-label": t("create.prompt"), maxlength: 10000, spellcheck: "true" });
  prompt.addEventListener("input", () => { at = -1; set({ prompt: prompt.value }); });
  const picker = modelPicker((id) => {
    const model = (store.get().pictureModels ?? []).find((one) => one.id === id), { width, height } = draft.get(), near = nearestAspect(model, width, height);
    set({ model: id, ...(near ? { width: near.width, height: near.height } : {}) }, false);
  });
  const styles = h("div", { class: "style-chips", role: "group", "aria-label": t("create.style") });
  const shape = h("div", { class: "shapes", role: "radiogroup", "aria-label": t("create.aspect") });
  const own = h("div", { class: "own-size" });
  const count = h("select", { class: "input", onchange: () => { set({ count: Number(count.value) }); drawLater(); } }, COUNTS.map((n) => h("option", { value: n }, n)));
  const character = h("select", { class: "input", onchange: () => set({ character_id: character.value || null }) });
  const input = h("div", { class: "input-picture" });
  const steer = h("div", { class: "input-picture control-input", role: "group", "aria-label": t("control.title"), hidden: true });
  const later = h("div", { class: "stack tight" });
  const extra = h("div", { class: "more-fields", id: "create-more", hidden: !more });
  const fold = h("button", { type: "button", class: "button quiet wide", "aria-expanded": String(more), "aria-controls": "create-more", onclick: () => { more = !more; sessionStorage.setItem("create-more", more ? "1" : ""); fold.setAttribute("aria-expanded", String(more)); extra.hidden = !more; drawFold(); } });
  const hint = h("p", { class: "hint warn-text", role: "status", hidden: true });
  const guess = h("span", { class: "estimate" });
  const go = h("button", { type: "submit", class: "button primary generate" }, h("span", {}, t("create.go")), guess);
  const enhanced = h("div", { class: "card enhanced", role: "region", "aria-label": t("create.enhance"), hidden: true });
  const enhance = h("button", { type: "button", class: "button quiet small", onclick: () => improve() }, icon("create"), t("create.enhance"));
  const form = h("form", { class: "create-panel", "aria-label": t("create.panel"), novalidate: true, onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); generate(false); } },
    h("div", { class: "create-fields" }, h("h1", { class: "visually-hidden" }, t("create.title")),
      h("div", { class: "prompt-box" }, prompt, h("div", { class: "row between prompt-tools" }, enhance, h("span", { class: "grow" }), h("a", { class: "icon-button small", href: "/settings/wildcards", "aria-label": t("wildcards.help"), title: t("wildcards.help") }, icon("info")), iconButton("image", t("create.input.choose"), () => pickPicture(t("create.input"), (asset) => set({ init: asset, mask: null }, false), take), { class: "icon-button small" }))), enhanced, input, steer,
      styles, picker, hint, h("div", { class: "pair" }, h("div", {}, h("span", { class: "field-label" }, t("create.aspect")), shape, own)),
      h("div", { class: "pair two" }, field(t("create.count"), count), field(t("create.character"), character)), later, fold, extra),
    h("div", { class: "create-go" }, go));

  const drawFold = () => replace(fold, icon(more ? "up" : "fold"), t(more ? "create.less" : "create.more"));
  function drawStyles() {
    const { style } = draft.get();
    replace(styles, store.get().styles.map((one) => styleChip(one, style === one.id, (/** @type {any} */ event) => { const on = draft.get().style === one.id; set({ style: on ? null : one.id }); for (const chip of styles.querySelectorAll("[aria-pressed]")) chip.setAttribute("aria-pressed", String(!on && chip === event.currentTarget)); })),
      h("button", { type: "button", class: "style-chip", "aria-label": t("styles.menu"), title: t("styles.menu"), "aria-haspopup": "menu", onclick: (/** @type {any} */ event) => stylesMenu(event.currentTarget, store.get().styles.find((one) => one.id === draft.get().style) ?? null, draft.get()) }, h("span", { class: "style-face plain" }, icon("more")), h("span", { class: "style-name", "aria-hidden": "true" }, t("styles.more"))));
  }

  function drawShapes(/** @type {any} */ model) {
    const all = aspects(model), near = nearestAspect(model, draft.get().width, draft.get().height);
    if (!draft.get().width && near) draft.set({ width: near.width, height: near.height }, { quiet: true });
    const now = draft.get();
    const free = model && !model.sizes?.length;
    const size = (/** @type {any} */ one) => { const by = 26 / Math.max(one.width, one.height); return [Math.round(one.width * by), Math.round(one.height * by)]; };
    replace(shape, all.map((one) => {
      const [w, hgt] = size(one), drawn = h("span", { class: "shape-box", "aria-hidden": "true" });
      drawn.style.width = `${w}px`; drawn.style.height = `${hgt}px`;
      const on = one.width === now.width && one.height === now.height;
      return h("label", { class: "shape", title: `${one.width} × ${one.height}` }, h("input", { type: "radio", name: "shape", class: "visually-hidden", checked: on, value: `${one.width}x${one.height}`, onchange: () => { set({ width: one.width, height: one.height }); drawOwn(model); } }), h("span", { class: "shape-frame" }, drawn), h("span", { class: "small" }, one.label), h("span", { class: "visually-hidden" }, `, ${one.width} × ${one.height}`));
    }));
    own.hidden = !free;
    drawOwn(model);
  }
  function drawOwn(/** @type {any} */ model) {
    if (!model || model.sizes?.length) return;
    const number = (/** @type {"width"|"height"} */ key) => h("input", { class: "input small-number", type: "number", inputmode: "numeric", min: model.size_min || 64, max: model.size_max || 4096, step: model.size_multiple || 8, value: draft.get()[key], "aria-label": t(`create.${key}`), onchange: (/** @type {any} */ event) => { const step = model.size_multiple || 8; const value = Math.round(Math.min(model.size_max || 4096, Math.max(model.size_min || 64, Number(event.target.value) || 0)) / step) * step; event.target.value = value; set({ [key]: value }); for (const radio of shape.querySelectorAll("input")) radio.checked = radio.value === `${draft.get().width}x${draft.get().height}`; } });
    replace(own, number("width"), h("span", { class: "muted", "aria-hidden": "true" }, "×"), number("height"), h("span", { class: "muted small" }, ratio(draft.get().width || 1, draft.get().height || 1)));
  }

  /** One of the model's parameters as a control. @param {any} it */
  function control(it) {
    const now = draft.get(), kept = it.extra ? now.extra : now.values, fallback = it.default ?? "";
    const put = (/** @type {any} */ value) => { const name = it.extra ? "extra" : "values", next = { ...draft.get()[name] }; if (value === "" || value === undefined) delete next[it.name]; else next[it.name] = value; set({ [name]: next }); };
    if (it.type === "boolean") return h("label", { class: "row check" }, h("input", { type: "checkbox", checked: kept[it.name] ?? fallback, onchange: (/** @type {any} */ event) => put(event.target.checked) }), it.label);
    if (it.type === "enum") return field(it.label, h("select", { class: "input", "aria-label": it.label, onchange: (/** @type {any} */ event) => put(event.target.value) }, h("option", { value: "" }, fallback === "" ? t("create.default") : `${fallback} (${t("create.default")})`), it.values.filter((/** @type {string} */ one) => one !== fallback).map((/** @type {string} */ one) => h("option", { value: one, selected: kept[it.name] === one }, one))));
    if (it.type === "string" && it.values?.length) { // what the service suggests; anything else may be typed
      const id = `values-${it.name}`;
      return h("div", { class: "field" }, field(it.label, h("input", { class: "input", list: id, value: kept[it.name] ?? "", placeholder: fallback || t("create.suggested", { count: it.values.length }), autocomplete: "off", oninput: (/** @type {any} */ event) => put(event.target.value) })), h("datalist", { id }, it.values.map((/** @type {string} */ one) => h("option", { value: one }))));
    }
    if (it.type === "string") return field(it.label, h("input", { class: "input", value: kept[it.name] ?? "", placeholder: fallback, oninput: (/** @type {any} */ event) => put(event.target.value) }));
    const bounded = fallback !== "" && typeof it.min === "number" && typeof it.max === "number" && it.max - it.min <= 1000;
    const step = it.step ?? (it.type === "integer" ? 1 : "any");
    const number = h("input", { class: "input small-number", type: "number", inputmode: it.type === "integer" ? "numeric" : "decimal", min: it.min ?? null, max: it.max ?? null, step, value: kept[it.name] ?? "", placeholder: fallback, "aria-label": it.label });
    const slide = bounded && h("input", { type: "range", min: it.min, max: it.max, step: step === "any" ? 0.1 : step, value: kept[it.name] ?? (fallback === "" ? it.min : fallback), "aria-label": it.label });
    number.addEventListener("input", () => { put(number.value === "" ? "" : Number(number.value)); if (slide) slide.value = number.value === "" ? fallback : number.value; });
    slide && slide.addEventListener("input", () => { number.value = slide.value; put(Number(slide.value)); });
    return h("div", { class: "field" }, h("span", { class: "field-label", "aria-hidden": "true" }, it.label), h("div", { class: "slide" }, slide, number));
  }

  function seedRow() {
    const now = draft.get();
    const number = h("input", { class: "input", type: "number", inputmode: "numeric", min: 0, max: SEED_MAX, step: 1, value: now.seed_locked ? now.seed : "", placeholder: t("create.seed.random"), "aria-label": t("create.seed") });
    const lock = iconButton("unlock", "", () => put(draft.get().seed_locked ? -1 : draft.get().seed || random()));
    // in place: a press that begins while the field loses the focus must still find its button
    const draw = () => { const { seed_locked } = draft.get(), text = t(seed_locked ? "create.seed.unlock" : "create.seed.lock"); replace(lock, icon(seed_locked ? "lock" : "unlock")); lock.title = text; lock.setAttribute("aria-label", text); lock.setAttribute("aria-pressed", String(seed_locked)); };
    const put = (/** @type {number} */ value) => { set(value < 0 ? { seed_locked: false } : { seed: value, seed_locked: true }); number.value = value < 0 ? "" : value; draw(); };
    number.addEventListener("input", () => { if (number.value === "") set({ seed_locked: false }); else set({ seed: Math.min(SEED_MAX, Math.max(0, Math.round(Number(number.value) || 0))), seed_locked: true }); draw(); });
    draw();
    return h("div", { class: "field" }, h("span", { class: "field-label", "aria-hidden": "true" }, t("create.seed")), h("div", { class: "row tight" }, number, iconButton("vary", t("create.seed.dice"), () => put(random())), lock));
  }

  /** LoRA and references: lists that grow. @param {any} model */
  function lists(model) {
    const now = draft.get();
    const change = (/** @type {number} */ index, /** @type {any} */ value) => set({ loras: draft.get().loras.map((/** @type {any} */ one, /** @type {number} */ i) => i === index ? { ...one, ...value } : one) });
    const loras = model?.loras && h("fieldset", { class: "field" }, h("legend", { class: "field-label" }, t("create.loras")), now.loras.map((/** @type {any} */ one, /** @type {number} */ index) => h("div", { class: "row tight lora" },
      h("input", { class: "input grow", value: one.name, list: "lora-names", placeholder: t("create.loras.name"), "aria-label": t("create.loras.name"), oninput: (/** @type {any} */ event) => change(index, { name: event.target.value.trim() }) }),
      h("input", { class: "input small-number", type: "number", min: -4, max: 4, step: 0.05, value: one.weight, "aria-label": t("create.loras.weight", { name: one.name || index + 1 }), oninput: (/** @type {any} */ event) => change(index, { weight: Number(event.target.value) || 0 }) }),
      iconButton("close", t("create.loras.remove", { name: one.name || index + 1 }), () => set({ loras: draft.get().loras.filter((/** @type {any} */ _, /** @type {number} */ i) => i !== index) }, false), { class: "icon-button small" }))),
      h("button", { type: "button", class: "button small", onclick: () => { set({ loras: [...draft.get().loras, { name: "", weight: 1 }] }, false); [...extra.querySelectorAll(".lora input")].at(-2)?.focus(); } }, icon("plus"), t("create.loras.add")));
    const references = model?.references_max > 0 && h("fieldset", { class: "field" }, h("legend", { class: "field-label" }, t("create.references")), h("div", { class: "row tight" }, now.references.map((/** @type {any} */ one) => h("span", { class: "thumb" }, h("img", { src: fileOf(one, 128), alt: "" }), iconButton("close", t("create.references.remove"), () => set({ references: draft.get().references.filter((/** @type {any} */ other) => other.id !== one.id) }, false), { class: "icon-button small" }))),
      now.references.length < model.references_max && h("button", { type: "button", class: "button small", onclick: () => pickPicture(t("create.references.add"), (asset) => set({ references: [...draft.get().references.filter((/** @type {any} */ other) => other.id !== asset.id), asset] }, false)) }, icon("plus"), t("create.references.add"))));
    return [loras, controlAdd(model), references];
  }

  /** What happens after it, and when it begins. */
  function drawLater() {
    const now = draft.get(), enlarge = modelFor("upscale");
    later.hidden = !enlarge && !now.not_before;
    replace(later, enlarge && h("label", { class: "row check", title: t("create.then.hint", { name: enlarge.name }) }, h("input", { type: "checkbox", checked: now.then_upscale, onchange: (/** @type {any} */ event) => set({ then_upscale: event.target.checked }) }), t(now.count > 1 ? "create.then.first" : "create.then")),
      now.not_before && h("div", { class: "row tight notice small" }, icon("clock"), h("span", { class: "grow" }, t("create.later.at", { at: moment(new Date(now.not_before).toISOString()) })), iconButton("close", t("create.later.remove"), () => set({ not_before: "" }, false), { class: "icon-button small" })));
  }
  const laterField = () => field(t("create.later"), h("input", { class: "input", type: "datetime-local", value: draft.get().not_before, onchange: (/** @type {any} */ event) => { set({ not_before: event.target.value }); drawLater(); } }), t("create.later.hint"));

  function drawInput(/** @type {any} */ model) {
    const now = draft.get();
    input.hidden = !now.init;
    if (!now.init) return;
    const strength = param(model, "strength"), edits = taskOf(model, now) === "edit";
    replace(input, h("div", { class: "row" }, h("span", { class: "thumb large" }, h("img", { src: fileOf(now.init, 256), alt: t("create.input.alt") }), now.mask && h("img", { class: "mask", src: fileOf(now.mask, 256), alt: "" })),
      h("div", { class: "grow stack tight" }, h("strong", {}, t(`task.${taskOf(model, now)}`)), edits && h("span", { class: "muted small" }, t("create.edit.hint")),
        h("div", { class: "row tight" }, model?.masks && h("a", { class: "button small", href: `/create/edit/${now.init.id}` }, icon("brush"), t("create.input.edit")), h("button", { type: "button", class: "button small quiet", onclick: () => { set({ init: null, mask: null }, false); prompt.focus(); } }, t("create.input.remove"))))),
      strength && !edits && control({ ...strength, name: "strength", label: t("create.strength"), default: strength.default ?? 0.75 }));
    const slide = input.querySelector("input[type=range]"), number = input.querySelector("input[type=number]");
    for (const one of [slide, number]) if (one) { /** @type {any} */ (one).value = now.strength; one.addEventListener("input", () => set({ strength: Number(/** @type {any} */ (one).value) })); }
  }

  function drawMore(/** @type {any} */ model) {
    const now = draft.get(), focused = /** @type {any} */ (document.activeElement)?.getAttribute?.("aria-label");
    const had = extra.contains(document.activeElement);
    const negative = model?.negative && h("textarea", { class: "input short", rows: 2, value: now.negative_prompt, placeholder: t("create.negative.hint"), oninput: (/** @type {any} */ event) => set({ negative_prompt: event.target.value }) });
    const vary = param(model, "subseed_strength");
    replace(extra, negative && field(t("create.negative"), negative), seedRow(), h("div", { class: "params" }, controls(model).map(control)),
      vary && h("div", { class: "params two" }, field(t("create.subseed_strength"), h("input", { class: "input", type: "number", min: 0, max: 1, step: 0.01, value: now.subseed_strength || "", placeholder: "0", oninput: (/** @type {any} */ event) => set({ subseed_strength: Number(event.target.value) || 0 }) })), field(t("create.subseed"), h("input", { class: "input", type: "number", min: 0, max: SEED_MAX, value: now.subseed || "", placeholder: "0", oninput: (/** @type {any} */ event) => set({ subseed: Number(event.target.value) || 0 }) }))), lists(model), laterField());
    if (had && focused) /** @type {any} */ ([...extra.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === focused))?.focus();
  }

  function drawCharacters() {
    const list = (store.get().characters ?? []).filter((one) => !one.archived_at), now = draft.get().character_id;
    replace(character, h("option", { value: "" }, t("create.character.none")), list.map((one) => h("option", { value: one.id, selected: one.id === now }, one.name)));
  }

  function draw() {
    if (closed) return;
    const model = chosenModel(), now = draft.get();
    if (prompt.value !== now.prompt) prompt.value = now.prompt;
    count.value = String(now.count);
    picker.update(store.get().pictureModels ?? [], model);
    const cannot = now.init && model && !model.tasks.includes(taskOf(model, now));
    hint.hidden = !cannot;
    if (cannot) hint.textContent = t("create.input.cannot", { name: model.name });
    drawStyles(); drawShapes(model); drawInput(model); drawControl(steer, model, (change, quiet = true) => set(change, quiet)); drawLater(); drawCharacters(); drawMore(model); drawFold();
  }

  const ask = debounce(async () => {
    const model = chosenModel();
    if (closed || !model || !draft.get().prompt.trim()) { estimate = null; return drawGuess(); }
    const body = askOf(model, draft.get());
    estimate = await api.post("/jobs/estimate", { ...body, model: model.id }).catch(() => null);
    drawGuess();
  }, ESTIMATE_MS);
  function drawGuess() {
    const parts = !estimate ? [] : [estimate.cost_micro_usd ? price(estimate.cost_micro_usd) : null, estimate.run_ms ? t("create.estimate", { time: duration(estimate.run_ms / 1000) }) : null, estimate.wait_ms > 1000 ? t("create.estimate.wait", { time: duration(estimate.wait_ms / 1000) }) : null];
    guess.textContent = parts.filter(Boolean).join(" · ");
    go.title = (estimate?.notes ?? []).join("\n");
  }

  async function improve() {
    if (!prompt.value.trim()) return void prompt.focus();
    enhance.disabled = true;
    const answer = await attempt(() => api.post("/prompts/enhance", { prompt: prompt.value, style: draft.get().style ?? undefined }));
    enhance.disabled = false;
    if (!answer) return;
    const end = () => { enhanced.hidden = true; prompt.focus(); };
    replace(enhanced, h("p", {}, answer.prompt), h("p", { class: "muted small" }, t("create.enhance.by", { by: t(answer.by === "model" ? "create.enhance.model" : "create.enhance.rules") })), h("div", { class: "row" }, h("button", { type: "button", class: "button small primary", onclick: () => { remember(prompt.value); set({ prompt: answer.prompt }, false); end(); } }, t("create.enhance.use")), h("button", { type: "button", class: "button small quiet", onclick: end }, t("create.enhance.keep"))));
    enhanced.hidden = false;
    enhanced.querySelector("button")?.focus();
  }

  const remember = (/** @type {string} */ text) => { if (text.trim()) history = [text, ...history.filter((one) => one !== text)].slice(0, 200); at = -1; };
  /** @param {number} step */
  function walk(step) {
    if (document.activeElement !== prompt) return false;
    if (at === -1) before = prompt.value;
    const list = history.filter((one) => one !== before);
    at = Math.max(-1, Math.min(list.length - 1, at + step));
    prompt.value = at === -1 ? before : list[at];
    set({ prompt: prompt.value });
    return true;
  }
  /** @param {number} step */
  function weight(step) {
    const next = weigh(prompt.value, prompt.selectionStart, prompt.selectionEnd, step);
    prompt.setRangeText(next.text, 0, prompt.value.length, "preserve");
    prompt.setSelectionRange(next.start, next.end);
    set({ prompt: prompt.value });
    return true;
  }

  controlDrop(form);
  const offs = [draft.subscribe(() => { draw(); ask(); }), store.subscribe((state, old) => {
    if (state.pictureModels !== old.pictureModels) { draw(); ask(); }
    if (state.styles !== old.styles || state.prefs.style_pictures !== old.prefs.style_pictures) drawStyles();
    if (state.characters !== old.characters) drawCharacters();
  })];
  draw();
  ask();
  api.get("/prompts?limit=100").then((page) => { history = [...history, ...page.items.map((/** @type {any} */ one) => one.prompt ?? one)]; }).catch(() => {});
  api.all("/loras").then((list) => form.append(h("datalist", { id: "lora-names" }, list.map((/** @type {any} */ one) => h("option", { value: one.name }))))).catch(() => {});
  return Object.assign(form, { prompt, remember, walk, weight, again: ask, busy: (/** @type {boolean} */ on) => { go.disabled = on; }, say: (/** @type {string} */ text) => toast(text), dispose: () => { closed = true; for (const off of offs) off(); } });
}
