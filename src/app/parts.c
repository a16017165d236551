/* parts.c - the parts of the server, in the order of one table.
 *
 * Adding a part: a member of struct atl_app, an up and a down function here, a line in `steps`. Parts may use
 * everything above them in the table. What a part must do when the server begins to stop, while requests are still
 * being answered (checkpoint replies, stop children), is its `drain`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/api.h"
#include "api/waiting.h"
#include "app/beside.h"
#include "app/commands.h"
#include "app/https.h"
#include "app/parts.h"
#include "base/log.h"
#include "base/str.h"
#include "blob/blob.h"
#include "core/access/auth.h"
#include "core/access/rate.h"
#include "core/access/throttle.h"
#include "core/books/price.h"
#include "core/books/usage.h"
#include "core/chat/generation.h"
#include "core/chat/message.h"
#include "core/jobs/job.h"
#include "core/jobs/webhook.h"
#include "core/models/engine.h"
#include "core/models/model_route.h"
#include "core/models/provider.h"
#include "core/models/transfer.h"
#include "core/people/erase.h"
#include "core/people/export.h"
#include "core/people/mail.h"
#include "core/people/user.h"
#include "core/pictures/asset.h"
#include "core/pictures/picture.h"
#include "core/pictures/picture_engine.h"
#include "core/pictures/picture_mark.h"
#include "core/pictures/picture_model.h"
#include "core/pictures/upload.h"
#include "core/safety/provenance.h"
#include "core/server/announcement.h"
#include "core/server/events.h"
#include "core/server/idempotency.h"
#include "core/server/keyring.h"
#include "core/server/metrics.h"
#include "core/server/peers.h"
#include "core/server/setting.h"
#include "db/db.h"
#include "media/classifier.h"
#include "media/picture.h"
#include "net/guard.h"
#include "net/static.h"
#include "os/file.h"
#include "provider/image_fal_hook.h"

#define MODULE "serve"
#define JOBS_DRAIN_MS 2000    /* a run looks at least every 200 ms whether it is to stop */
#define REPLIES_DRAIN_MS 6000 /* of the 10 s a stop may take */
#define POOL_QUEUE_MAX 4096
#define PATH_SIZE ATL_BESIDE_PATH_SIZE

static enum atl_err log_up(struct atl_parts *s, struct atl_errinfo *info)
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };
	const char *level = atl_config_text(&s->config, CFG_log_level);
	enum atl_log_format format =
		atl_str_eq(atl_config_text(&s->config, CFG_log_format), "json") ? ATL_LOG_JSON : ATL_LOG_LOGFMT;
	enum atl_log_level value = ATL_LOG_INFO;

	for (size_t i = 0; i < ATL_COUNT(levels); i++)
		if (atl_str_eq(levels[i], level))
			value = (enum atl_log_level)i;
	return atl_log_init(value, format, atl_config_text(&s->config, CFG_log_file), info);
}

static void log_down(struct atl_parts *s)
{
	atl_log_finish();
}

static enum atl_err store_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_store_open(&s->config, &s->app, info);
}

/* The database's threads call back into replies, so these go after it. */
static void store_down(struct atl_parts *s)
{
	atl_db_close(s->app.db);
	atl_generations_destroy(s->app.generations);
}

/* Paths and switches that are only read from here on. */
static enum atl_err settings_up(struct atl_parts *s, struct atl_errinfo *info)
{
	struct atl_app *app = &s->app;
	const struct atl_config *config = &s->config;
	const char *models = atl_config_text(config, CFG_models_dir), *decode = atl_config_text(config, CFG_decode_program);
	enum atl_err err;

