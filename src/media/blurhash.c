/* blurhash.c - see blurhash.h. */
#include "media/blurhash.h"

#include <math.h>
#include <string.h>

static const char DIGITS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";
#define PI 3.14159265358979323846

struct colour {
	double r, g, b; /* linear light */
};

static double to_linear(unsigned char value)
{
	double v = value / 255.0;
	return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static unsigned to_srgb(double value)
{
	double v = value < 0 ? 0 : value > 1 ? 1 : value;
	return (unsigned)((v <= 0.0031308 ? v * 12.92 : 1.055 * pow(v, 1 / 2.4) - 0.055) * 255 + 0.5);
}

/* How much of the wave with `i` half periods across and `j` down is in the picture. */
static struct colour component(const unsigned char *rgb, size_t width, size_t height, unsigned i, unsigned j,
			       const double linear[256])
{
	struct colour sum = {0, 0, 0};
	for (size_t y = 0; y < height; y++) {
		double down = cos(PI * j * (double)y / (double)height);
		for (size_t x = 0; x < width; x++) {
			const unsigned char *p = rgb + (y * width + x) * 3;
			double wave = down * cos(PI * i * (double)x / (double)width);
			sum.r += wave * linear[p[0]];
			sum.g += wave * linear[p[1]];
			sum.b += wave * linear[p[2]];
		}
	}
	double scale = (i || j ? 2.0 : 1.0) / ((double)width * (double)height);
	return (struct colour){sum.r * scale, sum.g * scale, sum.b * scale};
}

static char *put83(char *out, unsigned value, unsigned digits)
{
	for (unsigned i = digits; i > 0; i--) {
		out[i - 1] = DIGITS[value % 83];
		value /= 83;
	}
	return out + digits;
}

/* -1 .. 1 to 0 .. 18, finer near the middle. */
static unsigned quantise(double value)
{
	double v = floor(copysign(sqrt(fabs(value)), value) * 9 + 9.5);
	return v < 0 ? 0 : v > 18 ? 18 : (unsigned)v;
}

void atl_blurhash(const unsigned char *rgb, size_t width, size_t height, char out[ATL_BLURHASH_LENGTH + 1])
{
	enum { COUNT = ATL_BLURHASH_ACROSS * ATL_BLURHASH_DOWN };
	struct colour parts[COUNT];
	double linear[256], largest = 0;
	for (unsigned i = 0; i < 256; i++)
		linear[i] = to_linear((unsigned char)i);
	for (unsigned k = 0; k < COUNT; k++) {
		struct colour c = component(rgb, width, height, k % ATL_BLURHASH_ACROSS, k / ATL_BLURHASH_ACROSS, linear);
		parts[k] = c;
		if (k)
			largest = fmax(largest, fmax(fabs(c.r), fmax(fabs(c.g), fabs(c.b))));
	}
	double step = floor(largest * 166 - 0.5);
	unsigned scale = step < 0 ? 0 : step > 82 ? 82 : (unsigned)step;
	double most = (scale + 1) / 166.0;
	char *at = put83(out, (ATL_BLURHASH_ACROSS - 1) + (ATL_BLURHASH_DOWN - 1) * 9, 1);
	at = put83(at, scale, 1);
	at = put83(at, to_srgb(parts[0].r) << 16 | to_srgb(parts[0].g) << 8 | to_srgb(parts[0].b), 4);
	for (unsigned k = 1; k < COUNT; k++)
		at = put83(at,
			   quantise(parts[k].r / most) * 19 * 19 + quantise(parts[k].g / most) * 19 +
				   quantise(parts[k].b / most),
			   2);
	*at = '\0';
}

bool atl_blurhash_valid(const char *text)
{
	size_t length = strlen(text);
	if (length < 6 || strspn(text, DIGITS) != length)
		return false;
	size_t size = (size_t)(strchr(DIGITS, text[0]) - DIGITS);
	return size < 81 && length == 4 + 2 * (size % 9 + 1) * (size / 9 + 1);
}
