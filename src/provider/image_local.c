/* image_local.c - pictures by this machine's own engine: frames to and from atelier-image (docs/ipc.md).
 *
 * The request's model is a JSON object of file paths (struct atl_engine_model). Input pictures come as rows
 * (image/x-rgb, masks image/x-gray) at the size of the picture to be made. `extra` may hold flow_shift, tiling and
 * preview_interval.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "ipc/channel.h"
#include "ipc/image.h"
#include "provider/image_services.h"

#define SLICE_MS 200
#define FRAME_MS 20000
#define TIMEOUT_DEFAULT_MS (30u * 60 * 1000)
#define CANCEL_GRACE_MS 60000 /* a step or the decoding may take this long; then we hang up, which ends it as well */
#define SIDE_DEFAULT 512
#define FRAMES_DEFAULT 33
#define FPS_DEFAULT 16 /* as Wan was trained */
#define FILM_TYPE "video/webm"
#define PAYLOAD_MAX ((size_t)4 << 20) /* results come as descriptors */

struct local {
	const struct atl_image_run *run;
	struct atl_arena *arena;
	struct atl_arena scratch; /* for one frame that came */
	struct atl_errinfo *info;
	struct atl_buf payload;
	int fd;
	uint64_t end_ms; /* of the whole run */
	bool told;	 /* the engine knows that it was stopped */
};

/* ---- the request ---- */

static int64_t given(int64_t value, int64_t fallback)
{
	return value == ATL_IMAGE_UNSET ? fallback : value;
}

static double given_num(double value)
{
	return isnan(value) ? -1 : value;
}

static enum atl_err fill_model(struct local *l, struct atl_engine_model *model)
{
	const char *text = l->run->request->model;
	if (atl_engine_read(l->arena, &atl_engine_model_desc, text, strlen(text), model, l->info) != ATL_OK)
		return atl_fail_context(l->info, ATL_ERR_INVALID, "The model's description is wrong");
	if (l->run->request->task == ATL_IMAGE_UPSCALE && !model->upscaler)
		model->upscaler = model->model;
	return ATL_OK;
}

static enum atl_err fill_loras(struct local *l, struct atl_items *ret)
{
	const struct atl_image_request *q = l->run->request;
	struct atl_engine_lora *loras = ATL_ARENA_ARRAY(l->arena, struct atl_engine_lora, q->lora_count + 1);
	if (!loras)
		return atl_fail(l->info, ATL_ERR_NOMEM, "loras");
	for (size_t i = 0; i < q->lora_count; i++) {
		if (!q->loras[i].path)
			return atl_fail_field(l->info, ATL_ERR_INVALID, "loras", "There is no LoRA %s in the models folder.",
					      q->loras[i].name);
		loras[i] = (struct atl_engine_lora){q->loras[i].path, q->loras[i].name, q->loras[i].weight};
	}
	*ret = (struct atl_items){loras, q->lora_count};
	return ATL_OK;
}

/* About ten glimpses of a picture. */
static int64_t preview_interval(const struct atl_image_request *q, const struct atl_json *extra)
{
	int64_t steps = given(q->steps, 20);
	if (!q->previews)
		return 0;
	return atl_json_int(extra, "preview_interval", steps > 10 ? steps / 10 : 1);
}

static bool is_film(enum atl_image_task task)
{
	return task == ATL_IMAGE_TXT2VID || task == ATL_IMAGE_IMG2VID;
}

static const char *task_word(enum atl_image_task task)
{
	return is_film(task) ? "film" : task == ATL_IMAGE_UPSCALE ? "upscale" : "generate";
}

