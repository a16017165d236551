/* api_key.c - SQL of API keys. Scopes are stored as words separated by spaces. */
#include "core/access/api_key.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/books/ledger.h"
#include "core/books/quota.h"
#include "core/people/audit.h"
#include "core/people/rights.h"
#include "core/people/role.h"
#include "core/server/events.h"
#include "db/db.h"

#define SCOPES_TEXT_MAX 128
#define ADDRESSES_TEXT_MAX ((ATL_ADDRESS_TEXT_MAX + 8) * ATL_ADDRESS_BLOCKS_MAX)
#define NOTE_MAX 200
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
					      "There is no such scope: chat, characters, pictures, models and admin are known.");
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

/* ---- finding and listing ---- */

struct find {
	struct atl_rights_book *rights;
	const char *hash, *user_id, *id;
	struct atl_identity identity;
	struct atl_arena *arena;
	struct atl_api_key *keys;
	size_t count;
};

/* What cannot be read is no address at all, so that a key is never wider than it was meant. */
static enum atl_err split_addresses(const char *text, struct atl_address_blocks *ret, struct atl_errinfo *info)
{
	char address[ATL_ADDRESS_TEXT_MAX + 8];
	enum atl_err err = ATL_OK;

	ret->count = 0;
	while (!err && *text) {
		size_t length = strcspn(text, " ");

		if (length >= sizeof(address))
			return atl_fail(info, ATL_ERR_DB, "A key's addresses are not readable.");
		memcpy(address, text, length);
		address[length] = '\0';
		err = atl_address_add(ret, address, info);
		text += length;
		text += strspn(text, " ");
	}
	return err;
}

