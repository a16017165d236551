/* The picture check: what comes in and what is made is judged where it is kept, and what follows is as the settings say.
 * The classifier is tests/unit/media/classify_double.c: its score in percent is the blue of the picture's first pixel,
 * which in pictures of the scripted service is the seed. */
#include <stdlib.h>

#include "base/codec.h"
#include "base/str.h"
#include "core/jobs/job.h"
#include "core/pictures/picture_mark.h"
#include "core/safety/picture_check.h"
#include "media/classifier.h"
#include "media/encode.h"
#include "support.h"

#define BARE 90
#define DRESSED 5
#define DIES 'k'
#define HANGS 'h'
#define HUNG_MS 1500 /* until one that hangs is given up */

static const char *provider;
static struct person moderator, member;

static struct atl_req *settings(struct site *site, const char *json)
{
	return expect(ask(site, &owner, "PATCH /api/v1/settings", json), 200);
}

/* An upload of one colour. */
static struct atl_req *upload(struct site *site, const struct person *who, unsigned char blue, const char *line)
{
	static const char *const type[] = { "Content-Type: application/octet-stream", NULL };
	unsigned char rgb[48 * 48 * 3];
	struct atl_errinfo info = { 0 };
	struct atl_req *req;
	struct atl_buf png;

	for (size_t i = 0; i < sizeof(rgb); i++)
		rgb[i] = i % 3 == 2 ? blue : 60;
	atl_buf_init(&png, 1 << 20);
	assert_int_equal(atl_png_encode(rgb, 48, 48, 3, &png, &info), ATL_OK);
	req = ask_data(site, who, type, line, png.data, png.length);
	atl_buf_finish(&png);
	return req;
}

static struct atl_req *add(struct site *site, const struct person *who, unsigned char blue)
{
	return upload(site, who, blue, "POST /api/v1/assets");
}

/* Runs a job to its end. */
static struct atl_req *make(struct site *site, const struct person *who, int seed, const char *more)
{
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct atl_job job;
	const char *id = text_at(expect(ask(site, who, "POST /api/v1/jobs",
					    fmt("{\"prompt\":\"a house\",\"model\":\"%s/picture\",\"width\":64,\"height\":64,"
						"\"seed\":%d%s}", provider, seed, more)), 202), "id");

	atl_arena_init(&arena, 0);
	assert_int_equal(atl_job_wait(&site->app, &arena, who->id, id, WAIT_MS, &job, &info), ATL_OK);
	atl_arena_finish(&arena);
	return expect(ask(site, who, fmt("GET /api/v1/jobs/%s", id), NULL), 200);
}

static struct atl_req *file_of(struct site *site, const struct person *who, const char *id)
{
	return ask(site, who, fmt("GET /api/v1/assets/%s/file?width=64", id), NULL);
}

/* ---- the decision ---- */

