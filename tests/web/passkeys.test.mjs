/**
 * passkeys.test.mjs - passkeys on the real server: in the real Chromium with its virtual authenticator (made, used, as the second
 * step, renamed, removed), and with an authenticator of our own that signs what no honest one would. Skipped where the real server
 * cannot run.
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { mkdirSync } from "node:fs";
import { DESKTOP, PHONE, SHOTS, TEST_MS, axe, launch, sideways, still } from "./browser.mjs";
import { startReal, unavailable } from "./real-server.mjs";

const skip = unavailable, WORDS = "correct horse battery";
let browser, server, base, cookies;

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  [browser, server] = await Promise.all([launch(), startReal()]);
  base = server.url.replace("127.0.0.1", "localhost"); // a number is no name that a passkey can be made for
  const context = await browser.newContext();
  const made = await context.request.post(`${base}/api/v1/setup`, { headers: { origin: base }, data: { name: "Olga", password: WORDS } });
  assert.equal(made.status(), 201);
  cookies = await context.cookies();
  await context.close();
}, { timeout: TEST_MS });
after(async () => { await browser?.close(); await server?.close(); });

const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true }); };

async function withAuthenticator(page, options = {}) {
  const client = await page.context().newCDPSession(page);
  await client.send("WebAuthn.enable");
  const { authenticatorId } = await client.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true, ...options } });
  return { client, authenticatorId };
}

test("a passkey is made in Settings, signs in without password and code, is renamed and removed", { skip }, async () => {
  const context = await browser.newContext(DESKTOP);
  await context.addCookies(cookies);
  const page = await context.newPage();
  const { client, authenticatorId } = await withAuthenticator(page);
  await page.goto(`${base}/settings/account`);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name of the passkey").fill("My laptop");
  await dialog.getByLabel("Current password").fill("wrong");
  await dialog.getByRole("button", { name: "Continue" }).click();
  await page.getByText("The password is wrong.").waitFor();
  await dialog.getByLabel("Current password").fill(WORDS);
  await dialog.getByRole("button", { name: "Continue" }).click();
  await page.getByText("My laptop").waitFor();
  assert.equal((await client.send("WebAuthn.getCredentials", { authenticatorId })).credentials.length, 1);
  await axe(page, "passkeys");
  await shoot(page, "passkeys-desktop-light");
  // signing in: discoverable, so no name is typed
  await context.clearCookies();
  await page.goto(base);
  await axe(page, "sign in with a passkey");
  await shoot(page, "signin-passkey-desktop-light");
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.locator(".shell").waitFor();
  // renamed, removed; then it is nobody's
  await page.goto(`${base}/settings/account`);
  await page.getByText("last used").first().waitFor();
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByRole("dialog").getByLabel("Name of the passkey").fill("Old laptop");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.getByText("Old laptop").waitFor();
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByText("Old laptop").waitFor({ state: "detached" });
  await context.clearCookies();
  await page.goto(base);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByText("Nobody here has this passkey.").waitFor();
  await context.close();
});

test("on a phone, in the dark; a key that does not verify the person makes none", { skip }, async () => {
  const context = await browser.newContext({ ...PHONE, colorScheme: "dark" });
  await context.addCookies(cookies);
  const page = await context.newPage();
  await withAuthenticator(page, { hasUserVerification: false, isUserVerified: false });
  await page.goto(`${base}/settings/account`);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  assert.equal(await sideways(page), 0);
  await shoot(page, "passkey-add-phone-dark");
  await page.getByRole("dialog").getByLabel("Current password").fill(WORDS);
  await page.getByRole("dialog").getByRole("button", { name: "Continue" }).click();
  await still(page);
  const list = await (await page.request.get(`${base}/api/v1/me/passkeys`)).json();
  assert.equal(list.items.length, 0);
  await context.close();
});

/* ---- an authenticator of our own ---- */

const b64 = (data) => Buffer.from(data).toString("base64url");
const sha = (data) => createHash("sha256").update(data).digest();
const u16 = (n) => Buffer.from([n >> 8, n & 255]);
const u32 = (n) => { const out = Buffer.alloc(4); out.writeUInt32BE(n); return out; };

class Key {
  constructor() {
    this.pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.id = randomBytes(32);
    this.count = 1;
  }

  cose() {
    const { x, y } = this.pair.publicKey.export({ format: "jwk" });
    return Buffer.concat([Buffer.from("a5010203262001215820", "hex"), Buffer.from(x, "base64url"), Buffer.from("225820", "hex"), Buffer.from(y, "base64url")]);
  }

  data({ rp = "localhost", flags = 0x45, tail } = {}) {
    const made = (flags & 0x40) !== 0;
    return Buffer.concat([sha(rp), Buffer.from([flags]), u32(this.count), ...(made ? [Buffer.alloc(16), u16(this.id.length), this.id, this.cose()] : []), ...(tail ? [tail] : [])]);
  }
}
const clientData = (type, challenge, more = {}) => JSON.stringify({ type, challenge, origin: base, crossOrigin: false, ...more });

async function ask(context, path, data, method = "post") {
  const status = await (await context.request.get(`${base}/api/v1/status`)).json();
  return context.request[method](`${base}/api/v1${path}`, { headers: { origin: base, ...(status.csrf_token ? { "x-csrf-token": status.csrf_token } : {}) }, data });
}
const options = async (context, path, data = {}) => (await ask(context, path, data)).json();

