/* Setup once, sign-in and its throttle, sessions, one's own account, API keys. */
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/str.h"
#include "core/access/api_key.h"
#include "core/access/auth.h"
#include "support.h"

#define ACCOUNT "{\"name\":\"Olga\",\"password\":\"correct horse\"}"
#define WRONG "{\"name\":\"Olga\",\"password\":\"wrong horse\"}"

static int bare_setup(void **state)
{
	*state = site_create();
	return 0;
}

/* Requests as from another machine: behind the trusted proxy. */
static struct atl_req *ask_from(struct site *site, const char *address, const char *more, const char *line,
				const char *body)
{
	const char *const headers[] = { fmt("X-Forwarded-For: %s", address), more, NULL };

	return ask_with(site, &nobody, headers, line, body);
}

/* ---- setup ---- */

static void test_setup_on_this_machine(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &nobody, "GET /api/v1/status", NULL), 200);

	assert_int_equal(int_at(req, "setup_required"), 1);
	assert_int_equal(int_at(req, "setup_token_required"), 0);
	assert_true(is_null_at(req, "user"));
	req = expect(ask(site, &nobody, "POST /api/v1/setup", ACCOUNT), 201);
	assert_string_equal(text_at(req, "user.role"), "owner");
	assert_true(strlen(text_at(req, "csrf_token")) > 20);
	assert_non_null(strstr(atl_mock_header(req, "Set-Cookie"), ATL_COOKIE_NAME "="));
	assert_non_null(strstr(atl_mock_header(req, "Set-Cookie"), "HttpOnly"));
	assert_non_null(strstr(atl_mock_header(req, "Set-Cookie"), "SameSite=Lax"));
	expect_problem(ask(site, &nobody, "POST /api/v1/setup", ACCOUNT), 409, "conflict", NULL);
	req = expect(ask(site, &nobody, "GET /api/v1/status", NULL), 200);
	assert_int_equal(int_at(req, "setup_required"), 0);
	assert_int_equal(int_at(req, "last_event_id"), 0); /* of nobody */
}

static void test_setup_from_elsewhere_needs_the_token(void **state)
{
	struct site *site = *state;
	const char *body = fmt("{\"name\":\"Olga\",\"password\":\"correct horse\",\"token\":\"%s\"}", site->setup_token);

	assert_int_equal(int_at(expect(ask_from(site, "203.0.113.9", NULL, "GET /api/v1/status", NULL), 200),
				"setup_token_required"), 1);
	expect_problem(ask_from(site, "203.0.113.9", NULL, "POST /api/v1/setup", ACCOUNT), 401, "bad_credentials", "token");
	expect_problem(ask_from(site, "203.0.113.9", NULL, "POST /api/v1/setup",
				"{\"name\":\"Olga\",\"password\":\"correct horse\",\"token\":\"\"}"), 401, "bad_credentials", "token");
	expect(ask_from(site, "203.0.113.9", NULL, "POST /api/v1/setup", body), 201);
	expect_problem(ask_from(site, "203.0.113.9", NULL, "POST /api/v1/setup", body), 409, "conflict", NULL);
}

static void test_setup_checks_what_is_given(void **state)
{
	expect_problem(ask(*state, &nobody, "POST /api/v1/setup", "{\"name\":\"Olga\",\"password\":\"short\"}"), 400,
		       "invalid_request", "password");
	expect_problem(ask(*state, &nobody, "POST /api/v1/setup", "{\"password\":\"correct horse\"}"), 400,
		       "invalid_request", "name");
	assert_int_equal(number_of(((struct site *)*state)->app.db, "SELECT count(*) FROM users"), 0);
}

/* ---- sign-in ---- */

