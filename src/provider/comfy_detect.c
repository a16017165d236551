/* comfy_detect.c - what a workflow itself tells about its inputs: followed backwards from its samplers.
 *
 * A sampler is what it is by its links (a latent, and conditioning or a guider), not by its class: custom ones count.
 * Limits: SAMPLERS_MAX samplers are looked at. Adding one: a row in ROLES.
 */
#include <string.h>

#include "base/str.h"
#include "provider/comfy_graph.h"

#define SAMPLERS_MAX 8
#define FOLLOW_MAX 8 /* primitive nodes in a row */

/* field of a node -> name. `shared`: places with equal values are one input. */
struct role {
	const char *class_prefix; /* NULL: any */
	const char *field, *name;
	enum atl_comfy_type type;
	bool shared;
};
/* of a sampler and of its guider, noise, sampler and sigmas nodes */
static const struct role SAMPLER_ROLES[] = {
	{ NULL, "seed", "seed", ATL_COMFY_INTEGER, true },
	{ NULL, "noise_seed", "seed", ATL_COMFY_INTEGER, true },
	{ NULL, "steps", "steps", ATL_COMFY_INTEGER, true },
	{ NULL, "cfg", "cfg_scale", ATL_COMFY_NUMBER, true },
	{ NULL, "sampler_name", "sampler", ATL_COMFY_CHOICE, true },
	{ NULL, "scheduler", "scheduler", ATL_COMFY_CHOICE, true },
};
static const struct role STRENGTH_ROLE = { NULL, "denoise", "strength", ATL_COMFY_NUMBER, true };
/* of the node that makes the first latent */
static const struct role SIZE_ROLES[] = {
	{ NULL, "width", "width", ATL_COMFY_INTEGER, true },
	{ NULL, "height", "height", ATL_COMFY_INTEGER, true },
	{ NULL, "batch_size", "count", ATL_COMFY_INTEGER, true },
	{ NULL, "length", "frames", ATL_COMFY_INTEGER, true },
	{ NULL, "video_frames", "frames", ATL_COMFY_INTEGER, true },
};
static const struct role MODEL_ROLES[] = {
	{ NULL, "ckpt_name", "model", ATL_COMFY_CHOICE, true },
	{ NULL, "unet_name", "model", ATL_COMFY_CHOICE, true },
};
static const struct role LORA_ROLES[] = {
	{ NULL, "lora_name", "lora", ATL_COMFY_CHOICE, false },
	{ NULL, "strength_model", "lora_weight", ATL_COMFY_NUMBER, false },
};
/* anywhere */
static const struct role ROLES[] = {
	{ "ControlNetLoader", "control_net_name", "control_model", ATL_COMFY_CHOICE, false },
	{ "ControlNetApply", "strength", "control_strength", ATL_COMFY_NUMBER, false },
	{ "UpscaleModelLoader", "model_name", "upscaler", ATL_COMFY_CHOICE, true },
	{ "FluxGuidance", "guidance", "guidance", ATL_COMFY_NUMBER, true },
	{ "CreateVideo", "fps", "fps", ATL_COMFY_NUMBER, true },
	{ "SaveWEBM", "fps", "fps", ATL_COMFY_NUMBER, true },
	{ "SaveAnimatedWEBP", "fps", "fps", ATL_COMFY_NUMBER, true },
	{ "VHS_VideoCombine", "frame_rate", "fps", ATL_COMFY_NUMBER, true },
	{ "SVD_img2vid_Conditioning", "fps", "fps", ATL_COMFY_NUMBER, true },
};

struct detect {
	struct atl_arena *arena;
	struct atl_comfy_graph *graph;
	struct atl_errinfo *info;
	size_t marked; /* inputs that were there before: they win */
	bool *seen;
	enum atl_err err;
};

static const struct atl_json *field_of(const struct detect *d, size_t node, const char *field)
{
	return atl_json_get(d->graph->nodes[node].inputs, field);
}

static bool linked(const struct detect *d, size_t node, const char *field, size_t *ret_node, int64_t *ret_output)
{
	return atl_comfy_link(d->graph, field_of(d, node, field), ret_node, ret_output);
}

