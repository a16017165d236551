/* picture_prepare.c - from what was asked to a request in which every value is decided; see picture.h.
 *
 * Order: model, style, look, task, inputs, prompt, values, policy. A value the person gave and the model does not take is
 * refused for our own page and API; for clients that always send everything (OpenAI, A1111) it becomes a note. What a
 * style or a look wants and the model cannot is always a note.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/str.h"
#include "core/chat/prompt_history.h"
#include "core/people/rights.h"
#include "core/pictures/dynamic_prompt.h"
#include "core/pictures/look.h"
#include "core/pictures/picture_entry.h"
#include "core/pictures/picture_request.h"
#include "core/pictures/style.h"
#include "core/pictures/wildcard.h"
#include "core/pictures/workflow.h"
#include "core/pictures/workflow_inputs.h"
#include "core/safety/blocked_picture.h"
#include "core/safety/picture_check.h"
#include "core/server/setting.h"

#define NOTES_MAX 32
#define SEED_MAX 4294967295

struct prepare {
	struct atl_app *app;
	const struct atl_identity *who;
	struct atl_arena *arena;
	struct atl_errinfo *info;
	bool strict;
	const char *origin;
	struct atl_picture_model model;
	struct atl_picture_request request;
	struct atl_picture_ask *ask; /* of request */
	struct atl_picture_lora_in loras[ATL_IMAGE_LORAS_MAX];
	const char *notes[NOTES_MAX];
	const char *references[ATL_IMAGE_REFERENCES_MAX];
	struct atl_asset init;
	bool has_init, likeness;
	const char *graph; /* of a saved workflow; NULL: none */
};

static void note(struct prepare *p, const char *text)
{
	if (text && p->request.notes.count < NOTES_MAX)
		p->notes[p->request.notes.count++] = text;
}

static enum atl_err refuse(struct prepare *p, const char *field, const char *text)
{
	return atl_fail_field(p->info, ATL_ERR_INVALID, field, "%s", text ? text : "is not taken");
}

/* A value the model does not take: an error or a note. */
static enum atl_err not_taken(struct prepare *p, const char *field)
{
	const char *text = atl_arena_printf(p->arena, "%s does not take %s.", p->model.name, field);

	if (p->strict)
		return refuse(p, field, text);
	note(p, atl_arena_printf(p->arena, "%s It was left out.", text));
	return ATL_OK;
}

/* ---- model, style, look ---- */

static enum atl_err add_lora(struct prepare *p, const char *name, double weight)
{
	for (size_t i = 0; i < p->ask->loras.count; i++)
		if (atl_str_eq(p->loras[i].name, name))
			return ATL_OK; /* what was named first counts */
	if (p->ask->loras.count == ATL_IMAGE_LORAS_MAX)
		return refuse(p, "loras", "has too many items");
	p->loras[p->ask->loras.count++] = (struct atl_picture_lora_in){ name, weight };
	return ATL_OK;
}

static double number_or(double given, const struct atl_json *params, const char *name)
{
	return isnan(given) ? atl_json_num(params, name, NAN) : given;
}

static int64_t integer_or(int64_t given, const struct atl_json *params, const char *name)
{
	return given == ATL_IMAGE_UNSET ? atl_json_int(params, name, ATL_IMAGE_UNSET) : given;
}

/* A style's values stand where the person left something open, as far as the model takes them. */
static enum atl_err apply_style(struct prepare *p, struct atl_style *style)
{
	struct atl_picture_ask *ask = p->ask;
	const struct atl_json *params = style->params, *loras = atl_json_get(params, "loras");
	const char *mark = strstr(style->prompt, "{prompt}");
	enum atl_err err = ATL_OK;

