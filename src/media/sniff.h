/* sniff.h - what kind of picture do these bytes claim to be? Reads only the first bytes, never the name.
 *
 * Threads: pure functions. Adding one: a row in the table of sniff.c and a loader in worker/decode.c.
 */
#ifndef ATL_MEDIA_SNIFF_H
#define ATL_MEDIA_SNIFF_H

#include "base/err.h"

enum atl_picture_kind { ATL_PICTURE_UNKNOWN, ATL_PICTURE_JPEG, ATL_PICTURE_PNG, ATL_PICTURE_WEBP, ATL_PICTURE_GIF };

enum atl_picture_kind atl_picture_sniff(const void *data, size_t length);
const char *atl_picture_type(enum atl_picture_kind kind); /* "image/png"; UNKNOWN: "application/octet-stream" */

#endif
