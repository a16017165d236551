/* engine.h - what atelier-image needs of a picture library, and no more; C on both sides of it.
 *
 * One engine per process: the library's callbacks are global. image_sd.cpp is the one home of stable-diffusion.h;
 * another library is another file with these functions.
 *
 * Life cycle: engine_setup() once; engine_load() .. engine_unload() any number of times.
 * Threads:    one thread calls; engine_cancel() from any. Callbacks come on the calling thread, inside the call, except
 *             `log`, which the library may call from its own.
 * Limits:     a cancelled run ends at the next step, tile or loaded tensor; not inside one.
 */
#ifndef ATL_WORKER_ENGINE_H
#define ATL_WORKER_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ENGINE_WHY_SIZE 400

/* member of the model's description, member of struct engine_model */
#define ENGINE_PARTS(X) \
	X(model)        \
	X(diffusion_model) X(high_noise_diffusion_model) X(clip_l) X(clip_g) X(clip_vision) X(t5xxl) X(llm) X(llm_vision) X(vae) X(taesd) X(control_net)

struct engine_model { /* paths; NULL: not used */
#define ENGINE_PART_X(name) const char *name;
	ENGINE_PARTS(ENGINE_PART_X)
#undef ENGINE_PART_X
	int threads;
};

struct engine_image { /* 8-bit rows without padding; data NULL: none */
	uint32_t width, height, channels;
	uint8_t *data;
};
struct engine_lora {
	const char *path;
	float weight;
};

struct engine_ask {
	const char *prompt, *negative_prompt;
	const char *sampler, *scheduler; /* NULL: the model's default */
	int width, height, steps, clip_skip; /* steps, clip_skip 0: default */
	int64_t seed;
	float cfg_scale, guidance, strength, control_strength, flow_shift; /* negative: default */
	const struct engine_lora *loras;
	size_t lora_count;
	struct engine_image init, mask, control;
	const struct engine_image *references;
	size_t reference_count;
	int frames;		   /* of a film */
	bool tiling;		   /* decode in tiles: less memory, slower */
	int preview_interval;	   /* steps; 0: none */
};

enum engine_phase { ENGINE_LOADING, ENGINE_ENCODING, ENGINE_SAMPLING, ENGINE_DECODING, ENGINE_UPSCALING };

struct engine_events {
	void (*progress)(void *arg, enum engine_phase phase, int step, int steps, double step_ms);
	void (*preview)(void *arg, const struct engine_image *image); /* borrowed */
	void (*note)(const char *text);				      /* a sentence: something was left out */
	void (*log)(void *arg, int level, const char *line);	      /* level 0 debug .. 3 error */
	void *arg;
};

enum engine_end { ENGINE_OK, ENGINE_CANCELLED, ENGINE_FAILED };

void engine_setup(const struct engine_events *events);
const char *engine_version(void);
const char *engine_backend(void); /* "CPU", "CUDA", "Vulkan", "Metal" */
/* Names by position; NULL past the end. */
const char *engine_sampler(int index);
const char *engine_scheduler(int index);

/* Loads the model, in place of the one that was loaded. On failure nothing is loaded and `why` has a sentence. */
enum engine_end engine_load(const struct engine_model *model, char why[ENGINE_WHY_SIZE]);
void engine_unload(void);
bool engine_loaded(void);
/* One picture; ret->data is freed with engine_free(). */
enum engine_end engine_generate(const struct engine_ask *ask, struct engine_image *ret, char why[ENGINE_WHY_SIZE]);
/* A film; each frame of *ret is freed with engine_free(), *ret with free(). */
enum engine_end engine_generate_film(const struct engine_ask *ask, struct engine_image **ret, size_t *ret_count,
				     char why[ENGINE_WHY_SIZE]);
/* By a model of its own (ESRGAN), which is not kept. */
enum engine_end engine_upscale(const char *model_path, int threads, const struct engine_image *image,
			       struct engine_image *ret, char why[ENGINE_WHY_SIZE]);
void engine_free(struct engine_image *image);
/* The call that is going on ends soon. engine_resume() makes the next one possible. */
void engine_cancel(void);
bool engine_is_cancelled(void);
void engine_resume(void);

#ifdef __cplusplus
}
#endif
#endif
