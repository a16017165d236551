/* picture_run.c - the job kind "picture": runs a stored request at its service and stores what comes; see picture.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/models/provider.h"
#include "core/people/rights.h"
#include "core/pictures/picture_entry.h"
#include "core/pictures/picture_inputs.h"
#include "core/pictures/picture_mark.h"
#include "core/pictures/picture_times.h"
#include "core/pictures/workflow.h"
#include "core/safety/picture_check.h"
#include "core/safety/provenance.h"
#include "core/server/setting.h"
#include "media/encode.h"
#include "media/metadata.h"
#include "media/picture.h"

#define LABELLED_QUALITY 95 /* of a WebP that is encoded once more */

struct running {
	struct atl_job_run *run;
	struct atl_picture_request request;
	struct atl_picture_model model;
	const struct atl_asset_parent *parents;
	size_t parent_count;
	const char **lora_names;
	const struct atl_image_request *image;
	int64_t results, withheld;
};

/* ---- events ---- */

static void on_progress(void *arg, const struct atl_image_progress *progress)
{
	struct running *r = arg;

	atl_job_progress(r->run, progress);
}

/* An unfinished picture may show already what the finished one will be held for. */
static bool preview_allowed(struct running *r, const void *data, size_t length)
{
	struct atl_errinfo ignored = { 0 };
	struct atl_picture_verdict verdict;
	bool allowed;
	struct atl_arena arena;

	if (!atl_picture_check_wanted(r->run->app, ATL_SEEN_RESULT))
		return true;
	atl_arena_init(&arena, ATL_IMAGE_RESULT_MAX);
	allowed = atl_picture_check_encoded(r->run->app, &arena, r->run->job->user_id, data, length, &verdict, &ignored) ==
			  ATL_OK &&
		  atl_str_eq(verdict.state, "clear");
	atl_arena_finish(&arena);
	return allowed;
}

static void on_preview(void *arg, int64_t index, const void *data, size_t length, const char *media_type)
{
	struct running *r = arg;

	if (preview_allowed(r, data, length))
		atl_job_preview(r->run, index, data, length, media_type);
}

static void on_note(void *arg, const char *text)
{
	struct running *r = arg;

	atl_job_note(r->run, text);
}

static enum atl_err on_remote(void *arg, const char *remote_id, struct atl_errinfo *info)
{
	struct running *r = arg;

	return atl_job_remote(r->run, remote_id, info);
}

static void on_cost(void *arg, int64_t micro_usd)
{
	struct running *r = arg;

	atl_job_cost(r->run, micro_usd);
}

/* The A1111 text of one result. */
static const char *parameters_text(struct running *r, struct atl_arena *arena, int64_t seed, int64_t width, int64_t height)
{
	const struct atl_picture_ask *ask = &r->request.ask;
	const struct atl_picture_lora_in *loras = ask->loras.items;
	struct atl_recall recall;

	atl_recall_init(&recall);
	recall.source = "atelier";
	recall.prompt = ask->prompt;
	recall.negative_prompt = ask->negative_prompt;
	recall.model = r->request.model_name;
	recall.sampler = ask->sampler;
	recall.scheduler = ask->scheduler;
	recall.version = r->run->app->version;
	recall.steps = ask->steps;
	recall.seed = seed;
	recall.width = width;
	recall.height = height;
	recall.clip_skip = ask->clip_skip;
	recall.subseed = ask->subseed;
	recall.cfg_scale = ask->cfg_scale;
	recall.guidance = ask->guidance;
	recall.strength = ask->strength;
	recall.subseed_strength = ask->subseed_strength;
	recall.loras = ATL_ARENA_ARRAY(arena, struct atl_recall_lora, ask->loras.count + 1);
	for (size_t i = 0; recall.loras && i < ask->loras.count; i++)
		recall.loras[recall.lora_count++] = (struct atl_recall_lora){ loras[i].name, loras[i].weight };
	return atl_metadata_parameters(arena, &recall);
}

