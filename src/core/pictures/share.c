/* share.c - see share.h. */
#include "core/pictures/share.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "core/pictures/asset_int.h"

#define OFF(member) offsetof(struct atl_share, member)
#define FRONT 8 /* characters of the key that the index knows */
#define SHARE_COLUMNS                                                                                             \
	"s.share_key, s.asset_id, s.with_metadata, s.uses, s.uses_max, s.created_at, s.expires_at, s.revoked_at"
#define SHARE_COLUMN_COUNT 8
#define LIST_MAX 200

static const struct atl_json_field FIELDS[] = {
	{"key", ATL_JT_STR, OFF(key), ATL_JF_REQUIRED},
	{"url", ATL_JT_STR, OFF(url), ATL_JF_REQUIRED},
	{"asset_id", ATL_JT_STR, OFF(asset_id), ATL_JF_REQUIRED},
	{"with_metadata", ATL_JT_BOOL, OFF(with_metadata), ATL_JF_REQUIRED},
	{"uses", ATL_JT_INT, OFF(uses), ATL_JF_REQUIRED},
	{"uses_max", ATL_JT_INT, OFF(uses_max), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED},
	{"expires_at", ATL_JT_TIME, OFF(expires_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"revoked_at", ATL_JT_TIME, OFF(revoked_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
};
const struct atl_json_desc atl_share_desc = {"Share",
					     "A link to an asset for people without an account.",
					     FIELDS,
					     ATL_COUNT(FIELDS),
					     sizeof(struct atl_share),
					     ATL_JSON_NO_PRESENT,
					     false};

struct work {
	struct atl_app *app;
	struct atl_arena *arena;
	const char *user_id, *key, *asset_id;
	const struct atl_share_new *share;
	bool count;
	int64_t now_ms;
	struct atl_share out, *items;
	struct atl_asset asset;
	size_t item_count;
};

static void read_row(struct atl_rows *rows, const struct atl_app *app, struct atl_arena *arena, struct atl_share *out)
{
	*out = (struct atl_share){.key = atl_col_text(rows, 0, arena),
				  .asset_id = atl_col_text(rows, 1, arena),
				  .with_metadata = atl_col_int(rows, 2) != 0,
				  .uses = atl_col_int(rows, 3),
				  .uses_max = atl_col_int(rows, 4),
				  .created_at = atl_col_int(rows, 5),
				  .expires_at = atl_col_int(rows, 6),
				  .revoked_at = atl_col_int(rows, 7)};
	out->url = atl_arena_printf(arena, "%s/s/%s", app->public_url ? app->public_url : "", out->key ? out->key : "");
}

/* ---- for the owner ---- */

static enum atl_err create_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	const struct atl_share_new *s = w->share;
	int64_t changed = 0;
	enum atl_err err = atl_asset_get_in(conn, w->arena, w->user_id, s->asset_id, &w->asset, info);
	if (!err && w->asset.held)
		err = atl_fail(info, ATL_ERR_FORBIDDEN, "Moderators decided that this picture is not for others.");
	if (!err && (w->asset.deleted_at || !w->asset.library))
		err = atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such picture in the library.");
	if (!err)
		err = atl_exec_count(conn, &changed, info,
				     "INSERT INTO share_links (share_key, user_id, asset_id, with_metadata, uses, uses_max, "
				     "created_at, expires_at) SELECT ?, ?, ?, ?, 0, ?, ?, ? WHERE (SELECT count(*) FROM share_links "
				     "WHERE user_id = ? AND revoked_at IS NULL) < ?",
				     "sssititsi", w->key, w->user_id, s->asset_id, (int64_t)s->with_metadata, s->uses_max,
				     w->now_ms, s->expires_at, w->user_id, (int64_t)ATL_SHARES_MAX);
	if (!err && !changed)
		err = atl_fail(info, ATL_ERR_CONFLICT, "There are %d links already. Revoke some first.", ATL_SHARES_MAX);
	return err;
}

enum atl_err atl_share_create(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			      const struct atl_share_new *share, struct atl_share *ret, struct atl_errinfo *info)
{
	unsigned char random[16];
	struct atl_buf text;
	struct work w = {.arena = arena, .user_id = user_id, .share = share, .now_ms = atl_now_ms()};
	if (share->expires_at && share->expires_at <= w.now_ms)
		return atl_fail_field(info, ATL_ERR_INVALID, "expires_at", "has passed already");
	atl_random(random, sizeof random);
	atl_buf_init(&text, 64);
	atl_base64_encode(&text, ATL_BASE64_URL, random, sizeof random);
	w.key = atl_arena_strdup(arena, text.data);
	enum atl_err err = atl_buf_err(&text, info);
	atl_buf_finish(&text);
	if (!err && !w.key)
		err = atl_fail(info, ATL_ERR_NOMEM, "share");
	if (!err)
		err = atl_db_tx(app->db, create_fn, &w, info);
	if (!err)
		*ret = (struct atl_share){
			.key = w.key,
			.url = atl_arena_printf(arena, "%s/s/%s", app->public_url ? app->public_url : "", w.key),
			.asset_id = share->asset_id,
			.with_metadata = share->with_metadata,
			.uses_max = share->uses_max,
			.created_at = w.now_ms,
			.expires_at = share->expires_at};
	return err;
}

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " SHARE_COLUMNS " FROM share_links s WHERE s.user_id = ? "
				     "AND (? IS NULL OR s.asset_id = ?) AND s.revoked_at IS NULL "
				     "ORDER BY s.created_at DESC, s.share_key LIMIT ?",
				     "sssi", w->user_id, w->asset_id, w->asset_id, (int64_t)LIST_MAX);
	if (err)
		return err;
	w->item_count = 0;
	while (atl_rows_next(rows, &err, info))
		read_row(rows, w->app, w->arena, &w->items[w->item_count++]);
	return err;
}

