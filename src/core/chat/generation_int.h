/* generation_int.h - one reply while it is written: between generation.c, generation_run.c and generation_end.c only.
 *
 * Life cycle: made and registered by atl_generation_start(), prepared by a pool thread, run by its loop thread, ended by
 *             atl_reply_end(), freed by the database's thread when its end is written.
 * Threads:    the fields are grouped by whose they are; the registry's lock guards the text, because any thread may read it.
 */
#ifndef ATL_CORE_GENERATION_INT_H
#define ATL_CORE_GENERATION_INT_H

#include <pthread.h>

#include "base/id.h"
#include "base/map.h"
#include "core/chat/generation.h"
#include "core/chat/prepare.h"

struct atl_reply {
	/* set at start */
	struct atl_app *app;
	struct atl_loop *loop;
	struct atl_identity who;
	char id[ATL_ID_SIZE], conversation_id[ATL_ID_SIZE], from_id[ATL_ID_SIZE];
	char charge_ref[2 * ATL_ID_SIZE]; /* in the ledger */
	char *model_wanted; /* NULL */
	bool continues;
	/* guarded by the registry's lock */
	struct atl_buf content, reasoning;
	int64_t seq;
	bool stop, interrupt;
	/* the pool thread that prepares, then the loop thread */
	struct atl_prepared *prepared;
	char *model_id, *prompt_json, *failed_id;
	struct atl_model_target target; /* strings in target_arena */
	struct atl_arena target_arena;
	int64_t prompt_tokens, context_size;
	int64_t max_cost, estimate, ceiling; /* micro-USD; estimate -1: no price */
	bool money_reserved;
	/* loop thread only */
	struct atl_chat_run *run;
	struct atl_timer *timer;
	bool dirty, shown, ending, too_dear;
	uint64_t started_us, first_us, progress_ms, checkpoint_ms;
	int64_t pieces;
	/* the end: written on the loop thread, read by the database thread */
	enum atl_err err;
	const char *status;
	int64_t cost; /* micro-USD, by the true tokens */
	struct atl_errinfo info;
	struct atl_chat_result result;
	char finish_reason[32];
	struct atl_arena end_arena;
	struct atl_message end;
	bool end_loaded;
};

struct atl_generations {
	struct atl_app *app;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	struct atl_map replies; /* message id -> struct atl_reply */
	size_t alive;		/* of those, and of those whose end is being told */
	bool closing;
	size_t next_loop;
};

void atl_reply_lock(struct atl_reply *r);
void atl_reply_unlock(struct atl_reply *r);
void atl_reply_free(struct atl_reply *r);
/* Takes a struct atl_reply: loads what is needed and posts it to its loop, where it runs and ends. Pool thread. */
void atl_reply_prepare(void *arg);
/* Its row is written, its event published, and it is freed: do not touch it any more. Its loop thread; the status is
 * decided here. */
void atl_reply_end(struct atl_reply *r);

#endif
