/* fetch_local.c - the plain HTTP client behind fetch.h: numeric loopback addresses and unix sockets, no TLS.
 *
 * Each loop keeps idle connections per peer, newest first. A request on a kept connection that turns out dead before a
 * byte arrived is sent once more on a fresh one. Threads: the loop's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/str.h"
#include "net/fetch_int.h"
#include "net/parser.h"
#include "os/sock.h"

#define IDLE_PER_PEER 256 /* as many as may answer at once on a loop: opening anew costs more than keeping */
#define PEER_SIZE 300
#define REQUEST_HEAD_MAX 65536

struct peer {
	char key[PEER_SIZE];
	struct atl_list idle;
	size_t idle_count;
};

struct hub {
	struct atl_loop *loop;
	struct atl_map peers;
	struct atl_list runs;
};

struct run;
struct conn {
	struct atl_list link;
	struct hub *hub;
	struct peer *peer;
	struct atl_sock *sock;
	struct atl_arena arena;
	struct atl_parser parser;
	struct run *run; /* NULL: idle or closing */
	bool closed, idle;
};

struct run {
	struct atl_fetch fetch; /* first */
	struct atl_list link;
	struct hub *hub;
	struct peer *peer;
	struct conn *conn;
	struct atl_timer *timer;
	struct atl_fetch_ops ops;
	void *arg;
	struct atl_buf head;
	const void *body;
	void *body_copy;
	size_t body_length;
	char host[64];
	int port;
	char *unix_path;
	uint64_t started_ms, last_ms, received, max_bytes;
	unsigned connect_ms, first_byte_ms, idle_ms, total_ms;
	bool connected, got_bytes, head_told, no_body, reused, retried, paused, cancelled;
};

static const struct atl_parser_limits LIMITS = {.target_max = 1, .head_max = ATL_FETCH_HEAD_MAX, .headers_max = 200};

static void run_finish(struct run *run, enum atl_err err, const struct atl_errinfo *info);
static enum atl_err run_connect(struct run *run, struct atl_errinfo *info);

/* When patience with the present phase ends. */
static uint64_t due_ms(const struct run *run)
{
	uint64_t due = run->last_ms +
		       (!run->connected ? run->connect_ms : !run->got_bytes ? run->first_byte_ms : run->idle_ms);

	if (run->total_ms && run->started_ms + run->total_ms < due)
		due = run->started_ms + run->total_ms;
	return due;
}

/* At the start of a phase; within it on_patience looks again by itself, so that data costs no timer. */
static void arm(struct run *run)
{
	uint64_t now = atl_loop_now_ms(run->hub->loop), due = due_ms(run);

	atl_timer_start(run->timer, due > now ? due - now : 0, 0);
}

/* ---- connections ---- */
static void conn_close(struct conn *conn)
{
	if (conn->run)
		conn->run->conn = NULL;
	conn->run = NULL;
	if (conn->idle) {
		conn->idle = false;
		conn->peer->idle_count--;
		atl_list_remove(&conn->link);
	}
	if (conn->closed)
		return;
	conn->closed = true;
	atl_sock_close(conn->sock);
}

static void on_close(void *arg)
{
	struct conn *conn = arg;

	if (conn->run) /* cancelled: its timer is still to come */
		conn->run->conn = NULL;
	atl_arena_finish(&conn->arena);
	free(conn);
}

static void conn_keep(struct conn *conn)
{
	struct peer *peer = conn->peer;

	conn->run = NULL;
	if (peer->idle_count >= IDLE_PER_PEER) {
		conn_close(conn);
		return;
	}
	conn->idle = true;
	peer->idle_count++;
	atl_list_append(peer->idle.next, &conn->link); /* before the first: newest first */
}

