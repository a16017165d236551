/* support.c - see support.h. */
#include "support.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

VipsImage *two_halves(int width, int height, int bands)
{
	size_t size = (size_t)width * (size_t)height * (size_t)bands;
	unsigned char *pixels = calloc(1, size);
	assert_non_null(pixels);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			unsigned char *p = pixels + ((size_t)y * (size_t)width + (size_t)x) * (size_t)bands;
			p[x < width / 2 ? 0 : 2] = 255;
			if (bands == 4)
				p[3] = y < height / 2 ? 0 : 255;
		}
	VipsImage *image = vips_image_new_from_memory_copy(pixels, size, width, height, bands, VIPS_FORMAT_UCHAR);
	free(pixels);
	assert_non_null(image);
	image->Type = VIPS_INTERPRETATION_sRGB;
	return image;
}

struct bytes save(VipsImage *image, const char *suffix)
{
	struct bytes out = {0};
	if (vips_image_write_to_buffer(image, suffix, &out.data, &out.length, NULL) != 0)
		fail_msg("%s: %s", suffix, vips_error_buffer());
	g_object_unref(image);
	return out;
}
