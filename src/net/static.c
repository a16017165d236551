/* static.c - see static.h. */
#include "net/static.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "net/cond.h"
#include "net/http_int.h"

#define STATIC_PATH_MAX 1024

#define PAGE_POLICY                                                                                                 \
	"Content-Security-Policy: default-src 'self'; script-src 'self'; style-src 'self'; "                         \
	"img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "            \
	"worker-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'\r\n"              \
	"Permissions-Policy: camera=(), geolocation=(), payment=(), usb=(), serial=(), hid=(), midi=(), "            \
	"browsing-topics=(), display-capture=()\r\n"
#define PICTURE_POLICY                                                                                              \
	"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'\r\n"
#define CACHE_FOR_EVER "Cache-Control: public, max-age=31536000, immutable\r\n"
#define CACHE_CHECKED "Cache-Control: no-cache\r\n"

enum variant { PLAIN, GZIP, BR, VARIANT_COUNT };

/* Ready header lines of one asset, so that a request only copies them. */
struct prepared {
	char *headers[VARIANT_COUNT][2]; /* [.][1]: for ever */
	char etag[VARIANT_COUNT][80];
};

struct atl_static {
	const struct atl_assets *assets;
	char *web_dir;
	struct prepared *prepared;
	const struct atl_web_asset *index;
};

static const struct {
	const char *ending, *type;
} types[] = {
	{".html", "text/html; charset=utf-8"},
	{".js", "text/javascript; charset=utf-8"},
	{".mjs", "text/javascript; charset=utf-8"},
	{".css", "text/css; charset=utf-8"},
	{".json", "application/json"},
	{".webmanifest", "application/manifest+json"},
	{".svg", "image/svg+xml"},
	{".png", "image/png"},
	{".jpg", "image/jpeg"},
	{".webp", "image/webp"},
	{".gif", "image/gif"},
	{".ico", "image/x-icon"},
	{".woff2", "font/woff2"},
	{".txt", "text/plain; charset=utf-8"},
	{".md", "text/plain; charset=utf-8"},
	{".mp4", "video/mp4"},
	{".mp3", "audio/mpeg"},
	{".wav", "audio/wav"},
};

const char *static_type(const char *path)
{
	for (size_t i = 0; i < ATL_COUNT(types); i++) {
		if (atl_str_ends(path, types[i].ending))
			return types[i].type;
	}
	return "application/octet-stream";
}

/* Addresses of the interfaces for programs: an unknown one is a 404, not the page. */
static bool for_programs(const char *path)
{
	static const char *const prefixes[] = {"api", "v1", "sdapi", "s", "assets"};

	for (size_t i = 0; i < ATL_COUNT(prefixes); i++) {
		size_t length = strlen(prefixes[i]);

		if (strncmp(path, prefixes[i], length) == 0 && (path[length] == '/' || !path[length]))
			return true;
	}
	return false;
}

enum static_kind static_resolve(const char *path, const char **ret_name, const char **ret_hash, size_t *ret_hash_length)
{
	const char *last;

	*ret_hash = NULL;
	*ret_hash_length = 0;
	if (*path != '/')
		return STATIC_NONE;
	path++;
	if (strncmp(path, "assets/", 7) == 0) {
		size_t length = strcspn(path + 7, "/");

		if (!length || path[7 + length] != '/' || !path[7 + length + 1])
			return STATIC_NONE;
		*ret_hash = path + 7;
		*ret_hash_length = length;
		*ret_name = path + 7 + length + 1;
		return STATIC_HASHED;
	}
	if (for_programs(path))
		return STATIC_NONE;
	last = strrchr(path, '/');
	last = last ? last + 1 : path;
	if (strchr(last, '.')) {
		*ret_name = path;
		return STATIC_ASSET;
	}
	*ret_name = "index.html";
	return STATIC_PAGE;
}

/* ---- embedded ---- */

