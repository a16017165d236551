/**
 * mock-pictures.mjs - jobs, picture models, styles and the library in memory, for mock-server.mjs: what the page needs of them.
 *
 * `jobs` run by hand: `mock.pictures.step(job, step)`, `preview(job)`, `finish(job)`, `fail(job, words)`, so that tests wait for
 * nothing. With `auto: true` they run by themselves (for working on the page). `library: n` fills it with n pictures.
 */
import { deflateSync } from "node:zlib";

const CRC = Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n >>> 0; });
const crc = (data) => { let c = 0xffffffff; for (const byte of data) c = CRC[(c ^ byte) & 255] ^ (c >>> 8); return (c ^ 0xffffffff) >>> 0; };
function chunk(type, data) { const body = Buffer.concat([Buffer.from(type), data]), out = Buffer.alloc(8 + body.length); out.writeUInt32BE(data.length, 0); body.copy(out, 4); out.writeUInt32BE(crc(body), 4 + body.length); return out; }
/** A small coloured PNG, different for each seed; `text` becomes its `parameters`. */
export function png(seed, width = 48, height = 48, text = "") {
  const rows = Buffer.alloc(height * (1 + width * 3)), hue = (seed * 47) % 360;
  const colour = (h, l) => [0, 8, 4].map((n) => { const k = (n + h / 30) % 12; return Math.round(255 * (l - 0.45 * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1)))); });
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const sun = Math.hypot(x - width * (0.3 + (seed % 5) / 10), y - height * 0.35) < Math.min(width, height) * 0.14;
    const hill = y > height * (0.62 + 0.08 * Math.sin(x / width * 6 + seed));
    colour(sun ? 45 : hill ? hue + 40 : hue, sun ? 0.85 : hill ? 0.32 : 0.78 - 0.35 * (y / height)).forEach((v, i) => { rows[y * (1 + width * 3) + 1 + x * 3 + i] = v; });
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0); head.writeUInt32BE(height, 4); head.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]), chunk("IHDR", head), ...(text ? [chunk("tEXt", Buffer.from(`parameters\0${text}`))] : []), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

export const MODELS = [
  { id: "local/starter", name: "Starter (test pattern)", description: "Untrained on purpose: it draws coloured patterns, in a second, on any computer.", provider_id: null, provider_name: "This machine", provider_kind: "local", remote_id: "starter", kind: "picture", tasks: ["txt2img", "img2img", "inpaint"],
    params: [{ name: "steps", type: "integer", label: "Steps", min: 1, max: 150, default: 8 }, { name: "cfg_scale", type: "number", label: "Guidance (CFG)", min: 1, max: 30, step: 0.1, default: 4 }, { name: "sampler", type: "enum", label: "Sampler", values: ["euler", "euler_a", "lcm"], default: "euler" }, { name: "scheduler", type: "enum", label: "Schedule", values: ["discrete", "karras"], default: "discrete" }, { name: "clip_skip", type: "integer", label: "CLIP skip", min: 1, max: 12 }, { name: "subseed", type: "integer", label: "Variation seed", min: 0, max: 4294967295 }, { name: "subseed_strength", type: "number", label: "Variation strength", min: 0, max: 1 }, { name: "strength", type: "number", label: "How much changes", min: 0, max: 1, step: 0.01, default: 0.75 }],
    width: 256, height: 256, size_multiple: 16, size_min: 64, size_max: 512, sizes: [], samples: [], references_max: 0, negative: true, loras: true, masks: true, previews: true, cancel: true, licence: "Apache-2.0", licence_url: null, safety: "general", price_unit: null, price_micro_usd: 0, ready: true, why: null, starter: true },
  { id: "prv_1/gpt-image-1", name: "GPT Image 1", description: "Follows instructions; paints text.", provider_id: "prv_1", provider_name: "OpenAI", provider_kind: "openai", remote_id: "gpt-image-1", kind: "picture", tasks: ["txt2img", "edit"], params: [{ name: "quality", type: "enum", label: "Quality", values: ["low", "medium", "high"], default: "medium" }], width: 1024, height: 1024, size_multiple: 0, size_min: 0, size_max: 0, sizes: ["1024x1024", "1536x1024", "1024x1536"], samples: [], references_max: 4, negative: false, loras: false, masks: true, previews: true, cancel: false, licence: null, licence_url: null, safety: "filtered", price_unit: "image", price_micro_usd: 42000, ready: true, why: null, starter: false },
  { id: "local/flux-schnell", name: "FLUX.1 schnell (Q4)", description: "Follows long prompts closely and writes short texts; four steps. 12 GB of memory.", provider_id: null, provider_name: "This machine", provider_kind: "local", remote_id: "flux-schnell", kind: "picture", tasks: ["txt2img", "img2img", "upscale"], params: [{ name: "steps", type: "integer", label: "Steps", min: 1, max: 150, default: 4 }], width: 1024, height: 1024, size_multiple: 64, size_min: 256, size_max: 1536, sizes: [], samples: [], references_max: 0, negative: false, loras: true, masks: false, previews: true, cancel: true, licence: "Apache-2.0", licence_url: null, safety: "unfiltered", price_unit: null, price_micro_usd: 0, ready: false, why: "Its files are not here yet.", starter: false },
];
/** The model that comes with Atelier, as share/models/pictures/local.json describes it. */
const MINI = { ...MODELS[0], id: "local/mini", remote_id: "mini", name: "Mini (starter, stickers and icons)", description: "Very small, trained by us on emoji pictures: quick on any computer, good for one thing on a plain ground - not for scenes, people or text.", samples: ["a red apple", "a hamburger", "a purple heart on a yellow background", "a tulip"], size_min: 128, size_max: 256, sizes: ["256x256", "128x128"],
  params: [{ name: "steps", type: "integer", label: "Steps", min: 4, max: 50, default: 12 }, ...MODELS[0].params.filter((one) => ["cfg_scale", "sampler", "scheduler", "strength"].includes(one.name))] };
