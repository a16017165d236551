/* engine.h - the managed chat engine: llama-server as a supervised child on a unix socket with a random key.
 *
 * What to start is decided in a pool thread (the model file, its context, the arguments); the supervisor's loop only
 * starts and watches. The key is made at create and lives in a file only the server's user can read.
 *
 * Life cycle: atl_engine_create() .. atl_engine_start() .. atl_engine_destroy() (ends the child and waits).
 * Threads:    start, restart, change, models_changed: pool threads and start-up (they read files and settings); stop,
 *             status, log, endpoint, wait: any but a loop's for wait. on the loop: nothing here is called.
 * Limits:     the ATL_ENGINE_* constants.
 */
#ifndef ATL_CORE_ENGINE_H
#define ATL_CORE_ENGINE_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "provider/chat.h"

#define ATL_ENGINE_CONTEXT_DEFAULT 8192 /* of one conversation, or what the model was trained for if that is less */
#define ATL_ENGINE_CONTEXT_MIN 512
#define ATL_ENGINE_CONTEXT_MAX 1048576
#define ATL_ENGINE_SLOTS_DEFAULT 2
#define ATL_ENGINE_SLOTS_MAX 32
#define ATL_ENGINE_THREADS_MAX 256
#define ATL_ENGINE_GPU_LAYERS_MAX 999
#define ATL_ENGINE_AUTO_LAYERS (-1)
#define ATL_ENGINE_NAME "This computer" /* the local provider's name for people */

/* What is configured. 0 and -1 (gpu_layers): automatic. */
struct atl_engine_settings {
	const char *model; /* file in the models folder; NULL: the first that works */
	int64_t context_size, slots, threads, gpu_layers;
};

struct atl_engine_status { /* the API's Engine; numbers are those in effect */
	const char *state; /* not_installed | no_model | stopped | starting | healthy | backoff | stopping */
	const char *why;   /* NULL */
	const char *program, *model;
	int64_t context_size, slots, threads, gpu_layers, restarts;
	const char *models_dir;
};
extern const struct atl_json_desc atl_engine_status_desc;

struct atl_engine;
/* Reads the settings and prepares the run folder; starts nothing. Without a program the engine exists in the state
 * not_installed. */
enum atl_err atl_engine_create(struct atl_app *app, struct atl_engine **ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Choose the model and start. That nothing could be started is a state, not an error. */
void atl_engine_start(struct atl_engine *engine);
void atl_engine_stop(struct atl_engine *engine);
void atl_engine_restart(struct atl_engine *engine);
/* A model file came or went: starts the engine when it was waiting for one. NULL is allowed. */
void atl_engine_models_changed(struct atl_engine *engine);
void atl_engine_destroy(struct atl_engine *engine); /* NULL is allowed */

/* The configured values, strings in the arena. */
enum atl_err atl_engine_settings_get(struct atl_engine *engine, struct atl_arena *arena,
				     struct atl_engine_settings *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Check, store, restart. INVALID names the field; NOT_FOUND and UNPROCESSABLE speak of the model. */
enum atl_err atl_engine_settings_set(struct atl_engine *engine, const struct atl_identity *who,
				     const struct atl_engine_settings *settings,
				     struct atl_errinfo *info) ATL_MUST_USE;

/* NULL engine: not_installed. */
enum atl_err atl_engine_status(struct atl_engine *engine, struct atl_arena *arena, struct atl_engine_status *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_engine_log(struct atl_engine *engine, struct atl_arena *arena, struct atl_strs *ret,
			    struct atl_errinfo *info) ATL_MUST_USE;
bool atl_engine_is_active(struct atl_engine *engine, const char *file); /* is this file loaded, or about to be? */

/* How to talk to what is running or starting; NO_MODEL with a sentence when nothing is. Strings in the arena. */
struct atl_engine_target {
	const char *file;
	int64_t context_size;
	bool healthy;
	struct atl_chat_endpoint endpoint;
};
enum atl_err atl_engine_target(struct atl_engine *engine, struct atl_arena *arena, struct atl_engine_target *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* Wait until it is healthy (true), or cannot become so or the time is over (false). */
bool atl_engine_wait(struct atl_engine *engine, unsigned timeout_ms);

#endif
