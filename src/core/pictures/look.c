/* look.c - see look.h. */
#include "core/pictures/look.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/pictures/asset.h"
#include "core/safety/blocked_picture.h"

#define OFF(member) offsetof(struct atl_look, member)
#define LOOK_JSON_MAX ((size_t)64 << 10)

static const char *const POLICIES[] = { "free", "fixed", "conversation", NULL };
static const struct atl_json_field LORA_FIELDS[] = {
	{ "name", ATL_JT_STR, offsetof(struct atl_look_lora, name), ATL_JF_REQUIRED, 1, 200 },
	{ "weight", ATL_JT_NUM, offsetof(struct atl_look_lora, weight), ATL_JF_REQUIRED, -10, 10 },
};
static const struct atl_json_desc LORA_DESC = { "LookLora", "", LORA_FIELDS, ATL_COUNT(LORA_FIELDS),
	sizeof(struct atl_look_lora), ATL_JSON_NO_PRESENT, false };
static const struct atl_json_field FIELDS[] = {
	{ "prompt_prefix", ATL_JT_STR, OFF(prompt_prefix), ATL_JF_NULLABLE, 0, ATL_LOOK_TEXT_MAX, .doc = "stands before every prompt" },
	{ "negative_prompt", ATL_JT_STR, OFF(negative_prompt), ATL_JF_NULLABLE, 0, ATL_LOOK_TEXT_MAX },
	{ "model", ATL_JT_STR, OFF(model), ATL_JF_NULLABLE, 1, 300 },
	{ "loras", ATL_JT_LIST, OFF(loras), 0, 0, ATL_LOOK_LORAS_MAX, .sub = &LORA_DESC },
	{ "reference_assets", ATL_JT_STRS, OFF(reference_assets), 0, 0, ATL_LOOK_REFERENCES_MAX, .item_max = 40 },
	{ "seed", ATL_JT_INT, OFF(seed), 0, -1, 4294967295.0, .doc = "-1: free" },
	{ "seed_policy", ATL_JT_ENUM, OFF(seed_policy), 0, .values = POLICIES,
	  .doc = "free, fixed, or conversation: one seed for each conversation" },
};
const struct atl_json_desc atl_look_desc = { "Look", "What is added when a character is chosen for a picture.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_look), ATL_JSON_NO_PRESENT, false };

struct work {
	struct atl_arena *arena;
	const char *user_id, *id, *text;
};

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT look FROM characters WHERE id = ? AND user_id = ? AND deleted_at IS NULL", "ss", w->id,
				     w->user_id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail_field(info, ATL_ERR_NOT_FOUND, "character_id", "There is no such character.");
	w->text = atl_col_text(rows, 0, w->arena);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_look_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *character_id,
			  struct atl_look *ret, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = user_id, .id = character_id };
	struct atl_json *tree;
	struct atl_look look = { .seed = -1 };
	enum atl_err err = atl_db_read(app->db, get_fn, &w, info);

	if (err)
		return err;
	if (!atl_str_empty(w.text) && !atl_str_eq(w.text, "{}")) {
		err = atl_json_parse(arena, w.text, strlen(w.text), &tree, info);
		if (!err)
			err = atl_json_decode(arena, tree, &atl_look_desc, &look, info);
		if (err)
			return atl_fail_context(info, ATL_ERR_INTERNAL, "the look of %s", character_id);
		if (!atl_json_get(tree, "seed"))
			look.seed = -1;
	}
	look.prompt_prefix = look.prompt_prefix ? look.prompt_prefix : "";
	look.negative_prompt = look.negative_prompt ? look.negative_prompt : "";
	look.seed_policy = look.seed_policy ? look.seed_policy : "free";
	*ret = look;
	return ATL_OK;
}

static enum atl_err set_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE characters SET look = ?, version = version + 1, updated_at = ? WHERE id = ? AND "
					  "user_id = ? AND deleted_at IS NULL",
					  "siss", w->text, atl_now_ms(), w->id, w->user_id);

	return err ? err : changed ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such character.");
}

enum atl_err atl_look_set(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *character_id,
			  const struct atl_look *look, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = user_id, .id = character_id };
	struct atl_look whole = *look;
	struct atl_asset asset;
	struct atl_buf buf;
	struct atl_jw jw;
	enum atl_err err = ATL_OK;

	for (size_t i = 0; i < look->reference_assets.count && !err; i++) {
		err = atl_asset_get(app, arena, user_id, look->reference_assets.items[i], &asset, info);
		if (err == ATL_ERR_NOT_FOUND)
			err = atl_fail_field(info, ATL_ERR_NOT_FOUND, "reference_assets", "There is no picture %s.",
					     look->reference_assets.items[i]);
		if (!err)
			err = atl_blocked_check_asset(app, user_id, look->reference_assets.items[i], info);
	}
	if (err)
		return err;
	atl_buf_init(&buf, LOOK_JSON_MAX);
	atl_jw_init(&jw, &buf);
	whole.seed_policy = look->seed_policy ? look->seed_policy : "free";
	whole.prompt_prefix = look->prompt_prefix ? look->prompt_prefix : "";
	whole.negative_prompt = look->negative_prompt ? look->negative_prompt : "";
	atl_json_encode(&jw, NULL, &atl_look_desc, &whole);
	err = atl_buf_err(&buf, info);
	if (!err) {
		w.text = buf.data;
		err = atl_db_tx(app->db, set_fn, &w, info);
	}
	atl_buf_finish(&buf);
	return err;
}
