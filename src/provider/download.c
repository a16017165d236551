/* download.c - see download.h.
 *
 * A download is a series of legs: one request each, until an answer is not a redirect. A leg lives on run()'s stack; the
 * loop's callbacks only fill it. It ends when the fetch is done and nothing posted for it is still on its way.
 */
#include "provider/download.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/str.h"
#include "os/file.h"

#define TAG_MAX 300
#define PATH_SIZE 4200
#define HASH_CHUNK ((size_t)1 << 20)

struct leg {
	/* set before the start */
	struct atl_download *self;
	struct atl_loop *loop;
	struct atl_fetch_request request;
	/* loop thread only */
	struct atl_fetch *fetch;
	bool paused;
	/* guarded by self->lock */
	struct atl_buf arrived;
	bool has_head, done;
	unsigned posted; /* messages to the loop that have not run */
	int status;
	int64_t content_length;
	char *location, *content_range;
	char tag[TAG_MAX]; /* validator for If-Range; "" if there is none */
	enum atl_err err;
	struct atl_errinfo info;
};

struct atl_download {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool cancelled; /* guarded by lock */
	/* run()'s thread only */
	const struct atl_download_request *request;
	int fd;
	uint64_t offset, size; /* size 0: not known */
	struct atl_sha256 hash;
	char tag[TAG_MAX];
};

enum atl_err atl_download_create(struct atl_download **ret)
{
	struct atl_download *self = calloc(1, sizeof *self);
	if (!self)
		return ATL_ERR_NOMEM;
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->changed, NULL);
	self->fd = -1;
	*ret = self;
	return ATL_OK;
}

void atl_download_destroy(struct atl_download *self)
{
	if (!self)
		return;
	pthread_cond_destroy(&self->changed);
	pthread_mutex_destroy(&self->lock);
	free(self);
}

void atl_download_cancel(struct atl_download *self)
{
	pthread_mutex_lock(&self->lock);
	self->cancelled = true;
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
}

static bool is_cancelled(struct atl_download *self)
{
	pthread_mutex_lock(&self->lock);
	bool cancelled = self->cancelled;
	pthread_mutex_unlock(&self->lock);
	return cancelled;
}

static enum atl_err os_fail(struct atl_errinfo *info, const char *what)
{
	int code = errno;
	return atl_fail(info, code == ENOSPC || code == EDQUOT || code == EFBIG ? ATL_ERR_DISK : ATL_ERR_IO, "%s: %s", what,
			strerror(code));
}

/* ---- the part and its tag ---- */

static void tag_path(char out[PATH_SIZE], const char *path)
{
	snprintf(out, PATH_SIZE, "%s.tag", path);
}

void atl_download_forget(const char *path)
{
	char tag[PATH_SIZE];
	tag_path(tag, path);
	unlink(path);
	unlink(tag);
}

static void tag_read(struct atl_download *self)
{
	char path[PATH_SIZE];
	struct atl_buf text;
	tag_path(path, self->request->path);
	atl_buf_init(&text, TAG_MAX);
	if (atl_file_read(path, TAG_MAX - 1, &text, NULL) == ATL_OK && !strpbrk(text.data, "\r\n"))
		atl_str_copy(self->tag, sizeof self->tag, text.data);
	atl_buf_finish(&text);
}

static enum atl_err tag_write(struct atl_download *self, const char *tag, struct atl_errinfo *info)
{
	char path[PATH_SIZE];
	if (atl_str_eq(tag, self->tag))
		return ATL_OK;
	tag_path(path, self->request->path);
	atl_str_copy(self->tag, sizeof self->tag, tag);
	if (tag[0])
		return atl_file_write_atomic(path, tag, strlen(tag), 0600, info);
	unlink(path);
	return ATL_OK;
}

/* Begin the file anew. */
static enum atl_err part_clear(struct atl_download *self, struct atl_errinfo *info)
{
	self->offset = 0;
	atl_sha256_begin(&self->hash);
	if (ftruncate(self->fd, 0) != 0 || lseek(self->fd, 0, SEEK_SET) != 0)
		return os_fail(info, "write download");
	return ATL_OK;
}

/* Hash what is there already, and stand behind it. */
static enum atl_err part_rehash(struct atl_download *self, struct atl_errinfo *info)
{
	char *chunk = malloc(HASH_CHUNK);
	enum atl_err err = chunk ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "read download");
	while (!err) {
		ssize_t got = read(self->fd, chunk, HASH_CHUNK);
		if (got < 0)
			err = os_fail(info, "read download");
		else if (is_cancelled(self))
			err = ATL_ERR_CANCELLED;
		if (got <= 0 || err)
			break;
		atl_sha256_add(&self->hash, chunk, (size_t)got);
		self->offset += (uint64_t)got;
	}
	free(chunk);
	return err;
}

