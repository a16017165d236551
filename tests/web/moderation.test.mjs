/**
 * moderation.test.mjs - reports on the real server: a stranger reports a shared picture, it is out of sight at once, the
 * moderator decides, its owner reads why and appeals, the report's address tells how it ended; was it made here. Skipped
 * where the real server cannot run.
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { DESKTOP, PHONE, SHOTS, TEST_MS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startReal, unavailable } from "./real-server.mjs";

const skip = unavailable, WORDS = "correct horse battery", PICTURE = new URL("../handler/pictures/good.png", import.meta.url);
let browser, server, olga, mia, share, asset;

/** @param {string} name @param {string} [token] @returns {Promise<any>} a context that is signed in */
async function person(name, token) {
  const context = await browser.newContext({ ...DESKTOP, permissions: ["clipboard-read", "clipboard-write"] }), headers = { origin: server.url };
  const made = await context.request.post(`${server.url}/api/v1/${token ? "sign-up" : "setup"}`, { headers, data: { name, password: WORDS, ...(token ? { token } : {}) } });
  assert.equal(made.status(), 201, await made.text());
  if (token) assert.equal((await context.request.post(`${server.url}/api/v1/session`, { headers, data: { name, password: WORDS } })).ok(), true);
  const { csrf_token } = await (await context.request.get(`${server.url}/api/v1/status`)).json();
  const call = async (method, path, data, more = {}) => { const answer = await context.request.fetch(`${server.url}/api/v1${path}`, { method, data, headers: { ...headers, "X-CSRF-Token": csrf_token, ...more } }); assert.ok(answer.ok(), `${path}: ${await answer.text()}`); return answer.json().catch(() => null); };
  return { context, call };
}

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  [browser, server] = await Promise.all([launch(), startReal()]);
  olga = await person("Olga");
  const link = await olga.call("POST", "/invitations", { role: "member", uses_max: 1 });
  mia = await person("Mia", link.token);
  asset = await mia.call("POST", "/assets", readFileSync(PICTURE), { "Content-Type": "image/png" });
  share = (await mia.call("POST", `/assets/${asset.id}/shares`, {})).key;
}, { timeout: TEST_MS });
after(async () => { await browser?.close(); await server?.close(); });

/** @param {any} context @param {(page: any) => Promise<void>} run */
async function on(context, run, allowed = /^$/) {
  const page = await context.newPage();
  const wrong = watch(page, server.url);
  try { await run(page); assert.deepEqual(wrong.filter((one) => !allowed.test(one)), []); } finally { await page.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true }); };
const GONE = /^(403|404|410) |status of (403|404|410)/;

test("a stranger reports a shared picture; a moderator decides; the owner appeals", { skip, timeout: TEST_MS }, async () => {
  let address = "";
  const stranger = await browser.newContext({ ...PHONE, colorScheme: "light" });
  await on(stranger, async (page) => {
    await page.goto(`${server.url}/s/${share}`);
    await page.getByRole("link", { name: "Report" }).click();
    await page.getByRole("heading", { name: "Report something" }).waitFor();
    await axe(page, "report page");
    await shoot(page, "report-phone-light");
    assert.ok(await sideways(page) <= 0);
    await page.getByLabel("What is wrong?").selectOption("non_consensual");
    await page.getByLabel("What should they know?").fill("This is me");
    await page.getByRole("button", { name: "Send the report" }).click();
    await page.getByText("It is out of sight until moderators have looked at it.").waitFor();
    address = await page.locator("code").textContent();
    await page.goto(`${server.url}/s/${share}`);
    await page.getByText("There is no such link.").waitFor();
    await page.goto(address);
    await page.getByText("Nobody has decided yet.").waitFor();
    await axe(page, "report status");
  }, GONE);

  await on(olga.context, async (page) => {
    await page.goto(`${server.url}/settings/moderation`);
    await page.getByRole("link", { name: /Intimate picture without consent/ }).waitFor();
    await axe(page, "queue");
    await shoot(page, "moderation-queue-desktop-light");
    await page.getByRole("link", { name: /Intimate picture without consent/ }).press("Enter");
    await page.getByText("This is me").waitFor();
    await page.getByRole("button", { name: "Show what it is about" }).press("Enter");
    await page.getByAltText("The reported picture").waitFor();
    await page.getByRole("combobox", { name: "Decision" }).selectOption("remove");
    assert.equal(await page.getByRole("combobox", { name: "Reason" }).inputValue(), "non_consensual");
    await page.getByLabel("Words for the owner").fill("Not yours to show");
    await axe(page, "one report");
    await shoot(page, "moderation-report-desktop-light");
    await page.getByRole("button", { name: "Decide" }).click();
    await page.getByText("Removed", { exact: true }).first().waitFor();
    await page.goto(`${server.url}/settings/moderation/blocked`);
    await page.getByText("Intimate picture without consent").waitFor();
    await axe(page, "blocked pictures");
    await shoot(page, "moderation-blocked-desktop-light");
  });

  await on(mia.context, async (page) => {
    await page.goto(`${server.url}/settings/notices`);
    await page.getByText("Removed: a picture of yours").waitFor();
    await page.getByText("Not yours to show").waitFor();
    assert.equal(await page.getByRole("link", { name: "Moderation", exact: true }).count(), 0);
    await axe(page, "notices");
    await shoot(page, "notices-desktop-light");
    await page.getByRole("button", { name: "Appeal" }).click();
    const form = page.getByRole("dialog", { name: "Appeal" });
    await form.getByLabel("Why is the decision wrong?").fill("It is me in the picture");
    await form.getByRole("button", { name: "Send the appeal" }).click();
    await form.waitFor({ state: "hidden" });
    await page.setViewportSize({ width: 390, height: 740 });
    await page.emulateMedia({ colorScheme: "dark" });
    await shoot(page, "notices-phone-dark");
    assert.ok(await sideways(page) <= 0);
  });

  // Olga decided, and nobody else moderates: the owner of the server may
  await on(olga.context, async (page) => {
    await page.setViewportSize({ width: 390, height: 740 });
    await page.emulateMedia({ colorScheme: "dark" });
    await page.goto(`${server.url}/settings/moderation`);
    await shoot(page, "moderation-queue-phone-dark");
    assert.ok(await sideways(page) <= 0);
    await page.getByRole("link", { name: /Intimate picture without consent/ }).click();
    await page.getByText("It is me in the picture").waitFor();
    await shoot(page, "moderation-appeal-phone-dark");
    assert.ok(await sideways(page) <= 0);
    await page.getByRole("button", { name: "Take the decision back" }).click();
    await page.getByText("The decision was taken back").waitFor();
  });
  await on(stranger, async (page) => {
    await page.goto(address);
    await page.getByText("Moderators looked at it and acted.").waitFor();
    await page.goto(`${server.url}/s/${share}`);
    await page.getByRole("link", { name: "Report" }).waitFor();
  });
  await stranger.close();
});

