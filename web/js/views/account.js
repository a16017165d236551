/** account.js - one's own account: devices, the second factor, services to sign in with. What the server offers: login-services.js. */
import { field, h, replace } from "../dom.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { moment } from "../format.js";
import { attempt, copy, dialog, toast } from "../components/ui.js";
import { makePasskey, passkeysOffered } from "../components/passkeys.js";
import { qr } from "../qr.js";

const button = (/** @type {string} */ label, /** @type {() => any} */ run, kind = "") => h("button", { type: "button", class: `button small ${kind}`, onclick: () => attempt(async () => run()) }, label);
const input = (props = {}) => h("input", { class: "input", ...props });
const submit = (/** @type {() => Promise<any>} */ run) => (/** @type {Event} */ event) => { event.preventDefault(); attempt(run); };
const codeInput = (props = {}) => input({ required: true, autocomplete: "one-time-code", maxlength: 40, autocapitalize: "none", spellcheck: false, ...props });

/** A browser and its system out of a User-Agent line. @param {string} agent */
export function deviceName(agent) {
  const browser = [["Edg/", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]].find(([mark]) => agent.includes(mark))?.[1];
  const system = [["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS", "macOS"], ["Linux", "Linux"]].find(([mark]) => agent.includes(mark))?.[1];
  return [browser, system].filter(Boolean).join(" · ") || agent || t("account.device.unknown");
}

/** @param {any[]} sessions @param {() => any} again */
function devices(sessions, again) {
  return h("section", { class: "stack" }, h("h2", {}, t("account.sessions")),
    sessions.map((one) => h("div", { class: "card row" },
      h("div", { class: "grow" }, h("strong", { title: one.user_agent }, deviceName(one.user_agent)), one.current && h("span", { class: "chip" }, t("account.this")),
        h("div", { class: "hint" }, t("account.seen", { at: moment(one.last_seen_at), remote: one.remote }))),
      !one.current && button(t("account.end"), () => api.del(`/sessions/${one.id}`).then(again)))),
    sessions.length > 1 && h("div", {}, button(t("account.end.others"), () => api.del("/sessions").then(again))));
}

/** Who worked in one's name. @param {any[]} items */
function impersonations(items) {
  if (!items.length) return null;
  return h("section", { class: "stack" }, h("h2", {}, t("impersonate.list")), h("p", { class: "hint" }, t("impersonate.list.text")),
    items.map((one) => h("div", { class: "card" }, h("strong", {}, one.by_user_name), h("div", {}, one.why), h("div", { class: "hint" }, one.ended_at ? t("impersonate.from_to", { from: moment(one.started_at), to: moment(one.ended_at) }) : t("impersonate.since", { from: moment(one.started_at) })))));
}

/** Shown once. @param {string[]} codes */
function showCodes(codes) {
  dialog(t("second.codes"), h("div", { class: "stack" }, h("p", {}, t("second.codes.text")), h("pre", { class: "notice", tabindex: 0 }, codes.join("\n")),
    button(t("common.copy"), () => copy(codes.join("\n")))));
}

