/**
 * people.js - Settings, People: accounts with search and what can be done to each; invitations and roles are tabs beside.
 *
 * What the server would refuse is not offered: one's own account, and owners unless one is an owner oneself.
 */
import { debounce, field, h, replace, stylesheet } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { store } from "../state.js";
import { announce, attempt, dialog } from "../components/ui.js";
import { button, emptyState, loading, submit, sure } from "../components/pieces.js";

const PAGE = 30, TYPING_MS = 250, DAY_MS = 86400000;
export const BUILT_IN = ["owner", "admin", "moderator", "member", "guest"];
/** @param {{id: string, name: string}|any} role */
export const roleName = (role) => BUILT_IN.includes(role.id) ? t(`people.role.${role.id}`) : role.name;
const amOwner = () => store.get().status?.user?.role === "owner";
/** Roles that whoever is here may give. @param {any[]} roles */
export const givable = (roles) => roles.filter((role) => (role.id !== "owner" || amOwner()) && role.permissions.every((/** @type {string} */ one) => store.get().status.permissions.includes(one)));
/** @param {any[]} rows @param {string} value @param {Record<string, any>} [props] */
export const select = (rows, value, props = {}) => h("select", { class: "input", ...props }, rows.map(([key, label]) => h("option", { value: key, selected: key === value }, label)));

/** @param {any} box @param {string} [tab] @returns {Promise<any>} dispose */
export async function mountPeople(box, tab) {
  await Promise.all([stylesheet("recipes"), stylesheet("people")]).catch(() => {});
  const open = tab === "invitations" || tab === "roles" || tab === "groups" ? tab : "list";
  const inner = h("div");
  const link = (/** @type {string} */ name, /** @type {string} */ href) => h("a", { href, "aria-current": name === open ? "page" : null }, t(`people.tab.${name}`));
  replace(box, h("nav", { class: "people-tabs", "aria-label": t("settings.people") }, link("list", "/settings/people"), link("invitations", "/settings/people/invitations"), link("roles", "/settings/people/roles"), link("groups", "/settings/people/groups")), inner);
  if (open === "list") return mountList(inner);
  if (open === "groups") return (await import("./people-groups.js")).mountGroups(inner);
  const module = await import("./people-invite.js");
  return open === "roles" ? module.mountRoles(inner) : module.mountInvitations(inner);
}

/** @param {any} one @param {(now: any) => void} put */
function askSuspend(one, put) {
  const why = h("input", { class: "input", maxlength: 200, autocomplete: "off" });
  const days = select([["", t("people.suspend.open")], ["1", t("people.suspend.day")], ["7", t("people.suspend.days", { days: 7 })], ["30", t("people.suspend.days", { days: 30 })]], "");
  const close = dialog(t("people.suspend.title", { name: one.name }), h("form", { class: "stack", onsubmit: submit(async () => {
    const until = days.value ? new Date(Date.now() + Number(days.value) * DAY_MS).toISOString() : null;
    put(await api.post(`/users/${one.id}/suspend`, { until, why: why.value.trim() || null }));
    close();
    announce(t("people.suspended", { name: one.name }));
  }) }, h("p", {}, t("people.suspend.text")), field(t("people.suspend.how_long"), days), field(t("people.suspend.why"), why, t("people.suspend.why.hint")),
    h("div", { class: "row" }, h("button", { class: "button danger" }, t("people.suspend")), h("button", { type: "button", class: "button quiet", onclick: () => close() }, t("common.cancel")))));
}

/** Work in their name: the page begins again as that person, with a banner. @param {any} one */
function askImpersonate(one) {
  const why = h("input", { class: "input", maxlength: 200, required: true, autocomplete: "off" });
  const close = dialog(t("impersonate.title", { name: one.name }), h("form", { class: "stack", onsubmit: submit(async () => {
    await api.post(`/users/${one.id}/impersonate`, { why: why.value.trim() });
    sessionStorage.clear();
    location.href = "/";
  }) }, h("p", {}, t("impersonate.text", { name: one.name })), field(t("impersonate.why"), why, t("impersonate.why.hint")),
    h("div", { class: "row" }, h("button", { class: "button primary" }, t("impersonate.begin")), h("button", { type: "button", class: "button quiet", onclick: () => close() }, t("common.cancel")))));
  why.focus();
}

