/**
 * server.js - Settings, Server: is it healthy, how full, what is in its log, backups; what everybody is told, and maintenance.
 *
 * Numbers are read again every 15 s while the page is open; nothing that is being typed is touched by that.
 */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { duration, moment, size } from "../format.js";
import { attempt, toast } from "../components/ui.js";
import { button, loading, submit } from "../components/pieces.js";

const AGAIN_MS = 15000;
const LATE_MS = 36 * 3600 * 1000;
/** @type {Record<string, string>} */ const LIGHTS = { healthy: "good", backoff: "bad", starting: "warn", stopping: "warn" };

/** @param {any} box @returns {Promise<any>} dispose */
export async function mountServer(box) {
  const done = loading(box);
  /** @type {any} */ let server;
  /** @type {any[]} */ let backups = [];
  /** @type {any} */ let settings = {};
  /** @type {any[]} */ let running = [];
  /** @type {any} */ let queue = {};
  const may = store.get().status?.permissions?.includes("settings.manage"), runs = store.get().status?.permissions?.includes("jobs.manage");
  const read = async () => { [server, { items: backups }, settings, { items: running }, queue] = await Promise.all([api.get("/server"), api.get("/server/backups"), may ? api.get("/settings") : {}, runs ? api.get("/queue/all/jobs") : { items: [] }, runs ? api.get("/queue") : {}]); };
  await read().finally(done);
  const numbers = h("div", { class: "grid" }), engines = h("div", { class: "stack" }), kept = h("ul", { class: "stack", "aria-label": t("server.backups") }), last = h("p", { role: "status" });
  const jobs = h("ul", { class: "stack", "aria-label": t("server.everybody") }), pause = h("div");

  /** Who signs what is made here. @param {any} it */
  const signing = (it) => h("div", { class: "card row" }, h("span", { class: `light ${it.state === "ready" ? "good" : it.state === "failing" ? "bad" : "warn"}` }), h("div", { class: "grow" }, h("strong", {}, t("server.credentials")),
    h("div", { class: "hint" }, it.state === "no_library" ? t("server.credentials.missing") : [it.signer, t(it.own_certificate ? "server.credentials.own" : "server.credentials.made"), it.ends_at && t("server.credentials.until", { at: moment(it.ends_at) }), it.signed_count && t("server.credentials.count", { count: it.signed_count }), it.why].filter(Boolean).join(" · ")),
    it.state !== "no_library" && it.fingerprint && h("div", { class: "hint fingerprint" }, t("server.credentials.print", { print: it.fingerprint }))), h("span", {}, t(`server.credentials.${it.state}`)));

  function draw() {
    const fact = (/** @type {string} */ name, /** @type {string} */ value) => h("div", { class: "card" }, h("div", { class: "hint" }, t(`server.${name}`)), h("strong", {}, value));
    replace(numbers, fact("version", server.version), fact("uptime", duration((Date.parse(server.now) - Date.parse(server.started_at)) / 1000)),
      fact("database", `${server.database === "postgres" ? "PostgreSQL" : "SQLite"}, ${size(server.database_bytes)}`), fact("files", t("server.files.text", { count: server.blob_count, size: size(server.blob_bytes) })),
      fact("free", size(server.disk_free_bytes)), fact("jobs", t("server.jobs.text", { running: server.jobs_running, queued: server.jobs_queued })), fact("waiting", t("server.waiting.text", { pool: server.pool_queue, database: server.database_queue })));
    const engine = (/** @type {string} */ key) => h("div", { class: "card row" }, h("span", { class: `light ${LIGHTS[server[`${key}_state`]] ?? ""}` }), h("div", { class: "grow" }, h("strong", {}, t(`server.${key}`)), h("div", { class: "hint" }, [server[`${key}_model`], server[`${key}_memory_bytes`] ? size(server[`${key}_memory_bytes`]) : null, server[`${key}_restarts`] ? t("server.restarts", { count: server[`${key}_restarts`] }) : null, server[`${key}_why`]].filter(Boolean).join(" · "))), h("span", {}, t(`engine.state.${server[`${key}_state`]}`)));
    replace(engines, engine("engine"), engine("picture_engine"), signing(server.credentials));
    replace(jobs, running.length ? running.map((one) => h("li", { class: "card row" }, h("div", { class: "grow" }, h("strong", {}, one.user_name), h("div", { class: "hint" }, [t(`job.${one.state}`), `${one.done_count}/${one.count}`, one.model, moment(one.created_at)].join(" · "))),
      button(t("server.everybody.cancel"), async () => { await api.post(`/queue/all/jobs/${one.id}/cancel`); await again(); }, "", { "aria-label": t("server.everybody.cancel.one", { name: one.user_name }) }))) : h("li", { class: "muted" }, t("server.everybody.none")));
    replace(pause, runs && button(t(queue.paused_all ? "server.everybody.resume" : "server.everybody.pause"), async () => { await api.post(`/queue/all/${queue.paused_all ? "resume" : "pause"}`); await again(); }));
    const late = !server.last_backup || Date.parse(server.now) - Date.parse(server.last_backup.created_at) > LATE_MS;
    last.className = late ? "notice bad" : "muted";
    last.textContent = server.last_backup ? t("server.backup.last", { at: moment(server.last_backup.created_at) }) : t("server.backup.none");
    const owner = store.get().status?.user?.role === "owner";
    replace(kept, backups.map((one) => h("li", { class: "card row" }, h("div", { class: "grow" }, h("strong", { class: "secret" }, one.name), h("div", { class: "hint" }, `${size(one.size_bytes)} · ${moment(one.created_at)}`)), owner && h("a", { class: "button small", href: `/api/v1/server/backups/${encodeURIComponent(one.name)}`, download: one.name }, t("server.backup.download")))));
  }
  const again = async () => { await read(); draw(); };

  // backups
  const passphrase = h("input", { class: "input", type: "password", minlength: 8, maxlength: 1000, required: !server.backup_has_passphrase, autocomplete: "new-password" });
  const make = h("form", { class: "card stack", onsubmit: submit(async () => { const made = await api.post("/server/backups", passphrase.value ? { passphrase: passphrase.value } : {}); passphrase.value = ""; toast(t("server.backup.made", { name: made.name })); await again(); }) },
    field(t("server.backup.passphrase"), passphrase, t(server.backup_has_passphrase ? "server.backup.passphrase.kept" : "server.backup.passphrase.hint")), h("div", {}, h("button", { class: "button primary" }, t("server.backup.now"))));
  const daily = h("input", { type: "checkbox", checked: server.backup_daily }), keep = h("input", { class: "input", type: "number", min: 1, max: 365, required: true, value: server.backup_keep }), secret = h("input", { class: "input", type: "password", minlength: 8, maxlength: 1000, autocomplete: "new-password", placeholder: server.backup_has_passphrase ? t("server.plan.kept") : "" });
  const plan = h("form", { class: "card stack", onsubmit: submit(async () => { await api.patch("/server", { backup_daily: daily.checked, backup_keep: Number(keep.value), ...(secret.value ? { backup_passphrase: secret.value } : {}) }); secret.value = ""; toast(t("common.saved")); await again(); passphrase.required = !server.backup_has_passphrase; }) },
    h("label", { class: "row" }, daily, t("server.plan.daily")), field(t("server.plan.keep"), keep), field(t("server.plan.passphrase"), secret, t("server.plan.hint")), h("div", {}, h("button", { class: "button" }, t("common.save"))));

  // what everybody is told
  const text = h("textarea", { class: "input", maxlength: 1000, value: server.announcement?.text ?? "" });
  const kind = h("select", { class: "input" }, ["info", "warning"].map((one) => h("option", { value: one, selected: server.announcement?.kind === one }, t(`server.kind.${one}`))));
  const tell = h("form", { class: "card stack", onsubmit: submit(async () => { await api.patch("/server", { announcement: text.value.trim() || null, announcement_kind: kind.value }); toast(t("common.saved")); document.dispatchEvent(new CustomEvent("notice")); }) },
    field(t("server.tell.text"), text, t("server.tell.hint")), field(t("server.tell.kind"), kind), h("div", {}, h("button", { class: "button" }, t("common.save"))));
  const maintenance = h("input", { type: "checkbox", checked: server.maintenance, onchange: () => attempt(async () => { try { server = await api.patch("/server", { maintenance: maintenance.checked }); } finally { maintenance.checked = server.maintenance; } document.dispatchEvent(new CustomEvent("notice")); }) });

  // what is seen in pictures
  const label = h("input", { type: "checkbox", checked: settings.picture_label, onchange: () => attempt(async () => { try { settings = await api.patch("/settings", { picture_label: label.checked }); toast(t("common.saved")); } finally { label.checked = settings.picture_label; } }) });

  // the log
  const lines = h("pre", { class: "log", tabindex: 0, "aria-label": t("server.log") });
  const showLog = () => attempt(async () => { lines.textContent = (await api.get(`/server/log${api.query({ level: level.value, lines: 300 })}`)).lines.join("\n") || t("server.log.none"); lines.scrollTop = lines.scrollHeight; });
  const level = h("select", { class: "input", onchange: showLog }, ["info", "warn", "error"].map((one) => h("option", { value: one }, t(`server.level.${one}`))));

  draw();
  replace(box, h("div", { class: "stack" }, numbers, h("h2", {}, t("server.engines")), engines, may && h("label", { class: "card row" }, label, h("span", { class: "grow" }, t("server.label"), h("span", { class: "hint block" }, t("server.label.hint")))), runs && h("h2", {}, t("server.everybody")), runs && jobs, runs && pause, h("h2", {}, t("server.backups")), last, kept, make, h("h3", {}, t("server.plan")), plan, h("p", { class: "hint" }, t("server.restore")),
    h("h2", {}, t("server.tell")), tell, h("label", { class: "card row" }, maintenance, h("span", {}, t("server.maintenance"), h("span", { class: "hint" }, t("server.maintenance.hint")))),
    h("h2", {}, t("server.log")), h("div", { class: "row" }, field(t("server.level"), level), button(t("server.log.again"), showLog)), lines));
  showLog();
  const timer = setInterval(() => { if (!document.hidden) again().catch(() => {}); }, AGAIN_MS);
  return () => clearInterval(timer);
}
