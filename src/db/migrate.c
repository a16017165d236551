/* migrate.c - sections, checks and application of migrations. */
#include "db/migrate.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/str.h"
#include "db/driver.h"

void (*atl_migrate_between)(void);

struct plan {
	const struct atl_migration *list;
	size_t count;
	const struct atl_migration *current;
	int applied; /* the highest number found */
	bool did;    /* the current one was applied now, not found */
};

static void between(void)
{
	if (atl_migrate_between)
		atl_migrate_between();
}

/* The part of `sql` meant for this driver. */
static enum atl_err pick_sections(const char *sql, const char *kind, struct atl_buf *out, struct atl_errinfo *info)
{
	bool mine = true;

	while (*sql) {
		size_t length = strcspn(sql, "\n");

		if (length == strlen("-- both") && memcmp(sql, "-- both", length) == 0)
			mine = true;
		else if (length == strlen("-- sqlite") && memcmp(sql, "-- sqlite", length) == 0)
			mine = strcmp(kind, "sqlite") == 0;
		else if (length == strlen("-- postgres") && memcmp(sql, "-- postgres", length) == 0)
			mine = strcmp(kind, "postgres") == 0;
		else if (mine) {
			atl_buf_add(out, sql, length);
			atl_buf_addc(out, '\n');
		}
		sql += length + (sql[length] == '\n');
	}
	return atl_buf_err(out, info);
}

static enum atl_err create_table(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info,
			"CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, "
			"checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)",
			"");
}

static enum atl_err check_row(const struct plan *plan, int64_t number, const char *name, const char *checksum,
			      struct atl_errinfo *info)
{
	char hex[ATL_SHA256_SIZE * 2 + 1];
	const struct atl_migration *known;

	if (number > (int64_t)plan->count)
		return ATL_OK; /* told with the highest number, afterwards */
	if (number < 1)
		return atl_fail(info, ATL_ERR_DB, "schema_migrations holds the number %lld.", (long long)number);
	known = &plan->list[number - 1];
	atl_sha256_hex(known->sql, strlen(known->sql), hex);
	if (!atl_str_eq(checksum, hex))
		return atl_fail(info, ATL_ERR_DB,
				"Migration %d (%s) is not the one that was applied to this database (%s): its text changed "
				"afterwards. Start the program that made the database, or restore a backup.",
				known->number, known->name, name ? name : "?");
	return ATL_OK;
}

/* Look at what is applied: nothing unknown, nothing changed. */
static enum atl_err read_applied(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct plan *plan = arg;
	struct atl_arena arena;
	struct atl_rows *rows;
	int64_t expected = 1;
	enum atl_err err =
		atl_query(conn, &rows, info, "SELECT number, name, checksum FROM schema_migrations ORDER BY number", "");

	plan->applied = 0;
	if (err)
		return err;
	atl_arena_init(&arena, 0);
	while (atl_rows_next(rows, &err, info)) {
		int64_t number = atl_col_int(rows, 0);

		err = check_row(plan, number, atl_col_text(rows, 1, &arena), atl_col_text(rows, 2, &arena), info);
		if (!err && number <= (int64_t)plan->count && number != expected)
			err = atl_fail(info, ATL_ERR_DB, "Migration %lld is missing in schema_migrations.",
				       (long long)expected);
		if (err)
			break;
		expected = number + 1;
		plan->applied = (int)number;
	}
	atl_arena_finish(&arena);
	if (!err && plan->applied > (int)plan->count)
		err = atl_fail(info, ATL_ERR_SCHEMA_NEWER,
			       "The database was written by Atelier's schema %d; this program knows up to %zu. Start the newer "
			       "version or restore a backup.",
			       plan->applied, plan->count);
	return err;
}

static enum atl_err apply(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct plan *plan = arg;
	const struct atl_migration *current = plan->current;
	char hex[ATL_SHA256_SIZE * 2 + 1];
	struct atl_buf sql;
	enum atl_err err;

	/* Another server may have been faster. */
	plan->did = false;
	err = read_applied(conn, plan, info);
	if (err || plan->applied >= current->number)
		return err;
	atl_buf_init(&sql, ATL_MIGRATION_SQL_MAX);
	err = pick_sections(current->sql, conn->driver->kind, &sql, info);
	if (!err)
		err = conn->driver->script(conn, sql.data, between, info);
	atl_buf_finish(&sql);
	if (err)
		return atl_fail_context(info, err, "migration %d (%s)", current->number, current->name);
	between();
	atl_sha256_hex(current->sql, strlen(current->sql), hex);
	err = atl_exec(conn, info, "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
		       "issi", (int64_t)current->number, current->name, hex, atl_now_ms());
	plan->did = true;
	between();
	return err;
}

static enum atl_err migrate(struct atl_conn *conn, struct plan *plan, struct atl_errinfo *info)
{
	enum atl_err err = conn->driver->lock_schema(conn, info);

	if (!err)
		err = atl_conn_run(conn, create_table, NULL, info);
	between();
	if (!err)
		err = atl_conn_run(conn, read_applied, plan, info);
	for (size_t i = err ? 0 : (size_t)plan->applied; !err && i < plan->count; i++) {
		plan->current = &plan->list[i];
		err = atl_conn_run(conn, apply, plan, info);
		if (!err && plan->did)
			atl_info("db", "applied migration %d (%s)", plan->current->number, plan->current->name);
		between();
	}
	return err;
}

enum atl_err atl_db_migrate_with(struct atl_db *db, const struct atl_migration *list, size_t count,
				 struct atl_errinfo *info)
{
	struct plan plan = { .list = list, .count = count };
	struct atl_conn *conn;
	enum atl_err err;

	for (size_t i = 0; i < count; i++)
		if (list[i].number != (int)i + 1)
			return atl_fail(info, ATL_ERR_INTERNAL, "Migration %d is at place %zu.", list[i].number, i + 1);
	err = atl_db_conn_open(db, ATL_CONN_WRITER, &conn, info);
	if (err)
		return err;
	err = migrate(conn, &plan, info);
	conn->driver->disconnect(conn); /* ends the schema lock too */
	return err;
}

enum atl_err atl_db_migrate(struct atl_db *db, struct atl_errinfo *info)
{
	return atl_db_migrate_with(db, atl_migrations, atl_migration_count, info);
}
