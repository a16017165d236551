/* ws_client.c - a blocking WebSocket client over a plain socket, see ws_client.h. wslay reads the frames. */
#include "net/ws_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wslay/wslay.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/str.h"

#define MAGIC "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define READ_SIZE 65536
#define SEND_MS 10000
#define CONTROL_MAX 125

enum { OP_CONTINUE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

/* ---- reader ---- */

struct atl_ws_reader {
	wslay_frame_context_ptr frames;
	const char *input;
	size_t input_left;
	struct atl_buf message;
	bool in_message, given, binary;
	bool in_frame;
	uint64_t frame_left;
	char control[CONTROL_MAX + 1];
	size_t control_length;
	enum atl_ws_event end; /* NOTHING while it goes on */
};

static ssize_t take_input(uint8_t *buf, size_t length, int flags, void *user_data)
{
	struct atl_ws_reader *reader = user_data;

	(void)flags;
	if (!reader->input_left)
		return -1;
	if (length > reader->input_left)
		length = reader->input_left;
	memcpy(buf, reader->input, length);
	reader->input += length;
	reader->input_left -= length;
	return (ssize_t)length;
}

struct atl_ws_reader *atl_ws_reader_create(size_t max_message_bytes)
{
	static const struct wslay_frame_callbacks callbacks = { .recv_callback = take_input };
	struct atl_ws_reader *reader = calloc(1, sizeof(*reader));

	if (reader && wslay_frame_context_init(&reader->frames, &callbacks, reader) != 0) {
		free(reader);
		return NULL;
	}
	if (reader)
		atl_buf_init(&reader->message, max_message_bytes);
	return reader;
}

void atl_ws_reader_destroy(struct atl_ws_reader *reader)
{
	if (!reader)
		return;
	wslay_frame_context_free(reader->frames);
	atl_buf_finish(&reader->message);
	free(reader);
}

void atl_ws_reader_feed(struct atl_ws_reader *reader, const void *data, size_t length)
{
	reader->input = data;
	reader->input_left = length;
}

/* A frame begins: may it come now? */
static enum atl_ws_event begin_frame(struct atl_ws_reader *reader, const struct wslay_frame_iocb *frame)
{
	if (frame->mask || frame->rsv)
		return ATL_WS_BROKEN;
	reader->in_frame = true;
	reader->frame_left = frame->payload_length;
	switch (frame->opcode) {
	case OP_CONTINUE:
		if (!reader->in_message)
			return ATL_WS_BROKEN;
		break;
	case OP_TEXT:
	case OP_BINARY:
		if (reader->in_message)
			return ATL_WS_BROKEN;
		reader->in_message = true;
		reader->binary = frame->opcode == OP_BINARY;
		break;
	case OP_CLOSE:
	case OP_PING:
	case OP_PONG:
		reader->control_length = 0;
		return frame->fin && frame->payload_length <= CONTROL_MAX ? ATL_WS_NOTHING : ATL_WS_BROKEN;
	default:
		return ATL_WS_BROKEN;
	}
	return frame->payload_length > reader->message.max ||
	       reader->message.length + frame->payload_length > reader->message.max ? ATL_WS_TOO_LARGE : ATL_WS_NOTHING;
}

static enum atl_ws_event end_frame(struct atl_ws_reader *reader, const struct wslay_frame_iocb *frame,
				   struct atl_ws_message *ret)
{
	reader->in_frame = false;
	if (frame->opcode == OP_CLOSE)
		return ATL_WS_CLOSED;
	if (frame->opcode == OP_PING) {
		*ret = (struct atl_ws_message){ .binary = true, .data = reader->control, .length = reader->control_length };
		return ATL_WS_PING;
	}
	if (frame->opcode == OP_PONG || !frame->fin)
		return ATL_WS_NOTHING;
	reader->in_message = false;
	reader->given = true;
	*ret = (struct atl_ws_message){ .binary = reader->binary, .data = reader->message.length ? reader->message.data : "",
					.length = reader->message.length };
	return !reader->binary && !atl_utf8_valid(ret->data, ret->length) ? ATL_WS_BROKEN : ATL_WS_MESSAGE;
}

static enum atl_ws_event take_piece(struct atl_ws_reader *reader, const struct wslay_frame_iocb *frame,
				    struct atl_ws_message *ret)
{
	enum atl_ws_event event = reader->in_frame ? ATL_WS_NOTHING : begin_frame(reader, frame);

