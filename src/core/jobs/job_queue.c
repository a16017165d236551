/* job_queue.c - the queue's life, its runners and the ender; what the other parts share.
 *
 * A runner hands the end of its job to the database and takes the next one; the ender tells of it once it is durable.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
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
#define MEAN_WEIGHT 0.3

/* ---- parts that others use ---- */

const struct atl_job_kind *atl_jobs_kind(const struct atl_jobs *jobs, const char *kind)
{
	for (const struct atl_job_kind *const *at = jobs->kinds; *at; at++)
		if (atl_str_eq((*at)->kind, kind))
			return *at;
	return NULL;
}

void atl_jobs_wake(struct atl_jobs *jobs)
{
	jobs->wake = true;
	pthread_cond_signal(&jobs->wanted);
}

struct atl_job_slot *atl_jobs_slot(struct atl_jobs *jobs, const char *kind, const char *provider_id)
{
	char key[128];

	snprintf(key, sizeof(key), "%s %s", kind, provider_id);
	return atl_map_get(&jobs->slots, key);
}

void atl_jobs_slot_make(struct atl_jobs *jobs, const char *kind_name, const char *provider_id)
{
	const struct atl_job_kind *kind = atl_jobs_kind(jobs, kind_name);
	struct atl_job_slot *slot;
	char key[128];
	int64_t limit;

	pthread_mutex_lock(&jobs->lock);
	slot = atl_jobs_slot(jobs, kind_name, provider_id);
	pthread_mutex_unlock(&jobs->lock);
	if (slot || !kind)
		return;
	limit = kind->concurrency(jobs->app, provider_id);
	snprintf(key, sizeof(key), "%s %s", kind_name, provider_id);
	slot = calloc(1, sizeof(*slot));
	if (!slot)
		return; /* asked for again with the next job of it */
	slot->kind = kind;
	slot->limit = limit < 1 ? 1 : limit;
	atl_str_copy(slot->provider_id, sizeof(slot->provider_id), provider_id);
	pthread_mutex_lock(&jobs->lock);
	if (atl_map_get(&jobs->slots, key) || atl_map_put(&jobs->slots, key, slot, NULL) != ATL_OK)
		free(slot);
	else
		atl_list_append(&jobs->slot_list, &slot->link);
	pthread_mutex_unlock(&jobs->lock);
}

struct atl_running *atl_jobs_running(struct atl_jobs *jobs, const char *id)
{
	struct atl_list *lists[] = { &jobs->running, &jobs->ready };

	for (size_t i = 0; i < ATL_COUNT(lists); i++)
		for (struct atl_list *at = lists[i]->next; at != lists[i]; at = at->next) {
			struct atl_running *running = ATL_LIST_ITEM(at, struct atl_running, link);

			if (strcmp(running->job.id, id) == 0)
				return running;
		}
	return NULL;
}

void atl_jobs_put(struct atl_jobs *jobs, const struct atl_job *job, double place)
{
	struct atl_waiting_job waiting = { .id = job->id, .user_id = job->user_id, .kind = job->kind,
					   .provider_id = job->provider_id, .priority = job->priority,
					   .not_before = job->not_before, .place = place, .depends_on = job->depends_on };

	atl_jobs_slot_make(jobs, job->kind, job->provider_id);
	pthread_mutex_lock(&jobs->lock);
	if (atl_waiting_put(jobs->waiting, &waiting) != ATL_OK)
		jobs->reload = true; /* out of memory: the dispatcher reads the rows again */
	atl_jobs_tell(jobs);
	atl_jobs_wake(jobs);
	pthread_mutex_unlock(&jobs->lock);
	if (job->depends_on && !atl_job_is_active(jobs, job->depends_on)) { /* it ended before this was put */
		pthread_mutex_lock(&jobs->lock);
		atl_waiting_release(jobs->waiting, job->depends_on);
		atl_jobs_wake(jobs);
		pthread_mutex_unlock(&jobs->lock);
	}
}

