/* The parser's table of good and hostile texts, the tree's readers, and the writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "base/json.h"
#include "base/str.h"

static struct atl_arena arena;
static struct atl_buf out;

static int set_up(void **state)
{
	atl_arena_init(&arena, 0);
	atl_buf_init(&out, 1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	atl_arena_finish(&arena);
	atl_buf_finish(&out);
	return 0;
}

static struct atl_json *parse(const char *text)
{
	struct atl_errinfo info = { 0 };
	struct atl_json *root = NULL;

	if (atl_json_parse(&arena, text, strlen(text), &root, &info) != ATL_OK)
		fail_msg("%s: %s", text, info.detail);
	return root;
}

static const char *rewritten(const struct atl_json *tree)
{
	struct atl_jw w;

	atl_buf_reset(&out);
	atl_jw_init(&w, &out);
	atl_jw_tree(&w, NULL, tree);
	assert_false(out.failed);
	return out.data;
}

/* Accepted, and what it looks like when written again (NULL: the same). */
static void test_accepted(void **state)
{
	static const char *const rows[][2] = {
		{ "null", NULL },
		{ "true", NULL },
		{ "false", NULL },
		{ " \t\r\n{ } \n", "{}" },
		{ "[]", NULL },
		{ "[ 1 , 2 ]", "[1,2]" },
		{ "{\"a\":{\"b\":[{}]},\"\":0}", NULL },
		{ "\"\"", NULL },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
		{ "\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"", "\"A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"" },
		{ "\"\\u0001\\u001f\"", NULL },
		{ "\"\x7F\xF4\x8F\xBF\xBF\"", NULL },
		{ "\"\\uFFFF\"", "\"\xEF\xBF\xBF\"" },
		{ "0", NULL },
		{ "-0", NULL },
		{ "-0.0", "-0" },
		{ "9223372036854775807", NULL },
		{ "-9223372036854775808", NULL },
		{ "9007199254740993", NULL }, /* not a double */
		{ "9223372036854775808", "9.223372036854776e+18" },
		{ "1.50", "1.5" },
		{ "1E+2", "100" },
		{ "1e-7", "1e-07" },
		{ "0.1", NULL },
		{ "{\"a\":1,\"a\":2}", NULL },
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		assert_string_equal(rewritten(parse(rows[i][0])), rows[i][1] ? rows[i][1] : rows[i][0]);
}

static const struct {
	const char *text;
	enum atl_err err;
	const char *detail; /* part of it, or NULL */
} refused[] = {
	{ "", ATL_ERR_JSON, "Line 1, column 1: the text ends too early" },
	{ "   ", ATL_ERR_JSON, "ends too early" },
	{ "\xEF\xBB\xBF{}", ATL_ERR_JSON, "column 1" }, /* byte order mark */
	{ "{} x", ATL_ERR_JSON, "something after the value" },
	{ "{}{}", ATL_ERR_JSON, "column 3" },
	{ "null,", ATL_ERR_JSON, NULL },
	{ "nul", ATL_ERR_JSON, NULL },
	{ "nulL", ATL_ERR_JSON, NULL },
	{ "True", ATL_ERR_JSON, NULL },
	{ "truex", ATL_ERR_JSON, NULL },
	{ "NaN", ATL_ERR_JSON, NULL },
	{ "Infinity", ATL_ERR_JSON, NULL },
	{ "-Infinity", ATL_ERR_JSON, NULL },
	{ "undefined", ATL_ERR_JSON, NULL },
	{ "'a'", ATL_ERR_JSON, NULL },
	{ "{a:1}", ATL_ERR_JSON, "a key in quotes" },
	{ "{1:1}", ATL_ERR_JSON, NULL },
	{ "{\"a\"}", ATL_ERR_JSON, "a colon" },
	{ "{\"a\":}", ATL_ERR_JSON, "a value is missing" },
	{ "{\"a\":1,}", ATL_ERR_JSON, NULL },
	{ "{,}", ATL_ERR_JSON, NULL },
	{ "{\"a\":1 \"b\":2}", ATL_ERR_JSON, "a comma or }" },
	{ "{\"a\":1", ATL_ERR_JSON, NULL },
	{ "{\"a\":1]", ATL_ERR_JSON, NULL },
	{ "[1,]", ATL_ERR_JSON, NULL },
	{ "[,1]", ATL_ERR_JSON, NULL },
	{ "[1 2]", ATL_ERR_JSON, "a comma or ]" },
	{ "[1}", ATL_ERR_JSON, NULL },
	{ "[", ATL_ERR_JSON, NULL },
	{ "]", ATL_ERR_JSON, NULL },
	{ "[1\n,\n x]", ATL_ERR_JSON, "Line 3, column 2" },
	{ "// a\n1", ATL_ERR_JSON, NULL },
	{ "/* a */1", ATL_ERR_JSON, NULL },
	{ "\v1", ATL_ERR_JSON, NULL },
	{ "\xC2\xA0" "1", ATL_ERR_JSON, NULL }, /* no-break space */
	/* numbers */
	{ "+1", ATL_ERR_JSON, NULL },
	{ "01", ATL_ERR_JSON, "must not start with 0" },
	{ "-01", ATL_ERR_JSON, NULL },
	{ "00", ATL_ERR_JSON, NULL },
	{ "-", ATL_ERR_JSON, "a digit is missing" },
	{ "1.", ATL_ERR_JSON, NULL },
	{ ".5", ATL_ERR_JSON, NULL },
	{ "1.e1", ATL_ERR_JSON, NULL },
	{ "1e", ATL_ERR_JSON, NULL },
	{ "1e+", ATL_ERR_JSON, NULL },
	{ "1.2.3", ATL_ERR_JSON, NULL },
	{ "0x10", ATL_ERR_JSON, NULL },
	{ "1_000", ATL_ERR_JSON, NULL },
	{ "- 1", ATL_ERR_JSON, NULL },
	{ "1e400", ATL_ERR_JSON, "the number is too large" },
	{ "-1e400", ATL_ERR_JSON, NULL },
	/* strings */
	{ "\"", ATL_ERR_JSON, "ends inside a string" },
	{ "\"abc", ATL_ERR_JSON, NULL },
	{ "\"a\nb\"", ATL_ERR_JSON, "control character" },
	{ "\"a\tb\"", ATL_ERR_JSON, NULL },
	{ "\"\x01\"", ATL_ERR_JSON, NULL },
	{ "\"\\", ATL_ERR_JSON, NULL },
	{ "\"\\\"", ATL_ERR_JSON, NULL },
	{ "\"\\a\"", ATL_ERR_JSON, "unknown escape" },
	{ "\"\\x41\"", ATL_ERR_JSON, NULL },
	{ "\"\\'\"", ATL_ERR_JSON, NULL },
	{ "\"\\U0041\"", ATL_ERR_JSON, NULL },
	{ "\"\\u\"", ATL_ERR_JSON, NULL },
	{ "\"\\u004\"", ATL_ERR_JSON, "four hexadecimal" },
	{ "\"\\u00g1\"", ATL_ERR_JSON, NULL },
	{ "\"\\u0000\"", ATL_ERR_JSON, "\\u0000" },
	{ "{\"\\u0000\":1}", ATL_ERR_JSON, NULL },
	{ "\"\\uD83D\"", ATL_ERR_JSON, "surrogate" },
	{ "\"\\uDE00\"", ATL_ERR_JSON, "surrogate" },
	{ "\"\\uD83Dx\"", ATL_ERR_JSON, NULL },
	{ "\"\\uD83D\\u0041\"", ATL_ERR_JSON, NULL },
	{ "\"\\uD83D\\uD83D\"", ATL_ERR_JSON, NULL },
	{ "\"\\uD83D\\uDE0\"", ATL_ERR_JSON, NULL },
	{ "\"\\uD83D\\", ATL_ERR_JSON, NULL },
	{ "\"\\uD83D\\u", ATL_ERR_JSON, NULL },
	/* UTF-8 */
	{ "\"\xC3\"", ATL_ERR_ENCODING, "invalid UTF-8" },
	{ "\"\x80\"", ATL_ERR_ENCODING, NULL },
	{ "\"\xC0\x80\"", ATL_ERR_ENCODING, NULL },
	{ "\"\xE0\x80\x80\"", ATL_ERR_ENCODING, NULL },
	{ "\"\xED\xA0\x80\"", ATL_ERR_ENCODING, NULL },
	{ "\"\xF4\x90\x80\x80\"", ATL_ERR_ENCODING, NULL },
	{ "\"\xFF\"", ATL_ERR_ENCODING, NULL },
	{ "\"\xF0\x9F\x98", ATL_ERR_ENCODING, NULL },
	{ "{\"\xFF\":1}", ATL_ERR_ENCODING, NULL },
};

static void test_refused(void **state)
{
	for (size_t i = 0; i < ATL_COUNT(refused); i++) {
		struct atl_errinfo info = { 0 };
		struct atl_json *root = (void *)&info;
		enum atl_err err = atl_json_parse(&arena, refused[i].text, strlen(refused[i].text), &root, &info);

		if (err != refused[i].err)
			fail_msg("%s: %s", refused[i].text, atl_err_name(err));
		assert_ptr_equal(root, &info); /* set only on success */
		assert_int_equal(info.code, err);
		if (refused[i].detail && !strstr(info.detail, refused[i].detail))
			fail_msg("%s: %s", refused[i].text, info.detail);
	}
}

static void test_nul(void **state)
{
	static const char *const rows[] = { "\0", "1\0", "[\0]", "\"a\0b\"", "{\"a\0\":1}", "[1\0,2]", "tr\0e", "{}\0" };
	static const size_t lengths[] = { 1, 2, 3, 5, 8, 6, 4, 3 };
	struct atl_json *root;

	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		assert_int_equal(atl_json_parse(&arena, rows[i], lengths[i], &root, NULL), ATL_ERR_JSON);
	assert_int_equal(atl_json_parse(&arena, NULL, 0, &root, NULL), ATL_ERR_JSON);
	assert_int_equal(atl_json_parse(&arena, "[1]x", 3, &root, NULL), ATL_OK); /* only `length` counts */
}

/* Every beginning of a valid text is refused. */
static void test_truncated(void **state)
{
	const char *text = "{\"a\":[1,-2.5e3,true,false,null,\"x\\u00e9\\ud83d\\ude00\xC3\xA9\"],\"b\":{}}";
	struct atl_json *root;

	for (size_t length = 0; length < strlen(text); length++) {
		char *exact = malloc(length + 1); /* so that reading past the length is seen */

		memcpy(exact, text, length);
		exact = realloc(exact, length ? length : 1);
		assert_int_not_equal(atl_json_parse(&arena, exact, length, &root, NULL), ATL_OK);
		free(exact);
	}
	assert_non_null(parse(text));
}

static void test_depth(void **state)
{
	char text[2 * (ATL_JSON_DEPTH_MAX + 1) + 1];
	struct atl_errinfo info = { 0 };
	struct atl_json *root;
	char *bomb;

	for (int depth = ATL_JSON_DEPTH_MAX; depth <= ATL_JSON_DEPTH_MAX + 1; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		assert_int_equal(atl_json_parse(&arena, text, 2 * (size_t)depth, &root, &info),
				 depth > ATL_JSON_DEPTH_MAX ? ATL_ERR_JSON : ATL_OK);
	}
	assert_non_null(strstr(info.detail, "too deeply"));
	assert_non_null(parse("[[[[[[]]]]],[[[[[]]]]]]")); /* depth is not a count of brackets */
	bomb = malloc(1000000);
	memset(bomb, '[', 1000000);
	assert_int_equal(atl_json_parse(&arena, bomb, 1000000, &root, NULL), ATL_ERR_JSON);
	free(bomb);
}

static void test_arena_full(void **state)
{
	struct atl_arena small;
	struct atl_json *root;
	char text[4001]; /* [1,1,...,1] */

	text[0] = '[';
	for (size_t i = 1; i < sizeof(text); i += 2)
		memcpy(text + i, "1,", 2);
	text[sizeof(text) - 1] = ']';
	for (size_t max = 16; max < 20000; max += 1000) {
		atl_arena_init(&small, max);
		assert_int_equal(atl_json_parse(&small, text, sizeof(text), &root, NULL), ATL_ERR_NOMEM);
		atl_arena_finish(&small);
	}
}

static void test_numbers(void **state)
{
	struct atl_json *array = parse("[9223372036854775807,-9223372036854775808,9223372036854775808,1.0,-0,5e-324,"
				       "1.7976931348623157e308,0.30000000000000004,123456789012345678901234567890]");

	assert_true(atl_json_at(array, 0)->is_integer && atl_json_at(array, 0)->integer == INT64_MAX);
	assert_true(atl_json_at(array, 1)->is_integer && atl_json_at(array, 1)->integer == INT64_MIN);
	assert_false(atl_json_at(array, 2)->is_integer);
	assert_true(atl_json_at(array, 2)->number == 9223372036854775808.0);
	assert_false(atl_json_at(array, 3)->is_integer);
	assert_true(atl_json_at(array, 4)->is_integer && signbit(atl_json_at(array, 4)->number));
	assert_true(atl_json_at(array, 5)->number == 5e-324);
	assert_true(atl_json_at(array, 6)->number == DBL_MAX);
	assert_true(atl_json_at(array, 7)->number == 0.1 + 0.2);
	assert_true(atl_json_at(array, 8)->number == 123456789012345678901234567890.0);
}

static void test_readers(void **state)
{
	struct atl_json *root = parse("{\"s\":\"x\",\"n\":2.5,\"i\":7,\"w\":3.0,\"b\":true,\"z\":null,\"d\":1,\"d\":2,"
				      "\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"huge\":1e300}");
	int64_t integer;

	assert_string_equal(atl_json_str(root, "s", "f"), "x");
	assert_string_equal(atl_json_str(root, "i", "f"), "f");
	assert_string_equal(atl_json_str(root, "z", "f"), "f");
	assert_string_equal(atl_json_str(NULL, "s", "f"), "f");
	assert_int_equal(atl_json_int(root, "i", -1), 7);
	assert_int_equal(atl_json_int(root, "w", -1), 3);
	assert_int_equal(atl_json_int(root, "n", -1), -1);
	assert_int_equal(atl_json_int(root, "huge", -1), -1);
	assert_int_equal(atl_json_int(root, "b", -1), -1);
	assert_int_equal(atl_json_int(root, "d", -1), 2); /* the last one wins */
	assert_true(atl_json_num(root, "n", 0) == 2.5);
	assert_true(atl_json_num(root, "i", 0) == 7);
	assert_true(atl_json_num(root, "s", 9) == 9);
	assert_true(atl_json_bool(root, "b", false));
	assert_true(atl_json_bool(root, "i", true));
	assert_null(atl_json_get(root, "missing"));
	assert_null(atl_json_get(atl_json_get(root, "choices"), "s"));
	assert_int_equal(atl_json_get(root, "z")->kind, ATL_JSON_NULL);
	assert_null(atl_json_at(root, 0));
	assert_null(atl_json_at(atl_json_get(root, "choices"), 1));
	assert_null(atl_json_at(NULL, 0));
	assert_string_equal(atl_json_path(root, "choices.0.delta.content")->string, "hi");
	assert_null(atl_json_path(root, "choices.1.delta.content"));
	assert_null(atl_json_path(root, "choices.x"));
	assert_null(atl_json_path(root, "choices.0.delta.content.more"));
	assert_null(atl_json_path(root, "choices."));
	assert_null(atl_json_path(NULL, "a"));
	assert_false(atl_json_integer(NULL, &integer));
}

static void test_writer(void **state)
{
	struct atl_jw w;

	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "s", "a\"b\\c\n\x01\x7F\xC3\xA9");
	atl_jw_str(&w, "bad", "x\xC3(\xED\xA0\x80");
	atl_jw_strn(&w, "nul", "a\0b", 3);
	atl_jw_str(&w, "none", NULL);
	atl_jw_str(&w, "k\"ey", "");
	atl_jw_int(&w, "min", INT64_MIN);
	atl_jw_int(&w, "max", INT64_MAX);
	atl_jw_bool(&w, "b", true);
	atl_jw_time(&w, "t", INT64_C(1767323045678));
	atl_jw_time(&w, "t0", 0);
	atl_jw_raw(&w, "r", "{\"x\":1}");
	atl_jw_raw(&w, "r0", "");
	atl_jw_array(&w, "list");
	atl_jw_int(&w, NULL, 1);
	atl_jw_array(&w, NULL);
	atl_jw_end_array(&w);
	atl_jw_object(&w, NULL);
	atl_jw_end_object(&w);
	atl_jw_null(&w, NULL);
	atl_jw_end_array(&w);
	atl_jw_tree(&w, "tree", parse("[1,{\"a\":\"b\"}]"));
	atl_jw_tree(&w, "no_tree", NULL);
	atl_jw_end_object(&w);
	assert_string_equal(out.data,
			    "{\"s\":\"a\\\"b\\\\c\\n\\u0001\x7F\xC3\xA9\",\"bad\":\"x\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD"
			    "\xEF\xBF\xBD\",\"nul\":\"a\xEF\xBF\xBD" "b\",\"none\":null,\"k\\\"ey\":\"\","
			    "\"min\":-9223372036854775808,\"max\":9223372036854775807,\"b\":true,"
			    "\"t\":\"2026-01-02T03:04:05.678Z\",\"t0\":null,\"r\":{\"x\":1},\"r0\":null,"
			    "\"list\":[1,[],{},null],\"tree\":[1,{\"a\":\"b\"}],\"no_tree\":null}");
	assert_non_null(parse(out.data));
}

static void test_writer_depth(void **state)
{
	char deep[2 * ATL_JSON_DEPTH_MAX + 1];
	struct atl_jw w;

	/* A tree may be deeper than the writer's own nesting. */
	memset(deep, '[', ATL_JSON_DEPTH_MAX);
	memset(deep + ATL_JSON_DEPTH_MAX, ']', ATL_JSON_DEPTH_MAX);
	deep[2 * ATL_JSON_DEPTH_MAX] = '\0';
	assert_string_equal(rewritten(parse(deep)), deep);

	atl_buf_reset(&out);
	atl_jw_init(&w, &out);
	for (int i = 0; i < ATL_JSON_WRITER_DEPTH - 1; i++)
		atl_jw_array(&w, NULL);
	assert_false(out.failed);
	for (int i = 0; i < 10; i++)
		atl_jw_array(&w, NULL);
	assert_true(out.failed);
	for (int i = 0; i < ATL_JSON_WRITER_DEPTH + 9; i++)
		atl_jw_end_array(&w);
	assert_int_equal(w.depth, 0);

	atl_buf_reset(&out);
	atl_jw_init(&w, &out);
	atl_jw_end_object(&w); /* one too many is a mistake of ours, and is seen */
	assert_true(out.failed);
}

static const char *number(double value)
{
	struct atl_jw w;

	atl_buf_reset(&out);
	atl_jw_init(&w, &out);
	atl_jw_num(&w, NULL, value);
	return out.data;
}

static void test_writer_numbers(void **state)
{
	uint64_t bits = UINT64_C(0x9E3779B97F4A7C15);
	double value, back;

	assert_string_equal(number(0), "0");
	assert_string_equal(number(-0.0), "-0");
	assert_string_equal(number(3), "3");
	assert_string_equal(number(-999999999999999.0), "-999999999999999");
	assert_string_equal(number(0.1), "0.1");
	assert_string_equal(number(0.1 + 0.2), "0.30000000000000004");
	assert_string_equal(number(1e21), "1e+21");
	assert_string_equal(number(5e-324), "4.94065645841247e-324");
	assert_string_equal(number(NAN), "null");
	assert_string_equal(number(INFINITY), "null");
	assert_string_equal(number(-INFINITY), "null");
	for (int i = 0; i < 20000; i++) {
		bits ^= bits << 13;
		bits ^= bits >> 7;
		bits ^= bits << 17;
		memcpy(&value, &bits, sizeof(value));
		if (!isfinite(value))
			continue;
		assert_true(atl_str_double(number(value), &back));
		assert_true(back == value);
	}
	assert_true(atl_str_double(number(DBL_MAX), &back) && back == DBL_MAX);
}

#define ONE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

/* The same tree as from a copy; its strings lie in the text. */
static void test_in_place(void **state)
{
	static const char text[] = "{\"a\":\"x\\ty\\u00e9\",\"b\":[1,\"z\"]}", broken[] = "{\"a\":tru}";
	struct atl_errinfo info = { 0 };
	struct atl_arena own;
	struct atl_json *tree;
	char copy[64];

	(void)state;
	atl_arena_init(&own, 0);
	memcpy(copy, text, sizeof(text));
	assert_int_equal(atl_json_parse_in_place(&own, copy, sizeof(text) - 1, &tree, &info), ATL_OK);
	assert_string_equal(atl_json_str(tree, "a", ""), "x\ty\xc3\xa9");
	assert_true(atl_json_str(tree, "a", "") > copy && atl_json_str(tree, "a", "") < copy + sizeof(copy));
	assert_string_equal(atl_json_path(tree, "b.1")->string, "z");
	memcpy(copy, broken, sizeof(broken));
	assert_int_equal(atl_json_parse_in_place(&own, copy, sizeof(broken) - 1, &tree, &info), ATL_ERR_JSON);
	assert_string_equal(info.detail, "Byte 6: a value is missing.");
	atl_arena_finish(&own);
}

int main(void)
{
	const struct CMUnitTest tests[] = { ONE(test_accepted), ONE(test_refused), ONE(test_nul),  ONE(test_truncated),
					    ONE(test_depth),	ONE(test_arena_full), ONE(test_numbers), ONE(test_readers),
					    ONE(test_writer),	ONE(test_writer_depth), ONE(test_writer_numbers),
					    ONE(test_in_place) };

	return cmocka_run_group_tests_name("base/json", tests, NULL, NULL);
}