	if (event)
		return event;
	reader->frame_left -= frame->data_length;
	if (frame->opcode >= OP_CLOSE) {
		memcpy(reader->control + reader->control_length, frame->data, frame->data_length);
		reader->control_length += frame->data_length;
	} else {
		atl_buf_add(&reader->message, frame->data, frame->data_length);
		if (reader->message.failed)
			return ATL_WS_TOO_LARGE;
	}
	return reader->frame_left ? ATL_WS_NOTHING : end_frame(reader, frame, ret);
}

enum atl_ws_event atl_ws_reader_next(struct atl_ws_reader *reader, struct atl_ws_message *ret)
{
	if (reader->given)
		atl_buf_reset(&reader->message);
	reader->given = false;
	while (!reader->end) {
		struct wslay_frame_iocb frame = { 0 };
		ssize_t got = wslay_frame_recv(reader->frames, &frame);
		enum atl_ws_event event;

		if (got == WSLAY_ERR_WANT_READ)
			return ATL_WS_NOTHING;
		event = got < 0 ? ATL_WS_BROKEN : take_piece(reader, &frame, ret);
		if (event == ATL_WS_CLOSED || event == ATL_WS_BROKEN || event == ATL_WS_TOO_LARGE)
			reader->end = event;
		else if (event)
			return event;
	}
	return reader->end;
}

/* ---- socket ---- */

struct atl_ws_client {
	int fd;
	atomic_bool *cancelled;
	struct atl_ws_reader *reader;
	char input[READ_SIZE];
};

/* Waits until the socket is ready for `events`. */
static enum atl_err wait_fd(int fd, short events, const atomic_bool *cancelled, uint64_t end_ms,
			    struct atl_errinfo *info)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = events };
		uint64_t now = atl_monotonic_ms(), left = end_ms > now ? end_ms - now : 0;
		int got;

		if (cancelled && atomic_load(cancelled))
			return atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
		got = poll(&p, 1, left > ATL_WS_CLIENT_SLICE_MS ? ATL_WS_CLIENT_SLICE_MS : (int)left);
		if (got > 0)
			return ATL_OK;
		if (got < 0 && errno != EINTR)
			return atl_fail(info, ATL_ERR_IO, "poll: %s", strerror(errno));
		if (!left)
			return atl_fail(info, ATL_ERR_UPSTREAM_TIMEOUT, "nothing came in time");
	}
}

static enum atl_err send_all(const struct atl_ws_client *client, const char *data, size_t length,
			     struct atl_errinfo *info)
{
	uint64_t end_ms = atl_monotonic_ms() + SEND_MS;

	while (length) {
		ssize_t sent = send(client->fd, data, length, MSG_NOSIGNAL);
		enum atl_err err;

		if (sent > 0) {
			data += sent;
			length -= (size_t)sent;
			continue;
		}
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "the connection broke: %s", strerror(errno));
		err = wait_fd(client->fd, POLLOUT, client->cancelled, end_ms, info);
		if (err)
			return err;
	}
	return ATL_OK;
}

/* One masked frame. */
static enum atl_err send_frame(const struct atl_ws_client *client, int opcode, const char *data, size_t length,
			       struct atl_errinfo *info)
{
	unsigned char mask[4];
	struct atl_buf out;
	enum atl_err err;

	atl_buf_init(&out, length + 16);
	atl_random(mask, sizeof(mask));
	atl_buf_addc(&out, (char)(0x80 | opcode));
	if (length < 126) {
		atl_buf_addc(&out, (char)(0x80 | length));
	} else if (length < 65536) {
		atl_buf_addc(&out, (char)(0x80 | 126));
		atl_buf_addc(&out, (char)(length >> 8));
		atl_buf_addc(&out, (char)length);
	} else {
		atl_buf_addc(&out, (char)(0x80 | 127));
		for (int shift = 56; shift >= 0; shift -= 8)
			atl_buf_addc(&out, (char)((uint64_t)length >> shift));
	}
	atl_buf_add(&out, mask, sizeof(mask));
	for (size_t i = 0; i < length; i++)
		atl_buf_addc(&out, (char)(data[i] ^ mask[i % 4]));
	err = atl_buf_err(&out, info);
	if (!err)
		err = send_all(client, out.data, out.length, info);
	atl_buf_finish(&out);
	return err;
}

static enum atl_err connect_one(struct atl_ws_client *client, const struct addrinfo *address, uint64_t end_ms,
				struct atl_errinfo *info)
{
	int failure = 0;
	socklen_t size = sizeof(failure);
	enum atl_err err;

