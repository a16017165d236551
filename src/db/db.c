/* db.c - the front of the database: arguments to parameters, the rules every driver shares, dispatch. */
#include "db/db.h"

#include <stdlib.h>

#include "base/str.h"
#include "db/internal.h"

static const struct atl_driver *const drivers[] = { &atl_driver_sqlite, &atl_driver_postgres };

static _Thread_local struct atl_conn *running; /* the connection whose fn runs on this thread */

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* of transactions that lost too often */

/* ---- open and close ---- */

static const struct atl_driver *find_driver(const char *url)
{
	for (size_t i = 0; i < ATL_COUNT(drivers); i++)
		if (atl_str_starts(url, drivers[i]->url_prefix))
			return drivers[i];
	return atl_str_starts(url, "postgresql://") ? &atl_driver_postgres : NULL;
}

enum atl_err atl_db_open(const char *url, struct atl_db **ret, struct atl_errinfo *info)
{
	const struct atl_driver *driver = find_driver(url);
	struct atl_db *db;
	struct atl_conn *conn;
	enum atl_err err;

	if (!driver)
		return atl_fail(info, ATL_ERR_CONFIG,
				"The database address begins neither with sqlite: nor with postgres://.");
	db = calloc(1, sizeof(*db));
	if (!db)
		return atl_fail(info, ATL_ERR_NOMEM, "open the database: no memory");
	db->driver = driver;
	atl_pool_init(db);
	db->url = strdup(url);
	if (!db->url)
		err = atl_fail(info, ATL_ERR_NOMEM, "open the database: no memory");
	else if (driver->group_commit)
		err = driver->connect(url, ATL_CONN_WRITER, &db->writer, info);
	else {
		/* Find out now whether the server can be reached. */
		err = atl_pool_take(db, ATL_CONN_WRITER, &conn, info);
		if (!err)
			atl_pool_give(db, conn);
	}
	if (!err)
		err = atl_queue_start(db, info);
	if (err) {
		if (db->writer)
			driver->disconnect(db->writer);
		atl_pool_finish(db);
		free(db->url);
		free(db);
		return err;
	}
	*ret = db;
	return ATL_OK;
}

void atl_db_close(struct atl_db *db)
{
	if (!db)
		return;
	atl_queue_stop(db);
	atl_pool_finish(db); /* readers first: the last connection to close empties SQLite's log */
	if (db->writer)
		db->driver->disconnect(db->writer);
	free(db->url);
	free(db);
}

const char *atl_db_kind(const struct atl_db *db)
{
	return db->driver->kind;
}

size_t atl_db_queue_depth(const struct atl_db *db)
{
	return atomic_load_explicit(&db->queue_depth, memory_order_relaxed);
}

enum atl_err atl_db_conn_open(struct atl_db *db, enum atl_conn_role role, struct atl_conn **ret,
			      struct atl_errinfo *info)
{
	return db->driver->connect(db->url, role, ret, info);
}

/* ---- transactions ---- */

static enum atl_err refuse_nested(struct atl_errinfo *info)
{
	if (running)
		return atl_fail(info, ATL_ERR_INTERNAL, "A transaction was started inside a transaction.");
	if (atl_queue_thread())
		return atl_fail(info, ATL_ERR_INTERNAL, "A database thread may not wait for the database; queue the work.");
	return ATL_OK;
}

void atl_conn_reset(struct atl_conn *conn)
{
	conn->failed = ATL_OK;
	conn->unique_violation = false;
	conn->retry = false;
}

void atl_conn_close_rows(struct atl_conn *conn)
{
	for (int i = 0; i < ATL_DB_OPEN_ROWS_MAX; i++)
		atl_rows_close(&conn->rows[i]);
}

enum atl_err atl_conn_call(struct atl_conn *conn, atl_db_fn fn, void *arg, struct atl_errinfo *info)
{
	enum atl_err err;

	running = conn;
	err = fn(conn, arg, info);
	running = NULL;
	atl_conn_close_rows(conn);
	/* PostgreSQL would refuse the commit, SQLite would not: the same for both. */
	if (!err && conn->failed)
		err = atl_fail(info, conn->failed, "A statement failed and its transaction was to be kept.");
	return err;
}

