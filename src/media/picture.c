/* picture.c - see picture.h. What is asked of a child, and what is believed of its answer; decoder.c has its life. */
#include "media/picture.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "ipc/channel.h"
#include "media/decoder.h"
#include "media/metadata.h"

_Static_assert((int)ATL_PICTURE_NONE == ATL_DECODE_NONE && (int)ATL_PICTURE_AS_WEBP == ATL_DECODE_WEBP &&
		       (int)ATL_PICTURE_AS_PNG == ATL_DECODE_PNG && (int)ATL_PICTURE_AS_AUTO == ATL_DECODE_AUTO,
	       "forms travel as numbers");

const char *atl_picture_form_type(enum atl_picture_form form)
{
	return form == ATL_PICTURE_AS_PNG ? "image/png" : "image/webp";
}

#define OWN_MIN ((size_t)256 << 10)
/* One request and everything its answer must fit. */
struct request {
	struct atl_arena *arena;
	struct atl_decode_ask ask;
	const void *data;
	size_t length;
	struct atl_picture picture;
	bool last; /* the child said that it leaves */
};

static size_t count_wanted(const struct atl_decode_ask *ask)
{
	return ask->width_count + (ask->keep ? 1 : 0);
}

static enum atl_err keep_raw(struct request *r, const struct atl_decode_item *item, const void *data, size_t length,
			     struct atl_errinfo *info)
{
	const struct atl_decode_ask *ask = &r->ask;
	if (!ask->raw_channels || r->picture.raw || item->form != ask->raw_channels || item->width != ask->raw_width ||
	    item->height != ask->raw_height || length != (size_t)item->width * item->height * item->form)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the decoder sent other rows than asked");
	void *copy = atl_arena_alloc(r->arena, length);
	if (!copy)
		return atl_fail(info, ATL_ERR_NOMEM, "picture of %zu bytes", length);
	memcpy(copy, data, length);
	r->picture.raw = copy;
	return ATL_OK;
}

static enum atl_err keep_text(struct request *r, const void *data, size_t length, struct atl_errinfo *info)
{
	if (!(r->ask.flags & ATL_DECODE_STEALTH) || r->picture.stealth || length == 0 || length > ATL_METADATA_TEXT_MAX)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the decoder sent text that was not asked");
	char *copy = atl_arena_alloc(r->arena, length + 1);
	if (!copy)
		return atl_fail(info, ATL_ERR_NOMEM, "text of %zu bytes", length);
	memcpy(copy, data, length);
	copy[length] = '\0';
	r->picture.stealth = copy;
	r->picture.stealth_length = length;
	return ATL_OK;
}

/* What came, after its head. A large picture stays where it was received: it is never twice in memory. */
static void *keep_payload(struct request *r, struct atl_buf *payload)
{
	size_t length = payload->length - ATL_DECODE_ITEM_SIZE;
	char *data;
	if (length >= OWN_MIN) {
		data = atl_arena_own(r->arena, atl_buf_take(payload), length);
		return data ? data + ATL_DECODE_ITEM_SIZE : NULL;
	}
	data = atl_arena_alloc(r->arena, length ? length : 1);
	if (data)
		memcpy(data, payload->data + ATL_DECODE_ITEM_SIZE, length);
	return data;
}

static enum atl_err keep_out(struct request *r, struct atl_buf *payload, struct atl_errinfo *info)
{
	struct atl_decode_item item;
	enum atl_err err =
		atl_decode_item_decode((const unsigned char *)payload->data, payload->length, &item, info);
	if (err)
		return err;
	const char *from = payload->data + ATL_DECODE_ITEM_SIZE;
	size_t length = payload->length - ATL_DECODE_ITEM_SIZE, at = r->picture.out_count;
	if (item.what == ATL_DECODE_RAW)
		return keep_raw(r, &item, from, length, info);
	if (item.what == ATL_DECODE_TEXT)
		return keep_text(r, from, length, info);
	/* in the order asked: the kept picture, then the thumbnails */
	bool kept = r->ask.keep && at == 0;
	if (at == count_wanted(&r->ask) || (item.what == ATL_DECODE_KEPT) != kept ||
	    (item.form != ATL_DECODE_WEBP && item.form != ATL_DECODE_PNG) ||
	    item.asked_width != (kept ? 0 : r->ask.widths[at - (r->ask.keep ? 1 : 0)]))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the decoder sent other pictures than asked");
	void *data = keep_payload(r, payload);
	if (!data)
		return atl_fail(info, ATL_ERR_NOMEM, "picture of %zu bytes", length);
	r->picture.outs[r->picture.out_count++] = (struct atl_picture_out){.asked_width = item.asked_width,
									    .width = item.width,
									    .height = item.height,
									    .form = (enum atl_picture_form)item.form,
									    .data = data,
									    .length = length};
	return ATL_OK;
}

