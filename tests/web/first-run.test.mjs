/** first-run.test.mjs - from nothing to a streamed answer, desktop and phone, with axe and screenshots. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { axePath, launch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";

const SHOTS = process.env.ATELIER_SHOTS ?? "build/shots";
let browser;
before(async () => { mkdirSync(SHOTS, { recursive: true }); browser = await launch(); });
after(() => browser.close());

async function axe(page, name) {
  await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {}))).then(() => {}));
  const source = await import("node:fs").then((fs) => fs.readFileSync(axePath, "utf8"));
  await page.evaluate(source);
  const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  assert.deepEqual(found.violations.map((one) => `${name}: ${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target + " " + node.failureSummary).join(" | ")}`), []);
}

for (const [name, options] of [["desktop", { viewport: { width: 1280, height: 800 } }], ["phone", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }]])
  test(`first words on a ${name}`, async () => {
    const mock = process.env.ATELIER_URL ? { url: process.env.ATELIER_URL, close() {} } : await startMock();
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
    await page.screenshot({ path: `${SHOTS}/${name}-pick.png` });
    await card.click();
    const prompt = page.getByRole("textbox", { name: "Message" });
    await prompt.fill("Hello there");
    await prompt.press("Enter");
    await page.locator(".message.assistant.complete .text table").waitFor();
    await page.getByRole("button", { name: "Copy code" }).waitFor();
    assert.equal(await page.locator(".message.user").count(), 1);
    for (const theme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: theme });
      await page.screenshot({ path: `${SHOTS}/${name}-chat-${theme}.png` });
      await axe(page, `chat ${theme}`);
    }
    for (const where of ["characters", "settings/appearance", "settings/models", "settings/providers", "settings/keyboard"]) {
      await page.goto(`${mock.url}/${where}`);
      await page.locator("h1").first().waitFor();

      await page.locator("main .grid > *, main .card, main .field, main .stack .chip").first().waitFor();
      await page.screenshot({ path: `${SHOTS}/${name}-${where.replace("/", "-")}.png` });
      await axe(page, where);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${where} does not scroll sideways`);
    }
    assert.deepEqual(errors, []);
    assert.deepEqual(foreign, []);
    await context.close();
    await mock.close();
  });
