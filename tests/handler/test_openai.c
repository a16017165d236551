/* The OpenAI-compatible routes over real sockets, between a client and a service that both belong to the test. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/books/usage.h"
#include "core/models/model_route.h"
#include "net/fetch.h"
#include "support.h"

#define WHOLE "{\"id\":\"c1\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"say \\\"usage\\\": 1\"}}]," \
	      "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}"
#define DELTA "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n"
#define FINISH "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n"
#define DONE "data: [DONE]\n\n"

/* ---- the service ---- */

#define FLOOD_EVENTS 4000
#define FLOOD_BYTES ((size_t)FLOOD_EVENTS * 8200)

enum mode { ANSWER, STREAM, CUT, HANG, REFUSE, ERROR_EVENT, FLOOD };

static struct service {
	struct atl_loop *loop;
	struct atl_server *server;
	enum mode mode;
	int status;
	const char *answer, *retry_after;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed; /* the last stream's client has gone */
	char body[1 << 16], key[200], path[64];
	int requests;
} service = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void service_closed(void *arg)
{
	pthread_mutex_lock(&service.lock);
	service.closed = true;
	pthread_cond_broadcast(&service.changed);
	pthread_mutex_unlock(&service.lock);
}

static void say(struct atl_stream *stream, const char *text)
{
	atl_stream_send(stream, text, strlen(text));
}

static void serve(struct atl_req *req)
{
	const char *key = atl_req_header(req, "Authorization");
	struct atl_stream *stream;

	pthread_mutex_lock(&service.lock);
	snprintf(service.body, sizeof(service.body), "%s", req->body);
	snprintf(service.key, sizeof(service.key), "%s", key ? key : "");
	snprintf(service.path, sizeof(service.path), "%s", req->path);
	service.requests++;
	service.closed = false;
	pthread_mutex_unlock(&service.lock);
	if (service.mode == ANSWER || service.mode == REFUSE) {
		atl_res_json_text(req, service.status, service.answer, strlen(service.answer));
		atl_res_header(req, "Retry-After", service.retry_after);
		atl_res_send(req);
		return;
	}
	stream = atl_stream_begin(req, 200, "text/event-stream", service_closed, NULL);
	say(stream, DELTA);
	if (service.mode == STREAM) {
		say(stream, ": ping\n\n");
		say(stream, FINISH USAGE DONE);
		atl_stream_end(stream);
	} else if (service.mode == CUT) {
		atl_stream_end(stream);
	} else if (service.mode == ERROR_EVENT) {
		say(stream, "data: {\"error\":{\"message\":\"out of slots\",\"code\":\"rate_limit_exceeded\"}}\n\n" DELTA DONE);
		atl_stream_end(stream);
	} else if (service.mode == FLOOD) {
		char filler[8200];

		memset(filler, 'x', sizeof(filler) - 1);
		filler[sizeof(filler) - 1] = '\0';
		for (int i = 0; i < FLOOD_EVENTS; i++) {
			say(stream, "data: {\"choices\":[{\"delta\":{\"content\":\"");
			say(stream, filler);
			say(stream, "\"}}]}\n\n");
		}
		say(stream, FINISH DONE);
		atl_stream_end(stream);
	}
}

static enum atl_auth let_in(struct atl_req *req, bool may_block, struct atl_errinfo *info)
{
	return ATL_AUTH_OK;
}

static const struct atl_route service_routes[] = {
	{ ATL_POST, "/v1/{rest*}", "public", ATL_ROUTE_LOOP, serve, "t", "t", .body_max = 1 << 24 }, { .path = NULL }
};
static const struct atl_route *const service_tables[] = { service_routes, NULL };

/* ---- the server between ---- */

static struct site *site;
static struct atl_server *server;
static struct atl_loop *client_loop;
static struct person key;
static struct atl_guard client_guard;
static char service_url[64];
static enum atl_err resolve_err;
static int resolved;

static enum atl_err resolve(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *wanted,
			    struct atl_model_target *ret, struct atl_errinfo *info)
{
	resolved++;
	if (resolve_err)
		return atl_fail(info, resolve_err, "No language model is ready. Download one in Settings, Models.");
	if (wanted && strcmp(wanted, "missing") == 0)
		return atl_fail_field(info, ATL_ERR_UPSTREAM_MODEL, "model", "There is no model \"missing\" here.");
	*ret = (struct atl_model_target){ .id = "prv_1/up \"stream\"", .name = "up \"stream\"", .provider_name = "Service",
					  .ready = true, .context_size = 2000 };
	ret->endpoint.preset = atl_chat_preset_find("custom");
	ret->endpoint.name = "Service";
	ret->endpoint.base_url = service_url;
	ret->endpoint.api_key = "service-secret";
	ret->endpoint.guard = &client_guard;
	return ATL_OK;
}

