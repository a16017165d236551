/* events.h - the hub for everything live: numbered events per user, fanned out to the subscribers of all loops.
 *
 * An event is published once with its JSON text, gets the user's next number, is kept in the user's ring, encoded once
 * per wire form that has a listener, and handed to each loop by one posted message. A subscriber that comes back with
 * the last number it saw gets what it missed from the ring, or `reset` when that is no longer there. Numbers begin at
 * a value taken from the clock when the server starts, so a number from before a restart leads to `reset` too.
 *
 * Life cycle: atl_events_create() .. atl_events_close() (ends all subscriptions) .. atl_events_destroy() (after the
 *             loops have ended).
 * Threads:    publish from any thread, also a loop's; never blocks on I/O. subscribe, unsubscribe and the callbacks on
 *             the subscriber's loop thread.
 * Limits:     ATL_EVENTS_RING_COUNT events and ATL_EVENTS_RING_BYTES of JSON kept per user; ATL_EVENTS_SUBS_MAX.
 * Adding one: a line in the table of docs/core.md; publish it after its change is committed.
 */
#ifndef ATL_CORE_EVENTS_H
#define ATL_CORE_EVENTS_H

#include "base/buf.h"
#include "os/loop.h"

#define ATL_EVENTS_RING_COUNT 4096
#define ATL_EVENTS_RING_BYTES ((size_t)2 << 20)
#define ATL_EVENTS_SUBS_MAX 65536

enum atl_events_wire { ATL_EVENTS_SSE, ATL_EVENTS_WS, ATL_EVENTS_WIRE_COUNT };

/* Build a wire frame of one event; id 0: an event without number. NULL: out of memory. Any thread. */
typedef struct atl_bytes *(*atl_events_encode)(uint64_t id, const char *event, const char *data, size_t length);

struct atl_events_options {
	atl_events_encode encode[ATL_EVENTS_WIRE_COUNT];
	size_t ring_count, ring_bytes; /* 0: the constants above; tests make them small */
	struct atl_loop *const *loops; /* borrowed; every loop that may subscribe */
	size_t loop_count;
};

struct atl_events;
struct atl_event_sub;

enum atl_err atl_events_create(const struct atl_events_options *options, struct atl_events **ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
void atl_events_close(struct atl_events *events);
void atl_events_destroy(struct atl_events *events); /* NULL is allowed */

/* `json`: the event's data, a JSON object on one line. Out of memory: logged, and subscribers get `reset`. */
void atl_events_publish(struct atl_events *events, const char *user_id, const char *event, const char *json,
			size_t length);
/* False: nobody of this user has subscribed or asked for a mark since the start, and an event would be dropped; it need not be made. */
bool atl_events_wanted(struct atl_events *events, const char *user_id);
/* The number of the user's last event, from when on they are kept: who reads something now and then subscribes with this
 * number has missed nothing in between. 0: out of memory, or closed. Any thread. */
uint64_t atl_events_mark(struct atl_events *events, const char *user_id);
/* To every user that has a ring (has subscribed, or was given a mark, since the start). */
void atl_events_publish_all(struct atl_events *events, const char *event, const char *json, size_t length);

struct atl_event_sub_ops {
	/* A frame to send as it is; it is borrowed: take a reference to keep it. May call unsubscribe. */
	void (*on_frame)(void *arg, struct atl_bytes *frame);
	/* The hub ends this subscription (server going down, session revoked): close the stream. The sub stays valid until
	 * unsubscribed. */
	void (*on_end)(void *arg);
};
/* Calls on_frame for `hello`, then for `reset` or what was missed, before it returns. last_event_id 0: from now on.
 * `session_id` names the session or key behind it ("" if none), for atl_events_end_session().
 * Errors: SHUTDOWN, UNAVAILABLE (too many), NOMEM. */
enum atl_err atl_events_subscribe(struct atl_events *events, struct atl_loop *loop, const char *user_id,
				  const char *session_id, enum atl_events_wire wire, uint64_t last_event_id,
				  const struct atl_event_sub_ops *ops, void *arg, struct atl_event_sub **ret,
				  struct atl_errinfo *info) ATL_MUST_USE;
void atl_events_unsubscribe(struct atl_event_sub *sub);
/* Sign-out or revoked key: its subscriptions get `session.revoked` and end. user_id NULL: whoever's it is. Any thread. */
void atl_events_end_session(struct atl_events *events, const char *user_id, const char *session_id);

/* The same for all subscriptions of a user: suspended, deleted, or with other rights from now on. */
void atl_events_end_user(struct atl_events *events, const char *user_id);

/* All subscriptions end without a word: who may still listen comes back, and is asked again who they are. */
void atl_events_restart(struct atl_events *events);

struct atl_events_stats {
	uint64_t published, delivered, subscribers;
};
void atl_events_stats(struct atl_events *events, struct atl_events_stats *out);

#endif
