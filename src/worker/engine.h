/* engine.h - the picture engine as the program atelier-image sees it: a narrow C face of stable-diffusion.cpp.
 *
 * Life cycle: atl_engine_open() .. atl_engine_close(). One model is loaded at a time; a run that names another one
 *             unloads it.
 * Threads:    one; the library's callbacks are process-global, so there is one engine in a process.
 * Ownership:  what callbacks get is borrowed. Limits: ATL_ENGINE_SIDE_MAX.
 * Adding one: image_sd.cpp is the one home of stable-diffusion.h; another library is another file with these functions.
 */
#ifndef ATL_WORKER_ENGINE_H
#define ATL_WORKER_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATL_ENGINE_SIDE_MAX 4096
#define ATL_ENGINE_WHY_SIZE 400

struct atl_engine_files { /* absolute paths; NULL: not used */
	const char *model, *diffusion_model, *high_noise_diffusion_model, *vae, *taesd, *clip_l, *clip_g, *clip_vision, *t5xxl,
		*llm, *llm_vision, *control_net, *upscaler;
};
struct atl_engine_image { /* 8-bit rows without padding; data NULL: none */
	const unsigned char *data;
	uint32_t width, height, channels;
};
struct atl_engine_lora {
	const char *path;
	float weight;
};
enum atl_engine_task { ATL_ENGINE_IMAGE, ATL_ENGINE_UPSCALE, ATL_ENGINE_VIDEO };
struct atl_engine_run {
	enum atl_engine_task task;
	struct atl_engine_files files;
	const char *prompt, *negative_prompt;
	int width, height, steps, clip_skip, count, frames, fps; /* clip_skip -1: the model's */
	int64_t seed;
	float cfg_scale, guidance, strength, control_strength; /* NAN: the library's default */
	const char *sampler, *scheduler; /* the library's names; NULL: the model's default */
	const struct atl_engine_lora *loras;
	size_t lora_count;
	struct atl_engine_image init, mask, control;
	const struct atl_engine_image *references;
	size_t reference_count;
	bool previews;
};
struct atl_engine_step {
	const char *phase; /* "loading", "preparing", "sampling", "decoding", "upscaling" */
	int index, step, steps;
	double step_ms;
};
struct atl_engine_events {
	/* false: end the run as soon as the library lets us: at the next step. */
	bool (*step)(void *arg, const struct atl_engine_step *step);
	void (*preview)(void *arg, int index, const struct atl_engine_image *image);
	bool (*result)(void *arg, int index, const struct atl_engine_image *image, int64_t seed); /* false: give up */
	void (*note)(void *arg, const char *text);
};
enum atl_engine_end { ATL_ENGINE_DONE, ATL_ENGINE_CANCELLED, ATL_ENGINE_BAD_MODEL, ATL_ENGINE_FAILED };

struct atl_engine;
struct atl_engine *atl_engine_open(int threads); /* NULL: out of memory */
void atl_engine_close(struct atl_engine *engine);
/* `why` gets a sentence for the person unless DONE or CANCELLED. */
enum atl_engine_end atl_engine_generate(struct atl_engine *engine, const struct atl_engine_run *run,
					const struct atl_engine_events *events, void *arg, char why[ATL_ENGINE_WHY_SIZE]);
void atl_engine_unload(struct atl_engine *engine);
bool atl_engine_loaded(const struct atl_engine *engine);
const char *atl_engine_version(void);
const char *atl_engine_backend(void); /* "CPU", "CUDA", "Vulkan" */
const char *atl_engine_sampler(size_t index);   /* names; NULL past the end */
const char *atl_engine_scheduler(size_t index);

#ifdef __cplusplus
}
#endif

#endif
