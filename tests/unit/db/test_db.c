/* test_db.c - what atl_db promises, on every driver: values, transactions, threads, errors, messages. */
#include <float.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "db/driver.h"
#include "drivers.h"

/* ---- values ---- */

struct value {
	int64_t id;
	const char *name;
	double number;
	const void *data;
	size_t length;
	int64_t at;
};

static const struct value values[] = {
	{ 0, NULL, 0, NULL, 0, 0 },
	{ INT64_MAX, "", -0.5, "", 0, INT64_MAX },
	{ INT64_MIN, "G\xc3\xbc\xc3\x9f" "e \xf0\x9f\x8e\xa8 \xe4\xb8\xad", DBL_MAX, "\0\1\xff\0", 4, INT64_MIN },
	{ -1, "it's \"quoted\" ? $1 -- /* \\ %s", DBL_MIN, "?'\\x", 4, -1 },
	{ 1, "line\nbreak\ttab", 0.1, "\0", 1, 1 },
};

static enum atl_err insert_values(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	for (size_t i = 0; i < ATL_COUNT(values); i++) {
		const struct value *v = &values[i];
		enum atl_err err = atl_exec(conn, info, "INSERT INTO items (id, name, number, data, at, place) VALUES (?, ?, ?, ?, ?, ?)",
					    "isdbtn", v->id, v->name, v->number, v->data, v->length, v->at);
		if (err)
			return err;
	}
	return ATL_OK;
}

static enum atl_err check_values(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_arena arena;
	enum atl_err err = ATL_OK;

	atl_arena_init(&arena, 0);
	for (size_t i = 0; i < ATL_COUNT(values); i++) {
		const struct value *v = &values[i];
		struct atl_rows *rows;
		const char *name;
		const void *data;
		size_t length;

		err = atl_query(conn, &rows, info, "SELECT id, name, number, data, at, place FROM items WHERE id = ?", "i", v->id);
		assert_int_equal(err, ATL_OK);
		assert_true(atl_rows_next(rows, &err, info));
		assert_int_equal(atl_col_int(rows, 0), v->id);
		name = atl_col_text(rows, 1, &arena);
		assert_int_equal(atl_col_null(rows, 1), !v->name);
		if (v->name)
			assert_string_equal(name, v->name);
		else
			assert_null(name);
		assert_true(atl_col_num(rows, 2) == v->number);
		data = atl_col_blob(rows, 3, &arena, &length);
		assert_int_equal(length, v->length);
		assert_int_equal(atl_col_null(rows, 3), !v->data);
		if (v->data)
			assert_memory_equal(data, v->data, length);
		else
			assert_null(data);
		assert_int_equal(atl_col_null(rows, 4), v->at == 0);
		assert_int_equal(atl_col_int(rows, 4), v->at);
		assert_true(atl_col_null(rows, 5));
		assert_int_equal(atl_col_int(rows, 5), 0);
		assert_false(atl_rows_next(rows, &err, info));
		assert_int_equal(err, ATL_OK);
	}
	atl_arena_finish(&arena);
	return err;
}

static void values_come_back(void **state)
{
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_tx(db_of(state), insert_values, NULL, &info), &info);
	assert_ok(atl_db_read(db_of(state), check_values, NULL, &info), &info);
	assert_ok(atl_db_ping(db_of(state), &info), &info);
}

static enum atl_err read_into_small_arena(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT name FROM items WHERE id = 1", "");

	assert_int_equal(err, ATL_OK);
	assert_true(atl_rows_next(rows, &err, info));
	atl_arena_init(&arena, 1);
	assert_null(atl_col_text(rows, 0, &arena));
	atl_arena_finish(&arena);
	return ATL_OK;
}

/* A text for which there is no memory must not pass for a null. */
static void full_arena_fails_the_read(void **state)
{
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_tx(db_of(state), insert_values, NULL, &info), &info);
	assert_int_equal(atl_db_read(db_of(state), read_into_small_arena, NULL, &info), ATL_ERR_NOMEM);
}

/* ---- parameters ---- */

struct bad {
	int which;
};

