/**
 * mock-recipes.mjs - workflows, wildcards and webhooks in memory, for mock-server.mjs: what the page needs of them.
 *
 * The detection of a workflow's inputs is a small part of the server's: known fields of any node, "{{name:default}}", and marks
 * in titles. `mock.recipes.deliver(state, more)` writes a delivery as the server's sender would and tells the page.
 */
import { MODELS } from "./mock-pictures.mjs";

const ROLES = { text: ["prompt", "text"], seed: ["seed", "integer"], steps: ["steps", "integer"], cfg: ["cfg_scale", "number"], sampler_name: ["sampler", "choice"], width: ["width", "integer"], height: ["height", "integer"], ckpt_name: ["model", "choice"], image: ["image", "image"] };
/** As ComfyUI exports it for its API. */
export const GRAPH = {
  4: { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "base.safetensors" } },
  5: { class_type: "EmptyLatentImage", inputs: { width: 768, height: 512, batch_size: 1 } },
  6: { class_type: "CLIPTextEncode", inputs: { text: "a lighthouse at dusk", clip: ["4", 1] }, _meta: { title: "What to paint" } },
  3: { class_type: "KSampler", inputs: { seed: 7, steps: 20, cfg: 6.5, sampler_name: "euler", scheduler: "normal", model: ["4", 0], positive: ["6", 0], latent_image: ["5", 0] } },
  8: { class_type: "ImageSharpen", inputs: { image: ["3", 0], amount: 0.4 } },
  9: { class_type: "SaveImage", inputs: { images: ["8", 0], filename_prefix: "flow" } },
};
export const COMFY = { ...MODELS[0], id: "prv_comfy/workflow", name: "Workflow", provider_id: "prv_comfy", provider_name: "Studio", provider_kind: "comfyui", remote_id: "workflow", tasks: ["workflow"], references_max: 8, params: [], starter: false };

function detect(graph, said = []) {
  const items = new Map();
  const add = (node, field, name, type, value) => {
    const place = { node, field, class_type: graph[node].class_type }, have = items.get(name);
    if (have) have.places.push(place);
    else items.set(name, { name, label: graph[node]._meta?.title && !graph[node]._meta.title.startsWith("atelier:") ? graph[node]._meta.title : name, type, default: value, required: value === null, places: [place] });
  };
  for (const [node, { inputs, _meta }] of Object.entries(graph)) {
    const marks = Object.fromEntries((_meta?.title ?? "").startsWith("atelier:") ? _meta.title.slice(8).split(/[ ,]+/).filter(Boolean).map((mark) => mark.split("=").reverse()) : []);
    for (const [field, value] of Object.entries(inputs)) {
      if (Array.isArray(value)) continue;
      const held = typeof value === "string" && /^\{\{(\w+)(?::([^]*))?\}\}$/.exec(value);
      if (held) add(node, field, held[1], field === "image" ? "image" : "text", held[2] ?? null);
      else if (marks[field]) add(node, field, marks[field], typeof value === "number" ? Number.isInteger(value) ? "integer" : "number" : "text", value);
      else if (ROLES[field]) add(node, field, ...ROLES[field], value);
    }
  }
  return { items: [...items.values()].map((one) => { const own = said.find((it) => it.name === one.name) ?? {}; return { ...one, label: own.label ?? one.label, ...(own.minimum !== undefined ? { minimum: own.minimum } : {}), ...(own.maximum !== undefined ? { maximum: own.maximum } : {}), fixed: !!own.fixed }; }), classes: [...new Set(Object.values(graph).map((one) => one.class_type))] };
}

