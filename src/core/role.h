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
#include "core/permission.h"

struct atl_conn;
struct atl_identity;

/* `role` as users.role has it. *ret_permissions is a mask of ATL_PERM_BIT()s. */
enum atl_err atl_role_load(struct atl_conn *conn, const char *role, enum atl_role *ret_role, uint32_t *ret_permissions,
			   struct atl_errinfo *info) ATL_MUST_USE;
/* The same into an identity: role, role_id, role_name, permissions and mature. */
enum atl_err atl_role_give(struct atl_conn *conn, const char *role, struct atl_identity *identity,
			   struct atl_errinfo *info) ATL_MUST_USE;

/* May it have mature content, where the server allows any? Unless somebody took it away (core/role_edit.h). */
enum atl_err atl_role_mature(struct atl_conn *conn, const char *role, bool *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