/* Its length is told in frames, or in seconds. */
static enum atl_err fill_film(struct local *l, struct atl_engine_ask *ask)
{
	const struct atl_image_request *q = l->run->request;
	if (!is_film(q->task))
		return ATL_OK;
	ask->fps = given(q->fps, FPS_DEFAULT);
	ask->frames = given(q->frames, q->duration_s == ATL_IMAGE_UNSET ? FRAMES_DEFAULT : q->duration_s * ask->fps + 1);
	if (ask->fps < 1 || ask->fps > ATL_ENGINE_FPS_MAX)
		return atl_fail_field(l->info, ATL_ERR_INVALID, "fps", "The local engine makes 1 to %d frames a second.",
				      ATL_ENGINE_FPS_MAX);
	if (ask->frames < 1 || ask->frames > ATL_ENGINE_FRAMES_MAX)
		return atl_fail_field(l->info, ATL_ERR_INVALID, "frames", "The local engine makes films of 1 to %d frames.",
				      ATL_ENGINE_FRAMES_MAX);
	if (ask->width * ask->height * ask->frames > ATL_ENGINE_FILM_PIXELS_MAX)
		return atl_fail_field(l->info, ATL_ERR_INVALID, "frames",
				      "So many frames are too much at this size. Ask for fewer, or a smaller size.");
	return ATL_OK;
}

static enum atl_err send_ask(struct local *l)
{
	const struct atl_image_request *q = l->run->request;
	struct atl_engine_model model;
	struct atl_json *extra = NULL;
	struct atl_engine_ask ask = {
		.task = task_word(q->task), .model = &model, .prompt = q->prompt,
		.negative_prompt = q->negative_prompt, .sampler = q->sampler, .scheduler = q->scheduler,
		.width = given(q->width, SIDE_DEFAULT), .height = given(q->height, SIDE_DEFAULT), .count = given(q->count, 1),
		.seed = q->seed, .steps = given(q->steps, 0), .clip_skip = given(q->clip_skip, 0),
		.cfg_scale = given_num(q->cfg_scale), .guidance = given_num(q->guidance), .strength = given_num(q->strength),
		.control_strength = given_num(q->control_strength)};
	enum atl_err err = fill_model(l, &model);
	if (!err)
		err = fill_loras(l, &ask.loras);
	if (!err && q->extra)
		err = atl_json_parse(l->arena, q->extra, strlen(q->extra), &extra, l->info);
	if (err)
		return err;
	err = fill_film(l, &ask);
	if (err)
		return err;
	ask.flow_shift = atl_json_num(extra, "flow_shift", -1);
	ask.tiling = atl_json_bool(extra, "tiling", false);
	ask.preview_interval = preview_interval(q, extra);
	struct atl_frame frame = {.type = ATL_FRAME_GENERATE, .id = 1};
	err = atl_engine_write(&atl_engine_ask_desc, &ask, &l->payload, l->info);
	return err ? err
		   : atl_channel_send(l->fd, atl_monotonic_ms() + FRAME_MS, &frame, l->payload.data, l->payload.length, NULL, 0,
				      l->info);
}

static void put32(unsigned char *out, int64_t value)
{
	for (int i = 0; i < 4; i++)
		out[i] = (unsigned char)(value >> (8 * i));
}

static enum atl_err send_input(struct local *l, size_t item, const struct atl_image_file *file)
{
	int64_t channels = item == ATL_INPUT_MASK ? 1 : 3;
	unsigned char head[ATL_INPUT_HEAD_SIZE];
	struct atl_frame frame = {.type = ATL_FRAME_INPUT, .id = 1, .item = (uint16_t)item};
	if (!file->data)
		return ATL_OK;
	if (!atl_str_eq(file->media_type, channels == 1 ? "image/x-gray" : "image/x-rgb") || file->width < 1 ||
	    file->height < 1 || file->width > ATL_ENGINE_SIDE_MAX || file->height > ATL_ENGINE_SIDE_MAX ||
	    file->length != (size_t)(file->width * file->height * channels))
		return atl_fail(l->info, ATL_ERR_INVALID, "An input picture is not as the local engine takes it.");
	put32(head, file->width);
	put32(head + 4, file->height);
	put32(head + 8, channels);
	return atl_channel_send(l->fd, atl_monotonic_ms() + FRAME_MS, &frame, head, sizeof head, file->data, file->length,
				l->info);
}

