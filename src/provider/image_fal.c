/* image_fal.c - fal.ai over its queue: inputs up, submit, poll, fetch the results, or tell it to stop.
 *
 * The remote id is the run's place in the queue ("fal-ai/flux/requests/ID"), so that after a restart the same run is
 * waited for and not paid twice. COMPLETED does not mean success: the result's own status does. With a public address fal
 * sends a message when it is done (image_fal_hook.h); the run asks less often meanwhile.
 */
#include "provider/image_fal.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "provider/image_fal_hook.h"
#include "provider/image_http.h"

#define DATA_URL_MAX 32768 /* larger inputs are uploaded */
#define POLL_FIRST_MS 250
#define POLL_MAX_MS 2000
#define POLL_HOOK_MAX_MS 5000 /* while a message is expected; it may be that none gets through */
#define RUN_MS 1800000
#define CANCEL_MS 5000
#define POLL_ARENA_MAX ((size_t)32 << 20)

/* What a run makes need not lie there for ever: it is fetched at once. */
static const char *const HEADERS[] = {
	"X-Fal-Object-Lifecycle-Preference: {\"expiration_duration_seconds\":86400}", NULL,
};

struct fal {
	const struct atl_image_run *run;
	struct atl_arena *arena;
	const char *remote;
	struct atl_fal_hook *hook; /* NULL: fal is asked only */
	uint64_t deadline_ms;
};

/* ---- inputs ---- */
static enum atl_err upload(struct fal *f, const struct atl_image_file *file, const char **ret, struct atl_errinfo *info)
{
	/* the key of fal's queue is good for its storage too; a gateway in between offers both */
	const char *origin = atl_fal_rest_origin(f->run->endpoint->base_url);
	const char *type = file->media_type ? file->media_type : "image/png";
	const char *body = atl_arena_printf(f->arena, "{\"content_type\":\"%s\",\"file_name\":\"input\"}", type), *where;
	struct atl_image_ask ask = { .headers = HEADERS, .auth = "Key", .key_origin = origin, .body = body,
		.path = atl_arena_printf(f->arena, "%s/storage/upload/initiate?storage_type=fal-cdn-v3", origin),
		.body_length = body ? strlen(body) : 0, .repeatable = true };
	struct atl_image_answer answer;
	struct atl_json *root;
	enum atl_err err;

	if (!body || !ask.path)
		return atl_fail(info, ATL_ERR_NOMEM, "upload");
	err = atl_image_http_json(f->run, f->arena, &ask, &root, info);
	if (err)
		return err;
	where = atl_json_str(root, "upload_url", NULL);
	*ret = atl_json_str(root, "file_url", NULL);
	if (!where || !*ret || (!atl_str_starts(where, "https://") && !atl_str_starts(where, f->run->endpoint->base_url)))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s did not say where the picture goes.",
				f->run->endpoint->name);
	ask = (struct atl_image_ask){ .method = "PUT", .path = where, .auth = "", .body = file->data,
		.body_length = file->length, .content_type = type, .repeatable = true };
	err = atl_image_http(f->run, f->arena, &ask, &answer, info);
	return !err && answer.status / 100 != 2 ? atl_image_http_error(f->run, &answer, "upload", info) : err;
}

static enum atl_err place(struct fal *f, const struct atl_image_file *file, const char **ret, struct atl_errinfo *info)
{
	if (file->length > DATA_URL_MAX)
		return upload(f, file, ret, info);
	*ret = atl_image_base64(f->arena, file, true);
	return *ret ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "input");
}

static enum atl_err place_all(struct fal *f, struct atl_fal_urls *urls, struct atl_errinfo *info)
{
	const struct atl_image_request *q = f->run->request;
	const struct atl_image_file *pictures[ATL_FAL_PICTURES_MAX];
	size_t count = atl_image_pictures(q, pictures, ATL_FAL_PICTURES_MAX);
	bool from_words = q->task == ATL_IMAGE_TXT2IMG || q->task == ATL_IMAGE_TXT2VID;
	enum atl_err err = ATL_OK;

