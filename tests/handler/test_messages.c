/* The message tree: adding, pages of the active path, siblings, editing, swiping, deleting, forking, repeated requests. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/server/idempotency.h"
#include "support.h"

static struct atl_req *get(struct site *site, const char *id, int status)
{
	return expect(ask(site, &owner, fmt("GET /api/v1/messages/%s", id), NULL), status);
}

static struct atl_req *post(struct site *site, const char *id, const char *verb, const char *body, int status)
{
	return expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/%s", id, verb), body), status);
}

static const char *add_below(struct site *site, const char *conversation, const char *parent, const char *content)
{
	struct atl_req *req = ask(site, &owner, fmt("POST /api/v1/conversations/%s/messages", conversation),
				  fmt("{\"content\":\"%s\",\"parent_id\":\"%s\",\"reply\":false}", content, parent));

	return text_at(expect(req, 202), "message.id");
}

/* The active path's texts, joined. */
static const char *path(struct site *site, const char *conversation)
{
	struct atl_req *req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages", conversation), NULL), 200);
	const char *all = "";

	for (size_t i = 0; i < count_at(req, "items"); i++)
		all = fmt("%s%s%s", all, i ? " " : "", text_at(req, fmt("items.%zu.content", i)));
	return all;
}

static void test_add(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL), *a, *b;
	struct atl_req *req;

	a = add_message(site, &owner, conversation, "a");
	b = add_message(site, &owner, conversation, "b");
	req = get(site, b, 200);
	assert_string_equal(text_at(req, "parent_id"), a);
	assert_string_equal(text_at(req, "role"), "user");
	assert_string_equal(text_at(req, "status"), "complete");
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s", conversation), NULL), 200);
	assert_string_equal(text_at(req, "head_id"), b);
	assert_int_equal(int_at(req, "message_count"), 2);
	assert_true(*text_at(req, "title") != '\0');
	expect(ask(site, &owner, fmt("POST /api/v1/conversations/%s/messages", conversation), "{\"content\":\"\"}"), 400);
	expect(ask(site, &owner, fmt("POST /api/v1/conversations/%s/messages", conversation),
		   "{\"content\":\"x\",\"parent_id\":\"msg_00000000000000000000000000\",\"reply\":false}"), 404);
	/* of another conversation */
	expect(ask(site, &owner, fmt("POST /api/v1/conversations/%s/messages", make_conversation(site, &owner, NULL)),
		   fmt("{\"content\":\"x\",\"parent_id\":\"%s\",\"reply\":false}", a)), 400);
}

static void test_pages(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL), *before = NULL, *all = "";
	struct atl_req *req;
	int pages = 0;

	for (int i = 0; i < 7; i++)
		add_message(site, &owner, conversation, fmt("m%d", i));
	do {
		req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages?limit=3%s%s", conversation,
						   before ? "&before=" : "", before ? before : ""), NULL), 200);
		for (size_t i = count_at(req, "items"); i-- > 0;)
			all = fmt("%s%s", text_at(req, fmt("items.%zu.content", i)), all);
		before = text_at(req, "items.0.id");
		pages++;
	} while (int_at(req, "more") == 1 && pages < 9);
	assert_int_equal(pages, 3);
	assert_string_equal(all, "m0m1m2m3m4m5m6");
	expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages?limit=201", conversation), NULL), 400);
	expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages?before=msg_00000000000000000000000000",
				     conversation), NULL), 404);
}

static void test_siblings_and_swipes(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL), *root, *a, *b;
	struct atl_req *req;

	root = add_message(site, &owner, conversation, "root");
	a = add_below(site, conversation, root, "a");
	add_message(site, &owner, conversation, "a1");
	add_message(site, &owner, conversation, "a2");
	b = add_below(site, conversation, root, "b");
	add_message(site, &owner, conversation, "b1");
	assert_string_equal(path(site, conversation), "root b b1");
	req = get(site, b, 200);
	assert_string_equal(text_at(req, "siblings.0"), a);
	assert_string_equal(text_at(req, "siblings.1"), b);
	/* swiping back returns to where one was */
	req = post(site, a, "select", NULL, 200);
	assert_string_equal(path(site, conversation), "root a a1 a2");
	assert_string_equal(text_at(req, "conversation.id"), conversation);
	post(site, b, "select", NULL, 200);
	assert_string_equal(path(site, conversation), "root b b1");
}

