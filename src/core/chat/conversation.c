/* conversation.c - see conversation.h. */
#include "core/chat/conversation.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/chat/card.h"
#include "core/chat/generation.h"
#include "core/chat/macros.h"
#include "core/chat/message.h"
#include "core/chat/persona.h"
#include "core/models/model.h"
#include "core/people/erase.h"
#include "core/safety/hold.h"
#include "core/server/publish.h"

#define COLUMNS                                                                                                     \
	"v.id, v.user_id, v.character_id, v.persona_id, v.folder_id, v.title, v.title_set, v.model, v.sampling, "    \
	"v.head_id, v.message_count, v.version, v.created_at, v.updated_at, v.active_at, v.pinned_at, v.archived_at"
#define OFF(member) offsetof(struct atl_conversation, member)
#define PIN_WEIGHT ((int64_t)1 << 50) /* milliseconds never reach this: pinned ones sort above all others */
#define GREETING_MAX ((size_t)1 << 20)

static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED},
	{"title", ATL_JT_STR, OFF(title), ATL_JF_REQUIRED},
	{"character", ATL_JT_OBJ, OFF(character), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .sub = &atl_character_summary_desc},
	{"persona_id", ATL_JT_STR, OFF(persona_id), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"folder_id", ATL_JT_STR, OFF(folder_id), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "null: the character's or the default"},
	{"effective_model", ATL_JT_STR, OFF(effective_model), ATL_JF_REQUIRED | ATL_JF_NULLABLE,
	 .doc = "the model that would answer now; null: none is ready"},
	{"sampling", ATL_JT_RAW, OFF(sampling_json), ATL_JF_REQUIRED, .doc = "see Sampling"},
	{"head_id", ATL_JT_STR, OFF(head_id), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "last message of the active path"},
	{"message_count", ATL_JT_INT, OFF(message_count), ATL_JF_REQUIRED},
	{"version", ATL_JT_INT, OFF(version), ATL_JF_REQUIRED, .doc = "also the ETag"},
	{"created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED},
	{"updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED},
	{"active_at", ATL_JT_TIME, OFF(active_at), ATL_JF_REQUIRED, .doc = "of the last message"},
	{"pinned_at", ATL_JT_TIME, OFF(pinned_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"archived_at", ATL_JT_TIME, OFF(archived_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
};
const struct atl_json_desc atl_conversation_desc = {
	"Conversation", "A conversation.", FIELDS, ATL_COUNT(FIELDS), sizeof(struct atl_conversation),
	ATL_JSON_NO_PRESENT, false};

struct work {
	struct atl_arena *arena;
	const char *user_id, *user_name, *id;
	const struct atl_conversation_change *change;
	const char *sampling_json;
	int64_t now_ms;
	struct atl_conversation out;
};

static enum atl_err not_found(struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such conversation.");
}

static void read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_conversation *out)
{
	*out = (struct atl_conversation){.id = atl_col_text(rows, 0, arena),
					 .user_id = atl_col_text(rows, 1, arena),
					 .character_id = atl_col_text(rows, 2, arena),
					 .persona_id = atl_col_text(rows, 3, arena),
					 .folder_id = atl_col_text(rows, 4, arena),
					 .title = atl_col_text(rows, 5, arena),
					 .title_set = atl_col_int(rows, 6) != 0,
					 .model = atl_col_text(rows, 7, arena),
					 .sampling_json = atl_col_text(rows, 8, arena),
					 .head_id = atl_col_text(rows, 9, arena),
					 .message_count = atl_col_int(rows, 10),
					 .version = atl_col_int(rows, 11),
					 .created_at = atl_col_int(rows, 12),
					 .updated_at = atl_col_int(rows, 13),
					 .active_at = atl_col_int(rows, 14),
					 .pinned_at = atl_col_int(rows, 15),
					 .archived_at = atl_col_int(rows, 16)};
}

/* A deleted character is shown as none; the conversation keeps its id. */
static enum atl_err attach_character(struct atl_conn *conn, struct atl_arena *arena, struct atl_conversation *c,
				     struct atl_errinfo *info)
{
	if (!c->character_id)
		return ATL_OK;
	struct atl_character *character = ATL_ARENA_NEW(arena, struct atl_character);
	if (!character)
		return atl_fail(info, ATL_ERR_NOMEM, "conversation");
	enum atl_err err = atl_character_get_in(conn, arena, c->user_id, c->character_id, character, info);
	if (!err)
		c->character = character;
	return err == ATL_ERR_NOT_FOUND ? ATL_OK : err;
}

enum atl_err atl_conversation_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id,
				     const char *id, struct atl_conversation *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " COLUMNS " FROM conversations v "
				     "WHERE v.id = ? AND v.user_id = ? AND v.deleted_at IS NULL",
				     "ss", id, user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : not_found(info);
	read_row(rows, arena, ret);
	atl_rows_close(rows);
	return attach_character(conn, arena, ret, info);
}

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	return atl_conversation_get_in(conn, w->arena, w->user_id, w->id, &w->out, info);
}

void atl_conversation_effective(struct atl_app *app, struct atl_arena *arena, struct atl_conversation *items, size_t count)
{
	const char *asked = NULL, *found = NULL;
	for (size_t i = 0; i < count; i++) {
		struct atl_conversation *c = &items[i];
		const char *wanted = c->model;
		if (!wanted && c->character)
			wanted = c->character->model;
		/* most of a list want the same one */
		if (i == 0 || !(wanted ? asked && strcmp(wanted, asked) == 0 : !asked))
			found = atl_models_effective(app, arena, c->user_id, wanted);
		asked = wanted;
		c->effective_model = found;
	}
}

enum atl_err atl_conversation_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				  struct atl_conversation *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id, .id = id};
	enum atl_err err = atl_db_read(app->db, get_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_conversation_effective(app, arena, ret, 1);
	return ATL_OK;
}

