/* image_comfyui_wait.c - from a queued ComfyUI job to its outputs: events over the socket, else polling; cancelling.
 *
 * The history is the truth: events only make progress and previews. A lost event costs at most CHECK_MS.
 */
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/str.h"
#include "net/ws_client.h"
#include "provider/image_comfyui.h"
#include "provider/image_http.h"

#define OPEN_MS 10000
#define CHECK_MS 5000	  /* the history is looked at when no event came for so long */
#define POLL_MS 1000	  /* without a socket */
#define MISSING_MAX 3	  /* looks that find the job nowhere before it is given up */
#define RUN_MS 1800000
#define CANCEL_MS 5000
#define EVENT_ARENA ((size_t)16 << 20)
#define LOOK_ARENA ((size_t)64 << 20)

struct comfy_wait {
	const struct atl_image_run *run;
	struct atl_arena *arena;
	struct atl_ws_client *socket; /* NULL: poll */
	char client_id[33];
	const char *prompt_id;
	const struct atl_comfy_graph *graph;
	bool started, ended;
	unsigned missing;
	uint64_t sampling_us; /* when the last step came */
	int64_t last_step;
	double step_ms;
};

struct comfy_wait *comfy_wait_open(const struct atl_image_run *run, struct atl_arena *arena)
{
	static const char flags[] = "{\"type\":\"feature_flags\",\"data\":{\"supports_preview_metadata\":true}}";
	struct comfy_wait *wait = ATL_ARENA_NEW(arena, struct comfy_wait);
	struct atl_ws_client_request request = { .guard = run->endpoint->guard, .cancelled = run->cancelled,
						 .timeout_ms = OPEN_MS, .max_message_bytes = ATL_IMAGE_RESULT_MAX };
	unsigned char bytes[16];

	if (!wait)
		return NULL;
	wait->run = run;
	wait->arena = arena;
	atl_random(bytes, sizeof(bytes));
	atl_hex_encode(bytes, sizeof(bytes), wait->client_id);
	request.url = atl_arena_printf(arena, "%s/ws?clientId=%s", run->endpoint->base_url, wait->client_id);
	if (atl_str_starts(run->endpoint->base_url, "https:"))
		run->events->note(run->arg, "Over https ComfyUI's progress is asked for now and then; there are no previews.");
	else if (!request.url || atl_ws_client_open(&request, &wait->socket, NULL))
		run->events->note(run->arg, "ComfyUI's live connection could not be opened; there is no progress by steps.");
	else if (atl_ws_client_send(wait->socket, flags, sizeof(flags) - 1, NULL))
		comfy_wait_close(wait);
	return wait;
}

void comfy_wait_close(struct comfy_wait *wait)
{
	if (wait)
		atl_ws_client_close(wait->socket);
	if (wait)
		wait->socket = NULL;
}

const char *comfy_wait_client_id(const struct comfy_wait *wait)
{
	return wait->client_id;
}

/* ---- questions ---- */

static enum atl_err get_json(struct comfy_wait *wait, struct atl_arena *arena, const char *path,
			     const struct atl_json **ret, struct atl_errinfo *info)
{
	struct atl_json *root;
	enum atl_err err = atl_image_http_json(wait->run, arena, &(struct atl_image_ask){ .path = path, .repeatable = true },
					       &root, info);

	if (!err)
		*ret = root;
	return err;
}

static enum atl_err get_history(struct comfy_wait *wait, struct atl_arena *arena, const struct atl_json **ret,
				struct atl_errinfo *info)
{
	const char *path = atl_arena_printf(arena, "/history/%s", wait->prompt_id);
	const struct atl_json *history;
	enum atl_err err = path ? get_json(wait, arena, path, &history, info) : ATL_ERR_NOMEM;

	if (!err)
		*ret = atl_json_get(history, wait->prompt_id);
	return err;
}

