/* shares.c - short links: made and revoked by their owner under /api/v1, opened by anybody under /s/{key}.
 *
 * The page for guests stands alone: no script, no login, its style allowed by hash, the file by a ticket, so that
 * looking at it is one use of the link.
 */
#include "core/pictures/share.h"

#include <stdio.h>

#include "api/api.h"
#include "api/asset_files.h"
#include "api/fields.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/str.h"

#define PAGE_MAX 65536
#define CACHE_NONE "private, no-store"

struct share_in {
	int64_t expires_at, uses_max;
	bool with_metadata;
};
static const struct atl_json_field in_fields[] = {
	F_TIME(struct share_in, expires_at, ATL_JF_NULLABLE, "null: never"),
	F_INT(struct share_in, uses_max, ATL_JF_NULLABLE, 1, ATL_SHARE_USES_MAX, "null: any number"),
	F_BOOL(struct share_in, with_metadata, 0, "true: the file tells how it was made"),
};
DESC(in_desc, struct share_in, "ShareInput", in_fields);

static const struct atl_query_param list_params[] = {
	{"asset_id", ATL_JT_STR, 0, 40, NULL, "links to this asset"},
	{0},
};
static const struct atl_query_param file_params[] = {
	{"t", ATL_JT_STR, 0, 80, NULL, "the page's ticket: no further use"},
	{"download", ATL_JT_BOOL, 0, 0, NULL, "to be saved under a name"},
	{0},
};

/* ---- for the owner ---- */

static void handle_create(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct share_in in;
	struct atl_share share;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err) {
		struct atl_share_new new_share = {.asset_id = atl_req_param(req, "id"),
						  .expires_at = in.expires_at,
						  .uses_max = in.uses_max,
						  .with_metadata = in.with_metadata};
		err = atl_share_create(atl_api_app(req), &req->arena, atl_api_user(req), &new_share, &share, &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 201, &atl_share_desc, &share);
}

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_items items = {0};
	enum atl_err err = atl_share_list(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_query(req, "asset_id"),
					  &items, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_share_desc, items.items, items.count, NULL);
}

