/* map.c - chained buckets, doubled when the map holds as many entries as buckets. */
#include "base/map.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 16

struct atl_map_entry {
	struct atl_map_entry *next;
	uint64_t hash;
	void *value;
	char key[];
};

_Static_assert(sizeof(((struct atl_map *)0)->seed) == crypto_shorthash_KEYBYTES, "the seed is a SipHash key");
_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "a hash fits a word");

void atl_map_init(struct atl_map *map)
{
	memset(map, 0, sizeof(*map));
	randombytes_buf(map->seed, sizeof(map->seed));
}

void atl_map_finish(struct atl_map *map)
{
	for (size_t i = 0; i < map->bucket_count; i++) {
		while (map->buckets[i]) {
			struct atl_map_entry *next = map->buckets[i]->next;

			free(map->buckets[i]);
			map->buckets[i] = next;
		}
	}
	free(map->buckets);
	map->buckets = NULL;
	map->bucket_count = 0;
	map->count = 0;
}

static uint64_t hash_of(const struct atl_map *map, const char *key)
{
	uint64_t hash;

	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key, strlen(key), map->seed);
	return hash;
}

/* The link that points to the entry of `key`, or to the NULL at its bucket's end. The map has buckets. */
static struct atl_map_entry **find(const struct atl_map *map, const char *key, uint64_t hash)
{
	struct atl_map_entry **link = &map->buckets[hash & (map->bucket_count - 1)];

	while (*link && ((*link)->hash != hash || strcmp((*link)->key, key) != 0))
		link = &(*link)->next;
	return link;
}

static enum atl_err grow(struct atl_map *map)
{
	size_t count = map->bucket_count ? map->bucket_count * 2 : BUCKETS_FIRST;
	struct atl_map_entry **buckets = calloc(count, sizeof(struct atl_map_entry *));

	if (!buckets)
		return ATL_ERR_NOMEM;
	for (size_t i = 0; i < map->bucket_count; i++) {
		struct atl_map_entry *entry = map->buckets[i];

		while (entry) {
			struct atl_map_entry *next = entry->next, **bucket = &buckets[entry->hash & (count - 1)];

			entry->next = *bucket;
			*bucket = entry;
			entry = next;
		}
	}
	free(map->buckets);
	map->buckets = buckets;
	map->bucket_count = count;
	return ATL_OK;
}

void *atl_map_get(const struct atl_map *map, const char *key)
{
	struct atl_map_entry *entry;

	if (!map->count || !key)
		return NULL;
	entry = *find(map, key, hash_of(map, key));
	return entry ? entry->value : NULL;
}

enum atl_err atl_map_put(struct atl_map *map, const char *key, void *value, void **ret_old)
{
	uint64_t hash = hash_of(map, key);
	struct atl_map_entry **link, *entry;
	size_t size = strlen(key) + 1;

	if (map->count >= map->bucket_count && grow(map) != ATL_OK)
		return ATL_ERR_NOMEM;
	link = find(map, key, hash);
	if (*link) {
		if (ret_old)
			*ret_old = (*link)->value;
		(*link)->value = value;
		return ATL_OK;
	}
	entry = malloc(sizeof(*entry) + size);
	if (!entry)
		return ATL_ERR_NOMEM;
	entry->next = NULL;
	entry->hash = hash;
	entry->value = value;
	memcpy(entry->key, key, size);
	*link = entry;
	map->count++;
	if (ret_old)
		*ret_old = NULL;
	return ATL_OK;
}

void *atl_map_remove(struct atl_map *map, const char *key)
{
	struct atl_map_entry **link, *entry;
	void *value;

	if (!map->count || !key)
		return NULL;
	link = find(map, key, hash_of(map, key));
	entry = *link;
	if (!entry)
		return NULL;
	*link = entry->next;
	value = entry->value;
	free(entry);
	map->count--;
	return value;
}

void atl_map_each(struct atl_map *map, void (*fn)(const char *key, void *value, void *arg), void *arg)
{
	for (size_t i = 0; i < map->bucket_count; i++) {
		struct atl_map_entry *entry = map->buckets[i];

		while (entry) {
			struct atl_map_entry *next = entry->next;

			fn(entry->key, entry->value, arg);
			entry = next;
		}
	}
}