const MADE = {
  "another kind": { client: { type: "webauthn.get" } },
  "another challenge": { client: { challenge: b64(randomBytes(32)) }, status: 410 },
  "another origin": { client: { origin: "https://evil.example" } },
  "another port": { client: { origin: "http://localhost:1" } },
  "inside another page": { client: { crossOrigin: true } },
  "a page on top": { client: { topOrigin: "https://evil.example" } },
  "another server": { data: { rp: "evil.example" } },
  "nobody there": { data: { flags: 0x44 } },
  "not verified": { data: { flags: 0x41 } },
  "no key": { data: { flags: 0x05 } },
  "something after it": { data: { tail: Buffer.from([0]) } },
  "extensions that are not there": { data: { flags: 0xc5 } },
  "a map of 2^40 entries": { data: { flags: 0xc5, tail: Buffer.from("bb0000010000000000", "hex") } },
  "cut": { cut: 20 },
  "empty": { cut: 1000 },
  "another algorithm told": { algorithm: -257 },
  "an algorithm that is none": { algorithm: -1 },
  "twice the challenge": { text: (challenge) => clientData("webauthn.create", challenge).replace("{", `{"challenge":"${b64(randomBytes(32))}",`) },
  "no JSON": { text: () => "challenge" },
};

test("what no honest authenticator would make is refused", { skip }, async () => {
  const context = await browser.newContext();
  await context.addCookies(cookies);
  const key = new Key();
  const add = async (one = {}) => {
    const { challenge } = await options(context, "/me/passkeys/options", { password: WORDS });
    const data = key.data(one.data), client = one.text ? one.text(challenge) : clientData("webauthn.create", challenge, one.client);
    const body = { name: "k", client_data: b64(client), authenticator_data: b64(data.subarray(0, Math.max(1, data.length - (one.cut ?? 0)))), algorithm: one.algorithm ?? -7 };
    return [await ask(context, "/me/passkeys", body), body];
  };
  for (const [what, one] of Object.entries(MADE)) {
    const [answer] = await add(one);
    assert.ok([one.status ?? 422, 410].includes(answer.status()), `${what}: ${answer.status()} ${await answer.text()}`);
  }
  const [good, body] = await add({ data: { flags: 0xc5, tail: Buffer.concat([Buffer.from("a16b", "hex"), Buffer.from("credProtect"), Buffer.from([2])]) } });
  assert.equal(good.status(), 201, await good.text());
  assert.equal((await ask(context, "/me/passkeys", body)).status(), 410); // replayed
  assert.equal((await add())[0].status(), 409); // there already
  const { challenge } = await options(context, "/session/passkey/options"); // a challenge of a sign-in makes none
  assert.equal((await ask(context, "/me/passkeys", { ...body, client_data: b64(clientData("webauthn.create", challenge)) })).status(), 410);
  assert.equal((await ask(context, "/me/passkeys/options", { password: "wrong" })).status(), 401);

  /* ---- signing in with it ---- */
  const other = new Key();
  const use = async (one = {}) => {
    const stranger = await browser.newContext();
    const begun = await options(stranger, "/session/passkey/options");
    const client = clientData("webauthn.get", begun.challenge, one.client), data = key.data({ flags: 0x05, ...one.data });
    const signed = sign("sha256", Buffer.concat([data, sha(one.signed ?? client)]), (one.key ?? key).pair.privateKey);
    if (one.flip !== undefined) signed[one.flip] ^= 1;
    const sent = { id: b64(one.id ?? key.id), client_data: b64(client), authenticator_data: b64(one.sent ?? data), signature: b64(signed), ...one.body };
    const answer = await ask(stranger, "/session/passkey", sent), again = answer.status() === 201 ? await ask(stranger, "/session/passkey", sent) : null;
    const inside = (await (await stranger.request.get(`${base}/api/v1/status`)).json()).signed_in;
    await stranger.close();
    return { status: answer.status(), again: again?.status(), inside, text: await answer.text().catch(() => "") };
  };
  key.count = 5;
  const usedOnce = await use();
  assert.deepEqual([usedOnce.status, usedOnce.again, usedOnce.inside], [201, 410, true], usedOnce.text);
  const lies = {
    "a counter that stands still": {},
    "another kind": { client: { type: "webauthn.create" }, grow: true },
    "another origin": { client: { origin: "https://evil.example" }, grow: true },
    "another challenge": { client: { challenge: b64(randomBytes(32)) }, grow: true },
    "inside another page": { client: { crossOrigin: true }, grow: true },
    "another server": { data: { rp: "evil.example" }, grow: true },
    "nobody there": { data: { flags: 0x04 }, grow: true },
    "not verified": { data: { flags: 0x01 }, grow: true },
    "another key's signature": { key: other, grow: true },
    "a changed signature": { flip: 20, grow: true },
    "signed other client data": { signed: "{}", grow: true },
    "data that was not signed": { sent: Buffer.concat([sha("localhost"), Buffer.from([5]), u32(99)]), grow: true },
    "an unknown passkey": { id: other.id, grow: true },
    "another account": { body: { user_handle: b64("usr_00000000000000000000000000") }, grow: true },
    "no signature": { body: { signature: b64("x") }, grow: true },
  };
  for (const [what, one] of Object.entries(lies)) {
    key.count++;
    assert.equal((await use()).status, 201); // and the throttle forgets the lie before
    if (one.grow) key.count++;
    const said = await use(one);
    assert.ok([422, 410].includes(said.status) && !said.inside, `${what}: ${said.status} ${said.text}`);
  }
  await context.close();
});
