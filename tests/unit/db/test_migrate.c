/* test_migrate.c - migrations: order, sections, refusals, two at once, and a kill at every statement boundary. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "db/migrate.h"
#include "drivers.h"

static const struct atl_migration list[] = {
	{ 1, "first",
	  "-- both\nCREATE TABLE a (id BIGINT PRIMARY KEY, text TEXT NOT NULL);\n"
	  "INSERT INTO a (id, text) VALUES (1, 'semi;colon'), (2, '-- sqlite');\n"
	  "-- sqlite\nCREATE TABLE only_sqlite (id BIGINT);\n"
	  "-- postgres\nCREATE TABLE only_postgres (id BIGINT);\n"
	  "-- both\nCREATE INDEX a_text ON a (text);\n" },
	{ 2, "second",
	  "-- sqlite\nCREATE TABLE log (id BIGINT);\n"
	  "CREATE TRIGGER a_log AFTER INSERT ON a BEGIN INSERT INTO log (id) VALUES (new.id); END;\n"
	  "-- postgres\nCREATE TABLE log (id BIGINT);\n"
	  "-- both\n-- a remark alone\nUPDATE a SET text = text || '!';\nALTER TABLE a ADD COLUMN extra TEXT;\n" },
	{ 3, "third", "-- both\nINSERT INTO a (id, text) VALUES (3, 'c');\nDROP INDEX a_text;\n" },
};
#define COUNT (ATL_COUNT(list))

static int setup(void **state)
{
	return fixture_create(*state);
}

static int teardown(void **state)
{
	atl_migrate_between = NULL;
	return fixture_destroy(*state);
}

/* ---- order and sections ---- */

static void in_order_and_only_once(void **state)
{
	struct fixture *fixture = *state;
	struct atl_errinfo info = { 0 };

	fixture_open(fixture);
	assert_ok(atl_db_migrate_with(fixture->db, list, 1, &info), &info);
	assert_int_equal(number_of(fixture->db, "SELECT max(number) FROM schema_migrations"), 1);
	assert_ok(atl_db_migrate_with(fixture->db, list, COUNT, &info), &info);
	assert_ok(atl_db_migrate_with(fixture->db, list, COUNT, &info), &info);
	assert_int_equal(number_of(fixture->db, "SELECT count(*) FROM schema_migrations"), 3);
	assert_int_equal(number_of(fixture->db, "SELECT count(*) FROM a WHERE text LIKE '%!'"), 2);
	assert_int_equal(number_of(fixture->db, "SELECT count(*) FROM a"), 3);
	assert_int_equal(number_of(fixture->db, on_postgres(state) ? "SELECT count(*) FROM only_postgres" :
								      "SELECT count(*) FROM only_sqlite"),
			 0);
	assert_int_not_equal(try_execute(fixture->db, on_postgres(state) ? "DELETE FROM only_sqlite" : "DELETE FROM only_postgres",
					 NULL),
			     ATL_OK);
}

static void the_programs_own_are_accepted(void **state)
{
	struct fixture *fixture = *state;
	struct atl_errinfo info = { 0 };

	fixture_open(fixture);
	assert_ok(atl_db_migrate(fixture->db, &info), &info);
	assert_ok(atl_db_migrate(fixture->db, &info), &info);
	assert_int_equal(number_of(fixture->db, "SELECT count(*) FROM schema_migrations"), atl_migration_count);
	assert_int_equal(number_of(fixture->db, "SELECT count(*) FROM users"), 0);
}

