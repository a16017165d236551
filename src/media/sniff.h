/* sniff.h - what kind of picture or video do these bytes claim to be? Reads only the first bytes, never the name.
 *
 * Threads: pure functions. Adding one: rows in the table of sniff.c and a loader in worker/decode_still.c.
 */
#ifndef ATL_MEDIA_SNIFF_H
#define ATL_MEDIA_SNIFF_H

#include "base/err.h"

enum atl_picture_kind {
	ATL_PICTURE_UNKNOWN,
	ATL_PICTURE_JPEG,
	ATL_PICTURE_PNG,
	ATL_PICTURE_WEBP,
	ATL_PICTURE_GIF,
	ATL_PICTURE_MP4,
	ATL_PICTURE_WEBM
};

enum atl_picture_kind atl_picture_sniff(const void *data, size_t length);
const char *atl_picture_type(enum atl_picture_kind kind); /* "image/png"; UNKNOWN: "application/octet-stream" */
bool atl_picture_is_video(enum atl_picture_kind kind);	  /* MP4 and WebM; an animated picture is a picture */

#endif
