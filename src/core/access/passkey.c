/* passkey.c - see passkey.h. What a passkey's bytes mean is webauthn.c's. */
#include "core/access/passkey.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "db/db.h"

#define HASH_SIZE (ATL_SHA256_SIZE * 2 + 1)

struct work {
	const struct atl_identity *who;
	struct atl_arena *arena;
	const struct atl_passkey_answer *answer;
	const char *user_id, *id, *name;
	const char *challenge;
	char hash[HASH_SIZE];
	int64_t now;
	struct atl_passkey *rows;
	size_t count;
	struct atl_webauthn_key key;
	const char *credential_id, *public_key, *found_user; /* base64url */
	char new_id[ATL_ID_SIZE];
};

static const char *base64url(struct atl_arena *arena, const void *data, size_t length)
{
	struct atl_buf out;
	const char *text = NULL;

	atl_buf_init(&out, 4096);
	atl_base64_encode(&out, ATL_BASE64_URL, data, length);
	if (!out.failed)
		text = atl_arena_strdup(arena, out.data);
	atl_buf_finish(&out);
	return text;
}

/* ---- challenges ---- */

static enum atl_err challenge_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	int64_t count = 0;
	struct atl_rows *rows;
	enum atl_err err = atl_exec(conn, info, "DELETE FROM passkey_challenges WHERE expires_at <= ?", "i", w->now);

	if (!err)
		err = atl_query(conn, &rows, info, "SELECT count(*) FROM passkey_challenges", "");
	if (!err && atl_rows_next(rows, &err, info)) {
		count = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	if (!err && count >= ATL_PASSKEY_CHALLENGES_MAX)
		err = atl_fail(info, ATL_ERR_THROTTLED, "Too many sign-ins are under way. Wait a moment.");
	return err ? err :
		     atl_exec(conn, info, "INSERT INTO passkey_challenges (challenge_hash, user_id, session_id, expires_at) VALUES (?, ?, ?, ?)",
			      "sssi", w->hash, w->who ? w->who->user_id : NULL, w->who ? w->who->session_id : NULL,
			      w->now + ATL_PASSKEY_CHALLENGE_MS);
}

enum atl_err atl_passkey_challenge(struct atl_app *app, const struct atl_identity *who, char ret[ATL_TOKEN_SIZE],
				   struct atl_errinfo *info)
{
	struct work w = { .who = who, .now = atl_now_ms() };

	atl_token_new(ret);
	atl_sha256_hex(ret, strlen(ret), w.hash);
	return atl_db_tx(app->db, challenge_tx, &w, info);
}

/* Whatever comes of it: this challenge is not taken again. */
static enum atl_err take_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	int64_t changed = 0;
	enum atl_err err = w->who ? atl_exec_count(conn, &changed, info,
						   "DELETE FROM passkey_challenges WHERE challenge_hash = ? AND expires_at > ? AND user_id = ? "
						   "AND session_id = ?",
						   "siss", w->hash, w->now, w->who->user_id, w->who->session_id) :
				    atl_exec_count(conn, &changed, info,
						   "DELETE FROM passkey_challenges WHERE challenge_hash = ? AND expires_at > ? AND user_id IS "
						   "NULL",
						   "si", w->hash, w->now);

	return err || changed ? err : atl_fail(info, ATL_ERR_GONE, "That took too long, or was done already. Try again.");
}

/* The challenge that the client data answer is looked up and used up before anything else is believed. */
static enum atl_err take_challenge(struct atl_app *app, struct work *w, struct atl_errinfo *info)
{
	const struct atl_span *data = &w->answer->client_data;
	struct atl_json *tree;

	if (!data->length || data->length > ATL_WEBAUTHN_CLIENT_DATA_MAX ||
	    atl_json_parse(w->arena, (const char *)data->data, data->length, &tree, NULL) != ATL_OK)
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The passkey's answer cannot be read.");
	w->challenge = atl_json_str(tree, "challenge", "");
	atl_sha256_hex(w->challenge, strlen(w->challenge), w->hash);
	return atl_db_tx(app->db, take_tx, w, info);
}

