/* frame.c - see frame.h. */
#include "ipc/frame.h"

#include <string.h>

static void put16(unsigned char *out, uint16_t value)
{
	out[0] = (unsigned char)value;
	out[1] = (unsigned char)(value >> 8);
}

static void put32(unsigned char *out, uint32_t value)
{
	put16(out, (uint16_t)value);
	put16(out + 2, (uint16_t)(value >> 16));
}

static uint16_t get16(const unsigned char *in)
{
	return (uint16_t)(in[0] | in[1] << 8);
}

static uint32_t get32(const unsigned char *in)
{
	return (uint32_t)get16(in) | (uint32_t)get16(in + 2) << 16;
}

void atl_frame_encode(const struct atl_frame *frame, unsigned char out[ATL_FRAME_HEADER_SIZE])
{
	put32(out, ATL_FRAME_MAGIC);
	put16(out + 4, frame->type);
	put16(out + 6, frame->item);
	put32(out + 8, frame->id);
	put32(out + 12, frame->length);
}

enum atl_err atl_frame_decode(const unsigned char header[ATL_FRAME_HEADER_SIZE], struct atl_frame *ret,
			      struct atl_errinfo *info)
{
	if (get32(header) != ATL_FRAME_MAGIC)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "a child sent something that is not a frame");
	struct atl_frame frame = {.type = get16(header + 4),
				  .item = get16(header + 6),
				  .id = get32(header + 8),
				  .length = get32(header + 12)};
	if (frame.type < ATL_FRAME_DECODE || frame.type > ATL_FRAME_ERROR)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "a child sent a frame of unknown type %u", frame.type);
	if (frame.length > ATL_FRAME_PAYLOAD_MAX)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "a child sent a frame of %u bytes", frame.length);
	*ret = frame;
	return ATL_OK;
}

void atl_decode_ask_encode(const struct atl_decode_ask *ask, unsigned char out[ATL_DECODE_ASK_SIZE])
{
	memset(out, 0, ATL_DECODE_ASK_SIZE);
	put32(out, ask->max_pixels);
	put32(out + 4, ask->max_side);
	put32(out + 8, ask->kind);
	put16(out + 12, ask->width_count);
	for (size_t i = 0; i < ATL_DECODE_WIDTHS_MAX; i++)
		put16(out + 16 + 2 * i, ask->widths[i]);
}

enum atl_err atl_decode_ask_decode(const unsigned char *data, size_t length, struct atl_decode_ask *ret,
				   struct atl_errinfo *info)
{
	if (length < ATL_DECODE_ASK_SIZE)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the request frame is too short");
	struct atl_decode_ask ask = {.max_pixels = get32(data),
				     .max_side = get32(data + 4),
				     .kind = get32(data + 8),
				     .width_count = get16(data + 12)};
	if (ask.width_count > ATL_DECODE_WIDTHS_MAX || ask.max_side == 0 || ask.max_pixels == 0)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the request frame has values out of range");
	for (size_t i = 0; i < ask.width_count; i++) {
		ask.widths[i] = get16(data + 16 + 2 * i);
		if (ask.widths[i] == 0)
			return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "a thumbnail of width 0 was asked for");
	}
	*ret = ask;
	return ATL_OK;
}

void atl_decode_item_encode(const struct atl_decode_item *item, unsigned char out[ATL_DECODE_ITEM_SIZE])
{
	put32(out, item->asked_width);
	put32(out + 4, item->width);
	put32(out + 8, item->height);
}

enum atl_err atl_decode_item_decode(const unsigned char *data, size_t length, struct atl_decode_item *ret,
				    struct atl_errinfo *info)
{
	if (length < ATL_DECODE_ITEM_SIZE)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the result frame is too short");
	*ret = (struct atl_decode_item){
		.asked_width = get32(data), .width = get32(data + 4), .height = get32(data + 8)};
	if (ret->width == 0 || ret->height == 0)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the result frame names a picture without size");
	return ATL_OK;
}
