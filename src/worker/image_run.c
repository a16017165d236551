/* image_run.c - one run of atelier-image: the model it needs, its pictures, progress and previews. Main thread only,
 * but for image_run_model(). */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "ipc/channel.h"
#include "media/encode.h"
#include "worker/film.h"
#include "worker/image.h"
#include "worker/preview.h"

#define MODEL_TEXT_MAX 65536
#define PREVIEW_MAX ((size_t)1 << 20)
#define LORAS_MAX 16

static struct {
	int threads;
	struct image_job *job; /* NULL: none is running */
	int64_t index;
	struct atl_buf model;	/* the description of what is loaded, as JSON text */
	struct atl_buf message; /* payload that is being made */
	pthread_mutex_t lock;
	char name[256]; /* guarded by lock */
} self = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A client that is gone is noticed by the thread that reads from it. */
static void tell(uint16_t type, const void *data, size_t length)
{
	struct atl_frame frame = {.type = type, .item = (uint16_t)self.index, .id = self.job->id};
	if (atl_channel_send(self.job->fd, atl_monotonic_ms() + IMAGE_TALK_MS, &frame, data, length, NULL, 0, NULL) != ATL_OK)
		engine_cancel();
}

/* ---- the engine's events ---- */

static void on_progress(void *arg, enum engine_phase phase, int step, int steps, double step_ms)
{
	static const char *const NAMES[] = {"loading", "preparing", "sampling", "decoding", "upscaling"};
	if (!self.job || step < 0 || steps < 0)
		return;
	struct atl_engine_step s = {.phase = NAMES[phase], .step = step, .steps = steps, .step_ms = step_ms};
	if (phase == ENGINE_SAMPLING)
		s.left_ms = step_ms * (double)(steps - step + steps * (self.job->ask.count - self.index - 1));
	if (atl_engine_write(&atl_engine_step_desc, &s, &self.message, NULL) == ATL_OK)
		tell(ATL_FRAME_PROGRESS, self.message.data, self.message.length);
}

/* Every n-th pixel: it is a glimpse. */
static void on_preview(void *arg, const struct engine_image *image)
{
	uint32_t larger = image->width > image->height ? image->width : image->height;
	uint32_t n = (larger + ATL_ENGINE_PREVIEW_SIDE - 1) / ATL_ENGINE_PREVIEW_SIDE;
	if (!self.job || n == 0)
		return;
	uint32_t width = image->width / n, height = image->height / n;
	unsigned char *small = malloc((size_t)width * height * 3 + 1);
	if (!small || width == 0 || height == 0) {
		free(small);
		return;
	}
	for (size_t y = 0; y < height; y++)
		for (size_t x = 0; x < width; x++)
			memcpy(small + (y * width + x) * 3, image->data + (y * n * image->width + x * n) * 3, 3);
	preview_spread(small, (size_t)width * height * 3, self.job->ask.model->preview_contrast);
	atl_buf_reset(&self.message);
	if (atl_png_encode(small, width, height, 3, &self.message, NULL) == ATL_OK)
		tell(ATL_FRAME_PREVIEW, self.message.data, self.message.length);
	free(small);
}

static void note(const char *text)
{
	if (self.job)
		tell(ATL_FRAME_LOG, text, strlen(text));
}

static void on_log(void *arg, int level, const char *line)
{
	if (level > 0)
		fprintf(stderr, "%s\n", line);
}

/* ---- the model ---- */

/* Only what is surely one of the two formats reaches the library's readers. */
static bool is_model_file(const char *path, char why[ENGINE_WHY_SIZE])
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	unsigned char head[9] = {0};
	FILE *file = fopen(path, "rbe");
	if (!file) {
		snprintf(why, ENGINE_WHY_SIZE, "%.200s cannot be read: %s.", name, strerror(errno));
		return false;
	}
	size_t n = fread(head, 1, sizeof head, file);
	fseek(file, 0, SEEK_END);
	long size = ftell(file);
	fclose(file);
	uint64_t length = 0;
	for (size_t i = 8; i-- > 0;)
		length = length << 8 | head[i];
	if (n == sizeof head && (memcmp(head, "GGUF", 4) == 0 || (head[8] == '{' && length < (uint64_t)size - 8)))
		return true;
	snprintf(why, ENGINE_WHY_SIZE,
		 "%.200s is not a complete safetensors or GGUF file. Download it again, or convert it to safetensors.", name);
	return false;
}

static bool fill_model(const struct atl_engine_model *from, struct engine_model *to, char why[ENGINE_WHY_SIZE])
{
	*to = (struct engine_model){.threads = self.threads};
#define ENGINE_PART_X(name)                                            \
	if (!atl_str_empty(from->name)) {                              \
		if (!is_model_file(from->name, why))                   \
			return false;                                  \
		to->name = from->name;                                 \
	}
	ENGINE_PARTS(ENGINE_PART_X)
#undef ENGINE_PART_X
	if (to->model || to->diffusion_model)
		return true;
	snprintf(why, ENGINE_WHY_SIZE, "The model's description names no model file.");
	return false;
}

