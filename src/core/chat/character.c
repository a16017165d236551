/* character.c - see character.h. */
#include "core/chat/character.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/app.h"
#include "core/chat/card.h"
#include "core/people/erase.h"
#include "core/pictures/asset.h"
#include "core/safety/hold.h"
#include "core/safety/policy.h"
#include "core/server/publish.h"

#define COLUMNS                                                                                                       \
	"c.id, c.user_id, c.name, c.summary, c.card, c.tags, c.model, c.sampling, c.starter, c.version, c.created_at, " \
	"c.updated_at, c.archived_at, a.id, a.width, a.height"
#define FROM " FROM characters c LEFT JOIN assets a ON a.id = c.avatar_id "

#define OFF(member) offsetof(struct atl_character, member)

static const struct atl_json_field AVATAR_FIELDS[] = {
	{"id", ATL_JT_STR, offsetof(struct atl_avatar, id), ATL_JF_REQUIRED, .doc = "asset id"},
	{"url", ATL_JT_STR, offsetof(struct atl_avatar, url), ATL_JF_REQUIRED, .doc = "?width=64|128|256|512 for a thumbnail"},
	{"width", ATL_JT_INT, offsetof(struct atl_avatar, width), ATL_JF_REQUIRED},
	{"height", ATL_JT_INT, offsetof(struct atl_avatar, height), ATL_JF_REQUIRED},
};
static const struct atl_json_desc AVATAR_DESC = {"Avatar",
						 "A picture.",
						 AVATAR_FIELDS,
						 ATL_COUNT(AVATAR_FIELDS),
						 sizeof(struct atl_avatar),
						 ATL_JSON_NO_PRESENT,
						 false};

