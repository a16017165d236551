/* invitation.c - see invitation.h: links first, then the sign-up. */
#include "core/people/invitation.h"

#include "base/clock.h"
#include "base/str.h"
#include "core/access/login_rules.h"
#include "core/people/audit.h"
#include "core/people/mail.h"
#include "core/people/role.h"
#include "core/people/user_admin.h"
#include "core/server/setting.h"
#include "db/db.h"

#define OFF(member) offsetof(struct atl_invitation, member)
#define OPTIONAL (ATL_JF_REQUIRED | ATL_JF_NULLABLE)
#define HASH_SIZE (ATL_SHA256_SIZE * 2 + 1)
#define NO_LINK "This invitation link is not valid. Ask whoever sent it for a new one."

static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "role", ATL_JT_STR, OFF(role), ATL_JF_REQUIRED },
	{ "role_name", ATL_JT_STR, OFF(role_name), ATL_JF_REQUIRED },
	{ "note", ATL_JT_STR, OFF(note), ATL_JF_REQUIRED },
	{ "state", ATL_JT_STR, OFF(state), ATL_JF_REQUIRED, .doc = "open, used, expired, revoked" },
	{ "uses", ATL_JT_INT, OFF(uses), ATL_JF_REQUIRED },
	{ "uses_max", ATL_JT_INT, OFF(uses_max), OPTIONAL, .doc = "null: no limit" },
	{ "expires_at", ATL_JT_TIME, OFF(expires_at), OPTIONAL },
	{ "created_by", ATL_JT_STR, OFF(created_by), ATL_JF_REQUIRED, .doc = "name; \"\" when that account is gone" },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "token", ATL_JT_STR, OFF(token), ATL_JF_OMIT, .doc = "shown once, when it is made: /join?token=..." },
};
const struct atl_json_desc atl_invitation_desc = { "Invitation", "A link that makes accounts.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_invitation), ATL_JSON_NO_PRESENT, false };

#define COLUMNS                                                                                                     \
	"i.id, i.role, coalesce(r.name, i.role), i.note, i.uses, i.uses_max, i.expires_at, i.revoked_at, "           \
	"coalesce(u.name, ''), i.created_at FROM invitations i LEFT JOIN roles r ON r.id = i.role "                  \
	"LEFT JOIN users u ON u.id = i.created_by "

static void read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_invitation *out)
{
	int64_t revoked = atl_col_int(rows, 7);

	*out = (struct atl_invitation){
		.id = atl_col_text(rows, 0, arena), .role = atl_col_text(rows, 1, arena),
		.role_name = atl_col_text(rows, 2, arena), .note = atl_col_text(rows, 3, arena),
		.uses = atl_col_int(rows, 4), .uses_max = atl_col_int(rows, 5), .expires_at = atl_col_int(rows, 6),
		.created_by = atl_col_text(rows, 8, arena), .created_at = atl_col_int(rows, 9), .state = "open" };
	if (revoked)
		out->state = "revoked";
	else if (out->expires_at && out->expires_at <= atl_now_ms())
		out->state = "expired";
	else if (out->uses_max && out->uses >= out->uses_max)
		out->state = "used";
}

struct work {
	const struct atl_identity *who;
	struct atl_arena *arena;
	struct atl_invitation *items;
	size_t count;
	const char *id, *role, *note, *hash;
	int64_t uses_max, expires_at;
};

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *work = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " COLUMNS "WHERE (? = '' OR i.id = ?) ORDER BY i.id DESC LIMIT ?", "ssi", work->id,
				     work->id, (int64_t)ATL_INVITATIONS_MAX);

	work->count = 0;
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info))
		read_row(rows, work->arena, &work->items[work->count++]);
	return err;
}

enum atl_err atl_invitation_list(struct atl_app *app, struct atl_arena *arena, struct atl_invitation **ret,
				 size_t *ret_count, struct atl_errinfo *info)
{
	struct work work = { .arena = arena, .id = "" };
	enum atl_err err;

	work.items = ATL_ARENA_ARRAY(arena, struct atl_invitation, ATL_INVITATIONS_MAX);
	if (!work.items)
		return atl_fail(info, ATL_ERR_NOMEM, "list invitations");
	err = atl_db_read(app->db, list_read, &work, info);
	*ret = work.items;
	*ret_count = work.count;
	return err;
}

