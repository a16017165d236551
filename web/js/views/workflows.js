/**
 * workflows.js - Settings, Workflows: ComfyUI workflows in API format, built in and one's own; how their inputs show in a form.
 *
 * /settings/workflows lists them and takes new ones (dropped, pasted, chosen); /settings/workflows/<id> is one of them.
 */
import { field, h, icon, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { go } from "../router.js";
import { age } from "../format.js";
import { ask, attempt, dialog, failed, toast } from "../components/ui.js";
import { button, dropZone, emptyState, follow, loading } from "../components/pieces.js";
import { nameOf, readGraph } from "../pictures/workflow.js";
import { labelOf, workflowTable } from "../components/workflow-table.js";

const BUILTIN = ["txt2img", "img2img", "inpaint", "upscale", "refiner", "control-canny", "control-depth", "control-pose", "txt2vid", "img2vid"];
const path = (/** @type {any} */ one) => `/settings/workflows/${encodeURIComponent(one.id)}`;
/** @param {any} one */
export const nameFor = (one) => one.builtin && BUILTIN.includes(one.name) ? t(`workflows.builtin.${one.name}`) : one.name;

/** Save what was dropped or pasted, or say what it is instead. @param {string} text @param {string} name */
async function add(text, name) {
  const { graph, why } = readGraph(text);
  if (why === "editor") return void editorFormat();
  if (!graph) throw new Error(t(`workflows.why.${why}`));
  const made = await api.post("/workflows", { name, graph });
  toast(t("workflows.added", { name: made.name, count: made.inputs.items.length }));
  go(path(made));
}

/** The editor's own format: what to do instead. */
function editorFormat() {
  const close = dialog(t("workflows.editor"), h("div", { class: "stack" }, h("p", {}, t("workflows.editor.text")),
    h("ol", { class: "steps" }, ["one", "two", "three"].map((step) => h("li", {}, t(`workflows.editor.${step}`)))), h("p", { class: "muted small" }, t("workflows.editor.old")), h("div", {}, h("button", { class: "button primary", onclick: () => close() }, t("common.close")))));
}

/** @param {File[]} files */
async function take(files) {
  for (const file of files) {
    if (file.size > 1 << 20) throw new Error(t("workflows.large", { name: file.name }));
    await add(await file.text(), nameOf(file.name));
  }
}

function pasteDialog() {
  const name = h("input", { class: "input", required: true, maxlength: 100, value: t("workflows.paste.name") }), text = h("textarea", { class: "input graph-text", rows: 8, required: true, spellcheck: "false", placeholder: '{"3": {"class_type": "KSampler", …' });
  const close = dialog(t("workflows.paste"), h("form", { class: "stack", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); attempt(async () => { const { why } = readGraph(text.value); if (why !== "editor") await add(text.value, name.value.trim()); close(); if (why === "editor") editorFormat(); }); } },
    field(t("common.name"), name), field(t("workflows.paste.text"), text), h("div", {}, h("button", { class: "button primary" }, t("workflows.add.save")))));
  text.focus();
}

