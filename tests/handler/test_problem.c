/* Every kind of error is the same document: type, title, status, slug, detail, request_id, and the field if there is one. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "support.h"

static void check_shape(struct atl_req *req)
{
	assert_string_equal(atl_mock_header(req, "Content-Type"), "application/problem+json");
	assert_string_equal(text_at(req, "type"), fmt("/problems/%s", text_at(req, "slug")));
	assert_true(strlen(text_at(req, "title")) > 5);
	assert_int_equal(int_at(req, "status"), req->status);
	assert_string_equal(text_at(req, "request_id"), req->id);
}

static void test_shapes(void **state)
{
	static const struct {
		bool signed_in;
		const char *line, *type, *body;
		int status;
		const char *slug, *field;
	} rows[] = {
		{ true, "GET /api/v1/nothing", NULL, NULL, 404, "not_found", NULL },
		{ true, "GET /api/v1/characters/chr_00000000000000000000000000", NULL, NULL, 404, "not_found", NULL },
		{ true, "DELETE /api/v1/characters", NULL, NULL, 405, "method_not_allowed", NULL },
		{ false, "GET /api/v1/characters", NULL, NULL, 401, "not_signed_in", NULL },
		{ true, "POST /api/v1/folders", NULL, "{\"name\":\"x\",\"nmae\":1}", 400, "invalid_request", "nmae" },
		{ true, "POST /api/v1/folders", NULL, "{\"name\":7}", 400, "invalid_request", "name" },
		{ true, "POST /api/v1/folders", NULL, "{}", 400, "invalid_request", "name" },
		{ true, "POST /api/v1/folders", NULL, "[]", 400, "invalid_request", NULL },
		{ true, "POST /api/v1/folders", NULL, "{\"name\":\"x\"", 400, "invalid_json", NULL },
		{ true, "POST /api/v1/folders", NULL, "{\"name\":\"x\",}", 400, "invalid_json", NULL },
		{ true, "POST /api/v1/folders", NULL, "{\"name\":\"\xc3\x28\"}", 400, "invalid_encoding", NULL },
		{ true, "POST /api/v1/folders", NULL, "{\"name\":\"a\\u0000b\"}", 400, NULL, NULL },
		{ true, "POST /api/v1/folders", "Content-Type: text/plain", "{\"name\":\"x\"}", 415, "unsupported_media_type", NULL },
		{ true, "POST /api/v1/folders", "Content-Type: multipart/form-data; boundary=x", "{\"name\":\"x\"}", 415,
		  "unsupported_media_type", NULL },
		{ true, "GET /api/v1/conversations?limit=many", NULL, NULL, 400, "invalid_request", "limit" },
		{ false, "POST /api/v1/session", NULL, "{\"name\":\"x\",\"password\":\"y\"}", 401, "bad_credentials", NULL },
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		const char *const more[] = { rows[i].type, NULL };
		struct atl_req *req = ask_with(*state, rows[i].signed_in ? &owner : &nobody, more, rows[i].line, rows[i].body);

		expect(req, rows[i].status);
		check_shape(req);
		if (rows[i].slug)
			expect_problem(req, rows[i].status, rows[i].slug, rows[i].field);
	}
}

static void test_charset_is_accepted(void **state)
{
	static const char *const more[] = { "Content-Type: application/json; charset=utf-8", NULL };

	expect(ask_with(*state, &owner, more, "POST /api/v1/folders", "{\"name\":\"x\"}"), 201);
}

static void test_405_says_what_is_allowed(void **state)
{
	const char *allow = atl_mock_header(expect(ask(*state, &owner, "DELETE /api/v1/characters", NULL), 405), "Allow");

	assert_non_null(allow);
	assert_non_null(strstr(allow, "GET"));
	assert_non_null(strstr(allow, "POST"));
	assert_null(strstr(allow, "DELETE"));
}

static void nested(struct atl_buf *out, int depth)
{
	atl_buf_adds(out, "{\"name\":\"x\",\"card\":");
	for (int i = 0; i < depth; i++)
		atl_buf_adds(out, "[");
	for (int i = 0; i < depth; i++)
		atl_buf_adds(out, "]");
	atl_buf_adds(out, "}");
}

static void test_depth(void **state)
{
	struct atl_buf body;

	atl_buf_init(&body, 4 << 20);
	nested(&body, 500000);
	check_shape(expect(ask(*state, &owner, "POST /api/v1/characters", body.data), 400));
	atl_buf_finish(&body);
	/* the deepest that is read can also be kept and given back */
	atl_buf_init(&body, 1 << 20);
	atl_buf_adds(&body, "{\"card\":{\"name\":\"Deep\",\"x\":");
	for (int i = 0; i < 58; i++)
		atl_buf_adds(&body, "[");
	for (int i = 0; i < 58; i++)
		atl_buf_adds(&body, "]");
	atl_buf_adds(&body, "}}");
	{
		struct atl_req *req = expect(ask(*state, &owner, "POST /api/v1/characters", body.data), 201);
		const char *id = text_at(req, "id");

		req = expect(ask(*state, &owner, fmt("GET /api/v1/characters/%s", id), NULL), 200);
		assert_non_null(strstr(req->out.data, "[[[[[[[[[[[[[[[[[[[["));
	}
	atl_buf_finish(&body);
}

