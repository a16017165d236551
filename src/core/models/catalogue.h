/* catalogue.h - models to recommend: share/models/catalogue.json, built into the program.
 *
 * Threads:    blocking (looks which files are there): pool threads. Ownership: the given arena.
 * Adding one: an item in the JSON file; its licence must let everybody use it. tests/handler/test_transfers.c
 *             checks all items.
 */
#ifndef ATL_CORE_CATALOGUE_H
#define ATL_CORE_CATALOGUE_H

#include "base/json.h"
#include "core/app.h"

struct atl_catalogue_item {
	const char *id, *name, *description, *url, *file;
	int64_t size_bytes;
	bool size_exact;
	const char *sha256; /* NULL: not known */
	const char *licence, *licence_url;
	int64_t needs_ram_bytes;
	bool installed;
};
extern const struct atl_json_desc atl_catalogue_item_desc;
extern const char atl_catalogue_json[]; /* generated */

/* In the file's order; app NULL: `installed` stays false. */
enum atl_err atl_catalogue(struct atl_app *app, struct atl_arena *arena, struct atl_catalogue_item **ret,
			   size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* NOT_FOUND: no such item. */
enum atl_err atl_catalogue_get(struct atl_arena *arena, const char *id, struct atl_catalogue_item *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;

#endif
