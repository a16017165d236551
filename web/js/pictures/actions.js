/** actions.js - what can be done with a picture, the same from Create, the library and its viewer. */
import { h } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { store } from "../state.js";
import { go } from "../router.js";
import { attempt, toast } from "../components/ui.js";
import * as draft from "./draft.js";
import { controlTypes } from "./form.js";

/** @param {any} asset @param {number} [width] one of 64, 128, 256, 512; without it the picture itself */
export const fileOf = (asset, width) => `/api/v1/assets/${asset.id}/file${width ? `?width=${width}` : ""}`;
/** @type {Set<string>} pictures that were covered by the picture check and have been clicked, until the page is left */
const uncovered = new Set();
/** Shown after a click only. @param {any} asset */
export const isCovered = (asset) => asset.check === "blur" && !uncovered.has(asset.id);
/** Nobody sees it before somebody who moderates has looked. @param {any} asset */
export const isHeld = (asset) => asset.check === "held" || asset.check === "removed";
/** @param {any} asset */
export function uncover(asset) { uncovered.add(asset.id); store.dispatch({ type: "asset.updated", asset: { ...asset } }); }
/** The picture's address and class as an image of it shall have them. @param {any} asset @param {number} [width] */
export const faceOf = (asset, width) => ({ ...(isHeld(asset) ? {} : { src: fileOf(asset, width) }), class: isCovered(asset) ? "covered" : "" });
/** What a covered or held picture is called. @param {any} asset */
export const coverText = (asset) => (isHeld(asset) ? t("cover.held") : isCovered(asset) ? t("cover.on") : "");
/** The thumbnail for a box this wide on this screen. @param {number} width */
export const thumbWidth = (width) => [64, 128, 256, 512].find((one) => one >= width * Math.min(devicePixelRatio || 1, 2) * 0.9) ?? 512;
/** @param {any} asset */
export const nameOf = (asset) => asset.title || asset.prompt || t("library.untitled");

/** @param {any} asset */
export const star = (asset) => attempt(async () => {
  store.dispatch({ type: "asset.updated", asset: { ...asset, starred: !asset.starred } });
  try { store.dispatch({ type: "asset.updated", asset: await api.patch(`/assets/${asset.id}`, { starred: !asset.starred }) }); } catch (error) { store.dispatch({ type: "asset.updated", asset }); throw error; }
});

/** @param {any} asset @param {number} rating */
export const rate = (asset, rating) => attempt(async () => store.dispatch({ type: "asset.updated", asset: await api.patch(`/assets/${asset.id}`, { rating: rating === asset.rating ? 0 : rating }) }));

const BULK_MAX = 1000; // ids the server takes at a time
/** @param {string[]} ids @param {string} action @param {any} [value] */
export async function bulkAll(ids, action, value) {
  for (let at = 0; at < ids.length; at += BULK_MAX) await api.post("/assets/bulk", { ids: ids.slice(at, at + BULK_MAX), action, ...(value === undefined ? {} : { value }) });
}

/** To the trash, with ten seconds to change one's mind. @param {any[]} assets @param {() => void} [back] they were brought back */
export const trash = (assets, back) => attempt(async () => {
  const ids = assets.map((one) => one.id);
  await bulkAll(ids, "delete");
  for (const id of ids) store.dispatch({ type: "asset.deleted", id });
  toast(t("asset.trashed", { count: ids.length }), { undo: () => attempt(async () => {
    await bulkAll(ids, "restore");
    for (const asset of assets) { const live = { ...asset, deleted_at: null }; store.dispatch({ type: "asset.updated", asset: live }); store.dispatch({ type: "asset.created", asset: live }); }
    back?.();
  }) });
});

