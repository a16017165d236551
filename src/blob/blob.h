/* blob.h - stored bytes, named by their SHA-256: a local folder.
 *
 * A blob is written once and never changed; the same bytes are stored once. Files made from a blob (thumbnails) are
 * kept beside it under a short variant name and go when it goes.
 *
 * Life cycle: atl_blobs_create() .. atl_blobs_destroy(). Threads: any but loops (it blocks).
 * Limits:     ATL_BLOB_VARIANT_MAX bytes a variant name, of [a-z0-9.].
 * Adding one: a second kind of store gets this header's functions as a table; docs/blob.md.
 */
#ifndef ATL_BLOB_BLOB_H
#define ATL_BLOB_BLOB_H

#include "base/arena.h"
#include "base/buf.h"

#define ATL_BLOB_NAME_SIZE 65 /* SHA-256 in hex, and NUL */
#define ATL_BLOB_VARIANT_MAX 15

struct atl_blobs;

/* `folder` is made (0700) if it is missing. */
enum atl_err atl_blobs_create(const char *folder, struct atl_blobs **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_blobs_destroy(struct atl_blobs *blobs);

/* Durable when it returns: file and folder are synced. */
enum atl_err atl_blob_put(struct atl_blobs *blobs, const void *data, size_t length, char ret_name[ATL_BLOB_NAME_SIZE],
			  struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_blob_put_variant(struct atl_blobs *blobs, const char *name, const char *variant, const void *data,
				  size_t length, struct atl_errinfo *info) ATL_MUST_USE;
/* As put, of a file on the same file system: it is moved, not copied. `name` is what its bytes hash to. */
enum atl_err atl_blob_put_file(struct atl_blobs *blobs, const char *name, const char *path,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* The name that a file's bytes have. */
enum atl_err atl_blob_hash_file(const char *path, char ret_name[ATL_BLOB_NAME_SIZE], struct atl_errinfo *info) ATL_MUST_USE;
/* Keep others from putting or removing this blob (and some more) until unlock: between a database's row and the file.
 * The functions here do not lock by themselves. */
void atl_blob_lock(struct atl_blobs *blobs, const char *name);
void atl_blob_unlock(struct atl_blobs *blobs, const char *name);
/* The file's path, in the arena; variant NULL: the blob itself. NOT_FOUND if it is not there. */
enum atl_err atl_blob_path(struct atl_blobs *blobs, struct atl_arena *arena, const char *name, const char *variant,
			   const char **ret_path, struct atl_errinfo *info) ATL_MUST_USE;
/* Removes the blob and its variants; one that is not there is fine. */
enum atl_err atl_blob_remove(struct atl_blobs *blobs, const char *name, struct atl_errinfo *info) ATL_MUST_USE;

#endif
