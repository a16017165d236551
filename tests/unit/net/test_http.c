/* The server over real sockets: routes, bodies, order, limits, hostile requests, files. */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

#define H "Host: localhost\r\n"

static struct site site;

/* ---- handlers ---- */

static void answer_text(struct atl_req *req, const char *text)
{
	atl_res_body(req, 200, "text/plain", text, strlen(text));
}

static void on_loop(struct atl_req *req)
{
	assert_true(atl_loop_is_current(req->loop));
	answer_text(req, "loop");
	atl_res_send(req);
}

static void in_pool(struct atl_req *req)
{
	char text[64];

	assert_false(atl_loop_is_current(req->loop));
	snprintf(text, sizeof(text), "pool %s", req->params[0]);
	answer_text(req, text);
}

static void echo(struct atl_req *req)
{
	atl_res_body(req, 200, "application/octet-stream", req->body, req->body_length);
}

static void echo_loop(struct atl_req *req)
{
	echo(req);
	atl_res_send(req);
}

static void nothing(struct atl_req *req)
{
}

static void rest(struct atl_req *req)
{
	answer_text(req, atl_req_param(req, "path"));
}

static void forward(struct atl_req *req)
{
	answer_text(req, "there and back");
	atl_res_send(req);
}

static void to_loop(struct atl_req *req)
{
	atl_res_continue(req, forward);
}

static void pool_part(struct atl_req *req)
{
	assert_false(atl_loop_is_current(req->loop));
	answer_text(req, "from the pool");
}

static void to_pool(struct atl_req *req)
{
	atl_req_to_pool(req, pool_part);
}

static void headers(struct atl_req *req)
{
	const char *value = atl_req_query(req, "v");

	atl_res_header(req, "X-Value", value);
	atl_res_header(req, "Content-Length", "999");
	atl_res_cookie(req, "sid", "abc", 60, true);
	answer_text(req, req->remote);
}

static void upload(struct atl_req *req)
{
	char text[64];
	FILE *file = fopen(req->body_path, "rb");
	uint64_t sum = 0, bytes = 0;
	int c;

	assert_non_null(file);
	while ((c = getc(file)) != EOF) {
		sum += (unsigned char)c;
		bytes++;
	}
	fclose(file);
	assert_int_equal(bytes, req->body_file_bytes);
	snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)bytes, (unsigned long long)sum);
	answer_text(req, text);
}

static void file(struct atl_req *req)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/file", site.dir);
	atl_res_file(req, path, "application/x-test", NULL, "private");
}

static void query(struct atl_req *req)
{
	answer_text(req, atl_req_query(req, "limit"));
}

static const char *const colours[] = {"red", "green", NULL};
static const struct atl_query_param params[] = {{.name = "limit", .type = ATL_JT_INT, .min = 1, .max = 100},
						{.name = "colour", .type = ATL_JT_ENUM, .values = colours},
						{0}};

static const struct atl_route routes[] = {
	{ATL_GET, "/loop", "public", ATL_ROUTE_LOOP, on_loop},
	{ATL_GET, "/pool/{id}", "public", 0, in_pool},
	{ATL_POST, "/echo", "public", 0, echo, .body_max = 3 << 20},
	{ATL_POST, "/echo-loop", "public", ATL_ROUTE_LOOP, echo_loop},
	{ATL_GET, "/nothing", "public", 0, nothing},
	{ATL_GET, "/rest/{path*}", "public", 0, rest},
	{ATL_GET, "/to-loop", "public", 0, to_loop},
	{ATL_GET, "/to-pool", "public", ATL_ROUTE_LOOP, to_pool},
	{ATL_GET, "/headers", "public", 0, headers},
	{ATL_POST, "/upload", "public", ATL_ROUTE_UPLOAD, upload, .body_max = 64 << 20},
	{ATL_GET, "/file", "public", 0, file},
	{ATL_GET, "/query", "public", 0, query, .query = params},
	{ATL_GET, "/private", "user", 0, on_loop},
	{ATL_POST, "/private", "user", 0, echo, .body_max = 8 << 20},
	{ATL_GET, "/private-loop", "user", ATL_ROUTE_LOOP, on_loop},
	{ATL_POST, "/openai", "user", ATL_ROUTE_PROBLEM_OPENAI, echo},
	{0},
};

