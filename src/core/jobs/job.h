/* job.h - durable units of work: submitted, queued, leased, run, ended; the one queue of the server.
 *
 * A job is a row before it is acknowledged. `queued -> leased -> running -> done | failed | cancelled`, by one pure
 * function (job_state.c). A dispatcher leases what is due (priority, then fair turn per user, then place) and gives it
 * to a runner thread; the lease is renewed while it runs. A lease that ran out (this server died, or another one that
 * shares the database) returns the job to the queue once, if its kind says that running again costs nothing; else it
 * fails with the cause. Progress, previews and queue positions are events and memory, not rows.
 *
 * Events (events.h): job.updated {job}, job.progress {id, index, phase, step, steps, step_ms, left_ms},
 * job.preview {id, index, n}, job.asset {id, asset}, queue.updated {paused, paused_all, queued, running}.
 *
 * Life cycle: atl_jobs_create() .. atl_jobs_start() (recovers, then dispatches) .. atl_jobs_drain() .. atl_jobs_destroy().
 * Threads:    blocking: pool threads; struct atl_job_run's functions on the runner's thread.
 * Ownership:  what is returned lives in the given arena.
 * Limits:     the constants below.
 * Adding one: a kind is a struct atl_job_kind given to atl_jobs_create(); docs/core.md.
 */
#ifndef ATL_CORE_JOB_H
#define ATL_CORE_JOB_H

#include <stdatomic.h>

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "core/books/ledger.h"
#include "core/pictures/asset.h"
#include "provider/image.h"

#define ATL_JOB_REQUEST_MAX ((size_t)1 << 20) /* bytes of the request's JSON */
#define ATL_JOB_PRIORITY_MAX 10		      /* -10..10 */
#define ATL_JOB_USER_QUEUED_MAX 10000	      /* waiting jobs a user may have */
#define ATL_JOB_LEASE_MS 30000
#define ATL_JOB_RUNNERS_MAX 64

/* name, text */
#define ATL_JOB_STATE_LIST(X)     \
	X(QUEUED, "queued")       \
	X(LEASED, "leased")       \
	X(RUNNING, "running")     \
	X(DONE, "done")           \
	X(FAILED, "failed")       \
	X(CANCELLED, "cancelled")
enum atl_job_state {
#define ATL_JOB_STATE_X(name, text) ATL_JOB_##name,
	ATL_JOB_STATE_LIST(ATL_JOB_STATE_X)
#undef ATL_JOB_STATE_X
		ATL_JOB_STATE_COUNT
};
enum atl_job_event { ATL_JOB_LEASE, ATL_JOB_START, ATL_JOB_FINISH, ATL_JOB_FAIL, ATL_JOB_CANCEL, ATL_JOB_EXPIRE, ATL_JOB_RETRY };
/* Pure. CONFLICT: the event does not fit the state. */
enum atl_err atl_job_next_state(enum atl_job_state from, enum atl_job_event event,
				enum atl_job_state *ret) ATL_MUST_USE;
const char *atl_job_state_name(enum atl_job_state state);

struct atl_job { /* the API's Job */
	const char *id, *user_id;
	const char *kind;  /* "picture", "fake" */
	const char *task;  /* "txt2img", ... */
	const char *state; /* text of enum atl_job_state */
	const char *origin; /* "web", "api", "openai", "a1111", "studio", "chat" */
	const char *model, *provider_id, *prompt;
	const struct atl_json *request; /* as normalised: every value that will be used */
	int64_t priority, count, done_count, attempt;
	int64_t not_before; /* 0: at once */
	const char *depends_on; /* NULL */
	int64_t position;	/* 1 is next; 0: not waiting */
	int64_t wait_ms, run_ms; /* estimates; 0: unknown */
	int64_t step, steps;	 /* of what runs now; 0: not known */
	int64_t left_ms;	 /* 0: not known */
	int64_t preview;	 /* number of the last preview; 0: none */
	struct atl_items assets; /* struct atl_asset: results so far, by index */
	const char *error_slug, *error_detail; /* NULL */
	struct atl_strs notes;
	int64_t cost_micro_usd;
	const char *character_id, *conversation_id, *message_id, *board_id, *webhook_url; /* NULL */
	int64_t version, created_at, started_at, finished_at, updated_at;
	const char *remote_id; /* at the service, once it has accepted; NULL. Not shown */
};
extern const struct atl_json_desc atl_job_desc;

struct atl_job_new {
	const char *kind, *task, *origin, *model, *provider_id, *prompt;
	const char *request; /* JSON text of an object */
	int64_t priority, count, not_before;
	const char *depends_on, *character_id, *conversation_id, *message_id, *board_id, *webhook_url; /* NULL */
	int64_t max_cost; /* micro-USD; 0: no ceiling but those of cost_ceiling.h */
};

/* A running job, as its kind sees it. */
struct atl_job_run {
	struct atl_app *app;
	const struct atl_job *job;  /* borrowed for the run */
	struct atl_identity identity; /* of its owner */
	struct atl_arena *arena;    /* of the run */
	atomic_bool *cancelled;
	const char *remote_id; /* NULL */
	void *internal;
};
void atl_job_progress(struct atl_job_run *run, const struct atl_image_progress *progress);
void atl_job_preview(struct atl_job_run *run, int64_t index, const void *data, size_t length, const char *media_type);
void atl_job_note(struct atl_job_run *run, const char *text);
void atl_job_cost(struct atl_job_run *run, int64_t micro_usd); /* of the whole job; the last word counts, once it is done */
/* Durable when they return. The asset's row and the job's count change in one transaction; what the asset says of its
 * job is filled in here. CONFLICT: the job is no longer ours (the lease was lost): stop. */
