/* image_fal_body.c - the names fal's models give to what is asked, as data; see image_fal.h. */
#include <math.h>
#include <stdio.h>

#include "base/str.h"
#include "provider/image_fal.h"
#include "provider/image_http.h"

#define COUNT_MAX 4
#define NOTE_MAX 200

enum { SIZE = 1, COUNT = 2, STRENGTH = 4, NEGATIVE = 8, LORAS = 16, SEED = 32, CHECKER = 64, TOLERANCE = 128,
       PICTURES = 256 /* image_urls, a list */, DURATION = 512 /* a string */, NO_PROMPT = 1024 };

/* The first row whose prefix fits the model. NULL: there is no such field. */
static const struct handler {
	const char *prefix, *steps, *guidance, *format, *frames, *fps, *scale;
	unsigned has;
} HANDLERS[] = {
	{ "fal-ai/flux-pro/kontext", NULL, "guidance_scale", "output_format", NULL, NULL, NULL, SEED | TOLERANCE },
	{ "fal-ai/flux-pro/", NULL, NULL, "output_format", NULL, NULL, NULL, SEED | TOLERANCE },
	{ "fal-ai/flux-2/edit", NULL, "guidance_scale", "output_format", NULL, NULL, NULL,
	  SIZE | COUNT | SEED | CHECKER | PICTURES },
	{ "fal-ai/flux-2", NULL, "guidance_scale", "output_format", NULL, NULL, NULL, SIZE | COUNT | SEED | CHECKER },
	{ "fal-ai/flux-lora", "num_inference_steps", "guidance_scale", "output_format", NULL, NULL, NULL,
	  SIZE | COUNT | STRENGTH | LORAS | SEED | CHECKER },
	{ "fal-ai/flux/dev/image-to-image", "num_inference_steps", "guidance_scale", "output_format", NULL, NULL, NULL,
	  COUNT | STRENGTH | SEED | CHECKER },
	{ "fal-ai/flux/", "num_inference_steps", "guidance_scale", "output_format", NULL, NULL, NULL,
	  SIZE | COUNT | SEED | CHECKER },
	{ "fal-ai/fast-sdxl", "num_inference_steps", "guidance_scale", "format", NULL, NULL, NULL,
	  SIZE | COUNT | STRENGTH | NEGATIVE | LORAS | SEED | CHECKER },
	{ "fal-ai/wan-", "num_inference_steps", "guide_scale", NULL, "num_frames", "frames_per_second", NULL,
	  NEGATIVE | SEED | CHECKER },
	{ "fal-ai/ltx-video", "num_inference_steps", "guidance_scale", NULL, NULL, NULL, NULL, NEGATIVE | SEED },
	{ "fal-ai/kling-video", NULL, "cfg_scale", NULL, NULL, NULL, NULL, NEGATIVE | DURATION },
	{ "fal-ai/esrgan", NULL, NULL, NULL, NULL, NULL, "scale", NO_PROMPT },
	{ "fal-ai/birefnet", NULL, NULL, NULL, NULL, NULL, NULL, NO_PROMPT },
	{ "fal-ai/imageutils/", NULL, NULL, NULL, NULL, NULL, NULL, NO_PROMPT },
	{ "", "num_inference_steps", "guidance_scale", NULL, NULL, NULL, NULL, SIZE | COUNT | STRENGTH | SEED | CHECKER },
};

struct body {
	const struct atl_image_request *q;
	const struct handler *h;
	struct atl_jw w;
	void (*note)(void *arg, const char *text);
	void *arg;
};

static const struct handler *handler_of(const char *model)
{
	size_t i = 0;

	while (!atl_str_starts(model, HANDLERS[i].prefix))
		i++;
	return &HANDLERS[i];
}

static void write_size(struct body *b)
{
	if (!(b->h->has & SIZE) || b->q->width <= 0 || b->q->height <= 0)
		return;
	atl_jw_object(&b->w, "image_size");
	atl_jw_int(&b->w, "width", b->q->width);
	atl_jw_int(&b->w, "height", b->q->height);
	atl_jw_end_object(&b->w);
}

