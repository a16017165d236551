/* WebSocket conversations: handshake, masking, fragments, control frames, closing, limits. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define H "Host: localhost\r\n"
#define UPGRADE                                                                                                      \
	"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"                      \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

enum { MASKED = 0x80, FIN = 0x80 };

static struct site site;
static _Atomic unsigned closes;

struct talk {
	struct atl_ws *ws;
};

static void on_text(void *arg, const char *text, size_t length)
{
	struct talk *talk = arg;
	struct atl_bytes *frame;

	if (strcmp(text, "close") == 0) {
		atl_ws_close(talk->ws, 4001);
		return;
	}
	frame = atl_ws_frame(text, length);
	if (length % 2)
		atl_ws_send_bytes(talk->ws, frame);
	else
		atl_ws_send(talk->ws, text, length);
	atl_bytes_unref(frame);
}

static void on_close(void *arg)
{
	free(arg);
	closes++;
}

static const struct atl_ws_ops ops = {.on_text = on_text, .on_close = on_close};

static void handler(struct atl_req *req)
{
	struct talk *talk = calloc(1, sizeof(*talk));
	struct atl_errinfo info = {0};
	enum atl_err err = atl_ws_accept(req, NULL, &ops, talk, &talk->ws, &info);

	if (!err)
		return;
	free(talk);
	atl_res_error(req, err, &info);
	atl_res_send(req);
}

static const struct atl_route routes[] = {{ATL_GET, "/ws", "public", ATL_ROUTE_LOOP, handler}, {0}};

static void tweak(struct atl_server_options *options)
{
	options->times.ws_ping_ms = 200;
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

static int open_ws(void)
{
	int fd = client_connect(&site);
	char head[2048];

	client_send(fd, "GET /ws HTTP/1.1\r\n" H UPGRADE "\r\n");
	client_read_until(fd, head, sizeof(head), "\r\n\r\n");
	assert_non_null(strstr(head, "HTTP/1.1 101 "));
	assert_non_null(strstr(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	assert_non_null(strstr(head, "Connection: Upgrade\r\n"));
	return fd;
}

static size_t encode(unsigned char *out, unsigned first, const char *data, size_t length, bool masked)
{
	static const unsigned char mask[4] = {1, 2, 3, 250};
	size_t at = 0;

	out[at++] = (unsigned char)first;
	if (length < 126) {
		out[at++] = (unsigned char)(length | (masked ? MASKED : 0));
	} else if (length < 65536) {
		out[at++] = (unsigned char)(126 | (masked ? MASKED : 0));
		out[at++] = (unsigned char)(length >> 8);
		out[at++] = (unsigned char)length;
	} else {
		out[at++] = (unsigned char)(127 | (masked ? MASKED : 0));
		for (int shift = 56; shift >= 0; shift -= 8)
			out[at++] = (unsigned char)((uint64_t)length >> shift);
	}
	if (masked) {
		memcpy(out + at, mask, 4);
		at += 4;
	}
	for (size_t i = 0; i < length; i++)
		out[at++] = (unsigned char)(masked ? (unsigned char)data[i] ^ mask[i & 3] : (unsigned char)data[i]);
	return at;
}

static void send_frame(int fd, unsigned first, const char *data, size_t length)
{
	unsigned char *frame = malloc(length + 16);

	assert_non_null(frame);
	(void)!client_send_some(fd, frame, encode(frame, first, data, length, true));
	free(frame);
}

/* The next frame that is not a ping of the server. */
static unsigned read_frame(int fd, char *out, size_t size, size_t *ret_length)
{
	unsigned char head[10];
	uint64_t length;

	do {
		assert_true(client_read_bytes(fd, head, 2));
		assert_int_equal(head[1] & MASKED, 0);
		length = head[1];
		if (length == 126) {
			assert_true(client_read_bytes(fd, head + 2, 2));
			length = head[2] * 256u + head[3];
		} else if (length == 127) {
			assert_true(client_read_bytes(fd, head + 2, 8));
			length = 0;
			for (int i = 2; i < 10; i++)
				length = length << 8 | head[i];
		}
		assert_true(length < size);
		assert_true(client_read_bytes(fd, out, length));
		out[length] = 0;
	} while (head[0] == (FIN | 9));
	*ret_length = length;
	return head[0];
}

static void expect_text(int fd, const char *want)
{
	char text[256];
	size_t length;

	assert_int_equal(read_frame(fd, text, sizeof(text), &length), FIN | 1);
	assert_string_equal(text, want);
}

/* A close frame with this code (0: none), then the end. */
static void expect_close(int fd, unsigned code)
{
	char text[256];
	size_t length;

	assert_int_equal(read_frame(fd, text, sizeof(text), &length), FIN | 8);
	assert_int_equal(length, code ? 2 : 0);
	if (code)
		assert_int_equal((unsigned char)text[0] * 256u + (unsigned char)text[1], code);
	assert_true(client_closed(fd));
	close(fd);
}

