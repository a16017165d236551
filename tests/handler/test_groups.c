/* Groups of people and allowances as the page uses them: made, named, filled, deleted; quotas by name, asking, granting. */
#include "base/str.h"
#include "support.h"

static struct person member, moderator;

static const char *make_group(struct site *site, const char *name)
{
	return text_at(expect(ask(site, &owner, "POST /api/v1/groups", fmt("{\"name\":\"%s\"}", name)), 201), "id");
}

static void test_groups(void **state)
{
	struct site *site = *state;
	const char *id = make_group(site, "Friends"), *other = make_group(site, "Family");
	struct atl_req *req;

	expect_problem(ask(site, &owner, "POST /api/v1/groups", "{\"name\":\"fRIENDS\"}"), 409, "conflict", "name");
	expect_problem(ask(site, &owner, "POST /api/v1/groups", "{\"name\":\" x\"}"), 400, "invalid_request", "name");
	expect_problem(ask(site, &owner, fmt("PUT /api/v1/groups/%s", other), "{\"name\":\"Friends\"}"), 409, "conflict", "name");
	expect_problem(ask(site, &owner, "PUT /api/v1/groups/grp_none", "{\"name\":\"x\"}"), 404, "not_found", NULL);
	expect_problem(ask(site, &member, "GET /api/v1/groups", NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &moderator, "POST /api/v1/groups", "{\"name\":\"x\"}"), 403, "forbidden", NULL);
	assert_string_equal(text_at(expect(ask(site, &owner, fmt("PUT /api/v1/groups/%s", other), "{\"name\":\"Kin\"}"), 200), "name"),
			    "Kin");
	expect(ask(site, &owner, fmt("PATCH /api/v1/users/%s", member.id), fmt("{\"groups\":[\"%s\",\"%s\"]}", id, other)), 200);
	req = expect(ask(site, &owner, "GET /api/v1/groups", NULL), 200);
	assert_int_equal(count_at(req, "items"), 2);
	assert_int_equal(int_at(req, "items.0.users"), 1);
	expect(ask(site, &owner, fmt("DELETE /api/v1/groups/%s", other), NULL), 204);
	expect_problem(ask(site, &owner, fmt("DELETE /api/v1/groups/%s", other), NULL), 404, "not_found", NULL);
	req = expect(ask(site, &owner, fmt("GET /api/v1/users/%s", member.id), NULL), 200);
	assert_int_equal(count_at(req, "groups"), 1);
	expect_problem(ask(site, &owner, fmt("PATCH /api/v1/users/%s", member.id), "{\"groups\":[\"grp_none\"]}"), 400,
		       "invalid_request", "groups");
}

static struct atl_req *put_quota(struct site *site, const char *scope, const char *subject, int amount)
{
	return ask(site, &owner, "PUT /api/v1/quotas",
		   fmt("{\"scope\":\"%s\",\"subject\":\"%s\",\"kind\":\"pictures\",\"span\":\"day\",\"amount\":%d}", scope, subject, amount));
}

/* People write names; what is stored and told is the id, and the name beside it. */
static void test_quotas_by_name(void **state)
{
	struct site *site = *state;
	const char *group = make_group(site, "Readers");
	struct atl_req *req;

	req = expect(put_quota(site, "group", "readers", 7), 200);
	assert_string_equal(text_at(req, "subject"), group);
	assert_string_equal(text_at(req, "subject_name"), "Readers");
	req = expect(put_quota(site, "user", "MIA", 5), 200);
	assert_string_equal(text_at(req, "subject"), member.id);
	assert_string_equal(text_at(req, "subject_name"), "Mia");
	req = expect(put_quota(site, "user", member.id, 6), 200); /* the same one, by id */
	assert_int_equal(int_at(req, "amount"), 6);
	assert_int_equal(int_at(req, "version"), 2);
	assert_string_equal(text_at(expect(put_quota(site, "role", "guest", 1), 200), "subject"), "guest");
	expect_problem(put_quota(site, "group", "nobody", 1), 404, "not_found", "subject");
	expect_problem(put_quota(site, "key", "", 1), 404, "not_found", "subject");
	expect_problem(put_quota(site, "planet", "x", 1), 400, "invalid_request", "scope");
	expect_problem(put_quota(site, "user", member.id, -1), 400, "invalid_request", "amount");
	assert_true(is_null_at(expect(put_quota(site, "everyone", "", 100), 200), "subject_name"));
	req = expect(ask(site, &owner, "GET /api/v1/quotas", NULL), 200);
	assert_int_equal(count_at(req, "items"), 4);
	expect_problem(ask(site, &member, "GET /api/v1/quotas", NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &owner, "DELETE /api/v1/quotas/quo_none", NULL), 404, "not_found", NULL);
}

static void test_granting_another_amount(void **state)
{
	struct site *site = *state;
	const char *quota = text_at(expect(put_quota(site, "user", "Mia", 2), 200), "id");
	const char *wish = fmt("{\"quota_id\":\"%s\",\"amount\":50,\"note\":\"a poster\"}", quota);
	const char *id = text_at(expect(ask(site, &member, "POST /api/v1/quota-requests", wish), 201), "id");
	struct atl_req *req;

	expect_problem(ask(site, &member, "POST /api/v1/quota-requests", wish), 409, "conflict", NULL);
	expect_problem(ask(site, &moderator, "POST /api/v1/quota-requests", wish), 404, "not_found", NULL);
	req = expect(ask(site, &owner, "GET /api/v1/quota-requests", NULL), 200);
	assert_string_equal(text_at(req, "items.0.user_name"), "Mia");
	expect_problem(ask(site, &member, fmt("POST /api/v1/quota-requests/%s/decision", id), "{\"amount\":50}"), 403, "forbidden", NULL);
	req = expect(ask(site, &owner, fmt("POST /api/v1/quota-requests/%s/decision", id), "{\"amount\":3,\"answer\":\"so many\"}"), 200);
	assert_string_equal(text_at(req, "state"), "granted");
	assert_int_equal(int_at(req, "granted"), 3);
	expect_problem(ask(site, &owner, fmt("POST /api/v1/quota-requests/%s/decision", id), "{\"amount\":3}"), 409, "conflict", NULL);
	req = expect(ask(site, &member, "GET /api/v1/usage/me", NULL), 200);
	assert_non_null(strstr(req->out.data, "\"limit\":5"));
}

static int setup(void **state)
{
	site_setup(state);
	person_create(*state, "Mia", ATL_ROLE_MEMBER, &member);
	person_create(*state, "Mo", ATL_ROLE_MODERATOR, &moderator);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_quotas_by_name),
		cmocka_unit_test(test_granting_another_amount),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
