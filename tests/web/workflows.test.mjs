/** workflows.test.mjs - Settings, Workflows in a real browser against the mock: dropped, pasted, mapped, checked, used in Create. */
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DESKTOP, PHONE, SHOTS, axe, launch, sideways, still, watch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";
import { GRAPH } from "./mock-recipes.mjs";
import { freeFields, inputsOf, missingOf, readGraph, valuesOf, withDefault, withMark, withoutMark, workflowAsk } from "../../web/js/pictures/workflow.js";

let browser;
before(async () => { mkdirSync(SHOTS, { recursive: true }); browser = await launch(); });
after(() => browser.close());

/** @param {(page: any, mock: any) => Promise<void>} run */
async function open(run, { device = DESKTOP, own = ["Lighthouse at night"], at = "", refused = false, ...options } = {}) {
  const mock = await startMock({ signedIn: true, comfy: true, ...options }), context = await browser.newContext(device), page = await context.newPage();
  const wrong = watch(page, mock.url);
  try {
    for (const name of own) mock.recipes.answer("POST", ["workflows"], { name, graph: structuredClone(GRAPH) });
    await page.goto(`${mock.url}/settings/workflows${at === "first" ? `/${mock.recipes.workflows[0].id}` : at}`);
    await run(page, mock);
    assert.deepEqual(wrong.filter((one) => !refused || !/^40\d |status of 40\d/.test(one)), []);
  } finally { await context.close(); await mock.close(); }
}
const shoot = async (page, name) => { await still(page); await page.screenshot({ path: `${SHOTS}/${name}.png` }); };
const file = (name, json) => ({ name, mimeType: "application/json", buffer: Buffer.from(typeof json === "string" ? json : JSON.stringify(json)) });
const row = (page, name) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name }) });
const drop = (page, name, text) => page.evaluate(([name, text]) => { const data = new DataTransfer(); data.items.add(new File([text], name, { type: "application/json" })); const on = document.querySelector(".drop-card"); for (const type of ["dragover", "drop"]) on.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true })); }, [name, text]);

test("texts as graphs: the API format, what /prompt takes, the editor's, and what is none", () => {
  assert.deepEqual(readGraph(JSON.stringify(GRAPH)).graph, JSON.parse(JSON.stringify(GRAPH)));
  assert.deepEqual(Object.keys(readGraph(JSON.stringify({ client_id: "x", prompt: GRAPH })).graph), Object.keys(GRAPH));
  assert.equal(readGraph(JSON.stringify({ nodes: [], links: [], version: 0.4 })).why, "editor");
  for (const text of ["[]", "{}", "null", '{"a": 1}', '{"1": {"inputs": {}}}']) assert.equal(readGraph(text).why, "nothing", text);
  assert.equal(readGraph('{"1": {').why, "json");
});

test("defaults go to every place, into placeholders too, and never over a link", () => {
  const graph = { 1: { class_type: "A", inputs: { steps: 20, model: ["2", 0] } }, 2: { class_type: "B", inputs: { steps: 20, text: "a {{prompt:red}} boat" } } };
  const steps = { name: "steps", places: [{ node: "1", field: "steps" }, { node: "2", field: "steps" }] };
  const next = withDefault(graph, steps, 8);
  assert.deepEqual([next[1].inputs.steps, next[2].inputs.steps, graph[1].inputs.steps], [8, 8, 20]);
  const prompt = { name: "prompt", places: [{ node: "2", field: "text" }] };
  assert.equal(withDefault(graph, prompt, "$& blue")[2].inputs.text, "a {{prompt:$& blue}} boat");
  assert.equal(withDefault(graph, prompt, "no }} end"), null);
  assert.equal(withDefault(graph, { name: "model", places: [{ node: "1", field: "model" }] }, "x"), null);
});

test("marks are put beside others and taken out alone", () => {
  const one = withMark(GRAPH, "8", "amount", "amount"), two = withMark(one, "8", "amount", "again");
  assert.equal(two[8]._meta.title, "atelier:amount=amount, again=amount");
  assert.equal(withoutMark(two, "amount")[8]._meta.title, "atelier:again=amount");
  assert.equal(withoutMark(one, "amount")[8]._meta, undefined);
  assert.equal(withoutMark(GRAPH, "amount"), GRAPH);
  assert.deepEqual(freeFields({ 8: { class_type: "S", inputs: { a: 1, b: ["1", 0], c: "x" } } }, [{ places: [{ node: "8", field: "a" }] }]).map((it) => it.field), ["c"]);
});

