/**
 * shortcuts.js - the one table of keys: it feeds the handler, the `?` page and Settings, Keyboard.
 *
 * A chord is written "Mod+Shift+O": Mod is Ctrl, or Cmd on a Mac. Rebindings are kept in the preferences by action.
 */
export const TABLE = [
  { action: "palette", keys: "Mod+K", text: "keys.palette", scope: "any" },
  { action: "new_chat", keys: "Mod+Shift+O", text: "keys.new_chat", scope: "any" },
  { action: "temporary", keys: "Mod+Shift+E", text: "keys.temporary", scope: "any" },
  { action: "help", keys: "?", text: "keys.help", scope: "page" },
  { action: "search", keys: "/", text: "keys.search", scope: "page" },
  { action: "toggle_list", keys: "Mod+B", text: "keys.toggle_list", scope: "any" },
  { action: "toggle_details", keys: "Mod+I", text: "keys.toggle_details", scope: "any" },
  { action: "focus_prompt", keys: "Shift+Escape", text: "keys.focus_prompt", scope: "any" },
  { action: "stop", keys: "Escape", text: "keys.stop", scope: "any" },
  { action: "edit_last", keys: "ArrowUp", text: "keys.edit_last", scope: "prompt" },
  { action: "swipe_previous", keys: "ArrowLeft", text: "keys.swipe_previous", scope: "prompt" },
  { action: "swipe_next", keys: "ArrowRight", text: "keys.swipe_next", scope: "prompt" },
  { action: "go_create", keys: "Mod+Shift+G", text: "keys.go_create", scope: "any" },
  { action: "go_library", keys: "Mod+Shift+L", text: "keys.go_library", scope: "any" },
  { action: "generate", keys: "Mod+Enter", text: "keys.generate", scope: "any" },
  { action: "generate_front", keys: "Mod+Shift+Enter", text: "keys.generate_front", scope: "any" },
  { action: "history_back", keys: "Alt+ArrowUp", text: "keys.history_back", scope: "any" },
  { action: "history_forward", keys: "Alt+ArrowDown", text: "keys.history_forward", scope: "any" },
  { action: "weight_up", keys: "Mod+ArrowUp", text: "keys.weight_up", scope: "picture" },
  { action: "weight_down", keys: "Mod+ArrowDown", text: "keys.weight_down", scope: "picture" },
  { action: "view", keys: "Space", text: "keys.view", scope: "page" },
  { action: "star", keys: ".", text: "keys.star", scope: "page" },
  { action: "recall", keys: "A", text: "keys.recall", scope: "page" },
  { action: "recall_seed", keys: "S", text: "keys.recall_seed", scope: "page" },
  { action: "recall_prompt", keys: "P", text: "keys.recall_prompt", scope: "page" },
  { action: "remix", keys: "R", text: "keys.remix", scope: "page" },
  { action: "info", keys: "I", text: "keys.info", scope: "page" },
  { action: "zoom", keys: "Z", text: "keys.zoom", scope: "page" },
  { action: "trash", keys: "Delete", text: "keys.trash", scope: "page" },
  { action: "select_all", keys: "Mod+A", text: "keys.select_all", scope: "page" },
  { action: "brush", keys: "B", text: "keys.brush", scope: "page" },
  { action: "eraser", keys: "E", text: "keys.eraser", scope: "page" },
  { action: "lasso", keys: "L", text: "keys.lasso", scope: "page" },
  { action: "pan", keys: "H", text: "keys.pan", scope: "page" },
  { action: "smaller", keys: "[", text: "keys.smaller", scope: "page" },
  { action: "larger", keys: "]", text: "keys.larger", scope: "page" },
  { action: "undo", keys: "Mod+Z", text: "keys.undo", scope: "page" },
  { action: "redo", keys: "Mod+Shift+Z", text: "keys.redo", scope: "page" },
];

export const isMac = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.platform ?? "");

/** @param {any} event @param {boolean} [mac] */
export function chord(event, mac = isMac) {
  const parts = [];
  if (mac ? event.metaKey : event.ctrlKey) parts.push("Mod");
  if (event.altKey) parts.push("Alt");
  const key = event.key === " " ? "Space" : event.key;
  if (event.shiftKey && !(key.length === 1 && !/[a-z]/i.test(key))) parts.push("Shift");
  parts.push(key.length === 1 ? key.toUpperCase() : key);
  return parts.join("+");
}

/** The table with the person's own bindings. @param {Record<string, string>} [own] */
export function bindings(own = {}) {
  return TABLE.map((row) => ({ ...row, keys: own[row.action] ?? row.keys }));
}

/** Which action a key press means. @param {any} event @param {Record<string, string>} own @param {"page"|"text"|"prompt"|"picture"} where @param {boolean} [mac] */
export function actionFor(event, own, where, mac = isMac) {
  const pressed = chord(event, mac);
  const row = bindings(own).find((one) => one.keys === pressed &&
    (one.scope === "any" || one.scope === where));
  return row?.action ?? null;
}

/** Another action that already uses these keys. @param {string} action @param {string} keys @param {Record<string, string>} own */
export function conflict(action, keys, own) {
  return bindings(own).find((row) => row.action !== action && row.keys === keys)?.action ?? null;
}

/** As shown to people. @param {string} keys @param {boolean} [mac] */
export function pretty(keys, mac = isMac) {
  /** @type {Record<string, string>} */
  const names = { Mod: mac ? "⌘" : "Ctrl", Shift: mac ? "⇧" : "Shift", Alt: mac ? "⌥" : "Alt", Escape: "Esc", ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→" };
  return keys.split("+").map((key) => names[key] ?? key).join(mac ? "" : "+");
}
