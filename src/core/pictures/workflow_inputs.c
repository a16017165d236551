/* workflow_inputs.c - see workflow_inputs.h. */
#include "core/pictures/workflow_inputs.h"

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "provider/comfy_graph.h"

static enum atl_err refuse(struct atl_errinfo *info, const char *name, const char *why)
{
	char field[ATL_ERRINFO_FIELD_MAX] = "inputs.";

	atl_str_copy(field + 7, sizeof(field) - 7, name);
	return atl_fail_field(info, ATL_ERR_INVALID, field, "%s", why);
}

const struct atl_json *atl_workflow_input(const struct atl_json *inputs, const char *name)
{
	const struct atl_json *items = atl_json_get(inputs, "items");

	for (const struct atl_json *one = items ? items->child : NULL; one; one = one->next)
		if (atl_str_eq(atl_json_str(one, "name", NULL), name))
			return one;
	return NULL;
}

static bool is_number(const struct atl_json *input)
{
	const char *type = atl_json_str(input, "type", "");

	return atl_str_eq(type, "integer") || atl_str_eq(type, "number");
}

static bool outside(const struct atl_json *input, double value)
{
	double low = atl_json_num(input, "minimum", NAN), high = atl_json_num(input, "maximum", NAN);

	return (!isnan(low) && value < low) || (!isnan(high) && value > high);
}

/* NULL: not given. Anything but a number or null is refused. */
static enum atl_err bound(const struct atl_json *said, const char *name, const char *key, bool numeric,
			  struct atl_errinfo *info)
{
	const struct atl_json *v = atl_json_get(said, key);

	if (!v || v->kind == ATL_JSON_NULL)
		return ATL_OK;
	if (v->kind != ATL_JSON_NUMBER)
		return refuse(info, name, "minimum and maximum are numbers");
	return numeric ? ATL_OK : refuse(info, name, "only numbers have a range");
}

static enum atl_err check_one(const struct atl_json *input, const struct atl_json *said, struct atl_errinfo *info)
{
	const char *name = atl_json_str(input, "name", "");
	const struct atl_json *label = atl_json_get(said, "label"), *fixed = atl_json_get(said, "fixed");
	const struct atl_json *value = atl_json_get(input, "default");
	enum atl_err err = bound(said, name, "minimum", is_number(input), info);

	if (!err)
		err = bound(said, name, "maximum", is_number(input), info);
	if (err)
		return err;
	if (atl_json_num(said, "minimum", -INFINITY) > atl_json_num(said, "maximum", INFINITY))
		return refuse(info, name, "the minimum is greater than the maximum");
	if (value && value->kind == ATL_JSON_NUMBER && outside(said, value->number))
		return refuse(info, name, "the default is outside the range");
	if (label && label->kind != ATL_JSON_NULL &&
	    (label->kind != ATL_JSON_STRING || atl_utf8_count(label->string, label->string_length) > ATL_WORKFLOW_LABEL_MAX))
		return refuse(info, name, "a label is a text of at most 100 characters");
	if (fixed && fixed->kind != ATL_JSON_BOOL && fixed->kind != ATL_JSON_NULL)
		return refuse(info, name, "fixed is true or false");
	if (atl_json_bool(said, "fixed", false) && atl_json_bool(input, "required", false))
		return refuse(info, name, "what has no default cannot be fixed");
	return ATL_OK;
}

enum atl_err atl_workflow_inputs_check(const struct atl_json *detected, const struct atl_json *said,
				       struct atl_errinfo *info)
{
	const struct atl_json *items = atl_json_get(said, "items");
	enum atl_err err = ATL_OK;

	if (!items || items->kind != ATL_JSON_ARRAY)
		return atl_fail_field(info, ATL_ERR_INVALID, "inputs", "is an object with a list of items");
	for (const struct atl_json *one = items->child; one && !err; one = one->next) {
		const char *name = atl_json_str(one, "name", NULL);
		const struct atl_json *input = name ? atl_workflow_input(detected, name) : NULL;

		if (!name)
			return atl_fail_field(info, ATL_ERR_INVALID, "inputs", "every item has a name");
		err = input ? check_one(input, one, info) : refuse(info, name, "the workflow has no input of this name");
	}
	return err;
}

static void write_number(struct atl_jw *w, const char *key, const struct atl_json *said)
{
	const struct atl_json *v = atl_json_get(said, key);

	if (v && v->kind == ATL_JSON_NUMBER)
		atl_jw_tree(w, key, v);
}

static void write_one(struct atl_jw *w, const struct atl_json *input, const struct atl_json *said)
{
	const char *label = atl_json_str(said, "label", NULL);
	bool fixed = atl_json_bool(said, "fixed", false) && !atl_json_bool(input, "required", false);

	atl_jw_object(w, NULL);
	for (const struct atl_json *v = input->child; v; v = v->next)
		if (atl_str_eq(v->key, "label"))
			atl_jw_str(w, "label", atl_str_empty(label) ? atl_json_str(input, "label", "") : label);
		else
			atl_jw_tree(w, v->key, v);
	if (is_number(input)) {
		write_number(w, "minimum", said);
		write_number(w, "maximum", said);
	}
	atl_jw_bool(w, "fixed", fixed);
	atl_jw_end_object(w);
}

enum atl_err atl_workflow_inputs_merge(struct atl_arena *arena, const struct atl_json *detected,
				       const struct atl_json *said, const char **ret, struct atl_errinfo *info)
{
	const struct atl_json *items = atl_json_get(detected, "items"), *classes = atl_json_get(detected, "classes");
	enum atl_err err;
	struct atl_buf out;
	struct atl_jw w;
	char *text;

	atl_buf_init(&out, ATL_COMFY_GRAPH_MAX * 2);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_array(&w, "items");
	for (const struct atl_json *one = items ? items->child : NULL; one; one = one->next)
		write_one(&w, one, atl_workflow_input(said, atl_json_str(one, "name", "")));
	atl_jw_end_array(&w);
	if (classes)
		atl_jw_tree(&w, "classes", classes);
	atl_jw_end_object(&w);
	err = atl_buf_err(&out, info);
	text = err ? NULL : atl_arena_strndup(arena, out.data, out.length);
	atl_buf_finish(&out);
	if (err)
		return err;
	if (!text)
		return atl_fail(info, ATL_ERR_NOMEM, "workflow");
	*ret = text;
	return ATL_OK;
}

enum atl_err atl_workflow_values_check(const struct atl_json *inputs, const struct atl_json *values,
				       struct atl_errinfo *info)
{
	for (const struct atl_json *v = values ? values->child : NULL; v; v = v->next) {
		const struct atl_json *input = v->key ? atl_workflow_input(inputs, v->key) : NULL;

		if (!input)
			continue;
		if (atl_json_bool(input, "fixed", false))
			return refuse(info, v->key, "is fixed in this workflow");
		if (v->kind == ATL_JSON_NUMBER && outside(input, v->number))
			return refuse(info, v->key, "is outside the range that this workflow allows");
	}
	return ATL_OK;
}