enum atl_err atl_conn_run(struct atl_conn *conn, atl_db_fn fn, void *arg, struct atl_errinfo *info)
{
	enum atl_err err;

	atl_conn_reset(conn);
	err = conn->driver->begin(conn, info);
	if (err)
		return err;
	err = atl_conn_call(conn, fn, arg, info);
	if (err)
		conn->driver->rollback(conn);
	else
		err = conn->driver->commit(conn, info);
	return err;
}

enum atl_err atl_db_run(struct atl_db *db, enum atl_conn_role role, atl_db_fn fn, void *arg, struct atl_errinfo *info)
{
	struct atl_conn *conn;
	enum atl_err err;
	bool again;

	for (int attempt = 1;; attempt++) {
		bool in_turn = attempt > ATL_DB_TURNS_AFTER;

		if (in_turn)
			pthread_mutex_lock(&turn); /* before the connection: who waits holds none */
		again = false;
		err = atl_pool_take(db, role, &conn, info);
		if (!err) {
			err = atl_conn_run(conn, fn, arg, info);
			again = err && conn->retry;
			atl_pool_give(db, conn);
		}
		if (in_turn)
			pthread_mutex_unlock(&turn);
		if (!again)
			return err;
		if (attempt == ATL_DB_TRIES_MAX)
			return atl_fail_context(info, ATL_ERR_DB_BUSY, "Given up after %d runs of a transaction", attempt);
		if (info)
			*info = (struct atl_errinfo){ 0 };
		atl_pool_pause(db, attempt);
	}
}

/* Group commit: by the writer thread. */
static enum atl_err queue_and_wait(struct atl_db *db, atl_db_fn fn, void *arg, bool outside, struct atl_errinfo *info)
{
	struct atl_db_task task = { .fn = fn, .arg = arg, .info = info, .outside = outside };
	sem_t finished;
	enum atl_err err;

	sem_init(&finished, 0, 0);
	task.finished = &finished;
	err = atl_queue_add(db, &task, info);
	if (!err) {
		while (sem_wait(&finished) != 0) /* a signal */
			;
		err = task.err;
	}
	sem_destroy(&finished);
	return err;
}

enum atl_err atl_db_tx(struct atl_db *db, atl_db_fn fn, void *arg, struct atl_errinfo *info)
{
	enum atl_err err = refuse_nested(info);

	if (err)
		return err;
	if (!db->driver->group_commit)
		return atl_db_run(db, ATL_CONN_WRITER, fn, arg, info);
	return queue_and_wait(db, fn, arg, false, info);
}

enum atl_err atl_db_read(struct atl_db *db, atl_db_fn fn, void *arg, struct atl_errinfo *info)
{
	enum atl_err err = refuse_nested(info);

	return err ? err : atl_db_run(db, ATL_CONN_READER, fn, arg, info);
}

struct async_task {
	struct atl_db_task task; /* first: freed by its address */
	struct atl_errinfo info;
};

enum atl_err atl_db_tx_async(struct atl_db *db, atl_db_fn fn, void *arg, void (*done)(void *arg, enum atl_err err))
{
	struct async_task *async;
	enum atl_err err;

	if (running) /* fn may run again, and would queue it again */
		return ATL_ERR_INTERNAL;
	async = calloc(1, sizeof(*async));
	if (!async)
		return ATL_ERR_NOMEM;
	async->task = (struct atl_db_task){ .fn = fn, .arg = arg, .info = &async->info, .done = done };
	err = atl_queue_add(db, &async->task, NULL);
	if (err)
		free(async);
	return err;
}

enum atl_err atl_db_copy(struct atl_db *db, const char *path, struct atl_errinfo *info)
{
	if (!db->driver->copy)
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "This database is not a file.");
	return db->driver->copy(db->url, path, info);
}

struct scrub {
	enum atl_db_scrub depth;
	bool again;
	int turn;
};

static enum atl_err scrub_step(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct scrub *scrub = arg;

	return conn->driver->scrub(conn, scrub->depth, scrub->turn, &scrub->again, info);
}

/* The one writer does it between its groups; else a connection of the pool, which runs no transaction meanwhile. */
static enum atl_err scrub_once(struct atl_db *db, struct scrub *scrub, struct atl_errinfo *info)
{
	struct atl_conn *conn;
	enum atl_err err;

