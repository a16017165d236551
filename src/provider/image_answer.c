/* image_answer.c - what a picture service's answer means: errors in words, results fetched and looked at. See
 * image_http.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "net/fetch.h"
#include "provider/image_http.h"
#include "provider/openai_chat.h"

#define WORDS_MAX 240
#define REDIRECTS_MAX 3
#define VIDEO_MS 600000

/* Names in answers (`code`, `type`); they win over the status. */
static const struct {
	const char *name;
	enum atl_err err;
} NAMES[] = {
	{ "moderation_blocked", ATL_ERR_UPSTREAM_REFUSED },
	{ "content_policy_violation", ATL_ERR_UPSTREAM_REFUSED },
	{ "provider_content_policy", ATL_ERR_UPSTREAM_REFUSED },
	{ "content_filter", ATL_ERR_UPSTREAM_REFUSED },
	{ "insufficient_quota", ATL_ERR_UPSTREAM_QUOTA },
	{ "billing_hard_limit_reached", ATL_ERR_UPSTREAM_QUOTA },
	{ "insufficient_balance", ATL_ERR_UPSTREAM_QUOTA },
	{ "invalid_api_key", ATL_ERR_UPSTREAM_AUTH },
	{ "authentication_error", ATL_ERR_UPSTREAM_AUTH },
	{ "model_not_found", ATL_ERR_UPSTREAM_MODEL },
	{ "request_timeout", ATL_ERR_UPSTREAM_TIMEOUT },
	{ "startup_timeout", ATL_ERR_UPSTREAM_TIMEOUT },
};

static enum atl_err by_name(const char *name)
{
	for (size_t i = 0; name && i < ATL_COUNT(NAMES); i++)
		if (atl_str_ieq(NAMES[i].name, name))
			return NAMES[i].err;
	return ATL_OK;
}

static enum atl_err by_status(int status, bool list)
{
	switch (status) {
	case 401:
	case 403:
		return ATL_ERR_UPSTREAM_AUTH;
	case 402:
		return ATL_ERR_UPSTREAM_QUOTA;
	case 404:
		return ATL_ERR_UPSTREAM_MODEL;
	case 408:
	case 504:
		return ATL_ERR_UPSTREAM_TIMEOUT;
	case 413:
		return ATL_ERR_TOO_LARGE;
	case 422:
		return list ? ATL_ERR_INVALID : ATL_ERR_UPSTREAM_REFUSED;
	case 429:
		return ATL_ERR_UPSTREAM_RATE;
	default:
		break;
	}
	if (status >= 500)
		return ATL_ERR_UPSTREAM;
	return status >= 400 ? ATL_ERR_INVALID : ATL_ERR_UPSTREAM_FORMAT;
}

struct cause {
	enum atl_err err;
	bool list; /* a list of mistakes in the request's fields */
	char text[WORDS_MAX];
	char field[ATL_ERRINFO_FIELD_MAX];
};

static bool holds_key(const char *text, const char *key)
{
	return key && strlen(key) >= 4 && strstr(text, key);
}