static enum atl_err bad_parameters(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	static const char sql[] = "INSERT INTO items (id, name) VALUES (?, ?)";
	char *large;
	enum atl_err err;

	switch (((struct bad *)arg)->which) {
	case 0:
		return atl_exec(conn, info, sql, "i", (int64_t)1);
	case 1:
		return atl_exec(conn, info, sql, "isi", (int64_t)1, "a", (int64_t)2);
	case 2:
		return atl_exec(conn, info, sql, "ix", (int64_t)1, "a");
	case 3:
		return atl_exec(conn, info, sql, "is", (int64_t)1, "\xff\xfe");
	case 4:
		large = malloc(ATL_DB_TEXT_MAX + 2);
		assert_non_null(large);
		memset(large, 'a', ATL_DB_TEXT_MAX + 1);
		large[ATL_DB_TEXT_MAX + 1] = '\0';
		err = atl_exec(conn, info, sql, "is", (int64_t)1, large);
		free(large);
		return err;
	case 5:
		return atl_exec(conn, info, "INSERT INTO items (id) VALUES (1); DELETE FROM items", "");
	case 6:
		return atl_exec(conn, info, "INSERT INTO no_such_table VALUES (1)", "");
	default:
		return atl_exec(conn, info, "SELECT 'a?b', \"id\" /* ? */ FROM items WHERE id = ? -- ?\n", "i", (int64_t)1);
	}
}

static void bad_parameters_are_refused(void **state)
{
	static const enum atl_err expected[] = { ATL_ERR_INTERNAL, ATL_ERR_INTERNAL, ATL_ERR_INTERNAL, ATL_ERR_ENCODING,
						 ATL_ERR_TOO_LARGE };

	for (int i = 0; i <= 6; i++) {
		struct bad bad = { i };
		struct atl_errinfo info = { 0 };
		enum atl_err err = atl_db_tx(db_of(state), bad_parameters, &bad, &info);

		if ((size_t)i < ATL_COUNT(expected))
			assert_int_equal(err, expected[i]);
		assert_int_not_equal(err, ATL_OK);
		assert_true(info.detail[0]);
	}
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items"), 0);
}

static void question_marks_in_quotes_are_text(void **state)
{
	struct bad bad = { 7 };
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_tx(db_of(state), bad_parameters, &bad, &info), &info);
}

/* ---- transactions ---- */

struct append {
	struct atl_db *db;
	int64_t first, count;
	bool fail_odd;
	int64_t now; /* of the run */
	enum atl_err err;
};

static enum atl_err append_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct append *append = arg;
	enum atl_err err = atl_exec(conn, info, "INSERT INTO items (id, name) VALUES (?, ?)", "is", append->now, "appended");

	if (!err && append->fail_odd && append->now % 2)
		return atl_fail(info, ATL_ERR_CONFLICT, "odd %lld", (long long)append->now);
	return err;
}

static void *append_main(void *arg)
{
	struct append *append = arg;

	for (int64_t i = 0; i < append->count && !append->err; i++) {
		struct atl_errinfo info = { 0 };
		char detail[40];

		append->now = append->first + i;
		append->err = atl_db_tx(append->db, append_tx, append, &info);
		snprintf(detail, sizeof(detail), "odd %lld", (long long)append->now);
		if (append->fail_odd && append->now % 2 && append->err == ATL_ERR_CONFLICT && strcmp(info.detail, detail) == 0)
			append->err = ATL_OK;
	}
	return NULL;
}

#define THREADS 64

static void append_from_threads(struct atl_db *db, int64_t count, bool fail_odd)
{
	static struct append appends[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		appends[i] = (struct append){ .db = db, .first = i * count, .count = count, .fail_odd = fail_odd };
		assert_int_equal(pthread_create(&threads[i], NULL, append_main, &appends[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(appends[i].err, ATL_OK);
	}
}

static void no_append_is_lost(void **state)
{
	struct fixture *fixture = *state;
	int64_t count = on_postgres(state) ? 40 : 200;

	append_from_threads(fixture->db, count, false);
	assert_int_equal(number_of(fixture->db, "SELECT count(*) FROM items"), THREADS * count);
	assert_int_equal(atl_db_queue_depth(fixture->db), 0);
	fixture_close(fixture);
	fixture_open(fixture);
	assert_int_equal(number_of(fixture->db, "SELECT count(*) FROM items"), THREADS * count);
}

static void a_failed_one_leaves_the_others(void **state)
{
	append_from_threads(db_of(state), 20, true);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items"), THREADS * 10);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items WHERE id % 2 <> 0"), 0);
}

static enum atl_err increment_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	int64_t place;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT place FROM items WHERE id = ?", "i", (int64_t)1);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : ATL_ERR_NOT_FOUND;
	place = atl_col_int(rows, 0);
	atl_rows_close(rows);
	return atl_exec(conn, info, "UPDATE items SET place = ? WHERE id = ?", "ii", place + 1, (int64_t)1);
}

