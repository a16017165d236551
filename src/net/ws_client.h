/* ws_client.h - a WebSocket client for straight-line code: open, send a text, wait for the next message, close.
 *
 * For services that tell their progress this way (ComfyUI). Plain ws:// only: for TLS the caller polls over HTTP.
 *
 * Life cycle: atl_ws_client_open() .. atl_ws_client_close().
 * Threads:    one thread that may block; never a loop. `cancelled` may be set by any thread and ends every wait
 *             within ATL_WS_CLIENT_SLICE_MS.
 * Limits:     max_message_bytes of each message; ATL_WS_CLIENT_HEAD_MAX for the server's answer.
 */
#ifndef ATL_NET_WS_CLIENT_H
#define ATL_NET_WS_CLIENT_H

#include <stdatomic.h>

#include "base/buf.h"
#include "net/guard.h"

#define ATL_WS_CLIENT_SLICE_MS 100
#define ATL_WS_CLIENT_HEAD_MAX 16384

struct atl_ws_client;
struct atl_ws_client_request {
	const char *url;	    /* http://host:port/path; https: UNSUPPORTED */
	const char *const *headers; /* "Name: value", NULL-terminated; no CR/LF; NULL: none */
	const struct atl_guard *guard;
	atomic_bool *cancelled;
	unsigned timeout_ms; /* for connecting and the handshake */
	size_t max_message_bytes;
};
struct atl_ws_message {
	bool binary;
	const char *data; /* NUL-terminated; valid until the next call */
	size_t length;
};
/* Errors: UNSUPPORTED (https), OUTBOUND, UPSTREAM (no connection, or another answer than 101), UPSTREAM_FORMAT,
 * UPSTREAM_TIMEOUT, CANCELLED. */
enum atl_err atl_ws_client_open(const struct atl_ws_client_request *request, struct atl_ws_client **ret,
				struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_ws_client_send(struct atl_ws_client *client, const char *text, size_t length,
				struct atl_errinfo *info) ATL_MUST_USE;
/* UPSTREAM_TIMEOUT: nothing came in that time, the connection is as good as before. UPSTREAM_CUT: it is closed.
 * UPSTREAM_FORMAT, TOO_LARGE: it broke the rules. CANCELLED. Pings are answered meanwhile. */
enum atl_err atl_ws_client_next(struct atl_ws_client *client, unsigned timeout_ms, struct atl_ws_message *ret,
				struct atl_errinfo *info) ATL_MUST_USE;
void atl_ws_client_close(struct atl_ws_client *client); /* NULL is allowed */

/* The reading half without a socket: bytes in, messages out. The client uses it, and so do its tests. */
struct atl_ws_reader;
enum atl_ws_event { ATL_WS_NOTHING, ATL_WS_MESSAGE, ATL_WS_PING, ATL_WS_CLOSED, ATL_WS_BROKEN, ATL_WS_TOO_LARGE };
struct atl_ws_reader *atl_ws_reader_create(size_t max_message_bytes); /* NULL: no memory */
void atl_ws_reader_destroy(struct atl_ws_reader *reader);
/* `data` must stay until atl_ws_reader_next() gave NOTHING. */
void atl_ws_reader_feed(struct atl_ws_reader *reader, const void *data, size_t length);
/* MESSAGE and PING fill `ret` (a ping's payload). After CLOSED, BROKEN and TOO_LARGE there is nothing more. */
enum atl_ws_event atl_ws_reader_next(struct atl_ws_reader *reader, struct atl_ws_message *ret);

#endif
