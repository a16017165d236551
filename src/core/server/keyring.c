/* keyring.c - see keyring.h. The file at the top, then sealing anew, then the change itself. */
#include "core/server/keyring.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "db/db.h"
#include "os/file.h"

#define MODULE "keyring"
#define DIGITS (ATL_MASTER_KEY_SIZE * 2)
#define SLOTS 3
#define ROWS_MAX 100000
#define SECRET_MAX 65536

struct atl_keyring {
	char path[4300];
	pthread_mutex_t lock; /* one change or pass at a time; guards what follows */
	unsigned char keys[SLOTS][ATL_MASTER_KEY_SIZE];
	unsigned current;
	int64_t settled_since; /* the last time a secret was sealed anew, or the start */
	struct atl_key_state state;
};

/* ---- the file ---- */

static enum atl_err write_keys(const char *path, const unsigned char *key, const unsigned char *old, struct atl_errinfo *info)
{
	char text[2 * (DIGITS + 1) + 1] = "";
	enum atl_err err;

	atl_hex_encode(key, ATL_MASTER_KEY_SIZE, text);
	text[DIGITS] = '\n';
	if (old) {
		atl_hex_encode(old, ATL_MASTER_KEY_SIZE, text + DIGITS + 1);
		text[2 * DIGITS + 1] = '\n';
	}
	text[(old ? 2 : 1) * (DIGITS + 1)] = '\0';
	err = atl_file_write_atomic(path, text, strlen(text), 0600, info);
	atl_wipe(text, sizeof(text));
	return err;
}

/* One line or two; *ret_old says which. */
static enum atl_err parse(const char *path, struct atl_buf *text, unsigned char key[ATL_MASTER_KEY_SIZE],
			  unsigned char old[ATL_MASTER_KEY_SIZE], bool *ret_old, struct atl_errinfo *info)
{
	char line[DIGITS + 1] = "";
	bool good;

	if (text->length > 0 && text->data[text->length - 1] == '\n')
		text->data[--text->length] = '\0';
	*ret_old = text->length == 2 * DIGITS + 1 && text->data[DIGITS] == '\n';
	snprintf(line, sizeof(line), "%.*s", DIGITS, text->data);
	good = (*ret_old || text->length == DIGITS) && atl_hex_decode(line, key, ATL_MASTER_KEY_SIZE);
	if (good && *ret_old)
		good = atl_hex_decode(text->data + DIGITS + 1, old, ATL_MASTER_KEY_SIZE);
	atl_wipe(line, sizeof(line));
	return good ? ATL_OK : atl_fail(info, ATL_ERR_CONFIG, "%s is damaged: it must hold %d hexadecimal digits.", path, DIGITS);
}