/* The two fields that summaries lack stand last. */
static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED},
	{"name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED},
	{"summary", ATL_JT_STR, OFF(summary), ATL_JF_REQUIRED, .doc = "one line for lists"},
	{"tags", ATL_JT_STRS, OFF(tags), ATL_JF_REQUIRED},
	{"model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "null: the default model"},
	{"avatar", ATL_JT_OBJ, OFF(avatar), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .sub = &AVATAR_DESC},
	{"starter", ATL_JT_STR, OFF(starter), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "came with the program"},
	{"version", ATL_JT_INT, OFF(version), ATL_JF_REQUIRED, .doc = "also the ETag"},
	{"created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED},
	{"updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED},
	{"archived_at", ATL_JT_TIME, OFF(archived_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"card", ATL_JT_RAW, OFF(card_json), ATL_JF_REQUIRED, .doc = "the character card's data object, V2 or V3"},
	{"sampling", ATL_JT_RAW, OFF(sampling_json), ATL_JF_REQUIRED, .doc = "see Sampling"},
};

const struct atl_json_desc atl_character_desc = {
	"Character", "A character.", FIELDS, ATL_COUNT(FIELDS), sizeof(struct atl_character), ATL_JSON_NO_PRESENT, false};
const struct atl_json_desc atl_character_summary_desc = {"CharacterSummary",
							 "A character without its card.",
							 FIELDS,
							 ATL_COUNT(FIELDS) - 2,
							 sizeof(struct atl_character),
							 ATL_JSON_NO_PRESENT,
							 false};

static enum atl_err not_found(struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such character.");
}

static enum atl_err read_tags(struct atl_arena *arena, const char *json, struct atl_strs *ret)
{
	struct atl_json *tree;
	if (!json || atl_json_parse(arena, json, strlen(json), &tree, NULL) != ATL_OK || tree->kind != ATL_JSON_ARRAY)
		return ATL_OK; /* no tags */
	ret->items = ATL_ARENA_ARRAY(arena, const char *, tree->count + 1);
	if (!ret->items)
		return ATL_ERR_NOMEM;
	for (const struct atl_json *c = tree->child; c; c = c->next)
		if (c->kind == ATL_JSON_STRING)
			ret->items[ret->count++] = c->string;
	return ATL_OK;
}

static enum atl_err read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_character *out)
{
	*out = (struct atl_character){.id = atl_col_text(rows, 0, arena),
				      .user_id = atl_col_text(rows, 1, arena),
				      .name = atl_col_text(rows, 2, arena),
				      .summary = atl_col_text(rows, 3, arena),
				      .card_json = atl_col_text(rows, 4, arena),
				      .model = atl_col_text(rows, 6, arena),
				      .sampling_json = atl_col_text(rows, 7, arena),
				      .starter = atl_col_text(rows, 8, arena),
				      .version = atl_col_int(rows, 9),
				      .created_at = atl_col_int(rows, 10),
				      .updated_at = atl_col_int(rows, 11),
				      .archived_at = atl_col_int(rows, 12)};
	if (!atl_col_null(rows, 13)) {
		struct atl_avatar *avatar = ATL_ARENA_NEW(arena, struct atl_avatar);
		if (!avatar)
			return ATL_ERR_NOMEM;
		avatar->id = atl_col_text(rows, 13, arena);
		avatar->url = atl_arena_printf(arena, "/api/v1/assets/%s/file", avatar->id);
		avatar->width = atl_col_int(rows, 14);
		avatar->height = atl_col_int(rows, 15);
		out->avatar = avatar;
	}
	return read_tags(arena, atl_col_text(rows, 5, arena), &out->tags);
}

enum atl_err atl_character_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
				  struct atl_character *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err =
		atl_query(conn, &rows, info,
			  "SELECT " COLUMNS FROM "WHERE c.id = ? AND c.user_id = ? AND c.deleted_at IS NULL", "ss", id,
			  user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : not_found(info);
	err = read_row(rows, arena, ret);
	atl_rows_close(rows);
	return err ? atl_fail(info, err, "character") : ATL_OK;
}

/* The argument of every transaction here. */
struct work {
	struct atl_arena *arena;
	const char *user_id, *id;
	const struct atl_character_change *change;
	const char *card_json, *name, *summary, *tags_json, *sampling_json, *avatar_id;
	int64_t now_ms;
	struct atl_character out;
};

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	return atl_character_get_in(conn, w->arena, w->user_id, w->id, &w->out, info);
}

enum atl_err atl_character_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       struct atl_character *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id, .id = id};
	enum atl_err err = atl_db_read(app->db, get_fn, &w, info);
	if (!err)
		*ret = w.out;
	return err;
}

static const char *tags_text(struct atl_arena *arena, const struct atl_strs *tags)
{
	struct atl_buf out;
	struct atl_jw w;
	atl_buf_init(&out, ATL_CARD_BYTES_MAX);
	atl_jw_init(&w, &out);
	atl_jw_array(&w, NULL);
	for (size_t i = 0; i < tags->count; i++)
		atl_jw_str(&w, NULL, tags->items[i]);
	atl_jw_end_array(&w);
	const char *text = out.failed ? NULL : atl_arena_strndup(arena, out.data, out.length);
	atl_buf_finish(&out);
	return text;
}

/* Merge, check, and derive what the row mirrors from the card. */
static enum atl_err prepare_card(struct atl_app *app, const struct atl_identity *who, struct work *w,
				 const char *base_json, struct atl_errinfo *info)
{
	enum atl_err err = atl_card_merge(w->arena, base_json, w->change->card, &w->card_json, info);
	if (err)
		return err;
	err = atl_policy_check_text(app, ATL_ENTRY_CHARACTER, who, w->card_json, info);
	if (err)
		return err;
	struct atl_card card;
	struct atl_strs tags;
	err = atl_card_parse(w->arena, w->card_json, &card, info);
	if (!err)
		err = atl_card_tags(w->arena, w->card_json, &tags, info);
	if (err)
		return err;
	w->name = card.name;
	w->summary = atl_card_summary(w->arena, &card);
	w->tags_json = tags_text(w->arena, &tags);
	return w->summary && w->tags_json ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "card");
}

