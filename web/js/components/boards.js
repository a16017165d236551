/** boards.js - putting pictures on boards: the menu of boards, a new one among them. */
import { t } from "../i18n.js";
import * as api from "../api.js";
import { bulkAll } from "../pictures/actions.js";
import { attempt, ask, menu, toast } from "./ui.js";

/** @param {Element} anchor @param {string[]} ids @param {() => void} [done] */
export async function boardMenu(anchor, ids, done) {
  const page = await attempt(() => api.get("/boards?limit=200"));
  if (!page) return;
  const put = (/** @type {any} */ board) => attempt(async () => { await bulkAll(ids, "board", board.id); toast(t("board.added", { count: ids.length, name: board.name })); done?.(); });
  menu(anchor, [...page.items.map((/** @type {any} */ board) => ({ label: board.name, icon: "library", run: () => put(board) })), page.items.length ? null : undefined,
    { label: t("board.new"), icon: "plus", run: () => ask(t("board.name"), "", (name) => attempt(async () => put(await api.post("/boards", { name })))) }].filter((row) => row !== undefined));
}
