/* AUTOMATIC1111's API, /sdapi/v1: shapes, what is left out and said, what is refused. */
#include "base/str.h"
#include "core/people/user.h"
#include "support.h"

static const char *provider;

static struct atl_req *sd(struct site *site, const char *path, const char *body)
{
	return ask(site, &owner, fmt("POST /sdapi/v1/%s", path), body);
}

static const struct atl_json *list_of(struct site *site, const char *path)
{
	const struct atl_json *list = json_of(expect(ask(site, &owner, fmt("GET /sdapi/v1/%s", path), NULL), 200));

	assert_int_equal(list->kind, ATL_JSON_ARRAY);
	return list;
}

static bool has(const struct atl_json *list, const char *key, const char *value)
{
	for (const struct atl_json *item = list->child; item; item = item->next)
		if (atl_str_eq(atl_json_str(item, key, NULL), value))
			return true;
	return false;
}

/* `info` is a text with JSON in it. */
static const struct atl_json *info_of(struct atl_req *req)
{
	const char *text = text_at(req, "info");
	struct atl_errinfo why = { 0 };
	struct atl_json *tree;

	assert_ok(atl_json_parse(&req->arena, text, strlen(text), &tree, &why), &why);
	return tree;
}

static bool noted(const struct atl_json *info, const char *word)
{
	const struct atl_json *notes = atl_json_get(info, "notes");

	for (const struct atl_json *n = notes ? notes->child : NULL; n; n = n->next)
		if (strstr(n->string, word))
			return true;
	return false;
}

static void test_txt2img(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(sd(site, "txt2img", "{\"prompt\":\"a {b|c} __d__\",\"seed\":7,\"steps\":4,\"width\":96,\"height\":64,"
							 "\"batch_size\":2,\"n_iter\":2,\"sampler_name\":\"Euler a\",\"cfg_scale\":6}"), 200);
	const struct atl_json *info = info_of(req);

	assert_int_equal(count_at(req, "images"), 4);
	assert_int_equal(atl_json_int(info, "seed", 0), 7);
	assert_int_equal(atl_json_get(info, "all_seeds")->count, 4);
	assert_int_equal(atl_json_int(info, "width", 0), 96);
	assert_string_equal(atl_json_str(info, "prompt", ""), "a {b|c} __d__"); /* braces are text to these clients */
	assert_string_equal(atl_json_str(info, "sampler_name", ""), "Euler a");
	assert_int_equal(int_at(req, "parameters.steps"), 4);
}

/* Clients send every field there is: what is not known is ignored, what is known and cannot be done is said. */
static void test_unknown_fields_are_no_error(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(sd(site, "txt2img", "{\"prompt\":\"x\",\"steps\":4,\"eta\":0.1,\"s_churn\":null,\"firstphase_width\":0,"
							 "\"alwayson_scripts\":{\"a\":[1]},\"hr_upscaler\":\"Latent\",\"invented\":{},"
							 "\"sampler_name\":\"Nobody's\",\"scheduler\":\"Karras\",\"tiling\":true,"
							 "\"enable_hr\":true,\"restore_faces\":false,\"styles\":[\"anime\",\"lux\"],"
							 "\"subseed\":-1,\"subseed_strength\":0,\"override_settings\":{}}"), 200);
	const struct atl_json *info = info_of(req);

	assert_true(noted(info, "Nobody's") && noted(info, "tiling") && noted(info, "enable_hr"));
	assert_true(noted(info, "first style") && !noted(info, "restore_faces"));
	assert_non_null(strstr(text_at(req, "parameters.prompt"), "anime illustration"));
}

static void test_img2img_and_extras(void **state)
{
	struct site *site = *state;
	const char *picture = base64_picture("good.png");
	struct atl_req *req;

	req = expect(sd(site, "img2img", fmt("{\"prompt\":\"x\",\"init_images\":[\"data:image/png;base64,%s\",\"x\"],\"denoising_strength\":0.4}",
					     picture)), 200);
	assert_true(noted(info_of(req), "first of init_images"));
	assert_string_equal(text_at(req, "parameters.task"), "img2img");
	req = expect(sd(site, "img2img", fmt("{\"prompt\":\"x\",\"init_images\":[\"%s\"],\"mask\":\"%s\",\"inpainting_mask_invert\":1}", picture,
					     picture)), 200);
	assert_string_equal(text_at(req, "parameters.task"), "inpaint");
	req = expect(sd(site, "extra-single-image", fmt("{\"image\":\"%s\",\"upscaling_resize\":2,\"upscaler_1\":\"None\"}", picture)), 200);
	assert_true(strlen(text_at(req, "image")) > 100);
	assert_int_equal(count_at(req, "images"), 0);
}

