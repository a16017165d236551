/* http_int.h - what the files of the HTTP server share; nothing else includes it.
 *
 * Objects: a server has one `struct lane` per loop; a lane has its connections; a connection has at most one `struct
 * call`, which holds the public struct atl_req. A call without connection is a mock's.
 * Threads: everything of a lane, a connection and a call on the lane's loop, except that a call in phase POOL belongs
 * to the pool thread that runs it (only `req`, the response fields, and what is marked so).
 */
#ifndef ATL_NET_HTTP_INT_H
#define ATL_NET_HTTP_INT_H

#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "net/guard.h"
#include "net/http.h"
#include "net/route.h"
#include "os/sock.h"

#define MODULE "http"
#define SCRATCH_SIZE 32768	     /* a lane's buffer for response heads and chunk frames */
#define EXTRA_HEADERS_MAX 16384	     /* bytes of headers a handler may add */
#define PENDING_MAX 16384	     /* pipelined bytes read ahead before reading is paused */
#define PENDING_ROOM (PENDING_MAX + ATL_SOCK_READ_SIZE + 16384 + 1) /* what may still come when reading is paused */
#define WRITE_HIGH ((size_t)256 << 10) /* no further pipelined request while so much is unsent */
#define DISCARD_MAX ((uint64_t)256 << 10) /* refused body that is read and dropped to keep the connection */
#define CALLS_KEPT 32		     /* finished calls a lane keeps for reuse */
#define KEEP_BUFFER_MAX 65536	     /* larger buffers of a call are freed between requests */

struct ws_state;
struct call;

enum conn_state {
	CONN_IDLE,    /* waiting for a request's first byte */
	CONN_HEAD,    /* part of a head was read */
	CONN_HOLD,    /* authorisation or file work before the body: input waits */
	CONN_BODY,    /* reading the body */
	CONN_DISCARD, /* answered already; reading and dropping the rest of the body */
	CONN_WORK,    /* a handler has the request, or its response is a file or a stream */
	CONN_WS,
	CONN_CLOSING  /* flushing, then closed */
};

struct conn {
	struct atl_list node;
	struct lane *lane;
	struct atl_sock *sock; /* NULL once closed */
	struct call *call;
	struct atl_ws *ws;
	enum conn_state state;
	struct atl_parser parser;
	struct atl_buf pending; /* bytes that wait until the request at hand is done */
	uint64_t since_ms;	/* of the state, or of the last body data */
	uint64_t body_start_ms;
	size_t last_queued; /* unsent bytes at last_queued_ms, to notice a reader that stopped */
	uint64_t last_queued_ms;
	bool head_ready, paused, running, peer_eof, choked, used_once;
	bool lingering; /* DISCARD ends in a close */
	bool broken;	/* framing is lost: close after the answer */
	bool loopback, secure;
	char peer[ATL_SOCK_ADDR_SIZE];
};

enum phase {
	PHASE_READ,   /* head or body is arriving */
	PHASE_POOL,   /* a pool thread has it */
	PHASE_LOOP,   /* the handler on the loop has it */
	PHASE_FILE,   /* a file goes out in pieces */
	PHASE_STREAM, /* atl_stream or WebSocket */
	PHASE_DONE
};

struct atl_stream {
	struct call *call;
	void (*on_close)(void *arg);
	void *arg;
	bool chunked, ended, broken, closed;
};

struct call {
	struct atl_req req; /* first: a struct atl_req pointer is a call pointer */
	struct call *next_free;
	struct conn *conn; /* NULL: a mock's */
	struct lane *lane;
	struct atl_mock *mock;
	enum phase phase;
	uint64_t start_us;
	/* request */
	const char *query;    /* raw, after '?', or NULL */
	const char *raw_path; /* as sent, NUL-terminated before '?' */
	unsigned allowed;     /* methods of the path, bit mask */
	struct atl_buf body;
	size_t body_max;
	bool keep_alive, http10, expect_continue, has_body;
	bool body_here; /* the whole body was read with the head */
	bool authorized, deny, complete, refused;
	enum atl_err deny_err;
	struct atl_errinfo deny_info;
	/* upload; pool thread while one works on it */
	int upload_fd;
	char *upload_path;
	bool upload_due; /* enough is buffered to be written */
	/* what the pool thread shall do and did */
	atl_handler handler;
	atl_handler next; /* atl_res_continue */
	bool pool_auth, pool_upload, pool_read, in_fallback;
	/* response */
	const char *type; /* NULL: none */
	struct atl_buf extra;
	const void *static_body; /* sent instead of req.out */
	size_t static_length;
	bool own_csp, own_cache, own_corp, has_answer, force_close;
	/* file, or a source, sent in pieces */
	int file_fd;
	struct atl_source source;
	uint64_t file_offset, file_left;
	struct atl_buf file_chunk;
	bool file_failed;
	struct atl_stream stream;
	void (*on_hangup)(void *arg);
	void *hangup_arg;
	void *module; /* of the fallback that took the request to the pool */
};

