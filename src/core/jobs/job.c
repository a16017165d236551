/* job.c - what people ask of the queue: submit, look, wait. See job.h; cancelling is in job_cancel.c, changes of order in
 * job_change.c. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/books/cost_ceiling.h"
#include "core/books/quota.h"
#include "core/jobs/job_int.h"
#include "core/jobs/webhook.h"
#include "core/people/rights.h"
#include "core/server/events.h"
#include "core/server/idempotency.h"

#define PLACE_EPOCH_MS 1767225600000LL /* 2026: small numbers leave room for fractions */
#define PLACE_STEP (1.0 / 16)

/* ---- submitting ---- */

struct submit {
	const struct atl_identity *who;
	const struct atl_job *job;
	const char *request;
	double place;
	struct atl_arena *arena;
	int64_t amounts[ATL_LEDGER_KIND_COUNT]; /* what it will use */
	struct atl_quota_notices notices;
};

static enum atl_err check_dependency(struct atl_conn *conn, const struct submit *s, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	const char *state;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT state FROM jobs WHERE id = ? AND user_id = ?", "ss",
				     s->job->depends_on, s->job->user_id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail_field(info, ATL_ERR_NOT_FOUND, "depends_on", "There is no such job.");
	state = atl_col_text(rows, 0, s->arena);
	atl_rows_close(rows);
	if (atl_str_eq(state, "failed") || atl_str_eq(state, "cancelled"))
		return atl_fail_field(info, ATL_ERR_CONFLICT, "depends_on", "That job has not succeeded.");
	return ATL_OK;
}

static enum atl_err submit_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct submit *s = arg;
	enum atl_err err = s->job->depends_on ? check_dependency(conn, s, info) : ATL_OK;

	if (!err)
		err = atl_job_row_insert(conn, s->job, s->request, s->place, info);
	if (!err)
		err = atl_job_reserve_in(conn, s->who, s->job, s->amounts, &s->notices, info);
	if (!err)
		err = atl_idempotency_made_in(conn, s->who->user_id, s->who->once_key, s->job->id, info);
	return err;
}

/* Behind everything that waits: the time, but never twice the same. */
static double next_place(struct atl_jobs *jobs)
{
	double place = (double)(atl_now_ms() - PLACE_EPOCH_MS);

	pthread_mutex_lock(&jobs->lock);
	if (place <= jobs->last_place)
		place = jobs->last_place + PLACE_STEP;
	jobs->last_place = place;
	pthread_mutex_unlock(&jobs->lock);
	return place;
}

static enum atl_err check_new(struct atl_app *app, const struct atl_job_new *job, struct atl_errinfo *info)
{
	if (!atl_jobs_kind(app->jobs, job->kind))
		return atl_fail_field(info, ATL_ERR_INVALID, "kind", "There is no kind of job \"%s\".", job->kind);
	if (job->priority < -ATL_JOB_PRIORITY_MAX || job->priority > ATL_JOB_PRIORITY_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "priority", "must be from -%d to %d", ATL_JOB_PRIORITY_MAX,
				      ATL_JOB_PRIORITY_MAX);
	if (strlen(job->request) > ATL_JOB_REQUEST_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "The request has more than %zu bytes.", ATL_JOB_REQUEST_MAX);
	if (strlen(job->provider_id) >= sizeof(((struct atl_waiting_taken *)NULL)->provider_id))
		return atl_fail_field(info, ATL_ERR_INVALID, "provider_id", "is too long");
	return ATL_OK;
}

static enum atl_err check_room(struct atl_jobs *jobs, const char *user_id, int64_t count, struct atl_errinfo *info)
{
	bool draining;
	int64_t waiting;

	pthread_mutex_lock(&jobs->lock);
	draining = jobs->draining;
	waiting = atl_waiting_count(jobs->waiting, user_id);
	pthread_mutex_unlock(&jobs->lock);
	if (draining)
		return atl_fail(info, ATL_ERR_SHUTDOWN, "The server is stopping; send it again in a moment.");
	if (waiting + count > ATL_JOB_USER_QUEUED_MAX)
		return atl_fail(info, ATL_ERR_QUOTA, "You have %d jobs waiting already; cancel some, or wait.",
				ATL_JOB_USER_QUEUED_MAX);
	return ATL_OK;
}

/* The row, from what was asked; `request` is its tree, for those who are told of it. */
static enum atl_err make(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			 const struct atl_job_new *new, struct submit *s, struct atl_job *job, struct atl_errinfo *info)
{
	struct atl_json *request;
	char id[ATL_ID_SIZE];
	int64_t ceiling; /* what is made costs its price: it does not become dearer while it runs */
	enum atl_err err = check_new(app, new, info);

