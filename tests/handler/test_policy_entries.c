/* Every entry point asks the policy: the canary phrase is refused at each, in each field that reaches a model, and the
 * refusal is counted for the entry point of the table. A new line of ATL_ENTRY_LIST fails here until it has a row; so does
 * a new route that takes a body, until it has a row here or a line in test_policy_exempt.h that says why it needs none. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/jobs/job.h"
#include "core/safety/policy.h"
#include "support.h"
#include "test_policy_exempt.h"

#define C ATL_POLICY_CANARY
/* A body of multipart/form-data with one field. */
#define BOUNDARY "--edge\r\n"
#define FORM(name, text) BOUNDARY "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n" text "\r\n--edge--\r\n"

/* {chr}, {per}, {cnv}, {msg}, {sty}, {wfl} in lines become ids of the owner's objects. */
static const struct row {
	enum atl_entry_point entry;
	const char *line, *body;
} rows[] = {
	{ ATL_ENTRY_CHARACTER, "POST /api/v1/characters", "{\"card\":{\"name\":\"A\",\"description\":\"" C "\"}}" },
	{ ATL_ENTRY_CHARACTER, "POST /api/v1/characters", "{\"name\":\"" C "\"}" },
	{ ATL_ENTRY_CHARACTER, "POST /api/v1/characters", "{\"card\":{\"name\":\"A\",\"alternate_greetings\":[\"x\",\"" C "\"]}}" },
	{ ATL_ENTRY_CHARACTER, "POST /api/v1/characters", "{\"card\":{\"name\":\"A\",\"unknown\":{\"deep\":[\"" C "\"]}}}" },
	{ ATL_ENTRY_CHARACTER, "POST /api/v1/characters",
	  "{\"card\":{\"spec\":\"chara_card_v2\",\"data\":{\"name\":\"A\",\"system_prompt\":\"" C "\"}}}" },
	{ ATL_ENTRY_CHARACTER, "PATCH /api/v1/characters/{chr}", "{\"card\":{\"personality\":\"" C "\"}}" },
	{ ATL_ENTRY_CHARACTER, "PATCH /api/v1/characters/{chr}", "{\"card\":{\"post_history_instructions\":\"" C "\"}}" },
	{ ATL_ENTRY_PERSONA, "POST /api/v1/personas", "{\"name\":\"A\",\"description\":\"" C "\"}" },
	{ ATL_ENTRY_PERSONA, "POST /api/v1/personas", "{\"name\":\"" C "\"}" },
	{ ATL_ENTRY_PERSONA, "PATCH /api/v1/personas/{per}", "{\"description\":\"" C "\"}" },
	{ ATL_ENTRY_MESSAGE, "POST /api/v1/conversations/{cnv}/messages", "{\"content\":\"say " C " now\"}" },
	{ ATL_ENTRY_MESSAGE, "POST /api/v1/conversations/{cnv}/messages", "{\"content\":\"" C "\",\"reply\":false}" },
	{ ATL_ENTRY_EDIT, "POST /api/v1/messages/{msg}/edit", "{\"content\":\"" C "\"}" },
	{ ATL_ENTRY_EDIT, "POST /api/v1/messages/{msg}/edit", "{\"content\":\"" C "\",\"in_place\":true}" },
	{ ATL_ENTRY_TEMPORARY, "POST /api/v1/temporary/replies", "{\"messages\":[{\"role\":\"user\",\"content\":\"" C "\"}]}" },
	{ ATL_ENTRY_TEMPORARY, "POST /api/v1/temporary/replies",
	  "{\"messages\":[{\"role\":\"assistant\",\"content\":\"" C "\"},{\"role\":\"user\",\"content\":\"go on\"}]}" },
	{ ATL_ENTRY_IMPORT, "POST /api/v1/conversations/import",
	  "{\"user_name\":\"U\",\"character_name\":\"C\"}\n{\"name\":\"U\",\"is_user\":true,\"mes\":\"" C "\"}\n" },
	{ ATL_ENTRY_IMPORT, "POST /api/v1/conversations/import",
	  "{\"format\":\"atelier.conversation\",\"version\":1,\"title\":\"T\",\"messages\":"
	  "[{\"role\":\"user\",\"content\":\"x\",\"reasoning\":\"" C "\"}]}" },
	{ ATL_ENTRY_IMPORT, "POST /api/v1/conversations/import",
	  "{\"format\":\"atelier.conversation\",\"version\":1,\"title\":\"" C "\",\"messages\":"
	  "[{\"role\":\"user\",\"content\":\"x\"}]}" },
	{ ATL_ENTRY_OPENAI_CHAT, "POST /v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"" C "\"}]}" },
	{ ATL_ENTRY_OPENAI_CHAT, "POST /v1/chat/completions",
	  "{\"stream\":true,\"messages\":[{\"role\":\"system\",\"content\":\"" C "\"},{\"role\":\"user\",\"content\":\"hi\"}]}" },
	{ ATL_ENTRY_OPENAI_CHAT, "POST /v1/chat/completions",
	  "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"" C "\"}]}]}" },
	{ ATL_ENTRY_OPENAI_COMPLETION, "POST /v1/completions", "{\"prompt\":\"" C "\"}" },
	{ ATL_ENTRY_OPENAI_COMPLETION, "POST /v1/completions", "{\"prompt\":[\"x\",\"" C "\"]}" },
	{ ATL_ENTRY_OPENAI_EMBEDDING, "POST /v1/embeddings", "{\"input\":\"" C "\"}" },
	{ ATL_ENTRY_OPENAI_EMBEDDING, "POST /v1/embeddings", "{\"input\":[\"x\",\"" C "\"]}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/jobs", "{\"prompt\":\"a " C "\"}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/jobs", "{\"prompt\":\"{x|" C "}\",\"no_expand\":true}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/jobs", "{\"prompt\":\"x <lora:" C ":1>\",\"style\":\"anime\"}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/jobs", "{\"prompt\":\"x\",\"negative_prompt\":\"" C "\",\"model\":\"low\",\"cfg_scale\":0.5}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/grids", "{\"request\":{\"prompt\":\"" C "\"},\"x\":{\"parameter\":\"seed\",\"text\":\"1-3\"}}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/grids",
	  "{\"request\":{\"prompt\":\"a cat\"},\"x\":{\"parameter\":\"prompt\",\"values\":[\"cat\",\"" C "\"]}}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/prompts/expand", "{\"prompt\":\"{" C "|" C "}\"}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/workflows",
	  "{\"name\":\"W\",\"graph\":{\"1\":{\"class_type\":\"X\",\"inputs\":{\"text\":\"" C "\"}}}}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/workflows",
	  "{\"name\":\"W\",\"graph\":{\"1\":{\"class_type\":\"X\",\"inputs\":{\"text\":\"{{who:x}}\"}}},"
	  "\"inputs\":{\"items\":[{\"name\":\"who\",\"label\":\"" C "\"}]}}" },
	{ ATL_ENTRY_CHARACTER, "PUT /api/v1/characters/{chr}/look", "{\"prompt_prefix\":\"" C "\"}" },
	{ ATL_ENTRY_CHARACTER, "PUT /api/v1/characters/{chr}/look", "{\"negative_prompt\":\"" C "\"}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/styles", "{\"name\":\"S\",\"prompt\":\"" C "\"}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/styles", "{\"name\":\"S\",\"prompt\":\"x\",\"negative_prompt\":\"" C "\"}" },
	{ ATL_ENTRY_PICTURE, "PATCH /api/v1/styles/{sty}", "{\"prompt\":\"" C "\"}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/styles/import", "name,prompt,negative_prompt\nS," C ",\n" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/wildcards", "{\"name\":\"w\",\"entries\":\"a\\n" C "\"}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/prompts/enhance", "{\"prompt\":\"" C "\"}" },
	{ ATL_ENTRY_PICTURE, "PATCH /api/v1/workflows/{wfl}",
	  "{\"name\":\"W\",\"graph\":{\"1\":{\"class_type\":\"X\",\"inputs\":{\"text\":\"" C "\"}}}}" },
	{ ATL_ENTRY_PICTURE, "POST /api/v1/conversations/{cnv}/pictures", "{\"what\":\"prompt\",\"prompt\":\"" C "\"}" },
	{ ATL_ENTRY_STUDIO, "POST /generate", "{\"mode\":\"free\",\"prompt\":\"" C "\"}" },
	{ ATL_ENTRY_STUDIO, "POST /generate", "{\"mode\":\"img2img\",\"prompt\":\"" C "\",\"images\":[\"AAAA\"]}" },
	{ ATL_ENTRY_OPENAI_PICTURE, "POST /v1/images/generations", "{\"prompt\":\"" C "\"}" },
	{ ATL_ENTRY_OPENAI_PICTURE, "POST /v1/images/edits", FORM("prompt", C) },
	{ ATL_ENTRY_OPENAI_PICTURE, "POST /v1/videos", "{\"prompt\":\"" C "\"}" },
	{ ATL_ENTRY_OPENAI_PICTURE, "POST /v1/videos", FORM("prompt", C) },
	{ ATL_ENTRY_A1111, "POST /sdapi/v1/txt2img", "{\"prompt\":\"" C "\"}" },
	{ ATL_ENTRY_A1111, "POST /sdapi/v1/img2img", "{\"prompt\":\"" C "\",\"init_images\":[\"AAAA\"]}" },
};

static const char *character, *persona, *conversation, *message, *style, *workflow;

static const char *fill(const char *line)
{
	static const char *const names[] = { "{chr}", "{per}", "{cnv}", "{msg}", "{sty}", "{wfl}" };
	const char *const ids[] = { character, persona, conversation, message, style, workflow };

	for (size_t i = 0; i < ATL_COUNT(names); i++) {
		const char *at = strstr(line, names[i]);

		if (at)
			return fmt("%.*s%s%s", (int)(at - line), line, ids[i], at + strlen(names[i]));
	}
	return line;
}

static uint64_t refused(enum atl_entry_point entry)
{
	struct atl_policy_stats stats;

	atl_policy_stats(&stats);
	return stats.refused[entry];
}

static void test_every_row(void **state)
{
	struct site *site = *state;
	int wrong = 0;

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		uint64_t before = refused(rows[i].entry);
		static const char *const form[] = { "Content-Type: multipart/form-data; boundary=edge", NULL };
		bool is_form = strncmp(rows[i].body, BOUNDARY, strlen(BOUNDARY)) == 0;
		struct atl_req *req = ask_with(site, &owner, is_form ? form : NULL, fill(rows[i].line), rows[i].body);

		if (req->status == 403 && strstr(req->out.data, "refused_by_policy") && refused(rows[i].entry) == before + 1)
			continue;
		print_error("%s %s: %d, counted %d\n%.400s\n", rows[i].line, rows[i].body, req->status,
			    (int)(refused(rows[i].entry) - before), req->out.length ? req->out.data : "");
		wrong++;
	}
	assert_int_equal(wrong, 0);
	/* nothing of it was stored */
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM jobs"), 0);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM assets"), 0);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM prompt_history"), 0);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM messages WHERE content LIKE '%" C "%'"), 0);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM characters WHERE card LIKE '%" C "%'"), 0);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM personas WHERE description LIKE '%" C "%'"), 0);
}

