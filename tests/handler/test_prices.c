/* Prices: what the operator sets is used from the next reply on and is in the audit log; replies cost what their true tokens
 * cost, cached ones less; a ceiling refuses before, and stops what becomes too dear; money quotas reserve the estimate. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/books/ledger.h"
#include "core/books/price.h"
#include "core/books/usage.h"

#define STEPS(list) .steps = (list), .step_count = ATL_COUNT(list)
#define DELTA(words) { ATL_CHAT_STEP_DELTA, 0, (words) }
static const struct atl_chat_step THREE[] = { DELTA("One "), DELTA("two "), DELTA("three.") };
static const struct atl_chat_step ENDLESS[] = { DELTA("a "), DELTA("b "), DELTA("c "), DELTA("d "), DELTA("e "), DELTA("f "),
						{ ATL_CHAT_STEP_HANG, 0, NULL } };

static void says(const struct atl_chat_step *steps, size_t count, struct atl_chat_usage usage)
{
	model_says((struct atl_chat_script){ .steps = steps, .step_count = count, .usage = usage });
}

static void price(struct site *site, const char *model, long long input, long long output, long long cached)
{
	expect(ask(site, &owner, "PUT /api/v1/prices",
		   fmt("{\"model\":\"%s\",\"input_micro_usd\":%lld,\"output_micro_usd\":%lld,\"cached_micro_usd\":%lld}", model, input,
		       output, cached)), 204);
}

static struct atl_req *send(struct site *site, const char *conversation, const char *more)
{
	return expect(ask(site, &owner, fmt("POST /api/v1/conversations/%s/messages", conversation),
			  fmt("{\"content\":\"Count\"%s}", more)), 202);
}

static struct atl_req *ended(struct site *site, const char *id)
{
	ears_wait(site, "message.updated", fmt("\"id\":\"%s\"", id));
	return expect(ask(site, &owner, fmt("GET /api/v1/messages/%s", id), NULL), 200);
}

struct money {
	const char *subject;
	int64_t used, reserved, wrong;
};

static enum atl_err money_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct money *money = arg;
	enum atl_err err = atl_ledger_sum(conn, owner.id, "money_micro_usd", "", 0, 0, &money->used, &money->reserved, info);

	return err ? err : atl_ledger_verify(conn, &money->wrong, info);
}

static struct money money_of(struct site *site)
{
	struct money money = { .wrong = -1 };
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_read(site->app.db, money_fn, &money, &info), &info);
	assert_int_equal(money.wrong, 0);
	return money;
}

static int listening(void **state)
{
	site_setup(state);
	ears_open(*state, owner.id);
	return 0;
}

static int setup(void **state)
{
	struct site *site = *state;

	execute(site->app.db, "DELETE FROM quotas");
	execute(site->app.db, "DELETE FROM ledger");
	execute(site->app.db, "DELETE FROM balances");
	expect(ask(site, &owner, "PUT /api/v1/prices", "{\"model\":\"scripted/first\"}"), 204);
	return 0;
}

/* ---- finding and counting ---- */

static void test_cost(void **state)
{
	const struct atl_price p = { ATL_PRICE_OPERATOR, 2500000, 10000000, 1250000 };

	assert_int_equal(atl_price_cost(&p, 1000000, 0, 0), 2500000);
	assert_int_equal(atl_price_cost(&p, 1000000, 400000, 100000), 1500000 + 500000 + 1000000);
	assert_int_equal(atl_price_cost(&p, 1, 0, 0), 3);	  /* 2.5: rounded up once */
	assert_int_equal(atl_price_cost(&p, 10, 999, 0), 13);	  /* no more cached than there are */
	assert_int_equal(atl_price_cost(&p, -1, -1, -1), 0);
	assert_int_equal(atl_price_cost(&(struct atl_price){ .source = ATL_PRICE_UNKNOWN }, 1000, 0, 1000), 0);
	assert_true(atl_price_cost(&(struct atl_price){ ATL_PRICE_OPERATOR, ATL_PRICE_MICRO_USD_MAX, ATL_PRICE_MICRO_USD_MAX,
							ATL_PRICE_MICRO_USD_MAX }, INT64_MAX, 0, INT64_MAX) > 0);
}

