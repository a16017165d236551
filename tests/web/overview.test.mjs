/**
 * overview.test.mjs - Settings, Overview, Switches and the prices on the real server: an operator sees what was used, what failed and
 * whether there is a backup; switches a feature off, sees it go from the page, and takes the change back. Skipped where the real
 * server cannot run.
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DESKTOP, PHONE, SHOTS, TEST_MS, WAIT_MS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startReal, unavailable } from "./real-server.mjs";

const skip = unavailable, WORDS = "correct horse battery";
let browser, server, owner;

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  [browser, server] = await Promise.all([launch(), startReal()]);
  const context = await browser.newContext(), headers = { origin: server.url };
  const made = await context.request.post(`${server.url}/api/v1/setup`, { headers, data: { name: "Olga", password: WORDS } });
  assert.equal(made.status(), 201);
  const { csrf_token: csrf } = await made.json(), send = (path, data) => context.request.post(`${server.url}/api/v1${path}`, { headers: { ...headers, "X-CSRF-Token": csrf }, data });
  await send("/providers", { preset: "openai", base_url: "https://api.openai.com/v1", models: [{ id: "gpt-4o-mini", name: "GPT-4o mini" }] });
  const provider = (await (await context.request.get(`${server.url}/api/v1/providers`)).json()).items[0];
  await context.request.patch(`${server.url}/api/v1/providers/${provider.id}`, { headers: { ...headers, "X-CSRF-Token": csrf }, data: { models: [{ id: "gpt-4o-mini", name: "GPT-4o mini", context_size: 128000 }] } });
  const chat = await (await send("/conversations", { model: `${provider.id}/gpt-4o-mini` })).json();
  const said = await (await send(`/conversations/${chat.id}/messages`, { content: "Hello there" })).json(); /* it has no key: fails before anything is sent */
  const ended = async () => (await (await context.request.get(`${server.url}/api/v1/messages/${said.reply.id}`)).json()).status !== "streaming";
  const counted = async () => (await (await context.request.get(`${server.url}/api/v1/usage/failures`)).json()).items.length > 0; /* usage is written in batches, and the page reads it once */
  for (const done of [ended, counted]) await eventually(done);
  owner = { cookies: await context.cookies(), csrf, chat: chat.id };
  await context.close();
}, { timeout: TEST_MS });
after(async () => { await browser?.close(); await server?.close(); });

async function eventually(/** @type {() => Promise<boolean>} */ done) {
  for (const end = Date.now() + WAIT_MS; !(await done()); await new Promise((next) => setTimeout(next, 100))) assert.ok(Date.now() < end, String(done));
}
async function open(path, run, { device = DESKTOP, scheme = "light" } = {}) {
  const context = await browser.newContext({ ...device, colorScheme: scheme });
  await context.addCookies(owner.cookies);
  const page = await context.newPage();
  const wrong = watch(page, server.url);
  try { await page.goto(`${server.url}${path}`); await run(page); assert.deepEqual(wrong, []); } finally { await context.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true }); };

test("the overview says what was used, what failed and why, and that there is no backup", { skip }, async () => {
  await open("/settings/overview", async (page) => {
    await page.getByRole("heading", { name: "What failed, and why" }).waitFor();
    await page.getByRole("region", { name: "What failed, and why" }).getByRole("rowheader").first().waitFor();
    await page.getByText("The engines are well.").waitFor();
    await page.getByText(/no backup/i).waitFor();
    await page.getByRole("combobox", { name: /^By/ }).selectOption("model");
    await page.getByRole("region", { name: "Who used what" }).getByText("gpt-4o-mini").waitFor();
    await axe(page, "overview");
    await shoot(page, "overview");
  });
  await open("/settings/overview", async (page) => {
    await page.getByRole("heading", { name: "What failed, and why" }).waitFor();
    await page.getByRole("region", { name: "What failed, and why" }).getByRole("rowheader").first().waitFor();
    assert.equal(await sideways(page), 0);
    await shoot(page, "overview-phone");
  }, { device: PHONE, scheme: "dark" });
});

test("a feature is switched off and goes from the page; the change stands in the history and is taken back", { skip }, async () => {
  await open("/settings/switches", async (page) => {
    await page.getByLabel("Temporary chats").uncheck();
    await page.locator("form").first().getByRole("button", { name: "Save" }).click();
    await page.getByText("none → [\"temporary_chats\"]").waitFor();
    await axe(page, "switches");
    await shoot(page, "switches");
    await page.goto(`${server.url}/`);
    await page.getByRole("link", { name: "Settings" }).first().waitFor();
    assert.equal(await page.locator('a[href="/temporary"]:visible').count(), 0);
    await page.goto(`${server.url}/settings/switches`);
    await page.getByRole("button", { name: "Take back the change of Switched off" }).click();
    await page.getByText("[\"temporary_chats\"] → none").waitFor();
    assert.equal(await page.getByLabel("Temporary chats").isChecked(), true);
  });
  await open("/settings/switches", async (page) => { await page.getByText("Changes of settings").waitFor(); assert.equal(await sideways(page), 0); await shoot(page, "switches-phone"); }, { device: PHONE, scheme: "dark" });
});

test("the operator sets a price; the chat says what the next reply will cost about", { skip }, async () => {
  await open("/settings/allowances", async (page) => {
    await page.getByRole("heading", { name: "Prices" }).waitFor();
    await page.getByText("$0.15 read, $0.60 written").waitFor();
    await page.getByRole("button", { name: "Price of GPT-4o mini" }).click();
    await page.getByLabel("Read", { exact: true }).fill("3");
    await page.getByLabel("Written", { exact: true }).fill("15");
    await page.locator("dialog").getByRole("button", { name: "Save" }).click();
    await page.getByText("$3.00 read, $15.00 written").waitFor();
    await shoot(page, "prices");
  });
  await open(`/c/${owner.chat}`, async (page) => {
    await page.getByText(/About \$0\.00\d+/).waitFor();
    await shoot(page, "estimate");
  });
});
