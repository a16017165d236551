/* Grids over the API, made by the scripted picture service. */
#include "support.h"

#include "base/str.h"
#include "core/jobs/job.h"

static const char *provider;

static struct atl_req *make(struct site *site, const struct person *who, const char *request, const char *axes)
{
	return ask(site, who, "POST /api/v1/grids",
		   fmt("{\"request\":{\"model\":\"%s/picture\",\"width\":64,\"height\":64,\"steps\":4%s},%s}", provider, request, axes));
}

static int64_t rows_of(struct site *site, const char *table)
{
	return number_of(site->app.db, fmt("SELECT count(*) FROM %s", table));
}

static void wait_ended(struct site *site, const struct atl_json *cells)
{
	for (const struct atl_json *cell = cells->child; cell; cell = cell->next) {
		struct atl_errinfo info = { 0 };
		struct atl_arena arena;
		struct atl_job job;

		atl_arena_init(&arena, 0);
		assert_ok(atl_job_wait(&site->app, &arena, owner.id, atl_json_str(cell, "job_id", ""), WAIT_MS, &job, &info), &info);
		if (!atl_str_eq(job.state, "done"))
			fail_msg("%s: %s", job.state, job.error_detail ? job.error_detail : "-");
		atl_arena_finish(&arena);
	}
}

/* Cells along x, then y, then z; one seed for all; their pictures stand in the grid. */
static void test_a_grid_is_made(void **state)
{
	struct site *site = *state;
	struct atl_req *req;
	const char *id, *seed = NULL;

	req = expect(make(site, &owner, ",\"prompt\":\"a cat\"",
			  "\"x\":{\"parameter\":\"steps\",\"text\":\"2-4\"},\"y\":{\"parameter\":\"prompt\",\"values\":[\"cat\",\"dog\"]}"),
		     202);
	id = text_at(req, "id");
	assert_string_equal(atl_mock_header(req, "Location"), fmt("/api/v1/grids/%s", id));
	assert_int_equal(count_at(req, "cells"), 6);
	assert_int_equal(int_at(req, "count"), 6);
	assert_int_equal(count_at(req, "axes"), 2);
	assert_string_equal(text_at(req, "axes.0.axis"), "x");
	assert_string_equal(text_at(req, "axes.0.parameter"), "steps");
	assert_string_equal(text_at(req, "axes.0.labels.2"), "4");
	assert_string_equal(text_at(req, "axes.1.labels.1"), "dog");
	for (size_t i = 0; i < 6; i++) {
		struct atl_req *job = expect(ask(site, &owner, fmt("GET /api/v1/jobs/%s", text_at(req, fmt("cells.%zu.job_id", i))), NULL),
					     200);
		const char *its_seed = fmt("%lld", (long long)int_at(job, "request.seed"));

		assert_int_equal(int_at(req, fmt("cells.%zu.x", i)), i % 3);
		assert_int_equal(int_at(req, fmt("cells.%zu.y", i)), i / 3);
		assert_int_equal(int_at(req, fmt("cells.%zu.z", i)), 0);
		assert_int_equal(int_at(job, "request.steps"), 2 + i % 3);
		assert_string_equal(text_at(job, "prompt"), i < 3 ? "a cat" : "a dog");
		if (!seed)
			seed = its_seed;
		assert_string_equal(its_seed, seed);
	}
	wait_ended(site, atl_json_get(json_of(req), "cells"));
	req = expect(ask(site, &owner, fmt("GET /api/v1/grids/%s", id), NULL), 200);
	assert_string_equal(text_at(req, "state"), "ended");
	assert_int_equal(int_at(req, "done_count"), 6);
	assert_int_equal(int_at(req, "failed_count"), 0);
	assert_string_equal(text_at(req, "cover_id"), text_at(req, "cells.0.assets.0.id"));
	assert_string_equal(text_at(req, "cells.5.state"), "done");
	assert_int_equal(count_at(req, "cells.5.assets"), 1);
	req = expect(ask(site, &owner, "GET /api/v1/grids", NULL), 200);
	assert_string_equal(text_at(req, "items.0.id"), id);
	assert_int_equal(count_at(req, "items.0.cells"), 0);
}

