/* openai_error.c - what providers' errors mean, as data; see openai_chat.h. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "provider/openai_chat.h"

#define CAUSE_MAX 240

/* Codes and types, by name; they win over the status. */
static const struct {
	const char *name;
	enum atl_err err;
} NAMES[] = {
	{"insufficient_quota", ATL_ERR_UPSTREAM_QUOTA},	   {"billing_hard_limit_reached", ATL_ERR_UPSTREAM_QUOTA},
	{"INSUFFICIENT_BALANCE", ATL_ERR_UPSTREAM_QUOTA},  {"invalid_api_key", ATL_ERR_UPSTREAM_AUTH},
	{"authentication_error", ATL_ERR_UPSTREAM_AUTH},   {"rate_limit_exceeded", ATL_ERR_UPSTREAM_RATE},
	{"model_not_found", ATL_ERR_UPSTREAM_MODEL},	   {"MODEL_NOT_FOUND", ATL_ERR_UPSTREAM_MODEL},
	{"INVALID_MODEL", ATL_ERR_UPSTREAM_MODEL},	   {"context_length_exceeded", ATL_ERR_CONTEXT},
	{"exceed_context_size_error", ATL_ERR_CONTEXT},	   {"TOO_MANY_TOKENS", ATL_ERR_CONTEXT},
	{"content_filter", ATL_ERR_UPSTREAM_REFUSED},	   {"content_policy_violation", ATL_ERR_UPSTREAM_REFUSED},
	{"CONTENT_POLICY_VIOLATION", ATL_ERR_UPSTREAM_REFUSED},
	{"provider_content_policy", ATL_ERR_UPSTREAM_REFUSED},
};

static enum atl_err by_name(const char *name)
{
	for (size_t i = 0; name && i < ATL_COUNT(NAMES); i++)
		if (atl_str_eq(NAMES[i].name, name))
			return NAMES[i].err;
	return ATL_OK;
}

static enum atl_err by_status(int status)
{
	switch (status) {
	case 401:
	case 403:
		return ATL_ERR_UPSTREAM_AUTH;
	case 402:
		return ATL_ERR_UPSTREAM_QUOTA;
	case 404:
	case 410:
		return ATL_ERR_UPSTREAM_MODEL;
	case 408:
	case 504:
		return ATL_ERR_UPSTREAM_TIMEOUT;
	case 413:
		return ATL_ERR_CONTEXT;
	case 429:
		return ATL_ERR_UPSTREAM_RATE;
	default:
		break;
	}
	if (status >= 500)
		return ATL_ERR_UPSTREAM;
	if (status >= 400)
		return ATL_ERR_UNPROCESSABLE;
	return ATL_ERR_UPSTREAM_FORMAT;
}

struct cause {
	enum atl_err err; /* ATL_OK: the names say nothing */
	char text[CAUSE_MAX];
};

