/* hook.h - one signed request to a program that wants to be told (standardwebhooks.com).
 *
 * Headers webhook-id, webhook-timestamp and webhook-signature "v1,<base64 HMAC-SHA256 of id.timestamp.body>", with the
 * secret's bytes as the key. Redirects are not followed; what the receiver answers beyond its status is dropped.
 *
 * Threads: blocking; not a loop thread. Limits: ATL_HOOK_ANSWER_MAX bytes of answer, the time-out given.
 */
#ifndef ATL_PROVIDER_HOOK_H
#define ATL_PROVIDER_HOOK_H

#include "base/arena.h"
#include "os/loop.h"

#define ATL_HOOK_SECRET_SIZE 32
#define ATL_HOOK_ANSWER_MAX ((size_t)64 << 10)
#define ATL_HOOK_SIGNATURE_SIZE 64 /* "v1," and base64 of 32 bytes, with NUL */

struct atl_guard;

struct atl_hook {
	const char *url, *id, *body;
	int64_t timestamp_s;
	unsigned char secret[ATL_HOOK_SECRET_SIZE];
	const struct atl_guard *guard;
	unsigned timeout_ms;
};

/* May this address be reached? INVALID, OUTBOUND. */
enum atl_err atl_hook_check(const struct atl_guard *guard, const char *url, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_hook_sign(const struct atl_hook *hook, char out[ATL_HOOK_SIGNATURE_SIZE]) ATL_MUST_USE;
/* ATL_OK when an answer came: its status. Else as atl_fetch_sync(). */
enum atl_err atl_hook_send(struct atl_loop *loop, struct atl_arena *arena, const struct atl_hook *hook, int *ret_status,
			   struct atl_errinfo *info) ATL_MUST_USE;

#endif
