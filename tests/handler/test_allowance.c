/* Allowances at hand in memory: as exact as the ledger they come from, whoever takes and however it ends. */
#include "support.h"

#include <pthread.h>

#include "core/books/allowance.h"
#include "core/books/quota.h"

#define TAKERS 16
#define EACH 40

static enum atl_err verify_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_ledger_verify(conn, arg, info);
}

static void books_balance(struct site *site)
{
	struct atl_errinfo info = { 0 };
	int64_t wrong = -1;

	assert_ok(atl_db_read(site->app.db, verify_fn, &wrong, &info), &info);
	assert_int_equal(wrong, 0);
}

struct sum {
	const char *kind;
	int64_t used, reserved;
};

static enum atl_err sum_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct sum *sum = arg;

	return atl_ledger_sum(conn, owner.id, sum->kind, "", 0, 0, &sum->used, &sum->reserved, info);
}

static void expect_sum(struct site *site, const char *kind, int64_t used, int64_t reserved)
{
	struct sum sum = { .kind = kind };
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_read(site->app.db, sum_fn, &sum, &info), &info);
	assert_int_equal(sum.used, used);
	assert_int_equal(sum.reserved, reserved);
}

static void quota(struct site *site, const char *kind, int64_t amount)
{
	expect(ask(site, &owner, "PUT /api/v1/quotas",
		   fmt("{\"scope\":\"everyone\",\"kind\":\"%s\",\"span\":\"total\",\"amount\":%lld}", kind, (long long)amount)),
	       200);
}

static struct atl_allowance *begin(struct site *site, struct atl_identity *who)
{
	struct atl_allowance *allowance;
	struct atl_errinfo info = { 0 };

	execute(site->app.db, "DELETE FROM quotas");
	execute(site->app.db, "DELETE FROM ledger");
	execute(site->app.db, "DELETE FROM balances");
	atl_identity_internal(who, owner.id, "Olga", ATL_ROLE_OWNER);
	assert_ok(atl_allowance_create(&site->app, &allowance, &info), &info);
	return allowance;
}

static void flush(struct atl_allowance *allowance)
{
	struct atl_errinfo info = { 0 };

	assert_ok(atl_allowance_flush(allowance, &info), &info);
}

/* As a request does: from memory where it can. */
static enum atl_err get(struct atl_allowance *allowance, const struct atl_identity *who, char ref[ATL_ID_SIZE])
{
	struct atl_errinfo info = { 0 };

	return atl_allowance_take(allowance, who, "m", ref) ? ATL_OK : atl_allowance_open(allowance, who, "m", ref, &info);
}

static void end(struct atl_allowance *allowance, const char *ref, int64_t tokens)
{
	struct atl_charge charge;

	atl_charge_init(&charge, ref, NULL, NULL, NULL);
	charge.amounts[ATL_LEDGER_MESSAGES] = 1;
	charge.amounts[ATL_LEDGER_OUTPUT_TOKENS] = tokens;
	atl_allowance_end(allowance, ref, charge.amounts);
}

static void test_memory_first(void **state)
{
	struct atl_identity who;
	struct atl_allowance *allowance = begin(*state, &who);
	char ref[ATL_ID_SIZE];
	int opened = 0;

	quota(*state, "messages", 1000000);
	assert_false(atl_allowance_take(allowance, &who, "m", ref));
	for (int i = 0; i < 2000; i++) {
		struct atl_errinfo info = { 0 };

		if (!atl_allowance_take(allowance, &who, "m", ref)) {
			assert_ok(atl_allowance_open(allowance, &who, "m", ref, &info), &info);
			opened++;
		}
		assert_true(atl_allowance_is_ref(ref));
		end(allowance, ref, 3);
	}
	assert_true(opened <= 5); /* 16, 64, 256, 1024, 4096 */
	assert_false(atl_allowance_take(allowance, &who, "another", ref));
	flush(allowance);
	assert_false(atl_allowance_take(allowance, &who, "m", ref)); /* closed */
	assert_false(atl_allowance_waits(allowance));
	expect_sum(*state, "messages", 2000, 0);
	expect_sum(*state, "output_tokens", 6000, 0);
	books_balance(*state);
	atl_allowance_destroy(allowance);
}