static void tell_head(struct run *run, const struct atl_parser_head *from)
{
	struct atl_fetch_head head = {.status = from->status, .content_length = -1};
	struct atl_buf raw;

	run->head_told = true;
	if (!run->ops.on_head)
		return;
	atl_buf_init(&raw, ATL_FETCH_HEAD_MAX * 2);
	for (size_t i = 0; i < from->header_count; i++) {
		atl_buf_adds(&raw, from->headers[i].name);
		atl_buf_add(&raw, ": ", 2);
		atl_buf_adds(&raw, from->headers[i].value);
		atl_buf_add(&raw, "\r\n", 2);
		if (!head.content_type && atl_str_ieq(from->headers[i].name, "content-type"))
			head.content_type = from->headers[i].value;
	}
	if (from->has_length)
		head.content_length = (int64_t)from->content_length;
	head.raw = raw.length ? raw.data : "";
	run->ops.on_head(run->arg, &head);
	atl_buf_finish(&raw);
}

static enum atl_parser_do on_head(void *arg, const struct atl_parser_head *head)
{
	struct run *run = ((struct conn *)arg)->run;

	if (head->status >= 200)
		tell_head(run, head);
	if (run->cancelled)
		return ATL_PARSER_FAIL;
	return run->no_body ? ATL_PARSER_NO_BODY : ATL_PARSER_GO;
}

static enum atl_parser_do on_body(void *arg, const char *data, size_t length)
{
	struct run *run = ((struct conn *)arg)->run;

	run->received += length;
	if (run->received > run->max_bytes)
		return ATL_PARSER_FAIL;
	run->ops.on_data(run->arg, data, length);
	return run->cancelled ? ATL_PARSER_FAIL : ATL_PARSER_GO;
}

static void on_complete(void *arg)
{
	(void)arg;
}

static const struct atl_parser_ops PARSER_OPS = {on_head, on_body, on_complete};

static void fail_run(struct run *run, enum atl_err err, const char *words)
{
	struct atl_errinfo info = {0};

	atl_fail(&info, err, "%s", words);
	run_finish(run, err, &info);
}

static void message_done(struct conn *conn, bool more)
{
	struct run *run = conn->run;
	bool keep = conn->parser.head.keep_alive && !more;

	conn->run = NULL;
	run->conn = NULL;
	if (keep)
		conn_keep(conn);
	else
		conn_close(conn);
	run_finish(run, ATL_OK, NULL);
}

static void feed_failed(struct conn *conn, enum atl_err err)
{
	struct run *run = conn->run;

	if (run->cancelled)
		return; /* its timer finishes it */
	if (run->received > run->max_bytes)
		fail_run(run, ATL_ERR_TOO_LARGE, "The answer is larger than allowed.");
	else if (err == ATL_ERR_NOMEM)
		fail_run(run, err, "No memory for the answer.");
	else
		fail_run(run, ATL_ERR_UPSTREAM_FORMAT, "The answer is not valid HTTP.");
}

static void on_data(void *arg, char *data, size_t length)
{
	struct conn *conn = arg;
	struct run *run = conn->run;

	if (!run) { /* bytes nobody asked for */
		conn_close(conn);
		return;
	}
	run->last_ms = atl_loop_now_ms(conn->hub->loop);
	if (!run->got_bytes && !run->cancelled) {
		run->got_bytes = true;
		arm(run);
	}
	while (length) {
		size_t used;
		enum atl_err err = atl_parser_feed(&conn->parser, data, length, &used);

		if (err) {
			feed_failed(conn, err);
			return;
		}
		data += used;
		length -= used;
		if (!conn->parser.complete) {
			if (!used)
				return;
			continue;
		}
		if (conn->parser.head.status >= 200) {
			message_done(conn, length > 0);
			return;
		}
		atl_arena_reset(&conn->arena); /* 1xx: the answer follows */
		atl_parser_begin(&conn->parser, &conn->arena);
	}
}

