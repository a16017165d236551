/** canvas.test.mjs - editing with a mask in a real browser against the mock: brush, eraser, lasso, keys, undo, frame, what is sent. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { inflateSync } from "node:zlib";
import { DESKTOP, SHOTS, SMALL_PHONE, axe, launch, sideways, still, until, watch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";

let browser;
before(async () => { mkdirSync(SHOTS, { recursive: true }); browser = await launch(); });
after(() => browser.close());

async function open(run, device = DESKTOP, size = 0) {
  const mock = await startMock({ signedIn: true, library: 3 });
  const context = await browser.newContext(device);
  const page = await context.newPage();
  const wrong = watch(page, mock.url);
  const { uploads } = mock.pictures;
  try {
    const asset = size ? mock.pictures.asset({ width: size, height: size }) : mock.pictures.all.at(-1); // 768 x 512
    await page.goto(`${mock.url}/create/edit/${asset.id}`);
    await page.locator("canvas.paint").waitFor();
    await page.getByRole("button", { name: "Brush" }).waitFor();
    await run(page, mock, uploads, asset);
    assert.deepEqual(wrong, []);
  } finally { await context.close(); await mock.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };
/** Pixels of a grey PNG as the page writes it. */
function grey(file) {
  assert.equal(file.toString("latin1", 1, 4), "PNG");
  const width = file.readUInt32BE(16), height = file.readUInt32BE(20), packed = [];
  assert.deepEqual([file[24], file[25]], [8, 0], "8 bit, grey");
  for (let at = 8; at < file.length;) { const length = file.readUInt32BE(at); if (file.toString("latin1", at + 4, at + 8) === "IDAT") packed.push(file.subarray(at + 8, at + 8 + length)); at += 12 + length; }
  const rows = inflateSync(Buffer.concat(packed));
  return { width, height, at: (x, y) => rows[y * (width + 1) + 1 + x], share: () => { let sum = 0; for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) sum += rows[y * (width + 1) + 1 + x] > 127; return sum / (width * height); } };
}
async function stroke(page, points, options = {}) {
  const box = await page.locator("canvas.paint").boundingBox();
  const to = ([x, y]) => [box.x + box.width * x, box.y + box.height * y];
  await page.mouse.move(...to(points[0]));
  await page.mouse.down();
  for (const one of points.slice(1)) await page.mouse.move(...to(one), { steps: options.steps ?? 4 });
  await page.mouse.up();
}
async function send(page, mock) {
  const n = mock.pictures.jobs.length;
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("A red boat");
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === n + 1);
  return mock.pictures.jobs[0];
}

test("paint, undo, erase, and send: the mask is grey, of the picture's size, white where it was painted", () => open(async (page, mock, uploads, asset) => {
  await stroke(page, [[0.4, 0.5], [0.6, 0.5]]);
  await stroke(page, [[0.5, 0.35], [0.5, 0.4]]);
  await page.keyboard.press("Control+z");
  await page.getByRole("button", { name: "Redo" }).and(page.locator(":enabled")).waitFor();
  const job = await send(page, mock);
  assert.deepEqual([job.task, job.request.init_asset, job.request.width, job.request.height, job.model], ["inpaint", asset.id, 768, 512, "local/starter"]);
  const mask = grey(uploads[0]);
  assert.deepEqual([mask.width, mask.height], [768, 512]);
  assert.equal(mask.at(384, 256), 255);
  assert.equal(mask.at(20, 20), 0);
  assert.ok(mask.share() > 0.01 && mask.share() < 0.2, `${mask.share()}`);
  mock.pictures.start(job); mock.pictures.finish(job);
  await page.getByRole("link", { name: "Edit further" }).click();
  await page.waitForURL(`**/create/edit/${job.assets[0].id}`);
}));

