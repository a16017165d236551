/* ledger.c - see ledger.h. A charge's rows, and the balances they move. */
#include "core/books/ledger.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/books/quota.h"
#include "db/db.h"

#define MINUTE_MS 60000
#define DAY_MS 86400000LL
#define RECOVER_DAYS 90 /* nothing runs longer */
#define VERIFY_ARENA_MAX ((size_t)1 << 30)
#define NO_MODEL "-" /* '' in a balance is every model */

const char *const atl_ledger_kinds[] = {
#define ATL_LEDGER_KIND_X(name, text, one, many) text,
	ATL_LEDGER_KIND_LIST(ATL_LEDGER_KIND_X)
#undef ATL_LEDGER_KIND_X
		NULL
};
const char *const atl_windows[] = { "minute", "day", "month", "total", NULL };

const char *atl_ledger_kind_words(enum atl_ledger_kind kind, int64_t count)
{
	static const struct {
		const char *one, *many;
	} words[] = {
#define ATL_LEDGER_KIND_X(name, text, one, many) { one, many },
		ATL_LEDGER_KIND_LIST(ATL_LEDGER_KIND_X)
#undef ATL_LEDGER_KIND_X
	};

	return count == 1 ? words[kind].one : words[kind].many;
}

int atl_ledger_index(const char *const *list, const char *text)
{
	for (int i = 0; text && list[i]; i++)
		if (strcmp(list[i], text) == 0)
			return i;
	return -1;
}

/* ---- windows ---- */

/* The first moment of the month `more` months after the one of `at_ms`. */
static int64_t month_start(int64_t at_ms, int more)
{
	time_t seconds = (time_t)(at_ms / 1000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	tm.tm_sec = tm.tm_min = tm.tm_hour = 0;
	tm.tm_mday = 1;
	tm.tm_mon += more;
	return (int64_t)timegm(&tm) * 1000;
}

int64_t atl_window_start(enum atl_window span, int64_t at_ms)
{
	switch (span) {
	case ATL_WINDOW_MINUTE:
		return at_ms - at_ms % MINUTE_MS;
	case ATL_WINDOW_DAY:
		return at_ms - at_ms % DAY_MS;
	case ATL_WINDOW_MONTH:
		return month_start(at_ms, 0);
	case ATL_WINDOW_TOTAL:
	case ATL_WINDOW_COUNT:
	default:
		return 0;
	}
}

int64_t atl_window_end(enum atl_window span, int64_t at_ms)
{
	switch (span) {
	case ATL_WINDOW_MINUTE:
		return atl_window_start(span, at_ms) + MINUTE_MS;
	case ATL_WINDOW_DAY:
		return atl_window_start(span, at_ms) + DAY_MS;
	case ATL_WINDOW_MONTH:
		return month_start(at_ms, 1);
	case ATL_WINDOW_TOTAL:
	case ATL_WINDOW_COUNT:
	default:
		return 0;
	}
}

void atl_charge_init(struct atl_charge *charge, const char *ref, const char *user_id, const char *key_id, const char *model)
{
	*charge = (struct atl_charge){ .ref = ref, .user_id = user_id, .key_id = key_id ? key_id : "",
				       .model = model && *model ? model : NO_MODEL };
	for (int kind = 0; kind < ATL_LEDGER_KIND_COUNT; kind++)
		charge->amounts[kind] = ATL_LEDGER_NONE;
}

/* ---- rows ---- */

enum step { STEP_RESERVE, STEP_END };

/* *ret_new: the row was not there. */
static enum atl_err insert(struct atl_conn *conn, const struct atl_charge *charge, enum atl_ledger_kind kind, enum step step,
			   const char *state, int64_t amount, int64_t at, bool *ret_new, struct atl_errinfo *info)
{
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "INSERT INTO ledger (ref, kind, step, state, user_id, key_id, model, amount, at, "
					  "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
					  "ON CONFLICT (ref, kind, step) DO NOTHING",
					  "ssissssiii", charge->ref, atl_ledger_kinds[kind], (int64_t)step, state,
					  charge->user_id, charge->key_id, charge->model, amount, at, atl_now_ms());

	if (!err)
		*ret_new = changed == 1;
	return err;
}

