/* allowance.c - see allowance.h. An entry per person, key and model remembers how large its next block is to be. */
#include "core/books/allowance.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/str.h"
#include "core/books/quota.h"
#include "db/db.h"

#define REF_PREFIX "blk"
#define KEY_MAX (2 * ATL_ID_SIZE + ATL_QUOTA_MODEL_MAX + 4)
#define OPEN_MS 1000	  /* a block that was not flushed is not taken from any longer */
#define FORGET_MS 60000	  /* an entry that nobody asked for */
#define GROW 4

struct block {
	struct atl_list node;
	char ref[ATL_ID_SIZE];	  /* what requests hold */
	char booked[ATL_ID_SIZE]; /* the reservation in the ledger; another one after each flush */
	char user_id[ATL_ID_SIZE], key_id[ATL_ID_SIZE], model[ATL_QUOTA_MODEL_MAX + 1];
	int64_t free, out; /* units that nobody has, and that requests have which have not ended */
	int64_t until_ms;
	bool open;
	/* ended and not booked */
	bool ended;
	int64_t amounts[ATL_LEDGER_KIND_COUNT];
	/* what a flush under way has taken from `amounts` */
	int64_t booking[ATL_LEDGER_KIND_COUNT], left;
	char next[ATL_ID_SIZE];
};

struct entry {
	struct block *block; /* open, or NULL */
	int64_t size, asked_ms;
	bool opening;
};

struct atl_allowance {
	struct atl_app *app;
	pthread_mutex_t lock; /* all that follows */
	pthread_cond_t opened;
	struct atl_map entries, refs;
	struct atl_list blocks;
};

static void make_key(const struct atl_identity *who, const char *model, char out[KEY_MAX])
{
	snprintf(out, KEY_MAX, "%s %s %s", who->user_id, who->key_id, model);
}

/* ---- taking ---- */

/* Under the lock. */
static bool take(struct entry *entry, int64_t now_ms, char ret_ref[ATL_ID_SIZE])
{
	struct block *block = entry->block;

	if (!block)
		return false;
	if (block->free == 0 || now_ms >= block->until_ms) {
		if (block->free == 0 && entry->size < ATL_ALLOWANCE_BLOCK_MAX)
			entry->size *= GROW;
		block->open = false;
		entry->block = NULL;
		return false;
	}
	block->free--;
	block->out++;
	entry->asked_ms = now_ms;
	memcpy(ret_ref, block->ref, ATL_ID_SIZE);
	return true;
}

bool atl_allowance_take(struct atl_allowance *allowance, const struct atl_identity *who, const char *model,
			char ret_ref[ATL_ID_SIZE])
{
	char key[KEY_MAX];
	struct entry *entry;
	bool taken;

	make_key(who, model, key);
	pthread_mutex_lock(&allowance->lock);
	entry = atl_map_get(&allowance->entries, key);
	taken = entry && take(entry, atl_now_ms(), ret_ref);
	pthread_mutex_unlock(&allowance->lock);
	return taken;
}

/* ---- opening ---- */

struct opening {
	struct block *block;
	int64_t size;
	struct atl_quota_notices notices;
};

/* How many at most, lest the last are held by one and missed by others; and until when. */
static void fit(const struct atl_quota_states *states, int64_t *size, int64_t *until_ms)
{
	for (size_t i = 0; i < states->count; i++) {
		const struct atl_quota_state *state = &states->items[i];
		int64_t left = state->limit - state->used - state->reserved;

		if (state->kind == ATL_LEDGER_MESSAGES && left / ATL_ALLOWANCE_SHARE < *size)
			*size = left / ATL_ALLOWANCE_SHARE;
		if (state->resets_at && state->resets_at < *until_ms)
			*until_ms = state->resets_at;
	}
	if (*size < 1)
		*size = 1;
}

static enum atl_err open_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct opening *opening = arg;
	struct block *block = opening->block;
	struct atl_quota_states states;
	struct atl_charge charge;
	int64_t now_ms = atl_now_ms(), size = opening->size;
	enum atl_err err = atl_quota_load(conn, block->user_id, block->key_id, block->model, now_ms, &states, info);

	if (err)
		return err;
	block->until_ms = now_ms + OPEN_MS;
	fit(&states, &size, &block->until_ms);
	block->free = size;
	atl_charge_init(&charge, block->booked, block->user_id, block->key_id, block->model);
	charge.amounts[ATL_LEDGER_MESSAGES] = size;
	/* is any left? */
	charge.amounts[ATL_LEDGER_INPUT_TOKENS] = charge.amounts[ATL_LEDGER_OUTPUT_TOKENS] = 0;
	charge.amounts[ATL_LEDGER_MONEY] = 0;
	return atl_ledger_reserve(conn, &charge, &opening->notices, info);
}

static struct block *new_block(const struct atl_identity *who, const char *model)
{
	struct block *block = calloc(1, sizeof(*block));

