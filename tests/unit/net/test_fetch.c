/* test_fetch.c - both HTTP clients against a scripted server on loopback. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/fetch.h"
#include "scripted.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
#define REPLY(text) {.bytes = (text), .length = sizeof(text) - 1}

struct bench {
	struct atl_loop *loop;
	struct atl_guard guard;
	struct scripted server;
	char url[128];
};

static void begin(struct bench *bench, const struct scripted_reply *replies, size_t count)
{
	static const char *const ALLOW[] = {"127.0.0.1", NULL};

	assert_int_equal(atl_loop_create("test", &bench->loop, NULL), ATL_OK);
	assert_int_equal(atl_guard_init(&bench->guard, ALLOW, NULL), ATL_OK);
	scripted_start(&bench->server, bench->loop, replies, count);
	snprintf(bench->url, sizeof(bench->url), "http://127.0.0.1:%d/path?x=1", bench->server.port);
}

static void end(struct bench *bench)
{
	scripted_stop(&bench->server);
	atl_loop_destroy(bench->loop);
	atl_guard_finish(&bench->guard);
}

static enum atl_err get(struct bench *bench, bool plain, struct atl_fetch_request request, char *body, size_t size)
{
	struct atl_arena arena;
	struct atl_fetch_result result = {0};
	struct atl_errinfo info = {0};
	enum atl_err err;

	request.url = request.url ? request.url : bench->url;
	request.guard = &bench->guard;
	request.plain = plain;
	atl_arena_init(&arena, 0);
	err = atl_fetch_sync(bench->loop, &arena, &request, &result, &info);
	if (body)
		snprintf(body, size, "%d %s", result.status, result.body ? result.body : "");
	if (err)
		assert_true(info.detail[0] != 0);
	atl_arena_finish(&arena);
	return err;
}

static const bool KINDS[] = {false, true};

static void test_bodies_and_reuse(void **state)
{
	static const struct scripted_reply REPLIES[] = {
		REPLY(OK_HEAD "Content-Length: 5\r\n\r\nhello"),
		REPLY(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
		REPLY("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
		REPLY("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno"),
	};
	char body[64];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct bench bench;
		struct atl_fetch_request post = {.body = "{}", .body_length = 2};

		begin(&bench, REPLIES, 4);
		assert_int_equal(get(&bench, KINDS[i], post, body, sizeof(body)), ATL_OK);
		assert_string_equal(body, "200 hello");
		assert_int_equal(get(&bench, KINDS[i], (struct atl_fetch_request){0}, body, sizeof(body)), ATL_OK);
		assert_string_equal(body, "200 abcde");
		assert_int_equal(get(&bench, KINDS[i], (struct atl_fetch_request){0}, body, sizeof(body)), ATL_OK);
		assert_string_equal(body, "302 "); /* not followed */
		assert_int_equal(get(&bench, KINDS[i], (struct atl_fetch_request){0}, body, sizeof(body)), ATL_OK);
		assert_string_equal(body, "404 no");
		assert_int_equal(bench.server.connections, 1);
		assert_non_null(strstr(bench.server.seen[0], "POST /path?x=1 HTTP/1.1\r\n"));
		assert_non_null(strstr(bench.server.seen[0], "\r\n\r\n{}"));
		assert_non_null(strstr(bench.server.seen[1], "GET /path?x=1 HTTP/1.1\r\n"));
		end(&bench);
	}
}

static void test_kept_connection_died(void **state)
{
	static const struct scripted_reply REPLIES[] = {
		REPLY(OK_HEAD "Content-Length: 2\r\n\r\nok"),
		{.bytes = "", .length = 0, .close = true}, /* hangs up on the second request of the connection */
		REPLY(OK_HEAD "Content-Length: 3\r\n\r\nnew"),
	};
	char body[64];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct bench bench;

		begin(&bench, REPLIES, 3);
		assert_int_equal(get(&bench, KINDS[i], (struct atl_fetch_request){0}, body, sizeof(body)), ATL_OK);
		assert_int_equal(get(&bench, KINDS[i], (struct atl_fetch_request){0}, body, sizeof(body)), ATL_OK);
		assert_string_equal(body, "200 new");
		assert_int_equal(bench.server.connections, 2);
		end(&bench);
	}
}

