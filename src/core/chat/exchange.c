/* exchange.c - files of conversations: telling the format, our own one, what all readers share. See exchange.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/chat/exchange_int.h"

#define FIRST_LINE_MAX ((size_t)1 << 20) /* a SillyTavern header is far smaller */
#define MS_MAX 253402300799999.0	 /* the end of the year 9999 */

enum atl_err atl_exchange_add(struct atl_arena *arena, struct atl_exchange *e, const struct atl_exchange_message *message,
			      struct atl_errinfo *info)
{
	if (e->count >= ATL_CONVERSATION_MESSAGES_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "The conversation has more than %d messages.",
				ATL_CONVERSATION_MESSAGES_MAX);
	if (strlen(message->content) > ATL_MESSAGE_BYTES_MAX ||
	    (message->reasoning && strlen(message->reasoning) > ATL_MESSAGE_BYTES_MAX))
		return atl_fail(info, ATL_ERR_TOO_LARGE, "Message %zu is longer than %zu KiB.", e->count + 1,
				ATL_MESSAGE_BYTES_MAX >> 10);
	if (e->count == e->room) {
		size_t room = e->room ? e->room * 2 : 32;
		struct atl_exchange_message *items = ATL_ARENA_ARRAY(arena, struct atl_exchange_message, room);
		if (!items)
			return atl_fail(info, ATL_ERR_NOMEM, "conversation file");
		if (e->count)
			memcpy(items, e->messages, e->count * sizeof *items);
		e->messages = items;
		e->room = room;
	}
	e->messages[e->count] = *message;
	if (!message->reasoning)
		e->messages[e->count].reasoning = "";
	e->count++;
	return ATL_OK;
}

enum atl_err atl_exchange_settle(struct atl_arena *arena, struct atl_exchange *e, struct atl_errinfo *info)
{
	if (!e->count)
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "There is no message in the conversation.");
	/* slot 0 stands for "above the roots", slot i + 1 for message i; values are index + 1, 0 is none */
	size_t *active = ATL_ARENA_ARRAY(arena, size_t, e->count + 1);
	size_t *last = ATL_ARENA_ARRAY(arena, size_t, e->count + 1);
	if (!active || !last)
		return atl_fail(info, ATL_ERR_NOMEM, "conversation file");
	for (size_t i = 0; i < e->count; i++) {
		size_t parent = (size_t)(e->messages[i].parent + 1);
		last[parent] = i + 1;
		if (e->messages[i].active)
			active[parent] = i + 1;
	}
	size_t at = e->current >= 0 && (size_t)e->current < e->count ? (size_t)e->current + 1 : 0;
	while (last[at])
		at = active[at] ? active[at] : last[at];
	e->current = (int64_t)at - 1;
	for (; at; at = (size_t)(e->messages[at - 1].parent + 1))
		active[e->messages[at - 1].parent + 1] = at;
	for (size_t i = 0; i < e->count; i++)
		e->messages[i].active = active[e->messages[i].parent + 1] == i + 1;
	return ATL_OK;
}

