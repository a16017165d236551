/* comfy_graph.c - reading a workflow and finding its named inputs, see comfy_graph.h. */
#include "provider/comfy_graph.h"

#include <string.h>

#include "base/str.h"

static const char *const TYPES[] = { "text", "integer", "number", "boolean", "choice", "image" };

const char *atl_comfy_type_name(enum atl_comfy_type type)
{
	return TYPES[type];
}

size_t atl_comfy_node_find(const struct atl_comfy_graph *graph, const char *id)
{
	for (size_t i = 0; i < graph->node_count; i++)
		if (atl_str_eq(graph->nodes[i].id, id))
			return i;
	return graph->node_count;
}

bool atl_comfy_link(const struct atl_comfy_graph *graph, const struct atl_json *value, size_t *ret_node,
		    int64_t *ret_output)
{
	if (!value || value->kind != ATL_JSON_ARRAY || value->count != 2 || value->child->kind != ATL_JSON_STRING ||
	    !atl_json_integer(value->child->next, ret_output))
		return false;
	*ret_node = atl_comfy_node_find(graph, value->child->string);
	return *ret_node < graph->node_count;
}

const struct atl_comfy_input *atl_comfy_input_find(const struct atl_comfy_graph *graph, const char *name)
{
	for (size_t i = 0; i < graph->input_count; i++)
		if (atl_str_eq(graph->inputs[i].name, name))
			return &graph->inputs[i];
	return NULL;
}

enum atl_err comfy_add_input(struct atl_comfy_graph *graph, const struct atl_comfy_input *input,
			     struct atl_errinfo *info)
{
	if (graph->input_count == ATL_COMFY_INPUTS_MAX)
		return atl_fail(info, ATL_ERR_INVALID, "The workflow has more than %d inputs.", ATL_COMFY_INPUTS_MAX);
	graph->inputs[graph->input_count++] = *input;
	return ATL_OK;
}

/* ---- nodes ---- */

static enum atl_err read_node(const struct atl_json *json, struct atl_comfy_node *node, struct atl_errinfo *info)
{
	node->id = json->key;
	node->class_type = atl_json_str(json, "class_type", NULL);
	node->title = atl_json_str(atl_json_get(json, "_meta"), "title", "");
	node->inputs = atl_json_get(json, "inputs");
	if (atl_str_empty(node->class_type))
		return atl_fail(info, ATL_ERR_INVALID, "Node %.40s of the workflow has no class_type.", node->id);
	if (!node->inputs || node->inputs->kind != ATL_JSON_OBJECT)
		return atl_fail(info, ATL_ERR_INVALID, "Node %.40s (%.80s) of the workflow has no inputs.", node->id,
				node->class_type);
	if (node->inputs->count > ATL_COMFY_FIELDS_MAX)
		return atl_fail(info, ATL_ERR_INVALID, "Node %.40s (%.80s) of the workflow has more than %d inputs.", node->id,
				node->class_type, ATL_COMFY_FIELDS_MAX);
	for (const struct atl_json *v = node->inputs->child; v; v = v->next)
		for (const struct atl_json *other = v->next; other; other = other->next)
			if (atl_str_eq(v->key, other->key))
				return atl_fail(info, ATL_ERR_INVALID, "Node %.40s (%.80s) of the workflow has the input %.80s twice.",
						node->id, node->class_type, v->key);
	return ATL_OK;
}

