/* job_shared.c - several servers on one queue (PostgreSQL): telling each other that it changed.
 *
 * What changes the rows for others sets `tell`; the dispatcher sends one message for all of it, so that the cost does not
 * grow with the number of jobs. Who hears one looks at the rows at once. Messages may be lost: everybody also looks each
 * atl_job_look_ms.
 */
#include "base/clock.h"
#include "base/str.h"
#include "core/jobs/job_int.h"

#define CHANNEL "atelier_jobs"

unsigned atl_job_look_ms = 1000;

void atl_jobs_tell(struct atl_jobs *jobs)
{
	jobs->tell = jobs->shared;
}

static enum atl_err tell_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct atl_jobs *jobs = arg;
	/* nothing is lost with this transaction: it need not wait for the disk */
	enum atl_err err = atl_exec(conn, info, "SELECT set_config('synchronous_commit', 'off', true)", "");

	return err ? err : atl_db_notify(conn, CHANNEL, jobs->owner, info);
}

enum atl_err atl_jobs_tell_now(struct atl_jobs *jobs, struct atl_errinfo *info)
{
	return atl_db_tx(jobs->app->db, tell_fn, jobs, info);
}

/* On the listener's thread. */
static void heard(void *arg, const char *message)
{
	struct atl_jobs *jobs = arg;

	if (atl_str_eq(message, jobs->owner))
		return;
	pthread_mutex_lock(&jobs->lock);
	jobs->look = true;
	atl_jobs_wake(jobs);
	for (struct atl_list *at = jobs->waiters.next; at != &jobs->waiters; at = at->next) {
		struct atl_job_waiter *waiter = ATL_LIST_ITEM(at, struct atl_job_waiter, link);

		waiter->look = true;
		pthread_cond_signal(&waiter->changed);
	}
	pthread_mutex_unlock(&jobs->lock);
}

enum atl_err atl_jobs_listen(struct atl_jobs *jobs, struct atl_errinfo *info)
{
	return atl_db_listen(jobs->app->db, CHANNEL, heard, jobs, &jobs->listener, info);
}