	snprintf(s->upload_dir, PATH_SIZE, "%s/tmp", app->data_dir);
	if (models)
		snprintf(s->models_dir, PATH_SIZE, "%s", models);
	else
		snprintf(s->models_dir, PATH_SIZE, "%s/models", app->data_dir);
	atl_beside(s->decode_program, decode, "atelier-decode");
	atl_beside(s->picture_program, atl_config_text(config, CFG_picture_program), "atelier-image");
	atl_beside(s->classifier_program, atl_config_text(config, CFG_classifier_program), "atelier-classify");
	if (atl_config_text(config, CFG_classifier_dir))
		snprintf(s->classifier_dir, PATH_SIZE, "%s", atl_config_text(config, CFG_classifier_dir));
	else
		snprintf(s->classifier_dir, PATH_SIZE, "%s/classifier", app->data_dir);
	err = atl_dir_make(s->upload_dir, 0700, info);
	if (!err)
		err = atl_dir_make(s->models_dir, 0700, info);
	app->upload_dir = s->upload_dir;
	app->models_dir = s->models_dir;
	app->decode_program = s->decode_program;
	app->picture_program = access(s->picture_program, X_OK) == 0 ? s->picture_program : NULL;
	app->web_dir = atl_config_text(config, CFG_web_dir);
	app->engine_program = atl_config_text(config, CFG_engine_program);
	app->address = atl_config_text(config, CFG_address);
	app->public_url = atl_config_text(config, CFG_public_url);
	app->engine_model = atl_config_text(config, CFG_engine_model);
	app->picture_threads = (int)atl_config_int(config, CFG_picture_threads);
	app->picture_idle_s = atl_config_int(config, CFG_picture_idle_s);
	app->runner_threads = (int)atl_config_int(config, CFG_runners);
	app->engine_context_size = (int)atl_config_int(config, CFG_engine_context_size);
	app->engine_slots = (int)atl_config_int(config, CFG_engine_slots);
	app->engine_threads = (int)atl_config_int(config, CFG_engine_threads);
	app->engine_gpu_layers = (int)atl_config_int(config, CFG_engine_gpu_layers);
	app->engine_enabled = atl_config_bool(config, CFG_engine_enabled);
	app->mature_default = atl_config_bool(config, CFG_mature_allowed);
	app->undo_ms = atl_config_int(config, CFG_undo_minutes) * 60 * 1000;
	app->session_ttl_ms = atl_config_int(config, CFG_session_days) * 24 * 3600 * 1000;
	s->smtp_url = atl_config_text(config, CFG_smtp_url);
	s->smtp_from = atl_config_text(config, CFG_smtp_from);
	s->hosts = atl_config_words(config, CFG_hosts);
	s->trusted_proxies = atl_config_words(config, CFG_trusted_proxies);
	s->outbound_private = atl_config_words(config, CFG_outbound_private);
	app->outbound_private = (const char *const *)s->outbound_private;
	if (!err && (!s->hosts || !s->trusted_proxies || !s->outbound_private))
		err = atl_fail(info, ATL_ERR_NOMEM, "read lists of the configuration");
	return err;
}

static void settings_down(struct atl_parts *s)
{
	free(s->hosts);
	free(s->trusted_proxies);
	free(s->outbound_private);
}

static enum atl_err key_up(struct atl_parts *s, struct atl_errinfo *info)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/master.key", s->app.data_dir);
	return atl_keyring_open(&s->app, path, info);
}

static void key_down(struct atl_parts *s)
{
	atl_keyring_close(&s->app);
}

static enum atl_err setup_up(struct atl_parts *s, struct atl_errinfo *info)
{
	int64_t users = 0;
	enum atl_err err = atl_user_count(&s->app, &users, info);

	atl_maintenance_load(&s->app);
	atl_features_load(&s->app);
	if (!err && users == 0) {
		atl_token_new(s->setup_token);
		atl_log_secret(s->setup_token);
	}
	s->app.setup_token = s->setup_token;
	return err;
}

static enum atl_err guard_up(struct atl_parts *s, struct atl_errinfo *info)
{
	s->app.guard = &s->guard;
	return atl_guard_init(&s->guard, s->app.outbound_private, info);
}

static void guard_down(struct atl_parts *s)
{
	atl_guard_finish(&s->guard);
}

static enum atl_err loops_up(struct atl_parts *s, struct atl_errinfo *info)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t wanted = atl_config_int(&s->config, CFG_loops);
	enum atl_err err = ATL_OK;

	if (wanted == 0)
		wanted = cores < 1 ? 1 : cores > 8 ? 8 : cores;
	s->app.loops = s->loops;
	while (!err && s->app.loop_count < (size_t)wanted && s->app.loop_count < ATL_LOOPS_MAX) {
		err = atl_loop_create("loop", &s->loops[s->app.loop_count], info);
		if (!err)
			s->app.loop_count++;
	}
	return err;
}

/* Runs on the loops use the providers' breakers, so these go after them. */
static void loops_down(struct atl_parts *s)
{
	for (size_t i = 0; i < s->app.loop_count; i++)
		atl_loop_stop(s->loops[i]);
	for (size_t i = 0; i < s->app.loop_count; i++)
		atl_loop_destroy(s->loops[i]);
	atl_providers_destroy(s->app.providers);
}

