/* The supervised picture engine: started when needed, its state, killed and back, stopped. With the real program. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/pictures/picture_engine.h"
#include "fixture.h"
#include "ipc/channel.h"

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_open(f, NULL);
	f->app.picture_program = getenv("ATELIER_IMAGE");
	f->app.picture_threads = 1;
	*state = f;
	return f->app.picture_program ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	atl_picture_engine_destroy(f->app.picture_engine);
	fixture_close(f);
	free(f);
	return 0;
}

static struct atl_picture_engine_status status_of(struct fixture *f)
{
	struct atl_picture_engine_status status;

	assert_int_equal(atl_picture_engine_status(f->app.picture_engine, &f->arena, &status, NULL), ATL_OK);
	return status;
}

static void wait_for_state(struct fixture *f, const char *wanted)
{
	for (uint64_t end = atl_monotonic_ms() + 60000; atl_monotonic_ms() < end; poll(NULL, 0, 10))
		if (atl_str_eq(status_of(f).state, wanted))
			return;
	fail_msg("it is %s, not %s", status_of(f).state, wanted);
}

static pid_t pid_behind(const char *path)
{
	struct ucred who = {0};
	socklen_t size = sizeof(who);
	int fd;

	assert_int_equal(atl_channel_connect(path, &fd, NULL), ATL_OK);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size), 0);
	close(fd);
	assert_true(who.pid > 1);
	return who.pid;
}

static void test_not_installed(void **state)
{
	struct fixture *f = *state;
	struct atl_image_endpoint endpoint;
	struct atl_errinfo info = {0};

	assert_string_equal(status_of(f).state, "not_installed");
	assert_int_equal(atl_picture_engine_endpoint(NULL, &f->arena, &endpoint, &info), ATL_ERR_NO_MODEL);
	assert_non_null(strstr(info.detail, "script/setup"));
}

static void test_starts_dies_and_comes_back(void **state)
{
	struct fixture *f = *state;
	struct atl_image_endpoint endpoint;
	struct atl_picture_engine_status status;
	pid_t first;

	assert_int_equal(atl_picture_engine_create(&f->app, &f->app.picture_engine, NULL), ATL_OK);
	assert_string_equal(status_of(f).state, "stopped");
	assert_int_equal(atl_picture_engine_endpoint(f->app.picture_engine, &f->arena, &endpoint, NULL), ATL_OK);
	assert_string_equal(endpoint.kind, "local");
	status = status_of(f);
	assert_string_equal(status.state, "healthy");
	assert_int_equal(status.threads, 1);
	assert_true(status.memory_bytes > 0);
	assert_non_null(status.version);
	assert_null(status.model);

	first = pid_behind(endpoint.unix_path);
	assert_int_equal(kill(first, SIGKILL), 0);
	for (uint64_t end = atl_monotonic_ms() + 60000; status_of(f).restarts == 0 && atl_monotonic_ms() < end;)
		poll(NULL, 0, 10);
	assert_int_equal(atl_picture_engine_endpoint(f->app.picture_engine, &f->arena, &endpoint, NULL), ATL_OK);
	assert_int_not_equal(pid_behind(endpoint.unix_path), first);

	atl_picture_engine_stop(f->app.picture_engine);
	wait_for_state(f, "stopped");
	assert_int_equal(atl_picture_engine_endpoint(f->app.picture_engine, &f->arena, &endpoint, NULL), ATL_OK);
}

static void test_a_program_that_ends_is_told(void **state)
{
	struct fixture *f = *state;
	struct atl_image_endpoint endpoint;
	struct atl_errinfo info = {0};

	f->app.picture_program = "/bin/false";
	assert_int_equal(atl_picture_engine_create(&f->app, &f->app.picture_engine, NULL), ATL_OK);
	assert_int_equal(atl_picture_engine_endpoint(f->app.picture_engine, &f->arena, &endpoint, &info), ATL_ERR_UNAVAILABLE);
	assert_non_null(strstr(info.detail, "does not start"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_not_installed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_starts_dies_and_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_program_that_ends_is_told, setup, teardown),
	};

	return cmocka_run_group_tests_name("picture_engine", tests, NULL, NULL);
}
