/* What an API key is limited to: models, addresses, a budget of its own, a time; changed by its owner, at once. */
#include "base/str.h"
#include "core/access/address.h"
#include "core/access/auth.h"
#include "support.h"
#include "core/books/usage.h"

static const char *pictures;

/* A key with more fields in its body: ",\"models\":[..]". */
static void make_key(struct site *site, const char *more, struct person *out)
{
	struct atl_req *req = expect(ask(site, &owner, "POST /api/v1/keys",
					 fmt("{\"name\":\"K\",\"scopes\":[\"chat\",\"pictures\"]%s}", more)), 201);

	*out = (struct person){ .headers = { NULL } };
	atl_str_copy(out->session_id, sizeof(out->session_id), text_at(req, "id"));
	atl_str_copy(out->authorization, sizeof(out->authorization), fmt("Authorization: Bearer %s", text_at(req, "key")));
	out->headers[0] = out->authorization;
}

static struct atl_req *patch(struct site *site, const struct person *key, const char *body)
{
	return ask(site, &owner, fmt("PATCH /api/v1/keys/%s", key->session_id), body);
}

static struct atl_req *from(struct site *site, const struct person *key, const char *address)
{
	const char *more[] = { fmt("X-Forwarded-For: %s", address), NULL };

	return ask_with(site, key, more, "GET /api/v1/me", NULL);
}

#define CHAT "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

static void test_models(void **state)
{
	struct site *site = *state;
	const char *picture = fmt("%s/picture", pictures), *fail = fmt("%s/fail", pictures);
	struct atl_req *req;
	struct person key;

	make_key(site, fmt(",\"models\":[\"scripted/f*\",\"%s\"]", picture), &key);
	req = expect(ask(site, &key, "POST /v1/chat/completions", fmt(CHAT, "scripted/other")), 403);
	assert_string_equal(text_at(req, "error.code"), "model_not_allowed");
	assert_non_null(strstr(text_at(req, "error.message"), "API key is limited"));
	req = expect(ask(site, &key, "GET /sdapi/v1/sd-models", NULL), 200);
	assert_null(strstr(req->out.data, fail));
	assert_non_null(strstr(req->out.data, picture));
	expect_problem(ask(site, &key, "POST /api/v1/jobs", fmt("{\"prompt\":\"a boat\",\"model\":\"%s\"}", fail)), 403,
		       "model_not_allowed", "model");
	expect(ask(site, &key, "POST /api/v1/jobs", fmt("{\"prompt\":\"a boat\",\"model\":\"%s\"}", picture)), 202);
	expect(patch(site, &key, "{\"models\":[]}"), 200);
	expect(ask(site, &key, "POST /api/v1/jobs", fmt("{\"prompt\":\"a boat\",\"model\":\"%s\"}", fail)), 202);
}

static void test_blocks(void **state)
{
	static const struct {
		const char *block, *address;
		bool in;
	} rows[] = {
		{ "192.0.2.7", "192.0.2.7", true },	 { "192.0.2.7", "192.0.2.8", false },
		{ "192.0.2.7", "::ffff:192.0.2.7", true }, { "10.0.0.0/8", "10.255.1.2", true },
		{ "10.0.0.0/8", "11.0.0.0", false },	 { "10.0.0.0/9", "10.127.0.1", true },
		{ "10.0.0.0/9", "10.128.0.1", false },	 { "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "2001:db8::1", false },	 { "::/0", "2001:db8::1", true },
		{ "2001:db8::/32", "2001:db8:ffff::1", true }, { "2001:db8::/33", "2001:db8:8000::1", false },
		{ "::1", "::1", true },			 { "::1", "127.0.0.1", false },
		{ "127.0.0.1", "", false },		 { "127.0.0.1", "somewhere", false },
	};
	static const char *const wrong[] = { "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8", "2001:db8::1/32", "::/129", "10.0.0",
					     "10.0.0.0/8/8", "10.0.0.0/-1", "fe80::1%eth0", "example.org", "10.0.0.0/08x" };

	(void)state;
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_address_blocks list = { .count = 0 };

		assert_int_equal(atl_address_add(&list, rows[i].block, NULL), ATL_OK);
		if (atl_address_in(&list, rows[i].address) != rows[i].in)
			fail_msg("%s in %s", rows[i].address, rows[i].block);
	}
	for (size_t i = 0; i < ATL_COUNT(wrong); i++) {
		struct atl_address_blocks list = { .count = 0 };

		if (atl_address_add(&list, wrong[i], NULL) != ATL_ERR_INVALID)
			fail_msg("\"%s\" was taken", wrong[i]);
	}
	assert_true(atl_address_in(&(struct atl_address_blocks){ .count = 0 }, "anything"));
}

static void test_addresses(void **state)
{
	struct site *site = *state;
	struct person key;

	make_key(site, ",\"addresses\":[\"203.0.113.0/24\",\"2001:db8::/32\"]", &key);
	expect(from(site, &key, "203.0.113.9"), 200);
	expect(from(site, &key, "2001:db8::7"), 200);
	expect_problem(from(site, &key, "203.0.114.9"), 403, "api_key_address", NULL);
	expect(from(site, &key, "203.0.113.10"), 200); /* cached, and looked at anew each time */
	expect_problem(ask(site, &key, "GET /api/v1/me", NULL), 403, "api_key_address", NULL);
	/* also where nobody would have to sign in: a key that is sent counts */
	expect_problem(ask(site, &key, "GET /api/v1/status", NULL), 403, "api_key_address", NULL);
	expect(patch(site, &key, "{\"addresses\":[\"198.51.100.4\"]}"), 200);
	expect_problem(from(site, &key, "203.0.113.9"), 403, "api_key_address", NULL);
	expect(from(site, &key, "198.51.100.4"), 200);
	expect(patch(site, &key, "{\"addresses\":[]}"), 200);
	expect(ask(site, &key, "GET /api/v1/me", NULL), 200);
	expect_problem(patch(site, &key, "{\"addresses\":[\"10.0.0.1/8\"]}"), 400, "invalid_request", "addresses");
}

