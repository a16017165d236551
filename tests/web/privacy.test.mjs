/**
 * privacy.test.mjs - Settings, Account on the real server: everything as a file, and the account's end; an operator's export.
 * Skipped where the real server cannot run.
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { DESKTOP, PHONE, SHOTS, TEST_MS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startReal, unavailable } from "./real-server.mjs";

const skip = unavailable, WORDS = "correct horse battery";
let browser, server, owner;

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  [browser, server] = await Promise.all([launch(), startReal()]);
  const context = await browser.newContext();
  const made = await context.request.post(`${server.url}/api/v1/setup`, { headers: { origin: server.url }, data: { name: "Olga", password: WORDS } });
  assert.equal(made.status(), 201);
  const csrf = (await made.json()).csrf_token;
  const headers = { origin: server.url, "x-csrf-token": csrf };
  const invitation = await (await context.request.post(`${server.url}/api/v1/invitations`, { headers, data: { role: "member", note: "Mia" } })).json();
  owner = { cookies: await context.cookies(), invitation };
  await context.close();
}, { timeout: TEST_MS });
after(async () => { await browser?.close(); await server?.close(); });

const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true }); };

async function joined(device, name) {
  const context = await browser.newContext({ ...device, acceptDownloads: true });
  const made = await context.request.post(`${server.url}/api/v1/sign-up`, { headers: { origin: server.url }, data: { name, password: WORDS, token: owner.invitation.token } });
  assert.ok(made.ok(), await made.text());
  const entered = await context.request.post(`${server.url}/api/v1/session`, { headers: { origin: server.url }, data: { name, password: WORDS } });
  assert.ok(entered.ok(), await entered.text());
  const page = await context.newPage();
  return { context, page, wrong: watch(page, server.url) };
}

test("everything as a file, then the end", { skip, timeout: TEST_MS }, async () => {
  const { context, page, wrong } = await joined(DESKTOP, "Mia");
  await page.goto(`${server.url}/settings/account`);
  await page.getByRole("button", { name: "Make it" }).click();
  const link = page.getByRole("link", { name: "Download" });
  await link.waitFor();
  const [file] = await Promise.all([page.waitForEvent("download"), link.click()]);
  assert.equal(readFileSync(await file.path()).subarray(0, 2).toString(), "PK");
  await page.getByText("It is kept for a day").waitFor();
  await shoot(page, "privacy-desktop");
  await axe(page, "account");
  await page.getByRole("button", { name: "Delete…" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete the account" });
  await dialog.getByLabel("Current password").fill("wrong words here");
  await dialog.getByRole("button", { name: "Erase everything" }).click();
  await page.getByText("password is wrong").first().waitFor();
  await shoot(page, "privacy-delete");
  await dialog.getByLabel("Current password").fill(WORDS);
  await dialog.getByRole("button", { name: "Erase everything" }).click();
  await page.getByRole("button", { name: "Sign in" }).waitFor();
  assert.deepEqual(wrong.filter((one) => !/401/.test(one)), []);
  await context.close();
});

test("an operator's export, on a phone", { skip, timeout: TEST_MS }, async () => {
  const context = await browser.newContext({ ...PHONE, colorScheme: "dark" });
  await context.addCookies(owner.cookies);
  const page = await context.newPage();
  await page.goto(`${server.url}/settings/account`);
  await page.getByRole("heading", { name: "Everything as a file" }).waitFor();
  assert.equal(await sideways(page), 0);
  await page.getByRole("heading", { name: "Everything as a file" }).scrollIntoViewIfNeeded();
  await shoot(page, "privacy-phone");
  await context.close();
});
