/* persona.c - see persona.h. */
#include "core/chat/persona.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/people/erase.h"
#include "core/safety/policy.h"
#include "core/server/publish.h"

#define COLUMNS "id, user_id, name, description, is_default, version, created_at, updated_at"
#define OFF(member) offsetof(struct atl_persona, member)

static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED},
	{"name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED, .doc = "what {{user}} becomes"},
	{"description", ATL_JT_STR, OFF(description), ATL_JF_REQUIRED, .doc = "what characters know about you"},
	{"is_default", ATL_JT_BOOL, OFF(is_default), ATL_JF_REQUIRED},
	{"version", ATL_JT_INT, OFF(version), ATL_JF_REQUIRED},
	{"created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED},
	{"updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_persona_desc = {
	"Persona",	     "What a user tells characters about themselves.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_persona), ATL_JSON_NO_PRESENT,		     false};

struct work {
	struct atl_arena *arena;
	const char *user_id, *id;
	const struct atl_persona_change *change;
	int64_t now_ms;
	struct atl_persona out, *items;
	size_t count;
};

static void read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_persona *out)
{
	*out = (struct atl_persona){.id = atl_col_text(rows, 0, arena),
				    .user_id = atl_col_text(rows, 1, arena),
				    .name = atl_col_text(rows, 2, arena),
				    .description = atl_col_text(rows, 3, arena),
				    .is_default = atl_col_int(rows, 4) != 0,
				    .version = atl_col_int(rows, 5),
				    .created_at = atl_col_int(rows, 6),
				    .updated_at = atl_col_int(rows, 7)};
}

enum atl_err atl_persona_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
				struct atl_persona *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err =
		id ? atl_query(conn, &rows, info,
			       "SELECT " COLUMNS " FROM personas WHERE id = ? AND user_id = ? AND deleted_at IS NULL",
			       "ss", id, user_id)
		   : atl_query(conn, &rows, info,
			       "SELECT " COLUMNS
			       " FROM personas WHERE user_id = ? AND is_default = 1 AND deleted_at IS NULL",
			       "s", user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such persona.");
	read_row(rows, arena, ret);
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	return atl_persona_get_in(conn, w->arena, w->user_id, w->id, &w->out, info);
}

enum atl_err atl_persona_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			     struct atl_persona *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id, .id = id};
	enum atl_err err = atl_db_read(app->db, get_fn, &w, info);
	if (!err)
		*ret = w.out;
	return err;
}

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " COLUMNS " FROM personas WHERE user_id = ? AND deleted_at IS NULL "
				     "ORDER BY is_default DESC, name, id LIMIT ?",
				     "si", w->user_id, (int64_t)ATL_PERSONAS_MAX);
	if (err)
		return err;
	w->count = 0;
	while (atl_rows_next(rows, &err, info))
		read_row(rows, w->arena, &w->items[w->count++]);
	return err;
}

enum atl_err atl_persona_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			      struct atl_persona **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id};
	w.items = ATL_ARENA_ARRAY(arena, struct atl_persona, ATL_PERSONAS_MAX);
	if (!w.items)
		return atl_fail(info, ATL_ERR_NOMEM, "list");
	enum atl_err err = atl_db_read(app->db, list_fn, &w, info);
	if (err)
		return err;
	*ret = w.items;
	*ret_count = w.count;
	return ATL_OK;
}

static enum atl_err insert_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	const struct atl_persona_change *c = w->change;
	bool is_default = c->is_default && *c->is_default;
	enum atl_err err = ATL_OK;
	if (is_default)
		err = atl_exec(conn, info, "UPDATE personas SET is_default = 0 WHERE user_id = ? AND is_default = 1", "s",
			       w->user_id);
	if (!err)
		err = atl_exec(conn, info,
			       "INSERT INTO personas (id, user_id, name, description, is_default, version, created_at, "
			       "updated_at) SELECT ?, ?, ?, ?, ?, 1, ?, ? "
			       "WHERE (SELECT count(*) FROM personas WHERE user_id = ? AND deleted_at IS NULL) < ?",
			       "ssssiiisi", w->id, w->user_id, c->name, c->description ? c->description : "",
			       (int64_t)is_default, w->now_ms, w->now_ms, w->user_id, (int64_t)ATL_PERSONAS_MAX);
	if (err)
		return err;
	err = get_fn(conn, w, info);
	return err == ATL_ERR_NOT_FOUND ? atl_fail(info, ATL_ERR_CONFLICT, "There are %d personas already.", ATL_PERSONAS_MAX)
					: err;
}