/* Our own JSON: the request with the seed of this very result. */
static const char *own_json(struct running *r, struct atl_arena *arena, int64_t seed, struct atl_errinfo *info)
{
	struct atl_picture_request one = r->request;
	const char *text = NULL;

	one.ask.seed = seed;
	one.ask.count = 1;
	one.notes.count = 0;
	return atl_picture_request_write(arena, &one, &text, info) == ATL_OK ? text : NULL;
}

/* Rows become a PNG that carries the invisible mark; the rows themselves are the engine's and stay as they are. */
static enum atl_err encode_rows(struct atl_app *app, const struct atl_image_result *result, struct atl_buf *out,
				struct atl_errinfo *info)
{
	size_t width = (size_t)result->width, height = (size_t)result->height;
	unsigned char *rows = NULL;
	enum atl_err err = ATL_OK;

	if (atl_picture_mark_wanted(app)) {
		rows = malloc(width * height * 3);
		if (!rows)
			return atl_fail(info, ATL_ERR_NOMEM, "picture");
		memcpy(rows, result->data, width * height * 3);
		err = atl_picture_mark(app, rows, width, height, info);
	}
	if (!err)
		err = atl_png_encode(rows ? rows : result->data, width, height, 3, out, info);
	free(rows);
	return err;
}

static enum atl_err encode(struct atl_app *app, const struct atl_image_result *result, struct atl_buf *out,
			   struct atl_errinfo *info)
{
	if (result->rgb)
		return encode_rows(app, result, out, info);
	atl_buf_add(out, result->data, result->length);
	return atl_buf_err(out, info);
}

/* The operator's wish: "AI" is seen in the picture. A JPEG becomes WebP. Without the label it is not given out. */
static enum atl_err label(struct running *r, struct atl_buf *file, struct atl_errinfo *info)
{
	bool png = atl_picture_sniff(file->data, file->length) == ATL_PICTURE_PNG;
	const struct atl_picture_options ask = { .owner = r->run->job->user_id,
		.keep = png ? ATL_PICTURE_AS_PNG : ATL_PICTURE_AS_AUTO, .quality = LABELLED_QUALITY, .label = true };
	struct atl_picture picture;
	struct atl_arena arena;
	enum atl_err err;

	if (!atl_setting_bool(r->run->app, ATL_SETTING_PICTURE_LABEL, false))
		return ATL_OK;
	atl_arena_init(&arena, 2 * ATL_IMAGE_RESULT_MAX);
	err = atl_picture_open(r->run->app->pictures, &arena, file->data, file->length, &ask, &picture, info);
	if (!err) {
		atl_buf_reset(file);
		atl_buf_add(file, picture.outs[0].data, picture.outs[0].length);
		err = atl_buf_err(file, info);
	}
	atl_arena_finish(&arena);
	return err;
}

/* Signs what is stored. The picture it was made from goes along into the signed manifest; where its file is not to be had
 * the manifest says that there was one. False: it stays as it is. */
static bool seal(struct running *r, const struct atl_buf *file, struct atl_buf *sealed)
{
	struct atl_provenance_made made = { .composite = r->parent_count > 0, .edited = r->request.ask.init_asset != NULL };
	struct atl_errinfo ignored = { 0 };
	struct atl_arena arena;
	struct atl_asset parent;
	bool done;

	atl_arena_init(&arena, ATL_CREDENTIALS_FILE_MAX + ((size_t)1 << 20));
	if (made.edited && r->run->app->provenance &&
	    atl_asset_get(r->run->app, &arena, r->run->job->user_id, r->request.ask.init_asset, &parent, &ignored) == ATL_OK) {
		made.parent_type = parent.media_type;
		if (parent.size_bytes > ATL_PROVENANCE_PARENT_BYTES_MAX ||
		    atl_asset_read(r->run->app, &arena, &parent, &made.parent, &made.parent_length, &ignored))
			made.parent = NULL;
	}
	done = atl_provenance_sign(r->run->app, file->data, file->length, &made, sealed);
	atl_arena_finish(&arena);
	return done;
}

