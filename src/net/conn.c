/* conn.c - one client connection: feeding the parser, order of pipelined requests, time-outs, closing.
 *
 * One request at a time: while a request is in work, bytes that arrive wait in `pending` (and beyond PENDING_MAX in the
 * kernel). Reading goes on meanwhile so that a hang-up is noticed. A connection is freed when its socket has closed
 * and its call has come back.
 */
#include <stdlib.h>

#include "net/http_int.h"

#define LINGER_MS 2000 /* after an early refusal: read on so long, lest the reset overtakes the answer */

static void run_pending(struct conn *conn);

static void set_state(struct conn *conn, enum conn_state state)
{
	conn->state = state;
	conn->since_ms = atl_loop_now_ms(conn->lane->loop);
}

static void maybe_free(struct conn *conn)
{
	struct lane *lane = conn->lane;

	if (conn->sock || conn->call || conn->ws || conn->running)
		return;
	atl_list_remove(&conn->node);
	atl_buf_finish(&conn->pending);
	free(conn);
	server_conn_closed(lane);
}

/* Give up the request at hand, unless something else is still working on it: then it comes back by itself. */
static void drop_call(struct conn *conn)
{
	struct call *call = conn->call;

	if (!call)
		return;
	if (call->phase == PHASE_READ) {
		conn->call = NULL;
		call_recycle(call);
	} else {
		call_gone(call);
	}
}

void conn_close(struct conn *conn)
{
	if (conn->state == CONN_CLOSING)
		return;
	set_state(conn, CONN_CLOSING);
	if (conn->sock)
		atl_sock_shutdown(conn->sock);
}

void conn_abort(struct conn *conn)
{
	set_state(conn, CONN_CLOSING);
	if (conn->sock)
		atl_sock_close(conn->sock);
	if (conn->ws)
		ws_gone(conn->ws);
	drop_call(conn);
}

/* ---- parser callbacks ---- */

static enum atl_parser_do on_head(void *arg, const struct atl_parser_head *head)
{
	struct conn *conn = arg;

	conn->head_ready = true;
	return head->chunked || head->content_length ? ATL_PARSER_STOP : ATL_PARSER_GO;
}

static enum atl_parser_do on_body(void *arg, const char *data, size_t length)
{
	struct conn *conn = arg;

	if (conn->state == CONN_DISCARD)
		return !conn->lingering && conn->parser.body_bytes > DISCARD_MAX ? ATL_PARSER_FAIL : ATL_PARSER_GO;
	if (!conn->call)
		return ATL_PARSER_FAIL;
	return call_body(conn->call, data, length);
}

static void on_complete(void *arg)
{
	(void)arg; /* feed() returns next and parser.complete says it */
}

static const struct atl_parser_ops parser_ops = {.on_head = on_head, .on_body = on_body, .on_complete = on_complete};

/* ---- reading ---- */

static bool takes_input(const struct conn *conn)
{
	switch (conn->state) {
	case CONN_IDLE:
		return !conn->choked;
	case CONN_HEAD:
	case CONN_BODY:
	case CONN_DISCARD:
		return true;
	case CONN_HOLD:
	case CONN_WORK:
	case CONN_WS:
	case CONN_CLOSING:
		break;
	}
	return false;
}

static bool start_call(struct conn *conn)
{
	struct call *call = call_create(conn->lane, conn);

	if (!call)
		return false;
	conn->call = call;
	conn->used_once = true;
	atl_parser_begin(&conn->parser, &call->req.arena);
	set_state(conn, CONN_HEAD);
	return true;
}

/* What cannot be parsed is answered as well as it can be, then the connection ends: its framing is lost. */
static void bad_input(struct conn *conn, enum atl_err err)
{
	struct atl_errinfo info = {0};
	struct call *call = conn->call;

	if (conn->state == CONN_DISCARD || !call || err == ATL_ERR_CANCELLED) {
		if (call && call->refused) {
			conn->lingering = true;
			call_refuse(call, call->deny_err, &call->deny_info);
			return;
		}
		conn_abort(conn);
		return;
	}
	if (conn->parser.reason && err == ATL_ERR_INVALID)
		atl_fail(&info, err, "%s", conn->parser.reason);
	call->force_close = true;
	conn->broken = true;
	call_refuse(call, err, &info);
}

static void head_done(struct conn *conn, size_t ahead)
{
	struct call *call = conn->call;
	const struct atl_parser_head *head = &conn->parser.head;

	conn->head_ready = false;
	call->body_here = !head->chunked && head->content_length <= ahead;
	set_state(conn, head->chunked || head->content_length ? CONN_BODY : CONN_HEAD);
	conn->body_start_ms = conn->since_ms;
	call_head(call, head);
}

