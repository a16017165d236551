/* postgres.c - the PostgreSQL driver: one connection of libpq.
 *
 * Transactions are SERIALIZABLE, readers REPEATABLE READ, READ ONLY: the same guarantees as SQLite's one writer and its
 * snapshots. What PostgreSQL aborts because of others (40001, 40P01), and a transaction whose connection broke before
 * COMMIT was sent, is marked for another run. A connection that breaks at COMMIT leaves the outcome unknown: that is
 * an error, never another run.
 *
 * Statements are rewritten from `?` to `$n` and prepared by name; parameters travel in binary, results as text.
 *
 * Limits: ATL_PG_CONNECTIONS_MAX connections of one server, ATL_PG_CONNECT_S to connect.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "db/driver.h"
#include "db/stmt_cache.h"

#define ATL_PG_CONNECTIONS_MAX 16
#define ATL_PG_CONNECT_S "10"
#define ATL_PG_SQL_MAX ((size_t)1 << 20)
#define ATL_PG_SCHEMA_LOCK "7021496634103151"

enum { OID_BYTEA = 17, OID_INT8 = 20, OID_TEXT = 25, OID_FLOAT8 = 701 };

struct pg_conn {
	struct atl_conn base;
	PGconn *pg;
	struct atl_stmt_cache cache;
	int64_t next_number; /* of prepared statements */
};

static struct pg_conn *of(struct atl_conn *conn)
{
	return (struct pg_conn *)conn;
}

/* ---- errors ---- */

struct state_row {
	const char *state; /* SQLSTATE or its class */
	enum atl_err err;
	bool retry;
};

static const struct state_row states[] = {
	{ "40001", ATL_ERR_DB_BUSY, true },   /* serialization failure */
	{ "40P01", ATL_ERR_DB_BUSY, true },   /* deadlock */
	{ "55P03", ATL_ERR_DB_BUSY, false },  /* lock not available */
	{ "57014", ATL_ERR_DB_BUSY, false },  /* cancelled, statement timeout */
	{ "57P", ATL_ERR_DB_BUSY, false },    /* shutting down, starting up */
	{ "53100", ATL_ERR_DISK, false },     /* disk full */
	{ "53200", ATL_ERR_NOMEM, false },    /* out of memory */
	{ "53300", ATL_ERR_DB_BUSY, false },  /* too many connections */
	{ "22021", ATL_ERR_ENCODING, false }, /* not in the server's encoding */
};

/* The first line of libpq's message, without its "ERROR:  ". */
static void first_line(const char *message, char *out, size_t size)
{
	const char *colon = strstr(message, ":  ");
	size_t length;

	if (colon && colon - message < 10)
		message = colon + 3;
	length = strcspn(message, "\n");
	snprintf(out, size, "%.*s", (int)length, message);
}

/* `result` may be NULL (the connection broke). Frees it. */
static enum atl_err fail(struct pg_conn *self, PGresult *result, const char *sql, struct atl_errinfo *info)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	char text[300];
	enum atl_err err = ATL_ERR_DB;

	first_line(PQerrorMessage(self->pg), text, sizeof(text));
	for (size_t i = 0; state && i < ATL_COUNT(states); i++) {
		if (!atl_str_starts(state, states[i].state))
			continue;
		err = states[i].err;
		self->base.retry = states[i].retry;
	}
	self->base.unique_violation = atl_str_eq(state, "23505");
	if (PQstatus(self->pg) == CONNECTION_BAD) {
		err = ATL_ERR_DB_BUSY;
		self->base.broken = true;
		self->base.retry = true; /* nothing was committed; commit() decides otherwise */
	} else if (atl_str_eq(state, "0A000") && strstr(text, "cached plan")) {
		self->base.broken = true; /* a migration changed the table: prepare anew on another connection */
		self->base.retry = true;
	}
	err = atl_fail(info, err, "%s (PostgreSQL %s; \"%.*s\")", text[0] ? text : "no answer", state ? state : "-",
		       ATL_DB_DETAIL_SQL_MAX, sql);
	PQclear(result);
	return err;
}

