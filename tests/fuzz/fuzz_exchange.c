/* Files of conversations: what is read is a sound tree, and what is written from it reads back the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/chat/exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct atl_exchange *e)
{
	if (!e->count || e->current < 0 || (size_t)e->current >= e->count || !e->title)
		abort();
	for (size_t i = 0; i < e->count; i++) {
		const struct atl_exchange_message *m = e->messages + i;
		if (m->parent < -1 || m->parent >= (int64_t)i || !m->role || !m->content || !m->reasoning ||
		    m->parent == e->current)
			abort();
	}
}

static void write_and_read(struct atl_arena *arena, const struct atl_exchange *e)
{
	static const char *const names[] = {"atelier", "sillytavern", "text"};
	for (size_t i = 0; i < ATL_COUNT(names); i++) {
		struct atl_errinfo info = {0};
		struct atl_exchange_list list;
		struct atl_buf buf;
		atl_buf_init(&buf, 1 << 20);
		if (atl_exchange_format(names[i])->write(arena, e, &buf, &info) != ATL_OK)
			abort();
		if (i == 0) {
			if (atl_exchange_parse(arena, buf.data, buf.length, &list, &info) != ATL_OK || list.count != 1)
				abort();
			check(list.items);
			if (list.items->count != e->count || list.items->current != e->current)
				abort();
			for (size_t m = 0; m < e->count; m++)
				if (list.items->messages[m].parent != e->messages[m].parent ||
				    list.items->messages[m].active != e->messages[m].active ||
				    list.items->messages[m].created_at != e->messages[m].created_at ||
				    strcmp(list.items->messages[m].content, e->messages[m].content) != 0)
					abort();
		}
		atl_buf_finish(&buf);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_errinfo info = {0};
	struct atl_exchange_list list = {0};
	struct atl_arena arena;
	atl_arena_init(&arena, 0);
	enum atl_err err = atl_exchange_parse(&arena, (const char *)data, size, &list, &info);
	if (err ? !info.detail[0] : !list.count || (list.skipped > 0) != (list.reason != NULL))
		abort();
	for (size_t i = 0; !err && i < list.count; i++) {
		check(list.items + i);
		write_and_read(&arena, list.items + i);
	}
	atl_arena_finish(&arena);
	return 0;
}
