/* quota_check.c - which quotas apply to somebody, how far they are used, and the words of a refusal. See quota.h. */
#include "core/books/quota.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/server/events.h"
#include "db/db.h"

#define LOAD_ARENA_MAX ((size_t)1 << 20)

/* ---- reading ---- */

static enum atl_err read_applying(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *key_id,
				  const char *model, int64_t at_ms, struct atl_quota_states *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(
		conn, &rows, info,
		"SELECT q.id, q.scope, q.kind, q.span, q.model, q.amount FROM quotas q WHERE (q.scope IN ('everyone', 'server') "
		"OR (q.scope = 'user' AND q.subject = ?) OR (q.scope = 'key' AND q.subject = ?) "
		"OR (q.scope = 'role' AND q.subject = (SELECT role FROM users WHERE id = ?)) "
		"OR (q.scope = 'group' AND q.subject IN (SELECT group_id FROM group_members WHERE user_id = ?))) "
		"AND (q.model = '' OR q.model = ? OR ? = '') UNION ALL "
		"SELECT k.id, 'key', k.budget_kind, k.budget_span, '', k.budget_amount FROM api_keys k "
		"WHERE k.id = ? AND k.budget_amount IS NOT NULL ORDER BY 6, 1",
		"sssssss", user_id, key_id, user_id, user_id, model, model, key_id);

	while (!err && atl_rows_next(rows, &err, info)) {
		struct atl_quota_state *state = &ret->items[ret->count];
		int scope = atl_ledger_index(atl_quota_scopes, atl_col_text(rows, 1, arena));
		int kind = atl_ledger_index(atl_ledger_kinds, atl_col_text(rows, 2, arena));
		int span = atl_ledger_index(atl_windows, atl_col_text(rows, 3, arena));
		const char *id = atl_col_text(rows, 0, arena), *of = atl_col_text(rows, 4, arena);

		if (ret->count == ATL_COUNT(ret->items) || scope < 0 || kind < 0 || span < 0 || !id || !of) {
			atl_rows_close(rows); /* a limit that is not understood is not passed over */
			return atl_fail(info, ATL_ERR_INTERNAL, "There are more quotas than can be looked at, or one is not understood.");
		}
		*state = (struct atl_quota_state){ .scope = atl_quota_scopes[scope], .span = atl_windows[span],
						   .kind = (enum atl_ledger_kind)kind, .window = (enum atl_window)span,
						   .limit = atl_col_int(rows, 5),
						   .start_at = atl_window_start((enum atl_window)span, at_ms),
						   .resets_at = atl_window_end((enum atl_window)span, at_ms) };
		(void)atl_str_copy(state->id, sizeof(state->id), id);
		(void)atl_str_copy(state->model, sizeof(state->model), of);
		(void)atl_str_copy(state->subject, sizeof(state->subject),
				   atl_str_eq(state->scope, "server") ? "server" :
				   atl_str_eq(state->scope, "key")    ? key_id :
									user_id);
		ret->count++;
	}
	return err;
}

/* From the ledger, for a window in which nothing looked at this quota before. */
static enum atl_err make_balance(struct atl_conn *conn, struct atl_quota_state *state, struct atl_errinfo *info)
{
	enum atl_err err = atl_ledger_sum(conn, state->subject, atl_ledger_kinds[state->kind], state->model, state->start_at,
					  state->resets_at, &state->used, &state->reserved, info);

	return err ? err :
		     atl_exec(conn, info,
			      "INSERT INTO balances (subject, kind, model, span, start_at, used, reserved, warned) "
			      "VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (subject, kind, span, start_at, model) DO NOTHING",
			      "ssssiii", state->subject, atl_ledger_kinds[state->kind], state->model, state->span,
			      state->start_at, state->used, state->reserved);
}

static enum atl_err read_state(struct atl_conn *conn, const char *user_id, bool make, struct atl_quota_state *state,
			       struct atl_errinfo *info)
{
	struct atl_rows *rows;
	bool there = false;
	enum atl_err err = atl_query(
		conn, &rows, info,
		"SELECT b.used, b.reserved, b.warned, coalesce((SELECT e.amount FROM quota_extras e WHERE e.quota_id = ? "
		"AND e.user_id = ? AND e.start_at = ?), 0) FROM (SELECT 1 AS one) x LEFT JOIN balances b ON b.subject = ? "
		"AND b.kind = ? AND b.span = ? AND b.start_at = ? AND b.model = ?",
		"ssisssis", state->id, user_id, state->start_at, state->subject, atl_ledger_kinds[state->kind], state->span,
		state->start_at, state->model);

	while (!err && atl_rows_next(rows, &err, info)) {
		there = !atl_col_null(rows, 0);
		state->used = atl_col_int(rows, 0);
		state->reserved = atl_col_int(rows, 1);
		state->warned = atl_col_int(rows, 2) != 0;
		state->limit += atl_col_int(rows, 3);
	}
	if (err || there)
		return err;
	return make ? make_balance(conn, state, info) :
		      atl_ledger_sum(conn, state->subject, atl_ledger_kinds[state->kind], state->model, state->start_at,
				     state->resets_at, &state->used, &state->reserved, info);
}

static enum atl_err load(struct atl_conn *conn, const char *user_id, const char *key_id, const char *model, int64_t at_ms,
			 bool make, struct atl_quota_states *ret, struct atl_errinfo *info)
{
	struct atl_arena arena;
	enum atl_err err;

	ret->count = 0;
	atl_arena_init(&arena, LOAD_ARENA_MAX);
	err = read_applying(conn, &arena, user_id, key_id ? key_id : "", model ? model : "", at_ms, ret, info);
	atl_arena_finish(&arena);
	for (size_t i = 0; !err && i < ret->count; i++)
		err = read_state(conn, user_id, make, &ret->items[i], info);
	return err;
}