/** More than the plain models: `mini`, `control` and `upscaler` of the mock's options; `usual` is what the server begins with. */
function modelsFor(options) {
  const [starter, gpt, flux] = MODELS.map((one) => ({ ...one, params: [...one.params] }));
  if (options.control) starter.params.push({ name: "control_type", type: "enum", label: "Control", values: ["pose", "depth", "canny"] }, { name: "control_strength", type: "number", label: "Control strength", min: 0, max: 2, step: 0.05 });
  if (options.control) gpt.params.push({ name: "style_preset", type: "string", label: "Style preset", values: ["Film noir", "Watercolor"], extra: true });
  if (options.upscaler) Object.assign(flux, { ready: true, why: null });
  const all = [...(options.mini ? [MINI] : []), starter, gpt, flux], usual = options.usual ?? all[0].id;
  return all.map((one) => ({ ...one, is_default: one.id === usual }));
}
const WORDS = ["A lighthouse in a storm", "Portrait of a clockmaker", "Paper boat on a puddle", "Greenhouse full of ferns", "A fox asleep in snow", "Night market in rain"];
const SIZES = [[768, 512], [512, 768], [512, 512], [896, 512], [512, 640]];

/** @param {{emit: (event: string, data: any) => void, Problem: any, options: any}} server */
export function pictures({ emit, Problem, options }) {
  const ids = {}, models = modelsFor(options), pieces = new Map();
  const id = (prefix) => `${prefix}_${String((ids[prefix] = (ids[prefix] ?? 0) + 1)).padStart(26, "0")}`;
  const now = () => new Date().toISOString();
  const uploads = [], all = [], jobs = [], boards = [], shares = [], files = new Map(), queue = { paused: false, paused_all: false, queued: 0, running: 0, queued_all: 0, running_all: 0 };
  const styles = [["chatgpt", "ChatGPT"], ["lux", "Lux"], ["realism", "Realism"], ["anime", "Anime"]].map(([key, name]) => ({ id: key, name, prompt: `{prompt}, ${key}`, negative_prompt: "", model: null, params: {}, shared: true, builtin: true, version: 1 }));
  const tags = new Map(), inBoard = new Map();
  const page = (items, url) => { const limit = Number(url.searchParams.get("limit") ?? 50), after = url.searchParams.get("after"); const start = after ? items.findIndex((one) => one.id === after) + 1 : 0; const cut = items.slice(start, start + limit); return { items: cut, next: start + limit < items.length ? cut.at(-1).id : null }; };
  function asset(more = {}) {
    const n = all.length, [width, height] = SIZES[n % SIZES.length];
    const it = { id: id("ast"), user_id: "usr_1", sha256: "0", media_type: "image/png", kind: "picture", origin: "generated", size_bytes: 120000, width, height, duration_ms: 0, library: true, job_id: null, task: "txt2img", model: "local/starter", job_index: 0, title: "", prompt: `${WORDS[n % WORDS.length]}, number ${n}`, seed: 1000 + n, character_id: null, conversation_id: null, starred: n % 11 === 3, rating: n % 6, blur_hash: "LEHV6nWB2yk8pyo0adR*.7kCMdnj", version: 1, created_at: new Date(Date.now() - n * 3600000).toISOString(), updated_at: now(), deleted_at: null, params: {}, parents: [], ...more };
    all.unshift(it);
    return it;
  }
  for (let n = 0; n < (options.library ?? 0); n++) asset();
  if (options.library > 3) all[0].parents = [{ id: all[1].id, role: "init" }], all[1].parents = [{ id: all[2].id, role: "init" }];
  const bare = ({ params, parents, ...rest }) => rest;
  const show = (job) => ({ ...job, assets: job.assets.map(bare) });
  const changed = (job) => { job.version++; job.updated_at = now(); emit("job.updated", { job: show(job) }); };
  function places() {
    const waiting = jobs.filter((one) => one.state === "queued").sort((a, b) => b.priority - a.priority || a.place - b.place);
    waiting.forEach((one, at) => { if (one.position !== at + 1) { one.position = at + 1; changed(one); } });
    Object.assign(queue, { queued: waiting.length, running: jobs.filter((one) => one.state === "running").length });
    emit("queue.updated", { queue: { ...queue } });
  }
  const made = {
    all, jobs, queue, asset, shares, boards, uploads, styles, inBoard, pieces: [], broken: { at: -1, times: 0 }, looks: new Map(),
    start(job) { Object.assign(job, { state: "running", position: 0, started_at: now() }); changed(job); places(); },
    step(job, step, steps = 8) { Object.assign(job, { step, steps, left_ms: (steps - step) * 500 }); emit("job.progress", { id: job.id, index: job.done_count, phase: "sampling", step, steps, step_ms: 500, left_ms: job.left_ms }); },
    preview(job) { job.preview++; emit("job.preview", { id: job.id, index: job.done_count, n: job.preview }); },
    picture(job) { const it = asset({ job_id: job.id, job_index: job.done_count, width: job.request.width ?? 512, height: job.request.height ?? 512, prompt: job.prompt, model: job.model, task: job.task, seed: job.request.seed + job.done_count, params: { ...job.request }, created_at: now(), starred: false, rating: 0, parents: [["init_asset", job.task === "upscale" ? "upscaled" : "init"], ["mask_asset", "mask"], ["control_asset", "control"]].filter(([key]) => job.request[key]).map(([key, role]) => ({ id: job.request[key], role })) }); job.assets.push(it); job.done_count++; emit("job.asset", { id: job.id, asset: bare(it) }); emit("asset.created", { asset: bare(it) }); return it; },
    finish(job) { while (job.done_count < job.count) made.picture(job); Object.assign(job, { state: "done", finished_at: now(), step: 0 }); changed(job); places(); },
    fail(job, detail) { Object.assign(job, { state: "failed", error_slug: "upstream", error_detail: detail, finished_at: now(), position: 0 }); changed(job); places(); },
  };
  function submit(body) {
    if (!body.prompt && !body.init_asset && !body.depends_on && !body.workflow_id) throw new Problem(422, "A prompt is needed.");
    const model = models.find((one) => one.id === body.model) ?? models[0];
    const job = { id: id("job"), kind: "picture", task: body.task ?? "txt2img", state: "queued", origin: "web", model: model.id, provider_id: model.provider_id, prompt: body.prompt ?? "", request: { ...body, seed: body.seed >= 0 ? body.seed : 4242 }, priority: body.priority ?? 0, count: body.count ?? 1, done_count: 0, attempt: 1, not_before: body.not_before ?? null, depends_on: body.depends_on ?? null, position: 0, place: jobs.length, wait_ms: 0, run_ms: 4000, step: 0, steps: 0, left_ms: 0, preview: 0, assets: [], error_slug: null, error_detail: null, notes: [], cost_micro_usd: model.price_micro_usd, character_id: body.character_id ?? null, conversation_id: null, message_id: null, board_id: null, webhook_url: null, version: 1, created_at: now(), started_at: null, finished_at: null, updated_at: now() };
    jobs.unshift(job);
    places();
    if (options.auto) run(job);
    return job;
  }
  function run(job) {
    if (jobs.some((one) => one.state === "running") || queue.paused) return void setTimeout(() => { if (job.state === "queued") run(job); }, 300);
    made.start(job);
    let step = 0;
    const timer = setInterval(() => {
      if (job.state !== "running") return clearInterval(timer);
      made.step(job, ++step % 9);
      if (step % 2 === 0) made.preview(job);
      if (step % 8 === 0) { made.picture(job); if (job.done_count >= job.count) { clearInterval(timer); made.finish(job); } }
    }, 250);
  }
  const find = (list, one) => list.find((it) => it.id === one) ?? (() => { throw new Problem(404, "There is nothing with this id."); })();

  function library(url) {
    const p = url.searchParams, get = (key) => p.get(key);
    return all.filter((one) => one.library && !!one.deleted_at === (get("trash") === "true") && (!get("q") || one.prompt.toLowerCase().includes(get("q").toLowerCase())) && (!get("starred") || one.starred) && (!get("rating") || one.rating >= Number(get("rating"))) && (!get("model") || one.model === get("model")) && (!get("kind") || one.kind === get("kind")) && (!get("board_id") || inBoard.get(get("board_id"))?.has(one.id)) && (!get("tag") || tags.get(one.id)?.has(get("tag"))) && (!get("from") || one.created_at >= get("from")) && (!get("to") || one.created_at < get("to")));
  }
  function bulk({ ids: which, action, value }) {
    for (const one of which.map((it) => find(all, it))) {
      if (action === "delete") one.deleted_at = now();
      if (action === "restore") one.deleted_at = null;
      if (action === "star" || action === "unstar") one.starred = action === "star";
      if (action === "rate") one.rating = Number(value);
      if (action === "board") inBoard.set(value, (inBoard.get(value) ?? new Set()).add(one.id));
      if (action === "unboard") inBoard.get(value)?.delete(one.id);
      if (action === "untag") tags.get(one.id)?.delete(value);
      if (action === "tag") tags.set(one.id, (tags.get(one.id) ?? new Set()).add(value));
      one.version++;
      if (action !== "delete") emit("asset.updated", { asset: bare(one) });
    }
    return { changed: which.length };
  }
  function lineage(one) {
    const items = [{ asset: bare(one), depth: 0, role: "" }];
    let depth = 0;
    for (let at = one; at.parents[0]; ) { const parent = all.find((it) => it.id === at.parents[0].id); if (!parent) break; depth--; for (const other of at.parents.slice(1)) { const it = all.find((two) => two.id === other.id); if (it) items.unshift({ asset: bare(it), depth, role: other.role }); } items.unshift({ asset: bare(parent), depth, role: at.parents[0].role }); at = parent; }
    for (const child of all.filter((it) => it.parents.some((two) => two.id === one.id))) items.push({ asset: bare(child), depth: 1, role: "init" });
    return { items };
  }

  /** The answer of a request, undefined when it is not about pictures. A Buffer is sent as a PNG. */
  function answer(method, parts, body, url, raw, type, headers = {}) {
    const [area, one, verb] = parts, key = `${method} ${area}`;
    if (area === "picture-models") return { items: options.noPictureModel ? [] : models };
    if (area === "picture-engine") return { state: "healthy", why: null, model: "starter", version: "1", backend: "CPU", memory_bytes: 120e6, restarts: 0, threads: 1 };
    if (area === "loras") return { items: [{ name: "soft-light" }], next: null };
    if (area === "styles" && method === "POST" && !one) { const made = { id: id("sty"), model: null, params: {}, builtin: false, version: 1, ...body }; styles.push(made); return made; }
    if (area === "styles" && method === "DELETE") { styles.splice(styles.indexOf(find(styles, one)), 1); return null; }
    if (area === "styles" && one === "import") { for (const line of raw.toString().trim().split("\n").slice(1)) { const [name, prompt, negative_prompt] = line.split(","); styles.push({ id: id("sty"), name, prompt, negative_prompt, model: null, params: {}, shared: false, builtin: false, version: 1 }); } return { imported: raw.toString().trim().split("\n").length - 1 }; }
    if (area === "uploads") {
      if (method === "POST" && !one) { const it = { id: id("upl"), size_bytes: body.size_bytes, received_bytes: 0 }; pieces.set(it.id, { it, data: [] }); return it; }
      const up = pieces.get(one);
      if (!up) throw new Problem(404, "There is no such upload.");
      if (method === "PATCH") { if (made.broken.at === up.data.length && made.broken.times-- > 0) { throw new Problem(503, "The server restarts."); } if (Number(headers["upload-offset"]) !== up.it.received_bytes) throw new Problem(409, "Not there."); up.data.push(raw); up.it.received_bytes += raw.length; made.pieces.push(raw.length); }
      if (verb === "finish") { pieces.delete(one); const it = asset({ origin: "upload", prompt: "", model: null, task: null, seed: -1, width: 640, height: 480, created_at: now(), size_bytes: up.it.received_bytes }); return bare(it); }
      if (method === "DELETE") { pieces.delete(one); return null; }
      return up.it;
    }
    if (area === "styles" && method === "PATCH") return Object.assign(find(styles, one), body);
    if (area === "styles") return { items: styles, next: null };
    if (area === "prompts") return one === "enhance" ? { prompt: `${body.prompt}, dramatic light, fine detail`, by: "rules" } : { items: [{ prompt: "An earlier prompt", used_at: now() }, { prompt: "The first prompt", used_at: now() }], next: null };
    if (area === "queue") { if (one === "pause" || one === "resume") { queue.paused = one === "pause"; places(); } return { ...queue }; }
    if (area === "jobs") {
      if (key === "POST jobs" && !one) return show(submit(body));
      if (one === "estimate") return { run_ms: 4000 * (body.count ?? 1), wait_ms: queue.queued * 4000, cost_micro_usd: (MODELS.find((it) => it.id === body.model)?.price_micro_usd ?? 0) * (body.count ?? 1), notes: [] };
      if (one === "cancel") { const open = jobs.filter((it) => ["queued", "running"].includes(it.state)); for (const it of open) { it.state = "cancelled"; it.position = 0; changed(it); } places(); return { cancelled: open.length }; }
      if (method === "GET" && !one) { const state = url.searchParams.get("state"); const open = (it) => ["queued", "leased", "running"].includes(it.state); return page(jobs.filter((it) => (!url.searchParams.get("conversation_id") || it.conversation_id === url.searchParams.get("conversation_id")) && (!state || (state === "active" ? open(it) : state === "ended" ? !open(it) : it.state === state))).map(show), url); }
      const job = find(jobs, one);
      if (verb === "cancel") { Object.assign(job, { state: "cancelled", position: 0 }); changed(job); places(); }
      if (verb === "retry") return show(submit(job.request));
      if (verb === "previews") return png(job.preview, 32, 32);
      if (method === "PATCH") {
        if (body.priority !== undefined) job.priority = body.priority;
        if (body.not_before !== undefined) job.not_before = body.not_before;
        const other = jobs.find((it) => it.id === (body.before ?? body.after));
        if (other) { job.priority = other.priority; job.place = other.place + (body.before ? -0.5 : 0.5); }
        changed(job); places();
      }
      return show(job);
    }
    if (area === "boards") { if (method === "DELETE") { boards.splice(boards.indexOf(find(boards, one)), 1); inBoard.delete(one); return null; } if (method === "POST") { const board = { id: id("brd"), name: body.name, count: 0, cover_id: null, created_at: now(), updated_at: now() }; boards.push(board); return board; } return { items: boards.map((it) => ({ ...it, count: inBoard.get(it.id)?.size ?? 0 })), next: null }; }
    if (area === "shares") { if (method === "DELETE") { const at = shares.findIndex((it) => it.key === one); shares.splice(at, 1); return null; } return { items: shares.filter((it) => it.asset_id === url.searchParams.get("asset_id")), next: null }; }
    if (area === "characters" && verb === "look") { if (method === "PUT") made.looks.set(one, body); return made.looks.get(one) ?? { prompt_prefix: "", negative_prompt: "", model: null, loras: [], reference_assets: [], seed: -1, seed_policy: "free" }; }
    if (key === "POST conversations" && verb === "pictures") { const job = submit({ prompt: `The ${body.what}`, width: 256, height: 256 }); Object.assign(job, { conversation_id: one, message_id: body.message_id, what: body.what }); return show(job); }
    if (area !== "assets") return undefined;
    if (method === "GET" && !one) { const cut = page(library(url), url); return { items: cut.items.map(bare), next: cut.next }; }
    if (one === "facets") return { models: [{ name: "local/starter", count: all.length }], tags: [{ name: "sea", count: 2 }], loras: [{ name: "soft-light", count: 1 }], characters: [] };
    if (one === "duplicates") return { groups: all.length > 4 ? [{ items: [bare(all[0]), bare(all[1])] }] : [] };
    if (one === "bulk") return bulk(body);
    if (one === "recall") { const text = raw.toString("latin1"); if (!/Steps: /.test(text)) throw new Problem(404, "Nothing is in this file."); return { source: "a1111", prompt: /parameters\0([^\n]*)/.exec(text)?.[1] ?? text.split("\n")[0], negative_prompt: "blurry", steps: 12, cfg_scale: 5.5, sampler: "euler_a", seed: 987654321, width: 256, height: 256 }; }
    if (method === "POST" && !one) { const parent = url.searchParams.get("parent"), it = asset({ library: url.searchParams.get("library") !== "false", task: null, parents: parent ? [{ id: find(all, parent).id, role: "init" }] : [], origin: "upload", prompt: "", model: null, seed: -1, width: 256, height: 256 }); files.set(it.id, { data: raw, type }); uploads.push(raw); return bare(it); }
    const it = find(all, one);
    if (verb === "file") return files.get(one)?.data ?? png(Number(one.slice(-6)), Math.round(it.width / 8), Math.round(it.height / 8));
    if (verb === "details") return { asset: bare(it), params: { prompt: it.prompt, negative_prompt: "blurry", model: it.model, steps: 8, cfg_scale: 4, sampler: "euler", seed: it.seed, width: it.width, height: it.height, ...it.params }, parameters: `${it.prompt}\nSteps: 8, Sampler: Euler, Seed: ${it.seed}`, tags: [...(tags.get(one) ?? [])], boards: boards.filter((board) => inBoard.get(board.id)?.has(one)), loras: [] };
    if (verb === "lineage") return lineage(it);
    if (verb === "credentials") return { state: it.origin === "generated" ? "trusted" : "none", place: "file", generator: it.origin === "generated" ? "Atelier 1.0" : null, signer: it.origin === "generated" ? "Atelier" : null, source_type: null, problem: null, ai: it.origin === "generated", ...it.credentials };
    if (verb === "restore") { it.deleted_at = null; return bare(it); }
    if (verb === "shares") { const share = { key: `k${shares.length + 1}`, url: `/s/k${shares.length + 1}`, asset_id: one, uses: 0, uses_max: body.uses_max ?? null, expires_at: body.expires_at ?? null, with_metadata: !!body.with_metadata, created_at: now() }; shares.push(share); return share; }
    if (method === "DELETE") { it.deleted_at = now(); emit("asset.deleted", { id: one }); return null; }
    if (method === "PATCH") { const { tags: fresh, ...rest } = body; if (fresh) tags.set(one, new Set(fresh)); Object.assign(it, rest, { version: it.version + 1 }); emit("asset.updated", { asset: bare(it) }); }
    return bare(it);
  }
  return Object.assign(made, { answer });
}