static void on_end(void *arg, enum atl_err err)
{
	struct conn *conn = arg;
	struct run *run = conn->run;
	bool whole;

	if (!run) {
		conn_close(conn);
		return;
	}
	if (run->cancelled) {
		conn_close(conn);
		return;
	}
	whole = !err && run->got_bytes && atl_parser_eof(&conn->parser) == ATL_OK && conn->parser.complete;
	if (whole) {
		conn->parser.head.keep_alive = false;
		message_done(conn, false);
		return;
	}
	conn_close(conn);
	if (run->reused && !run->got_bytes && !run->retried) {
		struct atl_errinfo info = {0};

		run->retried = true;
		err = run_connect(run, &info);
		if (err)
			run_finish(run, err, &info);
		else
			arm(run);
	} else if (!run->connected) {
		fail_run(run, ATL_ERR_UPSTREAM, "The local service cannot be reached.");
	} else {
		fail_run(run, ATL_ERR_UPSTREAM_CUT, "The local service closed the connection before the end of its answer.");
	}
}

static void send_request(struct run *run)
{
	if (run->body_length)
		atl_sock_write2(run->conn->sock, run->head.data, run->head.length, run->body, run->body_length);
	else
		atl_sock_write(run->conn->sock, run->head.data, run->head.length);
}

static void on_connect(void *arg)
{
	struct conn *conn = arg;

	if (!conn->run)
		return;
	conn->run->connected = true;
	conn->run->last_ms = atl_loop_now_ms(conn->hub->loop);
	send_request(conn->run);
	if (conn->run && !conn->run->cancelled)
		arm(conn->run);
}

static const struct atl_sock_ops SOCK_OPS = {
	.on_connect = on_connect, .on_data = on_data, .on_end = on_end, .on_close = on_close};

static void conn_attach(struct conn *conn, struct run *run)
{
	conn->run = run;
	run->conn = conn;
	atl_arena_reset(&conn->arena);
	atl_parser_begin(&conn->parser, &conn->arena);
}

static enum atl_err run_connect(struct run *run, struct atl_errinfo *info)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	enum atl_err err;

	if (!conn)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for a connection.");
	conn->hub = run->hub;
	conn->peer = run->peer;
	atl_list_init(&conn->link);
	atl_arena_init(&conn->arena, ATL_FETCH_HEAD_MAX * 4);
	atl_parser_init(&conn->parser, ATL_PARSER_RESPONSE, &LIMITS, &PARSER_OPS, conn);
	run->reused = false;
	run->connected = false;
	if (run->unix_path)
		err = atl_sock_connect_unix(run->hub->loop, run->unix_path, &SOCK_OPS, conn, &conn->sock, info);
	else
		err = atl_sock_connect(run->hub->loop, run->host, run->port, &SOCK_OPS, conn, &conn->sock, info);
	if (err) {
		free(conn);
		return atl_fail(info, ATL_ERR_UPSTREAM, "The local service cannot be reached.");
	}
	conn_attach(conn, run);
	return ATL_OK;
}

/* ---- runs ---- */
static void run_free(struct run *run)
{
	atl_list_remove(&run->link);
	atl_timer_destroy(run->timer);
	atl_buf_finish(&run->head);
	free(run->body_copy);
	free(run->unix_path);
	free(run);
}

static void run_finish(struct run *run, enum atl_err err, const struct atl_errinfo *info)
{
	static const struct atl_errinfo NONE;
	struct atl_fetch_ops ops = run->ops;
	void *arg = run->arg;

	if (run->conn)
		conn_close(run->conn);
	run_free(run);
	ops.on_done(arg, err, info ? info : &NONE);
}

static void on_patience(void *arg)
{
	struct run *run = arg;
	uint64_t now = atl_loop_now_ms(run->hub->loop), due;

	if (run->cancelled) {
		fail_run(run, ATL_ERR_CANCELLED, "It was stopped.");
		return;
	}
	if (run->paused)
		run->last_ms = now;
	due = due_ms(run);
	if (now >= due) {
		fail_run(run, ATL_ERR_UPSTREAM_TIMEOUT,
			 !run->connected ? "The local service did not accept the connection in time."
			 : !run->got_bytes ? "The local service did not answer in time."
					   : "The local service stopped sending.");
		return;
	}
	atl_timer_start(run->timer, due - now, 0);
}

