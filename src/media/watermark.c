/* watermark.c - see watermark.h. */
#include "media/watermark.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"

#define TILE 128
#define TILE_BITS 7
#define WAVE_MIN 0.035 /* cycles a pixel: slower ones would be seen as clouds, */
#define WAVE_MAX 0.2   /* faster ones do not survive halving and JPEG */
#define BLOCK 8	       /* side of what is judged busy or flat */
#define FAINT 1.3f     /* root mean square of the mark in a flat block... */
#define STRONG 2.5f    /* ...and in a busy one: 10 log10(255^2 / (2.5^2 + 1/12)) = 40.1 dB at the very worst */
#define BUSY 0.16f     /* strength for each step of mean difference between neighbours */
#define NEAR 8	       /* a pixel is looked at beside the mean of those within this distance, */
#define EDGE 6	       /* and no more than this counts: an edge says nothing of the mark, and much of the picture */
#define SCALE_MIN 0.4
#define SCALE_MAX 1.6
#define STEPS_MAX 900 /* with the usual ones within ATL_WATERMARK_TRIES */

static const double USUAL[] = {1, 0.5, 0.75, 2.0 / 3, 0.8, 0.6, 0.4, 1.25, 1.5, 2};

struct wave {
	float re, im;
};

/* ---- transform ---- */

struct plan {
	struct wave turn[TILE / 2];
	unsigned char order[TILE];
};

static void make_plan(struct plan *plan)
{
	for (unsigned i = 0; i < TILE / 2; i++)
		plan->turn[i] = (struct wave){(float)cos(2 * M_PI * i / TILE), (float)-sin(2 * M_PI * i / TILE)};
	for (unsigned i = 0; i < TILE; i++) {
		unsigned back = 0;
		for (unsigned b = 0; b < TILE_BITS; b++)
			back |= (i >> b & 1) << (TILE_BITS - 1 - b);
		plan->order[i] = (unsigned char)back;
	}
}

static void transform_line(const struct plan *plan, struct wave *line)
{
	for (unsigned i = 0; i < TILE; i++)
		if (plan->order[i] > i) {
			struct wave kept = line[i];
			line[i] = line[plan->order[i]];
			line[plan->order[i]] = kept;
		}
	for (unsigned half = 1; half < TILE; half *= 2)
		for (unsigned at = 0; at < TILE; at += 2 * half)
			for (unsigned i = 0; i < half; i++) {
				struct wave w = plan->turn[i * (TILE / 2 / half)], a = line[at + i], b = line[at + i + half];
				struct wave t = {b.re * w.re - b.im * w.im, b.re * w.im + b.im * w.re};
				line[at + i] = (struct wave){a.re + t.re, a.im + t.im};
				line[at + i + half] = (struct wave){a.re - t.re, a.im - t.im};
			}
}

static void turn_over(struct wave *tile)
{
	for (unsigned y = 0; y < TILE; y++)
		for (unsigned x = y + 1; x < TILE; x++) {
			struct wave kept = tile[y * TILE + x];
			tile[y * TILE + x] = tile[x * TILE + y];
			tile[x * TILE + y] = kept;
		}
}

/* Forward, over both axes; the result lies turned over, which all that uses it knows. */
static void transform(const struct plan *plan, struct wave *tile)
{
	for (unsigned y = 0; y < TILE; y++)
		transform_line(plan, tile + y * TILE);
	turn_over(tile);
	for (unsigned y = 0; y < TILE; y++)
		transform_line(plan, tile + y * TILE);
}

/* ---- the key's waves ---- */

static int frequency(unsigned i)
{
	return i < TILE / 2 ? (int)i : (int)i - TILE;
}

/* Of each pair of waves that stand for the same one, the one counted. */
static bool in_band(unsigned v, unsigned u)
{
	double x = (double)frequency(u) / TILE, y = (double)frequency(v) / TILE, r = sqrt(x * x + y * y);
	return r >= WAVE_MIN && r <= WAVE_MAX && (frequency(v) > 0 || (frequency(v) == 0 && frequency(u) > 0));
}

