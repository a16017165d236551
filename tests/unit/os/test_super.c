/* The supervisor and a child that lives but does not answer any more. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "os/child.h"

struct watched {
	const char *answers; /* one a probe: 'y', 'n'; the last one is repeated */
	size_t asked;	     /* loop thread */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	unsigned healthy, backoff;
	size_t asked_at_backoff;
	char why[200];
};

static enum atl_err prepare(void *arg, struct atl_child_spec *spec, struct atl_errinfo *info)
{
	static const char *const ARGV[] = {"/bin/sleep", "1000", NULL};
	*spec = (struct atl_child_spec){.path = ARGV[0], .argv = ARGV, .pass_fd = -1};
	return ATL_OK;
}

static void probe(void *arg, struct atl_super *super)
{
	struct watched *w = arg;
	size_t last = strlen(w->answers) - 1;
	char answer = w->answers[w->asked < last ? w->asked : last];
	w->asked++;
	atl_super_report(super, answer == 'y');
}

static void on_state(void *arg, enum atl_super_state state, const char *why)
{
	struct watched *w = arg;
	pthread_mutex_lock(&w->lock);
	w->healthy += state == ATL_SUPER_HEALTHY;
	if (state == ATL_SUPER_BACKOFF) {
		w->backoff++;
		w->asked_at_backoff = w->asked;
		strncpy(w->why, why, sizeof w->why - 1);
	}
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* Two misses are forgiven when the next answer comes; three in a row end it, and it is started again. */
static void test_silence(void **state)
{
	static const struct atl_super_ops OPS = {.prepare = prepare, .probe = probe, .on_state = on_state};
	const struct atl_super_options options = {.name = "sleeper", .start_timeout_ms = 60000, .health_interval_ms = 5,
						  .watch_interval_ms = 5, .stop_grace_ms = 5000};
	struct watched w = {.answers = "nynnynnny", .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	struct atl_loop *loop;
	struct atl_super *super;
	assert_int_equal(atl_loop_create("test", &loop, NULL), ATL_OK);
	assert_int_equal(atl_super_create(loop, &options, &OPS, &w, &super), ATL_OK);
	atl_super_start(super);
	pthread_mutex_lock(&w.lock);
	while (w.healthy < 2)
		pthread_cond_wait(&w.changed, &w.lock);
	assert_int_equal(w.backoff, 1);
	assert_true(w.asked_at_backoff >= 8);
	assert_string_equal(w.why, "sleeper did not answer any more");
	pthread_mutex_unlock(&w.lock);
	assert_int_equal(atl_super_restarts(super), 1);
	atl_super_destroy(super);
	atl_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_silence)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
