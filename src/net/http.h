/* http.h - the HTTP/1.1 server: requests, responses, routes, streams, WebSocket.
 *
 * One listener per loop with SO_REUSEPORT. A request is parsed on its loop (llhttp, strict), matched against the route
 * table, authorised by the hook, and handled either on the loop (ATL_ROUTE_LOOP: never blocks) or in the pool
 * (straight-line code; the connection is suspended meanwhile). Anything ambiguous is refused with 400 and the
 * connection is closed: CL with TE, differing lengths, odd codings, bare LF, folding, NUL, two or no Host.
 *
 * Life cycle: atl_server_create() .. atl_server_drain() .. atl_server_destroy(). A request and its arena live until
 *             its response is sent or its stream has closed.
 * Threads:    per function below. A struct atl_req belongs to one thread at a time: its loop, or the pool thread that
 *             runs its handler.
 * Limits:     the ATL_HTTP_* constants and struct atl_server_options.
 * Adding one: a route is a line in a table, docs/net.md.
 */
#ifndef ATL_NET_HTTP_H
#define ATL_NET_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "net/parser.h" /* struct atl_req_header */
#include "os/loop.h"
#include "os/pool.h"
#include "os/tls.h"

#define ATL_HTTP_TARGET_MAX 8192
#define ATL_HTTP_HEAD_MAX 32768
#define ATL_HTTP_HEADERS_MAX 100
#define ATL_HTTP_PARAMS_MAX 4
#define ATL_HTTP_BODY_DEFAULT ((size_t)1 << 20)
#define ATL_HTTP_HEAD_TIMEOUT_MS 10000
#define ATL_HTTP_BODY_IDLE_MS 20000
#define ATL_HTTP_BODY_RATE_MIN 512	/* bytes a second, averaged, after the first ATL_HTTP_BODY_IDLE_MS */
#define ATL_HTTP_KEEPALIVE_MS 75000
#define ATL_HTTP_STALL_MS 60000		/* a reader that takes nothing for so long is dropped */
#define ATL_WS_PING_MS 30000		/* a WebSocket is pinged; no sign of life for twice that: closed */

enum atl_method { ATL_GET, ATL_POST, ATL_PUT, ATL_PATCH, ATL_DELETE, ATL_HEAD, ATL_OPTIONS, ATL_METHOD_COUNT };
const char *atl_method_name(enum atl_method method);

struct atl_req;
struct atl_server;
struct atl_stream;
struct atl_ws;
typedef void (*atl_handler)(struct atl_req *req);

enum {
	ATL_ROUTE_POOL = 0,	  /* handler in a pool thread, may block; the response is sent when it returns */
	ATL_ROUTE_LOOP = 1,	  /* handler on the loop thread; it must end in atl_res_send() or a stream, now or later */
	ATL_ROUTE_UPLOAD = 2,	  /* the body goes to a temporary file (req->body_path), not to memory; POOL only */
	ATL_ROUTE_PROBLEM_OPENAI = 4, /* errors in OpenAI's shape instead of problem+json */
	ATL_ROUTE_HIDDEN = 8	  /* not in the OpenAPI document */
};

/* One parameter of the query string, for validation and documents. */
struct atl_query_param {
	const char *name;
	enum atl_jt type; /* STR, INT, BOOL or ENUM */
	double min, max;
	const char *const *values;
	const char *doc;
};

/* Which requests share one allowance (core/access/rate.h). By the method: GET and HEAD read, UPLOAD routes upload, others write. */
enum atl_route_class { ATL_CLASS_BY_METHOD, ATL_CLASS_GENERATE, ATL_CLASS_UPLOAD, ATL_CLASS_SIGN_IN /* and whatever else strangers may send */,
		       ATL_CLASS_FREE /* never counted: what watches the server */ };

/* The route table's row: everything there is to know of one operation. */
struct atl_route {
	enum atl_method method;
	const char *path;	/* "/api/v1/characters/{id}"; "{path*}" at the end takes the rest */
	const char *permission; /* "public", or a name of core/access/permission.h */
	unsigned flags;
	atl_handler handler;
	const char *tag, *summary; /* documents */
	const struct atl_json_desc *in;	 /* JSON body, or NULL */
	const struct atl_json_desc *out; /* JSON answer of `status`, or NULL */
	int status;			 /* of success; 0: 200 */
	const char *out_type;		 /* when not application/json: "text/event-stream", "image/webp"...; several: "a|b" */
	bool out_list;			 /* the answer is {"items": [out...], "next": cursor or null} */
	const struct atl_query_param *query; /* ends with a NULL name; NULL: none */
	size_t body_max;		 /* 0: ATL_HTTP_BODY_DEFAULT */
	enum atl_route_class rate;	 /* 0: by the method */
	const char *feature;		 /* what a role may be without (a name of core/people/rights.h); NULL: nothing */
};

