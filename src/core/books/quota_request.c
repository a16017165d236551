/* quota_request.c - asking for more of a quota, and the answer. See quota.h. */
#include "core/books/quota.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "core/server/events.h"
#include "db/db.h"

#define REQUESTS_MAX 200

static const char *const STATES[] = { "open", "granted", "refused", NULL };

#define OFF(member) offsetof(struct atl_quota_request, member)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "user_id", ATL_JT_STR, OFF(user_id), ATL_JF_REQUIRED },
	{ "user_name", ATL_JT_STR, OFF(user_name), ATL_JF_REQUIRED },
	{ "quota_id", ATL_JT_STR, OFF(quota_id), ATL_JF_REQUIRED },
	{ "scope", ATL_JT_ENUM, OFF(scope), ATL_JF_REQUIRED, .values = atl_quota_scopes },
	{ "kind", ATL_JT_ENUM, OFF(kind), ATL_JF_REQUIRED, .values = atl_ledger_kinds },
	{ "span", ATL_JT_ENUM, OFF(span), ATL_JF_REQUIRED, .values = atl_windows },
	{ "model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED, .doc = "\"\": every model" },
	{ "limit", ATL_JT_INT, OFF(limit), ATL_JF_REQUIRED, .doc = "of the quota, without what was granted" },
	{ "amount", ATL_JT_INT, OFF(amount), ATL_JF_REQUIRED, .doc = "wanted on top of it" },
	{ "note", ATL_JT_STR, OFF(note), ATL_JF_REQUIRED },
	{ "state", ATL_JT_ENUM, OFF(state), ATL_JF_REQUIRED, .values = STATES },
	{ "granted", ATL_JT_INT, OFF(granted), ATL_JF_REQUIRED },
	{ "answer", ATL_JT_STR, OFF(answer), ATL_JF_REQUIRED },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "decided_at", ATL_JT_TIME, OFF(decided_at), 0 },
};
const struct atl_json_desc atl_quota_request_desc = { "QuotaRequest", "Somebody asks for more than a quota allows.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_quota_request), ATL_JSON_NO_PRESENT, false };

#define SELECT_REQUESTS                                                                                              \
	"SELECT r.id, r.user_id, u.name, r.quota_id, q.scope, q.kind, q.span, q.model, q.amount, r.amount, r.note, "  \
	"r.state, r.granted, r.answer, r.created_at, r.decided_at FROM quota_requests r "                             \
	"JOIN users u ON u.id = r.user_id JOIN quotas q ON q.id = r.quota_id "

static void read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_quota_request *ret)
{
	*ret = (struct atl_quota_request){
		.id = atl_col_text(rows, 0, arena), .user_id = atl_col_text(rows, 1, arena),
		.user_name = atl_col_text(rows, 2, arena), .quota_id = atl_col_text(rows, 3, arena),
		.scope = atl_col_text(rows, 4, arena), .kind = atl_col_text(rows, 5, arena), .span = atl_col_text(rows, 6, arena),
		.model = atl_col_text(rows, 7, arena), .limit = atl_col_int(rows, 8), .amount = atl_col_int(rows, 9),
		.note = atl_col_text(rows, 10, arena), .state = atl_col_text(rows, 11, arena), .granted = atl_col_int(rows, 12),
		.answer = atl_col_text(rows, 13, arena), .created_at = atl_col_int(rows, 14), .decided_at = atl_col_int(rows, 15)
	};
}

static enum atl_err get(struct atl_conn *conn, struct atl_arena *arena, const char *id, struct atl_quota_request *ret,
			struct atl_errinfo *info)
{
	struct atl_rows *rows;
	bool found = false;
	enum atl_err err = atl_query(conn, &rows, info, SELECT_REQUESTS "WHERE r.id = ?", "s", id);

	while (!err && atl_rows_next(rows, &err, info)) {
		read_row(rows, arena, ret);
		found = true;
	}
	return err || found ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such request.");
}

