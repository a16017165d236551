/* fuzz_frame.c - frames from a child: what is accepted is within bounds and encodes to the same bytes again. */
#include <stdlib.h>
#include <string.h>

#include "ipc/frame.h"

static void check_ask(const uint8_t *data, size_t size)
{
	struct atl_decode_ask ask, again;
	unsigned char out[ATL_DECODE_ASK_SIZE];

	if (atl_decode_ask_decode(data, size, &ask, NULL) != ATL_OK)
		return;
	if (ask.width_count > ATL_DECODE_WIDTHS_MAX || ask.max_pixels == 0 || ask.max_side == 0)
		abort();
	atl_decode_ask_encode(&ask, out);
	if (atl_decode_ask_decode(out, sizeof out, &again, NULL) != ATL_OK || memcmp(&ask, &again, sizeof ask) != 0)
		abort();
}

static void check_item(const uint8_t *data, size_t size)
{
	struct atl_decode_item item;
	unsigned char out[ATL_DECODE_ITEM_SIZE];

	if (atl_decode_item_decode(data, size, &item, NULL) != ATL_OK)
		return;
	atl_decode_item_encode(&item, out);
	if (item.width == 0 || item.height == 0 || memcmp(data, out, sizeof out) != 0)
		abort();
}

static void check_end(const uint8_t *data, size_t size)
{
	struct atl_decode_end end, again;
	unsigned char out[ATL_DECODE_END_SIZE];

	if (atl_decode_end_decode(data, size, &end, NULL) != ATL_OK)
		return;
	atl_decode_end_encode(&end, out);
	if (atl_decode_end_decode(out, sizeof out, &again, NULL) != ATL_OK || memcmp(&end, &again, sizeof end) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_frame frame;
	unsigned char out[ATL_FRAME_HEADER_SIZE];

	check_ask(data, size);
	check_item(data, size);
	check_end(data, size);
	if (size < ATL_FRAME_HEADER_SIZE || atl_frame_decode(data, &frame, NULL) != ATL_OK)
		return 0;
	atl_frame_encode(&frame, out);
	if (frame.length > ATL_FRAME_PAYLOAD_MAX || memcmp(data, out, sizeof out) != 0)
		abort();
	return 0;
}
