/**
 * usage.test.mjs - Settings, Usage and Allowances on the real server: the owner sets a limit, a person uses it up, sees why and
 * until when, asks for more and gets it while looking; who used what, as a table and as a file. Skipped where the real
 * server cannot run.
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { DESKTOP, PHONE, SHOTS, TEST_MS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startReal, unavailable } from "./real-server.mjs";

const skip = unavailable, WORDS = "correct horse battery";
let browser, server, owner, member;

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  [browser, server] = await Promise.all([launch(), startReal()]);
  const context = await browser.newContext(), other = await browser.newContext(), headers = { origin: server.url };
  const made = await context.request.post(`${server.url}/api/v1/setup`, { headers, data: { name: "Olga", password: WORDS } });
  assert.equal(made.status(), 201);
  const csrf = (await made.json()).csrf_token;
  const invited = await context.request.post(`${server.url}/api/v1/invitations`, { headers: { ...headers, "X-CSRF-Token": csrf }, data: { role: "member", note: "" } });
  const { token } = await invited.json();
  assert.equal((await other.request.post(`${server.url}/api/v1/sign-up`, { headers, data: { token, name: "Mel", password: WORDS } })).status(), 201);
  const session = await other.request.post(`${server.url}/api/v1/session`, { headers, data: { name: "Mel", password: WORDS } });
  owner = { cookies: await context.cookies(), csrf };
  member = { cookies: await other.cookies(), csrf: (await session.json()).csrf_token };
  await context.close();
  await other.close();
}, { timeout: TEST_MS });
after(async () => { await browser?.close(); await server?.close(); });

/** @param {any} who @param {string} path @param {(page: any, send: (path: string, data: any) => Promise<any>) => Promise<void>} run */
async function open(who, path, run, { device = DESKTOP, scheme = "light" } = {}) {
  const context = await browser.newContext({ ...device, colorScheme: scheme });
  await context.addCookies(who.cookies);
  const page = await context.newPage();
  const wrong = watch(page, server.url);
  const send = (to, data) => context.request.post(`${server.url}/api/v1${to}`, { headers: { origin: server.url, "X-CSRF-Token": who.csrf }, data });
  try { await page.goto(`${server.url}${path}`); await run(page, send); assert.deepEqual(wrong.filter((one) => !/^403 .*\/api\/v1\/settings$|status of 403/.test(one)), []); /* the page asks whether one may change settings */ } finally { await context.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true }); };

test("the owner sets a limit, and a person without the right sees no Allowances", { skip }, async () => {
  await open(owner, "/settings/allowances", async (page) => {
    await page.getByText("There are no limits").waitFor();
    await page.getByLabel("Limit", { exact: true }).fill("2");
    await page.getByRole("button", { name: "Set the limit" }).click();
    await page.getByText("Messages: 2 a minute").waitFor();
    await page.getByRole("button", { name: "Delete the limit Messages: 2 a minute" }).click();
    await page.getByText("There are no limits").waitFor();
    await page.locator("form.card select").last().selectOption("month");
    await page.getByLabel("Limit", { exact: true }).fill("2");
    await page.getByRole("button", { name: "Set the limit" }).click();
    await page.getByText("Messages: 2 a month").waitFor();
    await axe(page, "allowances");
  });
  await open(member, "/settings/usage", async (page) => {
    await page.getByText("0 of 2").waitFor();
    assert.equal(await page.getByText("Allowances").count(), 0);
  });
});

test("used up: the answer and the page say why and until when; asked for, granted, seen at once", { skip, timeout: TEST_MS }, () => open(member, "/settings/usage", async (page, send) => {
  const { id } = await (await send("/conversations", {})).json();
  for (let n = 0; n < 2; n++) assert.equal((await send(`/conversations/${id}/messages`, { content: "Hello" })).status(), 202);
  const refused = await send(`/conversations/${id}/messages`, { content: "Once more" });
  assert.equal(refused.status(), 429);
  const problem = await refused.json();
  assert.equal(problem.slug, "quota_exceeded");
  assert.deepEqual([problem.quota.kind, problem.quota.limit, problem.quota.used], ["messages", 2, 2]);
  assert.ok(Number(refused.headers()["retry-after"]) > 0);
  await page.reload();
  await page.getByText("2 of 2").waitFor();
  await page.getByText(/Used up · begins again/).waitFor();
  await axe(page, "usage");
  await shoot(page, "usage-desktop");
  await page.getByRole("button", { name: "Ask for more: Messages a month" }).click();
  await page.getByRole("dialog").getByLabel("Messages").fill("5");
  await page.getByLabel("What for").fill("A long story");
  await page.getByRole("dialog").getByRole("button", { name: "Ask", exact: true }).click();
  await page.getByText("Asked for more", { exact: true }).waitFor();
  await open(owner, "/settings/allowances", async (admin) => {
    await admin.getByText("Mel asks for 5 more. Messages: the limit is 2 a month.").waitFor();
    await admin.getByText("A long story").waitFor();
    await axe(admin, "allowances, a request");
    await shoot(admin, "allowances-desktop");
    await admin.getByRole("button", { name: "Grant 5 to Mel" }).click();
    await admin.getByText("Nobody asks for more.").waitFor();
  });
  await page.getByText("2 of 7").waitFor(); /* by the event, without a reload */
  await page.getByText("Messages: 5 more granted").waitFor();
  assert.equal((await send(`/conversations/${id}/messages`, { content: "Once more" })).status(), 202);
}));

test("under /v1 the same limit holds, and says so in that form", { skip, timeout: TEST_MS }, () => open(member, "/settings/usage", async (page) => {
  const ask = () => page.context().request.post(`${server.url}/v1/chat/completions`, { headers: { origin: server.url, "X-CSRF-Token": member.csrf }, data: { messages: [{ role: "user", content: "Hi" }], max_tokens: 4 } });
  const first = await Promise.all(Array.from({ length: 8 }, ask)), won = first.filter((one) => one.status() === 200), lost = first.filter((one) => one.status() === 429);
  assert.deepEqual([won.length, lost.length], [4, 4]); /* 3 of 7 were messages on the page */
  assert.ok(Number(lost[0].headers()["retry-after"]) > 0);
  assert.equal((await lost[0].json()).error.code, "quota_exceeded");
  await page.reload();
  await page.getByText("7 of 7").waitFor();
}));

test("who used what, as a table and as a file; on a phone nothing is cut", { skip }, async () => {
  await open(owner, "/settings/allowances", async (page) => {
    await page.getByRole("rowheader", { name: "Mel" }).waitFor();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "As CSV" }).click()]);
    const text = readFileSync(await download.path(), "utf8");
    assert.match(text, /^user_id,user_name,messages,/);
    assert.match(text, /"Mel",[1-9]/);
  });
  await open(owner, "/settings/allowances", async (page) => { await page.getByRole("rowheader", { name: "Mel" }).waitFor(); assert.equal(await sideways(page), 0); await shoot(page, "allowances-phone-dark"); }, { device: PHONE, scheme: "dark" });
  await open(member, "/settings/usage", async (page) => { await page.getByText("of 7").waitFor(); assert.equal(await sideways(page), 0); await axe(page, "usage, phone"); await shoot(page, "usage-phone-dark"); }, { device: PHONE, scheme: "dark" });
});
