/* comfy_fill.c - values into a workflow, and its inputs as a form's JSON, see comfy_graph.h. */
#include <string.h>

#include "base/str.h"
#include "provider/comfy_graph.h"

struct fill {
	const struct atl_comfy_graph *graph;
	const struct atl_comfy_value *values;
	size_t value_count;
	const struct atl_comfy_lora *loras;
	size_t lora_count;
	struct atl_jw w;
	struct atl_errinfo *info;
};

static const struct atl_json *given(const struct fill *f, const char *name)
{
	for (size_t i = f->value_count; i > 0; i--)
		if (atl_str_eq(f->values[i - 1].name, name))
			return f->values[i - 1].value;
	return NULL;
}

static bool type_ok(enum atl_comfy_type type, const struct atl_json *value)
{
	int64_t whole;

	switch (type) {
	case ATL_COMFY_INTEGER:
		return atl_json_integer(value, &whole);
	case ATL_COMFY_NUMBER:
		return value->kind == ATL_JSON_NUMBER;
	case ATL_COMFY_BOOLEAN:
		return value->kind == ATL_JSON_BOOL;
	default:
		return value->kind == ATL_JSON_STRING && value->string_length <= ATL_COMFY_VALUE_MAX;
	}
}

static enum atl_err check_values(const struct fill *f)
{
	char field[ATL_ERRINFO_FIELD_MAX];

	for (size_t i = 0; i < f->value_count; i++) {
		bool found = false;

		atl_str_copy(field, sizeof(field), "inputs.");
		atl_str_copy(field + strlen(field), sizeof(field) - strlen(field), f->values[i].name);
		for (size_t k = 0; k < f->graph->input_count; k++) {
			const struct atl_comfy_input *input = &f->graph->inputs[k];

			if (!atl_str_eq(input->name, f->values[i].name))
				continue;
			found = true;
			if (!type_ok(input->type, f->values[i].value))
				return atl_fail_field(f->info, ATL_ERR_INVALID, field, "must be a value of the type %s",
						      atl_comfy_type_name(input->type));
		}
		if (!found)
			return atl_fail_field(f->info, ATL_ERR_INVALID, field, "The workflow has no input of this name.");
	}
	for (size_t k = 0; k < f->graph->input_count; k++) {
		const struct atl_comfy_input *input = &f->graph->inputs[k];

		atl_str_copy(field, sizeof(field), "inputs.");
		atl_str_copy(field + strlen(field), sizeof(field) - strlen(field), input->name);
		if (!input->value && !given(f, input->name))
			return atl_fail_field(f->info, ATL_ERR_INVALID, field, "The workflow needs a value here.");
	}
	return ATL_OK;
}

/* ---- LoRA: loaders behind each model loader ---- */

static bool is_loader(const struct atl_comfy_node *node)
{
	const struct atl_json *name = atl_json_get(node->inputs, "ckpt_name");

	if (!name)
		name = atl_json_get(node->inputs, "unet_name");
	return name && !atl_json_get(node->inputs, "model") && !atl_json_get(node->inputs, "lora_name");
}

static bool is_checkpoint(const struct atl_comfy_node *node)
{
	return atl_str_starts(node->class_type, "CheckpointLoader");
}

/* The id of the last LoRA loader behind loader `node`: one that no node of the graph has (checked by collides()). */
static void lora_id(const struct atl_comfy_node *node, size_t index, struct atl_buf *out)
{
	atl_buf_reset(out);
	atl_buf_addf(out, "%s-lora-%zu", node->id, index + 1);
}

static void write_link(struct fill *f, const char *key, const char *id, int64_t output)
{
	atl_jw_array(&f->w, key);
	atl_jw_str(&f->w, NULL, id);
	atl_jw_int(&f->w, NULL, output);
	atl_jw_end_array(&f->w);
}

