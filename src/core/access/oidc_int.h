/* oidc_int.h - what the files of core/access/oidc share. */
#ifndef ATL_CORE_OIDC_INT_H
#define ATL_CORE_OIDC_INT_H

#include "core/access/jwt.h"
#include "core/access/login_provider.h"
#include "core/access/oidc.h"
#include "provider/oauth.h"

struct atl_oidc_caller atl_oidc_caller(struct atl_app *app, struct atl_arena *arena);
/* The service's addresses: from the database while they are fresh, else asked. */
enum atl_err atl_oidc_service(struct atl_app *app, struct atl_arena *arena, const char *issuer,
			      struct atl_oidc_service *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* As atl_jwt_verify() with the service's keys, which are asked for again when none fits. */
enum atl_err atl_oidc_verify(struct atl_app *app, struct atl_arena *arena, const struct atl_oidc_service *service,
			     const char *token, const struct atl_jwt_expect *expect, struct atl_jwt_claims *ret,
			     struct atl_errinfo *info) ATL_MUST_USE;

struct atl_oidc_found {
	const struct atl_login_provider *provider;
	const struct atl_jwt_claims *claims;
	const char *remote;
	char user_id[ATL_ID_SIZE]; /* answer; "" when nobody */
};
/* Whom (issuer, sub) means. Notes that it was used, and gives the role that the claims give. */
enum atl_err atl_oidc_link_find(struct atl_app *app, struct atl_oidc_found *found, struct atl_errinfo *info) ATL_MUST_USE;
struct atl_oidc_link_new {
	const char *issuer, *sub, *user_id, *label;
	const char *session_id; /* must still be open; NULL: not looked at */
	const char *new_name;	/* user_id is that of a new account of this name, made with the link; NULL: it is there */
	const char *role_given;	/* what a rule of the service gives a new account; NULL: the invitation's role, else member */
	const char *invitation_hash; /* is used up by the new account; NULL: none */
	int64_t waiting_since;
	const char *remote;
};
/* GONE: the invitation. CONFLICT with the field "name": the new name is taken; else it is somebody's (or this person has too many). Linking what is
 * linked already changes nothing. */
enum atl_err atl_oidc_link_add(struct atl_app *app, const struct atl_oidc_link_new *link,
			       struct atl_errinfo *info) ATL_MUST_USE;

#endif
