/**
 * form.js - what Create asks for: sizes a model takes, values of its parameters, the request made of them. Pure.
 *
 * A draft is what the form holds: {prompt, model, width, height, count, seed, seed_locked, values: {steps: 20}, …}. It keeps
 * values that the chosen model has no use for, so that going to another model and back loses nothing; `askOf` sends only
 * what the model takes.
 */
import { inputsOf, workflowAsk } from "./workflow.js";

const RATIOS = [[1, 1], [4, 3], [3, 2], [16, 9], [3, 4], [2, 3], [9, 16]];
/** Parameters with a place of their own in the form. */
const PLACED = new Set(["width", "height", "count", "seed", "prompt", "negative_prompt", "subseed", "subseed_strength", "strength", "control_type", "control_strength"]);
export const SEED_MAX = 4294967295;

/** @returns {any} */
export const emptyDraft = () => ({ prompt: "", negative_prompt: "", model: null, style: null, character_id: null, width: 0, height: 0, count: 1, seed: 0, seed_locked: false,
  subseed: 0, subseed_strength: 0, strength: 0.75, values: {}, extra: {}, loras: [], init: null, mask: null, references: [], control: null, control_type: null, control_strength: 1, workflow: null, inputs: {}, then_upscale: false, not_before: "" });

/** @param {number} value @param {any} model */
function side(value, model) {
  const multiple = model.size_multiple || 8;
  const bounded = Math.min(model.size_max || 4096, Math.max(model.size_min || 64, value));
  return Math.max(multiple, Math.round(bounded / multiple) * multiple);
}

/** The shapes to choose from, each with a size the model takes. @param {any} model @returns {{label: string, width: number, height: number}[]} */
export function aspects(model) {
  if (!model) return [];
  if (model.sizes?.length) {
    const all = model.sizes.map((/** @type {string} */ size) => { const [width, height] = size.split("x").map(Number); return { label: ratio(width, height), width, height }; }).filter((/** @type {any} */ one) => one.width > 0 && one.height > 0);
    const isAlone = (/** @type {any} */ one) => all.filter((/** @type {any} */ other) => other.label === one.label).length === 1;
    return all.map((/** @type {any} */ one) => (isAlone(one) ? one : { ...one, label: one.width === one.height ? `${one.width}²` : `${one.width} × ${one.height}` })); // the shape alone would not tell them apart
  }
  const area = (model.width || 1024) * (model.height || 1024);
  const seen = new Set(), out = [];
  for (const [w, h] of RATIOS) {
    const width = side(Math.sqrt(area * w / h), model), height = side(Math.sqrt(area * h / w), model);
    if (seen.has(`${width}x${height}`)) continue;
    seen.add(`${width}x${height}`);
    out.push({ label: `${w}:${h}`, width, height });
  }
  return out;
}

/** "3:2" for a size. @param {number} width @param {number} height */
export function ratio(width, height) {
  const near = RATIOS.find(([w, h]) => Math.abs(Math.log((width / height) / (w / h))) < 0.04);
  if (near) return near.join(":");
  const gcd = (/** @type {number} */ a, /** @type {number} */ b) => { while (b) [a, b] = [b, a % b]; return a; };
  const by = gcd(width, height) || 1;
  return width / by <= 32 && height / by <= 32 ? `${width / by}:${height / by}` : `${width} × ${height}`;
}

/** The shape nearest to a wish: the same proportions, then the same area. @param {any} model @param {number} width @param {number} height */
export function nearestAspect(model, width, height) {
  const all = aspects(model);
  const far = (/** @type {any} */ one) => Math.abs(Math.log((one.width / one.height) / (width / height))) * 10 + Math.abs(Math.log((one.width * one.height) / (width * height)));
  return width && height ? all.sort((a, b) => far(a) - far(b))[0] : all.find((one) => one.width === model?.width && one.height === model?.height) ?? all[0];
}

