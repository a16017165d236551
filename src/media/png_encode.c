/* png_encode.c - see encode.h.
 *
 * Per row the filter with the smallest sum of absolute differences (the PNG specification's own advice), then the whole
 * picture through libdeflate at a level chosen by how much is left after filtering: a photograph has few repeats to
 * search for, a drawing many. The filters' loops are written so that compilers make vectors of them (-O3, meson.build).
 */
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "media/encode.h"

/* signature, IHDR, IDAT's frame, IEND */
#define FIXED_SIZE (8 + (12 + 13) + 12 + 12)
/* The sums of a stretch this long fit 16 bits, so that a vector holds eight of them. */
#define STRETCH 256

/* The mean of |difference| per byte up to which a level is worth its time; docs/media.md has the measurement. */
static const struct {
	double mean;
	int level;
} LEVELS[] = {{0.8, 3}, {1.9, 2}};
#define LEVEL_ELSE 1

enum filter { SUB = 1, UP = 2, AVERAGE = 3, PAETH = 4 };

/* One row: `n` bytes at `row`, the row above, and `bpp` bytes to a pixel. Both rows can be read from -bpp on. */
struct line {
	const uint8_t *row, *above;
	size_t n, bpp;
};

static inline unsigned cost_of(uint8_t difference)
{
	return difference < 128 ? difference : 256u - difference;
}

static size_t sum_of(const uint8_t *restrict differences, size_t n)
{
	size_t total = 0;
	for (size_t from = 0; from < n; from += STRETCH) {
		size_t to = n - from < STRETCH ? n : from + STRETCH;
		uint16_t part = 0;
		for (size_t i = from; i < to; i++)
			part = (uint16_t)(part + cost_of(differences[i]));
		total += part;
	}
	return total;
}

static void filter_sub(const struct line *line, uint8_t *restrict out)
{
	const uint8_t *row = line->row, *left = line->row - line->bpp;
	for (size_t i = 0; i < line->n; i++)
		out[i] = (uint8_t)(row[i] - left[i]);
}

static void filter_up(const struct line *line, uint8_t *restrict out)
{
	const uint8_t *row = line->row, *above = line->above;
	for (size_t i = 0; i < line->n; i++)
		out[i] = (uint8_t)(row[i] - above[i]);
}

static void filter_average(const struct line *line, uint8_t *restrict out)
{
	const uint8_t *row = line->row, *left = line->row - line->bpp, *above = line->above;
	for (size_t i = 0; i < line->n; i++)
		out[i] = (uint8_t)(row[i] - (uint8_t)(((unsigned)left[i] + above[i]) >> 1));
}

static inline int16_t distance(int16_t difference)
{
	return (int16_t)(difference < 0 ? -difference : difference);
}

static void filter_paeth(const struct line *line, uint8_t *restrict out)
{
	const uint8_t *row = line->row, *left = line->row - line->bpp;
	const uint8_t *above = line->above, *corner = line->above - line->bpp;
	for (size_t i = 0; i < line->n; i++) {
		int16_t a = left[i], b = above[i], c = corner[i];
		int16_t to_a = distance((int16_t)(b - c)), to_b = distance((int16_t)(a - c));
		int16_t to_c = distance((int16_t)(a + b - 2 * c));
		int16_t of_two = to_b <= to_c ? b : c;
		int16_t guess = ((to_a <= to_b) & (to_a <= to_c)) ? a : of_two;
		out[i] = (uint8_t)(row[i] - (uint8_t)guess);
	}
}

static void (*const FILTERS[])(const struct line *line, uint8_t *restrict out) = {
	[SUB] = filter_sub, [UP] = filter_up, [AVERAGE] = filter_average, [PAETH] = filter_paeth};

/* `out`: the filter's number and the row; `scratch` has room for as much. Returns what is left of the row. */
static size_t filter_row(const struct line *line, uint8_t *out, uint8_t *scratch)
{
	size_t best = SIZE_MAX;
	for (unsigned filter = SUB; filter <= PAETH; filter++) {
		FILTERS[filter](line, scratch);
		size_t cost = sum_of(scratch, line->n);
		if (cost < best) {
			best = cost;
			out[0] = (uint8_t)filter;
			memcpy(out + 1, scratch, line->n);
		}
	}
	return best;
}

