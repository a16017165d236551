/* second_factor.c - see second_factor.h. */
#include "core/access/second_factor.h"

#include <ctype.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "core/access/session.h"
#include "core/access/totp.h"
#include "core/people/audit.h"
#include "core/people/user_int.h"
#include "core/server/keyring.h"
#include "db/db.h"

#define RECOVERY_BYTES 10 /* 80 bits, 16 letters */
#define RECOVERY_SIZE 20  /* with three dashes, and NUL */

struct factor {
	struct atl_app *app;
	const struct atl_identity *who;
	const char *user_id, *code, *remote;
	const char *sealed; /* to store */
	char (*codes)[RECOVERY_SIZE];
	/* read */
	bool found, good;
	int64_t confirmed_at, last_step, left;
	unsigned char secret[ATL_TOTP_SECRET_SIZE];
};

/* ---- the row ---- */

static enum atl_err unseal_secret(struct factor *f, const char *sealed, struct atl_errinfo *info)
{
	struct atl_buf raw, plain;
	enum atl_err err = ATL_OK;

	atl_buf_init(&raw, 512);
	atl_buf_init(&plain, 512);
	if (!sealed || !atl_base64_decode(&raw, ATL_BASE64_STANDARD, sealed, strlen(sealed)))
		err = atl_fail(info, ATL_ERR_CONFIG, "The second factor is damaged in the database.");
	if (!err)
		err = atl_secret_open(f->app, &plain, f->user_id, raw.data, raw.length, info);
	if (!err && plain.length != sizeof(f->secret))
		err = atl_fail(info, ATL_ERR_CONFIG, "The second factor is damaged in the database.");
	if (!err)
		memcpy(f->secret, plain.data, sizeof(f->secret));
	atl_wipe(plain.data, plain.length);
	atl_buf_finish(&raw);
	atl_buf_finish(&plain);
	return err;
}

static enum atl_err load(struct atl_conn *conn, struct factor *f, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	struct atl_arena arena;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT secret_sealed, confirmed_at, last_step FROM totp WHERE user_id = ?",
				     "s", f->user_id);

	f->found = false;
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	atl_arena_init(&arena, 65536);
	f->found = true;
	f->confirmed_at = atl_col_int(rows, 1);
	f->last_step = atl_col_int(rows, 2);
	err = unseal_secret(f, atl_col_text(rows, 0, &arena), info);
	atl_rows_close(rows);
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err get_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct factor *f = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT t.confirmed_at, (SELECT count(*) FROM recovery_codes c WHERE c.user_id = t.user_id AND "
				     "c.used_at IS NULL) FROM totp t WHERE t.user_id = ?",
				     "s", f->user_id);

	f->confirmed_at = f->left = 0;
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	f->confirmed_at = atl_col_int(rows, 0);
	f->left = atl_col_int(rows, 1);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_second_factor_get(struct atl_app *app, const char *user_id, struct atl_second_factor *ret,
				   struct atl_errinfo *info)
{
	struct factor f = { .app = app, .user_id = user_id };
	enum atl_err err = atl_db_read(app->db, get_read, &f, info);

	*ret = (struct atl_second_factor){ f.confirmed_at > 0, f.confirmed_at, f.confirmed_at ? f.left : 0 };
	return err;
}

/* ---- setting it up ---- */

static enum atl_err begin_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct factor *f = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "INSERT INTO totp (user_id, secret_sealed, confirmed_at, last_step, created_at) "
					  "VALUES (?, ?, NULL, 0, ?) ON CONFLICT (user_id) DO UPDATE SET secret_sealed = "
					  "excluded.secret_sealed, created_at = excluded.created_at WHERE totp.confirmed_at IS NULL",
					  "ssi", f->user_id, f->sealed, atl_now_ms());

	return err || changed ? err : atl_fail(info, ATL_ERR_CONFLICT, "The second factor is on already.");
}

enum atl_err atl_second_factor_begin(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char **ret_secret, const char **ret_url, struct atl_errinfo *info)
{
	struct factor f = { .app = app, .who = who, .user_id = who->user_id };
	struct atl_buf raw, text, url;
	enum atl_err err;