static enum atl_err store(struct running *r, struct atl_arena *arena, const struct atl_image_result *result,
			  struct atl_buf *file, struct atl_buf *marked, struct atl_buf *sealed, struct atl_errinfo *info)
{
	const struct atl_picture_ask *ask = &r->request.ask;
	const char *type = result->rgb ? "image/png" : result->media_type;
	bool video = strncmp(type, "video/", 6) == 0;
	int64_t seed = result->seed != ATL_IMAGE_UNSET ? result->seed : ask->seed + result->index;
	const char *json = own_json(r, arena, seed, info);
	struct atl_metadata_out metadata = { .atelier = json, .composite = r->parent_count > 0 };
	struct atl_asset_new asset = { .user_id = r->run->job->user_id, .media_type = type, .kind = video ? "video" : "picture",
		.origin = "generated", .library = true, .task = ask->task, .model = ask->model, .prompt = ask->prompt,
		.params = json, .seed = seed, .character_id = ask->character_id, .conversation_id = r->run->job->conversation_id,
		.message_id = r->run->job->message_id,
		.board_id = r->run->job->board_id, .parents = r->parents, .parent_count = r->parent_count,
		.loras = r->lora_names, .lora_count = ask->loras.count, .mature = !r->request.safe_mode };
	struct atl_asset stored;
	enum atl_err err;

	if (!json)
		return atl_fail(info, ATL_ERR_NOMEM, "metadata");
	err = encode(r->run->app, result, file, info);
	if (!err && !video)
		err = label(r, file, info);
	if (!err && !video) {
		metadata.parameters = parameters_text(r, arena, seed, result->width > 0 ? result->width : ask->width,
						      result->height > 0 ? result->height : ask->height);
		err = atl_metadata_write(file->data, file->length, &metadata, marked, info);
		if (err == ATL_ERR_PICTURE)
			return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent a picture that cannot be read: %s",
					r->model.provider_name, info ? info->detail : "");
	}
	const struct atl_buf *best = video ? file : marked;
	if (!err && seal(r, best, sealed))
		best = sealed;
	if (!err)
		err = atl_asset_store_file(r->run->app, arena, best->data, best->length, &asset, info);
	if (err == ATL_ERR_PICTURE)
		return atl_fail_context(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent a picture that cannot be read",
					r->model.provider_name);
	if (err == ATL_ERR_POLICY) { /* this one is not kept; the others are judged by themselves */
		r->withheld++;
		if (r->withheld < r->request.ask.count) {
			atl_job_note(r->run, info ? info->detail : "A picture was withheld.");
			return ATL_OK;
		}
	}
	return err ? err : atl_job_result(r->run, result->index, &asset, &stored, info);
}

static enum atl_err on_result(void *arg, const struct atl_image_result *result, struct atl_errinfo *info)
{
	struct running *r = arg;
	size_t max = result->rgb || strncmp(result->media_type, "video/", 6) != 0 ? ATL_IMAGE_RESULT_MAX : ATL_IMAGE_VIDEO_MAX;
	struct atl_buf file, marked, sealed;
	struct atl_arena arena;
	enum atl_err err;

	atl_arena_init(&arena, ATL_IMAGE_RESULT_MAX);
	atl_buf_init(&file, max);
	atl_buf_init(&marked, max + ((size_t)4 << 20));
	atl_buf_init(&sealed, max + ((size_t)4 << 20) + ATL_CREDENTIALS_ROOM);
	err = store(r, &arena, result, &file, &marked, &sealed, info);
	r->results += !err;
	atl_buf_finish(&file);
	atl_buf_finish(&marked);
	atl_buf_finish(&sealed);
	atl_arena_finish(&arena);
	return err;
}

static const struct atl_image_events EVENTS = { .progress = on_progress, .preview = on_preview, .result = on_result,
	.note = on_note, .remote = on_remote, .cost = on_cost };

/* ---- the run ---- */

/* The first result of the job this one waited for is its input when it names none. */
static enum atl_err input_of_dependency(struct running *r, struct atl_errinfo *info)
{
	const struct atl_job *job = r->run->job;
	struct atl_job before;
	enum atl_err err;