void atl_conversation_publish(struct atl_app *app, const char *event, const char *user_id, const char *id)
{
	struct atl_arena arena;
	struct atl_conversation conversation;
	atl_arena_init(&arena, 0);
	if (atl_conversation_get(app, &arena, user_id, id, &conversation, NULL) == ATL_OK)
		atl_publish(app, user_id, event, "conversation", &atl_conversation_desc, &conversation);
	atl_arena_finish(&arena);
}

enum atl_err atl_conversation_insert_in(struct atl_conn *conn, const struct atl_conversation *c,
					struct atl_errinfo *info)
{
	return atl_exec(conn, info,
			"INSERT INTO conversations (id, user_id, character_id, persona_id, folder_id, title, title_set, "
			"model, sampling, head_id, message_count, version, created_at, updated_at, active_at) "
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?)",
			"ssssssisssiiii", c->id, c->user_id, c->character_id, c->persona_id, c->folder_id, c->title,
			(int64_t)c->title_set, c->model, c->sampling_json ? c->sampling_json : "{}", c->head_id,
			c->message_count, c->created_at, c->updated_at, c->active_at);
}

/* Named things must be the user's own; the answer for others' is the same as for none. */
static enum atl_err check_own(struct atl_conn *conn, const char *sql, const char *user_id, const char *id,
			      const char *field, struct atl_errinfo *info)
{
	if (!id)
		return ATL_OK;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, sql, "ss", id, user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail_field(info, ATL_ERR_INVALID, field, "There is nothing with this id.");
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err check_links(struct atl_conn *conn, const struct work *w, struct atl_errinfo *info)
{
	const struct atl_conversation_change *c = w->change;
	enum atl_err err = check_own(
		conn, "SELECT 1 FROM characters WHERE id = ? AND user_id = ? AND deleted_at IS NULL", w->user_id,
		c->character_id.value, "character_id", info);
	if (!err)
		err = check_own(conn, "SELECT 1 FROM personas WHERE id = ? AND user_id = ? AND deleted_at IS NULL",
				w->user_id, c->persona_id.value, "persona_id", info);
	if (!err)
		err = check_own(conn, "SELECT 1 FROM folders WHERE id = ? AND user_id = ?", w->user_id,
				c->folder_id.value, "folder_id", info);
	return err;
}

static enum atl_err prepare_sampling(struct work *w, struct atl_errinfo *info)
{
	if (!w->change->sampling)
		return ATL_OK;
	struct atl_sampling sampling;
	enum atl_err err = atl_sampling_read(w->arena, w->change->sampling, &sampling, info);
	if (err)
		return err;
	w->sampling_json = atl_sampling_text(w->arena, &sampling);
	return w->sampling_json ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "sampling");
}

