/* job_end.c - ending a job: its row, the jobs that wait for it, what is to be delivered, and who is to be told. */
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/jobs/job_int.h"
#include "core/jobs/webhook.h"

#define DEPENDENTS_MAX 10000 /* failed with one job; a chain longer than this ends at its next start */

static enum atl_err state_of(const char *name, enum atl_job_state *ret)
{
	for (int state = 0; state < ATL_JOB_STATE_COUNT; state++)
		if (atl_str_eq(atl_job_state_name((enum atl_job_state)state), name)) {
			*ret = (enum atl_job_state)state;
			return ATL_OK;
		}
	return ATL_ERR_INTERNAL;
}

static enum atl_err keep(struct atl_job_end *end, const struct atl_job *job, struct atl_errinfo *info)
{
	if (end->count == end->capacity) {
		size_t capacity = end->capacity ? end->capacity * 4 : 2;
		struct atl_job *more = ATL_ARENA_ARRAY(end->arena, struct atl_job, capacity);

		if (!more)
			return atl_fail(info, ATL_ERR_NOMEM, "end jobs");
		if (end->count)
			memcpy(more, end->jobs, end->count * sizeof(*more));
		end->jobs = more;
		end->capacity = capacity;
	}
	end->jobs[end->count++] = *job;
	return ATL_OK;
}

/* The row's last change. */
static enum atl_err write_end(struct atl_conn *conn, struct atl_job_end *end, struct atl_job *job, const char *state,
			      const char *slug, const char *detail, struct atl_errinfo *info)
{
	const char *notes = job == &end->jobs[0] ? end->notes : NULL;
	int64_t now = atl_now_ms(), cost = end->cost_micro_usd >= 0 ? end->cost_micro_usd : job->cost_micro_usd, changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE jobs SET state = ?, error_slug = ?, error_detail = ?, cost_micro_usd = ?, "
					  "lease_owner = NULL, lease_until = NULL, version = version + 1, finished_at = ?, "
					  "updated_at = ? WHERE id = ? AND state = ?",
					  "sssiiiss", state, slug, detail, cost, now, now, job->id, job->state);

	if (end->event == ATL_JOB_CANCEL && !end->owner && !atl_str_eq(job->state, "running"))
		notes = NULL;
	if (!err && notes)
		err = atl_exec(conn, info, "UPDATE jobs SET notes = ? WHERE id = ?", "ss", notes, job->id);
	if (!err && changed != 1)
		err = atl_fail(info, ATL_ERR_CONFLICT, "The job changed meanwhile.");
	if (err)
		return err;
	job->state = state;
	job->error_slug = slug;
	job->error_detail = detail;
	job->cost_micro_usd = cost;
	if (notes)
		job->notes = atl_job_notes(job->request, notes, end->arena);
	job->version++;
	job->finished_at = job->updated_at = now;
	return atl_job_settle_in(conn, job, info);
}

/* Those that wait for job `index` fail with it. */
static enum atl_err fail_dependents(struct atl_conn *conn, struct atl_job_end *end, size_t index, struct atl_errinfo *info)
{
	size_t first = end->count;
	const char *detail;
	struct atl_rows *rows;
	struct atl_job job;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT id FROM jobs WHERE depends_on = ? AND state = 'queued'", "s",
				     end->jobs[index].id);

	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		job = (struct atl_job){ .id = atl_col_text(rows, 0, end->arena) };
		if (end->count >= DEPENDENTS_MAX || keep(end, &job, info) != ATL_OK) {
			atl_rows_close(rows);
			break;
		}
	}
	detail = atl_str_eq(end->jobs[index].state, "cancelled") ?
			 "The job it waited for was cancelled." :
			 atl_arena_printf(end->arena, "The job it waited for failed: %s",
					  end->jobs[index].error_detail ? end->jobs[index].error_detail : "no cause is known");
	for (size_t i = first; !err && i < end->count; i++) {
		err = atl_job_row_get(conn, end->arena, NULL, end->jobs[i].id, &job, NULL, info);
		if (err)
			break;
		end->jobs[i] = job;
		err = write_end(conn, end, &end->jobs[i], "failed", "dependency_failed", detail, info);
	}
	return err;
}

enum atl_err atl_job_end_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_job_end *end = arg;
	struct atl_job_extra extra;
	struct atl_job job;
	enum atl_job_state from, to;
	enum atl_err err;

	end->count = 0;
	err = atl_job_row_get(conn, end->arena, end->user_id, end->id, &job, &extra, info);
	if (!err)
		err = state_of(job.state, &from);
	if (err)
		return err;
	if (atl_job_next_state(from, end->event, &to) != ATL_OK)
		return atl_fail(info, ATL_ERR_CONFLICT, "The job has ended already: %s.", job.state);
	if ((end->owner && !atl_str_eq(extra.lease_owner, end->owner)) ||
	    (end->only_state && !atl_str_eq(job.state, end->only_state)))
		return atl_fail(info, ATL_ERR_CONFLICT, "The job is not held here any more.");
	err = keep(end, &job, info);
	if (!err)
		err = write_end(conn, end, &end->jobs[0], atl_job_state_name(to), to == ATL_JOB_FAILED ? end->error_slug : NULL,
				to == ATL_JOB_FAILED ? end->error_detail : NULL, info);
	for (size_t i = 0; to != ATL_JOB_DONE && !err && i < end->count; i++)
		err = fail_dependents(conn, end, i, info);
	end->delivers = false;
	for (size_t i = 0; !err && i < end->count; i++)
		err = atl_webhook_ended_in(conn, end->arena, &end->jobs[i], &end->delivers, info);
	return err;
}

void atl_job_end_tell(struct atl_jobs *jobs, const struct atl_job_end *end)
{
	pthread_mutex_lock(&jobs->lock);
	for (size_t i = 0; i < end->count; i++) {
		const struct atl_job *job = &end->jobs[i];
		struct atl_running *running = atl_jobs_running(jobs, job->id);
		enum atl_job_state state;

		atl_waiting_remove(jobs->waiting, job->id);
		atl_waiting_release(jobs->waiting, job->id);
		if (state_of(job->state, &state) == ATL_OK)
			jobs->ended[state]++;
		if (running) {
			running->over = true;
			running->lost = running->lost || !atl_str_eq(job->state, "done");
			if (running->lost)
				atomic_store(&running->cancelled, true);
		}
		for (struct atl_list *at = jobs->waiters.next; at != &jobs->waiters; at = at->next) {
			struct atl_job_waiter *waiter = ATL_LIST_ITEM(at, struct atl_job_waiter, link);

			if (strcmp(waiter->id, job->id) != 0)
				continue;
			waiter->ended = true;
			pthread_cond_signal(&waiter->changed);
		}
	}
	atl_jobs_tell(jobs);
	atl_jobs_wake(jobs);
	pthread_mutex_unlock(&jobs->lock);
	if (end->delivers)
		atl_webhooks_wake(jobs->app);
	for (size_t i = 0; i < end->count; i++) {
		atl_job_publish(jobs, &end->jobs[i]);
		if (i == 0 || !atl_str_eq(end->jobs[i].user_id, end->jobs[i - 1].user_id))
			atl_jobs_publish_queue(jobs, end->jobs[i].user_id);
	}
}
