/* test_ws_client.c - the WebSocket client: frames in any cut, broken ones refused, the handshake against a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "net/ws_client.h"

#define CAP 300

/* ---- reader ---- */

/* Everything that comes out, in words, when the input arrives `piece` bytes at a time. */
static void read_all(const void *data, size_t length, size_t piece, struct atl_buf *out)
{
	struct atl_ws_reader *reader = atl_ws_reader_create(CAP);
	enum atl_ws_event event = ATL_WS_NOTHING;

	for (size_t at = 0; at < length; at += piece) {
		struct atl_ws_message m;

		atl_ws_reader_feed(reader, (const char *)data + at, length - at < piece ? length - at : piece);
		while ((event = atl_ws_reader_next(reader, &m)) == ATL_WS_MESSAGE || event == ATL_WS_PING)
			atl_buf_addf(out, "%s(%zu)%.20s ", event == ATL_WS_PING ? "ping" : m.binary ? "bin" : "text", m.length, m.data);
		if (event)
			break;
	}
	atl_buf_adds(out, event == ATL_WS_CLOSED ? "closed" : event == ATL_WS_BROKEN ? "broken" :
		     event == ATL_WS_TOO_LARGE ? "large" : "open");
	atl_ws_reader_destroy(reader);
}

static void expect(const void *data, size_t length, const char *want)
{
	for (size_t piece = 1; piece <= length + 1; piece += piece < 4 ? 1 : 97) {
		struct atl_buf out;

		atl_buf_init(&out, 4096);
		read_all(data, length, piece, &out);
		assert_string_equal(out.data, want);
		atl_buf_finish(&out);
	}
}

static void reads_frames(void **state)
{
	char big[304] = "\x82\x7e\x01\x2c"; /* 300 bytes */

	(void)state;
	expect("\x81\x02hi\x82\x01x", 7, "text(2)hi bin(1)x open");
	expect("\x01\x02he\x89\x01p\x00\x01l\x80\x02lo\x88\x00", 16, "ping(1)p text(5)hello closed");
	expect("\x81\x00", 2, "text(0) open");
	memset(big + 4, 'a', 300);
	expect(big, sizeof(big), "bin(300)aaaaaaaaaaaaaaaaaaaa open");
}

static void refuses_frames(void **state)
{
	(void)state;
	expect("\x81\x82\0\0\0\0hi", 8, "broken"); /* a server does not mask */
	expect("\xc1\x02hi", 4, "broken");	   /* reserved bit */
	expect("\x83\x01x", 3, "broken");	   /* unknown opcode */
	expect("\x80\x01x", 3, "broken");	   /* goes on with nothing */
	expect("\x01\x01x\x81\x01y", 6, "broken"); /* begins inside another */
	expect("\x09\x00", 2, "broken");	   /* a ping in pieces */
	expect("\x81\x02\xff\xfe", 4, "broken");   /* not UTF-8 */
	/* wslay tells of a frame with its first byte */
	expect("\x82\x7e\x01\x2dx", 5, "large");
	expect("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xffx", 11, "large");
	expect("\x02\x01x\x80\x7e\x01\x2cx", 8, "large"); /* in sum */
}

/* ---- socket ---- */

struct peer {
	int listener, port;
	pthread_t thread;
	const char *frames; /* sent after the handshake; NULL: the answer is 403 */
	size_t length;
	bool wrong_accept;
	char request[4096], got[64];
	ssize_t got_length;
};

static void answer(struct peer *peer, int fd)
{
	char *key = strstr(peer->request, "Sec-WebSocket-Key: ") + 19, head[256];
	unsigned char digest[20];
	struct atl_buf buf;

	atl_buf_init(&buf, 256);
	atl_buf_add(&buf, key, 24);
	atl_buf_adds(&buf, peer->wrong_accept ? "x" : "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
	atl_sha1(buf.data, buf.length, digest);
	atl_buf_reset(&buf);
	atl_base64_encode(&buf, ATL_BASE64_STANDARD, digest, 20);
	snprintf(head, sizeof(head), "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nupgrade: WebSocket\r\n"
		 "Sec-WebSocket-Accept: %s\r\n\r\n", buf.data);
	atl_buf_finish(&buf);
	(void)!write(fd, head, strlen(head));
	(void)!write(fd, peer->frames, peer->length);
	peer->got_length = recv(fd, peer->got, sizeof(peer->got), 0);
}

static void *serve(void *arg)
{
	struct peer *peer = arg;
	int fd = accept(peer->listener, NULL, NULL);
	size_t length = 0;

	while (!strstr(peer->request, "\r\n\r\n")) {
		ssize_t got = read(fd, peer->request + length, sizeof(peer->request) - 1 - length);

		if (got <= 0)
			break;
		length += (size_t)got;
	}
	if (peer->frames)
		answer(peer, fd);
	else
		(void)!write(fd, "HTTP/1.1 403 Forbidden\r\n\r\n", 26);
	close(fd);
	return NULL;
}

static void start(struct peer *peer)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);

	peer->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(peer->listener, 1), 0);
	getsockname(peer->listener, (struct sockaddr *)&address, &size);
	peer->port = ntohs(address.sin_port);
	pthread_create(&peer->thread, NULL, serve, peer);
}

