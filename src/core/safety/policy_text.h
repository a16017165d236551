/* policy_text.h - how the policy reads: characters as plain letters, texts as words, and what else a word may mean.
 *
 * Every code point folds to one of: a border between words, nothing (invisible characters, marks), up to three bytes of
 * letters or digits, a character of a script written without spaces, or a letter of a script that has no terms. Letters
 * are one byte each: a-z, digits, and bytes from 0x80 for Cyrillic letters that look like no Latin one. A few signs that
 * stand in for letters ("@", "$", "!") stay inside a word and are judged there.
 *
 * Life cycle: none; pure functions over tables that script/embed-policy generates from share/policy/fold.json.
 * Threads:    any.
 * Limits:     ATL_POLICY_WORD_MAX letters of a word count; every function is linear in its input.
 * Adding one: a look-alike is a letter in fold.json; another reading of a word is a function here and a call in policy.c.
 */
#ifndef ATL_CORE_POLICY_TEXT_H
#define ATL_CORE_POLICY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATL_POLICY_WORD_MAX 47
#define ATL_POLICY_OTHER_LETTER '\xff'
#define ATL_POLICY_ENCODED_MIN 6 /* characters of base64; fewer hide nothing */
#define ATL_POLICY_ENCODED_HEX_MIN 8

extern const uint16_t atl_policy_fold_index[];
extern const uint32_t atl_policy_fold_blocks[];

enum atl_policy_class {
	ATL_FOLD_SEPARATOR,
	ATL_FOLD_SKIP,
	ATL_FOLD_BYTES,	    /* three bytes in the value, the first lowest */
	ATL_FOLD_SPACELESS, /* the value is the code point, 0 for itself */
	ATL_FOLD_JAMO,	    /* a part of a Hangul syllable, or a kana's voicing mark */
	ATL_FOLD_OTHER
};

/* Class in the top byte, value below. */
static inline uint32_t atl_policy_fold(uint32_t c)
{
	return c > 0x10ffff ? (uint32_t)ATL_FOLD_SEPARATOR << 24
			    : atl_policy_fold_blocks[atl_policy_fold_index[c >> 7] * 128u + (c & 127)];
}

/* What a text is made of, in order. A callback may be NULL. */
struct atl_policy_sink {
	/* A run of letters, digits and signs that stand in for letters, folded, at most ATL_POLICY_WORD_MAX of them. */
	void (*word)(void *user, const char *word, size_t length);
	/* One character of a script without spaces; `first` when something else stood before it. */
	void (*spaceless)(void *user, uint32_t c, bool first);
	/* The end of a sentence or line. */
	void (*sentence)(void *user);
	void *user;
};
/* `text` must be valid UTF-8. With `rotated` Latin letters are moved by 13. */
void atl_policy_scan(const char *text, size_t length, bool rotated, const struct atl_policy_sink *sink);

/* Other readings of one word. Each fills `out` and returns whether there is such a reading and it differs. */
bool atl_policy_unleet(const char *word, char one, char out[ATL_POLICY_WORD_MAX + 1]); /* `one`: what 1, ! and | are: i, l */
bool atl_policy_squeeze(const char *word, size_t keep, char out[ATL_POLICY_WORD_MAX + 1]); /* "coool": runs of `keep` at most */
bool atl_policy_reverse(const char *word, char out[ATL_POLICY_WORD_MAX + 1]);
bool atl_policy_rotate(const char *word, char out[ATL_POLICY_WORD_MAX + 1]);
/* The `n`th filling of up to two stars by vowels; false when there is no star, more than two, or no `n`th. */
bool atl_policy_unstar(const char *word, unsigned n, char out[ATL_POLICY_WORD_MAX + 1]);

/* Text hidden in base64 (either alphabet) or hex at `text`. Returns how many bytes of `text` the run takes (0: no run
 * starts here); *ret_length of `out` (as large as the input) are set when what comes out is text, else it is 0. */
size_t atl_policy_encoded(const char *text, size_t length, char *out, size_t *ret_length);
/* Undoes %41, \u0041, \x41, &#65; and &#x41; in one go. `out` is as large as the input. Returns whether there were any;
 * bytes that are no UTF-8 afterwards become '?'. */
bool atl_policy_unescape(const char *text, size_t length, char *out, size_t *ret_length);
/* The characters of valid UTF-8 in the opposite order. */
void atl_policy_backwards(const char *text, size_t length, char *out);

#endif