static enum atl_err take_end(struct request *r, const struct atl_buf *payload, struct atl_errinfo *info)
{
	struct atl_decode_end end;
	enum atl_err err =
		atl_decode_end_decode((const unsigned char *)payload->data, payload->length, &end, info);
	if (err)
		return err;
	if (r->picture.out_count != count_wanted(&r->ask) || !r->picture.raw != !r->ask.raw_channels)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the decoder ended before the picture was complete");
	r->picture.width = end.width;
	r->picture.height = end.height;
	r->picture.alpha = end.alpha;
	r->picture.duration_ms = end.duration_ms;
	r->picture.frames = end.frames;
	r->picture.phash = end.phash;
	_Static_assert(sizeof r->picture.blurhash == sizeof end.blurhash, "the same text");
	memcpy(r->picture.blurhash, end.blurhash, sizeof end.blurhash);
	r->last = end.last;
	return ATL_OK;
}

/* The child's sentence; `item` 1 says that it leaves. */
static enum atl_err take_error(struct request *r, const struct atl_frame *frame, const struct atl_buf *payload,
			       struct atl_errinfo *info)
{
	size_t length = atl_utf8_valid(payload->data, payload->length) ? payload->length : 0;
	r->last = frame->item != 0 || length == 0;
	return atl_fail(info, ATL_ERR_PICTURE, "%.*s", (int)(length > 300 ? 300 : length), payload->data);
}

static enum atl_err talk(const struct atl_decoder *decoder, struct request *r, struct atl_errinfo *info)
{
	uint64_t deadline_ms = atl_monotonic_ms() + atl_decoder_timeout_ms(decoder);
	int fd = atl_decoder_fd(decoder);
	unsigned char head[ATL_DECODE_ASK_SIZE];
	atl_decode_ask_encode(&r->ask, head);
	struct atl_frame frame = {.type = ATL_FRAME_DECODE, .id = 1};
	enum atl_err err = atl_channel_send(fd, deadline_ms, &frame, head, sizeof head, r->data, r->length, info);
	struct atl_buf payload;
	atl_buf_init(&payload, ATL_FRAME_PAYLOAD_MAX + 1);
	bool done = false;
	while (!err && !done) {
		err = atl_channel_receive(fd, deadline_ms, &frame, &payload, info);
		if (err)
			break;
		done = frame.type == ATL_FRAME_END;
		if (frame.type == ATL_FRAME_END)
			err = take_end(r, &payload, info);
		else if (frame.type == ATL_FRAME_ERROR)
			err = take_error(r, &frame, &payload, info);
		else if (frame.type == ATL_FRAME_PICTURE)
			err = keep_out(r, &payload, info);
		else
			err = atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the decoder sent a frame of type %u", frame.type);
	}
	atl_buf_finish(&payload);
	return err;
}

/* The child's own failure (crash, limit, hang) is a failure of this picture, said in words. */
static enum atl_err blame_picture(enum atl_err err, int outcome, unsigned timeout_ms, struct atl_errinfo *info)
{
	if (err == ATL_OK || err == ATL_ERR_PICTURE || err == ATL_ERR_NOMEM)
		return err;
	atl_warn("media", "atelier-decode failed: %s (%s %d)", atl_err_name(err), outcome < 0 ? "signal" : "exit",
		 outcome < 0 ? -outcome : outcome);
	if (err == ATL_ERR_UPSTREAM_TIMEOUT)
		return atl_fail(info, ATL_ERR_PICTURE, "Reading the picture took longer than %u s. Try a smaller one.",
				timeout_ms / 1000);
	return atl_fail(info, ATL_ERR_PICTURE,
			"The picture is damaged or needs more memory than a picture may use. Try saving it again.");
}

/* Once, or twice: a warm child that fails may have been spoilt by an earlier picture, or have left just now. */
static enum atl_err run(struct atl_pictures *pictures, const char *owner, struct request *r, struct atl_errinfo *info)
{
	for (bool fresh = false;; fresh = true) {
		struct atl_decoder *decoder;
		enum atl_err err = atl_decoder_take(pictures, owner, fresh, &decoder, info);
		if (err)
			return err;
		bool warm = atl_decoder_was_warm(decoder);
		unsigned timeout_ms = atl_decoder_timeout_ms(decoder);
		err = talk(decoder, r, info);
		bool broken = err && err != ATL_ERR_PICTURE;
		int outcome = atl_decoder_give(decoder, !broken && !r->last);
		if (!broken || !warm || err == ATL_ERR_NOMEM || err == ATL_ERR_UPSTREAM_TIMEOUT)
			return blame_picture(err, outcome, timeout_ms, info);
		r->picture.out_count = 0;
		r->picture.raw = NULL;
		r->picture.stealth = NULL;
	}
}

