/** unit.test.mjs - the pure modules of the page: state, router, formats, shortcuts, texts. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { initial, reduce } from "../../web/js/state.js";
import { match } from "../../web/js/router.js";
import { age, duration, initials, modelName, size } from "../../web/js/format.js";
import { TABLE, actionFor, chord, conflict, pretty } from "../../web/js/shortcuts.js";
import { en } from "../../web/js/i18n/en.js";

const message = (id, parent_id, more = {}) => ({ id, parent_id, conversation_id: "c", role: "assistant", content: "", reasoning: "", status: "complete", stream_seq: 0, siblings: [id], ...more });
const loaded = (...items) => reduce(initial, { type: "thread.loaded", id: "c", items, more: false });
const delta = (seq, text, channel = "content") => ({ type: "message.delta", conversation_id: "c", message_id: "b", seq, text, channel });

test("deltas append in order, once, and a gap asks for the message again", () => {
  let state = loaded(message("a", null), message("b", "a", { status: "streaming", stream_seq: 2, content: "He" }));
  state = reduce(state, delta(2, "e"));
  assert.equal(state.threads.c.byId.b.content, "He");
  state = reduce(reduce(state, delta(3, "llo")), delta(4, "hm", "reasoning"));
  assert.equal(state.threads.c.byId.b.content, "Hello");
  assert.equal(state.threads.c.byId.b.reasoning, "hm");
  const gap = reduce(state, delta(6, "!"));
  assert.equal(gap.threads.c.byId.b.content, "Hello");
  assert.equal(gap.threads.c.stale, true);
});

test("a reply does not appear twice, and a sibling replaces the branch", () => {
  let state = loaded(message("a", null), message("b", "a"), message("d", "b"));
  state = reduce(state, { type: "message.created", message: message("d", "b") });
  assert.deepEqual(state.threads.c.ids, ["a", "b", "d"]);
  state = reduce(state, { type: "message.created", message: message("b2", "a", { siblings: ["b", "b2"] }) });
  assert.deepEqual(state.threads.c.ids, ["a", "b2"]);
  assert.deepEqual(state.threads.c.byId.b.siblings, ["b", "b2"]);
});

test("a list that an event has overtaken does not turn a job back", () => {
  const job = { id: "j", version: 3, state: "running", done_count: 0, step: 3, steps: 8, left_ms: 2500 };
  const shown = (state) => [state.jobs.j.state, state.jobs.j.step, state.jobs.j.left_ms, state.jobs.j.step_ms];
  let state = reduce(initial, { type: "jobs.loaded", items: [job] });
  state = reduce(state, { type: "job.progress", id: "j", index: 0, phase: "sampling", step: 4, steps: 8, step_ms: 500, left_ms: 2000 });
  assert.deepEqual(shown(reduce(state, { type: "jobs.loaded", items: [job] })), ["running", 4, 2000, 500]);
  assert.deepEqual(shown(reduce(state, { type: "jobs.loaded", items: [{ ...job, step: 6, left_ms: 1000 }] })), ["running", 6, 1000, 500]);
  assert.deepEqual(shown(reduce(state, { type: "jobs.loaded", items: [{ ...job, done_count: 1, step: 0, left_ms: 0 }] })), ["running", 0, 0, 500], "the next picture begins");
  assert.deepEqual(shown(reduce(state, { type: "jobs.loaded", items: [{ ...job, version: 4, step: 1, left_ms: 3500 }] })), ["running", 1, 3500, 500], "another attempt begins");
});

test("reduce never changes what it was given", () => {
  const state = loaded(message("a", null), message("b", "a", { status: "streaming" }));
  const copy = structuredClone(state);
  reduce(state, delta(1, "x"));
  reduce(state, { type: "message.deleted", id: "a", conversation_id: "c" });
  assert.deepEqual(state, copy);
});

test("older messages come first and are not doubled", () => {
  const state = reduce(loaded(message("b", "a")), { type: "thread.older", id: "c", items: [message("a", null), message("b", "a")], more: true });
  assert.deepEqual(state.threads.c.ids, ["a", "b"]);
  assert.equal(state.threads.c.more, true);
});

test("pinned conversations stay on top; an old version does not overwrite", () => {
  const one = { id: "1", version: 2, active_at: "2026-01-01", pinned_at: "x" }, two = { id: "2", version: 1, active_at: "2026-02-01", pinned_at: null };
  let state = { ...initial, conversations: [one] };
  state = reduce(state, { type: "conversation.created", conversation: two });
  assert.deepEqual(state.conversations.map((it) => it.id), ["1", "2"]);
  state = reduce(state, { type: "conversation.updated", conversation: { ...one, version: 1, pinned_at: null } });
  assert.equal(state.conversations[0].pinned_at, "x");
});

test("another tab's swipe makes the shown branch stale", () => {
  const state = reduce({ ...loaded(message("a", null)), conversations: [] }, { type: "conversation.updated", conversation: { id: "c", version: 2, head_id: "z" } });
  assert.equal(state.threads.c.stale, true);
});

test("addresses", () => {
  assert.deepEqual(match("/"), { view: "chat" });
  assert.deepEqual(match("/c/cnv_1"), { view: "chat", id: "cnv_1" });
  assert.deepEqual(match("/characters/chr_1"), { view: "character", id: "chr_1" });
  assert.deepEqual(match("/settings"), { view: "settings", section: "appearance" });
  assert.deepEqual(match("/search", "?q=tea"), { view: "search", q: "tea" });
  assert.equal(match("/nowhere").view, "missing");
});

test("sizes, times and names as people say them", () => {
  assert.equal(size(98e6), "98.0 MB");
  assert.equal(size(1.2e9), "1.2 GB");
  assert.equal(duration(40), "40 s");
  assert.equal(duration(600), "10 min");
  assert.equal(initials("Mara Lindqvist"), "ML");
  assert.equal(modelName("local/small.gguf"), "small");
  const noon = new Date(2026, 5, 10, 12);
  assert.equal(age(new Date(2026, 5, 9, 23).toISOString(), noon), "yesterday");
});

test("keys: chords, where they count, rebinding, conflicts", () => {
  const key = (name, more = {}) => ({ key: name, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...more });
  assert.equal(chord(key("o", { ctrlKey: true, shiftKey: true }), false), "Mod+Shift+O");
  assert.equal(actionFor(key("?", { shiftKey: true }), {}, "page", false), "help");
  assert.equal(actionFor(key("?", { shiftKey: true }), {}, "text", false), null);
  assert.equal(actionFor(key("j", { ctrlKey: true }), { palette: "Mod+J" }, "prompt", false), "palette");
  assert.equal(conflict("help", "Mod+K", {}), "palette");
  assert.equal(pretty("Mod+Shift+O", true), "⌘⇧O");
});

test("every text that is asked for exists", () => {
  const root = new URL("../../web/js/", import.meta.url);
  for (const name of readdirSync(root, { recursive: true }).filter((one) => one.endsWith(".js") && one !== "i18n.js"))
    for (const [, key] of readFileSync(new URL(name, root), "utf8").matchAll(/\bt\("([a-z_.]+)"/g)) assert.ok(key in en, `${name}: ${key}`);
  for (const row of TABLE) assert.ok(row.text in en, row.text);
});
