/* watermark_file.c - marks and looks for the mark in files, for tests/bench/watermark.py.
 *
 * watermark_file embed IN OUT: both binary PPM; prints the milliseconds. watermark_file find IN [thorough]: binary PGM; prints
 * found, score, threshold, scale and the milliseconds. The key is KEY in hex, or zeros.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "media/watermark.h"

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static unsigned char *load(const char *path, int channels, size_t *width, size_t *height)
{
	char kind[3];
	FILE *f = fopen(path, "rb");
	if (!f || fscanf(f, "%2s %zu %zu 255", kind, width, height) != 3 || fgetc(f) == EOF)
		return NULL;
	size_t length = *width * *height * (size_t)channels;
	unsigned char *data = malloc(length);
	bool whole = data && fread(data, 1, length, f) == length;
	fclose(f);
	if (whole)
		return data;
	free(data);
	return NULL;
}

static void read_key(unsigned char key[ATL_WATERMARK_KEY_SIZE])
{
	const char *hex = getenv("KEY");
	memset(key, 0, ATL_WATERMARK_KEY_SIZE);
	for (size_t i = 0; hex && i < ATL_WATERMARK_KEY_SIZE && hex[2 * i] && hex[2 * i + 1]; i++) {
		char two[3] = {hex[2 * i], hex[2 * i + 1], 0};
		key[i] = (unsigned char)strtol(two, NULL, 16);
	}
}

static int embed(const char *from, const char *to, const unsigned char *key)
{
	size_t width, height;
	unsigned char *rgb = load(from, 3, &width, &height);
	FILE *out = fopen(to, "wb");
	if (!rgb || !out)
		return 1;
	double start = now_ms();
	if (atl_watermark_embed(rgb, width, height, key, NULL) != ATL_OK)
		return 1;
	printf("%.2f\n", now_ms() - start);
	fprintf(out, "P6\n%zu %zu\n255\n", width, height);
	fwrite(rgb, 1, width * height * 3, out);
	free(rgb);
	return fclose(out) ? 1 : 0;
}

int main(int argc, char **argv)
{
	unsigned char key[ATL_WATERMARK_KEY_SIZE];
	read_key(key);
	if (argc == 4 && strcmp(argv[1], "embed") == 0)
		return embed(argv[2], argv[3], key);
	if (argc < 3 || strcmp(argv[1], "find") != 0)
		return 2;
	struct atl_watermark_found found;
	size_t width, height;
	unsigned char *grey = load(argv[2], 1, &width, &height);
	double start = now_ms();
	if (!grey || atl_watermark_find(grey, width, height, key, argc > 3, &found, NULL) != ATL_OK)
		return 1;
	printf("%d %.4f %.4f %.4f %.1f\n", found.found, found.score, found.threshold, found.scale, now_ms() - start);
	free(grey);
	return 0;
}