/* A user's day by model, which is always kept. */
static enum atl_err ensure_day(struct atl_conn *conn, const struct atl_charge *charge, enum atl_ledger_kind kind, int64_t at,
			       struct atl_errinfo *info)
{
	return atl_exec(conn, info,
			"INSERT INTO balances (subject, kind, model, span, start_at, used, reserved, warned) "
			"VALUES (?, ?, ?, 'day', ?, 0, 0, 0) ON CONFLICT (subject, kind, span, start_at, model) DO NOTHING",
			"sssi", charge->user_id, atl_ledger_kinds[kind], charge->model, atl_window_start(ATL_WINDOW_DAY, at));
}

/* Every balance that is kept for this charge. */
static enum atl_err move(struct atl_conn *conn, const struct atl_charge *charge, enum atl_ledger_kind kind, int64_t at,
			 int64_t used, int64_t reserved, struct atl_errinfo *info)
{
	return atl_exec(conn, info,
			"UPDATE balances SET used = used + ?, reserved = reserved + ? "
			"WHERE kind = ? AND subject IN (?, ?, 'server') AND model IN ('', ?) AND ("
			"(span = 'minute' AND start_at = ?) OR (span = 'day' AND start_at = ?) OR "
			"(span = 'month' AND start_at = ?) OR (span = 'total' AND start_at = 0))",
			"iissssiii", used, reserved, atl_ledger_kinds[kind], charge->user_id,
			*charge->key_id ? charge->key_id : charge->user_id, charge->model, atl_window_start(ATL_WINDOW_MINUTE, at),
			atl_window_start(ATL_WINDOW_DAY, at), atl_window_start(ATL_WINDOW_MONTH, at));
}

enum atl_err atl_ledger_sum(struct atl_conn *conn, const char *subject, const char *kind, const char *model, int64_t from_ms,
			    int64_t to_ms, int64_t *ret_used, int64_t *ret_reserved, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(
		conn, &rows, info,
		"SELECT CAST(coalesce(sum(CASE WHEN l.step = 1 THEN l.amount ELSE 0 END), 0) AS BIGINT), "
		"CAST(coalesce(sum(CASE WHEN l.step = 0 AND NOT EXISTS (SELECT 1 FROM ledger e WHERE e.ref = l.ref AND "
		"e.kind = l.kind AND e.step = 1) THEN l.amount ELSE 0 END), 0) AS BIGINT) FROM ledger l "
		"WHERE l.kind = ? AND l.at >= ? AND l.at < ? AND (l.user_id = ? OR l.key_id = ? OR ? = 'server') "
		"AND (? = '' OR l.model = ?)",
		"siisssss", kind, from_ms, to_ms ? to_ms : INT64_MAX, subject, subject, subject, model, model);

	*ret_used = *ret_reserved = 0;
	while (!err && atl_rows_next(rows, &err, info)) {
		*ret_used = atl_col_int(rows, 0);
		*ret_reserved = atl_col_int(rows, 1);
	}
	return err;
}

/* ---- reserving ---- */

static void notice(struct atl_quota_notices *notices, const struct atl_quota_state *state)
{
	if (notices && notices->count < ATL_COUNT(notices->items))
		notices->items[notices->count++] = *state;
}

static enum atl_err check(struct atl_conn *conn, const struct atl_charge *charge, const struct atl_quota_state *state,
			  struct atl_quota_notices *notices, struct atl_errinfo *info)
{
	int64_t amount = charge->amounts[state->kind], taken = state->used + state->reserved;
	struct atl_quota_state then = *state;

	if (amount == ATL_LEDGER_NONE)
		return ATL_OK;
	if (amount ? amount > state->limit - taken : taken >= state->limit)
		return atl_quota_refuse(state, info);
	then.reserved += amount;
	if (state->warned || (then.used + then.reserved) * 100 < then.limit * ATL_QUOTA_WARN_PERCENT)
		return ATL_OK;
	if (strcmp(state->scope, "server") != 0)
		notice(notices, &then);
	return atl_exec(conn, info,
			"UPDATE balances SET warned = 1 WHERE subject = ? AND kind = ? AND span = ? AND start_at = ? AND model = ?",
			"sssis", state->subject, atl_ledger_kinds[state->kind], state->span, state->start_at, state->model);
}

