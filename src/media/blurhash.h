/* blurhash.h - a picture in 28 characters: what a page shows while the thumbnail is on its way.
 *
 * Source: the BlurHash algorithm description by Wolt (4 x 3 components, base 83).
 * Threads: pure functions.
 */
#ifndef ATL_MEDIA_BLURHASH_H
#define ATL_MEDIA_BLURHASH_H

#include <stdbool.h>
#include <stddef.h>

#define ATL_BLURHASH_ACROSS 4
#define ATL_BLURHASH_DOWN 3
#define ATL_BLURHASH_LENGTH (6 + 2 * (ATL_BLURHASH_ACROSS * ATL_BLURHASH_DOWN - 1))

/* sRGB rows without padding; the proportions of the picture do not matter, so a small square copy will do.
 * `out` has room for the text and its end. */
void atl_blurhash(const unsigned char *rgb, size_t width, size_t height, char out[ATL_BLURHASH_LENGTH + 1]);
/* Right length for its components, only base-83 digits: what other people's files and forms may say. */
bool atl_blurhash_valid(const char *text);

#endif