/* The search index follows its table under the settings of the driver. */
static void the_search_index_follows(void **state)
{
	struct fixture *fixture = *state;
	struct atl_errinfo info = { 0 };
	static const char match[] = "SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'zebra'";

	fixture_open(fixture);
	assert_ok(atl_db_migrate(fixture->db, &info), &info);
	execute(fixture->db, "INSERT INTO users (id, name, name_folded, role, password_hash, preferences, created_at, updated_at) "
			     "VALUES ('u', 'U', 'u', 'user', '', '{}', 1, 1)");
	execute(fixture->db, "INSERT INTO conversations (id, user_id, title, title_set, sampling, message_count, version, "
			     "created_at, updated_at, active_at) VALUES ('c', 'u', '', 0, '{}', 0, 1, 1, 1, 1)");
	execute(fixture->db, "INSERT INTO messages (id, conversation_id, user_id, role, content, reasoning, status, prompt_tokens, "
			     "completion_tokens, duration_ms, created_at, updated_at) VALUES ('m', 'c', 'u', 'user', "
			     "'a zebra', '', 'streaming', 0, 0, 0, 1, 1)");
	assert_int_equal(number_of(fixture->db, match), 0);
	execute(fixture->db, "UPDATE messages SET status = 'done'");
	assert_int_equal(number_of(fixture->db, match), 1);
	execute(fixture->db, "UPDATE messages SET content = 'a horse'");
	assert_int_equal(number_of(fixture->db, match), 0);
	execute(fixture->db, "UPDATE messages SET content = 'another zebra'");
	execute(fixture->db, "DELETE FROM messages");
	assert_int_equal(number_of(fixture->db, match), 0);
}

/* ---- refusals ---- */

static void a_newer_schema_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct atl_errinfo info = { 0 };

	fixture_open(fixture);
	assert_ok(atl_db_migrate_with(fixture->db, list, COUNT, &info), &info);
	assert_int_equal(atl_db_migrate_with(fixture->db, list, 2, &info), ATL_ERR_SCHEMA_NEWER);
	assert_string_equal(info.detail, "The database was written by Atelier's schema 3; this program knows up to 2. "
					 "Start the newer version or restore a backup.");
}

static void a_changed_migration_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct atl_migration changed[COUNT];
	struct atl_errinfo info = { 0 };

	fixture_open(fixture);
	assert_ok(atl_db_migrate_with(fixture->db, list, 2, &info), &info);
	memcpy(changed, list, sizeof(list));
	changed[1].sql = "-- both\nCREATE TABLE log (id BIGINT);\n";
	assert_int_equal(atl_db_migrate_with(fixture->db, changed, COUNT, &info), ATL_ERR_DB);
	assert_non_null(strstr(info.detail, "Migration 2 (second)"));
	assert_int_equal(number_of(fixture->db, "SELECT max(number) FROM schema_migrations"), 2);
}

static void a_failing_migration_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct atl_migration broken[COUNT];
	struct atl_errinfo info = { 0 };

	fixture_open(fixture);
	memcpy(broken, list, sizeof(list));
	broken[1].sql = "-- both\nCREATE TABLE half (id BIGINT);\nINSERT INTO no_such_table VALUES (1);\n";
	assert_int_equal(atl_db_migrate_with(fixture->db, broken, COUNT, &info), ATL_ERR_DB);
	assert_non_null(strstr(info.detail, "migration 2 (second)"));
	assert_int_not_equal(try_execute(fixture->db, "DELETE FROM half", NULL), ATL_OK);
	assert_ok(atl_db_migrate_with(fixture->db, list, COUNT, &info), &info);
}

static void a_gap_in_the_numbers_is_refused(void **state)
{
	struct fixture *fixture = *state;

	fixture_open(fixture);
	assert_int_equal(atl_db_migrate_with(fixture->db, list + 1, 2, NULL), ATL_ERR_INTERNAL);
}

/* ---- two servers at once ---- */

static void *migrate_main(void *arg)
{
	struct atl_errinfo info = { 0 };
	struct atl_db *db;
	enum atl_err err = atl_db_open(arg, &db, &info);

	if (!err) {
		err = atl_db_migrate_with(db, list, COUNT, &info);
		atl_db_close(db);
	}
	if (err)
		fprintf(stderr, "%s: %s\n", atl_err_name(err), info.detail);
	return (void *)(uintptr_t)err;
}