	if (!err)
		err = atl_json_parse(arena, new->request, strlen(new->request), &request, info);
	if (err)
		return err;
	atl_id_new("job", id);
	*job = (struct atl_job){ .id = atl_arena_strdup(arena, id), .user_id = atl_arena_strdup(arena, who->user_id),
				 .kind = new->kind, .task = new->task, .state = atl_job_state_name(ATL_JOB_QUEUED),
				 .origin = new->origin, .model = new->model, .provider_id = new->provider_id,
				 .prompt = new->prompt, .request = request, .notes = atl_job_notes(request, NULL, arena),
				 .priority = new->priority,
				 .count = new->count < 1 ? 1 : new->count, .not_before = new->not_before,
				 .depends_on = new->depends_on, .character_id = new->character_id,
				 .conversation_id = new->conversation_id, .message_id = new->message_id,
				 .board_id = new->board_id, .webhook_url = new->webhook_url, .version = 1,
				 .created_at = atl_now_ms() };
	job->updated_at = job->created_at;
	*s = (struct submit){ .who = who, .arena = arena, .job = job, .request = new->request, .place = next_place(app->jobs) };
	if (!job->id || !job->user_id)
		return atl_fail(info, ATL_ERR_NOMEM, "submit a job");
	atl_job_expect(app, job, s->amounts);
	if (s->amounts[ATL_LEDGER_MONEY] <= 0)
		return ATL_OK;
	return atl_cost_ceiling(app, who, job->model, s->amounts[ATL_LEDGER_MONEY], new->max_cost, &ceiling, info);
}

/* After the commit: the queue and the pages learn of it. */
static void tell(struct atl_jobs *jobs, struct atl_job *job, double place)
{
	atl_jobs_put(jobs, job, place);
	pthread_mutex_lock(&jobs->lock);
	jobs->submitted++;
	pthread_mutex_unlock(&jobs->lock);
	atl_jobs_overlay(jobs, job);
	atl_job_publish(jobs, job);
}

/* Features of the role, and room for what will be made: what is under way when the room ends is still kept. */
static enum atl_err allowed(struct atl_app *app, const struct atl_identity *who, const struct atl_job_new *new,
			    struct atl_errinfo *info)
{
	bool film = new->task && strstr(new->task, "vid") != NULL;
	enum atl_err err = atl_rights_feature(who, film ? ATL_FEATURE_VIDEOS : ATL_FEATURE_PICTURES, info);

	if (!err && new->webhook_url)
		err = atl_rights_feature(who, ATL_FEATURE_WEBHOOKS, info);
	if (!err)
		err = atl_rights_model(who, new->model, info);
	return err ? err : atl_rights_room(app, who, 0, info);
}

enum atl_err atl_job_submit(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			    const struct atl_job_new *new, struct atl_job *ret, struct atl_errinfo *info)
{
	struct submit s;
	struct atl_job job;
	enum atl_err err;

	if (who->once_made)
		return atl_job_get(app, arena, who->user_id, who->once_made, ret, info);
	err = check_room(app->jobs, who->user_id, 1, info);
	if (!err)
		err = allowed(app, who, new, info);
	if (!err)
		err = make(app, who, arena, new, &s, &job, info);
	if (!err && new->webhook_url)
		err = atl_webhook_prepare(app, who->user_id, new->webhook_url, info);
	if (!err)
		err = atl_db_tx(app->db, submit_fn, &s, info);
	if (err)
		return err;
	tell(app->jobs, &job, s.place);
	atl_quota_tell(app, job.user_id, &s.notices);
	atl_jobs_publish_queue(app->jobs, job.user_id);
	*ret = job;
	return ATL_OK;
}

struct submit_many {
	struct submit *each;
	const struct atl_job *jobs;
	size_t count;
	atl_job_made_fn made;
	void *arg;
};

static enum atl_err submit_many_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct submit_many *m = arg;
	enum atl_err err = ATL_OK;

	for (size_t i = 0; !err && i < m->count; i++)
		err = submit_fn(conn, &m->each[i], info);
	return err ? err : m->made(conn, m->jobs, m->count, m->arg, info);
}

enum atl_err atl_job_submit_many(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				 const struct atl_job_new *new, size_t count, atl_job_made_fn made, void *arg,
				 struct atl_job **ret, struct atl_errinfo *info)
{
	struct atl_job *jobs = ATL_ARENA_ARRAY(arena, struct atl_job, count + 1);
	struct submit_many m = { .each = ATL_ARENA_ARRAY(arena, struct submit, count + 1), .jobs = jobs, .count = count,
				 .made = made, .arg = arg };
	struct atl_identity plain = *who;
	enum atl_err err;

