/* job_in.h - the request for pictures as the API takes it: the body of a job, and of each cell of a grid.
 *
 * Threads: the thread that has the request.
 */
#ifndef ATL_API_JOB_IN_H
#define ATL_API_JOB_IN_H

#include "api/api.h"
#include "core/pictures/picture.h"

struct atl_job_in {
	uint64_t present;
	struct atl_picture_ask ask;
};
extern const struct atl_json_desc atl_job_in_desc;

/* After decoding: what was left out is the model's default, not zero. */
void atl_job_in_settle(struct atl_job_in *in);
/* The request's body, settled. */
enum atl_err atl_job_in_read(struct atl_req *req, struct atl_job_in *in, struct atl_errinfo *info) ATL_MUST_USE;
const char *atl_job_in_origin(const struct atl_req *req); /* "web" with the page's cookie, else "api" */

#endif
