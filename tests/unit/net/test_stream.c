/* Chunked streams and server-sent events over real sockets, hang-ups and draining. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define H "Host: localhost\r\n"

static struct site site;

/* What the loop side has seen; the test waits for it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned opened, closed, hung_up, released, blocked, let_go;
static struct atl_stream *live;
static struct atl_loop *live_loop;
static struct atl_req *waiting;

static void bump(unsigned *counter)
{
	pthread_mutex_lock(&lock);
	(*counter)++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void wait_for(const unsigned *counter, unsigned value)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLIENT_DEADLINE_S;
	pthread_mutex_lock(&lock);
	while (*counter < value && rc == 0)
		rc = pthread_cond_timedwait(&changed, &lock, &until);
	pthread_mutex_unlock(&lock);
	assert_int_equal(rc, 0);
}

static void on_close(void *arg)
{
	live = NULL;
	bump(&closed);
}

static void three(struct atl_req *req)
{
	struct atl_stream *stream = atl_stream_begin(req, 200, "text/plain", on_close, NULL);
	char *big = malloc(100000);
	struct atl_bytes *frame = atl_sse_frame(7, "note", "a\nb", 3);

	live_loop = req->loop;
	memset(big, 'z', 100000);
	atl_stream_send(stream, "one ", 4);
	atl_stream_send(stream, big, 100000);
	atl_stream_send_bytes(stream, frame);
	atl_bytes_unref(frame);
	free(big);
	atl_stream_end(stream);
}

static void held(struct atl_req *req)
{
	live = atl_stream_begin(req, 200, "text/event-stream", on_close, NULL);
	live_loop = req->loop;
	bump(&opened);
}

static void broken(struct atl_req *req)
{
	struct atl_stream *stream = atl_stream_begin(req, 200, "text/plain", on_close, NULL);

	atl_stream_send(stream, "part", 4);
	atl_stream_abort(stream);
}

static void on_hangup(void *arg)
{
	atl_res_empty(waiting, 204);
	atl_res_send(waiting);
	waiting = NULL;
	bump(&hung_up);
}

static void later(struct atl_req *req)
{
	waiting = req;
	atl_req_on_hangup(req, on_hangup, NULL);
	bump(&opened);
}

static void slow(struct atl_req *req)
{
	bump(&opened);
	wait_for(&released, 1);
	atl_res_body(req, 200, "text/plain", "done", 4);
}

static const struct atl_route routes[] = {
	{ATL_GET, "/three", "public", ATL_ROUTE_LOOP, three}, {ATL_GET, "/held", "public", ATL_ROUTE_LOOP, held},
	{ATL_GET, "/broken", "public", ATL_ROUTE_LOOP, broken}, {ATL_GET, "/later", "public", ATL_ROUTE_LOOP, later},
	{ATL_GET, "/slow", "public", 0, slow},		      {0},
};

static int setup(void **state)
{
	opened = closed = hung_up = released = blocked = let_go = 0;
	site_start(&site, routes, NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	site_stop(&site);
	return 0;
}

static void chunked_stream(void **state)
{
	static const char event[] = "id: 7\nevent: note\ndata: a\ndata: b\n\n";
	struct answer answer;
	int fd = client_connect(&site);

	for (unsigned round = 1; round <= 3; round++) { /* the connection is kept */
		client_send(fd, "GET /three HTTP/1.1\r\n" H "\r\n");
		client_read(fd, &answer, false);
		assert_false(answer.cut);
		assert_int_equal(answer.length, 4 + 100000 + sizeof(event) - 1);
		assert_memory_equal(answer.body, "one zzz", 7);
		assert_string_equal(answer.body + 100004, event);
		answer_free(&answer);
		wait_for(&closed, round);
	}
	close(fd);
}

static void old_client(void **state)
{
	struct answer answer;
	int fd = client_connect(&site);

	client_send(fd, "GET /three HTTP/1.0\r\n" H "\r\n");
	client_read(fd, &answer, false);
	assert_null(answer_header(&answer, "Transfer-Encoding"));
	assert_int_equal(answer.length, 4 + 100000 + 35);
	answer_free(&answer);
	close(fd);
}

static void head_of_a_stream(void **state)
{
	struct answer answer;
	int fd = client_connect(&site);

	client_send(fd, "HEAD /held HTTP/1.1\r\n" H "\r\nGET /three HTTP/1.1\r\n" H "\r\n");
	client_read(fd, &answer, true);
	assert_int_equal(answer.status, 200);
	answer_free(&answer);
	client_read(fd, &answer, false);
	assert_memory_equal(answer.body, "one ", 4);
	answer_free(&answer);
	wait_for(&closed, 2);
	close(fd);
}

static void aborted_stream_is_cut(void **state)
{
	struct answer answer;

	client_once(&site, "GET /broken HTTP/1.1\r\n" H "\r\n", &answer);
	assert_true(answer.cut);
	answer_free(&answer);
	wait_for(&closed, 1);
}

