/* A classifier that misbehaves in the way the third byte of the rows (the first blue) says. */
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/channel.h"

static int say(uint16_t type, const void *data, size_t length)
{
	struct atl_frame frame = {.type = type, .id = 1};
	return atl_channel_send(3, atl_monotonic_ms() + 60000, &frame, data, length, NULL, 0, NULL) == ATL_OK ? 0 : 4;
}

static int serve(unsigned char how)
{
	unsigned char score[ATL_SCORE_SIZE];
	switch (how) {
	case 'k':
		return raise(SIGKILL);
	case 'h': /* hang */
		for (;;)
			pause();
	case 'g': /* not a frame */
		return write(3, "this is no frame at all", 23) == 23 ? 0 : 4;
	case 'p': /* another kind of answer */
		return say(ATL_FRAME_END, "none", 4);
	case 'e': /* no score in it */
		return say(ATL_FRAME_SCORE, NULL, 0);
	case 'm': /* surer than sure */
		atl_score_encode(ATL_SCORE_ONE + 1, score);
		return say(ATL_FRAME_SCORE, score, sizeof score);
	case 'x':
		return 7;
	default: /* as the byte says, in percent */
		atl_score_encode(how * (ATL_SCORE_ONE / 100), score);
		return say(ATL_FRAME_SCORE, score, sizeof score);
	}
}

int main(void)
{
	struct atl_buf in;
	struct atl_frame frame;
	int rc = 0;
	atl_buf_init(&in, ATL_CLASSIFY_SIZE + 1);
	while (rc == 0) {
		if (atl_channel_receive(3, atl_monotonic_ms() + 60000, &frame, &in, NULL) != ATL_OK)
			rc = 3;
		else
			rc = serve((unsigned char)in.data[2]);
	}
	atl_buf_finish(&in);
	return rc;
}