static void *increment_main(void *arg)
{
	struct append *append = arg;

	for (int64_t i = 0; i < append->count;) {
		enum atl_err err = atl_db_tx(append->db, increment_tx, NULL, NULL);

		if (err && !atl_err_retryable(err)) {
			append->err = err;
			return NULL;
		}
		i += err == ATL_OK;
	}
	return NULL;
}

static void read_then_write_is_atomic(void **state)
{
	struct append appends[4];
	pthread_t threads[4];

	execute(db_of(state), "INSERT INTO items (id, place) VALUES (1, 0)");
	for (int i = 0; i < 4; i++) {
		appends[i] = (struct append){ .db = db_of(state), .count = 25 };
		assert_int_equal(pthread_create(&threads[i], NULL, increment_main, &appends[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(appends[i].err, ATL_OK);
	}
	assert_int_equal(number_of(db_of(state), "SELECT place FROM items WHERE id = 1"), 100);
}

struct snapshot {
	struct atl_db *db;
	int64_t before, during;
};

static void *insert_main(void *arg)
{
	execute(arg, "INSERT INTO items (id) VALUES (77)");
	return NULL;
}

static enum atl_err count_items(struct atl_conn *conn, int64_t *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT count(*) FROM items", "");

	if (!err && atl_rows_next(rows, &err, info)) {
		*ret = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	return err;
}

static enum atl_err snapshot_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct snapshot *snapshot = arg;
	pthread_t thread;
	enum atl_err err = count_items(conn, &snapshot->before, info);

	if (err)
		return err;
	assert_int_equal(pthread_create(&thread, NULL, insert_main, snapshot->db), 0);
	pthread_join(thread, NULL);
	return count_items(conn, &snapshot->during, info);
}

static void readers_see_a_snapshot(void **state)
{
	struct snapshot snapshot = { .db = db_of(state), .before = -1, .during = -1 };
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_read(db_of(state), snapshot_read, &snapshot, &info), &info);
	assert_int_equal(snapshot.before, 0);
	assert_int_equal(snapshot.during, 0);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items"), 1);
}

static enum atl_err write_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "INSERT INTO items (id) VALUES (5)", "");
}

static void readers_cannot_write(void **state)
{
	struct atl_errinfo info = { 0 };

	assert_int_not_equal(atl_db_read(db_of(state), write_tx, NULL, &info), ATL_OK);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items"), 0);
}

static void never(void *arg, enum atl_err err)
{
	abort();
}

static enum atl_err nested_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_errinfo inner = { 0 };

	assert_int_equal(atl_db_tx(arg, write_tx, NULL, &inner), ATL_ERR_INTERNAL);
	assert_true(inner.detail[0]);
	assert_int_equal(atl_db_read(arg, write_tx, NULL, NULL), ATL_ERR_INTERNAL);
	assert_int_equal(atl_db_tx_async(arg, write_tx, NULL, never), ATL_ERR_INTERNAL);
	return write_tx(conn, NULL, info);
}

static void nested_use_is_refused(void **state)
{
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_tx(db_of(state), nested_tx, db_of(state), &info), &info);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items"), 1);
}

/* ---- statements ---- */

static enum atl_err duplicate_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	enum atl_err err = atl_exec(conn, info, "INSERT INTO items (id, place) VALUES (?, ?)", "ii", (int64_t)2, (int64_t)9);

	assert_false(atl_conn_unique_violation(conn));
	assert_int_equal(err, ATL_OK);
	err = atl_exec(conn, info, "INSERT INTO items (id, place) VALUES (?, ?)", "ii", (int64_t)3, (int64_t)9);
	assert_int_equal(err, ATL_ERR_DB);
	assert_true(atl_conn_unique_violation(conn));
	/* From here on the transaction is lost, whatever fn says. */
	assert_int_equal(atl_exec(conn, NULL, "INSERT INTO items (id) VALUES (4)", ""), ATL_ERR_DB);
	return ATL_OK;
}

static void a_failed_statement_ends_the_transaction(void **state)
{
	struct atl_errinfo info = { 0 };

	assert_int_equal(atl_db_tx(db_of(state), duplicate_tx, NULL, &info), ATL_ERR_DB);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items"), 0);
	execute(db_of(state), "INSERT INTO items (id) VALUES (4)");
}