/* Needs "Authorization: let me in", and a pool thread to decide. */
static enum atl_auth authorize(struct atl_req *req, bool may_block, struct atl_errinfo *info)
{
	if (strcmp(req->route->permission, "public") == 0)
		return ATL_AUTH_OK;
	if (!may_block)
		return ATL_AUTH_BLOCK;
	if (atl_str_eq(atl_req_header(req, "Authorization"), "let me in"))
		return ATL_AUTH_OK;
	atl_fail(info, ATL_ERR_AUTH, "no key");
	return ATL_AUTH_DENY;
}

static const char *const hosts[] = {"Studio.example", NULL};
static const char *const proxies[] = {"127.0.0.1", "10.0.0.7", "172.16.8.0/21", "2001:db8:5::/48", NULL};

static void tweak(struct atl_server_options *options)
{
	options->authorize = authorize;
	options->hosts = hosts;
	options->trusted_proxies = proxies;
}

static int setup(void **state)
{
	site_start(&site, routes, tweak, NULL);
	return 0;
}

static int teardown(void **state)
{
	site_stop(&site);
	return 0;
}

/* Send `request`, expect the status and (when not NULL) the body. */
static void expect(const char *request, int status, const char *body)
{
	struct answer answer;

	client_once(&site, request, &answer);
	if (answer.status != status || (body && strcmp(answer.body, body) != 0))
		fail_msg("%s -> %d %s", request, answer.status, answer.body);
	answer_free(&answer);
}

/* ---- tests ---- */

static void plain_routes(void **state)
{
	expect("GET /loop HTTP/1.1\r\n" H "\r\n", 200, "loop");
	expect("GET /pool/7 HTTP/1.1\r\n" H "\r\n", 200, "pool 7");
	expect("GET /pool/a%2Fb%20c HTTP/1.1\r\n" H "\r\n", 200, "pool a/b c");
	expect("GET /rest/a/b/c.js HTTP/1.1\r\n" H "\r\n", 200, "a/b/c.js");
	expect("GET /to-loop HTTP/1.1\r\n" H "\r\n", 200, "there and back");
	expect("GET /to-pool HTTP/1.1\r\n" H "\r\n", 200, "from the pool");
	expect("GET /nowhere HTTP/1.1\r\n" H "\r\n", 404, NULL);
	expect("GET /nothing HTTP/1.1\r\n" H "\r\n", 500, NULL);
	expect("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 200, "hello");
	expect("POST /echo-loop HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 200,
	       "hello");
	expect("POST /echo HTTP/1.1\r\n" H "\r\n", 200, "");
}

static void standard_headers(void **state)
{
	struct answer answer;

	client_once(&site, "GET /loop HTTP/1.1\r\n" H "\r\n", &answer);
	assert_string_equal(answer_header(&answer, "Content-Length"), "4");
	assert_string_equal(answer_header(&answer, "Content-Type"), "text/plain");
	assert_string_equal(answer_header(&answer, "X-Content-Type-Options"), "nosniff");
	assert_string_equal(answer_header(&answer, "Cache-Control"), "no-store");
	assert_non_null(strstr(answer_header(&answer, "Content-Security-Policy"), "frame-ancestors 'none'"));
	assert_non_null(strstr(answer_header(&answer, "Date"), " GMT"));
	assert_true(atl_str_starts(answer_header(&answer, "X-Request-Id"), "req_"));
	assert_null(answer_header(&answer, "Connection"));
	answer_free(&answer);
}

static void head_and_methods(void **state)
{
	struct answer answer;

	client_once(&site, "HEAD /loop HTTP/1.1\r\n" H "Connection: close\r\n\r\n", &answer);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer_header(&answer, "Content-Length"), "4");
	answer_free(&answer);
	client_once(&site, "DELETE /private HTTP/1.1\r\n" H "\r\n", &answer);
	assert_int_equal(answer.status, 405);
	assert_string_equal(answer_header(&answer, "Allow"), "OPTIONS, GET, POST, HEAD");
	answer_free(&answer);
	client_once(&site, "OPTIONS /echo HTTP/1.1\r\n" H "\r\n", &answer);
	assert_int_equal(answer.status, 204);
	assert_string_equal(answer_header(&answer, "Allow"), "OPTIONS, POST");
	answer_free(&answer);
	expect("OPTIONS * HTTP/1.1\r\n" H "\r\n", 204, NULL);
	expect("PROPFIND /loop HTTP/1.1\r\n" H "\r\n", 501, NULL);
}

