/* child.c - spawning: fork and exec on the loop thread, output lines and the exit through polled descriptors.
 *
 * fork() is called on the loop thread because PR_SET_PDEATHSIG is bound to the forking thread, and a loop thread lives
 * as long as the server. Between fork and exec only async-signal-safe calls are made.
 */
#include "os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

#define PASSED_FD 3

struct atl_child {
	struct atl_loop *loop;
	void (*on_line)(void *arg, const char *line);
	void (*on_exit)(void *arg, int exit_code, int signal);
	void *arg;
	int pid;
	int exit_fd;   /* pidfd: readable when the process has ended */
	int output_fd; /* both its stdout and stderr; -1 once closed */
	struct atl_poll *exit_poll, *output_poll;
	char line[ATL_CHILD_LOG_LINE_MAX + 1];
	size_t line_length;
	bool line_cut;
	bool ended;
	/* a callback is running: destroy is put off until it has returned */
	bool busy, destroyed;
};

static const char *const DEFAULT_ENV[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", NULL};

struct start {
	const struct atl_child_spec *spec;
	int null_fd, output_fd, report_fd;
	pid_t parent;
};

/* In the child. Never returns. */
static void become(const struct start *s)
{
	sigset_t none;
	sigemptyset(&none);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int why = 0;
	setsid();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != s->parent)
		_exit(127);
	/* high copies first, so that none is overwritten before it is placed */
	int report = fcntl(s->report_fd, F_DUPFD_CLOEXEC, 10);
	int passed = s->spec->pass_fd >= 0 ? fcntl(s->spec->pass_fd, F_DUPFD_CLOEXEC, 10) : -1;
	if (report < 0 || (s->spec->pass_fd >= 0 && passed < 0) || dup2(s->null_fd, 0) < 0 ||
	    dup2(s->output_fd, 1) < 0 || dup2(s->output_fd, 2) < 0 || (passed >= 0 && dup2(passed, PASSED_FD) < 0))
		why = errno;
	if (!why && s->spec->cwd && chdir(s->spec->cwd) != 0)
		why = errno;
	if (!why) {
		/* whatever was opened without close-on-exec by a library does not get through */
		unsigned first = passed >= 0 ? PASSED_FD + 1 : PASSED_FD;
		syscall(SYS_close_range, first, (unsigned)report - 1, 0);
		syscall(SYS_close_range, (unsigned)report + 1, ~0u, 0);
		execve(s->spec->path, (char *const *)s->spec->argv,
		       (char *const *)(s->spec->env ? s->spec->env : DEFAULT_ENV));
		why = errno;
	}
	ssize_t n = write(report, &why, sizeof why);
	(void)n;
	_exit(127);
}

static void emit_line(struct atl_child *child)
{
	size_t length = child->line_length;
	while (length && (child->line[length - 1] == '\r' || child->line[length - 1] == '\n'))
		length--;
	child->line[length] = '\0';
	child->line_length = 0;
	child->line_cut = false;
	if (length && child->on_line && !child->destroyed)
		child->on_line(child->arg, child->line);
}

static void take_output(struct atl_child *child, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (data[i] == '\n')
			emit_line(child);
		else if (child->line_length < ATL_CHILD_LOG_LINE_MAX)
			child->line[child->line_length++] = data[i] ? data[i] : ' ';
		else
			child->line_cut = true;
	}
}

/* Reads what is there; false when the output has ended. */
static bool read_output(struct atl_child *child)
{
	char data[4096];
	for (int turns = 0; turns < 16; turns++) {
		ssize_t n = read(child->output_fd, data, sizeof data);
		if (n > 0)
			take_output(child, data, (size_t)n);
		else if (n < 0 && errno == EINTR)
			continue;
		else
			return n < 0 && errno == EAGAIN;
	}
	return true;
}

static void close_output(struct atl_child *child)
{
	if (child->output_fd < 0)
		return;
	atl_poll_destroy(child->output_poll);
	child->output_poll = NULL;
	close(child->output_fd);
	child->output_fd = -1;
	emit_line(child);
}

static void free_child(struct atl_child *child)
{
	atl_poll_destroy(child->output_poll);
	atl_poll_destroy(child->exit_poll);
	if (child->output_fd >= 0)
		close(child->output_fd);
	if (child->exit_fd >= 0)
		close(child->exit_fd);
	free(child);
}

static void leave_callback(struct atl_child *child)
{
	child->busy = false;
	if (child->destroyed)
		free_child(child);
}

static void on_output(void *arg, int events, bool failed)
{
	struct atl_child *child = arg;
	(void)events;
	child->busy = true;
	if (!read_output(child) || failed)
		close_output(child);
	leave_callback(child);
}