static void test_whose_price(void **state)
{
	struct site *site = *state;
	const struct atl_price listed = { ATL_PRICE_SERVICE, 7, 8, 9 };
	struct atl_price p = atl_price_find(site->app.prices, "prv_x/gpt-4o-mini", "openai", "gpt-4o-mini", NULL);

	assert_int_equal(p.source, ATL_PRICE_BUILT_IN);
	assert_int_equal(p.input_micro_usd, 150000);
	assert_int_equal(p.cached_micro_usd, 75000);
	assert_int_equal(p.output_micro_usd, 600000);
	p = atl_price_find(site->app.prices, "prv_x/gpt-4o-mini", "openai", "gpt-4o-mini", &listed);
	assert_int_equal(p.source, ATL_PRICE_SERVICE);
	assert_int_equal(atl_price_find(site->app.prices, "prv_x/new", "openai", "new", NULL).source, ATL_PRICE_UNKNOWN);
	assert_int_equal(atl_price_find(site->app.prices, "local/a.gguf", "", "a.gguf", NULL).source, ATL_PRICE_LOCAL);
	price(site, "prv_x/gpt-4o-mini", 1, 2, 3);
	p = atl_price_find(site->app.prices, "prv_x/gpt-4o-mini", "openai", "gpt-4o-mini", &listed);
	assert_int_equal(p.source, ATL_PRICE_OPERATOR);
	assert_int_equal(p.output_micro_usd, 2);
	expect(ask(site, &owner, "PUT /api/v1/prices", "{\"model\":\"prv_x/gpt-4o-mini\"}"), 204);
	assert_int_equal(atl_price_find(site->app.prices, "prv_x/gpt-4o-mini", "openai", "gpt-4o-mini", NULL).source,
			 ATL_PRICE_BUILT_IN);
	assert_non_null(strstr(expect(ask(site, &owner, "GET /api/v1/audit?action=price.", NULL), 200)->out.data,
			       "none -> 1e-06/2e-06/3e-06 per million tokens"));
	expect_problem(ask(site, &owner, "PUT /api/v1/prices", "{\"model\":\"m\",\"output_micro_usd\":5}"), 400,
		       "invalid_request", "input_micro_usd");
	expect_problem(ask(site, &owner, "PUT /api/v1/prices", "{\"model\":\"m\",\"unit\":\"barrel\",\"unit_micro_usd\":5}"), 400,
		       "invalid_request", "unit");
}

static void test_pictures(void **state)
{
	struct site *site = *state;
	const char *provider = scripted_pictures(site), *model = fmt("%s/noop", provider); /* leaves no file behind */
	struct atl_req *req;

	expect(ask(site, &owner, "PUT /api/v1/prices",
		   fmt("{\"model\":\"%s\",\"unit\":\"megapixel\",\"unit_micro_usd\":50000}", model)), 204);
	req = expect(ask(site, &owner, "POST /api/v1/jobs/estimate",
			 fmt("{\"model\":\"%s\",\"prompt\":\"a lighthouse\",\"width\":1000,\"height\":1000,\"count\":2}", model)), 200);
	assert_int_equal(int_at(req, "cost_micro_usd"), 100000);
	expect_problem(ask(site, &owner, "POST /api/v1/jobs",
			   fmt("{\"model\":\"%s\",\"prompt\":\"a lighthouse\",\"width\":1000,\"height\":1000,\"max_cost_micro_usd\":49999}",
			       model)), 402, "cost_ceiling", NULL);
	expect(ask(site, &owner, "POST /api/v1/jobs",
		   fmt("{\"model\":\"%s\",\"prompt\":\"a lighthouse\",\"width\":1000,\"height\":1000,\"max_cost_micro_usd\":50000}", model)), 202);
	req = expect(ask(site, &owner, "GET /api/v1/prices", NULL), 200);
	assert_non_null(strstr(req->out.data, "\"source\":\"operator\""));
	expect(ask(site, &owner, "PUT /api/v1/prices", fmt("{\"model\":\"%s\"}", model)), 204);
}

/* ---- replies ---- */

static void test_reply_costs(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL), *id;
	struct atl_req *req;

	price(site, "scripted/first", 2000000, 8000000, 500000);
	says(THREE, ATL_COUNT(THREE), (struct atl_chat_usage){ 1000, 200, 400, -1 });
	id = text_at(send(site, conversation, ""), "reply.id");
	assert_string_equal(text_at(ended(site, id), "status"), "complete");
	assert_int_equal(money_of(site).used, 600 * 2 + 200 + 200 * 8);
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/estimate", conversation), NULL), 200);
	assert_string_equal(text_at(req, "source"), "unknown"); /* the scripted model is in no list */
}

