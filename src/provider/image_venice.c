/* image_venice.c - Venice: pictures from words, edits, upscaling, background removal.
 *
 * Every call answers with the picture itself; there is no queue and nothing to wait for again. A batch is several
 * calls, so that each picture has its own seed and its own verdict. Safe mode is always said, one way or the other.
 * What the service blurred or calls a violation is discarded: a blurred picture is no result.
 */
#include "provider/image_venice.h"

#include <math.h>

#include "base/codec.h"
#include "base/str.h"
#include "provider/image_http.h"

#define ANSWER_MS 300000
#define SIDE_MAX 1280
#define SEED_RANGE 1000000000 /* seeds are -999999999..999999999 */
#define PICTURES_MAX 6

/* Headers that make a finished picture unusable. */
static const struct {
	const char *name, *sentence;
} VERDICTS[] = {
	{ "x-venice-contains-minor", "says the picture may show a minor; it was discarded." },
	{ "x-venice-is-content-violation", "says the picture breaks its content rules; it was discarded. Change the "
					   "prompt." },
	{ "x-venice-is-adult-model-content-violation",
	  "says the picture breaks this model's content rules; it was discarded. Change the prompt." },
	{ "x-venice-is-blurred", "blurred the picture because it shows adult content; it was discarded. Change the "
				 "prompt." },
};

struct venice {
	const struct atl_image_run *run;
	struct atl_arena *arena;
	struct atl_jw w;
	struct atl_buf body, file;
	int64_t seed;
};

/* ---- bodies ---- */
static int64_t side(struct venice *v, int64_t asked, const char *name)
{
	if (asked <= SIDE_MAX)
		return asked;
	atl_image_notef(v->run, "%s makes pictures of at most %d pixels a side; %s was lowered.",
			v->run->endpoint->name, SIDE_MAX, name);
	return SIDE_MAX;
}

static enum atl_err write_generate(struct venice *v, int64_t index, struct atl_errinfo *info)
{
	static const char *const KNOWN[] = { "model", "prompt", "safe_mode", "return_binary", "variants", "seed", NULL };
	const struct atl_image_request *q = v->run->request;
	struct atl_jw *w = &v->w;

	v->seed = (q->seed + index) % SEED_RANGE;
	atl_jw_str(w, "model", q->model);
	atl_jw_str(w, "prompt", q->prompt);
	if (q->negative_prompt[0])
		atl_jw_str(w, "negative_prompt", q->negative_prompt);
	if (q->width > 0)
		atl_jw_int(w, "width", side(v, q->width, "width"));
	if (q->height > 0)
		atl_jw_int(w, "height", side(v, q->height, "height"));
	if (q->steps > 0)
		atl_jw_int(w, "steps", q->steps);
	if (q->cfg_scale > 0)
		atl_jw_num(w, "cfg_scale", q->cfg_scale < 20 ? q->cfg_scale : 20);
	if (!atl_str_empty(q->style_preset))
		atl_jw_str(w, "style_preset", q->style_preset);
	atl_jw_int(w, "seed", v->seed);
	atl_jw_str(w, "format", q->format ? q->format : "png");
	atl_jw_bool(w, "safe_mode", q->safe_mode);
	atl_jw_bool(w, "return_binary", true);
	return atl_image_extra(v->arena, w, q->extra, KNOWN, info);
}

static enum atl_err write_edit(struct venice *v, const struct atl_image_file **pictures, size_t count,
			       struct atl_errinfo *info)
{
	static const char *const KNOWN[] = { "model", "modelId", "prompt", "safe_mode", "image", "images", NULL };
	const struct atl_image_request *q = v->run->request;
	struct atl_jw *w = &v->w;

	atl_jw_str(w, count > 1 ? "modelId" : "model", q->model);
	atl_jw_str(w, "prompt", q->prompt);
	if (count > 1)
		atl_jw_array(w, "images");
	for (size_t i = 0; i < count; i++)
		atl_jw_str(w, count > 1 ? NULL : "image", atl_image_base64(v->arena, pictures[i], false));
	if (count > 1)
		atl_jw_end_array(w);
	atl_jw_str(w, "output_format", q->format ? q->format : "png");
	atl_jw_bool(w, "safe_mode", q->safe_mode);
	return atl_image_extra(v->arena, w, q->extra, KNOWN, info);
}

static enum atl_err write_upscale(struct venice *v, const struct atl_image_file *picture, struct atl_errinfo *info)
{
	static const char *const KNOWN[] = { "image", "scale", NULL };
	const struct atl_image_request *q = v->run->request;
	double asked = isnan(q->upscale_factor) ? 2 : q->upscale_factor, scale = fmin(fmax(asked, 2), 4);

	if (scale != asked)
		atl_image_notef(v->run, "%s enlarges 2 to 4 times; %g was taken.", v->run->endpoint->name, scale);
	atl_jw_str(&v->w, "image", atl_image_base64(v->arena, picture, false));
	atl_jw_num(&v->w, "scale", scale);
	return atl_image_extra(v->arena, &v->w, q->extra, KNOWN, info);
}

