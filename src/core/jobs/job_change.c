/* job_change.c - the order of what waits, and pauses. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/jobs/job_int.h"
#include "core/people/audit.h"
#include "core/server/events.h"

#define OFF(member) offsetof(struct atl_queue_status, member)

static const struct atl_json_field STATUS_FIELDS[] = {
	{ "paused", ATL_JT_BOOL, OFF(paused), ATL_JF_REQUIRED, .doc = "by this user" },
	{ "paused_all", ATL_JT_BOOL, OFF(paused_all), ATL_JF_REQUIRED, .doc = "the whole server's queue" },
	{ "queued", ATL_JT_INT, OFF(queued), ATL_JF_REQUIRED },
	{ "running", ATL_JT_INT, OFF(running), ATL_JF_REQUIRED },
	{ "queued_all", ATL_JT_INT, OFF(queued_all), ATL_JF_REQUIRED },
	{ "running_all", ATL_JT_INT, OFF(running_all), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_queue_status_desc = { "Queue", "How many wait and run, yours and everybody's.",
	STATUS_FIELDS, ATL_COUNT(STATUS_FIELDS), sizeof(struct atl_queue_status), ATL_JSON_NO_PRESENT, false };

/* ---- moving ---- */

struct change {
	const char *user_id, *id;
	const struct atl_job_change *what;
	struct atl_arena *arena;
	struct atl_job job;
	double place;
	bool spread; /* others were given new places too */
};

static enum atl_err read_waiting(struct atl_conn *conn, struct change *c, const char *id, const char *field,
				 struct atl_job *ret, struct atl_job_extra *extra, struct atl_errinfo *info)
{
	enum atl_err err = atl_job_row_get(conn, c->arena, c->user_id, id, ret, extra, info);

	if (err == ATL_ERR_NOT_FOUND && field)
		return atl_fail_field(info, err, field, "There is no such job.");
	if (err)
		return err;
	if (atl_str_eq(ret->state, "queued"))
		return ATL_OK;
	return field ? atl_fail_field(info, ATL_ERR_CONFLICT, field, "That job does not wait any more.") :
		       atl_fail(info, ATL_ERR_CONFLICT, "The job does not wait any more: %s.", ret->state);
}

/* The place of the neighbour of `place` in this direction, among this user's waiting jobs of the same priority. */
static enum atl_err neighbour(struct atl_conn *conn, const struct change *c, int64_t priority, double place, bool below,
			      bool *found, double *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     below ? "SELECT place FROM jobs WHERE user_id = ? AND state = 'queued' AND priority = ? "
					     "AND id <> ? AND place < ? ORDER BY place DESC LIMIT 1" :
					     "SELECT place FROM jobs WHERE user_id = ? AND state = 'queued' AND priority = ? "
					     "AND id <> ? AND place > ? ORDER BY place LIMIT 1",
				     "sisd", c->user_id, priority, c->id, place);

	if (err)
		return err;
	*found = atl_rows_next(rows, &err, info);
	if (*found) {
		*ret = atl_col_num(rows, 0);
		atl_rows_close(rows);
	}
	return err;
}

/* No number is left between two neighbours: this user's jobs of this priority get places a whole step apart. */
static enum atl_err spread(struct atl_conn *conn, struct change *c, int64_t priority, struct atl_errinfo *info)
{
	const char **ids = ATL_ARENA_ARRAY(c->arena, const char *, ATL_JOB_USER_QUEUED_MAX);
	size_t count = 0;
	double first = 0;
	struct atl_rows *rows;
	enum atl_err err;

	if (!ids)
		return atl_fail(info, ATL_ERR_NOMEM, "move a job");
	err = atl_query(conn, &rows, info,
			"SELECT id, place FROM jobs WHERE user_id = ? AND state = 'queued' AND priority = ? ORDER BY place, id "
			"LIMIT 10000",
			"si", c->user_id, priority);
	while (!err && atl_rows_next(rows, &err, info)) {
		if (count == 0)
			first = atl_col_num(rows, 1);
		if (count < ATL_JOB_USER_QUEUED_MAX)
			ids[count++] = atl_col_text(rows, 0, c->arena);
	}
	for (size_t i = 0; !err && i < count; i++)
		err = atl_exec(conn, info, "UPDATE jobs SET place = ? WHERE id = ?", "ds", first + (double)i, ids[i]);
	c->spread = true;
	return err;
}

