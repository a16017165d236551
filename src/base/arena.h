/* arena.h - memory that is freed all at once, for one request or one task.
 *
 * Life cycle: atl_arena_init() .. atl_arena_finish(); what was allocated is valid until finish or reset.
 * Threads:    one at a time.
 * Limits:     the maximum given at init; an allocation beyond it returns NULL. Functions of other modules that
 *             allocate from an arena answer ATL_ERR_NOMEM then.
 */
#ifndef ATL_BASE_ARENA_H
#define ATL_BASE_ARENA_H

#include "base/err.h"

#define ATL_ARENA_MAX_DEFAULT ((size_t)64 << 20)

struct atl_arena_block;
struct atl_arena {
	struct atl_arena_block *head;
	size_t used_bytes;
	size_t max_bytes;
};

void atl_arena_init(struct atl_arena *arena, size_t max_bytes); /* 0: ATL_ARENA_MAX_DEFAULT; allocates nothing yet */
void atl_arena_finish(struct atl_arena *arena);
void atl_arena_reset(struct atl_arena *arena); /* as finish and init, but keeps a block of ordinary size */

/* Memory of malloc() that is freed with the arena and counts as `size` bytes of it. Taken in any case; NULL: it does not
 * fit, and is gone. */
void *atl_arena_own(struct atl_arena *arena, void *data, size_t size);
void *atl_arena_alloc(struct atl_arena *arena, size_t size); /* zeroed, aligned to 16; NULL when full */
void *atl_arena_array(struct atl_arena *arena, size_t size, size_t count); /* as alloc; NULL too when size * count overflows */
char *atl_arena_strdup(struct atl_arena *arena, const char *text); /* NULL in, NULL out */
char *atl_arena_strndup(struct atl_arena *arena, const char *text, size_t length);
char *atl_arena_printf(struct atl_arena *arena, const char *fmt, ...) ATL_PRINTF(2, 3);

#define ATL_ARENA_NEW(arena, type) ((type *)atl_arena_alloc((arena), sizeof(type)))
#define ATL_ARENA_ARRAY(arena, type, count) ((type *)atl_arena_array((arena), sizeof(type), (count)))

#endif
