/**
 * job-card.js - one job in the stream of Create: its prompt, a tile for each picture (growing preview, then the result),
 * its state in words and what can be done. `jobCard(job, on)` returns an element with `update(job)`.
 */
import { h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import { duration, soon } from "../format.js";
import { coverText, faceOf, fileOf, menuRows, modelFor, nameOf, remix, star, submit, thumbWidth, vary } from "../pictures/actions.js";
import { attempt, longPress, menu, toast } from "./ui.js";

const PHASES = ["loading", "preparing", "queued", "sampling", "decoding", "upscaling", "downloading"];
const RING = 2 * Math.PI * 15;
export const isActive = (/** @type {any} */ job) => job.state === "queued" || job.state === "leased" || job.state === "running";

/** @param {string} name @param {Record<string, any>} props */
function svg(name, props) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(props)) element.setAttribute(key, String(value));
  return element;
}

/** A thin ring that fills; `set(share)`, null when it is not known. @param {string} [label] what it is of, where nothing else says how far it is */
export function ring(label) {
  const box = svg("svg", { class: "ring", viewBox: "0 0 36 36", ...(label ? { role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 } : { "aria-hidden": "true" }) });
  const arc = svg("circle", { class: "arc", cx: 18, cy: 18, r: 15, "stroke-dasharray": RING, "stroke-dashoffset": RING });
  box.append(svg("circle", { class: "track", cx: 18, cy: 18, r: 15 }), arc);
  return { box, set: (/** @type {number|null} */ share) => { box.classList.toggle("unknown", share === null); if (share === null) box.removeAttribute("aria-valuenow"); else if (label) box.setAttribute("aria-valuenow", String(Math.round(100 * share))); arc.setAttribute("stroke-dashoffset", String(RING * (1 - (share ?? 0.25)))); } };
}

/** "0.4 s a step". @param {any} job */
const pace = (job) => job.step_ms > 0 ? t("job.pace", { time: job.step_ms < 10000 ? `${(job.step_ms / 1000).toFixed(job.step_ms < 1000 ? 2 : 1)} s` : duration(job.step_ms / 1000) }) : null;
/** Waits for a time of day. @param {any} job */
export const isLater = (job) => job.state === "queued" && !!job.not_before && new Date(job.not_before).getTime() > Date.now();

/** What was asked, or where that needed no words, what is done. @param {any} job */
export const titleOf = (job) => job.prompt || t(`task.${job.task}`);

/** What a job is doing, in words. @param {any} job */
export function stateWords(job) {
  if (isLater(job)) return t("job.not_before", { at: soon(job.not_before) });
  if (job.state === "queued") return [job.position ? t("job.position", { n: job.position }) : t("job.queued"), job.depends_on && t("job.waits_for"), job.wait_ms ? t("create.estimate.wait", { time: duration(job.wait_ms / 1000) }) : null].filter(Boolean).join(" · ");
  if (job.state === "running" || job.state === "leased") {
    const what = job.steps && (!job.phase || job.phase === "sampling") ? t("job.step", { step: job.step, steps: job.steps }) : PHASES.includes(job.phase) ? t(`job.phase.${job.phase}`) : t(`job.${job.state}`);
    return [what, job.steps && (!job.phase || job.phase === "sampling") ? pace(job) : null, job.left_ms ? t("job.left", { time: duration(job.left_ms / 1000) }) : null].filter(Boolean).join(" · ");
  }
  return t(`job.${job.state}`);
}

/** @param {any} job */
export const errorOf = (job) => job.error_detail ?? job.error?.detail ?? t("error.title");
/** @param {any} job */
export const share = (job) => job.state === "running" && job.steps ? Math.min(1, job.step / job.steps) : null;

/** A finished picture with its actions. @param {any} asset @param {number} width */
function result(asset, width) {
  const name = nameOf(asset);
  const starred = iconButton("star", t(asset.starred ? "asset.unstar" : "asset.star"), () => star(asset), { class: "icon-button small", "aria-pressed": String(asset.starred) });
  const tools = h("div", { class: "tile-tools", role: "group", "aria-label": t("asset.actions") }, starred,
    iconButton("vary", t("asset.vary"), () => vary(asset), { class: "icon-button small wide" }), iconButton("remix", t("asset.remix"), () => remix(asset), { class: "icon-button small wide" }),
    iconButton("more", `${t("asset.actions")}: ${t("common.more")}`, (event) => menu(event.currentTarget, menuRows(asset)), { class: "icon-button small" }));
  const image = asset.kind === "video" && !coverText(asset) ? h("video", { src: fileOf(asset), muted: true, loop: true, playsinline: true, preload: "metadata", onmouseenter: (/** @type {any} */ event) => event.target.play()?.catch?.(() => {}), onmouseleave: (/** @type {any} */ event) => event.target.pause() })
    : h("img", { ...faceOf(asset, thumbWidth(width)), alt: name, width: asset.width, height: asset.height, loading: "lazy", decoding: "async", draggable: "false" });
  return h("div", { class: asset.starred ? "tile starred" : "tile", dataset: { asset: asset.id }, ...longPress((element) => menu(element.querySelector(".tile-tools button:last-child"), menuRows(asset))) },
    h("a", { class: "tile-link", href: `/library/${asset.id}`, "aria-label": `${t("asset.open")}: ${name}` }, image, coverText(asset) && h("span", { class: "cover-text" }, coverText(asset))), tools);
}

/** The picture of a waiting or running job shall be enlarged as soon as it is there. @param {any} job */
export const thenUpscale = (job) => attempt(async () => {
  const model = modelFor("upscale");
  if (!model) return void toast(t("asset.none.upscale"));
  await submit({ task: "upscale", model: model.id, prompt: "", depends_on: job.id });
  toast(t("job.then.queued"));
});
/** @param {any} job */
export const canFollow = (job) => isActive(job) && job.task !== "upscale" && !!modelFor("upscale");

