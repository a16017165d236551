/* decode.h - inside atelier-decode: how a file becomes pixels, and pixels become results.
 *
 * Threads: the program's only one. Everything here runs inside the sandbox.
 */
#ifndef ATL_WORKER_DECODE_H
#define ATL_WORKER_DECODE_H

#include <vips/vips.h>

#include "base/buf.h"
#include "ipc/frame.h"
#include "media/sniff.h"

#define DECODE_SERVER_FD 3
#define DECODE_TALK_MS 40000
#define DECODE_WHY_SIZE 300

/* What was read. `image` is 8-bit sRGB in memory, upright, 3 or 4 bands, without a word of the file's metadata. */
struct decode_source {
	VipsImage *image;
	uint32_t width, height; /* of the whole picture; `image` may be smaller where only thumbnails are asked */
	uint32_t duration_ms, frames;
	bool alpha; /* something is transparent */
};

/* False when libvips lacks a loader. Before the sandbox. */
bool decode_still_ready(void);
/* A still picture, or an animation's first. On failure `why` has a sentence for the person. */
bool decode_still(const struct atl_decode_ask *ask, void *data, size_t length, struct decode_source *ret,
		  char why[DECODE_WHY_SIZE]);
/* A frame near the beginning of an MP4 or WebM file. */
bool decode_video(const struct atl_decode_ask *ask, const void *data, size_t length, struct decode_source *ret,
		  char why[DECODE_WHY_SIZE]);
/* The pixels of `image` (of which the reference is taken) made so as struct decode_source wants them; NULL on failure. */
VipsImage *decode_normalise(VipsImage *image);
/* "The picture has W x H pixels..." and false where there are too many. */
bool decode_size_allowed(const struct atl_decode_ask *ask, uint64_t width, uint64_t height, char why[DECODE_WHY_SIZE]);

/* Makes and sends all results but the end frame, whose hashes it fills in. False: they could not be made. */
bool decode_send_results(const struct atl_decode_ask *ask, const struct decode_source *source,
			 struct atl_decode_end *end);

#endif