/** @param {any} model @param {string} name */
export const param = (model, name) => model?.params?.find((/** @type {any} */ one) => one.name === name);
/** The parameters that are drawn as plain controls. @param {any} model @returns {any[]} */
export const controls = (model) => (model?.params ?? []).filter((/** @type {any} */ one) => !PLACED.has(one.name));

/** The kinds of control picture a model takes: pose, depth, canny… @param {any} model @returns {string[]} */
export const controlTypes = (model) => param(model, "control_type")?.values ?? [];

/** What is asked of a model when a picture is given, and when none is. @param {any} model @param {any} draft */
export function taskOf(model, draft) {
  const tasks = model?.tasks ?? [];
  const has = (/** @type {string} */ one) => tasks.includes(one);
  if (draft.init && draft.mask) return "inpaint";
  if (draft.init) return has("img2img") ? "img2img" : has("edit") ? "edit" : has("img2vid") ? "img2vid" : "img2img";
  if (draft.references?.length && has("edit") && !has("txt2img")) return "edit";
  return has("txt2img") ? "txt2img" : has("txt2vid") ? "txt2vid" : tasks[0] ?? "txt2img";
}

/** A value within what the parameter takes, or undefined when it is none. @param {any} it @param {any} value */
export function fit(it, value) {
  if (value === undefined || value === null || value === "") return undefined;
  if (it.type === "boolean") return !!value;
  if (it.type === "enum") return it.values?.includes(value) ? value : undefined;
  if (it.type === "string") return String(value);
  let number = Number(value);
  if (!Number.isFinite(number)) return undefined;
  if (it.type === "integer") number = Math.round(number);
  if (typeof it.min === "number") number = Math.max(it.min, number);
  if (typeof it.max === "number") number = Math.min(it.max, number);
  return number;
}

/** The body of POST /jobs. @param {any} model @param {any} draft */
export function askOf(model, draft) {
  if (draft.workflow) return workflowAsk(draft);
  const task = taskOf(model, draft);
  /** @type {Record<string, any>} */
  const ask = { task, model: draft.model ?? undefined, prompt: draft.prompt, count: draft.count, seed: draft.seed_locked ? draft.seed : -1 };
  if (draft.width && draft.height && aspects(model).length) Object.assign(ask, { width: draft.width, height: draft.height });
  if (model?.negative && draft.negative_prompt) ask.negative_prompt = draft.negative_prompt;
  for (const it of controls(model)) {
    const value = fit(it, it.extra ? draft.extra[it.name] : draft.values[it.name]);
    if (value === undefined) continue;
    if (it.extra) ask.extra = { ...ask.extra, [it.name]: value };
    else ask[it.name] = value;
  }
  if (draft.subseed_strength > 0 && param(model, "subseed_strength")) Object.assign(ask, { subseed: draft.subseed, subseed_strength: draft.subseed_strength });
  if (draft.style) ask.style = draft.style;
  if (draft.character_id) ask.character_id = draft.character_id;
  if (model?.loras && draft.loras.length) ask.loras = draft.loras.filter((/** @type {any} */ one) => one.name);
  if (draft.init) {
    ask.init_asset = draft.init.id;
    if (draft.mask) ask.mask_asset = draft.mask.id;
    const strength = param(model, "strength");
    if (strength) ask.strength = fit(strength, draft.strength);
  }
  if (draft.control && controlTypes(model).length) {
    ask.control_asset = draft.control.id;
    ask.control_type = fit(param(model, "control_type"), draft.control_type) ?? controlTypes(model)[0];
    const strength = param(model, "control_strength");
    if (strength) ask.control_strength = fit(strength, draft.control_strength);
  }
  if (draft.not_before && new Date(draft.not_before).getTime() > Date.now()) ask.not_before = new Date(draft.not_before).toISOString();
  if (model?.references_max && draft.references.length) ask.reference_assets = draft.references.slice(0, model.references_max).map((/** @type {any} */ one) => one.id);
  return ask;
}