	if (mark)
		ask->prompt = atl_arena_printf(p->arena, "%.*s%s%s", (int)(mark - style->prompt), style->prompt, ask->prompt,
					       mark + strlen("{prompt}"));
	else if (*style->prompt)
		ask->prompt = atl_arena_printf(p->arena, "%s%s%s", ask->prompt, *ask->prompt ? ", " : "", style->prompt);
	if (*style->negative_prompt)
		ask->negative_prompt = atl_arena_printf(p->arena, "%s%s%s", ask->negative_prompt,
							*ask->negative_prompt ? ", " : "", style->negative_prompt);
	if (!ask->prompt || !ask->negative_prompt)
		return atl_fail(p->info, ATL_ERR_NOMEM, "style");
	if (atl_picture_param_find(&p->model, "steps"))
		ask->steps = integer_or(ask->steps, params, "steps");
	if (atl_picture_param_find(&p->model, "cfg_scale"))
		ask->cfg_scale = number_or(ask->cfg_scale, params, "cfg_scale");
	if (atl_picture_param_find(&p->model, "guidance"))
		ask->guidance = number_or(ask->guidance, params, "guidance");
	if (!ask->sampler && atl_picture_param_find(&p->model, "sampler"))
		ask->sampler = atl_json_str(params, "sampler", NULL);
	if (!ask->scheduler && atl_picture_param_find(&p->model, "scheduler"))
		ask->scheduler = atl_json_str(params, "scheduler", NULL);
	for (const struct atl_json *l = loras ? loras->child : NULL; l && !err; l = l->next) {
		if (p->model.loras)
			err = add_lora(p, atl_json_str(l, "name", ""), atl_json_num(l, "weight", 1));
		else
			note(p, atl_arena_printf(p->arena, "%s does not take the LoRA %s of the style %s.", p->model.name,
						 atl_json_str(l, "name", ""), style->name));
	}
	return err;
}

static void add_reference(struct prepare *p, const char *id)
{
	for (size_t i = 0; i < p->ask->reference_assets.count; i++)
		if (atl_str_eq(p->references[i], id))
			return;
	if (p->ask->reference_assets.count < ATL_IMAGE_REFERENCES_MAX)
		p->references[p->ask->reference_assets.count++] = id;
}

