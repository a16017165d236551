/* The wall clock of a site. It may be held, so that a throttle which counts seconds says the same on a slow machine; and a
 * test program that begins shortly before midnight (UTC) lives half an hour earlier, so that no day and no month ends in it. */
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "support.h"

#define DAY_MS INT64_C(86400000)
#define LATE_MS INT64_C(1800000)

static _Atomic int64_t held_ms; /* 0: it goes */
static _Atomic int64_t earlier_ms;

static int64_t real_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t site_clock(void)
{
	int64_t held = atomic_load(&held_ms);

	return held ? held : real_ms() - atomic_load(&earlier_ms);
}

void clock_begin(void)
{
	static atomic_bool begun;

	atomic_store(&held_ms, 0);
	if (!atomic_exchange(&begun, true) && DAY_MS - real_ms() % DAY_MS < LATE_MS)
		atomic_store(&earlier_ms, LATE_MS);
	atl_clock_set(site_clock);
}

void clock_hold(void)
{
	clock_hold_at(site_clock());
}

void clock_hold_at(int64_t ms)
{
	atomic_store(&held_ms, ms);
}
