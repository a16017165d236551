/* job_run.c - one run: its start and end, and what its kind tells meanwhile. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/jobs/job_int.h"
#include "core/server/events.h"
#include "core/server/publish.h"

#define MODULE "jobs"
#define WRITE_AGAIN_MS 500
#define STEP_WEIGHT 0.3

struct atl_running *atl_running_create(struct atl_jobs *jobs)
{
	struct atl_running *running = calloc(1, sizeof(*running));

	if (!running)
		return NULL;
	running->jobs = jobs;
	running->progress_index = -1;
	atl_arena_init(&running->arena, 0);
	atl_buf_init(&running->notes, (ATL_JOB_NOTE_MAX * 6 + 4) * ATL_JOB_NOTES_MAX);
	atl_list_init(&running->link);
	atl_list_init(&running->end_link);
	return running;
}

void atl_running_destroy(struct atl_running *running)
{
	for (size_t i = 0; i < ATL_COUNT(running->previews); i++)
		atl_bytes_unref(running->previews[i].bytes);
	atl_buf_finish(&running->notes);
	atl_arena_finish(&running->arena);
	free(running);
}

/* ---- start ---- */

struct start {
	char id[ATL_ID_SIZE], owner[ATL_JOB_OWNER_SIZE];
	int64_t now;
};

static enum atl_err start_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct start *start = arg;
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE jobs SET state = 'running', started_at = ?, attempt = attempt + 1, "
					  "version = version + 1, updated_at = ? "
					  "WHERE id = ? AND lease_owner = ? AND state = 'leased'",
					  "iiss", start->now, start->now, start->id, start->owner);

	if (!err && changed != 1)
		return atl_fail(info, ATL_ERR_CONFLICT, "The job is not held here any more.");
	return err;
}

static void start_done(void *arg, enum atl_err err)
{
	struct start *start = arg;

	if (err && err != ATL_ERR_CONFLICT)
		atl_warn(MODULE, "%s: write its start: %s", start->id, atl_err_name(err));
	free(start);
}

/* A start that may not happen twice is durable before the run. Another one is written meanwhile: if it is lost with the
 * server, the job is leased once more, which costs nothing. */
static enum atl_err write_start(struct atl_running *running, struct atl_errinfo *info)
{
	struct atl_jobs *jobs = running->jobs;
	struct start now = { .now = atl_now_ms() }, *later;
	enum atl_err err = ATL_OK;

	atl_str_copy(now.id, sizeof(now.id), running->job.id);
	atl_str_copy(now.owner, sizeof(now.owner), jobs->owner);
	later = !jobs->shared && running->kind->repeatable(jobs->app, &running->job) ? malloc(sizeof(*later)) : NULL;
	if (later)
		*later = now;
	if (!later || atl_db_tx_async(jobs->app->db, start_fn, later, start_done) != ATL_OK) {
		free(later);
		err = atl_db_tx(jobs->app->db, start_fn, &now, info);
	}
	if (err)
		return err;
	running->job.state = atl_job_state_name(ATL_JOB_RUNNING);
	running->job.started_at = running->job.updated_at = now.now;
	running->job.attempt++;
	running->job.version++;
	return ATL_OK;
}

/* ---- end ---- */

/* True: try again. The row must get its end; only a closing server leaves that to the next start. */
static bool wait_to_write_again(struct atl_running *running, enum atl_err err, const struct atl_errinfo *info)
{
	struct atl_jobs *jobs = running->jobs;
	struct timespec deadline;
	bool closing;

	atl_warn(MODULE, "%s: write its end: %s %s", running->job.id, atl_err_name(err), info->detail);
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_nsec += (long)WRITE_AGAIN_MS * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&jobs->lock);
	while (!jobs->stopping && pthread_cond_timedwait(&jobs->idle, &jobs->lock, &deadline) != ETIMEDOUT)
		;
	closing = jobs->stopping;
	pthread_mutex_unlock(&jobs->lock);
	return !closing;
}

static void give_back(struct atl_running *running)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err;

	do {
		err = atl_jobs_requeue(running->jobs, running->job.id, running->jobs->owner, true, &info);
	} while (err && err != ATL_ERR_CONFLICT && wait_to_write_again(running, err, &info));
}

static const char *notes_text(struct atl_running *running)
{
	if (!running->note_count || running->notes.failed)
		return NULL;
	return atl_arena_printf(&running->arena, "[%.*s]", (int)running->notes.length, running->notes.data);
}