/* What cannot be made is said before anything is queued, and which picture it is. */
static void test_one_bad_cell_refuses_all(void **state)
{
	static const struct {
		const char *request, *axes, *field, *detail;
		int status;
	} rows[] = {
		{ ",\"prompt\":\"a\"", "\"x\":{\"parameter\":\"steps\",\"text\":\"4,900\"}", "steps", "The picture with steps 900: ", 400 },
		{ ",\"prompt\":\"a\"", "\"x\":{\"parameter\":\"sampler\",\"values\":[\"nobody's\"]},\"y\":{\"parameter\":\"steps\",\"text\":\"4\"}",
		  "sampler", "The picture with sampler nobody's, steps 4: ", 400 },
		{ ",\"prompt\":\"a\"", "\"x\":{\"parameter\":\"model\",\"values\":[\"nobody/none\"]}", "model",
		  "The picture with model nobody/none: ", 404 },
		{ ",\"prompt\":\"a b\"", "\"x\":{\"parameter\":\"prompt\",\"values\":[\"cat\",\"dog\"]}", "x",
		  "\"cat\" is searched in the prompt and is not there.", 400 },
		{ ",\"prompt\":\"a\"", "\"x\":{\"parameter\":\"seed\",\"text\":\"1-101\"}", "x", "The axis x has more than 100 values", 400 },
		{ ",\"prompt\":\"a\"", "\"x\":{\"parameter\":\"seed\",\"text\":\"1-11\"},\"y\":{\"parameter\":\"steps\",\"text\":\"1-5\"},"
				       "\"z\":{\"parameter\":\"cfg_scale\",\"text\":\"1,2\"}", "x",
		  "11 x 5 x 2 are 110 pictures; a grid has 100 at most.", 400 },
		{ ",\"prompt\":\"a\"", "\"x\":{\"parameter\":\"steps\",\"text\":\"4\"},\"y\":{\"parameter\":\"steps\",\"text\":\"4\"}", "y",
		  "Two axes have the parameter steps.", 400 },
		{ ",\"prompt\":\"a\",\"count\":2", "\"x\":{\"parameter\":\"steps\",\"text\":\"4\"}", "request.count",
		  "A grid makes one picture for each cell.", 400 },
		{ "", "\"x\":{\"parameter\":\"steps\",\"text\":\"4\"}", "prompt", "The picture with steps 4: ", 400 },
		{ ",\"prompt\":\"a\"", "\"x\":{\"parameter\":\"karma\",\"text\":\"4\"}", "x.parameter", "", 400 },
		{ ",\"prompt\":\"a\",\"steps\":\"x\"", "\"x\":{\"parameter\":\"steps\",\"text\":\"4\"}", "request.steps", "", 400 },
		{ ",\"prompt\":\"a\"", "\"y\":{\"parameter\":\"steps\",\"text\":\"4\"}", "x", "", 400 },
	};
	struct site *site = *state;
	int64_t jobs = rows_of(site, "jobs"), grids = rows_of(site, "grids");
	int wrong = 0;

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_req *req = make(site, &owner, rows[i].request, rows[i].axes);

		if (req->status == rows[i].status && atl_str_eq(text_at(req, "field"), rows[i].field) &&
		    strstr(text_at(req, "detail"), rows[i].detail))
			continue;
		print_error("%zu: %d %s\n", i, req->status, req->out.data);
		wrong++;
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(rows_of(site, "jobs"), jobs);
	assert_int_equal(rows_of(site, "grids"), grids);
}