/* Writes the body of picture `index` and says where it goes. */
static enum atl_err write_body(struct venice *v, int64_t index, const char **path, struct atl_errinfo *info)
{
	const struct atl_image_request *q = v->run->request;
	const struct atl_image_file *pictures[PICTURES_MAX];
	size_t count = atl_image_pictures(q, pictures, PICTURES_MAX);
	enum atl_err err;

	if (q->task != ATL_IMAGE_TXT2IMG && !count)
		return atl_fail_field(info, ATL_ERR_INVALID, "init", "a picture is needed");
	atl_buf_reset(&v->body);
	atl_jw_init(&v->w, &v->body);
	atl_jw_object(&v->w, NULL);
	switch (q->task) {
	case ATL_IMAGE_EDIT:
		*path = count > 1 ? "/image/multi-edit" : "/image/edit";
		err = write_edit(v, pictures, count, info);
		break;
	case ATL_IMAGE_UPSCALE:
		*path = "/image/upscale";
		err = write_upscale(v, pictures[0], info);
		break;
	case ATL_IMAGE_REMOVE_BACKGROUND:
		*path = "/image/background-remove";
		atl_jw_str(&v->w, "image", atl_image_base64(v->arena, pictures[0], false));
		err = ATL_OK;
		break;
	default:
		*path = "/image/generate";
		err = write_generate(v, index, info);
		break;
	}
	atl_jw_end_object(&v->w);
	return err ? err : atl_buf_err(&v->body, info);
}

/* ---- answers ---- */
static bool is_true(const char *text)
{
	return text && atl_str_ieq(text, "true");
}

static enum atl_err judge(struct venice *v, const struct atl_image_answer *answer, struct atl_errinfo *info)
{
	for (size_t i = 0; i < ATL_COUNT(VERDICTS); i++)
		if (is_true(atl_image_answer_header(v->arena, answer, VERDICTS[i].name)))
			return atl_fail(info, ATL_ERR_UPSTREAM_REFUSED, "%s %s", v->run->endpoint->name,
					VERDICTS[i].sentence);
	return ATL_OK;
}

static const char *revised(struct venice *v, const struct atl_image_answer *answer)
{
	const char *text = atl_image_answer_header(v->arena, answer, "x-venice-enhanced-prompt");
	char *plain;

	return text && atl_percent_decode(v->arena, text, strlen(text), false, &plain) ? plain : NULL;
}

/* {"images": ["base64", ...]} where bytes were asked for: some proxies and older servers. */
static enum atl_err deliver_json(struct venice *v, int64_t index, struct atl_errinfo *info)
{
	struct atl_json *root;
	const struct atl_json *image;
	struct atl_image_file file;
	enum atl_err err = atl_json_parse(v->arena, v->file.data, v->file.length, &root, NULL);

	image = err ? NULL : atl_json_path(root, "images.0");
	if (!image || image->kind != ATL_JSON_STRING)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s answered without a picture.",
				v->run->endpoint->name);
	err = atl_image_unbase64(v->arena, image->string, &file, info);
	return err ? err : atl_image_deliver(v->run, index, file.data, file.length, v->seed, NULL, info);
}

static enum atl_err one(struct venice *v, int64_t index, struct atl_errinfo *info)
{
	struct atl_image_ask ask = { .into = &v->file, .max_bytes = v->file.max, .first_byte_ms = ANSWER_MS,
		.total_ms = 2 * ANSWER_MS };
	struct atl_image_answer answer;
	const char *warning;
	enum atl_err err = write_body(v, index, &ask.path, info);

	if (err)
		return err;
	ask.body = v->body.data;
	ask.body_length = v->body.length;
	atl_image_phase(v->run, "sampling", index);
	err = atl_image_http(v->run, v->arena, &ask, &answer, info);
	if (err)
		return err;
	if (answer.status / 100 != 2)
		return atl_image_http_error(v->run, &answer, ask.path, info);
	if ((err = judge(v, &answer, info)))
		return err;
	warning = atl_image_answer_header(v->arena, &answer, "x-venice-model-deprecation-warning");
	if (warning && !index)
		v->run->events->note(v->run->arg, warning);
	if (v->file.length && v->file.data[0] == '{')
		return deliver_json(v, index, info);
	return atl_image_deliver(v->run, index, v->file.data, v->file.length, v->seed, revised(v, &answer), info);
}

static void tell_left_out(const struct atl_image_run *run)
{
	const struct atl_image_request *q = run->request;

	if (q->lora_count)
		atl_image_notef(run, "%s takes no LoRA; they were left out.", run->endpoint->name);
	if (q->task == ATL_IMAGE_TXT2IMG && (q->sampler || q->scheduler))
		atl_image_notef(run, "%s chooses the sampler itself.", run->endpoint->name);
}

static enum atl_err venice_run(const struct atl_image_run *run, struct atl_arena *arena, struct atl_errinfo *info)
{
	const struct atl_image_request *q = run->request;
	int64_t count = q->task == ATL_IMAGE_TXT2IMG && q->count > 1 ? q->count : 1;
	struct atl_arena own;
	struct venice v = { .run = run, .arena = &own, .seed = ATL_IMAGE_UNSET };
	enum atl_err err = ATL_OK;