	if (r->request.ask.init_asset || !job->depends_on)
		return ATL_OK;
	err = atl_job_get(r->run->app, r->run->arena, job->user_id, job->depends_on, &before, info);
	if (err)
		return err;
	if (!before.assets.count)
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The job before this one made no picture.");
	r->request.ask.init_asset = ((const struct atl_asset *)before.assets.items)[0].id;
	return ATL_OK;
}

static enum atl_err list_parents(struct running *r, struct atl_errinfo *info)
{
	const struct atl_picture_ask *ask = &r->request.ask;
	struct atl_asset_parent *parents = ATL_ARENA_ARRAY(r->run->arena, struct atl_asset_parent,
							   ask->reference_assets.count + 3);
	size_t count = 0;

	if (!parents)
		return atl_fail(info, ATL_ERR_NOMEM, "parents");
	if (ask->init_asset)
		parents[count++] = (struct atl_asset_parent){ ask->init_asset,
							      atl_str_eq(ask->task, "upscale") ? "upscaled" : "init" };
	if (ask->mask_asset)
		parents[count++] = (struct atl_asset_parent){ ask->mask_asset, "mask" };
	if (ask->control_asset)
		parents[count++] = (struct atl_asset_parent){ ask->control_asset, "control" };
	for (size_t i = 0; i < ask->reference_assets.count; i++)
		parents[count++] = (struct atl_asset_parent){ ask->reference_assets.items[i], "reference" };
	r->parents = parents;
	r->parent_count = count;
	return ATL_OK;
}

static int64_t or_zero(int64_t value)
{
	return value == ATL_IMAGE_UNSET ? 0 : value;
}

static enum atl_err make_request(struct running *r, struct atl_image_request *image, struct atl_errinfo *info)
{
	struct atl_app *app = r->run->app;
	struct atl_arena *arena = r->run->arena;
	const struct atl_picture_ask *ask = &r->request.ask;
	const struct atl_picture_lora_in *given = ask->loras.items;
	struct atl_image_lora *loras = ATL_ARENA_ARRAY(arena, struct atl_image_lora, ask->loras.count + 1);
	enum atl_image_task task;

	r->lora_names = ATL_ARENA_ARRAY(arena, const char *, ask->loras.count + 1);
	if (!loras || !r->lora_names)
		return atl_fail(info, ATL_ERR_NOMEM, "request");
	if (!ask->task || !atl_image_task_find(ask->task, &task))
		return atl_fail(info, ATL_ERR_INTERNAL, "the stored request has no task");
	for (size_t i = 0; i < ask->loras.count; i++) {
		r->lora_names[i] = given[i].name;
		loras[i] = (struct atl_image_lora){ .name = given[i].name, .weight = given[i].weight };
		if (atl_str_eq(r->model.provider_id, "local"))
			loras[i].path = atl_arena_printf(arena, "%s/loras/%s.safetensors", app->models_dir, given[i].name);
	}
	*image = (struct atl_image_request){ .task = task, .model = atl_picture_model_remote(app, arena, &r->model),
		.prompt = ask->prompt ? ask->prompt : "", .negative_prompt = ask->negative_prompt ? ask->negative_prompt : "",
		.width = ask->width, .height = ask->height, .steps = ask->steps, .clip_skip = ask->clip_skip,
		.count = ask->count, .seed = ask->seed, .subseed = ask->subseed, .subseed_strength = ask->subseed_strength,
		.cfg_scale = ask->cfg_scale, .guidance = ask->guidance, .strength = ask->strength, .sampler = ask->sampler,
		.scheduler = ask->scheduler, .loras = loras, .lora_count = ask->loras.count,
		.control_type = ask->control_type, .control_strength = ask->control_strength,
		.upscale_factor = ask->upscale_factor, .upscaler = ask->upscaler, .frames = ask->frames, .fps = ask->fps,
		.duration_s = ask->duration_s, .format = ask->format, .quality = ask->quality,
		.style_preset = atl_json_str(ask->extra, "style_preset", NULL), .safe_mode = r->request.safe_mode,
		.previews = true };
	if (!image->model)
		return atl_fail(info, ATL_ERR_NOMEM, "request");
	if (ask->extra) {
		struct atl_buf buf;
		struct atl_jw w;

		atl_buf_init(&buf, ATL_JOB_REQUEST_MAX);
		atl_jw_init(&w, &buf);
		atl_jw_tree(&w, NULL, ask->extra);
		image->extra = buf.failed ? NULL : atl_arena_strndup(arena, buf.data, buf.length);
		atl_buf_finish(&buf);
		if (!image->extra)
			return atl_fail(info, ATL_ERR_NOMEM, "request");
	}
	return ATL_OK;
}