static bool listed(const struct atl_json *list, const char *prompt_id, int64_t *ret_index)
{
	*ret_index = 0;
	for (const struct atl_json *item = list ? list->child : NULL; item; item = item->next, ++*ret_index) {
		const struct atl_json *id = atl_json_at(item, 1);

		if (id && id->kind == ATL_JSON_STRING && atl_str_eq(id->string, prompt_id))
			return true;
	}
	return false;
}

static void tell(struct comfy_wait *wait, const char *phase, int64_t step, int64_t steps, int64_t position)
{
	double step_ms = step > 0 ? wait->step_ms : 0;

	wait->run->events->progress(wait->run->arg, &(struct atl_image_progress){ .phase = phase, .step = step,
		.steps = steps, .step_ms = step_ms, .left_ms = step_ms * (double)(steps - step), .queue_position = position });
}

/* Tells where in the queue it is. */
static enum atl_err look_in_queue(struct comfy_wait *wait, struct atl_arena *arena, bool *ret_found,
				  struct atl_errinfo *info)
{
	const struct atl_json *queue, *running, *pending;
	int64_t index;
	enum atl_err err = get_json(wait, arena, "/queue", &queue, info);

	if (err)
		return err;
	running = atl_json_get(queue, "queue_running");
	pending = atl_json_get(queue, "queue_pending");
	*ret_found = true;
	if (listed(running, wait->prompt_id, &index)) {
		if (!wait->started)
			tell(wait, "loading", 0, 0, -1);
		wait->started = true;
	} else if (listed(pending, wait->prompt_id, &index)) {
		tell(wait, "queued", 0, 0, index + (running ? (int64_t)running->count : 0));
	} else {
		*ret_found = false;
	}
	return ATL_OK;
}

/* Has it ended? A long wait looks often: each look has memory of its own. */
static enum atl_err look(struct comfy_wait *wait, bool *ret_ended, struct atl_errinfo *info)
{
	const struct atl_json *entry;
	struct atl_arena arena;
	bool found = true;
	enum atl_err err;

	atl_arena_init(&arena, LOOK_ARENA);
	err = get_history(wait, &arena, &entry, info);
	if (!err && entry)
		*ret_ended = true;
	else if (!err)
		err = look_in_queue(wait, &arena, &found, info);
	atl_arena_finish(&arena);
	wait->missing = found ? 0 : wait->missing + 1;
	/* between the queue and the history there is a moment */
	if (!err && wait->missing == MISSING_MAX)
		err = atl_fail(info, ATL_ERR_UPSTREAM, "%s no longer knows this job; it was restarted, or its history cleared.",
			       wait->run->endpoint->name);
	return err;
}

/* The queue changed while it waits: its place for the person, no more. */
static void tell_place(struct comfy_wait *wait)
{
	struct atl_arena arena;
	bool found;

	atl_arena_init(&arena, LOOK_ARENA);
	(void)!look_in_queue(wait, &arena, &found, NULL);
	atl_arena_finish(&arena);
}

/* ---- cancelling ---- */

/* The run is cancelled, so that its own exchanges are too: this one is not. */
void comfy_wait_cancel(struct comfy_wait *wait, const char *prompt_id)
{
	atomic_bool no = false;
	struct atl_image_run run = *wait->run;
	char body[160];
	struct atl_buf text;
	struct atl_image_ask ask = { .method = "POST", .path = "/queue", .first_byte_ms = CANCEL_MS, .total_ms = CANCEL_MS };
	struct atl_image_answer answer;
	struct atl_json *queue;
	int64_t index;

	run.cancelled = &no;
	atl_buf_init(&text, sizeof(body));
	atl_buf_addf(&text, "{\"delete\":[\"%s\"]}", prompt_id);
	ask.body = text.data;
	ask.body_length = text.length;
	if (text.failed || atl_image_http(&run, wait->arena, &ask, &answer, NULL))
		goto out;
	/* Older servers stop whatever runs, whatever the id: look first. */
	if (atl_image_http_json(&run, wait->arena, &(struct atl_image_ask){ .path = "/queue", .total_ms = CANCEL_MS }, &queue, NULL) ||
	    !listed(atl_json_get(queue, "queue_running"), prompt_id, &index))
		goto out;
	atl_buf_reset(&text);
	atl_buf_addf(&text, "{\"prompt_id\":\"%s\"}", prompt_id);
	ask.path = "/interrupt";
	ask.body = text.data;
	ask.body_length = text.length;
	(void)!atl_image_http(&run, wait->arena, &ask, &answer, NULL);
out:
	atl_buf_finish(&text);
}

