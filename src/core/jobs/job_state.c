/* job_state.c - which event leads a job from which state to which; nothing else decides it. */
#include "core/jobs/job.h"

static const char *const NAMES[] = {
#define ATL_JOB_STATE_X(name, text) [ATL_JOB_##name] = (text),
	ATL_JOB_STATE_LIST(ATL_JOB_STATE_X)
#undef ATL_JOB_STATE_X
};

const char *atl_job_state_name(enum atl_job_state state)
{
	return (unsigned)state < ATL_JOB_STATE_COUNT ? NAMES[state] : "";
}

static bool ended(enum atl_job_state state)
{
	return state == ATL_JOB_DONE || state == ATL_JOB_FAILED || state == ATL_JOB_CANCELLED;
}

enum atl_err atl_job_next_state(enum atl_job_state from, enum atl_job_event event, enum atl_job_state *ret)
{
	bool held = from == ATL_JOB_LEASED || from == ATL_JOB_RUNNING;

	switch (event) {
	case ATL_JOB_LEASE:
		if (from != ATL_JOB_QUEUED)
			return ATL_ERR_CONFLICT;
		*ret = ATL_JOB_LEASED;
		return ATL_OK;
	case ATL_JOB_START:
		if (from != ATL_JOB_LEASED)
			return ATL_ERR_CONFLICT;
		*ret = ATL_JOB_RUNNING;
		return ATL_OK;
	case ATL_JOB_FINISH: /* what needed no time may end before its start was written */
		if (!held)
			return ATL_ERR_CONFLICT;
		*ret = ATL_JOB_DONE;
		return ATL_OK;
	case ATL_JOB_FAIL: /* a queued one fails with what it waits for */
		if (ended(from) || (unsigned)from >= ATL_JOB_STATE_COUNT)
			return ATL_ERR_CONFLICT;
		*ret = ATL_JOB_FAILED;
		return ATL_OK;
	case ATL_JOB_CANCEL:
		if (ended(from) || (unsigned)from >= ATL_JOB_STATE_COUNT)
			return ATL_ERR_CONFLICT;
		*ret = ATL_JOB_CANCELLED;
		return ATL_OK;
	case ATL_JOB_EXPIRE:
		if (!held)
			return ATL_ERR_CONFLICT;
		*ret = ATL_JOB_QUEUED;
		return ATL_OK;
	case ATL_JOB_RETRY: /* the ended job stays; its copy begins here */
		if (!ended(from))
			return ATL_ERR_CONFLICT;
		*ret = ATL_JOB_QUEUED;
		return ATL_OK;
	}
	return ATL_ERR_CONFLICT;
}