static void test_decision(void **state)
{
	static const struct {
		enum atl_policy_seen_as as;
		enum atl_policy_check_mode mode;
		bool judged, mature, supplied;
		uint32_t score;
		enum atl_err err;
		enum atl_policy_treatment treatment;
	} rows[] = {
		{ ATL_SEEN_UPLOAD, ATL_CHECK_BLUR, true, false, false, 59, ATL_OK, ATL_TREAT_CLEAR },
		{ ATL_SEEN_UPLOAD, ATL_CHECK_BLUR, true, false, false, 60, ATL_OK, ATL_TREAT_BLUR },
		{ ATL_SEEN_UPLOAD, ATL_CHECK_HOLD, true, true, false, 60, ATL_OK, ATL_TREAT_HOLD },
		{ ATL_SEEN_UPLOAD, ATL_CHECK_REFUSE, true, true, false, 60, ATL_ERR_POLICY, ATL_TREAT_CLEAR },
		{ ATL_SEEN_UPLOAD, ATL_CHECK_REFUSE, false, true, false, 0, ATL_ERR_UNAVAILABLE, ATL_TREAT_CLEAR },
		{ ATL_SEEN_AVATAR, ATL_CHECK_BLUR, true, true, false, 60, ATL_ERR_POLICY, ATL_TREAT_CLEAR },
		{ ATL_SEEN_INPUT, ATL_CHECK_OFF, true, true, false, 60, ATL_ERR_MODE_NOT_OFFERED, ATL_TREAT_CLEAR },
		{ ATL_SEEN_INPUT, ATL_CHECK_BLUR, false, true, false, 0, ATL_ERR_UNAVAILABLE, ATL_TREAT_CLEAR },
		{ ATL_SEEN_INPUT, ATL_CHECK_REFUSE, true, false, false, 10, ATL_OK, ATL_TREAT_CLEAR },
		{ ATL_SEEN_RESULT, ATL_CHECK_BLUR, true, true, false, 60, ATL_OK, ATL_TREAT_BLUR },
		{ ATL_SEEN_RESULT, ATL_CHECK_BLUR, true, false, false, 60, ATL_OK, ATL_TREAT_HOLD },
		{ ATL_SEEN_RESULT, ATL_CHECK_BLUR, true, true, true, 60, ATL_ERR_POLICY, ATL_TREAT_CLEAR },
		{ ATL_SEEN_RESULT, ATL_CHECK_HOLD, true, true, false, 60, ATL_OK, ATL_TREAT_HOLD },
		{ ATL_SEEN_RESULT, ATL_CHECK_REFUSE, true, true, false, 60, ATL_ERR_POLICY, ATL_TREAT_CLEAR },
		{ ATL_SEEN_RESULT, ATL_CHECK_BLUR, false, true, false, 0, ATL_ERR_UNAVAILABLE, ATL_TREAT_CLEAR },
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_policy_seen seen = { rows[i].as, rows[i].mode, rows[i].judged, rows[i].mature, rows[i].supplied,
						rows[i].score, 60 };
		enum atl_policy_treatment treatment;
		struct atl_errinfo info = { 0 };

		if (atl_policy_decide_seen(&seen, &treatment, &info) != rows[i].err || treatment != rows[i].treatment)
			fail_msg("row %zu: %s", i, info.detail);
	}
}

/* ---- what comes in ---- */

static void test_uploads(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(add(site, &owner, BARE), 201);

	assert_string_equal(text_at(req, "check"), "blur"); /* unset, with a classifier: blur */
	expect(file_of(site, &owner, text_at(req, "id")), 200);
	assert_string_equal(text_at(expect(add(site, &owner, DRESSED), 201), "check"), "clear");
	settings(site, "{\"picture_check\":\"refuse\"}");
	expect_problem(add(site, &owner, BARE), 403, "refused_by_policy", NULL);
	expect(add(site, &owner, DRESSED), 201);
	/* a threshold that is lowered catches what passed */
	settings(site, "{\"picture_check_threshold\":5}");
	expect_problem(add(site, &owner, DRESSED), 403, "refused_by_policy", NULL);
	settings(site, "{\"picture_check\":\"off\",\"picture_check_threshold\":60}");
	assert_true(is_null_at(expect(add(site, &owner, BARE), 201), "check"));
	expect_problem(ask(site, &owner, "PATCH /api/v1/settings", "{\"picture_check\":\"maybe\"}"), 400, "invalid_request",
		       "picture_check");
	req = settings(site, "{\"picture_check\":null}");
	assert_string_equal(text_at(req, "picture_check"), "blur");
}

static void test_avatars(void **state)
{
	struct site *site = *state;
	const char *line = fmt("PUT /api/v1/characters/%s/avatar", make_character(site, &owner, "Cleo"));

	expect_problem(upload(site, &owner, BARE, line), 403, "refused_by_policy", NULL);
	expect(upload(site, &owner, DRESSED, line), 200);
}

/* Never edited, never referred to, whatever the setting; also one that came while nothing was judged. */
static void test_inputs(void **state)
{
	static const char *const modes[] = { "\"blur\"", "\"off\"", "\"hold\"" };
	struct site *site = *state;
	const char *bare = text_at(expect(add(site, &owner, BARE), 201), "id");
	const char *dressed = text_at(expect(add(site, &owner, DRESSED), 201), "id");

	settings(site, "{\"picture_check\":\"off\"}");
	const char *unseen = text_at(expect(add(site, &owner, BARE), 201), "id");
	int64_t before = number_of(site->app.db, "SELECT count(*) FROM jobs");

	for (size_t i = 0; i < ATL_COUNT(modes); i++) {
		settings(site, fmt("{\"picture_check\":%s}", modes[i]));
		for (int which = 0; which < 3; which++) {
			const char *member_name = which == 0 ? "init_asset" : which == 1 ? "control_asset" : "reference_assets";
			const char *one = i % 2 ? unseen : bare;
			const char *value = which == 2 ? fmt("[\"%s\"]", one) : fmt("\"%s\"", one);

			expect_problem(ask(site, &owner, "POST /api/v1/jobs",
					   fmt("{\"prompt\":\"a house\",\"model\":\"%s/picture\",\"%s\":%s}", provider, member_name,
					       value)), 403, "mode_not_offered", NULL);
		}
		expect_problem(upload(site, &owner, BARE, "POST /api/v1/assets?library=false"), 403, "mode_not_offered", NULL);
	}
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM jobs"), before);
	settings(site, "{\"picture_check\":null}");
	assert_string_equal(text_at(make(site, &owner, DRESSED, fmt(",\"task\":\"img2img\",\"init_asset\":\"%s\"", dressed)), "state"),
			    "done");
}