static enum atl_err changes_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	int64_t changed = -1;
	enum atl_err err = atl_exec_count(conn, &changed, info, "INSERT INTO items (id, at) VALUES (1, 1), (2, 1), (3, 2)", "");

	assert_int_equal(err, ATL_OK);
	assert_int_equal(changed, 3);
	err = atl_exec_count(conn, &changed, info, "UPDATE items SET name = ? WHERE at = ?", "si", "x", (int64_t)1);
	assert_int_equal(err, ATL_OK);
	assert_int_equal(changed, 2);
	err = atl_exec_count(conn, &changed, info, "UPDATE items SET name = ? WHERE at = ?", "si", "x", (int64_t)9);
	assert_int_equal(err, ATL_OK);
	assert_int_equal(changed, 0);
	err = atl_exec_count(conn, &changed, info,
			     "INSERT INTO items (id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name", "is",
			     (int64_t)1, "again");
	assert_int_equal(err, ATL_OK);
	assert_int_equal(changed, 1);
	/* Its change is made even if nobody looks at what it returns. */
	err = atl_query(conn, &rows, info, "INSERT INTO items (id) VALUES (?), (?) RETURNING id", "ii", (int64_t)8, (int64_t)9);
	assert_int_equal(err, ATL_OK);
	atl_rows_close(rows);
	err = atl_query(conn, &rows, info, "DELETE FROM items WHERE id = ? RETURNING at", "i", (int64_t)3);
	assert_int_equal(err, ATL_OK);
	assert_true(atl_rows_next(rows, &err, info));
	assert_int_equal(atl_col_int(rows, 0), 2);
	assert_false(atl_rows_next(rows, &err, info));
	return err;
}

static void changes_are_counted(void **state)
{
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_tx(db_of(state), changes_tx, NULL, &info), &info);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items"), 4);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items WHERE name = 'again'"), 1);
}

static enum atl_err same_query_twice(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	static const char sql[] = "SELECT id FROM items WHERE id > ? ORDER BY id";
	char text[sizeof(sql)];
	struct atl_rows *outer, *inner;
	int64_t pairs = 0;
	enum atl_err err;

	memcpy(text, sql, sizeof(sql)); /* another address, the same text */
	err = atl_query(conn, &outer, info, sql, "i", (int64_t)0);
	while (!err && atl_rows_next(outer, &err, info)) {
		err = atl_query(conn, &inner, info, text, "i", atl_col_int(outer, 0));
		while (!err && atl_rows_next(inner, &err, info))
			pairs += atl_col_int(inner, 0) > atl_col_int(outer, 0);
	}
	assert_int_equal(pairs, 3);
	/* These stay open; the end of the transaction closes them. */
	for (int i = 0; !err && i < ATL_DB_OPEN_ROWS_MAX; i++)
		err = atl_query(conn, &inner, info, sql, "i", (int64_t)0);
	assert_int_equal(err, ATL_OK);
	if (arg)
		return atl_query(conn, &inner, info, sql, "i", (int64_t)0);
	return err;
}

static void queries_overlap(void **state)
{
	struct atl_errinfo info = { 0 };

	execute(db_of(state), "INSERT INTO items (id) VALUES (1), (2), (3)");
	assert_ok(atl_db_read(db_of(state), same_query_twice, NULL, &info), &info);
	assert_ok(atl_db_tx(db_of(state), same_query_twice, NULL, &info), &info);
	assert_int_equal(atl_db_read(db_of(state), same_query_twice, state, &info), ATL_ERR_INTERNAL);
	assert_ok(atl_db_read(db_of(state), same_query_twice, NULL, &info), &info);
}

static enum atl_err many_statements(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	char sql[80];

	for (int round = 0; round < 2; round++) {
		for (int64_t i = 0; i < 400; i++) {
			struct atl_rows *rows;
			enum atl_err err;

			snprintf(sql, sizeof(sql), "SELECT %lld + ?", (long long)i); /* one buffer, another text each time */
			err = atl_query(conn, &rows, info, sql, "i", (int64_t)1000);
			if (err)
				return err;
			assert_true(atl_rows_next(rows, &err, info));
			assert_int_equal(atl_col_int(rows, 0), 1000 + i);
			atl_rows_close(rows);
		}
	}
	return ATL_OK;
}

