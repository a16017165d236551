/* enhance.c - see enhance.h. */
#include "core/pictures/enhance.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "core/chat/character.h"
#include "core/chat/message.h"
#include "core/models/model.h"
#include "core/people/rights.h"

#define MODEL_WAIT_MS 5000
#define ANSWER_TOKENS 120
#define APPEARANCE_MAX 240

#define OFF(member) offsetof(struct atl_enhanced, member)
static const struct atl_json_field FIELDS[] = {
	{ "prompt", ATL_JT_STR, OFF(prompt), ATL_JF_REQUIRED },
	{ "by", ATL_JT_STR, OFF(by), ATL_JF_REQUIRED, .doc = "model or rules" },
	{ "note", ATL_JT_STR, OFF(note), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "why it was not the model" },
};
const struct atl_json_desc atl_enhanced_desc = { "EnhancedPrompt", "A prompt made better.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_enhanced), ATL_JSON_NO_PRESENT, false };

static const struct {
	const char *style; /* "" without one */
	const char *words[6];
} QUALITY[] = {
	{ "", { "detailed", "clear composition", "good light", NULL } },
	{ "chatgpt", { "clean shapes", "soft even light", "harmonious colours", NULL } },
	{ "lux", { "golden hour light", "shallow depth of field", "rich colours", NULL } },
	{ "realism", { "natural light", "realistic texture", "sharp focus", NULL } },
	{ "anime", { "clean line art", "cel shading", "vivid colours", NULL } },
};

static bool has_words(const char *text, const char *words)
{
	size_t length = strlen(words);

	for (; *text; text++)
		if (strncasecmp(text, words, length) == 0)
			return true;
	return false;
}

const char *atl_enhance_by_rules(struct atl_arena *arena, const char *prompt, const char *style)
{
	size_t at = 0;
	const char *out = prompt;

	for (size_t i = 1; i < ATL_COUNT(QUALITY); i++)
		if (style && atl_str_ieq(style, QUALITY[i].style))
			at = i;
	for (const char *const *word = QUALITY[at].words; *word && out; word++)
		if (!has_words(out, *word))
			out = atl_arena_printf(arena, "%s%s%s", out, *out ? ", " : "", *word);
	return out;
}

/* What a model adds around its answer: labels, quotes, further lines. */
static const char *tidy(struct atl_arena *arena, const char *answer)
{
	const char *colon;
	char *text, *end;

	while (isspace((unsigned char)*answer))
		answer++;
	colon = strchr(answer, ':');
	if (colon && colon - answer < 24 && strncasecmp(answer, "prompt", 6) == 0)
		answer = colon + 1;
	while (isspace((unsigned char)*answer) || *answer == '"' || *answer == '*')
		answer++;
	text = atl_arena_strndup(arena, answer, atl_utf8_cut(answer, strlen(answer), ATL_ENHANCE_TEXT_MAX));
	if (!text)
		return NULL;
	end = strpbrk(text, "\r\n");
	if (end)
		*end = '\0';
	for (size_t length = strlen(text); length > 0 && strchr(" \"*.", text[length - 1]);)
		text[--length] = '\0';
	return text;
}

static enum atl_err ask_model(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			      const char *task, const char *text, const char **ret, struct atl_errinfo *info)
{
	struct atl_model_target target;
	struct atl_chat_message messages[] = { { .role = "system", .content = task }, { .role = "user", .content = text } };
	struct atl_chat_request request = { .messages = messages, .message_count = ATL_COUNT(messages), .stream = true,
		.sampling = { .present = ATL_CHAT_TEMPERATURE | ATL_CHAT_MAX_TOKENS, .temperature = 0.6,
			      .max_tokens = ANSWER_TOKENS } };
	const char *answer, *wanted = NULL;
	enum atl_err err = atl_rights_default(app, arena, who, &wanted, info);

	if (!err)
		err = atl_models_resolve_wait(app, arena, who->user_id, wanted, MODEL_WAIT_MS, &target, info);
	if (!err)
		err = atl_rights_model(who, target.id, info);
	if (err)
		return err;
	request.model = target.name;
	err = atl_chat_complete_sync(app->loops[0], &target.endpoint, arena, &request, ATL_ENHANCE_WAIT_MS, &answer, info);
	if (err)
		return err;
	*ret = tidy(arena, answer);
	return !*ret ? atl_fail(info, ATL_ERR_NOMEM, "answer")
		     : **ret ? ATL_OK : atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The language model answered nothing of use.");
}

static enum atl_err check(struct atl_app *app, const struct atl_identity *who, const char *prompt, struct atl_errinfo *info)
{
	return atl_policy_check_text(app, ATL_ENTRY_PICTURE, who, prompt, info);
}

enum atl_err atl_enhance_prompt(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				const char *prompt, const char *style, bool use_model, struct atl_enhanced *ret,
				struct atl_errinfo *info)
{
	struct atl_enhanced out = { .by = "rules" };
	struct atl_errinfo why = { 0 };
	enum atl_err err = check(app, who, prompt, info);

	if (err)
		return err;
	if (use_model) {
		err = ask_model(app, who, arena,
				"You write prompts for an image generator. Rewrite what the user gives you as one line: what is seen, "
				"where, the light, the mood, the medium. Keep every thing the user names. At most 60 words. Answer with "
				"the line only.", prompt, &out.prompt, &why);
		if (!err)
			err = check(app, who, out.prompt, &why);
		out.by = err ? "rules" : "model";
		out.note = err ? atl_arena_strdup(arena, why.detail[0] ? why.detail : atl_err_sentence(err)) : NULL;
	}
	if (atl_str_eq(out.by, "rules"))
		out.prompt = atl_enhance_by_rules(arena, prompt, style);
	if (!out.prompt)
		return atl_fail(info, ATL_ERR_NOMEM, "prompt");
	*ret = out;
	return ATL_OK;
}

/* ---- from a conversation ---- */

static size_t closing_quote(const char *text)
{
	const char *end = NULL;

	if (*text == '"')
		end = strchr(text + 1, '"');
	else if (strncmp(text, "\u201c", 3) == 0)
		end = strstr(text + 3, "\u201d");
	return end ? (size_t)(end - text) + (*text == '"' ? 1 : 3) : 0;
}

const char *atl_enhance_scene_text(struct atl_arena *arena, const char *message)
{
	char *out = atl_arena_alloc(arena, strlen(message) + 1);
	size_t length = 0, cut = 0;

	if (!out)
		return NULL;
	for (const char *p = message; *p && length < ATL_ENHANCE_TEXT_MAX;) {
		size_t speech = closing_quote(p);

		if (speech) {
			p += speech;
			continue;
		}
		if (!strchr("*_#`>[]()", *p)) {
			char c = isspace((unsigned char)*p) ? ' ' : *p;

			if (c != ' ' || (length > 0 && out[length - 1] != ' '))
				out[length++] = c;
			if ((c == '.' || c == '!' || c == '?') && length > 20)
				cut = length - 1;
		}
		p++;
	}
	length = atl_utf8_cut(out, length, length);
	if (length >= ATL_ENHANCE_TEXT_MAX && cut)
		length = cut;
	while (length > 0 && strchr(" .,;:", out[length - 1]))
		length--;
	out[length] = '\0';
	return out;
}

struct talk {
	struct atl_app *app;
	const struct atl_identity *who;
	struct atl_arena *arena;
	struct atl_errinfo *info;
	struct atl_conversation conversation;
	struct atl_character character;
	bool has_character;
	const char *name, *appearance;
	struct atl_message *messages;
	size_t count;
};

/* The first sentence or two of what a card says: mostly how somebody looks. */
static const char *appearance_of(struct atl_arena *arena, const char *description)
{
	const char *text = atl_enhance_scene_text(arena, description ? description : "");
	size_t length = text ? atl_utf8_cut(text, strlen(text), APPEARANCE_MAX) : 0;

	return text ? atl_arena_strndup(arena, text, length) : "";
}

static enum atl_err load(struct talk *t, const char *conversation_id)
{
	struct atl_json *card;
	bool more;
	enum atl_err err = atl_conversation_get(t->app, t->arena, t->who->user_id, conversation_id, &t->conversation, t->info);

	if (!err)
		err = atl_message_page(t->app, t->arena, t->who->user_id, conversation_id, NULL, 8, &t->messages, &t->count, &more,
				       t->info);
	t->name = "";
	t->appearance = "";
	if (err || !t->conversation.character_id)
		return err;
	err = atl_character_get(t->app, t->arena, t->who->user_id, t->conversation.character_id, &t->character, t->info);
	if (err == ATL_ERR_NOT_FOUND)
		return ATL_OK; /* deleted: the conversation goes on without */
	if (err)
		return err;
	t->has_character = true;
	t->name = t->character.name;
	if (t->character.card_json &&
	    atl_json_parse(t->arena, t->character.card_json, strlen(t->character.card_json), &card, NULL) == ATL_OK)
		t->appearance = appearance_of(t->arena, atl_json_str(card, "description", ""));
	return ATL_OK;
}

static const struct atl_message *chosen_message(const struct talk *t, const char *id)
{
	for (size_t i = t->count; i-- > 0;)
		if (id ? atl_str_eq(t->messages[i].id, id) : atl_str_eq(t->messages[i].role, "assistant"))
			return &t->messages[i];
	return id || !t->count ? NULL : &t->messages[t->count - 1];
}

/* The scene as the model sees it, else as the last message tells it. */
static const char *scene(struct talk *t, const struct atl_message *message)
{
	const char *text = atl_enhance_scene_text(t->arena, message->content), *line = NULL;
	struct atl_errinfo why = { 0 };

	if (!text)
		return NULL;
	if (ask_model(t->app, t->who, t->arena,
		      "Describe in one line what is seen in this moment of the story, for an image generator: who, where, what "
		      "happens, the light. No speech, no names. At most 40 words. Answer with the line only.",
		      message->content, &line, &why) != ATL_OK)
		line = *text ? text : t->appearance;
	return line;
}

enum atl_err atl_enhance_conversation(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				      const char *conversation_id, const char *what, struct atl_picture_ask *ask,
				      struct atl_errinfo *info)
{
	struct talk t = { .app = app, .who = who, .arena = arena, .info = info };
	const struct atl_message *message;
	const char *prompt = NULL;
	enum atl_err err = load(&t, conversation_id);

	if (err)
		return err;
	message = chosen_message(&t, ask->message_id);
	if (!message)
		return atl_fail_field(info, ATL_ERR_NOT_FOUND, "message_id", "There is no such message on the active path.");
	if (atl_str_eq(what, "scene"))
		prompt = scene(&t, message);
	else if (atl_str_eq(what, "character"))
		prompt = atl_arena_printf(arena, "full body picture of %s%s%s", *t.name ? "the character" : "a person",
					  *t.appearance ? ", " : "", t.appearance);
	else if (atl_str_eq(what, "face"))
		prompt = atl_arena_printf(arena, "close portrait%s%s, looking at the viewer", *t.appearance ? ", " : "", t.appearance);
	else if (atl_str_eq(what, "user"))
		prompt = atl_arena_printf(arena, "what the character sees, first person view, %s",
					  atl_enhance_scene_text(arena, message->content));
	else if (atl_str_eq(what, "prompt"))
		prompt = ask->prompt;
	else
		return atl_fail_field(info, ATL_ERR_INVALID, "what", "must be scene, character, face, user or prompt");
	if (atl_str_empty(prompt))
		return atl_fail_field(info, ATL_ERR_INVALID, "prompt", "is required: the message says nothing that can be seen");
	ask->prompt = prompt;
	ask->conversation_id = conversation_id;
	ask->message_id = message->id;
	ask->no_expand = true;
	if (!ask->character_id && t.has_character && !atl_str_eq(what, "user"))
		ask->character_id = t.conversation.character_id;
	return ATL_OK;
}
