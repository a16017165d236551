/* generation.h - replies being written: they belong to the server, not to the connection that asked.
 *
 * A reply is a message row with status `streaming`, written before its request is answered. Its text grows in memory,
 * every piece is published (message.delta) and the row is brought up to date now and then; at the end the row and the
 * usage record are written in one transaction. Any device may read, leave and come back at any time.
 *
 * Life cycle: atl_generations_create() .. atl_generations_drain() .. atl_generations_destroy().
 * Threads:    start, stop, overlay and drain from pool threads (overlay and stop from any); the model's events arrive
 *             on the loop that runs the reply.
 * Limits:     ATL_GENERATIONS_MAX at a time per server, ATL_GENERATIONS_USER_MAX per user.
 */
#ifndef ATL_CORE_GENERATION_H
#define ATL_CORE_GENERATION_H

#include "core/chat/message.h"

#define ATL_GENERATIONS_MAX 512
#define ATL_GENERATIONS_USER_MAX 16
#define ATL_GENERATION_CHECKPOINT_MS 1000
#define ATL_GENERATION_PROGRESS_MS 250

struct atl_generations;

enum atl_generation_mode {
	ATL_GENERATION_REPLY,	 /* a new answer below `message_id` */
	ATL_GENERATION_AGAIN,	 /* a sibling of the answer `message_id`; of a user message: an answer below it */
	ATL_GENERATION_CONTINUE	 /* the answer `message_id` goes on */
};

enum atl_err atl_generations_create(struct atl_app *app, struct atl_generations **ret) ATL_MUST_USE;
/* Wait up to timeout_ms for running replies; those left are kept as `interrupted`. No new ones start. */
void atl_generations_drain(struct atl_generations *generations, unsigned timeout_ms);
void atl_generations_destroy(struct atl_generations *generations); /* after drain */

/* THROTTLED or SHUTDOWN: a reply would not be started now. For requests that store something before they start one. */
enum atl_err atl_generation_room(struct atl_app *app, const char *user_id, struct atl_errinfo *info) ATL_MUST_USE;
/* The row is there and durable when this returns; what fails later is told in the message itself.
 * Errors: NOT_FOUND, CONFLICT (it is being written), THROTTLED (too many at a time), SHUTDOWN. */
/* `max_cost` in micro-USD, 0: no ceiling but those of core/books/cost_ceiling.h. */
enum atl_err atl_generation_start(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				  const char *message_id, enum atl_generation_mode mode, const char *model, int64_t max_cost,
				  struct atl_message *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Ends a running reply; what is there stays, as `stopped`. NOT_FOUND: nothing of this user's runs under this id. */
enum atl_err atl_generation_stop(struct atl_app *app, const char *user_id, const char *message_id,
				 struct atl_errinfo *info) ATL_MUST_USE;
/* After a message or a whole conversation was deleted: stop what is still being written there for nobody. */
void atl_generation_stop_deleted(struct atl_app *app, const char *user_id, const char *conversation_id);
/* If this reply is being written: put its present text, reasoning and stream_seq into `message`. */
void atl_generation_overlay(struct atl_app *app, struct atl_arena *arena, struct atl_message *message);
size_t atl_generations_running(struct atl_app *app);

#endif
