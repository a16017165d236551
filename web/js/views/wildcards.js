/**
 * wildcards.js - Settings, Wildcards: lists of words behind __name__ in prompts, and what a prompt becomes with them.
 *
 * One list is open at /settings/wildcards/<id> (or /new). The page follows changes made elsewhere, but never replaces what is being typed.
 */
import { debounce, field, h, icon, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { go } from "../router.js";
import { count as numbers } from "../format.js";
import { attempt, copy, failed, toast } from "../components/ui.js";
import { button, dropZone, emptyState, follow, loading, submit } from "../components/pieces.js";
import * as draft from "../pictures/draft.js";

const BYTES_MAX = 256 * 1024, EXPAND_MS = 350, PEEK = 6;
const EXAMPLE = { name: "colour", entries: "crimson\nteal\nochre\nivory\n" };

/** The lines that count. @param {string} entries */
export const linesOf = (entries) => entries.split(/\r?\n/).map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));
/** A file's name as a wildcard's: letters, digits, - _ . and blanks. @param {string} file */
export const nameOfFile = (file) => file.replace(/\.[^.]*$/, "").replace(/[^A-Za-z0-9_\-. ]+/g, "-").replace(/__+/g, "_").replace(/^[-_. ]+|[-_. ]+$/g, "").slice(0, 64) || "list";

const listAll = () => api.get("/wildcards").then((page) => page.items);
const save = (/** @type {string} */ name, /** @type {string} */ entries) => api.post("/wildcards", { name, entries });

/** @param {any} one @param {() => void} after */
async function remove(one, after) {
  await api.del(`/wildcards/${one.id}`);
  after();
  toast(t("wildcards.deleted", { name: one.name }), { undo: () => { attempt(async () => { await save(one.name, one.entries); after(); }); } });
}

/** Files become lists named after them; a list of that name is not replaced without a word. @param {File[]} files @param {any[]} have */
async function importFiles(files, have) {
  const names = new Set(have.map((one) => one.name));
  let done = 0;
  for (const file of files) {
    if (file.size > BYTES_MAX) { toast(t("wildcards.import.large", { name: file.name }), { bad: true }); continue; }
    const text = await file.text(), base = nameOfFile(file.name);
    if (text.includes("\0")) { toast(t("wildcards.import.binary", { name: file.name }), { bad: true }); continue; }
    let name = base;
    for (let n = 2; names.has(name); n++) name = `${base.slice(0, 60)} ${n}`;
    names.add(name);
    await save(name, text);
    done++;
  }
  if (done) toast(t("wildcards.imported", { count: done }));
}

/** What a prompt becomes, for some seeds. @param {any[]} have @returns {any} */
function preview(have) {
  const first = have[0]?.name, start = draft.get().prompt;
  const prompt = h("textarea", { class: "input short", rows: 2, maxlength: 10000, spellcheck: "true", value: /__[^_]+__|\{[^}]*\|/.test(start) ? start : first ? t("wildcards.try.example", { name: first }) : t("wildcards.try.plain") });
  const many = h("select", { class: "input", onchange: () => ask() }, [5, 10, 20].map((n) => h("option", { value: n }, n)));
  const list = h("ol", { class: "expansions", "aria-label": t("wildcards.try.results"), "aria-live": "polite" }), wrong = h("p", { class: "notice bad", role: "alert", hidden: true });
  let turn = 0, seed = Math.floor(Math.random() * 4e9);
  async function ask() {
    const mine = ++turn, text = prompt.value.trim();
    wrong.hidden = true;
    if (!text) return replace(list);
    try {
      const page = await api.post("/prompts/expand", { prompt: text, count: Number(many.value), seed });
      if (mine !== turn) return;
      replace(list, page.items.map((/** @type {any} */ one) => h("li", { class: "expansion" }, h("span", { class: "grow" }, one.prompt), h("span", { class: "row tight" },
        button(t("wildcards.try.use"), () => { draft.set({ prompt: one.prompt }); go("/create"); }, "quiet", { "aria-label": t("wildcards.try.use.one", { prompt: one.prompt.slice(0, 60) }) }),
        h("button", { type: "button", class: "icon-button small", "aria-label": t("wildcards.try.copy", { prompt: one.prompt.slice(0, 60) }), title: t("common.copy"), onclick: () => copy(one.prompt) }, icon("copy"))))));
    } catch (error) {
      if (mine !== turn) return;
      replace(list);
      wrong.textContent = /** @type {Error} */ (error).message;
      wrong.hidden = false;
    }
  }
  const later = debounce(ask, EXPAND_MS);
  prompt.addEventListener("input", later);
  ask();
  const element = h("section", { class: "card stack", "aria-label": t("wildcards.try") }, h("h3", {}, t("wildcards.try")), field(t("create.prompt"), prompt, t("wildcards.try.hint")),
    h("div", { class: "row between" }, h("label", { class: "row check" }, h("span", { class: "muted small" }, t("wildcards.try.count")), many),
      h("span", { class: "row" }, button(t("wildcards.try.again"), () => { seed = Math.floor(Math.random() * 4e9); return ask(); }), button(t("wildcards.try.use.prompt"), () => { draft.set({ prompt: prompt.value }); go("/create"); }))), wrong, list);
  return { element, ask };
}

