/* picture_engine.c - see picture_engine.h. */
#include "core/picture_engine.h"

#define OFF(member) offsetof(struct atl_picture_engine_status, member)
static const char *const STATES[] = { "not_installed", "stopped", "starting", "healthy", "backoff", "stopping", NULL };
static const struct atl_json_field FIELDS[] = {
	{ "state", ATL_JT_ENUM, OFF(state), ATL_JF_REQUIRED, .values = STATES },
	{ "why", ATL_JT_STR, OFF(why), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "the last failure, or what is missing" },
	{ "model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "what is loaded" },
	{ "version", ATL_JT_STR, OFF(version), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "backend", ATL_JT_STR, OFF(backend), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "what computes: CPU, CUDA, Vulkan" },
	{ "memory_bytes", ATL_JT_INT, OFF(memory_bytes), ATL_JF_REQUIRED },
	{ "restarts", ATL_JT_INT, OFF(restarts), ATL_JF_REQUIRED, .doc = "ends nobody asked for since the server started" },
	{ "threads", ATL_JT_INT, OFF(threads), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_picture_engine_status_desc = { "PictureEngine", "The local picture engine.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_picture_engine_status), ATL_JSON_NO_PRESENT, false };

#define NOT_INSTALLED "The local picture engine is not installed. Run script/setup."

enum atl_err atl_picture_engine_create(struct atl_app *app, struct atl_picture_engine **ret, struct atl_errinfo *info)
{
	*ret = NULL;
	return ATL_OK;
}

void atl_picture_engine_destroy(struct atl_picture_engine *engine)
{
}

enum atl_err atl_picture_engine_endpoint(struct atl_picture_engine *engine, struct atl_arena *arena,
					 struct atl_image_endpoint *ret, struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_NO_MODEL, NOT_INSTALLED);
}

enum atl_err atl_picture_engine_status(struct atl_picture_engine *engine, struct atl_arena *arena,
				       struct atl_picture_engine_status *ret, struct atl_errinfo *info)
{
	*ret = (struct atl_picture_engine_status){ .state = "not_installed", .why = NOT_INSTALLED };
	return ATL_OK;
}

enum atl_err atl_picture_engine_log(struct atl_picture_engine *engine, struct atl_arena *arena, struct atl_strs *ret,
				    struct atl_errinfo *info)
{
	*ret = (struct atl_strs){ 0 };
	return ATL_OK;
}

void atl_picture_engine_stop(struct atl_picture_engine *engine)
{
}
