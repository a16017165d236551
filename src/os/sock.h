/* sock.h - stream sockets (TCP and unix) on a loop: listen, connect, read, write, close.
 *
 * Life cycle: atl_listen() .. atl_listener_close(). A socket comes from on_accept or atl_sock_connect_*() and lives
 *             until atl_sock_close(); on_close is its last callback, after which the pointer is dead.
 * Threads:    the loop thread of the listener / connector.
 * Limits:     data handed to on_data is borrowed for the call (one read buffer per loop, ATL_SOCK_READ_SIZE).
 *             With TLS, up to one read buffer and TLS_RECORD_MAX more may come after atl_sock_pause().
 *             Writing never blocks: what the kernel does not take is queued; watch atl_sock_queued_bytes().
 */
#ifndef ATL_OS_SOCK_H
#define ATL_OS_SOCK_H

#include "os/loop.h"
#include "os/tls.h"

#define ATL_SOCK_READ_SIZE 65536
#define ATL_SOCK_ADDR_SIZE 64

struct atl_sock;
struct atl_listener;

struct atl_sock_ops {
	void (*on_connect)(void *arg);			      /* outgoing only; may be NULL */
	void (*on_data)(void *arg, char *data, size_t length);
	void (*on_end)(void *arg, enum atl_err err);	      /* peer closed (ATL_OK) or the connection broke; close it */
	void (*on_drain)(void *arg);			      /* the write queue became empty; may be NULL */
	void (*on_close)(void *arg);			      /* after atl_sock_close(); frees arg */
};

struct atl_listen_options {
	const char *address; /* "127.0.0.1", "::", or NULL with `unix_path` */
	int port;	     /* 0: any */
	const char *unix_path;
	int backlog;
	bool reuse_port;
	struct atl_tls *tls; /* borrowed; NULL: plain */
};

/* One accepting socket on one loop. on_accept must call atl_sock_open() on `sock` or atl_sock_close(). */
enum atl_err atl_listen(struct atl_loop *loop, const struct atl_listen_options *options,
			void (*on_accept)(void *arg, struct atl_sock *sock), void *arg, struct atl_listener **ret,
			struct atl_errinfo *info) ATL_MUST_USE;
int atl_listener_port(const struct atl_listener *listener); /* the real one when 0 was asked */
void atl_listener_close(struct atl_listener *listener);

/* Take an accepted socket into use: callbacks and reading start. */
void atl_sock_open(struct atl_sock *sock, const struct atl_sock_ops *ops, void *arg);

/* Connect to a numeric address or a unix path. Failure after the call arrives through on_end. */
enum atl_err atl_sock_connect(struct atl_loop *loop, const char *address, int port, const struct atl_sock_ops *ops,
			      void *arg, struct atl_sock **ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_sock_connect_unix(struct atl_loop *loop, const char *path, const struct atl_sock_ops *ops, void *arg,
				   struct atl_sock **ret, struct atl_errinfo *info) ATL_MUST_USE;

/* Peer's numeric address ("unix" for unix sockets). */
void atl_sock_peer(const struct atl_sock *sock, char out[ATL_SOCK_ADDR_SIZE], bool *ret_loopback);

bool atl_sock_secure(const struct atl_sock *sock); /* speaks TLS */

void atl_sock_write(struct atl_sock *sock, const void *data, size_t length);			  /* copies the rest */
void atl_sock_write2(struct atl_sock *sock, const void *a, size_t a_len, const void *b, size_t b_len); /* one writev */
void atl_sock_write_bytes(struct atl_sock *sock, struct atl_bytes *bytes); /* no copy; takes its own reference */
size_t atl_sock_queued_bytes(const struct atl_sock *sock);
void atl_sock_pause(struct atl_sock *sock);  /* stop reading */
void atl_sock_resume(struct atl_sock *sock);
void atl_sock_shutdown(struct atl_sock *sock); /* flush what is queued, then close */
void atl_sock_close(struct atl_sock *sock);    /* at once; harmless twice */

#endif