struct atl_req {
	/* set by the server before authorisation */
	struct atl_server *server;
	struct atl_loop *loop;
	void *app;		       /* atl_server_options.app */
	const struct atl_route *route; /* NULL while none matched */
	enum atl_method method;
	const char *target;	       /* as sent */
	const char *path;	       /* percent-decoded, no dot segments, no doubled slashes (such targets: 400) */
	const char *params[ATL_HTTP_PARAMS_MAX]; /* decoded path parameters in order */
	const struct atl_req_header *headers;
	size_t header_count;
	const char *body; /* NUL-terminated; "" if none */
	size_t body_length;
	const char *body_path; /* UPLOAD routes; removed when the request ends unless renamed away */
	uint64_t body_file_bytes;
	struct atl_arena arena;
	char id[32];	       /* request id, also in the response's X-Request-Id */
	char remote[64];       /* client's address (behind a trusted proxy: from X-Forwarded-For) */
	bool loopback;	       /* the client is on this machine and no proxy stood between */
	bool secure;	       /* https, ours or as told by a trusted proxy */
	/* set by the authorise hook */
	void *identity; /* core's struct atl_identity, in the arena */
	void *state;	/* the handler's own, between its steps (atl_res_continue, atl_req_to_pool) */
	/* the response */
	int status;
	bool sent;
	struct atl_buf out; /* body under construction; limit ATL_HTTP_OUT_MAX */
	void *priv;	    /* the server's own */
};
#define ATL_HTTP_OUT_MAX ((size_t)64 << 20)