	client->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0)
		return atl_fail(info, ATL_ERR_IO, "socket: %s", strerror(errno));
	if (connect(client->fd, address->ai_addr, address->ai_addrlen) == 0)
		return ATL_OK;
	err = errno == EINPROGRESS ? wait_fd(client->fd, POLLOUT, client->cancelled, end_ms, info) : ATL_OK;
	if (!err && getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && failure == 0)
		return ATL_OK;
	close(client->fd);
	client->fd = -1;
	return err ? err : atl_fail(info, ATL_ERR_UPSTREAM, "could not connect: %s", strerror(failure));
}

static enum atl_err connect_to(struct atl_ws_client *client, const struct atl_ws_client_request *request,
			       const struct atl_url *url, uint64_t end_ms, struct atl_errinfo *info)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *at;
	char port[8], text[INET6_ADDRSTRLEN];
	enum atl_err err = ATL_ERR_UPSTREAM;

	snprintf(port, sizeof(port), "%d", url->port);
	if (getaddrinfo(url->host, port, &hints, &list) != 0)
		return atl_fail(info, ATL_ERR_UPSTREAM, "The name %.200s is not known.", url->host);
	for (at = list; at && err && err != ATL_ERR_CANCELLED; at = at->ai_next) {
		if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0 ||
		    !atl_guard_address(request->guard, url->host, url->port, text))
			err = atl_fail(info, ATL_ERR_OUTBOUND, "The address of %.200s may not be reached.", url->host);
		else
			err = connect_one(client, at, end_ms, info);
	}
	freeaddrinfo(list);
	return err;
}

/* ---- handshake ---- */

static bool header_is(const char *head, const char *name, const char *value)
{
	size_t n = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
		const char *at = line + 2;

		if (strncasecmp(at, name, n) != 0 || at[n] != ':')
			continue;
		at += n + 1;
		at += strspn(at, " \t");
		n = strcspn(at, "\r\n");
		while (n && (at[n - 1] == ' ' || at[n - 1] == '\t'))
			n--;
		return n == strlen(value) && strncasecmp(at, value, n) == 0;
	}
	return false;
}

static enum atl_err send_request(struct atl_ws_client *client, const struct atl_ws_client_request *request,
				 const struct atl_url *url, const char *key, struct atl_errinfo *info)
{
	bool six = strchr(url->host, ':');
	struct atl_buf out;
	enum atl_err err;

	atl_buf_init(&out, ATL_WS_CLIENT_HEAD_MAX);
	atl_buf_addf(&out, "GET %s%s HTTP/1.1\r\nHost: %s%s%s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		     "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", *url->path == '/' ? "" : "/", url->path,
		     six ? "[" : "", url->host, six ? "]" : "", url->port, key);
	for (const char *const *h = request->headers; h && *h; h++)
		atl_buf_addf(&out, "%s\r\n", *h);
	atl_buf_adds(&out, "\r\n");
	err = atl_buf_err(&out, info);
	if (!err)
		err = send_all(client, out.data, out.length, info);
	atl_buf_finish(&out);
	return err;
}

/* Reads the answer byte by byte, so that nothing of the first frame is taken with it. */
static enum atl_err read_answer(struct atl_ws_client *client, const char *accept, uint64_t end_ms,
				struct atl_errinfo *info)
{
	char head[ATL_WS_CLIENT_HEAD_MAX];
	size_t length = 0;

	while (length < 4 || memcmp(head + length - 4, "\r\n\r\n", 4) != 0) {
		enum atl_err err = wait_fd(client->fd, POLLIN, client->cancelled, end_ms, info);
		ssize_t got;

		if (err)
			return err;
		if (length == sizeof(head) - 1)
			return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The answer to the WebSocket request is too long.");
		got = recv(client->fd, head + length, 1, 0);
		if (got > 0)
			length++;
		else if (got == 0 || (errno != EAGAIN && errno != EINTR))
			return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "The connection ended before the WebSocket was open.");
	}
	head[length] = 0;
	if (!atl_str_starts(head, "HTTP/1.1 101"))
		return atl_fail(info, ATL_ERR_UPSTREAM, "The server refused the WebSocket: %.*s",
				(int)(strcspn(head, "\r\n") < 100 ? strcspn(head, "\r\n") : 100), head);
	if (!header_is(head, "Upgrade", "websocket") || !header_is(head, "Sec-WebSocket-Accept", accept))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The server's answer to the WebSocket request is wrong.");
	return ATL_OK;
}