static struct atl_webauthn_expect expect_of(const struct work *w)
{
	return (struct atl_webauthn_expect){ .challenge = w->challenge, .origin = w->answer->origin, .rp_id = w->answer->rp_id };
}

/* ---- making one ---- */

static enum atl_err add_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_audit audit = { .who = w->who, .action = "passkey.add", .target_kind = "user", .target_id = w->who->user_id,
				   .note = w->new_id };
	int64_t count = 0;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT count(*) FROM passkeys WHERE user_id = ?", "s", w->who->user_id);

	if (!err && atl_rows_next(rows, &err, info)) {
		count = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	if (!err && count >= ATL_PASSKEYS_MAX)
		err = atl_fail(info, ATL_ERR_CONFLICT, "There are %d passkeys already. Remove one first.", ATL_PASSKEYS_MAX);
	if (!err)
		err = atl_exec(conn, info,
			       "INSERT INTO passkeys (id, user_id, name, rp_id, credential_id, public_key, alg, sign_count, synced, created_at) "
			       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			       "ssssssiiii", w->new_id, w->who->user_id, w->answer->name, w->answer->rp_id, w->credential_id, w->public_key,
			       (int64_t)w->key.alg, (int64_t)w->key.count, (int64_t)w->key.synced, w->now);
	if (err && atl_conn_unique_violation(conn))
		return atl_fail(info, ATL_ERR_CONFLICT, "This passkey is there already.");
	return err ? err : atl_audit(conn, &audit, info);
}

enum atl_err atl_passkey_add(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			     const struct atl_passkey_answer *answer, char ret_id[ATL_ID_SIZE], struct atl_errinfo *info)
{
	struct work w = { .who = who, .arena = arena, .answer = answer, .now = atl_now_ms() };
	struct atl_webauthn_expect expect;
	enum atl_err err = take_challenge(app, &w, info);

	if (err)
		return err;
	expect = expect_of(&w);
	err = atl_webauthn_register(arena, &expect, answer->client_data, answer->auth_data, answer->alg, &w.key, info);
	if (err)
		return err;
	w.credential_id = base64url(arena, w.key.id, w.key.id_length);
	w.public_key = base64url(arena, w.key.key, w.key.key_length);
	if (!w.credential_id || !w.public_key)
		return atl_fail(info, ATL_ERR_NOMEM, "keep a passkey");
	atl_id_new("psk", w.new_id);
	err = atl_db_tx(app->db, add_tx, &w, info);
	if (!err)
		memcpy(ret_id, w.new_id, ATL_ID_SIZE);
	return err;
}

/* ---- signing in ---- */

static enum atl_err find_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, user_id, public_key, alg, sign_count FROM passkeys WHERE rp_id = ? AND credential_id = ?",
				     "ss", w->answer->rp_id, w->answer->credential_id);

	w->id = NULL;
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	w->id = atl_col_text(rows, 0, w->arena);
	w->found_user = atl_col_text(rows, 1, w->arena);
	w->public_key = atl_col_text(rows, 2, w->arena);
	w->key.alg = (int)atl_col_int(rows, 3);
	w->key.count = (uint32_t)atl_col_int(rows, 4);
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err load_key(struct work *w, struct atl_errinfo *info)
{
	char *text = atl_arena_strdup(w->arena, w->public_key);
	size_t length;

	if (!text || !atl_base64_decode_in_place(ATL_BASE64_URL, text, strlen(text), &length) || length > sizeof(w->key.key))
		return atl_fail(info, ATL_ERR_CONFIG, "The passkey is damaged in the database.");
	memcpy(w->key.key, text, length);
	w->key.key_length = length;
	return ATL_OK;
}

/* Of two that race with one counter, one is refused. */
static enum atl_err used_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	int64_t changed = 0, count = (int64_t)w->key.count;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE passkeys SET sign_count = ?, last_used_at = ? WHERE id = ? AND (sign_count < ? OR (sign_count = "
					  "0 AND ? = 0))",
					  "iisii", count, w->now, w->id, count, count);

	return err || changed ? err : atl_fail(info, ATL_ERR_UNPROCESSABLE, "The passkey was used at the same time elsewhere.");
}

