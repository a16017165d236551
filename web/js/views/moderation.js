/**
 * moderation.js - Settings, Moderation: what waits, the most urgent first; one report with what it is about, decisions
 * and appeals; pictures that may not come in. What is reported is shown after a press only: each look is written down.
 */
import { field, h, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { duration, moment } from "../format.js";
import { announce } from "../components/ui.js";
import { button, emptyState, loading, submit, sure } from "../components/pieces.js";
import { KINDS } from "../components/report.js";
import { select } from "./people.js";
import { mountPictureReview } from "./picture-review.js";

const DECISIONS = ["keep", "restrict", "remove", "suspend"], STATES = ["decided", "closed"];
const what = (/** @type {any} */ one) => t("moderation.what", { kind: t(`report.kind.${one.kind}`), what: t(`report.target.${one.target_kind}`) });
/** "due in 5 h", "3 h late". @param {any} one */
function clock(one) {
  const left = (new Date(one.due_at).getTime() - Date.now()) / 1000;
  return h("span", { class: left < 0 ? "chip bad" : "chip" }, t(left < 0 ? "moderation.late" : "moderation.due", { time: duration(Math.abs(left)) }));
}

/** @param {any} box @param {string} [id] a report's id, "done" or "blocked" @returns {Promise<any>} */
export async function mountModeration(box, id) {
  const done = loading(box);
  await Promise.all([stylesheet("recipes"), stylesheet("people")]).catch(() => {});
  const inner = h("div"), open = id === "done" || id === "blocked" || id === "pictures" ? id : "queue";
  const link = (/** @type {string} */ name, /** @type {string} */ href) => h("a", { href, "aria-current": name === open ? "page" : null }, t(`moderation.tab.${name}`));
  done();
  replace(box, h("nav", { class: "people-tabs", "aria-label": t("settings.moderation") }, link("queue", "/settings/moderation"), link("done", "/settings/moderation/done"), link("pictures", "/settings/moderation/pictures"), link("blocked", "/settings/moderation/blocked")), inner);
  if (open === "blocked") return mountBlocked(inner);
  if (open === "pictures") return mountPictureReview(inner);
  return id && open === "queue" ? mountOne(inner, id) : mountQueue(inner, open === "done");
}

/** @param {any} box @param {boolean} past */
async function mountQueue(box, past) {
  const pages = past ? await Promise.all(STATES.map((state) => api.get(`/reports?state=${state}`))) : [await api.get("/reports")];
  const items = pages.flatMap((page) => page.items).sort((/** @type {any} */ a, /** @type {any} */ b) => past ? (a.id < b.id ? 1 : -1) : 0);
  const row = (/** @type {any} */ one) => h("li", { class: "card row report", dataset: { id: one.id } }, h("div", { class: "grow" }, h("a", { href: `/settings/moderation/${one.id}` }, h("strong", {}, what(one))),
    h("div", { class: "muted small" }, [one.owner_name && t("moderation.of", { name: one.owner_name }), t("moderation.voices", { count: one.voices }), moment(one.created_at)].filter(Boolean).join(" · "))),
  h("div", { class: "row tight" }, one.hold !== "none" && h("span", { class: "chip waiting" }, t(`moderation.hold.${one.hold}`)), one.state === "appealed" && h("span", { class: "chip" }, t("moderation.appealed")), past ? h("span", { class: "chip" }, t(`moderation.decided.${one.decision}`)) : clock(one)));
  replace(box, h("div", { class: "stack" }, items.length ? h("ul", { class: "recipes", "aria-label": t(past ? "moderation.tab.done" : "moderation.tab.queue") }, items.map(row)) : emptyState(t("moderation.none"), t("moderation.none.text")),
    h("div", {}, h("a", { class: "button small quiet", href: "/api/v1/reports/counts", download: "reports.csv" }, t("moderation.counts")))));
}

/** @param {any} one @param {any} box */
async function showContent(one, box) {
  const content = await api.get(`/reports/${one.id}/content`);
  replace(box, h("div", { class: "card stack" }, content.title && h("strong", {}, content.title), content.picture && h("img", { class: "report-picture", src: `/api/v1/reports/${one.id}/file`, alt: t("moderation.picture") }),
    content.text && h("pre", { class: "log", tabindex: 0 }, content.text), content.lines.length > 0 && h("ol", { class: "report-lines", tabindex: 0, "aria-label": t("moderation.lines") }, content.lines.map((/** @type {any} */ line) => h("li", {}, h("span", { class: "muted small" }, t(`moderation.role.${line.role}`)), h("p", {}, line.text))))));
}

/** @param {any} one @param {() => any} again */
function decisionForm(one, again) {
  const decision = select(DECISIONS.filter((it) => it !== "restrict" || one.target_kind === "picture").filter((it) => one.target_kind !== "account" || ["keep", "suspend"].includes(it)).map((it) => [it, t(`moderation.decision.${it}`)]), "keep");
  const reason = select([["no_breach", t("report.kind.no_breach")], ...KINDS.map((it) => [it, t(`report.kind.${it}`)])], "no_breach"), answer = h("textarea", { class: "input", rows: 3, maxlength: 1000 });
  decision.addEventListener("change", () => { reason.value = decision.value === "keep" ? "no_breach" : one.kind; });
  return h("form", { class: "card stack", onsubmit: submit(async () => { await api.post(`/reports/${one.id}/decision`, { decision: decision.value, reason: reason.value, answer: answer.value.trim() }); announce(t("moderation.saved")); await again(); }) },
    h("h3", {}, t("moderation.decide")), field(t("moderation.decision"), decision, t("moderation.decision.hint")), field(t("moderation.reason"), reason), field(t("moderation.answer"), answer, t("moderation.answer.hint")), h("div", {}, h("button", { class: "button primary" }, t("moderation.decide"))));
}

/** @param {any} one @param {() => any} again */
function appealForm(one, again) {
  const answer = h("textarea", { class: "input", rows: 3, maxlength: 1000 });
  const end = (/** @type {string} */ outcome) => async () => { await api.post(`/reports/${one.id}/appeal/decision`, { outcome, answer: answer.value.trim() }); announce(t("moderation.saved")); await again(); };
  return h("div", { class: "card stack" }, h("h3", {}, t("moderation.appeal")), field(t("moderation.answer"), answer, t("moderation.answer.hint")), h("div", { class: "row" }, button(t("moderation.uphold"), end("upheld")), button(t("moderation.overturn"), end("overturned"), "primary")));
}

/** @param {any} box @param {string} id */
async function mountOne(box, id) {
  const again = async () => {
    const one = await api.get(`/reports/${encodeURIComponent(id)}`), content = h("div");
    const open = one.state === "open" || one.state === "appealed";
    replace(box, h("div", { class: "stack" }, h("div", { class: "row between" }, h("h3", {}, what(one)), h("div", { class: "row tight" }, one.hold !== "none" && h("span", { class: "chip waiting" }, t(`moderation.hold.${one.hold}`)), open && clock(one))),
      h("p", { class: "muted small" }, [one.owner_name ? t("moderation.of", { name: one.owner_name }) : t("moderation.nobody"), one.copies > 1 && t("moderation.copies", { count: one.copies }), moment(one.created_at)].filter(Boolean).join(" · ")),
      h("ul", { class: "recipes", "aria-label": t("moderation.said") }, one.voice_list.map((/** @type {any} */ voice) => h("li", { class: "card stack" }, h("div", { class: "muted small" }, [t(`report.kind.${voice.kind}`), voice.user_name ?? t("moderation.stranger"), voice.contact, moment(voice.created_at)].filter(Boolean).join(" · ")), voice.note && h("blockquote", {}, voice.note)))),
      h("div", {}, button(t("moderation.look"), () => showContent(one, content)), h("p", { class: "muted small" }, t("moderation.look.hint"))), content,
      one.decision && h("div", { class: "card stack" }, h("strong", {}, t(`moderation.decided.${one.decision}`)), h("div", { class: "muted small" }, [t(`report.kind.${one.reason}`), one.decided_by_name, moment(one.decided_at)].filter(Boolean).join(" · ")), one.answer && h("blockquote", {}, one.answer)),
      one.appeal_note && h("div", { class: "card stack" }, h("strong", {}, t("moderation.appealed")), h("blockquote", {}, one.appeal_note), one.appeal_outcome && h("div", { class: "muted small" }, [t(`moderation.outcome.${one.appeal_outcome}`), one.appeal_by_name].filter(Boolean).join(" · "))),
      open && (one.may_decide ? (one.state === "open" ? decisionForm : appealForm)(one, again) : h("p", { class: "notice" }, t("moderation.other"))),
      h("div", {}, h("a", { class: "button small quiet", href: "/settings/moderation" }, t("moderation.back")))));
  };
  await again();
}

/** @param {any} box */
async function mountBlocked(box) {
  const items = (await api.get("/blocked-pictures")).items, again = () => mountBlocked(box);
  const reason = h("input", { class: "input", maxlength: 200, required: true }), file = h("input", { class: "input", type: "file", accept: "image/*", required: true });
  replace(box, h("div", { class: "stack" }, h("p", { class: "muted" }, t("blocked.text")), items.length ? h("ul", { class: "recipes", "aria-label": t("moderation.tab.blocked") }, items.map((/** @type {any} */ one) => h("li", { class: "card row", dataset: { id: one.id } },
    h("div", { class: "grow" }, h("strong", {}, one.report_id ? t(`report.kind.${one.reason}`) : one.reason), h("div", { class: "muted small" }, [t(one.looks ? "blocked.looks" : "blocked.bytes"), `${one.sha256.slice(0, 16)}…`, moment(one.created_at)].join(" · "))),
    one.report_id && h("a", { class: "button small quiet", href: `/settings/moderation/${one.report_id}` }, t("blocked.report")), button(t("common.delete"), () => sure(t("blocked.remove"), t("blocked.remove.text"), t("blocked.remove"), async () => { await api.del(`/blocked-pictures/${one.id}`); await again(); }), "quiet danger")))) : h("p", { class: "muted" }, t("blocked.none")),
    h("form", { class: "card stack", onsubmit: submit(async () => { await api.sendRaw("POST", `/blocked-pictures${api.query({ reason: reason.value.trim() })}`, file.files[0], "application/octet-stream"); announce(t("moderation.saved")); await again(); }) }, h("h3", {}, t("blocked.add")), field(t("blocked.file"), file), field(t("blocked.reason"), reason), h("div", {}, h("button", { class: "button primary" }, t("blocked.add"))))));
}