/* ---- events ---- */

static const char *class_of(const struct comfy_wait *wait, const char *node)
{
	size_t index = node ? atl_comfy_node_find(wait->graph, node) : wait->graph->node_count;

	return index < wait->graph->node_count ? wait->graph->nodes[index].class_type : "";
}

static void note_step(struct comfy_wait *wait, const struct comfy_event *event)
{
	uint64_t now = atl_monotonic_us();

	if (event->value > wait->last_step && wait->last_step > 0)
		wait->step_ms = (double)(now - wait->sampling_us) / 1000 / (double)(event->value - wait->last_step);
	if (event->value <= wait->last_step)
		wait->step_ms = 0;
	wait->last_step = event->value;
	wait->sampling_us = now;
}

static enum atl_err failed(const struct comfy_wait *wait, const char *node_type, const char *message,
			   const char *exception, struct atl_errinfo *info)
{
	const char *name = wait->run->endpoint->name;

	if (strstr(exception, "OutOfMemory") || strstr(message, "out of memory"))
		return atl_fail(info, ATL_ERR_UPSTREAM, "%s ran out of memory in %.80s. Choose a smaller size or fewer pictures.",
				name, node_type);
	return atl_fail(info, ATL_ERR_UPSTREAM, "%s failed in the node %.80s: %.280s", name, node_type, message);
}

static enum atl_err take_event(struct comfy_wait *wait, const struct comfy_event *event, struct atl_errinfo *info)
{
	if (event->prompt_id && !atl_str_eq(event->prompt_id, wait->prompt_id))
		return ATL_OK; /* another user's */
	switch (event->kind) {
	case COMFY_QUEUE:
		if (!wait->started)
			tell_place(wait);
		break;
	case COMFY_STARTED:
		wait->started = true;
		tell(wait, "loading", 0, 0, -1);
		break;
	case COMFY_NODE:
		if (wait->started && atl_str_starts(class_of(wait, event->node), "VAEDecode"))
			tell(wait, "decoding", 0, 0, -1);
		break;
	case COMFY_PROGRESS:
		if (!wait->started || event->max <= 0)
			break;
		note_step(wait, event);
		tell(wait, "sampling", event->value, event->max, -1);
		break;
	case COMFY_PREVIEW:
		if (wait->started && wait->run->request->previews)
			wait->run->events->preview(wait->run->arg, 0, event->data, event->length, event->media_type);
		break;
	case COMFY_DONE:
		/* without an id it belongs to whatever runs */
		wait->ended = wait->ended || wait->started;
		break;
	case COMFY_FAILED:
		return failed(wait, event->node_type, event->message, event->exception, info);
	case COMFY_INTERRUPTED:
		return atl_fail(info, ATL_ERR_UPSTREAM, "The job was stopped at %s.", wait->run->endpoint->name);
	default:
		break;
	}
	return ATL_OK;
}

/* One message, or until it is time to look. A broken socket means polling from then on. */
static enum atl_err next_event(struct comfy_wait *wait, bool *ret_look, struct atl_errinfo *info)
{
	struct atl_ws_message message;
	struct atl_arena arena;
	struct comfy_event event;
	enum atl_err err;

