/* Working in another person's name: who may, what it cannot do, what is written down, and how it ends. */
#include "base/clock.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/people/impersonation.h"
#include "support.h"

static struct person admin, member, other_admin, moderator;

/* What a browser has after the answer: its session's cookie and page token; `back`: the cookie that waits. */
static void take_session(struct atl_req *req, const char *back, struct person *out)
{
	const char *cookie = atl_mock_header(req, "Set-Cookie"); /* the first one */

	*out = (struct person){ .headers = { NULL } };
	assert_non_null(cookie);
	assert_true(atl_str_starts(cookie, ATL_COOKIE_NAME "="));
	atl_str_copy(out->cookie, sizeof(out->cookie), fmt("Cookie: %.*s%s%s", (int)strcspn(cookie, ";"), cookie, back ? "; " : "",
							   back ? back : ""));
	atl_str_copy(out->csrf, sizeof(out->csrf), fmt("X-CSRF-Token: %s", req->status == 201 ? text_at(req, "csrf_token") : ""));
	out->headers[0] = out->cookie;
	out->headers[1] = out->csrf;
	out->headers[2] = "Origin: http://localhost";
}

static struct atl_req *begin(struct site *site, const struct person *who, const struct person *as)
{
	return ask(site, who, fmt("POST /api/v1/users/%s/impersonate", as->id), "{\"why\":\"Her pictures do not open\"}");
}

static void as_member(struct site *site, struct person *session)
{
	take_session(expect(begin(site, &admin, &member), 201), NULL, session);
}

static void test_who_may(void **state)
{
	struct site *site = *state;
	struct person key, session;

	expect_problem(begin(site, &member, &moderator), 403, "forbidden", NULL);
	expect_problem(begin(site, &moderator, &member), 403, "forbidden", NULL);
	expect_problem(begin(site, &admin, &owner), 403, "forbidden", NULL);
	expect_problem(begin(site, &owner, &owner), 409, "conflict", NULL);
	person_key(site, &admin, "admin", &key);
	expect_problem(begin(site, &key, &member), 403, "forbidden", NULL);
	expect_problem(ask(site, &admin, fmt("POST /api/v1/users/%s/impersonate", member.id), "{\"why\":\"\"}"), 400, "invalid_request",
		       "why");
	expect_problem(ask(site, &admin, "POST /api/v1/users/usr_none/impersonate", "{\"why\":\"x\"}"), 404, "not_found", NULL);
	expect(ask(site, &owner, fmt("POST /api/v1/users/%s/suspend", moderator.id), "{}"), 200);
	expect_problem(begin(site, &admin, &moderator), 409, "conflict", NULL);
	expect(ask(site, &owner, fmt("POST /api/v1/users/%s/resume", moderator.id), "{}"), 200);
	/* an admin in an admin's name is no admin */
	take_session(expect(begin(site, &admin, &other_admin), 201), NULL, &session);
	expect_problem(ask(site, &session, "GET /api/v1/users", NULL), 403, "forbidden", NULL);
	expect(ask(site, &session, "DELETE /api/v1/impersonation", NULL), 204);
}

static void test_it_is_the_person(void **state)
{
	struct site *site = *state;
	struct person session;
	struct atl_req *req;

	as_member(site, &session);
	req = expect(ask(site, &session, "GET /api/v1/status", NULL), 200);
	assert_string_equal(text_at(req, "user.name"), "Mia");
	assert_string_equal(text_at(req, "impersonator"), "Ada");
	assert_true(is_null_at(expect(ask(site, &member, "GET /api/v1/status", NULL), 200), "impersonator"));
	expect(ask(site, &session, "GET /api/v1/conversations", NULL), 200);
	make_character(site, &session, "Bea");
	/* both names: whoever did it, and in whose name */
	req = expect(ask(site, &owner, fmt("GET /api/v1/audit?action=impersonation.change&who=%s", admin.id), NULL), 200);
	assert_non_null(strstr(req->out.data, fmt("as %s: POST /api/v1/characters", member.id)));
	req = expect(ask(site, &owner, fmt("GET /api/v1/audit?action=impersonation.start&target=%s", member.id), NULL), 200);
	assert_non_null(strstr(req->out.data, "Her pictures do not open"));
	/* the person sees it */
	req = expect(ask(site, &member, "GET /api/v1/me/impersonations", NULL), 200);
	assert_string_equal(text_at(req, "items.0.by_user_name"), "Ada");
	assert_string_equal(text_at(req, "items.0.why"), "Her pictures do not open");
	assert_true(is_null_at(req, "items.0.ended_at"));
	expect(ask(site, &session, "DELETE /api/v1/session", NULL), 204); /* signing out ends it as well */
	assert_false(is_null_at(expect(ask(site, &member, "GET /api/v1/me/impersonations", NULL), 200), "items.0.ended_at"));
}