static void test_sign_in_and_out(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &nobody, "POST /api/v1/session", ACCOUNT), 201);
	const char *set = atl_mock_header(req, "Set-Cookie"), *csrf = text_at(req, "csrf_token");
	struct person person = { .headers = { fmt("Cookie: %.*s", (int)strcspn(set, ";"), set),
					      fmt("X-CSRF-Token: %s", csrf), "Origin: http://localhost", NULL } };

	req = expect(ask(site, &person, "GET /api/v1/session", NULL), 200);
	assert_string_equal(text_at(req, "user.name"), "Olga");
	assert_string_equal(text_at(req, "csrf_token"), csrf);
	req = expect(ask(site, &person, "DELETE /api/v1/session", NULL), 204);
	assert_non_null(strstr(atl_mock_header(req, "Set-Cookie"), "Max-Age=0"));
	expect_problem(ask(site, &person, "GET /api/v1/session", NULL), 401, "not_signed_in", NULL);
	req = expect(ask(site, &nobody, "POST /api/v1/session", WRONG), 401);
	assert_string_equal(text_at(req, "slug"), "bad_credentials");
	expect_problem(ask(site, &nobody, "POST /api/v1/session", "{\"name\":\"Nobody\",\"password\":\"correct horse\"}"), 401,
		       "bad_credentials", NULL);
}

static void test_over_tls_the_cookie_is_secure(void **state)
{
	static const char *const tls[] = { "X-Forwarded-For: 203.0.113.77", "X-Forwarded-Proto: https", NULL };
	struct atl_req *req = expect(ask_with(*state, &nobody, tls, "POST /api/v1/session", ACCOUNT), 201);
	const char *set = atl_mock_header(req, "Set-Cookie");

	assert_int_equal(strncmp(set, ATL_COOKIE_NAME_SECURE "=", strlen(ATL_COOKIE_NAME_SECURE) + 1), 0);
	assert_non_null(strstr(set, "; Secure"));
}

/* A stranger who guesses waits; the owner at his own address signs in all the while. */
static void test_throttle_slows_strangers_only(void **state)
{
	struct site *site = *state;
	struct atl_req *req = NULL;
	const char *device, *cookie;
	int tries = 0;

	req = expect(ask_from(site, "198.51.100.7", NULL, "POST /api/v1/session", ACCOUNT), 201); /* at home here */
	device = strstr(atl_mock_lines(req), "atelier_device=");
	assert_non_null(device);
	cookie = fmt("Cookie: %.*s", (int)strcspn(device, ";"), device);
	clock_hold(); /* the first wait is one second */
	while (tries < 20) {
		req = ask_from(site, "203.0.113.50", NULL, "POST /api/v1/session", WRONG);
		if (req->status == 429)
			break;
		expect(req, 401);
		tries++;
	}
	assert_in_range(tries, 1, 5);
	expect_problem(req, 429, "throttled", NULL);
	assert_true(int_at(req, "retry_after_s") > 0);
	assert_non_null(atl_mock_header(req, "Retry-After"));
	/* not even with the right password while he waits */
	expect(ask_from(site, "203.0.113.50", NULL, "POST /api/v1/session", ACCOUNT), 429);
	expect(ask_from(site, "198.51.100.7", NULL, "POST /api/v1/session", ACCOUNT), 201);
	/* the owner's own browser behind the stranger's address is known by its cookie, a forged one is not */
	expect(ask_from(site, "203.0.113.50", fmt("%s0", cookie), "POST /api/v1/session", ACCOUNT), 429);
	expect(ask_from(site, "203.0.113.50", cookie, "POST /api/v1/session", ACCOUNT), 201);
}

/* ---- sessions ---- */

