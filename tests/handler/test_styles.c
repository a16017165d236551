/* Styles, wildcards, the history of prompts, and better prompts by rules. */
#include "base/str.h"
#include "core/people/user.h"
#include "core/safety/policy.h"
#include "support.h"

static const char *provider;

static const char *make_style(struct site *site, const struct person *who, const char *name, const char *more)
{
	return text_at(expect(ask(site, who, "POST /api/v1/styles", fmt("{\"name\":\"%s\",\"prompt\":\"{prompt}, %s ink\"%s}", name, name, more)),
			      201), "id");
}

static struct atl_req *make(struct site *site, const struct person *who, const char *prompt, const char *more)
{
	return ask(site, who, "POST /api/v1/jobs", fmt("{\"prompt\":\"%s\",\"model\":\"%s/picture\"%s}", prompt, provider, more));
}

static void test_styles_are_made_shared_and_used(void **state)
{
	struct site *site = *state;
	struct person other;
	const char *mine = make_style(site, &owner, "Blue", ",\"params\":{\"steps\":7}"), *shared;
	struct atl_req *req;

	person_create(site, "Otto", ATL_ROLE_MEMBER, &other);
	shared = make_style(site, &owner, "Green", ",\"shared\":true");
	assert_int_equal(count_at(expect(ask(site, &owner, "GET /api/v1/styles", NULL), 200), "items"), 6);
	assert_int_equal(count_at(expect(ask(site, &other, "GET /api/v1/styles", NULL), 200), "items"), 5);
	req = expect(make(site, &owner, "a house", ",\"style\":\"Blue\""), 202);
	assert_string_equal(text_at(req, "request.prompt"), "a house, Blue ink");
	assert_int_equal(int_at(req, "request.steps"), 7);
	req = expect(make(site, &owner, "a house", ",\"style\":\"Blue\",\"steps\":3"), 202);
	assert_int_equal(int_at(req, "request.steps"), 3); /* what the person says counts */
	expect_problem(make(site, &other, "a house", ",\"style\":\"Blue\""), 404, "not_found", "style");
	expect(make(site, &other, "a house", ",\"style\":\"Green\""), 202);
	expect(ask(site, &other, fmt("PATCH /api/v1/styles/%s", shared), "{\"name\":\"Mine\"}"), 404);
	expect(ask(site, &other, fmt("DELETE /api/v1/styles/%s", shared), NULL), 404);
	expect(ask(site, &owner, fmt("PATCH /api/v1/styles/%s", mine), "{\"prompt\":\"red, {prompt}\"}"), 200);
	req = expect(make(site, &owner, "a house", fmt(",\"style\":\"%s\"", mine)), 202);
	assert_string_equal(text_at(req, "request.prompt"), "red, a house");
	expect(ask(site, &owner, fmt("DELETE /api/v1/styles/%s", mine), NULL), 204);
	expect(ask(site, &owner, fmt("DELETE /api/v1/styles/%s", mine), NULL), 404);
}

static void test_styles_csv(void **state)
{
	static const char *const type[] = { "Content-Type: text/csv", NULL };
	static const char csv[] = "name,prompt,negative_prompt\nNoir,\"{prompt}, film \"\"noir\"\", rain\",\"colour, sun\"\nPlain,,\n";
	struct site *site = *state;
	struct atl_req *req = expect(ask_with(site, &owner, type, "POST /api/v1/styles/import", csv), 200);

	assert_true(int_at(req, "imported") >= 1);
	req = expect(make(site, &owner, "a street", ",\"style\":\"Noir\""), 202);
	assert_string_equal(text_at(req, "request.prompt"), "a street, film \"noir\", rain");
	assert_string_equal(text_at(req, "request.negative_prompt"), "colour, sun");
}

static void test_wildcards(void **state)
{
	struct site *site = *state;
	struct person other;
	struct atl_req *req = expect(ask(site, &owner, "POST /api/v1/wildcards", "{\"name\":\"tree\",\"entries\":\"oak\\noak\\n# a note\\n\"}"), 200);
	const char *id = text_at(req, "id");

	person_create(site, "Ida", ATL_ROLE_MEMBER, &other);
	req = expect(make(site, &owner, "an __tree__ {by|by} a lake", ""), 202);
	assert_string_equal(text_at(req, "request.prompt"), "an oak by a lake");
	assert_string_equal(text_at(req, "request.original_prompt"), "an __tree__ {by|by} a lake");
	req = expect(make(site, &owner, "an __tree__", ",\"no_expand\":true"), 202);
	assert_string_equal(text_at(req, "request.prompt"), "an __tree__");
	assert_int_equal(count_at(expect(ask(site, &other, "GET /api/v1/wildcards", NULL), 200), "items"), 0);
	expect(ask(site, &other, fmt("DELETE /api/v1/wildcards/%s", id), NULL), 404);
	expect(ask(site, &owner, fmt("DELETE /api/v1/wildcards/%s", id), NULL), 204);
}

