/* call.c - one request from its head to its answer: authorise, read the body, run the handler, send.
 *
 * A call moves READ -> (POOL <-> LOOP)* -> [FILE | STREAM] -> DONE. Whatever a pool thread does ends in
 * back_from_pool() on the loop, also when the client is gone meanwhile; only then the call is recycled.
 */
#include <stdlib.h>
#include <unistd.h>

#include "net/http_int.h"

static void run_handler(struct call *call);

/* ---- memory ---- */

static void reset_buffer(struct atl_buf *buf, size_t max)
{
	if (buf->capacity > KEEP_BUFFER_MAX) {
		atl_buf_finish(buf);
		atl_buf_init(buf, max);
	} else {
		atl_buf_reset(buf);
	}
}

struct call *call_create(struct lane *lane, struct conn *conn)
{
	struct call *call = lane->free_calls;

	if (call) {
		lane->free_calls = call->next_free;
		lane->free_count--;
	} else {
		call = calloc(1, sizeof(*call));
		if (!call)
			return NULL;
		atl_arena_init(&call->req.arena, 0);
		atl_buf_init(&call->req.out, ATL_HTTP_OUT_MAX);
		atl_buf_init(&call->extra, EXTRA_HEADERS_MAX);
		atl_buf_init(&call->body, SIZE_MAX / 2);
		atl_buf_init(&call->file_chunk, ATL_HTTP_OUT_MAX);
		call->upload_fd = call->file_fd = -1;
	}
	call->lane = lane;
	call->conn = conn;
	call->phase = PHASE_READ;
	call->start_us = atl_monotonic_us();
	call->req.server = lane->server;
	call->req.loop = lane->loop;
	call->req.app = lane->server->options.app;
	call->req.body = "";
	call->req.target = call->req.path = "";
	call_new_id(call);
	return call;
}

void call_destroy(struct call *call)
{
	atl_arena_finish(&call->req.arena);
	atl_buf_finish(&call->req.out);
	atl_buf_finish(&call->extra);
	atl_buf_finish(&call->body);
	atl_buf_finish(&call->file_chunk);
	free(call);
}

void call_recycle(struct call *call)
{
	struct lane *lane = call->lane;
	struct atl_arena arena;
	struct atl_buf out, extra, body, chunk;

	upload_release(call);
	file_release(call);
	if (lane->free_count >= CALLS_KEPT) {
		call_destroy(call);
		return;
	}
	atl_arena_reset(&call->req.arena);
	reset_buffer(&call->req.out, ATL_HTTP_OUT_MAX);
	reset_buffer(&call->extra, EXTRA_HEADERS_MAX);
	reset_buffer(&call->body, SIZE_MAX / 2);
	reset_buffer(&call->file_chunk, ATL_HTTP_OUT_MAX);
	arena = call->req.arena;
	out = call->req.out;
	extra = call->extra;
	body = call->body;
	chunk = call->file_chunk;
	memset(call, 0, sizeof(*call));
	call->req.arena = arena;
	call->req.out = out;
	call->extra = extra;
	call->body = body;
	call->file_chunk = chunk;
	call->upload_fd = call->file_fd = -1;
	call->next_free = lane->free_calls;
	lane->free_calls = call;
	lane->free_count++;
}

/* Unique in the process and, by the random prefix, across restarts. Not a secret. */
void call_new_id(struct call *call)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	uint64_t number = call->lane->id_next++;
	char *out = call->req.id;
	size_t prefix = strlen(call->lane->id_prefix);

	memcpy(out, call->lane->id_prefix, prefix);
	for (int shift = 35; shift >= 0; shift -= 5)
		out[prefix++] = digits[(number >> shift) & 31];
	out[prefix] = 0;
}

/* ---- head ---- */

static unsigned allowed_or_default(const struct call *call)
{
	return call->allowed ? call->allowed : 1u << ATL_GET;
}

