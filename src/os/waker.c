/* waker.c - see waker.h. */
#include "os/waker.h"

#include <errno.h>
#include <time.h>

void atl_waker_init(struct atl_waker *waker)
{
	pthread_condattr_t attr;

	*waker = (struct atl_waker){.closing = false};
	pthread_mutex_init(&waker->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&waker->changed, &attr);
	pthread_condattr_destroy(&attr);
}

void atl_waker_finish(struct atl_waker *waker)
{
	pthread_cond_destroy(&waker->changed);
	pthread_mutex_destroy(&waker->lock);
}

bool atl_waker_look(struct atl_waker *waker, uint64_t *ret_seen)
{
	bool closing;

	pthread_mutex_lock(&waker->lock);
	*ret_seen = waker->woken;
	closing = waker->closing;
	pthread_mutex_unlock(&waker->lock);
	return !closing;
}

void atl_waker_wait(struct atl_waker *waker, uint64_t seen, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&waker->lock);
	while (waker->woken == seen && !waker->closing)
		if (pthread_cond_timedwait(&waker->changed, &waker->lock, &until) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&waker->lock);
}

void atl_waker_wake(struct atl_waker *waker)
{
	pthread_mutex_lock(&waker->lock);
	waker->woken++;
	pthread_cond_signal(&waker->changed);
	pthread_mutex_unlock(&waker->lock);
}

void atl_waker_close(struct atl_waker *waker)
{
	pthread_mutex_lock(&waker->lock);
	waker->closing = true;
	pthread_cond_broadcast(&waker->changed);
	pthread_mutex_unlock(&waker->lock);
}
