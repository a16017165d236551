/* asset_files.c - the bytes of assets: to their owner, to whom an address was given, many in a ZIP. */
#include "api/asset_files.h"

#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/pictures/asset.h"
#include "media/credentials.h"

#define CACHE_OWN "private, max-age=31536000, immutable"
#define TYPES "image/webp|image/png|image/jpeg|image/gif|video/mp4|video/webm"
#define STRIP_MAX ((size_t)64 << 20)

static const char *const METADATA[] = {"keep", "strip", NULL};
static const struct atl_query_param file_params[] = {
	{"width", ATL_JT_INT, 0, 512, NULL, "a thumbnail of this width: 64, 128, 256 or 512"},
	{"download", ATL_JT_BOOL, 0, 0, NULL, "to be saved under a name"},
	{"metadata", ATL_JT_ENUM, 0, 0, METADATA, "strip: without how it was made; the AI mark stays"},
	{0},
};
static const struct atl_query_param address_params[] = {
	{"exp", ATL_JT_STR, 0, 20, NULL, "as in the address given out"},
	{"sig", ATL_JT_STR, 0, 64, NULL, "as in the address given out"},
	{"width", ATL_JT_INT, 0, 512, NULL, "a thumbnail of this width"},
	{0},
};
static const struct atl_query_param zip_params[] = {
	{"ids", ATL_JT_STR, 1, 8000, NULL, "ids, with commas"},
	{0},
};

struct zip_in {
	struct atl_strs ids;
};
static const struct atl_json_field zip_fields[] = {
	{.name = "ids", .type = ATL_JT_STRS, .offset = offsetof(struct zip_in, ids), .flags = ATL_JF_REQUIRED, .min = 1,
	 .max = ATL_ASSET_ZIP_MAX, .item_max = 40},
};
DESC(zip_desc, struct zip_in, "AssetZip", zip_fields);

/* ---- one file ---- */

/* For old readers ASCII only, for the others (filename*, RFC 8187) all letters, percent-encoded. */
static enum atl_err add_disposition(struct atl_req *req, const char *name, struct atl_errinfo *info)
{
	struct atl_buf line;
	atl_buf_init(&line, 4096);
	atl_buf_adds(&line, "attachment; filename=\"");
	for (const unsigned char *p = (const unsigned char *)name; *p; p++)
		if (*p >= ' ' && *p < 0x7f && *p != '"' && *p != '\\')
			atl_buf_addc(&line, (char)*p);
	atl_buf_adds(&line, "\"; filename*=UTF-8''");
	for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
		bool plain = (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z' && *p < 0x80) || *p == '-' ||
			     *p == '.' || *p == '_';
		if (plain)
			atl_buf_addc(&line, (char)*p);
		else
			atl_buf_addf(&line, "%%%02X", *p);
	}
	enum atl_err err = atl_buf_err(&line, info);
	if (!err)
		atl_res_header(req, "Content-Disposition", line.data);
	atl_buf_finish(&line);
	return err;
}

static enum atl_err send_whole(struct atl_req *req, const struct atl_asset *asset, int64_t width, const char *cache,
			       struct atl_errinfo *info)
{
	const char *path;
	enum atl_err err = atl_asset_path(atl_api_app(req), &req->arena, asset, width, &path, info);
	if (err)
		return err;
	const char *etag = atl_arena_printf(&req->arena, "\"%.32s-%lld\"", asset->sha256, (long long)width);
	atl_res_file(req, path, width ? "image/webp" : asset->media_type, etag, cache);
	return ATL_OK;
}

static enum atl_err send_stripped(struct atl_req *req, const struct atl_asset *asset, const char *cache,
				  struct atl_errinfo *info)
{
	struct atl_buf out;
	atl_buf_init(&out, STRIP_MAX + 65536 + ATL_CREDENTIALS_ROOM);
	enum atl_err err = atl_asset_strip(atl_api_app(req), &req->arena, asset, &out, info);
	if (!err) {
		atl_res_header(req, "Cache-Control", cache);
		atl_res_body(req, 200, asset->media_type, out.data, out.length);
	}
	atl_buf_finish(&out);
	return err;
}

/* Only what we made carries how it was made: an uploaded file has lost everything when it came. */
static bool has_metadata(const struct atl_asset *asset)
{
	return atl_str_eq(asset->kind, "picture") && atl_str_eq(asset->origin, "generated");
}

enum atl_err atl_api_send_asset(struct atl_req *req, const struct atl_asset *asset, int64_t width, bool download,
				bool strip, const char *cache, struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;
	if (download) {
		const char *name = atl_asset_file_name(&req->arena, asset);
		err = name ? add_disposition(req, name, info) : atl_fail(info, ATL_ERR_NOMEM, "name");
	}
	if (err)
		return err;
	return strip && !width && has_metadata(asset) ? send_stripped(req, asset, cache, info)
						      : send_whole(req, asset, width, cache, info);
}

