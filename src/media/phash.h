/* phash.h - 64 bits that stay nearly the same when a picture is scaled, compressed or brightened.
 *
 * The classic DCT hash: 32 x 32 brightness, its two-dimensional cosine transform, the 8 x 8 lowest waves without the
 * mean; a bit for each that is above their median (the lowest bit, of the mean itself, says whether it is bright).
 * Pictures within ATL_PHASH_NEAR bits look alike to a person.
 *
 * Threads: pure functions.
 */
#ifndef ATL_MEDIA_PHASH_H
#define ATL_MEDIA_PHASH_H

#include <stdint.h>

#define ATL_PHASH_SIDE 32
#define ATL_PHASH_NEAR 8

/* 32 x 32 sRGB pixels, whatever the picture's proportions were. */
uint64_t atl_phash(const unsigned char rgb[ATL_PHASH_SIDE * ATL_PHASH_SIDE * 3]);
/* Bits that differ, 0 to 64. */
unsigned atl_phash_distance(uint64_t a, uint64_t b);

#endif
