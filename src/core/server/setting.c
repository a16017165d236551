/* setting.c - SQL of the settings changed in the interface. */
#include "core/server/setting.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "core/models/model_route.h"
#include "core/people/audit.h"
#include "core/people/rights.h"
#include "core/server/events.h"
#include "core/server/setting_history.h"
#include "db/db.h"

static const struct {
	const char *name, *fallback;
} settings[ATL_SETTING_COUNT] = {
#define ATL_SETTING_X(name, text, fallback) [ATL_SETTING_##name] = { text, fallback },
	ATL_SETTING_LIST(ATL_SETTING_X)
#undef ATL_SETTING_X
};

const char *atl_setting_name(enum atl_setting setting)
{
	return settings[setting].name;
}

struct access {
	const struct atl_identity *who;
	enum atl_setting setting;
	struct atl_arena *arena;
	const char *json;
};

static enum atl_err get_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct access *access = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT value FROM settings WHERE name = ?", "s",
				     settings[access->setting].name);

	access->json = settings[access->setting].fallback;
	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		access->json = atl_col_text(rows, 0, access->arena);
		atl_rows_close(rows);
	}
	if (!err && !access->json)
		return atl_fail(info, ATL_ERR_NOMEM, "read setting");
	return err;
}

enum atl_err atl_setting_get(struct atl_app *app, enum atl_setting setting, struct atl_arena *arena,
			     const char **ret_json, struct atl_errinfo *info)
{
	struct access access = { .setting = setting, .arena = arena };
	enum atl_err err = atl_db_read(app->db, get_read, &access, info);

	if (!err)
		*ret_json = access.json;
	return err;
}

static enum atl_err set_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct access *access = arg;
	struct atl_arena arena;
	struct access before = { .setting = access->setting, .arena = &arena };
	enum atl_err err;

	atl_arena_init(&arena, 0);
	err = get_read(conn, &before, info);
	if (!err)
		err = atl_setting_history_in(conn, access->who, access->setting, before.json, access->json, info);
	atl_arena_finish(&arena);
	if (err)
		return err;
	return atl_exec(conn, info,
			"INSERT INTO settings (name, value, updated_at) VALUES (?, ?, ?) "
			"ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
			"ssi", settings[access->setting].name, access->json, atl_now_ms());
}

enum atl_err atl_setting_set(struct atl_app *app, const struct atl_identity *who, enum atl_setting setting, const char *json,
			     struct atl_errinfo *info)
{
	struct access access = { .who = who, .setting = setting, .json = json };
	const struct atl_audit audit = { .who = who, .action = "setting.change", .target_kind = "setting",
					 .target_id = settings[setting].name };
	enum atl_err err = atl_audit_tx(app->db, set_tx, &access, who ? &audit : NULL, info);

	if (!err && (setting == ATL_SETTING_DEFAULT_MODEL || setting == ATL_SETTING_FALLBACK_MODEL))
		atl_model_routes_forget(app->routes);
	if (!err && setting == ATL_SETTING_DEFAULT_PICTURE_MODEL)
		atl_events_publish_all(app->events, "picture_models.changed", "{}", 2);
	if (!err && setting == ATL_SETTING_FEATURES_OFF)
		atl_features_load(app);
	return err;
}

static const struct atl_json *get_tree(struct atl_app *app, enum atl_setting setting, struct atl_arena *arena)
{
	struct atl_errinfo info = { 0 };
	struct atl_json *tree;
	const char *json;
	enum atl_err err = atl_setting_get(app, setting, arena, &json, &info);

	if (!err)
		err = atl_json_parse(arena, json, strlen(json), &tree, &info);
	if (err) {
		atl_error("setting", "read %s: %s %s", settings[setting].name, atl_err_name(err), info.detail);
		return NULL;
	}
	return tree;
}

const char *atl_setting_text(struct atl_app *app, enum atl_setting setting, struct atl_arena *arena)
{
	const struct atl_json *tree = get_tree(app, setting, arena);

	return tree && tree->kind == ATL_JSON_STRING ? tree->string : NULL;
}

int64_t atl_setting_int(struct atl_app *app, enum atl_setting setting, int64_t fallback)
{
	const struct atl_json *tree;
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	tree = get_tree(app, setting, &arena);
	if (tree && tree->kind == ATL_JSON_NUMBER && tree->is_integer)
		fallback = tree->integer;
	atl_arena_finish(&arena);
	return fallback;
}

bool atl_setting_bool(struct atl_app *app, enum atl_setting setting, bool fallback)
{
	const struct atl_json *tree;
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	tree = get_tree(app, setting, &arena);
	if (tree && tree->kind == ATL_JSON_BOOL)
		fallback = tree->number != 0;
	atl_arena_finish(&arena);
	return fallback;
}

bool atl_mature_for(struct atl_app *app, const struct atl_identity *who)
{
	return who && who->mature && atl_mature_allowed(app);
}

bool atl_mature_allowed(struct atl_app *app)
{
	return atl_setting_bool(app, ATL_SETTING_MATURE_ALLOWED, app->mature_default);
}

/* ---- features for nobody ---- */

void atl_features_load(struct atl_app *app)
{
	const struct atl_json *tree;
	enum atl_feature feature;
	struct atl_arena arena;
	uint32_t off = 0;

	atl_arena_init(&arena, 0);
	tree = get_tree(app, ATL_SETTING_FEATURES_OFF, &arena);
	for (const struct atl_json *item = tree && tree->kind == ATL_JSON_ARRAY ? tree->child : NULL; item; item = item->next)
		if (item->kind == ATL_JSON_STRING && atl_feature_find(item->string, &feature))
			off |= ATL_FEATURE_BIT(feature);
	atl_arena_finish(&arena);
	if (tree) /* not readable: as it was */
		atomic_store(&app->features_off, off);
}

enum atl_err atl_features_switch(struct atl_app *app, const struct atl_identity *who, const struct atl_strs *off,
				 struct atl_errinfo *info)
{
	enum atl_feature feature;
	enum atl_err err = ATL_OK;
	uint32_t bits = 0;
	struct atl_buf json;
	struct atl_jw w;

	for (size_t i = 0; i < off->count; i++) {
		if (!atl_feature_find(off->items[i], &feature))
			return atl_fail_field(info, ATL_ERR_INVALID, "features_off", "there is no feature \"%s\"", off->items[i]);
		bits |= ATL_FEATURE_BIT(feature);
	}
	atl_buf_init(&json, 8192);
	atl_jw_init(&w, &json);
	atl_jw_array(&w, NULL);
	for (int i = 0; i < ATL_FEATURE_COUNT; i++) /* in one order, so that the same choice is the same text */
		if (bits & ATL_FEATURE_BIT(i))
			atl_jw_str(&w, NULL, atl_feature_name((enum atl_feature)i));
	atl_jw_end_array(&w);
	err = atl_buf_err(&json, info);
	if (!err)
		err = atl_setting_set(app, who, ATL_SETTING_FEATURES_OFF, json.data, info);
	atl_buf_finish(&json);
	return err;
}
