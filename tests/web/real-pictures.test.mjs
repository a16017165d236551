/**
 * real-pictures.test.mjs - Create, Activity and the library on the real server, with the scripted picture service.
 *
 * Skipped as real.test.mjs is.
 */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DESKTOP, ENGINE_MS, SHOTS, SMALL_PHONE, TEST_MS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { pictureEngine, startReal, unavailable } from "./real-server.mjs";

const skip = unavailable;
const MODELS = ["picture", "slow", "hang", "fail"];
let browser, server, cookies;
/** A call of the API as the page makes it. */
const call = (page, method, path, body) => page.evaluate(async ([method, path, body]) => {
  const { csrf_token } = await (await fetch("/api/v1/status")).json();
  const answer = await fetch(`/api/v1${path}`, { method, headers: { "X-CSRF-Token": csrf_token, ...(body ? { "Content-Type": "application/json" } : {}) }, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? null : answer.json();
}, [method, path, body]);

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  [browser, server] = await Promise.all([launch(), startReal(["--outbound-private", "127.0.0.1"])]);
  const context = await browser.newContext(DESKTOP), page = await context.newPage();
  await page.goto(server.setupUrl);
  await page.getByLabel("Your name").fill("Ada");
  await page.getByLabel("Password").fill("correct horse battery");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Who do you want to talk to?" }).waitFor();
  await call(page, "POST", "/providers", { preset: "fake" });
  for (const name of MODELS) await call(page, "POST", "/picture-entries", { provider_kind: "fake", remote_id: name, name: `Scripted: ${name}`, description: "For tests.", kind: "picture", safety: "general", tasks: ["txt2img", "img2img", "inpaint", "edit"], width: 256, height: 256, size_multiple: 8, size_min: 64, size_max: 1024, negative: true, masks: true, cancel: true, params: [{ name: "steps", type: "integer", label: "Steps", min: 1, max: 200, default: 4 }, { name: "strength", type: "number", label: "How much changes", min: 0, max: 1, step: 0.01, default: 0.75 }] });
  cookies = await context.cookies();
  await context.close();
}, { timeout: TEST_MS });
after(async () => { await browser?.close(); await server?.close(); });

async function open(run, device = DESKTOP) {
  const context = await browser.newContext(device);
  await context.addCookies(cookies);
  const page = await context.newPage();
  const wrong = watch(page, server.url);
  try { await run(page); assert.deepEqual(wrong, []); } finally { await context.close(); }
}
const prompt = (page) => page.getByRole("textbox", { name: "Prompt", exact: true });
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };
async function choose(page, name) {
  await page.getByRole("button", { name: /Change model/ }).click();
  await page.getByRole("radio", { name: new RegExp(`Scripted: ${name}`) }).click();
}

test("from a prompt to the library, by keyboard; what made it is known", { skip }, () => open(async (page) => {
  await page.goto(`${server.url}/create`);
  await choose(page, "picture");
  await prompt(page).fill("A lighthouse in a storm");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("link", { name: /Open: A lighthouse/ }).waitFor();
  await axe(page, "create, real");
  await shoot(page, "create-real-desktop-light");
  await page.getByRole("link", { name: /Open: A lighthouse/ }).focus();
  await page.keyboard.press("Enter");
  await page.locator(".viewer .stage img").waitFor();
  await page.keyboard.press("i");
  await page.getByRole("button", { name: "Copy Seed" }).waitFor();
  await axe(page, "viewer, real");
  await shoot(page, "viewer-real-desktop-light");
  await page.keyboard.press("Escape");
  await page.locator(".pic img.in").first().waitFor();
  await page.locator(".pic").first().focus();
  await page.keyboard.press(".");
  await page.keyboard.press("4");
  await page.waitForFunction(() => fetch("/api/v1/assets?starred=true&rating=4").then((answer) => answer.json()).then((it) => it.items.length === 1));
  await page.goto(`${server.url}/library?starred=true&rating=4`);
  await page.locator(".pic").first().waitFor();
}));

test("a slow one counts its steps, survives a reload, and Cancel ends it; a failure says why", { skip }, () => open(async (page) => {
  await page.goto(`${server.url}/create`);
  await choose(page, "slow");
  await page.getByRole("button", { name: "More", exact: true }).click();
  await page.getByRole("spinbutton", { name: "Steps" }).fill("200");
  await page.getByLabel("How many").selectOption("4"); // 40 s: it is not over when the page is back
  await prompt(page).fill("Slowly");
  await page.keyboard.press("Control+Enter");
  await page.getByText(/Step \d+ of 200/).waitFor();
  await page.reload();
  await page.getByText(/Step \d+ of 200/).waitFor();
  await page.getByRole("button", { name: "Cancel" }).first().click();
  await page.locator(".job.cancelled").waitFor();
  await choose(page, "fail");
  await prompt(page).fill("This one fails");
  await page.keyboard.press("Control+Enter");
  await page.getByText(/The scripted service failed/).waitFor();
}));

