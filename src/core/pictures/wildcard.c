/* wildcard.c - see wildcard.h. */
#include "core/pictures/wildcard.h"

#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/safety/policy.h"
#include "core/server/publish.h"
#include "db/db.h"

#define NAME_MAX_BYTES 64
#define COLUMNS "id, name, entries, created_at, updated_at"

#define OFF(member) offsetof(struct atl_wildcard, member)

static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED, .doc = "__name__ in a prompt" },
	{ "entries", ATL_JT_STR, OFF(entries), ATL_JF_REQUIRED, .doc = "one a line; # begins a remark" },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_wildcard_desc = { "Wildcard", "A list of words to choose from.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_wildcard), ATL_JSON_NO_PRESENT, false };

struct lines {
	struct atl_arena *arena;
	const char *user_id, *name, *out;
};

static enum atl_err lines_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct lines *l = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT entries FROM wildcards WHERE user_id = ? AND name = ?", "ss",
				     l->user_id, l->name);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no wildcard %s.", l->name);
	l->out = atl_col_text(rows, 0, l->arena);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_wildcard_lines(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *name,
				const char **ret, struct atl_errinfo *info)
{
	struct lines l = { .arena = arena, .user_id = user_id, .name = name };
	enum atl_err err = atl_db_read(app->db, lines_fn, &l, info);

	if (!err)
		*ret = l.out;
	return err;
}

struct work {
	struct atl_arena *arena;
	const char *user_id, *id, *name, *entries;
	struct atl_wildcard *items, out;
	size_t count;
};

static void read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_wildcard *out)
{
	*out = (struct atl_wildcard){ atl_col_text(rows, 0, arena), atl_col_text(rows, 1, arena), atl_col_text(rows, 2, arena),
				      atl_col_int(rows, 3), atl_col_int(rows, 4) };
}

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM wildcards WHERE user_id = ? ORDER BY name LIMIT ?",
				     "si", w->user_id, (int64_t)ATL_WILDCARDS_MAX);

	w->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		read_row(rows, w->arena, &w->items[w->count++]);
	return err;
}

enum atl_err atl_wildcard_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct atl_wildcard **ret,
			       size_t *ret_count, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = user_id };
	enum atl_err err;

	w.items = ATL_ARENA_ARRAY(arena, struct atl_wildcard, ATL_WILDCARDS_MAX);
	if (!w.items)
		return atl_fail(info, ATL_ERR_NOMEM, "wildcards");
	err = atl_db_read(app->db, list_fn, &w, info);
	if (err)
		return err;
	*ret = w.items;
	*ret_count = w.count;
	return ATL_OK;
}

static enum atl_err save_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t now = atl_now_ms();
	struct atl_rows *rows;
	enum atl_err err = atl_exec(conn, info,
				    "INSERT INTO wildcards (id, user_id, name, entries, created_at, updated_at) "
				    "SELECT ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM wildcards WHERE user_id = ? AND name <> ?) < ? "
				    "ON CONFLICT (user_id, name) DO UPDATE SET entries = excluded.entries, updated_at = excluded.updated_at",
				    "ssssiissi", w->id, w->user_id, w->name, w->entries, now, now, w->user_id, w->name,
				    (int64_t)ATL_WILDCARDS_MAX);

	if (!err)
		err = atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM wildcards WHERE user_id = ? AND name = ?", "ss",
				w->user_id, w->name);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_CONFLICT, "There are %d wildcards already.", ATL_WILDCARDS_MAX);
	read_row(rows, w->arena, &w->out);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_wildcard_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *name,
			       const char *entries, struct atl_wildcard *ret, struct atl_errinfo *info)
{
	char id[ATL_ID_SIZE];
	struct work w = { .arena = arena, .user_id = who->user_id, .id = id, .name = name, .entries = entries };
	bool good = *name && strlen(name) <= NAME_MAX_BYTES && !strstr(name, "__");
	enum atl_err err;

	for (const char *p = name; good && *p; p++)
		good = isalnum((unsigned char)*p) || strchr("_-/. ", *p);
	if (!good)
		return atl_fail_field(info, ATL_ERR_INVALID, "name", "A name has letters, digits, - _ / . and blanks, at most %d.",
				      NAME_MAX_BYTES);
	if (strlen(entries) > ATL_WILDCARD_BYTES_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "entries", "are longer than %zu bytes", ATL_WILDCARD_BYTES_MAX);
	err = atl_policy_check_text(app, ATL_ENTRY_PICTURE, who, entries, info);
	atl_id_new("wld", id);
	if (!err)
		err = atl_db_tx(app->db, save_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_publish_id(app, who->user_id, "wildcard.changed", ret->id, NULL, NULL);
	return ATL_OK;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t count;
	enum atl_err err = atl_exec_count(conn, &count, info, "DELETE FROM wildcards WHERE id = ? AND user_id = ?", "ss", w->id,
					  w->user_id);

	return err ? err : count ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such wildcard.");
}

enum atl_err atl_wildcard_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				 struct atl_errinfo *info)
{
	struct work w = { .user_id = who->user_id, .id = id };
	enum atl_err err = atl_db_tx(app->db, delete_fn, &w, info);

	if (!err)
		atl_publish_id(app, who->user_id, "wildcard.changed", id, NULL, NULL);
	return err;
}
