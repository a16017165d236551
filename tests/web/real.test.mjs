/**
 * real.test.mjs - the page on the real server with the real model: first run, a day's use, every view, the weight.
 *
 * Skipped without ATELIER_BIN, ATELIER_LLAMA_SERVER and ATELIER_MODEL (script/test sets them).
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DESKTOP, ENGINE_MS, PHONE, SHOTS, SMALL_PHONE, TEST_MS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startReal, unavailable } from "./real-server.mjs";

const skip = unavailable;
const ASSETS_BYTES = 250000;
const VIEWS = [["characters", ".character"], ["settings/appearance", ".field"], ["settings/keyboard", ".chip"], ["settings/models", ".card"], ["settings/providers", ".card"],
  ["settings/personas", "main .stack"], ["settings/workflows", ".recipe"], ["settings/wildcards", ".expansion"], ["settings/webhooks", ".deliveries"], ["settings/keys", ".card"], ["settings/account", ".card"], ["settings/about", "main p"], ["temporary", "#prompt"], ["create", ".sample, .job"], ["library", ".library-head"], ["activity", ".chips"], ["grids", ".empty h2, .grid-row"], ["search?q=evening", ".list .item mark"], ["", ".character"]];
let browser, server, cookies, chat;

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  [browser, server] = await Promise.all([launch(), startReal()]);
}, { timeout: TEST_MS });
after(async () => { await browser?.close(); await server?.close(); });

async function open(options, run) {
  const context = await browser.newContext(options);
  if (cookies) await context.addCookies(cookies);
  const page = await context.newPage();
  const wrong = watch(page, server.url);
  try { await run(page, context); assert.deepEqual(wrong, []); } finally { await context.close(); }
}
const prompt = (page) => page.getByRole("textbox", { name: "Message" });
const lastReply = (page) => page.locator(".message").last();
/** The answer to `said` is complete. */
async function answered(page, said) {
  if (said) await page.locator(".message.user").getByText(said).last().waitFor();
  await page.locator(".message.assistant.complete:last-child").waitFor({ timeout: ENGINE_MS });
}
/** The reply that is being written ends, by Stop unless it was done before. */
async function stopped(page) {
  const stop = page.getByRole("button", { name: "Stop" });
  const ended = page.locator(".message.assistant.stopped:last-child, .message.assistant.complete:last-child");
  await stop.or(ended).first().waitFor();
  if (await stop.isVisible().catch(() => false)) await stop.click();
  await ended.waitFor();
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };

test("from the printed address to streamed words: two clicks and one sentence", { skip }, () => open(DESKTOP, async (page, context) => {
  await page.goto(server.setupUrl);
  await page.getByLabel("Your name").waitFor();
  await axe(page, "wizard, account");
  await shoot(page, "wizard-account-desktop-light");
  await page.evaluate(() => { globalThis.clicks = 0; addEventListener("pointerdown", () => { globalThis.clicks++; }, true); });
  await page.getByLabel("Your name").fill("Ada");
  await page.getByLabel("Password").fill("correct horse battery");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Who do you want to talk to?" }).waitFor();
  const first = page.locator(".gate .character, .gate .button").first();
  await first.waitFor();
  await axe(page, "wizard, character");
  await shoot(page, "wizard-desktop-light");
  await first.click();
  await prompt(page).waitFor();
  await page.locator("#prompt:focus").waitFor();
  chat = new URL(page.url()).pathname;
  await page.keyboard.type("Good evening. Tell me about yourself in a few sentences.");
  await page.evaluate(() => {
    globalThis.sizes = [];
    new MutationObserver(() => { const text = document.querySelector(".message.streaming .text")?.textContent.length; if (text && text !== globalThis.sizes.at(-1)) globalThis.sizes.push(text); })
      .observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  cookies = await context.cookies();
  await page.keyboard.press("Enter");
  await answered(page, "Tell me about yourself");
  assert.ok(await page.evaluate(() => globalThis.clicks) <= 2);
  let sizes = await page.evaluate(() => globalThis.sizes);
  for (let n = 0; n < 3 && sizes.length < 3; n++) { // a page that stood still sees all words of a short reply at once
    await page.evaluate(() => { globalThis.sizes = []; });
    await prompt(page).fill(`Tell me a long story, part ${n}.`);
    await prompt(page).press("Enter");
    await answered(page, `part ${n}.`);
    sizes = await page.evaluate(() => globalThis.sizes);
  }
  assert.ok(sizes.length >= 3, `the words came in steps: ${sizes}`);
  assert.ok((await lastReply(page).locator(".text").textContent()).trim().length > 0);
  await page.locator(".item", { hasText: "Good evening" }).waitFor();
}));

test("a day's use: regenerate, swipe, edit, delete and undo, rename, details, reload", { skip }, () => open(DESKTOP, async (page) => {
  await page.goto(server.url + chat);
  await lastReply(page).locator(".text").waitFor();
  const one = await lastReply(page).locator(".text").textContent();
  await lastReply(page).getByRole("button", { name: "Regenerate" }).click();
  await lastReply(page).getByText("2/2").waitFor();
  await answered(page);
  await lastReply(page).getByRole("button", { name: "Previous version" }).click();
  await lastReply(page).getByText("1/2").waitFor();
  assert.equal(await lastReply(page).locator(".text").textContent(), one, "the earlier version is back");
  const own = page.locator(".message.user").last();
  await own.hover();
  await own.getByRole("button", { name: "Edit" }).click();
  await page.locator(".message textarea").fill("Say hello in one short sentence.");
  await page.getByRole("button", { name: "Save and send" }).click();
  await page.locator(".message.user").getByText("Say hello in one short sentence.").waitFor();
  await answered(page);
  await lastReply(page).getByRole("button", { name: "Delete" }).click();
  await page.locator(".message.user:last-child").waitFor();
  await page.getByRole("button", { name: "Undo" }).click();
  await page.locator(".message.assistant:last-child").waitFor();
  await page.getByRole("button", { name: "Show details" }).click();
  await page.getByLabel("Temperature").fill("0.3");
  await page.waitForResponse((response) => response.request().method() === "PATCH" && response.ok());
  await axe(page, "details");
  await page.getByRole("button", { name: "What was sent last" }).click();
  await page.getByRole("dialog", { name: "What was sent" }).locator("details").first().waitFor();
  await axe(page, "what was sent");
  await page.keyboard.press("Escape");
  await page.locator(".list .item a").first().focus();
  await page.keyboard.press("F2");
  await page.locator(".rename:focus").fill("A quiet evening");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "A quiet evening" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "A quiet evening" }).waitFor();
  assert.equal(await page.getByLabel("Temperature").inputValue(), "0.3");
}));