static void write_loras(struct fill *f, const struct atl_comfy_node *node)
{
	bool clip = is_checkpoint(node);
	struct atl_buf id, before;

	atl_buf_init(&id, 1 << 16);
	atl_buf_init(&before, 1 << 16);
	atl_buf_adds(&before, node->id);
	for (size_t i = 0; i < f->lora_count; i++) {
		lora_id(node, i, &id);
		atl_jw_object(&f->w, id.data);
		atl_jw_str(&f->w, "class_type", clip ? "LoraLoader" : "LoraLoaderModelOnly");
		atl_jw_object(&f->w, "inputs");
		atl_jw_str(&f->w, "lora_name", f->loras[i].name);
		atl_jw_num(&f->w, "strength_model", f->loras[i].weight);
		write_link(f, "model", before.data, 0);
		if (clip) {
			atl_jw_num(&f->w, "strength_clip", f->loras[i].weight);
			write_link(f, "clip", before.data, 1);
		}
		atl_jw_end_object(&f->w);
		atl_jw_end_object(&f->w);
		atl_buf_reset(&before);
		atl_buf_adds(&before, id.data);
	}
	atl_buf_finish(&id);
	atl_buf_finish(&before);
}

/* A link to a loader's model (or text encoder) goes to the last LoRA instead. */
static bool write_moved_link(struct fill *f, const struct atl_json *value)
{
	struct atl_buf id;
	size_t node;
	int64_t output;

	if (!f->lora_count || !atl_comfy_link(f->graph, value, &node, &output) || !is_loader(&f->graph->nodes[node]) ||
	    output > (is_checkpoint(&f->graph->nodes[node]) ? 1 : 0))
		return false;
	atl_buf_init(&id, 1 << 16);
	lora_id(&f->graph->nodes[node], f->lora_count - 1, &id);
	write_link(f, value->key, id.data, output);
	atl_buf_finish(&id);
	return true;
}

static enum atl_err check_loras(const struct fill *f)
{
	bool loader = false;
	struct atl_buf id;
	enum atl_err err = ATL_OK;

	atl_buf_init(&id, 1 << 16);
	for (size_t i = 0; i < f->graph->node_count && !err; i++) {
		if (!is_loader(&f->graph->nodes[i]))
			continue;
		loader = true;
		for (size_t k = 0; k < f->lora_count && !err; k++) {
			lora_id(&f->graph->nodes[i], k, &id);
			if (id.failed || atl_comfy_node_find(f->graph, id.data) < f->graph->node_count)
				err = atl_fail(f->info, ATL_ERR_INVALID, "The workflow uses the node name %.60s itself.", id.data);
		}
	}
	atl_buf_finish(&id);
	if (!err && !loader)
		err = atl_fail_field(f->info, ATL_ERR_UNSUPPORTED, "loras", "The workflow loads no model that a LoRA could change.");
	return err;
}

/* ---- writing ---- */

static void add_text(struct atl_buf *out, const struct atl_json *value)
{
	struct atl_jw w;

	if (value->kind == ATL_JSON_STRING) {
		atl_buf_add(out, value->string, value->string_length);
		return;
	}
	atl_jw_init(&w, out);
	atl_jw_tree(&w, NULL, value);
}

/* "a {{prompt}}, {{light:at dusk}}": the parser has seen to it that each name is an input. */
static void write_placeholders(struct fill *f, const struct atl_comfy_node *node, const struct atl_json *field)
{
	const char *at = field->string, *open;
	const struct atl_json *whole = NULL;
	struct atl_buf text;

	atl_buf_init(&text, ATL_COMFY_GRAPH_MAX * 2);
	while ((open = strstr(at, "{{")) && strstr(open, "}}")) {
		size_t length = strcspn(open + 2, ":}");
		const struct atl_json *value = NULL;

		for (size_t i = 0; i < f->graph->input_count && !value; i++) {
			const struct atl_comfy_input *input = &f->graph->inputs[i];

			if (input->placeholder && &f->graph->nodes[input->node] == node && atl_str_eq(input->field, field->key) &&
			    strlen(input->name) == length && strncmp(input->name, open + 2, length) == 0) {
				value = given(f, input->name);
				if (!value)
					value = input->value;
			}
		}
		atl_buf_add(&text, at, (size_t)(open - at));
		if (value)
			add_text(&text, value);
		at = strstr(open, "}}") + 2;
		if (open == field->string && !*at)
			whole = value;
	}
	atl_buf_adds(&text, at);
	if (whole)
		atl_jw_tree(&f->w, field->key, whole);
	else if (!text.failed)
		atl_jw_strn(&f->w, field->key, text.data, text.length);
	else
		f->w.out->failed = true;
	atl_buf_finish(&text);
}

