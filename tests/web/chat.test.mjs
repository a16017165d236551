/** chat.test.mjs - the conversation in a real browser: long threads, two tabs, keyboard only, lost line, undo, the first words. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { launch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";

const FIRST_BYTES = 120000; // compressed
let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

async function open(options, run) {
  const mock = await startMock({ signedIn: true, ...options });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  try { await run(page, mock, context); } finally { await context.close(); await mock.close(); }
}

test("10,000 messages: the last screenful at once, a bounded page, no jump on scrolling up", () => open({ messages: 10000 }, async (page, mock) => {
  await page.goto(`${mock.url}/c/${mock.db.conversations[0].id}`);
  await page.getByText("Message 9999.").waitFor();
  for (let n = 0; n < 8; n++) {
    const before = await page.evaluate(() => {
      const box = document.querySelector(".messages");
      box.scrollTop = 300;
      const at = [...box.querySelectorAll(".message")].find((one) => one.getBoundingClientRect().bottom > box.getBoundingClientRect().top);
      return { id: at.dataset.id, top: at.getBoundingClientRect().top, first: box.querySelector(".message").dataset.id };
    });
    await page.waitForFunction((id) => document.querySelector(".message").dataset.id !== id, before.first);
    const top = await page.evaluate((id) => document.querySelector(`[data-id="${id}"]`).getBoundingClientRect().top, before.id);
    assert.ok(Math.abs(top - before.top) < 2, `moved by ${top - before.top}`);
  }
  assert.ok(await page.locator(".message").count() <= 200);
  await page.getByRole("button", { name: "Jump to latest" }).click();
  await page.getByText("Message 9999.").waitFor();
}));

test("two tabs stay in step, and Stop keeps what was said", () => open({ messages: 1, delay_ms: 60 }, async (page, mock, context) => {
  const url = `${mock.url}/c/${mock.db.conversations[0].id}`;
  const other = await context.newPage();
  await page.goto(url);
  await other.goto(url);
  await other.locator(".message").first().waitFor();
  await page.getByRole("textbox", { name: "Message" }).fill("Shared words");
  await page.keyboard.press("Enter");
  await other.getByText("Shared words").waitFor();
  await other.getByText("Good evening").waitFor();
  await other.getByRole("button", { name: "Stop" }).click();
  await page.locator(".message.stopped").waitFor();
  assert.equal(await page.locator(".message.stopped .text").textContent(), await other.locator(".message.stopped .text").textContent());
}));

test("a lost line is said quietly and what was missed arrives", () => open({ messages: 2, delay_ms: 40 }, async (page, mock) => {
  await page.goto(`${mock.url}/c/${mock.db.conversations[0].id}`);
  await page.getByRole("textbox", { name: "Message" }).fill("Hold on");
  await page.keyboard.press("Enter");
  await page.getByText("Good").waitFor();
  mock.dropClients();
  await page.getByText("Reconnecting.").waitFor();
  await page.locator(".message.assistant.complete table").waitFor();
  assert.equal(await page.getByText("Reconnecting.").isVisible(), false);
}));

test("by keyboard only: palette, new chat, send, edit the last message, list of keys", () => open({}, async (page, mock) => {
  await page.goto(mock.url);
  await page.locator(".character").first().waitFor();
  await page.keyboard.press("Control+k");
  await page.keyboard.type("unit");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Unit Seven", level: 1 }).waitFor();
  await page.keyboard.press("Control+Shift+O");
  await page.locator("main .character").first().focus();
  await page.keyboard.press("Enter");
  await page.getByText("You came after all.").waitFor();
  await page.locator("#prompt:focus").waitFor();
  await page.keyboard.type("First try");
  await page.keyboard.press("Enter");
  await page.locator(".message.assistant.complete table").waitFor();
  await page.keyboard.press("ArrowUp");
  await page.locator("textarea:focus").fill("Second try");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByText("Second try").waitFor();
  await page.locator(".message.assistant.complete table").waitFor();
  await page.getByText("2/2").waitFor();
  await page.locator("main").focus();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("dialog").count(), 0);
}));

test("delete is undone from the toast", () => open({ messages: 2 }, async (page, mock) => {
  await page.goto(mock.url);
  await page.getByText("A long evening").waitFor();
  await page.getByRole("button", { name: "Conversation menu: A long evening" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await page.getByText("Conversation deleted.").waitFor();
  assert.equal(await page.getByText("A long evening").count(), 0);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByText("A long evening").waitFor();
}));

test("markup in a message stays text or is dropped", () => open({ messages: 1 }, async (page, mock) => {
  const message = [...mock.db.messages.values()].at(0);
  message.content = 'Hi <img src=x onerror="window.hit=1"><script>window.hit=1</script> [x](javascript:alert(1)) ![p](https://example.com/a.png)';
  await page.goto(`${mock.url}/c/${mock.db.conversations[0].id}`);
  await page.locator(".message .text").getByText("Hi").waitFor();
  assert.equal(await page.locator(".text img, .text script, .text a[href^=javascript]").count(), 0);
  assert.equal(await page.evaluate(() => globalThis.hit), undefined);
}));

test("no model: it says what to do", () => open({ messages: 1, noModel: true }, async (page, mock) => {
  await page.goto(`${mock.url}/c/${mock.db.conversations[0].id}`);
  await page.getByRole("link", { name: "Set up a model" }).click();
  await page.getByText("No model chosen").first().waitFor();
}));

/** How soon that is on a machine, tests/bench/page.mjs measures; here is what it must not wait for. */
test("the first words of a cold page need their own two answers, no module that is not asked for at once, and little weight", () => open({ messages: 30 }, async (page, mock) => {
  const { id } = mock.db.conversations[0], asked = new Map(), needed = ["/api/v1/status", `/api/v1/conversations/${id}`, `/api/v1/conversations/${id}/messages`];
  await page.route("**/*", async (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname.startsWith("/api/") && !needed.includes(pathname)) return; // is never answered
    const answer = await route.fetch();
    if (!pathname.startsWith("/api/")) asked.set(pathname, gzipSync(await answer.body()).length);
    await route.fulfill({ response: answer });
  });
  await page.goto(`${mock.url}/c/${id}`, { waitUntil: "commit" });
  await page.getByText("Message 29.").waitFor();
  const named = await page.evaluate(() => [...document.querySelectorAll("link[rel=modulepreload], link[rel=stylesheet], script[src]")].map((one) => new URL(one.href || one.src).pathname));
  const bytes = named.reduce((sum, one) => sum + asked.get(one), 0);
  assert.deepEqual([...asked.keys()].filter((one) => /\.(m?js|css)$/.test(one) && !named.includes(one)), [], "the page names every module and style sheet: none is found only by reading another");
  assert.ok(bytes > 10000 && bytes <= FIRST_BYTES, `${bytes} bytes`);
}));