	if (from_words)
		return ATL_OK;
	if (!count)
		return atl_fail_field(info, ATL_ERR_INVALID, "init", "a picture is needed");
	if (q->task == ATL_IMAGE_INPAINT && !q->mask.data)
		return atl_fail_field(info, ATL_ERR_INVALID, "mask", "a mask is needed");
	for (size_t i = 0; i < count && !err; i++, urls->count++)
		err = place(f, pictures[i], &urls->pictures[i], info);
	if (!err && q->mask.data)
		err = place(f, &q->mask, &urls->mask, info);
	return err;
}

/* ---- submit ---- */
static void tell_note(void *arg, const char *text)
{
	const struct atl_image_run *run = arg;

	run->events->note(run->arg, text);
}

static bool model_valid(const char *model)
{
	size_t length = strlen(model);

	return length && length < 200 && strchr(model, '/') && model[0] != '/' && !strstr(model, "..") &&
	       strspn(model, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == length;
}

static const char *submit_path(struct fal *f)
{
	const char *model = f->run->request->model, *address;

	f->hook = atl_fal_hook_join(f->run->endpoint);
	if (!f->hook)
		return atl_arena_printf(f->arena, "/%s", model);
	address = atl_fal_hook_address(f->hook, f->arena);
	return address ? atl_arena_printf(f->arena, "/%s?fal_webhook=%s", model, address) : NULL;
}

static enum atl_err submit(struct fal *f, struct atl_errinfo *info)
{
	const struct atl_image_run *run = f->run;
	const char *model = run->request->model;
	struct atl_image_ask ask = { .headers = HEADERS, .auth = "Key" };
	struct atl_fal_urls urls = { 0 };
	struct atl_json *root;
	struct atl_buf body;
	enum atl_err err;

	if (!model_valid(model))
		return atl_fail_field(info, ATL_ERR_INVALID, "model", "%s is not a model of fal", model);
	err = place_all(f, &urls, info);
	if (err)
		return err;
	atl_buf_init(&body, (size_t)16 << 20);
	err = atl_fal_body_write(f->arena, run->request, &urls, tell_note, (void *)run, &body, info);
	if (!err) {
		ask.path = submit_path(f);
		ask.body = body.data;
		ask.body_length = body.length;
		err = ask.path ? atl_image_http_json(run, f->arena, &ask, &root, info)
			       : atl_fail(info, ATL_ERR_NOMEM, "submit");
	}
	atl_buf_finish(&body);
	if (err)
		return err;
	f->remote = atl_fal_remote(f->arena, run->endpoint->base_url, model, root);
	if (!f->remote)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s did not say where the run can be found.",
				run->endpoint->name);
	atl_fal_hook_name(f->hook, f->remote);
	return run->events->remote(run->arg, f->remote, info);
}

/* ---- waiting ---- */
/* On a run of its own, as the first one is stopped already. What it answers changes nothing. */
static void tell_stop(struct fal *f)
{
	atomic_bool never = false;
	struct atl_image_run run = *f->run;
	struct atl_image_answer answer;
	struct atl_image_ask ask = { .method = "PUT", .auth = "Key", .total_ms = CANCEL_MS, .first_byte_ms = CANCEL_MS,
		.path = atl_arena_printf(f->arena, "/%s/cancel", f->remote) };

	run.cancelled = &never;
	if (ask.path && atl_image_http(&run, f->arena, &ask, &answer, NULL))
		return; /* it will run to its end there */
}

static void tell_progress(struct fal *f, const struct atl_json *root, const char *status)
{
	const struct atl_json *logs = atl_json_get(root, "logs");
	struct atl_image_progress p = { .phase = "sampling", .queue_position = -1 };

	if (atl_str_eq(status, "IN_QUEUE")) {
		p.phase = "queued";
		p.queue_position = atl_json_int(root, "queue_position", -1);
	}
	for (const struct atl_json *log = logs ? logs->child : NULL; log; log = log->next)
		atl_fal_log_steps(atl_json_str(log, "message", ""), &p.step, &p.steps);
	f->run->events->progress(f->run->arg, &p);
}

