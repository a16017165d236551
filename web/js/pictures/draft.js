/** draft.js - what stands in the form of Create, kept for this tab over reloads; other views hand pictures and parameters to it. */
import * as api from "../api.js";
import { store } from "../state.js";
import { emptyDraft, recalled } from "./form.js";

const KEY = "create";
/** @type {any} */ let draft = null;
/** @type {Set<(draft: any) => void>} */ const listeners = new Set();

const owner = () => store.get().status?.user?.id ?? null;

/** Another person's form is not shown, in the same tab neither. @returns {any} */
export function get() {
  if (!draft || draft.owner !== owner()) {
    draft = { ...emptyDraft(), owner: owner() };
    try { const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "{}"); if (kept.owner === owner()) Object.assign(draft, kept); } catch { /* what cannot be read is not kept */ }
  }
  return draft;
}

/** @param {Record<string, any>} change @param {{quiet?: boolean}} [options] quiet: the form shows it already */
export function set(change, options = {}) {
  draft = { ...get(), ...change };
  try { sessionStorage.setItem(KEY, JSON.stringify(draft)); } catch { /* full: it lives in the page */ }
  if (!options.quiet) for (const listener of [...listeners]) listener(draft);
}

/** @param {(draft: any) => void} listener @returns {() => void} */
export function subscribe(listener) {
  listeners.add(listener);
  return () => { listeners.delete(listener); };
}

/** Put into the form what made a picture. @param {string} id @param {{seed?: boolean, prompt?: boolean, rest?: boolean, original?: boolean}} [what] */
export async function recallAsset(id, what) {
  const details = await api.get(`/assets/${id}/details`);
  set(recalled(get(), { ...details.params, ...(details.asset?.prompt && details.params?.prompt === undefined ? { prompt: details.asset.prompt } : {}), ...(details.asset?.seed >= 0 ? { seed: details.asset.seed } : {}) }, what));
  return details;
}

/** The form of a job as it was written, its seed free again. @param {any} job */
export function remixJob(job) {
  set({ ...recalled(get(), { character_id: job.character_id, ...job.request, model: job.model, prompt: job.request?.prompt ?? job.prompt }, { prompt: true, rest: true, original: true }), seed_locked: false });
}

/** @type {File|null} */ let waiting = null;
/** A picture that was dropped elsewhere: Create asks what it shall be. @param {File} file */
export const hand = (file) => { waiting = file; };
/** @returns {File|null} */
export const handed = () => { const file = waiting; waiting = null; return file; };