	if (db->driver->group_commit)
		return queue_and_wait(db, scrub_step, scrub, true, info);
	err = atl_pool_take(db, ATL_CONN_WRITER, &conn, info);
	if (err)
		return err;
	err = scrub_step(conn, scrub, info);
	atl_pool_give(db, conn);
	return err;
}

enum atl_err atl_db_scrub(struct atl_db *db, enum atl_db_scrub depth, struct atl_errinfo *info)
{
	struct scrub scrub = { .depth = depth, .again = true };
	enum atl_err err = refuse_nested(info);

	while (!err && scrub.again) {
		scrub.again = false;
		err = scrub_once(db, &scrub, info);
		scrub.turn++;
	}
	return err;
}

static enum atl_err ping(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT 1", "");

	if (!err && atl_rows_next(rows, &err, info))
		atl_rows_close(rows);
	return err;
}

enum atl_err atl_db_ping(struct atl_db *db, struct atl_errinfo *info)
{
	return atl_db_read(db, ping, NULL, info);
}

/* ---- statements ---- */

static size_t text_length(const char *text)
{
	return text ? strnlen(text, ATL_DB_TEXT_MAX + 1) : 0;
}

/* One parameter of kind `type` from the argument list. False: there is no such kind. */
static bool take_param(char type, struct atl_param *param, va_list *args)
{
	param->type = type;
	param->null = false;
	switch (type) {
	case 's':
		param->bytes.data = va_arg(*args, const char *);
		param->bytes.length = text_length(param->bytes.data);
		param->null = !param->bytes.data;
		return true;
	case 'b':
		param->bytes.data = va_arg(*args, const void *);
		param->bytes.length = va_arg(*args, size_t);
		param->null = !param->bytes.data && !param->bytes.length;
		return true;
	case 't':
		param->integer = va_arg(*args, int64_t);
		param->type = 'i';
		param->null = param->integer == 0;
		return true;
	case 'i':
		param->integer = va_arg(*args, int64_t);
		return true;
	case 'd':
		param->number = va_arg(*args, double);
		return true;
	default:
		param->null = true;
		return type == 'n';
	}
}

static enum atl_err take_params(const char *sql, const char *types, struct atl_param params[ATL_DB_PARAMS_MAX],
				int *ret_count, va_list *args, struct atl_errinfo *info)
{
	int count = 0;

	if (strlen(types) > ATL_DB_PARAMS_MAX)
		return atl_fail(info, ATL_ERR_INTERNAL, "More than %d parameters: \"%.*s\"", ATL_DB_PARAMS_MAX,
				ATL_DB_DETAIL_SQL_MAX, sql);
	for (; *types; types++, count++) {
		struct atl_param *param = &params[count];

		if (!take_param(*types, param, args))
			return atl_fail(info, ATL_ERR_INTERNAL, "No kind of parameter '%c': \"%.*s\"", *types,
					ATL_DB_DETAIL_SQL_MAX, sql);
		if (param->null || (*types != 's' && *types != 'b'))
			continue;
		if (param->bytes.length > ATL_DB_TEXT_MAX)
			return atl_fail(info, ATL_ERR_TOO_LARGE, "A value has more than %zu bytes.", ATL_DB_TEXT_MAX);
		if (*types == 's' && !atl_utf8_valid(param->bytes.data, param->bytes.length))
			return atl_fail(info, ATL_ERR_ENCODING, "A text for the database is not valid UTF-8.");
	}
	*ret_count = count;
	return ATL_OK;
}

static enum atl_err run(struct atl_conn *conn, const char *sql, const char *types, va_list *args, struct atl_rows *rows,
			int64_t *ret_changed, struct atl_errinfo *info)
{
	struct atl_param params[ATL_DB_PARAMS_MAX];
	int count = 0;
	enum atl_err err;

	if (conn != running)
		return atl_fail(info, ATL_ERR_INTERNAL, "A connection was used outside of its transaction.");
	if (conn->failed)
		return atl_fail(info, conn->failed, "An earlier statement of this transaction failed.");
	conn->unique_violation = false;
	err = take_params(sql, types, params, &count, args, info);
	if (!err)
		err = conn->driver->run(conn, sql, params, count, rows, ret_changed, info);
	conn->failed = err;
	return err;
}