static enum atl_err add_value(struct atl_arena *arena, struct atl_image_input *out, const char *name,
			      const struct atl_json *value, struct atl_errinfo *info)
{
	struct atl_buf buf;
	struct atl_jw w;

	atl_buf_init(&buf, ATL_JOB_REQUEST_MAX);
	atl_jw_init(&w, &buf);
	atl_jw_tree(&w, NULL, value);
	*out = (struct atl_image_input){ name, buf.failed ? NULL : atl_arena_strndup(arena, buf.data, buf.length) };
	atl_buf_finish(&buf);
	return out->value ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "inputs");
}

/* A saved workflow, the values of its form, and behind them what its owner fixed: the last one counts. */
static enum atl_err add_workflow(struct running *r, struct atl_image_request *image, struct atl_errinfo *info)
{
	const struct atl_picture_ask *ask = &r->request.ask;
	struct atl_arena *arena = r->run->arena;
	const char *user_id = r->run->job->user_id;
	const struct atl_json *items;
	struct atl_workflow workflow;
	struct atl_image_input *inputs;
	enum atl_err err;

	if (!ask->workflow_id)
		return ATL_OK;
	err = atl_workflow_graph(r->run->app, arena, user_id, ask->workflow_id, &image->workflow, info);
	if (!err)
		err = atl_workflow_get(r->run->app, arena, user_id, ask->workflow_id, &workflow, info);
	if (err)
		return err;
	items = atl_json_get(workflow.inputs, "items");
	inputs = ATL_ARENA_ARRAY(arena, struct atl_image_input, (ask->inputs ? ask->inputs->count : 0) + (items ? items->count : 0) + 1);
	if (!inputs)
		return atl_fail(info, ATL_ERR_NOMEM, "inputs");
	for (const struct atl_json *v = ask->inputs ? ask->inputs->child : NULL; v && !err; v = v->next)
		err = add_value(arena, &inputs[image->input_count++], v->key, v, info);
	for (const struct atl_json *v = items ? items->child : NULL; v && !err; v = v->next)
		if (atl_json_bool(v, "fixed", false))
			err = add_value(arena, &inputs[image->input_count++], atl_json_str(v, "name", ""), atl_json_get(v, "default"), info);
	image->inputs = inputs;
	return err;
}

/* For looking at a service: that there are pictures counts, not what is in them. */
static enum atl_err stand_in_inputs(struct running *r, struct atl_image_request *image, struct atl_errinfo *info)
{
	static const struct atl_image_file some = { .data = "", .length = 1, .media_type = "image/png", .width = 64, .height = 64 };
	const struct atl_picture_ask *ask = &r->request.ask;
	struct atl_image_file *references = ATL_ARENA_ARRAY(r->run->arena, struct atl_image_file, ask->reference_assets.count + 1);

	if (!references)
		return atl_fail(info, ATL_ERR_NOMEM, "inputs");
	for (size_t i = 0; i < ask->reference_assets.count; i++)
		references[i] = some;
	image->references = references;
	image->reference_count = ask->reference_assets.count;
	if (ask->init_asset || ask->depends_on)
		image->init = some;
	if (ask->mask_asset)
		image->mask = image->mask_alpha = some;
	if (ask->control_asset)
		image->control = some;
	return ATL_OK;
}

