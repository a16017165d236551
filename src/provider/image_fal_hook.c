/* image_fal_hook.c - see image_fal_hook.h. Two small tables, each with its lock: the runs that wait, and the key set that
 * was fetched last. */
#include "provider/image_fal_hook.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/str.h"
#include "net/fetch.h"
#include "provider/image_http.h"

#define MODULE "fal"
#define SLICE_MS 100
#define URL_MAX 512
#define ID_MAX 160
#define KEYS_MAX ((size_t)32 << 10)
#define KEYS_MS 5000
#define BODY_ARENA_MAX ((size_t)32 << 20)

struct source { /* of fal's keys */
	char url[URL_MAX];
	const struct atl_guard *guard;
	struct atl_loop *loop;
};

struct atl_fal_hook {
	/* set at join */
	struct atl_fal_hooks *hooks;
	char token[ATL_FAL_TOKEN_SIZE], public_url[URL_MAX];
	struct source keys;
	/* guarded by table.lock */
	struct atl_fal_hook *next;
	char request_id[ID_MAX]; /* "": not known yet */
	bool told, news;	 /* a message came; and the run has not seen it yet */
	pthread_cond_t changed;
};

struct atl_fal_hooks {
	struct {
		pthread_mutex_t lock;
		struct atl_fal_hook *first;
		size_t count;
	} table;
	struct keys {
		pthread_mutex_t lock; /* held while they are fetched: who comes meanwhile needs them too */
		char url[URL_MAX], text[KEYS_MAX];
		size_t length;	    /* 0: none */
		int64_t fetched_at; /* of `text` */
		int64_t tried_at;
	} keys;
};

enum atl_err atl_fal_hooks_create(struct atl_fal_hooks **ret)
{
	struct atl_fal_hooks *hooks = calloc(1, sizeof(*hooks));

	if (!hooks)
		return ATL_ERR_NOMEM;
	pthread_mutex_init(&hooks->table.lock, NULL);
	pthread_mutex_init(&hooks->keys.lock, NULL);
	*ret = hooks;
	return ATL_OK;
}

void atl_fal_hooks_destroy(struct atl_fal_hooks *hooks)
{
	if (!hooks)
		return;
	pthread_mutex_destroy(&hooks->table.lock);
	pthread_mutex_destroy(&hooks->keys.lock);
	free(hooks);
}

const char *atl_fal_rest_origin(const char *base_url)
{
	return atl_str_starts(base_url, "https://queue.fal.run") ? "https://rest.fal.ai" : base_url;
}

/* ---- who waits ---- */
struct atl_fal_hook *atl_fal_hook_join(const struct atl_image_endpoint *endpoint)
{
	const char *origin = atl_fal_rest_origin(endpoint->base_url);
	struct atl_fal_hooks *hooks = endpoint->fal_hooks;
	unsigned char random[(ATL_FAL_TOKEN_SIZE - 1) / 2];
	size_t length = endpoint->public_url ? strlen(endpoint->public_url) : 0;
	struct atl_fal_hook *hook;
	pthread_condattr_t monotonic;
	bool room;

	if (!hooks || !length || !atl_str_starts(endpoint->public_url, "https://") || length >= URL_MAX || strlen(origin) + 32 > URL_MAX)
		return NULL;
	hook = calloc(1, sizeof(*hook));
	if (!hook)
		return NULL;
	hook->hooks = hooks;
	atl_random(random, sizeof(random));
	atl_hex_encode(random, sizeof(random), hook->token);
	atl_str_copy(hook->public_url, sizeof(hook->public_url), endpoint->public_url);
	while (length && hook->public_url[length - 1] == '/')
		hook->public_url[--length] = '\0';
	snprintf(hook->keys.url, sizeof(hook->keys.url), "%s/.well-known/jwks.json", origin);
	hook->keys.guard = endpoint->guard;
	hook->keys.loop = endpoint->loop;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&hook->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_lock(&hooks->table.lock);
	room = hooks->table.count < ATL_FAL_HOOKS_MAX;
	if (room) {
		hook->next = hooks->table.first;
		hooks->table.first = hook;
		hooks->table.count++;
	}
	pthread_mutex_unlock(&hooks->table.lock);
	if (room)
		return hook;
	pthread_cond_destroy(&hook->changed);
	free(hook);
	return NULL;
}

