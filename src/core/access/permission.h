/* permission.h - what a user or an API key may do, as one table.
 *
 * Every route names one permission of this list; roles and key scopes are sets of them. The authorise hook compares
 * the route's permission with the identity's bit mask: that comparison is the only permission decision there is.
 *
 * Threads:    pure functions.
 * Adding one: a line in ATL_PERMISSION_LIST (at most 32), and the roles and scopes that hold it in permission.c.
 */
#ifndef ATL_CORE_PERMISSION_H
#define ATL_CORE_PERMISSION_H

#include "base/err.h"

/* name, text in route tables, what it allows */
#define ATL_PERMISSION_LIST(X)                                                                          \
	X(PUBLIC, "public", "anybody, also without signing in")                                         \
	X(SESSION, "session", "anybody signed in, and every valid API key")                             \
	X(ACCOUNT_MANAGE, "account.manage", "one's own name, password, preferences and sessions")       \
	X(KEYS_MANAGE, "keys.manage", "one's own API keys")                                             \
	X(CHAT_USE, "chat.use", "conversations, messages, generations, live events, the OpenAI routes") \
	X(PICTURES_USE, "pictures.use", "jobs, pictures, the library, styles, the OpenAI and A1111 picture routes") \
	X(JOBS_MANAGE, "jobs.manage", "everybody's queue: pause, order, cancel")                        \
	X(CHARACTERS_USE, "characters.use", "characters, personas and their pictures")                  \
	X(MODELS_READ, "models.read", "the list of models")                                             \
	X(PROVIDERS_MANAGE, "providers.manage", "providers and their keys")                             \
	X(ENGINE_MANAGE, "engine.manage", "the local engine, its models and downloads")                 \
	X(SETTINGS_MANAGE, "settings.manage", "settings of the whole server")                           \
	X(PEOPLE_MANAGE, "people.manage", "accounts, invitations, groups and roles")                    \
	X(QUOTAS_MANAGE, "quotas.manage", "allowances, prices, requests for more")                      \
	X(USAGE_READ, "usage.read", "what everybody used and what it cost")                             \
	X(AUDIT_READ, "audit.read", "the audit log")                                                    \
	X(SERVER_MANAGE, "server.manage", "health, log, backups, announcements, maintenance")           \
	X(MODERATE, "moderate", "reports, appeals and what is held for review")                         \
	X(ADMIN, "admin", "users, metrics, everything else")

enum atl_permission {
#define ATL_PERMISSION_X(name, text, doc) ATL_PERM_##name,
	ATL_PERMISSION_LIST(ATL_PERMISSION_X)
#undef ATL_PERMISSION_X
		ATL_PERM_COUNT
};
#define ATL_PERM_BIT(perm) (UINT32_C(1) << (perm))

/* CUSTOM stands for every role that an operator made (core/people/role.h); its permissions are in the database. */
enum atl_role { ATL_ROLE_OWNER, ATL_ROLE_ADMIN, ATL_ROLE_MODERATOR, ATL_ROLE_MEMBER, ATL_ROLE_GUEST, ATL_ROLE_CUSTOM,
		ATL_ROLE_COUNT };

#define ATL_ROLE_NAME_MAX 40 /* code points */
#define ATL_ROLE_NAME_SIZE (ATL_ROLE_NAME_MAX * 4 + 1)

const char *atl_permission_name(enum atl_permission perm);
const char *atl_permission_doc(enum atl_permission perm);
bool atl_permission_find(const char *name, enum atl_permission *ret) ATL_MUST_USE;

const char *atl_role_name(enum atl_role role); /* "owner", "admin", "moderator", "member", "guest", "custom" */
bool atl_role_find(const char *name, enum atl_role *ret) ATL_MUST_USE; /* built-in ones only */
uint32_t atl_role_permissions(enum atl_role role); /* bit mask; CUSTOM: what everybody signed in may */

/* Key scopes: "chat", "characters", "pictures", "models", "admin". A key may do what both its scopes and its user's role allow. */
extern const char *const atl_scope_names[]; /* NULL-terminated */
bool atl_scope_permissions(const char *scope, uint32_t *ret_mask) ATL_MUST_USE;

#endif
