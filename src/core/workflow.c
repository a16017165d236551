/* workflow.c - see workflow.h. */
#include "core/workflow.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/policy.h"
#include "core/publish.h"
#include "db/db.h"
#include "provider/comfy_graph.h"

#define OFF(member) offsetof(struct atl_workflow, member)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED },
	{ "graph", ATL_JT_ANY, OFF(graph), ATL_JF_NULLABLE, .doc = "ComfyUI's API format; null in lists" },
	{ "inputs", ATL_JT_ANY, OFF(inputs), ATL_JF_REQUIRED, .doc = "what its form shows: items with name, label, type, default" },
	{ "shared", ATL_JT_BOOL, OFF(shared), ATL_JF_REQUIRED },
	{ "version", ATL_JT_INT, OFF(version), ATL_JF_REQUIRED },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_workflow_desc = { "Workflow", "A saved ComfyUI workflow.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_workflow), ATL_JSON_NO_PRESENT, false };

struct work {
	struct atl_arena *arena;
	const char *user_id, *id, *name, *graph, *inputs;
	int64_t shared; /* 2: as it is */
	struct atl_workflow *items, out;
	size_t count;
	const char *text;
};

static const struct atl_json *tree_of(struct atl_arena *arena, const char *text)
{
	struct atl_json *tree = NULL;

	return text && atl_json_parse(arena, text, strlen(text), &tree, NULL) == ATL_OK ? tree : NULL;
}

/* id, user_id, name, inputs, shared, version, created_at, updated_at */
#define COLUMNS "id, user_id, name, inputs, shared, version, created_at, updated_at"
static void read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_workflow *out)
{
	*out = (struct atl_workflow){ .id = atl_col_text(rows, 0, arena), .user_id = atl_col_text(rows, 1, arena),
		.name = atl_col_text(rows, 2, arena), .inputs = tree_of(arena, atl_col_text(rows, 3, arena)),
		.shared = atl_col_int(rows, 4) != 0, .version = atl_col_int(rows, 5), .created_at = atl_col_int(rows, 6),
		.updated_at = atl_col_int(rows, 7) };
}

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " COLUMNS " FROM workflows WHERE user_id = ? OR shared = 1 "
				     "ORDER BY CASE WHEN user_id = ? THEN 0 ELSE 1 END, name, id LIMIT ?",
				     "ssi", w->user_id, w->user_id, (int64_t)ATL_WORKFLOWS_MAX);

	w->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		read_row(rows, w->arena, &w->items[w->count++]);
	return err;
}

enum atl_err atl_workflow_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct atl_workflow **ret,
			       size_t *ret_count, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = user_id };
	enum atl_err err;

	w.items = ATL_ARENA_ARRAY(arena, struct atl_workflow, ATL_WORKFLOWS_MAX);
	if (!w.items)
		return atl_fail(info, ATL_ERR_NOMEM, "workflows");
	err = atl_db_read(app->db, list_fn, &w, info);
	if (err)
		return err;
	*ret = w.items;
	*ret_count = w.count;
	return ATL_OK;
}

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " COLUMNS ", graph FROM workflows WHERE id = ? AND (user_id = ? OR shared = 1)", "ss",
				     w->id, w->user_id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail_field(info, ATL_ERR_NOT_FOUND, "workflow_id", "There is no such workflow.");
	read_row(rows, w->arena, &w->out);
	w->text = atl_col_text(rows, 8, w->arena);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_workflow_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      struct atl_workflow *ret, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = user_id, .id = id };
	enum atl_err err = atl_db_read(app->db, get_fn, &w, info);

	if (err)
		return err;
	*ret = w.out;
	ret->graph = tree_of(arena, w.text);
	return ATL_OK;
}

enum atl_err atl_workflow_graph(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				const char **ret, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = user_id, .id = id };
	enum atl_err err = atl_db_read(app->db, get_fn, &w, info);

	if (!err)
		*ret = w.text;
	return err;
}

