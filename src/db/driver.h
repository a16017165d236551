/* driver.h - what a database driver provides: connections that run statements. Internal to src/db.
 *
 * db.c turns arguments into struct atl_param, keeps the rules that hold for every driver (a failed statement ends its
 * transaction, queries still open at the end of fn are closed), and calls the driver's table. pool.c lends
 * connections, writer.c groups transactions. A driver knows only one connection at a time.
 *
 * Threads:    a connection is used by one thread at a time; pool.c and writer.c see to it.
 * Adding one: a file with a `const struct atl_driver`, a line in db.c's list of drivers, docs/db.md.
 */
#ifndef ATL_DB_DRIVER_H
#define ATL_DB_DRIVER_H

#include "db/db.h"

#define ATL_DB_PARAMS_MAX 64	  /* placeholders of one statement */
#define ATL_DB_OPEN_ROWS_MAX 8	  /* queries open at once on one connection */
#define ATL_DB_DETAIL_SQL_MAX 120 /* bytes of a statement quoted in an error */

enum atl_conn_role {
	ATL_CONN_WRITER, /* begin() opens a transaction that may write */
	ATL_CONN_READER, /* begin() opens a snapshot that refuses writes */
};

/* One bound value. `text` and `blob` are borrowed from the caller until the call returns. */
struct atl_param {
	char type; /* s i d b n, as in db.h; 't' has become 'i' */
	bool null; /* whatever the type */
	union {
		struct {
			const void *data;
			size_t length;
		} bytes;
		int64_t integer;
		double number;
	};
};

/* A query in progress; lives in its connection's array. `state` belongs to the driver. */
struct atl_rows {
	struct atl_conn *conn;
	bool open;
	bool first; /* the row that run() already stepped on was not handed out yet */
	void *state;
	void *scratch; /* freed by the driver's end() */
	int64_t row;
};

/* The common head of a driver's connection structure. */
struct atl_conn {
	const struct atl_driver *driver;
	enum atl_conn_role role;
	struct atl_conn *next; /* pool.c: idle list */

	/* the transaction running now */
	bool unique_violation; /* of the last failed statement */
	enum atl_err failed;   /* a statement failed: this transaction can only be rolled back */
	bool retry;	       /* the failure goes away by running the transaction again */
	bool broken;	       /* the connection is of no more use */
	bool rewritten;	       /* SQLite, while scrubbing: what is to be written anew was */
	struct atl_rows rows[ATL_DB_OPEN_ROWS_MAX];
};

struct atl_driver {
	const char *kind;	/* atl_db_kind() */
	const char *url_prefix; /* what an address for this driver starts with */

	/* True: one writer thread runs all transactions, several in one commit, each under savepoint(). False: a
	 * transaction runs on its caller's thread and its own connection. */
	bool group_commit;
	int connections_max; /* lent to readers (and, without group_commit, writers) at once */

	/* Open a connection. `url` as given to atl_db_open(). On ATL_OK the caller owns *ret. */
	enum atl_err (*connect)(const char *url, enum atl_conn_role role, struct atl_conn **ret, struct atl_errinfo *info);
	void (*disconnect)(struct atl_conn *conn);

	/* Begin and end a transaction. `role` decides what it may do; a driver whose connect() does not depend on the role
	 * takes conn->role at begin(). A failed commit() has rolled back, unless its detail says that the outcome is not
	 * known. rollback() cannot fail: a connection that could not roll back is marked broken. */
	enum atl_err (*begin)(struct atl_conn *conn, struct atl_errinfo *info);
	enum atl_err (*commit)(struct atl_conn *conn, struct atl_errinfo *info);
	void (*rollback)(struct atl_conn *conn);

