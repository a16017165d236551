/* login_provider.h - sign-in services that the owner configured: name, issuer, client, sealed secret, and their rules.
 *
 * The secret is sealed with the master key and the row's id, and is never read back out by the API. A preset fills in
 * what its service needs (Google: the issuer; GitHub and Discord: provider/oauth.h).
 *
 * Threads: pool threads. What is returned lives in the arena. Limits: the constants below.
 * Adding one: a preset is a row of the table in login_provider.c.
 */
#ifndef ATL_CORE_LOGIN_PROVIDER_H
#define ATL_CORE_LOGIN_PROVIDER_H

#include "base/arena.h"
#include "core/access/identity.h"
#include "core/access/login_rules.h"
#include "core/app.h"

#define ATL_LOGIN_PROVIDERS_MAX 20
#define ATL_LOGIN_NAME_MAX 60
#define ATL_LOGIN_TEXT_MAX 500 /* issuer, client id, secret */

struct atl_login_provider {
	const char *id, *preset, *name, *issuer, *client_id;
	const char *new_people; /* one of atl_login_new_people */
	struct atl_strs domains;
	struct atl_items role_rules; /* struct atl_role_rule */
	bool has_secret, enabled, takes_new; /* takes_new: new_people is not "none" */
	int64_t created_at, updated_at;
};
/* Names of the presets, NULL-terminated. */
extern const char *const atl_login_presets[];
/* Who is new: "none" is let in, "rules": as the sign-up rules say (core/people/invitation.h), "all": gets an account at once. */
extern const char *const atl_login_new_people[];
/* The second spelling of a preset's issuer that counts in tokens; NULL: none. */
const char *atl_login_issuer_too(const char *preset);
/* The claim in which the preset's service tells the domain; NULL: the verified address's counts. */
const char *atl_login_domain_claim(const char *preset);

enum atl_err atl_login_provider_list(struct atl_app *app, struct atl_arena *arena, struct atl_login_provider **ret,
				     size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE; /* oldest first */
enum atl_err atl_login_provider_get(struct atl_app *app, struct atl_arena *arena, const char *id,
				    struct atl_login_provider *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* *ret NULL: none. The caller wipes it. */
enum atl_err atl_login_provider_secret(struct atl_app *app, struct atl_arena *arena, const char *id, char **ret,
				       struct atl_errinfo *info) ATL_MUST_USE;

/* NULL members stay as they are. */
struct atl_login_change {
	const char *preset; /* create only */
	const char *name, *issuer, *client_id;
	const char *secret; /* "" removes it */
	const char *new_people;
	const struct atl_strs *domains;
	const struct atl_items *role_rules;
	const bool *enabled;
};
/* id NULL: a new one. A new issuer for a kept secret needs the secret again. Errors: INVALID naming the field, OUTBOUND,
 * FORBIDDEN (a rule's role may more than `who`), CONFLICT (too many, or the issuer is there), NOT_FOUND. */
enum atl_err atl_login_provider_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char *id, const struct atl_login_change *change,
				     struct atl_login_provider *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The links of people to its issuer stay, for when it comes back. */
enum atl_err atl_login_provider_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				       struct atl_errinfo *info) ATL_MUST_USE;

#endif
