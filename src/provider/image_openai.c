/* image_openai.c - OpenAI's pictures, and servers that speak the same dialect (LocalAI, sd-server).
 *
 * Words go to /images/generations as JSON; pictures and masks to /images/edits as multipart. What differs between
 * models is a row of FAMILIES. With previews the answer is streamed; a server that ignores that answers as usual.
 * There is no queue: a run that was cut off cannot be waited for again.
 */
#include <math.h>
#include <stdio.h>

#include "base/crypto.h"
#include "base/str.h"
#include "provider/image_http.h"
#include "provider/sse_parse.h"

#define ANSWER_MS 300000
#define ANSWER_MAX ((size_t)192 << 20) /* base64, several pictures */
#define EVENT_MAX ((size_t)96 << 20)
#define PARTIALS 2
#define BOUNDARY_MAX 80

static const struct family {
	const char *prefix; /* of the model's name; the first that fits */
	bool streams, format, response_format;
	int64_t at_once, pictures_max;
	struct { int width, height; } sizes[3]; /* none: any */
} FAMILIES[] = {
	{ "gpt-image-2", true, true, false, 10, 16, { { 0 } } },
	{ "gpt-image", true, true, false, 10, 16, { { 1024, 1024 }, { 1536, 1024 }, { 1024, 1536 } } },
	{ "chatgpt-image", true, true, false, 10, 16, { { 1024, 1024 }, { 1536, 1024 }, { 1024, 1536 } } },
	{ "dall-e-3", false, false, true, 1, 0, { { 1024, 1024 }, { 1792, 1024 }, { 1024, 1792 } } },
	{ "dall-e-2", false, false, true, 10, 1, { { 256, 256 }, { 512, 512 }, { 1024, 1024 } } },
	{ "", false, false, true, 10, 16, { { 0 } } }, /* other servers: nothing taken for granted */
};

struct openai {
	const struct atl_image_run *run;
	const struct family *family;
	struct atl_arena *arena; /* one exchange's */
	struct atl_buf body;
	int64_t first; /* index of the first picture of this exchange */
	int64_t got;
	/* streamed */
	struct atl_sse sse;
	enum atl_err err;
	struct atl_errinfo *info;
};

static const struct family *family_of(const char *model)
{
	size_t i = 0;

	while (!atl_str_starts(model, FAMILIES[i].prefix))
		i++;
	return &FAMILIES[i];
}

/* ---- the request ---- */
/* The offered size whose shape is nearest; among equals the same one, else the largest. */
static const char *size_of(struct openai *o)
{
	const struct atl_image_request *q = o->run->request;
	double best_off = INFINITY;
	size_t best = 0;
	const char *size;

	if (q->width <= 0 || q->height <= 0)
		return NULL;
	if (!o->family->sizes[0].width)
		return atl_arena_printf(o->arena, "%lldx%lld", (long long)q->width, (long long)q->height);
	for (size_t i = 0; i < ATL_COUNT(o->family->sizes); i++) {
		int width = o->family->sizes[i].width, height = o->family->sizes[i].height;
		double off = fabs(log((double)width / height) - log((double)q->width / (double)q->height));

		if (width == q->width && height == q->height)
			off = -1;
		if (off <= best_off) {
			best_off = off;
			best = i;
		}
	}
	size = atl_arena_printf(o->arena, "%dx%d", o->family->sizes[best].width, o->family->sizes[best].height);
	if (best_off >= 0 && !o->first)
		atl_image_notef(o->run, "%s makes %s with this model, not %lldx%lld.", o->run->endpoint->name, size,
				(long long)q->width, (long long)q->height);
	return size;
}

/* One field, in JSON or as a part of the form. */
struct form {
	struct atl_jw w;
	struct atl_buf *out;
	char boundary[BOUNDARY_MAX]; /* "": JSON */
};

