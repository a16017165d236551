/* What wakes a thread between its look and its wait is not missed; closing ends every wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "os/waker.h"

#define LONG_MS 60000 /* only a failing test waits so long */

static void test_not_missed(void **state)
{
	struct atl_waker waker;
	uint64_t seen, begin = atl_monotonic_ms();

	atl_waker_init(&waker);
	assert_true(atl_waker_look(&waker, &seen));
	atl_waker_wake(&waker);
	atl_waker_wait(&waker, seen, LONG_MS);
	assert_true(atl_waker_look(&waker, &seen));
	atl_waker_wait(&waker, seen, 1); /* nobody: its time is over */
	atl_waker_close(&waker);
	atl_waker_wait(&waker, seen, LONG_MS);
	assert_false(atl_waker_look(&waker, &seen));
	assert_true(atl_monotonic_ms() - begin < LONG_MS);
	atl_waker_finish(&waker);
}

static void *worker(void *arg)
{
	struct atl_waker *waker = arg;
	uint64_t seen;

	while (atl_waker_look(waker, &seen))
		atl_waker_wait(waker, seen, LONG_MS);
	return NULL;
}

static void test_threads_end(void **state)
{
	struct atl_waker waker;
	pthread_t threads[4];
	uint64_t begin = atl_monotonic_ms();

	atl_waker_init(&waker);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, worker, &waker), 0);
	for (int i = 0; i < 1000; i++)
		atl_waker_wake(&waker);
	atl_waker_close(&waker);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(atl_monotonic_ms() - begin < LONG_MS);
	atl_waker_finish(&waker);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_not_missed), cmocka_unit_test(test_threads_end) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