static enum atl_err create_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *work = arg;
	int64_t count = 0;
	struct atl_rows *rows;
	enum atl_err err = atl_role_may_give(conn, work->who, work->role, info);

	if (!err) /* the long ended make room */
		err = atl_exec(conn, info,
			       "DELETE FROM invitations WHERE id IN (SELECT id FROM invitations WHERE revoked_at IS NOT NULL OR "
			       "expires_at <= ? OR uses >= uses_max ORDER BY id DESC LIMIT ? OFFSET ?)",
			       "iii", atl_now_ms(), (int64_t)ATL_INVITATIONS_MAX, (int64_t)ATL_INVITATIONS_MAX / 2);
	if (!err)
		err = atl_query(conn, &rows, info, "SELECT count(*) FROM invitations", "");
	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		count = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	if (!err && count >= ATL_INVITATIONS_MAX)
		err = atl_fail(info, ATL_ERR_CONFLICT, "There are %d open invitations. Revoke some first.", ATL_INVITATIONS_MAX);
	return err ? err : atl_exec(conn, info,
				    "INSERT INTO invitations (id, token_hash, role, note, uses, uses_max, expires_at, created_by, "
				    "created_at) VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?)",
				    "ssssttsi", work->id, work->hash, work->role, work->note, work->uses_max, work->expires_at,
				    work->who->user_id, atl_now_ms());
}

enum atl_err atl_invitation_create(struct atl_app *app, const struct atl_identity *who, const char *role, const char *note,
				   int64_t uses_max, int64_t expires_at, struct atl_arena *arena, struct atl_invitation *ret,
				   struct atl_errinfo *info)
{
	char token[ATL_TOKEN_SIZE], hash[HASH_SIZE], id[ATL_ID_SIZE];
	struct work work = { .who = who, .arena = arena, .id = id, .role = role, .note = note ? note : "", .hash = hash,
			     .uses_max = uses_max, .expires_at = expires_at, .items = ret };
	enum atl_err err;

	if (expires_at && expires_at <= atl_now_ms())
		return atl_fail_field(info, ATL_ERR_INVALID, "expires_at", "That time has passed.");
	if (uses_max < 0 || uses_max > ATL_INVITATION_USES_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "uses_max", "A link has 1 to %d uses.", ATL_INVITATION_USES_MAX);
	atl_token_new(token);
	atl_sha256_hex(token, strlen(token), hash);
	atl_id_new("inv", id);
	err = atl_audit_tx(app->db, create_tx, &work,
			   &(struct atl_audit){ .who = who, .action = "invitation.create", .target_kind = "invitation",
						.target_id = id, .note = role }, info);
	if (!err)
		err = atl_db_read(app->db, list_read, &work, info);
	if (!err && !(ret->token = atl_arena_strdup(arena, token)))
		err = atl_fail(info, ATL_ERR_NOMEM, "make an invitation");
	atl_wipe(token, sizeof(token));
	return err;
}

static enum atl_err revoke_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *work = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE invitations SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", "is",
					  atl_now_ms(), work->id);

	if (!err && changed == 0)
		err = atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such invitation, or it is revoked already.");
	return err;
}

enum atl_err atl_invitation_revoke(struct atl_app *app, const struct atl_identity *who, const char *id,
				   struct atl_errinfo *info)
{
	struct work work = { .who = who, .id = id };

	return atl_audit_tx(app->db, revoke_tx, &work,
			    &(struct atl_audit){ .who = who, .action = "invitation.revoke", .target_kind = "invitation",
						 .target_id = id }, info);
}

/* ---- is it good ---- */