static enum atl_err pool_up(struct atl_parts *s, struct atl_errinfo *info)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t wanted = atl_config_int(&s->config, CFG_pool_threads);

	if (wanted == 0) /* most of them wait for the disk: as many as wait together share one commit */
		wanted = cores < 2 ? 32 : cores > 4 ? 64 : 16 * cores;
	return atl_pool_create((unsigned)wanted, POOL_QUEUE_MAX, &s->app.pool, info);
}

static enum atl_err waiters_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_pool_create(ATL_API_WAITERS_MAX, ATL_API_WAITERS_MAX * 4, &s->app.waiters, info);
}

static void waiters_down(struct atl_parts *s)
{
	atl_pool_destroy(s->app.waiters);
}

static void pool_down(struct atl_parts *s)
{
	atl_pool_destroy(s->app.pool);
}

/* What was deleted is still being erased, somebody's export written: they use parts that go next. */
static void background_down(struct atl_parts *s)
{
	atl_pool_quiesce(s->app.pool);
}

static enum atl_err blobs_up(struct atl_parts *s, struct atl_errinfo *info)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/blobs", s->app.data_dir);
	return atl_blobs_create(path, &s->app.blobs, info);
}

static void blobs_down(struct atl_parts *s)
{
	atl_blobs_destroy(s->app.blobs);
}

static enum atl_err pictures_up(struct atl_parts *s, struct atl_errinfo *info)
{
	enum atl_err err = atl_pictures_create(s->loops[0], s->app.decode_program, &s->app.pictures, info);

	/* A folder that was named must work: without it pictures would pass that were to be judged. */
	if (!err && (atl_config_text(&s->config, CFG_classifier_dir) || access(s->classifier_dir, R_OK) == 0))
		err = atl_classifier_create(s->loops[0], s->classifier_program, s->classifier_dir, &s->app.classifier, info);
	return err;
}

static void pictures_down(struct atl_parts *s)
{
	atl_classifier_destroy(s->app.classifier);
	atl_pictures_destroy(s->app.pictures);
}

/* Without the library pictures are made all the same; one that was named must be there. */
static enum atl_err provenance_up(struct atl_parts *s, struct atl_errinfo *info)
{
	const char *configured = atl_config_text(&s->config, CFG_credentials_library);
	bool there;

	atl_beside(s->credentials_library, configured, "libc2pa_c.so");
	there = access(s->credentials_library, R_OK) == 0;
	if (configured && !there)
		return atl_fail(info, ATL_ERR_CONFIG, "credentials_library: there is no %s", configured);
	const struct atl_provenance_options options = { .program = s->app.decode_program,
		.library = there ? s->credentials_library : NULL,
		.key_path = atl_config_text(&s->config, CFG_credentials_key),
		.chain_path = atl_config_text(&s->config, CFG_credentials_certificate) };
	return atl_provenance_create(&s->app, &options, &s->app.provenance, info);
}

static void provenance_down(struct atl_parts *s)
{
	atl_provenance_destroy(s->app.provenance);
}

static enum atl_err mark_up(struct atl_parts *s, struct atl_errinfo *info)
{
	enum atl_err err = atl_picture_mark_load(&s->app, s->watermark_key, info);

	if (!err)
		s->app.watermark_key = s->watermark_key;
	return err;
}

static void mark_down(struct atl_parts *s)
{
	atl_wipe(s->watermark_key, sizeof(s->watermark_key));
}

/* Files whose asset never came to be, after a kill, and pieces of uploads that nobody knows. */
static enum atl_err assets_up(struct atl_parts *s, struct atl_errinfo *info)
{
	enum atl_err err = atl_assets_recover(&s->app, info);

	if (!err)
		err = atl_exports_recover(&s->app, info);
	return err ? err : atl_uploads_recover(&s->app, info);
}

static enum atl_err metrics_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_metrics_create(&s->app.metrics);
}

static void metrics_down(struct atl_parts *s)
{
	atl_metrics_destroy(s->app.metrics);
}

static enum atl_err auth_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_auth_create(&s->app.auth);
}

static void auth_down(struct atl_parts *s)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_auth_flush(&s->app, &info);

	if (err)
		atl_warn(MODULE, "write times of last use: %s %s", atl_err_name(err), info.detail);
	atl_auth_destroy(s->app.auth);
}

static enum atl_err throttle_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_throttle_create(&s->app.throttle);
}

static void throttle_down(struct atl_parts *s)
{
	atl_throttle_destroy(s->app.throttle);
}

