/* image.h - the two halves of atelier-image: image.c listens and reads frames, image_run.c makes pictures. */
#ifndef ATL_WORKER_IMAGE_H
#define ATL_WORKER_IMAGE_H

#include "ipc/image.h"
#include "worker/engine.h"

#define IMAGE_TALK_MS 20000 /* for one frame */

struct image_inputs { /* rows are malloc()ed and move with it */
	struct engine_image init, mask, control, references[ATL_ENGINE_REFERENCES_MAX];
	size_t reference_count;
};
struct image_job {
	int fd; /* of its own, to the client */
	uint32_t id;
	struct atl_arena arena; /* what `ask` points to */
	struct atl_engine_ask ask;
	struct image_inputs inputs;
};

/* An INPUT frame's payload joins what came before. INVALID: sizes that do not fit. */
enum atl_err image_input_add(struct image_inputs *inputs, uint16_t item, const struct atl_buf *payload,
			     struct atl_errinfo *info) ATL_MUST_USE;
void image_inputs_finish(struct image_inputs *inputs);

void image_run_setup(int threads);
/* Makes the pictures and sends everything but the last frame. `why` gets a sentence unless ENGINE_OK. */
enum engine_end image_run(struct image_job *job, char why[ENGINE_WHY_SIZE]);
void image_run_unload(void);
/* What is loaded: a file's name, or "". Any thread. */
void image_run_model(char *out, size_t size);

#endif
