/** qr.test.mjs - our QR codes, read by an independent program: every length there is, and what is too long. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { qr } from "../../web/js/qr.js";

const skip = !process.env.ATELIER_NODE_MODULES && "ATELIER_NODE_MODULES is not set";
const SCALE = 3, QUIET = 4;

/** @param {boolean[][]} rows */
function pixels(rows) {
  const size = (rows.length + 2 * QUIET) * SCALE, data = new Uint8ClampedArray(size * size * 4).fill(255);
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) if (rows[Math.floor(y / SCALE) - QUIET]?.[Math.floor(x / SCALE) - QUIET]) data.fill(0, (y * size + x) * 4, (y * size + x) * 4 + 3);
  return { data, size };
}

test("every length is read back", { skip }, () => {
  const jsQR = createRequire(import.meta.url)(`${process.env.ATELIER_NODE_MODULES}/jsqr`);
  for (let length = 1; length <= 213; length++) {
    const text = Array.from({ length }, (_, i) => "abcdefghij0123456789/?=&%ABC"[(i * 7 + length) % 28]).join("");
    const { data, size } = pixels(qr(text));
    assert.equal(jsQR(data, size, size)?.data, text, `${length} bytes`);
  }
  const { data, size } = pixels(qr("otpauth://totp/Atelier:Zoë?secret=A"));
  assert.equal(jsQR(data, size, size)?.data, "otpauth://totp/Atelier:Zoë?secret=A");
});

test("what is too long is refused", () => assert.throws(() => qr("x".repeat(214)), RangeError));
