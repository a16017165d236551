/* decode_out.c - from pixels to results: the kept picture, thumbnails, raw rows, hashes. See decode.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ipc/channel.h"
#include "media/blurhash.h"
#include "media/encode.h"
#include "media/label.h"
#include "media/phash.h"
#include "media/stealth.h"
#include "worker/decode.h"

#define THUMB_QUALITY 88
#define HASH_SIDE 32
#define STEALTH_PIXELS_MAX ((size_t)16 << 20) /* generators make no larger ones; a copy with alpha may be needed */

static bool send_item(const struct atl_decode_item *item, const void *data, size_t length)
{
	unsigned char head[ATL_DECODE_ITEM_SIZE];
	atl_decode_item_encode(item, head);
	struct atl_frame frame = {.type = ATL_FRAME_PICTURE, .id = 1};
	return atl_channel_send(DECODE_SERVER_FD, atl_monotonic_ms() + DECODE_TALK_MS, &frame, head, sizeof head, data,
				length, NULL) == ATL_OK;
}

/* At most `width` x `height`, in memory; never enlarged. A new reference. */
static VipsImage *fit(VipsImage *source, int width, int height)
{
	if (vips_image_get_width(source) <= width && vips_image_get_height(source) <= height) {
		g_object_ref(source);
		return source;
	}
	VipsImage *scaled = NULL, *memory = NULL;
	if (vips_thumbnail_image(source, &scaled, width, "height", height, "size", VIPS_SIZE_DOWN, NULL) == 0)
		memory = vips_image_copy_memory(scaled);
	g_clear_object(&scaled);
	return memory;
}

static bool send_webp(VipsImage *image, struct atl_decode_item item, unsigned quality)
{
	void *data = NULL;
	size_t length = 0;
	item.form = ATL_DECODE_WEBP;
	if (vips_webpsave_buffer(image, &data, &length, "Q", (int)quality, "effort", 3, "strip", TRUE, NULL) != 0)
		return false;
	bool sent = send_item(&item, data, length);
	g_free(data);
	return sent;
}

static bool send_png(VipsImage *image, struct atl_decode_item item, bool alpha)
{
	struct atl_buf out;
	VipsImage *opaque = NULL, *memory = NULL;
	item.form = ATL_DECODE_PNG;
	if (!alpha && vips_image_get_bands(image) == 4) {
		if (vips_extract_band(image, &opaque, 0, "n", 3, NULL) == 0)
			memory = vips_image_copy_memory(opaque);
		g_clear_object(&opaque);
	} else {
		g_object_ref(image);
		memory = image;
	}
	atl_buf_init(&out, ATL_FRAME_PAYLOAD_MAX - ATL_DECODE_ITEM_SIZE);
	bool sent = memory && atl_png_encode(VIPS_IMAGE_ADDR(memory, 0, 0), item.width, item.height,
					     (unsigned)vips_image_get_bands(memory), &out, NULL) == ATL_OK &&
		    send_item(&item, out.data, out.length);
	atl_buf_finish(&out);
	g_clear_object(&memory);
	return sent;
}

/* A copy with the label; takes the reference. NULL on failure. */
static VipsImage *with_label(VipsImage *image)
{
	size_t length = 0;
	unsigned width = (unsigned)vips_image_get_width(image), height = (unsigned)vips_image_get_height(image);
	unsigned bands = (unsigned)vips_image_get_bands(image);
	void *pixels = vips_image_write_to_memory(image, &length);
	VipsImage *labelled = NULL;
	if (pixels) {
		atl_label_draw(pixels, width, height, bands);
		labelled = vips_image_new_from_memory_copy(pixels, length, (int)width, (int)height, (int)bands, VIPS_FORMAT_UCHAR);
		g_free(pixels);
	}
	if (labelled)
		labelled->Type = VIPS_INTERPRETATION_sRGB;
	g_object_unref(image);
	return labelled;
}

