/* style_save.c - listing, saving, deleting and importing styles; see style.h. */
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/pictures/style_int.h"
#include "core/safety/policy.h"
#include "core/server/publish.h"

#define PARAMS_MAX ((size_t)16 << 10)

struct work {
	struct atl_arena *arena;
	const char *user_id, *id, *params;
	const struct atl_style_change *change;
	bool replace_name; /* import: the row of this name, if there is one */
	struct atl_style *items;
	size_t count;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " ATL_STYLE_COLUMNS " FROM styles WHERE user_id = ? OR shared = 1 "
				     "ORDER BY CASE WHEN user_id = ? THEN 0 ELSE 1 END, name, id LIMIT ?",
				     "ssi", w->user_id, w->user_id, (int64_t)ATL_STYLES_MAX);

	w->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		atl_style_row(rows, w->arena, &w->items[w->count++]);
	return err;
}

enum atl_err atl_style_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct atl_style **ret,
			    size_t *ret_count, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = user_id };
	struct atl_style *all;
	size_t builtin = 0;
	enum atl_err err;

	while (atl_style_builtin(builtin))
		builtin++;
	all = ATL_ARENA_ARRAY(arena, struct atl_style, builtin + ATL_STYLES_MAX);
	if (!all)
		return atl_fail(info, ATL_ERR_NOMEM, "styles");
	for (size_t i = 0; i < builtin; i++)
		all[i] = *atl_style_builtin(i);
	w.items = all + builtin;
	err = atl_db_read(app->db, list_fn, &w, info);
	if (err)
		return err;
	*ret = all;
	*ret_count = builtin + w.count;
	return ATL_OK;
}

static enum atl_err find_name(struct atl_conn *conn, struct work *w, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT id FROM styles WHERE user_id = ? AND name = ? ORDER BY id LIMIT 1",
				     "ss", w->user_id, w->change->name);

	if (!err && atl_rows_next(rows, &err, info)) {
		w->id = atl_col_text(rows, 0, w->arena);
		atl_rows_close(rows);
	}
	return err;
}

static enum atl_err save_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	const struct atl_style_change *c = w->change;
	int64_t now = atl_now_ms(), changed = 0, shared = c->shared ? *c->shared : 2;
	char *fresh = atl_arena_alloc(w->arena, ATL_ID_SIZE);
	enum atl_err err = ATL_OK;

	if (w->replace_name) {
		w->id = NULL;
		err = find_name(conn, w, info);
	}
	if (err || !fresh)
		return err ? err : atl_fail(info, ATL_ERR_NOMEM, "style");
	if (w->id)
		err = atl_exec_count(conn, &changed, info,
				     "UPDATE styles SET name = coalesce(?, name), prompt = coalesce(?, prompt), "
				     "negative_prompt = coalesce(?, negative_prompt), "
				     "model = CASE WHEN ? = 0 THEN model ELSE ? END, params = coalesce(?, params), "
				     "shared = CASE WHEN ? = 2 THEN shared ELSE ? END, version = version + 1, updated_at = ? "
				     "WHERE id = ? AND user_id = ?",
				     "sssissiiiss", c->name, c->prompt, c->negative_prompt, (int64_t)(c->model != NULL),
				     atl_str_empty(c->model) ? NULL : c->model, w->params, shared, shared, now, w->id, w->user_id);
	else {
		atl_id_new("sty", fresh);
		w->id = fresh;
		err = atl_exec_count(conn, &changed, info,
				     "INSERT INTO styles (id, user_id, name, prompt, negative_prompt, model, params, shared, version, "
				     "created_at, updated_at) SELECT ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ? "
				     "WHERE (SELECT count(*) FROM styles WHERE user_id = ?) < ?",
				     "sssssssiiisi", w->id, w->user_id, c->name, c->prompt ? c->prompt : "",
				     c->negative_prompt ? c->negative_prompt : "", atl_str_empty(c->model) ? NULL : c->model,
				     w->params ? w->params : "{}", shared == 2 ? (int64_t)0 : shared, now, now, w->user_id,
				     (int64_t)ATL_STYLES_MAX);
		if (!err && !changed)
			return atl_fail(info, ATL_ERR_CONFLICT, "There are %d styles already.", ATL_STYLES_MAX);
	}
	return err ? err : changed ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such style of yours.");
}

static enum atl_err check(struct atl_app *app, const struct atl_identity *who, struct work *w, struct atl_errinfo *info)
{
	const struct atl_style_change *c = w->change;
	struct atl_policy_text texts[] = { ATL_POLICY_TEXT(c->name ? c->name : ""), ATL_POLICY_TEXT(c->prompt ? c->prompt : ""),
					   ATL_POLICY_TEXT(c->negative_prompt ? c->negative_prompt : "") };
	struct atl_buf buf;
	struct atl_jw jw;

