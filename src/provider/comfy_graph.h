/* comfy_graph.h - a ComfyUI workflow in API format as data: checked, its inputs found by name, filled with values.
 *
 * Inputs come from three places, the first two winning over the third:
 *   1. placeholders in text values: "{{prompt}}" alone or inside a longer text, "{{prompt:a default}}";
 *   2. titles: a node titled "atelier:seed" (its main value) or "atelier:positive=text, strength=strength";
 *   3. the graph itself, followed backwards from its samplers: prompt, negative_prompt, seed, steps, cfg_scale,
 *      strength, sampler, scheduler, width, height, count, frames, fps, model, lora, lora_weight, image, mask,
 *      control_image, control_model, control_strength, upscaler.
 * The same name at several nodes is one input with several places (both samplers of a refiner); what is found in the
 * graph shares a name only where the values are equal, else it gets a number: "steps_2".
 *
 * Life cycle: everything lives in the arena given. Threads: pure functions.
 * Limits:     ATL_COMFY_*; beyond them and for cycles, links to nowhere or the editor's own format: INVALID.
 * Adding one: a row in ROLES of comfy_detect.c.
 */
#ifndef ATL_PROVIDER_COMFY_GRAPH_H
#define ATL_PROVIDER_COMFY_GRAPH_H

#include "base/arena.h"
#include "base/json.h"

#define ATL_COMFY_GRAPH_MAX ((size_t)1 << 20) /* bytes of text */
#define ATL_COMFY_NODES_MAX 512
#define ATL_COMFY_FIELDS_MAX 64 /* of one node */
#define ATL_COMFY_INPUTS_MAX 128
#define ATL_COMFY_NAME_MAX 40
#define ATL_COMFY_VALUE_MAX ((size_t)100000) /* bytes of one text value */

enum atl_comfy_type { ATL_COMFY_TEXT, ATL_COMFY_INTEGER, ATL_COMFY_NUMBER, ATL_COMFY_BOOLEAN, ATL_COMFY_CHOICE, ATL_COMFY_IMAGE };
const char *atl_comfy_type_name(enum atl_comfy_type type); /* "text", "integer", ..., as in the form's JSON */

struct atl_comfy_node {
	const char *id, *class_type;
	const char *title; /* "" when it has none */
	const struct atl_json *inputs;
};
struct atl_comfy_input {
	const char *name; /* a-z, 0-9, _ */
	const char *label; /* for people: the node's own title, or the name */
	size_t node;	   /* index in graph->nodes */
	const char *field;
	enum atl_comfy_type type;
	bool placeholder; /* inside the field's text, as {{name}} */
	const struct atl_json *value; /* the default; NULL: none, it must be given */
};
struct atl_comfy_graph {
	struct atl_comfy_node *nodes;
	size_t node_count;
	struct atl_comfy_input *inputs;
	size_t input_count;
};
struct atl_comfy_value {
	const char *name;
	const struct atl_json *value; /* a string, number or boolean; for a picture the name it was uploaded under */
};
struct atl_comfy_lora {
	const char *name; /* as the server lists it, with extension */
	double weight;
};

/* Errors: JSON, INVALID (says which node), TOO_LARGE, NOMEM. `text` is not kept. */
enum atl_err atl_comfy_graph_parse(struct atl_arena *arena, const char *text, size_t length,
				   struct atl_comfy_graph *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Index of the node with this id, or node_count. */
size_t atl_comfy_node_find(const struct atl_comfy_graph *graph, const char *id);
/* Is this value a link? Then its node's index and the output. */
bool atl_comfy_link(const struct atl_comfy_graph *graph, const struct atl_json *value, size_t *ret_node,
		    int64_t *ret_output);
/* First place of that input, or NULL. */
const struct atl_comfy_input *atl_comfy_input_find(const struct atl_comfy_graph *graph, const char *name);

/* The graph with values put in, as JSON text: what /prompt takes. Names that the graph has not: INVALID naming
 * "inputs.NAME"; wrong types and missing values too. With `loras`, loaders are put behind each model loader. */
enum atl_err atl_comfy_graph_fill(const struct atl_comfy_graph *graph,
				  const struct atl_comfy_value *values, size_t value_count,
				  const struct atl_comfy_lora *loras, size_t lora_count, struct atl_buf *out,
				  struct atl_errinfo *info) ATL_MUST_USE;

/* For a form, when a user saves a workflow:
 * {"items":[{"name","label","type","default"|null,"required","places":[{"node","field","class_type"}]}],
 *  "classes":["KSampler",...]} */
enum atl_err atl_comfy_workflow_inputs(struct atl_arena *arena, const char *text, size_t length, struct atl_buf *out,
				       struct atl_errinfo *info) ATL_MUST_USE;

/* The built-in workflows (share/workflows) in the order of their names; NULL: behind the last one. */
const char *atl_comfy_builtin(size_t index, const char **ret_json);

/* Only comfy_graph.c and comfy_detect.c: append what the graph itself tells. */
enum atl_err comfy_detect(struct atl_arena *arena, struct atl_comfy_graph *graph, struct atl_errinfo *info);
enum atl_err comfy_add_input(struct atl_comfy_graph *graph, const struct atl_comfy_input *input,
			     struct atl_errinfo *info);

#endif
