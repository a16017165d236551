/* idempotency.c - SQL of Idempotency-Key. A row with status HELD is a reservation, one with status FREE was given back
 * after something had been made; the response of both is the id of what was made, or empty. Others hold an answer. */
#include "core/server/idempotency.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/str.h"

#define HELD 0
#define FREE 1

struct access {
	const char *user_id, *key, *response;
	char hash[ATL_SHA256_SIZE * 2 + 1];
	int64_t now;
	int status;
	struct atl_arena *arena;
	struct atl_idempotent result;
};

static enum atl_err begin_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct access *access = arg;
	struct atl_rows *rows;
	const char *hash, *response;
	int64_t status, since;
	int64_t created = 0;
	enum atl_err err;

	memset(&access->result, 0, sizeof(access->result));
	err = atl_exec(conn, info,
		       "DELETE FROM idempotency_keys WHERE user_id = ? AND idempotency_key = ? "
		       "AND (created_at <= ? OR (status = 0 AND response = '' AND created_at <= ?))",
		       "ssii", access->user_id, access->key, access->now - ATL_IDEMPOTENCY_KEEP_MS,
		       access->now - ATL_IDEMPOTENCY_PENDING_MS);
	if (!err)
		err = atl_exec_count(conn, &created, info,
				     "INSERT INTO idempotency_keys (user_id, idempotency_key, request_hash, status, response, "
				     "created_at) VALUES (?, ?, ?, 0, '', ?) ON CONFLICT (user_id, idempotency_key) DO NOTHING",
				     "sssi", access->user_id, access->key, access->hash, access->now);
	if (err || created > 0)
		return err;
	err = atl_query(conn, &rows, info,
			"SELECT request_hash, status, response, created_at FROM idempotency_keys "
			"WHERE user_id = ? AND idempotency_key = ?",
			"ss", access->user_id, access->key);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_DB, "the idempotency key vanished");
	hash = atl_col_text(rows, 0, access->arena);
	status = atl_col_int(rows, 1);
	response = atl_col_text(rows, 2, access->arena);
	since = atl_col_int(rows, 3);
	atl_rows_close(rows);
	if (!hash || !response)
		return atl_fail(info, ATL_ERR_NOMEM, "read idempotency key");
	if (!atl_str_eq(hash, access->hash))
		return atl_fail_field(info, ATL_ERR_UNPROCESSABLE, "Idempotency-Key",
				      "This Idempotency-Key was used for another request.");
	if (status == HELD && (!*response || since > access->now - ATL_IDEMPOTENCY_PENDING_MS))
		return atl_fail_field(info, ATL_ERR_CONFLICT, "Idempotency-Key",
				      "The first request with this Idempotency-Key is still being worked on.");
	if (status == HELD || status == FREE) {
		access->result.made_id = response;
		return atl_exec(conn, info,
				"UPDATE idempotency_keys SET status = 0, created_at = ? WHERE user_id = ? AND idempotency_key = ?",
				"iss", access->now, access->user_id, access->key);
	}
	access->result.replay = true;
	access->result.status = (int)status;
	access->result.response = response;
	return ATL_OK;
}

static void hash_request(const char *method, const char *path, const char *body, size_t length,
			 char out[ATL_SHA256_SIZE * 2 + 1])
{
	unsigned char hash[ATL_SHA256_SIZE];
	struct atl_sha256 ctx;

	atl_sha256_begin(&ctx);
	atl_sha256_add(&ctx, method, strlen(method) + 1); /* with the NUL, so that the parts cannot shift */
	atl_sha256_add(&ctx, path, strlen(path) + 1);
	atl_sha256_add(&ctx, body, length);
	atl_sha256_end(&ctx, hash);
	atl_hex_encode(hash, sizeof(hash), out);
}