/** @param {any} asset @param {boolean} [clean] without what made it (the AI mark stays) */
export function download(asset, clean) {
  const link = h("a", { href: `/api/v1/assets/${asset.id}/file?download=true${clean ? "&metadata=strip" : ""}`, download: "", hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
}

/** @param {any} asset */
const small = (asset) => ({ id: asset.id, width: asset.width, height: asset.height });
/** @param {any} asset */
export function useAsInput(asset) { draft.set({ init: small(asset), mask: null }); go("/create"); document.getElementById("picture-prompt")?.focus(); }
/** What a picture shows holds the next one together: pose, depth or lines. A model that takes it is chosen. @param {any} asset */
export function useAsControl(asset) {
  const models = store.get().pictureModels ?? [], takes = (/** @type {any} */ one) => controlTypes(one).length > 0;
  const now = models.find((one) => one.id === draft.get().model), model = now && takes(now) ? now : models.find((one) => one.ready && takes(one));
  draft.set({ control: small(asset), ...(model ? { model: model.id } : {}) });
  go("/create");
  document.getElementById("picture-prompt")?.focus();
}
/** All parameters with the seed freed. @param {any} asset */
export const remix = (asset) => attempt(async () => { await draft.recallAsset(asset.id, { prompt: true, rest: true, original: true }); draft.set({ seed_locked: false }); go("/create"); document.getElementById("picture-prompt")?.focus(); });
/** @param {any} asset @param {{seed?: boolean, prompt?: boolean, rest?: boolean}} [what] */
export const recall = (asset, what) => attempt(async () => { await draft.recallAsset(asset.id, what); toast(t("create.recalled")); });

/** The model that does this when none is named: the server's default if it can, else the first that is ready. @param {string} task */
export const modelFor = (task) => {
  const able = (store.get().pictureModels ?? []).filter((one) => one.ready && one.tasks.includes(task));
  return able.find((one) => one.is_default) ?? able[0];
};

/** @param {any} body @param {{front?: boolean}} [options] */
export async function submit(body, options = {}) {
  const job = await api.post("/jobs", options.front ? { ...body, priority: 1 } : body, { key: crypto.randomUUID?.() ?? String(Math.random()) });
  store.dispatch({ type: "job.updated", job });
  return job;
}

/** A near sister: the same picture with a little of another seed, or where the model cannot, with another seed. @param {any} asset */
export const vary = (asset) => attempt(async () => {
  const { params } = await api.get(`/assets/${asset.id}/details`);
  const model = (store.get().pictureModels ?? []).find((one) => one.id === (params.model ?? asset.model));
  const subseed = Math.floor(Math.random() * 4294967296);
  const near = model?.params?.some((/** @type {any} */ one) => one.name === "subseed_strength");
  const { assets: _assets, count: _count, ...rest } = params;
  await submit({ ...wanted(rest), count: 1, ...(near ? { seed: asset.seed, subseed, subseed_strength: 0.2 } : { seed: subseed }) });
  toast(t("create.queued"));
});

const FIELDS = ["task", "model", "prompt", "negative_prompt", "width", "height", "steps", "cfg_scale", "guidance", "seed", "subseed", "subseed_strength", "clip_skip", "sampler", "scheduler", "strength", "loras", "init_asset", "mask_asset", "control_asset", "reference_assets", "control_type", "control_strength", "upscale_factor", "upscaler", "frames", "fps", "duration_s", "format", "quality", "style", "character_id", "workflow_id", "inputs", "extra"];
/** What of a picture's parameters can be asked again. Braces are expanded in them already. @param {any} params */
export const wanted = (params) => ({ ...Object.fromEntries(FIELDS.filter((key) => params[key] !== undefined && params[key] !== null).map((key) => [key, params[key]])), no_expand: true, no_look: true, style: undefined });

/** A task that needs nothing but the picture. @param {any} asset @param {"upscale"|"remove_background"} task */
export const derive = (asset, task) => attempt(async () => {
  const model = modelFor(task);
  if (!model) return void toast(t(task === "upscale" ? "asset.none.upscale" : "asset.none.background"));
  await submit({ task, model: model.id, prompt: "", init_asset: asset.id });
  toast(t("create.queued"));
});

/** Rows of the menu of a picture. @param {any} asset @returns {import("../components/ui.js").MenuRow[]} */
export const menuRows = (asset) => [
  { label: t("asset.remix"), icon: "remix", run: () => remix(asset) },
  { label: t("asset.vary"), icon: "vary", run: () => vary(asset) },
  { label: t("asset.use"), icon: "image", run: () => useAsInput(asset) },
  ...((store.get().pictureModels ?? []).some((one) => controlTypes(one).length) && asset.kind !== "video" ? [{ label: t("control.use"), icon: "lasso", run: () => useAsControl(asset) }] : []),
  { label: t("asset.edit"), icon: "brush", run: () => go(`/create/edit/${asset.id}`) },
  { label: t("asset.upscale"), icon: "expand", run: () => derive(asset, "upscale") },
  ...(modelFor("remove_background") ? [{ label: t("asset.background"), icon: "ghost", run: () => derive(asset, "remove_background") }] : []),
  null,
  ...(asset.kind !== "video" ? [{ label: t("styles.picture"), icon: "pin", run: () => { import("../components/style-chips.js").then((it) => it.chooseStyleFor(asset)); } }, null] : []),
  { label: t("asset.download"), icon: "download", run: () => download(asset) },
  { label: t("asset.download.clean"), icon: "download", run: () => download(asset, true) },
  { label: t("report.menu"), icon: "flag", run: () => { import("../components/report.js").then((it) => it.openReport("picture", asset.id, nameOf(asset).slice(0, 60), () => store.dispatch({ type: "asset.deleted", id: asset.id }))); } },
  null,
  { label: t("asset.trash"), icon: "trash", danger: true, run: () => trash([asset]) },
];
