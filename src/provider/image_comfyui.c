/* image_comfyui.c - a ComfyUI server: one of our workflows or a user's, its inputs filled, queued, waited for, fetched.
 *
 * A job has an id of ours, so that it can be waited for again after a restart (the server keeps its history in memory).
 * Limits: COMFY_OUTPUTS_MAX files of one job.
 */
#include "provider/image_comfyui.h"

#include <string.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/str.h"
#include "provider/image_http.h"

/* ---- preparing ---- */

static enum atl_err built_in(const struct atl_image_request *q, struct atl_arena *arena,
			     const struct comfy_workflow **ret, struct atl_errinfo *info)
{
	char name[64] = "control-";
	struct atl_json *extra = NULL;

	if (q->extra && atl_json_parse(arena, q->extra, strlen(q->extra), &extra, info))
		return info ? info->code : ATL_ERR_INVALID;
	if (q->control.data && q->task != ATL_IMAGE_TXT2IMG)
		return atl_fail_field(info, ATL_ERR_UNSUPPORTED, "control", "ComfyUI's built-in workflows take a control picture "
				      "only for text to image. Use a workflow of your own.");
	if (q->control.data)
		atl_str_copy(name + 8, sizeof(name) - 8, q->control_type ? q->control_type : "");
	else if (q->task == ATL_IMAGE_TXT2IMG && atl_json_get(extra, "refiner_model"))
		atl_str_copy(name, sizeof(name), "refiner");
	else
		atl_str_copy(name, sizeof(name), atl_image_task_name(q->task));
	*ret = comfy_workflow_find(name);
	if (*ret)
		return ATL_OK;
	return atl_fail_field(info, ATL_ERR_UNSUPPORTED, q->control.data ? "control_type" : "workflow",
			      "There is no built-in ComfyUI workflow %s. Choose or save one of your own.", name);
}

static enum atl_err prepare(const struct atl_image_run *run, struct atl_arena *arena, bool upload,
			    struct comfy_prepared *p, struct atl_errinfo *info)
{
	const struct atl_image_request *q = run->request;
	const struct comfy_workflow *workflow;
	enum atl_err err;

	p->built_in = !q->workflow;
	if (q->workflow) {
		err = atl_comfy_graph_parse(arena, q->workflow, strlen(q->workflow), &p->graph, info);
	} else {
		err = built_in(q, arena, &workflow, info);
		if (!err)
			err = atl_comfy_graph_parse(arena, workflow->json, workflow->length, &p->graph, info);
	}
	if (!err)
		err = comfy_put_values(run, arena, p, upload, info);
	if (!err)
		err = comfy_check_server(run, arena, p, info);
	return err;
}

/* ---- submitting ---- */

static void make_uuid(char out[37])
{
	unsigned char bytes[16];
	char hex[33];
	size_t at = 0;

	atl_random(bytes, sizeof(bytes));
	bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
	atl_hex_encode(bytes, sizeof(bytes), hex);
	for (size_t i = 0; i < 32; i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			out[at++] = '-';
		out[at++] = hex[i];
	}
	out[at] = 0;
}

/* The server's own words about the first node it refuses. */
static enum atl_err node_errors(const struct atl_image_run *run, const struct atl_json *answer, struct atl_errinfo *info)
{
	const struct atl_json *nodes = atl_json_get(answer, "node_errors"), *error = atl_json_get(answer, "error");
	const struct atl_json *node = nodes && nodes->kind == ATL_JSON_OBJECT ? nodes->child : NULL;
	const struct atl_json *first = atl_json_at(atl_json_get(node, "errors"), 0);
	enum atl_err err = atl_str_eq(atl_json_str(first, "type", ""), "value_not_in_list") ? ATL_ERR_UPSTREAM_MODEL : ATL_ERR_INVALID;

