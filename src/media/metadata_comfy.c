/* metadata_comfy.c - what a ComfyUI API graph says about the picture it made; see metadata_tools.h.
 *
 * A graph is an object of nodes; a link is [node id, output index]. There is no list of node types here that must be
 * complete: the walk goes back from the node that saves, follows links by the names of inputs, and takes the first
 * value of the right type. Each question gets STEPS_MAX, so loops end.
 */
#include <math.h>

#include "base/str.h"
#include "media/metadata_tools.h"
#include "media/recall.h"

#define STEPS_MAX 400 /* nodes visited for one question: the prompt, the model ... */
#define DEPTH_MAX 48  /* links in a row */
#define NODES_MAX 4096 /* larger graphs, and nodes with more inputs than INPUTS_MAX, are not looked into */
#define INPUTS_MAX 256
#define TEXT_MAX ((size_t)64 << 10)

struct graph {
	struct atl_arena *arena;
	const struct atl_json *nodes;
	unsigned steps; /* left */
};

static bool has(const char *text, const char *part)
{
	return text && strstr(text, part);
}

static const char *class_of(const struct atl_json *node)
{
	return atl_json_str(node, "class_type", "");
}

static const struct atl_json *input(const struct atl_json *node, const char *name)
{
	const struct atl_json *inputs = atl_json_get(node, "inputs");
	return inputs && inputs->count <= INPUTS_MAX ? atl_json_get(inputs, name) : NULL;
}

/* The node at the other end; NULL: no link, unknown node, or enough seen. Output index in *output when not NULL. */
static const struct atl_json *linked(struct graph *g, const struct atl_json *value, int64_t *output)
{
	if (!value || value->kind != ATL_JSON_ARRAY || value->count != 2 || !g->steps)
		return NULL;
	const struct atl_json *id = value->child;
	int64_t integer;
	const char *key = id->kind == ATL_JSON_STRING ? id->string : NULL;
	if (atl_json_integer(id, &integer))
		key = atl_arena_printf(g->arena, "%lld", (long long)integer);
	g->steps--;
	if (output && !atl_json_integer(id->next, output))
		*output = 0;
	const struct atl_json *node = key ? atl_json_get(g->nodes, key) : NULL;
	return node && node->kind == ATL_JSON_OBJECT ? node : NULL;
}

/* A value that is not a link, found behind any number of links: `5`, or the `value` of a primitive node. */
static const struct atl_json *resolve(struct graph *g, const struct atl_json *value, const char *name, unsigned depth)
{
	static const char *const names[] = {"value", "text",   "string", "prompt", "int",   "float",
					    "Value", "Number", "number", "seed",   "String"};
	if (!value || value->kind == ATL_JSON_STRING || value->kind == ATL_JSON_NUMBER)
		return value;
	const struct atl_json *node = depth < DEPTH_MAX ? linked(g, value, NULL) : NULL;
	if (!node)
		return NULL;
	const struct atl_json *found = input(node, name);
	for (size_t i = 0; !found && i < ATL_COUNT(names); i++)
		found = input(node, names[i]);
	return resolve(g, found, name, depth + 1);
}

static void take(struct graph *g, struct atl_recall *recall, const char *name, const struct atl_json *node,
		 const char *from)
{
	atl_recall_set_json(g->arena, recall, name, resolve(g, input(node, from), from, 0));
}

/* ---- prompts ---- */

static void add_part(struct atl_buf *out, const struct atl_json *text)
{
	static const char blanks[] = " \t\r\n";
	const char *p = text && text->kind == ATL_JSON_STRING ? text->string + strspn(text->string, blanks) : "";
	size_t length = strlen(p);
	while (length && strchr(blanks, p[length - 1]))
		length--;
	/* the same words for two encoders are said once */
	size_t before = out->length > length ? out->length - length : 0;
	if (!length || (out->length >= length && memcmp(out->data + before, p, length) == 0 &&
			(!before || (before > 1 && memcmp(out->data + before - 2, ", ", 2) == 0))))
		return;
	if (out->length)
		atl_buf_adds(out, ", ");
	atl_buf_add(out, p, length);
}

/* A text input, also one that joins others. */
static void add_text(struct graph *g, struct atl_buf *out, const struct atl_json *value, const char *name)
{
	static const char *const joined[] = {"string_a", "string_b", "text_a", "text_b", "text_c", "text_d", "text1", "text2"};
	const struct atl_json *node = value && value->kind == ATL_JSON_ARRAY ? linked(g, value, NULL) : NULL;
	bool any = false;
	for (size_t i = 0; node && i < ATL_COUNT(joined); i++) {
		const struct atl_json *part = input(node, joined[i]);
		any = any || part;
		add_part(out, resolve(g, part, joined[i], 0));
	}
	if (!any)
		add_part(out, resolve(g, value, name, 0));
}

