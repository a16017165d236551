/* download.h - one HTTP download to a file, in the calling thread, that can go on where an earlier one ended.
 *
 * What has arrived lies in `path`; beside it `path`.tag holds the server's validator (ETag or Last-Modified). When both
 * are there the rest is asked for by Range with If-Range, so that a changed file begins anew and never gets mixed.
 * Redirects are followed one by one, each through the guard; from https to http they are refused.
 *
 * Life cycle: atl_download_create() .. atl_download_run() .. atl_download_destroy().
 * Threads:    run blocks for as long as it takes (a thread of its own; never a loop's); cancel from any.
 *             The loop only hands bytes over; when the disk is slower than the network the connection is paused.
 * Limits:     ATL_DOWNLOAD_QUEUE_BYTES in memory; the others below and in the request.
 */
#ifndef ATL_PROVIDER_DOWNLOAD_H
#define ATL_PROVIDER_DOWNLOAD_H

#include "net/fetch.h"

#define ATL_DOWNLOAD_REDIRECTS_MAX 5
#define ATL_DOWNLOAD_QUEUE_BYTES ((size_t)8 << 20)
#define ATL_DOWNLOAD_URL_MAX 4000

struct atl_download_request {
	const char *url;
	const char *path; /* what has arrived; kept on every error but one that says the content is wrong */
	const struct atl_guard *guard;
	const char *sha256;   /* hex of the whole file, or NULL */
	uint64_t size_bytes;  /* of the whole file when it is known exactly; 0: it is not */
	uint64_t max_bytes;   /* of the whole file */
	unsigned first_byte_ms, idle_ms; /* 0: 60 s */
	/* In run()'s thread. Once the size is known, before anything is written: is there room for `missing` bytes? */
	enum atl_err (*on_size)(void *arg, uint64_t size_bytes, uint64_t missing, struct atl_errinfo *info); /* or NULL */
	/* After each write; size_bytes 0: not told. */
	void (*on_progress)(void *arg, uint64_t received, uint64_t size_bytes); /* or NULL */
	void *arg;
};

struct atl_download;
enum atl_err atl_download_create(struct atl_download **ret) ATL_MUST_USE;
/* ATL_OK: the file is complete, on disk, and what size_bytes and sha256 say. Once per download.
 * Errors: CANCELLED, OUTBOUND (guard, https to http), TOO_LARGE, UNPROCESSABLE (wrong size or hash: the part is removed),
 * DISK, IO, INVALID (address), NOT_FOUND and FORBIDDEN (the server says so), UPSTREAM, UPSTREAM_TIMEOUT,
 * UPSTREAM_CUT, UPSTREAM_FORMAT, and what on_size returns. */
enum atl_err atl_download_run(struct atl_download *self, struct atl_loop *loop,
			      const struct atl_download_request *request, struct atl_errinfo *info) ATL_MUST_USE;
void atl_download_cancel(struct atl_download *self); /* also before run; run ends soon with CANCELLED */
void atl_download_destroy(struct atl_download *self); /* NULL is allowed; not while it runs */

/* Remove what an unfinished download left at `path`. */
void atl_download_forget(const char *path);

#endif
