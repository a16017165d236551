/* backup_store.h - backups that the server keeps itself: the folder data/backups, one a day, the last N.
 *
 * The passphrase of the daily backup is a setting, sealed with the master key - which is in the backup, so keep the
 * passphrase elsewhere, too. Downloading is for owners; restoring is for the command line.
 *
 * Threads: pool threads. Limits: one backup at a time (CONFLICT), ATL_BACKUPS_MAX are listed.
 */
#ifndef ATL_CORE_BACKUP_STORE_H
#define ATL_CORE_BACKUP_STORE_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/server/backup.h"

#define ATL_BACKUPS_MAX 400
#define ATL_BACKUP_KEEP_MAX 365

struct atl_backup_file {
	const char *name;
	int64_t size_bytes, created_at;
};
struct atl_backup_plan {
	bool daily, has_passphrase;
	int64_t keep; /* of those in the folder */
};

/* Newest first. */
enum atl_err atl_backup_files(struct atl_app *app, struct atl_arena *arena, struct atl_backup_file **ret, size_t *ret_count,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* NOT_FOUND unless it is one of them. */
enum atl_err atl_backup_file_path(struct atl_app *app, struct atl_arena *arena, const char *name, const char **ret,
				  struct atl_errinfo *info) ATL_MUST_USE;
/* Now; passphrase NULL: that of the plan. Older ones beyond plan.keep go. */
enum atl_err atl_backup_now(struct atl_app *app, const struct atl_identity *who, const char *passphrase, struct atl_arena *arena,
			    struct atl_backup_file *ret, struct atl_errinfo *info) ATL_MUST_USE;

enum atl_err atl_backup_plan_get(struct atl_app *app, struct atl_backup_plan *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* passphrase NULL: stays as it is. INVALID: daily without one. */
enum atl_err atl_backup_plan_set(struct atl_app *app, const struct atl_identity *who, const struct atl_backup_plan *plan,
				 const char *passphrase, struct atl_errinfo *info) ATL_MUST_USE;
/* Housekeeping: begins one in the pool when the last is a day old. */
enum atl_err atl_backup_tick(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;

#endif