static void write_count(struct body *b)
{
	int64_t max = b->h->has & COUNT ? COUNT_MAX : 1;
	char text[NOTE_MAX];

	if (b->q->count > max) {
		snprintf(text, sizeof(text), "This model makes at most %d picture%s at a time.", (int)max, max > 1 ? "s" : "");
		b->note(b->arg, text);
	}
	if (b->h->has & COUNT)
		atl_jw_int(&b->w, "num_images", b->q->count < 1 ? 1 : b->q->count > max ? max : b->q->count);
}

/* fal fetches LoRA itself: only those with an address can be used. */
static void write_loras(struct body *b)
{
	size_t left_out = 0;

	if (b->h->has & LORAS)
		atl_jw_array(&b->w, "loras");
	for (size_t i = 0; i < b->q->lora_count; i++) {
		const struct atl_image_lora *lora = &b->q->loras[i];

		if (!(b->h->has & LORAS) || !atl_str_starts(lora->name, "https://")) {
			left_out++;
			continue;
		}
		atl_jw_object(&b->w, NULL);
		atl_jw_str(&b->w, "path", lora->name);
		atl_jw_num(&b->w, "scale", lora->weight);
		atl_jw_end_object(&b->w);
	}
	if (b->h->has & LORAS)
		atl_jw_end_array(&b->w);
	if (left_out)
		b->note(b->arg, "LoRA without an https address, or for a model that takes none, were left out.");
}

static void write_numbers(struct body *b)
{
	const struct atl_image_request *q = b->q;
	double guidance = isnan(q->guidance) ? q->cfg_scale : q->guidance;
	char text[24];

	if (b->h->steps && q->steps > 0)
		atl_jw_int(&b->w, b->h->steps, q->steps);
	if (b->h->guidance && !isnan(guidance))
		atl_jw_num(&b->w, b->h->guidance, guidance);
	if (b->h->has & STRENGTH && !isnan(q->strength) && q->task != ATL_IMAGE_TXT2IMG)
		atl_jw_num(&b->w, "strength", q->strength);
	if (b->h->frames && q->frames > 0)
		atl_jw_int(&b->w, b->h->frames, q->frames);
	if (b->h->fps && q->fps > 0)
		atl_jw_int(&b->w, b->h->fps, q->fps);
	if (b->h->scale && !isnan(q->upscale_factor))
		atl_jw_num(&b->w, b->h->scale, q->upscale_factor);
	if (b->h->has & DURATION && q->duration_s > 0) {
		snprintf(text, sizeof(text), "%lld", (long long)q->duration_s);
		atl_jw_str(&b->w, "duration", text);
	}
	if (b->h->has & SEED)
		atl_jw_int(&b->w, "seed", q->seed);
}

static void write_words(struct body *b)
{
	const struct atl_image_request *q = b->q;

	if (!(b->h->has & NO_PROMPT))
		atl_jw_str(&b->w, "prompt", q->prompt);
	if (q->negative_prompt[0] && b->h->has & NEGATIVE)
		atl_jw_str(&b->w, "negative_prompt", q->negative_prompt);
	else if (q->negative_prompt[0])
		b->note(b->arg, "This model takes no negative prompt; it was left out.");
	if (b->h->format)
		atl_jw_str(&b->w, b->h->format, atl_str_eq(q->format, "jpeg") ? "jpeg" : "png");
	if (b->h->has & CHECKER)
		atl_jw_bool(&b->w, "enable_safety_checker", q->safe_mode);
	if (b->h->has & TOLERANCE)
		atl_jw_str(&b->w, "safety_tolerance", q->safe_mode ? "2" : "5");
	if (q->sampler || q->scheduler)
		b->note(b->arg, "fal chooses the sampler itself.");
}

