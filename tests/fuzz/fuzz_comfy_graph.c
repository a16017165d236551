/* fuzz_comfy_graph.c - a workflow from anybody: refused, or its inputs found and the graph written again, and what was
 * written is a workflow with the same nodes. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "provider/comfy_graph.h"

static const struct atl_json *value_for(const struct atl_comfy_input *input, struct atl_json *out)
{
	bool number = input->type == ATL_COMFY_INTEGER || input->type == ATL_COMFY_NUMBER;

	*out = (struct atl_json){ .kind = number ? ATL_JSON_NUMBER : ATL_JSON_STRING, .string = "a {{b}} \"c\"",
				  .string_length = 11, .number = 3, .is_integer = true, .integer = 3 };
	if (input->type == ATL_COMFY_BOOLEAN)
		out->kind = ATL_JSON_BOOL;
	return out;
}

/* Every input given, so that nothing is missing. */
static void fill(struct atl_arena *arena, const struct atl_comfy_graph *graph, size_t lora_count)
{
	static const struct atl_comfy_lora loras[] = { { "x", 1 }, { "y", 0.5 } };
	struct atl_comfy_value values[ATL_COMFY_INPUTS_MAX];
	struct atl_json json[ATL_COMFY_INPUTS_MAX], *root;
	struct atl_buf out;
	enum atl_err err;

	for (size_t i = 0; i < graph->input_count; i++)
		values[i] = (struct atl_comfy_value){ graph->inputs[i].name, value_for(&graph->inputs[i], &json[i]) };
	atl_buf_init(&out, 1 << 22);
	err = atl_comfy_graph_fill(graph, values, graph->input_count, loras, lora_count, &out, NULL);
	if (!err) {
		if (atl_json_parse(arena, out.data, out.length, &root, NULL))
			abort();
		for (size_t i = 0; i < graph->node_count; i++)
			if (!atl_str_eq(atl_json_str(atl_json_get(root, graph->nodes[i].id), "class_type", ""),
					graph->nodes[i].class_type))
				abort();
	}
	atl_buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_comfy_graph graph;
	struct atl_arena arena;
	struct atl_buf form;
	struct atl_json *root;

	atl_arena_init(&arena, 0);
	atl_buf_init(&form, 1 << 22);
	if (!atl_comfy_graph_parse(&arena, (const char *)data, size, &graph, NULL)) {
		fill(&arena, &graph, 0);
		fill(&arena, &graph, 2);
		if (!atl_comfy_workflow_inputs(&arena, (const char *)data, size, &form, NULL) &&
		    atl_json_parse(&arena, form.data, form.length, &root, NULL))
			abort();
	}
	atl_buf_finish(&form);
	atl_arena_finish(&arena);
	return 0;
}
