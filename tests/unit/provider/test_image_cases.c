/* test_image_cases.c - replays tests/cases/image/SERVICE/NAME.txt: what is asked for, the exchanges, what is told.
 *
 * A case begins with settings ("key: value"): kind, task, model, prompt, negative, width, height, steps, count, seed,
 * cfg_scale, guidance, strength, sampler, scheduler, style_preset, quality, format, extra, control_type,
 * upscale_factor, frames, fps, duration_s, safe_mode (no), previews (yes), workflow, lora (NAME PATH WEIGHT), init and
 * mask (WxH), references (how many), cap (bytes of a result), key, path (after the base URL), public_url, remote_id,
 * call (models, styles or check: that call instead of a run).
 *
 * Then, in turn, as often as the service is asked:
 *   --- request [TIMES]   the first line is "METHOD /path" ("/path..." begins so); every other must be somewhere in the
 *                         request, "!text" must not; after a line "body" comes JSON of which every member must be there
 *                         ("abc..." is any string that begins so).
 *   --- reply             an HTTP answer; Content-Length is added where there is none. Lines of the body: "@png WxH",
 *                         "@mp4", "@filler N" (letters), "@base64 TEXT", else text in which {base} and {other} are this
 *                         server under two origins and {png64:WxH} is a picture in base64. Directives: "!cut N" sends N
 *                         bytes of the body and closes; "!cancel" in place of an answer cancels the run.
 *   --- events            every line must be told exactly; equal progress lines in a row are one.
 */
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"
#include "case_server.h"
#include "net/fetch.h"
#include "provider/image_fal_hook.h"
#include "provider/image_services.h"
#include "provider/image_venice.h"

#define CASE_MAX ((size_t)1 << 20)

struct told {
	struct atl_arena arena;
	char *settings, *events;
	struct case_server server;
	struct atl_fal_hooks *fal_hooks;
	struct atl_buf out;
	char last_progress[200];
	atomic_bool cancelled;
};

/* ---- reading a case ---- */
static char *read_file(struct atl_arena *arena, const char *path)
{
	FILE *file = fopen(path, "rb");
	char *text = atl_arena_alloc(arena, CASE_MAX);

	if (!file)
		fail_msg("cannot read %s", path);
	text[fread(text, 1, CASE_MAX - 1, file)] = 0;
	fclose(file);
	return text;
}

static const char *setting(struct told *t, const char *name)
{
	size_t length = strlen(name);

	for (char *line = t->settings; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, name, length) == 0 && line[length] == ':') {
			size_t skip = length + 1 + (line[length + 1] == ' ');
			const char *value = atl_arena_strndup(&t->arena, line + skip, strcspn(line + skip, "\n"));
			struct atl_buf expanded;

			if (!strchr(value, '{'))
				return value;
			atl_buf_init(&expanded, CASE_MAX);
			case_server_expand(&t->server, value, &expanded);
			value = atl_arena_strdup(&t->arena, expanded.data);
			atl_buf_finish(&expanded);
			return value;
		}
	return NULL;
}

static void parse_case(struct told *t, char *text)
{
	struct case_exchange *exchange = t->server.exchanges;

	t->settings = text;
	for (char *section = text; section;) {
		char *next = strstr(section, "\n--- "), *body = strchr(section, '\n') + 1;

		if (next) {
			next[1] = 0;
			next += 5;
		}
		if (section == text) {
			/* the settings */
		} else if (strncmp(section, "request", 7) == 0) {
			assert_true(t->server.exchange_count < CASE_EXCHANGES_MAX);
			exchange = &t->server.exchanges[t->server.exchange_count++];
			exchange->request = body;
			exchange->times = section[7] == ' ' ? (unsigned)strtoul(section + 8, NULL, 10) : 1;
		} else if (strncmp(section, "reply", 5) == 0) {
			exchange->reply = body;
		} else {
			t->events = body;
		}
		section = next;
	}
	for (size_t i = 0; i < t->server.exchange_count; i++)
		assert_non_null(t->server.exchanges[i].reply);
	assert_non_null(t->events);
}

