/* engine.c - see engine.h.
 *
 * `plan` is what the next start uses: made in pool threads, read by prepare() on the loop. Everything shared is guarded
 * by `lock`; the supervisor's callbacks take it only for moments.
 */
#include "core/models/engine.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/models/local_model.h"
#include "core/models/model_route.h"
#include "core/server/events.h"
#include "core/server/setting.h"
#include "os/child.h"
#include "os/file.h"
#include "provider/llama.h"

#define MODULE "engine"
#define PATH_SIZE 1024
#define SOCKET_PATH_MAX 107 /* sockaddr_un */
#define ARGS_MAX 40
#define ENV_MAX 12
#define FAILURES_MAX 3 /* starts in a row that fail before waiting for it makes no sense */

enum availability { READY_TO_START, NOT_INSTALLED, NO_MODEL };

struct plan {
	char file[ATL_LOCAL_MODEL_FILE_MAX + 1];
	char path[PATH_SIZE];
	int64_t context_size, slots, threads, gpu_layers;
};

struct atl_engine {
	/* set at create */
	struct atl_app *app;
	struct atl_loop *loop;
	struct atl_super *super;
	char socket_path[SOCKET_PATH_MAX + 1];
	char key_path[PATH_SIZE];
	char key[ATL_TOKEN_SIZE];
	char *env[ENV_MAX + 1];
	/* loop thread only */
	struct plan running; /* argv points into it */
	char numbers[6][24];
	const char *argv[ARGS_MAX];
	struct atl_llama_probe *probe;
	bool closing;
	/* one change of plan at a time: held by pool threads across file reading */
	pthread_mutex_t planning;
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct plan plan;
	enum availability availability;
	enum atl_super_state state;
	unsigned failures;
	unsigned restarts; /* the supervisor's, as of that state */
	bool wanted, closed_on_loop;
	char why[ATL_ERRINFO_DETAIL_MAX];
};

#define OFF(member) offsetof(struct atl_engine_status, member)
static const char *const STATES[] = {"not_installed", "no_model", "stopped", "starting",
				     "healthy",	      "backoff",  "stopping", NULL};