static void test_batch_of_extras(void **state)
{
	struct site *site = *state;
	const char *picture = base64_picture("good.png"), *other = base64_picture("good.jpg");
	struct atl_req *req = expect(sd(site, "extra-batch-images",
					fmt("{\"upscaling_resize\":2,\"upscaler_1\":\"R-ESRGAN 4x+\",\"imageList\":[{\"data\":\"%s\",\"name\":\"a\"},"
					    "{\"data\":\"data:image/jpeg;base64,%s\",\"name\":\"b\"}]}", picture, other)), 200);
	int64_t jobs;

	assert_int_equal(count_at(req, "images"), 2);
	assert_true(atl_str_starts(text_at(req, "images.0"), "iVBORw0KGgo"));
	assert_string_equal(text_at(req, "html_info"), "");
	req = expect(ask(site, &owner, "GET /api/v1/jobs?limit=2", NULL), 200);
	assert_string_equal(text_at(req, "items.0.task"), "upscale");
	assert_string_equal(text_at(req, "items.1.task"), "upscale");

	jobs = number_of(site->app.db, "SELECT count(*) FROM jobs");
	expect_problem(sd(site, "extra-batch-images", "{}"), 400, "invalid_request", "imageList");
	expect_problem(sd(site, "extra-batch-images", "{\"imageList\":[]}"), 400, "invalid_request", "imageList");
	expect_problem(sd(site, "extra-batch-images", "{\"imageList\":[{\"name\":\"a\"}]}"), 400, "invalid_request", "imageList");
	expect_problem(sd(site, "extra-batch-images", fmt("{\"imageList\":[{\"data\":\"%s\"},{\"data\":\"AAAA\"}]}", picture)), 422,
		       "bad_picture", "imageList");
	expect_problem(sd(site, "extra-batch-images", fmt("{\"upscaling_resize\":\"2\",\"imageList\":[{\"data\":\"%s\"}]}", picture)), 400,
		       "invalid_request", "upscaling_resize");
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM jobs"), jobs);
}

static void test_interrogate_says_that_it_cannot(void **state)
{
	struct site *site = *state;
	struct atl_req *req = sd(site, "interrogate", fmt("{\"image\":\"%s\",\"model\":\"clip\"}", base64_picture("good.png")));

	expect_problem(req, 501, "unsupported", NULL);
	assert_non_null(strstr(text_at(req, "detail"), "describes a picture"));
}

static void test_idempotency(void **state)
{
	static const char *const first[] = { "Idempotency-Key: sd-1", NULL }, *const second[] = { "Idempotency-Key: sd-2", NULL };
	struct site *site = *state;
	const char *picture = base64_picture("good.png");
	const char *body = fmt("{\"prompt\":\"sd once\",\"denoising_strength\":0.5,\"init_images\":[\"%s\"]}", picture);
	struct atl_req *one = expect(ask_with(site, &owner, first, "POST /sdapi/v1/txt2img", "{\"prompt\":\"sd once\"}"), 200), *two;
	int64_t inputs;

	two = expect(ask_with(site, &owner, first, "POST /sdapi/v1/txt2img", "{\"prompt\":\"sd once\"}"), 200);
	assert_string_equal(text_at(one, "info"), text_at(two, "info"));
	assert_string_equal(text_at(one, "images.0"), text_at(two, "images.0"));
	assert_null(atl_mock_header(one, "Idempotent-Replayed"));
	assert_string_equal(atl_mock_header(two, "Idempotent-Replayed"), "true");
	expect_problem(ask_with(site, &owner, first, "POST /sdapi/v1/txt2img", "{\"prompt\":\"sd twice\"}"), 422, "unprocessable",
		       "Idempotency-Key");
	expect(ask_with(site, &owner, second, "POST /sdapi/v1/img2img", body), 200);
	inputs = number_of(site->app.db, "SELECT count(*) FROM assets");
	expect(ask_with(site, &owner, second, "POST /sdapi/v1/img2img", body), 200);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM assets"), inputs); /* not kept again either */
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM jobs WHERE prompt = 'sd once'"), 2);
}

