/**
 * server.test.mjs - Settings, Server and Audit log on the real server: a backup, the log by level, the banner and maintenance
 * as another person sees them, the audit log filtered and walked. Skipped where the real server cannot run.
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DESKTOP, PHONE, SHOTS, TEST_MS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { pictureEngine, startReal, unavailable } from "./real-server.mjs";

const skip = unavailable, WORDS = "correct horse battery", PASSPHRASE = "a long way home 17";
let browser, server, owner, member, send;

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  [browser, server] = await Promise.all([launch(), startReal()]);
  const context = await browser.newContext(), headers = { origin: server.url };
  const made = await context.request.post(`${server.url}/api/v1/setup`, { headers, data: { name: "Olga", password: WORDS } });
  assert.equal(made.status(), 201);
  owner = await context.cookies();
  const csrf = (await made.json()).csrf_token;
  const invited = await context.request.post(`${server.url}/api/v1/invitations`, { headers: { ...headers, "X-CSRF-Token": csrf }, data: { role: "member", note: "" } });
  assert.equal(invited.status(), 201, await invited.text());
  const { token } = await invited.json();
  const other = await browser.newContext();
  const joined = await other.request.post(`${server.url}/api/v1/sign-up`, { headers, data: { token, name: "Mel", password: WORDS } });
  assert.equal(joined.status(), 201, await joined.text());
  const signed = await other.request.post(`${server.url}/api/v1/session`, { headers, data: { name: "Mel", password: WORDS } });
  assert.equal(signed.status(), 201);
  const mine = (await signed.json()).csrf_token;
  send = (path, data) => other.request.post(`${server.url}/api/v1${path}`, { headers: { ...headers, "X-CSRF-Token": mine }, data });
  member = await other.cookies();
  await context.close();
}, { timeout: TEST_MS });
after(async () => { await browser?.close(); await server?.close(); });

/** @param {any} cookies @param {string} path @param {(page: any) => Promise<void>} run */
async function open(cookies, path, run, { device = DESKTOP, scheme = "light", allowed = /^$/ } = {}) {
  const context = await browser.newContext({ ...device, colorScheme: scheme });
  await context.addCookies(cookies);
  const page = await context.newPage();
  const wrong = watch(page, server.url);
  try { await page.goto(`${server.url}${path}`); await run(page); assert.deepEqual(wrong.filter((one) => !allowed.test(one)), []); } finally { await context.close(); }
}
/** What a member's page asks and does not get, and what maintenance refuses. */
const SETTINGS = /^403 \S+\/settings$|status of (403|503)|^503 /;
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true }); };

test("everybody's jobs: seen without what they show, cancelled, held back and let go", { skip: skip || (pictureEngine ? false : "the picture engine is not built") }, () => open(owner, "/settings/server", async (page) => {
  await page.getByText("Nobody's job waits or runs.").waitFor();
  await page.getByRole("button", { name: "Start nobody's jobs for now" }).click();
  await page.getByRole("button", { name: "Go on with everybody's jobs" }).waitFor();
  const asked = await send("/jobs", { prompt: "a secret garden" });
  assert.equal(asked.status(), 202, await asked.text());
  await page.reload();
  const list = page.getByRole("list", { name: "Everybody's jobs" });
  await list.getByText("Mel").waitFor();
  assert.equal(await page.getByText("secret garden").count(), 0);
  await axe(page, "everybody's jobs");
  await page.getByRole("button", { name: "Cancel the job of Mel" }).click();
  await page.getByText("Nobody's job waits or runs.").waitFor();
  await page.getByRole("button", { name: "Go on with everybody's jobs" }).click();
  await page.getByRole("button", { name: "Start nobody's jobs for now" }).waitFor();
}));

test("a backup from the page is in the folder, sealed, and the page says when it was", { skip }, () => open(owner, "/settings/server", async (page) => {
  await page.getByText("There is no backup yet.").waitFor();
  await page.getByLabel("Passphrase of this backup").fill(PASSPHRASE);
  await page.getByRole("button", { name: "Back up now" }).click();
  await page.getByText("Last backup:").waitFor();
  const files = readdirSync(join(server.data, "backups"));
  assert.equal(files.length, 1);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
  assert.equal(download.suggestedFilename(), files[0]);
  await axe(page, "settings, server");
  await shoot(page, "server-desktop");
}));

