/* usage.c - see usage.h. A thread of its own collects: the loops only take a lock for the length of a copy. */
#include "core/books/usage.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "core/books/allowance.h"
#include "core/books/quota.h"
#include "db/db.h"

#define MODULE "usage"
#define TRIES_MAX 3
#define ERROR_SIZE 40 /* a slug */

struct row {
	char id[ATL_ID_SIZE], user_id[ATL_ID_SIZE], key_id[ATL_ID_SIZE];
	char model[ATL_USAGE_MODEL_MAX + 1];
	char ref[ATL_ID_SIZE]; /* SETTLE, REFUND */
	enum book { CHARGE, SETTLE, REFUND, BOOKED } book; /* what the ledger is told; BOOKED: nothing */
	enum atl_entry_point entry;
	int64_t prompt_tokens, completion_tokens, cached_tokens, duration_ms, first_ms, created_at;
	int64_t cost_micro_usd, estimate_micro_usd;
	char error[ERROR_SIZE];
};

struct rows {
	struct row *items;
	size_t count, room;
};

struct atl_usage {
	struct atl_app *app; /* set at create */
	struct atl_allowance *allowance;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	struct rows waiting;
	uint64_t taken, written; /* rows ever accepted, and ever dealt with */
	uint64_t dropped;
	unsigned hurry; /* callers of flush */
	bool opened;	/* an allowance, since the last look */
	bool stop;
};

/* ---- taking ---- */

static bool grow(struct rows *rows)
{
	size_t room = rows->room ? rows->room * 2 : 64;
	struct row *items;

	if (rows->count < rows->room)
		return true;
	if (rows->count >= ATL_USAGE_WAITING_MAX)
		return false;
	items = realloc(rows->items, room * sizeof(*items));
	if (!items)
		return false;
	rows->items = items;
	rows->room = room;
	return true;
}

static void take(struct atl_usage *usage, const struct row *new)
{
	bool first;

	if (!usage)
		return;
	pthread_mutex_lock(&usage->lock);
	if (!grow(&usage->waiting)) {
		usage->dropped++;
		pthread_mutex_unlock(&usage->lock);
		return;
	}
	first = usage->waiting.count == 0;
	usage->waiting.items[usage->waiting.count++] = *new;
	usage->taken++;
	if (first)
		pthread_cond_broadcast(&usage->changed);
	pthread_mutex_unlock(&usage->lock);
}

/* The id is made by the writing thread, in this order. */
void atl_usage_enter(struct atl_usage *usage, const struct atl_usage_entry *e)
{
	struct row row = { .entry = e->entry, .duration_ms = e->duration_ms, .first_ms = e->first_ms,
			   .cost_micro_usd = e->cost_micro_usd > 0 ? e->cost_micro_usd : 0,
			   .estimate_micro_usd = e->estimate_micro_usd, .created_at = atl_now_ms() };

	if (!atl_identity_signed_in(e->who))
		return;
	row.book = !e->ref ? CHARGE : *e->ref ? SETTLE : BOOKED;
	if (e->error)
		row.book = row.book == SETTLE ? REFUND : BOOKED;
	memcpy(row.user_id, e->who->user_id, sizeof(row.user_id));
	memcpy(row.key_id, e->who->key_id, sizeof(row.key_id));
	atl_str_copy(row.model, sizeof(row.model), e->model ? e->model : "");
	atl_str_copy(row.ref, sizeof(row.ref), e->ref ? e->ref : "");
	atl_str_copy(row.error, sizeof(row.error), e->error ? e->error : "");
	row.prompt_tokens = e->prompt_tokens > 0 ? e->prompt_tokens : 0;
	row.completion_tokens = e->completion_tokens > 0 ? e->completion_tokens : 0;
	row.cached_tokens = e->cached_tokens > 0 ? e->cached_tokens : 0;
	take(usage, &row);
}

void atl_usage_record(struct atl_usage *usage, const struct atl_identity *who, enum atl_entry_point entry,
		      const char *model, int64_t prompt_tokens, int64_t completion_tokens, int64_t duration_ms)
{
	atl_usage_enter(usage, &(struct atl_usage_entry){ .who = who, .entry = entry, .model = model,
							  .prompt_tokens = prompt_tokens, .completion_tokens = completion_tokens,
							  .duration_ms = duration_ms, .estimate_micro_usd = -1 });
}

void atl_usage_record_reserved(struct atl_usage *usage, const struct atl_identity *who, enum atl_entry_point entry,
			       const char *model, int64_t prompt_tokens, int64_t completion_tokens, int64_t duration_ms,
			       const char *ref)
{
	atl_usage_enter(usage, &(struct atl_usage_entry){ .who = who, .entry = entry, .model = model,
							  .prompt_tokens = prompt_tokens, .completion_tokens = completion_tokens,
							  .duration_ms = duration_ms, .estimate_micro_usd = -1, .ref = ref });
}

