/* setting.h - settings that are changed in the interface, kept in the database: name -> JSON text.
 *
 * The names and their defaults are one table (setting.c).
 *
 * Threads: pool threads. Adding one: a line in ATL_SETTING_LIST and a field of api/settings.c.
 */
#ifndef ATL_CORE_SETTING_H
#define ATL_CORE_SETTING_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

/* name, text, default as JSON */
#define ATL_SETTING_LIST(X)                             \
	X(DEFAULT_MODEL, "default_model", "null")       \
	X(DEFAULT_PICTURE_MODEL, "default_picture_model", "null") \
	X(FALLBACK_MODEL, "fallback_model", "null")     \
	X(PICTURE_LABEL, "picture_label", "false")      \
	X(MATURE_ALLOWED, "mature_allowed", "null")     \
	X(ENGINE, "engine", "null")                     \
	X(STARTERS, "starters", "null")                 \
	X(ANNOUNCEMENT, "announcement", "null")         \
	X(MAINTENANCE, "maintenance", "false")          \
	X(PICTURE_CHECK, "picture_check", "null")       \
	X(WATERMARK, "watermark", "true")               \
	X(PICTURE_CHECK_THRESHOLD, "picture_check_threshold", "60") \
	X(VERIFY_PUBLIC, "verify_public", "false")      \
	X(BACKUP, "backup", "null")                 \
	X(FEATURES_OFF, "features_off", "[]")       \
	X(MAX_COST, "max_cost_micro_usd", "null")   \
	X(SIGN_UP, "sign_up", "{\"mode\":\"invitation\"}")

enum atl_setting {
#define ATL_SETTING_X(name, text, fallback) ATL_SETTING_##name,
	ATL_SETTING_LIST(ATL_SETTING_X)
#undef ATL_SETTING_X
		ATL_SETTING_COUNT
};

const char *atl_setting_name(enum atl_setting setting);
/* JSON text in the arena; the default when nothing was stored. */
enum atl_err atl_setting_get(struct atl_app *app, enum atl_setting setting, struct atl_arena *arena,
			     const char **ret_json, struct atl_errinfo *info) ATL_MUST_USE;
/* `who` NULL: the server itself; else the audit log says that they changed it. */
enum atl_err atl_setting_set(struct atl_app *app, const struct atl_identity *who, enum atl_setting setting, const char *json,
			     struct atl_errinfo *info) ATL_MUST_USE;
/* Features (core/people/rights.h) that nobody has; in app->features_off, which every request is checked with. */
void atl_features_load(struct atl_app *app); /* at start */
enum atl_err atl_features_switch(struct atl_app *app, const struct atl_identity *who, const struct atl_strs *off,
				 struct atl_errinfo *info) ATL_MUST_USE; /* INVALID: an unknown one */
/* For text and switches: NULL / the fallback when it is null or cannot be read. */
const char *atl_setting_text(struct atl_app *app, enum atl_setting setting, struct atl_arena *arena);
int64_t atl_setting_int(struct atl_app *app, enum atl_setting setting, int64_t fallback);
bool atl_setting_bool(struct atl_app *app, enum atl_setting setting, bool fallback);
/* May mature content be shown? The owner's choice, else the configuration. */
bool atl_mature_allowed(struct atl_app *app);
/* ... to this person: their role must have it, too. Nobody (NULL) has it. */
bool atl_mature_for(struct atl_app *app, const struct atl_identity *who);

#endif
