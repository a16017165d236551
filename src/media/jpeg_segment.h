/* jpeg_segment.h - the segments of a JPEG file: walking over them, writing them.
 *
 * Source: ITU T.81 annex B; Exif 2.32 4.5.4; XMP part 3 1.1.3. Threads: pure functions.
 */
#ifndef ATL_MEDIA_JPEG_SEGMENT_H
#define ATL_MEDIA_JPEG_SEGMENT_H

#include "base/buf.h"

#define ATL_JPEG_SEGMENT_MAX 65533 /* bytes of a segment's content */
#define ATL_JPEG_EXIF "Exif\0"	   /* followed by one more NUL; sizeof counts it */
#define ATL_JPEG_XMP "http://ns.adobe.com/xap/1.0/"

enum { ATL_JPEG_SOS = 0xda, ATL_JPEG_EOI = 0xd9, ATL_JPEG_APP0 = 0xe0, ATL_JPEG_COM = 0xfe };

struct atl_jpeg_segment {
	unsigned marker; /* second byte */
	const uint8_t *data;
	size_t length;
	const uint8_t *whole; /* with marker and length; an SOS also with the scan's data that follows */
	size_t whole_length;
};
struct atl_jpeg_walk {
	const uint8_t *at;
	size_t left;
	bool broken; /* cut off, or something that is no segment */
};

bool atl_jpeg_walk_init(struct atl_jpeg_walk *walk, const void *data, size_t length) ATL_MUST_USE; /* false: no JPEG */
/* The next segment, EOI too; false after EOI or when broken. */
bool atl_jpeg_next(struct atl_jpeg_walk *walk, struct atl_jpeg_segment *ret) ATL_MUST_USE;
/* Does the content start with this name and its NUL? Give sizeof. */
bool atl_jpeg_named(const struct atl_jpeg_segment *segment, const char *name, size_t size);

/* `name_size` bytes of name, then the data; false, and nothing written, when it is too long for a segment. */
bool atl_jpeg_add(struct atl_buf *out, unsigned marker, const char *name, size_t name_size, const void *data,
		  size_t length);

#endif