	/* the request's key is for what `made` writes, not for one of the jobs */
	plain.once_key = plain.once_made = NULL;
	if (!jobs || !m.each)
		return atl_fail(info, ATL_ERR_NOMEM, "submit jobs");
	err = check_room(app->jobs, who->user_id, (int64_t)count, info);
	for (size_t i = 0; !err && i < count; i++) {
		err = allowed(app, who, &new[i], info);
		if (!err)
			err = make(app, &plain, arena, &new[i], &m.each[i], &jobs[i], info);
		if (!err && new[i].webhook_url)
			err = atl_webhook_prepare(app, who->user_id, new[i].webhook_url, info);
	}
	if (!err)
		err = atl_db_tx(app->db, submit_many_fn, &m, info);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		tell(app->jobs, &jobs[i], m.each[i].place);
		atl_quota_tell(app, jobs[i].user_id, &m.each[i].notices);
	}
	if (count)
		atl_jobs_publish_queue(app->jobs, jobs[0].user_id);
	*ret = jobs;
	return ATL_OK;
}

/* ---- looking ---- */

struct get {
	struct atl_arena *arena;
	const char *user_id, *id;
	struct atl_job job;
};

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct get *g = arg;

	return atl_job_row_get(conn, g->arena, g->user_id, g->id, &g->job, NULL, info);
}

enum atl_err atl_job_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			 struct atl_job *ret, struct atl_errinfo *info)
{
	struct get g = { .arena = arena, .user_id = user_id, .id = id };
	enum atl_err err = atl_db_read(app->db, get_fn, &g, info);

	if (err)
		return err;
	atl_jobs_overlay(app->jobs, &g.job);
	*ret = g.job;
	return ATL_OK;
}

struct get_many {
	struct atl_arena *arena;
	const char *user_id;
	const char *const *ids;
	size_t count;
	struct atl_job *jobs;
};

static enum atl_err get_many_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct get_many *g = arg;

	for (size_t i = 0; i < g->count; i++) {
		enum atl_err err = atl_job_row_get(conn, g->arena, g->user_id, g->ids[i], &g->jobs[i], NULL, info);

		if (err == ATL_ERR_NOT_FOUND)
			g->jobs[i] = (struct atl_job){ .id = NULL };
		else if (err)
			return err;
	}
	return ATL_OK;
}

enum atl_err atl_job_get_many(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *const *ids,
			      size_t count, struct atl_job **ret, struct atl_errinfo *info)
{
	struct get_many g = { .arena = arena, .user_id = user_id, .ids = ids, .count = count,
			      .jobs = ATL_ARENA_ARRAY(arena, struct atl_job, count + 1) };
	enum atl_err err = g.jobs ? atl_db_read(app->db, get_many_fn, &g, info) : atl_fail(info, ATL_ERR_NOMEM, "read jobs");

	for (size_t i = 0; !err && i < count; i++)
		if (g.jobs[i].id)
			atl_jobs_overlay(app->jobs, &g.jobs[i]);
	if (!err)
		*ret = g.jobs;
	return err;
}

struct list {
	struct atl_arena *arena;
	const char *user_id;
	const struct atl_job_filter *filter;
	struct atl_job *items;
	size_t count;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct list *l = arg;

	return atl_job_row_list(conn, l->arena, l->user_id, l->filter, &l->items, &l->count, info);
}

enum atl_err atl_job_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			  const struct atl_job_filter *filter, struct atl_job **ret, size_t *ret_count,
			  struct atl_errinfo *info)
{
	struct list l = { .arena = arena, .user_id = user_id, .filter = filter };
	enum atl_err err = atl_db_read(app->db, list_fn, &l, info);

	if (err)
		return err;
	for (size_t i = 0; i < l.count; i++)
		atl_jobs_overlay(app->jobs, &l.items[i]);
	*ret = l.items;
	*ret_count = l.count;
	return ATL_OK;
}

enum atl_err atl_job_preview_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				 int64_t index, const void **ret_data, size_t *ret_length, const char **ret_media_type,
				 struct atl_errinfo *info)
{
	struct atl_jobs *jobs = app->jobs;
	struct atl_bytes *bytes = NULL;
	struct atl_running *running;
	char media_type[32] = "";
	char *copy;

	pthread_mutex_lock(&jobs->lock);
	running = atl_jobs_running(jobs, id);
	if (running && !running->over && strcmp(running->job.user_id, user_id) == 0 && index >= 0 && index < ATL_IMAGE_COUNT_MAX &&
	    running->previews[index].bytes) {
		bytes = atl_bytes_ref(running->previews[index].bytes);
		atl_str_copy(media_type, sizeof(media_type), running->previews[index].media_type);
	}
	pthread_mutex_unlock(&jobs->lock);
	if (!bytes)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no preview.");
	copy = atl_arena_alloc(arena, bytes->length);
	if (copy) {
		memcpy(copy, bytes->data, bytes->length);
		*ret_length = bytes->length;
	}
	atl_bytes_unref(bytes);
	if (!copy)
		return atl_fail(info, ATL_ERR_NOMEM, "read a preview");
	*ret_data = copy;
	*ret_media_type = atl_arena_strdup(arena, media_type);
	return ATL_OK;
}

