/* grid.c - see grid.h. The axes are read and set in grid_axis.c. */
#include "core/jobs/grid.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/str.h"
#include "core/chat/prompt_history.h"
#include "core/pictures/picture_request.h"
#include "core/server/idempotency.h"

#define LABEL_CUT 60 /* bytes of a label in a sentence */

static const char *const AXIS_NAMES[] = { "x", "y", "z" };

/* ---- the API's form ---- */

static const struct atl_json_field AXIS_FIELDS[] = {
	{ "axis", ATL_JT_STR, offsetof(struct atl_grid_axis_out, axis), ATL_JF_REQUIRED, .doc = "x, y, z" },
	{ "parameter", ATL_JT_STR, offsetof(struct atl_grid_axis_out, parameter), ATL_JF_REQUIRED },
	{ "lora", ATL_JT_STR, offsetof(struct atl_grid_axis_out, lora), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "labels", ATL_JT_STRS, offsetof(struct atl_grid_axis_out, labels), ATL_JF_REQUIRED, .doc = "a value each" },
};
static const struct atl_json_desc AXIS_DESC = { "GridAxis", "What a grid varies along one direction.", AXIS_FIELDS,
	ATL_COUNT(AXIS_FIELDS), sizeof(struct atl_grid_axis_out), ATL_JSON_NO_PRESENT, false };

#define CELL(member) offsetof(struct atl_grid_cell, member)
static const struct atl_json_field CELL_FIELDS[] = {
	{ "x", ATL_JT_INT, CELL(x), ATL_JF_REQUIRED, .doc = "index of the axis' label" },
	{ "y", ATL_JT_INT, CELL(y), ATL_JF_REQUIRED },
	{ "z", ATL_JT_INT, CELL(z), ATL_JF_REQUIRED },
	{ "job_id", ATL_JT_STR, CELL(job_id), ATL_JF_REQUIRED },
	{ "state", ATL_JT_STR, CELL(state), ATL_JF_REQUIRED, .doc = "of its job; gone when there is none any more" },
	{ "error_detail", ATL_JT_STR, CELL(error_detail), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "assets", ATL_JT_LIST, CELL(assets), ATL_JF_REQUIRED, .sub = &atl_asset_desc },
};
static const struct atl_json_desc CELL_DESC = { "GridCell", "One picture of a grid: an ordinary job.", CELL_FIELDS,
	ATL_COUNT(CELL_FIELDS), sizeof(struct atl_grid_cell), ATL_JSON_NO_PRESENT, false };

