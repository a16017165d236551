/* setting_history.c - see setting_history.h. */
#include "core/server/setting_history.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"

#define OFF(member) offsetof(struct atl_setting_change, member)
#define OPTIONAL (ATL_JF_REQUIRED | ATL_JF_NULLABLE)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED },
	{ "was", ATL_JT_ANY, OFF(was), OPTIONAL, .doc = "null: not set, or a secret" },
	{ "became", ATL_JT_ANY, OFF(became), OPTIONAL },
	{ "user_id", ATL_JT_STR, OFF(user_id), OPTIONAL, .doc = "null: the server itself" },
	{ "user_name", ATL_JT_STR, OFF(user_name), ATL_JF_REQUIRED },
	{ "revertible", ATL_JT_BOOL, OFF(revertible), ATL_JF_REQUIRED, .doc = "it can be taken back here" },
	{ "at", ATL_JT_TIME, OFF(at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_setting_change_desc = { "SettingChange", "A change of a setting.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_setting_change), ATL_JSON_NO_PRESENT, false };

static bool is_secret(enum atl_setting setting)
{
	return setting == ATL_SETTING_BACKUP;
}

/* Those of Settings, Settings' own page; the others are changed where what follows from them is done. */
static bool is_plain(const char *name)
{
	static const enum atl_setting plain[] = { ATL_SETTING_DEFAULT_MODEL, ATL_SETTING_DEFAULT_PICTURE_MODEL,
						  ATL_SETTING_FALLBACK_MODEL, ATL_SETTING_MATURE_ALLOWED, ATL_SETTING_MAX_COST,
						  ATL_SETTING_FEATURES_OFF, ATL_SETTING_PICTURE_CHECK,
						  ATL_SETTING_PICTURE_CHECK_THRESHOLD };

	for (size_t i = 0; i < ATL_COUNT(plain); i++)
		if (atl_str_eq(atl_setting_name(plain[i]), name))
			return true;
	return false;
}

enum atl_err atl_setting_history_in(struct atl_conn *conn, const struct atl_identity *who, enum atl_setting setting, const char *was,
				    const char *became, struct atl_errinfo *info)
{
	char id[ATL_ID_SIZE];

	if (!is_secret(setting) && atl_str_eq(was, became))
		return ATL_OK;
	atl_id_new("sch", id);
	return atl_exec(conn, info,
			"INSERT INTO setting_changes (id, name, was, became, user_id, user_name, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
			"ssssssi", id, atl_setting_name(setting), is_secret(setting) ? NULL : was,
			is_secret(setting) ? NULL : became, who && atl_identity_signed_in(who) ? who->user_id : NULL,
			who ? who->user_name : "", atl_now_ms());
}

struct query {
	struct atl_arena *arena;
	const char *id; /* NULL: all */
	struct atl_setting_change *items;
	const char *was; /* of the one */
	size_t count;
};

static const struct atl_json *value_of(struct atl_arena *arena, const char *text)
{
	struct atl_json *tree;

	if (!text || atl_json_parse(arena, text, strlen(text), &tree, NULL) != ATL_OK)
		return NULL;
	return tree;
}

static enum atl_err read_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct query *q = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, name, was, became, user_id, user_name, at FROM setting_changes "
				     "WHERE (? = '' OR id = ?) ORDER BY id DESC LIMIT ?",
				     "ssi", q->id ? q->id : "", q->id ? q->id : "", (int64_t)ATL_SETTING_HISTORY_MAX);

	q->count = 0;
	while (!err && atl_rows_next(rows, &err, info)) {
		struct atl_setting_change *c = &q->items[q->count++];
		const char *became;

		q->was = atl_col_text(rows, 2, q->arena);
		became = atl_col_text(rows, 3, q->arena);
		*c = (struct atl_setting_change){ .id = atl_col_text(rows, 0, q->arena), .name = atl_col_text(rows, 1, q->arena),
						  .was = value_of(q->arena, q->was), .became = value_of(q->arena, became),
						  .user_id = atl_col_text(rows, 4, q->arena), .user_name = atl_col_text(rows, 5, q->arena),
						  .at = atl_col_int(rows, 6) };
		c->revertible = q->was && is_plain(c->name);
	}
	return err;
}

static enum atl_err read_changes(struct atl_app *app, struct query *q, struct atl_errinfo *info)
{
	q->items = ATL_ARENA_ARRAY(q->arena, struct atl_setting_change, ATL_SETTING_HISTORY_MAX);
	return q->items ? atl_db_read(app->db, read_fn, q, info) : atl_fail(info, ATL_ERR_NOMEM, "settings' history");
}

enum atl_err atl_setting_history(struct atl_app *app, struct atl_arena *arena, struct atl_setting_change **ret, size_t *ret_count,
				 struct atl_errinfo *info)
{
	struct query q = { .arena = arena };
	enum atl_err err = read_changes(app, &q, info);

	if (err)
		return err;
	*ret = q.items;
	*ret_count = q.count;
	return ATL_OK;
}

enum atl_err atl_setting_revert(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
				struct atl_errinfo *info)
{
	struct query q = { .arena = arena, .id = id };
	enum atl_err err = read_changes(app, &q, info);

	if (err)
		return err;
	if (!q.count)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such change.");
	if (!q.items[0].revertible)
		return atl_fail(info, ATL_ERR_CONFLICT, "This is changed on its own page.");
	for (int setting = 0; setting < ATL_SETTING_COUNT; setting++)
		if (atl_str_eq(atl_setting_name((enum atl_setting)setting), q.items[0].name))
			return atl_setting_set(app, who, (enum atl_setting)setting, q.was, info);
	return atl_fail(info, ATL_ERR_CONFLICT, "This setting is no longer there.");
}
