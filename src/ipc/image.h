/* image.h - what the server and atelier-image say to each other: the JSON payloads of the picture engine's frames.
 *
 * Threads: pure functions. Limits: the descriptors' bounds; ATL_ENGINE_PICTURES_MAX.
 * Adding one: a member here and its row in image.c; docs/ipc.md.
 */
#ifndef ATL_IPC_IMAGE_H
#define ATL_IPC_IMAGE_H

#include "base/json.h"
#include "ipc/frame.h"

#define ATL_ENGINE_SIDE_MAX 4096
#define ATL_ENGINE_PICTURES_MAX 16
#define ATL_ENGINE_REFERENCES_MAX 8
#define ATL_ENGINE_JSON_MAX ((size_t)1 << 20)
#define ATL_ENGINE_PREVIEW_SIDE 256
#define ATL_ENGINE_FRAMES_MAX 257
#define ATL_ENGINE_FPS_MAX 60
#define ATL_ENGINE_FILM_PIXELS_MAX ((int64_t)1 << 27) /* of all frames together */

struct atl_engine_model { /* absolute paths; NULL: not used */
	const char *model, *diffusion_model, *high_noise_diffusion_model, *clip_l, *clip_g, *clip_vision, *t5xxl, *llm, *llm_vision, *vae, *taesd,
		*control_net, *upscaler;
	double preview_contrast; /* how much of a picture's contrast the engine's previews have; 0: all of it */
};
struct atl_engine_lora {
	const char *path, *name;
	double weight;
};
struct atl_engine_ask { /* GENERATE; the pictures came before it as INPUT */
	const char *task; /* "generate", "film" or "upscale" */
	const struct atl_engine_model *model;
	const char *prompt, *negative_prompt, *sampler, *scheduler; /* the last two NULL: the model's default */
	int64_t width, height, count, seed;
	int64_t steps, clip_skip;				     /* 0: the model's default */
	double cfg_scale, guidance, strength, control_strength, flow_shift; /* negative: the model's default */
	struct atl_items loras;
	int64_t preview_interval; /* steps; 0: no previews */
	int64_t frames, fps;	  /* of a film; 0 otherwise */
	bool tiling;
};
struct atl_engine_hello { /* HELLO, at every connection: also its state */
	const char *version, *backend, *model; /* model: file name of what is loaded, NULL */
	int64_t memory_bytes, threads;
	bool busy;
	struct atl_strs samplers, schedulers;
};
struct atl_engine_step { /* PROGRESS */
	const char *phase; /* "loading", "preparing", "sampling", "decoding", "upscaling" */
	int64_t step, steps;
	double step_ms, left_ms; /* 0: unknown */
};
struct atl_engine_made { /* RESULT; the rows, 8-bit RGB, or the file are in a sealed memory file that comes along */
	int64_t width, height, seed;
	const char *media_type; /* NULL: rows */
	int64_t length;		/* of the file; 0: rows */
};

/* `item` of ERROR */
enum atl_engine_error { ATL_ENGINE_FAILED, ATL_ENGINE_STOPPED, ATL_ENGINE_BUSY };

extern const struct atl_json_desc atl_engine_model_desc, atl_engine_ask_desc, atl_engine_hello_desc,
	atl_engine_step_desc, atl_engine_made_desc;

/* The payload as text in `out`. */
enum atl_err atl_engine_write(const struct atl_json_desc *desc, const void *value, struct atl_buf *out,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* Strings in the arena. UPSTREAM_FORMAT: not what was agreed. */
enum atl_err atl_engine_read(struct atl_arena *arena, const struct atl_json_desc *desc, const char *text, size_t length,
			     void *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* Puts `length` bytes into a sealed memory file; *ret_fd is the caller's. */
enum atl_err atl_engine_share(const void *data, size_t length, int *ret_fd, struct atl_errinfo *info) ATL_MUST_USE;
/* Maps what atl_engine_share() made, of exactly this length, after a look at the seals: nobody can change or shorten it
 * any more. munmap() ends it. */
enum atl_err atl_engine_map(int fd, size_t length, const void **ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
