/* Token buckets: what they hold, that they refill, that they are apart, that memory is bounded, and settling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/str.h"
#include "core/access/rate.h"

static struct atl_rates *rates, *other;
static int64_t now_us; /* stands still, so that nothing comes back while a slow machine takes */

static bool take(struct atl_rates *of, enum atl_rate_class class, enum atl_rate_scope scope, const char *id)
{
	struct atl_rate rate;

	atl_rate_take(of, class, scope, id, now_us, &rate);
	if (rate.retry_after_s > 0)
		assert_int_equal(rate.remaining, 0);
	return rate.retry_after_s == 0;
}

static unsigned drain(struct atl_rates *of, enum atl_rate_class class, enum atl_rate_scope scope, const char *id)
{
	unsigned taken = 0;

	while (taken < 1000 && take(of, class, scope, id))
		taken++;
	return taken;
}

static int setup(void **state)
{
	const struct atl_rates_options options = { .per_minute = { [ATL_RATE_READ] = 10, [ATL_RATE_SIGN_IN] = 3,
								   [ATL_RATE_GENERATE] = 600 }, .shared = true };

	now_us = (int64_t)atl_monotonic_us();
	return atl_crypto_init() != ATL_OK || atl_rates_create(&options, &rates) != ATL_OK ||
	       atl_rates_create(&options, &other) != ATL_OK;
}

static int teardown(void **state)
{
	atl_rates_destroy(rates);
	atl_rates_destroy(other);
	return 0;
}

static void test_burst_and_refusal(void **state)
{
	struct atl_rate rate;

	for (int i = 9; i >= 0; i--) {
		atl_rate_take(rates, ATL_RATE_READ, ATL_RATE_USER, "usr_1", now_us, &rate);
		assert_int_equal(rate.limit, 10);
		assert_int_equal(rate.retry_after_s, 0);
		assert_int_equal(rate.remaining, i);
		assert_true(rate.reset_s > 0 && rate.reset_s <= 60);
	}
	atl_rate_take(rates, ATL_RATE_READ, ATL_RATE_USER, "usr_1", now_us, &rate);
	assert_in_range(rate.retry_after_s, 1, 6);
	assert_string_equal(rate.policy, "\"read-user\";q=10;w=60");
	assert_string_equal(rate.name, "\"read-user\"");
}

static void test_buckets_are_apart(void **state)
{
	assert_int_equal(drain(rates, ATL_RATE_READ, ATL_RATE_USER, "usr_1"), 10);
	assert_int_equal(drain(rates, ATL_RATE_READ, ATL_RATE_USER, "usr_2"), 10);
	assert_int_equal(drain(rates, ATL_RATE_READ, ATL_RATE_KEY, "usr_1"), 10);
	assert_int_equal(drain(rates, ATL_RATE_SIGN_IN, ATL_RATE_ADDRESS, "203.0.113.7"), 3);
	assert_int_equal(drain(rates, ATL_RATE_READ, ATL_RATE_SITE, "203.0.113.7"), 10 * ATL_RATE_ADDRESS_FACTOR);
}

static void test_networks(void **state)
{
	assert_int_equal(drain(rates, ATL_RATE_READ, ATL_RATE_ADDRESS, "2001:db8:1:2::1"), 10);
	assert_false(take(rates, ATL_RATE_READ, ATL_RATE_ADDRESS, "2001:db8:1:2:3:4:5:6"));
	assert_true(take(rates, ATL_RATE_READ, ATL_RATE_ADDRESS, "2001:db8:1:3::1"));
}

static void test_no_limit(void **state)
{
	struct atl_rate rate;

	atl_rate_take(rates, ATL_RATE_WRITE, ATL_RATE_USER, "usr_1", now_us, &rate);
	assert_int_equal(rate.limit, 0);
	assert_int_equal(drain(rates, ATL_RATE_WRITE, ATL_RATE_USER, "usr_1"), 1000);
}

/* Ten a second: a tenth of a second later there is room for one again, a second later for ten. */
static void test_refill(void **state)
{
	assert_int_equal(drain(rates, ATL_RATE_GENERATE, ATL_RATE_USER, "usr_1"), 600);
	now_us += 100000;
	assert_int_equal(drain(rates, ATL_RATE_GENERATE, ATL_RATE_USER, "usr_1"), 1);
	now_us += 1000000;
	assert_int_equal(drain(rates, ATL_RATE_GENERATE, ATL_RATE_USER, "usr_1"), 10);
}

/* More strangers than there are buckets: who was refused before still is. */
static void test_flood_keeps_the_guilty(void **state)
{
	char id[32];
	unsigned refused = 0;

	for (int i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "198.51.100.%d", i);
		drain(rates, ATL_RATE_SIGN_IN, ATL_RATE_ADDRESS, id);
	}
	for (int i = 0; i < 2 * ATL_RATE_BUCKETS; i++) {
		snprintf(id, sizeof(id), "stranger %d", i);
		take(rates, ATL_RATE_READ, ATL_RATE_ADDRESS, id);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "198.51.100.%d", i);
		refused += !take(rates, ATL_RATE_SIGN_IN, ATL_RATE_ADDRESS, id);
	}
	assert_int_equal(refused, 100);
}

/* What the Redis script does, in few lines. */
static void settle(struct atl_rates *of, int64_t *debt_us)
{
	struct atl_rate_debt debts[8];
	size_t count = atl_rates_collect(of, debts, 8);

	for (size_t i = 0; i < count; i++) {
		*debt_us += debts[i].taken_us;
		if (*debt_us > debts[i].ceiling_us)
			*debt_us = debts[i].ceiling_us;
		debts[i].debt_us = *debt_us;
	}
	atl_rates_settled(of, debts, count);
	now_us = (int64_t)atl_monotonic_us(); /* what settles reads the clock itself */
}

static void test_settling(void **state)
{
	int64_t debt_us = 0;

	assert_int_equal(drain(rates, ATL_RATE_READ, ATL_RATE_USER, "usr_1"), 10);
	settle(rates, &debt_us);
	assert_true(take(other, ATL_RATE_READ, ATL_RATE_USER, "usr_1")); /* it does not know yet */
	settle(other, &debt_us);
	assert_false(take(other, ATL_RATE_READ, ATL_RATE_USER, "usr_1"));
	assert_true(take(other, ATL_RATE_READ, ATL_RATE_USER, "usr_2"));
}

static void test_settling_is_bounded(void **state)
{
	static struct atl_rate_debt debts[ATL_RATE_UNSETTLED + 1];
	char id[32];

	for (int i = 0; i < ATL_RATE_UNSETTLED * 2; i++) {
		snprintf(id, sizeof(id), "usr_%d", i);
		take(rates, ATL_RATE_READ, ATL_RATE_USER, id);
	}
	assert_int_equal(atl_rates_collect(rates, debts, ATL_RATE_UNSETTLED + 1), ATL_RATE_UNSETTLED);
	assert_int_equal(atl_rates_collect(rates, debts, ATL_RATE_UNSETTLED + 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_burst_and_refusal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_buckets_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_networks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refill, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood_keeps_the_guilty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settling, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settling_is_bounded, setup, teardown),
	};

	return cmocka_run_group_tests_name("core/access/rate", tests, NULL, NULL);
}
