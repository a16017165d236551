/* Picture models that people add: what is read keeps its bounds, what is not says which field. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/pictures/picture_entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_model model;
	struct atl_arena arena;
	struct atl_json *tree;
	enum atl_image_task task;

	atl_arena_init(&arena, 0);
	if (atl_json_parse(&arena, (const char *)data, size, &tree, &info)) {
		atl_arena_finish(&arena);
		return 0;
	}
	/* a tree is a file of groups to itself, too: groups may be named in it */
	const struct atl_picture_entries groups = { .files = { tree }, .file_count = 1 };

	if (atl_picture_entry_read(&arena, &groups, tree, &model, &info)) {
		if (!info.detail[0])
			abort();
		atl_arena_finish(&arena);
		return 0;
	}
	if (!model.id || !model.name[0] || !model.remote_id[0] || !model.kind || !model.safety || !model.tasks.count ||
	    model.params.count > ATL_PICTURE_PARAMS_MAX || model.price_micro_usd < 0)
		abort();
	for (size_t i = 0; i < model.tasks.count; i++)
		if (!atl_image_task_find(model.tasks.items[i], &task))
			abort();
	for (size_t i = 0; i < model.params.count; i++) {
		const struct atl_picture_param *param = (const struct atl_picture_param *)model.params.items + i;

		if (atl_picture_param_find(&model, param->name) != param || isinf(param->min) || isinf(param->max) ||
		    (strcmp(param->type, "enum") == 0 && !param->values.count))
			abort();
	}
	atl_arena_finish(&arena);
	return 0;
}
