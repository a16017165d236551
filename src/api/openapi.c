/* openapi.c - the OpenAPI 3.1 document and its page, written once at start from the route and descriptor tables. */
#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "base/str.h"

#define DOCUMENT_MAX ((size_t)8 << 20)
#define SCHEMAS_MAX 512
#define ROUTES_MAX 1024

static struct atl_buf document, page;

struct collection {
	const struct atl_json_desc *schemas[SCHEMAS_MAX];
	size_t schema_count;
	const struct atl_route *routes[ROUTES_MAX]; /* by path, then method */
	size_t route_count;
	bool overflow;
};

static void collect_schema(struct collection *all, const struct atl_json_desc *desc)
{
	if (!desc)
		return;
	for (size_t i = 0; i < all->schema_count; i++)
		if (all->schemas[i] == desc || atl_str_eq(all->schemas[i]->name, desc->name))
			return;
	if (all->schema_count == SCHEMAS_MAX) {
		all->overflow = true;
		return;
	}
	all->schemas[all->schema_count++] = desc;
	for (size_t i = 0; i < desc->field_count; i++)
		collect_schema(all, desc->fields[i].sub);
}

static int by_path(const void *a, const void *b)
{
	const struct atl_route *left = *(const struct atl_route *const *)a, *right = *(const struct atl_route *const *)b;
	int order = strcmp(left->path, right->path);

	return order ? order : (int)left->method - (int)right->method;
}

static void collect(struct collection *all)
{
	for (size_t t = 0; atl_api_tables[t]; t++) {
		for (const struct atl_route *route = atl_api_tables[t]; route->path; route++) {
			if (route->flags & ATL_ROUTE_HIDDEN)
				continue;
			if (all->route_count == ROUTES_MAX) {
				all->overflow = true;
				return;
			}
			all->routes[all->route_count++] = route;
			collect_schema(all, route->in);
			collect_schema(all, route->out);
		}
	}
	qsort(all->routes, all->route_count, sizeof(all->routes[0]), by_path);
}

static void reference(struct atl_jw *w, const char *key, const char *name)
{
	char text[160];

	snprintf(text, sizeof(text), "#/components/schemas/%s", name);
	atl_jw_object(w, key);
	atl_jw_str(w, "$ref", text);
	atl_jw_end_object(w);
}

/* "/x/{id}" stays; "{rest*}" loses its star, which OpenAPI does not know. */
static const char *template_of(const char *path, char out[512])
{
	size_t used = 0;

	for (; *path && used < 511; path++)
		if (*path != '*')
			out[used++] = *path;
	out[used] = '\0';
	return out;
}

static void path_parameters(struct atl_jw *w, const char *path)
{
	const char *open = strchr(path, '{');

	for (; open; open = strchr(open + 1, '{')) {
		size_t length = strcspn(open + 1, "*}");

		atl_jw_object(w, NULL);
		atl_jw_strn(w, "name", open + 1, length);
		atl_jw_str(w, "in", "path");
		atl_jw_bool(w, "required", true);
		atl_jw_object(w, "schema");
		atl_jw_str(w, "type", "string");
		atl_jw_end_object(w);
		atl_jw_end_object(w);
	}
}

static const char *json_type(enum atl_jt type)
{
	switch (type) {
	case ATL_JT_INT: return "integer";
	case ATL_JT_NUM: return "number";
	case ATL_JT_BOOL: return "boolean";
	default: return "string";
	}
}

static void query_parameters(struct atl_jw *w, const struct atl_query_param *param)
{
	for (; param && param->name; param++) {
		atl_jw_object(w, NULL);
		atl_jw_str(w, "name", param->name);
		atl_jw_str(w, "in", "query");
		if (param->doc)
			atl_jw_str(w, "description", param->doc);
		atl_jw_object(w, "schema");
		atl_jw_str(w, "type", json_type(param->type));
		if (param->values) {
			atl_jw_array(w, "enum");
			for (const char *const *value = param->values; *value; value++)
				atl_jw_str(w, NULL, *value);
			atl_jw_end_array(w);
		}
		if (param->min != 0 || param->max != 0) {
			bool text = param->type == ATL_JT_STR;

			atl_jw_num(w, text ? "minLength" : "minimum", param->min);
			atl_jw_num(w, text ? "maxLength" : "maximum", param->max);
		}
		atl_jw_end_object(w);
		atl_jw_end_object(w);
	}
}

