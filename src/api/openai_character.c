/* openai_character.c - our characters as models: the client's conversation becomes the character's prompt.
 *
 * Only `messages` is rewritten (card, persona, what fits of the history); the client's own messages keep their form, so
 * pictures, tools and everything else reach the model as sent. Sampling of the character fills in what the client left
 * open.
 */
#include "api/openai_int.h"

#include "base/clock.h"
#include "base/str.h"
#include "core/chat/character.h"
#include "core/chat/persona.h"
#include "core/chat/prompt.h"
#include "core/chat/sampling.h"
#include "core/people/rights.h"

#define PAGE 200
#define PROMPT_BYTES_MAX ((size_t)64 << 20)

char *atl_openai_slug(struct atl_arena *arena, const char *name)
{
	char *slug = atl_arena_strdup(arena, name), *out = slug;

	for (const char *p = slug; p && *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c >= 'A' && c <= 'Z')
			*out++ = (char)(c + 32);
		else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80)
			*out++ = (char)c;
		else if (out > slug && out[-1] != '-')
			*out++ = '-';
	}
	if (out && out > slug && out[-1] == '-')
		out--;
	if (out)
		*out = '\0';
	return slug;
}

/* ---- which character ---- */

/* All of the user's characters, page by page; two of one name need the id. */
static enum atl_err find_by_name(struct atl_req *req, const char *slug, struct atl_character *ret,
				 struct atl_errinfo *info)
{
	struct atl_character_query query = { .limit = PAGE };
	struct atl_character *list;
	size_t count, found = 0;

	do {
		enum atl_err err = atl_character_list(atl_api_app(req), &req->arena, atl_api_user(req), &query, &list,
						      &count, info);

		if (err)
			return err;
		for (size_t i = 0; i < count && i < PAGE; i++) {
			if (atl_str_eq(atl_openai_slug(&req->arena, list[i].name), slug) && found++ == 0)
				*ret = list[i];
		}
		if (count > PAGE) {
			query.after_key = list[PAGE - 1].updated_at;
			query.after_id = list[PAGE - 1].id;
		}
	} while (count > PAGE);
	if (found > 1)
		return atl_fail_field(info, ATL_ERR_UPSTREAM_MODEL, "model",
				      "%zu characters have this name. Use the id: %s%s.", found, ATL_OPENAI_CHARACTER, ret->id);
	return found ? ATL_OK : ATL_ERR_NOT_FOUND;
}

static enum atl_err find_character(struct atl_req *req, const char *wanted, struct atl_character *ret,
				   struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	const char *key = wanted + strlen(ATL_OPENAI_CHARACTER), *slug, *id = key;
	struct atl_character found = { 0 };
	enum atl_err err;

	if (!atl_id_valid(key, "chr")) {
		slug = atl_openai_slug(&req->arena, key);
		err = slug && *slug ? find_by_name(req, slug, &found, info) : ATL_ERR_NOT_FOUND;
		if (err && err != ATL_ERR_NOT_FOUND)
			return err;
		id = err ? NULL : found.id;
	}
	err = id ? atl_character_get(app, &req->arena, atl_api_user(req), id, ret, info) : ATL_ERR_NOT_FOUND;
	if (err == ATL_ERR_NOT_FOUND)
		return atl_fail_field(info, ATL_ERR_UPSTREAM_MODEL, "model",
				      "There is no character \"%.200s\". GET /v1/models lists all.", key);
	return err;
}

/* ---- the conversation ---- */

struct talk {
	struct atl_req *req;
	const struct atl_json *body;
	const struct atl_json **messages; /* oldest first */
	size_t count, left;
	struct atl_model_target *target;
};

/* The text of a message, for counting: its content, or the text parts of it. */
static const char *message_text(struct atl_arena *arena, const struct atl_json *message)
{
	const struct atl_json *content = atl_json_get(message, "content");
	const char *text = NULL;

	if (content && content->kind == ATL_JSON_STRING)
		return content->string;
	for (const struct atl_json *part = content && content->kind == ATL_JSON_ARRAY ? content->child : NULL; part;
	     part = part->next) {
		const char *piece = atl_json_str(part, "text", NULL);

		if (piece)
			text = text ? atl_arena_printf(arena, "%s\n%s", text, piece) : piece;
	}
	return text ? text : "";
}

