/* inflate.c - see inflate.h. */
#include "media/inflate.h"

#include <limits.h>
#include <zlib.h>

bool atl_inflate(const void *data, size_t length, struct atl_buf *out)
{
	if (!length || length > UINT_MAX)
		return false;
	z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)length};
	if (inflateInit2(&z, 15 + 32) != Z_OK) /* 32: find out whether it is zlib or gzip */
		return false;
	unsigned char piece[16384];
	int state = Z_OK;
	while (state == Z_OK && !out->failed) {
		z.next_out = piece;
		z.avail_out = sizeof piece;
		state = inflate(&z, Z_NO_FLUSH);
		atl_buf_add(out, piece, sizeof piece - z.avail_out);
	}
	inflateEnd(&z);
	return state == Z_STREAM_END && !out->failed;
}

uint32_t atl_crc32(uint32_t crc, const void *data, size_t length)
{
	return (uint32_t)crc32_z(crc, data, length);
}
