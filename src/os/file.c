/* file.c - files and folders, with what it takes to survive a power cut. */
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define READ_CHUNK 16384
#define NAME_BYTES_MAX 255

static enum atl_err fail(struct atl_errinfo *info, const char *what, const char *path, int error)
{
	enum atl_err err = ATL_ERR_IO;
	if (error == ENOENT || error == ENOTDIR)
		err = ATL_ERR_NOT_FOUND;
	else if (error == ENOSPC || error == EDQUOT)
		err = ATL_ERR_DISK;
	else if (error == EEXIST)
		err = ATL_ERR_CONFLICT;
	return atl_fail(info, err, "%s %s: %s", what, path, strerror(error));
}

enum atl_err atl_file_open(const char *path, int flags, unsigned mode, int *ret_fd, struct atl_errinfo *info)
{
	int fd;
	do {
		fd = open(path, flags | O_CLOEXEC, (mode_t)mode);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return fail(info, "open", path, errno);
	*ret_fd = fd;
	return ATL_OK;
}

enum atl_err atl_file_read(const char *path, size_t max, struct atl_buf *out, struct atl_errinfo *info)
{
	int fd;
	enum atl_err err = atl_file_open(path, O_RDONLY, 0, &fd, info);
	if (err)
		return err;
	size_t total = 0;
	char chunk[READ_CHUNK];
	for (;;) {
		ssize_t got = read(fd, chunk, sizeof(chunk));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			err = fail(info, "read", path, errno);
		else if ((size_t)got > max - total)
			err = atl_fail(info, ATL_ERR_TOO_LARGE, "%s is larger than %zu bytes", path, max);
		if (err || got == 0)
			break;
		atl_buf_add(out, chunk, (size_t)got);
		total += (size_t)got;
	}
	if (!err)
		err = atl_buf_err(out, info);
	close(fd);
	return err;
}

static int write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t put = write(fd, data, length);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno;
		data += put;
		length -= (size_t)put;
	}
	return 0;
}

/* A rename is durable only once its folder is. */
static int sync_folder_of(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	if (!slash)
		snprintf(folder, sizeof(folder), ".");
	else
		snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int error = fsync(fd) != 0 ? errno : 0;
	close(fd);
	return error;
}

enum atl_err atl_file_write_atomic(const char *path, const void *data, size_t length, unsigned mode,
				   struct atl_errinfo *info)
{
	char temp[PATH_MAX];
	if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= (int)sizeof(temp))
		return fail(info, "write", path, ENAMETOOLONG);
	int fd = mkostemp(temp, O_CLOEXEC); /* 0600 until it is complete */
	if (fd < 0)
		return fail(info, "write", path, errno);
	int error = write_all(fd, data, length);
	if (!error && (fchmod(fd, (mode_t)mode) != 0 || fsync(fd) != 0))
		error = errno;
	if (close(fd) != 0 && !error)
		error = errno;
	if (!error && rename(temp, path) != 0)
		error = errno;
	if (error) {
		unlink(temp);
		return fail(info, "write", path, error);
	}
	error = sync_folder_of(path);
	return error ? fail(info, "sync the folder of", path, error) : ATL_OK;
}

enum atl_err atl_file_move(const char *from, const char *to, struct atl_errinfo *info)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(info, "move", from, errno);
	int error = fsync(fd) != 0 ? errno : 0;
	close(fd);
	if (!error && rename(from, to) != 0)
		error = errno;
	if (!error)
		error = sync_folder_of(to);
	return error ? fail(info, "move", from, error) : ATL_OK;
}

enum atl_err atl_dir_make(const char *path, unsigned mode, struct atl_errinfo *info)
{
	char partial[PATH_MAX];
	size_t length = strlen(path);
	if (length == 0 || length >= sizeof(partial))
		return fail(info, "make folder", path, length ? ENAMETOOLONG : EINVAL);
	memcpy(partial, path, length + 1);
	for (size_t i = 1; i <= length; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		partial[i] = '\0';
		if (mkdir(partial, (mode_t)mode) != 0 && errno != EEXIST)
			return fail(info, "make folder", partial, errno);
		partial[i] = path[i];
	}
	struct stat st;
	if (stat(path, &st) != 0)
		return fail(info, "make folder", path, errno);
	return S_ISDIR(st.st_mode) ? ATL_OK : fail(info, "make folder", path, EEXIST);
}

enum atl_err atl_file_size(const char *path, uint64_t *ret_bytes, struct atl_errinfo *info)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return fail(info, "look at", path, errno);
	if (!S_ISREG(st.st_mode))
		return atl_fail(info, ATL_ERR_NOT_FOUND, "%s is not a file", path);
	*ret_bytes = (uint64_t)st.st_size;
	return ATL_OK;
}

enum atl_err atl_disk_free(const char *path, uint64_t *ret_bytes, struct atl_errinfo *info)
{
	struct statvfs st;
	if (statvfs(path, &st) != 0)
		return fail(info, "look at the disk of", path, errno);
	*ret_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return ATL_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum atl_err atl_dir_list(struct atl_arena *arena, const char *path, const char ***ret_names, size_t *ret_count,
			  struct atl_errinfo *info)
{
	DIR *dir = opendir(path);
	if (!dir)
		return fail(info, "list", path, errno);
	enum atl_err err = ATL_OK;
	const char **names = NULL;
	size_t count = 0, room = 0;
	struct dirent *entry;
	while (!err && (entry = readdir(dir))) {
		struct stat st;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
			continue;
		if (count == room) {
			size_t more = room ? room * 2 : 32;
			const char **grown = ATL_ARENA_ARRAY(arena, const char *, more);
			if (grown && count)
				memcpy(grown, names, count * sizeof(*names));
			names = grown;
			room = more;
		}
		char *name = names ? atl_arena_strdup(arena, entry->d_name) : NULL;
		if (name)
			names[count++] = name;
		else
			err = atl_fail(info, ATL_ERR_NOMEM, "list %s: too many files", path);
	}
	closedir(dir);
	if (err)
		return err;
	if (count)
		qsort(names, count, sizeof(*names), by_name);
	*ret_names = names;
	*ret_count = count;
	return ATL_OK;
}

bool atl_file_name_ok(const char *name)
{
	if (!name || !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	const char *p = name;
	for (; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
			return false;
	}
	return p - name <= NAME_BYTES_MAX;
}
