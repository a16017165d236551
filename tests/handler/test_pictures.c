/* What our own API asks of a picture: strictness, looks, pictures of conversations, the registry. */
#include "base/str.h"
#include "core/people/user.h"
#include "support.h"

static const char *provider;

static struct atl_req *make(struct site *site, const char *more)
{
	return ask(site, &owner, "POST /api/v1/jobs", fmt("{\"prompt\":\"a house\",\"model\":\"%s/picture\"%s}", provider, more));
}

static bool has_note(struct atl_req *req, const char *word)
{
	for (size_t i = 0; i < count_at(req, "notes"); i++)
		if (strstr(text_at(req, fmt("notes.%zu", i)), word))
			return true;
	return false;
}

/* In the first answer, and later. */
static bool noted(struct site *site, struct atl_req *req, const char *word)
{
	struct atl_req *later = expect(ask(site, &owner, fmt("GET /api/v1/jobs/%s", text_at(req, "id")), NULL), 200);

	return has_note(req, word) && has_note(later, word);
}

/* Refused with the field's name, never dropped silently. */
static void test_values_are_checked_against_the_model(void **state)
{
	static const struct {
		const char *more, *field;
		int status;
	} rows[] = {
		{ ",\"steps\":1000", "steps", 400 }, { ",\"cfg_scale\":0.5", "cfg_scale", 400 },
		{ ",\"width\":9000", "width", 400 }, { ",\"sampler\":\"nobody's\"", "sampler", 400 },
		{ ",\"count\":17", "count", 400 }, { ",\"seed\":-2", "seed", 400 },
		{ ",\"quality\":\"high\"", "quality", 400 }, { ",\"frames\":9", "frames", 400 },
		{ ",\"task\":\"paint\"", "task", 400 }, { ",\"task\":\"img2img\"", "init_asset", 400 },
		{ ",\"init_asset\":\"ast_01AAAAAAAAAAAAAAAAAAAAAAAA\"", "init_asset", 404 },
		{ ",\"control_asset\":\"ast_01AAAAAAAAAAAAAAAAAAAAAAAA\"", "control_asset", 404 },
		{ ",\"style\":\"none\"", "style", 404 }, { ",\"extra\":{\"invented\":1}", "extra", 400 },
	};
	struct site *site = *state;
	int wrong = 0;

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_req *req = make(site, rows[i].more);

		if (req->status == rows[i].status && atl_str_eq(text_at(req, "field"), rows[i].field))
			continue;
		print_error("%s: %d %s\n", rows[i].more, req->status, req->out.data);
		wrong++;
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM jobs"), 0);
	expect_problem(make(site, ",\"negative_prompt\":\"clothes, adult\""), 403, "refused_by_policy", "negative_prompt");
	/* a control picture: of a kind the model knows, at a strength it takes, and only where one is taken at all */
	const char *id = make_asset(site, &owner, "good.png");

	expect_problem(make(site, fmt(",\"control_asset\":\"%s\",\"control_type\":\"smell\"", id)), 400,
		       "invalid_request", "control_type");
	expect_problem(make(site, fmt(",\"control_asset\":\"%s\",\"control_strength\":3", id)), 400,
		       "invalid_request", "control_strength");
	expect_problem(ask(site, &owner, "POST /api/v1/jobs",
			   fmt("{\"prompt\":\"a house\",\"model\":\"%s/slow\",\"control_asset\":\"%s\"}", provider, id)),
		       400, "invalid_request", "control_asset");
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM jobs"), 0);
	assert_true(noted(site, expect(make(site, ",\"width\":100,\"height\":64"), 202), "multiples of 8"));
}

