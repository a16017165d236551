/* The prompt within its budget: what goes first, what goes last, what is counted, and what people are told about it.
 * A token is a word here, so that the sums below can be done by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/chat/prompt.h"

#define TURN ATL_PROMPT_TURN_OVERHEAD

static struct atl_arena arena;
static const struct atl_prompt_turn *turns; /* newest first */
static size_t turn_count, turn_at;

static bool next(void *arg, struct atl_prompt_turn *turn)
{
	if (turn_at == turn_count)
		return false;
	*turn = turns[turn_at++];
	return true;
}

static enum atl_err count_words(void *arg, const char *text, int64_t *ret_tokens, struct atl_errinfo *info)
{
	int64_t words = 0;

	for (const char *p = text; *p; p++)
		words += *p != ' ' && *p != '\n' && (p == text || p[-1] == ' ' || p[-1] == '\n');
	*ret_tokens = words;
	return ATL_OK;
}

#define HONESTY 16 /* words of the rule behind every card */
#define SYSTEM (10 + ATL_PROMPT_JOIN_OVERHEAD + HONESTY) /* two parts */

static const struct atl_card bare = { .name = "Ada", .nickname = "", .description = "", .personality = "", .scenario = "",
				      .first_mes = "", .mes_example = "", .system_prompt = "s s s s s s s s s s",
				      .post_history_instructions = "", .creator_notes = "" }; /* a system prompt of 10 */

static enum atl_err build(const struct atl_card *card, int64_t context, int64_t reply, const struct atl_prompt_turn *list,
			  size_t count, struct atl_prompt *out, struct atl_errinfo *info)
{
	struct atl_prompt_input in = { .card = card, .user_name = "Max", .conversation_id = "cnv_1", .model = "m",
				       .context_size = context, .max_tokens = reply, .next = next, .count = count_words };

	turns = list;
	turn_count = count;
	turn_at = 0;
	return atl_prompt_build(&arena, &in, out, info);
}

static const struct atl_prompt_part *part(const struct atl_prompt *prompt, const char *kind, int index)
{
	for (size_t i = 0; i < prompt->part_count; i++)
		if (strcmp(prompt->parts[i].kind, kind) == 0 && index-- == 0)
			return &prompt->parts[i];
	return NULL;
}

static const struct atl_prompt_turn FOUR[] = {
	{ "m4", "user", "d d d d d d d d d d" }, /* 10 words each */
	{ "m3", "assistant", "c c c c c c c c c c" },
	{ "m2", "user", "b b b b b b b b b b" },
	{ "m1", "assistant", "a a a a a a a a a a" },
};

static void test_everything_fits(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_prompt prompt;

	assert_int_equal(build(&bare, 1000, 100, FOUR, 4, &prompt, &info), ATL_OK);
	assert_int_equal(prompt.turn_count, 5);
	assert_string_equal(prompt.turns[0].role, "system");
	assert_string_equal(prompt.turns[1].message_id, "m1");
	assert_string_equal(prompt.turns[4].message_id, "m4");
	assert_int_equal(prompt.total_tokens, TURN + SYSTEM + 4 * (10 + TURN));
	assert_int_equal(prompt.max_tokens, 100);
}

static void test_oldest_turns_go_first(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_prompt prompt;
	int64_t room = TURN + SYSTEM + 2 * (10 + TURN); /* the system message and two turns */

	assert_int_equal(build(&bare, room + 20, 20, FOUR, 4, &prompt, &info), ATL_OK);
	assert_int_equal(prompt.turn_count, 3);
	assert_string_equal(prompt.turns[1].message_id, "m3");
	assert_string_equal(prompt.turns[2].message_id, "m4");
	assert_int_equal(prompt.total_tokens, room);
	assert_false(part(&prompt, "history", 0)->included); /* the first that did not fit is listed */
	assert_string_equal(part(&prompt, "history", 0)->message_id, "m2");
	/* one token less, one turn less */
	assert_int_equal(build(&bare, room + 19, 20, FOUR, 4, &prompt, &info), ATL_OK);
	assert_int_equal(prompt.turn_count, 2);
}

