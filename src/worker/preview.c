/* preview.c - see preview.h. */
#include "worker/preview.h"

#include <math.h>

#define MIDDLE 127.5

void preview_spread(unsigned char *values, size_t size, double contrast)
{
	if (!(contrast > 0) || contrast == 1)
		return;
	for (size_t i = 0; i < size; i++)
		values[i] = (unsigned char)lround(fmin(255, fmax(0, MIDDLE + (values[i] - MIDDLE) / contrast)));
}