/* The last gate: a text that got into the database some other way does not reach a model. */
static void test_prompt(void **state)
{
	struct site *site = *state;
	uint64_t before = refused(ATL_ENTRY_PROMPT);
	const char *talk = make_conversation(site, &owner, NULL), *id = add_message(site, &owner, talk, "harmless");
	struct atl_req *req;

	ears_open(site, owner.id);
	execute(site->app.db, fmt("UPDATE messages SET content = '" C "' WHERE id = '%s'", id));
	req = expect(ask(site, &owner, fmt("POST /api/v1/messages/%s/regenerate", id), NULL), 202);
	id = text_at(req, "message.id");
	ears_wait(site, "message.updated", id);
	req = expect(ask(site, &owner, fmt("GET /api/v1/messages/%s", id), NULL), 200);
	assert_string_equal(text_at(req, "status"), "failed");
	assert_string_equal(text_at(req, "error.slug"), "refused_by_policy");
	assert_int_equal(refused(ATL_ENTRY_PROMPT), before + 1);
	ears_close(site);
}

static void test_every_entry_point_has_a_row(void **state)
{
	for (int entry = 0; entry < ATL_ENTRY_COUNT; entry++) {
		bool found = entry == ATL_ENTRY_PROMPT;

		for (size_t i = 0; i < ATL_COUNT(rows); i++)
			found |= (int)rows[i].entry == entry;
		if (!found)
			fail_msg("%s: no row says how it is reached", atl_entry_name((enum atl_entry_point)entry));
	}
}

