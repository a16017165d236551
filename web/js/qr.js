/**
 * qr.js - a text as a QR code (ISO/IEC 18004), for the authenticator app's camera: bytes, error correction M, versions 1 to 10.
 * Pure functions; no dependency. 213 bytes at most, which an otpauth link is far from.
 */

/** Error correction level M: codewords per block for correction, and the blocks' sizes [count, data codewords], by version. */
const LAYOUT = [[], [10, [1, 16]], [16, [1, 28]], [26, [1, 44]], [18, [2, 32]], [24, [2, 43]], [16, [4, 27]], [18, [4, 31]], [22, [2, 38], [2, 39]], [22, [3, 36], [2, 37]], [26, [4, 43], [1, 44]]];
const ALIGNED = [[], [], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50]];
const MASKS = [(/** @type {number} */ x, /** @type {number} */ y) => (x + y) % 2, (/** @type {number} */ _, /** @type {number} */ y) => y % 2, (/** @type {number} */ x) => x % 3, (/** @type {number} */ x, /** @type {number} */ y) => (x + y) % 3,
  (/** @type {number} */ x, /** @type {number} */ y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2, (/** @type {number} */ x, /** @type {number} */ y) => (x * y) % 2 + (x * y) % 3, (/** @type {number} */ x, /** @type {number} */ y) => ((x * y) % 2 + (x * y) % 3) % 2, (/** @type {number} */ x, /** @type {number} */ y) => ((x + y) % 2 + (x * y) % 3) % 2];

/** Product in GF(256) with the polynomial 0x11D. @param {number} a @param {number} b */
function times(a, b) {
  let z = 0;
  for (let i = 7; i >= 0; i--) z = ((z << 1) ^ ((z >> 7) * 0x11d)) ^ (((b >> i) & 1) * a);
  return z;
}

/** Reed-Solomon: the remainder of the data. @param {number[]} data @param {number} degree */
function correction(data, degree) {
  const divisor = [...Array(degree - 1).fill(0), 1];
  for (let i = 0, root = 1; i < degree; i++, root = times(root, 2))
    for (let j = 0; j < degree; j++) divisor[j] = times(divisor[j], root) ^ (divisor[j + 1] ?? 0);
  const rest = Array(degree).fill(0);
  for (const one of data) {
    const factor = one ^ /** @type {number} */ (rest.shift());
    rest.push(0);
    divisor.forEach((value, i) => { rest[i] ^= times(value, factor); });
  }
  return rest;
}

/** @param {number} version @returns {[number, number[][]]} */
const layout = (version) => { const [degree, ...groups] = LAYOUT[version]; return [/** @type {number} */ (degree), /** @type {number[][]} */ (groups)]; };
/** Data codewords. @param {number} version */
const roomOf = (version) => layout(version)[1].reduce((sum, [count, size]) => sum + count * size, 0);

/** Mode, length, bytes, filling; cut into blocks, interleaved. @param {Uint8Array} bytes @param {number} version */
function codewords(bytes, version) {
  const [degree, groups] = layout(version), room = roomOf(version);
  let bits = "0100" + bytes.length.toString(2).padStart(version < 10 ? 8 : 16, "0") + [...bytes].map((one) => one.toString(2).padStart(8, "0")).join("");
  bits += "0".repeat(Math.min(4, room * 8 - bits.length));
  bits += "0".repeat((8 - bits.length % 8) % 8);
  const data = (bits.match(/.{8}/g) ?? []).map((one) => parseInt(one, 2));
  for (let filling = 0xec; data.length < room; filling ^= 0xfd) data.push(filling);
  const blocks = groups.flatMap(([count, size]) => Array.from({ length: count }, () => data.splice(0, size)));
  const checks = blocks.map((block) => correction(block, degree)), out = [];
  for (let i = 0; i < Math.max(...blocks.map((block) => block.length)); i++) for (const block of blocks) if (i < block.length) out.push(block[i]);
  for (let i = 0; i < degree; i++) for (const check of checks) out.push(check[i]);
  return out;
}

/** Where each fixed pattern is; null: free for data. @param {number} version */
function frame(version) {
  const size = version * 4 + 17, rows = Array.from({ length: size }, () => /** @type {(boolean|null)[]} */ (Array(size).fill(null)));
  const set = (/** @type {number} */ x, /** @type {number} */ y, /** @type {boolean} */ dark) => { if (rows[y]?.[x] !== undefined) rows[y][x] = dark; };
  for (let i = 0; i < size; i++) { set(6, i, i % 2 === 0); set(i, 6, i % 2 === 0); }
  for (const [cx, cy] of [[3, 3], [size - 4, 3], [3, size - 4]])
    for (let dy = -4; dy <= 4; dy++) for (let dx = -4; dx <= 4; dx++) { const far = Math.max(Math.abs(dx), Math.abs(dy)); set(cx + dx, cy + dy, far !== 2 && far !== 4); }
  const at = ALIGNED[version], last = at.length - 1;
  at.forEach((cy, i) => at.forEach((cx, j) => {
    if ((i === 0 && j === 0) || (i === 0 && j === last) || (i === last && j === 0)) return;
    for (let dy = -2; dy <= 2; dy++) for (let dx = -2; dx <= 2; dx++) set(cx + dx, cy + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1);
  }));
  if (version >= 7) {
    let rest = version;
    for (let i = 0; i < 12; i++) rest = (rest << 1) ^ ((rest >> 11) * 0x1f25);
    for (let i = 0, bits = (version << 12) | rest; i < 18; i++) { const a = size - 11 + i % 3, b = Math.floor(i / 3), dark = ((bits >> i) & 1) !== 0; set(a, b, dark); set(b, a, dark); }
  }
  return rows;
}

/** Level M and the mask, twice. @param {(boolean|null)[][]} rows @param {number} mask */
function format(rows, mask) {
  let rest = mask;
  for (let i = 0; i < 10; i++) rest = (rest << 1) ^ ((rest >> 9) * 0x537);
  const bits = ((mask << 10) | rest) ^ 0x5412, size = rows.length, bit = (/** @type {number} */ i) => ((bits >> i) & 1) !== 0;
  for (let i = 0; i < 6; i++) rows[i][8] = bit(i);
  rows[7][8] = bit(6); rows[8][8] = bit(7); rows[8][7] = bit(8);
  for (let i = 9; i < 15; i++) rows[8][14 - i] = bit(i);
  for (let i = 0; i < 8; i++) rows[8][size - 1 - i] = bit(i);
  for (let i = 8; i < 15; i++) rows[size - 15 + i][8] = bit(i);
  rows[size - 8][8] = true;
}

/** What makes a code hard to read. @param {boolean[][]} rows */
function penalty(rows) {
  const size = rows.length, lines = [...rows, ...rows.map((_, x) => rows.map((row) => row[x]))].map((line) => line.map((dark) => (dark ? "1" : "0")).join(""));
  let sum = 0, dark = 0;
  for (const line of lines) {
    for (const run of line.match(/0{5,}|1{5,}/g) ?? []) sum += run.length - 2;
    for (let i = 0; i + 11 <= size; i++) if (["10111010000", "00001011101"].includes(line.slice(i, i + 11))) sum += 40;
  }
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
    dark += Number(rows[y][x]);
    if (x && y && rows[y][x] === rows[y - 1][x] && rows[y][x] === rows[y][x - 1] && rows[y][x] === rows[y - 1][x - 1]) sum += 3;
  }
  return sum + Math.floor(Math.abs(dark * 20 - size * size * 10) / (size * size)) * 10;
}

