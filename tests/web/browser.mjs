/** browser.mjs - one headless Chromium for the browser tests, from where script/setup put playwright-core. */
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

const deps = join(process.env.ATELIER_DEPS ?? join(homedir(), ".cache/atelier"), "node/");
const require = createRequire(deps);
const { chromium } = require("playwright-core");
export const axePath = require.resolve("axe-core/axe.min.js");

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