static bool has_link(const struct detect *d, size_t node, const char *field)
{
	size_t target;
	int64_t output;

	return linked(d, node, field, &target, &output);
}

/* ---- adding ---- */

static bool same_value(const struct atl_json *a, const struct atl_json *b)
{
	if (!a || !b || a->kind != b->kind)
		return false;
	return a->kind == ATL_JSON_STRING ? atl_str_eq(a->string, b->string) : a->number == b->number;
}

/* A link to a node that only holds a value is that value: follow it. */
static bool find_value(const struct detect *d, size_t *node, const char **field)
{
	static const char *const holders[] = { "value", "text", "string", "prompt", "int", "float", "number", "seed" };

	for (unsigned i = 0; i < FOLLOW_MAX; i++) {
		const struct atl_json *v = field_of(d, *node, *field);
		int64_t output;
		size_t h = 0;

		if (v && (v->kind == ATL_JSON_STRING || v->kind == ATL_JSON_NUMBER || v->kind == ATL_JSON_BOOL)) {
			*field = v->key;
			return true;
		}
		if (!atl_comfy_link(d->graph, v, node, &output))
			return false;
		while (h < ATL_COUNT(holders) && !field_of(d, *node, holders[h]))
			h++;
		if (h == ATL_COUNT(holders))
			return false;
		*field = holders[h];
	}
	return false;
}

static bool type_fits(enum atl_comfy_type type, const struct atl_json *value)
{
	bool number = type == ATL_COMFY_INTEGER || type == ATL_COMFY_NUMBER;

	return number ? value->kind == ATL_JSON_NUMBER : value->kind == ATL_JSON_STRING;
}

/* "steps", or "steps_2" where that is taken by another value. NULL: a mark has the name, or no memory. */
static const char *free_name(struct detect *d, const struct role *role, const struct atl_json *value)
{
	const char *name = role->name;

	for (unsigned number = 2; number <= ATL_COMFY_INPUTS_MAX; number++) {
		bool taken = false;

		for (size_t i = 0; i < d->graph->input_count && !taken; i++) {
			const struct atl_comfy_input *other = &d->graph->inputs[i];

			if (!atl_str_eq(other->name, name))
				continue;
			if (i < d->marked)
				return NULL;
			taken = !role->shared || !same_value(other->value, value);
		}
		if (!taken)
			return name;
		name = atl_arena_printf(d->arena, "%s_%u", role->name, number);
		if (!name) {
			d->err = ATL_ERR_NOMEM;
			return NULL;
		}
	}
	return NULL;
}

static const char *add(struct detect *d, size_t node, const struct role *role)
{
	const char *field = role->field, *title;
	struct atl_comfy_input input = { 0 };

	if (d->err || !find_value(d, &node, &field))
		return NULL;
	for (size_t i = 0; i < d->graph->input_count; i++)
		if (d->graph->inputs[i].node == node && atl_str_eq(d->graph->inputs[i].field, field))
			return NULL; /* by another way, or by a mark */
	input.node = node;
	input.field = field;
	input.type = role->type;
	input.value = field_of(d, node, field);
	if (!type_fits(role->type, input.value))
		return NULL;
	input.name = free_name(d, role, input.value);
	if (!input.name)
		return NULL;
	title = d->graph->nodes[node].title;
	input.label = *title ? title : input.name;
	d->err = comfy_add_input(d->graph, &input, d->info);
	return input.name;
}

static void add_all(struct detect *d, size_t node, const struct role *roles, size_t count)
{
	const char *class_type = d->graph->nodes[node].class_type;

	for (size_t i = 0; i < count; i++)
		if (field_of(d, node, roles[i].field) &&
		    (!roles[i].class_prefix || atl_str_starts(class_type, roles[i].class_prefix)))
			add(d, node, &roles[i]);
}

/* ---- conditioning ---- */

