#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int counter;

bool postgres_there(void)
{
	if (getenv("ATELIER_TEST_PG"))
		return true;
	fprintf(stderr, "postgres: not run (ATELIER_TEST_PG is not set)\n");
	return false;
}

static void on_server(const char *sql)
{
	struct atl_errinfo info = { 0 };
	struct atl_db *db;

	assert_ok(atl_db_open(getenv("ATELIER_TEST_PG"), &db, &info), &info);
	execute(db, sql);
	atl_db_close(db);
}

int fixture_create(struct fixture *fixture)
{
	const char *server = getenv("ATELIER_TEST_PG");
	char sql[128];

	fixture->db = NULL;
	if (strcmp(fixture->kind, "sqlite") == 0) {
		snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/atl_db_XXXXXX");
		assert_non_null(mkdtemp(fixture->folder));
		snprintf(fixture->url, sizeof(fixture->url), "sqlite:%s/test.db", fixture->folder);
		return 0;
	}
	snprintf(fixture->schema, sizeof(fixture->schema), "atl_test_%d_%d", (int)getpid(), counter++);
	snprintf(sql, sizeof(sql), "CREATE SCHEMA %s", fixture->schema);
	on_server(sql);
	snprintf(fixture->url, sizeof(fixture->url), "%s%coptions=-csearch_path%%3D%s", server,
		 strchr(server, '?') ? '&' : '?', fixture->schema);
	return 0;
}

int fixture_destroy(struct fixture *fixture)
{
	static const char *const endings[] = { "", "-wal", "-shm" };
	char text[128];

	fixture_close(fixture);
	if (strcmp(fixture->kind, "sqlite") == 0) {
		for (size_t i = 0; i < ATL_COUNT(endings); i++) {
			snprintf(text, sizeof(text), "%s/test.db%s", fixture->folder, endings[i]);
			unlink(text);
		}
		return rmdir(fixture->folder);
	}
	snprintf(text, sizeof(text), "DROP SCHEMA %s CASCADE", fixture->schema);
	on_server(text);
	return 0;
}

void fixture_open(struct fixture *fixture)
{
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_open(fixture->url, &fixture->db, &info), &info);
	assert_string_equal(atl_db_kind(fixture->db), fixture->kind);
}

void fixture_close(struct fixture *fixture)
{
	atl_db_close(fixture->db);
	fixture->db = NULL;
}

static enum atl_err execute_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, arg, "");
}

enum atl_err try_execute(struct atl_db *db, const char *sql, struct atl_errinfo *info)
{
	return atl_db_tx(db, execute_tx, (void *)(uintptr_t)sql, info);
}

void execute(struct atl_db *db, const char *sql)
{
	struct atl_errinfo info = { 0 };

	assert_ok(try_execute(db, sql, &info), &info);
}

struct number {
	const char *sql;
	int64_t value;
};

static enum atl_err number_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct number *number = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, number->sql, "");

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "no row");
	number->value = atl_col_int(rows, 0);
	atl_rows_close(rows);
	return ATL_OK;
}

int64_t number_of(struct atl_db *db, const char *sql)
{
	struct number number = { .sql = sql };
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_read(db, number_read, &number, &info), &info);
	return number.value;
}
