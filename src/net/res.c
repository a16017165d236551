/* res.c - building answers: headers, JSON, errors, and the head as it goes out. */
#include <time.h>

#include "net/http_int.h"

#define TEXT(literal) literal, sizeof(literal) - 1

const char res_continue[] = "HTTP/1.1 100 Continue\r\n\r\n";
const size_t res_continue_length = sizeof(res_continue) - 1;

/* Sent with everything; a page or an asset brings its own content policy. */
static const char safety_headers[] = "X-Content-Type-Options: nosniff\r\n"
				     "Referrer-Policy: same-origin\r\n"
				     "Cross-Origin-Opener-Policy: same-origin\r\n";
static const char own_site_only[] = "Cross-Origin-Resource-Policy: same-origin\r\n";
/* Not to this machine itself: the rule would hold for every server on "localhost". */
static const char https_only[] = "Strict-Transport-Security: max-age=31536000\r\n";
static const char no_content_policy[] = "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";

const char *res_reason(int status)
{
	switch (status) {
	case 101: return "Switching Protocols";
	case 200: return "OK";
	case 201: return "Created";
	case 202: return "Accepted";
	case 204: return "No Content";
	case 206: return "Partial Content";
	case 301: return "Moved Permanently";
	case 302: return "Found";
	case 303: return "See Other";
	case 304: return "Not Modified";
	case 307: return "Temporary Redirect";
	case 308: return "Permanent Redirect";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 409: return "Conflict";
	case 410: return "Gone";
	case 412: return "Precondition Failed";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 415: return "Unsupported Media Type";
	case 416: return "Range Not Satisfiable";
	case 421: return "Misdirected Request";
	case 422: return "Unprocessable Content";
	case 426: return "Upgrade Required";
	case 429: return "Too Many Requests";
	case 431: return "Request Header Fields Too Large";
	case 500: return "Internal Server Error";
	case 501: return "Not Implemented";
	case 502: return "Bad Gateway";
	case 503: return "Service Unavailable";
	case 504: return "Gateway Timeout";
	case 507: return "Insufficient Storage";
	default: return "Status";
	}
}

/* ---- the head ---- */

static char *put(char *at, const char *text, size_t length)
{
	memcpy(at, text, length);
	return at + length;
}

static char *put_number(char *at, uint64_t number)
{
	char digits[20];
	size_t count = 0;

	do {
		digits[count++] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	while (count)
		*at++ = digits[--count];
	return at;
}

size_t res_head(struct call *call, char *out, int64_t content_length, bool chunked)
{
	const struct atl_req *req = &call->req;
	size_t date_length;
	const char *date = lane_date(call->lane, &date_length), *reason = res_reason(req->status);
	bool keep = call->keep_alive && !call->force_close && !atomic_load(&call->lane->server->draining);
	bool bodyless = req->status == 204 || req->status == 304 || req->status < 200;
	char *at = out;

	at = put(at, TEXT("HTTP/1.1 "));
	at = put_number(at, (uint64_t)req->status);
	*at++ = ' ';
	at = put(at, reason, strlen(reason));
	at = put(at, TEXT("\r\n"));
	at = put(at, date, date_length);
	if (call->type && req->status != 304) {
		at = put(at, TEXT("Content-Type: "));
		at = put(at, call->type, strlen(call->type));
		at = put(at, TEXT("\r\n"));
	}
	if (chunked) {
		at = put(at, TEXT("Transfer-Encoding: chunked\r\n"));
	} else if (!bodyless && content_length >= 0) {
		at = put(at, TEXT("Content-Length: "));
		at = put_number(at, (uint64_t)content_length);
		at = put(at, TEXT("\r\n"));
	}
	if (req->status != 101 && (!keep || call->http10)) {
		if (keep)
			at = put(at, TEXT("Connection: keep-alive\r\n"));
		else
			at = put(at, TEXT("Connection: close\r\n"));
	}
	if (!keep)
		call->force_close = true;
	at = put(at, TEXT("X-Request-Id: "));
	at = put(at, req->id, strlen(req->id));
	at = put(at, TEXT("\r\n"));
	at = put(at, TEXT(safety_headers));
	if (req->secure && !req->loopback)
		at = put(at, TEXT(https_only));
	if (!call->own_corp)
		at = put(at, TEXT(own_site_only));
	if (!call->own_csp)
		at = put(at, TEXT(no_content_policy));
	if (!call->own_cache)
		at = put(at, TEXT("Cache-Control: no-store\r\n"));
	if (call->extra.length)
		at = put(at, call->extra.data, call->extra.length);
	at = put(at, TEXT("\r\n"));
	return (size_t)(at - out);
}

/* ---- headers ---- */

static bool token(const char *name)
{
	for (; *name; name++) {
		if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
		      (*name >= '0' && *name <= '9') || *name == '-' || *name == '_'))
			return false;
	}
	return true;
}

