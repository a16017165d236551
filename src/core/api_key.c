/* api_key.c - SQL of API keys. Scopes are stored as words separated by spaces. */
#include "core/api_key.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/audit.h"
#include "core/auth.h"
#include "core/events.h"
#include "core/rights.h"
#include "core/role.h"
#include "db/db.h"

#define SCOPES_TEXT_MAX 128
#define PREFIX_LENGTH 10 /* "atl_" and six characters: enough to tell keys apart, far from enough to guess */

/* Scopes are stored as words separated by spaces. */
static enum atl_err join_scopes(const struct atl_strs *scopes, char out[SCOPES_TEXT_MAX], struct atl_errinfo *info)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; atl_scope_names[i]; i++) { /* in the table's order, each once */
		bool wanted = false;

		for (size_t j = 0; j < scopes->count; j++)
			wanted |= atl_str_eq(scopes->items[j], atl_scope_names[i]);
		if (!wanted)
			continue;
		used += (size_t)snprintf(out + used, SCOPES_TEXT_MAX - used, "%s%s", used ? " " : "", atl_scope_names[i]);
	}
	for (size_t j = 0; j < scopes->count; j++) {
		uint32_t mask;

		if (!atl_scope_permissions(scopes->items[j], &mask))
			return atl_fail_field(info, ATL_ERR_INVALID, "scopes",
					      "There is no such scope: chat, characters, models and admin are known.");
	}
	if (used == 0)
		return atl_fail_field(info, ATL_ERR_INVALID, "scopes", "Name at least one scope.");
	return ATL_OK;
}

static enum atl_err split_scopes(const char *text, struct atl_arena *arena, struct atl_strs *ret)
{
	ret->count = 0;
	ret->items = ATL_ARENA_ARRAY(arena, const char *, SCOPES_TEXT_MAX / 2);
	if (!ret->items || !text)
		return ATL_ERR_NOMEM;
	while (*text && ret->count < SCOPES_TEXT_MAX / 2) {
		size_t length = strcspn(text, " ");

		ret->items[ret->count] = atl_arena_strndup(arena, text, length);
		if (!ret->items[ret->count])
			return ATL_ERR_NOMEM;
		ret->count++;
		text += length;
		text += strspn(text, " ");
	}
	return ATL_OK;
}

struct create {
	const char *user_id, *name, *scopes;
	char id[ATL_ID_SIZE], key[ATL_API_KEY_SIZE], hash[ATL_SHA256_SIZE * 2 + 1], prefix[PREFIX_LENGTH + 1];
	int64_t now, expires_at;
};

static enum atl_err create_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct create *create = arg;
	struct atl_rows *rows;
	int64_t count = 0;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT count(*) FROM api_keys WHERE user_id = ? AND revoked_at IS NULL", "s",
				     create->user_id);

	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		count = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	if (err)
		return err;
	if (count >= ATL_API_KEYS_MAX)
		return atl_fail(info, ATL_ERR_CONFLICT, "There are %d keys already. Revoke one that is not used.",
				ATL_API_KEYS_MAX);
	return atl_exec(conn, info,
			"INSERT INTO api_keys (id, user_id, name, prefix, key_hash, scopes, created_at, expires_at) "
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			"ssssssit", create->id, create->user_id, create->name, create->prefix, create->hash,
			create->scopes, create->now, create->expires_at);
}

enum atl_err atl_api_key_create(struct atl_app *app, const struct atl_identity *who, const char *name,
				const struct atl_strs *scopes, int64_t expires_at, struct atl_arena *arena,
				struct atl_api_key *ret, struct atl_errinfo *info)
{
	char scope_text[SCOPES_TEXT_MAX];
	struct create create = { .user_id = who->user_id, .name = name, .scopes = scope_text, .now = atl_now_ms(),
				 .expires_at = expires_at };
	enum atl_err err = join_scopes(scopes, scope_text, info);

	if (err)
		return err;
	if (expires_at && expires_at <= create.now)
		return atl_fail_field(info, ATL_ERR_INVALID, "expires_at", "The time of expiry has passed already.");
	atl_id_new("key", create.id);
	memcpy(create.key, "atl_", 4);
	atl_token_new(create.key + 4);
	atl_sha256_hex(create.key, strlen(create.key), create.hash);
	memcpy(create.prefix, create.key, PREFIX_LENGTH);
	err = atl_audit_tx(app->db, create_tx, &create,
			   &(struct atl_audit){ .who = who, .action = "key.create", .target_kind = "key",
						.target_id = create.id, .note = scope_text }, info);
	if (err)
		goto out;
	memset(ret, 0, sizeof(*ret));
	ret->id = atl_arena_strdup(arena, create.id);
	ret->name = atl_arena_strdup(arena, name);
	ret->prefix = atl_arena_strdup(arena, create.prefix);
	ret->key = atl_arena_strdup(arena, create.key);
	ret->created_at = create.now;
	ret->expires_at = expires_at;
	err = split_scopes(scope_text, arena, &ret->scopes);
	if (!ret->id || !ret->name || !ret->prefix || !ret->key)
		err = atl_fail(info, ATL_ERR_NOMEM, "create key");
out:
	atl_wipe(create.key, sizeof(create.key));
	return err;
}

