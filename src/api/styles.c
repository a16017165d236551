/* styles.c - /api/v1/styles, /api/v1/wildcards and /api/v1/prompts: what helps with writing prompts. */
#include <string.h>

#include "api/api.h"
#include "api/fields.h"
#include "base/crypto.h"
#include "base/str.h"
#include "core/chat/prompt_history.h"
#include "core/pictures/dynamic_prompt.h"
#include "core/pictures/enhance.h"
#include "core/pictures/style.h"
#include "core/pictures/wildcard.h"
#include "core/safety/policy.h"

#define CSV_MAX ((size_t)1 << 20)
#define EXPAND_MAX 20 /* of one prompt at a time */
#define SEED_MAX 4294967295.0

struct style_in {
	uint64_t present;
	const char *name, *prompt, *negative_prompt, *model;
	const struct atl_json *params;
	bool shared;
};
static const struct atl_json_field style_fields[] = {
	F_STR(struct style_in, name, 0, 1, ATL_STYLE_NAME_MAX, NULL),
	F_STR(struct style_in, prompt, 0, 0, ATL_STYLE_TEXT_MAX, "{prompt} stands for what the person wrote"),
	F_STR(struct style_in, negative_prompt, 0, 0, ATL_STYLE_TEXT_MAX, NULL),
	F_STR(struct style_in, model, ATL_JF_NULLABLE, 0, 300, "null: any"),
	F_ANY(struct style_in, params, ATL_JF_NULLABLE, "values for what the person left open: steps, cfg_scale, loras ..."),
	F_BOOL(struct style_in, shared, 0, "everybody on this server may use it"),
};
DESC_PATCH(style_desc, struct style_in, "StyleInput", style_fields);

struct wildcard_in {
	const char *name, *entries;
};
static const struct atl_json_field wildcard_fields[] = {
	F_STR(struct wildcard_in, name, ATL_JF_REQUIRED, 1, 64, "__name__ in a prompt"),
	F_STR(struct wildcard_in, entries, ATL_JF_REQUIRED, 0, ATL_WILDCARD_BYTES_MAX, "one a line"),
};
DESC(wildcard_desc, struct wildcard_in, "WildcardInput", wildcard_fields);

struct enhance_in {
	const char *prompt, *style;
	bool rules;
};
static const struct atl_json_field enhance_fields[] = {
	F_STR(struct enhance_in, prompt, ATL_JF_REQUIRED, 1, ATL_PICTURE_PROMPT_MAX, NULL),
	F_STR(struct enhance_in, style, ATL_JF_NULLABLE, 1, 100, NULL),
	F_BOOL(struct enhance_in, rules, 0, "do not ask the chat model"),
};
DESC(enhance_desc, struct enhance_in, "EnhanceInput", enhance_fields);

struct expand_in {
	uint64_t present;
	const char *prompt;
	int64_t count, seed;
};
static const struct atl_json_field expand_fields[] = {
	F_STR(struct expand_in, prompt, ATL_JF_REQUIRED, 1, ATL_PICTURE_PROMPT_MAX, "with {a|b} and __name__"),
	F_INT(struct expand_in, count, 0, 1, EXPAND_MAX, "5 unless told"),
	F_INT(struct expand_in, seed, 0, 0, SEED_MAX, "of the first; the others follow it. Random unless told"),
};
DESC_PATCH(expand_desc, struct expand_in, "ExpandInput", expand_fields);

struct expanded {
	int64_t seed;
	const char *prompt;
};
static const struct atl_json_field expanded_fields[] = {
	F_INT(struct expanded, seed, ATL_JF_REQUIRED, 0, 0, "a picture with this seed gets this prompt"),
	F_STR(struct expanded, prompt, ATL_JF_REQUIRED, 0, 0, NULL),
};
DESC(expanded_desc, struct expanded, "ExpandedPrompt", expanded_fields);

struct imported {
	int64_t imported;
};
static const struct atl_json_field imported_fields[] = {
	F_INT(struct imported, imported, ATL_JF_REQUIRED, 0, 0, NULL),
};
DESC(imported_desc, struct imported, "ImportedStyles", imported_fields);

static void answer_empty(struct atl_req *req, enum atl_err err, const struct atl_errinfo *info)
{
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_empty(req, 204);
}

static void style_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_style *items;
	size_t count;
	enum atl_err err = atl_style_list(atl_api_app(req), &req->arena, atl_api_user(req), &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_style_desc, items, count, NULL);
}

static void style_save(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	const char *id = atl_req_param(req, "id");
	struct style_in in;
	struct atl_style style;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err) {
		struct atl_style_change change = { .name = in.name, .prompt = in.prompt, .negative_prompt = in.negative_prompt,
						   .params = in.params };

		if (atl_json_has(&style_desc, &in, "model"))
			change.model = in.model ? in.model : "";
		if (atl_json_has(&style_desc, &in, "shared"))
			change.shared = &in.shared;
		err = atl_style_save(atl_api_app(req), atl_api_identity(req), &req->arena, id, &change, &style, &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, id ? 200 : 201, &atl_style_desc, &style);
}

static void style_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };

	answer_empty(req, atl_style_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info), &info);
}

static void style_import(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct imported out = { 0 };
	size_t count = 0;
	enum atl_err err = atl_style_import(atl_api_app(req), atl_api_identity(req), &req->arena, req->body, req->body_length,
					    &count, &info);

	out.imported = (int64_t)count;
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &imported_desc, &out);
}

static void wildcard_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_wildcard *items;
	size_t count;
	enum atl_err err = atl_wildcard_list(atl_api_app(req), &req->arena, atl_api_user(req), &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_wildcard_desc, items, count, NULL);
}

