/* Files of conversations: each format as it should be, hostile ones, and our own writing read back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/chat/exchange.h"
#include "core/chat/message.h"

static struct atl_arena arena;
static struct atl_errinfo info;

static enum atl_err parse_n(const char *text, size_t length, struct atl_exchange_list *list)
{
	memset(&info, 0, sizeof info);
	memset(list, 0, sizeof *list);
	return atl_exchange_parse(&arena, text, length, list, &info);
}

static enum atl_err parse(const char *text, struct atl_exchange_list *list)
{
	return parse_n(text, strlen(text), list);
}

/* "parent:content" of every message, the active ones with a star, the current one with a bang. */
static const char *shape(const struct atl_exchange *e)
{
	struct atl_buf buf;
	const char *text;

	atl_buf_init(&buf, 1 << 20);
	for (size_t i = 0; i < e->count; i++) {
		assert_true(e->messages[i].parent >= -1 && e->messages[i].parent < (int64_t)i);
		atl_buf_addf(&buf, "%s%d:%s%s%s", i ? " " : "", (int)e->messages[i].parent, e->messages[i].content,
			     e->messages[i].active ? "*" : "", e->current == (int64_t)i ? "!" : "");
	}
	text = atl_arena_strndup(&arena, buf.length ? buf.data : "", buf.length);
	atl_buf_finish(&buf);
	return text;
}

static const char *good(const char *text)
{
	struct atl_exchange_list list;

	if (parse(text, &list) != ATL_OK)
		fail_msg("%s: %s", text, info.detail);
	assert_int_equal(list.count, 1);
	return shape(&list.items[0]);
}

static void bad(const char *text, enum atl_err err)
{
	struct atl_exchange_list list;
	enum atl_err got = parse(text, &list);

	if (got != err || !info.detail[0])
		fail_msg("%.200s: %s, %s", text, atl_err_name(got), info.detail);
}

#define OURS "{\"format\":\"atelier.conversation\",\"version\":1,\"title\":\"T\",\"messages\":["
#define M(parent, text, more) "{\"parent\":" parent ",\"role\":\"user\",\"content\":\"" text "\"" more "}"

static void test_ours(void **state)
{
	struct atl_exchange_list list;

	(void)state;
	assert_string_equal(good(OURS M("null", "a", "") "," M("0", "b", ",\"active\":true") "," M("0", "c", "") "," M("1", "d", "")
				 "],\"current\":3}"), "-1:a* 0:b* 0:c 1:d*!");
	/* a current one in the middle leads down to its leaf; without one the newest path counts */
	assert_string_equal(good(OURS M("null", "a", "") "," M("0", "b", ",\"active\":true") "," M("0", "c", "") "],\"current\":0}"),
			    "-1:a* 0:b*! 0:c");
	assert_string_equal(good(OURS M("null", "a", "") "," M("0", "b", "") "," M("-1", "c", "") "]}"), "-1:a 0:b -1:c*!");
	/* two that call themselves active */
	assert_string_equal(good(OURS M("null", "a", ",\"active\":true") "," M("null", "b", ",\"active\":true") "]}"), "-1:a -1:b*!");
	assert_int_equal(parse("\xef\xbb\xbf\r\n [" OURS M("null", "a", "") "]}," OURS "]},5]", &list), ATL_OK);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.skipped, 2);
	assert_non_null(strstr(list.reason, "no message"));
	assert_string_equal(list.items[0].title, "T");
	bad(OURS "]}", ATL_ERR_UNPROCESSABLE);
	bad(OURS M("0", "itself", "") "]}", ATL_ERR_INVALID);
	bad(OURS M("null", "a", "") "," M("7", "b", "") "]}", ATL_ERR_INVALID);
	bad(OURS M("-2", "a", "") "]}", ATL_ERR_INVALID);
	bad(OURS M("\"x\"", "a", "") "]}", ATL_ERR_INVALID);
	bad(OURS "{\"parent\":null,\"role\":\"tool\",\"content\":\"x\"}]}", ATL_ERR_INVALID);
	bad(OURS "{\"parent\":null,\"role\":\"user\",\"content\":[\"x\"]}]}", ATL_ERR_INVALID);
	bad(OURS "null]}", ATL_ERR_INVALID);
	bad("{\"format\":\"atelier.conversation\",\"version\":2,\"messages\":[]}", ATL_ERR_UNPROCESSABLE);
	bad("{\"format\":\"atelier.conversation\",\"version\":1,\"messages\":{}}", ATL_ERR_INVALID);
}

