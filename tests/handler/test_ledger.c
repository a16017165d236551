/* The ledger and its quotas: nothing is sold twice, everything ends once, and the books balance whatever happens. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/books/quota.h"
#include "core/books/usage.h"
#include "core/jobs/job_int.h"

/* ---- a kind of job that delivers, fails or waits as its prompt says ---- */

static enum atl_err deliver(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct atl_job *job = arg;

	return atl_exec(conn, info, "UPDATE jobs SET done_count = count WHERE id = ?", "s", job->id);
}

static enum atl_err run(struct atl_job_run *run, struct atl_errinfo *info)
{
	if (atl_str_starts(run->job->prompt, "fail"))
		return atl_fail(info, ATL_ERR_UPSTREAM, "The service fell over.");
	atl_job_cost(run, 1500);
	return atl_db_tx(run->app->db, deliver, (void *)(uintptr_t)run->job, info);
}

static bool repeatable(struct atl_app *app, const struct atl_job *job)
{
	return true;
}

static int64_t concurrency(struct atl_app *app, const char *provider_id)
{
	return 4;
}

static int64_t estimate(struct atl_app *app, const struct atl_job *job)
{
	return 0;
}

static void expect_amounts(struct atl_app *app, const struct atl_job *job, int64_t amounts[ATL_LEDGER_KIND_COUNT])
{
	amounts[ATL_LEDGER_PICTURES] = job->count;
	amounts[ATL_LEDGER_MONEY] = 1000 * job->count;
}

static const struct atl_job_kind scripted = { .kind = "fake", .run = run, .repeatable = repeatable,
	.concurrency = concurrency, .estimate = estimate, .expect = expect_amounts };
static const struct atl_job_kind *const kinds[] = { &scripted, NULL };

/* ---- shortcuts ---- */

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

static int setup(void **state)
{
	struct site *site = *state;

	execute(site->app.db, "DELETE FROM quotas");
	execute(site->app.db, "DELETE FROM ledger");
	execute(site->app.db, "DELETE FROM balances");
	return 0;
}

static const char *quota(struct site *site, const char *scope, const char *subject, const char *kind, const char *span,
			 int64_t amount)
{
	return text_at(expect(ask(site, &owner, "PUT /api/v1/quotas",
				  fmt("{\"scope\":\"%s\",\"subject\":\"%s\",\"kind\":\"%s\",\"span\":\"%s\",\"amount\":%lld}", scope,
				      subject, kind, span, (long long)amount)), 200), "id");
}

static enum atl_err try_reserve(struct site *site, const char *ref, const char *user_id, const char *key_id, const char *model,
				int64_t messages, struct atl_errinfo *info)
{
	struct atl_charge charge;

	atl_charge_init(&charge, ref, user_id, key_id, model);
	charge.amounts[ATL_LEDGER_MESSAGES] = messages;
	return atl_quota_reserve(&site->app, &charge, info);
}

struct end {
	const char *ref;
	int64_t messages; /* NONE: refund */
};

static enum atl_err end_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct end *end = arg;
	struct atl_charge charge;

	atl_charge_init(&charge, end->ref, NULL, NULL, NULL);
	charge.amounts[ATL_LEDGER_MESSAGES] = end->messages;
	return atl_ledger_settle(conn, end->ref, NULL, charge.amounts, info);
}

static void end(struct site *site, const char *ref, int64_t messages)
{
	struct end how = { ref, messages };
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_tx(site->app.db, end_fn, &how, &info), &info);
}

struct sum {
	const char *subject;
	int64_t used, reserved;
};

static enum atl_err sum_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct sum *sum = arg;

	return atl_ledger_sum(conn, sum->subject, "messages", "", 0, 0, &sum->used, &sum->reserved, info);
}

static struct sum sum_of(struct site *site, const char *subject)
{
	struct sum sum = { .subject = subject };
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_read(site->app.db, sum_fn, &sum, &info), &info);
	return sum;
}

/* ---- the ledger ---- */

