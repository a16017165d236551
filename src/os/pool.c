/* pool.c - a bounded queue and its threads. */
#include "os/pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "os/internal.h"

struct item {
	void (*fn)(void *arg);
	void *arg;
};

struct atl_pool {
	/* set at create */
	unsigned threads;
	size_t queue_max;
	pthread_t *ids;
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t wake, idle;
	struct item *ring;
	size_t head, count;
	unsigned busy;
	bool ending;
};

static void *pool_main(void *arg)
{
	struct atl_pool *pool = arg;
	pthread_setname_np(pthread_self(), "pool");
	atl_signals_block();
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (pool->count == 0 && !pool->ending)
			pthread_cond_wait(&pool->wake, &pool->lock);
		if (pool->count == 0)
			break;
		struct item item = pool->ring[pool->head];
		pool->head = (pool->head + 1) % pool->queue_max;
		pool->count--;
		pool->busy++;
		pthread_mutex_unlock(&pool->lock);
		item.fn(item.arg);
		pthread_mutex_lock(&pool->lock);
		if (--pool->busy == 0 && pool->count == 0)
			pthread_cond_broadcast(&pool->idle);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

enum atl_err atl_pool_create(unsigned threads, size_t queue_max, struct atl_pool **ret, struct atl_errinfo *info)
{
	if (threads == 0 || queue_max == 0)
		return atl_fail(info, ATL_ERR_INVALID, "a pool needs at least one thread and one place in the queue");
	struct atl_pool *pool = calloc(1, sizeof(*pool));
	if (!pool)
		return atl_fail(info, ATL_ERR_NOMEM, "no memory for a pool");
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	pthread_cond_init(&pool->idle, NULL);
	pool->queue_max = queue_max;
	pool->ids = calloc(threads, sizeof(*pool->ids));
	pool->ring = calloc(queue_max, sizeof(*pool->ring));
	bool ok = pool->ids && pool->ring;
	for (unsigned i = 0; ok && i < threads; i++) {
		ok = pthread_create(&pool->ids[i], NULL, pool_main, pool) == 0;
		pool->threads += ok;
	}
	if (!ok) {
		atl_pool_destroy(pool);
		return atl_fail(info, ATL_ERR_UNAVAILABLE, "%u pool threads cannot be started", threads);
	}
	*ret = pool;
	return ATL_OK;
}

void atl_pool_destroy(struct atl_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->threads; i++)
		pthread_join(pool->ids[i], NULL);
	pthread_cond_destroy(&pool->idle);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	free(pool->ring);
	free(pool->ids);
	free(pool);
}

enum atl_err atl_pool_submit(struct atl_pool *pool, void (*fn)(void *arg), void *arg)
{
	enum atl_err err = ATL_OK;
	pthread_mutex_lock(&pool->lock);
	if (pool->ending) {
		err = ATL_ERR_SHUTDOWN;
	} else if (pool->count == pool->queue_max) {
		err = ATL_ERR_UNAVAILABLE;
	} else {
		pool->ring[(pool->head + pool->count) % pool->queue_max] = (struct item){.fn = fn, .arg = arg};
		pool->count++;
		pthread_cond_signal(&pool->wake);
	}
	pthread_mutex_unlock(&pool->lock);
	return err;
}

void atl_pool_quiesce(struct atl_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->count || pool->busy)
		pthread_cond_wait(&pool->idle, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

size_t atl_pool_queue_depth(const struct atl_pool *pool)
{
	struct atl_pool *self = (struct atl_pool *)pool; /* only the lock changes */
	pthread_mutex_lock(&self->lock);
	size_t count = self->count;
	pthread_mutex_unlock(&self->lock);
	return count;
}

unsigned atl_pool_busy(const struct atl_pool *pool)
{
	struct atl_pool *self = (struct atl_pool *)pool;
	pthread_mutex_lock(&self->lock);
	unsigned busy = self->busy;
	pthread_mutex_unlock(&self->lock);
	return busy;
}
