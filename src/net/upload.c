/* upload.c - request bodies that go to a temporary file, written in the pool piece by piece.
 *
 * The loop collects UPLOAD_PIECE bytes, holds the input, and lets the pool append them: the client is slowed down to
 * what the disk takes, and memory per upload stays bounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/http_int.h"
#include "os/file.h"

#define UPLOAD_PIECE ((size_t)256 << 10)

enum atl_parser_do upload_body(struct call *call, const char *data, size_t length)
{
	if (call->req.body_file_bytes + call->body.length + length > call->body_max) {
		call->refused = true;
		call->deny_err = atl_fail(&call->deny_info, ATL_ERR_TOO_LARGE, "the upload may have %zu bytes",
					  call->body_max);
		return ATL_PARSER_FAIL;
	}
	atl_buf_add(&call->body, data, length);
	if (call->body.failed) {
		call->refused = true;
		call->deny_err = ATL_ERR_NOMEM;
		return ATL_PARSER_FAIL;
	}
	call->upload_due = call->body.length >= UPLOAD_PIECE;
	return ATL_PARSER_GO;
}

void upload_flush(struct call *call)
{
	conn_hold(call->conn);
	call->upload_due = false;
	call->pool_upload = true;
	call_to_pool(call);
}

static void deny(struct call *call, enum atl_err err, const char *what)
{
	call->deny = true;
	call->deny_err = atl_fail(&call->deny_info, err, "the upload cannot be %s", what);
}

static bool open_file(struct call *call)
{
	const char *dir = call->lane->server->options.upload_dir;

	if (!dir || asprintf(&call->upload_path, "%s/upload-%s.tmp", dir, call->req.id) < 0) {
		call->upload_path = NULL;
		deny(call, ATL_ERR_IO, "stored: there is no upload folder");
		return false;
	}
	if (atl_file_open(call->upload_path, O_CREAT | O_EXCL | O_RDWR, 0600, &call->upload_fd, &call->deny_info)) {
		call->upload_fd = -1;
		deny(call, ATL_ERR_IO, "stored");
		return false;
	}
	return true;
}

void upload_work(struct call *call)
{
	const char *data = call->body.data;
	size_t left = call->body.length;

	if (call->upload_fd < 0 && left && !open_file(call))
		return;
	while (left) {
		ssize_t wrote = write(call->upload_fd, data, left);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0) {
			deny(call, errno == ENOSPC || errno == EDQUOT ? ATL_ERR_DISK : ATL_ERR_IO, "written");
			return;
		}
		data += wrote;
		left -= (size_t)wrote;
	}
	call->req.body_file_bytes += call->body.length;
	atl_buf_reset(&call->body);
	call->req.body = "";
	call->req.body_length = 0;
	call->req.body_path = call->upload_path;
}

struct leftover {
	int fd;
	char *path;
	struct atl_source source;
};

static void remove_leftover(void *arg)
{
	struct leftover *left = arg;

	if (left->source.release)
		left->source.release(left->source.arg);
	if (left->fd >= 0)
		close(left->fd);
	if (left->path) {
		unlink(left->path); /* gone already when the handler renamed it away */
		free(left->path);
	}
	free(left);
}

static void release_in_pool(struct call *call, int fd, char *path, const struct atl_source *source)
{
	struct leftover *left = malloc(sizeof(*left));
	struct atl_pool *pool = call->lane->server->options.pool;

	if (!left) {
		if (fd >= 0)
			close(fd);
		free(path);
		if (source && source->release)
			source->release(source->arg);
		return;
	}
	if (source)
		left->source = *source;
	else
		left->source = (struct atl_source){ 0 };
	left->fd = fd;
	left->path = path;
	if (!pool || atl_pool_submit(pool, remove_leftover, left) != ATL_OK)
		remove_leftover(left);
}

void upload_release(struct call *call)
{
	if (call->upload_fd < 0 && !call->upload_path)
		return;
	release_in_pool(call, call->upload_fd, call->upload_path, NULL);
	call->upload_fd = -1;
	call->upload_path = NULL;
}

void file_release(struct call *call)
{
	if (call->file_fd < 0 && !call->source.read)
		return;
	release_in_pool(call, call->file_fd, NULL, &call->source);
	call->file_fd = -1;
	call->source = (struct atl_source){ 0 };
}