test("by keyboard alone: move, paint, resize, lasso, invert", () => open(async (page, mock, uploads) => {
  for (let n = 0; n < 60 && !(await page.evaluate(() => document.activeElement?.matches("canvas.paint"))); n++) await page.keyboard.press("Tab");
  await page.keyboard.press("]");
  await page.keyboard.down("Space");
  for (let n = 0; n < 4; n++) await page.keyboard.press("ArrowRight");
  await page.keyboard.up("Space");
  await page.keyboard.press("e");
  await page.getByRole("button", { name: "Eraser" }).and(page.locator("[aria-pressed=true]")).waitFor();
  await page.keyboard.press("b");
  await send(page, mock);
  const first = grey(uploads[0]).share();
  assert.ok(first > 0.005);
  await page.getByRole("button", { name: "Invert the mask" }).focus();
  await page.keyboard.press("Enter");
  await send(page, mock);
  assert.ok(Math.abs(grey(uploads[1]).share() - (1 - first)) < 0.02);
}));

test("lasso fills what it encloses; softening keeps the middle; a mask from a file", () => open(async (page, mock, uploads) => {
  await page.keyboard.press("l");
  await stroke(page, [[0.35, 0.4], [0.65, 0.4], [0.65, 0.6], [0.35, 0.6], [0.35, 0.42]]);
  await page.getByRole("button", { name: "Soften the mask" }).click();
  await send(page, mock);
  const mask = grey(uploads[0]);
  assert.equal(mask.at(384, 256), 255);
  let soft = 0;
  for (let x = 0; x < 384; x++) if (mask.at(x, 256) > 10 && mask.at(x, 256) < 245) soft++;
  assert.ok(soft > 4, "the edge is soft");
  await page.locator(".paint-tools input[type=file]").setInputFiles({ name: "m.png", mimeType: "image/png", buffer: uploads[0] });
  await page.waitForFunction(() => !document.querySelector('[data-key="undo"]').disabled);
  await send(page, mock);
  assert.equal(grey(uploads[1]).at(384, 256), 255);
}));

test("the frame outward: both pictures grow, the new part is white", () => open(async (page, mock, uploads) => {
  await page.getByLabel("Right", { exact: true }).fill("100");
  await page.getByLabel("Top", { exact: true }).fill("32");
  const job = await send(page, mock);
  const mask = grey(uploads[0]);
  assert.deepEqual([mask.width % 16, mask.height % 16], [0, 0]);
  assert.equal(job.request.width, mask.width);
  assert.equal(mask.at(mask.width - 2, 100), 255);
  assert.equal(mask.at(120, 200), 0);
  assert.equal(uploads.length, 2);
  assert.equal(uploads[1].readUInt32BE(16), mask.width);
  assert.equal(uploads[1].readUInt32BE(20), mask.height);
}, DESKTOP, 256));

test("a reload keeps mask, frame, tool and words; begin again forgets them", () => open(async (page, mock, uploads) => {
  await stroke(page, [[0.4, 0.5], [0.6, 0.5]]);
  await page.getByLabel("Right", { exact: true }).fill("64");
  await page.keyboard.press("Tab");
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("A blue door");
  await page.locator("canvas.paint").focus();
  await page.keyboard.press("e");
  await page.reload();
  await page.waitForFunction(() => document.querySelector('[data-key="eraser"]')?.getAttribute("aria-pressed") === "true");
  assert.equal(await page.getByLabel("Right", { exact: true }).inputValue(), "64");
  assert.equal(await page.getByRole("textbox", { name: "Prompt", exact: true }).inputValue(), "A blue door");
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 1);
  const mask = grey(uploads[0]);
  assert.equal(mask.width, 320);
  assert.equal(mask.at(128, 128), 255, "what was painted is there");
  assert.equal(mask.at(20, 20), 0);
  await page.getByRole("button", { name: "Begin again" }).click();
  await page.reload();
  await page.getByRole("button", { name: "Brush" }).waitFor();
  assert.equal(await page.getByLabel("Right", { exact: true }).inputValue(), "");
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("x");
  await page.keyboard.press("Control+Enter");
  await page.getByText("Paint over what should change first").waitFor();
}, DESKTOP, 256));

