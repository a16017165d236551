/* audit_list.c - SQL of the filtered log, and its two forms as a file. */
#include "core/people/audit_list.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

#define PIECE_MAX ((size_t)4 << 20)

struct listing {
	const struct atl_audit_filter *filter;
	int64_t limit;
	struct atl_arena *arena;
	struct atl_audit_row *rows;
	size_t count;
};

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct listing *list = arg;
	const struct atl_audit_filter *f = list->filter;
	int64_t prefix = f->action ? (int64_t)atl_utf8_count(f->action, strlen(f->action)) : 0;
	struct atl_rows *rows;
	enum atl_err err = atl_query(
		conn, &rows, info,
		"SELECT seq, at, user_id, CASE WHEN user_name <> '' THEN user_name ELSE coalesce((SELECT u.name FROM users u "
		"WHERE u.id = audit.user_id), '') END, channel, remote, action, target_kind, target_id, note, hash FROM audit "
		"WHERE seq < ? AND at >= ? AND at < ? "
		"AND (CAST(? AS TEXT) IS NULL OR user_id = ? OR lower(user_name) = lower(?) OR "
		"EXISTS (SELECT 1 FROM users u WHERE u.id = audit.user_id AND u.name_folded = lower(?))) "
		"AND (CAST(? AS TEXT) IS NULL OR substr(action, 1, CAST(? AS INTEGER)) = ?) "
		"AND (CAST(? AS TEXT) IS NULL OR target_id = ?) ORDER BY seq DESC LIMIT ?",
		"iiisssssisssi", f->before ? f->before : INT64_MAX, f->from, f->to ? f->to : INT64_MAX, f->who, f->who,
		f->who, f->who, f->action, prefix, f->action, f->target, f->target, list->limit);

	list->count = 0;
	if (err)
		return err;
	while (list->count < (size_t)list->limit && atl_rows_next(rows, &err, info)) {
		struct atl_audit_row *row = &list->rows[list->count];
		const char **texts[] = { &row->user_id, &row->user_name, &row->channel, &row->remote, &row->action,
					 &row->target_kind, &row->target_id, &row->note, &row->hash };

		row->seq = atl_col_int(rows, 0);
		row->at = atl_col_int(rows, 1);
		for (size_t i = 0; i < ATL_COUNT(texts); i++)
			if (!(*texts[i] = atl_col_text(rows, (int)i + 2, list->arena)))
				*texts[i] = "";
		list->count++;
	}
	if (list->count == (size_t)list->limit)
		atl_rows_close(rows);
	return err;
}

enum atl_err atl_audit_list(struct atl_app *app, const struct atl_audit_filter *filter, int64_t limit, struct atl_arena *arena,
			    struct atl_audit_row **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct listing list = { .filter = filter, .limit = limit, .arena = arena };
	enum atl_err err;

	if (limit < 1 || limit > ATL_AUDIT_PAGE_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "limit", "A page has 1 to %d rows.", ATL_AUDIT_PAGE_MAX);
	list.rows = ATL_ARENA_ARRAY(arena, struct atl_audit_row, (size_t)limit);
	if (!list.rows)
		return atl_fail(info, ATL_ERR_NOMEM, "list the audit log");
	err = atl_db_read(app->db, list_read, &list, info);
	*ret = list.rows;
	*ret_count = err ? 0 : list.count;
	return err;
}

/* ---- as a file ---- */

void atl_audit_row_json(struct atl_jw *w, const struct atl_audit_row *row)
{
	atl_jw_object(w, NULL);
	atl_jw_int(w, "seq", row->seq);
	atl_jw_time(w, "at", row->at);
	atl_jw_str(w, "user_id", row->user_id);
	atl_jw_str(w, "user_name", row->user_name);
	atl_jw_str(w, "channel", row->channel);
	atl_jw_str(w, "remote", row->remote);
	atl_jw_str(w, "action", row->action);
	atl_jw_str(w, "target_kind", row->target_kind);
	atl_jw_str(w, "target_id", row->target_id);
	atl_jw_str(w, "note", row->note);
	atl_jw_str(w, "hash", row->hash);
	atl_jw_end_object(w);
}

/* RFC 4180, and no cell that a spreadsheet would take for a formula. */
static void add_cell(struct atl_buf *out, const char *text)
{
	atl_buf_addc(out, '"');
	if (*text && strchr("=+-@\t\r", *text))
		atl_buf_addc(out, '\'');
	for (; *text; text++) {
		if (*text == '"')
			atl_buf_addc(out, '"');
		atl_buf_addc(out, *text);
	}
	atl_buf_addc(out, '"');
}

static void add_csv(struct atl_buf *out, const struct atl_audit_row *row)
{
	const char *texts[] = { row->user_id, row->user_name, row->channel, row->remote, row->action,
				row->target_kind, row->target_id, row->note, row->hash };
	char at[ATL_RFC3339_SIZE];

	atl_rfc3339_format(row->at, at);
	atl_buf_addf(out, "%lld,%s", (long long)row->seq, at);
	for (size_t i = 0; i < ATL_COUNT(texts); i++) {
		atl_buf_addc(out, ',');
		add_cell(out, texts[i]);
	}
	atl_buf_adds(out, "\r\n");
}

static void add_json(struct atl_buf *out, const struct atl_audit_row *row)
{
	struct atl_jw w;

	atl_jw_init(&w, out);
	atl_audit_row_json(&w, row);
	atl_buf_addc(out, '\n');
}

static enum atl_err write_out(int fd, const struct atl_buf *piece, uint64_t *bytes, struct atl_errinfo *info)
{
	size_t done = 0;

	if (piece->failed)
		return atl_fail(info, ATL_ERR_NOMEM, "export the audit log");
	while (done < piece->length) {
		ssize_t written = write(fd, piece->data + done, piece->length - done);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return atl_fail(info, errno == ENOSPC ? ATL_ERR_DISK : ATL_ERR_IO, "Writing the export: %s", strerror(errno));
		done += (size_t)written;
	}
	*bytes += piece->length;
	return ATL_OK;
}

enum atl_err atl_audit_export(struct atl_app *app, const struct atl_audit_filter *filter, enum atl_audit_form form, int fd,
			      uint64_t *ret_bytes, struct atl_errinfo *info)
{
	struct atl_audit_filter page = *filter;
	struct atl_arena arena;
	struct atl_buf piece;
	size_t count = ATL_AUDIT_PAGE_MAX;
	enum atl_err err = ATL_OK;

	*ret_bytes = 0;
	atl_arena_init(&arena, 0);
	atl_buf_init(&piece, PIECE_MAX);
	if (form == ATL_AUDIT_CSV)
		atl_buf_adds(&piece, "seq,at,user_id,user_name,channel,remote,action,target_kind,target_id,note,hash\r\n");
	while (!err && count == ATL_AUDIT_PAGE_MAX) {
		struct atl_audit_row *rows;

		err = atl_audit_list(app, &page, ATL_AUDIT_PAGE_MAX, &arena, &rows, &count, info);
		for (size_t i = 0; !err && i < count; i++) {
			if (form == ATL_AUDIT_CSV)
				add_csv(&piece, &rows[i]);
			else
				add_json(&piece, &rows[i]);
			page.before = rows[i].seq;
		}
		if (!err)
			err = write_out(fd, &piece, ret_bytes, info);
		atl_buf_reset(&piece);
		atl_arena_reset(&arena);
	}
	atl_buf_finish(&piece);
	atl_arena_finish(&arena);
	return err;
}
