/* search.c - see search.h. */
#include "core/chat/search.h"

#include <string.h>

#include "base/str.h"
#include "core/chat/card.h"
#include "db/db.h"

/* Marks around hits in a snippet: control characters, which no message holds (JSON refuses them unescaped, and what
 * comes in escaped is replaced below). */
#define HIT_OPEN "\x02"
#define HIT_CLOSE "\x03"
#define PIECES_MAX 64

#define OFF(member) offsetof(struct atl_search_result, member)

static const struct atl_json_field PIECE_FIELDS[] = {
	{"text", ATL_JT_STR, offsetof(struct atl_search_piece, text), ATL_JF_REQUIRED},
	{"hit", ATL_JT_BOOL, offsetof(struct atl_search_piece, hit), ATL_JF_REQUIRED},
};
static const struct atl_json_desc PIECE_DESC = {
	"SnippetPiece", NULL, PIECE_FIELDS, ATL_COUNT(PIECE_FIELDS), sizeof(struct atl_search_piece),
	ATL_JSON_NO_PRESENT, false};
static const struct atl_json_field FIELDS[] = {
	{"conversation_id", ATL_JT_STR, OFF(conversation_id), ATL_JF_REQUIRED},
	{"message_id", ATL_JT_STR, OFF(message_id), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "null: the title matched"},
	{"title", ATL_JT_STR, OFF(title), ATL_JF_REQUIRED},
	{"snippet", ATL_JT_LIST, OFF(snippet), ATL_JF_REQUIRED, .sub = &PIECE_DESC},
	{"at", ATL_JT_TIME, OFF(at), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_search_result_desc = {
	"SearchResult", "A place where the words were found.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_search_result), ATL_JSON_NO_PRESENT, false};

struct work {
	struct atl_arena *arena;
	const char *user_id, *pattern, *fts, *words;
	int64_t limit;
	struct atl_search_result *items;
	size_t count;
};

/* "ab c" -> "\"ab\" \"c\"*": every word must be there, the last one may go on. */
static const char *fts_query(struct atl_arena *arena, const char *text)
{
	struct atl_buf out;
	atl_buf_init(&out, 8192);
	unsigned words = 0;
	while (*text && words < ATL_SEARCH_WORDS_MAX) {
		text += strspn(text, " \t\r\n\"");
		size_t length = strcspn(text, " \t\r\n\"");
		if (!length)
			break;
		if (words++)
			atl_buf_addc(&out, ' ');
		atl_buf_addc(&out, '"');
		atl_buf_add(&out, text, length);
		atl_buf_addc(&out, '"');
		text += length;
	}
	if (words)
		atl_buf_addc(&out, '*');
	const char *query = words && !out.failed ? atl_arena_strndup(arena, out.data, out.length) : NULL;
	atl_buf_finish(&out);
	return query;
}

static void split_snippet(struct atl_arena *arena, const char *text, struct atl_items *out)
{
	struct atl_search_piece *pieces = ATL_ARENA_ARRAY(arena, struct atl_search_piece, PIECES_MAX);
	if (!pieces || !text)
		return;
	bool hit = false;
	size_t count = 0;
	while (*text && count < PIECES_MAX) {
		size_t length = strcspn(text, HIT_OPEN HIT_CLOSE);
		if (length)
			pieces[count++] = (struct atl_search_piece){atl_arena_strndup(arena, text, length), hit};
		text += length;
		if (*text)
			hit = *text++ == HIT_OPEN[0];
	}
	out->items = pieces;
	out->count = count;
}

static enum atl_err find_titles(struct atl_conn *conn, struct work *w, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, title, active_at FROM conversations WHERE user_id = ? AND deleted_at IS NULL "
				     "AND lower(title) LIKE lower(?) ESCAPE '!' ORDER BY active_at DESC, id DESC LIMIT ?",
				     "ssi", w->user_id, w->pattern, w->limit);
	if (err)
		return err;
	while (w->count < (size_t)w->limit && atl_rows_next(rows, &err, info)) {
		struct atl_search_result *r = &w->items[w->count++];
		*r = (struct atl_search_result){.conversation_id = atl_col_text(rows, 0, w->arena),
						.title = atl_col_text(rows, 1, w->arena),
						.at = atl_col_int(rows, 2)};
		split_snippet(w->arena, r->title, &r->snippet);
	}
	if (!err && w->count == (size_t)w->limit)
		atl_rows_close(rows);
	return err;
}

static enum atl_err find_messages(struct atl_conn *conn, struct work *w, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	int64_t left = w->limit - (int64_t)w->count;
	if (left <= 0 || !w->fts)
		return ATL_OK;
	enum atl_err err =
		atl_conn_is_postgres(conn)
			? atl_query(conn, &rows, info,
				    /* in steps: left to itself it reads all messages from the newest on, and makes a
				     * headline of every hit */
				    "WITH found AS MATERIALIZED (SELECT seq FROM messages "
				    "WHERE to_tsvector('simple', left(content, 200000)) @@ plainto_tsquery('simple', ?)), "
				    "top AS MATERIALIZED (SELECT m.seq, m.conversation_id, m.id, v.title, m.created_at, "
				    "m.content FROM found f JOIN messages m ON m.seq = f.seq "
				    "JOIN conversations v ON v.id = m.conversation_id "
				    "WHERE m.user_id = ? AND m.deleted_at IS NULL AND v.deleted_at IS NULL "
				    "AND m.status <> 'streaming' ORDER BY m.seq DESC LIMIT ?) "
				    "SELECT conversation_id, id, title, created_at, "
				    "ts_headline('simple', left(content, 200000), plainto_tsquery('simple', ?), "
				    "'StartSel=\x02, StopSel=\x03, MaxWords=24, MinWords=8') FROM top ORDER BY seq DESC",
				    "ssis", w->words, w->user_id, left, w->words)
			: atl_query(conn, &rows, info,
				    "SELECT m.conversation_id, m.id, v.title, m.created_at, "
				    "snippet(messages_fts, 0, char(2), char(3), '…', 24) "
				    "FROM messages_fts f JOIN messages m ON m.seq = f.rowid "
				    "JOIN conversations v ON v.id = m.conversation_id "
				    "WHERE messages_fts MATCH ? AND m.user_id = ? AND m.deleted_at IS NULL "
				    "AND v.deleted_at IS NULL ORDER BY f.rowid DESC LIMIT ?",
				    "ssi", w->fts, w->user_id, left);
	if (err)
		return err;
	while (w->count < (size_t)w->limit && atl_rows_next(rows, &err, info)) {
		struct atl_search_result *r = &w->items[w->count++];
		*r = (struct atl_search_result){.conversation_id = atl_col_text(rows, 0, w->arena),
						.message_id = atl_col_text(rows, 1, w->arena),
						.title = atl_col_text(rows, 2, w->arena),
						.at = atl_col_int(rows, 3)};
		split_snippet(w->arena, atl_col_text(rows, 4, w->arena), &r->snippet);
	}
	if (!err && w->count == (size_t)w->limit)
		atl_rows_close(rows);
	return err;
}

static enum atl_err search_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	w->count = 0;
	enum atl_err err = find_titles(conn, w, info);
	return err ? err : find_messages(conn, w, info);
}

enum atl_err atl_search(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *text,
			int64_t limit, struct atl_search_result **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id, .words = text, .limit = limit};
	w.pattern = atl_like_pattern(arena, "%", text, "%");
	w.fts = fts_query(arena, text);
	w.items = ATL_ARENA_ARRAY(arena, struct atl_search_result, (size_t)limit);
	if (!w.pattern || !w.items)
		return atl_fail(info, ATL_ERR_NOMEM, "search");
	enum atl_err err = atl_db_read(app->db, search_fn, &w, info);
	if (err)
		return err;
	*ret = w.items;
	*ret_count = w.count;
	return ATL_OK;
}