static enum atl_err read_nodes(struct atl_arena *arena, const struct atl_json *root, struct atl_comfy_graph *graph,
			       struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;

	if (!root || root->kind != ATL_JSON_OBJECT)
		return atl_fail(info, ATL_ERR_INVALID, "A workflow is a JSON object of nodes.");
	if (atl_json_get(root, "nodes") && atl_json_get(root, "links"))
		return atl_fail(info, ATL_ERR_INVALID, "This is the editor's own format. In ComfyUI choose Workflow, Export "
				"(API), and use that file.");
	if (root->count == 0 || root->count > ATL_COMFY_NODES_MAX)
		return atl_fail(info, ATL_ERR_INVALID, "A workflow has 1 to %d nodes; this one has %zu.",
				ATL_COMFY_NODES_MAX, root->count);
	graph->nodes = ATL_ARENA_ARRAY(arena, struct atl_comfy_node, root->count);
	graph->inputs = ATL_ARENA_ARRAY(arena, struct atl_comfy_input, ATL_COMFY_INPUTS_MAX);
	if (!graph->nodes || !graph->inputs)
		return ATL_ERR_NOMEM;
	for (const struct atl_json *node = root->child; node && !err; node = node->next) {
		if (atl_comfy_node_find(graph, node->key) < graph->node_count)
			return atl_fail(info, ATL_ERR_INVALID, "The workflow has two nodes %.40s.", node->key);
		err = read_node(node, &graph->nodes[graph->node_count], info);
		if (!err)
			graph->node_count++;
	}
	return err;
}

struct edge {
	size_t from, to;
};

/* A list of two whose first is a text is a link, and must lead somewhere. */
static enum atl_err read_links(struct atl_arena *arena, const struct atl_comfy_graph *graph, struct edge **ret,
			       size_t *ret_count, struct atl_errinfo *info)
{
	size_t room = 0, count = 0;
	struct edge *edges;

	for (size_t i = 0; i < graph->node_count; i++)
		room += graph->nodes[i].inputs->count;
	edges = ATL_ARENA_ARRAY(arena, struct edge, room + 1);
	if (!edges)
		return ATL_ERR_NOMEM;
	for (size_t i = 0; i < graph->node_count; i++)
		for (const struct atl_json *v = graph->nodes[i].inputs->child; v; v = v->next) {
			int64_t output;

			if (v->kind != ATL_JSON_ARRAY || v->count != 2 || v->child->kind != ATL_JSON_STRING)
				continue;
			if (!atl_comfy_link(graph, v, &edges[count].to, &output) || output < 0)
				return atl_fail(info, ATL_ERR_INVALID, "Node %.40s (%.80s): %.80s leads to a node that is not there.",
						graph->nodes[i].id, graph->nodes[i].class_type, v->key);
			edges[count++].from = i;
		}
	*ret = edges;
	*ret_count = count;
	return ATL_OK;
}

/* Takes away nodes whose links all lead to nodes taken away before; what is left lies on a cycle or behind one. */
static enum atl_err check_cycles(struct atl_arena *arena, const struct atl_comfy_graph *graph, struct atl_errinfo *info)
{
	bool *done = ATL_ARENA_ARRAY(arena, bool, graph->node_count);
	bool *waits = ATL_ARENA_ARRAY(arena, bool, graph->node_count);
	struct edge *edges = NULL;
	size_t edge_count = 0, left = graph->node_count, before;
	enum atl_err err = done && waits ? read_links(arena, graph, &edges, &edge_count, info) : ATL_ERR_NOMEM;

	if (err)
		return err;
	do {
		before = left;
		memset(waits, 0, graph->node_count * sizeof(*waits));
		for (size_t i = 0; i < edge_count; i++)
			if (!done[edges[i].to])
				waits[edges[i].from] = true;
		for (size_t i = 0; i < graph->node_count; i++)
			if (!done[i] && !waits[i]) {
				done[i] = true;
				left--;
			}
	} while (left && left < before);
	for (size_t i = 0; i < graph->node_count; i++)
		if (!done[i])
			return atl_fail(info, ATL_ERR_INVALID, "The workflow goes in a circle at node %.40s (%.80s).",
					graph->nodes[i].id, graph->nodes[i].class_type);
	return ATL_OK;
}

/* ---- marks ---- */

static size_t name_length(const char *text, size_t length)
{
	size_t n = 0;

	while (n < length && n <= ATL_COMFY_NAME_MAX &&
	       ((text[n] >= 'a' && text[n] <= 'z') || (text[n] >= '0' && text[n] <= '9') || text[n] == '_'))
		n++;
	return n <= ATL_COMFY_NAME_MAX ? n : 0;
}

