/* Replies: they stream to the events, can be read while they grow, stopped, continued, repeated; their failures are told
 * in the message, and a restart leaves them interrupted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/chat/generation.h"
#include "support.h"

#define STEPS(list) .steps = (list), .step_count = ATL_COUNT(list)
#define DELTA(words) { ATL_CHAT_STEP_DELTA, 0, (words) }
static const struct atl_chat_step THREE[] = { DELTA("One "), DELTA("two "), DELTA("three.") };
static const struct atl_chat_step THOUGHT[] = { { ATL_CHAT_STEP_REASONING, 0, "Hmm." }, DELTA("Yes.") };
static const struct atl_chat_step HANGS[] = { DELTA("Once upon"), DELTA(" a time"), { ATL_CHAT_STEP_HANG, 0, NULL } };
static const struct atl_chat_step MORE[] = { DELTA(" and more") };

static void says(struct atl_chat_script script)
{
	script.usage = ATL_CHAT_USAGE_NOT_TOLD;
	model_says(script);
}

/* Send a message that wants a reply; the reply's id. */
static const char *send(struct site *site, const char *conversation, const char *content)
{
	struct atl_req *req = expect(ask(site, &owner, fmt("POST /api/v1/conversations/%s/messages", conversation),
					 fmt("{\"content\":\"%s\"}", content)), 202);

	assert_string_equal(text_at(req, "reply.status"), "streaming");
	assert_string_equal(text_at(req, "reply.parent_id"), text_at(req, "message.id"));
	return text_at(req, "reply.id");
}

static struct atl_req *message(struct site *site, const char *id)
{
	return expect(ask(site, &owner, fmt("GET /api/v1/messages/%s", id), NULL), 200);
}

static struct atl_req *ended(struct site *site, const char *id)
{
	ears_wait(site, "message.updated", fmt("\"id\":\"%s\"", id));
	return message(site, id);
}

static struct atl_req *post(struct site *site, const char *id, const char *verb, int status)
{
	return expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/%s", id, verb), NULL), status);
}

static int setup(void **state)
{
	site_setup(state);
	ears_open(*state, owner.id);
	return 0;
}

/* ---- a whole reply ---- */

/* The text of the deltas in their order; fails on a gap in seq. */
static const char *deltas(struct site *site, const char *id, int *ret_count)
{
	const char *text = "";
	int seq = 0;

	for (const char *line = ears_all(site); *line; line += strcspn(line, "\n") + 1) {
		struct atl_arena arena;
		struct atl_json *event;
		struct atl_errinfo info = { 0 };

		atl_arena_init(&arena, 0);
		assert_ok(atl_json_parse(&arena, line, strcspn(line, "\n"), &event, &info), &info);
		if (atl_str_eq(atl_json_str(event, "event", ""), "message.delta") &&
		    atl_str_eq(atl_json_str(atl_json_get(event, "data"), "message_id", ""), id)) {
			assert_int_equal(atl_json_int(atl_json_get(event, "data"), "seq", -1), ++seq);
			text = fmt("%s%s", text, atl_json_str(atl_json_get(event, "data"), "text", ""));
		}
		atl_arena_finish(&arena);
	}
	*ret_count = seq;
	return text;
}

static void test_reply_streams(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL), *id;
	struct atl_req *req;
	int count;

	says((struct atl_chat_script){ STEPS(THREE) });
	id = send(site, conversation, "Count");
	req = ended(site, id);
	assert_string_equal(text_at(req, "content"), "One two three.");
	assert_string_equal(text_at(req, "status"), "complete");
	assert_string_equal(text_at(req, "finish_reason"), "stop");
	assert_string_equal(text_at(req, "model"), "scripted/first");
	assert_true(is_null_at(req, "error"));
	assert_string_equal(deltas(site, id, &count), "One two three.");
	assert_int_equal(count, 3);
	ears_wait(site, "message.created", id);
	ears_wait(site, "generation.progress", id);
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s", conversation), NULL), 200);
	assert_string_equal(text_at(req, "head_id"), id);
	assert_int_equal(int_at(req, "message_count"), 2);
	req = expect(ask(site, &owner, fmt("GET /api/v1/messages/%s/prompt", id), NULL), 200);
	assert_string_equal(text_at(req, "model"), "scripted/first");
	assert_non_null(strstr(req->out.data, "Count"));
}

static void test_reasoning_is_apart(void **state)
{
	struct site *site = *state;
	struct atl_req *req;

	says((struct atl_chat_script){ STEPS(THOUGHT) });
	req = ended(site, send(site, make_conversation(site, &owner, NULL), "Think"));
	assert_string_equal(text_at(req, "content"), "Yes.");
	assert_string_equal(text_at(req, "reasoning"), "Hmm.");
	ears_wait(site, "message.delta", "\"channel\":\"reasoning\"");
}

/* ---- while it runs ---- */

