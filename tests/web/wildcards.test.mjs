/** wildcards.test.mjs - Settings, Wildcards in a real browser against the mock: edited as text, imported, tried out, deleted and brought back. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DESKTOP, PHONE, SHOTS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";

let browser;
before(async () => { mkdirSync(SHOTS, { recursive: true }); browser = await launch(); });
after(() => browser.close());

/** @param {(page: any, mock: any) => Promise<void>} run */
async function open(run, { device = DESKTOP, lists = { colour: "crimson\nteal\n# not this\n\nochre\n", sea: "storm\n" }, path = "/settings/wildcards", refused = false } = {}) {
  const mock = await startMock({ signedIn: true }), context = await browser.newContext(device), page = await context.newPage();
  const wrong = watch(page, mock.url);
  try {
    for (const [name, entries] of Object.entries(lists)) mock.recipes.answer("POST", ["wildcards"], { name, entries });
    await page.goto(mock.url + path);
    await run(page, mock);
    // a prompt with a list that is not there is refused: the browser tells that too
    assert.deepEqual(wrong.filter((one) => !refused || !/^400 .*\/prompts\/expand$|status of 400/.test(one)), []);
  } finally { await context.close(); await mock.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };
const named = (mock, name) => mock.recipes.wildcards.find((one) => one.name === name);
const results = (page) => page.getByRole("list", { name: "What the prompt becomes" }).getByRole("listitem");

test("a list by keyboard: opened, changed as text, saved; renamed without losing another of that name", () => open(async (page, mock) => {
  await page.getByText("3 entries").waitFor();
  await axe(page, "wildcards");
  const edit = page.getByRole("link", { name: "Edit colour" });
  await edit.focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/settings\/wildcards\/wld_/);
  const entries = page.getByLabel("Entries");
  assert.ok(await entries.evaluate((it) => it === document.activeElement));
  await axe(page, "wildcard");
  await page.keyboard.press("Control+End");
  await page.keyboard.type("ivory\n");
  await page.getByText("4 entries").waitFor();
  await page.getByLabel("Name").fill("sea");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("There is a wildcard named sea already.").waitFor();
  assert.equal(named(mock, "sea").entries, "storm\n");
  await page.getByLabel("Name").fill("hue");
  await page.getByText("__hue__").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("link", { name: "__hue__" }).waitFor();
  assert.deepEqual(mock.recipes.wildcards.map((one) => one.name).sort(), ["hue", "sea"]);
  assert.equal(named(mock, "hue").entries, "crimson\nteal\n# not this\n\nochre\nivory\n");
}));

test("a prompt is tried: examples, an unknown wildcard in words, into Create", () => open(async (page) => {
  const prompt = page.getByRole("textbox", { name: /^Prompt/ });
  await prompt.fill("a {red|red} boat, __sea__");
  await page.waitForFunction(() => document.querySelectorAll(".expansion").length === 5 && document.querySelector(".expansion")?.textContent.includes("a red boat, storm"));
  await page.getByLabel("Examples").selectOption("10");
  await page.waitForFunction(() => document.querySelectorAll(".expansion").length === 10);
  await results(page).first().getByRole("button", { name: /^Use in Create/ }).click();
  await page.waitForURL(/\/create$/);
  assert.equal(await page.locator("#picture-prompt").inputValue(), "a red boat, storm");
  await page.getByRole("link", { name: "Words that vary" }).click(); // from the prompt's help back to here
  await page.waitForURL(/\/settings\/wildcards$/);
  await prompt.fill("a __whale__");
  await page.getByRole("alert").getByText("There is no wildcard __whale__.").waitFor();
  assert.equal(await results(page).count(), 0);
}, { refused: true }));

test("text files become lists; a name that is taken gets a number", () => open(async (page, mock) => {
  await page.getByText("3 entries").waitFor();
  await page.locator("main input[type=file]").setInputFiles([{ name: "Trees & shrubs.txt", mimeType: "text/plain", buffer: Buffer.from("oak\nyew\n") }, { name: "colour.txt", mimeType: "text/plain", buffer: Buffer.from("grey\n") }]);
  await page.getByText("2 imported.").waitFor();
  await page.getByRole("link", { name: "__Trees - shrubs__" }).waitFor();
  assert.equal(named(mock, "Trees - shrubs").entries, "oak\nyew\n");
  assert.equal(named(mock, "colour 2").entries, "grey\n");
  assert.match(named(mock, "colour").entries, /^crimson/);
  await page.locator("main input[type=file]").setInputFiles([{ name: "p.txt", mimeType: "text/plain", buffer: Buffer.from([0x50, 0, 0x51]) }]);
  await page.getByText("p.txt is no text file.").waitFor();
}));

test("deleted, and brought back; a change in another tab is seen", () => open(async (page, mock) => {
  await page.getByRole("button", { name: "Delete colour" }).click();
  await page.getByRole("link", { name: "__colour__" }).waitFor({ state: "detached" });
  assert.equal(named(mock, "colour"), undefined);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("link", { name: "__colour__" }).waitFor();
  assert.equal(named(mock, "colour").entries, "crimson\nteal\n# not this\n\nochre\n");
  mock.recipes.answer("POST", ["wildcards"], { name: "moon", entries: "full\nnew" });
  await page.getByRole("link", { name: "__moon__" }).waitFor();
}, { refused: true }));

test("nothing yet: what this is, and an example", () => open(async (page, mock) => {
  await page.getByRole("heading", { name: "No wildcards yet" }).waitFor();
  await axe(page, "wildcards, empty");
  await page.getByRole("button", { name: "Make an example" }).click();
  await page.getByRole("link", { name: "__colour__" }).waitFor();
  assert.ok(named(mock, "colour"));
}, { lists: {} }));

test("an address of a list that is gone", () => open(async (page) => {
  await page.getByRole("heading", { name: "There is no such wildcard" }).waitFor();
  await page.getByRole("link", { name: "All wildcards" }).click();
  await page.getByText("3 entries").waitFor();
}, { path: "/settings/wildcards/wld_gone" }));

for (const colorScheme of ["light", "dark"])
  for (const [name, device] of [["desktop", DESKTOP], ["phone", PHONE]])
    test(`wildcards to look at, ${name}, ${colorScheme}`, () => open(async (page) => {
      await page.locator(".expansion").first().waitFor();
      assert.equal(await sideways(page), 0);
      const inside = await page.evaluate(() => [...document.querySelectorAll(".recipe")].every((one) => one.getBoundingClientRect().right <= innerWidth - 8));
      assert.ok(inside, "cards stay inside the page");
      await axe(page, `wildcards, ${name}, ${colorScheme}`);
      await shoot(page, `wildcards-${name}-${colorScheme}`);
    }, { device: { ...device, colorScheme }, lists: { colour: "crimson\nteal\nochre\nivory\nviolet\nsalmon\nazure\nan uncommonly long colour name that needs room\n", "weather/sea": "storm\ncalm\n" } }));
