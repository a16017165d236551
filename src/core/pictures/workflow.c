/* workflow.c - see workflow.h. */
#include "core/pictures/workflow.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/pictures/workflow_inputs.h"
#include "core/safety/policy.h"
#include "core/server/publish.h"
#include "db/db.h"
#include "provider/comfy_graph.h"

#define BUILTIN "builtin:"
#define BUILTIN_MAX 32
#define OFF(member) offsetof(struct atl_workflow, member)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED },
	{ "graph", ATL_JT_ANY, OFF(graph), ATL_JF_NULLABLE, .doc = "ComfyUI's API format; null in lists" },
	{ "inputs", ATL_JT_ANY, OFF(inputs), ATL_JF_REQUIRED, .doc = "what its form shows: items with name, label, type, default, minimum, maximum, fixed" },
	{ "shared", ATL_JT_BOOL, OFF(shared), ATL_JF_REQUIRED },
	{ "builtin", ATL_JT_BOOL, OFF(builtin), ATL_JF_REQUIRED },
	{ "mine", ATL_JT_BOOL, OFF(mine), ATL_JF_REQUIRED, .doc = "false: somebody shares it, or it is built in" },
	{ "version", ATL_JT_INT, OFF(version), ATL_JF_REQUIRED },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "null: built in" },
	{ "updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
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
static void read_row(struct atl_rows *rows, const struct work *w, struct atl_workflow *out)
{
	struct atl_arena *arena = w->arena;

	*out = (struct atl_workflow){ .id = atl_col_text(rows, 0, arena), .user_id = atl_col_text(rows, 1, arena),
		.name = atl_col_text(rows, 2, arena), .inputs = tree_of(arena, atl_col_text(rows, 3, arena)),
		.shared = atl_col_int(rows, 4) != 0, .version = atl_col_int(rows, 5), .created_at = atl_col_int(rows, 6),
		.updated_at = atl_col_int(rows, 7) };
	out->mine = atl_str_eq(out->user_id, w->user_id);
}

/* ---- the built-in ones ---- */

static enum atl_err builtin_at(struct atl_arena *arena, size_t index, struct atl_workflow *ret, const char **ret_graph,
			       struct atl_errinfo *info)
{
	const char *name = atl_comfy_builtin(index, ret_graph), *inputs = NULL;
	struct atl_json *detected;
	struct atl_buf found;
	enum atl_err err;

	if (!name)
		return ATL_ERR_NOT_FOUND;
	atl_buf_init(&found, ATL_COMFY_GRAPH_MAX);
	err = atl_comfy_workflow_inputs(arena, *ret_graph, strlen(*ret_graph), &found, info);
	if (!err)
		err = atl_json_parse(arena, found.data, found.length, &detected, info);
	atl_buf_finish(&found);
	if (!err)
		err = atl_workflow_inputs_merge(arena, detected, NULL, &inputs, info);
	if (err)
		return err;
	*ret = (struct atl_workflow){ .id = atl_arena_printf(arena, BUILTIN "%s", name), .user_id = "", .name = name,
				      .inputs = tree_of(arena, inputs), .shared = true, .builtin = true, .version = 1 };
	return ret->id && ret->inputs ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "workflow");
}

static enum atl_err builtin_find(struct work *w, struct atl_errinfo *info)
{
	const char *graph, *name;

	for (size_t i = 0; (name = atl_comfy_builtin(i, &graph)); i++)
		if (atl_str_eq(name, w->id + strlen(BUILTIN)))
			return builtin_at(w->arena, i, &w->out, &w->text, info);
	return atl_fail_field(info, ATL_ERR_NOT_FOUND, "workflow_id", "There is no such workflow.");
}

static bool is_builtin(const char *id)
{
	return id && atl_str_starts(id, BUILTIN);
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
		read_row(rows, w, &w->items[w->count++]);
	return err;
}

