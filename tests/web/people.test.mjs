/**
 * people.test.mjs - Settings, People and /join on the real server: an invitation from the link to the first sign-in, what
 * is done to an account reaches the person's open page, approval, roles. Skipped where the real server cannot run.
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
  const context = await browser.newContext();
  const made = await context.request.post(`${server.url}/api/v1/setup`, { headers: { origin: server.url }, data: { name: "Olga", password: WORDS } });
  assert.equal(made.status(), 201);
  cookies = await context.cookies();
  await context.close();
}, { timeout: TEST_MS });
after(async () => { await browser?.close(); await server?.close(); });

/** @param {any} device @param {(page: any, context: any) => Promise<void>} run */
async function open(device, run, { owner = false, allowed = /^$/ } = {}) {
  const context = await browser.newContext({ ...device, permissions: ["clipboard-read", "clipboard-write"] });
  if (owner) await context.addCookies(cookies);
  const page = await context.newPage();
  const wrong = watch(page, server.url);
  try { await run(page, context); assert.deepEqual(wrong.filter((one) => !allowed.test(one)), []); } finally { await context.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };
const person = (page, name) => page.locator("li.person", { hasText: name });
const REFUSED = /^(401|403|409|410) |status of (401|403|409|410)/;

/** A link made on the page; the owner's page stays on the invitations. */
async function invite(page, note) {
  await page.goto(`${server.url}/settings/people/invitations`);
  await page.getByLabel("Note").fill(note);
  await page.getByRole("button", { name: "Make a link" }).click();
  const shown = page.getByRole("dialog", { name: "The invitation link" });
  const address = await shown.locator("code").textContent();
  return { shown, address };
}
async function join(page, address, name) {
  await page.goto(address);
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("Password").fill(WORDS);
  await page.getByRole("button", { name: "Create account" }).click();
}
async function signIn(page, name) {
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("Password").fill(WORDS);
  await page.getByRole("button", { name: "Sign in" }).click();
}

test("a link makes an account; suspending it closes the page that is open; lifting it lets in; deleting it ends it", { skip }, () => open(DESKTOP, async (page) => {
  const { shown, address } = await invite(page, "for Mia");
  assert.match(address, /\/join\?token=[\w-]{43}$/);
  await axe(page, "the invitation link");
  await shoot(page, "people-link-desktop-light");
  await shown.getByRole("button", { name: "Copy the link" }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), address);
  await shown.getByRole("button", { name: "I have copied it" }).click();
  await page.getByText("0 of 1 used").waitFor();
  await axe(page, "invitations");
  await shoot(page, "people-invitations-desktop-light");
  await open(PHONE, async (phone) => {
    await phone.goto(address);
    await phone.getByRole("heading", { name: "You are invited" }).waitFor();
    await phone.getByText("Your role here: Member.").waitFor();
    await axe(phone, "join");
    await shoot(phone, "join-phone-light");
    assert.ok(await sideways(phone) <= 0);
    await join(phone, address, "Mia");
    await phone.locator(".shell").waitFor();
    assert.equal(new URL(phone.url()).pathname, "/");
    await phone.goto(`${server.url}/settings/people`);
    await phone.getByRole("heading", { name: "Settings" }).waitFor();
    assert.equal(await phone.getByRole("link", { name: "People", exact: true }).count(), 0); // not for members

    await page.getByRole("link", { name: "Accounts" }).click();
    await person(page, "Mia").waitFor();
    await page.getByLabel("Role of Mia").selectOption("moderator");
    await page.waitForFunction(() => document.querySelector(".person select")?.value === "moderator");
    await page.getByRole("button", { name: "Suspend Mia" }).click();
    const ask = page.getByRole("dialog", { name: "Suspend Mia?" });
    await ask.getByLabel("Reason").fill("Enough for today");
    await axe(page, "suspending");
    await ask.getByRole("button", { name: "Suspend" }).click();
    await person(page, "Mia").getByText("Suspended", { exact: true }).waitFor();
    await signIn(phone, "Mia"); // the open page went to the sign-in by itself
    await phone.getByText("This account is suspended: Enough for today").waitFor();
    await page.getByRole("button", { name: "Lift the suspension of Mia" }).click();
    await page.getByRole("button", { name: "Suspend Mia" }).waitFor();
    await phone.getByRole("button", { name: "Sign in" }).click();
    await phone.locator(".shell").waitFor();

    await page.getByRole("button", { name: "Delete Mia" }).click();
    const sure = page.getByRole("dialog", { name: "Delete this account?" });
    await sure.getByText("This cannot be undone").waitFor();
    await sure.getByRole("button", { name: "Delete Mia" }).click();
    await person(page, "Mia").waitFor({ state: "detached" });
    await phone.getByRole("heading", { name: "Sign in" }).waitFor();
    await phone.goto(address);
    await phone.getByRole("heading", { name: "This link does not work" }).waitFor();
    await phone.getByText("This invitation was used already.").waitFor();
  }, { allowed: REFUSED });
}, { owner: true }));