/* ---- greetings ---- */

static const char *user_name_in(struct atl_conn *conn, struct work *w)
{
	struct atl_persona persona;
	if (atl_persona_get_in(conn, w->arena, w->user_id, w->change->persona_id.value, &persona, NULL) == ATL_OK)
		return persona.name;
	return w->user_name;
}

static enum atl_err add_greeting(struct atl_conn *conn, struct work *w, const struct atl_macros *macros,
				 const char *text, const char **ret_id, struct atl_errinfo *info)
{
	struct atl_buf out;
	atl_buf_init(&out, GREETING_MAX);
	atl_macros_expand(macros, text, &out);
	char id[ATL_ID_SIZE];
	atl_id_new("msg", id);
	struct atl_message message = {.id = atl_arena_strdup(w->arena, id),
				      .conversation_id = w->id,
				      .user_id = w->user_id,
				      .role = "assistant",
				      .content = out.data,
				      .reasoning = "",
				      .status = "complete",
				      .created_at = w->now_ms,
				      .updated_at = w->now_ms};
	enum atl_err err = atl_buf_err(&out, info);
	if (!err && !message.id)
		err = atl_fail(info, ATL_ERR_NOMEM, "greeting");
	if (!err)
		err = atl_message_insert_row_in(conn, &message, info);
	atl_buf_finish(&out);
	if (!err && !*ret_id)
		*ret_id = message.id;
	return err;
}

static enum atl_err add_greetings(struct atl_conn *conn, struct work *w, struct atl_errinfo *info)
{
	struct atl_character character;
	struct atl_card card;
	enum atl_err err = atl_character_get_in(conn, w->arena, w->user_id, w->change->character_id.value, &character,
						info);
	if (!err)
		err = atl_card_parse(w->arena, character.card_json, &card, info);
	if (err || atl_str_empty(card.first_mes))
		return err;
	struct atl_macros macros = {.char_name = atl_str_empty(card.nickname) ? card.name : card.nickname,
				    .user_name = user_name_in(conn, w),
				    .seed = w->id,
				    .now_ms = w->now_ms};
	const char *first = NULL;
	int64_t count = 1;
	err = add_greeting(conn, w, &macros, card.first_mes, &first, info);
	for (size_t i = 0; i < card.alternate_greetings.count && !err; i++, count++)
		err = add_greeting(conn, w, &macros, card.alternate_greetings.items[i], &first, info);
	if (err)
		return err;
	return atl_exec(conn, info, "UPDATE conversations SET head_id = ?, message_count = ? WHERE id = ?", "sis", first,
			count, w->id);
}

static enum atl_err create_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	const struct atl_conversation_change *c = w->change;
	enum atl_err err = check_links(conn, w, info);
	if (err)
		return err;
	struct atl_conversation row = {.id = w->id,
				       .user_id = w->user_id,
				       .character_id = c->character_id.value,
				       .persona_id = c->persona_id.value,
				       .folder_id = c->folder_id.value,
				       .title = c->title ? c->title : "",
				       .title_set = !atl_str_empty(c->title),
				       .model = c->model.value,
				       .sampling_json = w->sampling_json,
				       .created_at = w->now_ms,
				       .updated_at = w->now_ms,
				       .active_at = w->now_ms};
	err = atl_conversation_insert_in(conn, &row, info);
	if (!err && row.character_id)
		err = add_greetings(conn, w, info);
	return err ? err : get_fn(conn, w, info);
}

