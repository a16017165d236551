/* password_reset.c - see password_reset.h. */
#include "core/access/password_reset.h"

#include "base/clock.h"
#include "base/str.h"
#include "core/access/login_rules.h"
#include "core/access/session.h"
#include "core/people/audit.h"
#include "core/people/invitation.h"
#include "core/people/user_int.h"
#include "db/db.h"

struct work {
	struct atl_app *app;
	const struct atl_identity *who;
	const char *email, *user_id, *token, *hash, *remote;
	char *ret_token;
	char found[ATL_ID_SIZE], found_email[ATL_EMAIL_MAX + 1];
	const struct atl_sign_up_rules *rules;
};

static enum atl_err ask_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_mail_queue(conn, ATL_MAIL_RESET, ((struct work *)arg)->email, NULL, info);
}

enum atl_err atl_reset_ask(struct atl_app *app, const char *email, struct atl_errinfo *info)
{
	struct work work = { .email = email };
	enum atl_err err;

	if (!atl_mail_ready(app))
		return atl_fail(info, ATL_ERR_FORBIDDEN, "This server sends no mail. Ask whoever runs it for a link.");
	err = atl_db_tx(app->db, ask_tx, &work, info);
	if (!err)
		atl_mail_wake(app);
	return err;
}

static enum atl_err make_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *work = arg;
	enum atl_err err = atl_user_may_touch(conn, work->who, work->user_id, false, info);

	return err ? err : atl_link_make(conn, ATL_MAIL_RESET, work->user_id, NULL, work->who, work->ret_token, info);
}

enum atl_err atl_reset_make(struct atl_app *app, const struct atl_identity *who, const char *user_id,
			    char ret_token[ATL_TOKEN_SIZE], int64_t *ret_expires_at, struct atl_errinfo *info)
{
	struct work work = { .who = who, .user_id = user_id, .ret_token = ret_token };

	*ret_expires_at = atl_now_ms() + ATL_LINK_RESET_MS;
	return atl_audit_tx(app->db, make_tx, &work,
			    &(struct atl_audit){ .who = who, .action = "user.reset_link", .target_kind = "user", .target_id = user_id },
			    info);
}

static enum atl_err finish_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *work = arg;
	struct atl_audit audit = { .remote = work->remote, .action = "user.password_reset", .target_kind = "user",
				   .target_id = work->found };
	enum atl_err err = atl_link_use(conn, ATL_MAIL_RESET, work->token, work->found, work->found_email, info);

	audit.note = work->found_email[0] ? "by mail" : "by an administrator's link";
	if (!err)
		err = atl_user_put_password(conn, work->found, work->hash, info);
	return err ? err : atl_audit(conn, &audit, info);
}

enum atl_err atl_reset_finish(struct atl_app *app, const char *token, const char *password, const char *remote,
			      struct atl_errinfo *info)
{
	char hash[ATL_PASSWORD_HASH_SIZE];
	struct work work = { .token = token, .hash = hash, .remote = remote };
	enum atl_err err = atl_user_check(NULL, password, NULL, info);

	if (!err)
		err = atl_password_hash(password, hash);
	if (!err)
		err = atl_db_tx(app->db, finish_tx, &work, info);
	return err ? err : atl_session_delete_others(app, work.found, NULL, info);
}

static enum atl_err verify_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *work = arg;
	struct atl_audit audit = { .remote = work->remote, .action = "user.verify", .target_kind = "user", .target_id = work->found };
	bool admitted = false;
	enum atl_err err = atl_link_use(conn, ATL_MAIL_VERIFY, work->token, work->found, work->found_email, info);

	if (err)
		return err;
	if (work->rules->mode != ATL_SIGN_UP_DOMAIN ||
	    !atl_login_domain_listed(&work->rules->domains, atl_login_email_domain(work->found_email)))
		return atl_fail(info, ATL_ERR_GONE, "The rules have changed: an administrator has to approve this account.");
	err = atl_user_admit(conn, work->found, work->found_email, &admitted, info);
	if (!err && !admitted)
		err = atl_fail(info, ATL_ERR_GONE, "This account does not wait any longer. Sign in.");
	return err ? err : atl_audit(conn, &audit, info);
}

enum atl_err atl_verify_finish(struct atl_app *app, const char *token, const char *remote, struct atl_errinfo *info)
{
	struct atl_sign_up_rules rules;
	struct work work = { .token = token, .remote = remote, .rules = &rules };
	struct atl_arena arena;
	enum atl_err err;

	atl_arena_init(&arena, 0);
	atl_sign_up_rules(app, &arena, &rules);
	err = atl_db_tx(app->db, verify_tx, &work, info);
	atl_arena_finish(&arena);
	return err;
}