void atl_res_header(struct atl_req *req, const char *name, const char *value)
{
	struct call *call = (struct call *)req;

	if (!value)
		return;
	if (!*name || !token(name) || strpbrk(value, "\r\n")) {
		atl_warn(MODULE, "dropped a response header with a line break or a malformed name");
		return;
	}
	if (atl_str_ieq(name, "Content-Type")) {
		const char *copy = atl_arena_strdup(&req->arena, value);

		if (copy)
			call->type = copy;
		return;
	}
	if (atl_str_ieq(name, "Content-Length") || atl_str_ieq(name, "Transfer-Encoding") ||
	    atl_str_ieq(name, "Connection")) {
		atl_warn(MODULE, "dropped the response header %s: framing is the server's", name);
		return;
	}
	if (atl_str_ieq(name, "Content-Security-Policy"))
		call->own_csp = true;
	else if (atl_str_ieq(name, "Cross-Origin-Resource-Policy"))
		call->own_corp = true;
	else if (atl_str_ieq(name, "Cache-Control"))
		call->own_cache = true;
	if (call->extra.length + strlen(name) + strlen(value) + 4 > EXTRA_HEADERS_MAX) {
		atl_warn(MODULE, "dropped the response header %s: too many bytes of headers", name);
		return;
	}
	atl_buf_adds(&call->extra, name);
	atl_buf_add(&call->extra, ": ", 2);
	atl_buf_adds(&call->extra, value);
	atl_buf_add(&call->extra, "\r\n", 2);
}

void atl_res_lines(struct atl_req *req, const char *lines, size_t length)
{
	struct call *call = (struct call *)req;

	if (call->extra.length + length > EXTRA_HEADERS_MAX)
		atl_warn(MODULE, "dropped response headers: too many bytes of them");
	else
		atl_buf_add(&call->extra, lines, length);
}

void atl_res_cookie(struct atl_req *req, const char *name, const char *value, int64_t max_age_s, bool http_only)
{
	const char *text;

	if (!token(name) || strpbrk(value, "\r\n;, \"\\")) {
		atl_warn(MODULE, "dropped a malformed cookie");
		return;
	}
	text = atl_arena_printf(&req->arena, "%s=%s; Path=/; Max-Age=%lld; SameSite=Lax%s%s", name, value,
				(long long)max_age_s, http_only ? "; HttpOnly" : "", req->secure ? "; Secure" : "");
	atl_res_header(req, "Set-Cookie", text);
}

/* ---- bodies ---- */

/* A new answer replaces what was begun, but keeps the headers set so far. */
static struct call *start(struct atl_req *req, int status, const char *type)
{
	struct call *call = (struct call *)req;

	atl_buf_reset(&req->out);
	call->static_body = NULL;
	call->static_length = 0;
	call->file_left = 0;
	file_release(call);
	req->status = status;
	call->type = type;
	call->has_answer = true;
	return call;
}

void atl_res_body(struct atl_req *req, int status, const char *type, const void *data, size_t length)
{
	struct call *call = start(req, status, NULL);
	const char *copy = type ? atl_arena_strdup(&req->arena, type) : NULL;

	if (copy && !strpbrk(copy, "\r\n") && strlen(copy) < 200)
		call->type = copy;
	atl_buf_add(&req->out, data, length);
	if (req->out.failed)
		atl_res_error(req, ATL_ERR_NOMEM, NULL);
}

