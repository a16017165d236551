/* Model downloads: the catalogue, and transfers from a scripted server into the models folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/net/scripted.h"
#include "base/str.h"
#include "core/models/transfer.h"
#include "support.h"

static char model[400]; /* a small usable GGUF */
static size_t model_length;

static void add(uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		model[model_length++] = (char)(value >> (8 * i));
}

static void add_text(const char *text)
{
	add(strlen(text), 8);
	memcpy(model + model_length, text, strlen(text));
	model_length += strlen(text);
}

static int setup(void **state)
{
	static const char *const ALLOW[] = {"127.0.0.1", NULL};
	struct site *site;
	assert_int_equal(site_setup(state), 0);
	site = *state;
	atl_guard_finish(&site->guard);
	assert_int_equal(atl_guard_init(&site->guard, ALLOW, NULL), ATL_OK);
	assert_int_equal(atl_transfers_create(&site->app, &site->app.transfers, NULL), ATL_OK);
	model_length = 0;
	memcpy(model, "GGUF", model_length = 4);
	add(3, 4), add(0, 8), add(2, 8);
	add_text("general.architecture"), add(8, 4), add_text("llama");
	add_text("llama.context_length"), add(4, 4), add(2048, 4);
	ears_open(site, owner.id);
	return 0;
}

static int teardown(void **state)
{
	struct site *site = *state;
	atl_transfers_destroy(site->app.transfers);
	site->app.transfers = NULL;
	return site_teardown(state);
}

/* "HTTP/1.1 <head>\r\n\r\n" and bytes of the model; the memory is the reply's until free_reply(). */
static struct scripted_reply reply(const char *head, size_t from, size_t to)
{
	size_t length = strlen(head), size = length + 4 + (to - from);
	char *bytes = malloc(size + 1);
	assert_non_null(bytes);
	memcpy(bytes, head, length);
	memcpy(bytes + length, "\r\n\r\n", 4);
	memcpy(bytes + length + 4, model + from, to - from);
	return (struct scripted_reply){.bytes = bytes, .length = size, .close = true};
}

static void free_reply(struct scripted_reply *r)
{
	free((char *)r->bytes);
}

static const char *begin(struct site *site, int port, const char *file)
{
	ears_clear(site);
	struct atl_req *req = expect(ask(site, &owner, "POST /api/v1/engine/transfers",
					 fmt("{\"url\":\"http://127.0.0.1:%d/dir/%s?download=true\"}", port, file)), 202);
	const char *id = fmt("%s", text_at(req, "id"));
	assert_string_equal(atl_mock_header(req, "Location"), fmt("/api/v1/engine/transfers/%s", id));
	assert_string_equal(text_at(req, "file"), file);
	assert_string_equal(text_at(req, "state"), "running");
	return id;
}

static struct atl_req *get(struct site *site, const char *id)
{
	return expect(ask(site, &owner, fmt("GET /api/v1/engine/transfers/%s", id), NULL), 200);
}

static bool has_model(struct site *site, const char *file)
{
	return access(fmt("%s/%s", site->app.models_dir, file), F_OK) == 0;
}

static void test_catalogue(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "GET /api/v1/engine/catalogue", NULL), 200);
	size_t count = count_at(req, "items");
	assert_in_range(count, 5, 20);
	for (size_t i = 0; i < count; i++) {
		const char *file = text_at(req, fmt("items.%zu.file", i)), *url = text_at(req, fmt("items.%zu.url", i));
		assert_true(atl_str_ends(file, ".gguf"));
		assert_true(atl_str_starts(url, "https://huggingface.co/"));
		assert_true(atl_str_ends(url, file));
		assert_true(int_at(req, fmt("items.%zu.needs_ram_bytes", i)) > int_at(req, fmt("items.%zu.size_bytes", i)));
		assert_non_null(strstr(" Apache-2.0 MIT ", text_at(req, fmt("items.%zu.licence", i))));
		assert_true(strlen(text_at(req, fmt("items.%zu.description", i))) > 20);
	}
}