enum atl_err atl_ledger_reserve(struct atl_conn *conn, const struct atl_charge *charge, struct atl_quota_notices *notices,
				struct atl_errinfo *info)
{
	struct atl_quota_states states;
	int64_t at = atl_now_ms();
	enum atl_err err = atl_quota_load(conn, charge->user_id, charge->key_id, charge->model, at, &states, info);

	if (notices)
		notices->count = 0;
	for (size_t i = 0; !err && i < states.count; i++)
		err = check(conn, charge, &states.items[i], notices, info);
	for (int kind = 0; !err && kind < ATL_LEDGER_KIND_COUNT; kind++) {
		int64_t amount = charge->amounts[kind];
		bool new;

		if (amount == ATL_LEDGER_NONE)
			continue;
		err = insert(conn, charge, (enum atl_ledger_kind)kind, STEP_RESERVE, "reserved", amount, at, &new, info);
		if (!err && !new)
			err = atl_fail(info, ATL_ERR_CONFLICT, "%s is reserved already.", charge->ref);
		if (!err)
			err = ensure_day(conn, charge, (enum atl_ledger_kind)kind, at, info);
		if (!err && amount)
			err = move(conn, charge, (enum atl_ledger_kind)kind, at, 0, amount, info);
	}
	return err;
}

/* ---- ending ---- */

/* What is open under a ref. */
struct open {
	struct atl_charge charge; /* amounts: reserved */
	char user_id[ATL_ID_SIZE], key_id[ATL_ID_SIZE], model[ATL_QUOTA_MODEL_MAX + 1];
	int64_t at;
	bool found;
};

static void copy_col(struct atl_rows *rows, int col, struct atl_arena *arena, char *out, size_t size)
{
	const char *text = atl_col_text(rows, col, arena);

	(void)atl_str_copy(out, size, text ? text : "");
}

static enum atl_err read_open(struct atl_conn *conn, const char *ref, struct open *open, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct atl_rows *rows;
	enum atl_err err;

	*open = (struct open){ .found = false };
	atl_charge_init(&open->charge, ref, open->user_id, open->key_id, NULL);
	open->charge.model = open->model;
	atl_arena_init(&arena, 65536);
	err = atl_query(conn, &rows, info,
			"SELECT l.kind, l.user_id, l.key_id, l.model, l.amount, l.at FROM ledger l WHERE l.ref = ? AND l.step = 0 "
			"AND NOT EXISTS (SELECT 1 FROM ledger e WHERE e.ref = l.ref AND e.kind = l.kind AND e.step = 1)",
			"s", ref);
	while (!err && atl_rows_next(rows, &err, info)) {
		int kind = atl_ledger_index(atl_ledger_kinds, atl_col_text(rows, 0, &arena));

		if (kind < 0)
			continue; /* of a newer version */
		copy_col(rows, 1, &arena, open->user_id, sizeof(open->user_id));
		copy_col(rows, 2, &arena, open->key_id, sizeof(open->key_id));
		copy_col(rows, 3, &arena, open->model, sizeof(open->model));
		open->charge.amounts[kind] = atl_col_int(rows, 4);
		open->at = atl_col_int(rows, 5);
		open->found = true;
	}
	atl_arena_finish(&arena);
	return err;
}

/* One kind ends as `charge` says; *ret_new: it had not. */
static enum atl_err end_kind(struct atl_conn *conn, const struct atl_charge *charge, enum atl_ledger_kind kind, int64_t at,
			     bool *ret_new, struct atl_errinfo *info)
{
	int64_t used = charge->amounts[kind];
	bool settled = used != ATL_LEDGER_NONE;
	enum atl_err err = insert(conn, charge, kind, STEP_END, settled ? "settled" : "refunded", settled ? used : 0, at,
				  ret_new, info);

	if (err || !*ret_new || !settled)
		return err;
	err = ensure_day(conn, charge, kind, at, info);
	return !err && used ? move(conn, charge, kind, at, used, 0, info) : err;
}

