/* job_int.h - what the files of the queue share; nobody else includes it.
 *
 *   job_state.c    which event leads where                 job_queue.c  life, runners, ends
 *   job_row.c      rows: reading, inserting, the API form  job_run.c    what a running job's kind calls
 *   job_waiting.c  the waiting jobs in memory              job_end.c    ending one, with all that hangs on it
 *   job.c          submitting, looking, waiting            job_change.c order, pauses
 *   job_cancel.c   cancelling                              job_dispatch.c the dispatcher's thread
 *   job_lease.c    the queue's own SQL                     job_node.c   who this server is to a shared queue
 *   job_shared.c   several servers telling each other
 *   job_charge.c   what it takes from the ledger
 *
 * Threads: each part says. Lock order: jobs->lock is the only one, and no SQL runs under it.
 */
#ifndef ATL_CORE_JOB_INT_H
#define ATL_CORE_JOB_INT_H

#include <pthread.h>

#include "base/map.h"
#include "core/jobs/job.h"
#include "core/jobs/job_waiting.h"
#include "db/db.h"

#define ATL_JOB_NOTES_MAX 50
#define ATL_JOB_NOTE_MAX 500
#define ATL_JOB_PREVIEW_MS 250
#define ATL_JOB_PROGRESS_MS 100
#define ATL_JOB_PREVIEW_MAX ((size_t)4 << 20)
#define ATL_JOB_ENDING_MAX 512 /* ends on their way; beyond, a runner waits for its own */
#define ATL_JOB_OWNER_SIZE (2 * ATL_ID_SIZE)
#define ATL_JOB_ATTEMPTS_MAX 2 /* starts of a job whose runner died */

/* A kind at a provider: how many run, how long they take. Made once, kept until the end. */
struct atl_job_slot {
	int64_t running, limit;
	double mean_ms; /* of the last ones; 0: none yet, or no time at all */
	uint64_t runs, over_at_ms; /* that have ended; when the last one did, monotonic */
	struct atl_list link; /* jobs->slot_list */
	const struct atl_job_kind *kind;
	char provider_id[64];
};

struct atl_job_preview {
	struct atl_bytes *bytes; /* NULL: none */
	char media_type[32];
};

/* A job that was leased here, from then until its runner has let it go. */
struct atl_running {
	/* set at the lease */
	struct atl_list link; /* in jobs->ready, then jobs->running; guarded by lock */
	struct atl_jobs *jobs;
	const struct atl_job_kind *kind;
	struct atl_job_slot *slot;
	struct atl_job job;
	struct atl_arena arena;
	struct atl_identity identity;
	uint64_t number; /* of the lease */
	/* any thread */
	atomic_bool cancelled; /* stop: cancelled, lost or drained */
	/* guarded by lock */
	bool lost;	/* the row is no longer ours, or ended otherwise */
	bool give_back; /* the server is stopping */
	bool over;	/* its end is written */
	bool placed;	/* it counts in slot->running; false: its run is over */
	int64_t began_at; /* 0: not yet */
	int64_t step, steps, left_ms, preview;
	struct atl_job_preview previews[ATL_IMAGE_COUNT_MAX];
	/* the runner's thread */
	struct atl_buf notes; /* JSON array without its brackets */
	size_t note_count;
	int64_t cost_micro_usd;
	uint64_t progress_at_ms, preview_at_ms;
	char phase[24];
	int64_t progress_index;
	double step_ms;
	uint64_t taken_at_ms; /* monotonic: when the runner took it */
	/* its end, from the runner to the ender */
	struct atl_job_end *end; /* NULL: it has none to write */
	enum atl_err end_err;
	struct atl_list end_link; /* jobs->written; guarded by lock */
};

/* Who waits for the end of a job. */
struct atl_job_waiter {
	struct atl_list link;
	const char *id;
	bool ended;
	bool look; /* it may have ended on another server */
	pthread_cond_t changed;
};