static enum atl_err prepare_sampling(struct work *w, struct atl_errinfo *info)
{
	struct atl_sampling sampling;
	enum atl_err err = atl_sampling_read(w->arena, w->change->sampling, &sampling, info);
	if (err)
		return err;
	w->sampling_json = atl_sampling_text(w->arena, &sampling);
	return w->sampling_json ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "sampling");
}

static enum atl_err insert_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err =
		atl_query(conn, &rows, info,
			  "SELECT count(*) FROM characters WHERE user_id = ? AND deleted_at IS NULL", "s", w->user_id);
	if (err)
		return err;
	int64_t count = atl_rows_next(rows, &err, info) ? atl_col_int(rows, 0) : 0;
	if (err)
		return err;
	atl_rows_close(rows);
	if (count >= ATL_CHARACTERS_MAX)
		return atl_fail(info, ATL_ERR_CONFLICT, "There are %d characters already. Delete some first.",
				ATL_CHARACTERS_MAX);
	err = atl_exec(conn, info,
		       "INSERT INTO characters (id, user_id, starter, name, summary, card, tags, model, sampling, "
		       "avatar_id, version, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
		       "ssssssssssii", w->id, w->user_id, w->change->starter, w->name, w->summary, w->card_json,
		       w->tags_json, w->change->model, w->sampling_json, w->avatar_id, w->now_ms, w->now_ms);
	if (err && atl_conn_unique_violation(conn))
		return atl_fail(info, ATL_ERR_CONFLICT, "This starter character is there already.");
	return err ? err : get_fn(conn, w, info);
}

static enum atl_err insert(struct atl_app *app, struct work *w, struct atl_character *ret, struct atl_errinfo *info)
{
	char *id = atl_arena_alloc(w->arena, ATL_ID_SIZE);
	if (!id)
		return atl_fail(info, ATL_ERR_NOMEM, "character");
	atl_id_new("chr", id);
	w->id = id;
	w->now_ms = atl_now_ms();
	enum atl_err err = atl_db_tx(app->db, insert_fn, w, info);
	if (err)
		return err;
	*ret = w->out;
	atl_publish(app, w->user_id, "character.created", "character", &atl_character_summary_desc, ret);
	return ATL_OK;
}

enum atl_err atl_character_create(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				  const struct atl_character_change *change, struct atl_character *ret,
				  struct atl_errinfo *info)
{
	struct work w = {
		.arena = arena, .user_id = who->user_id, .change = change, .avatar_id = change->avatar_id};
	enum atl_err err = prepare_card(app, who, &w, NULL, info);
	if (!err)
		err = prepare_sampling(&w, info);
	return err ? err : insert(app, &w, ret, info);
}

enum atl_err atl_character_duplicate(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char *id, struct atl_character *ret, struct atl_errinfo *info)
{
	struct atl_character source;
	enum atl_err err = atl_character_get(app, arena, who->user_id, id, &source, info);
	if (err)
		return err;
	struct atl_character_change change = {.model = source.model};
	struct atl_buf out;
	struct atl_jw jw;
	atl_buf_init(&out, 8192);
	atl_jw_init(&jw, &out);
	atl_jw_object(&jw, NULL);
	atl_jw_str(&jw, "name", atl_arena_printf(arena, "%.180s (copy)", source.name));
	atl_jw_end_object(&jw);
	struct atl_json *patch;
	err = atl_json_parse(arena, out.data, out.length, &patch, info);
	atl_buf_finish(&out);
	if (err)
		return err;
	change.card = patch;
	struct work w = {.arena = arena,
			 .user_id = who->user_id,
			 .change = &change,
			 .sampling_json = source.sampling_json,
			 .avatar_id = source.avatar ? source.avatar->id : NULL};
	err = prepare_card(app, who, &w, source.card_json, info);
	return err ? err : insert(app, &w, ret, info);
}

