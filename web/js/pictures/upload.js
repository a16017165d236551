/**
 * upload.js - files into the library, one after the other; large ones in pieces that are gone on with after a break.
 *
 * A piece that does not arrive is sent again from where the server stands, as long as it takes; the same file chosen again
 * after a reload goes on too (name, size and time of change say that it is the same).
 */
import * as api from "../api.js";

export const PIECE = 8 * 1024 * 1024;
const KEY = "uploads", KEPT = 20, RETRY_MS = 1000, RETRY_MAX_MS = 15000;

/** @param {File} file */
const markOf = (file) => `${file.name}|${file.size}|${file.lastModified}`;
/** @returns {Record<string, string>} */
function known() { try { return JSON.parse(localStorage.getItem(KEY) ?? "{}"); } catch { return {}; } }
/** @param {File} file @param {string|null} id */
function remember(file, id) {
  const { [markOf(file)]: _old, ...rest } = known();
  localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(Object.entries(id ? { ...rest, [markOf(file)]: id } : rest).slice(-KEPT))));
}

/** Until the line may be back. @param {number} ms @param {AbortSignal} signal */
const pause = (ms, signal) => new Promise((done) => {
  const end = () => { clearTimeout(timer); removeEventListener("online", end); signal.removeEventListener("abort", end); done(undefined); };
  const timer = setTimeout(end, ms);
  addEventListener("online", end);
  signal.addEventListener("abort", end);
});

/** An upload of this file that has begun, or a new one. @param {File} file @param {AbortSignal} signal */
async function begin(file, signal) {
  const id = known()[markOf(file)];
  if (id) try { return await api.get(`/uploads/${id}`, { signal }); } catch (error) { if (/** @type {any} */ (error).status !== 404) throw error; }
  const made = await api.post("/uploads", { size_bytes: file.size }, { signal });
  remember(file, made.id);
  return made;
}

/** Errors that pass: no line, the server restarts, it is busy; another offset than we thought. @param {any} error */
const passes = (error) => error.status === 0 || error.status === 409 || error.status === 429 || error.status >= 500;

/**
 * @param {File} file @param {{signal: AbortSignal, progress?: (share: number, waiting: boolean) => void}} options
 * @returns {Promise<any>} the asset
 */
export async function uploadFile(file, { signal, progress }) {
  if (file.size <= PIECE) return api.send("POST", "/assets", { raw: file, type: file.type, signal }).then((answer) => answer.json());
  let wait = RETRY_MS;
  /** @type {any} */ let upload = null;
  for (;;) {
    signal.throwIfAborted();
    try {
      upload = upload ? await api.get(`/uploads/${upload.id}`, { signal }) : await begin(file, signal);
      progress?.(upload.received_bytes / file.size, false);
      while (upload.received_bytes < file.size) {
        const at = upload.received_bytes;
        upload = await api.send("PATCH", `/uploads/${upload.id}`, { raw: file.slice(at, at + PIECE), type: "application/octet-stream", headers: { "Upload-Offset": String(at) }, signal }).then((answer) => answer.json());
        wait = RETRY_MS;
        progress?.(upload.received_bytes / file.size, false);
      }
      const asset = await api.post(`/uploads/${upload.id}/finish`, undefined, { signal });
      remember(file, null);
      return asset;
    } catch (error) {
      if (signal.aborted) { if (upload) api.del(`/uploads/${upload.id}`).catch(() => {}); remember(file, null); throw error; }
      if (!passes(error)) { remember(file, null); throw error; }
      if (/** @type {any} */ (error).status === 409 && upload === null) throw error; // too many have begun
      progress?.((upload?.received_bytes ?? 0) / file.size, true);
      await pause(wait, signal);
      wait = Math.min(wait * 2, RETRY_MAX_MS);
    }
  }
}