static bool succeeded(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

static enum atl_err simple(struct pg_conn *self, const char *sql, struct atl_errinfo *info)
{
	PGresult *result = PQexec(self->pg, sql);

	if (!succeeded(result))
		return fail(self, result, sql, info);
	PQclear(result);
	return ATL_OK;
}

/* ---- open and close ---- */

static void drop_statement(struct atl_stmt *stmt, void *arg)
{
	struct pg_conn *self = arg;
	char sql[40];

	if (!stmt->number)
		return; /* never reached the server */
	snprintf(sql, sizeof(sql), "DEALLOCATE s%lld", (long long)stmt->number);
	PQclear(PQexec(self->pg, sql));
}

static void forget_statement(struct atl_stmt *stmt, void *arg)
{
}

static void on_notice(void *arg, const char *message)
{
	atl_debug("db", "PostgreSQL: %.*s", (int)strcspn(message, "\n"), message);
}

static void pg_disconnect(struct atl_conn *conn)
{
	struct pg_conn *self = of(conn);

	self->cache.drop = forget_statement; /* they go with the session */
	atl_stmt_cache_finish(&self->cache);
	PQfinish(self->pg);
	free(self);
}

static enum atl_err connect_to(struct pg_conn *self, const char *url, struct atl_errinfo *info)
{
	/* The address comes last: what it says wins. */
	static const char *const names[] = { "connect_timeout", "application_name", "tcp_user_timeout", "client_encoding",
					     "dbname", NULL };
	const char *values[] = { ATL_PG_CONNECT_S, "atelier", "30000", "UTF8", url, NULL };
	char text[300];

	self->pg = PQconnectdbParams(names, values, 1);
	if (!self->pg)
		return atl_fail(info, ATL_ERR_NOMEM, "connect to PostgreSQL: no memory");
	if (PQstatus(self->pg) != CONNECTION_OK) {
		first_line(PQerrorMessage(self->pg), text, sizeof(text));
		return atl_fail(info, ATL_ERR_DB_BUSY, "PostgreSQL cannot be reached: %s", text);
	}
	PQsetNoticeProcessor(self->pg, on_notice, NULL);
	return simple(self,
		      "SET standard_conforming_strings = on; SET bytea_output = 'hex'; SET TimeZone = 'UTC'; "
		      "SET extra_float_digits = 1",
		      info);
}

static enum atl_err pg_connect(const char *url, enum atl_conn_role role, struct atl_conn **ret, struct atl_errinfo *info)
{
	PQconninfoOption *options = PQconninfoParse(url, NULL);
	struct pg_conn *self;
	enum atl_err err;

	/* libpq's own message would quote the address, and with it the password. */
	if (!options)
		return atl_fail(info, ATL_ERR_CONFIG,
				"The database address cannot be read. Write postgres://user:password@host:5432/name.");
	PQconninfoFree(options);
	self = calloc(1, sizeof(*self));
	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "connect to PostgreSQL: no memory");
	self->base.driver = &atl_driver_postgres;
	self->base.role = role;
	atl_stmt_cache_init(&self->cache, drop_statement, self);
	err = connect_to(self, url, info);
	if (err) {
		pg_disconnect(&self->base);
		return err;
	}
	*ret = &self->base;
	return ATL_OK;
}

/* ---- transactions ---- */

static enum atl_err pg_begin(struct atl_conn *conn, struct atl_errinfo *info)
{
	return simple(of(conn),
		      conn->role == ATL_CONN_WRITER ? "BEGIN ISOLATION LEVEL SERIALIZABLE" :
						      "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
		      info);
}

static void pg_rollback(struct atl_conn *conn)
{
	struct pg_conn *self = of(conn);

	if (PQtransactionStatus(self->pg) == PQTRANS_IDLE)
		return;
	if (simple(self, "ROLLBACK", NULL) || PQtransactionStatus(self->pg) != PQTRANS_IDLE)
		conn->broken = true;
}

static enum atl_err pg_commit(struct atl_conn *conn, struct atl_errinfo *info)
{
	struct pg_conn *self = of(conn);
	PGresult *result = PQexec(self->pg, "COMMIT");
	enum atl_err err;