static void put_text(struct cause *cause, const char *text, const char *key)
{
	if (!text || holds_key(text, key))
		text = "";
	atl_str_copy(cause->text, sizeof(cause->text), text);
	for (char *p = cause->text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

/* {"detail": "text"} or {"detail": [{"loc": ["body", "prompt"], "msg": ..., "type": ...}]} */
static void read_detail(const struct atl_json *detail, const char *key, struct cause *cause)
{
	const struct atl_json *first = atl_json_at(detail, 0), *loc = atl_json_get(first, "loc");
	const struct atl_json *last = loc && loc->count ? atl_json_at(loc, loc->count - 1) : NULL;

	if (detail->kind == ATL_JSON_STRING) {
		put_text(cause, detail->string, key);
		return;
	}
	cause->list = detail->kind == ATL_JSON_ARRAY;
	cause->err = by_name(atl_json_str(first, "type", NULL));
	put_text(cause, atl_json_str(first, "msg", ""), key);
	if (last && last->kind == ATL_JSON_STRING && !holds_key(last->string, key))
		atl_str_copy(cause->field, sizeof(cause->field), last->string);
}

static void read_cause(const struct atl_json *root, const char *key, struct cause *cause)
{
	const struct atl_json *error = atl_json_get(root, "error"), *detail = atl_json_get(root, "detail");

	if (error && error->kind == ATL_JSON_STRING)
		put_text(cause, error->string, key);
	else if (error && error->kind == ATL_JSON_OBJECT)
		put_text(cause, atl_json_str(error, "message", ""), key);
	else if (detail)
		read_detail(detail, key, cause);
	else
		put_text(cause, atl_json_str(root, "message", atl_json_str(root, "errors", "")), key);
	if (!cause->text[0] && detail && !cause->list && detail->kind == ATL_JSON_STRING)
		put_text(cause, detail->string, key);
	if (!cause->err)
		cause->err = by_name(atl_json_str(error, "code", NULL));
	if (!cause->err)
		cause->err = by_name(atl_json_str(error, "type", NULL));
	if (!cause->err)
		cause->err = by_name(atl_json_str(root, "code", NULL));
	if (!cause->err)
		cause->err = by_name(atl_json_str(root, "error_type", NULL));
	cause->list |= atl_json_get(root, "issues") != NULL;
	if (atl_str_starts(cause->text, "Exhausted balance") || strstr(cause->text, "Exhausted balance"))
		cause->err = ATL_ERR_UPSTREAM_QUOTA; /* fal says it with 403 */
}

static enum atl_err put_words(const char *who, const struct cause *cause, int status, const char *what,
			      enum atl_err err, struct atl_errinfo *info)
{
	const char *colon = cause->text[0] ? ": " : ".", *text = cause->text;

	switch (err) {
	case ATL_ERR_UPSTREAM_AUTH: /* the cause may repeat part of the key */
		return atl_fail(info, err, "%s refused the key (%d). Check it in Settings, Providers.", who, status);
	case ATL_ERR_UPSTREAM_QUOTA:
		return atl_fail(info, err, "The account at %s has no credit left%s%s", who, colon, text);
	case ATL_ERR_UPSTREAM_RATE:
		return atl_fail(info, err, "%s asks to slow down%s%s", who, colon, text);
	case ATL_ERR_UPSTREAM_MODEL:
		return atl_fail(info, err, "%s does not have this model%s%s", who, colon, text);
	case ATL_ERR_UPSTREAM_REFUSED:
		return atl_fail(info, err, "%s refused the content%s%s", who, colon, text);
	case ATL_ERR_UPSTREAM_TIMEOUT:
		return atl_fail(info, err, "%s took too long%s%s", who, colon, text);
	case ATL_ERR_TOO_LARGE:
		return atl_fail(info, err, "%s says the request is too large%s%s", who, colon, text);
	case ATL_ERR_INVALID:
		if (cause->field[0])
			return atl_fail_field(info, err, cause->field, "%s did not accept %s%s%s", who, cause->field,
					      colon, text);
		return atl_fail(info, err, "%s did not accept the request (%d)%s%s", who, status, colon, text);
	case ATL_ERR_UPSTREAM_FORMAT:
		return atl_fail(info, err, "%s answered with something that is not its API (%d). Check the base URL.",
				who, status);
	default:
		if (!text[0] && what)
			return atl_fail(info, err, "%s failed at this step: %s (%d).", who, what, status);
		return atl_fail(info, err, "%s failed (%d)%s%s", who, status, colon, text);
	}
}

enum atl_err atl_image_http_error(const struct atl_image_run *run, const struct atl_image_answer *answer,
				  const char *what, struct atl_errinfo *info)
{
	struct cause cause = { 0 };
	struct atl_arena arena;
	struct atl_json *root = NULL;
	enum atl_err err;

	atl_arena_init(&arena, 0);
	if (answer->length && atl_json_parse(&arena, answer->body, answer->length, &root, NULL) == ATL_OK)
		read_cause(root, run->endpoint->key, &cause);
	err = cause.err ? cause.err : by_status(answer->status, cause.list);
	if (err == ATL_ERR_UPSTREAM_MODEL && !root)
		err = ATL_ERR_UPSTREAM_FORMAT; /* a 404 page: more likely a wrong base URL than a missing model */
	err = put_words(run->endpoint->name, &cause, answer->status, what, err, info);
	if (info)
		info->retry_after_s = atl_chat_retry_after(&(struct atl_fetch_head){ .raw = answer->raw_head },
							   atl_now_ms());
	atl_arena_finish(&arena);
	return err;
}

const char *atl_image_answer_header(struct atl_arena *arena, const struct atl_image_answer *answer, const char *name)
{
	return atl_fetch_header(arena, &(struct atl_fetch_head){ .raw = answer->raw_head }, name);
}

/* ---- results ---- */
const char *atl_image_sniff(const void *data, size_t length)
{
	static const struct {
		const char *media_type;
		size_t at, length;
		const char *bytes;
	} MARKS[] = {
		{ "image/png", 0, 8, "\x89PNG\r\n\x1a\n" }, { "image/jpeg", 0, 3, "\xff\xd8\xff" },
		{ "image/webp", 8, 4, "WEBP" },		    { "image/gif", 0, 4, "GIF8" },
		{ "image/avif", 4, 8, "ftypavif" },	    { "video/mp4", 4, 4, "ftyp" },
		{ "video/webm", 0, 4, "\x1a\x45\xdf\xa3" },
	};

	for (size_t i = 0; data && i < ATL_COUNT(MARKS); i++)
		if (length >= MARKS[i].at + MARKS[i].length &&
		    memcmp((const char *)data + MARKS[i].at, MARKS[i].bytes, MARKS[i].length) == 0)
			return MARKS[i].media_type;
	return NULL;
}

static enum atl_err bad_status(const struct atl_image_run *run, const struct atl_image_answer *answer,
			       struct atl_errinfo *info)
{
	const char *who = run->endpoint->name;

	if (answer->status == 403 || answer->status == 404 || answer->status == 410)
		return atl_fail(info, ATL_ERR_UPSTREAM, "%s no longer has the finished file (%d): its address has "
				"expired. Start it again.", who, answer->status);
	return atl_fail(info, ATL_ERR_UPSTREAM, "%s did not give the finished file (%d).", who, answer->status);
}

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static enum atl_err download_once(const struct atl_image_run *run, struct atl_arena *arena, const char *url,
				  struct atl_buf *out, const char **ret_media_type, struct atl_errinfo *info)
{
	size_t max = run->max_result_bytes && run->max_result_bytes < out->max ? run->max_result_bytes : out->max;
	struct atl_image_answer answer;
	enum atl_err err = ATL_OK;

	for (int hops = 0; hops <= REDIRECTS_MAX; hops++) {
		struct atl_image_ask ask = { .path = url, .repeatable = true, .into = out, .max_bytes = max,
			.total_ms = VIDEO_MS };

		err = atl_image_http(run, arena, &ask, &answer, info);
		if (err == ATL_ERR_TOO_LARGE)
			return atl_fail(info, err, "%s made a file of more than %zu MB; that is the limit.",
					run->endpoint->name, max >> 20);
		if (err || !is_redirect(answer.status))
			break;
		url = atl_image_answer_header(arena, &answer, "location");
		if (!url || (!atl_str_starts(url, "https://") && !atl_str_starts(url, "http://")))
			break;
	}
	if (err)
		return err;
	if (answer.status / 100 != 2)
		return bad_status(run, &answer, info);
	*ret_media_type = atl_image_sniff(out->data, out->length);
	if (!*ret_media_type)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s gave a file that is neither a picture nor a video "
				"(%.80s, %zu bytes).", run->endpoint->name, answer.content_type, out->length);
	return ATL_OK;
}

enum atl_err atl_image_download(const struct atl_image_run *run, struct atl_arena *arena, const char *url,
				struct atl_buf *out, const char **ret_media_type, struct atl_errinfo *info)
{
	if (!url || (!atl_str_starts(url, "https://") && !atl_str_starts(url, "http://")))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s did not tell where the finished file is.",
				run->endpoint->name);
	return download_once(run, arena, url, out, ret_media_type, info);
}