static enum atl_err part_open(struct atl_download *self, struct atl_errinfo *info)
{
	enum atl_err err = atl_file_open(self->request->path, O_RDWR | O_CREAT, 0600, &self->fd, info);
	if (err)
		return err;
	tag_read(self);
	atl_sha256_begin(&self->hash);
	return self->tag[0] ? part_rehash(self, info) : part_clear(self, info);
}

static enum atl_err part_write(struct atl_download *self, const char *data, size_t length, struct atl_errinfo *info)
{
	uint64_t max = self->size ? self->size : self->request->max_bytes;
	if (length > max - self->offset)
		return self->size ? atl_fail(info, ATL_ERR_UNPROCESSABLE, "The file is larger than it should be.")
				  : atl_fail(info, ATL_ERR_TOO_LARGE, "The file is larger than %llu bytes.", (unsigned long long)max);
	for (size_t at = 0; at < length;) {
		ssize_t put = write(self->fd, data + at, length - at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return os_fail(info, "write download");
		at += (size_t)put;
	}
	atl_sha256_add(&self->hash, data, length);
	self->offset += length;
	if (self->request->on_progress)
		self->request->on_progress(self->request->arg, self->offset, self->size);
	return ATL_OK;
}

/* ---- on the loop ---- */

static void on_head(void *arg, const struct atl_fetch_head *head)
{
	struct leg *leg = arg;
	struct atl_arena arena;
	atl_arena_init(&arena, (size_t)1 << 20);
	const char *location = atl_fetch_header(&arena, head, "location");
	const char *range = atl_fetch_header(&arena, head, "content-range");
	const char *tag = atl_fetch_header(&arena, head, "etag");
	if (!tag || tag[0] != '"') /* weak ones must not be used for ranges */
		tag = atl_fetch_header(&arena, head, "last-modified");
	pthread_mutex_lock(&leg->self->lock);
	leg->has_head = true;
	leg->status = head->status;
	leg->content_length = head->content_length;
	leg->location = location ? strdup(location) : NULL;
	leg->content_range = range ? strdup(range) : NULL;
	if (!tag || !atl_str_copy(leg->tag, sizeof leg->tag, tag))
		leg->tag[0] = '\0';
	pthread_cond_broadcast(&leg->self->changed);
	pthread_mutex_unlock(&leg->self->lock);
	atl_arena_finish(&arena);
}

static void on_data(void *arg, const char *data, size_t length)
{
	struct leg *leg = arg;
	if (leg->status != 200 && leg->status != 206)
		return; /* the page of an error or a redirect */
	pthread_mutex_lock(&leg->self->lock);
	atl_buf_add(&leg->arrived, data, length);
	bool full = leg->arrived.length >= ATL_DOWNLOAD_QUEUE_BYTES / 2;
	pthread_cond_broadcast(&leg->self->changed);
	pthread_mutex_unlock(&leg->self->lock);
	if (full && leg->fetch && !leg->paused) {
		leg->paused = true;
		atl_fetch_pause(leg->fetch);
	}
}

static void on_done(void *arg, enum atl_err err, const struct atl_errinfo *info)
{
	struct leg *leg = arg;
	leg->fetch = NULL;
	pthread_mutex_lock(&leg->self->lock);
	leg->done = true;
	leg->err = err;
	if (info)
		leg->info = *info;
	pthread_cond_broadcast(&leg->self->changed);
	pthread_mutex_unlock(&leg->self->lock);
}

static void posted_end(struct leg *leg)
{
	pthread_mutex_lock(&leg->self->lock);
	leg->posted--;
	pthread_cond_broadcast(&leg->self->changed);
	pthread_mutex_unlock(&leg->self->lock);
}

static void start_on_loop(void *arg)
{
	static const struct atl_fetch_ops OPS = {.on_head = on_head, .on_data = on_data, .on_done = on_done};
	struct leg *leg = arg;
	struct atl_errinfo info = {0};
	enum atl_err err = atl_fetch_start(leg->loop, &leg->request, &OPS, leg, &leg->fetch, &info);
	if (err)
		on_done(leg, err, &info);
	posted_end(leg);
}

static void resume_on_loop(void *arg)
{
	struct leg *leg = arg;
	if (leg->fetch && leg->paused) {
		leg->paused = false;
		atl_fetch_resume(leg->fetch);
	}
	posted_end(leg);
}

static void cancel_on_loop(void *arg)
{
	struct leg *leg = arg;
	if (leg->fetch)
		atl_fetch_cancel(leg->fetch);
	posted_end(leg);
}

/* ---- run()'s thread ---- */

/* False: the loop has ended. */
static bool post(struct leg *leg, void (*fn)(void *arg))
{
	pthread_mutex_lock(&leg->self->lock);
	leg->posted++;
	pthread_mutex_unlock(&leg->self->lock);
	if (atl_loop_post(leg->loop, fn, leg))
		return true;
	posted_end(leg);
	return false;
}

static void leg_end(struct leg *leg)
{
	pthread_mutex_lock(&leg->self->lock);
	bool running = !leg->done;
	pthread_mutex_unlock(&leg->self->lock);
	if (running)
		(void)post(leg, cancel_on_loop); /* a loop that ends finishes its fetches itself */
	pthread_mutex_lock(&leg->self->lock);
	while (!leg->done || leg->posted)
		pthread_cond_wait(&leg->self->changed, &leg->self->lock);
	pthread_mutex_unlock(&leg->self->lock);
	atl_buf_finish(&leg->arrived);
	free(leg->location);
	free(leg->content_range);
}

/* Wait for the head. */
static enum atl_err await_head(struct leg *leg, struct atl_errinfo *info)
{
	struct atl_download *self = leg->self;
	enum atl_err err = ATL_OK;
	pthread_mutex_lock(&self->lock);
	while (!leg->has_head && !leg->done && !self->cancelled)
		pthread_cond_wait(&self->changed, &self->lock);
	if (self->cancelled) {
		err = ATL_ERR_CANCELLED;
	} else if (!leg->has_head) {
		err = leg->err ? leg->err : ATL_ERR_UPSTREAM_CUT;
		*info = leg->info;
	}
	pthread_mutex_unlock(&self->lock);
	return err;
}

/* Write what arrives until the leg is done. `spare` is swapped with the leg's buffer, so that no byte is copied twice. */
static enum atl_err receive(struct leg *leg, struct atl_errinfo *info)
{
	struct atl_download *self = leg->self;
	struct atl_buf spare;
	enum atl_err err = ATL_OK;
	bool done = false;
	atl_buf_init(&spare, ATL_DOWNLOAD_QUEUE_BYTES);
	while (!err && !done) {
		atl_buf_reset(&spare);
		pthread_mutex_lock(&self->lock);
		while (!leg->arrived.length && !leg->done && !self->cancelled)
			pthread_cond_wait(&self->changed, &self->lock);
		struct atl_buf full = leg->arrived;
		leg->arrived = spare;
		spare = full;
		if (self->cancelled) {
			err = ATL_ERR_CANCELLED;
		} else if (full.failed) {
			err = atl_fail(info, ATL_ERR_NOMEM, "No memory for a download.");
		} else if (leg->done && !full.length) {
			done = true;
			err = leg->err;
			*info = leg->info;
		}
		pthread_mutex_unlock(&self->lock);
		if (!err && !done)
			err = part_write(self, spare.data, spare.length, info);
		if (!err && !done && !post(leg, resume_on_loop))
			err = atl_fail(info, ATL_ERR_SHUTDOWN, "%s", atl_err_sentence(ATL_ERR_SHUTDOWN));
	}
	atl_buf_finish(&spare);
	return err;
}

/* The digits at *text as a number; moves past them. */
static bool take_number(const char **text, uint64_t *ret)
{
	char digits[24];
	size_t length = strspn(*text, "0123456789");
	if (length == 0 || length >= sizeof digits)
		return false;
	memcpy(digits, *text, length);
	digits[length] = '\0';
	*text += length;
	return atl_str_u64(digits, UINT64_MAX, ret);
}

static bool take_text(const char **text, const char *expected)
{
	if (!*text || !atl_str_starts(*text, expected))
		return false;
	*text += strlen(expected);
	return true;
}

/* "bytes 5-9/10": the first byte must be the one asked for; a total that is not told ("*") is 0. */
static bool range_read(const char *text, uint64_t wanted, uint64_t *ret_total)
{
	uint64_t first, last, total;
	*ret_total = 0;
	if (!take_text(&text, "bytes ") || !take_number(&text, &first) || !take_text(&text, "-") ||
	    !take_number(&text, &last) || !take_text(&text, "/") || first != wanted || last < first)
		return false;
	if (take_number(&text, &total) && !*text)
		*ret_total = total;
	return true;
}

/* A refused range: is it because everything is here? */
static bool range_is_whole(const char *text, uint64_t have)
{
	uint64_t total;
	return take_text(&text, "bytes */") && take_number(&text, &total) && total == have;
}

static enum atl_err refused(const struct leg *leg, struct atl_errinfo *info)
{
	struct atl_url url = {0};
	if (atl_url_split(leg->request.url, &url, NULL) != ATL_OK)
		url.host[0] = '\0';
	if (leg->status == 404 || leg->status == 410)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "%s has no such file.", url.host);
	if (leg->status == 401 || leg->status == 403)
		return atl_fail(info, ATL_ERR_FORBIDDEN, "%s does not give this file to everybody (status %d).", url.host,
				leg->status);
	return atl_fail(info, ATL_ERR_UPSTREAM, "%s answered with status %d.", url.host, leg->status);
}