	if (succeeded(result) && strcmp(PQcmdStatus(result), "COMMIT") == 0) {
		PQclear(result);
		return ATL_OK;
	}
	if (succeeded(result)) { /* the answer to the COMMIT of a failed transaction is ROLLBACK */
		PQclear(result);
		return atl_fail(info, ATL_ERR_DB, "PostgreSQL rolled the transaction back.");
	}
	err = fail(self, result, "COMMIT", info);
	if (PQstatus(self->pg) == CONNECTION_BAD) {
		conn->retry = false;
		return atl_fail(info, conn->role == ATL_CONN_WRITER ? ATL_ERR_DB : err,
				"The connection broke while the change was being committed: whether it was kept is not known. Look "
				"before trying again.");
	}
	pg_rollback(conn);
	return err;
}

/* ---- statements ---- */

/* The end of the quoted text, name or comment that begins at `at`; `at` itself when none does. */
static const char *skip_quoted(const char *at)
{
	const char *end;

	if (*at == '\'' || *at == '"') {
		end = strchr(at + 1, *at); /* a doubled quote begins the next quoted part at once */
		return end ? end + 1 : at + strlen(at);
	}
	if (at[0] == '-' && at[1] == '-')
		return at + strcspn(at, "\n");
	if (at[0] == '/' && at[1] == '*') {
		end = strstr(at + 2, "*/");
		return end ? end + 2 : at + strlen(at);
	}
	return at;
}

/* `?` to `$1`, `$2` ... Returns how many there were. */
static int rewrite(const char *sql, struct atl_buf *out)
{
	int count = 0;

	while (*sql) {
		const char *end = skip_quoted(sql);

		if (end > sql) {
			atl_buf_add(out, sql, (size_t)(end - sql));
			sql = end;
		} else if (*sql == '?') {
			atl_buf_addf(out, "$%d", ++count);
			sql++;
		} else {
			atl_buf_addc(out, *sql++);
		}
	}
	return count;
}

static Oid oid_of(char type)
{
	switch (type) {
	case 's':
		return OID_TEXT;
	case 'i':
		return OID_INT8;
	case 'd':
		return OID_FLOAT8;
	case 'b':
		return OID_BYTEA;
	default:
		return 0; /* from its place */
	}
}

static enum atl_err send_prepare(struct pg_conn *self, struct atl_stmt *stmt, const char *sql,
				 const struct atl_param *params, int count, struct atl_errinfo *info)
{
	Oid types[ATL_DB_PARAMS_MAX];
	struct atl_buf text;
	char name[24];
	PGresult *result;
	enum atl_err err;
	int found;

	atl_buf_init(&text, ATL_PG_SQL_MAX);
	found = rewrite(sql, &text);
	err = atl_buf_err(&text, info);
	if (!err && found != count)
		err = atl_fail(info, ATL_ERR_INTERNAL, "%d placeholders but %d parameters: \"%.*s\"", found, count,
			       ATL_DB_DETAIL_SQL_MAX, sql);
	if (err)
		goto out;
	for (int i = 0; i < count; i++)
		types[i] = oid_of(params[i].type);
	snprintf(name, sizeof(name), "s%lld", (long long)++self->next_number);
	result = PQprepare(self->pg, name, text.data, count, types);
	if (succeeded(result)) {
		PQclear(result);
		stmt->number = self->next_number;
	} else {
		err = fail(self, result, sql, info);
	}
out:
	atl_buf_finish(&text);
	return err;
}

static enum atl_err prepare(struct pg_conn *self, const char *sql, const struct atl_param *params, int count,
			    struct atl_stmt **ret, struct atl_errinfo *info)
{
	char kinds[ATL_DB_PARAMS_MAX + 1];
	struct atl_stmt *stmt;
	enum atl_err err;

	for (int i = 0; i < count; i++)
		kinds[i] = params[i].type;
	kinds[count] = '\0';
	stmt = atl_stmt_cache_find(&self->cache, kinds, sql);
	if (!stmt) {
		stmt = atl_stmt_cache_add(&self->cache, kinds, sql);
		if (!stmt)
			return atl_fail(info, ATL_ERR_NOMEM, "prepare a statement: no memory");
		err = send_prepare(self, stmt, sql, params, count, info);
		if (err) {
			atl_stmt_cache_remove(&self->cache, stmt);
			return err;
		}
	}
	*ret = stmt;
	return ATL_OK;
}

