/* test_queue.c - writes that wait for their turn: closing, a full queue, a full disk. */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>

#include "db/driver.h"
#include "drivers.h"

static enum atl_err write_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "INSERT INTO items (id) VALUES (5)", "");
}

struct queued {
	struct atl_db *db;
	int64_t id;
	atomic_int done;
	enum atl_err err, nested;
	sem_t *inside; /* fn posts it */
	sem_t *gate;   /* fn waits for it */
};

static enum atl_err queued_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct queued *queued = arg;

	if (queued->inside)
		sem_post(queued->inside);
	queued->inside = NULL;
	if (queued->gate) {
		while (sem_wait(queued->gate) != 0)
			;
		queued->gate = NULL;
	}
	return atl_exec(conn, info, "INSERT INTO items (id) VALUES (?)", "i", queued->id);
}

static void queued_done(void *arg, enum atl_err err)
{
	struct queued *queued = arg;

	queued->err = err;
	queued->nested = atl_db_tx(queued->db, write_tx, NULL, NULL);
	atomic_fetch_add(&queued->done, 1);
}

#define QUEUED 300

static void close_finishes_what_waits(void **state)
{
	static struct queued queued[QUEUED];
	struct fixture *fixture = *state;
	sem_t gate;

	sem_init(&gate, 0, 0);
	for (int i = 0; i < QUEUED; i++) {
		queued[i] = (struct queued){ .db = fixture->db, .id = i == QUEUED - 1 ? 0 : i, .gate = i < 2 ? &gate : NULL };
		assert_int_equal(atl_db_tx_async(fixture->db, queued_tx, &queued[i], queued_done), ATL_OK);
	}
	sem_post(&gate);
	sem_post(&gate);
	fixture_close(fixture);
	for (int i = 0; i < QUEUED; i++)
		assert_int_equal(atomic_load(&queued[i].done), 1);
	/* ids 0 and 0: which of the two was first depends on the driver's threads */
	for (int i = 1; i < QUEUED - 1; i++)
		assert_int_equal(queued[i].err, ATL_OK);
	assert_int_not_equal(queued[0].err == ATL_OK, queued[QUEUED - 1].err == ATL_OK);
	assert_int_equal(queued[5].nested, ATL_ERR_INTERNAL);
	sem_destroy(&gate);
	fixture_open(fixture);
	assert_int_equal(number_of(fixture->db, "SELECT count(*) FROM items"), QUEUED - 1);
}

static void a_full_queue_says_busy(void **state)
{
	static struct queued queued[ATL_DB_QUEUE_MAX + 2];
	struct fixture *fixture = *state;
	sem_t gate, inside;
	int accepted = 1;
	size_t depth;
	enum atl_err err, waiting_err;

	sem_init(&gate, 0, 0);
	sem_init(&inside, 0, 0);
	queued[0] = (struct queued){ .db = fixture->db, .gate = &gate, .inside = &inside };
	err = atl_db_tx_async(fixture->db, queued_tx, &queued[0], queued_done);
	assert_int_equal(err, ATL_OK);
	sem_wait(&inside); /* the writer is busy with the first and takes nothing more until the gate opens */
	while (!err && accepted < (int)ATL_COUNT(queued)) {
		queued[accepted] = (struct queued){ .db = fixture->db, .id = accepted };
		err = atl_db_tx_async(fixture->db, queued_tx, &queued[accepted], queued_done);
		accepted += !err;
	}
	depth = atl_db_queue_depth(fixture->db);
	waiting_err = try_execute(fixture->db, "DELETE FROM items", NULL);
	sem_post(&gate); /* before any assertion: what fails must not leave the writer waiting */
	fixture_close(fixture);
	assert_int_equal(err, ATL_ERR_DB_BUSY);
	assert_int_equal(waiting_err, ATL_ERR_DB_BUSY);
	assert_int_equal(depth, ATL_DB_QUEUE_MAX);
	assert_int_equal(accepted, ATL_DB_QUEUE_MAX + 1);
	fixture_open(fixture);
	assert_int_equal(number_of(fixture->db, "SELECT count(*) FROM items"), accepted);
	sem_destroy(&gate);
	sem_destroy(&inside);
}

static enum atl_err large_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct queued *queued = arg;

	return atl_exec(conn, info, "INSERT INTO items (id, data) VALUES (?, zeroblob(4000000))", "i", queued->id);
}

/* Three in one commit, and the middle one fills the disk: what was acknowledged is there, what failed is not. */
static void a_full_disk_fails_only_what_is_told(void **state)
{
	static struct queued queued[4];
	struct fixture *fixture = *state;
	enum atl_err errs[4];
	sem_t gate, inside;
	char sql[80];

	sem_init(&gate, 0, 0);
	sem_init(&inside, 0, 0);
	execute(fixture->db, "PRAGMA max_page_count = 100");
	for (int i = 0; i < 4; i++)
		queued[i] = (struct queued){ .db = fixture->db, .id = i + 1 };
	queued[0].gate = &gate;
	queued[0].inside = &inside;
	errs[0] = atl_db_tx_async(fixture->db, queued_tx, &queued[0], queued_done);
	assert_int_equal(errs[0], ATL_OK);
	sem_wait(&inside);
	for (int i = 1; i < 4; i++)
		errs[i] = atl_db_tx_async(fixture->db, i == 2 ? large_tx : queued_tx, &queued[i], queued_done);
	sem_post(&gate);
	fixture_close(fixture);
	fixture_open(fixture);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(errs[i], ATL_OK);
		assert_int_equal(atomic_load(&queued[i].done), 1);
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM items WHERE id = %d", i + 1);
		assert_int_equal(number_of(fixture->db, sql), queued[i].err == ATL_OK);
	}
	assert_int_equal(queued[0].err, ATL_OK);
	assert_int_equal(queued[2].err, ATL_ERR_DISK);
	execute(fixture->db, "INSERT INTO items (id) VALUES (50)");
	sem_destroy(&gate);
	sem_destroy(&inside);
}

int main(void)
{
	static const struct CMUnitTest first[] = {
		ROW(close_finishes_what_waits, sqlite, items_create, items_destroy),
		ROW(a_full_queue_says_busy, sqlite, items_create, items_destroy),
		ROW(a_full_disk_fails_only_what_is_told, sqlite, items_create, items_destroy),
	};
	static const struct CMUnitTest more[] = { ROW(close_finishes_what_waits, postgres, items_create, items_destroy) };

	return run_on_drivers("queue", first, ATL_COUNT(first), more, ATL_COUNT(more));
}