static void authorisation(void **state)
{
	expect("GET /private-loop HTTP/1.1\r\n" H "\r\n", 401, NULL);
	expect("GET /private-loop HTTP/1.1\r\n" H "Authorization: let me in\r\n\r\n", 200, "loop");
	expect("POST /private HTTP/1.1\r\n" H "Authorization: let me in\r\nContent-Length: 2\r\n\r\nok", 200, "ok");
	expect("POST /private HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nno", 401, NULL);
}

/* The refusal comes before the body is sent, and the connection goes on or ends, but never gets out of step. */
static void refused_before_the_body(void **state)
{
	int fd = client_connect(&site);
	struct answer answer;
	char body[1000];

	client_send(fd, "POST /private HTTP/1.1\r\n" H "Content-Length: 1000\r\n\r\n");
	client_read(fd, &answer, false);
	assert_int_equal(answer.status, 401);
	answer_free(&answer);
	memset(body, 'x', sizeof(body));
	client_send_bytes(fd, body, sizeof(body));
	client_send(fd, "GET /loop HTTP/1.1\r\n" H "\r\n");
	client_read(fd, &answer, false);
	assert_int_equal(answer.status, 200);
	answer_free(&answer);
	close(fd);
}

static void body_after_authorisation(void **state)
{
	int fd = client_connect(&site);
	struct answer answer;

	client_send(fd, "POST /private HTTP/1.1\r\n" H "Authorization: let me in\r\nContent-Length: 6\r\n"
			"Expect: 100-continue\r\n\r\n");
	client_read(fd, &answer, true);
	assert_int_equal(answer.status, 100);
	answer_free(&answer);
	client_send(fd, "abc");
	client_send(fd, "def");
	client_read(fd, &answer, false);
	assert_string_equal(answer.body, "abcdef");
	answer_free(&answer);
	close(fd);
	client_once(&site, "POST /private HTTP/1.1\r\n" H "Content-Length: 6\r\nExpect: 100-continue\r\n\r\n", &answer);
	assert_int_equal(answer.status, 401);
	assert_string_equal(answer_header(&answer, "Connection"), "close");
	answer_free(&answer);
	expect("POST /echo HTTP/1.1\r\n" H "Content-Length: 6\r\nExpect: magic\r\n\r\n", 400, NULL);
}

static void problems(void **state)
{
	struct answer answer;

	client_once(&site, "GET /private-loop HTTP/1.1\r\n" H "\r\n", &answer);
	assert_string_equal(answer_header(&answer, "Content-Type"), "application/problem+json");
	assert_string_equal(answer_header(&answer, "WWW-Authenticate"), "Bearer");
	assert_non_null(strstr(answer.body, "\"type\":\"/problems/not_signed_in\""));
	assert_non_null(strstr(answer.body, "\"status\":401"));
	assert_non_null(strstr(answer.body, "\"detail\":\"no key\""));
	assert_non_null(strstr(answer.body, "\"request_id\":\"req_"));
	answer_free(&answer);
	client_once(&site, "POST /openai HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", &answer);
	assert_string_equal(answer.body, "{\"error\":{\"message\":\"no key\",\"type\":\"authentication_error\","
					 "\"param\":null,\"code\":\"not_signed_in\"}}");
	answer_free(&answer);
}

