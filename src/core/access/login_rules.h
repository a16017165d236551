/* login_rules.h - what a sign-in service's word decides here: whom it may bring, and which role its claims give.
 *
 * A role rule names a claim, a value and a role; the first rule that fits counts. A claim is a member of the token (or of
 * what the service's API answers) by its name, else by a path with dots ("realm_access.roles"); it fits when it is the
 * value, or a list that has it. Rules are applied at each sign-in: the role follows the claims, and what a rule gave is
 * taken back (to member) when no rule fits any more. A role that somebody here gave by hand stays while no rule fits.
 * Owners are never touched, and no rule makes one.
 *
 * Domains: with a list, only people of these domains pass, at every sign-in. Google tells the domain in `hd`; for others
 * it is that of the address, when the service has verified it.
 *
 * Threads: pure functions. What is returned lives in the arena. Limits: the constants below.
 */
#ifndef ATL_CORE_LOGIN_RULES_H
#define ATL_CORE_LOGIN_RULES_H

#include "base/json.h"
#include "core/access/jwt.h"

#define ATL_LOGIN_RULES_MAX 50
#define ATL_LOGIN_DOMAINS_MAX 50
#define ATL_LOGIN_CLAIM_MAX 200 /* of a claim's name, and of a value */

struct atl_role_rule {
	const char *claim, *value, *role; /* role: a built-in one's name or a custom one's id */
};

/* INVALID naming the field "role_rules" or "domains"; whether the roles exist and may be given is the caller's to ask. */
enum atl_err atl_login_rules_check(const struct atl_items *rules, const struct atl_strs *domains,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* As the database keeps them, and back. What cannot be read is an error: a rule that is lost would open a door. */
enum atl_err atl_login_rules_write(struct atl_arena *arena, const struct atl_items *rules, const char **ret,
				   struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_login_rules_read(struct atl_arena *arena, const char *json, struct atl_items *ret,
				  struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_login_domains_write(struct atl_arena *arena, const struct atl_strs *domains, const char **ret,
				     struct atl_errinfo *info) ATL_MUST_USE; /* in small letters */
enum atl_err atl_login_domains_read(struct atl_arena *arena, const char *json, struct atl_strs *ret,
				    struct atl_errinfo *info) ATL_MUST_USE;

/* The role of the first rule that fits; NULL: none does. */
const char *atl_login_role(const struct atl_items *rules, const struct atl_json *claims);
/* The part after the last '@'; NULL without an address. */
const char *atl_login_email_domain(const char *email);
/* Is the domain listed, without regard to case? NULL is not. */
bool atl_login_domain_listed(const struct atl_strs *domains, const char *domain);
/* `domain_claim` NULL: the verified address's domain. No list: everybody. */
bool atl_login_domain_fits(const struct atl_strs *domains, const char *domain_claim, const struct atl_jwt_claims *claims);

#endif
