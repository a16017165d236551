/* image_comfyui_values.c - a request as values of a workflow's inputs; its pictures, uploaded.
 *
 * What was asked for and has no place in the workflow is told in a note, never dropped silently.
 */
#include <math.h>
#include <string.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/str.h"
#include "provider/image_comfyui.h"
#include "provider/image_http.h"

/* stable-diffusion.cpp's names -> ComfyUI's; names not here are the same. `near`: not the same method. */
static const struct {
	const char *ours, *theirs;
	bool near;
} SAMPLERS[] = {
	{ "euler_a", "euler_ancestral", false }, { "dpm2", "dpm_2", false },
	{ "dpm++2s_a", "dpmpp_2s_ancestral", false }, { "dpm++2m", "dpmpp_2m", false },
	{ "dpm++2mv2", "dpmpp_2m", true }, { "ddim_trailing", "ddim", true }, { "tcd", "lcm", true },
	{ "res_2s", "res_multistep", true },
}, SCHEDULERS[] = {
	{ "discrete", "normal", false }, { "default", "normal", false }, { "ays", "karras", true }, { "gits", "karras", true },
	{ "smoothstep", "simple", true }, { "lcm", "sgm_uniform", true }, { "bong_tangent", "beta", true },
};

struct put {
	const struct atl_image_run *run;
	struct atl_arena *arena;
	struct comfy_prepared *p;
	struct atl_errinfo *info;
	bool upload;
	enum atl_err err;
};

static void note_left_out(const struct put *u, const char *name)
{
	char text[160];

	atl_str_copy(text, sizeof(text), "This ComfyUI workflow has no input for ");
	atl_str_copy(text + strlen(text), sizeof(text) - strlen(text), name);
	atl_str_copy(text + strlen(text), sizeof(text) - strlen(text), "; it was left out.");
	u->run->events->note(u->run->arg, text);
}

static void put(struct put *u, const char *name, const struct atl_json *value, bool asked)
{
	struct comfy_prepared *p = u->p;

	if (u->err)
		return;
	if (!value) {
		u->err = ATL_ERR_NOMEM;
	} else if (!atl_comfy_input_find(&p->graph, name)) {
		if (asked)
			note_left_out(u, name);
	} else if (p->value_count == COMFY_VALUES_MAX) {
		u->err = atl_fail_field(u->info, ATL_ERR_INVALID, "inputs", "At most %d values.", COMFY_VALUES_MAX);
	} else {
		p->values[p->value_count++] = (struct atl_comfy_value){ name, value };
	}
}

static void put_text(struct put *u, const char *name, const char *text, bool asked)
{
	struct atl_json *value = ATL_ARENA_NEW(u->arena, struct atl_json);

	if (value)
		*value = (struct atl_json){ .kind = ATL_JSON_STRING, .string = text, .string_length = strlen(text) };
	put(u, name, value, asked);
}

static void put_int(struct put *u, const char *name, int64_t number, bool asked)
{
	struct atl_json *value = ATL_ARENA_NEW(u->arena, struct atl_json);

	if (number == ATL_IMAGE_UNSET)
		return;
	if (value)
		*value = (struct atl_json){ .kind = ATL_JSON_NUMBER, .number = (double)number, .is_integer = true, .integer = number };
	put(u, name, value, asked);
}

static void put_num(struct put *u, const char *name, double number)
{
	struct atl_json *value = ATL_ARENA_NEW(u->arena, struct atl_json);

	if (isnan(number))
		return;
	if (value)
		*value = (struct atl_json){ .kind = ATL_JSON_NUMBER, .number = number };
	put(u, name, value, true);
}

static void put_method(struct put *u, const char *name, const char *ours, bool sampler)
{
	size_t count = sampler ? ATL_COUNT(SAMPLERS) : ATL_COUNT(SCHEDULERS);

	if (!ours)
		return;
	for (size_t i = 0; i < count; i++) {
		const char *from = sampler ? SAMPLERS[i].ours : SCHEDULERS[i].ours;
		const char *to = sampler ? SAMPLERS[i].theirs : SCHEDULERS[i].theirs;
		char *text;

		if (!atl_str_eq(from, ours))
			continue;
		put_text(u, name, to, true);
		text = atl_arena_printf(u->arena, "ComfyUI has no %s %s; %s was used.", name, ours, to);
		if (text && (sampler ? SAMPLERS[i].near : SCHEDULERS[i].near))
			u->run->events->note(u->run->arg, text);
		return;
	}
	put_text(u, name, ours, true);
}

/* ---- pictures ---- */

static void add_part(struct atl_buf *out, const char *boundary, const char *name, const char *value)
{
	atl_buf_addf(out, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", boundary, name, value);
}

static void add_original(struct atl_buf *out, const char *boundary, const char *name)
{
	struct atl_buf text;
	struct atl_jw w;

	atl_buf_init(&text, 4096);
	atl_jw_init(&w, &text);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "filename", name);
	atl_jw_str(&w, "subfolder", "");
	atl_jw_str(&w, "type", "input");
	atl_jw_end_object(&w);
	add_part(out, boundary, "original_ref", text.data);
	atl_buf_finish(&text);
}

