/* Short links: the page and the file for guests, their ends, what is told and what is not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/pictures/share.h"
#include "support.h"

static struct atl_req *share(struct site *site, const char *asset, const char *body)
{
	return ask(site, &owner, fmt("POST /api/v1/assets/%s/shares", asset), body);
}

/* The address of the picture in the page. */
static const char *file_in(struct atl_req *req)
{
	const char *at = strstr(req->out.data, "src=\"");
	size_t length;

	assert_non_null(at);
	at += 5;
	length = strcspn(at, "\"");
	return fmt("GET %.*s", (int)length, at);
}

static void test_page(void **state)
{
	struct site *site = *state;
	const char *asset = make_asset(site, &owner, "good.png"), *key, *file;
	struct atl_req *req;

	expect(ask(site, &owner, fmt("PATCH /api/v1/assets/%s", asset), "{\"title\":\"<b>\\\"Fox\\\" & co\"}"), 200);
	req = expect(share(site, asset, "{}"), 201);
	key = text_at(req, "key");
	assert_int_equal(strlen(key), 22);
	assert_true(atl_str_ends(text_at(req, "url"), fmt("/s/%s", key)));
	req = expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 200);
	assert_string_equal(atl_mock_header(req, "Content-Type"), "text/html; charset=utf-8");
	assert_non_null(strstr(atl_mock_header(req, "Content-Security-Policy"), "default-src 'none'"));
	assert_null(strstr(atl_mock_header(req, "Content-Security-Policy"), "unsafe"));
	assert_string_equal(atl_mock_header(req, "Cache-Control"), "private, no-store");
	assert_non_null(strstr(req->out.data, "&lt;b&gt;&quot;Fox&quot; &amp; co"));
	assert_null(strstr(req->out.data, "<b>"));
	assert_null(strstr(req->out.data, "<script"));
	file = file_in(req);
	req = expect(ask(site, &nobody, file, NULL), 200);
	assert_string_equal(atl_mock_header(req, "Content-Type"), "image/webp");
	req = expect(ask(site, &nobody, fmt("%s&download=true", file), NULL), 200);
	assert_non_null(atl_mock_header(req, "Content-Disposition"));
	req = expect(ask(site, &owner, fmt("GET /api/v1/shares?asset_id=%s", asset), NULL), 200);
	assert_int_equal(int_at(req, "items.0.uses"), 1); /* the page's own look at the file is none */
	expect(ask(site, &nobody, fmt("GET /s/%s/file", key), NULL), 200);
	req = expect(ask(site, &owner, fmt("GET /api/v1/shares?asset_id=%s", asset), NULL), 200);
	assert_int_equal(int_at(req, "items.0.uses"), 2);
}

static void test_ends(void **state)
{
	struct site *site = *state;
	const char *asset = make_asset(site, &owner, "good.png"), *key, *file;
	struct atl_req *req;

	/* by number */
	key = text_at(expect(share(site, asset, "{\"uses_max\":2}"), 201), "key");
	expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 200);
	file = file_in(expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 200));
	req = expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 410);
	assert_string_equal(atl_mock_header(req, "Content-Type"), "text/html; charset=utf-8");
	expect(ask(site, &nobody, fmt("GET /s/%s/file", key), NULL), 410);
	expect(ask(site, &nobody, file, NULL), 200); /* the last page still loads its picture */
	expect(ask(site, &nobody, fmt("%sx", file), NULL), 404);
	/* by hand */
	expect(ask(site, &owner, fmt("DELETE /api/v1/shares/%s", key), NULL), 204);
	expect(ask(site, &owner, fmt("DELETE /api/v1/shares/%s", key), NULL), 404);
	expect(ask(site, &nobody, file, NULL), 410);
	/* by time */
	key = text_at(expect(share(site, asset, "{\"expires_at\":\"2999-01-01T00:00:00Z\"}"), 201), "key");
	file = file_in(expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 200));
	execute(site->app.db, fmt("UPDATE share_links SET expires_at = 1000 WHERE share_key = '%s'", key));
	expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 410);
	expect(ask(site, &nobody, file, NULL), 410);
	/* with the picture */
	key = text_at(expect(share(site, asset, "{}"), 201), "key");
	expect(ask(site, &owner, fmt("DELETE /api/v1/assets/%s", asset), NULL), 204);
	expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 404);
	expect(share(site, asset, "{}"), 404);
}

static void test_keys(void **state)
{
	struct site *site = *state;
	struct person other;
	const char *asset = make_asset(site, &owner, "good.png");
	char *key = strdup(text_at(expect(share(site, asset, "{}"), 201), "key")), last = key[21];

	person_create(site, "Otto", ATL_ROLE_MEMBER, &other);
	expect(ask(site, &nobody, "GET /s/short", NULL), 404);
	expect(ask(site, &nobody, "GET /s/AAAAAAAAAAAAAAAAAAAAAA", NULL), 404);
	key[21] = last == 'A' ? 'B' : 'A'; /* the indexed front is right, the rest is not */
	expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 404);
	key[21] = last;
	expect(ask(site, &other, fmt("DELETE /api/v1/shares/%s", key), NULL), 404);
	expect(ask(site, &other, fmt("POST /api/v1/assets/%s/shares", asset), "{}"), 404);
	assert_int_equal(count_at(expect(ask(site, &other, "GET /api/v1/shares", NULL), 200), "items"), 0);
	expect_problem(share(site, asset, "{\"uses_max\":0}"), 400, "invalid_request", "uses_max");
	expect_problem(share(site, asset, "{\"expires_at\":\"2001-01-01T00:00:00Z\"}"), 400, "invalid_request", "expires_at");
	expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 200);
	free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
