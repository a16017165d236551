/* bench_db.c - durable appends and reads per second.
 *
 * usage: bench_db URL [threads] [seconds]
 *
 * Makes the table bench_items anew in the named database and drops it at the end. Each append is one row in its own
 * transaction, acknowledged after its commit; each read is one row by its key in its own snapshot.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/str.h"
#include "db/db.h"

#define THREADS_MAX 256

struct client {
	struct atl_db *db;
	atl_db_fn fn;
	bool write;
	int64_t first, now, done;
	uint64_t until_us;
	uint64_t slowest_us;
	enum atl_err err;
	struct atl_errinfo info;
};

static enum atl_err append_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct client *client = arg;

	return atl_exec(conn, info, "INSERT INTO bench_items (id, text, created_at) VALUES (?, ?, ?)", "isi", client->now,
			"A line of a conversation, about as long as people write when they are not in a hurry.", atl_now_ms());
}

static enum atl_err read_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct client *client = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT created_at FROM bench_items WHERE id = ?", "i", client->now);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "row %lld is lost", (long long)client->now);
	atl_rows_close(rows);
	return ATL_OK;
}

static void *client_main(void *arg)
{
	struct client *client = arg;
	int64_t span = client->done ? client->done : INT64_MAX; /* reads go round over what was written */
	uint64_t start = atl_monotonic_us();

	for (client->done = 0; start < client->until_us && !client->err; client->done++) {
		uint64_t end;

		client->now = client->first + client->done % span;
		client->err = client->write ? atl_db_tx(client->db, client->fn, client, &client->info) :
					      atl_db_read(client->db, client->fn, client, &client->info);
		end = atl_monotonic_us();
		if (end - start > client->slowest_us)
			client->slowest_us = end - start;
		start = end;
	}
	return NULL;
}

static double cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return 1e6 * (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* False: a client failed. */
static bool measure(const char *name, struct client *clients, int threads, int64_t seconds)
{
	pthread_t ids[THREADS_MAX];
	double cpu = cpu_us();
	uint64_t start = atl_monotonic_us(), slowest = 0, wall;
	int64_t done = 0;

	for (int i = 0; i < threads; i++) {
		clients[i].until_us = start + (uint64_t)seconds * 1000000;
		clients[i].slowest_us = 0;
		if (pthread_create(&ids[i], NULL, client_main, &clients[i]) != 0)
			return false;
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		done += clients[i].done;
		if (clients[i].slowest_us > slowest)
			slowest = clients[i].slowest_us;
		if (clients[i].err) {
			fprintf(stderr, "%s: %s: %s\n", name, atl_err_name(clients[i].err), clients[i].info.detail);
			return false;
		}
	}
	wall = atl_monotonic_us() - start;
	printf("%-8s threads=%d ops=%lld ops_per_s=%.0f cpu_us_per_op=%.1f slowest_ms=%.1f\n", name, threads, (long long)done,
	       1e6 * (double)done / (double)wall, (cpu_us() - cpu) / (double)(done ? done : 1), (double)slowest / 1000);
	return true;
}

static enum atl_err statement_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, arg, "");
}

int main(int argc, char **argv)
{
	static struct client clients[THREADS_MAX];
	static char drop[] = "DROP TABLE IF EXISTS bench_items";
	static char create[] = "CREATE TABLE bench_items (id BIGINT PRIMARY KEY, text TEXT NOT NULL, created_at BIGINT NOT NULL)";
	struct atl_errinfo info = { 0 };
	int64_t threads = 64, seconds = 5;
	struct atl_db *db;
	bool good = true;
	enum atl_err err;

	if (argc < 2 || (argc > 2 && !atl_str_i64(argv[2], 1, THREADS_MAX, &threads)) ||
	    (argc > 3 && !atl_str_i64(argv[3], 1, 600, &seconds))) {
		fprintf(stderr, "usage: bench_db URL [threads 1-%d] [seconds]\n", THREADS_MAX);
		return 2;
	}
	err = atl_db_open(argv[1], &db, &info);
	if (err)
		goto out;
	err = atl_db_tx(db, statement_tx, drop, &info);
	if (!err)
		err = atl_db_tx(db, statement_tx, create, &info);
	for (int64_t i = 0; i < threads; i++)
		clients[i] = (struct client){ .db = db, .fn = append_tx, .write = true, .first = i * 100000000 };
	good = !err && measure("appends", clients, (int)threads, seconds);
	for (int64_t i = 0; i < threads; i++) {
		clients[i].write = false;
		clients[i].fn = read_fn;
	}
	good = good && measure("reads", clients, (int)threads, seconds);
	if (!err)
		err = atl_db_tx(db, statement_tx, drop, &info);
	atl_db_close(db);
out:
	if (err)
		fprintf(stderr, "bench_db: %s: %s\n", atl_err_name(err), info.detail);
	return err || !good ? 1 : 0;
}
