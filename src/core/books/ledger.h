/* ledger.h - the books: what was used by whom, in whole units, reserved first and settled or refunded once.
 *
 * A charge is named by its `ref` (the id of the job, message or usage record it is for) and holds an amount per kind.
 * Reserving looks at every quota that applies (quota.h) and fails with ATL_ERR_QUOTA when one would be passed; settling
 * writes the true amounts, refunding gives all of it back. Each happens at most once: a second end changes nothing.
 * All of it is SQL inside the caller's transaction, so that the books change exactly when the state does.
 *
 * The ledger is append only; balances are its sums per subject, kind, model and window of time, kept in the same
 * transaction. A charge counts for the windows in which it was reserved, also when it ends in a later one.
 *
 * Life cycle: reserve .. settle or refund; atl_ledger_charge() is both at once, for what nothing limits.
 * Threads:    inside fn of atl_db_tx(); span functions are pure.
 * Limits:     a charge holds one amount a kind.
 * Adding one: a kind is a line in ATL_LEDGER_KIND_LIST and the place that reserves it; docs/ledger.md.
 */
#ifndef ATL_CORE_LEDGER_H
#define ATL_CORE_LEDGER_H

#include "base/err.h"

struct atl_conn;
struct atl_quota_notices;

/* name, text, what one is called, what many are called */
#define ATL_LEDGER_KIND_LIST(X)                                                  \
	X(MESSAGES, "messages", "message", "messages")                           \
	X(INPUT_TOKENS, "input_tokens", "input token", "input tokens")           \
	X(OUTPUT_TOKENS, "output_tokens", "output token", "output tokens")       \
	X(PICTURES, "pictures", "picture", "pictures")                           \
	X(VIDEO_MS, "video_ms", "millisecond of video", "milliseconds of video") \
	X(GPU_MS, "gpu_ms", "millisecond of this server's engine", "milliseconds of this server's engine") \
	X(TRAINING_MS, "training_ms", "millisecond of training", "milliseconds of training") \
	X(SPEECH, "speech_characters", "spoken character", "spoken characters")  \
	X(MONEY, "money_micro_usd", "millionth of a US dollar", "millionths of a US dollar")
enum atl_ledger_kind {
#define ATL_LEDGER_KIND_X(name, text, one, many) ATL_LEDGER_##name,
	ATL_LEDGER_KIND_LIST(ATL_LEDGER_KIND_X)
#undef ATL_LEDGER_KIND_X
		ATL_LEDGER_KIND_COUNT
};
extern const char *const atl_ledger_kinds[]; /* texts, NULL-terminated */
const char *atl_ledger_kind_words(enum atl_ledger_kind kind, int64_t count);

/* Windows of time, in UTC. TOTAL begins at 0 and never ends. */
enum atl_window { ATL_WINDOW_MINUTE, ATL_WINDOW_DAY, ATL_WINDOW_MONTH, ATL_WINDOW_TOTAL, ATL_WINDOW_COUNT };
extern const char *const atl_windows[]; /* "minute", "day", "month", "total", NULL */
int64_t atl_window_start(enum atl_window span, int64_t at_ms);
int64_t atl_window_end(enum atl_window span, int64_t at_ms); /* when the window of `at_ms` is over; 0: never */
/* Index of `text` in a NULL-terminated list, or -1. */
int atl_ledger_index(const char *const *list, const char *text);

#define ATL_LEDGER_NONE INT64_MIN /* this charge has nothing to do with the kind */
struct atl_charge {
	const char *ref;
	const char *user_id;
	const char *key_id; /* "" or NULL: by no API key */
	const char *model;  /* "" or NULL: not known */
	int64_t amounts[ATL_LEDGER_KIND_COUNT]; /* 0 with reserve: only "is anything left" */
};
void atl_charge_init(struct atl_charge *charge, const char *ref, const char *user_id, const char *key_id,
		     const char *model); /* all amounts NONE; borrows the texts */

/* QUOTA: one of them would be passed; info->detail, ->quota and ->retry_after_s say which and until when, and the caller
 * returns the error so that its transaction is undone. `notices` (NULL: nobody is told) collects what the person is to
 * be warned of once the transaction is committed; it is emptied first. */
enum atl_err atl_ledger_reserve(struct atl_conn *conn, const struct atl_charge *charge,
				struct atl_quota_notices *notices, struct atl_errinfo *info) ATL_MUST_USE;
/* The reservation of `ref` ends with the true amounts; kinds without one (NONE) that were reserved are refunded, kinds
 * that were not reserved are charged. `model` is the one that did it; NULL: as reserved. Nothing is reserved under
 * `ref`, or it has ended: nothing happens. */
enum atl_err atl_ledger_settle(struct atl_conn *conn, const char *ref, const char *model,
			       const int64_t amounts[ATL_LEDGER_KIND_COUNT], struct atl_errinfo *info) ATL_MUST_USE;
/* The reservation of used->ref ends with these amounts, and `left` messages of it stay reserved as `next`, for the same
 * window. Nothing is reserved under used->ref: the amounts are charged all the same. */
enum atl_err atl_ledger_carry(struct atl_conn *conn, const struct atl_charge *used, const char *next, int64_t left,
			      struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_ledger_refund(struct atl_conn *conn, const char *ref, struct atl_errinfo *info) ATL_MUST_USE;
/* What was reserved under `ref`, ended or not; NONE for the other kinds. */
enum atl_err atl_ledger_reserved(struct atl_conn *conn, const char *ref, int64_t amounts[ATL_LEDGER_KIND_COUNT],
				 struct atl_errinfo *info) ATL_MUST_USE;
/* At a start: gives back what is still reserved for replies and requests that the last server did not end, and for jobs
 * that are gone. */
enum atl_err atl_ledger_recover(struct atl_conn *conn, struct atl_errinfo *info) ATL_MUST_USE;
/* What was used already and is not to be refused. A second charge with this ref changes nothing. */
enum atl_err atl_ledger_charge(struct atl_conn *conn, const struct atl_charge *charge,
			       struct atl_errinfo *info) ATL_MUST_USE;

/* Of a user, a key or "server", and one model or '' for all, in [from_ms, to_ms); to_ms 0: without end. */
enum atl_err atl_ledger_sum(struct atl_conn *conn, const char *subject, const char *kind, const char *model, int64_t from_ms,
			    int64_t to_ms, int64_t *ret_used, int64_t *ret_reserved, struct atl_errinfo *info) ATL_MUST_USE;

/* Do the books balance? Compares every balance with the ledger's sum for it, and every open reservation of a job or
 * reply with what it is for. *ret_wrong: how many do not. For tests. */
enum atl_err atl_ledger_verify(struct atl_conn *conn, int64_t *ret_wrong, struct atl_errinfo *info) ATL_MUST_USE;

#endif
