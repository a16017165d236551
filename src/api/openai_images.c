/* openai_images.c - /v1/images/generations, /edits and /variations in OpenAI's shapes.
 *
 * Each is a job like any other; the answer waits for it. With `stream` the answer is server-sent events
 * (picture_stream.h). What OpenAI's clients always send and a model does not take becomes a note of
 * the job, not an error.
 */
#include <string.h>

#include "api/fields.h"
#include "api/form.h"
#include "api/picture_stream.h"
#include "base/str.h"
#include "core/pictures/picture.h"

#define WAIT_MS 600000
#define URL_TTL_MS (60 * 60 * 1000)
#define BODY_MAX ((size_t)96 << 20)
#define IMAGES_MAX 16
#define PROMPT_MAX 32000

/* Ours, and OpenAI's. */
static const char *const NAMES[] = { "init_asset", "image", "reference_assets", "image", "mask_asset", "mask", "count", "n",
				     "width", "size", "height", "size", "format", "output_format", NULL };

struct images_in {
	uint64_t present;
	const char *prompt, *model, *size, *quality, *response_format, *style, *user, *background, *output_format, *moderation,
		*negative_prompt, *sampler, *scheduler;
	int64_t n, output_compression, partial_images, seed, steps;
	double cfg_scale;
	bool stream;
	const int64_t *form_seed; /* of a form; NULL: not given */
};
static const char *const FORMATS[] = { "url", "b64_json", NULL };
static const char *const FILES[] = { "png", "jpeg", "webp", NULL };
static const struct atl_json_field images_fields[] = {
	F_STR(struct images_in, prompt, ATL_JF_REQUIRED, 1, PROMPT_MAX, NULL),
	F_STR(struct images_in, model, ATL_JF_NULLABLE, 0, 300, "a picture model's id or name; the default one unless told"),
	F_INT(struct images_in, n, ATL_JF_NULLABLE, 1, 10, NULL),
	F_STR(struct images_in, size, ATL_JF_NULLABLE, 0, 20, "auto or WIDTHxHEIGHT"),
	F_STR(struct images_in, quality, ATL_JF_NULLABLE, 0, 20, NULL),
	F_ENUM(struct images_in, response_format, ATL_JF_NULLABLE, FORMATS, "b64_json unless told"),
	F_STR(struct images_in, style, ATL_JF_NULLABLE, 0, 80, "one of this server's styles, or OpenAI's vivid, natural"),
	F_STR(struct images_in, user, ATL_JF_NULLABLE, 0, 512, "ignored"),
	F_STR(struct images_in, background, ATL_JF_NULLABLE, 0, 20, NULL),
	F_ENUM(struct images_in, output_format, ATL_JF_NULLABLE, FILES, NULL),
	F_INT(struct images_in, output_compression, ATL_JF_NULLABLE, 0, 100, "ignored"),
	F_STR(struct images_in, moderation, ATL_JF_NULLABLE, 0, 20, "ignored: this server's rules hold"),
	F_BOOL(struct images_in, stream, ATL_JF_NULLABLE, NULL),
	F_INT(struct images_in, partial_images, ATL_JF_NULLABLE, 0, ATL_API_PARTIALS_MAX, "with stream: pictures on the way, where the model shows any"),
	F_STR(struct images_in, negative_prompt, ATL_JF_NULLABLE, 0, ATL_PICTURE_PROMPT_MAX, "not OpenAI's"),
	F_STR(struct images_in, sampler, ATL_JF_NULLABLE, 0, 60, "not OpenAI's"),
	F_STR(struct images_in, scheduler, ATL_JF_NULLABLE, 0, 60, "not OpenAI's"),
	F_INT(struct images_in, seed, ATL_JF_NULLABLE, -1, 4294967295.0, "not OpenAI's"),
	F_INT(struct images_in, steps, ATL_JF_NULLABLE, 0, 150, "not OpenAI's"),
	F_NUM(struct images_in, cfg_scale, ATL_JF_NULLABLE, 0, 30, "not OpenAI's"),
};
DESC_PATCH(images_desc, struct images_in, "ImagesRequest", images_fields);