enum atl_err atl_image_unbase64(struct atl_arena *arena, const char *text, struct atl_image_file *ret,
				struct atl_errinfo *info)
{
	const char *comma = text && atl_str_starts(text, "data:") ? strchr(text, ',') : NULL;
	struct atl_buf bytes;
	size_t length;
	enum atl_err err = ATL_OK;

	if (comma)
		text = comma + 1;
	length = text ? strlen(text) : 0;
	atl_buf_init(&bytes, length + 16);
	if (!length || !atl_base64_decode(&bytes, ATL_BASE64_STANDARD, text, length)) {
		err = atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The service gave a picture that is not base64.");
	} else {
		*ret = (struct atl_image_file){ .length = bytes.length,
			.media_type = atl_image_sniff(bytes.data, bytes.length) };
		if (!ret->media_type)
			err = atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The service gave bytes that are no picture.");
		else if (!(ret->data = atl_arena_strndup(arena, bytes.data, bytes.length)))
			err = atl_fail(info, ATL_ERR_TOO_LARGE, "The service gave a picture larger than there is room "
					"for.");
	}
	atl_buf_finish(&bytes);
	return err;
}

const char *atl_image_base64(struct atl_arena *arena, const struct atl_image_file *file, bool data_url)
{
	struct atl_buf text;
	const char *ret;

	atl_buf_init(&text, file->length / 3 * 4 + 256);
	if (data_url)
		atl_buf_addf(&text, "data:%s;base64,", file->media_type ? file->media_type : "image/png");
	atl_base64_encode(&text, ATL_BASE64_STANDARD, file->data, file->length);
	ret = text.failed || !text.length ? NULL : atl_arena_strndup(arena, text.data, text.length);
	atl_buf_finish(&text);
	return ret;
}
