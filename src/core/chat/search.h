/* search.h - full-text search over conversation titles and messages.
 *
 * SQLite: FTS5; PostgreSQL: its own text search. The words are always taken as words: no operator of either engine
 * gets through.
 *
 * Threads: blocking (SQL): pool threads. Ownership: the given arena. Limits: the constants below.
 */
#ifndef ATL_CORE_SEARCH_H
#define ATL_CORE_SEARCH_H

#include "base/json.h"
#include "core/app.h"

#define ATL_SEARCH_WORDS_MAX 16
#define ATL_SEARCH_RESULTS_MAX 100

struct atl_search_piece {
	const char *text;
	bool hit;
};
struct atl_search_result {
	const char *conversation_id, *message_id; /* message_id NULL: the title matched */
	const char *title;
	struct atl_items snippet; /* struct atl_search_piece */
	int64_t at;
};
extern const struct atl_json_desc atl_search_result_desc;

/* Titles first, then messages, the newest first. */
enum atl_err atl_search(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *text,
			int64_t limit, struct atl_search_result **ret, size_t *ret_count,
			struct atl_errinfo *info) ATL_MUST_USE;

#endif