/* `error` is an object or a string; `code` a string or an integer. */
static void read_cause(const struct atl_json *error, const struct atl_json *root, const char *key, struct cause *cause)
{
	const char *text = error && error->kind == ATL_JSON_STRING ? error->string : atl_json_str(error, "message", "");

	cause->err = by_name(atl_json_str(error, "code", NULL));
	if (!cause->err)
		cause->err = by_name(atl_json_str(error, "type", NULL));
	if (!cause->err)
		cause->err = by_name(atl_json_str(root, "code", NULL));
	if (key && strlen(key) >= 4 && strstr(text, key))
		text = "";
	atl_str_copy(cause->text, sizeof(cause->text), text);
	for (char *p = cause->text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

static enum atl_err put_words(const char *who, int status, const struct cause *cause, enum atl_err err,
			      struct atl_errinfo *info)
{
	const char *colon = cause->text[0] ? ": " : ".";
	char code[16] = "";

	if (status)
		snprintf(code, sizeof(code), " (%d)", status);
	switch (err) {
	case ATL_ERR_UPSTREAM_AUTH: /* the cause may repeat part of the key */
		return atl_fail(info, err, "%s refused the key%s. Check it in Settings, Providers.", who, code);
	case ATL_ERR_UPSTREAM_QUOTA:
		return atl_fail(info, err, "The account at %s has no credit left%s%s%s", who, code, colon, cause->text);
	case ATL_ERR_UPSTREAM_RATE:
		return atl_fail(info, err, "%s asks to slow down%s%s%s", who, code, colon, cause->text);
	case ATL_ERR_UPSTREAM_MODEL:
		return atl_fail(info, err, "%s does not have this model%s%s%s", who, code, colon, cause->text);
	case ATL_ERR_CONTEXT:
		return atl_fail(info, err, "The text is longer than the model's context at %s%s%s%s", who, code, colon,
				cause->text);
	case ATL_ERR_UPSTREAM_REFUSED:
		return atl_fail(info, err, "%s refused the content%s%s%s", who, code, colon, cause->text);
	case ATL_ERR_UPSTREAM_TIMEOUT:
		return atl_fail(info, err, "%s took too long to answer%s%s%s", who, code, colon, cause->text);
	case ATL_ERR_UNPROCESSABLE:
		return atl_fail(info, err, "%s did not accept the request%s%s%s", who, code, colon, cause->text);
	case ATL_ERR_UPSTREAM_FORMAT:
		return atl_fail(info, err, "%s answered with something that is not its API%s. Check the base URL.", who, code);
	default:
		return atl_fail(info, err, "%s failed%s%s%s", who, code, colon, cause->text);
	}
}

int atl_chat_retry_after(const struct atl_fetch_head *head, int64_t now_ms)
{
	struct atl_arena arena;
	const char *text;
	struct tm tm = {0};
	double seconds = 0;

	atl_arena_init(&arena, 1 << 16);
	text = atl_fetch_header(&arena, head, "retry-after-ms");
	if (text && atl_str_double(text, &seconds)) {
		seconds /= 1000;
	} else {
		text = atl_fetch_header(&arena, head, "retry-after");
		if (text && !atl_str_double(text, &seconds) && strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
			seconds = (double)((int64_t)timegm(&tm) * 1000 - now_ms) / 1000;
	}
	atl_arena_finish(&arena);
	if (!(seconds > 0))
		return 0;
	if (seconds >= ATL_CHAT_RETRY_AFTER_MAX_S)
		return ATL_CHAT_RETRY_AFTER_MAX_S;
	return (int)seconds + ((double)(int)seconds < seconds);
}

enum atl_err atl_chat_error_status(const char *who, const char *key, int status, const struct atl_fetch_head *head,
				   const char *body, size_t length, struct atl_errinfo *info)
{
	struct cause cause = {0};
	struct atl_arena arena;
	struct atl_json *root = NULL;
	enum atl_err err;

	atl_arena_init(&arena, 0);
	if (length && atl_json_parse(&arena, body, length, &root, NULL) == ATL_OK)
		read_cause(atl_json_get(root, "error"), root, key, &cause);
	err = cause.err ? cause.err : by_status(status);
	if (err == ATL_ERR_UPSTREAM_MODEL && !cause.err && !root)
		err = ATL_ERR_UPSTREAM_FORMAT; /* a 404 page: more likely a wrong base URL than a missing model */
	err = put_words(who, status, &cause, err, info);
	if (info && head)
		info->retry_after_s = atl_chat_retry_after(head, atl_now_ms());
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_chat_error_member(const char *who, const char *key, const struct atl_json *error,
				   struct atl_errinfo *info)
{
	struct cause cause = {0};
	int64_t code = atl_json_int(error, "code", 0);

	read_cause(error, NULL, key, &cause);
	if (!cause.err && code >= 400 && code < 600)
		cause.err = by_status((int)code);
	return put_words(who, 0, &cause, cause.err ? cause.err : ATL_ERR_UPSTREAM, info);
}
