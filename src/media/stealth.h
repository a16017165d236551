/* stealth.h - texts hidden in the lowest bits of pixels ("stealth PNG" of NovelAI and an A1111 extension).
 *
 * Bits run down the columns, from the left. In alpha: one bit a pixel; in colour: three, red first. A signature names
 * the form, 32 bits give the length in bits, then the text, as it is or as gzip.
 *
 * Needs decoded pixels, so it runs where pictures are decoded. Threads: pure function.
 * Limits: ATL_METADATA_TEXT_MAX for the text, hidden and inflated.
 */
#ifndef ATL_MEDIA_STEALTH_H
#define ATL_MEDIA_STEALTH_H

#include "media/metadata.h"

/* The text; then atl_metadata_read_text() understands it. `rgba`: 8-bit rows without padding.
 * NULL: nothing hidden, damaged, or no memory. A picture without hidden text costs 240 looked-at pixels. */
const char *atl_stealth_text(struct atl_arena *arena, const void *rgba, size_t width, size_t height,
			     size_t *ret_length);

/* Both steps. NOT_FOUND: nothing hidden that can be understood. */
enum atl_err atl_stealth_read(struct atl_arena *arena, const void *rgba, size_t width, size_t height,
			      struct atl_recall *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
