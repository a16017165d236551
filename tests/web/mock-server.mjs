/**
 * mock-server.mjs - serves web/ and the API from memory: the fixture of the browser tests, and for working on the page.
 *
 * `node tests/web/mock-server.mjs [port]`, or `await startMock({signedIn, messages, noModel})` in a test.
 */
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { pictures } from "./mock-pictures.mjs";
import { recipes } from "./mock-recipes.mjs";

const WEB = join(dirname(fileURLToPath(import.meta.url)), "../../web");
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const POLICY = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const REPLY = "Good evening. **The lamp is lit**, and the door is open.\n\n- Tea, or coffee?\n- A story, or silence?\n\n```js\nconst answer = 42;\n```\n\n> Take your time.\n\n| hour | light |\n| --- | --- |\n| nine | low |\n";

/** @param {{signedIn?: boolean, messages?: number, noModel?: boolean, delay_ms?: number, library?: number, auto?: boolean, noPictureModel?: boolean}} [options] */
export async function startMock(options = {}) {
  let serial = 0, eventId = 1000; // as the server's, numbers do not begin at none
  /** @type {Promise<void>|null} until then no event stream is answered */ let held = null;
  const id = (prefix) => `${prefix}_${String(++serial).padStart(26, "0")}`;
  const now = () => new Date().toISOString();
  const clients = new Set(), log = [];
  const db = { user: options.signedIn ? { id: "usr_1", name: "Ada", role: "owner" } : null, session: !!options.signedIn, prefs: {}, characters: [], conversations: [], messages: new Map(), personas: [], folders: [], keys: [], providers: [] };
  const emit = (event, data) => { log.push({ id: ++eventId, event, data }); for (const res of clients) res.write(`id: ${eventId}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`); };
  const character = (name, description, first_mes) => ({ id: id("chr"), name, summary: description.slice(0, 140), card: { name, description, personality: "", scenario: "", first_mes, mes_example: "", system_prompt: "", post_history_instructions: "", alternate_greetings: [], creator: "", creator_notes: "", character_version: "", tags: [], extensions: {} }, tags: [], model: null, sampling: {}, avatar: null, starter: null, version: 1, created_at: now(), updated_at: now(), archived_at: null });
  db.characters.push(character("Mara Lindqvist", "Keeper of a lighthouse on a small northern island. Dry humour, warm tea.", "*She sets down the lamp.* You came after all."), character("Unit Seven", "A patient ship's computer with a fondness for riddles.", "Systems nominal. Shall we begin?"), character("Professor Okoro", "Historian of lost cities. Explains anything with a story.", "Ah, sit down. Where were we?"));
  const summary = ({ card, sampling, ...rest }) => rest;
  const find = (list, one) => db[list].find((it) => it.id === one);
  const siblings = (message) => [...db.messages.values()].filter((it) => it.conversation_id === message.conversation_id && it.parent_id === message.parent_id && !it.deleted).map((it) => it.id);
  const view = (message) => ({ ...message, siblings: siblings(message) });
  function add(conversation, parent_id, role, content, status = "complete") {
    const message = { id: id("msg"), conversation_id: conversation.id, parent_id, role, content, reasoning: "", status, error: null, model: role === "assistant" ? "local/small.gguf" : null, finish_reason: null, prompt_tokens: 0, completion_tokens: 0, tokens_per_second: null, stream_seq: 0, created_at: now(), updated_at: now() };
    db.messages.set(message.id, message);
    conversation.head_id = message.id; conversation.active_at = now(); conversation.message_count++; conversation.version++;
    return message;
  }
  function path(conversation) {
    const out = [];
    for (let at = conversation.head_id; at; at = db.messages.get(at).parent_id) out.unshift(db.messages.get(at));
    return out;
  }
  function conversation(body) {
    const who = body.character_id ? find("characters", body.character_id) : null;
    const it = { id: id("cnv"), title: body.title ?? "", character: who && summary(who), persona_id: body.persona_id ?? null, folder_id: null, model: null, sampling: {}, head_id: null, message_count: 0, version: 1, created_at: now(), updated_at: now(), active_at: now(), pinned_at: null, archived_at: null };
    db.conversations.unshift(it);
    if (who?.card.first_mes) add(it, null, "assistant", who.card.first_mes);
    return it;
  }
  function reply(it, parent_id) {
    const message = add(it, parent_id, "assistant", "", "streaming");
    const pieces = REPLY.match(/[\s\S]{1,6}/g);
    const timer = setInterval(() => {
      const text = pieces[message.stream_seq];
      if (message.status !== "streaming" || text === undefined) {
        clearInterval(timer);
        if (message.status === "streaming") message.status = "complete";
        Object.assign(message, { prompt_tokens: 120, completion_tokens: message.stream_seq });
        return emit("message.updated", { message: view(message) });
      }
      message.content += text; message.stream_seq++;
      emit("message.delta", { message_id: message.id, conversation_id: it.id, seq: message.stream_seq, channel: "content", text });
      if (message.stream_seq % 8 === 0) emit("generation.progress", { message_id: message.id, conversation_id: it.id, prompt_tokens: 120 + message.stream_seq, context_size: 8192, tokens_per_second: 41.5 });
    }, options.delay_ms ?? 15);
    return message;
  }
  if (options.messages) {
    const it = conversation({ character_id: db.characters[0].id, title: "A long evening" });
    for (let n = 0; n < options.messages; n++) add(it, it.head_id, n % 2 ? "assistant" : "user", `Message ${n}. ${"Some words to fill a line. ".repeat(1 + (n % 5))}`);
  }
  const session = () => ({ user: db.user, csrf_token: "token", expires_at: now() });
  const list = (items) => ({ items, next: null });
  class Problem extends Error { constructor(status, detail) { super(detail); this.status = status; } }

  const shown = pictures({ emit, Problem, options }), kept = recipes({ emit, Problem, options });

  function api(method, parts, body, url, headers, raw) {
    const [area, one, verb] = parts, key = `${method} ${area}`;
    if (key === "GET status") return { version: "0.1.0", setup_required: !db.user, setup_token_required: !db.user && !!options.setupToken, signed_in: db.session, user: db.session ? db.user : null, csrf_token: db.session ? "token" : null, mature_allowed: false, last_event_id: db.session ? eventId : 0 };
    if (key === "POST setup") { if (db.user) throw new Problem(409, "An owner exists already."); if (options.setupToken && body.token !== options.setupToken) throw new Problem(403, "The setup token is wrong."); db.user = { id: "usr_1", name: body.name, role: "owner" }; db.password = body.password; db.session = true; return session(); }
    if (key === "POST session") { if (body.password !== db.password) throw new Problem(401, "Name or password is wrong."); db.session = true; return session(); }
    if (key === "GET sign-up") return { mode: options.signUp ?? "invitation", domains: [], problem: null, role_name: null, expires_at: null };
    if (key === "GET login") return list([]); // no sign-in services
    if (!db.session) throw new Problem(401, "Sign in first.");
    if (method !== "GET" && headers["x-csrf-token"] !== "token") throw new Problem(403, "The CSRF token is missing.");
    if (key === "DELETE session") { db.session = false; return null; }
    if (area === "me") { if (one === "preferences") { if (method === "PUT") db.prefs = body; return db.prefs; } if (method === "PATCH") Object.assign(db.user, body); return db.user; }
    const recipe = kept.answer(method, parts, body, url);
    if (recipe !== undefined) return recipe;
    const picture = shown.answer(method, parts, body, url, raw, headers["content-type"], headers);
    if (picture !== undefined) return picture;
    if (area === "sessions") return list([{ id: "ses_1", current: true, created_at: now() }]);
    if (area === "models") return list(options.noModel ? [] : [{ id: "local/small.gguf", name: "small", provider_id: null, provider_name: "This machine", local: true, context_size: 8192, ready: true }]);
    if (area === "notice") return { announcement: null, maintenance: false };
    if (area === "settings") return { default_model: null, fallback_model: null, mature_allowed: false };
    if (area === "provider-presets") return list([{ preset: "openai", name: "OpenAI", base_url: "https://api.openai.com/v1", needs_key: true, key_help_url: "https://platform.openai.com/api-keys", has_characters: false }]);
    if (area === "engine") {
      if (one === "models") return list([{ file: "small.gguf", size_bytes: 98e6, name: "Small Instruct", architecture: "llama", parameters: 135e6, context_length: 8192, quantization: "Q4_1", error: null, active: true }]);
      if (one === "catalogue") return list([{ id: "c1", name: "Medium Instruct", description: "A balanced model for laptops.", size_bytes: 4.4e9, needs_ram_bytes: 8e9, licence: "Apache-2.0", licence_url: "https://www.apache.org/licenses/LICENSE-2.0", installed: false }]);
      if (one === "transfers") return list([]);
      if (one === "log") return { lines: ["model loaded", "listening"] };
      return { state: options.noModel ? "no_model" : "healthy", why: null, program: "llama-server", model: options.noModel ? null : "small.gguf", context_size: 8192, slots: 2, threads: 1, gpu_layers: 0, restarts: 0, models_dir: "models" };
    }
    if (area === "search") { const q = url.searchParams.get("q").toLowerCase(); return list([...db.messages.values()].filter((it) => it.content.toLowerCase().includes(q)).slice(0, 20).map((it) => ({ conversation_id: it.conversation_id, message_id: it.id, title: find("conversations", it.conversation_id).title, snippet: [{ text: it.content.slice(0, 60), hit: false }], at: it.created_at }))); }
    if (area === "messages") return messages(method, one, verb, body);
    if (!(area in db)) throw new Problem(404, "There is nothing at this address.");
    if (key === "POST conversations" && !one) { const made = conversation(body); emit("conversation.created", { conversation: made }); return made; }
    if (area === "conversations" && verb === "messages") {
      const it = find(area, one);
      if (method === "GET") { const all = path(it), before = url.searchParams.get("before"), end = before ? all.findIndex((m) => m.id === before) : all.length, start = Math.max(0, end - Number(url.searchParams.get("limit") ?? 50)); return { items: all.slice(start, end).map(view), more: start > 0 }; }
      const message = add(it, it.head_id, "user", body.content), answer = reply(it, message.id);
      emit("message.created", { message: view(message) }); emit("message.created", { message: view(answer) });
      return { message: view(message), reply: view(answer) };
    }
    if (method === "GET" && !one) return list(area === "characters" ? db.characters.filter((it) => !it.archived_at).map(summary) : area === "conversations" ? db.conversations.filter((it) => !!it.archived_at === (url.searchParams.get("archived") === "true")) : db[area]);
    if (method === "POST" && !one) { const made = area === "characters" ? character(body.name ?? body.card.name, "", "") : { id: id(area.slice(0, 3)), version: 1, prefix: "atl_x", key: "atl_secret", models: [], state: "unknown", has_key: !!body.key, last_error: null, ...body }; db[area].unshift(made); return made; }
    const it = find(area, one) ?? (db.trash ?? []).find((gone) => gone.id === one);
    if (!it) throw new Problem(404, "There is nothing with this id.");
    if (method === "DELETE" && !verb) { db[area] = db[area].filter((other) => other !== it); (db.trash ??= []).push(it); return null; }
    if (verb === "restore") { db[area].unshift(it); return it; }
    if (verb === "duplicate") { const made = { ...structuredClone(it), id: id("chr"), name: `${it.name} (copy)` }; db.characters.unshift(made); return made; }
    if (method === "PATCH") {
      const { pinned, archived, card, ...rest } = body;
      Object.assign(it, rest, { version: it.version + 1 });
      if (pinned !== undefined) it.pinned_at = pinned ? now() : null;
      if (archived !== undefined) it.archived_at = archived ? now() : null;
      if (card) { Object.assign(it.card, card); it.name = it.card.name; it.summary = it.card.description; }
      emit(`${area.slice(0, -1)}.updated`, { [area.slice(0, -1)]: it });
    }
    return it;
  }

  function messages(method, one, verb, body) {
    const message = db.messages.get(one);
    if (!message) throw new Problem(404, "There is no such message.");
    const it = find("conversations", message.conversation_id);
    if (method === "DELETE") { it.head_id = message.parent_id; emit("message.deleted", { id: one, conversation_id: it.id }); return null; }
    if (verb === "restore" || verb === "select") { it.head_id = one; return { conversation: it }; }
    if (verb === "stop") { message.status = "stopped"; return {}; }
    if (verb === "regenerate") { const made = reply(it, message.role === "user" ? one : message.parent_id); emit("message.created", { message: view(made) }); return { message: view(made) }; }
    if (verb === "fork") { const made = conversation({ title: `${it.title} (fork)` }); made.head_id = one; return made; }
    if (verb === "edit") { if (body.in_place) { message.content = body.content; emit("message.updated", { message: view(message) }); return { message: view(message), reply: null }; } const made = add(it, message.parent_id, message.role, body.content), answer = body.reply ? reply(it, made.id) : null; return { message: view(made), reply: answer && view(answer) }; }
    if (verb === "prompt") return { model: "local/small.gguf", context_size: 8192, max_tokens: 512, total_tokens: 42, exact: true, parts: [{ kind: "system", label: "System", message_id: null, text: "You are Mara.", tokens: 42, included: true }] };
    return view(message);
  }

  const server = createServer(async (req, res) => {
    const url = new URL(req.url, "http://localhost");
    if (url.pathname === "/api/v1/events") {
      if (!db.session) return res.writeHead(401).end();
      await held;
      res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
      const last = url.searchParams.get("last_event_id");
      res.write(`id: ${eventId}\nevent: hello\ndata: {"last_event_id":${eventId}}\n\n`);
      if (last) for (const one of log) if (one.id > Number(last)) res.write(`id: ${one.id}\nevent: ${one.event}\ndata: ${JSON.stringify(one.data)}\n\n`);
      clients.add(res);
      return res.on("close", () => clients.delete(res));
    }
    if (url.pathname.startsWith("/api/v1/")) {
      const chunks = [];
      try { for await (const chunk of req) chunks.push(chunk); } catch { return; } // the page went away
      const raw = Buffer.concat(chunks);
      try {
        const body = req.headers["content-type"] === "application/json" && raw.length ? JSON.parse(raw) : {};
        const answer = api(req.method, url.pathname.slice(8).split("/"), body, url, req.headers, raw);
        if (Buffer.isBuffer(answer)) { res.writeHead(200, { "content-type": "image/png" }); return res.end(answer); }
        res.writeHead(answer === null ? 204 : req.method === "POST" ? 201 : 200, { "content-type": "application/json" });
        return res.end(answer === null ? undefined : JSON.stringify(answer));
      } catch (error) {
        res.writeHead(error.status ?? 500, { "content-type": "application/problem+json" });
        return res.end(JSON.stringify({ title: "Error", status: error.status ?? 500, slug: "mock", detail: error.message }));
      }
    }
    const name = extname(url.pathname) ? url.pathname : "/index.html";
    try {
      const data = await readFile(join(WEB, normalize(name)));
      res.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream", "content-security-policy": POLICY });
      res.end(data);
    } catch { res.writeHead(404).end(); }
  });
  await new Promise((ready) => server.listen(options.port ?? 0, "127.0.0.1", ready));
  return { url: `http://127.0.0.1:${server.address().port}`, db, emit, pictures: shown, recipes: kept, holdEvents: () => { let release; held = new Promise((done) => { release = () => { held = null; done(); }; }); return release; }, dropClients: () => { for (const res of clients) res.destroy(); }, close: () => new Promise((done) => { server.close(done); server.closeAllConnections(); }) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log((await startMock({ port: Number(process.argv[2] ?? 8099), signedIn: true, auto: true, library: 300 })).url);
