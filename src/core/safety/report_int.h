/* report_int.h - what the files of core/safety/report share. Only src/core/safety/report*.c include it.
 *
 * Threads: inside a transaction or a read.
 */
#ifndef ATL_CORE_REPORT_INT_H
#define ATL_CORE_REPORT_INT_H

#include "core/safety/hold.h"
#include "core/safety/report.h"
#include "db/db.h"

/* In hours; 0: no such kind. */
int64_t atl_report_clock(const char *kind);
bool atl_report_grave(const char *kind); /* quarantined at once */
/* The report with owner's and moderators' names and what holds its thing; no voices, no copies, no may_decide. */
enum atl_err atl_report_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *id, struct atl_report *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* May `who` decide about it (or about its appeal)? *ret_alone: only because nobody else moderates. */
enum atl_err atl_report_may_decide(struct atl_conn *conn, const struct atl_identity *who, const struct atl_report *report,
				   bool *ret_may, bool *ret_alone, struct atl_errinfo *info) ATL_MUST_USE;
/* After the commit: the owners' pages take what changed, replies in a held conversation stop. */
void atl_report_tell(struct atl_app *app, const struct atl_report *report);

#endif