static void send_one(void *arg)
{
	struct atl_bytes *frame = atl_sse_frame(0, NULL, "x", 1);

	if (live)
		atl_stream_send_bytes(live, frame);
	atl_bytes_unref(frame);
}

static void hang_up_ends_the_stream(void **state)
{
	char text[512];
	int fd = client_connect(&site);

	client_send(fd, "GET /held HTTP/1.1\r\n" H "\r\n");
	client_read_until(fd, text, sizeof(text), "\r\n\r\n");
	wait_for(&opened, 1);
	assert_true(atl_loop_post(live_loop, send_one, NULL));
	client_read_until(fd, text, sizeof(text), "data: x\n\n");
	close(fd);
	wait_for(&closed, 1);
}

static void hang_up_reaches_the_handler(void **state)
{
	int fd = client_connect(&site);

	client_send(fd, "GET /later HTTP/1.1\r\n" H "\r\n");
	wait_for(&opened, 1);
	close(fd);
	wait_for(&hung_up, 1);
}

static void *drain(void *arg)
{
	atl_server_drain(site.server, 8000);
	return NULL;
}

/* What was in work is answered, and says that it was the last. */
static void client_told_to_go(int fd)
{
	struct answer answer;
	const char *connection;

	client_read(fd, &answer, false);
	connection = answer_header(&answer, "Connection");
	assert_string_equal(answer.body, "done");
	assert_string_equal(connection ? connection : "kept", "close");
	answer_free(&answer);
	assert_true(client_closed(fd));
	close(fd);
}

/* Draining answers what is in work, tells the client to go, and takes nobody new. */
static void drain_finishes_work(void **state)
{
	struct answer answer;
	pthread_t thread;
	int idle = client_connect(&site), busy = client_connect(&site);

	client_send(idle, "GET /three HTTP/1.1\r\n" H "\r\n");
	client_read(idle, &answer, false);
	answer_free(&answer);
	client_send(busy, "GET /slow HTTP/1.1\r\n" H "\r\n");
	wait_for(&opened, 1);
	assert_int_equal(pthread_create(&thread, NULL, drain, NULL), 0);
	assert_true(client_closed(idle));
	bump(&released);
	client_told_to_go(busy);
	pthread_join(thread, NULL);
	close(idle);
}

static void block(void *arg)
{
	bump(&blocked);
	wait_for(&let_go, 1);
}

/* A kept connection on that loop; the kernel chooses, so we ask until it has chosen ours. */
static int connect_to(const struct atl_loop *loop)
{
	for (unsigned round = closed + 1;; round++) {
		struct answer answer;
		int fd = client_connect(&site);

		client_send(fd, "GET /three HTTP/1.1\r\n" H "\r\n");
		client_read(fd, &answer, false);
		answer_free(&answer);
		wait_for(&closed, round);
		if (live_loop == loop)
			return fd;
		close(fd);
	}
}

/* Once anybody has been told to go, no loop keeps a client, also one that had no time to hear of it. */
static void drain_is_of_all_loops(void **state)
{
	pthread_t thread;
	int idle = connect_to(site.loops[0]), busy = connect_to(site.loops[1]);

	client_send(busy, "GET /slow HTTP/1.1\r\n" H "\r\n");
	wait_for(&opened, 1);
	assert_true(atl_loop_post(site.loops[1], block, NULL));
	wait_for(&blocked, 1);
	bump(&released);
	usleep(20000); /* the answer waits at the loop now, before what drains it; were it later, it would be closed anyway */
	assert_int_equal(pthread_create(&thread, NULL, drain, NULL), 0);
	assert_true(client_closed(idle));
	bump(&let_go);
	client_told_to_go(busy);
	pthread_join(thread, NULL);
	close(idle);
}

/* Destroying with clients of every kind attached ends each of them exactly once and frees everything. */
static void destroy_with_clients(void **state)
{
	int fds[4];

	for (size_t i = 0; i < 4; i++)
		fds[i] = client_connect(&site);
	client_send(fds[0], "GET /held HTTP/1.1\r\n" H "\r\n");
	wait_for(&opened, 1);
	client_send(fds[1], "GET /slow HTTP/1.1\r\n" H "\r\n");
	wait_for(&opened, 2);
	client_send(fds[2], "POST /held HTTP/1.1\r\n" H "Content-Le");
	bump(&released);
	site_stop(&site);
	assert_int_equal(closed, 1);
	for (size_t i = 0; i < 4; i++)
		close(fds[i]);
	released = 0;
	site_start(&site, routes, NULL, NULL); /* for teardown */
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(chunked_stream),	      CASE(old_client),
		CASE(head_of_a_stream),	      CASE(aborted_stream_is_cut),
		CASE(hang_up_ends_the_stream), CASE(hang_up_reaches_the_handler),
		CASE(drain_finishes_work),    CASE(drain_is_of_all_loops),
		CASE(destroy_with_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
