/**
 * state.js - what the page knows, changed only by the pure function `reduce` and read by everyone.
 *
 * Objects are replaced, never changed in place, so a view sees by identity what is new. Live events of the server are
 * actions as they come ({type: "message.delta", …data}).
 */

/** @typedef {{ids: string[], byId: Record<string, any>, more: boolean, loaded: boolean, stale: boolean}} Thread */

export const initial = {
  /** @type {any} */ status: null,
  /** @type {Record<string, any>} */ prefs: {},
  connection: "connecting",
  /** @type {any[]|null} */ conversations: null,
  /** @type {string|null} */ conversations_next: null,
  /** @type {any[]|null} */ characters: null,
  /** @type {any[]} */ personas: [],
  /** @type {any[]} */ folders: [],
  /** @type {any[]|null} */ models: null,
  /** @type {any[]|null} */ providers: null,
  /** @type {any} */ engine: null,
  /** @type {any} */ settings: null,
  /** @type {Record<string, any>} */ transfers: {},
  /** @type {Record<string, Thread>} */ threads: {},
  /** @type {Record<string, any>} */ progress: {},
  /** @type {Record<string, any>} */ jobs: {},
  /** @type {any} */ queue: null,
  /** @type {any[]|null} */ pictureModels: null,
  /** @type {any[]} */ styles: [],
  /** the last change of an asset, as it came @type {any} */ assetChange: null,
  /** the last change of a workflow, wildcard, webhook or quota, as it came @type {any} */ recipeChange: null,
};
/** @typedef {typeof initial} State */

const EMPTY = { ids: [], byId: {}, more: false, loaded: false, stale: false };

/** Pinned first, then the latest active. @param {any[]} list */
export function sortConversations(list) {
  return [...list].sort((a, b) => Number(!!b.pinned_at) - Number(!!a.pinned_at) ||
    (a.active_at < b.active_at ? 1 : a.active_at > b.active_at ? -1 : 0));
}

/** @param {any[]|null} list @param {any} item */
function upsert(list, item) {
  if (!list) return [item];
  const at = list.findIndex((one) => one.id === item.id);
  if (at < 0) return [item, ...list];
  if (item.version !== undefined && list[at].version > item.version) return list;
  const copy = [...list];
  copy[at] = item;
  return copy;
}

/** @param {any[]|null} list @param {string} id */
const without = (list, id) => list && list.filter((one) => one.id !== id);

/** @param {State} state @param {string} id @param {Partial<Thread>} change @returns {State} */
function withThread(state, id, change) {
  return { ...state, threads: { ...state.threads, [id]: { ...(state.threads[id] ?? EMPTY), ...change } } };
}

/** A new message joins the path at its end, or replaces the sibling's branch. @param {State} state @param {any} message */
function created(state, message) {
  const thread = state.threads[message.conversation_id];
  if (!thread?.loaded) return state;
  if (thread.byId[message.id]) return updated(state, message);
  /** @type {Record<string, any>} */
  const byId = { ...thread.byId, [message.id]: message };
  for (const id of message.siblings ?? [])
    if (byId[id] && id !== message.id) byId[id] = { ...byId[id], siblings: message.siblings };
  const at = message.parent_id === null ? 0 : thread.ids.indexOf(message.parent_id) + 1;
  if (message.parent_id !== null && at === 0) return withThread(state, message.conversation_id, { stale: true });
  return withThread(state, message.conversation_id, { byId, ids: [...thread.ids.slice(0, at), message.id] });
}

/** @param {State} state @param {any} message */
function updated(state, message) {
  const thread = state.threads[message.conversation_id];
  const old = thread?.byId[message.id];
  if (!old) return state;
  if (message.status === "streaming" && old.stream_seq > message.stream_seq) return state;
  return withThread(state, message.conversation_id, { byId: { ...thread.byId, [message.id]: message } });
}

/** @param {State} state @param {any} data */
function delta(state, data) {
  const thread = state.threads[data.conversation_id];
  const old = thread?.byId[data.message_id];
  if (!old || data.seq <= old.stream_seq) return state;
  if (data.seq > old.stream_seq + 1) return withThread(state, data.conversation_id, { stale: true });
  const key = data.channel === "reasoning" ? "reasoning" : "content";
  const message = { ...old, [key]: (old[key] ?? "") + data.text, stream_seq: data.seq };
  return withThread(state, data.conversation_id, { byId: { ...thread.byId, [old.id]: message } });
}

/** Another tab moved the conversation's head: what is shown here may be another branch. @param {State} state @param {any} conversation */
function conversationChanged(state, conversation) {
  const thread = state.threads[conversation.id];
  const next = { ...state, conversations: state.conversations && sortConversations(upsert(state.conversations, conversation)) };
  if (thread?.loaded && conversation.head_id && thread.ids.at(-1) !== conversation.head_id)
    return withThread(next, conversation.id, { stale: true });
  return next;
}

/**
 * A job as the server tells it; what only events say (phase, previews by index) is kept, and so is a step that is ahead
 * of the answer's: an event has overtaken it. @param {State} state @param {any} job
 */
function jobChanged(state, job) {
  const old = state.jobs[job.id];
  if (old && old.version > job.version) return state;
  const ahead = old?.version === job.version && old.state === "running" && old.index === job.done_count && old.steps === job.steps && old.step > job.step;
  return { ...state, jobs: { ...state.jobs, [job.id]: { ...job, phase: old?.phase, index: old?.index, step_ms: old?.step_ms, previews: old?.previews, ...(ahead ? { step: old.step, left_ms: old.left_ms } : {}) } } };
}

