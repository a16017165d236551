#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/str.h"
#include "blob/blob.h"
#include "core/access/auth.h"
#include "core/access/session.h"
#include "core/access/throttle.h"
#include "core/books/price.h"
#include "core/chat/generation.h"
#include "core/chat/message.h"
#include "core/jobs/webhook.h"
#include "core/models/provider.h"
#include "core/people/user.h"
#include "core/pictures/asset.h"
#include "core/pictures/picture.h"
#include "core/server/events.h"
#include "core/server/idempotency.h"
#include "core/server/keyring.h"
#include "core/server/metrics.h"
#include "media/picture.h"
#include "os/file.h"
#include "provider/image_fal_hook.h"

const struct person nobody;
struct person owner;

static struct atl_bytes *line_event(uint64_t id, const char *event, const char *data, size_t length)
{
	struct atl_buf out;
	struct atl_bytes *bytes = NULL;

	atl_buf_init(&out, length + 256);
	atl_buf_addf(&out, "{\"id\":%llu,\"event\":\"%s\",\"data\":", (unsigned long long)id, event);
	atl_buf_add(&out, data, length);
	atl_buf_adds(&out, "}\n");
	if (!out.failed)
		bytes = atl_bytes_create(out.data, out.length);
	atl_buf_finish(&out);
	return bytes;
}

static void stop_message(struct atl_app *app, const struct atl_identity *identity, const char *message_id)
{
	if (atl_generation_stop(app, identity->user_id, message_id, NULL) != ATL_OK)
		return;
}

static const struct atl_job_kind *const picture_kinds[] = { &atl_picture_kind, NULL };
const struct atl_job_kind *const *site_kinds = picture_kinds;

/* In the order of app/serve.c. */
static void parts_up(struct site *site)
{
	struct atl_app *app = &site->app;
	struct atl_errinfo info = { 0 };
	struct atl_events_options events = { .encode = { [ATL_EVENTS_SSE] = atl_sse_frame, [ATL_EVENTS_WS] = line_event },
					     .loops = site->loops, .loop_count = 1 };
	static const char *const proxies[] = { "127.0.0.1", NULL };
	int64_t count;

	fixture_open(&site->store);
	app->db = site->store.db;
	assert_ok(atl_db_migrate(app->db, &info), &info);
	assert_ok(atl_guard_init(&site->guard, NULL, &info), &info);
	app->guard = &site->guard;
	assert_ok(atl_metrics_create(&app->metrics), &info);
	assert_ok(atl_auth_create(&app->auth), &info);
	assert_ok(atl_throttle_create(&app->throttle), &info);
	assert_ok(atl_loop_create("loop", &site->loop, &info), &info);
	site->loops[0] = site->loop;
	app->loops = site->loops;
	app->loop_count = 1;
	assert_ok(atl_pool_create(4, 256, &app->pool, &info), &info);
	assert_ok(atl_blobs_create(site->blob_dir, &app->blobs, &info), &info);
	assert_ok(atl_assets_recover(app, &info), &info);
	assert_ok(atl_pictures_create(site->loop, app->decode_program, &app->pictures, &info), &info);
	assert_ok(atl_events_create(&events, &app->events, &info), &info);
	assert_ok(atl_message_interrupt_all(app->db, &count, &info), &info);
	assert_ok(atl_idempotency_recover(app, &info), &info);
	assert_ok(atl_generations_create(app, &app->generations), &info);
	app->stop_message = stop_message;
	assert_ok(atl_prices_create(app, &app->prices, &info), &info);
	assert_ok(atl_providers_create(app, &app->providers, &info), &info);
	assert_ok(atl_picture_models_create(app, &app->picture_models, &info), &info);
	assert_int_equal(atl_fal_hooks_create(&app->fal_hooks), ATL_OK);
	assert_ok(atl_webhooks_create(app, &app->webhooks, &info), &info);
	assert_ok(atl_jobs_create(app, site_kinds, &app->jobs, &info), &info);
	app->metrics_more = atl_jobs_metrics;
	assert_ok(atl_jobs_start(app->jobs, &info), &info);
	assert_ok(atl_openapi_init(app->version, &info), &info);
	site->options = (struct atl_server_options){ .address = "127.0.0.1",
						     .trusted_proxies = proxies,
						     .tables = atl_api_tables,
						     .app = app,
						     .pool = app->pool,
						     .loops = site->loops,
						     .loop_count = 1,
						     .upload_dir = site->upload_dir,
						     .authorize = atl_api_authorize };
	site->mock = atl_mock_create(&site->options);
	assert_non_null(site->mock);
}