/* One look. Sets *done when the run has ended there, well or not. */
static enum atl_err look(struct fal *f, bool *done, struct atl_errinfo *info)
{
	struct atl_image_ask ask = { .auth = "Key", .repeatable = true };
	struct atl_arena one;
	struct atl_json *root;
	const char *status;
	enum atl_err err;

	atl_arena_init(&one, POLL_ARENA_MAX);
	ask.path = atl_arena_printf(&one, "/%s/status?logs=1", f->remote);
	err = ask.path ? atl_image_http_json(f->run, &one, &ask, &root, info) : atl_fail(info, ATL_ERR_NOMEM, "status");
	if (err == ATL_ERR_UPSTREAM_MODEL) /* 404 here is not about the model */
		err = atl_fail(info, ATL_ERR_UPSTREAM, "%s no longer knows this run. Start it again.",
			       f->run->endpoint->name);
	if (!err) {
		status = atl_json_str(root, "status", "");
		*done = atl_str_eq(status, "COMPLETED");
		if (atl_str_eq(status, "IN_QUEUE") || atl_str_eq(status, "IN_PROGRESS"))
			tell_progress(f, root, status);
		else if (!*done)
			err = atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s told a state that is not known: %.40s.",
				       f->run->endpoint->name, status);
	}
	atl_arena_finish(&one);
	return err;
}

static enum atl_err wait_done(struct fal *f, struct atl_errinfo *info)
{
	unsigned pause = POLL_FIRST_MS, pause_max = f->hook ? POLL_HOOK_MAX_MS : POLL_MAX_MS;
	bool done = false, news;
	enum atl_err err;

	for (;;) {
		err = look(f, &done, info);
		if (err || done)
			break;
		if (atl_monotonic_ms() > f->deadline_ms) {
			err = atl_fail(info, ATL_ERR_UPSTREAM_TIMEOUT, "%s did not finish in time; it was told to stop.",
				       f->run->endpoint->name);
			break;
		}
		if (!atl_fal_hook_wait(f->hook, f->run, pause, &news)) {
			err = atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
			break;
		}
		pause = pause * 3 / 2 < pause_max ? pause * 3 / 2 : pause_max;
		if (news) { /* the only one there will be: from here on as without */
			pause = POLL_FIRST_MS;
			pause_max = POLL_MAX_MS;
		}
	}
	if (err == ATL_ERR_CANCELLED || err == ATL_ERR_UPSTREAM_TIMEOUT)
		tell_stop(f);
	return err;
}

/* ---- results ---- */
static enum atl_err fetch_one(struct fal *f, const struct atl_json *file, int64_t index, int64_t seed,
			      struct atl_errinfo *info)
{
	const char *url = atl_json_str(file, "url", NULL), *type;
	struct atl_image_file inline_file;
	struct atl_buf bytes;
	enum atl_err err;

	if (url && atl_str_starts(url, "data:")) {
		err = atl_image_unbase64(f->arena, url, &inline_file, info);
		return err ? err : atl_image_deliver(f->run, index, inline_file.data, inline_file.length, seed, NULL, info);
	}
	atl_image_phase(f->run, "downloading", index);
	atl_buf_init(&bytes, f->run->max_result_bytes ? f->run->max_result_bytes : ATL_IMAGE_VIDEO_MAX);
	err = atl_image_download(f->run, f->arena, url, &bytes, &type, info);
	if (!err)
		err = atl_image_deliver(f->run, index, bytes.data, bytes.length, seed, NULL, info);
	atl_buf_finish(&bytes);
	return err;
}

/* Pictures the checker found unfit are black: they are no results. */
static enum atl_err fetch_list(struct fal *f, const struct atl_json *root, const struct atl_json *files, int64_t seed,
			       struct atl_errinfo *info)
{
	const struct atl_json *flags = atl_json_get(root, "has_nsfw_concepts");
	int64_t index = 0, unfit = 0;
	enum atl_err err = ATL_OK;