static enum atl_err save_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t now = atl_now_ms(), changed;
	char *fresh = atl_arena_alloc(w->arena, ATL_ID_SIZE);
	enum atl_err err;

	if (!fresh)
		return atl_fail(info, ATL_ERR_NOMEM, "workflow");
	if (w->id) {
		err = atl_exec_count(conn, &changed, info,
				     "UPDATE workflows SET name = coalesce(?, name), graph = coalesce(?, graph), "
				     "inputs = coalesce(?, inputs), shared = CASE WHEN ? = 2 THEN shared ELSE ? END, "
				     "version = version + 1, updated_at = ? WHERE id = ? AND user_id = ?",
				     "sssiiiss", w->name, w->graph, w->inputs, w->shared, w->shared, now, w->id, w->user_id);
		return err ? err : changed ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such workflow of yours.");
	}
	atl_id_new("wfl", fresh);
	err = atl_exec_count(conn, &changed, info,
			     "INSERT INTO workflows (id, user_id, name, graph, inputs, shared, version, created_at, updated_at) "
			     "SELECT ?, ?, ?, ?, ?, ?, 1, ?, ? WHERE (SELECT count(*) FROM workflows WHERE user_id = ?) < ?",
			     "sssssiiisi", fresh, w->user_id, w->name, w->graph, w->inputs, w->shared == 2 ? (int64_t)0 : w->shared,
			     now, now, w->user_id, (int64_t)ATL_WORKFLOWS_MAX);
	if (!err && !changed)
		return atl_fail(info, ATL_ERR_CONFLICT, "There are %d workflows already.", ATL_WORKFLOWS_MAX);
	w->id = fresh;
	return err;
}

/* The graph as text, read for the policy and for its inputs. */
static enum atl_err read_graph(struct atl_app *app, const struct atl_identity *who, struct work *w,
			       const struct atl_json *graph, struct atl_errinfo *info)
{
	struct atl_buf text, inputs;
	struct atl_jw jw;
	enum atl_err err;

	atl_buf_init(&text, ATL_COMFY_GRAPH_MAX);
	atl_buf_init(&inputs, ATL_COMFY_GRAPH_MAX);
	atl_jw_init(&jw, &text);
	atl_jw_tree(&jw, NULL, graph);
	err = text.failed ? atl_fail_field(info, ATL_ERR_TOO_LARGE, "graph", "is longer than %zu bytes", ATL_COMFY_GRAPH_MAX)
			  : atl_comfy_workflow_inputs(w->arena, text.data, text.length, &inputs, info);
	if (!err) {
		struct atl_policy_text one = { text.data, text.length };

		err = atl_policy_check(app, ATL_ENTRY_PICTURE, who, &one, 1, info);
	}
	if (!err) {
		w->graph = atl_arena_strndup(w->arena, text.data, text.length);
		w->inputs = atl_arena_strndup(w->arena, inputs.data, inputs.length);
		err = w->graph && w->inputs ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "workflow");
	}
	atl_buf_finish(&text);
	atl_buf_finish(&inputs);
	return err;
}

enum atl_err atl_workflow_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			       const struct atl_workflow_change *change, struct atl_workflow *ret, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = who->user_id, .id = id, .name = change->name,
			  .shared = change->shared ? *change->shared : 2 };
	enum atl_err err = ATL_OK;

	if (!id && (!change->name || !change->graph))
		return atl_fail_field(info, ATL_ERR_INVALID, change->name ? "graph" : "name", "is required");
	if (change->name && (!*change->name || atl_utf8_count(change->name, strlen(change->name)) > ATL_WORKFLOW_NAME_MAX))
		return atl_fail_field(info, ATL_ERR_INVALID, "name", "A name has 1 to %d characters.", ATL_WORKFLOW_NAME_MAX);
	if (change->graph)
		err = read_graph(app, who, &w, change->graph, info);
	if (!err)
		err = atl_db_tx(app->db, save_fn, &w, info);
	if (!err)
		err = atl_workflow_get(app, arena, who->user_id, w.id, ret, info);
	if (!err)
		atl_publish_id(app, who->user_id, "workflow.changed", w.id, NULL, NULL);
	return err;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t count;
	enum atl_err err = atl_exec_count(conn, &count, info, "DELETE FROM workflows WHERE id = ? AND user_id = ?", "ss", w->id,
					  w->user_id);

	return err ? err : count ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such workflow of yours.");
}

enum atl_err atl_workflow_delete(struct atl_app *app, const struct atl_identity *who, const char *id, struct atl_errinfo *info)
{
	struct work w = { .user_id = who->user_id, .id = id };
	enum atl_err err = atl_db_tx(app->db, delete_fn, &w, info);

	if (!err)
		atl_publish_id(app, who->user_id, "workflow.changed", id, NULL, NULL);
	return err;
}
