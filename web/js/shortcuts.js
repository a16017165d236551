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

/** Which action a key press means. @param {any} event @param {Record<string, string>} own @param {"page"|"text"|"prompt"} where @param {boolean} [mac] */
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
