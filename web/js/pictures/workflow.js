/**
 * workflow.js - a ComfyUI workflow's graph as the page changes it: what was dropped, defaults, marks. Pure.
 *
 * The server finds the inputs (provider/comfy_graph.h); here only the places it named are written: a value in a node's field, a
 * default inside a "{{name:default}}", or a mark "atelier:name=field" in a node's title.
 */

/** @typedef {{name: string, label: string, type: string, default: any, required: boolean, places: {node: string, field: string, class_type: string}[], minimum?: number, maximum?: number, fixed?: boolean}} Input */

/** What a text holds: a graph in API format, or why not ("json", "editor", "nothing"). @param {string} text @returns {{graph?: any, why?: string}} */
export function readGraph(text) {
  /** @type {any} */ let json;
  try { json = JSON.parse(text); } catch { return { why: "json" }; }
  if (!json || typeof json !== "object" || Array.isArray(json)) return { why: "nothing" };
  if (Array.isArray(json.nodes) && (json.links || json.last_node_id !== undefined)) return { why: "editor" };
  if (json.prompt && typeof json.prompt === "object" && !json.prompt.class_type) json = json.prompt;
  const nodes = Object.values(json);
  return nodes.length && nodes.every((one) => one && typeof one === "object" && typeof (/** @type {any} */ (one).class_type) === "string") ? { graph: json } : { why: "nothing" };
}

/** A name for what was dropped. @param {string} file */
export const nameOf = (file) => file.replace(/\.json$/i, "").replace(/[_-]+/g, " ").trim().slice(0, 100) || "Workflow";

/** @param {string} name */
const placeholder = (name) => new RegExp(`\\{\\{${name}(?::(?:(?!\\}\\}).)*)?\\}\\}`, "gs");

/** The graph with another default at all places of an input; null: it cannot be written there. @param {any} graph @param {Input} input @param {any} value */
export function withDefault(graph, input, value) {
  const next = structuredClone(graph);
  for (const { node, field } of input.places) {
    const now = next[node]?.inputs?.[field];
    if (now === undefined || Array.isArray(now)) return null;
    if (typeof now === "string" && placeholder(input.name).test(now)) {
      if (String(value).includes("}}")) return null;
      next[node].inputs[field] = now.replace(placeholder(input.name), () => `{{${input.name}:${value}}}`);
    } else next[node].inputs[field] = value;
  }
  return next;
}

/** Values of the graph that are no input yet: what can be added. @param {any} graph @param {Input[]} items @returns {{node: string, field: string, title: string, value: any}[]} */
export function freeFields(graph, items) {
  const taken = new Set(items.flatMap((one) => one.places.map((place) => `${place.node}\n${place.field}`)));
  return Object.entries(graph).flatMap(([node, one]) => Object.entries(one.inputs ?? {}).filter(([field, value]) => ["string", "number", "boolean"].includes(typeof value) && !taken.has(`${node}\n${field}`) && !/[\s,=]/.test(field))
    .map(([field, value]) => ({ node, field, title: titleOf(one), value })));
}

/** A node as people know it. @param {any} node */
export const titleOf = (node) => { const title = node?._meta?.title ?? ""; return title && !title.startsWith("atelier:") ? title : node?.class_type ?? ""; };

/** A free name for an input, from a field's. @param {string} field @param {Input[]} items */
export function freeName(field, items) {
  const base = field.toLowerCase().replace(/[^a-z0-9_]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 36) || "value", have = new Set(items.map((one) => one.name));
  let name = base;
  for (let n = 2; have.has(name); n++) name = `${base}_${n}`;
  return name;
}

/** The graph with a value marked as an input of this name. @param {any} graph @param {string} node @param {string} field @param {string} name */
export function withMark(graph, node, field, name) {
  const next = structuredClone(graph), one = next[node], title = one._meta?.title ?? "";
  one._meta = { ...one._meta, title: title.startsWith("atelier:") ? `${title}, ${name}=${field}` : `atelier:${name}=${field}` };
  return next;
}

/** The graph without the mark of this name; the same graph where there is none. @param {any} graph @param {string} name */
export function withoutMark(graph, name) {
  const next = structuredClone(graph);
  let found = false;
  for (const one of Object.values(next)) {
    const title = one._meta?.title ?? "";
    if (!title.startsWith("atelier:")) continue;
    const marks = title.slice(8).split(/[ ,]+/).filter(Boolean), left = marks.filter((/** @type {string} */ mark) => mark.split("=")[0] !== name);
    if (left.length === marks.length) continue;
    found = true;
    if (left.length) one._meta.title = `atelier:${left.join(", ")}`; else delete one._meta;
  }
  return found ? next : graph;
}

/** What a form sends for a workflow: its shown inputs' values, without those left as they are. @param {Input[]} items @param {Record<string, any>} values */
export function valuesOf(items, values) {
  return Object.fromEntries(items.filter((one) => !one.fixed && values[one.name] !== undefined && values[one.name] !== "").map((one) => [one.name, values[one.name]]));
}

/** The words of the form's own prompt field are a workflow's prompt where it shows one. @param {any} workflow */
export const takesPrompt = (workflow) => !!workflow?.items?.some((/** @type {Input} */ one) => one.name === "prompt" && !one.fixed);

/** Inputs that have no default and no value yet. @param {any} draft @returns {Input[]} */
export const missingOf = (draft) => (draft.workflow?.items ?? []).filter((/** @type {Input} */ one) => one.required && !(one.name === "prompt" ? draft.prompt.trim() : draft.inputs?.[one.name]));

/** The body of POST /jobs for the draft's workflow; its pictures are references. @param {any} draft */
export function workflowAsk(draft) {
  const { workflow } = draft, items = workflow.items ?? [], values = valuesOf(items, draft.inputs ?? {});
  /** @type {string[]} */ const pictures = [];
  for (const one of items) if (one.type === "image" && values[one.name]?.id) { values[one.name] = { reference: pictures.push(values[one.name].id) - 1 }; }
  delete values.prompt;
  const count = values.count ?? items.find((/** @type {Input} */ one) => one.name === "count")?.default ?? 1;
  return { task: "workflow", model: draft.model ?? undefined, workflow_id: workflow.id, prompt: takesPrompt(workflow) ? draft.prompt : "", count, seed: Number.isInteger(values.seed) ? values.seed : -1, inputs: values, ...(pictures.length ? { reference_assets: pictures } : {}) };
}

/** The form's inputs of a job that was made with a workflow. @param {any} request @returns {Record<string, any>} */
export const inputsOf = (request) => Object.fromEntries(Object.entries(request.inputs ?? {}).map(([name, value]) => [name, Number.isInteger(value?.reference) ? { id: request.reference_assets?.[value.reference] } : value]));
