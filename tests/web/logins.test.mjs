/**
 * logins.test.mjs - signing in through a service and with an authenticator app, on the real server with a scripted service:
 * set up in Settings, linked, used, told in words when it goes wrong. Skipped where the real server cannot run.
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { DESKTOP, PHONE, SHOTS, TEST_MS, axe, launch, sideways, still } from "./browser.mjs";
import { createRequire } from "node:module";
import { startReal, unavailable } from "./real-server.mjs";

const jsQR = process.env.ATELIER_NODE_MODULES && createRequire(import.meta.url)(`${process.env.ATELIER_NODE_MODULES}/jsqr`);

const skip = unavailable, WORDS = "correct horse battery";
let browser, server, cookies, service, issuer;

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  service = spawn(process.execPath, [fileURLToPath(new URL("../system/oidc_provider.mjs", import.meta.url)), "double"], { stdio: ["pipe", "pipe", "inherit"] });
  [browser, server, issuer] = await Promise.all([launch(), startReal(["--outbound-private", "127.0.0.1"]),
    new Promise((done) => service.stdout.once("data", (data) => done(String(data).trim())))]);
  const context = await browser.newContext();
  const made = await context.request.post(`${server.url}/api/v1/setup`, { headers: { origin: server.url }, data: { name: "Olga", password: WORDS } });
  assert.equal(made.status(), 201);
  cookies = await context.cookies();
  await context.close();
}, { timeout: TEST_MS });
after(async () => { service?.stdin.end(); await browser?.close(); await server?.close(); });

/** @param {any} device @param {(page: any, context: any) => Promise<void>} run */
async function open(device, run, { owner = false } = {}) {
  const context = await browser.newContext(device);
  if (owner) await context.addCookies(cookies);
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  try { await run(page, context); assert.deepEqual(wrong, []); } finally { await context.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true }); };
const inside = (page) => page.locator(".shell").waitFor();

/** What an authenticator app shows `ahead` steps from now. */
function codeOf(secret, ahead = 0) {
  const bits = [...secret.replaceAll(" ", "")].map((one) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(one).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((one) => parseInt(one, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + ahead));
  const mac = createHmac("sha1", key).update(step).digest(), at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1000000).padStart(6, "0");
}

/** What a camera reads, by a program that knows nothing of ours. */
function readQr(d) {
  const dark = [...d.matchAll(/M(\d+) (\d+)/g)].map((one) => [Number(one[1]), Number(one[2])]), edge = Math.max(...dark.map((one) => one[0])) + 5, scale = 4, size = edge * scale;
  const data = new Uint8ClampedArray(size * size * 4).fill(255);
  for (const [x, y] of dark) for (let i = 0; i < scale * scale; i++) { const at = ((y * scale + Math.floor(i / scale)) * size + x * scale + i % scale) * 4; data.fill(0, at, at + 3); }
  return jsQR(data, size, size)?.data;
}