static struct atl_job_end *make_end(struct atl_running *running, enum atl_err result, const struct atl_errinfo *why)
{
	struct atl_job_end *end = ATL_ARENA_NEW(&running->arena, struct atl_job_end);

	if (!end)
		return NULL;
	*end = (struct atl_job_end){ .arena = &running->arena, .id = running->job.id, .owner = running->jobs->owner,
				     .event = ATL_JOB_FINISH, .notes = notes_text(running), .cost_micro_usd = -1 };
	if (!result && running->cost_micro_usd > 0) /* nothing is charged for what fails */
		end->cost_micro_usd = running->cost_micro_usd;
	if (result == ATL_ERR_CANCELLED) {
		end->event = ATL_JOB_CANCEL;
	} else if (result) {
		end->event = ATL_JOB_FAIL;
		end->error_slug = atl_err_slug(result);
		end->error_detail = atl_arena_strdup(&running->arena, why->detail[0] ? why->detail : atl_err_sentence(result));
	}
	return end;
}

/* In the row, or ended otherwise, or left to the next start. */
static bool is_settled(enum atl_err err)
{
	return !err || err == ATL_ERR_CONFLICT || err == ATL_ERR_NOT_FOUND;
}

static void write_now(struct atl_running *running, struct atl_job_end *end)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err;

	do {
		err = atl_db_tx(running->jobs->app->db, atl_job_end_fn, end, &info);
	} while (!is_settled(err) && wait_to_write_again(running, err, &info));
	if (!err)
		atl_job_end_tell(running->jobs, end);
}

static enum atl_err end_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_job_end_fn(conn, ((struct atl_running *)arg)->end, info);
}

/* On a database thread: the ender does the rest. */
static void end_written(void *arg, enum atl_err err)
{
	struct atl_running *running = arg;
	struct atl_jobs *jobs = running->jobs;

	running->end_err = err;
	pthread_mutex_lock(&jobs->lock);
	atl_list_append(&jobs->written, &running->end_link);
	pthread_cond_signal(&jobs->ends);
	pthread_mutex_unlock(&jobs->lock);
}

void atl_running_ended(struct atl_running *running)
{
	if (!running->end_err)
		atl_job_end_tell(running->jobs, running->end);
	else if (!is_settled(running->end_err))
		write_now(running, running->end);
}

/* True: the ender has it. The runner takes its next job while this one's end is written; nobody is told before. */
static bool write_end(struct atl_running *running, enum atl_err result, const struct atl_errinfo *why)
{
	struct atl_job_end *end = make_end(running, result, why), small;
	struct atl_jobs *jobs = running->jobs;
	bool room;

	if (!end) { /* out of memory: what fits is said */
		small = (struct atl_job_end){ .arena = &running->arena, .id = running->job.id, .owner = jobs->owner,
					      .event = ATL_JOB_FAIL, .error_slug = atl_err_slug(ATL_ERR_NOMEM),
					      .error_detail = atl_err_sentence(ATL_ERR_NOMEM), .cost_micro_usd = -1 };
		write_now(running, &small);
		return false;
	}
	running->end = end;
	pthread_mutex_lock(&jobs->lock);
	room = jobs->ending_count < ATL_JOB_ENDING_MAX;
	if (room)
		atl_jobs_free_place(running);
	pthread_mutex_unlock(&jobs->lock);
	if (room && atl_db_tx_async(jobs->app->db, end_fn, running, end_written) == ATL_OK)
		return true;
	write_now(running, end);
	return false;
}