	(void)arena;
	tell_left_out(run);
	atl_buf_init(&v.body, (size_t)256 << 20);
	/* as base64 it is a third larger; what was allowed is looked at again when it is delivered */
	atl_buf_init(&v.file, (run->max_result_bytes ? run->max_result_bytes : ATL_IMAGE_RESULT_MAX) / 2 * 3);
	for (int64_t i = 0; i < count && !err; i++) {
		atl_arena_init(&own, (size_t)256 << 20);
		err = one(&v, i, info);
		atl_arena_finish(&own);
	}
	atl_buf_finish(&v.file);
	atl_buf_finish(&v.body);
	return err;
}

/* ---- lists ---- */
static enum atl_err list(const struct atl_image_endpoint *endpoint, struct atl_arena *arena, const char *path,
			 struct atl_json **ret, struct atl_errinfo *info)
{
	atomic_bool never = false;
	struct atl_image_run run = { .endpoint = endpoint, .cancelled = &never };

	return atl_image_http_json(&run, arena, &(struct atl_image_ask){ .path = path, .repeatable = true }, ret, info);
}

enum atl_err atl_image_venice_styles(const struct atl_image_endpoint *endpoint, atomic_bool *cancelled, struct atl_arena *arena,
				     struct atl_strs *ret, struct atl_errinfo *info)
{
	struct atl_image_run run = { .endpoint = endpoint, .cancelled = cancelled };
	struct atl_json *root;
	const struct atl_json *names;
	enum atl_err err = atl_image_http_json(&run, arena, &(struct atl_image_ask){ .path = "/image/styles", .repeatable = true },
					       &root, info);

	if (err)
		return err;
	names = root->kind == ATL_JSON_ARRAY ? root : atl_json_get(root, "data");
	*ret = (struct atl_strs){ .items = ATL_ARENA_ARRAY(arena, const char *, (names ? names->count : 0) + 1) };
	if (!ret->items)
		return atl_fail(info, ATL_ERR_NOMEM, "styles");
	for (const struct atl_json *name = names ? names->child : NULL; name; name = name->next)
		if (name->kind == ATL_JSON_STRING)
			ret->items[ret->count++] = name->string;
	return ATL_OK;
}

static enum atl_err venice_suggest(const struct atl_image_endpoint *endpoint, const char *param, atomic_bool *cancelled,
				   struct atl_arena *arena, struct atl_strs *ret, struct atl_errinfo *info)
{
	if (!atl_str_eq(param, "style_preset"))
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "%s suggests nothing for %s.", endpoint->name, param);
	return atl_image_venice_styles(endpoint, cancelled, arena, ret, info);
}

static size_t data_count(const struct atl_json *root)
{
	const struct atl_json *data = atl_json_get(root, "data");

	return data ? data->count : 0;
}

static size_t add_models(const struct atl_json *root, const char *tasks, struct atl_image_model *out)
{
	const struct atl_json *data = atl_json_get(root, "data");
	size_t count = 0;

	for (const struct atl_json *model = data ? data->child : NULL; model; model = model->next) {
		const struct atl_json *spec = atl_json_get(model, "model_spec");
		const char *id = atl_json_str(model, "id", NULL);

		if (id && !atl_json_bool(spec, "offline", false))
			out[count++] = (struct atl_image_model){ .id = id, .name = atl_json_str(spec, "name", id),
				.tasks = tasks };
	}
	return count;
}

static enum atl_err venice_models(const struct atl_image_endpoint *endpoint, struct atl_arena *arena,
				  struct atl_image_model **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct atl_json *makers, *editors;
	struct atl_image_model *models;
	size_t count;
	enum atl_err err = list(endpoint, arena, "/models?type=image", &makers, info);

	if (!err)
		err = list(endpoint, arena, "/models?type=inpaint", &editors, info);
	if (err)
		return err;
	models = ATL_ARENA_ARRAY(arena, struct atl_image_model, data_count(makers) + data_count(editors) + 2);
	if (!models)
		return atl_fail(info, ATL_ERR_NOMEM, "models");
	count = add_models(makers, "txt2img", models);
	count += add_models(editors, "edit", models + count);
	models[count++] = (struct atl_image_model){ .id = "upscale", .name = "Upscaler", .tasks = "upscale" };
	models[count++] = (struct atl_image_model){ .id = "background-remove", .name = "Background removal",
		.tasks = "remove_background" };
	*ret = models;
	*ret_count = count;
	return ATL_OK;
}

const struct atl_image_ops atl_image_venice = {
	.kind = "venice", .costs = true, .needs_key = true, .concurrency = 2, .run = venice_run,
	.models = venice_models, .suggest = venice_suggest,
	.tasks = 1u << ATL_IMAGE_TXT2IMG | 1u << ATL_IMAGE_EDIT | 1u << ATL_IMAGE_UPSCALE |
		 1u << ATL_IMAGE_REMOVE_BACKGROUND,
};
