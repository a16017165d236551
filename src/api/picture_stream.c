/* picture_stream.c - see picture_stream.h. The stream's memory is its own: the request may be gone long before the thread
 * that follows the job notices. Whichever of the two ends last frees it, on the loop. */
#include "api/picture_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/str.h"
#include "os/pool.h"

#define SLICE_MS 120
#define ARENA_MAX ((size_t)32 << 20)
#define WORD_MAX 24

struct live {
	/* set before the start */
	struct atl_app *app;
	struct atl_loop *loop;
	char user_id[ATL_ID_SIZE], job_id[ATL_ID_SIZE];
	const char *prefix;
	char quality[WORD_MAX], background[WORD_MAX], output_format[WORD_MAX];
	int64_t partials;
	uint64_t until_ms;
	bool here; /* no room (handler tests): all on the request's own thread */
	/* loop thread */
	struct atl_stream *stream; /* NULL: closed */
	bool followed;		   /* the last piece is still to come */
	/* any thread */
	atomic_bool gone;
	/* the thread that follows */
	int64_t seen, told[ATL_IMAGE_COUNT_MAX]; /* number of the last preview; partial pictures so far */
	uint64_t sent_at_ms;
};

/* ---- on the loop ---- */
struct piece {
	struct live *live;
	struct atl_bytes *frame; /* NULL: a comment */
};

static void on_close(void *arg)
{
	struct live *live = arg;

	live->stream = NULL;
	atomic_store(&live->gone, true);
	if (!live->followed)
		free(live);
}

static void deliver(void *arg)
{
	struct piece *piece = arg;
	struct atl_stream *stream = piece->live->stream;

	if (stream && piece->frame)
		atl_stream_send_bytes(stream, piece->frame);
	else if (stream)
		atl_stream_send(stream, ": \n\n", 4);
	atl_bytes_unref(piece->frame);
	free(piece);
}

/* Nothing follows any more. */
static void end(void *arg)
{
	struct live *live = arg;

	live->followed = false;
	if (live->stream)
		atl_stream_end(live->stream); /* on_close() frees */
	else
		free(live);
}

/* ---- following ---- */
/* Takes the frame. */
static void send(struct live *live, struct atl_bytes *frame)
{
	struct piece *piece = malloc(sizeof(*piece));

	live->sent_at_ms = atl_monotonic_ms();
	if (piece)
		*piece = (struct piece){ live, frame };
	if (piece && live->here) {
		deliver(piece);
		return;
	}
	if (piece && atl_loop_post(live->loop, deliver, piece))
		return;
	atl_bytes_unref(frame); /* no memory, or the loop has ended and the stream with it */
	free(piece);
}

/* The members that every event has, `more` of its own before the picture. The caller writes the picture and ends it. */
static void begin_event(struct live *live, const char *type, const struct atl_job *job, int64_t width, int64_t height,
			const char *more, struct atl_buf *out)
{
	struct atl_jw w;

	atl_jw_init(&w, out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "type", type);
	atl_jw_int(&w, "created_at", job->created_at / 1000);
	atl_buf_addf(out, ",\"size\":\"%lldx%lld\"", (long long)width, (long long)height);
	atl_jw_str(&w, "quality", live->quality);
	atl_jw_str(&w, "background", live->background);
	atl_jw_str(&w, "output_format", live->output_format);
	atl_buf_adds(out, more);
	atl_buf_adds(out, ",\"b64_json\":\"");
}

static void send_event(struct live *live, const char *type, const struct atl_buf *data)
{
	struct atl_bytes *frame = data->failed ? NULL : atl_sse_frame(0, type, data->data, data->length);

	if (frame)
		send(live, frame);
}

static void send_error(struct live *live, enum atl_err err, const struct atl_errinfo *info)
{
	struct atl_buf out;
	struct atl_jw w;

	atl_buf_init(&out, 65536);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "type", "error");
	atl_jw_object(&w, "error");
	atl_jw_str(&w, "message", info->detail[0] ? info->detail : atl_err_sentence(err));
	atl_jw_str(&w, "type", atl_err_status(err) >= 500 ? "server_error" : "invalid_request_error");
	atl_jw_null(&w, "param");
	atl_jw_str(&w, "code", atl_err_slug(err));
	atl_jw_end_object(&w);
	atl_jw_end_object(&w);
	send_event(live, "error", &out);
	atl_buf_finish(&out);
}

static void send_completed(struct live *live, const struct atl_job *job)
{
	static const char NO_USAGE[] = ",\"usage\":{\"input_tokens\":0,\"input_tokens_details\":{\"image_tokens\":0,\"text_tokens\":0},"
				       "\"output_tokens\":0,\"total_tokens\":0}"; /* required by clients; nothing here counts tokens */
	const struct atl_asset *assets = job->assets.items;
	struct atl_errinfo info = { 0 };
	char type[64];
	enum atl_err err = ATL_OK;

	snprintf(type, sizeof(type), "%s.completed", live->prefix);
	for (size_t i = 0; i < job->assets.count && !err; i++) {
		struct atl_buf out;

		atl_buf_init(&out, ATL_HTTP_OUT_MAX);
		begin_event(live, type, job, assets[i].width, assets[i].height, NO_USAGE, &out);
		err = atl_api_put_file(live->app, &assets[i], &out, &info);
		atl_buf_adds(&out, "\"}");
		if (!err)
			err = atl_buf_err(&out, &info);
		if (!err)
			send_event(live, type, &out);
		atl_buf_finish(&out);
	}
	if (!err && !job->assets.count)
		err = atl_fail(&info, ATL_ERR_UPSTREAM, "The engine made no picture.");
	if (err)
		send_error(live, err, &info);
}