const char *atl_exchange_title(struct atl_arena *arena, const char *text, size_t max)
{
	if (!text)
		return "";
	size_t length = strlen(text), cut = 0;
	for (size_t count = 0; cut < length && count < max; count++) {
		size_t bytes = atl_utf8_char(text + cut, length - cut);
		if (!bytes)
			break;
		cut += bytes;
	}
	char *title = atl_arena_strndup(arena, text, cut);
	for (char *p = title; p && *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return title;
}

int64_t atl_exchange_time(const struct atl_json *value, bool seconds)
{
	double ms = 0;
	int64_t parsed = 0;
	if (value && value->kind == ATL_JSON_STRING)
		return atl_rfc3339_parse(value->string, &parsed) || atl_str_i64(value->string, 0, (int64_t)MS_MAX, &parsed)
			       ? parsed
			       : 0;
	if (value && value->kind == ATL_JSON_NUMBER)
		ms = seconds ? value->number * 1000 : value->number;
	return ms > 0 && ms <= MS_MAX ? (int64_t)(ms + 0.5) : 0;
}

static int compare_keys(const void *a, const void *b)
{
	const struct atl_exchange_key *left = a, *right = b;
	int order = strcmp(left->id, right->id);
	return order ? order : (left->index > right->index) - (left->index < right->index);
}

void atl_exchange_keys_sort(struct atl_exchange_key *keys, size_t count)
{
	if (count)
		qsort(keys, count, sizeof *keys, compare_keys);
}

int64_t atl_exchange_keys_find(const struct atl_exchange_key *keys, size_t count, const char *id)
{
	size_t low = 0, high = count;
	if (!id)
		return -1;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(keys[middle].id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && strcmp(keys[low].id, id) == 0 ? (int64_t)keys[low].index : -1;
}

/* ---- our own format ---- */

static const char *read_role(const struct atl_json *item)
{
	static const char *const roles[] = {"user", "assistant", "system"};
	const char *role = atl_json_str(item, "role", NULL);
	for (size_t i = 0; i < ATL_COUNT(roles); i++)
		if (atl_str_eq(role, roles[i]))
			return roles[i];
	return NULL;
}

static enum atl_err read_message(struct atl_arena *arena, const struct atl_json *item, struct atl_exchange *e,
				 struct atl_errinfo *info)
{
	const struct atl_json *parent = atl_json_get(item, "parent");
	struct atl_exchange_message message = {.parent = -1,
					       .role = read_role(item),
					       .content = atl_json_str(item, "content", NULL),
					       .reasoning = atl_json_str(item, "reasoning", ""),
					       .model = atl_json_str(item, "model", NULL),
					       .created_at = atl_exchange_time(atl_json_get(item, "created_at"), false),
					       .active = atl_json_bool(item, "active", false)};
	if (!message.role || !message.content)
		return atl_fail(info, ATL_ERR_INVALID, "Message %zu has no usable role or content.", e->count + 1);
	if (parent && parent->kind != ATL_JSON_NULL &&
	    (!atl_json_integer(parent, &message.parent) || message.parent < -1 || message.parent >= (int64_t)e->count))
		return atl_fail(info, ATL_ERR_INVALID, "Message %zu names a parent that does not come before it.",
				e->count + 1);
	return atl_exchange_add(arena, e, &message, info);
}

static enum atl_err parse_atelier(struct atl_arena *arena, const struct atl_json *root, struct atl_exchange *e,
				  struct atl_errinfo *info)
{
	const struct atl_json *messages = atl_json_get(root, "messages");
	enum atl_err err = ATL_OK;
	if (atl_json_int(root, "version", 0) != ATL_EXCHANGE_VERSION)
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The file's version is not %d: it comes from another Atelier.",
				ATL_EXCHANGE_VERSION);
	if (!messages || messages->kind != ATL_JSON_ARRAY)
		return atl_fail(info, ATL_ERR_INVALID, "The file has no list of messages.");
	e->title = atl_json_str(root, "title", "");
	e->character_name = atl_json_str(root, "character_name", NULL);
	e->created_at = atl_exchange_time(atl_json_get(root, "created_at"), false);
	e->current = atl_json_int(root, "current", -1);
	for (const struct atl_json *item = messages->child; item && !err; item = item->next)
		err = read_message(arena, item, e, info);
	return err;
}

/* ---- telling what it is ---- */

static enum atl_err parse_object(struct atl_arena *arena, const struct atl_json *root, struct atl_exchange *e,
				 struct atl_errinfo *info)
{
	if (atl_str_eq(atl_json_str(root, "format", NULL), ATL_EXCHANGE_FORMAT))
		return parse_atelier(arena, root, e, info);
	if (atl_json_get(root, "mapping"))
		return atl_exchange_parse_chatgpt(arena, root, e, info);
	return atl_fail(info, ATL_ERR_UNPROCESSABLE,
			"This is no conversation of Atelier, SillyTavern (.jsonl) or ChatGPT (conversations.json).");
}

static enum atl_err finish(struct atl_arena *arena, struct atl_exchange *e, struct atl_errinfo *info)
{
	enum atl_err err = atl_exchange_settle(arena, e, info);
	if (!err && !(e->title = atl_exchange_title(arena, e->title, ATL_TITLE_MAX)))
		err = atl_fail(info, ATL_ERR_NOMEM, "conversation file");
	if (!err && e->character_name && !(e->character_name = atl_exchange_title(arena, e->character_name, ATL_TITLE_MAX)))
		err = atl_fail(info, ATL_ERR_NOMEM, "conversation file");
	return err;
}

/* One conversation, or a list of them. */
static enum atl_err parse_tree(struct atl_arena *arena, const struct atl_json *root, struct atl_exchange_list *list,
			       struct atl_errinfo *info)
{
	const bool many = root->kind == ATL_JSON_ARRAY;
	struct atl_errinfo first = {0};
	list->items = ATL_ARENA_ARRAY(arena, struct atl_exchange, many ? root->count + 1 : 1);
	if (!list->items)
		return atl_fail(info, ATL_ERR_NOMEM, "conversation file");
	for (const struct atl_json *item = many ? root->child : root; item; item = many ? item->next : NULL) {
		struct atl_exchange e = {.title = "", .current = -1};
		struct atl_errinfo why = {0};
		enum atl_err err = parse_object(arena, item, &e, &why);
		if (!err)
			err = finish(arena, &e, &why);
		if (err == ATL_ERR_NOMEM)
			return atl_fail(info, err, "The file is too large to take apart.");
		if (!err)
			list->items[list->count++] = e;
		else if (list->skipped++ == 0)
			first = why;
	}
	if (list->skipped && !(list->reason = atl_arena_strdup(arena, first.detail)))
		return atl_fail(info, ATL_ERR_NOMEM, "conversation file");
	if (list->count)
		return ATL_OK;
	return list->skipped ? atl_fail(info, first.code, "%s", first.detail)
			     : atl_fail(info, ATL_ERR_UNPROCESSABLE, "There is no conversation in the file.");
}

static enum atl_err parse_lines(struct atl_arena *arena, const struct atl_json *head, const char *rest, size_t length,
				struct atl_exchange_list *list, struct atl_errinfo *info)
{
	struct atl_exchange *e = ATL_ARENA_NEW(arena, struct atl_exchange);
	if (!e)
		return atl_fail(info, ATL_ERR_NOMEM, "conversation file");
	*e = (struct atl_exchange){.title = "", .current = -1};
	list->items = e;
	enum atl_err err = atl_exchange_parse_tavern(arena, head, rest, length, e, info);
	if (!err)
		err = finish(arena, e, info);
	if (!err)
		list->count = 1;
	return err;
}

enum atl_err atl_exchange_parse(struct atl_arena *arena, const char *text, size_t length, struct atl_exchange_list *ret,
				struct atl_errinfo *info)
{
	struct atl_exchange_list list = {0};
	struct atl_json *root;
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		length -= 3;
	}
	while (length && strchr(" \t\r\n", *text) && *text) {
		text++;
		length--;
	}
	if (length > ATL_EXCHANGE_BYTES_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "The file is larger than %zu MiB.", ATL_EXCHANGE_BYTES_MAX >> 20);
	const char *end = memchr(text, '\n', length);
	size_t line = end ? (size_t)(end - text) : length;
	enum atl_err err;
	if (length && *text == '{' && line <= FIRST_LINE_MAX && atl_json_parse(arena, text, line, &root, NULL) == ATL_OK &&
	    atl_exchange_is_tavern(root)) {
		err = parse_lines(arena, root, text + line, length - line, &list, info);
	} else {
		err = atl_json_parse(arena, text, length, &root, info);
		if (!err)
			err = parse_tree(arena, root, &list, info);
	}
	if (!err)
		*ret = list;
	return err;
}
