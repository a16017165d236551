/* preview.h - what an engine shows of a picture under way becomes what people see.
 *
 * Threads: pure function. Adding one: another correction of previews that a model's description asks for.
 */
#ifndef ATL_WORKER_PREVIEW_H
#define ATL_WORKER_PREVIEW_H

#include <stddef.h>

/* Spreads `size` 8-bit values about the middle: they have `contrast` of the picture's contrast, above 0. 0 and 1: nothing
 * to do. models/mini says why there are such models. */
void preview_spread(unsigned char *values, size_t size, double contrast);

#endif