static void part(struct form *form, const char *name, const char *file_name, const char *media_type)
{
	atl_buf_addf(form->out, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", form->boundary, name);
	if (file_name)
		atl_buf_addf(form->out, "; filename=\"%s\"\r\nContent-Type: %s", file_name, media_type);
	atl_buf_adds(form->out, "\r\n\r\n");
}

static void put_str(struct form *form, const char *name, const char *value)
{
	if (!value)
		return;
	if (!form->boundary[0]) {
		atl_jw_str(&form->w, name, value);
		return;
	}
	part(form, name, NULL, NULL);
	atl_buf_adds(form->out, value);
	atl_buf_adds(form->out, "\r\n");
}

static void put_raw(struct form *form, const char *name, const char *value) /* a number or true */
{
	if (form->boundary[0])
		put_str(form, name, value);
	else
		atl_jw_raw(&form->w, name, value);
}

static void put_file(struct form *form, const char *name, const struct atl_image_file *file)
{
	const char *type = file->media_type ? file->media_type : "image/png", *slash = strchr(type, '/');

	part(form, name, atl_str_eq(type, "image/png") ? "picture.png" : atl_str_eq(slash, "/webp") ? "picture.webp"
												     : "picture.jpg", type);
	atl_buf_add(form->out, file->data, file->length);
	atl_buf_adds(form->out, "\r\n");
}

static enum atl_err put_extra(struct openai *o, struct form *form, struct atl_errinfo *info)
{
	static const char *const KNOWN[] = { "model", "prompt", "n", "size", "stream", "partial_images", "image", "mask",
					     "response_format", "moderation", NULL };
	const char *extra = o->run->request->extra;
	struct atl_json *root;

	if (!form->boundary[0] || atl_str_empty(extra))
		return atl_image_extra(o->arena, &form->w, extra, KNOWN, info);
	if (atl_json_parse(o->arena, extra, strlen(extra), &root, NULL) || root->kind != ATL_JSON_OBJECT)
		return atl_fail_field(info, ATL_ERR_INVALID, "extra", "extra must be a JSON object");
	for (const struct atl_json *m = root->child; m; m = m->next)
		if (m->kind == ATL_JSON_STRING && !strpbrk(m->key, "\"\r\n"))
			put_str(form, m->key, m->string);
	return ATL_OK;
}

static enum atl_err write_form(struct openai *o, struct form *form, int64_t count, struct atl_errinfo *info)
{
	const struct atl_image_request *q = o->run->request;
	const struct family *family = o->family;
	char number[24];

	put_str(form, "model", q->model[0] ? q->model : NULL);
	put_str(form, "prompt", q->prompt);
	snprintf(number, sizeof(number), "%lld", (long long)count);
	put_raw(form, "n", number);
	put_str(form, "size", size_of(o));
	put_str(form, "quality", q->quality);
	if (family->response_format)
		put_str(form, "response_format", "b64_json");
	if (family->format)
		put_str(form, "output_format", q->format ? q->format : "png");
	if (family->format && !q->safe_mode && !form->boundary[0])
		put_str(form, "moderation", "low");
	if (family->streams && q->previews) {
		snprintf(number, sizeof(number), "%d", PARTIALS);
		put_raw(form, "stream", "true");
		put_raw(form, "partial_images", number);
	}
	return put_extra(o, form, info);
}

static enum atl_err write_edit(struct openai *o, struct form *form, int64_t count, struct atl_errinfo *info)
{
	const struct atl_image_request *q = o->run->request;
	const struct atl_image_file *pictures[16];
	size_t max = (size_t)o->family->pictures_max, there = atl_image_pictures(q, pictures, 16);
	unsigned char random[16];
	enum atl_err err;

	if (!max)
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "The model %s at %s takes no pictures. Choose another model.",
				q->model, o->run->endpoint->name);
	if (!there)
		return atl_fail_field(info, ATL_ERR_INVALID, "init", "a picture is needed");
	if (q->task == ATL_IMAGE_INPAINT && !q->mask_alpha.data)
		return atl_fail_field(info, ATL_ERR_INVALID, "mask", "a mask is needed");
	if (there > max && !o->first)
		atl_image_notef(o->run, "This model takes %zu pictures; the others were left out.", max);
	atl_random(random, sizeof(random));
	memcpy(form->boundary, "atelier-", 8);
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(form->boundary + 8 + 2 * i, 3, "%02x", random[i]);
	err = write_form(o, form, count, info);
	for (size_t i = 0; i < there && i < max; i++)
		put_file(form, there > 1 && max > 1 ? "image[]" : "image", pictures[i]);
	if (q->mask_alpha.data)
		put_file(form, "mask", &q->mask_alpha);
	atl_buf_addf(form->out, "--%s--\r\n", form->boundary);
	return err;
}

