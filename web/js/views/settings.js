/** settings.js - one page a section; each section is a function that fills its box. */
import { debounce, field, h, icon, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { go } from "../router.js";
import { bindings, chord, conflict, pretty } from "../shortcuts.js";
import { duration, moment, size } from "../format.js";
import { attempt, copy, dialog, failed, toast } from "../components/ui.js";

/** @param {Record<string, any>} values */
async function setPrefs(values) {
  store.dispatch({ type: "prefs", values });
  await attempt(() => api.put("/me/preferences", store.get().prefs));
}
const button = (/** @type {string} */ label, /** @type {() => any} */ run, kind = "") => h("button", { type: "button", class: `button small ${kind}`, onclick: () => attempt(async () => run()) }, label);
const input = (props = {}) => h("input", { class: "input", ...props });
const submit = (/** @type {() => Promise<any>} */ run) => (/** @type {Event} */ event) => { event.preventDefault(); attempt(run); };
const pick = (/** @type {any[][]} */ rows, /** @type {any} */ value, /** @type {(value: string) => void} */ change) => { const box = h("select", { class: "input", onchange: () => change(box.value) }, rows.map(([key, label]) => h("option", { value: key, selected: key === value }, label))); return box; };
/** What cannot be undone is asked with the thing's name in the button. @param {string} label @param {() => Promise<any>} run */
function sure(label, run) { const close = dialog(label, h("div", { class: "row" }, h("button", { class: "button danger", onclick: () => { close(); attempt(run); } }, label), h("button", { class: "button quiet", onclick: () => close() }, t("common.cancel")))); }

/** @type {Record<string, (box: any, again: () => any, id?: string) => any>} */
const sections = {
  appearance(box) {
    const prefs = store.get().prefs;
    replace(box, field(t("look.theme"), pick([["system", t("look.system")], ["light", t("look.light")], ["dark", t("look.dark")]], prefs.theme ?? "system", (theme) => setPrefs({ theme }))),
      field(t("look.send"), pick([["enter", t("look.send.enter")], ["mod", t("look.send.mod")]], prefs.send_key ?? "enter", (send_key) => setPrefs({ send_key }))));
  },
  keyboard(box, again) {
    const own = store.get().prefs.shortcuts ?? {};
    replace(box, h("div", { class: "stack" }, bindings(own).map((row) => {
      const key = h("button", { class: "chip", "aria-label": `${t(row.text)}: ${pretty(row.keys)}`, onclick: () => {
        key.textContent = t("keys.press");
        key.onkeydown = async (/** @type {KeyboardEvent} */ event) => {
          event.preventDefault(); event.stopPropagation();
          if (["Control", "Shift", "Alt", "Meta"].includes(event.key)) return;
          const keys = chord(event), other = conflict(row.action, keys, own);
          if (other) toast(t("keys.conflict", { what: t(`keys.${other}`) }), { bad: true }); else await setPrefs({ shortcuts: { ...own, [row.action]: keys } });
          again();
        };
      } }, pretty(row.keys));
      return h("div", { class: "row between" }, h("span", {}, t(row.text)), h("span", { class: "row" }, key, own[row.action] && button(t("keys.reset"), async () => { const next = { ...own }; delete next[row.action]; await setPrefs({ shortcuts: next }); again(); }, "quiet")));
    })));
  },
  async models(box, again) {
    const [engine, files, catalogue, transfers, settings, models] = await Promise.all([api.get("/engine"), api.get("/engine/models"), api.get("/engine/catalogue").catch(() => ({ items: [] })), api.get("/engine/transfers").catch(() => ({ items: [] })), api.get("/settings").catch(() => null), api.get("/models")]);
    const numbers = ["context_size", "slots", "threads", "gpu_layers"].map((key) => ({ key, control: input({ type: "number", value: engine[key] }) }));
    const log = h("pre", { class: "log", tabindex: 0 });
    const path = input({ required: true, "aria-label": t("engine.import"), placeholder: "/srv/models/model.gguf" });
    const picker = h("input", { type: "file", accept: ".gguf", hidden: true, onchange: () => attempt(async () => { await api.sendRaw("PUT", `/engine/models/${encodeURIComponent(picker.files[0].name)}`, picker.files[0], "application/octet-stream"); again(); }) });
    const moving = h("div", { class: "stack" });
    const put = (/** @type {any} */ transfer) => store.dispatch({ type: "transfer.progress", transfer });
    const drop = (/** @type {any} */ one) => api.del(`/engine/transfers/${one.id}`).then(() => put({ ...one, state: "cancelled" }));
    const transferCard = (/** @type {any} */ one) => h("div", { class: "card stack" },
      h("div", { class: "row between" }, h("span", {}, one.file), h("span", { class: "row" },
        one.state === "running" ? null : button(t("engine.transfer.resume"), () => api.post(`/engine/transfers/${one.id}/resume`).then(put), "quiet"),
        button(t(one.state === "failed" ? "engine.transfer.remove" : "common.cancel"), () => drop(one), "quiet"))),
      h("progress", { "aria-label": one.file, max: one.size_bytes ?? 1, value: one.received_bytes }),
      h("span", { class: "hint" }, one.state === "failed" ? one.error?.detail ?? t("engine.transfer.failed")
        : one.state === "paused" ? t("engine.transfer.paused", { got: size(one.received_bytes), all: size(one.size_bytes) })
        : t("engine.transfer", { got: size(one.received_bytes), all: size(one.size_bytes), left: duration(((one.size_bytes ?? 0) - one.received_bytes) / (one.bytes_per_second || 1)) })));
    const pictures = h("div", { class: "stack", id: "pictures" });
    const drawMoving = () => replace(moving, Object.values(store.get().transfers).filter((one) => ["running", "paused", "failed"].includes(one.state)).map(transferCard));
    for (const transfer of transfers.items) store.dispatch({ type: "transfer.progress", transfer });
    drawMoving();
    replace(box, h("div", { class: "stack" },
      h("div", { class: "card stack" }, h("div", { class: "row" }, h("span", { class: `light ${engine.state === "healthy" ? "good" : engine.state === "backoff" ? "bad" : "warn"}` }), h("h2", { class: "grow" }, t("engine.title")), h("span", {}, t(`engine.state.${engine.state}`))), engine.why && h("p", { class: "notice" }, engine.why), h("p", { class: "muted" }, engine.model ?? t("engine.state.no_model")), h("div", { class: "row" }, ["start", "stop", "restart"].filter((verb) => verb === "start" ? !["healthy", "starting"].includes(engine.state) : ["healthy", "starting", "backoff"].includes(engine.state)).map((verb) => button(t(`engine.${verb}`), () => api.post(`/engine/${verb}`).then(again)))),
        h("div", { class: "grid" }, numbers.map((one) => field(t(`engine.${one.key}`), one.control))), h("div", {}, button(t("engine.apply"), () => api.patch("/engine", Object.fromEntries(numbers.map((one) => [one.key, Number(one.control.value)]))).then(again))), h("details", { ontoggle: () => attempt(async () => { log.textContent = (await api.get("/engine/log")).lines.join("\n"); }) }, h("summary", {}, t("engine.log")), log)),
      settings && field(t("engine.default"), pick([["", t("engine.default.none")], ...models.items.map((/** @type {any} */ one) => [one.id, `${one.name} · ${one.provider_name}`])], settings.default_model ?? "", (value) => attempt(() => api.patch("/settings", { default_model: value || null })))),
      h("h2", {}, t("engine.files")), files.items.length ? files.items.map((/** @type {any} */ one) => h("div", { class: "card row" }, h("div", { class: "grow" }, h("strong", {}, one.name || one.file), h("div", { class: "hint" }, [size(one.size_bytes), one.architecture, one.quantization].filter(Boolean).join(" · ")), one.error && h("div", { class: "notice bad" }, one.error)), one.active ? h("span", { class: "chip" }, t("engine.active")) : button(t("engine.use"), () => api.patch("/engine", { model: one.file }).then(again)), !one.active && button(t("common.delete"), () => sure(t("engine.delete.confirm", { name: one.file }), () => api.del(`/engine/models/${encodeURIComponent(one.file)}`).then(again)), "quiet danger"))) : h("p", { class: "muted" }, t("engine.files.none")),
      moving, h("div", {}, button(t("engine.upload"), () => picker.click()), picker), h("form", { class: "row", onsubmit: submit(() => api.post("/engine/models/import", { path: path.value }).then(again)) }, h("div", { class: "grow" }, field(t("engine.import"), path)), h("button", { class: "button" }, t("engine.import.go"))),
      h("h2", {}, t("engine.catalogue")), catalogue.items.map((/** @type {any} */ one) => h("div", { class: "card row" }, h("div", { class: "grow" }, h("strong", {}, one.name), h("p", {}, one.description), h("div", { class: "hint" }, t("engine.needs", { size: size(one.size_bytes), ram: size(one.needs_ram_bytes) }), " · ", h("a", { href: one.licence_url, target: "_blank", rel: "noopener noreferrer" }, one.licence))), one.installed ? h("span", { class: "chip" }, t("engine.installed")) : button(t("engine.download"), () => api.post("/engine/transfers", { catalogue_id: one.id }).then((transfer) => store.dispatch({ type: "transfer.progress", transfer }))))), pictures));
    import("../components/picture-models.js").then((module) => module.mountPictureModels(pictures)).catch(() => {});
    return store.subscribe((state, old) => { if (state.transfers !== old.transfers) drawMoving(); if (state.engine?.state !== old.engine?.state) again(); });
  },
  async providers(box, again) {
    const [list, presets, used] = await Promise.all([api.get("/providers"), api.get("/provider-presets"), store.get().status?.permissions?.includes("usage.read") ? api.get("/usage/summary?by=provider").catch(() => ({ items: [] })) : { items: [] }]);
    const lately = (/** @type {any} */ one) => { const it = used.items.find((/** @type {any} */ line) => line.key === one.id); return it ? t("providers.lately", { count: it.requests, failed: it.failed, p50: (it.p50_ms / 1000).toFixed(1), p95: (it.p95_ms / 1000).toFixed(1), cost: (it.cost_micro_usd / 1e6).toFixed(2) }) : ""; };
    const url = input({ type: "url" }), key = input({ type: "password", autocomplete: "off" });
    const help = h("a", { target: "_blank", rel: "noopener noreferrer", hidden: true }, t("providers.key.help"));
    const choose = (/** @type {string} */ value) => { const one = presets.items.find((/** @type {any} */ item) => item.preset === value); url.value = one?.base_url ?? ""; help.hidden = !one?.key_help_url; if (one?.key_help_url) help.href = one.key_help_url; };
    const preset = pick(presets.items.map((/** @type {any} */ one) => [one.preset, one.name]), presets.items[0]?.preset, choose);
    choose(presets.items[0]?.preset);
    replace(box, h("div", { class: "stack" }, list.items.length === 0 && h("p", { class: "muted" }, t("providers.none")), list.items.map((/** @type {any} */ one) => {
      const fresh = input({ type: "password", autocomplete: "off", placeholder: one.has_key ? t("providers.key.kept") : "" });
      const result = h("p", { class: "hint", role: "status" }, one.last_error?.detail ?? one.last_error);
      return h("div", { class: "card stack" }, h("div", { class: "row" }, h("span", { class: `light ${one.state === "ok" ? "good" : one.state === "unknown" ? "" : "bad"}` }), h("h2", { class: "grow" }, one.name), h("span", { class: "muted small" }, t(`providers.state.${one.state}`), " · ", t("providers.models", { count: one.models.length }))), h("div", { class: "hint" }, one.base_url), lately(one) && h("div", { class: "hint" }, lately(one)), result,
        h("form", { onsubmit: submit(() => api.patch(`/providers/${one.id}`, { key: fresh.value }).then(again)) }, field(t("providers.key"), fresh), h("button", { class: "button small" }, t("common.save"))),
        h("div", { class: "row" }, button(t("providers.test"), async () => { const test = await api.post(`/providers/${one.id}/test`); result.textContent = test.ok ? t("providers.ok", { ms: test.latency_ms }) : test.error.detail; }), button(t("providers.refresh"), () => api.post(`/providers/${one.id}/refresh`).then(again)), presets.items.find((/** @type {any} */ item) => item.preset === one.preset)?.has_characters && button(t("providers.characters"), () => browse(one)), button(t("common.delete"), () => sure(t("providers.remove", { name: one.name }), () => api.del(`/providers/${one.id}`).then(again)), "quiet danger")));
    }), h("form", { class: "card", onsubmit: submit(async () => { const made = await api.post("/providers", { preset: preset.value, base_url: url.value, ...(key.value ? { key: key.value } : {}) }); await api.post(`/providers/${made.id}/refresh`).catch((error) => toast(error.message, { bad: true })); again(); }) }, h("h2", {}, t("providers.add")), h("br"), field(t("providers.preset"), preset), field(t("providers.url"), url), field(t("providers.key"), key), h("div", { class: "row" }, h("button", { class: "button primary" }, t("common.add")), help))));
  },
  async personas(box, again) {
    const list = await api.get("/personas");
    const form = (/** @type {any} */ one) => { const name = input({ value: one?.name ?? "", required: true }), text = h("textarea", { class: "input", value: one?.description ?? "" }), def = h("input", { type: "checkbox", checked: one?.is_default }); const close = dialog(one?.name ?? t("personas.add"), h("form", { onsubmit: submit(async () => { const body = { name: name.value, description: text.value, is_default: def.checked }; await (one ? api.patch(`/personas/${one.id}`, body) : api.post("/personas", body)); close(); again(); }) }, field(t("common.name"), name), field(t("personas.description"), text), h("label", { class: "row" }, def, t("personas.default")), h("br"), h("button", { class: "button primary" }, t("common.save")))); };
    replace(box, h("div", { class: "stack" }, list.items.length ? list.items.map((/** @type {any} */ one) => h("div", { class: "card row" }, h("div", { class: "grow" }, h("strong", {}, one.name), one.is_default && h("span", { class: "hint" }, t("personas.is_default")), h("p", { class: "muted" }, one.description)), button(t("common.edit"), () => form(one)), button(t("common.delete"), async () => { await api.del(`/personas/${one.id}`); toast(t("personas.deleted", { name: one.name }), { undo: () => attempt(() => api.post(`/personas/${one.id}/restore`).then(again)) }); again(); }, "quiet danger"))) : h("p", { class: "muted" }, t("personas.none")), h("div", {}, button(t("personas.add"), () => form(null), "primary"))));
  },
  workflows: (box, again, id) => import("./workflows.js").then((module) => module.mountWorkflows(box, id)),
  wildcards: (box, again, id) => import("./wildcards.js").then((module) => module.mountWildcards(box, id)),
  services: (box, again) => import("./login-services.js").then((module) => module.mountLoginProviders(box, again)),
  people: (box, again, id) => import("./people.js").then((module) => module.mountPeople(box, id)),
  server: (box) => import("./server.js").then((module) => module.mountServer(box)),
  usage: (box) => import("./usage.js").then((module) => module.mountUsage(box)),
  overview: (box) => import("./overview.js").then((module) => module.mountOverview(box)),
  switches: (box) => import("./switches.js").then((module) => module.mountSwitches(box)),
  allowances: (box) => import("./usage-admin.js").then((module) => module.mountUsageAdmin(box)),
  moderation: (box, again, id) => import("./moderation.js").then((module) => module.mountModeration(box, id)),
  notices: (box) => import("./notices.js").then((module) => module.mountNotices(box)),
  async verify(box) {
    const { verifyBox } = await import("../components/verify.js");
    const settings = store.get().status?.permissions?.includes("settings.manage") ? await api.get("/settings") : null;
    const all = h("input", { type: "checkbox", checked: settings?.verify_public, onchange: () => attempt(async () => { await api.patch("/settings", { verify_public: all.checked }); toast(t("common.saved")); }) });
    replace(box, h("div", { class: "stack" }, verifyBox(), settings && h("label", { class: "row check" }, all, t("made_here.public", { address: `${location.origin}/made-here` }))));
  },
  audit: (box) => import("./audit.js").then((module) => module.mountAudit(box)),
  webhooks: (box) => import("./webhooks.js").then((module) => module.mountWebhooks(box)),
  keys: (box, again) => import("./keys.js").then((module) => module.mountKeys(box, again)),
  async account(box, again) {
    if (store.get().status?.impersonator) { replace(box, h("p", { class: "muted" }, t("impersonate.closed"))); return; }
    const more = h("div"), privacy = h("div");
    const [me, sessions] = await Promise.all([api.get("/me"), api.get("/sessions")]);
    const name = input({ value: me.name, required: true }), current = input({ type: "password", required: true, autocomplete: "current-password" }), fresh = input({ type: "password", required: true, minlength: 10, autocomplete: "new-password" });
    replace(box, h("form", { onsubmit: submit(async () => { await api.patch("/me", { name: name.value }); toast(t("common.saved")); }) }, field(t("account.name"), name), h("button", { class: "button" }, t("common.save"))), h("br"),
      h("form", { onsubmit: submit(async () => { await api.post("/me/password", { current: current.value, password: fresh.value }); toast(t("account.changed")); current.value = fresh.value = ""; }) }, field(t("account.current"), current), field(t("account.new"), fresh), h("button", { class: "button" }, t("account.change"))), h("br"), more, h("br"), privacy);
    await (await import("./account.js")).mountAccount(more, sessions.items, again);
    await (await import("./privacy.js")).mountPrivacy(privacy);
  },
  about(box) { const version = store.get().status?.version ?? ""; replace(box, h("p", {}, t("about.text", { version })), h("p", { class: "muted" }, t("about.privacy"))); },
};

/** @param {any} provider */
async function browse(provider) {
  const search = input({ type: "search", "aria-label": t("characters.search"), placeholder: t("characters.search") }), list = h("div", { class: "stack" });
  const draw = () => attempt(async () => { const page = await api.get(`/providers/${provider.id}/characters${api.query({ q: search.value })}`); replace(list, page.items.map((/** @type {any} */ one) => h("div", { class: "card row" }, h("div", { class: "grow" }, h("strong", {}, one.name), h("p", { class: "muted small" }, one.description)), button(t("providers.adopt"), async () => { const character = await api.post(`/providers/${provider.id}/characters/${encodeURIComponent(one.slug)}/adopt`); store.dispatch({ type: "character.created", character }); toast(t("providers.adopted", { name: one.name })); })))); });
  search.addEventListener("input", debounce(draw, 250));
  dialog(t("providers.characters"), h("div", { class: "stack" }, search, list));
  draw();
}

/** Sections that not everybody has: the permission each needs. @type {Record<string, string>} */
const NEEDS = { services: "settings.manage", people: "people.manage", server: "server.manage", audit: "audit.read", moderation: "moderate", allowances: "usage.read", overview: "usage.read", switches: "settings.manage" };
/** Sections about the server, not about oneself. */
const HOUSE = ["overview", "people", "allowances", "moderation", "services", "models", "providers", "server", "switches", "audit"];
const mine = () => Object.keys(sections).filter((one) => !NEEDS[one] || store.get().status?.permissions?.includes(NEEDS[one]));

/** @param {Element} root @param {string} section @param {string} [id] what is open in it */
export function mountSettings(root, section, id) {
  const name = mine().includes(section) ? section : "appearance";
  const box = h("div"), nav = h("nav", { class: "settings-nav", "aria-label": t("settings.title") });
  const search = input({ type: "search", id: "list-search", placeholder: t("settings.search"), "aria-label": t("settings.search") });
  const words = (/** @type {string} */ one) => t(`settings.${one}`) + ({ appearance: "theme dark light enter send", keyboard: "shortcuts keys", models: "pictures engine gguf context threads gpu download catalogue", providers: "openai venice openrouter key url", personas: "about you", workflows: "comfyui graph nodes inputs json", wildcards: "dynamic prompts lists words __name__", webhooks: "signed address notify jobs deliveries secret", keys: "api scopes", account: "password name devices sessions second factor authenticator codes link", services: "google openid oidc login", server: "backup restore log maintenance announcement disk health", audit: "who did what export verify", moderation: "reports appeals blocked pictures queue quarantine", notices: "decisions appeal reported", verify: "made here verify provenance file", usage: "limits quota allowance cost tokens messages used", allowances: "quota limits requests cost everybody csv", about: "version", overview: "dashboard cost failures latency users health backup csv", switches: "features history revert ceiling most cost" })[one];
  const link = (/** @type {string} */ one) => h("a", { class: "chip", href: `/settings/${one}`, "aria-current": one === name ? "page" : null, "aria-pressed": null }, t(`settings.${one}`));
  const group = (/** @type {string} */ title, /** @type {string[]} */ names) => names.length ? h("div", {}, h("p", { class: "muted small" }, t(title)), h("div", { class: "settings-links" }, names.map(link))) : null;
  const drawNav = () => {
    const found = mine().filter((one) => words(one).toLowerCase().includes(search.value.trim().toLowerCase()));
    replace(nav, group("settings.yours", found.filter((one) => !HOUSE.includes(one))), group("settings.house", HOUSE.filter((one) => found.includes(one))));
  };
  search.addEventListener("input", drawNav);
  search.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => { const first = nav.querySelector("a"); if (event.key === "Enter" && first) go(first.getAttribute("href")); });
  drawNav();
  replace(root, h("div", { class: "page" }, h("div", { class: "page-inner narrow" }, h("div", { class: "page-head" }, h("h1", {}, t("settings.title")), h("div", {}, search)), nav, h("br"), h("h2", {}, t(`settings.${name}`)), h("br"), box)));
  /** @type {any} */ let off = null;
  let closed = false;
  async function fill() {
    try { const next = await sections[name](box, fill, id); off?.(); off = next; if (closed) off?.(); } catch (error) { failed(box, error, fill); }
  }
  fill();
  requestAnimationFrame(() => { // on a phone each group is one line
    const here = /** @type {HTMLElement|null} */ (nav.querySelector("[aria-current=page]"));
    if (here?.parentElement) here.parentElement.scrollLeft = here.offsetLeft - 48;
  });
  return Object.assign(() => { closed = true; off?.(); }, { reset: () => off?.reset?.() });
}