static void parts_down(struct site *site)
{
	struct atl_app *app = &site->app;
	uint64_t began = atl_monotonic_ms();

	ears_close(site);
	atl_jobs_drain(app->jobs, WAIT_MS);
	assert_true(atl_monotonic_ms() - began < WAIT_MS); /* it ended because nothing ran any more */
	atl_generations_drain(app->generations, 0);
	atl_events_close(app->events);
	atl_mock_destroy(site->mock);
	atl_openapi_finish();
	atl_jobs_destroy(app->jobs);
	app->jobs = NULL;
	atl_pool_quiesce(app->pool);
	atl_webhooks_destroy(app->webhooks);
	app->webhooks = NULL;
	atl_fal_hooks_destroy(app->fal_hooks);
	atl_picture_models_destroy(app->picture_models);
	atl_providers_destroy(app->providers);
	atl_prices_destroy(app->prices);
	app->prices = NULL;
	app->picture_models = NULL;
	app->providers = NULL;
	atl_pictures_destroy(app->pictures);
	atl_blobs_destroy(app->blobs);
	atl_pool_destroy(app->pool);
	atl_loop_stop(site->loop);
	atl_loop_destroy(site->loop);
	atl_events_destroy(app->events);
	atl_throttle_destroy(app->throttle);
	atl_auth_destroy(app->auth);
	atl_metrics_destroy(app->metrics);
	atl_guard_finish(&site->guard);
	fixture_close(&site->store);
	atl_generations_destroy(app->generations);
}

static struct atl_arena words; /* of fmt() */

struct site *site_create(void)
{
	struct site *site = calloc(1, sizeof(*site));
	struct atl_errinfo info = { 0 };
	struct atl_app *app = &site->app;

	assert_non_null(site);
	clock_begin();
	assert_ok(atl_log_init(getenv("ATELIER_TEST_LOG") ? ATL_LOG_DEBUG : ATL_LOG_ERROR, ATL_LOG_LOGFMT, NULL, &info),
		  &info);
	site->store.kind = getenv("ATELIER_TEST_PG") ? "postgres" : "sqlite";
	fixture_create(&site->store);
	snprintf(site->folder, sizeof(site->folder), "/tmp/atl_site_XXXXXX");
	assert_non_null(mkdtemp(site->folder));
	snprintf(site->upload_dir, sizeof(site->upload_dir), "%s/tmp", site->folder);
	snprintf(site->blob_dir, sizeof(site->blob_dir), "%s/blobs", site->folder);
	snprintf(site->models_dir, sizeof(site->models_dir), "%s/models", site->folder);
	assert_ok(atl_dir_make(site->upload_dir, 0700, &info), &info);
	assert_ok(atl_dir_make(site->models_dir, 0700, &info), &info);
	atl_token_new(site->setup_token);
	app->version = "test";
	app->data_dir = site->folder;
	app->upload_dir = site->upload_dir;
	app->models_dir = site->models_dir;
	app->decode_program = getenv("ATELIER_DECODE");
	if (!app->decode_program)
		app->decode_program = "/nonexistent";
	app->address = "127.0.0.1";
	snprintf(site->key_path, sizeof(site->key_path), "%s/master.key", site->folder);
	assert_ok(atl_keyring_open(app, site->key_path, &info), &info);
	app->setup_token = site->setup_token;
	app->undo_ms = 3600 * 1000LL;
	app->session_ttl_ms = 24 * 3600 * 1000LL;
	app->started_ms = atl_now_ms();
	atl_arena_init(&words, (size_t)64 << 20);
	model_says((struct atl_chat_script){ .usage = ATL_CHAT_USAGE_NOT_TOLD });
	parts_up(site);
	return site;
}