static enum atl_comfy_type type_of(const struct atl_comfy_node *node, const char *field, const struct atl_json *value)
{
	switch (value->kind) {
	case ATL_JSON_NUMBER:
		return value->is_integer ? ATL_COMFY_INTEGER : ATL_COMFY_NUMBER;
	case ATL_JSON_BOOL:
		return ATL_COMFY_BOOLEAN;
	default:
		if (atl_str_starts(node->class_type, "LoadImage") && atl_str_eq(field, "image"))
			return ATL_COMFY_IMAGE;
		return atl_str_ends(field, "_name") || atl_str_eq(field, "scheduler") ? ATL_COMFY_CHOICE : ATL_COMFY_TEXT;
	}
}

/* What a placeholder's name says about its type, when it stands alone. */
static enum atl_comfy_type type_of_name(const struct atl_comfy_node *node, const char *field, const char *name)
{
	static const char *const whole[] = { "seed", "steps", "width", "height", "count", "frames", "fps", "clip_skip" };
	static const char *const real[] = { "cfg_scale", "guidance", "strength", "control_strength", "lora_weight" };

	for (size_t i = 0; i < ATL_COUNT(whole); i++)
		if (atl_str_eq(whole[i], name))
			return ATL_COMFY_INTEGER;
	for (size_t i = 0; i < ATL_COUNT(real); i++)
		if (atl_str_eq(real[i], name))
			return ATL_COMFY_NUMBER;
	return atl_str_starts(node->class_type, "LoadImage") && atl_str_eq(field, "image") ? ATL_COMFY_IMAGE : ATL_COMFY_TEXT;
}

static enum atl_err add_placeholder(struct atl_arena *arena, struct atl_comfy_graph *graph, size_t node,
				    const struct atl_json *field, const char *at, size_t length, struct atl_errinfo *info)
{
	size_t n = name_length(at, length);
	bool alone = length + 4 == field->string_length;
	struct atl_comfy_input input = { .node = node, .field = field->key, .placeholder = true };

	if (n == 0 || (n < length && at[n] != ':'))
		return atl_fail(info, ATL_ERR_INVALID, "Node %.40s: {{%.*s}} is no name. Use a-z, 0-9 and _, at most %d.",
				graph->nodes[node].id, (int)(length < 60 ? length : 60), at, ATL_COMFY_NAME_MAX);
	input.name = input.label = atl_arena_strndup(arena, at, n);
	if (!input.name)
		return ATL_ERR_NOMEM;
	input.type = alone ? type_of_name(&graph->nodes[node], field->key, input.name) : ATL_COMFY_TEXT;
	if (n < length) {
		struct atl_json *value = ATL_ARENA_NEW(arena, struct atl_json);
		char *text = atl_arena_strndup(arena, at + n + 1, length - n - 1);
		bool numeric = input.type == ATL_COMFY_INTEGER || input.type == ATL_COMFY_NUMBER;

		if (!value || !text)
			return ATL_ERR_NOMEM;
		if (numeric) {
			if (atl_json_parse(arena, text, strlen(text), &value, info) || value->kind != ATL_JSON_NUMBER)
				return atl_fail(info, ATL_ERR_INVALID, "Node %.40s: the default of {{%s}} is no number.",
						graph->nodes[node].id, input.name);
		} else {
			*value = (struct atl_json){ .kind = ATL_JSON_STRING, .string = text, .string_length = strlen(text) };
		}
		input.value = value;
	}
	return comfy_add_input(graph, &input, info);
}

static enum atl_err find_placeholders(struct atl_arena *arena, struct atl_comfy_graph *graph, size_t node,
				      const struct atl_json *field, struct atl_errinfo *info)
{
	const char *at = field->string;
	enum atl_err err = ATL_OK;

	while (!err && (at = strstr(at, "{{"))) {
		const char *end = strstr(at += 2, "}}");

		if (!end)
			break;
		err = add_placeholder(arena, graph, node, field, at, (size_t)(end - at), info);
		at = end + 2;
	}
	return err;
}