enum atl_err atl_workflow_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct atl_workflow **ret,
			       size_t *ret_count, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = user_id };
	enum atl_err err;

	w.items = ATL_ARENA_ARRAY(arena, struct atl_workflow, ATL_WORKFLOWS_MAX + BUILTIN_MAX);
	if (!w.items)
		return atl_fail(info, ATL_ERR_NOMEM, "workflows");
	err = atl_db_read(app->db, list_fn, &w, info);
	for (size_t i = 0; !err && i < BUILTIN_MAX && atl_comfy_builtin(i, &w.text); i++)
		err = builtin_at(arena, i, &w.items[w.count++], &w.text, info);
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
	read_row(rows, w, &w->out);
	w->text = atl_col_text(rows, 8, w->arena);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_workflow_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      struct atl_workflow *ret, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = user_id, .id = id };
	enum atl_err err = is_builtin(id) ? builtin_find(&w, info) : atl_db_read(app->db, get_fn, &w, info);

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
	enum atl_err err = is_builtin(id) ? builtin_find(&w, info) : atl_db_read(app->db, get_fn, &w, info);

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

/* The inputs as stored: what the graph tells, and what is said about them now or was said before. */
static enum atl_err read_inputs(struct work *w, const char *graph, size_t length, const struct atl_json *said,
				const struct atl_json *kept, struct atl_errinfo *info)
{
	struct atl_json *detected;
	struct atl_buf found;
	enum atl_err err;

	atl_buf_init(&found, ATL_COMFY_GRAPH_MAX);
	err = atl_comfy_workflow_inputs(w->arena, graph, length, &found, info);
	if (!err)
		err = atl_json_parse(w->arena, found.data, found.length, &detected, info);
	atl_buf_finish(&found);
	if (!err && said)
		err = atl_workflow_inputs_check(detected, said, info);
	return err ? err : atl_workflow_inputs_merge(w->arena, detected, said ? said : kept, &w->inputs, info);
}

/* A tree as text in the arena, of at most ATL_COMFY_GRAPH_MAX. */
static enum atl_err text_of(struct atl_arena *arena, const struct atl_json *tree, const char *field, const char **ret,
			    struct atl_errinfo *info)
{
	struct atl_buf text;
	struct atl_jw jw;
	enum atl_err err = ATL_OK;

	atl_buf_init(&text, ATL_COMFY_GRAPH_MAX);
	atl_jw_init(&jw, &text);
	atl_jw_tree(&jw, NULL, tree);
	if (text.failed)
		err = atl_fail_field(info, ATL_ERR_TOO_LARGE, field, "is longer than %zu bytes", ATL_COMFY_GRAPH_MAX);
	*ret = err ? NULL : atl_arena_strndup(arena, text.data, text.length);
	atl_buf_finish(&text);
	return err ? err : *ret ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "workflow");
}

/* Graph and inputs, read for their form and for the policy. */
static enum atl_err read_change(struct atl_app *app, const struct atl_identity *who, struct work *w,
				const struct atl_workflow_change *change, struct atl_errinfo *info)
{
	struct work old = { .arena = w->arena, .user_id = w->user_id, .id = w->id };
	struct atl_policy_text texts[2] = { { NULL, 0 } };
	const char *said = "";
	enum atl_err err = w->id ? atl_db_read(app->db, get_fn, &old, info) : ATL_OK;

	if (!err && change->graph)
		err = text_of(w->arena, change->graph, "graph", &w->graph, info);
	if (!err && change->inputs)
		err = text_of(w->arena, change->inputs, "inputs", &said, info);
	if (!err) {
		const char *graph = w->graph ? w->graph : old.text;

		err = read_inputs(w, graph, strlen(graph), change->inputs, old.out.inputs, info);
	}
	if (err)
		return err;
	texts[0] = ATL_POLICY_TEXT(w->graph ? w->graph : "");
	texts[1] = ATL_POLICY_TEXT(said);
	return atl_policy_check(app, ATL_ENTRY_PICTURE, who, texts, ATL_COUNT(texts), info);
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
	if (change->graph || change->inputs)
		err = read_change(app, who, &w, change, info);
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
