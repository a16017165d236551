/** activity.test.mjs - the queue in a real browser against the mock: order by keys and by dragging, pause, cancel, retry, filters. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DESKTOP, SHOTS, SMALL_PHONE, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";

let browser;
before(async () => { mkdirSync(SHOTS, { recursive: true }); browser = await launch(); });
after(() => browser.close());

const PROMPTS = ["A done one", "A failed one", "A running one", "First in line", "Second in line", "Third in line"];
async function open(run, { device = DESKTOP, jobs = true } = {}) {
  const mock = await startMock({ signedIn: true });
  const context = await browser.newContext(device);
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  const wrong = watch(page, mock.url);
  const { pictures } = mock;
  try {
    if (jobs) {
      for (const prompt of PROMPTS) await fetch(`${mock.url}/api/v1/jobs`, { method: "POST", headers: { "content-type": "application/json", "x-csrf-token": "token" }, body: JSON.stringify({ prompt, width: 256, height: 256 }) });
      const [done, failed, running] = [...pictures.jobs].reverse();
      pictures.start(done); pictures.finish(done);
      pictures.start(failed); pictures.fail(failed, "The service answered too late.");
      pictures.start(running); pictures.step(running, 3);
    }
    await page.goto(`${mock.url}/activity`);
    await run(page, mock);
    assert.deepEqual(wrong, []);
  } finally { await context.close(); await mock.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };
const shown = (page) => page.locator(".activity-prompt").allTextContents();
const order = (page, wanted) => page.waitForFunction((text) => [...document.querySelectorAll(".activity-prompt")].map((one) => one.textContent).join() === text, wanted.join());
const queued = ["A running one", "First in line", "Second in line", "Third in line"], ended = ["A failed one", "A done one"];

test("what runs, what waits in its order, what ended; order by keys, with the focus kept", () => open(async (page, mock) => {
  await order(page, [...queued, ...ended]);
  await page.getByText("Failed: The service answered too late.").waitFor();
  await page.getByText("Step 3 of 8").waitFor();
  await axe(page, "activity");
  const third = page.locator(".activity-row", { hasText: "Third in line" });
  for (let n = 0; n < 60 && !(await third.evaluate((it) => it === document.activeElement)); n++) await page.keyboard.press("Tab");
  await page.keyboard.press("Alt+ArrowUp");
  await order(page, ["A running one", "First in line", "Third in line", "Second in line", ...ended]);
  assert.ok(await third.evaluate((it) => it === document.activeElement));
  await page.keyboard.press("Alt+ArrowUp");
  await order(page, ["A running one", "Third in line", "First in line", "Second in line", ...ended]);
  await page.getByText("Now number 1 of 3").waitFor({ state: "attached" });
  await page.keyboard.press("Delete");
  await page.waitForFunction(() => document.querySelector(".activity-row.cancelled"));
  assert.equal(mock.pictures.jobs.find((one) => one.prompt === "Third in line").state, "cancelled");
}));

test("order by dragging; priority by the menu", () => open(async (page, mock) => {
  await order(page, [...queued, ...ended]);
  const row = (text) => page.locator(".activity-row", { hasText: text });
  await row("Third in line").dragTo(row("First in line"), { targetPosition: { x: 200, y: 6 } });
  await order(page, ["A running one", "Third in line", "First in line", "Second in line", ...ended]);
  await row("Second in line").getByRole("button", { name: "Job menu" }).click();
  await page.getByRole("menuitemradio", { name: "High priority" }).click();
  await order(page, ["A running one", "Second in line", "Third in line", "First in line", ...ended]);
  assert.equal(mock.pictures.jobs.find((one) => one.prompt === "Second in line").priority, 5);
}));

test("pause and resume; cancel all and undo; retry; filters", () => open(async (page, mock) => {
  await order(page, [...queued, ...ended]);
  await page.getByRole("button", { name: "Pause the queue" }).click();
  await page.getByRole("button", { name: "Resume" }).waitFor();
  assert.equal(mock.pictures.queue.paused, true);
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Pause the queue" }).waitFor();
  await page.getByRole("button", { name: "Failed" }).click();
  await order(page, ["A failed one"]);
  await page.getByRole("button", { name: "Retry" }).click();
  await page.getByRole("button", { name: "Active" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".activity-row").length === 5);
  await page.getByRole("button", { name: "Cancel all" }).click();
  await page.getByText("5 cancelled.").waitFor();
  await page.getByText("No such jobs.").waitFor();
  await page.getByRole("button", { name: "Undo" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".activity-row").length === 5);
  assert.equal((await shown(page)).length, 5);
}));

test("nothing yet: it says what belongs here", () => open(async (page) => {
  await page.getByRole("heading", { name: "Nothing has been asked for yet" }).waitFor();
  await axe(page, "activity, empty");
}, { jobs: false }));

test("a small phone", () => open(async (page) => {
  await order(page, [...queued, ...ended]);
  assert.equal(await sideways(page), 0);
  await axe(page, "activity, phone");
  await shoot(page, "activity-small-phone-light");
  await page.locator(".activity-row", { hasText: "Second in line" }).getByRole("button", { name: "Cancel" }).tap();
  await page.locator(".activity-row.cancelled").waitFor();
}, { device: SMALL_PHONE }));

for (const colorScheme of ["light", "dark"])
  test(`pictures of Activity to look at, ${colorScheme}`, () => open(async (page) => {
    await order(page, [...queued, ...ended]);
    await axe(page, `activity, ${colorScheme}`);
    await shoot(page, `activity-desktop-${colorScheme}`);
  }, { device: { ...DESKTOP, colorScheme } }));
