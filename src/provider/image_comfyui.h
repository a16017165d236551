/* image_comfyui.h - the parts of the ComfyUI service. Only src/provider, its tests and fuzz targets.
 *
 * image_comfyui.c: one run. image_comfyui_values.c: a request as inputs, pictures. image_comfyui_wait.c: from queued
 * to outputs. image_comfyui_info.c: what
 * the server has. image_comfyui_event.c: its messages, pure. comfy_graph.h: workflows, pure.
 * Threads:    the run's thread. Ownership: everything in the run's arena.
 * Limits:     COMFY_*.
 */
#ifndef ATL_PROVIDER_IMAGE_COMFYUI_H
#define ATL_PROVIDER_IMAGE_COMFYUI_H

#include "base/json.h"
#include "provider/comfy_graph.h"
#include "provider/image_services.h"

#define COMFY_VALUES_MAX 64
#define COMFY_OUTPUTS_MAX 64
#define COMFY_CHOICES_MAX 20000 /* of one input at the server */

/* ---- messages (image_comfyui_event.c) ---- */
enum comfy_event_kind {
	COMFY_OTHER,
	COMFY_QUEUE,	   /* the queue's length changed */
	COMFY_STARTED,
	COMFY_NODE,	   /* `node` works now */
	COMFY_PROGRESS,	   /* value of max */
	COMFY_DONE,	   /* also before its outputs can be asked for */
	COMFY_FAILED,
	COMFY_INTERRUPTED,
	COMFY_PREVIEW
};
struct comfy_event {
	enum comfy_event_kind kind;
	const char *prompt_id; /* NULL: not told */
	const char *node;
	int64_t value, max;
	const char *node_type, *message, *exception; /* FAILED; never NULL there */
	const void *data;				   /* PREVIEW */
	size_t length;
	const char *media_type;
};
/* Never fails: what cannot be read is OTHER. A text message lives in the arena, a preview in `data`. */
struct comfy_event comfy_event_text(struct atl_arena *arena, const char *text, size_t length);
struct comfy_event comfy_event_binary(struct atl_arena *arena, const void *data, size_t length);

/* ---- what the server has (image_comfyui_info.c) ---- */
struct comfy_prepared {
	struct atl_comfy_graph graph;
	struct atl_comfy_value values[COMFY_VALUES_MAX];
	size_t value_count;
	struct atl_comfy_lora loras[ATL_IMAGE_LORAS_MAX];
	size_t lora_count;
	bool built_in;
};
/* Asks for every class of the graph: missing nodes, and names of models that are not there, are one error with all
 * names in it. Names in p->values are replaced by the server's spelling; with LoRA their names are looked up. */
enum atl_err comfy_check_server(const struct atl_image_run *run, struct atl_arena *arena, struct comfy_prepared *p,
				struct atl_errinfo *info);
/* The choices of one input of a class, as the server lists them now; count 0 where it has no such list. */
enum atl_err comfy_choices(const struct atl_image_run *run, struct atl_arena *arena, const char *class_type,
			   const char *field, const struct atl_json **ret_list, struct atl_errinfo *info);
/* "Base" finds "sd/base.safetensors". NULL: not there. */
const char *comfy_pick(const struct atl_json *list, const char *name);

/* ---- a request as values (image_comfyui_values.c) ---- */
/* Fills p->values and p->loras. Pictures are sent only with `upload_pictures`: a check does not need them there. */
enum atl_err comfy_put_values(const struct atl_image_run *run, struct atl_arena *arena, struct comfy_prepared *p,
			      bool upload_pictures, struct atl_errinfo *info);

/* ---- waiting (image_comfyui_wait.c) ---- */
struct comfy_wait;
/* Opens the socket, so that no event is missed, before submitting. Never an error: without a socket it polls. */
struct comfy_wait *comfy_wait_open(const struct atl_image_run *run, struct atl_arena *arena);
const char *comfy_wait_client_id(const struct comfy_wait *wait);
/* Until the outputs are there; *ret_entry is the job's entry in the history. Cancels at the server when cancelled. */
enum atl_err comfy_wait_done(struct comfy_wait *wait, const struct atl_comfy_graph *graph, const char *prompt_id,
			     const struct atl_json **ret_entry, struct atl_errinfo *info);
/* Takes a job out of the queue, or interrupts it if it is the one that runs. Also when the run is cancelled. */
void comfy_wait_cancel(struct comfy_wait *wait, const char *prompt_id);
void comfy_wait_close(struct comfy_wait *wait);

/* Built-in workflows: script/embed-workflows from share/workflows. */
struct comfy_workflow {
	const char *name;
	const char *json;
	size_t length;
};
extern const struct comfy_workflow comfy_workflows[];
extern const size_t comfy_workflow_count;
const struct comfy_workflow *comfy_workflow_find(const char *name); /* NULL: none */

#endif
