/* A decoder that misbehaves in the way the eighth byte after the PNG signature's end says. See test_picture.c. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/channel.h"

static void say(uint16_t type, const void *data, size_t length)
{
	struct atl_frame frame = {.type = type, .id = 1};
	if (atl_channel_send(3, atl_monotonic_ms() + 60000, &frame, data, length, NULL, 0, NULL) != ATL_OK)
		_exit(4);
}

int main(void)
{
	struct atl_buf in;
	struct atl_frame frame;
	struct atl_decode_item item = {.what = ATL_DECODE_KEPT, .form = ATL_DECODE_WEBP, .width = 1, .height = 1};
	struct atl_decode_end end = {.width = 1, .height = 1};
	unsigned char head[ATL_DECODE_ITEM_SIZE], tail[ATL_DECODE_END_SIZE];

	atl_buf_init(&in, 1 << 20);
	if (atl_channel_receive(3, atl_monotonic_ms() + 60000, &frame, &in, NULL) != ATL_OK)
		return 3;
	atl_decode_item_encode(&item, head);
	switch (in.data[ATL_DECODE_ASK_SIZE + 8]) {
	case 'k':
		raise(SIGKILL);
		break;
	case 'h': /* hang */
		for (;;)
			pause();
	case 'g': /* not a frame */
		if (write(3, "this is no frame at all", 23) != 23)
			return 4;
		break;
	case 't': /* half a frame */
		if (write(3, "ATLF\2\0\0\0", 8) != 8)
			return 4;
		break;
	case 'm': /* more than asked */
		for (int i = 0; i < 3; i++)
			say(ATL_FRAME_PICTURE, head, sizeof head);
		break;
	case 'f': /* fewer than asked */
		atl_decode_end_encode(&end, tail);
		say(ATL_FRAME_END, tail, sizeof tail);
		break;
	case 'e': /* an end without its facts */
		say(ATL_FRAME_END, NULL, 0);
		break;
	case 'r': /* rows that nobody asked for */
		item.what = ATL_DECODE_RAW;
		atl_decode_item_encode(&item, head);
		say(ATL_FRAME_PICTURE, head, sizeof head);
		break;
	case 's': /* a result without its head */
		say(ATL_FRAME_PICTURE, "x", 1);
		break;
	case 'b': /* words that are no UTF-8 */
		say(ATL_FRAME_ERROR, "\xff\xfe\xfd", 3);
		break;
	case 'd': /* the server's own frame back */
		say(ATL_FRAME_DECODE, "x", 1);
		break;
	default: /* leaves without a word */
		break;
	}
	atl_buf_finish(&in);
	return 0;
}