/* Named after its content, so that the same picture is one file there. With `original` (the name of an uploaded one)
 * the server stores that picture with the alpha of this one. */
static const char *upload(struct put *u, const struct atl_image_file *file, const char *original)
{
	char hash[ATL_SHA256_SIZE * 2 + 1], boundary[64], type[96];
	const char *ext = atl_str_eq(file->media_type, "image/jpeg") ? "jpg" : atl_str_eq(file->media_type, "image/webp") ? "webp" : "png";
	struct atl_image_ask ask = { .method = "POST", .path = original ? "/upload/mask" : "/upload/image", .content_type = type, .repeatable = true };
	struct atl_json *answer = NULL;
	const char *name, *folder, *stem = original && strlen(original) > 8 ? original + 8 : "";
	struct atl_buf body;

	atl_sha256_hex(file->data, file->length, hash);
	atl_str_copy(boundary, sizeof(boundary), "atelier-");
	atl_str_copy(boundary + 8, 33, hash + 32);
	atl_str_copy(type, sizeof(type), "multipart/form-data; boundary=");
	atl_str_copy(type + strlen(type), sizeof(type) - strlen(type), boundary);
	atl_buf_init(&body, file->length + 4096);
	add_part(&body, boundary, "type", "input");
	add_part(&body, boundary, "overwrite", "true");
	if (original)
		add_original(&body, boundary, original);
	atl_buf_addf(&body, "--%s\r\nContent-Disposition: form-data; name=\"image\"; filename=\"atelier-%s%.12s%.24s.%s\"\r\n"
		     "Content-Type: %s\r\n\r\n", boundary, original ? "masked-" : "", original ? stem : "", hash, ext, file->media_type ? file->media_type : "image/png");
	atl_buf_add(&body, file->data, file->length);
	atl_buf_addf(&body, "\r\n--%s--\r\n", boundary);
	u->err = atl_buf_err(&body, u->info);
	ask.body = body.data;
	ask.body_length = body.length;
	if (!u->err)
		u->err = atl_image_http_json(u->run, u->arena, &ask, &answer, u->info);
	atl_buf_finish(&body);
	if (u->err)
		return NULL;
	name = atl_json_str(answer, "name", NULL);
	folder = atl_json_str(answer, "subfolder", "");
	if (!name)
		u->err = atl_fail(u->info, ATL_ERR_UPSTREAM_FORMAT, "%s took a picture but does not say under which name.",
				  u->run->endpoint->name);
	return name && *folder ? atl_arena_printf(u->arena, "%s/%s", folder, name) : name;
}

static void put_picture(struct put *u, const char *name, const struct atl_image_file *file)
{
	const char *uploaded = "checked.png";

	if (u->err || !file->data)
		return;
	if (!atl_comfy_input_find(&u->p->graph, name)) {
		note_left_out(u, name);
		return;
	}
	if (u->upload)
		uploaded = upload(u, file, NULL);
	if (!u->err)
		put_text(u, name, uploaded, true);
}

/* A workflow without an input for a mask takes it from the picture's alpha: LoadImage gives both. */
static void put_masked_picture(struct put *u)
{
	const struct atl_image_request *q = u->run->request;
	const char *name = "checked.png";

	if (u->upload)
		name = upload(u, &q->init, NULL);
	if (u->upload && !u->err)
		name = upload(u, &q->mask_alpha, name);
	if (!u->err)
		put_text(u, "image", name, true);
}

static void put_pictures(struct put *u)
{
	const struct atl_image_request *q = u->run->request;
	const struct atl_comfy_graph *graph = &u->p->graph;

	if (q->init.data && q->mask_alpha.data && !atl_comfy_input_find(graph, "mask") && atl_comfy_input_find(graph, "image")) {
		put_masked_picture(u);
	} else {
		put_picture(u, "image", &q->init);
		put_picture(u, "mask", &q->mask);
	}
	put_picture(u, "control_image", &q->control);
}

/* ---- what a person gave by name ---- */

static void put_input(struct put *u, const struct atl_image_input *input)
{
	const struct atl_image_request *q = u->run->request;
	char field[ATL_ERRINFO_FIELD_MAX] = "inputs.";
	struct atl_json *value;
	int64_t index;

	atl_str_copy(field + 7, sizeof(field) - 7, input->name);
	u->err = atl_json_parse(u->arena, input->value, strlen(input->value), &value, u->info);
	if (u->err)
		return;
	if (!atl_comfy_input_find(&u->p->graph, input->name)) {
		u->err = atl_fail_field(u->info, ATL_ERR_INVALID, field, "The workflow has no input of this name.");
	} else if (value->kind == ATL_JSON_OBJECT) {
		index = atl_json_int(value, "reference", -1);
		if (index < 0 || (size_t)index >= q->reference_count)
			u->err = atl_fail_field(u->info, ATL_ERR_INVALID, field, "There is no such picture.");
		else
			put_picture(u, input->name, &q->references[index]);
	} else {
		put(u, input->name, value, true);
	}
}

