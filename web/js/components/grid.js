/**
 * grid.js - the wall of pictures: justified rows of which only those near the eye are elements.
 *
 * One stop for Tab; arrows move, Shift extends, Ctrl+Space picks one more. The focused picture stays an element even
 * when it is scrolled out of sight. Call `dispose`.
 */
import { h, icon } from "../dom.js";
import { t } from "../i18n.js";
import { emptyLayout, extend, neighbour, rowOf, visible } from "../pictures/justify.js";
import { blurUrl } from "../pictures/blurhash.js";
import { coverText, fileOf, isCovered, isHeld, nameOf, thumbWidth } from "../pictures/actions.js";
import { duration } from "../format.js";

const GAP = 6, AHEAD_PX = 700, MORE_PX = 3000;

/**
 * @param {HTMLElement} scroller
 * @param {{open: (item: any, index: number) => void, selected: (ids: Set<string>) => void, more: () => void}} on
 */
export function mountGrid(scroller, on) {
  /** @type {any[]} */ let items = [];
  let layout = emptyLayout(0, 0, GAP), current = 0, anchor = 0, touch = false, frame = 0, whole = false, drawing = false;
  /** @type {Set<string>} */ let chosen = new Set();
  /** @type {Map<string, {node: any, item: any, place: string, covered: boolean}>} */ const shown = new Map();
  const box = h("div", { class: "wall", role: "listbox", "aria-multiselectable": "true", "aria-label": t("library.pictures"), tabindex: -1 });
  scroller.append(box);

  const target = () => innerWidth < 640 ? 150 : 220;
  /** @param {any} item */
  function tile(item) {
    const node = h("div", { class: "pic", role: "option", id: `pic-${item.id}`, tabindex: -1, dataset: { id: item.id } });
    const blur = blurUrl(item.blur_hash);
    if (blur) node.style.backgroundImage = `url("${blur}")`;
    const cover = coverText(item);
    const image = h("img", { class: isCovered(item) ? "covered" : "", alt: cover ? `${nameOf(item)}. ${cover}` : nameOf(item), loading: "eager", decoding: "async", draggable: "false", onload: () => image.classList.add("in") });
    node.append(image, h("span", { class: "pick", "aria-hidden": "true" }, icon("check")), h("span", { class: "marks", "aria-hidden": "true" }, item.kind === "video" && `▶ ${duration(item.duration_ms / 1000)} `, item.starred && "★"), cover && h("span", { class: "cover-text", "aria-hidden": "true" }, cover));
    return { node, image };
  }

  function draw() {
    frame = 0;
    const rect = scroller.clientHeight, top = scroller.scrollTop - box.offsetTop;
    const [from, to] = visible(layout, top - AHEAD_PX, top + rect + AHEAD_PX);
    const keep = new Set();
    const put = (/** @type {number} */ index) => {
      const item = items[index], row = layout.rows[rowOf(layout, index)];
      if (!item || !row || keep.has(item.id)) return;
      keep.add(item.id);
      let entry = shown.get(item.id);
      if (!entry || (entry.item !== item && (entry.item.version !== item.version || entry.item.starred !== item.starred || entry.covered !== isCovered(item)))) {
        const made = tile(item), focused = entry?.node === document.activeElement;
        if (!isHeld(item)) made.image.src = fileOf(item, thumbWidth(layout.wide[index] ?? 256));
        if (entry) { entry.node.replaceWith(made.node); if (focused) { drawing = true; made.node.focus({ preventScroll: true }); drawing = false; } } else box.append(made.node);
        shown.set(item.id, entry = { node: made.node, item, place: "", covered: isCovered(item) });
      }
      entry.item = item;
      const place = `${layout.left[index]},${row.top},${layout.wide[index]},${row.height}`;
      if (entry.place !== place) {
        entry.place = place;
        const style = entry.node.style;
        style.transform = `translate(${layout.left[index]}px, ${row.top}px)`;
        style.width = `${layout.wide[index]}px`;
        style.height = `${row.height}px`;
      }
      const { node } = entry;
      node.tabIndex = index === current ? 0 : -1;
      node.setAttribute("aria-selected", String(chosen.has(item.id)));
      node.setAttribute("aria-posinset", String(index + 1));
      node.setAttribute("aria-setsize", whole ? String(items.length) : "-1");
    };
    for (let index = from; index < to; index++) put(index);
    put(current);
    for (const [id, entry] of shown) if (!keep.has(id)) { entry.node.remove(); shown.delete(id); }
    box.classList.toggle("picking", chosen.size > 0);
    if (!whole && layout.total - top - rect < MORE_PX) on.more();
  }
  const later = () => { if (!frame) frame = requestAnimationFrame(draw); };

  /** @param {boolean} [fresh] make all rows again */
  function arrange(fresh = true) {
    const width = box.clientWidth;
    if (!width) return;
    if (fresh || layout.width !== width || layout.target !== target()) layout = emptyLayout(width, target(), GAP);
    extend(layout, items);
    box.style.height = `${layout.total}px`;
    later();
  }

  /** @param {number} index @param {boolean} [focus] */
  function moveTo(index, focus = true) {
    if (!items.length) return;
    current = Math.max(0, Math.min(items.length - 1, index));
    const row = layout.rows[rowOf(layout, current)], top = scroller.scrollTop - box.offsetTop;
    if (row) {
      if (row.top < top + 8) scroller.scrollTop = row.top + box.offsetTop - 8;
      else if (row.top + row.height > top + scroller.clientHeight - 80) scroller.scrollTop = row.top + row.height + box.offsetTop - scroller.clientHeight + 80;
    }
    cancelAnimationFrame(frame);
    draw();
    if (focus) shown.get(items[current].id)?.node.focus({ preventScroll: true });
  }

  /** @param {Set<string>} next */
  function choose(next) { chosen = next; on.selected(chosen); later(); }
  /** @param {number} index */
  const toggle = (index) => { const next = new Set(chosen), { id } = items[index]; if (!next.delete(id)) next.add(id); anchor = index; choose(next); };
  /** @param {number} index @param {boolean} [keep] */
  const range = (index, keep = false) => { const next = new Set(keep ? chosen : []); for (let n = Math.min(anchor, index); n <= Math.max(anchor, index); n++) next.add(items[n].id); choose(next); };

  box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const mod = event.ctrlKey || event.metaKey;
    /** @type {Record<string, () => number>} */
    const moves = { ArrowRight: () => current + 1, ArrowLeft: () => current - 1, ArrowDown: () => neighbour(layout, current, 1), ArrowUp: () => neighbour(layout, current, -1), Home: () => 0, End: () => items.length - 1,
      PageDown: () => { let at = current; for (let n = 0; n < 3; n++) at = neighbour(layout, at, 1); return at; }, PageUp: () => { let at = current; for (let n = 0; n < 3; n++) at = neighbour(layout, at, -1); return at; } };
    if (moves[event.key] && !event.altKey && items.length) {
      event.preventDefault();
      if (event.shiftKey && !chosen.size) anchor = current;
      moveTo(moves[event.key]());
      if (event.shiftKey) range(current);
    } else if (event.key === "Enter" && !mod) { event.preventDefault(); if (items[current]) on.open(items[current], current); }
    else if (event.key === " " && mod) { event.preventDefault(); event.stopPropagation(); toggle(current); }
    else if (event.key === "x" && !mod && !event.altKey) { event.preventDefault(); toggle(current); }
  });
  const indexOf = (/** @type {any} */ event) => { const id = event.target.closest?.(".pic")?.dataset.id; return id ? items.findIndex((one) => one.id === id) : -1; };
  box.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const index = indexOf(event);
    if (index < 0) return;
    if (touch) { touch = false; return; }
    current = index;
    if (event.shiftKey) range(index, event.ctrlKey || event.metaKey);
    else if (event.ctrlKey || event.metaKey || chosen.size || /** @type {Element} */ (event.target).closest(".pick")) toggle(index);
    else on.open(items[index], index);
    later();
  });
  // a long press begins a selection; the click that ends it is not one
  let pressed = 0;
  box.addEventListener("touchstart", (/** @type {any} */ event) => { const index = indexOf(event); clearTimeout(pressed); touch = false; if (index >= 0) pressed = window.setTimeout(() => { touch = true; navigator.vibrate?.(8); toggle(index); }, 450); }, { passive: true });
  for (const name of ["touchend", "touchmove", "touchcancel"]) box.addEventListener(name, () => clearTimeout(pressed), { passive: true });
  box.addEventListener("contextmenu", (/** @type {Event} */ event) => { if (touch) event.preventDefault(); });
  box.addEventListener("focusin", (/** @type {FocusEvent} */ event) => { const index = indexOf(event); if (!drawing && index >= 0 && index !== current) { current = index; later(); } });
  scroller.addEventListener("scroll", later, { passive: true });
  const watcher = new ResizeObserver(() => { if (box.clientWidth !== layout.width || scroller.clientHeight) arrange(false); });
  watcher.observe(box);
  watcher.observe(scroller);

  return {
    element: box,
    /** @param {any[]} next @param {boolean} all nothing follows @param {boolean} [fresh] another list, from its top */
    set(next, all, fresh = false) {
      const appended = !fresh && next.length >= items.length && items.length > 0 && next[items.length - 1]?.id === items[items.length - 1]?.id && next[0]?.id === items[0]?.id;
      const at = items[current]?.id, first = visible(layout, scroller.scrollTop - box.offsetTop, scroller.scrollTop - box.offsetTop + 1)[0];
      const eye = !appended && !fresh && scroller.scrollTop > 60 ? items[first]?.id : null, was = eye ? layout.rows[rowOf(layout, first)]?.top ?? 0 : 0;
      items = next;
      whole = all;
      if (fresh) { current = anchor = 0; scroller.scrollTop = 0; choose(new Set()); } else if (!appended && at) { const now = items.findIndex((one) => one.id === at); current = now >= 0 ? now : Math.min(current, Math.max(0, items.length - 1)); }
      arrange(!appended);
      if (eye) { const now = items.findIndex((one) => one.id === eye); if (now >= 0) scroller.scrollTop += (layout.rows[rowOf(layout, now)]?.top ?? was) - was; }
      box.hidden = items.length === 0;
    },
    items: () => items, chosen: () => chosen, current: () => items[current],
    clear: () => choose(new Set()), all: () => choose(new Set(items.map((one) => one.id))),
    moveTo, arrange, has: () => box.contains(document.activeElement),
    /** what the keys act on */ acted: () => chosen.size ? items.filter((one) => chosen.has(one.id)) : items[current] && box.contains(document.activeElement) ? [items[current]] : [],
    dispose: () => { watcher.disconnect(); cancelAnimationFrame(frame); },
  };
}