static void set_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	pthread_mutex_lock(&self.lock);
	atl_str_copy(self.name, sizeof self.name, slash ? slash + 1 : path ? path : "");
	pthread_mutex_unlock(&self.lock);
}

static enum engine_end need_model(const struct atl_engine_model *wanted, char why[ENGINE_WHY_SIZE])
{
	struct engine_model model;
	struct atl_buf text;
	atl_buf_init(&text, MODEL_TEXT_MAX);
	enum engine_end end = ENGINE_FAILED;
	if (atl_engine_write(&atl_engine_model_desc, wanted, &text, NULL) != ATL_OK)
		snprintf(why, ENGINE_WHY_SIZE, "The model's description is too long.");
	else if (engine_loaded() && text.length == self.model.length && memcmp(text.data, self.model.data, text.length) == 0)
		end = ENGINE_OK;
	else if (fill_model(wanted, &model, why)) {
		image_run_unload();
		on_progress(NULL, ENGINE_LOADING, 0, 0, 0);
		end = engine_load(&model, why);
		atl_buf_reset(&self.model);
		atl_buf_add(&self.model, text.data, text.length);
		if (end == ENGINE_OK)
			set_name(model.model ? model.model : model.diffusion_model);
	}
	atl_buf_finish(&text);
	return end;
}

/* ---- the run ---- */

static bool fill_loras(const struct atl_engine_ask *ask, struct engine_lora *loras, size_t *ret_count,
		       char why[ENGINE_WHY_SIZE])
{
	const struct atl_engine_lora *given = ask->loras.items;
	size_t count = 0;
	for (size_t i = 0; i < ask->loras.count && count < LORAS_MAX; i++) {
		if (given[i].weight == 0)
			continue;
		if (access(given[i].path, R_OK) != 0) {
			snprintf(why, ENGINE_WHY_SIZE, "There is no LoRA %.200s in the models folder.", given[i].name);
			return false;
		}
		if (!is_model_file(given[i].path, why))
			return false;
		loras[count++] = (struct engine_lora){given[i].path, (float)given[i].weight};
	}
	*ret_count = count;
	return true;
}

static enum engine_end send_made(const struct atl_engine_made *made, const void *data, size_t length,
				 char why[ENGINE_WHY_SIZE])
{
	struct atl_frame frame = {.type = ATL_FRAME_RESULT, .item = (uint16_t)self.index, .id = self.job->id};
	struct atl_errinfo info = {0};
	int fd = -1;
	enum atl_err err = atl_engine_share(data, length, &fd, &info);
	if (!err)
		err = atl_engine_write(&atl_engine_made_desc, made, &self.message, &info);
	if (!err)
		err = atl_channel_send_fd(self.job->fd, atl_monotonic_ms() + IMAGE_TALK_MS, &frame, self.message.data,
					  self.message.length, fd, &info);
	if (fd >= 0)
		close(fd);
	if (err)
		snprintf(why, ENGINE_WHY_SIZE, "The picture could not be handed over: %.300s", info.detail);
	return err ? ENGINE_FAILED : ENGINE_OK;
}

static enum engine_end send_result(struct engine_image *image, int64_t seed, char why[ENGINE_WHY_SIZE])
{
	struct atl_engine_made made = {.width = image->width, .height = image->height, .seed = seed};
	if (image->channels == 3)
		return send_made(&made, image->data, (size_t)image->width * image->height * 3, why);
	snprintf(why, ENGINE_WHY_SIZE, "The engine made a picture of %u channels.", image->channels);
	return ENGINE_FAILED;
}

/* What is not painted anew stays as it was, to the bit: the autoencoder changes every pixel that goes through it. */
static void keep_unmasked(const struct image_inputs *inputs, struct engine_image *image)
{
	const struct engine_image *init = &inputs->init, *mask = &inputs->mask;
	if (!init->data || !mask->data || image->channels != 3 || init->width != image->width ||
	    init->height != image->height || mask->width != image->width || mask->height != image->height)
		return;
	for (size_t i = 0; i < (size_t)image->width * image->height * 3; i++) {
		unsigned m = mask->data[i / 3];
		image->data[i] = (uint8_t)((image->data[i] * m + init->data[i] * (255 - m) + 127) / 255);
	}
}

static enum engine_end make_picture(const struct engine_ask *e, const struct image_inputs *inputs, char why[ENGINE_WHY_SIZE])
{
	struct engine_image image = {0};
	enum engine_end end = engine_generate(e, &image, why);
	if (end == ENGINE_OK) {
		keep_unmasked(inputs, &image);
		end = send_result(&image, e->seed, why);
	}
	engine_free(&image);
	return end;
}

