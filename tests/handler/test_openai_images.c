/* OpenAI's pictures and videos: shapes of answers, forms, streams, refusals. */
#include "base/str.h"
#include "core/people/user.h"
#include "support.h"

static const char *provider;
static const char *const form_type[] = { "Content-Type: multipart/form-data; boundary=edge", NULL };

struct form {
	struct atl_buf out;
};

static void form_begin(struct form *form)
{
	atl_buf_init(&form->out, (size_t)16 << 20);
}

static void form_text(struct form *form, const char *name, const char *value)
{
	atl_buf_addf(&form->out, "--edge\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", name, value);
}

static void form_file(struct form *form, const char *name, const char *file)
{
	struct atl_buf data = load_picture(file);

	atl_buf_addf(&form->out, "--edge\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\nContent-Type: image/png\r\n\r\n",
		     name, file);
	atl_buf_add(&form->out, data.data, data.length);
	atl_buf_adds(&form->out, "\r\n");
	atl_buf_finish(&data);
}

static struct atl_req *form_send_with(struct site *site, struct form *form, const char *const *headers, const char *path)
{
	struct atl_req *req;

	atl_buf_adds(&form->out, "--edge--\r\n");
	req = ask_data(site, &owner, headers, fmt("POST /v1/%s", path), form->out.data, form->out.length);
	atl_buf_finish(&form->out);
	return req;
}

static struct atl_req *form_send(struct site *site, struct form *form, const char *path)
{
	return form_send_with(site, form, form_type, path);
}

static struct atl_req *last_job(struct site *site)
{
	return expect(ask(site, &owner, "GET /api/v1/jobs?limit=1", NULL), 200);
}

static void expect_error(struct atl_req *req, int status, const char *code, const char *param)
{
	expect(req, status);
	if (!atl_str_eq(text_at(req, "error.code"), code) || !atl_str_eq(text_at(req, "error.param"), param))
		fail_msg("%s: not %s %s: %s", req->target, code, param, req->out.data);
}

static void test_generations(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "POST /v1/images/generations",
					 "{\"model\":\"gpt-image-1\",\"prompt\":\"a {b|c}\",\"n\":2,\"size\":\"96x64\",\"quality\":\"high\","
					 "\"background\":\"auto\",\"moderation\":\"low\",\"output_compression\":90,\"user\":\"u\","
					 "\"output_format\":\"png\",\"style\":\"vivid\"}"), 200);

	assert_int_equal(count_at(req, "data"), 2);
	assert_true(strncmp(text_at(req, "data.1.b64_json"), "iVBORw0KGgo", 11) == 0);
	assert_true(int_at(req, "created") > 1600000000);
	req = last_job(site);
	assert_string_equal(text_at(req, "items.0.origin"), "openai");
	assert_string_equal(text_at(req, "items.0.prompt"), "a {b|c}");
	assert_int_equal(int_at(req, "items.0.request.width"), 96);
}

/* An address opens for whoever has it, for an hour; it cannot be guessed on. */
static void test_addresses(void **state)
{
	static const char *const host[] = { "Host: localhost", NULL };
	struct site *site = *state;
	struct atl_req *req = expect(ask_with(site, &owner, host, "POST /v1/images/generations",
					      "{\"prompt\":\"x\",\"response_format\":\"url\"}"), 200);
	const char *url = text_at(req, "data.0.url");

	assert_true(atl_str_starts(url, "http://localhost/f/ast_"));
	assert_int_equal(count_at(req, "data.0"), 1);
	req = expect(ask(site, &nobody, fmt("GET %s", url + strlen("http://localhost")), NULL), 200);
	assert_string_equal(atl_mock_header(req, "Content-Type"), "image/png");
	expect(ask(site, &nobody, fmt("GET %s0", url + strlen("http://localhost")), NULL), 404);
}

static void test_stream(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "POST /v1/images/generations",
					 "{\"prompt\":\"x\",\"stream\":true,\"partial_images\":2}"), 200);

	assert_string_equal(atl_mock_header(req, "Content-Type"), "text/event-stream");
	assert_true(atl_str_starts(req->out.data, "event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\""));
	assert_non_null(strstr(req->out.data, "\"b64_json\":\"iVBORw0KGgo"));
	assert_true(atl_str_ends(req->out.data, "}\n\n"));
}

static size_t occurrences(const char *text, const char *what)
{
	size_t count = 0;

	for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
		count++;
	return count;
}