	atl_buf_init(&raw, 512);
	atl_buf_init(&text, 1024);
	atl_buf_init(&url, 2048);
	atl_random(f.secret, sizeof(f.secret));
	err = atl_seal(&raw, app->master_key, f.user_id, f.secret, sizeof(f.secret));
	if (!err) {
		atl_base64_encode(&text, ATL_BASE64_STANDARD, raw.data, raw.length);
		f.sealed = text.data;
		err = atl_buf_err(&text, info);
	}
	if (!err)
		err = atl_db_tx(app->db, begin_tx, &f, info);
	if (!err) {
		atl_buf_reset(&text);
		atl_base32_encode(&text, f.secret, sizeof(f.secret));
		atl_buf_adds(&url, "otpauth://totp/Atelier:");
		atl_percent_encode(&url, who->user_name);
		atl_buf_addf(&url, "?secret=%s&issuer=Atelier", text.data);
		*ret_secret = atl_arena_strdup(arena, text.data);
		*ret_url = atl_arena_strdup(arena, url.data);
		if (!*ret_secret || !*ret_url)
			err = atl_fail(info, ATL_ERR_NOMEM, "make a second factor");
	}
	atl_wipe(f.secret, sizeof(f.secret));
	atl_wipe(text.data, text.length);
	atl_wipe(url.data, url.length);
	atl_buf_finish(&raw);
	atl_buf_finish(&text);
	atl_buf_finish(&url);
	return err;
}

/* Letters and digits of what a person typed, as the codes were made. */
static void recovery_hash(const char *user_id, const char *code, char out[ATL_SHA256_SIZE * 2 + 1])
{
	char text[ATL_ID_SIZE + ATL_SECOND_CODE_MAX + 2];
	size_t at = strlen(user_id);

	atl_str_copy(text, ATL_ID_SIZE, user_id);
	text[at++] = ' ';
	for (; *code && at < sizeof(text) - 1; code++)
		if (isalnum((unsigned char)*code))
			text[at++] = (char)tolower((unsigned char)*code);
	text[at] = '\0';
	atl_sha256_hex(text, at, out);
	atl_wipe(text, sizeof(text));
}

static enum atl_err store_codes(struct atl_conn *conn, const struct factor *f, struct atl_errinfo *info)
{
	enum atl_err err = atl_exec(conn, info, "DELETE FROM recovery_codes WHERE user_id = ?", "s", f->user_id);

	for (size_t i = 0; !err && i < ATL_RECOVERY_CODES; i++) {
		char hash[ATL_SHA256_SIZE * 2 + 1];

		recovery_hash(f->user_id, f->codes[i], hash);
		err = atl_exec(conn, info, "INSERT INTO recovery_codes (user_id, code_hash, used_at) VALUES (?, ?, NULL)", "ss",
			       f->user_id, hash);
	}
	return err;
}

static enum atl_err confirm_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct factor *f = arg;
	struct atl_audit audit = { .who = f->who, .action = "second_factor.enable", .target_kind = "user", .target_id = f->user_id };
	int64_t now = atl_now_ms(), step;
	enum atl_err err = load(conn, f, info);

	if (err)
		return err;
	if (!f->found || f->confirmed_at)
		return atl_fail(info, ATL_ERR_CONFLICT, "There is no second factor that waits for its first code.");
	if (!atl_totp_check(f->secret, sizeof(f->secret), now / 1000, f->last_step, f->code, &step))
		return atl_fail_field(info, ATL_ERR_INVALID, "code", "The code is wrong. Is the clock of your device right?");
	err = atl_exec(conn, info, "UPDATE totp SET confirmed_at = ?, last_step = ? WHERE user_id = ?", "iis", now, step, f->user_id);
	if (!err)
		err = store_codes(conn, f, info);
	return err ? err : atl_audit(conn, &audit, info);
}

