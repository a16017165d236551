/* phash.c - see phash.h. */
#include "media/phash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIDE ATL_PHASH_SIDE
#define WAVES 8
#define PI 3.14159265358979323846

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* The lowest WAVES of each row of `in`, written as columns: applied twice it is the two-dimensional transform. */
static void transform(const double *in, size_t rows, double *out)
{
	for (size_t row = 0; row < rows; row++)
		for (size_t wave = 0; wave < WAVES; wave++) {
			double sum = 0;
			for (size_t i = 0; i < SIDE; i++)
				sum += in[row * SIDE + i] * cos(PI * ((double)i + 0.5) * (double)wave / SIDE);
			out[wave * rows + row] = sum;
		}
}

uint64_t atl_phash(const unsigned char rgb[ATL_PHASH_SIDE * ATL_PHASH_SIDE * 3])
{
	double grey[SIDE * SIDE], across[WAVES * SIDE], waves[WAVES * WAVES], sorted[WAVES * WAVES - 1];
	for (size_t i = 0; i < SIDE * SIDE; i++)
		grey[i] = 0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2];
	transform(grey, SIDE, across);
	transform(across, WAVES, waves);
	/* the first is the mean, far from all others */
	memcpy(sorted, waves + 1, sizeof sorted);
	qsort(sorted, WAVES * WAVES - 1, sizeof *sorted, compare);
	double median = sorted[(WAVES * WAVES - 1) / 2];
	uint64_t hash = waves[0] >= 127.5 * SIDE * SIDE;
	/* rounding of a picture without any contrast must not decide */
	for (unsigned i = 1; i < WAVES * WAVES; i++)
		hash |= (uint64_t)(waves[i] > median + 1e-6) << i;
	return hash;
}

unsigned atl_phash_distance(uint64_t a, uint64_t b)
{
	return (unsigned)__builtin_popcountll(a ^ b);
}