enum atl_err atl_picture_check_service(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				       const struct atl_job_new *new, struct atl_errinfo *info)
{
	struct atl_job job = { .user_id = user_id };
	struct atl_job_run run = { .app = app, .arena = arena, .job = &job };
	struct running r = { .run = &run };
	const struct atl_image_ops *ops;
	struct atl_image_endpoint endpoint;
	struct atl_image_request image;
	struct atl_json *request;
	enum atl_err err;

	if (atl_str_eq(new->provider_id, "local"))
		return ATL_OK; /* prepare has looked at the files */
	err = atl_provider_image_endpoint(app, arena, new->provider_id, &endpoint, info);
	ops = err ? NULL : atl_image_ops_find(endpoint.kind);
	if (err || !ops || !ops->check)
		return err;
	err = atl_picture_model_find(app, arena, new->model, &r.model, info);
	if (!err)
		err = atl_json_parse(arena, new->request, strlen(new->request), &request, info);
	if (!err)
		err = atl_picture_request_read(arena, request, &r.request, info);
	if (!err)
		err = make_request(&r, &image, info);
	if (!err)
		err = add_workflow(&r, &image, info);
	if (!err)
		err = stand_in_inputs(&r, &image, info);
	return err ? err : ops->check(&endpoint, &image, arena, info);
}

/* What its request comes to, as the estimates count. */
static double units_of(const struct atl_job *job)
{
	return atl_picture_times_units(atl_json_int(job->request, "width", 512), atl_json_int(job->request, "height", 512),
				       atl_json_int(job->request, "steps", 20), job->count);
}

static enum atl_err run_picture(struct atl_job_run *run, struct atl_errinfo *info)
{
	struct running r = { .run = run };
	struct atl_image_endpoint endpoint;
	struct atl_image_request image;
	struct atl_image_run call = { .endpoint = &endpoint, .request = &image, .events = &EVENTS, .arg = &r,
				      .remote_id = run->remote_id, .cancelled = run->cancelled,
				      .max_result_bytes = ATL_IMAGE_RESULT_MAX };
	uint64_t began = atl_monotonic_ms();
	int64_t price;
	enum atl_err err = atl_picture_request_read(run->arena, run->job->request, &r.request, info);

	if (!err)
		err = atl_picture_model_find(run->app, run->arena, run->job->model, &r.model, info);
	if (!err) /* the role may have changed while it waited */
		err = atl_rights_model(&run->identity, r.model.id, info);
	if (!err)
		err = atl_picture_model_endpoint(run->app, run->arena, &r.model, &endpoint, info);
	if (!err)
		err = input_of_dependency(&r, info);
	if (!err)
		err = list_parents(&r, info);
	if (!err)
		err = make_request(&r, &image, info);
	if (!err)
		err = add_workflow(&r, &image, info);
	if (!err)
		err = atl_picture_inputs_load(run->app, run->arena, run->job->user_id, endpoint.kind, &r.request.ask, &image, info);
	if (err)
		return err;
	if (atl_str_eq(r.model.kind, "video"))
		call.max_result_bytes = ATL_IMAGE_VIDEO_MAX;
	price = atl_picture_model_price(&r.model, or_zero(image.width), or_zero(image.height), image.count,
					or_zero(image.duration_s));
	if (price > 0)
		atl_job_cost(run, price); /* the service's own word replaces it; nothing is charged for what fails */
	err = atl_image_run(&call, run->arena, info);
	if (err && r.results >= image.count) /* what breaks after the last picture takes nothing away */
		err = ATL_OK;
	if (!atl_str_eq(r.model.provider_id, "local"))
		atl_provider_outcome(run->app, r.model.provider_id, err, info);
	if (!err)
		atl_picture_times_add(atl_picture_models_times(run->app->picture_models), run->job->model, units_of(run->job),
				      (double)(atl_monotonic_ms() - began));
	return err;
}

