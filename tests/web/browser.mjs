/** browser.mjs - one headless Chromium for the browser tests, from where script/setup put playwright-core. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

const deps = join(process.env.ATELIER_DEPS ?? join(homedir(), ".cache/atelier"), "node/");
const require = createRequire(deps);
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const SHOTS = process.env.ATELIER_SHOTS ?? "build/screenshots";
export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const SMALL_PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

/**
 * How long a test waits for the page, for what an engine computes, and how long a whole one may take. All are far more than a
 * slow machine needs: a wait that succeeds costs nothing, so no test has reason to be in a hurry.
 */
export const WAIT_MS = 30000, ENGINE_MS = 120000, TEST_MS = 600000;
/** What goes away by itself (components/ui.js) stays this many times as long, so that a slow machine still sees it. */
const LINGER = 5, LINGERS_MS = [4000, 10000];

export async function launch() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", timeout: 4 * WAIT_MS,
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
  const make = browser.newContext.bind(browser);
  browser.newContext = async (options) => {
    const context = await make(options);
    context.setDefaultTimeout(WAIT_MS);
    await context.addInitScript(([times, list]) => { const later = globalThis.setTimeout; globalThis.setTimeout = (fn, ms, ...rest) => later(fn, list.includes(ms) ? ms * times : ms, ...rest); }, [LINGER, LINGERS_MS]);
    return context;
  };
  return browser;
}

/** Waits until `fn()` holds here, in the test's own process: what the page has sent. */
export async function until(page, fn) {
  const late = Date.now() + WAIT_MS;
  while (!fn()) {
    if (Date.now() > late) assert.fail(`never: ${fn}`);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}

/** Everything that moves has come to rest. */
export const still = (page) => page.evaluate(() => Promise.all(document.getAnimations().filter((one) => one.effect?.getComputedTiming().iterations !== Infinity).map((one) => one.finished.catch(() => {}))).then(() => {}));

/** No violation of axe's rules in the view as it stands. */
export async function axe(page, name) {
  await still(page);
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  assert.deepEqual(found.violations.map((one) => `${name}: ${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target + " " + node.failureSummary).join(" | ")}`), []);
}


/** What must not happen in any view: script errors, refused requests, requests to elsewhere. Returns the list. */
export function watch(page, url) {
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") wrong.push(message.text()); });
  page.on("response", (response) => { if (response.status() >= 400) wrong.push(`${response.status()} ${response.url()}`); });
  page.on("request", (request) => { if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(url)) wrong.push(`elsewhere: ${request.url()}`); });
  return wrong;
}

export const sideways = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
