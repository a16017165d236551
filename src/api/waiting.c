/* waiting.c - see waiting.h. */
#include "api/waiting.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/str.h"
#include "core/pictures/asset.h"
#include "os/pool.h"

#define SLICE_MS 1000
#define SLICE_ARENA_MAX ((size_t)16 << 20)
#define PICTURE_ARENA_MAX ((size_t)600 << 20)

/* On the loop: the request is answered in the pool again. */
static void resume(void *arg)
{
	struct atl_api_waited *waited = arg;

	atl_req_on_hangup(waited->req, NULL, NULL);
	atl_req_to_pool(waited->req, waited->done);
}

static void hung_up(void *arg)
{
	struct atl_api_waited *waited = arg;

	atomic_store(&waited->gone, true);
}

static bool has_ended(const struct atl_job *job)
{
	return atl_str_eq(job->state, "done") || atl_str_eq(job->state, "failed") || atl_str_eq(job->state, "cancelled");
}

/* One slice, in memory of its own: a long wait looks many times. True: there is nothing more to wait for. */
static bool wait_slice(struct atl_api_waited *waited, unsigned timeout_ms)
{
	struct atl_arena arena;
	struct atl_job job;
	bool over;

	atl_arena_init(&arena, SLICE_ARENA_MAX);
	over = atl_job_wait(atl_api_app(waited->req), &arena, waited->user_id, waited->id, timeout_ms, &job, NULL) != ATL_OK ||
	       has_ended(&job);
	atl_arena_finish(&arena);
	return over;
}

/* In slices: neither a stopping server nor a client that has gone waits for a waiter. */
static void wait_here(struct atl_api_waited *waited)
{
	struct atl_app *app = atl_api_app(waited->req);

	for (;;) {
		uint64_t now = atl_monotonic_ms();

		if (now >= waited->until_ms || atomic_load(&app->stopping) || atomic_load(&waited->gone))
			break;
		if (wait_slice(waited, waited->until_ms - now > SLICE_MS ? SLICE_MS : (unsigned)(waited->until_ms - now)))
			break;
	}
}

/* In a thread of the room. */
static void wait_in_room(void *arg)
{
	struct atl_api_waited *waited = arg;

	wait_here(waited);
	if (!atl_loop_post(waited->req->loop, resume, waited)) {
		/* the loop has ended, and the request with it */
	}
}

/* In the pool: the job as it is now. */
static void look(struct atl_req *req)
{
	struct atl_api_waited *waited = req->state;

	waited->err = atl_job_get(atl_api_app(req), &req->arena, waited->user_id, waited->id, &waited->job, &waited->info);
	waited->answer(req);
}

/* On the loop. */
static void begin(struct atl_req *req)
{
	struct atl_api_waited *waited = req->state;

	atl_req_on_hangup(req, hung_up, waited);
	if (atl_pool_submit(atl_api_app(req)->waiters, wait_in_room, waited) != ATL_OK)
		resume(waited);
}

void atl_api_wait_job(struct atl_req *req, const char *job_id, unsigned timeout_ms, atl_handler done, void *arg)
{
	struct atl_api_waited *waited = ATL_ARENA_NEW(&req->arena, struct atl_api_waited);

	if (!waited) {
		atl_api_fail(req, ATL_ERR_NOMEM, NULL);
		return;
	}
	waited->req = req;
	waited->id = job_id;
	waited->user_id = atl_api_user(req);
	waited->until_ms = atl_monotonic_ms() + timeout_ms;
	waited->done = look;
	waited->answer = done;
	waited->arg = arg;
	atomic_init(&waited->gone, false);
	req->state = waited;
	if (timeout_ms > 0 && atl_api_app(req)->waiters) {
		atl_res_continue(req, begin);
		return;
	}
	wait_here(waited);
	look(req);
}

/* ---- pictures ---- */

/* A picture that was sent is kept in the library by now: while its request waits for the job, its bytes in the body need
 * no memory. Only whole pages of it are given back; what is read there afterwards is zero. */