/* ---- answers ---- */
static enum atl_err deliver_item(struct openai *o, const struct atl_json *item, struct atl_errinfo *info)
{
	const char *base64 = atl_json_str(item, "b64_json", NULL), *url = atl_json_str(item, "url", NULL), *type;
	const char *revised = atl_json_str(item, "revised_prompt", NULL);
	int64_t index = o->first + o->got++;
	struct atl_image_file file;
	struct atl_buf bytes;
	enum atl_err err;

	if (!base64 && url && atl_str_starts(url, "data:"))
		base64 = url;
	if (base64) {
		err = atl_image_unbase64(o->arena, base64, &file, info);
		return err ? err : atl_image_deliver(o->run, index, file.data, file.length, ATL_IMAGE_UNSET, revised, info);
	}
	if (!url)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s answered without a picture.", o->run->endpoint->name);
	atl_image_phase(o->run, "downloading", index);
	atl_buf_init(&bytes, o->run->max_result_bytes ? o->run->max_result_bytes : ATL_IMAGE_RESULT_MAX);
	err = atl_image_download(o->run, o->arena, url, &bytes, &type, info);
	if (!err)
		err = atl_image_deliver(o->run, index, bytes.data, bytes.length, ATL_IMAGE_UNSET, revised, info);
	atl_buf_finish(&bytes);
	return err;
}

static void tell_usage(struct openai *o, const struct atl_json *root)
{
	int64_t total = atl_json_int(atl_json_get(root, "usage"), "total_tokens", 0);

	if (total > 0)
		atl_image_notef(o->run, "%s counted %lld tokens (%lld in, %lld out).", o->run->endpoint->name,
				(long long)total, (long long)atl_json_int(atl_json_get(root, "usage"), "input_tokens", 0),
				(long long)atl_json_int(atl_json_get(root, "usage"), "output_tokens", 0));
}

static enum atl_err deliver_all(struct openai *o, const char *body, size_t length, struct atl_errinfo *info)
{
	struct atl_json *root;
	const struct atl_json *data;
	enum atl_err err = atl_json_parse(o->arena, body, length, &root, NULL);

	data = err ? NULL : atl_json_get(root, "data");
	if (!data || data->kind != ATL_JSON_ARRAY || !data->count)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s answered without a picture.", o->run->endpoint->name);
	for (const struct atl_json *item = data->child; item && !err; item = item->next)
		err = deliver_item(o, item, info);
	if (!err)
		tell_usage(o, root);
	return err;
}

static bool on_event(void *arg, const char *event, const char *data, size_t length)
{
	struct openai *o = arg;
	struct atl_arena *whole = o->arena, one;
	struct atl_image_file file;
	struct atl_json *root;
	const char *type;

	(void)event;
	if (atl_str_starts(data, "[DONE]"))
		return true;
	atl_arena_init(&one, EVENT_MAX * 3);
	o->arena = &one;
	if (atl_json_parse(&one, data, length, &root, NULL)) {
		o->err = atl_fail(o->info, ATL_ERR_UPSTREAM_FORMAT, "%s sent an event that is not JSON.",
				  o->run->endpoint->name);
	} else if (atl_json_get(root, "error")) {
		struct atl_image_answer answer = { .status = 500, .content_type = "", .raw_head = "", .body = data,
			.length = length };

		o->err = atl_image_http_error(o->run, &answer, NULL, o->info);
	} else {
		type = atl_json_str(root, "type", "");
		if (atl_str_ends(type, ".partial_image")) {
			if (!atl_image_unbase64(&one, atl_json_str(root, "b64_json", NULL), &file, NULL))
				o->run->events->preview(o->run->arg, o->first + o->got, file.data, file.length,
							file.media_type);
		} else if (atl_str_ends(type, ".completed")) {
			o->err = deliver_item(o, root, o->info);
			if (!o->err)
				tell_usage(o, root);
		}
	}
	o->arena = whole;
	atl_arena_finish(&one);
	return !o->err;
}

static enum atl_err on_stream(void *arg, const char *data, size_t length, struct atl_errinfo *info)
{
	struct openai *o = arg;
	enum atl_err err;

