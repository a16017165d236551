/* The second factor end to end, and the rules of sign-in services that need no service. */
#include "support.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "core/access/oidc.h"
#include "core/access/second_factor.h"
#include "core/access/throttle.h"
#include "core/access/totp.h"

#define PASSWORD "a password of vera"

static struct person vera;

/* The bytes of a key as the app would have it. */
static size_t base32_decode(const char *text, unsigned char *out)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint32_t held = 0;
	unsigned bits = 0;
	size_t length = 0;

	for (; *text; text++) {
		held = (held << 5) | (uint32_t)(strchr(letters, *text) - letters);
		bits += 5;
		if (bits >= 8) {
			out[length++] = (unsigned char)(held >> (bits - 8));
			bits -= 8;
		}
	}
	return length;
}

/* The app's code `ahead` steps from now. */
static const char *code_of(const char *secret, int ahead)
{
	unsigned char bytes[64];
	char code[ATL_TOTP_DIGITS + 1];
	size_t length = base32_decode(secret, bytes);

	atl_totp_code(bytes, length, (uint64_t)(atl_now_ms() / 1000 / ATL_TOTP_STEP_S + ahead), code);
	return fmt("%s", code);
}

static const char *set_up(struct site *site, const char *recovery[ATL_RECOVERY_CODES])
{
	struct atl_req *req = expect(ask(site, &vera, "POST /api/v1/me/second-factor", "{\"password\":\"" PASSWORD "\"}"), 201);
	const char *secret = fmt("%s", text_at(req, "secret"));

	assert_non_null(strstr(text_at(req, "url"), secret));
	req = expect(ask(site, &vera, "POST /api/v1/me/second-factor/confirm", fmt("{\"code\":\"%s\"}", code_of(secret, -1))), 200);
	for (int i = 0; i < ATL_RECOVERY_CODES; i++)
		recovery[i] = fmt("%s", text_at(req, fmt("recovery_codes.%d", i)));
	return secret;
}

static struct atl_req *sign_in(struct site *site)
{
	return ask(site, &nobody, "POST /api/v1/session", "{\"name\":\"Vera\",\"password\":\"" PASSWORD "\"}");
}

/* The browser that did the first step. */
static void step_of(struct atl_req *req, struct person *out)
{
	const char *line = strstr(atl_mock_lines(req), "atelier_second=");

	assert_non_null(line);
	*out = (struct person){ 0 };
	snprintf(out->cookie, sizeof(out->cookie), "Cookie: %.*s", (int)strcspn(line, ";"), line);
	out->headers[0] = out->cookie;
}

static struct atl_req *second(struct site *site, const struct person *browser, const char *code)
{
	return ask(site, browser, "POST /api/v1/session/second", fmt("{\"code\":\"%s\"}", code));
}

static int setup(void **state)
{
	struct site *site;

	if (site_setup(state))
		return 1;
	site = *state;
	person_create(site, "Vera", ATL_ROLE_MEMBER, &vera);
	execute(site->app.db, "DELETE FROM second_steps");
	{
		char hash[ATL_PASSWORD_HASH_SIZE];

		if (atl_password_hash(PASSWORD, hash) != ATL_OK)
			return 1;
		execute(site->app.db, fmt("UPDATE users SET password_hash = '%s' WHERE id = '%s'", hash, vera.id));
	}
	return 0;
}

static void test_two_steps(void **state)
{
	struct site *site = *state;
	const char *recovery[ATL_RECOVERY_CODES], *secret;
	struct person browser;
	struct atl_req *req;

	expect(sign_in(site), 201);
	expect_problem(ask(site, &vera, "POST /api/v1/me/second-factor", "{\"password\":\"wrong\"}"), 401, "bad_credentials", "password");
	expect_problem(ask(site, &vera, "POST /api/v1/me/second-factor/confirm", "{\"code\":\"123456\"}"), 409, "conflict", NULL);
	secret = set_up(site, recovery);
	req = expect(ask(site, &vera, "GET /api/v1/me/second-factor", NULL), 200);
	assert_int_equal(int_at(req, "recovery_codes_left"), ATL_RECOVERY_CODES);
	assert_null(strstr(req->out.data, secret));
	expect_problem(ask(site, &vera, "POST /api/v1/me/second-factor", "{\"password\":\"" PASSWORD "\"}"), 409, "conflict", NULL);

	/* the password alone opens nothing */
	req = sign_in(site);
	expect_problem(req, 401, "second_factor_required", NULL);
	assert_null(strstr(atl_mock_lines(req), ATL_COOKIE_NAME "="));
	step_of(req, &browser);
	expect(ask(site, &browser, "GET /api/v1/me", NULL), 401);
	/* the code that turned it on was used up; one works once; without the first step none works */
	expect_problem(second(site, &browser, code_of(secret, -1)), 401, "bad_credentials", "code");
	expect_problem(second(site, &nobody, code_of(secret, 0)), 410, "gone", NULL);
	req = expect(second(site, &browser, code_of(secret, 0)), 201);
	assert_non_null(strstr(atl_mock_lines(req), ATL_COOKIE_NAME "="));
	expect_problem(second(site, &browser, code_of(secret, 1)), 410, "gone", NULL);
	step_of(sign_in(site), &browser);
	expect_problem(second(site, &browser, code_of(secret, 0)), 401, "bad_credentials", "code");
	/* recovery codes, as people type them, once each */
	expect(second(site, &browser, fmt(" %s", recovery[3])), 201);
	step_of(sign_in(site), &browser);
	expect_problem(second(site, &browser, recovery[3]), 401, "bad_credentials", "code");
	expect(second(site, &browser, recovery[4]), 201);
	assert_int_equal(int_at(ask(site, &vera, "GET /api/v1/me/second-factor", NULL), "recovery_codes_left"), ATL_RECOVERY_CODES - 2);

	/* off with the password alone */
	expect_problem(ask(site, &vera, "POST /api/v1/me/second-factor/off", fmt("{\"code\":\"%s\"}", recovery[5])), 401,
		       "bad_credentials", "password");
	expect(ask(site, &vera, "POST /api/v1/me/second-factor/off", "{\"password\":\"" PASSWORD "\"}"), 204);
	expect(sign_in(site), 201);
}