static void test_sessions_are_listed_and_ended(void **state)
{
	struct site *site = *state;
	struct person second, stranger;
	struct atl_req *req;

	person_create(site, "Nora", ATL_ROLE_OWNER, &second);
	person_create(site, "Strange", ATL_ROLE_MEMBER, &stranger);
	req = expect(ask(site, &second, "GET /api/v1/status", NULL), 200);
	assert_true(int_at(req, "last_event_id") > 0); /* from when on the page listens */
	req = expect(ask(site, &second, "POST /api/v1/session", "{\"name\":\"nora\",\"password\":\"correct horse\"}"), 201);
	req = expect(ask(site, &second, "GET /api/v1/sessions", NULL), 200);
	assert_int_equal(count_at(req, "items"), 2);
	assert_int_equal(int_at(req, "items.0.current") + int_at(req, "items.1.current"), 1);
	for (int i = 0; i < 2; i++) {
		const char *id = text_at(req, fmt("items.%d.id", i));

		assert_null(strstr(req->out.data, "token"));
		if (int_at(req, fmt("items.%d.current", i)))
			continue;
		expect(ask(site, &stranger, fmt("DELETE /api/v1/sessions/%s", id), NULL), 404);
		expect(ask(site, &second, fmt("DELETE /api/v1/sessions/%s", id), NULL), 204);
		expect(ask(site, &second, fmt("DELETE /api/v1/sessions/%s", id), NULL), 404);
	}
	expect(ask(site, &second, fmt("DELETE /api/v1/sessions/%s", second.session_id), NULL), 204);
	expect(ask(site, &second, "GET /api/v1/me", NULL), 401);
}

static void test_password_change_ends_other_sessions(void **state)
{
	struct site *site = *state;
	struct person person;
	struct atl_req *req;
	struct person other = { 0 };

	person_create(site, "Petra", ATL_ROLE_MEMBER, &person);
	req = expect(ask(site, &nobody, "POST /api/v1/session", "{\"name\":\"Petra\",\"password\":\"correct horse\"}"), 201);
	other.headers[0] = fmt("Cookie: %.*s", (int)strcspn(atl_mock_header(req, "Set-Cookie"), ";"),
			       atl_mock_header(req, "Set-Cookie"));
	expect(ask(site, &other, "GET /api/v1/me", NULL), 200);
	expect_problem(ask(site, &person, "POST /api/v1/me/password", "{\"current\":\"wrong\",\"password\":\"new horse 2\"}"), 401,
		       "bad_credentials", "current");
	expect_problem(ask(site, &person, "POST /api/v1/me/password", "{\"current\":\"correct horse\",\"password\":\"short\"}"),
		       400, "invalid_request", "password");
	expect(ask(site, &person, "POST /api/v1/me/password", "{\"current\":\"correct horse\",\"password\":\"new horse 2\"}"), 204);
	expect(ask(site, &other, "GET /api/v1/me", NULL), 401);
	expect(ask(site, &person, "GET /api/v1/me", NULL), 200);
	expect(ask(site, &nobody, "POST /api/v1/session", "{\"name\":\"Petra\",\"password\":\"correct horse\"}"), 401);
	expect(ask(site, &nobody, "POST /api/v1/session", "{\"name\":\"Petra\",\"password\":\"new horse 2\"}"), 201);
}

static void test_own_account(void **state)
{
	struct site *site = *state;
	struct person person;
	struct atl_req *req;
	struct atl_buf big;

	person_create(site, "Quinn", ATL_ROLE_MEMBER, &person);
	req = expect(ask(site, &person, "PATCH /api/v1/me", "{\"name\":\"Quentin\"}"), 200);
	assert_string_equal(text_at(req, "name"), "Quentin");
	assert_string_equal(text_at(expect(ask(site, &person, "GET /api/v1/session", NULL), 200), "user.name"), "Quentin");
	expect_problem(ask(site, &person, "PATCH /api/v1/me", "{\"name\":\"OLGA\"}"), 409, "conflict", NULL);
	assert_string_equal(expect(ask(site, &person, "GET /api/v1/me/preferences", NULL), 200)->out.data, "{}");
	req = expect(ask(site, &person, "PUT /api/v1/me/preferences", "{\"theme\":\"dark\",\"a\":[1,{\"b\":null}]}"), 200);
	req = expect(ask(site, &person, "GET /api/v1/me/preferences", NULL), 200);
	assert_string_equal(req->out.data, "{\"theme\":\"dark\",\"a\":[1,{\"b\":null}]}");
	expect(ask(site, &person, "PUT /api/v1/me/preferences", "[1]"), 400);
	atl_buf_init(&big, 200000);
	atl_buf_adds(&big, "{\"x\":\"");
	for (int i = 0; i < 70000; i++)
		atl_buf_addc(&big, 'x');
	atl_buf_adds(&big, "\"}");
	expect(ask(site, &person, "PUT /api/v1/me/preferences", big.data), 413);
	atl_buf_finish(&big);
}

