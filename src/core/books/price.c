/* price.c - see price.h. What prices there are is in memory; the operator's own are written through. */
#include "core/books/price.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/str.h"
#include "core/books/price_table.h"
#include "core/models/model.h"
#include "core/models/model_route.h"
#include "core/people/audit.h"
#include "db/db.h"

#define MILLION 1000000
#define TOKENS_MAX 100000000LL
#define LEARNED_MAX 2000
#define LEARN_SCALE 1024
#define LEARN_SHARE 8 /* a new reply moves the average by an eighth */

const char *const atl_price_sources[] = { "unknown", "local", "operator", "service", "built_in", NULL };
const char *const atl_price_units[] = { "image", "megapixel", "second", NULL };

struct own {
	int64_t input, output, cached, unit_price;
	const char *unit; /* static; NULL */
};

struct learned {
	int64_t scaled; /* tokens * LEARN_SCALE */
};

struct atl_prices {
	struct atl_app *app;		/* set at create */
	struct atl_arena arena;		/* of the table; read-only after create */
	const struct atl_json *builtin; /* its models */
	pthread_mutex_t lock;
	/* guarded by lock */
	struct atl_map own;	/* model id -> struct own */
	struct atl_map learned; /* model id -> struct learned */
};

/* ---- memory ---- */

static void free_entry(const char *key, void *value, void *arg)
{
	(void)key;
	(void)arg;
	free(value);
}

static void empty(struct atl_map *map)
{
	atl_map_each(map, free_entry, NULL);
	atl_map_finish(map);
	atl_map_init(map);
}

static const char *known_unit(const char *text)
{
	for (size_t i = 0; atl_price_units[i]; i++)
		if (atl_str_eq(atl_price_units[i], text))
			return atl_price_units[i];
	return NULL;
}

static enum atl_err remember(struct atl_map *map, const struct atl_own_price *row)
{
	struct own *own = malloc(sizeof(*own));
	enum atl_err err;

	if (!own)
		return ATL_ERR_NOMEM;
	*own = (struct own){ row->input_micro_usd, row->output_micro_usd, row->cached_micro_usd, row->unit_micro_usd,
			     known_unit(row->unit) };
	err = atl_map_put(map, row->model, own, NULL);
	if (err)
		free(own);
	return err;
}

static enum atl_err reload(struct atl_prices *prices, struct atl_errinfo *info)
{
	struct atl_own_price *rows;
	struct atl_map fresh, old;
	struct atl_arena arena;
	size_t count;
	enum atl_err err;

	atl_arena_init(&arena, 0);
	atl_map_init(&fresh);
	err = atl_own_price_list(prices->app, &arena, &rows, &count, info);
	for (size_t i = 0; !err && i < count; i++)
		err = remember(&fresh, &rows[i]);
	if (!err) {
		pthread_mutex_lock(&prices->lock);
		old = prices->own;
		prices->own = fresh;
		pthread_mutex_unlock(&prices->lock);
		fresh = old;
	}
	atl_map_each(&fresh, free_entry, NULL);
	atl_map_finish(&fresh);
	atl_arena_finish(&arena);
	return err;
}

/* ---- finding ---- */

static bool find_own(struct atl_prices *prices, const char *model_id, struct own *ret)
{
	const struct own *own;

	pthread_mutex_lock(&prices->lock);
	own = atl_map_get(&prices->own, model_id);
	if (own)
		*ret = *own;
	pthread_mutex_unlock(&prices->lock);
	return own != NULL;
}

static int64_t micro(const struct atl_json *row, const char *key, int64_t otherwise)
{
	double usd = atl_json_num(row, key, -1);

	return usd >= 0 ? (int64_t)(usd * MILLION + 0.5) : otherwise;
}

static struct atl_price find_builtin(const struct atl_prices *prices, const char *preset, const char *name)
{
	struct atl_price price = { .source = ATL_PRICE_UNKNOWN };

