/* announcement.c - both are settings; maintenance is also held in app, where every request looks. */
#include "core/server/announcement.h"

#include "base/id.h"
#include "base/str.h"
#include "core/server/peers.h"
#include "core/server/setting.h"

const char *const atl_announcement_kinds[] = { "info", "warning", NULL };

#define OFF(member) offsetof(struct atl_announcement, member)
static const struct atl_json_field fields[] = {
	{ .name = "id", .type = ATL_JT_STR, .offset = OFF(id), .flags = ATL_JF_REQUIRED, .doc = "another with each change" },
	{ .name = "text", .type = ATL_JT_STR, .offset = OFF(text), .flags = ATL_JF_REQUIRED },
	{ .name = "kind", .type = ATL_JT_ENUM, .offset = OFF(kind), .flags = ATL_JF_REQUIRED, .values = atl_announcement_kinds },
};
const struct atl_json_desc atl_announcement_desc = { .name = "Announcement", .fields = fields, .field_count = ATL_COUNT(fields),
						     .size = sizeof(struct atl_announcement),
						     .present_offset = ATL_JSON_NO_PRESENT };

enum atl_err atl_announcement_get(struct atl_app *app, struct atl_arena *arena, const struct atl_announcement **ret,
				  struct atl_errinfo *info)
{
	struct atl_announcement *out = ATL_ARENA_NEW(arena, struct atl_announcement);
	struct atl_json *tree;
	const char *json;
	enum atl_err err = out ? atl_setting_get(app, ATL_SETTING_ANNOUNCEMENT, arena, &json, info)
			       : atl_fail(info, ATL_ERR_NOMEM, "read the announcement");

	*ret = NULL;
	if (!err)
		err = atl_json_parse(arena, json, strlen(json), &tree, info);
	if (err || tree->kind != ATL_JSON_OBJECT)
		return err;
	err = atl_json_decode(arena, tree, &atl_announcement_desc, out, info);
	*ret = err ? NULL : out;
	return err;
}

enum atl_err atl_announcement_set(struct atl_app *app, const struct atl_identity *who, const char *text, const char *kind,
				  struct atl_errinfo *info)
{
	char id[ATL_ID_SIZE];
	struct atl_buf json;
	struct atl_jw w;
	enum atl_err err;

	if (atl_str_empty(text))
		return atl_setting_set(app, who, ATL_SETTING_ANNOUNCEMENT, "null", info);
	atl_id_new("ann", id);
	atl_buf_init(&json, 16384);
	atl_jw_init(&w, &json);
	atl_json_encode(&w, NULL, &atl_announcement_desc, &(struct atl_announcement){ id, text, kind ? kind : "info" });
	err = atl_buf_err(&json, info);
	if (!err)
		err = atl_setting_set(app, who, ATL_SETTING_ANNOUNCEMENT, json.data, info);
	atl_buf_finish(&json);
	return err;
}

void atl_maintenance_load(struct atl_app *app)
{
	atomic_store(&app->maintenance, atl_setting_bool(app, ATL_SETTING_MAINTENANCE, false));
}

enum atl_err atl_maintenance_set(struct atl_app *app, const struct atl_identity *who, bool on, struct atl_errinfo *info)
{
	enum atl_err err = atl_setting_set(app, who, ATL_SETTING_MAINTENANCE, on ? "true" : "false", info);

	if (err)
		return err;
	atomic_store(&app->maintenance, on);
	atl_peers_tell(app->peers, ATL_PEERS_SWITCHES, "");
	return ATL_OK;
}

enum atl_err atl_maintenance_refuses(struct atl_app *app, uint32_t permissions, struct atl_errinfo *info)
{
	if (!atomic_load_explicit(&app->maintenance, memory_order_relaxed) ||
	    (permissions & ATL_PERM_BIT(ATL_PERM_SERVER_MANAGE)))
		return ATL_OK;
	return atl_fail(info, ATL_ERR_UNAVAILABLE, "The server is being worked on. Come back in a while; what you have is safe.");
}
