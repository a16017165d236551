/* sock.c - stream sockets over uv_tcp and uv_pipe, with TLS where the listener has it. */
#include "os/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "os/internal.h"
#include "os/tls_session.h"

#define LISTEN_BACKLOG 1024
#define WRITE_BUFS 2
#define TLS_HANDSHAKE 0x16 /* the first byte of a client that speaks TLS */

union stream {
	uv_handle_t handle;
	uv_stream_t stream;
	uv_tcp_t tcp;
	uv_pipe_t pipe;
};

struct atl_sock {
	struct atl_handle handle;
	union stream uv;
	struct atl_loop *loop;
	const struct atl_sock_ops *ops; /* NULL: nobody to call */
	void *arg;
	struct tls_session *tls; /* NULL: plain */
	bool begun;		 /* TLS: something came */
	bool ended;		 /* on_end was called */
	bool shutting;		 /* nothing more is written */
};

struct atl_listener {
	struct atl_handle handle;
	union stream uv;
	struct atl_loop *loop;
	void (*on_accept)(void *arg, struct atl_sock *sock);
	void *arg;
	struct atl_tls *tls; /* NULL: plain */
	int port;
	bool refusing; /* out of descriptors; said once */
};

struct write {
	uv_write_t req;
	struct atl_bytes *bytes;
	char data[];
};


static bool closing(const struct atl_sock *sock)
{
	return uv_is_closing(&sock->uv.handle);
}

static void end(struct atl_sock *sock, int status)
{
	if (sock->ended || closing(sock))
		return;
	sock->ended = true;
	uv_read_stop((uv_stream_t *)&sock->uv.stream);
	if (sock->ops)
		sock->ops->on_end(sock->arg, atl_err_from_uv(status));
}

static void sock_close_handle(void *self)
{
	atl_sock_close(self);
}

static enum atl_err sock_create(struct atl_loop *loop, bool is_unix, struct atl_sock **ret)
{
	struct atl_sock *sock = calloc(1, sizeof(*sock));
	if (!sock)
		return ATL_ERR_NOMEM;
	sock->handle.close = sock_close_handle;
	sock->loop = loop;
	if (is_unix)
		uv_pipe_init(atl_loop_uv(loop), &sock->uv.pipe, 0);
	else
		uv_tcp_init(atl_loop_uv(loop), &sock->uv.tcp);
	sock->uv.handle.data = sock;
	*ret = sock;
	return ATL_OK;
}

/* ---- reading ---- */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct atl_sock *sock = handle->data;
	*buf = uv_buf_init(atl_loop_read_buffer(sock->loop), ATL_SOCK_READ_SIZE);
}

static bool writable(const struct atl_sock *sock)
{
	return !closing(sock) && !sock->shutting;
}

static void send_raw(struct atl_sock *sock, const void *a, size_t a_len, const void *b, size_t b_len);

/* What TLS has made goes out. */
static void flush_tls(struct atl_sock *sock)
{
	struct atl_buf *out = tls_session_output(sock->tls);
	if (out->length && !closing(sock))
		send_raw(sock, out->data, out->length, NULL, 0);
	/* nothing is kept between: there may be many idle connections */
	atl_buf_finish(out);
	atl_buf_init(out, TLS_OUT_MAX);
}

/* Somebody typed http:// before a port that speaks https. */
static void answer_in_plain(struct atl_sock *sock)
{
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
				     "Connection: close\r\nContent-Length: 71\r\n\r\n"
				     "This address speaks https. Open it with https:// in front of its name.\n";
	send_raw(sock, answer, sizeof(answer) - 1, NULL, 0);
	tls_session_destroy(sock->tls);
	sock->tls = NULL;
	atl_sock_shutdown(sock);
}

/* Everything that came is handed on before more is read, also after a pause: nothing waits inside TLS. */
static void on_tls(struct atl_sock *sock, const char *data, size_t length)
{
	char room[TLS_RECORD_MAX];
	enum tls_read answer = TLS_READ_MORE;
	size_t got;

	if (!sock->begun && data[0] != TLS_HANDSHAKE) {
		answer_in_plain(sock);
		return;
	}
	sock->begun = true;
	tls_session_input(sock->tls, data, length);
	while (!closing(sock) && (answer = tls_session_read(sock->tls, room, &got)) == TLS_READ_DATA)
		if (!sock->shutting)
			sock->ops->on_data(sock->arg, room, got);
	if (closing(sock))
		return;
	flush_tls(sock);
	if (answer != TLS_READ_MORE)
		end(sock, answer == TLS_READ_END ? UV_EOF : UV_ECONNRESET);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct atl_sock *sock = stream->data;
	if (got > 0 && sock->tls)
		on_tls(sock, buf->base, (size_t)got);
	else if (got > 0)
		sock->ops->on_data(sock->arg, buf->base, (size_t)got);
	else if (got < 0)
		end(sock, (int)got);
}