/* The same key: the same grid, also when the first answer was never given. */
static void test_a_grid_is_made_once(void **state)
{
	static const char *const key[] = { "Idempotency-Key: grid-1", NULL };
	struct site *site = *state;
	const char *body = fmt("{\"request\":{\"model\":\"%s/hang\",\"prompt\":\"a\",\"width\":64,\"height\":64},"
			       "\"x\":{\"parameter\":\"steps\",\"values\":[2,3]}}", provider);
	const char *id = text_at(expect(ask_with(site, &owner, key, "POST /api/v1/grids", body), 202), "id");
	int64_t jobs = rows_of(site, "jobs");

	assert_string_equal(text_at(expect(ask_with(site, &owner, key, "POST /api/v1/grids", body), 202), "id"), id);
	/* as after a kill between the commit and the answer */
	execute(site->app.db, fmt("UPDATE idempotency_keys SET status = 1, response = '%s' WHERE idempotency_key = 'grid-1'", id));
	assert_string_equal(text_at(expect(ask_with(site, &owner, key, "POST /api/v1/grids", body), 202), "id"), id);
	assert_int_equal(rows_of(site, "jobs"), jobs);
	expect(ask(site, &owner, fmt("DELETE /api/v1/grids/%s", id), NULL), 204);
}

static void test_cancel_and_delete(void **state)
{
	static const char *const again[] = { "Idempotency-Key: grid-again", NULL };
	struct site *site = *state;
	struct atl_req *req;
	const char *id, *job;
	struct person other;

	req = expect(ask(site, &owner, "POST /api/v1/grids",
			 fmt("{\"request\":{\"model\":\"%s/hang\",\"prompt\":\"a\",\"seed\":5},\"x\":{\"parameter\":\"seed\",\"values\":[-1,-1,7]}}",
			     provider)), 202);
	id = text_at(req, "id");
	job = text_at(req, "cells.0.job_id");
	/* a random seed of an axis is chosen at once, and told */
	assert_string_not_equal(text_at(req, "axes.0.labels.0"), "-1");
	assert_string_not_equal(text_at(req, "axes.0.labels.0"), text_at(req, "axes.0.labels.1"));
	assert_string_equal(text_at(req, "axes.0.labels.2"), "7");
	assert_string_equal(text_at(req, "state"), "active");
	person_create(site, "Nina", ATL_ROLE_MEMBER, &other);
	expect_problem(ask(site, &other, fmt("GET /api/v1/grids/%s", id), NULL), 404, "not_found", NULL);
	expect_problem(ask(site, &other, fmt("POST /api/v1/grids/%s/cancel", id), NULL), 404, "not_found", NULL);
	expect_problem(ask(site, &other, fmt("DELETE /api/v1/grids/%s", id), NULL), 404, "not_found", NULL);
	assert_int_equal(count_at(expect(ask(site, &other, "GET /api/v1/grids", NULL), 200), "items"), 0);
	req = expect(ask(site, &owner, fmt("POST /api/v1/grids/%s/cancel", id), NULL), 200);
	assert_string_equal(text_at(req, "state"), "ended");
	assert_string_equal(text_at(req, "cells.0.state"), "cancelled");
	assert_int_equal(int_at(req, "failed_count"), 3);
	expect(ask(site, &owner, fmt("POST /api/v1/grids/%s/cancel", id), NULL), 200);
	/* asked for once more: the same cells by new jobs, with the same seeds */
	expect_problem(ask(site, &other, fmt("POST /api/v1/grids/%s/retry", id), NULL), 404, "not_found", NULL);
	req = expect(ask_with(site, &owner, again, fmt("POST /api/v1/grids/%s/retry", id), NULL), 202);
	assert_int_equal(count_at(req, "cells"), 3);
	assert_string_equal(text_at(req, "state"), "active");
	assert_string_not_equal(text_at(req, "cells.0.job_id"), job);
	assert_int_equal(int_at(expect(ask(site, &owner, fmt("GET /api/v1/jobs/%s", text_at(req, "cells.2.job_id")), NULL), 200),
				"request.seed"), 7);
	assert_string_equal(text_at(expect(ask_with(site, &owner, again, fmt("POST /api/v1/grids/%s/retry", id), NULL), 202),
				    "cells.0.job_id"), text_at(req, "cells.0.job_id"));
	expect_problem(ask(site, &owner, fmt("POST /api/v1/grids/%s/retry", id), NULL), 409, "conflict", NULL);
	expect(ask(site, &owner, fmt("DELETE /api/v1/grids/%s", id), NULL), 204);
	expect_problem(ask(site, &owner, fmt("GET /api/v1/grids/%s", id), NULL), 404, "not_found", NULL);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM grid_cells WHERE grid_id = '%s'", id)), 0);
	expect(ask(site, &owner, fmt("GET /api/v1/jobs/%s", job), NULL), 200);
}

