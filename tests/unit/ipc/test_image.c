/* The picture engine's messages: descriptors that travel, seals that are looked at, JSON that is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/channel.h"
#include "ipc/image.h"

static void test_rows_travel(void **state)
{
	struct atl_frame frame = {.type = ATL_FRAME_RESULT, .item = 3};
	struct atl_buf in;
	const void *rows;
	int fds[2], file, came = -1;
	uint64_t end = atl_monotonic_ms() + 60000;
	assert_int_equal(atl_channel_pair(fds, NULL), ATL_OK);
	assert_int_equal(atl_engine_share("picture", 7, &file, NULL), ATL_OK);
	assert_int_equal(write(file, "x", 1), -1); /* sealed */
	atl_buf_init(&in, 100);
	assert_int_equal(atl_channel_send_fd(fds[0], end, &frame, "{}", 2, file, NULL), ATL_OK);
	close(file);
	assert_int_equal(atl_channel_receive_fd(fds[1], end, &frame, &in, &came, NULL), ATL_OK);
	assert_int_equal(frame.item, 3);
	assert_string_equal(in.data, "{}");
	assert_true(came >= 0 && (fcntl(came, F_GETFD) & FD_CLOEXEC));
	assert_int_equal(atl_engine_map(came, 7, &rows, NULL), ATL_OK);
	assert_memory_equal(rows, "picture", 7);
	munmap((void *)rows, 7);
	assert_int_equal(atl_engine_map(came, 8, &rows, NULL), ATL_ERR_UPSTREAM_FORMAT);
	close(came);
	assert_int_equal(atl_channel_send(fds[0], end, &frame, "", 0, NULL, 0, NULL), ATL_OK);
	assert_int_equal(atl_channel_receive_fd(fds[1], end, &frame, &in, &came, NULL), ATL_OK);
	assert_int_equal(came, -1);
	atl_buf_finish(&in);
	close(fds[0]);
	close(fds[1]);
}

static void test_unsealed_is_refused(void **state)
{
	const void *rows;
	int file = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(write(file, "picture", 7), 7);
	assert_int_equal(atl_engine_map(file, 7, &rows, NULL), ATL_ERR_UPSTREAM_FORMAT);
	assert_int_equal(atl_engine_map(-1, 7, &rows, NULL), ATL_ERR_UPSTREAM_FORMAT);
	close(file);
}

static void test_json(void **state)
{
	struct atl_engine_made made = {640, 480, 4294967295}, back;
	struct atl_errinfo info = {0};
	struct atl_arena arena;
	struct atl_buf text;
	atl_arena_init(&arena, 0);
	atl_buf_init(&text, 1000);
	assert_int_equal(atl_engine_write(&atl_engine_made_desc, &made, &text, NULL), ATL_OK);
	assert_int_equal(atl_engine_read(&arena, &atl_engine_made_desc, text.data, text.length, &back, NULL), ATL_OK);
	assert_memory_equal(&made, &back, sizeof made);
	static const char *const bad[] = {"", "[]", "{\"width\":0,\"height\":1,\"seed\":1}",
					  "{\"width\":99999,\"height\":1,\"seed\":1}", "{\"width\":1,\"height\":1}"};
	for (size_t i = 0; i < ATL_COUNT(bad); i++)
		assert_int_equal(atl_engine_read(&arena, &atl_engine_made_desc, bad[i], strlen(bad[i]), &back, &info),
				 ATL_ERR_UPSTREAM_FORMAT);
	atl_buf_finish(&text);
	atl_arena_finish(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows_travel), cmocka_unit_test(test_unsealed_is_refused),
					   cmocka_unit_test(test_json)};
	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
