/* asset_credentials.c - what is known of where an asset comes from: read from its file, or as it was when it was uploaded. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "core/pictures/asset_int.h"
#include "core/safety/provenance.h"

#define OFF(member) offsetof(struct atl_asset_credentials, member)

static const char *const STATES[] = {"none", "trusted", "valid", "changed", "invalid", "unread", NULL};
static const char *const PLACES[] = {"file", "upload", NULL};
static const struct atl_json_field FIELDS[] = {
	{"state", ATL_JT_ENUM, OFF(state), ATL_JF_REQUIRED, .values = STATES,
	 .doc = "trusted: signed by this server and unchanged; valid: unchanged, by a signer unknown here; unread: there is no "
		"library for it on this server"},
	{"place", ATL_JT_ENUM, OFF(place), ATL_JF_REQUIRED, .values = PLACES,
	 .doc = "read from the file now, or when it was uploaded (what is kept of an upload is written anew)"},
	{"generator", ATL_JT_STR, OFF(generator), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "the program that made it"},
	{"signer", ATL_JT_STR, OFF(signer), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "as its certificate names it"},
	{"source_type", ATL_JT_STR, OFF(source_type), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "IPTC digital source type"},
	{"problem", ATL_JT_STR, OFF(problem), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "C2PA's code of the first failure"},
	{"ai", ATL_JT_BOOL, OFF(ai), ATL_JF_REQUIRED, .doc = "it says that a trained model made it"},
};
const struct atl_json_desc atl_asset_credentials_desc = {"AssetCredentials",
							 "Content Credentials (C2PA) of an asset.",
							 FIELDS,
							 ATL_COUNT(FIELDS),
							 sizeof(struct atl_asset_credentials),
							 ATL_JSON_NO_PRESENT,
							 false};

void atl_asset_credentials_read(struct atl_app *app, struct atl_arena *arena, const char *user_id, const void *data,
				size_t length, struct atl_asset_credentials *ret)
{
	struct atl_credentials_found found;
	struct atl_errinfo info = {0};
	bool own = false;
	enum atl_err err = atl_provenance_check(app, arena, user_id, data, length, &found, &own, &info);

	*ret = (struct atl_asset_credentials){.place = "file", .state = "none"};
	if (err == ATL_ERR_UNSUPPORTED)
		ret->state = "unread";
	else if (err == ATL_ERR_PICTURE)
		ret->state = "invalid";
	else if (err && err != ATL_ERR_NOT_FOUND)
		atl_warn("asset", "read Content Credentials: %s %s", atl_err_name(err), info.detail);
	if (!err)
		*ret = (struct atl_asset_credentials){.place = "file", .state = found.state, .generator = found.generator,
						      .signer = found.signer, .source_type = found.source_type,
						      .problem = found.problem, .ai = found.ai};
}

const char *atl_asset_credentials_note(struct atl_arena *arena, const struct atl_asset_credentials *credentials)
{
	struct atl_asset_credentials kept = *credentials;
	struct atl_buf out;
	struct atl_jw w;

	kept.place = "upload";
	atl_buf_init(&out, ATL_ASSET_CREDENTIALS_MAX);
	atl_jw_init(&w, &out);
	atl_json_encode(&w, NULL, &atl_asset_credentials_desc, &kept);
	const char *text = out.failed ? NULL : atl_arena_strdup(arena, out.data);
	atl_buf_finish(&out);
	return text;
}

struct noted {
	struct atl_arena *arena;
	const char *user_id, *id, *note;
	struct atl_asset asset;
};

static enum atl_err note_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct noted *n = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_asset_get_in(conn, n->arena, n->user_id, n->id, &n->asset, info);
	if (!err)
		err = atl_query(conn, &rows, info, "SELECT credentials FROM assets WHERE id = ?", "s", n->id);
	if (!err && atl_rows_next(rows, &err, info)) {
		n->note = atl_col_text(rows, 0, n->arena);
		atl_rows_close(rows);
	}
	return err;
}

enum atl_err atl_asset_credentials(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				   struct atl_asset_credentials *ret, struct atl_errinfo *info)
{
	struct noted n = {.arena = arena, .user_id = user_id, .id = id};
	struct atl_json *tree;
	const void *data;
	size_t length;
	enum atl_err err = atl_db_read(app->db, note_fn, &n, info);

	*ret = (struct atl_asset_credentials){.place = "file", .state = "none"};
	if (!err && n.note) {
		err = atl_json_parse(arena, n.note, strlen(n.note), &tree, info);
		return err ? err : atl_json_decode(arena, tree, &atl_asset_credentials_desc, ret, info);
	}
	if (err || !atl_str_eq(n.asset.origin, "generated") || n.asset.size_bytes > (int64_t)ATL_CREDENTIALS_FILE_MAX)
		return err;
	err = atl_asset_read(app, arena, &n.asset, &data, &length, info);
	if (!err)
		atl_asset_credentials_read(app, arena, user_id, data, length, ret);
	return err;
}
