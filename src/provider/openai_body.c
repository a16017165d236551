/* openai_body.c - writes chat requests, addresses and headers of the OpenAI dialect; see openai_chat.h. */
#include "base/str.h"
#include "provider/openai_chat.h"

#define REMOTE_STOP_MAX 4 /* more are refused by the services */

static const char *role_for(const struct atl_chat_preset *preset, const char *role)
{
	return !preset->developer_role && atl_str_eq(role, "developer") ? "system" : role;
}

void atl_chat_messages_write(struct atl_jw *w, const struct atl_chat_preset *preset,
			     const struct atl_chat_request *request)
{
	atl_jw_array(w, "messages");
	for (size_t i = 0; i < request->message_count; i++) {
		const struct atl_chat_message *m = &request->messages[i];

		atl_jw_object(w, NULL);
		atl_jw_str(w, "role", role_for(preset, m->role));
		if (m->content_raw)
			atl_jw_raw(w, "content", m->content_raw);
		else
			atl_jw_str(w, "content", m->content);
		if (m->name)
			atl_jw_str(w, "name", m->name);
		if (m->tool_calls_raw)
			atl_jw_raw(w, "tool_calls", m->tool_calls_raw);
		if (m->tool_call_id)
			atl_jw_str(w, "tool_call_id", m->tool_call_id);
		atl_jw_end_object(w);
	}
	atl_jw_end_array(w);
}

static void write_sampling(struct atl_jw *w, const struct atl_chat_preset *preset, const struct atl_chat_sampling *s)
{
	const struct {
		unsigned bit;
		const char *name;
		double value;
	} numbers[] = {
		{ATL_CHAT_TEMPERATURE, "temperature", s->temperature},
		{ATL_CHAT_TOP_P, "top_p", s->top_p},
		{ATL_CHAT_MIN_P, preset->min_p, s->min_p},
		{ATL_CHAT_REPEAT_PENALTY, preset->repeat_penalty, s->repeat_penalty},
		{ATL_CHAT_PRESENCE_PENALTY, "presence_penalty", s->presence_penalty},
		{ATL_CHAT_FREQUENCY_PENALTY, "frequency_penalty", s->frequency_penalty},
	};

	for (size_t i = 0; i < ATL_COUNT(numbers); i++)
		if ((s->present & numbers[i].bit) && numbers[i].name)
			atl_jw_num(w, numbers[i].name, numbers[i].value);
	if ((s->present & ATL_CHAT_TOP_K) && preset->top_k)
		atl_jw_int(w, preset->top_k, s->top_k);
	if ((s->present & ATL_CHAT_MAX_TOKENS) && s->max_tokens > 0)
		atl_jw_int(w, preset->max_tokens, s->max_tokens);
	if ((s->present & ATL_CHAT_SEED) && (s->seed > 0 || !preset->seed_positive))
		atl_jw_int(w, "seed", s->seed);
	if (s->stop && s->stop[0]) {
		atl_jw_array(w, "stop");
		for (size_t i = 0; s->stop[i] && (preset->local || i < REMOTE_STOP_MAX); i++)
			atl_jw_str(w, NULL, s->stop[i]);
		atl_jw_end_array(w);
	}
}

static void write_extras(struct atl_jw *w, const struct atl_chat_preset *preset, const struct atl_chat_request *request)
{
	if (request->tools_raw)
		atl_jw_raw(w, "tools", request->tools_raw);
	if (request->tool_choice_raw)
		atl_jw_raw(w, "tool_choice", request->tool_choice_raw);
	if (request->response_format_raw)
		atl_jw_raw(w, "response_format", request->response_format_raw);
	if (request->continue_last && preset->prefill == ATL_CHAT_PREFILL_VLLM) {
		atl_jw_bool(w, "add_generation_prompt", false);
		atl_jw_bool(w, "continue_final_message", true);
	}
	if (preset->venice_parameters) {
		atl_jw_object(w, "venice_parameters");
		if (!atl_str_empty(request->character_slug))
			atl_jw_str(w, "character_slug", request->character_slug);
		atl_jw_bool(w, "include_venice_system_prompt", false);
		atl_jw_end_object(w);
	}
}

enum atl_err atl_chat_body_write(const struct atl_chat_preset *preset, const struct atl_chat_request *request,
				 struct atl_buf *out, struct atl_errinfo *info)
{
	struct atl_jw w;

	if (atl_str_empty(request->model))
		return atl_fail_field(info, ATL_ERR_INVALID, "model", "Choose a model first.");
	if (!request->message_count)
		return atl_fail_field(info, ATL_ERR_INVALID, "messages", "There is no message to answer.");
	atl_jw_init(&w, out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "model", request->model);
	atl_chat_messages_write(&w, preset, request);
	write_sampling(&w, preset, &request->sampling);
	atl_jw_bool(&w, "stream", request->stream);
	if (request->stream && preset->stream_options) {
		atl_jw_object(&w, "stream_options");
		atl_jw_bool(&w, "include_usage", true);
		atl_jw_end_object(&w);
	}
	write_extras(&w, preset, request);
	atl_jw_end_object(&w);
	return atl_buf_err(out, info);
}

/* ---- address and headers ---- */
const char *atl_chat_who(const struct atl_chat_endpoint *endpoint)
{
	return atl_str_empty(endpoint->name) ? endpoint->preset->name : endpoint->name;
}

char *atl_chat_url(struct atl_arena *arena, const struct atl_chat_endpoint *endpoint, const char *path, bool root)
{
	const char *base = atl_str_empty(endpoint->base_url) ? endpoint->preset->base_url : endpoint->base_url;
	size_t length = strlen(base);

	while (length && base[length - 1] == '/')
		length--;
	if (root && length >= 3 && memcmp(base + length - 3, "/v1", 3) == 0)
		length -= 3;
	return atl_arena_printf(arena, "%.*s%s", (int)length, base, path);
}

static size_t append_lines(const char **lines, size_t count, const char *const *more)
{
	for (size_t i = 0; more && more[i]; i++)
		lines[count++] = more[i];
	return count;
}

static size_t count_lines(const char *const *lines)
{
	size_t count = 0;

	while (lines && lines[count])
		count++;
	return count;
}

const char *const *atl_chat_headers(struct atl_arena *arena, const struct atl_chat_endpoint *endpoint, bool has_body)
{
	size_t room = 4 + count_lines(endpoint->preset->extra_headers) + count_lines(endpoint->extra_headers);
	const char **lines = ATL_ARENA_ARRAY(arena, const char *, room);
	size_t count = 0;

	if (!lines)
		return NULL;
	if (has_body)
		lines[count++] = "Content-Type: application/json";
	lines[count++] = "Accept: text/event-stream, application/json";
	if (endpoint->preset->auth == ATL_CHAT_AUTH_BEARER && !atl_str_empty(endpoint->api_key)) {
		lines[count] = atl_arena_printf(arena, "Authorization: Bearer %s", endpoint->api_key);
		if (!lines[count++])
			return NULL;
	}
	count = append_lines(lines, count, endpoint->preset->extra_headers);
	count = append_lines(lines, count, endpoint->extra_headers);
	lines[count] = NULL;
	return lines;
}

bool atl_chat_is_plain(const struct atl_chat_endpoint *endpoint, const char *url)
{
	struct atl_url parts;

	if (endpoint->unix_path)
		return true;
	return atl_url_split(url, &parts, NULL) == ATL_OK && !parts.https && parts.numeric &&
	       (atl_str_starts(parts.host, "127.") || atl_str_eq(parts.host, "::1"));
}
