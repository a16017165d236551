/* watermark.h - an invisible mark in the pixels that says "this instance made it", and how it is found again.
 *
 * The mark is a square tile of faint noise, repeated over the picture: waves of WAVE_MIN to WAVE_MAX cycles a pixel, all
 * equally strong, whose phases come from a secret key. More of it goes where the picture is busy, less where it is flat.
 * To find it, the picture is folded into one tile at each scale that is tried, and the phases of the fold's waves are
 * compared with the key's at every offset.
 *
 * False alarms: for a picture that knows nothing of the key, the differences of phase are independent and uniform, whatever
 * the picture. The sum S of the cosines of K of them exceeds s with a probability of at most exp(-s^2 / K) (the moment
 * generating function of such a cosine is I0(t) <= exp(t^2 / 4)), at one offset and scale; with ATL_WATERMARK_TRIES of
 * these the threshold is the s that keeps the sum of all below ATL_WATERMARK_FALSE_ALARM. So the rate is a property of the
 * arithmetic, not of the pictures it was tried with.
 *
 * Threads: pure functions. Limits: the constants below; detection looks at the middle ATL_WATERMARK_VIEW pixels a side.
 */
#ifndef ATL_MEDIA_WATERMARK_H
#define ATL_MEDIA_WATERMARK_H

#include "base/err.h"

#define ATL_WATERMARK_KEY_SIZE 32
#define ATL_WATERMARK_SIDE_MIN 128 /* of a picture, in pixels: smaller ones are not marked */
#define ATL_WATERMARK_VIEW 1536
#define ATL_WATERMARK_FALSE_ALARM 1e-6 /* for one picture, all scales and offsets together */
#define ATL_WATERMARK_TRIES (2 * 1024.0 * 128 * 128) /* views, scales, offsets */

/* Changes the RGB rows in place, at most by a mean square of 6.4 (40.07 dB). Pictures too small are left as they are.
 * Errors: NOMEM. */
enum atl_err atl_watermark_embed(unsigned char *rgb, size_t width, size_t height,
				 const unsigned char key[ATL_WATERMARK_KEY_SIZE], struct atl_errinfo *info) ATL_MUST_USE;

struct atl_watermark_found {
	bool found;
	double score;	  /* mean cosine of the differences of phase, best of all tries; 1: nothing but the mark */
	double threshold; /* `found` from here on */
	double scale;	  /* of this picture, by the picture that was marked: 0.5 when it was halved */
};
/* Grey rows, 8 bits. `thorough`: besides the usual scales all from 0.4 to 1.6 (seconds). Errors: NOMEM. */
enum atl_err atl_watermark_find(const unsigned char *grey, size_t width, size_t height,
				const unsigned char key[ATL_WATERMARK_KEY_SIZE], bool thorough,
				struct atl_watermark_found *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