static void add_allow(struct call *call)
{
	unsigned allowed = allowed_or_default(call);
	struct atl_buf text;

	if (allowed & (1u << ATL_GET))
		allowed |= 1u << ATL_HEAD;
	atl_buf_init(&text, 128);
	atl_buf_adds(&text, "OPTIONS");
	for (int i = 0; i < ATL_METHOD_COUNT; i++) {
		if (i != ATL_OPTIONS && (allowed & (1u << i)))
			atl_buf_addf(&text, ", %s", atl_method_name(i));
	}
	atl_res_header(&call->req, "Allow", text.data);
	atl_buf_finish(&text);
}

static enum atl_err check_expect(struct call *call, struct atl_errinfo *info)
{
	const char *expect = atl_req_header(&call->req, "Expect");

	if (!expect || call->http10)
		return ATL_OK;
	if (!atl_str_ieq(expect, "100-continue"))
		return atl_fail(info, ATL_ERR_INVALID, "the expectation is not supported");
	call->expect_continue = true;
	return ATL_OK;
}

static enum atl_err find_route(struct call *call, struct atl_errinfo *info)
{
	struct atl_req *req = &call->req;
	struct route_match match;
	enum atl_err err = route_find(&call->lane->server->routes, req->method, call->raw_path, &req->arena, &match);

	if (err)
		return err;
	req->route = match.route;
	call->allowed = match.allowed;
	memcpy(req->params, match.params, sizeof(req->params));
	if (match.route) {
		call->body_max = match.route->body_max ? match.route->body_max : ATL_HTTP_BODY_DEFAULT;
		return ATL_OK;
	}
	if (req->method == ATL_OPTIONS)
		return ATL_OK;
	if (match.allowed) {
		add_allow(call);
		return atl_fail(info, ATL_ERR_METHOD, "this address takes other methods, see Allow");
	}
	if ((req->method == ATL_GET || req->method == ATL_HEAD) && call->lane->server->options.fallback)
		return ATL_OK;
	return ATL_ERR_NOT_FOUND;
}

enum atl_err call_check_head(struct call *call, const char *method, const char *target, struct atl_errinfo *info)
{
	enum atl_err err;

	if (!call_find_method(method, &call->req.method))
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "the method is not known");
	if ((err = call_set_target(call, target, info)) || (err = call_check_host(call, info)) ||
	    (err = check_expect(call, info)))
		return err;
	return find_route(call, info);
}

enum atl_auth call_authorize(struct call *call, bool may_block)
{
	const struct atl_server_options *options = &call->lane->server->options;
	enum atl_auth verdict = ATL_AUTH_OK;

	if (options->authorize && call->req.route)
		verdict = options->authorize(&call->req, may_block, &call->deny_info);
	if (verdict == ATL_AUTH_OK) {
		call->authorized = true;
	} else if (verdict == ATL_AUTH_DENY || may_block) {
		call->deny = true;
		call->deny_err = call->deny_info.code ? call->deny_info.code : ATL_ERR_FORBIDDEN;
	}
	return verdict;
}

static void want_body(struct call *call)
{
	if (call->expect_continue && call->has_body && !call->body_here)
		atl_sock_write(call->conn->sock, res_continue, res_continue_length);
	call->expect_continue = false;
}

static bool is_upload(const struct call *call)
{
	return call->req.route && (call->req.route->flags & ATL_ROUTE_UPLOAD);
}

static bool is_pool_route(const struct call *call)
{
	return call->req.route && !(call->req.route->flags & ATL_ROUTE_LOOP);
}

