/* The library: uploads, filters, changes, the trash and the files behind it, lineage, look-alikes, ZIP, addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/str.h"
#include "blob/blob.h"
#include "core/pictures/asset.h"
#include "media/inflate.h"
#include "media/metadata.h"
#include "support.h"

static struct person other;

/* ---- what a job would make ---- */

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

/* A generated picture of `file`; what is NULL in `asset` is filled. */
static const char *generate(struct site *site, const struct person *who, const char *file, struct atl_asset_new asset)
{
	struct atl_buf data = load_picture(file);
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct making making = { .arena = &arena, .asset = &asset };
	const char *id;

	atl_arena_init(&arena, 0);
	asset.user_id = who->id;
	asset.origin = "generated";
	asset.library = true;
	if (!asset.task)
		asset.task = "txt2img";
	assert_ok(atl_asset_store_file(&site->app, &arena, data.data, data.length, &asset, &info), &info);
	assert_ok(atl_db_tx(site->app.db, making_fn, &making, &info), &info);
	id = fmt("%s", making.out.id);
	atl_arena_finish(&arena);
	atl_buf_finish(&data);
	return id;
}

static size_t listed(struct site *site, const char *query)
{
	return count_at(expect(ask(site, &owner, fmt("GET /api/v1/assets?limit=200&%s", query), NULL), 200), "items");
}

/* The path of the file that an asset has, whether it is there or not. */
static bool file_exists(struct site *site, const char *sha256, const char *variant)
{
	struct stat st;

	return stat(fmt("%s/%.2s/%s%s", site->blob_dir, sha256, sha256, variant), &st) == 0;
}

/* ---- tests ---- */

static void test_upload(void **state)
{
	static const char *const text[] = { "Content-Type: image/png", NULL };
	struct site *site = *state;
	struct atl_req *req;
	const char *id;

	ears_open(site, owner.id);
	id = make_asset(site, &owner, "good.png");
	ears_wait(site, "asset.created", id);
	ears_close(site);
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s", id), NULL), 200);
	assert_string_equal(text_at(req, "kind"), "picture");
	assert_string_equal(text_at(req, "origin"), "upload");
	assert_int_equal(int_at(req, "width"), 100);
	assert_int_equal(int_at(req, "height"), 80);
	assert_int_equal(int_at(req, "seed"), -1);
	assert_true(strlen(text_at(req, "blur_hash")) >= 6);
	assert_string_equal(atl_mock_header(req, "ETag"), "\"1\"");
	expect_problem(ask_data(site, &owner, text, "POST /api/v1/assets", "<svg/>", 6), 422, "bad_picture", NULL);
	expect_problem(ask_data(site, &owner, text, "POST /api/v1/assets", "", 0), 400, "invalid_request", NULL);
	/* an input is there, but not in the list */
	struct atl_buf data = load_picture("good.jpg");
	size_t before = listed(site, "");

	id = text_at(expect(ask_data(site, &owner, text, "POST /api/v1/assets?library=false", data.data, data.length), 201), "id");
	expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/file", id), NULL), 200);
	assert_int_equal(listed(site, ""), before);
	atl_buf_finish(&data);
}

static void test_files(void **state)
{
	struct site *site = *state;
	const char *id = generate(site, &owner, "good.png", (struct atl_asset_new){ .prompt = "A red fox, \"sly\"" });
	struct atl_req *req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/file", id), NULL), 200);
	struct atl_buf data = load_picture("good.png");
	static const char *const part[] = { "Range: bytes=0-7", NULL };
	static const char *const same[] = { "If-None-Match: *", NULL };
	char *etag = strdup(atl_mock_header(req, "ETag"));

	assert_string_equal(atl_mock_header(req, "Content-Type"), "image/png");
	assert_int_equal(req->out.length, data.length);
	assert_memory_equal(req->out.data, data.data, data.length);
	req = expect(ask_with(site, &owner, part, fmt("GET /api/v1/assets/%s/file", id), NULL), 206);
	assert_memory_equal(req->out.data, "\x89PNG\r\n\x1a\n", 8);
	expect(ask_with(site, &owner, same, fmt("GET /api/v1/assets/%s/file", id), NULL), 304);
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/file?width=64", id), NULL), 200);
	assert_string_equal(atl_mock_header(req, "Content-Type"), "image/webp");
	assert_string_not_equal(atl_mock_header(req, "ETag"), etag);
	free(etag);
	expect_problem(ask(site, &owner, fmt("GET /api/v1/assets/%s/file?width=65", id), NULL), 400, "invalid_request", "width");
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/file?download=true", id), NULL), 200);
	assert_string_equal(atl_mock_header(req, "Content-Disposition"),
			    fmt("attachment; filename=\"A-red-fox-sly-%s.png\"; filename*=UTF-8''A-red-fox-sly-%s.png",
				id + strlen(id) - 6, id + strlen(id) - 6));
	/* without how it was made it is another file, that still says that a machine made it */
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/file?metadata=strip", id), NULL), 200);
	assert_non_null(memmem(req->out.data, req->out.length, "trainedAlgorithmicMedia", 23));
	expect(ask(site, &other, fmt("GET /api/v1/assets/%s/file", id), NULL), 404);
	expect(ask(site, &nobody, fmt("GET /api/v1/assets/%s/file", id), NULL), 401);
	atl_buf_finish(&data);
}

