/* stmt_cache.c - the table by text is the truth, the table by address a hint. */
#include "db/stmt_cache.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_text(const char *kinds, const char *sql)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *kinds; kinds++)
		hash = (hash ^ (unsigned char)*kinds) * 0x100000001b3u;
	hash = (hash ^ ':') * 0x100000001b3u;
	for (; *sql; sql++)
		hash = (hash ^ (unsigned char)*sql) * 0x100000001b3u;
	return hash ^ (hash >> 32);
}

static uint16_t *address_slot(struct atl_stmt_cache *cache, const char *sql)
{
	uint64_t bits = (uint64_t)(uintptr_t)sql * 0x9e3779b97f4a7c15u;

	return &cache->by_address[(bits >> 40) & (ATL_STMT_CACHE_SLOTS - 1)];
}

static bool same(const struct atl_stmt *stmt, const char *kinds, const char *sql)
{
	size_t length = strlen(kinds);

	return strncmp(stmt->key, kinds, length) == 0 && stmt->key[length] == ':' && stmt->sql == stmt->key + length + 1 &&
	       strcmp(stmt->sql, sql) == 0;
}

void atl_stmt_cache_init(struct atl_stmt_cache *cache, void (*drop)(struct atl_stmt *stmt, void *arg), void *arg)
{
	memset(cache, 0, sizeof(*cache));
	cache->drop = drop;
	cache->arg = arg;
}

void atl_stmt_cache_finish(struct atl_stmt_cache *cache)
{
	for (int i = 0; i < ATL_STMT_CACHE_MAX; i++) {
		struct atl_stmt *stmt = &cache->items[i];

		if (!stmt->key)
			continue;
		cache->drop(stmt, cache->arg);
		free(stmt->key);
	}
	memset(cache->items, 0, sizeof(cache->items));
	cache->count = 0;
}

struct atl_stmt *atl_stmt_cache_find(struct atl_stmt_cache *cache, const char *kinds, const char *sql)
{
	uint16_t *hint = address_slot(cache, sql);
	struct atl_stmt *stmt = *hint ? &cache->items[*hint - 1] : NULL;
	uint64_t hash;

	if (stmt && stmt->key && same(stmt, kinds, sql)) {
		stmt->used = ++cache->tick;
		return stmt;
	}
	hash = hash_text(kinds, sql);
	for (size_t i = hash;; i++) {
		uint16_t index = cache->by_text[i & (ATL_STMT_CACHE_SLOTS - 1)];

		if (!index)
			return NULL;
		stmt = &cache->items[index - 1];
		if (stmt->hash == hash && same(stmt, kinds, sql)) {
			*hint = index;
			stmt->used = ++cache->tick;
			return stmt;
		}
	}
}

/* Entries are few and leave seldom: filling the table again is simpler than deleting from it. */
static void rebuild_by_text(struct atl_stmt_cache *cache)
{
	memset(cache->by_text, 0, sizeof(cache->by_text));
	for (int index = 0; index < ATL_STMT_CACHE_MAX; index++) {
		size_t i = cache->items[index].hash;

		if (!cache->items[index].key)
			continue;
		while (cache->by_text[i & (ATL_STMT_CACHE_SLOTS - 1)])
			i++;
		cache->by_text[i & (ATL_STMT_CACHE_SLOTS - 1)] = (uint16_t)(index + 1);
	}
}

void atl_stmt_cache_remove(struct atl_stmt_cache *cache, struct atl_stmt *stmt)
{
	cache->drop(stmt, cache->arg);
	free(stmt->key);
	memset(stmt, 0, sizeof(*stmt));
	cache->count--;
	rebuild_by_text(cache);
}

static struct atl_stmt *free_entry(struct atl_stmt_cache *cache)
{
	struct atl_stmt *oldest = NULL;

	for (int i = 0; i < ATL_STMT_CACHE_MAX; i++) {
		struct atl_stmt *stmt = &cache->items[i];

		if (!stmt->key)
			return stmt;
		if (!stmt->busy && (!oldest || stmt->used < oldest->used))
			oldest = stmt;
	}
	if (oldest)
		atl_stmt_cache_remove(cache, oldest);
	return oldest;
}

struct atl_stmt *atl_stmt_cache_add(struct atl_stmt_cache *cache, const char *kinds, const char *sql)
{
	struct atl_stmt *stmt = free_entry(cache);
	size_t kinds_length = strlen(kinds), sql_length = strlen(sql);
	size_t slot;

	if (!stmt)
		return NULL;
	stmt->key = malloc(kinds_length + 1 + sql_length + 1);
	if (!stmt->key)
		return NULL;
	memcpy(stmt->key, kinds, kinds_length);
	stmt->key[kinds_length] = ':';
	memcpy(stmt->key + kinds_length + 1, sql, sql_length + 1);
	stmt->sql = stmt->key + kinds_length + 1;
	stmt->hash = hash_text(kinds, sql);
	stmt->used = ++cache->tick;
	cache->count++;
	slot = stmt->hash;
	while (cache->by_text[slot & (ATL_STMT_CACHE_SLOTS - 1)])
		slot++;
	cache->by_text[slot & (ATL_STMT_CACHE_SLOTS - 1)] = (uint16_t)(stmt - cache->items + 1);
	*address_slot(cache, sql) = (uint16_t)(stmt - cache->items + 1);
	return stmt;
}