/* One seed for each conversation, the same on every server start. */
static int64_t conversation_seed(const char *conversation_id)
{
	uint32_t hash = 2166136261u;

	for (const char *c = conversation_id; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	return hash;
}

static enum atl_err apply_look(struct prepare *p, const struct atl_look *look)
{
	struct atl_picture_ask *ask = p->ask;
	const struct atl_look_lora *loras = look->loras.items;
	enum atl_err err = ATL_OK;

	if (*look->prompt_prefix)
		ask->prompt = atl_arena_printf(p->arena, "%s, %s", look->prompt_prefix, ask->prompt);
	if (*look->negative_prompt)
		ask->negative_prompt = atl_arena_printf(p->arena, "%s%s%s", look->negative_prompt,
							*ask->negative_prompt ? ", " : "", ask->negative_prompt);
	if (!ask->prompt || !ask->negative_prompt)
		return atl_fail(p->info, ATL_ERR_NOMEM, "look");
	for (size_t i = 0; i < look->loras.count && !err; i++) {
		if (p->model.loras)
			err = add_lora(p, loras[i].name, loras[i].weight);
		else
			note(p, atl_arena_printf(p->arena, "%s does not take the LoRA %s of the character's look.", p->model.name,
						 loras[i].name));
	}
	if (look->reference_assets.count && !p->model.references_max)
		note(p, atl_arena_printf(p->arena, "%s takes no reference pictures: those of the character's look were left out.",
					 p->model.name));
	for (size_t i = 0; i < look->reference_assets.count && p->model.references_max; i++)
		add_reference(p, look->reference_assets.items[i]);
	p->likeness = look->reference_assets.count > 0;
	if (ask->seed < 0 && atl_str_eq(look->seed_policy, "fixed") && look->seed >= 0)
		ask->seed = look->seed;
	if (ask->seed < 0 && atl_str_eq(look->seed_policy, "conversation") && ask->conversation_id)
		ask->seed = conversation_seed(ask->conversation_id);
	return err;
}

/* ---- the task and its inputs ---- */

static bool offers(const struct prepare *p, const char *task)
{
	for (size_t i = 0; i < p->model.tasks.count; i++)
		if (atl_str_eq(p->model.tasks.items[i], task))
			return true;
	return false;
}

static const char *guess_task(const struct prepare *p)
{
	const struct atl_picture_ask *ask = p->ask;
	bool video = atl_str_eq(p->model.kind, "video"), input = ask->init_asset || ask->depends_on;

	if (ask->workflow_id)
		return "workflow";
	if (video)
		return input && offers(p, "img2vid") ? "img2vid" : "txt2vid";
	if (input && ask->mask_asset)
		return "inpaint";
	if (input && offers(p, "img2img"))
		return "img2img";
	if (input && offers(p, "upscale") && !*ask->prompt)
		return "upscale";
	if ((input || ask->reference_assets.count) && offers(p, "edit"))
		return "edit";
	return input ? "img2img" : "txt2img";
}

static enum atl_err check_task(struct prepare *p)
{
	struct atl_picture_ask *ask = p->ask;
	enum atl_image_task task;

	if (!ask->task)
		ask->task = guess_task(p);
	if (!atl_image_task_find(ask->task, &task))
		return refuse(p, "task", "must be one of txt2img, img2img, inpaint, edit, upscale, remove_background, txt2vid, "
					 "img2vid, workflow");
	if (!offers(p, ask->task))
		return atl_fail_field(p->info, ATL_ERR_UNSUPPORTED, "task", "%s does not offer %s. Choose another model.",
				      p->model.name, ask->task);
	if ((task == ATL_IMAGE_IMG2IMG || task == ATL_IMAGE_INPAINT || task == ATL_IMAGE_UPSCALE ||
	     task == ATL_IMAGE_REMOVE_BACKGROUND || task == ATL_IMAGE_IMG2VID) && !ask->init_asset && !ask->depends_on)
		return refuse(p, "init_asset", "is required for this task");
	if (task == ATL_IMAGE_INPAINT && !ask->mask_asset)
		return refuse(p, "mask_asset", "is required for this task");
	if (task == ATL_IMAGE_EDIT && !ask->init_asset && !ask->reference_assets.count && !ask->depends_on)
		return refuse(p, "init_asset", "is required for this task");
	if (!*ask->prompt && (task == ATL_IMAGE_TXT2IMG || task == ATL_IMAGE_EDIT || task == ATL_IMAGE_TXT2VID))
		return refuse(p, "prompt", "is required");
	return ATL_OK;
}

static enum atl_err find_input(struct prepare *p, const char *field, const char *id, struct atl_asset *ret)
{
	enum atl_err err = atl_asset_get(p->app, p->arena, p->who->user_id, id, ret, p->info);

	if (err == ATL_ERR_NOT_FOUND)
		return atl_fail_field(p->info, ATL_ERR_NOT_FOUND, field, "There is no picture %s.", id);
	return err ? err : atl_blocked_check_asset(p->app, p->who->user_id, id, p->info);
}

static enum atl_err check_number(struct prepare *p, const char *name, double *value);
static enum atl_err check_choice(struct prepare *p, const char *name, const char **value);

/* A control picture goes to a model with control types, to a local one with a ControlNet, or into a workflow. */
static bool takes_control(const struct prepare *p)
{
	return atl_picture_param_find(&p->model, "control_type") || p->ask->workflow_id ||
	       (p->model.files && atl_json_get(p->model.files, "control_net"));
}

static enum atl_err check_control(struct prepare *p)
{
	struct atl_picture_ask *ask = p->ask;
	struct atl_asset asset;
	enum atl_err err;

	if (!takes_control(p)) {
		err = not_taken(p, "control_asset");
		ask->control_asset = NULL;
		return err;
	}
	err = find_input(p, "control_asset", ask->control_asset, &asset);
	if (!err && atl_picture_param_find(&p->model, "control_type"))
		err = check_choice(p, "control_type", &ask->control_type);
	if (!err && atl_picture_param_find(&p->model, "control_strength"))
		err = check_number(p, "control_strength", &ask->control_strength);
	return err;
}

static enum atl_err check_inputs(struct prepare *p)
{
	struct atl_picture_ask *ask = p->ask;
	struct atl_asset asset;
	enum atl_err err = ATL_OK;

	if (ask->init_asset) {
		err = find_input(p, "init_asset", ask->init_asset, &p->init);
		p->has_init = !err;
	}
	if (!err && ask->mask_asset && !p->model.masks)
		err = not_taken(p, "mask_asset");
	else if (!err && ask->mask_asset)
		err = find_input(p, "mask_asset", ask->mask_asset, &asset);
	if (!err && ask->control_asset)
		err = check_control(p);
	else if (!err && p->model.files && atl_json_get(p->model.files, "control_net"))
		err = refuse(p, "control_asset", "is required: this model follows a control picture");
	if (!err && ask->workflow_id) {
		struct atl_workflow workflow;

		err = atl_workflow_graph(p->app, p->arena, p->who->user_id, ask->workflow_id, &p->graph, p->info);
		if (!err)
			err = atl_workflow_get(p->app, p->arena, p->who->user_id, ask->workflow_id, &workflow, p->info);
		if (!err)
			err = atl_workflow_values_check(workflow.inputs, ask->inputs, p->info);
	}
	if (!err && ask->reference_assets.count > (size_t)p->model.references_max) {
		if (p->strict)
			return refuse(p, "reference_assets", atl_arena_printf(p->arena, "%s takes at most %lld reference pictures.",
									      p->model.name, (long long)p->model.references_max));
		note(p, atl_arena_printf(p->arena, "%s takes at most %lld reference pictures; the others were left out.",
					 p->model.name, (long long)p->model.references_max));
		ask->reference_assets.count = (size_t)p->model.references_max;
	}
	for (size_t i = 0; i < ask->reference_assets.count && !err; i++)
		err = find_input(p, "reference_assets", p->references[i], &asset);
	return err;
}

/* ---- prompts ---- */

static const char *find_wildcard(void *arg, const char *name)
{
	struct prepare *p = arg;
	const char *lines = NULL;

	return atl_wildcard_lines(p->app, p->arena, p->who->user_id, name, &lines, NULL) == ATL_OK ? lines : NULL;
}

static enum atl_err expand_prompts(struct prepare *p)
{
	struct atl_picture_ask *ask = p->ask;
	struct atl_prompt_lora found[ATL_DYNAMIC_LORAS_MAX];
	size_t count = 0;
	enum atl_err err = ATL_OK;

	if (!ask->no_expand) {
		err = atl_dynamic_expand(p->arena, ask->prompt, (uint64_t)ask->seed, find_wildcard, p, &ask->prompt, p->info);
		if (!err)
			err = atl_dynamic_expand(p->arena, ask->negative_prompt, (uint64_t)ask->seed + 1, find_wildcard, p,
						 &ask->negative_prompt, p->info);
	}
	if (!err)
		err = atl_prompt_take_loras(p->arena, ask->prompt, &ask->prompt, found, &count, p->info);
	for (size_t i = 0; i < count && !err; i++)
		err = add_lora(p, found[i].name, found[i].weight);
	if (!err && ask->loras.count && !p->model.loras) {
		err = not_taken(p, "loras");
		ask->loras.count = 0;
	}
	if (!err && *ask->negative_prompt && !p->model.negative) {
		/* from a style or a look it is only a note */
		err = p->request.original_negative_prompt && *p->request.original_negative_prompt
			      ? not_taken(p, "negative_prompt")
			      : (note(p, atl_arena_printf(p->arena, "%s takes no negative prompt: that of the style was left out.",
							  p->model.name)), ATL_OK);
		ask->negative_prompt = "";
	}
	return err;
}

static enum atl_err check_local_loras(struct prepare *p)
{
	for (size_t i = 0; atl_str_eq(p->model.provider_id, "local") && i < p->ask->loras.count; i++) {
		if (strchr(p->loras[i].name, '/') || p->loras[i].name[0] == '.')
			return refuse(p, "loras", "A LoRA's name is a plain file name.");
		const char *why = atl_picture_lora_misfit(p->app, p->arena, p->loras[i].name);

		if (why)
			return refuse(p, "loras", why);
	}
	return ATL_OK;
}

/* ---- numbers ---- */

static const struct atl_json *default_of(const struct prepare *p, const char *name, const struct atl_picture_param **ret)
{
	*ret = atl_picture_param_find(&p->model, name);
	return *ret ? (*ret)->def : NULL;
}

static enum atl_err in_range(struct prepare *p, const struct atl_picture_param *param, double value)
{
	if ((!isnan(param->min) && value < param->min) || (!isnan(param->max) && value > param->max))
		return refuse(p, param->name, atl_arena_printf(p->arena, "%s takes %s from %g to %g.", p->model.name, param->name,
							       param->min, param->max));
	return ATL_OK;
}

static enum atl_err check_integer(struct prepare *p, const char *name, int64_t *value)
{
	const struct atl_picture_param *param;
	const struct atl_json *def = default_of(p, name, &param);
	enum atl_err err = ATL_OK;

	if (*value != ATL_IMAGE_UNSET && !param) {
		err = not_taken(p, name);
		*value = ATL_IMAGE_UNSET;
	} else if (*value == ATL_IMAGE_UNSET && def && !atl_json_integer(def, value)) {
		*value = ATL_IMAGE_UNSET;
	}
	return !err && param && *value != ATL_IMAGE_UNSET ? in_range(p, param, (double)*value) : err;
}

static enum atl_err check_number(struct prepare *p, const char *name, double *value)
{
	const struct atl_picture_param *param;
	const struct atl_json *def = default_of(p, name, &param);
	enum atl_err err = ATL_OK;

	if (!isnan(*value) && !param) {
		err = not_taken(p, name);
		*value = NAN;
	} else if (isnan(*value) && def && def->kind == ATL_JSON_NUMBER) {
		*value = def->number;
	}
	return !err && param && !isnan(*value) ? in_range(p, param, *value) : err;
}

static enum atl_err check_choice(struct prepare *p, const char *name, const char **value)
{
	const struct atl_picture_param *param;
	const struct atl_json *def = default_of(p, name, &param);

	if (*value && !param) {
		enum atl_err err = not_taken(p, name);

		*value = NULL;
		return err;
	}
	if (!*value) {
		*value = def && def->kind == ATL_JSON_STRING ? def->string : NULL;
		return ATL_OK;
	}
	for (size_t i = 0; i < param->values.count; i++)
		if (atl_str_eq(param->values.items[i], *value))
			return ATL_OK;
	if (!param->values.count)
		return ATL_OK;
	if (p->strict)
		return refuse(p, name, atl_arena_printf(p->arena, "%s does not know the %s \"%s\".", p->model.name, name, *value));
	note(p, atl_arena_printf(p->arena, "%s does not know the %s \"%s\"; its default was taken.", p->model.name, name, *value));
	*value = def && def->kind == ATL_JSON_STRING ? def->string : NULL;
	return ATL_OK;
}

/* The service's own parameters under `extra`, against the registry. */
static enum atl_err check_extra(struct prepare *p)
{
	const struct atl_json *extra = p->ask->extra;

	if (extra && extra->kind != ATL_JSON_OBJECT)
		return refuse(p, "extra", "must be an object");
	for (const struct atl_json *e = extra ? extra->child : NULL; e; e = e->next) {
		const struct atl_picture_param *param = atl_picture_param_find(&p->model, e->key);
		enum atl_err err = ATL_OK;

		if (!param || !param->extra)
			return refuse(p, "extra", atl_arena_printf(p->arena, "%s has no parameter %s.", p->model.name, e->key));
		if (e->kind == ATL_JSON_NUMBER)
			err = in_range(p, param, e->number);
		for (size_t i = 0; param->values.count && i <= param->values.count; i++) {
			if (i == param->values.count)
				return refuse(p, "extra", atl_arena_printf(p->arena, "%s is not a value of %s.",
									   e->kind == ATL_JSON_STRING ? e->string : "This", e->key));
			if (e->kind == ATL_JSON_STRING && atl_str_eq(param->values.items[i], e->string))
				break;
		}
		if (err)
			return err;
	}
	return ATL_OK;
}

/* ---- sizes ---- */

static int64_t round_to(int64_t value, int64_t multiple)
{
	int64_t rounded = multiple > 1 ? (value + multiple / 2) / multiple * multiple : value;

	return rounded < multiple ? multiple : rounded;
}

bool atl_picture_size(struct atl_arena *arena, const char *text, int64_t *ret_width, int64_t *ret_height)
{
	const char *x = strchr(text, 'x');
	const char *width = x ? atl_arena_strndup(arena, text, (size_t)(x - text)) : NULL;

	return width && atl_str_i64(width, 1, 16384, ret_width) && atl_str_i64(x + 1, 1, 16384, ret_height);
}

/* Of the sizes a model takes, the one whose shape is nearest. */
static void nearest_size(struct prepare *p)
{
	struct atl_picture_ask *ask = p->ask;
	double wanted = log((double)ask->width / (double)ask->height), best = INFINITY;
	int64_t width = 0, height = 0;

	for (size_t i = 0; i < p->model.sizes.count; i++) {
		int64_t w, h;

		if (!atl_picture_size(p->arena, p->model.sizes.items[i], &w, &h))
			continue;
		double distance = fabs(log((double)w / (double)h) - wanted) +
				  1e-3 * fabs(log((double)w * (double)h / ((double)ask->width * (double)ask->height)));

		if (distance < best) {
			best = distance;
			width = w;
			height = h;
		}
	}
	if (!width || (width == ask->width && height == ask->height))
		return;
	note(p, atl_arena_printf(p->arena, "%s does not make %lld x %lld; %lld x %lld was taken.", p->model.name,
				 (long long)ask->width, (long long)ask->height, (long long)width, (long long)height));
	ask->width = width;
	ask->height = height;
}

static void size_of_input(struct prepare *p)
{
	struct atl_picture_ask *ask = p->ask;
	int64_t longest = p->init.width > p->init.height ? p->init.width : p->init.height;
	int64_t limit = p->model.size_max ? p->model.size_max : longest;
	double scale = longest > limit ? (double)limit / (double)longest : 1;
	int64_t multiple = p->model.size_multiple ? p->model.size_multiple : 1;

	ask->width = round_to((int64_t)((double)p->init.width * scale), multiple);
	ask->height = round_to((int64_t)((double)p->init.height * scale), multiple);
	if (p->model.size_min && ask->width < p->model.size_min)
		ask->width = p->model.size_min;
	if (p->model.size_min && ask->height < p->model.size_min)
		ask->height = p->model.size_min;
}

static enum atl_err check_size(struct prepare *p)
{
	struct atl_picture_ask *ask = p->ask;
	const struct atl_picture_model *m = &p->model;
	bool given = ask->width != ATL_IMAGE_UNSET || ask->height != ATL_IMAGE_UNSET;
	int64_t width, height;

	if (!given && p->has_init && p->init.width > 0 && !m->sizes.count)
		size_of_input(p);
	if (ask->width == ATL_IMAGE_UNSET)
		ask->width = m->width ? m->width : ATL_IMAGE_UNSET;
	if (ask->height == ATL_IMAGE_UNSET)
		ask->height = m->height ? m->height : ATL_IMAGE_UNSET;
	if (ask->width == ATL_IMAGE_UNSET || ask->height == ATL_IMAGE_UNSET)
		return ATL_OK;
	if (ask->width < 8 || ask->width > 16384)
		return refuse(p, "width", "must be from 8 to 16384");
	if (ask->height < 8 || ask->height > 16384)
		return refuse(p, "height", "must be from 8 to 16384");
	if (m->sizes.count) {
		nearest_size(p);
		return ATL_OK;
	}
	if (m->size_min && (ask->width < m->size_min || ask->height < m->size_min))
		return refuse(p, ask->width < m->size_min ? "width" : "height",
			      atl_arena_printf(p->arena, "%s makes sides from %lld pixels.", m->name, (long long)m->size_min));
	if (m->size_max && (ask->width > m->size_max || ask->height > m->size_max))
		return refuse(p, ask->width > m->size_max ? "width" : "height",
			      atl_arena_printf(p->arena, "%s makes sides up to %lld pixels. Upscale afterwards for more.", m->name,
					       (long long)m->size_max));
	width = round_to(ask->width, m->size_multiple);
	height = round_to(ask->height, m->size_multiple);
	if (width != ask->width || height != ask->height)
		note(p, atl_arena_printf(p->arena, "%s makes sides that are multiples of %lld; %lld x %lld was taken.", m->name,
					 (long long)m->size_multiple, (long long)width, (long long)height));
	ask->width = width;
	ask->height = height;
	return ATL_OK;
}

static enum atl_err check_values(struct prepare *p)
{
	struct atl_picture_ask *ask = p->ask;
	enum atl_err err = check_size(p);

	if (!err && (ask->count < 1 || ask->count > ATL_IMAGE_COUNT_MAX))
		err = refuse(p, "count", "must be from 1 to 16");
	if (!err)
		err = check_integer(p, "steps", &ask->steps);
	if (!err)
		err = check_integer(p, "clip_skip", &ask->clip_skip);
	if (!err)
		err = check_integer(p, "subseed", &ask->subseed);
	if (!err)
		err = check_integer(p, "frames", &ask->frames);
	if (!err)
		err = check_integer(p, "fps", &ask->fps);
	if (!err)
		err = check_integer(p, "duration_s", &ask->duration_s);
	if (!err)
		err = check_number(p, "cfg_scale", &ask->cfg_scale);
	if (!err)
		err = check_number(p, "guidance", &ask->guidance);
	if (!err)
		err = check_number(p, "subseed_strength", &ask->subseed_strength);
	if (!err && atl_str_eq(ask->task, "upscale"))
		err = check_number(p, "upscale_factor", &ask->upscale_factor);
	if (!err && (atl_str_eq(ask->task, "img2img") || atl_str_eq(ask->task, "inpaint")))
		err = check_number(p, "strength", &ask->strength);
	if (!err)
		err = check_choice(p, "sampler", &ask->sampler);
	if (!err)
		err = check_choice(p, "scheduler", &ask->scheduler);
	if (!err)
		err = check_choice(p, "quality", &ask->quality);
	if (!err)
		err = check_choice(p, "upscaler", &ask->upscaler);
	return err ? err : check_extra(p);
}

/* ---- together ---- */

static enum atl_err begin(struct prepare *p, const struct atl_picture_ask *given)
{
	struct atl_picture_ask *ask = p->ask;
	const struct atl_picture_lora_in *loras = given->loras.items;
	enum atl_err err = ATL_OK;

	*ask = *given;
	ask->prompt = given->prompt ? given->prompt : "";
	ask->negative_prompt = given->negative_prompt ? given->negative_prompt : "";
	if (strlen(ask->prompt) > ATL_PICTURE_PROMPT_MAX)
		return refuse(p, "prompt", "is longer than 10000 bytes");
	if (strlen(ask->negative_prompt) > ATL_PICTURE_PROMPT_MAX)
		return refuse(p, "negative_prompt", "is longer than 10000 bytes");
	p->request.original_prompt = ask->prompt;
	p->request.original_negative_prompt = ask->negative_prompt;
	p->request.notes.items = p->notes;
	ask->loras = (struct atl_items){ .items = p->loras };
	ask->reference_assets = (struct atl_strs){ .items = p->references };
	for (size_t i = 0; i < given->reference_assets.count; i++)
		add_reference(p, given->reference_assets.items[i]);
	for (size_t i = 0; i < given->loras.count && !err; i++)
		err = add_lora(p, loras[i].name, loras[i].weight);
	if (ask->count == ATL_IMAGE_UNSET)
		ask->count = 1;
	if (ask->seed == ATL_IMAGE_UNSET)
		ask->seed = -1;
	if (!err && (ask->seed < -1 || ask->seed > SEED_MAX))
		err = refuse(p, "seed", "must be from 0 to 4294967295, or -1 for a random one");
	return err;
}

static enum atl_err ask_policy(struct prepare *p, enum atl_entry_point entry)
{
	const struct atl_picture_ask *ask = p->ask;
	struct atl_policy_text texts[] = { ATL_POLICY_TEXT(p->request.original_prompt), ATL_POLICY_TEXT(ask->prompt),
					   { NULL, 0 }, ATL_POLICY_TEXT(p->graph ? p->graph : ""), { NULL, 0 } };
	struct atl_policy_picture picture = { .mature = atl_mature_for(p->app, p->who), .negative = ATL_POLICY_TEXT(ask->negative_prompt),
		.supplied = ask->init_asset || ask->control_asset || ask->depends_on || ask->reference_assets.count || p->likeness ||
			    ask->loras.count || (p->graph && strstr(p->graph, "Lora")) };
	struct atl_buf inputs;
	struct atl_jw w;
	enum atl_err err;

	p->request.safe_mode = !picture.mature;
	/* below 1 the guidance turns towards what is not wanted: then it is a prompt like the other */
	if ((!isnan(ask->cfg_scale) && ask->cfg_scale < 1) || (!isnan(ask->guidance) && ask->guidance < 1))
		texts[4] = ATL_POLICY_TEXT(ask->negative_prompt);
	/* what a workflow's inputs say is read as text too */
	atl_buf_init(&inputs, ATL_JOB_REQUEST_MAX);
	if (ask->inputs || ask->extra) {
		atl_jw_init(&w, &inputs);
		atl_jw_array(&w, NULL);
		if (ask->inputs)
			atl_jw_tree(&w, NULL, ask->inputs);
		if (ask->extra)
			atl_jw_tree(&w, NULL, ask->extra);
		atl_jw_end_array(&w);
		texts[2] = (struct atl_policy_text){ inputs.data, inputs.length };
	}
	err = inputs.failed ? refuse(p, "inputs", "are too long")
			    : atl_policy_check_picture(p->app, entry, p->who, texts, ATL_COUNT(texts), &picture, p->info);
	atl_buf_finish(&inputs);
	return err;
}

/* Nobody undressed is edited or referred to; a job's result that comes first is looked at when it is there. */
static enum atl_err check_seen(struct prepare *p)
{
	const struct atl_picture_ask *ask = p->ask;
	const char *const one[] = { ask->init_asset, ask->mask_asset, ask->control_asset };
	enum atl_err err = ATL_OK;

	for (size_t i = 0; i < ATL_COUNT(one) && !err; i++)
		if (one[i])
			err = atl_picture_check_input(p->app, p->arena, p->who->user_id, one[i], p->info);
	for (size_t i = 0; i < ask->reference_assets.count && !err; i++)
		err = atl_picture_check_input(p->app, p->arena, p->who->user_id, ask->reference_assets.items[i], p->info);
	return err;
}

static enum atl_err choose_model(struct prepare *p, struct atl_style *style, struct atl_look *look)
{
	const char *wanted = p->ask->model;

	if (!wanted && style->model)
		wanted = style->model;
	if (!wanted && look->model)
		wanted = look->model;
	return atl_rights_picture_model(p->app, p->arena, p->who, wanted, &p->model, p->info);
}

static enum atl_err decide(struct prepare *p, enum atl_entry_point entry, const struct atl_picture_ask *given)
{
	struct atl_style style = { .prompt = "", .negative_prompt = "" };
	struct atl_look look = { .prompt_prefix = "", .negative_prompt = "", .seed_policy = "free", .seed = -1 };
	enum atl_err err = begin(p, given);

	if (!err && given->style && *given->style)
		err = atl_style_find(p->app, p->arena, p->who->user_id, given->style, &style, p->info);
	if (!err && given->character_id && !given->no_look)
		err = atl_look_get(p->app, p->arena, p->who->user_id, given->character_id, &look, p->info);
	if (!err)
		err = choose_model(p, &style, &look);
	if (!err)
		err = check_task(p);
	if (!err)
		err = apply_look(p, &look);
	if (!err && style.name)
		err = apply_style(p, &style);
	if (!err && p->ask->seed < 0) {
		uint32_t seed;

		atl_random(&seed, sizeof(seed));
		p->ask->seed = seed;
	}
	if (!err)
		err = expand_prompts(p);
	if (!err)
		err = check_inputs(p);
	if (!err)
		err = check_values(p);
	if (!err)
		err = check_local_loras(p);
	if (!err)
		err = ask_policy(p, entry);
	if (!err)
		err = check_seen(p);
	p->ask->model = p->model.id;
	p->request.model_name = p->model.name;
	return err;
}

enum atl_err atl_picture_prepare(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				 enum atl_entry_point entry, const char *origin, const struct atl_picture_ask *ask,
				 struct atl_job_new *ret, struct atl_errinfo *info)
{
	struct prepare *p = ATL_ARENA_NEW(arena, struct prepare);
	const char *request;
	enum atl_err err;

	if (!p)
		return atl_fail(info, ATL_ERR_NOMEM, "picture");
	*p = (struct prepare){ .app = app, .who = who, .arena = arena, .info = info, .origin = origin,
			       .strict = atl_str_eq(origin, "web") || atl_str_eq(origin, "api") };
	p->ask = &p->request.ask;
	err = decide(p, entry, ask);
	if (!err && !p->model.ready)
		err = atl_fail_field(info, ATL_ERR_NO_MODEL, "model", "%s: %s", p->model.name,
				     p->model.why ? p->model.why : "it is not ready.");
	if (!err)
		err = atl_picture_request_write(arena, &p->request, &request, info);
	if (err)
		return err;
	*ret = (struct atl_job_new){ .kind = "picture", .task = p->ask->task, .origin = origin, .model = p->model.id,
		.provider_id = p->model.provider_id, .prompt = p->ask->prompt, .request = request,
		.priority = ask->priority == ATL_IMAGE_UNSET ? 0 : ask->priority, .count = p->ask->count,
		.not_before = ask->not_before == ATL_IMAGE_UNSET ? 0 : ask->not_before, .depends_on = ask->depends_on,
		.character_id = ask->character_id, .conversation_id = ask->conversation_id, .message_id = ask->message_id,
		.board_id = ask->board_id, .webhook_url = ask->webhook_url, .max_cost = ask->max_cost_micro_usd };
	return ATL_OK;
}

/* What a person typed is offered again; clients' prompts are not theirs to remember. Never a reason to fail. */
static void remember(struct atl_app *app, const struct atl_identity *who, const char *origin, const struct atl_picture_ask *ask)
{
	if ((!atl_str_eq(origin, "web") && !atl_str_eq(origin, "api")) || atl_str_empty(ask->prompt))
		return;
	atl_prompt_history_add(app, who->user_id, ask->prompt, ask->negative_prompt ? ask->negative_prompt : "");
}

enum atl_err atl_picture_submit(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				enum atl_entry_point entry, const char *origin, const struct atl_picture_ask *ask,
				struct atl_job *ret, struct atl_errinfo *info)
{
	struct atl_job_new job;
	enum atl_err err;

	if (who->once_made) /* by an earlier try of the same request: nothing is left to be decided */
		return atl_job_get(app, arena, who->user_id, who->once_made, ret, info);
	err = atl_picture_prepare(app, who, arena, entry, origin, ask, &job, info);
	if (!err) /* what is missing at the service is told now, by name */
		err = atl_picture_check_service(app, arena, who->user_id, &job, info);
	if (err)
		return err;
	remember(app, who, origin, ask); /* before: it is written with the job, not after it */
	return atl_job_submit(app, who, arena, &job, ret, info);
}