/* ---- what is made ---- */

static void test_results(void **state)
{
	struct site *site = *state;
	struct atl_req *req = make(site, &owner, DRESSED, "");

	assert_string_equal(text_at(req, "assets.0.check"), "clear");
	/* mature content is not allowed here: held, and shut for its owner too */
	req = make(site, &owner, BARE, "");
	assert_string_equal(text_at(req, "assets.0.check"), "held");
	expect_problem(file_of(site, &owner, text_at(req, "assets.0.id")), 403, "refused_by_policy", NULL);
	settings(site, "{\"mature_allowed\":true}");
	req = make(site, &owner, BARE, "");
	assert_string_equal(text_at(req, "assets.0.check"), "blur");
	expect(file_of(site, &owner, text_at(req, "assets.0.id")), 200);
	settings(site, "{\"picture_check\":\"refuse\"}");
	req = make(site, &owner, BARE, "");
	assert_string_equal(text_at(req, "state"), "failed");
	assert_string_equal(text_at(req, "error_slug"), "refused_by_policy");
	assert_int_equal(count_at(req, "assets"), 0);
	/* of several each is judged by itself: seeds 59, 60 */
	req = make(site, &owner, 59, ",\"count\":2");
	assert_string_equal(text_at(req, "state"), "done");
	assert_int_equal(count_at(req, "assets"), 1);
	settings(site, "{\"mature_allowed\":false,\"picture_check\":null}");
}

static struct atl_req *make_film(struct site *site)
{
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct atl_job job;
	const char *id = text_at(expect(ask(site, &owner, "POST /api/v1/jobs",
					    fmt("{\"prompt\":\"a house\",\"model\":\"%s/video\"}", provider)), 202), "id");

	atl_arena_init(&arena, 0);
	assert_int_equal(atl_job_wait(&site->app, &arena, owner.id, id, WAIT_MS, &job, &info), ATL_OK);
	atl_arena_finish(&arena);
	return expect(ask(site, &owner, fmt("GET /api/v1/jobs/%s", id), NULL), 200);
}

/* A film's frames are judged (the scripted one is without blue), and without a judge there is none. */
static void test_film(void **state)
{
	struct site *site = *state;
	struct atl_classifier *true_one = site->app.classifier;

	assert_string_equal(text_at(make_film(site), "assets.0.check"), "clear");
	settings(site, "{\"picture_check\":\"hold\"}");
	site->app.classifier = NULL;
	assert_int_equal(count_at(make_film(site), "assets"), 0);
	site->app.classifier = true_one;
	settings(site, "{\"picture_check\":null}");
}

/* ---- the invisible mark ---- */

static const char *mark_result(struct site *site, int seed)
{
	static const char *const type[] = { "Content-Type: application/octet-stream", NULL };
	struct atl_errinfo info = { 0 };
	struct atl_req *req;
	struct atl_arena arena;
	struct atl_buf file;
	struct atl_job job;
	const char *id = text_at(expect(ask(site, &owner, "POST /api/v1/jobs",
					    fmt("{\"prompt\":\"a house\",\"model\":\"%s/picture\",\"width\":256,\"height\":256,\"seed\":%d}",
						provider, seed)), 202), "id");

	atl_arena_init(&arena, 0);
	assert_int_equal(atl_job_wait(&site->app, &arena, owner.id, id, WAIT_MS, &job, &info), ATL_OK);
	atl_arena_finish(&arena);
	req = expect(ask(site, &owner, fmt("GET /api/v1/jobs/%s", id), NULL), 200);
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/file?metadata=strip", text_at(req, "assets.0.id")), NULL), 200);
	atl_buf_init(&file, 4 << 20);
	atl_buf_add(&file, req->out.data, req->out.length);
	req = expect(ask_data(site, &owner, type, "POST /api/v1/verify", file.data, file.length), 200);
	atl_buf_finish(&file);
	for (size_t i = 0; i < count_at(req, "checks"); i++)
		if (atl_str_eq(text_at(req, fmt("checks.%zu.check", i)), "watermark"))
			return text_at(req, fmt("checks.%zu.result", i));
	return "";
}