void atl_jobs_overlay(struct atl_jobs *jobs, struct atl_job *job)
{
	const struct atl_job_kind *kind = atl_jobs_kind(jobs, job->kind);
	struct atl_waiting_place place;
	struct atl_job_slot *slot;
	struct atl_running *running;

	if (atl_job_is_ended(job))
		return;
	job->run_ms = kind ? kind->estimate(jobs->app, job) : 0;
	pthread_mutex_lock(&jobs->lock);
	place = atl_waiting_position(jobs->waiting, job->id);
	slot = atl_jobs_slot(jobs, job->kind, job->provider_id);
	running = atl_jobs_running(jobs, job->id);
	if (!job->run_ms && slot)
		job->run_ms = (int64_t)llround(slot->mean_ms);
	if (atl_str_eq(job->state, "queued")) {
		double each = slot && slot->mean_ms > 0 ? slot->mean_ms : (double)job->run_ms;

		job->position = place.position;
		if (slot && place.position)
			job->wait_ms = (int64_t)llround(each * (double)(place.ahead_provider + slot->running) /
							(double)slot->limit);
	}
	if (running && running->began_at && atl_str_eq(job->state, "leased")) { /* its start is on its way to the row */
		job->state = atl_job_state_name(ATL_JOB_RUNNING);
		job->started_at = running->began_at;
		job->attempt++;
		job->version++;
	}
	if (running) {
		job->step = running->step;
		job->steps = running->steps;
		job->left_ms = running->left_ms;
		job->preview = running->preview;
	}
	pthread_mutex_unlock(&jobs->lock);
}

void atl_job_publish(struct atl_jobs *jobs, const struct atl_job *job)
{
	struct atl_job shown = *job;

	if (!jobs->app->events || !atl_events_wanted(jobs->app->events, job->user_id))
		return;
	atl_jobs_overlay(jobs, &shown);
	atl_publish(jobs->app, job->user_id, "job.updated", "job", &atl_job_desc, &shown);
}

void atl_jobs_metrics(struct atl_app *app, struct atl_buf *out)
{
	struct atl_jobs *jobs = app->jobs;
	uint64_t submitted, requeued, ended[ATL_JOB_STATE_COUNT];
	int64_t waiting;
	size_t running;

	if (!jobs)
		return;
	pthread_mutex_lock(&jobs->lock);
	submitted = jobs->submitted;
	requeued = jobs->requeued;
	memcpy(ended, jobs->ended, sizeof(ended));
	waiting = atl_waiting_count(jobs->waiting, NULL);
	running = jobs->running_count;
	pthread_mutex_unlock(&jobs->lock);
	atl_buf_addf(out,
		     "# TYPE atelier_jobs_submitted counter\n# HELP atelier_jobs_submitted Jobs accepted.\n"
		     "atelier_jobs_submitted_total %llu\n"
		     "# TYPE atelier_jobs_requeued counter\n# HELP atelier_jobs_requeued Jobs that went back to the queue.\n"
		     "atelier_jobs_requeued_total %llu\n"
		     "# TYPE atelier_jobs_waiting gauge\n# HELP atelier_jobs_waiting Jobs in the queue.\n"
		     "atelier_jobs_waiting %lld\n"
		     "# TYPE atelier_jobs_running gauge\n# HELP atelier_jobs_running Jobs that run here.\n"
		     "atelier_jobs_running %zu\n"
		     "# TYPE atelier_jobs_ended counter\n# HELP atelier_jobs_ended Jobs by how they ended.\n",
		     (unsigned long long)submitted, (unsigned long long)requeued, (long long)waiting, running);
	for (int state = ATL_JOB_DONE; state < ATL_JOB_STATE_COUNT; state++)
		atl_buf_addf(out, "atelier_jobs_ended_total{state=\"%s\"} %llu\n",
			     atl_job_state_name((enum atl_job_state)state), (unsigned long long)ended[state]);
}

/* ---- runners ---- */

/* With the lock. */
static void learn(struct atl_running *running, double took)
{
	struct atl_job_slot *slot = running->slot;

	slot->over_at_ms = atl_monotonic_ms();
	slot->mean_ms = slot->runs++ ? slot->mean_ms + MEAN_WEIGHT * (took - slot->mean_ms) : took;
}