static enum atl_err find_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct find *find = arg;
	struct atl_identity *identity = &find->identity;
	struct atl_rows *rows;
	struct atl_arena arena;
	struct atl_strs scopes;
	const char *text[4], *addresses;
	uint32_t allowed = 0, mask;
	bool limits_ok = true;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT u.id, u.name, u.role, k.id, k.scopes, k.expires_at, k.models, k.addresses, "
				     "k.budget_amount FROM api_keys k "
				     "JOIN users u ON u.id = k.user_id WHERE k.key_hash = ? AND k.revoked_at IS NULL "
				     "AND u.waiting_since IS NULL AND (u.disabled_at IS NULL OR u.disabled_until <= ?)",
				     "si", find->hash, atl_now_ms());

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_KEY, "The API key is unknown or revoked.");
	atl_arena_init(&arena, 65536);
	for (int i = 0; i < 4; i++)
		text[i] = atl_col_text(rows, i, &arena);
	memset(identity, 0, sizeof(*identity));
	err = split_scopes(atl_col_text(rows, 4, &arena), &arena, &scopes);
	identity->expires_at_ms = atl_col_int(rows, 5);
	if (!atl_col_null(rows, 6))
		limits_ok = atl_str_copy(identity->key_models, sizeof(identity->key_models), atl_col_text(rows, 6, &arena));
	addresses = atl_col_text(rows, 7, &arena);
	limits_ok &= addresses || atl_col_null(rows, 7);
	identity->key_budget = !atl_col_null(rows, 8);
	atl_rows_close(rows);
	if (!err && limits_ok && addresses)
		err = split_addresses(addresses, &identity->key_addresses, info);
	if (!err && identity->expires_at_ms && identity->expires_at_ms <= atl_now_ms()) {
		atl_arena_finish(&arena);
		return atl_fail(info, ATL_ERR_KEY_EXPIRED, "The API key has expired. Its owner can give it more time on the Account page.");
	}
	if (err || !limits_ok || !text[0] || !text[1] || !text[2] || !text[3]) {
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

#define COLUMNS "id, name, prefix, scopes, created_at, expires_at, last_used_at, models, addresses, budget_kind, budget_span, budget_amount"

/* A text of words, divided by one of these characters. */
static enum atl_err split(const char *text, const char *between, struct atl_arena *arena, struct atl_strs *ret)
{
	size_t most = 1;

	ret->count = 0;
	if (!text)
		return ATL_OK;
	for (const char *at = text; *at; at++)
		most += strchr(between, *at) != NULL;
	ret->items = ATL_ARENA_ARRAY(arena, const char *, most);
	if (!ret->items)
		return ATL_ERR_NOMEM;
	while (*text) {
		size_t length = strcspn(text, between);

		if (length && !(ret->items[ret->count++] = atl_arena_strndup(arena, text, length)))
			return ATL_ERR_NOMEM;
		text += length;
		text += strspn(text, between);
	}
	return ATL_OK;
}

static enum atl_err read_budget(struct atl_rows *rows, struct atl_arena *arena, struct atl_api_key *key)
{
	struct atl_key_budget *budget;

	if (atl_col_null(rows, 11))
		return ATL_OK;
	budget = ATL_ARENA_NEW(arena, struct atl_key_budget);
	if (!budget)
		return ATL_ERR_NOMEM;
	*budget = (struct atl_key_budget){ .kind = atl_col_text(rows, 9, arena), .span = atl_col_text(rows, 10, arena),
					   .amount = atl_col_int(rows, 11) };
	key->budget = budget;
	return budget->kind && budget->span ? ATL_OK : ATL_ERR_NOMEM;
}

static enum atl_err read_key(struct atl_rows *rows, struct atl_arena *arena, struct atl_api_key *key, struct atl_errinfo *info)
{
	enum atl_err err;

	memset(key, 0, sizeof(*key));
	key->id = atl_col_text(rows, 0, arena);
	key->name = atl_col_text(rows, 1, arena);
	key->prefix = atl_col_text(rows, 2, arena);
	err = split_scopes(atl_col_text(rows, 3, arena), arena, &key->scopes);
	key->created_at = atl_col_int(rows, 4);
	key->expires_at = atl_col_int(rows, 5);
	key->last_used_at = atl_col_int(rows, 6);
	if (!err)
		err = split(atl_col_text(rows, 7, arena), "\n", arena, &key->models);
	if (!err)
		err = split(atl_col_text(rows, 8, arena), " ", arena, &key->addresses);
	if (!err)
		err = read_budget(rows, arena, key);
	return err ? atl_fail(info, err, "list keys") : ATL_OK;
}

/* What its budget's window has seen. */
static enum atl_err count_used(struct atl_conn *conn, const struct atl_api_key *key, struct atl_errinfo *info)
{
	struct atl_key_budget *budget = (struct atl_key_budget *)key->budget;
	int span = atl_ledger_index(atl_windows, budget->span);
	int64_t now = atl_now_ms(), used = 0, reserved = 0;
	enum atl_err err;

	if (span < 0)
		return atl_fail(info, ATL_ERR_DB, "A key's budget is not readable.");
	err = atl_ledger_sum(conn, key->id, budget->kind, "", atl_window_start((enum atl_window)span, now),
			     atl_window_end((enum atl_window)span, now), &used, &reserved, info);
	budget->used = used + reserved;
	return err;
}

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct find *find = arg;
	struct atl_rows *rows;
	enum atl_err err;

	find->count = 0;
	err = atl_query(conn, &rows, info,
			"SELECT " COLUMNS " FROM api_keys WHERE user_id = ? AND revoked_at IS NULL AND (? = '' OR id = ?) "
			"ORDER BY id DESC LIMIT ?",
			"sssi", find->user_id, find->id, find->id, (int64_t)ATL_API_KEYS_MAX);
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		err = read_key(rows, find->arena, &find->keys[find->count++], info);
		if (err) {
			atl_rows_close(rows);
			return err;
		}
	}
	for (size_t i = 0; !err && i < find->count; i++)
		if (find->keys[i].budget)
			err = count_used(conn, &find->keys[i], info);
	return err;
}

static enum atl_err get(struct atl_app *app, const char *user_id, const char *id, struct atl_arena *arena, struct atl_api_key *ret,
			struct atl_errinfo *info)
{
	struct find find = { .user_id = user_id, .id = id, .arena = arena, .keys = ret };
	enum atl_err err = atl_db_read(app->db, list_read, &find, info);

	return !err && find.count == 0 ? atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such key.") : err;
}

