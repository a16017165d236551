/* breaker.h - stops calling an endpoint that keeps failing: a pure state machine, the clock is passed in.
 *
 * closed -> open after ATL_BREAKER_FAILURES failures in a row -> after a pause one trial call is let through
 * (half-open) -> closed on success, open again with a doubled pause on failure.
 *
 * Threads: one at a time.
 */
#ifndef ATL_PROVIDER_BREAKER_H
#define ATL_PROVIDER_BREAKER_H

#include "base/err.h"

#define ATL_BREAKER_FAILURES 5
#define ATL_BREAKER_PAUSE_MS 5000
#define ATL_BREAKER_PAUSE_MAX_MS 120000

enum atl_breaker_state { ATL_BREAKER_CLOSED, ATL_BREAKER_OPEN, ATL_BREAKER_HALF_OPEN };

struct atl_breaker {
	enum atl_breaker_state state;
	unsigned failures;
	uint64_t pause_ms;
	uint64_t until_ms; /* OPEN: no call before; HALF_OPEN: the trial counts as lost then */
};

/* A zeroed struct is a closed breaker. */
bool atl_breaker_allow(struct atl_breaker *breaker, uint64_t now_ms, uint64_t *ret_wait_ms); /* ret_wait_ms: may be NULL */
void atl_breaker_success(struct atl_breaker *breaker);
void atl_breaker_failure(struct atl_breaker *breaker, uint64_t now_ms);
/* The call ended without telling anything about the endpoint (cancelled, bad request). */
void atl_breaker_neutral(struct atl_breaker *breaker);
/* Does this outcome speak against the endpoint? */
bool atl_breaker_counts(enum atl_err err);

#endif