/* The value a node is about: the first of these it has, else its first that is not a link. */
static const struct atl_json *main_value(const struct atl_comfy_node *node)
{
	static const char *const fields[] = { "text", "value", "prompt", "image", "seed", "noise_seed", "ckpt_name",
					      "unet_name", "lora_name" };

	for (size_t i = 0; i < ATL_COUNT(fields); i++) {
		const struct atl_json *v = atl_json_get(node->inputs, fields[i]);

		if (v && (v->kind == ATL_JSON_STRING || v->kind == ATL_JSON_NUMBER))
			return v;
	}
	for (const struct atl_json *v = node->inputs->child; v; v = v->next)
		if (v->kind == ATL_JSON_STRING || v->kind == ATL_JSON_NUMBER || v->kind == ATL_JSON_BOOL)
			return v;
	return NULL;
}

/* "atelier:name" and "atelier:name=field, name=field" */
static enum atl_err read_title(struct atl_arena *arena, struct atl_comfy_graph *graph, size_t index,
			       struct atl_errinfo *info)
{
	const struct atl_comfy_node *node = &graph->nodes[index];
	const char *at = node->title + strlen("atelier:");
	enum atl_err err = ATL_OK;

	while (!err && *(at += strspn(at, " ,"))) {
		size_t length = strcspn(at, " ,"), n = name_length(at, length);
		const struct atl_json *value = NULL;
		struct atl_comfy_input input = { .node = index };

		if (n && n == length) {
			value = main_value(node);
		} else if (n && at[n] == '=') {
			const char *field = atl_arena_strndup(arena, at + n + 1, length - n - 1);

			value = field ? atl_json_get(node->inputs, field) : NULL;
		}
		if (!value || value->kind == ATL_JSON_ARRAY || value->kind == ATL_JSON_OBJECT || value->kind == ATL_JSON_NULL)
			return atl_fail(info, ATL_ERR_INVALID, "Node %.40s: the title \"%.120s\" names no value of this node. "
					"Write atelier:name or atelier:name=field.", node->id, node->title);
		input.name = input.label = atl_arena_strndup(arena, at, n);
		input.field = value->key;
		input.value = value;
		input.type = type_of(node, value->key, value);
		if (!input.name)
			return ATL_ERR_NOMEM;
		if (input.type == ATL_COMFY_INTEGER && type_of_name(node, value->key, input.name) == ATL_COMFY_NUMBER)
			input.type = ATL_COMFY_NUMBER; /* "strength": 1 */
		err = comfy_add_input(graph, &input, info);
		at += length;
	}
	return err;
}

static enum atl_err find_marks(struct atl_arena *arena, struct atl_comfy_graph *graph, struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;

	for (size_t i = 0; i < graph->node_count && !err; i++) {
		for (const struct atl_json *v = graph->nodes[i].inputs->child; v && !err; v = v->next)
			if (v->kind == ATL_JSON_STRING)
				err = find_placeholders(arena, graph, i, v, info);
		if (!err && atl_str_starts(graph->nodes[i].title, "atelier:"))
			err = read_title(arena, graph, i, info);
	}
	return err;
}

enum atl_err atl_comfy_graph_parse(struct atl_arena *arena, const char *text, size_t length,
				   struct atl_comfy_graph *ret, struct atl_errinfo *info)
{
	struct atl_comfy_graph graph = { 0 };
	struct atl_json *root;
	const struct atl_json *nodes;
	enum atl_err err;

	if (length > ATL_COMFY_GRAPH_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "A workflow has at most %zu KiB.", ATL_COMFY_GRAPH_MAX >> 10);
	err = atl_json_parse(arena, text, length, &root, info);
	if (err)
		return err;
	/* What /prompt takes has the graph under "prompt". */
	nodes = atl_json_get(root, "prompt");
	if (!nodes || nodes->kind != ATL_JSON_OBJECT || atl_json_get(nodes, "class_type"))
		nodes = root;
	err = read_nodes(arena, nodes, &graph, info);
	if (!err)
		err = check_cycles(arena, &graph, info);
	if (!err)
		err = find_marks(arena, &graph, info);
	if (!err)
		err = comfy_detect(arena, &graph, info);
	if (!err)
		*ret = graph;
	return err;
}