static void pipelining_keeps_order(void **state)
{
	int fd = client_connect(&site);
	struct answer answer;
	char request[128], want[32];

	for (int i = 0; i < 200; i++) {
		snprintf(request, sizeof(request), i % 3 ? "GET /pool/%d HTTP/1.1\r\n" H "\r\n"
							  : "POST /echo HTTP/1.1\r\n" H "Content-Length: 8\r\n\r\npool %03d",
			 i);
		client_send(fd, request);
	}
	for (int i = 0; i < 200; i++) {
		client_read(fd, &answer, false);
		snprintf(want, sizeof(want), i % 3 ? "pool %d" : "pool %03d", i);
		assert_string_equal(answer.body, want);
		answer_free(&answer);
	}
	close(fd);
}

static void byte_by_byte(void **state)
{
	static const char text[] = "POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc";
	int fd = client_connect(&site);
	struct answer answer;

	for (size_t i = 0; i + 1 < sizeof(text); i++)
		client_send_bytes(fd, text + i, 1);
	client_read(fd, &answer, false);
	assert_string_equal(answer.body, "abc");
	answer_free(&answer);
	close(fd);
}

static void connection_ends(void **state)
{
	int fd = client_connect(&site);
	struct answer answer;

	client_send(fd, "GET /loop HTTP/1.1\r\n" H "Connection: close\r\n\r\nGET /loop HTTP/1.1\r\n" H "\r\n");
	client_read(fd, &answer, false);
	assert_string_equal(answer_header(&answer, "Connection"), "close");
	answer_free(&answer);
	assert_true(client_closed(fd));
	close(fd);
	fd = client_connect(&site);
	client_send(fd, "GET /loop HTTP/1.0\r\n" H "\r\n");
	client_read(fd, &answer, false);
	assert_string_equal(answer.body, "loop");
	answer_free(&answer);
	assert_true(client_closed(fd));
	close(fd);
	fd = client_connect(&site); /* a half-closed client still gets its answer */
	client_send(fd, "GET /pool/1 HTTP/1.1\r\n" H "\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	client_read(fd, &answer, false);
	assert_string_equal(answer.body, "pool 1");
	answer_free(&answer);
	assert_true(client_closed(fd));
	close(fd);
}

static void large_bodies(void **state)
{
	size_t length = 3 << 20;
	char *body = malloc(length), head[128];
	struct answer answer;
	int fd = client_connect(&site);

	assert_non_null(body);
	for (size_t i = 0; i < length; i++)
		body[i] = (char)('a' + i % 23);
	snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", length);
	client_send(fd, head);
	client_send_bytes(fd, body, length);
	client_read(fd, &answer, false);
	assert_int_equal(answer.length, length);
	assert_memory_equal(answer.body, body, length);
	answer_free(&answer);
	/* One byte more is refused without reading it, chunked too. */
	snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", length + 1);
	client_send(fd, head);
	client_read(fd, &answer, false);
	assert_int_equal(answer.status, 413);
	answer_free(&answer);
	close(fd);
	fd = client_connect(&site);
	client_send(fd, "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 5; i++) {
		if (!client_send_some(fd, "100000\r\n", 8) || !client_send_some(fd, body, 1 << 20) ||
		    !client_send_some(fd, "\r\n", 2))
			break;
	}
	client_read(fd, &answer, false);
	assert_int_equal(answer.status, 413);
	answer_free(&answer);
	close(fd);
	free(body);
}

static void uploads(void **state)
{
	size_t length = 5000000;
	char *body = malloc(length), head[128], want[64];
	uint64_t sum = 0;
	struct answer answer;
	int fd = client_connect(&site);

	assert_non_null(body);
	for (size_t i = 0; i < length; i++) {
		body[i] = (char)(i * 7 % 251);
		sum += (unsigned char)body[i];
	}
	snprintf(head, sizeof(head), "POST /upload HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", length);
	for (int round = 0; round < 2; round++) {
		client_send(fd, head);
		client_send_bytes(fd, body, length);
		client_read(fd, &answer, false);
		snprintf(want, sizeof(want), "%zu %llu", length, (unsigned long long)sum);
		assert_string_equal(answer.body, want);
		answer_free(&answer);
	}
	/* An upload that is cut leaves nothing behind: teardown of the folder below would not show it, so look. */
	client_send(fd, head);
	client_send_bytes(fd, body, length / 2);
	close(fd);
	free(body);
}

static void files_and_ranges(void **state)
{
	char path[128], request[256], etag[128];
	size_t length = 1000003;
	char *data = malloc(length);
	struct answer answer;
	int fd, out;

	assert_non_null(data);
	for (size_t i = 0; i < length; i++)
		data[i] = (char)(i * 13 % 241);
	snprintf(path, sizeof(path), "%s/file", site.dir);
	expect("GET /file HTTP/1.1\r\n" H "\r\n", 404, NULL);
	out = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(out, data, length), length);
	close(out);
	fd = client_connect(&site);
	client_send(fd, "GET /file HTTP/1.1\r\n" H "\r\n");
	client_read(fd, &answer, false);
	assert_int_equal(answer.status, 200);
	assert_int_equal(answer.length, length);
	assert_memory_equal(answer.body, data, length);
	assert_string_equal(answer_header(&answer, "Cache-Control"), "private");
	assert_true(atl_str_copy(etag, sizeof(etag), answer_header(&answer, "ETag")));
	answer_free(&answer);
	client_send(fd, "GET /file HTTP/1.1\r\n" H "Range: bytes=300000-899999\r\n\r\n");
	client_read(fd, &answer, false);
	assert_int_equal(answer.status, 206);
	assert_int_equal(answer.length, 600000);
	assert_memory_equal(answer.body, data + 300000, 600000);
	assert_string_equal(answer_header(&answer, "Content-Range"), "bytes 300000-899999/1000003");
	answer_free(&answer);
	client_send(fd, "GET /file HTTP/1.1\r\n" H "Range: bytes=1000003-\r\n\r\n");
	client_read(fd, &answer, false);
	assert_int_equal(answer.status, 416);
	assert_string_equal(answer_header(&answer, "Content-Range"), "bytes */1000003");
	answer_free(&answer);
	snprintf(request, sizeof(request), "GET /file HTTP/1.1\r\n" H "If-None-Match: %s\r\n\r\n", etag);
	client_send(fd, request);
	client_read(fd, &answer, false);
	assert_int_equal(answer.status, 304);
	answer_free(&answer);
	client_send(fd, "HEAD /file HTTP/1.1\r\n" H "\r\n");
	client_read(fd, &answer, true);
	assert_string_equal(answer_header(&answer, "Content-Length"), "1000003");
	answer_free(&answer);
	expect("GET /file HTTP/1.1\r\n" H "If-Range: \"other\"\r\nRange: bytes=0-1\r\nConnection: close\r\n\r\n", 200, NULL);
	close(fd);
	free(data);
}

