/* identity.c - the permission decision. */
#include "core/access/identity.h"

#include "base/str.h"

bool atl_identity_may(const struct atl_identity *identity, enum atl_permission perm)
{
	if (perm == ATL_PERM_PUBLIC)
		return true;
	return atl_identity_signed_in(identity) && (identity->permissions & ATL_PERM_BIT(perm));
}

void atl_identity_internal(struct atl_identity *out, const char *user_id, const char *user_name, enum atl_role role)
{
	memset(out, 0, sizeof(*out));
	atl_str_copy(out->user_id, sizeof(out->user_id), user_id);
	atl_str_copy(out->user_name, sizeof(out->user_name), user_name);
	out->role = role;
	atl_str_copy(out->role_id, sizeof(out->role_id), atl_role_name(role));
	atl_str_copy(out->role_name, sizeof(out->role_name), atl_role_name(role));
	out->channel = ATL_CHANNEL_INTERNAL;
	out->permissions = atl_role_permissions(role);
}
