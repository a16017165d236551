/* picture.h - the job kind "picture": from what a person asked to a job, and from a job to stored pictures.
 *
 * atl_picture_prepare() is the one way in, for the page, the REST API, OpenAI and A1111 clients, the studio contract
 * and the chat: it applies the style and the character's look, expands wildcards and dynamic prompts, takes
 * <lora:name:weight> out of the prompt, checks every value against the model registry (refused, or mapped with a note,
 * never dropped silently), asks the policy, and gives a struct atl_job_new to submit.
 *
 * Threads:    blocking: pool threads; the kind on runner threads. Ownership: the given arena.
 */
#ifndef ATL_CORE_PICTURE_H
#define ATL_CORE_PICTURE_H

#include "core/jobs/job.h"
#include "core/pictures/picture_model.h"
#include "core/safety/policy.h"

#define ATL_PICTURE_PROMPT_MAX 10000 /* bytes */

struct atl_picture_lora_in {
	const char *name;
	double weight;
};
/* What can be asked: the body of POST /api/v1/jobs. NULL, INT64_MIN and NAN: not given. */
struct atl_picture_ask {
	const char *task; /* NULL: from what is given */
	const char *model, *prompt, *negative_prompt;
	int64_t width, height, steps, seed /* -1: random */, count, clip_skip;
	int64_t subseed;
	double subseed_strength, cfg_scale, guidance, strength;
	const char *sampler, *scheduler;
	struct atl_items loras; /* struct atl_picture_lora_in */
	const char *init_asset, *mask_asset, *control_asset; /* asset ids of the same user */
	struct atl_strs reference_assets;
	const char *control_type;
	double control_strength, upscale_factor;
	const char *upscaler;
	int64_t frames, fps, duration_s;
	const char *format, *quality;
	const char *style;	  /* id or name of a style */
	const char *character_id; /* its look applies */
	bool no_look;
	const char *conversation_id, *message_id, *board_id;
	const char *workflow_id;
	const struct atl_json *inputs; /* of the workflow: {"name": value} */
	const struct atl_json *extra;  /* the service's own parameters */
	bool no_expand;		       /* braces and __names__ stay as they are */
	int64_t priority, not_before;
	const char *depends_on;	 /* its first result is the init picture when none is given */
	const char *webhook_url;
	int64_t max_cost_micro_usd; /* 0: no ceiling of its own */
};
void atl_picture_ask_init(struct atl_picture_ask *ask);

enum atl_err atl_picture_prepare(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				 enum atl_entry_point entry, const char *origin, const struct atl_picture_ask *ask,
				 struct atl_job_new *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* prepare and submit. */
enum atl_err atl_picture_submit(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				enum atl_entry_point entry, const char *origin, const struct atl_picture_ask *ask,
				struct atl_job *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* "1024x768"; false: it is none. */
bool atl_picture_size(struct atl_arena *arena, const char *text, int64_t *ret_width, int64_t *ret_height);

struct atl_picture_estimate {
	int64_t run_ms, wait_ms, cost_micro_usd; /* 0: unknown */
	struct atl_strs notes;
};
extern const struct atl_json_desc atl_picture_estimate_desc;
enum atl_err atl_picture_estimate(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				  const struct atl_picture_ask *ask, struct atl_picture_estimate *ret,
				  struct atl_errinfo *info) ATL_MUST_USE;

/* Guess from earlier jobs of this model, in ms; 0: unknown. */
int64_t atl_picture_time_guess(struct atl_app *app, const char *model, int64_t width, int64_t height, int64_t steps,
			       int64_t count);

extern const struct atl_job_kind atl_picture_kind;

#endif
