/**
 * real-server.mjs - starts the real program for the browser tests: temporary data folder, free port, local model.
 *
 * ATELIER_BIN_RELEASE or ATELIER_BIN names the program, ATELIER_LLAMA_SERVER the engine, ATELIER_MODEL its model file.
 * `startReal()` resolves when it serves and the model is ready; `close()` stops it and removes its folder.
 */
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, linkSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";

const BIN = [process.env.ATELIER_BIN_RELEASE, process.env.ATELIER_BIN].find((one) => one && existsSync(one));
const { ATELIER_LLAMA_SERVER: ENGINE, ATELIER_MODEL: MODEL } = process.env;

/** The picture engine beside the server, and Mini beside the model, where setup puts both; null where they are not built. */
const image = process.env.ATELIER_PICTURE_PROGRAM ?? (BIN ? join(dirname(BIN), "../worker/atelier-image") : "");
const MINI = MODEL ? ["atelier-mini.gguf", "atelier-mini-taef1.safetensors"].map((name) => join(dirname(MODEL), name)) : [];
export const pictureEngine = BIN && existsSync(image) && MINI.every((one) => existsSync(one)) ? { program: image, files: MINI } : null;

/** Why the tests on the real server cannot run; false when they can. */
export const unavailable = !BIN ? "ATELIER_BIN is not set" : !ENGINE || !MODEL ? "ATELIER_LLAMA_SERVER or ATELIER_MODEL is not set" : false;

/** @param {string[]} [more] arguments */
export async function startReal(more = []) {
  const data = mkdtempSync(join(tmpdir(), "atelier-web-"));
  mkdirSync(join(data, "models"), { mode: 0o700 });
  for (const file of [MODEL, ...(pictureEngine?.files ?? [])]) {
    const model = join(data, "models", basename(file));
    try { linkSync(file, model); } catch { copyFileSync(file, model); }
  }
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ATELIER_")));
  const decode = join(dirname(BIN), "../worker/atelier-decode");
  const child = spawn(BIN, ["serve", "--data", data, "--port", "0", "--engine-program", ENGINE, ...(existsSync(decode) ? ["--decode-program", decode] : []), ...(pictureEngine ? ["--picture-program", pictureEngine.program] : []), ...more], { env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const ended = new Promise((done) => child.once("exit", done));
  const close = async () => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 15000);
    await ended;
    clearTimeout(late);
    rmSync(data, { recursive: true, force: true });
  };
  try {
    await new Promise((ready, fail) => {
      const late = setTimeout(() => fail(new Error(`the server did not get ready:\n${said}`)), 60000);
      const read = (chunk) => { said += chunk; if (/Atelier is ready: \S+/.test(said) && /llama-server is healthy/.test(said)) { clearTimeout(late); ready(); } };
      child.stdout.on("data", read);
      child.stderr.on("data", read);
      child.once("exit", (code) => { clearTimeout(late); fail(new Error(`the server ended with ${code}:\n${said}`)); });
    });
  } catch (error) { await close(); throw error; }
  const url = /Atelier is ready: (\S+?)\/?\s/.exec(said)[1];
  return { url, setupUrl: /Create the first account: (\S+)/.exec(said)?.[1] ?? url, data, close, log: () => said };
}