	for (const struct atl_json *row = prices->builtin ? prices->builtin->child : NULL; row; row = row->next) {
		if (!atl_str_eq(atl_json_str(row, "preset", ""), preset) || !atl_str_eq(atl_json_str(row, "model", ""), name))
			continue;
		price.source = ATL_PRICE_BUILT_IN;
		price.input_micro_usd = micro(row, "input", 0);
		price.output_micro_usd = micro(row, "output", 0);
		price.cached_micro_usd = micro(row, "cached", price.input_micro_usd);
		break;
	}
	return price;
}

struct atl_price atl_price_find(struct atl_prices *prices, const char *model_id, const char *preset, const char *name,
				const struct atl_price *listed)
{
	struct own own;

	if (prices && find_own(prices, model_id, &own) && own.input >= 0)
		return (struct atl_price){ ATL_PRICE_OPERATOR, own.input, own.output < 0 ? 0 : own.output,
					   own.cached < 0 ? own.input : own.cached };
	if (atl_str_starts(model_id, ATL_MODEL_LOCAL))
		return (struct atl_price){ .source = ATL_PRICE_LOCAL };
	if (listed && listed->source != ATL_PRICE_UNKNOWN)
		return *listed;
	return prices ? find_builtin(prices, preset, name) : (struct atl_price){ .source = ATL_PRICE_UNKNOWN };
}

static int64_t within(int64_t tokens)
{
	return tokens < 0 ? 0 : tokens > TOKENS_MAX ? TOKENS_MAX : tokens;
}

int64_t atl_price_cost(const struct atl_price *price, int64_t prompt_tokens, int64_t cached_tokens, int64_t completion_tokens)
{
	int64_t prompt = within(prompt_tokens), cached = within(cached_tokens), reply = within(completion_tokens), sum;

	if (cached > prompt)
		cached = prompt;
	/* at most 3 * 10^8 * 10^10: within 63 bits */
	sum = (prompt - cached) * price->input_micro_usd + cached * price->cached_micro_usd + reply * price->output_micro_usd;
	return sum / MILLION + (sum % MILLION != 0);
}

bool atl_price_unit_find(struct atl_prices *prices, const char *model_id, const char **ret_unit, int64_t *ret_micro_usd)
{
	struct own own;

	if (!prices || !model_id || !find_own(prices, model_id, &own) || !own.unit)
		return false;
	*ret_unit = own.unit;
	*ret_micro_usd = own.unit_price;
	return true;
}

/* ---- how long replies are ---- */

int64_t atl_price_expected(struct atl_prices *prices, const char *model_id, int64_t max_tokens)
{
	int64_t tokens = ATL_PRICE_REPLY_TOKENS;
	const struct learned *learned;

	if (prices) {
		pthread_mutex_lock(&prices->lock);
		learned = atl_map_get(&prices->learned, model_id);
		if (learned)
			tokens = (learned->scaled + LEARN_SCALE / 2) / LEARN_SCALE;
		pthread_mutex_unlock(&prices->lock);
	}
	return max_tokens > 0 && tokens > max_tokens ? max_tokens : tokens;
}

void atl_price_learned(struct atl_prices *prices, const char *model_id, int64_t completion_tokens)
{
	struct learned *learned;

	if (!prices || atl_str_empty(model_id) || completion_tokens <= 0)
		return;
	pthread_mutex_lock(&prices->lock);
	learned = atl_map_get(&prices->learned, model_id);
	if (learned) {
		learned->scaled += (within(completion_tokens) * LEARN_SCALE - learned->scaled) / LEARN_SHARE;
	} else {
		if (prices->learned.count >= LEARNED_MAX)
			empty(&prices->learned);
		learned = malloc(sizeof(*learned));
		if (learned)
			learned->scaled = within(completion_tokens) * LEARN_SCALE;
		if (learned && atl_map_put(&prices->learned, model_id, learned, NULL) != ATL_OK)
			free(learned);
	}
	pthread_mutex_unlock(&prices->lock);
}

