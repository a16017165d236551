/* How often one may ask: what answers tell, who is refused and who is not, that wrong keys and sign-ins count, and that
 * the route tables say which requests share an allowance. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/access/rate.h"
#include "support.h"

static struct person member, by_key;
static const char *const from_far[] = { "X-Forwarded-For: 203.0.113.5", NULL };
static const char *const from_elsewhere[] = { "X-Forwarded-For: 198.51.100.9", NULL };

static const char *header(struct atl_req *req, const char *name)
{
	const char *value = atl_mock_header(req, name);

	return value ? value : "";
}

static struct atl_req *read_once(struct site *site, const struct person *who, const char *const *from)
{
	return ask_with(site, who, from, "GET /api/v1/me", NULL);
}

static void test_headers_count_down(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(read_once(site, &member, from_far), 200);

	assert_string_equal(header(req, "RateLimit-Policy"), "\"read-user\";q=6;w=60");
	assert_string_equal(header(req, "RateLimit"), "\"read-user\";r=5;t=10");
	req = expect(read_once(site, &member, from_far), 200);
	assert_non_null(strstr(header(req, "RateLimit"), ";r=4;"));
}

static void test_refused_and_told_when(void **state)
{
	struct site *site = *state;
	struct atl_req *req;

	for (int i = 0; i < 6; i++)
		expect(read_once(site, &member, from_far), 200);
	req = read_once(site, &member, from_far);
	expect_problem(req, 429, "rate_limited", NULL);
	assert_in_range(int_at(req, "retry_after_s"), 1, 10);
	assert_string_equal(header(req, "Retry-After"), fmt("%d", (int)int_at(req, "retry_after_s")));
	assert_non_null(strstr(header(req, "RateLimit"), ";r=0;"));
	/* neither other people nor another kind of request */
	expect(read_once(site, &owner, from_far), 200);
	expect(ask_with(site, &member, from_far, "PUT /api/v1/me/preferences", "{}"), 200);
	expect(ask_with(site, &member, from_far, "GET /livez", NULL), 200);
	assert_string_equal(header(ask_with(site, &member, from_far, "GET /livez", NULL), "RateLimit"), "");
}

static void test_a_key_shares_its_users(void **state)
{
	struct site *site = *state;
	struct atl_req *req;

	for (int i = 0; i < 3; i++)
		expect(read_once(site, &member, from_far), 200);
	for (int i = 0; i < 3; i++)
		expect(ask_with(site, &by_key, from_far, "GET /v1/models", NULL), 200);
	req = expect(ask_with(site, &by_key, from_far, "GET /v1/models", NULL), 429);
	assert_string_equal(text_at(req, "error.code"), "rate_limited");
	assert_string_equal(text_at(req, "error.type"), "rate_limit_error");
	expect(read_once(site, &member, from_far), 429);
}

static void test_strangers_by_address(void **state)
{
	struct site *site = *state;

	for (int i = 0; i < 6; i++)
		expect(ask_with(site, &nobody, from_far, "GET /api/v1/status", NULL), 200);
	expect(ask_with(site, &nobody, from_far, "GET /api/v1/status", NULL), 429);
	expect(ask_with(site, &nobody, from_elsewhere, "GET /api/v1/status", NULL), 200);
	expect(read_once(site, &member, from_far), 200); /* who is signed in does not suffer from a neighbour */
}

static void test_wrong_keys_count(void **state)
{
	static const char *const wrong[] = { "X-Forwarded-For: 203.0.113.5", "Authorization: Bearer atl_nothing", NULL };
	struct site *site = *state;

	for (int i = 0; i < 6; i++)
		expect(ask_with(site, &nobody, wrong, "GET /v1/models", NULL), 401);
	expect(ask_with(site, &nobody, wrong, "GET /v1/models", NULL), 429);
}

static void test_sign_ins_by_address_whoever_asks(void **state)
{
	static const char body[] = "{\"name\":\"nobody here\",\"password\":\"something long\"}";
	struct site *site = *state;

	for (int i = 0; i < 4; i++)
		expect(ask_with(site, &member, from_far, "POST /api/v1/session", body), 401);
	expect_problem(ask_with(site, &member, from_far, "POST /api/v1/session", body), 429, "rate_limited", NULL);
	expect_problem(ask_with(site, &nobody, from_far, "POST /api/v1/session", body), 429, "rate_limited", NULL);
	expect(ask_with(site, &nobody, from_elsewhere, "POST /api/v1/session", body), 401);
}

/* Programs on this machine are counted, not refused, unless told. */
static void test_this_machine(void **state)
{
	const struct atl_rates_options strict = { .per_minute = { [ATL_RATE_READ] = 6 }, .local = true };
	struct site *site = *state;

	for (int i = 0; i < 20; i++)
		expect(ask(site, &member, "GET /api/v1/me", NULL), 200);
	assert_non_null(strstr(header(ask(site, &member, "GET /api/v1/me", NULL), "RateLimit"), ";r=0;"));
	atl_rates_destroy(site->app.rates);
	assert_int_equal(atl_rates_create(&strict, &site->app.rates), ATL_OK);
	for (int i = 0; i < 6; i++)
		expect(ask(site, &member, "GET /api/v1/me", NULL), 200);
	expect(ask(site, &member, "GET /api/v1/me", NULL), 429);
}

/* Whatever a stranger may send is a way in, or says why not. */
static void test_open_routes_are_sign_ins(void **state)
{
	static const char *const others[] = { "/hooks/" };
	size_t count = 0;

	for (size_t t = 0; atl_api_tables[t]; t++) {
		for (const struct atl_route *route = atl_api_tables[t]; route->path; route++) {
			bool excused = false;

			for (size_t i = 0; i < ATL_COUNT(others); i++)
				excused |= atl_str_starts(route->path, others[i]);
			excused |= (route->flags & ATL_ROUTE_UPLOAD) != 0; /* counted as uploads */
			if (route->method == ATL_GET || !atl_str_eq(route->permission, "public") || excused)
				continue;
			if (route->rate != ATL_CLASS_SIGN_IN && route->rate != ATL_CLASS_UPLOAD)
				fail_msg("%s is open to strangers: its row needs .rate", route->path);
			count++;
		}
	}
	assert_true(count >= 4);
}

static int setup(void **state)
{
	const struct atl_rates_options options = { .per_minute = { [ATL_RATE_READ] = 6, [ATL_RATE_WRITE] = 6,
								   [ATL_RATE_GENERATE] = 6, [ATL_RATE_SIGN_IN] = 4 } };
	struct site *site;

	site_setup(state);
	site = *state;
	person_create(site, "Member", ATL_ROLE_MEMBER, &member);
	person_key(site, &member, "chat", &by_key);
	return atl_rates_create(&options, &site->app.rates) != ATL_OK;
}

static int teardown(void **state)
{
	struct site *site = *state;

	atl_rates_destroy(site->app.rates);
	site->app.rates = NULL;
	return site_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_headers_count_down), TEST(test_refused_and_told_when), TEST(test_a_key_shares_its_users),
		TEST(test_strangers_by_address), TEST(test_wrong_keys_count), TEST(test_sign_ins_by_address_whoever_asks),
		TEST(test_this_machine), TEST(test_open_routes_are_sign_ins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
