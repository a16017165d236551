/* The sandbox from inside: each forbidden act in a process of its own, which dies of it or is told no. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/sandbox.h"

enum { DENIED = 10, DONE = 11, NOT_ENTERED = 12 };

static int reading(void)
{
	return open("/etc/passwd", O_RDONLY) < 0;
}

static int writing(void)
{
	return open("/tmp/atelier-sandbox-test", O_WRONLY | O_CREAT, 0600) < 0;
}

static int connecting(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0;
}

static int unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0;
}

static int running(void)
{
	char *const argv[] = {(char *)"true", NULL};
	return execv("/bin/true", argv) < 0;
}

static int forking(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	return pid < 0;
}

static int new_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int code_from_data(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p != MAP_FAILED && mprotect(p, 4096, PROT_READ | PROT_EXEC) != 0;
}

static int killing(void)
{
	return kill(getppid(), 0) != 0;
}

static int tracing(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0;
}

static int unlinking(void)
{
	return unlink("/tmp/atelier-sandbox-test") != 0;
}

static int listing(void)
{
	char out[64];
	return syscall(SYS_getdents64, 0, out, sizeof out) < 0;
}

static int more_memory(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	return setrlimit(RLIMIT_AS, &limit) != 0;
}

/* How a process ends that enters the sandbox and tries. A signal is negative. */
static int outcome(int (*act)(void))
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct atl_errinfo info = {0};
		if (atl_sandbox_enter(&info) != ATL_OK)
			_exit(NOT_ENTERED);
		_exit(act() ? DENIED : DONE);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_forbidden(void **state)
{
	static const struct {
		const char *name;
		int (*act)(void);
		int end;
	} rows[] = {
		{"open to read", reading, DENIED},	 {"open to write", writing, DENIED},
		{"internet socket", connecting, -SIGSYS}, {"unix socket", unix_socket, -SIGSYS},
		{"execve", running, -SIGSYS},		 {"new process", forking, -SIGSYS},
		{"executable memory", new_code, DENIED}, {"data made executable", code_from_data, DENIED},
		{"kill", killing, -SIGSYS},		 {"ptrace", tracing, -SIGSYS},
		{"unlink", unlinking, -SIGSYS},		 {"getdents64", listing, -SIGSYS},
		{"raising a limit", more_memory, DENIED},
	};
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		int end = outcome(rows[i].act);
		if (end != rows[i].end)
			fail_msg("%s ended with %d instead of %d", rows[i].name, end, rows[i].end);
	}
}

static void *answer(void *arg)
{
	*(int *)arg = 42;
	return NULL;
}

/* What decoding needs still works. */
static int working(void)
{
	pthread_t thread;
	int value = 0;
	char *big = malloc((size_t)200 << 20);
	if (!big)
		return 1;
	memset(big, 1, (size_t)200 << 20);
	free(big);
	if (pthread_create(&thread, NULL, answer, &value) != 0 || pthread_join(thread, NULL) != 0)
		return 1;
	return value != 42;
}

static void test_allowed(void **state)
{
	assert_int_equal(outcome(working), DONE);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NO_MEMORY_LIMIT 1
#endif
#endif
#else
#define NO_MEMORY_LIMIT 1
#endif

#ifndef NO_MEMORY_LIMIT
static int too_much_memory(void)
{
	return mmap(NULL, (size_t)ATL_SANDBOX_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

/* A sanitizer's shadow memory needs more than any limit, so its builds have none: plain builds prove it. */
static void test_memory_limit(void **state)
{
	assert_int_equal(outcome(too_much_memory), DENIED);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_allowed),
#ifndef NO_MEMORY_LIMIT
		cmocka_unit_test(test_memory_limit),
#endif
	};
	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