void atl_fal_hook_leave(struct atl_fal_hook *hook)
{
	struct atl_fal_hooks *hooks = hook ? hook->hooks : NULL;
	struct atl_fal_hook **at;

	if (!hook)
		return;
	pthread_mutex_lock(&hooks->table.lock);
	for (at = &hooks->table.first; *at != hook;)
		at = &(*at)->next;
	*at = hook->next;
	hooks->table.count--;
	pthread_mutex_unlock(&hooks->table.lock);
	pthread_cond_destroy(&hook->changed);
	free(hook);
}

const char *atl_fal_hook_token(const struct atl_fal_hook *hook)
{
	return hook->token;
}

const char *atl_fal_hook_address(const struct atl_fal_hook *hook, struct atl_arena *arena)
{
	const char *plain = atl_arena_printf(arena, "%s" ATL_FAL_HOOK_PATH "/%s", hook->public_url, hook->token), *encoded = NULL;
	struct atl_buf buf;

	atl_buf_init(&buf, (size_t)4 * URL_MAX);
	if (plain) {
		atl_percent_encode(&buf, plain);
		encoded = buf.failed ? NULL : atl_arena_strndup(arena, buf.data, buf.length);
	}
	atl_buf_finish(&buf);
	return encoded;
}

void atl_fal_hook_name(struct atl_fal_hook *hook, const char *remote_id)
{
	const char *slash = strrchr(remote_id, '/');

	if (!hook)
		return;
	pthread_mutex_lock(&hook->hooks->table.lock);
	atl_str_copy(hook->request_id, sizeof(hook->request_id), slash ? slash + 1 : remote_id);
	pthread_mutex_unlock(&hook->hooks->table.lock);
}

bool atl_fal_hook_wait(struct atl_fal_hook *hook, const struct atl_image_run *run, unsigned ms, bool *ret_news)
{
	uint64_t end = atl_monotonic_ms() + ms, now;
	bool news, stopped;

	*ret_news = false;
	if (!hook)
		return atl_image_wait(run, ms);
	pthread_mutex_lock(&hook->hooks->table.lock);
	while (!(stopped = atomic_load(run->cancelled)) && !hook->news && (now = atl_monotonic_ms()) < end) {
		uint64_t until = end - now < SLICE_MS ? end : now + SLICE_MS;
		struct timespec at = { .tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000 };

		pthread_cond_timedwait(&hook->changed, &hook->hooks->table.lock, &at);
	}
	news = hook->news;
	hook->news = false;
	pthread_mutex_unlock(&hook->hooks->table.lock);
	*ret_news = news;
	return !stopped;
}

/* ---- fal's keys ---- */
static enum atl_err fetch_keys(struct keys *keys, const struct source *source, struct atl_errinfo *info)
{
	struct atl_fetch_request request = { .url = source->url, .guard = source->guard, .total_ms = KEYS_MS,
		.first_byte_ms = KEYS_MS, .connect_ms = KEYS_MS, .max_response_bytes = KEYS_MAX,
		.plain = atl_str_starts(source->url, "http://127.") };
	struct atl_fetch_result result;
	struct atl_arena arena;
	enum atl_err err;

	atl_arena_init(&arena, (size_t)1 << 20);
	err = atl_fetch_sync(source->loop, &arena, &request, &result, info);
	if (!err && (result.status != 200 || !result.body_length || result.body_length > KEYS_MAX))
		err = atl_fail(info, ATL_ERR_UPSTREAM, "fal's keys: %d from %s", result.status, source->url);
	if (!err) {
		memcpy(keys->text, result.body, result.body_length);
		keys->length = result.body_length;
	}
	atl_arena_finish(&arena);
	return err;
}

