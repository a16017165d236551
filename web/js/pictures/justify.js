/**
 * justify.js - rows of pictures that fill the width, and which of them are near the eye. Pure.
 *
 * `layout()` appends: rows that are full stay as they are when more pictures arrive, so 100,000 items cost one pass.
 */
const RATIO_MIN = 0.45, RATIO_MAX = 3;

/** @typedef {{width: number, target: number, gap: number, rows: {top: number, height: number, from: number, to: number}[], left: number[], wide: number[], total: number, done: number}} Layout */

/** @param {number} width @param {number} target height of a row @param {number} gap @returns {Layout} */
export const emptyLayout = (width, target, gap) => ({ width, target, gap, rows: [], left: [], wide: [], total: 0, done: 0 });

/** @param {{width: number, height: number}} item */
const ratioOf = (item) => Math.min(RATIO_MAX, Math.max(RATIO_MIN, item.width > 0 && item.height > 0 ? item.width / item.height : 1));

/**
 * Bring `layout` up to all of `items`; the last row, when it was not full, is made again.
 * @param {Layout} layout @param {{width: number, height: number}[]} items
 */
export function extend(layout, items) {
  const { width, target, gap, rows, left, wide } = layout;
  const open = rows.at(-1);
  if (open && open.to > layout.done) { rows.pop(); left.length = wide.length = open.from; }
  let from = left.length, sum = 0, top = rows.length ? rows[rows.length - 1].top + rows[rows.length - 1].height + gap : 0;
  /** @param {number} to @param {number} height */
  const close = (to, height) => {
    let x = 0;
    for (let n = from; n < to; n++) { const w = Math.min(width, ratioOf(items[n]) * height); left[n] = x; wide[n] = w; x += w + gap; }
    rows.push({ top, height, from, to });
    top += height + gap;
    from = to;
    sum = 0;
  };
  for (let n = from; n < items.length; n++) {
    sum += ratioOf(items[n]);
    const height = (width - gap * (n - from)) / sum;
    if (height <= target) { close(n + 1, height); layout.done = n + 1; }
  }
  if (from < items.length) close(items.length, Math.min(target, (width - gap * (items.length - 1 - from)) / sum));
  const last = rows.at(-1);
  layout.total = last ? last.top + last.height : 0;
  return layout;
}

/** The first row whose end is below `y`. @param {Layout} layout @param {number} y */
export function rowAt(layout, y) {
  let low = 0, high = layout.rows.length;
  while (low < high) { const mid = (low + high) >> 1; if (layout.rows[mid].top + layout.rows[mid].height < y) low = mid + 1; else high = mid; }
  return low;
}

/** Items to draw for a window of the scroll. @param {Layout} layout @param {number} top @param {number} bottom @returns {[number, number]} */
export function visible(layout, top, bottom) {
  const first = rowAt(layout, top);
  let last = first;
  while (last < layout.rows.length && layout.rows[last].top <= bottom) last++;
  return first < layout.rows.length ? [layout.rows[first].from, layout.rows[last - 1]?.to ?? layout.rows[first].to] : [0, 0];
}

/** The row of an item. @param {Layout} layout @param {number} index */
export function rowOf(layout, index) {
  let low = 0, high = layout.rows.length - 1;
  while (low < high) { const mid = (low + high) >> 1; if (layout.rows[mid].to <= index) low = mid + 1; else high = mid; }
  return low;
}

/** The item above or below: in the next row, the one whose middle is nearest. @param {Layout} layout @param {number} index @param {number} step -1 or 1 */
export function neighbour(layout, index, step) {
  const at = rowOf(layout, index) + step, row = layout.rows[at];
  if (!row) return index;
  const middle = layout.left[index] + layout.wide[index] / 2;
  let best = row.from, far = Infinity;
  for (let n = row.from; n < row.to; n++) { const away = Math.abs(layout.left[n] + layout.wide[n] / 2 - middle); if (away < far) { far = away; best = n; } }
  return best;
}
