/* Characters: cards and their unknown keys, versions, copies, lists, deletion; avatars through the decoder child. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "support.h"

#define CARD                                                                                                          \
	"{\"name\":\"Ada\",\"description\":\"A mathematician. She likes engines.\",\"personality\":\"dry\","            \
	"\"first_mes\":\"Hello {{user}}.\",\"tags\":[\"science\",\"history\"],\"creator_notes\":\"\","                  \
	"\"extensions\":{\"depth_prompt\":{\"depth\":4},\"x/y\":[1,2.5,null,true]},\"made_up_key\":{\"kept\":\"yes\"}}"

static const char *create(struct site *site, const char *body)
{
	return text_at(expect(ask(site, &owner, "POST /api/v1/characters", body), 201), "id");
}

static struct atl_req *get(struct site *site, const char *id)
{
	return expect(ask(site, &owner, fmt("GET /api/v1/characters/%s", id), NULL), 200);
}

static void test_create(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "POST /api/v1/characters",
					 "{\"card\":" CARD ",\"model\":\"local/x.gguf\",\"sampling\":{\"temperature\":0.5}}"), 201);

	assert_string_equal(atl_mock_header(req, "ETag"), "\"1\"");
	assert_string_equal(text_at(req, "name"), "Ada");
	assert_string_equal(text_at(req, "summary"), "A mathematician.");
	assert_string_equal(text_at(req, "tags.1"), "history");
	assert_string_equal(text_at(req, "model"), "local/x.gguf");
	assert_non_null(strstr(req->out.data, "\"temperature\":0.5"));
	assert_true(is_null_at(req, "avatar"));
	assert_true(is_null_at(req, "archived_at"));
	req = get(site, text_at(req, "id"));
	assert_non_null(strstr(req->out.data, "\"made_up_key\":{\"kept\":\"yes\"}"));
	assert_non_null(strstr(req->out.data, "\"x/y\":[1,2.5,null,true]"));
	/* a whole V2 file is taken for its data */
	req = expect(ask(site, &owner, "POST /api/v1/characters",
			 "{\"card\":{\"spec\":\"chara_card_v2\",\"spec_version\":\"2.0\",\"data\":" CARD "}}"), 201);
	assert_string_equal(text_at(req, "card.made_up_key.kept"), "yes");
	assert_string_equal(text_at(expect(ask(site, &owner, "POST /api/v1/characters", "{\"name\":\"Bo\"}"), 201), "card.name"), "Bo");
}

