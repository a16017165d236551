/* cost_ceiling.c - see cost_ceiling.h. */
#include "core/books/cost_ceiling.h"

#include <string.h>

#include "base/str.h"
#include "core/books/quota.h"
#include "core/people/user.h"
#include "core/server/setting.h"

#define MILLION 1e6

int64_t atl_cost_server_max(struct atl_app *app)
{
	return atl_setting_int(app, ATL_SETTING_MAX_COST, 0);
}

/* The person's own word; 0: none. */
static int64_t own_max(struct atl_app *app, const char *user_id, struct atl_arena *arena)
{
	struct atl_json *tree;
	const char *json;

	if (atl_user_preferences(app, user_id, arena, &json, NULL) != ATL_OK ||
	    atl_json_parse(arena, json, strlen(json), &tree, NULL) != ATL_OK)
		return 0;
	return atl_json_int(tree, "max_cost_micro_usd", 0);
}

static enum atl_err take(int64_t most, const char *whose, int64_t estimate, int64_t *ceiling, struct atl_errinfo *info)
{
	if (most <= 0)
		return ATL_OK;
	if (estimate > most)
		return atl_fail(info, ATL_ERR_COST, "This would cost about $%.4f; %s ceiling is $%.4f.", (double)estimate / MILLION,
				whose, (double)most / MILLION);
	if (most < *ceiling)
		*ceiling = most;
	return ATL_OK;
}

/* What the tightest quota of money leaves. */
static enum atl_err take_quotas(struct atl_app *app, const struct atl_identity *who, const char *model_id, int64_t estimate,
				int64_t *ceiling, struct atl_errinfo *info)
{
	struct atl_quota_states states;
	enum atl_err err = atl_quota_mine(app, who, &states, info);

	for (size_t i = 0; !err && i < states.count; i++) {
		const struct atl_quota_state *s = &states.items[i];
		int64_t left = s->limit - s->used - s->reserved;

		if (s->kind != ATL_LEDGER_MONEY || (*s->model && !atl_str_eq(s->model, model_id)))
			continue;
		if (left <= 0 || estimate > left)
			err = atl_quota_refuse(s, info);
		else if (left < *ceiling)
			*ceiling = left;
	}
	return err;
}

enum atl_err atl_cost_ceiling(struct atl_app *app, const struct atl_identity *who, const char *model_id, int64_t estimate,
			      int64_t wanted, int64_t *ret_ceiling, struct atl_errinfo *info)
{
	int64_t ceiling = ATL_COST_CEILING_NONE;
	struct atl_arena arena;
	enum atl_err err;

	atl_arena_init(&arena, 0);
	err = take(wanted, "this request's", estimate, &ceiling, info);
	if (!err)
		err = take(own_max(app, who->user_id, &arena), "your own", estimate, &ceiling, info);
	if (!err)
		err = take(atl_cost_server_max(app), "the server's", estimate, &ceiling, info);
	if (!err && (atomic_load(&app->limited) || who->key_budget))
		err = take_quotas(app, who, model_id, estimate, &ceiling, info);
	atl_arena_finish(&arena);
	if (!err)
		*ret_ceiling = ceiling;
	return err;
}
