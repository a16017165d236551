/* workflow.h - ComfyUI workflows that people save: the API-format graph and what its form shows.
 *
 * The built-in ones (share/workflows) are listed behind them as "builtin:<name>", to read, copy and run.
 *
 * Threads: blocking: pool threads. Ownership: the given arena. Limits: ATL_WORKFLOWS_MAX of a user, ATL_COMFY_GRAPH_MAX.
 */
#ifndef ATL_CORE_WORKFLOW_H
#define ATL_CORE_WORKFLOW_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_WORKFLOWS_MAX 500
#define ATL_WORKFLOW_NAME_MAX 100

struct atl_workflow { /* the API's Workflow */
	const char *id, *user_id, *name;
	const struct atl_json *graph;  /* API format; NULL in lists */
	/* {"items": [{name, label, type, default, required, places, minimum, maximum, fixed}], "classes": [...]} */
	const struct atl_json *inputs;
	bool shared, builtin, mine;
	int64_t version, created_at, updated_at;
};
extern const struct atl_json_desc atl_workflow_desc;

enum atl_err atl_workflow_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			       struct atl_workflow **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* One's own or a shared one. */
enum atl_err atl_workflow_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      struct atl_workflow *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The graph's text, as stored. */
enum atl_err atl_workflow_graph(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				const char **ret, struct atl_errinfo *info) ATL_MUST_USE;
struct atl_workflow_change { /* NULL: as it is */
	const char *name;
	const struct atl_json *graph;
	const struct atl_json *inputs; /* what is said about them, see workflow_inputs.h */
	const bool *shared;
};
/* id NULL: a new one. Errors: INVALID (says which node or input), POLICY, CONFLICT (too many), NOT_FOUND. */
enum atl_err atl_workflow_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			       const char *id, const struct atl_workflow_change *change, struct atl_workflow *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_workflow_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				 struct atl_errinfo *info) ATL_MUST_USE;
/* Would it run there? OK, or what is missing by name: UNSUPPORTED (nodes), UPSTREAM_MODEL (files); INVALID: that provider
 * is no ComfyUI server; and whatever keeps it from answering. (workflow_try.c) */
enum atl_err atl_workflow_try(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			      const char *provider_id, struct atl_errinfo *info) ATL_MUST_USE;

#endif