test("the log shows what was asked for, by level", { skip }, () => open(owner, "/settings/server", async (page) => {
  const log = page.getByLabel("Log", { exact: true });
  await log.getByText("level=info").waitFor();
  await page.getByLabel("Level").selectOption("error");
  await page.waitForFunction(() => !document.querySelector("pre.log").textContent.includes("level=info"));
}));

test("an announcement stands on everybody's page until it is dismissed; maintenance is told and kept", { skip }, async () => {
  await open(owner, "/settings/server", async (page) => {
    await page.getByLabel("Announcement").fill("We move on Sunday.");
    await page.getByRole("button", { name: "Save" }).last().click();
    await page.locator(".told", { hasText: "We move on Sunday." }).waitFor();
  });
  await open(member, "/", async (page) => {
    await page.locator(".told", { hasText: "We move on Sunday." }).waitFor();
    await axe(page, "an announcement");
    await page.getByRole("button", { name: "Dismiss" }).click();
    await page.locator(".told").waitFor({ state: "detached" });
    await page.reload();
    await page.getByRole("navigation", { name: "Main" }).waitFor();
    assert.equal(await page.locator(".told").count(), 0);
    assert.equal(await page.getByRole("link", { name: "Server" }).count(), 0);
  }, { allowed: SETTINGS });
  await open(owner, "/settings/server", async (page) => {
    await page.getByLabel("Maintenance mode").check();
    await page.locator(".told", { hasText: "being worked on" }).waitFor();
  });
  await open(member, "/", async (page) => {
    await page.locator(".told", { hasText: "being worked on" }).waitFor();
    const answer = await page.evaluate(async () => { const { csrf_token } = await (await fetch("/api/v1/session")).json(); return (await fetch("/api/v1/conversations", { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf_token }, body: "{}" })).status; });
    assert.equal(answer, 503);
    await shoot(page, "server-maintenance");
  }, { device: PHONE, scheme: "dark", allowed: SETTINGS });
  await open(owner, "/settings/server", async (page) => {
    await page.getByLabel("Maintenance mode").uncheck();
    await page.locator(".told", { hasText: "being worked on" }).waitFor({ state: "detached" });
  });
});

test("the audit log: newest first, found by action, walked and whole", { skip }, () => open(owner, "/settings/audit", async (page) => {
  await page.getByRole("cell", { name: "backup.create" }).waitFor();
  await page.getByLabel("Action").fill("session.");
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.getByRole("cell", { name: "backup.create" }).waitFor({ state: "detached" });
  assert.ok(await page.getByRole("cell", { name: "session.sign_in" }).count() >= 2);
  await page.getByRole("button", { name: "Is it whole?" }).click();
  await page.getByText("The log is whole").waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "As CSV" }).click()]);
  assert.equal(download.suggestedFilename(), "audit.csv");
  await axe(page, "settings, audit");
  await shoot(page, "audit-desktop");
}));

for (const scheme of ["light", "dark"])
  test(`on a phone, ${scheme}: nothing runs out of the page`, { skip }, async () => {
    for (const [path, text] of [["server", "Backups"], ["audit", "When"]])
      await open(owner, `/settings/${path}`, async (page) => {
        await page.getByText(text, { exact: true }).first().waitFor();
        assert.equal(await sideways(page), 0);
        await axe(page, `${path}, phone ${scheme}`);
        await shoot(page, `${path}-phone-${scheme}`);
        if (path === "server") {
          await page.getByText("Content Credentials", { exact: true }).scrollIntoViewIfNeeded();
          assert.ok(await page.locator(".grid .card").evaluateAll((all) => all.every((one) => one.getBoundingClientRect().right <= innerWidth)), "no card reaches out of the page");
          await shoot(page, `server-credentials-phone-${scheme}`);
        }
      }, { device: PHONE, scheme });
  });
