/* image.h - picture and video services behind one table: our own engine, ComfyUI, fal, Venice, OpenAI, A1111.
 *
 * A run turns one request into events and results. It knows nothing about users, jobs or SQL. Unlike chat, a run is
 * blocking straight-line code on a thread of its own: these services are polled, uploaded to and downloaded from in
 * sequence, and there are few runs at a time (docs/decisions/0005).
 *
 * Life cycle: one call of atl_image_run() is the whole life of a run.
 * Threads:    the caller's thread, which is neither a loop nor one that may not block; events are called on it.
 *             `cancelled` may be set by any thread at any time.
 * Ownership:  request and run are borrowed for the call; what events get is borrowed for the event.
 * Limits:     ATL_IMAGE_* below; the runner's max_result_bytes for each result.
 * Adding one: a file with a struct atl_image_ops, a row in image.c, cases in tests/cases/image/; docs/provider.md.
 */
#ifndef ATL_PROVIDER_IMAGE_H
#define ATL_PROVIDER_IMAGE_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "os/loop.h"

struct atl_guard;

#define ATL_IMAGE_COUNT_MAX 16
#define ATL_IMAGE_LORAS_MAX 16
#define ATL_IMAGE_REFERENCES_MAX 8
#define ATL_IMAGE_RESULT_MAX ((size_t)64 << 20)
#define ATL_IMAGE_VIDEO_MAX ((size_t)512 << 20)

/* name, text: what is asked for. `edit` is an instruction about pictures ("make the sky red"). */
#define ATL_IMAGE_TASK_LIST(X)                    \
	X(TXT2IMG, "txt2img")                     \
	X(IMG2IMG, "img2img")                     \
	X(INPAINT, "inpaint")                     \
	X(EDIT, "edit")                           \
	X(UPSCALE, "upscale")                     \
	X(REMOVE_BACKGROUND, "remove_background") \
	X(TXT2VID, "txt2vid")                     \
	X(IMG2VID, "img2vid")                     \
	X(WORKFLOW, "workflow")
enum atl_image_task {
#define ATL_IMAGE_TASK_X(name, text) ATL_IMAGE_##name,
	ATL_IMAGE_TASK_LIST(ATL_IMAGE_TASK_X)
#undef ATL_IMAGE_TASK_X
		ATL_IMAGE_TASK_COUNT
};
const char *atl_image_task_name(enum atl_image_task task);
bool atl_image_task_find(const char *name, enum atl_image_task *ret) ATL_MUST_USE;

/* An encoded picture (PNG, JPEG, WebP); data NULL: none. The local engine takes rows instead, at the size of the picture
 * to be made: 8-bit "image/x-rgb", masks "image/x-gray". */
struct atl_image_file {
	const void *data;
	size_t length;
	const char *media_type;
	int64_t width, height;
};
struct atl_image_lora {
	const char *name; /* as the person wrote it, without extension */
	const char *path; /* the local file; NULL: not on this machine */
	double weight;
};
struct atl_image_input { /* a ComfyUI workflow's named value */
	const char *name, *value; /* value: JSON text; pictures as {"reference":n} */
};

/* Numbers that are INT64_MIN, and doubles that are NAN, were not given: the service's default. */
#define ATL_IMAGE_UNSET INT64_MIN
struct atl_image_request {
	enum atl_image_task task;
	const char *model; /* the service's own name of it; "" where there is only one */
	const char *prompt, *negative_prompt; /* never NULL; attention syntax as A1111 writes it, no <lora:> left */
	int64_t width, height, steps, clip_skip, count;
	int64_t seed; /* 0..4294967295, always given; picture i of a batch uses seed + i where the service lets us choose */
	int64_t subseed; /* A1111's variation seed */
	double subseed_strength;
	double cfg_scale, guidance, strength /* 0..1: how much of the input is replaced */;
	const char *sampler, *scheduler; /* stable-diffusion.cpp's names; NULL: default */
	const struct atl_image_lora *loras;
	size_t lora_count;
	struct atl_image_file init, control;
	struct atl_image_file mask; /* grey PNG of init's size, white is what is painted anew */
	struct atl_image_file mask_alpha; /* the same as RGBA PNG, transparent is what is painted anew (OpenAI) */
	const struct atl_image_file *references;
	size_t reference_count;
	const char *control_type; /* "canny", "depth", "pose", ...; NULL: none */
	double control_strength;
	double upscale_factor;
	const char *upscaler;
	int64_t frames, fps, duration_s;
	const char *format;	  /* "png", "jpeg", "webp"; NULL: png */
	const char *quality;	  /* OpenAI's; NULL */
	const char *style_preset; /* Venice's; NULL */
	const char *workflow;	  /* ComfyUI API graph as JSON; NULL: the built-in one for the task */
	const struct atl_image_input *inputs;
	size_t input_count;
	const char *extra; /* JSON object of the service's own parameters, checked against the registry; NULL */
	bool safe_mode;	   /* true unless the operator allowed mature content and the role has it */
	bool previews;	   /* wanted where the service can */
};

