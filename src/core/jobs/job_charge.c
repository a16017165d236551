/* job_charge.c - what a job takes from the ledger: reserved when it is submitted, settled or given back when it ends. */
#include <string.h>

#include "base/clock.h"
#include "core/jobs/job_int.h"

void atl_job_expect(struct atl_app *app, const struct atl_job *job, int64_t amounts[ATL_LEDGER_KIND_COUNT])
{
	const struct atl_job_kind *kind = atl_jobs_kind(app->jobs, job->kind);

	for (int i = 0; i < ATL_LEDGER_KIND_COUNT; i++)
		amounts[i] = ATL_LEDGER_NONE;
	if (kind && kind->expect)
		kind->expect(app, job, amounts);
	else
		amounts[ATL_LEDGER_PICTURES] = job->count;
}

enum atl_err atl_job_reserve_in(struct atl_conn *conn, const struct atl_identity *who, const struct atl_job *job,
				const int64_t amounts[ATL_LEDGER_KIND_COUNT], struct atl_quota_notices *notices,
				struct atl_errinfo *info)
{
	struct atl_charge charge;

	atl_charge_init(&charge, job->id, job->user_id, who->key_id, job->model);
	memcpy(charge.amounts, amounts, sizeof(charge.amounts));
	return atl_ledger_reserve(conn, &charge, notices, info);
}

static int64_t share(int64_t whole, int64_t part, int64_t of)
{
	return of > 0 && part < of ? (int64_t)((double)whole * (double)part / (double)of) : whole;
}

/* What was delivered is settled, also of a job that was stopped on the way; what delivered nothing is given back. */
enum atl_err atl_job_settle_in(struct atl_conn *conn, const struct atl_job *job, struct atl_errinfo *info)
{
	int64_t amounts[ATL_LEDGER_KIND_COUNT];
	enum atl_err err;

	if (strcmp(job->state, "done") != 0 && job->done_count == 0)
		return atl_ledger_refund(conn, job->id, info);
	err = atl_ledger_reserved(conn, job->id, amounts, info);
	if (err)
		return err;
	if (amounts[ATL_LEDGER_PICTURES] != ATL_LEDGER_NONE)
		amounts[ATL_LEDGER_PICTURES] = job->done_count;
	if (amounts[ATL_LEDGER_VIDEO_MS] != ATL_LEDGER_NONE)
		amounts[ATL_LEDGER_VIDEO_MS] = share(amounts[ATL_LEDGER_VIDEO_MS], job->done_count, job->count);
	if (amounts[ATL_LEDGER_GPU_MS] != ATL_LEDGER_NONE)
		amounts[ATL_LEDGER_GPU_MS] = job->started_at && job->finished_at > job->started_at ?
						     job->finished_at - job->started_at :
						     0;
	if (amounts[ATL_LEDGER_MONEY] != ATL_LEDGER_NONE || job->cost_micro_usd > 0)
		amounts[ATL_LEDGER_MONEY] = job->cost_micro_usd;
	return atl_ledger_settle(conn, job->id, NULL, amounts, info);
}
