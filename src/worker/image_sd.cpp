/* image_sd.cpp - engine.h by stable-diffusion.cpp. The one home of stable-diffusion.h.
 *
 * The library (of the version in script/deps/pins.sh) cannot be asked to stop, so a run is left by an exception thrown
 * from its progress callback; the context is fit for use afterwards. Progress is told for everything that counts to
 * something: what it is about is known from the lines of its log. Its words are in PHASES.
 */
#include "worker/engine.h"

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include <stable-diffusion.h>

namespace {

struct cancelled : std::exception {};

struct { /* the log says this when the phase begins */
	const char *words;
	enum engine_phase phase;
} const PHASES[] = {
	{"loading model", ENGINE_LOADING},	     {"loading diffusion model", ENGINE_LOADING},
	{"apply lora", ENGINE_LOADING},		     {"loading tensors", ENGINE_LOADING},
	{"IMG2IMG", ENGINE_ENCODING},		     {"EDIT mode", ENGINE_ENCODING},
	{"get_learned_condition completed", ENGINE_SAMPLING}, {"generating image:", ENGINE_SAMPLING},
	{"decoding ", ENGINE_DECODING},		     {"generating latent video completed", ENGINE_DECODING},
};

struct engine_events events;
sd_ctx_t *context;
std::atomic<bool> stop;
std::atomic<int> phase;
std::mutex error_lock;
std::string last_error; /* guarded by error_lock: files are read on threads of the library */

void on_log(enum sd_log_level_t level, const char *text, void *)
{
	std::string line(text);
	while (!line.empty() && (line.back() == '\n' || line.back() == '\r'))
		line.pop_back();
	for (const auto &entry : PHASES)
		if (line.find(entry.words) != std::string::npos)
			phase = entry.phase;
	if (level == SD_LOG_ERROR) {
		std::lock_guard<std::mutex> guard(error_lock);
		last_error = line;
	}
	/* "Only (3 / 9) LoRA tensors have been applied": said on the caller's thread */
	if (events.note && level >= SD_LOG_WARN && line.find("LoRA tensors have been applied") != std::string::npos)
		events.note("A LoRA does not fit this model: not all of it was used.");
	if (events.log)
		events.log(events.arg, static_cast<int>(level), line.c_str());
}

/* Loading happens on threads of the library, and its progress is told on the caller's while they run: leaving from there
 * would destroy running threads and end the process. What is being loaded is loaded to its end. */
void on_progress(int step, int steps, float seconds, void *)
{
	if (stop && phase >= ENGINE_SAMPLING)
		throw cancelled();
	if (events.progress)
		events.progress(events.arg, static_cast<enum engine_phase>(phase.load()), step, steps, seconds * 1000.0);
}

void on_preview(int, int frames, sd_image_t *images, bool, void *)
{
	if (frames < 1 || !images || !images[0].data || images[0].channel != 3 || !events.preview)
		return;
	struct engine_image image = {images[0].width, images[0].height, 3, images[0].data};
	events.preview(events.arg, &image);
}

void say(char why[ENGINE_WHY_SIZE], const char *what)
{
	std::snprintf(why, ENGINE_WHY_SIZE, "%s%s%s", what, last_error.empty() ? "" : " The engine says: ",
		      last_error.c_str());
}

/* Calls `what`, and turns the ways out of the library into an end. */
template <typename Call>
enum engine_end guarded(char why[ENGINE_WHY_SIZE], Call what)
{
	last_error.clear();
	try {
		if (stop)
			return ENGINE_CANCELLED;
		return what();
	} catch (const cancelled &) {
		return ENGINE_CANCELLED;
	} catch (const std::bad_alloc &) {
		std::snprintf(why, ENGINE_WHY_SIZE, "There is not enough memory. Try a smaller picture or model.");
	} catch (const std::exception &e) {
		last_error = e.what();
		say(why, "The picture engine failed.");
	}
	return ENGINE_FAILED;
}

sd_image_t as_sd(const struct engine_image &image)
{
	return {image.width, image.height, image.channels, image.data};
}

float or_default(float value, float fallback)
{
	return value < 0 ? fallback : value;
}

/* What pictures and films have in common. */
template <typename Params>
bool fill_common(const struct engine_ask *ask, Params *p, char why[ENGINE_WHY_SIZE])
{
	p->prompt = ask->prompt;
	p->negative_prompt = ask->negative_prompt;
	p->clip_skip = ask->clip_skip > 0 ? ask->clip_skip : -1;
	p->width = ask->width;
	p->height = ask->height;
	p->seed = ask->seed;
	p->strength = or_default(ask->strength, p->strength);
	p->init_image = as_sd(ask->init);
	p->vae_tiling_params.enabled = ask->tiling;
	if (ask->steps > 0)
		p->sample_params.sample_steps = ask->steps;
	p->sample_params.guidance.txt_cfg = or_default(ask->cfg_scale, p->sample_params.guidance.txt_cfg);
	p->sample_params.guidance.distilled_guidance =
		or_default(ask->guidance, p->sample_params.guidance.distilled_guidance);
	if (ask->flow_shift >= 0)
		p->sample_params.flow_shift = ask->flow_shift;
	if (ask->sampler)
		p->sample_params.sample_method = str_to_sample_method(ask->sampler);
	if (ask->sampler && p->sample_params.sample_method == SAMPLE_METHOD_COUNT) {
		std::snprintf(why, ENGINE_WHY_SIZE, "The local engine has no sampler %.60s.", ask->sampler);
		return false;
	}
	if (ask->scheduler)
		p->sample_params.scheduler = str_to_scheduler(ask->scheduler);
	if (ask->scheduler && p->sample_params.scheduler == SCHEDULER_COUNT) {
		std::snprintf(why, ENGINE_WHY_SIZE, "The local engine has no scheduler %.60s.", ask->scheduler);
		return false;
	}
	return true;
}

bool fill(const struct engine_ask *ask, sd_img_gen_params_t *p, char why[ENGINE_WHY_SIZE])
{
	sd_img_gen_params_init(p);
	p->control_strength = or_default(ask->control_strength, p->control_strength);
	p->mask_image = as_sd(ask->mask);
	p->control_image = as_sd(ask->control);
	return fill_common(ask, p, why);
}

/* The part of the model that makes the rough of a film, where it has one, works by the same values. */
bool fill_film(const struct engine_ask *ask, sd_vid_gen_params_t *p, char why[ENGINE_WHY_SIZE])
{
	sd_vid_gen_params_init(p);
	p->video_frames = ask->frames;
	if (!fill_common(ask, p, why))
		return false;
	p->high_noise_sample_params = p->sample_params;
	p->high_noise_sample_params.sample_steps = -1; /* by where the noise is strong */
	return true;
}

std::vector<sd_lora_t> loras_of(const struct engine_ask *ask)
{
	std::vector<sd_lora_t> loras;
	for (size_t i = 0; i < ask->lora_count; i++)
		loras.push_back({false, ask->loras[i].weight, ask->loras[i].path});
	return loras;
}

void on_preview_every(int steps)
{
	sd_set_preview_callback(on_preview, steps > 0 ? PREVIEW_PROJ : PREVIEW_NONE, steps > 0 ? steps : 1, true, false, nullptr);
}

enum engine_end take(sd_image_t *images, struct engine_image *ret, char why[ENGINE_WHY_SIZE])
{
	if (!images || !images[0].data) {
		std::free(images);
		say(why, "The picture engine made no picture.");
		return ENGINE_FAILED;
	}
	*ret = {images[0].width, images[0].height, images[0].channel, images[0].data};
	std::free(images);
	return ENGINE_OK;
}

} // namespace