static enum atl_err send_inputs(struct local *l)
{
	const struct atl_image_request *q = l->run->request;
	enum atl_err err = send_input(l, ATL_INPUT_INIT, &q->init);
	if (!err)
		err = send_input(l, ATL_INPUT_MASK, &q->mask);
	if (!err)
		err = send_input(l, ATL_INPUT_CONTROL, &q->control);
	for (size_t i = 0; i < q->reference_count && i < ATL_ENGINE_REFERENCES_MAX && !err; i++)
		err = send_input(l, ATL_INPUT_REFERENCE + i, &q->references[i]);
	return err;
}

/* ---- what comes back ---- */

static enum atl_err cut(struct local *l)
{
	return atl_fail(l->info, ATL_ERR_UPSTREAM,
			"The picture engine stopped in the middle of the work, probably because memory ran out. It is being "
			"started again. Try a smaller picture or model.");
}

/* CANCELLED after the engine had its time to notice. */
static enum atl_err wait_readable(struct local *l, uint64_t *give_up_ms)
{
	for (;;) {
		uint64_t now = atl_monotonic_ms();
		if (!l->told && atomic_load(l->run->cancelled)) {
			struct atl_frame frame = {.type = ATL_FRAME_CANCEL, .id = 1};
			l->told = true;
			*give_up_ms = now + CANCEL_GRACE_MS;
			if (atl_channel_send(l->fd, now + FRAME_MS, &frame, NULL, 0, NULL, 0, NULL) != ATL_OK)
				return atl_fail(l->info, ATL_ERR_CANCELLED, "It was stopped.");
		}
		if (now >= *give_up_ms)
			return l->told ? atl_fail(l->info, ATL_ERR_CANCELLED, "It was stopped.")
				       : atl_fail(l->info, ATL_ERR_UPSTREAM_TIMEOUT, "The picture engine took too long.");
		struct pollfd p = {.fd = l->fd, .events = POLLIN};
		int n = poll(&p, 1, SLICE_MS);
		if (n > 0)
			return ATL_OK;
		if (n < 0 && errno != EINTR)
			return cut(l);
	}
}

static enum atl_err on_progress(struct local *l, const struct atl_frame *frame)
{
	struct atl_engine_step step;
	enum atl_err err = atl_engine_read(&l->scratch, &atl_engine_step_desc, l->payload.data, l->payload.length, &step, l->info);
	if (err)
		return err;
	struct atl_image_progress progress = {.phase = step.phase, .index = frame->item, .step = step.step,
					      .steps = step.steps, .step_ms = step.step_ms, .left_ms = step.left_ms,
					      .queue_position = -1};
	l->run->events->progress(l->run->arg, &progress);
	return ATL_OK;
}

static enum atl_err on_result(struct local *l, const struct atl_frame *frame, int fd)
{
	struct atl_engine_made made;
	const void *rows;
	enum atl_err err = atl_engine_read(&l->scratch, &atl_engine_made_desc, l->payload.data, l->payload.length, &made, l->info);
	if (err)
		return err;
	size_t length = made.media_type ? (size_t)made.length : (size_t)made.width * (size_t)made.height * 3;
	if (made.media_type && !atl_str_eq(made.media_type, FILM_TYPE))
		return atl_fail(l->info, ATL_ERR_UPSTREAM_FORMAT, "The picture engine sent a file of an unknown kind.");
	if (l->run->max_result_bytes && length > l->run->max_result_bytes)
		return atl_fail(l->info, ATL_ERR_TOO_LARGE, "The picture is larger than allowed.");
	err = atl_engine_map(fd, length, &rows, l->info);
	if (err)
		return err;
	struct atl_image_result result = {.index = frame->item, .data = rows, .length = length,
					  .media_type = made.media_type ? FILM_TYPE : NULL, .rgb = !made.media_type,
					  .width = made.width, .height = made.height, .seed = made.seed};
	err = l->run->events->result(l->run->arg, &result, l->info);
	munmap((void *)rows, length);
	return err;
}

static const char *sentence(struct local *l)
{
	const char *text = atl_utf8_valid(l->payload.data, l->payload.length)
				   ? atl_arena_strndup(&l->scratch, l->payload.data, l->payload.length)
				   : NULL;
	return text ? text : "";
}