test("a reply survives a reload in the middle, and Stop ends it", { skip }, () => open(DESKTOP, async (page) => {
  await page.goto(`${server.url}/`);
  await page.getByRole("button", { name: "Without a character" }).click();
  await prompt(page).fill("Write a very long story about the sea with many chapters.");
  await prompt(page).press("Enter");
  await page.locator(".message.streaming .text p").first().waitFor();
  const before = (await page.locator(".message.streaming .text").textContent()).slice(0, 10);
  await page.reload();
  await lastReply(page).getByText(before).first().waitFor(); // the model may say the same again further down
  await stopped(page);
}));

test("a temporary chat answers, by keyboard only, and leaves nothing behind", { skip }, () => open(DESKTOP, async (page) => {
  await page.goto(server.url);
  await page.locator(".shell").waitFor();
  const count = () => page.evaluate(() => fetch("/api/v1/conversations").then((answer) => answer.json()).then((it) => it.items.length));
  const before = await count();
  await page.keyboard.press("Control+Shift+E");
  await page.locator("#prompt:focus").waitFor();
  await page.keyboard.type("Say hello");
  await page.keyboard.press("Enter");
  await answered(page, "Say hello");
  assert.ok((await lastReply(page).locator(".text").textContent()).length > 0);
  await axe(page, "temporary chat, answered");
  await shoot(page, "temporary-desktop-light");
  await page.reload();
  await page.getByRole("heading", { name: "A conversation that leaves no trace" }).waitFor();
  assert.equal(await page.locator(".message").count(), 0);
  assert.equal(await count(), before);
}));

test("a character is made, edited and talked to; a persona and a key too", { skip }, () => open(DESKTOP, async (page) => {
  await page.goto(`${server.url}/characters`);
  await page.getByRole("button", { name: "New character" }).first().click();
  await page.getByLabel("Name", { exact: true }).fill("Tilda");
  await page.getByLabel("Description").fill("A watchmaker who counts everything.");
  await page.getByText("Saved").waitFor();
  await axe(page, "character editor");
  for (const tab of ["Look", "Rules", "Greetings and examples", "Preview"]) {
    await page.keyboard.press("Escape");
    await page.getByRole("tab", { selected: true }).focus();
    await page.keyboard.press("ArrowRight");
    await page.getByRole("tab", { name: tab, selected: true }).waitFor();
    await axe(page, `character editor, ${tab}`);
  }
  await page.goto(`${server.url}/settings/personas`);
  await page.getByRole("button", { name: "Add a persona" }).click();
  await page.getByLabel("Name", { exact: true }).fill("A sailor");
  await axe(page, "persona dialog");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("A sailor").waitFor();
  await page.goto(`${server.url}/settings/keys`);
  await page.getByLabel("Name", { exact: true }).fill("A script");
  await page.getByLabel("Expires").selectOption({ label: "In 30 days" });
  await page.getByRole("button", { name: "Create a key" }).click();
  await page.getByText("Copy this key now.").waitFor();
  assert.match(await page.locator("dialog code").textContent(), /^atl_/);
  await axe(page, "key dialog");
  await page.keyboard.press("Escape");
  await page.getByText(/expires /).waitFor();
}));

