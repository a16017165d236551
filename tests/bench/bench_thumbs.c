/* bench_thumbs.c - thumbnails through the true atelier-decode, by processor time, and how good they are.
 *
 *   bench_thumbs make FILE                  a photo-like JPEG of 2048 x 2048
 *   bench_thumbs run DECODE FILE COUNT OUT  COUNT WebP thumbnails 512 wide; the last is written to OUT
 *   bench_thumbs compare FILE THUMB         decibels (PSNR) of a thumbnail against FILE scaled down without haste
 *
 * run prints JSON: thumbnails per second of processor time, of this process and its children together.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <vips/vips.h>

#include "media/picture.h"
#include "photo.h"

#define SIDE 2048
#define WIDTH 512

static double seconds_of(int who)
{
	struct rusage usage;
	getrusage(who, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int fail(const char *what)
{
	fprintf(stderr, "bench_thumbs: %s %s\n", what, vips_error_buffer());
	return 1;
}

static int make(const char *path)
{
	unsigned char *rgb = malloc((size_t)SIDE * SIDE * 3);
	if (!rgb)
		return 1;
	photo_make(rgb, SIDE, 3);
	VipsImage *image = vips_image_new_from_memory(rgb, (size_t)SIDE * SIDE * 3, SIDE, SIDE, 3, VIPS_FORMAT_UCHAR);
	image->Type = VIPS_INTERPRETATION_sRGB;
	int rc = vips_jpegsave(image, path, "Q", 90, NULL);
	g_object_unref(image);
	free(rgb);
	return rc ? fail("jpegsave") : 0;
}

static int write_thumb(const char *path, const struct atl_picture *picture)
{
	FILE *f = fopen(path, "wb");
	if (!f)
		return fail(path);
	size_t n = fwrite(picture->outs[0].data, 1, picture->outs[0].length, f);
	return fclose(f) == 0 && n == picture->outs[0].length ? 0 : fail(path);
}

static int run(const char *program, const char *path, int count, const char *out)
{
	static const unsigned widths[] = {WIDTH};
	const struct atl_picture_options options = {.owner = "bench", .widths = widths, .width_count = 1};
	struct atl_loop *loop;
	struct atl_pictures *pictures;
	struct atl_errinfo info = {0};
	char *data = NULL;
	gsize length = 0;
	int rc = 0;
	if (!g_file_get_contents(path, &data, &length, NULL) || atl_loop_create("bench", &loop, &info) != ATL_OK ||
	    atl_pictures_create(loop, program, &pictures, &info) != ATL_OK)
		return fail(info.detail);
	double before = seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN);
	for (int i = 0; i < count && rc == 0; i++) {
		struct atl_arena arena;
		struct atl_picture picture;
		atl_arena_init(&arena, 0);
		if (atl_picture_open(pictures, &arena, data, length, &options, &picture, &info) != ATL_OK)
			rc = fail(info.detail);
		else if (i == count - 1)
			rc = write_thumb(out, &picture);
		atl_arena_finish(&arena);
	}
	atl_pictures_destroy(pictures);
	double took = seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN) - before;
	atl_loop_stop(loop);
	atl_loop_destroy(loop);
	g_free(data);
	printf("{\"thumbs\": %d, \"cpu_s\": %.3f, \"per_cpu_s\": %.2f}\n", count, took, count / took);
	return rc;
}

static int compare(const char *path, const char *thumb)
{
	VipsImage *full = vips_image_new_from_file(path, NULL), *other = vips_image_new_from_file(thumb, NULL);
	VipsImage *small = NULL, *difference = NULL, *squares = NULL;
	double mean = 0;
	if (!full || !other ||
	    vips_resize(full, &small, (double)WIDTH / SIDE, "kernel", VIPS_KERNEL_LANCZOS3, "gap", 0.0, NULL) != 0 ||
	    vips_subtract(small, other, &difference, NULL) != 0 ||
	    vips_multiply(difference, difference, &squares, NULL) != 0 || vips_avg(squares, &mean, NULL) != 0)
		return fail("compare");
	printf("{\"psnr_db\": %.2f}\n", 10 * log10(255 * 255 / mean));
	return 0;
}

int main(int argc, char **argv)
{
	if (VIPS_INIT("bench") != 0)
		return 1;
	if (argc == 3 && strcmp(argv[1], "make") == 0)
		return make(argv[2]);
	if (argc == 6 && strcmp(argv[1], "run") == 0)
		return run(argv[2], argv[3], atoi(argv[4]), argv[5]);
	if (argc == 4 && strcmp(argv[1], "compare") == 0)
		return compare(argv[2], argv[3]);
	return 2;
}
