/* codec.h - hex, base64, percent-encoding and query strings. Pure functions. */
#ifndef ATL_BASE_CODEC_H
#define ATL_BASE_CODEC_H

#include "base/arena.h"
#include "base/buf.h"

void atl_hex_encode(const void *data, size_t length, char *out); /* out: 2*length+1 */
bool atl_hex_decode(const char *text, void *out, size_t out_length) ATL_MUST_USE; /* exactly out_length bytes */

enum atl_base64 { ATL_BASE64_STANDARD, ATL_BASE64_URL }; /* URL: no padding */
void atl_base64_encode(struct atl_buf *out, enum atl_base64 kind, const void *data, size_t length);
bool atl_base64_decode(struct atl_buf *out, enum atl_base64 kind, const char *text, size_t length) ATL_MUST_USE;
/* The bytes take the place of the text, from its start. False: it is not base64, and is spoiled. */
bool atl_base64_decode_in_place(enum atl_base64 kind, char *text, size_t length, size_t *ret_length) ATL_MUST_USE;

void atl_percent_encode(struct atl_buf *out, const char *text); /* everything but unreserved */
/* Decode into the arena. False: bad escape, NUL, or not UTF-8. */
bool atl_percent_decode(struct atl_arena *arena, const char *text, size_t length, bool plus_is_space,
			char **ret) ATL_MUST_USE;

#endif