/* Unit waves with phases from the key, and their mirrors; 0 outside the band. How many: the pairs. */
static unsigned make_waves(const unsigned char key[ATL_WATERMARK_KEY_SIZE], struct wave *waves)
{
	unsigned char text[ATL_WATERMARK_KEY_SIZE + 4], digest[ATL_SHA256_SIZE];
	unsigned count = 0;
	memcpy(text, key, ATL_WATERMARK_KEY_SIZE);
	memset(waves, 0, sizeof *waves * TILE * TILE);
	for (unsigned v = 0; v < TILE; v++)
		for (unsigned u = 0; u < TILE; u++) {
			if (!in_band(v, u))
				continue;
			unsigned at = count % (ATL_SHA256_SIZE / 2), block = count / (ATL_SHA256_SIZE / 2);
			for (unsigned i = 0; i < 4 && at == 0; i++)
				text[ATL_WATERMARK_KEY_SIZE + i] = (unsigned char)(block >> 8 * i);
			if (at == 0)
				atl_sha256(text, sizeof text, digest);
			double phase = 2 * M_PI * (digest[2 * at] | digest[2 * at + 1] << 8) / 65536;
			struct wave w = {(float)cos(phase), (float)sin(phase)};
			waves[v * TILE + u] = w;
			waves[(TILE - v) % TILE * TILE + (TILE - u) % TILE] = (struct wave){w.re, -w.im};
			count++;
		}
	return count;
}

/* ---- embedding ---- */

/* The tile as it is added where the strength is 1: root mean square 1. */
static bool make_tile(const unsigned char *key, float *tile)
{
	struct plan plan;
	struct wave *waves = malloc(sizeof *waves * TILE * TILE);
	if (!waves)
		return false;
	make_plan(&plan);
	float scale = 1 / sqrtf(2 * (float)make_waves(key, waves));
	transform(&plan, waves);
	for (unsigned i = 0; i < TILE * TILE; i++)
		tile[i] = waves[i].re * scale;
	free(waves);
	return true;
}

/* How strong the mark may be in this block: by the mean difference of neighbours in green, across and down. */
static float strength(const unsigned char *rgb, size_t stride, size_t width, size_t height)
{
	int sum = 0;
	for (size_t y = 0; y + 1 < height; y++)
		for (size_t x = 0; x + 1 < width; x++) {
			const unsigned char *p = rgb + y * stride + 3 * x + 1;
			sum += abs(p[3] - p[0]) + abs(p[stride] - p[0]);
		}
	float mean = width > 1 && height > 1 ? (float)sum / (float)((width - 1) * (height - 1)) / 2 : 0;
	float want = FAINT + BUSY * mean;
	return want < STRONG ? want : STRONG;
}

static unsigned char add(unsigned char value, int change)
{
	int sum = value + change;
	return (unsigned char)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void mark_block(unsigned char *rgb, size_t stride, size_t width, size_t height, const float *tile, size_t left,
		       size_t top)
{
	float strong = strength(rgb, stride, width, height);
	for (size_t y = 0; y < height; y++) {
		const float *row = tile + (top + y) % TILE * TILE + left % TILE;
		unsigned char *p = rgb + y * stride;
		for (size_t x = 0; x < width; x++, p += 3) {
			int change = (int)(row[x] * strong + 128.5f) - 128;
			p[0] = add(p[0], change);
			p[1] = add(p[1], change);
			p[2] = add(p[2], change);
		}
	}
}

enum atl_err atl_watermark_embed(unsigned char *rgb, size_t width, size_t height,
				 const unsigned char key[ATL_WATERMARK_KEY_SIZE], struct atl_errinfo *info)
{
	if (width < ATL_WATERMARK_SIDE_MIN || height < ATL_WATERMARK_SIDE_MIN)
		return ATL_OK;
	float *tile = malloc(sizeof *tile * TILE * TILE);
	bool made = tile && make_tile(key, tile);
	for (size_t y = 0; made && y < height; y += BLOCK)
		for (size_t x = 0; x < width; x += BLOCK)
			mark_block(rgb + (y * width + x) * 3, width * 3, width - x < BLOCK ? width - x : BLOCK,
				   height - y < BLOCK ? height - y : BLOCK, tile, x, y);
	free(tile);
	return made ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "watermark");
}

