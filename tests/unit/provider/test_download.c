/* Downloads from a scripted server: whole, resumed, changed, wrong, cut, cancelled, redirected. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../net/scripted.h"
#include "base/crypto.h"
#include "os/file.h"
#include "provider/download.h"

static struct atl_loop *loop;
static struct atl_guard guard;
static char dir[64], path[128];

static int setup(void **state)
{
	static const char *const ALLOW[] = {"127.0.0.1", NULL};
	assert_int_equal(atl_crypto_init(), ATL_OK);
	assert_int_equal(atl_fetch_global_init(), ATL_OK);
	assert_int_equal(atl_guard_init(&guard, ALLOW, NULL), ATL_OK);
	assert_int_equal(atl_loop_create("test", &loop, NULL), ATL_OK);
	strcpy(dir, "/tmp/atl-download-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/part", dir);
	return 0;
}

static int teardown(void **state)
{
	atl_download_forget(path);
	rmdir(dir);
	atl_loop_destroy(loop);
	atl_guard_finish(&guard);
	atl_fetch_global_finish();
	return 0;
}

static int fresh(void **state)
{
	atl_download_forget(path);
	return 0;
}

static void put(const char *name_end, const char *text)
{
	char name[160];
	snprintf(name, sizeof name, "%s%s", path, name_end);
	assert_int_equal(atl_file_write_atomic(name, text, strlen(text), 0600, NULL), ATL_OK);
}

static void expect_part(const char *text) /* NULL: there is none */
{
	struct atl_buf got;
	atl_buf_init(&got, 1 << 20);
	enum atl_err err = atl_file_read(path, 1 << 20, &got, NULL);
	if (text) {
		assert_int_equal(err, ATL_OK);
		assert_int_equal(got.length, strlen(text));
		assert_memory_equal(got.data, text, got.length);
	} else {
		assert_int_equal(err, ATL_ERR_NOT_FOUND);
	}
	atl_buf_finish(&got);
}

struct seen {
	struct atl_download *download;
	uint64_t size, missing, received, cancel_at;
	enum atl_err room;
};

static enum atl_err on_size(void *arg, uint64_t size, uint64_t missing, struct atl_errinfo *info)
{
	struct seen *seen = arg;
	seen->size = size;
	seen->missing = missing;
	return seen->room;
}

static void on_progress(void *arg, uint64_t received, uint64_t size)
{
	struct seen *seen = arg;
	assert_true(received > seen->received);
	seen->received = received;
	if (seen->cancel_at && received >= seen->cancel_at)
		atl_download_cancel(seen->download);
}

/* Run a download of /a/model against these replies. */
static enum atl_err run(struct scripted *server, const struct scripted_reply *replies, size_t count,
			struct atl_download_request *request, struct seen *seen, struct atl_errinfo *info)
{
	char url[100];
	struct seen own = {0};
	seen = seen ? seen : &own;
	memset(info, 0, sizeof *info);
	scripted_start(server, loop, replies, count);
	snprintf(url, sizeof url, "http://127.0.0.1:%d/a/model", server->port);
	request->url = url;
	request->path = path;
	request->guard = &guard;
	request->max_bytes = request->max_bytes ? request->max_bytes : 1000000;
	request->on_size = on_size;
	request->on_progress = on_progress;
	request->arg = seen;
	assert_int_equal(atl_download_create(&seen->download), ATL_OK);
	enum atl_err err = atl_download_run(seen->download, loop, request, info);
	atl_download_destroy(seen->download);
	scripted_hang_up(server);
	return err;
}

#define REPLY(text) {.bytes = (text), .length = sizeof(text) - 1, .close = true}
#define WHOLE(tag) "HTTP/1.1 200 OK\r\nETag: " tag "\r\nContent-Length: 10\r\n\r\n0123456789"
#define HASH "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882" /* of 0123456789 */

static void test_whole(void **state)
{
	const struct scripted_reply replies[] = {{.bytes = WHOLE("\"v1\""), .length = sizeof(WHOLE("\"v1\"")) - 1, .split = 7}};
	struct scripted server;
	struct seen seen = {0};
	struct atl_errinfo info;
	struct atl_download_request request = {.sha256 = HASH, .size_bytes = 10};
	assert_int_equal(run(&server, replies, 1, &request, &seen, &info), ATL_OK);
	expect_part("0123456789");
	assert_int_equal(seen.size, 10);
	assert_int_equal(seen.missing, 10);
	assert_int_equal(seen.received, 10);
	assert_null(strcasestr(server.seen[0], "\r\nRange:"));
	scripted_stop(&server);
}

