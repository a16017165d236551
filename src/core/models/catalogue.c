/* catalogue.c - see catalogue.h. */
#include "core/models/catalogue.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

#define OFF(member) offsetof(struct atl_catalogue_item, member)
static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED},
	{"name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED},
	{"description", ATL_JT_STR, OFF(description), ATL_JF_REQUIRED},
	{"url", ATL_JT_STR, OFF(url), ATL_JF_REQUIRED},
	{"file", ATL_JT_STR, OFF(file), ATL_JF_REQUIRED},
	{"size_bytes", ATL_JT_INT, OFF(size_bytes), ATL_JF_REQUIRED},
	{"size_exact", ATL_JT_BOOL, OFF(size_exact), ATL_JF_REQUIRED, .doc = "false: size_bytes is about right"},
	{"sha256", ATL_JT_STR, OFF(sha256), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"licence", ATL_JT_STR, OFF(licence), ATL_JF_REQUIRED},
	{"licence_url", ATL_JT_STR, OFF(licence_url), ATL_JF_REQUIRED},
	{"needs_ram_bytes", ATL_JT_INT, OFF(needs_ram_bytes), ATL_JF_REQUIRED},
	{"installed", ATL_JT_BOOL, OFF(installed), 0, .doc = "the file is in the models folder"},
};
const struct atl_json_desc atl_catalogue_item_desc = {
	"CatalogueModel", "A model to recommend.", FIELDS, ATL_COUNT(FIELDS), sizeof(struct atl_catalogue_item),
	ATL_JSON_NO_PRESENT, false};
static const struct atl_json_field FILE_FIELDS[] = {
	{"items", ATL_JT_LIST, 0, ATL_JF_REQUIRED, .sub = &atl_catalogue_item_desc},
};
static const struct atl_json_desc FILE_DESC = {"Catalogue", "", FILE_FIELDS, 1, sizeof(struct atl_items),
					       ATL_JSON_NO_PRESENT, false};

enum atl_err atl_catalogue(struct atl_app *app, struct atl_arena *arena, struct atl_catalogue_item **ret,
			   size_t *ret_count, struct atl_errinfo *info)
{
	struct atl_json *tree;
	struct atl_items list;
	char path[4096];
	enum atl_err err = atl_json_parse(arena, atl_catalogue_json, strlen(atl_catalogue_json), &tree, info);
	if (!err)
		err = atl_json_decode(arena, tree, &FILE_DESC, &list, info);
	if (err)
		return atl_fail_context(info, ATL_ERR_INTERNAL, "catalogue");
	struct atl_catalogue_item *items = list.items;
	for (size_t i = 0; app && i < list.count; i++) {
		int length = snprintf(path, sizeof path, "%s/%s", app->models_dir, items[i].file);
		items[i].installed = length < (int)sizeof path && access(path, F_OK) == 0;
	}
	*ret = items;
	*ret_count = list.count;
	return ATL_OK;
}

enum atl_err atl_catalogue_get(struct atl_arena *arena, const char *id, struct atl_catalogue_item *ret,
			       struct atl_errinfo *info)
{
	struct atl_catalogue_item *items;
	size_t count;
	enum atl_err err = atl_catalogue(NULL, arena, &items, &count, info);
	for (size_t i = 0; !err && i < count; i++) {
		if (!atl_str_eq(items[i].id, id))
			continue;
		*ret = items[i];
		return ATL_OK;
	}
	return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such model in the catalogue.");
}
