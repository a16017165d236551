/* Conversations: greetings, fields, order and pages of the list, deletion; personas and folders beside them. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "support.h"

#define GREETER                                                                                                       \
	"{\"card\":{\"name\":\"Mia\",\"first_mes\":\"Hi {{user}}, I am {{char}}.\","                                     \
	"\"alternate_greetings\":[\"Second for {{user}}\",\"Third\"]}}"

static struct atl_req *get(struct site *site, const struct person *who, const char *id)
{
	return expect(ask(site, who, fmt("GET /api/v1/conversations/%s", id), NULL), 200);
}

static struct atl_req *patch(struct site *site, const struct person *who, const char *id, const char *body, int status)
{
	return expect(ask(site, who, fmt("PATCH /api/v1/conversations/%s", id), body), status);
}

static void test_plain(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "POST /api/v1/conversations", "{}"), 201);

	assert_string_equal(atl_mock_header(req, "ETag"), "\"1\"");
	assert_true(is_null_at(req, "character"));
	assert_true(is_null_at(req, "head_id"));
	assert_int_equal(int_at(req, "message_count"), 0);
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages", text_at(req, "id")), NULL), 200);
	assert_int_equal(count_at(req, "items"), 0);
	assert_int_equal(int_at(req, "more"), 0);
	expect_problem(ask(site, &owner, "POST /api/v1/conversations", "{\"character_id\":\"chr_00000000000000000000000000\"}"),
		       400, "invalid_request", "character_id");
}

static void test_greetings(void **state)
{
	struct site *site = *state;
	const char *character, *conversation, *first;
	struct atl_req *req;

	expect(ask(site, &owner, "POST /api/v1/personas", "{\"name\":\"Captain\",\"is_default\":true}"), 201);
	character = text_at(expect(ask(site, &owner, "POST /api/v1/characters", GREETER), 201), "id");
	req = expect(ask(site, &owner, "POST /api/v1/conversations", fmt("{\"character_id\":\"%s\"}", character)), 201);
	conversation = text_at(req, "id");
	assert_string_equal(text_at(req, "character.name"), "Mia");
	assert_null(strstr(req->out.data, "first_mes"));
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages", conversation), NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	first = text_at(req, "items.0.id");
	assert_string_equal(text_at(req, "items.0.role"), "assistant");
	assert_string_equal(text_at(req, "items.0.content"), "Hi Captain, I am Mia.");
	assert_true(is_null_at(req, "items.0.parent_id"));
	assert_int_equal(count_at(req, "items.0.siblings"), 3);
	assert_string_equal(text_at(req, "items.0.siblings.0"), first);
	req = expect(ask(site, &owner, fmt("GET /api/v1/messages/%s", text_at(req, "items.0.siblings.1")), NULL), 200);
	assert_string_equal(text_at(req, "content"), "Second for Captain");
	/* swiping changes what is shown, and back */
	expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/select", text_at(req, "id")), NULL), 200);
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages", conversation), NULL), 200);
	assert_string_equal(text_at(req, "items.0.content"), "Second for Captain");
	/* a greeting has nothing to be written again from */
	expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/regenerate", first), NULL), 409);
}

static void test_patch(void **state)
{
	static const char *const first[] = { "If-Match: \"1\"", NULL };
	struct site *site = *state;
	const char *id = make_conversation(site, &owner, NULL), *folder, *persona;
	struct atl_req *req;

	folder = text_at(expect(ask(site, &owner, "POST /api/v1/folders", "{\"name\":\"Work\"}"), 201), "id");
	persona = text_at(expect(ask(site, &owner, "POST /api/v1/personas", "{\"name\":\"Bob\"}"), 201), "id");
	req = patch(site, &owner, id, fmt("{\"title\":\"New title\",\"pinned\":true,\"archived\":true,\"folder_id\":\"%s\","
					  "\"persona_id\":\"%s\",\"model\":\"a/b\",\"sampling\":{\"top_k\":5}}", folder, persona), 200);
	assert_string_equal(text_at(req, "title"), "New title");
	assert_string_equal(text_at(req, "folder_id"), folder);
	assert_string_equal(text_at(req, "persona_id"), persona);
	assert_string_equal(text_at(req, "model"), "a/b");
	assert_string_equal(text_at(req, "effective_model"), "a/b");
	assert_int_equal(int_at(req, "sampling.top_k"), 5);
	assert_false(is_null_at(req, "pinned_at"));
	assert_false(is_null_at(req, "archived_at"));
	assert_int_equal(int_at(req, "version"), 2);
	expect_problem(ask_with(site, &owner, first, fmt("PATCH /api/v1/conversations/%s", id), "{\"pinned\":false}"), 412,
		       "precondition_failed", NULL);
	req = patch(site, &owner, id, "{\"pinned\":false,\"archived\":false,\"folder_id\":null,\"model\":null,\"sampling\":{}}", 200);
	assert_true(is_null_at(req, "pinned_at"));
	assert_true(is_null_at(req, "folder_id"));
	assert_true(is_null_at(req, "model"));
	assert_string_equal(text_at(req, "effective_model"), "scripted/first");
	assert_string_equal(text_at(req, "title"), "New title");
	patch(site, &owner, id, "{\"folder_id\":\"fld_00000000000000000000000000\"}", 400);
	patch(site, &owner, id, "{\"title\":\"\"}", 400);
	patch(site, &owner, id, "{\"tittle\":\"x\"}", 400);
}