enum atl_err atl_api_key_list(struct atl_app *app, const char *user_id, struct atl_arena *arena,
			      struct atl_api_key **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct find find = { .user_id = user_id, .id = "", .arena = arena };
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

/* ---- what is asked for ---- */

/* As the columns have it; a NULL text of a list is no limit. */
struct columns {
	char scopes[SCOPES_TEXT_MAX], models[ATL_KEY_MODELS_SIZE], addresses[ADDRESSES_TEXT_MAX];
};

static enum atl_err join_models(const struct atl_strs *models, char out[ATL_KEY_MODELS_SIZE], struct atl_errinfo *info)
{
	size_t used = 0;
	enum atl_err err = atl_rights_check_patterns(models, "models", info);

	out[0] = '\0';
	for (size_t i = 0; !err && i < models->count; i++) {
		size_t length = strlen(models->items[i]);

		if (used + length + 2 > ATL_KEY_MODELS_SIZE)
			return atl_fail_field(info, ATL_ERR_INVALID, "models",
					      "A key's list has at most %d bytes. Use * for many models of one service.",
					      ATL_KEY_MODELS_SIZE - 2);
		used += (size_t)snprintf(out + used, ATL_KEY_MODELS_SIZE - used, "%s%s", used ? "\n" : "", models->items[i]);
	}
	return err;
}

static enum atl_err join_addresses(const struct atl_strs *addresses, char out[ADDRESSES_TEXT_MAX], struct atl_errinfo *info)
{
	struct atl_address_blocks blocks = { .count = 0 };
	size_t used = 0;
	enum atl_err err = ATL_OK;

	out[0] = '\0';
	for (size_t i = 0; !err && i < addresses->count; i++) {
		err = atl_address_add(&blocks, addresses->items[i], info);
		if (!err)
			used += (size_t)snprintf(out + used, ADDRESSES_TEXT_MAX - used, "%s%s", used ? " " : "", addresses->items[i]);
	}
	return err;
}

static enum atl_err check_budget(const struct atl_key_budget *budget, struct atl_errinfo *info)
{
	if (atl_ledger_index(atl_ledger_kinds, budget->kind) < 0)
		return atl_fail_field(info, ATL_ERR_INVALID, "budget.kind", "is not a kind");
	if (atl_ledger_index(atl_windows, budget->span) < 0)
		return atl_fail_field(info, ATL_ERR_INVALID, "budget.span", "is not a window of time");
	if (budget->amount < 0 || budget->amount > ATL_QUOTA_AMOUNT_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "budget.amount", "must be from 0 to %lld", ATL_QUOTA_AMOUNT_MAX);
	return ATL_OK;
}

static bool limited_key(const struct atl_identity *who)
{
	return who->key_id[0] && (who->key_models[0] || who->key_addresses.count || who->key_budget);
}

static enum atl_err read_wish(const struct atl_identity *who, const struct atl_api_key_change *wish, struct columns *columns,
			      struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;

	memset(columns, 0, sizeof(*columns));
	if (limited_key(who))
		return atl_fail(info, ATL_ERR_FORBIDDEN, "A key with limits of its own makes and changes no keys.");
	if (wish->scopes)
		err = join_scopes(wish->scopes, columns->scopes, info);
	if (!err && wish->models)
		err = join_models(wish->models, columns->models, info);
	if (!err && wish->addresses)
		err = join_addresses(wish->addresses, columns->addresses, info);
	if (!err && wish->budget)
		err = check_budget(wish->budget, info);
	if (!err && wish->expires_at && *wish->expires_at && *wish->expires_at <= atl_now_ms())
		err = atl_fail_field(info, ATL_ERR_INVALID, "expires_at", "The time of expiry has passed already.");
	return err;
}

/* Names of what has a limit, for the audit log. */
static void note_wish(const struct atl_api_key_change *wish, const struct columns *columns, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s%s%s%s", columns->scopes, wish->models ? ", models" : "", wish->addresses ? ", addresses" : "",
		 wish->budget ? ", budget" : "", wish->no_budget ? ", no budget" : "", wish->expires_at ? ", expiry" : "");
}

/* ---- creating and changing ---- */

struct edit {
	struct atl_app *app;
	const char *user_id, *id;
	const struct atl_api_key_change *wish;
	const struct columns *columns;
};

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

static enum atl_err set_limits(struct atl_conn *conn, const struct edit *edit, struct atl_errinfo *info)
{
	const struct atl_api_key_change *wish = edit->wish;
	const struct columns *columns = edit->columns;
	enum atl_err err = ATL_OK;

	if (wish->models)
		err = atl_exec(conn, info, "UPDATE api_keys SET models = ? WHERE id = ?", "ss", text_or_null(columns->models), edit->id);
	if (!err && wish->addresses)
		err = atl_exec(conn, info, "UPDATE api_keys SET addresses = ? WHERE id = ?", "ss", text_or_null(columns->addresses),
			       edit->id);
	if (!err && wish->budget)
		err = atl_exec(conn, info, "UPDATE api_keys SET budget_kind = ?, budget_span = ?, budget_amount = ? WHERE id = ?",
			       "ssis", wish->budget->kind, wish->budget->span, wish->budget->amount, edit->id);
	else if (!err && wish->no_budget)
		err = atl_exec(conn, info,
			       "UPDATE api_keys SET budget_kind = NULL, budget_span = NULL, budget_amount = NULL WHERE id = ?", "s",
			       edit->id);
	return err;
}