/* ---- events ---- */
static void on_progress(void *arg, const struct atl_image_progress *p)
{
	struct told *t = arg;
	char line[200];
	int at = snprintf(line, sizeof(line), "progress: %s", p->phase);

	if (p->steps > 0)
		at += snprintf(line + at, sizeof(line) - (size_t)at, " %lld/%lld", (long long)p->step, (long long)p->steps);
	if (p->queue_position >= 0)
		at += snprintf(line + at, sizeof(line) - (size_t)at, " place %lld", (long long)p->queue_position);
	if (p->index > 0)
		snprintf(line + at, sizeof(line) - (size_t)at, " of %lld", (long long)p->index);
	if (strcmp(line, t->last_progress) != 0)
		atl_buf_addf(&t->out, "%s\n", line);
	snprintf(t->last_progress, sizeof(t->last_progress), "%s", line);
}

static void on_preview(void *arg, int64_t index, const void *data, size_t length, const char *media_type)
{
	assert_non_null(data);
	atl_buf_addf(&((struct told *)arg)->out, "preview: %lld %s %zu bytes\n", (long long)index, media_type, length);
}

static enum atl_err on_result(void *arg, const struct atl_image_result *r, struct atl_errinfo *info)
{
	struct told *t = arg;

	(void)info;
	atl_buf_addf(&t->out, "result: %lld %s", (long long)r->index, r->rgb ? "rgb" : r->media_type);
	if (atl_str_eq(r->media_type, "image/png")) {
		const unsigned char *p = r->data;

		assert_true(r->length > 24);
		atl_buf_addf(&t->out, " %dx%d", p[18] << 8 | p[19], p[22] << 8 | p[23]);
	}
	if (r->seed != ATL_IMAGE_UNSET)
		atl_buf_addf(&t->out, " seed %lld", (long long)r->seed);
	if (r->revised_prompt)
		atl_buf_addf(&t->out, " (%s)", r->revised_prompt);
	atl_buf_addc(&t->out, '\n');
	return ATL_OK;
}

static void on_note(void *arg, const char *text)
{
	atl_buf_addf(&((struct told *)arg)->out, "note: %s\n", text);
}

static enum atl_err on_remote(void *arg, const char *remote_id, struct atl_errinfo *info)
{
	(void)info;
	atl_buf_addf(&((struct told *)arg)->out, "remote: %s\n", remote_id);
	return ATL_OK;
}

static void on_cost(void *arg, int64_t micro_usd)
{
	atl_buf_addf(&((struct told *)arg)->out, "cost: %lld\n", (long long)micro_usd);
}

/* ---- the request ---- */
static int64_t number(struct told *t, const char *name, int64_t fallback)
{
	const char *text = setting(t, name);

	return text ? strtoll(text, NULL, 10) : fallback;
}

static double real(struct told *t, const char *name)
{
	const char *text = setting(t, name);

	return text ? strtod(text, NULL) : NAN;
}

static struct atl_image_file picture(struct told *t, const char *size)
{
	struct atl_image_file file = { .media_type = "image/png" };
	struct atl_buf png;
	int width = 0, height = 0;

	if (!size)
		return (struct atl_image_file){ 0 };
	assert_int_equal(sscanf(size, "%dx%d", &width, &height), 2);
	atl_buf_init(&png, CASE_MAX);
	case_png(width, height, &png);
	file.data = atl_arena_strndup(&t->arena, png.data, png.length);
	file.length = png.length;
	file.width = width;
	file.height = height;
	atl_buf_finish(&png);
	return file;
}

