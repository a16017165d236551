/* card.c - see card.h. Keys: the character card V2 and V3 specifications. */
#include "core/chat/card.h"

#include <string.h>

#include "base/str.h"

#define TEXT_MAX 200000

/* The text keys of the data object and where struct atl_card keeps them. */
static const struct {
	const char *key;
	size_t offset;
} TEXTS[] = {
	{"name", offsetof(struct atl_card, name)},
	{"nickname", offsetof(struct atl_card, nickname)},
	{"description", offsetof(struct atl_card, description)},
	{"personality", offsetof(struct atl_card, personality)},
	{"scenario", offsetof(struct atl_card, scenario)},
	{"first_mes", offsetof(struct atl_card, first_mes)},
	{"mes_example", offsetof(struct atl_card, mes_example)},
	{"system_prompt", offsetof(struct atl_card, system_prompt)},
	{"post_history_instructions", offsetof(struct atl_card, post_history_instructions)},
	{"creator_notes", offsetof(struct atl_card, creator_notes)},
};

static const struct {
	const char *key;
	size_t max;
} LISTS[] = {
	{"alternate_greetings", ATL_CARD_GREETINGS_MAX},
	{"tags", ATL_CARD_TAGS_MAX},
};

static enum atl_err check_list(const struct atl_json *card, const char *key, size_t max, struct atl_errinfo *info)
{
	const struct atl_json *list = atl_json_get(card, key);
	if (!list)
		return ATL_OK;
	char field[64] = "card.";
	strncat(field, key, sizeof field - 6);
	if (list->kind != ATL_JSON_ARRAY || list->count > max)
		return atl_fail_field(info, ATL_ERR_INVALID, field, "must be a list of at most %zu texts", max);
	for (const struct atl_json *c = list->child; c; c = c->next)
		if (c->kind != ATL_JSON_STRING)
			return atl_fail_field(info, ATL_ERR_INVALID, field, "must be a list of texts");
	return ATL_OK;
}

static enum atl_err check_card(const struct atl_json *card, struct atl_errinfo *info)
{
	for (size_t i = 0; i < ATL_COUNT(TEXTS); i++) {
		const struct atl_json *value = atl_json_get(card, TEXTS[i].key);
		if (!value)
			continue;
		char field[64] = "card.";
		strncat(field, TEXTS[i].key, sizeof field - 6);
		if (value->kind != ATL_JSON_STRING)
			return atl_fail_field(info, ATL_ERR_INVALID, field, "must be a text");
		if (atl_utf8_count(value->string, value->string_length) > TEXT_MAX)
			return atl_fail_field(info, ATL_ERR_INVALID, field, "must be a text of at most %d characters",
					      TEXT_MAX);
	}
	const char *name = atl_json_str(card, "name", "");
	if (strspn(name, " \t\r\n") == strlen(name))
		return atl_fail_field(info, ATL_ERR_INVALID, "card.name", "A character needs a name.");
	if (atl_utf8_count(name, strlen(name)) > ATL_CARD_NAME_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "card.name", "must be a text of at most %d characters",
				      ATL_CARD_NAME_MAX);
	for (size_t i = 0; i < ATL_COUNT(LISTS); i++) {
		enum atl_err err = check_list(card, LISTS[i].key, LISTS[i].max, info);
		if (err)
			return err;
	}
	const struct atl_json *extensions = atl_json_get(card, "extensions");
	if (extensions && extensions->kind != ATL_JSON_OBJECT)
		return atl_fail_field(info, ATL_ERR_INVALID, "card.extensions", "must be an object");
	return ATL_OK;
}

static void write_merged(struct atl_jw *w, const struct atl_json *base, const struct atl_json *patch)
{
	atl_jw_object(w, NULL);
	for (const struct atl_json *c = base ? base->child : NULL; c; c = c->next)
		if (atl_json_get(base, c->key) == c && !atl_json_get(patch, c->key))
			atl_jw_tree(w, c->key, c);
	for (const struct atl_json *c = patch ? patch->child : NULL; c; c = c->next)
		if (atl_json_get(patch, c->key) == c && c->kind != ATL_JSON_NULL)
			atl_jw_tree(w, c->key, c);
	atl_jw_end_object(w);
}