static int setup(void **state)
{
	static const char *const allow[] = { "127.0.0.1", NULL };
	struct atl_errinfo info = { 0 };
	struct atl_server_options options = { .address = "127.0.0.1", .tables = service_tables, .authorize = let_in };

	assert_int_equal(atl_fetch_global_init(), ATL_OK);
	assert_int_equal(site_setup(state), 0);
	site = *state;
	person_key(site, &owner, "chat models", &key);
	assert_ok(atl_guard_init(&client_guard, allow, &info), &info);
	assert_ok(atl_loop_create("client", &client_loop, &info), &info);
	assert_ok(atl_loop_create("service", &service.loop, &info), &info);
	options.loops = &service.loop;
	options.loop_count = 1;
	options.pool = site->app.pool;
	assert_ok(atl_server_create(&options, &service.server, &info), &info);
	snprintf(service_url, sizeof(service_url), "http://127.0.0.1:%d/v1", atl_server_port(service.server));
	assert_int_equal(atl_model_routes_create(resolve, &site->app.routes), ATL_OK);
	assert_ok(atl_usage_create(&site->app, &site->app.usage, &info), &info);
	assert_ok(atl_server_create(&site->options, &server, &info), &info);
	return 0;
}

static int teardown(void **state)
{
	atl_server_drain(server, 2000);
	atl_server_destroy(server);
	atl_server_drain(service.server, 2000);
	atl_server_destroy(service.server);
	atl_loop_stop(service.loop);
	atl_loop_destroy(service.loop);
	atl_loop_stop(client_loop);
	atl_loop_destroy(client_loop);
	atl_usage_destroy(site->app.usage);
	atl_model_routes_destroy(site->app.routes);
	atl_guard_finish(&client_guard);
	site_teardown(state);
	atl_fetch_global_finish();
	return 0;
}

/* ---- asking ---- */

static struct atl_arena arena;

static int begin_test(void **state)
{
	atl_arena_init(&arena, 0);
	service.mode = ANSWER;
	service.status = 200;
	service.answer = WHOLE;
	service.retry_after = NULL;
	resolve_err = ATL_OK;
	return 0;
}

static int end_test(void **state)
{
	atl_arena_finish(&arena);
	return 0;
}

static struct atl_fetch_result post(const char *path, const char *body, int status)
{
	const char *headers[] = { key.authorization, "Content-Type: application/json", NULL };
	struct atl_fetch_request request = { .method = "POST", .headers = headers, .body = body,
					     .body_length = strlen(body), .guard = &client_guard, .plain = true,
					     .max_response_bytes = 1 << 28 };
	struct atl_fetch_result result;
	struct atl_errinfo info = { 0 };

	request.url = fmt("http://127.0.0.1:%d%s", atl_server_port(server), path);
	assert_ok(atl_fetch_sync(client_loop, &arena, &request, &result, &info), &info);
	if (result.status != status)
		fail_msg("%d instead of %d: %s", result.status, status, result.body);
	return result;
}

static struct atl_fetch_result chat(const char *more, int status)
{
	return post("/v1/chat/completions",
		    fmt("{ \"model\" : \"any\", \"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]%s}", more), status);
}

static void expect_error(struct atl_fetch_result result, const char *code, const char *words)
{
	struct atl_json *tree;

	assert_int_equal(atl_json_parse(&arena, result.body, result.body_length, &tree, NULL), ATL_OK);
	assert_string_equal(atl_json_str(atl_json_get(tree, "error"), "code", ""), code);
	if (!strstr(atl_json_str(atl_json_get(tree, "error"), "message", ""), words))
		fail_msg("not \"%s\": %s", words, result.body);
}

static struct atl_usage_row last_usage(void)
{
	struct atl_usage_row *rows;
	struct atl_errinfo info = { 0 };
	size_t count;

	assert_ok(atl_usage_flush(site->app.usage, &info), &info);
	assert_ok(atl_usage_list(&site->app, &arena, owner.id, NULL, 1, &rows, &count, &info), &info);
	assert_int_equal(count, 1);
	return rows[0];
}

/* ---- tests ---- */