/* The conversation's own model, else the character's, else the default; in lists each its own. */
static void test_effective_model(void **state)
{
	struct site *site = *state;
	const char *character = text_at(expect(ask(site, &owner, "POST /api/v1/characters", "{\"name\":\"M\",\"model\":\"c/d\"}"), 201), "id");
	const char *first = make_conversation(site, &owner, character), *second = make_conversation(site, &owner, character);
	struct atl_req *req;

	make_conversation(site, &owner, NULL);
	patch(site, &owner, first, "{\"model\":\"e/f\"}", 200);
	assert_string_equal(text_at(get(site, &owner, first), "effective_model"), "e/f");
	assert_string_equal(text_at(get(site, &owner, second), "effective_model"), "c/d");
	req = expect(ask(site, &owner, "GET /api/v1/conversations?limit=3", NULL), 200);
	for (int i = 0; i < 3; i++) {
		const char *id = text_at(req, fmt("items.%d.id", i)), *model = text_at(req, fmt("items.%d.effective_model", i));

		assert_string_equal(model, strcmp(id, first) == 0 ? "e/f" : strcmp(id, second) == 0 ? "c/d" : "scripted/first");
	}
}

static const char *listed(struct site *site, const struct person *who, const char *query, int index)
{
	struct atl_req *req = expect(ask(site, who, fmt("GET /api/v1/conversations%s", query), NULL), 200);

	return text_at(req, fmt("items.%d.id", index));
}

static void test_list(void **state)
{
	struct site *site = *state;
	const char *ids[5], *next = "", *folder;
	struct person user, other;
	struct atl_req *req;
	int seen = 0;

	person_create(site, "Lena", ATL_ROLE_MEMBER, &user);
	person_create(site, "Otto", ATL_ROLE_MEMBER, &other);
	make_conversation(site, &other, NULL);
	for (int i = 0; i < 5; i++) {
		ids[i] = make_conversation(site, &user, NULL);
		patch(site, &user, ids[i], fmt("{\"title\":\"Talk %d\"}", i), 200);
		/* so that the order does not hang on a clock of milliseconds */
		execute(site->app.db, fmt("UPDATE conversations SET active_at = %d WHERE id = '%s'", 1000 + i, ids[i]));
	}
	assert_string_equal(listed(site, &user, "", 0), ids[4]);
	patch(site, &user, ids[1], "{\"pinned\":true}", 200);
	assert_string_equal(listed(site, &user, "", 0), ids[1]);
	assert_string_equal(listed(site, &user, "", 1), ids[4]);
	assert_string_equal(listed(site, &user, "?pinned=true", 0), ids[1]);
	assert_string_equal(listed(site, &user, "?pinned=true", 1), "");
	add_message(site, &user, ids[0], "Up again");
	assert_string_equal(listed(site, &user, "", 1), ids[0]);
	assert_string_equal(listed(site, &user, "?q=TALK%203", 0), ids[3]);
	assert_string_equal(listed(site, &user, "?q=TALK%203", 1), "");
	folder = text_at(expect(ask(site, &user, "POST /api/v1/folders", "{\"name\":\"Box\"}"), 201), "id");
	patch(site, &user, ids[2], fmt("{\"folder_id\":\"%s\"}", folder), 200);
	assert_string_equal(listed(site, &user, fmt("?folder_id=%s", folder), 0), ids[2]);
	patch(site, &user, ids[3], "{\"archived\":true}", 200);
	assert_string_equal(listed(site, &user, "?archived=true", 0), ids[3]);
	do {
		req = expect(ask(site, &user, fmt("GET /api/v1/conversations?limit=1%s%s", *next ? "&after=" : "", next), NULL), 200);
		seen += (int)count_at(req, "items");
		next = text_at(req, "next");
		assert_true(seen < 10);
	} while (*next);
	assert_int_equal(seen, 4);
	/* without its folder a conversation is unfiled, not gone */
	expect(ask(site, &user, fmt("DELETE /api/v1/folders/%s", folder), NULL), 204);
	assert_true(is_null_at(get(site, &user, ids[2]), "folder_id"));
}