	if (first)
		return atl_fail(info, err, "%s refuses the workflow: %.80s: %.100s (%.200s)", run->endpoint->name,
				atl_json_str(node, "class_type", ""), atl_json_str(first, "message", ""),
				atl_json_str(first, "details", ""));
	return atl_fail(info, ATL_ERR_INVALID, "%s refuses the workflow: %.200s %.160s", run->endpoint->name,
			atl_json_str(error, "message", "no reason given"), atl_json_str(error, "details", ""));
}

static enum atl_err read_submitted(const struct atl_image_run *run, struct atl_arena *arena,
				   const struct atl_image_answer *answer, const char **ret_id, struct atl_errinfo *info)
{
	struct atl_json *root = NULL;
	bool json = !atl_json_parse(arena, answer->body, answer->length, &root, NULL);
	const struct atl_json *nodes = atl_json_get(root, "node_errors");
	const char *id;

	if (json && answer->status == 400 && (nodes || atl_json_get(root, "error")))
		return node_errors(run, root, info);
	if (answer->status != 200)
		return atl_image_http_error(run, answer, "submit", info);
	id = atl_json_str(root, "prompt_id", "");
	if (!*id || id[strspn(id, "0123456789abcdefABCDEF-")])
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s took the job but gave it no id.", run->endpoint->name);
	*ret_id = id;
	return ATL_OK;
}

/* Branches that cannot run are dropped by the server while the rest is queued: take it back. */
static enum atl_err refuse_half(const struct atl_image_run *run, struct atl_arena *arena, const struct atl_json *answer,
				const char *id, struct atl_errinfo *info)
{
	struct atl_image_answer ignored;
	char *body = atl_arena_printf(arena, "{\"delete\":[\"%s\"]}", id);

	if (body && atl_image_http(run, arena, &(struct atl_image_ask){ .path = "/queue", .body = body, .body_length = strlen(body) },
				   &ignored, NULL) == ATL_ERR_CANCELLED)
		return atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
	return node_errors(run, answer, info);
}

static enum atl_err submit(const struct atl_image_run *run, struct atl_arena *arena, const struct comfy_prepared *p,
			   const char *client_id, const char *own_id, const char **ret_id, struct atl_errinfo *info)
{
	struct atl_image_ask ask = { .method = "POST", .path = "/prompt" };
	struct atl_image_answer answer;
	struct atl_json *root;
	struct atl_buf graph, body;
	enum atl_err err;

	atl_buf_init(&graph, ATL_COMFY_GRAPH_MAX * 4);
	atl_buf_init(&body, ATL_COMFY_GRAPH_MAX * 4 + 1024);
	err = atl_comfy_graph_fill(&p->graph, p->values, p->value_count, p->loras, p->lora_count, &graph, info);
	atl_buf_adds(&body, "{\"prompt\":");
	atl_buf_add(&body, graph.data, graph.length);
	atl_buf_addf(&body, ",\"client_id\":\"%s\",\"prompt_id\":\"%s\"%s}", client_id, own_id,
		     run->request->previews ? ",\"extra_data\":{\"preview_method\":\"auto\"}" : "");
	if (!err)
		err = atl_buf_err(&body, info);
	ask.body = body.data;
	ask.body_length = body.length;
	if (!err)
		err = atl_image_http(run, arena, &ask, &answer, info);
	atl_buf_finish(&graph);
	atl_buf_finish(&body);
	if (!err)
		err = read_submitted(run, arena, &answer, ret_id, info);
	if (!err && !atl_json_parse(arena, answer.body, answer.length, &root, NULL)) {
		const struct atl_json *nodes = atl_json_get(root, "node_errors");

		if (nodes && nodes->kind == ATL_JSON_OBJECT && nodes->count)
			err = refuse_half(run, arena, root, *ret_id, info);
	}
	return err;
}

/* ---- results ---- */