/* The answer brings the file or its rest: check what it says of the size and make ready to write. */
static enum atl_err accept_body(struct leg *leg, struct atl_errinfo *info)
{
	struct atl_download *self = leg->self;
	const struct atl_download_request *request = self->request;
	uint64_t total = 0;
	enum atl_err err = ATL_OK;
	if (leg->status == 206) {
		if (self->offset == 0 || !range_read(leg->content_range, self->offset, &total))
			return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The server sent another part of the file than was asked for.");
	} else {
		if (leg->content_length > 0)
			total = (uint64_t)leg->content_length;
		err = part_clear(self, info);
	}
	if (!err && total && request->size_bytes && total != request->size_bytes) {
		atl_download_forget(request->path);
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The server's file has %llu bytes; it should have %llu.",
				(unsigned long long)total, (unsigned long long)request->size_bytes);
	}
	self->size = total ? total : request->size_bytes;
	if (!err && (self->size > request->max_bytes || (self->size && self->offset > self->size)))
		return atl_fail(info, ATL_ERR_TOO_LARGE, "The file has %llu bytes; %llu are allowed.",
				(unsigned long long)self->size, (unsigned long long)request->max_bytes);
	if (!err && self->size && request->on_size)
		err = request->on_size(request->arg, self->size, self->size - self->offset, info);
	/* The tag of a 206 is the one we sent. */
	if (!err && leg->status == 200)
		err = tag_write(self, leg->tag, info);
	return err;
}

