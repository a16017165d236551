/* audit.c - /api/v1/audit: who did what; its pages, its file, and whether it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/fields.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/people/audit_list.h"
#include "os/file.h"

static const struct atl_json_field row_fields[] = {
	F_INT(struct atl_audit_row, seq, ATL_JF_REQUIRED, 0, 0, "its place in the chain, from 1 on without a gap"),
	F_TIME(struct atl_audit_row, at, ATL_JF_REQUIRED, NULL),
	F_STR(struct atl_audit_row, user_id, ATL_JF_REQUIRED, 0, 0, "empty: nobody signed in, or the command line"),
	F_STR(struct atl_audit_row, user_name, ATL_JF_REQUIRED, 0, 0, "of an account that is still there, or of a row from before 0.2"),
	F_STR(struct atl_audit_row, channel, ATL_JF_REQUIRED, 0, 0, "page, key, server or none"),
	F_STR(struct atl_audit_row, remote, ATL_JF_REQUIRED, 0, 0, "address"),
	F_STR(struct atl_audit_row, action, ATL_JF_REQUIRED, 0, 0, "\"provider.delete\""),
	F_STR(struct atl_audit_row, target_kind, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_audit_row, target_id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_audit_row, note, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_audit_row, hash, ATL_JF_REQUIRED, 0, 0, "SHA-256 over the row before's hash and this row"),
};
DESC(row_desc, struct atl_audit_row, "AuditRow", row_fields);

static const struct atl_json_field verdict_fields[] = {
	F_BOOL(struct atl_audit_verdict, intact, ATL_JF_REQUIRED, NULL),
	F_INT(struct atl_audit_verdict, rows, ATL_JF_REQUIRED, 0, 0, "looked at"),
	F_INT(struct atl_audit_verdict, broken_at, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "the first number that is wrong"),
	F_STR(struct atl_audit_verdict, why, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, NULL),
};
DESC(verdict_desc, struct atl_audit_verdict, "AuditVerdict", verdict_fields);

#define FILTERS                                                                                  \
	{ "who", ATL_JT_STR, 1, ATL_USER_NAME_MAX, NULL, "a user's id or name" },                \
	{ "action", ATL_JT_STR, 1, 60, NULL, "how the action begins: provider." },              \
	{ "target", ATL_JT_STR, 1, 300, NULL, "id of what was changed" },                        \
	{ "from", ATL_JT_STR, 20, 40, NULL, "time (RFC 3339)" },                                 \
	{ "to", ATL_JT_STR, 20, 40, NULL, "time (RFC 3339); rows before it" }

static const struct atl_query_param list_params[] = { FILTERS, ATL_API_PAGE_PARAMS, { NULL } };
static const char *const formats[] = { "csv", "jsonl", NULL };
static const struct atl_query_param export_params[] = {
	FILTERS, { "format", ATL_JT_ENUM, 0, 0, formats, "csv unless told" }, { NULL }
};

static enum atl_err read_time(struct atl_req *req, const char *name, int64_t *ret, struct atl_errinfo *info)
{
	const char *text = atl_req_query(req, name);

	if (text && *text && !atl_rfc3339_parse(text, ret))
		return atl_fail_field(info, ATL_ERR_INVALID, name, "A time looks like 2026-01-31T08:00:00Z.");
	return ATL_OK;
}

static const char *text_of(struct atl_req *req, const char *name)
{
	const char *text = atl_req_query(req, name);

	return text && *text ? text : NULL;
}

static enum atl_err read_filter(struct atl_req *req, struct atl_audit_filter *out, struct atl_errinfo *info)
{
	enum atl_err err;

	*out = (struct atl_audit_filter){ .who = text_of(req, "who"), .action = text_of(req, "action"),
					  .target = text_of(req, "target") };
	err = read_time(req, "from", &out->from, info);
	return err ? err : read_time(req, "to", &out->to, info);
}

static void handle_list(struct atl_req *req)
{
	struct atl_audit_filter filter;
	struct atl_errinfo info = { 0 };
	struct atl_audit_row *rows;
	struct atl_page page;
	const char *next = NULL;
	size_t count;
	enum atl_err err = read_filter(req, &filter, &info);

	if (!err)
		err = atl_api_page(req, &page, &info);
	if (!err) {
		filter.before = page.has_after ? page.after_key : 0;
		err = atl_audit_list(atl_api_app(req), &filter, page.limit, &req->arena, &rows, &count, &info);
	}
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	if (count == (size_t)page.limit && rows[count - 1].seq > 1)
		next = atl_api_cursor(req, rows[count - 1].seq, "");
	atl_api_list(req, &row_desc, rows, count, next);
}

static void handle_verify(struct atl_req *req)
{
	struct atl_audit_verdict verdict;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_audit_verify(atl_api_app(req), &verdict, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &verdict_desc, &verdict);
}

/* ---- the file: made beside the uploads without a name, then sent from there ---- */

