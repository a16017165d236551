/* queue.c - transactions that wait for a database thread, and those threads.
 *
 * Group commit: the writer takes everything that waits (up to ATL_DB_GROUP_MAX), runs each transaction under its own
 * savepoint in one BEGIN .. COMMIT, and only after the commit tells the callers. So one wait for the disk serves all
 * who came while the last one was under way. If the commit fails, or the database gives the transaction up, every
 * caller of the group gets the error: nothing of it was kept.
 */
#include <stdlib.h>

#include "base/log.h"
#include "db/internal.h"

static _Thread_local bool on_queue_thread;

bool atl_queue_thread(void)
{
	return on_queue_thread;
}

enum atl_err atl_queue_add(struct atl_db *db, struct atl_db_task *task, struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;
	bool wake = false;

	task->next = NULL;
	pthread_mutex_lock(&db->queue_lock);
	if (db->closing) {
		err = ATL_ERR_SHUTDOWN;
	} else if (atomic_load_explicit(&db->queue_depth, memory_order_relaxed) >= ATL_DB_QUEUE_MAX) {
		err = ATL_ERR_DB_BUSY;
	} else {
		*db->queue_last = task;
		db->queue_last = &task->next;
		atomic_fetch_add_explicit(&db->queue_depth, 1, memory_order_relaxed);
		wake = db->threads_asleep > 0;
	}
	pthread_mutex_unlock(&db->queue_lock);
	if (wake)
		pthread_cond_signal(&db->queue_filled);
	if (err == ATL_ERR_SHUTDOWN)
		return atl_fail(info, err, "The database is being closed.");
	if (err)
		return atl_fail(info, err, "%d writes are waiting already.", ATL_DB_QUEUE_MAX);
	return ATL_OK;
}

/* Up to `max` tasks, oldest first; waits for one. NULL: closing, and nothing is left. */
static struct atl_db_task *take_waiting(struct atl_db *db, int max)
{
	struct atl_db_task *first, *last;
	size_t count = 1;

	pthread_mutex_lock(&db->queue_lock);
	while (!db->queue_first && !db->closing) {
		db->threads_asleep++;
		pthread_cond_wait(&db->queue_filled, &db->queue_lock);
		db->threads_asleep--;
	}
	first = last = db->queue_first;
	if (first) {
		while (last->next && count < (size_t)max) {
			last = last->next;
			count++;
		}
		db->queue_first = last->next;
		if (!db->queue_first)
			db->queue_last = &db->queue_first;
		last->next = NULL;
		atomic_fetch_sub_explicit(&db->queue_depth, count, memory_order_relaxed);
	}
	pthread_mutex_unlock(&db->queue_lock);
	return first;
}

/* Tell the caller. A synchronous task is on the caller's stack: gone once the semaphore is posted. */
static void finish(struct atl_db_task *task)
{
	if (!task->done) {
		sem_post(task->finished);
		return;
	}
	/* done() gets no detail: here it stops travelling. */
	if (task->err)
		atl_warn("db", "a queued write failed: %s: %s", atl_err_name(task->err), task->info->detail);
	task->done(task->arg, task->err);
	free(task);
}

/* One task under its savepoint. False: the whole transaction is lost. */
static bool run_in_group(struct atl_conn *conn, struct atl_db_task *task)
{
	enum atl_err err = conn->driver->savepoint(conn, task->info);

	task->err = err;
	if (err)
		return false;
	atl_conn_reset(conn);
	task->err = atl_conn_call(conn, task->fn, task->arg, task->info);
	if (!task->err)
		task->err = conn->driver->release(conn, task->info);
	if (!task->err)
		return true;
	/* A failing undo has a detail of its own, less telling than what made fn fail. */
	return conn->driver->undo(conn, NULL) == ATL_OK;
}

static void run_group(struct atl_db *db, struct atl_db_task *group)
{
	struct atl_conn *conn = db->writer;
	struct atl_errinfo info = { 0 };
	enum atl_err err = conn->driver->begin(conn, &info);
	struct atl_db_task *task, *next;

	for (task = group; task && !err; task = task->next) {
		if (!run_in_group(conn, task)) {
			err = atl_fail(&info, task->err ? task->err : ATL_ERR_DB, "The database gave the transaction up (%s).",
				       task->info && task->info->detail[0] ? task->info->detail : atl_err_sentence(task->err));
			conn->driver->rollback(conn);
		}
	}
	if (!err)
		err = conn->driver->commit(conn, &info);
	for (task = group; task; task = next) {
		next = task->next;
		/* One that failed by itself keeps its own error. */
		if (err && !task->err)
			task->err = atl_fail(task->info, err, "%s", info.detail);
		finish(task);
	}
}

/* Takes those that want no transaction out of the group. */
static struct atl_db_task *take_outside(struct atl_db_task **group)
{
	struct atl_db_task *first = NULL, **last = &first;

	while (*group) {
		struct atl_db_task *task = *group;

		if (!task->outside) {
			group = &task->next;
			continue;
		}
		*group = task->next;
		task->next = NULL;
		*last = task;
		last = &task->next;
	}
	return first;
}

static void *writer_main(void *arg)
{
	struct atl_db *db = arg;
	struct atl_db_task *group, *outside, *next;

	on_queue_thread = true;
	while ((group = take_waiting(db, ATL_DB_GROUP_MAX))) {
		outside = take_outside(&group);
		if (group)
			run_group(db, group);
		for (; outside; outside = next) {
			next = outside->next;
			outside->err = outside->fn(db->writer, outside->arg, outside->info);
			finish(outside);
		}
	}
	return NULL;
}

static void *async_main(void *arg)
{
	struct atl_db *db = arg;
	struct atl_db_task *task;

	on_queue_thread = true;
	while ((task = take_waiting(db, 1))) {
		task->err = atl_db_run(db, ATL_CONN_WRITER, task->fn, task->arg, task->info);
		finish(task);
	}
	return NULL;
}

enum atl_err atl_queue_start(struct atl_db *db, struct atl_errinfo *info)
{
	int wanted = db->driver->group_commit ? 1 : ATL_DB_ASYNC_THREADS;

	pthread_mutex_init(&db->queue_lock, NULL);
	pthread_cond_init(&db->queue_filled, NULL);
	db->queue_last = &db->queue_first;
	while (db->thread_count < wanted) {
		if (pthread_create(&db->threads[db->thread_count], NULL, db->driver->group_commit ? writer_main : async_main,
				   db) != 0) {
			atl_queue_stop(db);
			return atl_fail(info, ATL_ERR_NOMEM, "start a database thread: the system refused");
		}
		db->thread_count++;
	}
	return ATL_OK;
}

void atl_queue_stop(struct atl_db *db)
{
	pthread_mutex_lock(&db->queue_lock);
	db->closing = true;
	pthread_mutex_unlock(&db->queue_lock);
	pthread_cond_broadcast(&db->queue_filled);
	for (int i = 0; i < db->thread_count; i++)
		pthread_join(db->threads[i], NULL);
	db->thread_count = 0;
	pthread_cond_destroy(&db->queue_filled);
	pthread_mutex_destroy(&db->queue_lock);
}
