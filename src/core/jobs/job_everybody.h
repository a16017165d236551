/* job_everybody.h - the queue as who runs the server sees it (permission jobs.manage): whose job, how far; cancelling it.
 *
 * Prompts and pictures stay with their owners: only the audit log's "job.cancel" and the owner's own list tell of it.
 * Threads: pool threads.
 */
#ifndef ATL_CORE_JOB_EVERYBODY_H
#define ATL_CORE_JOB_EVERYBODY_H

#include "base/arena.h"
#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_JOBS_GLANCED_MAX 200

struct atl_job_glance {
	const char *id, *user_id, *user_name, *task, *model, *state;
	int64_t count, done_count, created_at, started_at; /* started_at 0: it waits */
};
extern const struct atl_json_desc atl_job_glance_desc;

/* What has not ended: first what runs, then what waits in about the order of the queue; at most ATL_JOBS_GLANCED_MAX. */
enum atl_err atl_jobs_everybody(struct atl_app *app, struct atl_arena *arena, struct atl_job_glance **ret, size_t *ret_count,
				struct atl_errinfo *info) ATL_MUST_USE;
/* NOT_FOUND: there is none, or it has ended. Its owner sees it cancelled. */
enum atl_err atl_job_cancel_anybodys(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char *id, struct atl_errinfo *info) ATL_MUST_USE;

#endif