static enum atl_err check_ask(const struct atl_picture_options *ask, struct atl_errinfo *info)
{
	const struct atl_picture_raw_ask *raw = &ask->raw;
	bool ok = ask->width_count <= ATL_DECODE_WIDTHS_MAX && ask->quality <= 100 &&
		  ask->keep <= ATL_PICTURE_AS_AUTO && ask->at_percent <= 100 && ask->keep_side <= ATL_PICTURE_LIBRARY_SIDE;
	for (size_t i = 0; i < ask->width_count && ok; i++)
		ok = ask->widths[i] > 0 && ask->widths[i] <= ATL_PICTURE_LIBRARY_SIDE;
	if (raw->channels)
		ok = ok && (raw->channels == 1 || raw->channels == 3) && raw->width > 0 && raw->height > 0 &&
		     raw->width <= ATL_DECODE_SIDE_MAX && raw->height <= ATL_DECODE_SIDE_MAX &&
		     (size_t)raw->width * raw->height * raw->channels <= ATL_PICTURE_RAW_BYTES_MAX &&
		     (!raw->mask_from_alpha || raw->channels == 1);
	return ok ? ATL_OK : atl_fail(info, ATL_ERR_INVALID, "these sizes of a picture cannot be asked for");
}

static struct atl_decode_ask ask_of(const struct atl_picture_options *ask, enum atl_picture_kind kind)
{
	struct atl_decode_ask out = {.max_pixels = ATL_PICTURE_PIXELS_MAX,
				     .max_side = ask->keep_side ? ask->keep_side : ATL_PICTURE_LIBRARY_SIDE,
				     .kind = kind,
				     .flags = (ask->blurhash ? ATL_DECODE_BLURHASH : 0u) |
					      (ask->phash ? ATL_DECODE_PHASH : 0u) |
					      (ask->label ? ATL_DECODE_LABEL : 0u) |
					      (ask->stealth ? ATL_DECODE_STEALTH : 0u) |
					      (ask->raw.cover ? ATL_DECODE_COVER : 0u) |
					      (ask->raw.mask_from_alpha ? ATL_DECODE_FROM_ALPHA : 0u),
				     .keep = ask->keep,
				     .quality = ask->quality ? ask->quality : ATL_PICTURE_QUALITY,
				     .raw_channels = ask->raw.channels,
				     .raw_width = ask->raw.width,
				     .raw_height = ask->raw.height,
				     .width_count = (uint32_t)ask->width_count,
				     .at_percent = ask->at_percent};
	for (size_t i = 0; i < ask->width_count; i++)
		out.widths[i] = (uint16_t)ask->widths[i];
	return out;
}

enum atl_err atl_picture_open(struct atl_pictures *pictures, struct atl_arena *arena, const void *data, size_t length,
			      const struct atl_picture_options *ask, struct atl_picture *ret, struct atl_errinfo *info)
{
	enum atl_err err = check_ask(ask, info);
	if (err)
		return err;
	if (length > ATL_PICTURE_LIBRARY_BYTES_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "A file may have at most %zu MiB.",
				ATL_PICTURE_LIBRARY_BYTES_MAX >> 20);
	enum atl_picture_kind kind = atl_picture_sniff(data, length);
	if (kind == ATL_PICTURE_UNKNOWN)
		return atl_fail(info, ATL_ERR_PICTURE,
				"This is not a JPEG, PNG, WebP or GIF picture, nor an MP4 or WebM video.");
	struct request r = {.arena = arena, .ask = ask_of(ask, kind), .data = data, .length = length};
	r.picture.kind = kind;
	r.picture.outs = ATL_ARENA_ARRAY(arena, struct atl_picture_out, count_wanted(&r.ask) + 1);
	if (!r.picture.outs)
		return atl_fail(info, ATL_ERR_NOMEM, "picture");
	err = run(pictures, ask->owner, &r, info);
	if (!err)
		*ret = r.picture;
	return err;
}

enum atl_err atl_picture_decode(struct atl_pictures *pictures, struct atl_arena *arena, const void *data, size_t length,
				const unsigned *widths, size_t width_count, struct atl_picture *ret,
				struct atl_errinfo *info)
{
	if (length > ATL_PICTURE_BYTES_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "A picture may have at most %zu MiB.",
				ATL_PICTURE_BYTES_MAX >> 20);
	enum atl_picture_kind kind = atl_picture_sniff(data, length);
	if (kind == ATL_PICTURE_UNKNOWN || atl_picture_is_video(kind))
		return atl_fail(info, ATL_ERR_PICTURE, "This is not a JPEG, PNG, WebP or GIF picture.");
	struct atl_picture_options ask = {.keep = ATL_PICTURE_AS_WEBP,
				      .keep_side = ATL_PICTURE_KEEP_SIDE,
				      .quality = 88,
				      .widths = widths,
				      .width_count = width_count,
				      .phash = true};
	return atl_picture_open(pictures, arena, data, length, &ask, ret, info);
}