static void test_each_end_once(void **state)
{
	struct atl_errinfo info = { 0 };
	struct sum sum;

	assert_ok(try_reserve(*state, "one", "usr_a", NULL, "m", 3, &info), &info);
	assert_int_equal(try_reserve(*state, "one", "usr_a", NULL, "m", 3, &info), ATL_ERR_CONFLICT);
	sum = sum_of(*state, "usr_a");
	assert_int_equal(sum.reserved, 3);
	assert_int_equal(sum.used, 0);
	end(*state, "one", 5);
	end(*state, "one", 5); /* again: nothing */
	end(*state, "one", ATL_LEDGER_NONE);
	sum = sum_of(*state, "usr_a");
	assert_int_equal(sum.reserved, 0);
	assert_int_equal(sum.used, 5);
	assert_ok(try_reserve(*state, "two", "usr_a", NULL, "m", 3, &info), &info);
	end(*state, "two", ATL_LEDGER_NONE);
	end(*state, "two", 9); /* given back: it cannot be used any more */
	end(*state, "nothing", 9);
	sum = sum_of(*state, "usr_a");
	assert_int_equal(sum.reserved, 0);
	assert_int_equal(sum.used, 5);
	books_balance(*state);
}

static void test_verify_sees(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	int64_t wrong = 0;

	assert_ok(try_reserve(site, "seen", "usr_a", NULL, "m", 3, &info), &info);
	execute(site->app.db, "UPDATE balances SET reserved = 2");
	assert_ok(atl_db_read(site->app.db, verify_fn, &wrong, &info), &info);
	assert_int_equal(wrong, 1);
	execute(site->app.db, "UPDATE balances SET reserved = 3");
	execute(site->app.db, "UPDATE ledger SET ref = 'job_gone'");
	assert_ok(atl_db_read(site->app.db, verify_fn, &wrong, &info), &info);
	assert_int_equal(wrong, 1);
}

static void test_windows(void **state)
{
	static const struct {
		enum atl_window window;
		const char *at, *start, *end;
	} cases[] = {
		{ ATL_WINDOW_MINUTE, "2026-11-21T16:05:59.999Z", "2026-11-21T16:05:00.000Z", "2026-11-21T16:06:00.000Z" },
		{ ATL_WINDOW_DAY, "2026-11-21T23:59:59.999Z", "2026-11-21T00:00:00.000Z", "2026-11-22T00:00:00.000Z" },
		{ ATL_WINDOW_MONTH, "2026-12-31T23:59:59.999Z", "2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z" },
		{ ATL_WINDOW_MONTH, "2028-02-29T00:00:00.000Z", "2028-02-01T00:00:00.000Z", "2028-03-01T00:00:00.000Z" },
	};

	for (size_t i = 0; i < ATL_COUNT(cases); i++) {
		char text[ATL_RFC3339_SIZE];
		int64_t at;

		assert_true(atl_rfc3339_parse(cases[i].at, &at));
		atl_rfc3339_format(atl_window_start(cases[i].window, at), text);
		assert_string_equal(text, cases[i].start);
		atl_rfc3339_format(atl_window_end(cases[i].window, at), text);
		assert_string_equal(text, cases[i].end);
	}
	assert_int_equal(atl_window_end(ATL_WINDOW_TOTAL, 5), 0);
}

/* ---- quotas ---- */

static void test_tightest_and_whose(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct person mia, ben, key;

	person_create(site, "Mia", ATL_ROLE_MEMBER, &mia);
	person_create(site, "Ben", ATL_ROLE_MEMBER, &ben);
	person_key(site, &mia, "chat", &key);
	quota(site, "everyone", "", "messages", "month", 4);
	quota(site, "role", "member", "messages", "total", 3);
	quota(site, "key", key.session_id, "messages", "day", 1);
	assert_ok(try_reserve(site, "a", mia.id, key.session_id, "m", 1, &info), &info);
	assert_int_equal(try_reserve(site, "b", mia.id, key.session_id, "m", 1, &info), ATL_ERR_QUOTA); /* the key's */
	assert_non_null(strstr(info.quota, "\"scope\":\"key\""));
	assert_ok(try_reserve(site, "c", mia.id, NULL, "m", 2, &info), &info);
	assert_int_equal(try_reserve(site, "d", mia.id, NULL, "m", 1, &info), ATL_ERR_QUOTA); /* the role's: of total */
	assert_non_null(strstr(info.quota, "\"scope\":\"role\""));
	assert_int_equal(info.retry_after_s, 0); /* it does not begin again */
	assert_ok(try_reserve(site, "e", ben.id, NULL, "m", 3, &info), &info); /* others have their own */
	assert_ok(try_reserve(site, "f", owner.id, NULL, "m", 4, &info), &info); /* another role */
	quota(site, "server", "", "messages", "month", 10);
	assert_int_equal(try_reserve(site, "g", "usr_new", NULL, "m", 1, &info), ATL_ERR_QUOTA); /* 3 + 3 + 4, before it was made */
	assert_non_null(strstr(info.quota, "\"scope\":\"server\""));
	assert_true(info.retry_after_s > 0);
	end(site, "f", ATL_LEDGER_NONE);
	assert_ok(try_reserve(site, "h", "usr_new", NULL, "m", 1, &info), &info);
	books_balance(site);
}