static void test_budget(void **state)
{
	struct site *site = *state;
	const char *job = fmt("{\"prompt\":\"a boat\",\"model\":\"%s/hang\"}", pictures);
	struct person key, other;
	struct atl_errinfo info = { 0 };
	struct atl_req *req;

	make_key(site, ",\"budget\":{\"kind\":\"pictures\",\"span\":\"day\",\"amount\":1}", &key);
	make_key(site, "", &other);
	expect(ask(site, &key, "POST /api/v1/jobs", job), 202);
	req = ask(site, &key, "POST /api/v1/jobs", job);
	expect_problem(req, 429, "quota_exceeded", NULL);
	assert_non_null(strstr(text_at(req, "detail"), "API key's own budget"));
	expect(ask(site, &other, "POST /api/v1/jobs", job), 202);
	expect(ask(site, &owner, "POST /api/v1/jobs", job), 202);
	req = expect(ask(site, &owner, "GET /api/v1/keys", NULL), 200);
	assert_non_null(strstr(req->out.data, "\"budget\":{\"kind\":\"pictures\",\"span\":\"day\",\"amount\":1,\"used\":1}"));
	expect(patch(site, &key, "{\"budget\":{\"kind\":\"pictures\",\"span\":\"day\",\"amount\":2}}"), 200);
	expect(ask(site, &key, "POST /api/v1/jobs", job), 202);
	expect_problem(ask(site, &key, "POST /api/v1/jobs", job), 429, "quota_exceeded", NULL);
	assert_true(is_null_at(expect(patch(site, &key, "{\"budget\":null}"), 200), "budget"));
	expect(ask(site, &key, "POST /api/v1/jobs", job), 202);
	/* /v1 counts against it too, though the server has no quota */
	make_key(site, ",\"budget\":{\"kind\":\"messages\",\"span\":\"total\",\"amount\":0}", &key);
	assert_ok(atl_usage_create(&site->app, &site->app.usage, &info), &info);
	req = expect(ask(site, &key, "POST /v1/chat/completions", fmt(CHAT, "scripted/first")), 429);
	assert_string_equal(text_at(req, "error.code"), "quota_exceeded");
	atl_usage_destroy(site->app.usage);
	site->app.usage = NULL;
	expect_problem(patch(site, &key, "{\"budget\":{\"kind\":\"joy\",\"span\":\"day\",\"amount\":1}}"), 400, "invalid_request",
		       "budget.kind");
}

static void test_expiry(void **state)
{
	struct site *site = *state;
	struct person key;

	make_key(site, "", &key);
	expect(ask(site, &key, "GET /api/v1/me", NULL), 200);
	execute(site->app.db, fmt("UPDATE api_keys SET expires_at = 1000 WHERE id = '%s'", key.session_id));
	atl_auth_forget(site->app.auth, key.session_id);
	expect_problem(ask(site, &key, "GET /api/v1/me", NULL), 401, "api_key_expired", NULL);
	expect_problem(patch(site, &key, "{\"expires_at\":\"2001-01-01T00:00:00Z\"}"), 400, "invalid_request", "expires_at");
	expect(patch(site, &key, "{\"expires_at\":null}"), 200);
	expect(ask(site, &key, "GET /api/v1/me", NULL), 200);
	assert_string_equal(text_at(expect(patch(site, &key, "{\"expires_at\":\"2099-01-01T00:00:00Z\"}"), 200), "expires_at"),
			    "2099-01-01T00:00:00.000Z");
}

static void test_change(void **state)
{
	struct site *site = *state;
	struct person key, boss;
	struct atl_req *req;

	make_key(site, "", &key);
	expect(ask(site, &key, "GET /api/v1/jobs", NULL), 200);
	req = expect(patch(site, &key, "{\"name\":\"Phone\",\"scopes\":[\"chat\"]}"), 200);
	assert_string_equal(text_at(req, "name"), "Phone");
	assert_int_equal(count_at(req, "scopes"), 1);
	assert_null(strstr(req->out.data, "\"key\":"));
	expect_problem(ask(site, &key, "GET /api/v1/jobs", NULL), 403, "forbidden", NULL); /* at once */
	expect_problem(patch(site, &key, "{\"scopes\":[\"everything\"]}"), 400, "invalid_request", "scopes");
	expect_problem(patch(site, &key, "{\"name\":null}"), 400, "invalid_request", "name");
	/* a key that is limited does not free itself, nor makes one that is not */
	person_key(site, &owner, "admin", &boss);
	expect(ask(site, &boss, fmt("PATCH /api/v1/keys/%s", boss.session_id), "{\"models\":[\"x\"]}"), 200);
	expect_problem(ask(site, &boss, fmt("PATCH /api/v1/keys/%s", boss.session_id), "{\"models\":[]}"), 403, "forbidden", NULL);
	expect_problem(ask(site, &boss, "POST /api/v1/keys", "{\"name\":\"x\",\"scopes\":[\"chat\"]}"), 403, "forbidden", NULL);
	expect(ask(site, &owner, fmt("DELETE /api/v1/keys/%s", key.session_id), NULL), 204);
	expect_problem(patch(site, &key, "{\"name\":\"x\"}"), 404, "not_found", NULL);
}

static int setup(void **state)
{
	site_setup(state);
	pictures = scripted_pictures(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_change),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
