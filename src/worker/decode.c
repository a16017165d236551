/* decode.c - the program atelier-decode: reads one untrusted picture and writes it anew, in a sandbox.
 *
 * Descriptor 3 is a socket to the server. One ATL_FRAME_DECODE comes in; ATL_FRAME_PICTURE for each result, then
 * ATL_FRAME_END go out, or one ATL_FRAME_ERROR with a sentence for the person.
 *
 * Limits:     memory and CPU by setrlimit, system calls by seccomp (sandbox.c) before the first byte is looked at.
 * Adding one: a loader is a row of LOADERS; its kind is sniffed in media/sniff.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>
#include <vips/vector.h> /* needs the types of the one above */

#include "base/clock.h"
#include "base/str.h"
#include "ipc/channel.h"
#include "media/sniff.h"
#include "worker/sandbox.h"

#define SERVER_FD 3
#define TALK_MS 30000
#define INPUT_MAX ((size_t)24 << 20)
#define WEBP_QUALITY 88

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

static int send_error(const char *fmt, ...) ATL_PRINTF(1, 2);

static int send_error(const char *fmt, ...)
{
	char text[300];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	struct atl_frame frame = {.type = ATL_FRAME_ERROR, .id = 1};
	enum atl_err err =
		atl_channel_send(SERVER_FD, atl_monotonic_ms() + TALK_MS, &frame, text, strlen(text), NULL, 0, NULL);
	return err ? 3 : 2;
}

static const struct loader *find_loader(uint32_t kind)
{
	for (size_t i = 0; i < ATL_COUNT(LOADERS); i++)
		if ((uint32_t)LOADERS[i].kind == kind)
			return &LOADERS[i];
	return NULL;
}

/* Opens the header only; pixels are decoded when they are asked for. NULL: vips_error_buffer() says why. */
static VipsImage *open_picture(const struct loader *loader, void *data, size_t length, VipsFailOn fail_on)
{
	VipsBlob *blob = vips_blob_new(NULL, data, length);
	VipsImage *image = NULL;
	VipsOperation *op = vips_operation_new(loader->operation);
	if (!op) {
		vips_area_unref(VIPS_AREA(blob));
		return NULL;
	}
	g_object_set(op, "buffer", blob, "fail-on", fail_on, "access", VIPS_ACCESS_SEQUENTIAL, NULL);
	if (vips_cache_operation_buildp(&op) == 0)
		g_object_get(op, "out", &image, NULL);
	vips_object_unref_outputs(VIPS_OBJECT(op));
	g_object_unref(op);
	vips_area_unref(VIPS_AREA(blob));
	return image;
}