static void test_filters(void **state)
{
	struct site *site = *state;
	const char *lora = "detail-tweaker", *board = text_at(expect(ask(site, &owner, "POST /api/v1/boards", "{\"name\":\"B\"}"), 201), "id");
	const char *a = generate(site, &owner, "good.png", (struct atl_asset_new){
		.prompt = "Wildly blue harbour at night", .model = "filter/one", .loras = &lora, .lora_count = 1, .job_id = "job_f" });
	const char *b = generate(site, &owner, "good.jpg", (struct atl_asset_new){
		.prompt = "a blue dragon", .model = "filter/two", .task = "inpaint", .board_id = board, .character_id = "chr_f" });
	static const struct {
		const char *query;
		size_t count;
	} rows[] = {
		{ "model=filter/one", 1 }, { "model=filter/none", 0 }, { "lora=detail-tweaker", 1 }, { "job_id=job_f", 1 },
		{ "task=inpaint", 1 }, { "character_id=chr_f", 1 }, { "q=harbour", 1 }, { "q=HARB", 1 }, { "q=blue", 2 },
		{ "q=blue%20dragon", 1 }, { "q=blue&model=filter/one", 1 }, { "q=blue&task=inpaint&model=filter/one", 0 },
		{ "q=%22%27%29%28*", 0 }, { "q=blue&lora=detail-tweaker", 1 }, { "model=filter/two&kind=picture", 1 },
		{ "model=filter/two&kind=video", 0 }, { "model=filter/one&origin=generated", 1 },
		{ "model=filter/one&origin=upload", 0 }, { "model=filter/one&starred=true", 0 },
		{ "model=filter/one&rating=1", 0 }, { "model=filter/one&from=2020-01-01T00:00:00Z", 1 },
		{ "model=filter/one&to=2020-01-01T00:00:00Z", 0 }, { "lora=detail-tweaker&task=inpaint", 0 },
		{ "model=filter/one&trash=true", 0 },
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		if (listed(site, rows[i].query) != rows[i].count)
			fail_msg("%s: %zu", rows[i].query, listed(site, rows[i].query));
	assert_int_equal(listed(site, fmt("board_id=%s", board)), 1);
	assert_int_equal(listed(site, fmt("board_id=%s&q=dragon", board)), 1);
	expect(ask(site, &owner, fmt("PATCH /api/v1/assets/%s", a), "{\"tags\":[\"sea\",\"Night\"],\"rating\":4,\"title\":\"Quay\"}"), 200);
	assert_int_equal(listed(site, "tag=sea"), 1);
	assert_int_equal(listed(site, "tag=sea&model=filter/two"), 0);
	assert_int_equal(listed(site, "q=quay"), 1);
	assert_int_equal(listed(site, "rating=4"), 1);
	assert_int_equal(listed(site, "rating=5"), 0);
	assert_int_equal(count_at(expect(ask(site, &other, "GET /api/v1/assets?q=blue", NULL), 200), "items"), 0);
	assert_int_equal(count_at(expect(ask(site, &other, "GET /api/v1/assets?tag=sea", NULL), 200), "items"), 0);
	assert_int_equal(count_at(expect(ask(site, &other, fmt("GET /api/v1/assets?board_id=%s", board), NULL), 200), "items"), 0);
	expect_problem(ask(site, &owner, "GET /api/v1/assets?rating=6", NULL), 400, "invalid_request", "rating");
	expect_problem(ask(site, &owner, "GET /api/v1/assets?from=yesterday", NULL), 400, "invalid_request", "from");
	expect_problem(ask(site, &owner, "GET /api/v1/assets?kind=song", NULL), 400, "invalid_request", "kind");
	(void)b;
}

/* Every page in turn: each item once, the newest first. */
static size_t walk(struct site *site, const struct person *who, const char *query)
{
	const char *next = "", *last = "ast_Z";
	size_t count = 0;

	do {
		struct atl_req *req = expect(ask(site, who, fmt("GET /api/v1/assets?limit=3&%s%s%s", query,
								*next ? "&after=" : "", next), NULL), 200);

		for (size_t i = 0; i < count_at(req, "items"); i++) {
			const char *id = text_at(req, fmt("items.%zu.id", i));

			assert_true(strcmp(id, last) < 0);
			last = id;
			count++;
		}
		next = text_at(req, "next");
	} while (*next);
	return count;
}

static void test_pages(void **state)
{
	struct site *site = *state;
	struct person lister;

	person_create(site, "Lister", ATL_ROLE_MEMBER, &lister);
	for (int i = 0; i < 10; i++) {
		const char *id = generate(site, &lister, "good.png", (struct atl_asset_new){ .prompt = "walking words" });

		if (i % 2)
			expect(ask(site, &lister, fmt("PATCH /api/v1/assets/%s", id), "{\"tags\":[\"odd\"]}"), 200);
	}
	assert_int_equal(walk(site, &lister, ""), 10);
	assert_int_equal(walk(site, &lister, "q=walk"), 10);
	assert_int_equal(walk(site, &lister, "tag=odd"), 5);
	assert_int_equal(walk(site, &lister, "q=words&tag=odd"), 5);
}

static void test_patch(void **state)
{
	static const char *const first[] = { "If-Match: \"1\"", NULL };
	struct site *site = *state;
	const char *id = make_asset(site, &owner, "good.webp"), *line = fmt("PATCH /api/v1/assets/%s", id);
	struct atl_req *req;

	ears_open(site, owner.id);
	req = expect(ask_with(site, &owner, first, line, "{\"title\":\"One\",\"starred\":true}"), 200);
	ears_wait(site, "asset.updated", id);
	ears_close(site);
	assert_string_equal(text_at(req, "title"), "One");
	assert_int_equal(int_at(req, "version"), 2);
	expect_problem(ask_with(site, &owner, first, line, "{\"title\":\"Two\"}"), 412, "precondition_failed", NULL);
	expect_problem(ask(site, &owner, line, "{\"rating\":6}"), 400, "invalid_request", "rating");
	expect_problem(ask(site, &owner, line, "{\"tags\":[\"\"]}"), 400, "invalid_request", NULL);
	expect_problem(ask(site, &owner, line, "{\"colour\":1}"), 400, "invalid_request", "colour");
	req = expect(ask(site, &owner, line, "{\"tags\":[\"b\",\"a\",\"a\"]}"), 200);
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/details", id), NULL), 200);
	assert_string_equal(text_at(req, "tags.0"), "a");
	assert_int_equal(count_at(req, "tags"), 2);
	assert_string_equal(text_at(req, "asset.title"), "One");
	assert_true(is_null_at(req, "parameters"));
}

static void test_details(void **state)
{
	struct site *site = *state;
	const char *id = generate(site, &owner, "good.png", (struct atl_asset_new){
		.prompt = "a fox", .seed = 7,
		.params = "{\"prompt\":\"a fox\",\"negative_prompt\":\"blur\",\"steps\":12,\"seed\":7,\"cfg_scale\":4.5,"
			  "\"width\":100,\"height\":80,\"sampler\":\"euler\",\"loras\":[{\"name\":\"x\",\"weight\":0.5}]}" });
	struct atl_req *req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/details", id), NULL), 200);
	const char *text = text_at(req, "parameters");

	assert_int_equal(int_at(req, "params.steps"), 12);
	assert_true(atl_str_starts(text, "a fox"));
	assert_non_null(strstr(text, "Negative prompt: blur"));
	assert_non_null(strstr(text, "Steps: 12"));
	assert_non_null(strstr(text, "Seed: 7"));
	assert_non_null(strstr(text, "CFG scale: 4.5"));
	/* what can be read of a file can be asked for as well */
	static const char *const plain[] = { "Content-Type: text/plain", NULL };

	req = expect(ask_data(site, &owner, plain, "POST /api/v1/assets/recall", text, strlen(text)), 200);
	assert_string_equal(text_at(req, "prompt"), "a fox");
	assert_int_equal(int_at(req, "steps"), 12);
	expect_problem(ask_data(site, &owner, plain, "POST /api/v1/assets/recall", "hello", 5), 404, "not_found", NULL);
}

static bool is_marked(struct site *site, const char *id)
{
	struct atl_req *req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/file", id), NULL), 200);
	struct atl_errinfo info = { 0 };
	struct atl_recall recall;

	return atl_metadata_read(&req->arena, req->out.data, req->out.length, &recall, &info) == ATL_OK && recall.ai_marked;
}

/* A picture that says that a machine made it says so after our re-encoding, too; others do not begin to. */
static void test_upload_keeps_the_mark(void **state)
{
	static const char *const picture[] = { "Content-Type: image/png", NULL };
	struct site *site = *state;
	struct atl_buf file = load_picture("good.png"), marked;
	struct atl_errinfo info = { 0 };

	atl_buf_init(&marked, 8 << 20);
	assert_ok(atl_metadata_write(file.data, file.length, &(struct atl_metadata_out){ 0 }, &marked, &info), &info);
	assert_false(is_marked(site, make_asset(site, &owner, "good.png")));
	assert_true(is_marked(site, text_at(expect(ask_data(site, &owner, picture, "POST /api/v1/assets", marked.data,
							    marked.length), 201), "id")));
	atl_buf_finish(&marked);
	atl_buf_finish(&file);
}

static void test_lineage(void **state)
{
	struct site *site = *state;
	struct atl_asset_parent init = { .role = "init" }, mask = { .role = "mask" };
	struct atl_asset_parent both[2];
	const char *first = generate(site, &owner, "good.png", (struct atl_asset_new){ 0 });
	const char *painted = make_asset(site, &owner, "good.gif"), *second, *third;
	struct atl_req *req;

	init.id = first;
	mask.id = painted;
	both[0] = init;
	both[1] = mask;
	second = generate(site, &owner, "good.png", (struct atl_asset_new){ .task = "inpaint", .parents = both, .parent_count = 2 });
	init.id = second;
	third = generate(site, &owner, "good.png", (struct atl_asset_new){ .task = "upscale", .parents = &init, .parent_count = 1 });
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/lineage", second), NULL), 200);
	assert_int_equal(count_at(req, "items"), 4);
	assert_string_equal(text_at(req, "items.0.asset.id"), second);
	assert_int_equal(int_at(req, "items.0.depth"), 0);
	assert_int_equal(int_at(req, "items.1.depth"), -1);
	assert_int_equal(int_at(req, "items.2.depth"), -1);
	assert_string_equal(text_at(req, "items.3.asset.id"), third);
	assert_int_equal(int_at(req, "items.3.depth"), 1);
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/lineage", third), NULL), 200);
	assert_int_equal(int_at(req, "items.3.depth"), -2);
	/* a parent that is gone leaves the rest */
	expect(ask(site, &owner, fmt("DELETE /api/v1/assets/%s?forever=true", first), NULL), 204);
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/lineage", third), NULL), 200);
	assert_int_equal(count_at(req, "items"), 3);
	expect(ask(site, &other, fmt("GET /api/v1/assets/%s/lineage", third), NULL), 404);
}

/* One edit as a job stores it, of `init` and, where it has one, a mask. */
static const char *edit(struct site *site, const char *task, const char *role, const char *init, const char *mask)
{
	struct atl_asset_parent parents[] = { { init, role }, { mask, "mask" } };

	return generate(site, &owner, "good.png",
			(struct atl_asset_new){ .task = task, .parents = parents, .parent_count = mask ? 2 : 1 });
}

/* Inpaint, outpaint, instruct, upscale, outpaint again: each walks back to the seed, through the canvas that the page
 * extended and uploaded. */
static void test_five_edits(void **state)
{
	static const char *const type[] = { "Content-Type: image/png", NULL };
	struct site *site = *state;
	struct atl_buf data = load_picture("good.png");
	const char *seed = generate(site, &owner, "good.png", (struct atl_asset_new){ .seed = 1 });
	const char *mask = make_asset(site, &owner, "good.gif"), *canvas, *last = edit(site, "inpaint", "init", seed, mask);
	struct atl_req *req;
	int64_t depth = 0;
	bool found = false;

	for (int round = 0; round < 2; round++) {
		req = ask_data(site, &owner, type, fmt("POST /api/v1/assets?library=false&parent=%s", last), data.data, data.length);
		canvas = text_at(expect(req, 201), "id");
		last = edit(site, "inpaint", "init", canvas, mask);
		if (round == 0)
			last = edit(site, "upscale", "upscaled", edit(site, "edit", "init", last, NULL), NULL);
	}
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/lineage", last), NULL), 200);
	for (size_t i = 0; i < count_at(req, "items"); i++)
		if (atl_str_eq(text_at(req, fmt("items.%zu.asset.id", i)), seed)) {
			found = true;
			depth = int_at(req, fmt("items.%zu.depth", i));
		}
	assert_true(found);
	assert_int_equal(depth, -7); /* five edits and two canvases */
	/* what is nobody's, or somebody else's, is no parent, and nothing is kept of the upload */
	size_t before = listed(site, "");

	expect_problem(ask_data(site, &owner, type, "POST /api/v1/assets?parent=ast_none", data.data, data.length), 404,
		       "not_found", "parent");
	assert_int_equal(listed(site, ""), before);
	expect_problem(ask_data(site, &other, type, fmt("POST /api/v1/assets?parent=%s", seed), data.data, data.length), 404,
		       "not_found", "parent");
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/lineage", seed), NULL), 200);
	assert_string_equal(text_at(req, "items.0.asset.id"), seed);
	atl_buf_finish(&data);
}

static void test_trash(void **state)
{
	struct site *site = *state;
	const char *id = make_asset(site, &owner, "good.png"), *line = fmt("/api/v1/assets/%s", id);

	expect(ask(site, &owner, fmt("PATCH %s", line), "{\"tags\":[\"trashy\"]}"), 200);
	ears_open(site, owner.id);
	expect(ask(site, &owner, fmt("DELETE %s", line), NULL), 204);
	ears_wait(site, "asset.deleted", id);
	ears_close(site);
	expect(ask(site, &owner, fmt("DELETE %s", line), NULL), 404);
	assert_int_equal(listed(site, "tag=trashy"), 0);
	assert_int_equal(listed(site, "tag=trashy&trash=true"), 1);
	expect(ask(site, &owner, fmt("PATCH %s", line), "{\"title\":\"x\"}"), 404);
	expect(ask(site, &owner, fmt("POST %s/restore", line), NULL), 200);
	expect(ask(site, &owner, fmt("POST %s/restore", line), NULL), 404);
	assert_int_equal(listed(site, "tag=trashy"), 1);
	expect(ask(site, &other, fmt("DELETE %s?forever=true", line), NULL), 404);
	expect(ask(site, &owner, fmt("DELETE %s?forever=true", line), NULL), 204);
	expect(ask(site, &owner, fmt("GET %s", line), NULL), 404);
}

/* The same bytes twice are one file, which goes with the last of them. */
static void test_files_go(void **state)
{
	struct site *site = *state;
	struct person keeper;
	struct atl_errinfo info = { 0 };
	const char *a, *b, *sha256;

	person_create(site, "Keeper", ATL_ROLE_MEMBER, &keeper);
	execute(site->app.db, "DELETE FROM assets");
	execute(site->app.db, "UPDATE blobs SET refs = 0");
	assert_ok(atl_assets_recover(&site->app, &info), &info);
	a = make_asset(site, &keeper, "good.png");
	b = make_asset(site, &keeper, "good.png");
	sha256 = text_at(expect(ask(site, &keeper, fmt("GET /api/v1/assets/%s", a), NULL), 200), "sha256");
	assert_true(file_exists(site, sha256, ""));
	assert_true(file_exists(site, sha256, ".w64"));
	expect(ask(site, &keeper, fmt("DELETE /api/v1/assets/%s?forever=true", a), NULL), 204);
	assert_ok(atl_assets_recover(&site->app, &info), &info);
	assert_true(file_exists(site, sha256, ""));
	/* the last one gave it up: gone at once */
	expect(ask(site, &keeper, fmt("DELETE /api/v1/assets/%s?forever=true", b), NULL), 204);
	assert_false(file_exists(site, sha256, ""));
	assert_false(file_exists(site, sha256, ".w64"));
	/* put a moment ago, and no asset yet: somebody may be about to use it */
	a = make_asset(site, &keeper, "good.png");
	execute(site->app.db, "UPDATE blobs SET refs = 0");
	assert_ok(atl_assets_purge(&site->app, &info), &info);
	assert_true(file_exists(site, sha256, ""));
	execute(site->app.db, "UPDATE blobs SET created_at = 1000");
	assert_ok(atl_assets_purge(&site->app, &info), &info);
	assert_false(file_exists(site, sha256, ""));
	expect(ask(site, &keeper, fmt("DELETE /api/v1/assets/%s?forever=true", a), NULL), 204);
	/* the trash of a month ago */
	a = make_asset(site, &keeper, "good.png");
	expect(ask(site, &keeper, fmt("DELETE /api/v1/assets/%s", a), NULL), 204);
	assert_ok(atl_assets_purge(&site->app, &info), &info);
	expect(ask(site, &keeper, fmt("GET /api/v1/assets/%s", a), NULL), 200);
	execute(site->app.db, "UPDATE assets SET deleted_at = 1000 WHERE deleted_at IS NOT NULL");
	assert_ok(atl_assets_purge(&site->app, &info), &info);
	expect(ask(site, &keeper, fmt("GET /api/v1/assets/%s", a), NULL), 404);
}

/* What a kill between the file and its asset leaves, and one in the middle of a removal. */
static void test_leftovers(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct atl_asset_new asset = { .user_id = owner.id };
	struct atl_buf data = load_picture("good.gif");
	char sha256[ATL_BLOB_NAME_SIZE];
	struct making making = { .arena = &arena, .asset = &asset };

	atl_arena_init(&arena, 0);
	assert_ok(atl_asset_store_file(&site->app, &arena, data.data, data.length, &asset, &info), &info);
	snprintf(sha256, sizeof(sha256), "%s", asset.sha256);
	execute(site->app.db, fmt("UPDATE blobs SET refs = 0 WHERE sha256 = '%s'", sha256));
	assert_true(file_exists(site, sha256, ""));
	assert_ok(atl_assets_recover(&site->app, &info), &info);
	assert_false(file_exists(site, sha256, ""));
	/* too late: the row must not be made without its file */
	asset.origin = "generated";
	assert_int_equal(atl_db_tx(site->app.db, making_fn, &making, &info), ATL_ERR_CONFLICT);
	/* condemned, then put again: alive */
	assert_ok(atl_asset_store_file(&site->app, &arena, data.data, data.length, &asset, &info), &info);
	execute(site->app.db, fmt("UPDATE blobs SET refs = -1 WHERE sha256 = '%s'", sha256));
	assert_int_equal(atl_db_tx(site->app.db, making_fn, &making, &info), ATL_ERR_CONFLICT);
	assert_ok(atl_asset_store_file(&site->app, &arena, data.data, data.length, &asset, &info), &info);
	assert_ok(atl_db_tx(site->app.db, making_fn, &making, &info), &info);
	assert_ok(atl_assets_recover(&site->app, &info), &info);
	assert_true(file_exists(site, sha256, ""));
	atl_arena_finish(&arena);
	atl_buf_finish(&data);
}

static void test_bulk(void **state)
{
	struct site *site = *state;
	const char *a = make_asset(site, &owner, "good.png"), *b = make_asset(site, &owner, "good.jpg");
	const char *foreign = make_asset(site, &other, "good.jpg");
	const char *board = text_at(expect(ask(site, &owner, "POST /api/v1/boards", "{\"name\":\"Bulk\"}"), 201), "id");
	const char *ids = fmt("\"ids\":[\"%s\",\"%s\",\"%s\",\"ast_none\"]", a, b, foreign);
	static const struct {
		const char *action, *value;
		int changed, again;
	} rows[] = {
		{ "star", NULL, 2, 0 }, { "unstar", NULL, 2, 0 }, { "rate", "3", 2, 0 }, { "tag", "bulked", 2, 0 },
		{ "board", "BOARD", 2, 0 }, { "unboard", "BOARD", 2, 0 }, { "untag", "bulked", 2, 0 }, { "delete", NULL, 2, 0 },
		{ "restore", NULL, 2, 0 },
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		const char *value = rows[i].value && strcmp(rows[i].value, "BOARD") == 0 ? board : rows[i].value;
		const char *body = value ? fmt("{%s,\"action\":\"%s\",\"value\":\"%s\"}", ids, rows[i].action, value)
					 : fmt("{%s,\"action\":\"%s\"}", ids, rows[i].action);

		assert_int_equal(int_at(expect(ask(site, &owner, "POST /api/v1/assets/bulk", body), 200), "changed"), rows[i].changed);
		assert_int_equal(int_at(expect(ask(site, &owner, "POST /api/v1/assets/bulk", body), 200), "changed"), rows[i].again);
		if (strcmp(rows[i].action, "tag") == 0)
			assert_int_equal(listed(site, "tag=bulked"), 2);
		if (strcmp(rows[i].action, "board") == 0)
			assert_int_equal(listed(site, fmt("board_id=%s", board)), 2);
	}
	expect(ask(site, &other, fmt("GET /api/v1/assets/%s", foreign), NULL), 200);
	expect_problem(ask(site, &owner, "POST /api/v1/assets/bulk", fmt("{%s,\"action\":\"rate\",\"value\":\"9\"}", ids)), 400,
		       "invalid_request", "value");
	expect_problem(ask(site, &owner, "POST /api/v1/assets/bulk", fmt("{%s,\"action\":\"tag\"}", ids)), 400, "invalid_request", "value");
	expect_problem(ask(site, &owner, "POST /api/v1/assets/bulk", fmt("{%s,\"action\":\"burn\"}", ids)), 400, "invalid_request", "action");
	expect_problem(ask(site, &owner, "POST /api/v1/assets/bulk", "{\"ids\":[],\"action\":\"star\"}"), 400, "invalid_request", "ids");
}

static void test_facets(void **state)
{
	struct site *site = *state;
	struct person user;
	const char *lora = "ink", *a;
	struct atl_req *req;

	person_create(site, "Facet", ATL_ROLE_MEMBER, &user);
	const char *character = make_character(site, &user, "Ada");

	a = generate(site, &user, "good.png", (struct atl_asset_new){ .model = "m/1", .loras = &lora, .lora_count = 1 });
	generate(site, &user, "good.png", (struct atl_asset_new){ .model = "m/2", .character_id = character });
	generate(site, &user, "good.png", (struct atl_asset_new){ .model = "m/2" });
	expect(ask(site, &user, fmt("PATCH /api/v1/assets/%s", a), "{\"tags\":[\"t\"]}"), 200);
	req = expect(ask(site, &user, "GET /api/v1/assets/facets", NULL), 200);
	assert_string_equal(text_at(req, "models.0.name"), "m/2");
	assert_int_equal(int_at(req, "models.0.count"), 2);
	assert_string_equal(text_at(req, "loras.0.name"), "ink");
	assert_string_equal(text_at(req, "tags.0.name"), "t");
	assert_string_equal(text_at(req, "characters.0.id"), character);
	assert_string_equal(text_at(req, "characters.0.name"), "Ada");
	expect(ask(site, &user, fmt("DELETE /api/v1/assets/%s", a), NULL), 204);
	req = expect(ask(site, &user, "GET /api/v1/assets/facets", NULL), 200);
	assert_int_equal(count_at(req, "models"), 1);
	assert_int_equal(count_at(req, "tags"), 0);
	assert_int_equal(count_at(req, "loras"), 0);
}

static void test_duplicates(void **state)
{
	struct site *site = *state;
	struct person user;
	/* by twos and threes of bits from the first; the last is far from all */
	static const uint64_t prints[] = { 0x0123456789abcdef, 0x0123456789abcdec, 0x8123456789abcd0f, 0xf0f0f0f0f0f0f0f0 };
	struct atl_req *req;

	person_create(site, "Twin", ATL_ROLE_MEMBER, &user);
	for (size_t i = 0; i < ATL_COUNT(prints); i++) {
		const char *id = generate(site, &user, "good.png", (struct atl_asset_new){ 0 });

		execute(site->app.db, fmt("UPDATE assets SET phash = %lld WHERE id = '%s'", (long long)prints[i], id));
	}
	req = expect(ask(site, &user, "GET /api/v1/assets/duplicates?distance=0", NULL), 200);
	assert_int_equal(count_at(req, "groups"), 0);
	req = expect(ask(site, &user, "GET /api/v1/assets/duplicates?distance=2", NULL), 200);
	assert_int_equal(count_at(req, "groups"), 1);
	assert_int_equal(count_at(req, "groups.0.items"), 2);
	req = expect(ask(site, &user, "GET /api/v1/assets/duplicates", NULL), 200);
	assert_int_equal(count_at(req, "groups.0.items"), 3);
	expect(ask(site, &user, "GET /api/v1/assets/duplicates?distance=9", NULL), 400);
}

static void test_addresses(void **state)
{
	struct site *site = *state;
	struct atl_arena arena;
	const char *id = make_asset(site, &owner, "good.png"), *url, *late;
	char *bad;

	atl_arena_init(&arena, 0);
	url = atl_asset_signed_url(&site->app, &arena, id, 60000);
	late = atl_asset_signed_url(&site->app, &arena, id, -1);
	assert_non_null(strstr(url, "/f/"));
	expect(ask(site, &nobody, fmt("GET %s", strstr(url, "/f/")), NULL), 200);
	expect(ask(site, &nobody, fmt("GET %s&width=64", strstr(url, "/f/")), NULL), 200);
	expect_problem(ask(site, &nobody, fmt("GET %s", strstr(late, "/f/")), NULL), 410, "gone", NULL);
	bad = strdup(strstr(url, "/f/"));
	bad[strlen(bad) - 1] ^= 1;
	expect(ask(site, &nobody, fmt("GET %s", bad), NULL), 404);
	free(bad);
	expect(ask(site, &nobody, fmt("GET /f/%s", id), NULL), 404);
	expect(ask(site, &nobody, fmt("GET /f/%s?exp=9999999999999&sig=", id), NULL), 404);
	expect(ask(site, &owner, fmt("DELETE /api/v1/assets/%s", id), NULL), 204);
	expect(ask(site, &nobody, fmt("GET %s", strstr(url, "/f/")), NULL), 404);
	atl_arena_finish(&arena);
}

static uint32_t little(const char *data, unsigned bytes)
{
	uint32_t value = 0;

	while (bytes--)
		value = value << 8 | (unsigned char)data[bytes];
	return value;
}

static void test_zip(void **state)
{
	struct site *site = *state;
	const char *a = generate(site, &owner, "good.png", (struct atl_asset_new){ .prompt = "first" });
	const char *b = generate(site, &owner, "good.jpg", (struct atl_asset_new){ .prompt = "second \u00e4" });
	const char *foreign = make_asset(site, &other, "good.png");
	struct atl_req *req = expect(ask(site, &owner, fmt("GET /api/v1/assets/zip?ids=%s,%s,%s", a, foreign, b), NULL), 200);
	struct atl_buf png = load_picture("good.png");
	const char *data = req->out.data, *end = data + req->out.length - 22;
	size_t name = little(data + 26, 2);

	assert_string_equal(atl_mock_header(req, "Content-Type"), "application/zip");
	assert_int_equal(little(data, 4), 0x04034b50);
	assert_int_equal(little(data + 14, 4), atl_crc32(0, png.data, png.length));
	assert_int_equal(little(data + 18, 4), png.length);
	assert_memory_equal(data + 30, "first-", 6);
	assert_memory_equal(data + 30 + name, png.data, png.length);
	assert_int_equal(little(end, 4), 0x06054b50);
	assert_int_equal(little(end + 10, 2), 2);
	assert_int_equal(little(end + 16, 4) + little(end + 12, 4), end - data);
	assert_int_equal(little(data + little(end + 16, 4), 4), 0x02014b50);
	expect(ask(site, &other, fmt("GET /api/v1/assets/zip?ids=%s", a), NULL), 404);
	expect_problem(ask(site, &owner, "GET /api/v1/assets/zip", NULL), 400, "invalid_request", "ids");
	req = expect(ask(site, &owner, "POST /api/v1/assets/zip", fmt("{\"ids\":[\"%s\"]}", b)), 200);
	assert_int_equal(little(req->out.data, 4), 0x04034b50);
	atl_buf_finish(&png);
}

static int setup(void **state)
{
	site_setup(state);
	person_create(*state, "Otto", ATL_ROLE_MEMBER, &other);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_upload),	   cmocka_unit_test(test_files),     cmocka_unit_test(test_filters),
		cmocka_unit_test(test_pages),	   cmocka_unit_test(test_patch),     cmocka_unit_test(test_details),
		cmocka_unit_test(test_upload_keeps_the_mark),
		cmocka_unit_test(test_lineage),	   cmocka_unit_test(test_five_edits), cmocka_unit_test(test_trash),
		cmocka_unit_test(test_files_go),
		cmocka_unit_test(test_leftovers),  cmocka_unit_test(test_bulk),	     cmocka_unit_test(test_facets),
		cmocka_unit_test(test_duplicates), cmocka_unit_test(test_addresses), cmocka_unit_test(test_zip),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
