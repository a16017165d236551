/** library.test.mjs - the library and its viewer in a real browser against the mock: 10,000 pictures, keys, selection, touch, axe. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DESKTOP, ENGINE_MS, SHOTS, SMALL_PHONE, axe, launch, sideways, still, until, watch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";

const IDLE_MAX = 2000; // turns of scrolling that show nothing new
let browser;
before(async () => { mkdirSync(SHOTS, { recursive: true }); browser = await launch(); });
after(() => browser.close());

async function open(options, run, { device = DESKTOP, path = "/library", allow } = {}) {
  const mock = await startMock({ signedIn: true, library: 60, ...options });
  const context = await browser.newContext(device);
  const page = await context.newPage();
  const wrong = watch(page, mock.url);
  try {
    await page.goto(mock.url + path);
    await run(page, mock, context);
    assert.deepEqual(wrong.filter((one) => !allow?.test(one)), []);
  } finally { await context.close(); await mock.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };
const loaded = (page) => page.waitForFunction(() => document.querySelectorAll(".pic img.in").length > 3);
const focused = (page) => page.evaluate(() => document.activeElement?.getAttribute("data-id"));

test("10,000 pictures: few elements, every picture once and in order, scrolling to the end", () => open({ library: 10000 }, async (page, mock) => {
  await loaded(page);
  const seen = new Set(), last = mock.pictures.all.at(-1).id;
  let most = 0, idle = 0;
  while (!seen.has(last) && idle < IDLE_MAX) {
    const state = await page.evaluate(async () => { const box = document.querySelector(".library-scroll"); box.scrollTop += 4000; await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))); const ids = [...document.querySelectorAll(".pic")].map((one) => one.dataset.id); return { ids, count: ids.length }; });
    const had = seen.size;
    for (const id of state.ids) seen.add(id);
    idle = seen.size > had ? 0 : idle + 1;
    most = Math.max(most, state.count);
  }
  assert.ok(most < 160, `${most} elements at most`);
  await page.locator(`[data-id="${last}"]`).waitFor();
  assert.equal(await page.locator(`[data-id="${last}"]`).getAttribute("aria-posinset"), "10000");
}));

test("by keyboard alone: arrows, ranges, star, rate, all, trash and undo, open and come back", () => open({}, async (page, mock) => {
  await loaded(page);
  const first = page.locator(".pic").first();
  for (let n = 0; n < 40 && !(await focused(page)); n++) await page.keyboard.press("Tab");
  const ids = mock.pictures.all.map((one) => one.id);
  assert.equal(await focused(page), ids[0], "the wall is one stop");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(page), ids[2]);
  await page.keyboard.press("ArrowDown");
  const below = ids.indexOf(await focused(page));
  assert.ok(below > 3);
  await page.keyboard.press("ArrowUp");
  assert.equal(ids.indexOf(await focused(page)) <= 4, true);
  await page.keyboard.press("Home");
  await page.keyboard.press(".");
  await until(page, () => mock.pictures.all[0].starred);
  await page.keyboard.press("4");
  await until(page, () => mock.pictures.all[0].rating === 4);
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("Shift+ArrowRight");
  await page.getByText("3 selected").waitFor();
  await axe(page, "library, selection");
  await page.keyboard.press("Delete");
  await page.getByText("3 moved to the trash.").waitFor();
  await until(page, () => mock.pictures.all.slice(0, 3).every((one) => one.deleted_at));
  assert.equal(await page.locator(`[data-id="${ids[0]}"]`).count(), 0);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.locator(`[data-id="${ids[0]}"]`).waitFor();
  await first.focus();
  await page.keyboard.press("Control+a");
  await page.getByText("60 selected").waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".selection").waitFor({ state: "hidden" });
  await page.keyboard.press("Home");
  await page.keyboard.press("Space");
  await page.locator(".viewer .stage img").waitFor();
  assert.equal(new URL(page.url()).pathname, `/library/${ids[0]}`);
  await page.keyboard.press("ArrowRight");
  await page.waitForURL(`**/library/${ids[1]}`);
  await page.keyboard.press("i");
  await page.getByRole("button", { name: "Copy Seed" }).waitFor();
  await axe(page, "viewer, info");
  await page.keyboard.press("z");
  await page.locator(".stage.zoomed").waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await page.locator(".viewer").waitFor({ state: "detached" });
  assert.equal(await focused(page), ids[1], "the focus is on what was looked at");
}));

test("filters stand in the address and survive a reload", () => open({}, async (page, mock) => {
  await loaded(page);
  await page.getByRole("button", { name: "Starred" }).click();
  await page.waitForURL("**/library?starred=true");
  const starred = mock.pictures.all.filter((one) => one.starred).length;
  await page.waitForFunction((n) => document.querySelectorAll(".pic").length === n, starred);
  await page.getByRole("button", { name: "Rating" }).click();
  await page.getByRole("menuitemradio", { name: "3 stars or more" }).click();
  await page.waitForURL("**rating=3**");
  const both = mock.pictures.all.filter((one) => one.starred && one.rating >= 3).length;
  await page.waitForFunction((n) => document.querySelectorAll(".pic").length === n, both);
  await page.reload();
  await page.waitForFunction((n) => document.querySelectorAll(".pic").length === n, both);
  await page.getByLabel("Search prompts and titles").fill("no such words");
  await page.getByText("Nothing matches these filters.").first().waitFor();
  await axe(page, "library, nothing found");
  await page.locator("main").getByRole("link", { name: "Clear filters" }).first().click();
  await page.waitForFunction((n) => document.querySelectorAll(".pic").length > n, both);
  assert.equal(new URL(page.url()).search, "");
}));

test("boards: make one from the selection, look at it", () => open({}, async (page, mock) => {
  await loaded(page);
  await page.locator(".pic").nth(0).click({ modifiers: ["Control"] });
  await page.locator(".pic").nth(3).click({ modifiers: ["Shift"] });
  await page.getByText("4 selected").waitFor();
  await page.locator(".selection").getByRole("button", { name: "Board" }).click();
  await page.getByRole("menuitem", { name: "New board" }).click();
  await page.keyboard.type("Sea");
  await page.keyboard.press("Enter");
  await page.getByText("4 added to Sea.").waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".chips").getByRole("button", { name: "Board" }).click();
  await page.getByRole("menuitemradio", { name: "Sea (4)" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".pic").length === 4);
  assert.equal(mock.pictures.boards.length, 1);
}));

test("the viewer: lineage, compare with the parent, share, remix", () => open({}, async (page, mock) => {
  await loaded(page);
  const [one, two] = mock.pictures.all;
  await page.goto(`${mock.url}/library/${one.id}`);
  await page.locator(".film a").nth(2).waitFor();
  await axe(page, "viewer, lineage");
  await page.getByRole("button", { name: "Compare with what it came from" }).click();
  const slider = page.getByRole("slider", { name: /earlier picture/ });
  await slider.focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await slider.inputValue(), "51");
  await axe(page, "viewer, compare");
  await shoot(page, "viewer-compare-desktop-light");
  await page.locator(".film a").nth(1).click();
  await page.waitForURL(`**/library/${two.id}`);
  await page.getByRole("button", { name: "Share with a link" }).click();
  await page.getByRole("button", { name: "Make a link and copy it" }).click();
  await page.getByText(/\/s\/k1/).waitFor();
  await axe(page, "viewer, share");
  assert.ok(mock.pictures.shares[0].expires_at);
  await page.keyboard.press("Escape");
  await page.locator(".stage").focus();
  await page.keyboard.press("r");
  await page.waitForURL("**/create");
  assert.equal(await page.getByRole("textbox", { name: "Prompt", exact: true }).inputValue(), two.prompt);
}));

for (const [device, scheme] of [["desktop", "light"], ["phone", "dark"]]) test(`Content Credentials: signed, changed, none, ${device}`, () => open({}, async (page, mock) => {
  await page.emulateMedia({ colorScheme: scheme });
  await loaded(page);
  const [one, two, three] = mock.pictures.all;
  two.credentials = { state: "changed", problem: "assertion.dataHash.mismatch" };
  Object.assign(three, { origin: "upload", prompt: "" });
  for (const [it, words, name] of [[one, "Signed by this server, unchanged", "signed"], [two, "Changed after it was signed", "changed"], [three, "None", "none"]]) {
    await page.goto(`${mock.url}/library/${it.id}`);
    await page.locator(".stage img").waitFor();
    if (!(await page.locator(".viewer-info").isVisible())) { await page.locator(".stage").focus(); await page.keyboard.press("i"); }
    const told = page.locator(".credentials");
    await told.getByText(words, { exact: true }).waitFor();
    await page.waitForFunction(() => { const it = document.querySelector(".credentials"); it?.scrollIntoView(); return it; }); // what is asked for besides may draw it anew
    if (name === "signed") await told.getByText("Made with Atelier 1.0").waitFor();
    await axe(page, `viewer, credentials ${name}`);
    await shoot(page, `credentials-${name}-${device}-${scheme}`);
  }
}, { device: device === "phone" ? SMALL_PHONE : DESKTOP }));

test("the board looked at: take pictures off it and back, delete it and take that back; a tag the same", () => open({}, async (page, mock) => {
  await loaded(page);
  const count = (n) => page.waitForFunction((wanted) => document.querySelectorAll(".pic").length === wanted, n);
  await page.locator(".pic").nth(0).click({ modifiers: ["Control"] });
  await page.locator(".pic").nth(2).click({ modifiers: ["Shift"] });
  await page.locator(".selection").getByRole("button", { name: "Board" }).click();
  await page.getByRole("menuitem", { name: "New board" }).click();
  await page.keyboard.type("Sea");
  await page.keyboard.press("Enter");
  await page.getByText("3 added to Sea.").waitFor();
  await page.locator(".selection").getByRole("button", { name: "Tag" }).click();
  await page.keyboard.type("wet");
  await page.keyboard.press("Enter");
  await page.getByText("Saved").waitFor();
  await page.goto(`${mock.url}/library?board_id=${mock.pictures.boards[0].id}`);
  await count(3);
  await page.locator(".pic").first().click({ modifiers: ["Control"] });
  await page.getByRole("button", { name: "Take off the board" }).click();
  await count(2);
  await page.getByText("1 taken off the board.").waitFor();
  await page.getByRole("button", { name: "Undo" }).click();
  await count(3);
  await page.getByRole("button", { name: "Board menu" }).click();
  await page.getByRole("menuitem", { name: "Delete the board, keep its pictures" }).click();
  await page.getByText("Sea deleted. Its pictures stay.").waitFor();
  assert.equal(mock.pictures.boards.length, 0);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.waitForURL("**/library?board_id=*");
  await count(3);
  await page.goto(`${mock.url}/library?tag=wet`);
  await count(3);
  await page.locator(".pic").first().click({ modifiers: ["Control"] });
  await page.getByRole("button", { name: "Remove the tag" }).click();
  await count(2);
}));

test("look-alikes: keep only one; the last group says that it was all; undo in the dialog", () => open({}, async (page, mock) => {
  await loaded(page);
  await page.getByRole("button", { name: "Library menu" }).click();
  await page.getByRole("menuitem", { name: "Find near-duplicates" }).click();
  await page.getByText("2 look alike").waitFor();
  await axe(page, "library, near-duplicates");
  const [one, two] = mock.pictures.all;
  await page.getByRole("button", { name: "Keep only this" }).nth(1).click();
  await until(page, () => one.deleted_at && !two.deleted_at);
  await page.getByText("That was all of them.").waitFor();
  await page.locator(".toast").getByRole("button", { name: "Undo" }).click();
  await until(page, () => !one.deleted_at);
  await page.getByText("2 look alike").waitFor();
  await page.keyboard.press("Escape");
  await page.locator(`[data-id="${one.id}"]`).waitFor();
}));

test("the viewer's keys: star, recall all, seed only, zoom, trash", () => open({}, async (page, mock) => {
  const [one, two] = mock.pictures.all, draft = () => page.evaluate(() => JSON.parse(sessionStorage.getItem("create") ?? "{}"));
  await page.goto(`${mock.url}/library/${one.id}`);
  await page.locator(".viewer .stage img").waitFor();
  await page.keyboard.press("s");
  await page.getByText("Parameters recalled.").waitFor();
  assert.deepEqual([(await draft()).seed, (await draft()).seed_locked, (await draft()).prompt], [one.seed, true, ""]);
  await page.keyboard.press("a");
  await page.waitForFunction((text) => JSON.parse(sessionStorage.getItem("create")).prompt === text, one.prompt);
  assert.deepEqual([(await draft()).values.steps, (await draft()).values.sampler, (await draft()).negative_prompt], [8, "euler", "blurry"]);
  await page.keyboard.press(".");
  await until(page, () => one.starred);
  await page.keyboard.press("z");
  await page.locator(".stage.zoomed").waitFor();
  await page.keyboard.press("z");
  await page.locator(".stage:not(.zoomed)").waitFor();
  await page.keyboard.press("Delete");
  await until(page, () => one.deleted_at);
  await page.waitForURL(`**/library/${two.id}`);
}));

test("a large file goes up in pieces: on after a break, and on after a reload, nothing twice", () => open({}, async (page, mock) => {
  await loaded(page);
  const folder = mkdtempSync(join(tmpdir(), "atelier-upload-")), file = join(folder, "large.mp4"), size = 20 * 1024 * 1024, piece = 8 * 1024 * 1024;
  try {
    writeFileSync(file, Buffer.alloc(size, 7));
    mock.pictures.broken = { at: 1, times: Infinity };
    const input = page.locator(".library-head input[type=file]");
    await input.setInputFiles(file);
    await page.getByText("The line is down. large.mp4 goes on by itself").waitFor();
    await axe(page, "library, uploading");
    assert.deepEqual(mock.pictures.pieces, [piece]);
    await page.reload();
    await loaded(page);
    mock.pictures.broken = { at: 2, times: 1 };
    await input.setInputFiles(file);
    await page.getByText("1 uploaded.").waitFor({ timeout: ENGINE_MS });
    assert.deepEqual(mock.pictures.pieces, [piece, piece, size - 2 * piece]);
    assert.equal(mock.pictures.all[0].size_bytes, size);
    await page.locator(`[data-id="${mock.pictures.all[0].id}"]`).waitFor();
    assert.equal(await page.evaluate(() => localStorage.getItem("uploads")), "{}");
    await page.locator(".upload-strip").waitFor({ state: "hidden" });
  } finally { rmSync(folder, { recursive: true, force: true }); }
}, { allow: /503/ }));

test("files dropped on the wall are uploaded one after the other", () => open({}, async (page, mock) => {
  await loaded(page);
  await page.locator(".library").evaluate((box) => {
    const data = new DataTransfer();
    for (const name of ["a.png", "b.png", "c.png"]) data.items.add(new File([new Uint8Array([1, 2, 3])], name, { type: "image/png" }));
    box.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  await page.getByText("3 uploaded.").waitFor();
  assert.equal(mock.pictures.uploads.length, 3);
  for (const one of mock.pictures.all.slice(0, 3)) await page.locator(`[data-id="${one.id}"]`).waitFor();
}));

test("a new picture of a job appears at the top without moving what is read", () => open({}, async (page, mock) => {
  await loaded(page);
  const made = mock.pictures.asset({ created_at: new Date().toISOString() });
  mock.emit("asset.created", { asset: { ...made, id: made.id } });
  await page.locator(`[data-id="${made.id}"]`).waitFor();
  assert.equal(await page.locator(`[data-id="${made.id}"]`).getAttribute("aria-posinset"), "1");
}));

test("a small phone: long press selects, tap opens, swipe steps", () => open({}, async (page, mock) => {
  await loaded(page);
  assert.equal(await sideways(page), 0);
  await axe(page, "library, phone");
  await shoot(page, "library-small-phone-light");
  const touch = async (selector, x0, x1, hold) => page.evaluate(async ([selector, x0, x1, hold]) => {
    const it = document.querySelector(selector), at = it.getBoundingClientRect(), y = at.top + at.height / 2;
    const point = (x) => new Touch({ identifier: 1, target: it, clientX: x, clientY: y });
    it.dispatchEvent(new TouchEvent("touchstart", { bubbles: true, touches: [point(x0)], changedTouches: [point(x0)] }));
    if (hold) await new Promise((done) => { new MutationObserver((_, m) => { m.disconnect(); done(); }).observe(document.querySelector(".selection"), { attributes: true }); });
    it.dispatchEvent(new TouchEvent("touchend", { bubbles: true, touches: [], changedTouches: [point(x1)] }));
    if (hold) it.click();
  }, [selector, x0, x1, hold]);
  await touch(".pic", 60, 60, true);
  await page.getByText("1 selected").waitFor();
  await page.locator(".pic").nth(2).tap();
  await page.getByText("2 selected").waitFor();
  await axe(page, "library, phone, selection");
  await shoot(page, "library-selection-small-phone-light");
  await page.getByRole("button", { name: "Clear the selection" }).tap();
  await page.locator(".pic").nth(0).tap();
  await page.locator(".viewer .stage img").waitFor();
  const first = new URL(page.url()).pathname;
  await touch(".stage", 300, 60, false);
  await page.waitForFunction((was) => location.pathname !== was, first);
  await page.getByRole("button", { name: "What made it" }).tap();
  await page.locator(".viewer-info").waitFor();
  await axe(page, "viewer, phone");
  assert.equal(await sideways(page), 0);
  await shoot(page, "viewer-small-phone-light");
  await mock.pictures.all.length;
}, { device: SMALL_PHONE }));

for (const colorScheme of ["light", "dark"])
  test(`pictures of the library to look at, ${colorScheme}`, () => open({}, async (page) => {
    await loaded(page);
    await page.locator(".pic").nth(1).click({ modifiers: ["Control"] });
    await page.locator(".pic").nth(4).click({ modifiers: ["Control"] });
    await axe(page, `library, ${colorScheme}`);
    await shoot(page, `library-desktop-${colorScheme}`);
    await page.getByRole("button", { name: "Clear the selection" }).click();
    await page.locator(".pic").nth(0).click();
    await page.keyboard.press("i");
    await page.getByRole("button", { name: "Copy Seed" }).waitFor();
    await page.locator(".film a").nth(2).waitFor();
    await axe(page, `viewer, ${colorScheme}`);
    await shoot(page, `viewer-desktop-${colorScheme}`);
  }, { device: { ...DESKTOP, colorScheme } }));

for (const [name, device] of [["desktop-light", { ...DESKTOP, colorScheme: "light" }], ["phone-dark", { ...SMALL_PHONE, colorScheme: "dark" }]])
  test(`what the picture check covers is shown after a click, what it holds is not asked for, ${name}`, () => open({}, async (page, mock) => {
    const asked = [];
    page.on("request", (request) => { if (request.url().includes("/file")) asked.push(new URL(request.url()).pathname); });
    const [covered, held] = mock.pictures.all;
    covered.check = "blur";
    held.check = "held";
    await loaded(page);
    asked.length = 0;
    await page.reload();
    await loaded(page);
    assert.equal(await page.locator(`.pic[data-id="${covered.id}"] img.covered`).count(), 1);
    assert.match(await page.locator(`.pic[data-id="${held.id}"]`).innerText(), /Waits for review/);
    await axe(page, `library with covered pictures, ${name}`);
    await shoot(page, `library-covered-${name}`);
    await page.goto(`${mock.url}/library/${covered.id}`);
    const show = page.getByRole("button", { name: "Show the picture" });
    await show.waitFor();
    await page.locator(".stage img.covered").evaluate((img) => img.decode());
    await axe(page, `covered picture, ${name}`);
    await shoot(page, `viewer-covered-${name}`);
    await show.focus();
    await page.keyboard.press("Enter");
    await page.locator(".stage img:not(.covered)").waitFor();
    assert.equal(await page.locator(".stage img.covered").count(), 0);
    await page.goto(`${mock.url}/library/${held.id}`);
    await page.getByText("Somebody who moderates looks at it first").waitFor();
    assert.deepEqual(asked.filter((one) => one.includes(held.id)), []);
  }, { device }));
