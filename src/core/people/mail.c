/* mail.c - see mail.h: the queue's rows and the links. What sends is mail_send.c. */
#include "core/people/mail.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "core/people/mail_int.h"
#include "db/db.h"

#define HASH_SIZE (ATL_SHA256_SIZE * 2 + 1)
#define KEPT_MS (24 * 60 * 60 * 1000)

const struct atl_mail_words atl_mail_words[] = {
	[ATL_MAIL_RESET] = { "reset", "/reset?token=", ATL_LINK_RESET_MS, "A new password for Atelier",
			     "Somebody, we hope you, asked for a new password for your account at", "Choose it here within an hour:",
			     "That signs you out everywhere. If it was not you, do nothing: your password stays as it is.", true },
	[ATL_MAIL_VERIFY] = { "verify", "/verify?token=", ATL_LINK_VERIFY_MS, "Is this your address?",
			      "Somebody, we hope you, made an account with this address at", "Open this within a day to begin:",
			      "If it was not you, do nothing: without it nobody can sign in with that account.", false },
};

static enum atl_err count(struct atl_conn *conn, struct atl_rows *rows, enum atl_err err, int64_t *ret, struct atl_errinfo *info)
{
	*ret = 0;
	if (!err && atl_rows_next(rows, &err, info)) {
		*ret = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	return err;
}

enum atl_err atl_mail_queue(struct atl_conn *conn, enum atl_mail_kind kind, const char *address, const char *user_id,
			    struct atl_errinfo *info)
{
	char folded[ATL_EMAIL_MAX + 1], hash[HASH_SIZE], id[ATL_ID_SIZE];
	int64_t now = atl_now_ms(), waiting, lately;
	struct atl_rows *rows = NULL;
	enum atl_err err = atl_email_fold(address, folded, info);

	if (err)
		return err;
	atl_sha256_hex(folded, strlen(folded), hash);
	err = atl_exec(conn, info, "DELETE FROM mails WHERE created_at < ?", "i", now - KEPT_MS);
	if (!err)
		err = atl_query(conn, &rows, info, "SELECT count(*) FROM mails WHERE address IS NOT NULL", "");
	err = count(conn, rows, err, &waiting, info);
	if (!err)
		err = atl_query(conn, &rows, info, "SELECT count(*) FROM mails WHERE address_hash = ? AND kind = ? AND created_at > ?",
				"ssi", hash, atl_mail_words[kind].name, now - ATL_MAIL_PATIENCE_MS);
	err = count(conn, rows, err, &lately, info);
	if (err || waiting >= ATL_MAIL_WAITING_MAX || lately >= ATL_MAIL_HOURLY) {
		if (!err && waiting >= ATL_MAIL_WAITING_MAX)
			atl_warn("mail", "%d mails wait: one more is dropped", ATL_MAIL_WAITING_MAX);
		return err;
	}
	atl_id_new("mal", id);
	return atl_exec(conn, info,
			"INSERT INTO mails (id, kind, address, address_hash, user_id, attempt, next_at, created_at) "
			"VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
			"sssssii", id, atl_mail_words[kind].name, folded, hash, user_id, now, now);
}

/* ---- links ---- */

enum atl_err atl_link_make(struct atl_conn *conn, enum atl_mail_kind kind, const char *user_id, const char *email,
			   const struct atl_identity *who, char ret_token[ATL_TOKEN_SIZE], struct atl_errinfo *info)
{
	int64_t now = atl_now_ms();
	char hash[HASH_SIZE];
	enum atl_err err = atl_exec(conn, info, "DELETE FROM one_time_links WHERE (user_id = ? AND kind = ?) OR expires_at <= ?",
				    "ssi", user_id, atl_mail_words[kind].name, now);

	atl_token_new(ret_token);
	atl_sha256_hex(ret_token, strlen(ret_token), hash);
	return err ? err :
		     atl_exec(conn, info,
			      "INSERT INTO one_time_links (token_hash, kind, user_id, email, made_by, created_at, expires_at) "
			      "VALUES (?, ?, ?, ?, ?, ?, ?)",
			      "sssssii", hash, atl_mail_words[kind].name, user_id, email, who ? who->user_id : NULL, now,
			      now + atl_mail_words[kind].link_ms);
}

enum atl_err atl_link_use(struct atl_conn *conn, enum atl_mail_kind kind, const char *token, char ret_user_id[ATL_ID_SIZE],
			  char ret_email[ATL_EMAIL_MAX + 1], struct atl_errinfo *info)
{
	char hash[HASH_SIZE];
	struct atl_arena arena;
	struct atl_rows *rows;
	int64_t changed = 0;
	const char *email;
	enum atl_err err;

	atl_sha256_hex(token, strlen(token), hash);
	err = atl_query(conn, &rows, info,
			"SELECT user_id, email FROM one_time_links WHERE token_hash = ? AND kind = ? AND expires_at > ?", "ssi", hash,
			atl_mail_words[kind].name, atl_now_ms());
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_GONE, "This link was used already or is too old. Ask for a new one.");
	atl_arena_init(&arena, 4096);
	atl_str_copy(ret_user_id, ATL_ID_SIZE, atl_col_text(rows, 0, &arena));
	email = atl_col_text(rows, 1, &arena);
	atl_str_copy(ret_email, ATL_EMAIL_MAX + 1, email ? email : "");
	atl_rows_close(rows);
	atl_arena_finish(&arena);
	/* of two that race with the same link one deletes it */
	err = atl_exec_count(conn, &changed, info, "DELETE FROM one_time_links WHERE token_hash = ?", "s", hash);
	if (!err && !changed)
		return atl_fail(info, ATL_ERR_GONE, "This link was used already or is too old. Ask for a new one.");
	return err ? err : atl_exec(conn, info, "DELETE FROM one_time_links WHERE user_id = ? AND kind = ?", "ss", ret_user_id,
				    atl_mail_words[kind].name);
}