/* The service's own parameters are inputs as well. */
static void put_extra(struct put *u)
{
	struct atl_json *root;

	if (u->err || !u->run->request->extra)
		return;
	u->err = atl_json_parse(u->arena, u->run->request->extra, strlen(u->run->request->extra), &root, u->info);
	if (u->err)
		return;
	for (const struct atl_json *v = root->child; v; v = v->next)
		if (v->kind == ATL_JSON_STRING || v->kind == ATL_JSON_NUMBER || v->kind == ATL_JSON_BOOL)
			put(u, v->key, v, true);
}

static void put_size(struct put *u)
{
	const struct atl_image_request *q = u->run->request;
	bool upscale = q->task == ATL_IMAGE_UPSCALE && q->width == ATL_IMAGE_UNSET && q->init.width > 0 &&
		       !isnan(q->upscale_factor);
	/* The picture's own size counts where there is one. */
	bool asked = !q->init.data;

	if (upscale) {
		put_int(u, "width", (int64_t)((double)q->init.width * q->upscale_factor), false);
		put_int(u, "height", (int64_t)((double)q->init.height * q->upscale_factor), false);
		return;
	}
	put_int(u, "width", q->width, asked);
	put_int(u, "height", q->height, asked);
}

static void put_time(struct put *u)
{
	const struct atl_image_request *q = u->run->request;
	const struct atl_comfy_input *input = atl_comfy_input_find(&u->p->graph, "fps");
	int64_t fps = q->fps != ATL_IMAGE_UNSET ? q->fps : input && input->value ? (int64_t)input->value->number : 0;

	put_int(u, "fps", q->fps, true);
	if (q->frames == ATL_IMAGE_UNSET && q->duration_s != ATL_IMAGE_UNSET && fps > 0 && fps < 1000 && q->duration_s < 3600)
		put_int(u, "frames", q->duration_s * fps + 1, true);
	else
		put_int(u, "frames", q->frames, true);
}

static void put_loras(struct put *u)
{
	const struct atl_image_request *q = u->run->request;

	for (size_t i = 0; i < q->lora_count && i < ATL_IMAGE_LORAS_MAX; i++)
		u->p->loras[u->p->lora_count++] = (struct atl_comfy_lora){ q->loras[i].name, q->loras[i].weight };
}

enum atl_err comfy_put_values(const struct atl_image_run *run, struct atl_arena *arena, struct comfy_prepared *p,
			      bool upload_pictures, struct atl_errinfo *info)
{
	const struct atl_image_request *q = run->request;
	struct put u = { .run = run, .arena = arena, .p = p, .info = info, .upload = upload_pictures };
	bool own = !p->built_in; /* a user's workflow has its own texts and model */

	if (!own || *q->prompt)
		put_text(&u, "prompt", q->prompt, *q->prompt);
	if (!own || *q->negative_prompt)
		put_text(&u, "negative_prompt", q->negative_prompt, *q->negative_prompt);
	if (*q->model && !(own && atl_str_eq(q->model, "workflow")))
		put_text(&u, "model", q->model, p->built_in && q->task != ATL_IMAGE_UPSCALE);
	put_int(&u, "seed", q->seed, false);
	put_int(&u, "steps", q->steps, true);
	put_num(&u, "cfg_scale", q->cfg_scale);
	put_num(&u, "guidance", q->guidance);
	put_num(&u, "strength", q->strength);
	put_method(&u, "sampler", q->sampler, true);
	put_method(&u, "scheduler", q->scheduler, false);
	put_size(&u);
	put_int(&u, "count", q->count, q->count > 1);
	put_time(&u);
	if (q->upscaler)
		put_text(&u, "upscaler", q->upscaler, true);
	put_pictures(&u);
	if (q->control.data)
		put_num(&u, "control_strength", q->control_strength);
	if (q->steps != ATL_IMAGE_UNSET)
		put_int(&u, "refiner_start", q->steps * 4 / 5, false);
	if (q->clip_skip != ATL_IMAGE_UNSET)
		put_int(&u, "clip_skip", -q->clip_skip, true);
	if (q->subseed_strength > 0)
		note_left_out(&u, "the variation seed");
	if (q->reference_count && !q->input_count)
		note_left_out(&u, "reference pictures");
	put_extra(&u);
	for (size_t i = 0; i < q->input_count && !u.err; i++)
		put_input(&u, &q->inputs[i]);
	put_loras(&u);
	return u.err;
}