static void test_create_refuses(void **state)
{
	static const struct {
		const char *body, *field;
	} rows[] = {
		{ "{}", "card" },
		{ "{\"card\":{\"description\":\"no name\"}}", NULL },
		{ "{\"card\":{\"name\":\"\"}}", NULL },
		{ "{\"card\":{\"name\":7}}", NULL },
		{ "{\"card\":\"text\"}", NULL },
		{ "{\"card\":{\"name\":\"A\",\"tags\":\"x\"}}", NULL },
		{ "{\"card\":{\"name\":\"A\",\"alternate_greetings\":[7]}}", NULL },
		{ "{\"name\":\"A\",\"sampling\":{\"temperature\":99}}", NULL },
		{ "{\"name\":\"A\",\"sampling\":{\"wat\":1}}", NULL },
		{ "{\"name\":\"A\",\"colour\":\"red\"}", "colour" },
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		expect_problem(ask(*state, &owner, "POST /api/v1/characters", rows[i].body), 400, "invalid_request", rows[i].field);
}

static void test_patch_merges(void **state)
{
	struct site *site = *state;
	const char *id = create(site, "{\"card\":" CARD "}"), *line = fmt("PATCH /api/v1/characters/%s", id);
	struct atl_req *req = expect(ask(site, &owner, line,
					 "{\"card\":{\"personality\":\"warm\",\"tags\":[\"new\"],\"made_up_key\":null,\"other\":1}}"), 200);

	assert_int_equal(int_at(req, "version"), 2);
	assert_string_equal(text_at(req, "card.personality"), "warm");
	assert_string_equal(text_at(req, "card.first_mes"), "Hello {{user}}.");
	assert_int_equal(count_at(req, "tags"), 1);
	assert_null(strstr(req->out.data, "made_up_key"));
	assert_int_equal(int_at(req, "card.other"), 1);
	expect(ask(site, &owner, line, "{\"card\":{\"name\":null}}"), 400);
	req = expect(ask(site, &owner, line, "{\"card\":{\"name\":\"Augusta\"}}"), 200);
	assert_string_equal(text_at(req, "name"), "Augusta");
}

static void test_versions(void **state)
{
	static const char *const first[] = { "If-Match: \"1\"", NULL }, *const any[] = { "If-Match: *", NULL },
				 *const odd[] = { "If-Match: W/\"x\"", NULL };
	struct site *site = *state;
	const char *line = fmt("PATCH /api/v1/characters/%s", create(site, "{\"name\":\"V\"}"));

	expect(ask_with(site, &owner, first, line, "{\"card\":{\"personality\":\"a\"}}"), 200);
	expect_problem(ask_with(site, &owner, first, line, "{\"card\":{\"personality\":\"b\"}}"), 412, "precondition_failed", NULL);
	expect(ask_with(site, &owner, any, line, "{\"card\":{\"personality\":\"c\"}}"), 200);
	expect_problem(ask_with(site, &owner, odd, line, "{\"card\":{\"personality\":\"d\"}}"), 400, "invalid_request", "If-Match");
}

static void test_delete_and_restore(void **state)
{
	struct site *site = *state;
	const char *id = create(site, "{\"name\":\"Gone\"}");
	struct atl_req *req;

	expect(ask(site, &owner, fmt("DELETE /api/v1/characters/%s", id), NULL), 204);
	expect_problem(ask(site, &owner, fmt("GET /api/v1/characters/%s", id), NULL), 404, "not_found", NULL);
	expect(ask(site, &owner, fmt("PATCH /api/v1/characters/%s", id), "{\"name\":\"x\"}"), 404);
	expect(ask(site, &owner, fmt("DELETE /api/v1/characters/%s", id), NULL), 404);
	req = expect(ask(site, &owner, "GET /api/v1/characters?q=gone", NULL), 200);
	assert_int_equal(count_at(req, "items"), 0);
	expect(ask(site, &owner, fmt("POST /api/v1/characters/%s/restore", id), NULL), 200);
	get(site, id);
}

static void test_duplicate(void **state)
{
	struct site *site = *state;
	const char *id = create(site, "{\"card\":" CARD "}");
	struct atl_req *req = expect(ask(site, &owner, fmt("POST /api/v1/characters/%s/duplicate", id), NULL), 201);

	assert_string_not_equal(text_at(req, "id"), id);
	assert_string_equal(text_at(req, "card.made_up_key.kept"), "yes");
	expect(ask(site, &owner, fmt("DELETE /api/v1/characters/%s", id), NULL), 204);
	get(site, text_at(req, "id"));
}

static void test_lists(void **state)
{
	struct site *site = *state;
	const char *seen[16], *next = "", *umlaut;
	struct person user;
	struct atl_req *req;
	size_t count = 0;

	person_create(site, "Lister", ATL_ROLE_MEMBER, &user);
	for (int i = 0; i < 7; i++)
		expect(ask(site, &user, "POST /api/v1/characters",
			   fmt("{\"card\":{\"name\":\"List%d\",\"tags\":[\"%s\"]}}", i, i % 2 ? "odd 100%" : "Even")), 201);
	do {
		req = expect(ask(site, &user, fmt("GET /api/v1/characters?limit=3%s%s", *next ? "&after=" : "", next), NULL), 200);
		for (size_t i = 0; i < count_at(req, "items"); i++) {
			const char *id = text_at(req, fmt("items.%zu.id", i));

			for (size_t j = 0; j < count; j++)
				assert_string_not_equal(seen[j], id);
			assert_true(count < 16);
			seen[count++] = id;
		}
		next = text_at(req, "next");
	} while (*next);
	assert_int_equal(count, 7);
	assert_null(strstr(req->out.data, "\"card\""));
	assert_int_equal(count_at(ask(site, &user, "GET /api/v1/characters?tag=even", NULL), "items"), 4);
	assert_int_equal(count_at(ask(site, &user, "GET /api/v1/characters?tag=odd%20100%25", NULL), "items"), 3);
	assert_int_equal(count_at(ask(site, &user, "GET /api/v1/characters?tag=odd", NULL), "items"), 0);
	assert_int_equal(count_at(ask(site, &user, "GET /api/v1/characters?q=LIST3", NULL), "items"), 1);
	assert_int_equal(count_at(ask(site, &user, "GET /api/v1/characters?q=%25", NULL), "items"), 0);
	/* a capital outside ASCII is found as it is written, on both databases */
	umlaut = text_at(expect(ask(site, &user, "POST /api/v1/characters", "{\"card\":{\"name\":\"\u00c4da\",\"tags\":[\"\u00d6l\"]}}"), 201), "id");
	assert_int_equal(count_at(ask(site, &user, "GET /api/v1/characters?q=%C3%84D", NULL), "items"), 1);
	assert_int_equal(count_at(ask(site, &user, "GET /api/v1/characters?tag=%C3%96L", NULL), "items"), 1);
	expect(ask(site, &user, fmt("DELETE /api/v1/characters/%s", umlaut), NULL), 204);
	expect(ask(site, &user, fmt("PATCH /api/v1/characters/%s", seen[0]), "{\"archived\":true}"), 200);
	assert_int_equal(count_at(ask(site, &user, "GET /api/v1/characters", NULL), "items"), 6);
	assert_int_equal(count_at(ask(site, &user, "GET /api/v1/characters?archived=true", NULL), "items"), 1);
	expect_problem(ask(site, &user, "GET /api/v1/characters?limit=0", NULL), 400, "invalid_request", "limit");
	expect_problem(ask(site, &user, "GET /api/v1/characters?after=%21%21", NULL), 400, "invalid_request", "after");
}

/* ---- avatars ---- */

static struct atl_buf load(const char *name)
{
	const char *folder = getenv("ATELIER_PICTURES");
	struct atl_buf data;
	char chunk[4096];
	size_t got;
	FILE *file;

	assert_non_null(folder);
	file = fopen(fmt("%s/%s", folder, name), "rb");
	assert_non_null(file);
	atl_buf_init(&data, (size_t)32 << 20);
	while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		atl_buf_add(&data, chunk, got);
	fclose(file);
	return data;
}

static struct atl_req *put_avatar(struct site *site, const char *id, const void *data, size_t length)
{
	static const char *const type[] = { "Content-Type: image/png", NULL };

	return ask_data(site, &owner, type, fmt("PUT /api/v1/characters/%s/avatar", id), data, length);
}

static void test_avatars(void **state)
{
	static const char *const names[] = { "good.png", "good.jpg", "good.webp", "good.gif" };
	struct site *site = *state;
	const char *id = create(site, "{\"name\":\"Face\"}");
	struct person stranger;

	person_create(site, "Peeper", ATL_ROLE_MEMBER, &stranger);

	for (size_t i = 0; i < ATL_COUNT(names); i++) {
		struct atl_buf picture = load(names[i]);
		struct atl_req *req = expect(put_avatar(site, id, picture.data, picture.length), 200);
		const char *asset = text_at(req, "avatar.id"), *url = text_at(req, "avatar.url");
		static const char *const widths[] = { "", "?width=64", "?width=512" };

		assert_int_equal(int_at(req, "avatar.width"), 100);
		assert_int_equal(int_at(req, "avatar.height"), 80);
		assert_string_equal(url, fmt("/api/v1/assets/%s/file", asset));
		for (size_t w = 0; w < ATL_COUNT(widths); w++) {
			req = expect(ask(site, &owner, fmt("GET %s%s", url, widths[w]), NULL), 200);
			assert_string_equal(atl_mock_header(req, "Content-Type"), "image/webp");
			assert_non_null(strstr(atl_mock_header(req, "Cache-Control"), "immutable"));
		}
		expect(ask(site, &owner, fmt("GET %s?width=65", url), NULL), 400);
		expect(ask(site, &stranger, fmt("GET %s", url), NULL), 404);
		expect(ask(site, &stranger, fmt("GET %s?width=64", url), NULL), 404);
		atl_buf_finish(&picture);
	}
	expect(ask(site, &owner, fmt("DELETE /api/v1/characters/%s/avatar", id), NULL), 200);
	assert_true(is_null_at(get(site, id), "avatar"));
}

static void test_bad_pictures(void **state)
{
	struct site *site = *state;
	const char *id = create(site, "{\"name\":\"Mask\"}");
	struct atl_buf good = load("good.png"), bomb = load("bomb.png"), jpg = load("good.jpg");

	expect_problem(put_avatar(site, id, "this is no picture", 18), 422, "bad_picture", NULL);
	expect_problem(put_avatar(site, id, "<svg xmlns=\"http://www.w3.org/2000/svg\"/>", 41), 422, "bad_picture", NULL);
	expect_problem(put_avatar(site, id, good.data, 60), 422, "bad_picture", NULL);
	expect_problem(put_avatar(site, id, jpg.data, 40), 422, "bad_picture", NULL);
	expect_problem(put_avatar(site, id, bomb.data, bomb.length), 422, "bad_picture", NULL);
	assert_true(is_null_at(get(site, id), "avatar"));
	expect(put_avatar(site, id, good.data, good.length), 200); /* and the server goes on */
	atl_buf_finish(&good);
	atl_buf_finish(&bomb);
	atl_buf_finish(&jpg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),		 cmocka_unit_test(test_create_refuses),
		cmocka_unit_test(test_patch_merges),	 cmocka_unit_test(test_versions),
		cmocka_unit_test(test_delete_and_restore), cmocka_unit_test(test_duplicate),
		cmocka_unit_test(test_lists),		 cmocka_unit_test(test_avatars),
		cmocka_unit_test(test_bad_pictures),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