static void run_cancel(struct atl_fetch *fetch)
{
	struct run *run = (struct run *)fetch;

	if (run->cancelled)
		return;
	run->cancelled = true;
	if (run->conn && !run->conn->closed) { /* hang up now; the parser may be in the middle of its data */
		run->conn->closed = true;
		atl_sock_close(run->conn->sock);
	}
	atl_timer_start(run->timer, 0, 0);
}

static void run_pause(struct atl_fetch *fetch)
{
	struct run *run = (struct run *)fetch;

	run->paused = true;
	if (run->conn && !run->conn->closed)
		atl_sock_pause(run->conn->sock);
}

static void run_resume(struct atl_fetch *fetch)
{
	struct run *run = (struct run *)fetch;

	if (!run->paused)
		return;
	run->paused = false;
	run->last_ms = atl_loop_now_ms(run->hub->loop);
	if (run->conn && !run->conn->closed)
		atl_sock_resume(run->conn->sock);
}

/* ---- per loop ---- */
static void peer_end(const char *key, void *value, void *arg)
{
	struct peer *peer = value;

	(void)key, (void)arg;
	while (!atl_list_empty(&peer->idle))
		conn_close(ATL_LIST_ITEM(peer->idle.next, struct conn, link));
	free(peer);
}

static void hub_destroy(void *value)
{
	struct hub *hub = value;

	while (!atl_list_empty(&hub->runs))
		fail_run(ATL_LIST_ITEM(hub->runs.next, struct run, link), ATL_ERR_CANCELLED, "The server is shutting down.");
	atl_map_each(&hub->peers, peer_end, NULL);
	atl_map_finish(&hub->peers);
	free(hub);
}

static struct hub *hub_of(struct atl_loop *loop)
{
	struct hub *hub = atl_loop_slot_get(loop, ATL_LOOP_SLOT_FETCH_LOCAL);

	if (hub)
		return hub;
	hub = calloc(1, sizeof(*hub));
	if (!hub)
		return NULL;
	hub->loop = loop;
	atl_map_init(&hub->peers);
	atl_list_init(&hub->runs);
	atl_loop_slot_set(loop, ATL_LOOP_SLOT_FETCH_LOCAL, hub, hub_destroy);
	return hub;
}

static struct peer *peer_of(struct hub *hub, const char *key)
{
	struct peer *peer = atl_map_get(&hub->peers, key);

	if (peer)
		return peer;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	atl_list_init(&peer->idle);
	if (!atl_str_copy(peer->key, sizeof(peer->key), key) || atl_map_put(&hub->peers, key, peer, NULL)) {
		free(peer);
		return NULL;
	}
	return peer;
}

static enum atl_err write_head(struct run *run, const struct atl_fetch_request *request, const struct atl_url *url,
			       struct atl_errinfo *info)
{
	const char *method = request->method ? request->method : request->body ? "POST" : "GET";
	struct atl_buf *out = &run->head;

	run->no_body = atl_str_eq(method, "HEAD");
	if (strpbrk(method, " \r\n"))
		return atl_fail(info, ATL_ERR_INVALID, "The method has characters that do not belong there.");
	atl_buf_adds(out, method);
	atl_buf_adds(out, *url->path == '/' ? " " : " /");
	atl_buf_add(out, url->path, strcspn(url->path, "#"));
	atl_buf_adds(out, " HTTP/1.1\r\nHost: ");
	atl_buf_addf(out, strchr(url->host, ':') ? "[%s]:%d\r\n" : "%s:%d\r\n", url->host, url->port);
	if (request->body_length || request->body || atl_str_eq(method, "POST"))
		atl_buf_addf(out, "Content-Length: %zu\r\n", request->body_length);
	for (size_t i = 0; request->headers && request->headers[i]; i++) {
		if (strpbrk(request->headers[i], "\r\n"))
			return atl_fail(info, ATL_ERR_INVALID, "A header has a line end in it.");
		atl_buf_adds(out, request->headers[i]);
		atl_buf_add(out, "\r\n", 2);
	}
	atl_buf_add(out, "\r\n", 2);
	return atl_buf_err(out, info);
}