static void success_schema(struct atl_jw *w, const struct atl_route *route)
{
	if (!route->out_list) {
		reference(w, "schema", route->out->name);
		return;
	}
	atl_jw_object(w, "schema");
	atl_jw_str(w, "type", "object");
	atl_jw_array(w, "required");
	atl_jw_str(w, NULL, "items");
	atl_jw_str(w, NULL, "next");
	atl_jw_end_array(w);
	atl_jw_object(w, "properties");
	atl_jw_object(w, "items");
	atl_jw_str(w, "type", "array");
	reference(w, "items", route->out->name);
	atl_jw_end_object(w);
	atl_jw_object(w, "next");
	atl_jw_raw(w, "type", "[\"string\",\"null\"]");
	atl_jw_end_object(w);
	atl_jw_end_object(w);
	atl_jw_end_object(w);
}

static void success_types(struct atl_jw *w, const struct atl_route *route)
{
	const char *at = route->out_type ? route->out_type : "application/json";
	char type[80];

	while (*at) {
		size_t length = strcspn(at, "|");

		snprintf(type, sizeof(type), "%.*s", (int)length, at);
		atl_jw_object(w, type);
		if (route->out && !atl_str_eq(type, "text/csv")) /* a table has no schema here */
			success_schema(w, route);
		atl_jw_end_object(w);
		at += length + (at[length] ? 1 : 0);
	}
}

static void responses(struct atl_jw *w, const struct atl_route *route)
{
	int status = route->status ? route->status : 200;
	char code[8];

	snprintf(code, sizeof(code), "%d", status);
	atl_jw_object(w, "responses");
	atl_jw_object(w, code);
	atl_jw_str(w, "description", status == 204 ? "Done" : status >= 300 ? "Elsewhere: see Location" : "Success");
	if (status != 204 && status < 300) {
		atl_jw_object(w, "content");
		success_types(w, route);
		atl_jw_end_object(w);
	}
	atl_jw_end_object(w);
	atl_jw_object(w, "default");
	atl_jw_str(w, "description", "What went wrong");
	atl_jw_object(w, "content");
	if (route->flags & ATL_ROUTE_PROBLEM_OPENAI) {
		atl_jw_object(w, "application/json");
		atl_jw_end_object(w);
	}
	atl_jw_object(w, "application/problem+json"); /* of an OpenAI route: refused before it was known as one */
	reference(w, "schema", "Problem");
	atl_jw_end_object(w);
	atl_jw_end_object(w);
	atl_jw_end_object(w);
	atl_jw_end_object(w);
}

/* "post_api_v1_keys": for generators of clients. */
static void operation_id(struct atl_jw *w, const char *method, const char *path)
{
	char text[512];
	size_t used = (size_t)snprintf(text, sizeof(text), "%s", method);

	for (; *path && used + 2 < sizeof(text); path++) {
		bool word = (*path >= 'a' && *path <= 'z') || (*path >= '0' && *path <= '9');

		if (word)
			text[used++] = *path;
		else if (text[used - 1] != '_')
			text[used++] = '_';
	}
	while (used > 1 && text[used - 1] == '_')
		used--;
	atl_jw_strn(w, "operationId", text, used);
}

