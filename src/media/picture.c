/* picture.c - see picture.h. */
#include "media/picture.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "ipc/channel.h"
#include "os/child.h"

struct atl_pictures {
	/* set at create */
	struct atl_loop *loop;
	char *program;
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned running;
};

/* One child's life, shared by the pool thread that waits and the loop thread that owns the process. */
struct decode_run {
	struct atl_pictures *pictures;
	int child_fd;
	/* loop thread only */
	struct atl_child *child;
	/* guarded by pictures->lock */
	bool spawned, exited, killed; /* killed: nothing on the loop knows this run any more, once it has exited */
	enum atl_err err;
	struct atl_errinfo info;
	int exit_code, signal;
};

enum atl_err atl_pictures_create(struct atl_loop *loop, const char *program, struct atl_pictures **ret,
				 struct atl_errinfo *info)
{
	struct atl_pictures *self = calloc(1, sizeof *self);
	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "picture decoder");
	self->loop = loop;
	self->program = strdup(program);
	if (!self->program) {
		free(self);
		return atl_fail(info, ATL_ERR_NOMEM, "picture decoder");
	}
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->changed, NULL);
	*ret = self;
	return ATL_OK;
}

void atl_pictures_destroy(struct atl_pictures *pictures)
{
	if (!pictures)
		return;
	pthread_cond_destroy(&pictures->changed);
	pthread_mutex_destroy(&pictures->lock);
	free(pictures->program);
	free(pictures);
}

static void on_exit_child(void *arg, int exit_code, int signal)
{
	struct decode_run *run = arg;
	atl_child_destroy(run->child);
	run->child = NULL;
	pthread_mutex_lock(&run->pictures->lock);
	run->exited = true;
	run->exit_code = exit_code;
	run->signal = signal;
	pthread_cond_broadcast(&run->pictures->changed);
	pthread_mutex_unlock(&run->pictures->lock);
}

static void spawn_on_loop(void *arg)
{
	struct decode_run *run = arg;
	struct atl_pictures *self = run->pictures;
	const char *argv[] = {"atelier-decode", NULL};
	/* VIPSHOME points nowhere so that no loader module is looked for; fontconfig and the like are not wanted. */
	const char *env[] = {"VIPSHOME=/nonexistent", "LANG=C", NULL};
	struct atl_child_spec spec = {.path = self->program, .argv = argv, .env = env, .pass_fd = run->child_fd};
	struct atl_errinfo info = {0};
	enum atl_err err = atl_child_spawn(self->loop, &spec, NULL, on_exit_child, run, &run->child, &info);
	close(run->child_fd);
	pthread_mutex_lock(&self->lock);
	run->spawned = true;
	run->exited = err != ATL_OK;
	run->err = err;
	run->info = info;
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
}

static void kill_on_loop(void *arg)
{
	struct decode_run *run = arg;
	if (run->child)
		atl_child_kill(run->child, 9);
	pthread_mutex_lock(&run->pictures->lock);
	run->killed = true;
	pthread_cond_broadcast(&run->pictures->changed);
	pthread_mutex_unlock(&run->pictures->lock);
}

static enum atl_err start_child(struct decode_run *run, struct atl_errinfo *info)
{
	struct atl_pictures *self = run->pictures;
	if (!atl_loop_post(self->loop, spawn_on_loop, run)) {
		close(run->child_fd);
		return atl_fail(info, ATL_ERR_SHUTDOWN, "the picture decoder is gone");
	}
	pthread_mutex_lock(&self->lock);
	while (!run->spawned)
		pthread_cond_wait(&self->changed, &self->lock);
	pthread_mutex_unlock(&self->lock);
	if (run->err)
		return atl_fail(info, ATL_ERR_INTERNAL, "starting atelier-decode: %s", run->info.detail);
	return ATL_OK;
}

/* After the answer: the child has ended or is made to. */
static void end_child(struct decode_run *run)
{
	struct atl_pictures *self = run->pictures;
	if (!atl_loop_post(self->loop, kill_on_loop, run))
		return; /* the loop ended, and its children with it */
	pthread_mutex_lock(&self->lock);
	while (!run->exited || !run->killed)
		pthread_cond_wait(&self->changed, &self->lock);
	pthread_mutex_unlock(&self->lock);
}

static enum atl_err keep_out(struct atl_arena *arena, const struct atl_buf *payload, struct atl_picture *picture,
			     size_t max, struct atl_errinfo *info)
{
	struct atl_decode_item item;
	enum atl_err err =
		atl_decode_item_decode((const unsigned char *)payload->data, payload->length, &item, info);
	if (err)
		return err;
	if (picture->out_count == max)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the decoder sent more pictures than asked");
	size_t length = payload->length - ATL_DECODE_ITEM_SIZE;
	void *data = atl_arena_alloc(arena, length ? length : 1);
	if (!data)
		return atl_fail(info, ATL_ERR_NOMEM, "picture of %zu bytes", length);
	memcpy(data, payload->data + ATL_DECODE_ITEM_SIZE, length);
	picture->outs[picture->out_count++] = (struct atl_picture_out){.asked_width = item.asked_width,
									.width = item.width,
									.height = item.height,
									.data = data,
									.length = length};
	return ATL_OK;
}