/** @param {any} box */
async function mountList(box) {
  const done = loading(box);
  let closed = false, asked = 0;
  /** @type {any[]} */ let people = [];
  /** @type {string|null} */ let next = null;
  const roles = (await api.get("/roles").finally(done)).items;
  const search = h("input", { class: "input", type: "search", id: "people-search", placeholder: t("people.search"), "aria-label": t("people.search") });
  const state = select([["", t("people.state.all")], ["active", t("people.state.active")], ["waiting", t("people.state.waiting")], ["suspended", t("people.state.suspended")]], "", { "aria-label": t("people.state") });
  const list = h("ul", { class: "recipes people", "aria-label": t("settings.people") });
  const page = (/** @type {string} */ after = "") => api.get(`/users${api.query({ q: search.value.trim(), state: state.value, after, limit: PAGE })}`);
  const more = button(t("people.more"), async () => { const read = await page(/** @type {string} */ (next)); next = read.next; people = [...people, ...read.items]; draw(); });

  async function read() {
    const mine = ++asked, first = await page();
    if (mine !== asked || closed) return;
    people = first.items;
    next = first.next;
    draw();
  }
  const put = (/** @type {any} */ now) => { people = people.map((one) => one.id === now.id ? now : one); draw(); };
  const act = (/** @type {any} */ one, /** @type {string} */ verb) => async () => { put(await api.post(`/users/${one.id}/${verb}`)); announce(t(`people.${verb}d`, { name: one.name })); };

  function roleMenu(/** @type {any} */ one) {
    const rows = givable(roles);
    if (one.own || (one.role === "owner" && !amOwner()) || !rows.some((role) => role.id === one.role)) return h("span", { class: "chip" }, roleName({ id: one.role, name: one.role_name }));
    const box = select(rows.map((role) => [role.id, roleName(role)]), one.role, { class: "input role-menu", "aria-label": t("people.role.of", { name: one.name }) });
    box.addEventListener("change", () => attempt(async () => { put(await api.patch(`/users/${one.id}`, { role: box.value })); announce(t("people.role.given", { name: one.name })); }).then(() => { const now = people.find((it) => it.id === one.id); if (now) box.value = now.role; }));
    return box;
  }
  const told = (/** @type {any} */ one) => [one.email, one.state === "suspended" ? (one.suspended_until ? t("people.until", { at: moment(one.suspended_until) }) : t("people.until.open")) : null, one.state === "suspended" ? one.suspended_why : null, one.held_since ? t("people.held", { why: one.held_why }) : null, one.erase_since ? t("people.erase") : null,
    one.last_seen_at ? t("people.seen", { at: moment(one.last_seen_at) }) : t("people.since", { at: moment(one.created_at) })].filter(Boolean).join(" · ");
  const row = (/** @type {any} */ one) => h("li", { class: `card recipe person ${one.state}`, dataset: { id: one.id } },
    h("span", { class: "avatar small", "aria-hidden": "true" }, [...one.name][0]?.toUpperCase()),
    h("div", { class: "grow" }, h("div", { class: "row tight" }, h("strong", { class: "recipe-name" }, one.name), one.own && h("span", { class: "muted small" }, t("people.you")), one.state !== "active" && h("span", { class: `chip ${one.state}` }, t(`people.state.${one.state}`))), h("div", { class: "muted small" }, told(one))),
    h("div", { class: "row tight" }, roleMenu(one), !one.own && (one.role !== "owner" || amOwner()) && [
      one.state === "waiting" && button(t("people.approve"), act(one, "approve"), "primary", { "aria-label": t("people.approve.one", { name: one.name }) }),
      button(t("report.menu"), () => import("../components/report.js").then((module) => module.openReport("account", one.id, one.name)), "quiet", { "aria-label": t("report.title", { name: one.name }) }),
      one.state === "suspended" ? button(t("people.resume"), act(one, "resume"), "", { "aria-label": t("people.resume.one", { name: one.name }) }) : one.state === "active" && button(t("people.suspend"), () => askSuspend(one, put), "", { "aria-label": t("people.suspend.one", { name: one.name }) }),
      button(t("people.export"), () => import("./privacy.js").then((module) => module.showExport(one)), "quiet", { "aria-label": t("people.export.one", { name: one.name }) }),
      one.state === "active" && button(t("people.access"), () => import("./person-access.js").then((module) => module.helpPerson(one)), "quiet", { "aria-label": t("people.access.one", { name: one.name }) }),
      one.state === "active" && one.role !== "owner" && button(t("impersonate"), () => askImpersonate(one), "quiet", { "aria-label": t("impersonate.one", { name: one.name }) }),
      button(t("common.delete"), () => sure(t("people.delete.title"), t("people.delete.text", { name: one.name }), t("people.delete", { name: one.name }), async () => { await api.del(`/users/${one.id}`); people = people.filter((it) => it.id !== one.id); draw(); announce(t("people.deleted", { name: one.name })); }), "quiet danger", { "aria-label": t("people.delete", { name: one.name }) })]));
  function draw() {
    const held = list.contains(document.activeElement) ? /** @type {any} */ (document.activeElement).closest("li")?.dataset.id : null;
    replace(list, people.length ? people.map(row) : h("li", {}, emptyState(t("people.none"), t("people.none.text"))));
    if (held) list.querySelector(`[data-id="${held}"] :is(button, select)`)?.focus();
    more.hidden = !next;
  }

  const typed = debounce(() => attempt(read), TYPING_MS);
  search.addEventListener("input", typed);
  state.addEventListener("change", () => attempt(read));
  await read();
  replace(box, h("div", { class: "stack" }, h("div", { class: "people-filter" }, search, state), list, h("div", { class: "row center" }, more)));
  return Object.assign(() => { closed = true; }, { reset: () => attempt(read) });
}