enum outcome { COMPLETE, REDIRECT, AGAIN };

static enum atl_err answer(struct leg *leg, enum outcome *ret, struct atl_errinfo *info)
{
	struct atl_download *self = leg->self;
	enum atl_err err = await_head(leg, info);
	if (err)
		return err;
	if (leg->status == 200 || leg->status == 206) {
		*ret = COMPLETE;
		err = accept_body(leg, info);
		return err ? err : receive(leg, info);
	}
	if (leg->location && (leg->status == 301 || leg->status == 302 || leg->status == 303 || leg->status == 307 ||
			      leg->status == 308)) {
		*ret = REDIRECT;
		return ATL_OK;
	}
	if (leg->status == 416 && self->offset) {
		*ret = range_is_whole(leg->content_range, self->offset) ? COMPLETE : AGAIN;
		if (*ret == COMPLETE)
			return ATL_OK;
		err = part_clear(self, info);
		return err ? err : tag_write(self, "", info);
	}
	return refused(leg, info);
}

/* Where a redirect leads, made absolute; https never to http. */
static enum atl_err redirect(char url[ATL_DOWNLOAD_URL_MAX], const char *location, struct atl_errinfo *info)
{
	char next[ATL_DOWNLOAD_URL_MAX];
	const char *colon = strstr(location, "://"), *host = strstr(url, "://") + 3;
	size_t origin = (size_t)(host - url) + strcspn(host, "/?#"), keep = 0;
	int length;
	if (colon && (size_t)(colon - location) == strspn(location, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
		keep = 0;
	else if (location[0] == '/' && location[1] == '/')
		keep = (size_t)(strchr(url, ':') - url) + 1;
	else if (location[0] == '/')
		keep = origin;
	else
		keep = origin + strcspn(url + origin, "?#");
	if (keep > origin) /* a relative name: beside the last part of the path */
		while (keep > origin && url[keep - 1] != '/')
			keep--;
	length = snprintf(next, sizeof next, "%.*s%s%s", (int)keep, url,
			  keep == origin && keep && location[0] != '/' ? "/" : "", location);
	if (length < 0 || length >= (int)sizeof next)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "A redirect leads to an address that is too long.");
	next[strcspn(next, "#")] = '\0';
	if (strncasecmp(url, "https:", 6) == 0 && strncasecmp(next, "https:", 6) != 0)
		return atl_fail(info, ATL_ERR_OUTBOUND, "A redirect leads from https to an unprotected address.");
	memcpy(url, next, sizeof next);
	return ATL_OK;
}

static enum atl_err run_leg(struct atl_download *self, struct atl_loop *loop, char url[ATL_DOWNLOAD_URL_MAX],
			    enum outcome *ret, struct atl_errinfo *info)
{
	char range[64], if_range[TAG_MAX + 16];
	const char *headers[4] = {"Accept-Encoding: identity", NULL};
	struct leg leg = {.self = self, .loop = loop};
	enum atl_err err;
	if (self->offset) {
		snprintf(range, sizeof range, "Range: bytes=%llu-", (unsigned long long)self->offset);
		snprintf(if_range, sizeof if_range, "If-Range: %s", self->tag);
		headers[1] = range;
		headers[2] = if_range;
	}
	leg.request = (struct atl_fetch_request){.url = url, .headers = headers, .guard = self->request->guard,
						 .first_byte_ms = self->request->first_byte_ms,
						 .idle_ms = self->request->idle_ms, .max_response_bytes = UINT64_MAX};
	atl_buf_init(&leg.arrived, ATL_DOWNLOAD_QUEUE_BYTES);
	if (post(&leg, start_on_loop)) {
		err = answer(&leg, ret, info);
	} else {
		leg.done = true;
		err = atl_fail(info, ATL_ERR_SHUTDOWN, "%s", atl_err_sentence(ATL_ERR_SHUTDOWN));
	}
	if (!err && *ret == REDIRECT)
		err = redirect(url, leg.location, info);
	leg_end(&leg);
	return err;
}

/* Everything has arrived: is it what it should be? */
static enum atl_err verify(struct atl_download *self, struct atl_errinfo *info)
{
	const struct atl_download_request *request = self->request;
	uint64_t size = self->size ? self->size : request->size_bytes;
	unsigned char digest[ATL_SHA256_SIZE];
	char hex[ATL_SHA256_SIZE * 2 + 1];
	if (size && self->offset < size)
		return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "The download ended after %llu of %llu bytes.",
				(unsigned long long)self->offset, (unsigned long long)size);
	atl_sha256_end(&self->hash, digest);
	atl_hex_encode(digest, sizeof digest, hex);
	if (request->sha256 && strcasecmp(hex, request->sha256) != 0) {
		atl_download_forget(request->path);
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The file's SHA-256 is %s; it should be %s. It was not kept.", hex,
				request->sha256);
	}
	return fsync(self->fd) != 0 ? os_fail(info, "write download") : ATL_OK;
}