/** @param {State} state @param {string} id @param {(job: any) => any} change */
function withJob(state, id, change) {
  const job = state.jobs[id];
  return job ? { ...state, jobs: { ...state.jobs, [id]: { ...job, ...change(job) } } } : state;
}

/** Put a changed asset wherever jobs show it; null takes it away. @param {State} state @param {string} id @param {any} asset @param {any} action */
function assetChanged(state, id, asset, action) {
  const next = { ...state, assetChange: action };
  const job = Object.values(state.jobs).find((one) => one.assets?.some((/** @type {any} */ it) => it.id === id));
  return job ? withJob(next, job.id, () => ({ assets: job.assets.map((/** @type {any} */ it) => it.id === id ? asset ?? { ...it, deleted_at: new Date().toISOString() } : it) })) : next;
}

/** @param {State} state @param {any} action @returns {State} */
export function reduce(state, action) {
  switch (action.type) {
    case "set": return { ...state, ...action.values };
    case "prefs": return { ...state, prefs: { ...state.prefs, ...action.values } };
    case "thread.loaded": {
      const byId = /** @type {Record<string, any>} */ ({});
      for (const message of action.items) byId[message.id] = message;
      return withThread(state, action.id, { ids: action.items.map((/** @type {any} */ m) => m.id), byId, more: action.more, loaded: true, stale: false });
    }
    case "thread.older": {
      const thread = state.threads[action.id];
      if (!thread) return state;
      const fresh = action.items.filter((/** @type {any} */ m) => !thread.byId[m.id]);
      const byId = { ...thread.byId };
      for (const message of fresh) byId[message.id] = message;
      return withThread(state, action.id, { byId, more: action.more, ids: [...fresh.map((/** @type {any} */ m) => m.id), ...thread.ids] });
    }
    case "thread.stale": return state.threads[action.id] ? withThread(state, action.id, { stale: true }) : state;
    case "message.created": return created(state, action.message);
    case "message.updated": return updated(state, action.message);
    case "message.delta": return delta(state, action);
    case "message.deleted": {
      const thread = state.threads[action.conversation_id];
      const at = thread?.ids.indexOf(action.id) ?? -1;
      return at < 0 ? state : withThread(state, action.conversation_id, { ids: thread.ids.slice(0, at) });
    }
    case "conversations.older": {
      const known = new Set((state.conversations ?? []).map((one) => one.id));
      return { ...state, conversations_next: action.next, conversations: sortConversations([...(state.conversations ?? []), ...action.items.filter((/** @type {any} */ one) => !known.has(one.id))]) };
    }
    case "conversation.created":
    case "conversation.updated": return conversationChanged(state, action.conversation);
    case "conversation.deleted": return { ...state, conversations: without(state.conversations, action.id) };
    case "character.created":
    case "character.updated": return { ...state, characters: upsert(state.characters, action.character) };
    case "character.deleted": return { ...state, characters: without(state.characters, action.id) };
    case "provider.updated": return { ...state, providers: upsert(state.providers, action.provider) };
    case "engine.state": return { ...state, engine: action.engine };
    case "transfer.progress": return { ...state, transfers: { ...state.transfers, [action.transfer.id]: action.transfer } };
    case "generation.progress": return { ...state, progress: { ...state.progress, [action.conversation_id]: action } };
    case "jobs.loaded": return action.items.reduce(jobChanged, state);
    case "job.updated": return jobChanged(state, action.job);
    case "job.progress": return withJob(state, action.id, () => ({ index: action.index, phase: action.phase, step: action.step, steps: action.steps, step_ms: action.step_ms, left_ms: action.left_ms }));
    case "job.preview": return withJob(state, action.id, (job) => ({ index: action.index, previews: { ...job.previews, [action.index]: action.n } }));
    case "job.asset": return withJob(state, action.id, (job) => ({ assets: [...(job.assets ?? []).filter((/** @type {any} */ one) => one.id !== action.asset.id), action.asset].sort((a, b) => a.job_index - b.job_index) }));
    case "queue.updated": return { ...state, queue: { ...state.queue, ...action.queue } }; // some events tell a part
    case "workflow.changed": case "wildcard.changed": case "webhook.changed": case "webhook.delivery": case "quota.near": case "quota.answered": return { ...state, recipeChange: action };
    case "asset.created": return { ...state, assetChange: action };
    case "asset.updated": return assetChanged(state, action.asset.id, action.asset, action);
    case "asset.deleted": return assetChanged(state, action.id, null, action);
    default: return state;
  }
}

/** @param {State} [start] */
export function createStore(start = initial) {
  let state = start;
  /** @type {Set<(state: State, old: State) => void>} */ const listeners = new Set();
  return {
    get: () => state,
    /** @param {any} action */
    dispatch(action) {
      const old = state;
      state = reduce(state, action);
      if (state !== old) for (const listener of [...listeners]) listener(state, old);
    },
    /** @param {(state: State, old: State) => void} listener */
    subscribe(listener) {
      listeners.add(listener);
      return () => { listeners.delete(listener); };
    },
  };
}
export const store = createStore();
/** Is this offered to whoever looks? @param {string} feature a name of GET /api/v1/features */
export const offered = (feature) => !store.get().status?.features_off?.includes(feature);
