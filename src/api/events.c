/* events.c - the live events of core/server/events.h over SSE and WebSocket. A reader that falls behind is cut off; it comes
 * back with the number of the last event it saw. Everything here runs on the connection's loop.
 */
#include "api/api.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "core/server/events.h"

#define QUEUE_MAX ((size_t)4 << 20) /* unsent bytes at which a reader is cut off */
#define WS_GOING_AWAY 1001
#define WS_TOO_SLOW 1013
#define WS_POLICY 1008

struct listener {
	struct atl_app *app;
	struct atl_identity identity;
	struct atl_event_sub *sub; /* NULL: ended */
	struct atl_stream *stream; /* one of the two */
	struct atl_ws *ws;
};

static void listener_close(void *arg)
{
	struct listener *listener = arg;

	if (listener->sub)
		atl_events_unsubscribe(listener->sub);
	free(listener);
}

static void sse_frame(void *arg, struct atl_bytes *frame)
{
	struct listener *listener = arg;

	if (atl_stream_queued_bytes(listener->stream) > QUEUE_MAX)
		atl_stream_abort(listener->stream);
	else
		atl_stream_send_bytes(listener->stream, frame);
}

static void sse_end(void *arg)
{
	struct listener *listener = arg;

	atl_stream_end(listener->stream);
}

static const struct atl_event_sub_ops sse_ops = { sse_frame, sse_end };

static void ws_frame(void *arg, struct atl_bytes *frame)
{
	struct listener *listener = arg;

	if (atl_ws_queued_bytes(listener->ws) > QUEUE_MAX)
		atl_ws_close(listener->ws, WS_TOO_SLOW);
	else
		atl_ws_send_bytes(listener->ws, frame);
}

static void ws_end(void *arg)
{
	struct listener *listener = arg;

	atl_ws_close(listener->ws, WS_GOING_AWAY);
}

static const struct atl_event_sub_ops ws_sub_ops = { ws_frame, ws_end };

static struct listener *listener_new(struct atl_req *req)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return NULL;
	listener->app = atl_api_app(req);
	listener->identity = *atl_api_identity(req);
	return listener;
}

static enum atl_err last_event_id(struct atl_req *req, uint64_t *ret, struct atl_errinfo *info)
{
	const char *text = atl_req_header(req, "Last-Event-ID");

	if (!text)
		text = atl_req_query(req, "last_event_id");
	*ret = 0;
	if (text && *text && !atl_str_u64(text, UINT64_MAX / 2, ret))
		return atl_fail_field(info, ATL_ERR_INVALID, "last_event_id", "The number of an event is an integer.");
	return ATL_OK;
}

/* The session or key behind a listener, so that revoking it ends the stream. */
static const char *credential_id(const struct listener *listener)
{
	return listener->identity.session_id[0] ? listener->identity.session_id : listener->identity.key_id;
}

static void refuse(struct atl_req *req, enum atl_err err, const struct atl_errinfo *info)
{
	atl_api_fail(req, err, info);
	atl_res_send(req);
}

static void handle_sse(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct listener *listener;
	uint64_t last;
	enum atl_err err = last_event_id(req, &last, &info);

	if (!err && atomic_load(&atl_api_app(req)->stopping))
		err = atl_fail(&info, ATL_ERR_SHUTDOWN, "The server is going down.");
	listener = err ? NULL : listener_new(req);
	if (!err && !listener)
		err = ATL_ERR_NOMEM;
	if (err) {
		refuse(req, err, &info);
		return;
	}
	atl_res_header(req, "Cache-Control", "no-store");
	atl_res_header(req, "X-Accel-Buffering", "no"); /* nginx must not hold events back */
	listener->stream = atl_stream_begin(req, 200, "text/event-stream", listener_close, listener);
	if (!listener->stream) {
		free(listener);
		return;
	}
	err = atl_events_subscribe(listener->app->events, req->loop, listener->identity.user_id, credential_id(listener),
				   ATL_EVENTS_SSE, last, &sse_ops, listener, &listener->sub, &info);
	if (err) {
		atl_warn("events", "subscribe: %s %s", atl_err_name(err), info.detail);
		atl_stream_end(listener->stream);
	}
}

/* {"type":"ping"} and {"type":"stop","message_id":...} */
static void ws_text(void *arg, const char *text, size_t length)
{
	static const char pong[] = "{\"event\":\"pong\",\"data\":{}}";
	struct listener *listener = arg;
	struct atl_json *tree;
	struct atl_arena arena;
	const char *type = NULL;
	enum atl_err err;

	atl_arena_init(&arena, 4 << 20);
	err = atl_json_parse(&arena, text, length, &tree, NULL);
	if (!err)
		type = atl_json_str(tree, "type", "");
	if (atl_str_eq(type, "ping"))
		atl_ws_send(listener->ws, pong, sizeof(pong) - 1);
	else if (atl_str_eq(type, "stop") && listener->app->stop_message)
		listener->app->stop_message(listener->app, &listener->identity, atl_json_str(tree, "message_id", ""));
	else
		atl_ws_close(listener->ws, WS_POLICY);
	atl_arena_finish(&arena);
}

static const struct atl_ws_ops ws_ops = { ws_text, listener_close };

static void handle_ws(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct listener *listener;
	uint64_t last;
	enum atl_err err = last_event_id(req, &last, &info);

	listener = err ? NULL : listener_new(req);
	if (!err && !listener)
		err = ATL_ERR_NOMEM;
	if (!err)
		err = atl_ws_accept(req, NULL, &ws_ops, listener, &listener->ws, &info);
	if (err) {
		free(listener);
		refuse(req, err, &info);
		return;
	}
	err = atl_events_subscribe(listener->app->events, req->loop, listener->identity.user_id, credential_id(listener),
				   ATL_EVENTS_WS, last, &ws_sub_ops, listener, &listener->sub, &info);
	if (err)
		atl_ws_close(listener->ws, WS_GOING_AWAY);
}

static const struct atl_query_param params[] = {
	{ "last_event_id", ATL_JT_INT, 0, 0, NULL, "number of the last event seen; the header Last-Event-ID wins" },
	{ NULL },
};

const struct atl_route atl_events_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/events", .permission = "chat.use", .flags = ATL_ROUTE_LOOP,
	  .handler = handle_sse, .tag = "Live", .summary = "Live events as server-sent events",
	  .out_type = "text/event-stream", .query = params },
	{ .method = ATL_GET, .path = "/api/v1/ws", .permission = "chat.use", .flags = ATL_ROUTE_LOOP | ATL_ROUTE_HIDDEN,
	  .handler = handle_ws, .tag = "Live", .summary = "Live events over a WebSocket", .query = params },
	{ .path = NULL },
};
