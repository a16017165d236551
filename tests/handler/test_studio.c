/* The studio contract: POST /generate, GET /generate/{task_id}, GET /health. */
#include "base/codec.h"
#include "base/str.h"
#include "core/people/user.h"
#include "core/safety/policy.h"
#include "support.h"

static const char *provider;
static const char *const async_header[] = { "Prefer: respond-async", NULL };

static struct atl_req *generate(struct site *site, const char *more)
{
	return ask(site, &owner, "POST /generate", fmt("{\"mode\":\"free\",\"prompt\":\"a lighthouse\",%s}", more));
}

static const char *with_model(const char *model, const char *more)
{
	return fmt("\"extra_params\":{\"model\":\"%s/%s\"%s%s}", provider, model, *more ? "," : "", more);
}

static void test_waits_and_answers_with_the_picture(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(generate(site, with_model("picture", "\"seed\":5,\"width\":96,\"height\":64,\"steps\":4")), 200);
	const char *image = text_at(req, "image"), *task = text_at(req, "task_id");
	struct atl_buf data;

	assert_string_equal(text_at(req, "status"), "done");
	assert_true(is_null_at(req, "error"));
	atl_buf_init(&data, (size_t)1 << 20);
	assert_true(atl_base64_decode(&data, ATL_BASE64_STANDARD, image, strlen(image)));
	assert_memory_equal(data.data, "\x89PNG\r\n\x1a\n", 8);
	assert_int_equal((unsigned char)data.data[19], 96); /* IHDR */
	assert_int_equal((unsigned char)data.data[23], 64);
	atl_buf_finish(&data);
	req = expect(ask(site, &owner, fmt("GET /generate/%s", task), NULL), 200);
	assert_string_equal(text_at(req, "status"), "done");
	assert_string_equal(text_at(req, "image"), image);
	req = expect(ask(site, &owner, fmt("GET /api/v1/jobs/%s", task), NULL), 200);
	assert_string_equal(text_at(req, "origin"), "studio");
	assert_int_equal(int_at(req, "request.seed"), 5);
	assert_int_equal(int_at(req, "request.steps"), 4);
}

static void test_answers_at_once_when_asked_to(void **state)
{
	struct site *site = *state;
	const char *body = fmt("{\"mode\":\"free\",\"prompt\":\"x\",%s}", with_model("hang", ""));
	struct atl_req *req = expect(ask_with(site, &owner, async_header, "POST /generate", body), 202);
	const char *task = text_at(req, "task_id");

	assert_string_equal(atl_mock_header(req, "Preference-Applied"), "respond-async");
	assert_true(atl_str_eq(text_at(req, "status"), "queued") || atl_str_eq(text_at(req, "status"), "processing"));
	assert_true(is_null_at(req, "image") && is_null_at(req, "error"));
	expect(ask(site, &owner, fmt("GET /generate/%s", task), NULL), 202);
	ears_open(site, owner.id);
	expect(ask(site, &owner, fmt("POST /api/v1/jobs/%s/cancel", task), NULL), 200);
	ears_wait(site, "job.updated", "\"cancelled\"");
	ears_close(site);
	req = expect(ask(site, &owner, fmt("GET /generate/%s", task), NULL), 200);
	assert_string_equal(text_at(req, "status"), "failed");
	assert_string_equal(text_at(req, "error"), "The job was cancelled.");
	expect_problem(ask(site, &owner, "GET /generate/job_01AAAAAAAAAAAAAAAAAAAAAAAA", NULL), 404, "not_found", NULL);
}

static void test_failures_are_told(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(generate(site, with_model("fail", "")), 200);

	assert_string_equal(text_at(req, "status"), "failed");
	assert_string_equal(text_at(req, "error"), "The scripted service failed, as it was told to.");
	req = expect(generate(site, with_model("noop", "")), 200);
	assert_string_equal(text_at(req, "status"), "failed");
	assert_true(is_null_at(req, "image"));
}

