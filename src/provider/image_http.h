/* image_http.h - what picture services share: one HTTP exchange at a time, waited for, given up when the run is
 * cancelled; downloads with a cap; errors in words. Only src/provider.
 *
 * Threads:    the run's thread. Ownership: answers in the given arena, except atl_image_download()'s buffer.
 * Limits:     ATL_IMAGE_ANSWER_MAX for answers that are not results.
 */
#ifndef ATL_PROVIDER_IMAGE_HTTP_H
#define ATL_PROVIDER_IMAGE_HTTP_H

#include "base/buf.h"
#include "base/json.h"
#include "provider/image_services.h"

#define ATL_IMAGE_ANSWER_MAX ((size_t)8 << 20)
#define ATL_IMAGE_TRIES_MAX 4 /* of one exchange that may be repeated */

struct atl_image_ask {
	const char *method; /* NULL: GET, or POST with a body */
	const char *path;   /* appended to the endpoint's base_url; or a whole URL beginning with http */
	const char *const *headers; /* besides authorisation and content type; NULL */
	const char *auth;	    /* "Bearer" (default), "Key", "Basic"; "" none */
	const void *body;
	size_t body_length;
	const char *content_type; /* NULL: application/json when there is a body */
	bool repeatable; /* safe to send again after 5xx, a cut or 429: reads and status polls; paid submits are not,
			    except after 429 and 503, which say that nothing was begun */
	size_t max_bytes; /* 0: ATL_IMAGE_ANSWER_MAX */
	struct atl_buf *into; /* a 2xx body goes here instead of into the arena; NULL */
	const char *key_origin; /* "https://rest.fal.ai": another origin of the same service that may see the key */
	/* A 2xx answer of text/event-stream is given here piece by piece, on the run's thread; then `body` stays empty.
	 * An error ends the exchange with it. NULL: collected like any other. */
	enum atl_err (*on_stream)(void *arg, const char *data, size_t length, struct atl_errinfo *info);
	void *stream_arg;
	unsigned first_byte_ms, total_ms; /* 0: 60 s, 120 s */
};
struct atl_image_answer {
	int status;
	const char *content_type; /* never NULL */
	const char *raw_head;
	const char *body; /* NUL-terminated */
	size_t length;
};
/* Any status is ATL_OK; 429 with Retry-After is waited out (at most 60 s) while tries are left. CANCELLED at once. */
enum atl_err atl_image_http(const struct atl_image_run *run, struct atl_arena *arena, const struct atl_image_ask *ask,
			    struct atl_image_answer *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* As above and a 2xx with a JSON body, parsed; every other answer is an error with the service's own words in it:
 * 401/403 UPSTREAM_AUTH, 402 UPSTREAM_QUOTA, 404 UPSTREAM_MODEL, 422 and known refusals UPSTREAM_REFUSED (a 422 with a
 * list of mistakes: INVALID), 429 UPSTREAM_RATE, 413 TOO_LARGE, other 4xx INVALID, 5xx UPSTREAM, not JSON
 * UPSTREAM_FORMAT. The key never gets into the words. */
enum atl_err atl_image_http_json(const struct atl_image_run *run, struct atl_arena *arena,
				 const struct atl_image_ask *ask, struct atl_json **ret,
				 struct atl_errinfo *info) ATL_MUST_USE;
/* The error of an answer that was no success; `what` (or NULL) names the step where the service has no words. */
enum atl_err atl_image_http_error(const struct atl_image_run *run, const struct atl_image_answer *answer,
				  const char *what, struct atl_errinfo *info);
const char *atl_image_answer_header(struct atl_arena *arena, const struct atl_image_answer *answer,
				    const char *name); /* NULL: not there */
bool atl_image_key_allowed(const struct atl_image_endpoint *endpoint, const char *url, const char *key_origin);

/* Fetch a result: https or what the guard allows, no key sent to another host, at most run->max_result_bytes, checked
 * against Content-Length (cut: once again from the start) and its first bytes (UPSTREAM_FORMAT when it is no picture or
 * video). `out` is initialised by the caller with the cap. */
enum atl_err atl_image_download(const struct atl_image_run *run, struct atl_arena *arena, const char *url,
				struct atl_buf *out, const char **ret_media_type, struct atl_errinfo *info) ATL_MUST_USE;
/* Base64 or a data: URL to bytes in the arena; the media type is sniffed. UPSTREAM_FORMAT. */
enum atl_err atl_image_unbase64(struct atl_arena *arena, const char *text, struct atl_image_file *ret,
				struct atl_errinfo *info) ATL_MUST_USE;
/* "data:image/png;base64,..." or without the prefix; NULL: no memory. */
const char *atl_image_base64(struct atl_arena *arena, const struct atl_image_file *file, bool data_url);
/* Members of the request's `extra` that are not in `known` (NULL-terminated; NULL: none) go into the open object. */
enum atl_err atl_image_extra(struct atl_arena *arena, struct atl_jw *w, const char *extra, const char *const *known,
			     struct atl_errinfo *info) ATL_MUST_USE;
/* A finished file: its type is sniffed; larger than the run allows: TOO_LARGE; no picture: UPSTREAM_FORMAT. */
enum atl_err atl_image_deliver(const struct atl_image_run *run, int64_t index, const void *data, size_t length,
			       int64_t seed, const char *revised_prompt, struct atl_errinfo *info) ATL_MUST_USE;
void atl_image_phase(const struct atl_image_run *run, const char *phase, int64_t index); /* progress without steps */
void atl_image_notef(const struct atl_image_run *run, const char *fmt, ...) ATL_PRINTF(2, 3);
/* init (when given), then the references; at most `max`. Returns how many. */
size_t atl_image_pictures(const struct atl_image_request *request, const struct atl_image_file **ret, size_t max);
unsigned atl_image_pause(const struct atl_image_run *run, unsigned ms); /* `ms`, or the run's shorter wish */
/* Sleep for that, but not longer than until cancelled (false). */
bool atl_image_wait(const struct atl_image_run *run, unsigned ms);
const char *atl_image_sniff(const void *data, size_t length); /* "image/png", "video/mp4", ...; NULL: unknown */

#endif
