/* report.h - "this should not be here": reports by anybody, the moderators' queue, decisions, appeals.
 *
 * A report is about one thing: a picture, a character, a conversation or an account. What several people say about it
 * while it is open are voices of one report; the gravest kind counts. Kinds have a clock of 24, 36 or 48 hours, and the
 * gravest ones quarantine the thing at once (core/safety/hold.h), unless moderators once decided to keep it. Accounts are never
 * closed by a report alone: anybody could lock anybody out.
 *
 * A decision (keep, restrict, remove, suspend) has a reason code and is told to both sides: to accounts by notices
 * (core/people/notice.h), to whoever has none by the key that the report was answered with. The owner may appeal once within
 * ATL_REPORT_APPEAL_MS; somebody else decides about it, unless nobody else moderates: then the owner of the server may, and
 * the audit log and the answer say so. What was removed goes from the disk when the time of appeal is over.
 *
 * Words of a report are shown to moderators only. The audit log has kinds, decisions and ids, never words.
 *
 * Life cycle: open -> decided -> appealed -> closed. Threads: blocking: pool threads. Ownership: the given arena.
 * Limits:     below; ATL_REPORT_PER_HOUR without an account by address, ATL_REPORT_PER_DAY with one.
 * Adding one: a kind is a line of ATL_REPORT_KINDS and a text of the page (report.kind.*); a thing: find_target().
 */
#ifndef ATL_CORE_REPORT_H
#define ATL_CORE_REPORT_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "core/pictures/asset.h"

#define ATL_REPORT_NOTE_MAX 2000 /* code points */
#define ATL_REPORT_CONTACT_MAX 200
#define ATL_REPORT_ANSWER_MAX 1000
#define ATL_REPORT_TARGET_MAX 500
#define ATL_REPORT_PER_HOUR 10
#define ATL_REPORT_PER_DAY 50
#define ATL_REPORT_VOICES_MAX 100 /* shown; all count */
#define ATL_REPORT_PAGE_MAX 200
#define ATL_REPORT_APPEAL_MS ((int64_t)14 * 24 * 60 * 60 * 1000)
#define ATL_REPORT_LOST_MS ((int64_t)30 * 24 * 60 * 60 * 1000) /* of reports about accounts that there are not */

/* name, text, hours until it should be decided, quarantined at once */
#define ATL_REPORT_KINDS(X)                         \
	X(MINORS, "minors", 24, true)               \
	X(REAL_PERSON, "real_person", 24, true)     \
	X(NON_CONSENSUAL, "non_consensual", 24, true) \
	X(ILLEGAL, "illegal", 36, false)            \
	X(HARASSMENT, "harassment", 36, false)      \
	X(COPYRIGHT, "copyright", 48, false)        \
	X(SPAM, "spam", 48, false)                  \
	X(OTHER, "other", 48, false)

extern const char *const atl_report_kinds[], *const atl_report_targets[], *const atl_report_states[],
	*const atl_report_decisions[], *const atl_report_reasons[], *const atl_report_outcomes[]; /* NULL-terminated */

struct atl_report { /* the API's Report: for moderators */
	const char *id, *target_kind, *target_id;
	const char *owner_id, *owner_name; /* NULL: the account is gone */
	const char *kind, *state, *hold;   /* hold: "none", "quarantined", "restricted", "removed" */
	int64_t voices, copies;		   /* copies: of a picture's bytes, in all libraries */
	int64_t due_at;
	bool overdue, may_decide; /* may_decide: whoever asks; an appeal is for somebody else */
	const char *decision, *reason, *answer, *decided_by, *decided_by_name; /* "" and NULL until then */
	int64_t decided_at;
	const char *appeal_note, *appeal_outcome, *appeal_answer, *appeal_by_name;
	int64_t appealed_at, appeal_decided_at;
	int64_t created_at, updated_at;
	struct atl_items voice_list; /* struct atl_report_voice; of atl_report_get() */
	/* not told */
	const char *appeal_by;
};
extern const struct atl_json_desc atl_report_desc;

