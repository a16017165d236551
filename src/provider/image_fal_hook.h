/* image_fal_hook.h - fal's messages that a run has ended: which run waits for which, and is a message really fal's.
 *
 * A run joins before it submits; fal is given an address with the run's random token in it. A message wakes the run,
 * which then asks fal itself, as it would have done later anyway: nothing in a message is believed. One message a run:
 * another one, a replay too, is refused like one that nobody waits for.
 *
 * Life cycle: atl_fal_hooks_create() .. atl_fal_hooks_destroy(), one for the server, given to runs by their endpoint;
 *             atl_fal_hook_join() .. atl_fal_hook_leave() around a run, within it.
 * Threads:    join, wait and leave on the run's thread; take on any that may block (it may fetch fal's keys).
 * Limits:     ATL_FAL_HOOKS_MAX runs (more are polled only); keys are kept ATL_FAL_KEYS_KEEP_MS at most and fetched
 *             once in ATL_FAL_KEYS_PAUSE_MS at most.
 */
#ifndef ATL_PROVIDER_IMAGE_FAL_HOOK_H
#define ATL_PROVIDER_IMAGE_FAL_HOOK_H

#include "provider/image_fal.h"

#define ATL_FAL_HOOK_PATH "/hooks/fal"
#define ATL_FAL_HOOKS_MAX 256
#define ATL_FAL_TOKEN_SIZE 33 /* 16 random bytes in hex, with NUL */
#define ATL_FAL_KEYS_KEEP_MS (24 * 3600 * 1000LL)
#define ATL_FAL_KEYS_PAUSE_MS 60000

struct atl_fal_hooks;
enum atl_err atl_fal_hooks_create(struct atl_fal_hooks **ret) ATL_MUST_USE;
void atl_fal_hooks_destroy(struct atl_fal_hooks *hooks); /* after the last run; NULL is allowed */

struct atl_fal_hook;
/* NULL: the endpoint has no hooks, there is no public https address, or no room; then the run polls as it would without. */
struct atl_fal_hook *atl_fal_hook_join(const struct atl_image_endpoint *endpoint);
void atl_fal_hook_leave(struct atl_fal_hook *hook); /* NULL is allowed */
const char *atl_fal_hook_token(const struct atl_fal_hook *hook);
/* The address for fal, percent-encoded for a query; in the arena; NULL: no memory. */
const char *atl_fal_hook_address(const struct atl_fal_hook *hook, struct atl_arena *arena);
/* The run's id at fal, once it is known: the end of its remote id. NULL hook: nothing. */
void atl_fal_hook_name(struct atl_fal_hook *hook, const char *remote_id);
/* Sleep until a message came (*ret_news), `ms` are over, or the run was cancelled (false). NULL hook: only sleeps. */
bool atl_fal_hook_wait(struct atl_fal_hook *hook, const struct atl_image_run *run, unsigned ms, bool *ret_news);

/* A message that came in. FORBIDDEN: nobody waits for it, it is not fal's, or it is too old; which of these is not to be
 * told to the sender. Other errors: fal's keys could not be had. */
enum atl_err atl_fal_hook_take(struct atl_fal_hooks *hooks, const char *token, const struct atl_fal_webhook *message,
			       int64_t now_ms, struct atl_errinfo *info) ATL_MUST_USE;
void atl_fal_hook_forget_keys(struct atl_fal_hooks *hooks); /* tests */

/* Where fal's storage and keys are: the base URL itself unless that is fal's own queue. */
const char *atl_fal_rest_origin(const char *base_url);

#endif
