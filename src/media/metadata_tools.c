/* metadata_tools.c - SwarmUI, Fooocus, InvokeAI (three generations), NovelAI and our own JSON; see metadata_tools.h. */
#include "media/metadata_tools.h"

#include "base/str.h"
#include "media/recall.h"

static bool is_object(const struct atl_json *node)
{
	return node && node->kind == ATL_JSON_OBJECT;
}

static double number_of(const struct atl_json *node, double fallback)
{
	double number;
	if (node && node->kind == ATL_JSON_NUMBER)
		return node->number;
	return node && node->kind == ATL_JSON_STRING && atl_str_double(node->string, &number) ? number : fallback;
}

/* ---- ours ---- */

bool atl_recall_atelier(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall)
{
	static const char *const ours[] = {"prompt", "negative_prompt", "model", "model_hash", "vae", "sampler",
					   "scheduler", "version", "steps", "seed", "width", "height", "clip_skip",
					   "subseed", "cfg_scale", "guidance", "strength", "subseed_strength"};
	if (!atl_json_get(tree, "prompt") && !atl_json_get(tree, "model"))
		return false;
	for (size_t i = 0; i < ATL_COUNT(ours); i++)
		atl_recall_set_json(arena, recall, ours[i], atl_json_get(tree, ours[i]));
	const struct atl_json *loras = atl_json_get(tree, "loras");
	if (loras && loras->kind == ATL_JSON_ARRAY)
		for (const struct atl_json *l = loras->child; l; l = l->next)
			(void)atl_recall_add_lora(arena, recall, atl_json_str(l, "name", NULL),
						  number_of(atl_json_get(l, "weight"), 1));
	recall->source = "atelier";
	return recall->prompt || recall->model;
}

/* ---- SwarmUI ---- */

bool atl_recall_swarmui(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall)
{
	static const struct atl_recall_alias aliases[] = {
		{"prompt", "prompt"},
		{"negativeprompt", "negative_prompt"},
		{"model", "model"},
		{"vae", "vae"},
		{"seed", "seed"},
		{"steps", "steps"},
		{"cfgscale", "cfg_scale"},
		{"fluxguidancescale", "guidance"},
		{"width", "width"},
		{"height", "height"},
		{"sampler", "sampler"},
		{"scheduler", "scheduler"},
		{"initimagecreativity", "strength"},
		{"variationseed", "subseed"},
		{"variationseedstrength", "subseed_strength"},
		{"swarm_version", "version"},
	};
	const struct atl_json *params = atl_json_get(tree, "sui_image_params");
	if (!is_object(params))
		return false;
	recall->source = "swarmui";
	atl_recall_set_all(arena, recall, params, aliases, ATL_COUNT(aliases));
	double skip = number_of(atl_json_get(params, "clipstopatlayer"), 0); /* -2: the last but one */
	if (skip < 0 && skip > -100)
		recall->clip_skip = (int64_t)-skip;
	const struct atl_json *names = atl_json_get(params, "loras"), *weights = atl_json_get(params, "loraweights");
	if (names && names->kind == ATL_JSON_ARRAY) {
		const struct atl_json *weight = weights && weights->kind == ATL_JSON_ARRAY ? weights->child : NULL;
		for (const struct atl_json *n = names->child; n; n = n->next) {
			if (n->kind == ATL_JSON_STRING)
				(void)atl_recall_add_lora(arena, recall, n->string, number_of(weight, 1));
			weight = weight ? weight->next : NULL;
		}
	}
	const struct atl_json *models = atl_json_get(tree, "sui_models");
	for (const struct atl_json *m = models && models->kind == ATL_JSON_ARRAY ? models->child : NULL; m; m = m->next)
		if (atl_str_eq(atl_json_str(m, "param", NULL), "model"))
			atl_recall_set_json(arena, recall, "model_hash", atl_json_get(m, "hash"));
	return true;
}

/* ---- Fooocus ---- */

