/* arena.c - blocks in a list; the head is the one being filled. */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN ((size_t)16)
#define BLOCK_FIRST ((size_t)8 << 10)
#define BLOCK_LARGEST ((size_t)1 << 20)

struct atl_arena_block {
	struct atl_arena_block *next;
	size_t size;
	size_t used;
	void *owned; /* memory of others that is freed with the block; NULL */
	_Alignas(16) unsigned char data[];
};

void atl_arena_init(struct atl_arena *arena, size_t max_bytes)
{
	arena->head = NULL;
	arena->used_bytes = 0;
	arena->max_bytes = max_bytes ? max_bytes : ATL_ARENA_MAX_DEFAULT;
}

void atl_arena_finish(struct atl_arena *arena)
{
	while (arena->head) {
		struct atl_arena_block *next = arena->head->next;

		free(arena->head->owned);
		free(arena->head);
		arena->head = next;
	}
	arena->used_bytes = 0;
}

void atl_arena_reset(struct atl_arena *arena)
{
	struct atl_arena_block *kept = arena->head;

	if (kept && kept->size <= BLOCK_LARGEST) {
		arena->head = kept->next;
		kept->next = NULL;
		kept->used = 0;
	} else {
		kept = NULL;
	}
	atl_arena_finish(arena);
	arena->head = kept;
}

static struct atl_arena_block *block_add(struct atl_arena *arena, size_t need)
{
	struct atl_arena_block *head = arena->head, *block;
	size_t size = head ? head->size * 2 : BLOCK_FIRST;

	if (size > BLOCK_LARGEST)
		size = BLOCK_LARGEST;
	if (size < need)
		size = need;
	block = malloc(sizeof(*block) + size);
	if (!block)
		return NULL;
	block->size = size;
	block->used = 0;
	block->owned = NULL;
	/* A large piece gets a block of its own behind the head, whose free room stays in use. */
	if (head && need > BLOCK_LARGEST / 4) {
		block->next = head->next;
		head->next = block;
	} else {
		block->next = head;
		arena->head = block;
	}
	return block;
}

void *atl_arena_alloc(struct atl_arena *arena, size_t size)
{
	struct atl_arena_block *block = arena->head;
	size_t need = size ? size : 1;
	void *data;

	if (need > arena->max_bytes - arena->used_bytes)
		return NULL;
	need = (need + ALIGN - 1) & ~(ALIGN - 1);
	if (need < size || need > arena->max_bytes - arena->used_bytes)
		return NULL;
	if (!block || need > block->size - block->used) {
		block = block_add(arena, need);
		if (!block)
			return NULL;
	}
	data = block->data + block->used;
	block->used += need;
	arena->used_bytes += need;
	memset(data, 0, need);
	return data;
}

void *atl_arena_own(struct atl_arena *arena, void *data, size_t size)
{
	struct atl_arena_block *block;

	if (size > arena->max_bytes - arena->used_bytes || (!arena->head && !block_add(arena, ALIGN))) {
		free(data);
		return NULL;
	}
	block = calloc(1, sizeof(*block));
	if (!block) {
		free(data);
		return NULL;
	}
	block->owned = data;
	block->next = arena->head->next;
	arena->head->next = block;
	arena->used_bytes += size;
	return data;
}

void *atl_arena_array(struct atl_arena *arena, size_t size, size_t count)
{
	size_t total;

	if (__builtin_mul_overflow(size, count, &total))
		return NULL;
	return atl_arena_alloc(arena, total);
}

char *atl_arena_strndup(struct atl_arena *arena, const char *text, size_t length)
{
	char *copy;

	if (!text || length == SIZE_MAX)
		return NULL;
	copy = atl_arena_alloc(arena, length + 1);
	if (copy)
		memcpy(copy, text, length);
	return copy;
}

char *atl_arena_strdup(struct atl_arena *arena, const char *text)
{
	return text ? atl_arena_strndup(arena, text, strlen(text)) : NULL;
}

char *atl_arena_printf(struct atl_arena *arena, const char *fmt, ...)
{
	char small[256], *text;
	va_list args;
	int length;

	va_start(args, fmt);
	length = vsnprintf(small, sizeof(small), fmt, args);
	va_end(args);
	if (length < 0)
		return NULL;
	if ((size_t)length < sizeof(small))
		return atl_arena_strndup(arena, small, (size_t)length);
	text = atl_arena_alloc(arena, (size_t)length + 1);
	if (!text)
		return NULL;
	va_start(args, fmt);
	vsnprintf(text, (size_t)length + 1, fmt, args);
	va_end(args);
	return text;
}