struct atl_jobs {
	/* set at create */
	struct atl_app *app;
	const struct atl_job_kind *const *kinds;
	char node[ATL_ID_SIZE]; /* "": unknown */
	char owner[ATL_JOB_OWNER_SIZE]; /* of leases: "<node>:<start>" */
	int node_fd;
	size_t runner_count;
	bool shared; /* PostgreSQL: others may work on the same queue */
	struct atl_db_listener *listener; /* NULL: none */
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t wanted; /* dispatcher: something to do */
	pthread_cond_t filled; /* runners: something is ready */
	pthread_cond_t idle;   /* drain: a runner let go */
	pthread_cond_t ends;   /* ender: an end is written */
	struct atl_waiting *waiting;
	struct atl_map slots; /* "kind provider" -> struct atl_job_slot */
	struct atl_list slot_list, ready, running, waiters, written;
	size_t ending_count;  /* of running_count: the run is over, the end on its way to the row */
	size_t running_count; /* leased here, until told */
	bool wake, reload;
	bool tell; /* other servers are to look */
	bool look; /* another server said so */
	bool draining; /* nothing is leased any more */
	bool stopping, closing; /* the dispatcher ends; then the runners */
	pthread_t dispatcher, ender, runners[ATL_JOB_RUNNERS_MAX];
	bool dispatcher_up, ender_up, no_more_ends;
	size_t runners_up;
	double last_place;
	uint64_t leases; /* number of the last one whose row is written */
	uint64_t submitted, ended[ATL_JOB_STATE_COUNT], requeued;
};

