/* image_http.c - one exchange with a picture service, waited for; see image_http.h.
 *
 * The run's thread sleeps on a condition; the fetch lives on the endpoint's loop. It wakes at least every 100 ms to see
 * whether the run was cancelled; then the fetch is cancelled and its end is waited for, so that nothing on the loop
 * outlives the call.
 */
#include "provider/image_http.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "net/fetch.h"
#include "provider/openai_chat.h"

#define SLICE_MS 100
#define PAUSE_FIRST_MS 250
#define RETRY_AFTER_MAX_S 60
#define STREAM_PIECE_MAX ((size_t)96 << 20)
#define HEADERS_MAX 24

struct exchange {
	/* set before the start */
	struct atl_loop *loop;
	struct atl_fetch_request request;
	bool may_stream;
	struct atl_buf *body; /* the loop's until done */
	/* loop thread */
	struct atl_fetch *fetch;
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct atl_buf piece; /* of the stream, not yet given */
	struct atl_arena head_arena;
	struct atl_fetch_head head;
	bool streams, full, done, cancel_posted;
	enum atl_err err;
	struct atl_errinfo info;
};

/* ---- loop thread ---- */
static void on_head(void *arg, const struct atl_fetch_head *head)
{
	struct exchange *x = arg;

	pthread_mutex_lock(&x->lock);
	atl_arena_reset(&x->head_arena);
	x->head = *head;
	x->head.raw = atl_arena_strdup(&x->head_arena, head->raw ? head->raw : "");
	x->head.content_type = atl_arena_strdup(&x->head_arena, head->content_type ? head->content_type : "");
	x->streams = x->may_stream && head->status / 100 == 2 && x->head.content_type &&
		     strncasecmp(x->head.content_type, "text/event-stream", 17) == 0;
	pthread_mutex_unlock(&x->lock);
}

static void on_data(void *arg, const char *data, size_t length)
{
	struct exchange *x = arg;

	pthread_mutex_lock(&x->lock);
	if (!x->streams) {
		atl_buf_add(x->body, data, length);
		x->full |= x->body->failed;
	} else {
		atl_buf_add(&x->piece, data, length);
		x->full |= x->piece.failed;
		pthread_cond_signal(&x->changed);
	}
	pthread_mutex_unlock(&x->lock);
}

static void on_done(void *arg, enum atl_err err, const struct atl_errinfo *info)
{
	struct exchange *x = arg;

	x->fetch = NULL;
	pthread_mutex_lock(&x->lock);
	x->err = err;
	if (info)
		x->info = *info;
	x->done = true;
	pthread_cond_signal(&x->changed);
	pthread_mutex_unlock(&x->lock);
}

static void start_on_loop(void *arg)
{
	static const struct atl_fetch_ops OPS = { on_head, on_data, on_done };
	struct exchange *x = arg;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_fetch_start(x->loop, &x->request, &OPS, x, &x->fetch, &info);

	if (err)
		on_done(x, err, &info);
}

static void cancel_on_loop(void *arg)
{
	struct exchange *x = arg;

	if (x->fetch)
		atl_fetch_cancel(x->fetch);
	pthread_mutex_lock(&x->lock);
	x->cancel_posted = false;
	pthread_cond_signal(&x->changed);
	pthread_mutex_unlock(&x->lock);
}

/* ---- run's thread ---- */
static void lock_slice(struct exchange *x)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += (long)SLICE_MS * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_nsec -= 1000000000;
		end.tv_sec++;
	}
	pthread_cond_timedwait(&x->changed, &x->lock, &end);
}

/* With the lock held; it is open while the caller reads. */
static enum atl_err give_piece(struct exchange *x, const struct atl_image_ask *ask, struct atl_errinfo *info)
{
	struct atl_buf piece = x->piece;
	enum atl_err err = ATL_OK;

	if (!piece.length)
		return ATL_OK;
	atl_buf_init(&x->piece, STREAM_PIECE_MAX);
	pthread_mutex_unlock(&x->lock);
	err = ask->on_stream(ask->stream_arg, piece.data, piece.length, info);
	atl_buf_finish(&piece);
	pthread_mutex_lock(&x->lock);
	return err;
}

static enum atl_err wait_done(const struct atl_image_run *run, const struct atl_image_ask *ask, struct exchange *x,
			      struct atl_errinfo *info)
{
	enum atl_err stopped = ATL_OK;
	bool asked = false;

	pthread_mutex_lock(&x->lock);
	while (!x->done || x->cancel_posted) {
		if (!stopped && atomic_load(run->cancelled))
			stopped = atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
		if (!stopped && x->streams)
			stopped = give_piece(x, ask, info);
		if ((stopped || x->full) && !asked && !x->done) {
			asked = x->cancel_posted = true;
			pthread_mutex_unlock(&x->lock);
			if (!atl_loop_post(x->loop, cancel_on_loop, x)) {
				pthread_mutex_lock(&x->lock);
				x->cancel_posted = false;
				continue;
			}
			pthread_mutex_lock(&x->lock);
			continue;
		}
		if (!x->done || x->cancel_posted)
			lock_slice(x);
	}
	if (!stopped && x->streams && !x->full)
		stopped = give_piece(x, ask, info);
	pthread_mutex_unlock(&x->lock);
	return stopped;
}

