/** people-groups.js - Settings, People, Groups: people who share an allowance; who is in one, and the way to its quotas. */
import { debounce, field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { attempt, announce, dialog } from "../components/ui.js";
import { button, emptyState, loading, submit, sure } from "../components/pieces.js";
import { store } from "../state.js";

const TYPING_MS = 250, SHOWN = 20;

/** Who is in it, with a search among all accounts. @param {any} group @param {() => any} again */
function askMembers(group, again) {
  const list = h("div", { class: "stack", "aria-live": "polite" }), search = h("input", { class: "input", type: "search", placeholder: t("people.search"), "aria-label": t("people.search") });
  const inIt = (/** @type {any} */ one) => Boolean(one.groups?.includes(group.id)); /* an empty list is left out */
  const put = (/** @type {any} */ one, /** @type {boolean} */ on) => api.patch(`/users/${one.id}`, { groups: on ? [...(one.groups ?? []), group.id] : (one.groups ?? []).filter((/** @type {string} */ it) => it !== group.id) });
  async function draw() {
    const people = (await api.get(`/users${api.query({ q: search.value.trim(), limit: SHOWN })}`)).items.filter((/** @type {any} */ one) => !one.own); /* one's own account is another manager's business */
    const whole = await Promise.all(people.map((/** @type {any} */ one) => api.get(`/users/${one.id}`)));
    replace(list, whole.length ? whole.map((one) => {
      const box = h("input", { type: "checkbox", checked: inIt(one), onchange: () => attempt(async () => { one.groups = (await put(one, box.checked)).groups; announce(t("common.saved")); await again(); }).then(() => { box.checked = inIt(one); }) });
      return h("label", { class: "row check" }, box, h("span", {}, one.name));
    }) : h("p", { class: "muted" }, t("people.none")));
  }
  search.addEventListener("input", debounce(() => attempt(draw), TYPING_MS));
  dialog(t("groups.members", { name: group.name }), h("div", { class: "stack" }, search, list));
  attempt(draw);
}

/** @param {any} box @returns {Promise<any>} dispose */
export async function mountGroups(box) {
  const done = loading(box);
  let groups = (await api.get("/groups").finally(done)).items;
  const list = h("ul", { class: "recipes", "aria-label": t("people.tab.groups") }), name = h("input", { class: "input", required: true, maxlength: 60, autocomplete: "off" });
  const again = async () => { groups = (await api.get("/groups")).items; draw(); };
  function rename(/** @type {any} */ one) {
    const input = h("input", { class: "input", required: true, maxlength: 60, value: one.name, autocomplete: "off" });
    const close = dialog(t("groups.rename", { name: one.name }), h("form", { class: "stack", onsubmit: submit(async () => { await api.put(`/groups/${one.id}`, { name: input.value.trim() }); close(); await again(); }) }, field(t("common.name"), input), h("div", {}, h("button", { class: "button primary" }, t("common.save")))));
  }
  function draw() {
    replace(list, groups.length ? groups.map((/** @type {any} */ one) => h("li", { class: "card recipe", dataset: { id: one.id } }, h("div", { class: "grow" }, h("strong", { class: "recipe-name" }, one.name), h("div", { class: "muted small" }, t("roles.people", { count: one.users }))),
      h("div", { class: "row tight" }, button(t("groups.people"), () => askMembers(one, again), "", { "aria-label": t("groups.members", { name: one.name }) }), store.get().status.permissions.includes("quotas.manage") && h("a", { class: "button small", href: "/settings/allowances" }, t("groups.quotas")),
        button(t("common.edit"), () => rename(one), "", { "aria-label": t("groups.rename", { name: one.name }) }),
        button(t("common.delete"), () => sure(t("groups.delete.title"), t("groups.delete.text"), t("groups.delete", { name: one.name }), async () => { await api.del(`/groups/${one.id}`); await again(); }), "quiet danger", { "aria-label": t("groups.delete", { name: one.name }) })))) : h("li", {}, emptyState(t("groups.none"), t("groups.none.text"))));
  }
  draw();
  replace(box, h("div", { class: "stack" }, list, h("form", { class: "card stack", onsubmit: submit(async () => { await api.post("/groups", { name: name.value.trim() }); name.value = ""; await again(); }) }, h("h3", {}, t("groups.make")), field(t("common.name"), name), h("div", {}, h("button", { class: "button primary" }, t("groups.make"))))));
  return () => {};
}