static int level_for(double mean)
{
	for (size_t i = 0; i < ATL_COUNT(LEVELS); i++)
		if (mean <= LEVELS[i].mean)
			return LEVELS[i].level;
	return LEVEL_ELSE;
}

/* All rows filtered, as zlib wants them; NULL when memory is missing. */
static uint8_t *filter_picture(const uint8_t *pixels, size_t width, size_t height, size_t bpp, int *ret_level)
{
	size_t cost = 0;
	size_t n = width * bpp, padded = bpp + n;
	uint8_t *out = malloc((n + 1) * height);
	/* two rows with a black pixel before each (what lies left of the picture counts as black), and scratch */
	uint8_t *rows = calloc(2 * padded + n, 1);
	if (out && rows) {
		uint8_t *row = rows + bpp, *above = rows + padded + bpp, *scratch = rows + 2 * padded;
		for (size_t y = 0; y < height; y++) {
			memcpy(row, pixels + y * n, n);
			cost += filter_row(&(struct line){.row = row, .above = above, .n = n, .bpp = bpp},
					   out + y * (n + 1), scratch);
			uint8_t *other = above;
			above = row;
			row = other;
		}
	} else {
		free(out);
		out = NULL;
	}
	free(rows);
	*ret_level = level_for((double)cost / (double)(n * height));
	return out;
}

static void put32(uint8_t *out, size_t value)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Length, name and check sum around `length` bytes that lie at out + 8 already. Returns what follows the chunk. */
static uint8_t *close_chunk(uint8_t *out, const char *name, size_t length)
{
	put32(out, length);
	memcpy(out + 4, name, 4);
	put32(out + 8 + length, libdeflate_crc32(0, out + 4, 4 + length));
	return out + 12 + length;
}

static enum atl_err write_file(const uint8_t *filtered, size_t width, size_t height, unsigned channels,
			       struct libdeflate_compressor *compressor, struct atl_buf *out, struct atl_errinfo *info)
{
	static const uint8_t COLOUR_TYPE[] = {[1] = 0, [3] = 2, [4] = 6};
	size_t length = (width * channels + 1) * height;
	size_t room = libdeflate_zlib_compress_bound(compressor, length);
	size_t left = out->max - out->length;
	if (left < FIXED_SIZE)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "no room for a PNG");
	if (room > left - FIXED_SIZE)
		room = left - FIXED_SIZE;
	uint8_t *at = atl_buf_reserve(out, FIXED_SIZE + room);
	if (!at)
		return atl_fail(info, ATL_ERR_NOMEM, "a PNG of %zu x %zu", width, height);
	uint8_t *start = at;
	memcpy(at, "\x89PNG\r\n\x1a\n", 8);
	at += 8;
	put32(at + 8, width);
	put32(at + 12, height);
	memcpy(at + 16, (const uint8_t[]){8, COLOUR_TYPE[channels], 0, 0, 0}, 5);
	at = close_chunk(at, "IHDR", 13);
	size_t packed = libdeflate_zlib_compress(compressor, filtered, length, at + 8, room);
	if (packed == 0)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "the PNG needs more than %zu bytes", room);
	at = close_chunk(at, "IDAT", packed);
	at = close_chunk(at, "IEND", 0);
	out->length += (size_t)(at - start);
	out->data[out->length] = '\0';
	return ATL_OK;
}

enum atl_err atl_png_encode(const void *pixels, size_t width, size_t height, unsigned channels, struct atl_buf *out,
			    struct atl_errinfo *info)
{
	if (width == 0 || height == 0 || width > ATL_ENCODE_SIDE_MAX || height > ATL_ENCODE_SIDE_MAX)
		return atl_fail(info, ATL_ERR_INVALID, "a picture of %zu x %zu pixels cannot be written", width, height);
	if (channels != 1 && channels != 3 && channels != 4)
		return atl_fail(info, ATL_ERR_INVALID, "a picture of %u channels cannot be written", channels);
	int level = LEVEL_ELSE;
	uint8_t *filtered = filter_picture(pixels, width, height, channels, &level);
	struct libdeflate_compressor *compressor = filtered ? libdeflate_alloc_compressor(level) : NULL;
	enum atl_err err = compressor ? write_file(filtered, width, height, channels, compressor, out, info)
				      : atl_fail(info, ATL_ERR_NOMEM, "a PNG of %zu x %zu", width, height);
	free(filtered);
	if (compressor)
		libdeflate_free_compressor(compressor);
	return err;
}