static void test_one_model(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };

	expect(ask(site, &owner, "PUT /api/v1/quotas",
		   "{\"scope\":\"everyone\",\"kind\":\"messages\",\"span\":\"day\",\"model\":\"dear\",\"amount\":1}"), 200);
	assert_ok(try_reserve(site, "a", "usr_a", NULL, "dear", 1, &info), &info);
	assert_int_equal(try_reserve(site, "b", "usr_a", NULL, "dear", 1, &info), ATL_ERR_QUOTA);
	assert_non_null(strstr(info.detail, "dear"));
	assert_ok(try_reserve(site, "b", "usr_a", NULL, "cheap", 1, &info), &info);
	books_balance(site);
}

/* What is used up today is there again tomorrow; what ends tomorrow counts for today. */
static void test_next_day(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	int64_t evening;

	quota(site, "everyone", "", "messages", "day", 2);
	assert_true(atl_rfc3339_parse("2031-05-31T23:59:50Z", &evening));
	clock_hold_at(evening);
	assert_ok(try_reserve(site, "a", "usr_a", NULL, "m", 2, &info), &info);
	assert_int_equal(try_reserve(site, "b", "usr_a", NULL, "m", 1, &info), ATL_ERR_QUOTA);
	assert_int_equal(info.retry_after_s, 10);
	clock_hold_at(evening + 10000);
	assert_ok(try_reserve(site, "c", "usr_a", NULL, "m", 2, &info), &info);
	end(site, "a", 2);
	assert_int_equal(try_reserve(site, "d", "usr_a", NULL, "m", 1, &info), ATL_ERR_QUOTA);
	clock_hold_at(0);
	books_balance(site);
}

/* What /v1 used is booked with its usage records: charged in groups where nothing was reserved, else settled or given back. */
static void test_usage_records(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct atl_identity who;
	struct sum sum;

	atl_identity_internal(&who, owner.id, "Olga", ATL_ROLE_OWNER);
	assert_ok(atl_usage_create(&site->app, &site->app.usage, &info), &info);
	assert_ok(try_reserve(site, "usg_kept", owner.id, NULL, "m", 1, &info), &info);
	assert_ok(try_reserve(site, "usg_lost", owner.id, NULL, "m", 1, &info), &info);
	atl_usage_record(site->app.usage, &who, ATL_ENTRY_OPENAI_CHAT, "m", 10, 5, 1);
	atl_usage_record(site->app.usage, &who, ATL_ENTRY_OPENAI_CHAT, "other", 10, 5, 1);
	atl_usage_record(site->app.usage, &who, ATL_ENTRY_OPENAI_CHAT, "m", 1, 1, 1);
	atl_usage_record_reserved(site->app.usage, &who, ATL_ENTRY_OPENAI_CHAT, "m", 100, 50, 1, "usg_kept");
	atl_usage_record_reserved(site->app.usage, &who, ATL_ENTRY_MESSAGE, "m", 7000, 7000, 1, ""); /* a reply books itself */
	atl_usage_refund(site->app.usage, "usg_lost");
	assert_ok(atl_usage_flush(site->app.usage, &info), &info);
	sum = sum_of(site, owner.id);
	assert_int_equal(sum.used, 4);
	assert_int_equal(sum.reserved, 0);
	assert_int_equal(int_at(expect(ask(site, &owner, "GET /api/v1/usage/me", NULL), 200), "history.0.input_tokens"), 121);
	books_balance(site);
	atl_usage_destroy(site->app.usage);
	site->app.usage = NULL;
}

/* ---- a race ---- */

#define RACERS 100
#define ALLOWED 7
#ifdef __SANITIZE_THREAD__
#define ROUNDS 200 /* each takes several times as long, and a race between threads shows in the first few */
#else
#define ROUNDS 1000
#endif
#define ROUNDS_PG 20