#define OFF(member) offsetof(struct atl_grid, member)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "prompt", ATL_JT_STR, OFF(prompt), ATL_JF_REQUIRED },
	{ "model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED, .doc = "of the first cell" },
	{ "state", ATL_JT_STR, OFF(state), ATL_JF_REQUIRED, .doc = "active, ended" },
	{ "axes", ATL_JT_LIST, OFF(axes), ATL_JF_REQUIRED, .sub = &AXIS_DESC },
	{ "cells", ATL_JT_LIST, OFF(cells), ATL_JF_REQUIRED, .sub = &CELL_DESC, .doc = "empty in lists" },
	{ "count", ATL_JT_INT, OFF(count), ATL_JF_REQUIRED, .doc = "of cells" },
	{ "done_count", ATL_JT_INT, OFF(done_count), ATL_JF_REQUIRED },
	{ "failed_count", ATL_JT_INT, OFF(failed_count), ATL_JF_REQUIRED, .doc = "failed, cancelled or gone" },
	{ "cover_id", ATL_JT_STR, OFF(cover_id), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "its first picture" },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_grid_desc = { "Grid", "Pictures that differ along up to three axes.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_grid), ATL_JSON_NO_PRESENT, false };

/* As it is kept in the column `axes`. */
static const struct atl_json_field KEPT_FIELDS[] = {
	{ "axes", ATL_JT_LIST, 0, ATL_JF_REQUIRED, .sub = &AXIS_DESC },
};
static const struct atl_json_desc KEPT_DESC = { "GridAxes", NULL, KEPT_FIELDS, ATL_COUNT(KEPT_FIELDS),
	sizeof(struct atl_items), ATL_JSON_NO_PRESENT, true };

/* ---- creating ---- */

struct create {
	struct atl_app *app;
	const struct atl_identity *who;
	struct atl_arena *arena;
	struct atl_errinfo *info;
	const char *origin;
	struct atl_grid_axis axes[3]; /* count 0: not there */
	size_t count;		      /* cells */
	struct atl_picture_ask base;
	struct atl_job_new *jobs;
	const char *id, *axes_text;
	int64_t now;
};

static size_t length_of(const struct atl_grid_axis *axis)
{
	return axis->count ? axis->count : 1;
}

/* Cells go along x, then y, then z. */
static void place(const struct create *c, size_t cell, size_t at[3])
{
	for (size_t i = 0; i < 3; i++) {
		at[i] = cell % length_of(&c->axes[i]);
		cell /= length_of(&c->axes[i]);
	}
}

static int64_t random_seed(void)
{
	uint32_t seed;

	atl_random(&seed, sizeof(seed));
	return seed;
}

/* A random seed on an axis is chosen now: the label says which. */
static enum atl_err choose_seeds(struct create *c, struct atl_grid_axis *axis)
{
	for (size_t i = 0; i < axis->count; i++) {
		struct atl_grid_value *value = &axis->values[i];

		if (!atl_str_eq(axis->parameter, "seed") || value->integer >= 0)
			continue;
		value->integer = random_seed();
		value->label = atl_arena_printf(c->arena, "%lld", (long long)value->integer);
		if (!value->label)
			return atl_fail(c->info, ATL_ERR_NOMEM, "grid");
	}
	return ATL_OK;
}

static enum atl_err read_axes(struct create *c, const struct atl_grid_ask *ask)
{
	enum atl_err err = ATL_OK;
	bool any = false;

	c->count = 1;
	for (size_t i = 0; i < 3 && !err; i++) {
		if (!ask->axes[i])
			continue;
		any = true;
		err = atl_grid_axis_read(c->arena, AXIS_NAMES[i], ask->axes[i], &c->axes[i], c->info);
		if (!err)
			err = choose_seeds(c, &c->axes[i]);
		c->count *= length_of(&c->axes[i]);
		for (size_t j = 0; j < i && !err; j++)
			if (atl_str_eq(c->axes[j].parameter, c->axes[i].parameter) && !atl_str_eq(c->axes[i].parameter, "prompt") &&
			    !atl_str_eq(c->axes[i].parameter, "lora_weight"))
				err = atl_fail_field(c->info, ATL_ERR_INVALID, AXIS_NAMES[i], "Two axes have the parameter %s.",
						     c->axes[i].parameter);
	}
	if (!err && !any)
		err = atl_fail_field(c->info, ATL_ERR_INVALID, "x", "A grid needs at least one axis.");
	if (!err && c->count > ATL_GRID_CELLS_MAX)
		err = atl_fail_field(c->info, ATL_ERR_INVALID, "x", "%zu x %zu x %zu are %zu pictures; a grid has %d at most.",
				     length_of(&c->axes[0]), length_of(&c->axes[1]), length_of(&c->axes[2]), c->count,
				     ATL_GRID_CELLS_MAX);
	if (!err && c->base.count != ATL_IMAGE_UNSET && c->base.count != 1)
		err = atl_fail_field(c->info, ATL_ERR_INVALID, "request.count", "A grid makes one picture for each cell.");
	return err;
}

/* "steps 20, sampler euler": how a cell is called in a sentence. */
static const char *name_of(const struct create *c, const size_t at[3])
{
	const char *name = "";

	for (size_t i = 0; i < 3 && name; i++) {
		const struct atl_grid_axis *axis = &c->axes[i];
		const char *label = axis->count ? axis->values[at[i]].label : NULL;

		if (label)
			name = atl_arena_printf(c->arena, "%s%s%s %.*s", name, *name ? ", " : "", axis->parameter,
						(int)atl_utf8_cut(label, strlen(label), LABEL_CUT), label);
	}
	return name ? name : "?";
}

/* What the first cell's seed came to (a look may have one of its own) is the seed of all. */
static enum atl_err take_seed(struct create *c)
{
	struct atl_json *request;
	enum atl_err err = atl_json_parse(c->arena, c->jobs[0].request, strlen(c->jobs[0].request), &request, c->info);

	if (!err)
		c->base.seed = atl_json_int(request, "seed", c->base.seed);
	return err;
}

static enum atl_err prepare_cell(struct create *c, size_t cell)
{
	struct atl_picture_ask ask = c->base;
	size_t at[3];
	enum atl_err err = ATL_OK;

	place(c, cell, at);
	for (size_t i = 0; i < 3 && !err; i++)
		if (c->axes[i].count)
			err = atl_grid_axis_apply(c->arena, AXIS_NAMES[i], &c->axes[i], at[i], &ask, c->info);
	if (err)
		return err;
	err = atl_picture_prepare(c->app, c->who, c->arena, ATL_ENTRY_PICTURE, c->origin, &ask, &c->jobs[cell], c->info);
	if (!err)
		err = atl_picture_check_service(c->app, c->arena, c->who->user_id, &c->jobs[cell], c->info);
	if (err)
		return atl_fail_context(c->info, err, "The picture with %s", name_of(c, at));
	return cell == 0 ? take_seed(c) : ATL_OK;
}

static enum atl_err write_axes(struct create *c)
{
	struct atl_grid_axis_out out[3];
	struct atl_items items = { out, 0 };
	struct atl_buf buf;
	struct atl_jw w;
	enum atl_err err;

	for (size_t i = 0; i < 3; i++) {
		const struct atl_grid_axis *axis = &c->axes[i];
		const char **labels = ATL_ARENA_ARRAY(c->arena, const char *, axis->count + 1);

		if (!labels)
			return atl_fail(c->info, ATL_ERR_NOMEM, "grid");
		for (size_t j = 0; j < axis->count; j++)
			labels[j] = axis->values[j].label;
		if (axis->count)
			out[items.count++] = (struct atl_grid_axis_out){ AXIS_NAMES[i], axis->parameter, axis->lora,
									 { labels, axis->count } };
	}
	atl_buf_init(&buf, ATL_JOB_REQUEST_MAX * 4);
	atl_jw_init(&w, &buf);
	atl_json_encode(&w, NULL, &KEPT_DESC, &items);
	err = atl_buf_err(&buf, c->info);
	c->axes_text = err ? NULL : atl_arena_strndup(c->arena, buf.data, buf.length);
	atl_buf_finish(&buf);
	return err || c->axes_text ? err : atl_fail(c->info, ATL_ERR_NOMEM, "grid");
}

/* In the transaction that inserts the jobs. */
static enum atl_err insert_in(struct atl_conn *conn, const struct atl_job *jobs, size_t count, void *arg,
			      struct atl_errinfo *info)
{
	const struct create *c = arg;
	enum atl_err err = atl_exec(conn, info,
				    "INSERT INTO grids (id, user_id, prompt, model, axes, cell_count, created_at) "
				    "VALUES (?, ?, ?, ?, ?, ?, ?)",
				    "sssssii", c->id, c->who->user_id, c->base.prompt ? c->base.prompt : "", jobs[0].model,
				    c->axes_text, (int64_t)count, c->now);

	for (size_t i = 0; i < count && !err; i++) {
		size_t at[3];

		place(c, i, at);
		err = atl_exec(conn, info, "INSERT INTO grid_cells (grid_id, x, y, z, job_id) VALUES (?, ?, ?, ?, ?)", "siiis",
			       c->id, (int64_t)at[0], (int64_t)at[1], (int64_t)at[2], jobs[i].id);
	}
	return err ? err : atl_idempotency_made_in(conn, c->who->user_id, c->who->once_key, c->id, info);
}

enum atl_err atl_grid_create(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *origin,
			     const struct atl_grid_ask *ask, struct atl_grid *ret, struct atl_errinfo *info)
{
	struct create c = { .app = app, .who = who, .arena = arena, .info = info, .origin = origin, .base = *ask->request,
			    .now = atl_now_ms() };
	struct atl_job *jobs;
	char id[ATL_ID_SIZE];
	enum atl_err err;

	if (who->once_made)
		return atl_grid_get(app, arena, who->user_id, who->once_made, ret, info);
	if (c.base.subseed == -1)
		c.base.subseed = random_seed();
	atl_id_new("grd", id);
	c.id = atl_arena_strdup(arena, id);
	err = c.id ? read_axes(&c, ask) : atl_fail(info, ATL_ERR_NOMEM, "grid");
	if (!err)
		c.jobs = ATL_ARENA_ARRAY(arena, struct atl_job_new, c.count);
	if (!err && !c.jobs)
		err = atl_fail(info, ATL_ERR_NOMEM, "grid");
	for (size_t i = 0; i < c.count && !err; i++)
		err = prepare_cell(&c, i);
	if (!err)
		err = write_axes(&c);
	if (err)
		return err;
	if (!atl_str_empty(c.base.prompt))
		atl_prompt_history_add(app, who->user_id, c.base.prompt, c.base.negative_prompt ? c.base.negative_prompt : "");
	err = atl_job_submit_many(app, who, arena, c.jobs, c.count, insert_in, &c, &jobs, info);
	return err ? err : atl_grid_get(app, arena, who->user_id, c.id, ret, info);
}

/* ---- reading ---- */

#define SELECT                                                                                                        \
	"SELECT g.id, g.user_id, g.prompt, g.model, g.axes, g.cell_count, g.created_at, "                             \
	"(SELECT count(*) FROM grid_cells c JOIN jobs j ON j.id = c.job_id WHERE c.grid_id = g.id "                   \
	"AND j.state = 'done'), "                                                                                     \
	"(SELECT count(*) FROM grid_cells c JOIN jobs j ON j.id = c.job_id WHERE c.grid_id = g.id "                   \
	"AND j.state IN ('queued', 'leased', 'running')), "                                                           \
	"(SELECT a.id FROM grid_cells c JOIN assets a ON a.job_id = c.job_id WHERE c.grid_id = g.id "                 \
	"AND a.deleted_at IS NULL ORDER BY c.z, c.y, c.x LIMIT 1) "                                                   \
	"FROM grids g "

struct read {
	struct atl_arena *arena;
	const char *user_id, *id; /* id: the grid, or the one before the list */
	int64_t limit;
	struct atl_grid *items;
	size_t count;
	struct atl_grid_cell *cells;
	const char **job_ids;
};

static enum atl_err read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_grid *out, struct atl_errinfo *info)
{
	const char *axes = atl_col_text(rows, 4, arena);
	struct atl_json *tree;
	int64_t active = atl_col_int(rows, 8);

	*out = (struct atl_grid){ .id = atl_col_text(rows, 0, arena), .user_id = atl_col_text(rows, 1, arena),
				  .prompt = atl_col_text(rows, 2, arena), .model = atl_col_text(rows, 3, arena),
				  .state = active ? "active" : "ended", .count = atl_col_int(rows, 5),
				  .created_at = atl_col_int(rows, 6), .done_count = atl_col_int(rows, 7),
				  .cover_id = atl_col_text(rows, 9, arena) };
	out->failed_count = out->count - out->done_count - active;
	if (!axes)
		return atl_fail(info, ATL_ERR_NOMEM, "read a grid");
	if (atl_json_parse(arena, axes, strlen(axes), &tree, info) != ATL_OK)
		return ATL_ERR_DB;
	return atl_json_decode(arena, tree, &KEPT_DESC, &out->axes, info);
}

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct read *r = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     SELECT "WHERE g.user_id = ? AND (? = '' OR g.id < ?) ORDER BY g.id DESC LIMIT ?", "sssi",
				     r->user_id, r->id, r->id, r->limit + 1);

	r->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		if (r->count <= (size_t)r->limit) {
			err = read_row(rows, r->arena, &r->items[r->count++], info);
			if (err)
				atl_rows_close(rows);
		}
	return err;
}

