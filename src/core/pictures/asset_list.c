/* asset_list.c - the library's list: filters, each combinable with each, by pages.
 *
 * One condition (MATCHES) stands in every statement; what differs is where the walk begins: the index of the library,
 * a tag, a board, a job, or the words of a search. The first is written to read its index alone (schema 0002), so that
 * a filter that finds little in 100,000 items stays fast.
 */
#include "base/str.h"
#include "core/pictures/asset_int.h"

#define WORDS_MAX 12
#define COMMON_MIN 5000 /* hits from which on words are common */
#define LAST_ID "ast_ZZZZZZZZZZZZZZZZZZZZZZZZZZ" /* after every ULID */

/* Placeholders: trash, kind x2, origin x2, task x2, model x2, character x2, conversation x2, starred, rating, from, to. */
#define MATCHES                                                                                          \
	" AND (a.deleted_at IS NOT NULL) = (? = 1) AND (a.deleted_at IS NULL OR a.held IN (0, 2)) "                  \
	"AND (? IS NULL OR a.kind = ?) "                                                              \
	"AND (? IS NULL OR a.origin = ?) AND (? IS NULL OR a.task = ?) AND (? IS NULL OR a.model = ?) "   \
	"AND (? IS NULL OR a.character_id = ?) AND (? IS NULL OR a.conversation_id = ?) "                 \
	"AND a.starred >= ? AND a.rating >= ? AND a.created_at >= ? AND a.created_at < ? "
#define MATCHES_TYPES "issssssssssssiiii"
/* Placeholders: tag x2, lora x2, board x2, job x2. */
#define BELONGS                                                                                                    \
	"AND (? IS NULL OR EXISTS (SELECT 1 FROM asset_tags t WHERE t.asset_id = a.id AND t.kind = 'tag' AND t.tag = ?)) " \
	"AND (? IS NULL OR EXISTS (SELECT 1 FROM asset_tags t WHERE t.asset_id = a.id AND t.kind = 'lora' AND t.tag = ?)) " \
	"AND (? IS NULL OR EXISTS (SELECT 1 FROM board_assets b WHERE b.asset_id = a.id AND b.board_id = ?)) "     \
	"AND (? IS NULL OR a.job_id = ?) "
#define BELONGS_TYPES "ssssssss"

#define CHOSEN_BEGIN "SELECT " ATL_ASSET_COLUMNS ", 0 FROM assets a WHERE a.id IN ("
#define CHOSEN_END ") ORDER BY a.id DESC"

/* CROSS JOIN keeps SQLite to the order that is written; PostgreSQL chooses its own. */
#define MATCHES_ARGS(q)                                                                                              \
	(int64_t)(q)->trash, (q)->kind, (q)->kind, (q)->origin, (q)->origin, (q)->task, (q)->task, (q)->model,       \
		(q)->model, (q)->character_id, (q)->character_id, (q)->conversation_id, (q)->conversation_id,        \
		(int64_t)(q)->starred, (q)->rating, (q)->from_ms, (q)->to_ms ? (q)->to_ms : INT64_MAX
#define BELONGS_ARGS(q) (q)->tag, (q)->tag, (q)->lora, (q)->lora, (q)->board_id, (q)->board_id, (q)->job_id, (q)->job_id

struct list {
	struct atl_arena *arena;
	const char *user_id, *words;
	const struct atl_asset_query *query;
	struct atl_asset *items;
	size_t count;
	int64_t key;
};

static enum atl_err begin_everywhere(struct atl_conn *conn, const struct list *l, const char *after,
				     struct atl_rows **rows, struct atl_errinfo *info)
{
	const struct atl_asset_query *q = l->query;
	return atl_query(conn, rows, info,
			 CHOSEN_BEGIN "SELECT a.id FROM assets a WHERE a.user_id = ? AND a.library = 1 AND a.id < ?" MATCHES
				      "ORDER BY a.id DESC LIMIT ?" CHOSEN_END,
			 "ss" MATCHES_TYPES "i", l->user_id, after, MATCHES_ARGS(q), q->limit + 1);
}