static void test_stream_shows_pictures_on_the_way(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "POST /v1/images/generations",
					 fmt("{\"prompt\":\"x\",\"model\":\"%s/preview\",\"steps\":4,\"stream\":true,\"partial_images\":2,"
					     "\"quality\":\"high\"}", provider)), 200);
	const char *text = req->out.data, *first, *second, *completed;
	struct form form;

	first = strstr(text, "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",");
	second = strstr(text, "\"partial_image_index\":1,");
	completed = strstr(text, "event: image_generation.completed\n");
	assert_ptr_equal(first, text);
	assert_true(first && second > first && completed > second);
	assert_int_equal(occurrences(text, "event: image_generation.partial_image\n"), 2);
	assert_int_equal(occurrences(text, "\"quality\":\"high\""), 3);
	assert_non_null(strstr(completed, "\"size\":\"64x64\""));
	assert_non_null(strstr(completed, "\"total_tokens\":0"));

	form_begin(&form);
	form_text(&form, "prompt", "a red door");
	form_text(&form, "model", fmt("%s/preview", provider));
	form_text(&form, "steps", "3");
	form_text(&form, "stream", "true");
	form_text(&form, "partial_images", "1");
	form_file(&form, "image", "good.png");
	req = expect(form_send(site, &form, "images/edits"), 200);
	assert_int_equal(occurrences(req->out.data, "event: image_edit.partial_image\n"), 1);
	assert_int_equal(occurrences(req->out.data, "event: image_edit.completed\n"), 1);

	req = expect(ask(site, &owner, "POST /v1/images/generations",
			 fmt("{\"prompt\":\"x\",\"model\":\"%s/preview\",\"steps\":2,\"stream\":true}", provider)), 200);
	assert_int_equal(occurrences(req->out.data, "partial_image"), 0); /* none unless asked for */
}

/* The head is out when a job fails: the failure is an event. What is wrong with the request is an answer. */
static void test_stream_ends_with_the_failure(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "POST /v1/images/generations",
					 fmt("{\"prompt\":\"x\",\"model\":\"%s/refuse\",\"stream\":true}", provider)), 200);

	assert_true(atl_str_starts(req->out.data, "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"The scripted service "
						  "refused the content.\""));
	assert_int_equal(occurrences(req->out.data, "event: "), 1);
	expect_error(ask(site, &owner, "POST /v1/images/generations", "{\"prompt\":\"x\",\"stream\":true,\"partial_images\":4}"), 400,
		     "invalid_request", "partial_images");
}

static void test_edits(void **state)
{
	struct site *site = *state;
	struct form form;
	struct atl_req *req;

	form_begin(&form);
	form_text(&form, "prompt", "a red door");
	form_text(&form, "seed", "5");
	form_text(&form, "n", "2");
	form_file(&form, "image", "good.png");
	form_file(&form, "mask", "good.png");
	assert_int_equal(count_at(expect(form_send(site, &form, "images/edits"), 200), "data"), 2);
	req = last_job(site);
	assert_string_equal(text_at(req, "items.0.task"), "inpaint");
	assert_int_equal(int_at(req, "items.0.request.seed"), 5);

	form_begin(&form);
	form_text(&form, "prompt", "all in one");
	form_file(&form, "image[]", "good.png");
	form_file(&form, "image[]", "good.jpg");
	form_file(&form, "image[]", "good.webp");
	expect(form_send(site, &form, "images/edits"), 200);
	assert_int_equal(count_at(last_job(site), "items.0.request.reference_assets"), 2);

	form_begin(&form);
	form_file(&form, "image", "good.png");
	expect(form_send(site, &form, "images/variations"), 200);
	assert_string_equal(text_at(last_job(site), "items.0.task"), "img2img");
}

static int64_t jobs_of(struct site *site, const char *prompt)
{
	return number_of(site->app.db, fmt("SELECT count(*) FROM jobs WHERE prompt = '%s'", prompt));
}

static void test_idempotency(void **state)
{
	static const char *const key[] = { "Idempotency-Key: img-1", NULL };
	struct site *site = *state;
	const char *line = "POST /v1/images/generations", *streamed = "{\"prompt\":\"once streamed\",\"stream\":true}";
	struct atl_req *one = expect(ask_with(site, &owner, key, line, "{\"prompt\":\"once\",\"n\":2}"), 200), *two;
	static const char *const other[] = { "Idempotency-Key: img-2", NULL };

	two = expect(ask_with(site, &owner, key, line, "{\"prompt\":\"once\",\"n\":2}"), 200);
	assert_string_equal(one->out.data, two->out.data);
	assert_string_equal(atl_mock_header(two, "Idempotent-Replayed"), "true");
	assert_int_equal(jobs_of(site, "once"), 1);
	expect_error(ask_with(site, &owner, key, line, "{\"prompt\":\"twice\",\"n\":2}"), 422, "unprocessable", "Idempotency-Key");
	assert_int_equal(jobs_of(site, "twice"), 0);
	one = expect(ask_with(site, &owner, other, line, streamed), 200);
	two = expect(ask_with(site, &owner, other, line, streamed), 200);
	assert_string_equal(one->out.data, two->out.data);
	assert_int_equal(jobs_of(site, "once streamed"), 1);
	/* what was refused at once leaves the key free */
	static const char *const third[] = { "Idempotency-Key: img-3", NULL };

	expect(ask_with(site, &owner, third, line, "{\"prompt\":\"x\",\"size\":\"no\"}"), 400);
	expect(ask_with(site, &owner, third, line, "{\"prompt\":\"after a mistake\"}"), 200);
}