void atl_usage_refund(struct atl_usage *usage, const char *ref)
{
	struct row row = { .book = REFUND };

	if (!*ref)
		return;
	atl_str_copy(row.ref, sizeof(row.ref), ref);
	take(usage, &row);
}

bool atl_usage_allowed(struct atl_usage *usage, const struct atl_identity *who, const char *model, char ret_ref[ATL_ID_SIZE])
{
	return usage && atl_allowance_take(usage->allowance, who, model, ret_ref);
}

enum atl_err atl_usage_allow(struct atl_usage *usage, const struct atl_identity *who, const char *model,
			     char ret_ref[ATL_ID_SIZE], struct atl_errinfo *info)
{
	enum atl_err err = usage ? atl_allowance_open(usage->allowance, who, model, ret_ref, info) :
				   atl_fail(info, ATL_ERR_SHUTDOWN, "What is used is not recorded at the moment.");

	if (err)
		return err;
	pthread_mutex_lock(&usage->lock);
	usage->opened = true;
	pthread_cond_broadcast(&usage->changed);
	pthread_mutex_unlock(&usage->lock);
	return ATL_OK;
}

/* ---- writing ---- */

struct batch {
	const struct row *rows;
	size_t count;
};

static void add_amounts(int64_t amounts[ATL_LEDGER_KIND_COUNT], const struct row *row)
{
	amounts[ATL_LEDGER_MESSAGES]++;
	amounts[ATL_LEDGER_INPUT_TOKENS] += row->prompt_tokens;
	amounts[ATL_LEDGER_OUTPUT_TOKENS] += row->completion_tokens;
	if (row->cost_micro_usd)
		amounts[ATL_LEDGER_MONEY] = row->cost_micro_usd + (amounts[ATL_LEDGER_MONEY] == ATL_LEDGER_NONE ? 0 : amounts[ATL_LEDGER_MONEY]);
}

/* Row `first` and those after it of the same person, key and model are one charge. */
static enum atl_err charge_group(struct atl_conn *conn, const struct batch *batch, size_t first, bool *charged,
				 struct atl_errinfo *info)
{
	const struct row *row = &batch->rows[first];
	struct atl_charge charge;

	atl_charge_init(&charge, row->id, row->user_id, row->key_id, row->model);
	charge.amounts[ATL_LEDGER_MESSAGES] = 0;
	charge.amounts[ATL_LEDGER_INPUT_TOKENS] = charge.amounts[ATL_LEDGER_OUTPUT_TOKENS] = 0;
	for (size_t i = first; i < batch->count; i++) {
		const struct row *other = &batch->rows[i];

		if (other->book != CHARGE || strcmp(other->user_id, row->user_id) != 0 ||
		    strcmp(other->key_id, row->key_id) != 0 || strcmp(other->model, row->model) != 0)
			continue;
		add_amounts(charge.amounts, other);
		charged[i] = true;
	}
	return atl_ledger_charge(conn, &charge, info);
}

static enum atl_err book_rows(struct atl_conn *conn, const struct batch *batch, struct atl_errinfo *info)
{
	bool charged[ATL_USAGE_BATCH] = { false };
	enum atl_err err = ATL_OK;

	for (size_t i = 0; i < batch->count && !err; i++) {
		const struct row *row = &batch->rows[i];
		struct atl_charge charge;

		if (atl_allowance_is_ref(row->ref))
			continue;
		if (row->book == CHARGE && !charged[i])
			err = charge_group(conn, batch, i, charged, info);
		else if (row->book == REFUND)
			err = atl_ledger_refund(conn, row->ref, info);
		if (err || row->book != SETTLE)
			continue;
		atl_charge_init(&charge, row->ref, row->user_id, row->key_id, row->model);
		charge.amounts[ATL_LEDGER_MESSAGES] = 0;
		charge.amounts[ATL_LEDGER_INPUT_TOKENS] = charge.amounts[ATL_LEDGER_OUTPUT_TOKENS] = 0;
		add_amounts(charge.amounts, row);
		err = atl_ledger_settle(conn, row->ref, NULL, charge.amounts, info);
	}
	return err;
}

