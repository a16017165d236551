/* role.h - what a user's role allows: the built-in roles of permission.h and those that an operator made.
 *
 * users.role holds the name of a built-in role or the id of a custom one. A role that cannot be found allows what
 * everybody signed in may, and nothing else.
 *
 * Threads: pool threads (SQL); call inside a read or a transaction.
 */
#ifndef ATL_CORE_ROLE_H
#define ATL_CORE_ROLE_H

#include "base/err.h"
#include "core/access/permission.h"

struct atl_arena;
struct atl_conn;
struct atl_identity;
struct atl_rights_book;

/* `role` as users.role has it. *ret_permissions is a mask of ATL_PERM_BIT()s. */
enum atl_err atl_role_load(struct atl_conn *conn, const char *role, enum atl_role *ret_role, uint32_t *ret_permissions,
			   struct atl_errinfo *info) ATL_MUST_USE;
/* The same into an identity, with the role's rights. `book` NULL: without its lists of models and services. */
enum atl_err atl_role_give(struct atl_conn *conn, struct atl_rights_book *book, const char *role,
			   struct atl_identity *identity, struct atl_errinfo *info) ATL_MUST_USE;

/* What role_rights says of a role (core/people/rights.h); a role without a row has everything. Texts in the arena. */
struct atl_role_rights {
	const char *models, *providers; /* JSON lists; NULL: all */
	uint32_t features_off;
	int64_t storage_bytes; /* 0: no cap */
	bool mature;	       /* has mature content, where the server allows any */
};
enum atl_err atl_role_rights(struct atl_conn *conn, const char *role, struct atl_arena *arena, struct atl_role_rights *ret,
			     struct atl_errinfo *info) ATL_MUST_USE;

#endif
