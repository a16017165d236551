/* Accounts as those who manage people see and change them: whom one may touch, what a change reaches at once, what the
 * person is told, roles of one's own. */
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/jobs/job.h"
#include "support.h"

static struct person admin, member, other_owner;

static void sign_in_as(struct site *site, const char *name, int status, const char *says)
{
	struct atl_req *req = expect(ask(site, &nobody, "POST /api/v1/session",
					 fmt("{\"name\":\"%s\",\"password\":\"correct horse\"}", name)), status);

	if (says && !strstr(text_at(req, "detail"), says))
		fail_msg("\"%s\" is not in \"%s\"", says, text_at(req, "detail"));
}

static int64_t audited(struct site *site, const char *action, const char *target)
{
	return number_of(site->app.db, fmt("SELECT count(*) FROM audit WHERE action = '%s' AND target_id = '%s'", action, target));
}

/* ---- looking ---- */

static void test_list_finds_people(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &admin, "GET /api/v1/users", NULL), 200);

	assert_int_equal(count_at(req, "items"), 4);
	req = expect(ask(site, &admin, "GET /api/v1/users?q=MEM", NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	assert_string_equal(text_at(req, "items.0.name"), "Member");
	assert_string_equal(text_at(req, "items.0.state"), "active");
	assert_string_equal(text_at(req, "items.0.role"), "member");
	assert_null(strstr(req->out.data, "password"));
	assert_int_equal(count_at(expect(ask(site, &admin, "GET /api/v1/users?q=%25", NULL), 200), "items"), 0);
	assert_int_equal(count_at(expect(ask(site, &admin, "GET /api/v1/users?role=owner", NULL), 200), "items"), 2);
	assert_int_equal(count_at(expect(ask(site, &admin, "GET /api/v1/users?state=suspended", NULL), 200), "items"), 0);
	expect_problem(ask(site, &admin, "GET /api/v1/users/usr_nobody", NULL), 404, "not_found", NULL);
}

static void test_pages_follow_each_other(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &admin, "GET /api/v1/users?limit=3", NULL), 200);
	const char *next = fmt("%s", text_at(req, "next")), *last = fmt("%s", text_at(req, "items.2.id"));

	assert_int_equal(count_at(req, "items"), 3);
	req = expect(ask(site, &admin, fmt("GET /api/v1/users?limit=3&after=%s", next), NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	assert_true(strcmp(text_at(req, "items.0.id"), last) < 0);
	assert_true(is_null_at(req, "next"));
}

/* ---- whom one may touch ---- */

static void test_nobody_reaches_above_themselves(void **state)
{
	struct site *site = *state;
	expect_problem(ask(site, &admin, fmt("POST /api/v1/users/%s/suspend", owner.id), "{}"), 403, "forbidden", NULL);
	expect_problem(ask(site, &admin, fmt("POST /api/v1/users/%s/suspend", admin.id), "{}"), 409, "conflict", NULL);
	expect_problem(ask(site, &member, fmt("POST /api/v1/users/%s/suspend", admin.id), "{}"), 403, "forbidden", NULL);
	expect_problem(ask(site, &admin, fmt("DELETE /api/v1/users/%s", owner.id), NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &admin, fmt("DELETE /api/v1/users/%s", admin.id), NULL), 409, "conflict", NULL);
	expect_problem(ask(site, &member, fmt("DELETE /api/v1/users/%s", admin.id), NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &admin, fmt("PATCH /api/v1/users/%s", member.id), "{\"role\":\"owner\"}"), 403, "forbidden", "role");
	expect_problem(ask(site, &admin, fmt("PATCH /api/v1/users/%s", owner.id), "{\"role\":\"member\"}"), 403, "forbidden", NULL);
	expect_problem(ask(site, &owner, fmt("PATCH /api/v1/users/%s", owner.id), "{\"role\":\"member\"}"), 409, "conflict", NULL);
	expect_problem(ask(site, &admin, fmt("PATCH /api/v1/users/%s", member.id), "{\"role\":\"king\"}"), 400, "invalid_request",
		       "role");
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM audit WHERE action LIKE 'user.%'"), 0);
}

/* A role that manages people but nothing else cannot make itself an admin through somebody else, nor touch one. */
static void test_a_small_manager_stays_small(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "POST /api/v1/roles",
					 "{\"name\":\"Porter\",\"permissions\":[\"people.manage\",\"chat.use\"]}"), 201);
	const char *role = fmt("%s", text_at(req, "id"));

	assert_int_equal(count_at(req, "permissions"), 2);
	expect(ask(site, &owner, fmt("PATCH /api/v1/users/%s", member.id), fmt("{\"role\":\"%s\"}", role)), 200);
	expect(ask(site, &member, "GET /api/v1/users", NULL), 200);
	expect_problem(ask(site, &member, fmt("POST /api/v1/users/%s/suspend", admin.id), "{}"), 403, "forbidden", NULL);
	expect_problem(ask(site, &member, fmt("POST /api/v1/users/%s/suspend", owner.id), "{}"), 403, "forbidden", NULL);
	expect_problem(ask(site, &member, "POST /api/v1/roles", "{\"name\":\"Boss\",\"permissions\":[\"server.manage\"]}"), 403,
		       "forbidden", "permissions");
	expect(ask(site, &member, fmt("PATCH /api/v1/roles/%s", role), "{\"permissions\":[\"people.manage\"]}"), 200);
	expect_problem(ask(site, &member, "GET /api/v1/conversations", NULL), 403, "forbidden", NULL); /* at once */
	expect_problem(ask(site, &owner, fmt("DELETE /api/v1/roles/%s", role), NULL), 409, "conflict", NULL);
	expect(ask(site, &owner, fmt("PATCH /api/v1/users/%s", member.id), "{\"role\":\"member\"}"), 200);
	expect(ask(site, &owner, fmt("DELETE /api/v1/roles/%s", role), NULL), 204);
	expect_problem(ask(site, &owner, fmt("PATCH /api/v1/roles/%s", role), "{\"name\":\"X\"}"), 404, "not_found", NULL);
	assert_int_equal(audited(site, "role.create", role), 1);
	assert_int_equal(audited(site, "role.change", role), 1);
	assert_int_equal(audited(site, "role.delete", role), 1);
	assert_int_equal(audited(site, "user.role", member.id), 2);
}