static enum atl_err update_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	const struct atl_character_change *change = w->change;
	int64_t changed = 0;
	int64_t archived = change->archived ? (*change->archived ? 1 : 0) : 2;
	enum atl_err err = atl_exec_count(
		conn, &changed, info,
		"UPDATE characters SET card = coalesce(?, card), name = coalesce(?, name), "
		"summary = coalesce(?, summary), tags = coalesce(?, tags), sampling = coalesce(?, sampling), "
		"model = CASE WHEN ? = 1 THEN ? ELSE model END, "
		"archived_at = CASE WHEN ? = 2 THEN archived_at WHEN ? = 1 THEN coalesce(archived_at, ?) ELSE NULL END, "
		"version = version + 1, updated_at = ? "
		"WHERE id = ? AND user_id = ? AND deleted_at IS NULL AND (? = 0 OR version = ?)",
		"sssssisiiiissii", w->card_json, w->name, w->summary, w->tags_json, w->sampling_json,
		(int64_t)change->set_model, change->model, archived, archived, w->now_ms, w->now_ms, w->id, w->user_id,
		change->wanted_version, change->wanted_version);
	if (err)
		return err;
	err = get_fn(conn, w, info);
	if (!err && changed == 0)
		return atl_fail(info, ATL_ERR_PRECONDITION, "It is at version %lld now.", (long long)w->out.version);
	return err;
}

enum atl_err atl_character_update(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				  const char *id, const struct atl_character_change *change, struct atl_character *ret,
				  struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = who->user_id, .id = id, .change = change};
	struct atl_character_change guarded = *change;
	enum atl_err err = ATL_OK;
	if (change->card) {
		/* the merge is made outside the transaction: what it was made from must still be there */
		struct atl_character before;
		err = atl_character_get(app, arena, who->user_id, id, &before, info);
		if (!err)
			err = prepare_card(app, who, &w, before.card_json, info);
		if (!err && !guarded.wanted_version)
			guarded.wanted_version = before.version;
		w.change = &guarded;
	}
	if (!err && change->sampling)
		err = prepare_sampling(&w, info);
	if (err)
		return err;
	w.now_ms = atl_now_ms();
	err = atl_db_tx(app->db, update_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_publish(app, who->user_id, "character.updated", "character", &atl_character_summary_desc, ret);
	return ATL_OK;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE characters SET deleted_at = ?, version = version + 1 "
					  "WHERE id = ? AND user_id = ? AND deleted_at IS NULL",
					  "iss", w->now_ms, w->id, w->user_id);
	return err ? err : changed ? ATL_OK : not_found(info);
}

enum atl_err atl_character_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				  struct atl_errinfo *info)
{
	struct work w = {.user_id = who->user_id, .id = id, .now_ms = atl_now_ms()};
	enum atl_err err = atl_db_tx(app->db, delete_fn, &w, info);
	if (!err)
		atl_publish_id(app, who->user_id, "character.deleted", id, NULL, NULL);
	if (!err)
		atl_erase_undone(app);
	return err;
}

static enum atl_err restore_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	enum atl_err err = atl_exec(conn, info,
				    "UPDATE characters SET deleted_at = NULL, version = version + 1 "
				    "WHERE id = ? AND user_id = ? AND deleted_at IS NOT NULL AND held IN (0, 2)",
				    "ss", w->id, w->user_id);
	return err ? err : get_fn(conn, w, info);
}

enum atl_err atl_character_restore(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				   const char *id, struct atl_character *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = who->user_id, .id = id};
	enum atl_err err = atl_db_tx(app->db, restore_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_publish(app, who->user_id, "character.created", "character", &atl_character_summary_desc, ret);
	return ATL_OK;
}

static enum atl_err avatar_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE characters SET avatar_id = ?, version = version + 1, updated_at = ? "
					  "WHERE id = ? AND user_id = ? AND deleted_at IS NULL",
					  "siss", w->avatar_id, w->now_ms, w->id, w->user_id);
	if (err)
		return err;
	return changed ? get_fn(conn, w, info) : not_found(info);
}