test("a character is reported from its menu, with the keyboard", { skip, timeout: TEST_MS }, async () => {
  const made = await mia.call("POST", "/characters", { card: { name: "Nobody's Friend" } });
  await on(mia.context, async (page) => {
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto(`${server.url}/characters`);
    await page.locator(".character-wrap", { hasText: "Nobody's Friend" }).locator(".icon-button").press("Enter");
    await page.getByRole("menuitem", { name: "Report" }).press("Enter");
    const form = page.getByRole("dialog", { name: "Report Nobody's Friend" });
    await form.getByLabel("What is wrong?").selectOption("spam");
    await axe(page, "report dialog");
    await shoot(page, "report-dialog-desktop-light");
    await form.getByRole("button", { name: "Send the report" }).press("Enter");
    await form.getByText("Thank you. Moderators will look at it.").waitFor();
  });
  assert.equal((await olga.call("GET", "/reports?state=open")).items.find((one) => one.target_id === made.id).kind, "spam");
});

test("was it made here: a file is looked at, by strangers where the operator offers it", { skip, timeout: TEST_MS }, async () => {
  await on(mia.context, async (page) => {
    await page.goto(`${server.url}/settings/verify`);
    await page.locator("#verify-file").setInputFiles(PICTURE.pathname);
    await page.getByRole("heading", { name: "Not known here" }).waitFor();
    await axe(page, "verify");
    await shoot(page, "verify-desktop-light");
  });
  await on(olga.context, async (page) => {
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto(`${server.url}/settings/verify`);
    await page.getByLabel(/^Anybody may ask/).check();
    await page.getByText("Saved").waitFor();
    await axe(page, "verify for everybody");
  });
  const stranger = await browser.newContext({ ...PHONE, colorScheme: "dark" });
  await on(stranger, async (page) => {
    await page.goto(`${server.url}/made-here`);
    await page.locator("#verify-file").setInputFiles(PICTURE.pathname);
    await page.getByRole("heading", { name: "Not known here" }).waitFor();
    await axe(page, "verify page");
    await shoot(page, "verify-phone-dark");
    assert.ok(await sideways(page) <= 0);
  });
  await stranger.close();
});

test("the picture check's settings are kept, and nothing waits", { skip, timeout: TEST_MS }, () => on(olga.context, async (page) => {
  await page.goto(`${server.url}/settings/moderation/pictures`);
  await page.getByText("No picture waits").waitFor();
  await page.getByText("There is no classifier on this server").waitFor();
  await page.getByLabel("From this score on").fill("75");
  await page.getByRole("switch", { name: "Mark generated pictures invisibly" }).uncheck();
  await page.getByLabel("Pictures that seem to show").selectOption("off");
  await page.getByRole("button", { name: "Save" }).click();
  await page.waitForFunction(async () => { const kept = await (await fetch("/api/v1/settings")).json(); return kept.picture_check_threshold === 75 && !kept.watermark && kept.picture_check === "off"; });
  await axe(page, "held pictures");
  await shoot(page, "moderation-pictures");
  await page.setViewportSize({ width: 390, height: 844 });
  assert.equal(await sideways(page), 0);
  await shoot(page, "moderation-pictures-phone");
}));