static void test_mark(void **state)
{
	static const unsigned char key[ATL_WATERMARK_KEY_SIZE] = { 7 };
	struct site *site = *state;
	unsigned char made[ATL_WATERMARK_KEY_SIZE], again[ATL_WATERMARK_KEY_SIZE];
	struct atl_errinfo info = { 0 };

	assert_string_equal(mark_result(site, 1), "unavailable"); /* there is no key */
	site->app.watermark_key = key;
	assert_string_equal(mark_result(site, 2), "similar");
	settings(site, "{\"watermark\":false}");
	assert_string_equal(mark_result(site, 3), "none");
	settings(site, "{\"watermark\":true}");
	site->app.watermark_key = NULL;
	/* the key of an instance is made once */
	assert_int_equal(atl_picture_mark_load(&site->app, made, &info), ATL_OK);
	assert_int_equal(atl_picture_mark_load(&site->app, again, &info), ATL_OK);
	assert_memory_equal(made, again, sizeof(made));
}

/* ---- /v1/moderations ---- */

static bool flagged(struct atl_req *req, size_t result, const char *category)
{
	const struct atl_json *one = atl_json_path(json_of(req), fmt("results.%zu.categories", result));

	one = atl_json_get(one, category);
	assert_non_null(one);
	return one->number != 0;
}

static void test_moderations(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &member, "POST /v1/moderations", "{\"input\":\"a house by the sea\"}"), 200);
	unsigned char rgb[48 * 48 * 3];
	struct atl_buf png, body;

	assert_false(flagged(req, 0, "sexual"));
	req = expect(ask(site, &member, "POST /v1/moderations",
			 "{\"model\":\"text-moderation-latest\",\"input\":[\"a house\",\"" ATL_POLICY_CANARY "\",\"a naked woman, nude, nsfw\"]}"), 200);
	assert_string_equal(text_at(req, "model"), "text-moderation-latest");
	assert_int_equal(count_at(req, "results"), 3);
	assert_false(flagged(req, 0, "sexual"));
	assert_true(flagged(req, 1, "sexual/minors"));
	assert_true(flagged(req, 2, "sexual"));
	assert_false(flagged(req, 2, "sexual/minors"));
	for (int dies = 0; dies < 2; dies++) {
		for (size_t i = 0; i < sizeof(rgb); i++)
			rgb[i] = i % 3 == 2 ? (dies ? DIES : BARE) : 60;
		atl_buf_init(&png, 1 << 20);
		atl_buf_init(&body, 1 << 20);
		assert_int_equal(atl_png_encode(rgb, 48, 48, 3, &png, NULL), ATL_OK);
		atl_buf_adds(&body, "{\"input\":[{\"type\":\"text\",\"text\":\"a house\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,");
		atl_base64_encode(&body, ATL_BASE64_STANDARD, png.data, png.length);
		atl_buf_adds(&body, "\"}}]}");
		req = expect(ask(site, &member, "POST /v1/moderations", body.data), dies ? 503 : 200);
		assert_true(dies || (count_at(req, "results") == 1 && flagged(req, 0, "sexual")));
		atl_buf_finish(&png);
		atl_buf_finish(&body);
	}
	expect(ask(site, &member, "POST /v1/moderations", "{\"input\":[]}"), 400);
	expect(ask(site, &member, "POST /v1/moderations", "{\"input\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a.example/b\"}}]}"), 400);
	expect(ask(site, &nobody, "POST /v1/moderations", "{\"input\":\"x\"}"), 401);
}

/* ---- the gate fails ---- */