static bool next_turn(void *arg, struct atl_prompt_turn *turn)
{
	struct talk *talk = arg;
	const struct atl_json *message;

	if (!talk->left)
		return false;
	message = talk->messages[--talk->left];
	turn->message_id = atl_arena_printf(&talk->req->arena, "%zu", talk->left);
	turn->role = atl_json_str(message, "role", "user");
	turn->content = message_text(&talk->req->arena, message);
	return turn->message_id && turn->content;
}

static enum atl_err count_tokens(void *arg, const char *text, int64_t *ret_tokens, struct atl_errinfo *info)
{
	struct talk *talk = arg;

	return atl_models_count_tokens(atl_api_app(talk->req), talk->target, text, ret_tokens, info);
}

static enum atl_err read_talk(struct atl_req *req, struct talk *talk, struct atl_errinfo *info)
{
	struct atl_json *body;
	const struct atl_json *messages, *message;
	enum atl_err err = atl_json_parse(&req->arena, req->body, req->body_length, &body, info);

	if (err)
		return err;
	messages = atl_json_get(body, "messages");
	talk->req = req;
	talk->body = body;
	if (!messages || !messages->count)
		return atl_fail_field(info, ATL_ERR_INVALID, "messages", "A chat needs messages.");
	talk->messages = ATL_ARENA_ARRAY(&req->arena, const struct atl_json *, messages->count);
	if (!talk->messages)
		return atl_fail(info, ATL_ERR_NOMEM, "There is no memory for so many messages.");
	for (message = messages->child; message; message = message->next) {
		if (message->kind != ATL_JSON_OBJECT)
			return atl_fail_field(info, ATL_ERR_INVALID, "messages", "A message is an object.");
		talk->messages[talk->count++] = message;
	}
	talk->left = talk->count;
	return ATL_OK;
}

/* ---- the prompt ---- */

static enum atl_err build_prompt(struct talk *talk, const struct atl_character *character, const struct atl_card *card,
				 struct atl_prompt *ret, struct atl_errinfo *info)
{
	struct atl_req *req = talk->req;
	struct atl_persona persona = { 0 };
	struct atl_prompt_input input = {
		.card = card,
		.user_name = atl_api_identity(req)->user_name,
		.conversation_id = character->id,
		.model = talk->target->id,
		.context_size = talk->target->context_size,
		.max_tokens = atl_json_int(talk->body, "max_completion_tokens", atl_json_int(talk->body, "max_tokens", 0)),
		.now_ms = atl_now_ms(),
		.next = next_turn,
		.count = count_tokens,
		.exact = talk->target->exact_tokens,
		.arg = talk,
	};
	enum atl_err err = atl_persona_get(atl_api_app(req), &req->arena, atl_api_user(req), NULL, &persona, info);

	if (err && err != ATL_ERR_NOT_FOUND)
		return err;
	if (!err) {
		input.user_name = persona.name;
		input.persona = persona.description;
	}
	return atl_prompt_build(&req->arena, &input, ret, info);
}

static enum atl_err check_prompt(struct talk *talk, const struct atl_prompt *prompt, struct atl_errinfo *info)
{
	struct atl_req *req = talk->req;
	struct atl_policy_text *texts = ATL_ARENA_ARRAY(&req->arena, struct atl_policy_text, prompt->turn_count + 1);

	if (!texts)
		return atl_fail(info, ATL_ERR_NOMEM, "There is no memory for the prompt.");
	for (size_t i = 0; i < prompt->turn_count; i++)
		texts[i] = ATL_POLICY_TEXT(prompt->turns[i].content);
	return atl_policy_check(atl_api_app(req), ATL_ENTRY_PROMPT, atl_api_identity(req), texts, prompt->turn_count, info);
}

/* What the character wants and the client did not say, as members for the front of the body. */
static void write_sampling(struct talk *talk, const struct atl_character *character, const struct atl_card *card,
			   struct atl_buf *out)
{
	const struct atl_chat_preset *preset = talk->target->endpoint.preset;
	const char *names[ATL_SAMPLING_FIELDS] = { "temperature",   "top_p", preset->top_k,      preset->min_p,
						   preset->repeat_penalty, preset->max_tokens, "stop", "seed" };
	static const char *const ours[ATL_SAMPLING_FIELDS] = { "temperature",    "top_p",      "top_k", "min_p",
							       "repeat_penalty", "max_tokens", "stop",  "seed" };
	struct atl_json *sampling = NULL;
	struct atl_jw w;

