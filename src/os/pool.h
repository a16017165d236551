/* pool.h - threads that run blocking straight-line work.
 *
 * Life cycle: atl_pool_create() .. atl_pool_destroy() (runs what is queued, then joins).
 * Threads:    submit from any. Limits: `queue_max` waiting items; more are refused.
 */
#ifndef ATL_OS_POOL_H
#define ATL_OS_POOL_H

#include "base/err.h"

struct atl_pool;

enum atl_err atl_pool_create(unsigned threads, size_t queue_max, struct atl_pool **ret,
			     struct atl_errinfo *info) ATL_MUST_USE;
void atl_pool_destroy(struct atl_pool *pool);
/* ATL_ERR_UNAVAILABLE: the queue is full; ATL_ERR_SHUTDOWN: being destroyed. fn will not run then. */
enum atl_err atl_pool_submit(struct atl_pool *pool, void (*fn)(void *arg), void *arg) ATL_MUST_USE;
/* Waits until nothing is queued and nothing runs: before parts go that work in the pool may still use. The caller sees to
 * it that nothing more is submitted. */
void atl_pool_quiesce(struct atl_pool *pool);
size_t atl_pool_queue_depth(const struct atl_pool *pool);
unsigned atl_pool_busy(const struct atl_pool *pool);

#endif
