/** verify.js - drop a picture or video, learn whether this server made it. */
import { h, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { attempt } from "./ui.js";

/** A box to drop a file on, with the answer below. */
export function verifyBox() {
  stylesheet("people").catch(() => {});
  const answer = h("div", { class: "stack", role: "status" });
  const picker = h("input", { type: "file", accept: "image/*,video/mp4,video/webm", class: "visually-hidden", id: "verify-file", onchange: () => picker.files[0] && ask(picker.files[0]) });
  const zone = h("label", { class: "verify-zone", for: "verify-file" }, h("strong", {}, t("made_here.drop")), h("span", { class: "muted small" }, t("made_here.drop.hint")));
  /** @param {File} file */
  async function ask(file) {
    replace(answer, h("p", { class: "muted" }, t("made_here.looking", { name: file.name })));
    const found = await attempt(() => api.sendRaw("POST", "/verify", file, "application/octet-stream"));
    if (!found) return replace(answer);
    replace(answer, h("h2", { class: `verdict ${found.made_here}` }, t(`made_here.is.${found.made_here}`)), h("p", { class: "muted" }, t(`made_here.is.${found.made_here}.text`)),
      h("dl", { class: "verify-checks" }, found.checks.map((/** @type {any} */ one) => h("div", {}, h("dt", { class: "muted" }, t(`made_here.check.${one.check}`)), h("dd", {}, t(`made_here.result.${one.result}`), one.detail && h("span", { class: "muted small" }, ` ${one.detail}`))))),
      found.asset_id && h("p", {}, h("a", { href: `/library/${found.asset_id}` }, t("made_here.yours"))));
    picker.value = "";
  }
  for (const kind of ["dragover", "dragenter"]) zone.addEventListener(kind, (/** @type {Event} */ event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (/** @type {any} */ event) => { event.preventDefault(); zone.classList.remove("over"); if (event.dataTransfer.files[0]) ask(event.dataTransfer.files[0]); });
  return h("div", { class: "stack" }, h("p", {}, t("made_here.text")), picker, zone, answer);
}
