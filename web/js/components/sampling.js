/**
 * sampling.js - the fields of a sampling object, of a character or of one conversation.
 *
 * An empty field means the default, which stands in it as the placeholder: the character's value, else the model's.
 */
import { field, h } from "../dom.js";
import { t } from "../i18n.js";

const FIELDS = ["temperature", "top_p", "top_k", "min_p", "repeat_penalty", "max_tokens", "seed"];
/** What the local engine does when nothing is said. Providers choose for themselves. @type {Record<string, any>} */
const LOCAL = { temperature: 0.8, top_p: 0.95, top_k: 40, min_p: 0.05, repeat_penalty: 1, seed: t("sampling.random") };
/** @type {Record<string, any>} */
const LIMITS = { temperature: [0, 5, 0.05], top_p: [0, 1, 0.01], top_k: [0, 1000, 1], min_p: [0, 1, 0.01], repeat_penalty: [0, 3, 0.01], max_tokens: [1, null, 1], seed: [null, null, 1] };

/**
 * @param {any} value @param {{character?: any, local?: boolean}} defaults @param {(value: any) => void} change
 * @returns {any[]}
 */
export function samplingFields(value, defaults, change) {
  let now = { ...(value ?? {}) };
  const set = (/** @type {string} */ key, /** @type {any} */ to) => {
    now = { ...now };
    if (to === null) delete now[key]; else now[key] = to;
    change(now);
  };
  const standing = (/** @type {string} */ key) => String(defaults.character?.[key] ?? (defaults.local ? LOCAL[key] : null) ?? t("sampling.default"));
  const one = (/** @type {string} */ key) => {
    const [min, max, step] = LIMITS[key];
    const input = h("input", { class: "input", type: "number", inputmode: "decimal", min, max, step: step === 1 ? 1 : "any", value: now[key] ?? "", placeholder: standing(key) });
    input.addEventListener("input", () => { if (input.validity.valid) set(key, input.value === "" ? null : Number(input.value)); });
    return field(t(`sampling.${key}`), input);
  };
  const stop = h("textarea", { class: "input short", rows: 2, value: (now.stop ?? []).join("\n"), placeholder: (defaults.character?.stop ?? []).join("\n") });
  stop.addEventListener("input", () => { const lines = stop.value.split("\n").filter(Boolean); set("stop", lines.length ? lines : null); });
  return [h("div", { class: "sampling" }, FIELDS.map(one)), field(t("sampling.stop"), stop, t("sampling.stop.hint"))];
}
