/* openai_sse.h - watches a stream of chat chunks as it passes: what may go on, what was used, how it ended.
 *
 * The bytes of an event go on as they came. An event that is not complete yet waits (services write whole events, so
 * in practice nothing does). Two kinds of events do not go on: the usage chunk that only we had asked for, and an
 * event with a top-level error, which the relay says in its own words.
 *
 * Life cycle: atl_openai_sse_init() .. atl_openai_sse_finish(). Threads: one at a time.
 * Limits:     ATL_OPENAI_EVENT_MAX bytes of one event.
 */
#ifndef ATL_API_OPENAI_SSE_H
#define ATL_API_OPENAI_SSE_H

#include "base/buf.h"

#define ATL_OPENAI_EVENT_MAX ((size_t)4 << 20)

struct atl_openai_usage { /* -1: not told */
	int64_t prompt_tokens, completion_tokens, cached_tokens;
};

struct atl_openai_sse {
	void (*send)(void *arg, const char *data, size_t length);
	void *arg;
	bool strip_usage; /* we asked for the usage chunk, the client did not */
	struct atl_buf held; /* the unfinished event */
	size_t searched;     /* of held: no event ends before */
	/* found so far */
	struct atl_openai_usage usage;
	size_t events;	/* with a delta: an estimate of the tokens */
	bool done;	/* [DONE] */
	bool finished;	/* a finish_reason */
	struct atl_buf error; /* JSON of an event with an error; nothing is taken afterwards */
};

void atl_openai_sse_init(struct atl_openai_sse *sse, bool strip_usage,
			 void (*send)(void *arg, const char *data, size_t length), void *arg);
void atl_openai_sse_finish(struct atl_openai_sse *sse);
/* TOO_LARGE: an event without end. */
enum atl_err atl_openai_sse_feed(struct atl_openai_sse *sse, const char *data, size_t length) ATL_MUST_USE;
/* The stream has ended: what is held counts as an event. */
void atl_openai_sse_end(struct atl_openai_sse *sse);

/* The last "usage" object of a JSON text, wherever it stands; false: there is none. */
bool atl_openai_find_usage(const char *json, size_t length, struct atl_openai_usage *ret);

#endif
