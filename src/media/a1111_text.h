/* a1111_text.h - AUTOMATIC1111's three-part text: prompt, negative prompt, one line of parameters.
 *
 * Source: stable-diffusion-webui, modules/infotext_utils.py (behaviour, not code); stable-diffusion.cpp appends
 * "SDCPP: {json}". Threads: pure functions.
 */
#ifndef ATL_MEDIA_A1111_TEXT_H
#define ATL_MEDIA_A1111_TEXT_H

#include "media/metadata.h"

#define ATL_A1111_PAIRS_MIN 3 /* a last line with fewer pairs is prompt */

/* Fill `recall` (raw and source too). `structured`: a parameter line or a negative prompt was there.
 * False: nothing but blanks, or no memory. */
bool atl_a1111_parse(struct atl_arena *arena, const char *text, size_t length, struct atl_recall *recall,
		     bool *structured) ATL_MUST_USE;

#endif