static void passes_bytes_through(void **state)
{
	struct atl_fetch_result result = chat(",\"seed\" : 4e1, \"x\":[ 1 ,2]", 200);
	struct atl_usage_row row = last_usage();

	assert_string_equal(result.body, WHOLE);
	assert_string_equal(service.body, "{ \"model\" : \"up \\\"stream\\\"\", \"messages\":[{\"role\":\"user\",\"content\":"
					  "\"Hello\"}],\"seed\" : 4e1, \"x\":[ 1 ,2]}");
	assert_string_equal(service.key, "Bearer service-secret");
	assert_string_equal(service.path, "/v1/chat/completions");
	assert_string_equal(row.entry_point, "openai_chat");
	assert_string_equal(row.model, "any");
	assert_string_equal(row.api_key_id, key.session_id);
	assert_int_equal(row.prompt_tokens, 7);
	assert_int_equal(row.completion_tokens, 5);
}

static void warm_requests_resolve_nothing(void **state)
{
	int before;

	chat("", 200);
	before = resolved;
	chat("", 200);
	assert_true(resolved <= before + 1); /* at most when the route just got old */
	atl_model_routes_forget(site->app.routes);
	before = resolved;
	chat("", 200);
	assert_int_equal(resolved, before + 1);
}

static void streams_and_strips_its_own_usage(void **state)
{
	struct atl_fetch_result result;
	struct atl_usage_row row;

	service.mode = STREAM;
	result = chat(",\"stream\":true", 200);
	assert_string_equal(result.body, DELTA ": ping\n\n" FINISH DONE);
	assert_string_equal(result.content_type, "text/event-stream");
	assert_non_null(strstr(service.body, "\"stream_options\":{\"include_usage\":true}"));
	row = last_usage();
	assert_int_equal(row.prompt_tokens, 9);
	assert_int_equal(row.completion_tokens, 2);
	result = chat(",\"stream\":true,\"stream_options\":{\"include_usage\":true}", 200);
	assert_string_equal(result.body, DELTA ": ping\n\n" FINISH USAGE DONE);
	chat(",\"stream\":true,\"stream_options\":{\"include_obfuscation\":false}", 200);
	assert_non_null(strstr(service.body, "\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false}"));
	chat(",\"stream\":true,\"stream_options\":{\"include_usage\": false}", 200);
	assert_non_null(strstr(service.body, "\"stream_options\":{\"include_usage\": true}"));
	chat(",\"stream\":true,\"stream_options\":null", 200);
	assert_non_null(strstr(service.body, "\"stream_options\":{\"include_usage\":true}"));
}

static void broken_streams_end_with_an_error(void **state)
{
	struct atl_fetch_result result;

	service.mode = CUT;
	result = chat(",\"stream\":true", 200);
	assert_true(atl_str_starts(result.body, DELTA "data: {\"error\":"));
	assert_non_null(strstr(result.body, "\"code\":\"upstream_cut\""));
	assert_null(strstr(result.body, "[DONE]"));
	service.mode = ERROR_EVENT;
	result = chat(",\"stream\":true", 200);
	assert_true(atl_str_starts(result.body, DELTA "data: {\"error\":"));
	assert_non_null(strstr(result.body, "\"code\":\"upstream_rate_limited\""));
	assert_null(strstr(result.body, "[DONE]"));
}

static void errors_are_ours_in_their_shape(void **state)
{
	struct atl_fetch_result result;
	struct atl_fetch_head head = { 0 };

	service.mode = REFUSE;
	service.status = 429;
	service.retry_after = "17";
	service.answer = "{\"error\":{\"message\":\"slower\",\"code\":\"rate_limit_exceeded\"}}";
	result = chat("", 429);
	expect_error(result, "upstream_rate_limited", "slower");
	head.raw = result.raw_head;
	assert_string_equal(atl_fetch_header(&arena, &head, "Retry-After"), "17");
	service.retry_after = NULL;
	service.status = 400;
	service.answer = "{\"error\":{\"message\":\"bad temperature\"}}";
	expect_error(chat(",\"stream\":true", 400), "invalid_request", "bad temperature");
	service.status = 401;
	service.answer = "{\"error\":{\"message\":\"key service-secret is wrong\"}}";
	result = chat("", 502);
	expect_error(result, "upstream_key_refused", "Service");
	assert_null(strstr(result.body, "service-secret"));
	service.status = 200;
	service.answer = "<html>";
	expect_error(chat("", 502), "upstream_malformed", "base URL");
}