/* The same form again has another boundary; a form that differs in a file is another one. */
static void test_idempotency_of_forms(void **state)
{
	static const char *const first[] = { "Content-Type: multipart/form-data; boundary=edge", "Idempotency-Key: form-1", NULL };
	static const char *const again[] = { "Content-Type: multipart/form-data; boundary=cliff", "Idempotency-Key: form-1", NULL };
	struct site *site = *state;
	int64_t assets = 0;

	for (int i = 0; i < 3; i++) {
		struct form form;
		struct atl_req *req;

		form_begin(&form);
		form_text(&form, "prompt", "form once");
		form_file(&form, "image", i < 2 ? "good.png" : "good.jpg");
		if (i == 1) {
			struct atl_buf moved;

			atl_buf_adds(&form.out, "--edge--\r\n");
			atl_buf_init(&moved, (size_t)16 << 20);
			for (size_t at = 0; at < form.out.length;) {
				bool edge = form.out.length - at >= 6 && memcmp(form.out.data + at, "--edge", 6) == 0;

				atl_buf_add(&moved, edge ? "--cliff" : form.out.data + at, edge ? 7 : 1);
				at += edge ? 6 : 1;
			}
			atl_buf_finish(&form.out);
			req = ask_data(site, &owner, again, "POST /v1/images/edits", moved.data, moved.length);
			atl_buf_finish(&moved);
		} else {
			req = form_send_with(site, &form, first, "images/edits");
		}
		expect(req, i < 2 ? 200 : 422);
		if (i == 0)
			assets = number_of(site->app.db, "SELECT count(*) FROM assets");
	}
	assert_int_equal(jobs_of(site, "form once"), 1);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM assets"), assets);
}

static void test_refusals_name_the_field(void **state)
{
	static const struct {
		const char *name, *value, *param;
	} forms[] = {
		{ "n", "11", "n" }, { "n", "many", "n" }, { "size", "large", "size" }, { "seed", "-2", "seed" },
		{ "response_format", "file", "response_format" }, { "output_format", "bmp", "output_format" },
		{ "model", "\xff", "model" }, { "size", "1234567890x1234567890", "size" },
	};
	static const struct {
		const char *body, *code, *param;
		int status;
	} rows[] = {
		{ "{}", "invalid_request", "prompt", 400 },
		{ "{\"prompt\":\"x\",\"n\":11}", "invalid_request", "n", 400 },
		{ "{\"prompt\":\"x\",\"size\":\"1024\"}", "invalid_request", "size", 400 },
		{ "{\"prompt\":\"x\",\"size\":\"9000x64\"}", "invalid_request", "size", 400 },
		{ "{\"prompt\":\"x\",\"response_format\":\"file\"}", "invalid_request", "response_format", 400 },
		{ "{\"prompt\":\"x\",\"model\":\"none\"}", "model_not_found", "model", 404 },
		{ "{\"prompt\":\"x\",\"style\":\"none\"}", "not_found", "style", 404 },
	};
	struct site *site = *state;
	struct form form;

	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		expect_error(ask(site, &owner, "POST /v1/images/generations", rows[i].body), rows[i].status, rows[i].code, rows[i].param);
	for (size_t i = 0; i < ATL_COUNT(forms); i++) {
		form_begin(&form);
		form_text(&form, "prompt", "x");
		form_text(&form, forms[i].name, forms[i].value);
		form_file(&form, "image", "good.png");
		expect_error(form_send(site, &form, "images/edits"), 400, "invalid_request", forms[i].param);
	}
	form_begin(&form);
	form_file(&form, "image", "good.png");
	expect_error(form_send(site, &form, "images/edits"), 400, "invalid_request", "prompt");
	form_begin(&form);
	form_text(&form, "prompt", "x");
	expect_error(form_send(site, &form, "images/edits"), 400, "invalid_request", "image");
	form_begin(&form);
	form_text(&form, "prompt", "x");
	form_file(&form, "image", "bomb.png");
	expect_error(form_send(site, &form, "images/edits"), 422, "bad_picture", "image");
	expect(ask(site, &owner, "POST /v1/images/edits", "{\"prompt\":\"x\"}"), 415);
	expect(ask_with(site, &owner, form_type, "POST /v1/images/edits", "--edge\r\n"), 400);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM jobs WHERE prompt = 'x' AND task = 'edit'"), 0);
}

