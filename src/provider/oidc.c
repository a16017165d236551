/* oidc.c - see oidc.h. OpenID Connect Discovery 1.0, RFC 6749 4.1.3, RFC 7636. */
#include "provider/oidc.h"

#include <string.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/str.h"
#include "net/fetch.h"

enum atl_err atl_oidc_url(const struct atl_guard *guard, const char *url, struct atl_errinfo *info)
{
	struct atl_url parts;
	enum atl_err err = url && strlen(url) <= ATL_OIDC_URL_MAX ?
				   atl_url_split(url, &parts, info) :
				   atl_fail(info, ATL_ERR_INVALID, "An address is missing or too long.");

	if (err)
		return err;
	if (strchr(url, '#'))
		return atl_fail(info, ATL_ERR_INVALID, "The address must not have a fragment.");
	if (!parts.https && !(parts.numeric && (atl_str_starts(parts.host, "127.") || atl_str_eq(parts.host, "::1"))))
		return atl_fail(info, ATL_ERR_INVALID, "The address must begin with https://.");
	return atl_guard_url(guard, url, info);
}

static enum atl_err malformed(struct atl_errinfo *info, const char *what)
{
	return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The sign-in service's %s cannot be read.", what);
}

static enum atl_err call(const struct atl_oidc_caller *caller, struct atl_fetch_request *request,
			 struct atl_fetch_result *ret, struct atl_errinfo *info)
{
	enum atl_err err = atl_oidc_url(caller->guard, request->url, info);

	request->guard = caller->guard;
	request->connect_ms = request->first_byte_ms = request->idle_ms = request->total_ms = ATL_OIDC_TIMEOUT_MS;
	request->max_response_bytes = ATL_OIDC_ANSWER_MAX;
	if (!err)
		err = atl_fetch_sync(caller->loop, caller->arena, request, ret, info);
	return err ? atl_fail_context(info, err, "The sign-in service cannot be reached") : ATL_OK;
}

static enum atl_err get_object(const struct atl_oidc_caller *caller, const char *url, const char *what,
			       const char **ret_text, struct atl_errinfo *info)
{
	const char *headers[] = { "Accept: application/json", NULL };
	struct atl_fetch_request request = { .url = url, .headers = headers };
	struct atl_fetch_result result;
	struct atl_json *tree;
	enum atl_err err = call(caller, &request, &result, info);

	if (err)
		return err;
	if (result.status != 200)
		return atl_fail(info, ATL_ERR_UPSTREAM, "The sign-in service answered %d instead of its %s.", result.status, what);
	if (atl_json_parse(caller->arena, result.body, result.body_length, &tree, NULL) != ATL_OK ||
	    tree->kind != ATL_JSON_OBJECT)
		return malformed(info, what);
	*ret_text = result.body;
	return ATL_OK;
}

enum atl_err atl_oidc_discover(const struct atl_oidc_caller *caller, const char *issuer, const char **ret_text,
			       struct atl_errinfo *info)
{
	size_t length = strlen(issuer);
	const char *url = atl_arena_printf(caller->arena, "%.*s/.well-known/openid-configuration",
					   (int)(length && issuer[length - 1] == '/' ? length - 1 : length), issuer);

	if (!url)
		return atl_fail(info, ATL_ERR_NOMEM, "discover");
	return get_object(caller, url, "description", ret_text, info);
}

static bool list_has(const struct atl_json *list, const char *text)
{
	for (const struct atl_json *item = list && list->kind == ATL_JSON_ARRAY ? list->child : NULL; item; item = item->next)
		if (atl_str_eq(item->string, text))
			return true;
	return false;
}

enum atl_err atl_oidc_read(const struct atl_oidc_caller *caller, const char *text, const char *issuer,
			   struct atl_oidc_service *ret, struct atl_errinfo *info)
{
	const struct atl_json *methods;
	struct atl_json *tree;
	enum atl_err err = ATL_OK;

	if (atl_json_parse(caller->arena, text, strlen(text), &tree, NULL) != ATL_OK)
		return malformed(info, "description");
	methods = atl_json_get(tree, "token_endpoint_auth_methods_supported");
	*ret = (struct atl_oidc_service){
		.issuer = atl_json_str(tree, "issuer", NULL),
		.authorization_endpoint = atl_json_str(tree, "authorization_endpoint", NULL),
		.token_endpoint = atl_json_str(tree, "token_endpoint", NULL),
		.jwks_uri = atl_json_str(tree, "jwks_uri", NULL),
		.tells_issuer = atl_json_bool(tree, "authorization_response_iss_parameter_supported", false),
		.secret_in_form = methods && !list_has(methods, "client_secret_basic") && list_has(methods, "client_secret_post"),
	};
	if (!atl_str_eq(ret->issuer, issuer))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT,
				"The service at this address calls itself by another name. Copy its issuer to the letter, with or "
				"without the slash at the end.");
	err = atl_oidc_url(caller->guard, ret->authorization_endpoint, info);
	if (!err)
		err = atl_oidc_url(caller->guard, ret->token_endpoint, info);
	if (!err)
		err = atl_oidc_url(caller->guard, ret->jwks_uri, info);
	return err ? atl_fail_context(info, ATL_ERR_UPSTREAM_FORMAT, "The sign-in service's description") : ATL_OK;
}

