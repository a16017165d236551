/* png_chunk.h - the chunks of a PNG file: walking over them, reading texts from them, writing them.
 *
 * Source: PNG specification (Third Edition), 5.3 and 11.3.3. Checksums are not looked at when reading.
 * Threads: pure functions.
 */
#ifndef ATL_MEDIA_PNG_CHUNK_H
#define ATL_MEDIA_PNG_CHUNK_H

#include "base/buf.h"
#include "media/texts.h"

struct atl_png_chunk {
	char type[5];
	const uint8_t *data, *whole; /* whole: with length, type and checksum */
	size_t length, whole_length;
};
struct atl_png_walk {
	const uint8_t *at;
	size_t left;
	bool broken; /* a chunk runs past the end of the file */
};

bool atl_png_walk_init(struct atl_png_walk *walk, const void *data, size_t length) ATL_MUST_USE; /* false: no PNG */
bool atl_png_next(struct atl_png_walk *walk, struct atl_png_chunk *ret) ATL_MUST_USE;		 /* false: the end */

/* Add a tEXt, zTXt or iTXt chunk's text; a damaged one is skipped. */
void atl_png_read_text(struct atl_arena *arena, const struct atl_png_chunk *chunk, struct atl_texts *texts);

void atl_png_add(struct atl_buf *out, const char *type, const void *data, size_t length);
/* tEXt when Latin-1 can say it, else iTXt; both uncompressed. */
void atl_png_add_text(struct atl_buf *out, const char *key, const char *text);
void atl_png_add_itxt(struct atl_buf *out, const char *key, const char *text);

#endif