#define HEAD "{\"user_name\":\"U\",\"character_name\":\"Ada\",\"create_date\":\"x\",\"chat_metadata\":{}}\n"

static void test_tavern(void **state)
{
	struct atl_exchange_list list;
	const struct atl_exchange_message *m;

	(void)state;
	assert_int_equal(parse(HEAD "{\"name\":\"Ada\",\"is_user\":false,\"mes\":\"hi\",\"send_date\":1700000000123,"
				    "\"swipes\":[\"hello\",\"hi\",7,\"\"],\"swipe_id\":1,\"extra\":{\"model\":\"m\",\"reasoning\":\"r\"}}\r\n\n"
				    "{\"name\":\"U\",\"is_user\":true,\"mes\":\"yes\",\"send_date\":\"June 19, 2023 2:20pm\"}\n"
				    "{\"name\":\"N\",\"is_user\":false,\"is_system\":true,\"mes\":\"note\",\"send_date\":\"2024-01-02T03:04:05.678Z\"}",
			       &list), ATL_OK);
	assert_string_equal(shape(&list.items[0]), "-1:hello -1:hi* 1:yes* 2:note*!");
	assert_string_equal(list.items[0].character_name, "Ada");
	m = list.items[0].messages;
	assert_string_equal(m[1].role, "assistant");
	assert_string_equal(m[1].model, "m");
	assert_string_equal(m[1].reasoning, "r");
	assert_string_equal(m[0].reasoning, "");
	assert_int_equal(m[1].created_at, 1700000000123);
	assert_string_equal(m[2].role, "user");
	assert_int_equal(m[2].created_at, 0);
	assert_string_equal(m[3].role, "system");
	assert_int_equal(m[3].created_at, 1704164645678);
	/* an edited text counts; an id outside the list; swipes that are no list; an empty greeting */
	assert_string_equal(good(HEAD "{\"mes\":\"new\",\"swipes\":[\"a\",\"old\"],\"swipe_id\":1}"), "-1:a -1:new*!");
	assert_string_equal(good(HEAD "{\"mes\":\"x\",\"swipes\":[\"a\"],\"swipe_id\":-5}"), "-1:a -1:x*!");
	assert_string_equal(good(HEAD "{\"mes\":\"x\",\"swipes\":{\"a\":1},\"swipe_id\":\"q\"}"), "-1:x*!");
	assert_string_equal(good(HEAD "{\"mes\":\"\"}\n{\"mes\":\"x\"}"), "-1:x*!");
	bad(HEAD, ATL_ERR_UNPROCESSABLE);
	bad(HEAD "{\"mes\":\"x\"}\n{\"mes\":\"cut", ATL_ERR_JSON);
	assert_non_null(strstr(info.detail, "line 3"));
	bad(HEAD "{\"mes\":5}", ATL_ERR_INVALID);
	bad(HEAD "[]", ATL_ERR_INVALID);
	bad(HEAD "7", ATL_ERR_INVALID);
}

#define NODE(id, parent, role, text, children)                                                                             \
	"\"" id "\":{\"id\":\"" id "\",\"parent\":" parent ",\"children\":[" children "],\"message\":{\"author\":{\"role\":\"" role \
	"\"},\"create_time\":1700000000.5,\"content\":{\"content_type\":\"text\",\"parts\":[" text "]}," \
	"\"metadata\":{\"model_slug\":\"gpt\"}}}"
#define CHAT(nodes, current) "[{\"title\":\"C\",\"create_time\":1690000000.25,\"current_node\":" current ",\"mapping\":{" nodes "}}]"