static void more_statements_than_the_cache_holds(void **state)
{
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_read(db_of(state), many_statements, NULL, &info), &info);
	assert_ok(atl_db_tx(db_of(state), many_statements, NULL, &info), &info);
}

static enum atl_err kinds_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	static const char sql[] = "UPDATE items SET name = ?, at = ? WHERE id = 1";
	enum atl_err err = atl_exec(conn, info, sql, "st", "a", (int64_t)5);

	if (!err)
		err = atl_exec(conn, info, sql, "nn");
	if (!err)
		err = atl_exec(conn, info, sql, "st", NULL, (int64_t)0);
	if (!err)
		err = atl_exec(conn, info, sql, "si", "b", (int64_t)0);
	return err;
}

static void one_text_with_several_kinds(void **state)
{
	struct atl_errinfo info = { 0 };

	execute(db_of(state), "INSERT INTO items (id) VALUES (1)");
	assert_ok(atl_db_tx(db_of(state), kinds_tx, NULL, &info), &info);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items WHERE name = 'b' AND at = 0"), 1);
}

static void a_deferred_rule_fails_its_own_transaction(void **state)
{
	struct atl_errinfo info = { 0 };

	execute(db_of(state), "CREATE TABLE parts (id BIGINT PRIMARY KEY, item BIGINT NOT NULL REFERENCES items (id) "
			      "DEFERRABLE INITIALLY DEFERRED)");
	assert_int_equal(try_execute(db_of(state), "INSERT INTO parts (id, item) VALUES (1, 99)", &info), ATL_ERR_DB);
	assert_true(info.detail[0]);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM parts"), 0);
	execute(db_of(state), "INSERT INTO items (id) VALUES (99)");
	execute(db_of(state), "INSERT INTO parts (id, item) VALUES (1, 99)");
}

/* ---- addresses ---- */

static void bad_addresses_are_told(void **state)
{
	static const char *const urls[] = { "", "mysql://x", "sqlite:", "sqlite::memory:",
					    "postgres://user:hunter22pass@[host/x" };
	struct atl_db *db = NULL;

	for (size_t i = 0; i < ATL_COUNT(urls); i++) {
		struct atl_errinfo info = { 0 };

		assert_int_equal(atl_db_open(urls[i], &db, &info), ATL_ERR_CONFIG);
		assert_true(info.detail[0]);
		assert_null(strstr(info.detail, "hunter22pass"));
	}
	assert_int_not_equal(atl_db_open("sqlite:/nonexistent/folder/x.db", &db, NULL), ATL_OK);
	assert_null(db);
	atl_db_close(NULL);
}

/* ---- PostgreSQL alone ---- */

struct broken {
	int runs;
	bool always;
};

static enum atl_err break_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct broken *broken = arg;
	enum atl_err err = write_tx(conn, NULL, info);

	if (!err && (broken->runs++ == 0 || broken->always))
		err = atl_exec(conn, info, "SELECT pg_terminate_backend(pg_backend_pid())", "");
	return err;
}

static void a_broken_connection_is_replaced(void **state)
{
	struct broken broken = { 0 };
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_tx(db_of(state), break_tx, &broken, &info), &info);
	assert_int_equal(broken.runs, 2);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items"), 1);
	broken = (struct broken){ .always = true };
	execute(db_of(state), "DELETE FROM items");
	assert_int_equal(atl_db_tx(db_of(state), break_tx, &broken, &info), ATL_ERR_DB_BUSY);
	assert_int_equal(number_of(db_of(state), "SELECT count(*) FROM items"), 0);
}

static enum atl_err count_runs_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	++*(int *)arg;
	return write_tx(conn, NULL, info);
}

/* A deferred trigger runs inside COMMIT: there it cuts the connection. */
static void an_unknown_commit_is_told_and_not_run_again(void **state)
{
	struct atl_errinfo info = { 0 };
	int runs = 0;

	execute(db_of(state), "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS "
			      "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'");
	execute(db_of(state), "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED "
			      "FOR EACH ROW EXECUTE FUNCTION cut()");
	assert_int_equal(atl_db_tx(db_of(state), count_runs_tx, &runs, &info), ATL_ERR_DB);
	assert_non_null(strstr(info.detail, "not known"));
	assert_int_equal(runs, 1);
	execute(db_of(state), "DROP TRIGGER cut ON items");
	execute(db_of(state), "INSERT INTO items (id) VALUES (6)");
}