/* ---- life ---- */

enum atl_err atl_prices_create(struct atl_app *app, struct atl_prices **ret, struct atl_errinfo *info)
{
	struct atl_prices *self = calloc(1, sizeof(*self));
	struct atl_json *tree;
	enum atl_err err;

	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "prices");
	self->app = app;
	pthread_mutex_init(&self->lock, NULL);
	atl_arena_init(&self->arena, 0);
	atl_map_init(&self->own);
	atl_map_init(&self->learned);
	err = atl_json_parse(&self->arena, atl_price_table_json, strlen(atl_price_table_json), &tree, info);
	if (!err) {
		self->builtin = atl_json_get(tree, "models");
		err = reload(self, info);
	}
	if (err) {
		atl_prices_destroy(self);
		return err;
	}
	*ret = self;
	return ATL_OK;
}

void atl_prices_destroy(struct atl_prices *prices)
{
	if (!prices)
		return;
	empty(&prices->own);
	empty(&prices->learned);
	atl_map_finish(&prices->own);
	atl_map_finish(&prices->learned);
	atl_arena_finish(&prices->arena);
	pthread_mutex_destroy(&prices->lock);
	free(prices);
}

/* ---- the operator's own ---- */

#define COLUMNS "model, input_micro_usd, output_micro_usd, cached_micro_usd, unit, unit_micro_usd, updated_at"

struct work {
	struct atl_arena *arena;
	const struct atl_own_price *price;
	const struct atl_identity *who;
	const char *remote;
	struct atl_own_price *items;
	size_t count;
};

static void read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_own_price *out)
{
	const char *unit = atl_col_text(rows, 4, arena);

	*out = (struct atl_own_price){ atl_col_text(rows, 0, arena), atl_col_int(rows, 1), atl_col_int(rows, 2),
				       atl_col_int(rows, 3), known_unit(unit), atl_col_int(rows, 5), atl_col_int(rows, 6) };
}

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM model_prices ORDER BY model LIMIT ?", "i",
				     (int64_t)ATL_PRICES_MAX);

	w->count = 0;
	while (!err && atl_rows_next(rows, &err, info)) {
		read_row(rows, w->arena, &w->items[w->count]);
		if (w->items[w->count].model)
			w->count++;
	}
	return err;
}

enum atl_err atl_own_price_list(struct atl_app *app, struct atl_arena *arena, struct atl_own_price **ret, size_t *ret_count,
				struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .items = ATL_ARENA_ARRAY(arena, struct atl_own_price, ATL_PRICES_MAX) };
	enum atl_err err = w.items ? atl_db_read(app->db, list_fn, &w, info) : atl_fail(info, ATL_ERR_NOMEM, "prices");

	if (err)
		return err;
	*ret = w.items;
	*ret_count = w.count;
	return ATL_OK;
}

/* "0.15/0.6/0.075 per million tokens, 0.04 per image"; "none" */
static const char *in_words(struct atl_arena *arena, const struct atl_own_price *p)
{
	const char *tokens = "", *unit = "";

	if (p->input_micro_usd >= 0)
		tokens = atl_arena_printf(arena, "%g/%g/%g per million tokens", (double)p->input_micro_usd / MILLION,
					  (double)p->output_micro_usd / MILLION,
					  (double)(p->cached_micro_usd < 0 ? p->input_micro_usd : p->cached_micro_usd) / MILLION);
	if (p->unit)
		unit = atl_arena_printf(arena, "%s%g per %s", *tokens ? ", " : "", (double)p->unit_micro_usd / MILLION, p->unit);
	if (!tokens || !unit)
		return "";
	return *tokens || *unit ? atl_arena_printf(arena, "%s%s", tokens, unit) : "none";
}

static enum atl_err write_row(struct atl_conn *conn, const struct atl_own_price *p, bool there, struct atl_errinfo *info)
{
	int64_t changed;
	enum atl_err err;

