/* breaker.c - see breaker.h. */
#include "provider/breaker.h"

bool atl_breaker_allow(struct atl_breaker *breaker, uint64_t now_ms, uint64_t *ret_wait_ms)
{
	if (breaker->state == ATL_BREAKER_CLOSED)
		return true;
	if (now_ms >= breaker->until_ms) {
		breaker->state = ATL_BREAKER_HALF_OPEN;
		breaker->until_ms = now_ms + ATL_BREAKER_PAUSE_MAX_MS; /* a trial that never reports does not lock it */
		return true;
	}
	if (ret_wait_ms)
		*ret_wait_ms = breaker->until_ms - now_ms;
	return false;
}

void atl_breaker_success(struct atl_breaker *breaker)
{
	*breaker = (struct atl_breaker){0};
}

void atl_breaker_failure(struct atl_breaker *breaker, uint64_t now_ms)
{
	bool trial = breaker->state == ATL_BREAKER_HALF_OPEN;

	if (breaker->state == ATL_BREAKER_OPEN)
		return;
	if (!trial && ++breaker->failures < ATL_BREAKER_FAILURES)
		return;
	breaker->pause_ms = trial ? breaker->pause_ms * 2 : ATL_BREAKER_PAUSE_MS;
	if (breaker->pause_ms > ATL_BREAKER_PAUSE_MAX_MS)
		breaker->pause_ms = ATL_BREAKER_PAUSE_MAX_MS;
	breaker->state = ATL_BREAKER_OPEN;
	breaker->until_ms = now_ms + breaker->pause_ms;
}

void atl_breaker_neutral(struct atl_breaker *breaker)
{
	if (breaker->state == ATL_BREAKER_HALF_OPEN) {
		breaker->state = ATL_BREAKER_OPEN;
		breaker->until_ms = 0; /* the next call is the trial */
	}
}

bool atl_breaker_counts(enum atl_err err)
{
	return err == ATL_ERR_UPSTREAM || err == ATL_ERR_UPSTREAM_TIMEOUT || err == ATL_ERR_UPSTREAM_CUT ||
	       err == ATL_ERR_UPSTREAM_FORMAT;
}