/* What costs money is not run again by itself, unless the service can be asked again for the same run. */
static bool repeatable(struct atl_app *app, const struct atl_job *job)
{
	struct atl_image_endpoint endpoint;
	struct atl_picture_model model;
	const struct atl_image_ops *ops;
	struct atl_arena arena;
	bool answer = false;

	atl_arena_init(&arena, 0);
	if (atl_picture_model_find(app, &arena, job->model, &model, NULL) == ATL_OK) {
		if (atl_str_eq(model.provider_id, "local"))
			answer = true;
		else if (atl_picture_model_endpoint(app, &arena, &model, &endpoint, NULL) == ATL_OK) {
			ops = atl_image_ops_find(endpoint.kind);
			answer = ops && (!ops->costs || (ops->resumable && job->remote_id));
		}
	}
	atl_arena_finish(&arena);
	return answer;
}

static const char *cancel_note(struct atl_app *app, struct atl_arena *arena, const struct atl_job *job)
{
	struct atl_image_endpoint endpoint;
	const struct atl_image_ops *ops;

	if (atl_str_eq(job->provider_id, "local") ||
	    atl_provider_image_endpoint(app, arena, job->provider_id, &endpoint, NULL) != ATL_OK)
		return NULL;
	ops = atl_image_ops_find(endpoint.kind);
	if (!ops || !ops->costs)
		return NULL;
	if (ops->cancels)
		return atl_arena_printf(arena, "%s was told to stop; what it had begun it may still charge for.", endpoint.name);
	return atl_arena_printf(arena, "%s cannot be told to stop: it may finish this run and charge for it.", endpoint.name);
}

static int64_t concurrency(struct atl_app *app, const char *provider_id)
{
	struct atl_image_endpoint endpoint;
	const struct atl_image_ops *ops;
	struct atl_arena arena;
	int64_t answer = 1;

	if (atl_str_eq(provider_id, "local"))
		return 1;
	atl_arena_init(&arena, 0);
	if (atl_provider_image_endpoint(app, &arena, provider_id, &endpoint, NULL) == ATL_OK) {
		ops = atl_image_ops_find(endpoint.kind);
		answer = ops && ops->concurrency > 0 ? ops->concurrency : 1;
	}
	atl_arena_finish(&arena);
	return answer;
}

/* Before it is queued: the model's price, and the engine's time where the engine is ours. */
static void expect(struct atl_app *app, const struct atl_job *job, int64_t amounts[ATL_LEDGER_KIND_COUNT])
{
	int64_t width = atl_json_int(job->request, "width", 0), height = atl_json_int(job->request, "height", 0);
	int64_t seconds = atl_json_int(job->request, "duration_s", 0), price;
	struct atl_picture_model model;
	struct atl_arena arena;

	amounts[ATL_LEDGER_PICTURES] = job->count;
	if (atl_str_eq(job->provider_id, "local"))
		amounts[ATL_LEDGER_GPU_MS] = 0; /* is anything left; the time itself is known at the end */
	atl_arena_init(&arena, 0);
	if (atl_picture_model_find(app, &arena, job->model, &model, NULL) == ATL_OK) {
		if (atl_str_eq(model.kind, "video")) {
			amounts[ATL_LEDGER_PICTURES] = ATL_LEDGER_NONE;
			amounts[ATL_LEDGER_VIDEO_MS] = (seconds > 0 ? seconds : 5) * 1000 * job->count;
		}
		price = atl_picture_model_price(&model, width > 0 ? width : 1024, height > 0 ? height : 1024, job->count, seconds);
		if (price > 0)
			amounts[ATL_LEDGER_MONEY] = price;
	}
	atl_arena_finish(&arena);
}

static int64_t estimate(struct atl_app *app, const struct atl_job *job)
{
	return atl_picture_time_guess(app, job->model, atl_json_int(job->request, "width", 512),
				      atl_json_int(job->request, "height", 512), atl_json_int(job->request, "steps", 20),
				      job->count);
}

const struct atl_job_kind atl_picture_kind = { .kind = "picture", .run = run_picture, .repeatable = repeatable,
	.concurrency = concurrency, .estimate = estimate, .expect = expect, .cancel_note = cancel_note };