	if (p->input_micro_usd < 0 && !p->unit)
		return atl_exec(conn, info, "DELETE FROM model_prices WHERE model = ?", "s", p->model);
	if (there)
		return atl_exec(conn, info,
				"UPDATE model_prices SET input_micro_usd = ?, output_micro_usd = ?, cached_micro_usd = ?, unit = ?, "
				"unit_micro_usd = ?, updated_at = ? WHERE model = ?",
				"iiisiis", p->input_micro_usd, p->output_micro_usd, p->cached_micro_usd, p->unit ? p->unit : "",
				p->unit_micro_usd, atl_now_ms(), p->model);
	err = atl_exec_count(conn, &changed, info,
			     "INSERT INTO model_prices (" COLUMNS ") SELECT ?, ?, ?, ?, ?, ?, ? "
			     "WHERE (SELECT count(*) FROM model_prices) < ?",
			     "siiisiii", p->model, p->input_micro_usd, p->output_micro_usd, p->cached_micro_usd,
			     p->unit ? p->unit : "", p->unit_micro_usd, atl_now_ms(), (int64_t)ATL_PRICES_MAX);
	if (!err && !changed)
		err = atl_fail(info, ATL_ERR_CONFLICT, "There are %d prices already.", ATL_PRICES_MAX);
	return err;
}

static enum atl_err set_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	struct atl_own_price before = { .input_micro_usd = -1, .output_micro_usd = -1, .cached_micro_usd = -1 };
	struct atl_audit row = { .who = w->who, .remote = w->remote, .action = "price.set", .target_kind = "model",
				 .target_id = w->price->model };
	struct atl_rows *rows;
	bool there = false;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM model_prices WHERE model = ?", "s",
				     w->price->model);

	while (!err && atl_rows_next(rows, &err, info)) {
		read_row(rows, w->arena, &before);
		there = true;
	}
	if (!err)
		err = write_row(conn, w->price, there, info);
	row.note = atl_arena_printf(w->arena, "%s -> %s", in_words(w->arena, &before), in_words(w->arena, w->price));
	return err ? err : atl_audit(conn, &row, info);
}

static enum atl_err check(const struct atl_own_price *p, struct atl_errinfo *info)
{
	const int64_t values[] = { p->input_micro_usd, p->output_micro_usd, p->cached_micro_usd, p->unit_micro_usd };

	if (atl_str_empty(p->model) || strlen(p->model) > ATL_MODEL_ID_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "model", "must be the id of a model");
	if (p->input_micro_usd < 0 && (p->output_micro_usd >= 0 || p->cached_micro_usd >= 0))
		return atl_fail_field(info, ATL_ERR_INVALID, "input_micro_usd", "is needed with the price of a reply's tokens");
	for (size_t i = 0; i < ATL_COUNT(values); i++)
		if (values[i] > ATL_PRICE_MICRO_USD_MAX)
			return atl_fail(info, ATL_ERR_INVALID, "A price is at most %lld.", (long long)ATL_PRICE_MICRO_USD_MAX);
	return ATL_OK;
}

enum atl_err atl_own_price_set(struct atl_app *app, const struct atl_identity *who, const char *remote,
			       const struct atl_own_price *price, struct atl_errinfo *info)
{
	struct atl_own_price full = *price;
	struct atl_arena arena;
	struct work w = { .arena = &arena, .price = &full, .who = who, .remote = remote };
	enum atl_err err = check(price, info);

	if (err)
		return err;
	full.unit = known_unit(price->unit);
	if (full.input_micro_usd >= 0 && full.output_micro_usd < 0)
		full.output_micro_usd = 0;
	atl_arena_init(&arena, 0);
	err = atl_db_tx(app->db, set_fn, &w, info);
	if (!err && app->prices)
		err = reload(app->prices, info);
	if (!err)
		atl_model_routes_forget(app->routes);
	atl_arena_finish(&arena);
	return err;
}
