/** first-run.test.mjs - from nothing to a streamed answer, desktop and phone, with axe and screenshots. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DESKTOP, SHOTS, SMALL_PHONE, axe, launch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";

const FOLDER = `${SHOTS}/mock`;
let browser;
before(async () => { mkdirSync(FOLDER, { recursive: true }); browser = await launch(); });
after(() => browser.close());

for (const [name, options] of [["desktop", DESKTOP], ["phone", SMALL_PHONE]])
  test(`first words on a ${name}`, async () => {
    const mock = await startMock();
    const context = await browser.newContext({ ...options, reducedMotion: "reduce" });
    const page = await context.newPage();
    const errors = [], foreign = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => { if (message.type() === "error" && !message.text().includes("status of")) errors.push(message.text()); });
    page.on("request", (request) => { if (!request.url().startsWith(mock.url)) foreign.push(request.url()); });
    await page.goto(mock.url);
    await page.getByLabel("Your name").fill("Ada");
    await page.getByLabel("Password").fill("correct horse");
    await page.keyboard.press("Enter");
    const card = page.locator(".character").first();
    await card.waitFor();
    await page.screenshot({ path: `${FOLDER}/${name}-pick.png` });
    await card.click();
    const prompt = page.getByRole("textbox", { name: "Message" });
    await prompt.fill("Hello there");
    await prompt.press("Enter");
    await page.locator(".message.assistant.complete .text table").waitFor();
    await page.getByRole("button", { name: "Copy code" }).waitFor();
    assert.equal(await page.locator(".message.user").count(), 1);
    for (const theme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: theme });
      await page.screenshot({ path: `${FOLDER}/${name}-chat-${theme}.png` });
      await axe(page, `chat ${theme}`);
    }
    for (const where of ["characters", "settings/appearance", "settings/models", "settings/providers", "settings/keyboard"]) {
      await page.goto(`${mock.url}/${where}`);
      await page.locator("h1").first().waitFor();

      await page.locator("main .grid > *, main .card, main .field, main .stack .chip").first().waitFor();
      await page.screenshot({ path: `${FOLDER}/${name}-${where.replace("/", "-")}.png` });
      await axe(page, where);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${where} does not scroll sideways`);
    }
    assert.deepEqual(errors, []);
    assert.deepEqual(foreign, []);
    await context.close();
    await mock.close();
  });

test("the printed address carries the setup token", async () => {
  const mock = await startMock({ setupToken: "a-token" });
  const page = await browser.newPage();
  await page.goto(`${mock.url}/setup?token=a-token`);
  assert.equal(await page.getByLabel("Setup token").inputValue(), "a-token");
  await page.getByLabel("Your name").fill("Ada");
  await page.getByLabel("Password").fill("correct horse");
  await page.keyboard.press("Enter");
  await page.locator(".character").first().waitFor();
  assert.equal(new URL(page.url()).search, "", "the token does not stay in the address");
  await page.close();
  await mock.close();
});