static void test_whole(void **state)
{
	struct site *site = *state;
	struct scripted_reply r = reply(fmt("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: %zu", model_length), 0, model_length);
	struct scripted server;
	scripted_start(&server, site->loop, &r, 1);
	const char *id = begin(site, server.port, "whole.gguf");
	ears_wait(site, "transfer.progress", "\"state\":\"done\"");
	struct atl_req *req = get(site, id);
	assert_int_equal(int_at(req, "received_bytes"), (int64_t)model_length);
	assert_int_equal(int_at(req, "size_bytes"), (int64_t)model_length);
	assert_true(is_null_at(req, "error"));
	assert_true(has_model(site, "whole.gguf"));
	expect_problem(ask(site, &owner, fmt("POST /api/v1/engine/transfers/%s/resume", id), NULL), 409, "conflict", NULL);
	expect_problem(ask(site, &owner, "POST /api/v1/engine/transfers",
			   fmt("{\"url\":\"http://127.0.0.1:%d/whole.gguf\"}", server.port)), 409, "conflict", "file");
	expect(ask(site, &owner, fmt("DELETE /api/v1/engine/transfers/%s", id), NULL), 204);
	expect(ask(site, &owner, fmt("GET /api/v1/engine/transfers/%s", id), NULL), 404);
	assert_true(has_model(site, "whole.gguf"));
	scripted_stop(&server);
	free_reply(&r);
}

/* Files of picture models come in as well; what is no safetensors file does not. */
static void test_picture_file(void **state)
{
	static const char header[] = "{\"a.weight\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}";
	struct site *site = *state;
	size_t length = sizeof header - 1;
	struct scripted server;
	model_length = 0;
	add(length, 8);
	memcpy(model + model_length, header, length);
	model_length += length;
	add(0, 4);
	struct scripted_reply r[] = {
		reply(fmt("HTTP/1.1 200 OK\r\nContent-Length: %zu", model_length), 0, model_length),
		reply(fmt("HTTP/1.1 200 OK\r\nContent-Length: %zu", model_length - 9), 9, model_length),
	};
	scripted_start(&server, site->loop, r, 2);
	begin(site, server.port, "picture.safetensors");
	ears_wait(site, "transfer.progress", "\"state\":\"done\"");
	assert_true(has_model(site, "picture.safetensors"));
	const char *id = begin(site, server.port, "broken.safetensors");
	ears_wait(site, "transfer.progress", "\"state\":\"failed\"");
	assert_string_equal(text_at(get(site, id), "error.slug"), "unprocessable");
	assert_false(has_model(site, "broken.safetensors"));
	scripted_stop(&server);
	free_reply(&r[0]);
	free_reply(&r[1]);
}

/* Cut, then a restart, then the rest. */
static void test_cut_resume(void **state)
{
	struct site *site = *state;
	struct scripted_reply r[] = {
		reply(fmt("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: %zu", model_length), 0, 20),
		reply(fmt("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 20-%zu/%zu\r\nContent-Length: %zu", model_length - 1,
			  model_length, model_length - 20), 20, model_length)};
	struct scripted server;
	scripted_start(&server, site->loop, r, 2);
	const char *id = begin(site, server.port, "cut.gguf");
	ears_wait(site, "transfer.progress", "\"state\":\"failed\"");
	struct atl_req *req = get(site, id);
	assert_string_equal(text_at(req, "error.slug"), "upstream_cut");
	assert_int_equal(int_at(req, "received_bytes"), 20);
	expect_problem(ask(site, &owner, "POST /api/v1/engine/transfers",
			   fmt("{\"url\":\"http://127.0.0.1:%d/cut.gguf\"}", server.port)), 409, "conflict", "file");
	ears_clear(site);
	expect(ask(site, &owner, fmt("POST /api/v1/engine/transfers/%s/resume", id), NULL), 202);
	ears_wait(site, "transfer.progress", "\"state\":\"done\"");
	assert_non_null(strstr(server.seen[1], "Range: bytes=20-"));
	assert_true(has_model(site, "cut.gguf"));
	scripted_stop(&server);
	free_reply(&r[0]);
	free_reply(&r[1]);
}