static void test_ceiling_before(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL);
	struct atl_req *req;

	price(site, "scripted/first", 2000000, 8000000, 500000);
	says(THREE, ATL_COUNT(THREE), (struct atl_chat_usage){ 100, 20, 0, -1 });
	req = ended(site, text_at(send(site, conversation, ",\"max_cost_micro_usd\":10"), "reply.id"));
	assert_string_equal(text_at(req, "status"), "failed");
	assert_string_equal(text_at(req, "error.slug"), "cost_ceiling");
	assert_string_equal(text_at(req, "content"), "");
	assert_int_equal(money_of(site).used, 0);
	expect(ask(site, &owner, "PUT /api/v1/me/preferences", "{\"max_cost_micro_usd\":5}"), 200); /* one's own */
	req = ended(site, text_at(send(site, conversation, ""), "reply.id"));
	assert_string_equal(text_at(req, "error.slug"), "cost_ceiling");
	expect(ask(site, &owner, "PUT /api/v1/me/preferences", "{}"), 200);
	expect(ask(site, &owner, "PATCH /api/v1/settings", "{\"max_cost_micro_usd\":5}"), 200); /* the server's */
	req = ended(site, text_at(send(site, conversation, ""), "reply.id"));
	assert_string_equal(text_at(req, "error.slug"), "cost_ceiling");
	expect(ask(site, &owner, "PATCH /api/v1/settings", "{\"max_cost_micro_usd\":null}"), 200);
	assert_string_equal(text_at(ended(site, text_at(send(site, conversation, ""), "reply.id")), "status"), "complete");
}

/* A model that says more than it used to is stopped where its cost reaches the ceiling; what is there is kept and paid. */
static void test_ceiling_stops(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL), *id;
	struct atl_req *req;
	int64_t before;

	price(site, "scripted/first", 0, 1000000, 0); /* a micro-dollar a token */
	for (int i = 0; i < 200; i++)
		atl_price_learned(site->app.prices, "scripted/first", 2); /* its replies are short */
	says(ENDLESS, ATL_COUNT(ENDLESS), ATL_CHAT_USAGE_NOT_TOLD);
	id = text_at(send(site, conversation, ",\"max_cost_micro_usd\":100"), "reply.id");
	ears_wait(site, "message.delta", "f ");
	expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/stop", id), NULL), 202); /* below it: runs until it is stopped */
	assert_string_equal(text_at(ended(site, id), "content"), "a b c d e f ");
	before = money_of(site).used;
	assert_int_equal(before, 6);
	req = ended(site, text_at(send(site, conversation, ",\"max_cost_micro_usd\":4"), "reply.id"));
	assert_string_equal(text_at(req, "status"), "stopped");
	assert_string_equal(text_at(req, "finish_reason"), "cost");
	assert_string_equal(text_at(req, "content"), "a b c d e ");
	assert_int_equal(money_of(site).used - before, 5); /* the token that passed it is paid, too */
}

/* ---- reports ---- */

static void used(struct site *site, const char *model, int64_t ms, int64_t cost, int64_t estimate, const char *error)
{
	struct atl_identity who;

	atl_identity_internal(&who, owner.id, "Olga", ATL_ROLE_OWNER);
	atl_usage_enter(site->app.usage, &(struct atl_usage_entry){ .who = &who, .entry = ATL_ENTRY_MESSAGE, .model = model,
		.prompt_tokens = 5, .completion_tokens = 5, .duration_ms = ms, .cost_micro_usd = cost,
		.estimate_micro_usd = estimate, .ref = "", .error = error });
}

