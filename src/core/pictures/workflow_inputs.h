/* workflow_inputs.h - what a person says about a workflow's inputs, put over what the graph itself tells.
 *
 * The graph gives name, label, type, default, required and places (provider/comfy_graph.h). A person may give each input
 * another label, a range for numbers ("minimum", "maximum"), and "fixed": its default always counts and no form shows it.
 * What is said is kept by name, also when the graph is replaced.
 *
 * Threads: pure functions. Ownership: the arena; trees are borrowed. Limits: ATL_WORKFLOW_LABEL_MAX.
 */
#ifndef ATL_CORE_WORKFLOW_INPUTS_H
#define ATL_CORE_WORKFLOW_INPUTS_H

#include "base/json.h"

#define ATL_WORKFLOW_LABEL_MAX 100

/* `said`: the person's {"items": [{name, label, minimum, maximum, fixed}]}; other fields are ours and passed over.
 * INVALID, field "inputs.<name>": no such input, a range for a text, a default outside it, fixed without a default. */
enum atl_err atl_workflow_inputs_check(const struct atl_json *detected, const struct atl_json *said,
				       struct atl_errinfo *info) ATL_MUST_USE;
/* The detected inputs as JSON text, with what `said` has for their names; NULL: nothing. */
enum atl_err atl_workflow_inputs_merge(struct atl_arena *arena, const struct atl_json *detected,
				       const struct atl_json *said, const char **ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Values of a form against its inputs. INVALID, field "inputs.<name>": outside the range, or fixed. Names that the
 * workflow has not are left to the service. */
enum atl_err atl_workflow_values_check(const struct atl_json *inputs, const struct atl_json *values,
				       struct atl_errinfo *info) ATL_MUST_USE;
/* The input of this name, or NULL. */
const struct atl_json *atl_workflow_input(const struct atl_json *inputs, const char *name);

#endif
