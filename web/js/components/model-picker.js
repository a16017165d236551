/** model-picker.js - which picture model: the chosen one as a button, the others unfolded below it, with what each is. */
import { h, icon, replace } from "../dom.js";
import { t } from "../i18n.js";
import { price } from "./job-card.js";

const SEARCH_FROM = 8;

/** @param {any} model */
export const costOf = (model) => model.price_unit ? t("create.model.price", { price: price(model.price_micro_usd), unit: model.price_unit }) : model.provider_kind === "local" ? t("create.model.free") : "";

/** @param {(id: string) => void} choose @returns {any} an element with update(models, chosen) */
export function modelPicker(choose) {
  let open = false, q = "";
  /** @type {any[]} */ let models = [];
  /** @type {any} */ let chosen = null;
  const list = h("div", { class: "models", id: "models", role: "radiogroup", "aria-label": t("create.model"), hidden: true });
  const head = h("button", { type: "button", class: "model-button", "aria-expanded": "false", "aria-controls": "models", onclick: () => toggle() });
  const search = h("input", { class: "input", type: "search", "aria-label": t("create.model.search"), placeholder: t("create.model.search"), hidden: true, oninput: () => { q = search.value.trim().toLowerCase(); draw(); } });
  const box = h("div", { class: "model-picker", onkeydown: (/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape" && open) { event.stopPropagation(); toggle(); head.focus(); } } }, head, search, list);

  function toggle() {
    open = !open;
    head.setAttribute("aria-expanded", String(open));
    draw();
    if (open) /** @type {any} */ (search.hidden ? list.querySelector("input:checked") ?? list.querySelector("input") : search)?.focus();
  }
  /** @param {any} model */
  const light = (model) => h("span", { class: `light ${model.ready ? "good" : "warn"}` });
  /** @param {any} model */
  const row = (model) => h("label", { class: "model-row" },
    h("input", { type: "radio", name: "picture-model", value: model.id, checked: model.id === chosen?.id, onchange: () => choose(model.id), onclick: (/** @type {MouseEvent} */ event) => { if (event.detail) { choose(model.id); toggle(); head.focus(); } }, onkeydown: (/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter") { event.preventDefault(); choose(model.id); toggle(); head.focus(); } } }),
    h("span", { class: "grow" }, h("span", { class: "model-name" }, light(model), model.name, h("span", { class: "muted small" }, model.provider_name)),
      model.description && h("span", { class: "muted small block" }, model.description),
      !model.ready && model.why && h("span", { class: "small block warn-text" }, t("create.model.not_ready", { why: model.why })),
      h("span", { class: "muted small block" }, [costOf(model), model.licence && t("create.model.licence", { name: model.licence })].filter(Boolean).join(" · "))));
  function draw() {
    list.hidden = !open;
    search.hidden = !open || models.length < SEARCH_FROM;
    replace(head, chosen ? [light(chosen), h("span", { class: "grow" }, h("strong", {}, chosen.name), " ", h("span", { class: "muted small" }, chosen.provider_name))] : h("span", { class: "grow" }, t(models.length ? "create.model.default" : "create.model.none")), h("span", { class: "visually-hidden" }, t("create.model.change")), icon(open ? "up" : "fold"));
    if (open) replace(list, models.filter((one) => !q || `${one.name} ${one.provider_name} ${one.description} ${one.tasks.join(" ")}`.toLowerCase().includes(q)).map(row), !models.length && h("a", { href: "/settings/models" }, t("create.model.none.do")));
  }
  draw();
  return Object.assign(box, { update: (/** @type {any[]} */ all, /** @type {any} */ one) => { models = all; const moved = chosen?.id !== one?.id; chosen = one; if (open && moved && list.contains(document.activeElement)) { for (const input of list.querySelectorAll("input")) input.checked = input.value === one?.id; } else draw(); } });
}
