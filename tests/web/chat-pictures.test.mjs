/** chat-pictures.test.mjs - pictures in a conversation and the Look tab of a character, against the mock. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { DESKTOP, SMALL_PHONE, axe, launch, sideways, until, watch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

async function open(run, device = DESKTOP) {
  const mock = await startMock({ signedIn: true, messages: 4 });
  const context = await browser.newContext(device);
  const page = await context.newPage();
  const wrong = watch(page, mock.url);
  try { await run(page, mock); assert.deepEqual(wrong, []); } finally { await context.close(); await mock.close(); }
}

for (const [name, device] of [["desktop", DESKTOP], ["small phone", SMALL_PHONE]])
  test(`a picture of the scene grows under its message, and is there after a reload: ${name}`, () => open(async (page, mock) => {
    await page.goto(`${mock.url}/c/${mock.db.conversations[0].id}`);
    const last = page.locator(".message").last();
    await last.getByRole("button", { name: "Picture" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("menuitem", { name: "Show Mara Lindqvist's face" }).waitFor();
    await page.keyboard.press("Enter");
    await until(page, () => mock.pictures.jobs.length === 1);
    const [job] = mock.pictures.jobs;
    assert.equal(job.what, "scene");
    mock.pictures.start(job); mock.pictures.step(job, 2); mock.pictures.preview(job);
    await last.getByText("Step 2 of 8").waitFor();
    await last.locator(".preview").waitFor();
    await axe(page, "chat, picture runs");
    mock.pictures.finish(job);
    await last.getByRole("link", { name: /Open: The scene/ }).waitFor();
    await page.reload();
    await last.getByRole("link", { name: /Open: The scene/ }).waitFor();
    assert.equal(await sideways(page), 0);
    await axe(page, "chat, picture");
  }, device));

test("a look is kept: words, LoRA, seed for each conversation", () => open(async (page, mock) => {
  const { id } = mock.db.characters[0];
  await page.goto(`${mock.url}/characters/${id}`);
  await page.getByRole("tab", { name: "Look" }).click();
  await page.getByLabel("Appearance").fill("grey hair, blue coat");
  await page.getByRole("button", { name: "Add a LoRA" }).click();
  await page.keyboard.type("mara");
  await page.getByLabel("Which seed").selectOption("conversation");
  await until(page, () => mock.pictures.looks.get(id)?.seed_policy === "conversation");
  await page.getByText("Saved").waitFor();
  await axe(page, "look");
  assert.deepEqual([mock.pictures.looks.get(id).prompt_prefix, mock.pictures.looks.get(id).loras], ["grey hair, blue coat", [{ name: "mara", weight: 1 }]]);
  await page.getByRole("button", { name: "Try it in Create" }).click();
  await page.waitForURL("**/create");
  assert.equal(await page.getByRole("combobox", { name: "Character", exact: true }).inputValue(), id);
}));
