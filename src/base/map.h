/* map.h - a hash map from text to pointer, and an intrusive doubly linked list.
 *
 * Keys are copied; values are borrowed. Keyed SipHash, so hostile keys do not collide on purpose.
 *
 * Life cycle: atl_map_init() .. atl_map_finish(). Threads: one at a time (guard it yourself).
 */
#ifndef ATL_BASE_MAP_H
#define ATL_BASE_MAP_H

#include "base/err.h"

struct atl_map_entry;
struct atl_map {
	struct atl_map_entry **buckets;
	size_t bucket_count;
	size_t count;
	unsigned char seed[16];
};

void atl_map_init(struct atl_map *map);
void atl_map_finish(struct atl_map *map);
void *atl_map_get(const struct atl_map *map, const char *key); /* NULL if absent */
enum atl_err atl_map_put(struct atl_map *map, const char *key, void *value, void **ret_old) ATL_MUST_USE; /* ret_old may be NULL */
void *atl_map_remove(struct atl_map *map, const char *key); /* the value, or NULL */
/* Calls fn for each entry, in no order. The entry being visited may be removed by fn; nothing may be added. */
void atl_map_each(struct atl_map *map, void (*fn)(const char *key, void *value, void *arg), void *arg);

struct atl_list {
	struct atl_list *next, *prev;
};
static inline void atl_list_init(struct atl_list *head)
{
	head->next = head->prev = head;
}
static inline bool atl_list_empty(const struct atl_list *head)
{
	return head->next == head;
}
static inline void atl_list_append(struct atl_list *head, struct atl_list *item)
{
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}
static inline void atl_list_remove(struct atl_list *item) /* harmless twice */
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	item->next = item->prev = item;
}
#define ATL_LIST_ITEM(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

#endif
