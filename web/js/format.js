/** format.js - sizes, times and numbers as people say them. Pure. */
const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** @param {number|null|undefined} bytes */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  let value = bytes, unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) { value /= 1000; unit++; }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** @param {number|null|undefined} n */
export function count(n) {
  if (n === null || n === undefined) return "";
  return n < 10000 ? n.toLocaleString("en") : `${(n / 1000).toFixed(n < 100000 ? 1 : 0)}k`;
}

/** The day a conversation belongs to in the list. @param {string} iso @param {Date} [now] @returns {"today"|"yesterday"|"week"|"older"} */
export function age(iso, now = new Date()) {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const time = new Date(iso).getTime();
  if (time >= midnight) return "today";
  if (time >= midnight - 86400000) return "yesterday";
  return time >= midnight - 6 * 86400000 ? "week" : "older";
}

/** @param {string|null|undefined} iso */
export function moment(iso) {
  return iso ? new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "";
}

/** The time of day when it is today, else the day too. @param {string|null|undefined} iso @param {Date} [now] */
export function soon(iso, now = new Date()) {
  if (!iso) return "";
  const at = new Date(iso);
  return at.toDateString() === now.toDateString() ? at.toLocaleTimeString(undefined, { timeStyle: "short" }) : at.getFullYear() === now.getFullYear() ? at.toLocaleString(undefined, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" }) : moment(iso);
}

/** Two letters for a character without a picture. @param {string} name */
export function initials(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  return (words.length > 1 ? [...words[0]][0] + [...words[words.length - 1]][0] : [...(words[0] ?? "?")].slice(0, 1).join("")).toUpperCase();
}

/** The name of a model without its provider or folder. @param {string|null|undefined} id */
export function modelName(id) {
  return id ? id.slice(id.indexOf("/") + 1).replace(/\.gguf$/i, "") : "";
}