static void injection(void **state)
{
	struct answer answer;

	client_once(&site, "GET /headers?v=a%0D%0ASet-Cookie:%20x=y HTTP/1.1\r\n" H "\r\n", &answer);
	assert_int_equal(answer.status, 200);
	assert_null(answer_header(&answer, "X-Value"));
	assert_string_equal(answer_header(&answer, "Set-Cookie"), "sid=abc; Path=/; Max-Age=60; SameSite=Lax; HttpOnly");
	assert_string_equal(answer_header(&answer, "Content-Length"), "9");
	answer_free(&answer);
	client_once(&site, "GET /headers?v=plain HTTP/1.1\r\n" H "\r\n", &answer);
	assert_string_equal(answer_header(&answer, "X-Value"), "plain");
	answer_free(&answer);
}

static void forwarded_clients(void **state)
{
	expect("GET /headers HTTP/1.1\r\n" H "X-Forwarded-For: 9.9.9.9, 1.2.3.4, 10.0.0.7\r\n\r\n", 200, "1.2.3.4");
	expect("GET /headers HTTP/1.1\r\n" H "X-Forwarded-For: 9.9.9.9, 1.2.3.4, 172.16.15.255, 2001:db8:5:1::9\r\n\r\n", 200, "1.2.3.4");
	expect("GET /headers HTTP/1.1\r\n" H "X-Forwarded-For: 1.2.3.4, 172.16.16.0\r\n\r\n", 200, "172.16.16.0");
	expect("GET /headers HTTP/1.1\r\n" H "X-Forwarded-For: 1.2.3.4, ::ffff:172.16.8.1\r\n\r\n", 200, "1.2.3.4");
	expect("GET /headers HTTP/1.1\r\n" H "X-Forwarded-For: 1.2.3.4, 2001:db8:6::1\r\n\r\n", 200, "2001:db8:6::1");
	expect("GET /headers HTTP/1.1\r\n" H "X-Forwarded-For: junk\r\n\r\n", 200, "127.0.0.1");
	expect("GET /headers HTTP/1.1\r\n" H "\r\n", 200, "127.0.0.1");
}

