/* job_row.c - rows of the table jobs: reading, inserting, listing, and their form in the API. */
#include <string.h>

#include "base/id.h"
#include "base/str.h"
#include "core/jobs/job_int.h"

#define OFF(member) offsetof(struct atl_job, member)
#define OPTIONAL (ATL_JF_REQUIRED | ATL_JF_NULLABLE)

static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "kind", ATL_JT_STR, OFF(kind), ATL_JF_REQUIRED },
	{ "task", ATL_JT_STR, OFF(task), ATL_JF_REQUIRED },
	{ "state", ATL_JT_STR, OFF(state), ATL_JF_REQUIRED, .doc = "queued, leased, running, done, failed, cancelled" },
	{ "origin", ATL_JT_STR, OFF(origin), ATL_JF_REQUIRED, .doc = "web, api, openai, a1111, studio, chat" },
	{ "model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED },
	{ "provider_id", ATL_JT_STR, OFF(provider_id), ATL_JF_REQUIRED },
	{ "prompt", ATL_JT_STR, OFF(prompt), ATL_JF_REQUIRED },
	{ "request", ATL_JT_ANY, OFF(request), ATL_JF_REQUIRED, .doc = "every value that is used" },
	{ "priority", ATL_JT_INT, OFF(priority), ATL_JF_REQUIRED },
	{ "count", ATL_JT_INT, OFF(count), ATL_JF_REQUIRED },
	{ "done_count", ATL_JT_INT, OFF(done_count), ATL_JF_REQUIRED },
	{ "attempt", ATL_JT_INT, OFF(attempt), ATL_JF_REQUIRED },
	{ "not_before", ATL_JT_TIME, OFF(not_before), OPTIONAL },
	{ "depends_on", ATL_JT_STR, OFF(depends_on), OPTIONAL },
	{ "position", ATL_JT_INT, OFF(position), ATL_JF_REQUIRED, .doc = "1 is next, 0: it does not wait" },
	{ "wait_ms", ATL_JT_INT, OFF(wait_ms), ATL_JF_REQUIRED, .doc = "estimate; 0: unknown" },
	{ "run_ms", ATL_JT_INT, OFF(run_ms), ATL_JF_REQUIRED, .doc = "estimate; 0: unknown" },
	{ "step", ATL_JT_INT, OFF(step), ATL_JF_REQUIRED },
	{ "steps", ATL_JT_INT, OFF(steps), ATL_JF_REQUIRED },
	{ "left_ms", ATL_JT_INT, OFF(left_ms), ATL_JF_REQUIRED },
	{ "preview", ATL_JT_INT, OFF(preview), ATL_JF_REQUIRED, .doc = "number of the last preview; 0: none" },
	{ "assets", ATL_JT_LIST, OFF(assets), ATL_JF_REQUIRED, .sub = &atl_asset_desc },
	{ "error_slug", ATL_JT_STR, OFF(error_slug), OPTIONAL },
	{ "error_detail", ATL_JT_STR, OFF(error_detail), OPTIONAL },
	{ "notes", ATL_JT_STRS, OFF(notes), ATL_JF_REQUIRED, .doc = "what was mapped, rounded or left out" },
	{ "cost_micro_usd", ATL_JT_INT, OFF(cost_micro_usd), ATL_JF_REQUIRED },
	{ "character_id", ATL_JT_STR, OFF(character_id), OPTIONAL },
	{ "conversation_id", ATL_JT_STR, OFF(conversation_id), OPTIONAL },
	{ "message_id", ATL_JT_STR, OFF(message_id), OPTIONAL },
	{ "board_id", ATL_JT_STR, OFF(board_id), OPTIONAL },
	{ "webhook_url", ATL_JT_STR, OFF(webhook_url), OPTIONAL },
	{ "version", ATL_JT_INT, OFF(version), ATL_JF_REQUIRED, .doc = "also the ETag" },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "started_at", ATL_JT_TIME, OFF(started_at), OPTIONAL },
	{ "finished_at", ATL_JT_TIME, OFF(finished_at), OPTIONAL },
	{ "updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_job_desc = { "Job", "One durable unit of work.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_job), ATL_JSON_NO_PRESENT, false };

#define COLUMNS                                                                                                       \
	"j.id, j.user_id, j.kind, j.task, j.state, j.origin, j.model, j.provider_id, j.prompt, j.request, "           \
	"j.priority, j.count, j.done_count, j.attempt, j.not_before, j.depends_on, j.remote_id, j.error_slug, "       \
	"j.error_detail, j.notes, j.cost_micro_usd, j.character_id, j.conversation_id, j.message_id, j.board_id, "    \
	"j.webhook_url, j.version, j.created_at, j.started_at, j.finished_at, j.updated_at, j.place, j.lease_owner"