static void test_resume(void **state)
{
	const struct scripted_reply replies[] = {
		REPLY("HTTP/1.1 206 Partial Content\r\nETag: \"v1\"\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n456789")};
	struct scripted server;
	struct seen seen = {0};
	struct atl_errinfo info;
	struct atl_download_request request = {.sha256 = HASH};
	put("", "0123");
	put(".tag", "\"v1\"");
	assert_int_equal(run(&server, replies, 1, &request, &seen, &info), ATL_OK);
	expect_part("0123456789");
	assert_int_equal(seen.missing, 6);
	assert_non_null(strstr(server.seen[0], "\r\nRange: bytes=4-\r\n"));
	assert_non_null(strstr(server.seen[0], "\r\nIf-Range: \"v1\"\r\n"));
	scripted_stop(&server);
}

static void test_changed(void **state)
{
	const struct scripted_reply replies[] = {REPLY(WHOLE("\"v2\""))};
	struct scripted server;
	struct atl_errinfo info;
	struct atl_download_request request = {.sha256 = HASH};
	put("", "abcd");
	put(".tag", "\"v1\"");
	assert_int_equal(run(&server, replies, 1, &request, NULL, &info), ATL_OK);
	expect_part("0123456789");
	scripted_stop(&server);
}

/* Without a validator nothing tells whether the rest belongs to what is here. */
static void test_no_tag(void **state)
{
	const struct scripted_reply replies[] = {REPLY("HTTP/1.1 200 OK\r\nETag: W/\"weak\"\r\nContent-Length: 10\r\n\r\n0123456789")};
	struct scripted server;
	struct atl_errinfo info;
	struct atl_download_request request = {0};
	char tag[160];
	put("", "0123");
	assert_int_equal(run(&server, replies, 1, &request, NULL, &info), ATL_OK);
	expect_part("0123456789");
	assert_null(strcasestr(server.seen[0], "\r\nRange:"));
	snprintf(tag, sizeof tag, "%s.tag", path);
	assert_int_equal(access(tag, F_OK), -1);
	scripted_stop(&server);
}

static void test_range_refused(void **state)
{
	const struct scripted_reply replies[] = {
		REPLY("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */10\r\nContent-Length: 0\r\n\r\n"),
		REPLY(WHOLE("\"v1\""))};
	struct scripted server;
	struct atl_errinfo info;
	struct atl_download_request request = {.sha256 = HASH};
	put("", "0123456789abc");
	put(".tag", "\"v1\"");
	assert_int_equal(run(&server, replies, 2, &request, NULL, &info), ATL_OK);
	expect_part("0123456789");
	scripted_stop(&server);
}

static void test_other_range(void **state)
{
	const struct scripted_reply replies[] = {
		REPLY("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n56789")};
	struct scripted server;
	struct atl_errinfo info;
	struct atl_download_request request = {0};
	put("", "0123");
	put(".tag", "\"v1\"");
	assert_int_equal(run(&server, replies, 1, &request, NULL, &info), ATL_ERR_UPSTREAM_FORMAT);
	expect_part("0123");
	scripted_stop(&server);
}

static void test_wrong_hash(void **state)
{
	const struct scripted_reply replies[] = {REPLY("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456780")};
	struct scripted server;
	struct atl_errinfo info;
	struct atl_download_request request = {.sha256 = HASH};
	assert_int_equal(run(&server, replies, 1, &request, NULL, &info), ATL_ERR_UNPROCESSABLE);
	assert_non_null(strstr(info.detail, "SHA-256"));
	expect_part(NULL);
	scripted_stop(&server);
}

static void test_sizes(void **state)
{
	const struct scripted_reply announced[] = {REPLY(WHOLE("\"v1\""))};
	const struct scripted_reply endless[] = {REPLY("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789")};
	struct scripted server;
	struct atl_errinfo info;
	struct seen full = {.room = ATL_ERR_DISK};
	struct atl_download_request small = {.max_bytes = 9}, exact = {.size_bytes = 11}, other = {0}, cut = {.size_bytes = 8};
	assert_int_equal(run(&server, announced, 1, &small, NULL, &info), ATL_ERR_TOO_LARGE);
	scripted_stop(&server);
	assert_int_equal(run(&server, endless, 1, &small, NULL, &info), ATL_ERR_TOO_LARGE);
	scripted_stop(&server);
	assert_int_equal(run(&server, announced, 1, &exact, NULL, &info), ATL_ERR_UNPROCESSABLE);
	scripted_stop(&server);
	assert_int_equal(run(&server, endless, 1, &cut, NULL, &info), ATL_ERR_UNPROCESSABLE);
	scripted_stop(&server);
	assert_int_equal(run(&server, announced, 1, &other, &full, &info), ATL_ERR_DISK);
	expect_part("");
	scripted_stop(&server);
}

static void test_cut_then_resume(void **state)
{
	const struct scripted_reply cut[] = {REPLY("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n012345")};
	const struct scripted_reply rest[] = {
		REPLY("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 6-9/10\r\nContent-Length: 4\r\n\r\n6789")};
	struct scripted server;
	struct atl_errinfo info;
	struct atl_download_request request = {.sha256 = HASH};
	assert_int_equal(run(&server, cut, 1, &request, NULL, &info), ATL_ERR_UPSTREAM_CUT);
	expect_part("012345");
	scripted_stop(&server);
	assert_int_equal(run(&server, rest, 1, &request, NULL, &info), ATL_OK);
	expect_part("0123456789");
	scripted_stop(&server);
}

