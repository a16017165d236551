/* decode_still.c - JPEG, PNG, WebP and GIF by libvips. See decode.h.
 *
 * Adding one: a row of LOADERS; its kind is sniffed in media/sniff.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "worker/decode.h"

struct loader {
	enum atl_picture_kind kind;
	const char *operation;
	const char *name;
};

static const struct loader LOADERS[] = {
	{ATL_PICTURE_JPEG, "jpegload_buffer", "JPEG"},
	{ATL_PICTURE_PNG, "pngload_buffer", "PNG"},
	{ATL_PICTURE_WEBP, "webpload_buffer", "WebP"},
	{ATL_PICTURE_GIF, "gifload_buffer", "GIF"},
};

bool decode_still_ready(void)
{
	/* also: a loader touches its library's lazily made tables before the sandbox closes */
	for (size_t i = 0; i < ATL_COUNT(LOADERS); i++)
		if (!vips_type_find("VipsOperation", LOADERS[i].operation)) {
			fprintf(stderr, "atelier-decode: libvips lacks %s\n", LOADERS[i].operation);
			return false;
		}
	return true;
}

static const struct loader *find_loader(uint32_t kind)
{
	for (size_t i = 0; i < ATL_COUNT(LOADERS); i++)
		if ((uint32_t)LOADERS[i].kind == kind)
			return &LOADERS[i];
	return NULL;
}

/* Opens the header only; pixels are decoded when they are asked for, `shrink` times smaller where the format can. */
static VipsImage *open_picture(const struct loader *loader, void *data, size_t length, int shrink)
{
	VipsImage *image = NULL;
	VipsOperation *op = vips_operation_new(loader->operation);
	if (!op)
		return NULL;
	VipsBlob *blob = vips_blob_new(NULL, data, length);
	g_object_set(op, "buffer", blob, "fail-on", VIPS_FAIL_ON_TRUNCATED, "access", VIPS_ACCESS_SEQUENTIAL, NULL);
	if (shrink > 1 && loader->kind == ATL_PICTURE_JPEG)
		g_object_set(op, "shrink", shrink, NULL);
	else if (shrink > 1 && loader->kind == ATL_PICTURE_WEBP)
		g_object_set(op, "scale", 1.0 / shrink, NULL);
	if (vips_cache_operation_buildp(&op) == 0)
		g_object_get(op, "out", &image, NULL);
	vips_object_unref_outputs(VIPS_OBJECT(op));
	g_object_unref(op);
	vips_area_unref(VIPS_AREA(blob));
	return image;
}

bool decode_size_allowed(const struct atl_decode_ask *ask, uint64_t width, uint64_t height, char why[DECODE_WHY_SIZE])
{
	if (width * height <= ask->max_pixels)
		return true;
	snprintf(why, DECODE_WHY_SIZE,
		 "The picture has %llu x %llu pixels; at most %u million are read. Make it smaller first.",
		 (unsigned long long)width, (unsigned long long)height, ask->max_pixels / 1000000);
	return false;
}

/* Everything the file said beside its pixels: where it was taken, with what, by whom. webpsave's own "strip" keeps
 * Exif fields that were read. What cannot be removed (width, height...) stays. */
static void remove_metadata(VipsImage *image)
{
	char **names = vips_image_get_fields(image);
	for (size_t i = 0; names && names[i]; i++)
		vips_image_remove(image, names[i]);
	g_strfreev(names);
}

/* The file's own colours to sRGB. A profile that cannot be used is as good as none. */
static int to_srgb(VipsImage *in, VipsImage **out)
{
	if (vips_image_get_typeof(in, VIPS_META_ICC_NAME) &&
	    vips_icc_transform(in, out, "srgb", "embedded", TRUE, "intent", VIPS_INTENT_PERCEPTUAL, "depth", 8, NULL) == 0)
		return 0;
	vips_error_clear();
	return vips_colourspace(in, out, VIPS_INTERPRETATION_sRGB, NULL);
}

static bool is_plain(VipsImage *image)
{
	int bands = vips_image_get_bands(image);
	return vips_image_get_interpretation(image) == VIPS_INTERPRETATION_sRGB &&
	       vips_image_get_format(image) == VIPS_FORMAT_UCHAR && (bands == 3 || bands == 4) &&
	       !vips_image_get_typeof(image, VIPS_META_ICC_NAME) && vips_image_get_orientation(image) <= 1;
}

