/* starter.c - see starter.h. */
#include "core/chat/starter.h"

#include "base/log.h"
#include "base/str.h"
#include "core/chat/character.h"
#include "core/pictures/asset.h"

#define STARTERS_MAX 64 /* more would not be a beginning */

struct given {
	struct atl_arena *arena;
	const char *user_id;
	const char *slugs[STARTERS_MAX];
	size_t count;
};

/* Deleted ones count as given. */
static enum atl_err read_given(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct given *given = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT starter FROM characters WHERE user_id = ? AND starter IS NOT NULL LIMIT ?",
				     "si", given->user_id, (int64_t)STARTERS_MAX);
	if (err)
		return err;
	given->count = 0;
	while (given->count < STARTERS_MAX && atl_rows_next(rows, &err, info))
		given->slugs[given->count++] = atl_col_text(rows, 0, given->arena);
	if (!err && given->count == STARTERS_MAX)
		atl_rows_close(rows);
	return err;
}

static bool was_given(const struct given *given, const char *slug)
{
	for (size_t i = 0; i < given->count; i++)
		if (atl_str_eq(given->slugs[i], slug))
			return true;
	return false;
}

static enum atl_err give(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			 const struct atl_starter *starter, struct atl_errinfo *info)
{
	struct atl_json *card;
	struct atl_asset asset;
	struct atl_character made;
	struct atl_character_change change = {.starter = starter->slug};
	enum atl_err err = atl_json_parse(arena, (const char *)starter->card, starter->card_length, &card, info);
	if (err)
		return err;
	change.card = card;
	/* the command line has no decoder */
	if (app->pictures && app->blobs) {
		err = atl_asset_store_picture(app, arena, who->user_id, starter->picture, starter->picture_length,
					      "starter", &asset, info);
		if (err)
			atl_warn("starter", "%s stays without portrait: %s", starter->slug, info->detail);
		else
			change.avatar_id = asset.id;
	}
	err = atl_character_create(app, who, arena, &change, &made, info);
	return err == ATL_ERR_CONFLICT ? ATL_OK : err; /* a second sign-in at the same time gave it */
}

enum atl_err atl_starters_seed(struct atl_app *app, const struct atl_identity *who, struct atl_errinfo *info)
{
	struct atl_arena arena;
	atl_arena_init(&arena, 0);
	struct given given = {.arena = &arena, .user_id = who->user_id};
	enum atl_err err = atl_db_read(app->db, read_given, &given, info);
	for (size_t i = 0; i < atl_starter_count && !err; i++)
		if (!was_given(&given, atl_starters[i].slug))
			err = give(app, who, &arena, &atl_starters[i], info);
	atl_arena_finish(&arena);
	return err;
}