static void test_taken_off_by_another(void **state)
{
	struct site *site = *state;
	const char *recovery[ATL_RECOVERY_CODES];
	const char *route = fmt("DELETE /api/v1/users/%s/second-factor", vera.id);
	struct person mod, other;

	person_create(site, "Mo", ATL_ROLE_MODERATOR, &mod);
	person_create(site, "Ann", ATL_ROLE_ADMIN, &other);
	execute(site->app.db, "DELETE FROM totp");
	expect_problem(ask(site, &other, route, NULL), 404, "not_found", NULL);
	set_up(site, recovery);
	expect_problem(ask(site, &mod, route, NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &vera, route, NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &other, fmt("DELETE /api/v1/users/%s/second-factor", owner.id), NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &other, fmt("DELETE /api/v1/users/%s/second-factor", other.id), NULL), 409, "conflict", NULL);
	expect(ask(site, &vera, "GET /api/v1/me", NULL), 200);
	expect(ask(site, &other, route, NULL), 204);
	/* who was in is out, and the password alone is enough again */
	expect(ask(site, &vera, "GET /api/v1/me", NULL), 401);
	expect(sign_in(site), 201);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM audit WHERE action = 'second_factor.disable' AND user_id = "
						      "'%s' AND target_id = '%s'", other.id, vera.id)), 1);
	/* a link to a new password: the same people may make it, and it is kept as a hash */
	route = fmt("POST /api/v1/users/%s/reset-link", vera.id);
	expect_problem(ask(site, &mod, route, NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &other, fmt("POST /api/v1/users/%s/reset-link", owner.id), NULL), 403, "forbidden", NULL);
	{
		struct atl_req *req = expect(ask(site, &other, route, NULL), 201);
		const char *token = strstr(text_at(req, "url"), "token=");

		assert_non_null(token);
		assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM one_time_links WHERE token_hash = '%s'", token + 6)), 0);
		assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM one_time_links"), 1);
		expect(ask(site, &nobody, "POST /api/v1/password-reset/finish",
			   fmt("{\"token\":\"%s\",\"password\":\"%s\"}", token + 6, PASSWORD " again")), 204);
	}
	expect(sign_in(site), 401);
}

static void test_wrong_codes_end_the_step(void **state)
{
	struct site *site = *state;
	const char *recovery[ATL_RECOVERY_CODES], *secret = set_up(site, recovery);
	struct person browser;
	const char *browser_address = "";
	int refused = 0;

	step_of(sign_in(site), &browser);
	for (int i = 0; i < ATL_SECOND_TRIES; i++) {
		struct atl_req *req = second(site, &browser, "000000x");

		refused += req->status == 401;
		browser_address = fmt("%s", req->remote);
	}
	assert_int_equal(refused, ATL_SECOND_TRIES);
	expect_problem(second(site, &browser, code_of(secret, 0)), 410, "gone", NULL);
	expect_problem(second(site, &browser, recovery[0]), 410, "gone", NULL);
	/* a step too old */
	atl_throttle_success(site->app.throttle, browser_address, "second", NULL);
	step_of(sign_in(site), &browser);
	execute(site->app.db, "UPDATE second_steps SET expires_at = 1");
	expect_problem(second(site, &browser, recovery[0]), 410, "gone", NULL);
	/* in the database: neither the secret nor a code */
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM totp WHERE secret_sealed LIKE '%%%s%%'", secret)), 0);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM recovery_codes WHERE code_hash LIKE '%%%s%%'", recovery[0])), 0);
}