test("an open server: whoever signs up waits, is found by the filter and approved", { skip }, () => open(DESKTOP, async (page) => {
  await page.goto(`${server.url}/settings/people/invitations`);
  await page.getByLabel("Sign-up").selectOption("open");
  await page.locator("form", { hasText: "Who may sign up" }).getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved").waitFor();
  await open(PHONE, async (phone) => {
    await phone.goto(server.url);
    await phone.getByRole("link", { name: "Create an account" }).click();
    await join(phone, `${server.url}/join`, "Nils");
    await phone.getByRole("heading", { name: "Almost there" }).waitFor();
    await axe(phone, "join, waiting");
    await shoot(phone, "join-waiting-phone-light");
    await phone.getByRole("link", { name: "Sign in" }).click();
    await signIn(phone, "Nils");
    await phone.getByText("waits until an administrator approves it").waitFor();
    await page.getByRole("link", { name: "Accounts" }).click();
    await person(page, "Olga").waitFor();
    await page.getByLabel("State").selectOption("waiting");
    await person(page, "Olga").waitFor({ state: "detached" });
    await shoot(page, "people-waiting-desktop-light");
    await page.getByRole("button", { name: "Approve Nils" }).click();
    await page.getByRole("button", { name: "Suspend Nils" }).waitFor();
    await phone.getByRole("button", { name: "Sign in" }).click();
    await phone.locator(".shell").waitFor();
  }, { allowed: REFUSED });
}, { owner: true }));

test("a role of one's own is made, given and cannot go while somebody has it", { skip }, () => open(DESKTOP, async (page) => {
  await page.goto(`${server.url}/settings/people/roles`);
  await page.getByRole("button", { name: "Make a role" }).click();
  const box = page.getByRole("dialog", { name: "Make a role" });
  await box.getByLabel("Name").fill("Reader");
  await box.getByLabel("models.read").check();
  await axe(page, "making a role");
  await shoot(page, "people-role-desktop-light");
  await box.getByRole("button", { name: "Save" }).click();
  const role = page.locator("li.recipe", { hasText: "Reader" });
  await role.getByText("models.read").waitFor();
  const mature = page.getByRole("switch", { name: "Mature content for the role Guest" });
  assert.equal(await mature.isChecked(), true);
  await Promise.all([page.waitForResponse((answer) => answer.url().endsWith("/roles/guest") && answer.ok()), mature.click()]);
  await page.reload();
  await role.waitFor();
  assert.equal(await mature.isChecked(), false);
  await page.getByRole("link", { name: "Accounts" }).click();
  await page.getByLabel("Role of Nils").selectOption({ label: "Reader" });
  await page.getByLabel("Search by name or address").fill("nil");
  await person(page, "Olga").waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Roles" }).click();
  await role.getByText("accounts: 1").waitFor();
  await page.getByRole("button", { name: "Delete Reader" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete Reader" }).click();
  await page.getByText("still have this role: 1").waitFor();
  await role.waitFor();
}, { owner: true, allowed: REFUSED }));

for (const [name, device] of [["desktop", DESKTOP], ["phone", PHONE]]) test(`every tab holds on a ${name} in the dark`, { skip }, () => open({ ...device, colorScheme: "dark" }, async (page) => {
  for (const [tab, seen] of [["", ".person"], ["/invitations", ".invite-fields"], ["/roles", ".recipe"]]) {
    await page.goto(`${server.url}/settings/people${tab}`);
    await page.locator(seen).first().waitFor();
    await axe(page, `people${tab}, ${name}, dark`);
    assert.ok(await sideways(page) <= 0, tab);
    await shoot(page, `people${tab.replace("/", "-")}-${name}-dark`);
  }
}, { owner: true }));