/* What the conditioning behind `value` was encoded from. `role`: "positive" or "negative", for nodes with both. */
static void add_prompt(struct graph *g, struct atl_recall *recall, struct atl_buf *out, const struct atl_json *value,
		       const char *role, unsigned depth)
{
	static const char *const texts[] = {"text", "text_g", "text_l", "t5xxl", "clip_l", "clip_g", "prompt"};
	static const char *const onward[] = {"conditioning", "conditioning_1", "conditioning_2", "conditioning_to",
					     "conditioning_from", "cond", "cond1", "cond2", "positive", "negative"};
	int64_t output = 0;
	const struct atl_json *node = depth < DEPTH_MAX ? linked(g, value, &output) : NULL;
	if (!node || has(class_of(node), "ZeroOut"))
		return;
	const struct atl_json *guidance = input(node, "guidance");
	if (guidance && isnan(recall->guidance))
		take(g, recall, "guidance", node, "guidance");
	size_t before = out->length;
	for (size_t i = 0; i < ATL_COUNT(texts); i++)
		add_text(g, out, input(node, texts[i]), texts[i]);
	if (out->length > before)
		return;
	/* Nodes with both sides (ControlNet, loaders) hand out the positive one first. */
	const struct atl_json *side = input(node, role);
	if (side && side->kind == ATL_JSON_STRING) {
		add_part(out, side);
		return;
	}
	if (side) {
		add_prompt(g, recall, out, input(node, output == 1 ? "negative" : "positive"), role, depth + 1);
		return;
	}
	for (size_t i = 0; i < ATL_COUNT(onward); i++)
		if (input(node, onward[i]))
			add_prompt(g, recall, out, input(node, onward[i]), role, depth + 1);
}

static const char *read_prompt(struct graph *g, struct atl_recall *recall, const struct atl_json *value,
			       const char *role)
{
	struct atl_buf out;
	g->steps = STEPS_MAX;
	atl_buf_init(&out, TEXT_MAX);
	add_prompt(g, recall, &out, value, role, 0);
	const char *text = out.length ? atl_arena_strndup(g->arena, out.data, out.length) : NULL;
	atl_buf_finish(&out);
	return text;
}

/* ---- models ---- */

static void add_loras(struct graph *g, struct atl_recall *recall, const struct atl_json *node)
{
	double weight = atl_json_num(atl_json_get(node, "inputs"), "strength_model", 1);
	const struct atl_json *name = resolve(g, input(node, "lora_name"), "lora_name", 0);
	if (name && name->kind == ATL_JSON_STRING)
		(void)atl_recall_add_lora(g->arena, recall, name->string, weight);
	/* rgthree's Power Lora Loader: "lora_1": {"on": true, "lora": "x", "strength": 1} */
	const struct atl_json *inputs = atl_json_get(node, "inputs");
	for (const struct atl_json *i = inputs ? inputs->child : NULL; i; i = i->next)
		if (i->kind == ATL_JSON_OBJECT && atl_json_bool(i, "on", false))
			(void)atl_recall_add_lora(g->arena, recall, atl_json_str(i, "lora", NULL),
						  atl_json_num(i, "strength", 1));
}

static void read_model(struct graph *g, struct atl_recall *recall, const struct atl_json *value)
{
	static const char *const names[] = {"ckpt_name", "unet_name", "model_name", "base_ckpt_name"};
	g->steps = STEPS_MAX;
	for (unsigned depth = 0; depth < DEPTH_MAX && !recall->model; depth++) {
		const struct atl_json *node = linked(g, value, NULL);
		if (!node)
			return;
		add_loras(g, recall, node);
		for (size_t i = 0; i < ATL_COUNT(names) && !recall->model; i++)
			take(g, recall, "model", node, names[i]);
		if (recall->clip_skip == INT64_MIN)
			take(g, recall, "clip_skip", node, "clip_skip");
		value = input(node, "model");
	}
}

static void read_vae(struct graph *g, struct atl_recall *recall)
{
	g->steps = STEPS_MAX;
	for (const struct atl_json *n = g->nodes->child; n && !recall->vae; n = n->next)
		if (atl_str_eq(class_of(n), "VAELoader"))
			take(g, recall, "vae", n, "vae_name");
}

/* ---- the sampler ---- */

static bool is_sampler(const struct atl_json *node)
{
	const char *type = class_of(node);
	if (has(type, "KSamplerSelect") || !atl_json_get(node, "inputs"))
		return false;
	return input(node, "sampler_name") ? input(node, "steps") && (input(node, "seed") || input(node, "noise_seed"))
					   : has(type, "SamplerCustom") || (input(node, "guider") && input(node, "sigmas"));
}