struct image_out {
	const char *b64_json, *url, *revised_prompt;
};
static const struct atl_json_field image_fields[] = {
	F_STR(struct image_out, b64_json, ATL_JF_OMIT, 0, 0, NULL),
	F_STR(struct image_out, url, ATL_JF_OMIT, 0, 0, NULL),
	F_STR(struct image_out, revised_prompt, ATL_JF_OMIT, 0, 0, NULL),
};
DESC(image_desc, struct image_out, "ImagesItem", image_fields);
struct images_out {
	int64_t created;
	struct atl_items data;
};
static const struct atl_json_field out_fields[] = {
	F_INT(struct images_out, created, ATL_JF_REQUIRED, 0, 0, "Unix seconds"),
	F_LIST(struct images_out, data, ATL_JF_REQUIRED, &image_desc, NULL),
};
DESC(out_desc, struct images_out, "ImagesResponse", out_fields);

struct wish { /* how the answer is to look */
	bool url, stream;
	const char *output_format;
	struct atl_api_stream how; /* with stream */
};

/* ---- the answer ---- */

/* An address that opens from where the client is: the public one, else the one it asked at. */
static const char *address_of(struct atl_req *req, const struct atl_asset *asset)
{
	struct atl_app *app = atl_api_app(req);
	const char *path = atl_asset_signed_url(app, &req->arena, asset->id, URL_TTL_MS);
	const char *host = atl_req_header(req, "Host");

	if (!path)
		return NULL;
	if (!atl_str_empty(app->public_url))
		return atl_arena_printf(&req->arena, "%s%s", app->public_url, path);
	return host ? atl_arena_printf(&req->arena, "%s://%s%s", req->secure ? "https" : "http", host, path) : path;
}

static enum atl_err put_item(struct atl_req *req, const struct wish *wish, const struct atl_asset *asset, struct atl_buf *out,
			     struct atl_errinfo *info)
{
	enum atl_err err;

	if (wish->url) {
		const char *url = address_of(req, asset);
		struct atl_jw w;

		atl_jw_init(&w, out);
		atl_jw_object(&w, NULL);
		atl_jw_str(&w, "url", url);
		atl_jw_end_object(&w);
		return url ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "address");
	}
	atl_buf_adds(out, "{\"b64_json\":\"");
	err = atl_api_put_base64(req, asset, out, info);
	atl_buf_adds(out, "\"}");
	return err;
}

static void answer_json(struct atl_req *req, const struct wish *wish, const struct atl_job *job)
{
	const struct atl_asset *assets = job->assets.items;
	struct atl_errinfo info = { 0 };
	struct atl_buf out;
	enum atl_err err = ATL_OK;

	atl_buf_init(&out, ATL_HTTP_OUT_MAX);
	atl_buf_addf(&out, "{\"created\":%lld,\"output_format\":\"%s\",\"data\":[", (long long)(job->created_at / 1000),
		     wish->output_format);
	for (size_t i = 0; i < job->assets.count && !err; i++) {
		if (i)
			atl_buf_addc(&out, ',');
		err = put_item(req, wish, &assets[i], &out, &info);
	}
	atl_buf_adds(&out, "]}");
	if (!err)
		err = atl_buf_err(&out, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, 200, out.data, out.length);
	atl_buf_finish(&out);
}

static void answer(struct atl_req *req)
{
	const struct atl_api_waited *waited = req->state;
	const struct wish *wish = waited->arg;
	struct atl_errinfo info = { 0 };

	if (waited->err)
		atl_api_fail(req, waited->err, &waited->info);
	else if (atl_str_eq(waited->job.state, "failed") || atl_str_eq(waited->job.state, "cancelled"))
		atl_api_fail(req, atl_api_job_error(&waited->job, &info), &info);
	else if (!atl_str_eq(waited->job.state, "done"))
		atl_api_fail(req, atl_fail(&info, ATL_ERR_UPSTREAM_TIMEOUT, "The picture is not ready yet: it is the job %s.",
					   waited->job.id), &info);
	else
		answer_json(req, wish, &waited->job);
}

/* ---- the request ---- */

static enum atl_err take_size(struct atl_req *req, const char *text, struct atl_picture_ask *ask, struct atl_errinfo *info)
{
	if (atl_str_empty(text) || atl_str_eq(text, "auto"))
		return ATL_OK;
	if (!atl_picture_size(&req->arena, text, &ask->width, &ask->height))
		return atl_fail_field(info, ATL_ERR_INVALID, "size", "must be auto or WIDTHxHEIGHT");
	return ATL_OK;
}

static enum atl_err take(struct atl_req *req, const struct images_in *in, struct atl_picture_ask *ask, struct wish **ret,
			 struct atl_errinfo *info)
{
	struct wish *wish = ATL_ARENA_NEW(&req->arena, struct wish);
	bool openai_style = in->style && (atl_str_eq(in->style, "vivid") || atl_str_eq(in->style, "natural"));