struct race {
	struct site *site;
	pthread_barrier_t line;
	int rounds;
	_Atomic int won, failed;
};

static void *racer(void *arg)
{
	struct race *race = arg;

	for (int round = 0; round < race->rounds; round++) {
		struct atl_errinfo info = { 0 };
		char ref[48], user_id[32];
		enum atl_err err;

		pthread_barrier_wait(&race->line);
		snprintf(ref, sizeof(ref), "r%d-%lx", round, (unsigned long)pthread_self());
		snprintf(user_id, sizeof(user_id), "usr_%d", round);
		do
			err = try_reserve(race->site, ref, user_id, NULL, "m", 1, &info);
		while (err == ATL_ERR_DB_BUSY);
		race->won += err == ATL_OK;
		race->failed += err != ATL_OK && err != ATL_ERR_QUOTA;
		pthread_barrier_wait(&race->line);
	}
	return NULL;
}

/* A hundred at once for seven, again and again: seven get it, each time. */
static void test_race_never_oversells(void **state)
{
	struct race race = { .site = *state };
	pthread_t threads[RACERS];

	race.rounds = atl_str_eq(atl_db_kind(race.site->app.db), "sqlite") ? ROUNDS : ROUNDS_PG;
	quota(race.site, "everyone", "", "messages", "total", ALLOWED);
	pthread_barrier_init(&race.line, NULL, RACERS);
	for (int i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, racer, &race), 0);
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&race.line);
	assert_int_equal(race.failed, 0);
	assert_int_equal(race.won, race.rounds * ALLOWED);
	for (int round = 0; round < race.rounds; round++)
		assert_int_equal(sum_of(race.site, fmt("usr_%d", round)).reserved, ALLOWED);
	setup(state); /* so many balances need not be checked again */
}

/* The same for a limit of each scope, and for one of a model: a fresh book a round. */
#define SCOPE_ROUNDS 20
#define SCOPE_ROUNDS_PG 3

struct scoped {
	struct site *site;
	pthread_barrier_t line;
	const char *user_id, *key_id, *model;
	_Atomic int won, failed, number;
};

static void *scoped_racer(void *arg)
{
	struct scoped *race = arg;
	struct atl_errinfo info = { 0 };
	char ref[48];
	enum atl_err err;

	snprintf(ref, sizeof(ref), "s%d", race->number++);
	pthread_barrier_wait(&race->line);
	do
		err = try_reserve(race->site, ref, race->user_id, race->key_id, race->model, 1, &info);
	while (err == ATL_ERR_DB_BUSY);
	race->won += err == ATL_OK;
	race->failed += err != ATL_OK && err != ATL_ERR_QUOTA;
	return NULL;
}

static void run_scoped(struct site *site, const struct person *who, const struct person *key, const char *scope, const char *subject,
		       const char *model)
{
	struct scoped race = { .site = site, .user_id = who->id, .key_id = key->session_id, .model = "m" };
	pthread_t threads[RACERS];
	void *state = site;

	setup(&state);
	expect(ask(site, &owner, "PUT /api/v1/quotas",
		   fmt("{\"scope\":\"%s\",\"subject\":\"%s\",\"kind\":\"messages\",\"span\":\"month\",\"model\":\"%s\",\"amount\":%d}",
		       scope, subject, model, ALLOWED)), 200);
	pthread_barrier_init(&race.line, NULL, RACERS);
	for (int i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, scoped_racer, &race), 0);
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&race.line);
	assert_int_equal(race.failed, 0);
	assert_int_equal(race.won, ALLOWED);
	books_balance(site);
}

static void test_race_each_scope(void **state)
{
	struct site *site = *state;
	int rounds = atl_str_eq(atl_db_kind(site->app.db), "sqlite") ? SCOPE_ROUNDS : SCOPE_ROUNDS_PG;
	struct person mia, key;
	const char *group;

	person_create(site, "Racer", ATL_ROLE_MEMBER, &mia);
	person_key(site, &mia, "chat", &key);
	group = text_at(expect(ask(site, &owner, "POST /api/v1/groups", "{\"name\":\"Racers\"}"), 201), "id");
	expect(ask(site, &owner, fmt("PATCH /api/v1/users/%s", mia.id), fmt("{\"groups\":[\"%s\"]}", group)), 200);
	for (int round = 0; round < rounds; round++) {
		run_scoped(site, &mia, &key, "user", mia.id, "");
		run_scoped(site, &mia, &key, "group", group, "");
		run_scoped(site, &mia, &key, "key", key.session_id, "");
		run_scoped(site, &mia, &key, "everyone", "", "m");
		run_scoped(site, &mia, &key, "server", "", "");
	}
	setup(state);
}

