/* The event hub: numbers without gaps, coming back to where one was, reset when that is gone, ends. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/server/events.h"

#define RING 4

static struct atl_loop *loop;
static struct atl_events *events;

static struct atl_bytes *encode(uint64_t id, const char *event, const char *data, size_t length)
{
	char text[600];
	int size = snprintf(text, sizeof(text), "%llu %s %.*s\n", (unsigned long long)id, event, (int)length, data);

	return atl_bytes_create(text, (size_t)size);
}

struct listener {
	const char *user, *session;
	uint64_t last;
	struct atl_event_sub *sub;
	enum atl_err err;
	char heard[4096];
	int ends;
};

static void on_frame(void *arg, struct atl_bytes *frame)
{
	struct listener *l = arg;
	size_t at = strlen(l->heard);

	snprintf(l->heard + at, sizeof(l->heard) - at, "%.*s", (int)frame->length, (const char *)frame->data);
}

static void on_end(void *arg)
{
	((struct listener *)arg)->ends++;
}

static const struct atl_event_sub_ops ops = { on_frame, on_end };

/* ---- on the loop, and waited for: after sync() everything posted before has run ---- */

struct turn {
	void (*fn)(struct listener *l);
	struct listener *listener;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool ended;
};

static void take_turn(void *arg)
{
	struct turn *turn = arg;

	turn->fn(turn->listener);
	pthread_mutex_lock(&turn->lock);
	turn->ended = true;
	pthread_cond_signal(&turn->done);
	pthread_mutex_unlock(&turn->lock);
}

static void on_loop(void (*fn)(struct listener *l), struct listener *listener)
{
	struct turn turn = { .fn = fn, .listener = listener, .lock = PTHREAD_MUTEX_INITIALIZER,
			     .done = PTHREAD_COND_INITIALIZER };

	assert_true(atl_loop_post(loop, take_turn, &turn));
	pthread_mutex_lock(&turn.lock);
	while (!turn.ended)
		pthread_cond_wait(&turn.done, &turn.lock);
	pthread_mutex_unlock(&turn.lock);
}

static void nothing(struct listener *l)
{
}

static void sync(void)
{
	on_loop(nothing, NULL);
	on_loop(nothing, NULL);
}

static void subscribe_now(struct listener *l)
{
	l->err = atl_events_subscribe(events, loop, l->user, l->session ? l->session : "", ATL_EVENTS_SSE, l->last, &ops, l,
				      &l->sub, NULL);
}

static void unsubscribe_now(struct listener *l)
{
	atl_events_unsubscribe(l->sub);
}

static void subscribe(struct listener *l)
{
	on_loop(subscribe_now, l);
	assert_int_equal(l->err, ATL_OK);
}

static void publish(const char *user, const char *event)
{
	atl_events_publish(events, user, event, "{}", 2);
}

/* The number in front of the n-th line with this event. */
static uint64_t number(const struct listener *l, const char *event, int n)
{
	for (const char *line = l->heard; *line; line += strcspn(line, "\n") + 1) {
		char name[64];
		unsigned long long id;

		if (sscanf(line, "%llu %63s", &id, name) == 2 && strcmp(name, event) == 0 && n-- == 0)
			return id;
	}
	fail_msg("no %s in\n%s", event, l->heard);
	return 0;
}

static int lines(const struct listener *l)
{
	int count = 0;

	for (const char *p = l->heard; *p; p++)
		count += *p == '\n';
	return count;
}

/* ---- the tests ---- */

static void test_numbers(void **state)
{
	struct listener a = { .user = "u1" }, b = { .user = "u1" }, other = { .user = "u2" };
	uint64_t first;

	subscribe(&a);
	subscribe(&b);
	subscribe(&other);
	for (int i = 0; i < 3; i++)
		publish("u1", "x");
	publish("u2", "y");
	sync();
	first = number(&a, "x", 0);
	assert_true(first > 0);
	assert_int_equal(number(&a, "x", 1), first + 1);
	assert_int_equal(number(&a, "x", 2), first + 2);
	assert_int_equal(number(&b, "x", 2), first + 2);
	assert_int_equal(lines(&a), 4); /* with hello */
	assert_int_equal(lines(&other), 2);
	assert_null(strstr(other.heard, " x "));
	on_loop(unsubscribe_now, &a);
	publish("u1", "x");
	sync();
	assert_int_equal(lines(&a), 4);
	assert_int_equal(lines(&b), 5);
	on_loop(unsubscribe_now, &b);
	on_loop(unsubscribe_now, &other);
}