/* What still runs when its block is booked keeps its place, and its window. */
static void test_who_takes_long(void **state)
{
	struct atl_identity who;
	struct atl_allowance *allowance = begin(*state, &who);
	char ref[4][ATL_ID_SIZE];

	quota(*state, "messages", 100);
	for (int i = 0; i < 4; i++)
		assert_int_equal(get(allowance, &who, ref[i]), ATL_OK);
	end(allowance, ref[0], 5);
	atl_allowance_end(allowance, ref[1], NULL); /* failed: nothing was used */
	flush(allowance);
	expect_sum(*state, "messages", 1, 2);
	flush(allowance); /* nothing new */
	expect_sum(*state, "messages", 1, 2);
	books_balance(*state);
	end(allowance, ref[2], 5);
	flush(allowance);
	expect_sum(*state, "messages", 2, 1);
	atl_allowance_end(allowance, ref[3], NULL);
	atl_allowance_end(allowance, ref[3], NULL); /* again: nothing */
	flush(allowance);
	expect_sum(*state, "messages", 2, 0);
	expect_sum(*state, "output_tokens", 10, 0);
	assert_false(atl_allowance_waits(allowance));
	books_balance(*state);
	atl_allowance_destroy(allowance);
}

struct taker {
	struct atl_allowance *allowance;
	const struct atl_identity *who;
	int got, refused;
};

static void *take_many(void *arg)
{
	struct taker *taker = arg;

	for (int i = 0; i < EACH; i++) {
		char ref[ATL_ID_SIZE];
		enum atl_err err = get(taker->allowance, taker->who, ref);

		taker->got += err == ATL_OK;
		taker->refused += err == ATL_ERR_QUOTA;
		if (!err && i % 3)
			end(taker->allowance, ref, 1);
	}
	return NULL;
}

/* Flushed all the while, as the thread of the usage records does. */
static void test_never_oversold(void **state)
{
	struct atl_identity who;
	struct atl_allowance *allowance = begin(*state, &who), *other;
	struct taker takers[TAKERS];
	pthread_t threads[TAKERS];
	struct atl_errinfo info = { 0 };
	int got = 0;

	/* two servers of one database */
	assert_ok(atl_allowance_create(&((struct site *)*state)->app, &other, &info), &info);
	quota(*state, "messages", 300);
	for (int i = 0; i < TAKERS; i++) {
		takers[i] = (struct taker){ .allowance = i % 2 ? allowance : other, .who = &who };
		assert_int_equal(pthread_create(&threads[i], NULL, take_many, &takers[i]), 0);
	}
	for (int i = 0; i < TAKERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		flush(i % 2 ? allowance : other);
		got += takers[i].got;
		assert_int_equal(takers[i].got + takers[i].refused, EACH);
	}
	assert_true(got <= 300);
	flush(allowance);
	flush(other);
	/* what nobody took has come back: the last ones are there, one by one, and not one more */
	for (;;) {
		char ref[ATL_ID_SIZE];

		if (get(allowance, &who, ref) != ATL_OK)
			break;
		got++;
	}
	assert_int_equal(got, 300);
	flush(allowance);
	books_balance(*state);
	atl_allowance_destroy(other);
	atl_allowance_destroy(allowance);
}

static void test_tokens_used_up(void **state)
{
	struct atl_identity who;
	struct atl_allowance *allowance = begin(*state, &who);
	struct atl_errinfo info = { 0 };
	char ref[ATL_ID_SIZE];

	quota(*state, "output_tokens", 10);
	assert_int_equal(get(allowance, &who, ref), ATL_OK);
	end(allowance, ref, 11);
	flush(allowance);
	assert_int_equal(atl_allowance_open(allowance, &who, "m", ref, &info), ATL_ERR_QUOTA);
	assert_non_null(strstr(info.quota, "output_tokens"));
	quota(*state, "output_tokens", 20);
	assert_ok(atl_allowance_open(allowance, &who, "m", ref, &info), &info);
	end(allowance, ref, 1);
	flush(allowance);
	books_balance(*state);
	atl_allowance_destroy(allowance);
}

static enum atl_err recover_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_ledger_recover(conn, info);
}

/* A server that starts gives back what it takes for left over; what was used is booked all the same. */
static void test_given_back_meanwhile(void **state)
{
	struct site *site = *state;
	struct atl_identity who;
	struct atl_allowance *allowance = begin(site, &who);
	struct atl_errinfo info = { 0 };
	char ref[2][ATL_ID_SIZE];

	quota(site, "messages", 100);
	assert_int_equal(get(allowance, &who, ref[0]), ATL_OK);
	assert_int_equal(get(allowance, &who, ref[1]), ATL_OK);
	assert_ok(atl_db_tx(site->app.db, recover_fn, NULL, &info), &info);
	expect_sum(site, "messages", 0, 0);
	end(allowance, ref[0], 7);
	flush(allowance);
	expect_sum(site, "messages", 1, 1);
	end(allowance, ref[1], 7);
	flush(allowance);
	expect_sum(site, "messages", 2, 0);
	expect_sum(site, "output_tokens", 14, 0);
	books_balance(site);
	atl_allowance_destroy(allowance);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_first),	cmocka_unit_test(test_who_takes_long),
		cmocka_unit_test(test_never_oversold),	cmocka_unit_test(test_tokens_used_up),
		cmocka_unit_test(test_given_back_meanwhile),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
