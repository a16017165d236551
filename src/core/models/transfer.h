/* transfer.h - downloads of model files into the models folder: rows in `transfers`, each running one on its own thread.
 *
 * What has arrived is a hidden part file in the models folder, named after the transfer; it becomes the model when it
 * is complete and usable. A server that stops leaves `paused` transfers; resuming goes on with the part.
 * The owner gets transfer.progress, at most ATL_TRANSFER_EVENTS_PER_S a second and at each change of state.
 *
 * Life cycle: atl_transfers_create() (running rows of the last start become paused) .. atl_transfers_drain() (running
 *             ones become paused) .. atl_transfers_destroy(), before the loops end.
 * Threads:    blocking (SQL, files): pool threads. Ownership: the given arena.
 * Limits:     ATL_TRANSFERS_RUNNING_MAX at a time, ATL_TRANSFERS_KEPT_MAX rows listed; disk: local_model.h.
 */
#ifndef ATL_CORE_TRANSFER_H
#define ATL_CORE_TRANSFER_H

#include "base/json.h"
#include "core/app.h"

#define ATL_TRANSFERS_RUNNING_MAX 6
#define ATL_TRANSFERS_KEPT_MAX 200
#define ATL_TRANSFER_EVENTS_PER_S 4
#define ATL_TRANSFER_URL_MAX 2000

struct atl_transfer_error {
	const char *slug, *detail;
};
struct atl_transfer {
	const char *id, *user_id, *url, *file;
	const char *state; /* running | paused | done | failed | cancelled */
	int64_t received_bytes, size_bytes /* 0: not known */, bytes_per_second;
	const struct atl_transfer_error *error; /* NULL */
	int64_t created_at, updated_at;
};
extern const struct atl_json_desc atl_transfer_desc;

struct atl_transfers;
enum atl_err atl_transfers_create(struct atl_app *app, struct atl_transfers **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_transfers_drain(struct atl_transfers *self);   /* asks the running ones to pause; NULL is allowed */
void atl_transfers_destroy(struct atl_transfers *self); /* drains and waits; NULL is allowed */

struct atl_transfer_wish {
	const char *url;
	const char *file;   /* NULL: the last part of the address */
	const char *sha256; /* NULL: not checked */
	int64_t size_bytes; /* exact; 0: not known */
	int64_t size_about; /* for looking at the disk only; 0: not known */
};
/* INVALID naming the field, OUTBOUND, CONFLICT (the file is there, or is being downloaded; too many at a time), DISK. */
enum atl_err atl_transfer_start(struct atl_app *app, const char *user_id, struct atl_arena *arena,
				const struct atl_transfer_wish *wish, struct atl_transfer *ret,
				struct atl_errinfo *info) ATL_MUST_USE;
/* Newest first. */
enum atl_err atl_transfer_list(struct atl_app *app, struct atl_arena *arena, struct atl_transfer **ret,
			       size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_transfer_get(struct atl_app *app, struct atl_arena *arena, const char *id, struct atl_transfer *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* A paused or failed one goes on; CONFLICT for others. */
enum atl_err atl_transfer_resume(struct atl_app *app, struct atl_arena *arena, const char *id, struct atl_transfer *ret,
				 struct atl_errinfo *info) ATL_MUST_USE;
/* Running, paused, failed: cancelled, its part is removed. Done, cancelled: taken off the list (the model stays). */
enum atl_err atl_transfer_cancel(struct atl_app *app, const char *id, struct atl_errinfo *info) ATL_MUST_USE;

#endif
