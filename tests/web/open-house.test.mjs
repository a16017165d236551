/**
 * open-house.test.mjs - the whole way in one walk, in the browser, on the real server, model and sign-in service: the owner
 * invites somebody, who joins with a password, sets up a second factor, links the service, signs in both ways, uses up a
 * monthly allowance, sees why and until when, asks for more and goes on once the owner has granted it.
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { DESKTOP, ENGINE_MS, PHONE, SHOTS, TEST_MS, axe, launch, sideways, still } from "./browser.mjs";
import { startReal, unavailable } from "./real-server.mjs";

const skip = unavailable, WORDS = "correct horse battery";
let browser, server, service, issuer, owner;

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  [browser, server] = await Promise.all([launch(), startReal(["--outbound-private", "127.0.0.1"])]);
  const provider = fileURLToPath(new URL("../system/oidc_provider.mjs", import.meta.url));
  service = spawn(process.execPath, [provider, "real", `${server.url}/login/callback`, "RS256"], { stdio: ["pipe", "pipe", "inherit"] });
  issuer = await new Promise((done) => service.stdout.once("data", (data) => done(String(data).trim())));
  owner = await person(DESKTOP);
}, { timeout: TEST_MS });
after(async () => { service?.stdin.end(); await browser?.close(); await server?.close(); });

/** A browser of somebody's own. */
async function person(device) {
  const context = await browser.newContext(device), page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(String(error)));
  return page;
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/open-house-${name}.png` }); };
const inside = (page) => page.locator(".shell").waitFor();

/** What the authenticator app shows `ahead` steps from now. */
function codeOf(secret, ahead) {
  const bits = [...secret.replaceAll(" ", "")].map((one) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(one).toString(2).padStart(5, "0")).join("");
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + ahead));
  const mac = createHmac("sha1", Buffer.from(bits.match(/.{8}/g).map((one) => parseInt(one, 2)))).update(step).digest(), at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1000000).padStart(6, "0");
}

async function signOut(page) {
  await page.context().clearCookies();
  await page.goto(server.url);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
}

async function say(page, text) {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.keyboard.press("Enter");
}
/** Its first words are there, and the rest is not waited for: the small model likes to go on. */
async function answered(page, text) {
  await page.locator(".message.user").getByText(text).last().waitFor();
  await page.locator(".message.assistant:last-child .text").filter({ hasText: /\w/ }).waitFor({ timeout: ENGINE_MS });
  await page.getByRole("button", { name: "Stop", exact: true }).click({ timeout: 2000 }).catch(() => {}); // it was done already
  await page.locator(".message.assistant.complete:last-child, .message.assistant.stopped:last-child").waitFor({ timeout: ENGINE_MS });
}

test("from the invitation to the granted wish", { skip, timeout: TEST_MS }, async (t) => {
  let address, secret, recovery;
  const guest = await person(PHONE);

  await t.test("the owner sets up, adds the service, invites, and sets a monthly limit", async () => {
    await owner.goto(server.setupUrl);
    await owner.getByLabel("Your name").fill("Olga");
    await owner.getByLabel("Password").fill(WORDS);
    await owner.keyboard.press("Enter");
    await owner.getByRole("heading", { name: "Who do you want to talk to?" }).waitFor();
    await owner.goto(`${server.url}/settings/services`);
    await owner.getByRole("combobox").last().selectOption("generic");
    await owner.getByLabel("Name on the button").fill("Club ID");
    await owner.getByLabel("Issuer").fill(issuer);
    await owner.getByLabel("Client id").fill("atelier");
    await owner.getByLabel("Client secret").fill("a secret: with %20 & co");
    await owner.getByRole("button", { name: "Add service" }).click();
    await owner.getByText("Offered on the sign-in page").waitFor();
    await owner.goto(`${server.url}/settings/allowances`);
    await owner.locator("form.card select").last().selectOption("month");
    await owner.getByLabel("Limit", { exact: true }).fill("2");
    await owner.getByRole("button", { name: "Set the limit" }).click();
    await owner.getByText("Messages: 2 a month").waitFor();
    await owner.goto(`${server.url}/settings/people/invitations`);
    await owner.getByLabel("Note").fill("for Mia");
    await owner.getByRole("button", { name: "Make a link" }).click();
    address = await owner.getByRole("dialog", { name: "The invitation link" }).locator("code").textContent();
  });

  await t.test("the guest joins with a password and sets up a second factor", async () => {
    await guest.goto(address);
    await guest.getByLabel("Your name").fill("Mia");
    await guest.getByLabel("Password").fill(WORDS);
    await guest.getByRole("button", { name: "Create account" }).click();
    await inside(guest);
    await guest.goto(`${server.url}/settings/account`);
    await guest.getByRole("button", { name: "Set up an authenticator app" }).click();
    const dialog = guest.getByRole("dialog");
    await dialog.getByLabel("Current password").fill(WORDS);
    await dialog.getByRole("button", { name: "Continue" }).click();
    secret = await dialog.locator("code").textContent();
    await dialog.getByLabel("Code").fill(codeOf(secret, -1));
    await dialog.getByRole("button", { name: "Turn on" }).click();
    const codes = guest.getByRole("dialog", { name: "Recovery codes" });
    recovery = (await codes.locator("pre").textContent()).split("\n");
    await codes.getByRole("button").last().click();
  });

  await t.test("links the service by its own pages, and signs in with it", async () => {
    await guest.goto(`${server.url}/settings/account`);
    await guest.getByRole("button", { name: "Link Club ID" }).click();
    await guest.locator("input[name=login]").fill("mia");
    await guest.locator("input[name=password]").fill("anything");
    await guest.locator("button[type=submit]").click();
    await guest.getByRole("button", { name: "Continue" }).click();
    await guest.getByText("Linked. You can sign in with it from now on.").waitFor();
    await signOut(guest);
    await guest.getByRole("link", { name: "Sign in with Club ID" }).click();
    await guest.locator("input[name=login]").fill("mia");
    await guest.locator("input[name=password]").fill("anything");
    await guest.locator("button[type=submit]").click();
    await guest.getByRole("button", { name: "Continue" }).click();
    await guest.getByLabel("Code").fill(recovery[0]);
    await guest.getByRole("button", { name: "Sign in", exact: true }).click();
    await inside(guest);
  });

  await t.test("signs in with the password and the app's code", async () => {
    await signOut(guest);
    await guest.getByLabel("Your name").fill("Mia");
    await guest.getByLabel("Password").fill(WORDS);
    await guest.getByRole("button", { name: "Sign in", exact: true }).click();
    await guest.getByLabel("Code").fill(codeOf(secret, 0));
    await guest.getByRole("button", { name: "Sign in", exact: true }).click();
    await inside(guest);
  });

  await t.test("uses the allowance up, and is told why and until when", async () => {
    await guest.goto(server.url);
    await shoot(guest, "first-look-phone");
    await guest.locator(".character").first().click();
    await guest.getByRole("textbox", { name: "Message" }).waitFor();
    for (const text of ["One sentence about the sea, please.", "And one about the moon."]) {
      await say(guest, text);
      await answered(guest, text);
    }
    await say(guest, "A third one?");
    const told = guest.getByText(/The allowance of 2 messages a month is used up/).first();
    await told.waitFor();
    await guest.getByText(/It begins again at \d{4}-\d\d-01 00:00 UTC/).first().waitFor();
    await guest.getByText(/Ask for more on the Usage page/).first().waitFor();
    assert.equal(await sideways(guest), 0);
    await axe(guest, "an allowance that is used up");
    await shoot(guest, "used-up-phone");
  });

  await t.test("asks for more, the owner grants it, and it goes on", async () => {
    const chat = guest.url();
    await guest.getByRole("link", { name: "Ask for more" }).click();
    await guest.getByText("2 of 2").waitFor();
    await guest.getByText(/Used up · begins again/).waitFor();
    await guest.getByRole("button", { name: "Ask for more: Messages a month" }).click();
    await guest.getByRole("dialog").getByLabel("Messages").fill("3");
    await guest.getByLabel("What for").fill("The moon");
    await guest.getByRole("dialog").getByRole("button", { name: "Ask", exact: true }).click();
    await guest.getByText("Asked for more", { exact: true }).waitFor();
    await owner.goto(`${server.url}/settings/allowances`);
    await owner.getByText("Mia asks for 3 more. Messages: the limit is 2 a month.").waitFor();
    await owner.getByRole("button", { name: "Grant 3 to Mia" }).click();
    await guest.getByText("2 of 5").waitFor();
    await shoot(guest, "granted-phone");
    await guest.goto(chat);
    await say(guest, "Thank you. Good night.");
    await answered(guest, "Thank you. Good night.");
  });
});
