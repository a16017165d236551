/* picture_intake.c - see picture_intake.h. */
#include "core/pictures/picture_intake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "core/models/gguf.h"
#include "core/models/local_model.h"
#include "core/models/tensor_file.h"
#include "core/pictures/picture_model.h"
#include "core/server/events.h"
#include "os/file.h"

#define TENSORS ".safetensors"
#define GGUF ".gguf"
#define PATH_SIZE 4400

static bool named_in_registry(struct atl_app *app, const char *file)
{
	struct atl_picture_model *items;
	struct atl_arena arena;
	size_t count = 0;
	bool named = false;

	atl_arena_init(&arena, 0);
	if (app->picture_models && atl_picture_model_list(app, &arena, &items, &count, NULL) == ATL_OK)
		for (size_t i = 0; i < count && !named; i++)
			for (const struct atl_json *f = items[i].files ? items[i].files->child : NULL; f && !named; f = f->next)
				named = atl_str_eq(atl_json_str(f, "file", ""), file);
	atl_arena_finish(&arena);
	return named;
}

bool atl_picture_intake_wants(struct atl_app *app, const char *file)
{
	return file && (atl_str_ends(file, TENSORS) || (atl_str_ends(file, GGUF) && named_in_registry(app, file)));
}

enum atl_err atl_picture_intake_check(struct atl_app *app, const char *file, struct atl_errinfo *info)
{
	char path[PATH_SIZE];

	if (atl_str_empty(file) || !atl_file_name_ok(file) || file[0] == '.' || strlen(file) > ATL_LOCAL_MODEL_FILE_MAX ||
	    !atl_utf8_valid(file, strlen(file)))
		return atl_fail_field(info, ATL_ERR_INVALID, "file", "This is not a file name for a model.");
	snprintf(path, sizeof(path), "%s/%s", app->models_dir, file);
	if (access(path, F_OK) == 0)
		return atl_fail_field(info, ATL_ERR_CONFLICT, "file", "There is a model file of this name already.");
	return ATL_OK;
}

static enum atl_err look_at(struct atl_arena *arena, const char *file, const char *path, struct atl_errinfo *info)
{
	struct atl_tensor_file tensors;
	struct atl_gguf gguf;

	return atl_str_ends(file, TENSORS) ? atl_tensor_read(arena, path, &tensors, info) : atl_gguf_read(path, &gguf, info);
}

enum atl_err atl_picture_intake_take(struct atl_app *app, struct atl_arena *arena, const char *file, const char *from,
				     int64_t *ret_size, struct atl_errinfo *info)
{
	char path[PATH_SIZE];
	struct stat st;
	enum atl_err err = look_at(arena, file, from, info);

	if (!err)
		err = atl_picture_intake_check(app, file, info);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/%s", app->models_dir, file);
	if (rename(from, path) != 0 || stat(path, &st) != 0)
		return atl_fail(info, ATL_ERR_IO, "move %s into the models folder: %s", file, strerror(errno));
	atl_info("models", "%s is here", file);
	*ret_size = st.st_size;
	if (app->events)
		atl_events_publish_all(app->events, "picture_models.changed", "{}", 2);
	return ATL_OK;
}