/* A look applies when its character is chosen, and says what the model cannot take of it. */
static void test_looks(void **state)
{
	struct site *site = *state;
	const char *id = make_character(site, &owner, "Ada"), *with = fmt(",\"character_id\":\"%s\"", id);
	struct atl_req *req = expect(ask(site, &owner, fmt("GET /api/v1/characters/%s/look", id), NULL), 200);

	assert_string_equal(text_at(req, "seed_policy"), "free");
	expect(ask(site, &owner, fmt("PUT /api/v1/characters/%s/look", id),
		   "{\"prompt_prefix\":\"Ada, red hair\",\"negative_prompt\":\"blonde\",\"model\":null,\"loras\":[{\"name\":\"ada\",\"weight\":0.8}],"
		   "\"reference_assets\":[],\"seed\":77,\"seed_policy\":\"fixed\"}"), 200);
	req = expect(make(site, with), 202);
	assert_string_equal(text_at(req, "request.prompt"), "Ada, red hair, a house");
	assert_string_equal(text_at(req, "request.negative_prompt"), "blonde");
	assert_int_equal(int_at(req, "request.seed"), 77);
	assert_string_equal(text_at(req, "request.loras.0.name"), "ada");
	req = expect(make(site, fmt("%s,\"no_look\":true", with)), 202);
	assert_string_equal(text_at(req, "request.prompt"), "a house");
	req = expect(ask(site, &owner, "POST /api/v1/jobs", fmt("{\"prompt\":\"a house\",\"model\":\"%s/low\"%s}", provider, with)), 202);
	assert_true(noted(site, req, "LoRA ada"));
}

static void test_pictures_of_a_conversation(void **state)
{
	struct site *site = *state;
	const char *character = make_character(site, &owner, "Bea"), *talk = make_conversation(site, &owner, character);
	const char *message = add_message(site, &owner, talk, "We stand by the sea.");
	struct atl_req *req = expect(ask(site, &owner, fmt("POST /api/v1/conversations/%s/pictures", talk),
					 fmt("{\"what\":\"prompt\",\"prompt\":\"a harbour\",\"message_id\":\"%s\",\"model\":\"%s/picture\"}", message,
					     provider)), 202);

	assert_string_equal(text_at(req, "origin"), "chat");
	assert_string_equal(text_at(req, "conversation_id"), talk);
	assert_string_equal(text_at(req, "message_id"), message);
	assert_non_null(strstr(text_at(req, "request.prompt"), "a harbour"));
	expect_problem(ask(site, &owner, fmt("POST /api/v1/conversations/%s/pictures", talk), "{\"what\":\"dance\"}"), 400,
		       "invalid_request", "what");
}

static void test_registry(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "GET /api/v1/picture-models", NULL), 200);
	const struct atl_json *items = atl_json_get(json_of(req), "items");
	bool found = false;

	for (const struct atl_json *item = items->child; item; item = item->next)
		found |= atl_str_eq(atl_json_str(item, "id", ""), fmt("%s/picture", provider));
	assert_true(found);
	expect(ask(site, &owner, "GET /api/v1/picture-engine", NULL), 200);
}

/* The one model that the list marks; NULL: none or several. */
static const char *marked(struct site *site)
{
	struct atl_req *req = expect(ask(site, &owner, "GET /api/v1/picture-models", NULL), 200);
	const char *ret = NULL;
	size_t count = 0;

	for (const struct atl_json *item = atl_json_get(json_of(req), "items")->child; item; item = item->next)
		if (atl_json_bool(item, "is_default", false) && ++count)
			ret = atl_json_str(item, "id", "");
	return count == 1 ? ret : NULL;
}

static void test_the_list_says_what_is_taken(void **state)
{
	struct site *site = *state;
	const char *fail = fmt("%s/fail", provider);

	assert_string_not_equal(marked(site), fail);
	ears_open(site, owner.id);
	expect(ask(site, &owner, "PATCH /api/v1/settings", fmt("{\"default_picture_model\":\"%s\"}", fail)), 200);
	ears_wait(site, "picture_models.changed", "");
	ears_close(site);
	assert_string_equal(marked(site), fail);
	assert_string_equal(text_at(expect(ask(site, &owner, "POST /api/v1/jobs", "{\"prompt\":\"a boat\"}"), 202), "model"), fail);
	expect(ask(site, &owner, "PATCH /api/v1/settings", "{\"default_picture_model\":null}"), 200);
	assert_string_not_equal(marked(site), fail);
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
		cmocka_unit_test(test_values_are_checked_against_the_model),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_pictures_of_a_conversation),
		cmocka_unit_test(test_registry),
		cmocka_unit_test(test_the_list_says_what_is_taken),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