	o->info = info;
	err = atl_sse_feed(&o->sse, data, length);
	if (o->err)
		return o->err;
	return err ? atl_fail(info, err, "%s sent an event that is too long.", o->run->endpoint->name) : ATL_OK;
}

/* ---- one exchange ---- */
static enum atl_err exchange(struct openai *o, int64_t count, struct atl_errinfo *info)
{
	const struct atl_image_request *q = o->run->request;
	bool edits = q->task != ATL_IMAGE_TXT2IMG;
	struct form form = { .out = &o->body };
	struct atl_image_ask ask = { .path = edits ? "/images/edits" : "/images/generations", .max_bytes = ANSWER_MAX,
		.first_byte_ms = ANSWER_MS, .total_ms = 2 * ANSWER_MS, .stream_arg = o };
	struct atl_image_answer answer;
	enum atl_err err;

	atl_buf_reset(&o->body);
	o->got = 0;
	if (edits) {
		err = write_edit(o, &form, count, info);
		ask.content_type = atl_arena_printf(o->arena, "multipart/form-data; boundary=%s", form.boundary);
	} else {
		atl_jw_init(&form.w, &o->body);
		atl_jw_object(&form.w, NULL);
		err = write_form(o, &form, count, info);
		atl_jw_end_object(&form.w);
	}
	if (!err)
		err = atl_buf_err(&o->body, info);
	if (err)
		return err;
	ask.body = o->body.data;
	ask.body_length = o->body.length;
	ask.on_stream = o->family->streams && q->previews ? on_stream : NULL;
	atl_image_phase(o->run, "sampling", o->first);
	atl_sse_init(&o->sse, EVENT_MAX, on_event, o);
	err = atl_image_http(o->run, o->arena, &ask, &answer, info);
	if (!err && answer.status / 100 != 2) {
		err = atl_image_http_error(o->run, &answer, NULL, info);
	} else if (!err && !o->got && answer.length) {
		err = deliver_all(o, answer.body, answer.length, info);
	} else if (!err) {
		o->info = info;
		if (atl_sse_end(&o->sse) == ATL_OK && !o->err && !o->got)
			o->err = atl_fail(info, ATL_ERR_UPSTREAM_CUT, "%s ended its answer before the picture was whole.",
					  o->run->endpoint->name);
		err = o->err;
	}
	atl_sse_finish(&o->sse);
	return err;
}

static void tell_left_out(struct openai *o)
{
	const struct atl_image_request *q = o->run->request;
	const char *who = o->run->endpoint->name;

	if (q->negative_prompt[0])
		atl_image_notef(o->run, "%s takes no negative prompt; it was left out.", who);
	if (q->lora_count)
		atl_image_notef(o->run, "%s takes no LoRA; they were left out.", who);
	if (q->steps > 0 || q->cfg_scale > 0 || q->sampler)
		atl_image_notef(o->run, "%s chooses steps, guidance and sampler itself.", who);
}

static enum atl_err openai_run(const struct atl_image_run *run, struct atl_arena *arena, struct atl_errinfo *info)
{
	const struct atl_image_request *q = run->request;
	int64_t left = q->count > 1 ? q->count : 1;
	struct atl_arena own;
	struct openai o = { .run = run, .family = family_of(q->model) };
	enum atl_err err = ATL_OK;

	(void)arena;
	tell_left_out(&o);
	atl_buf_init(&o.body, (size_t)512 << 20);
	while (left > 0 && !err) {
		/* a stream tells of one picture */
		int64_t at_once = o.family->streams && q->previews ? 1 : o.family->at_once;

		atl_arena_init(&own, ANSWER_MAX * 4);
		o.arena = &own;
		err = exchange(&o, left < at_once ? left : at_once, info);
		atl_arena_finish(&own);
		o.first += o.got;
		left -= o.got > 0 ? o.got : left;
	}
	atl_buf_finish(&o.body);
	return err;
}

const struct atl_image_ops atl_image_openai = {
	.kind = "openai", .costs = true, .needs_key = true, .previews = true, .concurrency = 2, .run = openai_run,
	.tasks = 1u << ATL_IMAGE_TXT2IMG | 1u << ATL_IMAGE_INPAINT | 1u << ATL_IMAGE_EDIT,
};
