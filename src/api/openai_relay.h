/* openai_relay.h - one request to a model's endpoint and its answer back, byte for byte.
 *
 * A whole answer is collected and sent in one piece; a stream goes on event by event as it arrives, with the service
 * held back while the client reads slowly. Errors are ours in OpenAI's shape; a stream that breaks ends with an event
 * that has an `error`, and without [DONE]. When the client hangs up, the service is told at once.
 *
 * Life cycle: atl_openai_relay() ends the request by itself. Threads: the request's loop.
 * Limits:     ATL_OPENAI_REPLY_MAX bytes of a whole answer, ATL_OPENAI_QUEUE_MAX bytes waiting for a slow client.
 */
#ifndef ATL_API_OPENAI_RELAY_H
#define ATL_API_OPENAI_RELAY_H

#include "api/api.h"
#include "core/models/model_route.h"

#define ATL_OPENAI_REPLY_MAX ((size_t)48 << 20)
#define ATL_OPENAI_QUEUE_MAX ((size_t)256 << 10)

struct atl_openai_call {
	struct atl_model_route *route; /* the reference moves to the relay */
	enum atl_model_path path;
	enum atl_entry_point entry;
	const char *model; /* for the usage record; in the request's arena */
	const char *charge_ref; /* what was reserved in the ledger; "": nothing */
	const char *body;  /* in the request's arena, or its body */
	size_t body_length;
	bool stream;
	bool strip_usage;	/* the usage chunk was asked for by us only */
	int64_t prompt_estimate;
	int64_t estimate, ceiling; /* of the cost, in micro-USD; -1 and ATL_COST_CEILING_NONE */ /* tokens, where the service does not tell */
};

void atl_openai_relay(struct atl_req *req, const struct atl_openai_call *call);

#endif
