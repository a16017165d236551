/* openai_int.h - what the files of the OpenAI-compatible API share; nobody else includes it.
 *
 * The way of a request: read (scan the body, ask the policy) - find the model - write the changes into the body -
 * relay. It stays on its loop while the model is known; else, and for long bodies, the first part runs in the pool.
 */
#ifndef ATL_API_OPENAI_INT_H
#define ATL_API_OPENAI_INT_H

#include "api/api.h"
#include "api/openai_relay.h"
#include "api/openai_scan.h"

#define ATL_OPENAI_BODY_MAX ((size_t)32 << 20)
#define ATL_OPENAI_LOOP_BODY_MAX ((size_t)8 << 10) /* longer ones go to the pool: judging takes 20 us per KB or more */
#define ATL_OPENAI_CHARACTER "atelier/"		  /* what ids of our characters begin with */
#define ATL_OPENAI_DEFAULT "default"
#define ATL_OPENAI_EDITS_MAX 8

/* One request on its way; req->state, in its arena. */
struct atl_openai_job {
	enum atl_model_path path;
	enum atl_entry_point entry;
	struct atl_openai_body body;
	const char *wanted; /* NULL: the default */
	struct atl_model_route *route; /* a reference, until the relay takes it */
	struct atl_openai_edit edits[ATL_OPENAI_EDITS_MAX];
	size_t edit_count;
	int64_t prompt_estimate;
	bool in_pool, read;
	int64_t estimate, ceiling; /* micro-USD; -1 and ATL_COST_CEILING_NONE: the model has no price */
	char charge_ref[ATL_ID_SIZE]; /* what was reserved in the ledger; "": nothing */
};

/* ---- openai_character.c: pool threads ---- */
/* Find the character of job->wanted, its model (job->route), and put the assembled messages among the edits. */
enum atl_err atl_openai_character(struct atl_req *req, struct atl_openai_job *job, struct atl_errinfo *info) ATL_MUST_USE;
/* The name as it stands in a model's id: lower case, other signs as '-'. In the arena. */
char *atl_openai_slug(struct atl_arena *arena, const char *name);

/* ---- openai_models.c: pool threads ---- */
void atl_openai_models_list(struct atl_req *req);
void atl_openai_models_get(struct atl_req *req);

#endif