/* ---- asking ---- */

struct ask {
	const struct atl_identity *who;
	struct atl_arena *arena;
	const char *quota_id, *note;
	int64_t amount;
	char id[ATL_ID_SIZE];
	struct atl_quota_request result;
};

static enum atl_err ask_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct ask *ask = arg;
	const struct atl_quota_state *state = NULL;
	struct atl_quota_states states;
	int64_t changed, now = atl_now_ms();
	enum atl_err err = atl_quota_load(conn, ask->who->user_id, ask->who->key_id, NULL, now, &states, info);

	for (size_t i = 0; !err && i < states.count; i++)
		if (strcmp(states.items[i].id, ask->quota_id) == 0)
			state = &states.items[i];
	if (!err && !state)
		err = atl_fail_field(info, ATL_ERR_NOT_FOUND, "quota_id", "No quota of yours has this id.");
	else if (!err && atl_str_eq(state->scope, "server"))
		err = atl_fail_field(info, ATL_ERR_CONFLICT, "quota_id", "This quota is shared by everybody: nobody has a part of it.");
	if (!err)
		err = atl_exec_count(conn, &changed, info,
				     "INSERT INTO quota_requests (id, user_id, quota_id, amount, note, state, granted, answer, "
				     "created_at) VALUES (?, ?, ?, ?, ?, 'open', 0, '', ?) ON CONFLICT DO NOTHING",
				     "sssisi", ask->id, ask->who->user_id, ask->quota_id, ask->amount, ask->note, now);
	if (!err && !changed)
		err = atl_fail(info, ATL_ERR_CONFLICT, "You have asked for more of this already; it is not decided yet.");
	return err ? err : get(conn, ask->arena, ask->id, &ask->result, info);
}

enum atl_err atl_quota_ask(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *quota_id,
			   int64_t amount, const char *note, struct atl_quota_request *ret, struct atl_errinfo *info)
{
	struct ask ask = { .who = who, .arena = arena, .quota_id = quota_id, .note = note ? note : "", .amount = amount };
	enum atl_err err;

	if (amount < 1 || amount > ATL_QUOTA_AMOUNT_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "amount", "must be at least 1");
	if (strlen(ask.note) > ATL_QUOTA_NOTE_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "note", "must have at most %d bytes", ATL_QUOTA_NOTE_MAX);
	atl_id_new("qrq", ask.id);
	err = atl_db_tx(app->db, ask_fn, &ask, info);
	if (!err)
		*ret = ask.result;
	return err;
}

/* ---- looking ---- */

struct list {
	struct atl_arena *arena;
	const char *user_id;
	struct atl_quota_request *items;
	size_t count;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct list *list = arg;
	const char *user_id = list->user_id ? list->user_id : "";
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     SELECT_REQUESTS "WHERE (? = '' OR r.user_id = ?) "
						     "ORDER BY CASE WHEN r.state = 'open' THEN 0 ELSE 1 END, r.id DESC LIMIT 200",
				     "ss", user_id, user_id);

	list->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		if (list->count < REQUESTS_MAX)
			read_row(rows, list->arena, &list->items[list->count++]);
	return err;
}

enum atl_err atl_quota_requests(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				struct atl_quota_request **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct list list = { .arena = arena, .user_id = user_id,
			     .items = ATL_ARENA_ARRAY(arena, struct atl_quota_request, REQUESTS_MAX) };
	enum atl_err err = list.items ? atl_db_read(app->db, list_fn, &list, info) : atl_fail(info, ATL_ERR_NOMEM, "list requests");

	if (err)
		return err;
	*ret = list.items;
	*ret_count = list.count;
	return ATL_OK;
}

/* ---- deciding ---- */

struct decide {
	const struct atl_identity *who;
	const char *remote, *id, *answer;
	struct atl_arena *arena;
	int64_t amount;
	struct atl_quota_request result;
};