static enum atl_err update_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	const struct atl_persona_change *c = w->change;
	int64_t changed = 0, is_default = c->is_default ? *c->is_default : 2;
	enum atl_err err = ATL_OK;
	if (is_default == 1)
		err = atl_exec(conn, info,
			       "UPDATE personas SET is_default = 0 WHERE user_id = ? AND is_default = 1 AND id <> ?", "ss",
			       w->user_id, w->id);
	if (!err)
		err = atl_exec_count(conn, &changed, info,
				     "UPDATE personas SET name = coalesce(?, name), description = coalesce(?, description), "
				     "is_default = CASE WHEN ? = 2 THEN is_default ELSE ? END, version = version + 1, "
				     "updated_at = ? WHERE id = ? AND user_id = ? AND deleted_at IS NULL "
				     "AND (? = 0 OR version = ?)",
				     "ssiiissii", c->name, c->description, is_default, is_default, w->now_ms, w->id,
				     w->user_id, c->wanted_version, c->wanted_version);
	if (!err)
		err = get_fn(conn, w, info);
	if (!err && !changed)
		return atl_fail(info, ATL_ERR_PRECONDITION, "It is at version %lld now.", (long long)w->out.version);
	return err;
}

enum atl_err atl_persona_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			      const char *id, const struct atl_persona_change *change, struct atl_persona *ret,
			      struct atl_errinfo *info)
{
	struct atl_policy_text texts[] = {ATL_POLICY_TEXT(change->name), ATL_POLICY_TEXT(change->description)};
	enum atl_err err = atl_policy_check(app, ATL_ENTRY_PERSONA, who, texts, ATL_COUNT(texts), info);
	if (err)
		return err;
	struct work w = {.arena = arena, .user_id = who->user_id, .id = id, .change = change, .now_ms = atl_now_ms()};
	if (!id) {
		char *fresh = atl_arena_alloc(arena, ATL_ID_SIZE);
		if (!fresh)
			return atl_fail(info, ATL_ERR_NOMEM, "persona");
		atl_id_new("per", fresh);
		w.id = fresh;
	}
	err = atl_db_tx(app->db, id ? update_fn : insert_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_publish_id(app, who->user_id, "persona.changed", w.id, NULL, NULL);
	return ATL_OK;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE personas SET deleted_at = ?, is_default = 0 "
					  "WHERE id = ? AND user_id = ? AND deleted_at IS NULL",
					  "iss", w->now_ms, w->id, w->user_id);
	if (err)
		return err;
	return changed ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such persona.");
}

enum atl_err atl_persona_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				struct atl_errinfo *info)
{
	struct work w = {.user_id = who->user_id, .id = id, .now_ms = atl_now_ms()};
	enum atl_err err = atl_db_tx(app->db, delete_fn, &w, info);
	if (!err)
		atl_publish_id(app, who->user_id, "persona.changed", id, NULL, NULL);
	if (!err)
		atl_erase_undone(app);
	return err;
}

static enum atl_err restore_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	enum atl_err err =
		atl_exec(conn, info, "UPDATE personas SET deleted_at = NULL WHERE id = ? AND user_id = ?", "ss", w->id,
			 w->user_id);
	return err ? err : get_fn(conn, w, info);
}

enum atl_err atl_persona_restore(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				 const char *id, struct atl_persona *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = who->user_id, .id = id};
	enum atl_err err = atl_db_tx(app->db, restore_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_publish_id(app, who->user_id, "persona.changed", id, NULL, NULL);
	return ATL_OK;
}
