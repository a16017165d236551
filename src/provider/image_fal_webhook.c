/* image_fal_webhook.c - is a message from fal? See image_fal.h.
 *
 * Signed is: request id, user id, time and the body's SHA-256 in hex, joined by line feeds; Ed25519 with any of the
 * keys fal publishes.
 */
#include "base/codec.h"
#include "base/crypto.h"
#include "base/str.h"
#include "provider/image_fal.h"

#define SIGNED_MAX 1024
#define KEYS_MAX 16

static bool fits(const struct atl_json *key, const unsigned char *signature, const struct atl_buf *text)
{
	const char *x = atl_json_str(key, "x", NULL);
	struct atl_buf raw;
	bool ok;

	if (!x || !atl_str_eq(atl_json_str(key, "crv", "Ed25519"), "Ed25519"))
		return false;
	atl_buf_init(&raw, 64);
	ok = atl_base64_decode(&raw, ATL_BASE64_URL, x, strlen(x)) && raw.length == ATL_ED25519_KEY_SIZE &&
	     atl_ed25519_verify((const unsigned char *)raw.data, signature, text->data, text->length);
	atl_buf_finish(&raw);
	return ok;
}

static bool any_fits(const char *jwks, size_t length, const unsigned char *signature, const struct atl_buf *text)
{
	const struct atl_json *keys;
	struct atl_arena arena;
	struct atl_json *root;
	size_t tried = 0;
	bool ok = false;

	atl_arena_init(&arena, 1 << 20);
	if (atl_json_parse(&arena, jwks, length, &root, NULL) == ATL_OK) {
		keys = atl_json_get(root, "keys");
		for (const struct atl_json *key = keys ? keys->child : NULL; key && !ok && tried < KEYS_MAX; key = key->next, tried++)
			ok = fits(key, signature, text);
	}
	atl_arena_finish(&arena);
	return ok;
}

enum atl_err atl_fal_webhook_check(const char *jwks, size_t jwks_length, const struct atl_fal_webhook *webhook,
				   int64_t now_ms, struct atl_errinfo *info)
{
	unsigned char signature[ATL_ED25519_SIGNATURE_SIZE];
	char digest[ATL_SHA256_SIZE * 2 + 1];
	struct atl_buf text;
	int64_t sent_s, now_s = now_ms / 1000;
	bool ok;

	if (atl_str_empty(webhook->request_id) || !webhook->user_id || !webhook->timestamp || !webhook->signature ||
	    !atl_str_i64(webhook->timestamp, 0, INT64_MAX / 1000, &sent_s) ||
	    !atl_hex_decode(webhook->signature, signature, sizeof(signature)))
		return atl_fail(info, ATL_ERR_FORBIDDEN, "The message lacks fal's signature.");
	if (sent_s - now_s > ATL_FAL_WEBHOOK_SKEW_S || now_s - sent_s > ATL_FAL_WEBHOOK_SKEW_S)
		return atl_fail(info, ATL_ERR_FORBIDDEN, "The message's time is too far from ours.");
	atl_sha256_hex(webhook->body, webhook->length, digest);
	atl_buf_init(&text, SIGNED_MAX);
	atl_buf_addf(&text, "%s\n%s\n%s\n%s", webhook->request_id, webhook->user_id, webhook->timestamp, digest);
	ok = !text.failed && any_fits(jwks, jwks_length, signature, &text);
	atl_buf_finish(&text);
	return ok ? ATL_OK : atl_fail(info, ATL_ERR_FORBIDDEN, "The message is not signed by fal.");
}
