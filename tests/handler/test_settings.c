/* Settings: their history says from what to what and takes back; features that are off for everybody are refused in one place. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "core/server/setting.h"

static void patch(struct site *site, const char *body)
{
	expect(ask(site, &owner, "PATCH /api/v1/settings", body), 200);
}

static void test_history(void **state)
{
	struct site *site = *state;
	struct atl_req *req;
	const char *id;

	patch(site, "{\"default_model\":\"prv_a/one\"}");
	patch(site, "{\"default_model\":\"prv_a/two\"}");
	patch(site, "{\"default_model\":\"prv_a/two\"}"); /* nothing changed: no row */
	req = expect(ask(site, &owner, "GET /api/v1/settings/history", NULL), 200);
	assert_int_equal(count_at(req, "items"), 2);
	assert_string_equal(text_at(req, "items.0.name"), "default_model");
	assert_string_equal(text_at(req, "items.0.was"), "prv_a/one");
	assert_string_equal(text_at(req, "items.0.became"), "prv_a/two");
	assert_string_equal(text_at(req, "items.0.user_id"), owner.id);
	assert_true(is_null_at(req, "items.1.was"));
	id = text_at(req, "items.0.id");
	req = expect(ask(site, &owner, fmt("POST /api/v1/settings/history/%s/revert", id), NULL), 200);
	assert_string_equal(text_at(req, "default_model"), "prv_a/one");
	req = expect(ask(site, &owner, "GET /api/v1/settings/history", NULL), 200);
	assert_int_equal(count_at(req, "items"), 3); /* taking back is a change, too */
	expect_problem(ask(site, &owner, "POST /api/v1/settings/history/sch_none/revert", NULL), 404, "not_found", NULL);
}

/* A setting with a secret is told as changed, and no more; one with a page of its own is not taken back here. */
static void test_secrets(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct atl_req *req;

	assert_ok(atl_setting_set(&site->app, NULL, ATL_SETTING_BACKUP, "{\"sealed\":\"canary\"}", &info), &info);
	assert_ok(atl_setting_set(&site->app, NULL, ATL_SETTING_SIGN_UP, "{\"mode\":\"closed\"}", &info), &info);
	req = expect(ask(site, &owner, "GET /api/v1/settings/history", NULL), 200);
	assert_null(strstr(req->out.data, "canary"));
	assert_string_equal(text_at(req, "items.1.name"), "backup");
	assert_true(is_null_at(req, "items.1.became"));
	expect_problem(ask(site, &owner, fmt("POST /api/v1/settings/history/%s/revert", text_at(req, "items.1.id")), NULL), 409,
		       "conflict", NULL);
	expect_problem(ask(site, &owner, fmt("POST /api/v1/settings/history/%s/revert", text_at(req, "items.0.id")), NULL), 409,
		       "conflict", NULL);
}

static void test_features(void **state)
{
	struct site *site = *state;
	struct person mia, key;
	struct atl_req *req;

	person_create(site, "Mia", ATL_ROLE_MEMBER, &mia);
	person_key(site, &mia, "chat", &key);
	expect(ask(site, &key, "GET /api/v1/conversations", NULL), 200);
	patch(site, "{\"features_off\":[\"sharing\",\"api\",\"sharing\"]}");
	req = expect(ask(site, &mia, "GET /api/v1/status", NULL), 200);
	assert_non_null(strstr(req->out.data, "\"features_off\":[\"sharing\",\"api\"]"));
	expect_problem(ask(site, &mia, "POST /api/v1/assets/ast_x/shares", "{}"), 403, "feature_not_allowed", NULL);
	expect_problem(ask(site, &owner, "POST /api/v1/assets/ast_x/shares", "{}"), 403, "feature_not_allowed", NULL);
	expect_problem(ask(site, &key, "GET /api/v1/conversations", NULL), 403, "feature_not_allowed", NULL);
	expect(ask(site, &mia, "GET /api/v1/conversations", NULL), 200);
	req = expect(ask(site, &owner, "GET /api/v1/settings", NULL), 200);
	assert_int_equal(count_at(req, "features_off"), 2);
	expect_problem(ask(site, &owner, "PATCH /api/v1/settings", "{\"features_off\":[\"moon\"]}"), 400, "invalid_request",
		       "features_off");
	site_restart(site);
	atl_features_load(&site->app);
	expect_problem(ask(site, &key, "GET /api/v1/conversations", NULL), 403, "feature_not_allowed", NULL);
	patch(site, "{\"features_off\":[]}");
	expect(ask(site, &key, "GET /api/v1/conversations", NULL), 200);
	expect(ask(site, &mia, "POST /api/v1/assets/ast_x/shares", "{}"), 404);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_history), cmocka_unit_test(test_secrets),
					    cmocka_unit_test(test_features) };

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