static void handle_revoke(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	enum atl_err err = atl_share_revoke(atl_api_app(req), atl_api_user(req), atl_req_param(req, "id"), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

/* ---- for guests ---- */

static const char STYLE[] =
	":root{color-scheme:light dark;--paper:#faf8f5;--ink:#2b2723;--soft:#6f675e;--line:#e4ded6}"
	"@media(prefers-color-scheme:dark){:root{--paper:#1b1917;--ink:#ece6de;--soft:#a49a8e;--line:#37322d}}"
	"*{box-sizing:border-box}body{margin:0;min-height:100vh;display:flex;flex-direction:column;background:var(--paper);"
	"color:var(--ink);font:16px/1.5 system-ui,sans-serif}main{flex:1;display:flex;flex-direction:column;align-items:center;"
	"justify-content:center;gap:16px;padding:16px}img,video{max-width:100%;max-height:80vh;height:auto;border-radius:8px}"
	"h1{font-size:1.1rem;font-weight:600;margin:0;max-width:60ch;overflow-wrap:anywhere;text-align:center}"
	"p{margin:0;color:var(--soft);text-align:center}a{color:inherit}a:focus-visible{outline:2px solid currentColor;"
	"outline-offset:3px}footer{padding:16px;border-top:1px solid var(--line);color:var(--soft);font-size:.875rem;"
	"text-align:center}";

static void add_escaped(struct atl_buf *out, const char *text)
{
	for (const char *p = text ? text : ""; *p; p++) {
		switch (*p) {
		case '&':
			atl_buf_adds(out, "&amp;");
			break;
		case '<':
			atl_buf_adds(out, "&lt;");
			break;
		case '>':
			atl_buf_adds(out, "&gt;");
			break;
		case '"':
			atl_buf_adds(out, "&quot;");
			break;
		default:
			atl_buf_addc(out, *p);
		}
	}
}

static void add_policy(struct atl_req *req)
{
	unsigned char sum[ATL_SHA256_SIZE];
	struct atl_buf hash;
	atl_sha256(STYLE, sizeof STYLE - 1, sum);
	atl_buf_init(&hash, 64);
	atl_base64_encode(&hash, ATL_BASE64_STANDARD, sum, sizeof sum);
	const char *policy = atl_arena_printf(&req->arena,
					      "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'sha256-%s'; "
					      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
					      hash.data);
	atl_buf_finish(&hash);
	if (policy)
		atl_res_header(req, "Content-Security-Policy", policy);
	atl_res_header(req, "Cache-Control", CACHE_NONE);
	atl_res_header(req, "Referrer-Policy", "no-referrer");
	atl_res_header(req, "X-Robots-Tag", "noindex");
}

static void page_begin(struct atl_buf *out, const char *title)
{
	atl_buf_adds(out, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
			  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
	add_escaped(out, title);
	atl_buf_adds(out, "</title><style>");
	atl_buf_add(out, STYLE, sizeof STYLE - 1);
	atl_buf_adds(out, "</style></head><body><main>");
}

static void page_end(struct atl_req *req, int status, struct atl_buf *out, const char *footer)
{
	atl_buf_addf(out, "</main><footer>%s</footer></body></html>", footer);
	if (out->failed) {
		atl_api_fail(req, ATL_ERR_NOMEM, NULL);
	} else {
		add_policy(req);
		atl_res_body(req, status, "text/html; charset=utf-8", out->data, out->length);
	}
	atl_buf_finish(out);
}

static void send_refusal(struct atl_req *req, enum atl_err err, const struct atl_errinfo *info)
{
	struct atl_buf out;
	atl_buf_init(&out, PAGE_MAX);
	page_begin(&out, "Atelier");
	atl_buf_adds(&out, "<h1>");
	add_escaped(&out, info->detail[0] ? info->detail : atl_err_sentence(err));
	atl_buf_adds(&out, "</h1><p>Ask the person who sent it for a new link.</p>");
	page_end(req, atl_err_status(err), &out, "Atelier");
}

static void add_shown(struct atl_buf *out, const struct atl_asset *asset, const char *title, const char *file)
{
	char size[64] = "";
	if (asset->width > 0 && asset->height > 0)
		snprintf(size, sizeof size, " width=\"%d\" height=\"%d\"", (int)asset->width, (int)asset->height);
	if (atl_str_eq(asset->kind, "video")) {
		atl_buf_addf(out, "<video controls loop playsinline%s src=\"%s\"></video>", size, file);
		return;
	}
	atl_buf_addf(out, "<img%s src=\"%s\" alt=\"", size, file);
	add_escaped(out, title);
	atl_buf_adds(out, "\">");
}

static void handle_page(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_share share;
	struct atl_asset asset;
	struct atl_buf out;
	const char *file = NULL;
	enum atl_err err =
		atl_share_open(atl_api_app(req), &req->arena, atl_req_param(req, "key"), &share, &asset, &info);
	if (!err) {
		const char *ticket = atl_share_ticket(atl_api_app(req), &req->arena, share.key);
		file = ticket ? atl_arena_printf(&req->arena, "/s/%s/file?t=%s", share.key, ticket) : NULL;
		if (!file)
			err = atl_fail(&info, ATL_ERR_NOMEM, "page");
	}
	if (err) {
		send_refusal(req, err, &info);
		return;
	}
	bool made = atl_str_eq(asset.origin, "generated");
	const char *title = atl_str_empty(asset.title) ? (made ? "Made with AI" : "A shared picture") : asset.title;
	atl_buf_init(&out, PAGE_MAX);
	page_begin(&out, title);
	add_shown(&out, &asset, title, file);
	if (!atl_str_empty(asset.title)) {
		atl_buf_adds(&out, "<h1>");
		add_escaped(&out, asset.title);
		atl_buf_adds(&out, "</h1>");
	}
	atl_buf_addf(&out, "<p><a href=\"%s&amp;download=true\">Download</a> &middot; <a href=\"/report?s=%s\">Report</a></p>", file,
		     share.key);
	page_end(req, 200, &out, made ? "Made with AI &middot; Atelier" : "Atelier");
}

static void handle_file(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_share share;
	struct atl_asset asset;
	const char *ticket = atl_req_query(req, "t"), *key = atl_req_param(req, "key");
	struct atl_app *app = atl_api_app(req);
	enum atl_err err = ticket ? atl_share_open_ticket(app, &req->arena, key, ticket, &share, &asset, &info)
				  : atl_share_open(app, &req->arena, key, &share, &asset, &info);
	if (!err)
		err = atl_api_send_asset(req, &asset, 0, atl_str_eq(atl_req_query(req, "download"), "true"),
					 !share.with_metadata, CACHE_NONE, &info);
	if (err)
		atl_api_fail(req, err, &info);
}

#define TAG "Library"
const struct atl_route atl_shares_routes[] = {
	{.method = ATL_POST, .path = "/api/v1/assets/{id}/shares", .permission = "pictures.use", .handler = handle_create,
	 .feature = "sharing", .tag = TAG, .summary = "A link for people without an account", .in = &in_desc, .out = &atl_share_desc,
	 .status = 201},
	{.method = ATL_GET, .path = "/api/v1/shares", .permission = "pictures.use", .handler = handle_list, .tag = TAG,
	 .summary = "Links that are not revoked, the newest first", .out = &atl_share_desc, .out_list = true,
	 .query = list_params},
	{.method = ATL_DELETE, .path = "/api/v1/shares/{id}", .permission = "pictures.use", .handler = handle_revoke,
	 .tag = TAG, .summary = "Revoke a link, named by its key", .status = 204},
	{.method = ATL_GET, .path = "/s/{key}", .permission = "public", .handler = handle_page, .tag = TAG,
	 .summary = "The page of a link", .out_type = "text/html"},
	{.method = ATL_GET, .path = "/s/{key}/file", .permission = "public", .handler = handle_file, .tag = TAG,
	 .summary = "The file of a link", .out_type = "image/webp|image/png|image/jpeg|image/gif|video/mp4|video/webm",
	 .query = file_params},
	{0},
};
