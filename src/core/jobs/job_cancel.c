/* job_cancel.c - cancelling: one, some, all of a user's.
 *
 * The end is written at once; the run is told by a flag (job_end.c). A run at a service that cannot be told to stop
 * leaves a note that it may still be charged: its kind knows, and is asked before the transaction, since it reads.
 */
#include <string.h>

#include "base/buf.h"
#include "core/jobs/job_int.h"

#define CANCEL_BATCH 500
#define RUNNING_MAX 200 /* of a user: more than run anywhere at a time */

/* What is to be said of the user's jobs that run, by id. */
struct notes {
	struct atl_job *jobs;
	const char **texts; /* JSON arrays; NULL: nothing */
	size_t count;
};

static const char *note_of(struct atl_app *app, struct atl_arena *arena, const struct atl_job *job)
{
	const struct atl_job_kind *kind = atl_jobs_kind(app->jobs, job->kind);
	const char *note = kind && kind->cancel_note ? kind->cancel_note(app, arena, job) : NULL, *text = NULL;
	struct atl_buf out;
	struct atl_jw w;

	if (!note)
		return NULL;
	atl_buf_init(&out, ATL_JOB_NOTE_MAX * 6 + 4);
	atl_jw_init(&w, &out);
	atl_jw_array(&w, NULL);
	atl_jw_str(&w, NULL, note);
	atl_jw_end_array(&w);
	if (!out.failed)
		text = atl_arena_strndup(arena, out.data, out.length);
	atl_buf_finish(&out);
	return text;
}

struct running_jobs {
	struct atl_arena *arena;
	const char *user_id;
	struct notes *notes;
};

static enum atl_err running_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_job_filter filter = { .state = atl_job_state_name(ATL_JOB_RUNNING), .limit = RUNNING_MAX };
	struct running_jobs *r = arg;

	return atl_job_row_list(conn, r->arena, r->user_id, &filter, &r->notes->jobs, &r->notes->count, info);
}

static enum atl_err read_notes(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct notes *ret,
			       struct atl_errinfo *info)
{
	struct running_jobs r = { arena, user_id, ret };
	enum atl_err err = atl_db_read(app->db, running_fn, &r, info);

	if (err)
		return err;
	ret->texts = ATL_ARENA_ARRAY(arena, const char *, ret->count + 1);
	if (!ret->texts)
		return atl_fail(info, ATL_ERR_NOMEM, "cancel jobs");
	for (size_t i = 0; i < ret->count; i++)
		ret->texts[i] = note_of(app, arena, &ret->jobs[i]);
	return ATL_OK;
}

static const char *find(const struct notes *notes, const char *id)
{
	for (size_t i = 0; i < notes->count; i++)
		if (strcmp(notes->jobs[i].id, id) == 0)
			return notes->texts[i];
	return NULL;
}

enum atl_err atl_job_cancel(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			    struct atl_job *ret, struct atl_errinfo *info)
{
	struct atl_job_end end = { .arena = arena, .id = id, .user_id = user_id, .event = ATL_JOB_CANCEL,
				   .cost_micro_usd = -1 };
	struct notes notes;
	enum atl_err err = read_notes(app, arena, user_id, &notes, info);

	if (err)
		return err;
	end.notes = find(&notes, id);
	err = atl_db_tx(app->db, atl_job_end_fn, &end, info);
	if (err)
		return err;
	atl_job_end_tell(app->jobs, &end);
	*ret = end.jobs[0];
	return ATL_OK;
}

struct cancel_all {
	struct atl_arena *arena;
	const char *user_id;
	struct notes notes;
	struct atl_job_end *ends;
	size_t count;
};

static enum atl_err cancel_all_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct cancel_all *c = arg;
	struct atl_rows *rows;
	enum atl_err err;

	c->count = 0;
	c->ends = ATL_ARENA_ARRAY(c->arena, struct atl_job_end, CANCEL_BATCH);
	if (!c->ends)
		return atl_fail(info, ATL_ERR_NOMEM, "cancel jobs");
	/* the newest first: what waits for another one is cancelled before it would fail with it */
	err = atl_query(conn, &rows, info,
			"SELECT id FROM jobs WHERE user_id = ? AND state IN ('queued', 'leased', 'running') "
			"ORDER BY id DESC LIMIT 500",
			"s", c->user_id);
	while (!err && atl_rows_next(rows, &err, info))
		if (c->count < CANCEL_BATCH)
			c->ends[c->count++] = (struct atl_job_end){ .arena = c->arena, .id = atl_col_text(rows, 0, c->arena),
								    .event = ATL_JOB_CANCEL, .cost_micro_usd = -1 };
	for (size_t i = 0; !err && i < c->count; i++) {
		c->ends[i].notes = find(&c->notes, c->ends[i].id);
		err = atl_job_end_fn(conn, &c->ends[i], info);
	}
	return err;
}

enum atl_err atl_job_cancel_all(struct atl_app *app, const char *user_id, int64_t *ret_count, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct cancel_all c = { .arena = &arena, .user_id = user_id };
	int64_t count = 0;
	enum atl_err err;

	atl_arena_init(&arena, (size_t)1 << 30);
	do {
		atl_arena_reset(&arena);
		err = read_notes(app, &arena, user_id, &c.notes, info);
		if (!err)
			err = atl_db_tx(app->db, cancel_all_fn, &c, info);
		for (size_t i = 0; !err && i < c.count; i++)
			atl_job_end_tell(app->jobs, &c.ends[i]);
		count += err ? 0 : (int64_t)c.count;
	} while (!err && c.count == CANCEL_BATCH);
	atl_arena_finish(&arena);
	if (!err)
		*ret_count = count;
	return err;
}

struct cancel_many {
	const char *const *ids;
	struct atl_job_end *ends; /* of the same count; those that were ended by it come first */
	size_t count, ended;
	struct atl_arena *arena;
	const char *user_id;
	struct notes notes;
};

static enum atl_err cancel_many_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct cancel_many *c = arg;

	c->ended = 0;
	for (size_t i = c->count; i-- > 0;) { /* the newest first, as above */
		struct atl_job_end *end = &c->ends[c->ended];
		enum atl_err err;

		*end = (struct atl_job_end){ .arena = c->arena, .id = c->ids[i], .user_id = c->user_id, .event = ATL_JOB_CANCEL,
					     .notes = find(&c->notes, c->ids[i]), .cost_micro_usd = -1 };
		err = atl_job_end_fn(conn, end, info);
		if (!err)
			c->ended++;
		else if (err != ATL_ERR_CONFLICT && err != ATL_ERR_NOT_FOUND)
			return err;
	}
	return ATL_OK;
}

enum atl_err atl_job_cancel_many(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *const *ids,
				 size_t count, int64_t *ret_count, struct atl_errinfo *info)
{
	struct cancel_many c = { .arena = arena, .user_id = user_id, .ids = ids, .count = count,
				 .ends = ATL_ARENA_ARRAY(arena, struct atl_job_end, count + 1) };
	enum atl_err err = c.ends ? read_notes(app, arena, user_id, &c.notes, info) : atl_fail(info, ATL_ERR_NOMEM, "cancel jobs");

	if (!err)
		err = atl_db_tx(app->db, cancel_many_fn, &c, info);
	if (err)
		return err;
	for (size_t i = 0; i < c.ended; i++)
		atl_job_end_tell(app->jobs, &c.ends[i]);
	*ret_count = (int64_t)c.ended;
	return ATL_OK;
}
