/* usage_int.h - days and CSV of reports: between usage.c, which holds them, and dashboard.c only. Pool threads. */
#ifndef ATL_API_USAGE_INT_H
#define ATL_API_USAGE_INT_H

#include "base/buf.h"
#include "net/http.h"

#define ATL_USAGE_DAYS_MAX 400
#define ATL_USAGE_CSV_MAX ((size_t)4 << 20)

/* A day of the query string ("2026-11-21", UTC) as its first moment; not there: `otherwise`. INVALID names it. */
enum atl_err atl_usage_read_day(struct atl_req *req, const char *name, int64_t otherwise, int64_t *ret,
				struct atl_errinfo *info) ATL_MUST_USE;
/* Quoted always; what a spreadsheet would take for a formula begins with a quote mark. */
void atl_usage_csv_text(struct atl_buf *out, const char *text);
bool atl_usage_wants_csv(struct atl_req *req);

#endif