static bool send_kept(const struct atl_decode_ask *ask, const struct decode_source *source)
{
	VipsImage *image = fit(source->image, (int)ask->max_side, (int)ask->max_side);
	if (image && ask->flags & ATL_DECODE_LABEL)
		image = with_label(image);
	if (!image)
		return false;
	struct atl_decode_item item = {.what = ATL_DECODE_KEPT,
				       .width = (uint32_t)vips_image_get_width(image),
				       .height = (uint32_t)vips_image_get_height(image)};
	bool png = ask->keep == ATL_DECODE_PNG || (ask->keep == ATL_DECODE_AUTO && source->alpha);
	bool sent = png ? send_png(image, item, source->alpha) : send_webp(image, item, ask->quality);
	g_object_unref(image);
	return sent;
}

static bool send_thumb(VipsImage *image, unsigned asked_width)
{
	struct atl_decode_item item = {.what = ATL_DECODE_THUMB,
				       .asked_width = asked_width,
				       .width = (uint32_t)vips_image_get_width(image),
				       .height = (uint32_t)vips_image_get_height(image)};
	return send_webp(image, item, THUMB_QUALITY);
}

/* One plane that says where the picture is transparent; its brightness where it cannot be. */
static int mask_plane(VipsImage *image, VipsImage **out)
{
	VipsImage *alpha = NULL;
	if (vips_image_get_bands(image) != 4)
		return vips_colourspace(image, out, VIPS_INTERPRETATION_B_W, NULL);
	if (vips_extract_band(image, &alpha, 3, NULL) != 0)
		return -1;
	int rc = vips_invert(alpha, out, NULL);
	g_object_unref(alpha);
	return rc;
}

static int colour_planes(VipsImage *image, unsigned channels, VipsImage **out)
{
	VipsImage *flat = NULL;
	VipsArrayDouble *white = vips_array_double_newv(1, 255.0);
	int rc = vips_image_get_bands(image) == 4 ? vips_flatten(image, &flat, "background", white, NULL)
						   : vips_copy(image, &flat, NULL);
	vips_area_unref(VIPS_AREA(white));
	if (rc == 0 && channels == 1) {
		rc = vips_colourspace(flat, out, VIPS_INTERPRETATION_B_W, NULL);
		g_object_unref(flat);
	} else if (rc == 0) {
		*out = flat;
	}
	return rc;
}

/* Exactly width x height: first scaled (each axis by its own factor, or both by the larger), then the middle cut out of
 * what reaches over. */
static int scale_exactly(VipsImage *image, int width, int height, bool cover, VipsImage **out)
{
	VipsImage *scaled = NULL, *whole = NULL;
	double across = (double)width / vips_image_get_width(image), down = (double)height / vips_image_get_height(image);
	if (cover)
		across = down = across > down ? across : down;
	if (vips_resize(image, &scaled, across, "vscale", down, NULL) != 0)
		return -1;
	int left = (vips_image_get_width(scaled) - width) / 2, top = (vips_image_get_height(scaled) - height) / 2;
	/* rounding may leave it a pixel short: the edge is repeated */
	int rc = vips_embed(scaled, &whole, left < 0 ? 0 : -left, top < 0 ? 0 : -top, width, height, "extend",
			    VIPS_EXTEND_COPY, NULL);
	g_object_unref(scaled);
	if (rc == 0)
		rc = vips_cast_uchar(whole, out, NULL);
	g_clear_object(&whole);
	return rc;
}

/* 8-bit rows in memory, to be freed by g_free(); NULL on failure. */
static void *raw_rows(VipsImage *image, const struct atl_decode_ask *ask)
{
	VipsImage *planes = NULL, *scaled = NULL;
	void *rows = NULL;
	size_t length = 0;
	int rc = ask->flags & ATL_DECODE_FROM_ALPHA ? mask_plane(image, &planes)
						     : colour_planes(image, ask->raw_channels, &planes);
	if (rc == 0)
		rc = scale_exactly(planes, (int)ask->raw_width, (int)ask->raw_height,
				   (ask->flags & ATL_DECODE_COVER) != 0, &scaled);
	if (rc == 0)
		rows = vips_image_write_to_memory(scaled, &length);
	if (rows && length != (size_t)ask->raw_width * ask->raw_height * ask->raw_channels) {
		g_free(rows);
		rows = NULL;
	}
	g_clear_object(&scaled);
	g_clear_object(&planes);
	return rows;
}

