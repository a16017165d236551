/** create.test.mjs - Create in a real browser against the mock: the form, the stream, keyboard, touch, axe, screenshots. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DESKTOP, PHONE, SHOTS, SMALL_PHONE, axe, launch, sideways, still, until, watch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";
import { png } from "./mock-pictures.mjs";

let browser;
before(async () => { mkdirSync(SHOTS, { recursive: true }); browser = await launch(); });
after(() => browser.close());

export async function open(options, run, { device = DESKTOP, path = "/create", allow } = {}) {
  const mock = await startMock({ signedIn: true, ...options });
  const context = await browser.newContext(device);
  const page = await context.newPage();
  const wrong = watch(page, mock.url);
  try {
    await page.goto(mock.url + path);
    await run(page, mock, context);
    assert.deepEqual(wrong.filter((one) => !allow?.test(one)), []);
  } finally { await context.close(); await mock.close(); }
}
const prompt = (page) => page.getByRole("textbox", { name: "Prompt", exact: true });
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };

test("a picture by keyboard alone: prompt, generate, growing preview, result, open it", () => open({}, async (page, mock) => {
  await prompt(page).and(page.locator(":focus")).waitFor();
  await page.keyboard.type("A lighthouse in a storm");
  await page.getByText("about 4 s").waitFor();
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 1);
  const [job] = mock.pictures.jobs;
  assert.deepEqual({ model: job.model, width: job.request.width, height: job.request.height, count: job.count, task: job.task }, { model: "local/starter", width: 256, height: 256, count: 1, task: "txt2img" });
  await page.getByText("Number 1 in line").waitFor();
  mock.pictures.start(job);
  mock.pictures.step(job, 3);
  await page.getByText("Step 3 of 8 · 0.50 s a step · 3 s left").waitFor();
  mock.pictures.preview(job);
  await page.locator(".tile .preview").waitFor();
  assert.equal(await page.getByRole("progressbar", { name: "Progress: A lighthouse in a storm" }).getAttribute("aria-valuenow"), "38", "three of eight steps, also for whoever hears the page");
  await axe(page, "create, running");
  await page.keyboard.press("Control+Enter");
  await page.locator(".job").nth(1).waitFor();
  mock.pictures.finish(job);
  const link = page.getByRole("link", { name: /Open: A lighthouse/ });
  await link.waitFor();
  assert.equal(await page.locator(".job").nth(1).locator("img").count(), 1, "the older job stands below and has its picture");
  await link.focus();
  await page.keyboard.press(".");
  await until(page, () => job.assets[0].starred);
  await page.locator(".tile.starred").waitFor();
}));

test("what is shown survives a reload: the form, running, waiting and ended jobs", () => open({}, async (page, mock) => {
  await prompt(page).fill("First");
  await page.getByLabel("How many").selectOption("4");
  await page.getByText("3:2", { exact: true }).click();
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 1);
  const [job] = mock.pictures.jobs;
  assert.equal(job.request.width / job.request.height > 1.4, true);
  mock.pictures.start(job); mock.pictures.step(job, 2); mock.pictures.picture(job);
  await page.locator(".tile-link").waitFor();
  assert.equal(await page.locator(".tile").count(), 4);
  assert.equal(await page.locator(".tile").first().locator(".tile-link").count(), 1, "the first picture stands first");
  await page.reload();
  await page.locator(".tile-link").waitFor();
  assert.equal(await page.locator(".tile").count(), 4);
  assert.equal(await prompt(page).inputValue(), "First");
  assert.equal(await page.getByLabel("How many").inputValue(), "4");
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("Cancelled").waitFor();
  assert.equal(await page.locator(".tile").count(), 1, "what was ready stays");
  await page.getByRole("button", { name: "Retry" }).click();
  await until(page, () => mock.pictures.jobs.length === 2);
  mock.pictures.fail(mock.pictures.jobs[0], "The engine ran out of memory. Choose a smaller size.");
  await page.getByText("The engine ran out of memory. Choose a smaller size.").waitFor();
  await axe(page, "create, failed");
}));

test("the form is what the model takes", () => open({}, async (page, mock) => {
  await page.getByRole("button", { name: "More", exact: true }).click();
  for (const label of ["Leave out", "Steps", "Guidance (CFG)", "Sampler", "Seed", "CLIP skip"]) await page.getByLabel(label, { exact: true }).first().waitFor();
  await page.getByRole("spinbutton", { name: "Steps" }).fill("12");
  await page.getByRole("spinbutton", { name: "Seed", exact: true }).fill("77");
  await page.getByRole("button", { name: "Add a LoRA" }).click();
  await page.keyboard.type("soft-light");
  await axe(page, "create, more");
  await prompt(page).fill("A fox");
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 1);
  const { request } = mock.pictures.jobs[0];
  assert.deepEqual([request.steps, request.seed, request.loras], [12, 77, [{ name: "soft-light", weight: 1 }]]);
  await page.getByRole("button", { name: /Change model/ }).click();
  await page.getByText("Not ready. Its files are not here yet.").waitFor();
  await axe(page, "create, models");
  await page.getByRole("radio", { name: /GPT Image 1/ }).click();
  await page.getByLabel("Quality").waitFor();
  assert.equal(await page.getByLabel("Steps", { exact: true }).count(), 0);
  assert.equal(await page.getByLabel("Leave out", { exact: true }).count(), 0);
  await page.locator(".estimate", { hasText: "$0.042" }).waitFor();
  assert.equal(await page.locator(".shape").count(), 3);
  await page.getByRole("button", { name: "Anime" }).click();
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 2);
  assert.deepEqual([mock.pictures.jobs[0].model, mock.pictures.jobs[0].request.style, mock.pictures.jobs[0].request.steps], ["prv_1/gpt-image-1", "anime", undefined]);
}));

test("a style of one's own: made, chosen, sent", () => open({}, async (page, mock) => {
  await prompt(page).fill("ink drawing");
  await page.getByRole("button", { name: "Styles: more" }).click();
  await page.getByRole("menuitem", { name: "New style" }).click();
  await page.keyboard.type("Ink");
  await axe(page, "create, style");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Ink" }).click();
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 1);
  assert.match(mock.pictures.jobs[0].request.style, /^sty_/);
  await page.getByRole("button", { name: "Styles: more" }).click();
  await page.getByRole("menuitem", { name: "Edit this style" }).click();
  assert.equal(await page.getByRole("dialog").getByLabel("Prompt").inputValue(), "{prompt}, ink drawing");
}));

test("styles: bring in a styles.csv, share one, delete it and take that back", () => open({}, async (page, mock) => {
  const more = (name) => page.getByRole("button", { name: "Styles: more" }).click().then(() => page.getByRole("menuitem", { name }).click());
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), more("Import styles.csv")]);
  await chooser.setFiles({ name: "styles.csv", mimeType: "text/csv", buffer: Buffer.from("name,prompt,negative_prompt\nInk,{prompt} in ink,colour\nWax,{prompt} in wax,") });
  await page.getByText("2 styles imported.").waitFor();
  await page.getByRole("button", { name: "Wax" }).click();
  await more("Edit this style");
  await page.getByLabel("Everybody here may use it").check();
  await page.getByRole("button", { name: "Save" }).click();
  await until(page, () => mock.pictures.styles.find((one) => one.name === "Wax").shared);
  await more("Delete Wax");
  await page.getByText("Wax deleted.").waitFor();
  await page.waitForFunction(() => ![...document.querySelectorAll(".style-name")].some((one) => one.textContent === "Wax"));
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("button", { name: "Wax" }).waitFor();
}));

test("a style's picture: none is drawn, chosen in the viewer it stands on the chip, and stays", () => open({ library: 3 }, async (page, mock) => {
  const face = page.locator(".style-chip", { hasText: "Lux" }).locator(".style-face");
  await page.locator(".style-chip", { hasText: "Lux" }).locator(".style-face.blank").waitFor();
  await page.goto(`${mock.url}/library/${mock.pictures.all[0].id}`);
  await page.getByRole("button", { name: "Picture actions: More" }).click();
  await page.getByRole("menuitem", { name: "Use as a style's picture" }).click();
  await axe(page, "style's picture");
  await page.getByRole("dialog").getByRole("button", { name: "Lux" }).click();
  await page.getByText("This is the picture of Lux now.").waitFor();
  await page.goto(`${mock.url}/create`);
  await page.waitForFunction((id) => [...document.querySelectorAll(".style-chip img")].some((one) => one.src.includes(id)), mock.pictures.all[0].id);
  assert.equal(await face.evaluate((one) => one.tagName), "IMG");
}));

test("a control picture: chosen by keyboard, its kind and strength are sent; a model without says so; recalled", () => open({ library: 6, control: true }, async (page, mock) => {
  await page.getByRole("button", { name: "More", exact: true }).click();
  await page.getByRole("button", { name: "Add a control picture" }).click();
  await page.locator(".picker-one").nth(2).waitFor();
  await axe(page, "create, picker");
  await page.locator(".picker-one").first().focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await page.getByLabel("What it controls").selectOption("depth");
  await page.getByText("A depth map: near is light, far is dark.").waitFor();
  await page.getByLabel("How strictly").fill("0.6");
  await axe(page, "create, control");
  await shoot(page, "create-control-desktop-light");
  await prompt(page).fill("A stone bridge");
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 1);
  const { request } = mock.pictures.jobs[0];
  assert.deepEqual([request.task, request.control_asset, request.control_type, request.control_strength], ["txt2img", mock.pictures.all[1].id, "depth", 0.6]);
  await page.reload();
  assert.equal(await page.getByLabel("What it controls").inputValue(), "depth", "a reload keeps it");
  await page.getByRole("button", { name: /Change model/ }).click();
  await page.getByRole("radio", { name: /GPT Image 1/ }).click();
  await page.getByText("GPT Image 1 takes no control picture: it is left out.").waitFor();
  // what a service suggests is a list; anything else may be typed
  assert.equal(await page.getByLabel("Style preset").evaluate((one) => [...one.list.options].map((it) => it.value).join()), "Film noir,Watercolor");
  await page.getByLabel("Style preset").fill("Film noir");
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 2);
  assert.deepEqual([mock.pictures.jobs[0].request.control_asset, mock.pictures.jobs[0].request.extra], [undefined, { style_preset: "Film noir" }]);
  await page.getByRole("button", { name: "Remove the control picture" }).click();
  assert.equal(await page.locator(".control-input").isVisible(), false);
  await page.locator(".job").nth(1).getByRole("button", { name: "Remix" }).click();
  assert.equal(await page.getByLabel("What it controls").inputValue(), "depth", "remix brings it back");
}));

test("use as control, from the viewer: a model that takes one is chosen; a file dropped on it replaces it", () => open({ library: 3, control: true }, async (page, mock) => {
  await page.getByRole("button", { name: /Change model/ }).click();
  await page.getByRole("radio", { name: /GPT Image 1/ }).click();
  await page.goto(`${mock.url}/library/${mock.pictures.all[0].id}`);
  await page.getByRole("button", { name: "Picture actions: More" }).click();
  await page.getByRole("menuitem", { name: "Use as control" }).click();
  await page.getByLabel("What it controls").waitFor();
  await page.getByText("Starter (test pattern)").first().waitFor();
  await page.locator(".control-input").evaluate((box, bytes) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "pose.png", { type: "image/png" }));
    box.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  }, [...png(4)]);
  await until(page, () => mock.pictures.uploads.length === 1);
  await page.waitForFunction((id) => document.querySelector(".control-input img")?.src.includes(id), mock.pictures.all[0].id);
  assert.equal(await page.locator(".dropped").isVisible(), false, "it is not asked what it shall be");
}));

test("Mini shows what it is good at: a sample becomes the prompt, and is made as asked", () => open({ mini: true }, async (page, mock) => {
  await page.getByText("not for scenes, people or text").waitFor();
  await page.getByText("For more than that, get a full model or connect a service:").waitFor();
  assert.equal(await page.getByRole("link", { name: "Models to download" }).getAttribute("href"), "/settings/models");
  assert.deepEqual(await page.locator(".sample").allTextContents(), ["a red apple", "a hamburger", "a purple heart on a yellow background", "a tulip"]);
  assert.deepEqual(await page.locator(".shape").allTextContents(), ["256², 256 × 256", "128², 128 × 128"]);
  await axe(page, "create, Mini");
  await page.getByRole("button", { name: "a red apple" }).click();
  assert.equal(await prompt(page).inputValue(), "a red apple");
  await prompt(page).and(page.locator(":focus")).waitFor();
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 1);
  const [job] = mock.pictures.jobs;
  assert.deepEqual([job.model, job.prompt, job.request.width, job.request.height], ["local/mini", "a red apple", 256, 256]);
}));

test("samples: with another model the page's own", () => open({ mini: true }, async (page) => {
  await page.getByRole("button", { name: "a red apple" }).waitFor();
  await page.getByRole("button", { name: /Change model/ }).click();
  await page.getByRole("radio", { name: /GPT Image 1/ }).click();
  await page.locator(".sample", { hasText: "lighthouse" }).waitFor();
  assert.equal(await page.getByText("For more than that").count(), 0);
}));

test("Create begins with what the server takes when no model is named", () => open({ mini: true, usual: "prv_1/gpt-image-1" }, async (page, mock) => {
  await page.getByRole("button", { name: /Change model/ }).filter({ hasText: "GPT Image 1" }).waitFor();
  await prompt(page).fill("a fox");
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 1);
  assert.equal(mock.pictures.jobs[0].model, "prv_1/gpt-image-1");
}));

for (const [name, device, scheme] of [["desktop-light", DESKTOP, "light"], ["desktop-dark", DESKTOP, "dark"], ["phone-light", PHONE, "light"], ["phone-dark", PHONE, "dark"]]) {
  test(`Mini, ${name}`, () => open({ mini: true }, async (page) => {
    await page.emulateMedia({ colorScheme: scheme });
    await page.getByRole("button", { name: "a red apple" }).waitFor();
    assert.equal(await sideways(page), 0);
    await shoot(page, `create-mini-${name}`);
    await page.locator(".create-empty .button").last().scrollIntoViewIfNeeded();
    await shoot(page, `create-mini-${name}-below`);
  }, { device }));
}

test("then enlarge: a second job that waits for the first, before and after the first was asked for; not before a time", () => open({ upscaler: true }, async (page, mock) => {
  await prompt(page).fill("A fox");
  await page.getByLabel("Then enlarge it").check();
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 2);
  const [then, first] = mock.pictures.jobs;
  assert.deepEqual([then.task, then.depends_on, then.model], ["upscale", first.id, "local/flux-schnell"]);
  await page.getByText(/waits for another job/).waitFor();
  await page.getByLabel("Then enlarge it").uncheck();
  await page.getByRole("button", { name: "More", exact: true }).click();
  await page.getByLabel("Not before").fill("2099-01-02T03:04");
  await page.getByText(/Starts .*2099.* at the earliest/).waitFor();
  await prompt(page).focus();
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 3);
  assert.equal(mock.pictures.jobs[0].request.not_before, new Date("2099-01-02T03:04").toISOString());
  await page.getByText(/Not before .*2099/).waitFor();
  await page.getByText(/at the earliest/).waitFor({ state: "hidden" });
  await page.locator(".job").first().getByRole("button", { name: "Then enlarge" }).click();
  await until(page, () => mock.pictures.jobs.length === 4 && mock.pictures.jobs[0].depends_on === mock.pictures.jobs[1].id);
}));

test("a toast stands above an open dialog and its button can be pressed", () => open({ library: 3 }, async (page, mock) => {
  await page.goto(`${mock.url}/library/${mock.pictures.all[0].id}`);
  await page.getByRole("button", { name: "Share with a link" }).click();
  await page.getByRole("button", { name: "Make a link and copy it" }).click();
  const toast = page.locator(".toast", { hasText: "Copied" });
  await toast.waitFor();
  assert.ok(await toast.evaluate((one) => { const at = one.getBoundingClientRect(); return one.contains(document.elementFromPoint(at.left + at.width / 2, at.top + at.height / 2)); }), "nothing lies over it");
  await toast.getByRole("button", { name: "Close" }).click();
  await toast.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Revoke this link" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.locator("body > #toasts").waitFor({ state: "attached" }); // it is back in the page for the next one
}));

test("prompt keys: history and weights", () => open({}, async (page) => {
  await prompt(page).fill("a red cat");
  await page.waitForFunction(() => true);
  await page.keyboard.press("Alt+ArrowUp");
  await page.waitForFunction(() => document.querySelector("#picture-prompt").value === "An earlier prompt");
  await page.keyboard.press("Alt+ArrowUp");
  assert.equal(await prompt(page).inputValue(), "The first prompt");
  await page.keyboard.press("Alt+ArrowDown");
  await page.keyboard.press("Alt+ArrowDown");
  assert.equal(await prompt(page).inputValue(), "a red cat");
  await prompt(page).evaluate((it) => it.setSelectionRange(2, 5));
  await page.keyboard.press("Control+ArrowUp");
  assert.equal(await prompt(page).inputValue(), "a (red:1.1) cat");
  await page.keyboard.press("Control+ArrowUp");
  assert.equal(await prompt(page).inputValue(), "a (red:1.2) cat");
  await page.keyboard.press("Control+ArrowDown");
  await page.keyboard.press("Control+ArrowDown");
  assert.equal(await prompt(page).inputValue(), "a red cat");
}));

test("a dropped picture: recall its parameters, or start from it", () => open({}, async (page, mock) => {
  const drop = (data) => page.evaluate((bytes) => { const file = new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }), data = new DataTransfer(); data.items.add(file); document.querySelector(".create").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })); }, [...data]);
  await prompt(page).waitFor();
  await drop(png(5, 24, 24, "A glass garden\nNegative prompt: blurry\nSteps: 12, Sampler: Euler a, Seed: 987654321"));
  await page.getByText("It says how it was made (a1111).").waitFor();
  await axe(page, "create, dropped");
  await page.getByRole("button", { name: "Recall its parameters" }).click();
  assert.equal(await prompt(page).inputValue(), "A glass garden");
  await page.getByRole("button", { name: "More", exact: true }).click();
  assert.equal(await page.getByRole("spinbutton", { name: "Steps" }).inputValue(), "12");
  assert.equal(await page.getByRole("spinbutton", { name: "Seed", exact: true }).inputValue(), "987654321");
  await drop(png(6, 24, 24));
  await page.getByRole("button", { name: "Use as input" }).click();
  await page.getByText("Picture to picture").waitFor();
  await page.getByRole("slider", { name: "How much changes" }).fill("0.4");
  await axe(page, "create, with input");
  await page.keyboard.press("Control+Enter");
  await until(page, () => mock.pictures.jobs.length === 1);
  const { request } = mock.pictures.jobs[0];
  assert.deepEqual([request.task, request.strength, request.seed], ["img2img", 0.4, 987654321]);
  assert.match(request.init_asset, /^ast_/);
}, { allow: /404/ }));

test("without a model it says what to do", () => open({ noPictureModel: true }, async (page) => {
  await page.getByText("There is no picture model yet.").waitFor();
  await page.getByRole("link", { name: "Connect a service" }).waitFor();
  await axe(page, "create, no model");
}));

test("a small phone: generate by touch, nothing scrolls sideways, the rest is under More", () => open({}, async (page, mock) => {
  await prompt(page).fill("A paper boat");
  await page.getByRole("button", { name: "Generate" }).tap();
  await until(page, () => mock.pictures.jobs.length === 1);
  mock.pictures.start(mock.pictures.jobs[0]); mock.pictures.finish(mock.pictures.jobs[0]);
  await page.locator(".tile-link img").waitFor();
  assert.equal(await sideways(page), 0);
  await axe(page, "create, phone");
  await shoot(page, "create-small-phone-light");
  await page.locator(".rail").getByRole("button", { name: "More" }).tap();
  await page.getByRole("menuitem", { name: "Activity" }).waitFor();
  await page.keyboard.press("Escape");
}, { device: SMALL_PHONE }));

for (const colorScheme of ["light", "dark"])
  test(`pictures of Create to look at, ${colorScheme}`, () => open({}, async (page, mock) => {
    await page.getByRole("heading", { name: "Make a picture" }).waitFor();
    await axe(page, `create, empty, ${colorScheme}`);
    await shoot(page, `create-empty-desktop-${colorScheme}`);
    for (const [text, count] of [["A lighthouse in a storm, oil painting, warm light", 1], ["Portrait of an old clockmaker at his bench", 4], ["A paper boat on a rain puddle", 1], ["Greenhouse full of ferns", 1]]) {
      await prompt(page).fill(text);
      await page.getByLabel("How many").selectOption(String(count));
      await page.keyboard.press("Control+Enter");
      const n = mock.pictures.jobs.length;
      await until(page, () => mock.pictures.jobs.length === n || mock.pictures.jobs[0].prompt === text);
    }
    await until(page, () => mock.pictures.jobs.length === 4);
    const [waits, runs, four, one] = mock.pictures.jobs;
    for (const job of [one, four]) { mock.pictures.start(job); mock.pictures.finish(job); }
    mock.pictures.start(runs); mock.pictures.step(runs, 5); mock.pictures.preview(runs);
    assert.equal(waits.state, "queued");
    await page.locator(".tile .preview").waitFor();
    await page.getByText("Step 5 of 8").waitFor();
    await axe(page, `create, ${colorScheme}`);
    await shoot(page, `create-desktop-${colorScheme}`);
  }, { device: { ...DESKTOP, colorScheme } }));