	if (!wait->socket) {
		*ret_look = true;
		return atl_image_wait(wait->run, POLL_MS) ? ATL_OK : atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
	}
	err = atl_ws_client_next(wait->socket, atl_image_pause(wait->run, CHECK_MS), &message, info);
	if (err == ATL_ERR_CANCELLED || err == ATL_ERR_NOMEM)
		return err;
	if (err) {
		*ret_look = true;
		if (err != ATL_ERR_UPSTREAM_TIMEOUT)
			comfy_wait_close(wait);
		return ATL_OK;
	}
	atl_arena_init(&arena, EVENT_ARENA);
	event = message.binary ? comfy_event_binary(&arena, message.data, message.length)
			       : comfy_event_text(&arena, message.data, message.length);
	err = take_event(wait, &event, info);
	*ret_look = wait->ended;
	atl_arena_finish(&arena);
	return err;
}

/* The entry says how it ended. */
static enum atl_err check_entry(const struct comfy_wait *wait, const struct atl_json *entry, struct atl_errinfo *info)
{
	const struct atl_json *status = atl_json_get(entry, "status"), *messages = atl_json_get(status, "messages");

	if (!atl_str_eq(atl_json_str(status, "status_str", "success"), "error"))
		return ATL_OK;
	for (const struct atl_json *m = messages ? messages->child : NULL; m; m = m->next) {
		const struct atl_json *kind = atl_json_at(m, 0), *data = atl_json_at(m, 1);

		if (!kind || kind->kind != ATL_JSON_STRING)
			continue;
		if (atl_str_eq(kind->string, "execution_interrupted"))
			return atl_fail(info, ATL_ERR_UPSTREAM, "The job was stopped at %s.", wait->run->endpoint->name);
		if (atl_str_eq(kind->string, "execution_error"))
			return failed(wait, atl_json_str(data, "node_type", ""), atl_json_str(data, "exception_message", ""),
				      atl_json_str(data, "exception_type", ""), info);
	}
	return atl_fail(info, ATL_ERR_UPSTREAM, "The job failed at %s, which does not say why.", wait->run->endpoint->name);
}

enum atl_err comfy_wait_done(struct comfy_wait *wait, const struct atl_comfy_graph *graph, const char *prompt_id,
			     const struct atl_json **ret_entry, struct atl_errinfo *info)
{
	unsigned timeout_ms = wait->run->timeout_ms ? wait->run->timeout_ms : RUN_MS;
	uint64_t end_ms = atl_monotonic_ms() + timeout_ms;
	const struct atl_json *entry = NULL;
	bool ended = false;
	enum atl_err err;

	wait->graph = graph;
	wait->prompt_id = prompt_id;
	err = wait->run->remote_id || !wait->socket ? look(wait, &ended, info) : ATL_OK;
	while (!err && !ended) {
		bool now = false;

		err = atl_monotonic_ms() < end_ms ? next_event(wait, &now, info) :
			atl_fail(info, ATL_ERR_UPSTREAM_TIMEOUT, "%s took longer than %u minutes.", wait->run->endpoint->name,
				 timeout_ms / 60000);
		if (!err && now)
			err = look(wait, &ended, info);
		/* its success is told a moment before its outputs are there */
		if (!err && wait->ended && !ended && !atl_image_wait(wait->run, 50))
			err = atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
		if (!err && wait->ended && !ended)
			err = look(wait, &ended, info);
		wait->ended = false;
	}
	if (err == ATL_ERR_CANCELLED || err == ATL_ERR_UPSTREAM_TIMEOUT)
		comfy_wait_cancel(wait, prompt_id);
	if (!err)
		err = get_history(wait, wait->arena, &entry, info);
	if (!err && !entry)
		err = atl_fail(info, ATL_ERR_UPSTREAM, "%s forgot the job's outputs.", wait->run->endpoint->name);
	if (!err)
		err = check_entry(wait, entry, info);
	if (!err)
		*ret_entry = entry;
	return err;
}
