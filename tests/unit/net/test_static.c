/* Assets: addresses, caching, encodings, ranges, conditions; from memory and from a folder. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/cond.h"
#include "net/static.h"

#define BYTES(text) {(const unsigned char *)(text), sizeof(text) - 1}

static const struct atl_web_asset items[] = {
	{"index.html", "text/html; charset=utf-8", "aa", BYTES("<!doctype html>page"), {0}, {0}},
	{"js/main.js", "text/javascript; charset=utf-8", "bb", BYTES("0123456789"), BYTES("GZ"), BYTES("BR")},
};
static const struct atl_assets assets = {.hash = "cafe", .items = items, .count = 2};

static struct atl_static *files;

static bool fallback(struct atl_req *req)
{
	return atl_static_serve(files, req);
}

static struct atl_mock *open_mock(const char *dir)
{
	const struct atl_server_options options = {.fallback = fallback};
	struct atl_mock *mock = atl_mock_create(&options);

	assert_non_null(mock);
	assert_int_equal(atl_static_create(&assets, dir, &files), ATL_OK);
	return mock;
}

static void close_mock(struct atl_mock *mock)
{
	atl_mock_destroy(mock);
	atl_static_destroy(files);
}

static struct atl_req *get(struct atl_mock *mock, const char *target, const char *header)
{
	const char *const headers[] = {header, NULL};

	return atl_mock_request(mock, "GET", target, header ? headers : NULL, NULL);
}

static void pages_and_assets(void **state)
{
	struct atl_mock *mock = open_mock(NULL);
	struct atl_req *req = get(mock, "/", NULL);

	assert_int_equal(req->status, 200);
	assert_string_equal(req->out.data, "<!doctype html>page");
	assert_string_equal(atl_mock_header(req, "Cache-Control"), "no-cache");
	assert_non_null(strstr(atl_mock_header(req, "Content-Security-Policy"), "default-src 'self'"));
	assert_null(strstr(atl_mock_header(req, "Content-Security-Policy"), "unsafe"));
	assert_int_equal(get(mock, "/chat/cnv_1", NULL)->status, 200);
	assert_int_equal(get(mock, "/chat/cnv_1", "Accept: application/json")->status, 404);
	assert_int_equal(get(mock, "/api/v1/nothing", NULL)->status, 404);
	assert_int_equal(get(mock, "/v1/nothing", NULL)->status, 404);
	assert_int_equal(get(mock, "/assets", NULL)->status, 404);
	assert_int_equal(get(mock, "/missing.js", NULL)->status, 404);
	req = get(mock, "/assets/cafe/js/main.js", NULL);
	assert_string_equal(req->out.data, "0123456789");
	assert_string_equal(atl_mock_header(req, "Cache-Control"), "public, max-age=31536000, immutable");
	assert_string_equal(atl_mock_header(req, "Vary"), "Accept-Encoding");
	assert_string_equal(atl_mock_header(get(mock, "/assets/0ld/js/main.js", NULL), "Cache-Control"), "no-cache");
	assert_string_equal(atl_mock_header(get(mock, "/js/main.js", NULL), "Cache-Control"), "no-cache");
	close_mock(mock);
}

static void encodings_and_conditions(void **state)
{
	struct atl_mock *mock = open_mock(NULL);
	struct atl_req *req = get(mock, "/js/main.js", "Accept-Encoding: gzip, br");

	assert_string_equal(req->out.data, "BR");
	assert_string_equal(atl_mock_header(req, "Content-Encoding"), "br");
	assert_string_equal(atl_mock_header(req, "ETag"), "\"bb-br\"");
	assert_string_equal(get(mock, "/js/main.js", "Accept-Encoding: gzip")->out.data, "GZ");
	assert_string_equal(get(mock, "/js/main.js", "Accept-Encoding: br;q=0, gzip;q=0.5")->out.data, "GZ");
	assert_string_equal(get(mock, "/js/main.js", "Accept-Encoding: identity")->out.data, "0123456789");
	req = get(mock, "/js/main.js", "If-None-Match: \"x\", W/\"bb\"");
	assert_int_equal(req->status, 304);
	assert_int_equal(req->out.length, 0);
	assert_int_equal(get(mock, "/js/main.js", "If-None-Match: \"bbb\"")->status, 200);
	req = get(mock, "/js/main.js", "Range: bytes=2-4");
	assert_int_equal(req->status, 206);
	assert_string_equal(req->out.data, "234");
	assert_string_equal(atl_mock_header(req, "Content-Range"), "bytes 2-4/10");
	assert_int_equal(get(mock, "/js/main.js", "Range: bytes=10-")->status, 416);
	close_mock(mock);
}

static void from_a_folder(void **state)
{
	char dir[] = "/tmp/atl-web-XXXXXX", path[64], command[64];
	struct atl_mock *mock;
	FILE *file;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/index.html", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("from disk", file);
	fclose(file);
	mock = open_mock(dir);
	assert_string_equal(get(mock, "/chat/x", NULL)->out.data, "from disk");
	assert_string_equal(get(mock, "/assets/any/index.html", NULL)->out.data, "from disk");
	assert_string_equal(atl_mock_header(get(mock, "/", NULL), "Cache-Control"), "no-store");
	assert_int_equal(get(mock, "/js/none.js", NULL)->status, 404);
	assert_int_equal(get(mock, "/assets/x/../../etc/passwd", NULL)->status, 400);
	close_mock(mock);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static void ranges(void **state)
{
	static const struct {
		const char *header;
		uint64_t size;
		enum cond_range want;
		uint64_t offset, length;
	} rows[] = {
		{"bytes=0-0", 10, COND_PART, 0, 1},   {"bytes=-3", 10, COND_PART, 7, 3},
		{"bytes=-30", 10, COND_PART, 0, 10},  {"bytes=5-", 10, COND_PART, 5, 5},
		{"bytes=5-99", 10, COND_PART, 5, 5},  {"bytes=-0", 10, COND_UNSATISFIABLE, 0, 10},
		{"bytes=0-", 0, COND_UNSATISFIABLE, 0, 0}, {"bytes=4-2", 10, COND_WHOLE, 0, 10},
		{"bytes=0-1,3-4", 10, COND_WHOLE, 0, 10},  {"lines=0-1", 10, COND_WHOLE, 0, 10},
		{"bytes=-", 10, COND_WHOLE, 0, 10},   {"bytes=a-b", 10, COND_WHOLE, 0, 10},
		{"bytes=99999999999999999999-", 10, COND_WHOLE, 0, 10}, {NULL, 10, COND_WHOLE, 0, 10},
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		uint64_t offset, length;

		assert_int_equal(cond_range_parse(rows[i].header, rows[i].size, &offset, &length), rows[i].want);
		if (rows[i].want != COND_UNSATISFIABLE) {
			assert_int_equal(offset, rows[i].offset);
			assert_int_equal(length, rows[i].length);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(pages_and_assets), cmocka_unit_test(encodings_and_conditions),
					   cmocka_unit_test(from_a_folder), cmocka_unit_test(ranges)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
