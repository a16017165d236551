/* clock.h - wall and monotonic time, replaceable by tests; RFC 3339.
 *
 * Threads: any; atl_clock_set() only in tests, before threads start.
 */
#ifndef ATL_BASE_CLOCK_H
#define ATL_BASE_CLOCK_H

#include "base/err.h"

#define ATL_RFC3339_SIZE 32

int64_t atl_now_ms(void);	  /* UTC, milliseconds since 1970 */
uint64_t atl_monotonic_us(void); /* never goes back */
uint64_t atl_monotonic_ms(void);

/* Tests: replace the wall clock (NULL: the real one again). */
void atl_clock_set(int64_t (*now_ms)(void));

void atl_rfc3339_format(int64_t ms, char out[ATL_RFC3339_SIZE]); /* 2026-01-02T03:04:05.678Z */
/* Any offset and fraction (cut to milliseconds); no leap second, and the zone must be there. */
bool atl_rfc3339_parse(const char *text, int64_t *ret_ms) ATL_MUST_USE;

#endif
