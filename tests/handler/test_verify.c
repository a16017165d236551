/* /api/v1/verify: who may ask, what each check finds, and what nobody is told. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/safety/verify.h"
#include "media/encode.h"
#include "support.h"

static struct person member;

static struct atl_buf rings; /* a PNG with something to see in it */

static struct atl_req *send(struct site *site, const struct person *who, const char *line, const struct atl_buf *data)
{
	static const char *const type[] = { "Content-Type: application/octet-stream", NULL };

	return ask_data(site, who, type, line, data->data, data->length);
}

static struct atl_req *verify(struct site *site, const struct person *who, const char *file)
{
	struct atl_buf data = load_picture(file);
	struct atl_req *req = send(site, who, "POST /api/v1/verify", &data);

	atl_buf_finish(&data);
	return req;
}

static const char *result_of(struct atl_req *req, const char *check)
{
	for (size_t i = 0; i < count_at(req, "checks"); i++)
		if (strcmp(text_at(req, fmt("checks.%zu.check", i)), check) == 0)
			return text_at(req, fmt("checks.%zu.result", i));
	fail_msg("no check %s", check);
	return NULL;
}

/* As if this server had made it: the row of the very bytes. */
static void made_here(struct site *site, const char *asset)
{
	char sha256[ATL_SHA256_SIZE * 2 + 1];

	atl_sha256_hex(rings.data, rings.length, sha256);
	execute(site->app.db, fmt("UPDATE assets SET sha256 = '%s', prompt = 'secret words' WHERE id = '%s'", sha256, asset));
}

static void test_who_may_ask(void **state)
{
	struct site *site = *state;

	expect(verify(site, &nobody, "good.png"), 401);
	expect(verify(site, &member, "good.png"), 200);
	expect(ask(site, &owner, "PATCH /api/v1/settings", "{\"verify_public\":true}"), 200);
	expect(verify(site, &nobody, "good.png"), 200);
	execute(site->app.db, fmt("UPDATE address_tries SET used = %d", ATL_VERIFY_PER_HOUR));
	expect_problem(verify(site, &nobody, "good.png"), 429, "throttled", NULL);
	expect(verify(site, &member, "good.png"), 200);
	execute(site->app.db, "DELETE FROM address_tries");
	expect_problem(verify(site, &member, "bomb.png"), 422, "bad_picture", NULL);
}

static void test_findings(void **state)
{
	static const char line[] = "POST /api/v1/verify";
	struct site *site = *state;
	const char *asset = text_at(expect(send(site, &owner, "POST /api/v1/assets", &rings), 201), "id");
	struct atl_req *req;

	asset = fmt("%s", asset);
	req = expect(send(site, &member, line, &rings), 200);
	/* an upload was not made here */
	assert_string_equal(text_at(req, "made_here"), "unknown");
	assert_string_equal(result_of(req, "file"), "none");
	assert_string_equal(result_of(req, "credentials"), "unavailable"); /* this site signs nothing */
	execute(site->app.db, fmt("UPDATE assets SET origin = 'generated' WHERE id = '%s'", asset));
	req = expect(send(site, &member, line, &rings), 200); /* it was kept in another form: only its looks are the same */
	assert_string_equal(text_at(req, "made_here"), "likely");
	assert_string_equal(result_of(req, "looks"), "similar");
	assert_true(is_null_at(req, "asset_id")); /* somebody else's */
	made_here(site, asset);
	req = expect(send(site, &member, line, &rings), 200);
	assert_string_equal(text_at(req, "made_here"), "yes");
	assert_string_equal(result_of(req, "file"), "match");
	assert_true(is_null_at(req, "asset_id"));
	assert_null(strstr(req->out.data, "secret"));
	assert_null(strstr(req->out.data, owner.id));
	req = expect(send(site, &owner, line, &rings), 200);
	assert_string_equal(text_at(req, "asset_id"), asset);
	assert_null(strstr(req->out.data, "secret"));
}

static void test_keeps_nothing(void **state)
{
	struct site *site = *state;
	int64_t assets = number_of(site->app.db, "SELECT count(*) FROM assets"), blobs = number_of(site->app.db, "SELECT count(*) FROM blobs");

	expect(verify(site, &member, "good.gif"), 200);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM assets"), assets);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM blobs"), blobs);
}

static int setup(void **state)
{
	static unsigned char rgb[96 * 96 * 3];

	for (unsigned i = 0; i < sizeof(rgb); i++) /* rings around a corner, and a bar */
		rgb[i] = (unsigned char)(((i / 3 % 96) * (i / 3 % 96) + (i / 288) * (i / 288)) / 40 % 256 / (i / 3 % 96 > 60 ? 2 : 1));
	atl_buf_init(&rings, 1 << 20);
	assert_int_equal(atl_png_encode(rgb, 96, 96, 3, &rings, NULL), ATL_OK);
	site_setup(state);
	person_create(*state, "Member", ATL_ROLE_MEMBER, &member);
	return 0;
}

static int teardown(void **state)
{
	atl_buf_finish(&rings);
	return site_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_may_ask),
		cmocka_unit_test(test_findings),
		cmocka_unit_test(test_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
