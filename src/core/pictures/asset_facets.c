/* asset_facets.c - by what a library can be filtered, with counts. The trash does not count. */
#include "base/str.h"
#include "core/pictures/asset_int.h"

#define FACET_MAX 200 /* of each kind, the most used */

static const struct atl_json_field FACET_FIELDS[] = {
	{"name", ATL_JT_STR, offsetof(struct atl_asset_facet, name), ATL_JF_REQUIRED},
	{"id", ATL_JT_STR, offsetof(struct atl_asset_facet, id), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "of a character"},
	{"count", ATL_JT_INT, offsetof(struct atl_asset_facet, count), ATL_JF_REQUIRED},
};
static const struct atl_json_desc FACET_DESC = {"AssetFacet",
						NULL,
						FACET_FIELDS,
						ATL_COUNT(FACET_FIELDS),
						sizeof(struct atl_asset_facet),
						ATL_JSON_NO_PRESENT,
						false};
#define LIST(member, what)                                                                        \
	{                                                                                         \
		#member, ATL_JT_LIST, offsetof(struct atl_asset_facets, member), ATL_JF_REQUIRED, \
			.sub = &FACET_DESC, .doc = what                                           \
	}
static const struct atl_json_field FIELDS[] = {
	LIST(models, "for ?model="),
	LIST(tags, "for ?tag="),
	LIST(loras, "for ?lora="),
	LIST(characters, "for ?character_id="),
};
const struct atl_json_desc atl_asset_facets_desc = {"AssetFacets",
						    "What the library can be filtered by.",
						    FIELDS,
						    ATL_COUNT(FIELDS),
						    sizeof(struct atl_asset_facets),
						    ATL_JSON_NO_PRESENT,
						    false};

struct facets {
	struct atl_arena *arena;
	const char *user_id;
	struct atl_asset_facets out;
};

static enum atl_err read_all(struct atl_rows *rows, struct atl_arena *arena, struct atl_items *ret,
			     struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;
	struct atl_asset_facet *items = ATL_ARENA_ARRAY(arena, struct atl_asset_facet, FACET_MAX);
	if (!items)
		return atl_fail(info, ATL_ERR_NOMEM, "facets");
	*ret = (struct atl_items){.items = items};
	while (atl_rows_next(rows, &err, info))
		items[ret->count++] = (struct atl_asset_facet){.name = atl_col_text(rows, 0, arena),
							       .id = atl_col_text(rows, 1, arena),
							       .count = atl_col_int(rows, 2)};
	return err;
}

static enum atl_err read_tags(struct atl_conn *conn, struct facets *f, const char *kind, struct atl_items *ret,
			      struct atl_errinfo *info)
{
	struct atl_rows *rows;
	/* all of them less those of the trash, which is small: no look at each picture */
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT c.tag, NULL, c.n - coalesce(x.n, 0) AS used FROM "
				     "(SELECT tag, count(*) AS n FROM asset_tags WHERE user_id = ? AND kind = ? GROUP BY tag) c "
				     "LEFT JOIN (SELECT t.tag AS tag, count(*) AS n FROM assets a CROSS JOIN asset_tags t "
				     "WHERE t.asset_id = a.id AND t.kind = ? AND a.user_id = ? AND a.library = 1 "
				     "AND a.deleted_at IS NOT NULL GROUP BY t.tag) x ON x.tag = c.tag "
				     "WHERE c.n > coalesce(x.n, 0) ORDER BY used DESC, c.tag LIMIT ?",
				     "ssssi", f->user_id, kind, kind, f->user_id, (int64_t)FACET_MAX);
	return err ? err : read_all(rows, f->arena, ret, info);
}

static enum atl_err facets_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct facets *f = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT model, NULL, count(*) AS n FROM assets WHERE user_id = ? AND library = 1 "
				     "AND deleted_at IS NULL AND model IS NOT NULL GROUP BY model ORDER BY n DESC, model LIMIT ?",
				     "si", f->user_id, (int64_t)FACET_MAX);
	if (!err)
		err = read_all(rows, f->arena, &f->out.models, info);
	if (!err)
		err = atl_query(conn, &rows, info,
				"SELECT c.name, c.id, n FROM (SELECT character_id, count(*) AS n FROM assets WHERE user_id = ? "
				"AND library = 1 AND deleted_at IS NULL AND character_id IS NOT NULL GROUP BY character_id) a "
				"JOIN characters c ON c.id = a.character_id WHERE c.user_id = ? ORDER BY n DESC, c.id LIMIT ?",
				"ssi", f->user_id, f->user_id, (int64_t)FACET_MAX);
	if (!err)
		err = read_all(rows, f->arena, &f->out.characters, info);
	if (!err)
		err = read_tags(conn, f, "tag", &f->out.tags, info);
	return err ? err : read_tags(conn, f, "lora", &f->out.loras, info);
}

enum atl_err atl_asset_facets(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			      struct atl_asset_facets *ret, struct atl_errinfo *info)
{
	struct facets f = {.arena = arena, .user_id = user_id};
	enum atl_err err = atl_db_read(app->db, facets_fn, &f, info);
	if (!err)
		*ret = f.out;
	return err;
}