static enum atl_err shake_hands(struct atl_ws_client *client, const struct atl_ws_client_request *request,
				const struct atl_url *url, uint64_t end_ms, struct atl_errinfo *info)
{
	unsigned char nonce[16], digest[20];
	struct atl_buf key, accept;
	enum atl_err err;

	atl_buf_init(&key, 256);
	atl_buf_init(&accept, 256);
	atl_random(nonce, sizeof(nonce));
	atl_base64_encode(&key, ATL_BASE64_STANDARD, nonce, sizeof(nonce));
	atl_buf_addf(&accept, "%s%s", key.data, MAGIC);
	atl_sha1(accept.data, accept.length, digest);
	atl_buf_reset(&accept);
	atl_base64_encode(&accept, ATL_BASE64_STANDARD, digest, sizeof(digest));
	err = key.failed || accept.failed ? ATL_ERR_NOMEM : send_request(client, request, url, key.data, info);
	if (!err)
		err = read_answer(client, accept.data, end_ms, info);
	atl_buf_finish(&key);
	atl_buf_finish(&accept);
	return err;
}

/* ---- the client ---- */

enum atl_err atl_ws_client_open(const struct atl_ws_client_request *request, struct atl_ws_client **ret,
				struct atl_errinfo *info)
{
	uint64_t end_ms = atl_monotonic_ms() + request->timeout_ms;
	struct atl_ws_client *client;
	struct atl_url url;
	enum atl_err err = atl_guard_url(request->guard, request->url, info);

	if (!err)
		err = atl_url_split(request->url, &url, info);
	if (err)
		return err;
	if (url.https)
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "A WebSocket over TLS is not offered.");
	client = calloc(1, sizeof(*client));
	if (!client)
		return ATL_ERR_NOMEM;
	client->fd = -1;
	client->cancelled = request->cancelled;
	client->reader = atl_ws_reader_create(request->max_message_bytes);
	err = client->reader ? connect_to(client, request, &url, end_ms, info) : ATL_ERR_NOMEM;
	if (!err)
		err = shake_hands(client, request, &url, end_ms, info);
	if (err)
		atl_ws_client_close(client);
	else
		*ret = client;
	return err;
}

enum atl_err atl_ws_client_send(struct atl_ws_client *client, const char *text, size_t length,
				struct atl_errinfo *info)
{
	return send_frame(client, OP_TEXT, text, length, info);
}

static enum atl_err receive(struct atl_ws_client *client, uint64_t end_ms, struct atl_errinfo *info)
{
	enum atl_err err = wait_fd(client->fd, POLLIN, client->cancelled, end_ms, info);
	ssize_t got;

	if (err)
		return err;
	got = recv(client->fd, client->input, sizeof(client->input), 0);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "The server closed the WebSocket.");
	if (got > 0)
		atl_ws_reader_feed(client->reader, client->input, (size_t)got);
	return ATL_OK;
}

enum atl_err atl_ws_client_next(struct atl_ws_client *client, unsigned timeout_ms, struct atl_ws_message *ret,
				struct atl_errinfo *info)
{
	uint64_t end_ms = atl_monotonic_ms() + timeout_ms;
	enum atl_err err = ATL_OK;

	while (!err) {
		struct atl_ws_message message;

		switch (atl_ws_reader_next(client->reader, &message)) {
		case ATL_WS_MESSAGE:
			*ret = message;
			return ATL_OK;
		case ATL_WS_PING:
			err = send_frame(client, OP_PONG, message.data, message.length, info);
			break;
		case ATL_WS_NOTHING:
			err = receive(client, end_ms, info);
			break;
		case ATL_WS_CLOSED:
			return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "The server closed the WebSocket.");
		case ATL_WS_TOO_LARGE:
			return atl_fail(info, ATL_ERR_TOO_LARGE, "A message of the server is larger than allowed.");
		case ATL_WS_BROKEN:
			return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The server broke the rules of WebSocket.");
		}
	}
	return err;
}

void atl_ws_client_close(struct atl_ws_client *client)
{
	if (!client)
		return;
	if (client->fd >= 0) {
		static const unsigned char bye[] = { 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8 };

		(void)!send(client->fd, bye, sizeof(bye), MSG_NOSIGNAL | MSG_DONTWAIT);
		close(client->fd);
	}
	atl_ws_reader_destroy(client->reader);
	free(client);
}