/**
 * What a job or a picture was made with, as a draft. Exactly as it was: the words as they were sent, style and look in
 * them already. With `original` as the person wrote it: style and character apply again. What is not said stays as it is in
 * `draft`. @param {any} draft @param {any} from @param {{seed?: boolean, prompt?: boolean, rest?: boolean, original?: boolean}} [what] @returns {any}
 */
export function recalled(draft, from, what = { seed: true, prompt: true, rest: true }) {
  const next = { ...draft };
  const prompt = what.original ? from.original_prompt ?? from.prompt : from.prompt, negative = what.original ? from.original_negative_prompt ?? from.negative_prompt : from.negative_prompt;
  if (what.prompt && prompt !== undefined) Object.assign(next, { prompt, negative_prompt: negative ?? "" });
  if (what.seed && Number.isInteger(from.seed) && from.seed >= 0) Object.assign(next, { seed: from.seed, seed_locked: true });
  if (!what.rest) return next;
  for (const key of ["model", "width", "height", "count", "subseed", "subseed_strength", "strength", "control_type", "control_strength"]) if (from[key] !== undefined && from[key] !== null) next[key] = from[key];
  next.style = what.original ? from.style ?? null : null;
  next.character_id = what.original ? from.character_id ?? null : null;
  const asset = (/** @type {string|null|undefined} */ id) => id ? { id } : null;
  next.init = asset(from.init_asset);
  next.mask = asset(from.mask_asset);
  next.control = asset(from.control_asset);
  next.references = (from.reference_assets ?? []).map(asset);
  next.loras = (from.loras ?? []).map((/** @type {any} */ one) => ({ name: one.name, weight: one.weight ?? 1 }));
  next.values = { ...draft.values };
  for (const key of ["steps", "cfg_scale", "guidance", "sampler", "scheduler", "clip_skip", "frames", "fps", "duration_s", "upscaler", "upscale_factor", "quality", "format"]) if (from[key] !== undefined && from[key] !== null) next.values[key] = from[key];
  next.extra = { ...draft.extra, ...(from.extra ?? {}) };
  next.workflow = from.workflow_id ? { id: from.workflow_id } : null;
  next.inputs = from.workflow_id ? inputsOf(from) : {};
  return next;
}

/** @param {string} text @param {number} at @returns {[number, number]} */
function wordAt(text, at) {
  let start = at, end = at;
  while (start > 0 && !/[\s,()]/.test(text[start - 1])) start--;
  while (end < text.length && !/[\s,()]/.test(text[end])) end++;
  return [start, end];
}

/**
 * Change the weight of the selected words: "cat" becomes "(cat:1.1)", then "(cat:1.2)", and plain again at 1.
 * @param {string} text @param {number} start @param {number} end @param {number} step @returns {{text: string, start: number, end: number}}
 */
export function weigh(text, start, end, step) {
  if (start === end) [start, end] = wordAt(text, start);
  while (start < end && /\s/.test(text[start])) start++;
  while (end > start && /\s/.test(text[end - 1])) end--;
  if (start === end) return { text, start, end };
  let words = text.slice(start, end), weight = 1;
  let from = start, to = end;
  const own = /^\((.*):(\d*\.?\d+)\)$/s.exec(words);
  const tail = /^:(\d*\.?\d+)\)/.exec(text.slice(end));
  if (own) { words = own[1]; weight = Number(own[2]); } else if (text[start - 1] === "(" && tail) { from = start - 1; to = end + tail[0].length; weight = Number(tail[1]); }
  weight = Math.round(Math.min(2, Math.max(0.1, weight + step)) * 100) / 100;
  const plain = weight === 1;
  const put = plain ? words : `(${words}:${weight})`;
  return { text: text.slice(0, from) + put + text.slice(to), start: from + (plain ? 0 : 1), end: from + (plain ? 0 : 1) + words.length };
}