static void remove_tree(const char *path)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf -- '%s'", path);
	if (system(command) != 0)
		fprintf(stderr, "%s stays\n", path);
}

void site_destroy(struct site *site)
{
	parts_down(site);
	atl_keyring_close(&site->app);
	fixture_destroy(&site->store);
	remove_tree(site->folder);
	atl_arena_finish(&words);
	atl_log_finish();
	free(site);
}

void site_restart(struct site *site)
{
	parts_down(site);
	parts_up(site);
}

int site_setup(void **state)
{
	struct site *site = site_create();

	person_create(site, "Olga", ATL_ROLE_OWNER, &owner);
	*state = site;
	return 0;
}

int site_teardown(void **state)
{
	site_destroy(*state);
	return 0;
}

/* ---- people ---- */

static void set_headers(struct person *person)
{
	size_t count = 0;

	if (person->authorization[0])
		person->headers[count++] = person->authorization;
	if (person->cookie[0])
		person->headers[count++] = person->cookie;
	if (person->csrf[0]) {
		person->headers[count++] = person->csrf;
		person->headers[count++] = "Origin: http://localhost";
	}
	person->headers[count] = NULL;
}

void person_create(struct site *site, const char *name, enum atl_role role, struct person *out)
{
	struct atl_errinfo info = { 0 };
	struct atl_identity identity;
	char token[ATL_TOKEN_SIZE];

	memset(out, 0, sizeof(*out));
	assert_ok(atl_user_create(&site->app, name, "correct horse", role, false, out->id, &info), &info);
	assert_ok(atl_session_create(&site->app, out->id, "test", "127.0.0.1", token, &identity, &info), &info);
	atl_str_copy(out->session_id, sizeof(out->session_id), identity.session_id);
	snprintf(out->cookie, sizeof(out->cookie), "Cookie: " ATL_COOKIE_NAME "=%s", token);
	snprintf(out->csrf, sizeof(out->csrf), "X-CSRF-Token: %s", identity.csrf_token);
	set_headers(out);
}

void person_key(struct site *site, const struct person *of, const char *scopes, struct person *out)
{
	char list[160] = "", *at = list, copy[100];
	struct atl_req *req;

	atl_str_copy(copy, sizeof(copy), scopes);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		at += snprintf(at, sizeof(list) - (size_t)(at - list), "%s\"%s\"", at == list ? "" : ",", word);
	req = expect(ask(site, of, "POST /api/v1/keys", fmt("{\"name\":\"test\",\"scopes\":[%s]}", list)), 201);
	memset(out, 0, sizeof(*out));
	atl_str_copy(out->id, sizeof(out->id), of->id);
	atl_str_copy(out->session_id, sizeof(out->session_id), text_at(req, "id"));
	snprintf(out->authorization, sizeof(out->authorization), "Authorization: Bearer %s", text_at(req, "key"));
	set_headers(out);
}

/* ---- asking ---- */

const char *fmt(const char *format, ...)
{
	va_list args;
	char *text, *kept;

	va_start(args, format);
	assert_true(vasprintf(&text, format, args) >= 0);
	va_end(args);
	kept = atl_arena_strdup(&words, text);
	assert_non_null(kept);
	free(text);
	return kept;
}

struct atl_req *ask_data(struct site *site, const struct person *who, const char *const *more, const char *line,
			 const void *body, size_t length)
{
	const char *headers[24], *space = strchr(line, ' ');
	char method[16];
	size_t count = 0;

	for (size_t i = 0; who->headers[i]; i++)
		headers[count++] = who->headers[i];
	for (size_t i = 0; more && more[i]; i++)
		headers[count++] = more[i];
	headers[count] = NULL;
	snprintf(method, sizeof(method), "%.*s", (int)(space - line), line);
	return atl_mock_request_data(site->mock, method, space + 1, headers, body, length);
}

