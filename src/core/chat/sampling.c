/* sampling.c - see sampling.h. */
#include "core/chat/sampling.h"

#include <string.h>

#include "base/str.h"

#define F(member, kind, low, high, words) \
	{.name = #member, .type = kind, .offset = offsetof(struct atl_sampling, member), .flags = ATL_JF_NULLABLE, \
	 .min = low, .max = high, .doc = words}

/* In the order of enum atl_sampling_field. */
static const struct atl_json_field FIELDS[ATL_SAMPLING_FIELDS] = {
	F(temperature, ATL_JT_NUM, 0, 5, "randomness; 0 is greedy"),
	F(top_p, ATL_JT_NUM, 0, 1, "nucleus: the smallest set of tokens with this probability"),
	F(top_k, ATL_JT_INT, 0, 1000, "only the k likeliest tokens; 0 is off"),
	F(min_p, ATL_JT_NUM, 0, 1, "drop tokens less likely than this share of the best one"),
	F(repeat_penalty, ATL_JT_NUM, 0.1, 3, "1 is off"),
	F(max_tokens, ATL_JT_INT, 1, 131072, "longest reply"),
	F(stop, ATL_JT_STRS, 0, ATL_SAMPLING_STOP_MAX, "texts that end the reply"),
	F(seed, ATL_JT_INT, 0, 4294967295.0, "the same seed and prompt repeat a reply"),
};

const struct atl_json_desc atl_sampling_desc = {
	.name = "Sampling",
	.doc = "Sampling parameters; what is absent or null comes from the layer below.",
	.fields = FIELDS,
	.field_count = ATL_COUNT(FIELDS),
	.size = sizeof(struct atl_sampling),
	.present_offset = offsetof(struct atl_sampling, present),
	.open = true,
};

static size_t field_size(enum atl_jt type)
{
	return type == ATL_JT_STRS ? sizeof(struct atl_strs) : sizeof(int64_t);
}

void atl_sampling_merge(struct atl_sampling *base, const struct atl_sampling *over)
{
	for (unsigned i = 0; i < ATL_SAMPLING_FIELDS; i++)
		if (atl_sampling_has(over, i))
			memcpy((char *)base + FIELDS[i].offset, (const char *)over + FIELDS[i].offset,
			       field_size(FIELDS[i].type));
	base->present |= over->present;
}

/* What people send is checked to the letter; what an older or newer version stored is read as far as it is known. */
static struct atl_json_desc strict_desc(void)
{
	struct atl_json_desc desc = atl_sampling_desc;
	desc.open = false;
	return desc;
}

/* A null is "not set": the decoder counts it as present with a zero value. */
static void forget_nulls(const struct atl_json *tree, struct atl_sampling *sampling)
{
	for (unsigned i = 0; i < ATL_SAMPLING_FIELDS; i++) {
		const struct atl_json *value = atl_json_get(tree, FIELDS[i].name);
		if (!value || value->kind == ATL_JSON_NULL)
			sampling->present &= ~(UINT64_C(1) << i);
	}
}

static enum atl_err decode(struct atl_arena *arena, const struct atl_json *tree, const struct atl_json_desc *desc,
			   struct atl_sampling *ret, struct atl_errinfo *info)
{
	struct atl_sampling sampling = {0};
	if (tree && tree->kind != ATL_JSON_NULL) {
		enum atl_err err = atl_json_decode(arena, tree, desc, &sampling, info);
		if (err)
			return err;
		forget_nulls(tree, &sampling);
	}
	*ret = sampling;
	return ATL_OK;
}

enum atl_err atl_sampling_read(struct atl_arena *arena, const struct atl_json *tree, struct atl_sampling *ret,
			       struct atl_errinfo *info)
{
	struct atl_json_desc desc = strict_desc();
	return decode(arena, tree, &desc, ret, info);
}

enum atl_err atl_sampling_parse(struct atl_arena *arena, const char *json, struct atl_sampling *ret,
				struct atl_errinfo *info)
{
	struct atl_json *tree = NULL;
	if (!atl_str_empty(json)) {
		enum atl_err err = atl_json_parse(arena, json, strlen(json), &tree, info);
		if (err)
			return err;
	}
	return decode(arena, tree, &atl_sampling_desc, ret, info);
}

void atl_sampling_write(struct atl_jw *w, const char *key, const struct atl_sampling *s)
{
	atl_jw_object(w, key);
	if (atl_sampling_has(s, ATL_SAMPLING_TEMPERATURE))
		atl_jw_num(w, "temperature", s->temperature);
	if (atl_sampling_has(s, ATL_SAMPLING_TOP_P))
		atl_jw_num(w, "top_p", s->top_p);
	if (atl_sampling_has(s, ATL_SAMPLING_TOP_K))
		atl_jw_int(w, "top_k", s->top_k);
	if (atl_sampling_has(s, ATL_SAMPLING_MIN_P))
		atl_jw_num(w, "min_p", s->min_p);
	if (atl_sampling_has(s, ATL_SAMPLING_REPEAT_PENALTY))
		atl_jw_num(w, "repeat_penalty", s->repeat_penalty);
	if (atl_sampling_has(s, ATL_SAMPLING_MAX_TOKENS))
		atl_jw_int(w, "max_tokens", s->max_tokens);
	if (atl_sampling_has(s, ATL_SAMPLING_STOP)) {
		atl_jw_array(w, "stop");
		for (size_t i = 0; i < s->stop.count; i++)
			atl_jw_str(w, NULL, s->stop.items[i]);
		atl_jw_end_array(w);
	}
	if (atl_sampling_has(s, ATL_SAMPLING_SEED))
		atl_jw_int(w, "seed", s->seed);
	atl_jw_end_object(w);
}

const char *atl_sampling_text(struct atl_arena *arena, const struct atl_sampling *sampling)
{
	struct atl_buf out;
	struct atl_jw w;
	atl_buf_init(&out, 65536);
	atl_jw_init(&w, &out);
	atl_sampling_write(&w, NULL, sampling);
	const char *text = out.failed ? NULL : atl_arena_strndup(arena, out.data, out.length);
	atl_buf_finish(&out);
	return text;
}