enum atl_err atl_job_result(struct atl_job_run *run, int64_t index, struct atl_asset_new *asset,
			    struct atl_asset *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_job_remote(struct atl_job_run *run, const char *remote_id, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_job_kind {
	const char *kind;
	/* Does the work, blocking. CANCELLED after run->cancelled; any other error fails the job with its sentence. */
	enum atl_err (*run)(struct atl_job_run *run, struct atl_errinfo *info);
	/* After a dead worker: may it be run again without being charged twice? */
	bool (*repeatable)(struct atl_app *app, const struct atl_job *job);
	/* Jobs of this provider at a time. */
	int64_t (*concurrency)(struct atl_app *app, const char *provider_id);
	/* Guess of the run's time in ms; 0: unknown. */
	int64_t (*estimate)(struct atl_app *app, const struct atl_job *job);
	/* What its owner is told when a running one is cancelled ("it may still be charged"); NULL, or it gives NULL: nothing. */
	const char *(*cancel_note)(struct atl_app *app, struct atl_arena *arena, const struct atl_job *job);
	/* What it will use, into the ledger's kinds; NULL: its count in pictures. */
	void (*expect)(struct atl_app *app, const struct atl_job *job, int64_t amounts[ATL_LEDGER_KIND_COUNT]);
};

struct atl_jobs;
/* `kinds` is NULL-terminated and borrowed. */
enum atl_err atl_jobs_create(struct atl_app *app, const struct atl_job_kind *const *kinds, struct atl_jobs **ret,
			     struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_jobs_start(struct atl_jobs *jobs, struct atl_errinfo *info) ATL_MUST_USE;
/* No new leases; what runs is stopped and goes back to the queue (repeatable or resumable) within `timeout_ms`. */
void atl_jobs_drain(struct atl_jobs *jobs, unsigned timeout_ms);
void atl_jobs_destroy(struct atl_jobs *jobs); /* NULL is allowed */
void atl_jobs_metrics(struct atl_app *app, struct atl_buf *out); /* lines for /metrics */

/* Durable when it returns. Errors: QUOTA (too many waiting, or core/books/quota.h), NOT_FOUND (depends_on), INVALID. */
enum atl_err atl_job_submit(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			    const struct atl_job_new *job, struct atl_job *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Several, all or none. `made` runs in the transaction that inserts them: what belongs to them is as durable as they are,
 * and carries the request's Idempotency-Key; the caller looks at who->once_made. */
struct atl_conn;
typedef enum atl_err (*atl_job_made_fn)(struct atl_conn *conn, const struct atl_job *jobs, size_t count, void *arg,
					struct atl_errinfo *info);
enum atl_err atl_job_submit_many(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				 const struct atl_job_new *jobs, size_t count, atl_job_made_fn made, void *arg,
				 struct atl_job **ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_job_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			 struct atl_job *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* In the order of `ids`; one that is not there has no id. */
enum atl_err atl_job_get_many(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *const *ids,
			      size_t count, struct atl_job **ret, struct atl_errinfo *info) ATL_MUST_USE;
struct atl_job_filter {
	const char *state; /* a state, "active" (queued, leased, running), "ended"; NULL: all */
	const char *task, *model, *character_id, *conversation_id; /* NULL */
	const char *after_id; /* NULL; newest first */
	int64_t limit;
};
enum atl_err atl_job_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			  const struct atl_job_filter *filter, struct atl_job **ret, size_t *ret_count,
			  struct atl_errinfo *info) ATL_MUST_USE;
/* CONFLICT: it has ended already. A running one ends within its engine's step; the call does not wait. */
enum atl_err atl_job_cancel(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			    struct atl_job *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_job_cancel_all(struct atl_app *app, const char *user_id, int64_t *ret_count,
				struct atl_errinfo *info) ATL_MUST_USE;
/* Those that have not ended; *ret_count: how many these were. */
enum atl_err atl_job_cancel_many(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *const *ids,
				 size_t count, int64_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* What asks for the same as `job` once more. CONFLICT: it has not ended. */
enum atl_err atl_job_again(struct atl_arena *arena, const struct atl_job *job, struct atl_job_new *ret,
			   struct atl_errinfo *info) ATL_MUST_USE;
/* A new job with the same request, for one that has ended. */
enum atl_err atl_job_retry(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			   const char *id, struct atl_job *ret, struct atl_errinfo *info) ATL_MUST_USE;
struct atl_job_change {
	const int64_t *priority, *not_before; /* NULL: as it is */
	const char *before, *after;	      /* move next to this waiting job of the same user; NULL */
};
enum atl_err atl_job_change(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			    const struct atl_job_change *change, struct atl_job *ret,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* Waits until the job has ended or the time is over (then the state as it is, ATL_OK). Pool threads, few at a time. */
enum atl_err atl_job_wait(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			  unsigned timeout_ms, struct atl_job *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The last preview picture, in the arena. NOT_FOUND: none. */
enum atl_err atl_job_preview_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				 int64_t index, const void **ret_data, size_t *ret_length, const char **ret_media_type,
				 struct atl_errinfo *info) ATL_MUST_USE;

struct atl_queue_status {
	bool paused, paused_all; /* this user's, everybody's */
	int64_t queued, running; /* this user's */
	int64_t queued_all, running_all;
};
extern const struct atl_json_desc atl_queue_status_desc;
enum atl_err atl_queue_status(struct atl_app *app, const char *user_id, struct atl_queue_status *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* `all`: the whole server's queue (permission jobs.manage). */
enum atl_err atl_queue_pause(struct atl_app *app, const struct atl_identity *who, bool all, bool paused,
			     struct atl_errinfo *info) ATL_MUST_USE;

#endif