struct outgoing {
	int fd;
};

static bool outgoing_read(void *arg, void *room, size_t want)
{
	struct outgoing *out = arg;
	char *to = room;

	while (want) {
		ssize_t got = read(out->fd, to, want);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to += got;
		want -= (size_t)got;
	}
	return true;
}

static void outgoing_close(void *arg)
{
	struct outgoing *out = arg;

	close(out->fd);
	free(out);
}

static enum atl_err open_nameless(const struct atl_app *app, int *ret_fd, struct atl_errinfo *info)
{
	char path[4300], id[ATL_ID_SIZE];
	enum atl_err err;

	atl_id_new("tmp", id);
	snprintf(path, sizeof(path), "%s/%s", app->upload_dir, id);
	err = atl_file_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, ret_fd, info);
	if (!err)
		unlink(path);
	return err;
}

static void handle_export(struct atl_req *req)
{
	struct outgoing *out = calloc(1, sizeof(*out));
	const char *format = atl_req_query(req, "format");
	enum atl_audit_form form = format && atl_str_eq(format, "jsonl") ? ATL_AUDIT_JSONL : ATL_AUDIT_CSV;
	const struct atl_audit audit = { .who = atl_api_identity(req), .action = "audit.export" };
	struct atl_audit_filter filter;
	struct atl_errinfo info = { 0 };
	uint64_t bytes = 0;
	enum atl_err err = out ? read_filter(req, &filter, &info) : ATL_ERR_NOMEM;

	if (out)
		out->fd = -1;
	if (!err)
		err = open_nameless(atl_api_app(req), &out->fd, &info);
	if (!err)
		err = atl_audit_export(atl_api_app(req), &filter, form, out->fd, &bytes, &info);
	if (!err && lseek(out->fd, 0, SEEK_SET) != 0)
		err = atl_fail(&info, ATL_ERR_IO, "Reading the export: %s", strerror(errno));
	if (err) {
		if (out && out->fd >= 0)
			close(out->fd);
		free(out);
		atl_api_fail(req, err, &info);
		return;
	}
	atl_audit_now(atl_api_app(req), &audit);
	atl_res_header(req, "Content-Disposition",
		       form == ATL_AUDIT_CSV ? "attachment; filename=\"audit.csv\"" : "attachment; filename=\"audit.jsonl\"");
	atl_res_header(req, "Cache-Control", "private, no-store");
	atl_res_source(req, 200, form == ATL_AUDIT_CSV ? "text/csv; charset=utf-8" : "application/jsonl",
		       &(struct atl_source){ .read = outgoing_read, .release = outgoing_close, .arg = out }, bytes);
}

#define R(path_, handler_, summary_) \
	.method = ATL_GET, .path = "/api/v1/audit" path_, .permission = "audit.read", .handler = (handler_), .tag = "Audit", \
	.summary = (summary_)

const struct atl_route atl_audit_routes[] = {
	{ R("", handle_list, "Who did what, newest first"), .query = list_params, .out = &row_desc, .out_list = true },
	{ R("/verify", handle_verify, "Walk the chain: was a row changed, removed, added or moved?"), .out = &verdict_desc },
	{ R("/export", handle_export, "All rows as a file"), .query = export_params, .out_type = "text/csv|application/jsonl" },
	{ .path = NULL },
};