/* Between the job named and its neighbour. */
static enum atl_err move(struct atl_conn *conn, struct change *c, struct atl_errinfo *info)
{
	bool below = c->what->before != NULL, found = false;
	const char *to = below ? c->what->before : c->what->after, *field = below ? "before" : "after";
	double other = 0, middle;
	struct atl_job_extra extra;
	struct atl_job target;
	enum atl_err err;

	if (c->what->before && c->what->after)
		return atl_fail_field(info, ATL_ERR_INVALID, "after", "give either before or after");
	if (atl_str_eq(to, c->id))
		return atl_fail_field(info, ATL_ERR_INVALID, field, "is the job itself");
	for (int tries = 0; tries < 2; tries++) {
		err = read_waiting(conn, c, to, field, &target, &extra, info);
		if (!err)
			err = neighbour(conn, c, target.priority, extra.place, below, &found, &other, info);
		if (err)
			return err;
		middle = found ? extra.place + (other - extra.place) / 2 : extra.place + (below ? -1 : 1);
		if (!found || ((middle > extra.place || below) && (middle < extra.place || !below) && middle - other != 0)) {
			c->place = middle;
			c->job.priority = target.priority;
			return ATL_OK;
		}
		err = spread(conn, c, target.priority, info);
		if (err)
			return err;
	}
	return atl_fail(info, ATL_ERR_INTERNAL, "no place between two jobs");
}

static enum atl_err change_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct change *c = arg;
	struct atl_job_extra extra;
	int64_t changed;
	enum atl_err err = read_waiting(conn, c, c->id, NULL, &c->job, &extra, info);

	if (err)
		return err;
	c->spread = false;
	c->place = extra.place;
	if (c->what->priority)
		c->job.priority = *c->what->priority;
	if (c->what->not_before)
		c->job.not_before = *c->what->not_before;
	if (c->what->before || c->what->after)
		err = move(conn, c, info);
	if (err)
		return err;
	c->job.version++;
	c->job.updated_at = atl_now_ms();
	err = atl_exec_count(conn, &changed, info,
			     "UPDATE jobs SET priority = ?, not_before = ?, place = ?, version = version + 1, updated_at = ? "
			     "WHERE id = ? AND state = 'queued'",
			     "itdis", c->job.priority, c->job.not_before, c->place, c->job.updated_at, c->id);
	if (!err && changed != 1)
		err = atl_fail(info, ATL_ERR_CONFLICT, "The job does not wait any more.");
	return err;
}

enum atl_err atl_job_change(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			    const struct atl_job_change *change, struct atl_job *ret, struct atl_errinfo *info)
{
	struct atl_jobs *jobs = app->jobs;
	struct change c = { .user_id = user_id, .id = id, .what = change, .arena = arena };
	enum atl_err err;

	if (change->priority && (*change->priority < -ATL_JOB_PRIORITY_MAX || *change->priority > ATL_JOB_PRIORITY_MAX))
		return atl_fail_field(info, ATL_ERR_INVALID, "priority", "must be from -%d to %d", ATL_JOB_PRIORITY_MAX,
				      ATL_JOB_PRIORITY_MAX);
	err = atl_db_tx(app->db, change_fn, &c, info);
	if (err)
		return err;
	atl_jobs_put(jobs, &c.job, c.place);
	if (c.spread) {
		pthread_mutex_lock(&jobs->lock);
		jobs->reload = true;
		atl_jobs_wake(jobs);
		pthread_mutex_unlock(&jobs->lock);
	}
	atl_jobs_overlay(jobs, &c.job);
	atl_job_publish(jobs, &c.job);
	*ret = c.job;
	return ATL_OK;
}

/* ---- the queue as a whole ---- */