/* Whoever made it must still be here and still be able to give its role. */
static enum atl_err check_giver(struct atl_conn *conn, const char *giver_id, const char *role, struct atl_errinfo *info)
{
	struct atl_identity giver = { .channel = ATL_CHANNEL_INTERNAL };
	struct atl_arena arena;
	struct atl_rows *rows;
	char giver_role[ATL_ID_SIZE];
	const char *text;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT role FROM users WHERE id = ? AND waiting_since IS NULL AND (disabled_at IS NULL OR "
				     "disabled_until <= ?)",
				     "si", giver_id, atl_now_ms());

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_GONE, NO_LINK);
	atl_arena_init(&arena, 4096);
	text = atl_col_text(rows, 0, &arena);
	atl_str_copy(giver_role, sizeof(giver_role), text ? text : "");
	atl_rows_close(rows);
	atl_arena_finish(&arena);
	err = atl_role_give(conn, NULL, giver_role, &giver, info);
	if (err)
		return err;
	err = atl_identity_may(&giver, ATL_PERM_PEOPLE_MANAGE) ? atl_role_may_give(conn, &giver, role, NULL) : ATL_ERR_FORBIDDEN;
	return err == ATL_ERR_FORBIDDEN || err == ATL_ERR_INVALID ? atl_fail(info, ATL_ERR_GONE, NO_LINK) : err;
}

static enum atl_err look_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *work = arg;
	const char *giver_id;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT created_by FROM invitations WHERE token_hash = ?", "s", work->hash);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_GONE, NO_LINK);
	giver_id = atl_col_text(rows, 0, work->arena);
	atl_rows_close(rows);
	err = atl_query(conn, &rows, info, "SELECT " COLUMNS "WHERE i.token_hash = ?", "s", work->hash);
	if (err || !atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_GONE, NO_LINK);
	read_row(rows, work->arena, work->items);
	atl_rows_close(rows);
	if (atl_str_eq(work->items->state, "revoked"))
		return atl_fail(info, ATL_ERR_GONE, "This invitation was taken back.");
	if (atl_str_eq(work->items->state, "expired"))
		return atl_fail(info, ATL_ERR_GONE, "This invitation has expired. Ask whoever sent it for a new one.");
	if (atl_str_eq(work->items->state, "used"))
		return atl_fail(info, ATL_ERR_GONE, "This invitation was used already.");
	return check_giver(conn, giver_id, work->items->role, info);
}

enum atl_err atl_invitation_look(struct atl_app *app, const char *token, struct atl_arena *arena, struct atl_invitation *ret,
				 struct atl_errinfo *info)
{
	char hash[HASH_SIZE];
	struct work work = { .arena = arena, .hash = hash, .items = ret };

	atl_sha256_hex(token, strlen(token), hash);
	return atl_db_read(app->db, look_fn, &work, info);
}

/* ---- signing up ---- */

struct sign_up {
	struct work work;
	struct atl_user_new user;
	struct atl_invitation invitation;
	const char *remote;
	bool invited, verify;
};

/* An open door must not fill the database: so many wait at most. */
enum atl_err atl_sign_up_room(struct atl_conn *conn, struct atl_errinfo *info)
{
	int64_t count = 0;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT count(*) FROM users WHERE waiting_since IS NOT NULL", "");

	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		count = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	if (!err && count >= ATL_SIGN_UP_WAITING_MAX)
		err = atl_fail(info, ATL_ERR_UNAVAILABLE, "Too many people wait for approval. Try again another day.");
	return err;
}

