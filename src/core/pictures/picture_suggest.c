/* picture_suggest.c - see picture_suggest.h. */
#include "core/pictures/picture_suggest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/models/provider.h"
#include "core/server/events.h"
#include "os/pool.h"
#include "provider/image.h"

#define MODULE "picture models"
#define ID_MAX 64
#define NAME_MAX_BYTES 64

struct entry {
	/* set when it is made */
	struct atl_picture_suggest *owner;
	char provider_id[ID_MAX], name[NAME_MAX_BYTES];
	/* guarded by lock */
	struct atl_arena arena; /* of values */
	struct atl_strs values;
	uint64_t next_ms; /* monotonic: ask again from here on */
	bool asking;
};

struct atl_picture_suggest {
	struct atl_app *app;
	atomic_bool stopping;
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t idle;
	struct entry entries[ATL_SUGGEST_SERVICES_MAX];
	size_t count, asking;
};

enum atl_err atl_picture_suggest_create(struct atl_app *app, struct atl_picture_suggest **ret, struct atl_errinfo *info)
{
	struct atl_picture_suggest *self = calloc(1, sizeof(*self));

	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "model registry");
	self->app = app;
	atomic_init(&self->stopping, false);
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->idle, NULL);
	*ret = self;
	return ATL_OK;
}

void atl_picture_suggest_destroy(struct atl_picture_suggest *suggest)
{
	if (!suggest)
		return;
	atomic_store(&suggest->stopping, true);
	pthread_mutex_lock(&suggest->lock);
	while (suggest->asking)
		pthread_cond_wait(&suggest->idle, &suggest->lock);
	pthread_mutex_unlock(&suggest->lock);
	for (size_t i = 0; i < suggest->count; i++)
		atl_arena_finish(&suggest->entries[i].arena);
	pthread_cond_destroy(&suggest->idle);
	pthread_mutex_destroy(&suggest->lock);
	free(suggest);
}

/* Only what can be shown and sent back; false: no memory. */
static bool copy(struct atl_arena *arena, const struct atl_strs *from, struct atl_strs *ret)
{
	const char **items = ATL_ARENA_ARRAY(arena, const char *, from->count + 1);

	*ret = (struct atl_strs){ items, 0 };
	for (size_t i = 0; items && i < from->count && ret->count < ATL_SUGGEST_VALUES_MAX; i++) {
		size_t length = strlen(from->items[i]);

		if (!length || length > ATL_SUGGEST_VALUE_MAX || !atl_utf8_valid(from->items[i], length))
			continue;
		items[ret->count] = atl_arena_strndup(arena, from->items[i], length);
		if (!items[ret->count++])
			return false;
	}
	return items != NULL;
}

static bool same(const struct atl_strs *a, const struct atl_strs *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!atl_str_eq(a->items[i], b->items[i]))
			return false;
	return true;
}

/* Under lock. True: there is something new to show. */
static bool keep(struct entry *entry, enum atl_err err, const struct atl_strs *found)
{
	struct atl_arena arena;
	struct atl_strs values;

	entry->next_ms = atl_monotonic_ms() + (err ? ATL_SUGGEST_RETRY_MS : ATL_SUGGEST_KEEP_MS);
	if (err) /* what was known stays */
		return false;
	atl_arena_init(&arena, (size_t)1 << 20);
	if (!copy(&arena, found, &values) || same(&values, &entry->values)) {
		atl_arena_finish(&arena);
		return false;
	}
	atl_arena_finish(&entry->arena);
	entry->arena = arena;
	entry->values = values;
	return true;
}

/* In the pool. */
static void ask(void *arg)
{
	struct entry *entry = arg;
	struct atl_picture_suggest *self = entry->owner;
	struct atl_strs found = { 0 };
	struct atl_errinfo info = { 0 };
	struct atl_image_endpoint endpoint;
	const struct atl_image_ops *ops;
	struct atl_arena arena;
	enum atl_err err;
	bool news;

	atl_arena_init(&arena, (size_t)16 << 20);
	err = atl_provider_image_endpoint(self->app, &arena, entry->provider_id, &endpoint, &info);
	ops = err ? NULL : atl_image_ops_find(endpoint.kind);
	if (!err && (!ops || !ops->suggest || (ops->needs_key && !endpoint.key)))
		err = atl_fail(&info, ATL_ERR_UNSUPPORTED, "it cannot be asked");
	if (!err)
		err = ops->suggest(&endpoint, entry->name, &self->stopping, &arena, &found, &info);
	if (err && !atomic_load(&self->stopping))
		atl_debug(MODULE, "%s: what it suggests for %s: %s %s", entry->provider_id, entry->name, atl_err_name(err), info.detail);
	pthread_mutex_lock(&self->lock);
	news = keep(entry, err, &found);
	pthread_mutex_unlock(&self->lock);
	if (news)
		atl_events_publish_all(self->app->events, "picture_models.changed", "{}", 2);
	atl_arena_finish(&arena);
	pthread_mutex_lock(&self->lock); /* the last word: whoever destroys may go on now */
	entry->asking = false;
	if (--self->asking == 0)
		pthread_cond_broadcast(&self->idle);
	pthread_mutex_unlock(&self->lock);
}

/* Under lock; NULL: no room. */
static struct entry *entry_of(struct atl_picture_suggest *self, const char *provider_id, const char *name)
{
	struct entry *entry = self->entries;

	for (size_t i = 0; i < self->count; i++, entry++)
		if (atl_str_eq(entry->provider_id, provider_id) && atl_str_eq(entry->name, name))
			return entry;
	if (self->count == ATL_SUGGEST_SERVICES_MAX || strlen(provider_id) >= ID_MAX || strlen(name) >= NAME_MAX_BYTES)
		return NULL;
	entry->owner = self;
	atl_str_copy(entry->provider_id, sizeof(entry->provider_id), provider_id);
	atl_str_copy(entry->name, sizeof(entry->name), name);
	atl_arena_init(&entry->arena, (size_t)1 << 20);
	self->count++;
	return entry;
}

struct atl_strs atl_picture_suggest_get(struct atl_picture_suggest *suggest, struct atl_arena *arena,
					const char *provider_id, const char *name)
{
	struct atl_strs values = { 0 };
	struct entry *entry;

	pthread_mutex_lock(&suggest->lock);
	entry = entry_of(suggest, provider_id, name);
	if (entry && entry->values.count && !copy(arena, &entry->values, &values))
		values.count = 0;
	if (entry && suggest->app->pool && !entry->asking && atl_monotonic_ms() >= entry->next_ms && !atomic_load(&suggest->stopping) &&
	    atl_pool_submit(suggest->app->pool, ask, entry) == ATL_OK) {
		entry->asking = true;
		suggest->asking++;
	}
	pthread_mutex_unlock(&suggest->lock);
	return values;
}