static enum atl_err begin_at_tag(struct atl_conn *conn, const struct list *l, const char *after, struct atl_rows **rows,
				 struct atl_errinfo *info)
{
	const struct atl_asset_query *q = l->query;
	return atl_query(conn, rows, info,
			 CHOSEN_BEGIN "SELECT a.id FROM asset_tags d CROSS JOIN assets a "
				      "WHERE a.id = d.asset_id AND d.user_id = ? AND d.kind = ? AND d.tag = ? AND d.asset_id < ? "
				      "AND a.library = 1" MATCHES BELONGS "ORDER BY d.asset_id DESC LIMIT ?" CHOSEN_END,
			 "ssss" MATCHES_TYPES BELONGS_TYPES "i", l->user_id, q->tag ? "tag" : "lora",
			 q->tag ? q->tag : q->lora, after, MATCHES_ARGS(q), BELONGS_ARGS(q), q->limit + 1);
}

static enum atl_err begin_at_board(struct atl_conn *conn, const struct list *l, const char *after,
				   struct atl_rows **rows, struct atl_errinfo *info)
{
	const struct atl_asset_query *q = l->query;
	return atl_query(conn, rows, info,
			 CHOSEN_BEGIN "SELECT a.id FROM board_assets d CROSS JOIN assets a "
				      "WHERE a.id = d.asset_id AND d.board_id = ? AND d.asset_id < ? AND a.user_id = ? AND a.library = 1" MATCHES
				      BELONGS "ORDER BY d.asset_id DESC LIMIT ?" CHOSEN_END,
			 "sss" MATCHES_TYPES BELONGS_TYPES "i", q->board_id, after, l->user_id, MATCHES_ARGS(q),
			 BELONGS_ARGS(q), q->limit + 1);
}

static enum atl_err begin_at_job(struct atl_conn *conn, const struct list *l, const char *after, struct atl_rows **rows,
				 struct atl_errinfo *info)
{
	const struct atl_asset_query *q = l->query;
	return atl_query(conn, rows, info,
			 "SELECT " ATL_ASSET_COLUMNS ", 0 FROM assets a WHERE a.job_id = ? AND a.user_id = ? "
			 "AND a.library = 1 AND a.id < ?" MATCHES BELONGS "ORDER BY a.id DESC LIMIT ?",
			 "sss" MATCHES_TYPES BELONGS_TYPES "i", q->job_id, l->user_id, after, MATCHES_ARGS(q),
			 BELONGS_ARGS(q), q->limit + 1);
}

/* SQLite: the index of words walks from the last row that came in; the row's number is the cursor. */
static enum atl_err begin_at_words_sqlite(struct atl_conn *conn, const struct list *l, struct atl_rows **rows,
					  struct atl_errinfo *info)
{
	const struct atl_asset_query *q = l->query;
	return atl_query(conn, rows, info,
			 "SELECT " ATL_ASSET_COLUMNS ", f.rowid FROM assets_fts f CROSS JOIN asset_texts d ON d.seq = f.rowid "
			 "CROSS JOIN assets a ON a.id = d.asset_id "
			 "WHERE assets_fts MATCH ? AND f.rowid < ? AND a.user_id = ? AND a.library = 1" MATCHES BELONGS
			 "ORDER BY f.rowid DESC LIMIT ?",
			 "sis" MATCHES_TYPES BELONGS_TYPES "i", l->words, q->after_key ? q->after_key : INT64_MAX,
			 l->user_id, MATCHES_ARGS(q), BELONGS_ARGS(q), q->limit + 1);
}

#define HITS "SELECT rowid FROM assets_fts WHERE assets_fts MATCH ?"