const again = (/** @type {any} */ one) => ({ name: one.name, graph: one.graph, shared: one.shared, inputs: { items: one.inputs.items.map((/** @type {any} */ it) => ({ name: it.name, label: it.label, fixed: !!it.fixed, ...(it.minimum !== undefined ? { minimum: it.minimum } : {}), ...(it.maximum !== undefined ? { maximum: it.maximum } : {}) })) } });
/** @param {any} one @param {() => void} after */
async function remove(one, after) {
  const whole = one.graph ? one : await api.get(`/workflows/${one.id}`);
  await api.del(`/workflows/${one.id}`);
  after();
  toast(t("workflows.deleted", { name: one.name }), { undo: () => { attempt(async () => { await api.post("/workflows", again(whole)); after(); }); } });
}
/** @param {any} one */
async function duplicate(one) {
  const whole = one.graph ? one : await api.get(`/workflows/${encodeURIComponent(one.id)}`);
  const made = await api.post("/workflows", { ...again(whole), name: t("workflows.copy.name", { name: nameFor(one) }).slice(0, 100), shared: false });
  toast(t("workflows.copied"));
  go(path(made));
}
/** @param {any} one */
function save(one) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(one.graph, null, 2)], { type: "application/json" }));
  h("a", { href: url, download: `${one.name.replace(/[^\w.-]+/g, "_")}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/* ---- one ---- */

/** Asks a ComfyUI server whether it has every node and file. @param {any} workflow */
function checker(workflow) {
  const out = h("div", { role: "status", class: "verdict" });
  const box = h("div", { class: "row" });
  api.get("/picture-models").then((page) => {
    const servers = [...new Map(page.items.filter((/** @type {any} */ one) => one.provider_kind === "comfyui" && one.provider_id).map((/** @type {any} */ one) => [one.provider_id, one.provider_name]))].map(([id, name]) => ({ id, name }));
    if (!servers.length) return replace(box, h("p", { class: "muted small" }, t("workflows.check.none"), " ", h("a", { href: "/settings/providers" }, t("workflows.check.none.do"))));
    const which = h("select", { class: "input", "aria-label": t("workflows.check.server") }, servers.map((one) => h("option", { value: one.id }, one.name)));
    const run = button(t(servers.length > 1 ? "workflows.check" : "workflows.check.one", { name: servers[0].name }), async () => {
      run.disabled = true;
      replace(out, h("p", { class: "muted small" }, t("workflows.checking")));
      try {
        const answer = await api.post(`/workflows/${encodeURIComponent(workflow.id)}/check`, { provider_id: which.value });
        replace(out, h("p", { class: answer.ready ? "notice good" : "notice bad" }, answer.ready ? [icon("check"), t("workflows.check.ready")] : answer.detail));
      } catch (error) { replace(out, h("p", { class: "notice bad" }, /** @type {Error} */ (error).message)); } finally { run.disabled = false; }
    });
    replace(box, servers.length > 1 && which, run);
  }).catch(() => {});
  return h("div", { class: "stack" }, box, out);
}

/** @param {any} box @param {string} id @param {() => boolean} [wanted] asked again when it has been read: may it replace what is shown? */
async function mountOne(box, id, wanted = () => true) {
  /** @type {any} */ let workflow, changes = 0;
  try { workflow = await api.get(`/workflows/${encodeURIComponent(id)}`); } catch (error) {
    if (/** @type {any} */ (error).status !== 404) throw error;
    return void replace(box, emptyState(t("workflows.gone"), t("workflows.gone.text"), h("a", { class: "button", href: "/settings/workflows" }, t("workflows.back"))));
  }
  if (!wanted()) return;
  const mine = workflow.mine, unsaved = h("span", { class: "muted small", role: "status" });
  const store = h("button", { type: "button", class: "button primary", disabled: true, onclick: () => attempt(async () => {
    const { graph, inputs } = table.result(), sent = changes, same = () => changes === sent;
    await api.patch(`/workflows/${id}`, { graph, inputs });
    toast(t("common.saved"));
    if (same()) { store.disabled = true; await mountOne(box, id, same); } // what is changed meanwhile stays, not saved yet
  }) }, t("common.save"));
  const table = workflowTable(workflow, () => { changes++; store.disabled = false; unsaved.textContent = t("workflows.unsaved"); });
  const shared = h("input", { type: "checkbox", role: "switch", checked: workflow.shared, onchange: () => attempt(async () => { try { await api.patch(`/workflows/${id}`, { shared: shared.checked }); } catch (error) { shared.checked = !shared.checked; throw error; } }) });
  const title = h("h3", { class: "grow" }, nameFor(workflow));
  const rename = () => ask(t("workflows.rename"), workflow.name, (name) => { attempt(async () => { workflow = { ...workflow, ...(await api.patch(`/workflows/${id}`, { name })) }; title.textContent = workflow.name; toast(t("common.saved")); }); });
  replace(box, h("div", { class: "stack" }, h("p", {}, h("a", { href: "/settings/workflows" }, t("workflows.back"))),
    h("div", { class: "row" }, title, h("a", { class: "button small primary", href: `/create?workflow=${encodeURIComponent(id)}` }, icon("create"), t("workflows.use"))),
    h("p", { class: "muted" }, workflow.builtin ? t("workflows.builtin.text") : mine ? t("workflows.one.text", { nodes: Object.keys(workflow.graph ?? {}).length }) : t("workflows.others.text")),
    h("div", { class: "row" }, mine && button([icon("edit"), t("chat.rename")], rename), button([icon("copy"), t("workflows.duplicate")], () => duplicate(workflow)), button([icon("download"), t("workflows.save")], () => save(workflow)),
      mine && h("label", { class: "row check switch" }, shared, t("workflows.shared")), mine && h("span", { class: "grow" }), mine && button([icon("trash"), t("common.delete")], () => remove({ ...workflow, shared: shared.checked }, () => go("/settings/workflows")), "quiet danger")),
    checker(workflow), h("h3", {}, t("workflows.inputs")), h("p", { class: "muted small" }, t(mine ? "workflows.inputs.text" : "workflows.inputs.read")), table.element,
    mine && h("div", { class: "row save-row" }, store, unsaved)));
  const leave = (/** @type {BeforeUnloadEvent} */ event) => { if (!store.isConnected) removeEventListener("beforeunload", leave); else if (!store.disabled) event.preventDefault(); };
  addEventListener("beforeunload", leave);
  return () => removeEventListener("beforeunload", leave);
}

/* ---- all ---- */

/** @param {any} box @param {string} [id] @returns {Promise<any>} dispose */
export async function mountWorkflows(box, id) {
  const done = loading(box);
  await stylesheet("recipes").catch(() => {});
  if (id) return mountOne(box, id).finally(done);
  /** @type {any[]} */ let all = (await api.get("/workflows").finally(done)).items;
  const own = h("ul", { class: "recipes", "aria-label": t("workflows.mine") }), others = h("div", { class: "stack" });
  const file = h("input", { type: "file", accept: ".json,application/json", hidden: true, onchange: () => attempt(async () => { const files = [...file.files]; file.value = ""; await take(files); }) });
  const refresh = async () => { all = (await api.get("/workflows")).items; draw(); };
  const summary = (/** @type {any} */ one) => { const names = one.inputs.items.filter((/** @type {any} */ it) => !it.fixed).map(labelOf); return names.length ? t("workflows.inputs.are", { names: names.join(", ") }) : t("workflows.inputs.none.short"); };
  const card = (/** @type {any} */ one) => h("li", { class: "card recipe" }, h("div", { class: "grow" }, h("a", { class: "recipe-name", href: path(one) }, nameFor(one)), one.mine && h("span", { class: "muted small" }, ` ${age(one.updated_at)}${one.shared ? ` · ${t("workflows.is_shared")}` : ""}`), h("p", { class: "muted small clip", title: summary(one) }, summary(one))),
    h("div", { class: "row tight" }, h("a", { class: "button small", href: `/create?workflow=${encodeURIComponent(one.id)}`, "aria-label": t("workflows.use.one", { name: nameFor(one) }) }, t("workflows.use")),
      one.mine ? button(t("common.delete"), () => remove(one, refresh), "quiet danger", { "aria-label": t("workflows.delete", { name: one.name }) }) : button(t("workflows.duplicate"), () => duplicate(one), "quiet", { "aria-label": t("workflows.duplicate.one", { name: nameFor(one) }) })));
  const group = (/** @type {string} */ title, /** @type {any[]} */ list) => list.length ? [h("h3", {}, title), h("ul", { class: "recipes", "aria-label": title }, list.map(card))] : null;
  function draw() {
    const mine = all.filter((one) => one.mine);
    replace(own, mine.length ? mine.map(card) : h("li", { class: "muted" }, t("workflows.none")));
    replace(others, group(t("workflows.others"), all.filter((one) => !one.mine && !one.builtin)), group(t("workflows.builtins"), all.filter((one) => one.builtin).sort((a, b) => BUILTIN.indexOf(a.name) - BUILTIN.indexOf(b.name))));
  }
  draw();
  replace(box, h("div", { class: "stack" }, h("p", { class: "muted" }, t("workflows.text")),
    h("div", { class: "card drop-card" }, h("strong", {}, t("workflows.drop")), h("p", { class: "muted small" }, t("workflows.drop.hint")), h("div", { class: "row center" }, button([icon("upload"), t("workflows.choose")], () => file.click(), "primary"), button(t("workflows.paste"), pasteDialog), button(t("workflows.how"), editorFormat, "quiet"))),
    h("h3", {}, t("workflows.mine")), own, others), file);
  const paste = (/** @type {ClipboardEvent} */ event) => {
    if (/** @type {Element} */ (event.target).closest?.("input, textarea, dialog") || document.querySelector("dialog[open]")) return;
    const files = [...(event.clipboardData?.files ?? [])], text = event.clipboardData?.getData("text/plain") ?? "";
    if (!files.length && !text.trim().startsWith("{")) return;
    event.preventDefault();
    attempt(() => files.length ? take(files) : add(text, t("workflows.paste.name")));
  };
  document.addEventListener("paste", paste);
  const again = () => { refresh().catch((error) => failed(box, error, () => mountWorkflows(box, id))); };
  const offs = [() => document.removeEventListener("paste", paste), follow(["workflow.changed"], again), dropZone(box.closest(".page") ?? box, (files) => attempt(() => take(files)))];
  return Object.assign(() => { for (const off of offs) off(); }, { reset: again });
}
