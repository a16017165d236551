/* picture_stream.h - a job told as server-sent events while it runs, as OpenAI tells pictures: PREFIX.partial_image with
 * the job's previews, then PREFIX.completed for each picture, or an error.
 *
 *     atl_api_stream_job(req, job.id, &(struct atl_api_stream){ .prefix = "image_edit", .partials = 2 }, 600000);
 *
 * A partial picture is a preview at about the right time: of N the k-th once k/(N+1) of the steps are done, or, where steps
 * are not told, the next one that comes. There may be fewer. A client that hangs up ends only the stream.
 *
 * Threads:    the last call of a POOL handler; a thread of the waiting room (waiting.h) follows the job, the loop sends.
 * Limits:     ATL_API_PARTIALS_MAX a picture; a quiet stream sends a comment each ATL_API_STREAM_QUIET_MS.
 */
#ifndef ATL_API_PICTURE_STREAM_H
#define ATL_API_PICTURE_STREAM_H

#include "api/waiting.h"

#define ATL_API_PARTIALS_MAX 3
#define ATL_API_STREAM_QUIET_MS 15000

struct atl_api_stream {
	const char *prefix; /* of the events, a literal */
	const char *quality, *background, *output_format; /* told again in each event; NULL: "auto", "auto", "png" */
	int64_t partials;   /* 0: none */
};
void atl_api_stream_job(struct atl_req *req, const char *job_id, const struct atl_api_stream *how, unsigned timeout_ms);

#endif
