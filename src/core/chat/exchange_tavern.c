/* exchange_tavern.c - reading a SillyTavern chat: a header line, then a line a message. See exchange.h.
 *
 * The chat is one path; the swipes of a line become siblings, the shown one is the active one.
 */
#include <string.h>

#include "base/str.h"
#include "core/chat/exchange_int.h"

bool atl_exchange_is_tavern(const struct atl_json *first_line)
{
	return first_line->kind == ATL_JSON_OBJECT && !atl_json_get(first_line, "format") &&
	       !atl_json_get(first_line, "mapping") &&
	       (atl_json_get(first_line, "user_name") || atl_json_get(first_line, "character_name") ||
		atl_json_get(first_line, "chat_metadata"));
}

/* All swipes but the shown one; *shown_at: where the shown one belongs. An edited text lives in `mes` only. */
static enum atl_err add_swipes(struct atl_arena *arena, struct atl_exchange *e, const struct atl_json *line,
			       const struct atl_exchange_message *shown, struct atl_errinfo *info)
{
	const struct atl_json *swipes = atl_json_get(line, "swipes");
	const int64_t wanted = atl_json_int(line, "swipe_id", 0);
	const bool list = swipes && swipes->kind == ATL_JSON_ARRAY;
	enum atl_err err = ATL_OK;
	int64_t at = 0;
	bool done = false;
	for (const struct atl_json *swipe = list ? swipes->child : NULL; swipe && !err; swipe = swipe->next, at++) {
		struct atl_exchange_message other = *shown;
		if (at == wanted) {
			e->current = (int64_t)e->count;
			done = true;
			err = atl_exchange_add(arena, e, shown, info);
			continue;
		}
		if (swipe->kind != ATL_JSON_STRING || !swipe->string_length)
			continue;
		other.content = swipe->string;
		other.reasoning = "";
		other.active = false;
		err = atl_exchange_add(arena, e, &other, info);
	}
	if (!err && !done) {
		e->current = (int64_t)e->count;
		err = atl_exchange_add(arena, e, shown, info);
	}
	return err;
}

static enum atl_err read_line(struct atl_arena *arena, struct atl_exchange *e, const struct atl_json *line,
			      struct atl_errinfo *info)
{
	const struct atl_json *extra = atl_json_get(line, "extra");
	struct atl_exchange_message shown = {.parent = e->current,
					     .role = atl_json_bool(line, "is_user", false)     ? "user"
						     : atl_json_bool(line, "is_system", false) ? "system"
											       : "assistant",
					     .content = atl_json_str(line, "mes", NULL),
					     .reasoning = atl_json_str(extra, "reasoning", ""),
					     .model = atl_json_str(extra, "model", NULL),
					     .created_at = atl_exchange_time(atl_json_get(line, "send_date"), false),
					     .active = true};
	if (line->kind != ATL_JSON_OBJECT || !shown.content)
		return atl_fail(info, ATL_ERR_INVALID, "there is no message (`mes`) in it");
	if (!*shown.content) /* an empty greeting */
		return ATL_OK;
	if (!e->created_at)
		e->created_at = shown.created_at;
	return add_swipes(arena, e, line, &shown, info);
}

enum atl_err atl_exchange_parse_tavern(struct atl_arena *arena, const struct atl_json *head, const char *rest,
				       size_t length, struct atl_exchange *e, struct atl_errinfo *info)
{
	size_t number = 1; /* the header was line 1; `rest` begins with its line feed */
	const char *name = atl_json_str(head, "character_name", NULL);
	if (!atl_str_empty(name) && !atl_str_eq(name, "unused")) { /* what group chats write */
		e->character_name = name;
		e->title = name;
	}
	while (length) {
		const char *end = memchr(rest, '\n', length);
		size_t bytes = end ? (size_t)(end - rest) : length;
		struct atl_json *line;
		size_t blank = 0;
		while (blank < bytes && (rest[blank] == ' ' || rest[blank] == '\t' || rest[blank] == '\r'))
			blank++;
		if (blank < bytes) {
			enum atl_err err = atl_json_parse(arena, rest, bytes, &line, info);
			if (!err)
				err = read_line(arena, e, line, info);
			if (err)
				return atl_fail_context(info, err, "line %zu", number);
		}
		bytes += end ? 1 : 0;
		rest += bytes;
		length -= bytes;
		number++;
	}
	return ATL_OK;
}