enum atl_err atl_conversation_create(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const struct atl_conversation_change *change, struct atl_conversation *ret,
				     struct atl_errinfo *info)
{
	struct work w = {.arena = arena,
			 .user_id = who->user_id,
			 .user_name = who->user_name,
			 .change = change,
			 .now_ms = atl_now_ms()};
	char *id = atl_arena_alloc(arena, ATL_ID_SIZE);
	if (!id)
		return atl_fail(info, ATL_ERR_NOMEM, "conversation");
	atl_id_new("cnv", id);
	w.id = id;
	enum atl_err err = prepare_sampling(&w, info);
	if (!err)
		err = atl_db_tx(app->db, create_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_conversation_effective(app, arena, ret, 1);
	atl_publish(app, who->user_id, "conversation.created", "conversation", &atl_conversation_desc, ret);
	return ATL_OK;
}

/* 0: clear, 1: set, 2: leave */
static int64_t tri(const bool *value)
{
	return value ? *value : 2;
}

static enum atl_err update_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	const struct atl_conversation_change *c = w->change;
	int64_t changed = 0;
	enum atl_err err = check_links(conn, w, info);
	if (!err)
		err = atl_exec_count(
			conn, &changed, info,
			"UPDATE conversations SET title = coalesce(?, title), title_set = CASE WHEN ? = 1 THEN 1 ELSE title_set END, "
			"character_id = CASE WHEN ? = 1 THEN ? ELSE character_id END, "
			"persona_id = CASE WHEN ? = 1 THEN ? ELSE persona_id END, "
			"folder_id = CASE WHEN ? = 1 THEN ? ELSE folder_id END, "
			"model = CASE WHEN ? = 1 THEN ? ELSE model END, sampling = coalesce(?, sampling), "
			"pinned_at = CASE WHEN ? = 2 THEN pinned_at WHEN ? = 1 THEN coalesce(pinned_at, ?) ELSE NULL END, "
			"archived_at = CASE WHEN ? = 2 THEN archived_at WHEN ? = 1 THEN coalesce(archived_at, ?) ELSE NULL END, "
			"version = version + 1, updated_at = ? "
			"WHERE id = ? AND user_id = ? AND deleted_at IS NULL AND (? = 0 OR version = ?)",
			"siisisisissiiiiiiissii", c->title, (int64_t)(c->title != NULL), (int64_t)c->character_id.set,
			c->character_id.value, (int64_t)c->persona_id.set, c->persona_id.value, (int64_t)c->folder_id.set,
			c->folder_id.value, (int64_t)c->model.set, c->model.value, w->sampling_json, tri(c->pinned),
			tri(c->pinned), w->now_ms, tri(c->archived), tri(c->archived), w->now_ms, w->now_ms, w->id,
			w->user_id, c->wanted_version, c->wanted_version);
	if (!err)
		err = get_fn(conn, w, info);
	if (!err && !changed)
		return atl_fail(info, ATL_ERR_PRECONDITION, "It is at version %lld now.", (long long)w->out.version);
	return err;
}

enum atl_err atl_conversation_update(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char *id, const struct atl_conversation_change *change,
				     struct atl_conversation *ret, struct atl_errinfo *info)
{
	struct work w = {
		.arena = arena, .user_id = who->user_id, .id = id, .change = change, .now_ms = atl_now_ms()};
	enum atl_err err = prepare_sampling(&w, info);
	if (!err)
		err = atl_db_tx(app->db, update_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_conversation_effective(app, arena, ret, 1);
	atl_publish(app, who->user_id, "conversation.updated", "conversation", &atl_conversation_desc, ret);
	return ATL_OK;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE conversations SET deleted_at = ?, version = version + 1 "
					  "WHERE id = ? AND user_id = ? AND deleted_at IS NULL",
					  "iss", w->now_ms, w->id, w->user_id);
	return err ? err : changed ? ATL_OK : not_found(info);
}

enum atl_err atl_conversation_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				     struct atl_errinfo *info)
{
	struct work w = {.user_id = who->user_id, .id = id, .now_ms = atl_now_ms()};
	enum atl_err err = atl_db_tx(app->db, delete_fn, &w, info);
	if (!err) {
		atl_generation_stop_deleted(app, who->user_id, id);
		atl_publish_id(app, who->user_id, "conversation.deleted", id, NULL, NULL);
		atl_erase_undone(app);
	}
	return err;
}

static enum atl_err restore_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	enum atl_err err = atl_exec(conn, info,
				    "UPDATE conversations SET deleted_at = NULL, version = version + 1 "
				    "WHERE id = ? AND user_id = ? AND deleted_at IS NOT NULL AND held IN (0, 2)",
				    "ss", w->id, w->user_id);
	return err ? err : get_fn(conn, w, info);
}