struct atl_image_progress {
	const char *phase; /* "queued", "loading", "sampling", "decoding", "downloading" */
	int64_t index;	   /* of the picture in the batch */
	int64_t step, steps; /* steps 0: unknown */
	double step_ms;	   /* of the last steps; 0: unknown */
	double left_ms;	   /* estimate for the whole run; 0: unknown */
	int64_t queue_position; /* at the service, phase "queued"; -1: unknown */
};
struct atl_image_result {
	int64_t index;
	const void *data; /* an encoded file, or with `rgb` 8-bit RGB rows */
	size_t length;
	const char *media_type; /* NULL with rgb */
	bool rgb;
	int64_t width, height;	/* 0: not told */
	int64_t seed;		/* ATL_IMAGE_UNSET: not told */
	const char *revised_prompt; /* NULL */
};
struct atl_image_events {
	void (*progress)(void *arg, const struct atl_image_progress *progress);
	/* A small picture, JPEG, PNG or WebP. */
	void (*preview)(void *arg, int64_t index, const void *data, size_t length, const char *media_type);
	/* A finished one. An error ends the run with it. */
	enum atl_err (*result)(void *arg, const struct atl_image_result *result, struct atl_errinfo *info);
	/* Something was mapped, rounded or left out; one sentence for the person. */
	void (*note)(void *arg, const char *text);
	/* The service has accepted it under this id. Returns once that is durable; an error ends the run. With it in
	 * run->remote_id a later call goes on waiting instead of submitting (and paying) again. */
	enum atl_err (*remote)(void *arg, const char *remote_id, struct atl_errinfo *info);
	/* The true price, in millionths of a US dollar, when the service tells it. */
	void (*cost)(void *arg, int64_t micro_usd);
};

struct atl_image_endpoint {
	const char *kind;     /* struct atl_image_ops.kind */
	const char *name;     /* for sentences: "Venice" */
	const char *base_url; /* without a slash at the end; "" for the local engine */
	const char *key;      /* NULL: none */
	const char *unix_path; /* the local engine's socket; NULL otherwise */
	const char *public_url; /* where webhooks reach this server; NULL: poll */
	struct atl_fal_hooks *fal_hooks; /* provider/image_fal_hook.h; NULL: poll */
	const struct atl_guard *guard;
	struct atl_loop *loop;
};

struct atl_image_run {
	const struct atl_image_endpoint *endpoint;
	const struct atl_image_request *request;
	const struct atl_image_events *events;
	void *arg;
	const char *remote_id; /* NULL: submit */
	atomic_bool *cancelled; /* looked at at least every 200 ms; the service is told where it can be */
	size_t max_result_bytes;
	unsigned timeout_ms; /* of the whole run; 0: 30 min */
	unsigned pause_max_ms; /* between two looks or tries, for a service that is known to be quick; 0: each one's own */
};

struct atl_image_model { /* what a service says it offers */
	const char *id, *name;
	const char *tasks; /* words separated by blanks, or NULL: see the registry */
};

struct atl_image_ops {
	const char *kind; /* "local", "comfyui", "fal", "venice", "openai", "a1111", "fake" */
	bool resumable;	  /* remote_id can be waited for again */
	bool costs;	  /* a run may be charged: never submitted twice by us */
	bool cancels;	  /* a cancelled run ends at the service; false: it may finish there */
	bool needs_key;
	bool previews;
	uint32_t tasks;		 /* bits 1 << enum atl_image_task */
	int64_t concurrency;	 /* runs at a time unless the operator says otherwise */
	/* Does it all. CANCELLED after `cancelled`; else UPSTREAM*, UNSUPPORTED, INVALID (names the field), TOO_LARGE,
	 * PICTURE. The sentence names the service and what to do. */
	enum atl_err (*run)(const struct atl_image_run *run, struct atl_arena *arena, struct atl_errinfo *info);
	/* Before it is queued: missing nodes or models, by name. NULL: nothing to check. */
	enum atl_err (*check)(const struct atl_image_endpoint *endpoint, const struct atl_image_request *request,
			      struct atl_arena *arena, struct atl_errinfo *info);
	/* What it offers now. NULL: only what the registry says. */
	enum atl_err (*models)(const struct atl_image_endpoint *endpoint, struct atl_arena *arena,
			       struct atl_image_model **ret, size_t *ret_count, struct atl_errinfo *info);
	/* What it suggests now for a parameter of its own, of the registry's type "string"; UNSUPPORTED: nothing for this
	 * one. CANCELLED after `cancelled`. NULL: it suggests nothing. */
	enum atl_err (*suggest)(const struct atl_image_endpoint *endpoint, const char *param, atomic_bool *cancelled,
				struct atl_arena *arena, struct atl_strs *ret, struct atl_errinfo *info);
};

const struct atl_image_ops *atl_image_ops_find(const char *kind); /* NULL: unknown */
const struct atl_image_ops *atl_image_ops_at(size_t index);	  /* NULL past the end */

/* Checks that the service takes the task, then ops->run. */
enum atl_err atl_image_run(const struct atl_image_run *run, struct atl_arena *arena,
			   struct atl_errinfo *info) ATL_MUST_USE;

#endif
