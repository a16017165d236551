/* rows.c - table names come from the database's own catalogue, and are still checked before they stand in SQL. */
#include "db/rows.h"

#include <stdio.h>
#include <string.h>

#define TABLES_MAX 512
#define NAME_MAX_BYTES 63
#define FETCH "200"

static bool name_ok(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return length > 0 && length <= NAME_MAX_BYTES && !name[length];
}

static enum atl_err check_name(const char *name, struct atl_errinfo *info)
{
	return name_ok(name) ? ATL_OK : atl_fail(info, ATL_ERR_UNPROCESSABLE, "\"%.60s\" is no table.", name);
}

enum atl_err atl_db_tables(struct atl_conn *conn, struct atl_arena *arena, const char ***ret, size_t *ret_count,
			   struct atl_errinfo *info)
{
	const char **names = ATL_ARENA_ARRAY(arena, const char *, TABLES_MAX);
	struct atl_rows *rows;
	size_t count = 0;
	enum atl_err err = names ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "list tables");

	if (!err)
		err = atl_query(conn, &rows, info,
				atl_db_pick(conn,
					    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' "
					    "AND name NOT LIKE '%!_fts' ESCAPE '!' AND name NOT LIKE '%!_fts!_%' ESCAPE '!' ORDER BY name",
					    "SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace "
					    "AND c.relkind = 'r' ORDER BY c.relname COLLATE \"C\""),
				"");
	if (err)
		return err;
	while (count < TABLES_MAX && atl_rows_next(rows, &err, info)) {
		names[count] = atl_col_text(rows, 0, arena);
		if (names[count] && name_ok(names[count]))
			count++;
	}
	if (count == TABLES_MAX)
		atl_rows_close(rows);
	*ret = names;
	*ret_count = count;
	return err;
}

enum atl_err atl_db_count_rows(struct atl_conn *conn, const char *table, int64_t *ret, struct atl_errinfo *info)
{
	char sql[128];
	struct atl_rows *rows;
	enum atl_err err = check_name(table, info);

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM \"%.*s\"", NAME_MAX_BYTES, table);
	if (!err)
		err = atl_query(conn, &rows, info, sql, "");
	if (!err && atl_rows_next(rows, &err, info)) {
		*ret = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	return err;
}

static enum atl_err fetch(struct atl_conn *conn, enum atl_err (*row)(void *arg, const char *json, size_t length, struct atl_errinfo *info),
			  void *arg, size_t *count, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "FETCH " FETCH " FROM rows_out", "");

	*count = 0;
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		const char *json;

		atl_arena_init(&arena, 2 * ATL_DB_TEXT_MAX);
		json = atl_col_text(rows, 0, &arena);
		err = json ? row(arg, json, strlen(json), info) : atl_fail(info, ATL_ERR_NOMEM, "read a row");
		atl_arena_finish(&arena);
		++*count;
		if (err) {
			atl_rows_close(rows);
			break;
		}
	}
	return err;
}

enum atl_err atl_db_rows_out(struct atl_conn *conn, const char *table,
			     enum atl_err (*row)(void *arg, const char *json, size_t length, struct atl_errinfo *info), void *arg,
			     struct atl_errinfo *info)
{
	char sql[160];
	size_t count = 1;
	enum atl_err err = check_name(table, info);

	snprintf(sql, sizeof(sql), "DECLARE rows_out NO SCROLL CURSOR FOR SELECT to_jsonb(t)::text FROM \"%.*s\" t", NAME_MAX_BYTES,
		 table);
	if (!err)
		err = atl_exec(conn, info, sql, "");
	while (!err && count > 0)
		err = fetch(conn, row, arg, &count, info);
	if (!err)
		err = atl_exec(conn, info, "CLOSE rows_out", "");
	return err;
}

/* ---- back ---- */

#define EACH_REFERENCE(how)                                                                                            \
	"DO 'DECLARE c record; BEGIN FOR c IN SELECT conname, conrelid::regclass AS place FROM pg_constraint "         \
	"WHERE contype = ''f'' AND connamespace = current_schema()::regnamespace LOOP "                                \
	"EXECUTE format(''ALTER TABLE %s ALTER CONSTRAINT %I " how "'', c.place, c.conname); END LOOP; END'"

enum atl_err atl_db_rows_in_begin(struct atl_conn *conn, struct atl_errinfo *info)
{
	enum atl_err err = atl_exec(conn, info, EACH_REFERENCE("DEFERRABLE INITIALLY DEFERRED"), "");

	if (!err)
		err = atl_exec(conn, info,
			       "DO 'DECLARE t record; BEGIN FOR t IN SELECT c.oid::regclass AS place FROM pg_class c "
			       "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = ''r'' "
			       "AND c.relname <> ''schema_migrations'' LOOP EXECUTE format(''DELETE FROM %s'', t.place); END LOOP; END'",
			       "");
	return err;
}

enum atl_err atl_db_row_in(struct atl_conn *conn, const char *table, const char *json, struct atl_errinfo *info)
{
	char sql[320];
	enum atl_err err = check_name(table, info);

	snprintf(sql, sizeof(sql),
		 "INSERT INTO \"%.*s\" OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_record(NULL::\"%.*s\", CAST(? AS jsonb))",
		 NAME_MAX_BYTES, table, NAME_MAX_BYTES, table);
	return err ? err : atl_exec(conn, info, sql, "s", json);
}

enum atl_err atl_db_rows_in_end(struct atl_conn *conn, struct atl_errinfo *info)
{
	enum atl_err err = atl_exec(conn, info, "SET CONSTRAINTS ALL IMMEDIATE", "");

	if (!err)
		err = atl_exec(conn, info, EACH_REFERENCE("NOT DEFERRABLE"), "");
	if (!err) /* counters go on after the highest number */
		err = atl_exec(conn, info,
			       "DO 'DECLARE c record; BEGIN FOR c IN SELECT table_name, column_name FROM information_schema.columns "
			       "WHERE table_schema = current_schema() AND is_identity = ''YES'' LOOP "
			       "EXECUTE format(''SELECT setval(pg_get_serial_sequence(%L, %L), coalesce((SELECT max(%I) FROM %I), 0) + 1, "
			       "false)'', c.table_name, c.column_name, c.column_name, c.table_name); END LOOP; END'",
			       "");
	return err;
}
