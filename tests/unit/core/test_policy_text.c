/* How the policy reads: folding, borders, other readings of a word, hidden texts, and that the cost stays linear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/log.h"
#include "core/safety/policy.h"
#include "core/safety/policy_terms.h"
#include "core/safety/policy_text.h"

/* ---- scan, written down: words with a space behind, characters without spaces in [], sentences as / ---- */

static char seen[4096];

static void on_word(void *user, const char *word, size_t length)
{
	size_t at = strlen(seen);

	snprintf(seen + at, sizeof(seen) - at, "%.*s ", (int)length, word);
}

static void on_spaceless(void *user, uint32_t c, bool first)
{
	size_t at = strlen(seen);

	snprintf(seen + at, sizeof(seen) - at, first ? "[%x]" : "+[%x]", c);
}

static void on_sentence(void *user)
{
	size_t at = strlen(seen);

	snprintf(seen + at, sizeof(seen) - at, "/");
}

static const char *scan(const char *text)
{
	const struct atl_policy_sink sink = { on_word, on_spaceless, on_sentence, NULL };

	seen[0] = '\0';
	atl_policy_scan(text, strlen(text), false, &sink);
	return seen;
}

static void test_scan(void **state)
{
	assert_string_equal(scan("Two words."), "two words /");
	assert_string_equal(scan("ÀÉÎõü ßtraße Œuvre Łódź"), "aeiou sstrasse oeuvre lodz ");
	assert_string_equal(scan("ｆｕｌｌ 𝐦𝐚𝐭𝐡 ⓒⓘⓡⓒ ᴄᴀᴘ 🅰🅱"), "full math circ cap ab ");
	assert_string_equal(scan("раре αε"), "pape ae "); /* Cyrillic and Greek that look so */
	assert_string_equal(scan("a\xcc\xb6" "b\xe2\x80\x8b" "c\xc2\xad" "d"), "abcd ");
	assert_string_equal(scan("①② ٣٤ １２"), "12 34 12 ");
	assert_string_equal(scan("wooooooow"), "wooow "); /* runs are cut: they would fill the buffer */
	assert_string_equal(scan("really! s!x @b a$$"), "really /s!x @b a$$ ");
	assert_string_equal(scan("中文 a"), "[4e2d]+[6587]a ");
	assert_string_equal(scan("ｶﾞ ガ が"), "[304c][304c][304c]"); /* half width, katakana, hiragana */
	assert_string_equal(scan("각 각"), "[ac01][ac01]");	  /* parts of a syllable, and the syllable */
}

static void test_other_readings(void **state)
{
	char out[ATL_POLICY_WORD_MAX + 1];

	assert_true(atl_policy_unleet("c4t5", 'i', out));
	assert_string_equal(out, "cats");
	assert_true(atl_policy_unleet("1emon", 'l', out));
	assert_string_equal(out, "lemon");
	assert_false(atl_policy_unleet("2026", 'i', out)); /* a number */
	assert_false(atl_policy_unleet("lemon", 'i', out));
	assert_true(atl_policy_squeeze("cooool", 2, out));
	assert_string_equal(out, "cool");
	assert_false(atl_policy_squeeze("cool", 2, out));
	assert_true(atl_policy_reverse("nomel", out));
	assert_string_equal(out, "lemon");
	assert_true(atl_policy_rotate("yrzba", out));
	assert_string_equal(out, "lemon");
	assert_true(atl_policy_unstar("l*mon", 1, out));
	assert_string_equal(out, "lemon");
	assert_false(atl_policy_unstar("l*mon", 5, out));
	assert_false(atl_policy_unstar("lemon", 0, out));
}

static const char *hidden(const char *text)
{
	static char out[256];
	size_t length = 0;

	atl_policy_encoded(text, strlen(text), out, &length);
	out[length] = '\0';
	return out;
}

static void test_hidden_texts(void **state)
{
	char out[256];
	size_t length;

	assert_string_equal(hidden("bGVtb24gdHJlZQ=="), "lemon tree");
	assert_string_equal(hidden("6c656d6f6e"), "lemon");
	assert_string_equal(hidden("6c 65 6d 6f 6e"), "lemon");
	assert_string_equal(hidden("Kindergarten"), "");
	assert_true(atl_policy_unescape("%6cem\\u006fn &#108;&#x65;", 26, out, &length));
	out[length] = '\0';
	assert_string_equal(out, "lemon le");
	assert_false(atl_policy_unescape("100 % sure", 10, out, &length));
	assert_true(atl_policy_unescape("%ff", 3, out, &length));
	assert_memory_equal(out, "?", 1);
	atl_policy_backwards("aé中", 6, out);
	assert_memory_equal(out, "中éa", 6);
}

static void test_terms(void **state)
{
	const char *phrase[] = { "education", "sex" }, *stem[] = { "pornographische" };

	assert_true(atl_policy_terms_ready());
	assert_true(strlen(atl_policy_version) > 0);
	assert_true(atl_policy_terms_words(phrase, 2).kinds & ATL_TERM_HARMLESS);
	assert_int_equal(atl_policy_terms_words(phrase, 1).kinds & ATL_TERM_HARMLESS, 0);
	assert_true(atl_policy_terms_words(stem, 1).kinds & ATL_TERM_EXPLICIT);
	assert_int_equal(atl_policy_terms_exact("pornographische"), 0);
	assert_true(atl_policy_terms_squeezed("tooodddller") & ATL_TERM_MINOR);
	assert_int_equal(atl_policy_terms_word("lemon"), 0);
}

/* ---- cost ---- */

static int64_t processor_us(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t cost_us(const char *unit, size_t size)
{
	size_t part = strlen(unit), length = 0;
	char *text = malloc(size + part + 1);
	struct atl_policy_text one;
	int64_t best = INT64_MAX;

	assert_non_null(text);
	for (; length < size; length += part)
		memcpy(text + length, unit, part);
	one = (struct atl_policy_text){ text, length };
	for (int i = 0; i < 3; i++) {
		int64_t start = processor_us(), took;

		assert_int_equal(atl_policy_check(NULL, ATL_ENTRY_MESSAGE, NULL, &one, 1, NULL), ATL_OK);
		took = processor_us() - start;
		best = took < best ? took : best;
	}
	free(text);
	return best + 1;
}

/* Eight times the text may take no more than some twenty times as long: a quadratic reading would take 64 times. */
static void test_cost_is_linear(void **state)
{
	static const char *const units[] = { "The quick brown fox jumps over the lazy dog. ",
					     "a b c d e f g h ",
					     "6c 65 6d 6f 6e 00 ",
					     "QmFzZTY0IGlzIG5vdCBlbmNyeXB0aW9u ",
					     "%41%42 \\u0043 &#68; ",
					     "中文字符",
					     "l3m0n$ l*m*n aaaaaa!b ",
					     "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz" };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		int64_t small = cost_us(units[i], 32 << 10), large = cost_us(units[i], 256 << 10);

		print_message("# %.1f MB/s: %.20s\n", 262144.0 / (double)large, units[i]);
		if (large > small * 20 + 20000)
			fail_msg("%lld us, then %lld us for eight times as much: %s", (long long)small, (long long)large, units[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_other_readings),
		cmocka_unit_test(test_hidden_texts),
		cmocka_unit_test(test_terms),
		cmocka_unit_test(test_cost_is_linear),
	};

	if (atl_log_init(ATL_LOG_ERROR, ATL_LOG_LOGFMT, NULL, NULL))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