/* A stopping server leaves it paused with its part; cancelling removes both. */
static void test_restart_cancel(void **state)
{
	struct site *site = *state;
	struct scripted_reply r = reply(fmt("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: %zu", model_length), 0, 20);
	struct scripted server;
	r.close = false; /* and then nothing more comes */
	scripted_start(&server, site->loop, &r, 1);
	const char *id = begin(site, server.port, "slow.gguf");
	const char *part = fmt("%s/.%s.part", site->app.models_dir, id);
	atl_transfers_destroy(site->app.transfers);
	ears_wait(site, "transfer.progress", "\"state\":\"paused\"");
	assert_int_equal(atl_transfers_create(&site->app, &site->app.transfers, NULL), ATL_OK);
	assert_string_equal(text_at(get(site, id), "state"), "paused");
	assert_int_equal(access(part, F_OK), 0);
	ears_clear(site);
	expect(ask(site, &owner, fmt("POST /api/v1/engine/transfers/%s/resume", id), NULL), 202);
	expect_problem(ask(site, &owner, fmt("POST /api/v1/engine/transfers/%s/resume", id), NULL), 409, "conflict", NULL);
	expect(ask(site, &owner, fmt("DELETE /api/v1/engine/transfers/%s", id), NULL), 204);
	assert_string_equal(text_at(get(site, id), "state"), "cancelled");
	assert_int_equal(access(part, F_OK), -1);
	assert_false(has_model(site, "slow.gguf"));
	scripted_stop(&server);
	free_reply(&r);
}

static void test_bad_content(void **state)
{
	struct site *site = *state;
	struct scripted_reply r[] = {reply("HTTP/1.1 200 OK\r\nContent-Length: 4", 4, 8),
				     reply("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000", 0, 4),
				     reply("HTTP/1.1 302 Found\r\nLocation: http://192.168.7.7/x\r\nContent-Length: 0", 0, 0)};
	static const char *const SLUGS[] = {"unprocessable", "disk_full", "outbound_refused"};
	struct scripted server;
	scripted_start(&server, site->loop, r, 3);
	for (size_t i = 0; i < 3; i++) {
		const char *id = begin(site, server.port, fmt("bad%zu.gguf", i));
		ears_wait(site, "transfer.progress", "\"state\":\"failed\"");
		assert_string_equal(text_at(get(site, id), "error.slug"), SLUGS[i]);
		expect(ask(site, &owner, fmt("DELETE /api/v1/engine/transfers/%s", id), NULL), 204);
		assert_false(has_model(site, fmt("bad%zu.gguf", i)));
	}
	scripted_stop(&server);
	for (size_t i = 0; i < 3; i++)
		free_reply(&r[i]);
}

static void test_refused(void **state)
{
	static const struct {
		const char *body;
		int status;
		const char *slug, *field;
	} CASES[] = {
		{"{}", 400, "invalid_request", "url"},
		{"{\"catalogue_id\":\"nothing\"}", 400, "invalid_request", "catalogue_id"},
		{"{\"url\":\"http://10.0.0.1/a.gguf\"}", 403, "outbound_refused", "url"},
		{"{\"url\":\"https://example.org/a.zip\"}", 400, "invalid_request", "file"},
		{"{\"url\":\"https://example.org/a.gguf\",\"file\":\"../a.gguf\"}", 400, "invalid_request", "file"},
		{"{\"url\":\"https://example.org/a.gguf\",\"size_bytes\":1000000000000}", 507, "disk_full", NULL},
	};
	struct site *site = *state;
	struct person guest;
	for (size_t i = 0; i < ATL_COUNT(CASES); i++)
		expect_problem(ask(site, &owner, "POST /api/v1/engine/transfers", CASES[i].body), CASES[i].status, CASES[i].slug,
			       CASES[i].field);
	person_create(site, "guest", ATL_ROLE_MEMBER, &guest);
	expect(ask(site, &guest, "GET /api/v1/engine/transfers", NULL), 403);
	expect(ask(site, &owner, "DELETE /api/v1/engine/transfers/trf_none", NULL), 404);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_catalogue), cmocka_unit_test(test_whole), cmocka_unit_test(test_cut_resume),
		cmocka_unit_test(test_restart_cancel), cmocka_unit_test(test_bad_content), cmocka_unit_test(test_refused), cmocka_unit_test(test_picture_file),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
