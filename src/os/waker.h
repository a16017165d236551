/* waker.h - how a thread of its own waits for work: until it is woken, a time is over, or it is to end.
 *
 * The thread looks, does what there is, and waits with what it saw: what wakes it in between is not missed.
 *
 * Life cycle: atl_waker_init() .. atl_waker_finish(), after its threads were joined.
 * Threads:    any; several threads may wait, and atl_waker_wake() wakes one of them.
 */
#ifndef ATL_OS_WAKER_H
#define ATL_OS_WAKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct atl_waker {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t woken; /* how often */
	bool closing;
};

void atl_waker_init(struct atl_waker *waker);
void atl_waker_finish(struct atl_waker *waker);
bool atl_waker_look(struct atl_waker *waker, uint64_t *ret_seen); /* false: the thread is to end */
void atl_waker_wait(struct atl_waker *waker, uint64_t seen, int64_t ms); /* `seen`: by the look before the work */
void atl_waker_wake(struct atl_waker *waker);
void atl_waker_close(struct atl_waker *waker); /* all threads are to end; join them */

#endif