static void test_resume(void **state)
{
	static const char *const names[] = { "e0", "e1", "e2", "e3" };
	struct listener a = { .user = "u1" }, b = { .user = "u1" };

	subscribe(&a);
	for (int i = 0; i < 4; i++)
		publish("u1", names[i]);
	sync();
	on_loop(unsubscribe_now, &a);
	b.last = number(&a, "e1", 0);
	subscribe(&b);
	assert_int_equal(lines(&b), 3); /* hello, e2, e3: before subscribe returned */
	assert_int_equal(number(&b, "e2", 0), b.last + 1);
	assert_int_equal(number(&b, "e3", 0), b.last + 2);
	publish("u1", "live");
	sync();
	assert_int_equal(number(&b, "live", 0), b.last + 3);
	on_loop(unsubscribe_now, &b);
}

/* Read first, listen then: what happens in between is not missed, also by somebody who has never listened. */
static void test_mark(void **state)
{
	struct listener a = { .user = "u1" };

	assert_false(atl_events_wanted(events, "u1"));
	a.last = atl_events_mark(events, "u1");
	assert_true(a.last > 0);
	assert_true(atl_events_wanted(events, "u1"));
	assert_int_equal(atl_events_mark(events, "u1"), a.last);
	publish("u1", "between");
	assert_int_equal(atl_events_mark(events, "u1"), a.last + 1);
	subscribe(&a);
	assert_int_equal(lines(&a), 2); /* hello, between */
	assert_int_equal(number(&a, "between", 0), a.last + 1);
	on_loop(unsubscribe_now, &a);
}

static void test_reset(void **state)
{
	struct listener a = { .user = "u1" }, late = { .user = "u1" }, old = { .user = "u1", .last = 5 },
			future = { .user = "u1" }, edge = { .user = "u1" };

	subscribe(&a);
	for (int i = 0; i < RING + 3; i++)
		publish("u1", "x");
	sync();
	late.last = number(&a, "x", 0);
	subscribe(&late);
	assert_int_equal(lines(&late), 2);
	number(&late, "reset", 0);
	subscribe(&old); /* of an earlier run of the server */
	number(&old, "reset", 0);
	future.last = number(&a, "x", RING + 2) + 1000;
	subscribe(&future);
	number(&future, "reset", 0);
	edge.last = number(&a, "x", 2); /* all after it are in the ring still */
	subscribe(&edge);
	assert_int_equal(lines(&edge), 1 + RING);
	assert_null(strstr(edge.heard, "reset"));
	on_loop(unsubscribe_now, &a);
	on_loop(unsubscribe_now, &late);
	on_loop(unsubscribe_now, &old);
	on_loop(unsubscribe_now, &future);
	on_loop(unsubscribe_now, &edge);
}

static void test_revoked_session_ends(void **state)
{
	struct listener one = { .user = "u1", .session = "ses_1" }, two = { .user = "u1", .session = "ses_2" };

	subscribe(&one);
	subscribe(&two);
	atl_events_end_session(events, "u1", "ses_1");
	sync();
	assert_int_equal(one.ends, 1);
	number(&one, "session.revoked", 0);
	assert_int_equal(two.ends, 0);
	assert_null(strstr(two.heard, "session.revoked"));
	on_loop(unsubscribe_now, &one);
	on_loop(unsubscribe_now, &two);
}

static void test_to_everybody(void **state)
{
	struct listener one = { .user = "u1" }, two = { .user = "u2" };

	subscribe(&one);
	subscribe(&two);
	atl_events_publish_all(events, "all", "{}", 2);
	sync();
	number(&one, "all", 0);
	number(&two, "all", 0);
	on_loop(unsubscribe_now, &one);
	on_loop(unsubscribe_now, &two);
}

static void test_close(void **state)
{
	struct listener one = { .user = "u1" }, late = { .user = "u1" };

	subscribe(&one);
	atl_events_close(events);
	sync();
	assert_int_equal(one.ends, 1);
	on_loop(unsubscribe_now, &one);
	on_loop(subscribe_now, &late);
	assert_int_equal(late.err, ATL_ERR_SHUTDOWN);
}

static int setup(void **state)
{
	struct atl_events_options options = { .encode = { encode, encode }, .ring_count = RING, .loops = &loop, .loop_count = 1 };

	return atl_loop_create("test", &loop, NULL) || atl_events_create(&options, &events, NULL);
}

static int teardown(void **state)
{
	atl_events_close(events);
	atl_loop_stop(loop);
	atl_loop_destroy(loop);
	atl_events_destroy(events);
	return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_numbers), TEST(test_resume), TEST(test_mark), TEST(test_reset), TEST(test_revoked_session_ends),
		TEST(test_to_everybody), TEST(test_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