struct atl_report_voice {
	const char *kind, *note, *contact, *user_name; /* user_name NULL: no account */
	int64_t created_at;
};

/* ---- reporting ---- */
struct atl_report_new {
	const char *target_kind; /* "picture", "share", "character", "conversation", "account" */
	const char *target;	 /* id; of a share its key or address; of an account its id or name */
	const char *kind, *note, *contact; /* note, contact: NULL is "" */
};
struct atl_report_receipt { /* the API's ReportReceipt */
	const char *key; /* reads how it ended */
	bool quarantined;
};
extern const struct atl_json_desc atl_report_receipt_desc;
/* NOT_FOUND: nothing of that name that `who` can see; of an account nobody is told whether there is one. THROTTLED. */
enum atl_err atl_report_file(struct atl_app *app, const struct atl_identity *who, const char *remote,
			     struct atl_arena *arena, const struct atl_report_new *report, struct atl_report_receipt *ret,
			     struct atl_errinfo *info) ATL_MUST_USE;

struct atl_report_status { /* the API's ReportStatus: for whoever holds the key */
	const char *state;    /* "open", "decided" */
	const char *decision; /* "none", "kept", "acted" */
	int64_t created_at, decided_at;
};
extern const struct atl_json_desc atl_report_status_desc;
enum atl_err atl_report_status(struct atl_app *app, struct atl_arena *arena, const char *key,
			       struct atl_report_status *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- for moderators ---- */
/* state NULL: what waits (open and appealed), the most urgent first; else the newest first. */
enum atl_err atl_report_list(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			     const char *state, struct atl_items *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_report_get(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			    struct atl_report *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* What it is about, as it is now. Audited before anything is shown. */
#define ATL_REPORT_LINES_MAX 100 /* the last messages of a conversation */
struct atl_report_line {
	const char *role, *text;
	int64_t created_at;
};
struct atl_report_content { /* the API's ReportContent */
	const char *title, *text; /* a character's card as JSON; a picture's prompt */
	bool picture;		  /* there is a file to look at */
	struct atl_items lines;	  /* struct atl_report_line */
};
extern const struct atl_json_desc atl_report_content_desc;
enum atl_err atl_report_look(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			     struct atl_report_content *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The reported picture, or a character's avatar; audited as well. NOT_FOUND: it has none, or it is gone. */
enum atl_err atl_report_file_of(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				const char *id, struct atl_asset *ret, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_report_decision {
	const char *decision, *reason, *answer; /* answer: for the owner, NULL is "" */
};
/* CONFLICT: not open. FORBIDDEN: one's own thing, or an account above one's own (suspend). */
enum atl_err atl_report_decide(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			       const struct atl_report_decision *decision, struct atl_report *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* By the owner of the thing. CONFLICT: not decided, nothing was done, appealed before, or too late. */
enum atl_err atl_report_appeal(struct atl_app *app, const struct atl_identity *who, const char *id, const char *note,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* outcome: "upheld" (the decision stands), "overturned" (as before the report). FORBIDDEN: one's own decision. */
enum atl_err atl_report_appeal_decide(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				      const char *id, const char *outcome, const char *answer, struct atl_report *ret,
				      struct atl_errinfo *info) ATL_MUST_USE;

/* Month by month as CSV: month, kind, reports, voices, quarantined, kept, restricted, removed, suspended, late, appeals,
 * overturned. */
enum atl_err atl_report_counts(struct atl_app *app, struct atl_arena *arena, struct atl_buf *out,
			       struct atl_errinfo *info) ATL_MUST_USE;

/* Now and then: what was removed long enough ago goes from the disk; tries and lost reports are forgotten. */
enum atl_err atl_reports_purge(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;
/* In a transaction: words and contacts of somebody who is erased. */
enum atl_err atl_report_forget_in(struct atl_conn *conn, const char *user_id, struct atl_errinfo *info) ATL_MUST_USE;

#endif
