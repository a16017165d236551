/* openai_moderations.c - POST /v1/moderations: what our own rules and the picture classifier say, in OpenAI's shape.
 *
 * Texts are judged by the policy's rules: minors and anything sexual. Pictures get the classifier's score. What nobody
 * here judges (violence, hate, self-harm, ...) is always false with a score of 0. Nothing is stored and nothing leaves the
 * server. What cannot be judged is an error, never "not flagged".
 */
#include "api/api.h"
#include "api/fields.h"
#include "base/codec.h"
#include "base/id.h"
#include "base/str.h"
#include "core/safety/picture_check.h"
#include "core/server/setting.h"
#include "media/classifier.h"

#define BODY_MAX ((size_t)32 << 20)
#define INPUTS_MAX 256
#define ANSWER_MAX ((size_t)1 << 20)
#define PICTURE_FLAG_PERCENT 60
#define MODEL "omni-moderation-latest"

static const char *const CATEGORIES[] = { "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit",
					  "illicit/violent", "self-harm", "self-harm/instructions", "self-harm/intent", "sexual",
					  "sexual/minors", "violence", "violence/graphic" };

struct moderation_in {
	const struct atl_json *input;
	const char *model;
};
static const struct atl_json_field in_fields[] = {
	F_ANY(struct moderation_in, input, ATL_JF_REQUIRED, "a text, a list of texts, or a list of parts: text, image_url (data: only)"),
	F_STR(struct moderation_in, model, ATL_JF_NULLABLE, 0, 100, "omni-moderation-latest, text-moderation-latest, ...: the same here"),
};
DESC(in_desc, struct moderation_in, "ModerationInput", in_fields);

struct verdict {
	bool minors, sexual_text, picture, text;
	uint32_t picture_score;
};

static enum atl_err judge_text(const char *text, size_t length, struct verdict *v, struct atl_errinfo *info)
{
	struct atl_policy_text one = { text, length };
	struct atl_policy_classes classes;
	enum atl_err err = atl_policy_classify(&one, 1, &classes, info);

	if (err)
		return err;
	v->text = true;
	v->minors |= classes.refused;
	v->sexual_text |= classes.refused || classes.sexual;
	return ATL_OK;
}

static enum atl_err judge_picture(struct atl_req *req, const char *url, struct verdict *v, struct atl_errinfo *info)
{
	const char *comma = strncmp(url, "data:", 5) == 0 ? strchr(url, ',') : NULL;
	struct atl_buf bytes;
	uint32_t score = 0;
	enum atl_err err = ATL_OK;

	if (!comma)
		return atl_fail_field(info, ATL_ERR_INVALID, "input", "Send a picture as a data: address: others are not fetched.");
	atl_buf_init(&bytes, BODY_MAX);
	if (!atl_base64_decode(&bytes, ATL_BASE64_STANDARD, comma + 1, strlen(comma + 1)))
		err = atl_fail_field(info, ATL_ERR_INVALID, "input", "The picture is not base64.");
	if (!err)
		err = atl_picture_check_score(atl_api_app(req), &req->arena, atl_api_user(req), bytes.data, bytes.length, &score, info);
	atl_buf_finish(&bytes);
	v->picture = true;
	v->picture_score = score > v->picture_score ? score : v->picture_score;
	return err;
}

static enum atl_err judge_part(struct atl_req *req, const struct atl_json *part, struct verdict *v, struct atl_errinfo *info)
{
	const char *type = atl_json_str(part, "type", "");
	const struct atl_json *text = atl_json_get(part, "text"), *url = atl_json_path(part, "image_url.url");

	if (atl_str_eq(type, "text") && text && text->kind == ATL_JSON_STRING)
		return judge_text(text->string, text->string_length, v, info);
	if (atl_str_eq(type, "image_url") && url && url->kind == ATL_JSON_STRING)
		return judge_picture(req, url->string, v, info);
	return atl_fail_field(info, ATL_ERR_INVALID, "input", "must be texts or parts of type text or image_url");
}

/* One result for each text; all parts together are one. */
static enum atl_err judge_all(struct atl_req *req, const struct atl_json *input, struct verdict *out, size_t *ret_count,
			      struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;

	*ret_count = 1;
	if (input->kind == ATL_JSON_STRING)
		return judge_text(input->string, input->string_length, out, info);
	if (input->kind != ATL_JSON_ARRAY || !input->child || input->count > INPUTS_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "input", "must be a text or a list of at most %d", INPUTS_MAX);
	if (input->child->kind == ATL_JSON_OBJECT) {
		for (const struct atl_json *part = input->child; part && !err; part = part->next)
			err = judge_part(req, part, out, info);
		return err;
	}
	*ret_count = 0;
	for (const struct atl_json *one = input->child; one && !err; one = one->next) {
		if (one->kind != ATL_JSON_STRING)
			return atl_fail_field(info, ATL_ERR_INVALID, "input", "must be texts or parts of type text or image_url");
		err = judge_text(one->string, one->string_length, &out[(*ret_count)++], info);
	}
	return err;
}