static const struct atl_web_asset_bytes *bytes_of(const struct atl_web_asset *asset, enum variant variant)
{
	return variant == BR ? &asset->br : variant == GZIP ? &asset->gzip : &asset->plain;
}

static const struct atl_web_asset *find(const struct atl_static *self, const char *name)
{
	size_t low = 0, high = self->assets->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(self->assets->items[middle].path, name);

		if (order == 0)
			return &self->assets->items[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static const char *policy(const char *type)
{
	return strncmp(type, "image/svg", 9) == 0 ? PICTURE_POLICY : PAGE_POLICY;
}

static bool prepare(const struct atl_web_asset *asset, struct prepared *out)
{
	static const char *const suffix[VARIANT_COUNT] = {"", "-gzip", "-br"};
	static const char *const encoding[VARIANT_COUNT] = {"", "Content-Encoding: gzip\r\n", "Content-Encoding: br\r\n"};
	bool varies = asset->gzip.data || asset->br.data;

	for (int variant = 0; variant < VARIANT_COUNT; variant++) {
		if (!bytes_of(asset, variant)->data)
			continue;
		snprintf(out->etag[variant], sizeof(out->etag[variant]), "\"%.64s%s\"", asset->hash, suffix[variant]);
		for (int ever = 0; ever < 2; ever++) {
			if (asprintf(&out->headers[variant][ever], "%sETag: %s\r\n%s%s%s%s",
				     ever ? CACHE_FOR_EVER : CACHE_CHECKED, out->etag[variant], encoding[variant],
				     varies ? "Vary: Accept-Encoding\r\n" : "",
				     variant == PLAIN ? "Accept-Ranges: bytes\r\n" : "", policy(asset->type)) < 0) {
				out->headers[variant][ever] = NULL;
				return false;
			}
		}
	}
	return true;
}

enum atl_err atl_static_create(const struct atl_assets *assets, const char *web_dir, struct atl_static **ret)
{
	struct atl_static *self = calloc(1, sizeof(*self));
	bool ok = self != NULL;

	if (!ok)
		return ATL_ERR_NOMEM;
	if (web_dir) {
		self->web_dir = strdup(web_dir);
		ok = self->web_dir != NULL;
	} else {
		self->assets = assets;
		self->prepared = calloc(assets->count + 1, sizeof(*self->prepared));
		ok = self->prepared != NULL;
		for (size_t i = 0; ok && i < assets->count; i++)
			ok = prepare(&assets->items[i], &self->prepared[i]);
		if (ok)
			self->index = find(self, "index.html");
	}
	if (!ok) {
		atl_static_destroy(self);
		return ATL_ERR_NOMEM;
	}
	*ret = self;
	return ATL_OK;
}

void atl_static_destroy(struct atl_static *self)
{
	if (!self)
		return;
	for (size_t i = 0; self->prepared && i < self->assets->count; i++) {
		for (int variant = 0; variant < VARIANT_COUNT; variant++) {
			free(self->prepared[i].headers[variant][0]);
			free(self->prepared[i].headers[variant][1]);
		}
	}
	free(self->prepared);
	free(self->web_dir);
	free(self);
}

/* A range is of the plain bytes; a part of a compressed copy is of no use to anybody. */
static void serve_part(struct atl_req *req, const struct atl_web_asset *asset, const char *range)
{
	char text[96];
	uint64_t offset, length;

	switch (cond_range_parse(range, asset->plain.length, &offset, &length)) {
	case COND_WHOLE:
		res_borrowed(req, 200, asset->type, asset->plain.data, asset->plain.length);
		break;
	case COND_PART:
		snprintf(text, sizeof(text), "bytes %llu-%llu/%zu", (unsigned long long)offset,
			 (unsigned long long)(offset + length - 1), asset->plain.length);
		res_borrowed(req, 206, asset->type, asset->plain.data + offset, (size_t)length);
		atl_res_header(req, "Content-Range", text);
		break;
	case COND_UNSATISFIABLE:
		snprintf(text, sizeof(text), "bytes */%zu", asset->plain.length);
		atl_res_error(req, ATL_ERR_RANGE, NULL);
		atl_res_header(req, "Content-Range", text);
		break;
	}
}

static void serve_asset(const struct atl_static *self, struct atl_req *req, const struct atl_web_asset *asset, bool for_ever)
{
	const struct prepared *prepared = &self->prepared[asset - self->assets->items];
	const char *accept = NULL, *none_match = NULL, *range = NULL, *if_range = NULL;
	enum variant variant = PLAIN;
	const struct atl_web_asset_bytes *bytes;

	for (size_t i = 0; i < req->header_count; i++) {
		const char *name = req->headers[i].name;

		switch (*name | 32) {
		case 'a':
			if (strcasecmp(name, "accept-encoding") == 0)
				accept = req->headers[i].value;
			break;
		case 'i':
			if (strcasecmp(name, "if-none-match") == 0)
				none_match = req->headers[i].value;
			else if (strcasecmp(name, "if-range") == 0)
				if_range = req->headers[i].value;
			break;
		case 'r':
			if (strcasecmp(name, "range") == 0)
				range = req->headers[i].value;
			break;
		}
	}
	if (!range) {
		char coding = cond_encoding(accept, asset->br.data != NULL, asset->gzip.data != NULL);

		variant = coding == 'b' ? BR : coding == 'g' ? GZIP : PLAIN;
	}
	res_header_lines(req, prepared->headers[variant][for_ever]);
	if (cond_none_match(none_match, prepared->etag[variant])) {
		atl_res_empty(req, 304);
		return;
	}
	if (range && (!if_range || strcmp(if_range, prepared->etag[PLAIN]) == 0)) {
		serve_part(req, asset, range);
		return;
	}
	bytes = bytes_of(asset, variant);
	res_borrowed(req, 200, asset->type, bytes->data, bytes->length);
}

/* ---- from a folder ---- */

static void serve_from_dir(struct atl_req *req)
{
	const struct atl_static *self = ((struct call *)req)->module;
	const char *name = "", *hash;
	size_t hash_length;
	char path[STATIC_PATH_MAX];

	static_resolve(req->path, &name, &hash, &hash_length);
	if (snprintf(path, sizeof(path), "%s/%s", self->web_dir, name) >= (int)sizeof(path)) {
		atl_res_error(req, ATL_ERR_NOT_FOUND, NULL);
		return;
	}
	atl_res_file(req, path, static_type(name), NULL, "no-store");
	if (req->status < 400)
		res_header_lines(req, policy(static_type(name)));
}

/* ---- both ---- */

/* A program that wants JSON gets a 404 rather than the page. */
static bool wants_page(const struct atl_req *req)
{
	const char *accept = atl_req_header(req, "Accept");

	return !accept || strstr(accept, "text/html") || strstr(accept, "*/*");
}

bool atl_static_serve(struct atl_static *self, struct atl_req *req)
{
	const char *name, *hash;
	size_t hash_length;
	enum static_kind kind = static_resolve(req->path, &name, &hash, &hash_length);
	const struct atl_web_asset *asset;

	if (kind == STATIC_NONE || (kind == STATIC_PAGE && !wants_page(req)))
		return false;
	if (self->web_dir) {
		((struct call *)req)->module = self;
		atl_req_to_pool(req, serve_from_dir);
		return true;
	}
	asset = kind == STATIC_PAGE ? self->index : find(self, name);
	if (!asset)
		return false;
	/* An older page may ask with its own hash: it gets today's file, but must not keep it under that name. */
	serve_asset(self, req, asset,
		    kind == STATIC_HASHED && strlen(self->assets->hash) == hash_length &&
			    memcmp(hash, self->assets->hash, hash_length) == 0);
	return true;
}
