/* server_state.c - asks the database for its own size and that of the blobs. */
#include "core/server/server_state.h"

static enum atl_err sizes_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_server_sizes *sizes = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     atl_db_pick(conn, "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
						 "SELECT pg_database_size(current_database())"),
				     "");

	if (!err && atl_rows_next(rows, &err, info)) {
		sizes->database_bytes = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	if (!err)
		err = atl_query(conn, &rows, info,
				"SELECT count(*), CAST(coalesce(sum(size_bytes), 0) AS BIGINT) FROM blobs", "");
	if (!err && atl_rows_next(rows, &err, info)) {
		sizes->blob_count = atl_col_int(rows, 0);
		sizes->blob_bytes = atl_col_int(rows, 1);
		atl_rows_close(rows);
	}
	return err;
}

enum atl_err atl_server_sizes(struct atl_app *app, struct atl_server_sizes *ret, struct atl_errinfo *info)
{
	return atl_db_read(app->db, sizes_read, ret, info);
}
