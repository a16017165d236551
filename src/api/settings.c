/* settings.c - settings of the whole server that are changed in the interface. */
#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/books/cost_ceiling.h"
#include "core/people/rights.h"
#include "core/safety/picture_check.h"
#include "core/server/setting.h"
#include "core/server/setting_history.h"

struct settings {
	uint64_t present;
	const char *default_model, *fallback_model, *default_picture_model;
	bool mature_allowed, verify_public, picture_label;
	int64_t max_cost_micro_usd;
	bool watermark;
	const char *picture_check;
	int64_t picture_check_threshold;
	bool picture_classifier;
	struct atl_strs features_off;
};
static const struct atl_json_field out_fields[] = {
	F_STR(struct settings, default_model, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 1, 300, "model of new conversations"),
	F_STR(struct settings, fallback_model, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 1, 300,
	      "tried when the first one fails before it has said a word"),
	F_STR(struct settings, default_picture_model, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 1, 300, "what Create begins with"),
	F_BOOL(struct settings, mature_allowed, ATL_JF_REQUIRED, "mature text with fictional adults is allowed"),
	F_BOOL(struct settings, verify_public, ATL_JF_REQUIRED, "anybody may ask whether a file was made here, without signing in"),
	F_BOOL(struct settings, picture_label, ATL_JF_REQUIRED, "pictures made here get a visible label, \"AI\", in a corner"),
	F_INT(struct settings, max_cost_micro_usd, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0,
	      "most that one reply or job may cost, in millionths of a US dollar; null: no ceiling"),
	F_BOOL(struct settings, watermark, ATL_JF_REQUIRED, "pictures made here carry an invisible mark"),
	F_ENUM(struct settings, picture_check, ATL_JF_REQUIRED, atl_picture_check_modes,
	       "what is done with pictures that seem to show somebody undressed"),
	F_INT(struct settings, picture_check_threshold, ATL_JF_REQUIRED, ATL_CHECK_THRESHOLD_MIN, ATL_CHECK_THRESHOLD_MAX,
	      "from this score on, in percent"),
	F_BOOL(struct settings, picture_classifier, ATL_JF_REQUIRED, "there is a classifier that judges them"),
	F_STRS(struct settings, features_off, ATL_JF_REQUIRED, 0, 0, "what nobody has, of GET /api/v1/features"),
};
DESC(out_desc, struct settings, "Settings", out_fields);

static const struct atl_json_field in_fields[] = {
	F_STR(struct settings, default_model, ATL_JF_NULLABLE, 1, 300, NULL),
	F_STR(struct settings, fallback_model, ATL_JF_NULLABLE, 1, 300, NULL),
	F_STR(struct settings, default_picture_model, ATL_JF_NULLABLE, 1, 300, NULL),
	F_BOOL(struct settings, mature_allowed, 0, NULL),
	F_BOOL(struct settings, verify_public, 0, NULL),
	F_BOOL(struct settings, picture_label, 0, NULL),
	F_INT(struct settings, max_cost_micro_usd, ATL_JF_NULLABLE, 0, 1e12, NULL),
	F_BOOL(struct settings, watermark, 0, NULL),
	F_ENUM(struct settings, picture_check, ATL_JF_NULLABLE, atl_picture_check_modes,
	       "null: blur where there is a classifier, else off"),
	F_INT(struct settings, picture_check_threshold, 0, ATL_CHECK_THRESHOLD_MIN, ATL_CHECK_THRESHOLD_MAX, NULL),
	F_STRS(struct settings, features_off, 0, 0, ATL_FEATURE_COUNT, "what nobody is to have"),
};
DESC_PATCH(in_desc, struct settings, "SettingsPatch", in_fields);

static void answer(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	const char *names[ATL_FEATURE_COUNT];
	struct settings out = { 0 };

	out.default_model = atl_setting_text(app, ATL_SETTING_DEFAULT_MODEL, &req->arena);
	out.fallback_model = atl_setting_text(app, ATL_SETTING_FALLBACK_MODEL, &req->arena);
	out.default_picture_model = atl_setting_text(app, ATL_SETTING_DEFAULT_PICTURE_MODEL, &req->arena);
	out.max_cost_micro_usd = atl_cost_server_max(app);
	out.mature_allowed = atl_mature_allowed(app);
	out.watermark = atl_setting_bool(app, ATL_SETTING_WATERMARK, true);
	out.picture_label = atl_setting_bool(app, ATL_SETTING_PICTURE_LABEL, false);
	out.picture_check = atl_picture_check_modes[atl_picture_check_mode(app)];
	out.picture_check_threshold = atl_setting_int(app, ATL_SETTING_PICTURE_CHECK_THRESHOLD, 60);
	out.picture_classifier = app->classifier != NULL;
	out.features_off.items = names;
	for (int i = 0; i < ATL_FEATURE_COUNT; i++)
		if (atomic_load(&app->features_off) & ATL_FEATURE_BIT(i))
			names[out.features_off.count++] = atl_feature_name((enum atl_feature)i);
	out.verify_public = atl_setting_bool(app, ATL_SETTING_VERIFY_PUBLIC, false);
	atl_res_json(req, 200, &out_desc, &out);
}