static void write_field(struct fill *f, size_t node, const struct atl_json *field)
{
	for (size_t i = 0; i < f->graph->input_count; i++) {
		const struct atl_comfy_input *input = &f->graph->inputs[i];
		const struct atl_json *value;

		if (input->node != node || !atl_str_eq(input->field, field->key))
			continue;
		if (input->placeholder) {
			write_placeholders(f, &f->graph->nodes[node], field);
			return;
		}
		value = given(f, input->name);
		if (value) {
			atl_jw_tree(&f->w, field->key, value);
			return;
		}
	}
	if (!write_moved_link(f, field))
		atl_jw_tree(&f->w, field->key, field);
}

enum atl_err atl_comfy_graph_fill(const struct atl_comfy_graph *graph,
				  const struct atl_comfy_value *values, size_t value_count,
				  const struct atl_comfy_lora *loras, size_t lora_count, struct atl_buf *out,
				  struct atl_errinfo *info)
{
	struct fill f = { .graph = graph, .values = values, .value_count = value_count, .loras = loras,
			  .lora_count = lora_count, .info = info };
	enum atl_err err = check_values(&f);

	if (!err && lora_count)
		err = check_loras(&f);
	if (err)
		return err;
	atl_jw_init(&f.w, out);
	atl_jw_object(&f.w, NULL);
	for (size_t i = 0; i < graph->node_count; i++) {
		const struct atl_comfy_node *node = &graph->nodes[i];

		atl_jw_object(&f.w, node->id);
		atl_jw_str(&f.w, "class_type", node->class_type);
		atl_jw_object(&f.w, "inputs");
		for (const struct atl_json *v = node->inputs->child; v; v = v->next)
			write_field(&f, i, v);
		atl_jw_end_object(&f.w);
		if (*node->title) {
			atl_jw_object(&f.w, "_meta");
			atl_jw_str(&f.w, "title", node->title);
			atl_jw_end_object(&f.w);
		}
		atl_jw_end_object(&f.w);
		if (lora_count && is_loader(node))
			write_loras(&f, node);
	}
	atl_jw_end_object(&f.w);
	return atl_buf_err(out, info);
}

/* ---- the form ---- */

static bool first_of_name(const struct atl_comfy_graph *graph, size_t index)
{
	return atl_comfy_input_find(graph, graph->inputs[index].name) == &graph->inputs[index];
}

static void write_input(struct atl_jw *w, const struct atl_comfy_graph *graph, size_t index)
{
	const struct atl_comfy_input *input = &graph->inputs[index];
	bool required = false;

	atl_jw_object(w, NULL);
	atl_jw_str(w, "name", input->name);
	atl_jw_str(w, "label", input->label);
	atl_jw_str(w, "type", atl_comfy_type_name(input->type));
	if (input->value)
		atl_jw_tree(w, "default", input->value);
	else
		atl_jw_null(w, "default");
	atl_jw_array(w, "places");
	for (size_t i = index; i < graph->input_count; i++) {
		const struct atl_comfy_input *place = &graph->inputs[i];

		if (!atl_str_eq(place->name, input->name))
			continue;
		required |= !place->value;
		atl_jw_object(w, NULL);
		atl_jw_str(w, "node", graph->nodes[place->node].id);
		atl_jw_str(w, "field", place->field);
		atl_jw_str(w, "class_type", graph->nodes[place->node].class_type);
		atl_jw_end_object(w);
	}
	atl_jw_end_array(w);
	atl_jw_bool(w, "required", required);
	atl_jw_end_object(w);
}

enum atl_err atl_comfy_workflow_inputs(struct atl_arena *arena, const char *text, size_t length, struct atl_buf *out,
				       struct atl_errinfo *info)
{
	struct atl_comfy_graph graph;
	enum atl_err err = atl_comfy_graph_parse(arena, text, length, &graph, info);
	struct atl_jw w;

	if (err)
		return err;
	atl_jw_init(&w, out);
	atl_jw_object(&w, NULL);
	atl_jw_array(&w, "items");
	for (size_t i = 0; i < graph.input_count; i++)
		if (first_of_name(&graph, i))
			write_input(&w, &graph, i);
	atl_jw_end_array(&w);
	atl_jw_array(&w, "classes");
	for (size_t i = 0; i < graph.node_count; i++) {
		size_t k = 0;

		while (k < i && !atl_str_eq(graph.nodes[k].class_type, graph.nodes[i].class_type))
			k++;
		if (k == i)
			atl_jw_str(&w, NULL, graph.nodes[i].class_type);
	}
	atl_jw_end_array(&w);
	atl_jw_end_object(&w);
	return atl_buf_err(out, info);
}
