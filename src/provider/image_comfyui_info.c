/* image_comfyui_info.c - what a ComfyUI server has: its nodes, and the files their inputs offer.
 *
 * Each class of a graph is asked for by name: the list of all classes has several megabytes.
 */
#include <string.h>
#include <strings.h>

#include "base/codec.h"
#include "base/str.h"
#include "provider/image_comfyui.h"
#include "provider/image_http.h"

/* What fills a built-in workflow's input that nobody named: the first file that contains one of the words. */
static const struct {
	const char *input, *control_type, *words[3];
} CHOICES[] = {
	{ "control_model", "pose", { "openpose", "pose", NULL } },
	{ "control_model", "depth", { "depth", NULL } },
	{ "control_model", "canny", { "canny", NULL } },
	{ "refiner_model", NULL, { "refiner", NULL } },
	{ "text_encoder", NULL, { "umt5", "t5", NULL } },
	{ "vae", NULL, { "wan", NULL } },
	{ "model", NULL, { "", NULL } },
	{ "upscaler", NULL, { "", NULL } },
};

const struct comfy_workflow *comfy_workflow_find(const char *name)
{
	for (size_t i = 0; i < comfy_workflow_count; i++)
		if (atl_str_eq(comfy_workflows[i].name, name))
			return &comfy_workflows[i];
	return NULL;
}

const char *atl_comfy_builtin(size_t index, const char **ret_json)
{
	if (index >= comfy_workflow_count)
		return NULL;
	*ret_json = comfy_workflows[index].json;
	return comfy_workflows[index].name;
}

/* ---- lists ---- */

static bool contains(const char *text, const char *word)
{
	size_t length = strlen(word);

	for (; strlen(text) >= length; text++)
		if (strncasecmp(text, word, length) == 0)
			return true;
	return false;
}

/* The file's name without folders and extension. */
static const char *stem(const char *path, size_t *ret_length)
{
	const char *name = path, *dot;

	for (const char *at = path; *at; at++)
		if (*at == '/' || *at == '\\')
			name = at + 1;
	dot = strrchr(name, '.');
	*ret_length = dot && dot != name ? (size_t)(dot - name) : strlen(name);
	return name;
}

const char *comfy_pick(const struct atl_json *list, const char *name)
{
	size_t length, other_length;
	const char *wanted = stem(name, &length), *other;

	for (const struct atl_json *item = list ? list->child : NULL; item; item = item->next)
		if (item->kind == ATL_JSON_STRING && atl_str_eq(item->string, name))
			return item->string;
	for (const struct atl_json *item = list ? list->child : NULL; item; item = item->next) {
		if (item->kind != ATL_JSON_STRING)
			continue;
		other = stem(item->string, &other_length);
		/* "v1.5" is a name without extension, not "v1" with one */
		if ((length == other_length && strncasecmp(wanted, other, length) == 0) ||
		    (strlen(wanted) == other_length && strncasecmp(wanted, other, other_length) == 0))
			return item->string;
	}
	return NULL;
}

static const struct atl_json *field_list(const struct atl_json *definition, const char *field)
{
	const struct atl_json *input = atl_json_get(definition, "input");
	const struct atl_json *f = atl_json_get(atl_json_get(input, "required"), field), *first;

	if (!f)
		f = atl_json_get(atl_json_get(input, "optional"), field);
	first = atl_json_at(f, 0);
	if (first && first->kind == ATL_JSON_STRING && atl_str_eq(first->string, "COMBO"))
		first = atl_json_get(atl_json_at(f, 1), "options");
	return first && first->kind == ATL_JSON_ARRAY && first->count <= COMFY_CHOICES_MAX ? first : NULL;
}

