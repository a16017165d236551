/* export.h - everything that is a person's as one ZIP file, written in the background: rows of core/people/personal.h as JSON, their
 * conversations in the form that can be imported again, their pictures and videos.
 *
 * A row in `exports` says how far it is; the file lies in data/exports and goes with its row: a day later, with the account,
 * or when the next one is asked for. The person sees each export of theirs, also one that an operator made.
 *
 * Life cycle: atl_exports_recover() at the start (files without rows go, running ones have failed).
 * Threads:    blocking: pool threads; the writing itself is one pool thread. Ownership: the given arena.
 * Limits:     ATL_EXPORT_KEPT_MS; one that is written at a time for a person (CONFLICT).
 */
#ifndef ATL_CORE_EXPORT_H
#define ATL_CORE_EXPORT_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_EXPORT_KEPT_MS ((int64_t)24 * 60 * 60 * 1000)
#define ATL_EXPORTS_LISTED 20

struct atl_export { /* the API's Export */
	const char *id, *state; /* running, done, failed */
	int64_t done, total;	/* entries */
	int64_t size_bytes;
	const char *error_slug; /* NULL */
	bool by_other;		/* an operator's */
	int64_t created_at, finished_at;
};
extern const struct atl_json_desc atl_export_desc;

/* Of `user_id`, whom `who` may touch (user_admin.h) unless it is themselves. Audited. CONFLICT, NOT_FOUND, FORBIDDEN. */
enum atl_err atl_export_start(struct atl_app *app, const struct atl_identity *who, const char *user_id, struct atl_arena *arena,
			      struct atl_export *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Newest first. */
enum atl_err atl_export_list(struct atl_app *app, const struct atl_identity *who, const char *user_id, struct atl_arena *arena,
			     struct atl_export **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* The finished file; audited when it is another's. NOT_FOUND, CONFLICT (not finished). */
enum atl_err atl_export_file(struct atl_app *app, const struct atl_identity *who, const char *user_id, const char *id,
			     struct atl_arena *arena, const char **ret_path, struct atl_errinfo *info) ATL_MUST_USE;

enum atl_err atl_exports_recover(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;
/* Housekeeping: old ones, and files without a row. */
enum atl_err atl_exports_purge(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;

/* export_write.c: the file itself. `told` hears how far it is, and ends it by anything but ATL_OK. */
typedef enum atl_err (*atl_export_told_fn)(void *arg, int64_t done, int64_t total, struct atl_errinfo *info);
enum atl_err atl_export_write(struct atl_app *app, const char *user_id, const char *path, atl_export_told_fn told, void *arg,
			      int64_t *ret_bytes, struct atl_errinfo *info) ATL_MUST_USE;

#endif
