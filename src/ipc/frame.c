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
	if (frame.type < ATL_FRAME_DECODE || frame.type > ATL_FRAME_TYPE_LAST)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "a child sent a frame of unknown type %u", frame.type);
	if (frame.length > ATL_FRAME_PAYLOAD_MAX)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "a child sent a frame of %u bytes", frame.length);
	*ret = frame;
	return ATL_OK;
}

void atl_score_encode(uint32_t score, unsigned char out[ATL_SCORE_SIZE])
{
	put32(out, score);
}

enum atl_err atl_score_decode(const unsigned char *data, size_t length, uint32_t *ret, struct atl_errinfo *info)
{
	if (length != ATL_SCORE_SIZE || get32(data) > ATL_SCORE_ONE)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the classifier sent something that is not a score");
	*ret = get32(data);
	return ATL_OK;
}

void atl_decode_ask_encode(const struct atl_decode_ask *ask, unsigned char out[ATL_DECODE_ASK_SIZE])
{
	memset(out, 0, ATL_DECODE_ASK_SIZE);
	const uint32_t words[] = {ask->max_pixels, ask->max_side, ask->kind,	     ask->flags,     ask->keep,
				  ask->quality,	   ask->raw_channels, ask->raw_width, ask->raw_height, ask->width_count,
				  ask->at_percent};
	for (size_t i = 0; i < ATL_COUNT(words); i++)
		put32(out + 4 * i, words[i]);
	for (size_t i = 0; i < ATL_DECODE_WIDTHS_MAX; i++)
		put16(out + 44 + 2 * i, ask->widths[i]);
}

static bool ask_in_range(const struct atl_decode_ask *ask)
{
	bool raw = ask->raw_channels == 0 ||
		   ((ask->raw_channels == 1 || ask->raw_channels == 3) && ask->raw_width - 1 < ATL_DECODE_SIDE_MAX &&
		    ask->raw_height - 1 < ATL_DECODE_SIDE_MAX);
	return raw && ask->at_percent <= 100 && ask->width_count <= ATL_DECODE_WIDTHS_MAX && ask->max_side - 1 < ATL_DECODE_SIDE_MAX &&
	       ask->max_pixels != 0 && ask->keep <= ATL_DECODE_AUTO && (ask->flags & ~(uint32_t)ATL_DECODE_FLAGS) == 0 &&
	       (ask->keep == ATL_DECODE_NONE || ask->quality - 1 < 100);
}

enum atl_err atl_decode_ask_decode(const unsigned char *data, size_t length, struct atl_decode_ask *ret,
				   struct atl_errinfo *info)
{
	if (length < ATL_DECODE_ASK_SIZE)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the request frame is too short");
	struct atl_decode_ask ask = {.max_pixels = get32(data),
				     .max_side = get32(data + 4),
				     .kind = get32(data + 8),
				     .flags = get32(data + 12),
				     .keep = get32(data + 16),
				     .quality = get32(data + 20),
				     .raw_channels = get32(data + 24),
				     .raw_width = get32(data + 28),
				     .raw_height = get32(data + 32),
				     .width_count = get32(data + 36),
				     .at_percent = get32(data + 40)};
	if (!ask_in_range(&ask))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the request frame has values out of range");
	for (size_t i = 0; i < ask.width_count; i++) {
		ask.widths[i] = get16(data + 44 + 2 * i);
		if (ask.widths[i] == 0)
			return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "a thumbnail of width 0 was asked for");
	}
	*ret = ask;
	return ATL_OK;
}

void atl_decode_item_encode(const struct atl_decode_item *item, unsigned char out[ATL_DECODE_ITEM_SIZE])
{
	put16(out, item->what);
	put16(out + 2, item->form);
	put32(out + 4, item->asked_width);
	put32(out + 8, item->width);
	put32(out + 12, item->height);
}

enum atl_err atl_decode_item_decode(const unsigned char *data, size_t length, struct atl_decode_item *ret,
				    struct atl_errinfo *info)
{
	if (length < ATL_DECODE_ITEM_SIZE)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the result frame is too short");
	struct atl_decode_item item = {.what = get16(data),
				       .form = get16(data + 2),
				       .asked_width = get32(data + 4),
				       .width = get32(data + 8),
				       .height = get32(data + 12)};
	if (item.width - 1 >= ATL_DECODE_SIDE_MAX || item.height - 1 >= ATL_DECODE_SIDE_MAX ||
	    item.what > ATL_DECODE_TEXT || item.form > ATL_DECODE_AUTO)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the result frame names a picture without size");
	*ret = item;
	return ATL_OK;
}

void atl_decode_end_encode(const struct atl_decode_end *end, unsigned char out[ATL_DECODE_END_SIZE])
{
	const uint32_t words[] = {end->width, end->height,	      end->duration_ms,
				  end->frames, end->alpha,	      end->last,
				  (uint32_t)end->phash, (uint32_t)(end->phash >> 32)};
	for (size_t i = 0; i < ATL_COUNT(words); i++)
		put32(out + 4 * i, words[i]);
	memset(out + 32, 0, ATL_DECODE_BLURHASH_MAX);
	memcpy(out + 32, end->blurhash, strnlen(end->blurhash, ATL_DECODE_BLURHASH_MAX - 1));
}

enum atl_err atl_decode_end_decode(const unsigned char *data, size_t length, struct atl_decode_end *ret,
				   struct atl_errinfo *info)
{
	if (length != ATL_DECODE_END_SIZE)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the end frame has another size");
	struct atl_decode_end end = {.width = get32(data),
				     .height = get32(data + 4),
				     .duration_ms = get32(data + 8),
				     .frames = get32(data + 12),
				     .alpha = get32(data + 16),
				     .last = get32(data + 20),
				     .phash = get32(data + 24) | (uint64_t)get32(data + 28) << 32};
	const unsigned char *text = data + 32;
	size_t n = 0;
	/* printable ASCII only: it goes into JSON and pages */
	while (n < ATL_DECODE_BLURHASH_MAX - 1 && text[n] > ' ' && text[n] < 127) {
		end.blurhash[n] = (char)text[n];
		n++;
	}
	if (text[n] != '\0' || end.width == 0 || end.height == 0 || end.alpha > 1 || end.last > 1)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the end frame has values out of range");
	*ret = end;
	return ATL_OK;
}
