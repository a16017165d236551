/* Bodies that are made while they are taken: whole, asked for without, failing in the middle, left in the middle. */
#include "support.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LENGTH ((size_t)5 << 20)

static struct site site;
static sem_t released; /* posted by each release */

struct counter {
	size_t at, fail_at;
};

static bool count_up(void *arg, void *room, size_t want)
{
	struct counter *counter = arg;
	unsigned char *out = room;

	if (counter->at + want > counter->fail_at)
		return false;
	for (size_t i = 0; i < want; i++)
		out[i] = (unsigned char)((counter->at + i) * 7 >> 3);
	counter->at += want;
	return true;
}

static void release(void *arg)
{
	free(arg);
	sem_post(&released);
}

static void send_counter(struct atl_req *req, size_t fail_at)
{
	struct counter *counter = calloc(1, sizeof(*counter));
	struct atl_source source = {.read = count_up, .release = release, .arg = counter};

	counter->fail_at = fail_at;
	atl_res_source(req, 200, "application/x-count", &source, LENGTH);
}

static void whole(struct atl_req *req)
{
	send_counter(req, SIZE_MAX);
}

static void broken(struct atl_req *req)
{
	send_counter(req, (size_t)1 << 20);
}

static void stillborn(struct atl_req *req)
{
	send_counter(req, 0);
}

static const struct atl_route routes[] = {
	{ATL_GET, "/whole", "public", 0, whole},
	{ATL_GET, "/broken", "public", 0, broken},
	{ATL_GET, "/stillborn", "public", 0, stillborn},
	{0},
};

static enum atl_auth authorize(struct atl_req *req, bool may_block, struct atl_errinfo *info)
{
	return ATL_AUTH_OK;
}

static void tweak(struct atl_server_options *options)
{
	options->authorize = authorize;
}

static int setup(void **state)
{
	sem_init(&released, 0, 0);
	site_start(&site, routes, tweak, NULL);
	return 0;
}

static int teardown(void **state)
{
	site_stop(&site);
	return sem_destroy(&released);
}

/* Exactly one release comes. */
static void expect_released(void)
{
	struct timespec until;
	int left = -1;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLIENT_DEADLINE_S;
	while (sem_timedwait(&released, &until) != 0)
		assert_int_equal(errno, EINTR);
	sem_getvalue(&released, &left);
	assert_int_equal(left, 0);
}

static void comes_whole(void **state)
{
	struct answer answer;

	client_once(&site, "GET /whole HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", &answer);
	assert_int_equal(answer.status, 200);
	assert_false(answer.cut);
	assert_int_equal(answer.length, LENGTH);
	for (size_t i = 0; i < LENGTH; i++)
		if ((unsigned char)answer.body[i] != (unsigned char)(i * 7 >> 3))
			fail_msg("byte %zu", i);
	assert_string_equal(answer_header(&answer, "Content-Type"), "application/x-count");
	answer_free(&answer);
	expect_released();
}

static void head_takes_nothing(void **state)
{
	struct answer answer;
	int fd = client_connect(&site);

	client_send(fd, "HEAD /whole HTTP/1.1\r\nHost: localhost\r\n\r\n");
	client_read(fd, &answer, true);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer_header(&answer, "Content-Length"), "5242880");
	answer_free(&answer);
	expect_released();
	close(fd);
}

static void failing_is_seen(void **state)
{
	struct answer answer;

	client_once(&site, "GET /broken HTTP/1.1\r\nHost: localhost\r\n\r\n", &answer);
	assert_int_equal(answer.status, 200);
	assert_true(answer.cut);
	assert_true(answer.length < LENGTH);
	answer_free(&answer);
	expect_released();
	/* at once: there is still an answer to give */
	client_once(&site, "GET /stillborn HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", &answer);
	assert_int_equal(answer.status, 500);
	answer_free(&answer);
	expect_released();
}

static void leaving_releases(void **state)
{
	char some[1000];
	int fd = client_connect(&site);

	client_send(fd, "GET /whole HTTP/1.1\r\nHost: localhost\r\n\r\n");
	assert_true(client_read_bytes(fd, some, sizeof(some)));
	close(fd);
	expect_released();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_whole),
		cmocka_unit_test(head_takes_nothing),
		cmocka_unit_test(failing_is_seen),
		cmocka_unit_test(leaving_releases),
	};

	return cmocka_run_group_tests_name("source", tests, setup, teardown);
}
