/* transfer.c - see transfer.h.
 *
 * A running transfer has a slot; its thread writes the row's end before it gives the slot back, so that whoever waits
 * for a slot to become free sees the final row. The column size_bytes is what was demanded; a size only told by the
 * server is kept there as a negative number, because it may differ the next time.
 */
#include "core/models/transfer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "core/models/local_model.h"
#include "core/pictures/picture_intake.h"
#include "core/server/publish.h"
#include "db/db.h"
#include "os/file.h"
#include "provider/download.h"

#define MODULE "transfer"
#define PATH_SIZE 4096
#define COLUMNS "id, user_id, url, file_name, sha256, size_bytes, state, error_slug, error_detail, created_at, updated_at"

#define OFF(member) offsetof(struct atl_transfer, member)
static const struct atl_json_field ERROR_FIELDS[] = {
	{"slug", ATL_JT_STR, offsetof(struct atl_transfer_error, slug), ATL_JF_REQUIRED},
	{"detail", ATL_JT_STR, offsetof(struct atl_transfer_error, detail), ATL_JF_REQUIRED},
};
static const struct atl_json_desc ERROR_DESC = {
	"TransferError", "Why a download ended.", ERROR_FIELDS, ATL_COUNT(ERROR_FIELDS), sizeof(struct atl_transfer_error),
	ATL_JSON_NO_PRESENT, false};
static const char *const STATES[] = {"running", "paused", "done", "failed", "cancelled", NULL};
static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED},
	{"url", ATL_JT_STR, OFF(url), ATL_JF_REQUIRED},
	{"file", ATL_JT_STR, OFF(file), ATL_JF_REQUIRED},
	{"state", ATL_JT_ENUM, OFF(state), ATL_JF_REQUIRED, .values = STATES},
	{"received_bytes", ATL_JT_INT, OFF(received_bytes), ATL_JF_REQUIRED},
	{"size_bytes", ATL_JT_INT, OFF(size_bytes), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "null: not known yet"},
	{"bytes_per_second", ATL_JT_INT, OFF(bytes_per_second), ATL_JF_REQUIRED},
	{"error", ATL_JT_OBJ, OFF(error), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .sub = &ERROR_DESC},
	{"created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED},
	{"updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_transfer_desc = {
	"Transfer", "A download of a model file.", FIELDS, ATL_COUNT(FIELDS), sizeof(struct atl_transfer),
	ATL_JSON_NO_PRESENT, false};

struct slot {
	/* guarded by lock */
	bool used, ended; /* ended: only the thread is left to be joined */
	bool cancelled;	  /* by a person; else a stop means pause */
	char id[ATL_ID_SIZE];
	uint64_t received, size, per_second;
	/* set while it is used */
	struct atl_transfers *owner;
	struct atl_download *download;
	pthread_t thread;
	struct atl_arena arena; /* of the thread */
	struct atl_transfer row;
	const char *sha256;
	uint64_t demanded; /* exact size, or 0 */
	/* thread only */
	uint64_t told_ms, told_bytes;
};

struct atl_transfers {
	struct atl_app *app;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	bool closing;
	struct slot slots[ATL_TRANSFERS_RUNNING_MAX];
	pthread_mutex_t starting; /* one start at a time: checks and row belong together */
};

static void part_path(const struct atl_app *app, const char *id, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s/.%s.part", app->models_dir, id);
}

/* ---- rows ---- */

struct load {
	struct atl_arena *arena;
	const char *id; /* NULL: all */
	struct atl_transfer *items;
	size_t count, max;
	/* of the last row */
	const char *sha256;
	int64_t size; /* as stored */
};

static enum atl_err load_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct load *load = arg;
	struct atl_arena *a = load->arena;
	struct atl_rows *rows;
	load->count = 0;
	enum atl_err err =
		load->id ? atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM transfers WHERE id = ?", "s", load->id)
			 : atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM transfers ORDER BY id DESC LIMIT ?", "i",
				     (int64_t)load->max);
	while (!err && load->count < load->max && atl_rows_next(rows, &err, info)) {
		struct atl_transfer *t = &load->items[load->count++];
		struct atl_transfer_error *error = NULL;
		load->sha256 = atl_col_text(rows, 4, a);
		load->size = atl_col_int(rows, 5);
		if (!atl_col_null(rows, 7) && (error = atl_arena_alloc(a, sizeof *error)))
			*error = (struct atl_transfer_error){atl_col_text(rows, 7, a), atl_col_text(rows, 8, a)};
		*t = (struct atl_transfer){.id = atl_col_text(rows, 0, a), .user_id = atl_col_text(rows, 1, a),
					   .url = atl_col_text(rows, 2, a), .file = atl_col_text(rows, 3, a),
					   .size_bytes = load->size < 0 ? -load->size : load->size,
					   .state = atl_col_text(rows, 6, a), .error = error,
					   .created_at = atl_col_int(rows, 9), .updated_at = atl_col_int(rows, 10)};
		if (load->count == load->max)
			atl_rows_close(rows);
	}
	return err;
}