static void test_cancel(void **state)
{
	static const char PART[] = "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n01234"; /* never the rest */
	const struct scripted_reply replies[] = {{.bytes = PART, .length = sizeof PART - 1}};
	struct scripted server;
	struct seen seen = {.cancel_at = 1};
	struct atl_errinfo info;
	struct atl_download_request request = {0};
	assert_int_equal(run(&server, replies, 1, &request, &seen, &info), ATL_ERR_CANCELLED);
	assert_true(seen.received <= 5);
	scripted_stop(&server);
}

static void test_redirects(void **state)
{
	const struct scripted_reply relative[] = {
		REPLY("HTTP/1.1 302 Found\r\nLocation: /b/file?x=1#there\r\nContent-Length: 4\r\n\r\npage"),
		REPLY("HTTP/1.1 307 Temporary Redirect\r\nLocation: other\r\nContent-Length: 0\r\n\r\n"), REPLY(WHOLE("\"v1\""))};
	const struct scripted_reply private[] = {
		REPLY("HTTP/1.1 302 Found\r\nLocation: http://10.1.2.3/secret\r\nContent-Length: 0\r\n\r\n")};
	const struct scripted_reply scheme[] = {
		REPLY("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")};
	const struct scripted_reply circle[] = {
		REPLY("HTTP/1.1 301 Moved\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")};
	struct scripted server;
	struct atl_errinfo info;
	struct atl_download_request request = {.sha256 = HASH};
	assert_int_equal(run(&server, relative, 3, &request, NULL, &info), ATL_OK);
	assert_non_null(strstr(server.seen[1], "GET /b/file?x=1 HTTP"));
	assert_non_null(strstr(server.seen[2], "GET /b/other HTTP"));
	expect_part("0123456789");
	scripted_stop(&server);
	atl_download_forget(path);
	assert_int_equal(run(&server, private, 1, &request, NULL, &info), ATL_ERR_OUTBOUND);
	scripted_stop(&server);
	assert_int_equal(run(&server, scheme, 1, &request, NULL, &info), ATL_ERR_OUTBOUND);
	scripted_stop(&server);
	assert_int_equal(run(&server, circle, 1, &request, NULL, &info), ATL_ERR_UPSTREAM);
	assert_int_equal(server.requests, ATL_DOWNLOAD_REDIRECTS_MAX + 1);
	scripted_stop(&server);
}

static void test_refusals(void **state)
{
	const struct scripted_reply missing[] = {REPLY("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")};
	const struct scripted_reply gated[] = {REPLY("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")};
	struct scripted server;
	struct atl_errinfo info;
	struct atl_download_request request = {0};
	assert_int_equal(run(&server, missing, 1, &request, NULL, &info), ATL_ERR_NOT_FOUND);
	scripted_stop(&server);
	assert_int_equal(run(&server, gated, 1, &request, NULL, &info), ATL_ERR_FORBIDDEN);
	scripted_stop(&server);
}

/* More than the queue holds, so that the connection is paused and resumed. */
static void test_back_pressure(void **state)
{
	size_t size = 3 * ATL_DOWNLOAD_QUEUE_BYTES, head;
	char *bytes = malloc(size + 100);
	struct scripted server;
	struct atl_errinfo info;
	struct atl_download_request request = {.max_bytes = size};
	char hash[65];
	uint64_t got;
	assert_non_null(bytes);
	head = (size_t)sprintf(bytes, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
	for (size_t i = 0; i < size; i++)
		bytes[head + i] = (char)(i * 31 >> 3);
	atl_sha256_hex(bytes + head, size, hash);
	request.sha256 = hash;
	const struct scripted_reply replies[] = {{.bytes = bytes, .length = head + size, .split = 1 << 20}};
	assert_int_equal(run(&server, replies, 1, &request, NULL, &info), ATL_OK);
	assert_int_equal(atl_file_size(path, &got, NULL), ATL_OK);
	assert_int_equal(got, size);
	scripted_stop(&server);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_whole, fresh), cmocka_unit_test_setup(test_resume, fresh),
		cmocka_unit_test_setup(test_changed, fresh), cmocka_unit_test_setup(test_no_tag, fresh),
		cmocka_unit_test_setup(test_range_refused, fresh), cmocka_unit_test_setup(test_other_range, fresh),
		cmocka_unit_test_setup(test_wrong_hash, fresh), cmocka_unit_test_setup(test_sizes, fresh),
		cmocka_unit_test_setup(test_cut_then_resume, fresh), cmocka_unit_test_setup(test_cancel, fresh),
		cmocka_unit_test_setup(test_redirects, fresh), cmocka_unit_test_setup(test_refusals, fresh),
		cmocka_unit_test_setup(test_back_pressure, fresh),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