static enum atl_err on_error(struct local *l, const struct atl_frame *frame)
{
	if (frame->item == ATL_ENGINE_STOPPED)
		return atl_fail(l->info, ATL_ERR_CANCELLED, "It was stopped.");
	return atl_fail(l->info, frame->item == ATL_ENGINE_BUSY ? ATL_ERR_UNAVAILABLE : ATL_ERR_UPSTREAM, "%s", sentence(l));
}

/* *ret_done: the last frame was handled. */
static enum atl_err handle(struct local *l, const struct atl_frame *frame, int fd, bool *ret_done)
{
	const struct atl_image_events *events = l->run->events;
	if (frame->item >= ATL_IMAGE_COUNT_MAX)
		return atl_fail(l->info, ATL_ERR_UPSTREAM_FORMAT, "The picture engine counts too far.");
	switch (frame->type) {
	case ATL_FRAME_PROGRESS:
		return on_progress(l, frame);
	case ATL_FRAME_PREVIEW:
		events->preview(l->run->arg, frame->item, l->payload.data, l->payload.length, "image/png");
		return ATL_OK;
	case ATL_FRAME_LOG:
		events->note(l->run->arg, sentence(l));
		return ATL_OK;
	case ATL_FRAME_RESULT:
		return on_result(l, frame, fd);
	case ATL_FRAME_ERROR:
		return on_error(l, frame);
	case ATL_FRAME_DONE:
		*ret_done = true;
		return ATL_OK;
	case ATL_FRAME_HELLO:
		return ATL_OK;
	default:
		return atl_fail(l->info, ATL_ERR_UPSTREAM_FORMAT, "The picture engine said something unknown.");
	}
}

static enum atl_err follow(struct local *l)
{
	bool done = false;
	enum atl_err err = ATL_OK;
	while (!err && !done) {
		struct atl_frame frame;
		int fd = -1;
		err = wait_readable(l, &l->end_ms);
		if (!err && atl_channel_receive_fd(l->fd, atl_monotonic_ms() + FRAME_MS, &frame, &l->payload, &fd, l->info) != ATL_OK)
			return cut(l);
		if (!err)
			err = handle(l, &frame, fd, &done);
		if (fd >= 0)
			close(fd);
		atl_arena_reset(&l->scratch);
	}
	return err;
}

static enum atl_err run(const struct atl_image_run *run, struct atl_arena *arena, struct atl_errinfo *info)
{
	struct local l = {.run = run, .arena = arena, .info = info,
			  .end_ms = atl_monotonic_ms() + (run->timeout_ms ? run->timeout_ms : TIMEOUT_DEFAULT_MS)};
	enum atl_err err = run->endpoint->unix_path ? atl_channel_connect(run->endpoint->unix_path, &l.fd, info)
						    : atl_fail(info, ATL_ERR_UNAVAILABLE, "no socket");
	if (err)
		return atl_fail(info, ATL_ERR_UNAVAILABLE, "The picture engine is not running. Try again in a moment.");
	atl_buf_init(&l.payload, PAYLOAD_MAX);
	atl_arena_init(&l.scratch, 0);
	err = send_inputs(&l);
	if (!err)
		err = send_ask(&l);
	if (err == ATL_ERR_UPSTREAM_CUT)
		err = cut(&l);
	if (!err)
		err = follow(&l);
	atl_buf_finish(&l.payload);
	atl_arena_finish(&l.scratch);
	close(l.fd);
	return err;
}

const struct atl_image_ops atl_image_local = {
	.kind = "local", .cancels = true, .previews = true, .concurrency = 1, .run = run,
	.tasks = 1u << ATL_IMAGE_TXT2IMG | 1u << ATL_IMAGE_IMG2IMG | 1u << ATL_IMAGE_INPAINT | 1u << ATL_IMAGE_EDIT |
		 1u << ATL_IMAGE_UPSCALE | 1u << ATL_IMAGE_TXT2VID | 1u << ATL_IMAGE_IMG2VID};
