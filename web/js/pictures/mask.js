/**
 * mask.js - the mask of an edit: a canvas whose opacity says what is painted anew, its history, and its files.
 *
 * Coordinates are pixels of the picture. The frame may reach beyond it (outpainting): {left, top, right, bottom}, in pixels
 * added on each side.
 */
const HISTORY_MAX = 30;

const CRC = Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n >>> 0; });
/** @param {Uint8Array} data */
function crc(data) { let c = 0xffffffff; for (const byte of data) c = CRC[(c ^ byte) & 255] ^ (c >>> 8); return (c ^ 0xffffffff) >>> 0; }
/** @param {string} type @param {Uint8Array} data */
function chunk(type, data) {
  const out = new Uint8Array(12 + data.length), view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  for (let n = 0; n < 4; n++) out[4 + n] = type.charCodeAt(n);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc(out.subarray(4, 8 + data.length)));
  return out;
}

/** An 8-bit grey PNG; the browser's own encoder only writes colour. @param {Uint8Array} grey @param {number} width @param {number} height */
export async function greyPng(grey, width, height) {
  const rows = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) rows.set(grey.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = new Uint8Array(await new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer());
  const head = new Uint8Array(13), view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head[8] = 8;
  return new Blob([new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]), chunk("IHDR", head), chunk("IDAT", packed), chunk("IEND", new Uint8Array(0))], { type: "image/png" });
}

/** @param {number} width @param {number} height */
export function createMask(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  context.lineCap = context.lineJoin = "round";
  /** @type {Uint8Array[]} */ let past = [];
  /** @type {Uint8Array[]} */ let future = [];
  const read = () => { const { data } = context.getImageData(0, 0, width, height), out = new Uint8Array(width * height); for (let n = 0; n < out.length; n++) out[n] = data[n * 4 + 3]; return out; };
  /** @param {Uint8Array} alpha */
  const write = (alpha) => { const image = context.createImageData(width, height); for (let n = 0; n < alpha.length; n++) { image.data[n * 4] = image.data[n * 4 + 1] = image.data[n * 4 + 2] = 255; image.data[n * 4 + 3] = alpha[n]; } context.putImageData(image, 0, 0); };
  /** Before a change. */
  const keep = () => { past.push(read()); if (past.length > HISTORY_MAX) past.shift(); future = []; };
  /** @param {boolean} erase @param {() => void} draw */
  const ink = (erase, draw) => { context.globalCompositeOperation = erase ? "destination-out" : "source-over"; context.fillStyle = context.strokeStyle = "#fff"; draw(); context.globalCompositeOperation = "source-over"; };
  return {
    canvas, keep, read,
    /** @param {{x: number, y: number}} a @param {{x: number, y: number}} b @param {number} size @param {boolean} erase */
    line(a, b, size, erase) { ink(erase, () => { context.lineWidth = size; context.beginPath(); context.moveTo(a.x, a.y); context.lineTo(b.x + (a.x === b.x && a.y === b.y ? 0.01 : 0), b.y); context.stroke(); }); },
    /** @param {{x: number, y: number}[]} points @param {boolean} erase */
    area(points, erase) { if (points.length < 3) return; ink(erase, () => { context.beginPath(); points.forEach((one, n) => n ? context.lineTo(one.x, one.y) : context.moveTo(one.x, one.y)); context.closePath(); context.fill(); }); },
    invert() { keep(); context.globalCompositeOperation = "xor"; context.fillStyle = "#fff"; context.fillRect(0, 0, width, height); context.globalCompositeOperation = "source-over"; },
    clear() { keep(); context.clearRect(0, 0, width, height); },
    /** Softer edges. @param {number} radius */
    blur(radius) {
      keep();
      const copy = document.createElement("canvas");
      copy.width = width; copy.height = height;
      copy.getContext("2d")?.drawImage(canvas, 0, 0);
      context.clearRect(0, 0, width, height);
      context.filter = `blur(${radius}px)`;
      context.drawImage(copy, 0, 0);
      context.filter = "none";
    },
    /** A black and white picture, stretched to the size: white is painted anew. @param {CanvasImageSource} image */
    load(image) {
      keep();
      context.clearRect(0, 0, width, height);
      context.drawImage(image, 0, 0, width, height);
      const { data } = context.getImageData(0, 0, width, height), alpha = new Uint8Array(width * height);
      for (let n = 0; n < alpha.length; n++) alpha[n] = Math.round((data[n * 4] * 0.299 + data[n * 4 + 1] * 0.587 + data[n * 4 + 2] * 0.114) * (data[n * 4 + 3] / 255));
      write(alpha);
    },
    undo() { const last = past.pop(); if (last) { future.push(read()); write(last); } return !!last; },
    redo() { const last = future.pop(); if (last) { past.push(read()); write(last); } return !!last; },
    canUndo: () => past.length > 0, canRedo: () => future.length > 0,
    empty: () => !read().some((one) => one > 0),
    /** Grey PNG over the frame; what lies outside of the picture is white. @param {{left: number, top: number, right: number, bottom: number}} frame */
    file(frame) {
      const w = width + frame.left + frame.right, h = height + frame.top + frame.bottom, out = new Uint8Array(w * h).fill(255), own = read();
      for (let y = 0; y < height; y++) out.set(own.subarray(y * width, (y + 1) * width), (y + frame.top) * w + frame.left);
      return greyPng(out, w, h);
    },
  };
}

