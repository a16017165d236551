/** picture-review.js - Settings, Moderation, Pictures: what the picture check holds, and what it does. A picture is shown after a press only. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { announce } from "../components/ui.js";
import { button, emptyState, submit, sure } from "../components/pieces.js";
import { store } from "../state.js";
import { select } from "./people.js";

const MODES = ["blur", "hold", "refuse", "off"];

/** @param {any} one @param {() => any} again */
function row(one, again) {
  const src = `/api/v1/moderation/pictures/${one.id}/file`, name = t("review.of", { score: one.score });
  const face = h("div", { class: "review-face" });
  const show = button(t("cover.show"), () => { replace(face, one.kind === "video" ? h("video", { src, controls: true, "aria-label": name }) : h("img", { src, alt: name })); show.remove(); });
  const decide = (/** @type {string} */ decision) => async () => { await api.post(`/moderation/pictures/${one.id}`, { decision }); announce(t("moderation.saved")); await again(); };
  return h("li", { class: "card stack", dataset: { id: one.id } }, h("div", { class: "row between" }, h("strong", {}, name), h("span", { class: "muted small" }, [t(one.origin === "generated" ? "review.made" : "review.upload"), moment(one.created_at)].join(" · "))), face,
    h("div", { class: "row" }, show, button(t("review.release"), decide("release")), button(t("review.remove"), () => sure(t("review.remove"), t("review.remove.text"), t("review.remove"), decide("remove")), "quiet danger")));
}

/** @param {any} settings */
function form(settings) {
  const mode = select(MODES.map((it) => [it, t(`review.mode.${it}`)]), settings.picture_check);
  const threshold = h("input", { class: "input", type: "number", min: 1, max: 99, step: 1, required: true, value: settings.picture_check_threshold });
  const mark = h("input", { type: "checkbox", role: "switch", checked: settings.watermark });
  return h("form", { class: "card stack", onsubmit: submit(async () => { await api.patch("/settings", { picture_check: mode.value, picture_check_threshold: Number(threshold.value), watermark: mark.checked }); announce(t("moderation.saved")); }) },
    h("h3", {}, t("review.settings")), !settings.picture_classifier && h("p", { class: "notice" }, t("review.none")), field(t("review.mode"), mode, t("review.mode.hint")), field(t("review.threshold"), threshold, t("review.threshold.hint")),
    h("label", { class: "row check switch" }, mark, h("span", {}, t("review.mark"))), h("div", {}, h("button", { class: "button primary" }, t("common.save"))));
}

/** @param {any} box */
export async function mountPictureReview(box) {
  const mine = store.get().status?.permissions ?? [];
  const again = async () => {
    const [held, settings] = await Promise.all([api.get("/moderation/pictures"), mine.includes("settings.manage") ? api.get("/settings") : null]);
    replace(box, h("div", { class: "stack" }, h("p", { class: "muted" }, t("review.text")),
      held.items.length ? h("ul", { class: "recipes", "aria-label": t("moderation.tab.pictures") }, held.items.map((/** @type {any} */ one) => row(one, again))) : emptyState(t("review.empty"), ""),
      settings && form(settings)));
  };
  await again();
}