static bool send_raw(VipsImage *image, const struct atl_decode_ask *ask)
{
	struct atl_decode_item item = {.what = ATL_DECODE_RAW,
				       .form = (uint16_t)ask->raw_channels,
				       .width = ask->raw_width,
				       .height = ask->raw_height};
	void *rows = raw_rows(image, ask);
	bool sent = rows && send_item(&item, rows, (size_t)ask->raw_width * ask->raw_height * ask->raw_channels);
	g_free(rows);
	return sent;
}

static bool fill_hashes(VipsImage *image, const struct atl_decode_ask *ask, struct atl_decode_end *end)
{
	struct atl_decode_ask small = {.raw_channels = 3, .raw_width = HASH_SIDE, .raw_height = HASH_SIDE};
	if (!(ask->flags & (ATL_DECODE_BLURHASH | ATL_DECODE_PHASH)))
		return true;
	unsigned char *rgb = raw_rows(image, &small);
	if (!rgb)
		return false;
	if (ask->flags & ATL_DECODE_BLURHASH)
		atl_blurhash(rgb, HASH_SIDE, HASH_SIDE, end->blurhash);
	if (ask->flags & ATL_DECODE_PHASH)
		end->phash = atl_phash(rgb);
	g_free(rgb);
	return true;
}

/* Text hidden in the pixels, where there is any. Only whole pictures have it: a scaled one has lost it. */
static bool send_stealth(const struct decode_source *source)
{
	VipsImage *rgba = NULL, *memory = NULL;
	struct atl_decode_item item = {.what = ATL_DECODE_TEXT, .width = source->width, .height = source->height};
	size_t width = (size_t)vips_image_get_width(source->image), height = (size_t)vips_image_get_height(source->image);
	struct atl_arena arena;
	size_t length = 0;
	bool ok = true;
	if (width * height > STEALTH_PIXELS_MAX || width > ATL_DECODE_SIDE_MAX || height > ATL_DECODE_SIDE_MAX)
		return true;
	if (vips_image_get_bands(source->image) == 4) {
		memory = source->image;
		g_object_ref(memory);
	} else if (vips_addalpha(source->image, &rgba, NULL) == 0) {
		memory = vips_image_copy_memory(rgba);
	}
	g_clear_object(&rgba);
	atl_arena_init(&arena, 4 * ATL_METADATA_TEXT_MAX);
	const char *text = memory ? atl_stealth_text(&arena, VIPS_IMAGE_ADDR(memory, 0, 0), width, height, &length) : NULL;
	if (text && length > 0)
		ok = send_item(&item, text, length);
	atl_arena_finish(&arena);
	g_clear_object(&memory);
	return ok;
}

bool decode_send_results(const struct atl_decode_ask *ask, const struct decode_source *source,
			 struct atl_decode_end *end)
{
	bool ok = !ask->keep || send_kept(ask, source);
	/* the hashes see the smallest picture there is: the same numbers from fewer pixels */
	VipsImage *small = source->image;
	g_object_ref(small);
	for (uint32_t i = 0; i < ask->width_count && ok; i++) {
		VipsImage *thumb = fit(source->image, ask->widths[i], VIPS_MAX_COORD);
		ok = thumb && send_thumb(thumb, ask->widths[i]);
		if (thumb && ask->widths[i] >= 2 * HASH_SIDE && vips_image_get_width(thumb) < vips_image_get_width(small)) {
			g_object_unref(small);
			small = thumb;
		} else {
			g_clear_object(&thumb);
		}
	}
	ok = ok && (!ask->raw_channels || send_raw(source->image, ask));
	ok = ok && (!(ask->flags & ATL_DECODE_STEALTH) || send_stealth(source));
	ok = ok && fill_hashes(small, ask, end);
	g_object_unref(small);
	return ok;
}