enum atl_err atl_exec(struct atl_conn *conn, struct atl_errinfo *info, const char *sql, const char *types, ...)
{
	va_list args;
	enum atl_err err;

	va_start(args, types);
	err = run(conn, sql, types, &args, NULL, NULL, info);
	va_end(args);
	return err;
}

enum atl_err atl_exec_count(struct atl_conn *conn, int64_t *ret_changed, struct atl_errinfo *info, const char *sql,
			    const char *types, ...)
{
	va_list args;
	enum atl_err err;

	va_start(args, types);
	err = run(conn, sql, types, &args, NULL, ret_changed, info);
	va_end(args);
	return err;
}

static struct atl_rows *free_rows(struct atl_conn *conn)
{
	for (int i = 0; i < ATL_DB_OPEN_ROWS_MAX; i++)
		if (!conn->rows[i].open)
			return &conn->rows[i];
	return NULL;
}

enum atl_err atl_query(struct atl_conn *conn, struct atl_rows **ret, struct atl_errinfo *info, const char *sql,
		       const char *types, ...)
{
	struct atl_rows *rows = free_rows(conn);
	va_list args;
	enum atl_err err;

	if (!rows) {
		conn->failed = ATL_ERR_INTERNAL;
		return atl_fail(info, ATL_ERR_INTERNAL, "More than %d queries are open at once.", ATL_DB_OPEN_ROWS_MAX);
	}
	rows->conn = conn;
	va_start(args, types);
	err = run(conn, sql, types, &args, rows, NULL, info);
	va_end(args);
	if (err)
		return err;
	rows->open = true;
	*ret = rows;
	return ATL_OK;
}

bool atl_rows_next(struct atl_rows *rows, enum atl_err *err, struct atl_errinfo *info)
{
	bool row = false;

	*err = ATL_OK;
	if (!rows->open)
		return false;
	*err = rows->conn->driver->next(rows, &row, info);
	if (*err)
		rows->conn->failed = *err;
	if (*err || !row)
		atl_rows_close(rows);
	return !*err && row;
}

void atl_rows_close(struct atl_rows *rows)
{
	if (!rows || !rows->open)
		return;
	rows->open = false;
	rows->conn->driver->end(rows);
}

/* ---- columns ---- */

bool atl_col_null(struct atl_rows *rows, int col)
{
	return rows->conn->driver->is_null(rows, col);
}

int64_t atl_col_int(struct atl_rows *rows, int col)
{
	return atl_col_null(rows, col) ? 0 : rows->conn->driver->integer(rows, col);
}

double atl_col_num(struct atl_rows *rows, int col)
{
	return atl_col_null(rows, col) ? 0 : rows->conn->driver->number(rows, col);
}

const char *atl_col_text(struct atl_rows *rows, int col, struct atl_arena *arena)
{
	const void *data;
	size_t length;
	char *copy;

	if (atl_col_null(rows, col))
		return NULL;
	data = rows->conn->driver->bytes(rows, col, false, &length);
	copy = data ? atl_arena_strndup(arena, data, length) : NULL;
	if (!copy) /* must not pass for a null: the transaction fails */
		rows->conn->failed = ATL_ERR_NOMEM;
	return copy;
}

const void *atl_col_blob(struct atl_rows *rows, int col, struct atl_arena *arena, size_t *ret_length)
{
	const void *data;
	void *copy;

	*ret_length = 0;
	if (atl_col_null(rows, col))
		return NULL;
	data = rows->conn->driver->bytes(rows, col, true, ret_length);
	copy = data ? atl_arena_alloc(arena, *ret_length ? *ret_length : 1) : NULL;
	if (copy) {
		memcpy(copy, data, *ret_length);
	} else {
		*ret_length = 0;
		rows->conn->failed = ATL_ERR_NOMEM;
	}
	return copy;
}

const char *atl_db_pick(const struct atl_conn *conn, const char *sqlite, const char *postgres)
{
	return atl_conn_is_postgres(conn) ? postgres : sqlite;
}

bool atl_conn_is_postgres(const struct atl_conn *conn)
{
	return conn->driver == &atl_driver_postgres;
}

bool atl_conn_unique_violation(const struct atl_conn *conn)
{
	return conn->unique_violation;
}