enum atl_err atl_grid_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *after_id,
			   int64_t limit, struct atl_grid **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct read r = { .arena = arena, .user_id = user_id, .id = after_id ? after_id : "", .limit = limit,
			  .items = ATL_ARENA_ARRAY(arena, struct atl_grid, (size_t)limit + 1) };
	enum atl_err err = r.items ? atl_db_read(app->db, list_fn, &r, info) : atl_fail(info, ATL_ERR_NOMEM, "list grids");

	if (err)
		return err;
	*ret = r.items;
	*ret_count = r.count;
	return ATL_OK;
}

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct read *r = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, SELECT "WHERE g.id = ? AND g.user_id = ?", "ss", r->id, r->user_id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such grid.");
	err = read_row(rows, r->arena, r->items, info);
	atl_rows_close(rows);
	if (err)
		return err;
	r->cells = ATL_ARENA_ARRAY(r->arena, struct atl_grid_cell, (size_t)r->items->count + 1);
	r->job_ids = ATL_ARENA_ARRAY(r->arena, const char *, (size_t)r->items->count + 1);
	if (!r->cells || !r->job_ids)
		return atl_fail(info, ATL_ERR_NOMEM, "read a grid");
	r->count = 0;
	err = atl_query(conn, &rows, info, "SELECT x, y, z, job_id FROM grid_cells WHERE grid_id = ? ORDER BY z, y, x", "s", r->id);
	while (!err && atl_rows_next(rows, &err, info))
		if (r->count < (size_t)r->items->count) {
			const char *job_id = atl_col_text(rows, 3, r->arena);

			r->job_ids[r->count] = job_id ? job_id : "";
			r->cells[r->count++] = (struct atl_grid_cell){ .x = atl_col_int(rows, 0), .y = atl_col_int(rows, 1),
								       .z = atl_col_int(rows, 2), .job_id = job_id };
		}
	return err;
}

