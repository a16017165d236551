/* grid.h - X/Y/Z grids: one request for a picture, varied along up to three axes; each cell is an ordinary job.
 *
 * Creating one prepares every cell as if it were asked for alone (values, policy, service), and refuses all of them when
 * one is refused, naming it. Then the grid, its cells and their jobs are written in one transaction: there is never half
 * a grid. A random seed is chosen once for all cells, unless the seed is an axis.
 *
 * A grid only refers to its jobs: what becomes of them is read when it is asked for. It goes with a DELETE; the
 * pictures stay in the library.
 *
 * Threads:   blocking: pool threads. Ownership: the given arena.
 * Limits:    ATL_GRID_CELLS_MAX cells, one picture each.
 */
#ifndef ATL_CORE_GRID_H
#define ATL_CORE_GRID_H

#include "core/jobs/grid_axis.h"

struct atl_grid_axis_out { /* the API's GridAxis */
	const char *axis;  /* "x", "y", "z" */
	const char *parameter;
	const char *lora; /* NULL */
	struct atl_strs labels;
};

struct atl_grid_cell { /* the API's GridCell */
	int64_t x, y, z;
	const char *job_id;
	const char *state;	  /* of its job; "gone" when that is no more */
	const char *error_detail; /* NULL */
	struct atl_items assets;  /* struct atl_asset */
};

struct atl_grid { /* the API's Grid */
	const char *id, *user_id, *prompt, *model;
	const char *state;	/* "active" while cells wait or run, else "ended" */
	struct atl_items axes;	/* struct atl_grid_axis_out, by axis; one or more */
	struct atl_items cells; /* struct atl_grid_cell, by z, y, x; empty in lists */
	int64_t count, done_count, failed_count; /* cells; failed: also cancelled and gone */
	const char *cover_id;	/* an asset; NULL: none yet */
	int64_t created_at;
};
extern const struct atl_json_desc atl_grid_desc;

struct atl_grid_ask {
	const struct atl_picture_ask *request;
	const struct atl_grid_axis_in *axes[3]; /* x, y, z; NULL: not there. At least one */
};

/* Durable when it returns. Errors: INVALID (an axis, too many cells), and what atl_picture_prepare() says of a cell. */
enum atl_err atl_grid_create(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *origin,
			     const struct atl_grid_ask *ask, struct atl_grid *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_grid_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			  struct atl_grid *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Newest first, without their cells; up to limit + 1 of them, so that the caller sees whether there are more. */
enum atl_err atl_grid_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *after_id,
			   int64_t limit, struct atl_grid **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* Cancels what waits and runs of it. */
enum atl_err atl_grid_cancel(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			     struct atl_grid *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Asks once more for the cells that failed or were cancelled: new jobs take their places. CONFLICT: there are none. */
enum atl_err atl_grid_retry(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			    struct atl_grid *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Cancels likewise, and forgets the grid. */
enum atl_err atl_grid_delete(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			     struct atl_errinfo *info) ATL_MUST_USE;

#endif