test("what a form sends: shown values only, pictures as references; and back again", () => {
  const items = [{ name: "prompt", type: "text", default: "x" }, { name: "steps", type: "integer", default: 20 }, { name: "cfg_scale", type: "number", default: 6, fixed: true }, { name: "photo", type: "image", default: null, required: true }, { name: "mask", type: "image", default: null }];
  const draft = { model: "m", prompt: "a boat", workflow: { id: "wfl_1", items }, inputs: { steps: 4, cfg_scale: 9, mask: { id: "ast_2" }, photo: { id: "ast_1" } } };
  const ask = workflowAsk(draft);
  assert.deepEqual(ask, { task: "workflow", model: "m", workflow_id: "wfl_1", prompt: "a boat", count: 1, seed: -1, inputs: { steps: 4, mask: { reference: 1 }, photo: { reference: 0 } }, reference_assets: ["ast_1", "ast_2"] });
  assert.deepEqual(inputsOf(ask), { steps: 4, mask: { id: "ast_2" }, photo: { id: "ast_1" } });
  assert.deepEqual(missingOf({ ...draft, inputs: {} }).map((one) => one.name), ["photo"]);
  assert.deepEqual(valuesOf(items, { steps: "" }), {});
});

test("dropped, chosen and pasted; what is no workflow says what it is", () => open(async (page, mock) => {
  await page.getByText("None yet.").waitFor();
  await page.getByRole("list", { name: "Built in" }).getByRole("link", { name: "Text to picture", exact: true }).waitFor();
  await axe(page, "workflows, empty");
  await drop(page, "my_first-flow.json", JSON.stringify(GRAPH));
  await page.getByText("my first flow added. 8 inputs found.").waitFor();
  await page.waitForURL(/\/settings\/workflows\/wfl_/);
  await page.getByRole("heading", { name: "my first flow" }).waitFor();
  await page.goBack();
  await page.getByRole("link", { name: "my first flow", exact: true }).waitFor();

  await page.locator("main input[type=file]").setInputFiles(file("editor.json", { nodes: [{ id: 1 }], links: [], version: 0.4 }));
  const help = page.getByRole("dialog", { name: "This needs the API format" });
  await help.getByText("Choose Workflow, Export (API).").waitFor();
  await axe(page, "workflows, the editor's format");
  await page.keyboard.press("Escape");
  await page.locator("main input[type=file]").setInputFiles(file("note.json", '{"a": 1}'));
  await page.getByText("This JSON is no workflow").waitFor();

  await page.getByRole("button", { name: "Paste JSON" }).click();
  const box = page.getByRole("dialog", { name: "Paste JSON" });
  await box.getByLabel("Name").fill("By hand");
  await box.getByLabel("Workflow in API format").fill("{ not json");
  await box.getByRole("button", { name: "Add workflow" }).click();
  await page.getByText("This is no JSON.").waitFor();
  await box.getByLabel("Workflow in API format").fill(JSON.stringify(GRAPH));
  await box.getByRole("button", { name: "Add workflow" }).click();
  await page.getByRole("heading", { name: "By hand" }).waitFor();
  assert.deepEqual(mock.recipes.workflows.map((one) => one.name), ["my first flow", "By hand"]);
}, { own: [] }));

