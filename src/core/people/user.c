/* user.c - SQL of users; what a name and a password may be. */
#include "core/people/user.h"

#include "base/clock.h"
#include "base/str.h"
#include "core/access/common_password.h"
#include "core/people/audit.h"
#include "db/db.h"

#define USER_COLUMNS "id, name, role, password_hash, created_at, updated_at, disabled_at, disabled_until, waiting_since, disabled_why"

static enum atl_err check_name(const char *name, char folded[ATL_USER_NAME_SIZE], struct atl_errinfo *info)
{
	size_t length = name ? strlen(name) : 0;

	if (length == 0 || length >= ATL_USER_NAME_SIZE || !atl_utf8_valid(name, length) ||
	    atl_utf8_count(name, length) > ATL_USER_NAME_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "name", "A name has 1 to %d characters.", ATL_USER_NAME_MAX);
	if (name[0] == ' ' || name[length - 1] == ' ')
		return atl_fail_field(info, ATL_ERR_INVALID, "name", "A name does not begin or end with a space.");
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c < 0x20 || c == 0x7f)
			return atl_fail_field(info, ATL_ERR_INVALID, "name", "A name has no control characters.");
		folded[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	folded[length] = '\0';
	return ATL_OK;
}

static enum atl_err check_password(const char *password, const char *name, struct atl_errinfo *info)
{
	size_t length = password ? strlen(password) : 0;

	if (length > ATL_PASSWORD_MAX || !atl_utf8_valid(password ? password : "", length))
		return atl_fail_field(info, ATL_ERR_INVALID, "password", "A password has at most %d bytes of UTF-8.",
				      ATL_PASSWORD_MAX);
	if (atl_utf8_count(password ? password : "", length) < ATL_PASSWORD_MIN)
		return atl_fail_field(info, ATL_ERR_INVALID, "password", "A password has at least %d characters.",
				      ATL_PASSWORD_MIN);
	if (atl_password_common(password, name))
		return atl_fail_field(info, ATL_ERR_INVALID, "password",
				      "This is one of the passwords that are tried first. Take a longer one: three words that do not "
				      "belong together.");
	return ATL_OK;
}

/* local@domain with a dot in the domain, printable ASCII or UTF-8, no spaces: whether it exists only a message can tell. */
enum atl_err atl_email_fold(const char *email, char folded[ATL_EMAIL_MAX + 1], struct atl_errinfo *info)
{
	size_t length = strlen(email);
	const char *at = strrchr(email, '@'), *dot = at ? strchr(at + 1, '.') : NULL;
	bool bad = length > ATL_EMAIL_MAX || !at || at == email || !dot || dot == at + 1 || !dot[1] ||
		   strchr(email, '@') != at || !atl_utf8_valid(email, length);

