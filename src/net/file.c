/* file.c - answers from disk: conditional, by range, read in the pool piece by piece while the client takes them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/cond.h"
#include "net/http_int.h"
#include "os/file.h"

#define FILE_PIECE ((size_t)256 << 10)

static bool read_source(struct call *call, char *room, size_t want)
{
	return call->source.read(call->source.arg, room, want);
}

static bool read_file(struct call *call, char *room, size_t want)
{
	size_t have = 0;

	while (have < want) {
		ssize_t got = pread(call->file_fd, room + have, want - have, (off_t)call->file_offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false; /* also when the file has shrunk: the length is promised */
		have += (size_t)got;
		call->file_offset += (uint64_t)got;
	}
	return true;
}

/* Append up to FILE_PIECE bytes of the rest to `out`. */
static bool read_piece(struct call *call, struct atl_buf *out)
{
	size_t want = call->file_left < FILE_PIECE ? (size_t)call->file_left : FILE_PIECE;
	char *room = atl_buf_reserve(out, want);

	if (!room || !(call->source.read ? read_source : read_file)(call, room, want))
		return false;
	out->length += want;
	out->data[out->length] = 0;
	call->file_left -= want;
	return true;
}

static bool open_regular(struct call *call, const char *path, struct stat *st)
{
	if (atl_file_open(path, O_RDONLY | O_NOFOLLOW, 0, &call->file_fd, NULL)) {
		call->file_fd = -1;
		return false;
	}
	return fstat(call->file_fd, st) == 0 && S_ISREG(st->st_mode);
}

void atl_res_file(struct atl_req *req, const char *path, const char *type, const char *etag, const char *cache_control)
{
	struct call *call = (struct call *)req;
	struct stat st;
	char tag[160], range[96];
	uint64_t offset, length;
	enum cond_range part;
	const char *if_range;

	atl_res_body(req, 200, type, "", 0);
	if (!open_regular(call, path, &st)) {
		atl_res_error(req, ATL_ERR_NOT_FOUND, NULL);
		return;
	}
	if (etag)
		snprintf(tag, sizeof(tag), *etag == '"' || *etag == 'W' ? "%s" : "\"%s\"", etag);
	else
		snprintf(tag, sizeof(tag), "\"%llx-%llx\"", (unsigned long long)st.st_mtim.tv_sec * 1000000000ULL +
			 (unsigned long long)st.st_mtim.tv_nsec, (unsigned long long)st.st_size);
	atl_res_header(req, "ETag", tag);
	atl_res_header(req, "Cache-Control", cache_control);
	atl_res_header(req, "Accept-Ranges", "bytes");
	if (cond_none_match(atl_req_header(req, "If-None-Match"), tag)) {
		req->status = 304;
		file_release(call);
		return;
	}
	if_range = atl_req_header(req, "If-Range");
	part = if_range && strcmp(if_range, tag) != 0
		       ? (offset = 0, length = (uint64_t)st.st_size, COND_WHOLE)
		       : cond_range_parse(atl_req_header(req, "Range"), (uint64_t)st.st_size, &offset, &length);
	if (part == COND_UNSATISFIABLE) {
		snprintf(range, sizeof(range), "bytes */%llu", (unsigned long long)st.st_size);
		atl_res_error(req, ATL_ERR_RANGE, NULL);
		atl_res_header(req, "Content-Range", range);
		return;
	}
	if (part == COND_PART) {
		snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)offset,
			 (unsigned long long)(offset + length - 1), (unsigned long long)st.st_size);
		atl_res_header(req, "Content-Range", range);
		req->status = 206;
	}
	call->file_offset = offset;
	call->file_left = length;
	if (req->method != ATL_HEAD && length && !read_piece(call, &req->out)) {
		atl_res_error(req, ATL_ERR_IO, NULL);
		return;
	}
	if (!call->file_left)
		file_release(call);
}

void atl_res_source(struct atl_req *req, int status, const char *type, const struct atl_source *source, uint64_t length)
{
	struct call *call = (struct call *)req;

	atl_res_body(req, status, type, "", 0);
	call->source = *source;
	call->file_left = length;
	if (req->method != ATL_HEAD && length && !read_piece(call, &req->out)) {
		atl_res_error(req, ATL_ERR_IO, NULL);
		return;
	}
	if (!call->file_left)
		file_release(call);
}

void file_read_chunk(struct call *call)
{
	atl_buf_reset(&call->file_chunk);
	call->file_failed = !read_piece(call, &call->file_chunk);
}

/* Ask for the next piece once the client has taken the last. */
void call_file_drained(struct call *call)
{
	if (call->phase != PHASE_FILE || atl_sock_queued_bytes(call->conn->sock) > FILE_PIECE / 2)
		return;
	call->pool_read = true;
	call_to_pool(call);
}

void file_chunk_ready(struct call *call)
{
	struct conn *conn = call->conn;

	call->phase = PHASE_FILE;
	if (call->file_failed) {
		atl_error(MODULE, "%s: reading the file failed in the middle of the answer", call->req.path);
		conn_abort(conn);
		return;
	}
	atl_sock_write(conn->sock, call->file_chunk.data, call->file_chunk.length);
	lane_add_bytes(call->lane, call->file_chunk.length);
	if (!call->file_left)
		call_finish(call);
	else
		call_file_drained(call);
}