static void mistakes_are_named(void **state)
{
	expect_error(post("/v1/chat/completions", "{\"messages\":", 400), "invalid_json", "Byte");
	expect_error(post("/v1/chat/completions", "{\"model\":\"m\"}", 400), "invalid_request", "messages");
	expect_error(post("/v1/chat/completions", "{\"model\":7,\"messages\":[]}", 400), "invalid_request", "text");
	expect_error(post("/v1/chat/completions", "{\"model\":\"missing\",\"messages\":[]}", 404), "model_not_found", "missing");
	resolve_err = ATL_ERR_NO_MODEL;
	atl_model_routes_forget(site->app.routes);
	expect_error(post("/v1/chat/completions", "{\"messages\":[]}", 503), "no_model", "Settings");
}

static void every_text_meets_the_policy(void **state)
{
	static const char *const bodies[] = {
		"{\"messages\":[{\"role\":\"user\",\"content\":\"" ATL_POLICY_CANARY "\"}]}",
		"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"" ATL_POLICY_CANARY "\"}]}]}",
		"{\"messages\":[{\"role\":\"" ATL_POLICY_CANARY "\",\"content\":\"x\"}]}",
		"{\"messages\":[],\"tools\":[{\"type\":\"function\",\"function\":{\"description\":\"" ATL_POLICY_CANARY "\"}}]}",
		"{\"messages\":[],\"prompt\":\"" ATL_POLICY_CANARY "\"}",
		("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"atelier policy \"},"
		 "{\"type\":\"text\",\"text\":\"canary 7f3a\"}]}]}"),
		"{\"messages\":[{\"role\":\"user\",\"content\":\"\\u0061telier policy canary 7f3a\"}]}",
	};
	int before = service.requests;

	for (size_t i = 0; i < ATL_COUNT(bodies); i++)
		expect_error(post("/v1/chat/completions", bodies[i], 403), "refused_by_policy", "");
	expect_error(post("/v1/completions", "{\"prompt\":[\"" ATL_POLICY_CANARY "\"]}", 403), "refused_by_policy", "");
	expect_error(post("/v1/embeddings", "{\"input\":\"" ATL_POLICY_CANARY "\"}", 403), "refused_by_policy", "");
	assert_int_equal(service.requests, before);
}

static void other_paths_go_where_they_belong(void **state)
{
	post("/v1/completions", "{\"model\":\"m\",\"prompt\":\"Once\"}", 200);
	assert_string_equal(service.path, "/v1/completions");
	assert_string_equal(last_usage().entry_point, "openai_completion");
	post("/v1/embeddings", "{\"input\":[1,2],\"encoding_format\":\"base64\"}", 200);
	assert_string_equal(service.path, "/v1/embeddings");
	assert_non_null(strstr(service.body, "\"model\":\"up \\\"stream\\\"\",\"input\":[1,2]"));
	assert_string_equal(last_usage().entry_point, "openai_embedding");
}

/* More than a batch, of two users, one of whom is gone by then; stopping at once loses no other row. */
static void usage_is_written_before_the_end(void **state)
{
	struct atl_identity here, gone;
	struct atl_usage_sum before, after;
	struct atl_errinfo info = { 0 };

	atl_identity_internal(&here, owner.id, "Olga", ATL_ROLE_OWNER);
	atl_identity_internal(&gone, "usr_00000000000000000000000000", "Nobody", ATL_ROLE_MEMBER);
	here.channel = gone.channel = ATL_CHANNEL_BEARER;
	assert_ok(atl_usage_flush(site->app.usage, &info), &info);
	assert_ok(atl_usage_sum(&site->app, owner.id, 0, INT64_MAX, &before, &info), &info);
	for (int i = 0; i < 3 * ATL_USAGE_BATCH; i++) {
		atl_usage_record(site->app.usage, &here, ATL_ENTRY_OPENAI_CHAT, "m", 2, i % 2 ? 3 : -1, 1);
		atl_usage_record(site->app.usage, &gone, ATL_ENTRY_OPENAI_CHAT, "m", 2, 3, 1);
	}
	assert_int_equal(atl_usage_dropped(site->app.usage), 0);
	atl_usage_destroy(site->app.usage);
	assert_ok(atl_usage_create(&site->app, &site->app.usage, &info), &info);
	assert_ok(atl_usage_sum(&site->app, owner.id, 0, INT64_MAX, &after, &info), &info);
	assert_int_equal(after.requests - before.requests, 3 * ATL_USAGE_BATCH);
	assert_int_equal(after.prompt_tokens - before.prompt_tokens, 6 * ATL_USAGE_BATCH);
	assert_int_equal(after.completion_tokens - before.completion_tokens, 3 * ATL_USAGE_BATCH / 2 * 3);
	assert_ok(atl_usage_sum(&site->app, gone.user_id, 0, INT64_MAX, &after, &info), &info);
	assert_int_equal(after.requests, 0);
}

