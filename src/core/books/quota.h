/* quota.h - how much people may use: limits for a person, an API key, the members of a group, those with a role,
 * everyone, and the whole server, per kind (ledger.h) and window of time, for every model or for one.
 *
 * All that apply to a charge must hold; the tightest one is what stops it. Quotas of a group, a role and everyone are each
 * person's own allowance; those of the server are shared by all. What an admin granted to one person for one window
 * (quota_request.c) is added to that person's limit.
 * At 80 % of a quota its person gets the event quota.near once a window: {kind, span, model, used, limit, resets_at}.
 *
 * Files:      quota.c rows and their changes, quota_check.c deciding, quota_request.c asking for more, usage_sum.c
 *             what was used, for people and for admins.
 * Threads:    pool threads.
 * Limits:     ATL_QUOTA_ROWS_MAX quotas; a note has ATL_QUOTA_NOTE_MAX bytes.
 */
#ifndef ATL_CORE_QUOTA_H
#define ATL_CORE_QUOTA_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "core/books/ledger.h"

#define ATL_QUOTA_ROWS_MAX 1000
#define ATL_QUOTA_AMOUNT_MAX 1000000000000000LL
#define ATL_QUOTA_NOTE_MAX 500
#define ATL_QUOTA_WARN_PERCENT 80
#define ATL_QUOTA_MODEL_MAX 300

extern const char *const atl_quota_scopes[]; /* "user", "group", "role", "key", "everyone", "server", NULL */

struct atl_quota {
	const char *id, *scope, *subject, *kind, *span, *model;
	const char *subject_name; /* for people; NULL: none, or it is gone */
	int64_t amount, version, created_at, updated_at;
};
extern const struct atl_json_desc atl_quota_desc;

/* ---- deciding (inside a transaction) ---- */

/* One quota as it stands for a charge's person and key. */
struct atl_quota_state {
	char id[ATL_ID_SIZE];
	const char *scope, *span; /* static */
	enum atl_ledger_kind kind;
	enum atl_window window;
	char subject[ATL_ID_SIZE]; /* of the balance: user, key or "server" */
	char model[ATL_QUOTA_MODEL_MAX + 1];
	int64_t limit, used, reserved, start_at, resets_at; /* limit with what was granted; resets_at 0: never */
	bool warned;
};
struct atl_quota_notices {
	struct atl_quota_state items[4];
	size_t count;
};
#define ATL_QUOTA_APPLIES_MAX 64
struct atl_quota_states {
	struct atl_quota_state items[ATL_QUOTA_APPLIES_MAX];
	size_t count;
};
/* Those that apply to this person, key (NULL, "") and model (NULL: whatever model), tightest first; `used` and `reserved`
 * are read from the balances, made from the ledger where they are not there. INTERNAL: more than can be looked at. */
enum atl_err atl_quota_load(struct atl_conn *conn, const char *user_id, const char *key_id, const char *model,
			    int64_t at_ms, struct atl_quota_states *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* QUOTA with everything the person is to know. */
enum atl_err atl_quota_refuse(const struct atl_quota_state *state, struct atl_errinfo *info) ATL_MUST_USE;
/* After the commit. */
void atl_quota_tell(struct atl_app *app, const char *user_id, const struct atl_quota_notices *notices);

/* atl_ledger_reserve() in a transaction of its own, and the person is told. */
enum atl_err atl_quota_reserve(struct atl_app *app, const struct atl_charge *charge, struct atl_errinfo *info) ATL_MUST_USE;

/* Is there any quota at all? Without one a charge need not be reserved: app->limited. Set by every change here; another
 * server of the same database learns of it when it next writes usage records. */
enum atl_err atl_quota_look(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- the list (quotas.manage) ---- */

enum atl_err atl_quota_list(struct atl_app *app, struct atl_arena *arena, struct atl_quota **ret, size_t *ret_count,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* Sets the quota of this scope, subject, kind, span and model: changed where it is there, else made. The subject
 * is an id, or the name of a person, group or role. INVALID names the
 * field; NOT_FOUND: no such person, group, role or key. */
enum atl_err atl_quota_set(struct atl_app *app, const struct atl_identity *who, const char *remote,
			   struct atl_arena *arena, const struct atl_quota *quota, struct atl_quota *ret,
			   struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_quota_delete(struct atl_app *app, const struct atl_identity *who, const char *remote, const char *id,
			      struct atl_errinfo *info) ATL_MUST_USE;

/* ---- asking for more ---- */

struct atl_quota_request {
	const char *id, *user_id, *user_name, *quota_id, *scope, *kind, *span, *model;
	int64_t limit, amount; /* wanted on top */
	const char *note, *state; /* "open", "granted", "refused" */
	int64_t granted;
	const char *answer;
	int64_t created_at, decided_at;
};
extern const struct atl_json_desc atl_quota_request_desc;
/* NOT_FOUND: no quota of theirs. CONFLICT: they have asked already, or it is the whole server's. */
enum atl_err atl_quota_ask(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			   const char *quota_id, int64_t amount, const char *note, struct atl_quota_request *ret,
			   struct atl_errinfo *info) ATL_MUST_USE;
/* user_id NULL: everybody's. Open ones first, then the newest. At most 200. */
enum atl_err atl_quota_requests(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				struct atl_quota_request **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* Granting `amount` adds it to the person's limit until the quota's window is over; 0 refuses. The person gets the event
 * quota.answered. CONFLICT: it is decided already. */
enum atl_err atl_quota_decide(struct atl_app *app, const struct atl_identity *who, const char *remote,
			      struct atl_arena *arena, const char *id, int64_t amount, const char *answer,
			      struct atl_quota_request *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- what was used ---- */

struct atl_usage_line { /* the key is a day (2026-11-21), a model or a user, and what is not asked for is "" */
	const char *day, *model, *user_id, *user_name;
	int64_t amounts[ATL_LEDGER_KIND_COUNT];
};
enum atl_usage_by { ATL_USAGE_BY_DAY, ATL_USAGE_BY_MODEL, ATL_USAGE_BY_USER };
#define ATL_USAGE_LINES_MAX 2000
/* Days from the one of `from_ms` to the one of `to_ms`, both included; user_id NULL: everybody. Days in order; models and
 * users by name, at most ATL_USAGE_LINES_MAX. */
enum atl_err atl_usage_lines(struct atl_app *app, struct atl_arena *arena, const char *user_id, enum atl_usage_by by,
			     int64_t from_ms, int64_t to_ms, struct atl_usage_line **ret, size_t *ret_count,
			     struct atl_errinfo *info) ATL_MUST_USE;
/* The person's quotas with what is used of them. */
enum atl_err atl_quota_mine(struct atl_app *app, const struct atl_identity *who, struct atl_quota_states *ret,
			    struct atl_errinfo *info) ATL_MUST_USE;

#endif