static void test_roles_check_what_is_given(void **state)
{
	struct site *site = *state;

	expect_problem(ask(site, &owner, "POST /api/v1/roles", "{\"name\":\"Owner\",\"permissions\":[]}"), 409, "conflict", "name");
	expect_problem(ask(site, &owner, "POST /api/v1/roles", "{\"name\":\"A\",\"permissions\":[\"fly\"]}"), 400, "invalid_request",
		       "permissions");
	expect(ask(site, &owner, "POST /api/v1/roles", "{\"name\":\"A\",\"permissions\":[]}"), 201);
	expect_problem(ask(site, &owner, "POST /api/v1/roles", "{\"name\":\"a\",\"permissions\":[]}"), 409, "conflict", "name");
	expect_problem(ask(site, &owner, "PATCH /api/v1/roles/admin", "{\"name\":\"X\"}"), 404, "not_found", NULL);
	assert_int_equal(count_at(expect(ask(site, &owner, "GET /api/v1/roles", NULL), 200), "items"), 6);
	assert_true(count_at(expect(ask(site, &owner, "GET /api/v1/permissions", NULL), 200), "items") > 10);
}

static void test_groups(void **state)
{
	struct site *site = *state;
	const char *id = fmt("%s", text_at(expect(ask(site, &admin, "POST /api/v1/groups", "{\"name\":\"Team\"}"), 201), "id"));
	struct atl_req *req;

	expect_problem(ask(site, &admin, "POST /api/v1/groups", "{\"name\":\"team\"}"), 409, "conflict", "name");
	req = expect(ask(site, &admin, fmt("PATCH /api/v1/users/%s", member.id), fmt("{\"groups\":[\"%s\"]}", id)), 200);
	assert_string_equal(text_at(req, "groups.0"), id);
	assert_int_equal(int_at(expect(ask(site, &admin, "GET /api/v1/groups", NULL), 200), "items.0.users"), 1);
	expect_problem(ask(site, &admin, fmt("PATCH /api/v1/users/%s", member.id), "{\"groups\":[\"grp_x\"]}"), 400,
		       "invalid_request", "groups");
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM group_members"), 1); /* all or nothing */
	expect_problem(ask(site, &admin, fmt("PATCH /api/v1/users/%s", admin.id), fmt("{\"groups\":[\"%s\"]}", id)), 409, "conflict",
		       NULL);
	expect_problem(ask(site, &admin, fmt("PATCH /api/v1/users/%s", owner.id), fmt("{\"groups\":[\"%s\"]}", id)), 403, "forbidden",
		       NULL);
	expect(ask(site, &admin, fmt("PUT /api/v1/groups/%s", id), "{\"name\":\"Crew\"}"), 200);
	expect(ask(site, &admin, fmt("DELETE /api/v1/groups/%s", id), NULL), 204);
	expect_problem(ask(site, &admin, fmt("DELETE /api/v1/groups/%s", id), NULL), 404, "not_found", NULL);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM group_members"), 0);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM audit WHERE action LIKE 'group.%'"), 3);
	assert_int_equal(audited(site, "user.groups", member.id), 1);
}