static void make_code(char out[RECOVERY_SIZE])
{
	unsigned char bytes[RECOVERY_BYTES];
	struct atl_buf text;
	size_t at = 0;

	atl_random(bytes, sizeof(bytes));
	atl_buf_init(&text, 64);
	atl_base32_encode(&text, bytes, sizeof(bytes));
	for (size_t i = 0; i < text.length && at < RECOVERY_SIZE - 1; i++) {
		if (i && i % 4 == 0)
			out[at++] = '-';
		out[at++] = (char)tolower((unsigned char)text.data[i]);
	}
	out[at] = '\0';
	atl_wipe(bytes, sizeof(bytes));
	atl_wipe(text.data, text.length);
	atl_buf_finish(&text);
}

enum atl_err atl_second_factor_confirm(struct atl_app *app, const struct atl_identity *who, const char *code,
				       struct atl_arena *arena, struct atl_strs *ret_codes, struct atl_errinfo *info)
{
	char codes[ATL_RECOVERY_CODES][RECOVERY_SIZE];
	struct factor f = { .app = app, .who = who, .user_id = who->user_id, .code = code, .codes = codes };
	enum atl_err err;

	for (size_t i = 0; i < ATL_RECOVERY_CODES; i++)
		make_code(codes[i]);
	ret_codes->items = ATL_ARENA_ARRAY(arena, const char *, ATL_RECOVERY_CODES);
	err = ret_codes->items ? atl_db_tx(app->db, confirm_tx, &f, info) : atl_fail(info, ATL_ERR_NOMEM, "confirm");
	for (size_t i = 0; !err && i < ATL_RECOVERY_CODES; i++)
		if (!(ret_codes->items[i] = atl_arena_strdup(arena, codes[i])))
			err = atl_fail(info, ATL_ERR_NOMEM, "recovery codes");
	ret_codes->count = err ? 0 : ATL_RECOVERY_CODES;
	atl_wipe(f.secret, sizeof(f.secret));
	atl_wipe(codes, sizeof(codes));
	return err;
}

static enum atl_err remove_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct factor *f = arg;
	struct atl_audit audit = { .who = f->who, .action = "second_factor.disable", .target_kind = "user", .target_id = f->user_id };
	int64_t changed = 0;
	bool of_another = f->who && !atl_str_eq(f->who->user_id, f->user_id);
	enum atl_err err = of_another ? atl_user_may_touch(conn, f->who, f->user_id, false, info) : ATL_OK;

	if (!err)
		err = atl_exec_count(conn, &changed, info, "DELETE FROM totp WHERE user_id = ?", "s", f->user_id);
	if (!err && !changed)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "The second factor is not on.");
	if (!err)
		err = atl_exec(conn, info, "DELETE FROM recovery_codes WHERE user_id = ?", "s", f->user_id);
	return err ? err : atl_audit(conn, &audit, info);
}

enum atl_err atl_second_factor_remove(struct atl_app *app, const struct atl_identity *who, const char *user_id,
				      struct atl_errinfo *info)
{
	struct factor f = { .app = app, .who = who, .user_id = user_id };
	enum atl_err err = atl_db_tx(app->db, remove_tx, &f, info);

	/* whoever took it off for somebody was asked to by somebody: who is in now proves anew who they are */
	if (!err && who && !atl_str_eq(who->user_id, user_id))
		err = atl_session_delete_others(app, user_id, NULL, info);
	return err;
}

/* ---- using it ---- */

static enum atl_err use_recovery(struct atl_conn *conn, struct factor *f, struct atl_errinfo *info)
{
	struct atl_audit audit = { .remote = f->remote, .action = "second_factor.recover", .target_kind = "user",
				   .target_id = f->user_id };
	char hash[ATL_SHA256_SIZE * 2 + 1];
	int64_t changed = 0;
	enum atl_err err;

	recovery_hash(f->user_id, f->code, hash);
	err = atl_exec_count(conn, &changed, info,
			     "UPDATE recovery_codes SET used_at = ? WHERE user_id = ? AND code_hash = ? AND used_at IS NULL", "iss",
			     atl_now_ms(), f->user_id, hash);
	f->good = changed > 0;
	return err || !f->good ? err : atl_audit(conn, &audit, info);
}