static void test_edit(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL), *a, *edited;
	struct atl_req *req;

	a = add_message(site, &owner, conversation, "first");
	add_message(site, &owner, conversation, "below");
	req = post(site, a, "edit", "{\"content\":\"second\"}", 200);
	edited = text_at(req, "message.id");
	assert_string_not_equal(edited, a);
	assert_true(is_null_at(req, "reply"));
	assert_int_equal(count_at(req, "message.siblings"), 2);
	assert_string_equal(path(site, conversation), "second");
	post(site, a, "select", NULL, 200);
	assert_string_equal(path(site, conversation), "first below");
	req = post(site, a, "edit", "{\"content\":\"third\",\"in_place\":true}", 200);
	assert_string_equal(text_at(req, "message.id"), a);
	assert_string_equal(path(site, conversation), "third below");
	expect_problem(ask(site, &owner, fmt("POST /api/v1/messages/%s/edit", a), "{}"), 400, "invalid_request", "content");
}

static void test_delete_and_restore(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL), *root, *a, *a1, *b;
	struct atl_req *req;

	root = add_message(site, &owner, conversation, "root");
	a = add_below(site, conversation, root, "a");
	a1 = add_message(site, &owner, conversation, "a1");
	b = add_below(site, conversation, root, "b");
	expect(ask(site, &owner, fmt("DELETE /api/v1/messages/%s", b), NULL), 204);
	assert_string_equal(path(site, conversation), "root a a1");
	get(site, b, 404);
	assert_int_equal(count_at(get(site, a, 200), "siblings"), 1);
	expect(ask(site, &owner, fmt("DELETE /api/v1/messages/%s", a), NULL), 204);
	assert_string_equal(path(site, conversation), "root");
	get(site, a1, 404);
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s", conversation), NULL), 200);
	assert_string_equal(text_at(req, "head_id"), root);
	assert_int_equal(int_at(req, "message_count"), 1);
	post(site, a, "restore", NULL, 200);
	get(site, a1, 200);
	get(site, b, 404);
	post(site, a, "select", NULL, 200);
	assert_string_equal(path(site, conversation), "root a a1");
	expect(ask(site, &owner, fmt("DELETE /api/v1/messages/%s", root), NULL), 204);
	assert_string_equal(path(site, conversation), "");
	assert_true(is_null_at(expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s", conversation), NULL), 200), "head_id"));
	add_message(site, &owner, conversation, "anew");
	assert_string_equal(path(site, conversation), "anew");
}

static void test_fork(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL), *b, *copy;
	struct atl_req *req;

	add_message(site, &owner, conversation, "a");
	b = add_message(site, &owner, conversation, "b");
	add_message(site, &owner, conversation, "c");
	req = post(site, b, "fork", NULL, 201);
	copy = text_at(req, "id");
	assert_string_not_equal(copy, conversation);
	assert_int_equal(int_at(req, "message_count"), 2);
	assert_string_equal(path(site, copy), "a b");
	add_message(site, &owner, copy, "d");
	assert_string_equal(path(site, copy), "a b d");
	assert_string_equal(path(site, conversation), "a b c");
}

/* ---- Idempotency-Key ---- */

