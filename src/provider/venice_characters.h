/* venice_characters.h - the public characters of Venice, for browsing and adopting.
 *
 * Threads: pool threads. Limits: ATL_VENICE_PAGE_MAX a page; there is no total: a full page means there may be more.
 */
#ifndef ATL_PROVIDER_VENICE_CHARACTERS_H
#define ATL_PROVIDER_VENICE_CHARACTERS_H

#include "provider/chat.h"

#define ATL_VENICE_PAGE_MAX 100

struct atl_venice_character {
	const char *slug, *name, *description; /* description: "" if none */
	const char *const *tags;
	size_t tag_count;
	bool adult;
	const char *photo_url; /* NULL: none */
	const char *model;     /* NULL: not told */
};
struct atl_venice_query {
	const char *search; /* NULL: all; at most 200 characters are sent */
	const char *tag;    /* NULL: all */
	bool with_adult;
	int64_t limit, offset; /* limit 0: 50 */
};
enum atl_err atl_venice_characters(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				   struct atl_arena *arena, const struct atl_venice_query *query,
				   struct atl_venice_character **ret, size_t *ret_count,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* ATL_ERR_NOT_FOUND: no such character. */
enum atl_err atl_venice_character_get(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				      struct atl_arena *arena, const char *slug, struct atl_venice_character *ret,
				      struct atl_errinfo *info) ATL_MUST_USE;

#endif