/* Files of one kind ("output", or "temp" of preview nodes) in the order of nodes. */
static size_t collect(const struct atl_json *outputs, bool temp, const struct atl_json **list)
{
	size_t count = 0;

	for (const struct atl_json *node = outputs ? outputs->child : NULL; node; node = node->next)
		for (const struct atl_json *files = node->child; files; files = files->next)
			for (const struct atl_json *f = files->kind == ATL_JSON_ARRAY ? files->child : NULL; f; f = f->next)
				if (*atl_json_str(f, "filename", "") && count < COMFY_OUTPUTS_MAX &&
				    atl_str_eq(atl_json_str(f, "type", "output"), "temp") == temp)
					list[count++] = f;
	return count;
}

static enum atl_err fetch_one(const struct atl_image_run *run, struct atl_arena *arena, const struct atl_json *file,
			      int64_t index, int64_t seed, struct atl_errinfo *info)
{
	struct atl_buf url, data;
	const char *media_type;
	enum atl_err err;

	atl_buf_init(&url, 16384);
	atl_buf_init(&data, run->max_result_bytes);
	atl_buf_addf(&url, "%s/view?filename=", run->endpoint->base_url);
	atl_percent_encode(&url, atl_json_str(file, "filename", ""));
	atl_buf_adds(&url, "&subfolder=");
	atl_percent_encode(&url, atl_json_str(file, "subfolder", ""));
	atl_buf_adds(&url, "&type=");
	atl_percent_encode(&url, atl_json_str(file, "type", "output"));
	err = atl_buf_err(&url, info);
	if (!err)
		err = atl_image_download(run, arena, url.data, &data, &media_type, info);
	if (!err)
		err = run->events->result(run->arg, &(struct atl_image_result){ .index = index, .data = data.data,
			.length = data.length, .media_type = media_type, .seed = seed }, info);
	atl_buf_finish(&url);
	atl_buf_finish(&data);
	return err;
}

static enum atl_err fetch_all(const struct atl_image_run *run, struct atl_arena *arena, const struct atl_json *entry,
			      struct atl_errinfo *info)
{
	const struct atl_json *outputs = atl_json_get(entry, "outputs"), *list[COMFY_OUTPUTS_MAX];
	size_t count = collect(outputs, false, list);
	enum atl_err err = ATL_OK;

	if (!count)
		count = collect(outputs, true, list);
	if (!count)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The workflow made no file. It needs a node such as SaveImage.");
	for (size_t i = 0; i < count && !err; i++) {
		run->events->progress(run->arg, &(struct atl_image_progress){ .phase = "downloading", .index = (int64_t)i,
			.step = (int64_t)i, .steps = (int64_t)count, .queue_position = -1 });
		/* one seed makes the whole batch: only the first is it alone */
		err = fetch_one(run, arena, list[i], (int64_t)i, i == 0 ? run->request->seed : ATL_IMAGE_UNSET, info);
	}
	return err;
}

/* ---- the service ---- */

static enum atl_err comfy_run(const struct atl_image_run *run, struct atl_arena *arena, struct atl_errinfo *info)
{
	struct comfy_prepared *p = ATL_ARENA_NEW(arena, struct comfy_prepared);
	const char *id = run->remote_id;
	const struct atl_json *entry;
	struct comfy_wait *wait;
	char own_id[37];
	enum atl_err err = ATL_OK;

	if (!p)
		return ATL_ERR_NOMEM;
	if (id && id[strspn(id, "0123456789abcdefABCDEF-")])
		return atl_fail(info, ATL_ERR_INVALID, "This is no id of a ComfyUI job.");
	if (!id)
		err = prepare(run, arena, true, p, info);
	if (err)
		return err;
	wait = comfy_wait_open(run, arena);
	if (!wait)
		return ATL_ERR_NOMEM;
	if (!id) {
		make_uuid(own_id);
		err = submit(run, arena, p, comfy_wait_client_id(wait), own_id, &id, info);
		if (!err)
			err = run->events->remote(run->arg, id, info);
		/* It may be queued all the same: the id is ours, so that it can be taken back. */
		if (err && (id || err == ATL_ERR_CANCELLED || err == ATL_ERR_UPSTREAM_CUT || err == ATL_ERR_UPSTREAM_TIMEOUT))
			comfy_wait_cancel(wait, id ? id : own_id);
	}
	if (!err)
		err = comfy_wait_done(wait, &p->graph, id, &entry, info);
	comfy_wait_close(wait);
	return err ? err : fetch_all(run, arena, entry, info);
}

