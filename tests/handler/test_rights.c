/* What a role may use besides its permissions: models, services, features, room; shown in lists and refused by name at
 * every way in. */
#include "base/str.h"
#include "core/people/rights.h"
#include "support.h"

static struct person member, helper, hoarder;
static const char *pictures; /* the scripted service */

static void limit(struct site *site, const char *role, const char *json)
{
	expect(ask(site, &owner, fmt("PATCH /api/v1/roles/%s", role), json), 200);
}

static void no_limits(struct site *site)
{
	limit(site, "member", "{\"models\":[],\"providers\":[],\"features_off\":[],\"storage_bytes\":null,\"mature\":true}");
}

static bool lists(struct atl_req *req, const char *text)
{
	return strstr(expect(req, 200)->out.data, text) != NULL;
}

static void test_patterns(void **state)
{
	static const struct {
		const char *pattern, *id;
		bool is;
	} rows[] = {
		{ "local/tiny.gguf", "local/tiny.gguf", true }, { "tiny.gguf", "local/tiny.gguf", true },
		{ "tiny", "local/tiny.gguf", false },		{ "tiny*", "local/tiny.gguf", true },
		{ "prv_1/*", "prv_1/a/b", true },		{ "prv_1/*", "prv_12/a", false },
		{ "*", "x", true },				{ "a*b*c", "p/aXbYbZc", true },
		{ "a*b*c", "p/aXbYbZ", false },			{ "*o", "p/gpt-4o", true },
		{ "", "p/x", false },				{ "a**", "a", true },
	};

	(void)state;
	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		if (atl_rights_matches(rows[i].pattern, rows[i].id) != rows[i].is)
			fail_msg("%s and %s", rows[i].pattern, rows[i].id);
}

static void test_a_role_says_what_it_has(void **state)
{
	struct site *site = *state;
	struct atl_req *req;

	limit(site, "member", "{\"models\":[\"gpt*\",\"local/x\"],\"providers\":[\"local\"],\"features_off\":[\"sharing\"],"
			      "\"storage_bytes\":5000}");
	req = expect(ask(site, &owner, "GET /api/v1/roles", NULL), 200);
	assert_non_null(strstr(req->out.data, "\"models\":[\"gpt*\",\"local/x\"]"));
	assert_non_null(strstr(req->out.data, "\"features_off\":[\"sharing\"]"));
	assert_non_null(strstr(req->out.data, "\"storage_bytes\":5000"));
	limit(site, "member", "{\"models\":[]}"); /* what is not named stays */
	req = expect(ask(site, &owner, "PATCH /api/v1/roles/member", "{}"), 200);
	assert_int_equal(count_at(req, "models"), 0);
	assert_int_equal(count_at(req, "providers"), 1);
	assert_int_equal(int_at(req, "storage_bytes"), 5000);
	no_limits(site);
	req = expect(ask(site, &owner, "PATCH /api/v1/roles/member", "{}"), 200);
	assert_true(is_null_at(req, "storage_bytes"));
	assert_int_equal(count_at(req, "providers"), 0);
	assert_true(lists(ask(site, &owner, "GET /api/v1/features", NULL), "temporary_chats"));
	assert_true(lists(ask(site, &owner, "GET /api/v1/audit?action=role.rights", NULL), "without [sharing]"));
}