bool atl_recall_fooocus(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall)
{
	static const struct atl_recall_alias aliases[] = {
		{"prompt", "prompt"},	      {"negative_prompt", "negative_prompt"},
		{"base_model", "model"},      {"base_model_hash", "model_hash"},
		{"vae", "vae"},		      {"guidance_scale", "cfg_scale"},
		{"seed", "seed"},	      {"steps", "steps"},
		{"sampler", "sampler"},	      {"scheduler", "scheduler"},
		{"clip_skip", "clip_skip"},   {"version", "version"},
	};
	if (!atl_json_get(tree, "base_model") || !atl_json_get(tree, "guidance_scale"))
		return false;
	recall->source = "fooocus";
	atl_recall_set_all(arena, recall, tree, aliases, ATL_COUNT(aliases));
	const char *size = atl_json_str(tree, "resolution", ""); /* "(1152, 896)" */
	size_t comma = strcspn(size, ",");
	if (*size == '(' && size[comma]) {
		const char *height = size + comma + 1 + strspn(size + comma + 1, " ");
		atl_recall_set_text(arena, recall, atl_recall_field("width"), atl_arena_strndup(arena, size + 1, comma - 1));
		atl_recall_set_text(arena, recall, atl_recall_field("height"),
				    atl_arena_strndup(arena, height, strcspn(height, ")")));
	}
	const struct atl_json *loras = atl_json_get(tree, "loras"); /* [[name, weight, hash]] */
	for (const struct atl_json *l = loras && loras->kind == ATL_JSON_ARRAY ? loras->child : NULL; l; l = l->next) {
		const struct atl_json *name = atl_json_at(l, 0);
		if (name && name->kind == ATL_JSON_STRING)
			(void)atl_recall_add_lora(arena, recall, name->string, number_of(atl_json_at(l, 1), 1));
	}
	return true;
}

/* ---- InvokeAI ---- */

bool atl_recall_invokeai(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall)
{
	static const struct atl_recall_alias aliases[] = {
		{"positive_prompt", "prompt"}, {"negative_prompt", "negative_prompt"},
		{"width", "width"},	       {"height", "height"},
		{"seed", "seed"},	       {"cfg_scale", "cfg_scale"},
		{"guidance", "guidance"},      {"steps", "steps"},
		{"scheduler", "sampler"},      {"clip_skip", "clip_skip"},
		{"strength", "strength"},      {"app_version", "version"},
	};
	if (!atl_json_get(tree, "positive_prompt") && !atl_json_get(tree, "generation_mode"))
		return false;
	recall->source = "invokeai";
	atl_recall_set_all(arena, recall, tree, aliases, ATL_COUNT(aliases));
	const struct atl_json *model = atl_json_get(tree, "model"), *vae = atl_json_get(tree, "vae");
	const struct atl_json *name = atl_json_get(model, "name");
	atl_recall_set_json(arena, recall, "model", name ? name : atl_json_get(model, "model_name"));
	atl_recall_set_json(arena, recall, "model_hash", atl_json_get(model, "hash"));
	name = atl_json_get(vae, "name");
	atl_recall_set_json(arena, recall, "vae", name ? name : atl_json_get(vae, "model_name"));
	const struct atl_json *loras = atl_json_get(tree, "loras");
	for (const struct atl_json *l = loras && loras->kind == ATL_JSON_ARRAY ? loras->child : NULL; l; l = l->next) {
		const char *text = atl_json_str(atl_json_get(l, "model"), "name", NULL);
		text = text ? text : atl_json_str(atl_json_get(l, "lora"), "model_name", NULL);
		(void)atl_recall_add_lora(arena, recall, text, number_of(atl_json_get(l, "weight"), 1));
	}
	return true;
}

/* Old InvokeAI wrote what is not wanted in brackets inside the prompt. */
static void split_brackets(struct atl_arena *arena, struct atl_recall *recall, const char *text)
{
	struct atl_buf wanted, unwanted;
	atl_buf_init(&wanted, strlen(text) + 1);
	atl_buf_init(&unwanted, strlen(text) + 1);
	const char *last_close = strrchr(text, ']');
	while (*text) {
		size_t length = *text == '[' && last_close && text < last_close ? strcspn(text, "]") : 0;
		if (length) {
			if (unwanted.length)
				atl_buf_addc(&unwanted, ' ');
			atl_buf_add(&unwanted, text + 1, length - 1);
			text += length + 1;
			text += *text == ' ' && (!wanted.length || wanted.data[wanted.length - 1] == ' ');
		} else {
			atl_buf_addc(&wanted, *text++);
		}
	}
	while (wanted.length && wanted.data[wanted.length - 1] == ' ')
		wanted.length--;
	if (wanted.length)
		recall->prompt = atl_arena_strndup(arena, wanted.data, wanted.length);
	if (unwanted.length)
		recall->negative_prompt = atl_arena_strndup(arena, unwanted.data, unwanted.length);
	atl_buf_finish(&wanted);
	atl_buf_finish(&unwanted);
}

