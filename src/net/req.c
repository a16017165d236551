/* req.c - reading a request: headers, query, cookies, path parameters, JSON body. */
#include <strings.h>

#include "base/codec.h"
#include "net/http_int.h"

const char *atl_req_header(const struct atl_req *req, const char *name)
{
	for (size_t i = 0; i < req->header_count; i++) {
		if (strcasecmp(req->headers[i].name, name) == 0)
			return req->headers[i].value;
	}
	return NULL;
}

const char *atl_req_query(struct atl_req *req, const char *name)
{
	const char *at = ((struct call *)req)->query;

	while (at && *at) {
		size_t length = strcspn(at, "&");
		const char *equals = memchr(at, '=', length);
		size_t key_length = equals ? (size_t)(equals - at) : length;
		char *key, *value;

		if (atl_percent_decode(&req->arena, at, key_length, true, &key) && strcmp(key, name) == 0) {
			if (!equals)
				return "";
			if (atl_percent_decode(&req->arena, equals + 1, length - key_length - 1, true, &value))
				return value;
			return NULL;
		}
		at += length;
		if (*at)
			at++;
	}
	return NULL;
}

const char *atl_req_cookie(struct atl_req *req, const char *name)
{
	size_t name_length = strlen(name);

	for (size_t i = 0; i < req->header_count; i++) {
		const char *at = req->headers[i].value;

		if (strcasecmp(req->headers[i].name, "Cookie") != 0)
			continue;
		while (*at) {
			size_t length = strcspn(at, ";");

			if (length > name_length && at[name_length] == '=' && strncmp(at, name, name_length) == 0)
				return atl_arena_strndup(&req->arena, at + name_length + 1, length - name_length - 1);
			at += length;
			at += strspn(at, "; ");
		}
	}
	return NULL;
}

const char *atl_req_param(const struct atl_req *req, const char *name)
{
	size_t index = 0, name_length = strlen(name);
	const char *at = req->route ? req->route->path : "";

	while ((at = strchr(at, '{'))) {
		size_t length = strcspn(++at, "}*");

		if (length == name_length && strncmp(at, name, length) == 0)
			return index < ATL_HTTP_PARAMS_MAX ? req->params[index] : NULL;
		index++;
	}
	return NULL;
}

/* application/json or anything ending in +json, with or without parameters. */
static bool is_json_type(const char *type)
{
	size_t length;

	if (!type)
		return false;
	length = strcspn(type, "; \t");
	return (length == 16 && strncasecmp(type, "application/json", 16) == 0) ||
	       (length > 5 && strncasecmp(type + length - 5, "+json", 5) == 0);
}

static enum atl_err check_json(const struct atl_req *req, struct atl_errinfo *info)
{
	if (!is_json_type(atl_req_header(req, "Content-Type")))
		return atl_fail(info, ATL_ERR_MEDIA_TYPE, "send the body as Content-Type: application/json");
	if (!req->body_length)
		return atl_fail(info, ATL_ERR_JSON, "the body is empty");
	return ATL_OK;
}

enum atl_err atl_req_tree(struct atl_req *req, struct atl_json **ret, struct atl_errinfo *info)
{
	enum atl_err err = check_json(req, info);

	return err ? err : atl_json_parse(&req->arena, req->body, req->body_length, ret, info);
}

/* The body is the call's own buffer: nobody else reads it. */
enum atl_err atl_req_tree_take(struct atl_req *req, struct atl_json **ret, struct atl_errinfo *info)
{
	size_t length = req->body_length;
	char *body = (char *)(uintptr_t)req->body;
	enum atl_err err = check_json(req, info);

	if (err)
		return err;
	req->body = "";
	req->body_length = 0;
	return atl_json_parse_in_place(&req->arena, body, length, ret, info);
}

enum atl_err atl_req_json_take(struct atl_req *req, void *out, struct atl_errinfo *info)
{
	struct atl_json *tree;
	enum atl_err err;

	if (!req->route || !req->route->in)
		return atl_fail(info, ATL_ERR_INTERNAL, "the route describes no body");
	err = atl_req_tree_take(req, &tree, info);
	return err ? err : atl_json_decode(&req->arena, tree, req->route->in, out, info);
}

enum atl_err atl_req_json(struct atl_req *req, void *out, struct atl_errinfo *info)
{
	struct atl_json *tree;
	enum atl_err err;

	if (!req->route || !req->route->in)
		return atl_fail(info, ATL_ERR_INTERNAL, "the route describes no body");
	err = atl_req_tree(req, &tree, info);
	if (err)
		return err;
	return atl_json_decode(&req->arena, tree, req->route->in, out, info);
}