void call_head(struct call *call, const struct atl_parser_head *head)
{
	struct atl_req *req = &call->req;
	struct atl_errinfo info = {0};
	enum atl_err err;

	req->headers = head->headers;
	req->header_count = head->header_count;
	call->http10 = head->minor == 0;
	call->keep_alive = head->keep_alive;
	call->has_body = head->chunked || head->content_length;
	call->body_max = 0;
	call_set_peer(call, call->conn->peer, call->conn->loopback, call->conn->secure);
	err = call_check_head(call, head->method, head->target, &info);
	if (!err && head->has_length && head->content_length > call->body_max)
		err = atl_fail(&info, ATL_ERR_TOO_LARGE, "the body may have %zu bytes", call->body_max);
	if (err) {
		call_refuse(call, err, &info);
		return;
	}
	if (call_authorize(call, false) == ATL_AUTH_BLOCK) {
		/* A pool trip is needed; where the handler makes one anyway and no body is missing, it is the same. */
		if (is_pool_route(call) && !is_upload(call) && (!call->has_body || call->body_here))
			return;
		if (call->has_body) {
			conn_hold(call->conn);
			call->pool_auth = true;
			call_to_pool(call);
		}
		return;
	}
	if (call->deny)
		call_refuse(call, call->deny_err, &call->deny_info);
	else
		want_body(call);
}

enum atl_parser_do call_body(struct call *call, const char *data, size_t length)
{
	if (is_upload(call))
		return upload_body(call, data, length);
	if (call->body.length + length > call->body_max) {
		call->refused = true;
		call->deny_err = atl_fail(&call->deny_info, ATL_ERR_TOO_LARGE, "the body may have %zu bytes",
					  call->body_max);
		return ATL_PARSER_FAIL;
	}
	atl_buf_add(&call->body, data, length);
	if (!call->body.failed)
		return ATL_PARSER_GO;
	call->refused = true;
	call->deny_err = ATL_ERR_NOMEM;
	return ATL_PARSER_FAIL;
}

void call_body_complete(struct call *call)
{
	struct atl_req *req = &call->req;

	call->complete = true;
	if (call->body.length) {
		req->body = call->body.data;
		req->body_length = call->body.length;
	}
	if (req->route && !call->authorized && !is_pool_route(call)) {
		call->pool_auth = true; /* a LOOP route: authorise in the pool, come back */
		call_to_pool(call);
		return;
	}
	run_handler(call);
}

/* ---- handlers ---- */

/* The declared query parameters have their types and ranges? */
static enum atl_err check_param(struct call *call, const struct atl_query_param *param, struct atl_errinfo *info)
{
	const char *text = atl_req_query(&call->req, param->name);
	int64_t number;
	double low = param->min, high = param->max;

	if (!text)
		return ATL_OK;
	switch (param->type) {
	case ATL_JT_INT:
		if (low == 0 && high == 0) {
			low = -9e15;
			high = 9e15;
		}
		if (!atl_str_i64(text, (int64_t)low, (int64_t)high, &number))
			return atl_fail_field(info, ATL_ERR_INVALID, param->name,
					      "%s must be a whole number from %.0f to %.0f", param->name, low, high);
		break;
	case ATL_JT_BOOL:
		if (!atl_str_eq(text, "true") && !atl_str_eq(text, "false") && !atl_str_eq(text, "1") &&
		    !atl_str_eq(text, "0"))
			return atl_fail_field(info, ATL_ERR_INVALID, param->name, "%s must be true or false",
					      param->name);
		break;
	case ATL_JT_ENUM:
		for (const char *const *value = param->values; value && *value; value++) {
			if (atl_str_eq(*value, text))
				return ATL_OK;
		}
		return atl_fail_field(info, ATL_ERR_INVALID, param->name, "%s has a value that is not offered",
				      param->name);
	default:
		if (param->max > 0 && (double)atl_utf8_count(text, strlen(text)) > param->max)
			return atl_fail_field(info, ATL_ERR_INVALID, param->name, "%s may have %.0f characters",
					      param->name, param->max);
		break;
	}
	return ATL_OK;
}

enum atl_err call_check_query(struct call *call, struct atl_errinfo *info)
{
	const struct atl_query_param *param = call->req.route ? call->req.route->query : NULL;

	for (; param && param->name; param++) {
		enum atl_err err = check_param(call, param, info);

		if (err)
			return err;
	}
	return ATL_OK;
}

