/* user.h - the people who sign in: name, role, password, preferences.
 *
 * Names are unique without regard to ASCII case. Passwords are kept as Argon2id hashes only.
 *
 * Threads: pool threads (they block). Limits: the constants below, checked here.
 */
#ifndef ATL_CORE_USER_H
#define ATL_CORE_USER_H

#include "base/arena.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_PASSWORD_MIN 8    /* code points */
#define ATL_PASSWORD_MAX 1024 /* bytes */
#define ATL_PREFERENCES_MAX 65536
#define ATL_EMAIL_MAX 254

struct atl_conn;

struct atl_user {
	const char *id, *name, *role_name;
	enum atl_role role;
	const char *password_hash;
	int64_t created_at, updated_at;
	int64_t disabled_at;	/* suspended since; 0: not */
	int64_t disabled_until; /* 0: until somebody lifts it */
	int64_t waiting_since;	/* signed up and not approved yet; 0: not waiting */
	const char *disabled_why; /* NULL: not said */
};

/* What an account without a password has as password_hash: no password fits it. */
#define ATL_USER_NO_PASSWORD "!"

/* A row of users; what a name and a password may be is the caller's to check before (atl_user_check()). */
struct atl_user_new {
	const char *id, *name, *password_hash, *role; /* role: a built-in one's name or a custom one's id */
	const char *email;		       /* NULL: none */
	int64_t waiting_since;		       /* 0: may sign in at once */
};
/* INVALID with the field "name", "password" or "email"; NULL is not checked. */
enum atl_err atl_user_check(const char *name, const char *password, const char *email,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* An address as it is compared: ASCII letters small. INVALID (field "email"). */
enum atl_err atl_email_fold(const char *email, char folded[ATL_EMAIL_MAX + 1], struct atl_errinfo *info) ATL_MUST_USE;
/* In the caller's transaction. CONFLICT: the name or the address is taken, and the answer does not say which. */
enum atl_err atl_user_insert(struct atl_conn *conn, const struct atl_user_new *user, struct atl_errinfo *info) ATL_MUST_USE;
/* After whoever it is has shown to be that person: FORBIDDEN with a sentence for a suspended or waiting account. */
enum atl_err atl_user_may_enter(const struct atl_user *user, struct atl_errinfo *info) ATL_MUST_USE;

/* Errors: INVALID (field "name" or "password"), CONFLICT (the name is taken; or only_first and there is a user). */
enum atl_err atl_user_create(struct atl_app *app, const char *name, const char *password, enum atl_role role,
			     bool only_first, char ret_id[ATL_ID_SIZE], struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_user_get(struct atl_app *app, const char *id, struct atl_arena *arena, struct atl_user *ret,
			  struct atl_errinfo *info) ATL_MUST_USE; /* NOT_FOUND */
enum atl_err atl_user_find(struct atl_app *app, const char *name, struct atl_arena *arena, struct atl_user *ret,
			   struct atl_errinfo *info) ATL_MUST_USE; /* by name; NOT_FOUND */
enum atl_err atl_user_list(struct atl_app *app, struct atl_arena *arena, struct atl_user **ret, size_t *ret_count,
			   struct atl_errinfo *info) ATL_MUST_USE; /* oldest first */
enum atl_err atl_user_count(struct atl_app *app, int64_t *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_user_rename(struct atl_app *app, const char *id, const char *name,
			     struct atl_errinfo *info) ATL_MUST_USE;
/* `who` changed it; NULL: the command line. */
enum atl_err atl_user_set_password(struct atl_app *app, const struct atl_identity *who, const char *id, const char *password,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* In the caller's transaction; the hash is atl_password_hash()'s. NOT_FOUND. */
enum atl_err atl_user_put_password(struct atl_conn *conn, const char *id, const char *hash,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* In the caller's transaction: an account that waits need not any longer. *ret: it did, and its address is this one. */
enum atl_err atl_user_admit(struct atl_conn *conn, const char *id, const char *email, bool *ret,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* The last owner stays one: CONFLICT. */
enum atl_err atl_user_set_role(struct atl_app *app, const char *id, enum atl_role role,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* Open JSON object, kept as text. */
enum atl_err atl_user_preferences(struct atl_app *app, const char *id, struct atl_arena *arena, const char **ret_json,
				  struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_user_set_preferences(struct atl_app *app, const char *id, const char *json,
				      struct atl_errinfo *info) ATL_MUST_USE;

#endif