static void test_failures_keep_their_sentence(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "POST /v1/images/generations",
					 fmt("{\"prompt\":\"x\",\"model\":\"%s/refuse\"}", provider)), 422);

	assert_string_equal(text_at(req, "error.message"), "The scripted service refused the content.");
	expect(ask(site, &owner, "POST /v1/images/generations", fmt("{\"prompt\":\"x\",\"model\":\"%s/rate\"}", provider)), 429);
	expect(ask(site, &owner, "POST /v1/images/generations", fmt("{\"prompt\":\"x\",\"model\":\"%s/garbage\"}", provider)), 502);
}

static void test_videos(void **state)
{
	struct site *site = *state;
	struct form form;
	struct person other;
	struct atl_req *req = expect(ask(site, &owner, "POST /v1/videos",
					 "{\"model\":\"sora-2\",\"prompt\":\"a wave\",\"seconds\":\"8\",\"size\":\"1280x720\"}"), 200);
	const char *id = text_at(req, "id");

	assert_string_equal(text_at(req, "object"), "video");
	assert_string_equal(text_at(req, "seconds"), "8");
	assert_string_equal(text_at(req, "size"), "1280x720");
	ears_open(site, owner.id);
	if (!atl_str_eq(text_at(expect(ask(site, &owner, fmt("GET /v1/videos/%s", id), NULL), 200), "status"), "completed"))
		ears_wait(site, "job.updated", "\"done\"");
	ears_close(site);
	req = expect(ask(site, &owner, fmt("GET /v1/videos/%s", id), NULL), 200);
	assert_string_equal(text_at(req, "status"), "completed");
	assert_int_equal(int_at(req, "progress"), 100);
	assert_true(int_at(req, "completed_at") >= int_at(req, "created_at"));
	assert_true(is_null_at(req, "error"));
	req = expect(ask(site, &owner, fmt("GET /v1/videos/%s/content", id), NULL), 200);
	assert_string_equal(atl_mock_header(req, "Content-Type"), "video/webm");
	expect(ask(site, &owner, fmt("GET /v1/videos/%s/content?variant=thumbnail", id), NULL), 200);
	expect_error(ask(site, &owner, fmt("GET /v1/videos/%s/content?variant=spritesheet", id), NULL), 400, "invalid_request", "variant");
	person_create(site, "Otto", ATL_ROLE_MEMBER, &other);
	expect(ask(site, &other, fmt("GET /v1/videos/%s", id), NULL), 404);
	expect(ask(site, &other, fmt("GET /v1/videos/%s/content", id), NULL), 404);
	/* a picture is no video */
	expect(ask(site, &owner, "POST /v1/images/generations", "{\"prompt\":\"x\"}"), 200);
	expect(ask(site, &owner, fmt("GET /v1/videos/%s", text_at(last_job(site), "items.0.id")), NULL), 404);
	expect_error(ask(site, &owner, "POST /v1/videos", "{\"prompt\":\"x\",\"seconds\":\"no\"}"), 400, "invalid_request", "seconds");
	expect_error(ask(site, &owner, "POST /v1/videos", "{\"prompt\":\"x\",\"size\":\"no\"}"), 400, "invalid_request", "size");
	expect_error(ask(site, &owner, "POST /v1/videos", "{\"prompt\":\"x\",\"input_reference\":{\"file_id\":\"f\"}}"), 400,
		     "invalid_request", "input_reference");
	form_begin(&form);
	form_text(&form, "prompt", "it moves");
	form_file(&form, "input_reference", "good.jpg");
	expect(form_send(site, &form, "videos"), 200);
	assert_string_equal(text_at(last_job(site), "items.0.task"), "img2vid");
}

static int setup(void **state)
{
	struct site *site;

	site_setup(state);
	site = *state;
	provider = scripted_pictures(site);
	expect(ask(site, &owner, "PATCH /api/v1/settings", fmt("{\"default_picture_model\":\"%s/picture\"}", provider)), 200);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_stream_shows_pictures_on_the_way),
		cmocka_unit_test(test_stream_ends_with_the_failure),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_idempotency),
		cmocka_unit_test(test_idempotency_of_forms),
		cmocka_unit_test(test_refusals_name_the_field),
		cmocka_unit_test(test_failures_keep_their_sentence),
		cmocka_unit_test(test_videos),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
