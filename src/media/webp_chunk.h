/* webp_chunk.h - the RIFF chunks of a WebP file: walking over them, writing them.
 *
 * Source: WebP container specification; RFC 9649. Threads: pure functions.
 */
#ifndef ATL_MEDIA_WEBP_CHUNK_H
#define ATL_MEDIA_WEBP_CHUNK_H

#include "base/buf.h"

enum { ATL_WEBP_ANIM = 0x02, ATL_WEBP_XMP = 0x04, ATL_WEBP_EXIF = 0x08, ATL_WEBP_ALPHA = 0x10, ATL_WEBP_ICC = 0x20 };

struct atl_webp_chunk {
	char type[5];
	const uint8_t *data;
	size_t length;
};
struct atl_webp_walk {
	const uint8_t *at;
	size_t left;
	bool broken; /* the file, or a chunk of it, is cut short */
};
struct atl_webp_canvas {
	uint32_t width, height;
	bool alpha;
};

bool atl_webp_walk_init(struct atl_webp_walk *walk, const void *data, size_t length) ATL_MUST_USE; /* false: no WebP */
bool atl_webp_next(struct atl_webp_walk *walk, struct atl_webp_chunk *ret) ATL_MUST_USE;	   /* false: the end */
/* From a VP8X, VP8 or VP8L chunk; false: another one, or damaged. */
bool atl_webp_canvas(const struct atl_webp_chunk *chunk, struct atl_webp_canvas *ret) ATL_MUST_USE;

void atl_webp_add(struct atl_buf *out, const char *type, const void *data, size_t length);
void atl_webp_add_vp8x(struct atl_buf *out, unsigned flags, const struct atl_webp_canvas *canvas);

#endif
