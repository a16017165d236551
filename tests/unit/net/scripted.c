/* scripted.c - see scripted.h. */
#include "scripted.h"

#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"

struct scripted_conn {
	struct scripted *server;
	struct scripted_conn *next;
	struct atl_sock *sock;
	struct atl_buf in;
	struct atl_timer *timer; /* one piece a turn */
	const struct scripted_reply *reply;
	size_t sent;
	bool closing;
};

struct call {
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
};

static void run_call(void *arg)
{
	struct call *call = arg;

	call->fn(call->arg);
	pthread_mutex_lock(&call->lock);
	call->done = true;
	pthread_cond_signal(&call->changed);
	pthread_mutex_unlock(&call->lock);
}

void on_loop(struct atl_loop *loop, void (*fn)(void *arg), void *arg)
{
	struct call call = {.fn = fn, .arg = arg};

	pthread_mutex_init(&call.lock, NULL);
	pthread_cond_init(&call.changed, NULL);
	assert_true(atl_loop_post(loop, run_call, &call));
	pthread_mutex_lock(&call.lock);
	while (!call.done)
		pthread_cond_wait(&call.changed, &call.lock);
	pthread_mutex_unlock(&call.lock);
	pthread_cond_destroy(&call.changed);
	pthread_mutex_destroy(&call.lock);
}

static void conn_close(struct scripted_conn *conn)
{
	conn->closing = true;
	atl_timer_stop(conn->timer);
	atl_sock_close(conn->sock);
}

static void send_piece(void *arg)
{
	struct scripted_conn *conn = arg;
	const struct scripted_reply *reply = conn->reply;
	size_t left = reply->length - conn->sent;
	size_t piece = reply->split && reply->split < left ? reply->split : left;

	if (conn->closing)
		return;
	if (piece)
		atl_sock_write(conn->sock, reply->bytes + conn->sent, piece);
	conn->sent += piece;
	if (conn->sent < reply->length) {
		atl_timer_start(conn->timer, 0, 0);
	} else if (reply->close) {
		conn->closing = true;
		atl_sock_shutdown(conn->sock);
	}
}

/* Bytes of the whole request at the front of the buffer, or 0. */
static size_t whole_request(const struct atl_buf *in)
{
	const char *end = in->length ? strstr(in->data, "\r\n\r\n") : NULL;
	const char *length = end ? strcasestr(in->data, "content-length: ") : NULL;
	size_t body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
	size_t total = end ? (size_t)(end + 4 - in->data) + body : 0;

	return total && in->length >= total ? total : 0;
}

static void on_data(void *arg, char *data, size_t length)
{
	struct scripted_conn *conn = arg;
	struct scripted *server = conn->server;
	size_t total, n;

	atl_buf_add(&conn->in, data, length);
	total = whole_request(&conn->in);
	if (!total)
		return;
	n = server->requests++;
	if (n < SCRIPTED_REQUESTS_MAX)
		server->seen[n] = strndup(conn->in.data, total);
	atl_buf_consume(&conn->in, total);
	conn->reply = &server->replies[n < server->reply_count ? n : server->reply_count - 1];
	conn->sent = 0;
	send_piece(conn);
}

static void on_end(void *arg, enum atl_err err)
{
	(void)err;
	conn_close(arg);
}

static void on_close(void *arg)
{
	struct scripted_conn *conn = arg;
	struct scripted_conn **at = &conn->server->first;

	while (*at != conn)
		at = &(*at)->next;
	*at = conn->next;
	atl_timer_destroy(conn->timer);
	atl_buf_finish(&conn->in);
	free(conn);
}

static void on_accept(void *arg, struct atl_sock *sock)
{
	static const struct atl_sock_ops OPS = {.on_data = on_data, .on_end = on_end, .on_close = on_close};
	struct scripted *server = arg;
	struct scripted_conn *conn = calloc(1, sizeof(*conn));

	if (!conn || atl_timer_create(server->loop, send_piece, conn, &conn->timer))
		abort();
	conn->server = server;
	conn->sock = sock;
	conn->next = server->first;
	server->first = conn;
	server->connections++;
	atl_buf_init(&conn->in, (size_t)4 << 20);
	atl_sock_open(sock, &OPS, conn);
}

static void start_on_loop(void *arg)
{
	struct scripted *server = arg;
	struct atl_listen_options options = {.address = "127.0.0.1", .backlog = 16};

	if (atl_listen(server->loop, &options, on_accept, server, &server->listener, NULL))
		abort();
	server->port = atl_listener_port(server->listener);
}

static void hang_up_on_loop(void *arg)
{
	struct scripted *server = arg;

	for (struct scripted_conn *conn = server->first; conn; conn = conn->next)
		conn_close(conn);
}

static void stop_on_loop(void *arg)
{
	struct scripted *server = arg;

	atl_listener_close(server->listener);
	hang_up_on_loop(server);
}

struct look {
	const struct scripted *server;
	bool open;
};

static void look(void *arg)
{
	struct look *look = arg;

	look->open = look->server->first != NULL;
}

/* The list is the loop's own: it is looked at there, one turn after the other. */
static void wait_until_closed(struct scripted *server)
{
	struct look at = {.server = server};

	do
		on_loop(server->loop, look, &at);
	while (at.open);
}

void scripted_start(struct scripted *server, struct atl_loop *loop, const struct scripted_reply *replies, size_t count)
{
	*server = (struct scripted){.loop = loop, .replies = replies, .reply_count = count};
	on_loop(loop, start_on_loop, server);
}

void scripted_hang_up(struct scripted *server)
{
	on_loop(server->loop, hang_up_on_loop, server);
	wait_until_closed(server);
}

void scripted_stop(struct scripted *server)
{
	on_loop(server->loop, stop_on_loop, server);
	wait_until_closed(server);
	for (size_t i = 0; i < SCRIPTED_REQUESTS_MAX; i++)
		free(server->seen[i]);
}