enum atl_err atl_card_merge(struct atl_arena *arena, const char *base_json, const struct atl_json *patch,
			    const char **ret_json, struct atl_errinfo *info)
{
	struct atl_json *base = NULL;
	if (!atl_str_empty(base_json)) {
		enum atl_err err = atl_json_parse(arena, base_json, strlen(base_json), &base, info);
		if (err)
			return err;
	}
	if (patch && patch->kind != ATL_JSON_OBJECT)
		return atl_fail_field(info, ATL_ERR_INVALID, "card", "must be an object");
	const struct atl_json *data = atl_json_get(patch, "data");
	if (data && data->kind == ATL_JSON_OBJECT && atl_json_get(patch, "spec"))
		patch = data;

	struct atl_buf out;
	struct atl_jw w;
	atl_buf_init(&out, ATL_CARD_BYTES_MAX);
	atl_jw_init(&w, &out);
	write_merged(&w, base, patch);
	const char *text = out.failed ? NULL : atl_arena_strndup(arena, out.data, out.length);
	size_t length = out.length;
	atl_buf_finish(&out);
	if (!text)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "A character card may have at most %zu KiB.",
				ATL_CARD_BYTES_MAX >> 10);
	struct atl_json *merged;
	enum atl_err err = atl_json_parse(arena, text, length, &merged, info);
	if (!err)
		err = check_card(merged, info);
	if (!err)
		*ret_json = text;
	return err;
}

static enum atl_err copy_list(struct atl_arena *arena, const struct atl_json *list, struct atl_strs *ret,
			      struct atl_errinfo *info)
{
	struct atl_strs out = {0};
	if (list && list->kind == ATL_JSON_ARRAY) {
		out.items = ATL_ARENA_ARRAY(arena, const char *, list->count + 1);
		if (!out.items)
			return atl_fail(info, ATL_ERR_NOMEM, "card");
		for (const struct atl_json *c = list->child; c; c = c->next)
			if (c->kind == ATL_JSON_STRING)
				out.items[out.count++] = c->string;
	}
	*ret = out;
	return ATL_OK;
}

enum atl_err atl_card_parse(struct atl_arena *arena, const char *card_json, struct atl_card *ret,
			    struct atl_errinfo *info)
{
	struct atl_json *tree;
	enum atl_err err = atl_json_parse(arena, card_json, strlen(card_json), &tree, info);
	if (err)
		return atl_fail_context(info, err, "stored card");
	struct atl_card card = {0};
	for (size_t i = 0; i < ATL_COUNT(TEXTS); i++)
		*(const char **)(void *)((char *)&card + TEXTS[i].offset) = atl_json_str(tree, TEXTS[i].key, "");
	const struct atl_json *venice = atl_json_get(atl_json_get(tree, "extensions"), "venice");
	card.venice_slug = atl_json_str(venice, "slug", NULL);
	err = copy_list(arena, atl_json_get(tree, "alternate_greetings"), &card.alternate_greetings, info);
	if (!err)
		*ret = card;
	return err;
}

enum atl_err atl_card_tags(struct atl_arena *arena, const char *card_json, struct atl_strs *ret,
			   struct atl_errinfo *info)
{
	struct atl_json *tree;
	enum atl_err err = atl_json_parse(arena, card_json, strlen(card_json), &tree, info);
	return err ? err : copy_list(arena, atl_json_get(tree, "tags"), ret, info);
}

const char *atl_card_summary(struct atl_arena *arena, const struct atl_card *card)
{
	const char *text = atl_str_empty(card->creator_notes) ? card->description : card->creator_notes;
	text += strspn(text, " \t\r\n");
	size_t length = strcspn(text, "\r\n");
	for (size_t i = 0; i + 1 < length; i++)
		if (strchr(".!?", text[i]) && text[i + 1] == ' ') {
			length = i + 1;
			break;
		}
	size_t cut = 0, count = 0;
	size_t max = atl_utf8_count(text, length) > ATL_CARD_SUMMARY_MAX ? ATL_CARD_SUMMARY_MAX - 1 : ATL_CARD_SUMMARY_MAX;
	while (cut < length && count < max) {
		cut++;
		while (cut < length && ((unsigned char)text[cut] & 0xc0) == 0x80)
			cut++;
		count++;
	}
	return atl_arena_printf(arena, "%.*s%s", (int)cut, text, cut < length ? "…" : "");
}

const char *atl_like_pattern(struct atl_arena *arena, const char *before, const char *text, const char *after)
{
	char *out = atl_arena_alloc(arena, strlen(before) + 2 * strlen(text) + strlen(after) + 1);
	if (!out)
		return NULL;
	size_t at = strlen(before);
	memcpy(out, before, at);
	for (; *text; text++) {
		if (strchr("!%_", *text))
			out[at++] = '!';
		out[at++] = (char)(*text >= 'A' && *text <= 'Z' ? *text + 32 : *text);
	}
	memcpy(out + at, after, strlen(after) + 1);
	return out;
}
