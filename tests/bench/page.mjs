/**
 * page.mjs - how soon a cold page shows its words: largest contentful paint of a conversation on the real server, in a
 * browser that has nothing of it yet. One line of JSON, {"lcp_ms": [...]}. Run by bench.py.
 *
 * node page.mjs [ROUNDS]; the environment is that of tests/web/real-server.mjs.
 */
import { DESKTOP, launch } from "../web/browser.mjs";
import { startReal } from "../web/real-server.mjs";

const rounds = Number(process.argv[2] ?? 9);
const [browser, server] = await Promise.all([launch(), startReal()]);
try {
  const owner = await browser.newContext(), headers = { origin: server.url };
  const { csrf_token } = await (await owner.request.post(`${server.url}/api/v1/setup`, { headers, data: { name: "Ada", password: "correct horse battery" } })).json();
  const send = async (path, data) => (await owner.request.post(`${server.url}/api/v1${path}`, { headers: { ...headers, "X-CSRF-Token": csrf_token }, data })).json();
  const character = await send("/characters", { card: { name: "Mara", first_mes: "*She sets down the lamp.* You came after all. ".repeat(12) } });
  const chat = await send("/conversations", { character_id: character.id });
  const cookies = await owner.cookies(), lcp_ms = [];
  for (let n = 0; n < rounds; n++) {
    const context = await browser.newContext(DESKTOP);
    await context.addCookies(cookies);
    const page = await context.newPage();
    await page.goto(`${server.url}/c/${chat.id}`);
    await page.locator(".message .text").first().waitFor();
    lcp_ms.push(await page.evaluate(() => new Promise((done) => new PerformanceObserver((list) => done(list.getEntries().at(-1).startTime)).observe({ type: "largest-contentful-paint", buffered: true }))));
    await context.close();
  }
  console.log(JSON.stringify({ lcp_ms }));
} finally {
  await browser.close();
  await server.close();
}
