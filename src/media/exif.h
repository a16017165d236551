/* exif.h - the few Exif fields that say how a picture was made, and its orientation.
 *
 * Source: Exif 2.32 (4.6.2 to 4.6.5), TIFF 6.0 section 2. Threads: pure functions.
 * Limits: ATL_EXIF_ENTRIES_MAX entries of a directory are looked at; IFD0 and the Exif directory only.
 */
#ifndef ATL_MEDIA_EXIF_H
#define ATL_MEDIA_EXIF_H

#include "base/buf.h"
#include "media/texts.h"

#define ATL_EXIF_ENTRIES_MAX 512

/* `data` starts with the TIFF header or with "Exif\0\0". UserComment is added as "parameters"; texts of IFD0 that read
 * "prompt:{" or "workflow:{" (ComfyUI) under those keys. Damaged parts are skipped. */
void atl_exif_read(struct atl_arena *arena, const void *data, size_t length, struct atl_texts *texts);
unsigned atl_exif_orientation(const void *data, size_t length); /* 1-8; 1 when nothing is said */

/* A TIFF header with the two; big endian. `comment` NULL: none; orientation 1: none. */
void atl_exif_write(struct atl_buf *out, const char *comment, unsigned orientation);

#endif
