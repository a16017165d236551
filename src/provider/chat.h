/* chat.h - one chat completion at any OpenAI-style endpoint, as a series of events.
 *
 * A provider knows nothing about users, jobs or SQL. What differs between services is data (presets.h).
 *
 * Life cycle: atl_chat_start() .. on_done (exactly once, also after cancel, never from inside start).
 * Threads:    start, cancel and all events on the loop's thread; the _sync functions in pool threads.
 * Limits:     ATL_CHAT_* below. Endpoint and request are borrowed only during the call of start.
 * Adding one: docs/provider.md.
 */
#ifndef ATL_PROVIDER_CHAT_H
#define ATL_PROVIDER_CHAT_H

#include "net/fetch.h"
#include "provider/breaker.h"
#include "provider/presets.h"

#define ATL_CHAT_LINE_MAX ((size_t)1 << 20)	/* one event of the stream */
#define ATL_CHAT_REPLY_MAX ((uint64_t)32 << 20) /* everything received */
#define ATL_CHAT_BODY_MAX ((size_t)32 << 20)	/* what is sent */
#define ATL_CHAT_RETRIES_MAX 2
#define ATL_CHAT_TOOL_CALLS_MAX 64

struct atl_chat_endpoint {
	const struct atl_chat_preset *preset;
	const char *name;      /* for messages to people; NULL: the preset's */
	const char *base_url;  /* NULL: the preset's. Without trailing /chat/completions */
	const char *unix_path; /* a local engine's socket, or NULL */
	const char *api_key;   /* NULL or "": none. Never appears in messages */
	const struct atl_guard *guard; /* lives as long as the run; required unless unix_path */
	const char *const *extra_headers; /* "Name: value", NULL-terminated, or NULL */
	struct atl_breaker *breaker; /* may be NULL; lives as long as the run; one loop */
	unsigned first_byte_ms, idle_ms, total_ms; /* 0: 120 s, 60 s, none */
	unsigned retry_base_ms; /* first pause before a retry; 0: 250 ms */
	const struct atl_chat_script *script; /* preset "fake" only (fake_chat.h) */
};

struct atl_chat_message {
	const char *role;	     /* system, developer, user, assistant, tool */
	const char *content;	     /* text, or NULL */
	const char *content_raw;     /* JSON content parts instead of text, or NULL */
	const char *name;	     /* or NULL */
	const char *tool_calls_raw;  /* JSON array, or NULL */
	const char *tool_call_id;    /* or NULL */
};

enum { /* bits of atl_chat_sampling.present */
	ATL_CHAT_TEMPERATURE = 1,
	ATL_CHAT_TOP_P = 2,
	ATL_CHAT_TOP_K = 4,
	ATL_CHAT_MIN_P = 8,
	ATL_CHAT_REPEAT_PENALTY = 16,
	ATL_CHAT_PRESENCE_PENALTY = 32,
	ATL_CHAT_FREQUENCY_PENALTY = 64,
	ATL_CHAT_MAX_TOKENS = 128,
	ATL_CHAT_SEED = 256
};
struct atl_chat_sampling {
	unsigned present;
	double temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
	int64_t top_k, max_tokens, seed;
	const char *const *stop; /* NULL-terminated, or NULL */
};

struct atl_chat_request {
	const char *model;
	const struct atl_chat_message *messages;
	size_t message_count;
	struct atl_chat_sampling sampling;
	const char *character_slug;	 /* Venice; ignored elsewhere */
	const char *tools_raw;		 /* JSON array, or NULL */
	const char *tool_choice_raw;	 /* JSON, or NULL */
	const char *response_format_raw; /* JSON object, or NULL */
	bool stream;
	bool continue_last; /* the last message is the assistant's and is to be continued */
};

struct atl_chat_usage { /* -1: not told */
	int64_t prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens;
};
#define ATL_CHAT_USAGE_NOT_TOLD ((struct atl_chat_usage){-1, -1, -1, -1})
struct atl_chat_result {
	const char *finish_reason; /* stop, length, tool_calls, content_filter, ... or "" */
	struct atl_chat_usage usage;
	uint64_t first_ms;	  /* start to first text; 0: there was none */
	double tokens_per_second; /* 0: not known */
};

struct atl_chat_ops {
	void (*on_delta)(void *arg, const char *text, size_t length); /* whole UTF-8 characters */
	void (*on_reasoning)(void *arg, const char *text, size_t length); /* may be NULL: dropped */
	void (*on_tool_calls)(void *arg, const char *json); /* once, complete, before on_done; may be NULL */
	/* `info` is never NULL. What was shown before an error stays valid. The run is dead afterwards. */
	void (*on_done)(void *arg, enum atl_err err, const struct atl_errinfo *info,
			const struct atl_chat_result *result);
};

struct atl_chat_run;
enum atl_err atl_chat_start(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
			    const struct atl_chat_request *request, const struct atl_chat_ops *ops, void *arg,
			    struct atl_chat_run **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_chat_cancel(struct atl_chat_run *run); /* on_done(CANCELLED) follows */

/* ---- pool threads ---- */
struct atl_chat_model {
	const char *id, *name;
	int64_t context_length; /* 0: not told */
	int64_t input_micro_usd, output_micro_usd, cached_micro_usd; /* per million tokens; -1: not told */
};
enum atl_err atl_chat_models(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint, struct atl_arena *arena,
			     struct atl_chat_model **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* One whole answer, waited for; not streamed, reasoning dropped. `total_ms` bounds it (UPSTREAM_TIMEOUT). For short
 * helper texts: conversations use atl_chat_start(). */
enum atl_err atl_chat_complete_sync(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				    struct atl_arena *arena, const struct atl_chat_request *request, unsigned total_ms,
				    const char **ret_text, struct atl_errinfo *info) ATL_MUST_USE;
/* llama.cpp only: tokens of a plain text, and the prompt its template makes of messages. */
enum atl_err atl_chat_tokenize_sync(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				    struct atl_arena *arena, const char *text, int64_t *ret_tokens,
				    struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_chat_template_sync(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				    struct atl_arena *arena, const struct atl_chat_request *request,
				    const char **ret_prompt, struct atl_errinfo *info) ATL_MUST_USE;
/* The test button: a cheap authenticated call. */
enum atl_err atl_chat_probe_sync(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				 uint64_t *ret_latency_ms, struct atl_errinfo *info) ATL_MUST_USE;

#endif