enum atl_err atl_api_asset_width(struct atl_req *req, int64_t *ret, struct atl_errinfo *info)
{
	const char *text = atl_req_query(req, "width");
	if (text && !atl_str_i64(text, 0, 512, ret))
		return atl_fail_field(info, ATL_ERR_INVALID, "width", "must be one of: 64, 128, 256, 512");
	return ATL_OK;
}

static void handle_file(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_asset asset;
	int64_t width = 0;
	enum atl_err err = atl_asset_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"),
					 &asset, &info);
	if (!err && asset.library && !atl_identity_may(atl_api_identity(req), ATL_PERM_PICTURES_USE))
		err = atl_fail(&info, ATL_ERR_FORBIDDEN, "This key may not see pictures of the library.");
	if (!err)
		err = atl_api_asset_width(req, &width, &info);
	if (!err)
		err = atl_api_send_asset(req, &asset, width, atl_str_eq(atl_req_query(req, "download"), "true"),
					 atl_str_eq(atl_req_query(req, "metadata"), "strip"), CACHE_OWN, &info);
	if (err)
		atl_api_fail(req, err, &info);
}

/* Whoever has the address, until its time is over. */
static void handle_address(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_asset asset;
	int64_t width = 0;
	enum atl_err err =
		atl_asset_by_address(atl_api_app(req), &req->arena, atl_req_param(req, "id"), atl_req_query(req, "exp"),
				     atl_req_query(req, "sig"), &asset, &info);
	if (!err)
		err = atl_api_asset_width(req, &width, &info);
	if (!err)
		err = atl_api_send_asset(req, &asset, width, false, false, "private, no-store", &info);
	if (!err) /* such a link is made to be shown elsewhere */
		atl_res_header(req, "Cross-Origin-Resource-Policy", "cross-origin");
	if (err)
		atl_api_fail(req, err, &info);
}

/* ---- many ---- */

static enum atl_err split_ids(struct atl_req *req, struct atl_strs *ret, struct atl_errinfo *info)
{
	const char *text = atl_req_query(req, "ids");
	*ret = (struct atl_strs){.items = ATL_ARENA_ARRAY(&req->arena, const char *, ATL_ASSET_ZIP_MAX)};
	if (!ret->items)
		return atl_fail(info, ATL_ERR_NOMEM, "ids");
	while (text && *text) {
		size_t length = strcspn(text, ",");
		if (length && ret->count == ATL_ASSET_ZIP_MAX)
			return atl_fail_field(info, ATL_ERR_INVALID, "ids", "at most %d at a time", ATL_ASSET_ZIP_MAX);
		if (length)
			ret->items[ret->count++] = atl_arena_strndup(&req->arena, text, length);
		text += length + (text[length] == ',');
	}
	return ret->count ? ATL_OK : atl_fail_field(info, ATL_ERR_INVALID, "ids", "is missing");
}

static void send_zip(struct atl_req *req, const struct atl_strs *ids, enum atl_err err, struct atl_errinfo *info)
{
	struct atl_asset_zip *zip = NULL;
	uint64_t length = 0;
	if (!err)
		err = atl_asset_zip_open(atl_api_app(req), atl_api_user(req), ids, &zip, &length, info);
	if (err) {
		atl_api_fail(req, err, info);
		return;
	}
	struct atl_source source = {.read = atl_asset_zip_read, .release = atl_asset_zip_close, .arg = zip};
	atl_res_header(req, "Content-Disposition", "attachment; filename=\"pictures.zip\"");
	atl_res_header(req, "Cache-Control", "private, no-store");
	atl_res_source(req, 200, "application/zip", &source, length);
}

/* An address holds about 250 ids; a body holds them all. */
static void handle_zip(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_strs ids;
	enum atl_err err = split_ids(req, &ids, &info);
	send_zip(req, &ids, err, &info);
}

static void handle_zip_post(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct zip_in in = {0};
	enum atl_err err = atl_req_json(req, &in, &info);
	send_zip(req, &in.ids, err, &info);
}

#define TAG "Library"
const struct atl_route atl_asset_files_routes[] = {
	{.method = ATL_GET, .path = "/api/v1/assets/{id}/file", .permission = "session", .handler = handle_file, .tag = TAG,
	 .summary = "The file of an asset, or its thumbnail", .out_type = TYPES, .query = file_params},
	{.method = ATL_GET, .path = "/api/v1/assets/zip", .permission = "pictures.use", .handler = handle_zip, .tag = TAG,
	 .summary = "Many files as one ZIP", .out_type = "application/zip", .query = zip_params},
	{.method = ATL_POST, .path = "/api/v1/assets/zip", .permission = "pictures.use", .handler = handle_zip_post,
	 .tag = TAG, .summary = "The same for more files than an address can name", .in = &zip_desc,
	 .out_type = "application/zip"},
	{.method = ATL_GET, .path = "/f/{id}", .permission = "public", .handler = handle_address, .tag = TAG,
	 .summary = "A file by an address that was given out", .out_type = TYPES, .query = address_params},
	{0},
};