/* ---- job_row.c ---- */
struct atl_job_extra {			  /* of a row, beside what people see */
	double place;
	const char *lease_owner;
};
/* Column 0 on: struct atl_job without what memory knows. `extra`: NULL is allowed. */
void atl_job_row_read(struct atl_rows *rows, struct atl_arena *arena, struct atl_job *out, struct atl_job_extra *extra);
#define ATL_JOB_COLUMN_COUNT 33
/* What was noted when the request was prepared, then what its run said (a JSON array; NULL: nothing). */
struct atl_strs atl_job_notes(const struct atl_json *request, const char *said, struct atl_arena *arena);
/* In a read or a transaction; user_id NULL: anybody's. NOT_FOUND. `assets` are read too. */
enum atl_err atl_job_row_get(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
			     struct atl_job *ret, struct atl_job_extra *extra, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_job_row_insert(struct atl_conn *conn, const struct atl_job *job, const char *request, double place,
				struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_job_row_list(struct atl_conn *conn, struct atl_arena *arena, const char *user_id,
			      const struct atl_job_filter *filter, struct atl_job **ret, size_t *ret_count,
			      struct atl_errinfo *info) ATL_MUST_USE;
bool atl_job_is_active(struct atl_jobs *jobs, const char *id); /* read now; also true when it cannot be read */
bool atl_job_is_ended(const struct atl_job *job);

/* ---- job_end.c ---- */
struct atl_job_end {
	struct atl_arena *arena;
	const char *id, *user_id; /* user_id NULL: anybody's */
	const char *owner;	  /* only while leased by it; NULL: whoever */
	const char *only_state;	  /* only from this state; NULL: any that has not ended */
	enum atl_job_event event; /* FINISH, FAIL, CANCEL */
	const char *error_slug, *error_detail; /* FAIL */
	const char *notes;	  /* JSON array; NULL: as it is. Of a CANCEL: only when it runs */
	int64_t cost_micro_usd;	  /* -1: as it is */
	/* result: the job, and those that failed because they waited for it */
	struct atl_job *jobs;
	size_t count, capacity;
	bool delivers; /* there are webhooks to be told */
};
/* A transaction's function: the row, the jobs that wait for it, the deliveries. CONFLICT: it has ended, or is not ours. */
enum atl_err atl_job_end_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info) ATL_MUST_USE;
/* After its commit: memory, waiters and pages learn of it. */
void atl_job_end_tell(struct atl_jobs *jobs, const struct atl_job_end *end);

/* ---- job_queue.c ---- */
void atl_jobs_wake(struct atl_jobs *jobs); /* under lock */
struct atl_job_slot *atl_jobs_slot(struct atl_jobs *jobs, const char *kind, const char *provider_id); /* under lock; NULL */
/* As that, made when it is not there; reads the provider, so without the lock. */
void atl_jobs_slot_make(struct atl_jobs *jobs, const char *kind, const char *provider_id);
struct atl_running *atl_jobs_running(struct atl_jobs *jobs, const char *id); /* under lock; NULL */
/* Put what memory knows into a job that was read: position, progress, estimates. */
void atl_jobs_overlay(struct atl_jobs *jobs, struct atl_job *job);
/* A new or changed row that waits. */
void atl_jobs_put(struct atl_jobs *jobs, const struct atl_job *job, double place);
void atl_job_publish(struct atl_jobs *jobs, const struct atl_job *job); /* job.updated */
void atl_jobs_publish_queue(struct atl_jobs *jobs, const char *user_id); /* queue.updated */
const struct atl_job_kind *atl_jobs_kind(const struct atl_jobs *jobs, const char *kind); /* NULL: unknown */

/* ---- job_lease.c: the queue's own SQL; the dispatcher's thread, without the lock ---- */
enum atl_err atl_jobs_load(struct atl_jobs *jobs, struct atl_errinfo *info) ATL_MUST_USE; /* what waits, who paused */
enum atl_lease { ATL_LEASE_GONE, ATL_LEASE_HELD, ATL_LEASE_LATER, ATL_LEASE_HOPELESS };
struct atl_lease_item {
	struct atl_waiting_taken taken;
	struct atl_running *running; /* HELD: its job and identity are filled in */
	/* result */
	enum atl_lease outcome;
	double place;
	const char *why; /* HOPELESS: a sentence */
};
enum atl_err atl_jobs_lease(struct atl_jobs *jobs, struct atl_lease_item *items, size_t count,
			    struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_jobs_renew(struct atl_jobs *jobs, struct atl_errinfo *info) ATL_MUST_USE;
/* Takes over other owners' leases that ran out, and also, at the start only, those that did not: of earlier starts of this
 * node, and with SQLite of everybody, since nobody else can be alive. */
enum atl_recover { ATL_RECOVER_EXPIRED, ATL_RECOVER_NODE, ATL_RECOVER_ALL };
enum atl_err atl_jobs_recover(struct atl_jobs *jobs, enum atl_recover what, struct atl_errinfo *info) ATL_MUST_USE;
/* Back to the queue. `owner`: who holds it; `forgive`: this start does not count. CONFLICT: not held by it. */
enum atl_err atl_jobs_requeue(struct atl_jobs *jobs, const char *id, const char *owner, bool forgive,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* Shared queue: runs whose row is not ours any more (cancelled elsewhere) are stopped. */
enum atl_err atl_jobs_check_held(struct atl_jobs *jobs, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- job_node.c: sets node and owner ---- */
enum atl_err atl_jobs_node_open(struct atl_jobs *jobs, struct atl_errinfo *info) ATL_MUST_USE;
void atl_jobs_node_close(struct atl_jobs *jobs);

/* ---- job_dispatch.c: a thread's function; `jobs` ---- */
void *atl_jobs_dispatch(void *jobs);

/* ---- job_shared.c ---- */
extern unsigned atl_job_look_ms; /* how often a shared queue is looked at without being told; tests change it */
void atl_jobs_tell(struct atl_jobs *jobs); /* under lock: the dispatcher tells the others, if there can be some */
enum atl_err atl_jobs_tell_now(struct atl_jobs *jobs, struct atl_errinfo *info) ATL_MUST_USE; /* the dispatcher's */
enum atl_err atl_jobs_listen(struct atl_jobs *jobs, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- job_run.c ---- */
struct atl_running *atl_running_create(struct atl_jobs *jobs); /* NULL: out of memory */
/* On a runner's thread: the run of a leased job. True: its end is on its way to the row, and the ender has it from here
 * (the runner may not touch it any more); false: its row is as it should be. */
bool atl_running_run(struct atl_running *running);
/* On the ender's thread: tell of an end that is in its row; write it again when it could not be. */
void atl_running_ended(struct atl_running *running);
/* The run is over: its place is free for the next one. Under lock. */
void atl_jobs_free_place(struct atl_running *running);
void atl_running_destroy(struct atl_running *running);

/* ---- job_charge.c ---- */
struct atl_quota_notices;
void atl_job_expect(struct atl_app *app, const struct atl_job *job, int64_t amounts[ATL_LEDGER_KIND_COUNT]);
enum atl_err atl_job_reserve_in(struct atl_conn *conn, const struct atl_identity *who, const struct atl_job *job,
				const int64_t amounts[ATL_LEDGER_KIND_COUNT], struct atl_quota_notices *notices,
				struct atl_errinfo *info) ATL_MUST_USE;
/* With the row as it has just been ended. */
enum atl_err atl_job_settle_in(struct atl_conn *conn, const struct atl_job *job, struct atl_errinfo *info) ATL_MUST_USE;

#endif