static void write_pictures(struct body *b, const struct atl_fal_urls *urls)
{
	if (urls->count && b->h->has & PICTURES) {
		atl_jw_array(&b->w, "image_urls");
		for (size_t i = 0; i < urls->count; i++)
			atl_jw_str(&b->w, NULL, urls->pictures[i]);
		atl_jw_end_array(&b->w);
	} else if (urls->count) {
		atl_jw_str(&b->w, "image_url", urls->pictures[0]);
		if (urls->count > 1)
			b->note(b->arg, "This model takes one picture; the others were left out.");
	}
	if (urls->mask)
		atl_jw_str(&b->w, "mask_url", urls->mask);
}

enum atl_err atl_fal_body_write(struct atl_arena *arena, const struct atl_image_request *request,
				const struct atl_fal_urls *urls, void (*note)(void *arg, const char *text), void *arg,
				struct atl_buf *out, struct atl_errinfo *info)
{
	static const char *const KNOWN[] = { "prompt", "image_url", "image_urls", "mask_url", "num_images", "seed",
					     "enable_safety_checker", "safety_tolerance", "sync_mode", "loras", NULL };
	struct body b = { .q = request, .h = handler_of(request->model), .note = note, .arg = arg };
	enum atl_err err;

	atl_jw_init(&b.w, out);
	atl_jw_object(&b.w, NULL);
	write_words(&b);
	write_pictures(&b, urls);
	write_size(&b);
	write_count(&b);
	write_numbers(&b);
	if (request->lora_count)
		write_loras(&b);
	err = atl_image_extra(arena, &b.w, request->extra, KNOWN, info);
	atl_jw_end_object(&b.w);
	return err ? err : atl_buf_err(out, info);
}

/* ---- where a run lives ---- */
bool atl_fal_remote_valid(const char *remote_id)
{
	size_t length = remote_id ? strlen(remote_id) : 0;

	return length && length < 400 && remote_id[0] != '/' && !strstr(remote_id, "..") && !strstr(remote_id, "//") &&
	       strstr(remote_id, "/requests/") &&
	       strspn(remote_id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == length;
}

const char *atl_fal_remote(struct atl_arena *arena, const char *base_url, const char *model,
			   const struct atl_json *answer)
{
	const char *url = atl_json_str(answer, "response_url", NULL), *id = atl_json_str(answer, "request_id", NULL);
	size_t base = strlen(base_url), app = 0;
	int parts = atl_str_starts(model, "workflows/") || atl_str_starts(model, "comfy/") ? 3 : 2;
	const char *remote;

	if (url && strncmp(url, base_url, base) == 0 && url[base] == '/' && atl_fal_remote_valid(url + base + 1))
		return url + base + 1;
	for (; model[app]; app++) /* owner/app, without what follows */
		if (model[app] == '/' && !--parts)
			break;
	remote = id ? atl_arena_printf(arena, "%.*s/requests/%s", (int)app, model, id) : NULL;
	return atl_fal_remote_valid(remote) ? remote : NULL;
}

/* The digits at *at, and past them; -1: none. */
static int64_t digits(const char **at)
{
	char text[8];
	size_t length = strspn(*at, "0123456789");
	int64_t value = -1;

	if (!length || length >= sizeof(text))
		return -1;
	memcpy(text, *at, length);
	text[length] = 0;
	*at += length;
	return atl_str_i64(text, 0, 100000, &value) ? value : -1;
}

bool atl_fal_log_steps(const char *message, int64_t *ret_step, int64_t *ret_steps)
{
	const char *at = strstr(message, "%|");
	int64_t step, steps;

	at = at ? strchr(at + 2, '|') : NULL;
	if (!at)
		return false;
	at += 1 + strspn(at + 1, " ");
	step = digits(&at);
	if (step < 0 || *at++ != '/')
		return false;
	steps = digits(&at);
	if (steps < 1 || step > steps)
		return false;
	*ret_step = step;
	*ret_steps = steps;
	return true;
}