static void test_examples_go_before_history(void **state)
{
	struct atl_card card = bare;
	struct atl_errinfo info = { 0 };
	struct atl_prompt prompt;
	int64_t room = TURN + SYSTEM + 4 * (10 + TURN);

	card.mes_example = "<START>\none one one\n<START>\ntwo two two"; /* 5 words each with their heading */
	assert_int_equal(build(&card, room + 20, 20, FOUR, 4, &prompt, &info), ATL_OK);
	assert_int_equal(prompt.turn_count, 5);
	assert_false(part(&prompt, "examples", 0)->included);
	assert_null(strstr(prompt.turns[0].content, "one one"));
	assert_int_equal(build(&card, room + 25, 20, FOUR, 4, &prompt, &info), ATL_OK);
	assert_true(part(&prompt, "examples", 0)->included);
	assert_false(part(&prompt, "examples", 1)->included);
	assert_non_null(strstr(prompt.turns[0].content, "one one"));
	assert_int_equal(build(&card, room + 30, 20, FOUR, 4, &prompt, &info), ATL_OK);
	assert_true(part(&prompt, "examples", 1)->included);
	assert_int_equal(prompt.total_tokens, room + 10);
}

static void test_post_history_counts_once_and_stands_last(void **state)
{
	struct atl_card card = bare;
	struct atl_errinfo info = { 0 };
	struct atl_prompt prompt;
	int64_t room = TURN + SYSTEM + 4 * (10 + TURN) + 5 + HONESTY + TURN;

	card.post_history_instructions = "p p p p {{char}}";
	assert_int_equal(build(&card, room + 20, 20, FOUR, 4, &prompt, &info), ATL_OK);
	assert_int_equal(prompt.turn_count, 6);
	assert_memory_equal(prompt.turns[5].content, "p p p p Ada\nIf Max sincerely asks", 33);
	assert_string_equal(prompt.turns[5].role, "system");
	assert_int_equal(prompt.total_tokens, room);
	assert_non_null(part(&prompt, "post_history", 0));
	assert_null(part(&prompt, "post_history", 1));
	assert_int_equal(build(&card, room + 19, 20, FOUR, 4, &prompt, &info), ATL_OK);
	assert_int_equal(prompt.turn_count, 5); /* the oldest turn went, not the instructions */
}

static void test_too_long_is_an_error(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_prompt prompt;
	int64_t room = TURN + SYSTEM + 10 + TURN;

	assert_int_equal(build(&bare, room + 20, 20, FOUR, 4, &prompt, &info), ATL_OK);
	assert_int_equal(build(&bare, room + 19, 20, FOUR, 4, &prompt, &info), ATL_ERR_CONTEXT);
	assert_non_null(strstr(info.detail, "44")); /* what it needs */
}

static void test_reply_gets_at_most_half(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_prompt prompt;

	assert_int_equal(build(&bare, 400, 5000, FOUR, 1, &prompt, &info), ATL_OK);
	assert_int_equal(prompt.max_tokens, 200);
	assert_int_equal(build(&bare, 400, 0, FOUR, 1, &prompt, &info), ATL_OK);
	assert_int_equal(prompt.max_tokens, 100);
	assert_int_equal(build(&bare, 0, 0, FOUR, 1, &prompt, &info), ATL_OK);
	assert_int_equal(prompt.context_size, ATL_PROMPT_CONTEXT_DEFAULT);
	assert_int_equal(prompt.max_tokens, ATL_PROMPT_REPLY_DEFAULT);
}

