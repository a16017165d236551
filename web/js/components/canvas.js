/**
 * canvas.js - painting a mask over a picture: brush, eraser, lasso, pan and zoom, and the frame that is dragged outward to
 * paint beyond the edges. Mouse, pen, finger (two fingers move and zoom) and keyboard (arrows move a point, Space paints).
 */
import { h } from "../dom.js";
import { t } from "../i18n.js";
import { createMask } from "../pictures/mask.js";

const ZOOM_MIN = 0.05, ZOOM_MAX = 16, HANDLE = 14, EDGE = 26;
/** @typedef {{left: number, top: number, right: number, bottom: number}} Frame */

/**
 * @param {HTMLImageElement} image loaded @param {number} width @param {number} height of the picture
 * @param {{changed: () => void}} on
 */
export function mountCanvas(image, width, height, on) {
  const mask = createMask(width, height);
  const canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "paint", tabindex: 0, role: "application", "aria-label": t("canvas.label"), "aria-describedby": "canvas-keys" }));
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const tint = document.createElement("canvas");
  tint.width = width; tint.height = height;
  /** @type {"brush"|"eraser"|"lasso"|"pan"} */ let tool = "brush";
  let size = Math.max(8, Math.round(Math.min(width, height) / 12)), scale = 1, x0 = 0, y0 = 0, fitted = true, frame = 0, stale = true;
  /** @type {Frame} */ let border = { left: 0, top: 0, right: 0, bottom: 0 };
  /** @type {{x: number, y: number}|null} */ let point = null;
  /** @type {{x: number, y: number}[]} */ let lasso = [];
  /** @type {Map<number, {x: number, y: number}>} */ const down = new Map();
  /** @type {any} */ let act = null;
  let byKeys = false;

  const css = (/** @type {string} */ name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const outer = () => ({ x: -border.left, y: -border.top, w: width + border.left + border.right, h: height + border.top + border.bottom });
  const toPicture = (/** @type {{x: number, y: number}} */ at) => ({ x: (at.x - x0) / scale, y: (at.y - y0) / scale });
  const local = (/** @type {PointerEvent|WheelEvent} */ event) => { const box = canvas.getBoundingClientRect(); return { x: event.clientX - box.left, y: event.clientY - box.top }; };

  function fit() {
    const box = outer(), room = EDGE * 2;
    if (!canvas.clientWidth) return;
    scale = Math.min((canvas.clientWidth - room) / box.w, (canvas.clientHeight - room) / box.h, 8);
    x0 = (canvas.clientWidth - box.w * scale) / 2 - box.x * scale;
    y0 = (canvas.clientHeight - box.h * scale) / 2 - box.y * scale;
    fitted = true;
    later();
  }
  /** @param {number} by @param {{x: number, y: number}} [at] */
  function zoom(by, at = { x: canvas.clientWidth / 2, y: canvas.clientHeight / 2 }) {
    const next = Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, scale * by)), real = next / scale;
    x0 = at.x - (at.x - x0) * real;
    y0 = at.y - (at.y - y0) * real;
    scale = next;
    fitted = false;
    later();
  }
  function changed() { stale = true; later(); on.changed(); }

  function draw() {
    frame = 0;
    const ratio = devicePixelRatio || 1, w = Math.round(canvas.clientWidth * ratio), hgt = Math.round(canvas.clientHeight * ratio);
    if (!w) return;
    if (canvas.width !== w || canvas.height !== hgt) { canvas.width = w; canvas.height = hgt; }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, w, hgt);
    context.translate(x0, y0);
    context.scale(scale, scale);
    const box = outer(), accent = css("--accent") || "#c65a3a";
    if (box.w !== width || box.h !== height) { context.fillStyle = css("--sunken"); context.fillRect(box.x, box.y, box.w, box.h); context.globalAlpha = 0.35; context.fillStyle = accent; context.fillRect(box.x, box.y, box.w, box.h); context.globalAlpha = 1; }
    context.imageSmoothingEnabled = scale < 3;
    context.drawImage(image, 0, 0, width, height);
    if (stale) { stale = false; const ink = /** @type {CanvasRenderingContext2D} */ (tint.getContext("2d")); ink.globalCompositeOperation = "copy"; ink.drawImage(mask.canvas, 0, 0); ink.globalCompositeOperation = "source-in"; ink.fillStyle = accent; ink.fillRect(0, 0, width, height); }
    context.globalAlpha = 0.55;
    context.drawImage(tint, 0, 0);
    context.globalAlpha = 1;
    if (lasso.length > 1) { context.beginPath(); lasso.forEach((one, n) => n ? context.lineTo(one.x, one.y) : context.moveTo(one.x, one.y)); for (const [colour, wide, dash] of /** @type {[string, number, number[]][]} */ ([["#000", 2.5, []], ["#fff", 1.5, [6, 4]]])) { context.strokeStyle = colour; context.lineWidth = wide / scale; context.setLineDash(dash.map((one) => one / scale)); context.stroke(); } context.setLineDash([]); }
    context.strokeStyle = accent;
    context.lineWidth = 1.5 / scale;
    context.strokeRect(box.x, box.y, box.w, box.h);
    context.fillStyle = css("--surface");
    for (const one of handles()) { const s = (HANDLE - 4) / scale; context.fillRect(one.x - s / 2, one.y - s / 2, s, s); context.strokeRect(one.x - s / 2, one.y - s / 2, s, s); }
    if (point && tool !== "pan" && (byKeys || down.size === 0 || tool !== "lasso")) { context.beginPath(); context.arc(point.x, point.y, tool === "lasso" ? 4 / scale : size / 2, 0, 7); context.lineWidth = 3 / scale; context.strokeStyle = "rgb(0 0 0 / .5)"; context.stroke(); context.lineWidth = 1.5 / scale; context.strokeStyle = "#fff"; context.stroke(); }
  }
  const later = () => { if (!frame) frame = requestAnimationFrame(draw); };

  /** The middles of the four sides, to drag outward. */
  function handles() {
    const box = outer();
    return [{ side: "left", x: box.x, y: box.y + box.h / 2 }, { side: "right", x: box.x + box.w, y: box.y + box.h / 2 }, { side: "top", x: box.x + box.w / 2, y: box.y }, { side: "bottom", x: box.x + box.w / 2, y: box.y + box.h }];
  }
  const handleAt = (/** @type {{x: number, y: number}} */ at) => handles().find((one) => Math.abs(one.x * scale + x0 - at.x) < HANDLE && Math.abs(one.y * scale + y0 - at.y) < HANDLE);

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    try { canvas.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone already */ }
    const at = local(event);
    down.set(event.pointerId, at);
    byKeys = false;
    if (down.size === 2) { if (act?.kind === "stroke") { mask.undo(); changed(); } lasso = []; const [a, b] = [...down.values()]; act = { kind: "pinch", far: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }; return; }
    const handle = handleAt(at);
    point = toPicture(at);
    if (handle) act = { kind: "frame", side: handle.side, from: point, was: { ...border } };
    else if (tool === "pan" || event.button === 1) act = { kind: "pan", x: at.x - x0, y: at.y - y0 };
    else if (tool === "lasso") { act = { kind: "lasso" }; lasso = [point]; }
    else { act = { kind: "stroke" }; mask.keep(); mask.line(point, point, size, tool === "eraser"); changed(); }
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = local(event), here = toPicture(at), before = point;
    if (down.has(event.pointerId)) down.set(event.pointerId, at);
    if (!act) { point = here; canvas.style.cursor = handleAt(at) ? (/left|right/.test(handleAt(at)?.side ?? "") ? "ew-resize" : "ns-resize") : tool === "pan" ? "grab" : "none"; return later(); }
    if (act.kind === "pinch" && down.size === 2) {
      const [a, b] = [...down.values()], far = Math.hypot(a.x - b.x, a.y - b.y), x = (a.x + b.x) / 2, y = (a.y + b.y) / 2;
      x0 += x - act.x; y0 += y - act.y;
      zoom(far / (act.far || far), { x, y });
      Object.assign(act, { far, x, y });
      return;
    }
    point = here;
    if (act.kind === "pan") { x0 = at.x - act.x; y0 = at.y - act.y; fitted = false; }
    else if (act.kind === "lasso") lasso.push(here);
    else if (act.kind === "frame") { const grow = { left: act.from.x - here.x, right: here.x - act.from.x, top: act.from.y - here.y, bottom: here.y - act.from.y }[/** @type {"left"} */ (act.side)]; border = { ...border, [act.side]: Math.max(0, Math.round(act.was[act.side] + grow)) }; on.changed(); }
    else if (act.kind === "stroke" && before) { mask.line(before, here, size, tool === "eraser"); stale = true; }
    later();
  });
  const up = (/** @type {PointerEvent} */ event) => {
    if (!down.delete(event.pointerId)) return;
    if (act?.kind === "lasso" && lasso.length > 2) { mask.keep(); mask.area(lasso, event.altKey); }
    if (act?.kind === "frame") fit();
    lasso = [];
    if (down.size === 0) act = null;
    changed();
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => { if (!down.size && !byKeys) { point = null; later(); } });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); if (event.ctrlKey || event.metaKey || !event.deltaX && Math.abs(event.deltaY) >= 50) zoom(Math.exp(-event.deltaY * 0.0015), local(event)); else { x0 -= event.deltaX; y0 -= event.deltaY; fitted = false; later(); } }, { passive: false });

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = /** @type {Record<string, number[]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] })[event.key];
    if (moves && tool === "pan") { event.preventDefault(); x0 -= moves[0] * 40; y0 -= moves[1] * 40; fitted = false; return later(); }
    if (moves) {
      event.preventDefault();
      const step = event.shiftKey ? 1 : Math.max(2, size / 2), was = point ?? { x: width / 2, y: height / 2 };
      point = { x: Math.min(width, Math.max(0, was.x + moves[0] * step)), y: Math.min(height, Math.max(0, was.y + moves[1] * step)) };
      byKeys = true;
      if (act?.kind === "keys") { mask.line(was, point, size, tool === "eraser"); changed(); }
      else if (tool === "lasso" && lasso.length) lasso.push(point);
      later();
    } else if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      event.stopPropagation();
      if (event.repeat) return;
      byKeys = true;
      point ??= { x: width / 2, y: height / 2 };
      if (tool === "lasso") { if (lasso.length > 2) { mask.keep(); mask.area(lasso, event.shiftKey); lasso = []; changed(); } else lasso = [point]; return later(); }
      if (tool === "pan") return;
      act = { kind: "keys" };
      mask.keep();
      mask.line(point, point, size, tool === "eraser");
      changed();
    } else if (event.key === "+" || event.key === "=") zoom(1.25); else if (event.key === "-") zoom(0.8); else if (event.key === "0") fit();
  });
  canvas.addEventListener("keyup", (event) => { if (event.key === " " || event.key === "Enter") act = act?.kind === "keys" ? null : act; });
  canvas.addEventListener("focus", () => { if (canvas.matches(":focus-visible") && !point) { byKeys = true; point = { x: width / 2, y: height / 2 }; later(); } });
  canvas.addEventListener("blur", () => { act = act?.kind === "keys" ? null : act; });
  const watcher = new ResizeObserver(() => (fitted ? fit() : later()));
  watcher.observe(canvas);

  return {
    element: canvas, mask, fit, zoom, image,
    tool: () => tool, size: () => size, frame: () => ({ ...border }), scale: () => scale,
    /** @param {"brush"|"eraser"|"lasso"|"pan"} next */
    pick(next) { tool = next; lasso = []; canvas.style.cursor = next === "pan" ? "grab" : "none"; later(); on.changed(); },
    /** @param {number} next */
    resize(next) { size = Math.round(Math.min(Math.max(width, height), Math.max(1, next))); later(); on.changed(); },
    /** @param {Frame} next */
    setFrame(next) { border = { ...next }; fit(); on.changed(); },
    /** @param {() => any} run one of the mask's own changes */
    change(run) { const result = run(); changed(); return result; },
    redraw: later,
    dispose() { watcher.disconnect(); cancelAnimationFrame(frame); },
  };
}