/* ---- keys ---- */

static void test_keys(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "POST /api/v1/keys", "{\"name\":\"cli\",\"scopes\":[\"chat\"]}"), 201);
	const char *id = text_at(req, "id"), *key = text_at(req, "key");
	struct person caller = { .headers = { fmt("Authorization: Bearer %s", key), NULL } };
	unsigned char hash[ATL_SHA256_SIZE];
	char hex[ATL_SHA256_SIZE * 2 + 1];

	assert_int_equal(strncmp(key, "atl_", 4), 0);
	assert_int_equal(strncmp(key, text_at(req, "prefix"), strlen(text_at(req, "prefix"))), 0);
	expect(ask(site, &caller, "GET /api/v1/conversations", NULL), 200);
	expect_problem(ask(site, &caller, "GET /api/v1/characters", NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &caller, "POST /api/v1/keys", "{\"name\":\"x\",\"scopes\":[\"admin\"]}"), 403, "forbidden", NULL);
	/* shown once */
	req = expect(ask(site, &owner, "GET /api/v1/keys", NULL), 200);
	assert_string_equal(text_at(req, "items.0.id"), id);
	assert_null(strstr(req->out.data, key));
	assert_null(strstr(req->out.data, "\"key\""));
	/* hashed at rest */
	atl_sha256(key, strlen(key), hash);
	atl_hex_encode(hash, sizeof(hash), hex);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM api_keys WHERE key_hash = '%s'", hex)), 1);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM api_keys WHERE key_hash LIKE '%%%s%%'", key + 4)), 0);
	expect(ask(site, &owner, fmt("DELETE /api/v1/keys/%s", id), NULL), 204);
	expect_problem(ask(site, &caller, "GET /api/v1/conversations", NULL), 401, "invalid_api_key", NULL);
	expect(ask(site, &owner, fmt("DELETE /api/v1/keys/%s", id), NULL), 404);
}

static void test_keys_are_checked(void **state)
{
	static const char *const bodies[] = {
		"{\"name\":\"x\",\"scopes\":[]}",
		"{\"name\":\"x\",\"scopes\":[\"everything\"]}",
		"{\"name\":\"\",\"scopes\":[\"chat\"]}",
		"{\"name\":\"x\",\"scopes\":[\"chat\"],\"expires_at\":\"2001-01-01T00:00:00Z\"}",
		"{\"name\":\"x\",\"scopes\":\"chat\"}",
	};

	for (size_t i = 0; i < ATL_COUNT(bodies); i++)
		expect_problem(ask(*state, &owner, "POST /api/v1/keys", bodies[i]), 400, "invalid_request", NULL);
}

int main(void)
{
	const struct CMUnitTest first[] = {
		cmocka_unit_test_setup_teardown(test_setup_on_this_machine, bare_setup, site_teardown),
		cmocka_unit_test_setup_teardown(test_setup_from_elsewhere_needs_the_token, bare_setup, site_teardown),
		cmocka_unit_test_setup_teardown(test_setup_checks_what_is_given, bare_setup, site_teardown),
		cmocka_unit_test_setup_teardown(test_sign_in_and_out, site_setup, site_teardown),
		cmocka_unit_test_setup_teardown(test_over_tls_the_cookie_is_secure, site_setup, site_teardown),
		cmocka_unit_test_setup_teardown(test_throttle_slows_strangers_only, site_setup, site_teardown),
		cmocka_unit_test_setup_teardown(test_sessions_are_listed_and_ended, site_setup, site_teardown),
		cmocka_unit_test_setup_teardown(test_password_change_ends_other_sessions, site_setup, site_teardown),
		cmocka_unit_test_setup_teardown(test_own_account, site_setup, site_teardown),
		cmocka_unit_test_setup_teardown(test_keys, site_setup, site_teardown),
		cmocka_unit_test_setup_teardown(test_keys_are_checked, site_setup, site_teardown),
	};

	return cmocka_run_group_tests(first, NULL, NULL);
}
