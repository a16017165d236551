/* api.c - the list of route tables; cursors, lists, versions and Idempotency-Key for handlers. */
#include "api/api.h"

#include <stdio.h>
#include <time.h>

#include "api/form.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/str.h"
#include "core/server/idempotency.h"

#define JOIN_SLICE_MS 25

#define ATL_API_TABLE_X(name) atl_##name##_routes,
const struct atl_route *const atl_api_tables[] = { ATL_API_TABLES(ATL_API_TABLE_X) NULL };
#undef ATL_API_TABLE_X

const struct atl_query_param atl_api_page_params[] = { ATL_API_PAGE_PARAMS, { NULL } };

static const struct atl_identity nobody;

const struct atl_identity *atl_api_identity(const struct atl_req *req)
{
	return req->identity ? req->identity : &nobody;
}

const char *atl_api_user(const struct atl_req *req)
{
	return atl_api_identity(req)->user_id;
}

void atl_api_fail(struct atl_req *req, enum atl_err err, const struct atl_errinfo *info)
{
	if (atl_err_status(err) >= 500)
		atl_error("api", "%s %s: %s: %s", atl_method_name(req->method), req->route ? req->route->path : req->path,
			  atl_err_name(err), info ? info->detail : "");
	atl_res_error(req, err, info);
}

/* ---- lists ---- */

/* "<key>:<id>" in base64url. */
const char *atl_api_cursor(struct atl_req *req, int64_t key, const char *id)
{
	char *plain = atl_arena_printf(&req->arena, "%lld:%s", (long long)key, id);
	struct atl_buf out;
	char *text;

	if (!plain)
		return NULL;
	atl_buf_init(&out, 512);
	atl_base64_encode(&out, ATL_BASE64_URL, plain, strlen(plain));
	text = out.failed ? NULL : atl_arena_strdup(&req->arena, out.data);
	atl_buf_finish(&out);
	return text;
}

static enum atl_err read_cursor(struct atl_req *req, const char *text, struct atl_page *page, struct atl_errinfo *info)
{
	struct atl_buf plain;
	char *copy = NULL, *colon = NULL;
	int64_t key = 0;

	atl_buf_init(&plain, 512);
	if (atl_base64_decode(&plain, ATL_BASE64_URL, text, strlen(text)) && strlen(plain.data) == plain.length &&
	    atl_utf8_valid(plain.data, plain.length))
		copy = atl_arena_strdup(&req->arena, plain.data);
	atl_buf_finish(&plain);
	if (copy)
		colon = strchr(copy, ':');
	if (colon)
		*colon = '\0';
	if (!colon || !atl_str_i64(copy, INT64_MIN, INT64_MAX, &key))
		return atl_fail_field(info, ATL_ERR_INVALID, "after", "This is not a cursor: use `next` of the page before.");
	page->has_after = true;
	page->after_key = key;
	page->after_id = colon + 1;
	return ATL_OK;
}

enum atl_err atl_api_page(struct atl_req *req, struct atl_page *ret, struct atl_errinfo *info)
{
	const char *limit = atl_req_query(req, "limit"), *after = atl_req_query(req, "after");
	struct atl_page page = { .limit = ATL_API_PAGE_DEFAULT };
	enum atl_err err;

	if (limit && !atl_str_i64(limit, 1, ATL_API_PAGE_MAX, &page.limit))
		return atl_fail_field(info, ATL_ERR_INVALID, "limit", "A page has 1 to %d items.", ATL_API_PAGE_MAX);
	if (after && *after) {
		err = read_cursor(req, after, &page, info);
		if (err)
			return err;
	}
	*ret = page;
	return ATL_OK;
}