struct create {
	struct edit edit; /* first */
	char id[ATL_ID_SIZE], key[ATL_API_KEY_SIZE], hash[ATL_SHA256_SIZE * 2 + 1], prefix[PREFIX_LENGTH + 1];
};

static enum atl_err create_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct create *create = arg;
	const struct atl_api_key_change *wish = create->edit.wish;
	struct atl_rows *rows;
	int64_t count = 0;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT count(*) FROM api_keys WHERE user_id = ? AND revoked_at IS NULL", "s",
				     create->edit.user_id);

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
	err = atl_exec(conn, info,
		       "INSERT INTO api_keys (id, user_id, name, prefix, key_hash, scopes, created_at, expires_at) "
		       "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		       "ssssssit", create->id, create->edit.user_id, wish->name, create->prefix, create->hash,
		       create->edit.columns->scopes, atl_now_ms(), wish->expires_at ? *wish->expires_at : (int64_t)0);
	return err ? err : set_limits(conn, &create->edit, info);
}

enum atl_err atl_api_key_create(struct atl_app *app, const struct atl_identity *who, const struct atl_api_key_change *wish,
				struct atl_arena *arena, struct atl_api_key *ret, struct atl_errinfo *info)
{
	struct columns columns;
	struct create create = { .edit = { .app = app, .user_id = who->user_id, .wish = wish, .columns = &columns } };
	char note[NOTE_MAX];
	enum atl_err err = read_wish(who, wish, &columns, info);

	if (err)
		return err;
	atl_id_new("key", create.id);
	create.edit.id = create.id;
	memcpy(create.key, "atl_", 4);
	atl_token_new(create.key + 4);
	atl_sha256_hex(create.key, strlen(create.key), create.hash);
	memcpy(create.prefix, create.key, PREFIX_LENGTH);
	note_wish(wish, &columns, note, sizeof(note));
	err = atl_audit_tx(app->db, create_tx, &create,
			   &(struct atl_audit){ .who = who, .action = "key.create", .target_kind = "key",
						.target_id = create.id, .note = note }, info);
	if (!err)
		err = get(app, who->user_id, create.id, arena, ret, info);
	if (!err && !(ret->key = atl_arena_strdup(arena, create.key)))
		err = atl_fail(info, ATL_ERR_NOMEM, "create key");
	atl_wipe(create.key, sizeof(create.key));
	return err;
}

static enum atl_err update_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct edit *edit = arg;
	const struct atl_api_key_change *wish = edit->wish;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE api_keys SET name = coalesce(?, name), scopes = coalesce(?, scopes) "
					  "WHERE id = ? AND user_id = ? AND revoked_at IS NULL",
					  "ssss", wish->name, text_or_null(edit->columns->scopes), edit->id, edit->user_id);

	if (!err && changed == 0)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such key.");
	if (!err && wish->expires_at)
		err = atl_exec(conn, info, "UPDATE api_keys SET expires_at = ? WHERE id = ?", "ts", *wish->expires_at, edit->id);
	return err ? err : set_limits(conn, edit, info);
}

enum atl_err atl_api_key_update(struct atl_app *app, const struct atl_identity *who, const char *id,
				const struct atl_api_key_change *wish, struct atl_arena *arena, struct atl_api_key *ret,
				struct atl_errinfo *info)
{
	struct columns columns;
	struct edit edit = { .app = app, .user_id = who->user_id, .id = id, .wish = wish, .columns = &columns };
	char note[NOTE_MAX];
	enum atl_err err = read_wish(who, wish, &columns, info);

	if (err)
		return err;
	note_wish(wish, &columns, note, sizeof(note));
	err = atl_audit_tx(app->db, update_tx, &edit,
			   &(struct atl_audit){ .who = who, .action = "key.change", .target_kind = "key", .target_id = id,
						.note = note }, info);
	if (err)
		return err;
	if (app->auth)
		atl_auth_forget(app->auth, id);
	if (app->events)
		atl_events_end_session(app->events, who->user_id, id);
	return get(app, who->user_id, id, arena, ret, info);
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
	if (app->auth) {
		atl_auth_forget(app->auth, id);
		atl_auth_end(app->auth, id);
	}
	if (app->events)
		atl_events_end_session(app->events, user_id, id);
	return ATL_OK;
}
