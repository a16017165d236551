/** i18n.js - `t("key", {name})`: the text of the interface in the person's language. English is all there is yet. */
import { en } from "./i18n/en.js";

/** @param {string} key @param {Record<string, any>} [params] @returns {string} */
export function t(key, params = {}) {
  const text = /** @type {Record<string, string>} */ (en)[key];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in params ? String(params[name]) : whole));
}
