/* job_waiting.h - the waiting jobs in memory, in the order they are taken: priority, fair turn per user, place.
 *
 * A picture of the rows that are `queued`, for choosing and for telling positions without reading the database. It may
 * lag behind: whoever takes a job from here leases it in the database, and drops it when that says no.
 *
 * Jobs of one user for one provider make a lane, sorted. What may not start yet (not_before, depends_on) waits beside
 * the lanes. Taking looks at the first of each lane that has room and whose user has not paused.
 *
 * Life cycle: atl_waiting_create() .. atl_waiting_destroy(). Threads: one at a time (the queue's lock).
 * Limits:     memory; about 200 bytes a job.
 */
#ifndef ATL_CORE_JOB_WAITING_H
#define ATL_CORE_JOB_WAITING_H

#include "base/err.h"
#include "base/id.h"

struct atl_waiting;

struct atl_waiting_job {
	const char *id, *user_id, *kind, *provider_id;
	int64_t priority, not_before;
	double place;
	const char *depends_on; /* NULL: not waiting for one */
};

enum atl_err atl_waiting_create(struct atl_waiting **ret) ATL_MUST_USE;
void atl_waiting_destroy(struct atl_waiting *waiting); /* NULL is allowed */

/* Copies it; one with the same id is replaced. */
enum atl_err atl_waiting_put(struct atl_waiting *waiting, const struct atl_waiting_job *job) ATL_MUST_USE;
bool atl_waiting_remove(struct atl_waiting *waiting, const char *id); /* false: it was not there */
/* Bringing the picture up to date: begin() before the rows are read, put() each of them, end() forgets what was put
 * neither since nor by that. */
uint64_t atl_waiting_begin(struct atl_waiting *waiting);
void atl_waiting_end(struct atl_waiting *waiting, uint64_t begun);
bool atl_waiting_has(const struct atl_waiting *waiting, const char *id);
/* `scope`: a user's id, or "*". */
enum atl_err atl_waiting_pause(struct atl_waiting *waiting, const char *scope, bool paused) ATL_MUST_USE;
void atl_waiting_resume_all(struct atl_waiting *waiting);
bool atl_waiting_paused(const struct atl_waiting *waiting, const char *scope);
/* What waits for `id` may go. */
void atl_waiting_release(struct atl_waiting *waiting, const char *id);

/* Room for one more job of this kind at this provider? */
typedef bool (*atl_waiting_room)(void *arg, const char *kind, const char *provider_id);
struct atl_waiting_taken {
	char id[ATL_ID_SIZE];
	char user_id[ATL_ID_SIZE];
	char kind[32];
	char provider_id[64];
};
/* Take the next one out; it becomes the user's turn. False: nothing may go. */
bool atl_waiting_take(struct atl_waiting *waiting, int64_t now_ms, atl_waiting_room room, void *arg,
		      struct atl_waiting_taken *ret);
int64_t atl_waiting_next_ms(const struct atl_waiting *waiting); /* the earliest not_before; 0: none */

struct atl_waiting_place {
	int64_t position;	/* 1 is next; 0: it does not wait */
	int64_t ahead_provider; /* of those before it, at the same provider */
};
/* Exact for one user's own jobs; with others' an estimate that supposes equal turns. */
struct atl_waiting_place atl_waiting_position(const struct atl_waiting *waiting, const char *id);
int64_t atl_waiting_count(const struct atl_waiting *waiting, const char *user_id); /* NULL: all */

#endif
