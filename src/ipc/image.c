/* image.c - see image.h. */
#include "ipc/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_CHARS 4096
#define PROMPT_MAX 100000
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

#define M(name) {#name, ATL_JT_STR, offsetof(struct atl_engine_model, name), ATL_JF_OMIT, .max = PATH_MAX_CHARS}
static const struct atl_json_field MODEL[] = {M(model), M(diffusion_model), M(high_noise_diffusion_model), M(clip_l), M(clip_g),
					      M(clip_vision), M(t5xxl),     M(llm),	   M(llm_vision),
					      M(vae),	M(taesd),	    M(control_net), M(upscaler),
					      {"preview_contrast", ATL_JT_NUM, offsetof(struct atl_engine_model, preview_contrast),
					       ATL_JF_OMIT, .min = 0, .max = 1}};
const struct atl_json_desc atl_engine_model_desc = {"EngineModel", "Files of a picture model.", MODEL, ATL_COUNT(MODEL),
						    sizeof(struct atl_engine_model), ATL_JSON_NO_PRESENT, false};

#define L(member) offsetof(struct atl_engine_lora, member)
static const struct atl_json_field LORA[] = {
	{"path", ATL_JT_STR, L(path), ATL_JF_REQUIRED, .min = 1, .max = PATH_MAX_CHARS},
	{"name", ATL_JT_STR, L(name), ATL_JF_REQUIRED, .max = PATH_MAX_CHARS},
	{"weight", ATL_JT_NUM, L(weight), ATL_JF_REQUIRED, .min = -10, .max = 10},
};
static const struct atl_json_desc LORA_DESC = {"EngineLora", "A LoRA.", LORA, ATL_COUNT(LORA),
					       sizeof(struct atl_engine_lora), ATL_JSON_NO_PRESENT, false};

static const char *const TASKS[] = {"generate", "film", "upscale", NULL};
#define A(member) offsetof(struct atl_engine_ask, member)
#define NUMBER(name) {#name, ATL_JT_NUM, A(name), ATL_JF_REQUIRED, .min = -1, .max = 1000}
static const struct atl_json_field ASK[] = {
	{"task", ATL_JT_ENUM, A(task), ATL_JF_REQUIRED, .values = TASKS},
	{"model", ATL_JT_OBJ, A(model), ATL_JF_REQUIRED, .sub = &atl_engine_model_desc},
	{"prompt", ATL_JT_STR, A(prompt), ATL_JF_REQUIRED, .max = PROMPT_MAX},
	{"negative_prompt", ATL_JT_STR, A(negative_prompt), ATL_JF_REQUIRED, .max = PROMPT_MAX},
	{"sampler", ATL_JT_STR, A(sampler), ATL_JF_OMIT, .max = 60},
	{"scheduler", ATL_JT_STR, A(scheduler), ATL_JF_OMIT, .max = 60},
	{"width", ATL_JT_INT, A(width), ATL_JF_REQUIRED, .min = 16, .max = ATL_ENGINE_SIDE_MAX},
	{"height", ATL_JT_INT, A(height), ATL_JF_REQUIRED, .min = 16, .max = ATL_ENGINE_SIDE_MAX},
	{"count", ATL_JT_INT, A(count), ATL_JF_REQUIRED, .min = 1, .max = ATL_ENGINE_PICTURES_MAX},
	{"seed", ATL_JT_INT, A(seed), ATL_JF_REQUIRED, .min = 0, .max = 9007199254740991.0},
	{"steps", ATL_JT_INT, A(steps), ATL_JF_REQUIRED, .min = 0, .max = 1000},
	{"clip_skip", ATL_JT_INT, A(clip_skip), ATL_JF_REQUIRED, .min = 0, .max = 24},
	NUMBER(cfg_scale),
	NUMBER(guidance),
	NUMBER(strength),
	NUMBER(control_strength),
	NUMBER(flow_shift),
	{"loras", ATL_JT_LIST, A(loras), ATL_JF_REQUIRED, .max = 16, .sub = &LORA_DESC},
	{"preview_interval", ATL_JT_INT, A(preview_interval), ATL_JF_REQUIRED, .min = 0, .max = 1000},
	{"tiling", ATL_JT_BOOL, A(tiling), ATL_JF_REQUIRED},
	{"frames", ATL_JT_INT, A(frames), ATL_JF_REQUIRED, .min = 0, .max = ATL_ENGINE_FRAMES_MAX},
	{"fps", ATL_JT_INT, A(fps), ATL_JF_REQUIRED, .min = 0, .max = ATL_ENGINE_FPS_MAX},
};
const struct atl_json_desc atl_engine_ask_desc = {"EngineAsk", "A run of the picture engine.", ASK, ATL_COUNT(ASK),
						  sizeof(struct atl_engine_ask), ATL_JSON_NO_PRESENT, false};