struct lane {
	struct atl_server *server;
	struct atl_loop *loop;
	struct atl_listener *tcp, *local;
	struct atl_timer *timer;
	struct atl_list conns;
	size_t conn_count;
	struct call *free_calls;
	size_t free_count;
	char *scratch;
	char date[40]; /* "Date: ...\r\n" */
	size_t date_length;
	int64_t date_s;
	char id_prefix[20];
	uint64_t id_next;
	/* written by the loop, read by any thread */
	_Atomic uint64_t requests, connections_open, streams_open, bytes_out;
	_Atomic uint64_t calls_in_pool;
};

struct atl_server {
	struct atl_server_options options;
	struct atl_server_timeouts times;
	struct atl_parser_limits limits;
	struct route_table routes;
	char **hosts;
	size_t host_count;
	struct atl_guard proxies; /* whose word on the client counts */
	bool any_host, any_numeric;
	int port;
	struct lane *lanes;
	size_t lane_count;
	pthread_mutex_t lock; /* with `changed`: waiting for lanes to become empty */
	pthread_cond_t changed;
	_Atomic size_t conns_total;
	atomic_bool draining; /* of all lanes at once: whoever is told to go by one is not kept by another */
};

/* ---- call.c: one request from head to answer ---- */
struct call *call_create(struct lane *lane, struct conn *conn);
void call_recycle(struct call *call);
void call_destroy(struct call *call);
void call_new_id(struct call *call);
/* Everything that is checked before authorisation. Also used by the mock. */
enum atl_err call_check_head(struct call *call, const char *method, const char *target,
			     struct atl_errinfo *info) ATL_MUST_USE;
enum atl_auth call_authorize(struct call *call, bool may_block);
void call_head(struct call *call, const struct atl_parser_head *head);
enum atl_parser_do call_body(struct call *call, const char *data, size_t length);
void call_body_complete(struct call *call);
enum atl_err call_check_query(struct call *call, struct atl_errinfo *info) ATL_MUST_USE;
void call_to_pool(struct call *call);
void call_pool_work(struct call *call);	 /* the pool's part, in the pool */
void call_after_pool(struct call *call); /* and how it goes on, on the loop */
void call_refuse(struct call *call, enum atl_err err, const struct atl_errinfo *info);
void call_send(struct call *call);   /* the response in it goes out now */
void call_finish(struct call *call); /* answered: tell, recycle, go on with the connection */
void call_gone(struct call *call);   /* the client hung up */

/* ---- target.c: target, host and peer of a request ---- */
enum atl_err call_set_target(struct call *call, const char *target, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err call_check_host(struct call *call, struct atl_errinfo *info) ATL_MUST_USE;
void call_set_peer(struct call *call, const char *peer, bool loopback, bool secure);
bool call_find_method(const char *name, enum atl_method *ret) ATL_MUST_USE;

/* ---- upload.c: bodies that go to a temporary file ---- */
enum atl_parser_do upload_body(struct call *call, const char *data, size_t length);
void upload_flush(struct call *call);	/* hold the input and write in the pool */
void upload_work(struct call *call);	/* pool: write what is buffered */
void upload_release(struct call *call); /* close and remove, in the pool */

/* ---- file.c: answers from disk ---- */
void file_read_chunk(struct call *call);  /* pool */
void file_chunk_ready(struct call *call); /* loop */
void call_file_drained(struct call *call);
void file_release(struct call *call);

/* ---- conn.c ---- */
void conn_accept(void *lane, struct atl_sock *sock);
void conn_call_done(struct conn *conn, bool keep_alive); /* the call was recycled: next request or close */
void conn_go_on(struct conn *conn);			 /* after conn_hold(): read the body */
void conn_hold(struct conn *conn);			 /* input waits */
void conn_close(struct conn *conn);			 /* flush, then close */
void conn_abort(struct conn *conn);			 /* at once */
void conn_tick(struct conn *conn, uint64_t now_ms);

/* ---- res.c ---- */
size_t res_head(struct call *call, char *out, int64_t content_length, bool chunked);
const char *res_reason(int status);
/* A body that outlives the response (embedded assets): sent without copying. */
void res_borrowed(struct atl_req *req, int status, const char *type, const void *data, size_t length);
/* Trusted, ready "Name: value\r\n" lines that bring Cache-Control and Content-Security-Policy with them. */
void res_header_lines(struct atl_req *req, const char *lines);
extern const char res_continue[];
extern const size_t res_continue_length;

/* ---- server.c ---- */
enum atl_err server_init(struct atl_server *server, const struct atl_server_options *options,
			 struct atl_errinfo *info) ATL_MUST_USE;
void server_finish(struct atl_server *server);
void server_conn_closed(struct lane *lane);
const char *lane_date(struct lane *lane, size_t *ret_length);
static inline void lane_add_bytes(struct lane *lane, size_t bytes)
{
	atomic_fetch_add_explicit(&lane->bytes_out, bytes, memory_order_relaxed);
}

/* ---- stream.c ---- */
void stream_gone(struct call *call);

/* ---- ws.c ---- */
void ws_feed(struct atl_ws *ws, char *data, size_t length);
void ws_gone(struct atl_ws *ws);
void ws_tick(struct atl_ws *ws, uint64_t now_ms);
void ws_going_away(struct atl_ws *ws);

/* ---- mock.c ---- */
void mock_pool(struct call *call);

#endif
