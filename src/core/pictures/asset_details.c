/* asset_details.c - what is known of one asset beside its row: parameters, tags, boards, and where it came from. */
#include "base/str.h"
#include "core/pictures/asset_int.h"
#include "core/safety/provenance.h"
#include "media/metadata.h"

#define OFF(member) offsetof(struct atl_asset_details, member)
#define LINKS_MAX 200

static const struct atl_json_field BOARD_FIELDS[] = {
	{"id", ATL_JT_STR, offsetof(struct atl_asset_board, id), ATL_JF_REQUIRED},
	{"name", ATL_JT_STR, offsetof(struct atl_asset_board, name), ATL_JF_REQUIRED},
};
static const struct atl_json_desc BOARD_DESC = {"AssetBoard",
						NULL,
						BOARD_FIELDS,
						ATL_COUNT(BOARD_FIELDS),
						sizeof(struct atl_asset_board),
						ATL_JSON_NO_PRESENT,
						false};
static const struct atl_json_field FIELDS[] = {
	{"asset", ATL_JT_OBJ, OFF(asset), ATL_JF_REQUIRED, .sub = &atl_asset_desc},
	{"params", ATL_JT_RAW, OFF(params), ATL_JF_REQUIRED, .doc = "what made it, as it was asked"},
	{"parameters", ATL_JT_STR, OFF(parameters), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "the same as A1111's text"},
	{"tags", ATL_JT_STRS, OFF(tags), ATL_JF_REQUIRED},
	{"loras", ATL_JT_STRS, OFF(loras), ATL_JF_REQUIRED},
	{"boards", ATL_JT_LIST, OFF(boards), ATL_JF_REQUIRED, .sub = &BOARD_DESC},
};
const struct atl_json_desc atl_asset_details_desc = {"AssetDetails",
						     "An asset and everything known of it.",
						     FIELDS,
						     ATL_COUNT(FIELDS),
						     sizeof(struct atl_asset_details),
						     ATL_JSON_NO_PRESENT,
						     false};

struct details {
	struct atl_arena *arena;
	const char *user_id, *id;
	struct atl_asset asset;
	struct atl_asset_details out;
};

static enum atl_err read_tags(struct atl_conn *conn, struct details *d, const char *kind, struct atl_strs *ret,
			      struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err =
		atl_query(conn, &rows, info, "SELECT tag FROM asset_tags WHERE asset_id = ? AND kind = ? ORDER BY tag LIMIT ?",
			  "ssi", d->id, kind, (int64_t)LINKS_MAX);
	if (err)
		return err;
	const char **items = ATL_ARENA_ARRAY(d->arena, const char *, LINKS_MAX);
	*ret = (struct atl_strs){.items = items};
	while (items && atl_rows_next(rows, &err, info))
		items[ret->count++] = atl_col_text(rows, 0, d->arena);
	return items ? err : atl_fail(info, ATL_ERR_NOMEM, "tags");
}

static enum atl_err read_boards(struct atl_conn *conn, struct details *d, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT b.id, b.name FROM board_assets d JOIN boards b ON b.id = d.board_id "
				     "WHERE d.asset_id = ? ORDER BY b.id LIMIT ?",
				     "si", d->id, (int64_t)LINKS_MAX);
	if (err)
		return err;
	struct atl_asset_board *items = ATL_ARENA_ARRAY(d->arena, struct atl_asset_board, LINKS_MAX);
	d->out.boards = (struct atl_items){.items = items};
	while (items && atl_rows_next(rows, &err, info))
		items[d->out.boards.count++] = (struct atl_asset_board){.id = atl_col_text(rows, 0, d->arena),
									.name = atl_col_text(rows, 1, d->arena)};
	return items ? err : atl_fail(info, ATL_ERR_NOMEM, "boards");
}