void atl_jobs_free_place(struct atl_running *running)
{
	uint64_t took = atl_monotonic_ms() - running->taken_at_ms;

	learn(running, (double)took);
	running->placed = false;
	running->slot->running--;
	running->jobs->ending_count++;
	atl_jobs_wake(running->jobs);
}

/* With the lock. */
static void let_go(struct atl_running *running)
{
	struct atl_jobs *jobs = running->jobs;

	atl_list_remove(&running->link);
	if (running->placed)
		running->slot->running--;
	else
		jobs->ending_count--;
	jobs->running_count--;
	atl_jobs_wake(jobs);
	pthread_cond_broadcast(&jobs->idle);
}

static void *runner_main(void *arg)
{
	struct atl_jobs *jobs = arg;

	pthread_mutex_lock(&jobs->lock);
	for (;;) {
		struct atl_running *running;

		while (atl_list_empty(&jobs->ready) && !jobs->closing)
			pthread_cond_wait(&jobs->filled, &jobs->lock);
		if (atl_list_empty(&jobs->ready))
			break;
		running = ATL_LIST_ITEM(jobs->ready.next, struct atl_running, link);
		atl_list_remove(&running->link);
		atl_list_append(&jobs->running, &running->link);
		pthread_mutex_unlock(&jobs->lock);
		running->taken_at_ms = atl_monotonic_ms();
		if (atl_running_run(running)) { /* the ender has it */
			pthread_mutex_lock(&jobs->lock);
			continue;
		}
		pthread_mutex_lock(&jobs->lock);
		let_go(running);
		pthread_mutex_unlock(&jobs->lock);
		atl_running_destroy(running);
		pthread_mutex_lock(&jobs->lock);
	}
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

/* Tells of what is durable, in the order it became so. */
static void *ender_main(void *arg)
{
	struct atl_jobs *jobs = arg;

	pthread_mutex_lock(&jobs->lock);
	for (;;) {
		struct atl_running *running;

		while (atl_list_empty(&jobs->written) && !jobs->no_more_ends)
			pthread_cond_wait(&jobs->ends, &jobs->lock);
		if (atl_list_empty(&jobs->written))
			break;
		running = ATL_LIST_ITEM(jobs->written.next, struct atl_running, end_link);
		atl_list_remove(&running->end_link);
		pthread_mutex_unlock(&jobs->lock);
		atl_running_ended(running);
		pthread_mutex_lock(&jobs->lock);
		let_go(running);
		pthread_mutex_unlock(&jobs->lock);
		atl_running_destroy(running);
		pthread_mutex_lock(&jobs->lock);
	}
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

/* ---- life ---- */

enum atl_err atl_jobs_create(struct atl_app *app, const struct atl_job_kind *const *kinds, struct atl_jobs **ret,
			     struct atl_errinfo *info)
{
	struct atl_jobs *jobs = calloc(1, sizeof(*jobs));
	pthread_condattr_t attr;
	int64_t wanted = app->runner_threads > 0 ? app->runner_threads : 8;

	if (!jobs || atl_waiting_create(&jobs->waiting) != ATL_OK) {
		free(jobs);
		return atl_fail(info, ATL_ERR_NOMEM, "start the queue");
	}
	jobs->app = app;
	jobs->kinds = kinds;
	jobs->runner_count = (size_t)(wanted > ATL_JOB_RUNNERS_MAX ? ATL_JOB_RUNNERS_MAX : wanted);
	jobs->shared = atl_str_eq(atl_db_kind(app->db), "postgres");
	jobs->node_fd = -1;
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&jobs->wanted, &attr);
	pthread_cond_init(&jobs->filled, &attr);
	pthread_cond_init(&jobs->idle, &attr);
	pthread_cond_init(&jobs->ends, &attr);
	pthread_condattr_destroy(&attr);
	atl_map_init(&jobs->slots);
	atl_list_init(&jobs->slot_list);
	atl_list_init(&jobs->ready);
	atl_list_init(&jobs->running);
	atl_list_init(&jobs->waiters);
	atl_list_init(&jobs->written);
	*ret = jobs;
	return ATL_OK;
}

enum atl_err atl_jobs_start(struct atl_jobs *jobs, struct atl_errinfo *info)
{
	enum atl_err err = atl_jobs_node_open(jobs, info);

	if (!err) /* SQLite belongs to one server: whoever held a lease is dead */
		err = atl_jobs_recover(jobs, jobs->shared ? ATL_RECOVER_NODE : ATL_RECOVER_ALL, info);

	if (!err)
		err = atl_jobs_load(jobs, info);
	if (err)
		return err;
	while (jobs->runners_up < jobs->runner_count &&
	       pthread_create(&jobs->runners[jobs->runners_up], NULL, runner_main, jobs) == 0)
		jobs->runners_up++;
	jobs->ender_up = pthread_create(&jobs->ender, NULL, ender_main, jobs) == 0;
	jobs->dispatcher_up = jobs->ender_up && pthread_create(&jobs->dispatcher, NULL, atl_jobs_dispatch, jobs) == 0;
	if (!jobs->dispatcher_up || jobs->runners_up == 0)
		return atl_fail(info, ATL_ERR_NOMEM, "start the threads of the queue");
	return atl_jobs_listen(jobs, info);
}

void atl_jobs_drain(struct atl_jobs *jobs, unsigned timeout_ms)
{
	struct timespec deadline;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += timeout_ms / 1000;
	deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&jobs->lock);
	jobs->draining = true;
	for (;;) {
		struct atl_list *lists[] = { &jobs->ready, &jobs->running };

		for (size_t i = 0; i < ATL_COUNT(lists); i++)
			for (struct atl_list *at = lists[i]->next; at != lists[i]; at = at->next) {
				struct atl_running *running = ATL_LIST_ITEM(at, struct atl_running, link);

				running->give_back = true;
				atomic_store(&running->cancelled, true);
			}
		if (!jobs->running_count || pthread_cond_timedwait(&jobs->idle, &jobs->lock, &deadline) == ETIMEDOUT)
			break;
	}
	if (jobs->running_count)
		atl_warn(MODULE, "%zu jobs did not stop in time", jobs->running_count);
	pthread_mutex_unlock(&jobs->lock);
}