/** @param {{emit: (event: string, data: any) => void, Problem: any, options: any}} server */
export function recipes({ emit, Problem, options }) {
  let n = 0;
  const id = (prefix) => `${prefix}_${String(++n).padStart(26, "0")}`, now = () => new Date().toISOString();
  const workflows = [], wildcards = [], webhooks = [], deliveries = [];
  const flow = (more, graph) => ({ id: id("wfl"), name: "Flow", graph, inputs: detect(graph), shared: false, builtin: false, mine: true, version: 1, created_at: now(), updated_at: now(), ...more });
  const builtin = ["txt2img", "upscale"].map((name) => flow({ id: `builtin:${name}`, name, builtin: true, mine: false, shared: true, created_at: null, updated_at: null }, name === "upscale" ? { 1: { class_type: "LoadImage", inputs: { image: "{{image}}" } } } : GRAPH));
  const lines = (one) => one.entries.split("\n").map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));
  function expand(prompt, seed) {
    let at = seed;
    const pick = (list) => list[at++ % list.length];
    return prompt.replace(/__(.+?)__/g, (_, name) => { const one = wildcards.find((it) => it.name === name); if (!one) throw new Problem(400, `There is no wildcard __${name}__.`); return pick(lines(one)); }).replace(/\{([^{}]*\|[^{}]*)\}/g, (_, inner) => pick(inner.split("|")));
  }
  const find = (list, key) => { const one = list.find((it) => it.id === key); if (!one) throw new Problem(404, "There is nothing with this id."); return one; };
  const drop = (list, key) => { find(list, key); list.splice(list.findIndex((it) => it.id === key), 1); return null; };
  function deliver(state, more = {}) {
    const one = { id: id("whd"), webhook_id: webhooks[0]?.id ?? null, job_id: "job_1", url: webhooks[0]?.url ?? "https://example.com/own", event: "job.done", state, attempt: 1, next_at: null, response_status: state === "delivered" ? 204 : 0, error_detail: null, created_at: now(), updated_at: now(), ...more };
    deliveries.unshift(one);
    emit("webhook.delivery", { id: one.id, state });
    return one;
  }
  function changed(one, change) { Object.assign(one, change); emit("webhook.delivery", { id: one.id, state: one.state }); }

  function answer(method, parts, body, url) {
    const [area, raw, verb] = parts, one = raw && decodeURIComponent(raw);
    if (area === "picture-models" && options.comfy) return { items: [COMFY, ...MODELS] };
    if (area === "prompts" && one === "expand") return { items: Array.from({ length: body.count ?? 5 }, (_, i) => ({ seed: body.seed + i, prompt: expand(body.prompt, body.seed + i) })), next: null };
    if (area === "wildcards") {
      if (method === "DELETE") { drop(wildcards, one); emit("wildcard.changed", { id: one }); return null; }
      if (method === "GET") return { items: [...wildcards].sort((a, b) => a.name < b.name ? -1 : 1), next: null };
      if (!/^[\w\-/. ]+$/.test(body.name)) throw new Problem(400, "A name has letters, digits, - _ / . and blanks, at most 64.");
      let it = wildcards.find((have) => have.name === body.name);
      if (it) it.entries = body.entries; else wildcards.push(it = { id: id("wld"), ...body, created_at: now(), updated_at: now() });
      emit("wildcard.changed", { id: it.id });
      return it;
    }
    if (area === "workflows") {
      if (method === "GET" && !one) return { items: [...workflows, ...builtin].map((it) => ({ ...it, graph: null })), next: null };
      if (verb === "check") { find([...workflows, ...builtin], one); return options.lacking ? { ready: false, detail: options.lacking } : { ready: true, detail: null }; }
      if (method === "GET") return find([...workflows, ...builtin], one);
      if (method === "DELETE") { drop(workflows, one); emit("workflow.changed", { id: one }); return null; }
      if (method === "POST") { const made = flow({ name: body.name, shared: !!body.shared }, body.graph); made.inputs = detect(body.graph, body.inputs?.items); workflows.push(made); emit("workflow.changed", { id: made.id }); return made; }
      const it = find(workflows, one);
      if (body.name) it.name = body.name;
      if (body.shared !== undefined) it.shared = body.shared;
      if (body.graph) it.graph = body.graph;
      for (const said of body.inputs?.items ?? []) if (said.maximum !== undefined && said.minimum > said.maximum) throw new Problem(400, `inputs.${said.name}: the minimum is greater than the maximum`);
      if (body.graph || body.inputs) it.inputs = detect(it.graph, body.inputs?.items ?? it.inputs.items);
      emit("workflow.changed", { id: one });
      return it;
    }
    if (area === "webhooks" && one === "deliveries") {
      if (parts[3] === "redeliver") { const it = find(deliveries, verb); changed(it, { state: "pending", attempt: 0, error_detail: null, updated_at: now() }); return it; }
      const limit = Number(url.searchParams.get("limit") ?? 50), after = url.searchParams.get("after"), start = after ? deliveries.findIndex((it) => it.id === after) + 1 : 0, cut = deliveries.slice(start, start + limit);
      return { items: cut, next: start + limit < deliveries.length ? cut.at(-1).id : null };
    }
    if (area === "webhooks") {
      if (method === "GET") return { items: webhooks, next: null };
      if (body.url && /localhost|127\.0\.0\.1/.test(body.url)) throw new Problem(403, "127.0.0.1 is an address of your own network. The operator can list it.");
      if (method === "POST") { const made = { id: id("whk"), url: body.url, enabled: true, created_at: now(), updated_at: now() }; webhooks.push(made); emit("webhook.changed", { id: made.id }); return { ...made, secret: "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHMh" }; }
      if (method === "DELETE") { drop(webhooks, one); emit("webhook.changed", { id: one }); return null; }
      Object.assign(find(webhooks, one), body);
      emit("webhook.changed", { id: one });
      return find(webhooks, one);
    }
    return undefined;
  }
  return { answer, workflows, wildcards, webhooks, deliveries, deliver, changed };
}
