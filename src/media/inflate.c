/* inflate.c - see inflate.h. */
#include "media/inflate.h"

#include <libdeflate.h>

bool atl_inflate(const void *data, size_t length, struct atl_buf *out)
{
	const unsigned char *p = data;
	size_t room = out->max - out->length, inflated = 0;
	if (length < 2 || out->failed)
		return false;
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	char *to = d ? atl_buf_reserve(out, room) : NULL;
	enum libdeflate_result result = LIBDEFLATE_BAD_DATA;
	if (to && p[0] == 0x1f && p[1] == 0x8b)
		result = libdeflate_gzip_decompress(d, p, length, to, room, &inflated);
	else if (to)
		result = libdeflate_zlib_decompress(d, p, length, to, room, &inflated);
	libdeflate_free_decompressor(d);
	if (result != LIBDEFLATE_SUCCESS)
		return false;
	out->length += inflated;
	out->data[out->length] = 0;
	return true;
}

uint32_t atl_crc32(uint32_t crc, const void *data, size_t length)
{
	return length ? libdeflate_crc32(crc, data, length) : crc; /* it takes NULL for a beginning */
}