/* Feed what came; the parts of one request change the state, which ends the loop when input has to wait. */
static size_t parse(struct conn *conn, const char *data, size_t length)
{
	size_t done = 0;

	while (done < length && takes_input(conn)) {
		size_t used;
		enum atl_err err;

		if (conn->state == CONN_IDLE && !start_call(conn)) {
			conn_abort(conn);
			break;
		}
		err = atl_parser_feed(&conn->parser, data + done, length - done, &used);
		done += used;
		if (err) {
			bad_input(conn, err);
			break;
		}
		if (conn->head_ready)
			head_done(conn, length - done);
		if (conn->state == CONN_BODY)
			conn->since_ms = atl_loop_now_ms(conn->lane->loop);
		if (!conn->parser.complete) {
			if (conn->state == CONN_BODY && conn->call->upload_due)
				upload_flush(conn->call);
			continue;
		}
		if (conn->state == CONN_DISCARD) {
			if (conn->lingering)
				conn_close(conn);
			else
				set_state(conn, CONN_IDLE);
		} else if (conn->state == CONN_BODY || conn->state == CONN_HEAD) {
			set_state(conn, CONN_WORK);
			call_body_complete(conn->call);
		}
	}
	return done;
}

static void keep_for_later(struct conn *conn, const char *data, size_t length)
{
	atl_buf_add(&conn->pending, data, length);
	if (conn->pending.failed) {
		conn_abort(conn);
		return;
	}
	if (conn->pending.length > PENDING_MAX && !conn->paused) {
		conn->paused = true;
		atl_sock_pause(conn->sock);
	}
}

static void on_data(void *arg, char *data, size_t length)
{
	struct conn *conn = arg;
	size_t used;

	if (conn->ws) {
		ws_feed(conn->ws, data, length);
		return;
	}
	if (conn->state == CONN_CLOSING)
		return;
	if (conn->running || conn->pending.length || !takes_input(conn)) {
		keep_for_later(conn, data, length);
		return;
	}
	conn->running = true;
	used = parse(conn, data, length);
	conn->running = false;
	if (conn->state == CONN_CLOSING)
		maybe_free(conn);
	else if (conn->ws && used < length)
		ws_feed(conn->ws, data + used, length - used);
	else if (used < length)
		keep_for_later(conn, data + used, length - used);
}

/* Go on with what waited; when nothing waits any more, let the buffer go and read again. */
static void run_pending(struct conn *conn)
{
	if (conn->running || conn->state == CONN_CLOSING)
		return;
	conn->running = true;
	while (conn->pending.length && takes_input(conn)) {
		size_t used = parse(conn, conn->pending.data, conn->pending.length);

		atl_buf_consume(&conn->pending, used);
		if (!used)
			break;
	}
	conn->running = false;
	if (conn->state == CONN_CLOSING) {
		maybe_free(conn);
		return;
	}
	if (!conn->pending.length) {
		atl_buf_finish(&conn->pending);
		atl_buf_init(&conn->pending, PENDING_ROOM);
		if (conn->peer_eof && takes_input(conn)) {
			conn_close(conn);
			return;
		}
	}
	if (conn->paused && conn->pending.length <= PENDING_MAX) {
		conn->paused = false;
		atl_sock_resume(conn->sock);
	}
}

/* ---- other socket events ---- */

static void on_end(void *arg, enum atl_err err)
{
	struct conn *conn = arg;

	conn->peer_eof = true;
	if (err || conn->ws || conn->state == CONN_CLOSING) {
		conn_abort(conn);
	} else if (conn->state != CONN_WORK) {
		drop_call(conn);
		conn_close(conn);
	} else {
		/* Half-closed: a plain answer may still be wanted, a stream is over. */
		call_gone(conn->call);
	}
}

static void on_drain(void *arg)
{
	struct conn *conn = arg;

	conn->choked = false;
	if (conn->state == CONN_WORK && conn->call && conn->call->phase == PHASE_FILE)
		call_file_drained(conn->call);
	else if (!conn->ws)
		run_pending(conn);
}

static void on_close(void *arg)
{
	struct conn *conn = arg;

	conn->state = CONN_CLOSING;
	if (conn->ws)
		ws_gone(conn->ws);
	drop_call(conn); /* may end the request here and now; the socket keeps us until the next line */
	conn->sock = NULL;
	maybe_free(conn);
}

static const struct atl_sock_ops sock_ops = {
	.on_data = on_data, .on_end = on_end, .on_drain = on_drain, .on_close = on_close};