static void big_endian(uint64_t bits, unsigned char out[8])
{
	for (int i = 0; i < 8; i++)
		out[i] = (unsigned char)(bits >> (56 - 8 * i));
}

static PGresult *execute(struct pg_conn *self, const struct atl_stmt *stmt, const struct atl_param *params, int count)
{
	const char *values[ATL_DB_PARAMS_MAX];
	int lengths[ATL_DB_PARAMS_MAX], formats[ATL_DB_PARAMS_MAX];
	unsigned char numbers[ATL_DB_PARAMS_MAX][8];
	char name[24];
	uint64_t bits;

	for (int i = 0; i < count; i++) {
		const struct atl_param *param = &params[i];

		formats[i] = 1;
		if (param->null) {
			values[i] = NULL;
			lengths[i] = 0;
		} else if (param->type == 's' || param->type == 'b') {
			values[i] = param->bytes.length ? param->bytes.data : ""; /* NULL would be null */
			lengths[i] = (int)param->bytes.length;
		} else {
			if (param->type == 'd')
				memcpy(&bits, &param->number, sizeof(bits));
			else
				bits = (uint64_t)param->integer;
			big_endian(bits, numbers[i]);
			values[i] = (const char *)numbers[i];
			lengths[i] = 8;
		}
	}
	snprintf(name, sizeof(name), "s%lld", (long long)stmt->number);
	return PQexecPrepared(self->pg, name, count, values, lengths, formats, 0);
}

static enum atl_err pg_run(struct atl_conn *conn, const char *sql, const struct atl_param *params, int count,
			   struct atl_rows *rows, int64_t *ret_changed, struct atl_errinfo *info)
{
	struct pg_conn *self = of(conn);
	struct atl_stmt *stmt = NULL;
	PGresult *result;
	int64_t changed;
	enum atl_err err = prepare(self, sql, params, count, &stmt, info);

	if (err)
		return err;
	result = execute(self, stmt, params, count);
	if (!succeeded(result))
		return fail(self, result, sql, info);
	if (rows) {
		rows->state = result;
		rows->scratch = NULL;
		rows->row = -1;
		return ATL_OK;
	}
	if (ret_changed) {
		if (!atl_str_i64(PQcmdTuples(result), 0, INT64_MAX, &changed))
			changed = 0; /* no count: neither INSERT, UPDATE nor DELETE */
		*ret_changed = changed;
	}
	PQclear(result);
	return ATL_OK;
}

static enum atl_err pg_next(struct atl_rows *rows, bool *ret_row, struct atl_errinfo *info)
{
	rows->row++;
	*ret_row = rows->row < PQntuples(rows->state);
	return ATL_OK;
}

static void pg_end(struct atl_rows *rows)
{
	PQfreemem(rows->scratch);
	PQclear(rows->state);
	rows->scratch = NULL;
	rows->state = NULL;
}

/* ---- columns ---- */

static bool there(struct atl_rows *rows, int col)
{
	return rows->row >= 0 && rows->row < PQntuples(rows->state) && col >= 0 && col < PQnfields(rows->state);
}

static bool pg_is_null(struct atl_rows *rows, int col)
{
	return !there(rows, col) || PQgetisnull(rows->state, (int)rows->row, col);
}

static double pg_number(struct atl_rows *rows, int col)
{
	double number;

	return atl_str_double(PQgetvalue(rows->state, (int)rows->row, col), &number) ? number : 0;
}

static int64_t pg_integer(struct atl_rows *rows, int col)
{
	const char *text = PQgetvalue(rows->state, (int)rows->row, col);
	int64_t integer;
	double number;

	if (atl_str_i64(text, INT64_MIN, INT64_MAX, &integer))
		return integer;
	if (strcmp(text, "t") == 0) /* a boolean expression */
		return 1;
	/* A fraction is cut, as SQLite does. */
	number = pg_number(rows, col);
	return number > -9.2e18 && number < 9.2e18 ? (int64_t)number : 0;
}

