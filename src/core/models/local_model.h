/* local_model.h - the GGUF files of the models folder: list, take in, delete.
 *
 * The folder is the truth: there is no table. Headers are read once per file, size and change time, and remembered.
 *
 * Threads:    blocking (files): pool threads. Ownership: the given arena.
 * Limits:     ATL_LOCAL_MODELS_MAX files are listed; ATL_LOCAL_MODEL_FILE_MAX bytes of file name;
 *             ATL_LOCAL_MODEL_RESERVE_BYTES of disk stay free.
 */
#ifndef ATL_CORE_LOCAL_MODEL_H
#define ATL_CORE_LOCAL_MODEL_H

#include "base/json.h"
#include "core/app.h"

#define ATL_LOCAL_MODELS_MAX 256
#define ATL_LOCAL_MODEL_FILE_MAX 200
#define ATL_LOCAL_MODEL_RESERVE_BYTES ((uint64_t)256 << 20)
#define ATL_LOCAL_MODEL_BYTES_MAX ((uint64_t)1 << 40)

struct atl_local_model {
	const char *file, *path;
	int64_t size_bytes;
	const char *name;	  /* from the header, else the file's without ending */
	const char *architecture; /* NULL when it cannot be read */
	int64_t parameters, context_length;
	bool has_chat_template;
	const char *quantization; /* NULL */
	const char *error;	  /* NULL: usable; else a sentence */
	bool active;		  /* the engine has it loaded */
};
extern const struct atl_json_desc atl_local_model_desc;

/* Is it a name a model file may have: one plain file name, not hidden, ending in .gguf? INVALID says what is wrong. */
enum atl_err atl_local_model_name_check(const char *file, struct atl_errinfo *info) ATL_MUST_USE;
/* Sorted by file name; damaged ones are in the list with their error. */
enum atl_err atl_local_models_list(struct atl_app *app, struct atl_arena *arena, struct atl_local_model **ret,
				   size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_local_model_get(struct atl_app *app, struct atl_arena *arena, const char *file,
				 struct atl_local_model *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Is there room for so many more bytes beside the reserve? DISK says how much is missing. */
enum atl_err atl_local_models_room(struct atl_app *app, uint64_t bytes, struct atl_errinfo *info) ATL_MUST_USE;
/* Move a finished temporary file (upload, download) in under this name. Errors: UNPROCESSABLE (not a usable model),
 * CONFLICT (the name is taken), DISK, IO. On error the temporary file is left alone. */
enum atl_err atl_local_model_take(struct atl_app *app, struct atl_arena *arena, const char *file, const char *from,
				  struct atl_local_model *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* A file elsewhere on this machine, by absolute path: a hard link where that works, else a copy. For administrators. */
enum atl_err atl_local_model_import(struct atl_app *app, struct atl_arena *arena, const char *path,
				    struct atl_local_model *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* CONFLICT while the engine has it loaded. */
enum atl_err atl_local_model_delete(struct atl_app *app, const char *file, struct atl_errinfo *info) ATL_MUST_USE;

#endif