static void refused_handshakes(void **state)
{
	static const char *const requests[] = {
		"GET /ws HTTP/1.1\r\n" H "\r\n",
		"GET /ws HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 12\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"GET /ws HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
		"GET /ws HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: short\r\n\r\n",
		"GET /ws HTTP/1.1\r\n" H "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	};

	for (size_t i = 0; i < ATL_COUNT(requests); i++) {
		struct answer answer;

		client_once(&site, requests[i], &answer);
		assert_int_equal(answer.status, 400);
		answer_free(&answer);
	}
}

static void messages(void **state)
{
	int fd = open_ws();
	char *big = malloc(200001), *back = malloc(200002);
	size_t length;

	send_frame(fd, FIN | 1, "hello", 5);
	expect_text(fd, "hello");
	send_frame(fd, FIN | 1, "", 0);
	expect_text(fd, "");
	send_frame(fd, 1, "fr", 2);
	send_frame(fd, 0, "agm", 3);
	send_frame(fd, FIN | 9, "ping", 4); /* a control frame between the pieces */
	send_frame(fd, FIN | 0, "ents", 4);
	assert_int_equal(read_frame(fd, back, 200002, &length), FIN | 10);
	assert_string_equal(back, "ping");
	expect_text(fd, "fragments");
	memset(big, 'q', 200000);
	send_frame(fd, FIN | 1, big, 200000);
	assert_int_equal(read_frame(fd, back, 200002, &length), FIN | 1);
	assert_int_equal(length, 200000);
	send_frame(fd, FIN | 8, "\x03\xe8", 2);
	expect_close(fd, 1000);
	free(big);
	free(back);
}

static void byte_by_byte(void **state)
{
	int fd = open_ws();
	unsigned char frame[64];
	size_t length = encode(frame, FIN | 1, "slowly", 6, true);

	for (size_t i = 0; i < length; i++)
		client_send_bytes(fd, frame + i, 1);
	expect_text(fd, "slowly");
	close(fd);
}

/* Frames sent right behind the handshake, and several at once. */
static void frames_in_one_piece(void **state)
{
	int fd = client_connect(&site);
	unsigned char bytes[1024];
	char head[2048];
	size_t length;

	strcpy((char *)bytes, "GET /ws HTTP/1.1\r\n" H UPGRADE "\r\n");
	length = strlen((char *)bytes);
	length += encode(bytes + length, FIN | 1, "a", 1, true);
	length += encode(bytes + length, FIN | 1, "bc", 2, true);
	client_send_bytes(fd, bytes, length);
	client_read_until(fd, head, sizeof(head), "\r\n\r\n");
	expect_text(fd, "a");
	expect_text(fd, "bc");
	close(fd);
}

static void broken_rules(void **state)
{
	static const struct {
		unsigned first;
		const char *data;
		size_t length;
		unsigned code;
	} rows[] = {
		{FIN | 2, "binary", 6, 1003},	      {FIN | 1, "\xff\xfe", 2, 1007},
		{FIN | 1, "\xed\xa0\x80", 3, 1007},   {FIN | 0, "x", 1, 1002},
		{FIN | 0x40 | 1, "rsv", 3, 1002},     {FIN | 3, "reserved", 8, 1002},
		{9, "fragmented ping", 15, 1002},     {FIN | 8, "\x03", 1, 1002},
		{FIN | 8, "\x03\xed", 2, 1002},	      {FIN | 8, "\x03\xe8\xff", 3, 1007},
		{FIN | 8, "", 0, 0},
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		int fd = open_ws();

		send_frame(fd, rows[i].first, rows[i].data, rows[i].length);
		expect_close(fd, rows[i].code);
	}
}

static void unmasked_is_refused(void **state)
{
	int fd = open_ws();
	unsigned char frame[16];

	client_send_bytes(fd, frame, encode(frame, FIN | 1, "x", 1, false));
	expect_close(fd, 1002);
}

static void too_big(void **state)
{
	int fd = open_ws();
	unsigned char head[14] = {FIN | 1, 127 | MASKED, 0, 0, 0, 0, 0, 0x20, 0, 0, 1, 2, 3, 4};

	client_send_bytes(fd, head, sizeof(head));
	client_send(fd, "x");
	expect_close(fd, 1009);
}

static void server_closes(void **state)
{
	int fd = open_ws();
	char text[64];
	size_t length;

	send_frame(fd, FIN | 1, "close", 5);
	assert_int_equal(read_frame(fd, text, sizeof(text), &length), FIN | 8);
	assert_int_equal((unsigned char)text[0] * 256 + (unsigned char)text[1], 4001);
	send_frame(fd, FIN | 8, "\x0f\xa1", 2);
	assert_true(client_closed(fd));
	close(fd);
}

/* A silent client is pinged, and dropped when it stays silent. */
static void silence(void **state)
{
	int fd = open_ws();
	unsigned char frame[2];

	assert_true(client_read_bytes(fd, frame, 2));
	assert_int_equal(frame[0], FIN | 9);
	while (client_read_bytes(fd, frame, 2))
		assert_int_equal(frame[0], FIN | 9);
	close(fd);
}

static void every_close_was_told(void **state)
{
	int fd = open_ws();
	unsigned before = closes;

	send_frame(fd, FIN | 8, "", 0);
	expect_close(fd, 0);
	atl_server_drain(site.server, 8000);
	assert_true(closes > before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_handshakes),  cmocka_unit_test(messages),
		cmocka_unit_test(byte_by_byte),	       cmocka_unit_test(frames_in_one_piece),
		cmocka_unit_test(broken_rules),	       cmocka_unit_test(unmasked_is_refused),
		cmocka_unit_test(too_big),	       cmocka_unit_test(server_closes),
		cmocka_unit_test(silence),	       cmocka_unit_test(every_close_was_told),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