static enum atl_err rates_up(struct atl_parts *s, struct atl_errinfo *info)
{
	static const enum atl_config_key keys[] = { [ATL_RATE_READ] = CFG_rate_read, [ATL_RATE_WRITE] = CFG_rate_write,
						    [ATL_RATE_GENERATE] = CFG_rate_generate,
						    [ATL_RATE_UPLOAD] = CFG_rate_upload,
						    [ATL_RATE_SIGN_IN] = CFG_rate_sign_in };
	struct atl_rates_options options = { .local = atl_config_bool(&s->config, CFG_rate_local),
					     .shared = atl_config_text(&s->config, CFG_redis_url) != NULL };

	for (size_t i = 0; i < ATL_COUNT(keys); i++)
		options.per_minute[i] = (int)atl_config_int(&s->config, keys[i]);
	return atl_rates_create(&options, &s->app.rates);
}

static void rates_down(struct atl_parts *s)
{
	atl_rates_destroy(s->app.rates);
}

/* {"id":n,"event":"...","data":{...}} */
static struct atl_bytes *ws_event(uint64_t id, const char *event, const char *data, size_t length)
{
	struct atl_bytes *frame = NULL;
	struct atl_buf out;

	atl_buf_init(&out, length + 256);
	if (id)
		atl_buf_addf(&out, "{\"id\":%llu,\"event\":\"%s\",\"data\":", (unsigned long long)id, event);
	else
		atl_buf_addf(&out, "{\"event\":\"%s\",\"data\":", event);
	atl_buf_add(&out, data, length);
	atl_buf_addc(&out, '}');
	if (!out.failed)
		frame = atl_ws_frame(out.data, out.length);
	atl_buf_finish(&out);
	return frame;
}

static enum atl_err events_up(struct atl_parts *s, struct atl_errinfo *info)
{
	struct atl_events_options options = { .encode = { [ATL_EVENTS_SSE] = atl_sse_frame, [ATL_EVENTS_WS] = ws_event },
					      .loops = s->app.loops, .loop_count = s->app.loop_count };

	return atl_events_create(&options, &s->app.events, info);
}

static void events_drain(struct atl_parts *s)
{
	atl_events_close(s->app.events);
}

static void events_down(struct atl_parts *s)
{
	atl_events_destroy(s->app.events);
}

static enum atl_err peers_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_peers_create(&s->app, atl_config_text(&s->config, CFG_redis_url), &s->app.peers, info);
}

static void peers_down(struct atl_parts *s)
{
	atl_peers_destroy(s->app.peers);
	s->app.peers = NULL;
}

static enum atl_err providers_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_providers_create(&s->app, &s->app.providers, info);
}

/* The engine loads its model while the server is already answering. */
static enum atl_err engine_up(struct atl_parts *s, struct atl_errinfo *info)
{
	enum atl_err err = atl_engine_create(&s->app, &s->app.engine, info);

	if (!err && s->app.engine_enabled)
		atl_engine_start(s->app.engine);
	return err;
}

static void engine_down(struct atl_parts *s)
{
	atl_engine_destroy(s->app.engine);
}

static enum atl_err picture_models_up(struct atl_parts *s, struct atl_errinfo *info)
{
	enum atl_err err = atl_picture_models_create(&s->app, &s->app.picture_models, info);

	return err ? err : atl_fal_hooks_create(&s->app.fal_hooks);
}

static void picture_models_down(struct atl_parts *s)
{
	atl_fal_hooks_destroy(s->app.fal_hooks);
	atl_picture_models_destroy(s->app.picture_models);
}

/* Started by the first picture. */
static enum atl_err picture_engine_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return s->app.picture_program ? atl_picture_engine_create(&s->app, &s->app.picture_engine, info) : ATL_OK;
}

static void picture_engine_down(struct atl_parts *s)
{
	atl_picture_engine_destroy(s->app.picture_engine);
}

static enum atl_err transfers_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_transfers_create(&s->app, &s->app.transfers, info);
}

static void transfers_drain(struct atl_parts *s)
{
	atl_transfers_drain(s->app.transfers);
}

static void transfers_down(struct atl_parts *s)
{
	atl_transfers_destroy(s->app.transfers);
}

/* Called on a loop: stopping never blocks. */
static void stop_message(struct atl_app *app, const struct atl_identity *identity, const char *message_id)
{
	enum atl_err err = atl_generation_stop(app, identity->user_id, message_id, NULL);

	if (err)
		atl_debug(MODULE, "stop %s: %s", message_id, atl_err_name(err));
}