test("the local engine: the picture grows, step by step, and Cancel stops a running one", { skip: skip || (pictureEngine ? false : "the picture engine is not built") }, () => open(async (page) => {
  await page.goto(`${server.url}/create`);
  await page.getByRole("button", { name: /Change model/ }).click();
  await page.getByRole("radio", { name: /Mini/ }).click();
  await page.getByRole("button", { name: "More", exact: true }).click();
  await page.getByRole("spinbutton", { name: "Steps" }).fill("20");
  await prompt(page).fill("A paper boat");
  await page.evaluate(() => { globalThis.seen = new Set(); globalThis.steps = new Set(); new MutationObserver(() => { const src = document.querySelector(".tile .preview")?.getAttribute("src"), step = /Step \d+ of 20/.exec(document.querySelector(".job-state")?.textContent ?? ""); if (src) globalThis.seen.add(src); if (step) globalThis.steps.add(step[0]); }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["src"] }); });
  await page.keyboard.press("Control+Enter");
  await page.getByRole("link", { name: /Open: A paper boat/ }).waitFor({ timeout: ENGINE_MS });
  assert.ok(await page.evaluate(() => globalThis.seen.size) >= 2, "more than one preview was shown");
  assert.ok(await page.evaluate(() => globalThis.steps.size) >= 2, "more than one step was told");
  await page.getByRole("spinbutton", { name: "Steps" }).fill("50");
  await page.getByLabel("How many").selectOption("4");
  await prompt(page).fill("Never finished");
  await page.keyboard.press("Control+Enter");
  await page.locator(".job.running", { hasText: "Never finished" }).getByText(/Step \d+ of 50/).waitFor({ timeout: ENGINE_MS });
  await page.locator(".job", { hasText: "Never finished" }).getByRole("button", { name: "Cancel" }).click();
  await page.locator(".job.cancelled", { hasText: "Never finished" }).waitFor();
}));

test("what waits can be moved, paused and cancelled", { skip }, () => open(async (page) => {
  await page.goto(`${server.url}/activity`);
  await page.locator(".activity-row").first().waitFor();
  await page.getByRole("button", { name: "Pause the queue" }).click();
  await page.getByRole("button", { name: "Resume" }).waitFor();
  const models = await call(page, "GET", "/picture-models"), model = models.items.find((one) => one.name === "Scripted: picture").id;
  for (const one of ["One", "Two", "Three"]) await call(page, "POST", "/jobs", { model, prompt: one });
  const order = (wanted) => page.waitForFunction((text) => [...document.querySelectorAll(".activity-row.queued .activity-prompt")].map((it) => it.textContent).join() === text, wanted);
  await order("One,Two,Three");
  await page.locator(".activity-row", { hasText: "Three" }).focus();
  await page.keyboard.press("Alt+ArrowUp");
  await order("One,Three,Two");
  await axe(page, "activity, real");
  await shoot(page, "activity-real-desktop-light");
  await page.locator(".activity-row", { hasText: "Two" }).getByRole("button", { name: "Cancel" }).click();
  await order("One,Three");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".activity-row.queued").length === 0 && document.querySelectorAll(".activity-row.done").length >= 3);
}));

test("upload, board, trash and undo, share", { skip }, () => open(async (page) => {
  await page.goto(`${server.url}/library`);
  await page.locator(".pic img.in").first().waitFor();
  const before = await page.locator(".pic").count();
  const file = await page.evaluate(async () => { const it = document.createElement("canvas"); it.width = 300; it.height = 200; const ink = it.getContext("2d"); ink.fillStyle = "teal"; ink.fillRect(0, 0, 300, 200); return [...new Uint8Array(await (await new Promise((done) => it.toBlob(done))).arrayBuffer())]; });
  await page.locator(".library-head input[type=file]").setInputFiles({ name: "teal.png", mimeType: "image/png", buffer: Buffer.from(file) });
  await page.waitForFunction((n) => document.querySelectorAll(".pic").length === n, before + 1);
  await page.locator(".pic").first().click({ modifiers: ["Control"] });
  await page.locator(".selection").getByRole("button", { name: "Board" }).click();
  await page.getByRole("menuitem", { name: "New board" }).click();
  await page.keyboard.type("Sea");
  await page.keyboard.press("Enter");
  await page.getByText("1 added to Sea.").waitFor();
  await page.locator(".selection").getByRole("button", { name: "Delete" }).click();
  await page.waitForFunction((n) => document.querySelectorAll(".pic").length === n, before);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.waitForFunction((n) => document.querySelectorAll(".pic").length === n, before + 1);
  await page.locator(".pic").first().click();
  await page.getByRole("button", { name: "Share with a link" }).click();
  await page.getByRole("button", { name: "Make a link and copy it" }).click();
  await page.locator(".share a").waitFor();
}));

test("an edit with a mask knows its parent", { skip }, () => open(async (page) => {
  const list = await (await page.goto(`${server.url}/api/v1/assets?limit=1`)).json();
  await page.goto(`${server.url}/create/edit/${list.items[0].id}`);
  await page.locator("canvas.paint").waitFor();
  await page.getByRole("button", { name: "Brush" }).waitFor();
  const box = await page.locator("canvas.paint").boundingBox();
  await page.mouse.move(box.x + box.width * 0.45, box.y + box.height * 0.5);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.55, box.y + box.height * 0.5, { steps: 5 });
  await page.mouse.up();
  await page.getByLabel("Model").selectOption({ label: "Scripted: picture · Fake" });
  await prompt(page).fill("A red boat");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("link", { name: "Edit further" }).waitFor();
  await page.getByRole("link", { name: /Open: A red boat/ }).click();
  await page.locator(".film a").nth(1).waitFor();
}));

for (const [device, options] of [["desktop", DESKTOP], ["small phone", SMALL_PHONE]])
  for (const colorScheme of ["light", "dark"])
    test(`pictures' views, ${device}, ${colorScheme}: axe, fit`, { skip }, () => open(async (page) => {
      for (const [path, ready] of [["create", ".job"], ["library", ".pic img.in"], ["activity", ".activity-row"]]) {
        await page.goto(`${server.url}/${path}`);
        await page.locator(ready).first().waitFor();
        await axe(page, `${path} ${device} ${colorScheme}`);
        assert.equal(await sideways(page), 0, `${path} does not scroll sideways`);
      }
    }, { ...options, colorScheme }));
