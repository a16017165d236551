/** styles.js - one's own styles: make, change, delete, bring in a styles.csv. Opened from the style chips of Create. */
import { field, h } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { attempt, dialog, menu, toast } from "./ui.js";

const again = () => api.all("/styles").then((styles) => store.dispatch({ type: "set", values: { styles } }));

/** @param {any} style null makes a new one @param {{prompt: string, negative_prompt: string}} now what stands in the form */
function edit(style, now) {
  const name = h("input", { class: "input", value: style?.name ?? "", required: true, maxlength: 80 });
  const prompt = h("textarea", { class: "input", rows: 3, maxlength: 4000, value: style?.prompt ?? (now.prompt ? `{prompt}, ${now.prompt}` : "{prompt}, ") });
  const negative = h("textarea", { class: "input", rows: 2, maxlength: 4000, value: style?.negative_prompt ?? now.negative_prompt ?? "" });
  const shared = h("input", { type: "checkbox", checked: style?.shared });
  const close = dialog(style ? t("styles.edit") : t("styles.new"), h("form", { onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); attempt(async () => { const body = { name: name.value.trim(), prompt: prompt.value, negative_prompt: negative.value, shared: shared.checked }; await (style ? api.patch(`/styles/${style.id}`, body) : api.post("/styles", body)); close(); await again(); }); } },
    field(t("common.name"), name), field(t("create.prompt"), prompt, t("styles.prompt.hint")), field(t("create.negative"), negative), h("label", { class: "row check" }, shared, t("styles.shared")), h("br"), h("button", { class: "button primary" }, t("common.save"))));
  name.focus();
}

/** @param {Element} anchor @param {any} chosen the style that is on, or null @param {{prompt: string, negative_prompt: string}} now */
export function stylesMenu(anchor, chosen, now) {
  const file = h("input", { type: "file", accept: ".csv,text/csv", onchange: () => attempt(async () => { const answer = await api.sendRaw("POST", "/styles/import", file.files[0], "text/csv"); await again(); toast(t("styles.imported", { count: answer?.imported ?? answer?.count ?? "" })); }) });
  menu(anchor, [{ label: t("styles.new"), icon: "plus", run: () => edit(null, now) }, { label: t("styles.import"), icon: "upload", run: () => file.click() },
    ...(chosen && !chosen.builtin ? [null, { label: t("styles.edit"), icon: "edit", run: () => edit(chosen, now) }, { label: t("styles.delete", { name: chosen.name }), icon: "trash", danger: true, run: () => { attempt(async () => { await api.del(`/styles/${chosen.id}`); await again(); toast(t("styles.deleted", { name: chosen.name }), { undo: () => { attempt(async () => { await api.post("/styles", { name: chosen.name, prompt: chosen.prompt, negative_prompt: chosen.negative_prompt, shared: chosen.shared }); await again(); }); } }); }); } }] : [])]);
}