/** @param {any} job @param {{cancel: (job: any) => void, retry: (job: any) => void, remix: (job: any) => void, copy: (job: any) => void}} on */
export function jobCard(job, on) {
  const words = h("span", { class: "job-state" }), tiles = h("div", { class: "tiles" }), foot = h("div", { class: "job-foot" });
  const prompt = h("p", { class: "job-prompt" }, titleOf(job));
  const facts = h("div", { class: "job-facts muted small" });
  const element = h("article", { class: "job", "aria-label": titleOf(job), tabindex: -1, dataset: { id: job.id } }, h("div", { class: "job-head" }, h("div", { class: "grow" }, prompt, facts), h("div", { class: "job-right" }, words)), tiles, foot);
  /** @type {Map<number, {key: string, node: any, ring?: any, img?: any}>} */ const shown = new Map();
  const width = job.request?.width || job.assets?.[0]?.width || 1, height = job.request?.height || job.assets?.[0]?.height || 1;
  const box = (job.count ?? 1) > 1 ? 220 : 320;
  let footKey = "";

  /** @param {any} now @param {number} index @param {any} asset */
  function tileAt(now, index, asset) {
    const current = now.index ?? now.done_count ?? 0;
    const running = isActive(now) && now.state !== "queued" && index === current;
    const key = asset ? `${asset.id}${asset.starred}${asset.deleted_at}${asset.version}` : isActive(now) ? `wait${running}` : "none";
    let entry = shown.get(index);
    if (entry?.key !== key) {
      const old = entry?.node;
      const wait = ring(`${t("job.progress")}: ${titleOf(now)}`);
      /** @type {any} */ let node;
      if (asset?.deleted_at) node = h("div", { class: "tile gone muted small" }, icon("trash"), t("asset.gone"));
      else if (asset) node = result(asset, box);
      else node = h("div", { class: running ? "tile waiting running" : "tile waiting" }, running && wait.box);
      node.style.aspectRatio = `${asset?.width || width} / ${asset?.height || height}`;
      if (entry?.img && asset && !asset.deleted_at) { node.style.backgroundImage = `url("${entry.img.src}")`; node.classList.add("from-preview"); }
      entry = { key, node, ring: running ? wait : null };
      if (old) old.replaceWith(node); else tiles.append(node);
      shown.set(index, entry);
    }
    if (!asset && running) {
      entry.ring?.set(share(now));
      const n = now.previews?.[index] ?? (index === current ? now.preview : 0);
      if (n) {
        const src = `/api/v1/jobs/${now.id}/previews/${index}?n=${n}`;
        if (!entry.img) { entry.img = h("img", { alt: "", class: "preview", onerror: (/** @type {any} */ event) => event.target.classList.add("failed"), onload: (/** @type {any} */ event) => event.target.classList.remove("failed") }); entry.node.prepend(entry.img); }
        if (entry.img.getAttribute("src") !== src) entry.img.src = src;
      }
    }
  }

  /** @param {any} now */
  function update(now) {
    job = now;
    element.className = `job ${now.state}`;
    const active = isActive(now);
    words.textContent = now.state === "done" ? "" : stateWords(now);
    facts.textContent = [t(`task.${now.task}`), now.request?.model_name ?? (now.model ?? "").split("/").pop(), now.request?.width ? `${now.request.width} × ${now.request.height}` : null, now.cost_micro_usd ? price(now.cost_micro_usd) : null].filter(Boolean).join(" · ");
    const results = (now.assets ?? []).filter(Boolean);
    const count = active || now.state === "done" ? Math.max(active ? now.count ?? 1 : 0, results.length) : results.length;
    tiles.hidden = count === 0;
    tiles.classList.toggle("many", count > 1);
    for (const [index, entry] of shown) if (index >= count) { entry.node.remove(); shown.delete(index); }
    for (let index = 0; index < count; index++) tileAt(now, index, results.find((/** @type {any} */ one) => one.job_index === index) ?? (results.every((/** @type {any} */ one) => one.job_index === undefined) ? results[index] : null));
    const key = `${now.state}${now.notes?.length}${errorOf(now)}`;
    if (key === footKey) return;
    footKey = key;
    const had = foot.contains(document.activeElement);
    replace(foot, now.state === "failed" && h("p", { class: "notice bad grow", role: "alert" }, t("job.failed.text", { why: errorOf(now) })),
      now.notes?.length > 0 && h("ul", { class: "job-notes muted small" }, now.notes.map((/** @type {string} */ note) => h("li", {}, note))),
      h("div", { class: "row" },
        active && h("button", { type: "button", class: "button small", onclick: () => on.cancel(job) }, t("job.cancel")),
        canFollow(now) && h("button", { type: "button", class: "button small quiet", onclick: () => thenUpscale(job) }, icon("expand"), t("job.then")),
        (now.state === "failed" || now.state === "cancelled") && h("button", { type: "button", class: "button small", onclick: () => on.retry(job) }, icon("again"), t("job.retry")),
        h("button", { type: "button", class: "button small quiet", onclick: () => on.remix(job) }, t("job.remix")),
        now.prompt && h("button", { type: "button", class: "button small quiet", onclick: () => on.copy(job) }, t("job.copy_prompt"))));
    if (had) foot.querySelector("button")?.focus(); // the pressed button may be gone
  }
  update(job);
  return Object.assign(element, { update });
}

/** @param {number} micro_usd */
export function price(micro_usd) {
  const usd = micro_usd / 1e6;
  return `$${usd < 0.1 ? usd.toFixed(3).replace(/0$/, "") : usd.toFixed(2)}`;
}