static enum atl_err read_keys(const char *path, unsigned char key[ATL_MASTER_KEY_SIZE], unsigned char old[ATL_MASTER_KEY_SIZE],
			      bool *ret_old, struct atl_errinfo *info)
{
	struct stat status;
	struct atl_buf text;
	enum atl_err err;

	if (stat(path, &status) != 0)
		return atl_fail(info, errno == ENOENT ? ATL_ERR_NOT_FOUND : ATL_ERR_IO, "%s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode) || (status.st_mode & 077) != 0)
		return atl_fail(info, ATL_ERR_CONFIG, "%s can be read by others: chmod 600 it.", path);
	atl_buf_init(&text, 512);
	err = atl_file_read(path, 256, &text, info);
	if (!err)
		err = parse(path, &text, key, old, ret_old, info);
	if (text.length)
		atl_wipe(text.data, text.length);
	atl_buf_finish(&text);
	return err;
}

enum atl_err atl_keyring_open(struct atl_app *app, const char *path, struct atl_errinfo *info)
{
	struct atl_keyring *ring = calloc(1, sizeof(*ring));
	bool two = false;
	enum atl_err err;

	if (!ring)
		return atl_fail(info, ATL_ERR_NOMEM, "master key");
	atl_str_copy(ring->path, sizeof(ring->path), path);
	pthread_mutex_init(&ring->lock, NULL);
	err = read_keys(path, ring->keys[0], ring->keys[SLOTS - 1], &two, info);
	if (err == ATL_ERR_NOT_FOUND) {
		*info = (struct atl_errinfo){ 0 };
		atl_random(ring->keys[0], ATL_MASTER_KEY_SIZE);
		err = write_keys(path, ring->keys[0], NULL, info);
	}
	app->keyring = ring;
	if (err) {
		atl_keyring_close(app);
		return err;
	}
	ring->settled_since = atl_now_ms();
	ring->state.rotating = two;
	app->old_master_key = two ? ring->keys[SLOTS - 1] : NULL;
	app->master_key = ring->keys[0];
	return ATL_OK;
}

void atl_keyring_close(struct atl_app *app)
{
	struct atl_keyring *ring = app->keyring;

	if (!ring)
		return;
	app->master_key = app->old_master_key = NULL;
	app->keyring = NULL;
	pthread_mutex_destroy(&ring->lock);
	atl_wipe(ring, sizeof(*ring));
	free(ring);
}

/* ---- opening ---- */

enum atl_err atl_secret_open(struct atl_app *app, struct atl_buf *out, const char *context, const void *sealed, size_t length,
			     struct atl_errinfo *info)
{
	const unsigned char *key = app->master_key, *old;
	enum atl_err err = atl_unseal(out, key, context, sealed, length, info);

	if (err != ATL_ERR_CONFIG)
		return err;
	old = app->old_master_key;
	if (old && atl_unseal(out, old, context, sealed, length, NULL) == ATL_OK)
		return ATL_OK;
	if (app->master_key != key) /* it changed in between */
		return atl_unseal(out, app->master_key, context, sealed, length, info);
	return err;
}

/* ---- sealing anew ---- */

static const struct sealed {
	const char *table, *column;
	enum atl_base64 kind;
	const char *context; /* NULL: the row's id; "x/": with the id behind it */
	const char *member;  /* the text is an object, and this member of it is sealed; NULL: all of it */
	const char *select, *update;
} SEALED[] = {
#define COLUMN(table, id, column, kind, context, member)                                                                     \
	{ #table, #column, kind, context, member, "SELECT " #id ", " #column " FROM " #table " WHERE " #column " IS NOT NULL", \
	  "UPDATE " #table " SET " #column " = ? WHERE " #id " = ? AND " #column " = ?" }
	COLUMN(providers, id, key_sealed, ATL_BASE64_STANDARD, NULL, NULL),
	COLUMN(webhooks, id, secret_sealed, ATL_BASE64_STANDARD, NULL, NULL),
	COLUMN(login_providers, id, secret_sealed, ATL_BASE64_STANDARD, NULL, NULL),
	COLUMN(totp, user_id, secret_sealed, ATL_BASE64_STANDARD, NULL, NULL),
	COLUMN(signing_keys, name, key_sealed, ATL_BASE64_URL, "signing_keys/", NULL),
	COLUMN(settings, name, value, ATL_BASE64_URL, "setting backup passphrase", "passphrase"),
	COLUMN(setting_changes, id, was, ATL_BASE64_URL, "setting backup passphrase", "passphrase"),
	COLUMN(setting_changes, id, became, ATL_BASE64_URL, "setting backup passphrase", "passphrase"),
#undef COLUMN
};

const char *atl_sealed_column(size_t index, const char **ret_table)
{
	if (index >= ATL_COUNT(SEALED))
		return NULL;
	*ret_table = SEALED[index].table;
	return SEALED[index].column;
}

struct pass {
	struct atl_app *app;
	const struct sealed *kind;
	int64_t resealed, unreadable;
};

/* *ret NULL: it is sealed with the new key already, or neither fits (*unreadable). */
static enum atl_err reseal(struct pass *p, struct atl_arena *arena, const char *context, const char *text, const char **ret,
			   struct atl_errinfo *info)
{
	struct atl_buf raw, plain, sealed, out;
	const unsigned char *old = p->app->old_master_key;
	enum atl_err err = ATL_OK;

	*ret = NULL;
	atl_buf_init(&raw, SECRET_MAX);
	atl_buf_init(&plain, SECRET_MAX);
	atl_buf_init(&sealed, SECRET_MAX);
	atl_buf_init(&out, 2 * SECRET_MAX);
	if (!atl_base64_decode(&raw, p->kind->kind, text, strlen(text))) {
		p->unreadable++;
	} else if (atl_unseal(&plain, p->app->master_key, context, raw.data, raw.length, NULL) == ATL_OK) {
		atl_wipe(plain.data, plain.length);
	} else if (!old || atl_unseal(&plain, old, context, raw.data, raw.length, NULL) != ATL_OK) {
		p->unreadable++;
	} else {
		err = atl_seal(&sealed, p->app->master_key, context, plain.data, plain.length);
		atl_wipe(plain.data, plain.length);
		if (!err)
			atl_base64_encode(&out, p->kind->kind, sealed.data, sealed.length);
		*ret = err || out.failed ? NULL : atl_arena_strdup(arena, out.data);
		if (!*ret)
			err = atl_fail(info, ATL_ERR_NOMEM, "seal a secret anew");
	}
	atl_buf_finish(&raw);
	atl_buf_finish(&plain);
	atl_buf_finish(&sealed);
	atl_buf_finish(&out);
	return err;
}

/* The sealed part of the column's text, and the whole text with another part in its place. */
static const char *part_of(const struct sealed *kind, struct atl_arena *arena, const char *text)
{
	struct atl_json *tree;

	if (!kind->member)
		return text;
	if (atl_json_parse(arena, text, strlen(text), &tree, NULL) != ATL_OK)
		return NULL;
	return atl_json_str(tree, kind->member, NULL);
}

static const char *with_part(const struct sealed *kind, struct atl_arena *arena, const char *text, const char *part, const char *fresh)
{
	const char *at = strstr(text, part); /* base64 has nothing that JSON escapes */

	if (!kind->member)
		return fresh;
	return at ? atl_arena_printf(arena, "%.*s%s%s", (int)(at - text), text, fresh, at + strlen(part)) : NULL;
}

static const char *context_of(const struct sealed *kind, struct atl_arena *arena, const char *id)
{
	const char *whole = kind->context && atl_str_ends(kind->context, "/") ? atl_arena_printf(arena, "%s%s", kind->context, id) : NULL;

	return whole ? whole : kind->context ? kind->context : id;
}

struct held {
	const char *id, *text;
};

static enum atl_err pass_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct pass *p = arg;
	struct atl_arena arena;
	struct atl_rows *rows;
	struct held *items;
	size_t count = 0;
	enum atl_err err;

	p->resealed = p->unreadable = 0;
	atl_arena_init(&arena, 0);
	items = ATL_ARENA_ARRAY(&arena, struct held, ROWS_MAX);
	err = items ? atl_query(conn, &rows, info, p->kind->select, "") : atl_fail(info, ATL_ERR_NOMEM, "seal secrets anew");
	while (!err && atl_rows_next(rows, &err, info)) {
		if (count == ROWS_MAX) {
			atl_rows_close(rows);
			break; /* the rest with the next pass */
		}
		items[count++] = (struct held){ atl_col_text(rows, 0, &arena), atl_col_text(rows, 1, &arena) };
	}
	for (size_t i = 0; !err && i < count; i++) {
		const char *part = part_of(p->kind, &arena, items[i].text), *fresh = NULL;

		if (part)
			err = reseal(p, &arena, context_of(p->kind, &arena, items[i].id), part, &fresh, info);
		if (err || !fresh)
			continue;
		fresh = with_part(p->kind, &arena, items[i].text, part, fresh);
		err = fresh ? atl_exec(conn, info, p->kind->update, "sss", fresh, items[i].id, items[i].text)
			    : atl_fail(info, ATL_ERR_NOMEM, "seal a secret anew");
		p->resealed++;
	}
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err pass(struct atl_app *app, int64_t *ret_resealed, struct atl_errinfo *info)
{
	struct atl_keyring *ring = app->keyring;
	enum atl_err err = ATL_OK;

	*ret_resealed = 0;
	ring->state.unreadable = 0;
	for (size_t i = 0; !err && i < ATL_COUNT(SEALED); i++) {
		struct pass p = { .app = app, .kind = &SEALED[i] };

		err = atl_db_tx(app->db, pass_tx, &p, info);
		*ret_resealed += err ? 0 : p.resealed;
		ring->state.unreadable += err ? 0 : p.unreadable;
	}
	ring->state.resealed += *ret_resealed;
	return err;
}

/* ---- the change ---- */

#define OFF(member) offsetof(struct atl_key_state, member)
static const struct atl_json_field FIELDS[] = {
	{ "rotating", ATL_JT_BOOL, OFF(rotating), ATL_JF_REQUIRED, .doc = "the old key is still kept, for a minute or until no backup is made" },
	{ "resealed", ATL_JT_INT, OFF(resealed), ATL_JF_REQUIRED, .doc = "secrets, since the change began" },
	{ "unreadable", ATL_JT_INT, OFF(unreadable), ATL_JF_REQUIRED, .doc = "secrets that no key opens: enter them again" },
};
const struct atl_json_desc atl_key_state_desc = { "MasterKey", "The key that seals secrets at rest.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_key_state), ATL_JSON_NO_PRESENT, false };

void atl_key_state(struct atl_app *app, struct atl_key_state *ret)
{
	pthread_mutex_lock(&app->keyring->lock);
	*ret = app->keyring->state;
	pthread_mutex_unlock(&app->keyring->lock);
}

/* With the lock. */
static enum atl_err begin(struct atl_app *app, struct atl_keyring *ring, struct atl_errinfo *info)
{
	unsigned next = (ring->current + 1) % SLOTS;
	const unsigned char *old = ring->keys[ring->current];
	enum atl_err err;

	if (ring->state.rotating)
		return atl_fail(info, ATL_ERR_CONFLICT, "The key is being changed already.");
	if (atomic_load(&app->backing_up))
		return atl_fail(info, ATL_ERR_CONFLICT, "A backup is being made: change the key when it is done.");
	atl_random(ring->keys[next], ATL_MASTER_KEY_SIZE);
	err = write_keys(ring->path, ring->keys[next], old, info);
	if (err)
		return err;
	app->old_master_key = old;
	app->master_key = ring->keys[next];
	ring->current = next;
	ring->state = (struct atl_key_state){ .rotating = true };
	ring->settled_since = atl_now_ms();
	return ATL_OK;
}

enum atl_err atl_key_rotate(struct atl_app *app, const struct atl_identity *who, struct atl_key_state *ret,
			    struct atl_errinfo *info)
{
	struct atl_keyring *ring = app->keyring;
	struct atl_errinfo later = { 0 };
	int64_t resealed;
	enum atl_err err;

	pthread_mutex_lock(&ring->lock);
	err = begin(app, ring, info);
	if (!err) {
		atl_audit_now(app, &(struct atl_audit){ .who = who, .action = "key.rotate", .target_kind = "key" });
		if (pass(app, &resealed, &later) != ATL_OK)
			atl_warn(MODULE, "sealing secrets anew goes on with the housekeeping: %s", later.detail);
	}
	*ret = ring->state;
	pthread_mutex_unlock(&ring->lock);
	return err;
}

enum atl_err atl_key_tick(struct atl_app *app, int64_t now_ms, struct atl_errinfo *info)
{
	struct atl_keyring *ring = app->keyring;
	int64_t resealed = 0;
	enum atl_err err = ATL_OK;

	pthread_mutex_lock(&ring->lock);
	if (ring->state.rotating)
		err = pass(app, &resealed, info);
	if (resealed)
		ring->settled_since = now_ms;
	if (!err && ring->state.rotating && !resealed && now_ms - ring->settled_since >= ATL_KEY_SETTLE_MS &&
	    !atomic_load(&app->backing_up)) {
		err = write_keys(ring->path, ring->keys[ring->current], NULL, info);
		if (!err) {
			app->old_master_key = NULL;
			ring->state.rotating = false;
			atl_audit_now(app, &(struct atl_audit){ .action = "key.rotated", .target_kind = "key" });
		}
	}
	pthread_mutex_unlock(&ring->lock);
	return err;
}

enum atl_err atl_key_housekeeping(struct atl_app *app, struct atl_errinfo *info)
{
	return atl_key_tick(app, atl_now_ms(), info);
}
