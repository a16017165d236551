/* openai_chunk.c - reads stream chunks and whole replies of the OpenAI dialect; see openai_chat.h. */
#include "base/str.h"
#include "provider/openai_chat.h"

static bool is_kind(const struct atl_json *value, enum atl_json_kind kind)
{
	return value && value->kind == kind;
}

/* Absent and null are fine; another kind than `kind` is not. */
static bool absent_or(const struct atl_json *value, enum atl_json_kind kind)
{
	return !value || value->kind == ATL_JSON_NULL || value->kind == kind;
}

static bool take_text(const struct atl_json *delta, const char *key, const char **ret, size_t *ret_length)
{
	const struct atl_json *value = atl_json_get(delta, key);

	if (!absent_or(value, ATL_JSON_STRING))
		return false;
	if (is_kind(value, ATL_JSON_STRING) && value->string_length) {
		*ret = value->string;
		*ret_length = value->string_length;
	}
	return true;
}

/* Content may be a list of parts; their texts are joined. */
static bool take_content(struct atl_arena *arena, const struct atl_json *delta, struct atl_chat_chunk *chunk)
{
	const struct atl_json *content = atl_json_get(delta, "content");
	size_t length = 0;
	char *text;

	if (!is_kind(content, ATL_JSON_ARRAY))
		return take_text(delta, "content", &chunk->text, &chunk->text_length);
	for (const struct atl_json *part = content->child; part; part = part->next)
		length += strlen(atl_json_str(part, "text", ""));
	text = atl_arena_alloc(arena, length + 1);
	if (!text)
		return false;
	chunk->text = text;
	for (const struct atl_json *part = content->child; part; part = part->next) {
		const char *piece = atl_json_str(part, "text", "");
		size_t piece_length = strlen(piece);

		memcpy(text + chunk->text_length, piece, piece_length);
		chunk->text_length += piece_length;
	}
	return true;
}

static void take_usage(const struct atl_json *root, struct atl_chat_chunk *chunk)
{
	const struct atl_json *usage = atl_json_get(root, "usage");

	if (!is_kind(usage, ATL_JSON_OBJECT))
		return;
	chunk->has_usage = true;
	chunk->usage.prompt_tokens = atl_json_int(usage, "prompt_tokens", -1);
	chunk->usage.completion_tokens = atl_json_int(usage, "completion_tokens", -1);
	chunk->usage.cached_tokens = atl_json_int(atl_json_get(usage, "prompt_tokens_details"), "cached_tokens", -1);
	chunk->usage.reasoning_tokens =
		atl_json_int(atl_json_get(usage, "completion_tokens_details"), "reasoning_tokens", -1);
}

static bool take_choice(struct atl_arena *arena, const struct atl_json *choice, struct atl_chat_chunk *chunk)
{
	const struct atl_json *delta = atl_json_get(choice, "delta");
	const struct atl_json *calls;

	if (!is_kind(choice, ATL_JSON_OBJECT))
		return false;
	if (!is_kind(delta, ATL_JSON_OBJECT))
		delta = atl_json_get(choice, "message");
	if (!absent_or(delta, ATL_JSON_OBJECT) || !take_content(arena, delta, chunk))
		return false;
	if (!take_text(delta, "reasoning_content", &chunk->reasoning, &chunk->reasoning_length))
		return false;
	if (!chunk->reasoning && is_kind(atl_json_get(delta, "reasoning"), ATL_JSON_STRING) &&
	    !take_text(delta, "reasoning", &chunk->reasoning, &chunk->reasoning_length))
		return false;
	if (!chunk->text && is_kind(atl_json_get(delta, "refusal"), ATL_JSON_STRING) &&
	    !take_text(delta, "refusal", &chunk->text, &chunk->text_length))
		return false;
	calls = atl_json_get(delta, "tool_calls");
	if (!absent_or(calls, ATL_JSON_ARRAY))
		return false;
	if (is_kind(calls, ATL_JSON_ARRAY) && calls->count)
		chunk->tool_calls = calls;
	chunk->finish_reason = atl_json_str(choice, "finish_reason", NULL);
	return true;
}

enum atl_err atl_chat_chunk_parse(struct atl_arena *arena, const char *who, const char *data, size_t length,
				  struct atl_chat_chunk *ret, struct atl_errinfo *info)
{
	struct atl_chat_chunk chunk = {.usage = ATL_CHAT_USAGE_NOT_TOLD};
	const struct atl_json *choices, *error;
	struct atl_json *root;

	if (atl_json_parse(arena, data, length, &root, NULL))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent something that is not JSON.", who);
	if (root->kind != ATL_JSON_OBJECT)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent JSON of an unknown shape.", who);
	error = atl_json_get(root, "error");
	if (error && error->kind != ATL_JSON_NULL) {
		chunk.error = error;
		*ret = chunk;
		return ATL_OK;
	}
	choices = atl_json_get(root, "choices");
	if (!absent_or(choices, ATL_JSON_ARRAY) ||
	    (is_kind(choices, ATL_JSON_ARRAY) && choices->count && !take_choice(arena, choices->child, &chunk)))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent JSON of an unknown shape.", who);
	take_usage(root, &chunk);
	chunk.tokens_per_second = atl_json_num(atl_json_get(root, "timings"), "predicted_per_second", 0);
	*ret = chunk;
	return ATL_OK;
}
