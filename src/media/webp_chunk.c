/* webp_chunk.c - see webp_chunk.h. */
#include "media/webp_chunk.h"

#include <string.h>

#include "media/bytes.h"

bool atl_webp_walk_init(struct atl_webp_walk *walk, const void *data, size_t length)
{
	const uint8_t *p = data;
	if (length < 12 || memcmp(p, "RIFF", 4) != 0 || memcmp(p + 8, "WEBP", 4) != 0)
		return false;
	/* What follows the RIFF chunk is not part of the picture. One byte may be missing: padding that some leave out. */
	size_t riff = atl_le32(p + 4);
	size_t left = length - 12;
	if (riff >= 4 && riff - 4 < left)
		left = riff - 4;
	*walk = (struct atl_webp_walk){.at = p + 12, .left = left, .broken = riff < 4 || riff - 4 > left + 1};
	return true;
}

bool atl_webp_next(struct atl_webp_walk *walk, struct atl_webp_chunk *ret)
{
	if (!walk->left)
		return false;
	if (walk->left < 8 || atl_le32(walk->at + 4) > walk->left - 8) {
		walk->broken = true;
		return false;
	}
	struct atl_webp_chunk chunk = {.data = walk->at + 8, .length = atl_le32(walk->at + 4)};
	memcpy(chunk.type, walk->at, 4);
	size_t whole = 8 + chunk.length + chunk.length % 2;
	if (whole > walk->left) /* some writers leave out the last padding byte */
		whole = walk->left;
	walk->at += whole;
	walk->left -= whole;
	*ret = chunk;
	return true;
}

bool atl_webp_canvas(const struct atl_webp_chunk *chunk, struct atl_webp_canvas *ret)
{
	const uint8_t *p = chunk->data;
	if (memcmp(chunk->type, "VP8X", 4) == 0 && chunk->length >= 10) {
		*ret = (struct atl_webp_canvas){.width = (atl_le32(p + 4) & 0xffffff) + 1,
						.height = (atl_le32(p + 6) >> 8) + 1,
						.alpha = p[0] & ATL_WEBP_ALPHA};
		return true;
	}
	if (memcmp(chunk->type, "VP8 ", 4) == 0 && chunk->length >= 10 && memcmp(p + 3, "\x9d\x01\x2a", 3) == 0) {
		*ret = (struct atl_webp_canvas){.width = atl_le16(p + 6) & 0x3fff, .height = atl_le16(p + 8) & 0x3fff};
		return ret->width && ret->height;
	}
	if (memcmp(chunk->type, "VP8L", 4) == 0 && chunk->length >= 5 && p[0] == 0x2f) {
		uint32_t bits = atl_le32(p + 1);
		*ret = (struct atl_webp_canvas){
			.width = (bits & 0x3fff) + 1, .height = (bits >> 14 & 0x3fff) + 1, .alpha = bits >> 28 & 1};
		return true;
	}
	return false;
}

void atl_webp_add(struct atl_buf *out, const char *type, const void *data, size_t length)
{
	atl_buf_add(out, type, 4);
	atl_buf_add_le32(out, (uint32_t)length);
	atl_buf_add(out, data, length);
	if (length % 2)
		atl_buf_addc(out, 0);
}

void atl_webp_add_vp8x(struct atl_buf *out, unsigned flags, const struct atl_webp_canvas *canvas)
{
	struct atl_buf data;
	atl_buf_init(&data, 16);
	atl_buf_add_le32(&data, flags);
	atl_buf_add_le24(&data, canvas->width - 1);
	atl_buf_add_le24(&data, canvas->height - 1);
	out->failed = out->failed || data.failed;
	atl_webp_add(out, "VP8X", data.data, data.length);
	atl_buf_finish(&data);
}