static void several_at_once_apply_each_once(void **state)
{
	struct fixture *fixture = *state;
	pthread_t threads[4];
	void *err;

	fixture_open(fixture); /* the file exists and is in WAL mode before the rush */
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, migrate_main, fixture->url), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &err);
		assert_int_equal((int)(uintptr_t)err, ATL_OK);
	}
	assert_int_equal(number_of(fixture->db, "SELECT count(*) FROM schema_migrations"), 3);
	assert_int_equal(number_of(fixture->db, "SELECT count(*) FROM a"), 3);
}

/* ---- killed ---- */

static int boundaries_left;

static void kill_at_boundary(void)
{
	if (boundaries_left-- == 0)
		raise(SIGKILL);
}

/* Migrate in a child that dies at boundary `at`. True: it lived to the end. */
static bool migrate_in_child(const char *url, int at)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		struct atl_db *db;
		enum atl_err err = atl_db_open(url, &db, NULL);

		boundaries_left = at;
		atl_migrate_between = kill_at_boundary;
		if (!err)
			err = atl_db_migrate_with(db, list, COUNT, NULL);
		_exit(err ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return false;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return true;
}

static enum atl_err describe(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	static const char *const queries[] = { "SELECT name || '=' || coalesce(sql, '') FROM sqlite_master ORDER BY name",
					       "SELECT number || name || checksum FROM schema_migrations ORDER BY number",
					       "SELECT id || text || coalesce(extra, '-') FROM a ORDER BY id",
					       "SELECT count(*) || '' FROM log" };
	struct atl_arena arena;
	enum atl_err err = ATL_OK;

	atl_buf_reset(arg);
	atl_arena_init(&arena, 0);
	for (size_t i = 0; !err && i < ATL_COUNT(queries); i++) {
		struct atl_rows *rows;

		err = atl_query(conn, &rows, info, queries[i], "");
		while (!err && atl_rows_next(rows, &err, info)) {
			atl_buf_adds(arg, atl_col_text(rows, 0, &arena));
			atl_buf_addc(arg, '\n');
		}
	}
	atl_arena_finish(&arena);
	return err;
}

static void describe_database(struct fixture *fixture, struct atl_buf *out)
{
	struct atl_errinfo info = { 0 };

	fixture_open(fixture);
	assert_ok(atl_db_migrate_with(fixture->db, list, COUNT, &info), &info);
	assert_ok(atl_db_read(fixture->db, describe, out, &info), &info);
	fixture_close(fixture);
}

static void a_kill_anywhere_does_no_harm(void **state)
{
	struct fixture *fixture = *state;
	struct atl_buf whole, after;
	int at = 0;
	bool lived;

	atl_buf_init(&whole, 1 << 20);
	atl_buf_init(&after, 1 << 20);
	describe_database(fixture, &whole);
	assert_true(whole.length > 100);
	do {
		fixture_destroy(fixture);
		fixture_create(fixture);
		lived = migrate_in_child(fixture->url, at++);
		describe_database(fixture, &after);
		assert_string_equal(after.data, whole.data);
	} while (!lived);
	/* 4, 4 and 2 statements and, for each migration, before and after its row and its commit; and the table's own */
	assert_int_equal(at - 1, 4 + 4 + 2 + 3 * 3 + 1);
	atl_buf_finish(&whole);
	atl_buf_finish(&after);
}

#define BOTH(X)                                                                                                      \
	X(in_order_and_only_once) X(the_programs_own_are_accepted) X(a_newer_schema_is_refused)                      \
	X(a_changed_migration_is_refused) X(a_failing_migration_leaves_nothing) X(a_gap_in_the_numbers_is_refused)   \
	X(several_at_once_apply_each_once)
#define ON_SQLITE(test) ROW(test, sqlite, setup, teardown),
#define ON_POSTGRES(test) ROW(test, postgres, setup, teardown),

int main(void)
{
	static const struct CMUnitTest first[] = {
		BOTH(ON_SQLITE)
		ROW(the_search_index_follows, sqlite, setup, teardown),
		ROW(a_kill_anywhere_does_no_harm, sqlite, setup, teardown),
	};
	static const struct CMUnitTest more[] = { BOTH(ON_POSTGRES) };

	return run_on_drivers("migrate", first, ATL_COUNT(first), more, ATL_COUNT(more));
}