/* NULL in *ret: the server has no such class. */
static enum atl_err get_class(const struct atl_image_run *run, struct atl_arena *arena, const char *class_type,
			      const struct atl_json **ret, struct atl_errinfo *info)
{
	struct atl_image_ask ask = { .repeatable = true };
	struct atl_json *root = NULL;
	struct atl_buf path;
	enum atl_err err;

	atl_buf_init(&path, 4096);
	atl_buf_adds(&path, "/object_info/");
	atl_percent_encode(&path, class_type);
	err = atl_buf_err(&path, info);
	ask.path = path.data;
	if (!err)
		err = atl_image_http_json(run, arena, &ask, &root, info);
	atl_buf_finish(&path);
	if (!err)
		*ret = atl_json_get(root, class_type);
	return err;
}

enum atl_err comfy_choices(const struct atl_image_run *run, struct atl_arena *arena, const char *class_type,
			   const char *field, const struct atl_json **ret_list, struct atl_errinfo *info)
{
	const struct atl_json *definition;
	enum atl_err err = get_class(run, arena, class_type, &definition, info);

	if (!err)
		*ret_list = field_list(definition, field);
	return err;
}

/* ---- a graph against the server ---- */

struct check {
	const struct atl_image_run *run;
	struct atl_arena *arena;
	struct comfy_prepared *p;
	struct atl_buf nodes, models; /* names that are missing */
	enum atl_err err;
};

static struct atl_comfy_value *value_of(struct comfy_prepared *p, const char *name)
{
	for (size_t i = p->value_count; i > 0; i--)
		if (atl_str_eq(p->values[i - 1].name, name))
			return &p->values[i - 1];
	return NULL;
}

static const struct atl_comfy_input *input_at(const struct comfy_prepared *p, size_t node, const char *field)
{
	for (size_t i = 0; i < p->graph.input_count; i++)
		if (p->graph.inputs[i].node == node && atl_str_eq(p->graph.inputs[i].field, field))
			return &p->graph.inputs[i];
	return NULL;
}

static const char *choose(const struct check *c, const char *input, const struct atl_json *list)
{
	const char *type = c->run->request->control_type;

	for (size_t i = 0; i < ATL_COUNT(CHOICES); i++) {
		if (!atl_str_eq(CHOICES[i].input, input) ||
		    (CHOICES[i].control_type && !atl_str_eq(CHOICES[i].control_type, type)))
			continue;
		for (const char *const *word = CHOICES[i].words; *word; word++)
			for (const struct atl_json *item = list->child; item; item = item->next)
				if (item->kind == ATL_JSON_STRING && contains(item->string, *word))
					return item->string;
	}
	return NULL;
}

static const struct atl_json *text_value(struct atl_arena *arena, const char *text)
{
	struct atl_json *value = ATL_ARENA_NEW(arena, struct atl_json);

	if (value)
		*value = (struct atl_json){ .kind = ATL_JSON_STRING, .string = text, .string_length = strlen(text) };
	return value;
}

static void set_value(struct check *c, const struct atl_comfy_input *input, const char *text)
{
	struct atl_comfy_value *value = value_of(c->p, input->name);
	const struct atl_json *json = text_value(c->arena, text);

	if (!value && c->p->value_count < COMFY_VALUES_MAX) {
		value = &c->p->values[c->p->value_count++];
		value->name = input->name;
	}
	if (value && json)
		value->value = json;
	else
		c->err = ATL_ERR_NOMEM;
}

static void add_missing(struct atl_buf *out, const char *format_name, const char *what)
{
	char row[200];

	atl_str_copy(row, sizeof(row), format_name);
	if (what && strstr(out->data, row))
		return;
	atl_buf_addf(out, "%s%s%s%s", out->length ? ", " : "", row, what ? " for " : "", what ? what : "");
}