enum atl_err atl_idempotency_begin(struct atl_app *app, const char *user_id, const char *key, const char *method,
				   const char *path, const char *body, size_t body_length, struct atl_arena *arena,
				   struct atl_idempotent *ret, struct atl_errinfo *info)
{
	struct access access = { .user_id = user_id, .key = key, .now = atl_now_ms(), .arena = arena };
	size_t length = strlen(key);
	enum atl_err err;

	if (length == 0 || length > ATL_IDEMPOTENCY_KEY_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "Idempotency-Key", "An Idempotency-Key has 1 to %d characters.",
				      ATL_IDEMPOTENCY_KEY_MAX);
	for (size_t i = 0; i < length; i++)
		if (key[i] < 0x21 || key[i] > 0x7e)
			return atl_fail_field(info, ATL_ERR_INVALID, "Idempotency-Key",
					      "An Idempotency-Key has visible ASCII characters only.");
	hash_request(method, path, body, body_length, access.hash);
	err = atl_db_tx(app->db, begin_tx, &access, info);
	if (!err)
		*ret = access.result;
	return err;
}

static enum atl_err finish_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct access *access = arg;

	return atl_exec(conn, info,
			"UPDATE idempotency_keys SET status = ?, response = ? WHERE user_id = ? AND idempotency_key = ?",
			"isss", (int64_t)access->status, access->response, access->user_id, access->key);
}

enum atl_err atl_idempotency_finish(struct atl_app *app, const char *user_id, const char *key, int status,
				    const char *response, struct atl_errinfo *info)
{
	struct access access = { .user_id = user_id, .key = key, .status = status, .response = response };

	if (strlen(response) > ATL_IDEMPOTENCY_ANSWER_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "the answer is too large to be kept");
	return atl_db_tx(app->db, finish_tx, &access, info);
}

static enum atl_err abandon_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct access *access = arg;
	enum atl_err err = atl_exec(conn, info,
				    "DELETE FROM idempotency_keys WHERE user_id = ? AND idempotency_key = ? AND status = 0 "
				    "AND response = ''",
				    "ss", access->user_id, access->key);

	return err ? err
		   : atl_exec(conn, info,
			      "UPDATE idempotency_keys SET status = 1 WHERE user_id = ? AND idempotency_key = ? AND status = 0",
			      "ss", access->user_id, access->key);
}

void atl_idempotency_abandon(struct atl_app *app, const char *user_id, const char *key)
{
	struct access access = { .user_id = user_id, .key = key };
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_db_tx(app->db, abandon_tx, &access, &info);

	if (err) /* it is given up by itself after ATL_IDEMPOTENCY_PENDING_MS */
		atl_warn("idempotency", "give a key back: %s %s", atl_err_name(err), info.detail);
}

enum atl_err atl_idempotency_made_in(struct atl_conn *conn, const char *user_id, const char *key, const char *id,
				     struct atl_errinfo *info)
{
	if (!key)
		return ATL_OK;
	return atl_exec(conn, info,
			"UPDATE idempotency_keys SET response = ? WHERE user_id = ? AND idempotency_key = ? AND status = 0 "
			"AND response = ''",
			"sss", id, user_id, key);
}

static enum atl_err recover_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	enum atl_err err = atl_exec(conn, info, "DELETE FROM idempotency_keys WHERE status = 0 AND response = ''", "");

	(void)arg;
	return err ? err : atl_exec(conn, info, "UPDATE idempotency_keys SET status = 1 WHERE status = 0", "");
}

enum atl_err atl_idempotency_recover(struct atl_app *app, struct atl_errinfo *info)
{
	return atl_db_tx(app->db, recover_tx, NULL, info);
}

static enum atl_err purge_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "DELETE FROM idempotency_keys WHERE created_at <= ?", "i", *(int64_t *)arg);
}

enum atl_err atl_idempotency_purge(struct atl_app *app, struct atl_errinfo *info)
{
	int64_t limit = atl_now_ms() - ATL_IDEMPOTENCY_KEEP_MS;

	return atl_db_tx(app->db, purge_tx, &limit, info);
}