/* ---- the route table ---- */

static const char *method_name(enum atl_method method)
{
	return method == ATL_POST ? "POST" : method == ATL_PUT ? "PUT" : method == ATL_PATCH ? "PATCH" : NULL;
}

/* "POST /a/{id}/b" of the route table against a line of the same shape; anything in braces is one piece of a path, what
 * ends in a star is the rest. */
static bool same_route(const char *route, const char *line)
{
	while (*route && *line) {
		if (*route == '{' || *line == '{') {
			if (strcspn(route, "}") > 0 && route[strcspn(route, "}") - 1] == '*')
				return true;
			route += strcspn(route, "/");
			line += strcspn(line, "/");
		} else if (*route++ != *line++)
			return false;
	}
	return *route == *line;
}

static const char *exemption(const char *route)
{
	for (size_t i = 0; i < ATL_COUNT(exempt); i++)
		if (strcmp(exempt[i].route, route) == 0)
			return exempt[i].why;
	return NULL;
}

static bool has_row(const char *route)
{
	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		if (same_route(route, rows[i].line))
			return true;
	return false;
}

static void test_every_route_is_gated_or_says_why(void **state)
{
	int wrong = 0;

	for (size_t t = 0; atl_api_tables[t]; t++)
		for (size_t r = 0; atl_api_tables[t][r].path; r++) {
			const char *method = method_name(atl_api_tables[t][r].method), *route, *why;

			if (!method)
				continue;
			route = fmt("%s %s", method, atl_api_tables[t][r].path);
			why = exemption(route);
			if (has_row(route) && !why)
				continue;
			if (!has_row(route) && why && why[0])
				continue;
			print_error("%s %s\n", route,
				    why ? "has a row and an exemption: one of them is wrong"
					: "takes a body: add a row to test_policy_entries.c, or say in test_policy_exempt.h why not");
			wrong++;
		}
	assert_int_equal(wrong, 0);
}