/* The same seeds as pictures have: what is shown is what a job with that seed gets. */
static void test_expand(void **state)
{
	struct site *site = *state;
	struct atl_req *req;
	const char *second;

	expect(ask(site, &owner, "POST /api/v1/wildcards", "{\"name\":\"stone\",\"entries\":\"slate\\nchalk\\nflint\\nmarl\"}"), 200);
	req = expect(ask(site, &owner, "POST /api/v1/prompts/expand", "{\"prompt\":\"{a|b|c} __stone__\",\"count\":6,\"seed\":41}"), 200);
	assert_int_equal(count_at(req, "items"), 6);
	assert_int_equal(int_at(req, "items.5.seed"), 46);
	second = fmt("%s", text_at(req, "items.1.prompt"));
	req = expect(make(site, &owner, "{a|b|c} __stone__", ",\"seed\":42"), 202);
	assert_string_equal(text_at(req, "request.prompt"), second);
	assert_int_equal(count_at(expect(ask(site, &owner, "POST /api/v1/prompts/expand", "{\"prompt\":\"plain\"}"), 200), "items"), 5);
	expect_problem(ask(site, &owner, "POST /api/v1/prompts/expand", "{\"prompt\":\"an __absent__ one\"}"), 400, "invalid_request",
		       "prompt");
	expect_problem(ask(site, &owner, "POST /api/v1/prompts/expand", "{\"prompt\":\"x\",\"count\":21}"), 400, "invalid_request", "count");
	/* inside braces it is still read */
	expect_problem(ask(site, &owner, "POST /api/v1/prompts/expand", "{\"prompt\":\"{" ATL_POLICY_CANARY "}\"}"), 403,
		       "refused_by_policy", NULL);
}

/* What was typed is remembered once; what other clients sent is not theirs to remember. */
static void test_history(void **state)
{
	struct site *site = *state;
	struct person person;
	struct atl_req *req;

	person_create(site, "Emma", ATL_ROLE_MEMBER, &person);
	expect(make(site, &person, "a Red fox", ",\"negative_prompt\":\"fog\""), 202);
	expect(make(site, &person, "a hare", ""), 202);
	expect(make(site, &person, "a Red fox", ",\"negative_prompt\":\"fog\""), 202);
	expect(ask(site, &person, "POST /v1/images/generations", fmt("{\"prompt\":\"a client's\",\"model\":\"%s/picture\"}", provider)), 200);
	expect_problem(make(site, &person, ATL_POLICY_CANARY, ""), 403, "refused_by_policy", NULL);
	req = expect(ask(site, &person, "GET /api/v1/prompts", NULL), 200);
	assert_int_equal(count_at(req, "items"), 2);
	req = expect(ask(site, &person, "GET /api/v1/prompts?q=red", NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	assert_string_equal(text_at(req, "items.0.prompt"), "a Red fox");
	assert_string_equal(text_at(req, "items.0.negative_prompt"), "fog");
	assert_int_equal(int_at(req, "items.0.uses"), 2);
	expect_problem(ask(site, &person, "GET /api/v1/prompts?limit=0", NULL), 400, "invalid_request", "limit");
	expect(ask(site, &person, "DELETE /api/v1/prompts", NULL), 204);
	assert_int_equal(count_at(expect(ask(site, &person, "GET /api/v1/prompts", NULL), 200), "items"), 0);
}

static void test_enhance_by_rules(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "POST /api/v1/prompts/enhance", "{\"prompt\":\"a fox\",\"rules\":true}"), 200);

	assert_string_equal(text_at(req, "by"), "rules");
	assert_non_null(strstr(text_at(req, "prompt"), "a fox"));
	assert_true(strlen(text_at(req, "prompt")) > strlen("a fox"));
	expect_problem(ask(site, &owner, "POST /api/v1/prompts/enhance", "{\"prompt\":\"\"}"), 400, "invalid_request", "prompt");
}

static int setup(void **state)
{
	site_setup(state);
	provider = scripted_pictures(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_styles_are_made_shared_and_used),
		cmocka_unit_test(test_styles_csv),
		cmocka_unit_test(test_wildcards),
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_enhance_by_rules),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
