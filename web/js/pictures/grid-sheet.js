/**
 * grid-sheet.js - a grid as one picture: its tables with their labels on a canvas, written as a PNG that says, as every
 * picture made here does, that a machine made it (IPTC digital source type in XMP).
 */
import { t } from "../i18n.js";
import { fileOf } from "./actions.js";
import { tables } from "./grid-axes.js";

const SIDE_MAX = 512, PIXELS_MAX = 40e6, GAP = 8, PAD = 24, LINE = 22;
const FONT = "15px system-ui, sans-serif", BOLD = "600 15px system-ui, sans-serif";
const PAPER = "#ffffff", INK = "#1d1a17", MUTED = "#6b655e", EMPTY = "#eceae6";
const XMP = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmp:CreatorTool="Atelier" Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>`;

/** @param {Uint8Array} data */
function crc32(data) {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** A PNG with the mark, as an iTXt chunk after its header. @param {Uint8Array} png */
export function marked(png) {
  const body = new TextEncoder().encode(`iTXtXML:com.adobe.xmp\0\0\0\0\0${XMP}`), chunk = new Uint8Array(body.length + 8), view = new DataView(chunk.buffer);
  view.setUint32(0, body.length - 4);
  chunk.set(body, 4);
  view.setUint32(body.length + 4, crc32(body));
  const head = 8 + 25; // signature and IHDR
  const out = new Uint8Array(png.length + chunk.length);
  out.set(png.subarray(0, head));
  out.set(chunk, head);
  out.set(png.subarray(head), head + chunk.length);
  return out;
}

/**
 * Where everything stands. Pure. @param {number} columns @param {number} rows @param {number} count tables
 * @param {number} aspect width by height of the cells @param {boolean} side are there labels of rows?
 */
export function layout(columns, rows, count, aspect, side) {
  const left = side ? 140 : 0;
  const shape = (/** @type {number} */ longest) => ({ width: Math.round(aspect >= 1 ? longest : longest * aspect), height: Math.round(aspect >= 1 ? longest / aspect : longest) });
  const whole = (/** @type {any} */ cell) => ({ width: PAD * 2 + left + columns * (cell.width + GAP) - GAP, height: PAD * 2 + LINE * 2 + count * (LINE * 2 + rows * (cell.height + GAP) + GAP) });
  let longest = SIDE_MAX;
  for (;;) {
    const cell = shape(longest), all = whole(cell);
    if (all.width * all.height <= PIXELS_MAX || longest <= 64) return { ...all, cell, left };
    longest = Math.floor(longest * 0.9);
  }
}

/** @param {any} asset @returns {Promise<any>} */
const load = (asset) => new Promise((done) => {
  const image = new Image();
  image.onload = () => done(image);
  image.onerror = () => done(null);
  image.src = fileOf(asset, 512);
});

/** @param {CanvasRenderingContext2D} pen @param {string} text @param {number} width */
function cut(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && pen.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}

/**
 * @param {any} grid @param {(axis: any) => string} nameOf @param {(axis: any, label: string) => string} labelOf
 * @returns {Promise<Blob>}
 */
export async function makeSheet(grid, nameOf, labelOf) {
  const [x, y, z] = ["x", "y", "z"].map((name) => grid.axes.find((/** @type {any} */ one) => one.axis === name));
  const all = tables(grid), there = grid.cells.flatMap((/** @type {any} */ cell) => cell.assets.slice(0, 1)).filter((/** @type {any} */ one) => !one.deleted_at);
  const first = there[0], at = layout(x.labels.length, all[0].rows.length, all.length, (first?.width || 1) / (first?.height || 1), !!y);
  const images = new Map(await Promise.all(there.map(async (/** @type {any} */ one) => [one.id, await load(one)])));
  const canvas = document.createElement("canvas");
  canvas.width = at.width;
  canvas.height = at.height;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = PAPER;
  pen.fillRect(0, 0, at.width, at.height);
  const write = (/** @type {string} */ text, /** @type {number} */ left, /** @type {number} */ top, /** @type {number} */ width, /** @type {"left"|"center"|"right"} */ align = "left", font = FONT, ink = INK) => { pen.font = font; pen.fillStyle = ink; pen.textAlign = align; pen.textBaseline = "middle"; pen.fillText(cut(pen, text, width), left, top); };
  write(grid.prompt, PAD, PAD + LINE / 2, at.width - PAD * 2, "left", BOLD);
  write(grid.axes.map(nameOf).reduce((/** @type {string} */ a, /** @type {string} */ b) => t("grid.by", { a, b })), PAD, PAD + LINE * 1.5, at.width - PAD * 2, "left", FONT, MUTED);
  let top = PAD + LINE * 2;
  for (const table of all) {
    if (z) write(`${nameOf(z)} ${labelOf(z, table.label ?? "")}`, PAD, top + LINE / 2, at.width - PAD * 2, "left", BOLD);
    x.labels.forEach((/** @type {string} */ label, /** @type {number} */ i) => write(labelOf(x, label), PAD + at.left + i * (at.cell.width + GAP) + at.cell.width / 2, top + LINE * 1.5, at.cell.width, "center"));
    top += LINE * 2;
    for (const row of table.rows) {
      if (y) write(labelOf(y, row.label ?? ""), PAD + at.left - 10, top + at.cell.height / 2, at.left - 10, "right");
      row.cells.forEach((cell, i) => {
        const image = images.get(cell?.assets[0]?.id), left = PAD + at.left + i * (at.cell.width + GAP);
        if (!image) { pen.fillStyle = EMPTY; pen.fillRect(left, top, at.cell.width, at.cell.height); return; }
        const by = Math.min(at.cell.width / image.naturalWidth, at.cell.height / image.naturalHeight), width = image.naturalWidth * by, height = image.naturalHeight * by;
        pen.drawImage(image, left + (at.cell.width - width) / 2, top + (at.cell.height - height) / 2, width, height);
      });
      top += at.cell.height + GAP;
    }
    top += GAP;
  }
  const png = /** @type {Blob} */ (await new Promise((done, fail) => canvas.toBlob((blob) => blob ? done(blob) : fail(new Error(t("error.title"))), "image/png")));
  return new Blob([marked(new Uint8Array(await png.arrayBuffer()))], { type: "image/png" });
}
