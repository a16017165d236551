/* A service's public characters: browsing and adopting, against a scripted server. */
#include <stdlib.h>
#include <string.h>

#include "../unit/net/scripted.h"
#include "core/models/provider.h"
#include "core/server/setting.h"
#include "support.h"

static int setup(void **state)
{
	static const char *const ALLOW[] = {"127.0.0.1", NULL};
	struct site *site;
	assert_int_equal(site_setup(state), 0);
	site = *state;
	atl_guard_finish(&site->guard);
	assert_int_equal(atl_guard_init(&site->guard, ALLOW, NULL), ATL_OK);
	return 0;
}

static const char *answer(const char *body)
{
	return fmt("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		   strlen(body), body);
}

static struct scripted_reply reply(const char *bytes)
{
	return (struct scripted_reply){.bytes = bytes, .length = strlen(bytes), .close = true};
}

static const char *provider(struct site *site, const char *preset, int port)
{
	return text_at(expect(ask(site, &owner, "POST /api/v1/providers",
				  fmt("{\"preset\":\"%s\",\"key\":\"secret-key\",\"base_url\":\"http://127.0.0.1:%d/api/v1\"}", preset,
				      port)), 201), "id");
}

#define ALAN                                                                                                         \
	"{\"slug\":\"alan-watts\",\"name\":\"Alan Watts\",\"description\":\"A philosopher. He laughs.\",\"adult\":false," \
	"\"tags\":[\"philosophy\"],\"modelId\":\"llama-3.3-70b\",\"photoUrl\":null}"
#define ADULT "{\"slug\":\"night\",\"name\":\"Night\",\"description\":\"x\",\"adult\":true,\"tags\":[]}"

static void test_browse(void **state)
{
	struct site *site = *state;
	const struct scripted_reply replies[] = {reply(answer("{\"data\":[" ALAN "," ADULT "]}")),
						 reply(answer("{\"data\":[" ALAN "]}"))};
	struct scripted server;
	scripted_start(&server, site->loop, replies, 2);
	const char *id = provider(site, "venice", server.port);
	struct atl_req *req = expect(ask(site, &owner, fmt("GET /api/v1/providers/%s/characters?q=alan%%20w", id), NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	assert_string_equal(text_at(req, "items.0.slug"), "alan-watts");
	assert_string_equal(text_at(req, "items.0.tags.0"), "philosophy");
	assert_true(is_null_at(req, "next"));
	assert_non_null(strstr(server.seen[0], "isAdult=false"));
	assert_non_null(strstr(server.seen[0], "search=alan%20w"));
	req = expect(ask(site, &owner, fmt("GET /api/v1/providers/%s/characters?limit=1", id), NULL), 200);
	req = expect(ask(site, &owner, fmt("GET /api/v1/providers/%s/characters?limit=1&after=%s", id, text_at(req, "next")), NULL), 200);
	assert_non_null(strstr(server.seen[2], "limit=1&offset=1"));
	scripted_stop(&server);
}

static void test_adopt(void **state)
{
	struct site *site = *state;
	const struct scripted_reply replies[] = {reply(answer("{\"data\":" ALAN "}"))};
	struct scripted server;
	scripted_start(&server, site->loop, replies, 1);
	const char *id = provider(site, "venice", server.port);
	struct atl_req *req =
		expect(ask(site, &owner, fmt("POST /api/v1/providers/%s/characters/alan-watts/adopt", id), NULL), 201);
	assert_string_equal(text_at(req, "name"), "Alan Watts");
	assert_string_equal(text_at(req, "summary"), "A philosopher.");
	assert_string_equal(text_at(req, "tags.0"), "philosophy");
	assert_string_equal(text_at(req, "card.extensions.venice.slug"), "alan-watts");
	assert_string_equal(text_at(req, "model"), fmt("%s/llama-3.3-70b", id));
	assert_non_null(strstr(server.seen[0], "GET /api/v1/characters/alan-watts HTTP"));
	assert_non_null(strstr(server.seen[0], "secret-key"));
	scripted_stop(&server);
}

static void test_mature(void **state)
{
	struct site *site = *state;
	const struct scripted_reply replies[] = {reply(answer("{\"data\":" ADULT "}"))};
	struct scripted server;
	scripted_start(&server, site->loop, replies, 1);
	const char *id = provider(site, "venice", server.port);
	const char *line = fmt("POST /api/v1/providers/%s/characters/night/adopt", id);
	expect_problem(ask(site, &owner, line, NULL), 404, "not_found", NULL);
	assert_int_equal(atl_setting_set(&site->app, NULL, ATL_SETTING_MATURE_ALLOWED, "true", NULL), ATL_OK);
	expect(ask(site, &owner, line, NULL), 201);
	assert_int_equal(atl_setting_set(&site->app, NULL, ATL_SETTING_MATURE_ALLOWED, "false", NULL), ATL_OK);
	scripted_stop(&server);
}

static void test_failures(void **state)
{
	struct site *site = *state;
	const struct scripted_reply replies[] = {
		reply("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
		reply("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")};
	struct scripted server;
	scripted_start(&server, site->loop, replies, 2);
	const char *id = provider(site, "venice", server.port), *other = provider(site, "openai", server.port);
	expect_problem(ask(site, &owner, fmt("GET /api/v1/providers/%s/characters", id), NULL), 502, "upstream_key_refused", NULL);
	expect_problem(ask(site, &owner, fmt("POST /api/v1/providers/%s/characters/x/adopt", id), NULL), 404, "not_found", NULL);
	expect_problem(ask(site, &owner, fmt("GET /api/v1/providers/%s/characters", other), NULL), 501, "unsupported", NULL);
	expect(ask(site, &owner, "GET /api/v1/providers/prv_none/characters", NULL), 404);
	scripted_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_browse), cmocka_unit_test(test_adopt), cmocka_unit_test(test_mature),
		cmocka_unit_test(test_failures),
	};
	return cmocka_run_group_tests(tests, setup, site_teardown);
}
