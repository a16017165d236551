/* Guessing gets slow, and only for who guesses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "core/access/throttle.h"

static struct atl_throttle *throttle;

static enum atl_err try(const char *remote, const char *name, const char *device)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_throttle_try(throttle, remote, name, device, &info);

	if (err == ATL_ERR_THROTTLED)
		assert_true(info.retry_after_s > 0);
	return err;
}

static void exhaust(const char *remote, const char *name, const char *device)
{
	for (int i = 0; i < ATL_THROTTLE_FREE; i++)
		assert_int_equal(try(remote, name, device), ATL_OK);
	assert_int_equal(try(remote, name, device), ATL_ERR_THROTTLED);
}

static void test_free_tries(void **state)
{
	exhaust("203.0.113.1", "olga", NULL);
	assert_int_equal(try("203.0.113.2", "olga", NULL), ATL_OK); /* another address */
	assert_int_equal(try("203.0.113.1", "someone", NULL), ATL_ERR_THROTTLED); /* another name from the same one */
}

static void test_success_forgets(void **state)
{
	for (int i = 0; i < ATL_THROTTLE_FREE - 1; i++)
		assert_int_equal(try("203.0.113.1", "olga", NULL), ATL_OK);
	atl_throttle_success(throttle, "203.0.113.1", "olga", NULL);
	exhaust("203.0.113.1", "olga", NULL);
}

static void test_devices_count_for_themselves(void **state)
{
	exhaust("203.0.113.1", "olga", NULL);
	exhaust("203.0.113.1", "olga", "device-a");
	assert_int_equal(try("203.0.113.1", "olga", "device-b"), ATL_OK);
}

static void test_ipv6_networks(void **state)
{
	exhaust("2001:db8:1:2::1", "olga", NULL);
	assert_int_equal(try("2001:db8:1:2:ffff:1:2:3", "olga", NULL), ATL_ERR_THROTTLED);
	assert_int_equal(try("2001:db8:1:3:ffff:1:2:3", "olga", NULL), ATL_OK);
}

static int64_t later_ms;
static int64_t clock_now(void)
{
	return 1700000000000 + later_ms;
}

/* Many addresses guess one name: strangers share few tries, the name's own address and devices are as before. */
static void test_spread_guessing(void **state)
{
	char remote[32];

	later_ms = 0;
	atl_clock_set(clock_now);
	assert_int_equal(try("198.51.100.7", "Olga", NULL), ATL_OK);
	atl_throttle_success(throttle, "198.51.100.7", "Olga", NULL);
	for (int i = 0; i < 4 * ATL_THROTTLE_FREE + 1; i++) {
		snprintf(remote, sizeof(remote), "203.0.113.%d", i + 1);
		assert_int_equal(try(remote, "olga", NULL), ATL_OK);
	}
	assert_int_equal(try("203.0.113.200", "olga", NULL), ATL_OK);
	assert_int_equal(try("203.0.113.200", "olga", NULL), ATL_ERR_THROTTLED);
	assert_int_equal(try("203.0.113.201", "olga", NULL), ATL_ERR_THROTTLED); /* the strangers' try of these seconds is used */
	assert_int_equal(try("203.0.113.201", "olga", "device-a"), ATL_OK);
	assert_int_equal(try("203.0.113.201", "igor", NULL), ATL_OK); /* its address did not wait */
	later_ms = ATL_THROTTLE_STRANGERS_MS;
	assert_int_equal(try("203.0.113.202", "olga", NULL), ATL_OK);
	assert_int_equal(try("203.0.113.203", "olga", NULL), ATL_ERR_THROTTLED);
	for (int i = 0; i < ATL_THROTTLE_FREE; i++)
		assert_int_equal(try("198.51.100.7", "olga", NULL), ATL_OK);
}

/* More callers than it remembers: it forgets, it does not fail or use what it forgot. */
static void test_many_callers(void **state)
{
	char remote[40], name[40];

	for (int i = 0; i < ATL_THROTTLE_ENTRIES_MAX + 1000; i++) {
		snprintf(remote, sizeof(remote), "10.%d.%d.%d", i >> 16 & 255, i >> 8 & 255, i & 255);
		snprintf(name, sizeof(name), "name%d", i);
		assert_int_equal(try(remote, name, NULL), ATL_OK);
		if (i % 3 == 0)
			atl_throttle_success(throttle, remote, name, NULL);
	}
	exhaust("203.0.113.9", "olga", NULL);
}

static int setup(void **state)
{
	return atl_throttle_create(&throttle) == ATL_OK ? 0 : -1;
}

static int teardown(void **state)
{
	atl_clock_set(NULL);
	atl_throttle_destroy(throttle);
	return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_free_tries),	  TEST(test_success_forgets), TEST(test_devices_count_for_themselves),
		TEST(test_ipv6_networks), TEST(test_spread_guessing), TEST(test_many_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