static void on_ended(void *arg, int events, bool failed)
{
	struct atl_child *child = arg;
	(void)events;
	(void)failed;
	int status = 0;
	if (waitpid(child->pid, &status, WNOHANG) != child->pid)
		return;
	child->busy = true;
	child->ended = true;
	atl_poll_destroy(child->exit_poll);
	child->exit_poll = NULL;
	if (child->output_fd >= 0) {
		read_output(child);
		close_output(child);
	}
	/* grandchildren of a dead child have nobody to end them */
	kill(-child->pid, SIGKILL);
	if (!child->destroyed && child->on_exit)
		child->on_exit(child->arg, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
			       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	leave_callback(child);
}

static enum atl_err start_process(const struct atl_child_spec *spec, int output_fd, pid_t *ret_pid,
				  struct atl_errinfo *info)
{
	int report[2];
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd < 0)
		return atl_fail(info, ATL_ERR_IO, "/dev/null: %s", strerror(errno));
	if (pipe2(report, O_CLOEXEC) != 0) {
		close(null_fd);
		return atl_fail(info, ATL_ERR_IO, "pipe: %s", strerror(errno));
	}
	struct start start = {.spec = spec,
			      .null_fd = null_fd,
			      .output_fd = output_fd,
			      .report_fd = report[1],
			      .parent = getpid()};
	pid_t pid = fork();
	if (pid == 0)
		become(&start);
	int why = errno;
	close(null_fd);
	close(report[1]);
	ssize_t n = 0;
	if (pid > 0) {
		do
			n = read(report[0], &why, sizeof why);
		while (n < 0 && errno == EINTR);
	}
	close(report[0]);
	if (pid < 0)
		return atl_fail(info, ATL_ERR_IO, "starting %s: %s", spec->path, strerror(why));
	if (n == (ssize_t)sizeof why) {
		waitpid(pid, NULL, 0);
		return atl_fail(info, why == ENOENT ? ATL_ERR_NOT_FOUND : ATL_ERR_IO, "starting %s: %s", spec->path,
				strerror(why));
	}
	*ret_pid = pid;
	return ATL_OK;
}

static enum atl_err watch(struct atl_child *child, struct atl_errinfo *info)
{
	child->exit_fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	if (child->exit_fd < 0)
		return atl_fail(info, ATL_ERR_IO, "pidfd_open: %s", strerror(errno));
	enum atl_err err = atl_poll_create(child->loop, child->exit_fd, on_ended, child, &child->exit_poll);
	if (!err)
		err = atl_poll_create(child->loop, child->output_fd, on_output, child, &child->output_poll);
	if (err)
		return atl_fail(info, err, "watching a child");
	atl_poll_set(child->exit_poll, ATL_POLL_READ);
	atl_poll_set(child->output_poll, ATL_POLL_READ);
	return ATL_OK;
}

enum atl_err atl_child_spawn(struct atl_loop *loop, const struct atl_child_spec *spec,
			     void (*on_line)(void *arg, const char *line),
			     void (*on_exit)(void *arg, int exit_code, int signal), void *arg, struct atl_child **ret,
			     struct atl_errinfo *info)
{
	int output[2];
	struct atl_child *child = calloc(1, sizeof *child);
	if (!child)
		return atl_fail(info, ATL_ERR_NOMEM, "child");
	*child = (struct atl_child){.loop = loop,
				    .on_line = on_line,
				    .on_exit = on_exit,
				    .arg = arg,
				    .exit_fd = -1,
				    .output_fd = -1};
	if (pipe2(output, O_CLOEXEC) != 0) {
		free(child);
		return atl_fail(info, ATL_ERR_IO, "pipe: %s", strerror(errno));
	}
	child->output_fd = output[0];
	fcntl(output[0], F_SETFL, O_NONBLOCK);
	pid_t pid = 0;
	enum atl_err err = start_process(spec, output[1], &pid, info);
	close(output[1]);
	if (!err) {
		child->pid = pid;
		err = watch(child, info);
		if (err) {
			kill(-pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
	}
	if (err) {
		free_child(child);
		return err;
	}
	atl_debug("os", "started %s as process %d", spec->path, child->pid);
	*ret = child;
	return ATL_OK;
}

int atl_child_pid(const struct atl_child *child)
{
	return child->pid;
}

void atl_child_kill(struct atl_child *child, int signal)
{
	if (!child->ended)
		kill(-child->pid, signal);
}

void atl_child_destroy(struct atl_child *child)
{
	if (!child || child->destroyed)
		return;
	if (!child->ended) {
		kill(-child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
		child->ended = true;
	}
	child->destroyed = true;
	if (!child->busy)
		free_child(child);
}