static void test_every_exemption_has_a_route(void **state)
{
	for (size_t i = 0; i < ATL_COUNT(exempt); i++) {
		bool found = false;

		for (size_t t = 0; atl_api_tables[t]; t++)
			for (size_t r = 0; atl_api_tables[t][r].path; r++) {
				const char *method = method_name(atl_api_tables[t][r].method);

				found |= method && strcmp(exempt[i].route, fmt("%s %s", method, atl_api_tables[t][r].path)) == 0;
			}
		if (!found)
			fail_msg("%s: no such route", exempt[i].route);
	}
}

static int setup(void **state)
{
	struct site *site;

	site_setup(state);
	site = *state;
	character = make_character(site, &owner, "Ada");
	persona = text_at(expect(ask(site, &owner, "POST /api/v1/personas", "{\"name\":\"Me\"}"), 201), "id");
	conversation = make_conversation(site, &owner, character);
	message = add_message(site, &owner, conversation, "hello");
	style = text_at(expect(ask(site, &owner, "POST /api/v1/styles", "{\"name\":\"Mine\",\"prompt\":\"{prompt}, x\"}"), 201), "id");
	workflow = text_at(expect(ask(site, &owner, "POST /api/v1/workflows",
				      "{\"name\":\"V\",\"graph\":{\"1\":{\"class_type\":\"X\",\"inputs\":{\"text\":\"x\"}}}}"), 201), "id");
	scripted_pictures(site);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_prompt),
		cmocka_unit_test(test_every_entry_point_has_a_row),
		cmocka_unit_test(test_every_route_is_gated_or_says_why),
		cmocka_unit_test(test_every_exemption_has_a_route),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