static void free_slot(const char *key, void *value, void *arg)
{
	free(value);
}

void atl_jobs_destroy(struct atl_jobs *jobs)
{
	if (!jobs)
		return;
	atl_db_listen_end(jobs->listener);
	pthread_mutex_lock(&jobs->lock);
	jobs->stopping = jobs->draining = true;
	pthread_cond_broadcast(&jobs->wanted);
	pthread_mutex_unlock(&jobs->lock);
	if (jobs->dispatcher_up)
		pthread_join(jobs->dispatcher, NULL);
	pthread_mutex_lock(&jobs->lock); /* the runners give back what the dispatcher handed over last */
	jobs->closing = true;
	pthread_cond_broadcast(&jobs->filled);
	pthread_mutex_unlock(&jobs->lock);
	for (size_t i = 0; i < jobs->runners_up; i++)
		pthread_join(jobs->runners[i], NULL);
	pthread_mutex_lock(&jobs->lock); /* the ends that are on their way come first */
	while (jobs->ender_up && jobs->ending_count)
		pthread_cond_wait(&jobs->idle, &jobs->lock);
	jobs->no_more_ends = true;
	pthread_cond_signal(&jobs->ends);
	pthread_mutex_unlock(&jobs->lock);
	if (jobs->ender_up)
		pthread_join(jobs->ender, NULL);
	atl_jobs_node_close(jobs);
	atl_waiting_destroy(jobs->waiting);
	atl_map_each(&jobs->slots, free_slot, NULL);
	atl_map_finish(&jobs->slots);
	pthread_cond_destroy(&jobs->wanted);
	pthread_cond_destroy(&jobs->filled);
	pthread_cond_destroy(&jobs->idle);
	pthread_cond_destroy(&jobs->ends);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}