test("five edits of mixed kinds: the fifth walks back to the first seed, through the extended canvas", () => open(async (page, mock, uploads, asset) => {
  const further = async (kind) => {
    const [job] = mock.pictures.jobs;
    mock.pictures.start(job); mock.pictures.finish(job);
    await page.getByRole("link", { name: "Edit further" }).click();
    await page.waitForURL(`**/create/edit/${job.assets[0].id}`);
    await page.getByRole("button", { name: "Brush" }).waitFor();
    if (kind) await page.getByText(kind).click();
    return job.assets[0];
  };
  const paint = async () => { await stroke(page, [[0.45, 0.5], [0.55, 0.5]]); await send(page, mock); };
  const outward = async () => { await page.getByLabel("Right", { exact: true }).fill("16"); await send(page, mock); };
  await paint();
  await further();
  await outward();
  await further("Say what changes");
  await send(page, mock);
  const edited = await further();
  const up = mock.pictures.asset({ task: "upscale", width: 256, height: 256, parents: [{ id: edited.id, role: "upscaled" }] });
  await page.goto(`${mock.url}/create/edit/${up.id}`);
  await page.getByRole("button", { name: "Brush" }).waitFor();
  await outward();
  const [job] = mock.pictures.jobs;
  mock.pictures.start(job); mock.pictures.finish(job);
  const last = job.assets[0];
  await page.goto(`${mock.url}/library/${last.id}`);
  await page.locator(`.film a[href="/library/${asset.id}"]`).waitFor();
  const names = await page.locator(".film-step > ul > li:not(.film-input) .film-name").allTextContents();
  assert.deepEqual(names, ["Text to picture", "Inpaint", "Canvas", "Inpaint", "Edit", "Upscale", "Canvas", "This picture"]);
  assert.equal(uploads.length, 5, "three masks, two canvases");
  await axe(page, "viewer, five edits");
  await shoot(page, "viewer-lineage-desktop-light");
}, DESKTOP, 256));

test("a frame beyond what the model makes is said, not cut", () => open(async (page, mock) => {
  await page.getByLabel("Right", { exact: true }).fill("100");
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("x");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.getByText("makes sides of 512 pixels at most").waitFor();
  assert.equal(mock.pictures.jobs.length, 0);
}));

test("in words: a model that follows instructions gets the picture and no mask", () => open(async (page, mock, uploads, asset) => {
  await page.getByText("Say what changes").click();
  await axe(page, "edit, instruct");
  const job = await send(page, mock);
  assert.deepEqual([job.task, job.model, job.request.init_asset, job.request.mask_asset, uploads.length], ["edit", "prv_1/gpt-image-1", asset.id, undefined, 0]);
}));

test("nothing painted: it says what to do", () => open(async (page, mock) => {
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("x");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.getByText("Paint over what should change first").waitFor();
  assert.equal(mock.pictures.jobs.length, 0);
}));

test("a small phone: the canvas above, the form below", () => open(async (page) => {
  assert.equal(await sideways(page), 0);
  await stroke(page, [[0.4, 0.5], [0.6, 0.5]]);
  await axe(page, "edit, phone");
  await shoot(page, "edit-small-phone-light");
}, SMALL_PHONE));

for (const colorScheme of ["light", "dark"])
  test(`pictures of the canvas to look at, ${colorScheme}`, () => open(async (page) => {
    await stroke(page, [[0.35, 0.6], [0.45, 0.55], [0.6, 0.62]]);
    await page.getByLabel("Right", { exact: true }).fill("96");
    await axe(page, `edit, ${colorScheme}`);
    await shoot(page, `edit-desktop-${colorScheme}`);
  }, { ...DESKTOP, colorScheme }));
