/* mock.c - handler tests without sockets or threads: the real checks, routing, authorisation and handlers, run in turn
 * on the calling thread. Streams collect their payload in req->out.
 *
 * A Host header (localhost) is added when the test gives none, and Content-Type: application/json to a body without
 * type. The client is 127.0.0.1. WebSocket upgrades answer UNSUPPORTED.
 */
#include <stdlib.h>
#include <strings.h>

#include "net/http_int.h"

struct atl_mock {
	struct atl_server *server;
	struct call *calls; /* all of them, by next_free */
};

struct atl_mock *atl_mock_create(const struct atl_server_options *options)
{
	struct atl_mock *mock = calloc(1, sizeof(*mock));
	struct atl_errinfo info = {0};
	enum atl_err err;

	if (!mock)
		return NULL;
	mock->server = calloc(1, sizeof(*mock->server));
	if (!mock->server) {
		free(mock);
		return NULL;
	}
	err = server_init(mock->server, options, &info);
	if (err) {
		atl_error(MODULE, "mock: %s: %s", atl_err_name(err), info.detail);
		server_finish(mock->server);
		free(mock);
		return NULL;
	}
	return mock;
}

void mock_pool(struct call *call)
{
	call->phase = PHASE_POOL;
	call_pool_work(call);
	call_after_pool(call);
}

/* "Name: value" lines into the request, with the two that tests may leave out. */
static void set_headers(struct atl_req *req, const char *const *lines, bool has_body)
{
	size_t count = 0;
	bool host = false, type = false;
	struct atl_req_header *headers;

	while (lines && lines[count])
		count++;
	headers = ATL_ARENA_ARRAY(&req->arena, struct atl_req_header, count + 2);
	if (!headers)
		abort();
	for (size_t i = 0; i < count; i++) {
		const char *colon = strchr(lines[i], ':');

		if (!colon)
			continue;
		headers[req->header_count].name = atl_arena_strndup(&req->arena, lines[i], (size_t)(colon - lines[i]));
		headers[req->header_count].value = atl_arena_strdup(&req->arena, colon + 1 + strspn(colon + 1, " "));
		host |= strncasecmp(lines[i], "Host:", 5) == 0;
		type |= strncasecmp(lines[i], "Content-Type:", 13) == 0;
		req->header_count++;
	}
	if (!host)
		headers[req->header_count++] = (struct atl_req_header){"Host", "localhost"};
	if (has_body && !type)
		headers[req->header_count++] = (struct atl_req_header){"Content-Type", "application/json"};
	req->headers = headers;
}

static enum atl_err take_body(struct call *call, const void *body, size_t length, struct atl_errinfo *info)
{
	if (length > call->body_max)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "the body may have %zu bytes", call->body_max);
	atl_buf_add(&call->body, body, length);
	return ATL_OK;
}

struct atl_req *atl_mock_request_data(struct atl_mock *mock, const char *method, const char *target,
				      const char *const *headers, const void *body, size_t length)
{
	struct call *call = call_create(mock->server->lanes, NULL);
	struct atl_errinfo info = {0};
	enum atl_err err;

	if (!call)
		abort();
	call->mock = mock;
	call->next_free = mock->calls;
	mock->calls = call;
	set_headers(&call->req, headers, length > 0);
	call_set_peer(call, "127.0.0.1", true, false);
	err = call_check_head(call, method, target, &info);
	if (!err)
		err = take_body(call, body, length, &info);
	if (err) {
		call_refuse(call, err, &info);
		return &call->req;
	}
	if (call_authorize(call, false) == ATL_AUTH_BLOCK)
		call_authorize(call, true);
	if (call->deny)
		call_refuse(call, call->deny_err, &call->deny_info);
	else
		call_body_complete(call);
	return &call->req;
}

struct atl_req *atl_mock_request(struct atl_mock *mock, const char *method, const char *target,
				 const char *const *headers, const char *body)
{
	return atl_mock_request_data(mock, method, target, headers, body, body ? strlen(body) : 0);
}

const char *atl_mock_header(const struct atl_req *req, const char *name)
{
	struct call *call = (struct call *)(uintptr_t)req;
	const char *at = call->extra.length ? call->extra.data : "";
	size_t length = strlen(name);

	if (strcasecmp(name, "Content-Type") == 0)
		return call->type;
	if (strcasecmp(name, "X-Request-Id") == 0)
		return req->id;
	while (*at) {
		size_t line = strcspn(at, "\r");

		if (strncasecmp(at, name, length) == 0 && at[length] == ':')
			return atl_arena_strndup(&call->req.arena, at + length + 2, line - length - 2);
		at += line + 2;
	}
	return NULL;
}

const char *atl_mock_lines(const struct atl_req *req)
{
	struct call *call = (struct call *)(uintptr_t)req;

	return call->extra.length ? call->extra.data : "";
}

void atl_mock_destroy(struct atl_mock *mock)
{
	if (!mock)
		return;
	while (mock->calls) {
		struct call *call = mock->calls;

		mock->calls = call->next_free;
		if (call->phase == PHASE_STREAM)
			stream_gone(call);
		upload_release(call);
		file_release(call);
		call_destroy(call);
	}
	server_finish(mock->server);
	free(mock);
}