static void test_modes_that_are_never_offered(void **state)
{
	static const char *const modes[] = { "clothes_removal", "face_swap", "nsfw_face" };
	struct site *site = *state;

	for (size_t i = 0; i < ATL_COUNT(modes); i++)
		expect_problem(ask(site, &owner, "POST /generate",
				   fmt("{\"mode\":\"%s\",\"prompt\":\"x\",\"images\":[\"%s\"]}", modes[i], base64_picture("good.png"))),
			       403, "mode_not_offered", NULL);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM assets WHERE library = 0"), 0);
}

static void test_edits(void **state)
{
	struct site *site = *state;
	const char *picture = base64_picture("good.png"), *with = with_model("picture", "\"strength\":0.5");
	const char *line = "POST /generate";
	struct atl_req *req;

	req = expect(ask(site, &owner, line, fmt("{\"mode\":\"img2img\",\"prompt\":\"x\",\"images\":[\"%s\"],%s}", picture, with)), 200);
	assert_string_equal(text_at(req, "status"), "done");
	req = expect(ask(site, &owner, line, fmt("{\"mode\":\"inpaint\",\"prompt\":\"x\",\"images\":[\"data:image/png;base64,%s\"],"
						 "\"mask\":\"%s\",%s}", picture, picture, with)), 200);
	assert_string_equal(text_at(req, "status"), "done");
	with = with_model("picture", "");
	req = expect(ask(site, &owner, line, fmt("{\"mode\":\"edit\",\"prompt\":\"x\",\"images\":[\"%s\",\"%s\",\"%s\"],%s}", picture,
						 picture, base64_picture("good.webp"), with)), 200);
	req = expect(ask(site, &owner, fmt("GET /api/v1/jobs/%s", text_at(req, "task_id")), NULL), 200);
	assert_string_equal(text_at(req, "task"), "edit");
	assert_int_equal(count_at(req, "request.reference_assets"), 2);
	req = expect(ask(site, &owner, line, fmt("{\"mode\":\"upscale\",\"prompt\":\"\",\"images\":[\"%s\"],"
						 "\"extra_params\":{\"model\":\"%s/picture\",\"upscale_factor\":2}}", picture, provider)), 200);
	assert_string_equal(text_at(req, "status"), "done");
}

/* Whatever is wrong, the answer names the field, and nothing is stored. */
static void test_every_refusal_names_its_field(void **state)
{
	static const struct {
		const char *body, *slug, *field;
		int status;
	} rows[] = {
		{ "{\"prompt\":\"x\"}", "invalid_request", "mode", 400 },
		{ "{\"mode\":\"painting\",\"prompt\":\"x\"}", "invalid_request", "mode", 400 },
		{ "{\"mode\":\"free\"}", "invalid_request", "prompt", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"\"}", "invalid_request", "prompt", 400 },
		{ "{\"mode\":\"free\",\"prompt\":7}", "invalid_request", "prompt", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"style\":\"nobody's\"}", "not_found", "style", 404 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"images\":[\"\"]}", "invalid_request", "images", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"images\":[\"%%%%\"]}", "invalid_request", "images", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"images\":[\"https://example.org/a.png\"]}", "invalid_request", "images", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"images\":[\"aGVsbG8gd29ybGQh\"]}", "bad_picture", "images", 422 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"images\":[\"\",\"\",\"\",\"\",\"\",\"\"]}", "invalid_request", "images", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"mask\":\"?\"}", "invalid_request", "mask", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"extra_params\":{\"steps\":0}}", "invalid_request", "extra_params.steps", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"extra_params\":{\"steps\":151}}", "invalid_request", "extra_params.steps", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"extra_params\":{\"cfg_scale\":31}}", "invalid_request", "extra_params.cfg_scale", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"extra_params\":{\"seed\":-2}}", "invalid_request", "extra_params.seed", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"extra_params\":{\"width\":63}}", "invalid_request", "extra_params.width", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"extra_params\":{\"height\":4097}}", "invalid_request", "extra_params.height", 400 },
		{ "{\"mode\":\"free\",\"prompt\":\"x\",\"extra_params\":{\"model\":\"none\"}}", "model_not_found", "extra_params.model", 404 },
		{ "{\"mode\":\"img2img\",\"prompt\":\"x\"}", "invalid_request", "images", 400 },
	};
	struct site *site = *state;
	char long_prompt[4100] = "";
	int wrong = 0;

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_req *req = ask(site, &owner, "POST /generate", rows[i].body);

		if (req->status == rows[i].status && atl_str_eq(text_at(req, "slug"), rows[i].slug) &&
		    atl_str_eq(text_at(req, "field"), rows[i].field))
			continue;
		print_error("%s: %d %s\n", rows[i].body, req->status, req->out.data);
		wrong++;
	}
	assert_int_equal(wrong, 0);
	memset(long_prompt, 'x', 4001);
	expect_problem(ask(site, &owner, "POST /generate", fmt("{\"mode\":\"free\",\"prompt\":\"%s\"}", long_prompt)), 400,
		       "invalid_request", "prompt");
	long_prompt[4000] = '\0';
	expect(ask(site, &owner, "POST /generate", fmt("{\"mode\":\"free\",\"prompt\":\"%s\",%s}", long_prompt, with_model("picture", ""))),
	       200);
}

