/* sqlite.c - the SQLite driver: one connection of a WAL database in one file.
 *
 * Durability: synchronous=FULL, so a commit is on the disk before it is acknowledged. Each connection keeps its own
 * prepared statements. What is deleted is overwritten with zeroes (secure_delete), and atl_db_scrub() takes it out
 * of the search indexes and the log. Readers are opened query_only: a write in atl_db_read() fails instead of waiting for a lock.
 *
 * trusted_schema stays on: SQLite 3.40 counts FTS5 among the virtual tables that triggers may not write without it, and
 * the search index is kept by triggers. The defensive mode is on.
 *
 * Limits: ATL_SQLITE_BUSY_MS wait for another process's lock.
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "db/driver.h"
#include "db/stmt_cache.h"

#define ATL_SQLITE_BUSY_MS 5000
#define ATL_SQLITE_READERS_MAX 8

struct sqlite_conn {
	struct atl_conn base;
	sqlite3 *db;
	sqlite3_stmt *begin, *commit, *savepoint, *release, *undo;
	struct atl_stmt_cache cache;
};

static struct sqlite_conn *of(struct atl_conn *conn)
{
	return (struct sqlite_conn *)conn;
}

static enum atl_err fail(struct sqlite_conn *self, const char *what, struct atl_errinfo *info)
{
	int code = sqlite3_errcode(self->db), extended = sqlite3_extended_errcode(self->db);
	enum atl_err err = ATL_ERR_DB;

	self->base.unique_violation = extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY ||
				      extended == SQLITE_CONSTRAINT_ROWID;
	if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
		err = ATL_ERR_DB_BUSY;
	else if (code == SQLITE_FULL)
		err = ATL_ERR_DISK;
	else if (code == SQLITE_NOMEM)
		err = ATL_ERR_NOMEM;
	else if (code == SQLITE_TOOBIG)
		err = ATL_ERR_TOO_LARGE;
	return atl_fail(info, err, "%s (SQLite %d; \"%.*s\")", sqlite3_errmsg(self->db), extended, ATL_DB_DETAIL_SQL_MAX,
			what);
}

static void drop_statement(struct atl_stmt *stmt, void *arg)
{
	sqlite3_finalize(stmt->handle);
}

static void sqlite_disconnect(struct atl_conn *conn)
{
	struct sqlite_conn *self = of(conn);

	atl_stmt_cache_finish(&self->cache);
	sqlite3_finalize(self->begin);
	sqlite3_finalize(self->commit);
	sqlite3_finalize(self->savepoint);
	sqlite3_finalize(self->release);
	sqlite3_finalize(self->undo);
	sqlite3_close_v2(self->db);
	free(self);
}

/* `sql` is one of this file's literals. */
static enum atl_err prepare_own(struct sqlite_conn *self, const char *sql, sqlite3_stmt **ret, struct atl_errinfo *info)
{
	if (sqlite3_prepare_v3(self->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) != SQLITE_OK)
		return fail(self, sql, info);
	return ATL_OK;
}

