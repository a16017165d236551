/* listen.c - messages between the servers of one database: a thread with a connection of its own that waits for them.
 *
 * Messages may be lost while the connection is being made again; `heard` is then called once without one, so that the
 * listener looks for itself. A database that has one server only (SQLite) has no such thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "db/internal.h"

#define MODULE "db"
#define AGAIN_MS 200
#define AGAIN_MAX_MS 5000

struct atl_db_listener {
	/* set at create */
	struct atl_db *db;
	char channel[ATL_DB_CHANNEL_MAX + 1];
	void (*heard)(void *arg, const char *message);
	void *arg;
	int stop_fd; /* readable: end */
	pthread_t thread;
};

enum atl_err atl_db_notify(struct atl_conn *conn, const char *channel, const char *message, struct atl_errinfo *info)
{
	if (!conn->driver->listen)
		return ATL_OK;
	return atl_exec(conn, info, "SELECT pg_notify(?, ?)", "ss", channel, message);
}

/* True: it is to end. */
static bool wait_for(const struct atl_db_listener *self, int fd, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = self->stop_fd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };

	while (poll(fds, fd < 0 ? 1 : 2, timeout_ms) < 0 && errno == EINTR)
		;
	return fds[0].revents != 0;
}

static struct atl_conn *connect_again(const struct atl_db_listener *self, bool *told)
{
	struct atl_errinfo info = { 0 };
	struct atl_conn *conn = NULL;
	enum atl_err err = atl_db_conn_open(self->db, ATL_CONN_READER, &conn, &info);

	if (!err)
		err = self->db->driver->listen(conn, self->channel, &info);
	if (!err) {
		*told = false;
		return conn;
	}
	if (!*told)
		atl_warn(MODULE, "listen for %s: %s %s", self->channel, atl_err_name(err), info.detail);
	*told = true;
	if (conn)
		self->db->driver->disconnect(conn);
	return NULL;
}

static void *listen_main(void *arg)
{
	struct atl_db_listener *self = arg;
	const struct atl_driver *driver = self->db->driver;
	char message[ATL_DB_MESSAGE_MAX + 1];
	struct atl_conn *conn = NULL;
	int again_ms = AGAIN_MS;
	bool told = false;

	for (;;) {
		if (!conn)
			conn = connect_again(self, &told);
		if (!conn) {
			if (wait_for(self, -1, again_ms))
				break;
			again_ms = again_ms * 2 > AGAIN_MAX_MS ? AGAIN_MAX_MS : again_ms * 2;
			continue;
		}
		self->heard(self->arg, NULL);
		again_ms = AGAIN_MS;
		while (!conn->broken) {
			while (driver->hear(conn, message, sizeof(message)))
				self->heard(self->arg, message);
			if (!conn->broken && wait_for(self, driver->socket(conn), -1))
				goto out;
		}
		driver->disconnect(conn);
		conn = NULL;
	}
out:
	if (conn)
		driver->disconnect(conn);
	return NULL;
}

enum atl_err atl_db_listen(struct atl_db *db, const char *channel, void (*heard)(void *arg, const char *message), void *arg,
			   struct atl_db_listener **ret, struct atl_errinfo *info)
{
	struct atl_db_listener *self;

	if (strspn(channel, "abcdefghijklmnopqrstuvwxyz_") != strlen(channel) || strlen(channel) > ATL_DB_CHANNEL_MAX)
		return atl_fail(info, ATL_ERR_INTERNAL, "\"%s\" is no name of a channel.", channel);
	*ret = NULL;
	if (!db->driver->listen)
		return ATL_OK;
	self = calloc(1, sizeof(*self));
	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "listen for %s", channel);
	self->db = db;
	atl_str_copy(self->channel, sizeof(self->channel), channel);
	self->heard = heard;
	self->arg = arg;
	self->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self->stop_fd < 0 || pthread_create(&self->thread, NULL, listen_main, self) != 0) {
		if (self->stop_fd >= 0)
			close(self->stop_fd);
		free(self);
		return atl_fail(info, ATL_ERR_NOMEM, "listen for %s: the system refused", channel);
	}
	*ret = self;
	return ATL_OK;
}

void atl_db_listen_end(struct atl_db_listener *self)
{
	uint64_t one = 1;

	if (!self)
		return;
	if (write(self->stop_fd, &one, sizeof(one)) != (ssize_t)sizeof(one)) /* cannot be: its counter is 0 */
		atl_warn(MODULE, "end of listening: %s", strerror(errno));
	pthread_join(self->thread, NULL);
	close(self->stop_fd);
	free(self);
}