static void add_notes(struct atl_strs *notes, const struct atl_json *list)
{
	for (const struct atl_json *note = list && list->kind == ATL_JSON_ARRAY ? list->child : NULL; note; note = note->next)
		if (note->kind == ATL_JSON_STRING)
			notes->items[notes->count++] = note->string;
}

/* What is not an array of texts is no note. */
struct atl_strs atl_job_notes(const struct atl_json *request, const char *text, struct atl_arena *arena)
{
	const struct atl_json *prepared = atl_json_get(request, "notes");
	struct atl_strs notes = { NULL, 0 };
	struct atl_json *said = NULL;

	if (!atl_str_empty(text) && !atl_str_eq(text, "[]") && atl_json_parse(arena, text, strlen(text), &said, NULL) != ATL_OK)
		said = NULL;
	if (!prepared && !said)
		return notes;
	notes.items = ATL_ARENA_ARRAY(arena, const char *, (prepared ? prepared->count : 0) + (said ? said->count : 0) + 1);
	if (notes.items) {
		add_notes(&notes, prepared);
		add_notes(&notes, said);
	}
	return notes;
}

void atl_job_row_read(struct atl_rows *rows, struct atl_arena *arena, struct atl_job *out, struct atl_job_extra *extra)
{
	const char *request = atl_col_text(rows, 9, arena);
	struct atl_json *tree = NULL;

	if (request && atl_json_parse(arena, request, strlen(request), &tree, NULL) != ATL_OK)
		tree = NULL;
	*out = (struct atl_job){
		.id = atl_col_text(rows, 0, arena), .user_id = atl_col_text(rows, 1, arena),
		.kind = atl_col_text(rows, 2, arena), .task = atl_col_text(rows, 3, arena),
		.state = atl_col_text(rows, 4, arena), .origin = atl_col_text(rows, 5, arena),
		.model = atl_col_text(rows, 6, arena), .provider_id = atl_col_text(rows, 7, arena),
		.prompt = atl_col_text(rows, 8, arena), .request = tree, .priority = atl_col_int(rows, 10),
		.count = atl_col_int(rows, 11), .done_count = atl_col_int(rows, 12), .attempt = atl_col_int(rows, 13),
		.not_before = atl_col_int(rows, 14), .depends_on = atl_col_text(rows, 15, arena),
		.remote_id = atl_col_text(rows, 16, arena), .error_slug = atl_col_text(rows, 17, arena),
		.error_detail = atl_col_text(rows, 18, arena), .notes = atl_job_notes(tree, atl_col_text(rows, 19, arena), arena),
		.cost_micro_usd = atl_col_int(rows, 20), .character_id = atl_col_text(rows, 21, arena),
		.conversation_id = atl_col_text(rows, 22, arena), .message_id = atl_col_text(rows, 23, arena),
		.board_id = atl_col_text(rows, 24, arena), .webhook_url = atl_col_text(rows, 25, arena),
		.version = atl_col_int(rows, 26), .created_at = atl_col_int(rows, 27), .started_at = atl_col_int(rows, 28),
		.finished_at = atl_col_int(rows, 29), .updated_at = atl_col_int(rows, 30) };
	if (extra)
		*extra = (struct atl_job_extra){ .place = atl_col_num(rows, 31), .lease_owner = atl_col_text(rows, 32, arena) };
}

bool atl_job_is_ended(const struct atl_job *job)
{
	return atl_str_eq(job->state, "done") || atl_str_eq(job->state, "failed") || atl_str_eq(job->state, "cancelled");
}

struct active {
	const char *id;
	bool found;
};

static enum atl_err active_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct active *a = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT 1 FROM jobs WHERE id = ? AND state IN ('queued', 'leased', 'running')", "s", a->id);

	if (err)
		return err;
	a->found = atl_rows_next(rows, &err, info);
	if (a->found)
		atl_rows_close(rows);
	return err;
}

bool atl_job_is_active(struct atl_jobs *jobs, const char *id)
{
	struct active a = { .id = id };

	return atl_db_read(jobs->app->db, active_fn, &a, NULL) != ATL_OK || a.found;
}

static enum atl_err add_assets(struct atl_conn *conn, struct atl_arena *arena, struct atl_job *job,
			       struct atl_errinfo *info)
{
	return job->done_count > 0 ? atl_asset_of_job(conn, arena, job->id, &job->assets, info) : ATL_OK;
}