/* With the keys that are there, then with fresh ones: fal may have changed them. */
static enum atl_err check(struct keys *keys, const struct source *source, const struct atl_fal_webhook *message,
			  int64_t now_ms, struct atl_errinfo *info)
{
	enum atl_err err = ATL_ERR_FORBIDDEN;

	pthread_mutex_lock(&keys->lock);
	if (!atl_str_eq(keys->url, source->url) || now_ms - keys->fetched_at > ATL_FAL_KEYS_KEEP_MS)
		keys->length = 0;
	if (!atl_str_eq(keys->url, source->url))
		keys->tried_at = 0;
	atl_str_copy(keys->url, sizeof(keys->url), source->url);
	if (keys->length)
		err = atl_fal_webhook_check(keys->text, keys->length, message, now_ms, info);
	if (err == ATL_ERR_FORBIDDEN && now_ms - keys->tried_at >= ATL_FAL_KEYS_PAUSE_MS) {
		keys->tried_at = now_ms;
		err = fetch_keys(keys, source, info);
		if (!err) {
			keys->fetched_at = now_ms;
			err = atl_fal_webhook_check(keys->text, keys->length, message, now_ms, info);
		}
	}
	pthread_mutex_unlock(&keys->lock);
	return err;
}

void atl_fal_hook_forget_keys(struct atl_fal_hooks *hooks)
{
	struct keys *keys = &hooks->keys;

	pthread_mutex_lock(&keys->lock);
	keys->url[0] = '\0';
	pthread_mutex_unlock(&keys->lock);
}

/* ---- a message ---- */
static struct atl_fal_hook *find(const struct atl_fal_hooks *hooks, const char *token) /* under lock; NULL: nobody, or not any more */
{
	struct atl_fal_hook *hook = hooks->table.first;

	while (hook && !atl_str_eq(hook->token, token))
		hook = hook->next;
	return hook && !hook->told ? hook : NULL;
}

/* After its own retries fal may call the run by another id; both are in the message. */
static bool is_about(const char *request_id, const struct atl_fal_webhook *message)
{
	struct atl_arena arena;
	struct atl_json *root;
	bool is;

	if (!*request_id) /* it is quicker than the answer to the submission */
		return true;
	atl_arena_init(&arena, BODY_ARENA_MAX);
	is = atl_str_eq(message->request_id, request_id) ||
	     (atl_json_parse(&arena, message->body, message->length, &root, NULL) == ATL_OK &&
	      (atl_str_eq(atl_json_str(root, "request_id", NULL), request_id) ||
	       atl_str_eq(atl_json_str(root, "gateway_request_id", NULL), request_id)));
	atl_arena_finish(&arena);
	return is;
}

enum atl_err atl_fal_hook_take(struct atl_fal_hooks *hooks, const char *token, const struct atl_fal_webhook *message,
			       int64_t now_ms, struct atl_errinfo *info)
{
	char request_id[ID_MAX];
	struct atl_fal_hook *hook;
	struct source source;
	enum atl_err err;

	pthread_mutex_lock(&hooks->table.lock);
	hook = find(hooks, token);
	if (hook) {
		source = hook->keys;
		memcpy(request_id, hook->request_id, sizeof(request_id));
	}
	pthread_mutex_unlock(&hooks->table.lock);
	if (!hook)
		return atl_fail(info, ATL_ERR_FORBIDDEN, "Nobody waits for this message.");
	err = check(&hooks->keys, &source, message, now_ms, info);
	if (err)
		return err;
	if (!is_about(request_id, message))
		return atl_fail(info, ATL_ERR_FORBIDDEN, "The message is about another run.");
	pthread_mutex_lock(&hooks->table.lock);
	hook = find(hooks, token); /* it may have ended meanwhile, or a copy of the message was quicker */
	if (hook) {
		hook->told = hook->news = true;
		pthread_cond_signal(&hook->changed);
	} else {
		err = atl_fail(info, ATL_ERR_FORBIDDEN, "Nobody waits for this message any more.");
	}
	pthread_mutex_unlock(&hooks->table.lock);
	return err;
}