test("the mapping: label, default at its node, range, fixed; an input of one's own; saved", () => open(async (page, mock) => {
  const steps = row(page, /^Steps/);
  await steps.getByText("#3.steps").waitFor();
  await axe(page, "workflow");
  assert.ok(await page.getByRole("button", { name: "Save", exact: true }).isDisabled());
  await steps.getByLabel("Label of Steps").fill("Patience");
  await steps.getByLabel("Default of", { exact: false }).fill("12");
  await steps.getByLabel("Least", { exact: false }).fill("4");
  await steps.getByLabel("Most", { exact: false }).fill("30");
  await row(page, /^CFG/).getByLabel("in the form").selectOption("fixed");
  await page.getByText("Not saved yet").waitFor();
  await page.getByRole("combobox", { name: "Node" }).selectOption("8");
  await page.getByRole("combobox", { name: "Field" }).selectOption("amount");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await row(page, /^amount/).getByText("#8.amount").waitFor();
  const address = `**/api/v1/workflows/${mock.recipes.workflows[0].id}`;
  let release;
  const released = new Promise((done) => { release = done; });
  await page.route(address, async (route) => { if (route.request().method() === "GET") await released; await route.continue(); });
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("Saved", { exact: true }).waitFor();
  const flow = mock.recipes.workflows[0], input = (name) => flow.inputs.items.find((one) => one.name === name);
  assert.deepEqual([input("steps").label, input("steps").default, input("steps").minimum, input("steps").maximum], ["Patience", 12, 4, 30]);
  assert.equal(flow.graph[3].inputs.steps, 12);
  assert.equal(input("cfg_scale").fixed, true);
  assert.equal(input("amount").default, 0.4);
  await row(page, /^amount/).getByRole("button", { name: "Take amount out of the inputs" }).click(); // before it has been read again
  const read = page.waitForResponse((response) => response.request().method() === "GET" && response.url().includes("/workflows/"));
  release();
  await (await read).finished();
  await page.unroute(address);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.waitForFunction(() => !document.querySelector(".save-row .primary:not(:disabled)"));
  assert.equal(flow.inputs.items.some((one) => one.name === "amount"), false);
}, { at: "first" }));

test("what the server refuses stays on the page, in words", () => open(async (page) => {
  const steps = row(page, /^Steps/);
  await steps.getByLabel("Least", { exact: false }).fill("9");
  await steps.getByLabel("Most", { exact: false }).fill("3");
  await steps.getByLabel("Most", { exact: false }).press("Tab");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("the minimum is greater than the maximum").waitFor();
  assert.equal(await steps.getByLabel("Least", { exact: false }).inputValue(), "9");
}, { at: "first", refused: true }));

test("checked against the server: what it lacks by name", () => open(async (page) => {
  await page.getByRole("button", { name: "Check against the server Studio" }).click();
  await page.getByText("Studio lacks the nodes MagicNode, OtherNode.").waitFor();
  await axe(page, "workflow, lacking");
}, { at: "first", lacking: "Studio lacks the nodes MagicNode, OtherNode. Install them there (its manager can), or choose another workflow." }));

test("checked against the server: it has everything", () => open(async (page) => {
  await page.getByRole("button", { name: "Check against the server Studio" }).click();
  await page.getByText("The server has every node and file.").waitFor();
}, { at: "first" }));

test("no server yet: it says where to add one", () => open(async (page) => {
  await page.getByText("No ComfyUI server is set up.").waitFor();
  await page.getByRole("link", { name: "Add one in Providers" }).click();
  await page.waitForURL(/\/settings\/providers$/);
}, { at: "first", comfy: false }));

test("renamed, deleted, brought back; a built-in one is copied", () => open(async (page, mock) => {
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByRole("dialog").getByRole("textbox").fill("Night");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Night" }).waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.waitForURL(/\/settings\/workflows$/);
  assert.equal(mock.recipes.workflows.length, 0);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("link", { name: "Night", exact: true }).waitFor();
  assert.deepEqual(mock.recipes.workflows.map((one) => [one.name, one.graph[3].inputs.steps]), [["Night", 20]]);
  await page.getByRole("button", { name: "Make a copy of Text to picture" }).click();
  await page.getByRole("heading", { name: "Text to picture (copy)" }).waitFor();
  assert.ok(mock.recipes.workflows[1].mine);
}, { at: "first" }));

test("a built-in one is read only; a wrong address says so", () => open(async (page, mock) => {
  await page.getByText("Make a copy to change them.").waitFor();
  assert.equal(await page.locator(".mapping input:not(:disabled), .mapping textarea:not(:disabled), .mapping select:not(:disabled)").count(), 0);
  assert.equal(await page.getByRole("button", { name: "Save", exact: true }).count(), 0);
  await page.goto(`${mock.url}/settings/workflows/wfl_gone`);
  await page.getByRole("heading", { name: "There is no such workflow" }).waitFor();
}, { at: "/builtin%3Atxt2img", refused: true }));

