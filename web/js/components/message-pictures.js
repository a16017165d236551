/**
 * message-pictures.js - the pictures that belong to a message of a conversation: those it has, and those being made.
 *
 * Loaded when the first of them is needed, so that a conversation without pictures costs nothing.
 */
import { h, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { coverText, faceOf, menuRows, nameOf, thumbWidth } from "../pictures/actions.js";
import { attempt, menu } from "./ui.js";
import { errorOf, isActive, ring, share, stateWords, titleOf } from "./job-card.js";

const WHATS = ["scene", "character", "face", "user"];

/** Ask for a picture of what is being told. @param {Element} anchor @param {any} message @param {any} conversation */
export function pictureMenu(anchor, message, conversation) {
  const show = (/** @type {string} */ what) => attempt(async () => { const job = await api.post(`/conversations/${conversation.id}/pictures`, { what, message_id: message.id }, { key: crypto.randomUUID?.() ?? String(Math.random()) }); store.dispatch({ type: "job.updated", job }); });
  menu(anchor, WHATS.filter((what) => conversation.character || what === "scene" || what === "user").map((what) => ({ label: t(`picture.${what}`, { name: conversation.character?.name ?? "" }), icon: what === "scene" ? "image" : "people", run: () => { show(what); } })));
}

/** Bring the pictures of a message's element up to date. @param {any} element @param {any} message */
export function drawPictures(element, message) {
  const jobs = Object.values(store.get().jobs).filter((job) => job.message_id === message.id && job.state !== "cancelled").sort((a, b) => (a.id < b.id ? -1 : 1));
  const assets = [...(message.assets ?? [])], known = new Set(assets.map((one) => one.id));
  for (const job of jobs) for (const one of job.assets ?? []) if (!known.has(one.id) && !one.deleted_at) { known.add(one.id); assets.push(one); }
  const busy = jobs.filter((job) => isActive(job) || job.state === "failed");
  let box = element.querySelector(".message-pictures");
  if (!assets.length && !busy.length) return void box?.remove();
  if (!box) { box = h("div", { class: "message-pictures" }); element.querySelector(".foot")?.before(box); }
  const key = [...assets.map((one) => one.id + one.starred + coverText(one)), ...busy.map((job) => job.id + job.state)].join();
  if (box.dataset.key !== key) {
    box.dataset.key = key;
    replace(box, assets.map((asset) => { const tile = h("div", { class: "tile" }, h("a", { class: "tile-link", href: `/library/${asset.id}`, "aria-label": `${t("asset.open")}: ${nameOf(asset)}` }, h("img", { ...faceOf(asset, thumbWidth(280)), alt: nameOf(asset), width: asset.width, height: asset.height, loading: "lazy" }), coverText(asset) && h("span", { class: "cover-text" }, coverText(asset))), h("div", { class: "tile-tools" }, iconButton("more", t("asset.actions"), (event) => menu(event.currentTarget, menuRows(asset)), { class: "icon-button small" }))); tile.style.aspectRatio = `${asset.width || 1} / ${asset.height || 1}`; return tile; }),
      busy.map((job) => { const wait = ring(`${t("job.progress")}: ${titleOf(job)}`), tile = job.state === "failed" ? h("p", { class: "state bad" }, t("job.failed.text", { why: errorOf(job) }), h("button", { class: "button small", onclick: () => attempt(async () => { const fresh = await api.post(`/jobs/${job.id}/retry`); store.dispatch({ type: "job.updated", job: { ...job, message_id: null, version: job.version + 1 } }); store.dispatch({ type: "job.updated", job: fresh }); }) }, t("job.retry")))
        : h("div", { class: "tile waiting running", dataset: { job: job.id } }, wait.box, h("div", { class: "small muted words", role: "status" }), h("button", { class: "button small", onclick: () => attempt(async () => store.dispatch({ type: "job.updated", job: await api.post(`/jobs/${job.id}/cancel`) })) }, t("job.cancel")));
        if (job.state !== "failed") { tile.style.aspectRatio = `${job.request?.width || 1} / ${job.request?.height || 1}`; tile.ring = wait; }
        return tile; }));
  }
  for (const job of busy) {
    const tile = box.querySelector(`[data-job="${job.id}"]`);
    if (!tile) continue;
    tile.ring.set(share(job));
    tile.querySelector(".words").textContent = stateWords(job);
    const index = job.index ?? job.done_count ?? 0, n = job.previews?.[index] ?? job.preview;
    if (n) { let img = tile.querySelector(".preview"); if (!img) tile.prepend(img = h("img", { class: "preview", alt: "" })); const src = `/api/v1/jobs/${job.id}/previews/${index}?n=${n}`; if (img.getAttribute("src") !== src) img.src = src; }
  }
}
