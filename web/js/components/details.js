/** details.js - the panel at the right of a conversation: who answers, as whom you speak, model, sampling, what was sent. */
import { debounce, field, h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import { store } from "../state.js";
import { avatar } from "./ui.js";
import { samplingFields } from "./sampling.js";

const SAVE_MS = 500;

/** @param {any[]} rows pairs of value and label @param {any} value @param {(value: any) => void} change */
const choose = (rows, value, change) => {
  const box = h("select", { class: "input", onchange: () => change(box.value || null) }, rows.map(([key, label]) => h("option", { value: key ?? "", selected: (key ?? null) === (value ?? null) }, label)));
  return box;
};

/** The model that will answer: the conversation's, the character's, the chosen default, the first that is ready. @param {any} conversation */
export function answering(conversation) {
  const { models, settings } = store.get();
  for (const id of [conversation?.model, conversation?.character?.model, settings?.default_model]) {
    const found = id && (models ?? []).find((one) => one.id === id);
    if (found || (id && id === conversation?.model)) return found || { id, name: id, provider_name: "", local: id.startsWith("local/"), ready: false };
  }
  return (models ?? []).find((one) => one.local) ?? models?.[0] ?? null;
}

/**
 * @param {Element} root
 * @param {{conversation: () => any, change: (body: any) => Promise<any>, sent: () => void, close: () => void, sampling: () => any}} host
 */
export function mountDetails(root, host) {
  let drawnFor = "";
  const save = debounce((sampling) => host.change({ sampling }), SAVE_MS);
  function draw(force = false) {
    const it = host.conversation();
    if (!it) return;
    const { personas, models } = store.get(), who = it.character, model = answering(it);
    // the sampling fields are left alone while somebody types in them
    const key = JSON.stringify([it.id, who?.id, who?.version, who?.avatar?.id, it.persona_id, it.model, model?.id, personas.map((one) => one.name), models?.length, root.contains(document.activeElement) ? drawnFor && "typing" : it.sampling]);
    if (!force && (key === drawnFor || (root.contains(document.activeElement) && document.activeElement?.matches("input, textarea")))) return;
    drawnFor = key;
    replace(root,
      h("header", { class: "details-head" }, h("h2", { class: "grow" }, t("details.title")), iconButton("close", t("details.close"), host.close)),
      h("section", { class: "portrait" }, avatar(who, "portrait"), h("h3", {}, who?.name ?? t("app.name")), h("p", { class: "muted small" }, who ? who.summary : t("details.none")),
        who && h("a", { class: "button small", href: `/characters/${who.id}` }, icon("edit"), t("details.character"))),
      personas.length > 0 && field(t("prompt.persona"), choose([[null, t("common.none")], ...personas.map((one) => [one.id, one.name])], it.persona_id, (persona_id) => host.change({ persona_id }))),
      field(t("prompt.model"), choose([[null, model && !it.model ? `${t("prompt.model.default")} (${model.name.replace(/\.gguf$/i, "")})` : t("prompt.model.default")], ...(models ?? []).map((one) => [one.id, `${one.name.replace(/\.gguf$/i, "")} · ${one.provider_name}`])], it.model, (id) => host.change({ model: id }))),
      h("h3", {}, t("details.sampling")), h("p", { class: "hint" }, t("details.sampling.hint")),
      samplingFields(it.sampling, { character: host.sampling(), local: !!model?.local }, save),
      Object.keys(it.sampling ?? {}).length > 0 && h("button", { type: "button", class: "button small", onclick: async () => { await host.change({ sampling: {} }); draw(true); } }, t("details.reset")),
      h("h3", {}, t("message.sent")), h("button", { type: "button", class: "button small", onclick: host.sent }, icon("eye"), t("details.sent")));
  }
  draw();
  return { draw, dispose: () => replace(root) };
}
