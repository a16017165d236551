/* file.h - files: the one place that opens a path.
 *
 * Threads: blocking; pool threads and start-up only.
 */
#ifndef ATL_OS_FILE_H
#define ATL_OS_FILE_H

#include "base/arena.h"
#include "base/buf.h"

/* O_CLOEXEC always. `flags`/`mode` as open(2). */
enum atl_err atl_file_open(const char *path, int flags, unsigned mode, int *ret_fd, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_file_read(const char *path, size_t max, struct atl_buf *out, struct atl_errinfo *info) ATL_MUST_USE;
/* Temp file in the same folder, fsync, rename, fsync of the folder: all or nothing. */
enum atl_err atl_file_write_atomic(const char *path, const void *data, size_t length, unsigned mode,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* Make an existing file durable and rename it, within one file system; what was at `to` is replaced. */
enum atl_err atl_file_move(const char *from, const char *to, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_dir_make(const char *path, unsigned mode, struct atl_errinfo *info) ATL_MUST_USE; /* with parents */
enum atl_err atl_file_size(const char *path, uint64_t *ret_bytes, struct atl_errinfo *info) ATL_MUST_USE; /* NOT_FOUND */
enum atl_err atl_disk_free(const char *path, uint64_t *ret_bytes, struct atl_errinfo *info) ATL_MUST_USE;
/* Names of regular files directly in `path`, sorted; into the arena. */
enum atl_err atl_dir_list(struct atl_arena *arena, const char *path, const char ***ret_names, size_t *ret_count,
			  struct atl_errinfo *info) ATL_MUST_USE;
/* Is `name` one plain file name (no separators, not "." or "..", no control characters)? */
bool atl_file_name_ok(const char *name);

#endif