static void test_overlay_and_stop(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL), *id;
	struct person stranger;
	struct atl_req *req;
	uint64_t began;

	person_create(site, "Stranger", ATL_ROLE_MEMBER, &stranger);
	says((struct atl_chat_script){ STEPS(HANGS) });
	id = send(site, conversation, "Tell");
	ears_wait(site, "message.delta", " a time");
	req = message(site, id);
	assert_string_equal(text_at(req, "content"), "Once upon a time");
	assert_string_equal(text_at(req, "status"), "streaming");
	assert_int_equal(int_at(req, "stream_seq"), 2);
	req = expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s/messages", conversation), NULL), 200);
	assert_string_equal(text_at(req, "items.1.content"), "Once upon a time");
	/* what is being written is not changed under the writer's hand */
	expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/edit", id), "{\"content\":\"x\",\"in_place\":true}"), 409);
	post(site, id, "continue", 409);
	expect(ask(site, &stranger, fmt("POST /api/v1/messages/%s/stop", id), NULL), 404);
	assert_int_equal(atl_generations_running(&site->app), 1);
	began = atl_monotonic_ms();
	post(site, id, "stop", 202);
	req = ended(site, id);
	assert_true(atl_monotonic_ms() - began < 20000); /* the model says nothing for ever; how soon: tests/system/test_chat.py */
	assert_string_equal(text_at(req, "status"), "stopped");
	assert_string_equal(text_at(req, "content"), "Once upon a time");
	post(site, id, "stop", 404);
}

static void test_continue(void **state)
{
	struct site *site = *state;
	const char *id;
	struct atl_req *req;

	says((struct atl_chat_script){ STEPS(THREE), .finish_reason = "length" });
	id = send(site, make_conversation(site, &owner, NULL), "Go");
	assert_string_equal(text_at(ended(site, id), "finish_reason"), "length");
	ears_clear(site);
	says((struct atl_chat_script){ STEPS(MORE) });
	req = post(site, id, "continue", 202);
	assert_string_equal(text_at(req, "message.id"), id);
	ears_wait(site, "message.updated", "\"status\":\"complete\"");
	assert_string_equal(text_at(message(site, id), "content"), "One two three. and more");
}

static void test_regenerate(void **state)
{
	struct site *site = *state;
	const char *conversation = make_conversation(site, &owner, NULL), *first, *second, *question;
	struct atl_req *req;

	says((struct atl_chat_script){ STEPS(THREE) });
	first = send(site, conversation, "Again");
	question = text_at(ended(site, first), "parent_id");
	req = expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/regenerate", first), "{\"model\":\"other/one\"}"), 202);
	second = text_at(req, "message.id");
	assert_string_not_equal(first, second);
	assert_string_equal(text_at(req, "message.parent_id"), question);
	assert_int_equal(count_at(req, "message.siblings"), 2);
	assert_string_equal(text_at(ended(site, second), "model"), "other/one");
	assert_string_equal(model_wanted(), "other/one");
	/* on the question: one more answer below it */
	req = post(site, question, "regenerate", 202);
	assert_int_equal(count_at(req, "message.siblings"), 3);
	ended(site, text_at(req, "message.id"));
}

/* ---- failures ---- */

static void test_provider_failure_is_told(void **state)
{
	struct site *site = *state;
	const char *id;
	struct atl_req *req;

	says((struct atl_chat_script){ .err = ATL_ERR_UPSTREAM_QUOTA, .detail = "Scripted: no credit is left." });
	id = send(site, make_conversation(site, &owner, NULL), "Pay");
	req = ended(site, id);
	assert_string_equal(text_at(req, "status"), "failed");
	assert_string_equal(text_at(req, "error.slug"), "upstream_quota");
	assert_string_equal(text_at(req, "error.detail"), "Scripted: no credit is left.");
	/* a text that broke off stays */
	says((struct atl_chat_script){ STEPS(THREE), .err = ATL_ERR_UPSTREAM_CUT });
	req = ended(site, send(site, make_conversation(site, &owner, NULL), "Break"));
	assert_string_equal(text_at(req, "status"), "failed");
	assert_string_equal(text_at(req, "content"), "One two three.");
	/* and the failed one can be asked for again */
	says((struct atl_chat_script){ STEPS(THREE) });
	req = post(site, id, "regenerate", 202);
	assert_string_equal(text_at(ended(site, text_at(req, "message.id")), "status"), "complete");
}

static void test_no_model(void **state)
{
	struct site *site = *state;
	struct atl_req *req;

	model_does(&(struct model_script){ .resolve_err = ATL_ERR_NO_MODEL });
	req = ended(site, send(site, make_conversation(site, &owner, NULL), "Anyone?"));
	assert_string_equal(text_at(req, "status"), "failed");
	assert_string_equal(text_at(req, "error.slug"), "no_model");
	assert_string_equal(text_at(req, "error.detail"), "No model is configured.");
}