enum atl_err atl_grid_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			  struct atl_grid *ret, struct atl_errinfo *info)
{
	struct atl_grid grid;
	struct read r = { .arena = arena, .user_id = user_id, .id = id, .items = &grid };
	struct atl_job *jobs;
	enum atl_err err = atl_db_read(app->db, get_fn, &r, info);

	if (!err)
		err = atl_job_get_many(app, arena, user_id, r.job_ids, r.count, &jobs, info);
	for (size_t i = 0; !err && i < r.count; i++) {
		r.cells[i].state = jobs[i].id ? jobs[i].state : "gone";
		r.cells[i].error_detail = jobs[i].error_detail;
		r.cells[i].assets = jobs[i].assets;
	}
	if (err)
		return err;
	grid.cells = (struct atl_items){ r.cells, r.count };
	*ret = grid;
	return ATL_OK;
}

/* ---- once more ---- */

struct again {
	const struct atl_identity *who;
	const char *id; /* of the grid */
	const char **old_ids; /* of the jobs whose places the new ones take, in their order */
};

static enum atl_err replace_in(struct atl_conn *conn, const struct atl_job *jobs, size_t count, void *arg,
			       struct atl_errinfo *info)
{
	const struct again *a = arg;
	int64_t changed;
	enum atl_err err = ATL_OK;