enum atl_err atl_job_row_get(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
			     struct atl_job *ret, struct atl_job_extra *extra, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	struct atl_job job;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM jobs j WHERE j.id = ?", "s", id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such job.");
	atl_job_row_read(rows, arena, &job, extra);
	atl_rows_close(rows);
	if (!job.user_id)
		return atl_fail(info, ATL_ERR_NOMEM, "read a job");
	if (user_id && !atl_str_eq(job.user_id, user_id))
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such job.");
	err = add_assets(conn, arena, &job, info);
	if (!err)
		*ret = job;
	return err;
}

/* The inputs that a request names: while the job is there, they are (asset_collect.c). */
static enum atl_err name_inputs(struct atl_conn *conn, const char *job_id, const struct atl_json *value, struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;

	if (value->kind == ATL_JSON_STRING && atl_id_valid(value->string, "ast"))
		return atl_exec(conn, info,
				"INSERT INTO job_assets (job_id, asset_id) SELECT ?, id FROM assets WHERE id = ? AND library = 0 "
				"ON CONFLICT DO NOTHING",
				"ss", job_id, value->string);
	if (value->kind == ATL_JSON_ARRAY || value->kind == ATL_JSON_OBJECT)
		for (const struct atl_json *at = value->child; at && !err; at = at->next)
			err = name_inputs(conn, job_id, at, info);
	return err;
}

enum atl_err atl_job_row_insert(struct atl_conn *conn, const struct atl_job *job, const char *request, double place,
				struct atl_errinfo *info)
{
	enum atl_err err = atl_exec(conn, info,
			"INSERT INTO jobs (id, user_id, kind, task, state, origin, model, provider_id, prompt, request, "
			"priority, place, count, done_count, not_before, depends_on, attempt, notes, cost_micro_usd, "
			"character_id, conversation_id, message_id, board_id, webhook_url, version, created_at, updated_at) "
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, '[]', 0, ?, ?, ?, ?, ?, 1, ?, ?)",
			"ssssssssssidit" "s" "sssss" "ii", job->id, job->user_id, job->kind, job->task, job->state, job->origin,
			job->model, job->provider_id, job->prompt, request, job->priority, place, job->count, job->not_before,
			job->depends_on, job->character_id, job->conversation_id, job->message_id, job->board_id,
			job->webhook_url, job->created_at, job->updated_at);

	return !err && job->request ? name_inputs(conn, job->id, job->request, info) : err;
}

/* ---- lists ---- */

#define LIST "SELECT " COLUMNS " FROM jobs j WHERE j.user_id = ? AND (? = '' OR j.id < ?) "
#define LIST_END                                                                                                  \
	" AND (? = '' OR j.task = ?) AND (? = '' OR j.model = ?) AND (? = '' OR j.character_id = ?) "             \
	"AND (? = '' OR j.conversation_id = ?) ORDER BY j.id DESC LIMIT ?"

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static enum atl_err list_query(struct atl_conn *conn, const char *user_id, const struct atl_job_filter *filter,
			       struct atl_rows **ret, struct atl_errinfo *info)
{
	const char *after = or_empty(filter->after_id), *task = or_empty(filter->task), *model = or_empty(filter->model),
		   *character = or_empty(filter->character_id), *conversation = or_empty(filter->conversation_id);
	const char *sql, *state = or_empty(filter->state);

	if (atl_str_eq(state, "active"))
		sql = LIST "AND j.state IN ('queued', 'leased', 'running') AND ? <> ''" LIST_END;
	else if (atl_str_eq(state, "ended"))
		sql = LIST "AND j.state IN ('done', 'failed', 'cancelled') AND ? <> ''" LIST_END;
	else if (*state)
		sql = LIST "AND j.state = ?" LIST_END;
	else
		sql = LIST "AND ? = ''" LIST_END;
	return atl_query(conn, ret, info, sql, "ssss" "ssssssss" "i", user_id, after, after, state, task, task, model, model,
			 character, character, conversation, conversation, filter->limit + 1);
}

enum atl_err atl_job_row_list(struct atl_conn *conn, struct atl_arena *arena, const char *user_id,
			      const struct atl_job_filter *filter, struct atl_job **ret, size_t *ret_count,
			      struct atl_errinfo *info)
{
	struct atl_job *items = ATL_ARENA_ARRAY(arena, struct atl_job, (size_t)filter->limit + 1);
	struct atl_rows *rows;
	size_t count = 0;
	enum atl_err err = items ? list_query(conn, user_id, filter, &rows, info) :
				   atl_fail(info, ATL_ERR_NOMEM, "list jobs");

	if (err)
		return err;
	while (atl_rows_next(rows, &err, info))
		if (count <= (size_t)filter->limit)
			atl_job_row_read(rows, arena, &items[count++], NULL);
	for (size_t i = 0; !err && i < count; i++)
		err = add_assets(conn, arena, &items[i], info);
	if (err)
		return err;
	*ret = items;
	*ret_count = count;
	return ATL_OK;
}
