/* blob.c - see blob.h. Layout: FOLDER/ab/abcdef... and FOLDER/ab/abcdef....variant */
#include "blob/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/str.h"
#include "os/file.h"

#define PATH_SIZE 4096

#define LOCKS 64 /* by the first byte of the name */
#define CHUNK 65536

struct atl_blobs {
	char *folder; /* set at create */
	pthread_mutex_t locks[LOCKS];
};

enum atl_err atl_blobs_create(const char *folder, struct atl_blobs **ret, struct atl_errinfo *info)
{
	if (strlen(folder) > PATH_SIZE - 128)
		return atl_fail(info, ATL_ERR_CONFIG, "the folder's path is too long");
	enum atl_err err = atl_dir_make(folder, 0700, info);
	if (err)
		return err;
	struct atl_blobs *self = calloc(1, sizeof *self);
	if (self)
		self->folder = strdup(folder);
	if (!self || !self->folder) {
		free(self);
		return atl_fail(info, ATL_ERR_NOMEM, "blob store");
	}
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&self->locks[i], NULL);
	*ret = self;
	return ATL_OK;
}

void atl_blobs_destroy(struct atl_blobs *blobs)
{
	if (!blobs)
		return;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&blobs->locks[i]);
	free(blobs->folder);
	free(blobs);
}

static bool name_ok(const char *name)
{
	return strlen(name) == ATL_BLOB_NAME_SIZE - 1 && strspn(name, "0123456789abcdef") == ATL_BLOB_NAME_SIZE - 1;
}

static bool variant_ok(const char *variant)
{
	size_t length = strlen(variant);
	return length > 0 && length <= ATL_BLOB_VARIANT_MAX &&
	       strspn(variant, "abcdefghijklmnopqrstuvwxyz0123456789") == length;
}

static pthread_mutex_t *lock_of(struct atl_blobs *blobs, const char *name)
{
	unsigned at = 0;
	for (size_t i = 0; i < 2 && name[i]; i++)
		at = at * 16 + (unsigned)(name[i] <= '9' ? name[i] - '0' : name[i] - 'a' + 10);
	return &blobs->locks[at % LOCKS];
}

void atl_blob_lock(struct atl_blobs *blobs, const char *name)
{
	pthread_mutex_lock(lock_of(blobs, name));
}

void atl_blob_unlock(struct atl_blobs *blobs, const char *name)
{
	pthread_mutex_unlock(lock_of(blobs, name));
}

static enum atl_err make_path(const struct atl_blobs *blobs, const char *name, const char *variant, char *out,
			      struct atl_errinfo *info)
{
	if (!name_ok(name) || (variant && !variant_ok(variant)))
		return atl_fail(info, ATL_ERR_NOT_FOUND, "there is no such blob");
	snprintf(out, PATH_SIZE, "%s/%.2s/%s%s%s", blobs->folder, name, name, variant ? "." : "",
		 variant ? variant : "");
	return ATL_OK;
}

static enum atl_err write_file(const struct atl_blobs *blobs, const char *name, const char *variant, const void *data,
			       size_t length, struct atl_errinfo *info)
{
	char path[PATH_SIZE], folder[PATH_SIZE];
	enum atl_err err = make_path(blobs, name, variant, path, info);
	if (err)
		return err;
	uint64_t there = 0;
	if (atl_file_size(path, &there, NULL) == ATL_OK && there == length)
		return ATL_OK;
	snprintf(folder, sizeof folder, "%.*s/%.2s", PATH_SIZE - 8, blobs->folder, name);
	err = atl_dir_make(folder, 0700, info);
	if (err)
		return err;
	return atl_file_write_atomic(path, data, length, 0600, info);
}

enum atl_err atl_blob_put(struct atl_blobs *blobs, const void *data, size_t length, char ret_name[ATL_BLOB_NAME_SIZE],
			  struct atl_errinfo *info)
{
	char name[ATL_BLOB_NAME_SIZE];
	atl_sha256_hex(data, length, name);
	enum atl_err err = write_file(blobs, name, NULL, data, length, info);
	if (!err)
		memcpy(ret_name, name, sizeof name);
	return err;
}