static void test_refusals_name_the_field(void **state)
{
	static const struct {
		const char *path, *body, *slug, *field;
		int status;
	} rows[] = {
		{ "txt2img", "[]", "invalid_request", "", 400 },
		{ "txt2img", "{", "invalid_json", "", 400 },
		{ "txt2img", "{}", "invalid_request", "prompt", 400 },
		{ "txt2img", "{\"prompt\":\"x\",\"width\":\"wide\"}", "invalid_request", "width", 400 },
		{ "txt2img", "{\"prompt\":\"x\",\"height\":100000}", "invalid_request", "height", 400 },
		{ "txt2img", "{\"prompt\":\"x\",\"cfg_scale\":\"7\"}", "invalid_request", "cfg_scale", 400 },
		{ "txt2img", "{\"prompt\":\"x\",\"batch_size\":9,\"n_iter\":9}", "invalid_request", "batch_size", 400 },
		{ "txt2img", "{\"prompt\":\"x\",\"seed\":1.5}", "invalid_request", "seed", 400 },
		{ "txt2img", "{\"prompt\":\"x\",\"styles\":[\"none\"]}", "not_found", "styles", 404 },
		{ "txt2img", "{\"prompt\":\"x\",\"override_settings\":{\"sd_model_checkpoint\":\"none\"}}", "model_not_found",
		  "override_settings", 404 },
		{ "img2img", "{\"prompt\":\"x\"}", "invalid_request", "init_images", 400 },
		{ "img2img", "{\"prompt\":\"x\",\"init_images\":[7]}", "invalid_request", "init_images", 400 },
		{ "img2img", "{\"prompt\":\"x\",\"init_images\":[\"aGVsbG8gd29ybGQh\"]}", "bad_picture", "init_images", 422 },
		{ "extra-single-image", "{}", "invalid_request", "image", 400 },
		{ "png-info", "{\"image\":\"?\"}", "invalid_request", "image", 400 },
		{ "options", "{\"sd_model_checkpoint\":\"none\"}", "model_not_found", "sd_model_checkpoint", 404 },
	};
	struct site *site = *state;
	int wrong = 0;

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_req *req = sd(site, rows[i].path, rows[i].body);

		if (req->status == rows[i].status && atl_str_eq(text_at(req, "slug"), rows[i].slug) &&
		    atl_str_eq(text_at(req, "field"), rows[i].field))
			continue;
		print_error("%s %s: %d %s\n", rows[i].path, rows[i].body, req->status, req->out.data);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* Options are the user's, not the server's. */
static void test_options_belong_to_the_user(void **state)
{
	struct site *site = *state;
	struct person other;
	struct atl_req *req;

	person_create(site, "Otto", ATL_ROLE_MEMBER, &other);
	expect(ask(site, &owner, "PUT /api/v1/me/preferences", "{\"theme\":\"dark\"}"), 200);
	expect(ask(site, &other, "POST /sdapi/v1/options", fmt("{\"sd_model_checkpoint\":\"x [%s/slow]\",\"unknown\":1}", provider)), 200);
	expect(sd(site, "options", fmt("{\"sd_model_checkpoint\":\"%s/noop\"}", provider)), 200);
	req = expect(ask(site, &other, "GET /sdapi/v1/options", NULL), 200);
	assert_non_null(strstr(text_at(req, "sd_model_checkpoint"), "/slow]"));
	req = expect(ask(site, &owner, "GET /sdapi/v1/options", NULL), 200);
	assert_non_null(strstr(text_at(req, "sd_model_checkpoint"), "/noop]"));
	req = expect(sd(site, "txt2img", "{\"prompt\":\"x\"}"), 200); /* "noop" makes nothing */
	assert_int_equal(count_at(req, "images"), 0);
	assert_string_equal(text_at(expect(ask(site, &owner, "GET /api/v1/me/preferences", NULL), 200), "theme"), "dark");
	expect(sd(site, "options", fmt("{\"sd_model_checkpoint\":\"%s/picture\"}", provider)), 200);
}

static void test_lists(void **state)
{
	static const char *const empty[] = { "sd-vae", "hypernetworks", "face-restorers", "realesrgan-models", "latent-upscale-modes" };
	struct site *site = *state;

	assert_true(has(list_of(site, "sd-models"), "filename", fmt("%s/picture", provider)));
	assert_false(has(list_of(site, "sd-models"), "filename", fmt("%s/video", provider)));
	assert_true(has(list_of(site, "samplers"), "name", "DPM++ 2M"));
	assert_true(has(list_of(site, "schedulers"), "label", "Karras"));
	assert_true(has(list_of(site, "prompt-styles"), "name", "Anime"));
	assert_true(list_of(site, "upscalers")->count > 0);
	list_of(site, "loras");
	for (size_t i = 0; i < ATL_COUNT(empty); i++)
		assert_int_equal(list_of(site, empty[i])->count, 0);
	expect(ask(site, &owner, "GET /sdapi/v1/memory", NULL), 200);
	expect(sd(site, "refresh-checkpoints", "{}"), 200);
	expect(sd(site, "interrupt", "{}"), 200);
	expect(sd(site, "skip", "{}"), 200);
}

static void test_png_info_reads_what_was_written(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(sd(site, "txt2img", "{\"prompt\":\"a heron\",\"seed\":11,\"steps\":4}"), 200);

	req = expect(sd(site, "png-info", fmt("{\"image\":\"%s\"}", text_at(req, "images.0"))), 200);
	assert_non_null(strstr(text_at(req, "info"), "a heron"));
	assert_non_null(strstr(text_at(req, "items.parameters"), "Seed: 11"));
	req = expect(sd(site, "png-info", fmt("{\"image\":\"%s\"}", base64_picture("good.png"))), 200);
	assert_string_equal(text_at(req, "info"), "");
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
		cmocka_unit_test(test_txt2img),
		cmocka_unit_test(test_unknown_fields_are_no_error),
		cmocka_unit_test(test_img2img_and_extras),
		cmocka_unit_test(test_batch_of_extras),
		cmocka_unit_test(test_interrogate_says_that_it_cannot),
		cmocka_unit_test(test_idempotency),
		cmocka_unit_test(test_refusals_name_the_field),
		cmocka_unit_test(test_options_belong_to_the_user),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_png_info_reads_what_was_written),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
