/* report_decide.c - what moderators decide, the owner's appeal, and what somebody else decides about it. See report.h. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "core/people/notice.h"
#include "core/people/user_admin.h"
#include "core/safety/blocked_picture.h"
#include "core/safety/report_int.h"

#define WHY_FORMAT "Report %s: %s"
#define APPEAL_CLOCK_MS ((int64_t)48 * 60 * 60 * 1000)

struct decide {
	const struct atl_identity *who;
	struct atl_arena *arena;
	const char *id;
	const struct atl_report_decision *in; /* of a decision */
	const char *outcome, *answer, *note;  /* of an appeal */
	bool alone;
	int64_t now_ms;
	struct atl_report report;
};

static enum atl_hold hold_after(const char *decision)
{
	return atl_str_eq(decision, "restrict")						 ? ATL_HOLD_RESTRICTED
	       : atl_str_eq(decision, "remove") || atl_str_eq(decision, "suspend") ? ATL_HOLD_REMOVED
										 : ATL_HOLD_NONE;
}

static enum atl_err audit(struct atl_conn *conn, const struct decide *d, const char *action, const char *what,
			  struct atl_errinfo *info)
{
	char note[ATL_AUDIT_NOTE_MAX];
	const struct atl_audit row = { .who = d->who, .action = action, .target_kind = d->report.target_kind,
				       .target_id = d->report.target_id, .note = note };

	snprintf(note, sizeof(note), "%s: %s%s", d->id, what, d->alone ? " (nobody else moderates)" : "");
	return atl_audit(conn, &row, info);
}

/* Whoever reported and has an account hears how it ended. */
static enum atl_err tell_voices(struct atl_conn *conn, const struct decide *d, const char *end, struct atl_errinfo *info)
{
	const char *users[ATL_REPORT_VOICES_MAX];
	size_t count = 0;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT DISTINCT user_id FROM report_voices WHERE report_id = ? AND user_id IS NOT NULL LIMIT ?",
				     "si", d->id, (int64_t)ATL_REPORT_VOICES_MAX);

	while (!err && atl_rows_next(rows, &err, info))
		users[count++] = atl_col_text(rows, 0, d->arena);
	for (size_t i = 0; i < count && !err; i++) {
		const struct atl_notice_new notice = { .user_id = users[i], .kind = "report", .report_id = d->id,
						       .target_kind = d->report.target_kind, .target_id = d->report.target_id,
						       .decision = end };

		err = atl_notice_add_in(conn, &notice, info);
	}
	return err;
}

static enum atl_err load(struct atl_conn *conn, struct decide *d, const char *state, struct atl_errinfo *info)
{
	bool may = false;
	enum atl_err err = atl_report_get_in(conn, d->arena, d->id, &d->report, info);

	d->alone = false;
	if (!err && !atl_str_eq(d->report.state, state))
		return atl_fail(info, ATL_ERR_CONFLICT, "This report is %s.",
				atl_str_eq(d->report.state, "open") ? "not decided yet" : "decided already");
	if (!err)
		err = atl_report_may_decide(conn, d->who, &d->report, &may, &d->alone, info);
	if (!err && !may)
		err = atl_fail(info, ATL_ERR_FORBIDDEN, atl_str_eq(state, "appealed")
								? "An appeal is decided by somebody else than the decision."
								: "This is about something of yours: somebody else decides.");
	return err;
}

/* ---- the decision ---- */

static enum atl_err decide_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct decide *d = arg;
	const char *decision = d->in->decision, *answer = d->in->answer ? d->in->answer : "";
	char what[100];
	int64_t changed;
	enum atl_err err = load(conn, d, "open", info);

	if (!err)
		err = atl_hold_set_in(conn, d->report.target_kind, d->report.target_id, hold_after(decision), d->now_ms, &changed,
				      info);
	if (!err && atl_str_eq(d->report.target_kind, "picture"))
		err = hold_after(decision) == ATL_HOLD_REMOVED
			      ? atl_blocked_add_report_in(conn, d->id, d->report.target_id, d->in->reason, d->now_ms, info)
			      : atl_blocked_end_report_in(conn, d->id, info);
	if (!err)
		err = atl_exec(conn, info,
			       "UPDATE reports SET state = 'decided', decision = ?, reason = ?, answer = ?, decided_by = ?, "
			       "decided_at = ?, updated_at = ? WHERE id = ?",
			       "ssssiis", decision, d->in->reason, answer, d->who->user_id, d->now_ms, d->now_ms, d->id);
	if (!err && (!atl_str_eq(decision, "keep") || !atl_str_eq(d->report.hold, "none"))) {
		const struct atl_notice_new notice = { .user_id = d->report.owner_id, .kind = "decided", .report_id = d->id,
						       .target_kind = d->report.target_kind, .target_id = d->report.target_id,
						       .decision = decision, .reason = d->in->reason, .answer = answer };

		err = atl_notice_add_in(conn, &notice, info);
	}
	if (!err)
		err = tell_voices(conn, d, atl_str_eq(decision, "keep") ? "kept" : "acted", info);
	snprintf(what, sizeof(what), "%.20s, %.20s", decision, d->in->reason);
	if (!err)
		err = audit(conn, d, "report.decide", what, info);
	return err ? err : atl_report_get_in(conn, d->arena, d->id, &d->report, info);
}

static enum atl_err look_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return load(conn, arg, "open", info);
}