enum atl_err atl_oidc_keys(const struct atl_oidc_caller *caller, const char *url, const char **ret_text,
			   struct atl_errinfo *info)
{
	return get_object(caller, url, "list of keys", ret_text, info);
}

/* ---- a code for a token ---- */

static void form_add(struct atl_buf *form, const char *name, const char *value)
{
	atl_buf_addf(form, "%s%s=", form->length ? "&" : "", name);
	atl_percent_encode(form, value);
}

static const char *basic_header(struct atl_arena *arena, const struct atl_oidc_code *code)
{
	struct atl_buf pair, text;
	const char *header = NULL;

	atl_buf_init(&pair, 16384);
	atl_buf_init(&text, 32768);
	atl_percent_encode(&pair, code->client_id);
	atl_buf_addc(&pair, ':');
	atl_percent_encode(&pair, code->secret);
	atl_base64_encode(&text, ATL_BASE64_STANDARD, pair.data, pair.length);
	if (!pair.failed && !text.failed)
		header = atl_arena_printf(arena, "Authorization: Basic %s", text.data);
	atl_wipe(pair.data, pair.length);
	atl_wipe(text.data, text.length);
	atl_buf_finish(&pair);
	atl_buf_finish(&text);
	return header;
}

static enum atl_err read_tokens(const struct atl_oidc_caller *caller, const struct atl_fetch_result *result,
				struct atl_oidc_tokens *ret, struct atl_errinfo *info)
{
	struct atl_json *tree;

	if (result->status == 400 || result->status == 401)
		return atl_fail(info, ATL_ERR_CREDENTIALS,
				"The sign-in service does not take the code or this server's client id and secret.");
	if (result->status != 200)
		return atl_fail(info, ATL_ERR_UPSTREAM, "The sign-in service answered %d instead of a token.", result->status);
	if (atl_json_parse(caller->arena, result->body, result->body_length, &tree, NULL) != ATL_OK)
		return malformed(info, "answer");
	if (atl_json_get(tree, "error")) /* GitHub refuses with 200 */
		return atl_fail(info, ATL_ERR_CREDENTIALS,
				"The sign-in service does not take the code or this server's client id and secret.");
	ret->id_token = atl_json_str(tree, "id_token", NULL);
	ret->access_token = atl_json_str(tree, "access_token", NULL);
	if (!atl_str_ieq(atl_json_str(tree, "token_type", ""), "bearer") || (!ret->id_token && atl_str_empty(ret->access_token)))
		return malformed(info, "answer");
	return ATL_OK;
}

enum atl_err atl_oidc_get(const struct atl_oidc_caller *caller, const char *url, const char *accept,
			  const char *access_token, struct atl_json **ret, struct atl_errinfo *info)
{
	const char *headers[] = { accept, atl_arena_printf(caller->arena, "Authorization: Bearer %s", access_token), NULL };
	struct atl_fetch_request request = { .url = url, .headers = headers };
	struct atl_fetch_result result;
	enum atl_err err = ATL_OK;

	if (!headers[1])
		return atl_fail(info, ATL_ERR_NOMEM, "ask who signed in");
	if (strlen(access_token) > ATL_OIDC_TOKEN_MAX)
		return malformed(info, "token");
	for (const char *c = access_token; *c; c++)
		if (*c <= ' ' || *c >= 0x7f)
			return malformed(info, "token");
	err = call(caller, &request, &result, info);
	if (err)
		return err;
	if (result.status == 401 || result.status == 403)
		return atl_fail(info, ATL_ERR_CREDENTIALS, "The sign-in service does not take its own token.");
	if (result.status != 200)
		return atl_fail(info, ATL_ERR_UPSTREAM, "The sign-in service answered %d when asked who signed in.", result.status);
	if (atl_json_parse(caller->arena, result.body, result.body_length, ret, NULL) != ATL_OK)
		return malformed(info, "answer");
	return ATL_OK;
}

enum atl_err atl_oidc_exchange(const struct atl_oidc_caller *caller, const struct atl_oidc_service *service,
			       const struct atl_oidc_code *code, struct atl_oidc_tokens *ret, struct atl_errinfo *info)
{
	bool basic = code->secret && !service->secret_in_form;
	const char *headers[] = { "Accept: application/json", "Content-Type: application/x-www-form-urlencoded", NULL, NULL };
	struct atl_fetch_request request = { .method = "POST", .url = service->token_endpoint, .headers = headers };
	struct atl_fetch_result result;
	struct atl_buf form;
	enum atl_err err;

	if (basic && !(headers[2] = basic_header(caller->arena, code)))
		return atl_fail(info, ATL_ERR_NOMEM, "ask for a token");
	atl_buf_init(&form, 65536);
	form_add(&form, "grant_type", "authorization_code");
	form_add(&form, "code", code->code);
	form_add(&form, "redirect_uri", code->redirect_uri);
	form_add(&form, "code_verifier", code->verifier);
	if (!basic)
		form_add(&form, "client_id", code->client_id);
	if (!basic && code->secret)
		form_add(&form, "client_secret", code->secret);
	err = atl_buf_err(&form, info);
	if (!err) {
		request.body = form.data;
		request.body_length = form.length;
		err = call(caller, &request, &result, info);
	}
	if (!err)
		err = read_tokens(caller, &result, ret, info);
	atl_wipe(form.data, form.length);
	atl_buf_finish(&form);
	return err;
}