/** @param {any} box @param {any[]} have @param {any} one null: a new one @param {{name?: string, entries?: string}} [start] */
function editor(box, have, one, start = {}) {
  const name = h("input", { class: "input", required: true, maxlength: 64, value: one?.name ?? start.name ?? "", pattern: "[A-Za-z0-9_\\-\\/. ]+", autocomplete: "off", spellcheck: "false" });
  const entries = h("textarea", { class: "input wildcard-lines", rows: 12, value: one?.entries ?? start.entries ?? "", spellcheck: "true" });
  const total = h("span", { class: "muted small", role: "status" }), as = h("code", {});
  const file = h("input", { type: "file", accept: ".txt,text/plain", hidden: true, onchange: () => attempt(async () => { const text = await file.files[0].text(); file.value = ""; entries.value = entries.value ? `${entries.value.replace(/\n*$/, "\n")}${text}` : text; draw(); }) });
  const draw = () => { total.textContent = t("wildcards.entries", { count: numbers(linesOf(entries.value).length) }); as.textContent = `__${name.value.trim() || t("wildcards.name.example")}__`; };
  entries.addEventListener("input", draw); name.addEventListener("input", draw);
  draw();
  replace(box, h("p", {}, h("a", { href: "/settings/wildcards" }, t("wildcards.back"))), h("form", { class: "stack", onsubmit: submit(async () => {
    const wanted = name.value.trim();
    if (wanted !== one?.name && have.some((other) => other.name === wanted)) throw new Error(t("wildcards.taken", { name: wanted }));
    const saved = await save(wanted, entries.value);
    if (one && wanted !== one.name) await api.del(`/wildcards/${one.id}`);
    toast(t("common.saved"));
    go("/settings/wildcards", { replace: !one });
    return saved;
  }) },
    h("h3", {}, one ? one.name : t("wildcards.new")), h("label", { class: "field" }, h("span", { class: "field-label" }, t("common.name")), name, h("span", { class: "hint" }, t("wildcards.name.hint"), " ", as)), field(t("wildcards.lines"), entries, t("wildcards.lines.hint")),
    h("div", { class: "row between" }, total, button(t("wildcards.append"), () => file.click(), "quiet")), file,
    h("div", { class: "row" }, h("button", { class: "button primary" }, t("common.save")), h("a", { class: "button quiet", href: "/settings/wildcards" }, t("common.cancel")), one && h("span", { class: "grow" }), one && button(t("common.delete"), () => remove(one, () => go("/settings/wildcards")), "quiet danger"))));
  (one ? entries : name).focus();
}

/** @param {any} box @param {string} [id] @returns {Promise<any>} dispose */
export async function mountWildcards(box, id) {
  const done = loading(box);
  await stylesheet("recipes").catch(() => {});
  let have = await listAll().finally(done);
  if (id === "new") return editor(box, have, null);
  if (id) {
    const one = have.find((/** @type {any} */ it) => it.id === id);
    if (!one) return void replace(box, emptyState(t("wildcards.gone"), t("wildcards.gone.text"), h("a", { class: "button", href: "/settings/wildcards" }, t("wildcards.back"))));
    return editor(box, have, one);
  }
  const list = h("ul", { class: "recipes", "aria-label": t("settings.wildcards") });
  const file = h("input", { type: "file", accept: ".txt,text/plain", multiple: true, hidden: true, onchange: () => attempt(async () => { const files = [...file.files]; file.value = ""; await importFiles(files, have); await again(); }) });
  const tools = () => [h("a", { class: "button small primary", href: "/settings/wildcards/new" }, icon("plus"), t("wildcards.new")), button([icon("upload"), t("wildcards.import")], () => file.click())];
  const tryOut = preview(have);
  const head = h("div", { class: "row" });
  const again = async () => { have = await listAll(); draw(); tryOut.ask(); };
  const card = (/** @type {any} */ one) => {
    const lines = linesOf(one.entries), more = lines.length - PEEK;
    return h("li", { class: "card recipe" }, h("div", { class: "grow" }, h("a", { class: "recipe-name", href: `/settings/wildcards/${one.id}` }, h("code", {}, `__${one.name}__`)), h("span", { class: "muted small" }, " ", t("wildcards.entries", { count: numbers(lines.length) })),
      h("p", { class: "muted small clip" }, lines.length ? lines.slice(0, PEEK).join(", ") + (more > 0 ? ` ${t("wildcards.more", { count: more })}` : "") : t("wildcards.empty"))),
      h("div", { class: "row tight" }, button(t("common.copy"), () => copy(`__${one.name}__`), "quiet", { "aria-label": t("wildcards.copy", { name: one.name }) }), h("a", { class: "button small", href: `/settings/wildcards/${one.id}`, "aria-label": t("wildcards.edit", { name: one.name }) }, t("common.edit")),
        button(t("common.delete"), () => remove(one, again), "quiet danger", { "aria-label": t("wildcards.delete", { name: one.name }) })));
  };
  function draw() {
    replace(head, have.length ? tools() : null);
    replace(list, have.length ? have.map(card) : h("li", {}, emptyState(t("wildcards.none"), t("wildcards.none.text"), tools(), button(t("wildcards.example"), async () => { await save(EXAMPLE.name, EXAMPLE.entries); await again(); }, "quiet"))));
  }
  draw();
  replace(box, h("div", { class: "stack" }, h("p", { class: "muted" }, t("wildcards.text")), head, list, tryOut.element, h("p", { class: "hint" }, t("wildcards.syntax"))), file);
  const refresh = () => { again().catch((error) => failed(box, error, () => mountWildcards(box, id))); };
  const page = box.closest(".page") ?? box, offs = [follow(["wildcard.changed"], refresh), dropZone(page, (files) => attempt(async () => { await importFiles(files, have); await again(); }))];
  return Object.assign(() => { for (const off of offs) off(); }, { reset: refresh });
}
