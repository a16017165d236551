/* audit_list.h - reading the audit log: filtered pages, and the whole of it as a file.
 *
 * Life cycle: plain calls; an export is a file that the caller opened and that has no name any more.
 * Threads:    pool threads. Limits: ATL_AUDIT_PAGE_MAX rows a page. Adding a filter: struct atl_audit_filter and WHERE.
 */
#ifndef ATL_CORE_AUDIT_LIST_H
#define ATL_CORE_AUDIT_LIST_H

#include "base/json.h"
#include "core/people/audit.h"

#define ATL_AUDIT_PAGE_MAX 500

struct atl_audit_filter { /* NULL and 0: all */
	const char *who;    /* a user's id, or the account's name, in any case */
	const char *action; /* how the action begins: "provider." */
	const char *target; /* id */
	int64_t from, to;   /* milliseconds; `to` is not in it */
	int64_t before;	    /* rows older than this number */
};

/* Newest first, `limit` at most; texts are never NULL. */
enum atl_err atl_audit_list(struct atl_app *app, const struct atl_audit_filter *filter, int64_t limit, struct atl_arena *arena,
			    struct atl_audit_row **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;

enum atl_audit_form { ATL_AUDIT_CSV, ATL_AUDIT_JSONL };
/* Every row that the filter lets through, newest first, written to `fd` piece by piece. */
enum atl_err atl_audit_export(struct atl_app *app, const struct atl_audit_filter *filter, enum atl_audit_form form, int fd,
			      uint64_t *ret_bytes, struct atl_errinfo *info) ATL_MUST_USE;
/* A row as JSON object into w. */
void atl_audit_row_json(struct atl_jw *w, const struct atl_audit_row *row);

#endif
