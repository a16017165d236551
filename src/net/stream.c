/* stream.c - answers that grow: chunked bodies and server-sent events.
 *
 * on_close is never called from inside another call of this file: ending is posted to the loop.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/http_int.h"

#define CHUNK_HEAD_MAX 20

static struct call *call_of(const struct atl_stream *stream)
{
	return stream->call;
}

static void finish_stream(void *arg)
{
	struct call *call = arg;
	struct atl_stream *stream = &call->stream;

	if (stream->on_close)
		stream->on_close(stream->arg);
	if (call->mock)
		return;
	atomic_fetch_sub_explicit(&call->lane->streams_open, 1, memory_order_relaxed);
	if (stream->broken) {
		/* The reader must see a cut, not an end. */
		call->phase = PHASE_DONE;
		conn_abort(call->conn);
	}
	call_finish(call);
}

static void close_soon(struct atl_stream *stream)
{
	struct call *call = call_of(stream);

	if (stream->closed)
		return;
	stream->closed = true;
	if (call->mock)
		finish_stream(call);
	else if (!atl_loop_post(call->lane->loop, finish_stream, call))
		atl_error(MODULE, "the loop ended before the server; a stream is lost");
}

void stream_gone(struct call *call)
{
	if (call->conn && call->conn->ws)
		return; /* ws.c does its own ending */
	call->force_close = true;
	close_soon(&call->stream);
}

struct atl_stream *atl_stream_begin(struct atl_req *req, int status, const char *type, void (*on_close)(void *arg),
				    void *arg)
{
	struct call *call = (struct call *)req;
	struct atl_stream *stream = &call->stream;
	struct conn *conn = call->conn;
	size_t length;

	atl_res_body(req, status, type, "", 0);
	req->sent = true;
	call->phase = PHASE_STREAM;
	*stream = (struct atl_stream){.call = call, .on_close = on_close, .arg = arg};
	if (call->mock)
		return stream;
	atomic_fetch_add_explicit(&call->lane->streams_open, 1, memory_order_relaxed);
	if (conn->state == CONN_CLOSING || conn->peer_eof) {
		stream_gone(call);
		return stream;
	}
	stream->chunked = !call->http10;
	if (call->http10)
		call->force_close = true;
	length = res_head(call, call->lane->scratch, -1, stream->chunked);
	atl_sock_write(conn->sock, call->lane->scratch, length);
	lane_add_bytes(call->lane, length);
	atl_buf_finish(&req->out);
	atl_buf_init(&req->out, ATL_HTTP_OUT_MAX);
	atl_buf_finish(&call->extra);
	atl_buf_init(&call->extra, EXTRA_HEADERS_MAX);
	if (req->method == ATL_HEAD)
		close_soon(stream);
	return stream;
}

static size_t put_chunk_head(char *out, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	char reversed[16];
	size_t count = 0, at = 0;

	do {
		reversed[count++] = digits[length & 15];
		length >>= 4;
	} while (length);
	while (count)
		out[at++] = reversed[--count];
	out[at++] = '\r';
	out[at++] = '\n';
	return at;
}

void atl_stream_send(struct atl_stream *stream, const void *data, size_t length)
{
	struct call *call = call_of(stream);
	struct atl_sock *sock;
	char *scratch = call->lane->scratch;
	size_t head;

	if (stream->closed || !length)
		return;
	if (call->mock) {
		atl_buf_add(&call->req.out, data, length);
		return;
	}
	sock = call->conn->sock;
	lane_add_bytes(call->lane, length);
	if (!stream->chunked) {
		atl_sock_write(sock, data, length);
		return;
	}
	head = put_chunk_head(scratch, length);
	if (length + CHUNK_HEAD_MAX + 2 <= SCRATCH_SIZE) {
		memcpy(scratch + head, data, length);
		memcpy(scratch + head + length, "\r\n", 2);
		atl_sock_write(sock, scratch, head + length + 2);
	} else {
		atl_sock_write2(sock, scratch, head, data, length);
		atl_sock_write(sock, "\r\n", 2);
	}
}

/* The payload of a ready chunk. */
static const char *unframe(const struct atl_bytes *bytes, size_t *ret_length)
{
	const char *end = memchr(bytes->data, '\n', bytes->length);
	size_t head = end ? (size_t)(end - bytes->data) + 1 : 0;

	*ret_length = bytes->length >= head + 2 ? bytes->length - head - 2 : 0;
	return bytes->data + head;
}

void atl_stream_send_bytes(struct atl_stream *stream, struct atl_bytes *bytes)
{
	struct call *call = call_of(stream);
	const char *data;
	size_t length;

	if (stream->closed || !bytes)
		return;
	if (!call->mock && stream->chunked) {
		atl_sock_write_bytes(call->conn->sock, bytes);
		lane_add_bytes(call->lane, bytes->length);
		return;
	}
	data = unframe(bytes, &length);
	atl_stream_send(stream, data, length);
}

size_t atl_stream_queued_bytes(const struct atl_stream *stream)
{
	const struct call *call = call_of(stream);

	return call->mock || stream->closed || !call->conn->sock ? 0 : atl_sock_queued_bytes(call->conn->sock);
}

void atl_stream_end(struct atl_stream *stream)
{
	struct call *call = call_of(stream);

	if (stream->closed)
		return;
	stream->ended = true;
	if (!call->mock && stream->chunked)
		atl_sock_write(call->conn->sock, "0\r\n\r\n", 5);
	close_soon(stream);
}

void atl_stream_abort(struct atl_stream *stream)
{
	stream->broken = true;
	close_soon(stream);
}

/* ---- server-sent events ---- */

static size_t line_end(const char *text, size_t length)
{
	size_t at = 0;

	while (at < length && text[at] != '\n' && text[at] != '\r')
		at++;
	return at;
}

struct atl_bytes *atl_sse_frame(uint64_t id, const char *event, const char *data, size_t length)
{
	struct atl_buf out;
	struct atl_bytes *bytes = NULL;
	char head[CHUNK_HEAD_MAX];
	size_t done = 0, head_length;
	char *whole;

	atl_buf_init(&out, ATL_HTTP_OUT_MAX);
	if (id)
		atl_buf_addf(&out, "id: %llu\n", (unsigned long long)id);
	if (event && !strpbrk(event, "\r\n"))
		atl_buf_addf(&out, "event: %s\n", event);
	do { /* a line break of any kind inside the data starts a new data line */
		size_t line = line_end(data + done, length - done);

		atl_buf_add(&out, "data: ", 6);
		atl_buf_add(&out, data + done, line);
		atl_buf_addc(&out, '\n');
		done += line;
		if (done + 1 < length && data[done] == '\r' && data[done + 1] == '\n')
			done++;
		done++;
	} while (done <= length && length);
	atl_buf_addc(&out, '\n');
	head_length = put_chunk_head(head, out.length);
	whole = out.failed ? NULL : malloc(head_length + out.length + 2);
	if (whole) {
		memcpy(whole, head, head_length);
		memcpy(whole + head_length, out.data, out.length);
		memcpy(whole + head_length + out.length, "\r\n", 2);
		bytes = atl_bytes_create(whole, head_length + out.length + 2);
	}
	free(whole);
	atl_buf_finish(&out);
	return bytes;
}
