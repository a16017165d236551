/** workflow-table.js - the inputs of a workflow as a table: what each is called, where it goes, its default and range, shown or fixed. */
import { h, icon, replace } from "../dom.js";
import { t } from "../i18n.js";
import { freeFields, freeName, titleOf, withDefault, withMark, withoutMark } from "../pictures/workflow.js";
import { button } from "./pieces.js";

const KNOWN = ["prompt", "negative_prompt", "seed", "steps", "cfg_scale", "guidance", "strength", "sampler", "scheduler", "width", "height", "count", "frames", "fps", "model", "lora", "lora_weight", "image", "mask", "control_image", "control_model", "control_strength", "upscaler", "clip_skip"];

/** The input's name for people: the standard words where it is a standard one. @param {string} name */
export function roleOf(name) {
  const base = name.replace(/_\d+$/, ""), number = name.slice(base.length + 1);
  return KNOWN.includes(base) ? t(`workflows.role.${base}`) + (number ? ` ${number}` : "") : name;
}
/** What a form calls it. @param {any} one */
export const labelOf = (one) => one.label === one.name ? roleOf(one.name) : one.label;
const numeric = (/** @type {any} */ one) => one.type === "integer" || one.type === "number";

/**
 * @param {any} workflow with its graph @param {() => void} changed
 * @returns {{element: any, result: () => {graph: any, inputs: any}, dirty: () => boolean}}
 */