struct find {
	struct atl_rights_book *rights;
	const char *hash, *user_id;
	struct atl_identity identity;
	struct atl_arena *arena;
	struct atl_api_key *keys;
	size_t count;
};

static enum atl_err find_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct find *find = arg;
	struct atl_identity *identity = &find->identity;
	struct atl_rows *rows;
	struct atl_arena arena;
	struct atl_strs scopes;
	const char *text[4];
	uint32_t allowed = 0, mask;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT u.id, u.name, u.role, k.id, k.scopes, k.expires_at FROM api_keys k "
				     "JOIN users u ON u.id = k.user_id WHERE k.key_hash = ? AND k.revoked_at IS NULL "
				     "AND (k.expires_at IS NULL OR k.expires_at > ?) AND u.waiting_since IS NULL "
				     "AND (u.disabled_at IS NULL OR u.disabled_until <= ?)",
				     "sii", find->hash, atl_now_ms(), atl_now_ms());

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_KEY, "The API key is unknown, revoked or expired.");
	atl_arena_init(&arena, 65536);
	for (int i = 0; i < 4; i++)
		text[i] = atl_col_text(rows, i, &arena);
	memset(identity, 0, sizeof(*identity));
	err = split_scopes(atl_col_text(rows, 4, &arena), &arena, &scopes);
	identity->expires_at_ms = atl_col_int(rows, 5);
	atl_rows_close(rows);
	if (err || !text[0] || !text[1] || !text[2] || !text[3]) {
		atl_arena_finish(&arena);
		return atl_fail(info, ATL_ERR_NOMEM, "read key");
	}
	atl_str_copy(identity->user_id, sizeof(identity->user_id), text[0]);
	atl_str_copy(identity->user_name, sizeof(identity->user_name), text[1]);
	err = atl_role_give(conn, find->rights, text[2], identity, info);
	if (err) {
		atl_arena_finish(&arena);
		return err;
	}
	atl_str_copy(identity->key_id, sizeof(identity->key_id), text[3]);
	for (size_t i = 0; i < scopes.count; i++)
		if (atl_scope_permissions(scopes.items[i], &mask))
			allowed |= mask;
	identity->permissions &= allowed;
	identity->channel = ATL_CHANNEL_BEARER;
	atl_arena_finish(&arena);
	return ATL_OK;
}

enum atl_err atl_api_key_find(struct atl_app *app, const char *key_hash, struct atl_identity *ret,
			      struct atl_errinfo *info)
{
	struct find find = { .rights = atl_auth_rights(app->auth), .hash = key_hash };
	enum atl_err err = atl_db_read(app->db, find_read, &find, info);

	if (!err)
		*ret = find.identity;
	return err;
}

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct find *find = arg;
	struct atl_rows *rows;
	enum atl_err err;

	find->count = 0;
	err = atl_query(conn, &rows, info,
			"SELECT id, name, prefix, scopes, created_at, expires_at, last_used_at FROM api_keys "
			"WHERE user_id = ? AND revoked_at IS NULL ORDER BY id DESC LIMIT ?",
			"si", find->user_id, (int64_t)ATL_API_KEYS_MAX);
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		struct atl_api_key *key = &find->keys[find->count++];

		key->id = atl_col_text(rows, 0, find->arena);
		key->name = atl_col_text(rows, 1, find->arena);
		key->prefix = atl_col_text(rows, 2, find->arena);
		if (split_scopes(atl_col_text(rows, 3, find->arena), find->arena, &key->scopes) != ATL_OK) {
			atl_rows_close(rows);
			return atl_fail(info, ATL_ERR_NOMEM, "list keys");
		}
		key->created_at = atl_col_int(rows, 4);
		key->expires_at = atl_col_int(rows, 5);
		key->last_used_at = atl_col_int(rows, 6);
	}
	return err;
}

enum atl_err atl_api_key_list(struct atl_app *app, const char *user_id, struct atl_arena *arena,
			      struct atl_api_key **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct find find = { .user_id = user_id, .arena = arena };
	enum atl_err err;

	find.keys = ATL_ARENA_ARRAY(arena, struct atl_api_key, ATL_API_KEYS_MAX);
	if (!find.keys)
		return atl_fail(info, ATL_ERR_NOMEM, "list keys");
	err = atl_db_read(app->db, list_read, &find, info);
	if (err)
		return err;
	*ret = find.keys;
	*ret_count = find.count;
	return ATL_OK;
}

struct removal {
	const char *user_id, *id;
};

static enum atl_err revoke_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct removal *removal = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE api_keys SET revoked_at = ? WHERE id = ? AND user_id = ? AND revoked_at IS NULL",
					  "iss", atl_now_ms(), removal->id, removal->user_id);

	if (!err && changed == 0)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such key.");
	return err;
}

enum atl_err atl_api_key_revoke(struct atl_app *app, const struct atl_identity *who, const char *id, struct atl_errinfo *info)
{
	const char *user_id = who->user_id;
	struct removal removal = { user_id, id };
	const struct atl_audit audit = { .who = who, .action = "key.revoke", .target_kind = "key", .target_id = id };
	enum atl_err err = atl_audit_tx(app->db, revoke_tx, &removal, &audit, info);

	if (err)
		return err;
	if (app->auth)
		atl_auth_forget(app->auth, id);
	if (app->events)
		atl_events_end_session(app->events, user_id, id);
	return ATL_OK;
}
