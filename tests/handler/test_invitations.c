/* Invitation links and sign-up: what a link gives and to whom, uses counted once under a race, each mode, what strangers
 * learn. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/people/invitation.h"
#include "support.h"

#define RACERS 50
#define GOOD "\"password\":\"correct horse\""

static struct person admin, member;

static const char *make_link(struct site *site, const struct person *who, const char *body)
{
	return fmt("%s", text_at(expect(ask(site, who, "POST /api/v1/invitations", body), 201), "token"));
}

static struct atl_req *sign_up(struct site *site, const char *name, const char *token)
{
	return ask(site, &nobody, "POST /api/v1/sign-up",
		   fmt("{\"name\":\"%s\"," GOOD ",\"token\":\"%s\"}", name, token));
}

static void set_mode(struct site *site, const char *body)
{
	expect(ask(site, &owner, "PUT /api/v1/sign-up/rules", body), 200);
}

/* ---- links ---- */

static void test_a_link_makes_an_account_of_its_role(void **state)
{
	struct site *site = *state;
	const char *token = make_link(site, &admin, "{\"role\":\"moderator\",\"note\":\"for Mia\",\"uses_max\":1}");
	struct atl_req *req = expect(ask(site, &nobody, fmt("GET /api/v1/sign-up?token=%s", token), NULL), 200);

	assert_string_equal(text_at(req, "role_name"), "moderator");
	assert_true(is_null_at(req, "problem"));
	assert_null(strstr(req->out.data, "for Mia"));
	req = expect(sign_up(site, "Mia", token), 201);
	assert_int_equal(int_at(req, "waiting"), 0);
	req = expect(ask(site, &nobody, "POST /api/v1/session", "{\"name\":\"mia\"," GOOD "}"), 201);
	assert_string_equal(text_at(req, "user.role"), "moderator");
	expect_problem(sign_up(site, "Max", token), 410, "gone", NULL);
	req = expect(ask(site, &nobody, fmt("GET /api/v1/sign-up?token=%s", token), NULL), 200);
	assert_string_equal(text_at(req, "problem"), "This invitation was used already.");
	req = expect(ask(site, &admin, "GET /api/v1/invitations", NULL), 200);
	assert_string_equal(text_at(req, "items.0.state"), "used");
	assert_string_equal(text_at(req, "items.0.created_by"), "Ada");
	assert_null(strstr(req->out.data, token));
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM invitations WHERE token_hash = '%s'", token)), 0);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM audit WHERE action IN ('invitation.create', 'user.sign_up')"), 2);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM audit WHERE note LIKE '%%%s%%'", token)), 0);
}

static void test_links_end(void **state)
{
	struct site *site = *state;
	const char *token = make_link(site, &admin, "{\"role\":\"member\"}"), *id;
	struct atl_req *req = expect(ask(site, &admin, "GET /api/v1/invitations", NULL), 200);

	id = fmt("%s", text_at(req, "items.0.id"));
	expect_problem(ask(site, &member, fmt("DELETE /api/v1/invitations/%s", id), NULL), 403, "forbidden", NULL);
	expect(ask(site, &admin, fmt("DELETE /api/v1/invitations/%s", id), NULL), 204);
	expect_problem(ask(site, &admin, fmt("DELETE /api/v1/invitations/%s", id), NULL), 404, "not_found", NULL);
	expect_problem(sign_up(site, "Max", token), 410, "gone", NULL);
	token = make_link(site, &admin, "{\"role\":\"member\",\"expires_at\":\"2999-01-01T00:00:00Z\"}");
	execute(site->app.db, "UPDATE invitations SET expires_at = 1000 WHERE expires_at IS NOT NULL");
	expect_problem(sign_up(site, "Max", token), 410, "gone", NULL);
	expect_problem(sign_up(site, "Max", "0000000000000000000000000000000000000000000"), 410, "gone", NULL);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM users"), 3);
}

static void test_nobody_invites_above_themselves(void **state)
{
	struct site *site = *state;
	const char *token;

	expect_problem(ask(site, &admin, "POST /api/v1/invitations", "{\"role\":\"owner\"}"), 403, "forbidden", "role");
	expect_problem(ask(site, &admin, "POST /api/v1/invitations", "{\"role\":\"king\"}"), 400, "invalid_request", "role");
	expect_problem(ask(site, &member, "POST /api/v1/invitations", "{\"role\":\"guest\"}"), 403, "forbidden", NULL);
	expect_problem(ask(site, &admin, "POST /api/v1/invitations",
			   "{\"role\":\"guest\",\"expires_at\":\"2001-01-01T00:00:00Z\"}"), 400, "invalid_request", "expires_at");
	make_link(site, &owner, "{\"role\":\"owner\",\"uses_max\":1}");
	/* whoever lost the right to give it gave it in vain */
	token = make_link(site, &admin, "{\"role\":\"admin\"}");
	execute(site->app.db, fmt("UPDATE users SET role = 'member' WHERE id = '%s'", admin.id));
	expect_problem(sign_up(site, "Max", token), 410, "gone", NULL);
	execute(site->app.db, fmt("UPDATE users SET role = 'admin', disabled_at = 1 WHERE id = '%s'", admin.id));
	expect_problem(sign_up(site, "Max", token), 410, "gone", NULL);
}

/* ---- the race ---- */

struct racer {
	struct site *site;
	const char *token;
	int number;
	enum atl_err err;
};

static void *race(void *arg)
{
	struct racer *racer = arg;
	struct atl_errinfo info = { 0 };
	struct atl_signed_up made;
	char name[20];

	snprintf(name, sizeof(name), "racer%d", racer->number);
	racer->err = atl_sign_up(&racer->site->app, &(struct atl_sign_up){ .token = racer->token, .name = name,
									    .password = "correct horse" }, &made, &info);
	return NULL;
}