bool atl_running_run(struct atl_running *running)
{
	struct atl_jobs *jobs = running->jobs;
	struct atl_errinfo info = { 0 };
	struct atl_job_run run = { .app = jobs->app, .job = &running->job, .identity = running->identity,
				   .arena = &running->arena, .cancelled = &running->cancelled,
				   .remote_id = running->job.remote_id, .internal = running };
	bool lost, back;
	enum atl_err err = ATL_OK;

	if (!atomic_load(&running->cancelled)) {
		err = write_start(running, &info);
		if (err == ATL_ERR_CONFLICT)
			return false;
		if (err) {
			give_back(running);
			return false;
		}
		pthread_mutex_lock(&jobs->lock);
		running->began_at = running->job.started_at;
		pthread_mutex_unlock(&jobs->lock);
		atl_job_publish(jobs, &running->job);
		err = running->kind->run(&run, &info);
	} else {
		err = ATL_ERR_CANCELLED;
	}
	pthread_mutex_lock(&jobs->lock);
	lost = running->lost;
	back = running->give_back && err == ATL_ERR_CANCELLED;
	pthread_mutex_unlock(&jobs->lock);
	if (lost)
		return false; /* its end is written */
	if (back) {
		if (atl_str_eq(running->job.state, "leased") || running->kind->repeatable(jobs->app, &running->job)) {
			give_back(running);
			return false;
		}
		err = atl_fail(&info, ATL_ERR_INTERRUPTED,
			       "The server was stopped while this job ran. It was not run again, because the service may "
			       "have charged for it already.");
	}
	return write_end(running, err, &info);
}

/* ---- what a kind tells ---- */

static void event(struct atl_running *running, const char *name, const struct atl_buf *out)
{
	struct atl_app *app = running->jobs->app;

	if (app->events && !out->failed)
		atl_events_publish(app->events, running->job.user_id, name, out->data, out->length);
}

void atl_job_progress(struct atl_job_run *run, const struct atl_image_progress *progress)
{
	struct atl_running *running = run->internal;
	struct atl_jobs *jobs = running->jobs;
	const char *phase = progress->phase ? progress->phase : "";
	uint64_t now = atl_monotonic_ms();
	bool turn = progress->index != running->progress_index || strcmp(phase, running->phase) != 0;
	double left = progress->left_ms;
	struct atl_buf out;
	struct atl_jw w;

	if (progress->step_ms > 0)
		running->step_ms = turn || running->step_ms <= 0 ?
					   progress->step_ms :
					   running->step_ms + STEP_WEIGHT * (progress->step_ms - running->step_ms);
	if (left <= 0 && progress->steps > progress->step && running->step_ms > 0)
		left = running->step_ms * (double)(progress->steps - progress->step);
	pthread_mutex_lock(&jobs->lock);
	running->step = progress->step;
	running->steps = progress->steps;
	running->left_ms = left > 0 ? llround(left) : 0;
	pthread_mutex_unlock(&jobs->lock);
	if (!turn && progress->step != progress->steps && now - running->progress_at_ms < ATL_JOB_PROGRESS_MS)
		return;
	running->progress_at_ms = now;
	running->progress_index = progress->index;
	atl_str_copy(running->phase, sizeof(running->phase), phase);
	atl_buf_init(&out, 1024);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "id", running->job.id);
	atl_jw_int(&w, "index", progress->index);
	atl_jw_str(&w, "phase", running->phase);
	atl_jw_int(&w, "step", progress->step);
	atl_jw_int(&w, "steps", progress->steps);
	atl_jw_int(&w, "step_ms", running->step_ms > 0 ? llround(running->step_ms) : 0);
	atl_jw_int(&w, "left_ms", left > 0 ? llround(left) : 0);
	atl_jw_end_object(&w);
	event(running, "job.progress", &out);
	atl_buf_finish(&out);
}

void atl_job_preview(struct atl_job_run *run, int64_t index, const void *data, size_t length, const char *media_type)
{
	struct atl_running *running = run->internal;
	uint64_t now = atl_monotonic_ms();
	struct atl_bytes *bytes, *old;
	struct atl_buf out;
	int64_t number;

	if (index < 0 || index >= ATL_IMAGE_COUNT_MAX || length == 0 || length > ATL_JOB_PREVIEW_MAX ||
	    (running->preview_at_ms && now - running->preview_at_ms < ATL_JOB_PREVIEW_MS))
		return;
	bytes = atl_bytes_create(data, length);
	if (!bytes)
		return;
	running->preview_at_ms = now;
	pthread_mutex_lock(&running->jobs->lock);
	old = running->previews[index].bytes;
	running->previews[index].bytes = bytes;
	atl_str_copy(running->previews[index].media_type, sizeof(running->previews[index].media_type), media_type);
	number = ++running->preview;
	pthread_mutex_unlock(&running->jobs->lock);
	atl_bytes_unref(old);
	atl_buf_init(&out, 256);
	atl_buf_addf(&out, "{\"id\":\"%s\",\"index\":%lld,\"n\":%lld}", running->job.id, (long long)index, (long long)number);
	event(running, "job.preview", &out);
	atl_buf_finish(&out);
}