/* ---- suspending ---- */

/* It waits for a day that does not come. */
static void make_job(struct site *site, const struct person *who)
{
	struct atl_job_new new = { .kind = "picture", .task = "txt2img", .origin = "api", .model = "m", .provider_id = "local",
				   .prompt = "a boat", .request = "{}", .not_before = atl_now_ms() + 86400000 };
	struct atl_errinfo info = { 0 };
	struct atl_identity identity;
	struct atl_arena arena;
	struct atl_job job;

	atl_identity_internal(&identity, who->id, "Member", ATL_ROLE_MEMBER);
	atl_arena_init(&arena, 0);
	assert_ok(atl_job_submit(&site->app, &identity, &arena, &new, &job, &info), &info);
	atl_arena_finish(&arena);
}

static void test_suspension_reaches_everything_open(void **state)
{
	struct site *site = *state;
	struct person key;
	struct atl_req *req;

	person_key(site, &member, "chat", &key);
	expect(ask(site, &key, "GET /v1/models", NULL), 200);
	make_job(site, &member);
	ears_open(site, member.id);
	req = expect(ask(site, &admin, fmt("POST /api/v1/users/%s/suspend", member.id), "{\"why\":\"Asked to.\"}"), 200);
	assert_string_equal(text_at(req, "state"), "suspended");
	assert_true(is_null_at(req, "suspended_until"));
	ears_wait(site, "session.revoked", "{");
	ears_close(site);
	expect(ask(site, &member, "GET /api/v1/me", NULL), 401);
	expect(ask(site, &key, "GET /v1/models", NULL), 401);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM jobs WHERE user_id = '%s' AND state <> 'cancelled'",
						     member.id)), 0);
	sign_in_as(site, "Member", 403, "suspended: Asked to.");
	expect_problem(ask(site, &nobody, "POST /api/v1/session", "{\"name\":\"Member\",\"password\":\"wrong horse\"}"), 401,
		       "bad_credentials", NULL);
	assert_int_equal(count_at(expect(ask(site, &admin, "GET /api/v1/users?state=suspended", NULL), 200), "items"), 1);
	assert_int_equal(audited(site, "user.suspend", member.id), 1);
	expect(ask(site, &admin, fmt("POST /api/v1/users/%s/resume", member.id), NULL), 200);
	expect_problem(ask(site, &admin, fmt("POST /api/v1/users/%s/resume", member.id), NULL), 409, "conflict", NULL);
	expect(ask(site, &key, "GET /v1/models", NULL), 200);
	sign_in_as(site, "Member", 201, NULL);
	assert_int_equal(audited(site, "user.resume", member.id), 1);
}

static void test_suspension_ends_by_itself(void **state)
{
	struct site *site = *state;

	expect_problem(ask(site, &admin, fmt("POST /api/v1/users/%s/suspend", member.id), "{\"until\":\"2001-01-01T00:00:00Z\"}"),
		       400, "invalid_request", "until");
	expect(ask(site, &admin, fmt("POST /api/v1/users/%s/suspend", member.id), "{\"until\":\"2999-01-01T00:00:00Z\"}"), 200);
	sign_in_as(site, "Member", 403, "until 2999-01-01 00:00 UTC.");
	execute(site->app.db, fmt("UPDATE users SET disabled_until = 1000 WHERE id = '%s'", member.id));
	sign_in_as(site, "Member", 201, NULL);
	assert_string_equal(text_at(expect(ask(site, &admin, fmt("GET /api/v1/users/%s", member.id), NULL), 200), "state"), "active");
}

static void test_waiting_until_approved(void **state)
{
	struct site *site = *state;

	execute(site->app.db, fmt("UPDATE users SET waiting_since = 1000 WHERE id = '%s'", member.id));
	atl_auth_forget_user(site->app.auth, member.id);
	expect(ask(site, &member, "GET /api/v1/me", NULL), 401);
	sign_in_as(site, "Member", 403, "approves");
	assert_int_equal(count_at(expect(ask(site, &admin, "GET /api/v1/users?state=waiting", NULL), 200), "items"), 1);
	expect(ask(site, &admin, fmt("POST /api/v1/users/%s/approve", member.id), NULL), 200);
	expect_problem(ask(site, &admin, fmt("POST /api/v1/users/%s/approve", member.id), NULL), 409, "conflict", NULL);
	sign_in_as(site, "Member", 201, NULL);
	assert_int_equal(audited(site, "user.approve", member.id), 1);
}

