/* Frames become a WebM that libav reads back: how many, how large, how quick, which colours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "worker/film.h"

#define SIDE 64
#define FRAMES 9
#define FPS 8
#define BYTES (SIDE * SIDE * 3)

static uint8_t rows[FRAMES][BYTES];
static struct engine_image frames[FRAMES];

/* From black to white, so that no two are alike. */
static int set_up(void **state)
{
	for (size_t i = 0; i < FRAMES; i++) {
		memset(rows[i], (int)(i * 255 / (FRAMES - 1)), BYTES);
		frames[i] = (struct engine_image){SIDE, SIDE, 3, rows[i]};
	}
	return 0;
}

struct seen {
	int count, width, height;
	int luma[FRAMES];
	double duration_s;
	enum AVCodecID codec;
};

static void decode(AVCodecContext *codec, AVPacket *packet, struct seen *seen)
{
	AVFrame *frame = av_frame_alloc();
	assert_int_equal(avcodec_send_packet(codec, packet), 0);
	while (avcodec_receive_frame(codec, frame) == 0) {
		assert_true(seen->count < FRAMES);
		seen->width = frame->width;
		seen->height = frame->height;
		seen->luma[seen->count++] = frame->data[0][frame->linesize[0] * (frame->height / 2) + frame->width / 2];
	}
	av_frame_free(&frame);
}

static int read_from(void *opaque, uint8_t *out, int size)
{
	struct atl_buf *left = opaque;
	int n = left->length < (size_t)size ? (int)left->length : size;
	memcpy(out, left->data, (size_t)n);
	left->data += n;
	left->length -= (size_t)n;
	return n ? n : AVERROR_EOF;
}

static struct seen look(const struct atl_buf *file)
{
	struct atl_buf left = *file;
	struct seen seen = {0};
	AVFormatContext *in = avformat_alloc_context();
	in->pb = avio_alloc_context(av_malloc(4096), 4096, 0, &left, read_from, NULL, NULL);
	assert_int_equal(avformat_open_input(&in, NULL, NULL, NULL), 0);
	assert_int_equal(in->nb_streams, 1);
	seen.codec = in->streams[0]->codecpar->codec_id;
	seen.duration_s = (double)in->duration / AV_TIME_BASE;
	AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_decoder(seen.codec));
	avcodec_parameters_to_context(codec, in->streams[0]->codecpar);
	assert_int_equal(avcodec_open2(codec, NULL, NULL), 0);
	AVPacket *packet = av_packet_alloc();
	while (av_read_frame(in, packet) == 0) {
		decode(codec, packet, &seen);
		av_packet_unref(packet);
	}
	decode(codec, NULL, &seen);
	av_packet_free(&packet);
	avcodec_free_context(&codec);
	AVIOContext *pb = in->pb;
	avformat_close_input(&in);
	av_freep(&pb->buffer);
	avio_context_free(&pb);
	return seen;
}

static void test_frames_come_back(void **state)
{
	struct atl_errinfo info = {0};
	struct atl_buf file, again;
	atl_buf_init(&file, FILM_BYTES_MAX);
	atl_buf_init(&again, FILM_BYTES_MAX);
	if (film_encode(frames, FRAMES, FPS, 1, NULL, &file, &info) != ATL_OK)
		fail_msg("%s", info.detail);
	struct seen seen = look(&file);
	assert_int_equal(seen.codec, AV_CODEC_ID_VP9);
	assert_int_equal(seen.count, FRAMES);
	assert_int_equal(seen.width, SIDE);
	assert_int_equal(seen.height, SIDE);
	assert_true(seen.duration_s > 1.1 && seen.duration_s < 1.15); /* 9 at 8 a second */
	assert_in_range(seen.luma[0], 10, 24);			       /* black and white of television */
	assert_in_range(seen.luma[FRAMES - 1], 225, 240);
	for (int i = 1; i < FRAMES; i++)
		assert_true(seen.luma[i] > seen.luma[i - 1]);
	/* nothing of the machine or the time is in it */
	assert_int_equal(film_encode(frames, FRAMES, FPS, 1, NULL, &again, &info), ATL_OK);
	assert_int_equal(again.length, file.length);
	assert_memory_equal(again.data, file.data, file.length);
	atl_buf_finish(&file);
	atl_buf_finish(&again);
}

static void test_odd_sides(void **state)
{
	struct engine_image odd = {33, 31, 3, rows[0]};
	struct atl_buf file;
	atl_buf_init(&file, FILM_BYTES_MAX);
	assert_int_equal(film_encode(&odd, 1, 1, 1, NULL, &file, NULL), ATL_OK);
	struct seen seen = look(&file);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.width, 32);
	assert_int_equal(seen.height, 30);
	atl_buf_finish(&file);
}

static int left;
static bool after_three(void)
{
	return left-- == 0;
}

static void test_refusals(void **state)
{
	struct engine_image mixed[] = {frames[0], {SIDE / 2, SIDE, 3, rows[1]}};
	struct engine_image grey = {SIDE, SIDE, 1, rows[0]};
	struct atl_errinfo info = {0};
	struct atl_buf file;
	atl_buf_init(&file, 100000);
	left = 3;
	assert_int_equal(film_encode(frames, FRAMES, FPS, 1, after_three, &file, &info), ATL_ERR_CANCELLED);
	assert_int_equal(film_encode(mixed, 2, FPS, 1, NULL, &file, &info), ATL_ERR_INVALID);
	assert_int_equal(film_encode(&grey, 1, FPS, 1, NULL, &file, &info), ATL_ERR_INVALID);
	assert_int_equal(film_encode(frames, 0, FPS, 1, NULL, &file, &info), ATL_ERR_INVALID);
	assert_int_equal(film_encode(frames, 1, 0, 1, NULL, &file, &info), ATL_ERR_INVALID);
	atl_buf_finish(&file);
	atl_buf_init(&file, 100); /* no room */
	assert_int_not_equal(film_encode(frames, FRAMES, FPS, 1, NULL, &file, &info), ATL_OK);
	atl_buf_finish(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_come_back),
		cmocka_unit_test(test_odd_sides),
		cmocka_unit_test(test_refusals),
	};
	av_log_set_level(AV_LOG_QUIET);
	return cmocka_run_group_tests_name("film", tests, set_up, NULL);
}