void atl_job_note(struct atl_job_run *run, const char *text)
{
	struct atl_running *running = run->internal;
	struct atl_jw w;

	if (atl_str_empty(text) || running->note_count >= ATL_JOB_NOTES_MAX)
		return;
	if (running->note_count++)
		atl_buf_addc(&running->notes, ',');
	atl_jw_init(&w, &running->notes);
	atl_jw_strn(&w, NULL, text, atl_utf8_cut(text, strlen(text), ATL_JOB_NOTE_MAX));
}

void atl_job_cost(struct atl_job_run *run, int64_t micro_usd)
{
	struct atl_running *running = run->internal;

	if (micro_usd > 0)
		running->cost_micro_usd = micro_usd;
}

struct result {
	struct atl_running *running;
	struct atl_asset_new *asset;
	struct atl_asset out;
	bool again; /* it was there: an earlier start made it */
};

static enum atl_err result_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct result *r = arg;
	struct atl_running *running = r->running;
	struct atl_items made = { NULL, 0 };
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE jobs SET version = version + 1, updated_at = ? WHERE id = ? AND "
					  "lease_owner = ? AND state IN ('leased', 'running')",
					  "iss", atl_now_ms(), running->job.id, running->jobs->owner);

	r->again = false;
	if (!err && changed != 1)
		err = atl_fail(info, ATL_ERR_CONFLICT, "The job is not held here any more.");
	if (!err)
		err = atl_asset_of_job(conn, &running->arena, running->job.id, &made, info);
	for (size_t i = 0; !err && i < made.count; i++)
		if (((struct atl_asset *)made.items)[i].job_index == r->asset->job_index) {
			r->out = ((struct atl_asset *)made.items)[i];
			r->again = true;
			return ATL_OK;
		}
	if (!err)
		err = atl_asset_insert(conn, &running->arena, r->asset, &r->out, info);
	return err ? err : atl_exec(conn, info, "UPDATE jobs SET done_count = done_count + 1 WHERE id = ?", "s", running->job.id);
}

enum atl_err atl_job_result(struct atl_job_run *run, int64_t index, struct atl_asset_new *asset, struct atl_asset *ret,
			    struct atl_errinfo *info)
{
	struct atl_running *running = run->internal;
	const struct atl_job *job = &running->job;
	struct result r = { .running = running, .asset = asset };
	struct atl_buf out;
	struct atl_jw w;
	enum atl_err err;

	asset->user_id = job->user_id;
	asset->job_id = job->id;
	asset->job_index = index;
	asset->task = job->task;
	if (!asset->model)
		asset->model = job->model;
	asset->character_id = job->character_id;
	asset->conversation_id = job->conversation_id;
	asset->message_id = job->message_id;
	asset->board_id = job->board_id;
	err = atl_db_tx(run->app->db, result_fn, &r, info);
	if (err)
		return err;
	running->job.version++;
	if (!r.again)
		running->job.done_count++;
	atl_buf_init(&out, (size_t)1 << 20);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "id", job->id);
	atl_json_encode(&w, "asset", &atl_asset_desc, &r.out);
	atl_jw_end_object(&w);
	event(running, "job.asset", &out);
	atl_buf_finish(&out);
	if (!r.again)
		atl_asset_publish(run->app, "asset.created", &r.out);
	*ret = r.out;
	return ATL_OK;
}

struct remote {
	const struct atl_running *running;
	const char *remote_id;
};

static enum atl_err remote_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct remote *r = arg;
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE jobs SET remote_id = ? WHERE id = ? AND lease_owner = ? AND "
					  "state IN ('leased', 'running')",
					  "sss", r->remote_id, r->running->job.id, r->running->jobs->owner);

	if (!err && changed != 1)
		return atl_fail(info, ATL_ERR_CONFLICT, "The job is not held here any more.");
	return err;
}

enum atl_err atl_job_remote(struct atl_job_run *run, const char *remote_id, struct atl_errinfo *info)
{
	struct atl_running *running = run->internal;
	struct remote r = { running, remote_id };
	enum atl_err err = atl_db_tx(run->app->db, remote_fn, &r, info);

	if (err)
		return err;
	running->job.remote_id = atl_arena_strdup(&running->arena, remote_id);
	run->remote_id = running->job.remote_id;
	return ATL_OK;
}