/* ---- jobs ---- */

static enum atl_err submit(struct site *site, const struct person *who, const char *prompt, int64_t count, int64_t not_before,
			   char id[ATL_ID_SIZE], struct atl_errinfo *info)
{
	const struct atl_job_new new = { .kind = "fake", .task = "txt2img", .origin = "api", .model = "fake/noop",
					 .provider_id = "prv_fake", .prompt = prompt, .request = "{}", .count = count,
					 .not_before = not_before };
	struct atl_identity identity;
	struct atl_arena arena;
	struct atl_job job;
	enum atl_err err;

	atl_identity_internal(&identity, who->id, "Test", ATL_ROLE_MEMBER);
	atl_arena_init(&arena, 0);
	err = atl_job_submit(&site->app, &identity, &arena, &new, &job, info);
	if (!err)
		atl_str_copy(id, ATL_ID_SIZE, job.id);
	atl_arena_finish(&arena);
	return err;
}

static void wait_end(struct site *site, const struct person *who, const char *id, const char *state)
{
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct atl_job job;

	atl_arena_init(&arena, 0);
	assert_ok(atl_job_wait(&site->app, &arena, who->id, id, WAIT_MS, &job, &info), &info);
	assert_string_equal(job.state, state);
	atl_arena_finish(&arena);
}

static int64_t used(struct site *site, const struct person *who, const char *kind)
{
	struct atl_req *req = expect(ask(site, who, "GET /api/v1/usage/me", NULL), 200);

	return count_at(req, "history") ? int_at(req, fmt("history.0.%s", kind)) : 0;
}

static void test_jobs(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	int64_t later = atl_now_ms() + 86400000;
	struct person lea, tom;
	char id[ATL_ID_SIZE], other[ATL_ID_SIZE];

	person_create(site, "Lea", ATL_ROLE_MEMBER, &lea);
	person_create(site, "Tom", ATL_ROLE_MEMBER, &tom);
	quota(site, "everyone", "", "pictures", "month", 4);
	assert_ok(submit(site, &lea, "wait", 3, later, id, &info), &info);
	assert_int_equal(submit(site, &lea, "two more", 2, 0, other, &info), ATL_ERR_QUOTA);
	assert_ok(submit(site, &tom, "another's", 4, 0, other, &info), &info);
	wait_end(site, &tom, other, "done");
	assert_int_equal(used(site, &tom, "pictures"), 4);
	assert_int_equal(used(site, &tom, "money_micro_usd"), 1500); /* not the 4000 that were reserved */
	books_balance(site);
	expect(ask(site, &lea, fmt("POST /api/v1/jobs/%s/cancel", id), NULL), 200);
	books_balance(site);
	assert_ok(submit(site, &lea, "fail", 4, 0, id, &info), &info); /* what was cancelled is there again */
	wait_end(site, &lea, id, "failed");
	assert_ok(submit(site, &lea, "good", 4, 0, id, &info), &info); /* and what failed */
	wait_end(site, &lea, id, "done");
	assert_int_equal(used(site, &lea, "pictures"), 4);
	assert_int_equal(submit(site, &lea, "one more", 1, 0, id, &info), ATL_ERR_QUOTA);
	books_balance(site);
}

/* A server that stops in between: what waits stays reserved, once, and ends once. */
static void test_restart(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct person zoe;
	struct sum sum;
	char id[ATL_ID_SIZE];

	person_create(site, "Zoe", ATL_ROLE_MEMBER, &zoe);
	quota(site, "everyone", "", "pictures", "month", 4);
	assert_ok(submit(site, &zoe, "wait", 4, atl_now_ms() + 86400000, id, &info), &info);
	assert_ok(try_reserve(site, "msg_killed", zoe.id, NULL, "m", 1, &info), &info); /* a reply that the kill cut off */
	site_restart(site);
	books_balance(site);
	sum = sum_of(site, zoe.id);
	assert_int_equal(sum.reserved + sum.used, 0);
	assert_int_equal(submit(site, &zoe, "more", 1, 0, id, &info), ATL_ERR_QUOTA);
	expect(ask(site, &zoe, "POST /api/v1/jobs/cancel", NULL), 200);
	assert_ok(submit(site, &zoe, "more", 4, 0, id, &info), &info);
	wait_end(site, &zoe, id, "done");
	books_balance(site);
}

