/* job_queue.c - the dispatcher, the runners and the ender.
 *
 * The dispatcher's thread is the only one that leases: it takes as many jobs from the waiting ones as runners are free,
 * leases them in one transaction and hands them over. Between that it renews leases, takes over what ran out, and on a
 * shared database looks at what others have queued and tells them of what was queued here. It sleeps on a condition; what changes the queue wakes it.
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
#include "core/events.h"
#include "core/job_int.h"
#include "core/publish.h"

#define MODULE "jobs"
#define BATCH_MAX 64
#define AHEAD_MAX 64 /* short jobs leased for runners that will be free in a moment */
#define SHORT_MS 20
#define FLOW_MS 100
#define LOOK_GAP_MS 50 /* at least, between two looks at what others changed */
#define TELL_GAP_MS 20
#define TELL_BUSY_MS 200 /* while what is queued here is taken here */
#define LIMITS_LOOK_MS 1000
#define RETRY_MS 500 /* after the database refused */
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

/* ---- dispatcher ---- */

static bool has_room(void *arg, const char *kind, const char *provider_id)
{
	const struct atl_jobs *jobs = arg;
	const struct atl_job_slot *slot = atl_jobs_slot(arg, kind, provider_id);
	size_t held = jobs->running_count - jobs->ending_count, room = jobs->runners_up;

	if (!slot || slot->running >= slot->limit)
		return false;
	/* a lease costs a commit: while short jobs go through, the next ones wait ready for a runner */
	if (slot->runs && slot->mean_ms < SHORT_MS && atl_monotonic_ms() - slot->over_at_ms < FLOW_MS)
		room += AHEAD_MAX;
	return held < room;
}

static void fail_hopeless(struct atl_jobs *jobs, const struct atl_lease_item *item)
{
	struct atl_errinfo info = { 0 };
	struct atl_job_end end = { .arena = &item->running->arena, .id = item->taken.id, .only_state = "queued",
				   .event = ATL_JOB_FAIL, .error_slug = "dependency_failed", .error_detail = item->why,
				   .cost_micro_usd = -1 };
	enum atl_err err = atl_db_tx(jobs->app->db, atl_job_end_fn, &end, &info);

	if (!err)
		atl_job_end_tell(jobs, &end);
	else if (err != ATL_ERR_CONFLICT)
		atl_warn(MODULE, "%s: %s %s", item->taken.id, atl_err_name(err), info.detail);
}

/* With the lock; comes back with it. True: the database refused, wait a little. */
static bool lease_batch(struct atl_jobs *jobs, struct atl_lease_item *items, size_t count)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = ATL_OK;

	pthread_mutex_unlock(&jobs->lock);
	for (size_t i = 0; !err && i < count; i++) {
		items[i].running = atl_running_create(jobs);
		if (!items[i].running)
			err = ATL_ERR_NOMEM;
	}
	if (!err)
		err = atl_jobs_lease(jobs, items, count, &info);
	if (err)
		atl_warn(MODULE, "lease: %s %s", atl_err_name(err), info.detail);
	for (size_t i = 0; !err && i < count; i++)
		if (items[i].outcome == ATL_LEASE_HOPELESS)
			fail_hopeless(jobs, &items[i]);
		else if (items[i].outcome == ATL_LEASE_LATER)
			atl_jobs_put(jobs, &items[i].running->job, items[i].place);
	pthread_mutex_lock(&jobs->lock);
	for (size_t i = 0; i < count; i++) {
		struct atl_running *running = items[i].running;

		if (!err && items[i].outcome == ATL_LEASE_HELD) {
			running->kind = atl_jobs_kind(jobs, items[i].taken.kind);
			running->slot = atl_jobs_slot(jobs, items[i].taken.kind, items[i].taken.provider_id);
			running->placed = true;
			running->number = ++jobs->leases;
			if (jobs->draining) {
				running->give_back = true;
				atomic_store(&running->cancelled, true);
			}
			atl_list_append(&jobs->ready, &running->link);
			pthread_cond_signal(&jobs->filled);
			continue;
		}
		atl_jobs_slot(jobs, items[i].taken.kind, items[i].taken.provider_id)->running--;
		jobs->running_count--;
		if (running)
			atl_running_destroy(running);
	}
	if (err)
		jobs->reload = true; /* what was taken out comes back from the rows */
	return err != ATL_OK;
}

/* With the lock. */
static size_t take_batch(struct atl_jobs *jobs, struct atl_lease_item *items)
{
	size_t count = 0;

	while (count < BATCH_MAX && !jobs->draining &&
	       atl_waiting_take(jobs->waiting, atl_now_ms(), has_room, jobs, &items[count].taken)) {
		items[count].running = NULL;
		atl_jobs_slot(jobs, items[count].taken.kind, items[count].taken.provider_id)->running++;
		jobs->running_count++;
		count++;
	}
	return count;
}

/* The operator may change how many run at a time. Without the lock. */
static void look_at_limits(struct atl_jobs *jobs)
{
	struct atl_list *at;

	pthread_mutex_lock(&jobs->lock);
	for (at = jobs->slot_list.next; at != &jobs->slot_list; at = at->next) { /* slots are only ever added, at the end */
		struct atl_job_slot *slot = ATL_LIST_ITEM(at, struct atl_job_slot, link);
		int64_t limit;

		pthread_mutex_unlock(&jobs->lock);
		limit = slot->kind->concurrency(jobs->app, slot->provider_id);
		pthread_mutex_lock(&jobs->lock);
		if (limit > slot->limit)
			jobs->wake = true;
		slot->limit = limit < 1 ? 1 : limit;
	}
	pthread_mutex_unlock(&jobs->lock);
}

