/* Pictures outside the library: what names one keeps it, what nothing names goes after its time, and its file with it. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/jobs/job.h"
#include "core/pictures/asset_int.h"
#include "support.h"

#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)
#define LONG (100 * DAY_MS)

/* ---- shortcuts ---- */

static const char *const type[] = { "Content-Type: application/octet-stream", NULL };

static const char *input(struct site *site, const char *file, const char *parent)
{
	struct atl_buf data = load_picture(file);
	const char *line = fmt("POST /api/v1/assets?library=false%s%s", parent ? "&parent=" : "", parent ? parent : "");
	struct atl_req *req = expect(ask_data(site, &owner, type, line, data.data, data.length), 201);

	atl_buf_finish(&data);
	return text_at(req, "id");
}

static bool there(struct site *site, const char *id)
{
	return number_of(site->app.db, fmt("SELECT count(*) FROM assets WHERE id = '%s'", id)) == 1;
}

static const char *avatar(struct site *site, const char *character, const char *file)
{
	struct atl_buf data = load_picture(file);
	struct atl_req *req =
		expect(ask_data(site, &owner, type, fmt("PUT /api/v1/characters/%s/avatar", character), data.data, data.length), 200);

	atl_buf_finish(&data);
	return text_at(req, "avatar.id");
}

/* As many days from now as given; how many went. */
static int64_t collect(struct site *site, int64_t days)
{
	struct atl_errinfo info = { 0 };
	int64_t collected = -1;

	assert_ok(atl_assets_collect(&site->app, atl_now_ms() + days * DAY_MS, &collected, &info), &info);
	return collected;
}

/* A job that waits, with this request. */
static const char *job(struct site *site, const char *request)
{
	struct atl_job_new new = { .kind = "picture", .task = "img2img", .origin = "api", .model = "prv_none/none",
				   .provider_id = "prv_none", .prompt = "x", .request = request };
	struct atl_errinfo info = { 0 };
	struct atl_identity identity;
	struct atl_arena arena;
	struct atl_job made;
	const char *id;

	atl_identity_internal(&identity, owner.id, "Test", ATL_ROLE_MEMBER);
	atl_arena_init(&arena, 0);
	assert_ok(atl_job_submit(&site->app, &identity, &arena, &new, &made, &info), &info);
	id = fmt("%s", made.id);
	atl_arena_finish(&arena);
	return id;
}

struct making {
	struct atl_arena *arena;
	struct atl_asset_new *asset;
	struct atl_asset out;
};

static enum atl_err making_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct making *m = arg;

	return atl_asset_insert(conn, m->arena, m->asset, &m->out, info);
}

/* A picture in the library that was made of another one. */
static const char *made_of(struct site *site, const char *parent)
{
	struct atl_asset_parent parents[] = { { parent, "init" } };
	struct atl_asset_new asset = { .user_id = owner.id, .origin = "generated", .library = true, .task = "img2img", .seed = -1,
				       .parents = parents, .parent_count = parent ? 1 : 0 };
	struct atl_buf data = load_picture("good.webp");
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct making making = { .arena = &arena, .asset = &asset };
	const char *id;

	atl_arena_init(&arena, 0);
	assert_ok(atl_asset_store_file(&site->app, &arena, data.data, data.length, &asset, &info), &info);
	assert_ok(atl_db_tx(site->app.db, making_fn, &making, &info), &info);
	id = fmt("%s", making.out.id);
	atl_arena_finish(&arena);
	atl_buf_finish(&data);
	return id;
}

static bool file_there(struct site *site, const char *sha256)
{
	struct stat st;

	return stat(fmt("%s/%.2s/%s", site->blob_dir, sha256, sha256), &st) == 0;
}

static const char *sha256_of(struct site *site, const char *id)
{
	return text_at(expect(ask(site, &owner, fmt("GET /api/v1/assets/%s", id), NULL), 200), "sha256");
}

/* Every count is right, and no file is there that nobody has. */
static void counted(struct site *site)
{
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM blobs b WHERE b.refs <> "
						 "(SELECT count(*) FROM assets a WHERE a.sha256 = b.sha256)"),
			 0);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM assets a WHERE NOT EXISTS "
						 "(SELECT 1 FROM blobs b WHERE b.sha256 = a.sha256)"),
			 0);
}

/* Nothing outside the library from an earlier test. */
static int fresh(void **state)
{
	struct site *site = *state;

	expect(ask(site, &owner, "POST /api/v1/queue/pause", NULL), 200);
	execute(site->app.db, "DELETE FROM jobs");
	execute(site->app.db, "DELETE FROM characters");
	execute(site->app.db, "DELETE FROM asset_parents");
	collect(site, LONG / DAY_MS);
	collect(site, 2 * LONG / DAY_MS);
	return (int)number_of(site->app.db, "SELECT count(*) FROM assets WHERE library = 0");
}

/* ---- tests ---- */

static void test_unnamed_go(void **state)
{
	struct site *site = *state;
	const char *mask = input(site, "good.png", NULL), *twice = input(site, "good.png", NULL), *sha256 = sha256_of(site, mask);

	assert_int_equal(collect(site, 0), 0); /* seen without a name: from now on its time runs */
	assert_int_equal(collect(site, 6), 0);
	assert_true(there(site, mask));
	assert_int_equal(collect(site, 8), 2);
	assert_false(there(site, mask));
	assert_false(there(site, twice));
	assert_false(file_there(site, sha256));
	counted(site);
	/* the library is nobody's to clean up */
	mask = make_asset(site, &owner, "good.png");
	collect(site, 0);
	assert_int_equal(collect(site, 100), 0);
	assert_true(there(site, mask));
}

