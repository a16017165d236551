/* passkey.h - passkeys of people: made, listed, renamed, removed, and signed in with.
 *
 * A passkey is bound to one name of the server (the RP id) and lies on the person's device, which verifies the person
 * itself: signing in with one asks for neither password nor code. Challenges are random, kept as hashes, used once and
 * ATL_PASSKEY_CHALLENGE_MS old at most; one for making a passkey belongs to the session that asked for it.
 *
 * Threads: pool threads (SQL). What is returned lives in the arena. Limits: the constants below.
 */
#ifndef ATL_CORE_PASSKEY_H
#define ATL_CORE_PASSKEY_H

#include "core/access/identity.h"
#include "core/access/webauthn.h"
#include "core/app.h"

#define ATL_PASSKEYS_MAX 20 /* of one person */
#define ATL_PASSKEY_NAME_MAX 60
#define ATL_PASSKEY_CHALLENGE_MS (5 * 60 * 1000)
#define ATL_PASSKEY_CHALLENGES_MAX 10000

struct atl_passkey {
	const char *id, *name, *rp_id, *credential_id;
	bool synced; /* it can be on more than one device */
	int64_t created_at, last_used_at;
};
enum atl_err atl_passkey_list(struct atl_app *app, const char *user_id, struct atl_arena *arena, struct atl_passkey **ret,
			      size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;

/* `who` NULL: for a sign-in. THROTTLED: too many are open. */
enum atl_err atl_passkey_challenge(struct atl_app *app, const struct atl_identity *who, char ret[ATL_TOKEN_SIZE],
				   struct atl_errinfo *info) ATL_MUST_USE;

struct atl_passkey_answer {
	const char *origin, *rp_id; /* of this server, as the browser sees it */
	struct atl_span client_data, auth_data, signature;
	const char *credential_id; /* base64url; of a sign-in */
	const char *user_handle;   /* the account's id, as the passkey keeps it; NULL: not told */
	int alg;		   /* of a new one */
	const char *name;
	const char *remote;
};
/* GONE: the challenge. UNPROCESSABLE: refused. CONFLICT: too many, or it is there already. *ret_id: of the new one. */
enum atl_err atl_passkey_add(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			     const struct atl_passkey_answer *answer, char ret_id[ATL_ID_SIZE],
			     struct atl_errinfo *info) ATL_MUST_USE;
/* Whose it is. GONE, UNPROCESSABLE (also for a passkey that nobody has). */
enum atl_err atl_passkey_use(struct atl_app *app, struct atl_arena *arena, const struct atl_passkey_answer *answer,
			     char ret_user_id[ATL_ID_SIZE], struct atl_errinfo *info) ATL_MUST_USE;
/* One's own; NOT_FOUND also for another's. name NULL: it keeps its name. */
enum atl_err atl_passkey_rename(struct atl_app *app, const struct atl_identity *who, const char *id, const char *name,
				struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_passkey_remove(struct atl_app *app, const struct atl_identity *who, const char *id,
				struct atl_errinfo *info) ATL_MUST_USE;

#endif
