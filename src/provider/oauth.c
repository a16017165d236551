/* oauth.c - see oauth.h. GitHub: "Authorizing OAuth apps", REST "Users" and "Emails". Discord: "OAuth2", "User". */
#include "provider/oauth.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"

static const struct atl_oauth_quirks services[] = {
	{ .name = "github", .label = "GitHub", .issuer = "https://github.com", .issuer_told = "https://github.com/login/oauth",
	  .authorize = "/login/oauth/authorize", .token = "/login/oauth/access_token", .api = "https://api.github.com",
	  .api_path = "/api/v3", .user = "/user", .emails = "/user/emails", .accept = "Accept: application/vnd.github+json",
	  .scope = "read:user user:email", .id = "id", .names = { "name", "login" }, .email = "email",
	  .email_verified = "verified", .email_main = "primary" },
	{ .name = "discord", .label = "Discord", .issuer = "https://discord.com", .authorize = "/api/oauth2/authorize",
	  .token = "/api/oauth2/token", .api = "https://discord.com/api/v10", .api_path = "/api/v10", .user = "/users/@me",
	  .accept = "Accept: application/json", .scope = "identify email", .id = "id", .names = { "global_name", "username" },
	  .email = "email", .email_verified = "verified", .tells_issuer = true },
};

const struct atl_oauth_quirks *atl_oauth_at(size_t index)
{
	return index < ATL_COUNT(services) ? &services[index] : NULL;
}

const struct atl_oauth_quirks *atl_oauth_find(const char *preset)
{
	for (size_t i = 0; i < ATL_COUNT(services); i++)
		if (atl_str_eq(services[i].name, preset))
			return &services[i];
	return NULL;
}

/* The issuer without a slash at its end, before a path that begins with one. */
static const char *join(struct atl_arena *arena, const char *base, const char *path)
{
	size_t length = strlen(base);

	return atl_arena_printf(arena, "%.*s%s", (int)(length && base[length - 1] == '/' ? length - 1 : length), base, path);
}

enum atl_err atl_oauth_service(const struct atl_oidc_caller *caller, const struct atl_oauth_quirks *quirks,
			       const char *issuer, struct atl_oidc_service *ret, struct atl_errinfo *info)
{
	enum atl_err err;

	*ret = (struct atl_oidc_service){ .issuer = issuer, .authorization_endpoint = join(caller->arena, issuer, quirks->authorize),
					  .token_endpoint = join(caller->arena, issuer, quirks->token),
					  .tells_issuer = quirks->tells_issuer, .secret_in_form = true };
	if (!ret->authorization_endpoint || !ret->token_endpoint)
		return atl_fail(info, ATL_ERR_NOMEM, "begin a sign-in");
	err = atl_oidc_url(caller->guard, ret->authorization_endpoint, info);
	return err ? err : atl_oidc_url(caller->guard, ret->token_endpoint, info);
}

static enum atl_err get(const struct atl_oidc_caller *caller, const struct atl_oauth_quirks *quirks, const char *issuer,
			const char *path, const char *access_token, struct atl_json **ret, struct atl_errinfo *info)
{
	const char *api = atl_str_eq(issuer, quirks->issuer) ? quirks->api : join(caller->arena, issuer, quirks->api_path);
	const char *url = api ? join(caller->arena, api, path) : NULL;

	return url ? atl_oidc_get(caller, url, quirks->accept, access_token, ret, info) :
		     atl_fail(info, ATL_ERR_NOMEM, "ask who signed in");
}

/* Text, or a whole number as text; plain ASCII without spaces, so that it is one thing to every reader. NULL: neither. */
static const char *id_of(struct atl_arena *arena, const struct atl_json *value)
{
	if (value && value->kind == ATL_JSON_NUMBER && value->is_integer && value->integer > 0)
		return atl_arena_printf(arena, "%lld", (long long)value->integer);
	if (!value || value->kind != ATL_JSON_STRING || !value->string_length || value->string_length > ATL_OAUTH_ID_MAX)
		return NULL;
	for (size_t i = 0; i < value->string_length; i++)
		if (value->string[i] <= ' ' || value->string[i] >= 0x7f)
			return NULL;
	return value->string;
}

static const char *verified_email(const struct atl_oauth_quirks *quirks, const struct atl_json *item)
{
	return atl_json_bool(item, quirks->email_verified, false) ? atl_json_str(item, quirks->email, NULL) : NULL;
}

static const char *email_of_list(const struct atl_oauth_quirks *quirks, const struct atl_json *list)
{
	for (const struct atl_json *item = list->kind == ATL_JSON_ARRAY ? list->child : NULL; item; item = item->next)
		if (atl_json_bool(item, quirks->email_main, false))
			return verified_email(quirks, item);
	return NULL;
}

enum atl_err atl_oauth_user(const struct atl_oidc_caller *caller, const struct atl_oauth_quirks *quirks, const char *issuer,
			    const char *access_token, struct atl_oauth_user *ret, struct atl_errinfo *info)
{
	struct atl_json *user, *emails;
	struct atl_errinfo inner = { 0 };
	enum atl_err err = get(caller, quirks, issuer, quirks->user, access_token, &user, info);

	if (err)
		return err;
	*ret = (struct atl_oauth_user){ .id = id_of(caller->arena, atl_json_get(user, quirks->id)), .all = user };
	if (!ret->id)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s did not say who signed in.", quirks->label);
	for (size_t i = 0; i < ATL_COUNT(quirks->names) && quirks->names[i] && atl_str_empty(ret->name); i++)
		ret->name = atl_json_str(user, quirks->names[i], NULL);
	if (!quirks->emails) {
		ret->email = verified_email(quirks, user);
		return ATL_OK;
	}
	/* somebody may have kept the addresses to themselves: that is a person without one */
	err = get(caller, quirks, issuer, quirks->emails, access_token, &emails, &inner);
	if (!err)
		ret->email = email_of_list(quirks, emails);
	else
		atl_info("oauth", "%s told no addresses: %s", quirks->label, inner.detail);
	return ATL_OK;
}
