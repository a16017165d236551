/* What a service suggests for its own parameters: Venice's styles in the list of models, asked for behind its back. */
#include "support.h"

#include "../unit/net/scripted.h"
#include "base/str.h"
#include "core/pictures/picture_suggest.h"

static const char *answer(int status, const char *body)
{
	return fmt("HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status,
		   strlen(body), body);
}

static struct scripted_reply reply(int status, const char *body)
{
	const char *bytes = answer(status, body);

	return (struct scripted_reply){ .bytes = bytes, .length = strlen(bytes), .close = true };
}

static const char *venice(struct site *site, int port)
{
	const char *id = text_at(expect(ask(site, &owner, "POST /api/v1/providers",
					    fmt("{\"preset\":\"venice\",\"key\":\"k\",\"base_url\":\"http://127.0.0.1:%d\"}", port)), 201),
				 "id");

	expect(ask(site, &owner, fmt("POST /api/v1/providers/%s/refresh", id), NULL), 200);
	return id;
}

/* The parameter of that name of the model, as it is in the list now. */
static const struct atl_json *param(struct site *site, const char *model, const char *name)
{
	const struct atl_json *items = atl_json_get(json_of(expect(ask(site, &owner, "GET /api/v1/picture-models", NULL), 200)), "items");

	for (const struct atl_json *m = items->child; m; m = m->next)
		for (const struct atl_json *p = atl_str_eq(atl_json_str(m, "id", ""), model) ? atl_json_get(m, "params")->child : NULL; p;
		     p = p->next)
			if (atl_str_eq(atl_json_str(p, "name", ""), name))
				return p;
	fail_msg("%s has no %s", model, name);
	return NULL;
}

static void read_requests(void *arg)
{
	struct scripted *server = ((void **)arg)[0];

	*(size_t *)((void **)arg)[1] = server->requests;
}

static size_t requests_of(struct scripted *server)
{
	size_t count = 0;
	void *args[] = { server, &count };

	on_loop(server->loop, read_requests, args);
	return count;
}

static void test_venice_styles(void **state)
{
	struct site *site = *state;
	const struct scripted_reply replies[] = {
		reply(200, "{\"data\":[]}"),
		reply(200, "{\"data\":[{\"id\":\"hidream\",\"model_spec\":{\"name\":\"HiDream\"}}]}"),
		reply(200, "{\"data\":[]}"),
		reply(200, "{\"data\":[\"3D Model\",\"Analog Film\",\"\",7,\"Anime\"],\"object\":\"list\"}"),
	};
	const struct atl_json *style;
	struct scripted server;
	const char *id, *model;

	scripted_start(&server, site->loop, replies, ATL_COUNT(replies));
	id = venice(site, server.port);
	model = fmt("%s/hidream", id);
	ears_open(site, owner.id);
	assert_null(atl_json_get(param(site, model, "style_preset"), "values")); /* nobody waits for the service */
	ears_wait(site, "picture_models.changed", "{}");
	ears_close(site);
	style = param(site, model, "style_preset");
	assert_string_equal(atl_json_str(style, "type", ""), "string"); /* suggestions: another one may be typed */
	assert_int_equal(atl_json_get(style, "values")->count, 3);
	assert_string_equal(atl_json_at(atl_json_get(style, "values"), 1)->string, "Analog Film");
	assert_null(atl_json_get(param(site, model, "steps"), "values"));
	for (int i = 0; i < 3; i++)
		param(site, model, "style_preset");
	assert_int_equal(requests_of(&server), 4); /* kept */
	assert_true(atl_str_starts(server.seen[3], "GET /image/styles "));
	scripted_stop(&server);
	expect(ask(site, &owner, fmt("DELETE /api/v1/providers/%s", id), NULL), 204);
}

/* A service that fails is left alone for a while, and nothing is shown. */
static void test_a_failing_service(void **state)
{
	struct site *site = *state;
	const struct scripted_reply replies[] = {
		reply(200, "{\"data\":[]}"),
		reply(200, "{\"data\":[{\"id\":\"hidream\",\"model_spec\":{\"name\":\"HiDream\"}}]}"),
		reply(200, "{\"data\":[]}"),
		reply(403, "{\"error\":\"no\"}"),
	};
	struct atl_picture_suggest *own;
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct scripted server;
	const char *id;

	scripted_start(&server, site->loop, replies, ATL_COUNT(replies));
	id = venice(site, server.port);
	atl_arena_init(&arena, 0);
	assert_ok(atl_picture_suggest_create(&site->app, &own, &info), &info);
	while (requests_of(&server) < 4) /* asked once; the second look finds it asked already */
		assert_int_equal(atl_picture_suggest_get(own, &arena, id, "style_preset").count, 0);
	assert_int_equal(atl_picture_suggest_get(own, &arena, "prv_none", "style_preset").count, 0);
	assert_int_equal(atl_picture_suggest_get(own, &arena, id, "other").count, 0);
	atl_picture_suggest_destroy(own); /* waits for what is being asked */
	assert_int_equal(requests_of(&server), 4);
	atl_arena_finish(&arena);
	scripted_stop(&server);
}

static int setup(void **state)
{
	static const char *const allow[] = { "127.0.0.1", NULL };
	struct site *site;

	site_setup(state);
	site = *state;
	atl_guard_finish(&site->guard);
	return atl_guard_init(&site->guard, allow, NULL) ? 1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_venice_styles),
		cmocka_unit_test(test_a_failing_service),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
