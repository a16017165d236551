/* a1111_names.h - what AUTOMATIC1111's clients and its servers call samplers and schedules, and what we do.
 *
 * Threads: pure functions and constants. Adding one: a row in a1111_names.c.
 */
#ifndef ATL_PROVIDER_A1111_NAMES_H
#define ATL_PROVIDER_A1111_NAMES_H

#include "base/arena.h"

struct atl_a1111_name {
	const char *ours;   /* "dpm++2m": stable-diffusion.cpp's */
	const char *label;  /* "DPM++ 2M": what clients read and send */
	const char *server; /* what a server knows it as; NULL: it has none */
};
extern const struct atl_a1111_name atl_a1111_samplers[], atl_a1111_schedulers[]; /* end with ours NULL */

/* "DPM++ 2M Karras" -> "dpm++2m", "karras" (scheduler NULL when the name says none). False: not known. Names of ours
 * are taken too. */
bool atl_a1111_sampler_find(struct atl_arena *arena, const char *label, const char **ret_sampler,
			    const char **ret_scheduler);
const char *atl_a1111_scheduler_find(const char *label); /* NULL: not known, or Automatic */
const char *atl_a1111_name_at_server(const struct atl_a1111_name *names, const char *ours); /* NULL: not known, or none there */

#endif
