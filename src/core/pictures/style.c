/* style.c - see style.h. */
#include "core/pictures/style_int.h"

#include <string.h>

#include "base/str.h"

#define OFF(member) offsetof(struct atl_style, member)

static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED },
	{ "prompt", ATL_JT_STR, OFF(prompt), ATL_JF_REQUIRED, .doc = "{prompt} stands for what the person wrote" },
	{ "negative_prompt", ATL_JT_STR, OFF(negative_prompt), ATL_JF_REQUIRED },
	{ "model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "null: any" },
	{ "params", ATL_JT_ANY, OFF(params), ATL_JF_NULLABLE, .doc = "values for what the person left open" },
	{ "shared", ATL_JT_BOOL, OFF(shared), ATL_JF_REQUIRED },
	{ "builtin", ATL_JT_BOOL, OFF(builtin), ATL_JF_REQUIRED },
	{ "version", ATL_JT_INT, OFF(version), ATL_JF_REQUIRED },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
};
const struct atl_json_desc atl_style_desc = { "Style", "A named prompt recipe.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_style), ATL_JSON_NO_PRESENT, false };

struct find {
	struct atl_arena *arena;
	const char *user_id, *wanted;
	struct atl_style out;
};

void atl_style_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_style *out)
{
	const char *params = atl_col_text(rows, 6, arena);
	struct atl_json *tree = NULL;

	if (params && atl_json_parse(arena, params, strlen(params), &tree, NULL) != ATL_OK)
		tree = NULL;
	*out = (struct atl_style){ .id = atl_col_text(rows, 0, arena), .user_id = atl_col_text(rows, 1, arena),
		.name = atl_col_text(rows, 2, arena), .prompt = atl_col_text(rows, 3, arena),
		.negative_prompt = atl_col_text(rows, 4, arena), .model = atl_col_text(rows, 5, arena), .params = tree,
		.shared = atl_col_int(rows, 7) != 0, .version = atl_col_int(rows, 8), .created_at = atl_col_int(rows, 9),
		.updated_at = atl_col_int(rows, 10) };
}

static enum atl_err find_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct find *f = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " ATL_STYLE_COLUMNS " FROM styles WHERE (user_id = ? OR shared = 1) AND (id = ? OR name = ?) "
				     "ORDER BY CASE WHEN id = ? THEN 0 WHEN user_id = ? THEN 1 ELSE 2 END, id LIMIT 1",
				     "sssss", f->user_id, f->wanted, f->wanted, f->wanted, f->user_id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail_field(info, ATL_ERR_NOT_FOUND, "style", "There is no style \"%s\".", f->wanted);
	atl_style_row(rows, f->arena, &f->out);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_style_find(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id_or_name,
			    struct atl_style *ret, struct atl_errinfo *info)
{
	struct find f = { .arena = arena, .user_id = user_id, .wanted = id_or_name };
	const struct atl_style *style;
	enum atl_err err;

	for (size_t i = 0; (style = atl_style_builtin(i)) != NULL; i++)
		if (atl_str_eq(style->id, id_or_name) || atl_str_ieq(style->name, id_or_name)) {
			*ret = *style;
			return ATL_OK;
		}
	err = atl_db_read(app->db, find_fn, &f, info);
	if (!err)
		*ret = f.out;
	return err;
}