static const void *pg_bytes(struct atl_rows *rows, int col, bool blob, size_t *ret_length)
{
	const char *text = PQgetvalue(rows->state, (int)rows->row, col);

	if (!blob || PQftype(rows->state, col) != OID_BYTEA) {
		*ret_length = (size_t)PQgetlength(rows->state, (int)rows->row, col);
		return text;
	}
	PQfreemem(rows->scratch);
	rows->scratch = PQunescapeBytea((const unsigned char *)text, ret_length);
	return rows->scratch;
}

/* ---- migrations ---- */

static enum atl_err pg_script(struct atl_conn *conn, const char *sql, void (*between)(void), struct atl_errinfo *info)
{
	if (between)
		between();
	return simple(of(conn), sql, info);
}

static enum atl_err pg_lock_schema(struct atl_conn *conn, struct atl_errinfo *info)
{
	return simple(of(conn), "SELECT pg_advisory_lock(" ATL_PG_SCHEMA_LOCK ")", info);
}

/* ---- messages between servers ---- */

static enum atl_err pg_listen(struct atl_conn *conn, const char *channel, struct atl_errinfo *info)
{
	char sql[ATL_DB_CHANNEL_MAX + 16];

	snprintf(sql, sizeof(sql), "LISTEN %s", channel);
	return simple(of(conn), sql, info);
}

static int pg_socket(struct atl_conn *conn)
{
	return PQsocket(of(conn)->pg);
}

static bool pg_hear(struct atl_conn *conn, char *message, size_t size)
{
	struct pg_conn *self = of(conn);
	PGnotify *notify = PQnotifies(self->pg);

	if (!notify) {
		if (!PQconsumeInput(self->pg) || PQstatus(self->pg) == CONNECTION_BAD)
			conn->broken = true;
		notify = PQnotifies(self->pg);
	}
	if (!notify)
		return false;
	atl_str_copy(message, size, notify->extra);
	PQfreemem(notify);
	return true;
}

/* ---- what was deleted leaves the files ---- */

/* Dead rows and their index entries, and what statistics quote. A table that is written anew has no old pages at all. */
static enum atl_err pg_scrub(struct atl_conn *conn, enum atl_db_scrub depth, int turn, bool *ret_again,
			     struct atl_errinfo *info)
{
	static const char small[] = "SELECT format('VACUUM (FULL, ANALYZE) %I.%I', n.nspname, c.relname) FROM pg_class c "
				    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND "
				    "n.nspname = current_schema() AND pg_total_relation_size(c.oid) <= 268435456";
	struct pg_conn *self = of(conn);
	PGresult *tables;
	enum atl_err err = simple(self, depth == ATL_DB_SCRUB_ROWS ? "VACUUM" : "VACUUM (ANALYZE)", info);

	_Static_assert(ATL_DB_REWRITE_MAX == 268435456, "the number in the statement");
	if (err || depth != ATL_DB_SCRUB_WHOLE)
		return err;
	tables = PQexec(self->pg, small);
	if (PQresultStatus(tables) != PGRES_TUPLES_OK)
		return fail(self, tables, small, info);
	for (int i = 0; !err && i < PQntuples(tables); i++)
		err = simple(self, PQgetvalue(tables, i, 0), info);
	PQclear(tables);
	if (!err) /* files that were given up are removed then; who may not ask for it waits for the next one */
		PQclear(PQexec(self->pg, "CHECKPOINT"));
	return err;
}

const struct atl_driver atl_driver_postgres = {
	.kind = "postgres",
	.url_prefix = "postgres://",
	.group_commit = false,
	.connections_max = ATL_PG_CONNECTIONS_MAX,
	.connect = pg_connect,
	.disconnect = pg_disconnect,
	.begin = pg_begin,
	.commit = pg_commit,
	.rollback = pg_rollback,
	.run = pg_run,
	.next = pg_next,
	.end = pg_end,
	.is_null = pg_is_null,
	.integer = pg_integer,
	.number = pg_number,
	.bytes = pg_bytes,
	.script = pg_script,
	.lock_schema = pg_lock_schema,
	.scrub = pg_scrub,
	.listen = pg_listen,
	.socket = pg_socket,
	.hear = pg_hear,
};