/* ---- finding ---- */

struct finder {
	struct plan plan;
	struct wave waves[TILE * TILE], tile[TILE * TILE]; /* as transform() lays them */
	float sums[TILE * TILE], counts[TILE * TILE], fold[ATL_WATERMARK_VIEW * TILE], fold_counts[TILE];
	unsigned count;
	size_t width, height;	     /* of the part looked at */
	const float *rows;		     /* what is folded: one of the two views */
	float plain[ATL_WATERMARK_VIEW * ATL_WATERMARK_VIEW], cut[ATL_WATERMARK_VIEW * ATL_WATERMARK_VIEW];
};

/* Means of the values within NEAR, along one line. */
static void blur_line(const float *in, size_t step, size_t count, float *out)
{
	float sum = 0;
	size_t from = 0, to = 0; /* what `sum` covers */
	for (size_t i = 0; i < count; i++) {
		for (; to < count && to <= i + NEAR; to++)
			sum += in[to * step];
		for (; from + NEAR < i; from++)
			sum -= in[from * step];
		out[i] = sum / (float)(to - from);
	}
}

/* Two views of the picture: as it is, and what is left when its surroundings are taken away and its edges cut low. The
 * second is better for all but what repeats itself to the pixel. */
static bool prepare(struct finder *f, const unsigned char *grey, size_t stride)
{
	float *means = malloc(sizeof *means * f->width * f->height), *line = malloc(sizeof *line * ATL_WATERMARK_VIEW);
	for (size_t y = 0; means && line && y < f->height; y++) {
		for (size_t x = 0; x < f->width; x++)
			f->plain[y * f->width + x] = grey[y * stride + x];
		blur_line(f->plain + y * f->width, 1, f->width, means + y * f->width);
	}
	for (size_t x = 0; means && line && x < f->width; x++) {
		blur_line(means + x, f->width, f->height, line);
		for (size_t y = 0; y < f->height; y++) {
			float rest = f->plain[y * f->width + x] - line[y];
			f->cut[y * f->width + x] = rest > EDGE ? EDGE : rest < -EDGE ? -EDGE : rest;
		}
	}
	bool done = means && line;
	free(means);
	free(line);
	return done;
}

/* Every row of the picture as `1/scale` times longer, folded into one tile's width. */
static void fold_rows(struct finder *f, double scale)
{
	size_t long_width = (size_t)((double)(f->width - 1) / scale);
	memset(f->fold, 0, sizeof *f->fold * f->height * TILE);
	memset(f->fold_counts, 0, sizeof f->fold_counts);
	for (size_t x = 0; x < long_width; x++)
		f->fold_counts[x % TILE]++;
	for (size_t y = 0; y < f->height; y++) {
		const float *row = f->rows + y * f->width;
		float *to = f->fold + y * TILE;
		for (size_t x = 0; x < long_width; x++) {
			float at = (float)((double)x * scale);
			size_t i = (size_t)at;
			float part = at - (float)i;
			to[x % TILE] += row[i] + part * (row[i + 1] - row[i]);
		}
	}
}

/* Both axes: the mean of all tiles. */
static void fold(struct finder *f, double scale)
{
	fold_rows(f, scale);
	size_t long_height = (size_t)((double)(f->height - 1) / scale);
	memset(f->sums, 0, sizeof f->sums);
	memset(f->counts, 0, sizeof f->counts);
	for (size_t y = 0; y < long_height; y++) {
		double at = (double)y * scale;
		size_t i = (size_t)at;
		float part = (float)(at - (double)i);
		const float *a = f->fold + i * TILE, *b = a + TILE;
		float *to = f->sums + y % TILE * TILE, *counts = f->counts + y % TILE * TILE;
		for (unsigned x = 0; x < TILE; x++) {
			to[x] += a[x] + part * (b[x] - a[x]);
			counts[x] += f->fold_counts[x];
		}
	}
	for (unsigned i = 0; i < TILE * TILE; i++)
		f->tile[i] = (struct wave){f->counts[i] > 0 ? f->sums[i] / f->counts[i] : 0, 0};
}

