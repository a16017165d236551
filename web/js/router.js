/**
 * router.js - the address bar identifies what is open. `match` is pure; `go` changes the address.
 */
/** @typedef {{view: string, id?: string, section?: string, q?: string}} Route */

/** @param {string} path @param {string} [search] @returns {Route} */
export function match(path, search = "") {
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  if (parts.length === 0) return { view: "chat" };
  if (parts[0] === "c" && parts[1]) return { view: "chat", id: parts[1] };
  if (parts[0] === "characters") return parts[1] ? { view: "character", id: parts[1] } : { view: "characters" };
  if (parts[0] === "settings") return { view: "settings", section: parts[1] ?? "appearance", ...(parts[2] ? { id: parts[2] } : {}) };
  if (parts[0] === "temporary") return { view: "temporary", id: parts[1] };
  if (parts[0] === "create") return parts[1] === "edit" && parts[2] ? { view: "edit", id: parts[2] } : { view: "create" };
  if (parts[0] === "library") return { view: "library", id: parts[1], q: search };
  if (parts[0] === "grids") return { view: "grids", id: parts[1] };
  if (parts[0] === "activity") return { view: "activity" };
  if (parts[0] === "setup" || parts[0] === "signin") return { view: "chat" };
  if (parts[0] === "search") return { view: "search", q: new URLSearchParams(search).get("q") ?? "" };
  return { view: "missing" };
}

/** @type {(route: Route) => void} */ let changed = () => {};
const current = () => match(location.pathname, location.search);

/** @param {(route: Route) => void} listener */
export function start(listener) {
  changed = listener;
  addEventListener("popstate", () => changed(current()));
  document.addEventListener("click", (event) => {
    const link = /** @type {HTMLAnchorElement|null} */ (/** @type {Element} */ (event.target).closest("a[href]"));
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.pathname.startsWith("/api/") || link.hash) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
  changed(current());
}

/** @param {string} path @param {{replace?: boolean}} [options] */
export function go(path, options = {}) {
  if (options.replace) history.replaceState(null, "", path);
  else if (path !== location.pathname + location.search) history.pushState(null, "", path);
  changed(current());
}
