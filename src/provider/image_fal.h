/* image_fal.h - the pure parts of fal.ai: what a model's input looks like, what logs and webhooks say.
 *
 * Threads: pure functions. Used by image_fal.c, the handler of webhooks, tests and the fuzzer.
 * Adding one: a model whose fields have other names is a row in image_fal_body.c.
 */
#ifndef ATL_PROVIDER_IMAGE_FAL_H
#define ATL_PROVIDER_IMAGE_FAL_H

#include "base/json.h"
#include "provider/image.h"

#define ATL_FAL_WEBHOOK_SKEW_S 300
#define ATL_FAL_PICTURES_MAX 4

struct atl_fal_urls { /* where the inputs lie: https or data: */
	const char *pictures[ATL_FAL_PICTURES_MAX];
	size_t count;
	const char *mask; /* NULL */
};
/* The model's input. Notes about what was left out go to note(arg). INVALID names the field. */
enum atl_err atl_fal_body_write(struct atl_arena *arena, const struct atl_image_request *request,
				const struct atl_fal_urls *urls, void (*note)(void *arg, const char *text), void *arg,
				struct atl_buf *out, struct atl_errinfo *info) ATL_MUST_USE;
/* "fal-ai/flux/requests/ID", from the submit's answer or from the model and the id; NULL: neither is usable. */
const char *atl_fal_remote(struct atl_arena *arena, const char *base_url, const char *model,
			   const struct atl_json *answer);
bool atl_fal_remote_valid(const char *remote_id);
/* " 43%|####    | 12/28 [00:01<00:02]": 12 of 28. */
bool atl_fal_log_steps(const char *message, int64_t *ret_step, int64_t *ret_steps);

struct atl_fal_webhook { /* headers as they came, and the body's bytes */
	const char *request_id, *user_id, *timestamp, *signature;
	const void *body;
	size_t length;
};
/* Is it fal's? `jwks` is the text of its key set (https://rest.fal.ai/.well-known/jwks.json, kept at most a day).
 * FORBIDDEN: a header is missing, it is older or newer than ATL_FAL_WEBHOOK_SKEW_S, or no key fits. */
enum atl_err atl_fal_webhook_check(const char *jwks, size_t jwks_length, const struct atl_fal_webhook *webhook,
				   int64_t now_ms, struct atl_errinfo *info) ATL_MUST_USE;

#endif