export function workflowTable(workflow, changed) {
  let graph = workflow.graph, touched = false;
  /** @type {any[]} */ let items = workflow.inputs.items.map((/** @type {any} */ one) => ({ ...one }));
  const off = workflow.builtin || !workflow.mine;
  const body = h("tbody", {}), element = h("div", { class: "mapping" });
  const put = (/** @type {any} */ one, /** @type {any} */ change) => { Object.assign(one, change); touched = true; changed(); };

  /** @param {any} one @param {string} key @param {string} label */
  const bound = (one, key, label) => { const box = h("input", { class: "input bound", type: "number", step: one.type === "integer" ? 1 : "any", value: one[key] ?? "", disabled: off, "aria-label": t(label, { name: labelOf(one) }), onchange: () => put(one, { [key]: box.value === "" ? undefined : Number(box.value) }) }); return box; };

  function valueBox(/** @type {any} */ one) {
    const label = t("workflows.default.of", { name: labelOf(one) });
    if (one.type === "image") return h("span", { class: "muted small" }, one.default ? String(one.default) : t("workflows.image"));
    const write = (/** @type {any} */ value) => {
      const next = withDefault(graph, one, value);
      if (!next) { box.setCustomValidity(t("workflows.default.bad")); box.reportValidity(); return; }
      box.setCustomValidity("");
      graph = next;
      put(one, { default: value, required: false });
    };
    /** @type {any} */ let box;
    if (one.type === "boolean") box = h("input", { type: "checkbox", checked: one.default, disabled: off, "aria-label": label, onchange: () => write(box.checked) });
    else if (numeric(one)) box = h("input", { class: "input", type: "number", step: one.type === "integer" ? 1 : "any", value: one.default ?? "", placeholder: t("workflows.default.none"), disabled: off, "aria-label": label, onchange: () => { if (box.value !== "") write(Number(box.value)); } });
    else box = h(one.type === "text" ? "textarea" : "input", { class: "input short", ...(one.type === "text" ? { rows: 1 } : {}), disabled: off, "aria-label": label, value: one.default ?? "", placeholder: t("workflows.default.none"), onchange: () => write(box.value) });
    return box;
  }

  const cell = (/** @type {string} */ key, /** @type {any[]} */ ...content) => h("td", { class: key, dataset: { label: t(`workflows.column.${key}`) } }, content);
  function row(/** @type {any} */ one) {
    const label = h("input", { class: "input", maxlength: 100, value: one.label === one.name ? "" : one.label, placeholder: roleOf(one.name), disabled: off, "aria-label": t("workflows.label.of", { name: roleOf(one.name) }), onchange: () => { put(one, { label: label.value.trim() || one.name }); } });
    const shown = h("select", { class: "input", disabled: off || (one.required && one.type !== "image"), title: one.required ? t("workflows.required") : "", "aria-label": t("workflows.shown.of", { name: labelOf(one) }), onchange: () => put(one, { fixed: shown.value === "fixed" }) },
      h("option", { value: "shown", selected: !one.fixed }, t(one.required ? "workflows.shown.required" : "workflows.shown")), !one.required && h("option", { value: "fixed", selected: one.fixed }, t("workflows.fixed")));
    const marked = graph && withoutMark(graph, one.name) !== graph;
    return h("tr", {}, h("th", { scope: "row", class: "what" }, roleOf(one.name), h("code", { class: "muted small" }, one.name)),
      cell("place", one.places.map((/** @type {any} */ place) => h("span", { class: "small" }, `${titleOf(graph?.[place.node]) || place.class_type} `, h("code", { class: "muted" }, `#${place.node}.${place.field}`)))),
      cell("label", label), cell("default", valueBox(one)), cell("range", numeric(one) ? h("span", { class: "range" }, bound(one, "minimum", "workflows.minimum.of"), h("span", { class: "muted", "aria-hidden": "true" }, "–"), bound(one, "maximum", "workflows.maximum.of")) : h("span", { class: "muted" }, "–")),
      cell("show", shown, marked && !off && button(t("workflows.unmark"), () => { graph = withoutMark(graph, one.name); items = items.filter((it) => it !== one); touched = true; draw(); changed(); }, "quiet", { "aria-label": t("workflows.unmark.one", { name: labelOf(one) }) })));
  }

  /** A value of the graph that nothing found: it becomes an input by a mark in its node's title. */
  function adder() {
    const free = freeFields(graph, items);
    if (!free.length) return null;
    const nodes = [...new Map(free.map((one) => [one.node, one.title]))];
    const node = h("select", { class: "input", "aria-label": t("workflows.add.node"), onchange: () => fields() }, nodes.map(([id, title]) => h("option", { value: id }, `${title} #${id}`)));
    const which = h("select", { class: "input", "aria-label": t("workflows.add.field") });
    const fields = () => replace(which, free.filter((one) => one.node === node.value).map((one) => h("option", { value: one.field }, `${one.field}: ${String(one.value).slice(0, 40)}`)));
    fields();
    return h("div", { class: "adder" }, h("h4", {}, t("workflows.add")), h("div", { class: "row" }, node, which, button([icon("plus"), t("workflows.add.go")], () => {
      const value = graph[node.value].inputs[which.value], name = freeName(which.value, items);
      graph = withMark(graph, node.value, which.value, name);
      items.push({ name, label: name, type: typeof value === "string" ? "text" : typeof value === "boolean" ? "boolean" : Number.isInteger(value) ? "integer" : "number", default: value, required: false, places: [{ node: node.value, field: which.value, class_type: graph[node.value].class_type }], fixed: false });
      touched = true;
      draw();
      changed();
      /** @type {any} */ (body.lastElementChild)?.querySelector("input")?.focus();
    })));
  }

  function draw() {
    replace(body, items.map(row));
    replace(element, items.length ? h("table", {}, h("caption", { class: "visually-hidden" }, t("workflows.inputs")), h("thead", {}, h("tr", {}, ["what", "place", "label", "default", "range", "show"].map((key) => h("th", { scope: "col" }, t(`workflows.column.${key}`))))), body) : h("p", { class: "notice" }, t("workflows.inputs.none")), !off && graph && adder());
  }
  draw();
  return { element, dirty: () => touched,
    result: () => ({ graph, inputs: { items: items.map((one) => ({ name: one.name, label: one.label, fixed: !!one.fixed, ...(numeric(one) && one.minimum !== undefined ? { minimum: one.minimum } : {}), ...(numeric(one) && one.maximum !== undefined ? { maximum: one.maximum } : {}) })) } }) };
}