async function signIn(page) {
  await page.goto(server.url);
  await page.getByLabel("Your name").fill("Olga");
  await page.getByLabel("Password").fill(WORDS);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

test("the owner adds a service; nobody is let in by it before it is linked", { skip }, async () => {
  await open(DESKTOP, async (page) => {
    await page.goto(`${server.url}/settings/services`);
    const preset = page.getByRole("combobox").last();
    await preset.selectOption("github");
    assert.equal(await page.getByLabel("Name on the button").isVisible(), false);
    await preset.selectOption("generic");
    await page.getByLabel("Name on the button").fill("Home ID");
    await page.getByLabel("Issuer").fill(issuer);
    await page.getByLabel("Client id").fill("atelier");
    await page.getByLabel("Client secret").fill("secret");
    await axe(page, "sign-in services");
    await page.getByRole("button", { name: "Add service" }).click();
    await page.getByText("Offered on the sign-in page").waitFor();
    await page.getByText("Who may come, and with which role").click();
    await page.getByRole("button", { name: "Add a rule" }).click();
    await page.getByLabel("Claim", { exact: true }).fill("groups");
    await page.getByLabel("Is, or contains").fill("mods");
    await page.getByLabel("Role", { exact: true }).selectOption("moderator");
    await axe(page, "rules of a service");
    await shoot(page, "services-desktop-light");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved.").waitFor();
    const kept = (await (await page.request.get(`${server.url}/api/v1/login-providers`)).json()).items[0];
    assert.deepEqual(kept.role_rules, [{ claim: "groups", value: "mods", role: "moderator" }]);
  }, { owner: true });
  await open({ ...PHONE, colorScheme: "dark" }, async (page) => {
    await page.goto(`${server.url}/settings/services`);
    await page.getByText("Who may come, and with which role").click();
    await page.getByLabel("Claim", { exact: true }).waitFor();
    assert.equal(await sideways(page), 0);
    await shoot(page, "services-phone-dark");
  }, { owner: true });
  await open({ ...PHONE, colorScheme: "dark" }, async (page) => {
    await page.goto(server.url);
    const button = page.getByRole("link", { name: "Sign in with Home ID" });
    await button.waitFor();
    await axe(page, "sign-in with a service");
    await shoot(page, "signin-service-phone-dark");
    await button.click();
    await page.getByText("No account here is linked with that sign-in.").waitFor();
    assert.equal(new URL(page.url()).search, "");
    assert.equal(await sideways(page), 0);
    await shoot(page, "signin-unknown-phone-dark");
    await page.goto(`${server.url}/?login=${encodeURIComponent("Call this number")}`); // nobody puts words into our mouth
    await button.waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
  });
});

test("linked in the account, it signs in", { skip }, async () => {
  await open(DESKTOP, async (page) => {
    await page.goto(`${server.url}/settings/account`);
    await page.getByRole("button", { name: "Link Home ID" }).click();
    await page.getByText("Linked. You can sign in with it from now on.").waitFor();
    await page.goto(`${server.url}/settings/account`);
    await page.getByText("ada@example.org").waitFor();
    await axe(page, "account");
    await shoot(page, "account-desktop-light");
  }, { owner: true });
  await open({ ...PHONE, colorScheme: "dark" }, async (page) => {
    await page.goto(server.url);
    await page.getByRole("link", { name: "Sign in with Home ID" }).click();
    await inside(page);
    await page.goto(`${server.url}/settings/account`);
    await page.getByText("This device").waitFor();
    assert.equal(await sideways(page), 0);
    await shoot(page, "account-phone-dark");
  });
});

test("an authenticator app: set up, asked for, a recovery code instead", { skip }, async () => {
  let secret, recovery;
  await open({ ...DESKTOP, colorScheme: "dark" }, async (page) => {
    await page.goto(`${server.url}/settings/account`);
    await page.getByRole("button", { name: "Set up an authenticator app" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Current password").fill(WORDS);
    await dialog.getByRole("button", { name: "Continue" }).click();
    secret = await dialog.locator("code").textContent();
    assert.match(readQr(await dialog.locator("svg.qr path").getAttribute("d")), new RegExp(`^otpauth://totp/Atelier:Olga\\?secret=${secret.replaceAll(" ", "")}&`));
    await axe(page, "second factor");
    await shoot(page, "second-set-desktop-dark");
    await dialog.getByLabel("Code").fill("000 000");
    await dialog.getByRole("button", { name: "Turn on" }).click();
    await page.getByText("The code is wrong.").waitFor();
    await dialog.getByLabel("Code").fill(codeOf(secret, -1));
    await dialog.getByRole("button", { name: "Turn on" }).click();
    recovery = (await page.getByRole("dialog", { name: "Recovery codes" }).locator("pre").textContent()).split("\n");
    assert.equal(recovery.length, 10);
    await shoot(page, "second-codes-desktop-dark");
  }, { owner: true });
  await open(PHONE, async (page) => {
    await signIn(page);
    await page.getByRole("heading", { name: "Enter your code" }).waitFor();
    await axe(page, "second step");
    await shoot(page, "second-step-phone-light");
    await page.getByLabel("Code").fill("123456");
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByText("The code is wrong, or was used already.").waitFor();
    await page.getByLabel("Code").fill(codeOf(secret));
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await inside(page);
  });
  await open(PHONE, async (page) => { // through the service, too
    await page.goto(server.url);
    await page.getByRole("link", { name: "Sign in with Home ID" }).click();
    await page.getByLabel("Code").fill(recovery[0]);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await inside(page);
  });
});

test("a link to a new password, made by who manages people", { skip }, async () => {
  let link;
  await open(DESKTOP, async (page) => {
    const made = await (await page.request.post(`${server.url}/api/v1/invitations`, { headers: { origin: server.url, "x-csrf-token": (await (await page.request.get(`${server.url}/api/v1/status`)).json()).csrf_token }, data: { role: "member" } })).json();
    const joined = await fetch(`${server.url}/api/v1/sign-up`, { method: "POST", headers: { "content-type": "application/json", origin: server.url }, body: JSON.stringify({ token: made.token, name: "Mara", password: WORDS }) });
    assert.equal(joined.status, 201);
    await page.goto(`${server.url}/settings/people`);
    await page.getByRole("button", { name: "Help Mara to sign in" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Make a link" }).click();
    link = await dialog.locator("code").textContent();
    await axe(page, "help somebody to sign in");
    await shoot(page, "person-access-desktop-light");
    await dialog.getByRole("button", { name: "Take the second factor off" }).click();
    await page.getByText("The second factor is not on.").waitFor();
  }, { owner: true });
  await open({ ...PHONE, colorScheme: "dark" }, async (page) => {
    await page.goto(link);
    await page.getByLabel("New password").waitFor();
    assert.equal(new URL(page.url()).search, ""); // the token does not stay in the address
    await axe(page, "new password");
    await shoot(page, "reset-phone-dark");
    await page.getByLabel("New password").fill("a brand new password");
    await page.getByRole("button", { name: "Set the password" }).click();
    await page.getByText("The password is changed").waitFor();
    await page.goto(link);
    await page.getByLabel("New password").fill("another new password");
    await page.getByRole("button", { name: "Set the password" }).click();
    await page.getByText("This link was used already or is too old.").waitFor();
  });
});
