/* workflow_try.c - atl_workflow_try(): a workflow against a ComfyUI service, without running it. See workflow.h. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "core/models/provider.h"
#include "core/pictures/workflow.h"
#include "provider/image.h"

/* What makes the service take the built-in workflow of this name, as a job would. */
static void ask_builtin(struct atl_image_request *image, const char *name)
{
	static const struct atl_image_file some = { .data = "", .length = 1, .media_type = "image/png", .width = 64, .height = 64 };

	image->task = ATL_IMAGE_TXT2IMG;
	if (atl_str_starts(name, "control-")) {
		image->control = some;
		image->control_type = name + strlen("control-");
	} else if (atl_str_eq(name, "refiner")) {
		image->extra = "{\"refiner_model\":\"\"}"; /* any */
	} else if (atl_image_task_find(name, &image->task) && image->task != ATL_IMAGE_TXT2IMG && image->task != ATL_IMAGE_TXT2VID) {
		image->init = some;
		if (image->task == ATL_IMAGE_INPAINT)
			image->mask = image->mask_alpha = some;
	}
}

enum atl_err atl_workflow_try(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			      const char *provider_id, struct atl_errinfo *info)
{
	struct atl_image_request image = { .task = ATL_IMAGE_WORKFLOW, .model = "", .prompt = "", .negative_prompt = "",
		.width = ATL_IMAGE_UNSET, .height = ATL_IMAGE_UNSET, .steps = ATL_IMAGE_UNSET, .clip_skip = ATL_IMAGE_UNSET,
		.count = 1, .subseed = ATL_IMAGE_UNSET, .subseed_strength = NAN, .cfg_scale = NAN, .guidance = NAN,
		.strength = NAN, .control_strength = NAN, .upscale_factor = NAN, .frames = ATL_IMAGE_UNSET,
		.fps = ATL_IMAGE_UNSET, .duration_s = ATL_IMAGE_UNSET, .safe_mode = true };
	struct atl_image_endpoint endpoint;
	const struct atl_image_ops *ops = NULL;
	struct atl_workflow workflow;
	enum atl_err err = atl_workflow_get(app, arena, who->user_id, id, &workflow, info);

	if (!err)
		err = atl_provider_image_endpoint(app, arena, provider_id, &endpoint, info);
	if (!err)
		ops = atl_image_ops_find(endpoint.kind);
	if (!err && (!ops || !ops->check))
		err = atl_fail_field(info, ATL_ERR_INVALID, "provider_id", "%s is no ComfyUI server.", endpoint.name);
	if (!err && workflow.builtin)
		ask_builtin(&image, workflow.name);
	else if (!err)
		err = atl_workflow_graph(app, arena, who->user_id, id, &image.workflow, info);
	return err ? err : ops->check(&endpoint, &image, arena, info);
}