void atl_sock_pause(struct atl_sock *sock)
{
	if (!closing(sock))
		uv_read_stop(&sock->uv.stream);
}

void atl_sock_resume(struct atl_sock *sock)
{
	if (!closing(sock) && !sock->ended)
		uv_read_start(&sock->uv.stream, on_alloc, on_read);
}

void atl_sock_open(struct atl_sock *sock, const struct atl_sock_ops *ops, void *arg)
{
	sock->ops = ops;
	sock->arg = arg;
	atl_sock_resume(sock);
}

/* ---- writing ---- */
static void on_written(uv_write_t *req, int status)
{
	struct write *write = (struct write *)req;
	struct atl_sock *sock = req->handle->data;
	atl_bytes_unref(write->bytes);
	free(write);
	if (closing(sock))
		return;
	if (status < 0 && sock->ended) /* it had only half closed, or so it seemed */
		atl_sock_close(sock);
	else if (status < 0)
		end(sock, status);
	else if (uv_stream_get_write_queue_size(&sock->uv.stream) == 0 && !sock->shutting && sock->ops &&
		 sock->ops->on_drain)
		sock->ops->on_drain(sock->arg);
}

/* Gives the kernel what it takes now. An error is left to the queued write, which reports it from the loop. */
static size_t write_now(struct atl_sock *sock, const uv_buf_t *bufs, unsigned count)
{
	if (uv_stream_get_write_queue_size(&sock->uv.stream) != 0)
		return 0;
	int sent = uv_try_write(&sock->uv.stream, bufs, count);
	return sent > 0 ? (size_t)sent : 0;
}

static void queue(struct atl_sock *sock, struct write *write, uv_buf_t buf)
{
	int status = write ? uv_write(&write->req, &sock->uv.stream, &buf, 1, on_written) : UV_ENOMEM;
	if (status == 0)
		return;
	if (write)
		atl_bytes_unref(write->bytes);
	free(write);
	atl_sock_close(sock);
}

static void send_raw(struct atl_sock *sock, const void *a, size_t a_len, const void *b, size_t b_len)
{
	size_t total = a_len + b_len;
	uv_buf_t bufs[WRITE_BUFS];
	unsigned count = 0;
	if (a_len)
		bufs[count++] = uv_buf_init((char *)a, (unsigned)a_len);
	if (b_len)
		bufs[count++] = uv_buf_init((char *)b, (unsigned)b_len);
	size_t sent = write_now(sock, bufs, count);
	if (sent == total)
		return;
	struct write *write = malloc(sizeof(*write) + total - sent);
	size_t filled = 0;
	if (write) {
		write->bytes = NULL;
		if (sent < a_len) {
			filled = a_len - sent;
			memcpy(write->data, (const char *)a + sent, filled);
			sent = a_len;
		}
		if (b_len > sent - a_len) {
			memcpy(write->data + filled, (const char *)b + (sent - a_len), b_len - (sent - a_len));
			filled += b_len - (sent - a_len);
		}
	}
	queue(sock, write, uv_buf_init(write ? write->data : NULL, (unsigned)filled));
}

void atl_sock_write2(struct atl_sock *sock, const void *a, size_t a_len, const void *b, size_t b_len)
{
	if (!writable(sock) || a_len + b_len == 0)
		return;
	if (!sock->tls) {
		send_raw(sock, a, a_len, b, b_len);
		return;
	}
	if (tls_session_write(sock->tls, a, a_len) && tls_session_write(sock->tls, b, b_len))
		flush_tls(sock);
	else
		atl_sock_close(sock);
}

void atl_sock_write(struct atl_sock *sock, const void *data, size_t length)
{
	atl_sock_write2(sock, data, length, NULL, 0);
}

void atl_sock_write_bytes(struct atl_sock *sock, struct atl_bytes *bytes)
{
	if (!writable(sock) || bytes->length == 0)
		return;
	if (sock->tls) {
		atl_sock_write2(sock, bytes->data, bytes->length, NULL, 0);
		return;
	}
	uv_buf_t buf = uv_buf_init(bytes->data, (unsigned)bytes->length);
	size_t sent = write_now(sock, &buf, 1);
	if (sent == bytes->length)
		return;
	struct write *write = malloc(sizeof(*write));
	if (write)
		write->bytes = atl_bytes_ref(bytes);
	queue(sock, write, uv_buf_init(bytes->data + sent, (unsigned)(bytes->length - sent)));
}

size_t atl_sock_queued_bytes(const struct atl_sock *sock)
{
	return uv_stream_get_write_queue_size(&sock->uv.stream);
}

