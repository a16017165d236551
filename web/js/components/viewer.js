/**
 * viewer.js - one picture alone on a neutral ground: step through, zoom, what made it, where it came from, compare with
 * its parent, share. It covers the work area; the list below it stays as it was.
 */
import { h, icon, iconButton, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { offered, store } from "../state.js";
import { duration, moment, size } from "../format.js";
import { coverText, download, faceOf, fileOf, isCovered, isHeld, menuRows, nameOf, rate, recall, remix, star, trash, uncover, useAsInput } from "../pictures/actions.js";
import { blurUrl } from "../pictures/blurhash.js";
import { attempt, copy, dialog, failed, menu, toast } from "./ui.js";
import { boardMenu } from "./boards.js";

const DAYS = [1, 7, 30, 0];
const INPUTS = ["mask", "reference", "control"], LINEAGE = ["init", "mask", "reference", "control", "upscaled", "varied", "frame"];
const HIDDEN = ["original_prompt", "original_negative_prompt", "model_name", "safe_mode", "task", "count", "init_asset", "mask_asset"];
const ROWS = ["prompt", "negative_prompt", "model", "seed", "steps", "cfg_scale", "guidance", "sampler", "scheduler", "width", "height", "strength", "clip_skip", "subseed", "subseed_strength", "style"];

/** How a state of Content Credentials looks. @type {Record<string, string>} */ const CREDENTIALS = { trusted: "good", valid: "good", changed: "bad", invalid: "bad" };

/**
 * @param {HTMLElement} root
 * @param {{close: () => void, step: (by: number) => any, place: (id: string) => {at: number, all: number}|null}} on step gives the neighbour and goes to it
 */
export function mountViewer(root, on) {
  /** @type {any} */ let asset = null;
  /** @type {any} */ let details = null;
  /** @type {any[]} */ let lineage = [];
  /** Content Credentials of the shown picture, asked for when somebody looks @type {any} */ let credentials = null;
  let closed = false, zoomed = false, info = localStorage.getItem("viewer") === "info", comparing = false, turn = 0;
  const stage = h("div", { class: "stage", tabindex: -1 }), side = h("aside", { class: "viewer-info", "aria-label": t("viewer.info"), hidden: true }), film = h("nav", { class: "film", "aria-label": t("viewer.lineage"), hidden: true }), bar = h("div", { class: "viewer-bar", role: "toolbar", "aria-label": t("asset.actions") });
  const previous = iconButton("left", t("viewer.previous"), () => on.step(-1), { class: "icon-button turn left" }), next = iconButton("right", t("viewer.next"), () => on.step(1), { class: "icon-button turn right" });
  const box = h("section", { class: "viewer", "aria-label": t("viewer.title") }, bar, h("div", { class: "viewer-body" }, h("div", { class: "viewer-main" }, stage, previous, next, film), side));
  root.append(box);

  function drawBar() {
    const place = on.place(asset.id);
    const had = bar.contains(document.activeElement) ? document.activeElement?.getAttribute("data-key") : null;
    const button = (/** @type {string} */ key, /** @type {string} */ label, /** @type {(event: any) => void} */ run, more = {}) => iconButton(key, label, run, { "data-key": key, ...more });
    previous.disabled = !place || place.at <= 0;
    next.disabled = !place || place.at >= place.all - 1;
    replace(bar, button("close", t("viewer.close"), on.close), h("span", { class: "grow muted small place" }, place ? t("viewer.place", { at: place.at + 1, all: place.all }) : ""),
      h("span", { class: "stars", role: "radiogroup", "aria-label": t("viewer.rating") }, [1, 2, 3, 4, 5].map((n) => h("button", { type: "button", class: n <= asset.rating ? "star-dot on" : "star-dot", role: "radio", "aria-checked": String(n === asset.rating), "aria-label": t("viewer.rating.n", { n }), "data-key": `rate${n}`, tabindex: n === Math.max(1, asset.rating) ? 0 : -1, onclick: () => rate(asset, n), onkeydown: (/** @type {KeyboardEvent} */ event) => { const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0; if (by) { event.preventDefault(); event.stopPropagation(); /** @type {any} */ (bar.querySelector(`[data-key="rate${Math.max(1, Math.min(5, n + by))}"]`))?.focus(); } } }))),
      button("star", t(asset.starred ? "asset.unstar" : "asset.star"), () => star(asset), { "aria-pressed": String(asset.starred), "data-star": "1" }),
      parentOf() && asset.kind === "picture" && button("compare", t("viewer.compare"), () => { comparing = !comparing; drawStage(); drawBar(); }, { "aria-pressed": String(comparing) }),
      button("remix", t("asset.remix"), () => remix(asset), { class: "icon-button wide" }), button("image", t("asset.use"), () => useAsInput(asset), { class: "icon-button wide" }), button("download", t("asset.download"), () => download(asset), { class: "icon-button wide" }), button("link", t("viewer.share"), () => share(), { class: "icon-button wide", dataset: { feature: "sharing" } }), button("trash", t("asset.trash"), () => remove(), { class: "icon-button wide" }),
      button("info", t("viewer.info"), () => toggleInfo(), { "aria-pressed": String(info) }),
      button("more", `${t("asset.actions")}: ${t("common.more")}`, (event) => menu(event.currentTarget, [...menuRows(asset).slice(0, -1), ...(offered("sharing") ? [{ label: t("viewer.share"), icon: "link", run: share }] : []), { label: t("board.add"), icon: "library", run: () => boardMenu(bar.lastElementChild, [asset.id], drawInfo) }, null, { label: t("asset.trash"), icon: "trash", danger: true, run: remove }])));
    if (had) /** @type {any} */ (bar.querySelector(`[data-key="${had}"]`))?.focus();
  }

  /** The picture it was made of; masks and references are no earlier versions. */
  const parentOf = () => lineage.find((one) => one.depth === -1 && !INPUTS.includes(one.role))?.asset;

  function drawStage() {
    stage.className = zoomed ? "stage zoomed" : "stage";
    const parent = parentOf();
    if (comparing && parent && !coverText(asset) && !coverText(parent)) {
      const before = h("img", { src: fileOf(parent), alt: t("viewer.compare.before"), class: "before" }), line = h("span", { class: "compare-line", "aria-hidden": "true" });
      const range = h("input", { type: "range", min: 0, max: 100, value: 50, class: "compare-range", "aria-label": t("viewer.compare.slider") });
      const set = () => { before.style.clipPath = `inset(0 ${100 - Number(range.value)}% 0 0)`; line.style.left = `${range.value}%`; };
      range.addEventListener("input", set);
      set();
      const frame = h("div", { class: "compare" }, h("img", { src: fileOf(asset), alt: t("viewer.compare.after") }), before, line, range);
      frame.style.aspectRatio = `${asset.width} / ${asset.height}`;
      frame.style.width = `min(100cqw, calc(100cqh * ${asset.width / asset.height}))`;
      return replace(stage, frame);
    }
    if (isHeld(asset)) return replace(stage, h("p", { class: "cover-note" }, t("cover.held.text")));
    if (isCovered(asset)) { // a still, also of a film
      const still = h("img", { src: fileOf(asset, 512), alt: `${nameOf(asset)}. ${coverText(asset)}`, class: "covered", draggable: "false" });
      return replace(stage, h("div", { class: "cover-stage" }, still, h("div", { class: "cover-note" }, h("p", {}, t("cover.on.text")), h("button", { class: "button", onclick: () => { uncover(asset); drawStage(); } }, t("cover.show")))));
    }
    const picture = asset.kind === "video" ? h("video", { src: fileOf(asset), controls: true, loop: true, playsinline: true, "aria-label": nameOf(asset) })
      : h("img", { src: fileOf(asset), alt: nameOf(asset), width: asset.width, height: asset.height, draggable: "false", onload: () => { picture.style.backgroundImage = ""; }, ondblclick: () => toggleZoom() });
    const blur = blurUrl(asset.blur_hash);
    if (blur) { picture.style.backgroundImage = `url("${blur}")`; picture.style.backgroundSize = "cover"; }
    replace(stage, picture);
    if (!zoomed) { // as large as there is room; a small one at most twice its size
      picture.style.width = `min(100cqw, calc(100cqh * ${asset.width / asset.height}), ${asset.width * (asset.width * asset.height < 400000 ? 2 : 1)}px)`;
      picture.style.aspectRatio = `${asset.width} / ${asset.height}`;
    }
    if (zoomed) { stage.scrollLeft = (stage.scrollWidth - stage.clientWidth) / 2; stage.scrollTop = (stage.scrollHeight - stage.clientHeight) / 2; }
  }
  function toggleZoom() { if (asset.kind === "video" || comparing) return; zoomed = !zoomed; drawStage(); if (zoomed) stage.focus(); }
  function toggleInfo() { info = !info; localStorage.setItem("viewer", info ? "info" : ""); drawInfo(); drawBar(); }

  function drawInfo() {
    side.hidden = !info;
    if (!info) return;
    const params = details?.params ?? {};
    const value = (/** @type {any} */ one) => typeof one === "object" ? JSON.stringify(one) : String(one);
    const row = (/** @type {string} */ name, /** @type {any} */ one) => h("div", { class: "param" }, h("dt", {}, name), h("dd", {}, value(one), iconButton("copy", t("viewer.copy", { name }), () => copy(value(one)), { class: "icon-button small" })));
    const known = ROWS.filter((key) => params[key] !== undefined && params[key] !== null && params[key] !== "");
    const rest = Object.keys(params).filter((key) => !ROWS.includes(key) && !HIDDEN.includes(key) && params[key] !== null && params[key] !== "" && !(Array.isArray(params[key]) && !params[key].length) && ["string", "number", "boolean", "object"].includes(typeof params[key]));
    const tags = h("input", { class: "input", value: (details?.tags ?? []).join(", "), "aria-label": t("viewer.tags"), placeholder: t("viewer.tags.hint"), onchange: () => attempt(async () => { const list = tags.value.split(",").map((/** @type {string} */ one) => one.trim()).filter(Boolean); store.dispatch({ type: "asset.updated", asset: await api.patch(`/assets/${asset.id}`, { tags: list }) }); if (details) details.tags = list; toast(t("common.saved")); }) });
    const title = h("input", { class: "input", value: asset.title ?? "", "aria-label": t("viewer.name"), placeholder: t("viewer.name"), maxlength: 200, onchange: () => attempt(async () => store.dispatch({ type: "asset.updated", asset: await api.patch(`/assets/${asset.id}`, { title: title.value }) })) });
    replace(side, h("header", { class: "details-head" }, h("h2", { class: "grow" }, t("viewer.info")), iconButton("close", t("viewer.info.close"), toggleInfo, { class: "icon-button small" })),
      title, h("div", { class: "row tight recall" }, h("button", { class: "button small", onclick: () => recallNow() }, t("viewer.recall")), h("button", { class: "button small quiet", onclick: () => recallNow({ prompt: true }) }, t("viewer.recall.prompt")), asset.seed >= 0 && h("button", { class: "button small quiet", onclick: () => recallNow({ seed: true }) }, t("viewer.recall.seed"))),
      h("dl", { class: "param-list" }, params.original_prompt && params.original_prompt !== params.prompt && row(t("param.original_prompt"), params.original_prompt), known.map((key) => row(t(`param.${key}`), key === "model" ? params.model_name ?? params.model : params[key])), rest.map((key) => row(key, params[key])), !known.length && asset.prompt && row(t("param.prompt"), asset.prompt)),
      details?.parameters && h("button", { class: "button small quiet", onclick: () => copy(details.parameters) }, icon("copy"), t("viewer.copy.all")),
      h("h3", {}, t("viewer.tags")), tags,
      h("h3", {}, t("viewer.boards")), h("div", { class: "chips" }, (details?.boards ?? []).map((/** @type {any} */ one) => h("a", { class: "chip", href: `/library?board_id=${one.id ?? one}` }, one.name ?? one)), h("button", { class: "chip", onclick: (/** @type {any} */ event) => boardMenu(event.currentTarget, [asset.id], load) }, icon("plus"), t("board.add"))),
      h("h3", {}, t("credentials.title")), drawCredentials(),
      h("h3", {}, t("viewer.file")), h("p", { class: "muted small" }, [t("viewer.dimensions", { width: asset.width, height: asset.height }), size(asset.size_bytes), asset.media_type, asset.duration_ms ? duration(asset.duration_ms / 1000) : null, moment(asset.created_at)].filter(Boolean).join(" · ")));
  }
  function drawCredentials() {
    const { id } = asset, found = credentials?.id === id ? credentials.found : null;
    if (credentials?.id !== id) {
      credentials = { id };
      api.get(`/assets/${id}/credentials`).catch(() => ({ state: "failed" })).then((got) => { credentials = credentials?.id === id ? { id, found: got } : credentials; if (!closed && asset.id === id) drawInfo(); });
    }
    if (!found) return h("p", { class: "muted small" }, t("credentials.reading"));
    const told = [found.generator && t("credentials.made", { name: found.generator }), found.signer && t("credentials.signed", { name: found.signer }), found.place === "upload" && found.state !== "none" && t("credentials.upload"), found.problem && ["changed", "invalid"].includes(found.state) && found.problem];
    return h("p", { class: "small row credentials" }, h("span", { class: `light ${CREDENTIALS[found.state] ?? ""}` }), h("span", { class: "grow" }, h("strong", {}, t(`credentials.state.${found.state}`)), told.filter(Boolean).map((line) => h("span", { class: "muted block" }, line))));
  }
  /** @param {any} [what] */
  const recallNow = (what) => { recall(asset, what); };

  /** One step of the tree: what came at this distance; masks and other inputs stand small beside what they went into. */
  function drawFilm() {
    film.hidden = lineage.length < 2;
    const depths = [...new Set(lineage.map((one) => one.depth))].sort((a, b) => a - b);
    const name = (/** @type {any} */ one) => one.depth === 0 ? t("viewer.this") : t(`lineage.${LINEAGE.includes(one.role) ? one.role : "init"}`);
    const item = (/** @type {any} */ one) => h("li", { class: INPUTS.includes(one.role) && one.depth ? "film-input" : "" }, h("a", { href: `/library/${one.asset.id}${location.search}`, "aria-current": one.depth === 0 ? "true" : null, title: one.asset.prompt || name(one) }, h("img", { ...faceOf(one.asset, 128), alt: one.depth < 0 ? t("viewer.parent") : one.depth > 0 ? t("viewer.child") : t("viewer.this") })), h("span", { class: "film-name" }, one.depth > 0 || (one.depth < 0 && INPUTS.includes(one.role)) ? name(one) : one.depth === 0 ? name(one) : one.asset.task ? t(`task.${one.asset.task}`) : t(one.asset.library ? "lineage.upload" : "lineage.canvas")));
    replace(film, h("ol", { class: "film-steps" }, depths.map((depth) => h("li", { class: "film-step" }, h("ul", {}, lineage.filter((one) => one.depth === depth).sort((a, b) => Number(INPUTS.includes(a.role)) - Number(INPUTS.includes(b.role))).map(item))))));
    const here = film.querySelector("[aria-current]");
    if (here) film.scrollLeft = here.offsetLeft - film.clientWidth / 2 + 28;
  }

  function share() {
    const list = h("div", { class: "stack" }), expires = h("select", { class: "input" }, DAYS.map((days) => h("option", { value: days, selected: days === 7 }, days ? t(days === 1 ? "share.day" : "share.days", { days }) : t("share.never")))), meta = h("input", { type: "checkbox" });
    const draw = () => attempt(async () => { const page = await api.get(`/shares?asset_id=${asset.id}`); replace(list, page.items.filter((/** @type {any} */ one) => !one.revoked_at).map((/** @type {any} */ one) => h("div", { class: "row share" }, h("a", { class: "grow", href: one.url, target: "_blank", rel: "noopener" }, new URL(one.url, location.origin).href), h("span", { class: "muted small" }, [one.expires_at ? t("share.until", { at: moment(one.expires_at) }) : t("share.never"), t("share.uses", { count: one.uses ?? 0 })].join(" · ")), iconButton("copy", t("common.copy"), () => copy(new URL(one.url, location.origin).href), { class: "icon-button small" }), iconButton("trash", t("share.revoke"), () => attempt(async () => { await api.del(`/shares/${one.key}`); draw(); }), { class: "icon-button small" })))); });
    dialog(t("share.title"), h("div", { class: "stack" }, h("p", { class: "muted" }, t("share.text")), h("form", { class: "stack", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); attempt(async () => { const days = Number(expires.value); const made = await api.post(`/assets/${asset.id}/shares`, { ...(days ? { expires_at: new Date(Date.now() + days * 86400000).toISOString() } : {}), with_metadata: meta.checked }); await copy(new URL(made.url, location.origin).href); draw(); }); } },
      h("label", { class: "field" }, h("span", { class: "field-label" }, t("share.expires")), expires), h("label", { class: "row check" }, meta, t("share.metadata")), h("button", { class: "button primary" }, t("share.make"))), list));
    draw();
  }
  const remove = async () => { const gone = asset; if (!on.step(1) && !on.step(-1)) on.close(); await trash([gone]); };

  async function load() {
    const mine = ++turn, { id } = asset;
    const [what, tree] = await Promise.all([api.get(`/assets/${id}/details`).catch(() => null), api.get(`/assets/${id}/lineage`).catch(() => ({ items: [] }))]);
    if (closed || mine !== turn) return;
    details = what;
    lineage = tree.items ?? [];
    drawInfo(); drawFilm(); drawBar();
  }

  /** @param {any} item */
  function show(item) {
    const fresh = asset?.id !== item.id;
    asset = item;
    if (fresh) { details = null; lineage = []; comparing = false; zoomed = false; film.hidden = true; drawStage(); }
    drawBar(); drawInfo();
    if (fresh) load();
    document.title = `${nameOf(asset).slice(0, 60)} · ${t("app.name")}`;
  }

  // a finger: swipe to step; held keys: arrows
  let startX = 0, startY = 0;
  stage.addEventListener("touchstart", (/** @type {TouchEvent} */ event) => { startX = event.touches[0].clientX; startY = event.touches[0].clientY; }, { passive: true });
  stage.addEventListener("touchend", (/** @type {TouchEvent} */ event) => { const dx = event.changedTouches[0].clientX - startX, dy = event.changedTouches[0].clientY - startY; if (!zoomed && !comparing && Math.abs(dx) > 60 && Math.abs(dx) > 2 * Math.abs(dy)) on.step(dx < 0 ? 1 : -1); else if (!zoomed && dy > 120 && Math.abs(dx) < 60) on.close(); }, { passive: true });
  /** drag a picture in full size @type {any} */ let drag = null;
  stage.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => { if (zoomed && event.pointerType === "mouse") { drag = { x: event.clientX + stage.scrollLeft, y: event.clientY + stage.scrollTop }; stage.setPointerCapture(event.pointerId); } });
  stage.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => { if (drag) { stage.scrollLeft = drag.x - event.clientX; stage.scrollTop = drag.y - event.clientY; } });
  stage.addEventListener("pointerup", () => { drag = null; });
  box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /** @type {Element} */ (event.target).closest("input, textarea, select")) return;
    if (event.key === "ArrowRight" && !zoomed) { event.preventDefault(); on.step(1); } else if (event.key === "ArrowLeft" && !zoomed) { event.preventDefault(); on.step(-1); }
    else if (/^[1-5]$/.test(event.key)) { event.preventDefault(); rate(asset, Number(event.key)); }
  });
  const off = store.subscribe((state, old) => { if (state.assetChange !== old.assetChange && state.assetChange?.asset?.id === asset?.id && state.assetChange.type === "asset.updated") show({ ...asset, ...state.assetChange.asset }); });

  return {
    show, element: box, asset: () => asset,
    fail: (/** @type {any} */ error, /** @type {() => void} */ again) => { replace(bar, iconButton("close", t("viewer.close"), on.close)); failed(stage, error, again); },
    focus: () => stage.focus({ preventScroll: true }),
    actions: {
      stop: () => { if (zoomed) { toggleZoom(); return true; } on.close(); return true; }, view: () => { if (document.activeElement?.closest("button, a")) return false; on.close(); return true; },
      star: () => { star(asset); return true; }, info: () => { toggleInfo(); return true; }, toggle_details: () => { toggleInfo(); return true; }, zoom: () => { toggleZoom(); return true; }, remix: () => { remix(asset); return true; }, trash: () => { remove(); return true; },
      recall: () => { recallNow(); return true; }, recall_seed: () => { recallNow({ seed: true }); return true; }, recall_prompt: () => { recallNow({ prompt: true }); return true; },
    },
    dispose: () => { closed = true; off(); box.remove(); },
  };
}