/* ---- roles and deletion ---- */

/* What the server allows, a role can still lack: for the page and for what is asked. */
static void test_a_role_without_mature_content(void **state)
{
	struct site *site = *state;
	const char *provider = scripted_pictures(site);
	const char *ask_for = fmt("{\"prompt\":\"erotic nude photo of a woman\",\"model\":\"%s/noop\"}", provider);

	expect(ask(site, &owner, "PATCH /api/v1/settings", "{\"mature_allowed\":true}"), 200);
	expect(ask(site, &member, "POST /api/v1/jobs", ask_for), 202);
	expect_problem(ask(site, &member, "PATCH /api/v1/roles/member", "{\"mature\":true}"), 403, "forbidden", NULL);
	expect_problem(ask(site, &admin, "PATCH /api/v1/roles/owner", "{\"mature\":false}"), 403, "forbidden", NULL);
	assert_int_equal(int_at(expect(ask(site, &admin, "PATCH /api/v1/roles/member", "{\"mature\":false}"), 200), "mature"), 0);
	assert_int_equal(int_at(expect(ask(site, &member, "GET /api/v1/status", NULL), 200), "mature_allowed"), 0);
	assert_int_equal(int_at(expect(ask(site, &owner, "GET /api/v1/status", NULL), 200), "mature_allowed"), 1);
	expect_problem(ask(site, &member, "POST /api/v1/jobs", ask_for), 403, "refused_by_policy", NULL);
	expect(ask(site, &owner, "POST /api/v1/jobs", ask_for), 202);
	expect(ask(site, &admin, "PATCH /api/v1/roles/admin", "{\"mature\":false}"), 200);
	expect_problem(ask(site, &admin, "PATCH /api/v1/roles/member", "{\"mature\":true}"), 403, "forbidden", "mature");
	expect(ask(site, &owner, "PATCH /api/v1/roles/member", "{\"mature\":true}"), 200);
	expect(ask(site, &member, "POST /api/v1/jobs", ask_for), 202);
	assert_int_equal(audited(site, "role.rights", "member"), 2);
}

static void test_a_new_role_counts_at_once(void **state)
{
	struct site *site = *state;

	expect(ask(site, &admin, "GET /api/v1/users", NULL), 200);
	ears_open(site, admin.id);
	expect(ask(site, &owner, fmt("PATCH /api/v1/users/%s", admin.id), "{\"role\":\"guest\"}"), 200);
	ears_wait(site, "session.revoked", "{");
	ears_close(site);
	expect_problem(ask(site, &admin, "GET /api/v1/users", NULL), 403, "forbidden", NULL);
	expect(ask(site, &admin, "GET /api/v1/me", NULL), 200); /* still signed in */
}

static void test_deletion_takes_everything(void **state)
{
	struct site *site = *state;
	struct person key;

	person_key(site, &member, "chat", &key);
	add_message(site, &member, make_conversation(site, &member, make_character(site, &member, "Ada")), "canary");
	make_asset(site, &member, "good.png");
	make_job(site, &member);
	execute(site->app.db, fmt("INSERT INTO providers (id, user_id, preset, name, base_url, models, enabled, created_at, "
				  "updated_at) VALUES ('prv_1', '%s', 'custom', 'P', 'https://192.0.2.1/', '[]', 1, 1, 1)", member.id));
	expect(ask(site, &admin, fmt("DELETE /api/v1/users/%s", member.id), NULL), 204);
	expect(ask(site, &member, "GET /api/v1/me", NULL), 401);
	expect(ask(site, &key, "GET /v1/models", NULL), 401);
	expect_problem(ask(site, &admin, fmt("DELETE /api/v1/users/%s", member.id), NULL), 404, "not_found", NULL);
	for (size_t i = 0; i < 6; i++) {
		static const char *const tables[] = { "characters", "conversations", "messages", "assets", "jobs", "sessions" };

		assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM %s WHERE user_id = '%s'", tables[i], member.id)), 0);
	}
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM blobs WHERE refs > 0"), 0);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM providers WHERE user_id = '%s'", admin.id)), 1);
	sign_in_as(site, "Member", 401, NULL);
	assert_int_equal(audited(site, "user.delete", member.id), 1);
}

