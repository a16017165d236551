/* image_fake.c - a scripted picture service for tests. No network.
 *
 * The model's name is the script: "picture" a gradient at once; "slow" the same with 50 ms a step; "hang" says nothing
 * until it is cancelled; "fail" ends with UPSTREAM; "refuse" with UPSTREAM_REFUSED; "rate" with UPSTREAM_RATE;
 * "garbage" gives a result that is no picture; "noop" ends without a result; "video" gives a second of red as WebM;
 * "preview" shows a small picture each step and takes 300 ms for one.
 * `count` and `steps` are obeyed.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "provider/image_services.h"

#define SLOW_STEP_MS 50
#define PREVIEW_STEP_MS 300 /* previews that come quicker are left out by the queue */
#define SIDE_MAX 2048

static const struct {
	const char *model;
	enum atl_err err;
	const char *sentence;
} ENDINGS[] = {
	{ "fail", ATL_ERR_UPSTREAM, "The scripted service failed, as it was told to." },
	{ "refuse", ATL_ERR_UPSTREAM_REFUSED, "The scripted service refused the content." },
	{ "rate", ATL_ERR_UPSTREAM_RATE, "The scripted service asks to slow down." },
};

/* One grey pixel. */
static const unsigned char PREVIEW_PNG[] = {
	0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0,
	0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, 'I', 'D', 'A', 'T', 0x78, 0x9c, 0x63, 0x68, 0, 0, 0, 0x82, 0, 0x81,
	0x77, 0xcd, 0x72, 0xb6, 0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82,
};

/* 16 x 16 pixels, 4 pictures of VP8. */
static const char VIDEO_BASE64[] =
	"GkXfo59ChoEBQveBAULygQRC84EIQoKEd2VibUKHgQJChYECGFOAZwEAAAAAAAIFEU2bdLpNu4tTq4QVSalmU6yBoU27i1OrhBZU"
	"rmtTrIHGTbuMU6uEElTDZ1OsggEMTbuMU6uEHFO7a1OsggHv7AEAAAAAAABZAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAVSalmoCrXsYMPQkBNgIRM"
	"YXZmV0GETGF2ZkSJiECPQAAAAAAAFlSua8GuAQAAAAAAADjXgQFzxYgAAAAAAAAAAZyBACK1nIN1bmSIgQCGhVZfVlA4g4EBI+OD"
	"hA7msoDgibCBELqBEJqBAhJUw2fRc3POY8CLY8WIAAAAAAAAAAFnyJhFo4dFTkNPREVSRIeLTGF2YyBsaWJ2cHhnyKJFo4hEVVJB"
	"VElPTkSHlDAwOjAwOjAxLjAwMDAwMDAwMAAAH0O2dUCH54EAo72BAACA8AIAnQEqEAAQAABHCIWFiIWEiAICAnWqA/gD+gINTRgA"
	"/v1u8//jmTcwxP+Obf/xYTwOKMj/8VEAo5WBAPoAsQEABRCsABgAGFgv9AAIAACjlYEB9ACxAQAFEKwAGAAYWC/0AAgAAKOVgQLu"
	"ALEBAAUQrAAYABhYL/QACAAAHFO7a5G7j7OBALeK94EB8YIBYvCBAw==";

static enum atl_err give_video(const struct atl_image_run *run, struct atl_errinfo *info)
{
	struct atl_buf file;
	enum atl_err err = ATL_OK;

	atl_buf_init(&file, sizeof(VIDEO_BASE64));
	if (!atl_base64_decode(&file, ATL_BASE64_STANDARD, VIDEO_BASE64, sizeof(VIDEO_BASE64) - 1))
		err = atl_fail(info, ATL_ERR_NOMEM, "fake video");
	else
		err = run->events->result(run->arg, &(struct atl_image_result){ .data = file.data, .length = file.length,
			.media_type = "video/webm", .width = 16, .height = 16, .seed = ATL_IMAGE_UNSET }, info);
	atl_buf_finish(&file);
	return err;
}

