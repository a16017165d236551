/* ws.c - WebSocket (RFC 6455) for text messages: wslay reads the frames, messages and the closing are handled here.
 *
 * wslay's frame reader holds 4 KiB; it exists only while a frame is incomplete, so that an idle socket costs little.
 * Written frames are unmasked and made here: one shared encoding goes to every receiver.
 * on_close is never called from inside another call of this file: ending is posted to the loop.
 */
#include <stdlib.h>
#include <strings.h>

#include <wslay/wslay.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "net/http_int.h"

#define PONG_QUEUE_MAX 65536 /* a peer that does not read gets no more pongs */
#define CLOSE_WAIT_MS 5000
#define HEAD_MAX 10

enum { OP_CONTINUE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum { CODE_NORMAL = 1000, CODE_AWAY = 1001, CODE_PROTOCOL = 1002, CODE_TYPE = 1003, CODE_UTF8 = 1007, CODE_BIG = 1009 };

struct atl_ws {
	struct call *call;
	struct conn *conn;
	const struct atl_ws_ops *ops;
	void *arg;
	wslay_frame_context_ptr reader; /* NULL between frames */
	const char *input;		/* what the reader takes from, during ws_feed() */
	size_t input_left;
	uint64_t given, consumed; /* bytes handed to the reader; bytes of frames it has told of */
	uint64_t frame_left;	  /* payload of the current frame still to come */
	bool in_frame;
	struct atl_buf message; /* of a text message in pieces */
	bool in_message;
	unsigned char control[125];
	size_t control_length;
	uint64_t seen_ms, pinged_ms, close_ms;
	bool close_sent, close_received, closed;
};

/* ---- handshake ---- */

static bool has_token(const char *list, const char *token)
{
	size_t length = strlen(token);

	while (list && *list) {
		list += strspn(list, " \t,");
		if (strncasecmp(list, token, length) == 0 && strchr(" \t,", list[length]))
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

static enum atl_err check_upgrade(struct atl_req *req, char accept[64], struct atl_errinfo *info)
{
	static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	const char *key = atl_req_header(req, "Sec-WebSocket-Key");
	unsigned char digest[20];
	struct atl_buf buf;
	bool ok;

	if (req->method != ATL_GET || !has_token(atl_req_header(req, "Upgrade"), "websocket") ||
	    !has_token(atl_req_header(req, "Connection"), "upgrade"))
		return atl_fail(info, ATL_ERR_INVALID, "this address speaks WebSocket only");
	if (!atl_str_eq(atl_req_header(req, "Sec-WebSocket-Version"), "13")) {
		atl_res_header(req, "Sec-WebSocket-Version", "13");
		return atl_fail(info, ATL_ERR_INVALID, "the WebSocket version must be 13");
	}
	atl_buf_init(&buf, 256);
	ok = key && strlen(key) == 24 && atl_base64_decode(&buf, ATL_BASE64_STANDARD, key, 24) && buf.length == 16;
	if (ok) {
		atl_buf_reset(&buf);
		atl_buf_adds(&buf, key);
		atl_buf_adds(&buf, magic);
		atl_sha1(buf.data, buf.length, digest);
		atl_buf_reset(&buf);
		atl_base64_encode(&buf, ATL_BASE64_STANDARD, digest, sizeof(digest));
		ok = atl_str_copy(accept, 64, buf.data);
	}
	atl_buf_finish(&buf);
	return ok ? ATL_OK : atl_fail(info, ATL_ERR_INVALID, "the WebSocket key is malformed");
}

enum atl_err atl_ws_accept(struct atl_req *req, const char *protocol, const struct atl_ws_ops *ops, void *arg,
			   struct atl_ws **ret, struct atl_errinfo *info)
{
	struct call *call = (struct call *)req;
	struct conn *conn = call->conn;
	char accept[64];
	struct atl_ws *ws;
	size_t length;
	enum atl_err err = check_upgrade(req, accept, info);

	if (err)
		return err;
	if (!conn)
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "no WebSocket without a connection");
	if (conn->state == CONN_CLOSING || conn->peer_eof)
		return atl_fail(info, ATL_ERR_CANCELLED, "the client is gone");
	ws = calloc(1, sizeof(*ws));
	if (!ws)
		return ATL_ERR_NOMEM;
	ws->call = call;
	ws->conn = conn;
	ws->ops = ops;
	ws->arg = arg;
	ws->seen_ms = ws->pinged_ms = atl_loop_now_ms(call->lane->loop);
	atl_buf_init(&ws->message, ATL_WS_MESSAGE_MAX);
	atl_res_empty(req, 101);
	call->own_csp = call->own_cache = true;
	atl_res_header(req, "Upgrade", "websocket");
	atl_res_header(req, "Sec-WebSocket-Accept", accept);
	atl_res_header(req, "Sec-WebSocket-Protocol", protocol);
	atl_buf_adds(&call->extra, "Connection: Upgrade\r\n");
	req->sent = true;
	call->phase = PHASE_STREAM;
	conn->ws = ws;
	conn->state = CONN_WS;
	length = res_head(call, call->lane->scratch, -1, false);
	atl_sock_write(conn->sock, call->lane->scratch, length);
	lane_add_bytes(call->lane, length);
	atl_buf_finish(&call->extra);
	atl_buf_init(&call->extra, EXTRA_HEADERS_MAX);
	atomic_fetch_add_explicit(&call->lane->streams_open, 1, memory_order_relaxed);
	*ret = ws;
	return ATL_OK;
}

/* ---- ending ---- */

static void finish_ws(void *arg)
{
	struct atl_ws *ws = arg;
	struct call *call = ws->call;
	struct conn *conn = ws->conn;

	ws->ops->on_close(ws->arg);
	if (ws->reader)
		wslay_frame_context_free(ws->reader);
	atl_buf_finish(&ws->message);
	free(ws);
	conn->ws = NULL;
	atomic_fetch_sub_explicit(&call->lane->streams_open, 1, memory_order_relaxed);
	if (conn->state == CONN_WS)
		conn_close(conn);
	call_finish(call);
}

void ws_gone(struct atl_ws *ws)
{
	if (ws->closed)
		return;
	ws->closed = true;
	if (!atl_loop_post(ws->call->lane->loop, finish_ws, ws))
		atl_error(MODULE, "the loop ended before the server; a WebSocket is lost");
}

/* ---- writing ---- */

static size_t put_head(unsigned char *out, int opcode, size_t length)
{
	size_t at = 0;

	out[at++] = (unsigned char)(0x80 | opcode);
	if (length < 126) {
		out[at++] = (unsigned char)length;
	} else if (length < 65536) {
		out[at++] = 126;
		out[at++] = (unsigned char)(length >> 8);
		out[at++] = (unsigned char)length;
	} else {
		out[at++] = 127;
		for (int shift = 56; shift >= 0; shift -= 8)
			out[at++] = (unsigned char)((uint64_t)length >> shift);
	}
	return at;
}

static void send_frame(struct atl_ws *ws, int opcode, const void *data, size_t length)
{
	unsigned char head[HEAD_MAX];
	size_t head_length = put_head(head, opcode, length);

	if (ws->closed || ws->close_sent || !ws->conn->sock)
		return;
	if (length)
		atl_sock_write2(ws->conn->sock, head, head_length, data, length);
	else
		atl_sock_write(ws->conn->sock, head, head_length);
	lane_add_bytes(ws->call->lane, head_length + length);
}

static void send_close(struct atl_ws *ws, int code)
{
	unsigned char payload[2] = {(unsigned char)(code >> 8), (unsigned char)code};

	if (ws->close_sent)
		return;
	send_frame(ws, OP_CLOSE, payload, code ? 2 : 0);
	ws->close_sent = true;
	ws->close_ms = atl_loop_now_ms(ws->call->lane->loop);
}

/* The peer broke the rules: say so and leave. */
static void fail_ws(struct atl_ws *ws, int code)
{
	send_close(ws, code);
	ws->input_left = 0;
	ws_gone(ws);
}

struct atl_bytes *atl_ws_frame(const char *text, size_t length)
{
	struct atl_bytes *bytes;
	unsigned char head[HEAD_MAX];
	size_t head_length = put_head(head, OP_TEXT, length);
	char *whole = malloc(head_length + length);

	if (!whole)
		return NULL;
	memcpy(whole, head, head_length);
	memcpy(whole + head_length, text, length);
	bytes = atl_bytes_create(whole, head_length + length);
	free(whole);
	return bytes;
}

void atl_ws_send(struct atl_ws *ws, const char *text, size_t length)
{
	send_frame(ws, OP_TEXT, text, length);
}

void atl_ws_send_bytes(struct atl_ws *ws, struct atl_bytes *frame)
{
	if (!frame || ws->closed || ws->close_sent || !ws->conn->sock)
		return;
	atl_sock_write_bytes(ws->conn->sock, frame);
	lane_add_bytes(ws->call->lane, frame->length);
}

size_t atl_ws_queued_bytes(const struct atl_ws *ws)
{
	return ws->closed || !ws->conn->sock ? 0 : atl_sock_queued_bytes(ws->conn->sock);
}

void atl_ws_close(struct atl_ws *ws, int code)
{
	send_close(ws, code ? code : CODE_NORMAL);
	if (ws->close_received)
		ws_gone(ws);
}

void ws_going_away(struct atl_ws *ws)
{
	atl_ws_close(ws, CODE_AWAY);
}

/* ---- reading ---- */

static ssize_t take_input(uint8_t *buf, size_t length, int flags, void *user_data)
{
	struct atl_ws *ws = user_data;

	if (!ws->input_left)
		return -1;
	if (length > ws->input_left)
		length = ws->input_left;
	memcpy(buf, ws->input, length);
	ws->input += length;
	ws->input_left -= length;
	ws->given += length;
	return (ssize_t)length;
}

static bool close_code_ok(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void got_close(struct atl_ws *ws)
{
	unsigned code = ws->control_length >= 2 ? ws->control[0] * 256u + ws->control[1] : 0;

	ws->close_received = true;
	if (ws->control_length == 1 || (ws->control_length >= 2 && !close_code_ok(code)))
		code = CODE_PROTOCOL;
	else if (ws->control_length > 2 &&
		 !atl_utf8_valid((const char *)ws->control + 2, ws->control_length - 2))
		code = CODE_UTF8;
	fail_ws(ws, (int)code);
}

static void got_control(struct atl_ws *ws, int opcode)
{
	if (opcode == OP_CLOSE)
		got_close(ws);
	else if (opcode == OP_PING && atl_ws_queued_bytes(ws) < PONG_QUEUE_MAX)
		send_frame(ws, OP_PONG, ws->control, ws->control_length);
}

static void got_message(struct atl_ws *ws)
{
	const char *text = ws->message.length ? ws->message.data : "";
	size_t length = ws->message.length;

	ws->in_message = false;
	if (!atl_utf8_valid(text, length)) {
		fail_ws(ws, CODE_UTF8);
		return;
	}
	if (!ws->close_sent)
		ws->ops->on_text(ws->arg, text, length);
	atl_buf_finish(&ws->message);
	atl_buf_init(&ws->message, ATL_WS_MESSAGE_MAX);
}

/* A frame begins: is it one that may come now? The code to fail with, or 0. */
static int check_frame(struct atl_ws *ws, const struct wslay_frame_iocb *frame)
{
	if (!frame->mask || frame->rsv)
		return CODE_PROTOCOL;
	switch (frame->opcode) {
	case OP_CONTINUE:
		if (!ws->in_message)
			return CODE_PROTOCOL;
		break;
	case OP_TEXT:
		if (ws->in_message)
			return CODE_PROTOCOL;
		ws->in_message = true;
		break;
	case OP_BINARY:
		return CODE_TYPE;
	case OP_CLOSE:
	case OP_PING:
	case OP_PONG:
		ws->control_length = 0;
		return !frame->fin || frame->payload_length > sizeof(ws->control) ? CODE_PROTOCOL : 0;
	default:
		return CODE_PROTOCOL;
	}
	return ws->message.length + frame->payload_length > ATL_WS_MESSAGE_MAX ? CODE_BIG : 0;
}

static size_t head_length(uint64_t payload)
{
	return payload < 126 ? 6 : payload < 65536 ? 8 : 14;
}

/* One piece of a frame from wslay. */
static void take_piece(struct atl_ws *ws, const struct wslay_frame_iocb *frame)
{
	bool control = frame->opcode >= OP_CLOSE;

	if (!ws->in_frame) {
		int code = check_frame(ws, frame);

		if (code) {
			fail_ws(ws, code);
			return;
		}
		ws->in_frame = true;
		ws->frame_left = frame->payload_length;
		ws->consumed += head_length(frame->payload_length);
	}
	ws->consumed += frame->data_length;
	ws->frame_left -= frame->data_length;
	if (control) {
		memcpy(ws->control + ws->control_length, frame->data, frame->data_length);
		ws->control_length += frame->data_length;
	} else {
		atl_buf_add(&ws->message, frame->data, frame->data_length);
	}
	if (ws->frame_left)
		return;
	ws->in_frame = false;
	if (control)
		got_control(ws, frame->opcode);
	else if (frame->fin)
		got_message(ws);
}

void ws_feed(struct atl_ws *ws, char *data, size_t length)
{
	static const struct wslay_frame_callbacks callbacks = {.recv_callback = take_input};

	ws->seen_ms = atl_loop_now_ms(ws->call->lane->loop);
	if (ws->closed || ws->close_received)
		return;
	if (!ws->reader && wslay_frame_context_init(&ws->reader, &callbacks, ws) != 0) {
		ws->reader = NULL;
		fail_ws(ws, 1011);
		return;
	}
	ws->input = data;
	ws->input_left = length;
	while (!ws->closed) {
		struct wslay_frame_iocb frame = {0};
		ssize_t got = wslay_frame_recv(ws->reader, &frame);

		if (got == WSLAY_ERR_WANT_READ)
			break;
		if (got < 0)
			fail_ws(ws, CODE_PROTOCOL);
		else
			take_piece(ws, &frame);
	}
	if (!ws->in_frame && ws->given == ws->consumed) {
		wslay_frame_context_free(ws->reader);
		ws->reader = NULL;
		ws->given = ws->consumed = 0;
	}
}

void ws_tick(struct atl_ws *ws, uint64_t now_ms)
{
	unsigned ping_ms = ws->call->lane->server->times.ws_ping_ms;

	if (ws->closed)
		return;
	if (ws->close_sent) {
		if (now_ms - ws->close_ms > CLOSE_WAIT_MS)
			ws_gone(ws);
		return;
	}
	if (now_ms - ws->seen_ms > 2 * (uint64_t)ping_ms) {
		conn_abort(ws->conn);
		return;
	}
	if (now_ms - ws->seen_ms >= ping_ms && now_ms - ws->pinged_ms >= ping_ms) {
		ws->pinged_ms = now_ms;
		send_frame(ws, OP_PING, NULL, 0);
	}
}
