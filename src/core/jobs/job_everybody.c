/* job_everybody.c - the queue as who runs the server sees it: whose job, of what kind and how far, never what it shows. */
#include "core/jobs/job_everybody.h"

#include "core/jobs/job.h"
#include "core/people/audit.h"
#include "db/db.h"

#define OFF(member) offsetof(struct atl_job_glance, member)

static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "user_id", ATL_JT_STR, OFF(user_id), ATL_JF_REQUIRED },
	{ "user_name", ATL_JT_STR, OFF(user_name), ATL_JF_REQUIRED },
	{ "task", ATL_JT_STR, OFF(task), ATL_JF_REQUIRED },
	{ "model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED },
	{ "state", ATL_JT_STR, OFF(state), ATL_JF_REQUIRED, .doc = "queued, leased or running" },
	{ "count", ATL_JT_INT, OFF(count), ATL_JF_REQUIRED },
	{ "done_count", ATL_JT_INT, OFF(done_count), ATL_JF_REQUIRED },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "started_at", ATL_JT_TIME, OFF(started_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
};
const struct atl_json_desc atl_job_glance_desc = { "JobGlance", "Somebody's job that has not ended, without what it is of.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_job_glance), ATL_JSON_NO_PRESENT, false };

struct list {
	struct atl_arena *arena;
	struct atl_job_glance *items;
	size_t count;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct list *list = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT j.id, j.user_id, u.name, j.task, j.model, j.state, j.count, j.done_count, j.created_at, "
				     "j.started_at FROM jobs j JOIN users u ON u.id = j.user_id WHERE j.state IN ('queued', 'leased', "
				     "'running') ORDER BY CASE WHEN j.state = 'queued' THEN 1 ELSE 0 END, j.priority DESC, j.id LIMIT ?",
				     "i", (int64_t)ATL_JOBS_GLANCED_MAX);

	list->count = 0;
	while (!err && atl_rows_next(rows, &err, info)) {
		struct atl_job_glance *item = &list->items[list->count++];

		*item = (struct atl_job_glance){
			.id = atl_col_text(rows, 0, list->arena), .user_id = atl_col_text(rows, 1, list->arena),
			.user_name = atl_col_text(rows, 2, list->arena), .task = atl_col_text(rows, 3, list->arena),
			.model = atl_col_text(rows, 4, list->arena), .state = atl_col_text(rows, 5, list->arena),
			.count = atl_col_int(rows, 6), .done_count = atl_col_int(rows, 7),
			.created_at = atl_col_int(rows, 8), .started_at = atl_col_int(rows, 9) };
	}
	return err;
}

enum atl_err atl_jobs_everybody(struct atl_app *app, struct atl_arena *arena, struct atl_job_glance **ret, size_t *ret_count,
				struct atl_errinfo *info)
{
	struct list list = { .arena = arena, .items = ATL_ARENA_ARRAY(arena, struct atl_job_glance, ATL_JOBS_GLANCED_MAX) };
	enum atl_err err;

	if (!list.items)
		return atl_fail(info, ATL_ERR_NOMEM, "list everybody's jobs");
	err = atl_db_read(app->db, list_fn, &list, info);
	if (err)
		return err;
	*ret = list.items;
	*ret_count = list.count;
	return ATL_OK;
}

struct whose {
	struct atl_arena *arena;
	const char *id, *user_id;
};

/* Before the audit's row: what is not there leaves none. */
static enum atl_err whose_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct whose *whose = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT user_id FROM jobs WHERE id = ? AND state IN ('queued', 'leased', 'running')", "s", whose->id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such job, or it has ended.");
	whose->user_id = atl_col_text(rows, 0, whose->arena);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_job_cancel_anybodys(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char *id, struct atl_errinfo *info)
{
	struct whose whose = { .arena = arena, .id = id };
	struct atl_job job;
	enum atl_err err = atl_audit_tx(app->db, whose_fn, &whose,
					&(struct atl_audit){ .who = who, .action = "job.cancel", .target_kind = "job", .target_id = id },
					info);

	return err ? err : atl_job_cancel(app, arena, whose.user_id, id, &job, info);
}
