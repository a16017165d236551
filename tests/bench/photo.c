/* photo.c - see photo.h. */
#include "photo.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SIDE_MAX 2048

static uint32_t random_state = 1;

static double random_unit(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state / 4294967296.0;
}

/* Smooth noise: random values on a lattice of `cells`, between them blended by a smooth curve. */
static void add_octave(float *plane, int side, int cells, double strength)
{
	float *lattice = malloc(sizeof *lattice * (size_t)(cells + 1) * (size_t)(cells + 1));
	if (!lattice)
		abort();
	for (int i = 0; i < (cells + 1) * (cells + 1); i++)
		lattice[i] = (float)((random_unit() - 0.5) * 2 * strength);
	for (int y = 0; y < side; y++)
		for (int x = 0; x < side; x++) {
			float fx = (float)x * (float)cells / (float)side, fy = (float)y * (float)cells / (float)side;
			int ix = (int)fx, iy = (int)fy;
			float u = fx - (float)ix, v = fy - (float)iy;
			u = u * u * (3 - 2 * u);
			v = v * v * (3 - 2 * v);
			const float *l = lattice + iy * (cells + 1) + ix;
			plane[y * side + x] += (l[0] * (1 - u) + l[1] * u) * (1 - v) +
					       (l[cells + 1] * (1 - u) + l[cells + 2] * u) * v;
		}
	free(lattice);
}

static double gauss(void)
{
	return sqrt(-2 * log(random_unit() + 1e-12)) * cos(6.283185307 * random_unit());
}

void photo_make(unsigned char *rgb, int side, double noise)
{
	static float planes[4][SIDE_MAX * SIDE_MAX]; /* brightness and three tints */
	memset(planes, 0, sizeof planes);
	for (int p = 0; p < 4; p++)
		for (int cells = 2; cells <= side / 4; cells *= 2)
			add_octave(planes[p], side, cells, (p ? 0.35 : 1.0) * 160.0 / cells);
	for (int i = 0; i < side * side; i++)
		for (int c = 0; c < 3; c++) {
			double value = 128 + planes[0][i] + planes[c + 1][i] + noise * gauss();
			rgb[i * 3 + c] = (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
		}
}