	for (size_t i = 0; i < count && !err; i++) {
		err = atl_exec_count(conn, &changed, info, "UPDATE grid_cells SET job_id = ? WHERE grid_id = ? AND job_id = ?", "sss",
				     jobs[i].id, a->id, a->old_ids[i]);
		if (!err && changed != 1)
			err = atl_fail(info, ATL_ERR_CONFLICT, "The grid was changed meanwhile.");
	}
	return err ? err : atl_idempotency_made_in(conn, a->who->user_id, a->who->once_key, a->id, info);
}

enum atl_err atl_grid_retry(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			    struct atl_grid *ret, struct atl_errinfo *info)
{
	struct atl_grid grid;
	struct read r = { .arena = arena, .user_id = who->user_id, .id = id, .items = &grid };
	struct again a = { .who = who, .id = id };
	struct atl_job_new *new = NULL;
	struct atl_job *jobs, *made;
	size_t count = 0;
	enum atl_err err;

	if (who->once_made)
		return atl_grid_get(app, arena, who->user_id, who->once_made, ret, info);
	err = atl_db_read(app->db, get_fn, &r, info);
	if (!err)
		err = atl_job_get_many(app, arena, who->user_id, r.job_ids, r.count, &jobs, info);
	if (err)
		return err;
	new = ATL_ARENA_ARRAY(arena, struct atl_job_new, r.count + 1);
	a.old_ids = ATL_ARENA_ARRAY(arena, const char *, r.count + 1);
	if (!new || !a.old_ids)
		return atl_fail(info, ATL_ERR_NOMEM, "retry a grid");
	for (size_t i = 0; i < r.count && !err; i++)
		if (jobs[i].id && (atl_str_eq(jobs[i].state, "failed") || atl_str_eq(jobs[i].state, "cancelled"))) {
			a.old_ids[count] = jobs[i].id;
			err = atl_job_again(arena, &jobs[i], &new[count++], info);
		}
	if (!err && !count)
		err = atl_fail(info, ATL_ERR_CONFLICT, "No picture of this grid has failed.");
	if (!err)
		err = atl_job_submit_many(app, who, arena, new, count, replace_in, &a, &made, info);
	return err ? err : atl_grid_get(app, arena, who->user_id, id, ret, info);
}

/* ---- ending ---- */

static enum atl_err cancel(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			   struct atl_errinfo *info)
{
	struct atl_grid grid;
	struct read r = { .arena = arena, .user_id = user_id, .id = id, .items = &grid };
	int64_t cancelled;
	enum atl_err err = atl_db_read(app->db, get_fn, &r, info);

	return err ? err : atl_job_cancel_many(app, arena, user_id, r.job_ids, r.count, &cancelled, info);
}

enum atl_err atl_grid_cancel(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			     struct atl_grid *ret, struct atl_errinfo *info)
{
	enum atl_err err = cancel(app, arena, user_id, id, info);

	return err ? err : atl_grid_get(app, arena, user_id, id, ret, info);
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct read *r = arg;

	return atl_exec(conn, info, "DELETE FROM grids WHERE id = ? AND user_id = ?", "ss", r->id, r->user_id);
}

enum atl_err atl_grid_delete(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			     struct atl_errinfo *info)
{
	struct read r = { .user_id = user_id, .id = id };
	enum atl_err err = cancel(app, arena, user_id, id, info);

	return err ? err : atl_db_tx(app->db, delete_fn, &r, info);
}
