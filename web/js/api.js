/**
 * api.js - every request of the page: JSON in and out, the CSRF token, errors as words.
 *
 * A refused request throws ApiError, whose message can be shown as it is. Listeners of `onSignedOut` hear of a 401.
 */
import { t } from "./i18n.js";

const BASE = "/api/v1";
let csrf = "";
/** @type {() => void} */ let signedOut = () => {};

export class ApiError extends Error {
  /** @param {number} status @param {any} problem */
  constructor(status, problem) {
    super(problem?.detail || problem?.title || t("error.status", { status }));
    this.status = status;
    this.slug = problem?.slug ?? "unknown";
    this.field = problem?.field ?? null;
    this.request_id = problem?.request_id ?? null;
    this.retry_after_s = problem?.retry_after_s ?? null;
    this.quota = problem?.quota ?? null;
  }
}

/** @param {string|null|undefined} token */
export function setCsrf(token) { csrf = token ?? ""; }
/** @param {() => void} listener */
export function onSignedOut(listener) { signedOut = listener; }

/** @param {Record<string, any>} params */
export function query(params) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params))
    if (value !== undefined && value !== null && value !== "") search.set(key, String(value));
  const text = search.toString();
  return text ? `?${text}` : "";
}

/**
 * @param {string} method @param {string} path
 * @param {{body?: any, raw?: Blob|string, type?: string, version?: number, key?: string, signal?: AbortSignal, headers?: Record<string, string>}} [options]
 * @returns {Promise<Response>}
 */
export async function send(method, path, options = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", ...options.headers };
  if (method !== "GET" && csrf) headers["X-CSRF-Token"] = csrf;
  if (options.version !== undefined) headers["If-Match"] = `"${options.version}"`;
  if (options.key) headers["Idempotency-Key"] = options.key;
  /** @type {any} */ let body;
  if (options.raw !== undefined) {
    body = options.raw;
    headers["Content-Type"] = options.type || "application/octet-stream";
  } else if (options.body !== undefined) {
    body = JSON.stringify(options.body);
    headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(BASE + path, { method, headers, body, signal: options.signal, credentials: "same-origin" });
  } catch (error) {
    if (/** @type {any} */ (error).name === "AbortError") throw error;
    throw new ApiError(0, { slug: "offline", detail: t("error.offline") });
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => null);
    if (response.status === 401 && path !== "/session" && !["bad_credentials", "second_factor_required"].includes(problem?.slug)) signedOut();
    throw new ApiError(response.status, problem);
  }
  return response;
}

/** @param {string} method @param {string} path @param {any} [options] @returns {Promise<any>} */
async function json(method, path, options) {
  const response = await send(method, path, options);
  return response.status === 204 ? null : response.json().catch(() => null);
}

export const get = (/** @type {string} */ path, /** @type {any} */ options = {}) => json("GET", path, options);
export const post = (/** @type {string} */ path, /** @type {any} */ body = {}, /** @type {any} */ options = {}) => json("POST", path, { body, ...options });
export const patch = (/** @type {string} */ path, /** @type {any} */ body, /** @type {any} */ options = {}) => json("PATCH", path, { body, ...options });
export const put = (/** @type {string} */ path, /** @type {any} */ body) => json("PUT", path, { body });
export const del = (/** @type {string} */ path) => json("DELETE", path);
/** @param {string} method @param {string} path @param {Blob|string} raw @param {string} type */
export const sendRaw = (method, path, raw, type) => json(method, path, { raw, type });

/** Every item of a list, page by page, at most `most`. @param {string} path @param {Record<string, any>} [params] @param {number} [most] */
export async function all(path, params = {}, most = 1000) {
  /** @type {any[]} */ const items = [];
  let after;
  do {
    const page = await get(path + query({ ...params, limit: 200, after }));
    items.push(...page.items);
    after = page.next;
  } while (after && items.length < most);
  return items;
}

/**
 * Read server-sent events from a POST (temporary chats). @param {string} path @param {any} body
 * @param {(event: string, data: any) => void} onevent @param {AbortSignal} signal
 */
export async function stream(path, body, onevent, signal) {
  const response = await send("POST", path, { body, signal });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let buffer = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    buffer += decoder.decode(value, { stream: true });
    const blocks = buffer.split(/\r?\n\r?\n/);
    buffer = blocks.pop() ?? "";
    for (const block of blocks) {
      let event = "message", data = "";
      for (const line of block.split(/\r?\n/)) {
        if (line.startsWith("event:")) event = line.slice(6).trim();
        else if (line.startsWith("data:")) data += line.slice(5).trim();
      }
      if (data) onevent(event, JSON.parse(data));
    }
  }
}
