/* permission.c - the tables of permissions, roles and scopes. */
#include "core/access/permission.h"

#include "base/str.h"

static const struct {
	const char *name, *doc;
} permissions[ATL_PERM_COUNT] = {
#define ATL_PERMISSION_X(name, text, doc) [ATL_PERM_##name] = { text, doc },
	ATL_PERMISSION_LIST(ATL_PERMISSION_X)
#undef ATL_PERMISSION_X
};

#define BIT(name) ATL_PERM_BIT(ATL_PERM_##name)
#define ALL (ATL_PERM_BIT(ATL_PERM_COUNT) - 1)

#define SIGNED_IN (BIT(PUBLIC) | BIT(SESSION) | BIT(ACCOUNT_MANAGE))
#define MEMBER (SIGNED_IN | BIT(KEYS_MANAGE) | BIT(CHAT_USE) | BIT(CHARACTERS_USE) | BIT(PICTURES_USE) | BIT(MODELS_READ))

static const struct {
	const char *name;
	uint32_t mask;
} roles[ATL_ROLE_COUNT] = {
	[ATL_ROLE_OWNER] = { "owner", ALL },
	[ATL_ROLE_ADMIN] = { "admin", ALL }, /* what only an owner may is checked where it is done */
	[ATL_ROLE_MODERATOR] = { "moderator", MEMBER | BIT(MODERATE) },
	[ATL_ROLE_MEMBER] = { "member", MEMBER },
	[ATL_ROLE_GUEST] = { "guest", SIGNED_IN | BIT(CHAT_USE) | BIT(MODELS_READ) },
	[ATL_ROLE_CUSTOM] = { "custom", SIGNED_IN },
};

const char *const atl_scope_names[] = { "chat", "characters", "pictures", "models", "admin", NULL };
static const uint32_t scope_masks[] = {
	BIT(CHAT_USE) | BIT(MODELS_READ),
	BIT(CHARACTERS_USE),
	BIT(PICTURES_USE) | BIT(MODELS_READ),
	BIT(MODELS_READ),
	ALL,
};
_Static_assert(ATL_COUNT(scope_masks) + 1 == ATL_COUNT(atl_scope_names), "a mask for each scope");
_Static_assert(ATL_PERM_COUNT < 32, "permissions fit a 32-bit mask");

const char *atl_permission_name(enum atl_permission perm)
{
	return permissions[perm].name;
}

const char *atl_permission_doc(enum atl_permission perm)
{
	return permissions[perm].doc;
}

bool atl_permission_find(const char *name, enum atl_permission *ret)
{
	for (size_t i = 0; i < ATL_PERM_COUNT; i++) {
		if (!atl_str_eq(permissions[i].name, name))
			continue;
		*ret = (enum atl_permission)i;
		return true;
	}
	return false;
}

const char *atl_role_name(enum atl_role role)
{
	return roles[role].name;
}

bool atl_role_find(const char *name, enum atl_role *ret)
{
	for (size_t i = 0; i < ATL_ROLE_CUSTOM; i++) {
		if (!atl_str_eq(roles[i].name, name))
			continue;
		*ret = (enum atl_role)i;
		return true;
	}
	return false;
}

uint32_t atl_role_permissions(enum atl_role role)
{
	return roles[role].mask;
}

bool atl_scope_permissions(const char *scope, uint32_t *ret_mask)
{
	for (size_t i = 0; atl_scope_names[i]; i++) {
		if (!atl_str_eq(atl_scope_names[i], scope))
			continue;
		*ret_mask = scope_masks[i] | BIT(PUBLIC) | BIT(SESSION);
		return true;
	}
	return false;
}
