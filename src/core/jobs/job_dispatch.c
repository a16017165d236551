/* job_dispatch.c - the dispatcher's thread, the only one that leases.
 *
 * It takes as many jobs from the waiting ones as runners are free, leases them in one transaction and hands them over.
 * Between that it renews leases, takes over what ran out, and on a shared database looks at what others have queued and
 * tells them of what was queued here. It sleeps on a condition; what changes the queue wakes it.
 */
#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/jobs/job_int.h"

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
		pthread_cond_broadcast(&jobs->idle); /* who drains may wait for nothing but this */
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

void *atl_jobs_dispatch(void *arg)
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
