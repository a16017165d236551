/* picture_inputs.c - see picture_inputs.h. */
#include "core/pictures/picture_inputs.h"

#include <string.h>

#include "base/str.h"
#include "core/safety/blocked_picture.h"
#include "core/safety/picture_check.h"
#include "media/encode.h"
#include "media/picture.h"

#define INPUT_SIDE_MAX 4096 /* of what is sent to a service */

struct inputs {
	struct atl_app *app;
	struct atl_arena *arena;
	const char *user_id;
	bool local;
	int64_t width, height; /* of the picture to be made */
	struct atl_errinfo *info;
};

static enum atl_err read_asset(struct inputs *in, const char *id, struct atl_asset *asset, const void **data, size_t *length)
{
	enum atl_err err = atl_asset_get(in->app, in->arena, in->user_id, id, asset, in->info);

	if (err == ATL_ERR_NOT_FOUND)
		return atl_fail(in->info, ATL_ERR_GONE, "The input picture %s has been deleted meanwhile.", id);
	if (!err) /* it may have been blocked since the job was sent */
		err = atl_blocked_check_asset(in->app, in->user_id, id, in->info);
	if (!err)
		err = atl_picture_check_input(in->app, in->arena, in->user_id, id, in->info);
	return err ? err : atl_asset_read(in->app, in->arena, asset, data, length, in->info);
}

static enum atl_err load_raw(struct inputs *in, const void *data, size_t length, unsigned channels, bool from_alpha,
			     int64_t width, int64_t height, struct atl_image_file *ret)
{
	struct atl_picture_options ask = { .owner = in->user_id, .raw = { .channels = channels, .width = (unsigned)width,
		.height = (unsigned)height, .mask_from_alpha = from_alpha } };
	struct atl_picture picture;
	enum atl_err err = atl_picture_open(in->app->pictures, in->arena, data, length, &ask, &picture, in->info);

	if (!err)
		*ret = (struct atl_image_file){ .data = picture.raw, .length = (size_t)width * (size_t)height * channels,
			.media_type = channels == 1 ? "image/x-gray" : "image/x-rgb", .width = width, .height = height };
	return err;
}

/* Services get PNG or WebP as it is stored; what is larger than they take is scaled down. */
static enum atl_err load_file(struct inputs *in, const struct atl_asset *asset, const void *data, size_t length,
			      struct atl_image_file *ret)
{
	struct atl_picture_options ask = { .owner = in->user_id, .keep = ATL_PICTURE_AS_PNG, .keep_side = INPUT_SIDE_MAX };
	struct atl_picture picture;
	enum atl_err err;

	if (atl_str_eq(asset->media_type, "image/png") && asset->width <= INPUT_SIDE_MAX && asset->height <= INPUT_SIDE_MAX) {
		*ret = (struct atl_image_file){ data, length, "image/png", asset->width, asset->height };
		return ATL_OK;
	}
	err = atl_picture_open(in->app->pictures, in->arena, data, length, &ask, &picture, in->info);
	if (!err)
		*ret = (struct atl_image_file){ picture.outs[0].data, picture.outs[0].length, "image/png", picture.outs[0].width,
						picture.outs[0].height };
	return err;
}

static enum atl_err load(struct inputs *in, const char *id, struct atl_image_file *ret)
{
	struct atl_asset asset;
	const void *data;
	size_t length;
	enum atl_err err = read_asset(in, id, &asset, &data, &length);

	if (err)
		return err;
	return in->local ? load_raw(in, data, length, 3, false, in->width, in->height, ret)
			 : load_file(in, &asset, data, length, ret);
}

static enum atl_err png_of(struct inputs *in, const void *pixels, int64_t width, int64_t height, unsigned channels,
			   struct atl_image_file *ret)
{
	struct atl_buf png;
	enum atl_err err;
	char *copy = NULL;

	atl_buf_init(&png, ATL_IMAGE_RESULT_MAX);
	err = atl_png_encode(pixels, (size_t)width, (size_t)height, channels, &png, in->info);
	if (!err) {
		copy = atl_arena_alloc(in->arena, png.length);
		err = copy ? ATL_OK : atl_fail(in->info, ATL_ERR_NOMEM, "mask");
	}
	if (!err) {
		memcpy(copy, png.data, png.length);
		*ret = (struct atl_image_file){ copy, png.length, "image/png", width, height };
	}
	atl_buf_finish(&png);
	return err;
}

static enum atl_err load_mask(struct inputs *in, const char *id, struct atl_image_request *image)
{
	struct atl_asset asset;
	struct atl_image_file raw;
	const unsigned char *grey;
	unsigned char *rgba;
	const void *data;
	size_t length;
	int64_t width = in->local ? in->width : image->init.width, height = in->local ? in->height : image->init.height;
	enum atl_err err = read_asset(in, id, &asset, &data, &length);

	if (!err)
		err = load_raw(in, data, length, 1, true, width, height, &raw);
	if (err || in->local) {
		if (!err)
			image->mask = raw;
		return err;
	}
	grey = raw.data;
	rgba = atl_arena_alloc(in->arena, (size_t)width * (size_t)height * 4);
	if (!rgba)
		return atl_fail(in->info, ATL_ERR_NOMEM, "mask");
	for (size_t i = 0; i < (size_t)(width * height); i++)
		rgba[i * 4 + 3] = grey[i] >= 128 ? 0 : 255;
	err = png_of(in, grey, width, height, 1, &image->mask);
	return err ? err : png_of(in, rgba, width, height, 4, &image->mask_alpha);
}

enum atl_err atl_picture_inputs_load(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				     const char *provider_kind, const struct atl_picture_ask *ask,
				     struct atl_image_request *image, struct atl_errinfo *info)
{
	struct inputs in = { .app = app, .arena = arena, .user_id = user_id, .local = atl_str_eq(provider_kind, "local"),
			     .width = image->width, .height = image->height, .info = info };
	struct atl_image_file *references = ATL_ARENA_ARRAY(arena, struct atl_image_file, ask->reference_assets.count + 1);
	enum atl_err err = references ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "inputs");

	if (!err && ask->init_asset)
		err = load(&in, ask->init_asset, &image->init);
	if (!err && ask->mask_asset && ask->init_asset)
		err = load_mask(&in, ask->mask_asset, image);
	if (!err && ask->control_asset)
		err = load(&in, ask->control_asset, &image->control);
	for (size_t i = 0; i < ask->reference_assets.count && !err; i++)
		err = load(&in, ask->reference_assets.items[i], &references[i]);
	if (err)
		return err;
	image->references = references;
	image->reference_count = ask->reference_assets.count;
	return ATL_OK;
}