test("used in Create: its named inputs, the model that runs it, and the job", () => open(async (page, mock) => {
  mock.recipes.answer("PATCH", ["workflows", mock.recipes.workflows[0].id], { inputs: { items: [{ name: "steps", label: "Patience", minimum: 4, maximum: 30 }, { name: "cfg_scale", fixed: true }] } });
  await page.getByRole("link", { name: "Use in Create: Lighthouse at night" }).click();
  const form = page.getByRole("region", { name: "Workflow" });
  await form.getByLabel("Patience").waitFor();
  assert.equal(new URL(page.url()).search, "");
  assert.equal(await form.getByLabel("CFG").count(), 0);
  assert.equal(await page.getByRole("radiogroup", { name: "Shape" }).isVisible(), false);
  await axe(page, "create with a workflow");
  await page.locator("#picture-prompt").fill("a boat");
  await form.getByLabel("Patience").fill("8");
  await form.getByLabel("Seed").fill("5");
  await page.reload();
  assert.equal(await form.getByLabel("Patience").inputValue(), "8");
  await page.locator("#picture-prompt").press("Control+Enter");
  await page.waitForFunction(() => document.querySelector(".job"));
  const { request, ...job } = mock.pictures.jobs[0], sent = { ...job, ...request };
  assert.deepEqual([sent.workflow_id, sent.model, sent.prompt, sent.inputs], [mock.recipes.workflows[0].id, "prv_comfy/workflow", "a boat", { steps: 8, seed: 5 }]);
  await form.getByRole("button", { name: "Work without this workflow" }).click();
  await page.getByRole("radiogroup", { name: "Shape" }).waitFor();
}));

test("in Create a picture that is needed is asked for", () => open(async (page, mock) => {
  await page.getByRole("link", { name: "Use in Create: Upscale" }).click();
  const form = page.getByRole("region", { name: "Workflow" });
  await form.getByText("Shown, required").waitFor();
  assert.equal(await page.locator("#picture-prompt").isVisible(), false);
  await page.getByRole("button", { name: /^Generate/ }).click();
  await page.getByText("Picture is needed: this workflow has no default for it.").waitFor();
  assert.equal(mock.pictures.jobs.length, 0);
  await form.getByRole("button", { name: "Choose a picture: Picture" }).click();
  await page.getByRole("dialog").locator(".picker-one").first().click();
  await form.getByRole("button", { name: "Remove the picture: Picture" }).waitFor();
  await page.getByRole("button", { name: /^Generate/ }).click();
  await page.waitForFunction(() => document.querySelector(".job"));
  const { request } = mock.pictures.jobs[0];
  assert.deepEqual([request.inputs, request.reference_assets.length, request.prompt], [{ image: { reference: 0 } }, 1, ""]);
}, { library: 3 }));

for (const colorScheme of ["light", "dark"])
  for (const [name, device] of [["desktop", DESKTOP], ["phone", PHONE]])
    test(`workflows to look at, ${name}, ${colorScheme}`, () => open(async (page, mock) => {
      await page.getByRole("list", { name: "Built in" }).waitFor();
      assert.equal(await sideways(page), 0);
      await axe(page, `workflows, ${name}, ${colorScheme}`);
      await shoot(page, `workflows-${name}-${colorScheme}`);
      await page.goto(`${mock.url}/settings/workflows/${mock.recipes.workflows[0].id}`);
      await row(page, /^Height/).scrollIntoViewIfNeeded();
      assert.equal(await sideways(page), 0);
      assert.ok(await page.evaluate(() => [...document.querySelectorAll(".mapping tr, .mapping td")].every((one) => one.getBoundingClientRect().right <= innerWidth)), "the table stays inside the page");
      await axe(page, `workflow, ${name}, ${colorScheme}`);
      await shoot(page, `workflow-${name}-${colorScheme}`);
    }, { device: { ...device, colorScheme } }));