enum atl_err atl_ledger_settle(struct atl_conn *conn, const char *ref, const char *model,
			       const int64_t amounts[ATL_LEDGER_KIND_COUNT], struct atl_errinfo *info)
{
	struct open open;
	struct atl_charge end;
	enum atl_err err = read_open(conn, ref, &open, info);

	if (err || !open.found)
		return err;
	end = open.charge;
	memcpy(end.amounts, amounts, sizeof(end.amounts));
	if (model && *model)
		end.model = model;
	for (int i = 0; !err && i < ATL_LEDGER_KIND_COUNT; i++) {
		enum atl_ledger_kind kind = (enum atl_ledger_kind)i;
		int64_t reserved = open.charge.amounts[kind];
		bool new;

		if (reserved == ATL_LEDGER_NONE && amounts[kind] == ATL_LEDGER_NONE)
			continue;
		err = end_kind(conn, &end, kind, open.at, &new, info);
		if (!err && new && reserved != ATL_LEDGER_NONE && reserved != 0)
			err = move(conn, &open.charge, kind, open.at, 0, -reserved, info);
	}
	return err;
}

enum atl_err atl_ledger_carry(struct atl_conn *conn, const struct atl_charge *used, const char *next, int64_t left,
			      struct atl_errinfo *info)
{
	struct atl_charge rest = *used;
	char spare[ATL_ID_SIZE];
	struct open open;
	enum atl_err err = read_open(conn, used->ref, &open, info);
	int64_t at = open.found ? open.at : atl_now_ms();
	bool new;

	if (!err && open.found) {
		err = atl_ledger_settle(conn, used->ref, NULL, used->amounts, info);
	} else if (!err) {
		atl_id_new("usg", spare);
		rest.ref = spare;
		err = atl_ledger_charge(conn, &rest, info);
	}
	if (err || left == 0)
		return err;
	rest.ref = next;
	err = insert(conn, &rest, ATL_LEDGER_MESSAGES, STEP_RESERVE, "reserved", left, at, &new, info);
	if (!err)
		err = ensure_day(conn, &rest, ATL_LEDGER_MESSAGES, at, info);
	return err ? err : move(conn, &rest, ATL_LEDGER_MESSAGES, at, 0, left, info);
}

enum atl_err atl_ledger_refund(struct atl_conn *conn, const char *ref, struct atl_errinfo *info)
{
	struct atl_charge none;

	atl_charge_init(&none, ref, NULL, NULL, NULL);
	return atl_ledger_settle(conn, ref, NULL, none.amounts, info);
}

enum atl_err atl_ledger_reserved(struct atl_conn *conn, const char *ref, int64_t amounts[ATL_LEDGER_KIND_COUNT],
				 struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct atl_charge none;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT kind, amount FROM ledger WHERE ref = ? AND step = 0", "s", ref);

	atl_charge_init(&none, ref, NULL, NULL, NULL);
	memcpy(amounts, none.amounts, sizeof(none.amounts));
	atl_arena_init(&arena, 65536);
	while (!err && atl_rows_next(rows, &err, info)) {
		int kind = atl_ledger_index(atl_ledger_kinds, atl_col_text(rows, 0, &arena));

		if (kind >= 0)
			amounts[kind] = atl_col_int(rows, 1);
	}
	atl_arena_finish(&arena);
	return err;
}

struct left { /* an open reservation of something that has ended */
	const char *ref;
	struct left *next;
};

/* By kind and time, so that an old ledger is not read as a whole. */
static enum atl_err read_left(struct atl_conn *conn, struct atl_arena *arena, enum atl_ledger_kind kind, struct left **ret,
			      struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(
		conn, &rows, info,
		"SELECT l.ref FROM ledger l WHERE l.kind = ? AND l.at >= ? AND l.step = 0 AND NOT EXISTS (SELECT 1 FROM ledger e "
		"WHERE e.ref = l.ref AND e.kind = l.kind AND e.step = 1) AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = l.ref "
		"AND j.state IN ('queued', 'leased', 'running'))",
		"si", atl_ledger_kinds[kind], atl_now_ms() - RECOVER_DAYS * DAY_MS);

	while (!err && atl_rows_next(rows, &err, info)) {
		struct left *left = ATL_ARENA_NEW(arena, struct left);

		if (!left) {
			atl_rows_close(rows);
			return atl_fail(info, ATL_ERR_NOMEM, "read what is reserved");
		}
		*left = (struct left){ atl_col_text(rows, 0, arena), *ret };
		*ret = left;
	}
	return err;
}