	for (size_t i = 0; !bad && i < length; i++) {
		unsigned char c = (unsigned char)email[i];

		bad = c <= 0x20 || c == 0x7f || strchr("<>()[]\\,;:\"", c) != NULL;
		folded[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	if (bad)
		return atl_fail_field(info, ATL_ERR_INVALID, "email", "This is not an e-mail address.");
	folded[length] = '\0';
	return ATL_OK;
}

enum atl_err atl_user_check(const char *name, const char *password, const char *email, struct atl_errinfo *info)
{
	char folded[ATL_USER_NAME_SIZE], address[ATL_EMAIL_MAX + 1];
	enum atl_err err = name ? check_name(name, folded, info) : ATL_OK;

	if (!err && password)
		err = check_password(password, name, info);
	if (!err && email)
		err = atl_email_fold(email, address, info);
	return err;
}

enum atl_err atl_user_insert(struct atl_conn *conn, const struct atl_user_new *user, struct atl_errinfo *info)
{
	char folded[ATL_USER_NAME_SIZE], address[ATL_EMAIL_MAX + 1];
	int64_t now = atl_now_ms();
	enum atl_err err = check_name(user->name, folded, info);

	if (!err && user->email)
		err = atl_email_fold(user->email, address, info);
	if (err)
		return err;
	err = atl_exec(conn, info,
		       "INSERT INTO users (id, name, name_folded, role, password_hash, preferences, created_at, updated_at, "
		       "email, email_folded, waiting_since) VALUES (?, ?, ?, ?, ?, '{}', ?, ?, ?, ?, ?)",
		       "sssssiisst", user->id, user->name, folded, user->role, user->password_hash, now, now, user->email,
		       user->email ? address : NULL, user->waiting_since);
	if (err && atl_conn_unique_violation(conn))
		return atl_fail(info, ATL_ERR_CONFLICT, "That name or address cannot be used. Choose another name.");
	return err;
}

enum atl_err atl_user_may_enter(const struct atl_user *user, struct atl_errinfo *info)
{
	int64_t now = atl_now_ms();
	const char *why = user->disabled_why && user->disabled_why[0] ? user->disabled_why : NULL;
	char until[ATL_RFC3339_SIZE];

	if (user->waiting_since)
		return atl_fail(info, ATL_ERR_FORBIDDEN, "This account waits until an administrator approves it.");
	if (!user->disabled_at || (user->disabled_until && user->disabled_until <= now))
		return ATL_OK;
	if (user->disabled_until) {
		atl_rfc3339_format(user->disabled_until, until);
		return atl_fail(info, ATL_ERR_FORBIDDEN, "This account is suspended until %.10s %.5s UTC%s%s", until, until + 11,
				why ? ": " : ".", why ? why : "");
	}
	return atl_fail(info, ATL_ERR_FORBIDDEN, "This account is suspended%s%s", why ? ": " : ". Ask an administrator.",
			why ? why : "");
}

struct change {
	const char *id, *name, *folded, *hash, *json;
	enum atl_role role;
	bool only_first;
	char new_id[ATL_ID_SIZE];
};

static enum atl_err count_users(struct atl_conn *conn, int64_t *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT count(*) FROM users", "");

	if (err)
		return err;
	*ret = 0;
	if (atl_rows_next(rows, &err, info)) {
		*ret = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	return err;
}

static enum atl_err create_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct change *change = arg;
	int64_t now = atl_now_ms(), count;
	enum atl_err err;

	if (change->only_first) {
		err = count_users(conn, &count, info);
		if (err)
			return err;
		if (count > 0)
			return atl_fail(info, ATL_ERR_CONFLICT, "The setup is done already: there is a user. Sign in.");
	}
	err = atl_exec(conn, info,
		       "INSERT INTO users (id, name, name_folded, role, password_hash, preferences, created_at, updated_at) "
		       "VALUES (?, ?, ?, ?, ?, '{}', ?, ?)",
		       "sssssii", change->new_id, change->name, change->folded, atl_role_name(change->role), change->hash, now,
		       now);
	if (err && atl_conn_unique_violation(conn))
		return atl_fail_field(info, ATL_ERR_CONFLICT, "name", "There is a user of that name.");
	return err;
}

enum atl_err atl_user_create(struct atl_app *app, const char *name, const char *password, enum atl_role role,
			     bool only_first, char ret_id[ATL_ID_SIZE], struct atl_errinfo *info)
{
	char folded[ATL_USER_NAME_SIZE], hash[ATL_PASSWORD_HASH_SIZE];
	struct change change = { .name = name, .folded = folded, .hash = hash, .role = role, .only_first = only_first };
	enum atl_err err = check_name(name, folded, info);

	if (!err)
		err = check_password(password, name, info);
	if (!err)
		err = atl_password_hash(password, hash);
	if (err)
		return err;
	atl_id_new("usr", change.new_id);
	err = atl_db_tx(app->db, create_tx, &change, info);
	if (!err)
		memcpy(ret_id, change.new_id, ATL_ID_SIZE);
	return err;
}

static void read_user(struct atl_rows *rows, struct atl_arena *arena, struct atl_user *user)
{
	user->id = atl_col_text(rows, 0, arena);
	user->name = atl_col_text(rows, 1, arena);
	user->role_name = atl_col_text(rows, 2, arena);
	if (!atl_role_find(user->role_name, &user->role))
		user->role = ATL_ROLE_CUSTOM;
	user->password_hash = atl_col_text(rows, 3, arena);
	user->created_at = atl_col_int(rows, 4);
	user->updated_at = atl_col_int(rows, 5);
	user->disabled_at = atl_col_int(rows, 6);
	user->disabled_until = atl_col_int(rows, 7);
	user->waiting_since = atl_col_int(rows, 8);
	user->disabled_why = atl_col_text(rows, 9, arena);
}

struct lookup {
	const char *id, *folded;
	struct atl_arena *arena;
	struct atl_user *user;
	struct atl_user *users;
	size_t count, room;
	const char *text;
	int64_t number;
};

static enum atl_err get_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct lookup *lookup = arg;
	struct atl_rows *rows;
	enum atl_err err;

	if (lookup->id)
		err = atl_query(conn, &rows, info, "SELECT " USER_COLUMNS " FROM users WHERE id = ?", "s", lookup->id);
	else
		err = atl_query(conn, &rows, info, "SELECT " USER_COLUMNS " FROM users WHERE name_folded = ?", "s",
				lookup->folded);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such user.");
	read_user(rows, lookup->arena, lookup->user);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_user_get(struct atl_app *app, const char *id, struct atl_arena *arena, struct atl_user *ret,
			  struct atl_errinfo *info)
{
	struct lookup lookup = { .id = id, .arena = arena, .user = ret };

	return atl_db_read(app->db, get_read, &lookup, info);
}

enum atl_err atl_user_find(struct atl_app *app, const char *name, struct atl_arena *arena, struct atl_user *ret,
			   struct atl_errinfo *info)
{
	char folded[ATL_USER_NAME_SIZE];
	struct lookup lookup = { .folded = folded, .arena = arena, .user = ret };

	if (check_name(name, folded, NULL) != ATL_OK)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such user.");
	return atl_db_read(app->db, get_read, &lookup, info);
}

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct lookup *lookup = arg;
	struct atl_rows *rows;
	int64_t total;
	enum atl_err err = count_users(conn, &total, info);

	if (err)
		return err;
	lookup->count = 0;
	lookup->users = ATL_ARENA_ARRAY(lookup->arena, struct atl_user, (size_t)total + 1);
	if (!lookup->users)
		return atl_fail(info, ATL_ERR_NOMEM, "list users");
	err = atl_query(conn, &rows, info, "SELECT " USER_COLUMNS " FROM users ORDER BY id", "");
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		if (lookup->count == (size_t)total) {
			atl_rows_close(rows);
			break;
		}
		read_user(rows, lookup->arena, &lookup->users[lookup->count++]);
	}
	return err;
}

