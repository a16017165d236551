/* Frames over a socket pair: pieces, deadlines, hang-up, sizes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/channel.h"

#define LARGE ((size_t)3 << 20)

static int fds[2];

static int open_pair(void **state)
{
	return atl_channel_pair(fds, NULL) == ATL_OK ? 0 : -1;
}

static int close_pair(void **state)
{
	close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	return 0;
}

static uint64_t within(uint64_t ms)
{
	return atl_monotonic_ms() + ms;
}

static void *send_large(void *arg)
{
	struct atl_frame frame = {.type = ATL_FRAME_PICTURE, .id = 7, .item = 1};
	char *data = malloc(LARGE);
	memset(data, 'x', LARGE);
	*(enum atl_err *)arg = atl_channel_send(fds[1], within(10000), &frame, "head", 4, data, LARGE, NULL);
	free(data);
	return NULL;
}

static void test_large_in_two_pieces(void **state)
{
	enum atl_err sent = ATL_ERR_INTERNAL;
	struct atl_frame frame;
	struct atl_buf in;
	pthread_t thread;
	atl_buf_init(&in, LARGE + 100);
	assert_int_equal(pthread_create(&thread, NULL, send_large, &sent), 0);
	assert_int_equal(atl_channel_receive(fds[0], within(10000), &frame, &in, NULL), ATL_OK);
	pthread_join(thread, NULL);
	assert_int_equal(sent, ATL_OK);
	assert_int_equal(frame.id, 7);
	assert_int_equal(in.length, LARGE + 4);
	assert_memory_equal(in.data, "headxxx", 7);
	assert_int_equal(in.data[in.length - 1], 'x');
	assert_int_equal(in.data[in.length], 0);
	atl_buf_finish(&in);
}

static void test_empty_and_in_a_row(void **state)
{
	struct atl_frame frame = {.type = ATL_FRAME_ERROR}, out;
	struct atl_buf in;
	atl_buf_init(&in, 100);
	assert_int_equal(atl_channel_send(fds[1], within(1000), &frame, "first", 5, NULL, 0, NULL), ATL_OK);
	frame.type = ATL_FRAME_END;
	assert_int_equal(atl_channel_send(fds[1], within(1000), &frame, NULL, 0, NULL, 0, NULL), ATL_OK);
	assert_int_equal(atl_channel_receive(fds[0], within(1000), &out, &in, NULL), ATL_OK);
	assert_string_equal(in.data, "first");
	assert_int_equal(atl_channel_receive(fds[0], within(1000), &out, &in, NULL), ATL_OK);
	assert_int_equal(out.type, ATL_FRAME_END);
	assert_int_equal(in.length, 0);
	atl_buf_finish(&in);
}

static void test_deadlines(void **state)
{
	struct atl_frame frame = {.type = ATL_FRAME_END};
	struct atl_buf in;
	atl_buf_init(&in, 100);
	uint64_t start = atl_monotonic_ms();
	assert_int_equal(atl_channel_receive(fds[0], within(60), &frame, &in, NULL), ATL_ERR_UPSTREAM_TIMEOUT);
	assert_true(atl_monotonic_ms() - start >= 60);
	/* a header that never gets its payload */
	unsigned char head[ATL_FRAME_HEADER_SIZE];
	frame = (struct atl_frame){.type = ATL_FRAME_ERROR, .length = 50};
	atl_frame_encode(&frame, head);
	assert_int_equal(write(fds[1], head, sizeof head), sizeof head);
	assert_int_equal(atl_channel_receive(fds[0], within(60), &frame, &in, NULL), ATL_ERR_UPSTREAM_TIMEOUT);
	/* nobody reads */
	char *data = calloc(1, LARGE);
	assert_int_equal(atl_channel_send(fds[1], within(60), &frame, data, LARGE, NULL, 0, NULL), ATL_ERR_UPSTREAM_TIMEOUT);
	/* already over */
	assert_int_equal(atl_channel_receive(fds[1], 1, &frame, &in, NULL), ATL_ERR_UPSTREAM_TIMEOUT);
	free(data);
	atl_buf_finish(&in);
}

static void test_hang_up(void **state)
{
	struct atl_frame frame = {.type = ATL_FRAME_ERROR, .length = 50};
	struct atl_buf in;
	unsigned char head[ATL_FRAME_HEADER_SIZE];
	atl_buf_init(&in, 100);
	atl_frame_encode(&frame, head);
	assert_int_equal(write(fds[1], head, sizeof head), sizeof head);
	assert_int_equal(write(fds[1], "ten bytes.", 10), 10);
	close(fds[1]);
	fds[1] = -1;
	assert_int_equal(atl_channel_receive(fds[0], within(5000), &frame, &in, NULL), ATL_ERR_UPSTREAM_CUT);
	assert_int_equal(atl_channel_receive(fds[0], within(5000), &frame, &in, NULL), ATL_ERR_UPSTREAM_CUT);
	/* no SIGPIPE either */
	assert_int_equal(atl_channel_send(fds[0], within(5000), &frame, "x", 1, NULL, 0, NULL), ATL_ERR_UPSTREAM_CUT);
	atl_buf_finish(&in);
}

static void test_oversize(void **state)
{
	struct atl_frame frame = {.type = ATL_FRAME_ERROR};
	struct atl_buf in;
	atl_buf_init(&in, 10);
	assert_int_equal(atl_channel_send(fds[1], within(1000), &frame, "eleven byte", 11, NULL, 0, NULL), ATL_OK);
	assert_int_equal(atl_channel_receive(fds[0], within(1000), &frame, &in, NULL), ATL_ERR_TOO_LARGE);
	assert_int_equal(atl_channel_send(fds[1], within(1000), &frame, "", ATL_FRAME_PAYLOAD_MAX, "", 1, NULL), ATL_ERR_TOO_LARGE);
	atl_buf_finish(&in);
}

static void test_close_on_exec(void **state)
{
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fds[1], F_GETFD) & FD_CLOEXEC);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)
	const struct CMUnitTest tests[] = {
		T(test_large_in_two_pieces), T(test_empty_and_in_a_row), T(test_deadlines),
		T(test_hang_up),	     T(test_oversize),		 T(test_close_on_exec),
	};
	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