	if (c->name && (!*c->name || atl_utf8_count(c->name, strlen(c->name)) > ATL_STYLE_NAME_MAX))
		return atl_fail_field(info, ATL_ERR_INVALID, "name", "A name has 1 to %d characters.", ATL_STYLE_NAME_MAX);
	if (texts[1].length > ATL_STYLE_TEXT_MAX || texts[2].length > ATL_STYLE_TEXT_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "prompt", "A style's text has at most %d bytes.", ATL_STYLE_TEXT_MAX);
	if (c->params) {
		if (c->params->kind != ATL_JSON_OBJECT)
			return atl_fail_field(info, ATL_ERR_INVALID, "params", "must be an object");
		atl_buf_init(&buf, PARAMS_MAX);
		atl_jw_init(&jw, &buf);
		atl_jw_tree(&jw, NULL, c->params);
		w->params = buf.failed ? NULL : atl_arena_strndup(w->arena, buf.data, buf.length);
		atl_buf_finish(&buf);
		if (!w->params)
			return atl_fail_field(info, ATL_ERR_INVALID, "params", "is too long");
	}
	return atl_policy_check(app, ATL_ENTRY_PICTURE, who, texts, ATL_COUNT(texts), info);
}

static void changed(struct atl_app *app, const char *user_id, const char *id)
{
	atl_publish_id(app, user_id, "style.changed", id, NULL, NULL);
}

enum atl_err atl_style_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			    const struct atl_style_change *change, struct atl_style *ret, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = who->user_id, .id = id, .change = change };
	enum atl_err err = check(app, who, &w, info);

	if (!err && !id && !change->name)
		err = atl_fail_field(info, ATL_ERR_INVALID, "name", "is required");
	if (!err)
		err = atl_db_tx(app->db, save_fn, &w, info);
	if (!err)
		err = atl_style_find(app, arena, who->user_id, w.id, ret, info);
	if (!err)
		changed(app, who->user_id, w.id);
	return err;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t count;
	enum atl_err err = atl_exec_count(conn, &count, info, "DELETE FROM styles WHERE id = ? AND user_id = ?", "ss", w->id,
					  w->user_id);

	return err ? err : count ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such style of yours.");
}

enum atl_err atl_style_delete(struct atl_app *app, const struct atl_identity *who, const char *id, struct atl_errinfo *info)
{
	struct work w = { .user_id = who->user_id, .id = id };
	enum atl_err err = atl_db_tx(app->db, delete_fn, &w, info);

	if (!err)
		changed(app, who->user_id, id);
	return err;
}

/* ---- styles.csv ---- */

static bool read_field(struct atl_arena *arena, const char **text, const char *end, const char **ret)
{
	const char *p = *text;
	char *out = atl_arena_alloc(arena, (size_t)(end - p) + 1);
	size_t length = 0;
	bool quoted = p < end && *p == '"';

	if (!out)
		return false;
	for (p += quoted; p < end; p++) {
		if (quoted && *p == '"') {
			if (p + 1 < end && p[1] == '"')
				p++;
			else {
				quoted = false;
				continue;
			}
		} else if (!quoted && (*p == ',' || *p == '\n' || *p == '\r')) {
			break;
		}
		out[length++] = *p;
	}
	out[length] = '\0';
	*text = p;
	*ret = out;
	return true;
}

bool atl_csv_row(struct atl_arena *arena, const char **text, const char *end, const char **fields, size_t max,
		 size_t *ret_count)
{
	const char *p = *text;
	size_t count = 0;

	if (p >= end)
		return false;
	for (;;) {
		const char *field;

		if (!read_field(arena, &p, end, &field))
			return false;
		if (count < max)
			fields[count++] = field;
		if (p >= end || *p != ',')
			break;
		p++;
	}
	if (p < end && *p == '\r')
		p++;
	if (p < end && *p == '\n')
		p++;
	*text = p;
	*ret_count = count;
	return true;
}

enum atl_err atl_style_import(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *csv,
			      size_t length, size_t *ret_count, struct atl_errinfo *info)
{
	const char *p = csv, *end = csv + length, *fields[3];
	size_t count, done = 0;
	enum atl_err err = ATL_OK;

	if (!atl_utf8_valid(csv, length))
		return atl_fail(info, ATL_ERR_ENCODING, "The file is not UTF-8.");
	if (length >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	while (!err && done < ATL_STYLES_MAX && atl_csv_row(arena, &p, end, fields, ATL_COUNT(fields), &count)) {
		struct atl_style_change change = { .name = fields[0], .prompt = count > 1 ? fields[1] : "",
						   .negative_prompt = count > 2 ? fields[2] : "" };
		struct work w = { .arena = arena, .user_id = who->user_id, .change = &change, .replace_name = true };

		if (!*fields[0] || (done == 0 && atl_str_ieq(fields[0], "name") && atl_str_ieq(change.prompt, "prompt")))
			continue; /* empty line, heading */
		err = check(app, who, &w, info);
		if (!err)
			err = atl_db_tx(app->db, save_fn, &w, info);
		if (err)
			return atl_fail_context(info, err, "style %s", fields[0]);
		done++;
	}
	if (done)
		changed(app, who->user_id, "");
	*ret_count = done;
	return err;
}