static enum atl_err insert_rows(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct batch *batch = arg;
	enum atl_err err = ATL_OK;

	for (size_t i = 0; i < batch->count && !err; i++) {
		const struct row *row = &batch->rows[i];

		if (row->book == REFUND && !row->error[0])
			continue;
		err = atl_exec(conn, info,
			       "INSERT INTO usage_records (id, user_id, api_key_id, entry_point, model, prompt_tokens, "
			       "completion_tokens, duration_ms, created_at, cached_tokens, cost_micro_usd, estimate_micro_usd, "
			       "first_ms, error) SELECT ?, id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM users WHERE id = ?",
			       "ssssiiiiiiiiss", row->id, *row->key_id ? row->key_id : NULL, atl_entry_name(row->entry),
			       row->model, row->prompt_tokens, row->completion_tokens, row->duration_ms,
			       row->created_at, row->cached_tokens, row->cost_micro_usd, row->estimate_micro_usd,
			       row->first_ms, row->error, row->user_id);
	}
	return err ? err : book_rows(conn, batch, info);
}

/* Not in a transaction, which may be tried again. */
static void end_allowances(struct atl_usage *usage, const struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		const struct row *row = &rows->items[i];
		struct atl_charge charge;

		if (!atl_allowance_is_ref(row->ref))
			continue;
		atl_charge_init(&charge, row->ref, NULL, NULL, NULL);
		charge.amounts[ATL_LEDGER_MESSAGES] = 0;
		charge.amounts[ATL_LEDGER_INPUT_TOKENS] = charge.amounts[ATL_LEDGER_OUTPUT_TOKENS] = 0;
		add_amounts(charge.amounts, row);
		atl_allowance_end(usage->allowance, row->ref, row->book == SETTLE ? charge.amounts : NULL);
	}
}

static void flush_allowance(struct atl_usage *usage)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_allowance_flush(usage->allowance, &info);

	if (err)
		atl_error(MODULE, "what requests took is booked later: %s %s", atl_err_name(err), info.detail);
}

static void write_rows(struct atl_usage *usage, struct rows *rows)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < rows->count; i++)
		atl_id_new("usg", rows->items[i].id);
	for (size_t at = 0; at < rows->count; at += ATL_USAGE_BATCH) {
		struct batch batch = { rows->items + at, rows->count - at };
		struct atl_errinfo info = { 0 };
		enum atl_err err = ATL_ERR_DB_BUSY;

		if (batch.count > ATL_USAGE_BATCH)
			batch.count = ATL_USAGE_BATCH;
		for (int i = 0; i < TRIES_MAX && err; i++)
			err = atl_db_tx(usage->app->db, insert_rows, &batch, &info);
		if (err) {
			atl_error(MODULE, "%zu rows are lost: %s %s", batch.count, atl_err_name(err), info.detail);
			lost += batch.count;
		}
	}
	end_allowances(usage, rows);
	flush_allowance(usage);
	if (atl_quota_look(usage->app, NULL) != ATL_OK)
		atl_warn(MODULE, "whether there are quotas could not be read; it stays as it was");
	pthread_mutex_lock(&usage->lock);
	usage->dropped += lost;
	usage->written += rows->count;
	pthread_cond_broadcast(&usage->changed);
	pthread_mutex_unlock(&usage->lock);
	rows->count = 0;
}

/* Under the lock: from the first row on, wait for more to come along. */
static void wait_for_more(struct atl_usage *usage)
{
	struct timespec until;

	while (!usage->stop && usage->waiting.count == 0 && !usage->opened)
		pthread_cond_wait(&usage->changed, &usage->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)ATL_USAGE_FLUSH_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (!usage->stop && !usage->hurry)
		if (pthread_cond_timedwait(&usage->changed, &usage->lock, &until) != 0)
			break;
}

static void *run(void *arg)
{
	struct atl_usage *usage = arg;
	struct rows rows = { 0 };
	bool stop;

	do {
		struct rows empty = rows;

		pthread_mutex_lock(&usage->lock);
		wait_for_more(usage);
		stop = usage->stop;
		rows = usage->waiting;
		usage->waiting = empty;
		usage->opened = false;
		pthread_mutex_unlock(&usage->lock);
		if (rows.count)
			write_rows(usage, &rows);
		else
			flush_allowance(usage);
	} while (!stop);
	free(rows.items);
	return NULL;
}

enum atl_err atl_usage_flush(struct atl_usage *usage, struct atl_errinfo *info)
{
	uint64_t goal, dropped;
	bool lost;

	pthread_mutex_lock(&usage->lock);
	goal = usage->taken;
	dropped = usage->dropped;
	usage->hurry++;
	pthread_cond_broadcast(&usage->changed);
	while (usage->written < goal)
		pthread_cond_wait(&usage->changed, &usage->lock);
	usage->hurry--;
	lost = usage->dropped != dropped;
	pthread_mutex_unlock(&usage->lock);
	return lost ? atl_fail(info, ATL_ERR_DB, "Some usage rows could not be written.") : ATL_OK;
}

uint64_t atl_usage_dropped(struct atl_usage *usage)
{
	uint64_t dropped;

	pthread_mutex_lock(&usage->lock);
	dropped = usage->dropped;
	pthread_mutex_unlock(&usage->lock);
	return dropped;
}

