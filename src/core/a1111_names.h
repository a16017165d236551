/* a1111_names.h - what AUTOMATIC1111's clients call samplers and schedules, and what we do.
 *
 * Threads: pure functions and constants. Adding one: a row in a1111_names.c.
 */
#ifndef ATL_CORE_A1111_NAMES_H
#define ATL_CORE_A1111_NAMES_H

#include "base/arena.h"

struct atl_a1111_name {
	const char *ours, *label; /* "dpm++2m", "DPM++ 2M" */
};
extern const struct atl_a1111_name atl_a1111_samplers[], atl_a1111_schedulers[]; /* end with ours NULL */

/* "DPM++ 2M Karras" -> "dpm++2m", "karras" (scheduler NULL when the name says none). False: not known. Names of ours
 * are taken too. */
bool atl_a1111_sampler_find(struct atl_arena *arena, const char *label, const char **ret_sampler,
			    const char **ret_scheduler);
const char *atl_a1111_scheduler_find(const char *label); /* NULL: not known, or Automatic */

#endif
