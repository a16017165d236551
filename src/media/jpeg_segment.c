/* jpeg_segment.c - see jpeg_segment.h. */
#include "media/jpeg_segment.h"

#include <string.h>

#include "media/bytes.h"

bool atl_jpeg_walk_init(struct atl_jpeg_walk *walk, const void *data, size_t length)
{
	const uint8_t *p = data;
	if (length < 4 || p[0] != 0xff || p[1] != 0xd8 || p[2] != 0xff)
		return false;
	*walk = (struct atl_jpeg_walk){.at = p + 2, .left = length - 2};
	return true;
}

/* Bytes of a scan's data at `p`: up to a marker that is neither a stuffed FF nor a restart. */
static size_t scan_length(const uint8_t *p, size_t left)
{
	size_t at = 0;
	while (at + 1 < left) {
		const uint8_t *ff = memchr(p + at, 0xff, left - at - 1);
		if (!ff)
			return left;
		at = (size_t)(ff - p);
		unsigned next = p[at + 1];
		if (next == 0xff)
			at++;
		else if (next == 0 || (next >= 0xd0 && next <= 0xd7))
			at += 2;
		else
			return at;
	}
	return left;
}

bool atl_jpeg_next(struct atl_jpeg_walk *walk, struct atl_jpeg_segment *ret)
{
	if (!walk->at)
		return false;
	while (walk->left > 2 && walk->at[0] == 0xff && walk->at[1] == 0xff) /* fill bytes */
		walk->at++, walk->left--;
	struct atl_jpeg_segment s = {.whole = walk->at, .whole_length = 2};
	if (walk->left < 2 || walk->at[0] != 0xff || walk->at[1] < 0xc0)
		goto broken;
	s.marker = walk->at[1];
	if (s.marker == ATL_JPEG_EOI) {
		walk->at = NULL;
		*ret = s;
		return true;
	}
	if ((s.marker >= 0xd0 && s.marker <= 0xd8) || walk->left < 4)
		goto broken;
	size_t length = atl_be16(walk->at + 2);
	if (length < 2 || length > walk->left - 2)
		goto broken;
	s.data = walk->at + 4;
	s.length = length - 2;
	s.whole_length = length + 2;
	if (s.marker == ATL_JPEG_SOS)
		s.whole_length += scan_length(walk->at + s.whole_length, walk->left - s.whole_length);
	walk->at += s.whole_length;
	walk->left -= s.whole_length;
	*ret = s;
	return true;
broken:
	walk->broken = true;
	walk->at = NULL;
	return false;
}

bool atl_jpeg_named(const struct atl_jpeg_segment *segment, const char *name, size_t size)
{
	return segment->length >= size && memcmp(segment->data, name, size) == 0;
}

bool atl_jpeg_add(struct atl_buf *out, unsigned marker, const char *name, size_t name_size, const void *data,
		  size_t length)
{
	if (name_size + length > ATL_JPEG_SEGMENT_MAX)
		return false;
	atl_buf_addc(out, (char)0xff);
	atl_buf_addc(out, (char)marker);
	atl_buf_add_be16(out, (uint32_t)(name_size + length + 2));
	atl_buf_add(out, name, name_size);
	atl_buf_add(out, data, length);
	return true;
}