static const struct atl_json_field FIELDS[] = {
	{"state", ATL_JT_ENUM, OFF(state), ATL_JF_REQUIRED, .values = STATES},
	{"why", ATL_JT_STR, OFF(why), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "the last failure, or what is missing"},
	{"program", ATL_JT_STR, OFF(program), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "file in models_dir"},
	{"context_size", ATL_JT_INT, OFF(context_size), ATL_JF_REQUIRED, .doc = "tokens of one conversation"},
	{"slots", ATL_JT_INT, OFF(slots), ATL_JF_REQUIRED, .doc = "replies at the same time"},
	{"threads", ATL_JT_INT, OFF(threads), ATL_JF_REQUIRED},
	{"gpu_layers", ATL_JT_INT, OFF(gpu_layers), ATL_JF_REQUIRED, .doc = "-1: as many as fit"},
	{"restarts", ATL_JT_INT, OFF(restarts), ATL_JF_REQUIRED, .doc = "ends nobody asked for since the server started"},
	{"models_dir", ATL_JT_STR, OFF(models_dir), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_engine_status_desc = {
	"Engine", "The local language model's program.", FIELDS, ATL_COUNT(FIELDS), sizeof(struct atl_engine_status),
	ATL_JSON_NO_PRESENT, false};

static void publish(struct atl_engine *self)
{
	struct atl_engine_status status;
	struct atl_arena arena;
	struct atl_buf buf;
	struct atl_jw w;
	atl_model_routes_forget(self->app->routes);
	if (!self->app->events)
		return;
	atl_arena_init(&arena, 0);
	atl_buf_init(&buf, 65536);
	atl_jw_init(&w, &buf);
	if (atl_engine_status(self, &arena, &status, NULL) == ATL_OK) {
		atl_jw_object(&w, NULL);
		atl_json_encode(&w, "engine", &atl_engine_status_desc, &status);
		atl_jw_end_object(&w);
		if (atl_buf_err(&buf, NULL) == ATL_OK)
			atl_events_publish_all(self->app->events, "engine.state", buf.data, buf.length);
	}
	atl_buf_finish(&buf);
	atl_arena_finish(&arena);
}

/* ---- the supervisor's callbacks, on the loop ---- */

static const char *number(struct atl_engine *self, size_t slot, int64_t value)
{
	snprintf(self->numbers[slot], sizeof self->numbers[slot], "%lld", (long long)value);
	return self->numbers[slot];
}

static enum atl_err prepare(void *arg, struct atl_child_spec *spec, struct atl_errinfo *info)
{
	struct atl_engine *self = arg;
	pthread_mutex_lock(&self->lock);
	self->running = self->plan;
	pthread_mutex_unlock(&self->lock);
	const struct plan *plan = &self->running;
	const char *const common[] = {
		self->app->engine_program, "-m", plan->path, "--alias", plan->file, "--host", self->socket_path,
		"--api-key-file", self->key_path, "--jinja", "--no-ui", "--metrics", "-b", "256", "-ub", "256",
		"--sse-ping-interval", "2", "--cache-ram", "256",
		"-t", number(self, 0, plan->threads),
		"-np", number(self, 1, plan->slots),
		"-c", number(self, 2, plan->context_size * plan->slots), /* shared by the slots */
	};
	size_t count = ATL_COUNT(common);
	memcpy(self->argv, common, sizeof common);
	if (plan->gpu_layers >= 0) {
		self->argv[count++] = "-ngl";
		self->argv[count++] = number(self, 3, plan->gpu_layers);
	}
	self->argv[count] = NULL;
	unlink(self->socket_path); /* it stays behind when the engine is killed, and then cannot be bound */
	*spec = (struct atl_child_spec){.path = self->app->engine_program, .argv = self->argv,
					.env = (const char *const *)self->env, .pass_fd = -1};
	return ATL_OK;
}

static void probe_done(void *arg, bool healthy)
{
	struct atl_engine *self = arg;
	self->probe = NULL;
	atl_super_report(self->super, healthy);
}

static void probe(void *arg, struct atl_super *super)
{
	struct atl_engine *self = arg;
	enum atl_super_state state = atl_super_get_state(super);
	if (self->closing || self->probe || (state != ATL_SUPER_STARTING && state != ATL_SUPER_HEALTHY))
		return;
	if (atl_llama_health(self->loop, self->socket_path, probe_done, self, &self->probe) != ATL_OK)
		self->probe = NULL; /* asked again at the next interval */
}

static void on_state(void *arg, enum atl_super_state state, const char *why)
{
	struct atl_engine *self = arg;
	pthread_mutex_lock(&self->lock);
	self->state = state;
	self->restarts = atl_super_restarts(self->super);
	if (state == ATL_SUPER_HEALTHY)
		self->failures = 0;
	if (state == ATL_SUPER_BACKOFF)
		self->failures++;
	if (self->availability == READY_TO_START && state != ATL_SUPER_STARTING)
		atl_str_copy(self->why, sizeof self->why, why);
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
	publish(self);
}

/* ---- settings ---- */

static enum atl_err read_settings(struct atl_engine *self, struct atl_arena *arena, struct atl_engine_settings *ret,
				  struct atl_errinfo *info)
{
	struct atl_engine_settings s = {.gpu_layers = ATL_ENGINE_AUTO_LAYERS};
	struct atl_json *tree;
	const char *json;
	enum atl_err err = atl_setting_get(self->app, ATL_SETTING_ENGINE, arena, &json, info);
	if (!err)
		err = atl_json_parse(arena, json, strlen(json), &tree, info);
	if (err)
		return err;
	s.model = atl_json_str(tree, "model", NULL);
	s.context_size = atl_json_int(tree, "context_size", 0);
	s.slots = atl_json_int(tree, "slots", 0);
	s.threads = atl_json_int(tree, "threads", 0);
	s.gpu_layers = atl_json_int(tree, "gpu_layers", ATL_ENGINE_AUTO_LAYERS);
	*ret = s;
	return ATL_OK;
}

enum atl_err atl_engine_settings_get(struct atl_engine *engine, struct atl_arena *arena,
				     struct atl_engine_settings *ret, struct atl_errinfo *info)
{
	return read_settings(engine, arena, ret, info);
}

static enum atl_err check_range(const char *field, int64_t value, int64_t automatic, int64_t min, int64_t max,
				struct atl_errinfo *info)
{
	if (value == automatic || (value >= min && value <= max))
		return ATL_OK;
	return atl_fail_field(info, ATL_ERR_INVALID, field, "It must be between %lld and %lld, or null for automatic.",
			      (long long)min, (long long)max);
}

static enum atl_err check_settings(struct atl_engine *self, const struct atl_engine_settings *s, struct atl_errinfo *info)
{
	enum atl_err err = check_range("context_size", s->context_size, 0, ATL_ENGINE_CONTEXT_MIN, ATL_ENGINE_CONTEXT_MAX, info);
	if (!err)
		err = check_range("slots", s->slots, 0, 1, ATL_ENGINE_SLOTS_MAX, info);
	if (!err)
		err = check_range("threads", s->threads, 0, 1, ATL_ENGINE_THREADS_MAX, info);
	if (!err)
		err = check_range("gpu_layers", s->gpu_layers, ATL_ENGINE_AUTO_LAYERS, 0, ATL_ENGINE_GPU_LAYERS_MAX, info);
	if (err || !s->model)
		return err;
	struct atl_local_model model;
	struct atl_arena arena;
	atl_arena_init(&arena, 0);
	err = atl_local_model_get(self->app, &arena, s->model, &model, info);
	if (!err && model.error)
		err = atl_fail_field(info, ATL_ERR_UNPROCESSABLE, "model", "%s", model.error);
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_engine_settings_set(struct atl_engine *engine, const struct atl_identity *who,
				     const struct atl_engine_settings *settings, struct atl_errinfo *info)
{
	enum atl_err err = check_settings(engine, settings, info);
	if (err)
		return err;
	struct atl_buf buf;
	struct atl_jw w;
	atl_buf_init(&buf, 4096);
	atl_jw_init(&w, &buf);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "model", settings->model);
	atl_jw_int(&w, "context_size", settings->context_size);
	atl_jw_int(&w, "slots", settings->slots);
	atl_jw_int(&w, "threads", settings->threads);
	atl_jw_int(&w, "gpu_layers", settings->gpu_layers);
	atl_jw_end_object(&w);
	err = atl_buf_err(&buf, info);
	if (!err)
		err = atl_setting_set(engine->app, who, ATL_SETTING_ENGINE, buf.data, info);
	atl_buf_finish(&buf);
	if (!err)
		atl_engine_restart(engine);
	return err;
}

/* ---- the plan: which model, with what ---- */

static int64_t cores(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* What was chosen in the interface, else in the configuration, else the first that works. */
static enum atl_err choose_model(struct atl_engine *self, struct atl_arena *arena, const char *chosen,
				 struct atl_local_model *ret, struct atl_errinfo *info)
{
	const char *const wanted[] = {chosen, self->app->engine_model};
	for (size_t i = 0; i < ATL_COUNT(wanted); i++) {
		struct atl_errinfo why = {0};
		if (atl_str_empty(wanted[i]))
			continue;
		if (atl_local_model_get(self->app, arena, wanted[i], ret, &why) == ATL_OK && !ret->error)
			return ATL_OK;
		atl_warn(MODULE, "the chosen model %s cannot be used: %s", wanted[i], why.detail[0] ? why.detail : ret->error);
	}
	struct atl_local_model *models;
	size_t count;
	enum atl_err err = atl_local_models_list(self->app, arena, &models, &count, info);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		if (!models[i].error) {
			*ret = models[i];
			return ATL_OK;
		}
	return atl_fail(info, ATL_ERR_NO_MODEL, "There is no usable model file in %s. Download one in Settings, Models.",
			self->app->models_dir);
}

static int64_t pick(int64_t chosen, int64_t configured, int64_t automatic)
{
	return chosen > 0 ? chosen : configured > 0 ? configured : automatic;
}

static enum atl_err make_plan(struct atl_engine *self, struct plan *plan, struct atl_errinfo *info)
{
	const struct atl_app *app = self->app;
	struct atl_engine_settings s;
	struct atl_local_model model = {0};
	struct atl_arena arena;
	atl_arena_init(&arena, 0);
	enum atl_err err = read_settings(self, &arena, &s, info);
	if (!err)
		err = choose_model(self, &arena, s.model, &model, info);
	if (err)
		goto out;
	*plan = (struct plan){.context_size = pick(s.context_size, app->engine_context_size, ATL_ENGINE_CONTEXT_DEFAULT),
			      .slots = pick(s.slots, app->engine_slots, ATL_ENGINE_SLOTS_DEFAULT),
			      .threads = pick(s.threads, app->engine_threads, cores() > 1 ? cores() - 1 : 1),
			      .gpu_layers = s.gpu_layers >= 0 ? s.gpu_layers : app->engine_gpu_layers};
	if (model.context_length > 0 && plan->context_size > model.context_length)
		plan->context_size = model.context_length;
	if (!atl_str_copy(plan->file, sizeof plan->file, model.file) ||
	    !atl_str_copy(plan->path, sizeof plan->path, model.path))
		err = atl_fail(info, ATL_ERR_CONFIG, "The path of the models folder is too long.");
out:
	atl_arena_finish(&arena);
	return err;
}

/* Make the plan current; false: nothing can be started, and the state says why. */
static bool renew_plan(struct atl_engine *self)
{
	struct atl_errinfo info = {0};
	struct plan plan = {0};
	enum availability availability = READY_TO_START;
	if (atl_str_empty(self->app->engine_program)) {
		availability = NOT_INSTALLED;
		atl_str_copy(info.detail, sizeof info.detail, "llama-server is not installed. Run script/setup, or name it in "
							      "the configuration as engine_program.");
	} else if (access(self->app->engine_program, X_OK) != 0) {
		availability = NOT_INSTALLED;
		snprintf(info.detail, sizeof info.detail, "%s cannot be run.", self->app->engine_program);
	} else if (make_plan(self, &plan, &info) != ATL_OK) {
		availability = NO_MODEL;
	}
	pthread_mutex_lock(&self->lock);
	self->availability = availability;
	self->plan = plan;
	self->failures = 0;
	atl_str_copy(self->why, sizeof self->why, info.detail);
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
	return availability == READY_TO_START;
}

/* ---- from outside ---- */

static void begin(struct atl_engine *self, bool again)
{
	pthread_mutex_lock(&self->planning);
	pthread_mutex_lock(&self->lock);
	bool running = self->wanted && self->availability == READY_TO_START;
	self->wanted = true;
	pthread_mutex_unlock(&self->lock);
	if (running && !again) {
		pthread_mutex_unlock(&self->planning);
		return;
	}
	if (renew_plan(self)) {
		pthread_mutex_lock(&self->lock);
		self->state = ATL_SUPER_STARTING; /* until the supervisor says more: nobody is sent to the old one */
		pthread_mutex_unlock(&self->lock);
		atl_super_restart(self->super);
	} else {
		atl_super_stop(self->super);
	}
	publish(self);
	pthread_mutex_unlock(&self->planning);
}

void atl_engine_start(struct atl_engine *engine)
{
	begin(engine, false);
}

void atl_engine_restart(struct atl_engine *engine)
{
	begin(engine, true);
}

void atl_engine_stop(struct atl_engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	engine->wanted = false;
	engine->why[0] = '\0';
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
	atl_super_stop(engine->super);
}

void atl_engine_models_changed(struct atl_engine *engine)
{
	if (!engine)
		return;
	pthread_mutex_lock(&engine->lock);
	bool waiting = engine->wanted && engine->availability == NO_MODEL;
	pthread_mutex_unlock(&engine->lock);
	if (waiting)
		begin(engine, false);
}

static void add_env(struct atl_engine *self, const char *name, const char *fallback)
{
	const char *value = getenv(name);
	size_t at = 0;
	if (!value)
		value = fallback;
	while (self->env[at])
		at++;
	if (value && at < ENV_MAX && asprintf(&self->env[at], "%s=%s", name, value) < 0)
		self->env[at] = NULL;
}

static enum atl_err make_run_folder(struct atl_engine *self, struct atl_errinfo *info)
{
	char dir[PATH_SIZE];
	if (snprintf(dir, sizeof dir, "%s/run", self->app->data_dir) >= (int)sizeof dir ||
	    snprintf(self->key_path, sizeof self->key_path, "%s/chat.key", dir) >= (int)sizeof self->key_path ||
	    snprintf(self->socket_path, sizeof self->socket_path, "%s/chat.sock", dir) >= (int)sizeof self->socket_path)
		return atl_fail(info, ATL_ERR_CONFIG,
				"The data folder's path is too long for a socket in it: at most %d bytes.",
				SOCKET_PATH_MAX - (int)strlen("/run/chat.sock"));
	enum atl_err err = atl_dir_make(dir, 0700, info);
	if (err)
		return err;
	atl_token_new(self->key);
	atl_log_secret(self->key);
	return atl_file_write_atomic(self->key_path, self->key, strlen(self->key), 0600, info);
}

enum atl_err atl_engine_create(struct atl_app *app, struct atl_engine **ret, struct atl_errinfo *info)
{
	static const struct atl_super_ops OPS = {.prepare = prepare, .probe = probe, .on_state = on_state};
	static const struct atl_super_options OPTIONS = {
		.name = "llama-server", .start_timeout_ms = 300000, .health_interval_ms = 100, .watch_interval_ms = 10000,
		.stop_grace_ms = 5000};
	static const char *const PASSED[] = {"HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
					     "ROCR_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES"};
	struct atl_engine *self = calloc(1, sizeof *self);
	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "create engine");
	self->app = app;
	self->loop = app->loops[0];
	pthread_mutex_init(&self->planning, NULL);
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->changed, NULL);
	add_env(self, "PATH", "/usr/bin:/bin");
	add_env(self, "LANG", "C.UTF-8");
	for (size_t i = 0; i < ATL_COUNT(PASSED); i++)
		add_env(self, PASSED[i], NULL);
	enum atl_err err = make_run_folder(self, info);
	if (!err && atl_super_create(self->loop, &OPTIONS, &OPS, self, &self->super) != ATL_OK)
		err = atl_fail(info, ATL_ERR_NOMEM, "create engine");
	if (err) {
		atl_engine_destroy(self);
		return err;
	}
	renew_plan(self);
	*ret = self;
	return ATL_OK;
}

static void close_on_loop(void *arg)
{
	struct atl_engine *self = arg;
	self->closing = true;
	atl_llama_health_cancel(self->probe);
	self->probe = NULL;
	pthread_mutex_lock(&self->lock);
	self->closed_on_loop = true;
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
}

void atl_engine_destroy(struct atl_engine *engine)
{
	if (!engine)
		return;
	if (engine->super) {
		bool posted = atl_loop_post(engine->loop, close_on_loop, engine);
		pthread_mutex_lock(&engine->lock);
		while (posted && !engine->closed_on_loop)
			pthread_cond_wait(&engine->changed, &engine->lock);
		pthread_mutex_unlock(&engine->lock);
		atl_super_destroy(engine->super);
		unlink(engine->socket_path);
		unlink(engine->key_path);
	}
	for (size_t i = 0; engine->env[i]; i++)
		free(engine->env[i]);
	atl_wipe(engine->key, sizeof engine->key);
	pthread_cond_destroy(&engine->changed);
	pthread_mutex_destroy(&engine->lock);
	pthread_mutex_destroy(&engine->planning);
	free(engine);
}

/* ---- what others see ---- */

static const char *state_name(enum availability availability, enum atl_super_state state)
{
	if (state != ATL_SUPER_STOPPED)
		return atl_super_state_name(state);
	return availability == NOT_INSTALLED ? "not_installed" : availability == NO_MODEL ? "no_model" : "stopped";
}

enum atl_err atl_engine_status(struct atl_engine *engine, struct atl_arena *arena, struct atl_engine_status *ret,
			       struct atl_errinfo *info)
{
	if (!engine) {
		*ret = (struct atl_engine_status){.state = "not_installed", .models_dir = ""};
		return ATL_OK;
	}
	pthread_mutex_lock(&engine->lock);
	const struct plan *plan = &engine->plan;
	struct atl_engine_status status = {.state = state_name(engine->availability, engine->state),
					   .program = engine->app->engine_program,
					   .why = engine->why[0] ? atl_arena_strdup(arena, engine->why) : NULL,
					   .model = plan->file[0] ? atl_arena_strdup(arena, plan->file) : NULL,
					   .context_size = plan->context_size,
					   .slots = plan->slots,
					   .threads = plan->threads,
					   .gpu_layers = plan->gpu_layers,
					   .restarts = engine->restarts,
					   .models_dir = engine->app->models_dir};
	bool full = (engine->why[0] && !status.why) || (plan->file[0] && !status.model);
	pthread_mutex_unlock(&engine->lock);
	if (full)
		return atl_fail(info, ATL_ERR_NOMEM, "engine state");
	*ret = status;
	return ATL_OK;
}

enum atl_err atl_engine_log(struct atl_engine *engine, struct atl_arena *arena, struct atl_strs *ret,
			    struct atl_errinfo *info)
{
	struct atl_strs lines = {.items = ATL_ARENA_ARRAY(arena, const char *, ATL_CHILD_LOG_LINES)};
	struct atl_buf buf;
	if (!lines.items)
		return atl_fail(info, ATL_ERR_NOMEM, "engine log");
	atl_buf_init(&buf, (size_t)ATL_CHILD_LOG_LINES * (ATL_CHILD_LOG_LINE_MAX + 2));
	if (engine)
		atl_super_log(engine->super, &buf, NULL, 0);
	char *text = buf.length ? atl_arena_strndup(arena, buf.data, buf.length) : NULL;
	atl_buf_finish(&buf);
	for (char *save, *line = text ? strtok_r(text, "\n", &save) : NULL; line && lines.count < ATL_CHILD_LOG_LINES;
	     line = strtok_r(NULL, "\n", &save))
		lines.items[lines.count++] = line;
	*ret = lines;
	return ATL_OK;
}

bool atl_engine_is_active(struct atl_engine *engine, const char *file)
{
	if (!engine)
		return false;
	pthread_mutex_lock(&engine->lock);
	bool active = engine->state != ATL_SUPER_STOPPED && atl_str_eq(engine->plan.file, file);
	pthread_mutex_unlock(&engine->lock);
	return active;
}

/* Why nothing can answer, for people; lock held. */
static enum atl_err not_running(struct atl_engine *self, struct atl_errinfo *info)
{
	if (self->why[0])
		return atl_fail(info, ATL_ERR_NO_MODEL, "The local model is not ready: %s", self->why);
	return atl_fail(info, ATL_ERR_NO_MODEL, "The local model is stopped. Start it in Settings, Models.");
}

enum atl_err atl_engine_target(struct atl_engine *engine, struct atl_arena *arena, struct atl_engine_target *ret,
			       struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;
	if (!engine)
		return atl_fail(info, ATL_ERR_NO_MODEL, "The local model is not installed.");
	pthread_mutex_lock(&engine->lock);
	struct atl_engine_target target = {.context_size = engine->plan.context_size,
					   .healthy = engine->state == ATL_SUPER_HEALTHY};
	if (engine->availability != READY_TO_START || !engine->wanted)
		err = not_running(engine, info);
	else
		target.file = atl_arena_strdup(arena, engine->plan.file);
	pthread_mutex_unlock(&engine->lock);
	if (err)
		return err;
	target.endpoint = (struct atl_chat_endpoint){.preset = atl_chat_preset_find("llamacpp"),
						     .name = ATL_ENGINE_NAME,
						     .base_url = "http://localhost/v1",
						     .unix_path = atl_arena_strdup(arena, engine->socket_path),
						     .api_key = atl_arena_strdup(arena, engine->key),
						     /* reading a long prompt on a slow processor is silent */
						     .first_byte_ms = 600000, .idle_ms = 120000};
	if (!target.file || !target.endpoint.unix_path || !target.endpoint.api_key)
		return atl_fail(info, ATL_ERR_NOMEM, "engine endpoint");
	*ret = target;
	return ATL_OK;
}

bool atl_engine_wait(struct atl_engine *engine, unsigned timeout_ms)
{
	struct timespec until;
	if (!engine)
		return false;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&engine->lock);
	while (engine->state != ATL_SUPER_HEALTHY && engine->wanted && engine->availability == READY_TO_START &&
	       engine->failures < FAILURES_MAX && !engine->app->stopping)
		if (pthread_cond_timedwait(&engine->changed, &engine->lock, &until) != 0)
			break;
	bool healthy = engine->state == ATL_SUPER_HEALTHY;
	pthread_mutex_unlock(&engine->lock);
	return healthy;
}