for (const [device, options] of [["desktop", DESKTOP], ["small phone", SMALL_PHONE]])
  for (const colorScheme of ["light", "dark"])
    test(`every view, ${device}, ${colorScheme}: complete, passes axe, fits`, { skip }, () => open({ ...options, colorScheme }, async (page) => {
      for (const [path, ready] of [...VIEWS, [chat.slice(1), ".message .text"]]) {
        await page.goto(`${server.url}/${path}`);
        await page.locator(ready).first().waitFor({ state: "attached" });
        await axe(page, `${path} ${device} ${colorScheme}`);
        assert.equal(await sideways(page), 0, `${path} does not scroll sideways`);
      }
    }));

test("each view is reached and left with the keyboard alone", { skip }, () => open(DESKTOP, async (page) => {
  await page.goto(server.url);
  await page.locator(".character").first().waitFor();
  for (const [words, title] of [["characters", "Characters"], ["providers", "Providers"], ["models", "Models and engine"], ["personas", "Personas"], ["api keys", "API keys"], ["account", "Account"], ["appearance", "Appearance"], ["about", "About"]]) {
    await page.keyboard.press("Control+k");
    await page.locator(".palette input:focus").fill(words);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: title, exact: true }).first().waitFor();
    await page.locator("main").focus();
    const reached = new Set();
    for (let n = 0; n < 12; n++) { await page.keyboard.press("Tab"); reached.add(await page.evaluate(() => { const it = document.activeElement; return it?.closest("main, dialog") ? it.textContent + it.getAttribute("aria-label") + it.className + it.tagName : ""; })); }
    reached.delete("");
    assert.ok(reached.size >= 1, `${title}: Tab reaches its controls`);
  }
}));

test("a phone: list as a sheet, details as a sheet, actions by touch", { skip }, () => open(SMALL_PHONE, async (page) => {
  await page.goto(server.url + chat);
  await page.locator(".message .text").first().waitFor();
  await page.getByRole("button", { name: "Show the list" }).tap();
  await page.locator(".list .item").first().waitFor();
  await still(page);
  await page.getByRole("link", { name: "A quiet evening" }).tap();
  await page.getByRole("button", { name: "Show details" }).tap();
  await page.getByLabel("Temperature").waitFor();
  await axe(page, "details sheet");
  await page.locator(".details").getByRole("button", { name: "Hide details" }).tap();
  assert.equal(await page.getByLabel("Temperature").count(), 0);
  await prompt(page).tap();
  assert.ok(await prompt(page).evaluate((it) => it.getBoundingClientRect().bottom <= innerHeight));
}));

test("the weight of all assets", { skip }, () => open(DESKTOP, async (page) => {
  await page.goto(server.url + chat);
  await page.locator(".message .text").first().waitFor();
  const bytes = await page.evaluate(async () => {
    await Promise.all(["settings", "characters", "temporary", "create", "edit", "library", "activity"].map((view) => import(new URL(`views/${view}.js`, document.querySelector("script[type=module]").src).href)));
    return performance.getEntriesByType("resource").filter((one) => !one.name.includes("/api/")).reduce((sum, one) => sum + one.encodedBodySize, 0);
  });
  console.log(`assets: ${bytes} bytes`);
  assert.ok(bytes > 10000 && bytes <= ASSETS_BYTES, `${bytes} bytes`);
}));

test("pictures of the main views to look at", { skip }, async () => {
  for (const [device, options] of [["desktop", DESKTOP], ["phone", PHONE]])
    for (const colorScheme of ["light", "dark"])
      await open({ ...options, colorScheme }, async (page) => {
        const name = (view) => `${view}-${device}-${colorScheme}`;
        await page.goto(server.url + chat);
        await page.locator(".message .text").first().waitFor();
        await shoot(page, name("chat"));
        const said = await page.locator(".message.user").count();
        await prompt(page).fill("What does a good day look like for you? Give me a list.");
        await prompt(page).press("Enter");
        await page.locator(".message.user").nth(said).waitFor();
        await page.locator(".message.streaming .text > *, .message.complete:last-child").first().waitFor();
        await page.screenshot({ path: `${SHOTS}/${name("streaming")}.png` });
        await stopped(page); // a list of a small model may be as long as it is let
        await page.goto(`${server.url}/characters`);
        await page.locator(".character").first().waitFor();
        await shoot(page, name("characters"));
        await page.locator(".character").first().click();
        await page.getByRole("tab").first().waitFor();
        await shoot(page, name("editor"));
        for (const view of ["settings/models", "settings/providers", "search?q=evening", ""]) {
          await page.goto(`${server.url}/${view}`);
          await page.locator("main .card, main .character").first().waitFor();
          await shoot(page, name(view.replace(/\W.*/, (rest) => rest.startsWith("/") ? rest.replace("/", "-") : "") || "start"));
        }
      });
});
