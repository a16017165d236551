/**
 * workflow-form.js - the named inputs of a ComfyUI workflow in Create. While one is chosen they take the place of the
 * form's other fields; the prompt stays where it is. Opened by /create?workflow=<id>.
 */
import { field, h, icon, iconButton, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { fileOf } from "../pictures/actions.js";
import * as draft from "../pictures/draft.js";
import { takesPrompt } from "../pictures/workflow.js";
import { pickPicture } from "./picture-picker.js";
import { toast } from "./ui.js";
import { labelOf } from "./workflow-table.js";

const runs = (/** @type {any} */ model) => model?.tasks?.includes("workflow");

/** @param {any} panel what createPanel() gave @returns {() => void} how to end it */
export function mountWorkflowForm(panel) {
  const box = h("section", { class: "workflow-form", "aria-label": t("workflows.form"), hidden: true });
  let drawn = "", closed = false;
  panel.querySelector(".create-fields").prepend(box);
  const put = (/** @type {string} */ name, /** @type {any} */ value, quiet = true) => { const inputs = { ...draft.get().inputs }; if (value === "" || value === undefined) delete inputs[name]; else inputs[name] = value; draft.set({ inputs }, { quiet }); };

  /** @param {any} one */
  function control(one) {
    const now = draft.get().inputs?.[one.name], label = labelOf(one), hint = one.required ? t("workflows.shown.required") : undefined;
    if (one.type === "image") return h("div", { class: "field wide" }, h("span", { class: "field-label" }, label), h("div", { class: "row" }, now?.id && h("span", { class: "thumb" }, h("img", { src: fileOf(now, 128), alt: label })),
      h("button", { type: "button", class: "button small", "aria-label": t("workflows.picture.choose", { name: label }), onclick: () => pickPicture(label, (asset) => put(one.name, asset, false)) }, icon("image"), t("create.input.choose")),
      now?.id && iconButton("close", t("workflows.picture.remove", { name: label }), () => put(one.name, undefined, false), { class: "icon-button small" })), hint && !now?.id && h("span", { class: "hint" }, hint));
    if (one.type === "boolean") { const check = h("input", { type: "checkbox", checked: now ?? one.default, onchange: () => put(one.name, check.checked) }); return h("label", { class: "row check wide" }, check, label); }
    if (one.type === "integer" || one.type === "number") {
      const number = h("input", { class: "input", type: "number", inputmode: one.type === "integer" ? "numeric" : "decimal", step: one.type === "integer" ? 1 : "any", min: one.minimum ?? null, max: one.maximum ?? null, value: now ?? "", placeholder: one.name === "seed" ? t("create.seed.random") : one.default ?? "",
        oninput: () => { if (number.value === "") put(one.name, ""); else if (number.checkValidity()) put(one.name, Number(number.value)); else number.reportValidity(); } });
      const range = one.minimum !== undefined || one.maximum !== undefined ? t("workflows.range", { from: one.minimum ?? "…", to: one.maximum ?? "…" }) : undefined;
      return field(label, number, range ?? hint);
    }
    const long = one.type === "text", text = h(long ? "textarea" : "input", { class: long ? "input short" : "input", ...(long ? { rows: 2 } : {}), value: now ?? "", placeholder: one.default ?? "", oninput: () => put(one.name, text.value) });
    const made = field(label, text, hint);
    if (long) made.classList.add("wide");
    return made;
  }

  function draw() {
    const { workflow, inputs } = draft.get(), model = (store.get().pictureModels ?? []).find((one) => one.id === draft.get().model);
    const key = JSON.stringify([workflow, Object.entries(inputs ?? {}).filter(([, value]) => value?.id), runs(model), !store.get().pictureModels]);
    panel.classList.toggle("with-workflow", !!workflow);
    panel.classList.toggle("without-prompt", !!workflow?.items && !takesPrompt(workflow));
    panel.prompt.placeholder = workflow?.items?.find((/** @type {any} */ one) => one.name === "prompt")?.default || t("create.prompt.hint");
    box.hidden = !workflow;
    if (key === drawn) return;
    drawn = key;
    if (!workflow) return replace(box);
    const any = (store.get().pictureModels ?? []).some(runs);
    const shown = (workflow.items ?? []).filter((/** @type {any} */ one) => !one.fixed && one.name !== "prompt");
    replace(box, h("div", { class: "row" }, h("span", { class: "grow" }, h("span", { class: "muted small" }, t("workflows.form")), h("strong", { class: "block" }, workflow.name ?? "")),
      h("a", { class: "button small quiet", href: `/settings/workflows/${encodeURIComponent(workflow.id)}` }, t("common.edit")), iconButton("close", t("workflows.form.end"), () => { draft.set({ workflow: null, inputs: {} }); panel.prompt.focus(); }, { class: "icon-button small" })),
      store.get().pictureModels && !runs(model) && h("p", { class: "notice small", role: "status" }, t(any ? "workflows.form.model" : "workflows.check.none"), " ", !any && h("a", { href: "/settings/providers" }, t("workflows.check.none.do"))),
      h("div", { class: "workflow-inputs" }, shown.map(control)));
  }

  /** The workflow as it is now, and a model that runs it. @param {string} id */
  async function choose(id) {
    try {
      const it = await api.get(`/workflows/${encodeURIComponent(id)}`);
      if (closed) return;
      const keep = draft.get().workflow?.id === id, models = (store.get().pictureModels ?? await api.get("/picture-models").then((page) => page.items)), now = models.find((/** @type {any} */ one) => one.id === draft.get().model);
      const best = runs(now) ? now : models.find((/** @type {any} */ one) => runs(one) && one.remote_id === "workflow") ?? models.find(runs);
      const name = it.builtin ? t(`workflows.builtin.${it.name}`) : it.name;
      draft.set({ workflow: { id, name, items: it.inputs.items.map((/** @type {any} */ one) => ({ ...one, places: [] })) }, inputs: keep ? draft.get().inputs ?? {} : {}, ...(best ? { model: best.id } : {}) });
    } catch (error) {
      if (closed) return;
      if (/** @type {any} */ (error).status === 404) draft.set({ workflow: null, inputs: {} });
      toast(/** @type {Error} */ (error).message, { bad: true, error });
    }
  }

  const wanted = new URLSearchParams(location.search).get("workflow"), kept = draft.get().workflow?.id;
  stylesheet("recipes").catch(() => {});
  if (wanted) history.replaceState(null, "", location.pathname);
  if (wanted ?? kept) choose(wanted ?? kept);
  draw();
  const offs = [draft.subscribe((now) => { draw(); if (now.workflow && !now.workflow.items && !closed) choose(now.workflow.id); }), store.subscribe((state, old) => { if (state.pictureModels !== old.pictureModels) draw(); })];
  return () => { closed = true; for (const off of offs) off(); };
}