/* ---- reading a request (thread that has it) ---- */
const char *atl_req_header(const struct atl_req *req, const char *name); /* first, case folded; NULL */
const char *atl_req_query(struct atl_req *req, const char *name);	 /* decoded; NULL */
const char *atl_req_cookie(struct atl_req *req, const char *name);	 /* NULL */
const char *atl_req_param(const struct atl_req *req, const char *name);	 /* by the name in the route's path */
/* Parse the JSON body and decode it by the route's `in`. Checks the content type (415). */
enum atl_err atl_req_json(struct atl_req *req, void *out, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_req_tree(struct atl_req *req, struct atl_json **ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The same for bodies of many megabytes: parsed where they lie, so that they are never twice in memory. req->body is used
 * up; the strings may be written to (atl_base64_decode_in_place) and live as long as the request. */
enum atl_err atl_req_json_take(struct atl_req *req, void *out, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_req_tree_take(struct atl_req *req, struct atl_json **ret, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- answering (same thread) ---- */
void atl_res_header(struct atl_req *req, const char *name, const char *value); /* CR, LF and NUL: dropped with a log line */
/* Whole header lines, each ending in CR LF, that the caller made of nothing from outside: for every answer, so cheap. */
void atl_res_lines(struct atl_req *req, const char *lines, size_t length);
void atl_res_cookie(struct atl_req *req, const char *name, const char *value, int64_t max_age_s, bool http_only);
void atl_res_json(struct atl_req *req, int status, const struct atl_json_desc *desc, const void *value);
void atl_res_json_text(struct atl_req *req, int status, const char *json, size_t length);
void atl_res_body(struct atl_req *req, int status, const char *type, const void *data, size_t length);
void atl_res_empty(struct atl_req *req, int status);
/* problem+json (RFC 9457), or OpenAI's shape for routes that say so. info may be NULL. */
void atl_res_error(struct atl_req *req, enum atl_err err, const struct atl_errinfo *info);
/* A file from disk with Range, ETag and conditional requests; pool thread. `etag` may be NULL. */
void atl_res_file(struct atl_req *req, const char *path, const char *type, const char *etag, const char *cache_control);
/* A body that is made while the client takes it. `read` fills `room` with exactly `want` bytes, in a pool thread, one
 * call at a time; false breaks the connection. `release` is called once, in a pool thread, when the answer is over. */
struct atl_source {
	bool (*read)(void *arg, void *room, size_t want);
	void (*release)(void *arg);
	void *arg;
};
/* Answer with `length` bytes of the source; pool thread. It takes the source in any case. */
void atl_res_source(struct atl_req *req, int status, const char *type, const struct atl_source *source, uint64_t length);
/* LOOP routes: the response is complete, send it. (POOL routes: happens when the handler returns.) Loop thread. */
void atl_res_send(struct atl_req *req);
/* POOL routes: when the handler returns, go on with fn(req) on the loop thread instead of sending. */
void atl_res_continue(struct atl_req *req, atl_handler fn);
/* LOOP routes: go on with fn(req) in the pool; it then behaves as a POOL handler. */
void atl_req_to_pool(struct atl_req *req, atl_handler fn);
/* LOOP: called once if the client hangs up before the response was sent; NULL clears. The request stays valid. */
void atl_req_on_hangup(struct atl_req *req, void (*fn)(void *arg), void *arg);

/* ---- streaming (loop thread only) ---- */
/* Send the head now; the body follows in pieces. on_close is called exactly once, when the client is gone or after
 * atl_stream_end(); afterwards the stream and the request are dead. */
struct atl_stream *atl_stream_begin(struct atl_req *req, int status, const char *type, void (*on_close)(void *arg),
				    void *arg);
void atl_stream_send(struct atl_stream *stream, const void *data, size_t length);
void atl_stream_send_bytes(struct atl_stream *stream, struct atl_bytes *bytes); /* shared; must be atl_sse_frame() or a chunk */
size_t atl_stream_queued_bytes(const struct atl_stream *stream);
void atl_stream_end(struct atl_stream *stream);
void atl_stream_abort(struct atl_stream *stream); /* break the connection: the reader must not take it as complete */

/* SSE: a whole event as one shared HTTP chunk: id (0: none), event name (NULL: none), data (one line or several). */
struct atl_bytes *atl_sse_frame(uint64_t id, const char *event, const char *data, size_t length);

/* ---- WebSocket (loop thread only), RFC 6455 by wslay ---- */
#define ATL_WS_MESSAGE_MAX ((size_t)1 << 20)
struct atl_ws_ops {
	void (*on_text)(void *arg, const char *text, size_t length); /* valid UTF-8 */
	void (*on_close)(void *arg);				     /* exactly once; the socket is dead afterwards */
};
/* Answer the upgrade. On error nothing was sent. `protocol`: the accepted subprotocol or NULL. */
enum atl_err atl_ws_accept(struct atl_req *req, const char *protocol, const struct atl_ws_ops *ops, void *arg,
			   struct atl_ws **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_ws_send(struct atl_ws *ws, const char *text, size_t length);
struct atl_bytes *atl_ws_frame(const char *text, size_t length); /* a shared, ready text frame */
void atl_ws_send_bytes(struct atl_ws *ws, struct atl_bytes *frame);
size_t atl_ws_queued_bytes(const struct atl_ws *ws);
void atl_ws_close(struct atl_ws *ws, int code);

/* ---- the server ---- */
struct atl_server_timeouts { /* 0: the constant above; tests shorten them */
	unsigned head_ms, body_idle_ms, keepalive_ms, stall_ms, ws_ping_ms;
};
enum atl_auth { ATL_AUTH_OK, ATL_AUTH_DENY, ATL_AUTH_BLOCK };
struct atl_server_options {
	const char *address;
	int port;
	const char *unix_path;		 /* also listen here; NULL: no */
	const char *const *hosts;	 /* accepted Host names besides loopback names and the bound address; NULL-terminated */
	struct atl_tls *tls;		 /* borrowed; the TCP listener speaks https; NULL: http */
	const char *const *trusted_proxies; /* addresses and CIDR blocks whose X-Forwarded-* count, "unix"; NULL-terminated; NULL: none */
	const struct atl_route *const *tables; /* route tables, each ending with a NULL path; NULL-terminated */
	void *app;			 /* req->app */
	struct atl_pool *pool;
	struct atl_loop *const *loops;
	size_t loop_count;
	const char *upload_dir;
	size_t max_connections; /* 0: no limit of ours; beyond it a connection is closed at once */
	struct atl_server_timeouts times;
	/* May this request go on? Called for every matched route before the body is read. may_block false: on the loop;
	 * answer BLOCK to be asked again in the pool. DENY: fill info. Public routes are asked too. */
	enum atl_auth (*authorize)(struct atl_req *req, bool may_block, struct atl_errinfo *info);
	/* For GET and HEAD that match no route (the page, its assets); loop thread; false: 404. On true it has set the
	 * answer (not sent it: no atl_res_send) or called atl_req_to_pool(). */
	bool (*fallback)(struct atl_req *req);
	/* After each response; loop thread; for metrics and the access log. */
	void (*on_done)(const struct atl_req *req, int status, uint64_t duration_us);
};
enum atl_err atl_server_create(const struct atl_server_options *options, struct atl_server **ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
int atl_server_port(const struct atl_server *server);
/* Stop accepting, close idle connections, answer what is in work, wait up to timeout_ms for the rest. */
void atl_server_drain(struct atl_server *server, unsigned timeout_ms);
void atl_server_destroy(struct atl_server *server);
struct atl_server_stats {
	uint64_t requests, connections_open, streams_open, bytes_out;
};
void atl_server_stats(const struct atl_server *server, struct atl_server_stats *out);

/* Handler tests: run one request through routing, authorisation and handler without sockets, synchronously.
 * The answer's head and body are in req->status, header lookups by atl_mock_header(), req->out. */
struct atl_mock;
struct atl_mock *atl_mock_create(const struct atl_server_options *options);
struct atl_req *atl_mock_request(struct atl_mock *mock, const char *method, const char *target,
				 const char *const *headers /* "Name: value", NULL-terminated */, const char *body);
struct atl_req *atl_mock_request_data(struct atl_mock *mock, const char *method, const char *target,
				      const char *const *headers, const void *body, size_t length); /* any bytes */
const char *atl_mock_header(const struct atl_req *req, const char *name);
const char *atl_mock_lines(const struct atl_req *req); /* all lines the handler set, each ending in CR LF */
void atl_mock_destroy(struct atl_mock *mock); /* with all its requests */

#endif