/* ---- closing ---- */
static void on_closed(uv_handle_t *handle)
{
	struct atl_sock *sock = handle->data;
	if (sock->ops)
		sock->ops->on_close(sock->arg);
	tls_session_destroy(sock->tls);
	free(sock);
}

void atl_sock_close(struct atl_sock *sock)
{
	if (!closing(sock))
		uv_close(&sock->uv.handle, on_closed);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
	struct atl_sock *sock = req->handle->data;
	free(req);
	atl_sock_close(sock);
}

void atl_sock_shutdown(struct atl_sock *sock)
{
	if (!writable(sock))
		return;
	if (sock->tls) {
		tls_session_goodbye(sock->tls);
		flush_tls(sock);
		if (closing(sock))
			return;
	}
	sock->shutting = true;
	uv_shutdown_t *req = malloc(sizeof(*req));
	if (!req || uv_shutdown(req, &sock->uv.stream, on_shutdown) != 0) {
		free(req);
		atl_sock_close(sock);
	}
}

/* ---- connecting ---- */
static void on_connected(uv_connect_t *req, int status)
{
	struct atl_sock *sock = req->handle->data;
	free(req);
	if (closing(sock))
		return;
	if (status < 0) {
		end(sock, status);
		return;
	}
	if (sock->ops->on_connect)
		sock->ops->on_connect(sock->arg);
	atl_sock_resume(sock);
}

static bool parse_address(const char *address, int port, struct sockaddr_storage *out, socklen_t *ret_length)
{
	memset(out, 0, sizeof(*out));
	if (uv_ip4_addr(address, port, (struct sockaddr_in *)out) == 0) {
		*ret_length = sizeof(struct sockaddr_in);
		return true;
	}
	*ret_length = sizeof(struct sockaddr_in6);
	return uv_ip6_addr(address, port, (struct sockaddr_in6 *)out) == 0;
}

enum atl_err atl_sock_connect(struct atl_loop *loop, const char *address, int port, const struct atl_sock_ops *ops,
			      void *arg, struct atl_sock **ret, struct atl_errinfo *info)
{
	struct sockaddr_storage where;
	socklen_t length;
	if (!parse_address(address, port, &where, &length))
		return atl_fail(info, ATL_ERR_INVALID, "%s is not a numeric address", address);
	struct atl_sock *sock;
	uv_connect_t *req = malloc(sizeof(*req));
	if (!req || sock_create(loop, false, &sock) != ATL_OK) {
		free(req);
		return atl_fail(info, ATL_ERR_NOMEM, "no memory for a connection to %s", address);
	}
	int status = uv_tcp_connect(req, &sock->uv.tcp, (struct sockaddr *)&where, on_connected);
	if (status) {
		free(req);
		atl_sock_close(sock);
		return atl_fail(info, atl_err_from_uv(status), "connect to %s: %s", address, uv_strerror(status));
	}
	uv_tcp_nodelay(&sock->uv.tcp, 1);
	sock->ops = ops;
	sock->arg = arg;
	*ret = sock;
	return ATL_OK;
}

enum atl_err atl_sock_connect_unix(struct atl_loop *loop, const char *path, const struct atl_sock_ops *ops, void *arg,
				   struct atl_sock **ret, struct atl_errinfo *info)
{
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return atl_fail(info, ATL_ERR_INVALID, "socket path is too long: %s", path);
	struct atl_sock *sock;
	uv_connect_t *req = malloc(sizeof(*req));
	if (!req || sock_create(loop, true, &sock) != ATL_OK) {
		free(req);
		return atl_fail(info, ATL_ERR_NOMEM, "no memory for a connection to %s", path);
	}
	sock->ops = ops;
	sock->arg = arg;
	uv_pipe_connect(req, &sock->uv.pipe, path, on_connected);
	*ret = sock;
	return ATL_OK;
}

void atl_sock_peer(const struct atl_sock *sock, char out[ATL_SOCK_ADDR_SIZE], bool *ret_loopback)
{
	struct sockaddr_storage peer = {0};
	int length = sizeof(peer);
	atl_str_copy(out, ATL_SOCK_ADDR_SIZE, "unix");
	*ret_loopback = true;
	if (sock->uv.handle.type != UV_TCP)
		return;
	*ret_loopback = false;
	atl_str_copy(out, ATL_SOCK_ADDR_SIZE, "unknown");
	if (uv_tcp_getpeername(&sock->uv.tcp, (struct sockaddr *)&peer, &length) != 0)
		return;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&peer;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&peer;
	const unsigned char *bytes = (const unsigned char *)&v4->sin_addr;
	int family = AF_INET;
	if (peer.ss_family == AF_INET6) {
		bytes = v6->sin6_addr.s6_addr;
		family = AF_INET6;
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
			bytes += 12;
			family = AF_INET;
		}
	}
	uv_inet_ntop(family, bytes, out, ATL_SOCK_ADDR_SIZE);
	*ret_loopback = family == AF_INET ? bytes[0] == 127 : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