static void test_services(void **state)
{
	struct site *site = *state;
	struct atl_req *req;
	const char *id;

	expect_problem(ask(site, &owner, "POST /api/v1/login-providers",
			   "{\"preset\":\"generic\",\"name\":\"X\",\"issuer\":\"http://id.example\",\"client_id\":\"c\"}"), 400,
		       "invalid_request", "issuer");
	expect_problem(ask(site, &owner, "POST /api/v1/login-providers", "{\"preset\":\"generic\",\"name\":\"X\",\"client_id\":\"c\"}"), 400,
		       "invalid_request", "issuer");
	req = expect(ask(site, &owner, "POST /api/v1/login-providers",
			 "{\"preset\":\"google\",\"client_id\":\"c\",\"secret\":\"very secret\"}"), 201);
	assert_string_equal(text_at(req, "issuer"), "https://accounts.google.com");
	assert_string_equal(text_at(req, "name"), "Google");
	assert_null(strstr(req->out.data, "very secret"));
	id = fmt("%s", text_at(req, "id"));
	expect_problem(ask(site, &owner, "POST /api/v1/login-providers", "{\"preset\":\"google\",\"client_id\":\"d\"}"), 409, "conflict",
		       "issuer");
	req = expect(ask(site, &nobody, "GET /api/v1/login", NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	assert_null(strstr(req->out.data, "client_id"));
	expect_problem(ask(site, &vera, "GET /api/v1/login-providers", NULL), 403, "forbidden", NULL);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM login_providers WHERE secret_sealed LIKE '%secret%'"), 0);
	expect(ask(site, &owner, fmt("DELETE /api/v1/login-providers/%s", id), NULL), 204);
	expect_problem(ask(site, &owner, fmt("DELETE /api/v1/login-providers/%s", id), NULL), 404, "not_found", NULL);
}

static void test_callback_without_a_start(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &nobody, "GET /login/callback?state=abc&code=def", NULL), 303);

	assert_string_equal(atl_mock_header(req, "Location"), "/?login=stale");
	req = expect(ask(site, &nobody, "GET /api/v1/login/lgp_none/start", NULL), 303);
	assert_string_equal(atl_mock_header(req, "Location"), "/?login=off");
}

/* Whoever begins without end uses up what is theirs. */
static void test_sign_ins_under_way_by_address(void **state)
{
	static const char *const near[] = { "X-Forwarded-For: 2001:db8:1:2::7", NULL };
	static const char *const next_door[] = { "X-Forwarded-For: 2001:db8:1:2:3::9", NULL };
	static const char *const far[] = { "X-Forwarded-For: 203.0.113.5", NULL };
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "POST /api/v1/login-providers",
					 "{\"preset\":\"github\",\"client_id\":\"c\",\"secret\":\"very secret\"}"), 201);
	const char *line = fmt("GET /api/v1/login/%s/start", text_at(req, "id"));

	for (int i = 0; i < ATL_OIDC_ATTEMPTS_ADDRESS_MAX; i++) {
		req = expect(ask_with(site, &nobody, near, line, NULL), 303);
		assert_true(atl_str_starts(atl_mock_header(req, "Location"), "https://github.com/"));
	}
	req = expect(ask_with(site, &nobody, next_door, line, NULL), 303);
	assert_string_equal(atl_mock_header(req, "Location"), "/?login=busy");
	req = expect(ask_with(site, &nobody, far, line, NULL), 303);
	assert_true(atl_str_starts(atl_mock_header(req, "Location"), "https://github.com/"));
	execute(site->app.db, "UPDATE login_attempts SET expires_at = 1");
	req = expect(ask_with(site, &nobody, near, line, NULL), 303);
	assert_true(atl_str_starts(atl_mock_header(req, "Location"), "https://github.com/"));
}

static void test_all_other_sessions_end(void **state)
{
	struct site *site = *state;
	struct person browser = { 0 };
	const char *line;
	struct atl_req *req;

	execute(site->app.db, "DELETE FROM totp");
	req = expect(sign_in(site), 201);
	line = strstr(atl_mock_lines(req), ATL_COOKIE_NAME "=");
	assert_non_null(line);
	snprintf(browser.cookie, sizeof(browser.cookie), "Cookie: %.*s", (int)strcspn(line, ";"), line);
	browser.headers[0] = browser.cookie;
	expect(ask(site, &browser, "GET /api/v1/me", NULL), 200);
	expect(ask(site, &vera, "DELETE /api/v1/sessions", NULL), 204);
	expect(ask(site, &browser, "GET /api/v1/me", NULL), 401);
	req = expect(ask(site, &vera, "GET /api/v1/sessions", NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_steps),
		cmocka_unit_test(test_wrong_codes_end_the_step),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_callback_without_a_start),
		cmocka_unit_test(test_sign_ins_under_way_by_address),
		cmocka_unit_test(test_all_other_sessions_end),
		cmocka_unit_test(test_taken_off_by_another), /* last: vera's session and password end */
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