static void set_loras(struct told *t, struct atl_image_request *q)
{
	struct atl_image_lora *lora = ATL_ARENA_NEW(&t->arena, struct atl_image_lora);
	const char *text = setting(t, "lora");
	char name[100], path[200];

	if (!text)
		return;
	assert_int_equal(sscanf(text, "%99s %199s %lf", name, path, &lora->weight), 3);
	lora->name = atl_arena_strdup(&t->arena, name);
	lora->path = strcmp(path, "-") ? atl_arena_strdup(&t->arena, path) : NULL;
	q->loras = lora;
	q->lora_count = 1;
}

static void set_request(struct told *t, struct atl_image_request *q)
{
	struct atl_image_file *references = ATL_ARENA_ARRAY(&t->arena, struct atl_image_file, ATL_IMAGE_REFERENCES_MAX);
	const char *prompt = setting(t, "prompt"), *negative = setting(t, "negative"), *model = setting(t, "model");

	*q = (struct atl_image_request){ .model = model ? model : "", .prompt = prompt ? prompt : "a red lighthouse",
		.negative_prompt = negative ? negative : "", .subseed = ATL_IMAGE_UNSET, .subseed_strength = NAN,
		.width = number(t, "width", ATL_IMAGE_UNSET), .height = number(t, "height", ATL_IMAGE_UNSET),
		.steps = number(t, "steps", ATL_IMAGE_UNSET), .clip_skip = number(t, "clip_skip", ATL_IMAGE_UNSET),
		.count = number(t, "count", 1), .seed = number(t, "seed", 7), .frames = number(t, "frames", ATL_IMAGE_UNSET),
		.fps = number(t, "fps", ATL_IMAGE_UNSET), .duration_s = number(t, "duration_s", ATL_IMAGE_UNSET),
		.cfg_scale = real(t, "cfg_scale"), .guidance = real(t, "guidance"), .strength = real(t, "strength"),
		.control_strength = NAN, .upscale_factor = real(t, "upscale_factor"), .sampler = setting(t, "sampler"),
		.scheduler = setting(t, "scheduler"), .control_type = setting(t, "control_type"),
		.format = setting(t, "format"), .quality = setting(t, "quality"), .style_preset = setting(t, "style_preset"),
		.workflow = setting(t, "workflow"), .extra = setting(t, "extra"), .upscaler = setting(t, "upscaler"),
		.safe_mode = !atl_str_eq(setting(t, "safe_mode"), "no"), .previews = setting(t, "previews") != NULL,
		.init = picture(t, setting(t, "init")), .mask = picture(t, setting(t, "mask")),
		.mask_alpha = picture(t, setting(t, "mask")), .references = references,
		.control = picture(t, setting(t, "control")), .reference_count = (size_t)number(t, "references", 0) };
	assert_true(atl_image_task_find(setting(t, "task") ? setting(t, "task") : "txt2img", &q->task));
	for (size_t i = 0; i < q->reference_count; i++)
		references[i] = picture(t, "16x16");
	set_loras(t, q);
}

static enum atl_err list_models(struct told *t, const struct atl_image_endpoint *endpoint,
				const struct atl_image_ops *ops, struct atl_errinfo *info)
{
	struct atl_image_model *models = NULL;
	size_t count = 0;
	enum atl_err err = ops->models(endpoint, &t->arena, &models, &count, info);

	for (size_t i = 0; i < count && !err; i++)
		atl_buf_addf(&t->out, "model: %s \"%s\" %s\n", models[i].id, models[i].name,
			     models[i].tasks ? models[i].tasks : "-");
	return err;
}

static enum atl_err list_styles(struct told *t, const struct atl_image_endpoint *endpoint, struct atl_errinfo *info)
{
	struct atl_strs styles = { 0 };
	enum atl_err err = atl_image_venice_styles(endpoint, &t->cancelled, &t->arena, &styles, info);

	for (size_t i = 0; i < styles.count && !err; i++)
		atl_buf_addf(&t->out, "style: %s\n", styles.items[i]);
	return err;
}