static void operation(struct atl_jw *w, const struct atl_route *route)
{
	static const char *const keys[ATL_METHOD_COUNT] = { "get", "post", "put", "patch", "delete", "head", "options" };

	atl_jw_object(w, keys[route->method]);
	atl_jw_array(w, "tags");
	atl_jw_str(w, NULL, route->tag ? route->tag : "Other");
	atl_jw_end_array(w);
	operation_id(w, keys[route->method], route->path);
	atl_jw_str(w, "summary", route->summary ? route->summary : route->path);
	atl_jw_str(w, "x-permission", route->permission);
	if (atl_str_eq(route->permission, "public"))
		atl_jw_raw(w, "security", "[]");
	if (strchr(route->path, '{') || route->query) {
		atl_jw_array(w, "parameters");
		path_parameters(w, route->path);
		query_parameters(w, route->query);
		atl_jw_end_array(w);
	}
	if (route->in || route->flags & ATL_ROUTE_UPLOAD) {
		atl_jw_object(w, "requestBody");
		atl_jw_bool(w, "required", true);
		atl_jw_object(w, "content");
		atl_jw_object(w, route->in ? "application/json" : "application/octet-stream");
		if (route->in)
			reference(w, "schema", route->in->name);
		atl_jw_end_object(w);
		atl_jw_end_object(w);
		atl_jw_end_object(w);
	}
	responses(w, route);
	atl_jw_end_object(w);
}

static const char problem_schema[] =
	"{\"type\":\"object\",\"description\":\"RFC 9457\",\"required\":[\"type\",\"title\",\"status\",\"slug\"],\"properties\":{"
	"\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},"
	"\"slug\":{\"type\":\"string\"},\"detail\":{\"type\":\"string\"},\"field\":{\"type\":\"string\"},"
	"\"request_id\":{\"type\":\"string\"},\"retry_after_s\":{\"type\":\"integer\"},\"quota\":{\"type\":\"object\"}}}";
static const char security_schemes[] =
	"{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},"
	"\"x_api_key\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"x-api-key\"},"
	"\"session\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":\"" ATL_COOKIE_NAME "\"}}";

static void write_document(struct atl_jw *w, const struct collection *all, const char *version)
{
	char path[512];

	atl_jw_object(w, NULL);
	atl_jw_str(w, "openapi", "3.1.0");
	atl_jw_object(w, "info");
	atl_jw_str(w, "title", "Atelier");
	atl_jw_str(w, "version", version);
	atl_jw_raw(w, "license", "{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}");
	atl_jw_end_object(w);
	atl_jw_raw(w, "servers", "[{\"url\":\"/\"}]");
	atl_jw_raw(w, "security", "[{\"bearer\":[]},{\"x_api_key\":[]},{\"session\":[]}]");
	atl_jw_object(w, "paths");
	for (size_t i = 0; i < all->route_count; i++) {
		if (i == 0 || strcmp(all->routes[i]->path, all->routes[i - 1]->path) != 0)
			atl_jw_object(w, template_of(all->routes[i]->path, path));
		operation(w, all->routes[i]);
		if (i + 1 == all->route_count || strcmp(all->routes[i]->path, all->routes[i + 1]->path) != 0)
			atl_jw_end_object(w);
	}
	atl_jw_end_object(w);
	atl_jw_object(w, "components");
	atl_jw_object(w, "schemas");
	atl_jw_raw(w, "Problem", problem_schema);
	for (size_t i = 0; i < all->schema_count; i++)
		atl_json_schema(w, all->schemas[i]->name, all->schemas[i]);
	atl_jw_end_object(w);
	atl_jw_raw(w, "securitySchemes", security_schemes);
	atl_jw_end_object(w);
	atl_jw_end_object(w);
}

static void escape(struct atl_buf *out, const char *text)
{
	for (; text && *text; text++) {
		if (*text == '<')
			atl_buf_adds(out, "&lt;");
		else if (*text == '&')
			atl_buf_adds(out, "&amp;");
		else if (*text == '"')
			atl_buf_adds(out, "&quot;");
		else
			atl_buf_addc(out, *text);
	}
}

