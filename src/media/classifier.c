/* classifier.c - see classifier.h. decoder.c has the children's life. */
#include "media/classifier.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "ipc/channel.h"
#include "media/decoder.h"

#define PATH_SIZE 4096
#define EVERYBODY "everybody"

struct atl_classifier {
	struct atl_pictures *children;
	char library[PATH_SIZE], model[PATH_SIZE];
	const char *argv[4];
};

enum atl_err atl_classifier_create(struct atl_loop *loop, const char *program, const char *folder,
				   struct atl_classifier **ret, struct atl_errinfo *info)
{
	struct atl_classifier *self = calloc(1, sizeof *self);
	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "classifier");
	int a = snprintf(self->library, PATH_SIZE, "%s/%s", folder, ATL_CLASSIFIER_LIBRARY);
	int b = snprintf(self->model, PATH_SIZE, "%s/%s", folder, ATL_CLASSIFIER_MODEL);
	enum atl_err err = a >= PATH_SIZE || b >= PATH_SIZE ? atl_fail(info, ATL_ERR_INVALID, "the classifier's folder is too long")
							    : atl_pictures_create(loop, program, &self->children, info);
	if (err) {
		free(self);
		return err;
	}
	self->argv[0] = "atelier-classify";
	self->argv[1] = self->library;
	self->argv[2] = self->model;
	atl_decoder_set_argv(self->children, self->argv);
	atl_pictures_set_timeout(self->children, ATL_CLASSIFIER_TIMEOUT_MS);
	*ret = self;
	return ATL_OK;
}

void atl_classifier_destroy(struct atl_classifier *classifier)
{
	if (!classifier)
		return;
	atl_pictures_destroy(classifier->children);
	free(classifier);
}

void atl_classifier_set_timeout(struct atl_classifier *classifier, unsigned timeout_ms)
{
	atl_pictures_set_timeout(classifier->children, timeout_ms);
}

struct atl_picture_raw_ask atl_classifier_rows(void)
{
	return (struct atl_picture_raw_ask){.channels = 3, .width = ATL_CLASSIFY_SIDE, .height = ATL_CLASSIFY_SIDE};
}

static enum atl_err talk(const struct atl_decoder *child, const unsigned char *rgb, uint32_t *ret, bool *ret_last,
			 struct atl_errinfo *info)
{
	uint64_t deadline_ms = atl_monotonic_ms() + atl_decoder_timeout_ms(child);
	struct atl_frame frame = {.type = ATL_FRAME_CLASSIFY, .id = 1};
	struct atl_buf payload;
	atl_buf_init(&payload, 64);
	int fd = atl_decoder_fd(child);
	enum atl_err err = atl_channel_send(fd, deadline_ms, &frame, rgb, ATL_CLASSIFY_SIZE, NULL, 0, info);
	if (!err)
		err = atl_channel_receive(fd, deadline_ms, &frame, &payload, info);
	if (!err && frame.type != ATL_FRAME_SCORE)
		err = atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the classifier sent a frame of type %u", frame.type);
	if (!err)
		err = atl_score_decode((const unsigned char *)payload.data, payload.length, ret, info);
	*ret_last = frame.item != 0;
	atl_buf_finish(&payload);
	return err;
}

/* Once, or twice: a warm child may have left just now. */
enum atl_err atl_classifier_score(struct atl_classifier *classifier, const unsigned char *rgb, uint32_t *ret,
				  struct atl_errinfo *info)
{
	struct atl_errinfo why = {0};
	for (bool fresh = false;; fresh = true) {
		struct atl_decoder *child;
		bool last = true;
		int outcome = 0;
		bool warm = false;
		enum atl_err err = atl_decoder_take(classifier->children, EVERYBODY, fresh, &child, &why);
		if (!err) {
			warm = atl_decoder_was_warm(child);
			err = talk(child, rgb, ret, &last, &why);
			outcome = atl_decoder_give(child, !err && !last);
		}
		if (!err)
			return ATL_OK;
		if (warm && err != ATL_ERR_UPSTREAM_TIMEOUT)
			continue;
		atl_warn("media", "atelier-classify failed: %s %s (%s %d)", atl_err_name(err), why.detail,
			 outcome < 0 ? "signal" : "exit", outcome < 0 ? -outcome : outcome);
		return atl_fail(info, ATL_ERR_UNAVAILABLE, "The picture could not be checked. Try again later.");
	}
}
