/**
 * grid-form.js - the section "Grid" of Create: up to three axes, how many pictures and how long, and the button.
 * It stands below the form's other fields and takes everything else from them.
 */
import { debounce, field, h, icon, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { go } from "../router.js";
import { duration } from "../format.js";
import { announce, attempt, toast } from "../components/ui.js";
import { chosenModel } from "../components/create-panel.js";
import { askOf } from "../pictures/form.js";
import * as draft from "../pictures/draft.js";
import { AXES, CELLS_MAX, choices, countOf, gridOf, kindOf, options, used } from "../pictures/grid-axes.js";

const ESTIMATE_MS = 500;
const empty = () => ({ parameter: "", text: "", values: /** @type {string[]} */ ([]), lora: "" });
const nameOf = (/** @type {string} */ name) => t(`grid.param.${name}`);

/** Put the section into Create's form. @param {any} panel what createPanel() gave @returns {() => void} how to end it */
export function mountGridForm(panel) {
  let open = sessionStorage.getItem("create-grid") === "1", closed = false, sending = false, turn = 0, run_ms = 0;
  const axes = () => draft.get().grid ?? AXES.map(empty);
  const change = (/** @type {number} */ index, /** @type {any} */ value) => { draft.set({ grid: axes().map((/** @type {any} */ one, /** @type {number} */ i) => i === index ? { ...one, ...value } : one) }, { quiet: true }); drawCount(); guess(); };

  const body = h("div", { class: "grid-fields", id: "create-grid", hidden: !open }), rows = h("div", { class: "stack" }), said = h("p", { class: "small grid-count", role: "status" });
  const make = h("button", { type: "button", class: "button wide", onclick: () => send() }, icon("library"), t("grid.go"));
  const fold = h("button", { type: "button", class: "button quiet wide", "aria-expanded": String(open), "aria-controls": "create-grid", onclick: () => { open = !open; sessionStorage.setItem("create-grid", open ? "1" : ""); fold.setAttribute("aria-expanded", String(open)); body.hidden = !open; drawFold(); if (open) { draw(); guess(); } } });
  body.append(h("p", { class: "hint" }, t("grid.hint")), rows, said, make, h("a", { class: "small grid-all", href: "/grids" }, t("grid.all")));
  const box = h("section", { class: "grid-form", "aria-label": t("grid.title") }, fold, body);
  panel.querySelector(".create-fields").append(box);
  const drawFold = () => replace(fold, icon(open ? "up" : "fold"), t("grid.title"));

  /** The values of one axis: toggles where the model says what there is, else a text. @param {any} axis @param {number} index */
  function valuesOf(axis, index) {
    const kind = kindOf(axis.parameter), name = nameOf(axis.parameter);
    if (!kind) return null;
    const all = kind === "pick" ? options(axis.parameter, chosenModel(), store.get().pictureModels ?? [], store.get().styles) : [];
    if (all.length) return h("div", { class: "chips grid-picks", role: "group", "aria-label": t("grid.values", { name }) }, all.map((one) => h("button", { type: "button", class: "chip", "aria-pressed": String(axis.values.includes(one.value)), onclick: (/** @type {any} */ event) => {
      const now = axes()[index].values, on = !now.includes(one.value);
      change(index, { values: all.map((it) => it.value).filter((it) => it === one.value ? on : now.includes(it)) });
      event.currentTarget.setAttribute("aria-pressed", String(on));
    } }, one.label)));
    const help = `grid-help-${index}`, like = kind === "pick" ? "" : t(`grid.example.${kind}`);
    const loras = axis.parameter === "lora_weight" ? draft.get().loras.filter((/** @type {any} */ one) => one.name) : [];
    const input = h("input", { class: "input", value: axis.text, placeholder: like, "aria-label": t("grid.values", { name }), "aria-describedby": help, autocomplete: "off", spellcheck: "false", maxlength: 4000, oninput: (/** @type {any} */ event) => change(index, { text: event.target.value }) });
    return h("div", { class: "stack tight" }, loras.length > 1 && h("select", { class: "input", "aria-label": t("grid.lora"), onchange: (/** @type {any} */ event) => change(index, { lora: event.target.value }) }, loras.map((/** @type {any} */ one) => h("option", { value: one.name, selected: one.name === axis.lora }, one.name))),
      input, h("span", { class: "hint", id: help }, t(`grid.help.${kind === "integer" ? "number" : kind}`)));
  }

  function draw() {
    if (closed || !open) return;
    const can = choices(chosenModel(), draft.get()), now = axes();
    const focused = rows.contains(document.activeElement) ? /** @type {any} */ (document.activeElement)?.dataset.axis : null;
    replace(rows, now.map((/** @type {any} */ axis, /** @type {number} */ index) => {
      if (index > 0 && !now[index - 1].parameter && !axis.parameter) return null; // the next one when this one is used
      const taken = now.filter((/** @type {any} */ _, /** @type {number} */ i) => i !== index).map((/** @type {any} */ one) => one.parameter);
      const list = can.filter((one) => one === axis.parameter || one === "prompt" || !taken.includes(one));
      if (axis.parameter && !list.includes(axis.parameter)) list.push(axis.parameter); // kept, and told by the server when it does not fit
      const select = h("select", { class: "input", "data-axis": index, onchange: () => { const parameter = select.value; change(index, { parameter, text: "", values: [], lora: parameter === "lora_weight" ? draft.get().loras.find((/** @type {any} */ one) => one.name)?.name ?? "" : "" }); draw(); /** @type {any} */ (rows.querySelector(`[data-axis="${index}"]`))?.focus(); } },
        h("option", { value: "" }, t("grid.none")), list.map((one) => h("option", { value: one, selected: one === axis.parameter }, nameOf(one))));
      return h("div", { class: "grid-axis" }, field(t(`grid.axis.${AXES[index]}`), select), valuesOf(axis, index));
    }));
    if (focused) /** @type {any} */ (rows.querySelector(`[data-axis="${focused}"]`))?.focus();
    drawCount();
  }

  /** @returns {{count: number, why: string|null}} */
  function state() {
    const now = used(axes());
    if (!now.length) return { count: 0, why: t("grid.empty") };
    let count = 1;
    for (const one of now) {
      const found = countOf(one);
      if (found.bad !== null) return { count: 0, why: t("grid.bad", { piece: found.bad, name: nameOf(one.parameter) }) };
      if (!found.count) return { count: 0, why: t("grid.no_values", { name: nameOf(one.parameter) }) };
      count *= found.count;
    }
    return count > CELLS_MAX ? { count, why: t("grid.too_many", { count, max: CELLS_MAX }) } : { count, why: null };
  }
  function drawCount() {
    const { count, why } = state(), bad = why !== null && used(axes()).length > 0;
    const text = why ?? (run_ms ? t("grid.count.time", { count, time: duration(count * run_ms / 1000) }) : t("grid.count", { count }));
    if (said.textContent !== text) said.textContent = text;
    said.classList.toggle("warn-text", bad);
    make.disabled = sending;
  }

  /** The form's request, with one picture a cell. */
  const request = () => { const model = chosenModel(); return model && { ...askOf(model, draft.get()), model: model.id, count: 1 }; };
  const guess = debounce(async () => {
    const body = request(), mine = ++turn;
    if (closed || !open || !body?.prompt || state().why) return;
    const one = await api.post("/jobs/estimate", body).catch(() => null);
    if (closed || mine !== turn) return;
    run_ms = one?.run_ms ?? 0;
    drawCount();
  }, ESTIMATE_MS);

  async function send() {
    const { why } = state(), body = request();
    if (why) return void toast(why);
    if (!body) return void toast(t("create.empty.none"), { bad: true });
    if (!body.prompt?.trim() && !body.init_asset) { toast(t("create.empty.prompt")); panel.prompt.focus(); return; }
    sending = true;
    drawCount();
    const grid = await attempt(() => api.post("/grids", gridOf(body, axes()), { key: crypto.randomUUID?.() ?? String(Math.random()) }));
    sending = false;
    if (closed) return;
    drawCount();
    if (!grid) return;
    announce(t("create.queued"));
    go(`/grids/${grid.id}`);
  }

  const typed = (/** @type {Event} */ event) => { if (!box.contains(/** @type {Node} */ (event.target))) guess(); };
  panel.addEventListener("input", typed);
  const off = draft.subscribe(() => { draw(); guess(); });
  const offStore = store.subscribe((now, old) => { if (now.pictureModels !== old.pictureModels || now.styles !== old.styles) draw(); });
  drawFold();
  draw();
  guess();
  return () => { closed = true; off(); offStore(); panel.removeEventListener("input", typed); };
}