	if (!wish)
		return atl_fail(info, ATL_ERR_NOMEM, "request");
	wish->url = atl_str_eq(in->response_format, "url");
	wish->stream = in->stream;
	wish->output_format = in->output_format ? in->output_format : "png";
	wish->how = (struct atl_api_stream){ .prefix = "image_generation", .quality = in->quality, .background = in->background,
					     .output_format = wish->output_format, .partials = in->partial_images };
	*ret = wish;
	ask->prompt = in->prompt;
	ask->negative_prompt = in->negative_prompt;
	ask->model = atl_str_empty(in->model) ? NULL : in->model;
	ask->count = in->n > 0 ? in->n : 1;
	ask->style = atl_str_empty(in->style) || openai_style ? NULL : in->style;
	ask->quality = atl_str_empty(in->quality) ? NULL : in->quality;
	ask->format = in->output_format;
	ask->sampler = in->sampler;
	ask->scheduler = in->scheduler;
	ask->no_expand = true;
	if (atl_json_has(&images_desc, in, "seed"))
		ask->seed = in->seed;
	else if (in->form_seed)
		ask->seed = *in->form_seed;
	if (in->steps > 0)
		ask->steps = in->steps;
	if (in->cfg_scale > 0)
		ask->cfg_scale = in->cfg_scale;
	return take_size(req, in->size, ask, info);
}

/* Names of OpenAI's models that clients have built in stand for the default model where nobody offers them. */
static void forgive_model(struct atl_req *req, struct atl_picture_ask *ask)
{
	static const char *const KNOWN[] = { "dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5" };
	struct atl_picture_model model;

	for (size_t i = 0; ask->model && i < ATL_COUNT(KNOWN); i++)
		if (atl_str_eq(ask->model, KNOWN[i]) &&
		    atl_picture_model_find(atl_api_app(req), &req->arena, ask->model, &model, NULL) == ATL_ERR_UPSTREAM_MODEL)
			ask->model = NULL;
}

/* What can be said at once. The key is given back: it holds the job, if there is one. */
static void refuse(struct atl_req *req, enum atl_err err, struct atl_errinfo *info)
{
	atl_api_name_field(info, NAMES);
	atl_api_fail(req, err, info);
	atl_api_idempotent_made(req);
}

static void submit(struct atl_req *req, struct atl_picture_ask *ask, struct wish *wish)
{
	struct atl_errinfo info = { 0 };
	struct atl_job job;
	enum atl_err err;

	forgive_model(req, ask);
	err = atl_picture_submit(atl_api_app(req), atl_api_identity(req), &req->arena, ATL_ENTRY_OPENAI_PICTURE, "openai", ask, &job,
				 &info);
	if (err) {
		refuse(req, err, &info);
		return;
	}
	atl_api_idempotent_made(req);
	if (wish->stream)
		atl_api_stream_job(req, job.id, &wish->how, WAIT_MS);
	else
		atl_api_wait_job(req, job.id, WAIT_MS, answer, wish);
}

static void handle_generations(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_ask ask;
	struct images_in in;
	struct wish *wish;
	enum atl_err err;

	if (!atl_api_idempotent_join(req))
		return;
	err = atl_req_json_take(req, &in, &info);
	atl_picture_ask_init(&ask);
	if (!err)
		err = take(req, &in, &ask, &wish, &info);
	if (err)
		refuse(req, err, &info);
	else
		submit(req, &ask, wish);
}

/* ---- forms ---- */

static enum atl_err read_form(struct atl_req *req, const struct atl_form *form, struct images_in *in, struct atl_errinfo *info)
{
	static const struct {
		const char *name;
		size_t offset, max;
	} TEXTS[] = {
		{ "prompt", offsetof(struct images_in, prompt), PROMPT_MAX },
		{ "negative_prompt", offsetof(struct images_in, negative_prompt), ATL_PICTURE_PROMPT_MAX },
		{ "model", offsetof(struct images_in, model), 300 },
		{ "size", offsetof(struct images_in, size), 20 },
		{ "quality", offsetof(struct images_in, quality), 20 },
		{ "style", offsetof(struct images_in, style), 80 },
		{ "background", offsetof(struct images_in, background), 20 },
		{ "sampler", offsetof(struct images_in, sampler), 60 },
		{ "scheduler", offsetof(struct images_in, scheduler), 60 },
	};
	int64_t *seed = ATL_ARENA_NEW(&req->arena, int64_t);
	enum atl_err err = seed ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "form");

	*in = (struct images_in){ .stream = atl_str_eq(atl_form_text(req, form, "stream"), "true") };
	for (size_t i = 0; i < ATL_COUNT(TEXTS) && !err; i++)
		err = atl_form_words(req, form, TEXTS[i].name, TEXTS[i].max, (const char **)(void *)((char *)in + TEXTS[i].offset),
				     info);
	if (!err)
		err = atl_form_choice(req, form, "response_format", FORMATS, &in->response_format, info);
	if (!err)
		err = atl_form_choice(req, form, "output_format", FILES, &in->output_format, info);
	if (!err)
		err = atl_form_int(req, form, "n", 1, 10, &in->n, info);
	if (!err)
		err = atl_form_int(req, form, "partial_images", 0, ATL_API_PARTIALS_MAX, &in->partial_images, info);
	if (!err)
		err = atl_form_int(req, form, "steps", 0, 150, &in->steps, info);
	if (!err && !atl_str_empty(atl_form_text(req, form, "seed"))) {
		err = atl_form_int(req, form, "seed", -1, 4294967295, seed, info);
		in->form_seed = seed;
	}
	return err;
}

