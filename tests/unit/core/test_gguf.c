/* GGUF headers: a good one, every cut of it, and hostile numbers in each place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "core/models/gguf.h"

static void le(struct atl_buf *b, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		atl_buf_addc(b, (char)(value >> (8 * i)));
}

static void text(struct atl_buf *b, const char *s)
{
	le(b, strlen(s), 8);
	atl_buf_adds(b, s);
}

static void head(struct atl_buf *b, uint32_t version, uint64_t tensors, uint64_t keys)
{
	atl_buf_init(b, 65536);
	atl_buf_adds(b, "GGUF");
	le(b, version, 4);
	le(b, tensors, 8);
	le(b, keys, 8);
}

static void key_text(struct atl_buf *b, const char *key, const char *value)
{
	text(b, key);
	le(b, 8, 4);
	text(b, value);
}

static void good(struct atl_buf *b)
{
	head(b, 3, 1, 7);
	text(b, "llama.context_length"); /* before the architecture is known */
	le(b, 4, 4);
	le(b, 8192, 4);
	key_text(b, "general.architecture", "llama");
	key_text(b, "general.name", "Tiny");
	key_text(b, "tokenizer.chat_template", "{{x}}");
	text(b, "general.file_type");
	le(b, 4, 4);
	le(b, 15, 4);
	text(b, "tokenizer.ggml.tokens");
	le(b, 9, 4);
	le(b, 8, 4);
	le(b, 2, 8);
	text(b, "a");
	text(b, "b");
	text(b, "nested");
	le(b, 9, 4);
	le(b, 9, 4);
	le(b, 1, 8);
	le(b, 4, 4);
	le(b, 2, 8);
	le(b, 1, 4);
	le(b, 2, 4);
	text(b, "weight");
	le(b, 2, 4);
	le(b, 64, 8);
	le(b, 4, 8);
	le(b, 2, 4); /* Q4_0: 32 elements in 18 bytes */
	le(b, 0, 8);
}

static void test_good(void **state)
{
	struct atl_buf b;
	struct atl_gguf g;
	good(&b);
	assert_int_equal(atl_gguf_parse(b.data, b.length, &g, NULL, NULL), ATL_OK);
	assert_string_equal(g.architecture, "llama");
	assert_string_equal(g.name, "Tiny");
	assert_string_equal(g.quantization, "Q4_K_M");
	assert_int_equal(g.context_length, 8192);
	assert_int_equal(g.parameters, 256);
	assert_true(g.has_chat_template);
	assert_int_equal(g.file_bytes_min, (b.length + 31) / 32 * 32 + 256 / 32 * 18);
	assert_int_equal(atl_gguf_usable(&g, NULL), ATL_OK);
	strcpy(g.type, "adapter");
	assert_int_equal(atl_gguf_usable(&g, NULL), ATL_ERR_UNPROCESSABLE);
	atl_buf_finish(&b);
}

static void test_every_cut(void **state)
{
	struct atl_buf b;
	struct atl_gguf g;
	good(&b);
	for (size_t i = 0; i < b.length; i++) {
		bool truncated = false;
		char *exact = malloc(i + 1); /* so that a read past the end is seen */
		memcpy(exact, b.data, i);
		char *tight = realloc(exact, i ? i : 1);
		assert_int_equal(atl_gguf_parse(tight, i, &g, &truncated, NULL), ATL_ERR_UNPROCESSABLE);
		assert_true(truncated);
		free(tight);
	}
	atl_buf_finish(&b);
}

static void refuse(struct atl_buf *b, const char *words, int line)
{
	struct atl_errinfo info = {0};
	struct atl_gguf g;
	bool truncated = false;
	if (atl_gguf_parse(b->data, b->length, &g, &truncated, &info) != ATL_ERR_UNPROCESSABLE || truncated ||
	    !strstr(info.detail, words))
		fail_msg("line %d: %s", line, info.detail);
	atl_buf_finish(b);
}
#define REFUSE(b, words) refuse(b, words, __LINE__)

static void test_hostile(void **state)
{
	struct atl_buf b;
	head(&b, 1, 0, 0);
	REFUSE(&b, "version 1");
	head(&b, 0x03000000, 0, 0);
	REFUSE(&b, "big-endian");
	head(&b, 3, UINT64_MAX, 0);
	REFUSE(&b, "claims more");
	head(&b, 3, 0, UINT64_MAX);
	REFUSE(&b, "claims more");
	head(&b, 3, 0, 0);
	REFUSE(&b, "architecture");
	head(&b, 3, 0, 1);
	le(&b, UINT64_MAX, 8); /* a key of that length */
	REFUSE(&b, "longer than a header");
	head(&b, 3, 0, 1);
	text(&b, "k");
	le(&b, 77, 4);
	REFUSE(&b, "unknown type");
	head(&b, 3, 0, 1);
	text(&b, "k");
	le(&b, 9, 4);
	le(&b, 10, 4);
	le(&b, UINT64_MAX / 4, 8); /* 8-byte items: the product would wrap */
	REFUSE(&b, "longer than a header");
	head(&b, 3, 0, 1);
	text(&b, "k");
	le(&b, 9, 4);
	for (int i = 0; i < 10; i++) {
		le(&b, 9, 4);
		le(&b, 1, 8);
	}
	REFUSE(&b, "nested");
	head(&b, 3, 1, 0);
	text(&b, "t");
	le(&b, 9, 4);
	REFUSE(&b, "dimensions");
	head(&b, 3, 1, 0);
	text(&b, "t");
	le(&b, 2, 4);
	le(&b, UINT64_C(1) << 40, 8);
	le(&b, UINT64_C(1) << 40, 8);
	REFUSE(&b, "absurdly");
	head(&b, 3, 1, 0);
	text(&b, "t");
	le(&b, 1, 4);
	le(&b, 4, 8);
	le(&b, 0, 4);
	le(&b, UINT64_MAX - 3, 8); /* offset */
	REFUSE(&b, "absurdly");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_hostile),
	};
	return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
