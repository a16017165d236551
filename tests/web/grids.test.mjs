/**
 * grids.test.mjs - X/Y/Z grids: the pure parts, then the form, the table and its viewer on the real server.
 *
 * The browser's part is skipped as real.test.mjs is.
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { choices, countOf, gridOf, options, pieces, rangeCount, tables } from "../../web/js/pictures/grid-axes.js";
import { layout, marked } from "../../web/js/pictures/grid-sheet.js";
import { emptyDraft } from "../../web/js/pictures/form.js";
import { MODELS } from "./mock-pictures.mjs";
import { DESKTOP, ENGINE_MS, SHOTS, SMALL_PHONE, TEST_MS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startReal, unavailable } from "./real-server.mjs";

const [starter] = MODELS;

test("texts are counted as the server reads them", () => {
  for (const [piece, count] of [["20", 1], ["1-5", 5], ["1-10 (+3)", 4], ["10-5 (-3)", 2], ["3-1", 3], ["1-10 [5]", 5], ["0-1 (+0.1)", 11], ["-1-1 [3]", 3], ["abc", null], ["1-", null], ["1-5 (+0)", null], ["5-1 (+2)", null], ["1-5 [0]", null], ["1e9", null]])
    assert.equal(rangeCount(piece), count, piece);
  assert.deepEqual(pieces('cat, "a dog, wet" , "say ""hi""",,""'), ["cat", "a dog, wet", 'say "hi"', ""]);
  assert.equal(pieces('"cat, dog'), null);
  assert.deepEqual(countOf({ parameter: "steps", text: "1-3, x", values: [] }), { count: 3, bad: "x" });
  assert.deepEqual(countOf({ parameter: "size", text: "512x768, 64x64", values: [] }), { count: 2, bad: null });
  assert.deepEqual(countOf({ parameter: "sampler", text: "", values: ["a", "b"] }), { count: 2, bad: null });
});

test("what varies is what the model takes", () => {
  const all = choices(starter, emptyDraft());
  assert.ok(all.includes("prompt") && all.includes("seed") && all.includes("steps") && !all.includes("strength") && !all.includes("lora_weight"));
  assert.ok(choices(starter, { ...emptyDraft(), init: { id: "ast_1" } }).includes("strength") === starter.params.some((one) => one.name === "strength"));
  assert.deepEqual(options("style", starter, [], [{ id: "sty_1", name: "Ink" }]), [{ value: "sty_1", label: "Ink" }]);
});

test("the request and the tables", () => {
  const body = gridOf({ prompt: "a cat", count: 4, seed: -1 }, [{ parameter: "", text: "", values: [] }, { parameter: "steps", text: "1-3", values: [] }, { parameter: "sampler", text: "", values: ["lcm"] }]);
  assert.deepEqual(body, { request: { prompt: "a cat", seed: -1 }, x: { parameter: "steps", text: "1-3" }, y: { parameter: "sampler", values: ["lcm"] } });
  const grid = { axes: [{ axis: "x", labels: ["1", "2"] }, { axis: "z", labels: ["a", "b"] }], cells: [[0, 0], [1, 0], [0, 1], [1, 1]].map(([x, z]) => ({ x, y: 0, z, job_id: `${x}${z}` })) };
  assert.deepEqual(tables(grid).map((one) => [one.label, one.rows.length, one.rows[0].label, one.rows[0].cells.map((cell) => cell.job_id)]), [["a", 1, null, ["00", "10"]], ["b", 1, null, ["01", "11"]]]);
});

test("the one picture stays in bounds and says that a machine made it", () => {
  const large = layout(10, 10, 1, 1, true);
  assert.ok(large.width * large.height <= 40e6 && large.cell.width === large.cell.height);
  assert.deepEqual(layout(2, 1, 1, 0.5, false).cell, { width: 256, height: 512 });
  const png = marked(new Uint8Array(60)), chunk = Buffer.from(png.subarray(33));
  assert.equal(chunk.toString("latin1", 4, 8), "iTXt");
  assert.equal(png.length - 60, chunk.readUInt32BE(0) + 12);
  assert.match(chunk.toString("latin1"), /XML:com\.adobe\.xmp\0\0\0\0\0<x:xmpmeta.*digitalsourcetype\/trainedAlgorithmicMedia/s);
});

const skip = unavailable;
let browser, server, cookies, models;
const call = (page, method, path, body) => page.evaluate(async ([method, path, body]) => {
  const { csrf_token } = await (await fetch("/api/v1/status")).json();
  const answer = await fetch(`/api/v1${path}`, { method, headers: { "X-CSRF-Token": csrf_token, ...(body ? { "Content-Type": "application/json" } : {}) }, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? null : answer.json();
}, [method, path, body]);

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  [browser, server] = await Promise.all([launch(), startReal(["--outbound-private", "127.0.0.1"])]);
  const context = await browser.newContext(DESKTOP), page = await context.newPage();
  await page.goto(server.setupUrl);
  await page.getByLabel("Your name").fill("Ada");
  await page.getByLabel("Password").fill("correct horse battery");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Who do you want to talk to?" }).waitFor();
  const provider = await call(page, "POST", "/providers", { preset: "fake" });
  models = { picture: `${provider.id}/picture`, hang: `${provider.id}/hang` };
  cookies = await context.cookies();
  await context.close();
}, { timeout: TEST_MS });
after(async () => { await browser?.close(); await server?.close(); });

async function open(run, device = DESKTOP) {
  const context = await browser.newContext(device);
  await context.addCookies(cookies);
  const page = await context.newPage();
  const wrong = watch(page, server.url);
  try { await run(page); assert.deepEqual(wrong, []); } finally { await context.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };
const make = (page, model, x, y, z) => call(page, "POST", "/grids", { request: { prompt: "A lighthouse in a storm, seen from the harbour on a cold evening in March", model, width: 128, height: 128, steps: 4 }, x, ...(y ? { y } : {}), ...(z ? { z } : {}) });

test("from the form to the table, by keyboard; a cell opens the viewer", { skip }, () => open(async (page) => {
  await page.goto(`${server.url}/create`);
  await page.getByRole("button", { name: /Change model/ }).click();
  await page.getByRole("radio", { name: /Scripted: a gradient/ }).first().click();
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("A lighthouse in a storm");
  await page.getByRole("button", { name: "Grid", exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.getByText("Choose what to vary.").waitFor();
  await page.getByLabel("Columns (X)").selectOption("steps");
  await page.getByRole("textbox", { name: "Values of Steps" }).fill("1-3, x");
  await page.getByText('"x" cannot be read as a value of Steps.').waitFor();
  await page.getByRole("textbox", { name: "Values of Steps" }).fill("2-10 (+4)");
  await page.getByText(/^3 pictures/).waitFor();
  await page.getByLabel("Rows (Y)").selectOption("prompt");
  await page.getByRole("textbox", { name: "Values of Prompt search and replace" }).fill('storm, "calm, cold bay"');
  await page.getByText(/^6 pictures/).waitFor();
  await shoot(page, "grid-form");
  await page.getByRole("button", { name: "Make the grid" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/grids\/grd_/);
  const table = page.getByRole("table");
  await table.waitFor();
  assert.deepEqual(await table.getByRole("columnheader").allTextContents(), ["2", "6", "10"]);
  assert.deepEqual(await table.getByRole("rowheader").allTextContents(), ["storm", "calm, cold bay"]);
  await page.getByText("6 of 6 done").waitFor();
  await axe(page, "grid");
  await shoot(page, "grid");
  await page.emulateMedia({ colorScheme: "dark" });
  await shoot(page, "grid-dark");
  await axe(page, "grid, dark");
  await page.getByRole("link", { name: "Open: Steps 6, Prompt search and replace storm" }).focus();
  await page.keyboard.press("Enter");
  await page.getByText("2 of 6").waitFor();
  await page.keyboard.press("ArrowRight");
  await page.getByText("3 of 6").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Open: Steps 10, Prompt search and replace storm");
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save as one picture" }).click()]);
  assert.match(saved.suggestedFilename(), /^grd_\w+\.png$/);
  const file = readFileSync(await saved.path());
  assert.match(file.toString("latin1"), /digitalsourcetype\/trainedAlgorithmicMedia/);
  assert.ok(file.readUInt32BE(16) > 700 && file.readUInt32BE(20) > 500, "its labels and six pictures");
  writeFileSync(`${SHOTS}/grid-sheet.png`, file);
}));

test("cells fill in while one looks; what is left is cancelled; the grid is deleted", { skip }, () => open(async (page) => {
  await page.goto(`${server.url}/create`);
  const { id, cells } = await make(page, models.hang, { parameter: "model", values: [models.hang, models.picture] });
  await page.goto(`${server.url}/grids/${id}`);
  await page.getByRole("table").waitFor();
  assert.deepEqual(await page.getByRole("columnheader").allTextContents(), ["Scripted: never ends", "Scripted: a gradient"]);
  await page.getByText("1 of 2 done").waitFor();
  await page.getByRole("link", { name: /^Open: Model/ }).waitFor();
  assert.equal((await call(page, "GET", `/jobs/${cells[1].job_id}`)).state, "done");
  await page.getByRole("button", { name: "Cancel what is left" }).click();
  await page.getByText("1 of 2 done · 1 not made").waitFor();
  await page.getByText("Cancelled").waitFor();
  await page.getByRole("button", { name: "Make what is missing" }).click();
  await page.getByRole("button", { name: "Cancel what is left" }).click();
  await page.getByRole("button", { name: "Make what is missing" }).waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete the grid" }).click();
  await page.waitForURL(/\/grids$/);
  assert.equal(await page.locator(`a[href="/grids/${id}"]`).count(), 0);
}));

test("on a phone the table scrolls, its headers stay; the list; Activity leads there", { skip }, () => open(async (page) => {
  await page.goto(`${server.url}/activity`);
  const { id } = await make(page, models.picture, { parameter: "seed", text: "1-6" }, { parameter: "steps", text: "1-6" }, { parameter: "cfg_scale", text: "1,7" });
  await page.getByRole("link", { name: "Grids" }).click();
  const row = page.locator(`a[href="/grids/${id}"]`);
  assert.ok(await row.evaluate((element) => element.getBoundingClientRect().right <= innerWidth), "the list is cut, not the page wider");
  await row.click();
  await page.getByText("72 of 72 done").waitFor({ timeout: ENGINE_MS });
  assert.equal(await page.getByRole("table").count(), 2);
  assert.ok(await sideways(page) <= 0);
  const box = page.locator(".grid-scroll").first();
  await box.evaluate((element) => { element.scrollTo(300, 300); });
  const at = await page.evaluate(() => { const box = document.querySelector(".grid-scroll").getBoundingClientRect(), top = document.querySelector("thead th").getBoundingClientRect(), left = document.querySelector("tbody th").getBoundingClientRect(); return [Math.round(top.top - box.top), Math.round(left.left - box.left)]; });
  assert.deepEqual(at, [0, 0]);
  await shoot(page, "grid-phone");
  await axe(page, "grid");
}, SMALL_PHONE));