static enum atl_err words(const struct atl_image_run *run, struct exchange *x, size_t max, struct atl_errinfo *info)
{
	const char *name = run->endpoint->name;

	if (x->full || x->err == ATL_ERR_TOO_LARGE)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "%s answered with more than %zu MB.", name, max >> 20);
	switch (x->err) {
	case ATL_ERR_UPSTREAM_CUT:
		return atl_fail(info, x->err, "The connection to %s broke before its answer was whole.", name);
	case ATL_ERR_UPSTREAM_TIMEOUT:
		return atl_fail(info, x->err, "%s took too long to answer.", name);
	case ATL_ERR_UPSTREAM:
		return atl_fail(info, x->err, "%s could not be reached: %s", name, x->info.detail);
	default:
		if (info)
			*info = x->info;
		return atl_fail_context(info, x->err, "%s", name);
	}
}

static enum atl_err once(const struct atl_image_run *run, struct atl_arena *arena, const struct atl_image_ask *ask,
			 const struct atl_fetch_request *request, struct atl_image_answer *ret, struct atl_errinfo *info)
{
	struct exchange x = { .loop = run->endpoint->loop, .request = *request, .may_stream = ask->on_stream != NULL };
	struct atl_buf own;
	pthread_condattr_t monotonic;
	enum atl_err err;

	atl_buf_init(&own, (size_t)request->max_response_bytes);
	atl_buf_init(&x.piece, STREAM_PIECE_MAX);
	atl_arena_init(&x.head_arena, 1 << 20);
	if (ask->into)
		atl_buf_reset(ask->into);
	x.body = ask->into ? ask->into : &own;
	pthread_mutex_init(&x.lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&x.changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (atl_loop_post(x.loop, start_on_loop, &x)) {
		err = wait_done(run, ask, &x, info);
		if (!err && (x.err || x.full))
			err = words(run, &x, (size_t)request->max_response_bytes, info);
	} else {
		err = atl_fail(info, ATL_ERR_SHUTDOWN, "The server is shutting down.");
	}
	if (!err) {
		*ret = (struct atl_image_answer){ .status = x.head.status, .length = own.length,
			.content_type = atl_arena_strdup(arena, x.head.content_type),
			.raw_head = atl_arena_strdup(arena, x.head.raw),
			.body = atl_arena_strndup(arena, own.length ? own.data : "", own.length) };
		if (!ret->content_type || !ret->raw_head || !ret->body)
			err = atl_fail(info, ATL_ERR_NOMEM, "No memory for the answer.");
		if (ask->into && x.head.status / 100 != 2 && !err) { /* the words of an error are no result */
			ret->body = atl_arena_strndup(arena, ask->into->length ? ask->into->data : "",
						      ask->into->length < 65536 ? ask->into->length : 65536);
			ret->length = ret->body ? strlen(ret->body) : 0;
			ret->body = ret->body ? ret->body : "";
			atl_buf_reset(ask->into);
		}
	}
	pthread_cond_destroy(&x.changed);
	pthread_mutex_destroy(&x.lock);
	atl_arena_finish(&x.head_arena);
	atl_buf_finish(&x.piece);
	atl_buf_finish(&own);
	return err;
}

/* ---- the request ---- */
static size_t origin_length(const char *url)
{
	const char *host = strstr(url, "://");

	return host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}

static bool same_origin(const char *a, const char *b)
{
	size_t length = origin_length(a);

	return length && length == origin_length(b) && strncasecmp(a, b, length) == 0 && !memchr(a, '@', length);
}

bool atl_image_key_allowed(const struct atl_image_endpoint *endpoint, const char *url, const char *key_origin)
{
	return same_origin(url, endpoint->base_url) || (key_origin && same_origin(url, key_origin));
}

static const char *authorization(const struct atl_image_run *run, struct atl_arena *arena,
				 const struct atl_image_ask *ask)
{
	const char *scheme = ask->auth ? ask->auth : "Bearer", *key = run->endpoint->key;
	struct atl_buf encoded;
	const char *line;

	if (!atl_str_eq(scheme, "Basic"))
		return atl_arena_printf(arena, "Authorization: %s %s", scheme, key);
	atl_buf_init(&encoded, 8192);
	atl_base64_encode(&encoded, ATL_BASE64_STANDARD, key, strlen(key));
	line = atl_arena_printf(arena, "Authorization: Basic %s", encoded.length ? encoded.data : "");
	atl_buf_finish(&encoded);
	return line;
}

static enum atl_err make_request(const struct atl_image_run *run, struct atl_arena *arena,
				 const struct atl_image_ask *ask, struct atl_fetch_request *r, struct atl_errinfo *info)
{
	const struct atl_image_endpoint *endpoint = run->endpoint;
	const char **headers = ATL_ARENA_ARRAY(arena, const char *, HEADERS_MAX);
	bool whole = atl_str_starts(ask->path, "http://") || atl_str_starts(ask->path, "https://");
	size_t count = 0;

	*r = (struct atl_fetch_request){ .method = ask->method, .body = ask->body, .body_length = ask->body_length,
		.body_borrowed = true, .guard = endpoint->guard, .unix_path = endpoint->unix_path, .headers = headers,
		.first_byte_ms = ask->first_byte_ms ? ask->first_byte_ms : 60000,
		.total_ms = ask->total_ms ? ask->total_ms : 120000,
		.max_response_bytes = ask->max_bytes ? ask->max_bytes : ATL_IMAGE_ANSWER_MAX };
	r->idle_ms = r->first_byte_ms;
	r->url = whole ? ask->path : atl_arena_printf(arena, "%s%s", endpoint->base_url, ask->path);
	if (!headers || !r->url)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for the request.");
	r->plain = r->unix_path || atl_str_starts(r->url, "http://127.") || atl_str_starts(r->url, "http://[::1]");
	if (endpoint->key && endpoint->key[0] && !atl_str_eq(ask->auth, "") &&
	    atl_image_key_allowed(endpoint, r->url, ask->key_origin))
		headers[count++] = authorization(run, arena, ask);
	if (ask->body)
		headers[count++] = atl_arena_printf(arena, "Content-Type: %s",
						    ask->content_type ? ask->content_type : "application/json");
	for (size_t i = 0; ask->headers && ask->headers[i] && count < HEADERS_MAX - 1; i++)
		headers[count++] = ask->headers[i];
	for (size_t i = 0; i < count; i++)
		if (!headers[i])
			return atl_fail(info, ATL_ERR_NOMEM, "No memory for the request.");
	return ATL_OK;
}

/* ---- again? ---- */
unsigned atl_image_pause(const struct atl_image_run *run, unsigned ms)
{
	return run->pause_max_ms && run->pause_max_ms < ms ? run->pause_max_ms : ms;
}

bool atl_image_wait(const struct atl_image_run *run, unsigned ms)
{
	uint64_t end = atl_monotonic_ms() + atl_image_pause(run, ms);

	for (;;) {
		uint64_t now = atl_monotonic_ms();
		uint64_t slice = now >= end ? 0 : end - now < SLICE_MS ? end - now : SLICE_MS;

		if (atomic_load(run->cancelled))
			return false;
		if (!slice)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = (long)slice * 1000000 }, NULL);
	}
}