static void test_styles_by_their_names(void **state)
{
	static const char *const styles[] = { "chatgpt", "lux", "realism", "anime" };
	struct site *site = *state;

	for (size_t i = 0; i < ATL_COUNT(styles); i++) {
		struct atl_req *req = expect(generate(site, fmt("\"style\":\"%s\",%s", styles[i], with_model("picture", ""))), 200);

		req = expect(ask(site, &owner, fmt("GET /api/v1/jobs/%s", text_at(req, "task_id")), NULL), 200);
		assert_true(strlen(text_at(req, "request.prompt")) > strlen("a lighthouse") + 20);
		assert_string_equal(text_at(req, "request.original_prompt"), "a lighthouse");
	}
}

/* The same key again finds the same task, as it is by then. */
static void test_idempotency(void **state)
{
	static const char *const key[] = { "Idempotency-Key: once-1", NULL };
	struct site *site = *state;
	const char *body = fmt("{\"mode\":\"free\",\"prompt\":\"once\",%s}", with_model("picture", ""));
	struct atl_req *first = expect(ask_with(site, &owner, key, "POST /generate", body), 200);
	struct atl_req *again = expect(ask_with(site, &owner, key, "POST /generate", body), 200);

	assert_string_equal(text_at(first, "task_id"), text_at(again, "task_id"));
	assert_string_equal(text_at(first, "image"), text_at(again, "image"));
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM jobs WHERE prompt = 'once'"), 1);
	expect(ask_with(site, &owner, key, "POST /generate", "{\"mode\":\"free\",\"prompt\":\"other\"}"), 422);
}

static void test_other_people_and_scopes(void **state)
{
	struct site *site = *state;
	struct person other, chat;
	const char *task = text_at(expect(generate(site, with_model("picture", "")), 200), "task_id");

	person_create(site, "Otto", ATL_ROLE_MEMBER, &other);
	person_key(site, &owner, "chat", &chat);
	expect(ask(site, &other, fmt("GET /generate/%s", task), NULL), 404);
	expect(ask(site, &nobody, fmt("GET /generate/%s", task), NULL), 401);
	expect(ask(site, &chat, "POST /generate", "{\"mode\":\"free\",\"prompt\":\"x\"}"), 403);
}

static void test_health(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &nobody, "GET /health", NULL), 200);

	assert_string_equal(text_at(req, "status"), "ok");
	assert_int_equal(int_at(req, "gpu_available"), 0);
	assert_true(strlen(text_at(req, "timestamp")) >= 20);
	assert_int_equal(count_at(req, "engines"), 2);
	assert_string_equal(text_at(req, "engines.1.name"), "pictures");
	assert_string_not_equal(text_at(req, "engines.1.state"), "");
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
		cmocka_unit_test(test_modes_that_are_never_offered),
		cmocka_unit_test(test_waits_and_answers_with_the_picture),
		cmocka_unit_test(test_answers_at_once_when_asked_to),
		cmocka_unit_test(test_failures_are_told),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_every_refusal_names_its_field),
		cmocka_unit_test(test_styles_by_their_names),
		cmocka_unit_test(test_idempotency),
		cmocka_unit_test(test_other_people_and_scopes),
		cmocka_unit_test(test_health),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