/* Two owners: each can be taken down by the other, never both. */
static void test_the_last_owner_stays(void **state)
{
	struct site *site = *state;

	expect(ask(site, &other_owner, fmt("POST /api/v1/users/%s/suspend", owner.id), "{}"), 200);
	execute(site->app.db, fmt("UPDATE users SET role = 'admin' WHERE id = '%s'", other_owner.id));
	/* other_owner's cached identity still says owner: the transaction looks at who is left */
	expect_problem(ask(site, &other_owner, fmt("DELETE /api/v1/users/%s", owner.id), NULL), 409, "conflict", NULL);
	expect_problem(ask(site, &other_owner, fmt("PATCH /api/v1/users/%s", owner.id), "{\"role\":\"member\"}"), 409, "conflict", NULL);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM users WHERE role = 'owner'"), 1);
}

static int setup(void **state)
{
	site_setup(state);
	person_create(*state, "Other", ATL_ROLE_OWNER, &other_owner);
	person_create(*state, "Ada", ATL_ROLE_ADMIN, &admin);
	person_create(*state, "Member", ATL_ROLE_MEMBER, &member);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, site_teardown)
/* ---- the end of an account ---- */

static void test_deleting_oneself(void **state)
{
	struct site *site = *state;
	struct person leaver;

	person_create(site, "Leaver", ATL_ROLE_MEMBER, &leaver);
	expect(ask(site, &leaver, "POST /api/v1/conversations", "{\"title\":\"mine\"}"), 201);
	expect_problem(ask(site, &leaver, "POST /api/v1/me/delete", "{\"password\":\"not it\"}"), 401, "bad_credentials", "password");
	expect(ask(site, &leaver, "POST /api/v1/me/delete", "{\"password\":\"correct horse\"}"), 204);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM users WHERE id = '%s'", leaver.id)), 0);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM conversations WHERE user_id = '%s'", leaver.id)), 0);
	assert_int_equal(audited(site, "user.delete", leaver.id), 1);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM audit WHERE user_name <> ''"), 0);
}

static void test_a_hold_delays_the_end(void **state)
{
	struct site *site = *state;
	struct person held;
	const char *line;

	person_create(site, "Held", ATL_ROLE_MEMBER, &held);
	line = fmt("/api/v1/users/%s/hold", held.id);
	expect(ask(site, &held, "POST /api/v1/conversations", "{\"title\":\"evidence\"}"), 201);
	expect_problem(ask(site, &member, fmt("POST %s", line), "{\"why\":\"x\"}"), 403, "forbidden", NULL);
	expect_problem(ask(site, &admin, fmt("POST %s", line), "{\"why\":\"\"}"), 400, "invalid_request", "why");
	expect(ask(site, &admin, fmt("POST %s", line), "{\"why\":\"a court asked\"}"), 200);
	expect_problem(ask(site, &admin, fmt("POST %s", line), "{\"why\":\"twice\"}"), 409, "conflict", NULL);
	expect(ask(site, &held, "POST /api/v1/me/delete", "{\"password\":\"correct horse\"}"), 204);
	sign_in_as(site, "Held", 403, NULL);
	assert_false(is_null_at(expect(ask(site, &admin, fmt("GET /api/v1/users/%s", held.id), NULL), 200), "erase_since"));
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM conversations WHERE user_id = '%s'", held.id)), 1);
	expect_problem(ask(site, &admin, fmt("POST /api/v1/users/%s/resume", held.id), NULL), 409, "conflict", NULL);
	expect(ask(site, &admin, fmt("DELETE %s", line), NULL), 204);
	expect_problem(ask(site, &admin, fmt("GET /api/v1/users/%s", held.id), NULL), 404, "not_found", NULL);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM conversations WHERE user_id = '%s'", held.id)), 0);
	assert_int_equal(audited(site, "user.hold", held.id), 1);
	assert_int_equal(audited(site, "user.unhold", held.id), 1);
	assert_int_equal(audited(site, "user.erase", held.id), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_list_finds_people), TEST(test_pages_follow_each_other), TEST(test_nobody_reaches_above_themselves),
		TEST(test_a_small_manager_stays_small), TEST(test_roles_check_what_is_given),
		TEST(test_suspension_reaches_everything_open), TEST(test_suspension_ends_by_itself),
		TEST(test_waiting_until_approved), TEST(test_a_new_role_counts_at_once), TEST(test_deletion_takes_everything),
		TEST(test_the_last_owner_stays), TEST(test_a_role_without_mature_content), TEST(test_groups),
		TEST(test_deleting_oneself), TEST(test_a_hold_delays_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
