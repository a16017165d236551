/* decode.c - the program atelier-decode: reads untrusted pictures and videos and writes them anew, in a sandbox.
 *
 * Descriptor 3 is a socket to the server. For each ATL_FRAME_DECODE that comes in, ATL_FRAME_PICTURE for each result,
 * then ATL_FRAME_END go out, or one ATL_FRAME_ERROR with a sentence for the person. It leaves when it has served enough,
 * when nothing comes, or when the server hangs up; its last answer says so (`last`; of an error the frame's item 1).
 * With an argument it is another program in the same sandbox: credentials.h.
 *
 * Limits:     memory and CPU by setrlimit, system calls by seccomp (sandbox.c) before the first byte is looked at.
 * Adding one: a format is a row in decode_still.c; its kind is sniffed in media/sniff.c.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vips/vips.h>
#include <vips/vector.h> /* needs the types of the one above */

#include "base/clock.h"
#include "ipc/channel.h"
#include "media/picture.h"
#include "worker/credentials.h"
#include "worker/decode.h"
#include "worker/sandbox.h"

/* Of the sandbox's processor time; what is left must do for any picture. */
#define CPU_ENOUGH_S (ATL_SANDBOX_CPU_S / 3)
#define LARGE_INPUT ((size_t)1 << 20)

enum { GO_ON = -1, LEAVE = 0, FAILED = 3 };

static int send_error(const char *why, bool last)
{
	struct atl_frame frame = {.type = ATL_FRAME_ERROR, .id = 1, .item = last};
	return atl_channel_send(DECODE_SERVER_FD, atl_monotonic_ms() + DECODE_TALK_MS, &frame, why, strlen(why), NULL, 0,
				NULL)
		       ? FAILED
	       : last ? LEAVE
		      : GO_ON;
}

static int send_end(const struct atl_decode_end *end)
{
	unsigned char data[ATL_DECODE_END_SIZE];
	struct atl_frame frame = {.type = ATL_FRAME_END, .id = 1};
	atl_decode_end_encode(end, data);
	return atl_channel_send(DECODE_SERVER_FD, atl_monotonic_ms() + DECODE_TALK_MS, &frame, data, sizeof data, NULL,
				0, NULL)
		       ? FAILED
	       : end->last ? LEAVE
			   : GO_ON;
}

static bool has_transparency(VipsImage *image)
{
	if (vips_image_get_bands(image) != 4)
		return false;
	size_t pixels = (size_t)vips_image_get_width(image) * (size_t)vips_image_get_height(image);
	const unsigned char *p = VIPS_IMAGE_ADDR(image, 0, 0);
	for (size_t i = 0; i < pixels; i++)
		if (p[4 * i + 3] != 255)
			return true;
	return false;
}

static int serve(const struct atl_decode_ask *ask, void *data, size_t length, bool last)
{
	char why[DECODE_WHY_SIZE] = "";
	struct decode_source source;
	bool read = atl_picture_is_video((enum atl_picture_kind)ask->kind)
			    ? decode_video(ask, data, length, &source, why)
			    : decode_still(ask, data, length, &source, why);
	if (!read)
		return send_error(why, last);
	source.alpha = has_transparency(source.image);
	struct atl_decode_end end = {.width = source.width,
				     .height = source.height,
				     .duration_ms = source.duration_ms,
				     .frames = source.frames,
				     .alpha = source.alpha,
				     .last = last};
	bool sent = decode_send_results(ask, &source, &end);
	g_object_unref(source.image);
	return sent ? send_end(&end) : send_error("The picture could not be converted.", last);
}

static bool is_last(unsigned served)
{
	struct timespec used;
	return served >= ATL_PICTURE_PER_CHILD || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0 ||
	       used.tv_sec >= CPU_ENOUGH_S;
}

static int serve_one(unsigned served)
{
	struct atl_errinfo info = {0};
	struct atl_buf payload;
	struct atl_frame frame;
	struct atl_decode_ask ask;
	uint64_t wait_ms = served == 1 ? DECODE_TALK_MS : ATL_PICTURE_IDLE_MS;
	atl_buf_init(&payload, ATL_FRAME_PAYLOAD_MAX + 1);
	enum atl_err err =
		atl_channel_receive(DECODE_SERVER_FD, atl_monotonic_ms() + wait_ms, &frame, &payload, &info);
	int rc = LEAVE;
	if (!err && frame.type == ATL_FRAME_DECODE &&
	    atl_decode_ask_decode((const unsigned char *)payload.data, payload.length, &ask, &info) == ATL_OK)
		rc = serve(&ask, payload.data + ATL_DECODE_ASK_SIZE, payload.length - ATL_DECODE_ASK_SIZE,
			   is_last(served));
	else if (!err)
		rc = FAILED;
	bool large = payload.length > LARGE_INPUT;
	atl_buf_finish(&payload);
	vips_error_clear();
	if (large)
		malloc_trim(0);
	return rc;
}

int main(int argc, char **argv)
{
	struct atl_errinfo info = {0};
	if (argc == 2)
		return credentials_main(argv[1]);
	if (vips_init("atelier-decode") != 0) {
		fputs("atelier-decode: libvips cannot start\n", stderr);
		return 1;
	}
	vips_vector_set_enabled(FALSE); /* its code generator needs executable memory */
	vips_concurrency_set(1);
	vips_cache_set_max(0);
	if (!decode_still_ready())
		return 1;
	if (atl_sandbox_enter(&info) != ATL_OK) {
		fprintf(stderr, "atelier-decode: %s\n", info.detail);
		return 1;
	}
	int rc = GO_ON;
	for (unsigned served = 1; rc == GO_ON; served++)
		rc = serve_one(served);
	/* No vips_shutdown(): tearing down threads needs calls that the sandbox refuses, and the process ends here. */
	_Exit(rc);
}