bool atl_recall_invokeai_old(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall)
{
	static const struct atl_recall_alias aliases[] = {
		{"steps", "steps"},   {"cfg_scale", "cfg_scale"}, {"seed", "seed"},	    {"width", "width"},
		{"height", "height"}, {"sampler", "sampler"},	  {"strength", "strength"},
	};
	const struct atl_json *image = atl_json_get(tree, "image");
	if (!is_object(image) || !atl_json_get(tree, "app_version"))
		return false;
	recall->source = "invokeai";
	atl_recall_set_all(arena, recall, image, aliases, ATL_COUNT(aliases));
	atl_recall_set_json(arena, recall, "model", atl_json_get(tree, "model_weights"));
	atl_recall_set_json(arena, recall, "model_hash", atl_json_get(tree, "model_hash"));
	atl_recall_set_json(arena, recall, "version", atl_json_get(tree, "app_version"));
	const struct atl_json *prompt = atl_json_get(image, "prompt");
	if (prompt && prompt->kind == ATL_JSON_ARRAY)
		prompt = atl_json_get(prompt->child, "prompt");
	if (prompt && prompt->kind == ATL_JSON_STRING)
		split_brackets(arena, recall, prompt->string);
	return true;
}

bool atl_recall_dream(struct atl_arena *arena, const char *text, struct atl_recall *recall)
{
	static const struct {
		char option;
		const char *name;
	} options[] = {{'s', "steps"},	   {'S', "seed"},    {'W', "width"},   {'H', "height"},
		       {'C', "cfg_scale"}, {'A', "sampler"}, {'f', "strength"}};
	const char *close = strrchr(text, '"');
	if (*text != '"' || close == text)
		return false;
	const char *prompt = atl_arena_strndup(arena, text + 1, (size_t)(close - text - 1));
	if (!prompt)
		return false;
	recall->source = "invokeai";
	recall->raw = text;
	split_brackets(arena, recall, prompt);
	const char *p = close + 1;
	while ((p = strstr(p, " -")) != NULL) {
		char option = p[2];
		p += option ? 3 : 2;
		const char *value = p + strspn(p, " ");
		size_t length = strcspn(value, " ,");
		const char *copy = atl_arena_strndup(arena, value, length);
		for (size_t i = 0; copy && i < ATL_COUNT(options); i++)
			if (options[i].option == option)
				atl_recall_set_text(arena, recall, atl_recall_field(options[i].name), copy);
	}
	return true;
}

/* ---- NovelAI ---- */

bool atl_recall_novelai(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall)
{
	static const struct atl_recall_alias aliases[] = {
		{"prompt", "prompt"},	 {"uc", "negative_prompt"}, {"steps", "steps"},
		{"height", "height"},	 {"width", "width"},	    {"scale", "cfg_scale"},
		{"seed", "seed"},	 {"sampler", "sampler"},    {"noise_schedule", "scheduler"},
		{"strength", "strength"},
	};
	/* Hidden in the pixels there is one object of all the texts. */
	const char *comment = atl_json_str(tree, "Comment", NULL), *repaired;
	const struct atl_json *inner = comment ? atl_json_tolerant(arena, comment, strlen(comment), &repaired) : tree;
	if (!atl_json_get(inner, "uc") && !(atl_json_get(inner, "scale") && atl_json_get(inner, "sampler")))
		return false;
	recall->source = "novelai";
	atl_recall_set_all(arena, recall, inner, aliases, ATL_COUNT(aliases));
	if (comment) {
		atl_recall_set_json(arena, recall, "model", atl_json_get(tree, "Source"));
		if (!recall->prompt)
			atl_recall_set_json(arena, recall, "prompt", atl_json_get(tree, "Description"));
	}
	return true;
}
