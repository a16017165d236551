/* exchange_int.h - what the files of core/chat/exchange.h share. */
#ifndef ATL_CORE_EXCHANGE_INT_H
#define ATL_CORE_EXCHANGE_INT_H

#include "core/chat/exchange.h"
#include "core/chat/message.h"

/* Append a message after checking its size and the count. NULL content: not allowed. The message is settled later. */
enum atl_err atl_exchange_add(struct atl_arena *arena, struct atl_exchange *exchange,
			      const struct atl_exchange_message *message, struct atl_errinfo *info) ATL_MUST_USE;
/* Make `current` a leaf and the `active` marks agree with it: one at most among siblings. UNPROCESSABLE: no messages. */
enum atl_err atl_exchange_settle(struct atl_arena *arena, struct atl_exchange *exchange,
				 struct atl_errinfo *info) ATL_MUST_USE;
/* One line of at most `max` characters; "" for NULL. NULL: out of memory. */
const char *atl_exchange_title(struct atl_arena *arena, const char *text, size_t max);
/* A moment as files write it: ms or s as a number, digits, RFC 3339; anything else is 0. */
int64_t atl_exchange_time(const struct atl_json *value, bool seconds);

/* Looking up ids: fill, sort once, find. */
struct atl_exchange_key {
	const char *id;
	size_t index;
};
void atl_exchange_keys_sort(struct atl_exchange_key *keys, size_t count);
int64_t atl_exchange_keys_find(const struct atl_exchange_key *keys, size_t count, const char *id); /* index; -1: none */

bool atl_exchange_is_tavern(const struct atl_json *first_line);
enum atl_err atl_exchange_parse_tavern(struct atl_arena *arena, const struct atl_json *head, const char *rest,
				       size_t length, struct atl_exchange *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_exchange_parse_chatgpt(struct atl_arena *arena, const struct atl_json *root, struct atl_exchange *ret,
					struct atl_errinfo *info) ATL_MUST_USE;

#endif