static enum atl_err insert_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct slot *slot = arg;
	const struct atl_transfer *t = &slot->row;
	return atl_exec(conn, info,
			"INSERT INTO transfers (id, user_id, url, file_name, sha256, size_bytes, state, created_at, updated_at) "
			"VALUES (?, ?, ?, ?, ?, ?, 'running', ?, ?)",
			"sssssiii", t->id, t->user_id, t->url, t->file, slot->sha256, (int64_t)slot->demanded, t->created_at,
			t->updated_at);
}

struct change {
	const struct atl_transfer *t;
	int64_t size; /* as stored */
};

static enum atl_err change_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct change *c = arg;
	const struct atl_transfer_error *e = c->t->error;
	return atl_exec(conn, info,
			"UPDATE transfers SET state = ?, size_bytes = ?, error_slug = ?, error_detail = ?, updated_at = ? WHERE id = ?",
			"sissis", c->t->state, c->size, e ? e->slug : NULL, e ? e->detail : NULL, c->t->updated_at, c->t->id);
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "DELETE FROM transfers WHERE id = ?", "s", arg);
}

static enum atl_err recover_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "UPDATE transfers SET state = 'paused' WHERE state = 'running'", "");
}

/* What is not in the row: how far it is. */
static void complete(struct atl_app *app, struct atl_transfer *t)
{
	struct atl_transfers *self = app->transfers;
	char path[PATH_SIZE];
	uint64_t bytes = 0;
	bool live = false;
	pthread_mutex_lock(&self->lock);
	for (size_t i = 0; i < ATL_TRANSFERS_RUNNING_MAX; i++) {
		const struct slot *s = &self->slots[i];
		if (!s->used || s->ended || !atl_str_eq(s->id, t->id))
			continue;
		live = true;
		t->received_bytes = (int64_t)s->received;
		t->bytes_per_second = (int64_t)s->per_second;
		if (s->size)
			t->size_bytes = (int64_t)s->size;
	}
	pthread_mutex_unlock(&self->lock);
	if (live)
		return;
	part_path(app, t->id, path);
	if (atl_str_eq(t->state, "done"))
		t->received_bytes = t->size_bytes;
	else if (atl_file_size(path, &bytes, NULL) == ATL_OK)
		t->received_bytes = (int64_t)bytes;
}

static enum atl_err load_one(struct atl_app *app, struct load *load, struct atl_transfer *ret, struct atl_errinfo *info)
{
	load->items = ret;
	load->max = 1;
	enum atl_err err = app->transfers ? atl_db_read(app->db, load_fn, load, info) : ATL_OK;
	if (!err && !load->count)
		err = atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such download.");
	return err;
}

enum atl_err atl_transfer_get(struct atl_app *app, struct atl_arena *arena, const char *id, struct atl_transfer *ret,
			      struct atl_errinfo *info)
{
	struct load load = {.arena = arena, .id = id};
	enum atl_err err = load_one(app, &load, ret, info);
	if (!err)
		complete(app, ret);
	return err;
}

enum atl_err atl_transfer_list(struct atl_app *app, struct atl_arena *arena, struct atl_transfer **ret,
			       size_t *ret_count, struct atl_errinfo *info)
{
	struct load load = {.arena = arena, .max = ATL_TRANSFERS_KEPT_MAX};
	load.items = ATL_ARENA_ARRAY(arena, struct atl_transfer, ATL_TRANSFERS_KEPT_MAX);
	if (!load.items)
		return atl_fail(info, ATL_ERR_NOMEM, "list downloads");
	enum atl_err err = app->transfers ? atl_db_read(app->db, load_fn, &load, info) : ATL_OK;
	for (size_t i = 0; !err && i < load.count; i++)
		complete(app, &load.items[i]);
	*ret = load.items;
	*ret_count = load.count;
	return err;
}

