/**
 * rights.test.mjs - what a role may use, what a key is limited to, groups, and acting in somebody's name, on the real server.
 * Skipped where the real server cannot run.
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DESKTOP, PHONE, SHOTS, TEST_MS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startReal, unavailable } from "./real-server.mjs";

const skip = unavailable, WORDS = "correct horse battery";
let browser, server, cookies;

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  [browser, server] = await Promise.all([launch(), startReal()]);
  const context = await browser.newContext(), send = { headers: { origin: server.url } };
  const made = await context.request.post(`${server.url}/api/v1/setup`, { ...send, data: { name: "Olga", password: WORDS } });
  assert.equal(made.status(), 201);
  const token = (await made.json()).csrf_token;
  cookies = await context.cookies();
  const link = await context.request.post(`${server.url}/api/v1/invitations`, { headers: { ...send.headers, "x-csrf-token": token }, data: { role: "member" } });
  assert.equal(link.status(), 201);
  const other = await browser.newContext();
  assert.equal((await other.request.post(`${server.url}/api/v1/sign-up`, { ...send, data: { name: "Mia", password: WORDS, token: (await link.json()).token } })).status(), 201);
  await Promise.all([context.close(), other.close()]);
}, { timeout: TEST_MS });
after(async () => { await browser?.close(); await server?.close(); });

/** @param {any} device @param {(page: any) => Promise<void>} run */
async function open(device, run) {
  const context = await browser.newContext({ ...device });
  await context.addCookies(cookies);
  const page = await context.newPage();
  const wrong = watch(page, server.url);
  try { await run(page); assert.deepEqual(wrong, []); } finally { await context.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };

test("what a role may use is set in its form and told beside it", { skip, timeout: TEST_MS }, () => open(DESKTOP, async (page) => {
  await page.goto(`${server.url}/settings/people/roles`);
  await page.getByRole("button", { name: "Limits: what Member may use" }).click();
  const form = page.getByRole("dialog");
  await form.getByLabel("Models").fill("gpt-*\nlocal/tiny.gguf");
  await form.getByLabel("links for others").uncheck();
  await form.getByLabel("Room for each").fill("100");
  await axe(page, "rights");
  await shoot(page, "rights-role");
  await form.getByRole("button", { name: "Save" }).click();
  await page.getByText("2 models · without links for others").waitFor();
}));

test("a key with limits is made and changed", { skip, timeout: TEST_MS }, () => open(PHONE, async (page) => {
  await page.goto(`${server.url}/settings/keys`);
  await page.getByLabel("Name").fill("Phone");
  await page.getByText("Limits", { exact: true }).click();
  await page.getByLabel("Addresses").fill("10.0.0.0/8");
  await page.getByLabel("Budget").selectOption("pictures");
  await page.getByLabel("Limit", { exact: true }).fill("5");
  await axe(page, "rights");
  await sideways(page, "a key");
  await shoot(page, "rights-key-phone");
  await page.getByRole("button", { name: "Create a key" }).click();
  await page.getByRole("dialog").getByText("atl_").waitFor();
  await page.keyboard.press("Escape");
  await page.getByText("10.0.0.0/8").first().waitFor();
  await page.getByRole("button", { name: "Edit Phone" }).click();
  await page.getByRole("dialog").getByLabel("Addresses").fill("192.0.2.7");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.getByText("192.0.2.7").first().waitFor();
}));

test("a group is made and filled", { skip, timeout: TEST_MS }, () => open(DESKTOP, async (page) => {
  await page.goto(`${server.url}/settings/people/groups`);
  await page.getByLabel("Name").fill("Friends");
  await page.getByRole("button", { name: "Make a group" }).click();
  await page.getByRole("button", { name: "Who is in Friends" }).click();
  await page.getByRole("dialog").getByLabel("Mia").check();
  await page.getByText("accounts: 1").first().waitFor();
  await axe(page, "rights");
  await shoot(page, "rights-group");
}));

test("acting as somebody has a banner on every page, and ends by a button", { skip, timeout: TEST_MS }, () => open(DESKTOP, async (page) => {
  await page.goto(`${server.url}/settings/people`);
  await page.getByRole("button", { name: "Act as Mia" }).click();
  await page.getByLabel("Why?").fill("Her pictures do not open");
  await page.getByRole("button", { name: "Begin" }).click();
  const banner = page.getByText("You are Mia (Olga at work).");
  await banner.waitFor();
  await page.goto(`${server.url}/settings/account`);
  await banner.waitFor();
  await axe(page, "rights");
  await shoot(page, "rights-banner");
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("button", { name: "Act as Mia" }).waitFor();
}));