enum atl_err atl_download_run(struct atl_download *self, struct atl_loop *loop,
			      const struct atl_download_request *request, struct atl_errinfo *info)
{
	char url[ATL_DOWNLOAD_URL_MAX] = "";
	unsigned redirects = 0;
	bool again = false;
	struct atl_errinfo unused = {0};
	enum outcome outcome = AGAIN;
	if (!info)
		info = &unused;
	self->request = request;
	if (!atl_str_copy(url, sizeof url, request->url))
		return atl_fail(info, ATL_ERR_INVALID, "The address is too long.");
	enum atl_err err = atl_guard_url(request->guard, url, info);
	if (!err)
		err = part_open(self, info);
	if (!err && request->size_bytes && self->offset > request->size_bytes)
		err = part_clear(self, info);
	if (!err && request->size_bytes && request->sha256 && self->offset == request->size_bytes)
		outcome = COMPLETE; /* only the end was missing */
	while (!err && outcome != COMPLETE) {
		err = run_leg(self, loop, url, &outcome, info);
		if (!err && outcome == REDIRECT && ++redirects > ATL_DOWNLOAD_REDIRECTS_MAX)
			err = atl_fail(info, ATL_ERR_UPSTREAM, "The server redirects more than %d times.", ATL_DOWNLOAD_REDIRECTS_MAX);
		if (!err && outcome == AGAIN && again)
			err = atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The server refuses every part of the file.");
		again = again || outcome == AGAIN;
	}
	if (!err)
		err = verify(self, info);
	if (err == ATL_ERR_UNPROCESSABLE)
		atl_download_forget(request->path);
	if (self->fd >= 0)
		close(self->fd);
	self->fd = -1;
	if (err == ATL_ERR_CANCELLED)
		return atl_fail(info, err, "%s", atl_err_sentence(err));
	return err;
}
