/* picture.h - untrusted pictures: decoded, scaled and encoded anew in the sandboxed child `atelier-decode`.
 *
 * The server itself only looks at the first bytes. One child is started for each picture; it has no network, opens
 * no file, and dies at its memory or time limit. Whatever happens to it is ATL_ERR_PICTURE for this picture and
 * nothing else. Metadata is dropped; the kept picture and its thumbnails are WebP.
 *
 * Life cycle: atl_pictures_create() .. atl_pictures_destroy().
 * Threads:    atl_picture_decode() blocks: pool threads. Limits: the constants below.
 */
#ifndef ATL_MEDIA_PICTURE_H
#define ATL_MEDIA_PICTURE_H

#include "base/arena.h"
#include "media/sniff.h"
#include "os/loop.h"

#define ATL_PICTURE_BYTES_MAX ((size_t)20 << 20)
#define ATL_PICTURE_PIXELS_MAX 50000000u
#define ATL_PICTURE_KEEP_SIDE 1024
#define ATL_PICTURE_TIMEOUT_MS 20000
#define ATL_PICTURE_AT_ONCE 2 /* children running at a time; others wait */

struct atl_pictures;

struct atl_picture_out {
	unsigned asked_width; /* 0: the kept picture */
	unsigned width, height;
	const void *data; /* WebP */
	size_t length;
};
struct atl_picture {
	enum atl_picture_kind kind;
	struct atl_picture_out *outs; /* [0] is the kept picture, then one for each asked width */
	size_t out_count;
};

/* `program`: path of atelier-decode. Children are started from `loop`. */
enum atl_err atl_pictures_create(struct atl_loop *loop, const char *program, struct atl_pictures **ret,
				 struct atl_errinfo *info) ATL_MUST_USE;
void atl_pictures_destroy(struct atl_pictures *pictures);

/* Thumbnails narrower than asked are made where the picture is smaller: nothing is enlarged. Results in the arena.
 * Errors: PICTURE (with the reason in words), TOO_LARGE, NOMEM, IO. */
enum atl_err atl_picture_decode(struct atl_pictures *pictures, struct atl_arena *arena, const void *data, size_t length,
				const unsigned *widths, size_t width_count, struct atl_picture *ret,
				struct atl_errinfo *info) ATL_MUST_USE;

#endif