static enum atl_err use_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct factor *f = arg;
	int64_t changed = 0, step;
	enum atl_err err = load(conn, f, info);

	f->good = false;
	if (err || !f->found || !f->confirmed_at)
		return err;
	if (!atl_totp_check(f->secret, sizeof(f->secret), atl_now_ms() / 1000, f->last_step, f->code, &step))
		return use_recovery(conn, f, info);
	err = atl_exec_count(conn, &changed, info, "UPDATE totp SET last_step = ? WHERE user_id = ? AND last_step < ?", "isi", step,
			     f->user_id, step);
	f->good = changed > 0;
	return err;
}

enum atl_err atl_second_factor_use(struct atl_app *app, const char *user_id, const char *code, const char *remote,
				   struct atl_errinfo *info)
{
	struct factor f = { .app = app, .user_id = user_id, .code = code, .remote = remote };
	enum atl_err err = strlen(code) > ATL_SECOND_CODE_MAX ? ATL_OK : atl_db_tx(app->db, use_tx, &f, info);

	atl_wipe(f.secret, sizeof(f.secret));
	return err || f.good ? err : atl_fail_field(info, ATL_ERR_CREDENTIALS, "code", "The code is wrong, or was used already.");
}

/* ---- between the steps ---- */

struct step {
	const char *user_id;
	char hash[ATL_SHA256_SIZE * 2 + 1], found[ATL_ID_SIZE];
	int64_t now;
};

static enum atl_err step_begin_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct step *step = arg;
	enum atl_err err = atl_exec(conn, info, "DELETE FROM second_steps WHERE expires_at <= ?", "i", step->now);

	return err ? err : atl_exec(conn, info, "INSERT INTO second_steps (token_hash, user_id, tries, expires_at) VALUES (?, ?, 0, ?)",
				    "ssi", step->hash, step->user_id, step->now + ATL_SECOND_STEP_MS);
}

enum atl_err atl_second_step_begin(struct atl_app *app, const char *user_id, char ret_token[ATL_TOKEN_SIZE],
				   struct atl_errinfo *info)
{
	struct step step = { .user_id = user_id, .now = atl_now_ms() };

	atl_token_new(ret_token);
	atl_sha256_hex(ret_token, strlen(ret_token), step.hash);
	return atl_db_tx(app->db, step_begin_tx, &step, info);
}

static enum atl_err step_try_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct step *step = arg;
	struct atl_rows *rows;
	struct atl_arena arena;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE second_steps SET tries = tries + 1 WHERE token_hash = ? AND expires_at > ? AND tries < ? "
					  "AND (SELECT sum(o.tries) FROM second_steps o WHERE o.user_id = second_steps.user_id) < ?",
					  "siii", step->hash, step->now, (int64_t)ATL_SECOND_TRIES, (int64_t)ATL_SECOND_TRIES_ALL);

	step->found[0] = '\0';
	if (!err && !changed)
		return atl_fail(info, ATL_ERR_GONE, "Too late, or too many wrong codes. Sign in again.");
	if (!err)
		err = atl_query(conn, &rows, info, "SELECT user_id FROM second_steps WHERE token_hash = ?", "s", step->hash);
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	atl_arena_init(&arena, 4096);
	atl_str_copy(step->found, sizeof(step->found), atl_col_text(rows, 0, &arena));
	atl_rows_close(rows);
	atl_arena_finish(&arena);
	return ATL_OK;
}

enum atl_err atl_second_step_try(struct atl_app *app, const char *token, char ret_user_id[ATL_ID_SIZE],
				 struct atl_errinfo *info)
{
	struct step step = { .now = atl_now_ms() };
	enum atl_err err;

	atl_sha256_hex(token, strlen(token), step.hash);
	err = atl_db_tx(app->db, step_try_tx, &step, info);
	memcpy(ret_user_id, step.found, ATL_ID_SIZE);
	return err;
}

static enum atl_err step_end_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "DELETE FROM second_steps WHERE token_hash = ?", "s", ((struct step *)arg)->hash);
}

enum atl_err atl_second_step_end(struct atl_app *app, const char *token, struct atl_errinfo *info)
{
	struct step step = { 0 };

	atl_sha256_hex(token, strlen(token), step.hash);
	return atl_db_tx(app->db, step_end_tx, &step, info);
}