/* Replies that were being written when the last server died are told from those that are. */
static enum atl_err replies_up(struct atl_parts *s, struct atl_errinfo *info)
{
	int64_t count = 0;
	enum atl_err err = atl_message_interrupt_all(s->app.db, &count, info);

	if (!err)
		err = atl_idempotency_recover(&s->app, info);
	if (err)
		return err;
	if (count)
		atl_info(MODULE, "%lld replies were interrupted by the last stop", (long long)count);
	s->app.stop_message = stop_message;
	return atl_generations_create(&s->app, &s->app.generations);
}

static void replies_drain(struct atl_parts *s)
{
	atl_generations_drain(s->app.generations, REPLIES_DRAIN_MS);
}

/* Before the server listens: what the last one left is queued again. */
static enum atl_err jobs_up(struct atl_parts *s, struct atl_errinfo *info)
{
	static const struct atl_job_kind *const kinds[] = { &atl_picture_kind, NULL };
	enum atl_err err = atl_webhooks_create(&s->app, &s->app.webhooks, info);

	if (!err)
		err = atl_jobs_create(&s->app, kinds, &s->app.jobs, info);
	if (err) {
		atl_webhooks_destroy(s->app.webhooks);
		return err;
	}
	s->app.metrics_more = atl_jobs_metrics;
	err = atl_jobs_start(s->app.jobs, info);
	if (err) {
		atl_jobs_destroy(s->app.jobs);
		atl_webhooks_destroy(s->app.webhooks);
	}
	return err;
}

static void jobs_drain(struct atl_parts *s)
{
	atl_jobs_drain(s->app.jobs, JOBS_DRAIN_MS);
}

static void jobs_down(struct atl_parts *s)
{
	atl_jobs_destroy(s->app.jobs);
	atl_webhooks_destroy(s->app.webhooks);
}

static enum atl_err prices_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_prices_create(&s->app, &s->app.prices, info);
}

static void prices_down(struct atl_parts *s)
{
	atl_prices_destroy(s->app.prices);
}

static enum atl_err mail_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_mailer_create(&s->app, s->smtp_url, s->smtp_from, &s->app.mailer, info);
}

static void mail_down(struct atl_parts *s)
{
	atl_mailer_destroy(s->app.mailer);
	s->app.mailer = NULL;
}

/* Usage is written, and routes are held, by what still runs on the loops while they end. */
static enum atl_err usage_up(struct atl_parts *s, struct atl_errinfo *info)
{
	enum atl_err err = atl_usage_create(&s->app, &s->app.usage, info);

	return err ? err : atl_model_routes_create(NULL, &s->app.routes);
}

static void usage_down(struct atl_parts *s)
{
	atl_model_routes_destroy(s->app.routes);
	atl_usage_destroy(s->app.usage);
}

static enum atl_err openapi_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_openapi_init(s->app.version, info);
}

static void openapi_down(struct atl_parts *s)
{
	atl_openapi_finish();
}

static enum atl_err page_up(struct atl_parts *s, struct atl_errinfo *info)
{
	return atl_static_create(&atl_web_assets, s->app.web_dir, &s->app.page);
}

static void page_down(struct atl_parts *s)
{
	atl_static_destroy(s->app.page);
}

static bool serve_page(struct atl_req *req)
{
	const struct atl_app *app = req->app;

	return atl_static_serve(app->page, req);
}

static void on_done(const struct atl_req *req, int status, uint64_t duration_us)
{
	const struct atl_app *app = req->app;

	atl_metrics_request(app->metrics, status, duration_us);
	if (req->method == ATL_DELETE && status < 300)
		atl_erase_later(req->app);
	atl_debug("access", "%s %s %d %llu us %s", atl_method_name(req->method), req->route && req->path ? req->path : "-", status, /* what fits no route may be anything */
		  (unsigned long long)duration_us, req->id);
}

static enum atl_err server_up(struct atl_parts *s, struct atl_errinfo *info)
{
	struct atl_server_options *options = &s->options;
	enum atl_err err = https_up(&s->config, &s->tls, info);