/* ---- the thread ---- */

static void tell(struct slot *slot, uint64_t now_ms)
{
	slot->told_ms = now_ms;
	slot->told_bytes = slot->received;
	atl_publish(slot->owner->app, slot->row.user_id, "transfer.progress", "transfer", &atl_transfer_desc, &slot->row);
}

static enum atl_err on_size(void *arg, uint64_t size, uint64_t missing, struct atl_errinfo *info)
{
	struct slot *slot = arg;
	pthread_mutex_lock(&slot->owner->lock);
	slot->size = size;
	slot->received = size - missing;
	pthread_mutex_unlock(&slot->owner->lock);
	slot->told_bytes = size - missing;
	slot->row.size_bytes = (int64_t)size;
	return atl_local_models_room(slot->owner->app, missing, info);
}

static void on_progress(void *arg, uint64_t received, uint64_t size)
{
	struct slot *slot = arg;
	uint64_t now_ms = atl_monotonic_ms(), passed = now_ms - slot->told_ms, speed = 0;
	bool due = passed >= 1000 / ATL_TRANSFER_EVENTS_PER_S;
	if (due && received > slot->told_bytes)
		speed = (received - slot->told_bytes) * 1000 / passed;
	pthread_mutex_lock(&slot->owner->lock);
	slot->received = received;
	if (due) /* smoothed, so that the time left does not jump about */
		slot->per_second = slot->per_second ? (3 * slot->per_second + speed) / 4 : speed;
	slot->row.bytes_per_second = (int64_t)slot->per_second;
	pthread_mutex_unlock(&slot->owner->lock);
	slot->row.received_bytes = (int64_t)received;
	if (due)
		tell(slot, now_ms);
}

/* Write the row's end, tell the owner, free the slot. */
static void finish(struct slot *slot, enum atl_err err, const struct atl_errinfo *info)
{
	struct atl_transfers *self = slot->owner;
	struct atl_transfer *t = &slot->row;
	char path[PATH_SIZE];
	struct atl_errinfo why = {0};
	struct atl_transfer_error error = {atl_err_slug(err), info->detail[0] ? info->detail : atl_err_sentence(err)};
	part_path(self->app, t->id, path);
	pthread_mutex_lock(&self->lock);
	bool cancelled = slot->cancelled && err;
	pthread_mutex_unlock(&self->lock);
	t->state = !err ? "done" : cancelled ? "cancelled" : err == ATL_ERR_CANCELLED || err == ATL_ERR_SHUTDOWN ? "paused" : "failed";
	t->error = atl_str_eq(t->state, "failed") ? &error : NULL;
	t->bytes_per_second = 0;
	t->updated_at = atl_now_ms();
	if (cancelled || !err)
		atl_download_forget(path);
	if (cancelled)
		t->received_bytes = 0;
	struct change change = {.t = t, .size = slot->demanded ? (int64_t)slot->demanded : -t->size_bytes};
	if (atl_db_tx(self->app->db, change_fn, &change, &why) != ATL_OK)
		atl_error(MODULE, "%s: its end cannot be written: %s", t->id, why.detail);
	atl_info(MODULE, "%s: %s%s%s", t->file, t->state, t->error ? ": " : "", t->error ? error.detail : "");
	tell(slot, atl_monotonic_ms());
	pthread_mutex_lock(&self->lock);
	slot->ended = true;
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
}

static void *run(void *arg)
{
	struct slot *slot = arg;
	struct atl_transfers *self = slot->owner;
	struct atl_app *app = self->app;
	struct atl_local_model model;
	struct atl_errinfo info = {0};
	char path[PATH_SIZE];
	part_path(app, slot->row.id, path);
	const struct atl_download_request request = {
		.url = slot->row.url, .path = path, .guard = app->guard, .sha256 = slot->sha256, .size_bytes = slot->demanded,
		.max_bytes = ATL_LOCAL_MODEL_BYTES_MAX, .on_size = on_size, .on_progress = on_progress, .arg = slot};
	slot->told_ms = atl_monotonic_ms();
	enum atl_err err = atl_download_run(slot->download, app->loops[(size_t)(slot - self->slots) % app->loop_count],
					    &request, &info);
	if (!err) {
		if (atl_picture_intake_wants(app, slot->row.file))
			err = atl_picture_intake_take(app, &slot->arena, slot->row.file, path, &model.size_bytes, &info);
		else
			err = atl_local_model_take(app, &slot->arena, slot->row.file, path, &model, &info);
		if (!err)
			slot->row.received_bytes = slot->row.size_bytes = model.size_bytes;
		if (err == ATL_ERR_UNPROCESSABLE)
			atl_download_forget(path); /* going on with it cannot help */
	}
	finish(slot, err, &info);
	return NULL;
}

