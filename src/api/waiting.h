/* waiting.h - answers that wait for a job without holding a thread of the pool.
 *
 *     static void handle(struct atl_req *req)       // in the pool
 *     {
 *             ... submit ...
 *             atl_api_wait_job(req, job.id, 180000, answer, NULL);
 *     }
 *     static void answer(struct atl_req *req)       // in the pool again, with the job as it is then
 *     {
 *             const struct atl_api_waited *waited = req->state;
 *
 * A client that hangs up frees its place within a second; its job goes on. A server that stops answers at once with the
 * job as it is.
 *
 * Threads:    the room's own threads wait (ATL_API_WAITERS_MAX). More requests wait for a place; when too many do, the
 *             answer is the job as it is. Without a room (handler tests) the handler's thread waits.
 */
#ifndef ATL_API_WAITING_H
#define ATL_API_WAITING_H

#include <stdatomic.h>

#include "api/api.h"
#include "core/jobs/job.h"

#define ATL_API_WAITERS_MAX 64

struct atl_api_waited {
	enum atl_err err; /* of looking at the job; the job's own end is in job.state */
	struct atl_errinfo info;
	struct atl_job job;
	void *arg; /* the handler's own */
	/* internal */
	struct atl_req *req;
	const char *id, *user_id;
	uint64_t until_ms;
	atl_handler done, answer;
	atomic_bool gone; /* the client has hung up */
};
/* The last call of a POOL handler. `arg` is found in struct atl_api_waited. */
void atl_api_wait_job(struct atl_req *req, const char *job_id, unsigned timeout_ms, atl_handler done, void *arg);

/* A picture in a request, base64 or a data: URL, kept as an input: its id, in the arena. INVALID names `field`. `text` is
 * of a body that was taken (atl_req_tree_take): it is decoded where it lies. */
enum atl_err atl_api_take_picture(struct atl_req *req, const char *field, const char *text, const char **ret_id,
				  struct atl_errinfo *info) ATL_MUST_USE;
/* The same for bytes. */
enum atl_err atl_api_take_bytes(struct atl_req *req, const char *field, const void *data, size_t length,
				const char **ret_id, struct atl_errinfo *info) ATL_MUST_USE;
/* Append a result's file to `out` as base64. */
enum atl_err atl_api_put_file(struct atl_app *app, const struct atl_asset *asset, struct atl_buf *out,
			      struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_api_put_base64(struct atl_req *req, const struct atl_asset *asset, struct atl_buf *out,
				struct atl_errinfo *info) ATL_MUST_USE;
/* A client knows its own field names: `names` are pairs of ours and its, NULL-terminated. */
void atl_api_name_field(struct atl_errinfo *info, const char *const *names);
/* The sentence of a job that did not succeed, as an error. */
enum atl_err atl_api_job_error(const struct atl_job *job, struct atl_errinfo *info);

#endif