static void test_who_may_set_them(void **state)
{
	struct site *site = *state;

	expect_problem(ask(site, &owner, "PATCH /api/v1/roles/owner", "{\"models\":[\"x\"]}"), 400, "invalid_request", NULL);
	expect_problem(ask(site, &owner, "PATCH /api/v1/roles/member", "{\"features_off\":[\"flying\"]}"), 400, "invalid_request",
		       "features_off");
	expect_problem(ask(site, &owner, "PATCH /api/v1/roles/member", "{\"models\":[\"\"]}"), 400, "invalid_request", "models");
	expect_problem(ask(site, &owner, "PATCH /api/v1/roles/nobody", "{\"models\":[\"x\"]}"), 404, "not_found", NULL);
	expect_problem(ask(site, &member, "PATCH /api/v1/roles/guest", "{\"models\":[\"x\"]}"), 403, "forbidden", NULL);
	/* whoever is limited cannot say what others may, themselves included */
	limit(site, "admin", "{\"models\":[\"one\"]}");
	expect_problem(ask(site, &helper, "PATCH /api/v1/roles/admin", "{\"models\":[]}"), 403, "forbidden", NULL);
	expect_problem(ask(site, &helper, "PATCH /api/v1/roles/member", "{\"storage_bytes\":1}"), 403, "forbidden", NULL);
	limit(site, "admin", "{\"models\":[]}");
	expect(ask(site, &helper, "PATCH /api/v1/roles/guest", "{\"storage_bytes\":null}"), 200);
}

#define CHAT "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

/* Each route that takes a model's name; every one asks the same function. */
static void refused_everywhere(struct site *site, const struct person *who, const char *chat, const char *picture)
{
	const char *conversation = make_conversation(site, who, make_character(site, who, "Ada"));
	struct atl_req *req;

	req = expect(ask(site, who, "POST /v1/chat/completions", fmt(CHAT, chat)), 403);
	assert_string_equal(text_at(req, "error.code"), "model_not_allowed");
	assert_non_null(strstr(text_at(req, "error.message"), chat));
	req = expect(ask(site, who, "POST /v1/completions", fmt("{\"model\":\"%s\",\"prompt\":\"hi\"}", chat)), 403);
	assert_string_equal(text_at(req, "error.code"), "model_not_allowed");
	req = expect(ask(site, who, "POST /v1/embeddings", fmt("{\"model\":\"%s\",\"input\":\"hi\"}", chat)), 403);
	assert_string_equal(text_at(req, "error.code"), "model_not_allowed");
	expect(ask(site, who, fmt("PATCH /api/v1/conversations/%s", conversation), fmt("{\"model\":\"%s\"}", chat)), 200);
	ears_open(site, who->id);
	expect(ask(site, who, fmt("POST /api/v1/conversations/%s/messages", conversation), "{\"content\":\"Hello\"}"), 202);
	ears_wait(site, "message.updated", "model_not_allowed");
	ears_close(site);

	expect_problem(ask(site, who, "POST /api/v1/jobs", fmt("{\"prompt\":\"a boat\",\"model\":\"%s\"}", picture)), 403,
		       "model_not_allowed", "model");
	req = expect(ask(site, who, "POST /v1/images/generations", fmt("{\"prompt\":\"a boat\",\"model\":\"%s\"}", picture)), 403);
	assert_string_equal(text_at(req, "error.code"), "model_not_allowed");
	req = expect(ask(site, who, "POST /v1/videos", fmt("{\"prompt\":\"a boat\",\"model\":\"%s\"}", picture)), 403);
	assert_string_equal(text_at(req, "error.code"), "model_not_allowed");
	expect(ask(site, who, "POST /sdapi/v1/txt2img",
		   fmt("{\"prompt\":\"a boat\",\"override_settings\":{\"sd_model_checkpoint\":\"%s\"}}", picture)), 403);
	expect_problem(ask(site, who, "POST /api/v1/grids",
			   fmt("{\"request\":{\"prompt\":\"a boat\",\"model\":\"%s\"},\"x\":{\"parameter\":\"seed\",\"values\":[1,2]}}",
			       picture)), 403, "model_not_allowed", NULL);
}

/* What the list says they get when they name none, "" if nothing. */
static const char *usual(struct site *site, const struct person *who)
{
	struct atl_req *req = expect(ask(site, who, "GET /api/v1/picture-models", NULL), 200);

	for (const struct atl_json *item = atl_json_get(json_of(req), "items")->child; item; item = item->next)
		if (atl_json_bool(item, "is_default", false))
			return atl_json_str(item, "id", "");
	return "";
}