static void answer_unrouted(struct call *call)
{
	const struct atl_server_options *options = &call->lane->server->options;

	if (call->req.method == ATL_OPTIONS) {
		add_allow(call);
		atl_res_empty(&call->req, 204);
		call_send(call);
		return;
	}
	call->phase = PHASE_LOOP;
	call->in_fallback = true;
	if (!options->fallback(&call->req))
		atl_res_error(&call->req, ATL_ERR_NOT_FOUND, NULL);
	call->in_fallback = false;
	if (call->handler) {
		call_to_pool(call);
		return;
	}
	atl_res_send(&call->req);
}

static void run_handler(struct call *call)
{
	struct atl_req *req = &call->req;
	struct atl_errinfo info = {0};
	enum atl_err err;

	if (!req->route) {
		answer_unrouted(call);
		return;
	}
	if (is_pool_route(call)) {
		call->pool_auth = !call->authorized;
		call->pool_upload = is_upload(call);
		call->handler = req->route->handler;
		call_to_pool(call);
		return;
	}
	err = call_check_query(call, &info);
	if (err) {
		call_refuse(call, err, &info);
		return;
	}
	call->phase = PHASE_LOOP;
	req->route->handler(req);
}

/* In a pool thread: whatever of authorisation, upload, handler and file reading is due, in this order. */
void call_pool_work(struct call *call)
{
	atl_log_request_set(call->req.id);
	if (call->pool_auth)
		call_authorize(call, true);
	if (!call->deny && call->pool_upload)
		upload_work(call);
	if (!call->deny && call->handler) {
		atl_handler handler = call->handler;
		struct atl_errinfo info = {0};
		enum atl_err err = call_check_query(call, &info);

		if (err)
			atl_res_error(&call->req, err, &info);
		else
			handler(&call->req);
	}
	if (call->pool_read)
		file_read_chunk(call);
	atl_log_request_set(NULL);
}

void call_after_pool(struct call *call)
{
	bool handled = call->handler != NULL, read = call->pool_read;
	atl_handler next = call->next;

	call->handler = call->next = NULL;
	call->pool_auth = call->pool_upload = call->pool_read = false;
	if (call->deny) {
		call_refuse(call, call->deny_err, &call->deny_info);
	} else if (read) {
		file_chunk_ready(call);
	} else if (next) {
		call->phase = PHASE_LOOP;
		next(&call->req);
	} else if (handled) {
		if (!call->has_answer) {
			atl_error(MODULE, "%s: the handler gave no answer", call->req.path);
			atl_res_error(&call->req, ATL_ERR_INTERNAL, NULL);
		}
		call_send(call);
	} else if (call->complete) {
		run_handler(call);
	} else {
		call->phase = PHASE_READ;
		want_body(call);
		conn_go_on(call->conn);
	}
}

static void back_from_pool(void *arg)
{
	struct call *call = arg;

	atomic_fetch_sub(&call->lane->calls_in_pool, 1);
	if (call->conn->state == CONN_CLOSING && !(call->next && !call->deny)) {
		call_finish(call);
		return;
	}
	call_after_pool(call);
}

static void run_in_pool(void *arg)
{
	struct call *call = arg;

	call_pool_work(call);
	if (!atl_loop_post(call->lane->loop, back_from_pool, call))
		atl_error(MODULE, "the loop ended before the server; a request is lost");
}

void call_to_pool(struct call *call)
{
	enum phase before = call->phase;
	enum atl_err err;

	if (call->mock) {
		mock_pool(call);
		return;
	}
	call->phase = PHASE_POOL;
	atomic_fetch_add(&call->lane->calls_in_pool, 1);
	err = atl_pool_submit(call->lane->server->options.pool, run_in_pool, call);
	if (err) {
		struct atl_errinfo info = {0};

		atomic_fetch_sub(&call->lane->calls_in_pool, 1);
		call->phase = before;
		call->handler = call->next = NULL;
		call->pool_auth = call->pool_upload = call->pool_read = false;
		atl_fail(&info, err, "too many requests are waiting");
		info.retry_after_s = 1;
		call_refuse(call, err, &info);
	}
}