/* As begin_among_words_sqlite(), from a tag on. */
static enum atl_err begin_among_words_at_tag(struct atl_conn *conn, const struct list *l, const char *after,
					     struct atl_rows **rows, struct atl_errinfo *info)
{
	const struct atl_asset_query *q = l->query;
	return atl_query(conn, rows, info,
			 "SELECT " ATL_ASSET_COLUMNS ", (SELECT x.seq FROM asset_texts x WHERE x.asset_id = a.id) "
			 "FROM assets a WHERE a.id IN (SELECT a.id FROM asset_tags g CROSS JOIN assets a CROSS JOIN asset_texts d "
			 "WHERE a.id = g.asset_id AND d.asset_id = g.asset_id AND g.user_id = ? AND g.kind = ? AND g.tag = ? "
			 "AND g.asset_id < ? AND a.library = 1" MATCHES BELONGS "AND +d.seq IN (" HITS ") "
			 "ORDER BY g.asset_id DESC LIMIT ?" CHOSEN_END,
			 "ssss" MATCHES_TYPES BELONGS_TYPES "si", l->user_id, q->tag ? "tag" : "lora",
			 q->tag ? q->tag : q->lora, after, MATCHES_ARGS(q), BELONGS_ARGS(q), l->words, q->limit + 1);
}

/* SQLite, words that many items have, and another filter: the library's index is walked, its few survivors are looked
 * for among the words' hits. (The + keeps the hits a set to look into, not a list to try.) */
static enum atl_err begin_among_words_sqlite(struct atl_conn *conn, const struct list *l, const char *after,
					     struct atl_rows **rows, struct atl_errinfo *info)
{
	const struct atl_asset_query *q = l->query;
	return atl_query(conn, rows, info,
			 "SELECT " ATL_ASSET_COLUMNS ", (SELECT x.seq FROM asset_texts x WHERE x.asset_id = a.id) "
			 "FROM assets a WHERE a.id IN (SELECT a.id FROM assets a CROSS JOIN asset_texts d ON d.asset_id = a.id "
			 "WHERE a.user_id = ? AND a.library = 1 AND a.id < ?" MATCHES BELONGS
			 "AND +d.seq IN (" HITS ") "
			 "ORDER BY a.id DESC LIMIT ?" CHOSEN_END,
			 "ss" MATCHES_TYPES BELONGS_TYPES "si", l->user_id, after, MATCHES_ARGS(q), BELONGS_ARGS(q), l->words,
			 q->limit + 1);
}

static bool filters_more(const struct atl_asset_query *q)
{
	return q->kind || q->origin || q->task || q->model || q->lora || q->tag || q->character_id || q->conversation_id ||
	       q->board_id || q->job_id || q->starred || q->trash || q->rating || q->from_ms || q->to_ms;
}

static enum atl_err are_common(struct atl_conn *conn, const char *words, bool *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT count(*) FROM (SELECT 1 FROM assets_fts WHERE assets_fts MATCH ? LIMIT ?)", "si",
				     words, (int64_t)COMMON_MIN);
	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		*ret = atl_col_int(rows, 0) >= COMMON_MIN;
		atl_rows_close(rows);
	}
	return err;
}

static enum atl_err begin_words_sqlite(struct atl_conn *conn, const struct list *l, const char *after,
				       struct atl_rows **rows, struct atl_errinfo *info)
{
	bool common = false;
	enum atl_err err = filters_more(l->query) ? are_common(conn, l->words, &common, info) : ATL_OK;
	if (err)
		return err;
	if (!common)
		return begin_at_words_sqlite(conn, l, rows, info);
	return l->query->tag || l->query->lora ? begin_among_words_at_tag(conn, l, after, rows, info)
					       : begin_among_words_sqlite(conn, l, after, rows, info);
}

