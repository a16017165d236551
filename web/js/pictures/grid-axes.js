/**
 * grid-axes.js - X/Y/Z grids as the form knows them: what can vary, how many values a text names, what is asked, how the
 * cells of an answer make tables. Pure. The server reads the texts itself (core/jobs/grid_axis.c); this one only counts.
 */
import { controlTypes, param } from "./form.js";

export const CELLS_MAX = 100;
export const AXES = ["x", "y", "z"];

/** name, kind of its values. Those with `pick` are chosen from a list, the others are typed. */
const PARAMETERS = [
  { name: "prompt", kind: "text" }, { name: "model", kind: "pick" }, { name: "style", kind: "pick" }, { name: "sampler", kind: "pick" }, { name: "scheduler", kind: "pick" },
  { name: "steps", kind: "integer" }, { name: "cfg_scale", kind: "number" }, { name: "guidance", kind: "number" }, { name: "seed", kind: "integer" }, { name: "clip_skip", kind: "integer" },
  { name: "strength", kind: "number" }, { name: "lora_weight", kind: "number" }, { name: "size", kind: "size" }, { name: "subseed_strength", kind: "number" }, { name: "control_strength", kind: "number" },
];
/** Whatever the model. */
const ALWAYS = new Set(["prompt", "model", "style", "seed", "size"]);

/** @param {string} name */
export const kindOf = (name) => PARAMETERS.find((one) => one.name === name)?.kind ?? "";

/** What can be varied with this model and this form. @param {any} model @param {any} draft @returns {string[]} */
export function choices(model, draft) {
  return PARAMETERS.map((one) => one.name).filter((name) => {
    if (ALWAYS.has(name)) return true;
    if (name === "lora_weight") return model?.loras && draft.loras?.some((/** @type {any} */ one) => one.name);
    if (name === "strength") return !!draft.init && !!param(model, name);
    if (name === "control_strength") return !!draft.control && controlTypes(model).length > 0;
    return !!param(model, name);
  });
}

/** The values to pick from. @param {string} name @param {any} model @param {any[]} models @param {any[]} styles @returns {{value: string, label: string}[]} */
export function options(name, model, models, styles) {
  if (name === "model") return models.filter((one) => one.ready && one.kind === (model?.kind ?? "picture")).map((one) => ({ value: one.id, label: one.name }));
  if (name === "style") return styles.map((one) => ({ value: one.id, label: one.name }));
  return (param(model, name)?.values ?? []).map((/** @type {string} */ one) => ({ value: one, label: one }));
}

/** Pieces between commas, "quoted" ones whole. Null: a quotation mark without its other. @param {string} text @returns {string[]|null} */
export function pieces(text) {
  const out = [];
  let at = 0;
  while (at < text.length) {
    while (/\s/.test(text[at] ?? "")) at++;
    const quoted = text[at] === '"';
    let piece = "";
    if (quoted) at++;
    for (; at < text.length && (quoted ? text[at] !== '"' || text[at + 1] === '"' : text[at] !== ","); at++) {
      if (quoted && text[at] === '"') at++;
      piece += text[at];
    }
    if (quoted) {
      if (text[at] !== '"') return null;
      at++;
      while (/\s/.test(text[at] ?? "")) at++;
      if (at < text.length && text[at] !== ",") return null;
    }
    at++;
    if (!quoted) piece = piece.trim();
    if (piece || quoted) out.push(piece);
  }
  return out;
}

const NUMBER = String.raw`[+-]?\s*(?:\d+\.?\d*|\.\d+)`;
const RANGE = new RegExp(String.raw`^\s*(${NUMBER})\s*(?:-\s*(${NUMBER})\s*(?:\(\s*(${NUMBER})\s*\)|\[\s*(\d+)\s*\])?)?\s*$`);
const number = (/** @type {string} */ text) => Number(text.replace(/[\s+]/g, ""));

/** How many values a piece like "1-10 (+3)" names; null: it is neither a number nor a range. @param {string} piece @returns {number|null} */
export function rangeCount(piece) {
  const found = RANGE.exec(piece);
  if (!found) return null;
  const from = number(found[1]);
  if (found[2] === undefined) return 1;
  const to = number(found[2]);
  if (found[4] !== undefined) return Number(found[4]) || null;
  const step = found[3] === undefined ? (to < from ? -1 : 1) : number(found[3]);
  if (!step || (to - from) * step < 0) return null;
  return Math.floor((to - from) / step + 1e-9) + 1;
}

/** @typedef {{parameter: string, text: string, values: string[], lora?: string}} Axis as the form holds it */
/** @param {Axis} axis @returns {{count: number, bad: string|null}} bad: the piece that cannot be read */
export function countOf(axis) {
  const kind = kindOf(axis.parameter);
  if (!kind) return { count: 0, bad: null };
  if (kind === "pick" && axis.values.length) return { count: axis.values.length, bad: null };
  const all = pieces(axis.text);
  if (!all) return { count: 0, bad: axis.text };
  if (kind === "text" || kind === "pick") return { count: all.length, bad: null };
  let count = 0;
  for (const one of all) {
    const more = kind === "size" ? (/^\d+x\d+$/.test(one) ? 1 : null) : rangeCount(one);
    if (more === null) return { count, bad: one };
    count += more;
  }
  return { count, bad: null };
}

/** The axes that are in use, in order; an empty y moves up. @param {Axis[]} axes */
export const used = (axes) => axes.filter((one) => one.parameter);

/** The body of POST /grids. @param {any} ask as of a job @param {Axis[]} axes */
export function gridOf(ask, axes) {
  const { count: _count, ...request } = ask;
  /** @type {Record<string, any>} */ const body = { request };
  used(axes).forEach((one, index) => {
    const values = kindOf(one.parameter) === "pick" && one.values.length ? one.values : null;
    body[AXES[index]] = { parameter: one.parameter, ...(values ? { values } : { text: one.text }), ...(one.parameter === "lora_weight" && one.lora ? { lora: one.lora } : {}) };
  });
  return body;
}

/**
 * The cells as tables: one for each value of z, with rows of y and columns of x.
 * @param {any} grid @returns {{label: string|null, rows: {label: string|null, cells: any[]}[]}[]}
 */
export function tables(grid) {
  const axis = (/** @type {string} */ name) => grid.axes.find((/** @type {any} */ one) => one.axis === name)?.labels ?? [null];
  const at = new Map(grid.cells.map((/** @type {any} */ cell) => [`${cell.x},${cell.y},${cell.z}`, cell]));
  return axis("z").map((/** @type {any} */ label, /** @type {number} */ z) => ({ label, rows: axis("y").map((/** @type {any} */ row, /** @type {number} */ y) => ({ label: row, cells: axis("x").map((/** @type {any} */ _, /** @type {number} */ x) => at.get(`${x},${y},${z}`) ?? null) })) }));
}