enum atl_err atl_invitation_use(struct atl_conn *conn, const char *token_hash, char ret_role[ATL_ID_SIZE],
				char ret_id[ATL_ID_SIZE], struct atl_errinfo *info)
{
	struct atl_invitation invitation;
	struct atl_arena arena;
	struct work work = { .arena = &arena, .hash = token_hash, .items = &invitation };
	int64_t changed = 0;
	enum atl_err err;

	atl_arena_init(&arena, 0);
	err = look_fn(conn, &work, info);
	if (!err) { /* counting first locks the row: of two that race for the last use one finds it used */
		err = atl_exec_count(conn, &changed, info,
				     "UPDATE invitations SET uses = uses + 1 WHERE token_hash = ? AND revoked_at IS NULL AND "
				     "(uses_max IS NULL OR uses < uses_max)",
				     "s", token_hash);
		atl_str_copy(ret_role, ATL_ID_SIZE, invitation.role);
		if (ret_id)
			atl_str_copy(ret_id, ATL_ID_SIZE, invitation.id);
		if (!err && changed == 0)
			err = atl_fail(info, ATL_ERR_GONE, "This invitation was used already.");
	}
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err sign_up_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct sign_up *s = arg;
	struct atl_identity self = { .channel = ATL_CHANNEL_NONE };
	struct atl_audit audit = { .who = &self, .remote = s->remote, .action = "user.sign_up", .target_kind = "user",
				   .target_id = s->user.id };
	char role[ATL_ID_SIZE], invitation_id[ATL_ID_SIZE];
	enum atl_err err;

	if (s->invited) { /* looked at again: it may have ended while the password was hashed */
		err = atl_invitation_use(conn, s->work.hash, role, invitation_id, info);
		s->user.role = role;
		audit.note = invitation_id;
	} else {
		err = atl_sign_up_room(conn, info);
	}
	if (!err)
		err = atl_user_insert(conn, &s->user, info);
	if (!err && s->verify)
		err = atl_mail_queue(conn, ATL_MAIL_VERIFY, s->user.email, s->user.id, info);
	atl_str_copy(self.user_id, sizeof(self.user_id), s->user.id);
	atl_str_copy(self.user_name, sizeof(self.user_name), s->user.name);
	return err ? err : atl_audit(conn, &audit, info);
}

static enum atl_err check_mode(const struct atl_sign_up_rules *rules, const struct atl_sign_up *in, struct atl_errinfo *info)
{
	if (rules->mode == ATL_SIGN_UP_CLOSED)
		return atl_fail(info, ATL_ERR_FORBIDDEN, "This server takes no new accounts.");
	if (in->token)
		return ATL_OK;
	if (rules->mode == ATL_SIGN_UP_INVITATION)
		return atl_fail(info, ATL_ERR_FORBIDDEN, "An account here needs an invitation link.");
	if (rules->mode == ATL_SIGN_UP_DOMAIN && !atl_login_domain_listed(&rules->domains, atl_login_email_domain(in->email)))
		return atl_fail_field(info, ATL_ERR_FORBIDDEN, "email", "An account here needs an address of a domain it allows.");
	return ATL_OK;
}

enum atl_err atl_sign_up(struct atl_app *app, const struct atl_sign_up *in, struct atl_signed_up *ret, struct atl_errinfo *info)
{
	char id[ATL_ID_SIZE], token_hash[HASH_SIZE], hash[ATL_PASSWORD_HASH_SIZE];
	struct atl_arena arena;
	struct atl_sign_up_rules rules;
	struct sign_up s = { .work = { .arena = &arena, .hash = token_hash }, .remote = in->remote,
			     .user = { .id = id, .name = in->name, .password_hash = hash, .role = "member", .email = in->email },
			     .invited = in->token != NULL };
	enum atl_err err;

	s.work.items = &s.invitation;
	atl_arena_init(&arena, 0);
	atl_sign_up_rules(app, &arena, &rules);
	err = check_mode(&rules, in, info);
	if (!err && s.invited) {
		atl_sha256_hex(in->token, strlen(in->token), token_hash);
		err = atl_invitation_look(app, in->token, &arena, &s.invitation, info);
	}
	if (!err)
		err = atl_user_check(in->name, in->password, in->email, info);
	if (!err)
		err = atl_password_hash(in->password, hash);
	atl_id_new("usr", id);
	s.user.waiting_since = s.invited ? 0 : atl_now_ms();
	s.verify = !s.invited && rules.mode == ATL_SIGN_UP_DOMAIN && atl_mail_ready(app);
	if (!err)
		err = atl_db_tx(app->db, sign_up_tx, &s, info);
	if (!err) {
		memcpy(ret->id, id, ATL_ID_SIZE);
		ret->waiting = !s.invited;
		ret->mailed = s.verify;
		if (s.verify)
			atl_mail_wake(app);
	}
	atl_arena_finish(&arena);
	return err;
}
