/* picture_engine.c - see picture_engine.h. */
#include "core/pictures/picture_engine.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "os/child.h"
#include "os/file.h"
#include "provider/image_local.h"

#define SOCKET_PATH_MAX 107 /* sockaddr_un */
#define START_WAIT_S 30
#define FAILURES_MAX 3 /* starts in a row that fail before waiting makes no sense */
#define ENV_SIZE 1024

#define OFF(member) offsetof(struct atl_picture_engine_status, member)
static const char *const STATES[] = { "not_installed", "stopped", "starting", "healthy", "backoff", "stopping", NULL };
static const struct atl_json_field FIELDS[] = {
	{ "state", ATL_JT_ENUM, OFF(state), ATL_JF_REQUIRED, .values = STATES },
	{ "why", ATL_JT_STR, OFF(why), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "the last failure, or what is missing" },
	{ "model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "what is loaded" },
	{ "version", ATL_JT_STR, OFF(version), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "backend", ATL_JT_STR, OFF(backend), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "what computes: CPU, CUDA, Vulkan" },
	{ "memory_bytes", ATL_JT_INT, OFF(memory_bytes), ATL_JF_REQUIRED },
	{ "restarts", ATL_JT_INT, OFF(restarts), ATL_JF_REQUIRED, .doc = "ends nobody asked for since the server started" },
	{ "threads", ATL_JT_INT, OFF(threads), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_picture_engine_status_desc = { "PictureEngine", "The local picture engine.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_picture_engine_status), ATL_JSON_NO_PRESENT, false };

#define NOT_INSTALLED "The local picture engine is not installed. Run script/setup."

struct atl_picture_engine {
	/* set at create */
	struct atl_app *app;
	struct atl_super *super;
	char socket_path[SOCKET_PATH_MAX + 1];
	char threads[16], idle_s[24];
	const char *argv[5];
	char env_text[8][ENV_SIZE];
	const char *env[9];
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum atl_super_state state;
	unsigned failures; /* in a row */
	unsigned restarts; /* the supervisor's, as of that state */
	char why[ATL_ERRINFO_DETAIL_MAX];
};

/* ---- the supervisor's callbacks, on the loop ---- */

static enum atl_err prepare(void *arg, struct atl_child_spec *spec, struct atl_errinfo *info)
{
	struct atl_picture_engine *self = arg;

	*spec = (struct atl_child_spec){ .path = self->app->picture_program, .argv = self->argv, .env = self->env, .pass_fd = -1 };
	return ATL_OK;
}

static void probe(void *arg, struct atl_super *super)
{
	struct atl_picture_engine *self = arg;

	atl_super_report(super, atl_image_local_answers(self->socket_path));
}

static void on_state(void *arg, enum atl_super_state state, const char *why)
{
	struct atl_picture_engine *self = arg;

	pthread_mutex_lock(&self->lock);
	self->state = state;
	self->restarts = atl_super_restarts(self->super);
	if (state == ATL_SUPER_HEALTHY)
		self->failures = 0;
	if (state == ATL_SUPER_BACKOFF)
		self->failures++;
	if (state != ATL_SUPER_STARTING)
		atl_str_copy(self->why, sizeof(self->why), why ? why : "");
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
}

/* ---- life cycle ---- */

static int cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

static void fill_env(struct atl_picture_engine *self)
{
	static const char *const PASSED[] = { "PATH", "LANG", "HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
		"HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES" };
	size_t count = 0;

	for (size_t i = 0; i < ATL_COUNT(PASSED); i++) {
		const char *value = getenv(PASSED[i]);

		if (value && snprintf(self->env_text[count], ENV_SIZE, "%s=%s", PASSED[i], value) < ENV_SIZE) {
			self->env[count] = self->env_text[count];
			count++;
		}
	}
}

static enum atl_err place(struct atl_picture_engine *self, struct atl_errinfo *info)
{
	struct atl_app *app = self->app;
	int threads = app->picture_threads > 0 ? app->picture_threads : cores() > 1 ? cores() - 1 : 1;
	char dir[SOCKET_PATH_MAX + 1];

	if (snprintf(dir, sizeof(dir), "%s/run", app->data_dir) >= (int)sizeof(dir) ||
	    snprintf(self->socket_path, sizeof(self->socket_path), "%s/picture.sock", dir) >= (int)sizeof(self->socket_path))
		return atl_fail(info, ATL_ERR_CONFIG, "The data folder's path is too long for a socket in it: at most %d bytes.",
				SOCKET_PATH_MAX - (int)strlen("/run/picture.sock"));
	snprintf(self->threads, sizeof(self->threads), "%d", threads);
	snprintf(self->idle_s, sizeof(self->idle_s), "%lld", (long long)app->picture_idle_s);
	self->argv[0] = app->picture_program;
	self->argv[1] = self->socket_path;
	self->argv[2] = self->threads;
	self->argv[3] = self->idle_s;
	fill_env(self);
	return atl_dir_make(dir, 0700, info);
}

enum atl_err atl_picture_engine_create(struct atl_app *app, struct atl_picture_engine **ret, struct atl_errinfo *info)
{
	static const struct atl_super_ops OPS = { .prepare = prepare, .probe = probe, .on_state = on_state };
	static const struct atl_super_options OPTIONS = { .name = "atelier-image", .start_timeout_ms = 30000,
		.health_interval_ms = 50, .watch_interval_ms = 10000, .stop_grace_ms = 2000 };
	struct atl_picture_engine *self = calloc(1, sizeof(*self));
	enum atl_err err;

	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "create picture engine");
	self->app = app;
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->changed, NULL);
	err = place(self, info);
	if (!err)
		err = atl_super_create(app->loops[0], &OPTIONS, &OPS, self, &self->super);
	if (err) {
		atl_picture_engine_destroy(self);
		return err;
	}
	*ret = self;
	return ATL_OK;
}

void atl_picture_engine_destroy(struct atl_picture_engine *engine)
{
	if (!engine)
		return;
	if (engine->super) {
		atl_super_destroy(engine->super);
		unlink(engine->socket_path);
	}
	pthread_cond_destroy(&engine->changed);
	pthread_mutex_destroy(&engine->lock);
	free(engine);
}

void atl_picture_engine_stop(struct atl_picture_engine *engine)
{
	if (engine)
		atl_super_stop(engine->super);
}

/* ---- what others see ---- */

static enum atl_err wait_healthy(struct atl_picture_engine *self, struct atl_errinfo *info)
{
	struct timespec until;
	int rc = 0;
	enum atl_err err = ATL_OK;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += START_WAIT_S;
	pthread_mutex_lock(&self->lock);
	if (self->state == ATL_SUPER_STOPPED)
		self->failures = 0;
	while (self->state != ATL_SUPER_HEALTHY && self->failures < FAILURES_MAX && rc == 0)
		rc = pthread_cond_timedwait(&self->changed, &self->lock, &until);
	if (self->state != ATL_SUPER_HEALTHY)
		err = atl_fail(info, ATL_ERR_UNAVAILABLE, "The picture engine does not start%s%s", self->why[0] ? ": " : ".",
			       self->why);
	pthread_mutex_unlock(&self->lock);
	return err;
}

enum atl_err atl_picture_engine_endpoint(struct atl_picture_engine *engine, struct atl_arena *arena,
					 struct atl_image_endpoint *ret, struct atl_errinfo *info)
{
	enum atl_err err;

	if (!engine)
		return atl_fail(info, ATL_ERR_NO_MODEL, NOT_INSTALLED);
	atl_super_start(engine->super); /* does nothing when it runs */
	err = wait_healthy(engine, info);
	if (!err)
		*ret = (struct atl_image_endpoint){ .kind = "local", .name = "This machine", .base_url = "",
			.unix_path = engine->socket_path };
	return err;
}

enum atl_err atl_picture_engine_status(struct atl_picture_engine *engine, struct atl_arena *arena,
				       struct atl_picture_engine_status *ret, struct atl_errinfo *info)
{
	struct atl_picture_engine_status status = { .state = "not_installed", .why = NOT_INSTALLED };
	struct atl_image_local_state hello;
	enum atl_super_state state;

	if (!engine) {
		*ret = status;
		return ATL_OK;
	}
	pthread_mutex_lock(&engine->lock);
	state = engine->state;
	status.restarts = engine->restarts;
	status.why = engine->why[0] ? atl_arena_strdup(arena, engine->why) : NULL;
	pthread_mutex_unlock(&engine->lock);
	status.state = atl_super_state_name(state);
	if (state == ATL_SUPER_HEALTHY && atl_image_local_state(engine->socket_path, arena, &hello, NULL) == ATL_OK) {
		status.model = hello.model;
		status.version = hello.version;
		status.backend = hello.backend;
		status.memory_bytes = hello.memory_bytes;
		status.threads = hello.threads;
	}
	*ret = status;
	return ATL_OK;
}

enum atl_err atl_picture_engine_log(struct atl_picture_engine *engine, struct atl_arena *arena, struct atl_strs *ret,
				    struct atl_errinfo *info)
{
	struct atl_buf text;
	char why[ATL_ERRINFO_DETAIL_MAX];
	const char **lines = ATL_ARENA_ARRAY(arena, const char *, ATL_CHILD_LOG_LINES + 1);
	size_t count = 0;
	char *copy, *rest = NULL;

	*ret = (struct atl_strs){ 0 };
	if (!engine)
		return ATL_OK;
	atl_buf_init(&text, (size_t)ATL_CHILD_LOG_LINES * (ATL_CHILD_LOG_LINE_MAX + 2));
	atl_super_log(engine->super, &text, why, sizeof(why));
	copy = text.length ? atl_arena_strndup(arena, text.data, text.length) : NULL;
	atl_buf_finish(&text);
	if (!lines)
		return atl_fail(info, ATL_ERR_NOMEM, "log");
	for (char *line = copy ? strtok_r(copy, "\n", &rest) : NULL; line && count < ATL_CHILD_LOG_LINES;
	     line = strtok_r(NULL, "\n", &rest))
		lines[count++] = line;
	*ret = (struct atl_strs){ lines, count };
	return ATL_OK;
}
