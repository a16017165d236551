/* image.c - the table of picture services, see image.h. */
#include "provider/image.h"

#include "base/str.h"
#include "provider/image_services.h"

static const char *const TASK_NAMES[] = {
#define ATL_IMAGE_TASK_X(name, text) [ATL_IMAGE_##name] = text,
	ATL_IMAGE_TASK_LIST(ATL_IMAGE_TASK_X)
#undef ATL_IMAGE_TASK_X
};

static const struct atl_image_ops *const SERVICES[] = {
	&atl_image_local,
	&atl_image_a1111, &atl_image_comfyui, &atl_image_venice, &atl_image_openai, &atl_image_fal, &atl_image_fake,
};

const char *atl_image_task_name(enum atl_image_task task)
{
	return TASK_NAMES[task];
}

bool atl_image_task_find(const char *name, enum atl_image_task *ret)
{
	for (size_t i = 0; i < ATL_COUNT(TASK_NAMES); i++)
		if (atl_str_eq(TASK_NAMES[i], name)) {
			*ret = (enum atl_image_task)i;
			return true;
		}
	return false;
}

const struct atl_image_ops *atl_image_ops_at(size_t index)
{
	return index < ATL_COUNT(SERVICES) ? SERVICES[index] : NULL;
}

const struct atl_image_ops *atl_image_ops_find(const char *kind)
{
	for (size_t i = 0; i < ATL_COUNT(SERVICES); i++)
		if (atl_str_eq(SERVICES[i]->kind, kind))
			return SERVICES[i];
	return NULL;
}

enum atl_err atl_image_run(const struct atl_image_run *run, struct atl_arena *arena, struct atl_errinfo *info)
{
	const struct atl_image_endpoint *endpoint = run->endpoint;
	const struct atl_image_ops *ops = atl_image_ops_find(endpoint->kind);

	if (!ops)
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "There is no picture service of the kind %s.", endpoint->kind);
	if (!(ops->tasks & 1u << run->request->task))
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "%s does not offer %s. Choose another model.", endpoint->name,
				atl_image_task_name(run->request->task));
	if (ops->needs_key && !endpoint->key)
		return atl_fail(info, ATL_ERR_UPSTREAM_AUTH, "%s needs a key. Add it in Settings, Providers.",
				endpoint->name);
	if (atomic_load(run->cancelled))
		return atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
	return ops->run(run, arena, info);
}