static void test_models(void **state)
{
	struct site *site = *state;
	const char *picture = fmt("%s/picture", pictures), *fail = fmt("%s/fail", pictures);
	struct person key;

	assert_true(lists(ask(site, &member, "GET /api/v1/picture-models", NULL), fail));
	limit(site, "member", fmt("{\"models\":[\"scripted/first\",\"%s\"]}", picture));
	assert_false(lists(ask(site, &member, "GET /api/v1/picture-models", NULL), fail));
	assert_true(lists(ask(site, &member, "GET /api/v1/picture-models", NULL), picture));
	assert_true(lists(ask(site, &owner, "GET /api/v1/picture-models", NULL), fail));
	assert_string_equal(usual(site, &member), picture);
	expect(ask(site, &owner, "PATCH /api/v1/settings", fmt("{\"default_picture_model\":\"%s\"}", fail)), 200);
	assert_string_equal(usual(site, &owner), fail);
	assert_string_equal(usual(site, &member), picture); /* theirs: the server's is not open to them */
	expect(ask(site, &owner, "PATCH /api/v1/settings", "{\"default_picture_model\":null}"), 200);
	assert_false(lists(ask(site, &member, "GET /sdapi/v1/sd-models", NULL), fail));
	refused_everywhere(site, &member, "scripted/other", fail);
	expect(ask(site, &member, "POST /api/v1/jobs", fmt("{\"prompt\":\"a boat\",\"model\":\"%s\"}", picture)), 202);
	/* a key of the person is under the role as well */
	person_key(site, &member, "chat pictures", &key);
	expect(ask(site, &key, "POST /v1/chat/completions", fmt(CHAT, "scripted/other")), 403);
	assert_false(lists(ask(site, &key, "GET /sdapi/v1/sd-models", NULL), fail));
	no_limits(site);
	assert_true(lists(ask(site, &member, "GET /api/v1/picture-models", NULL), fail));
}

static void test_services(void **state)
{
	struct site *site = *state;
	const char *fail = fmt("%s/fail", pictures);

	limit(site, "member", "{\"providers\":[\"scripted\"]}");
	assert_false(lists(ask(site, &member, "GET /api/v1/picture-models", NULL), fail));
	refused_everywhere(site, &member, "prv_elsewhere/gpt", fail);
	no_limits(site);
}

static void test_features(void **state)
{
	struct site *site = *state;
	const char *asset = make_asset(site, &member, "good.png"), *picture = fmt("%s/picture", pictures);
	const char *job = fmt("{\"prompt\":\"a boat\",\"model\":\"%s\"}", picture);
	static const char *const off[] = { "pictures", "videos", "uploads", "temporary_chats", "sharing", "api_keys", "webhooks",
					   "workflows", "api" };
	struct person key;
	const struct {
		const char *feature, *line, *body;
	} rows[] = {
		{ "pictures", "POST /api/v1/jobs", job },
		{ "pictures", "POST /v1/images/generations", job },
		{ "videos", "POST /v1/videos", "{\"prompt\":\"a boat\"}" },
		{ "uploads", "POST /api/v1/uploads", "{\"size_bytes\":9}" },
		{ "uploads", "POST /api/v1/assets", "x" },
		/* nothing is said, so nothing is streamed, which an in-memory request cannot */
		{ "temporary_chats", "POST /api/v1/temporary/replies", "{\"messages\":[]}" },
		{ "sharing", fmt("POST /api/v1/assets/%s/shares", asset), "{}" },
		{ "api_keys", "POST /api/v1/keys", "{\"name\":\"x\",\"scopes\":[\"chat\"]}" },
		{ "webhooks", "POST /api/v1/webhooks", "{\"url\":\"https://example.com/\"}" },
		{ "workflows", "POST /api/v1/workflows", "{\"name\":\"x\",\"graph\":{}}" },
	};

	assert_int_equal(ATL_COUNT(off), ATL_FEATURE_COUNT);
	for (size_t i = 0; i < ATL_COUNT(off); i++) {
		limit(site, "member", fmt("{\"features_off\":[\"%s\"]}", off[i]));
		for (size_t k = 0; k < ATL_COUNT(rows); k++) {
			struct atl_req *req = ask(site, &member, rows[k].line, rows[k].body);
			bool refused = req->status == 403 && strstr(req->out.data, "feature_not_allowed");

			if (refused != atl_str_eq(rows[k].feature, off[i]))
				fail_msg("without %s, %s: %d %s", off[i], rows[k].line, req->status,
					 req->out.length ? req->out.data : "");
		}
	}
	limit(site, "member", "{\"features_off\":[]}");
	person_key(site, &member, "chat", &key);
	expect(ask(site, &key, "GET /api/v1/me", NULL), 200);
	limit(site, "member", "{\"features_off\":[\"api\"]}"); /* a key's requests, and none of the page's */
	expect_problem(ask(site, &key, "GET /api/v1/conversations", NULL), 403, "feature_not_allowed", NULL);
	expect(ask(site, &member, "GET /api/v1/conversations", NULL), 200);
	limit(site, "member", "{\"features_off\":[\"uploads\"]}"); /* a picture inside of a request is one, too */
	expect(ask(site, &member, "POST /sdapi/v1/img2img",
		   fmt("{\"prompt\":\"a boat\",\"init_images\":[\"%s\"]}", base64_picture("good.png"))), 403);
	no_limits(site);
	expect(ask(site, &member, "POST /api/v1/jobs", job), 202);
}

