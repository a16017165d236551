/* The server's own routes: its numbers, its log, maintenance and what everybody is told; the audit log as it is read. */
#include <stdlib.h>

#include "base/log.h"
#include "core/people/audit.h"
#include "core/server/announcement.h"
#include "support.h"

static struct person member;

static int setup(void **state)
{
	int failed = site_setup(state);

	if (!failed)
		person_create(*state, "Mel", ATL_ROLE_MEMBER, &member);
	return failed;
}

static void test_numbers(void **state)
{
	struct atl_req *req = expect(ask(*state, &owner, "GET /api/v1/server", NULL), 200);

	assert_true(int_at(req, "database_bytes") > 0);
	assert_true(int_at(req, "disk_free_bytes") > 0);
	assert_string_equal(text_at(req, "engine_state"), "not_installed");
	assert_true(is_null_at(req, "last_backup"));
	assert_int_equal(int_at(req, "backup_keep"), 7);
	expect_problem(ask(*state, &member, "GET /api/v1/server", NULL), 403, "forbidden", NULL);
	expect_problem(ask(*state, &nobody, "GET /api/v1/notice", NULL), 401, "not_signed_in", NULL);
}

static void test_announcement(void **state)
{
	struct atl_req *req;
	char *first;

	expect(ask(*state, &owner, "PATCH /api/v1/server", "{\"announcement\":\"We move on Sunday.\",\"announcement_kind\":\"warning\"}"), 200);
	req = expect(ask(*state, &member, "GET /api/v1/notice", NULL), 200);
	assert_string_equal(text_at(req, "announcement.text"), "We move on Sunday.");
	assert_string_equal(text_at(req, "announcement.kind"), "warning");
	first = strdup(text_at(req, "announcement.id"));
	expect(ask(*state, &owner, "PATCH /api/v1/server", "{\"announcement\":\"We moved.\"}"), 200);
	req = expect(ask(*state, &member, "GET /api/v1/notice", NULL), 200);
	assert_string_not_equal(text_at(req, "announcement.id"), first);
	free(first);
	expect(ask(*state, &owner, "PATCH /api/v1/server", "{\"announcement\":null}"), 200);
	req = expect(ask(*state, &member, "GET /api/v1/notice", NULL), 200);
	assert_true(is_null_at(req, "announcement"));
	expect(ask(*state, &member, "PATCH /api/v1/server", "{\"announcement\":\"Mine\"}"), 403);
}

static void test_maintenance(void **state)
{
	struct site *site = *state;
	struct atl_identity identity;
	struct atl_errinfo info = { 0 };

	expect(ask(site, &owner, "PATCH /api/v1/server", "{\"maintenance\":true}"), 200);
	assert_true(atomic_load(&site->app.maintenance));
	expect_problem(ask(site, &member, "POST /api/v1/conversations", "{}"), 503, "unavailable", NULL);
	expect(ask(site, &member, "GET /api/v1/conversations", NULL), 200);
	expect(ask(site, &owner, "POST /api/v1/conversations", "{}"), 201);
	atl_identity_internal(&identity, owner.id, "Olivia", ATL_ROLE_OWNER);
	atl_maintenance_load(&site->app); /* as a restart does */
	assert_true(atomic_load(&site->app.maintenance));
	assert_ok(atl_maintenance_set(&site->app, &identity, false, &info), &info);
	expect(ask(site, &member, "POST /api/v1/conversations", "{}"), 201);
}

static void test_log(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_req *req;

	assert_ok(atl_log_init(ATL_LOG_INFO, ATL_LOG_LOGFMT, NULL, &info), &info);
	atl_info("test", "a quiet line");
	atl_warn("test", "a loud line");
	assert_ok(atl_log_init(ATL_LOG_ERROR, ATL_LOG_LOGFMT, NULL, &info), &info);
	req = expect(ask(*state, &owner, "GET /api/v1/server/log?level=warn&lines=1", NULL), 200);
	assert_int_equal(count_at(req, "lines"), 1);
	assert_non_null(strstr(text_at(req, "lines.0"), "a loud line"));
	req = expect(ask(*state, &owner, "GET /api/v1/server/log?level=info&lines=2", NULL), 200);
	assert_non_null(strstr(text_at(req, "lines.0"), "a quiet line"));
	expect_problem(ask(*state, &owner, "GET /api/v1/server/log?lines=501", NULL), 400, "invalid_request", "lines");
	expect(ask(*state, &member, "GET /api/v1/server/log", NULL), 403);
}