static void test_delete_and_restore(void **state)
{
	struct site *site = *state;
	const char *character = text_at(expect(ask(site, &owner, "POST /api/v1/characters", GREETER), 201), "id");
	const char *id = make_conversation(site, &owner, character);
	const char *message = text_at(get(site, &owner, id), "head_id");

	expect(ask(site, &owner, fmt("DELETE /api/v1/conversations/%s", id), NULL), 204);
	expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s", id), NULL), 404);
	expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages", id), NULL), 404);
	expect(ask(site, &owner, fmt("GET /api/v1/messages/%s", message), NULL), 404);
	expect(ask(site, &owner, fmt("POST /api/v1/conversations/%s/messages", id), "{\"content\":\"x\"}"), 404);
	expect(ask(site, &owner, fmt("POST /api/v1/conversations/%s/restore", id), NULL), 200);
	expect(ask(site, &owner, fmt("GET /api/v1/messages/%s", message), NULL), 200);
	/* a conversation outlives its character */
	expect(ask(site, &owner, fmt("DELETE /api/v1/characters/%s", character), NULL), 204);
	assert_true(is_null_at(get(site, &owner, id), "character"));
}

static void test_personas(void **state)
{
	static const char *const second[] = { "If-Match: \"9\"", NULL };
	struct site *site = *state;
	struct person user;
	const char *one, *two;
	struct atl_req *req;

	person_create(site, "Pia", ATL_ROLE_MEMBER, &user);
	req = expect(ask(site, &user, "POST /api/v1/personas", "{\"name\":\"One\",\"description\":\"Tall.\",\"is_default\":true}"), 201);
	one = text_at(req, "id");
	two = text_at(expect(ask(site, &user, "POST /api/v1/personas", "{\"name\":\"Two\"}"), 201), "id");
	req = expect(ask(site, &user, fmt("PATCH /api/v1/personas/%s", two), "{\"is_default\":true}"), 200);
	assert_int_equal(int_at(req, "is_default"), 1);
	req = expect(ask(site, &user, "GET /api/v1/personas", NULL), 200);
	assert_string_equal(text_at(req, "items.0.id"), two);
	assert_int_equal(int_at(req, "items.1.is_default"), 0);
	assert_string_equal(text_at(req, "items.1.description"), "Tall.");
	expect_problem(ask_with(site, &user, second, fmt("PATCH /api/v1/personas/%s", one), "{\"name\":\"x\"}"), 412,
		       "precondition_failed", NULL);
	expect_problem(ask(site, &user, "POST /api/v1/personas", "{\"description\":\"x\"}"), 400, "invalid_request", "name");
	expect(ask(site, &user, fmt("DELETE /api/v1/personas/%s", one), NULL), 204);
	expect(ask(site, &user, fmt("GET /api/v1/personas/%s", one), NULL), 404);
	expect(ask(site, &user, fmt("POST /api/v1/personas/%s/restore", one), NULL), 200);
	expect(ask(site, &user, fmt("GET /api/v1/personas/%s", one), NULL), 200);
}

static void test_folders(void **state)
{
	struct site *site = *state;
	const char *id = text_at(expect(ask(site, &owner, "POST /api/v1/folders", "{\"name\":\"A\"}"), 201), "id");
	struct atl_req *req = expect(ask(site, &owner, fmt("PATCH /api/v1/folders/%s", id), "{\"name\":\"B\"}"), 200);

	assert_string_equal(text_at(req, "name"), "B");
	expect_problem(ask(site, &owner, "POST /api/v1/folders", "{\"name\":\"\"}"), 400, "invalid_request", "name");
	req = expect(ask(site, &owner, "GET /api/v1/folders", NULL), 200);
	assert_non_null(strstr(req->out.data, id));
	expect(ask(site, &owner, fmt("DELETE /api/v1/folders/%s", id), NULL), 204);
	expect(ask(site, &owner, fmt("PATCH /api/v1/folders/%s", id), "{\"name\":\"B\"}"), 404);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain), cmocka_unit_test(test_greetings), cmocka_unit_test(test_patch),
		cmocka_unit_test(test_effective_model),
		cmocka_unit_test(test_list),  cmocka_unit_test(test_delete_and_restore), cmocka_unit_test(test_personas),
		cmocka_unit_test(test_folders),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