static void test_one_use_is_one_account(void **state)
{
	struct site *site = *state;
	const char *token = make_link(site, &admin, "{\"role\":\"member\",\"uses_max\":1}");
	struct racer racers[RACERS];
	pthread_t threads[RACERS];
	int made = 0, refused = 0;

	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){ site, token, i, ATL_OK };
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (int i = 0; i < RACERS; i++) {
		pthread_join(threads[i], NULL);
		made += racers[i].err == ATL_OK;
		refused += racers[i].err == ATL_ERR_GONE;
	}
	assert_int_equal(made, 1);
	assert_true(refused > 0); /* all others, but for what a busy database turned away */
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM users WHERE name LIKE 'racer%'"), 1);
	assert_int_equal(number_of(site->app.db, "SELECT sum(uses) FROM invitations"), 1);
}

/* A name that is taken costs no use. */
static void test_a_refused_name_keeps_the_link(void **state)
{
	struct site *site = *state;
	const char *token = make_link(site, &admin, "{\"role\":\"member\",\"uses_max\":1}");

	expect_problem(sign_up(site, "olga", token), 409, "conflict", NULL);
	expect_problem(ask(site, &nobody, "POST /api/v1/sign-up", fmt("{\"name\":\"Max\",\"password\":\"short\",\"token\":\"%s\"}", token)),
		       400, "invalid_request", "password");
	expect(sign_up(site, "Max", token), 201);
}

/* ---- modes ---- */

static struct atl_req *knock(struct site *site, const char *name, const char *email)
{
	return ask(site, &nobody, "POST /api/v1/sign-up", fmt("{\"name\":\"%s\"," GOOD ",\"email\":\"%s\"}", name, email));
}

static void test_modes(void **state)
{
	struct site *site = *state;
	const char *token = make_link(site, &admin, "{\"role\":\"member\"}");

	assert_string_equal(text_at(expect(ask(site, &nobody, "GET /api/v1/sign-up", NULL), 200), "mode"), "invitation");
	expect_problem(knock(site, "Max", "max@example.org"), 403, "forbidden", NULL);
	set_mode(site, "{\"mode\":\"closed\"}");
	expect_problem(sign_up(site, "Max", token), 403, "forbidden", NULL);
	expect_problem(ask(site, &owner, "PUT /api/v1/sign-up/rules", "{\"mode\":\"domain\"}"), 400, "invalid_request", "domains");
	expect_problem(ask(site, &owner, "PUT /api/v1/sign-up/rules", "{\"mode\":\"domain\",\"domains\":[\"not a domain\"]}"), 400,
		       "invalid_request", "domains");
	expect_problem(ask(site, &member, "PUT /api/v1/sign-up/rules", "{\"mode\":\"open\"}"), 403, "forbidden", NULL);
	execute(site->app.db, "UPDATE settings SET value = '{\"mode\":\"nonsense\"}' WHERE name = 'sign_up'");
	expect_problem(sign_up(site, "Max", token), 403, "forbidden", NULL); /* fails closed */
}

static void test_domain_waits_for_approval(void **state)
{
	struct site *site = *state;
	struct atl_req *req;
	const char *id;

	set_mode(site, "{\"mode\":\"domain\",\"domains\":[\"Example.org\"]}");
	expect_problem(knock(site, "Max", "max@example.com"), 403, "forbidden", "email");
	expect_problem(knock(site, "Max", "max@evil.example.org"), 403, "forbidden", "email");
	req = expect(knock(site, "Max", "Max@EXAMPLE.org"), 201);
	assert_int_equal(int_at(req, "waiting"), 1);
	id = fmt("%s", text_at(req, "id"));
	expect_problem(ask(site, &nobody, "POST /api/v1/session", "{\"name\":\"Max\"," GOOD "}"), 403, "forbidden", NULL);
	expect(ask(site, &admin, fmt("POST /api/v1/users/%s/approve", id), NULL), 200);
	req = expect(ask(site, &nobody, "POST /api/v1/session", "{\"name\":\"Max\"," GOOD "}"), 201);
	assert_string_equal(text_at(req, "user.role"), "member");
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM users WHERE email_verified_at IS NOT NULL"), 0);
}

/* The answer to a taken name and to a taken address is the same. */
static void test_strangers_learn_little_and_slowly(void **state)
{
	struct site *site = *state;
	const char *taken, *address;
	int tries;

	set_mode(site, "{\"mode\":\"open\"}");
	expect(knock(site, "Max", "max@example.org"), 201);
	taken = fmt("%s", text_at(expect(knock(site, "Olga", "o@example.org"), 409), "detail"));
	address = fmt("%s", text_at(expect(knock(site, "Moritz", "max@example.org"), 409), "detail"));
	assert_string_equal(taken, address);
	clock_hold();
	for (tries = 0; tries < 10; tries++)
		if (knock(site, fmt("Guess%d", tries), "")->status == 429)
			break;
	assert_true(tries < 5);
}

static int setup(void **state)
{
	site_setup(state);
	person_create(*state, "Ada", ATL_ROLE_ADMIN, &admin);
	person_create(*state, "Member", ATL_ROLE_MEMBER, &member);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, site_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_link_makes_an_account_of_its_role), TEST(test_links_end), TEST(test_nobody_invites_above_themselves),
		TEST(test_one_use_is_one_account), TEST(test_a_refused_name_keeps_the_link), TEST(test_modes),
		TEST(test_domain_waits_for_approval), TEST(test_strangers_learn_little_and_slowly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
