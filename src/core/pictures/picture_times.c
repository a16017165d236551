/* picture_times.c - see picture_times.h. */
#include "core/pictures/picture_times.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"

#define HISTORY 20
#define FADE (1.0 - 1.0 / HISTORY)
#define UNKNOWN_MS 1000 /* until the rows are looked at again when nothing was found */

struct entry {
	double units, ms;
	uint64_t read_at_ms;
};

struct atl_picture_times {
	struct atl_db *db;
	/* guarded by lock */
	pthread_mutex_t lock;
	struct atl_map entries; /* model -> struct entry */
	size_t count;
};

enum atl_err atl_picture_times_create(struct atl_db *db, struct atl_picture_times **ret, struct atl_errinfo *info)
{
	struct atl_picture_times *self = calloc(1, sizeof(*self));

	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "times of models");
	self->db = db;
	pthread_mutex_init(&self->lock, NULL);
	atl_map_init(&self->entries);
	*ret = self;
	return ATL_OK;
}

static void free_entry(const char *key, void *value, void *arg)
{
	free(value);
}

void atl_picture_times_destroy(struct atl_picture_times *times)
{
	if (!times)
		return;
	atl_map_each(&times->entries, free_entry, NULL);
	atl_map_finish(&times->entries);
	pthread_mutex_destroy(&times->lock);
	free(times);
}

double atl_picture_times_units(int64_t width, int64_t height, int64_t steps, int64_t count)
{
	return (double)width * (double)height / 1e6 * (double)(steps > 0 ? steps : 1) * (double)(count > 0 ? count : 1);
}

struct past {
	struct atl_arena *arena;
	const char *model;
	struct entry found;
};

static enum atl_err past_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct past *p = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT request, count, finished_at - started_at FROM jobs WHERE model = ? AND state = 'done' AND "
				     "started_at IS NOT NULL ORDER BY id DESC LIMIT ?",
				     "si", p->model, (int64_t)HISTORY);

	p->found = (struct entry){ 0 };
	while (!err && atl_rows_next(rows, &err, info)) {
		const char *text = atl_col_text(rows, 0, p->arena);
		struct atl_json *request;

		if (!text || atl_json_parse(p->arena, text, strlen(text), &request, NULL) != ATL_OK)
			continue;
		p->found.units += atl_picture_times_units(atl_json_int(request, "width", 512), atl_json_int(request, "height", 512),
							  atl_json_int(request, "steps", 20), atl_col_int(rows, 1));
		p->found.ms += (double)atl_col_int(rows, 2);
	}
	return err;
}

/* With the lock; NULL: there is no room. */
static struct entry *entry_of(struct atl_picture_times *times, const char *model)
{
	struct entry *entry = atl_map_get(&times->entries, model);

	if (entry || times->count >= ATL_PICTURE_TIMES_MAX)
		return entry;
	entry = calloc(1, sizeof(*entry));
	if (!entry || atl_map_put(&times->entries, model, entry, NULL) != ATL_OK) {
		free(entry);
		return NULL;
	}
	times->count++;
	return entry;
}

static double per_unit(const struct entry *entry)
{
	return entry->units > 0 ? entry->ms / entry->units : 0;
}

double atl_picture_times_ms(struct atl_picture_times *times, const char *model)
{
	uint64_t now = atl_monotonic_ms();
	struct past p = { .model = model };
	struct atl_arena arena;
	struct entry *entry;
	double known = -1;

	pthread_mutex_lock(&times->lock);
	entry = atl_map_get(&times->entries, model);
	if (entry && entry->read_at_ms && (entry->units > 0 || now - entry->read_at_ms < UNKNOWN_MS))
		known = per_unit(entry);
	pthread_mutex_unlock(&times->lock);
	if (known >= 0)
		return known;
	p.arena = &arena;
	atl_arena_init(&arena, 0);
	if (atl_db_read(times->db, past_fn, &p, NULL) == ATL_OK) {
		pthread_mutex_lock(&times->lock);
		entry = entry_of(times, model);
		if (entry) {
			*entry = p.found;
			entry->read_at_ms = now ? now : 1;
		}
		pthread_mutex_unlock(&times->lock);
	}
	atl_arena_finish(&arena);
	return per_unit(&p.found);
}

void atl_picture_times_add(struct atl_picture_times *times, const char *model, double units, double ms)
{
	struct entry *entry;

	pthread_mutex_lock(&times->lock);
	entry = atl_map_get(&times->entries, model); /* one that was not read yet is read with this job */
	if (entry && entry->read_at_ms && units > 0) {
		entry->units = entry->units * FADE + units;
		entry->ms = entry->ms * FADE + ms;
	}
	pthread_mutex_unlock(&times->lock);
}