static void test_plan(void **state)
{
	struct atl_req *req;

	expect_problem(ask(*state, &owner, "PATCH /api/v1/server", "{\"backup_daily\":true}"), 400, "invalid_request", "passphrase");
	req = expect(ask(*state, &owner, "PATCH /api/v1/server",
			 "{\"backup_daily\":true,\"backup_keep\":3,\"backup_passphrase\":\"quite a secret\"}"), 200);
	assert_int_equal(int_at(req, "backup_keep"), 3);
	assert_null(strstr(req->out.data, "quite a secret"));
	expect(ask(*state, &owner, "PATCH /api/v1/server", "{\"backup_daily\":false}"), 200);
}

static void test_audit_pages(void **state)
{
	struct atl_req *req = expect(ask(*state, &owner, "GET /api/v1/audit?action=setting.&limit=2", NULL), 200);
	int64_t newest = int_at(req, "items.0.seq");
	const char *next;

	assert_int_equal(count_at(req, "items"), 2);
	assert_string_equal(text_at(req, "items.0.action"), "setting.change");
	assert_string_equal(text_at(req, "items.0.user_id"), owner.id);
	assert_true(newest > int_at(req, "items.1.seq"));
	next = fmt("GET /api/v1/audit?action=setting.&limit=2&after=%s", text_at(req, "next"));
	req = expect(ask(*state, &owner, next, NULL), 200);
	assert_true(int_at(req, "items.0.seq") < newest - 1);
	req = expect(ask(*state, &owner, fmt("GET /api/v1/audit?who=%s", member.id), NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	assert_string_equal(text_at(req, "items.0.action"), "session.sign_in");
	req = expect(ask(*state, &owner, "GET /api/v1/audit?who=MEL&from=2020-01-01T00:00:00Z", NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	req = expect(ask(*state, &owner, "GET /api/v1/audit?to=2020-01-01T00:00:00Z", NULL), 200);
	assert_int_equal(count_at(req, "items"), 0);
	req = expect(ask(*state, &owner, "GET /api/v1/audit?target=maintenance", NULL), 200);
	assert_int_equal(count_at(req, "items"), 2);
	expect_problem(ask(*state, &owner, "GET /api/v1/audit?from=yesterday-or-so-please", NULL), 400, "invalid_request", "from");
	req = expect(ask(*state, &owner, "GET /api/v1/audit/verify", NULL), 200);
	assert_true(is_null_at(req, "why"));
	expect(ask(*state, &member, "GET /api/v1/audit", NULL), 403);
	expect(ask(*state, &member, "GET /api/v1/audit/verify", NULL), 403);
	expect(ask(*state, &member, "GET /api/v1/audit/export", NULL), 403);
}

/* What happened by hand of a person, in words of the log; never what they typed. */
static void test_events_are_told(void **state)
{
	static const char *const actions[] = { "key.create", "key.revoke", "session.refuse", "queue.pause",
					       "provider.create", "provider.delete" };
	const char *key, *provider;
	struct atl_req *req;

	key = fmt("DELETE /api/v1/keys/%s", text_at(expect(ask(*state, &owner, "POST /api/v1/keys",
							       "{\"name\":\"robot\",\"scopes\":[\"chat\"]}"), 201), "id"));
	expect(ask(*state, &owner, key, NULL), 204);
	expect(ask(*state, &nobody, "POST /api/v1/session", "{\"name\":\"Mel\",\"password\":\"not this one at all\"}"), 401);
	provider = scripted_pictures(*state);
	expect(ask(*state, &owner, fmt("DELETE /api/v1/providers/%s", provider), NULL), 204);
	expect(ask(*state, &owner, "POST /api/v1/queue/all/pause", NULL), 200);
	expect(ask(*state, &owner, "POST /api/v1/queue/all/resume", NULL), 200);
	for (size_t i = 0; i < ATL_COUNT(actions); i++) {
		req = expect(ask(*state, &owner, fmt("GET /api/v1/audit?action=%s", actions[i]), NULL), 200);
		if (count_at(req, "items") != 1)
			fail_msg("%s: %zu rows", actions[i], count_at(req, "items"));
		assert_null(strstr(req->out.data, "not this one"));
		assert_null(strstr(req->out.data, "robot"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_announcement),
		cmocka_unit_test(test_maintenance),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_audit_pages),
		cmocka_unit_test(test_events_are_told),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
