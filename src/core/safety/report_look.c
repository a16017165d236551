/* report_look.c - what a moderator sees of a reported thing, each look a row of the audit log. See report.h. */
#include "base/str.h"
#include "core/people/audit.h"
#include "core/safety/report_int.h"

#define L(member) offsetof(struct atl_report_line, member)
static const struct atl_json_field LINE_FIELDS[] = {
	{ "role", ATL_JT_STR, L(role), ATL_JF_REQUIRED },
	{ "text", ATL_JT_STR, L(text), ATL_JF_REQUIRED },
	{ "created_at", ATL_JT_TIME, L(created_at), ATL_JF_REQUIRED },
};
static const struct atl_json_desc LINE = { "ReportLine", "A message of a reported conversation.", LINE_FIELDS,
	ATL_COUNT(LINE_FIELDS), sizeof(struct atl_report_line), ATL_JSON_NO_PRESENT, false };

#define C(member) offsetof(struct atl_report_content, member)
static const struct atl_json_field FIELDS[] = {
	{ "title", ATL_JT_STR, C(title), ATL_JF_REQUIRED },
	{ "text", ATL_JT_STR, C(text), ATL_JF_REQUIRED, .doc = "a character's card as JSON, a picture's prompt" },
	{ "picture", ATL_JT_BOOL, C(picture), ATL_JF_REQUIRED, .doc = "there is a file to look at: .../file" },
	{ "lines", ATL_JT_LIST, C(lines), ATL_JF_REQUIRED, .sub = &LINE, .doc = "the last messages of a conversation" },
};
const struct atl_json_desc atl_report_content_desc = { "ReportContent", "What a report is about, as it is now.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_report_content), ATL_JSON_NO_PRESENT, false };

struct look {
	const struct atl_identity *who;
	struct atl_arena *arena;
	const char *id, *action;
	struct atl_report report;
	struct atl_report_content content;
	struct atl_asset asset;
};

static enum atl_err gone(struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_GONE, "It is no longer there.");
}

static enum atl_err read_title(struct atl_conn *conn, struct look *l, const char *sql, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	bool found = false;
	enum atl_err err = atl_query(conn, &rows, info, sql, "s", l->report.target_id);

	while (!err && atl_rows_next(rows, &err, info)) {
		l->content.title = atl_col_text(rows, 0, l->arena);
		l->content.text = atl_col_text(rows, 1, l->arena);
		l->content.picture = !atl_col_null(rows, 2);
		found = true;
	}
	return err || found ? err : gone(info);
}

/* The last ones of the branch that is open, and of all others: what was said is what counts. */
static enum atl_err read_lines(struct atl_conn *conn, struct look *l, struct atl_errinfo *info)
{
	struct atl_report_line *lines = ATL_ARENA_ARRAY(l->arena, struct atl_report_line, ATL_REPORT_LINES_MAX);
	size_t count = 0;
	struct atl_rows *rows;
	enum atl_err err = lines ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "report");

	if (!err)
		err = atl_query(conn, &rows, info,
				"SELECT role, content, created_at FROM (SELECT role, content, created_at, seq FROM messages "
				"WHERE conversation_id = ? AND deleted_at IS NULL ORDER BY seq DESC LIMIT ?) t ORDER BY seq",
				"si", l->report.target_id, (int64_t)ATL_REPORT_LINES_MAX);
	while (!err && atl_rows_next(rows, &err, info))
		lines[count++] = (struct atl_report_line){ .role = atl_col_text(rows, 0, l->arena),
							   .text = atl_col_text(rows, 1, l->arena),
							   .created_at = atl_col_int(rows, 2) };
	l->content.lines = (struct atl_items){ lines, count };
	return err;
}

static enum atl_err read_content(struct atl_conn *conn, struct look *l, struct atl_errinfo *info)
{
	const char *kind = l->report.target_kind;
	enum atl_err err;

	l->content = (struct atl_report_content){ .title = "", .text = "" };
	if (atl_str_eq(kind, "character"))
		return read_title(conn, l, "SELECT name, card, avatar_id FROM characters WHERE id = ?", info);
	if (atl_str_eq(kind, "picture"))
		return read_title(conn, l, "SELECT title, prompt, sha256 FROM assets WHERE id = ?", info);
	if (atl_str_eq(kind, "account")) /* its name; what is in it is nobody's to look at */
		return read_title(conn, l, "SELECT name, '', NULL FROM users WHERE id = ?", info);
	err = read_title(conn, l, "SELECT title, '', NULL FROM conversations WHERE id = ?", info);
	return err ? err : read_lines(conn, l, info);
}

static enum atl_err audit(struct atl_conn *conn, const struct look *l, struct atl_errinfo *info)
{
	const struct atl_audit row = { .who = l->who, .action = l->action, .target_kind = l->report.target_kind,
				       .target_id = l->report.target_id, .note = l->id };

	return atl_audit(conn, &row, info);
}

static enum atl_err look_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct look *l = arg;
	enum atl_err err = atl_report_get_in(conn, l->arena, l->id, &l->report, info);

	if (!err)
		err = audit(conn, l, info);
	return err ? err : read_content(conn, l, info);
}

enum atl_err atl_report_look(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			     struct atl_report_content *ret, struct atl_errinfo *info)
{
	struct look l = { .who = who, .arena = arena, .id = id, .action = "report.look" };
	enum atl_err err = atl_db_tx(app->db, look_fn, &l, info);

	if (!err)
		*ret = l.content;
	return err;
}

static enum atl_err file_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct look *l = arg;
	const char *id;
	struct atl_rows *rows;
	enum atl_err err = atl_report_get_in(conn, l->arena, l->id, &l->report, info);

	if (err)
		return err;
	id = atl_str_eq(l->report.target_kind, "picture") ? l->report.target_id : NULL;
	if (atl_str_eq(l->report.target_kind, "character"))
		err = atl_query(conn, &rows, info, "SELECT avatar_id FROM characters WHERE id = ?", "s", l->report.target_id);
	while (!id && !err && atl_str_eq(l->report.target_kind, "character") && atl_rows_next(rows, &err, info)) {
		id = atl_col_text(rows, 0, l->arena);
		if (id) {
			atl_rows_close(rows);
			break;
		}
	}
	if (!err && !id)
		err = atl_fail(info, ATL_ERR_NOT_FOUND, "There is no picture in it.");
	if (!err)
		err = atl_asset_any_in(conn, l->arena, id, &l->asset, info);
	return err ? err : audit(conn, l, info);
}

enum atl_err atl_report_file_of(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
				struct atl_asset *ret, struct atl_errinfo *info)
{
	struct look l = { .who = who, .arena = arena, .id = id, .action = "report.look.picture" };
	enum atl_err err = atl_db_tx(app->db, file_fn, &l, info);

	if (!err)
		*ret = l.asset;
	return err;
}
