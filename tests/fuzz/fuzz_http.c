/* Requests: the parser fed in pieces, then checks, routing, query and asset lookup of what it let through.
 *
 * The first byte says how large the pieces are. A request that the parser accepts whole must also be accepted byte by
 * byte, with the same number of headers and body bytes: two readings of one message are how smuggling starts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/cond.h"
#include "net/http.h"
#include "net/static.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct atl_parser_head head;
	size_t body;
};

static enum atl_parser_do on_head(void *arg, const struct atl_parser_head *head)
{
	((struct seen *)arg)->head = *head;
	return ATL_PARSER_GO;
}

static enum atl_parser_do on_body(void *arg, const char *data, size_t length)
{
	((struct seen *)arg)->body += length;
	return ATL_PARSER_GO;
}

static void on_complete(void *arg)
{
}

static const struct atl_parser_ops ops = {.on_head = on_head, .on_body = on_body, .on_complete = on_complete};
static const struct atl_parser_limits limits = {.target_max = 512, .head_max = 2048, .headers_max = 20};

static bool parse(const char *data, size_t size, size_t step, struct seen *seen, struct atl_arena *arena)
{
	struct atl_parser parser;
	size_t done = 0;

	memset(seen, 0, sizeof(*seen));
	atl_arena_init(arena, 0);
	atl_parser_init(&parser, ATL_PARSER_REQUEST, &limits, &ops, seen);
	atl_parser_begin(&parser, arena);
	while (done < size && !parser.complete) {
		size_t used, want = size - done < step ? size - done : step;

		if (atl_parser_feed(&parser, data + done, want, &used))
			return false;
		done += used;
	}
	return parser.complete;
}

static void answer(struct atl_req *req)
{
	(void)atl_req_query(req, "a");
	(void)atl_req_cookie(req, "sid");
	atl_res_header(req, "X-Echo", req->params[0]);
	atl_res_body(req, 200, "text/plain", req->path, strlen(req->path));
}

static bool fallback(struct atl_req *req)
{
	const char *name, *hash;
	size_t hash_length;
	uint64_t offset, length;

	if (static_resolve(req->path, &name, &hash, &hash_length) == STATIC_NONE)
		return false;
	/* What would be joined to a folder must stay below it. */
	if (strstr(name, "/../") || strncmp(name, "../", 3) == 0 || *name == '/')
		abort();
	(void)cond_none_match(atl_req_header(req, "If-None-Match"), "\"abc\"");
	if (cond_range_parse(atl_req_header(req, "Range"), 100, &offset, &length) == COND_PART &&
	    (offset >= 100 || !length || length > 100 - offset))
		abort();
	(void)cond_encoding(atl_req_header(req, "Accept-Encoding"), true, true);
	atl_res_empty(req, 204);
	return true;
}

static const struct atl_query_param params[] = {{.name = "a", .type = ATL_JT_INT, .min = 1, .max = 9}, {0}};
static const struct atl_route routes[] = {{ATL_GET, "/a/{id}", "public", 0, answer, .query = params},
					  {ATL_GET, "/a/b/{rest*}", "public", 0, answer},
					  {ATL_POST, "/a/{id}/c", "public", 0, answer},
					  {0}};

static void handle(const struct atl_parser_head *head)
{
	static const struct atl_route *const tables[] = {routes, NULL};
	const struct atl_server_options options = {.tables = tables, .fallback = fallback};
	struct atl_mock *mock = atl_mock_create(&options);
	const char *lines[21] = {0};
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	for (size_t i = 0; i < head->header_count; i++)
		lines[i] = atl_arena_printf(&arena, "%s: %s", head->headers[i].name, head->headers[i].value);
	if (atl_mock_request(mock, head->method, head->target, lines, NULL)->status == 0)
		abort();
	atl_mock_destroy(mock);
	atl_arena_finish(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole, pieces;
	struct atl_arena first, second;
	bool ok;

	if (size < 2)
		return 0;
	ok = parse((const char *)data + 1, size - 1, size, &whole, &first);
	if (ok != parse((const char *)data + 1, size - 1, 1 + data[0] % 16, &pieces, &second) ||
	    (ok && (whole.body != pieces.body || whole.head.header_count != pieces.head.header_count ||
		    strcmp(whole.head.target, pieces.head.target) != 0)))
		abort();
	if (ok)
		handle(&whole.head);
	atl_arena_finish(&first);
	atl_arena_finish(&second);
	return 0;
}