static void test_gate_down(void **state)
{
	struct site *site = *state;
	struct atl_classifier *true_one = site->app.classifier;
	struct atl_req *req;

	for (int i = 0; i < 2; i++) {
		unsigned char blue = i ? HANGS : DIES;

		atl_classifier_set_timeout(site->app.classifier, i ? HUNG_MS : WAIT_MS);
		expect_problem(add(site, &owner, blue), 503, "unavailable", NULL);
		expect_problem(upload(site, &owner, blue, "POST /api/v1/assets?library=false"), 503, "unavailable", NULL);
		req = make(site, &owner, blue, "");
		assert_string_equal(text_at(req, "state"), "failed");
		assert_int_equal(count_at(req, "assets"), 0);
	}
	atl_classifier_set_timeout(site->app.classifier, WAIT_MS);
	expect(add(site, &owner, DRESSED), 201); /* and the next one is judged again */
	/* a check that is asked for and cannot be made refuses everything */
	settings(site, "{\"picture_check\":\"blur\"}");
	site->app.classifier = NULL;
	expect_problem(add(site, &owner, DRESSED), 503, "unavailable", NULL);
	settings(site, "{\"picture_check\":null}");
	assert_string_equal(text_at(expect(ask(site, &owner, "GET /api/v1/settings", NULL), 200), "picture_check"), "off");
	expect(add(site, &owner, DRESSED), 201); /* none is installed, none is asked for */
	site->app.classifier = true_one;
}

/* ---- review ---- */

static void test_review(void **state)
{
	struct site *site = *state;
	struct atl_req *req;

	settings(site, "{\"picture_check\":\"hold\"}");
	const char *first = text_at(expect(add(site, &member, BARE), 201), "id");
	const char *second = text_at(expect(add(site, &member, BARE - 1), 201), "id");

	expect_problem(file_of(site, &member, first), 403, "refused_by_policy", NULL);
	expect_problem(ask(site, &member, "GET /api/v1/moderation/pictures", NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &member, fmt("POST /api/v1/moderation/pictures/%s", first), "{\"decision\":\"release\"}"), 403,
		       "forbidden", NULL);
	req = expect(ask(site, &moderator, "GET /api/v1/moderation/pictures", NULL), 200);
	assert_true(count_at(req, "items") >= 2);
	expect(ask(site, &moderator, fmt("GET /api/v1/moderation/pictures/%s/file", first), NULL), 200);
	expect(ask(site, &moderator, fmt("POST /api/v1/moderation/pictures/%s", first), "{\"decision\":\"release\"}"), 204);
	expect(file_of(site, &member, first), 200);
	assert_string_equal(text_at(expect(ask(site, &member, fmt("GET /api/v1/assets/%s", first), NULL), 200), "check"), "blur");
	expect_problem(ask(site, &moderator, fmt("GET /api/v1/moderation/pictures/%s/file", first), NULL), 404, "not_found", NULL);
	expect(ask(site, &moderator, fmt("POST /api/v1/moderation/pictures/%s", second), "{\"decision\":\"remove\"}"), 204);
	expect_problem(ask(site, &member, fmt("GET /api/v1/assets/%s", second), NULL), 404, "not_found", NULL);
	expect_problem(ask(site, &moderator, fmt("POST /api/v1/moderation/pictures/%s", second), "{\"decision\":\"release\"}"), 404,
		       "not_found", NULL);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM audit WHERE action = 'picture.release' AND "
						     "target_id = '%s'", first)), 1);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM audit WHERE action = 'picture.remove' AND "
						     "target_id = '%s'", second)), 1);
	settings(site, "{\"picture_check\":null}");
}

static int setup(void **state)
{
	struct atl_errinfo info = { 0 };
	struct site *site;

	site_setup(state);
	site = *state;
	provider = scripted_pictures(site);
	person_create(site, "mod", ATL_ROLE_MODERATOR, &moderator);
	person_create(site, "member", ATL_ROLE_MEMBER, &member);
	assert_int_equal(atl_classifier_create(site->loop, getenv("CLASSIFY_DOUBLE"), "/none", &site->app.classifier, &info), ATL_OK);
	atl_classifier_set_timeout(site->app.classifier, WAIT_MS);
	return 0;
}

static int teardown(void **state)
{
	struct site *site = *state;

	atl_classifier_destroy(site->app.classifier);
	site->app.classifier = NULL;
	return site_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decision), cmocka_unit_test(test_uploads), cmocka_unit_test(test_avatars),
		cmocka_unit_test(test_inputs),	 cmocka_unit_test(test_results), cmocka_unit_test(test_film),
		cmocka_unit_test(test_gate_down), cmocka_unit_test(test_review),
		cmocka_unit_test(test_mark),	 cmocka_unit_test(test_moderations),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
