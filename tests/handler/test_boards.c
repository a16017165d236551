/* Boards: made, renamed, deleted, each person's own; what is on them stays. */
#include <string.h>

#include "base/str.h"
#include "support.h"

static void put_on(struct site *site, const struct person *who, const char *board, const char *asset, int changed)
{
	struct atl_req *req = ask(site, who, "POST /api/v1/assets/bulk",
				  fmt("{\"ids\":[\"%s\"],\"action\":\"board\",\"value\":\"%s\"}", asset, board));

	assert_int_equal(int_at(expect(req, 200), "changed"), changed);
}

static void test_life(void **state)
{
	struct site *site = *state;
	const char *asset = make_asset(site, &owner, "good.png"), *id;
	struct atl_req *req;

	ears_open(site, owner.id);
	id = text_at(expect(ask(site, &owner, "POST /api/v1/boards", "{\"name\":\"Sea\"}"), 201), "id");
	ears_wait(site, "board.changed", id);
	assert_true(is_null_at(expect(ask(site, &owner, "GET /api/v1/boards", NULL), 200), "items.0.cover_id"));
	ears_clear(site);
	put_on(site, &owner, id, asset, 1);
	ears_wait(site, "board.changed", id);
	ears_close(site);
	req = expect(ask(site, &owner, "GET /api/v1/boards", NULL), 200);
	assert_string_equal(text_at(req, "items.0.name"), "Sea");
	assert_int_equal(int_at(req, "items.0.count"), 1);
	assert_string_equal(text_at(req, "items.0.cover_id"), asset);
	req = expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/details", asset), NULL), 200);
	assert_string_equal(text_at(req, "boards.0.name"), "Sea");
	expect(ask(site, &owner, fmt("DELETE /api/v1/assets/%s", asset), NULL), 204);
	assert_int_equal(int_at(expect(ask(site, &owner, "GET /api/v1/boards", NULL), 200), "items.0.count"), 0);
	expect(ask(site, &owner, fmt("POST /api/v1/assets/%s/restore", asset), NULL), 200);
	assert_int_equal(int_at(expect(ask(site, &owner, "GET /api/v1/boards", NULL), 200), "items.0.count"), 1);
	req = expect(ask(site, &owner, fmt("PATCH /api/v1/boards/%s", id), "{\"name\":\"Ocean\"}"), 200);
	assert_string_equal(text_at(req, "name"), "Ocean");
	expect(ask(site, &owner, fmt("DELETE /api/v1/boards/%s", id), NULL), 204);
	expect(ask(site, &owner, fmt("DELETE /api/v1/boards/%s", id), NULL), 404);
	expect(ask(site, &owner, fmt("GET /api/v1/assets/%s", asset), NULL), 200);
}

static void test_refuses(void **state)
{
	expect_problem(ask(*state, &owner, "POST /api/v1/boards", "{}"), 400, "invalid_request", "name");
	expect_problem(ask(*state, &owner, "POST /api/v1/boards", "{\"name\":\"\"}"), 400, "invalid_request", "name");
	expect(ask(*state, &owner, "PATCH /api/v1/boards/brd_none", "{\"name\":\"x\"}"), 404);
}

static void test_others(void **state)
{
	struct site *site = *state;
	struct person other;
	const char *board, *mine, *theirs;

	person_create(site, "Otto", ATL_ROLE_MEMBER, &other);
	board = text_at(expect(ask(site, &owner, "POST /api/v1/boards", "{\"name\":\"Mine\"}"), 201), "id");
	mine = make_asset(site, &owner, "good.png");
	theirs = make_asset(site, &other, "good.png");
	put_on(site, &other, board, theirs, 0);
	put_on(site, &other, board, mine, 0);
	put_on(site, &owner, board, theirs, 0);
	assert_int_equal(count_at(expect(ask(site, &other, "GET /api/v1/boards", NULL), 200), "items"), 0);
	expect(ask(site, &other, fmt("DELETE /api/v1/boards/%s", board), NULL), 404);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
