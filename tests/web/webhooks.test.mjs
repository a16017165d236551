/** webhooks.test.mjs - Settings, Webhooks in a real browser against the mock: the secret once, changes, the live and paged log. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DESKTOP, PHONE, SHOTS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";

let browser;
before(async () => { mkdirSync(SHOTS, { recursive: true }); browser = await launch(); });
after(() => browser.close());

const ONE = "https://automation.example.com/hooks/7f3a2b/atelier-pictures-from-the-studio", TWO = "https://example.org/hook";
/** @param {(page: any, mock: any) => Promise<void>} run */
async function open(run, { device = DESKTOP, hooks = [ONE, TWO], sent = 0, refused = false } = {}) {
  const mock = await startMock({ signedIn: true }), context = await browser.newContext({ ...device, permissions: ["clipboard-read", "clipboard-write"] }), page = await context.newPage();
  const wrong = watch(page, mock.url);
  try {
    for (const url of hooks) mock.recipes.answer("POST", ["webhooks"], { url });
    for (let n = 0; n < sent; n++) mock.recipes.deliver("delivered", { response_status: 200 + n });
    await page.goto(`${mock.url}/settings/webhooks`);
    await page.getByRole("heading", { name: "Deliveries" }).waitFor();
    await run(page, mock);
    assert.deepEqual(wrong.filter((one) => !refused || !/^403 |status of 403/.test(one)), []);
  } finally { await context.close(); await mock.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };
const card = (page, url) => page.locator("li.recipe", { hasText: url });

test("added by keyboard: the secret is shown once, can be copied, and is nowhere afterwards", () => open(async (page, mock) => {
  await page.getByRole("heading", { name: "No webhooks yet" }).waitFor();
  await axe(page, "webhooks, empty");
  await page.getByRole("button", { name: "Add the first one" }).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.type("https://example.com/told");
  await page.keyboard.press("Enter");
  const shown = page.getByRole("dialog", { name: "The webhook's secret" });
  await shown.getByText(/^whsec_/).first().waitFor();
  await shown.getByText("HMAC-SHA256(key").waitFor();
  await axe(page, "webhooks, secret");
  await shown.getByRole("button", { name: "Copy the secret" }).click();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^whsec_/);
  await page.keyboard.press("Escape");
  await card(page, "https://example.com/told").waitFor();
  assert.equal(await page.getByText("whsec_").count(), 0);
  assert.equal(mock.recipes.webhooks.length, 1);
}, { hooks: [] }));

test("an address that is refused says why and stays in the field", () => open(async (page, mock) => {
  await page.getByLabel("Address").fill("http://127.0.0.1/x");
  await page.getByRole("button", { name: "Add webhook" }).click();
  await page.getByText("an address of your own network").waitFor();
  assert.equal(await page.getByLabel("Address").inputValue(), "http://127.0.0.1/x");
  assert.equal(mock.recipes.webhooks.length, 2);
}, { refused: true }));

test("switched off and on, moved to another address, deleted by name", () => open(async (page, mock) => {
  const toggle = page.getByRole("switch", { name: `Send to ${TWO}` });
  await toggle.focus();
  await page.keyboard.press("Space");
  await card(page, TWO).getByText("Off: nothing is sent").waitFor();
  assert.equal(mock.recipes.webhooks[1].enabled, false);
  await page.getByRole("button", { name: `Change ${TWO}` }).click();
  const box = page.getByRole("dialog", { name: "Change the address" });
  await box.getByRole("textbox").fill("https://example.org/moved");
  await box.getByRole("button", { name: "Save" }).click();
  await card(page, "https://example.org/moved").waitFor();
  assert.deepEqual(mock.recipes.webhooks.map((one) => [one.url, one.enabled]), [[ONE, true], ["https://example.org/moved", false]]);
  await page.getByRole("button", { name: `Delete ${ONE}` }).click();
  const ask = page.getByRole("dialog", { name: "Delete this webhook?" });
  await ask.getByRole("button", { name: `Delete ${ONE}` }).click();
  await card(page, ONE).waitFor({ state: "detached" });
  assert.equal(mock.recipes.webhooks.length, 1);
}));

test("the log is live: tried, failed with the response, sent again with the focus kept", () => open(async (page, mock) => {
  await page.getByText("Nothing was sent yet.").waitFor();
  const one = mock.recipes.deliver("pending", { attempt: 0, event: "job.failed" });
  await page.getByText("Being sent.").waitFor();
  mock.recipes.changed(one, { state: "failed", attempt: 7, response_status: 410, error_detail: "It answered with status 410." });
  await page.getByText("Given up. It answered with status 410.").waitFor();
  await page.getByText("Response 410 · 7 tries").waitFor();
  await axe(page, "webhooks, log");
  const again = page.getByRole("button", { name: /^Send again: Job failed/ });
  await again.focus();
  await page.keyboard.press("Enter");
  await page.getByText("Being sent.").waitFor();
  mock.recipes.changed(one, { state: "delivered", attempt: 1, response_status: 204 });
  await page.getByText("Delivered.").waitFor();
  await page.waitForFunction(() => /^Send again: Job failed/.test(document.activeElement?.getAttribute("aria-label"))); // the row is drawn anew
}));

test("the log comes page by page, and an event does not lose the older ones", () => open(async (page, mock) => {
  const rows = page.locator(".delivery");
  await page.waitForFunction(() => document.querySelectorAll(".delivery").length === 20);
  await page.getByRole("button", { name: "Older deliveries" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".delivery").length === 40);
  await page.getByRole("button", { name: "Older deliveries" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".delivery").length === 45);
  assert.ok(await page.getByRole("button", { name: "Older deliveries" }).isHidden());
  mock.recipes.deliver("delivered", { response_status: 299 });
  await page.getByText("Response 299").waitFor();
  assert.equal(await rows.count(), 46);
  assert.equal(new Set(await rows.evaluateAll((all) => all.map((it) => it.dataset.id))).size, 46);
  assert.match(await rows.last().textContent(), /Response 200/);
}, { sent: 45 }));

test("the three pages are found by the palette and by searching the settings", () => open(async (page, mock) => {
  for (const name of ["Workflows", "Wildcards", "Webhooks"]) {
    await page.goto(`${mock.url}/settings/about`);
    await page.getByText("A studio on your own machine.").waitFor();
    await page.keyboard.press("Control+k");
    await page.keyboard.type(name.toLowerCase());
    await page.getByRole("option", { name: `Settings: ${name}` }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name, level: 2, exact: true }).waitFor();
    assert.equal(new URL(page.url()).pathname, `/settings/${name.toLowerCase()}`);
  }
  await page.getByRole("searchbox", { name: "Search settings" }).fill("comfyui");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/settings\/workflows$/);
}));

for (const colorScheme of ["light", "dark"])
  for (const [name, device] of [["desktop", DESKTOP], ["phone", PHONE]])
    test(`webhooks to look at, ${name}, ${colorScheme}`, () => open(async (page, mock) => {
      mock.recipes.deliver("failed", { error_detail: "It answered with status 410.", response_status: 410, attempt: 7, event: "job.failed" });
      mock.recipes.deliver("pending", { error_detail: "It answered with status 503.", response_status: 503, attempt: 2, next_at: new Date(Date.now() + 30000).toISOString() });
      await page.getByText("Response 503").waitFor();
      assert.equal(await sideways(page), 0);
      await axe(page, `webhooks, ${name}, ${colorScheme}`);
      await shoot(page, `webhooks-${name}-${colorScheme}`);
    }, { device: { ...device, colorScheme }, sent: 3 }));