struct due {
	int64_t renew, recover, shared, limits, again;
	int64_t look, tell; /* not before */
};

static void said(const char *what, enum atl_err err, const struct atl_errinfo *info)
{
	if (err)
		atl_warn(MODULE, "%s: %s %s", what, atl_err_name(err), info->detail);
}

/* Without the lock. */
static void periodic(struct atl_jobs *jobs, struct due *due, int64_t now, bool reload)
{
	struct atl_errinfo info = { 0 };

	if (now >= due->renew) {
		said("renew leases", atl_jobs_renew(jobs, &info), &info);
		due->renew = now + ATL_JOB_LEASE_MS / 3;
	}
	if (now >= due->recover) {
		said("take over jobs", atl_jobs_recover(jobs, ATL_RECOVER_EXPIRED, &info), &info);
		due->recover = now + ATL_JOB_LEASE_MS / 3;
	}
	if (now >= due->limits) {
		look_at_limits(jobs);
		due->limits = now + LIMITS_LOOK_MS;
	}
	if (reload || (jobs->shared && now >= due->shared)) {
		said("read the queue", atl_jobs_load(jobs, &info), &info);
		if (jobs->shared)
			said("look at what runs", atl_jobs_check_held(jobs, &info), &info);
		due->shared = now + atl_job_look_ms;
		/* a long queue is not read all the time, however often the others say that it changed */
		due->look = (int64_t)atl_monotonic_ms();
		due->look += due->look - now > LOOK_GAP_MS / 2 ? 2 * (due->look - now) : LOOK_GAP_MS;
	}
}

/* With the lock; comes back with it. */
static void tell_others(struct atl_jobs *jobs, struct due *due, int64_t now)
{
	struct atl_errinfo info = { 0 };

	jobs->tell = false;
	pthread_mutex_unlock(&jobs->lock);
	said("tell other servers", atl_jobs_tell_now(jobs, &info), &info);
	due->tell = now + TELL_GAP_MS;
	pthread_mutex_lock(&jobs->lock);
}

static int64_t sooner(int64_t a, int64_t b)
{
	return b && b < a ? b : a;
}

/* Until something changes or something is due; with the lock. `now`: monotonic. */
static void sleep_until_due(struct atl_jobs *jobs, const struct due *due, int64_t now)
{
	int64_t next = atl_waiting_next_ms(jobs->waiting), until = sooner(due->renew, due->recover), wait_ms;
	struct timespec deadline;

	if (atl_waiting_count(jobs->waiting, NULL))
		until = sooner(until, due->limits);
	if (jobs->shared)
		until = sooner(until, due->shared);
	until = sooner(until, due->again);
	if (jobs->look)
		until = sooner(until, due->look);
	if (jobs->tell)
		until = sooner(until, due->tell);
	if (next)
		until = sooner(until, now + (next > atl_now_ms() ? next - atl_now_ms() : 1));
	wait_ms = until > now ? until - now : 0;
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += wait_ms / 1000;
	deadline.tv_nsec += wait_ms % 1000 * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000;
	}
	while (!jobs->wake && !jobs->stopping)
		if (pthread_cond_timedwait(&jobs->wanted, &jobs->lock, &deadline) == ETIMEDOUT)
			break;
}

static void *dispatcher_main(void *arg)
{
	struct atl_jobs *jobs = arg;
	struct atl_lease_item items[BATCH_MAX];
	struct due due = { .renew = (int64_t)atl_monotonic_ms() + ATL_JOB_LEASE_MS / 3 };

	due.recover = due.renew;
	pthread_mutex_lock(&jobs->lock);
	while (!jobs->stopping) {
		int64_t now = (int64_t)atl_monotonic_ms();
		bool reload = jobs->reload && now >= due.again;
		size_t count;

		jobs->wake = false;
		if (jobs->look && now >= due.look) {
			jobs->look = false;
			due.shared = now;
		}
		if (reload || now >= due.renew || now >= due.recover || now >= due.limits || (jobs->shared && now >= due.shared)) {
			jobs->reload = jobs->reload && !reload;
			pthread_mutex_unlock(&jobs->lock);
			periodic(jobs, &due, now, reload);
			pthread_mutex_lock(&jobs->lock);
		}
		count = now >= due.again ? take_batch(jobs, items) : 0;
		if (now >= due.again)
			due.again = 0;
		if (count && lease_batch(jobs, items, count))
			due.again = now + RETRY_MS;
		if (jobs->tell && now >= due.tell + (count ? TELL_BUSY_MS : 0))
			tell_others(jobs, &due, now);
		if (!count && !jobs->wake)
			sleep_until_due(jobs, &due, now);
	}
	if (jobs->tell) /* of what was given back */
		tell_others(jobs, &due, 0);
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
	jobs->dispatcher_up = jobs->ender_up && pthread_create(&jobs->dispatcher, NULL, dispatcher_main, jobs) == 0;
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