enum atl_err atl_ledger_recover(struct atl_conn *conn, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct left *left = NULL;
	enum atl_err err = ATL_OK;

	atl_arena_init(&arena, VERIFY_ARENA_MAX);
	for (int kind = 0; !err && kind < ATL_LEDGER_KIND_COUNT; kind++)
		err = read_left(conn, &arena, (enum atl_ledger_kind)kind, &left, info);
	for (; !err && left; left = left->next)
		err = atl_ledger_refund(conn, left->ref, info);
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_ledger_charge(struct atl_conn *conn, const struct atl_charge *charge, struct atl_errinfo *info)
{
	int64_t at = atl_now_ms();
	enum atl_err err = ATL_OK;
	bool new;

	for (int kind = 0; !err && kind < ATL_LEDGER_KIND_COUNT; kind++)
		if (charge->amounts[kind] != ATL_LEDGER_NONE && charge->amounts[kind] != 0)
			err = end_kind(conn, charge, (enum atl_ledger_kind)kind, at, &new, info);
	return err;
}

/* ---- checking ---- */

struct kept { /* a balance */
	const char *subject, *kind, *model, *span;
	int64_t start, used, reserved;
	struct kept *next;
};

static enum atl_err read_balances(struct atl_conn *conn, struct atl_arena *arena, struct kept **ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT subject, kind, model, span, start_at, used, reserved FROM balances", "");

	*ret = NULL;
	while (!err && atl_rows_next(rows, &err, info)) {
		struct kept *kept = ATL_ARENA_NEW(arena, struct kept);

		if (!kept) {
			atl_rows_close(rows);
			return atl_fail(info, ATL_ERR_NOMEM, "read the balances");
		}
		*kept = (struct kept){ .subject = atl_col_text(rows, 0, arena), .kind = atl_col_text(rows, 1, arena),
				       .model = atl_col_text(rows, 2, arena), .span = atl_col_text(rows, 3, arena),
				       .start = atl_col_int(rows, 4), .used = atl_col_int(rows, 5),
				       .reserved = atl_col_int(rows, 6), .next = *ret };
		*ret = kept;
	}
	return err;
}

static enum atl_err verify_balance(struct atl_conn *conn, const struct kept *kept, int64_t *wrong, struct atl_errinfo *info)
{
	int64_t used = 0, reserved = 0;
	int span = atl_ledger_index(atl_windows, kept->span);
	enum atl_err err;

	if (span < 0) {
		++*wrong;
		return ATL_OK;
	}
	err = atl_ledger_sum(conn, kept->subject, kept->kind, kept->model, kept->start,
			     atl_window_end((enum atl_window)span, kept->start), &used, &reserved, info);
	*wrong += !err && (used != kept->used || reserved != kept->reserved);
	return err;
}

/* Open reservations whose job or reply has ended, or is gone. */
static enum atl_err count_orphans(struct atl_conn *conn, int64_t *wrong, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(
		conn, &rows, info,
		"SELECT count(*) FROM ledger l WHERE l.step = 0 AND NOT EXISTS (SELECT 1 FROM ledger e WHERE e.ref = l.ref AND "
		"e.kind = l.kind AND e.step = 1) AND ((l.ref LIKE 'job%' AND NOT EXISTS (SELECT 1 FROM jobs j WHERE "
		"j.id = l.ref AND j.state IN ('queued', 'leased', 'running'))) OR (l.ref LIKE 'msg%' AND NOT EXISTS (SELECT 1 "
		"FROM messages m WHERE m.id = substr(l.ref, 1, 30) AND m.status = 'streaming')))",
		"");

	while (!err && atl_rows_next(rows, &err, info))
		*wrong += atl_col_int(rows, 0);
	return err;
}

enum atl_err atl_ledger_verify(struct atl_conn *conn, int64_t *ret_wrong, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct kept *kept;
	int64_t wrong = 0;
	enum atl_err err;

	atl_arena_init(&arena, VERIFY_ARENA_MAX);
	err = read_balances(conn, &arena, &kept, info);
	for (; !err && kept; kept = kept->next)
		err = verify_balance(conn, kept, &wrong, info);
	atl_arena_finish(&arena);
	if (!err)
		err = count_orphans(conn, &wrong, info);
	if (!err)
		*ret_wrong = wrong;
	return err;
}
