/* label.c - see label.h. Letters and ground are shapes with distances, so that the label is smooth at every size. */
#include "media/label.h"

#include <math.h>

/* In heights of the label. */
#define WIDTH 1.5
#define ROUND 0.26
#define STROKE 0.055 /* half of a letter's line */
#define GROUND_OPACITY 0.62

static const struct {
	double x1, y1, x2, y2;
} LINES[] = {
	{0.36, 0.76, 0.60, 0.25}, {0.60, 0.25, 0.84, 0.76}, {0.46, 0.59, 0.74, 0.59}, /* A */
	{1.11, 0.25, 1.11, 0.76},						      /* I */
};

static double clamp(double value)
{
	return value < 0 ? 0 : value > 1 ? 1 : value;
}

static double to_line(double x, double y, size_t i)
{
	double dx = LINES[i].x2 - LINES[i].x1, dy = LINES[i].y2 - LINES[i].y1;
	double along = clamp(((x - LINES[i].x1) * dx + (y - LINES[i].y1) * dy) / (dx * dx + dy * dy));
	return hypot(x - LINES[i].x1 - along * dx, y - LINES[i].y1 - along * dy);
}

/* Negative inside. */
static double to_ground(double x, double y)
{
	double dx = fabs(x - WIDTH / 2) - (WIDTH / 2 - ROUND), dy = fabs(y - 0.5) - (0.5 - ROUND);
	return hypot(dx > 0 ? dx : 0, dy > 0 ? dy : 0) - ROUND;
}

/* How much of a pixel of this size a shape at this distance covers. */
static double cover(double distance, double pixel)
{
	return clamp(0.5 - distance / pixel);
}

static void mix(unsigned char *pixel, unsigned bands, double grey, double opacity)
{
	for (unsigned band = 0; band < 3; band++)
		pixel[band] = (unsigned char)lround(pixel[band] * (1 - opacity) + grey * opacity);
	if (bands == 4)
		pixel[3] = (unsigned char)lround(pixel[3] * (1 - opacity) + 255 * opacity);
}

bool atl_label_draw(unsigned char *pixels, unsigned width, unsigned height, unsigned bands)
{
	unsigned side = width < height ? width : height;
	if (side < ATL_LABEL_SIDE_MIN || (bands != 3 && bands != 4))
		return false;
	double unit = side / 16.0 < 16 ? 16 : side / 16.0 > 72 ? 72 : side / 16.0, pixel = 1 / unit;
	double left = width - unit * (WIDTH + 0.5), top = height - unit * 1.5;
	for (unsigned y = (unsigned)top; y < height; y++)
		for (unsigned x = (unsigned)left; x < width; x++) {
			double at_x = (x + 0.5 - left) / unit, at_y = (y + 0.5 - top) / unit, letter = 1;
			unsigned char *p = pixels + ((size_t)y * width + x) * bands;
			double ground = cover(to_ground(at_x, at_y), pixel);
			if (ground <= 0)
				continue;
			for (size_t i = 0; i < ATL_COUNT(LINES); i++) {
				double distance = to_line(at_x, at_y, i);
				letter = distance < letter ? distance : letter;
			}
			mix(p, bands, 12, ground * GROUND_OPACITY);
			mix(p, bands, 255, cover(letter - STROKE, pixel));
		}
	return true;
}