/* The file is read here, once and from top to bottom (reading it at random would let libvips keep large pictures in a
 * temporary file). Copies are made only where something has to change: memory is bounded. */
VipsImage *decode_normalise(VipsImage *image)
{
	VipsImage *read = vips_image_copy_memory(image), *upright = NULL, *colour = NULL, *bytes = NULL, *memory = NULL;
	g_object_unref(image);
	if (read && is_plain(read)) {
		memory = read;
	} else if (read) {
		if (vips_autorot(read, &upright, NULL) == 0 && to_srgb(upright, &colour) == 0 &&
		    vips_cast_uchar(colour, &bytes, NULL) == 0)
			memory = vips_image_copy_memory(bytes);
		g_clear_object(&bytes);
		g_clear_object(&colour);
		g_clear_object(&upright);
		g_object_unref(read);
	}
	if (memory)
		remove_metadata(memory);
	if (memory && !is_plain(memory))
		g_clear_object(&memory);
	return memory;
}

/* How much smaller the file may be decoded where nothing but thumbnails is asked: as long as the largest of them still
 * comes out of it. The formats' own reduction is about as good as a mean of the pixels. Widths are measured upright. */
static int shrink_for(const struct atl_decode_ask *ask, uint32_t width)
{
	uint32_t widest = 64; /* what the hashes need */
	if (ask->keep || ask->raw_channels || ask->flags & ATL_DECODE_STEALTH)
		return 1;
	for (size_t i = 0; i < ask->width_count; i++)
		widest = ask->widths[i] > widest ? ask->widths[i] : widest;
	int shrink = 1;
	while (shrink < 8 && width / (uint32_t)(shrink * 2) >= widest)
		shrink *= 2;
	return shrink;
}

/* An animation's length, from what the header says about each frame. */
static void read_frames(VipsImage *image, struct decode_source *source)
{
	int *delays = NULL, n = 0;
	int pages = vips_image_get_n_pages(image);
	source->frames = pages > 0 ? (uint32_t)pages : 1;
	if (pages < 2 || !vips_image_get_typeof(image, "delay") ||
	    vips_image_get_array_int(image, "delay", &delays, &n) != 0)
		return;
	uint64_t total = 0;
	for (int i = 0; i < n; i++)
		total += delays[i] > 0 ? (uint64_t)delays[i] : 0;
	source->duration_ms = total > UINT32_MAX ? UINT32_MAX : (uint32_t)total;
}

bool decode_still(const struct atl_decode_ask *ask, void *data, size_t length, struct decode_source *ret,
		  char why[DECODE_WHY_SIZE])
{
	const struct loader *loader = find_loader(ask->kind);
	if (!loader) {
		snprintf(why, DECODE_WHY_SIZE, "This is not a JPEG, PNG, WebP or GIF picture.");
		return false;
	}
	struct decode_source source = {0};
	VipsImage *image = open_picture(loader, data, length, 1);
	if (!image) {
		snprintf(why, DECODE_WHY_SIZE, "The %s picture is damaged: its header cannot be read.", loader->name);
		return false;
	}
	source.width = (uint32_t)vips_image_get_width(image);
	source.height = (uint32_t)vips_image_get_height(image);
	if (!decode_size_allowed(ask, source.width, source.height, why)) {
		g_object_unref(image);
		return false;
	}
	read_frames(image, &source);
	bool turned = vips_image_get_orientation_swap(image);
	if (turned) {
		uint32_t width = source.width;
		source.width = source.height;
		source.height = width;
	}
	int shrink = shrink_for(ask, source.width);
	if (shrink > 1 && (loader->kind == ATL_PICTURE_JPEG || loader->kind == ATL_PICTURE_WEBP)) {
		g_object_unref(image);
		image = open_picture(loader, data, length, shrink);
	}
	source.image = image ? decode_normalise(image) : NULL;
	if (!source.image) {
		snprintf(why, DECODE_WHY_SIZE, "The %s picture is damaged or cut short.", loader->name);
		return false;
	}
	*ret = source;
	return true;
}
