/** palette.js - the command palette and the list of keys. */
import { h, icon, replace } from "../dom.js";
import { t } from "../i18n.js";
import { store } from "../state.js";
import { go } from "../router.js";
import { bindings, pretty } from "../shortcuts.js";
import { avatar, dialog } from "./ui.js";

export function openHelp() {
  dialog(t("help.title"), h("div", { class: "stack" }, bindings(store.get().prefs.shortcuts).map((row) => h("div", { class: "row between" }, h("span", {}, t(row.text)), h("kbd", {}, pretty(row.keys))))));
}

export function openPalette() {
  const { conversations, characters } = store.get();
  const to = (/** @type {string} */ path) => () => go(path);
  const rows = [
    { label: t("chat.new"), mark: icon("plus"), run: to("/") }, { label: t("nav.characters"), mark: icon("people"), run: to("/characters") },
    { label: t("nav.create"), mark: icon("create"), run: to("/create") }, { label: t("nav.library"), mark: icon("library"), run: to("/library") }, { label: t("nav.activity"), mark: icon("activity"), run: to("/activity") },
    ...["appearance", "keyboard", "models", "providers", "personas", "workflows", "wildcards", "webhooks", "keys", "account", "about"].map((one) => ({ label: `${t("settings.title")}: ${t(`settings.${one}`)}`, mark: icon("settings"), run: to(`/settings/${one}`) })),
    { label: t("keys.help"), mark: icon("menu"), run: openHelp },
    ...(characters ?? []).map((one) => ({ label: one.name, mark: avatar(one, "small"), run: to(`/characters/${one.id}`) })),
    ...(conversations ?? []).map((one) => ({ label: one.title || one.character?.name || t("chat.untitled"), mark: icon("chat"), run: to(`/c/${one.id}`) })),
  ];
  let chosen = 0;
  /** @type {typeof rows} */ let shown = [];
  const box = h("div", { role: "listbox", id: "palette-list", "aria-label": t("palette.title") });
  const input = h("input", { class: "input", type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list", "aria-label": t("palette.title"), placeholder: t("palette.hint"), autocomplete: "off" });
  const run = (/** @type {any} */ row) => { close(); row?.run(); };
  const draw = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = rows.filter((row) => words.every((/** @type {string} */ word) => row.label.toLowerCase().includes(word))).slice(0, 12);
    chosen = Math.max(0, Math.min(chosen, shown.length - 1));
    replace(box, shown.map((row, at) => h("button", { type: "button", tabindex: -1, class: "option", role: "option", id: `palette-${at}`, "aria-selected": String(at === chosen), onclick: () => run(row) }, row.mark, row.label)));
    input.setAttribute("aria-activedescendant", shown.length ? `palette-${chosen}` : "");
  };
  input.addEventListener("input", () => { chosen = 0; draw(); });
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step) { event.preventDefault(); chosen = (chosen + step + shown.length) % (shown.length || 1); draw(); }
    if (event.key === "Enter") { event.preventDefault(); run(shown[chosen]); }
  });
  const close = dialog(t("palette.title"), h("div", { class: "stack" }, input, box), "palette");
  draw();
  input.focus();
}