static void test_dashboard(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct atl_req *req;

	execute(site->app.db, "DELETE FROM usage_records");
	execute(site->app.db, "DELETE FROM jobs");
	assert_ok(atl_usage_create(&site->app, &site->app.usage, &info), &info);
	for (int i = 1; i <= 100; i++)
		used(site, "prv_01ARZ3NDEKTSV4RRFFQ69G5FAV/x", i * 10, 7, 5, NULL);
	used(site, "=local/y", 1, 0, -1, NULL);
	used(site, "prv_01ARZ3NDEKTSV4RRFFQ69G5FAV/x", 99999, 0, -1, "upstream_error");
	assert_ok(atl_usage_flush(site->app.usage, &info), &info);
	req = expect(ask(site, &owner, "GET /api/v1/usage/summary", NULL), 200);
	assert_int_equal(int_at(req, "items.0.requests"), 102);
	assert_int_equal(int_at(req, "items.0.failed"), 1);
	assert_int_equal(int_at(req, "items.0.active_users"), 1);
	assert_int_equal(int_at(req, "items.0.cost_micro_usd"), 700);
	req = expect(ask(site, &owner, "GET /api/v1/usage/summary?by=model", NULL), 200);
	assert_int_equal(int_at(req, "items.0.p50_ms"), 500);
	assert_int_equal(int_at(req, "items.0.p95_ms"), 950);
	assert_int_equal(int_at(req, "items.0.estimated_micro_usd"), 500);
	assert_int_equal(int_at(req, "items.0.estimated_cost_micro_usd"), 700);
	req = expect(ask(site, &owner, "GET /api/v1/usage/summary?by=provider", NULL), 200);
	assert_string_equal(text_at(req, "items.0.key"), "prv_01ARZ3NDEKTSV4RRFFQ69G5FAV");
	req = expect(ask(site, &owner, "GET /api/v1/usage/summary?by=user", NULL), 200);
	assert_string_equal(text_at(req, "items.0.key"), owner.id);
	assert_true(*text_at(req, "items.0.name") != '\0');
	assert_int_equal(count_at(expect(ask(site, &owner, "GET /api/v1/usage/summary?by=day", NULL), 200), "items"), 1);
	req = expect(ask(site, &owner, "GET /api/v1/usage/summary?by=model&format=csv", NULL), 200);
	assert_non_null(strstr(req->out.data, "\"'=local/y\",\"\",1,0,1,0,0,0,0,1,1")); /* no formula */
	req = expect(ask(site, &owner, "GET /api/v1/usage/failures", NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	assert_string_equal(text_at(req, "items.0.error"), "upstream_error");
	assert_int_equal(int_at(req, "items.0.count"), 1);
	assert_int_equal(int_at(expect(ask(site, &owner, "GET /api/v1/usage/me", NULL), 200), "storage_bytes"), 0);
	(void)make_asset(site, &owner, "good.png");
	req = expect(ask(site, &owner, "GET /api/v1/usage/storage", NULL), 200);
	assert_string_equal(text_at(req, "items.0.user_id"), owner.id);
	assert_true(int_at(req, "items.0.bytes") > 0);
	assert_int_equal(int_at(expect(ask(site, &owner, "GET /api/v1/usage/me", NULL), 200), "storage_bytes"),
			 int_at(req, "items.0.bytes"));
	expect_problem(ask(site, &owner, "GET /api/v1/usage/summary?by=moon", NULL), 400, "invalid_request", "by");
	expect_problem(ask(site, &owner, "GET /api/v1/usage/failures?from=2020-01-01", NULL), 400, "invalid_request", "from");
	atl_usage_destroy(site->app.usage);
	site->app.usage = NULL;
}

/* ---- quotas of money ---- */

static void test_money_quota(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL);
	struct atl_req *req;

	price(site, "scripted/first", 2000000, 8000000, 500000);
	expect(ask(site, &owner, "PUT /api/v1/quotas",
		   "{\"scope\":\"everyone\",\"kind\":\"money_micro_usd\",\"span\":\"day\",\"amount\":18100}"), 200);
	says(THREE, ATL_COUNT(THREE), (struct atl_chat_usage){ 5000, 1000, 0, -1 });
	req = ended(site, text_at(send(site, conversation, ""), "reply.id"));
	assert_string_equal(text_at(req, "status"), "complete"); /* the estimate fitted; the truth is booked */
	assert_int_equal(money_of(site).used, 18000);
	assert_int_equal(money_of(site).reserved, 0);
	req = ended(site, text_at(send(site, conversation, ""), "reply.id")); /* 100 are left: less than a reply costs */
	assert_string_equal(text_at(req, "error.slug"), "quota_exceeded");
	assert_int_equal(money_of(site).used, 18000);
	assert_int_equal(money_of(site).reserved, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cost),			    cmocka_unit_test_setup(test_whose_price, setup),
		cmocka_unit_test_setup(test_pictures, setup),	    cmocka_unit_test_setup(test_reply_costs, setup),
		cmocka_unit_test_setup(test_ceiling_before, setup), cmocka_unit_test_setup(test_ceiling_stops, setup),
		cmocka_unit_test_setup(test_dashboard, setup),	    cmocka_unit_test_setup(test_money_quota, setup),
	};

	return cmocka_run_group_tests(tests, listening, site_teardown);
}