static enum atl_err set_text(struct atl_req *req, enum atl_setting setting, const char *text, struct atl_errinfo *info)
{
	struct atl_buf json;
	struct atl_jw w;
	enum atl_err err;

	atl_buf_init(&json, 8192);
	atl_jw_init(&w, &json);
	atl_jw_str(&w, NULL, text);
	err = atl_buf_err(&json, info);
	if (!err)
		err = atl_setting_set(atl_api_app(req), atl_api_identity(req), setting, json.data, info);
	atl_buf_finish(&json);
	return err;
}

static void handle_patch(struct atl_req *req)
{
	struct settings in;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err && atl_json_has(&in_desc, &in, "default_model"))
		err = set_text(req, ATL_SETTING_DEFAULT_MODEL, in.default_model, &info);
	if (!err && atl_json_has(&in_desc, &in, "fallback_model"))
		err = set_text(req, ATL_SETTING_FALLBACK_MODEL, in.fallback_model, &info);
	if (!err && atl_json_has(&in_desc, &in, "default_picture_model"))
		err = set_text(req, ATL_SETTING_DEFAULT_PICTURE_MODEL, in.default_picture_model, &info);
	if (!err && atl_json_has(&in_desc, &in, "mature_allowed"))
		err = atl_setting_set(atl_api_app(req), atl_api_identity(req), ATL_SETTING_MATURE_ALLOWED,
				      in.mature_allowed ? "true" : "false", &info);
	if (!err && atl_json_has(&in_desc, &in, "verify_public"))
		err = atl_setting_set(atl_api_app(req), atl_api_identity(req), ATL_SETTING_VERIFY_PUBLIC,
				      in.verify_public ? "true" : "false", &info);
	if (!err && atl_json_has(&in_desc, &in, "picture_label"))
		err = atl_setting_set(atl_api_app(req), atl_api_identity(req), ATL_SETTING_PICTURE_LABEL,
				      in.picture_label ? "true" : "false", &info);
	if (!err && atl_json_has(&in_desc, &in, "max_cost_micro_usd"))
		err = atl_setting_set(atl_api_app(req), atl_api_identity(req), ATL_SETTING_MAX_COST,
				      in.max_cost_micro_usd ? atl_arena_printf(&req->arena, "%lld", (long long)in.max_cost_micro_usd) :
							      "null", &info);
	if (!err && atl_json_has(&in_desc, &in, "watermark"))
		err = atl_setting_set(atl_api_app(req), atl_api_identity(req), ATL_SETTING_WATERMARK, in.watermark ? "true" : "false",
				      &info);
	if (!err && atl_json_has(&in_desc, &in, "picture_check"))
		err = set_text(req, ATL_SETTING_PICTURE_CHECK, in.picture_check, &info);
	if (!err && atl_json_has(&in_desc, &in, "picture_check_threshold"))
		err = atl_setting_set(atl_api_app(req), atl_api_identity(req), ATL_SETTING_PICTURE_CHECK_THRESHOLD,
				      atl_arena_printf(&req->arena, "%lld", (long long)in.picture_check_threshold), &info);
	if (!err && atl_json_has(&in_desc, &in, "features_off"))
		err = atl_features_switch(atl_api_app(req), atl_api_identity(req), &in.features_off, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		answer(req);
}

static void handle_history(struct atl_req *req)
{
	struct atl_setting_change *items;
	struct atl_errinfo info = { 0 };
	size_t count;
	enum atl_err err = atl_setting_history(atl_api_app(req), &req->arena, &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_setting_change_desc, items, count, NULL);
}

static void handle_revert(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_setting_revert(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		answer(req);
}

const struct atl_route atl_settings_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/settings/history", .permission = "settings.manage", .handler = handle_history,
	  .tag = "Settings", .summary = "Who changed which setting from what to what, newest first", .out = &atl_setting_change_desc,
	  .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/settings/history/{id}/revert", .permission = "settings.manage",
	  .handler = handle_revert, .tag = "Settings", .summary = "Set a setting as it was before a change", .out = &out_desc },
	{ .method = ATL_GET, .path = "/api/v1/settings", .permission = "settings.manage", .handler = answer,
	  .tag = "Settings", .summary = "Settings of the server", .out = &out_desc },
	{ .method = ATL_PATCH, .path = "/api/v1/settings", .permission = "settings.manage", .handler = handle_patch,
	  .tag = "Settings", .summary = "Change settings", .in = &in_desc, .out = &out_desc },
	{ .path = NULL },
};