static void send_partial(struct live *live, struct atl_arena *arena, const struct atl_job *job)
{
	int64_t index = job->done_count < ATL_IMAGE_COUNT_MAX ? job->done_count : 0;
	int64_t due = job->steps > 0 ? (live->told[index] + 1) * job->steps / (live->partials + 1) : 0;
	const void *data;
	const char *media_type;
	char type[64], more[64];
	struct atl_buf out;
	size_t length;

	if (live->told[index] >= live->partials || job->preview == live->seen || !job->preview || job->step < due)
		return;
	live->seen = job->preview;
	if (atl_job_preview_get(live->app, arena, live->user_id, live->job_id, index, &data, &length, &media_type, NULL) != ATL_OK)
		return;
	snprintf(type, sizeof(type), "%s.partial_image", live->prefix);
	snprintf(more, sizeof(more), ",\"partial_image_index\":%lld", (long long)live->told[index]++);
	atl_buf_init(&out, ATL_HTTP_OUT_MAX);
	begin_event(live, type, job, atl_json_int(job->request, "width", 0), atl_json_int(job->request, "height", 0), more, &out);
	atl_base64_encode(&out, ATL_BASE64_STANDARD, data, length);
	atl_buf_adds(&out, "\"}");
	send_event(live, type, &out);
	atl_buf_finish(&out);
}

/* One look, in memory of its own. True: there is nothing more to tell. */
static bool look(struct live *live)
{
	bool late = atl_monotonic_ms() >= live->until_ms, stopping = atomic_load(&live->app->stopping);
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct atl_job job;
	bool over = true;
	enum atl_err err;

	atl_arena_init(&arena, ARENA_MAX);
	err = atl_job_wait(live->app, &arena, live->user_id, live->job_id, SLICE_MS, &job, &info);
	if (!err && (atl_str_eq(job.state, "failed") || atl_str_eq(job.state, "cancelled")))
		err = atl_api_job_error(&job, &info);
	else if (!err && atl_str_eq(job.state, "done"))
		send_completed(live, &job);
	else if (!err && (late || stopping))
		err = atl_fail(&info, ATL_ERR_UPSTREAM_TIMEOUT, "The picture is not ready yet: it is the job %s.", live->job_id);
	else if (!err)
		over = false;
	if (err)
		send_error(live, err, &info);
	else if (!over)
		send_partial(live, &arena, &job);
	atl_arena_finish(&arena);
	return over;
}

static void follow(void *arg)
{
	struct live *live = arg;

	while (!atomic_load(&live->gone) && !look(live))
		if (atl_monotonic_ms() - live->sent_at_ms > ATL_API_STREAM_QUIET_MS)
			send(live, NULL);
	if (live->here)
		end(live);
	else if (!atl_loop_post(live->loop, end, live))
		atl_error("api", "the loop ended before who follows a job; a stream is lost");
}

/* ---- the start, on the loop ---- */
static void begin(struct atl_req *req)
{
	struct live *live = req->state;
	struct atl_errinfo info = { 0 };

	atl_res_header(req, "Cache-Control", "no-store");
	live->sent_at_ms = atl_monotonic_ms();
	live->followed = true;
	live->stream = atl_stream_begin(req, 200, "text/event-stream", on_close, live);
	if (!live->app->waiters) {
		live->here = true;
		follow(live);
		return;
	}
	if (atl_pool_submit(live->app->waiters, follow, live) == ATL_OK)
		return;
	live->here = true;
	send_error(live, atl_fail(&info, ATL_ERR_UNAVAILABLE, "Too many requests wait for pictures. This one is the job %s.",
				  live->job_id), &info);
	end(live);
}

void atl_api_stream_job(struct atl_req *req, const char *job_id, const struct atl_api_stream *how, unsigned timeout_ms)
{
	struct live *live = calloc(1, sizeof(*live));

	if (!live) {
		atl_api_fail(req, ATL_ERR_NOMEM, NULL);
		return;
	}
	live->app = atl_api_app(req);
	live->loop = req->loop;
	live->prefix = how->prefix;
	live->partials = how->partials;
	live->until_ms = atl_monotonic_ms() + timeout_ms;
	atl_str_copy(live->user_id, sizeof(live->user_id), atl_api_user(req));
	atl_str_copy(live->job_id, sizeof(live->job_id), job_id);
	atl_str_copy(live->quality, sizeof(live->quality), atl_str_empty(how->quality) ? "auto" : how->quality);
	atl_str_copy(live->background, sizeof(live->background), atl_str_empty(how->background) ? "auto" : how->background);
	atl_str_copy(live->output_format, sizeof(live->output_format), how->output_format ? how->output_format : "png");
	atomic_init(&live->gone, false);
	req->state = live;
	atl_res_continue(req, begin);
}