/** The picture on the larger frame, its edges drawn out so that the model has something to go on. @param {any} image @param {number} width @param {number} height @param {{left: number, top: number, right: number, bottom: number}} frame @returns {Promise<Blob|null>} */
export function extended(image, width, height, frame) {
  const canvas = document.createElement("canvas"), { left, top, right, bottom } = frame;
  canvas.width = width + left + right;
  canvas.height = height + top + bottom;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(image, left, top, width, height);
  const copy = (/** @type {number[]} */ from, /** @type {number[]} */ to) => { if (to[2] > 0 && to[3] > 0) context.drawImage(canvas, from[0], from[1], from[2], from[3], to[0], to[1], to[2], to[3]); };
  copy([left, top, 1, height], [0, top, left, height]);
  copy([left + width - 1, top, 1, height], [left + width, top, right, height]);
  copy([0, top, canvas.width, 1], [0, 0, canvas.width, top]);
  copy([0, top + height - 1, canvas.width, 1], [0, top + height, canvas.width, bottom]);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** A frame grown so that both sides are multiples, within what the model takes. @param {number} width @param {number} height @param {{left: number, top: number, right: number, bottom: number}} frame @param {any} model */
export function fitFrame(width, height, frame, model) {
  const step = model?.size_multiple || 8, most = model?.size_max || 4096, out = { ...frame };
  for (const key of /** @type {const} */ (["left", "top", "right", "bottom"])) out[key] = Math.max(0, Math.round(out[key]));
  if (out.left + out.right) { const want = Math.min(Math.floor(most / step) * step, Math.ceil((width + out.left + out.right) / step) * step) - width; const extra = Math.max(0, want) - out.left - out.right; if (extra >= 0 || out.right >= -extra) out.right += extra; else { out.left = Math.max(0, want); out.right = 0; } }
  if (out.top + out.bottom) { const want = Math.min(Math.floor(most / step) * step, Math.ceil((height + out.top + out.bottom) / step) * step) - height; const extra = Math.max(0, want) - out.top - out.bottom; if (extra >= 0 || out.bottom >= -extra) out.bottom += extra; else { out.top = Math.max(0, want); out.bottom = 0; } }
  return out;
}

/** A mask as pairs of value and how often. @param {Uint8Array} mask @returns {number[]} */
export function packRuns(mask) {
  const runs = [];
  for (let at = 0; at < mask.length; ) {
    const begin = at, value = mask[at];
    while (at < mask.length && mask[at] === value) at++;
    runs.push(value, at - begin);
  }
  return runs;
}

/** @param {number[]} runs @param {number} length @returns {Uint8Array} */
export function unpackRuns(runs, length) {
  const mask = new Uint8Array(length);
  for (let at = 0, k = 0; k + 1 < runs.length && at < length; k += 2) mask.fill(runs[k], at, at += runs[k + 1]);
  return mask;
}
