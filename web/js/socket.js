/**
 * socket.js - live events of the signed-in user, over one EventSource that is reopened where it left off.
 *
 * `onevent(name, data)` for each event, `onstate("online"|"connecting"|"offline")` when the line changes. `since` is the
 * number that the status told: what happened while the line was being opened comes too.
 */
export const EVENTS = ["hello", "reset", "message.created", "message.delta", "message.updated", "message.deleted",
  "conversation.created", "conversation.updated", "conversation.deleted", "character.created", "character.updated",
  "character.deleted", "persona.changed", "folder.changed", "provider.updated", "engine.state", "transfer.progress",
  "generation.progress", "session.revoked", "job.updated", "job.progress", "job.preview", "job.asset", "queue.updated",
  "asset.created", "asset.updated", "asset.deleted", "board.changed", "style.changed", "picture_models.changed",
  "quota.answered", "quota.near", "webhook.changed", "webhook.delivery", "wildcard.changed", "workflow.changed"];
const RETRY_MAX_MS = 15000;

/**
 * @param {(event: string, data: any) => void} onevent
 * @param {(state: string) => void} onstate
 * @param {number} [since]
 * @returns {() => void} close
 */
export function connect(onevent, onstate, since) {
  let last = since ? String(since) : "";
  let retry_ms = 500;
  let closed = false;
  let lost = false;
  /** @type {EventSource|null} */ let source = null;
  /** @type {any} */ let timer;

  function open() {
    if (closed) return;
    clearTimeout(timer);
    source?.close();
    source = new EventSource(`/api/v1/events${last ? `?last_event_id=${encodeURIComponent(last)}` : ""}`);
    source.onopen = () => {
      retry_ms = 500;
      onstate("online");
      if (lost && !last) onevent("reset", {});
      lost = false;
    };
    source.onerror = () => {
      source?.close();
      if (closed) return;
      lost = true;
      onstate(navigator.onLine ? "connecting" : "offline");
      timer = setTimeout(open, retry_ms);
      retry_ms = Math.min(retry_ms * 2, RETRY_MAX_MS);
    };
    for (const name of EVENTS)
      source.addEventListener(name, (/** @type {any} */ event) => {
        if (event.lastEventId) last = event.lastEventId;
        onevent(name, event.data ? JSON.parse(event.data) : {});
      });
  }

  const wake = () => { retry_ms = 500; open(); };
  addEventListener("online", wake);
  open();
  return () => {
    closed = true;
    clearTimeout(timer);
    removeEventListener("online", wake);
    source?.close();
  };
}