/* Another server changed a table under prepared statements. */
static void a_changed_table_is_prepared_anew(void **state)
{
	execute(db_of(state), "INSERT INTO items (id) VALUES (6)");
	assert_int_equal(number_of(db_of(state), "SELECT * FROM items"), 6);
	execute(db_of(state), "ALTER TABLE items DROP COLUMN number");
	assert_int_equal(number_of(db_of(state), "SELECT * FROM items"), 6);
}

/* ---- messages between servers ---- */

static struct hearing {
	sem_t any;
	atomic_int missed, heard;
	char last[ATL_DB_MESSAGE_MAX + 1];
} hearing;

static void hear(void *arg, const char *message)
{
	struct hearing *h = arg;

	if (message)
		snprintf(h->last, sizeof(h->last), "%s", message);
	atomic_fetch_add(message ? &h->heard : &h->missed, 1);
	sem_post(&h->any);
}

static enum atl_err notify_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	enum atl_err err = atl_db_notify(conn, "test_hearing", arg, info);

	return err || strcmp(arg, "taken back") ? err : ATL_ERR_CONFLICT;
}

static void tell(void **state, const char *message)
{
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_tx(db_of(state), notify_tx, (void *)message, &info), &info);
}

static void committed_messages_are_heard(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_db_listener *listener;

	assert_int_equal(atl_db_listen(db_of(state), "no; channel", hear, &hearing, &listener, &info), ATL_ERR_INTERNAL);
	hearing = (struct hearing){ .last = "" };
	sem_init(&hearing.any, 0, 0);
	assert_ok(atl_db_listen(db_of(state), "test_hearing", hear, &hearing, &listener, &info), &info);
	tell(state, "before");
	if (!on_postgres(state)) { /* nobody else is there to tell or be told */
		assert_null(listener);
		atl_db_listen_end(listener);
		return;
	}
	sem_wait(&hearing.any); /* it is there */
	assert_int_equal(atl_db_tx(db_of(state), notify_tx, (void *)"taken back", &info), ATL_ERR_CONFLICT);
	tell(state, "it's \"one\"");
	do /* "before" may have been heard */
		sem_wait(&hearing.any);
	while (strcmp(hearing.last, "before") == 0);
	assert_string_equal(hearing.last, "it's \"one\"");
	assert_int_equal(atomic_load(&hearing.missed), 1);
	/* its connection breaks: it says so, and hears again */
	assert_true(number_of(db_of(state), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = "
					    "'LISTEN test_hearing'") > 0);
	sem_wait(&hearing.any);
	assert_int_equal(atomic_load(&hearing.missed), 2);
	tell(state, "two");
	sem_wait(&hearing.any);
	assert_string_equal(hearing.last, "two");
	atl_db_listen_end(listener);
	sem_destroy(&hearing.any);
}

#define BOTH(X)                                                                                                      \
	X(values_come_back) X(full_arena_fails_the_read) X(bad_parameters_are_refused)                               \
	X(question_marks_in_quotes_are_text) X(no_append_is_lost) X(a_failed_one_leaves_the_others)                  \
	X(read_then_write_is_atomic) X(readers_see_a_snapshot) X(readers_cannot_write) X(nested_use_is_refused)      \
	X(a_failed_statement_ends_the_transaction) X(changes_are_counted) X(queries_overlap)                         \
	X(more_statements_than_the_cache_holds) X(one_text_with_several_kinds)                                       \
	X(a_deferred_rule_fails_its_own_transaction) X(committed_messages_are_heard)
#define ON_SQLITE(test) ROW(test, sqlite, items_create, items_destroy),
#define ON_POSTGRES(test) ROW(test, postgres, items_create, items_destroy),

int main(void)
{
	static const struct CMUnitTest first[] = { cmocka_unit_test(bad_addresses_are_told), BOTH(ON_SQLITE) };
	static const struct CMUnitTest more[] = {
		BOTH(ON_POSTGRES)
		ROW(a_broken_connection_is_replaced, postgres, items_create, items_destroy),
		ROW(an_unknown_commit_is_told_and_not_run_again, postgres, items_create, items_destroy),
		ROW(a_changed_table_is_prepared_anew, postgres, items_create, items_destroy),
	};

	return run_on_drivers("db", first, ATL_COUNT(first), more, ATL_COUNT(more));
}
