/* support.h - pictures made for the tests of src/media. */
#ifndef TEST_MEDIA_SUPPORT_H
#define TEST_MEDIA_SUPPORT_H

#include <vips/vips.h>

struct bytes {
	void *data; /* g_free() */
	size_t length;
};

/* Left half red, right half blue; with 4 bands the upper half is transparent. */
VipsImage *two_halves(int width, int height, int bands);
/* In the form that `suffix` says, with libvips' options in brackets. Takes the image. */
struct bytes save(VipsImage *image, const char *suffix);

#endif
