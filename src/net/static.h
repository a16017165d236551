/* static.h - the web interface: embedded assets (script/embed-assets) or a folder during development.
 *
 * Every asset is served at two addresses: /assets/<hash of the whole set>/<path>, which may be cached for ever, and
 * /<path>, which is revalidated. index.html (whose references the embedder rewrites to the first form, so relative
 * imports between modules stay within one version) answers every other address that looks like a page.
 *
 * Life cycle: atl_static_create() .. atl_static_destroy(), after the server. Threads: any (read-only).
 * Limits:     STATIC_PATH_MAX bytes of path below a folder.
 */
#ifndef ATL_NET_STATIC_H
#define ATL_NET_STATIC_H

#include "net/http.h"

struct atl_web_asset_bytes {
	const unsigned char *data; /* NULL: there is no such variant */
	size_t length;
};
struct atl_web_asset {
	const char *path; /* "js/main.js" */
	const char *type; /* with charset */
	const char *hash; /* of the content, hexadecimal */
	struct atl_web_asset_bytes plain, gzip, br;
};
/* What script/embed-assets generates; sorted by path. */
struct atl_assets {
	const char *hash; /* of the whole set */
	const struct atl_web_asset *items;
	size_t count;
};

/* The interface as built in, where the program links `web_assets` (src/net/meson.build). */
extern const struct atl_assets atl_web_assets;

struct atl_static;
/* `web_dir` not NULL: serve that folder, uncached, instead of `assets`. */
enum atl_err atl_static_create(const struct atl_assets *assets, const char *web_dir,
			       struct atl_static **ret) ATL_MUST_USE;
void atl_static_destroy(struct atl_static *self);
/* For atl_server_options.fallback, loop thread: answers GET and HEAD of assets and pages; false: not ours. */
bool atl_static_serve(struct atl_static *self, struct atl_req *req);

/* ---- pure, for tests and the fuzzer ---- */
enum static_kind { STATIC_NONE, STATIC_ASSET, STATIC_HASHED, STATIC_PAGE };
/* What a decoded path asks for; *ret_name is the asset's path within the set, *ret_hash the set's hash it names. */
enum static_kind static_resolve(const char *path, const char **ret_name, const char **ret_hash, size_t *ret_hash_length);
const char *static_type(const char *path); /* by the name's ending */

#endif
