/**
 * blurhash.js - a few coloured clouds from a short text, until the picture is here. Pure but for `blurUrl`, which paints.
 *
 * The format (blurha.sh): base 83; first the number of components, then the greatest AC value, the average colour, and
 * the cosine components. Anything that does not fit it gives null.
 */
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";
const SIDE = 16, CACHE_MAX = 400;

/** @param {string} text */
function number(text) {
  let value = 0;
  for (const digit of text) { const at = DIGITS.indexOf(digit); if (at < 0) return NaN; value = value * 83 + at; }
  return value;
}
/** @param {number} value */
const linear = (value) => { const v = value / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
/** @param {number} value */
const gamma = (value) => { const v = Math.max(0, Math.min(1, value)); return Math.round((v <= 0.0031308 ? v * 12.92 : 1.055 * v ** (1 / 2.4) - 0.055) * 255); };
/** @param {number} value */
const signed = (value) => Math.sign(value) * value * value;

/** RGBA pixels of a hash, or null. @param {string|null|undefined} hash @param {number} width @param {number} height @returns {Uint8ClampedArray|null} */
export function decode(hash, width, height) {
  if (!hash || hash.length < 6) return null;
  const size = number(hash[0]), nx = (size % 9) + 1, ny = Math.floor(size / 9) + 1, most = (number(hash[1]) + 1) / 166, average = number(hash.slice(2, 6));
  if (hash.length !== 4 + 2 * nx * ny || Number.isNaN(average + most)) return null;
  const colours = [[linear(average >> 16), linear((average >> 8) & 255), linear(average & 255)]];
  for (let n = 1; n < nx * ny; n++) {
    const value = number(hash.slice(4 + n * 2, 6 + n * 2));
    if (Number.isNaN(value)) return null;
    colours.push([Math.floor(value / 361), Math.floor(value / 19) % 19, value % 19].map((one) => signed((one - 9) / 9) * most));
  }
  const out = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const rgb = [0, 0, 0];
      for (let j = 0; j < ny; j++)
        for (let i = 0; i < nx; i++) {
          const basis = Math.cos((Math.PI * x * i) / width) * Math.cos((Math.PI * y * j) / height);
          for (let c = 0; c < 3; c++) rgb[c] += colours[j * nx + i][c] * basis;
        }
      out.set([gamma(rgb[0]), gamma(rgb[1]), gamma(rgb[2]), 255], (y * width + x) * 4);
    }
  return out;
}

/** @type {Map<string, string>} */ const painted = new Map();
/** A tiny picture of it as a data address, "" when there is none. @param {string|null|undefined} hash */
export function blurUrl(hash) {
  if (!hash) return "";
  const known = painted.get(hash);
  if (known !== undefined) return known;
  const pixels = decode(hash, SIDE, SIDE);
  let url = "";
  if (pixels) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE;
    const context = canvas.getContext("2d");
    context?.putImageData(new ImageData(/** @type {any} */ (pixels), SIDE, SIDE), 0, 0);
    url = canvas.toDataURL();
  }
  if (painted.size >= CACHE_MAX) painted.delete(painted.keys().next().value ?? "");
  painted.set(hash, url);
  return url;
}