/* Join the thread and make the slot free; lock held, or nobody else is there. */
static void clear_slot(struct slot *slot)
{
	pthread_join(slot->thread, NULL);
	atl_download_destroy(slot->download);
	atl_arena_finish(&slot->arena);
	memset(slot, 0, sizeof *slot);
}

/* A free slot with its own copies of the transfer, or NULL; `starting` held. Launching makes it a running one. */
static struct slot *take_slot(struct atl_transfers *self, const struct atl_transfer *t, const char *sha256,
			      int64_t size, enum atl_err *err, struct atl_errinfo *info)
{
	struct slot *slot = NULL;
	pthread_mutex_lock(&self->lock);
	for (size_t i = 0; i < ATL_TRANSFERS_RUNNING_MAX; i++) {
		if (self->slots[i].used && self->slots[i].ended)
			clear_slot(&self->slots[i]);
		if (!self->slots[i].used)
			slot = &self->slots[i];
	}
	bool closing = self->closing;
	pthread_mutex_unlock(&self->lock);
	if (closing || !slot) {
		*err = closing ? atl_fail(info, ATL_ERR_SHUTDOWN, "%s", atl_err_sentence(ATL_ERR_SHUTDOWN))
			       : atl_fail(info, ATL_ERR_CONFLICT, "%d downloads are running. Wait for one of them to end.",
					  ATL_TRANSFERS_RUNNING_MAX);
		return NULL;
	}
	atl_arena_init(&slot->arena, 0);
	struct atl_arena *a = &slot->arena;
	slot->owner = self;
	slot->row = *t;
	slot->row.id = atl_arena_strdup(a, t->id);
	slot->row.user_id = atl_arena_strdup(a, t->user_id);
	slot->row.url = atl_arena_strdup(a, t->url);
	slot->row.file = atl_arena_strdup(a, t->file);
	slot->row.state = "running";
	slot->row.error = NULL;
	slot->row.updated_at = atl_now_ms();
	slot->sha256 = atl_arena_strdup(a, sha256);
	slot->demanded = size > 0 ? (uint64_t)size : 0;
	atl_str_copy(slot->id, sizeof slot->id, t->id);
	if (slot->row.id && slot->row.user_id && slot->row.url && slot->row.file && (slot->sha256 || !sha256) &&
	    atl_download_create(&slot->download) == ATL_OK)
		return slot;
	atl_arena_finish(a);
	memset(slot, 0, sizeof *slot);
	*err = atl_fail(info, ATL_ERR_NOMEM, "start download");
	return NULL;
}

static void drop_slot(struct slot *slot)
{
	atl_download_destroy(slot->download);
	atl_arena_finish(&slot->arena);
	memset(slot, 0, sizeof *slot);
}

static enum atl_err launch(struct slot *slot, struct atl_errinfo *info)
{
	struct atl_transfers *self = slot->owner;
	struct atl_errinfo why = {0};
	pthread_mutex_lock(&self->lock);
	slot->received = (uint64_t)slot->row.received_bytes;
	slot->size = (uint64_t)slot->row.size_bytes;
	slot->told_bytes = slot->received;
	slot->used = true;
	if (self->closing)
		atl_download_cancel(slot->download);
	bool failed = pthread_create(&slot->thread, NULL, run, slot) != 0;
	if (failed)
		slot->used = false;
	pthread_mutex_unlock(&self->lock);
	if (!failed)
		return ATL_OK;
	slot->row.state = "paused";
	struct change change = {.t = &slot->row, .size = slot->demanded ? (int64_t)slot->demanded : -slot->row.size_bytes};
	if (atl_db_tx(self->app->db, change_fn, &change, &why) != ATL_OK)
		atl_error(MODULE, "%s: %s", slot->row.id, why.detail);
	drop_slot(slot);
	return atl_fail(info, ATL_ERR_NOMEM, "start download");
}

