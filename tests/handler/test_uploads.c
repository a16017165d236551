/* Uploads in pieces: offsets, breaks and restarts, what is refused, what is left behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "core/pictures/upload.h"
#include "support.h"

static const char *begin(struct site *site, const struct person *who, size_t size)
{
	return text_at(expect(ask(site, who, "POST /api/v1/uploads", fmt("{\"size_bytes\":%zu}", size)), 201), "id");
}

static struct atl_req *piece(struct site *site, const struct person *who, const char *id, size_t offset, const void *data,
			     size_t length)
{
	const char *const more[] = { "Content-Type: application/octet-stream", fmt("Upload-Offset: %zu", offset), NULL };

	return ask_data(site, who, more, fmt("PATCH /api/v1/uploads/%s", id), data, length);
}

static bool part_exists(struct site *site, const char *id)
{
	struct stat st;

	return stat(fmt("%s/%s.part", site->upload_dir, id), &st) == 0;
}

static void test_pieces(void **state)
{
	struct site *site = *state;
	struct atl_buf data = load_picture("good.png");
	const char *id = begin(site, &owner, data.length);
	struct atl_req *req;

	expect_problem(ask(site, &owner, fmt("POST /api/v1/uploads/%s/finish", id), NULL), 409, "conflict", NULL);
	req = expect(piece(site, &owner, id, 0, data.data, 50), 200);
	assert_string_equal(atl_mock_header(req, "Upload-Offset"), "50");
	expect_problem(piece(site, &owner, id, 0, data.data, 50), 409, "conflict", "Upload-Offset");
	expect_problem(piece(site, &owner, id, 60, data.data, 50), 409, "conflict", "Upload-Offset");
	expect_problem(piece(site, &owner, id, 50, data.data, data.length), 413, "too_large", NULL);
	site_restart(site); /* the piece and the place are still known */
	assert_int_equal(int_at(expect(ask(site, &owner, fmt("GET /api/v1/uploads/%s", id), NULL), 200), "received_bytes"), 50);
	expect(piece(site, &owner, id, 50, data.data + 50, data.length - 50), 200);
	req = expect(ask(site, &owner, fmt("POST /api/v1/uploads/%s/finish", id), NULL), 201);
	assert_int_equal(int_at(req, "width"), 100);
	expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/file", text_at(req, "id")), NULL), 200);
	expect(ask(site, &owner, fmt("GET /api/v1/uploads/%s", id), NULL), 404);
	assert_false(part_exists(site, id));
	atl_buf_finish(&data);
}

/* A piece that was written but not counted, as a kill leaves it, is written again. */
static void test_half_piece(void **state)
{
	struct site *site = *state;
	struct atl_buf data = load_picture("good.jpg");
	const char *id = begin(site, &owner, data.length);

	expect(piece(site, &owner, id, 0, data.data, 40), 200);
	expect(piece(site, &owner, id, 40, "wrong wrong wrong", 17), 200);
	execute(site->app.db, fmt("UPDATE uploads SET received_bytes = 40 WHERE id = '%s'", id));
	expect(piece(site, &owner, id, 40, data.data + 40, data.length - 40), 200);
	expect(ask(site, &owner, fmt("POST /api/v1/uploads/%s/finish?library=false", id), NULL), 201);
	atl_buf_finish(&data);
}

static void test_refuses(void **state)
{
	static const char *const no_offset[] = { "Content-Type: application/octet-stream", NULL };
	struct site *site = *state;
	const char *id = begin(site, &owner, 20);

	expect_problem(ask(site, &owner, "POST /api/v1/uploads", "{\"size_bytes\":0}"), 400, "invalid_request", "size_bytes");
	expect_problem(ask(site, &owner, "POST /api/v1/uploads", "{\"size_bytes\":600000000}"), 413, "too_large", "size_bytes");
	expect_problem(ask_data(site, &owner, no_offset, fmt("PATCH /api/v1/uploads/%s", id), "x", 1), 400, "invalid_request",
		       "Upload-Offset");
	expect_problem(piece(site, &owner, id, 0, "", 0), 400, "invalid_request", NULL);
	/* no picture: refused at the end, and gone */
	expect(piece(site, &owner, id, 0, "this is no picture..", 20), 200);
	expect_problem(ask(site, &owner, fmt("POST /api/v1/uploads/%s/finish", id), NULL), 422, "bad_picture", NULL);
	expect(ask(site, &owner, fmt("GET /api/v1/uploads/%s", id), NULL), 404);
	assert_false(part_exists(site, id));
}

static void test_leftovers(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct person other;
	const char *id = begin(site, &owner, 100), *fresh = begin(site, &owner, 100), *lost;

	person_create(site, "Otto", ATL_ROLE_MEMBER, &other);
	expect(piece(site, &owner, id, 0, "0123456789", 10), 200);
	expect(piece(site, &owner, fresh, 0, "0123456789", 10), 200);
	expect(piece(site, &other, id, 10, "0123456789", 10), 404);
	expect(ask(site, &other, fmt("DELETE /api/v1/uploads/%s", id), NULL), 404);
	assert_true(part_exists(site, id));
	execute(site->app.db, fmt("UPDATE uploads SET updated_at = 1000 WHERE id = '%s'", id));
	assert_ok(atl_uploads_purge(&site->app, &info), &info);
	expect(ask(site, &owner, fmt("GET /api/v1/uploads/%s", id), NULL), 404);
	assert_false(part_exists(site, id));
	expect(ask(site, &owner, fmt("GET /api/v1/uploads/%s", fresh), NULL), 200);
	/* a file whose row is gone */
	lost = begin(site, &owner, 100);
	expect(piece(site, &owner, lost, 0, "0123456789", 10), 200);
	execute(site->app.db, fmt("DELETE FROM uploads WHERE id = '%s'", lost));
	assert_ok(atl_uploads_recover(&site->app, &info), &info);
	assert_false(part_exists(site, lost));
	assert_true(part_exists(site, fresh));
	expect(ask(site, &owner, fmt("DELETE /api/v1/uploads/%s", fresh), NULL), 204);
	assert_false(part_exists(site, fresh));
}

/* ---- videos ---- */

static void put_box(struct atl_buf *out, const char *type, const void *data, size_t length)
{
	const unsigned char size[4] = { 0, 0, (unsigned char)((length + 8) >> 8), (unsigned char)(length + 8) };

	atl_buf_add(out, size, 4);
	atl_buf_adds(out, type);
	atl_buf_add(out, data, length);
}

/* What is no film inside is refused by the sandbox, whatever its first bytes say. */
static void test_false_video(void **state)
{
	struct site *site = *state;
	struct atl_buf data;
	const char *id;

	atl_buf_init(&data, 4096);
	put_box(&data, "ftyp", "isom\0\0\2\0isomiso2", 16);
	put_box(&data, "moov", "", 0);
	id = begin(site, &owner, data.length);
	expect(piece(site, &owner, id, 0, data.data, data.length), 200);
	expect_problem(ask(site, &owner, fmt("POST /api/v1/uploads/%s/finish", id), NULL), 422, "bad_picture", NULL);
	atl_buf_finish(&data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),	  cmocka_unit_test(test_half_piece),  cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_leftovers), cmocka_unit_test(test_false_video),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