static enum atl_err grant(struct atl_conn *conn, const struct decide *d, int64_t now, struct atl_errinfo *info)
{
	enum atl_window span = (enum atl_window)atl_ledger_index(atl_windows, d->result.span);
	const char *subject = d->result.user_id;
	int64_t start = atl_window_start(span, now);
	enum atl_err err = atl_exec(conn, info,
				    "INSERT INTO quota_extras (quota_id, user_id, start_at, amount) VALUES (?, ?, ?, ?) "
				    "ON CONFLICT (quota_id, user_id, start_at) DO UPDATE SET amount = quota_extras.amount + excluded.amount",
				    "ssii", d->result.quota_id, d->result.user_id, start, d->amount);

	if (err)
		return err;
	return atl_exec(conn, info,
			"UPDATE balances SET warned = 0 WHERE subject = ? AND kind = ? AND span = ? AND start_at = ? AND model = ?",
			"sssis", subject, d->result.kind, d->result.span, start, d->result.model);
}

static enum atl_err decide_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct decide *d = arg;
	char note[ATL_AUDIT_NOTE_MAX];
	const struct atl_audit row = { .who = d->who, .remote = d->remote,
				       .action = d->amount ? "quota.grant" : "quota.refuse", .target_kind = "user", .note = note };
	struct atl_audit with = row;
	int64_t changed, now = atl_now_ms();
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE quota_requests SET state = ?, granted = ?, answer = ?, decided_by = ?, decided_at = ? "
					  "WHERE id = ? AND state = 'open'",
					  "sissis", d->amount ? "granted" : "refused", d->amount, d->answer, d->who->user_id, now, d->id);

	if (!err)
		err = get(conn, d->arena, d->id, &d->result, info);
	if (!err && !changed)
		err = atl_fail(info, ATL_ERR_CONFLICT, "It is decided already: %s.", d->result.state);
	if (!err && d->amount)
		err = grant(conn, d, now, info);
	if (err)
		return err;
	with.target_id = d->result.user_id;
	snprintf(note, sizeof(note), "%s: %lld %s a %s, asked for %lld", d->result.quota_id, (long long)d->amount, d->result.kind,
		 d->result.span, (long long)d->result.amount);
	return atl_audit(conn, &with, info);
}

static void tell(struct atl_app *app, const struct atl_quota_request *request)
{
	struct atl_buf out;
	struct atl_jw w;

	if (!app->events)
		return;
	atl_buf_init(&out, 16384);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "id", request->id);
	atl_jw_str(&w, "kind", request->kind);
	atl_jw_str(&w, "span", request->span);
	atl_jw_str(&w, "state", request->state);
	atl_jw_int(&w, "granted", request->granted);
	atl_jw_end_object(&w);
	if (!out.failed)
		atl_events_publish(app->events, request->user_id, "quota.answered", out.data, out.length);
	atl_buf_finish(&out);
}

enum atl_err atl_quota_decide(struct atl_app *app, const struct atl_identity *who, const char *remote, struct atl_arena *arena,
			      const char *id, int64_t amount, const char *answer, struct atl_quota_request *ret,
			      struct atl_errinfo *info)
{
	struct decide d = { .who = who, .remote = remote, .id = id, .answer = answer ? answer : "", .arena = arena,
			    .amount = amount };
	enum atl_err err;

	if (amount < 0 || amount > ATL_QUOTA_AMOUNT_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "amount", "must be from 0 to %lld", ATL_QUOTA_AMOUNT_MAX);
	if (strlen(d.answer) > ATL_QUOTA_NOTE_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "answer", "must have at most %d bytes", ATL_QUOTA_NOTE_MAX);
	err = atl_db_tx(app->db, decide_fn, &d, info);
	if (err)
		return err;
	tell(app, &d.result);
	*ret = d.result;
	return ATL_OK;
}
