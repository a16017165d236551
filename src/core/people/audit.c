/* audit.c - appending to the chain and walking it. */
#include "core/people/audit.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

static const char *channel_name(const struct atl_identity *who)
{
	switch (who ? who->channel : ATL_CHANNEL_NONE) {
	case ATL_CHANNEL_COOKIE:
		return "page";
	case ATL_CHANNEL_BEARER:
	case ATL_CHANNEL_X_API_KEY:
		return "key";
	case ATL_CHANNEL_INTERNAL:
		return "server";
	case ATL_CHANNEL_NONE:
	default:
		return "none";
	}
}

/* Length before text: no two different rows have the same bytes. */
static void add_text(struct atl_sha256 *sha, const char *text)
{
	char length[24];
	int count = snprintf(length, sizeof(length), "%zu:", strlen(text));

	atl_sha256_add(sha, length, (size_t)count);
	atl_sha256_add(sha, text, strlen(text));
}

void atl_audit_row_hash(const struct atl_audit_row *row, const char *before, char out[ATL_AUDIT_HASH_SIZE])
{
	const char *texts[] = { before, row->user_id, row->user_name, row->channel, row->remote, row->action,
				row->target_kind, row->target_id, row->note };
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[ATL_SHA256_SIZE];
	struct atl_sha256 sha;
	char numbers[64];

	atl_sha256_begin(&sha);
	snprintf(numbers, sizeof(numbers), "%lld/%lld", (long long)row->seq, (long long)row->at);
	add_text(&sha, numbers);
	for (size_t i = 0; i < ATL_COUNT(texts); i++)
		add_text(&sha, texts[i]);
	atl_sha256_end(&sha, hash);
	for (size_t i = 0; i < ATL_SHA256_SIZE; i++) {
		out[2 * i] = digits[hash[i] >> 4];
		out[2 * i + 1] = digits[hash[i] & 15];
	}
	out[2 * ATL_SHA256_SIZE] = '\0';
}

/* The head's number and hash; taking the number first locks the row. */
static enum atl_err take_head(struct atl_conn *conn, int64_t *seq, char before[ATL_AUDIT_HASH_SIZE],
			      struct atl_errinfo *info)
{
	struct atl_rows *rows;
	struct atl_arena arena;
	const char *hash;
	enum atl_err err = atl_exec(conn, info, "UPDATE audit_head SET seq = seq + 1 WHERE id = 1", "");

	if (!err)
		err = atl_query(conn, &rows, info, "SELECT seq, hash FROM audit_head WHERE id = 1", "");
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_DB, "The audit log has lost its head row.");
	atl_arena_init(&arena, 4096);
	*seq = atl_col_int(rows, 0);
	hash = atl_col_text(rows, 1, &arena);
	atl_str_copy(before, ATL_AUDIT_HASH_SIZE, hash ? hash : "");
	atl_rows_close(rows);
	atl_arena_finish(&arena);
	return ATL_OK;
}

enum atl_err atl_audit(struct atl_conn *conn, const struct atl_audit *in, struct atl_errinfo *info)
{
	char before[ATL_AUDIT_HASH_SIZE], hash[ATL_AUDIT_HASH_SIZE], note[ATL_AUDIT_NOTE_MAX + 1];
	struct atl_audit_row row = {
		.at = atl_now_ms(),
		.user_id = !in->who ? "" : in->who->by_user_id[0] ? in->who->by_user_id : in->who->user_id,
		.user_name = "", /* rows outlive people, and name them by their id */
		.channel = channel_name(in->who),
		.remote = in->remote ? in->remote : in->who ? in->who->remote : "",
		.action = in->action,
		.target_kind = in->target_kind ? in->target_kind : "",
		.target_id = in->target_id ? in->target_id : "",
		.note = note,
	};
	enum atl_err err = take_head(conn, &row.seq, before, info);

	if (err)
		return err;
	if (in->who && in->who->by_user_id[0]) /* both: who did it, and in whose name */
		snprintf(note, sizeof(note), "as %s: %s", in->who->user_id, in->note ? in->note : "");
	else
		atl_str_copy(note, sizeof(note), in->note ? in->note : "");
	if (!atl_utf8_valid(note, strlen(note)))
		note[0] = '\0';
	atl_audit_row_hash(&row, before, hash);
	err = atl_exec(conn, info,
		       "INSERT INTO audit (seq, at, user_id, user_name, channel, remote, action, target_kind, target_id, "
		       "note, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		       "iisssssssss", row.seq, row.at, row.user_id, row.user_name, row.channel, row.remote, row.action,
		       row.target_kind, row.target_id, row.note, hash);
	if (!err)
		err = atl_exec(conn, info, "UPDATE audit_head SET hash = ? WHERE id = 1", "s", hash);
	return err;
}

