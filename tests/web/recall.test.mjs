/** recall.test.mjs - a picture's parameters come back: dropped, pasted as text, chosen on a phone, recalled from the wall. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DESKTOP, SHOTS, SMALL_PHONE, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";
import { png } from "./mock-pictures.mjs";

let browser;
before(async () => { mkdirSync(SHOTS, { recursive: true }); browser = await launch(); });
after(() => browser.close());

const TEXT = "A glass garden\nNegative prompt: blurry\nSteps: 12, Sampler: Euler a, Seed: 987654321";
async function open(run, { device = DESKTOP, path = "/create" } = {}) {
  const mock = await startMock({ signedIn: true, library: 6 });
  const context = await browser.newContext(device);
  const page = await context.newPage();
  const wrong = watch(page, mock.url);
  try {
    await page.goto(mock.url + path);
    await run(page, mock);
    assert.deepEqual(wrong.filter((one) => !/404/.test(one)), [], "only what says nothing of itself answers 404");
  } finally { await context.close(); await mock.close(); }
}
const prompt = (page) => page.getByRole("textbox", { name: "Prompt", exact: true });
async function shows(page) {
  assert.equal(await prompt(page).inputValue(), "A glass garden");
  const more = page.getByRole("button", { name: "More", exact: true });
  if (await more.count()) await more.click();
  assert.equal(await page.getByRole("spinbutton", { name: "Steps" }).inputValue(), "12");
  assert.equal(await page.getByRole("spinbutton", { name: "Seed", exact: true }).inputValue(), "987654321");
}
const drop = (page, where, data) => page.locator(where).first().evaluate((box, bytes) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
  box.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
}, [...data]);

test("dropped on Create: it says where it is from, and fills the form", () => open(async (page) => {
  await prompt(page).waitFor();
  await drop(page, ".create", png(5, 24, 24, TEXT));
  await page.getByText("It says how it was made (a1111).").waitFor();
  await page.getByRole("button", { name: "Recall its parameters" }).click();
  await shows(page);
}));

test("dropped on Activity: the same, in Create", () => open(async (page) => {
  await page.getByRole("heading", { name: "Activity" }).waitFor();
  await drop(page, ".page", png(5, 24, 24, TEXT));
  await page.waitForURL("**/create");
  await page.getByRole("button", { name: "Recall its parameters" }).click();
  await shows(page);
}, { path: "/activity" }));

test("text of another tool, pasted into the prompt", () => open(async (page) => {
  await prompt(page).focus();
  await prompt(page).evaluate((box, text) => { const data = new DataTransfer(); data.setData("text", text); box.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })); }, TEXT);
  await page.getByText("Parameters recalled.").waitFor();
  await shows(page);
}));

test("on a small phone: a file that was chosen is asked about; one that says nothing is the input at once", () => open(async (page, mock) => {
  const choose = async (data) => {
    await page.getByRole("button", { name: "Choose a picture" }).tap();
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name: "From this device" }).tap()]);
    await chooser.setFiles({ name: "a.png", mimeType: "image/png", buffer: data });
  };
  await choose(png(5, 24, 24, TEXT));
  await page.getByRole("button", { name: "Recall its parameters" }).waitFor();
  await axe(page, "create, recall, phone");
  assert.equal(await sideways(page), 0);
  await still(page);
  await page.screenshot({ path: `${SHOTS}/create-recall-small-phone-light.png` });
  await page.getByRole("button", { name: "Recall its parameters" }).tap();
  await shows(page);
  await choose(png(6, 24, 24));
  await page.getByText("Picture to picture").waitFor();
  assert.equal(mock.pictures.uploads.length, 1);
}, { device: SMALL_PHONE }));

test("from the wall by keys: a recalls all of the focused picture, s its seed", () => open(async (page, mock) => {
  await page.waitForFunction(() => document.querySelectorAll(".pic img.in").length > 3);
  await page.locator(".pic").first().focus();
  await page.keyboard.press("a");
  await page.getByText("Parameters recalled.").waitFor();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("s");
  await page.waitForFunction((seed) => JSON.parse(sessionStorage.getItem("create")).seed === seed, mock.pictures.all[1].seed);
  await page.goto(`${mock.url}/create`);
  assert.equal(await prompt(page).inputValue(), mock.pictures.all[0].prompt);
}, { path: "/library" }));
