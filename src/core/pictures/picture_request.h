/* picture_request.h - a job's request as stored: every value that will be used, as JSON. Only src/core.
 *
 * Written by atl_picture_prepare(), read by the runner, kept as the params of the assets it makes, so that the same
 * picture can be made again.
 *
 * Threads: pure functions. Ownership: the arena.
 */
#ifndef ATL_CORE_PICTURE_REQUEST_H
#define ATL_CORE_PICTURE_REQUEST_H

#include "core/pictures/picture.h"

struct atl_picture_request {
	struct atl_picture_ask ask; /* resolved: prompts expanded, seed chosen, numbers as sent */
	const char *original_prompt, *original_negative_prompt; /* as typed */
	struct atl_strs notes;
	bool safe_mode;
	const char *model_name; /* for the A1111 text */
};
enum atl_err atl_picture_request_write(struct atl_arena *arena, const struct atl_picture_request *request,
				       const char **ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_picture_request_read(struct atl_arena *arena, const struct atl_json *json,
				      struct atl_picture_request *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* The service is there, and has what the request needs: ComfyUI's nodes and files. (picture_run.c) */
enum atl_err atl_picture_check_service(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				       const struct atl_job_new *job, struct atl_errinfo *info) ATL_MUST_USE;

#endif