/* ---- for callers ---- */

/* The file name at the end of an address. */
static const char *name_of(struct atl_arena *arena, const char *url)
{
	size_t length = strcspn(url, "?#"), start = length;
	char *name = NULL;
	while (start > 0 && url[start - 1] != '/')
		start--;
	return atl_percent_decode(arena, url + start, length - start, false, &name) ? name : "";
}

static enum atl_err check(struct atl_app *app, struct atl_arena *arena, const struct atl_transfer_wish *wish,
			  const char *file, struct atl_errinfo *info)
{
	unsigned char digest[ATL_SHA256_SIZE];
	struct atl_transfer *items;
	struct atl_local_model model;
	size_t count;
	if (strlen(wish->url) > ATL_TRANSFER_URL_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "url", "The address is too long.");
	enum atl_err err = atl_guard_url(app->guard, wish->url, info);
	if (err)
		return atl_fail_field(info, err, "url", "%s", atl_str_empty(info->detail) ? atl_err_sentence(err) : info->detail);
	if (wish->sha256 && (strlen(wish->sha256) != 2 * sizeof digest || !atl_hex_decode(wish->sha256, digest, sizeof digest)))
		return atl_fail_field(info, ATL_ERR_INVALID, "sha256", "A SHA-256 has 64 hexadecimal digits.");
	bool picture = atl_picture_intake_wants(app, file);
	err = picture ? atl_picture_intake_check(app, file, info) : atl_local_model_name_check(file, info);
	if (err)
		return err;
	if (!picture && atl_local_model_get(app, arena, file, &model, NULL) == ATL_OK)
		return atl_fail_field(info, ATL_ERR_CONFLICT, "file", "There is a model file of this name already.");
	err = atl_transfer_list(app, arena, &items, &count, info);
	for (size_t i = 0; !err && i < count; i++)
		if (atl_str_eq(items[i].file, file) && !atl_str_eq(items[i].state, "done") &&
		    !atl_str_eq(items[i].state, "cancelled"))
			err = atl_fail_field(info, ATL_ERR_CONFLICT, "file",
					     "There is an unfinished download of this file. Resume or cancel it.");
	if (!err)
		err = atl_dir_make(app->models_dir, 0755, info);
	return err ? err : atl_local_models_room(app, (uint64_t)(wish->size_bytes ? wish->size_bytes : wish->size_about), info);
}

enum atl_err atl_transfer_start(struct atl_app *app, const char *user_id, struct atl_arena *arena,
				const struct atl_transfer_wish *wish, struct atl_transfer *ret, struct atl_errinfo *info)
{
	struct atl_transfers *self = app->transfers;
	char *id = atl_arena_alloc(arena, ATL_ID_SIZE);
	const char *file = wish->file ? wish->file : name_of(arena, wish->url);
	struct slot *slot = NULL;
	if (!self)
		return atl_fail(info, ATL_ERR_UNAVAILABLE, "Downloads are switched off.");
	if (!id || !file)
		return atl_fail(info, ATL_ERR_NOMEM, "start download");
	atl_id_new("trf", id);
	struct atl_transfer t = {.id = id, .user_id = user_id, .url = wish->url, .file = file, .state = "running",
				 .size_bytes = wish->size_bytes, .created_at = atl_now_ms()};
	t.updated_at = t.created_at;
	pthread_mutex_lock(&self->starting);
	enum atl_err err = check(app, arena, wish, file, info);
	if (!err)
		slot = take_slot(self, &t, wish->sha256, wish->size_bytes, &err, info);
	if (!err && (err = atl_db_tx(app->db, insert_fn, slot, info)) != ATL_OK)
		drop_slot(slot);
	if (!err)
		err = launch(slot, info);
	pthread_mutex_unlock(&self->starting);
	*ret = t;
	return err;
}