void conn_accept(void *arg, struct atl_sock *sock)
{
	struct lane *lane = arg;
	struct atl_server *server = lane->server;
	struct conn *conn;

	if (atomic_load(&server->draining) ||
	    (server->options.max_connections &&
	     atomic_load(&server->conns_total) >= server->options.max_connections)) {
		atl_sock_close(sock);
		return;
	}
	conn = calloc(1, sizeof(*conn));
	if (!conn) {
		atl_sock_close(sock);
		return;
	}
	conn->lane = lane;
	conn->sock = sock;
	atl_buf_init(&conn->pending, PENDING_ROOM);
	atl_parser_init(&conn->parser, ATL_PARSER_REQUEST, &server->limits, &parser_ops, conn);
	atl_list_append(&lane->conns, &conn->node);
	lane->conn_count++;
	atomic_fetch_add(&server->conns_total, 1);
	atomic_store_explicit(&lane->connections_open, lane->conn_count, memory_order_relaxed);
	set_state(conn, CONN_IDLE);
	atl_sock_peer(sock, conn->peer, &conn->loopback);
	conn->secure = atl_sock_secure(sock);
	atl_sock_open(sock, &sock_ops, conn);
}

/* ---- what the call tells ---- */

void conn_hold(struct conn *conn)
{
	if (conn->state != CONN_CLOSING)
		set_state(conn, CONN_HOLD);
}

void conn_go_on(struct conn *conn)
{
	if (conn->state != CONN_HOLD)
		return;
	set_state(conn, CONN_BODY);
	if (conn->parser.complete) {
		set_state(conn, CONN_WORK);
		call_body_complete(conn->call);
	}
	run_pending(conn);
}

void conn_call_done(struct conn *conn, bool keep_alive)
{
	conn->call = NULL;
	if (conn->state == CONN_CLOSING) {
		maybe_free(conn);
		return;
	}
	if (conn->broken) {
		conn_close(conn);
		return;
	}
	if (atomic_load(&conn->lane->server->draining))
		keep_alive = false;
	if (!conn->parser.complete) {
		/* Answered before the body was in. */
		conn->lingering = !keep_alive;
		set_state(conn, CONN_DISCARD);
	} else if (!keep_alive) {
		conn_close(conn);
		return;
	} else {
		set_state(conn, CONN_IDLE);
		conn->choked = atl_sock_queued_bytes(conn->sock) > WRITE_HIGH;
	}
	if (!conn->running && (conn->pending.length || conn->peer_eof || conn->paused))
		run_pending(conn);
}

/* ---- time ---- */

/* Has the client taken nothing of what waits for it for too long? */
static bool stalled(struct conn *conn, uint64_t now_ms)
{
	size_t queued = atl_sock_queued_bytes(conn->sock);

	if (!queued || queued != conn->last_queued) {
		conn->last_queued = queued;
		conn->last_queued_ms = now_ms;
		return false;
	}
	return now_ms - conn->last_queued_ms > conn->lane->server->times.stall_ms;
}

static void time_out(struct conn *conn)
{
	struct call *call = conn->call;

	conn->broken = true;
	if (call && call->phase == PHASE_READ) {
		call->force_close = true;
		call_refuse(call, ATL_ERR_TIMEOUT, NULL);
	} else {
		conn_close(conn);
	}
}

static bool body_too_slow(const struct conn *conn, uint64_t now_ms)
{
	const struct atl_server_timeouts *times = &conn->lane->server->times;
	uint64_t age_ms = now_ms - conn->body_start_ms;

	if (now_ms - conn->since_ms > times->body_idle_ms)
		return true;
	return age_ms > times->body_idle_ms &&
	       conn->parser.body_bytes < (age_ms - times->body_idle_ms) * ATL_HTTP_BODY_RATE_MIN / 1000;
}

void conn_tick(struct conn *conn, uint64_t now_ms)
{
	const struct atl_server_timeouts *times = &conn->lane->server->times;
	uint64_t age_ms = now_ms - conn->since_ms;

	if (!conn->sock)
		return;
	if (now_ms < conn->since_ms)
		age_ms = 0;
	if (stalled(conn, now_ms)) {
		conn_abort(conn);
		return;
	}
	switch (conn->state) {
	case CONN_IDLE:
		if (age_ms > (conn->used_once ? times->keepalive_ms : times->head_ms))
			conn_close(conn);
		break;
	case CONN_HEAD:
		if (age_ms > times->head_ms)
			time_out(conn);
		break;
	case CONN_BODY:
		if (body_too_slow(conn, now_ms))
			time_out(conn);
		break;
	case CONN_DISCARD:
		if (age_ms > (conn->lingering ? LINGER_MS : times->body_idle_ms))
			conn_close(conn);
		break;
	case CONN_WS:
		ws_tick(conn->ws, now_ms);
		break;
	case CONN_HOLD:
	case CONN_WORK:
	case CONN_CLOSING:
		break;
	}
}
