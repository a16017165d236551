/* bench_png.c - our PNG encoder against libpng at level 6, on photo-like 1024 x 1024 RGB pictures.
 *
 * Prints one line of JSON for each picture: processor time and size of both. A picture's `noise` is that of photo.h.
 */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "media/encode.h"
#include "photo.h"

#define SIDE 1024
#define ROUNDS 5

static double cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void to_buffer(png_structp png, png_bytep data, png_size_t length)
{
	atl_buf_add(png_get_io_ptr(png), data, length);
}

static void libpng_encode(const unsigned char *rgb, struct atl_buf *out)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop head = png_create_info_struct(png);
	if (!head || setjmp(png_jmpbuf(png)))
		abort();
	png_set_write_fn(png, out, to_buffer, NULL);
	png_set_compression_level(png, 6);
	png_set_IHDR(png, head, SIDE, SIDE, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
		     PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, head);
	for (size_t y = 0; y < SIDE; y++)
		png_write_row(png, rgb + y * SIDE * 3);
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &head);
}

static double time_of(const unsigned char *rgb, bool ours, size_t *length)
{
	double best = 1e9;
	for (int round = 0; round < ROUNDS; round++) {
		struct atl_buf out;
		atl_buf_init(&out, (size_t)64 << 20);
		double start = cpu_seconds();
		if (!ours)
			libpng_encode(rgb, &out);
		else if (atl_png_encode(rgb, SIDE, SIDE, 3, &out, NULL) != ATL_OK)
			abort();
		double took = cpu_seconds() - start;
		best = took < best ? took : best;
		*length = out.length;
		atl_buf_finish(&out);
	}
	return best;
}

int main(void)
{
	static const double NOISES[] = {0, 1.5, 3, 5};
	unsigned char *rgb = malloc((size_t)SIDE * SIDE * 3);
	if (!rgb)
		return 1;
	for (size_t i = 0; i < ATL_COUNT(NOISES); i++) {
		size_t theirs_size, ours_size;
		photo_make(rgb, SIDE, NOISES[i]);
		double theirs = time_of(rgb, false, &theirs_size), ours = time_of(rgb, true, &ours_size);
		printf("{\"noise\": %.1f, \"libpng_ms\": %.2f, \"ours_ms\": %.2f, \"speed\": %.2f, \"libpng_bytes\": %zu, "
		       "\"ours_bytes\": %zu, \"size\": %.3f}\n",
		       NOISES[i], theirs * 1e3, ours * 1e3, theirs / ours, theirs_size, ours_size,
		       (double)ours_size / (double)theirs_size);
	}
	free(rgb);
	return 0;
}