/* With the lock. */
static void count(struct atl_jobs *jobs, const char *user_id, struct atl_queue_status *ret)
{
	struct atl_list *lists[] = { &jobs->ready, &jobs->running };

	*ret = (struct atl_queue_status){ .paused = atl_waiting_paused(jobs->waiting, user_id),
					  .paused_all = atl_waiting_paused(jobs->waiting, "*"),
					  .queued = atl_waiting_count(jobs->waiting, user_id),
					  .queued_all = atl_waiting_count(jobs->waiting, NULL) };
	for (size_t i = 0; i < ATL_COUNT(lists); i++)
		for (struct atl_list *at = lists[i]->next; at != lists[i]; at = at->next) {
			const struct atl_running *running = ATL_LIST_ITEM(at, struct atl_running, link);

			if (running->lost || running->over)
				continue;
			ret->running_all++;
			if (strcmp(running->job.user_id, user_id) == 0)
				ret->running++;
		}
}

enum atl_err atl_queue_status(struct atl_app *app, const char *user_id, struct atl_queue_status *ret,
			      struct atl_errinfo *info)
{
	pthread_mutex_lock(&app->jobs->lock);
	count(app->jobs, user_id, ret);
	pthread_mutex_unlock(&app->jobs->lock);
	return ATL_OK;
}

void atl_jobs_publish_queue(struct atl_jobs *jobs, const char *user_id)
{
	struct atl_queue_status status;
	struct atl_buf out;

	if (!jobs->app->events || !atl_events_wanted(jobs->app->events, user_id))
		return;
	pthread_mutex_lock(&jobs->lock);
	count(jobs, user_id, &status);
	pthread_mutex_unlock(&jobs->lock);
	atl_buf_init(&out, 512);
	atl_buf_addf(&out,
		     "{\"queue\":{\"paused\":%s,\"paused_all\":%s,\"queued\":%lld,\"running\":%lld,\"queued_all\":%lld,"
		     "\"running_all\":%lld}}",
		     status.paused ? "true" : "false", status.paused_all ? "true" : "false", (long long)status.queued,
		     (long long)status.running, (long long)status.queued_all, (long long)status.running_all);
	if (!out.failed)
		atl_events_publish(jobs->app->events, user_id, "queue.updated", out.data, out.length);
	atl_buf_finish(&out);
}

struct pause {
	const char *scope;
	bool paused;
};

static enum atl_err pause_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct pause *p = arg;

	if (p->paused)
		return atl_exec(conn, info, "INSERT INTO queue_pauses (scope, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
				"si", p->scope, atl_now_ms());
	return atl_exec(conn, info, "DELETE FROM queue_pauses WHERE scope = ?", "s", p->scope);
}

enum atl_err atl_queue_pause(struct atl_app *app, const struct atl_identity *who, bool all, bool paused, struct atl_errinfo *info)
{
	const char *user_id = who->user_id;
	const struct atl_audit audit = { .who = who, .action = paused ? "queue.pause" : "queue.resume" };
	struct atl_jobs *jobs = app->jobs;
	struct pause p = { all ? "*" : user_id, paused };
	struct atl_queue_status status;
	struct atl_buf out;
	enum atl_err err = atl_audit_tx(app->db, pause_fn, &p, all ? &audit : NULL, info);

	if (err)
		return err;
	pthread_mutex_lock(&jobs->lock);
	err = atl_waiting_pause(jobs->waiting, p.scope, paused);
	atl_jobs_tell(jobs);
	atl_jobs_wake(jobs);
	count(jobs, user_id, &status);
	pthread_mutex_unlock(&jobs->lock);
	if (err)
		return atl_fail(info, err, "pause the queue");
	atl_jobs_publish_queue(jobs, user_id);
	if (!all || !app->events)
		return ATL_OK;
	atl_buf_init(&out, 128); /* the others' own numbers are not known here */
	atl_buf_addf(&out, "{\"queue\":{\"paused_all\":%s}}", paused ? "true" : "false");
	if (!out.failed)
		atl_events_publish_all(app->events, "queue.updated", out.data, out.length);
	atl_buf_finish(&out);
	return ATL_OK;
}