static enum atl_err configure(struct sqlite_conn *self, struct atl_errinfo *info)
{
	static const char pragmas[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
				      "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;"
				      "PRAGMA secure_delete = ON;"
				      "PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 67108864;";
	bool writer = self->base.role == ATL_CONN_WRITER;
	enum atl_err err;

	sqlite3_extended_result_codes(self->db, 1);
	sqlite3_busy_timeout(self->db, ATL_SQLITE_BUSY_MS);
	sqlite3_db_config(self->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(self->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_db_config(self->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	sqlite3_limit(self->db, SQLITE_LIMIT_LENGTH, (int)(2 * ATL_DB_TEXT_MAX));
	sqlite3_limit(self->db, SQLITE_LIMIT_ATTACHED, 0);
	if (sqlite3_exec(self->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return fail(self, "PRAGMA", info);
	if (!writer && sqlite3_exec(self->db, "PRAGMA query_only = ON", NULL, NULL, NULL) != SQLITE_OK)
		return fail(self, "PRAGMA query_only", info);
	err = prepare_own(self, writer ? "BEGIN IMMEDIATE" : "BEGIN", &self->begin, info);
	if (!err)
		err = prepare_own(self, "COMMIT", &self->commit, info);
	if (!err)
		err = prepare_own(self, "SAVEPOINT one", &self->savepoint, info);
	if (!err)
		err = prepare_own(self, "RELEASE one", &self->release, info);
	if (!err)
		err = prepare_own(self, "ROLLBACK TO one", &self->undo, info);
	return err;
}

static enum atl_err sqlite_connect(const char *url, enum atl_conn_role role, struct atl_conn **ret,
				struct atl_errinfo *info)
{
	const char *path = url + strlen("sqlite:");
	struct sqlite_conn *self;
	enum atl_err err;

	if (!*path || *path == ':')
		return atl_fail(info, ATL_ERR_CONFIG, "The database address \"%s\" names no file. Write sqlite:/path/file.db.",
				url);
	self = calloc(1, sizeof(*self));
	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "open the database: no memory");
	self->base.driver = &atl_driver_sqlite;
	self->base.role = role;
	atl_stmt_cache_init(&self->cache, drop_statement, NULL);
	/* NOMUTEX: a connection is used by one thread at a time. */
	if (sqlite3_open_v2(path, &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		err = self->db ? fail(self, path, info) : atl_fail(info, ATL_ERR_NOMEM, "open the database: no memory");
	else
		err = configure(self, info);
	if (err) {
		err = atl_fail_context(info, err, "open the database %s", path);
		sqlite_disconnect(&self->base);
		return err;
	}
	*ret = &self->base;
	return ATL_OK;
}

/* ---- transactions ---- */

static enum atl_err run_own(struct sqlite_conn *self, sqlite3_stmt *stmt, struct atl_errinfo *info)
{
	enum atl_err err;

	if (sqlite3_step(stmt) == SQLITE_DONE) {
		sqlite3_reset(stmt);
		return ATL_OK;
	}
	err = fail(self, sqlite3_sql(stmt), info);
	sqlite3_reset(stmt);
	return err;
}

static void sqlite_rollback(struct atl_conn *conn)
{
	struct sqlite_conn *self = of(conn);

	if (!sqlite3_get_autocommit(self->db) && sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
		conn->broken = true;
}

static enum atl_err sqlite_begin(struct atl_conn *conn, struct atl_errinfo *info)
{
	return run_own(of(conn), of(conn)->begin, info);
}

static enum atl_err sqlite_commit(struct atl_conn *conn, struct atl_errinfo *info)
{
	enum atl_err err = run_own(of(conn), of(conn)->commit, info);

	if (err)
		sqlite_rollback(conn);
	return err;
}

static enum atl_err sqlite_savepoint(struct atl_conn *conn, struct atl_errinfo *info)
{
	return run_own(of(conn), of(conn)->savepoint, info);
}

/* SQLite ends the whole transaction by itself after some errors (disk full, I/O). */
static bool transaction_gone(struct sqlite_conn *self)
{
	return sqlite3_get_autocommit(self->db) != 0;
}

static enum atl_err sqlite_release(struct atl_conn *conn, struct atl_errinfo *info)
{
	struct sqlite_conn *self = of(conn);
	int broken_rules = 0, high = 0;

	if (transaction_gone(self))
		return atl_fail(info, ATL_ERR_DB, "The database ended the transaction by itself.");
	/* Would only be noticed at COMMIT, and would take the other transactions of the group down. */
	sqlite3_db_status(self->db, SQLITE_DBSTATUS_DEFERRED_FKS, &broken_rules, &high, 0);
	if (broken_rules)
		return atl_fail(info, ATL_ERR_DB, "A row refers to one that is not there (deferred foreign key).");
	return run_own(self, self->release, info);
}

static enum atl_err sqlite_undo(struct atl_conn *conn, struct atl_errinfo *info)
{
	struct sqlite_conn *self = of(conn);
	enum atl_err err;

	if (transaction_gone(self))
		return atl_fail(info, ATL_ERR_DB, "The database ended the transaction by itself.");
	err = run_own(self, self->undo, info);
	return err ? err : run_own(self, self->release, info);
}

/* ---- statements ---- */

/* *ret is an entry of the cache or, when a query of the same text is open already, a statement of its own (without
 * key). */
static enum atl_err prepare(struct sqlite_conn *self, const char *sql, struct atl_stmt **ret, struct atl_errinfo *info)
{
	struct atl_stmt *stmt = atl_stmt_cache_find(&self->cache, "", sql);
	sqlite3_stmt *handle;
	const char *tail;

	if (stmt && !stmt->busy) {
		*ret = stmt;
		return ATL_OK;
	}
	if (sqlite3_prepare_v3(self->db, sql, -1, stmt ? 0 : SQLITE_PREPARE_PERSISTENT, &handle, &tail) != SQLITE_OK)
		return fail(self, sql, info);
	if (!handle || tail[strspn(tail, " \t\r\n;")]) {
		sqlite3_finalize(handle);
		return atl_fail(info, ATL_ERR_INTERNAL, "Not exactly one statement: \"%.*s\"", ATL_DB_DETAIL_SQL_MAX, sql);
	}
	stmt = stmt ? calloc(1, sizeof(*stmt)) : atl_stmt_cache_add(&self->cache, "", sql);
	if (!stmt) {
		sqlite3_finalize(handle);
		return atl_fail(info, ATL_ERR_NOMEM, "prepare a statement: no memory");
	}
	stmt->handle = handle;
	*ret = stmt;
	return ATL_OK;
}

static void give_back(struct atl_stmt *stmt)
{
	sqlite3_reset(stmt->handle);
	sqlite3_clear_bindings(stmt->handle);
	stmt->busy = false;
	if (!stmt->key) {
		sqlite3_finalize(stmt->handle);
		free(stmt);
	}
}

/* `keep`: SQLITE_STATIC while the caller waits; SQLITE_TRANSIENT (copied) for a query, which outlives the call. */
static int bind(sqlite3_stmt *stmt, int at, const struct atl_param *param, sqlite3_destructor_type keep)
{
	if (param->null)
		return sqlite3_bind_null(stmt, at);
	switch (param->type) {
	case 's':
		return sqlite3_bind_text64(stmt, at, param->bytes.data, param->bytes.length, keep, SQLITE_UTF8);
	case 'b':
		/* A NULL pointer would bind null instead of a blob without bytes. */
		return sqlite3_bind_blob64(stmt, at, param->bytes.length ? param->bytes.data : "", param->bytes.length, keep);
	case 'i':
		return sqlite3_bind_int64(stmt, at, param->integer);
	case 'd':
		return sqlite3_bind_double(stmt, at, param->number);
	default:
		return sqlite3_bind_null(stmt, at);
	}
}

static enum atl_err bind_all(struct sqlite_conn *self, sqlite3_stmt *stmt, const char *sql,
			     const struct atl_param *params, int count, sqlite3_destructor_type keep,
			     struct atl_errinfo *info)
{
	if (sqlite3_bind_parameter_count(stmt) != count)
		return atl_fail(info, ATL_ERR_INTERNAL, "%d placeholders but %d parameters: \"%.*s\"",
				sqlite3_bind_parameter_count(stmt), count, ATL_DB_DETAIL_SQL_MAX, sql);
	for (int i = 0; i < count; i++)
		if (bind(stmt, i + 1, &params[i], keep) != SQLITE_OK)
			return fail(self, sql, info);
	return ATL_OK;
}

static enum atl_err sqlite_run(struct atl_conn *conn, const char *sql, const struct atl_param *params, int count,
			       struct atl_rows *rows, int64_t *ret_changed, struct atl_errinfo *info)
{
	struct sqlite_conn *self = of(conn);
	struct atl_stmt *stmt = NULL;
	int64_t before = sqlite3_total_changes64(self->db);
	enum atl_err err = prepare(self, sql, &stmt, info);
	int code;

	if (err)
		return err;
	err = bind_all(self, stmt->handle, sql, params, count, rows ? SQLITE_TRANSIENT : SQLITE_STATIC, info);
	if (err)
		goto out;
	code = sqlite3_step(stmt->handle);
	if (rows && (code == SQLITE_ROW || code == SQLITE_DONE)) {
		stmt->busy = true;
		rows->state = stmt;
		rows->first = true;
		rows->row = code == SQLITE_ROW; /* is there a first row? */
		return ATL_OK;
	}
	while (code == SQLITE_ROW)
		code = sqlite3_step(stmt->handle);
	if (code != SQLITE_DONE)
		err = fail(self, sql, info);
	else if (ret_changed)
		*ret_changed = sqlite3_total_changes64(self->db) == before ? 0 : sqlite3_changes64(self->db);
out:
	give_back(stmt);
	return err;
}

static enum atl_err sqlite_next(struct atl_rows *rows, bool *ret_row, struct atl_errinfo *info)
{
	struct atl_stmt *stmt = rows->state;
	int code;

	if (rows->first) {
		rows->first = false;
		*ret_row = rows->row != 0;
		return ATL_OK;
	}
	code = sqlite3_step(stmt->handle);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return fail(of(rows->conn), sqlite3_sql(stmt->handle), info);
	*ret_row = code == SQLITE_ROW;
	return ATL_OK;
}

static void sqlite_end(struct atl_rows *rows)
{
	give_back(rows->state);
	rows->state = NULL;
}

static sqlite3_stmt *handle_of(struct atl_rows *rows)
{
	return ((struct atl_stmt *)rows->state)->handle;
}

static bool sqlite_is_null(struct atl_rows *rows, int col)
{
	return sqlite3_column_type(handle_of(rows), col) == SQLITE_NULL;
}

static int64_t sqlite_integer(struct atl_rows *rows, int col)
{
	return sqlite3_column_int64(handle_of(rows), col);
}

static double sqlite_number(struct atl_rows *rows, int col)
{
	return sqlite3_column_double(handle_of(rows), col);
}

static const void *sqlite_bytes(struct atl_rows *rows, int col, bool blob, size_t *ret_length)
{
	sqlite3_stmt *stmt = handle_of(rows);
	const void *data = blob ? sqlite3_column_blob(stmt, col) : sqlite3_column_text(stmt, col);

	*ret_length = (size_t)sqlite3_column_bytes(stmt, col);
	return data || *ret_length ? data : ""; /* a blob without bytes has no address */
}

static enum atl_err sqlite_script(struct atl_conn *conn, const char *sql, void (*between)(void), struct atl_errinfo *info)
{
	struct sqlite_conn *self = of(conn);

	while (*sql) {
		sqlite3_stmt *stmt;
		const char *tail;
		int code;

		if (sqlite3_prepare_v2(self->db, sql, -1, &stmt, &tail) != SQLITE_OK)
			return fail(self, sql, info);
		if (!stmt) { /* only white space or a comment was left */
			sql = tail;
			continue;
		}
		if (between)
			between();
		do {
			code = sqlite3_step(stmt);
		} while (code == SQLITE_ROW);
		if (code != SQLITE_DONE) {
			enum atl_err err = fail(self, sql, info);

			sqlite3_finalize(stmt);
			return err;
		}
		sqlite3_finalize(stmt);
		sql = tail;
	}
	return ATL_OK;
}

/* BEGIN IMMEDIATE keeps others out for each migration, and each looks again what is applied. */
static enum atl_err sqlite_lock_schema(struct atl_conn *conn, struct atl_errinfo *info)
{
	return ATL_OK;
}

/* All pages in one step: readers and the writer go on, and what they see is one state. */
static enum atl_err sqlite_copy(const char *url, const char *path, struct atl_errinfo *info)
{
	sqlite3 *from = NULL, *to = NULL;
	sqlite3_backup *backup = NULL;
	enum atl_err err = ATL_OK;
	int code = sqlite3_open_v2(url + strlen("sqlite:"), &from, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK) {
		sqlite3_busy_timeout(from, ATL_SQLITE_BUSY_MS);
		backup = sqlite3_backup_init(to, "main", from, "main");
		code = backup ? sqlite3_backup_step(backup, -1) : sqlite3_errcode(to);
		if (backup && sqlite3_backup_finish(backup) == SQLITE_OK && code == SQLITE_DONE)
			code = SQLITE_OK;
	}
	if (code != SQLITE_OK)
		err = atl_fail(info, code == SQLITE_FULL ? ATL_ERR_DISK : ATL_ERR_DB, "Copying the database: %s", sqlite3_errstr(code));
	sqlite3_close_v2(from);
	sqlite3_close_v2(to);
	return err;
}

/* ---- what was deleted leaves the files ---- */

#define MERGE_PAGES 400		/* of a search index in one turn */
#define TRUNCATE_BUSY_MS 500	/* wait for readers of the log, while writers wait for us */
#define TRUNCATE_TURNS_MAX 120

static enum atl_err number_of(struct sqlite_conn *self, const char *sql, int64_t *ret, struct atl_errinfo *info)
{
	sqlite3_stmt *stmt;
	enum atl_err err = ATL_OK;

	if (sqlite3_prepare_v2(self->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return fail(self, sql, info);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*ret = sqlite3_column_int64(stmt, 0);
	else
		err = fail(self, sql, info);
	sqlite3_finalize(stmt);
	return err;
}

/* Deleted words stay in an index's older parts until they are merged with those that say so. */
static enum atl_err merge_index(struct sqlite_conn *self, const char *table, int turn, bool *ret_more, struct atl_errinfo *info)
{
	char *sql = sqlite3_mprintf("INSERT INTO \"%w\" (\"%w\", rank) VALUES ('merge', %d)", table, table,
				    turn ? MERGE_PAGES : -MERGE_PAGES);
	int64_t before = sqlite3_total_changes64(self->db);
	enum atl_err err = ATL_OK;

	if (!sql)
		return atl_fail(info, ATL_ERR_NOMEM, "merge a search index");
	if (sqlite3_exec(self->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		err = fail(self, sql, info);
	if (sqlite3_total_changes64(self->db) - before >= 2) /* less: there was nothing to do */
		*ret_more = true;
	sqlite3_free(sql);
	return err;
}

static enum atl_err merge_indexes(struct sqlite_conn *self, int turn, bool *ret_more, struct atl_errinfo *info)
{
	static const char sql[] = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%fts5%'";
	sqlite3_stmt *stmt;
	enum atl_err err = ATL_OK;
	char *names[16];
	int count = 0;

	if (sqlite3_prepare_v2(self->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return fail(self, sql, info);
	while (count < (int)ATL_COUNT(names) && sqlite3_step(stmt) == SQLITE_ROW)
		names[count++] = sqlite3_mprintf("%s", sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	for (int i = 0; i < count; i++) {
		if (!err)
			err = names[i] ? merge_index(self, names[i], turn, ret_more, info)
				       : atl_fail(info, ATL_ERR_NOMEM, "merge a search index");
		sqlite3_free(names[i]);
	}
	return err;
}

/* VACUUM keeps its copy in memory (temp_store): not for large files. */
static enum atl_err rewrite(struct sqlite_conn *self, struct atl_errinfo *info)
{
	int64_t pages = 0, size = 0;
	enum atl_err err = number_of(self, "PRAGMA page_count", &pages, info);

	if (!err)
		err = number_of(self, "PRAGMA page_size", &size, info);
	if (err || pages * size > ATL_DB_REWRITE_MAX)
		return err;
	sqlite3_limit(self->db, SQLITE_LIMIT_ATTACHED, 1); /* its copy */
	if (sqlite3_exec(self->db, "VACUUM", NULL, NULL, NULL) != SQLITE_OK)
		err = fail(self, "VACUUM", info);
	sqlite3_limit(self->db, SQLITE_LIMIT_ATTACHED, 0);
	return err;
}

static enum atl_err sqlite_scrub(struct atl_conn *conn, enum atl_db_scrub depth, int turn, bool *ret_again,
				 struct atl_errinfo *info)
{
	struct sqlite_conn *self = of(conn);
	bool more = false;
	int64_t busy = 0;
	bool whole = depth == ATL_DB_SCRUB_WHOLE;
	enum atl_err err = ATL_OK;

	if (turn == 0)
		conn->rewritten = false;
	if (depth >= ATL_DB_SCRUB_TEXTS)
		err = merge_indexes(self, turn, &more, info);

	if (!err && !more && whole && !conn->rewritten)
		err = rewrite(self, info);
	if (err || more) {
		*ret_again = more;
		return err;
	}
	conn->rewritten = whole;
	sqlite3_busy_timeout(self->db, TRUNCATE_BUSY_MS);
	err = number_of(self, "PRAGMA wal_checkpoint(TRUNCATE)", &busy, info);
	sqlite3_busy_timeout(self->db, ATL_SQLITE_BUSY_MS);
	*ret_again = !err && busy && turn < TRUNCATE_TURNS_MAX;
	if (!*ret_again)
		conn->rewritten = false;
	if (!err && busy && !*ret_again)
		err = atl_fail(info, ATL_ERR_DB_BUSY, "Somebody reads the database all the time: its log cannot be emptied.");
	return err;
}

const struct atl_driver atl_driver_sqlite = {
	.kind = "sqlite",
	.url_prefix = "sqlite:",
	.group_commit = true,
	.connections_max = ATL_SQLITE_READERS_MAX,
	.connect = sqlite_connect,
	.disconnect = sqlite_disconnect,
	.begin = sqlite_begin,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.savepoint = sqlite_savepoint,
	.release = sqlite_release,
	.undo = sqlite_undo,
	.run = sqlite_run,
	.next = sqlite_next,
	.end = sqlite_end,
	.is_null = sqlite_is_null,
	.integer = sqlite_integer,
	.number = sqlite_number,
	.bytes = sqlite_bytes,
	.script = sqlite_script,
	.lock_schema = sqlite_lock_schema,
	.copy = sqlite_copy,
	.scrub = sqlite_scrub,
};
