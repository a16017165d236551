/* rows.h - PostgreSQL's tables as lines of JSON and back, for backups; SQLite is copied as a file (atl_db_copy()).
 *
 * One line is one row, a JSON object of all its columns as to_jsonb() writes them: bytes as hex, numbers exact.
 *
 * Threads: inside fn of atl_db_read() and atl_db_tx(). Limits: a row of ATL_DB_TEXT_MAX bytes of JSON.
 */
#ifndef ATL_DB_ROWS_H
#define ATL_DB_ROWS_H

#include "db/db.h"

/* Names of the tables that hold rows of ours, sorted; both databases. Without what a search index is made of. */
enum atl_err atl_db_tables(struct atl_conn *conn, struct atl_arena *arena, const char ***ret, size_t *ret_count,
			   struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_db_count_rows(struct atl_conn *conn, const char *table, int64_t *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* PostgreSQL: each row of `table` to `row`, in no order. */
enum atl_err atl_db_rows_out(struct atl_conn *conn, const char *table,
			     enum atl_err (*row)(void *arg, const char *json, size_t length, struct atl_errinfo *info), void *arg,
			     struct atl_errinfo *info) ATL_MUST_USE;
/* PostgreSQL: begin() empties all tables and puts references off; end() checks them and sets the counters. */
enum atl_err atl_db_rows_in_begin(struct atl_conn *conn, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_db_row_in(struct atl_conn *conn, const char *table, const char *json, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_db_rows_in_end(struct atl_conn *conn, struct atl_errinfo *info) ATL_MUST_USE;

#endif
