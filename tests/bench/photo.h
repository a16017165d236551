/* photo.h - pictures that compress like photographs, the same every time. */
#ifndef ATL_BENCH_PHOTO_H
#define ATL_BENCH_PHOTO_H

/* RGB rows of side x side (at most 2048): smooth noise from coarse to fine, and a sensor's noise of that strength. */
void photo_make(unsigned char *rgb, int side, double noise);

#endif
