/* openai_chat.h - the OpenAI dialect, pure: request to JSON, one stream chunk or whole reply to a struct, errors.
 *
 * Used by chat.c, chat_sync.c, the fuzzer, core/models/model_route.c (addresses, headers) and the relay of src/api (what an
 * error means); nobody else. Threads: pure functions. Limits: those of chat.h.
 */
#ifndef ATL_PROVIDER_OPENAI_CHAT_H
#define ATL_PROVIDER_OPENAI_CHAT_H

#include "base/json.h"
#include "provider/chat.h"

#define ATL_CHAT_RETRY_AFTER_MAX_S 3600

enum atl_err atl_chat_body_write(const struct atl_chat_preset *preset, const struct atl_chat_request *request,
				 struct atl_buf *out, struct atl_errinfo *info) ATL_MUST_USE;
void atl_chat_messages_write(struct atl_jw *w, const struct atl_chat_preset *preset,
			     const struct atl_chat_request *request);

struct atl_chat_chunk { /* strings live in the arena */
	const char *text, *reasoning;	   /* NULL: none */
	size_t text_length, reasoning_length;
	const char *finish_reason;	   /* NULL: not yet */
	const struct atl_json *tool_calls; /* array, or NULL */
	const struct atl_json *error;	   /* top-level "error", or NULL: then nothing else is set */
	bool has_usage;
	struct atl_chat_usage usage;
	double tokens_per_second;	   /* llama.cpp's timings; 0: not told */
};
/* ATL_ERR_UPSTREAM_FORMAT: not JSON or not of this shape. */
enum atl_err atl_chat_chunk_parse(struct atl_arena *arena, const char *who, const char *data, size_t length,
				  struct atl_chat_chunk *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* What an answer that is not 200 means, in words that name the provider and never the key. */
enum atl_err atl_chat_error_status(const char *who, const char *key, int status, const struct atl_fetch_head *head,
				   const char *body, size_t length, struct atl_errinfo *info);
/* The same for an "error" member found in a 200 answer or in the middle of a stream. */
enum atl_err atl_chat_error_member(const char *who, const char *key, const struct atl_json *error,
				   struct atl_errinfo *info);
/* retry-after-ms, retry-after in seconds or as a date; rounded up; 0: not told. */
int atl_chat_retry_after(const struct atl_fetch_head *head, int64_t now_ms);

/* base_url without trailing slashes, then `path`. With `root`, a final "/v1" is taken off before. */
char *atl_chat_url(struct atl_arena *arena, const struct atl_chat_endpoint *endpoint, const char *path, bool root);
/* NULL-terminated header lines in the arena. */
const char *const *atl_chat_headers(struct atl_arena *arena, const struct atl_chat_endpoint *endpoint, bool has_body);
/* http to a numeric loopback address, or a unix socket. */
bool atl_chat_is_plain(const struct atl_chat_endpoint *endpoint, const char *url);
const char *atl_chat_who(const struct atl_chat_endpoint *endpoint);

/* fake_chat.c */
enum atl_err atl_chat_fake_start(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				 const struct atl_chat_ops *ops, void *arg, struct atl_chat_run **ret,
				 struct atl_errinfo *info) ATL_MUST_USE;

/* First member of each kind of run. */
struct atl_chat_run {
	void (*cancel)(struct atl_chat_run *run);
};

#endif