static void forget(const void *data, size_t length)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)data + page - 1) & ~(page - 1),
		  end = ((uintptr_t)data + length) & ~(page - 1);

	if (begin < end && madvise((void *)begin, end - begin, MADV_DONTNEED) != 0)
		atl_debug("api", "memory of %zu bytes stays", length);
}

enum atl_err atl_api_take_bytes(struct atl_req *req, const char *field, const void *data, size_t length,
				const char **ret_id, struct atl_errinfo *info)
{
	struct atl_arena arena; /* the picture as it is kept is as large as the one that was sent: not longer than needed */
	struct atl_asset asset;
	enum atl_err err;

	atl_arena_init(&arena, PICTURE_ARENA_MAX);
	err = atl_asset_upload(atl_api_app(req), atl_api_identity(req), &arena, data, length, false, &asset, info);
	if (info && (err == ATL_ERR_PICTURE || err == ATL_ERR_TOO_LARGE || err == ATL_ERR_INVALID))
		atl_str_copy(info->field, sizeof(info->field), field);
	if (!err) {
		*ret_id = atl_arena_strdup(&req->arena, asset.id);
		err = *ret_id ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "picture");
	}
	atl_arena_finish(&arena);
	forget(data, length);
	return err;
}

enum atl_err atl_api_take_picture(struct atl_req *req, const char *field, const char *text, const char **ret_id,
				  struct atl_errinfo *info)
{
	char *base64 = (char *)(uintptr_t)text;
	size_t length, size;

	if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0)
		return atl_fail_field(info, ATL_ERR_INVALID, field, "Send the picture itself as base64: addresses are not fetched.");
	if (strncmp(text, "data:", 5) == 0 && strchr(text, ','))
		base64 = strchr(base64, ',') + 1;
	size = strlen(base64);
	if (!size || !atl_base64_decode_in_place(ATL_BASE64_STANDARD, base64, size, &length))
		return atl_fail_field(info, ATL_ERR_INVALID, field, "is not base64");
	forget(base64 + length, size - length);
	return atl_api_take_bytes(req, field, base64, length, ret_id, info);
}

enum atl_err atl_api_put_base64(struct atl_req *req, const struct atl_asset *asset, struct atl_buf *out,
				struct atl_errinfo *info)
{
	return atl_api_put_file(atl_api_app(req), asset, out, info);
}

enum atl_err atl_api_put_file(struct atl_app *app, const struct atl_asset *asset, struct atl_buf *out,
			      struct atl_errinfo *info)
{
	struct atl_arena arena;
	const void *data;
	size_t length;
	enum atl_err err;

	atl_arena_init(&arena, PICTURE_ARENA_MAX);
	err = atl_asset_read(app, &arena, asset, &data, &length, info);
	if (!err) {
		atl_base64_encode(out, ATL_BASE64_STANDARD, data, length);
		err = atl_buf_err(out, info);
	}
	atl_arena_finish(&arena);
	return err;
}

void atl_api_name_field(struct atl_errinfo *info, const char *const *names)
{
	for (; names[0]; names += 2)
		if (atl_str_eq(info->field, names[0])) {
			atl_str_copy(info->field, sizeof(info->field), names[1]);
			return;
		}
}

enum atl_err atl_api_job_error(const struct atl_job *job, struct atl_errinfo *info)
{
	enum atl_err err = ATL_ERR_UPSTREAM;

	if (atl_str_eq(job->state, "cancelled"))
		return atl_fail(info, ATL_ERR_CANCELLED, "The job was cancelled.");
	if (job->error_slug)
		for (int e = 1; e < ATL_ERR_COUNT; e++)
			if (atl_str_eq(atl_err_slug((enum atl_err)e), job->error_slug))
				err = (enum atl_err)e;
	return atl_fail(info, err, "%s", job->error_detail ? job->error_detail : atl_err_sentence(err));
}