enum atl_err atl_conversation_restore(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				      const char *id, struct atl_conversation *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = who->user_id, .id = id};
	enum atl_err err = atl_db_tx(app->db, restore_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_conversation_effective(app, arena, ret, 1);
	atl_publish(app, who->user_id, "conversation.created", "conversation", &atl_conversation_desc, ret);
	return ATL_OK;
}

/* ---- lists ---- */

int64_t atl_conversation_sort_key(const struct atl_conversation *conversation)
{
	return conversation->active_at + (conversation->pinned_at ? PIN_WEIGHT : 0);
}

struct listing {
	struct atl_arena *arena;
	const char *user_id;
	const struct atl_conversation_query *query;
	const char *pattern;
	struct atl_conversation *items;
	size_t count;
};

#define SORT_KEY "(v.active_at + CASE WHEN v.pinned_at IS NULL THEN 0 ELSE 1125899906842624 END)"

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct listing *l = arg;
	const struct atl_conversation_query *q = l->query;
	struct atl_rows *rows;
	enum atl_err err = atl_query(
		conn, &rows, info,
		"SELECT " COLUMNS " FROM conversations v WHERE v.user_id = ? AND v.deleted_at IS NULL "
		"AND (v.archived_at IS NOT NULL) = (? = 1) AND (? = 0 OR v.pinned_at IS NOT NULL) "
		"AND (CAST(? AS TEXT) IS NULL OR lower(v.title) LIKE lower(?) ESCAPE '!') "
		"AND (CAST(? AS TEXT) IS NULL OR v.character_id = ?) AND (CAST(? AS TEXT) IS NULL OR v.folder_id = ?) "
		"AND (? = 1 OR " SORT_KEY " < ? OR (" SORT_KEY " = ? AND v.id < ?)) "
		"ORDER BY " SORT_KEY " DESC, v.id DESC LIMIT ?",
		"siissssssiiisi", l->user_id, (int64_t)q->archived, (int64_t)q->pinned_only, l->pattern, l->pattern,
		q->character_id, q->character_id, q->folder_id, q->folder_id, (int64_t)(q->after_id == NULL),
		q->after_key, q->after_key, q->after_id ? q->after_id : "", q->limit + 1);
	if (err)
		return err;
	l->count = 0;
	while (l->count <= (size_t)q->limit && atl_rows_next(rows, &err, info))
		read_row(rows, l->arena, &l->items[l->count++]);
	if (l->count > (size_t)q->limit)
		atl_rows_close(rows);
	for (size_t i = 0; i < l->count && !err; i++)
		err = attach_character(conn, l->arena, &l->items[i], info);
	return err;
}

enum atl_err atl_conversation_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				   const struct atl_conversation_query *query, struct atl_conversation **ret,
				   size_t *ret_count, struct atl_errinfo *info)
{
	struct listing l = {.arena = arena, .user_id = user_id, .query = query};
	l.items = ATL_ARENA_ARRAY(arena, struct atl_conversation, (size_t)query->limit + 1);
	l.pattern = query->text ? atl_like_pattern(arena, "%", query->text, "%") : NULL;
	if (!l.items || (query->text && !l.pattern))
		return atl_fail(info, ATL_ERR_NOMEM, "list");
	enum atl_err err = atl_db_read(app->db, list_fn, &l, info);
	if (err)
		return err;
	atl_conversation_effective(app, arena, l.items, l.count);
	*ret = l.items;
	*ret_count = l.count;
	return ATL_OK;
}

/* ---- held by moderators ---- */

enum atl_err atl_conversation_hold_in(struct atl_conn *conn, const char *id, enum atl_hold state, int64_t now_ms,
			       int64_t *ret_count, struct atl_errinfo *info)
{
	if (atl_hold_hides(state))
		return atl_exec_count(conn, ret_count, info,
				      "UPDATE conversations SET held_deleted_at = CASE WHEN held IN (1, 3) THEN held_deleted_at ELSE "
				      "deleted_at END, deleted_at = ?, held = ?, version = version + 1 WHERE id = ?",
				      "iis", now_ms, (int64_t)state, id);
	return atl_exec_count(conn, ret_count, info,
			      "UPDATE conversations SET deleted_at = CASE WHEN held IN (1, 3) THEN held_deleted_at ELSE "
			      "deleted_at END, held_deleted_at = NULL, held = ?, version = version + 1 WHERE id = ?",
			      "is", (int64_t)state, id);
}