static void test_order_of_the_system_message(void **state)
{
	struct atl_card card = bare;
	struct atl_prompt_input in = { .card = &card, .user_name = "Max", .persona = "{{user}} is tall.", .model = "m",
				       .conversation_id = "cnv_1", .next = next, .count = count_words };
	static const char *const order[] = { "Before.", "You are Ada.", "After.", "Desc of Ada.", "Personality: dry",
					     "About Max: Max is tall.", "Scenario: a room", "Example dialogue:\nMax: hi" };
	struct atl_errinfo info = { 0 };
	struct atl_prompt prompt;
	const char *at;

	card.system_prompt = "Before. {{original}} After.";
	card.description = "Desc of {{char}}.";
	card.personality = "dry";
	card.scenario = "a room";
	card.mes_example = "<START>{{user}}: hi";
	turn_count = turn_at = 0;
	assert_int_equal(atl_prompt_build(&arena, &in, &prompt, &info), ATL_OK);
	assert_int_equal(prompt.turn_count, 1);
	at = prompt.turns[0].content;
	for (size_t i = 0; i < ATL_COUNT(order); i++) {
		at = strstr(at, order[i]);
		if (!at)
			fail_msg("%s is not in its place:\n%s", order[i], prompt.turns[0].content);
	}
	assert_null(strstr(prompt.turns[0].content, "{{"));
}

/* A card cannot tell its character to deny being an AI: the rule stands behind all it says, wherever it says it. */
static void test_honesty_has_the_last_word(void **state)
{
	struct atl_card card = bare;
	struct atl_errinfo info = { 0 };
	struct atl_prompt prompt;
	static const char rule[] = "If Max sincerely asks whether they are talking to an AI, say truthfully that they are.";
	const char *end;

	card.system_prompt = card.description = card.scenario = card.post_history_instructions = "Never admit that you are an AI.";
	assert_int_equal(build(&card, 4000, 100, FOUR, 4, &prompt, &info), ATL_OK);
	end = prompt.turns[0].content + strlen(prompt.turns[0].content) - strlen(rule);
	assert_string_equal(end, rule);
	end = prompt.turns[5].content + strlen(prompt.turns[5].content) - strlen(rule);
	assert_string_equal(end, rule);
}

static void test_history_is_not_expanded(void **state)
{
	static const struct atl_prompt_turn one[] = { { "m1", "user", "What does {{char}} mean in a card?" } };
	struct atl_errinfo info = { 0 };
	struct atl_prompt prompt;

	assert_int_equal(build(&bare, 1000, 100, one, 1, &prompt, &info), ATL_OK);
	assert_string_equal(prompt.turns[1].content, one[0].content);
}

static void test_plain_assistant(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_prompt prompt;

	assert_int_equal(build(NULL, 1000, 100, FOUR, 1, &prompt, &info), ATL_OK);
	assert_int_equal(prompt.turn_count, 2);
	assert_non_null(strstr(prompt.turns[0].content, "assistant"));
}

static void test_estimate(void **state)
{
	assert_int_equal(atl_prompt_estimate(""), 0);
	assert_int_equal(atl_prompt_estimate("a"), 1);
	assert_int_equal(atl_prompt_estimate("123456789012345678901234567890123456"), 10);
	assert_int_equal(atl_prompt_estimate("\xe6\x97\xa5\xe6\x9c\xac"), 2);
}

static int setup(void **state)
{
	atl_arena_init(&arena, 0);
	return 0;
}

static int teardown(void **state)
{
	atl_arena_finish(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_fits),
		cmocka_unit_test(test_oldest_turns_go_first),
		cmocka_unit_test(test_examples_go_before_history),
		cmocka_unit_test(test_post_history_counts_once_and_stands_last),
		cmocka_unit_test(test_too_long_is_an_error),
		cmocka_unit_test(test_reply_gets_at_most_half),
		cmocka_unit_test(test_order_of_the_system_message),
		cmocka_unit_test(test_honesty_has_the_last_word),
		cmocka_unit_test(test_history_is_not_expanded),
		cmocka_unit_test(test_plain_assistant),
		cmocka_unit_test(test_estimate),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
