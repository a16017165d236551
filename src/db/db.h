/* db.h - the database: SQLite or PostgreSQL behind one interface.
 *
 * SQL is written once, as literals with `?` placeholders in order, in the dialect both take (docs/db.md lists it);
 * where they differ, atl_db_pick() chooses. Statements are prepared once per connection and cached by their text.
 *
 * Writing: atl_db_tx() queues `fn`; with SQLite the one writer thread runs all waiting transactions, each under a
 * savepoint, in one commit (synchronous=FULL) and then releases the callers. With PostgreSQL `fn` runs on the caller's
 * own connection and is retried on serialisation failure - so fn may run more than once and must have no other effect
 * than SQL and filling its result (reset it at the top). When atl_db_tx() returns ATL_OK the change is durable.
 * A failed statement ends its transaction, on both drivers: later statements fail, and fn's ATL_OK does not keep it.
 * For a conflict that is expected write ON CONFLICT; after atl_conn_unique_violation() return an error.
 * A connection that breaks at COMMIT (PostgreSQL) is ATL_ERR_DB saying that the outcome is not known; it is not run again.
 * Reading: atl_db_read() gives `fn` a snapshot on a reader connection.
 *
 * Life cycle: atl_db_open() .. atl_db_close(). Threads: any but loop threads (they block), except atl_db_tx_async().
 * Limits:     ATL_DB_QUEUE_MAX waiting writes (more: ATL_ERR_DB_BUSY), ATL_DB_TEXT_MAX bytes a value, 64 placeholders a
 *             statement, 8 queries open at once (driver.h). What fn leaves open is closed after it.
 * Adding one: docs/db.md (a driver, a migration).
 */
#ifndef ATL_DB_DB_H
#define ATL_DB_DB_H

#include "base/arena.h"
#include "base/err.h"

#define ATL_DB_QUEUE_MAX 10000
#define ATL_DB_TEXT_MAX ((size_t)32 << 20)

struct atl_db;
struct atl_conn; /* a connection inside a transaction; valid only within fn */
struct atl_rows; /* a running query; ends at ATL_DB_DONE, at an error or by atl_rows_close() */

/* `url`: "sqlite:/path/file.db" or "postgres://..." */
enum atl_err atl_db_open(const char *url, struct atl_db **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_db_close(struct atl_db *db); /* finishes queued writes; NULL is allowed */
enum atl_err atl_db_migrate(struct atl_db *db, struct atl_errinfo *info) ATL_MUST_USE;
const char *atl_db_kind(const struct atl_db *db); /* "sqlite" or "postgres" */

/* One state of the whole database as a new file, while it is in use. UNSUPPORTED where a database is no file. */
enum atl_err atl_db_copy(struct atl_db *db, const char *path, struct atl_errinfo *info) ATL_MUST_USE;

/* What was deleted leaves the database's files, too; each depth does what those before it do.
 * Long: writers go on between its steps, but wait while something is written anew. */
enum atl_db_scrub {
	ATL_DB_SCRUB_ROWS,  /* the write-ahead log is emptied (SQLite), dead rows are removed (PostgreSQL) */
	ATL_DB_SCRUB_TEXTS, /* and the search index forgets words */
	ATL_DB_SCRUB_WHOLE, /* and what is at most ATL_DB_REWRITE_MAX bytes (SQLite: the file, PostgreSQL: a table) is written anew */
};
#define ATL_DB_REWRITE_MAX ((int64_t)256 << 20)
enum atl_err atl_db_scrub(struct atl_db *db, enum atl_db_scrub depth, struct atl_errinfo *info) ATL_MUST_USE;

typedef enum atl_err (*atl_db_fn)(struct atl_conn *conn, void *arg, struct atl_errinfo *info);

/* fn's error rolls its own changes back and is returned. */
enum atl_err atl_db_tx(struct atl_db *db, atl_db_fn fn, void *arg, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_db_read(struct atl_db *db, atl_db_fn fn, void *arg, struct atl_errinfo *info) ATL_MUST_USE;
/* From any thread, also a loop's: queue and go on. done(arg, err) is called on a database thread after the commit.
 * done must be short and may not wait for the database (atl_db_tx and atl_db_read refuse); it may queue more.
 * On error here nothing was queued and done is not called; inside an fn this is refused. */
enum atl_err atl_db_tx_async(struct atl_db *db, atl_db_fn fn, void *arg, void (*done)(void *arg, enum atl_err err)) ATL_MUST_USE;

/* Messages between the servers of one database; with SQLite, which has one, nothing is sent and nothing heard.
 * `heard` is called on a thread of the listener's; message NULL: some may have been missed. It may not end the listening.
 * `channel`: a to z and _. *ret is NULL where nothing is ever heard. End it before the database is closed. */
#define ATL_DB_CHANNEL_MAX 40
#define ATL_DB_MESSAGE_MAX 200
struct atl_db_listener;
enum atl_err atl_db_listen(struct atl_db *db, const char *channel, void (*heard)(void *arg, const char *message), void *arg,
			   struct atl_db_listener **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_db_listen_end(struct atl_db_listener *listener); /* NULL is allowed */
/* Inside fn: heard, by this server too, once the transaction is committed. */
enum atl_err atl_db_notify(struct atl_conn *conn, const char *channel, const char *message,
			   struct atl_errinfo *info) ATL_MUST_USE;

size_t atl_db_queue_depth(const struct atl_db *db);
enum atl_err atl_db_ping(struct atl_db *db, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- inside fn ----
 * `types` has one letter per placeholder:
 *   s const char * (NULL: null)   i int64_t   d double   b const void *, size_t   n (no argument: null)
 *   t int64_t milliseconds, 0 is null */
enum atl_err atl_exec(struct atl_conn *conn, struct atl_errinfo *info, const char *sql, const char *types, ...) ATL_MUST_USE;
/* As atl_exec, and the number of rows changed. */
enum atl_err atl_exec_count(struct atl_conn *conn, int64_t *ret_changed, struct atl_errinfo *info, const char *sql,
			    const char *types, ...) ATL_MUST_USE;
enum atl_err atl_query(struct atl_conn *conn, struct atl_rows **ret, struct atl_errinfo *info, const char *sql,
		       const char *types, ...) ATL_MUST_USE;
/* True: a row is there. False: no more rows, or an error in *err (ATL_OK when simply done). Closes itself on false. */
bool atl_rows_next(struct atl_rows *rows, enum atl_err *err, struct atl_errinfo *info);
void atl_rows_close(struct atl_rows *rows);
bool atl_col_null(struct atl_rows *rows, int col);
int64_t atl_col_int(struct atl_rows *rows, int col); /* null: 0 */
double atl_col_num(struct atl_rows *rows, int col);
/* A text or blob for which the arena has no room is NULL too, and then the transaction fails with ATL_ERR_NOMEM. */
const char *atl_col_text(struct atl_rows *rows, int col, struct atl_arena *arena); /* copied; null: NULL */
const void *atl_col_blob(struct atl_rows *rows, int col, struct atl_arena *arena, size_t *ret_length);

/* Choose the literal for this connection's driver. Both must be literals. */
const char *atl_db_pick(const struct atl_conn *conn, const char *sqlite, const char *postgres);
bool atl_conn_is_postgres(const struct atl_conn *conn);
/* Did the last failed statement break a UNIQUE rule? */
bool atl_conn_unique_violation(const struct atl_conn *conn);

#endif
