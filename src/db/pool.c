/* pool.c - connections lent to one thread at a time; opened when needed, kept until close. */
#include <errno.h>
#include <time.h>

#include "base/crypto.h"
#include "db/internal.h"

static struct timespec deadline_after(uint64_t ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)(ms / 1000);
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

void atl_pool_init(struct atl_db *db)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&db->pool_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&db->pool_returned, &attr);
	pthread_cond_init(&db->pool_pause, &attr);
	pthread_condattr_destroy(&attr);
}

void atl_pool_finish(struct atl_db *db)
{
	while (db->idle) {
		struct atl_conn *conn = db->idle;

		db->idle = conn->next;
		db->driver->disconnect(conn);
	}
	pthread_cond_destroy(&db->pool_returned);
	pthread_cond_destroy(&db->pool_pause);
	pthread_mutex_destroy(&db->pool_lock);
}

enum atl_err atl_pool_take(struct atl_db *db, enum atl_conn_role role, struct atl_conn **ret, struct atl_errinfo *info)
{
	struct timespec deadline = deadline_after(ATL_DB_WAIT_MS);
	struct atl_conn *conn;
	int waited = 0;
	enum atl_err err;

	pthread_mutex_lock(&db->pool_lock);
	while (db->lent >= db->driver->connections_max && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&db->pool_returned, &db->pool_lock, &deadline);
	if (db->lent >= db->driver->connections_max) {
		pthread_mutex_unlock(&db->pool_lock);
		return atl_fail(info, ATL_ERR_DB_BUSY, "No database connection became free within %d s.",
				ATL_DB_WAIT_MS / 1000);
	}
	db->lent++;
	conn = db->idle; /* the one used last: its caches are warm */
	if (conn)
		db->idle = conn->next;
	pthread_mutex_unlock(&db->pool_lock);
	if (!conn) {
		err = db->driver->connect(db->url, role, &conn, info);
		if (err) {
			pthread_mutex_lock(&db->pool_lock);
			db->lent--;
			pthread_cond_signal(&db->pool_returned);
			pthread_mutex_unlock(&db->pool_lock);
			return err;
		}
	}
	conn->role = role;
	*ret = conn;
	return ATL_OK;
}

void atl_pool_give(struct atl_db *db, struct atl_conn *conn)
{
	struct atl_conn *drop = NULL;

	pthread_mutex_lock(&db->pool_lock);
	db->lent--;
	if (conn->broken) { /* the server went away, and with it every other connection */
		conn->next = db->idle;
		drop = conn;
		db->idle = NULL;
	} else {
		conn->next = db->idle;
		db->idle = conn;
	}
	pthread_cond_signal(&db->pool_returned);
	pthread_mutex_unlock(&db->pool_lock);
	while (drop) {
		struct atl_conn *next = drop->next;

		db->driver->disconnect(drop);
		drop = next;
	}
}

void atl_pool_pause(struct atl_db *db, int attempt)
{
	struct timespec deadline;
	uint32_t random;
	int waited = 0;

	atl_random(&random, sizeof(random));
	deadline = deadline_after(1 + random % (2u << (attempt < 7 ? attempt : 7)));
	pthread_mutex_lock(&db->pool_lock);
	while (waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&db->pool_pause, &db->pool_lock, &deadline);
	pthread_mutex_unlock(&db->pool_lock);
}
