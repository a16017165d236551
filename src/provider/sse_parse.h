/* sse_parse.h - incremental decoder of server-sent events: bytes in, whole events out.
 *
 * Takes LF, CRLF and CR, comments, a byte-order mark, and input split anywhere. An event without data is dropped, as
 * the standard says; what is unfinished at the end of the stream may be asked for with atl_sse_end(), because some
 * services forget the last empty line.
 *
 * Life cycle: atl_sse_init() .. atl_sse_finish(). Threads: one at a time.
 * Limits:     `max` bytes for one line and for one event's data; beyond it feed answers ATL_ERR_TOO_LARGE for good.
 */
#ifndef ATL_PROVIDER_SSE_PARSE_H
#define ATL_PROVIDER_SSE_PARSE_H

#include "base/buf.h"

#define ATL_SSE_NAME_MAX 64

struct atl_sse {
	struct atl_buf line;
	struct atl_buf data;
	char event[ATL_SSE_NAME_MAX]; /* "" is "message" */
	bool has_data, after_cr;
	unsigned char bom; /* bytes of the mark seen so far; 4: past it */
	/* False stops: feed answers ATL_ERR_CANCELLED and takes nothing more. */
	bool (*on_event)(void *arg, const char *event, const char *data, size_t length);
	void *arg;
	enum atl_err err;
};

void atl_sse_init(struct atl_sse *sse, size_t max,
		  bool (*on_event)(void *arg, const char *event, const char *data, size_t length), void *arg);
void atl_sse_finish(struct atl_sse *sse);
void atl_sse_reset(struct atl_sse *sse);
enum atl_err atl_sse_feed(struct atl_sse *sse, const char *bytes, size_t length) ATL_MUST_USE;
enum atl_err atl_sse_end(struct atl_sse *sse) ATL_MUST_USE;

#endif