enum atl_err atl_user_list(struct atl_app *app, struct atl_arena *arena, struct atl_user **ret, size_t *ret_count,
			   struct atl_errinfo *info)
{
	struct lookup lookup = { .arena = arena };
	enum atl_err err = atl_db_read(app->db, list_read, &lookup, info);

	if (err)
		return err;
	*ret = lookup.users;
	*ret_count = lookup.count;
	return ATL_OK;
}

static enum atl_err count_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return count_users(conn, arg, info);
}

enum atl_err atl_user_count(struct atl_app *app, int64_t *ret, struct atl_errinfo *info)
{
	return atl_db_read(app->db, count_read, ret, info);
}

static enum atl_err one_changed(enum atl_err err, int64_t changed, struct atl_errinfo *info)
{
	if (!err && changed == 0)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such user.");
	return err;
}

static enum atl_err rename_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct change *change = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE users SET name = ?, name_folded = ?, updated_at = ? WHERE id = ?", "ssis",
					  change->name, change->folded, atl_now_ms(), change->id);

	if (err && atl_conn_unique_violation(conn))
		return atl_fail_field(info, ATL_ERR_CONFLICT, "name", "There is a user of that name.");
	return one_changed(err, changed, info);
}

enum atl_err atl_user_rename(struct atl_app *app, const char *id, const char *name, struct atl_errinfo *info)
{
	char folded[ATL_USER_NAME_SIZE];
	struct change change = { .id = id, .name = name, .folded = folded };
	enum atl_err err = check_name(name, folded, info);