void atl_api_list(struct atl_req *req, const struct atl_json_desc *desc, const void *items, size_t count,
		  const char *next)
{
	struct atl_buf out;
	struct atl_jw w;

	atl_buf_init(&out, ATL_HTTP_OUT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_array(&w, "items");
	for (size_t i = 0; i < count; i++)
		atl_json_encode(&w, NULL, desc, (const char *)items + i * desc->size);
	atl_jw_end_array(&w);
	atl_jw_str(&w, "next", next);
	atl_jw_end_object(&w);
	if (out.failed)
		atl_api_fail(req, ATL_ERR_NOMEM, NULL);
	else
		atl_res_json_text(req, 200, out.data, out.length);
	atl_buf_finish(&out);
}

/* ---- versions ---- */

void atl_api_etag(struct atl_req *req, int64_t version)
{
	char text[32];

	snprintf(text, sizeof(text), "\"%lld\"", (long long)version);
	atl_res_header(req, "ETag", text);
}

enum atl_err atl_api_wanted_version(const struct atl_req *req, int64_t *ret, struct atl_errinfo *info)
{
	const char *text = atl_req_header(req, "If-Match");
	char digits[24];
	size_t length = text ? strlen(text) : 0;

	*ret = 0;
	if (!text || strcmp(text, "*") == 0)
		return ATL_OK;
	if (length < 3 || length > 21 || text[0] != '"' || text[length - 1] != '"')
		return atl_fail_field(info, ATL_ERR_INVALID, "If-Match", "If-Match names one version: \"7\".");
	memcpy(digits, text + 1, length - 2);
	digits[length - 2] = '\0';
	if (!atl_str_i64(digits, 1, INT64_MAX, ret))
		return atl_fail_field(info, ATL_ERR_INVALID, "If-Match", "If-Match names one version: \"7\".");
	return ATL_OK;
}

enum atl_err atl_api_if_match(const struct atl_req *req, int64_t version, struct atl_errinfo *info)
{
	int64_t wanted;
	enum atl_err err = atl_api_wanted_version(req, &wanted, info);

	if (!err && wanted && wanted != version)
		return atl_fail(info, ATL_ERR_PRECONDITION, "It is at version %lld now.", (long long)version);
	return err;
}

/* ---- Idempotency-Key ---- */

/* A form sent again has another boundary: what is compared is its parts. NULL: it is no form. */
static const char *form_digest(struct atl_req *req)
{
	unsigned char hash[ATL_SHA256_SIZE];
	char *text = atl_arena_alloc(&req->arena, ATL_SHA256_SIZE * 2 + 1);
	struct atl_sha256 ctx;
	struct atl_form form;

	if (!text || !atl_form_is(req) || atl_form_read(req, &form, NULL) != ATL_OK)
		return NULL;
	atl_sha256_begin(&ctx);
	for (size_t i = 0; i < form.count; i++) {
		const struct atl_part *part = &form.parts[i];
		uint64_t length = part->length;

		atl_sha256_add(&ctx, part->name, strlen(part->name) + 1);
		if (part->file_name)
			atl_sha256_add(&ctx, part->file_name, strlen(part->file_name));
		atl_sha256_add(&ctx, "", 1);
		atl_sha256_add(&ctx, &length, sizeof(length));
		atl_sha256_add(&ctx, part->data, part->length);
	}
	atl_sha256_end(&ctx, hash);
	atl_hex_encode(hash, sizeof(hash), text);
	return text;
}

static bool begin(struct atl_req *req, uint64_t patience_ms)
{
	const char *key = atl_req_header(req, "Idempotency-Key"), *form;
	uint64_t until = atl_monotonic_ms() + patience_ms;
	struct atl_errinfo info = { 0 };
	struct atl_idempotent earlier;
	enum atl_err err;

	if (!key)
		return true;
	form = form_digest(req);
	for (;;) {
		err = atl_idempotency_begin(atl_api_app(req), atl_api_user(req), key, atl_method_name(req->method), req->path,
					    form ? form : req->body, form ? strlen(form) : req->body_length, &req->arena, &earlier,
					    &info);
		if (err != ATL_ERR_CONFLICT || atl_monotonic_ms() >= until)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = JOIN_SLICE_MS * 1000000L }, NULL);
	}
	if (err) {
		atl_api_fail(req, err, &info);
		return false;
	}
	if (!earlier.replay) {
		struct atl_identity *identity = req->identity;

		identity->once_key = key;
		identity->once_made = earlier.made_id;
		return true;
	}
	atl_res_header(req, "Idempotent-Replayed", "true");
	atl_res_json_text(req, earlier.status, earlier.response, strlen(earlier.response));
	return false;
}

bool atl_api_idempotent_begin(struct atl_req *req)
{
	return begin(req, 0);
}

bool atl_api_idempotent_join(struct atl_req *req)
{
	if (!begin(req, ATL_API_JOIN_MS))
		return false;
	if (atl_api_idempotent_found(req))
		atl_res_header(req, "Idempotent-Replayed", "true");
	return true;
}

const char *atl_api_idempotent_found(const struct atl_req *req)
{
	return atl_api_identity(req)->once_made;
}

void atl_api_idempotent_end(struct atl_req *req)
{
	const char *key = atl_req_header(req, "Idempotency-Key");
	struct atl_errinfo info = { 0 };
	enum atl_err err;

	if (!key)
		return;
	if (req->status >= 200 && req->status < 300) {
		err = atl_idempotency_finish(atl_api_app(req), atl_api_user(req), key, req->status, req->out.data, &info);
		if (err)
			atl_error("api", "keep an answer for its Idempotency-Key: %s %s", atl_err_name(err), info.detail);
		return;
	}
	atl_idempotency_abandon(atl_api_app(req), atl_api_user(req), key);
}

void atl_api_idempotent_made(struct atl_req *req)
{
	const char *key = atl_req_header(req, "Idempotency-Key");

	if (key)
		atl_idempotency_abandon(atl_api_app(req), atl_api_user(req), key);
}
