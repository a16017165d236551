/* str.h - text helpers: integer parsing, UTF-8 checks, comparison, cutting.
 *
 * Threads: pure functions.
 */
#ifndef ATL_BASE_STR_H
#define ATL_BASE_STR_H

#include <string.h>

#include "base/err.h"

static inline bool atl_str_eq(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}
static inline bool atl_str_empty(const char *text)
{
	return !text || !*text;
}
bool atl_str_ieq(const char *a, const char *b); /* ASCII case folded */
bool atl_str_starts(const char *text, const char *prefix);
bool atl_str_ends(const char *text, const char *suffix);
bool atl_str_eq_secret(const void *a, const void *b, size_t length); /* constant time */

/* Whole-string integers, no sign for u64, no spaces, range checked. False leaves *ret alone. */
bool atl_str_i64(const char *text, int64_t min, int64_t max, int64_t *ret) ATL_MUST_USE;
bool atl_str_u64(const char *text, uint64_t max, uint64_t *ret) ATL_MUST_USE;
bool atl_str_double(const char *text, double *ret) ATL_MUST_USE; /* locale independent, finite */
bool atl_str_size(const char *text, uint64_t *ret_bytes) ATL_MUST_USE; /* "512", "64K", "20M", "2G" */

size_t atl_utf8_char(const char *text, size_t length);	    /* bytes of the character at the start; 0 when it is not valid */
bool atl_utf8_valid(const char *text, size_t length);	    /* strict; no surrogates, no overlong */
size_t atl_utf8_incomplete(const char *text, size_t length); /* bytes of an unfinished character at the end, 0-3 */
size_t atl_utf8_cut(const char *text, size_t length, size_t max); /* largest cut <= max on a character border */
size_t atl_utf8_count(const char *text, size_t length);	    /* code points */

/* Copy with truncation on a character border; always terminates; returns false when it was cut. */
bool atl_str_copy(char *dst, size_t size, const char *src);

#endif
