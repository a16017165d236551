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
async function open(run, { device = DESKTOP, jobs = true, upscaler = false, held = false, allow } = {}) {
  const mock = await startMock({ signedIn: true, upscaler });
  const context = await browser.newContext(device);
  const page = await context.newPage();
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
    if (held) mock.release = mock.holdEvents();
    await page.goto(`${mock.url}/activity`);
    await run(page, mock);
    assert.deepEqual(wrong.filter((one) => !allow?.test(one)), []);
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

test("not before a time, by the menu; at once again; what follows is enlarged; the pace of what runs", () => open(async (page, mock) => {
  await order(page, [...queued, ...ended]);
  await page.getByText("Step 3 of 8").waitFor();
  mock.pictures.step(mock.pictures.jobs.find((one) => one.state === "running"), 4);
  await page.getByText(/Step 4 of 8 · 0\.50 s a step · 2 s left/).waitFor();
  const again = page.waitForResponse((response) => response.url().includes("/jobs?state=active"));
  mock.emit("queue.updated", { queue: { ...mock.pictures.queue } }); // the list is asked for again, and says the same
  await (await again).finished();
  await page.getByText(/Step 4 of 8 · 0\.50 s a step · 2 s left/).waitFor();
  const row = page.locator(".activity-row", { hasText: "Third in line" }), job = mock.pictures.jobs.find((one) => one.prompt === "Third in line");
  const pick = async (name) => { await row.getByRole("button", { name: "Job menu" }).click(); await page.getByRole("menuitem", { name }).click(); };
  await pick("Not before…");
  await axe(page, "activity, not before");
  await page.getByRole("dialog").getByLabel("Not before").fill("2099-01-02T03:04");
  await page.keyboard.press("Enter");
  await row.getByText(/Not before .*2099/).waitFor();
  assert.equal(job.not_before, new Date("2099-01-02T03:04").toISOString());
  const high = await row.evaluate((one) => one.clientHeight);
  await pick("Start at once");
  await page.waitForFunction(() => ![...document.querySelectorAll(".activity-state")].some((one) => /2099/.test(one.textContent)));
  assert.equal(job.not_before, null);
  mock.pictures.start(job);
  mock.pictures.step(job, 2);
  await row.getByText(/Step 2 of 8/).waitFor();
  assert.equal(await row.evaluate((one) => one.clientHeight), high, "the row keeps its height");
  await pick("Then enlarge");
  await page.waitForFunction(() => document.querySelectorAll(".activity-row").length === 7);
  assert.deepEqual([mock.pictures.jobs[0].task, mock.pictures.jobs[0].depends_on], ["upscale", job.id]);
}, { upscaler: true }));

test("what happens while the line to the server is being opened arrives", () => open(async (page, mock) => {
  await page.getByText("Step 3 of 8").waitFor();
  mock.pictures.step(mock.pictures.jobs.find((one) => one.state === "running"), 4);
  assert.equal(await page.getByText(/Step 4 of 8/).count(), 0, "nothing tells it yet");
  mock.release();
  await page.getByText(/Step 4 of 8 · 0\.50 s a step · 2 s left/).waitFor();
}, { held: true }));

test("a picture dropped on the list goes to Create, which asks what it shall be", () => open(async (page) => {
  await page.locator(".activity-row").first().evaluate((row) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob("iVBORw0KGgo="), (one) => one.charCodeAt(0))], "a.png", { type: "image/png" }));
    row.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  await page.waitForURL("**/create");
  await page.getByText("What should happen with this picture?").waitFor();
}, { allow: /recall|404/ }));

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