	if (!block)
		return NULL;
	atl_list_init(&block->node);
	atl_id_new(REF_PREFIX, block->ref);
	atl_id_new("usg", block->booked);
	memcpy(block->user_id, who->user_id, sizeof(block->user_id));
	memcpy(block->key_id, who->key_id, sizeof(block->key_id));
	(void)atl_str_copy(block->model, sizeof(block->model), model);
	return block;
}

/* Waits for another's opening; *ret is the entry, marked as opening, or NULL when one was taken meanwhile. */
static enum atl_err turn(struct atl_allowance *allowance, const char *key, struct entry **ret, char ret_ref[ATL_ID_SIZE],
			 struct atl_errinfo *info)
{
	for (;;) {
		struct entry *entry = atl_map_get(&allowance->entries, key);

		*ret = NULL;
		if (!entry) {
			entry = calloc(1, sizeof(*entry));
			if (!entry || atl_map_put(&allowance->entries, key, entry, NULL)) {
				free(entry);
				return atl_fail(info, ATL_ERR_NOMEM, "reserve what a request takes");
			}
			entry->size = ATL_ALLOWANCE_BLOCK_MIN;
		}
		if (take(entry, atl_now_ms(), ret_ref))
			return ATL_OK;
		if (!entry->opening) {
			entry->opening = true;
			*ret = entry;
			return ATL_OK;
		}
		pthread_cond_wait(&allowance->opened, &allowance->lock);
	}
}

/* Under the lock: the new block is at hand, and one of it is the caller's. */
static enum atl_err put_open(struct atl_allowance *allowance, struct entry *entry, struct block *block,
			     char ret_ref[ATL_ID_SIZE], struct atl_errinfo *info)
{
	if (atl_map_put(&allowance->refs, block->ref, block, NULL))
		return atl_fail(info, ATL_ERR_NOMEM, "reserve what a request takes"); /* given back at the next start */
	atl_list_append(&allowance->blocks, &block->node);
	block->open = true;
	block->free--;
	block->out++;
	entry->block = block;
	entry->asked_ms = atl_now_ms();
	memcpy(ret_ref, block->ref, ATL_ID_SIZE);
	return ATL_OK;
}

enum atl_err atl_allowance_open(struct atl_allowance *allowance, const struct atl_identity *who, const char *model,
				char ret_ref[ATL_ID_SIZE], struct atl_errinfo *info)
{
	struct opening opening = {0};
	char key[KEY_MAX];
	struct entry *entry;
	enum atl_err err;

	make_key(who, model, key);
	pthread_mutex_lock(&allowance->lock);
	err = turn(allowance, key, &entry, ret_ref, info);
	if (!err && entry)
		opening.size = entry->size;
	pthread_mutex_unlock(&allowance->lock);
	if (err || !entry)
		return err;
	opening.block = new_block(who, model);
	err = opening.block ? atl_db_tx(allowance->app->db, open_fn, &opening, info) :
			      atl_fail(info, ATL_ERR_NOMEM, "reserve what a request takes");
	pthread_mutex_lock(&allowance->lock);
	if (!err)
		err = put_open(allowance, entry, opening.block, ret_ref, info);
	entry->opening = false;
	pthread_cond_broadcast(&allowance->opened);
	pthread_mutex_unlock(&allowance->lock);
	if (err)
		free(opening.block);
	else
		atl_quota_tell(allowance->app, who->user_id, &opening.notices);
	return err;
}

/* ---- ending ---- */

bool atl_allowance_is_ref(const char *ref)
{
	return strncmp(ref, REF_PREFIX "_", sizeof(REF_PREFIX)) == 0;
}

void atl_allowance_end(struct atl_allowance *allowance, const char *ref, const int64_t amounts[ATL_LEDGER_KIND_COUNT])
{
	struct block *block;

	pthread_mutex_lock(&allowance->lock);
	block = atl_map_get(&allowance->refs, ref);
	if (block && block->out > 0) {
		block->out--;
		block->ended = true;
		for (int kind = 0; amounts && kind < ATL_LEDGER_KIND_COUNT; kind++)
			if (amounts[kind] != ATL_LEDGER_NONE)
				block->amounts[kind] += amounts[kind];
	}
	pthread_mutex_unlock(&allowance->lock);
}

/* ---- booking ---- */

/* Those that are being booked: their numbers are this thread's until that is done, and only it ends a block. */
struct flush {
	struct block **items;
	size_t count;
};

static enum atl_err flush_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct flush *flush = arg;
	enum atl_err err = ATL_OK;

	for (size_t i = 0; !err && i < flush->count; i++) {
		const struct block *block = flush->items[i];
		struct atl_charge used;

		atl_charge_init(&used, block->booked, block->user_id, block->key_id, block->model);
		memcpy(used.amounts, block->booking, sizeof(used.amounts));
		err = atl_ledger_carry(conn, &used, block->next, block->left, info);
	}
	return err;
}

/* closed and nothing has ended: it stands as it was carried */
static bool is_due(const struct block *block)
{
	return block->open || block->ended || block->free > 0;
}

