/* picture_texts.c - see picture_texts.h. */
#include "core/pictures/picture_texts.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/pictures/picture_model.h"

struct atl_picture_texts {
	struct atl_db *db;
	bool shared; /* others may change the table */
	/* guarded by lock */
	pthread_mutex_t lock;
	struct atl_arena arena;
	struct atl_picture_text *items;
	size_t count;
	bool known;
	uint64_t read_at_ms, changes;
};

enum atl_err atl_picture_texts_create(struct atl_db *db, struct atl_picture_texts **ret, struct atl_errinfo *info)
{
	struct atl_picture_texts *self = calloc(1, sizeof(*self));

	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "model registry");
	self->db = db;
	self->shared = db && atl_str_eq(atl_db_kind(db), "postgres");
	pthread_mutex_init(&self->lock, NULL);
	atl_arena_init(&self->arena, 0);
	*ret = self;
	return ATL_OK;
}

void atl_picture_texts_destroy(struct atl_picture_texts *texts)
{
	if (!texts)
		return;
	pthread_mutex_destroy(&texts->lock);
	atl_arena_finish(&texts->arena);
	free(texts);
}

struct read {
	struct atl_arena *arena;
	struct atl_picture_text *items;
	size_t count;
};

static enum atl_err read_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct read *r = arg;
	struct atl_rows *rows;
	int64_t room = 0;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT count(*) FROM picture_models", "");

	r->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		room = atl_col_int(rows, 0);
	if (err || room == 0)
		return err;
	room = room > ATL_PICTURE_MODELS_MAX ? ATL_PICTURE_MODELS_MAX : room;
	r->items = ATL_ARENA_ARRAY(r->arena, struct atl_picture_text, (size_t)room);
	if (!r->items)
		return atl_fail(info, ATL_ERR_NOMEM, "model registry");
	err = atl_query(conn, &rows, info, "SELECT id, entry FROM picture_models ORDER BY id LIMIT ?", "i", room);
	while (!err && atl_rows_next(rows, &err, info)) {
		struct atl_picture_text one = { atl_col_text(rows, 0, r->arena), atl_col_text(rows, 1, r->arena) };

		if (one.id && one.text)
			r->items[r->count++] = one;
	}
	return err;
}

static enum atl_err copy(struct atl_arena *arena, const struct atl_picture_text *items, size_t count,
			 struct atl_picture_text **ret, struct atl_errinfo *info)
{
	struct atl_picture_text *out = ATL_ARENA_ARRAY(arena, struct atl_picture_text, count + 1);

	if (!out)
		return atl_fail(info, ATL_ERR_NOMEM, "model registry");
	for (size_t i = 0; i < count; i++) {
		out[i] = (struct atl_picture_text){ atl_arena_strdup(arena, items[i].id), atl_arena_strdup(arena, items[i].text) };
		if (!out[i].id || !out[i].text)
			return atl_fail(info, ATL_ERR_NOMEM, "model registry");
	}
	*ret = out;
	return ATL_OK;
}

/* With the lock. What was read is kept, unless the table changed meanwhile. */
static void keep(struct atl_picture_texts *texts, const struct read *r, uint64_t changes)
{
	if (texts->changes != changes)
		return;
	atl_arena_reset(&texts->arena);
	texts->known = copy(&texts->arena, r->items, r->count, &texts->items, NULL) == ATL_OK;
	texts->count = r->count;
	texts->read_at_ms = atl_monotonic_ms();
}

enum atl_err atl_picture_texts_get(struct atl_picture_texts *texts, struct atl_arena *arena, struct atl_picture_text **ret,
				   size_t *ret_count, struct atl_errinfo *info)
{
	struct read r = { .arena = arena };
	uint64_t changes;
	bool known;
	enum atl_err err = ATL_OK;

	pthread_mutex_lock(&texts->lock);
	changes = texts->changes;
	known = texts->known && (!texts->shared || atl_monotonic_ms() - texts->read_at_ms < ATL_PICTURE_TEXTS_MS);
	if (known) {
		*ret_count = texts->count;
		err = copy(arena, texts->items, texts->count, ret, info);
	}
	pthread_mutex_unlock(&texts->lock);
	if (known)
		return err;
	err = atl_db_read(texts->db, read_fn, &r, info);
	if (err)
		return err;
	pthread_mutex_lock(&texts->lock);
	keep(texts, &r, changes);
	pthread_mutex_unlock(&texts->lock);
	*ret = r.items;
	*ret_count = r.count;
	return ATL_OK;
}

void atl_picture_texts_forget(struct atl_picture_texts *texts)
{
	pthread_mutex_lock(&texts->lock);
	texts->changes++;
	texts->known = false;
	pthread_mutex_unlock(&texts->lock);
}
