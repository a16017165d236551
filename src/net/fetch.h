/* fetch.h - the HTTP client: one interface over libcurl (TLS, HTTP/2, proxies) and a pooled plain-HTTP client
 * (libuv + llhttp) for local engines over a unix socket or loopback.
 *
 * Redirects are not followed. Every outbound address passes the guard (guard.h), also after DNS.
 *
 * Life cycle: atl_fetch_start() .. on_done (exactly once, also after cancel, never from inside start).
 * Threads:    the loop's thread for start, cancel, pause, resume and all callbacks; atl_fetch_sync() in pool threads.
 * Limits:     the four time-outs and max_response_bytes of each request.
 */
#ifndef ATL_NET_FETCH_H
#define ATL_NET_FETCH_H

#include "base/arena.h"
#include "base/buf.h"
#include "net/guard.h"
#include "os/loop.h"

struct atl_fetch;

struct atl_fetch_request {
	const char *method;	 /* NULL: GET, or POST with a body */
	const char *url;	 /* http:// or https:// */
	const char *unix_path;	 /* connect here instead of to the URL's host; plain client */
	const char *const *headers; /* "Name: value", NULL-terminated; no CR/LF */
	const void *body;
	size_t body_length;
	bool body_borrowed;	 /* the body stays valid until on_done: do not copy */
	const struct atl_guard *guard; /* required unless unix_path */
	bool plain;		 /* use the pooled plain client (http:// to a numeric loopback address or unix_path) */
	unsigned connect_ms, first_byte_ms, idle_ms, total_ms; /* 0: 10 s, 60 s, 60 s, none */
	uint64_t max_response_bytes; /* 0: 16 MiB */
};
struct atl_fetch_head {
	int status;
	const char *content_type;
	int64_t content_length; /* -1: not given */
	const char *raw;	/* all header lines, CRLF separated; for atl_fetch_header() */
};
const char *atl_fetch_header(struct atl_arena *arena, const struct atl_fetch_head *head, const char *name);

struct atl_fetch_ops {
	void (*on_head)(void *arg, const struct atl_fetch_head *head);	     /* may be NULL */
	void (*on_data)(void *arg, const char *data, size_t length);
	/* ATL_OK: complete (whatever the status). Else CANCELLED, UPSTREAM_TIMEOUT, UPSTREAM_CUT, UPSTREAM (could not
	 * connect), UPSTREAM_FORMAT, TOO_LARGE, OUTBOUND. `fetch` is dead afterwards. */
	void (*on_done)(void *arg, enum atl_err err, const struct atl_errinfo *info);
};

enum atl_err atl_fetch_start(struct atl_loop *loop, const struct atl_fetch_request *request,
			     const struct atl_fetch_ops *ops, void *arg, struct atl_fetch **ret,
			     struct atl_errinfo *info) ATL_MUST_USE;
void atl_fetch_cancel(struct atl_fetch *fetch); /* on_done(CANCELLED) follows; the connection is closed at once */
void atl_fetch_pause(struct atl_fetch *fetch);
void atl_fetch_resume(struct atl_fetch *fetch);

struct atl_fetch_result {
	int status;
	const char *content_type;
	const char *raw_head;
	const char *body; /* NUL-terminated */
	size_t body_length;
};
/* Do it and wait. Everything lands in the arena. Not on a loop thread. total_ms 0 means 60 s here. */
enum atl_err atl_fetch_sync(struct atl_loop *loop, struct atl_arena *arena, const struct atl_fetch_request *request,
			    struct atl_fetch_result *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* Once per process, before the first loop. */
enum atl_err atl_fetch_global_init(void) ATL_MUST_USE;
void atl_fetch_global_finish(void);
/* The operator's proxy for outbound requests; NULL: none. Before the first loop. Names are then resolved by the proxy,
 * so that only the URL is checked by the guard. Environment variables are not read here. */
enum atl_err atl_fetch_proxy_set(const char *url) ATL_MUST_USE;

#endif