/* ---- life ---- */

enum atl_err atl_usage_create(struct atl_app *app, struct atl_usage **ret, struct atl_errinfo *info)
{
	struct atl_usage *usage;
	pthread_condattr_t attr;
	enum atl_err err = atl_quota_look(app, info);

	if (err)
		return err;
	usage = calloc(1, sizeof(*usage));
	if (!usage)
		return atl_fail(info, ATL_ERR_NOMEM, "There is no memory for the usage records.");
	usage->app = app;
	err = atl_allowance_create(app, &usage->allowance, info);
	if (err) {
		free(usage);
		return err;
	}
	pthread_mutex_init(&usage->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&usage->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&usage->thread, NULL, run, usage) != 0) {
		pthread_cond_destroy(&usage->changed);
		pthread_mutex_destroy(&usage->lock);
		atl_allowance_destroy(usage->allowance);
		free(usage);
		return atl_fail(info, ATL_ERR_NOMEM, "The thread of the usage records does not start.");
	}
	*ret = usage;
	return ATL_OK;
}

void atl_usage_destroy(struct atl_usage *usage)
{
	if (!usage)
		return;
	pthread_mutex_lock(&usage->lock);
	usage->stop = true;
	pthread_cond_broadcast(&usage->changed);
	pthread_mutex_unlock(&usage->lock);
	pthread_join(usage->thread, NULL);
	free(usage->waiting.items);
	pthread_cond_destroy(&usage->changed);
	pthread_mutex_destroy(&usage->lock);
	atl_allowance_destroy(usage->allowance);
	free(usage);
}

/* ---- reading ---- */

struct query {
	struct atl_arena *arena;
	const char *user_id, *before_id;
	int64_t limit, from_ms, to_ms;
	struct atl_usage_row *rows;
	size_t count;
	struct atl_usage_sum sum;
};

static enum atl_err read_rows(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct query *query = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, entry_point, model, api_key_id, prompt_tokens, completion_tokens, "
				     "duration_ms, created_at FROM usage_records WHERE user_id = ? AND id < ? AND error = '' "
				     "ORDER BY id DESC LIMIT ?",
				     "ssi", query->user_id, query->before_id ? query->before_id : "usg_ZZZZZZZZZZZZZZZZZZZZZZZZZZ", query->limit);

	query->count = 0;
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		struct atl_usage_row *row = &query->rows[query->count++];

		row->id = atl_col_text(rows, 0, query->arena);
		row->entry_point = atl_col_text(rows, 1, query->arena);
		row->model = atl_col_text(rows, 2, query->arena);
		row->api_key_id = atl_col_text(rows, 3, query->arena);
		row->prompt_tokens = atl_col_int(rows, 4);
		row->completion_tokens = atl_col_int(rows, 5);
		row->duration_ms = atl_col_int(rows, 6);
		row->created_at = atl_col_int(rows, 7);
	}
	return err;
}

enum atl_err atl_usage_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *before_id,
			    int64_t limit, struct atl_usage_row **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct query query = { .arena = arena, .user_id = user_id, .before_id = before_id, .limit = limit };
	enum atl_err err;

	query.rows = ATL_ARENA_ARRAY(arena, struct atl_usage_row, (size_t)(limit > 0 ? limit : 1));
	if (!query.rows)
		return atl_fail(info, ATL_ERR_NOMEM, "There is no memory for so many rows.");
	err = atl_db_read(app->db, read_rows, &query, info);
	if (err)
		return err;
	*ret = query.rows;
	*ret_count = query.count;
	return ATL_OK;
}

static enum atl_err read_sum(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct query *query = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT count(*), CAST(coalesce(sum(prompt_tokens), 0) AS BIGINT), "
				     "CAST(coalesce(sum(completion_tokens), 0) AS BIGINT) FROM usage_records "
				     "WHERE user_id = ? AND created_at >= ? AND created_at < ? AND error = ''",
				     "sii", query->user_id, query->from_ms, query->to_ms);

	if (err)
		return err;
	while (atl_rows_next(rows, &err, info))
		query->sum = (struct atl_usage_sum){ atl_col_int(rows, 0), atl_col_int(rows, 1), atl_col_int(rows, 2) };
	return err;
}

enum atl_err atl_usage_sum(struct atl_app *app, const char *user_id, int64_t from_ms, int64_t to_ms,
			   struct atl_usage_sum *ret, struct atl_errinfo *info)
{
	struct query query = { .user_id = user_id, .from_ms = from_ms, .to_ms = to_ms };
	enum atl_err err = atl_db_read(app->db, read_sum, &query, info);

	if (!err)
		*ret = query.sum;
	return err;
}