static void no_note(void *arg, const char *text)
{
	(void)arg;
	(void)text;
}

/* For questions outside a run: they need only an endpoint. */
static enum atl_err comfy_check(const struct atl_image_endpoint *endpoint, const struct atl_image_request *request,
				struct atl_arena *arena, struct atl_errinfo *info)
{
	static const struct atl_image_events events = { .note = no_note };
	atomic_bool cancelled = false;
	struct atl_image_run run = { .endpoint = endpoint, .request = request, .events = &events, .cancelled = &cancelled };
	struct comfy_prepared *p = ATL_ARENA_NEW(arena, struct comfy_prepared);

	return p ? prepare(&run, arena, false, p, info) : ATL_ERR_NOMEM;
}

/* NULL: what the registry says of checkpoints. The built-in workflows load checkpoints, and Wan for video. */
static const char *tasks_of(const char *name, bool checkpoint)
{
	if (strstr(name, "svd"))
		return "img2vid";
	if (checkpoint)
		return NULL;
	return strstr(name, "wan") || strstr(name, "t2v") ? "txt2vid workflow" : "workflow";
}

static enum atl_err comfy_models(const struct atl_image_endpoint *endpoint, struct atl_arena *arena,
				 struct atl_image_model **ret, size_t *ret_count, struct atl_errinfo *info)
{
	static const struct atl_image_events events = { .note = no_note };
	static const char *const loaders[][2] = { { "CheckpointLoaderSimple", "ckpt_name" }, { "UNETLoader", "unet_name" } };
	atomic_bool cancelled = false;
	struct atl_image_request request = { .prompt = "" };
	struct atl_image_run run = { .endpoint = endpoint, .request = &request, .events = &events, .cancelled = &cancelled };
	const struct atl_json *lists[ATL_COUNT(loaders)] = { NULL };
	struct atl_image_model *models;
	size_t room = 1, count = 0;

	for (size_t i = 0; i < ATL_COUNT(loaders); i++) {
		enum atl_err err = comfy_choices(&run, arena, loaders[i][0], loaders[i][1], &lists[i], info);

		if (err)
			return err;
		room += lists[i] ? lists[i]->count : 0;
	}
	models = ATL_ARENA_ARRAY(arena, struct atl_image_model, room);
	if (!models)
		return ATL_ERR_NOMEM;
	for (size_t i = 0; i < ATL_COUNT(loaders); i++)
		for (const struct atl_json *m = lists[i] ? lists[i]->child : NULL; m; m = m->next)
			if (m->kind == ATL_JSON_STRING)
				models[count++] = (struct atl_image_model){ m->string, m->string, tasks_of(m->string, i == 0) };
	*ret = models;
	*ret_count = count;
	return ATL_OK;
}

const struct atl_image_ops atl_image_comfyui = {
	.kind = "comfyui", .resumable = true, .costs = false, .cancels = true, .needs_key = false, .previews = true, .concurrency = 1,
	.tasks = 1u << ATL_IMAGE_TXT2IMG | 1u << ATL_IMAGE_IMG2IMG | 1u << ATL_IMAGE_INPAINT | 1u << ATL_IMAGE_UPSCALE |
		 1u << ATL_IMAGE_TXT2VID | 1u << ATL_IMAGE_IMG2VID | 1u << ATL_IMAGE_WORKFLOW,
	.run = comfy_run, .check = comfy_check, .models = comfy_models,
};
