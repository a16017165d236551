/* job_in.c - see job_in.h: the fields of a job's request. */
#include "api/job_in.h"

#include <math.h>

#include "api/fields.h"

#define IN(member) offsetof(struct atl_job_in, ask.member)
#define ASSET_DOC "id of one of your assets"

static const struct atl_json_field lora_fields[] = {
	F_STR(struct atl_picture_lora_in, name, ATL_JF_REQUIRED, 1, 200, NULL),
	F_NUM(struct atl_picture_lora_in, weight, ATL_JF_REQUIRED, -10, 10, NULL),
};
DESC(lora_desc, struct atl_picture_lora_in, "JobLora", lora_fields);

static const char *const tasks[] = {
#define TASK_X(name, text) text,
	ATL_IMAGE_TASK_LIST(TASK_X)
#undef TASK_X
	NULL
};

static const struct atl_json_field in_fields[] = {
	{ "task", ATL_JT_ENUM, IN(task), .values = tasks, .doc = "from what is given when left out" },
	{ "model", ATL_JT_STR, IN(model), .max = 300, .doc = "id of a picture model; the first that is ready when left out" },
	{ "prompt", ATL_JT_STR, IN(prompt), .max = ATL_PICTURE_PROMPT_MAX },
	{ "negative_prompt", ATL_JT_STR, IN(negative_prompt), .max = ATL_PICTURE_PROMPT_MAX },
	{ "width", ATL_JT_INT, IN(width), .min = 1, .max = 16384 },
	{ "height", ATL_JT_INT, IN(height), .min = 1, .max = 16384 },
	{ "steps", ATL_JT_INT, IN(steps), .min = 1, .max = 1000 },
	{ "cfg_scale", ATL_JT_NUM, IN(cfg_scale), .min = 0, .max = 100 },
	{ "guidance", ATL_JT_NUM, IN(guidance), .min = 0, .max = 100 },
	{ "seed", ATL_JT_INT, IN(seed), .min = -1, .max = 4294967295.0, .doc = "-1: chosen for you" },
	{ "subseed", ATL_JT_INT, IN(subseed), .min = -1, .max = 4294967295.0 },
	{ "subseed_strength", ATL_JT_NUM, IN(subseed_strength), .min = 0, .max = 1 },
	{ "clip_skip", ATL_JT_INT, IN(clip_skip), .min = 0, .max = 12 },
	{ "count", ATL_JT_INT, IN(count), .min = 1, .max = ATL_IMAGE_COUNT_MAX, .doc = "pictures" },
	{ "sampler", ATL_JT_STR, IN(sampler), .max = 60 },
	{ "scheduler", ATL_JT_STR, IN(scheduler), .max = 60 },
	{ "strength", ATL_JT_NUM, IN(strength), .min = 0, .max = 1, .doc = "how much of the input is replaced" },
	{ "loras", ATL_JT_LIST, IN(loras), .max = ATL_IMAGE_LORAS_MAX, .sub = &lora_desc },
	{ "init_asset", ATL_JT_STR, IN(init_asset), .max = 40, .doc = ASSET_DOC },
	{ "mask_asset", ATL_JT_STR, IN(mask_asset), .max = 40, .doc = ASSET_DOC ": white is painted anew" },
	{ "control_asset", ATL_JT_STR, IN(control_asset), .max = 40, .doc = ASSET_DOC },
	{ "reference_assets", ATL_JT_STRS, IN(reference_assets), .max = ATL_IMAGE_REFERENCES_MAX, .item_max = 40,
	  .doc = "ids of your assets" },
	{ "control_type", ATL_JT_STR, IN(control_type), .max = 60 },
	{ "control_strength", ATL_JT_NUM, IN(control_strength), .min = 0, .max = 2 },
	{ "upscale_factor", ATL_JT_NUM, IN(upscale_factor), .min = 1, .max = 8 },
	{ "upscaler", ATL_JT_STR, IN(upscaler), .max = 200 },
	{ "frames", ATL_JT_INT, IN(frames), .min = 1, .max = 2000 },
	{ "fps", ATL_JT_INT, IN(fps), .min = 1, .max = 120 },
	{ "duration_s", ATL_JT_INT, IN(duration_s), .min = 1, .max = 600 },
	{ "format", ATL_JT_STR, IN(format), .max = 20 },
	{ "quality", ATL_JT_STR, IN(quality), .max = 20 },
	{ "style", ATL_JT_STR, IN(style), .max = 200, .doc = "id or name of a style" },
	{ "character_id", ATL_JT_STR, IN(character_id), ATL_JF_NULLABLE, .max = 40, .doc = "its look applies" },
	{ "no_look", ATL_JT_BOOL, IN(no_look), .doc = "the character's look does not apply" },
	{ "conversation_id", ATL_JT_STR, IN(conversation_id), ATL_JF_NULLABLE, .max = 40 },
	{ "message_id", ATL_JT_STR, IN(message_id), ATL_JF_NULLABLE, .max = 40 },
	{ "board_id", ATL_JT_STR, IN(board_id), ATL_JF_NULLABLE, .max = 40 },
	{ "workflow_id", ATL_JT_STR, IN(workflow_id), ATL_JF_NULLABLE, .max = 40 },
	{ "inputs", ATL_JT_ANY, IN(inputs), .doc = "of the workflow: {\"name\": value}" },
	{ "extra", ATL_JT_ANY, IN(extra), .doc = "the service's own parameters" },
	{ "no_expand", ATL_JT_BOOL, IN(no_expand), .doc = "braces and __names__ stay as they are" },
	{ "priority", ATL_JT_INT, IN(priority), .min = -ATL_JOB_PRIORITY_MAX, .max = ATL_JOB_PRIORITY_MAX },
	{ "not_before", ATL_JT_TIME, IN(not_before), ATL_JF_NULLABLE },
	{ "depends_on", ATL_JT_STR, IN(depends_on), ATL_JF_NULLABLE, .max = 40,
	  .doc = "a job that must be done first; its first result is the init picture when none is given" },
	{ "max_cost_micro_usd", ATL_JT_INT, IN(max_cost_micro_usd), ATL_JF_NULLABLE, .max = 1e12,
	  .doc = "it is refused where it would cost more, in millionths of a US dollar; 0: no ceiling of its own" },
	{ "webhook_url", ATL_JT_STR, IN(webhook_url), ATL_JF_NULLABLE, .max = 2000, .doc = "told when the job has ended" },
};
const struct atl_json_desc atl_job_in_desc = { .name = "JobInput", .fields = in_fields, .field_count = ATL_COUNT(in_fields),
					       .size = sizeof(struct atl_job_in),
					       .present_offset = offsetof(struct atl_job_in, present) };

void atl_job_in_settle(struct atl_job_in *in)
{
	for (size_t i = 0; i < ATL_COUNT(in_fields); i++) {
		char *at = (char *)in + in_fields[i].offset;

		if (in->present >> i & 1)
			continue;
		if (in_fields[i].type == ATL_JT_INT || in_fields[i].type == ATL_JT_TIME)
			*(int64_t *)(void *)at = ATL_IMAGE_UNSET;
		else if (in_fields[i].type == ATL_JT_NUM)
			*(double *)(void *)at = NAN;
	}
}

enum atl_err atl_job_in_read(struct atl_req *req, struct atl_job_in *in, struct atl_errinfo *info)
{
	enum atl_err err = atl_req_json(req, in, info);

	if (!err)
		atl_job_in_settle(in);
	return err;
}

const char *atl_job_in_origin(const struct atl_req *req)
{
	return atl_api_identity(req)->channel == ATL_CHANNEL_COOKIE ? "web" : "api";
}