enum atl_err atl_passkey_use(struct atl_app *app, struct atl_arena *arena, const struct atl_passkey_answer *answer,
			     char ret_user_id[ATL_ID_SIZE], struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .answer = answer, .now = atl_now_ms() };
	struct atl_webauthn_expect expect;
	uint32_t count = 0;
	enum atl_err err = take_challenge(app, &w, info);

	if (!err)
		err = atl_db_read(app->db, find_read, &w, info);
	if (!err && !w.id)
		err = atl_fail(info, ATL_ERR_UNPROCESSABLE, "Nobody here has this passkey. It may have been removed.");
	if (!err && answer->user_handle && !atl_str_eq(answer->user_handle, w.found_user))
		err = atl_fail(info, ATL_ERR_UNPROCESSABLE, "The passkey is for another account.");
	if (!err)
		err = load_key(&w, info);
	if (err)
		return err;
	expect = expect_of(&w);
	err = atl_webauthn_check(arena, &expect, answer->client_data, answer->auth_data, answer->signature, &w.key, &count, info);
	w.key.count = count;
	if (!err)
		err = atl_db_tx(app->db, used_tx, &w, info);
	if (!err)
		atl_str_copy(ret_user_id, ATL_ID_SIZE, w.found_user);
	return err;
}

/* ---- one's own ---- */

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, name, rp_id, credential_id, synced, created_at, last_used_at FROM passkeys WHERE user_id = ? "
				     "ORDER BY created_at, id LIMIT ?",
				     "si", w->user_id, (int64_t)ATL_PASSKEYS_MAX);

	w->count = 0;
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info))
		w->rows[w->count++] = (struct atl_passkey){
			.id = atl_col_text(rows, 0, w->arena), .name = atl_col_text(rows, 1, w->arena),
			.rp_id = atl_col_text(rows, 2, w->arena), .credential_id = atl_col_text(rows, 3, w->arena),
			.synced = atl_col_int(rows, 4) != 0, .created_at = atl_col_int(rows, 5), .last_used_at = atl_col_int(rows, 6) };
	return err;
}

enum atl_err atl_passkey_list(struct atl_app *app, const char *user_id, struct atl_arena *arena, struct atl_passkey **ret,
			      size_t *ret_count, struct atl_errinfo *info)
{
	struct work w = { .user_id = user_id, .arena = arena, .rows = ATL_ARENA_ARRAY(arena, struct atl_passkey, ATL_PASSKEYS_MAX) };
	enum atl_err err = w.rows ? atl_db_read(app->db, list_read, &w, info) : atl_fail(info, ATL_ERR_NOMEM, "list passkeys");

	*ret = w.rows;
	*ret_count = err ? 0 : w.count;
	return err;
}

static enum atl_err rename_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info, "UPDATE passkeys SET name = coalesce(?, name) WHERE id = ? AND user_id = ?", "sss",
					  w->name, w->id, w->who->user_id);

	return err || changed ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such passkey.");
}

enum atl_err atl_passkey_rename(struct atl_app *app, const struct atl_identity *who, const char *id, const char *name,
				struct atl_errinfo *info)
{
	struct work w = { .who = who, .id = id, .name = name };

	return atl_db_tx(app->db, rename_tx, &w, info);
}

static enum atl_err remove_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info, "DELETE FROM passkeys WHERE id = ? AND user_id = ?", "ss", w->id,
					  w->who->user_id);

	return err || changed ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such passkey.");
}

enum atl_err atl_passkey_remove(struct atl_app *app, const struct atl_identity *who, const char *id, struct atl_errinfo *info)
{
	struct work w = { .who = who, .id = id };

	return atl_audit_tx(app->db, remove_tx, &w,
			    &(struct atl_audit){ .who = who, .action = "passkey.remove", .target_kind = "user",
						 .target_id = who->user_id, .note = id }, info);
}