/** The modules, true for dark, without the quiet zone. @param {string} text @returns {boolean[][]} */
export function qr(text) {
  const bytes = new TextEncoder().encode(text);
  const version = LAYOUT.findIndex((_, i) => i > 0 && bytes.length + (i < 10 ? 2 : 3) <= roomOf(i));
  if (version < 1) throw new RangeError("too long for a QR code");
  const fixed = frame(version), size = fixed.length, bits = codewords(bytes, version).flatMap((one) => Array.from({ length: 8 }, (_, i) => (one >> (7 - i)) & 1));
  format(fixed, 0); // reserves its place
  const best = MASKS.map((mask, number) => {
    const rows = fixed.map((row) => [...row]);
    let next = 0;
    for (let right = size - 1; right >= 1; right -= 2) {
      if (right === 6) right = 5;
      for (let step = 0; step < size; step++) for (const x of [right, right - 1]) {
        const y = ((right + 1) & 2) === 0 ? size - 1 - step : step;
        if (fixed[y][x] === null) rows[y][x] = ((bits[next++] ?? 0) === 1) !== (mask(x, y) === 0);
      }
    }
    format(rows, number);
    return /** @type {boolean[][]} */ (rows);
  }).map((rows) => ({ rows, cost: penalty(rows) })).reduce((a, b) => (b.cost < a.cost ? b : a));
  return best.rows;
}