static void test_too_large(void **state)
{
	struct atl_buf body;

	atl_buf_init(&body, 8 << 20);
	atl_buf_adds(&body, "{\"name\":\"");
	for (size_t i = 0; i < ATL_HTTP_BODY_DEFAULT; i++)
		atl_buf_addc(&body, 'x');
	atl_buf_adds(&body, "\"}");
	expect_problem(ask(*state, &owner, "POST /api/v1/folders", body.data), 413, "too_large", NULL);
	atl_buf_finish(&body);
}

static void test_settings(void **state)
{
	struct site *site = *state;
	struct person user;
	struct atl_req *req = expect(ask(site, &owner, "GET /api/v1/settings", NULL), 200);

	person_create(site, "Set", ATL_ROLE_MEMBER, &user);
	assert_true(is_null_at(req, "default_model"));
	assert_int_equal(int_at(req, "mature_allowed"), 0);
	req = expect(ask(site, &owner, "PATCH /api/v1/settings",
			 "{\"default_model\":\"local/a \\\"b\\\".gguf\",\"mature_allowed\":true}"), 200);
	assert_string_equal(text_at(req, "default_model"), "local/a \"b\".gguf");
	req = expect(ask(site, &owner, "PATCH /api/v1/settings", "{\"fallback_model\":\"x/y\"}"), 200);
	assert_string_equal(text_at(req, "default_model"), "local/a \"b\".gguf");
	assert_string_equal(text_at(req, "fallback_model"), "x/y");
	assert_int_equal(int_at(expect(ask(site, &nobody, "GET /api/v1/status", NULL), 200), "mature_allowed"), 1);
	req = expect(ask(site, &owner, "PATCH /api/v1/settings", "{\"default_model\":null,\"mature_allowed\":false}"), 200);
	assert_true(is_null_at(req, "default_model"));
	assert_int_equal(int_at(req, "mature_allowed"), 0);
	expect_problem(ask(site, &owner, "PATCH /api/v1/settings", "{\"defualt_model\":\"x\"}"), 400, "invalid_request",
		       "defualt_model");
	expect(ask(site, &user, "GET /api/v1/settings", NULL), 403);
	expect(ask(site, &user, "PATCH /api/v1/settings", "{}"), 403);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),	       cmocka_unit_test(test_charset_is_accepted),
		cmocka_unit_test(test_405_says_what_is_allowed), cmocka_unit_test(test_depth),
		cmocka_unit_test(test_too_large),      cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
