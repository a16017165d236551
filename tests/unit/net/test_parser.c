/* The parser's table of hostile and good messages, fed whole and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "net/parser.h"

struct seen {
	struct atl_parser_head head;
	struct atl_buf body;
	unsigned heads, completes;
	enum atl_parser_do on_head;
};

static enum atl_parser_do on_head(void *arg, const struct atl_parser_head *head)
{
	struct seen *seen = arg;

	seen->head = *head;
	seen->heads++;
	return seen->on_head;
}

static enum atl_parser_do on_body(void *arg, const char *data, size_t length)
{
	struct seen *seen = arg;

	atl_buf_add(&seen->body, data, length);
	return ATL_PARSER_GO;
}

static void on_complete(void *arg)
{
	((struct seen *)arg)->completes++;
}

static const struct atl_parser_ops ops = {.on_head = on_head, .on_body = on_body, .on_complete = on_complete};
static const struct atl_parser_limits limits = {.target_max = 64, .head_max = 400, .headers_max = 5};

/* Feed `text` in pieces of `step`; the first error, or OK. */
static enum atl_err run(enum atl_parser_kind kind, const char *text, size_t step, struct seen *seen,
			struct atl_arena *arena)
{
	struct atl_parser parser;
	size_t length = strlen(text), done = 0;

	memset(seen, 0, sizeof(*seen));
	atl_buf_init(&seen->body, 65536);
	atl_arena_init(arena, 0);
	atl_parser_init(&parser, kind, &limits, &ops, seen);
	atl_parser_begin(&parser, arena);
	while (done < length && !parser.complete) {
		size_t used, want = length - done < step ? length - done : step;
		enum atl_err err = atl_parser_feed(&parser, text + done, want, &used);

		if (err)
			return err;
		done += used;
	}
	return parser.complete ? ATL_OK : atl_parser_eof(&parser);
}

static void clear(struct seen *seen, struct atl_arena *arena)
{
	atl_buf_finish(&seen->body);
	atl_arena_finish(arena);
}

static void good_request(void **state)
{
	static const char text[] = "POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Long:   padded value \t\r\nEmpty:\r\n"
				   "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n";

	for (size_t step = 1; step < sizeof(text); step += 3) {
		struct seen seen;
		struct atl_arena arena;

		assert_int_equal(run(ATL_PARSER_REQUEST, text, step, &seen, &arena), ATL_OK);
		assert_int_equal(seen.heads, 1);
		assert_int_equal(seen.completes, 1);
		assert_string_equal(seen.head.method, "POST");
		assert_string_equal(seen.head.target, "/a?b=c");
		assert_int_equal(seen.head.header_count, 4);
		assert_string_equal(seen.head.headers[1].name, "X-Long");
		assert_string_equal(seen.head.headers[1].value, "padded value");
		assert_string_equal(seen.head.headers[2].value, "");
		assert_true(seen.head.chunked);
		assert_true(seen.head.keep_alive);
		assert_string_equal(seen.body.data, "abcdefg");
		clear(&seen, &arena);
	}
}