struct atl_req *ask_with(struct site *site, const struct person *who, const char *const *more, const char *line,
			 const char *body)
{
	return ask_data(site, who, more, line, body, body ? strlen(body) : 0);
}

struct atl_req *ask(struct site *site, const struct person *who, const char *line, const char *body)
{
	return ask_with(site, who, NULL, line, body);
}

/* ---- looking ---- */

struct atl_req *expect_(struct atl_req *req, int status, const char *file, int line)
{
	if (req->status != status) {
		print_error("%s:%d: %s %s: %d instead of %d\n%.2000s\n", file, line, atl_method_name(req->method), req->target,
			    req->status, status, req->out.length ? req->out.data : "");
		_fail(file, line);
	}
	return req;
}

const struct atl_json *json_of(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_json *tree;

	if (atl_json_parse(&req->arena, req->out.data, req->out.length, &tree, &info) != ATL_OK)
		fail_msg("%s: not JSON: %s: %.500s", req->target, info.detail, req->out.data);
	return tree;
}

static const struct atl_json *at(struct atl_req *req, const char *path)
{
	const struct atl_json *tree = json_of(req);

	return *path ? atl_json_path(tree, path) : tree;
}

const char *text_at(struct atl_req *req, const char *path)
{
	const struct atl_json *node = at(req, path);

	return node && node->kind == ATL_JSON_STRING ? fmt("%s", node->string) : "";
}

int64_t int_at(struct atl_req *req, const char *path)
{
	const struct atl_json *node = at(req, path);
	int64_t value;

	if (node && node->kind == ATL_JSON_BOOL)
		return node->number != 0;
	return node && atl_json_integer(node, &value) ? value : -1;
}

bool is_null_at(struct atl_req *req, const char *path)
{
	const struct atl_json *node = at(req, path);

	return node && node->kind == ATL_JSON_NULL;
}

size_t count_at(struct atl_req *req, const char *path)
{
	const struct atl_json *node = at(req, path);

	return node ? node->count : 0;
}

void expect_problem_(struct atl_req *req, int status, const char *slug, const char *field, const char *file, int line)
{
	expect_(req, status, file, line);
	if (!atl_str_eq(text_at(req, "slug"), slug) || (field && !atl_str_eq(text_at(req, "field"), field))) {
		print_error("%s:%d: %s: not %s %s:\n%s\n", file, line, req->target, slug, field ? field : "", req->out.data);
		_fail(file, line);
	}
}

struct atl_buf load_picture(const char *file)
{
	const char *folder = getenv("ATELIER_PICTURES");
	struct atl_errinfo info = { 0 };
	struct atl_buf data;

	assert_non_null(folder);
	atl_buf_init(&data, (size_t)32 << 20);
	assert_ok(atl_file_read(fmt("%s/%s", folder, file), (size_t)32 << 20, &data, &info), &info);
	return data;
}

const char *make_asset(struct site *site, const struct person *who, const char *file)
{
	static const char *const type[] = { "Content-Type: application/octet-stream", NULL };
	struct atl_buf data = load_picture(file);
	struct atl_req *req = expect(ask_data(site, who, type, "POST /api/v1/assets", data.data, data.length), 201);

	atl_buf_finish(&data);
	return text_at(req, "id");
}

const char *scripted_pictures(struct site *site)
{
	return text_at(expect(ask(site, &owner, "POST /api/v1/providers", "{\"preset\":\"fake\",\"base_url\":\"https://8.8.8.8/v1\"}"), 201), "id");
}

const char *base64_picture(const char *file)
{
	struct atl_buf data = load_picture(file), out;
	const char *text;

	atl_buf_init(&out, (size_t)64 << 20);
	atl_base64_encode(&out, ATL_BASE64_STANDARD, data.data, data.length);
	text = fmt("%s", out.data);
	atl_buf_finish(&out);
	atl_buf_finish(&data);
	return text;
}