	/* Group commit only. release() ends the savepoint and keeps its changes; it fails, without ending it, when a
	 * deferred rule is broken. undo() ends it and drops them. Either fails when the whole transaction is gone. */
	enum atl_err (*savepoint)(struct atl_conn *conn, struct atl_errinfo *info);
	enum atl_err (*release)(struct atl_conn *conn, struct atl_errinfo *info);
	enum atl_err (*undo)(struct atl_conn *conn, struct atl_errinfo *info);

	/* Run one statement. With `rows` NULL its rows are dropped and *ret_changed (may be NULL) is set. With `rows` it
	 * has been executed up to its first row when this returns, so that changes of a RETURNING clause are made in any
	 * case; rows->state is set. On error nothing stays open and conn->unique_violation, retry and broken are right. */
	enum atl_err (*run)(struct atl_conn *conn, const char *sql, const struct atl_param *params, int count,
			    struct atl_rows *rows, int64_t *ret_changed, struct atl_errinfo *info);
	/* Move to the next row, the first one too: *ret_row says whether there is one. */
	enum atl_err (*next)(struct atl_rows *rows, bool *ret_row, struct atl_errinfo *info);
	void (*end)(struct atl_rows *rows); /* give up what run() opened; called once */

	/* The current row. Pointers are valid until the next next() or end(). A null is null of every kind. */
	bool (*is_null)(struct atl_rows *rows, int col);
	int64_t (*integer)(struct atl_rows *rows, int col);
	double (*number)(struct atl_rows *rows, int col);
	const void *(*bytes)(struct atl_rows *rows, int col, bool blob, size_t *ret_length); /* NULL: out of memory */

	/* Run the statements of a migration inside the transaction; `between` is called before each (before the whole
	 * script where the driver sends it at once). */
	enum atl_err (*script)(struct atl_conn *conn, const char *sql, void (*between)(void), struct atl_errinfo *info);
	/* Keep other servers from migrating until the connection closes; may wait. Outside of a transaction. */
	enum atl_err (*lock_schema)(struct atl_conn *conn, struct atl_errinfo *info);

	/* One state of the whole database as a file of its own, while it is in use; NULL: it has no such files. */
	enum atl_err (*copy)(const char *url, const char *path, struct atl_errinfo *info);

	/* Outside of a transaction, on the one writer's connection where there is one: what was deleted leaves the files.
	 * Called with turn 0, 1, .. while *ret_again; others write in between. */
	enum atl_err (*scrub)(struct atl_conn *conn, enum atl_db_scrub depth, int turn, bool *ret_again, struct atl_errinfo *info);

	/* Messages between servers, outside of a transaction; all NULL where there is only one. listen(): those to `channel`
	 * come from now on. socket(): readable when one may be there. hear(): the next that is there; false: none, or the
	 * connection broke. */
	enum atl_err (*listen)(struct atl_conn *conn, const char *channel, struct atl_errinfo *info);
	int (*socket)(struct atl_conn *conn);
	bool (*hear)(struct atl_conn *conn, char *message, size_t size);
};

extern const struct atl_driver atl_driver_sqlite;
extern const struct atl_driver atl_driver_postgres;

/* db.c, for pool.c, writer.c and migrate.c */
void atl_conn_reset(struct atl_conn *conn);	 /* before fn: forget the last transaction's failures */
void atl_conn_close_rows(struct atl_conn *conn); /* after fn */
/* Call fn with `conn` marked as this thread's running transaction; returns fn's error, or that of a statement whose
 * failure fn did not pass on. */
enum atl_err atl_conn_call(struct atl_conn *conn, atl_db_fn fn, void *arg, struct atl_errinfo *info);

/* One run of a transaction: begin, fn, and commit or rollback. */
enum atl_err atl_conn_run(struct atl_conn *conn, atl_db_fn fn, void *arg, struct atl_errinfo *info);

/* Migrations run on a connection of their own. */
enum atl_err atl_db_conn_open(struct atl_db *db, enum atl_conn_role role, struct atl_conn **ret,
			      struct atl_errinfo *info) ATL_MUST_USE;

#endif
