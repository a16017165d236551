/* Child processes: lines, exit codes, environment, descriptors, failure to start, the whole group's end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "os/child.h"

struct run {
	struct atl_loop *loop;
	struct atl_child_spec spec;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	bool over;
	enum atl_err err;
	int exit_code, signal;
	struct atl_buf lines;
	/* loop thread only */
	struct atl_child *child;
	int kill_at_line;
};

static void end_run(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	run->over = true;
	pthread_cond_signal(&run->changed);
	pthread_mutex_unlock(&run->lock);
}

static void on_line(void *arg, const char *line)
{
	struct run *run = arg;
	atl_buf_addf(&run->lines, "%s|", line);
	if (run->kill_at_line)
		atl_child_kill(run->child, run->kill_at_line);
}

static void on_exit_child(void *arg, int exit_code, int signal)
{
	struct run *run = arg;
	run->exit_code = exit_code;
	run->signal = signal;
	atl_child_destroy(run->child);
	end_run(run);
}

static void spawn(void *arg)
{
	struct run *run = arg;
	run->err = atl_child_spawn(run->loop, &run->spec, on_line, on_exit_child, run, &run->child, NULL);
	if (run->err)
		end_run(run);
}

static void run_spec(struct run *run)
{
	pthread_mutex_init(&run->lock, NULL);
	pthread_cond_init(&run->changed, NULL);
	atl_buf_init(&run->lines, 1 << 20);
	assert_int_equal(atl_loop_create("child", &run->loop, NULL), ATL_OK);
	assert_true(atl_loop_post(run->loop, spawn, run));
	pthread_mutex_lock(&run->lock);
	while (!run->over)
		pthread_cond_wait(&run->changed, &run->lock);
	pthread_mutex_unlock(&run->lock);
	atl_loop_destroy(run->loop);
	pthread_cond_destroy(&run->changed);
	pthread_mutex_destroy(&run->lock);
}

static void run_shell(struct run *run, const char *script)
{
	const char *argv[] = {"sh", "-c", script, NULL};
	run->spec.path = "/bin/sh";
	run->spec.argv = argv;
	run_spec(run);
}

static int open_descriptors(void)
{
	int count = 0;
	DIR *folder = opendir("/proc/self/fd");
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void test_lines_and_code(void **state)
{
	int before = open_descriptors();
	struct run run = {.spec.pass_fd = -1};
	run_shell(&run, "echo one; echo two >&2; printf three; exit 7");
	assert_string_equal(run.lines.data, "one|two|three|");
	assert_int_equal(run.exit_code, 7);
	assert_int_equal(run.signal, 0);
	atl_buf_finish(&run.lines);
	assert_int_equal(open_descriptors(), before);
}

static void test_environment_is_only_what_is_given(void **state)
{
	const char *argv[] = {"env", NULL}, *env[] = {"A=b", NULL};
	struct run run = {.spec = {.path = "/usr/bin/env", .argv = argv, .env = env, .pass_fd = -1}};
	run_spec(&run);
	assert_string_equal(run.lines.data, "A=b|");
	atl_buf_finish(&run.lines);
}

/* 0, 1, 2 and 3 and nothing more, though we hold one that is not close-on-exec. */
static void test_descriptors(void **state)
{
	int leaky = fcntl(0, F_DUPFD, 50), pipe_fds[2];
	assert_int_equal(leaky, 50);
	assert_int_equal(pipe(pipe_fds), 0);
	struct run run = {.spec.pass_fd = pipe_fds[1]};
	run_shell(&run, "echo hello >&3; for fd in /proc/$$/fd/*; do echo ${fd##*/}; done");
	char data[6] = "";
	assert_int_equal(read(pipe_fds[0], data, 6), 6);
	assert_memory_equal(data, "hello\n", 6);
	assert_string_equal(run.lines.data, "0|1|2|3|4|"); /* 4: the shell's own look into the folder */
	atl_buf_finish(&run.lines);
	close(leaky);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void test_cannot_start(void **state)
{
	const char *argv[] = {"x", NULL};
	int before = open_descriptors();
	struct run run = {.spec = {.path = "/nonexistent/x", .argv = argv, .pass_fd = -1}};
	run_spec(&run);
	assert_int_equal(run.err, ATL_ERR_NOT_FOUND);
	atl_buf_finish(&run.lines);
	struct run folder = {.spec = {.path = "/tmp", .argv = argv, .pass_fd = -1}};
	run_spec(&folder);
	assert_int_equal(folder.err, ATL_ERR_IO);
	atl_buf_finish(&folder.lines);
	assert_int_equal(open_descriptors(), before);
}

/* The signal reaches what the child started too: else its `sleep` would hold the pipe and the end would not come. */
static void test_group_is_killed(void **state)
{
	struct run run = {.spec.pass_fd = -1, .kill_at_line = SIGTERM};
	run_shell(&run, "sleep 1000 & echo ready; wait");
	assert_string_equal(run.lines.data, "ready|");
	assert_int_equal(run.exit_code, -1);
	assert_int_equal(run.signal, SIGTERM);
	atl_buf_finish(&run.lines);
}

/* libuv keeps a pair of descriptors from the first loop on: they are there before anything is counted. */
static int first_loop(void **state)
{
	struct atl_loop *loop;
	if (atl_loop_create("first", &loop, NULL) != ATL_OK)
		return -1;
	atl_loop_destroy(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_and_code), cmocka_unit_test(test_environment_is_only_what_is_given),
		cmocka_unit_test(test_descriptors),    cmocka_unit_test(test_cannot_start),
		cmocka_unit_test(test_group_is_killed),
	};
	return cmocka_run_group_tests_name("child", tests, first_loop, NULL);
}
