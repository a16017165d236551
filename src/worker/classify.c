/* classify.c - the program atelier-classify LIBRARY MODEL: how likely is a picture nude or pornographic? In a sandbox.
 *
 * Descriptor 3 is a socket to the server. For each ATL_FRAME_CLASSIFY (rows of one size, made by atelier-decode: never a
 * file) an ATL_FRAME_SCORE goes out. It leaves when it has served enough, when nothing comes, or when the server hangs up.
 *
 * The model is open_nsfw (Yahoo's ResNet): rows of 224 x 224 x 3, blue first, less the mean of its training set; its
 * second number is the score.
 *
 * Limits: sandbox.h; the library and the weights are read before it closes.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "ipc/channel.h"
#include "media/classifier.h"
#include "worker/onnx.h"
#include "worker/sandbox.h"

#define SERVER_FD 3
#define SIDE 224
#define TALK_MS 40000

enum { GO_ON = -1, LEAVE = 0, FAILED = 3 };

static const float MEAN_BGR[3] = {104, 117, 123};

/* The middle of the rows, as the model wants it. */
static void prepare(const unsigned char *rgb, float *out)
{
	size_t edge = (ATL_CLASSIFY_SIDE - SIDE) / 2;
	for (size_t y = 0; y < SIDE; y++)
		for (size_t x = 0; x < SIDE; x++) {
			const unsigned char *from = rgb + ((y + edge) * ATL_CLASSIFY_SIDE + x + edge) * 3;
			for (size_t c = 0; c < 3; c++)
				*out++ = (float)from[2 - c] - MEAN_BGR[c];
		}
}

static enum atl_err judge(struct onnx *onnx, const unsigned char *rgb, uint32_t *ret, struct atl_errinfo *info)
{
	static const struct onnx_names NAMES = {"input:0", "outputs"};
	static const int64_t SHAPE[] = {1, SIDE, SIDE, 3};
	float *in = malloc(sizeof *in * SIDE * SIDE * 3), both[2];
	if (!in)
		return atl_fail(info, ATL_ERR_NOMEM, "picture");
	prepare(rgb, in);
	enum atl_err err = onnx_run(onnx, &NAMES, in, SHAPE, ATL_COUNT(SHAPE), both, 2, info);
	free(in);
	if (!err && !(both[1] >= 0 && both[1] <= 1.0001f))
		err = atl_fail(info, ATL_ERR_INTERNAL, "the model gave no score");
	if (!err)
		*ret = (uint32_t)lrintf(fminf(both[1], 1) * (float)ATL_SCORE_ONE);
	return err;
}

static int serve_one(struct onnx *onnx, unsigned served)
{
	struct atl_errinfo info = {0};
	struct atl_frame frame;
	struct atl_buf payload;
	unsigned char out[ATL_SCORE_SIZE];
	struct timespec used;
	uint32_t score = 0;
	atl_buf_init(&payload, ATL_CLASSIFY_SIZE + 1);
	uint64_t wait_ms = served == 1 ? TALK_MS : ATL_CLASSIFIER_IDLE_MS;
	int rc = LEAVE;
	if (atl_channel_receive(SERVER_FD, atl_monotonic_ms() + wait_ms, &frame, &payload, &info) == ATL_OK) {
		rc = FAILED;
		bool last = served >= ATL_PICTURE_PER_CHILD || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0 ||
			    used.tv_sec >= ATL_SANDBOX_CPU_S / 3;
		struct atl_frame answer = {.type = ATL_FRAME_SCORE, .id = 1, .item = last};
		if (frame.type == ATL_FRAME_CLASSIFY && payload.length == ATL_CLASSIFY_SIZE &&
		    judge(onnx, (const unsigned char *)payload.data, &score, &info) == ATL_OK) {
			atl_score_encode(score, out);
			if (atl_channel_send(SERVER_FD, atl_monotonic_ms() + TALK_MS, &answer, out, sizeof out, NULL, 0,
					     &info) == ATL_OK)
				rc = last ? LEAVE : GO_ON;
		}
	}
	if (rc == FAILED)
		fprintf(stderr, "atelier-classify: %s\n", info.detail);
	atl_buf_finish(&payload);
	return rc;
}

int main(int argc, char **argv)
{
	struct atl_errinfo info = {0};
	struct onnx *onnx;
	if (argc != 3) {
		fputs("usage: atelier-classify LIBRARY MODEL\n", stderr);
		return 2;
	}
	if (onnx_open(argv[1], argv[2], &onnx, &info) != ATL_OK || atl_sandbox_enter(&info) != ATL_OK) {
		fprintf(stderr, "atelier-classify: %s\n", info.detail);
		return 1;
	}
	int rc = GO_ON;
	for (unsigned served = 1; rc == GO_ON; served++)
		rc = serve_one(onnx, served);
	_Exit(rc); /* the library's own ending wants calls that the sandbox refuses */
}
