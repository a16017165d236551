/* exchange.c - conversations as files: GET .../export, POST .../import. The formats: core/chat/exchange.h. */
#include <string.h>

#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/chat/exchange.h"
#include "os/file.h"

static const char *const FORMAT_NAMES[] = {
#define NAME_X(function, name, type, extension) name,
	ATL_EXCHANGE_FORMATS(NAME_X)
#undef NAME_X
		NULL,
};
static const struct atl_query_param export_params[] = {
	{"format", ATL_JT_ENUM, 0, 0, FORMAT_NAMES, "atelier (all branches), unless told; the others have the active path"},
	{0},
};

struct imported_out {
	struct atl_items items;
	int64_t skipped;
	const char *skipped_reason;
};
static const struct atl_json_field imported_fields[] = {
	F_LIST(struct imported_out, items, ATL_JF_REQUIRED, &atl_conversation_desc, "the new conversations"),
	F_INT(struct imported_out, skipped, ATL_JF_REQUIRED, 0, -1, "conversations of the file that were left out"),
	F_STR(struct imported_out, skipped_reason, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "why the first of them was"),
};
DESC(imported_desc, struct imported_out, "ConversationsImported", imported_fields);

/* A name every system takes: letters, digits and a few signs; the rest becomes one "-". For old readers only ASCII,
 * for the others (filename*, RFC 8187) the title's own letters, percent-encoded. */
static void add_plain_name(struct atl_buf *out, const char *title)
{
	bool gap = false;
	size_t begin = out->length;
	for (const unsigned char *p = (const unsigned char *)title; *p; p++) {
		bool keep = (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z') || *p == '_';
		if (keep && gap && out->length > begin)
			atl_buf_addc(out, '-');
		if (keep)
			atl_buf_addc(out, (char)*p);
		gap = !keep;
	}
	if (out->length == begin)
		atl_buf_adds(out, "conversation");
}

static void add_full_name(struct atl_buf *out, const char *title)
{
	static const char forbidden[] = "/\\:*?\"<>|";
	size_t begin = out->length;
	for (const unsigned char *p = (const unsigned char *)title; *p; p++) {
		bool plain = (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z') || *p == '_' || *p == '-';
		if (plain)
			atl_buf_addc(out, (char)*p);
		else if (*p < ' ' || *p == 0x7f || strchr(forbidden, *p) || (*p == '.' && out->length == begin))
			atl_buf_addc(out, '-');
		else
			atl_buf_addf(out, "%%%02X", *p);
	}
	if (out->length == begin)
		atl_buf_adds(out, "conversation");
}

static enum atl_err add_disposition(struct atl_req *req, const char *title, const char *extension,
				    struct atl_errinfo *info)
{
	struct atl_buf line;
	atl_buf_init(&line, 8192);
	atl_buf_adds(&line, "attachment; filename=\"");
	add_plain_name(&line, title);
	atl_buf_addf(&line, ".%s\"; filename*=UTF-8''", extension);
	add_full_name(&line, title);
	atl_buf_addf(&line, ".%s", extension);
	enum atl_err err = atl_buf_err(&line, info);
	if (!err)
		atl_res_header(req, "Content-Disposition", line.data);
	atl_buf_finish(&line);
	return err;
}

static void handle_export(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_buf out;
	const char *name = atl_req_query(req, "format"), *title = NULL;
	const struct atl_exchange_format *format = atl_exchange_format(name ? name : FORMAT_NAMES[0]);
	enum atl_err err = ATL_OK;
	atl_buf_init(&out, ATL_EXCHANGE_BYTES_MAX);
	if (!format)
		err = atl_fail_field(&info, ATL_ERR_INVALID, "format", "must be atelier, sillytavern or text");
	if (!err)
		err = atl_exchange_export(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), format,
					  &out, &title, &info);
	if (!err)
		err = add_disposition(req, title, format->extension, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_body(req, 200, format->type, out.data, out.length);
	atl_buf_finish(&out);
}

static void handle_import(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_imported imported = {0};
	struct atl_buf text;
	enum atl_err err = ATL_OK;
	atl_buf_init(&text, ATL_EXCHANGE_BYTES_MAX);
	if (!req->body_path || !req->body_file_bytes)
		err = atl_fail(&info, ATL_ERR_INVALID, "Send the file as the body.");
	if (!err)
		err = atl_file_read(req->body_path, ATL_EXCHANGE_BYTES_MAX, &text, &info);
	if (!err)
		err = atl_exchange_import(atl_api_app(req), atl_api_identity(req), &req->arena, text.data, text.length,
					  &imported, &info);
	atl_buf_finish(&text);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	struct imported_out out = {.items = {imported.items, imported.count},
				   .skipped = (int64_t)imported.skipped,
				   .skipped_reason = imported.reason};
	atl_res_json(req, 201, &imported_desc, &out);
}

#define ROUTE(m, p, h, words) .method = m, .path = "/api/v1/conversations" p, .permission = "chat.use", .handler = h, \
	.tag = "Conversations", .summary = words

const struct atl_route atl_exchange_routes[] = {
	{ROUTE(ATL_GET, "/{id}/export", handle_export, "The conversation as a file"), .query = export_params,
	 .out_type = "application/json|application/jsonl|text/plain"},
	{ROUTE(ATL_POST, "/import", handle_import, "Take in a file of Atelier, SillyTavern (.jsonl) or ChatGPT"),
	 .flags = ATL_ROUTE_UPLOAD, .out = &imported_desc, .status = 201, .body_max = ATL_EXCHANGE_BYTES_MAX},
	{0},
};
