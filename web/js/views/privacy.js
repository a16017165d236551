/** privacy.js - in one's own account: everything as a file, and deleting it. The export also for who manages people. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment, size } from "../format.js";
import { attempt, dialog } from "../components/ui.js";

const button = (/** @type {string} */ label, /** @type {() => any} */ run, kind = "") => h("button", { type: "button", class: `button small ${kind}`, onclick: () => attempt(async () => run()) }, label);
const submit = (/** @type {() => Promise<any>} */ run) => (/** @type {Event} */ event) => { event.preventDefault(); attempt(run); };

function askDelete() {
  const password = h("input", { class: "input", type: "password", required: true, autocomplete: "current-password" });
  const close = dialog(t("privacy.delete"), h("form", { class: "stack", onsubmit: submit(async () => {
    await api.post("/me/delete", { password: password.value });
    close();
    location.assign("/");
  }) }, h("p", {}, t("privacy.delete.sure")), field(t("account.current"), password, t("privacy.delete.hint")),
    h("div", { class: "row" }, h("button", { class: "button danger" }, t("privacy.delete.do")), h("button", { type: "button", class: "button quiet", onclick: () => close() }, t("common.cancel")))));
  password.focus();
}

const POLL_MS = 1000;

/** The last export of an account, with how far it is. @param {string} path "/me" or "/users/usr_..." @param {Element} box */
async function drawExport(path, box) {
  const last = (await api.get(`${path}/exports`)).items[0];
  const begin = () => api.post(`${path}/exports`).then(() => drawExport(path, box));
  const told = !last ? t("privacy.export.text") : last.state === "running" ? t("privacy.export.running", { done: last.done, total: last.total || "…" })
    : last.state === "failed" ? t("privacy.export.failed") : [t("privacy.export.done", { at: moment(last.finished_at), size: size(last.size_bytes) }), path === "/me" && last.by_other ? t("privacy.export.by_other") : ""].join(" ");
  replace(box, h("div", { class: "card row" }, h("div", { class: "grow hint", role: "status" }, told, last?.state === "running" && h("div", {}, h("progress", { max: last.total || 1, value: last.done, "aria-label": t("privacy.export") }))),
    last?.state === "done" && h("a", { class: "button small", href: `/api/v1${path}/exports/${last.id}/file`, download: "" }, t("privacy.export.download")),
    last?.state !== "running" && button(last ? t("privacy.export.again") : t("privacy.export.begin"), begin)));
  if (last?.state === "running") setTimeout(() => { if (box.isConnected) attempt(() => drawExport(path, box)); }, POLL_MS);
}

/** Everything of somebody else, for who manages people. @param {{id: string, name: string}} one */
export function showExport(one) {
  const box = h("div");
  dialog(t("privacy.export.of", { name: one.name }), h("div", { class: "stack" }, h("p", { class: "hint" }, t("privacy.export.told")), box));
  attempt(() => drawExport(`/users/${one.id}`, box));
}

/** @param {Element} box */
export async function mountPrivacy(box) {
  const file = h("div");
  replace(box, h("section", { class: "stack" }, h("h2", {}, t("privacy.export")), file), h("br"), h("section", { class: "stack" }, h("h2", {}, t("privacy.delete")), h("div", { class: "card row" },
    h("div", { class: "grow hint" }, t("privacy.delete.text")), button(t("privacy.delete.open"), askDelete, "danger"))));
  await drawExport("/me", file);
}