static enum atl_err run_it(struct told *t, struct atl_loop *loop, struct atl_errinfo *info)
{
	static const struct atl_image_events EVENTS = { on_progress, on_preview, on_result, on_note, on_remote, on_cost };
	struct atl_guard guard = { .allow_private = true };
	const char *path = setting(t, "path"), *call = setting(t, "call");
	struct atl_image_endpoint endpoint = { .kind = setting(t, "kind"), .name = "Service", .guard = &guard, .loop = loop,
		.key = setting(t, "key"), .public_url = setting(t, "public_url"), .fal_hooks = t->fal_hooks,
		.base_url = atl_arena_printf(&t->arena, "%s%s", t->server.base, path ? path : "") };
	const struct atl_image_ops *ops = atl_image_ops_find(endpoint.kind);
	struct atl_image_request request;
	struct atl_image_run run = { .endpoint = &endpoint, .request = &request, .events = &EVENTS, .arg = t,
		.remote_id = setting(t, "remote_id"), .cancelled = &t->cancelled,
		.max_result_bytes = (size_t)number(t, "cap", 8 << 20), .pause_max_ms = 20 };

	assert_non_null(ops);
	set_request(t, &request);
	if (atl_str_eq(call, "models"))
		return list_models(t, &endpoint, ops, info);
	if (atl_str_eq(call, "styles"))
		return list_styles(t, &endpoint, info);
	if (atl_str_eq(call, "check"))
		return ops->check(&endpoint, &request, &t->arena, info);
	return atl_image_run(&run, &t->arena, info);
}

static void run_case(void **state)
{
	struct told *t = calloc(1, sizeof(*t));
	struct atl_errinfo info = { 0 };
	struct atl_loop *loop;
	enum atl_err err;

	assert_non_null(t);
	atl_arena_init(&t->arena, 0);
	atl_buf_init(&t->out, CASE_MAX);
	parse_case(t, read_file(&t->arena, *state));
	t->server.cancelled = &t->cancelled;
	case_server_start(&t->server);
	assert_int_equal(atl_fal_hooks_create(&t->fal_hooks), ATL_OK);
	assert_int_equal(atl_loop_create("test", &loop, NULL), ATL_OK);
	err = run_it(t, loop, &info);
	atl_loop_stop(loop);
	atl_loop_destroy(loop);
	atl_fal_hooks_destroy(t->fal_hooks);
	case_server_stop(&t->server);
	if (t->server.mismatch)
		fail_msg("%s", t->server.mismatch);
	atl_buf_addf(&t->out, "done: %s\n", err ? atl_err_slug(err) : "ok");
	if (err && info.detail[0])
		atl_buf_addf(&t->out, "detail: %s\n", info.detail);
	if (err && info.field[0])
		atl_buf_addf(&t->out, "field: %s\n", info.field);
	if (err && info.retry_after_s)
		atl_buf_addf(&t->out, "retry_after_s: %d\n", info.retry_after_s);
	atl_buf_addf(&t->out, "requests: %zu\n", t->server.requests);
	if (setting(t, "key"))
		assert_null(strstr(t->out.data, setting(t, "key")));
	assert_string_equal(t->out.data, t->events);
	atl_buf_finish(&t->out);
	atl_arena_finish(&t->arena);
	free(t);
}

int main(int argc, char **argv)
{
	struct CMUnitTest *tests = calloc((size_t)argc, sizeof(*tests));
	int rc;

	if (argc < 2 || !tests || atl_fetch_global_init())
		return 1;
	for (int i = 1; i < argc; i++) {
		const char *name = strstr(argv[i], "image/");

		tests[i - 1] = (struct CMUnitTest){ name ? name + 6 : argv[i], run_case, NULL, NULL, argv[i] };
	}
	rc = _cmocka_run_group_tests("image", tests, (size_t)argc - 1, NULL, NULL);
	atl_fetch_global_finish();
	free(tests);
	return rc;
}