static bool add_texts(struct detect *d, size_t node, const char *name)
{
	static const char *const fields[] = { "text", "text_g", "text_l", "clip_l", "t5xxl", "prompt" };
	bool found = false;

	for (size_t i = 0; i < ATL_COUNT(fields); i++)
		if (field_of(d, node, fields[i])) {
			add(d, node, &(struct role){ NULL, fields[i], name, ATL_COMFY_TEXT, true });
			found = true;
		}
	return found;
}

static void follow_text(struct detect *d, const struct atl_json *link, bool negative)
{
	const char *role = negative ? "negative" : "positive", *name = negative ? "negative_prompt" : "prompt";
	const struct atl_json *v;
	size_t node;
	int64_t output;

	if (d->err || !atl_comfy_link(d->graph, link, &node, &output) || d->seen[node])
		return;
	d->seen[node] = true;
	if (add_texts(d, node, name))
		return;
	if (negative && atl_str_eq(d->graph->nodes[node].class_type, "ConditioningZeroOut"))
		return; /* there is no negative prompt */
	/* ControlNet and its like pass both through: output 0 positive, 1 negative. */
	if (output == 1 && field_of(d, node, "negative"))
		role = "negative";
	v = field_of(d, node, role);
	if (v && v->kind == ATL_JSON_STRING) {
		add(d, node, &(struct role){ NULL, role, name, ATL_COMFY_TEXT, true });
		return;
	}
	if (v) {
		follow_text(d, v, negative);
		return;
	}
	for (v = d->graph->nodes[node].inputs->child; v; v = v->next)
		if (atl_str_starts(v->key, "cond"))
			follow_text(d, v, negative);
}

static void find_text(struct detect *d, size_t node)
{
	memset(d->seen, 0, d->graph->node_count);
	follow_text(d, field_of(d, node, "positive"), false);
	follow_text(d, field_of(d, node, "conditioning"), false);
	memset(d->seen, 0, d->graph->node_count);
	follow_text(d, field_of(d, node, "negative"), true);
}

/* ---- models, size, strength ---- */

static void add_lora(struct detect *d, size_t node)
{
	const struct atl_json *clip = field_of(d, node, "strength_clip");
	const char *name;

	add(d, node, &LORA_ROLES[0]);
	name = add(d, node, &LORA_ROLES[1]);
	/* Equal weights for model and text encoder are one input. */
	if (name && same_value(field_of(d, node, "strength_model"), clip) && !d->err)
		d->err = comfy_add_input(d->graph, &(struct atl_comfy_input){ .name = name, .label = name, .node = node,
			.field = clip->key, .type = ATL_COMFY_NUMBER, .value = clip }, d->info);
}

static void find_model(struct detect *d, size_t node)
{
	int64_t output;

	while (!d->err && linked(d, node, "model", &node, &output)) {
		if (field_of(d, node, "lora_name"))
			add_lora(d, node);
		else
			add_all(d, node, MODEL_ROLES, ATL_COUNT(MODEL_ROLES));
	}
}

/* True when the latent comes from a picture. */
static bool find_size(struct detect *d, size_t node)
{
	static const char *const back[] = { "latent_image", "samples", "latent" };
	int64_t output;
	size_t i = 0;

	for (;;) {
		for (i = 0; i < ATL_COUNT(back) && !linked(d, node, back[i], &node, &output); i++)
			;
		if (i == ATL_COUNT(back) || d->err)
			return false;
		if (field_of(d, node, "width") && field_of(d, node, "height"))
			add_all(d, node, SIZE_ROLES, ATL_COUNT(SIZE_ROLES));
		if (has_link(d, node, "pixels"))
			return true;
	}
}

