/* internal.h - how the parts of src/db that no driver sees fit together: the pool of connections and the queue.
 *
 * pool:  lends connections, at most connections_max at once; a connection that broke is closed instead of kept.
 * queue: what waits for a database thread. With group commit the writer thread takes everything that waits; without,
 *        a few threads run asynchronous transactions one by one.
 *
 * Threads: both structures are guarded by their lock; a queued task belongs to the queue until it is done.
 */
#ifndef ATL_DB_INTERNAL_H
#define ATL_DB_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "db/driver.h"

#define ATL_DB_WAIT_MS 10000	  /* longest wait for a connection */
#define ATL_DB_TURNS_AFTER 3	  /* runs; from then on the unlucky ones take turns instead of colliding again */
#define ATL_DB_TRIES_MAX 30	  /* runs of one transaction that others get in the way of */
#define ATL_DB_GROUP_MAX 256	  /* transactions in one commit */
#define ATL_DB_ASYNC_THREADS 2	  /* without group commit */

struct atl_db_task {
	struct atl_db_task *next;
	atl_db_fn fn;
	void *arg;
	struct atl_errinfo *info;
	enum atl_err err;
	bool outside; /* fn runs after the group's commit, in no transaction; group commit only */
	void (*done)(void *arg, enum atl_err err); /* asynchronous: the task is on the heap */
	sem_t *finished;			   /* synchronous: the task is on the caller's stack */
};

struct atl_db {
	/* set at open */
	const struct atl_driver *driver;
	char *url;
	pthread_t threads[ATL_DB_ASYNC_THREADS];
	int thread_count;
	struct atl_conn *writer; /* the writer thread only; NULL without group commit */

	/* guarded by queue_lock */
	pthread_mutex_t queue_lock;
	pthread_cond_t queue_filled;
	struct atl_db_task *queue_first, **queue_last;
	int threads_asleep;
	bool closing;
	atomic_size_t queue_depth; /* read without the lock */

	/* guarded by pool_lock */
	pthread_mutex_t pool_lock;
	pthread_cond_t pool_returned;
	pthread_cond_t pool_pause; /* never signalled: a wait that ends by its deadline */
	struct atl_conn *idle;
	int lent;
};

/* ---- pool.c ---- */
void atl_pool_init(struct atl_db *db);
void atl_pool_finish(struct atl_db *db); /* closes idle connections; none may be lent */
/* Errors: DB_BUSY after ATL_DB_WAIT_MS, and what opening a connection reports. */
enum atl_err atl_pool_take(struct atl_db *db, enum atl_conn_role role, struct atl_conn **ret,
			   struct atl_errinfo *info) ATL_MUST_USE;
void atl_pool_give(struct atl_db *db, struct atl_conn *conn); /* closes it when it is broken, and then all idle ones */
/* Let others go first before run `attempt` (1: the second run) of a transaction. */
void atl_pool_pause(struct atl_db *db, int attempt);

/* ---- queue.c ---- */
enum atl_err atl_queue_start(struct atl_db *db, struct atl_errinfo *info) ATL_MUST_USE;
void atl_queue_stop(struct atl_db *db); /* finishes what waits */
enum atl_err atl_queue_add(struct atl_db *db, struct atl_db_task *task, struct atl_errinfo *info) ATL_MUST_USE;
bool atl_queue_thread(void); /* is this thread one of a database's? */

/* ---- db.c ---- one transaction on a connection of the pool, run again where the driver says so */
enum atl_err atl_db_run(struct atl_db *db, enum atl_conn_role role, atl_db_fn fn, void *arg, struct atl_errinfo *info);

#endif