void atl_res_continue(struct atl_req *req, atl_handler fn)
{
	((struct call *)req)->next = fn;
}

void atl_req_to_pool(struct atl_req *req, atl_handler fn)
{
	struct call *call = (struct call *)req;

	call->handler = fn;
	if (!call->in_fallback) /* else when the fallback has returned */
		call_to_pool(call);
}

void atl_req_on_hangup(struct atl_req *req, void (*fn)(void *arg), void *arg)
{
	struct call *call = (struct call *)req;

	call->on_hangup = fn;
	call->hangup_arg = arg;
}

/* ---- answering ---- */

void call_refuse(struct call *call, enum atl_err err, const struct atl_errinfo *info)
{
	struct conn *conn = call->conn;

	if (call->phase == PHASE_FILE) { /* the head is out: the client must notice */
		if (conn)
			conn_abort(conn);
		return;
	}
	call->refused = true;
	atl_res_error(&call->req, err, info);
	/* A client that was told to wait for 100 may or may not send its body now; a long one is not worth reading. */
	if (conn && !conn->parser.complete &&
	    (call->expect_continue || conn->parser.head.chunked || conn->parser.head.content_length > DISCARD_MAX))
		call->force_close = true;
	call_send(call);
}

void call_send(struct call *call)
{
	struct conn *conn = call->conn;
	struct atl_req *req = &call->req;
	const void *body = call->static_body ? call->static_body : req->out.data;
	size_t length = call->static_body ? call->static_length : req->out.length, head;

	if (req->sent)
		return;
	req->sent = true;
	if (call->mock) {
		call->phase = PHASE_DONE;
		return;
	}
	if (conn->state == CONN_CLOSING) {
		call_finish(call);
		return;
	}
	head = res_head(call, call->lane->scratch, (int64_t)(length + call->file_left), false);
	if (req->method == ATL_HEAD || !length) {
		atl_sock_write(conn->sock, call->lane->scratch, head);
		length = 0;
	} else {
		atl_sock_write2(conn->sock, call->lane->scratch, head, body, length);
	}
	lane_add_bytes(call->lane, head + length);
	if (call->file_left && req->method != ATL_HEAD) {
		call->phase = PHASE_FILE;
		call_file_drained(call);
		return;
	}
	call_finish(call);
}

void atl_res_send(struct atl_req *req)
{
	struct call *call = (struct call *)req;

	if (call->phase == PHASE_POOL)
		return; /* sent when the handler returns */
	if (!call->has_answer && !req->sent)
		atl_res_error(req, ATL_ERR_INTERNAL, NULL);
	call_send(call);
}

void call_finish(struct call *call)
{
	struct lane *lane = call->lane;
	struct conn *conn = call->conn;
	bool keep = call->keep_alive && !call->force_close;

	call->phase = PHASE_DONE;
	atomic_fetch_add_explicit(&lane->requests, 1, memory_order_relaxed);
	if (lane->server->options.on_done)
		lane->server->options.on_done(&call->req, call->req.sent ? call->req.status : 499,
					      atl_monotonic_us() - call->start_us);
	call_recycle(call);
	conn_call_done(conn, keep);
}

void call_gone(struct call *call)
{
	void (*fn)(void *arg) = call->on_hangup;

	call->on_hangup = NULL;
	switch (call->phase) {
	case PHASE_LOOP:
		if (fn)
			fn(call->hangup_arg);
		break;
	case PHASE_STREAM:
		stream_gone(call);
		break;
	case PHASE_FILE:
		if (!call->pool_read && call->conn->state == CONN_CLOSING)
			call_finish(call);
		break;
	case PHASE_READ:
	case PHASE_POOL:
	case PHASE_DONE:
		break;
	}
}
