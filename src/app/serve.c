/* serve.c - `atelier serve`: brings the parts up, waits for signals, takes them down.
 *
 * Signals are taken by the main thread alone: TERM and INT drain (a second one ends at once), HUP reopens the log.
 * Between signals it does the housekeeping, once a minute.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/https.h"
#include "app/parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/access/session.h"
#include "core/people/erase.h"
#include "core/people/export.h"
#include "core/pictures/asset.h"
#include "core/pictures/upload.h"
#include "core/safety/report.h"
#include "core/server/backup_store.h"
#include "core/server/idempotency.h"
#include "core/server/keyring.h"

#define MODULE "serve"
#define HOUSEKEEPING_S 60

/* ---- telling others ---- */

static void notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = path ? strlen(path) : 0;
	int fd;

	if (length < 2 || length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, length);
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		atl_warn(MODULE, "tell the supervisor: %s", strerror(errno));
	close(fd);
}

static void announce(struct atl_parts *s)
{
	static const char ready[] = "READY=1\n";
	int fd = (int)atl_config_int(&s->config, CFG_ready_fd);
	const char *address = s->app.address;
	char base[400];

	if (atl_str_eq(address, "0.0.0.0") || atl_str_eq(address, "::"))
		address = "localhost";
	if (s->app.public_url)
		snprintf(base, sizeof(base), "%s", s->app.public_url);
	else
		snprintf(base, sizeof(base), strchr(address, ':') ? "%s://[%s]:%d" : "%s://%s:%d", s->tls ? "https" : "http", address,
			 s->app.port);
	printf("Atelier is ready: %s/\n", base);
	if (s->setup_token[0])
		printf("Create the first account: %s/setup?token=%s\n", base, s->setup_token);
	fflush(stdout);
	notify("READY=1\n");
	if (fd >= 0) {
		if (write(fd, ready, sizeof(ready) - 1) < 0)
			atl_warn(MODULE, "write to ready_fd: %s", strerror(errno));
		close(fd);
	}
}

/* ---- running ---- */

static enum atl_err collect(struct atl_app *app, struct atl_errinfo *info)
{
	return atl_assets_collect(app, atl_now_ms(), NULL, info);
}

static void housekeeping(struct atl_app *app, unsigned turn)
{
	static const struct {
		const char *what;
		enum atl_err (*run)(struct atl_app *app, struct atl_errinfo *info);
		unsigned every; /* runs of the housekeeping */
	} tasks[] = {
		{ "write times of last use", atl_auth_flush, 1 },
		{ "remove expired sessions", atl_session_purge, 1 },
		{ "remove old idempotency keys", atl_idempotency_purge, 1 },
		{ "make the daily backup", atl_backup_tick, 1 },
		{ "empty the trash", atl_assets_purge, 1 },
		{ "seal secrets anew", atl_key_housekeeping, 1 },
		{ "remove old exports", atl_exports_purge, 10 },
		{ "erase what was deleted", atl_erase_tick, 1 },
		{ "remove unfinished uploads", atl_uploads_purge, 1 },
		{ "end what moderators removed", atl_reports_purge, 1 },
		{ "remove pictures that nothing names", collect, 60 }, /* looks at each of them */
	};

	for (size_t i = 0; i < ATL_COUNT(tasks); i++) {
		struct atl_errinfo info = { 0 };
		enum atl_err err = turn % tasks[i].every == 0 ? tasks[i].run(app, &info) : ATL_OK;

		if (err)
			atl_warn(MODULE, "%s: %s %s", tasks[i].what, atl_err_name(err), info.detail);
	}
}

static void watched_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

static void wait_for_end(struct atl_parts *s)
{
	const struct timespec timeout = { .tv_sec = HOUSEKEEPING_S };
	unsigned turn = 0;
	sigset_t set;

	watched_signals(&set);
	for (;;) {
		int signum = sigtimedwait(&set, NULL, &timeout);

		if (signum == SIGHUP) {
			atl_log_reopen();
			atl_info(MODULE, "the log was reopened");
			https_check(s->tls, true);
		} else if (signum == SIGTERM || signum == SIGINT) {
			return;
		} else if (errno == EAGAIN) {
			housekeeping(&s->app, turn++);
			https_check(s->tls, false);
		}
	}
}

static void drain(struct atl_parts *s)
{
	sigset_t set;

	atl_info(MODULE, "stopping: running requests get %d s; a second signal ends at once", ATL_DRAIN_MS / 1000);
	atomic_store(&s->app.stopping, true);
	notify("STOPPING=1\n");
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	watched_signals(&set);
	sigdelset(&set, SIGHUP);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	atl_parts_drain(s);
}

int atl_cmd_serve(int argc, char **argv)
{
	struct atl_parts *s = calloc(1, sizeof(*s));
	struct atl_errinfo info = { 0 };
	sigset_t set;
	enum atl_err err;

	if (!s)
		return atl_cmd_failed(ATL_ERR_NOMEM, NULL);
	signal(SIGPIPE, SIG_IGN);
	watched_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* before any thread starts: they inherit it */
	s->app.version = ATL_VERSION;
	s->app.started_ms = atl_now_ms();
	err = atl_config_load(&s->config, argc, argv, NULL, &info);
	if (!err) {
		err = atl_parts_up(s, &info);
		if (!err) {
			announce(s);
			wait_for_end(s);
			drain(s);
			atl_parts_down(s);
		}
		atl_config_finish(&s->config);
	}
	free(s);
	return err ? atl_cmd_failed(err, &info) : 0;
}
