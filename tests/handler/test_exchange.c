/* Conversations as files: out and in again without loss, SillyTavern, ChatGPT, refusals. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/safety/policy.h"
#include "support.h"

#define IMPORT "POST /api/v1/conversations/import"

/* The file as text; the site's memory. */
static const char *exported(struct site *site, const char *id, const char *format)
{
	struct atl_req *req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/export%s%s", id,
							   format ? "?format=" : "", format ? format : ""), NULL), 200);

	return fmt("%.*s", (int)req->out.length, req->out.data);
}

static const char *imported(struct site *site, const char *file)
{
	struct atl_req *req = expect(ask(site, &owner, IMPORT, file), 201);

	assert_int_equal(count_at(req, "items"), 1);
	assert_int_equal(int_at(req, "skipped"), 0);
	assert_true(is_null_at(req, "skipped_reason"));
	return text_at(req, "items.0.id");
}

static const char *path(struct site *site, const char *conversation)
{
	struct atl_req *req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages", conversation), NULL), 200);
	const char *all = "";

	for (size_t i = 0; i < count_at(req, "items"); i++)
		all = fmt("%s%s%s", all, i ? " " : "", text_at(req, fmt("items.%zu.content", i)));
	return all;
}

static const char *add_below(struct site *site, const char *conversation, const char *parent, const char *content)
{
	struct atl_req *req = ask(site, &owner, fmt("POST /api/v1/conversations/%s/messages", conversation),
				  fmt("{\"content\":\"%s\",\"parent_id\":\"%s\",\"reply\":false}", content, parent));

	return text_at(expect(req, 202), "message.id");
}

/* Two branches below one root, each looked at somewhere; one message deleted. */
static const char *make_tree(struct site *site, const char *character, const char **ret_first)
{
	const char *conversation = make_conversation(site, &owner, character), *root, *gone;

	root = add_message(site, &owner, conversation, "root");
	*ret_first = add_below(site, conversation, root, "a");
	add_message(site, &owner, conversation, "a1 \\\"quoted\\\" \\n caf\xc3\xa9");
	add_below(site, conversation, *ret_first, "a2");
	add_below(site, conversation, root, "b");
	add_message(site, &owner, conversation, "b1");
	gone = add_message(site, &owner, conversation, "gone");
	expect(ask(site, &owner, fmt("DELETE /api/v1/messages/%s", gone), NULL), 204);
	execute(site->app.db, fmt("UPDATE messages SET reasoning = 'because', model = 'local/x', role = 'assistant' "
				  "WHERE id = '%s'", *ret_first));
	return conversation;
}

static void test_round_trip(void **state)
{
	struct site *site = *state;
	const char *first, *character = make_character(site, &owner, "Round Ada"), *back, *text, *other = "";
	const char *conversation = make_tree(site, character, &first);
	struct atl_req *req;

	expect(ask(site, &owner, fmt("PATCH /api/v1/conversations/%s", conversation), "{\"title\":\"Tea / \\\"caf\xc3\xa9\\\"\"}"), 200);
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/export", conversation), NULL), 200);
	assert_string_equal(atl_mock_header(req, "Content-Disposition"),
			    "attachment; filename=\"Tea-caf.json\"; filename*=UTF-8''Tea%20-%20-caf%C3%A9-.json");
	text = exported(site, conversation, NULL);
	assert_string_equal(exported(site, conversation, "atelier"), text);
	assert_null(strstr(text, "gone"));
	ears_open(site, owner.id);
	back = imported(site, text);
	ears_wait(site, "conversation.created", back);
	ears_close(site);
	assert_string_not_equal(back, conversation);
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s", back), NULL), 200);
	assert_string_equal(text_at(req, "title"), "Tea / \"caf\xc3\xa9\"");
	assert_string_equal(text_at(req, "character.id"), character);
	/* the character's greeting is not said again: what is there is what was in the file */
	assert_int_equal(int_at(req, "message_count"),
			 number_of(site->app.db, fmt("SELECT count(*) FROM messages WHERE conversation_id = '%s' AND deleted_at IS NULL",
						     conversation)));
	assert_string_equal(path(site, back), path(site, conversation));
	assert_string_equal(exported(site, back, NULL), text);
	/* the branch that is not shown remembers its way, too */
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages", back), NULL), 200);
	for (size_t i = 0; i < count_at(req, "items"); i++)
		if (strcmp(text_at(req, fmt("items.%zu.content", i)), "b") == 0)
			other = text_at(req, fmt("items.%zu.siblings.0", i));
	assert_string_not_equal(other, "");
	expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/select", other), NULL), 200);
	expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/select", first), NULL), 200);
	assert_string_equal(path(site, back), path(site, conversation));
	assert_non_null(strstr(path(site, back), "a2"));
}