/* One result: `source` scaled so that its width (or for the kept picture its longer side) is at most `limit`. */
static int send_scaled(VipsImage *source, unsigned asked_width, unsigned limit, bool by_longer_side)
{
	int width = vips_image_get_width(source), height = vips_image_get_height(source);
	int side = by_longer_side && height > width ? height : width;
	VipsImage *scaled = NULL;
	int rc;
	if (side > (int)limit)
		rc = vips_thumbnail_image(source, &scaled, by_longer_side ? (int)limit : (int)asked_width, "height",
					  by_longer_side ? (int)limit : VIPS_MAX_COORD, "size", VIPS_SIZE_DOWN, NULL);
	else
		rc = vips_copy(source, &scaled, NULL);
	if (rc != 0)
		return rc;
	void *out = NULL;
	size_t length = 0;
	rc = vips_webpsave_buffer(scaled, &out, &length, "Q", WEBP_QUALITY, "effort", 3, "strip", TRUE, NULL);
	if (rc == 0) {
		struct atl_decode_item item = {.asked_width = asked_width,
					       .width = (uint32_t)vips_image_get_width(scaled),
					       .height = (uint32_t)vips_image_get_height(scaled)};
		unsigned char head[ATL_DECODE_ITEM_SIZE];
		atl_decode_item_encode(&item, head);
		struct atl_frame frame = {.type = ATL_FRAME_PICTURE, .id = 1};
		if (atl_channel_send(SERVER_FD, atl_monotonic_ms() + TALK_MS, &frame, head, sizeof head, out, length,
				     NULL) != ATL_OK)
			rc = -1;
		g_free(out);
	}
	g_object_unref(scaled);
	return rc;
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

/* Upright, sRGB, in memory: the file is read here, once and from top to bottom (reading it at random would let libvips
 * keep large pictures in a temporary file), and all results are made from these pixels. */
static VipsImage *read_pixels(VipsImage *image)
{
	VipsImage *read = vips_image_copy_memory(image), *upright = NULL, *colour = NULL, *memory = NULL;
	if (read && vips_autorot(read, &upright, NULL) == 0 &&
	    vips_colourspace(upright, &colour, VIPS_INTERPRETATION_sRGB, NULL) == 0)
		memory = vips_image_copy_memory(colour);
	g_clear_object(&colour);
	g_clear_object(&upright);
	g_clear_object(&read);
	if (memory)
		remove_metadata(memory);
	return memory;
}

static int decode(const struct atl_decode_ask *ask, char *data, size_t length)
{
	const struct loader *loader = find_loader(ask->kind);
	if (!loader)
		return send_error("This is not a JPEG, PNG, WebP or GIF picture.");
	VipsImage *image = open_picture(loader, data, length, VIPS_FAIL_ON_TRUNCATED);
	if (!image)
		return send_error("The %s picture is damaged: its header cannot be read.", loader->name);
	uint64_t pixels = (uint64_t)vips_image_get_width(image) * (uint64_t)vips_image_get_height(image);
	if (pixels > ask->max_pixels) {
		int rc = send_error("The picture has %d x %d pixels; at most %u million are read. Make it smaller first.",
				    vips_image_get_width(image), vips_image_get_height(image),
				    ask->max_pixels / 1000000);
		g_object_unref(image);
		return rc;
	}
	VipsImage *memory = read_pixels(image);
	g_object_unref(image);
	if (!memory)
		return send_error("The %s picture is damaged or cut short.", loader->name);
	int rc = send_scaled(memory, 0, ask->max_side, true);
	for (unsigned i = 0; i < ask->width_count && rc == 0; i++)
		rc = send_scaled(memory, ask->widths[i], ask->widths[i], false);
	g_object_unref(memory);
	if (rc != 0)
		return send_error("The %s picture could not be converted.", loader->name);
	struct atl_frame frame = {.type = ATL_FRAME_END, .id = 1};
	return atl_channel_send(SERVER_FD, atl_monotonic_ms() + TALK_MS, &frame, NULL, 0, NULL, 0, NULL) ? 3 : 0;
}

int main(void)
{
	struct atl_errinfo info = {0};
	if (vips_init("atelier-decode") != 0) {
		fputs("atelier-decode: libvips cannot start\n", stderr);
		return 1;
	}
	vips_vector_set_enabled(FALSE); /* its code generator needs executable memory */
	vips_concurrency_set(1);
	vips_cache_set_max(0);
	/* A loader touches its library's lazily made tables before the sandbox closes. */
	for (size_t i = 0; i < ATL_COUNT(LOADERS); i++)
		if (!vips_type_find("VipsOperation", LOADERS[i].operation)) {
			fprintf(stderr, "atelier-decode: libvips lacks %s\n", LOADERS[i].operation);
			return 1;
		}
	if (atl_sandbox_enter(&info) != ATL_OK) {
		fprintf(stderr, "atelier-decode: %s\n", info.detail);
		return 1;
	}
	struct atl_buf payload;
	atl_buf_init(&payload, INPUT_MAX);
	struct atl_frame frame;
	struct atl_decode_ask ask;
	if (atl_channel_receive(SERVER_FD, atl_monotonic_ms() + TALK_MS, &frame, &payload, &info) != ATL_OK ||
	    frame.type != ATL_FRAME_DECODE ||
	    atl_decode_ask_decode((const unsigned char *)payload.data, payload.length, &ask, &info) != ATL_OK) {
		fprintf(stderr, "atelier-decode: %s\n", info.detail);
		return 1;
	}
	int rc = decode(&ask, payload.data + ATL_DECODE_ASK_SIZE, payload.length - ATL_DECODE_ASK_SIZE);
	atl_buf_finish(&payload);
	/* No vips_shutdown(): tearing down threads needs calls that the sandbox refuses, and the process ends here. */
	_Exit(rc);
}