static int connect_raw(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atl_server_port(server)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void send_stream_as(int fd, const struct person *who)
{
	static const char body[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}],\"stream\":true}";
	const char *text = fmt("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Type: application/json"
			       "\r\nContent-Length: %zu\r\n\r\n%s", who->authorization, strlen(body), body);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void send_stream_request(int fd)
{
	send_stream_as(fd, &key);
}

/* Reads until the text has come; its place in `text`. */
static void read_until(int fd, char *text, size_t size, const char *wanted)
{
	size_t length = strlen(text);

	while (!strstr(text, wanted) && length < size - 1) {
		ssize_t got = read(fd, text + length, size - 1 - length);

		assert_true(got > 0);
		length += (size_t)got;
		text[length] = '\0';
	}
	assert_non_null(strstr(text, wanted));
}

static void wait_closed(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MS / 1000;
	pthread_mutex_lock(&service.lock);
	while (!service.closed && pthread_cond_timedwait(&service.changed, &service.lock, &until) == 0)
		continue;
	assert_true(service.closed);
	pthread_mutex_unlock(&service.lock);
}

static void hanging_up_stops_the_service(void **state)
{
	char text[4096] = "";
	int fd = connect_raw();

	service.mode = HANG;
	service.closed = false;
	send_stream_request(fd);
	read_until(fd, text, sizeof(text), "Hi");
	close(fd);
	wait_closed();
}

/* A stream that says nothing more ends when its account or key does: it is told, long before the silence is noticed. */
#define ENDS_MS 20000
static void stream_ends_after(const struct person *who, const char *line, const char *body, int status)
{
	uint64_t began;
	char text[4096] = "";
	int fd = connect_raw();

	service.mode = HANG;
	service.closed = false;
	send_stream_as(fd, who);
	read_until(fd, text, sizeof(text), "Hi");
	began = atl_monotonic_ms();
	expect(ask(site, &owner, line, body), status);
	read_until(fd, text, sizeof(text), "was ended");
	assert_null(strstr(text, "[DONE]"));
	assert_true(atl_monotonic_ms() - began < ENDS_MS);
	close(fd);
	wait_closed();
}

static void a_suspended_persons_stream_ends(void **state)
{
	struct person member, members_key, other;

	person_create(site, "Mia", ATL_ROLE_MEMBER, &member);
	person_key(site, &member, "chat", &members_key);
	person_key(site, &owner, "chat", &other);
	stream_ends_after(&members_key, fmt("POST /api/v1/users/%s/suspend", member.id), "{}", 200);
	stream_ends_after(&other, fmt("DELETE /api/v1/keys/%s", other.session_id), NULL, 204);
}

/* Bytes the server has sent or keeps waiting, since `start`. */
static uint64_t bytes_since(uint64_t start)
{
	struct atl_server_stats stats;

	atl_server_stats(server, &stats);
	return stats.bytes_out - start;
}

static void a_slow_reader_holds_the_service_back(void **state)
{
	static char data[1 << 16];
	uint64_t start = bytes_since(0), before, now = 0;
	size_t total = 0;
	int fd = connect_raw(), still = 0;
	ssize_t got;

	service.mode = FLOOD;
	send_stream_request(fd);
	/* Nobody reads. Other requests show that the loop goes on; after a while the flood must stand still. */
	while (still < 20) {
		before = now;
		assert_int_equal(post("/v1/none", "{}", 404).status, 404);
		now = bytes_since(start) / 4096;
		still = now && now - before <= 1 ? still + 1 : 0;
	}
	assert_true(bytes_since(start) < FLOOD_BYTES / 2);
	while ((got = read(fd, data, sizeof(data))) > 0) {
		total += (size_t)got;
		if (got >= 5 && memcmp(data + got - 5, "0\r\n\r\n", 5) == 0)
			break;
	}
	assert_true(total > FLOOD_BYTES);
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(passes_bytes_through),
		T(warm_requests_resolve_nothing),
		T(streams_and_strips_its_own_usage),
		T(broken_streams_end_with_an_error),
		T(errors_are_ours_in_their_shape),
		T(mistakes_are_named),
		T(every_text_meets_the_policy),
		T(other_paths_go_where_they_belong),
		T(usage_is_written_before_the_end),
		T(hanging_up_stops_the_service),
		T(a_suspended_persons_stream_ends),
		T(a_slow_reader_holds_the_service_back),
	};

	return cmocka_run_group_tests_name("openai", tests, setup, teardown);
}