/* Each wave's phase less the key's, all equally strong: transformed again, the peak is where the tile begins. */
static double best_offset(struct finder *f)
{
	float best = -1;
	transform(&f->plan, f->tile); /* the mark's waves stand here as the mirrors of the key's: a product takes the phases away */
	for (unsigned i = 0; i < TILE * TILE; i++) {
		struct wave a = f->tile[i], b = f->waves[i];
		float length = sqrtf(a.re * a.re + a.im * a.im);
		if (length < 1e-6f || (b.re == 0 && b.im == 0))
			f->tile[i] = (struct wave){0, 0};
		else
			f->tile[i] = (struct wave){(a.re * b.re - a.im * b.im) / length, (a.re * b.im + a.im * b.re) / length};
	}
	transform(&f->plan, f->tile);
	for (unsigned i = 0; i < TILE * TILE; i++)
		best = f->tile[i].re > best ? f->tile[i].re : best;
	return (double)best / (2.0 * f->count);
}

static void try_scale(struct finder *f, double scale, size_t view_count, struct atl_watermark_found *found)
{
	double part_width = (double)f->width / scale, part_height = (double)f->height / scale;
	/* less than half a tile says nothing, and more than this takes too long */
	if (part_width < TILE / 2.0 || part_height < TILE / 2.0 || part_width > 4 * ATL_WATERMARK_VIEW)
		return;
	const float *const views[] = {f->cut, f->plain};
	for (size_t i = 0; i < view_count && i < ATL_COUNT(views); i++) {
		f->rows = views[i];
		fold(f, scale);
		double score = best_offset(f);
		if (score > found->score) {
			found->score = score;
			found->scale = scale;
		}
	}
	found->found = found->score >= found->threshold;
}

/* All scales, so close together that the mark stays in step to within a pixel from the middle to the edge. */
static void try_all(struct finder *f, struct atl_watermark_found *found)
{
	double side = (double)(f->width > f->height ? f->width : f->height);
	double step = 3 / side, least = log(SCALE_MAX / SCALE_MIN) / STEPS_MAX;
	if (step < least)
		step = least;
	for (double scale = SCALE_MIN; scale < SCALE_MAX && !found->found; scale *= 1 + step)
		try_scale(f, scale, 1, found);
}

enum atl_err atl_watermark_find(const unsigned char *grey, size_t width, size_t height,
				const unsigned char key[ATL_WATERMARK_KEY_SIZE], bool thorough,
				struct atl_watermark_found *ret, struct atl_errinfo *info)
{
	*ret = (struct atl_watermark_found){.scale = 1, .threshold = 1};
	if (width < TILE / 2 || height < TILE / 2)
		return ATL_OK;
	struct finder *f = malloc(sizeof *f);
	if (!f)
		return atl_fail(info, ATL_ERR_NOMEM, "watermark");
	make_plan(&f->plan);
	f->count = make_waves(key, f->waves);
	f->width = width < ATL_WATERMARK_VIEW ? width : ATL_WATERMARK_VIEW;
	f->height = height < ATL_WATERMARK_VIEW ? height : ATL_WATERMARK_VIEW;
	if (!prepare(f, grey + (height - f->height) / 2 * width + (width - f->width) / 2, width)) {
		free(f);
		return atl_fail(info, ATL_ERR_NOMEM, "watermark");
	}
	ret->threshold = sqrt(log(ATL_WATERMARK_TRIES / ATL_WATERMARK_FALSE_ALARM) / f->count);
	for (size_t i = 0; i < ATL_COUNT(USUAL) && !ret->found; i++)
		try_scale(f, USUAL[i], 2, ret);
	if (thorough && !ret->found)
		try_all(f, ret);
	free(f);
	return ATL_OK;
}
