/* wildcard.c - see wildcard.h. */
#include "core/wildcard.h"

#include "db/db.h"

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