#define H(member) offsetof(struct atl_engine_hello, member)
static const struct atl_json_field HELLO[] = {
	{"version", ATL_JT_STR, H(version), ATL_JF_REQUIRED, .max = 100},
	{"backend", ATL_JT_STR, H(backend), ATL_JF_REQUIRED, .max = 100},
	{"model", ATL_JT_STR, H(model), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .max = PATH_MAX_CHARS},
	{"memory_bytes", ATL_JT_INT, H(memory_bytes), ATL_JF_REQUIRED},
	{"threads", ATL_JT_INT, H(threads), ATL_JF_REQUIRED},
	{"busy", ATL_JT_BOOL, H(busy), ATL_JF_REQUIRED},
	{"samplers", ATL_JT_STRS, H(samplers), ATL_JF_REQUIRED, .max = 200, .item_max = 60},
	{"schedulers", ATL_JT_STRS, H(schedulers), ATL_JF_REQUIRED, .max = 200, .item_max = 60},
};
const struct atl_json_desc atl_engine_hello_desc = {"EngineHello", "What the picture engine is and does.", HELLO,
						    ATL_COUNT(HELLO), sizeof(struct atl_engine_hello),
						    ATL_JSON_NO_PRESENT, false};

#define S(member) offsetof(struct atl_engine_step, member)
static const char *const PHASES[] = {"loading", "preparing", "sampling", "decoding", "upscaling", NULL};
static const struct atl_json_field STEP[] = {
	{"phase", ATL_JT_ENUM, S(phase), ATL_JF_REQUIRED, .values = PHASES},
	{"step", ATL_JT_INT, S(step), ATL_JF_REQUIRED, .min = 0, .max = 1000000},
	{"steps", ATL_JT_INT, S(steps), ATL_JF_REQUIRED, .min = 0, .max = 1000000},
	{"step_ms", ATL_JT_NUM, S(step_ms), ATL_JF_REQUIRED},
	{"left_ms", ATL_JT_NUM, S(left_ms), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_engine_step_desc = {"EngineStep", "How far a run is.", STEP, ATL_COUNT(STEP),
						   sizeof(struct atl_engine_step), ATL_JSON_NO_PRESENT, false};

#define R(member) offsetof(struct atl_engine_made, member)
static const struct atl_json_field MADE[] = {
	{"width", ATL_JT_INT, R(width), ATL_JF_REQUIRED, .min = 1, .max = 16384},
	{"height", ATL_JT_INT, R(height), ATL_JF_REQUIRED, .min = 1, .max = 16384},
	{"seed", ATL_JT_INT, R(seed), ATL_JF_REQUIRED, .min = 0, .max = 9007199254740991.0},
	{"media_type", ATL_JT_STR, R(media_type), ATL_JF_OMIT, .max = 60},
	{"length", ATL_JT_INT, R(length), ATL_JF_REQUIRED, .min = 0, .max = 1 << 30},
};
const struct atl_json_desc atl_engine_made_desc = {"EngineMade", "A finished picture.", MADE, ATL_COUNT(MADE),
						   sizeof(struct atl_engine_made), ATL_JSON_NO_PRESENT, false};

enum atl_err atl_engine_write(const struct atl_json_desc *desc, const void *value, struct atl_buf *out,
			      struct atl_errinfo *info)
{
	struct atl_jw w;
	atl_buf_reset(out);
	atl_jw_init(&w, out);
	atl_json_encode(&w, NULL, desc, value);
	return atl_buf_err(out, info);
}

enum atl_err atl_engine_read(struct atl_arena *arena, const struct atl_json_desc *desc, const char *text, size_t length,
			     void *ret, struct atl_errinfo *info)
{
	struct atl_json *tree;
	enum atl_err err = length > ATL_ENGINE_JSON_MAX ? atl_fail(info, ATL_ERR_TOO_LARGE, "%zu bytes", length)
							: atl_json_parse(arena, text, length, &tree, info);
	if (!err)
		err = atl_json_decode(arena, tree, desc, ret, info);
	return err ? atl_fail_context(info, ATL_ERR_UPSTREAM_FORMAT, "%s", desc->name) : ATL_OK;
}

enum atl_err atl_engine_share(const void *data, size_t length, int *ret_fd, struct atl_errinfo *info)
{
	const char *at = data;
	int fd = memfd_create("picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return atl_fail(info, ATL_ERR_IO, "making a memory file: %s", strerror(errno));
	while (length > 0) {
		ssize_t n = write(fd, at, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		at += n;
		length -= (size_t)n;
	}
	if (length > 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
		enum atl_err err = atl_fail(info, ATL_ERR_NOMEM, "filling a memory file: %s", strerror(errno));
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return ATL_OK;
}

enum atl_err atl_engine_map(int fd, size_t length, const void **ret, struct atl_errinfo *info)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) != 0 || st.st_size != (off_t)length || length == 0)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the picture engine sent a picture of another size");
	void *data = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return atl_fail(info, ATL_ERR_NOMEM, "mapping a picture: %s", strerror(errno));
	*ret = data;
	return ATL_OK;
}