	for (const struct atl_json *file = files->child; file && !err; file = file->next) {
		const struct atl_json *flag = atl_json_at(flags, (size_t)(index + unfit));

		if (f->run->request->safe_mode && flag && flag->kind == ATL_JSON_BOOL && flag->number != 0) {
			unfit++;
			continue;
		}
		err = fetch_one(f, file, index, index + unfit ? ATL_IMAGE_UNSET : seed, info);
		index++;
	}
	if (!err && !index)
		return atl_fail(info, ATL_ERR_UPSTREAM_REFUSED, "%s blacked the picture out because it shows adult "
				"content; it was discarded. Change the prompt.", f->run->endpoint->name);
	if (!err && unfit)
		atl_image_notef(f->run, "%s blacked out %d of the pictures; they were discarded.",
				f->run->endpoint->name, (int)unfit);
	return err;
}

static enum atl_err fetch_all(struct fal *f, struct atl_errinfo *info)
{
	static const char *const NAMES[] = { "images", "videos", "image", "video" };
	struct atl_image_ask ask = { .auth = "Key", .repeatable = true, .max_bytes = (size_t)96 << 20,
		.path = atl_arena_printf(f->arena, "/%s", f->remote) };
	struct atl_json *root;
	int64_t seed;
	enum atl_err err = ask.path ? atl_image_http_json(f->run, f->arena, &ask, &root, info)
				    : atl_fail(info, ATL_ERR_NOMEM, "result");

	if (err == ATL_ERR_UPSTREAM_MODEL)
		return atl_fail(info, ATL_ERR_UPSTREAM, "%s no longer has the result of this run. Start it again.",
				f->run->endpoint->name);
	if (err)
		return err;
	seed = atl_json_int(root, "seed", ATL_IMAGE_UNSET);
	if (seed < 0)
		seed = ATL_IMAGE_UNSET;
	for (size_t i = 0; i < ATL_COUNT(NAMES); i++) {
		const struct atl_json *found = atl_json_get(root, NAMES[i]);

		if (found && found->kind == ATL_JSON_ARRAY && found->count && found->count <= ATL_IMAGE_COUNT_MAX)
			return fetch_list(f, root, found, seed, info);
		if (found && found->kind == ATL_JSON_OBJECT)
			return fetch_one(f, found, 0, seed, info);
	}
	return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s ended without a picture or video.", f->run->endpoint->name);
}

static enum atl_err fal_run(const struct atl_image_run *run, struct atl_arena *arena, struct atl_errinfo *info)
{
	struct atl_arena own;
	struct fal f = { .run = run, .arena = &own, .remote = run->remote_id,
		.deadline_ms = atl_monotonic_ms() + (run->timeout_ms ? run->timeout_ms : RUN_MS) };
	enum atl_err err = ATL_OK;

	(void)arena;
	atl_arena_init(&own, (size_t)512 << 20);
	if (f.remote && !atl_fal_remote_valid(f.remote))
		err = atl_fail(info, ATL_ERR_INTERNAL, "The stored place of this run is not one of fal's.");
	else if (!f.remote)
		err = submit(&f, info);
	if (err && f.remote && !run->remote_id)
		tell_stop(&f); /* it could not be kept: nobody would fetch it */
	if (!err)
		err = wait_done(&f, info);
	if (!err)
		err = fetch_all(&f, info);
	atl_fal_hook_leave(f.hook);
	atl_arena_finish(&own);
	return err;
}

const struct atl_image_ops atl_image_fal = {
	.kind = "fal", .resumable = true, .costs = true, .cancels = true, .needs_key = true, .concurrency = 4, .run = fal_run,
	.tasks = 1u << ATL_IMAGE_TXT2IMG | 1u << ATL_IMAGE_IMG2IMG | 1u << ATL_IMAGE_INPAINT | 1u << ATL_IMAGE_EDIT |
		 1u << ATL_IMAGE_UPSCALE | 1u << ATL_IMAGE_REMOVE_BACKGROUND | 1u << ATL_IMAGE_TXT2VID |
		 1u << ATL_IMAGE_IMG2VID,
};