/* The largest there is, in pages; a job that is no more leaves its cell. */
static void test_a_hundred_cells(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(make(site, &owner, ",\"prompt\":\"a\",\"not_before\":\"2099-01-01T00:00:00Z\"",
					  "\"x\":{\"parameter\":\"steps\",\"text\":\"1-10\"},\"y\":{\"parameter\":\"seed\",\"text\":\"1-10\"}"),
				     202);
	const char *id = text_at(req, "id");

	assert_int_equal(count_at(req, "cells"), 100);
	assert_int_equal(int_at(req, "cells.99.x"), 9);
	assert_int_equal(int_at(req, "cells.99.y"), 9);
	execute(site->app.db, fmt("DELETE FROM jobs WHERE id = '%s'", text_at(req, "cells.99.job_id")));
	req = expect(ask(site, &owner, fmt("GET /api/v1/grids/%s", id), NULL), 200);
	assert_string_equal(text_at(req, "cells.99.state"), "gone");
	assert_int_equal(int_at(req, "failed_count"), 1);
	req = expect(ask(site, &owner, "GET /api/v1/grids?limit=1", NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	req = expect(ask(site, &owner, fmt("GET /api/v1/grids?limit=1&after=%s", text_at(req, "next")), NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	assert_string_not_equal(text_at(req, "items.0.id"), id);
	expect(ask(site, &owner, fmt("DELETE /api/v1/grids/%s", id), NULL), 204);
}

/* Grid, cells and jobs are one transaction: when the last of it cannot be written, there is none of it. */
static void test_there_is_no_half_grid(void **state)
{
	struct site *site = *state;
	int64_t jobs = rows_of(site, "jobs"), grids = rows_of(site, "grids");
	static const char *const axes = "\"x\":{\"parameter\":\"steps\",\"text\":\"1-3\"}";

	execute(site->app.db, "ALTER TABLE grid_cells RENAME TO grid_cells_away");
	expect(make(site, &owner, ",\"prompt\":\"a\"", axes), 500);
	execute(site->app.db, "ALTER TABLE grid_cells_away RENAME TO grid_cells");
	assert_int_equal(rows_of(site, "jobs"), jobs);
	assert_int_equal(rows_of(site, "grids"), grids);
	assert_int_equal(count_at(expect(make(site, &owner, ",\"prompt\":\"a\"", axes), 202), "cells"), 3);
}

/* A grid and its jobs outlive the server together. */
static void test_a_restart_finds_all(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(make(site, &owner, ",\"prompt\":\"a\",\"not_before\":\"2099-01-01T00:00:00Z\"",
					  "\"x\":{\"parameter\":\"cfg_scale\",\"text\":\"1-2 (+0.5)\"}"), 202);
	const char *id = text_at(req, "id");

	site_restart(site);
	req = expect(ask(site, &owner, fmt("GET /api/v1/grids/%s", id), NULL), 200);
	assert_string_equal(text_at(req, "state"), "active");
	assert_int_equal(count_at(req, "cells"), 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(text_at(req, fmt("cells.%zu.state", i)), "queued");
	expect(ask(site, &owner, fmt("DELETE /api/v1/grids/%s", id), NULL), 204);
}

static int setup(void **state)
{
	int rc = site_setup(state);

	if (!rc)
		provider = scripted_pictures(*state);
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_grid_is_made),
		cmocka_unit_test(test_one_bad_cell_refuses_all),
		cmocka_unit_test(test_a_grid_is_made_once),
		cmocka_unit_test(test_cancel_and_delete),
		cmocka_unit_test(test_a_hundred_cells),
		cmocka_unit_test(test_a_restart_finds_all),
		cmocka_unit_test(test_there_is_no_half_grid),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