static enum atl_err run_prepare(struct run *run, const struct atl_fetch_request *request, struct atl_errinfo *info)
{
	struct atl_url url;
	char key[PEER_SIZE];
	enum atl_err err = atl_url_split(request->url, &url, info);

	if (err)
		return err;
	if (url.https)
		return atl_fail(info, ATL_ERR_INVALID, "The plain client does not speak https.");
	if (request->unix_path) {
		run->unix_path = strdup(request->unix_path);
		if (!run->unix_path || snprintf(key, sizeof(key), "unix:%s", request->unix_path) >= (int)sizeof(key))
			return atl_fail(info, ATL_ERR_INVALID, "The socket's path is too long.");
	} else {
		if (!url.numeric || !atl_guard_address(request->guard, url.host, url.port, url.host))
			return atl_fail(info, ATL_ERR_OUTBOUND, "The plain client reaches allowed addresses only.");
		if (!atl_str_copy(run->host, sizeof(run->host), url.host))
			return atl_fail(info, ATL_ERR_INVALID, "The host is too long.");
		run->port = url.port;
		snprintf(key, sizeof(key), "%s|%d", url.host, url.port);
	}
	run->peer = peer_of(run->hub, key);
	if (!run->peer)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for a request.");
	run->body = request->body;
	run->body_length = request->body_length;
	if (request->body_length && !request->body_borrowed) {
		run->body = run->body_copy = malloc(request->body_length);
		if (!run->body_copy)
			return atl_fail(info, ATL_ERR_NOMEM, "No memory for a request.");
		memcpy(run->body_copy, request->body, request->body_length);
	}
	return write_head(run, request, &url, info);
}

static void set_limits(struct run *run, const struct atl_fetch_request *request)
{
	run->started_ms = run->last_ms = atl_loop_now_ms(run->hub->loop);
	run->connect_ms = request->connect_ms ? request->connect_ms : ATL_FETCH_CONNECT_MS;
	run->first_byte_ms = request->first_byte_ms ? request->first_byte_ms : ATL_FETCH_FIRST_BYTE_MS;
	run->idle_ms = request->idle_ms ? request->idle_ms : ATL_FETCH_IDLE_MS;
	run->total_ms = request->total_ms;
	run->max_bytes = request->max_response_bytes ? request->max_response_bytes : ATL_FETCH_RESPONSE_MAX;
}

enum atl_err atl_fetch_local_start(struct atl_loop *loop, const struct atl_fetch_request *request,
				   const struct atl_fetch_ops *ops, void *arg, struct atl_fetch **ret,
				   struct atl_errinfo *info)
{
	struct hub *hub = hub_of(loop);
	struct run *run = hub ? calloc(1, sizeof(*run)) : NULL;
	enum atl_err err;

	if (!run)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for a request.");
	run->fetch = (struct atl_fetch){run_cancel, run_pause, run_resume};
	run->hub = hub;
	run->ops = *ops;
	run->arg = arg;
	atl_list_init(&run->link);
	atl_buf_init(&run->head, REQUEST_HEAD_MAX);
	set_limits(run, request);
	err = run_prepare(run, request, info);
	if (!err)
		err = atl_timer_create(loop, on_patience, run, &run->timer);
	if (err) {
		run_free(run);
		return err;
	}
	if (atl_list_empty(&run->peer->idle)) {
		err = run_connect(run, info);
		if (err) {
			run_free(run);
			return err;
		}
	} else {
		struct conn *conn = ATL_LIST_ITEM(run->peer->idle.next, struct conn, link);

		atl_list_remove(&conn->link);
		conn->idle = false;
		run->peer->idle_count--;
		run->reused = run->connected = true;
		conn_attach(conn, run);
		send_request(run);
	}
	atl_list_append(&hub->runs, &run->link);
	arm(run);
	*ret = &run->fetch;
	return ATL_OK;
}