static const struct {
	const char *what, *text;
	enum atl_err err;
} hostile[] = {
	{"CL and TE", "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ATL_ERR_INVALID},
	{"TE and CL", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", ATL_ERR_INVALID},
	{"two CL", "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", ATL_ERR_INVALID},
	{"differing CL", "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", ATL_ERR_INVALID},
	{"listed CL", "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nabc", ATL_ERR_INVALID},
	{"signed CL", "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc", ATL_ERR_INVALID},
	{"negative CL", "POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\nabc", ATL_ERR_INVALID},
	{"hexadecimal CL", "POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc", ATL_ERR_INVALID},
	{"overflowing CL", "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", ATL_ERR_INVALID},
	{"empty CL", "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", ATL_ERR_INVALID},
	{"other coding", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", ATL_ERR_INVALID},
	{"chunked not last", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", ATL_ERR_INVALID},
	{"chunked twice", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", ATL_ERR_INVALID},
	{"misspelt coding", "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", ATL_ERR_INVALID},
	{"TE in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ATL_ERR_INVALID},
	{"bare LF after request line", "GET / HTTP/1.1\nHost: x\r\n\r\n", ATL_ERR_INVALID},
	{"bare LF after header", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", ATL_ERR_INVALID},
	{"bare LF at the end", "GET / HTTP/1.1\r\nHost: x\r\n\n", ATL_ERR_INVALID},
	{"bare CR in value", "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", ATL_ERR_INVALID},
	{"folding", "GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", ATL_ERR_INVALID},
	{"space before colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", ATL_ERR_INVALID},
	{"no name", "GET / HTTP/1.1\r\n: x\r\n\r\n", ATL_ERR_INVALID},
	{"no colon", "GET / HTTP/1.1\r\nHost x\r\n\r\n", ATL_ERR_INVALID},
	{"control in value", "GET / HTTP/1.1\r\nHost: \x01\r\n\r\n", ATL_ERR_INVALID},
	{"HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", ATL_ERR_INVALID},
	{"HTTP/2.0", "GET / HTTP/2.0\r\n\r\n", ATL_ERR_INVALID},
	{"HTTP/1.9", "GET / HTTP/1.9\r\n\r\n", ATL_ERR_INVALID},
	{"no version", "GET /\r\n\r\n", ATL_ERR_INVALID},
	{"lower-case method", "get / HTTP/1.1\r\n\r\n", ATL_ERR_INVALID},
	{"tab in request line", "GET\t/ HTTP/1.1\r\n\r\n", ATL_ERR_INVALID},
	{"chunk size junk", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ATL_ERR_INVALID},
	{"chunk size sign", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", ATL_ERR_INVALID},
	{"chunk size prefix", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n", ATL_ERR_INVALID},
	{"chunk size overflow", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", ATL_ERR_INVALID},
	{"space after chunk size", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n", ATL_ERR_INVALID},
	{"chunk too long", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", ATL_ERR_INVALID},
	{"bare LF after chunk size", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", ATL_ERR_INVALID},
	{"cut head", "GET / HTTP/1.1\r\nHost: x\r\n", ATL_ERR_INVALID},
	{"cut body", "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", ATL_ERR_INVALID},
	{"target too long",
	 "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n", ATL_ERR_URI_TOO_LONG},
	{"too many headers", "GET / HTTP/1.1\r\na: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\ne: 1\r\nf: 1\r\n\r\n", ATL_ERR_HEADERS_TOO_LARGE},
};

static void hostile_requests(void **state)
{
	for (size_t i = 0; i < ATL_COUNT(hostile); i++) {
		static const size_t steps[] = {1, 2, 7, 4096};

		for (size_t s = 0; s < ATL_COUNT(steps); s++) {
			struct seen seen;
			struct atl_arena arena;
			enum atl_err err = run(ATL_PARSER_REQUEST, hostile[i].text, steps[s], &seen, &arena);

			if (err != hostile[i].err || seen.completes)
				fail_msg("%s (step %zu): %s", hostile[i].what, steps[s], atl_err_name(err));
			clear(&seen, &arena);
		}
	}
}

static void nul_bytes(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
	struct atl_parser parser;
	struct seen seen = {0};
	struct atl_arena arena;
	size_t used;

	atl_arena_init(&arena, 0);
	atl_parser_init(&parser, ATL_PARSER_REQUEST, &limits, &ops, &seen);
	atl_parser_begin(&parser, &arena);
	assert_int_equal(atl_parser_feed(&parser, text, sizeof(text) - 1, &used), ATL_ERR_INVALID);
	atl_arena_finish(&arena);
}

static void endless_head_and_trailer(void **state)
{
	char text[2048] = "GET / HTTP/1.1\r\nA: ";
	struct seen seen;
	struct atl_arena arena;

	memset(text + strlen(text), 'x', 500);
	assert_int_equal(run(ATL_PARSER_REQUEST, text, 10, &seen, &arena), ATL_ERR_HEADERS_TOO_LARGE);
	clear(&seen, &arena);

	memset(text, 0, sizeof(text));
	strcpy(text, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ");
	memset(text + strlen(text), 'x', 500);
	assert_int_equal(run(ATL_PARSER_REQUEST, text, 10, &seen, &arena), ATL_ERR_HEADERS_TOO_LARGE);
	clear(&seen, &arena);
}

/* A chunk extension without end must not be read for ever. */
static void endless_extension(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;x=";
	char piece[1024];
	struct atl_parser parser;
	struct seen seen = {0};
	struct atl_arena arena;
	enum atl_err err = ATL_OK;
	size_t used, fed = 0;

	memset(piece, 'y', sizeof(piece));
	atl_arena_init(&arena, 0);
	atl_parser_init(&parser, ATL_PARSER_REQUEST, &limits, &ops, &seen);
	atl_parser_begin(&parser, &arena);
	assert_int_equal(atl_parser_feed(&parser, head, sizeof(head) - 1, &used), ATL_OK);
	while (!err && fed < 1 << 20) {
		err = atl_parser_feed(&parser, piece, sizeof(piece), &used);
		fed += used;
	}
	assert_int_equal(err, ATL_ERR_INVALID);
	assert_true(fed <= ATL_PARSER_CHUNK_SLACK + sizeof(piece));
	atl_arena_finish(&arena);
}

static void stop_and_pipeline(void **state)
{
	static const char text[] = "POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n\r\n";
	struct atl_parser parser;
	struct seen seen = {.on_head = ATL_PARSER_STOP};
	struct atl_arena arena;
	size_t done = 0, used;

	atl_arena_init(&arena, 0);
	atl_buf_init(&seen.body, 100);
	atl_parser_init(&parser, ATL_PARSER_REQUEST, &limits, &ops, &seen);
	atl_parser_begin(&parser, &arena);
	assert_int_equal(atl_parser_feed(&parser, text, sizeof(text) - 1, &used), ATL_OK);
	done += used;
	assert_int_equal(seen.heads, 1);
	assert_int_equal(seen.body.length, 0);
	assert_false(parser.complete);
	assert_int_equal(atl_parser_feed(&parser, text + done, sizeof(text) - 1 - done, &used), ATL_OK);
	done += used;
	assert_true(parser.complete);
	assert_string_equal(seen.body.data, "abc");
	assert_string_equal(text + done, "GET /2 HTTP/1.1\r\n\r\n");
	seen.on_head = ATL_PARSER_GO;
	atl_parser_begin(&parser, &arena);
	assert_int_equal(atl_parser_feed(&parser, text + done, sizeof(text) - 1 - done, &used), ATL_OK);
	assert_true(parser.complete);
	assert_string_equal(seen.head.target, "/2");
	assert_int_equal(done + used, sizeof(text) - 1);
	atl_buf_finish(&seen.body);
	atl_arena_finish(&arena);
}

static void responses(void **state)
{
	struct seen seen;
	struct atl_arena arena;

	assert_int_equal(run(ATL_PARSER_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 3, &seen, &arena), ATL_OK);
	assert_int_equal(seen.head.status, 200);
	assert_string_equal(seen.body.data, "hi");
	clear(&seen, &arena);
	assert_int_equal(run(ATL_PARSER_RESPONSE, "HTTP/1.1 200 OK\r\n\r\nuntil the end", 5, &seen, &arena), ATL_OK);
	assert_int_equal(seen.completes, 1);
	assert_string_equal(seen.body.data, "until the end");
	assert_false(seen.head.keep_alive);
	clear(&seen, &arena);
	assert_int_equal(run(ATL_PARSER_RESPONSE, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 5, &seen,
			     &arena), ATL_ERR_INVALID);
	clear(&seen, &arena);
	assert_int_equal(run(ATL_PARSER_RESPONSE, "HTTP/1.1 204 No Content\r\n\r\n", 5, &seen, &arena), ATL_OK);
	assert_int_equal(seen.completes, 1);
	clear(&seen, &arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_request),	     cmocka_unit_test(hostile_requests),
		cmocka_unit_test(nul_bytes),	     cmocka_unit_test(endless_head_and_trailer),
		cmocka_unit_test(endless_extension), cmocka_unit_test(stop_and_pipeline),
		cmocka_unit_test(responses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
