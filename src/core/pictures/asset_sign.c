/* asset_sign.c - addresses of files that work without signing in, for a while.
 *
 * The signature covers the asset's id and the end of its time; the key is made from the master key, so that it is
 * known to all servers of one installation and to nobody else.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/pictures/asset_int.h"

#define SIGNATURE_SIZE 33 /* 16 bytes in hex, and NUL */

static void sign(const struct atl_app *app, const char *id, int64_t until_ms, char out[SIGNATURE_SIZE])
{
	static const char purpose[] = "asset address 1";
	unsigned char key[ATL_SHA256_SIZE], sum[ATL_SHA256_SIZE];
	char text[ATL_ID_SIZE + 32];
	int length = snprintf(text, sizeof text, "%.30s\n%" PRId64, id, until_ms);
	atl_hmac_sha256(app->master_key, ATL_MASTER_KEY_SIZE, purpose, strlen(purpose), key);
	atl_hmac_sha256(key, sizeof key, text, (size_t)length, sum);
	for (size_t i = 0; i < SIGNATURE_SIZE / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", sum[i]);
	atl_wipe(key, sizeof key);
}

const char *atl_asset_signed_url(const struct atl_app *app, struct atl_arena *arena, const char *id, int64_t ttl_ms)
{
	char signature[SIGNATURE_SIZE];
	int64_t until_ms = atl_now_ms() + ttl_ms;
	sign(app, id, until_ms, signature);
	return atl_arena_printf(arena, "%s/f/%s?exp=%" PRId64 "&sig=%s", app->public_url ? app->public_url : "", id,
				until_ms, signature);
}

static enum atl_err check_url(const struct atl_app *app, const char *id, const char *exp, const char *sig,
			      struct atl_errinfo *info)
{
	char signature[SIGNATURE_SIZE];
	int64_t until_ms;
	if (!atl_id_valid(id, "ast") || !exp || !sig || strlen(sig) != SIGNATURE_SIZE - 1 ||
	    !atl_str_i64(exp, 0, INT64_MAX, &until_ms))
		return atl_fail(info, ATL_ERR_NOT_FOUND, "This address is not complete.");
	sign(app, id, until_ms, signature);
	if (!atl_str_eq_secret(signature, sig, SIGNATURE_SIZE - 1))
		return atl_fail(info, ATL_ERR_NOT_FOUND, "This address is not valid.");
	return until_ms > atl_now_ms() ? ATL_OK : atl_fail(info, ATL_ERR_GONE, "The time of this address has passed.");
}

struct any {
	struct atl_arena *arena;
	const char *id;
	struct atl_asset out;
};

static enum atl_err any_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct any *any = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " ATL_ASSET_COLUMNS " FROM assets a WHERE a.id = ? AND a.deleted_at IS NULL AND a.held = 0", "s",
				     any->id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such picture.");
	atl_asset_row(rows, any->arena, &any->out);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_asset_by_address(struct atl_app *app, struct atl_arena *arena, const char *id, const char *exp,
				  const char *sig, struct atl_asset *ret, struct atl_errinfo *info)
{
	struct any any = {.arena = arena, .id = id};
	enum atl_err err = check_url(app, id, exp, sig, info);
	if (!err)
		err = atl_db_read(app->db, any_fn, &any, info);
	if (!err)
		*ret = any.out;
	return err;
}