void res_borrowed(struct atl_req *req, int status, const char *type, const void *data, size_t length)
{
	struct call *call = start(req, status, type);

	call->static_body = data;
	call->static_length = length;
	if (call->mock)
		atl_buf_add(&req->out, data, length);
}

void res_header_lines(struct atl_req *req, const char *lines)
{
	struct call *call = (struct call *)req;

	call->own_csp = call->own_cache = true;
	atl_buf_adds(&call->extra, lines);
}

void atl_res_json_text(struct atl_req *req, int status, const char *json, size_t length)
{
	start(req, status, "application/json");
	atl_buf_add(&req->out, json, length);
	if (req->out.failed)
		atl_res_error(req, ATL_ERR_NOMEM, NULL);
}

void atl_res_json(struct atl_req *req, int status, const struct atl_json_desc *desc, const void *value)
{
	struct atl_jw w;

	start(req, status, "application/json");
	atl_jw_init(&w, &req->out);
	atl_json_encode(&w, NULL, desc, value);
	if (req->out.failed)
		atl_res_error(req, ATL_ERR_NOMEM, NULL);
}

void atl_res_empty(struct atl_req *req, int status)
{
	start(req, status, NULL);
}

/* ---- errors ---- */

static const char *openai_type(int status)
{
	switch (status) {
	case 401: return "authentication_error";
	case 403: return "permission_error";
	case 404: return "not_found_error";
	case 429: return "rate_limit_error";
	default: return status >= 500 ? "server_error" : "invalid_request_error";
	}
}

static void write_openai(struct atl_jw *w, enum atl_err err, int status, const struct atl_errinfo *info)
{
	atl_jw_object(w, NULL);
	atl_jw_object(w, "error");
	atl_jw_str(w, "message", info && *info->detail ? info->detail : atl_err_sentence(err));
	atl_jw_str(w, "type", openai_type(status));
	atl_jw_str(w, "param", info && *info->field ? info->field : NULL);
	atl_jw_str(w, "code", atl_err_slug(err));
	atl_jw_end_object(w);
	atl_jw_end_object(w);
}

static void write_problem(struct atl_jw *w, const struct atl_req *req, enum atl_err err, int status,
			  const struct atl_errinfo *info)
{
	char type[96] = "/problems/";

	strncat(type, atl_err_slug(err), sizeof(type) - strlen(type) - 1);
	atl_jw_object(w, NULL);
	atl_jw_str(w, "type", type);
	atl_jw_str(w, "title", atl_err_sentence(err));
	atl_jw_int(w, "status", status);
	if (info && *info->detail)
		atl_jw_str(w, "detail", info->detail);
	atl_jw_str(w, "slug", atl_err_slug(err));
	if (info && *info->field)
		atl_jw_str(w, "field", info->field);
	atl_jw_str(w, "request_id", req->id);
	if (info && info->retry_after_s > 0)
		atl_jw_int(w, "retry_after_s", info->retry_after_s);
	if (info && *info->quota)
		atl_jw_raw(w, "quota", info->quota);
	atl_jw_end_object(w);
}

void atl_res_error(struct atl_req *req, enum atl_err err, const struct atl_errinfo *info)
{
	bool openai = req->route && (req->route->flags & ATL_ROUTE_PROBLEM_OPENAI);
	int status = err == ATL_OK ? 500 : atl_err_status(err);
	struct atl_jw w;

	if (err == ATL_OK)
		err = ATL_ERR_INTERNAL;
	start(req, status, openai ? "application/json" : "application/problem+json");
	atl_jw_init(&w, &req->out);
	if (openai)
		write_openai(&w, err, status, info);
	else
		write_problem(&w, req, err, status, info);
	if (info && info->retry_after_s > 0) {
		char seconds[16];
		char *end = put_number(seconds, (uint64_t)info->retry_after_s);

		*end = 0;
		atl_res_header(req, "Retry-After", seconds);
	}
	if (status == 401)
		atl_res_header(req, "WWW-Authenticate", "Bearer");
}
