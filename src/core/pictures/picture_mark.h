/* picture_mark.h - the invisible mark of this instance: put into pictures that are made here, and looked for in others.
 *
 * The secret key of media/watermark.h is made at the first start and kept in `signing_keys`, sealed with the master key. It
 * stays for good: with another one, what was marked before would not be known any more. Pictures are marked where their
 * pixels are still ours (the engines that give rows); files of services are kept bit by bit and are not.
 *
 * Threads: blocking: pool threads and runners.
 */
#ifndef ATL_CORE_PICTURE_MARK_H
#define ATL_CORE_PICTURE_MARK_H

#include "base/arena.h"
#include "core/app.h"
#include "media/watermark.h"

#define ATL_PICTURE_MARK_SIDE_MAX 8192 /* larger pictures are not searched */

/* At start. Made when there is none. Errors: CONFIG (another master key sealed it), what the database says. */
enum atl_err atl_picture_mark_load(struct atl_app *app, unsigned char key[ATL_WATERMARK_KEY_SIZE],
				   struct atl_errinfo *info) ATL_MUST_USE;
/* Will atl_picture_mark() do anything? By the setting `watermark`, and whether there is a key. */
bool atl_picture_mark_wanted(struct atl_app *app);
enum atl_err atl_picture_mark(struct atl_app *app, unsigned char *rgb, size_t width, size_t height,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* Of an encoded picture. `user_id`: whose file it is (NULL: nobody's). `thorough` takes up to some seconds of one core.
 * Errors: PICTURE, UNSUPPORTED (no key here; too large), NOMEM. */
enum atl_err atl_picture_mark_find(struct atl_app *app, struct atl_arena *arena, const char *user_id, const void *data,
				   size_t length, bool thorough, struct atl_watermark_found *ret,
				   struct atl_errinfo *info) ATL_MUST_USE;

#endif
