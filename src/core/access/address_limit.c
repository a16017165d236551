/* address_limit.c - see address_limit.h. */
#include "core/access/address_limit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define HOUR_MS ((int64_t)60 * 60 * 1000)

struct limit {
	char tag[ATL_SHA256_SIZE + 1];
	int64_t hour, used;
};

/* An IPv6 customer has a /64 at least. */
static void tag_of(const struct atl_app *app, const char *what, const char *remote, char out[ATL_SHA256_SIZE + 1])
{
	unsigned char sum[ATL_SHA256_SIZE];
	char text[256];
	size_t length = strlen(remote);
	unsigned colons = 0;

	if (!strchr(remote, '.'))
		for (size_t i = 0; remote[i]; i++)
			if (remote[i] == ':' && (++colons == 4 || (i > 0 && remote[i - 1] == ':'))) {
				length = i;
				break;
			}
	snprintf(text, sizeof(text), "address limit 1\n%s\n%.*s", what, (int)length, remote);
	atl_hmac_sha256(app->master_key, ATL_MASTER_KEY_SIZE, text, strlen(text), sum);
	for (size_t i = 0; i < ATL_SHA256_SIZE / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

static enum atl_err count_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct limit *limit = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_exec(conn, info,
				    "INSERT INTO address_tries (tag, hour, used) VALUES (?, ?, 1) "
				    "ON CONFLICT (tag, hour) DO UPDATE SET used = address_tries.used + 1",
				    "si", limit->tag, limit->hour);

	if (!err)
		err = atl_query(conn, &rows, info, "SELECT used FROM address_tries WHERE tag = ? AND hour = ?", "si", limit->tag,
				limit->hour);
	while (!err && atl_rows_next(rows, &err, info))
		limit->used = atl_col_int(rows, 0);
	return err;
}

enum atl_err atl_address_limit(struct atl_app *app, const char *what, const char *remote, int64_t most, struct atl_errinfo *info)
{
	int64_t now = atl_now_ms();
	struct limit limit = { .hour = now / HOUR_MS };
	enum atl_err err;

	tag_of(app, what, remote ? remote : "", limit.tag);
	err = atl_db_tx(app->db, count_fn, &limit, info);
	if (err || limit.used <= most)
		return err;
	err = atl_fail(info, ATL_ERR_THROTTLED, "From this address that was done %" PRId64 " times within the hour.", most);
	if (info)
		info->retry_after_s = (int)((HOUR_MS - now % HOUR_MS + 999) / 1000);
	return err;
}

enum atl_err atl_address_limit_purge_in(struct atl_conn *conn, int64_t now_ms, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "DELETE FROM address_tries WHERE hour < ?", "i", now_ms / HOUR_MS - 1);
}