static void test_names_keep(void **state)
{
	struct site *site = *state;
	const char *init = input(site, "good.png", NULL), *reference = input(site, "good.png", NULL);
	const char *value = input(site, "good.png", NULL), *look = input(site, "good.png", NULL);
	const char *unused = input(site, "good.png", NULL), *character = make_character(site, &owner, "Ada");
	const char *waiting = job(site, fmt("{\"init_asset\":\"%s\",\"reference_assets\":[\"%s\"],\"inputs\":{\"x\":{\"y\":\"%s\"}}}",
					    init, reference, value));
	const char *shown = avatar(site, character, "good.gif"), *sha256;

	expect(ask(site, &owner, fmt("PUT /api/v1/characters/%s/look", character), fmt("{\"reference_assets\":[\"%s\"]}", look)), 200);
	collect(site, 0);
	assert_int_equal(collect(site, 8), 1);
	assert_false(there(site, unused));
	assert_true(there(site, init) && there(site, reference) && there(site, value) && there(site, look) && there(site, shown));
	/* the job and the look let go, the avatar is replaced: a week later all of it goes, and only that */
	execute(site->app.db, fmt("DELETE FROM jobs WHERE id = '%s'", waiting));
	expect(ask(site, &owner, fmt("PUT /api/v1/characters/%s/look", character), "{\"reference_assets\":[]}"), 200);
	sha256 = sha256_of(site, shown);
	unused = shown;
	shown = avatar(site, character, "good.jpg");
	assert_int_equal(collect(site, 20), 0);
	assert_int_equal(collect(site, 26), 0);
	assert_int_equal(collect(site, 28), 5);
	assert_false(there(site, unused));
	assert_false(file_there(site, sha256));
	assert_true(there(site, shown));
	counted(site);
}

/* Named once more before its time is over: the time begins anew. */
static void test_named_again(void **state)
{
	struct site *site = *state;
	const char *mask = input(site, "good.png", NULL), *waiting;

	collect(site, 0);
	waiting = job(site, fmt("{\"mask_asset\":\"%s\"}", mask));
	assert_int_equal(collect(site, 8), 0);
	execute(site->app.db, fmt("DELETE FROM jobs WHERE id = '%s'", waiting));
	assert_int_equal(collect(site, 9), 0);
	assert_int_equal(collect(site, 15), 0);
	assert_int_equal(collect(site, 17), 1);
}

/* Five edits, each of a canvas that was made of the one before: the way back to the seed stays. */
static void test_lineage_stays(void **state)
{
	struct site *site = *state;
	const char *seed = made_of(site, NULL), *last = seed, *before = NULL;
	struct atl_req *req;
	bool found = false;

	for (int i = 0; i < 5; i++) {
		before = input(site, "good.png", last);
		last = made_of(site, before);
	}
	collect(site, 0);
	assert_int_equal(collect(site, 100), 0);
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/lineage", last), NULL), 200);
	assert_int_equal(count_at(req, "items"), 11);
	for (size_t i = 0; i < count_at(req, "items"); i++)
		if (atl_str_eq(text_at(req, fmt("items.%zu.asset.id", i)), seed)) {
			found = true;
			assert_int_equal(int_at(req, fmt("items.%zu.depth", i)), -10);
		}
	assert_true(found);
	/* in the trash it is still there; for good, its canvas has nobody left, the others have */
	expect(ask(site, &owner, fmt("DELETE /api/v1/assets/%s", last), NULL), 204);
	assert_int_equal(collect(site, 200), 0);
	expect(ask(site, &owner, fmt("DELETE /api/v1/assets/%s?forever=true", last), NULL), 204);
	assert_int_equal(collect(site, 201), 0);
	assert_int_equal(collect(site, 300), 1);
	assert_false(there(site, before));
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM assets WHERE library = 0"), 4);
	counted(site);
}

struct gone {
	const char *id, *sha256;
	bool gone;
};

static enum atl_err gone_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct gone *g = arg;

	return atl_asset_collect_in(conn, g->id, g->sha256, &g->gone, info);
}

/* Killed between the row and the file: the next start finds the file by its own row. */
static void test_killed(void **state)
{
	struct site *site = *state;
	struct gone g = { .id = input(site, "good.gif", NULL) };
	struct atl_errinfo info = { 0 };
	const char *waiting;

	g.sha256 = sha256_of(site, g.id);
	waiting = job(site, fmt("{\"init_asset\":\"%s\"}", g.id)); /* named since it was looked at: it stays */
	assert_ok(atl_db_tx(site->app.db, gone_fn, &g, &info), &info);
	assert_false(g.gone);
	assert_true(there(site, g.id));
	execute(site->app.db, fmt("DELETE FROM jobs WHERE id = '%s'", waiting));
	assert_ok(atl_db_tx(site->app.db, gone_fn, &g, &info), &info);
	assert_true(g.gone);
	assert_false(there(site, g.id));
	assert_true(file_there(site, g.sha256));
	site_restart(site);
	assert_false(file_there(site, g.sha256));
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM blobs WHERE sha256 = '%s'", g.sha256)), 0);
	counted(site);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_unnamed_go, fresh),	   cmocka_unit_test_setup(test_names_keep, fresh),
		cmocka_unit_test_setup(test_named_again, fresh),   cmocka_unit_test_setup(test_lineage_stays, fresh),
		cmocka_unit_test_setup(test_killed, fresh),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