/* First the account, by its own function with its own rules: whoever may not close it decides nothing. */
static enum atl_err suspend(struct atl_app *app, struct decide *d, struct atl_errinfo *info)
{
	char why[ATL_USER_WHY_MAX];
	enum atl_err err = atl_db_read(app->db, look_fn, d, info);

	if (!err && !d->report.owner_id)
		err = atl_fail(info, ATL_ERR_CONFLICT, "The account is gone already.");
	if (err)
		return err;
	snprintf(why, sizeof(why), WHY_FORMAT, d->id, d->in->reason);
	return atl_user_admin_suspend(app, d->who, d->report.owner_id, 0, why, info);
}

enum atl_err atl_report_decide(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			       const struct atl_report_decision *decision, struct atl_report *ret, struct atl_errinfo *info)
{
	struct decide d = { .who = who, .arena = arena, .id = id, .in = decision, .now_ms = atl_now_ms() };
	enum atl_err err = ATL_OK;

	if (atl_str_eq(decision->decision, "suspend"))
		err = suspend(app, &d, info);
	if (!err)
		err = atl_db_tx(app->db, decide_fn, &d, info);
	if (err)
		return err;
	atl_report_tell(app, &d.report);
	return atl_report_get(app, who, arena, id, ret, info);
}

/* ---- the appeal ---- */

static enum atl_err appeal_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct decide *d = arg;
	enum atl_err err = atl_report_get_in(conn, d->arena, d->id, &d->report, info);

	d->alone = false;
	if (!err && !atl_str_eq(d->report.owner_id, d->who->user_id)) /* the same as of one that there is not */
		err = atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such report.");
	if (!err && (!atl_str_eq(d->report.state, "decided") || atl_str_eq(d->report.decision, "keep")))
		err = atl_fail(info, ATL_ERR_CONFLICT, atl_str_eq(d->report.state, "open") ? "It is not decided yet."
						       : d->report.appealed_at	    ? "You have appealed once already."
										    : "Nothing was decided against you.");
	if (!err && d->report.decided_at <= d->now_ms - ATL_REPORT_APPEAL_MS)
		err = atl_fail(info, ATL_ERR_CONFLICT, "The time to appeal is over.");
	if (!err)
		err = atl_exec(conn, info,
			       "UPDATE reports SET state = 'appealed', appeal_note = ?, appealed_at = ?, due_at = ?, updated_at = ? "
			       "WHERE id = ?",
			       "siiis", d->note, d->now_ms, d->now_ms + APPEAL_CLOCK_MS, d->now_ms, d->id);
	return err ? err : audit(conn, d, "report.appeal", d->report.decision, info);
}

enum atl_err atl_report_appeal(struct atl_app *app, const struct atl_identity *who, const char *id, const char *note,
			       struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct decide d = { .who = who, .arena = &arena, .id = id, .note = note, .now_ms = atl_now_ms() };
	enum atl_err err;

	atl_arena_init(&arena, 0);
	err = atl_db_tx(app->db, appeal_fn, &d, info);
	if (!err)
		atl_report_tell(app, &d.report);
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err appeal_decide_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct decide *d = arg;
	bool over = atl_str_eq(d->outcome, "overturned");
	int64_t changed;
	enum atl_err err = load(conn, d, "appealed", info);

	if (!err && over)
		err = atl_hold_set_in(conn, d->report.target_kind, d->report.target_id, ATL_HOLD_NONE, d->now_ms, &changed, info);
	if (!err && over)
		err = atl_blocked_end_report_in(conn, d->id, info);
	if (!err)
		err = atl_exec(conn, info,
			       "UPDATE reports SET state = 'closed', appeal_outcome = ?, appeal_answer = ?, appeal_by = ?, "
			       "appeal_decided_at = ?, updated_at = ? WHERE id = ?",
			       "sssiis", d->outcome, d->answer, d->who->user_id, d->now_ms, d->now_ms, d->id);
	if (!err) {
		const struct atl_notice_new notice = { .user_id = d->report.owner_id, .kind = "appeal", .report_id = d->id,
						       .target_kind = d->report.target_kind, .target_id = d->report.target_id,
						       .decision = d->outcome, .reason = d->report.reason, .answer = d->answer };

		err = atl_notice_add_in(conn, &notice, info);
	}
	if (!err)
		err = audit(conn, d, "report.appeal.decide", d->outcome, info);
	return err ? err : atl_report_get_in(conn, d->arena, d->id, &d->report, info);
}

enum atl_err atl_report_appeal_decide(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				      const char *id, const char *outcome, const char *answer, struct atl_report *ret,
				      struct atl_errinfo *info)
{
	struct decide d = { .who = who, .arena = arena, .id = id, .outcome = outcome, .answer = answer ? answer : "",
			    .now_ms = atl_now_ms() };
	struct atl_errinfo failed = { 0 };
	enum atl_err err = atl_db_tx(app->db, appeal_decide_fn, &d, info);

	if (err)
		return err;
	/* a person who was suspended for it comes back; where somebody lifted that already, there is nothing to do */
	if (atl_str_eq(outcome, "overturned") && atl_str_eq(d.report.decision, "suspend") && d.report.owner_id) {
		err = atl_user_admin_resume(app, who, d.report.owner_id, &failed);
		if (err && err != ATL_ERR_CONFLICT)
			return atl_fail(info, err, "The appeal is decided, but the account stays suspended: %s", failed.detail);
	}
	atl_report_tell(app, &d.report);
	return atl_report_get(app, who, arena, id, ret, info);
}
