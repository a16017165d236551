/** pictures-unit.test.mjs - the pure parts of Create and the library: form, rows, blur hashes, jobs in the state. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { initial, reduce } from "../../web/js/state.js";
import { aspects, askOf, controls, emptyDraft, nearestAspect, ratio, recalled, taskOf, weigh } from "../../web/js/pictures/form.js";
import { emptyLayout, extend, neighbour, rowOf, visible } from "../../web/js/pictures/justify.js";
import { decode } from "../../web/js/pictures/blurhash.js";
import { MODELS } from "./mock-pictures.mjs";

const [starter, gpt] = MODELS;

test("shapes are sizes that the model takes", () => {
  for (const one of aspects(starter)) assert.ok(one.width % 16 === 0 && one.height % 16 === 0 && one.width >= 64 && one.height <= 512, JSON.stringify(one));
  assert.deepEqual(aspects(gpt).map((one) => one.label), ["1:1", "3:2", "2:3"]);
  assert.deepEqual(nearestAspect(gpt, 512, 320), { label: "3:2", width: 1536, height: 1024 });
  assert.equal(ratio(1920, 1080), "16:9");
  assert.deepEqual(aspects(null), []);
});

test("a request holds what the model takes, and nothing else", () => {
  const draft = { ...emptyDraft(), prompt: "a fox", negative_prompt: "blurry", width: 256, height: 256, values: { steps: 999, sampler: "nonsense", quality: "high" }, loras: [{ name: "soft", weight: 0.5 }, { name: "", weight: 1 }] };
  const one = askOf(starter, draft);
  assert.deepEqual({ steps: one.steps, sampler: one.sampler, quality: one.quality, seed: one.seed, negative: one.negative_prompt, loras: one.loras, task: one.task }, { steps: 150, sampler: undefined, quality: undefined, seed: -1, negative: "blurry", loras: [{ name: "soft", weight: 0.5 }], task: "txt2img" });
  const two = askOf(gpt, { ...draft, seed: 7, seed_locked: true, references: [1, 2, 3, 4, 5].map((id) => ({ id })) });
  assert.deepEqual([two.quality, two.negative_prompt, two.loras, two.seed, two.reference_assets.length], ["high", undefined, undefined, 7, 4]);
  assert.equal(taskOf(starter, { init: { id: "a" } }), "img2img");
  assert.equal(taskOf(gpt, { init: { id: "a" } }), "edit");
  assert.equal(taskOf(starter, { init: { id: "a" }, mask: { id: "b" } }), "inpaint");
});

test("a control picture goes only to a model that takes one; a time that has passed is not sent", () => {
  const model = { ...starter, params: [...starter.params, { name: "control_type", type: "enum", label: "Control", values: ["pose", "canny"] }, { name: "control_strength", type: "number", label: "Strength", min: 0, max: 2 }] };
  const draft = { ...emptyDraft(), prompt: "a fox", control: { id: "ast_1" }, control_type: "depth", control_strength: 9 };
  const { control_asset, control_type, control_strength } = askOf(model, draft);
  assert.deepEqual([control_asset, control_type, control_strength], ["ast_1", "pose", 2], "a kind it does not know becomes its first; the strength is bounded");
  assert.equal(askOf(starter, draft).control_asset, undefined);
  assert.deepEqual(controls(model).map((one) => one.name).filter((name) => name.startsWith("control")), [], "they have a place of their own");
  const back = recalled(emptyDraft(), { control_asset: "ast_1", control_type: "canny", control_strength: 0.5 });
  assert.deepEqual([back.control, back.control_type, back.control_strength], [{ id: "ast_1" }, "canny", 0.5]);
  assert.equal(askOf(starter, { ...draft, not_before: "2001-01-01T00:00" }).not_before, undefined);
  assert.equal(askOf(starter, { ...draft, not_before: "2099-01-01T00:00" }).not_before, new Date("2099-01-01T00:00").toISOString());
});

test("recall sets what was said and keeps the rest", () => {
  const draft = { ...emptyDraft(), prompt: "old", values: { steps: 30, cfg_scale: 2 }, count: 4 };
  const all = recalled(draft, { prompt: "new", steps: 8, seed: 5 });
  assert.deepEqual([all.prompt, all.negative_prompt, all.values, all.seed, all.seed_locked, all.count], ["new", "", { steps: 8, cfg_scale: 2 }, 5, true, 4]);
  const seed = recalled(draft, { prompt: "new", steps: 8, seed: 5 }, { seed: true });
  assert.deepEqual([seed.prompt, seed.values.steps, seed.seed], ["old", 30, 5]);
  const made = { prompt: "a fox, fine detail", original_prompt: "a {red|grey} fox", style: "lux", character_id: "chr_1", seed: 5, init_asset: "ast_1", reference_assets: ["ast_2"] };
  const exact = recalled(draft, made);
  assert.deepEqual([exact.prompt, exact.style, exact.character_id, exact.seed_locked, exact.init, exact.references], ["a fox, fine detail", null, null, true, { id: "ast_1" }, [{ id: "ast_2" }]], "the style's words are in the prompt already");
  const again = recalled(draft, made, { prompt: true, rest: true, original: true });
  assert.deepEqual([again.prompt, again.style, again.character_id, again.seed_locked], ["a {red|grey} fox", "lux", "chr_1", false]);
});

test("weights of words", () => {
  const up = weigh("a red cat", 2, 5, 0.1);
  assert.deepEqual(up, { text: "a (red:1.1) cat", start: 3, end: 6 });
  assert.equal(weigh(up.text, up.start, up.end, 0.1).text, "a (red:1.2) cat");
  assert.equal(weigh(up.text, up.start, up.end, -0.1).text, "a red cat");
  assert.equal(weigh("a red cat", 8, 8, -0.1).text, "a red (cat:0.9)");
  assert.equal(weigh("(red cat:1.1)", 0, 13, 0.1).text, "(red cat:1.2)");
  assert.equal(weigh("  ", 0, 2, 0.1).text, "  ");
});

test("rows fill the width, and a window of 100,000 items is small", () => {
  const items = Array.from({ length: 100000 }, (_, n) => ({ width: 300 + (n * 37) % 700, height: 300 + (n * 91) % 500 }));
  const layout = emptyLayout(1200, 220, 6);
  for (let n = 200; n <= items.length; n += 200) extend(layout, items.slice(0, n > 2000 ? items.length : n)), n > 2000 && (n = items.length);
  extend(layout, items);
  assert.equal(layout.left.length, items.length);
  for (const row of layout.rows.slice(0, -1)) { const last = row.to - 1; assert.ok(Math.abs(layout.left[last] + layout.wide[last] - 1200) < 0.01); assert.ok(row.height <= 220); }
  const once = extend(emptyLayout(1200, 220, 6), items);
  assert.equal(once.total, layout.total);
  const [from, to] = visible(layout, 500000, 501000);
  assert.ok(to - from > 5 && to - from < 80, `${to - from}`);
  assert.equal(layout.rows[rowOf(layout, from)].from, from);
  assert.equal(neighbour(layout, 0, -1), 0);
  assert.equal(rowOf(layout, neighbour(layout, from, 1)), rowOf(layout, from) + 1);
  assert.deepEqual(visible(emptyLayout(100, 10, 1), 0, 100), [0, 0]);
});

test("blur hashes: a known one, and what is not one", () => {
  const pixels = decode("LEHV6nWB2yk8pyo0adR*.7kCMdnj", 4, 4);
  assert.equal(pixels.length, 64);
  const [r, g, b] = [0, 1, 2].map((c) => { let sum = 0; for (let n = c; n < 64; n += 4) sum += pixels[n]; return sum / 16; });
  assert.ok(r > 110 && r < 190 && g > 100 && g < 180 && b > 90 && b < 180, `${[r, g, b]}`);
  assert.equal(decode("LEHV6nWB2yk8", 4, 4), null);
  assert.equal(decode("", 4, 4), null);
  assert.equal(decode("L\"HV6nWB2yk8pyo0adR*.7kCMdnj", 4, 4), null);
});

test("jobs: progress, previews and results come in any order; an old version does not overwrite", () => {
  let state = reduce(initial, { type: "jobs.loaded", items: [{ id: "j", version: 2, state: "running", count: 2, assets: [] }] });
  state = reduce(state, { type: "job.progress", id: "j", index: 0, phase: "sampling", step: 3, steps: 8, left_ms: 900 });
  state = reduce(state, { type: "job.preview", id: "j", index: 0, n: 4 });
  assert.deepEqual([state.jobs.j.step, state.jobs.j.previews[0]], [3, 4]);
  state = reduce(state, { type: "job.asset", id: "j", asset: { id: "b", job_index: 1 } });
  state = reduce(state, { type: "job.asset", id: "j", asset: { id: "a", job_index: 0 } });
  state = reduce(state, { type: "job.asset", id: "j", asset: { id: "a", job_index: 0 } });
  assert.deepEqual(state.jobs.j.assets.map((one) => one.id), ["a", "b"]);
  assert.equal(reduce(state, { type: "job.updated", job: { id: "j", version: 1, state: "queued" } }), state);
  const copy = structuredClone(state);
  reduce(state, { type: "asset.updated", asset: { id: "a", starred: true } });
  reduce(state, { type: "asset.deleted", id: "a" });
  assert.deepEqual(state, copy);
  assert.ok(reduce(state, { type: "asset.deleted", id: "a" }).jobs.j.assets[0].deleted_at);
  assert.equal(reduce(state, { type: "job.progress", id: "other", step: 1 }), state);
});

test("a mask as runs comes back as it was, and a broken list stays inside", async () => {
  const { packRuns, unpackRuns } = await import("../../web/js/pictures/mask.js");
  for (const mask of [[], [0], [255, 255, 255], [0, 0, 7, 7, 0, 255], Array.from({ length: 500 }, (_, at) => (at * 7919) % 5)]) assert.deepEqual([...unpackRuns(packRuns(Uint8Array.from(mask)), mask.length)], mask);
  assert.deepEqual([...unpackRuns([9, 100, 3], 4)], [9, 9, 9, 9]);
});