	if (err)
		return err;
	options->tls = s->tls;
	options->address = s->app.address;
	options->port = (int)atl_config_int(&s->config, CFG_port);
	options->unix_path = atl_config_text(&s->config, CFG_unix_path);
	options->hosts = (const char *const *)s->hosts;
	options->trusted_proxies = (const char *const *)s->trusted_proxies;
	options->tables = atl_api_tables;
	options->app = &s->app;
	options->pool = s->app.pool;
	options->loops = s->app.loops;
	options->loop_count = s->app.loop_count;
	options->upload_dir = s->app.upload_dir;
	options->max_connections = (size_t)atl_config_int(&s->config, CFG_max_connections);
	options->authorize = atl_api_authorize;
	options->fallback = serve_page;
	options->on_done = on_done;
	err = atl_server_create(options, &s->app.server, info);
	if (!err)
		s->app.port = atl_server_port(s->app.server);
	else
		atl_tls_destroy(s->tls);
	return err;
}

static void server_drain(struct atl_parts *s)
{
	atl_server_drain(s->app.server, ATL_DRAIN_MS);
}

static void server_down(struct atl_parts *s)
{
	atl_server_destroy(s->app.server);
	atl_tls_destroy(s->tls);
}

/* Up from first to last, drained and down from last to first. A loop ends only after everything that runs on it is
 * closed; what the loops' last callbacks may touch (events) goes after them. */
static const struct step {
	const char *name;
	enum atl_err (*up)(struct atl_parts *s, struct atl_errinfo *info);
	void (*drain)(struct atl_parts *s);
	void (*down)(struct atl_parts *s);
} steps[] = {
	{ "log", log_up, NULL, log_down },
	{ "store", store_up, NULL, store_down },
	{ "settings", settings_up, NULL, settings_down },
	{ "master key", key_up, NULL, key_down },
	{ "setup token", setup_up, NULL, NULL },
	{ "outbound guard", guard_up, NULL, guard_down },
	{ "metrics", metrics_up, NULL, metrics_down },
	{ "auth", auth_up, NULL, auth_down },
	{ "throttle", throttle_up, NULL, throttle_down },
	{ "rates", rates_up, NULL, rates_down },
	{ "prices", prices_up, NULL, prices_down },
	{ "usage records", usage_up, NULL, usage_down },
	{ "loops", loops_up, NULL, loops_down },
	{ "pool", pool_up, NULL, pool_down },
	{ "waiting room", waiters_up, NULL, waiters_down },
	{ "blobs", blobs_up, NULL, blobs_down },
	{ "assets", assets_up, NULL, NULL },
	{ "pictures", pictures_up, NULL, pictures_down },
	{ "provenance", provenance_up, NULL, provenance_down },
	{ "invisible mark", mark_up, NULL, mark_down },
	{ "events", events_up, NULL, events_down },
	{ "other servers", peers_up, NULL, peers_down },
	{ "providers", providers_up, NULL, NULL },
	{ "engine", engine_up, NULL, engine_down },
	{ "picture models", picture_models_up, NULL, picture_models_down },
	{ "picture engine", picture_engine_up, NULL, picture_engine_down },
	{ "downloads", transfers_up, transfers_drain, transfers_down },
	{ "replies", replies_up, NULL, NULL },
	{ "jobs", jobs_up, NULL, jobs_down },
	{ "background work", NULL, NULL, background_down },
	{ "mail", mail_up, NULL, mail_down },
	{ "API document", openapi_up, NULL, openapi_down },
	{ "page", page_up, NULL, page_down },
	{ "server", server_up, server_drain, server_down },
	{ "live events", NULL, events_drain, NULL }, /* streams end first, or draining would wait for them */
	{ "running replies", NULL, replies_drain, NULL }, /* before that: who listens hears their end */
	{ "running jobs", NULL, jobs_drain, NULL },
};

static void take_down(struct atl_parts *s, size_t count)
{
	while (count-- > 0)
		if (steps[count].down)
			steps[count].down(s);
}

enum atl_err atl_parts_up(struct atl_parts *s, struct atl_errinfo *info)
{
	for (size_t i = 0; i < ATL_COUNT(steps); i++) {
		enum atl_err err = steps[i].up ? steps[i].up(s, info) : ATL_OK;

		if (!err)
			continue;
		if (info->detail[0])
			atl_fail_context(info, err, "%s", steps[i].name);
		else
			atl_fail(info, err, "%s: %s", steps[i].name, atl_err_sentence(err));
		take_down(s, i);
		return err;
	}
	return ATL_OK;
}

void atl_parts_drain(struct atl_parts *s)
{
	for (size_t i = ATL_COUNT(steps); i-- > 0;)
		if (steps[i].drain)
			steps[i].drain(s);
}

void atl_parts_down(struct atl_parts *s)
{
	take_down(s, ATL_COUNT(steps));
}
