/* picture_file.h - is a file in the models folder fit for its part of a local picture model?
 *
 * The answer is found from the file's header (tensor_file.h, gguf.h) and kept by path, size and time of change, so that
 * listing models reads nothing twice.
 *
 * Life cycle: atl_picture_files_create() .. atl_picture_files_destroy().
 * Threads:    any; blocking: pool threads. Limits: PICTURE_FILES_KEPT answers are kept.
 * Adding one: a part is a row in PARTS of picture_file.c, a family a row in FAMILIES of tensor_file.c.
 */
#ifndef ATL_CORE_PICTURE_FILE_H
#define ATL_CORE_PICTURE_FILE_H

#include "base/arena.h"
#include "base/err.h"

struct atl_picture_files;

struct atl_picture_file {
	const char *family; /* static; as atl_tensor_file's; NULL: the file cannot be used at all */
	bool complete;
	int64_t context; /* as atl_tensor_file's; 0: none, or not told */
	char why[300]; /* a sentence when family is NULL */
};

enum atl_err atl_picture_files_create(struct atl_picture_files **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_picture_files_destroy(struct atl_picture_files *files);
/* False: there is no such file. */
bool atl_picture_file_look(struct atl_picture_files *files, const char *path, struct atl_picture_file *ret);
/* NULL: it fits `part` ("model", "vae", "lora"...). Otherwise a sentence that names the file, in the arena. */
const char *atl_picture_file_misfit(struct atl_picture_files *files, struct atl_arena *arena, const char *path,
				    const char *part);
/* NULL: the ControlNet is made for this model. Otherwise a sentence, in the arena. Both are files that fit their parts. */
const char *atl_picture_file_control_misfit(struct atl_picture_files *files, struct atl_arena *arena, const char *model_path,
					    const char *control_path);
/* Is this the name of a file that runs programs when it is opened? By its ending: .ckpt, .pt, .pth, .bin. */
bool atl_picture_file_is_pickle(const char *name);

#endif