/* ---- once more ---- */

enum atl_err atl_job_again(struct atl_arena *arena, const struct atl_job *old, struct atl_job_new *ret, struct atl_errinfo *info)
{
	enum atl_job_state state;
	struct atl_job_new new;
	struct atl_buf request;
	struct atl_jw w;

	if (!atl_job_is_ended(old) || atl_job_next_state(ATL_JOB_FAILED, ATL_JOB_RETRY, &state) != ATL_OK)
		return atl_fail(info, ATL_ERR_CONFLICT, "The job has not ended yet.");
	atl_buf_init(&request, ATL_JOB_REQUEST_MAX + 1024);
	atl_jw_init(&w, &request);
	atl_jw_tree(&w, NULL, old->request);
	new = (struct atl_job_new){ .kind = old->kind, .task = old->task, .origin = old->origin, .model = old->model,
				    .provider_id = old->provider_id, .prompt = old->prompt, .priority = old->priority,
				    .count = old->count, .character_id = old->character_id,
				    .conversation_id = old->conversation_id, .message_id = old->message_id,
				    .board_id = old->board_id, .webhook_url = old->webhook_url };
	new.request = request.failed ? NULL : atl_arena_strndup(arena, request.data, request.length);
	atl_buf_finish(&request);
	if (!new.request)
		return atl_fail(info, ATL_ERR_NOMEM, "retry a job");
	*ret = new;
	return ATL_OK;
}

enum atl_err atl_job_retry(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			   struct atl_job *ret, struct atl_errinfo *info)
{
	struct atl_job_new new;
	struct atl_job old;
	enum atl_err err;

	if (who->once_made)
		return atl_job_get(app, arena, who->user_id, who->once_made, ret, info);
	err = atl_job_get(app, arena, who->user_id, id, &old, info);
	if (!err)
		err = atl_job_again(arena, &old, &new, info);
	return err ? err : atl_job_submit(app, who, arena, &new, ret, info);
}

/* ---- waiting ---- */

static void add_ms(struct timespec *at, unsigned ms)
{
	at->tv_sec += ms / 1000;
	at->tv_nsec += (long)(ms % 1000) * 1000000;
	if (at->tv_nsec >= 1000000000) {
		at->tv_sec++;
		at->tv_nsec -= 1000000000;
	}
}

static void wait_for(struct atl_jobs *jobs, struct atl_job_waiter *waiter, uint64_t until_ms)
{
	uint64_t now = atl_monotonic_ms();
	unsigned wait_ms = until_ms > now ? (unsigned)(until_ms - now) : 0;
	struct timespec deadline;

	if (jobs->shared && wait_ms > atl_job_look_ms) /* it may end on another server: look again */
		wait_ms = atl_job_look_ms;
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	add_ms(&deadline, wait_ms);
	pthread_mutex_lock(&jobs->lock);
	while (!waiter->ended && !waiter->look && !jobs->draining)
		if (pthread_cond_timedwait(&waiter->changed, &jobs->lock, &deadline) == ETIMEDOUT)
			break;
	waiter->look = false;
	pthread_mutex_unlock(&jobs->lock);
}

enum atl_err atl_job_wait(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			  unsigned timeout_ms, struct atl_job *ret, struct atl_errinfo *info)
{
	struct atl_jobs *jobs = app->jobs;
	struct atl_job_waiter waiter = { .id = id };
	uint64_t until = atl_monotonic_ms() + timeout_ms;
	pthread_condattr_t attr;
	bool draining;
	enum atl_err err;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&waiter.changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_lock(&jobs->lock);
	atl_list_append(&jobs->waiters, &waiter.link);
	pthread_mutex_unlock(&jobs->lock);
	for (;;) {
		err = atl_job_get(app, arena, user_id, id, ret, info);
		if (err || atl_job_is_ended(ret) || atl_monotonic_ms() >= until)
			break;
		wait_for(jobs, &waiter, until);
		pthread_mutex_lock(&jobs->lock);
		draining = jobs->draining;
		pthread_mutex_unlock(&jobs->lock);
		if (draining)
			until = 0;
	}
	pthread_mutex_lock(&jobs->lock);
	atl_list_remove(&waiter.link);
	pthread_mutex_unlock(&jobs->lock);
	pthread_cond_destroy(&waiter.changed);
	return err;
}