	if (atl_json_parse(&talk->req->arena, character->sampling_json, strlen(character->sampling_json), &sampling, NULL))
		sampling = NULL;
	for (size_t i = 0; i < ATL_SAMPLING_FIELDS; i++) {
		const struct atl_json *value = atl_json_get(sampling, ours[i]);
		bool said = atl_json_get(talk->body, ours[i]) || (names[i] && atl_json_get(talk->body, names[i])) ||
			    (i == ATL_SAMPLING_MAX_TOKENS && atl_json_get(talk->body, "max_completion_tokens"));

		if (!value || value->kind == ATL_JSON_NULL || !names[i] || said)
			continue;
		atl_buf_addf(out, "\"%s\":", names[i]);
		atl_jw_init(&w, out);
		atl_jw_tree(&w, NULL, value);
		atl_buf_addc(out, ',');
	}
	if (preset->venice_parameters && card->venice_slug && !atl_json_get(talk->body, "venice_parameters")) {
		atl_buf_adds(out, "\"venice_parameters\":");
		atl_jw_init(&w, out);
		atl_jw_object(&w, NULL);
		atl_jw_str(&w, "character_slug", card->venice_slug);
		atl_jw_end_object(&w);
		atl_buf_addc(out, ',');
	}
}

static void write_messages(struct talk *talk, const struct atl_prompt *prompt, struct atl_buf *out)
{
	struct atl_jw w;

	atl_jw_init(&w, out);
	atl_jw_array(&w, NULL);
	for (size_t i = 0; i < prompt->turn_count; i++) {
		const struct atl_prompt_turn *turn = &prompt->turns[i];
		uint64_t index = 0;

		if (turn->message_id && atl_str_u64(turn->message_id, talk->count - 1, &index)) {
			atl_jw_tree(&w, NULL, talk->messages[index]);
			continue;
		}
		atl_jw_object(&w, NULL);
		atl_jw_str(&w, "role", turn->role);
		atl_jw_str(&w, "content", turn->content);
		atl_jw_end_object(&w);
	}
	atl_jw_end_array(&w);
}

static enum atl_err keep_edit(struct atl_req *req, struct atl_openai_job *job, struct atl_span span,
			      const struct atl_buf *text, struct atl_errinfo *info)
{
	char *copy = text->failed ? NULL : atl_arena_strndup(&req->arena, text->length ? text->data : "", text->length);

	if (!copy)
		return atl_fail(info, ATL_ERR_NOMEM, "There is no memory for the prompt.");
	if (text->length)
		job->edits[job->edit_count++] = (struct atl_openai_edit){ span, copy, text->length };
	return ATL_OK;
}

static enum atl_err write_edits(struct talk *talk, struct atl_openai_job *job, const struct atl_character *character,
				const struct atl_card *card, const struct atl_prompt *prompt, struct atl_errinfo *info)
{
	struct atl_buf out;
	enum atl_err err;

	atl_buf_init(&out, PROMPT_BYTES_MAX);
	write_messages(talk, prompt, &out);
	err = keep_edit(talk->req, job, job->body.messages, &out, info);
	atl_buf_reset(&out);
	write_sampling(talk, character, card, &out);
	if (!err)
		err = keep_edit(talk->req, job, (struct atl_span){ job->body.inside, 0 }, &out, info);
	atl_buf_finish(&out);
	return err;
}

enum atl_err atl_openai_character(struct atl_req *req, struct atl_openai_job *job, struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_character character;
	struct atl_card card;
	struct atl_prompt prompt;
	struct talk talk = { 0 };
	const char *wanted;
	enum atl_err err;

	if (job->path != ATL_MODEL_CHAT)
		return atl_fail_field(info, ATL_ERR_INVALID, "model", "Characters answer at /v1/chat/completions only.");
	err = find_character(req, job->wanted, &character, info);
	if (!err)
		err = atl_card_parse(&req->arena, character.card_json, &card, info);
	if (!err)
		err = read_talk(req, &talk, info);
	if (err)
		return err;
	wanted = character.model;
	err = atl_rights_default(app, &req->arena, atl_api_identity(req), &wanted, info);
	if (!err)
		job->route = atl_model_route_cached(app->routes, wanted);
	if (!err && !job->route)
		err = atl_model_route_resolve(app, atl_api_user(req), wanted, &job->route, info);
	if (!err)
		err = atl_rights_model(atl_api_identity(req), job->route->target.id, info);
	if (err)
		return err;
	talk.target = &job->route->target;
	err = build_prompt(&talk, &character, &card, &prompt, info);
	if (!err)
		err = check_prompt(&talk, &prompt, info);
	if (!err)
		job->prompt_estimate = prompt.total_tokens;
	return err ? err : write_edits(&talk, job, &character, &card, &prompt, info);
}