/* Every route that is the person's own: asked from the table, so that a new one is closed as well. */
static void test_what_it_cannot(void **state)
{
	struct site *site = *state;
	struct person session;
	int asked = 0;

	as_member(site, &session);
	expect_problem(ask(site, &session, "POST /api/v1/me/password", "{\"current\":\"x\",\"password\":\"long enough 123\"}"), 403,
		       "not_while_impersonating", NULL);
	expect(ask(site, &session, "GET /api/v1/keys", NULL), 403);
	expect_problem(ask(site, &session, "POST /api/v1/webhooks", "{\"url\":\"https://example.com/\"}"), 403,
		       "not_while_impersonating", NULL);
	for (size_t t = 0; atl_api_tables[t]; t++) {
		for (const struct atl_route *route = atl_api_tables[t]; route->path; route++) {
			bool own = atl_str_eq(route->permission, "account.manage") || atl_str_eq(route->permission, "keys.manage");
			struct atl_req *req;

			if (!own || (route->method == ATL_GET && strstr("/api/v1/me/preferences /api/v1/sessions "
									"/api/v1/me/impersonations", route->path)) ||
			    atl_str_eq(route->path, "/api/v1/me/preferences"))
				continue;
			req = ask(site, &session, fmt("%s %s", atl_method_name(route->method), route->path), NULL);
			if (req->status != 403)
				fail_msg("%s %s: %d", atl_method_name(route->method), route->path, req->status);
			asked++;
		}
	}
	assert_true(asked > 10);
	expect(ask(site, &member, "GET /api/v1/keys", NULL), 200);
	expect(ask(site, &session, "DELETE /api/v1/impersonation", NULL), 204);
}

static void test_the_end(void **state)
{
	struct site *site = *state;
	struct person session, back;
	struct atl_req *req;
	const char *waiting = fmt("atelier_back=%s", strchr(admin.cookie, '=') + 1);

	/* stop: one's own session goes on */
	take_session(expect(begin(site, &admin, &member), 201), waiting, &session);
	req = expect(ask(site, &session, "DELETE /api/v1/impersonation", NULL), 204);
	take_session(req, NULL, &back);
	assert_string_equal(text_at(expect(ask(site, &back, "GET /api/v1/me", NULL), 200), "name"), "Ada");
	expect(ask(site, &session, "GET /api/v1/me", NULL), 401);
	expect_problem(ask(site, &admin, "DELETE /api/v1/impersonation", NULL), 409, "conflict", NULL);
	/* a cookie of somebody else's is not taken up */
	take_session(expect(begin(site, &admin, &member), 201), fmt("atelier_back=%s", strchr(owner.cookie, '=') + 1), &session);
	req = expect(ask(site, &session, "DELETE /api/v1/impersonation", NULL), 204);
	take_session(req, NULL, &back);
	expect(ask(site, &back, "GET /api/v1/me", NULL), 401);
	/* an hour at most */
	as_member(site, &session);
	expect(ask(site, &session, "GET /api/v1/me", NULL), 200);
	execute(site->app.db, fmt("UPDATE impersonations SET expires_at = %lld", (long long)atl_now_ms()));
	atl_auth_forget_user(site->app.auth, member.id);
	expect(ask(site, &session, "GET /api/v1/me", NULL), 401);
	/* nor longer than whoever began it manages people */
	as_member(site, &session);
	expect(ask(site, &owner, fmt("PATCH /api/v1/users/%s", admin.id), "{\"role\":\"member\"}"), 200);
	atl_auth_forget_user(site->app.auth, member.id);
	expect(ask(site, &session, "GET /api/v1/me", NULL), 401);
	expect(ask(site, &owner, fmt("PATCH /api/v1/users/%s", admin.id), "{\"role\":\"admin\"}"), 200);
}

static int setup(void **state)
{
	site_setup(state);
	person_create(*state, "Ada", ATL_ROLE_ADMIN, &admin);
	person_create(*state, "Abe", ATL_ROLE_ADMIN, &other_admin);
	person_create(*state, "Mia", ATL_ROLE_MEMBER, &member);
	person_create(*state, "Mo", ATL_ROLE_MODERATOR, &moderator);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_may),
		cmocka_unit_test(test_it_is_the_person),
		cmocka_unit_test(test_what_it_cannot),
		cmocka_unit_test(test_the_end),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