static double score_of(const struct verdict *v, const char *category)
{
	double picture = (double)v->picture_score / ATL_SCORE_ONE;

	if (atl_str_eq(category, "sexual/minors"))
		return v->minors ? 1 : 0;
	if (!atl_str_eq(category, "sexual"))
		return 0;
	return v->sexual_text ? 1 : picture;
}

static bool flagged(const struct verdict *v, const char *category, double threshold)
{
	double score = score_of(v, category);

	return score > 0 && score >= threshold;
}

static void write_types(struct atl_jw *w, const struct verdict *v, const char *category)
{
	bool judged = atl_str_eq(category, "sexual") || atl_str_eq(category, "sexual/minors");

	atl_jw_array(w, category);
	if (judged && v->text)
		atl_jw_str(w, NULL, "text");
	if (atl_str_eq(category, "sexual") && v->picture)
		atl_jw_str(w, NULL, "image");
	atl_jw_end_array(w);
}

static void write_result(struct atl_jw *w, const struct verdict *v, double threshold)
{
	bool any = false;

	for (size_t i = 0; i < ATL_COUNT(CATEGORIES); i++)
		any |= flagged(v, CATEGORIES[i], threshold);
	atl_jw_object(w, NULL);
	atl_jw_bool(w, "flagged", any);
	atl_jw_object(w, "categories");
	for (size_t i = 0; i < ATL_COUNT(CATEGORIES); i++)
		atl_jw_bool(w, CATEGORIES[i], flagged(v, CATEGORIES[i], threshold));
	atl_jw_end_object(w);
	atl_jw_object(w, "category_scores");
	for (size_t i = 0; i < ATL_COUNT(CATEGORIES); i++)
		atl_jw_num(w, CATEGORIES[i], score_of(v, CATEGORIES[i]));
	atl_jw_end_object(w);
	atl_jw_object(w, "category_applied_input_types");
	for (size_t i = 0; i < ATL_COUNT(CATEGORIES); i++)
		write_types(w, v, CATEGORIES[i]);
	atl_jw_end_object(w);
	atl_jw_end_object(w);
}

static void answer(struct atl_req *req, const struct moderation_in *in, const struct verdict *verdicts, size_t count)
{
	double threshold = (double)atl_setting_int(atl_api_app(req), ATL_SETTING_PICTURE_CHECK_THRESHOLD, PICTURE_FLAG_PERCENT) / 100;
	char id[ATL_ID_SIZE];
	struct atl_buf out;
	struct atl_jw w;

	atl_id_new("mdr", id);
	atl_buf_init(&out, ANSWER_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "id", id);
	atl_jw_str(&w, "model", atl_str_empty(in->model) ? MODEL : in->model);
	atl_jw_array(&w, "results");
	for (size_t i = 0; i < count; i++)
		write_result(&w, &verdicts[i], threshold);
	atl_jw_end_array(&w);
	atl_jw_end_object(&w);
	if (out.failed)
		atl_api_fail(req, ATL_ERR_NOMEM, NULL);
	else
		atl_res_json_text(req, 200, out.data, out.length);
	atl_buf_finish(&out);
}

static void handle_moderations(struct atl_req *req)
{
	struct verdict *verdicts = ATL_ARENA_ARRAY(&req->arena, struct verdict, INPUTS_MAX);
	struct atl_errinfo info = { 0 };
	struct moderation_in in;
	size_t count = 0;
	enum atl_err err = verdicts ? atl_req_json(req, &in, &info) : atl_fail(&info, ATL_ERR_NOMEM, "moderation");

	if (!err) {
		memset(verdicts, 0, sizeof(*verdicts) * INPUTS_MAX);
		err = judge_all(req, in.input, verdicts, &count, &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		answer(req, &in, verdicts, count);
}

const struct atl_route atl_openai_moderations_routes[] = {
	{ .method = ATL_POST, .path = "/v1/moderations", .permission = "session", .handler = handle_moderations,
	  .flags = ATL_ROUTE_PROBLEM_OPENAI, .tag = "OpenAI", .body_max = BODY_MAX, .in = &in_desc,
	  .summary = "What the rules say of texts, and the picture classifier of pictures" },
	{ .path = NULL },
};
