/* zip_write.h - a ZIP file written to disk entry by entry (APPNOTE.TXT 6.3, with ZIP64 where sizes need it), not compressed.
 *
 * Life cycle: atl_zip_create() .. per entry atl_zip_begin(), atl_zip_add()*, atl_zip_end() .. atl_zip_close(); atl_zip_destroy()
 * in any case. The file is the caller's to remove after an error.
 * Threads: one at a time, blocking. Limits: ATL_ZIP_ENTRIES_MAX entries, an entry below 4 GiB.
 */
#ifndef ATL_CORE_ZIP_WRITE_H
#define ATL_CORE_ZIP_WRITE_H

#include "base/arena.h"
#include "base/err.h"

#define ATL_ZIP_ENTRIES_MAX 2000000

struct atl_zip;

/* `path` must not be there; it is readable by its owner alone. */
enum atl_err atl_zip_create(const char *path, struct atl_zip **ret, struct atl_errinfo *info) ATL_MUST_USE;
/* `name` in UTF-8, "/" between folders. */
enum atl_err atl_zip_begin(struct atl_zip *zip, const char *name, int64_t modified_ms, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_zip_add(struct atl_zip *zip, const void *data, size_t length, struct atl_errinfo *info) ATL_MUST_USE;
/* Of a whole file. */
enum atl_err atl_zip_add_file(struct atl_zip *zip, const char *path, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_zip_end(struct atl_zip *zip, struct atl_errinfo *info) ATL_MUST_USE;
/* The directory; then the file is whole and on the disk. */
enum atl_err atl_zip_close(struct atl_zip *zip, int64_t *ret_bytes, struct atl_errinfo *info) ATL_MUST_USE;
void atl_zip_destroy(struct atl_zip *zip); /* NULL is allowed */

#endif