static void test_idempotency(void **state)
{
	static const char *const key[] = { "Idempotency-Key: one-1", NULL }, *const odd[] = { "Idempotency-Key: a b\x01", NULL };
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL);
	const char *line = fmt("POST /api/v1/conversations/%s/messages", conversation);
	struct person other;
	struct atl_req *first, *second;

	first = expect(ask_with(site, &owner, key, line, "{\"content\":\"once\",\"reply\":false}"), 202);
	second = expect(ask_with(site, &owner, key, line, "{\"content\":\"once\",\"reply\":false}"), 202);
	assert_string_equal(atl_mock_header(second, "Idempotent-Replayed"), "true");
	assert_null(atl_mock_header(first, "Idempotent-Replayed"));
	assert_string_equal(first->out.data, second->out.data);
	assert_string_equal(path(site, conversation), "once");
	expect_problem(ask_with(site, &owner, key, line, "{\"content\":\"other\",\"reply\":false}"), 422, "unprocessable", NULL);
	expect(ask_with(site, &owner, odd, line, "{\"content\":\"x\",\"reply\":false}"), 400);
	/* keys are everybody's own */
	person_create(site, "Idem", ATL_ROLE_MEMBER, &other);
	expect(ask_with(site, &other, key, fmt("POST /api/v1/conversations/%s/messages", make_conversation(site, &other, NULL)),
			"{\"content\":\"mine\",\"reply\":false}"), 202);
	/* what failed may be tried again under its key */
	{
		static const char *const again[] = { "Idempotency-Key: two", NULL };

		expect(ask_with(site, &owner, again, line, "{\"content\":\"\"}"), 400);
		expect(ask_with(site, &owner, again, line, "{\"content\":\"now\",\"reply\":false}"), 202);
	}
}

static void test_request_still_at_work(void **state)
{
	static const char *const key[] = { "Idempotency-Key: slow", NULL };
	static const char body[] = "{\"content\":\"slow\",\"reply\":false}";
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL);
	const char *target = fmt("/api/v1/conversations/%s/messages", conversation);
	struct atl_errinfo info = { 0 };
	struct atl_idempotent earlier;
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	assert_ok(atl_idempotency_begin(&site->app, owner.id, "slow", "POST", target, body, strlen(body), &arena, &earlier,
					&info), &info);
	assert_false(earlier.replay);
	expect_problem(ask_with(site, &owner, key, fmt("POST %s", target), body), 409, "conflict", NULL);
	atl_idempotency_abandon(&site->app, owner.id, "slow");
	expect(ask_with(site, &owner, key, fmt("POST %s", target), body), 202);
	atl_arena_finish(&arena);
}

/* The server died after it had stored the message and before it could answer. */
static void test_retry_after_a_crash(void **state)
{
	static const char *const key[] = { "Idempotency-Key: crash", NULL };
	static const char body[] = "{\"content\":\"once\",\"reply\":false}";
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL);
	const char *line = fmt("POST /api/v1/conversations/%s/messages", conversation), *id;
	struct atl_errinfo info = { 0 };

	id = text_at(expect(ask_with(site, &owner, key, line, body), 202), "message.id");
	execute(site->app.db, fmt("UPDATE idempotency_keys SET status = 0, response = '%s' WHERE idempotency_key = 'crash'", id));
	site_restart(site);
	assert_string_equal(text_at(expect(ask_with(site, &owner, key, line, body), 202), "message.id"), id);
	assert_string_equal(path(site, conversation), "once");
	/* a day later the key is free */
	execute(site->app.db, "UPDATE idempotency_keys SET created_at = 1000");
	assert_ok(atl_idempotency_purge(&site->app, &info), &info);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM idempotency_keys"), 0);
}

/* ---- events ---- */

static void test_events(void **state)
{
	struct site *site = *state;
	const char *conversation, *message;

	ears_open(site, owner.id);
	conversation = make_conversation(site, &owner, NULL);
	ears_wait(site, "conversation.created", conversation);
	message = add_message(site, &owner, conversation, "said");
	ears_wait(site, "message.created", message);
	ears_wait(site, "conversation.updated", message);
	post(site, message, "edit", "{\"content\":\"changed\",\"in_place\":true}", 200);
	ears_wait(site, "message.updated", "changed");
	expect(ask(site, &owner, fmt("DELETE /api/v1/messages/%s", message), NULL), 204);
	ears_wait(site, "message.deleted", message);
	expect(ask(site, &owner, fmt("DELETE /api/v1/conversations/%s", conversation), NULL), 204);
	ears_wait(site, "conversation.deleted", conversation);
	ears_close(site);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),   cmocka_unit_test(test_pages), cmocka_unit_test(test_siblings_and_swipes),
		cmocka_unit_test(test_edit),  cmocka_unit_test(test_delete_and_restore), cmocka_unit_test(test_fork),
		cmocka_unit_test(test_idempotency), cmocka_unit_test(test_request_still_at_work),
		cmocka_unit_test(test_retry_after_a_crash), cmocka_unit_test(test_events),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