enum atl_err atl_character_set_avatar(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				      const char *id, const void *data, size_t length, struct atl_character *ret,
				      struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = who->user_id, .id = id};
	enum atl_err err = atl_character_get(app, arena, who->user_id, id, ret, info);
	if (err)
		return err;
	if (data) {
		struct atl_asset asset;
		err = atl_asset_store_picture(app, arena, who->user_id, data, length, "upload", &asset, info);
		if (err)
			return err;
		w.avatar_id = asset.id;
	}
	w.now_ms = atl_now_ms();
	err = atl_db_tx(app->db, avatar_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_publish(app, who->user_id, "character.updated", "character", &atl_character_summary_desc, ret);
	return ATL_OK;
}

struct listing {
	struct atl_arena *arena;
	const char *user_id;
	const struct atl_character_query *query;
	const char *name_pattern, *tag_pattern;
	struct atl_character *items;
	size_t count;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct listing *l = arg;
	const struct atl_character_query *q = l->query;
	struct atl_rows *rows;
	int64_t from_start = q->after_id == NULL;
	enum atl_err err = atl_query(
		conn, &rows, info,
		"SELECT " COLUMNS FROM "WHERE c.user_id = ? AND c.deleted_at IS NULL "
		"AND (c.archived_at IS NOT NULL) = (? = 1) "
		"AND (CAST(? AS TEXT) IS NULL OR lower(c.name) LIKE lower(?) ESCAPE '!') "
		"AND (CAST(? AS TEXT) IS NULL OR lower(c.tags) LIKE lower(?) ESCAPE '!') "
		"AND (? = 1 OR c.updated_at < ? OR (c.updated_at = ? AND c.id < ?)) "
		"ORDER BY c.updated_at DESC, c.id DESC LIMIT ?",
		"sissssiiisi", l->user_id, (int64_t)q->archived, l->name_pattern, l->name_pattern, l->tag_pattern,
		l->tag_pattern, from_start, q->after_key, q->after_key, q->after_id ? q->after_id : "", q->limit + 1);
	if (err)
		return err;
	l->count = 0;
	while (l->count <= (size_t)q->limit && atl_rows_next(rows, &err, info)) {
		err = read_row(rows, l->arena, &l->items[l->count++]);
		if (err)
			break;
	}
	if (err || l->count > (size_t)q->limit)
		atl_rows_close(rows);
	return err;
}

enum atl_err atl_character_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				const struct atl_character_query *query, struct atl_character **ret, size_t *ret_count,
				struct atl_errinfo *info)
{
	struct listing l = {.arena = arena, .user_id = user_id, .query = query};
	l.items = ATL_ARENA_ARRAY(arena, struct atl_character, (size_t)query->limit + 1);
	l.name_pattern = query->text ? atl_like_pattern(arena, "%", query->text, "%") : NULL;
	l.tag_pattern = query->tag ? atl_like_pattern(arena, "%\"", query->tag, "\"%") : NULL;
	if (!l.items || (query->text && !l.name_pattern) || (query->tag && !l.tag_pattern))
		return atl_fail(info, ATL_ERR_NOMEM, "list");
	enum atl_err err = atl_db_read(app->db, list_fn, &l, info);
	if (err)
		return err;
	*ret = l.items;
	*ret_count = l.count;
	return ATL_OK;
}

/* ---- held by moderators ---- */

enum atl_err atl_character_hold_in(struct atl_conn *conn, const char *id, enum atl_hold state, int64_t now_ms,
			          int64_t *ret_count, struct atl_errinfo *info)
{
	if (atl_hold_hides(state))
		return atl_exec_count(conn, ret_count, info,
				      "UPDATE characters SET held_deleted_at = CASE WHEN held IN (1, 3) THEN held_deleted_at ELSE "
				      "deleted_at END, deleted_at = ?, held = ?, version = version + 1 WHERE id = ?",
				      "iis", now_ms, (int64_t)state, id);
	return atl_exec_count(conn, ret_count, info,
			      "UPDATE characters SET deleted_at = CASE WHEN held IN (1, 3) THEN held_deleted_at ELSE "
			      "deleted_at END, held_deleted_at = NULL, held = ?, version = version + 1 WHERE id = ?",
			      "is", (int64_t)state, id);
}