bool atl_sock_secure(const struct atl_sock *sock)
{
	return sock->tls != NULL;
}

/* ---- listening ---- */
/* libuv accepts until EAGAIN, and on EMFILE accepts and closes with a reserved descriptor, so it does not spin. */
static void on_connection(uv_stream_t *server, int status)
{
	struct atl_listener *listener = server->data;
	if (status < 0) {
		if (!listener->refusing)
			atl_warn("os", "accept: %s", uv_strerror(status));
		listener->refusing = true;
		return;
	}
	listener->refusing = false;
	bool is_unix = listener->uv.handle.type == UV_NAMED_PIPE;
	struct atl_sock *sock;
	if (sock_create(listener->loop, is_unix, &sock) != ATL_OK)
		return;
	if (uv_accept(server, &sock->uv.stream) != 0 ||
	    (listener->tls && !(sock->tls = tls_session_create(listener->tls)))) {
		atl_sock_close(sock);
		return;
	}
	if (!is_unix)
		uv_tcp_nodelay(&sock->uv.tcp, 1);
	listener->on_accept(listener->arg, sock);
}

static int bind_tcp(const struct atl_listen_options *options, int *ret_fd, int *ret_port)
{
	struct sockaddr_storage where;
	socklen_t length;
	if (!parse_address(options->address, options->port, &where, &length))
		return EINVAL;
	int fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	int on = 1, off = 0;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (where.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if ((options->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
	    bind(fd, (struct sockaddr *)&where, length) != 0 || getsockname(fd, (struct sockaddr *)&where, &length) != 0) {
		int error = errno;
		close(fd);
		return error;
	}
	*ret_port = ntohs(where.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&where)->sin6_port
						      : ((struct sockaddr_in *)&where)->sin_port);
	*ret_fd = fd;
	return 0;
}

static int bind_unix(const char *path, int *ret_fd)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	struct stat st;
	if (strlen(path) >= sizeof(where.sun_path))
		return ENAMETOOLONG;
	memcpy(where.sun_path, path, strlen(path) + 1);
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return EEXIST; /* never remove anything but a stale socket */
	unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	/* The mode is set before listen(): nobody can connect in between. */
	if (bind(fd, (struct sockaddr *)&where, sizeof(where)) != 0 || chmod(path, 0600) != 0) {
		int error = errno;
		close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

static void free_listener(uv_handle_t *handle)
{
	free(handle->data);
}

static void listener_close_handle(void *self)
{
	atl_listener_close(self);
}

enum atl_err atl_listen(struct atl_loop *loop, const struct atl_listen_options *options,
			void (*on_accept)(void *arg, struct atl_sock *sock), void *arg, struct atl_listener **ret,
			struct atl_errinfo *info)
{
	const char *name = options->unix_path ? options->unix_path : options->address;
	struct atl_listener *listener = calloc(1, sizeof(*listener));
	if (!listener)
		return atl_fail(info, ATL_ERR_NOMEM, "no memory to listen on %s", name);
	int fd = -1;
	int error = options->unix_path ? bind_unix(options->unix_path, &fd) : bind_tcp(options, &fd, &listener->port);
	if (error) {
		free(listener);
		return atl_fail(info, atl_err_from_uv(-error), "listen on %s port %d: %s", name, options->port,
				strerror(error));
	}
	listener->handle.close = listener_close_handle;
	listener->loop = loop;
	listener->on_accept = on_accept;
	listener->arg = arg;
	listener->tls = options->tls;
	int status;
	if (options->unix_path) {
		uv_pipe_init(atl_loop_uv(loop), &listener->uv.pipe, 0);
		status = uv_pipe_open(&listener->uv.pipe, fd);
	} else {
		uv_tcp_init(atl_loop_uv(loop), &listener->uv.tcp);
		status = uv_tcp_open(&listener->uv.tcp, fd);
	}
	listener->uv.handle.data = listener;
	if (status)
		close(fd);
	else
		status = uv_listen(&listener->uv.stream, options->backlog > 0 ? options->backlog : LISTEN_BACKLOG,
				   on_connection);
	if (status) {
		atl_listener_close(listener);
		return atl_fail(info, atl_err_from_uv(status), "listen on %s port %d: %s", name, options->port,
				uv_strerror(status));
	}
	*ret = listener;
	return ATL_OK;
}

int atl_listener_port(const struct atl_listener *listener)
{
	return listener->port;
}

void atl_listener_close(struct atl_listener *listener)
{
	if (listener && !uv_is_closing(&listener->uv.handle))
		uv_close(&listener->uv.handle, free_listener);
}