enum atl_err atl_quota_load(struct atl_conn *conn, const char *user_id, const char *key_id, const char *model, int64_t at_ms,
			    struct atl_quota_states *ret, struct atl_errinfo *info)
{
	return load(conn, user_id, key_id, model, at_ms, true, ret, info);
}

struct mine {
	const struct atl_identity *who;
	struct atl_quota_states *states;
};

static enum atl_err mine_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct mine *mine = arg;

	return load(conn, mine->who->user_id, mine->who->key_id, NULL, atl_now_ms(), false, mine->states, info);
}

enum atl_err atl_quota_mine(struct atl_app *app, const struct atl_identity *who, struct atl_quota_states *ret,
			    struct atl_errinfo *info)
{
	struct mine mine = { who, ret };

	return atl_db_read(app->db, mine_fn, &mine, info);
}

/* ---- telling ---- */

static void write_state(struct atl_jw *w, const struct atl_quota_state *state)
{
	atl_jw_object(w, NULL);
	atl_jw_str(w, "id", state->id);
	atl_jw_str(w, "scope", state->scope);
	atl_jw_str(w, "kind", atl_ledger_kinds[state->kind]);
	atl_jw_str(w, "span", state->span);
	atl_jw_int(w, "limit", state->limit);
	atl_jw_int(w, "used", state->used + state->reserved);
	atl_jw_time(w, "resets_at", state->resets_at);
	atl_jw_end_object(w);
}

/* "5 pictures a day", "2.50 US dollars a month" */
static void limit_words(const struct atl_quota_state *state, struct atl_buf *out)
{
	static const char *const per[] = { " a minute", " a day", " a month", " in all" };

	if (state->kind == ATL_LEDGER_MONEY)
		atl_buf_addf(out, "%lld.%02lld US dollars", (long long)(state->limit / 1000000),
			       (long long)(state->limit % 1000000 / 10000));
	else if (state->kind == ATL_LEDGER_VIDEO_MS || state->kind == ATL_LEDGER_GPU_MS)
		atl_buf_addf(out, "%lld seconds of %s", (long long)(state->limit / 1000),
			       state->kind == ATL_LEDGER_VIDEO_MS ? "video" : "this server's engine");
	else
		atl_buf_addf(out, "%lld %s", (long long)state->limit, atl_ledger_kind_words(state->kind, state->limit));
	atl_buf_adds(out, per[state->window]);
	if (*state->model)
		atl_buf_addf(out, " with %.60s", state->model);
}

static const char *whom_to_ask(const struct atl_quota_state *state)
{
	if (atl_str_eq(state->scope, "server"))
		return "It is shared by everybody here; ask an administrator.";
	if (atl_str_starts(state->id, "key_"))
		return "It is this API key's own budget; whoever made the key can change it on the Account page.";
	if (atl_str_eq(state->scope, "key"))
		return "It is this API key's; its other limits are not touched. Ask an administrator.";
	return "Ask for more on the Usage page; an administrator decides.";
}

enum atl_err atl_quota_refuse(const struct atl_quota_state *state, struct atl_errinfo *info)
{
	char until[ATL_RFC3339_SIZE] = "";
	int64_t left = state->resets_at ? state->resets_at - atl_now_ms() : 0;
	bool up = state->used + state->reserved >= state->limit;
	struct atl_buf words, json;
	struct atl_jw w;
	enum atl_err err;

	atl_buf_init(&words, 512);
	limit_words(state, &words);
	if (state->resets_at)
		atl_rfc3339_format(state->resets_at, until); /* to the minute, as people write it */
	if (*until) {
		until[10] = ' ';
		until[16] = '\0';
	}
	err = atl_fail(info, ATL_ERR_QUOTA, "%s of %s is %s.%s%s%s %s",
		       up ? "The allowance" : "What is left of the allowance", words.data ? words.data : "this",
		       up ? "used up" : "less than this needs", *until ? " It begins again at " : "", until, *until ? " UTC." : "",
		       whom_to_ask(state));
	atl_buf_finish(&words);
	if (!info)
		return err;
	info->retry_after_s = !state->resets_at ? 0 : left > 1000 ? (int)((left + 999) / 1000) : 1;
	atl_buf_init(&json, sizeof(info->quota) - 1);
	atl_jw_init(&w, &json);
	write_state(&w, state);
	if (!json.failed)
		(void)atl_str_copy(info->quota, sizeof(info->quota), json.data);
	atl_buf_finish(&json);
	return err;
}

void atl_quota_tell(struct atl_app *app, const char *user_id, const struct atl_quota_notices *notices)
{
	for (size_t i = 0; app->events && i < notices->count; i++) {
		struct atl_buf out;
		struct atl_jw w;

		atl_buf_init(&out, 4096);
		atl_jw_init(&w, &out);
		write_state(&w, &notices->items[i]);
		if (!out.failed)
			atl_events_publish(app->events, user_id, "quota.near", out.data, out.length);
		atl_buf_finish(&out);
	}
}

struct reserve {
	const struct atl_charge *charge;
	struct atl_quota_notices notices;
};

static enum atl_err reserve_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct reserve *reserve = arg;

	return atl_ledger_reserve(conn, reserve->charge, &reserve->notices, info);
}

enum atl_err atl_quota_reserve(struct atl_app *app, const struct atl_charge *charge, struct atl_errinfo *info)
{
	struct reserve reserve = { .charge = charge };
	enum atl_err err = atl_db_tx(app->db, reserve_fn, &reserve, info);

	if (!err)
		atl_quota_tell(app, charge->user_id, &reserve.notices);
	return err;
}
