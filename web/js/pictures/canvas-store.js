/**
 * canvas-store.js - what was painted, kept in this browser so that a reload loses nothing: mask, frame, tool and words of the
 * edit of each picture. Bounded: the oldest go first.
 *
 * IndexedDB, one store keyed by person and picture. A browser without it (or with no room) paints as before and forgets.
 */
import { greyPng, packRuns, unpackRuns } from "./mask.js";

const NAME = "atelier-canvas", STORE = "edits", KEPT = 20, AGE_MS = 30 * 86400000;
/** @typedef {{key: string, at: number, width: number, height: number, mask: Blob|Uint8Array|null, frame: any, tool: string, size: number, prompt: string, mode: string, strength: number, model: string|null}} Kept */

/** Stays open: what is kept while the page goes away has no time to open it. @type {IDBDatabase|null} */ let base = null;
/** @returns {Promise<IDBDatabase|null>} */
const database = () => base ? Promise.resolve(base) : new Promise((done) => {
  if (typeof indexedDB === "undefined") return done(null);
  const ask = indexedDB.open(NAME, 1);
  ask.onupgradeneeded = () => ask.result.createObjectStore(STORE, { keyPath: "key" }).createIndex("at", "at");
  ask.onsuccess = () => { base = ask.result; base.onclose = base.onversionchange = () => { base?.close(); base = null; }; done(base); };
  ask.onerror = ask.onblocked = () => done(null);
});

/** @template T @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest<T>|void} run @returns {Promise<T|undefined>} */
async function within(mode, run) {
  const db = await database().catch(() => null);
  if (!db) return undefined;
  return new Promise((done) => {
    /** @type {any} */ let ask;
    const work = db.transaction(STORE, mode);
    work.oncomplete = () => done(ask?.result);
    work.onabort = work.onerror = () => done(undefined); // no room: nothing is kept
    ask = run(work.objectStore(STORE));
  });
}

/** What was kept while the page went away is in the tab's own storage: that is written before the page is gone. */
const LEAVING = "atelier-canvas/", RUNS_MAX = 200000;
/** @param {string} key @returns {Kept|undefined} */
function left(key) {
  try {
    const one = JSON.parse(sessionStorage.getItem(LEAVING + key) ?? "null");
    return one ? { ...one, mask: one.runs && unpackRuns(one.runs, one.width * one.height) } : undefined;
  } catch { return undefined; }
}

/** @param {string} key @returns {Promise<Kept|undefined>} */
export async function kept(key) {
  const last = left(key), stored = await within("readonly", (store) => store.get(key));
  const one = last && (!stored || last.at >= stored.at) ? last : stored;
  return one && Date.now() - one.at < AGE_MS ? one : undefined;
}

/** @param {string} key @param {{mask: Uint8Array|null, width: number, height: number} & Record<string, any>} what */
export async function keep(key, { mask, ...what }) {
  const blob = mask && mask.some((one) => one > 0) ? await greyPng(mask, what.width, what.height) : null;
  await within("readwrite", (store) => {
    store.put({ ...what, key, at: Date.now(), mask: blob });
    const all = store.count();
    all.onsuccess = () => {
      let over = all.result - KEPT;
      if (over <= 0) return;
      const oldest = store.index("at").openCursor();
      oldest.onsuccess = () => { const cursor = oldest.result; if (cursor && over-- > 0) { cursor.delete(); cursor.continue(); } };
    };
  });
}

/** The same while the page goes away, when nothing may be waited for. A mask of very many pieces is given to the database,
 * which may not have the time. @param {string} key @param {Record<string, any>} what */
export function keepNow(key, { mask, ...what }) {
  const runs = packRuns(mask ?? new Uint8Array(0)), one = { ...what, key, at: Date.now() };
  try {
    if (runs.length <= RUNS_MAX) return sessionStorage.setItem(LEAVING + key, JSON.stringify({ ...one, runs }));
  } catch { /* no room: the database then */ }
  if (!base) return;
  try {
    const work = base.transaction(STORE, "readwrite");
    work.objectStore(STORE).put({ ...one, mask });
    work.commit?.();
  } catch { /* it is closing */ }
}

/** The mask as something to draw. @param {Kept} one */
export async function maskOf({ mask, width, height }) {
  const file = mask instanceof Uint8Array ? mask.some((it) => it > 0) ? await greyPng(mask, width, height) : null : mask;
  return file && createImageBitmap(file).catch(() => null);
}

/** @param {string} key */
export const forget = (key) => { sessionStorage.removeItem(LEAVING + key); return within("readwrite", (store) => { store.delete(key); }); };

/** Somebody signed out: nothing of theirs stays. */
export const forgetAll = () => {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(LEAVING)) sessionStorage.removeItem(key);
  return within("readwrite", (store) => { store.clear(); });
};