static enum atl_err details_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct details *d = arg;
	struct atl_rows *rows;
	d->out = (struct atl_asset_details){.asset = &d->asset};
	enum atl_err err = atl_asset_get_in(conn, d->arena, d->user_id, d->id, &d->asset, info);
	if (!err)
		err = atl_query(conn, &rows, info, "SELECT params FROM assets WHERE id = ?", "s", d->id);
	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		d->out.params = atl_col_text(rows, 0, d->arena);
		atl_rows_close(rows);
	}
	if (!err)
		err = read_tags(conn, d, "tag", &d->out.tags, info);
	if (!err)
		err = read_tags(conn, d, "lora", &d->out.loras, info);
	return err ? err : read_boards(conn, d, info);
}

static int64_t whole(const struct atl_json *params, const char *name)
{
	int64_t value;
	return atl_json_integer(atl_json_get(params, name), &value) ? value : INT64_MIN;
}

static double number(const struct atl_json *params, const char *name)
{
	const struct atl_json *node = atl_json_get(params, name);
	return node && node->kind == ATL_JSON_NUMBER ? node->number : __builtin_nan("");
}

bool atl_asset_recall(struct atl_arena *arena, const char *params_json, struct atl_recall *ret)
{
	struct atl_json *params;
	if (!params_json || atl_json_parse(arena, params_json, strlen(params_json), &params, NULL) || !params->count)
		return false;
	atl_recall_init(ret);
	ret->source = "atelier";
	ret->prompt = atl_json_str(params, "prompt", NULL);
	ret->negative_prompt = atl_json_str(params, "negative_prompt", NULL);
	ret->model = atl_json_str(params, "model", NULL);
	ret->sampler = atl_json_str(params, "sampler", NULL);
	ret->scheduler = atl_json_str(params, "scheduler", NULL);
	ret->steps = whole(params, "steps");
	ret->seed = whole(params, "seed");
	ret->width = whole(params, "width");
	ret->height = whole(params, "height");
	ret->clip_skip = whole(params, "clip_skip");
	ret->subseed = whole(params, "subseed");
	ret->cfg_scale = number(params, "cfg_scale");
	ret->guidance = number(params, "guidance");
	ret->strength = number(params, "strength");
	ret->subseed_strength = number(params, "subseed_strength");
	for (const struct atl_json *l = params->kind == ATL_JSON_OBJECT && atl_json_get(params, "loras")
						? atl_json_get(params, "loras")->child
						: NULL;
	     l; l = l->next)
		if (atl_json_str(l, "name", NULL))
			atl_recall_add_lora(arena, ret, atl_json_str(l, "name", NULL), atl_json_num(l, "weight", 1));
	ret->atelier = params_json;
	return ret->prompt != NULL;
}

enum atl_err atl_asset_details(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       struct atl_asset_details *ret, struct atl_errinfo *info)
{
	struct details *d = ATL_ARENA_NEW(arena, struct details);
	if (!d)
		return atl_fail(info, ATL_ERR_NOMEM, "details");
	*d = (struct details){.arena = arena, .user_id = user_id, .id = id};
	enum atl_err err = atl_db_read(app->db, details_fn, d, info);
	if (err)
		return err;
	struct atl_recall recall;
	if (atl_asset_recall(arena, d->out.params, &recall))
		d->out.parameters = atl_metadata_parameters(arena, &recall);
	*ret = d->out;
	return ATL_OK;
}

enum atl_err atl_asset_strip(struct atl_app *app, struct atl_arena *arena, const struct atl_asset *asset,
			     struct atl_buf *out, struct atl_errinfo *info)
{
	/* made from a supplied picture, unless it came from words alone */
	struct atl_metadata_out nothing = {.composite = asset->task && !atl_str_starts(asset->task, "txt2")};
	const void *data;
	size_t length;
	enum atl_err err = atl_asset_read(app, arena, asset, &data, &length, info);
	struct atl_buf bare;
	atl_buf_init(&bare, out->max);
	if (!err)
		err = atl_metadata_write(data, length, &nothing, &bare, info);
	/* signed anew, without what the picture was made from; unsigned where signing is not to be had */
	const struct atl_provenance_made made = {.composite = nothing.composite, .edited = nothing.composite};
	if (!err && !atl_provenance_sign(app, bare.data, bare.length, &made, out)) {
		atl_buf_add(out, bare.data, bare.length);
		err = atl_buf_err(out, info);
	}
	atl_buf_finish(&bare);
	return err;
}