static void query_checks(void **state)
{
	expect("GET /query?limit=50&colour=red HTTP/1.1\r\n" H "\r\n", 200, "50");
	expect("GET /query?limit=0 HTTP/1.1\r\n" H "\r\n", 400, NULL);
	expect("GET /query?limit=1x HTTP/1.1\r\n" H "\r\n", 400, NULL);
	expect("GET /query?limit=1&colour=blue HTTP/1.1\r\n" H "\r\n", 400, NULL);
}

static void host_rule(void **state)
{
	static const struct {
		const char *request;
		int status;
	} rows[] = {
		{"GET /loop HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 200},
		{"GET /loop HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n", 200},
		{"GET /loop HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n", 200},
		{"GET /loop HTTP/1.1\r\nHost: [::1]:9\r\n\r\n", 200},
		{"GET /loop HTTP/1.1\r\nHost: studio.example\r\n\r\n", 200},
		{"GET /loop HTTP/1.1\r\nHost: studio.example.:443\r\n\r\n", 200},
		{"GET /loop HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421},
		{"GET /loop HTTP/1.1\r\nHost: 10.1.1.1\r\n\r\n", 421},
		{"GET /loop HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 421},
		{"GET /loop HTTP/1.1\r\n\r\n", 400},
		{"GET /loop HTTP/1.0\r\n\r\n", 400},
		{"GET /loop HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"GET /loop HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400},
		{"GET /loop HTTP/1.1\r\nHost: localhost, localhost\r\n\r\n", 400},
		{"GET /loop HTTP/1.1\r\nHost: localhost:99999\r\n\r\n", 400},
		{"GET /loop HTTP/1.1\r\nHost: user@localhost\r\n\r\n", 400},
		{"GET http://localhost/loop HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
		{"GET http://localhost/loop HTTP/1.1\r\nHost: studio.example\r\n\r\n", 400},
		{"GET http://evil.example/loop HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		{"GET http://evil.example/loop HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421},
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		expect(rows[i].request, rows[i].status, NULL);
}

static void path_tricks(void **state)
{
	static const char *const targets[] = {"/rest/../loop", "/rest/%2e%2e/loop", "/rest/..%2floop", "//loop", "/rest/a//b",
					      "/rest/.", "/rest/a%00b", "/rest/a%0ab", "/rest/a\\b", "/rest/%5c",
					      "/rest/%zz", "/rest/%ff", "/loop#x", "loop", "/rest/%c0%ae%c0%ae/"};
	char request[256];

	for (size_t i = 0; i < ATL_COUNT(targets); i++) {
		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" H "\r\n", targets[i]);
		expect(request, 400, NULL);
	}
}

/* Shapes that two servers could read differently: 400 and the end of the connection, whatever follows. */
static void smuggling(void **state)
{
	static const char *const shapes[] = {
		"POST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
		"POST /echo HTTP/1.1\r\n" H "Content-Length: 4, 4\r\n\r\nabcd",
		"POST /echo HTTP/1.1\r\n" H "Content-Length: +4\r\n\r\nabcd",
		"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding:\x0b" "chunked\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
		"POST /echo HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /loop HTTP/1.1\n" H "\r\n",
		"GET /loop HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
		"GET /loop HTTP/1.1\r\n" H " folded: x\r\n\r\n",
		"GET /loop HTTP/2.0\r\n" H "\r\n",
		"\x16\x03\x01\x02\x01\x01",
	};

	static const char follow_up[] = "GET /loop HTTP/1.1\r\n" H "\r\n";

	for (size_t i = 0; i < ATL_COUNT(shapes); i++) {
		int fd = client_connect(&site);
		struct answer answer;
		char byte;

		client_send(fd, shapes[i]);
		(void)!client_send_some(fd, follow_up, sizeof(follow_up) - 1);
		client_read(fd, &answer, false);
		if (answer.status != 400)
			fail_msg("%s -> %d", shapes[i], answer.status);
		assert_string_equal(answer_header(&answer, "Connection"), "close");
		answer_free(&answer);
		assert_false(client_read_bytes(fd, &byte, 1));
		close(fd);
	}
}

static void too_large_heads(void **state)
{
	char *request = malloc(80000);

	assert_non_null(request);
	strcpy(request, "GET /");
	memset(request + 5, 'a', 9000);
	strcpy(request + 9005, " HTTP/1.1\r\n" H "\r\n");
	expect(request, 414, NULL);
	strcpy(request, "GET /loop HTTP/1.1\r\n" H "X: ");
	memset(request + strlen(request), 'a', 40000);
	strcpy(request + 40000, "\r\n\r\n");
	expect(request, 431, NULL);
	strcpy(request, "GET /loop HTTP/1.1\r\n" H);
	for (int i = 0; i < 120; i++)
		strcat(request, "A: b\r\n");
	strcat(request, "\r\n");
	expect(request, 431, NULL);
	free(request);
}

static void *hammer(void *arg)
{
	for (int i = 0; i < 50; i++) {
		int fd = client_connect(&site);
		struct answer answer;

		for (int k = 0; k < 10; k++) {
			client_send(fd, k & 1 ? "GET /loop HTTP/1.1\r\n" H "\r\n" : "GET /pool/1 HTTP/1.1\r\n" H "\r\n");
			if (k < 9 || i & 1) {
				client_read(fd, &answer, false);
				answer_free(&answer);
			}
		}
		close(fd); /* every other time with an answer under way */
	}
	return NULL;
}

static void many_clients(void **state)
{
	pthread_t threads[6];
	struct atl_server_stats stats;

	for (size_t i = 0; i < ATL_COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, NULL), 0);
	for (size_t i = 0; i < ATL_COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	atl_server_stats(site.server, &stats);
	assert_true(stats.requests >= 6 * 50 * 9);
	assert_true(stats.bytes_out > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_routes),
		cmocka_unit_test(standard_headers),
		cmocka_unit_test(head_and_methods),
		cmocka_unit_test(authorisation),
		cmocka_unit_test(refused_before_the_body),
		cmocka_unit_test(body_after_authorisation),
		cmocka_unit_test(problems),
		cmocka_unit_test(pipelining_keeps_order),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(connection_ends),
		cmocka_unit_test(large_bodies),
		cmocka_unit_test(uploads),
		cmocka_unit_test(files_and_ranges),
		cmocka_unit_test(injection),
		cmocka_unit_test(forwarded_clients),
		cmocka_unit_test(query_checks),
		cmocka_unit_test(host_rule),
		cmocka_unit_test(path_tricks),
		cmocka_unit_test(smuggling),
		cmocka_unit_test(too_large_heads),
		cmocka_unit_test(many_clients),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