static enum atl_err talk(int fd, uint64_t deadline_ms, struct atl_arena *arena, const struct atl_decode_ask *ask,
			 const void *data, size_t length, struct atl_picture *picture, struct atl_errinfo *info)
{
	unsigned char head[ATL_DECODE_ASK_SIZE];
	atl_decode_ask_encode(ask, head);
	struct atl_frame frame = {.type = ATL_FRAME_DECODE, .id = 1};
	enum atl_err err = atl_channel_send(fd, deadline_ms, &frame, head, sizeof head, data, length, info);
	struct atl_buf payload;
	atl_buf_init(&payload, ATL_PICTURE_BYTES_MAX);
	size_t max = (size_t)ask->width_count + 1;
	while (!err) {
		err = atl_channel_receive(fd, deadline_ms, &frame, &payload, info);
		if (err || frame.type == ATL_FRAME_END)
			break;
		if (frame.type == ATL_FRAME_ERROR) {
			size_t cut = atl_utf8_valid(payload.data, payload.length) ? payload.length : 0;
			err = atl_fail(info, ATL_ERR_PICTURE, "%.*s", (int)(cut > 300 ? 300 : cut), payload.data);
		} else if (frame.type == ATL_FRAME_PICTURE) {
			err = keep_out(arena, &payload, picture, max, info);
		} else {
			err = atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the decoder sent a frame of type %u", frame.type);
		}
	}
	atl_buf_finish(&payload);
	if (!err && picture->out_count != max)
		err = atl_fail(info, ATL_ERR_PICTURE, "the decoder ended before the picture was complete");
	return err;
}

static void take_turn(struct atl_pictures *self)
{
	pthread_mutex_lock(&self->lock);
	while (self->running >= ATL_PICTURE_AT_ONCE)
		pthread_cond_wait(&self->changed, &self->lock);
	self->running++;
	pthread_mutex_unlock(&self->lock);
}

static void end_turn(struct atl_pictures *self)
{
	pthread_mutex_lock(&self->lock);
	self->running--;
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
}

/* The child's own failure (crash, limit, hang) is a failure of this picture, said in words. */
static enum atl_err blame_picture(enum atl_err err, const struct decode_run *run, struct atl_errinfo *info)
{
	if (err == ATL_OK || err == ATL_ERR_PICTURE || err == ATL_ERR_NOMEM)
		return err;
	atl_warn("media", "atelier-decode failed: %s (exit %d, signal %d)", atl_err_name(err), run->exit_code,
		 run->signal);
	if (err == ATL_ERR_UPSTREAM_TIMEOUT)
		return atl_fail(info, ATL_ERR_PICTURE, "Reading the picture took longer than %d s. Try a smaller one.",
				ATL_PICTURE_TIMEOUT_MS / 1000);
	return atl_fail(info, ATL_ERR_PICTURE,
			"The picture is damaged or needs more memory than a picture may use. Try saving it again.");
}

enum atl_err atl_picture_decode(struct atl_pictures *pictures, struct atl_arena *arena, const void *data, size_t length,
				const unsigned *widths, size_t width_count, struct atl_picture *ret,
				struct atl_errinfo *info)
{
	if (length > ATL_PICTURE_BYTES_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "A picture may have at most %zu MiB.",
				ATL_PICTURE_BYTES_MAX >> 20);
	enum atl_picture_kind kind = atl_picture_sniff(data, length);
	if (kind == ATL_PICTURE_UNKNOWN)
		return atl_fail(info, ATL_ERR_PICTURE, "This is not a JPEG, PNG, WebP or GIF picture.");
	if (width_count > ATL_DECODE_WIDTHS_MAX)
		return atl_fail(info, ATL_ERR_INTERNAL, "too many thumbnails asked");

	struct atl_decode_ask ask = {.max_pixels = ATL_PICTURE_PIXELS_MAX,
				     .max_side = ATL_PICTURE_KEEP_SIDE,
				     .kind = kind,
				     .width_count = (uint16_t)width_count};
	for (size_t i = 0; i < width_count; i++)
		ask.widths[i] = (uint16_t)widths[i];
	struct atl_picture picture = {.kind = kind};
	picture.outs = ATL_ARENA_ARRAY(arena, struct atl_picture_out, width_count + 1);
	if (!picture.outs)
		return atl_fail(info, ATL_ERR_NOMEM, "picture");

	int fds[2];
	enum atl_err err = atl_channel_pair(fds, info);
	if (err)
		return err;
	struct decode_run run = {.pictures = pictures, .child_fd = fds[1]};
	take_turn(pictures);
	err = start_child(&run, info);
	if (!err) {
		uint64_t deadline_ms = atl_monotonic_ms() + ATL_PICTURE_TIMEOUT_MS;
		err = talk(fds[0], deadline_ms, arena, &ask, data, length, &picture, info);
		end_child(&run);
		err = blame_picture(err, &run, info);
	}
	end_turn(pictures);
	close(fds[0]);
	if (!err)
		*ret = picture;
	return err;
}