extern "C" {

void engine_setup(const struct engine_events *given)
{
	events = *given;
	sd_set_log_callback(on_log, nullptr);
	sd_set_progress_callback(on_progress, nullptr);
}

const char *engine_version(void)
{
	return ATELIER_SD_VERSION;
}

const char *engine_backend(void)
{
	const char *info = sd_get_system_info();
	for (const char *name : {"CUDA", "Vulkan", "Metal"})
		if (info && std::strstr(info, name))
			return name;
	return "CPU";
}

const char *engine_sampler(int index)
{
	return index >= 0 && index < SAMPLE_METHOD_COUNT ? sd_sample_method_name(static_cast<sample_method_t>(index))
							 : nullptr;
}

const char *engine_scheduler(int index)
{
	return index >= 0 && index < SCHEDULER_COUNT ? sd_scheduler_name(static_cast<scheduler_t>(index)) : nullptr;
}

enum engine_end engine_load(const struct engine_model *model, char why[ENGINE_WHY_SIZE])
{
	engine_unload();
	phase = ENGINE_LOADING;
	return guarded(why, [&] {
		sd_ctx_params_t p;
		sd_ctx_params_init(&p);
#define ENGINE_PART_X(name) p.name##_path = model->name ? model->name : "";
		ENGINE_PARTS(ENGINE_PART_X)
#undef ENGINE_PART_X
		p.n_threads = model->threads;
		p.vae_decode_only = false;
		p.free_params_immediately = false;
		/* Merged into the weights they cannot be taken out again without a trace: the next picture would differ. */
		p.lora_apply_mode = LORA_APPLY_AT_RUNTIME;
		context = new_sd_ctx(&p);
		if (!context)
			say(why, "The model could not be loaded.");
		return context ? ENGINE_OK : ENGINE_FAILED;
	});
}

void engine_unload(void)
{
	if (context)
		free_sd_ctx(context);
	context = nullptr;
}

bool engine_loaded(void)
{
	return context != nullptr;
}

enum engine_end engine_generate(const struct engine_ask *ask, struct engine_image *ret, char why[ENGINE_WHY_SIZE])
{
	phase = ENGINE_ENCODING;
	return guarded(why, [&] {
		sd_img_gen_params_t p;
		std::vector<sd_lora_t> loras = loras_of(ask);
		std::vector<sd_image_t> references;
		if (!sd_ctx_supports_image_generation(context)) {
			std::snprintf(why, ENGINE_WHY_SIZE, "This model makes films, no still pictures.");
			return ENGINE_FAILED;
		}
		if (!fill(ask, &p, why))
			return ENGINE_FAILED;
		for (size_t i = 0; i < ask->reference_count; i++)
			references.push_back(as_sd(ask->references[i]));
		p.loras = loras.data();
		p.lora_count = static_cast<uint32_t>(loras.size());
		p.ref_images = references.data();
		p.ref_images_count = static_cast<int>(references.size());
		on_preview_every(ask->preview_interval);
		return take(generate_image(context, &p), ret, why);
	});
}

enum engine_end engine_generate_film(const struct engine_ask *ask, struct engine_image **ret, size_t *ret_count,
				     char why[ENGINE_WHY_SIZE])
{
	phase = ENGINE_ENCODING;
	return guarded(why, [&] {
		sd_vid_gen_params_t p;
		std::vector<sd_lora_t> loras = loras_of(ask);
		int count = 0;
		if (!sd_ctx_supports_video_generation(context)) {
			std::snprintf(why, ENGINE_WHY_SIZE, "This model makes no films.");
			return ENGINE_FAILED;
		}
		if (!fill_film(ask, &p, why))
			return ENGINE_FAILED;
		p.loras = loras.data();
		p.lora_count = static_cast<uint32_t>(loras.size());
		on_preview_every(ask->preview_interval);
		sd_image_t *frames = generate_video(context, &p, &count);
		auto *images = static_cast<struct engine_image *>(std::calloc(count > 0 ? count : 1, sizeof(struct engine_image)));
		if (!frames || count < 1 || !images) {
			std::free(images);
			for (int i = 0; frames && i < count; i++)
				std::free(frames[i].data);
			std::free(frames);
			say(why, "The picture engine made no film.");
			return ENGINE_FAILED;
		}
		for (int i = 0; i < count; i++)
			images[i] = {frames[i].width, frames[i].height, frames[i].channel, frames[i].data};
		std::free(frames);
		*ret = images;
		*ret_count = static_cast<size_t>(count);
		return ENGINE_OK;
	});
}

enum engine_end engine_upscale(const char *model_path, int threads, const struct engine_image *image,
			       struct engine_image *ret, char why[ENGINE_WHY_SIZE])
{
	phase = ENGINE_LOADING;
	upscaler_ctx_t *upscaler = nullptr;
	enum engine_end end = guarded(why, [&] {
		upscaler = new_upscaler_ctx(model_path, false, false, threads, 128);
		if (!upscaler) {
			say(why, "The upscaler could not be loaded.");
			return ENGINE_FAILED;
		}
		if (stop)
			return ENGINE_CANCELLED;
		phase = ENGINE_UPSCALING;
		sd_image_t out = upscale(upscaler, as_sd(*image), static_cast<uint32_t>(get_upscale_factor(upscaler)));
		if (!out.data) {
			say(why, "The upscaler made no picture.");
			return ENGINE_FAILED;
		}
		*ret = {out.width, out.height, out.channel, out.data};
		return ENGINE_OK;
	});
	if (upscaler)
		free_upscaler_ctx(upscaler);
	return end;
}

void engine_free(struct engine_image *image)
{
	std::free(image->data);
	image->data = nullptr;
}

void engine_cancel(void)
{
	stop = true;
}

bool engine_is_cancelled(void)
{
	return stop;
}

void engine_resume(void)
{
	stop = false;
}

} // extern "C"