/* The pictures: `image` or `image[]`; the first is what is changed. A mask's transparent part is painted anew. */
static enum atl_err take_files(struct atl_req *req, const struct atl_form *form, struct atl_picture_ask *ask,
			       struct atl_errinfo *info)
{
	const char **more = ATL_ARENA_ARRAY(&req->arena, const char *, IMAGES_MAX);
	const struct atl_part *mask = atl_multipart_find(form->parts, form->count, "mask");
	size_t count = 0;
	enum atl_err err = more ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "pictures");

	for (size_t i = 0; i < form->count && !err; i++) {
		const struct atl_part *part = &form->parts[i];
		const char *id;

		if (!atl_str_eq(part->name, "image") && !atl_str_eq(part->name, "image[]"))
			continue;
		if (count == IMAGES_MAX)
			return atl_fail_field(info, ATL_ERR_INVALID, "image", "At most %d pictures.", IMAGES_MAX);
		err = atl_api_take_bytes(req, "image", part->data, part->length, &id, info);
		if (!err && !ask->init_asset)
			ask->init_asset = id;
		else if (!err)
			more[count++] = id;
	}
	if (!err && !ask->init_asset)
		err = atl_fail_field(info, ATL_ERR_INVALID, "image", "is required");
	if (!err && mask)
		err = atl_api_take_bytes(req, "mask", mask->data, mask->length, &ask->mask_asset, info);
	ask->reference_assets = (struct atl_strs){ more, count };
	return err;
}

static void handle_form(struct atl_req *req, bool variation)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_ask ask;
	struct images_in in;
	struct atl_form form;
	struct wish *wish;
	enum atl_err err;

	if (!atl_api_idempotent_join(req))
		return;
	err = atl_form_read(req, &form, &info);
	atl_picture_ask_init(&ask);
	if (!err)
		err = read_form(req, &form, &in, &info);
	if (!err && variation)
		in.prompt = "";
	if (!err && !variation && atl_str_empty(in.prompt))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "prompt", "is required");
	if (!err)
		err = take(req, &in, &ask, &wish, &info);
	/* the words are judged before any picture is stored */
	if (!err)
		err = atl_policy_check_text(atl_api_app(req), ATL_ENTRY_OPENAI_PICTURE, atl_api_identity(req), in.prompt, &info);
	if (!err && !atl_api_idempotent_found(req))
		err = take_files(req, &form, &ask, &info);
	if (err) {
		refuse(req, err, &info);
		return;
	}
	wish->how.prefix = "image_edit";
	if (variation) {
		ask.task = "img2img";
		ask.strength = 0.6;
	}
	submit(req, &ask, wish);
}

static void handle_edits(struct atl_req *req)
{
	handle_form(req, false);
}

static void handle_variations(struct atl_req *req)
{
	handle_form(req, true);
}

#define IMAGES(p, h, words) .method = ATL_POST, .path = "/v1/images/" p, .rate = ATL_CLASS_GENERATE, .permission = "pictures.use", .handler = h, \
	.flags = ATL_ROUTE_PROBLEM_OPENAI, .tag = "OpenAI", .summary = words, .out = &out_desc, .body_max = BODY_MAX

const struct atl_route atl_openai_images_routes[] = {
	{ IMAGES("generations", handle_generations, "Pictures from words"), .in = &images_desc },
	{ IMAGES("edits", handle_edits, "Pictures changed by words, with or without a mask (multipart/form-data)") },
	{ IMAGES("variations", handle_variations, "Variations of a picture (multipart/form-data)") },
	{ .path = NULL },
};
