/* video_scrub.h - takes the notes out of an uploaded video: where it was filmed, by which device, titles.
 *
 * MP4 and QuickTime: the boxes `udta`, `meta` and `uuid` of the film and its tracks become `free`, in place, so no
 * offset in the file changes. WebM keeps no place by custom and stays as it is.
 * Source: ISO/IEC 14496-12 (box structure, 4.2; free space box, 8.1.2).
 *
 * Threads: blocking: pool threads. Limits: ATL_VIDEO_BOXES_MAX boxes; what comes after stays.
 */
#ifndef ATL_MEDIA_VIDEO_SCRUB_H
#define ATL_MEDIA_VIDEO_SCRUB_H

#include "base/err.h"

#define ATL_VIDEO_BOXES_MAX 10000

/* A file that is no such film is left alone. Errors: IO. */
enum atl_err atl_video_scrub(const char *path, struct atl_errinfo *info) ATL_MUST_USE;

#endif