/** A QR code with its quiet zone, dark on white in every theme: cameras want it so. @param {string} text @param {string} label */
function qrPicture(text, label) {
  const rows = qr(text), size = rows.length + 8, svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", rows.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x + 4} ${y + 4}h1v1h-1z` : ""))).join(""));
  for (const [name, value] of Object.entries({ class: "qr", viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": label, "shape-rendering": "crispEdges" })) svg.setAttribute(name, value);
  svg.append(path);
  return svg;
}

/** @param {{secret: string, url: string}} made @param {() => any} again */
function confirmFactor(made, again) {
  const code = codeInput({ inputmode: "numeric" });
  const close = dialog(t("second.set"), h("div", { class: "stack" }, h("p", {}, t("second.key")), qrPicture(made.url, t("second.qr")),
    h("code", { class: "notice" }, made.secret.match(/.{1,4}/g)?.join(" ")),
    h("div", { class: "row" }, button(t("common.copy"), () => copy(made.secret), "quiet"), h("a", { class: "button small quiet", href: made.url }, t("second.open"))),
    h("form", { class: "stack", onsubmit: submit(async () => {
      const answer = await api.post("/me/second-factor/confirm", { code: code.value.replaceAll(" ", "") });
      close();
      await again();
      showCodes(answer.recovery_codes);
    }) }, field(t("second.code"), code), h("button", { class: "button primary" }, t("second.confirm")))));
  code.focus();
}

/** @param {any} state @param {() => any} again */
function secondFactor(state, again) {
  const begin = () => {
    const password = input({ type: "password", autocomplete: "current-password" });
    const close = dialog(t("second.set"), h("form", { class: "stack", onsubmit: submit(async () => {
      const made = await api.post("/me/second-factor", password.value ? { password: password.value } : {});
      close();
      confirmFactor(made, again);
    }) }, field(t("account.current"), password, t("second.password.hint")), h("button", { class: "button primary" }, t("second.next"))));
    password.focus();
  };
  const off = () => {
    const password = input({ type: "password", autocomplete: "current-password" }), code = codeInput({ required: false });
    const close = dialog(t("second.off"), h("form", { class: "stack", onsubmit: submit(async () => {
      await api.post("/me/second-factor/off", { ...(password.value ? { password: password.value } : {}), ...(code.value ? { code: code.value } : {}) });
      close();
      toast(t("second.is_off"));
      again();
    }) }, field(t("account.current"), password), field(t("second.code"), code, t("second.off.hint")), h("button", { class: "button danger" }, t("second.off"))));
  };
  return h("section", { class: "stack" }, h("h2", {}, t("second.title")), h("div", { class: "card stack" },
    h("div", {}, h("span", {}, state.enabled ? t("second.on") : t("second.none")),
      h("div", { class: "hint" }, state.enabled ? t("second.left", { count: state.recovery_codes_left }) : t("second.text"))),
    h("div", {}, state.enabled ? button(t("second.off"), off) : button(t("second.set"), begin))), h("br"));
}

/** @param {any[]} links @param {any[]} offers @param {() => any} again */
function services(links, offers, again) {
  if (!links.length && !offers.length) return null;
  return h("section", { class: "stack" }, h("h2", {}, t("logins.title")), h("p", { class: "hint" }, t("logins.text")),
    links.map((one) => h("div", { class: "card row" }, h("div", { class: "grow" }, h("strong", {}, one.name), h("div", { class: "hint" }, one.label)),
      button(t("logins.unlink"), () => api.del(`/me/logins/${one.id}`).then(again)))),
    h("div", { class: "row" }, offers.map((one) => button(t("logins.link", { name: one.name }), async () => {
      location.href = (await api.post("/me/logins", { provider_id: one.id })).url;
    }))), h("br"));
}

/** @param {any[]} list @param {() => any} again */
function passkeys(list, again) {
  const add = () => {
    const name = input({ required: true, maxlength: 60, value: deviceName(navigator.userAgent) }), password = input({ type: "password", autocomplete: "current-password" });
    const close = dialog(t("passkeys.add"), h("form", { class: "stack", onsubmit: submit(async () => {
      const made = await makePasskey(name.value.trim(), password.value);
      if (!made) return;
      close();
      toast(t("passkeys.added"));
      again();
    }) }, field(t("passkeys.name"), name), field(t("account.current"), password, t("second.password.hint")), h("button", { class: "button primary" }, t("second.next"))));
    password.focus();
  };
  const rename = (/** @type {any} */ one) => {
    const name = input({ required: true, maxlength: 60, value: one.name });
    const close = dialog(t("passkeys.rename"), h("form", { class: "stack", onsubmit: submit(async () => {
      await api.patch(`/me/passkeys/${one.id}`, { name: name.value.trim() });
      close();
      again();
    }) }, field(t("passkeys.name"), name), h("button", { class: "button primary" }, t("services.save"))));
    name.select();
  };
  return h("section", { class: "stack" }, h("h2", {}, t("passkeys.title")), h("p", { class: "hint" }, t("passkeys.text")),
    list.map((one) => h("div", { class: "card row" }, h("div", { class: "grow" }, h("strong", {}, one.name), one.synced && h("span", { class: "chip" }, t("passkeys.synced")),
      h("div", { class: "hint" }, [one.rp_id, one.last_used_at ? t("passkeys.used", { at: moment(one.last_used_at) }) : t("passkeys.unused")].join(" · "))),
    button(t("passkeys.rename"), () => rename(one), "quiet"), button(t("passkeys.remove"), () => api.del(`/me/passkeys/${one.id}`).then(again)))),
    h("div", {}, passkeysOffered() ? button(t("passkeys.add"), add) : h("p", { class: "hint" }, t("passkeys.not_here"))), h("br"));
}

/** @param {Element} box @param {any[]} sessions @param {() => any} again */
export async function mountAccount(box, sessions, again) {
  const [state, links, offers, keys, others] = await Promise.all([api.get("/me/second-factor"), api.get("/me/logins"), api.get("/login"), api.get("/me/passkeys"), api.get("/me/impersonations")]);
  replace(box, h("div", { class: "stack" }, passkeys(keys.items, again), secondFactor(state, again), services(links.items, offers.items, again), devices(sessions, again), impersonations(others.items)));
}