enum atl_err atl_share_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *asset_id,
			    struct atl_items *ret, struct atl_errinfo *info)
{
	struct work w = {.app = app, .arena = arena, .user_id = user_id, .asset_id = asset_id};
	w.items = ATL_ARENA_ARRAY(arena, struct atl_share, LIST_MAX);
	if (!w.items)
		return atl_fail(info, ATL_ERR_NOMEM, "list");
	enum atl_err err = atl_db_read(app->db, list_fn, &w, info);
	if (!err)
		*ret = (struct atl_items){w.items, w.item_count};
	return err;
}

static enum atl_err revoke_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE share_links SET revoked_at = ? WHERE share_key = ? AND user_id = ? "
					  "AND revoked_at IS NULL",
					  "iss", w->now_ms, w->key, w->user_id);
	return !err && !changed ? atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such link.") : err;
}

enum atl_err atl_share_revoke(struct atl_app *app, const char *user_id, const char *key, struct atl_errinfo *info)
{
	struct work w = {.user_id = user_id, .key = key, .now_ms = atl_now_ms()};
	return atl_db_tx(app->db, revoke_fn, &w, info);
}

/* ---- for whoever has the key ---- */

static enum atl_err find(struct atl_conn *conn, struct work *w, struct atl_errinfo *info)
{
	char front[FRONT + 1];
	struct atl_rows *rows;
	bool found = false;
	snprintf(front, sizeof front, "%s", w->key);
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " SHARE_COLUMNS ", " ATL_ASSET_COLUMNS
				     " FROM share_links s JOIN assets a ON a.id = s.asset_id "
				     "WHERE substr(s.share_key, 1, 8) = ? AND a.deleted_at IS NULL AND a.held = 0",
				     "s", front);
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		struct atl_share share;
		read_row(rows, w->app, w->arena, &share);
		if (!share.key || strlen(share.key) != ATL_SHARE_KEY_SIZE - 1 ||
		    !atl_str_eq_secret(share.key, w->key, ATL_SHARE_KEY_SIZE - 1))
			continue;
		found = true;
		w->out = share;
		atl_asset_row_at(rows, SHARE_COLUMN_COUNT, w->arena, &w->asset);
	}
	if (err)
		return err;
	return found ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such link.");
}

enum atl_err atl_share_target_in(struct atl_conn *conn, struct atl_app *app, struct atl_arena *arena, const char *key,
				 struct atl_asset *ret, struct atl_errinfo *info)
{
	struct work w = {.app = app, .arena = arena, .key = key};
	enum atl_err err = strlen(key) == ATL_SHARE_KEY_SIZE - 1 ? find(conn, &w, info)
								 : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such link.");
	if (!err)
		*ret = w.asset;
	return err;
}

