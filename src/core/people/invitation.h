/* invitation.h - who may make an account: the sign-up mode, invitation links, and the sign-up itself.
 *
 * A link's token is shown once and kept as its SHA-256. It gives one role, as often as it says, until it ends, is revoked,
 * or whoever made it could no longer give that role. A use is counted in the transaction that makes the account.
 *
 * Modes: closed (nobody), invitation (whoever has a link; the default), domain (also whoever gives an address of a listed
 * domain: the account waits for the link of a mail to that address, without a mail server for approval), open (anybody; waits for approval). A link
 * works in every mode but closed.
 *
 * Threads: pool threads. Limits: ATL_INVITATIONS_MAX links that are kept, ATL_SIGN_UP_WAITING_MAX accounts that wait.
 */
#ifndef ATL_CORE_INVITATION_H
#define ATL_CORE_INVITATION_H

#include "base/json.h"
#include "core/people/user.h"

#define ATL_INVITATIONS_MAX 1000
#define ATL_INVITATION_NOTE_MAX 200
#define ATL_INVITATION_USES_MAX 10000
#define ATL_SIGN_UP_WAITING_MAX 1000
#define ATL_SIGN_UP_DOMAINS_MAX 50

enum atl_sign_up_mode { ATL_SIGN_UP_CLOSED, ATL_SIGN_UP_INVITATION, ATL_SIGN_UP_DOMAIN, ATL_SIGN_UP_OPEN };
extern const char *const atl_sign_up_modes[]; /* their names, NULL-terminated */

struct atl_sign_up_rules {
	enum atl_sign_up_mode mode;
	struct atl_strs domains; /* in small letters */
};
/* A rule that cannot be read is CLOSED. */
void atl_sign_up_rules(struct atl_app *app, struct atl_arena *arena, struct atl_sign_up_rules *ret);
enum atl_err atl_sign_up_set_rules(struct atl_app *app, const struct atl_identity *who, const char *mode,
				   const struct atl_strs *domains, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_invitation {
	const char *id, *role, *role_name, *note, *state; /* "open", "used", "expired", "revoked" */
	const char *created_by;			       /* name; "" when that account is gone */
	const char *token;			       /* only in the answer to its creation, else NULL */
	int64_t uses, uses_max, expires_at, created_at; /* uses_max, expires_at 0: no end */
};
extern const struct atl_json_desc atl_invitation_desc;

/* INVALID, FORBIDDEN (field "role": more than `who` may), CONFLICT (too many). */
enum atl_err atl_invitation_create(struct atl_app *app, const struct atl_identity *who, const char *role, const char *note,
				   int64_t uses_max, int64_t expires_at, struct atl_arena *arena, struct atl_invitation *ret,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* Newest first. */
enum atl_err atl_invitation_list(struct atl_app *app, struct atl_arena *arena, struct atl_invitation **ret,
				 size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_invitation_revoke(struct atl_app *app, const struct atl_identity *who, const char *id,
				   struct atl_errinfo *info) ATL_MUST_USE; /* NOT_FOUND */
/* Is this link good? GONE with a sentence that says why not; one sentence for what never was one. */
enum atl_err atl_invitation_look(struct atl_app *app, const char *token, struct atl_arena *arena, struct atl_invitation *ret,
				 struct atl_errinfo *info) ATL_MUST_USE;

/* In a transaction that makes an account: count a use of the link with this hash. *ret_role is what it gives, *ret_id
 * (may be NULL) is the link's id. GONE as atl_invitation_look(). */
enum atl_err atl_invitation_use(struct atl_conn *conn, const char *token_hash, char ret_role[ATL_ID_SIZE],
				char ret_id[ATL_ID_SIZE], struct atl_errinfo *info) ATL_MUST_USE;
/* UNAVAILABLE: so many wait for approval that nobody can be added. */
enum atl_err atl_sign_up_room(struct atl_conn *conn, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_sign_up {
	const char *token;	    /* NULL: none */
	const char *name, *password, *email; /* email NULL: none */
	const char *remote;	    /* for the audit log */
};
struct atl_signed_up {
	char id[ATL_ID_SIZE];
	bool waiting; /* the account is made and waits for approval, or for the link in a mail */
	bool mailed;  /* such a mail is on its way */
};
/* Errors: FORBIDDEN (the mode), GONE (the link), INVALID, CONFLICT (the name or address cannot be used). */
enum atl_err atl_sign_up(struct atl_app *app, const struct atl_sign_up *in, struct atl_signed_up *ret,
			 struct atl_errinfo *info) ATL_MUST_USE;

#endif