enum atl_err atl_blob_put_variant(struct atl_blobs *blobs, const char *name, const char *variant, const void *data,
				  size_t length, struct atl_errinfo *info)
{
	return write_file(blobs, name, variant, data, length, info);
}

enum atl_err atl_blob_hash_file(const char *path, char ret_name[ATL_BLOB_NAME_SIZE], struct atl_errinfo *info)
{
	static const char digits[] = "0123456789abcdef";
	struct atl_sha256 hash;
	unsigned char sum[ATL_SHA256_SIZE];
	int fd;
	enum atl_err err = atl_file_open(path, O_RDONLY, 0, &fd, info);
	if (err)
		return err;
	char *chunk = malloc(CHUNK);
	ssize_t got = chunk ? 1 : -1;
	atl_sha256_begin(&hash);
	while (got > 0) {
		got = read(fd, chunk, CHUNK);
		if (got > 0)
			atl_sha256_add(&hash, chunk, (size_t)got);
	}
	free(chunk);
	close(fd);
	if (got < 0)
		return atl_fail(info, ATL_ERR_IO, "reading a file to store");
	atl_sha256_end(&hash, sum);
	for (size_t i = 0; i < sizeof sum; i++) {
		ret_name[2 * i] = digits[sum[i] >> 4];
		ret_name[2 * i + 1] = digits[sum[i] & 15];
	}
	ret_name[2 * sizeof sum] = '\0';
	return ATL_OK;
}

enum atl_err atl_blob_put_file(struct atl_blobs *blobs, const char *name, const char *path, struct atl_errinfo *info)
{
	char to[PATH_SIZE], folder[PATH_SIZE];
	enum atl_err err = make_path(blobs, name, NULL, to, info);
	if (err)
		return err;
	snprintf(folder, sizeof folder, "%.*s/%.2s", PATH_SIZE - 8, blobs->folder, name);
	err = atl_dir_make(folder, 0700, info);
	return err ? err : atl_file_move(path, to, info);
}

enum atl_err atl_blob_path(struct atl_blobs *blobs, struct atl_arena *arena, const char *name, const char *variant,
			   const char **ret_path, struct atl_errinfo *info)
{
	char path[PATH_SIZE];
	enum atl_err err = make_path(blobs, name, variant, path, info);
	if (err)
		return err;
	uint64_t size = 0;
	err = atl_file_size(path, &size, info);
	if (err)
		return err;
	const char *copy = atl_arena_strdup(arena, path);
	if (!copy)
		return atl_fail(info, ATL_ERR_NOMEM, "path");
	*ret_path = copy;
	return ATL_OK;
}

enum atl_err atl_blob_remove(struct atl_blobs *blobs, const char *name, struct atl_errinfo *info)
{
	char path[PATH_SIZE], folder[PATH_SIZE];
	enum atl_err err = make_path(blobs, name, NULL, path, info);
	if (err)
		return err;
	snprintf(folder, sizeof folder, "%.*s/%.2s", PATH_SIZE - 8, blobs->folder, name);
	struct atl_arena arena;
	atl_arena_init(&arena, 0);
	const char **names = NULL;
	size_t count = 0;
	err = atl_dir_list(&arena, folder, &names, &count, info);
	for (size_t i = 0; i < count && !err; i++) {
		if (!atl_str_starts(names[i], name))
			continue;
		snprintf(path, sizeof path, "%.*s/%.90s", PATH_SIZE - 96, folder, names[i]);
		if (unlink(path) != 0 && errno != ENOENT)
			err = atl_fail(info, ATL_ERR_IO, "removing a blob: %s", strerror(errno));
	}
	atl_arena_finish(&arena);
	return err == ATL_ERR_NOT_FOUND ? ATL_OK : err;
}