static void test_fallback(void **state)
{
	struct model_script does = { .script = { .err = ATL_ERR_UPSTREAM, .usage = ATL_CHAT_USAGE_NOT_TOLD },
				     .has_fallback = true,
				     .fallback = { STEPS(THREE), .usage = { 11, 7, -1, -1 } } };
	struct site *site = *state;
	struct atl_req *req;

	model_does(&does);
	req = ended(site, send(site, make_conversation(site, &owner, NULL), "Help"));
	assert_string_equal(text_at(req, "status"), "complete");
	assert_string_equal(text_at(req, "model"), "scripted/fallback");
	assert_int_equal(int_at(req, "prompt_tokens"), 11);
	assert_int_equal(int_at(req, "completion_tokens"), 7);
	/* after the first word there is no second model */
	does.script = (struct atl_chat_script){ STEPS(THREE), .err = ATL_ERR_UPSTREAM_CUT, .usage = ATL_CHAT_USAGE_NOT_TOLD };
	model_does(&does);
	req = ended(site, send(site, make_conversation(site, &owner, NULL), "Half"));
	assert_string_equal(text_at(req, "status"), "failed");
}

static void test_too_long_is_told(void **state)
{
	struct site *site = *state;
	struct atl_buf words;
	struct atl_req *req;

	atl_buf_init(&words, 1 << 20);
	for (int i = 0; i < 5000; i++)
		atl_buf_adds(&words, "longwords ");
	req = ended(site, send(site, make_conversation(site, &owner, NULL), words.data));
	atl_buf_finish(&words);
	assert_string_equal(text_at(req, "status"), "failed");
	assert_string_equal(text_at(req, "error.slug"), "context_too_long");
}

/* ---- a restart ---- */

static void test_restart_interrupts(void **state)
{
	struct site *site = *state;
	const char *running, *crashed;
	struct atl_req *req;

	says((struct atl_chat_script){ STEPS(HANGS) });
	running = send(site, make_conversation(site, &owner, NULL), "Stay");
	ears_wait(site, "message.delta", " a time");
	crashed = add_message(site, &owner, make_conversation(site, &owner, NULL), "x");
	/* as after a crash: nobody is left who writes it */
	execute(site->app.db, fmt("UPDATE messages SET status = 'streaming', role = 'assistant' WHERE id = '%s'", crashed));
	site_restart(site);
	ears_open(site, owner.id);
	req = message(site, running);
	assert_string_equal(text_at(req, "status"), "interrupted");
	assert_string_equal(text_at(req, "content"), "Once upon a time");
	assert_string_equal(text_at(message(site, crashed), "status"), "interrupted");
	says((struct atl_chat_script){ STEPS(MORE) });
	post(site, running, "continue", 202);
	ears_wait(site, "message.updated", "\"status\":\"complete\"");
	assert_string_equal(text_at(message(site, running), "content"), "Once upon a time and more");
}

static void no_op(void *arg)
{
}

/* What nobody will see is not written to its end. */
static void wait_for_running(struct site *site, size_t count)
{
	uint64_t until = atl_monotonic_ms() + WAIT_MS;

	while (atl_generations_running(&site->app) != count && atl_monotonic_ms() < until)
		site_on_loop(site, no_op, NULL); /* the end of a deleted reply publishes nothing to wait for */
	assert_int_equal(atl_generations_running(&site->app), count);
}

static void test_deleting_stops(void **state)
{
	struct site *site = *state;

	for (int i = 0; i < 2; i++) { /* the message, the conversation */
		const char *conversation = make_conversation(site, &owner, NULL), *other = make_conversation(site, &owner, NULL);
		const char *id, *kept;

		says((struct atl_chat_script){ STEPS(HANGS) });
		kept = send(site, other, "Stay");
		id = send(site, conversation, "Go");
		ears_wait(site, "message.delta", id);
		ears_wait(site, "message.delta", kept);
		expect(ask(site, &owner, i ? fmt("DELETE /api/v1/conversations/%s", conversation) : fmt("DELETE /api/v1/messages/%s", id),
			   NULL), 204);
		wait_for_running(site, 1);
		assert_string_equal(text_at(message(site, kept), "status"), "streaming");
		expect(ask(site, &owner, i ? fmt("POST /api/v1/conversations/%s/restore", conversation) :
					     fmt("POST /api/v1/messages/%s/restore", id), NULL), 200);
		assert_string_equal(text_at(message(site, id), "status"), "stopped");
		post(site, kept, "stop", 202);
		ended(site, kept);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply_streams),
		cmocka_unit_test(test_reasoning_is_apart),
		cmocka_unit_test(test_overlay_and_stop),
		cmocka_unit_test(test_continue),
		cmocka_unit_test(test_regenerate),
		cmocka_unit_test(test_provider_failure_is_told),
		cmocka_unit_test(test_no_model),
		cmocka_unit_test(test_fallback),
		cmocka_unit_test(test_too_long_is_told),
		cmocka_unit_test(test_restart_interrupts),
		cmocka_unit_test(test_deleting_stops),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