/* Under the lock: what is to be booked is fixed; nobody takes from it any longer. */
static bool prepare(struct atl_allowance *allowance, struct flush *flush)
{
	size_t due = 0;

	for (struct atl_list *node = allowance->blocks.next; node != &allowance->blocks; node = node->next)
		due += is_due(ATL_LIST_ITEM(node, struct block, node));
	flush->count = 0;
	flush->items = due ? calloc(due, sizeof(struct block *)) : NULL;
	if (due && !flush->items)
		return false;
	for (struct atl_list *node = allowance->blocks.next; node != &allowance->blocks; node = node->next) {
		struct block *block = ATL_LIST_ITEM(node, struct block, node);

		if (!is_due(block))
			continue;
		block->open = block->ended = false;
		memcpy(block->booking, block->amounts, sizeof(block->booking));
		memset(block->amounts, 0, sizeof(block->amounts));
		block->left = block->out;
		atl_id_new("usg", block->next);
		flush->items[flush->count++] = block;
	}
	return true;
}

static void keep_for_later(struct block *block)
{
	block->ended = true;
	for (int kind = 0; kind < ATL_LEDGER_KIND_COUNT; kind++)
		block->amounts[kind] += block->booking[kind];
}

static void booked(struct atl_allowance *allowance, struct block *block)
{
	block->free = 0;
	memcpy(block->booked, block->next, sizeof(block->booked));
	if (block->left > 0)
		return;
	atl_list_remove(&block->node);
	(void)atl_map_remove(&allowance->refs, block->ref);
	free(block);
}

static void close_entry(const char *key, void *value, void *arg)
{
	struct atl_allowance *allowance = arg;
	struct entry *entry = value;
	int64_t granted = entry->block ? entry->block->free + entry->block->out : 0;

	if (entry->block) {
		/* the next one as large as half a second needs */
		if (entry->block->free > granted / 2 && entry->size > ATL_ALLOWANCE_BLOCK_MIN)
			entry->size /= 2;
		entry->block = NULL;
	} else if (!entry->opening && atl_now_ms() - entry->asked_ms > FORGET_MS) {
		free(atl_map_remove(&allowance->entries, key));
	}
}

enum atl_err atl_allowance_flush(struct atl_allowance *allowance, struct atl_errinfo *info)
{
	struct flush flush;
	enum atl_err err;
	bool ok;

	pthread_mutex_lock(&allowance->lock);
	atl_map_each(&allowance->entries, close_entry, allowance);
	ok = prepare(allowance, &flush);
	pthread_mutex_unlock(&allowance->lock);
	if (!ok)
		return atl_fail(info, ATL_ERR_NOMEM, "book what requests took");
	if (flush.count == 0)
		return ATL_OK;
	err = atl_db_tx(allowance->app->db, flush_fn, &flush, info);
	pthread_mutex_lock(&allowance->lock);
	for (size_t i = 0; i < flush.count; i++)
		if (err)
			keep_for_later(flush.items[i]);
		else
			booked(allowance, flush.items[i]);
	pthread_mutex_unlock(&allowance->lock);
	free(flush.items);
	return err;
}

bool atl_allowance_waits(struct atl_allowance *allowance)
{
	bool waits = false;

	pthread_mutex_lock(&allowance->lock);
	for (struct atl_list *node = allowance->blocks.next; !waits && node != &allowance->blocks; node = node->next)
		waits = is_due(ATL_LIST_ITEM(node, struct block, node));
	pthread_mutex_unlock(&allowance->lock);
	return waits;
}

/* ---- life ---- */

enum atl_err atl_allowance_create(struct atl_app *app, struct atl_allowance **ret, struct atl_errinfo *info)
{
	struct atl_allowance *allowance = calloc(1, sizeof(*allowance));

	if (!allowance)
		return atl_fail(info, ATL_ERR_NOMEM, "There is no memory for allowances.");
	allowance->app = app;
	pthread_mutex_init(&allowance->lock, NULL);
	pthread_cond_init(&allowance->opened, NULL);
	atl_map_init(&allowance->entries);
	atl_map_init(&allowance->refs);
	atl_list_init(&allowance->blocks);
	*ret = allowance;
	return ATL_OK;
}

static void free_entry(const char *key, void *value, void *arg)
{
	free(value);
}

void atl_allowance_destroy(struct atl_allowance *allowance)
{
	if (!allowance)
		return;
	atl_map_each(&allowance->entries, free_entry, NULL);
	atl_map_finish(&allowance->entries);
	atl_map_finish(&allowance->refs);
	while (!atl_list_empty(&allowance->blocks)) {
		struct block *block = ATL_LIST_ITEM(allowance->blocks.next, struct block, node);

		atl_list_remove(&block->node);
		free(block);
	}
	pthread_cond_destroy(&allowance->opened);
	pthread_mutex_destroy(&allowance->lock);
	free(allowance);
}
