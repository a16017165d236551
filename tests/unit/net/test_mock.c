/* The mock that handler tests stand on, and the route table it shares with the server. */
#include "support.h"

#include <string.h>

#include "net/route.h"

static void in_pool(struct atl_req *req)
{
	atl_res_header(req, "X-Seen", req->params[0]);
	atl_res_json_text(req, 201, "{\"a\":1}", 7);
}

static void echo(struct atl_req *req)
{
	atl_res_body(req, 200, "text/plain", req->body, req->body_length);
	if (req->route->flags & ATL_ROUTE_LOOP)
		atl_res_send(req);
}

static unsigned closed;

static void on_close(void *arg)
{
	closed++;
}

static void stream(struct atl_req *req)
{
	struct atl_stream *out = atl_stream_begin(req, 200, "text/event-stream", on_close, NULL);
	struct atl_bytes *frame = atl_sse_frame(1, "tick", "x", 1);

	atl_stream_send(out, "a", 1);
	atl_stream_send_bytes(out, frame);
	atl_bytes_unref(frame);
	atl_stream_end(out);
}

static void finish(struct atl_req *req)
{
	atl_res_empty(req, 204);
	atl_res_send(req);
}

static void two_steps(struct atl_req *req)
{
	atl_res_continue(req, finish);
}

static const struct atl_route routes[] = {
	{ATL_GET, "/things/{id}", "user", 0, in_pool},	{ATL_GET, "/things/special", "public", 0, echo},
	{ATL_POST, "/echo", "public", 0, echo, .body_max = 10}, {ATL_POST, "/loop", "public", ATL_ROUTE_LOOP, echo},
	{ATL_GET, "/stream", "public", ATL_ROUTE_LOOP, stream}, {ATL_GET, "/two", "public", 0, two_steps},
	{ATL_GET, "/files/{path*}", "public", 0, in_pool},	{ATL_PUT, "/a/{x}/b", "public", 0, echo},
	{ATL_GET, "/a/lit/c", "public", 0, echo},		{0},
};
static const struct atl_route *const tables[] = {routes, NULL};

static enum atl_auth authorize(struct atl_req *req, bool may_block, struct atl_errinfo *info)
{
	if (strcmp(req->route->permission, "public") == 0)
		return ATL_AUTH_OK;
	if (!may_block)
		return ATL_AUTH_BLOCK;
	if (atl_req_cookie(req, "sid"))
		return ATL_AUTH_OK;
	atl_fail(info, ATL_ERR_AUTH, "no cookie");
	info->retry_after_s = 3;
	return ATL_AUTH_DENY;
}

static struct atl_mock *mock;

static int setup(void **state)
{
	const struct atl_server_options options = {.tables = tables, .authorize = authorize};

	mock = atl_mock_create(&options);
	return mock ? 0 : -1;
}

static int teardown(void **state)
{
	atl_mock_destroy(mock);
	return 0;
}

static void handlers(void **state)
{
	static const char *const cookie[] = {"Cookie: other=1; sid=2", NULL};
	struct atl_req *req = atl_mock_request(mock, "GET", "/things/7?x=1", cookie, NULL);

	assert_int_equal(req->status, 201);
	assert_true(req->sent);
	assert_string_equal(req->out.data, "{\"a\":1}");
	assert_string_equal(atl_mock_header(req, "x-seen"), "7");
	assert_string_equal(atl_mock_header(req, "Content-Type"), "application/json");
	assert_string_equal(atl_req_query(req, "x"), "1");
	assert_string_equal(atl_req_param(req, "id"), "7");
	req = atl_mock_request(mock, "POST", "/echo", NULL, "body");
	assert_string_equal(req->out.data, "body");
	req = atl_mock_request(mock, "POST", "/loop", NULL, "body");
	assert_string_equal(req->out.data, "body");
	req = atl_mock_request(mock, "GET", "/two", NULL, NULL);
	assert_int_equal(req->status, 204);
}

static void refusals(void **state)
{
	static const char *const foreign[] = {"Host: evil.example", NULL};
	struct atl_req *req = atl_mock_request(mock, "GET", "/things/7", NULL, NULL);

	assert_int_equal(req->status, 401);
	assert_non_null(strstr(req->out.data, "\"slug\":\"not_signed_in\""));
	assert_string_equal(atl_mock_header(req, "Retry-After"), "3");
	assert_int_equal(atl_mock_request(mock, "POST", "/echo", NULL, "longer than ten")->status, 413);
	assert_int_equal(atl_mock_request(mock, "GET", "/nowhere", NULL, NULL)->status, 404);
	assert_int_equal(atl_mock_request(mock, "GET", "/echo", NULL, NULL)->status, 405);
	assert_int_equal(atl_mock_request(mock, "GET", "/two", foreign, NULL)->status, 421);
}

static void streams(void **state)
{
	struct atl_req *req = atl_mock_request(mock, "GET", "/stream", NULL, NULL);

	assert_string_equal(req->out.data, "aid: 1\nevent: tick\ndata: x\n\n");
	assert_int_equal(closed, 1);
}

static const struct atl_route *find(struct route_table *table, enum atl_method method, const char *path,
				    struct route_match *match, struct atl_arena *arena)
{
	assert_int_equal(route_find(table, method, path, arena, match), ATL_OK);
	return match->route;
}

static void matching(void **state)
{
	struct route_table table;
	struct route_match match;
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	assert_int_equal(route_table_init(&table, tables, NULL), ATL_OK);
	assert_ptr_equal(find(&table, ATL_GET, "/things/7", &match, &arena), &routes[0]);
	assert_string_equal(match.params[0], "7");
	assert_ptr_equal(find(&table, ATL_HEAD, "/things/special", &match, &arena), &routes[1]);
	assert_ptr_equal(find(&table, ATL_PUT, "/a/lit/b", &match, &arena), &routes[7]); /* backs out of /a/lit */
	assert_string_equal(match.params[0], "lit");
	assert_ptr_equal(find(&table, ATL_GET, "/files/a%20b/c", &match, &arena), &routes[6]);
	assert_string_equal(match.params[0], "a b/c");
	assert_null(find(&table, ATL_GET, "/things", &match, &arena));
	assert_int_equal(match.allowed, 0);
	assert_null(find(&table, ATL_GET, "/things/", &match, &arena));
	assert_null(find(&table, ATL_GET, "/things/7/8", &match, &arena));
	assert_null(find(&table, ATL_DELETE, "/things/7", &match, &arena));
	assert_int_equal(match.allowed, 1u << ATL_GET);
	route_table_finish(&table);
	atl_arena_finish(&arena);
}

static void bad_tables(void **state)
{
	static const struct atl_route twice[] = {{ATL_GET, "/a/{b}", "public", 0, echo},
						 {ATL_GET, "/a/{c}", "public", 0, echo},
						 {0}};
	static const struct atl_route partial[] = {{ATL_GET, "/a/{b}.png", "public", 0, echo}, {0}};
	static const struct atl_route inner[] = {{ATL_GET, "/a/{b*}/c", "public", 0, echo}, {0}};
	const struct atl_route *rows[] = {twice, partial, inner};

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		const struct atl_route *const one[] = {rows[i], NULL};
		struct route_table table;
		struct atl_errinfo info = {0};

		assert_int_equal(route_table_init(&table, one, &info), ATL_ERR_CONFIG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(handlers), cmocka_unit_test(refusals), cmocka_unit_test(streams),
					   cmocka_unit_test(matching), cmocka_unit_test(bad_tables)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