static void test_time_limits(void **state)
{
	static const struct scripted_reply SILENT[] = {{.bytes = "", .length = 0}};
	static const struct scripted_reply HALF[] = {REPLY(OK_HEAD "Content-Length: 9\r\n\r\nhalf")};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct bench bench;

		begin(&bench, SILENT, 1);
		assert_int_equal(get(&bench, KINDS[i], (struct atl_fetch_request){.first_byte_ms = 40}, NULL, 0),
				 ATL_ERR_UPSTREAM_TIMEOUT);
		assert_int_equal(get(&bench, KINDS[i], (struct atl_fetch_request){.total_ms = 40}, NULL, 0),
				 ATL_ERR_UPSTREAM_TIMEOUT);
		end(&bench);
		begin(&bench, HALF, 1);
		assert_int_equal(get(&bench, KINDS[i], (struct atl_fetch_request){.idle_ms = 40}, NULL, 0),
				 ATL_ERR_UPSTREAM_TIMEOUT);
		end(&bench);
	}
}

static void test_bad_answers(void **state)
{
	static const struct {
		struct scripted_reply reply;
		enum atl_err expected;
	} CASES[] = {
		{{.bytes = OK_HEAD "Content-Length: 9\r\n\r\nhalf", .length = 61, .close = true}, ATL_ERR_UPSTREAM_CUT},
		{{.bytes = OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nab", .length = 0, .close = true}, ATL_ERR_UPSTREAM_CUT},
		{{.bytes = OK_HEAD "Content-Length: 40\r\n\r\n0123456789012345678901234567890123456789", .length = 0},
		 ATL_ERR_TOO_LARGE},
		{{.bytes = "SSH-2.0-nothing\r\n\r\n", .length = 0, .close = true}, ATL_ERR_UPSTREAM_FORMAT},
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (size_t c = 0; c < sizeof(CASES) / sizeof(CASES[0]); c++) {
			struct scripted_reply reply = CASES[c].reply;
			struct bench bench;
			enum atl_err err;

			reply.length = strlen(reply.bytes);
			begin(&bench, &reply, 1);
			err = get(&bench, KINDS[i], (struct atl_fetch_request){.max_response_bytes = 20}, NULL, 0);
			if (err != CASES[c].expected)
				print_message("client %zu, case %zu\n", i, c);
			/* libcurl takes what is not HTTP for HTTP/0.9 and names that differently */
			if (CASES[c].expected == ATL_ERR_UPSTREAM_FORMAT && i == 0)
				assert_true(err == ATL_ERR_UPSTREAM_FORMAT || err == ATL_ERR_UPSTREAM);
			else
				assert_int_equal(err, CASES[c].expected);
			end(&bench);
		}
	}
}

static void test_unreachable_and_refused(void **state)
{
	static const struct scripted_reply REPLIES[] = {REPLY(OK_HEAD "Content-Length: 2\r\n\r\nok")};
	struct bench bench;
	struct atl_fetch_request request = {.url = "http://127.0.0.1:1/"};
	char url[64];

	(void)state;
	begin(&bench, REPLIES, 1);
	assert_int_equal(get(&bench, false, request, NULL, 0), ATL_ERR_UPSTREAM);
	assert_int_equal(get(&bench, true, request, NULL, 0), ATL_ERR_UPSTREAM);
	/* A name that resolves to a private address: only seen when the socket is opened. */
	atl_guard_finish(&bench.guard);
	assert_int_equal(atl_guard_init(&bench.guard, NULL, NULL), ATL_OK);
	snprintf(url, sizeof(url), "http://localhost:%d/", bench.server.port);
	request.url = url;
	assert_int_equal(get(&bench, false, request, NULL, 0), ATL_ERR_OUTBOUND);
	assert_int_equal(get(&bench, false, (struct atl_fetch_request){0}, NULL, 0), ATL_ERR_OUTBOUND);
	assert_int_equal(get(&bench, true, (struct atl_fetch_request){0}, NULL, 0), ATL_ERR_OUTBOUND);
	assert_int_equal(bench.server.connections, 0);
	end(&bench);
}

/* A kept connection opened for a request that may reach it does not serve one that may not. */
static void test_reuse_is_guarded(void **state)
{
	static const struct scripted_reply REPLIES[] = {REPLY(OK_HEAD "Content-Length: 2\r\n\r\nok")};
	static const char *const ALLOW[] = {"localhost", NULL};
	struct bench bench;
	struct atl_fetch_request request = {0};
	char url[64], body[32];

	(void)state;
	begin(&bench, REPLIES, 1);
	snprintf(url, sizeof(url), "http://localhost:%d/", bench.server.port);
	request.url = url;
	atl_guard_finish(&bench.guard);
	assert_int_equal(atl_guard_init(&bench.guard, ALLOW, NULL), ATL_OK);
	assert_int_equal(get(&bench, false, request, body, sizeof(body)), ATL_OK);
	atl_guard_finish(&bench.guard);
	assert_int_equal(atl_guard_init(&bench.guard, NULL, NULL), ATL_OK);
	assert_int_equal(get(&bench, false, request, NULL, 0), ATL_ERR_OUTBOUND);
	assert_int_equal(bench.server.requests, 1);
	end(&bench);
}

/* ---- cancel ---- */
struct cancelling {
	struct bench *bench;
	struct atl_fetch_request request;
	struct atl_fetch *fetch;
	size_t data_count;
	enum atl_err err;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
};

static void cancel_on_data(void *arg, const char *data, size_t length)
{
	struct cancelling *c = arg;

	(void)data, (void)length;
	c->data_count++;
	atl_fetch_cancel(c->fetch);
	atl_fetch_cancel(c->fetch);
}

static void cancel_done(void *arg, enum atl_err err, const struct atl_errinfo *info)
{
	struct cancelling *c = arg;

	(void)info;
	pthread_mutex_lock(&c->lock);
	c->err = err;
	c->done = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static void cancel_start(void *arg)
{
	static const struct atl_fetch_ops OPS = {NULL, cancel_on_data, cancel_done};
	struct cancelling *c = arg;

	if (atl_fetch_start(c->bench->loop, &c->request, &OPS, c, &c->fetch, NULL))
		abort();
}

static void test_cancel_inside_data(void **state)
{
	static const struct scripted_reply HALF[] = {REPLY(OK_HEAD "Content-Length: 9\r\n\r\nhalf")};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct bench bench;
		struct cancelling c = {.bench = &bench};

		begin(&bench, HALF, 1);
		c.request = (struct atl_fetch_request){.url = bench.url, .guard = &bench.guard, .plain = KINDS[i]};
		pthread_mutex_init(&c.lock, NULL);
		pthread_cond_init(&c.changed, NULL);
		on_loop(bench.loop, cancel_start, &c);
		pthread_mutex_lock(&c.lock);
		while (!c.done)
			pthread_cond_wait(&c.changed, &c.lock);
		pthread_mutex_unlock(&c.lock);
		assert_int_equal(c.err, ATL_ERR_CANCELLED);
		assert_int_equal(c.data_count, 1);
		end(&bench);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies_and_reuse),	cmocka_unit_test(test_kept_connection_died),
		cmocka_unit_test(test_time_limits),		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_unreachable_and_refused), cmocka_unit_test(test_reuse_is_guarded),
		cmocka_unit_test(test_cancel_inside_data),
	};
	int rc;

	if (atl_fetch_global_init())
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	atl_fetch_global_finish();
	return rc;
}