static void write_fields(struct atl_buf *out, const struct atl_json_desc *desc)
{
	if (!desc->field_count)
		return;
	atl_buf_adds(out, "<dl>");
	for (size_t i = 0; i < desc->field_count; i++) {
		atl_buf_addf(out, "<dt><code>%s</code>%s</dt>", desc->fields[i].name,
			     desc->fields[i].flags & ATL_JF_REQUIRED ? "" : " (optional)");
		if (desc->fields[i].doc) {
			atl_buf_adds(out, "<dd>");
			escape(out, desc->fields[i].doc);
			atl_buf_adds(out, "</dd>");
		}
	}
	atl_buf_adds(out, "</dl>");
}

static void write_page(struct atl_buf *out, const struct collection *all)
{
	atl_buf_adds(out, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
			  "<meta name=\"viewport\" content=\"width=device-width\"><title>Atelier: the API</title>"
			  "<h1>The API of this server</h1><p>Send an API key as <code>Authorization: Bearer</code> or "
			  "<code>x-api-key</code>. The same as an <a href=\"/api/openapi.json\">OpenAPI document</a>.</p>");
	for (size_t i = 0; i < all->route_count; i++) {
		const struct atl_route *route = all->routes[i];

		atl_buf_addf(out, "<details><summary><code>%s ", atl_method_name(route->method));
		escape(out, route->path);
		atl_buf_adds(out, "</code> ");
		escape(out, route->summary);
		atl_buf_addf(out, "</summary><p>Permission: <code>%s</code></p>", route->permission);
		for (const struct atl_query_param *param = route->query; param && param->name; param++) {
			atl_buf_addf(out, "<p>Query <code>%s</code>: ", param->name);
			escape(out, param->doc);
			atl_buf_adds(out, "</p>");
		}
		if (route->in) {
			atl_buf_addf(out, "<p>Body: %s</p>", route->in->name);
			write_fields(out, route->in);
		}
		if (route->out) {
			atl_buf_addf(out, "<p>Answer: %s%s</p>", route->out_list ? "list of " : "", route->out->name);
			write_fields(out, route->out);
		}
		atl_buf_adds(out, "</details>");
	}
	atl_buf_adds(out, "</html>\n");
}

enum atl_err atl_openapi_init(const char *version, struct atl_errinfo *info)
{
	struct collection *all = calloc(1, sizeof(*all));
	struct atl_jw w;
	enum atl_err err = ATL_OK;

	if (!all)
		return atl_fail(info, ATL_ERR_NOMEM, "write the OpenAPI document");
	atl_buf_init(&document, DOCUMENT_MAX);
	atl_buf_init(&page, DOCUMENT_MAX);
	collect(all);
	if (all->overflow)
		err = atl_fail(info, ATL_ERR_INTERNAL, "more routes or schemas than the OpenAPI document takes");
	if (!err) {
		atl_jw_init(&w, &document);
		write_document(&w, all, version);
		write_page(&page, all);
		err = atl_buf_err(&document, info);
	}
	if (!err)
		err = atl_buf_err(&page, info);
	free(all);
	if (err)
		atl_openapi_finish();
	return err;
}

void atl_openapi_finish(void)
{
	atl_buf_finish(&document);
	atl_buf_finish(&page);
}

static void handle_document(struct atl_req *req)
{
	atl_res_body(req, 200, "application/json", document.data, document.length);
	atl_res_send(req);
}

static void handle_page(struct atl_req *req)
{
	atl_res_body(req, 200, "text/html; charset=utf-8", page.data, page.length);
	atl_res_send(req);
}

const struct atl_route atl_openapi_routes[] = {
	{ .method = ATL_GET, .path = "/api/openapi.json", .permission = "public", .flags = ATL_ROUTE_LOOP | ATL_ROUTE_HIDDEN,
	  .handler = handle_document },
	{ .method = ATL_GET, .path = "/api/docs", .permission = "public", .flags = ATL_ROUTE_LOOP | ATL_ROUTE_HIDDEN,
	  .handler = handle_page },
	{ .path = NULL },
};
