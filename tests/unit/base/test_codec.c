/* Hex, base64 and percent-encoding: round trips and what decoding refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/crypto.h"

static void test_hex(void **state)
{
	static const char *const bad[] = { "", "0", "00", "000000", "0g00", "00 0", "0x00", "+100" };
	unsigned char out[2] = { 7, 7 };
	char text[5];

	atl_hex_encode("\x00\xFF", 2, text);
	assert_string_equal(text, "00ff");
	assert_true(atl_hex_decode("00fF", out, 2));
	assert_memory_equal(out, "\x00\xFF", 2);
	memset(out, 7, 2);
	for (size_t i = 0; i < ATL_COUNT(bad); i++)
		assert_false(atl_hex_decode(bad[i], out, 2));
	assert_false(atl_hex_decode(NULL, out, 2));
	assert_memory_equal(out, "\7\7", 2);
	assert_true(atl_hex_decode("", out, 0));
}

static void test_base64_vectors(void **state)
{
	static const struct {
		const char *plain, *standard, *url;
	} rows[] = {
		{ "", "", "" },
		{ "f", "Zg==", "Zg" },
		{ "fo", "Zm8=", "Zm8" },
		{ "foo", "Zm9v", "Zm9v" },
		{ "foob", "Zm9vYg==", "Zm9vYg" },
		{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
		{ "\xFB\xEF\xFF", "++//", "--__" },
	};
	struct atl_buf buf;

	atl_buf_init(&buf, 100);
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		for (int kind = ATL_BASE64_STANDARD; kind <= ATL_BASE64_URL; kind++) {
			const char *text = kind == ATL_BASE64_URL ? rows[i].url : rows[i].standard;

			atl_buf_reset(&buf);
			atl_base64_encode(&buf, kind, rows[i].plain, strlen(rows[i].plain));
			assert_string_equal(buf.data, text);
			atl_buf_reset(&buf);
			assert_true(atl_base64_decode(&buf, kind, text, strlen(text)));
			assert_string_equal(buf.data, rows[i].plain);
		}
	}
	atl_buf_finish(&buf);
}

static void test_base64_refused(void **state)
{
	static const struct {
		enum atl_base64 kind;
		const char *text;
	} rows[] = {
		{ ATL_BASE64_STANDARD, "Z" },	     { ATL_BASE64_STANDARD, "Zg" },	 { ATL_BASE64_STANDARD, "Zg=" },
		{ ATL_BASE64_STANDARD, "Zh==" }, /* left-over bits */
		{ ATL_BASE64_STANDARD, "Zm9=" },     { ATL_BASE64_STANDARD, "====" },	 { ATL_BASE64_STANDARD, "Z===" },
		{ ATL_BASE64_STANDARD, "Zg==Zg==" }, { ATL_BASE64_STANDARD, "Zm9v\n" },	 { ATL_BASE64_STANDARD, "Zm 9" },
		{ ATL_BASE64_STANDARD, "--__" },     { ATL_BASE64_STANDARD, "=Zg=" },	 { ATL_BASE64_URL, "++//" },
		{ ATL_BASE64_URL, "Zg==" },	     { ATL_BASE64_URL, "Z" },		 { ATL_BASE64_URL, "Zh" },
		{ ATL_BASE64_URL, "Zm9vY" },	     { ATL_BASE64_URL, "Zm\xC3\xA9" },
	};
	struct atl_buf buf;

	atl_buf_init(&buf, 100);
	atl_buf_adds(&buf, "kept");
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		assert_false(atl_base64_decode(&buf, rows[i].kind, rows[i].text, strlen(rows[i].text)));
		assert_string_equal(buf.data, "kept");
		assert_int_equal(buf.length, 4);
	}
	assert_false(buf.failed);
	atl_buf_finish(&buf);
}

static void test_base64_round_trip(void **state)
{
	unsigned char data[300];
	struct atl_buf text, back;

	atl_buf_init(&text, 1000);
	atl_buf_init(&back, 300);
	for (size_t length = 0; length <= sizeof(data); length++) {
		atl_random(data, length);
		back.max = length; /* decoding needs no more room than the result takes */
		for (int kind = ATL_BASE64_STANDARD; kind <= ATL_BASE64_URL; kind++) {
			atl_buf_reset(&text);
			atl_buf_reset(&back);
			atl_base64_encode(&text, kind, data, length);
			assert_true(atl_base64_decode(&back, kind, text.data, text.length));
			assert_int_equal(back.length, length);
			assert_memory_equal(back.data, data, length);
		}
	}
	atl_buf_finish(&text);
	atl_buf_init(&text, 7);
	atl_base64_encode(&text, ATL_BASE64_STANDARD, data, 6);
	assert_true(text.failed);
	atl_buf_finish(&text);
	atl_buf_finish(&back);
}

static void test_percent(void **state)
{
	static const char *const bad[] = { "%", "%1", "%g1", "%1g", "a%", "%00", "a\xC3", "%C3", "%ED%A0%80", "%+1" };
	struct atl_arena arena;
	struct atl_buf buf;
	char *text = NULL;

	atl_arena_init(&arena, 0);
	atl_buf_init(&buf, 100);
	atl_percent_encode(&buf, "a-._~Z9 /?&=+%\xC3\xA9");
	assert_string_equal(buf.data, "a-._~Z9%20%2F%3F%26%3D%2B%25%C3%A9");
	assert_true(atl_percent_decode(&arena, buf.data, buf.length, false, &text));
	assert_string_equal(text, "a-._~Z9 /?&=+%\xC3\xA9");
	assert_true(atl_percent_decode(&arena, "a+b%2b", 6, true, &text));
	assert_string_equal(text, "a b+");
	assert_true(atl_percent_decode(&arena, "a+b", 3, false, &text));
	assert_string_equal(text, "a+b");
	assert_true(atl_percent_decode(&arena, "%41%42", 3, false, &text)); /* only the given length counts */
	assert_string_equal(text, "A");
	for (size_t i = 0; i < ATL_COUNT(bad); i++)
		assert_false(atl_percent_decode(&arena, bad[i], strlen(bad[i]), true, &text));
	assert_false(atl_percent_decode(&arena, "a\0b", 3, true, &text));
	assert_false(atl_percent_decode(&arena, "%41%42", 5, true, &text));
	assert_string_equal(text, "A");
	atl_buf_finish(&buf);
	atl_arena_finish(&arena);
}

static void test_base64_in_place(void **state)
{
	static const struct {
		const char *text, *data;
	} rows[] = { { "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" }, { "Zm9vYmFy", "foobar" } };
	static const char *const refused[] = { "Z", "Zg", "Zg=", "Zh==", "Zm9vY", "Zm9!", "====", "Z===" };
	size_t length;

	(void)state;
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		char text[16];

		strcpy(text, rows[i].text);
		assert_true(atl_base64_decode_in_place(ATL_BASE64_STANDARD, text, strlen(text), &length));
		assert_int_equal(length, strlen(rows[i].data));
		assert_memory_equal(text, rows[i].data, length);
	}
	for (size_t i = 0; i < ATL_COUNT(refused); i++) {
		char text[16];

		strcpy(text, refused[i]);
		assert_false(atl_base64_decode_in_place(ATL_BASE64_STANDARD, text, strlen(text), &length));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hex), cmocka_unit_test(test_base64_vectors),
					    cmocka_unit_test(test_base64_refused),
					    cmocka_unit_test(test_base64_round_trip), cmocka_unit_test(test_percent),
					    cmocka_unit_test(test_base64_in_place) };

	return cmocka_run_group_tests_name("base/codec", tests, NULL, NULL);
}