	return err ? err : atl_db_tx(app->db, rename_tx, &change, info);
}

enum atl_err atl_user_put_password(struct atl_conn *conn, const char *id, const char *hash, struct atl_errinfo *info)
{
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE users SET password_hash = ?, updated_at = ? WHERE id = ?", "sis", hash,
					  atl_now_ms(), id);

	return one_changed(err, changed, info);
}

static enum atl_err password_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct change *change = arg;

	return atl_user_put_password(conn, change->id, change->hash, info);
}

enum atl_err atl_user_admit(struct atl_conn *conn, const char *id, const char *email, bool *ret, struct atl_errinfo *info)
{
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE users SET waiting_since = NULL, updated_at = ? WHERE id = ? AND email_folded = ? AND "
					  "waiting_since IS NOT NULL",
					  "iss", atl_now_ms(), id, email);

	*ret = changed > 0;
	return err;
}

enum atl_err atl_user_set_password(struct atl_app *app, const struct atl_identity *who, const char *id, const char *password,
				   struct atl_errinfo *info)
{
	const struct atl_audit audit = { .who = who, .action = "user.password", .target_kind = "user", .target_id = id };
	char hash[ATL_PASSWORD_HASH_SIZE];
	struct change change = { .id = id, .hash = hash };
	enum atl_err err = check_password(password, NULL, info);

	if (!err)
		err = atl_password_hash(password, hash);
	return err ? err : atl_audit_tx(app->db, password_tx, &change, &audit, info);
}

static enum atl_err role_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct change *change = arg;
	struct atl_rows *rows;
	int64_t others = 0, changed = 0;
	enum atl_err err;

	if (change->role != ATL_ROLE_OWNER) {
		err = atl_query(conn, &rows, info, "SELECT count(*) FROM users WHERE role = 'owner' AND id <> ?", "s",
				change->id);
		if (err)
			return err;
		if (atl_rows_next(rows, &err, info)) {
			others = atl_col_int(rows, 0);
			atl_rows_close(rows);
		}
		if (err)
			return err;
		if (others == 0)
			return atl_fail(info, ATL_ERR_CONFLICT, "The last owner stays one. Make another user owner first.");
	}
	err = atl_exec_count(conn, &changed, info, "UPDATE users SET role = ?, updated_at = ? WHERE id = ?", "sis",
			     atl_role_name(change->role), atl_now_ms(), change->id);
	return one_changed(err, changed, info);
}

enum atl_err atl_user_set_role(struct atl_app *app, const char *id, enum atl_role role, struct atl_errinfo *info)
{
	struct change change = { .id = id, .role = role };

	return atl_db_tx(app->db, role_tx, &change, info);
}

static enum atl_err preferences_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct lookup *lookup = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT preferences FROM users WHERE id = ?", "s", lookup->id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such user.");
	lookup->text = atl_col_text(rows, 0, lookup->arena);
	atl_rows_close(rows);
	return lookup->text ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "read preferences");
}

enum atl_err atl_user_preferences(struct atl_app *app, const char *id, struct atl_arena *arena, const char **ret_json,
				  struct atl_errinfo *info)
{
	struct lookup lookup = { .id = id, .arena = arena };
	enum atl_err err = atl_db_read(app->db, preferences_read, &lookup, info);

	if (!err)
		*ret_json = lookup.text;
	return err;
}

static enum atl_err set_preferences_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct change *change = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info, "UPDATE users SET preferences = ? WHERE id = ?", "ss",
					  change->json, change->id);

	return one_changed(err, changed, info);
}

enum atl_err atl_user_set_preferences(struct atl_app *app, const char *id, const char *json, struct atl_errinfo *info)
{
	struct change change = { .id = id, .json = json };

	if (strlen(json) > ATL_PREFERENCES_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "Preferences have at most %d bytes.", ATL_PREFERENCES_MAX);
	return atl_db_tx(app->db, set_preferences_tx, &change, info);
}
