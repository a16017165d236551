/* label.h - the visible label: "AI" on a dark ground in the picture's lower right corner, drawn into its pixels.
 *
 * Threads: pure function. Limits: nothing is drawn where the shorter side has less than ATL_LABEL_SIDE_MIN pixels.
 */
#ifndef ATL_MEDIA_LABEL_H
#define ATL_MEDIA_LABEL_H

#include "base/err.h"

#define ATL_LABEL_SIDE_MIN 48

/* Rows of 8-bit RGB (bands 3) or RGBA (4), without padding. False: the picture is too small, or of other bands. */
bool atl_label_draw(unsigned char *pixels, unsigned width, unsigned height, unsigned bands);

#endif