static void test_chatgpt(void **state)
{
	struct atl_exchange_list list;

	(void)state;
	/* the order of `children` counts, not that of the file; what is not kept hands its children up */
	assert_int_equal(parse(CHAT(NODE("d", "\"b\"", "assistant", "\"d1\",\"\",{\"x\":1},\"d2\"", "") ","
				    NODE("c", "\"b\"", "assistant", "\"c\"", "") ","
				    "\"root\":{\"id\":\"root\",\"message\":null,\"parent\":null,\"children\":[\"sys\"]},"
				    NODE("sys", "\"root\"", "system", "\"secret\"", "\"a\"") ","
				    NODE("a", "\"sys\"", "user", "\"a\"", "\"tool\"") ","
				    NODE("tool", "\"a\"", "tool", "\"t\"", "\"b\"") ","
				    NODE("b", "\"tool\"", "user", "\"b\"", "\"c\",\"d\""), "\"c\""), &list), ATL_OK);
	assert_string_equal(shape(&list.items[0]), "-1:a* 0:b* 1:c*! 1:d1\nd2");
	assert_string_equal(list.items[0].title, "C");
	assert_int_equal(list.items[0].created_at, 1690000000250);
	assert_int_equal(list.items[0].messages[0].created_at, 1700000000500);
	assert_string_equal(list.items[0].messages[2].model, "gpt");
	/* circles, one's own parent, dangling parents, children, current */
	assert_string_equal(good(CHAT(NODE("a", "\"b\"", "user", "\"a\"", "\"b\"") "," NODE("b", "\"a\"", "user", "\"b\"", "\"a\""), "\"b\"")),
			    "-1:a* 0:b*!");
	assert_string_equal(good(CHAT(NODE("a", "\"a\"", "user", "\"a\"", "\"a\",\"a\""), "\"a\"")), "-1:a*!");
	assert_string_equal(good(CHAT(NODE("a", "\"gone\"", "user", "\"a\"", "\"gone\",\"b\",\"b\"") ","
				      NODE("b", "null", "user", "\"b\"", ""), "\"gone\"")), "-1:a* 0:b*!");
	/* both a root and a tree that hangs on a circle */
	assert_string_equal(good(CHAT(NODE("x", "null", "user", "\"x\"", "") "," NODE("a", "\"b\"", "user", "\"a\"", "\"c\"") ","
				      NODE("b", "\"a\"", "user", "\"b\"", "") "," NODE("c", "\"a\"", "user", "\"c\"", ""), "\"x\"")),
			    "-1:x*! -1:a 1:c 1:b");
	bad(CHAT("", "null"), ATL_ERR_UNPROCESSABLE);
	bad(CHAT("\"a\":null,\"b\":5,\"c\":{\"message\":{\"author\":\"user\",\"content\":\"x\"}}", "7"), ATL_ERR_UNPROCESSABLE);
	bad("[{\"mapping\":[]}]", ATL_ERR_INVALID);
	bad("[]", ATL_ERR_UNPROCESSABLE);
}

static void test_unknown(void **state)
{
	(void)state;
	bad("", ATL_ERR_JSON);
	bad("{}", ATL_ERR_UNPROCESSABLE);
	bad("7", ATL_ERR_UNPROCESSABLE);
	bad("{\"format\":\"other\"}", ATL_ERR_UNPROCESSABLE);
	bad("hello", ATL_ERR_JSON);
	bad("{\"mapping\":{\"a\":\"\xff\"}}", ATL_ERR_ENCODING);
	bad(OURS M("null", "a", ""), ATL_ERR_JSON);
}

/* A chain of many messages: nothing may depend on its depth. */
static void test_deep(void **state)
{
	enum { DEPTH = 50000 };
	struct atl_exchange_list list;
	struct atl_buf buf;

	(void)state;
	atl_buf_init(&buf, 64 << 20);
	atl_buf_adds(&buf, "{\"mapping\":{");
	for (int i = DEPTH - 1; i >= 0; i--)
		atl_buf_addf(&buf, "%s\"%d\":{\"parent\":\"%d\",\"children\":[\"%d\"],\"message\":{\"author\":{\"role\":\"user\"},"
			     "\"content\":{\"content_type\":\"text\",\"parts\":[\"x\"]}}}", i == DEPTH - 1 ? "" : ",", i, i - 1, i + 1);
	atl_buf_adds(&buf, "}}");
	assert_int_equal(parse_n(buf.data, buf.length, &list), ATL_OK);
	assert_int_equal(list.items[0].count, DEPTH);
	assert_int_equal(list.items[0].current, DEPTH - 1);
	for (int i = 0; i < DEPTH; i++)
		assert_int_equal(list.items[0].messages[i].parent, i - 1);
	atl_buf_finish(&buf);
}