enum atl_err atl_transfer_resume(struct atl_app *app, struct atl_arena *arena, const char *id, struct atl_transfer *ret,
				 struct atl_errinfo *info)
{
	struct atl_transfers *self = app->transfers;
	struct load load = {.arena = arena, .id = id};
	struct slot *slot = NULL;
	enum atl_err err = load_one(app, &load, ret, info);
	if (err)
		return err;
	pthread_mutex_lock(&self->starting);
	err = load_one(app, &load, ret, info); /* as it is now that nobody else can change it */
	if (!err && !atl_str_eq(ret->state, "paused") && !atl_str_eq(ret->state, "failed"))
		err = atl_fail(info, ATL_ERR_CONFLICT, "Only a paused or failed download can go on; this one is %s.", ret->state);
	if (!err) {
		complete(app, ret);
		slot = take_slot(self, ret, load.sha256, load.size, &err, info);
	}
	struct change change = {.t = slot ? &slot->row : NULL, .size = load.size};
	if (!err && (err = atl_db_tx(app->db, change_fn, &change, info)) != ATL_OK)
		drop_slot(slot);
	if (!err) {
		ret->state = "running";
		ret->error = NULL;
		ret->updated_at = slot->row.updated_at;
		err = launch(slot, info);
	}
	pthread_mutex_unlock(&self->starting);
	return err;
}

/* Stop a running one and wait until its row says how it ended. */
static void stop_running(struct atl_transfers *self, const char *id)
{
	pthread_mutex_lock(&self->lock);
	for (size_t i = 0; i < ATL_TRANSFERS_RUNNING_MAX; i++) {
		struct slot *slot = &self->slots[i];
		if (!slot->used || !atl_str_eq(slot->id, id))
			continue;
		slot->cancelled = true;
		if (!slot->ended)
			atl_download_cancel(slot->download);
		while (slot->used && !slot->ended && atl_str_eq(slot->id, id))
			pthread_cond_wait(&self->changed, &self->lock);
	}
	pthread_mutex_unlock(&self->lock);
}

enum atl_err atl_transfer_cancel(struct atl_app *app, const char *id, struct atl_errinfo *info)
{
	struct atl_transfers *self = app->transfers;
	struct atl_transfer t;
	struct atl_arena arena;
	atl_arena_init(&arena, 0);
	struct load load = {.arena = &arena, .id = id};
	enum atl_err err = load_one(app, &load, &t, info);
	if (!err) {
		bool over = atl_str_eq(t.state, "done") || atl_str_eq(t.state, "cancelled");
		pthread_mutex_lock(&self->starting);
		stop_running(self, id);
		err = load_one(app, &load, &t, info);
		if (!err && over)
			err = atl_db_tx(app->db, delete_fn, (void *)id, info);
		if (!err && (atl_str_eq(t.state, "paused") || atl_str_eq(t.state, "failed"))) {
			char path[PATH_SIZE];
			part_path(app, id, path);
			atl_download_forget(path);
			t.state = "cancelled";
			t.updated_at = atl_now_ms();
			struct change change = {.t = &t, .size = load.size};
			err = atl_db_tx(app->db, change_fn, &change, info);
			if (!err)
				atl_publish(app, t.user_id, "transfer.progress", "transfer", &atl_transfer_desc, &t);
		}
		pthread_mutex_unlock(&self->starting);
	}
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_transfers_create(struct atl_app *app, struct atl_transfers **ret, struct atl_errinfo *info)
{
	struct atl_transfers *self = calloc(1, sizeof *self);
	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "downloads");
	self->app = app;
	pthread_mutex_init(&self->lock, NULL);
	pthread_mutex_init(&self->starting, NULL);
	pthread_cond_init(&self->changed, NULL);
	enum atl_err err = atl_db_tx(app->db, recover_fn, NULL, info);
	if (err)
		atl_transfers_destroy(self);
	else
		*ret = self;
	return err;
}

void atl_transfers_drain(struct atl_transfers *self)
{
	if (!self)
		return;
	pthread_mutex_lock(&self->lock);
	self->closing = true;
	for (size_t i = 0; i < ATL_TRANSFERS_RUNNING_MAX; i++)
		if (self->slots[i].used && !self->slots[i].ended)
			atl_download_cancel(self->slots[i].download);
	pthread_mutex_unlock(&self->lock);
}

void atl_transfers_destroy(struct atl_transfers *self)
{
	if (!self)
		return;
	atl_transfers_drain(self);
	for (size_t i = 0; i < ATL_TRANSFERS_RUNNING_MAX; i++)
		if (self->slots[i].used)
			clear_slot(&self->slots[i]);
	pthread_cond_destroy(&self->changed);
	pthread_mutex_destroy(&self->starting);
	pthread_mutex_destroy(&self->lock);
	free(self);
}
