/* picture_model.h - the model registry: one table of picture and video models over all services.
 *
 * Entries are data: share/models/pictures/<name>.json (built in), the operator's own (table picture_models), and what
 * services list about themselves, described by the best matching `template` entry of their kind. A complete checkpoint in
 * the models folder that no entry names is a model by itself, described by the local entry "*<family>". The form, validation,
 * OpenAPI and estimates are made from it. Ids: "local/<name>", "<provider id>/<remote id>".
 *
 * Life cycle: atl_picture_models_create() .. atl_picture_models_destroy(). Threads: blocking (SQL): pool threads.
 * Ownership:  the given arena. Limits: ATL_PICTURE_MODELS_MAX.
 * Adding one: docs/guide/picture-models.md: a JSON file, no C.
 */
#ifndef ATL_CORE_PICTURE_MODEL_H
#define ATL_CORE_PICTURE_MODEL_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "provider/image.h"

#define ATL_PICTURE_MODELS_MAX 2000

struct atl_picture_param { /* a parameter a model takes */
	const char *name; /* of the job's request: "steps", "cfg_scale", or one of the service's own under "extra" */
	const char *type; /* "integer", "number", "boolean", "string", "enum" */
	const char *label;
	double min, max, step; /* NAN: none */
	const struct atl_json *def; /* NULL: none */
	struct atl_strs values;	    /* enum */
	bool extra;		    /* one of the service's own */
};
struct atl_picture_model { /* the API's PictureModel */
	const char *id, *name, *description, *provider_id, *provider_name, *provider_kind, *remote_id;
	const char *kind; /* "picture" or "video" */
	struct atl_strs tasks;
	struct atl_items params; /* struct atl_picture_param */
	int64_t width, height;	 /* defaults */
	int64_t size_multiple, size_min, size_max; /* of a side; 0: any */
	struct atl_strs sizes;	 /* "1024x1024": when only these are taken */
	struct atl_strs samples; /* prompts that it is good at; none: the page has its own */
	int64_t references_max;
	bool negative, loras, masks, previews, cancel;
	const char *licence, *licence_url; /* NULL */
	const char *safety; /* "general", "filtered", "unfiltered" */
	const char *price_unit; /* "image", "megapixel", "second", NULL: free */
	int64_t price_micro_usd;
	bool ready;		/* false: the engine or the service cannot be reached now, or files are missing */
	const char *why;	/* NULL; why it is not ready */
	bool starter;
	bool is_default;	/* in a person's list: what they get when they name none */
	const struct atl_json *files; /* local models: what LOAD gets; NULL */
};
extern const struct atl_json_desc atl_picture_model_desc;

struct atl_picture_models;
enum atl_err atl_picture_models_create(struct atl_app *app, struct atl_picture_models **ret,
				       struct atl_errinfo *info) ATL_MUST_USE;
void atl_picture_models_destroy(struct atl_picture_models *models);
/* The operator's entries were changed, and the change is committed. */
void atl_picture_models_changed(struct atl_picture_models *models);
struct atl_picture_times *atl_picture_models_times(struct atl_picture_models *models); /* picture_times.h */

enum atl_err atl_picture_model_list(struct atl_app *app, struct atl_arena *arena, struct atl_picture_model **ret,
				    size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* Which of these is taken when none is named: the setting default_picture_model, else one that is ready, the starter last.
 * NULL: none. */
const struct atl_picture_model *atl_picture_model_default(struct atl_app *app, struct atl_arena *arena,
							  const struct atl_picture_model *items, size_t count);
/* NULL or "": the default. A bare name is looked for
 * among all. UPSTREAM_MODEL: there is none of this name. NO_MODEL: nothing is there at all, and what to do. */
enum atl_err atl_picture_model_find(struct atl_app *app, struct atl_arena *arena, const char *id,
				    struct atl_picture_model *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* How to reach its service. Strings in the arena. */
enum atl_err atl_picture_model_endpoint(struct atl_app *app, struct atl_arena *arena,
					const struct atl_picture_model *model, struct atl_image_endpoint *ret,
					struct atl_errinfo *info) ATL_MUST_USE;
/* What its service calls it: atl_image_request.model. For the local engine a JSON object {"part": "/path"}. */
const char *atl_picture_model_remote(struct atl_app *app, struct atl_arena *arena,
				     const struct atl_picture_model *model);
/* LoRA files in the folder loras of the models folder, without ending, sorted. */
enum atl_err atl_picture_lora_list(struct atl_app *app, struct atl_arena *arena, struct atl_strs *ret,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* NULL: the LoRA is there and is one. Otherwise a sentence, in the arena. */
const char *atl_picture_lora_misfit(struct atl_app *app, struct atl_arena *arena, const char *name);
/* micro-USD for a request; 0: free or unknown. */
int64_t atl_picture_model_price(const struct atl_picture_model *model, int64_t width, int64_t height, int64_t count,
				int64_t seconds);

#endif
