/* hook.c - see hook.h. */
#include "provider/hook.h"

#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "net/fetch.h"

#define URL_MAX 2000
#define CONNECT_MS 5000

enum atl_err atl_hook_check(const struct atl_guard *guard, const char *url, struct atl_errinfo *info)
{
	if (strlen(url) > URL_MAX)
		return atl_fail(info, ATL_ERR_INVALID, "The address has more than %d bytes.", URL_MAX);
	return atl_guard_url(guard, url, info);
}

enum atl_err atl_hook_sign(const struct atl_hook *hook, char out[ATL_HOOK_SIGNATURE_SIZE])
{
	unsigned char mac[ATL_SHA256_SIZE];
	struct atl_buf text;
	enum atl_err err;

	atl_buf_init(&text, strlen(hook->body) + 256);
	atl_buf_addf(&text, "%s.%lld.", hook->id, (long long)hook->timestamp_s);
	atl_buf_adds(&text, hook->body);
	err = atl_buf_err(&text, NULL);
	if (!err)
		atl_hmac_sha256(hook->secret, sizeof(hook->secret), text.data, text.length, mac);
	atl_buf_finish(&text);
	if (err)
		return err;
	atl_buf_init(&text, ATL_HOOK_SIGNATURE_SIZE);
	atl_base64_encode(&text, ATL_BASE64_STANDARD, mac, sizeof(mac));
	err = atl_buf_err(&text, NULL);
	if (!err)
		snprintf(out, ATL_HOOK_SIGNATURE_SIZE, "v1,%.*s", (int)text.length, text.data);
	atl_buf_finish(&text);
	return err;
}

enum atl_err atl_hook_send(struct atl_loop *loop, struct atl_arena *arena, const struct atl_hook *hook, int *ret_status,
			   struct atl_errinfo *info)
{
	char signature[ATL_HOOK_SIGNATURE_SIZE], id[96], at[64], signed_by[ATL_HOOK_SIGNATURE_SIZE + 32];
	const char *const headers[] = { "Content-Type: application/json", id, at, signed_by, NULL };
	struct atl_fetch_request request = { .method = "POST", .url = hook->url, .headers = headers, .body = hook->body,
					     .body_length = strlen(hook->body), .body_borrowed = true, .guard = hook->guard,
					     .connect_ms = CONNECT_MS, .first_byte_ms = hook->timeout_ms,
					     .idle_ms = hook->timeout_ms, .total_ms = hook->timeout_ms,
					     .max_response_bytes = ATL_HOOK_ANSWER_MAX };
	struct atl_fetch_result result;
	enum atl_err err = atl_hook_sign(hook, signature);

	if (err)
		return atl_fail(info, err, "sign a webhook");
	snprintf(id, sizeof(id), "webhook-id: %s", hook->id);
	snprintf(at, sizeof(at), "webhook-timestamp: %lld", (long long)hook->timestamp_s);
	snprintf(signed_by, sizeof(signed_by), "webhook-signature: %s", signature);
	err = atl_fetch_sync(loop, arena, &request, &result, info);
	if (!err)
		*ret_status = result.status;
	return err;
}