/* ---- the API ---- */

static void test_asking_for_more(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct person ida;
	const char *id, *request;
	struct atl_req *req;

	person_create(site, "Ida", ATL_ROLE_MEMBER, &ida);
	expect_problem(ask(site, &owner, "PUT /api/v1/quotas",
			   "{\"scope\":\"user\",\"subject\":\"usr_x\",\"kind\":\"messages\",\"span\":\"day\",\"amount\":1}"),
		       404, "not_found", "subject");
	expect_problem(ask(site, &owner, "PUT /api/v1/quotas",
			   "{\"scope\":\"everyone\",\"kind\":\"hats\",\"span\":\"day\",\"amount\":1}"),
		       400, "invalid_request", "kind");
	id = quota(site, "user", ida.id, "messages", "day", 5);
	assert_string_equal(quota(site, "user", ida.id, "messages", "day", 1), id); /* set again: the same one */
	assert_ok(try_reserve(site, "a", ida.id, NULL, "m", 1, &info), &info);
	assert_int_equal(try_reserve(site, "b", ida.id, NULL, "m", 1, &info), ATL_ERR_QUOTA);
	req = expect(ask(site, &ida, "GET /api/v1/usage/me", NULL), 200);
	assert_int_equal(int_at(req, "quotas.0.limit"), 1);
	assert_int_equal(int_at(req, "quotas.0.used"), 1);
	/* somebody else has nothing to ask for there */
	expect_problem(ask(site, &owner, "POST /api/v1/quota-requests", fmt("{\"quota_id\":\"%s\",\"amount\":2}", id)), 404,
		       "not_found", "quota_id");
	request = text_at(expect(ask(site, &ida, "POST /api/v1/quota-requests",
				     fmt("{\"quota_id\":\"%s\",\"amount\":2,\"note\":\"please\"}", id)), 201), "id");
	expect_problem(ask(site, &ida, "POST /api/v1/quota-requests", fmt("{\"quota_id\":\"%s\",\"amount\":2}", id)), 409,
		       "conflict", NULL);
	expect_problem(ask(site, &ida, fmt("POST /api/v1/quota-requests/%s/decision", request), "{\"amount\":2}"), 403, "forbidden",
		       NULL);
	req = expect(ask(site, &owner, fmt("POST /api/v1/quota-requests/%s/decision", request), "{\"amount\":1}"), 200);
	assert_string_equal(text_at(req, "state"), "granted");
	expect_problem(ask(site, &owner, fmt("POST /api/v1/quota-requests/%s/decision", request), "{\"amount\":1}"), 409, "conflict",
		       NULL);
	assert_ok(try_reserve(site, "b", ida.id, NULL, "m", 1, &info), &info);
	assert_int_equal(try_reserve(site, "c", ida.id, NULL, "m", 1, &info), ATL_ERR_QUOTA);
	expect(ask(site, &owner, fmt("DELETE /api/v1/quotas/%s", id), NULL), 204);
	assert_ok(try_reserve(site, "c", ida.id, NULL, "m", 9, &info), &info);
	req = expect(ask(site, &owner, "GET /api/v1/audit?action=quota.", NULL), 200);
	assert_true(count_at(req, "items") >= 4); /* set twice, granted, deleted */
	books_balance(site);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_each_end_once, setup), cmocka_unit_test_setup(test_verify_sees, setup),
		cmocka_unit_test(test_windows),			   cmocka_unit_test_setup(test_tightest_and_whose, setup),
		cmocka_unit_test_setup(test_one_model, setup),	   cmocka_unit_test_setup(test_next_day, setup),
		cmocka_unit_test_setup(test_usage_records, setup),
		cmocka_unit_test_setup(test_race_never_oversells, setup), cmocka_unit_test_setup(test_race_each_scope, setup),
		cmocka_unit_test_setup(test_jobs, setup),
		cmocka_unit_test_setup(test_restart, setup),	cmocka_unit_test_setup(test_asking_for_more, setup),
	};

	site_kinds = kinds;
	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