/* Back along everything that carries pictures or latents. */
static const struct atl_json *sampler_behind(struct graph *g, const struct atl_json *node, unsigned depth)
{
	static const char *const carriers[] = {"images", "image",	"samples", "latent_image", "latent", "latents",
					       "pixels", "image1", "samples_to", "samples1", "video",	 "any"};
	if (depth == DEPTH_MAX)
		return NULL;
	for (size_t i = 0; i < ATL_COUNT(carriers); i++) {
		const struct atl_json *next = linked(g, input(node, carriers[i]), NULL);
		if (!next)
			continue;
		if (is_sampler(next))
			return next;
		next = sampler_behind(g, next, depth + 1);
		if (next)
			return next;
	}
	return NULL;
}

static const struct atl_json *find_sampler(struct graph *g)
{
	const struct atl_json *sampler = NULL;
	g->steps = STEPS_MAX;
	for (const struct atl_json *n = g->nodes->child; n && !sampler; n = n->next)
		if (has(class_of(n), "Save") && input(n, "images"))
			sampler = sampler_behind(g, n, 0);
	for (const struct atl_json *n = g->nodes->child; n && !sampler; n = n->next)
		if (is_sampler(n))
			sampler = n;
	g->steps = STEPS_MAX;
	/* A second pass refines what a first one made: the first has the settings that matter. */
	for (unsigned i = 0; sampler && i < DEPTH_MAX; i++) {
		const struct atl_json *first = sampler_behind(g, sampler, 0);
		if (!first || first == sampler)
			break;
		sampler = first;
	}
	return sampler;
}

/* Sizes are where the empty latent is made. */
static void read_size(struct graph *g, struct atl_recall *recall, const struct atl_json *sampler)
{
	static const char *const onward[] = {"latent_image", "samples", "latent", "samples_to", "samples1"};
	const struct atl_json *node = sampler;
	g->steps = STEPS_MAX;
	for (unsigned depth = 0; node && depth < DEPTH_MAX; depth++) {
		if (input(node, "width") && input(node, "height")) {
			take(g, recall, "width", node, "width");
			take(g, recall, "height", node, "height");
			return;
		}
		const struct atl_json *next = NULL;
		for (size_t i = 0; i < ATL_COUNT(onward) && !next; i++)
			next = linked(g, input(node, onward[i]), NULL);
		node = next;
	}
}

/* Members of the sampler or of the nodes that it is put together from. */
static void read_settings(struct graph *g, struct atl_recall *recall, const struct atl_json *node)
{
	static const struct atl_recall_alias aliases[] = {
		{"steps", "steps"},	   {"seed", "seed"},	       {"noise_seed", "seed"}, {"cfg", "cfg_scale"},
		{"sampler_name", "sampler"}, {"scheduler", "scheduler"}, {"denoise", "strength"},
	};
	for (size_t i = 0; i < ATL_COUNT(aliases); i++)
		if (input(node, aliases[i].from))
			take(g, recall, aliases[i].name, node, aliases[i].from);
}

static bool is_graph(const struct atl_json *tree)
{
	size_t nodes = 0;
	for (const struct atl_json *n = tree->child; n; n = n->next)
		nodes += atl_json_str(n, "class_type", NULL) != NULL;
	return nodes > 0;
}

bool atl_recall_comfyui(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall)
{
	static const char *const parts[] = {"noise", "guider", "sampler", "sigmas"};
	if (!is_graph(tree))
		return false;
	struct graph g = {.arena = arena, .nodes = tree};
	recall->source = "comfyui";
	const struct atl_json *sampler = tree->count <= NODES_MAX ? find_sampler(&g) : NULL;
	if (!sampler)
		return true; /* the graph itself is worth having */
	g.steps = STEPS_MAX;
	const struct atl_json *guider = linked(&g, input(sampler, "guider"), NULL);
	const struct atl_json *sides = guider ? guider : sampler;
	read_settings(&g, recall, sampler);
	for (size_t i = 0; i < ATL_COUNT(parts); i++) {
		const struct atl_json *part = linked(&g, input(sampler, parts[i]), NULL);
		if (part)
			read_settings(&g, recall, part);
	}
	const struct atl_json *positive = input(sides, "positive");
	recall->prompt = read_prompt(&g, recall, positive ? positive : input(sides, "conditioning"), "positive");
	recall->negative_prompt = read_prompt(&g, recall, input(sides, "negative"), "negative");
	read_model(&g, recall, input(sides, "model"));
	read_size(&g, recall, sampler);
	read_vae(&g, recall);
	return true;
}
