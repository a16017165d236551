/* picture_engine.h - the local picture engine: atelier-image as a supervised child on a unix socket.
 *
 * It is started when it is first needed, and gives its model's memory back after app->picture_idle_s without work. A
 * crash ends the run that was going on with a sentence; the supervisor starts it again.
 *
 * Life cycle: atl_picture_engine_create() .. atl_picture_engine_destroy() (ends the child and waits).
 * Threads:    pool threads and runners; not on a loop.
 */
#ifndef ATL_CORE_PICTURE_ENGINE_H
#define ATL_CORE_PICTURE_ENGINE_H

#include "base/json.h"
#include "core/app.h"
#include "provider/image.h"

struct atl_picture_engine_status { /* the API's PictureEngine */
	const char *state;  /* "not_installed" | "stopped" | "starting" | "healthy" | "backoff" | "stopping" */
	const char *why;    /* NULL */
	const char *model;  /* what is loaded, NULL */
	const char *version, *backend; /* NULL until it has said hello */
	int64_t memory_bytes, restarts, threads;
};
extern const struct atl_json_desc atl_picture_engine_status_desc;

struct atl_picture_engine;
enum atl_err atl_picture_engine_create(struct atl_app *app, struct atl_picture_engine **ret,
				       struct atl_errinfo *info) ATL_MUST_USE;
void atl_picture_engine_destroy(struct atl_picture_engine *engine); /* NULL is allowed */
/* Starts it when needed and waits until it answers. UNAVAILABLE with the last failure in words. Strings in the arena.
 * `engine` NULL: not installed. */
enum atl_err atl_picture_engine_endpoint(struct atl_picture_engine *engine, struct atl_arena *arena,
					 struct atl_image_endpoint *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_picture_engine_status(struct atl_picture_engine *engine, struct atl_arena *arena,
				       struct atl_picture_engine_status *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_picture_engine_log(struct atl_picture_engine *engine, struct atl_arena *arena, struct atl_strs *ret,
				    struct atl_errinfo *info) ATL_MUST_USE;
/* End the child; it starts again when it is needed. */
void atl_picture_engine_stop(struct atl_picture_engine *engine);

#endif
