/* target.c - the request line's target, the Host rule, and who the client is. */
#include <strings.h>

#include "base/ip.h"
#include "net/http_int.h"

static const char *const method_names[ATL_METHOD_COUNT] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"};

const char *atl_method_name(enum atl_method method)
{
	return (unsigned)method < ATL_METHOD_COUNT ? method_names[method] : "?";
}

bool call_find_method(const char *name, enum atl_method *ret)
{
	for (int i = 0; i < ATL_METHOD_COUNT; i++) {
		if (strcmp(name, method_names[i]) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* The one header of that name. False: there are several. */
static bool single_header(const struct atl_req *req, const char *name, const char **ret)
{
	size_t length = strlen(name);

	*ret = NULL;
	for (size_t i = 0; i < req->header_count; i++) {
		if (strncasecmp(req->headers[i].name, name, length + 1) != 0)
			continue;
		if (*ret)
			return false;
		*ret = req->headers[i].value;
	}
	return true;
}

enum atl_err call_set_target(struct call *call, const char *target, struct atl_errinfo *info)
{
	struct atl_req *req = &call->req;
	const char *path = target, *mark;

	req->target = target;
	for (const unsigned char *at = (const unsigned char *)target; *at; at++) {
		if (*at <= 0x20 || *at >= 0x7f || *at == '#')
			return atl_fail(info, ATL_ERR_INVALID, "the target has a forbidden character");
	}
	if (req->method == ATL_OPTIONS && strcmp(target, "*") == 0)
		path = "/";
	if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
		/* Absolute form: its authority must be the Host header's, so that nobody reads it differently. */
		const char *authority = strstr(target, "//") + 2, *host;
		size_t length = strcspn(authority, "/?");

		if (!single_header(req, "Host", &host) || !host || strlen(host) != length ||
		    strncasecmp(authority, host, length) != 0)
			return atl_fail(info, ATL_ERR_INVALID, "the target names another host than the Host header");
		path = authority[length] == '/' ? authority + length : "/";
		if (authority[length] == '?')
			path = atl_arena_printf(&req->arena, "/%s", authority + length);
		if (!path)
			return ATL_ERR_NOMEM;
	}
	mark = strchr(path, '?');
	call->query = mark ? mark + 1 : NULL;
	if (mark)
		path = atl_arena_strndup(&req->arena, path, (size_t)(mark - path));
	if (!path)
		return ATL_ERR_NOMEM;
	call->raw_path = path;
	return route_path_decode(&req->arena, path, &req->path, info);
}

/* ---- Host ---- */

/* Split "name", "name:port", "[v6]:port"; lower-cases into `name`. */
static bool parse_host(const char *host, char *name, size_t size, bool *ret_numeric)
{
	size_t length = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	const char *port;
	struct atl_ip ip;

	if (!length || length >= size || (*host == '[' && host[length - 1] != ']'))
		return false;
	port = host + length;
	if (*port) {
		uint64_t number;

		if (*port != ':' || !atl_str_u64(port + 1, 65535, &number))
			return false;
	}
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)host[i];
		bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!word && c != '.' && c != '-' && c != '_' && !(*host == '[' && (c == ':' || c == '[' || c == ']')))
			return false;
		name[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	name[length] = 0;
	if (*name == '[') {
		memmove(name, name + 1, length - 2);
		name[length - 2] = 0;
		*ret_numeric = atl_ip_read(name, &ip) && !ip.v4;
		return *ret_numeric;
	}
	if (length > 1 && name[length - 1] == '.')
		name[length - 1] = 0;
	*ret_numeric = atl_ip_read(name, &ip) && ip.v4;
	return true;
}

enum atl_err call_check_host(struct call *call, struct atl_errinfo *info)
{
	const struct atl_server *server = call->lane->server;
	const char *host;
	char name[256];
	bool numeric;

	if (!single_header(&call->req, "Host", &host))
		return atl_fail(info, ATL_ERR_INVALID, "there are several Host headers");
	if (!host || !*host)
		return atl_fail(info, ATL_ERR_INVALID, "the Host header is missing");
	if (!parse_host(host, name, sizeof(name), &numeric))
		return atl_fail(info, ATL_ERR_INVALID, "the Host header is malformed");
	if (server->any_host || (numeric && server->any_numeric))
		return ATL_OK;
	if (strcmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 || strcmp(name, "::1") == 0)
		return ATL_OK;
	if (server->options.address && strcmp(name, server->options.address) == 0)
		return ATL_OK;
	for (size_t i = 0; i < server->host_count; i++) {
		if (strcmp(server->hosts[i], name) == 0)
			return ATL_OK;
	}
	return atl_fail(info, ATL_ERR_HOST, "add the name to the accepted hosts in the configuration if it is right");
}

/* ---- client ---- */

/* X-Forwarded-For is appended to by each proxy: the last entry that no trusted proxy owns is the client. */
static void forwarded_client(struct call *call, const char *list)
{
	size_t end = strlen(list);

	while (end) {
		size_t start = end;
		char address[sizeof(call->req.remote)];
		struct atl_ip ip;

		while (start && list[start - 1] != ',')
			start--;
		while (start < end && list[start] == ' ')
			start++;
		while (end > start && list[end - 1] == ' ')
			end--;
		if (end - start >= sizeof(address))
			return;
		memcpy(address, list + start, end - start);
		address[end - start] = 0;
		if (!atl_ip_read(address, &ip))
			return;
		atl_str_copy(call->req.remote, sizeof(call->req.remote), address);
		if (!atl_guard_listed(&call->lane->server->proxies, address))
			return;
		while (start && list[start - 1] != ',')
			start--;
		end = start ? start - 1 : 0;
	}
}

void call_set_peer(struct call *call, const char *peer, bool loopback, bool secure)
{
	struct atl_req *req = &call->req;
	const char *forwarded = NULL, *proto = NULL;
	bool proxied = false;

	for (size_t i = 0; i < req->header_count; i++) {
		const char *name = req->headers[i].name;

		if ((*name | 32) == 'x' && strncasecmp(name, "x-forwarded-", 12) == 0) {
			proxied = true;
			if (strcasecmp(name + 12, "for") == 0)
				forwarded = req->headers[i].value;
			else if (strcasecmp(name + 12, "proto") == 0)
				proto = req->headers[i].value;
		} else if ((*name | 32) == 'f' && strcasecmp(name, "forwarded") == 0) {
			proxied = true;
		} else if ((*name | 32) == 'v' && strcasecmp(name, "via") == 0) {
			proxied = true;
		}
	}
	atl_str_copy(req->remote, sizeof(req->remote), peer);
	req->loopback = loopback && !proxied;
	req->secure = secure;
	if (!proxied || !atl_guard_listed(&call->lane->server->proxies, peer))
		return;
	if (forwarded)
		forwarded_client(call, forwarded);
	if (proto)
		req->secure = atl_str_ieq(proto, "https");
}