static void find_sampler(struct detect *d, size_t node)
{
	static const char *const helpers[] = { "noise", "guider", "sampler", "sigmas" };
	size_t parts[ATL_COUNT(helpers) + 1] = { node }, part_count = 1;
	int64_t output;
	bool picture;

	for (size_t i = 0; i < ATL_COUNT(helpers); i++)
		if (linked(d, node, helpers[i], &parts[part_count], &output))
			part_count++;
	for (size_t i = 0; i < part_count; i++)
		find_text(d, parts[i]);
	for (size_t i = 0; i < part_count; i++)
		add_all(d, parts[i], SAMPLER_ROLES, ATL_COUNT(SAMPLER_ROLES));
	picture = find_size(d, node);
	for (size_t i = 0; i < part_count; i++) {
		const struct atl_json *denoise = field_of(d, parts[i], "denoise");

		if (denoise && (picture || denoise->kind != ATL_JSON_NUMBER || denoise->number < 1))
			add(d, parts[i], &STRENGTH_ROLE);
		find_model(d, parts[i]);
	}
}

/* ---- order ---- */

/* Everything that `link` depends on. */
static void mark_back(struct detect *d, const struct atl_json *link, bool *seen)
{
	size_t node;
	int64_t output;

	if (!atl_comfy_link(d->graph, link, &node, &output) || seen[node])
		return;
	seen[node] = true;
	for (const struct atl_json *v = d->graph->nodes[node].inputs->child; v; v = v->next)
		mark_back(d, v, seen);
}

static bool is_sampler(const struct detect *d, size_t node)
{
	return has_link(d, node, "latent_image") && (has_link(d, node, "positive") || has_link(d, node, "guider"));
}

/* The base before the refiner: fewer samplers behind its latent come first. */
static size_t list_samplers(struct detect *d, size_t *list)
{
	size_t count = 0, depths[SAMPLERS_MAX];

	for (size_t i = 0; i < d->graph->node_count && count < SAMPLERS_MAX; i++) {
		size_t depth = 0, at;

		if (!is_sampler(d, i))
			continue;
		memset(d->seen, 0, d->graph->node_count);
		mark_back(d, field_of(d, i, "latent_image"), d->seen);
		for (size_t k = 0; k < d->graph->node_count; k++)
			depth += d->seen[k] && is_sampler(d, k);
		for (at = count; at > 0 && depths[at - 1] > depth; at--) {
			depths[at] = depths[at - 1];
			list[at] = list[at - 1];
		}
		depths[at] = depth;
		list[at] = i;
		count++;
	}
	return count;
}

static void find_pictures(struct detect *d, bool *control, bool *other)
{
	static const char *const uses[] = { "pixels", "start_image", "init_image" };

	for (size_t i = 0; i < d->graph->node_count; i++) {
		if (atl_str_starts(d->graph->nodes[i].class_type, "ControlNetApply"))
			mark_back(d, field_of(d, i, "image"), control);
		for (size_t u = 0; u < ATL_COUNT(uses); u++)
			mark_back(d, field_of(d, i, uses[u]), other);
	}
	for (size_t i = 0; i < d->graph->node_count; i++) {
		const char *class_type = d->graph->nodes[i].class_type;
		struct role role = { NULL, "image", "image", ATL_COMFY_IMAGE, false };

		if (!atl_str_starts(class_type, "LoadImage"))
			continue;
		if (atl_str_starts(class_type, "LoadImageMask"))
			role.name = "mask";
		else if (control[i] && !other[i])
			role.name = "control_image";
		add(d, i, &role);
	}
}

enum atl_err comfy_detect(struct atl_arena *arena, struct atl_comfy_graph *graph, struct atl_errinfo *info)
{
	struct detect d = { .arena = arena, .graph = graph, .info = info, .marked = graph->input_count };
	bool *control = ATL_ARENA_ARRAY(arena, bool, graph->node_count);
	bool *other = ATL_ARENA_ARRAY(arena, bool, graph->node_count);
	size_t samplers[SAMPLERS_MAX], sampler_count;

	d.seen = ATL_ARENA_ARRAY(arena, bool, graph->node_count);
	if (!d.seen || !control || !other)
		return ATL_ERR_NOMEM;
	sampler_count = list_samplers(&d, samplers);
	for (size_t i = 0; i < sampler_count; i++)
		find_sampler(&d, samplers[i]);
	find_pictures(&d, control, other);
	for (size_t i = 0; i < graph->node_count; i++)
		add_all(&d, i, ROLES, ATL_COUNT(ROLES));
	return d.err;
}