/* Milliseconds to pause before the next try, or -1: this is the answer. */
static int64_t pause_ms(const struct atl_image_ask *ask, unsigned try, enum atl_err err,
			const struct atl_image_answer *answer)
{
	int64_t step = (int64_t)PAUSE_FIRST_MS << try;
	int after = 0;

	if (try + 1 >= ATL_IMAGE_TRIES_MAX)
		return -1;
	if (err)
		return ask->repeatable && (err == ATL_ERR_UPSTREAM_CUT || err == ATL_ERR_UPSTREAM) ? step : -1;
	if (answer->status == 429 || answer->status == 503) {
		after = atl_chat_retry_after(&(struct atl_fetch_head){ .raw = answer->raw_head }, atl_now_ms());
		if (after > RETRY_AFTER_MAX_S || (!after && !ask->repeatable))
			return -1;
		return after ? (int64_t)after * 1000 : step;
	}
	return ask->repeatable && answer->status >= 500 ? step : -1;
}

enum atl_err atl_image_http(const struct atl_image_run *run, struct atl_arena *arena, const struct atl_image_ask *ask,
			    struct atl_image_answer *ret, struct atl_errinfo *info)
{
	struct atl_fetch_request request;
	struct atl_errinfo local = { 0 };
	enum atl_err err = make_request(run, arena, ask, &request, info);

	if (err)
		return err;
	for (unsigned try = 0;; try++) {
		int64_t pause;

		err = once(run, arena, ask, &request, ret, &local);
		pause = err == ATL_ERR_CANCELLED ? -1 : pause_ms(ask, try, err, ret);
		if (pause < 0)
			break;
		if (!atl_image_wait(run, (unsigned)pause))
			return atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
	}
	if (err && info)
		*info = local;
	return err;
}

enum atl_err atl_image_http_json(const struct atl_image_run *run, struct atl_arena *arena,
				 const struct atl_image_ask *ask, struct atl_json **ret, struct atl_errinfo *info)
{
	struct atl_image_answer answer;
	enum atl_err err = atl_image_http(run, arena, ask, &answer, info);

	if (err)
		return err;
	if (answer.status / 100 != 2)
		return atl_image_http_error(run, &answer, NULL, info);
	err = atl_json_parse(arena, answer.body, answer.length, ret, NULL);
	if (err == ATL_ERR_NOMEM)
		return atl_fail(info, err, "No memory for the answer.");
	if (err)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s answered with something that is not JSON. Check the "
				"base URL.", run->endpoint->name);
	return ATL_OK;
}