static bool wait_ms(const struct atl_image_run *run, unsigned ms)
{
	uint64_t end = atl_monotonic_ms() + ms;

	while (!atomic_load(run->cancelled) && atl_monotonic_ms() < end)
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	return !atomic_load(run->cancelled);
}

static enum atl_err one(const struct atl_image_run *run, int64_t index, unsigned step_ms, struct atl_errinfo *info)
{
	const struct atl_image_request *q = run->request;
	int64_t steps = q->steps > 0 ? q->steps : 4, seed = q->seed + index;
	size_t width = q->width > 0 ? (size_t)q->width : 64, height = q->height > 0 ? (size_t)q->height : 64;
	unsigned char *rgb;
	enum atl_err err;

	for (int64_t step = 1; step <= steps; step++) {
		if (step_ms ? !wait_ms(run, step_ms) : atomic_load(run->cancelled))
			return atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
		run->events->progress(run->arg, &(struct atl_image_progress){
			.phase = "sampling", .index = index, .step = step, .steps = steps, .step_ms = step_ms,
			.left_ms = (double)((steps - step) + (q->count - index - 1) * steps) * step_ms, .queue_position = -1 });
		if (step_ms == PREVIEW_STEP_MS)
			run->events->preview(run->arg, index, PREVIEW_PNG, sizeof(PREVIEW_PNG), "image/png");
	}
	if (width > SIDE_MAX || height > SIDE_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "width", "is larger than the scripted service makes");
	rgb = malloc(width * height * 3);
	if (!rgb)
		return atl_fail(info, ATL_ERR_NOMEM, "fake picture");
	for (size_t y = 0; y < height; y++)
		for (size_t x = 0; x < width; x++) {
			unsigned char *p = rgb + (y * width + x) * 3;
			p[0] = (unsigned char)(x * 255 / width);
			p[1] = (unsigned char)(y * 255 / height);
			p[2] = (unsigned char)(seed & 255);
		}
	err = run->events->result(run->arg, &(struct atl_image_result){
		.index = index, .data = rgb, .length = width * height * 3, .rgb = true, .width = (int64_t)width,
		.height = (int64_t)height, .seed = seed }, info);
	free(rgb);
	return err;
}

static enum atl_err fake_run(const struct atl_image_run *run, struct atl_arena *arena, struct atl_errinfo *info)
{
	const struct atl_image_request *q = run->request;
	unsigned step_ms = atl_str_eq(q->model, "slow") ? SLOW_STEP_MS : atl_str_eq(q->model, "preview") ? PREVIEW_STEP_MS : 0;
	enum atl_err err = ATL_OK;

	for (size_t i = 0; i < ATL_COUNT(ENDINGS); i++)
		if (atl_str_eq(q->model, ENDINGS[i].model))
			return atl_fail(info, ENDINGS[i].err, "%s", ENDINGS[i].sentence);
	if (atl_str_eq(q->model, "noop"))
		return ATL_OK;
	if (atl_str_eq(q->model, "hang")) {
		while (wait_ms(run, 1000))
			;
		return atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
	}
	if (atl_str_eq(q->model, "garbage"))
		return run->events->result(run->arg, &(struct atl_image_result){ .data = "not a picture", .length = 13,
			.media_type = "image/png", .seed = ATL_IMAGE_UNSET }, info);
	if (atl_str_eq(q->model, "video"))
		return give_video(run, info);
	for (int64_t i = 0; i < (q->count > 0 ? q->count : 1) && !err; i++)
		err = one(run, i, step_ms, info);
	return err;
}

const struct atl_image_ops atl_image_fake = {
	.kind = "fake", .resumable = false, .costs = false, .cancels = true, .previews = false, .concurrency = 64,
	.tasks = (1u << ATL_IMAGE_TASK_COUNT) - 1, .run = fake_run,
};