/* A value that the server must have in its list. */
static void check_field(struct check *c, size_t node, const struct atl_json *field, const struct atl_json *list)
{
	const struct atl_comfy_input *input = input_at(c->p, node, field->key);
	const struct atl_comfy_value *value = input ? value_of(c->p, input->name) : NULL;
	const struct atl_json *wanted = value ? value->value : input ? input->value : field;
	const char *found = NULL;

	if (wanted && wanted->kind != ATL_JSON_STRING)
		return;
	if (wanted && *wanted->string)
		found = comfy_pick(list, wanted->string);
	else if (input && c->p->built_in)
		found = choose(c, input->name, list);
	if (found && (!wanted || !atl_str_eq(found, wanted->string)) && input)
		set_value(c, input, found);
	if (found && (input || atl_str_eq(found, wanted->string)))
		return;
	if (wanted && *wanted->string)
		add_missing(&c->models, wanted->string, field->key);
	else if (input)
		add_missing(&c->models, input->name, c->p->graph.nodes[node].class_type);
}

static void check_class(struct check *c, size_t first, struct atl_errinfo *info)
{
	const struct atl_comfy_graph *graph = &c->p->graph;
	const char *class_type = graph->nodes[first].class_type;
	const struct atl_json *definition;

	c->err = get_class(c->run, c->arena, class_type, &definition, info);
	if (c->err)
		return;
	if (!definition) {
		add_missing(&c->nodes, class_type, NULL);
		return;
	}
	if (atl_json_bool(definition, "api_node", false)) {
		c->err = atl_fail(info, ATL_ERR_UNSUPPORTED, "The node %.80s sends data to another company. Atelier runs no "
				  "workflow with such nodes.", class_type);
		return;
	}
	if (atl_str_starts(class_type, "LoadImage"))
		return; /* its pictures are uploaded by us */
	for (size_t i = first; i < graph->node_count; i++) {
		if (!atl_str_eq(graph->nodes[i].class_type, class_type))
			continue;
		for (const struct atl_json *v = graph->nodes[i].inputs->child; v && !c->err; v = v->next) {
			const struct atl_json *list = v->kind == ATL_JSON_STRING ? field_list(definition, v->key) : NULL;

			if (list)
				check_field(c, i, v, list);
		}
	}
}

static void check_loras(struct check *c, struct atl_errinfo *info)
{
	const struct atl_json *list = NULL;

	if (c->err || !c->p->lora_count)
		return;
	c->err = comfy_choices(c->run, c->arena, "LoraLoader", "lora_name", &list, info);
	for (size_t i = 0; i < c->p->lora_count && !c->err; i++) {
		const char *found = comfy_pick(list, c->p->loras[i].name);

		if (found)
			c->p->loras[i].name = found;
		else
			add_missing(&c->models, c->p->loras[i].name, "lora_name");
	}
}

static enum atl_err tell_missing(const struct check *c, struct atl_errinfo *info)
{
	const char *name = c->run->endpoint->name;

	if (c->nodes.length && c->models.length)
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "%s lacks the nodes %.160s and the files %.160s. Install them there, "
				"or choose another workflow.", name, c->nodes.data, c->models.data);
	if (c->nodes.length)
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "%s lacks the nodes %.320s. Install them there (its manager can), or "
				"choose another workflow.", name, c->nodes.data);
	if (c->models.length)
		return atl_fail(info, ATL_ERR_UPSTREAM_MODEL, "%s does not have %.320s. Put the files into its models folder, or "
				"choose others.", name, c->models.data);
	return ATL_OK;
}

enum atl_err comfy_check_server(const struct atl_image_run *run, struct atl_arena *arena, struct comfy_prepared *p,
				struct atl_errinfo *info)
{
	struct check c = { .run = run, .arena = arena, .p = p };
	enum atl_err err;

	atl_buf_init(&c.nodes, 1 << 16);
	atl_buf_init(&c.models, 1 << 16);
	for (size_t i = 0; i < p->graph.node_count && !c.err; i++) {
		size_t k = 0;

		while (k < i && !atl_str_eq(p->graph.nodes[k].class_type, p->graph.nodes[i].class_type))
			k++;
		if (k == i)
			check_class(&c, i, info);
	}
	check_loras(&c, info);
	err = c.err ? c.err : tell_missing(&c, info);
	atl_buf_finish(&c.nodes);
	atl_buf_finish(&c.models);
	return err;
}