static void test_room(void **state)
{
	struct site *site = *state;
	const char *job = fmt("{\"prompt\":\"a boat\",\"model\":\"%s/fail\"}", pictures);
	struct atl_buf data = load_picture("good.png");
	const char *kept;
	struct atl_req *req;
	int64_t size;

	kept = make_asset(site, &hoarder, "good.png");
	size = int_at(expect(ask(site, &hoarder, fmt("GET /api/v1/assets/%s", kept), NULL), 200), "size_bytes");
	limit(site, "member", fmt("{\"storage_bytes\":%lld}", (long long)(size * 2)));
	expect(ask(site, &hoarder, "POST /api/v1/jobs", job), 202);
	expect_problem(ask(site, &hoarder, "POST /api/v1/uploads", fmt("{\"size_bytes\":%lld}", (long long)(size + 1))), 403,
		       "storage_full", NULL);
	expect(ask(site, &hoarder, "POST /api/v1/uploads", fmt("{\"size_bytes\":%lld}", (long long)size)), 201);
	/* exactly full is allowed, and then nothing more is taken or begun */
	expect(ask_data(site, &hoarder, NULL, "POST /api/v1/assets", data.data, data.length), 201);
	req = ask_data(site, &hoarder, NULL, "POST /api/v1/assets", data.data, data.length);
	expect_problem(req, 403, "storage_full", NULL);
	assert_non_null(strstr(text_at(req, "detail"), "empty the trash"));
	expect_problem(ask(site, &hoarder, "POST /api/v1/jobs", job), 403, "storage_full", NULL);
	/* the trash takes room until it is emptied */
	expect(ask(site, &hoarder, fmt("DELETE /api/v1/assets/%s", kept), NULL), 204);
	expect_problem(ask(site, &hoarder, "POST /api/v1/jobs", job), 403, "storage_full", NULL);
	expect(ask(site, &owner, "POST /api/v1/jobs", job), 202); /* others are not touched */
	no_limits(site);
	expect(ask(site, &hoarder, "POST /api/v1/jobs", job), 202);
	atl_buf_finish(&data);
}

static int setup(void **state)
{
	site_setup(state);
	person_create(*state, "Mia", ATL_ROLE_MEMBER, &member);
	person_create(*state, "Ada", ATL_ROLE_ADMIN, &helper);
	person_create(*state, "Hal", ATL_ROLE_MEMBER, &hoarder);
	pictures = scripted_pictures(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_a_role_says_what_it_has),
		cmocka_unit_test(test_who_may_set_them),
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