/* The frames are ours, so libav writes them here: what leaves is the file. */
static enum engine_end send_film(const struct engine_image *frames, size_t count, int64_t seed, char why[ENGINE_WHY_SIZE])
{
	struct atl_errinfo info = {0};
	struct atl_buf file;
	atl_buf_init(&file, FILM_BYTES_MAX + (1 << 20));
	on_progress(NULL, ENGINE_DECODING, 0, 0, 0);
	enum atl_err err = film_encode(frames, count, (int)self.job->ask.fps, self.threads, engine_is_cancelled, &file, &info);
	enum engine_end end = err == ATL_ERR_CANCELLED ? ENGINE_CANCELLED : ENGINE_FAILED;
	if (err)
		snprintf(why, ENGINE_WHY_SIZE, "%.390s", info.detail);
	struct atl_engine_made made = {.width = frames[0].width & ~1u, .height = frames[0].height & ~1u, .seed = seed,
				       .media_type = FILM_MEDIA_TYPE, .length = (int64_t)file.length};
	if (!err)
		end = send_made(&made, file.data, file.length, why);
	atl_buf_finish(&file);
	return end;
}

static enum engine_end make_film(const struct engine_ask *e, char why[ENGINE_WHY_SIZE])
{
	struct engine_image *frames = NULL;
	size_t count = 0;
	if (e->frames < 1 || self.job->ask.fps < 1 || (int64_t)e->width * e->height * e->frames > ATL_ENGINE_FILM_PIXELS_MAX) {
		snprintf(why, ENGINE_WHY_SIZE, "The film has too many frames for its size.");
		return ENGINE_FAILED;
	}
	enum engine_end end = engine_generate_film(e, &frames, &count, why);
	if (end == ENGINE_OK)
		end = send_film(frames, count, e->seed, why);
	for (size_t i = 0; i < count; i++)
		engine_free(&frames[i]);
	free(frames);
	return end;
}

static enum engine_end generate(struct image_job *job, char why[ENGINE_WHY_SIZE])
{
	const struct atl_engine_ask *ask = &job->ask;
	struct engine_lora loras[LORAS_MAX];
	struct engine_ask e = {
		.prompt = ask->prompt, .negative_prompt = ask->negative_prompt, .sampler = ask->sampler,
		.scheduler = ask->scheduler, .width = (int)ask->width, .height = (int)ask->height, .steps = (int)ask->steps,
		.clip_skip = (int)ask->clip_skip, .cfg_scale = (float)ask->cfg_scale, .guidance = (float)ask->guidance,
		.strength = (float)ask->strength, .control_strength = (float)ask->control_strength,
		.flow_shift = (float)ask->flow_shift, .loras = loras, .init = job->inputs.init, .mask = job->inputs.mask,
		.control = job->inputs.control, .references = job->inputs.references,
		.reference_count = job->inputs.reference_count, .frames = (int)ask->frames, .tiling = ask->tiling,
		.preview_interval = (int)ask->preview_interval};
	if (!fill_loras(ask, loras, &e.lora_count, why))
		return ENGINE_FAILED;
	enum engine_end end = need_model(ask->model, why);
	for (self.index = 0; end == ENGINE_OK && self.index < ask->count; self.index++) {
		e.seed = ask->seed + self.index;
		on_progress(NULL, ENGINE_ENCODING, 0, 0, 0);
		end = atl_str_eq(ask->task, "film") ? make_film(&e, why) : make_picture(&e, &job->inputs, why);
	}
	return end;
}

static enum engine_end upscale(struct image_job *job, char why[ENGINE_WHY_SIZE])
{
	const char *path = job->ask.model->upscaler;
	struct engine_image image = {0};
	if (!path || !job->inputs.init.data) {
		snprintf(why, ENGINE_WHY_SIZE, "Enlarging needs a picture and an upscaler's model file.");
		return ENGINE_FAILED;
	}
	if (!is_model_file(path, why))
		return ENGINE_FAILED;
	image_run_unload(); /* both may not fit */
	enum engine_end end = engine_upscale(path, self.threads, &job->inputs.init, &image, why);
	if (end == ENGINE_OK)
		end = send_result(&image, job->ask.seed, why);
	engine_free(&image);
	return end;
}

enum engine_end image_run(struct image_job *job, char why[ENGINE_WHY_SIZE])
{
	self.job = job;
	self.index = 0;
	enum engine_end end = atl_str_eq(job->ask.task, "upscale") ? upscale(job, why) : generate(job, why);
	self.job = NULL;
	return end;
}

void image_run_setup(int threads)
{
	struct engine_events events = {.progress = on_progress, .preview = on_preview, .note = note, .log = on_log};
	self.threads = threads;
	atl_buf_init(&self.model, MODEL_TEXT_MAX);
	atl_buf_init(&self.message, PREVIEW_MAX);
	engine_setup(&events);
}

void image_run_unload(void)
{
	engine_unload();
	set_name(NULL);
	malloc_trim(0);
}

void image_run_model(char *out, size_t size)
{
	pthread_mutex_lock(&self.lock);
	atl_str_copy(out, size, self.name);
	pthread_mutex_unlock(&self.lock);
}