struct both {
	atl_db_fn fn;
	void *arg;
	const struct atl_audit *row;
};

static enum atl_err both_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct both *both = arg;
	enum atl_err err = both->fn(conn, both->arg, info);

	return err || !both->row ? err : atl_audit(conn, both->row, info);
}

enum atl_err atl_audit_tx(struct atl_db *db, atl_db_fn fn, void *arg, const struct atl_audit *row,
			  struct atl_errinfo *info)
{
	struct both both = { fn, arg, row };

	return atl_db_tx(db, both_tx, &both, info);
}

static enum atl_err append_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_audit(conn, arg, info);
}

void atl_audit_now(struct atl_app *app, const struct atl_audit *row)
{
	struct atl_errinfo info = { 0 };
	struct atl_audit copy = *row;

	if (atl_db_tx(app->db, append_tx, &copy, &info) != ATL_OK)
		atl_warn("audit", "%s was not written: %s", row->action, info.detail);
}

/* ---- walking the chain ---- */

#define PAGE 500

struct walk {
	int64_t after, seen, head_seq;
	char hash[ATL_AUDIT_HASH_SIZE], head_hash[ATL_AUDIT_HASH_SIZE];
	struct atl_audit_verdict *verdict;
	bool end;
};

static void broken(struct walk *walk, int64_t seq, const char *why)
{
	walk->verdict->intact = false;
	walk->verdict->broken_at = seq;
	walk->verdict->why = why;
	walk->end = true;
}

static void look_at(struct walk *walk, struct atl_rows *rows, struct atl_arena *arena)
{
	struct atl_audit_row row = { .seq = atl_col_int(rows, 0), .at = atl_col_int(rows, 1) };
	const char **texts[] = { &row.user_id, &row.user_name, &row.channel, &row.remote, &row.action, &row.target_kind,
				 &row.target_id, &row.note, &row.hash };
	char hash[ATL_AUDIT_HASH_SIZE];

	for (size_t i = 0; i < ATL_COUNT(texts); i++)
		if (!(*texts[i] = atl_col_text(rows, (int)i + 2, arena)))
			*texts[i] = "";
	walk->verdict->rows++;
	if (row.seq != walk->after + 1) {
		broken(walk, walk->after + 1, "A row is missing.");
		return;
	}
	atl_audit_row_hash(&row, walk->hash, hash);
	if (!atl_str_eq(hash, row.hash)) {
		broken(walk, row.seq, "A row was changed, moved or put in.");
		return;
	}
	memcpy(walk->hash, hash, sizeof(hash));
	walk->after = row.seq;
}

static enum atl_err walk_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct walk *walk = arg;
	struct atl_arena arena;
	struct atl_rows *rows;
	int64_t count = 0;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT seq, at, user_id, user_name, channel, remote, action, target_kind, target_id, "
				     "note, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
				     "ii", walk->after, (int64_t)PAGE);

	if (err)
		return err;
	atl_arena_init(&arena, 8 << 20);
	while (!walk->end && atl_rows_next(rows, &err, info)) {
		look_at(walk, rows, &arena);
		count++;
	}
	if (walk->end)
		atl_rows_close(rows);
	atl_arena_finish(&arena);
	if (!err && count < PAGE && !walk->end) {
		walk->end = true;
		err = atl_query(conn, &rows, info, "SELECT seq, hash FROM audit_head WHERE id = 1", "");
		if (err)
			return err;
		atl_arena_init(&arena, 4096);
		if (!atl_rows_next(rows, &err, info)) {
			broken(walk, walk->after + 1, "The head row is missing.");
		} else {
			const char *hash = atl_col_text(rows, 1, &arena);

			if (atl_col_int(rows, 0) != walk->after || !atl_str_eq(hash ? hash : "", walk->hash))
				broken(walk, walk->after + 1, "Rows at the end are missing.");
			atl_rows_close(rows);
		}
		atl_arena_finish(&arena);
	}
	return err;
}

enum atl_err atl_audit_verify(struct atl_app *app, struct atl_audit_verdict *ret, struct atl_errinfo *info)
{
	struct walk walk = { .verdict = ret };
	enum atl_err err = ATL_OK;

	*ret = (struct atl_audit_verdict){ .intact = true };
	while (!err && !walk.end)
		err = atl_db_read(app->db, walk_read, &walk, info);
	return err;
}