/* PostgreSQL: the expression is the one of the index. */
static enum atl_err begin_at_words_postgres(struct atl_conn *conn, const struct list *l, const char *after,
					    struct atl_rows **rows, struct atl_errinfo *info)
{
	const struct atl_asset_query *q = l->query;
	return atl_query(conn, rows, info,
			 "SELECT " ATL_ASSET_COLUMNS ", 0 FROM assets a WHERE a.user_id = ? AND a.library = 1 AND a.id < ? "
			 "AND to_tsvector('simple', left(a.prompt, 100000) || ' ' || a.title) @@ to_tsquery('simple', ?)"
			 MATCHES BELONGS "ORDER BY a.id DESC LIMIT ?",
			 "sss" MATCHES_TYPES BELONGS_TYPES "i", l->user_id, after, l->words, MATCHES_ARGS(q),
			 BELONGS_ARGS(q), q->limit + 1);
}

/* What a person typed becomes words that all must begin something: "red"* AND "fox"*, or red:* & fox:* */
static const char *words_of(struct atl_arena *arena, const char *text, bool postgres)
{
	struct atl_buf out;
	size_t count = 0;
	atl_buf_init(&out, 4096);
	while (*text && count < WORDS_MAX) {
		size_t length = 0;
		while ((unsigned char)text[length] >= 0x80 || (text[length] >= '0' && text[length] <= '9') ||
		       ((text[length] | 32) >= 'a' && (text[length] | 32) <= 'z'))
			length++;
		if (length == 0) {
			text++;
			continue;
		}
		if (postgres)
			atl_buf_addf(&out, "%s'%.*s':*", count ? " & " : "", (int)length, text);
		else
			atl_buf_addf(&out, "%s\"%.*s\"*", count ? " AND " : "", (int)length, text);
		count++;
		text += length;
	}
	const char *words = count && !out.failed ? atl_arena_strdup(arena, out.data) : NULL;
	atl_buf_finish(&out);
	return words;
}

static enum atl_err begin(struct atl_conn *conn, struct list *l, struct atl_rows **rows, struct atl_errinfo *info)
{
	const struct atl_asset_query *q = l->query;
	const char *after = q->after_id ? q->after_id : LAST_ID;
	if (!atl_str_empty(q->q)) {
		bool postgres = atl_conn_is_postgres(conn);
		l->words = words_of(l->arena, q->q, postgres);
		if (!l->words)
			return atl_fail(info, ATL_ERR_NOT_FOUND, "no words");
		return postgres ? begin_at_words_postgres(conn, l, after, rows, info)
				: begin_words_sqlite(conn, l, after, rows, info);
	}
	if (q->job_id)
		return begin_at_job(conn, l, after, rows, info);
	if (q->tag || q->lora)
		return begin_at_tag(conn, l, after, rows, info);
	if (q->board_id)
		return begin_at_board(conn, l, after, rows, info);
	return begin_everywhere(conn, l, after, rows, info);
}

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct list *l = arg;
	struct atl_rows *rows;
	l->count = 0;
	enum atl_err err = begin(conn, l, &rows, info);
	if (err == ATL_ERR_NOT_FOUND) /* only signs were asked for: nothing has them */
		return ATL_OK;
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		if (l->count == (size_t)l->query->limit - 1)
			l->key = atl_col_int(rows, ATL_ASSET_COLUMN_COUNT);
		atl_asset_row(rows, l->arena, &l->items[l->count++]);
	}
	return err;
}

enum atl_err atl_asset_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			    const struct atl_asset_query *query, struct atl_items *ret, int64_t *ret_key,
			    struct atl_errinfo *info)
{
	struct list l = {.arena = arena, .user_id = user_id, .query = query};
	l.items = ATL_ARENA_ARRAY(arena, struct atl_asset, (size_t)query->limit + 1);
	if (!l.items)
		return atl_fail(info, ATL_ERR_NOMEM, "list");
	enum atl_err err = atl_db_read(app->db, list_fn, &l, info);
	if (err)
		return err;
	*ret = (struct atl_items){l.items, l.count};
	*ret_key = l.key;
	return ATL_OK;
}