static enum atl_err open_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	enum atl_err err = find(conn, w, info);
	if (err)
		return err;
	if (w->out.revoked_at)
		return atl_fail(info, ATL_ERR_GONE, "This link was taken back.");
	if (w->out.expires_at && w->out.expires_at <= w->now_ms)
		return atl_fail(info, ATL_ERR_GONE, "The time of this link has passed.");
	if (!w->count)
		return ATL_OK;
	if (w->out.uses_max && w->out.uses >= w->out.uses_max)
		return atl_fail(info, ATL_ERR_GONE, "This link has been used as often as it may be.");
	return atl_exec(conn, info, "UPDATE share_links SET uses = uses + 1 WHERE share_key = ?", "s", w->key);
}

static enum atl_err open_link(struct atl_app *app, struct atl_arena *arena, const char *key, bool count,
			      struct atl_share *ret, struct atl_asset *ret_asset, struct atl_errinfo *info)
{
	struct work w = {.app = app, .arena = arena, .key = key, .count = count, .now_ms = atl_now_ms()};
	if (strlen(key) != ATL_SHARE_KEY_SIZE - 1)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such link.");
	enum atl_err err = count ? atl_db_tx(app->db, open_fn, &w, info) : atl_db_read(app->db, open_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	*ret_asset = w.asset;
	return ATL_OK;
}

enum atl_err atl_share_open(struct atl_app *app, struct atl_arena *arena, const char *key, struct atl_share *ret,
			    struct atl_asset *ret_asset, struct atl_errinfo *info)
{
	return open_link(app, arena, key, true, ret, ret_asset, info);
}

static const char *ticket_until(const struct atl_app *app, struct atl_arena *arena, const char *key, int64_t until_ms)
{
	static const char purpose[] = "share ticket 1";
	unsigned char secret[ATL_SHA256_SIZE], sum[ATL_SHA256_SIZE];
	char text[64];
	struct atl_buf hex;
	int length = snprintf(text, sizeof text, "%.22s\n%" PRId64, key, until_ms);
	atl_hmac_sha256(app->master_key, ATL_MASTER_KEY_SIZE, purpose, strlen(purpose), secret);
	atl_hmac_sha256(secret, sizeof secret, text, (size_t)length, sum);
	atl_wipe(secret, sizeof secret);
	atl_buf_init(&hex, 64);
	atl_base64_encode(&hex, ATL_BASE64_URL, sum, 16);
	const char *ticket = hex.failed ? NULL : atl_arena_printf(arena, "%" PRId64 ".%s", until_ms, hex.data);
	atl_buf_finish(&hex);
	return ticket;
}

const char *atl_share_ticket(const struct atl_app *app, struct atl_arena *arena, const char *key)
{
	return ticket_until(app, arena, key, atl_now_ms() + ATL_SHARE_TICKET_MS);
}

enum atl_err atl_share_open_ticket(struct atl_app *app, struct atl_arena *arena, const char *key, const char *ticket,
				   struct atl_share *ret, struct atl_asset *ret_asset, struct atl_errinfo *info)
{
	size_t digits = strspn(ticket, "0123456789");
	const char *until = atl_arena_strndup(arena, ticket, digits), *wanted;
	int64_t until_ms;
	if (!until || !atl_str_i64(until, 0, INT64_MAX, &until_ms) || strlen(key) != ATL_SHARE_KEY_SIZE - 1)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "This address is not complete.");
	wanted = ticket_until(app, arena, key, until_ms);
	if (!wanted)
		return atl_fail(info, ATL_ERR_NOMEM, "share");
	if (strlen(wanted) != strlen(ticket) || !atl_str_eq_secret(wanted, ticket, strlen(wanted)))
		return atl_fail(info, ATL_ERR_NOT_FOUND, "This address is not valid.");
	if (until_ms <= atl_now_ms())
		return atl_fail(info, ATL_ERR_GONE, "Open the link again.");
	return open_link(app, arena, key, false, ret, ret_asset, info);
}