static void wildcard_save(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct wildcard_in in;
	struct atl_wildcard wildcard;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_wildcard_save(atl_api_app(req), atl_api_identity(req), &req->arena, in.name, in.entries, &wildcard, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_wildcard_desc, &wildcard);
}

static void wildcard_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };

	answer_empty(req, atl_wildcard_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info), &info);
}

static void prompt_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_past_prompt *items;
	int64_t limit = ATL_API_PAGE_DEFAULT;
	const char *text = atl_req_query(req, "limit");
	size_t count;
	enum atl_err err = ATL_OK;

	if (text && !atl_str_i64(text, 1, ATL_API_PAGE_MAX, &limit))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "limit", "must be between 1 and %d", ATL_API_PAGE_MAX);
	if (!err)
		err = atl_prompt_history_list(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_query(req, "q"), limit,
					      &items, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_past_prompt_desc, items, count, NULL);
}

static void prompt_clear(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };

	answer_empty(req, atl_prompt_history_clear(atl_api_app(req), atl_api_user(req), &info), &info);
}

static void prompt_enhance(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct enhance_in in;
	struct atl_enhanced out;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_enhance_prompt(atl_api_app(req), atl_api_identity(req), &req->arena, in.prompt, in.style, !in.rules,
					 &out, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_enhanced_desc, &out);
}

static const char *find_wildcard(void *arg, const char *name)
{
	struct atl_req *req = arg;
	const char *lines = NULL;

	return atl_wildcard_lines(atl_api_app(req), &req->arena, atl_api_user(req), name, &lines, NULL) == ATL_OK ? lines : NULL;
}

static void prompt_expand(struct atl_req *req)
{
	struct atl_policy_text texts[EXPAND_MAX + 1] = { { NULL, 0 } };
	struct expanded items[EXPAND_MAX];
	struct atl_errinfo info = { 0 };
	struct expand_in in;
	uint32_t seed;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_random(&seed, sizeof(seed));
	if (atl_json_has(&expand_desc, &in, "seed"))
		seed = (uint32_t)in.seed;
	if (!atl_json_has(&expand_desc, &in, "count"))
		in.count = 5;
	texts[in.count] = ATL_POLICY_TEXT(in.prompt);
	for (int64_t i = 0; i < in.count && !err; i++) {
		items[i].seed = (uint32_t)(seed + (uint32_t)i);
		err = atl_dynamic_expand(&req->arena, in.prompt, (uint64_t)items[i].seed, find_wildcard, req, &items[i].prompt, &info);
		if (!err)
			texts[i] = ATL_POLICY_TEXT(items[i].prompt);
	}
	if (!err)
		err = atl_policy_check(atl_api_app(req), ATL_ENTRY_PICTURE, atl_api_identity(req), texts, (size_t)in.count + 1, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &expanded_desc, items, (size_t)in.count, NULL);
}

static const struct atl_query_param prompt_params[] = {
	{ "q", ATL_JT_STR, 0, 200, NULL, "a part of the prompt" },
	{ "limit", ATL_JT_INT, 1, ATL_API_PAGE_MAX, NULL, "50 unless told" },
	{ 0 },
};

#define STYLE(m, p, h, words) .method = m, .path = "/api/v1/styles" p, .permission = "pictures.use", .handler = h, \
	.tag = "Styles", .summary = words
#define PROMPTS(m, p, h, words) .method = m, .path = "/api/v1/" p, .permission = "pictures.use", .handler = h, \
	.tag = "Prompts", .summary = words

const struct atl_route atl_styles_routes[] = {
	{ STYLE(ATL_GET, "", style_list, "Built-in styles, one's own and shared ones"), .out = &atl_style_desc, .out_list = true },
	{ STYLE(ATL_POST, "", style_save, "Create a style"), .in = &style_desc, .out = &atl_style_desc, .status = 201 },
	{ STYLE(ATL_PATCH, "/{id}", style_save, "Change a style of one's own"), .in = &style_desc, .out = &atl_style_desc },
	{ STYLE(ATL_DELETE, "/{id}", style_delete, "Delete a style of one's own"), .status = 204 },
	{ STYLE(ATL_POST, "/import", style_import, "Import a styles.csv; styles of the same name are replaced"),
	  .out = &imported_desc, .body_max = CSV_MAX},
	{ PROMPTS(ATL_GET, "wildcards", wildcard_list, "Lists of words behind __name__"), .out = &atl_wildcard_desc, .out_list = true },
	{ PROMPTS(ATL_POST, "wildcards", wildcard_save, "Make or replace the list of this name"), .in = &wildcard_desc,
	  .out = &atl_wildcard_desc, .body_max = ATL_WILDCARD_BYTES_MAX * 2 },
	{ PROMPTS(ATL_DELETE, "wildcards/{id}", wildcard_delete, "Delete a list"), .status = 204 },
	{ PROMPTS(ATL_GET, "prompts", prompt_list, "Prompts used before, newest first"), .out = &atl_past_prompt_desc,
	  .out_list = true, .query = prompt_params },
	{ PROMPTS(ATL_DELETE, "prompts", prompt_clear, "Forget them"), .status = 204 },
	{ PROMPTS(ATL_POST, "prompts/enhance", prompt_enhance, "A better prompt, by the chat model or by rules"), .rate = ATL_CLASS_GENERATE,
	  .in = &enhance_desc, .out = &atl_enhanced_desc },
	{ PROMPTS(ATL_POST, "prompts/expand", prompt_expand, "What {a|b} and __name__ become, for some seeds"),
	  .in = &expand_desc, .out = &expanded_desc, .out_list = true },
	{ .path = NULL },
};
