/* Loops and pools: order of posting, timers, descriptor readiness, slots, refusal at the end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "os/loop.h"
#include "os/pool.h"

#define THREADS 8
#define POSTS 5000

struct poster {
	struct atl_loop *loop;
	pthread_t thread;
	int next, wrong; /* loop thread only */
	struct note {
		struct poster *of;
		int number;
	} notes[POSTS];
};
static struct poster posters[THREADS];

static void take_note(void *arg)
{
	struct note *note = arg;
	note->of->wrong += note->number != note->of->next++ || !atl_loop_is_current(note->of->loop);
}

static void *post_all(void *arg)
{
	struct poster *poster = arg;
	for (int i = 0; i < POSTS; i++) {
		poster->notes[i] = (struct note){poster, i};
		if (!atl_loop_post(poster->loop, take_note, &poster->notes[i]))
			break;
	}
	return NULL;
}

/* Every post runs once and each thread's in order; destroy runs what is queued. */
static void test_posting_from_threads(void **state)
{
	struct atl_loop *loop;
	assert_int_equal(atl_loop_create("posts", &loop, NULL), ATL_OK);
	for (int i = 0; i < THREADS; i++) {
		posters[i].loop = loop;
		assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(posters[i].thread, NULL);
	assert_false(atl_loop_is_current(loop));
	atl_loop_destroy(loop);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(posters[i].next, POSTS);
		assert_int_equal(posters[i].wrong, 0);
	}
}

struct watch {
	struct atl_loop *loop;
	struct atl_timer *timer, *never;
	struct atl_poll *poll;
	int fds[2], over[2], ticks, reads, slot_ended;
	uint64_t started_ms, first_ms;
};

static void on_never(void *arg)
{
	((struct watch *)arg)->ticks = -1000;
}

static void on_readable(void *arg, int events, bool failed)
{
	struct watch *w = arg;
	char c;
	if (events & ATL_POLL_READ && !failed && read(w->fds[0], &c, 1) == 1)
		w->reads++;
	atl_poll_destroy(w->poll);
	atl_timer_destroy(w->timer);
	close(w->over[1]);
}

static void on_tick(void *arg)
{
	struct watch *w = arg;
	if (w->ticks++ == 0)
		w->first_ms = atl_loop_now_ms(w->loop);
	if (w->ticks == 3) {
		atl_timer_stop(w->timer);
		if (write(w->fds[1], "x", 1) != 1)
			w->ticks = -1;
	}
}

static void on_slot_end(void *value)
{
	((struct watch *)value)->slot_ended++;
}

static void begin(void *arg)
{
	struct watch *w = arg;
	w->started_ms = atl_loop_now_ms(w->loop);
	atl_loop_slot_set(w->loop, ATL_LOOP_SLOT_FETCH, w, on_slot_end);
	if (atl_loop_slot_get(w->loop, ATL_LOOP_SLOT_FETCH) != w || atl_loop_slot_get(w->loop, ATL_LOOP_SLOT_SERVER) ||
	    atl_timer_create(w->loop, on_tick, w, &w->timer) || atl_timer_create(w->loop, on_never, w, &w->never) ||
	    atl_poll_create(w->loop, w->fds[0], on_readable, w, &w->poll)) {
		close(w->over[1]);
		return;
	}
	atl_timer_start(w->never, 1, 0);
	atl_timer_destroy(w->never);
	atl_timer_start(w->timer, 20, 5);
	atl_poll_set(w->poll, ATL_POLL_READ);
}

static void test_timers_polls_slots(void **state)
{
	struct watch w = {0};
	assert_int_equal(pipe(w.fds), 0);
	assert_int_equal(atl_loop_create("watch", &w.loop, NULL), ATL_OK);
	assert_int_equal(pipe(w.over), 0);
	assert_true(atl_loop_post(w.loop, begin, &w));
	char none;
	assert_int_equal(read(w.over[0], &none, 1), 0); /* until on_readable() closes the other end */
	close(w.over[0]);
	atl_loop_destroy(w.loop);
	assert_int_equal(w.ticks, 3);
	assert_true(w.first_ms >= w.started_ms + 20);
	assert_int_equal(w.reads, 1);
	assert_int_equal(w.slot_ended, 1);
	close(w.fds[0]);
	close(w.fds[1]);
}

static void count_up(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_pool_runs_all(void **state)
{
	struct atl_pool *pool;
	atomic_int done = 0;
	int accepted = 0;
	assert_int_equal(atl_pool_create(4, 100, &pool, NULL), ATL_OK);
	for (int i = 0; i < 20000; i++) {
		enum atl_err err = atl_pool_submit(pool, count_up, &done);
		assert_true(err == ATL_OK || err == ATL_ERR_UNAVAILABLE);
		accepted += err == ATL_OK;
	}
	atl_pool_destroy(pool);
	assert_true(accepted >= 100);
	assert_int_equal(atomic_load(&done), accepted);
	assert_int_equal(atl_pool_create(0, 1, &pool, NULL), ATL_ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_posting_from_threads),
		cmocka_unit_test(test_timers_polls_slots),
		cmocka_unit_test(test_pool_runs_all),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