static void test_tavern(void **state)
{
	struct site *site = *state;
	const char *id = imported(site, "{\"user_name\":\"U\",\"character_name\":\"Nobody here\",\"chat_metadata\":{}}\n"
					"{\"name\":\"N\",\"is_user\":false,\"mes\":\"hi\",\"send_date\":1700000000123,"
					"\"swipes\":[\"hello\",\"hi\",\"hey\"],\"swipe_id\":1}\n"
					"{\"name\":\"U\",\"is_user\":true,\"mes\":\"yes\",\"send_date\":\"long ago\"}\n");
	struct atl_req *req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s", id), NULL), 200);
	const char *text, *shown;

	assert_string_equal(text_at(req, "title"), "Nobody here");
	assert_true(is_null_at(req, "character"));
	assert_int_equal(int_at(req, "message_count"), 4);
	assert_string_equal(path(site, id), "hi yes");
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages", id), NULL), 200);
	assert_int_equal(count_at(req, "items.0.siblings"), 3);
	shown = text_at(req, "items.0.id");
	assert_string_equal(text_at(req, "items.0.siblings.1"), shown);
	assert_string_equal(text_at(req, "items.0.created_at"), "2023-11-14T22:13:20.123Z");
	assert_string_equal(text_at(req, "items.0.role"), "assistant");
	/* swiping works, and what was said below stays below */
	expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/select", text_at(req, "items.0.siblings.0")), NULL), 200);
	assert_string_equal(path(site, id), "hello");
	expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/select", shown), NULL), 200);
	assert_string_equal(path(site, id), "hi yes");
	text = exported(site, id, "sillytavern");
	assert_non_null(strstr(text, "\"swipe_id\":1,\"swipes\":[\"hello\",\"hi\",\"hey\"]"));
	assert_string_equal(path(site, imported(site, text)), "hi yes");
	assert_non_null(strstr(exported(site, id, "text"), "hi\n\nYou ("));
	expect_problem(ask(site, &owner, fmt("GET /api/v1/conversations/%s/export?format=pdf", id), NULL), 400, "invalid_request",
		       "format");
}

#define GPT(title, text)                                                                                                   \
	"{\"title\":\"" title "\",\"create_time\":1690000000.25,\"current_node\":\"b\",\"mapping\":{"                         \
	"\"r\":{\"message\":null,\"parent\":null,\"children\":[\"a\"]},"                                                      \
	"\"a\":{\"message\":{\"author\":{\"role\":\"user\"},\"content\":{\"content_type\":\"text\",\"parts\":[\"" text "\"]}}," \
	"\"parent\":\"r\",\"children\":[\"b\",\"c\"]},"                                                                       \
	"\"b\":{\"message\":{\"author\":{\"role\":\"assistant\"},\"content\":{\"content_type\":\"text\",\"parts\":[\"one\"]}}," \
	"\"parent\":\"a\",\"children\":[]},"                                                                                  \
	"\"c\":{\"message\":{\"author\":{\"role\":\"assistant\"},\"content\":{\"content_type\":\"text\",\"parts\":[\"two\"]}}," \
	"\"parent\":\"a\",\"children\":[]}}}"

static void test_chatgpt(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, IMPORT, "[" GPT("First", "hello") "," GPT("", "say\\nmore") "]"), 201);

	assert_int_equal(count_at(req, "items"), 2);
	assert_string_equal(text_at(req, "items.0.title"), "First");
	assert_string_equal(text_at(req, "items.1.title"), "say");
	assert_string_equal(text_at(req, "items.0.created_at"), "2023-07-22T04:26:40.250Z");
	assert_string_equal(path(site, text_at(req, "items.0.id")), "hello one");
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages", text_at(req, "items.0.id")), NULL), 200);
	assert_int_equal(count_at(req, "items.1.siblings"), 2);
}

static void test_refused(void **state)
{
	struct site *site = *state;
	int64_t before = number_of(site->app.db, "SELECT count(*) FROM conversations");
	struct atl_req *req;

	expect_problem(ask(site, &owner, IMPORT, "[" GPT("A", ATL_POLICY_CANARY) "]"), 403, "refused_by_policy", NULL);
	expect_problem(ask(site, &owner, IMPORT, "{}"), 422, "unprocessable", NULL);
	expect_problem(ask(site, &owner, IMPORT, "nothing"), 400, "invalid_json", NULL);
	expect_problem(ask(site, &owner, IMPORT, NULL), 400, "invalid_request", NULL);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM conversations"), before);
	/* the others come in */
	req = expect(ask(site, &owner, IMPORT, "[" GPT("A", ATL_POLICY_CANARY) "," GPT("B", "fine") ",5]"), 201);
	assert_int_equal(count_at(req, "items"), 1);
	assert_string_equal(text_at(req, "items.0.title"), "B");
	assert_int_equal(int_at(req, "skipped"), 2);
	assert_true(*text_at(req, "skipped_reason") != '\0');
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM messages WHERE content LIKE '%canary%'"), 0);
}

static void test_others(void **state)
{
	struct site *site = *state;
	struct person other;
	const char *mine = make_conversation(site, &owner, NULL);

	person_create(site, "exchange-other", ATL_ROLE_MEMBER, &other);
	expect(ask(site, &other, fmt("GET /api/v1/conversations/%s/export", mine), NULL), 404);
	expect(ask(site, &nobody, fmt("GET /api/v1/conversations/%s/export", mine), NULL), 401);
	expect(ask(site, &nobody, IMPORT, "[" GPT("A", "x") "]"), 401);
	/* an empty one can be exported; there is nothing to import in it */
	expect_problem(ask(site, &owner, IMPORT, exported(site, mine, NULL)), 422, "unprocessable", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_tavern), cmocka_unit_test(test_chatgpt),
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