static void stop(struct peer *peer)
{
	pthread_join(peer->thread, NULL);
	close(peer->listener);
}

static enum atl_err open_to(const struct peer *peer, bool allowed, atomic_bool *cancelled, struct atl_ws_client **ret,
			    struct atl_errinfo *info)
{
	static const char *const headers[] = { "X-Test: yes", NULL };
	struct atl_guard guard;
	char url[64];
	enum atl_err err;

	assert_int_equal(atl_guard_init(&guard, NULL, info), ATL_OK);
	guard.allow_private = allowed;
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/ws?clientId=a", peer->port);
	err = atl_ws_client_open(&(struct atl_ws_client_request){ .url = url, .headers = headers, .guard = &guard,
		.cancelled = cancelled, .timeout_ms = 5000, .max_message_bytes = CAP }, ret, info);
	atl_guard_finish(&guard);
	return err;
}

static void talks(void **state)
{
	struct peer peer = { .frames = "\x81\x02hi\x89\x01p", .length = 7 };
	struct atl_ws_client *client;
	struct atl_ws_message m;
	struct atl_errinfo info = { 0 };
	atomic_bool cancelled = false;

	(void)state;
	start(&peer);
	assert_int_equal(open_to(&peer, true, &cancelled, &client, &info), ATL_OK);
	assert_int_equal(atl_ws_client_next(client, 5000, &m, &info), ATL_OK);
	assert_false(m.binary);
	assert_string_equal(m.data, "hi");
	/* The ping is answered while waiting; then the peer closes. */
	assert_int_equal(atl_ws_client_next(client, 5000, &m, &info), ATL_ERR_UPSTREAM_CUT);
	atl_ws_client_close(client);
	stop(&peer);
	assert_non_null(strstr(peer.request, "GET /ws?clientId=a HTTP/1.1\r\n"));
	assert_non_null(strstr(peer.request, "\r\nX-Test: yes\r\n"));
	assert_int_equal(peer.got_length, 7); /* a masked pong with one byte */
	assert_int_equal((unsigned char)peer.got[0], 0x8a);
	assert_int_equal((unsigned char)peer.got[1], 0x81);
	assert_int_equal(peer.got[6] ^ peer.got[2], 'p');
}

static void waits_and_is_cancelled(void **state)
{
	struct peer peer = { .frames = "", .length = 0 };
	struct atl_ws_client *client;
	struct atl_ws_message m;
	struct atl_errinfo info = { 0 };
	atomic_bool cancelled = false;

	(void)state;
	start(&peer);
	assert_int_equal(open_to(&peer, true, &cancelled, &client, &info), ATL_OK);
	assert_int_equal(atl_ws_client_next(client, 10, &m, &info), ATL_ERR_UPSTREAM_TIMEOUT);
	atomic_store(&cancelled, true);
	assert_int_equal(atl_ws_client_next(client, 60000, &m, &info), ATL_ERR_CANCELLED);
	atl_ws_client_close(client);
	stop(&peer);
}

static void refuses_answers(void **state)
{
	struct peer forbidden = { 0 }, wrong = { .frames = "", .wrong_accept = true };
	struct atl_ws_client *client;
	struct atl_errinfo info = { 0 };
	atomic_bool cancelled = false;

	(void)state;
	start(&forbidden);
	assert_int_equal(open_to(&forbidden, false, &cancelled, &client, &info), ATL_ERR_OUTBOUND);
	assert_int_equal(open_to(&forbidden, true, &cancelled, &client, &info), ATL_ERR_UPSTREAM);
	assert_non_null(strstr(info.detail, "403"));
	stop(&forbidden);
	start(&wrong);
	assert_int_equal(open_to(&wrong, true, &cancelled, &client, &info), ATL_ERR_UPSTREAM_FORMAT);
	stop(&wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_frames), cmocka_unit_test(refuses_frames), cmocka_unit_test(talks),
		cmocka_unit_test(waits_and_is_cancelled), cmocka_unit_test(refuses_answers),
	};

	return cmocka_run_group_tests_name("ws_client", tests, NULL, NULL);
}