static void test_bounds(void **state)
{
	struct atl_exchange_list list;
	struct atl_buf buf;

	(void)state;
	atl_buf_init(&buf, 64 << 20);
	atl_buf_adds(&buf, HEAD);
	for (int i = 0; i <= ATL_CONVERSATION_MESSAGES_MAX; i++)
		atl_buf_adds(&buf, "{\"mes\":\"x\"}\n");
	assert_int_equal(parse_n(buf.data, buf.length, &list), ATL_ERR_TOO_LARGE);
	atl_buf_reset(&buf);
	atl_buf_adds(&buf, HEAD "{\"mes\":\"");
	for (size_t i = 0; i <= ATL_MESSAGE_BYTES_MAX; i++)
		atl_buf_addc(&buf, 'x');
	atl_buf_adds(&buf, "\"}");
	assert_int_equal(parse_n(buf.data, buf.length, &list), ATL_ERR_TOO_LARGE);
	atl_buf_reset(&buf);
	atl_buf_adds(&buf, "{\"format\":\"atelier.conversation\",\"version\":1,\"messages\":[" M("null", "a", "") "],\"title\":\"\\n");
	for (int i = 0; i < 300; i++)
		atl_buf_adds(&buf, "é");
	atl_buf_adds(&buf, "\"}");
	assert_int_equal(parse_n(buf.data, buf.length, &list), ATL_OK);
	assert_int_equal(atl_utf8_count(list.items[0].title, strlen(list.items[0].title)), ATL_TITLE_MAX);
	assert_int_equal(list.items[0].title[0], ' ');
	atl_buf_finish(&buf);
}

/* Every cut of a good file is refused or read, never worse. */
static void test_cuts(void **state)
{
	static const char *const files[] = {OURS M("null", "a", "") "," M("0", "b", "") "]}", HEAD "{\"mes\":\"x\",\"swipes\":[\"a\",\"x\"],\"swipe_id\":1}",
					    CHAT(NODE("a", "null", "user", "\"a\"", "\"b\"") "," NODE("b", "\"a\"", "user", "\"b\"", ""), "\"b\"")};
	struct atl_exchange_list list;

	(void)state;
	for (size_t f = 0; f < ATL_COUNT(files); f++)
		for (size_t length = 0; length < strlen(files[f]); length++) {
			char *copy = malloc(length + 1); /* the sanitizer sees what is read past it */

			assert_non_null(copy);
			memcpy(copy, files[f], length);
			assert_int_not_equal(parse_n(copy, length, &list), ATL_OK);
			assert_true(info.detail[0]);
			free(copy);
		}
}

static const char *written(const char *format, const struct atl_exchange *e)
{
	struct atl_buf buf;
	const char *text;

	atl_buf_init(&buf, 1 << 20);
	assert_int_equal(atl_exchange_format(format)->write(&arena, e, &buf, &info), ATL_OK);
	text = atl_arena_strndup(&arena, buf.data, buf.length);
	atl_buf_finish(&buf);
	return text;
}

static void test_written(void **state)
{
	struct atl_exchange_list list;
	const char *text;

	(void)state;
	assert_int_equal(parse(OURS M("null", "a", "") "," M("0", "b", ",\"active\":true,\"model\":\"m\",\"reasoning\":\"r\"") "," M("0", "c", "") ","
			       "{\"parent\":1,\"role\":\"assistant\",\"content\":\"d \\\" \\n é\",\"created_at\":\"2024-01-02T03:04:05.678Z\"}"
			       "],\"current\":3,\"character_name\":\"Ada\",\"created_at\":\"2024-01-01T00:00:00Z\"}", &list), ATL_OK);
	text = written("atelier", &list.items[0]);
	assert_string_equal(good(text), shape(&list.items[0]));
	assert_int_equal(parse(text, &list), ATL_OK);
	assert_string_equal(written("atelier", &list.items[0]), text);
	assert_non_null(strstr(text, "\"character_name\":\"Ada\""));
	assert_non_null(strstr(text, "2024-01-02T03:04:05.678Z"));
	assert_string_equal(good(written("sillytavern", &list.items[0])), "-1:a* 0:b* 0:c 1:d \" \n é*!");
	text = written("text", &list.items[0]);
	assert_string_equal(text, "T\n\nYou:\na\n\nYou:\nb\n\nAda (2024-01-02 03:04 UTC):\nd \" \n é\n");
	assert_null(atl_exchange_format("pdf"));
	assert_null(atl_exchange_format(NULL));
}

static int begin(void **state)
{
	(void)state;
	atl_arena_init(&arena, ATL_EXCHANGE_ARENA_MAX);
	return 0;
}

static int end(void **state)
{
	(void)state;
	atl_arena_finish(&arena);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ours), TEST(test_tavern), TEST(test_chatgpt), TEST(test_unknown), TEST(test_deep),
		TEST(test_bounds), TEST(test_cuts), TEST(test_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
