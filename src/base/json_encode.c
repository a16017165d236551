/* json_encode.c - descriptor tables: struct to JSON, and the table itself to JSON Schema. */
#include "base/json.h"

#include <stdio.h>

#include "base/str.h"

static bool is_zero(const struct atl_json_field *field, const void *at)
{
	switch (field->type) {
	case ATL_JT_STR:
	case ATL_JT_ENUM:
	case ATL_JT_RAW:
		return atl_str_empty(*(const char *const *)at);
	case ATL_JT_INT:
	case ATL_JT_TIME:
		return *(const int64_t *)at == 0;
	case ATL_JT_NUM:
		return *(const double *)at == 0;
	case ATL_JT_BOOL:
		return !*(const bool *)at;
	case ATL_JT_STRS:
		return ((const struct atl_strs *)at)->count == 0;
	case ATL_JT_ANY:
		return !*(const struct atl_json *const *)at;
	case ATL_JT_OBJ:
		return !*(const void *const *)at;
	case ATL_JT_LIST:
		return ((const struct atl_items *)at)->count == 0;
	}
	return true;
}

static void encode_strs(struct atl_jw *w, const char *key, const struct atl_strs *strs)
{
	atl_jw_array(w, key);
	for (size_t i = 0; i < strs->count; i++)
		atl_jw_str(w, NULL, strs->items[i]);
	atl_jw_end_array(w);
}

static void encode_list(struct atl_jw *w, const char *key, const struct atl_json_desc *desc,
			const struct atl_items *list)
{
	atl_jw_array(w, key);
	for (size_t i = 0; i < list->count; i++)
		atl_json_encode(w, NULL, desc, (const char *)list->items + i * desc->size);
	atl_jw_end_array(w);
}

static void encode_field(struct atl_jw *w, const struct atl_json_field *field, const void *at)
{
	switch (field->type) {
	case ATL_JT_STR:
	case ATL_JT_ENUM:
		atl_jw_str(w, field->name, *(const char *const *)at);
		break;
	case ATL_JT_INT:
		if ((field->flags & ATL_JF_NULLABLE) && *(const int64_t *)at == 0)
			atl_jw_null(w, field->name);
		else
			atl_jw_int(w, field->name, *(const int64_t *)at);
		break;
	case ATL_JT_NUM:
		atl_jw_num(w, field->name, *(const double *)at);
		break;
	case ATL_JT_BOOL:
		atl_jw_bool(w, field->name, *(const bool *)at);
		break;
	case ATL_JT_TIME:
		atl_jw_time(w, field->name, *(const int64_t *)at);
		break;
	case ATL_JT_STRS:
		encode_strs(w, field->name, at);
		break;
	case ATL_JT_ANY:
		atl_jw_tree(w, field->name, *(const struct atl_json *const *)at);
		break;
	case ATL_JT_RAW:
		atl_jw_raw(w, field->name, *(const char *const *)at);
		break;
	case ATL_JT_OBJ:
		atl_json_encode(w, field->name, field->sub, *(const void *const *)at);
		break;
	case ATL_JT_LIST:
		encode_list(w, field->name, field->sub, at);
		break;
	}
}

void atl_json_encode(struct atl_jw *w, const char *key, const struct atl_json_desc *desc, const void *value)
{
	if (!value) {
		atl_jw_null(w, key);
		return;
	}
	atl_jw_object(w, key);
	for (size_t i = 0; i < desc->field_count; i++) {
		const struct atl_json_field *field = &desc->fields[i];
		const void *at = (const char *)value + field->offset;

		if (field->flags & ATL_JF_SECRET)
			continue;
		if (field->flags & ATL_JF_OMIT && !(field->flags & ATL_JF_REQUIRED) && is_zero(field, at))
			continue;
		encode_field(w, field, at);
	}
	atl_jw_end_object(w);
}

/* ---- JSON Schema ---- */

static void schema_type(struct atl_jw *w, const struct atl_json_field *field, const char *type)
{
	if (!(field->flags & ATL_JF_NULLABLE)) {
		atl_jw_str(w, "type", type);
		return;
	}
	atl_jw_array(w, "type");
	atl_jw_str(w, NULL, type);
	atl_jw_str(w, NULL, "null");
	atl_jw_end_array(w);
}

static void schema_bounds(struct atl_jw *w, const struct atl_json_field *field, const char *low, const char *high)
{
	if (field->min == 0 && field->max == 0)
		return;
	atl_jw_num(w, low, field->min);
	if (field->max >= field->min)
		atl_jw_num(w, high, field->max);
}

/* "#/components/schemas/NAME" */
static void schema_ref(struct atl_jw *w, const struct atl_json_desc *desc)
{
	char target[128];

	snprintf(target, sizeof(target), "#/components/schemas/%s", desc->name);
	atl_jw_str(w, "$ref", target);
}

static void schema_obj(struct atl_jw *w, const struct atl_json_field *field)
{
	if (!(field->flags & ATL_JF_NULLABLE)) {
		schema_ref(w, field->sub);
		return;
	}
	atl_jw_array(w, "anyOf");
	atl_jw_object(w, NULL);
	schema_ref(w, field->sub);
	atl_jw_end_object(w);
	atl_jw_object(w, NULL);
	atl_jw_str(w, "type", "null");
	atl_jw_end_object(w);
	atl_jw_end_array(w);
}

static void schema_enum(struct atl_jw *w, const struct atl_json_field *field)
{
	schema_type(w, field, "string");
	atl_jw_array(w, "enum");
	for (size_t i = 0; field->values[i]; i++)
		atl_jw_str(w, NULL, field->values[i]);
	if (field->flags & ATL_JF_NULLABLE)
		atl_jw_null(w, NULL);
	atl_jw_end_array(w);
}

static void schema_array(struct atl_jw *w, const struct atl_json_field *field)
{
	schema_type(w, field, "array");
	atl_jw_object(w, "items");
	if (field->type == ATL_JT_LIST) {
		schema_ref(w, field->sub);
	} else {
		atl_jw_str(w, "type", "string");
		atl_jw_int(w, "maxLength", field->item_max ? field->item_max : ATL_JSON_STR_MAX);
	}
	atl_jw_end_object(w);
	schema_bounds(w, field, "minItems", "maxItems");
}

static void schema_field(struct atl_jw *w, const struct atl_json_field *field)
{
	atl_jw_object(w, field->name);
	switch (field->type) {
	case ATL_JT_STR:
		schema_type(w, field, "string");
		schema_bounds(w, field, "minLength", "maxLength");
		break;
	case ATL_JT_INT:
		schema_type(w, field, "integer");
		atl_jw_str(w, "format", "int64");
		schema_bounds(w, field, "minimum", "maximum");
		break;
	case ATL_JT_NUM:
		schema_type(w, field, "number");
		schema_bounds(w, field, "minimum", "maximum");
		break;
	case ATL_JT_BOOL:
		schema_type(w, field, "boolean");
		break;
	case ATL_JT_TIME:
		schema_type(w, field, "string");
		atl_jw_str(w, "format", "date-time");
		break;
	case ATL_JT_ENUM:
		schema_enum(w, field);
		break;
	case ATL_JT_STRS:
	case ATL_JT_LIST:
		schema_array(w, field);
		break;
	case ATL_JT_OBJ:
		schema_obj(w, field);
		break;
	case ATL_JT_ANY:
	case ATL_JT_RAW:
		break; /* no keyword: any value */
	}
	if (field->doc)
		atl_jw_str(w, "description", field->doc);
	if (field->flags & ATL_JF_SECRET)
		atl_jw_bool(w, "writeOnly", true);
	atl_jw_end_object(w);
}

void atl_json_schema(struct atl_jw *w, const char *key, const struct atl_json_desc *desc)
{
	bool any_required = false;

	atl_jw_object(w, key);
	atl_jw_str(w, "type", "object");
	if (desc->doc)
		atl_jw_str(w, "description", desc->doc);
	atl_jw_object(w, "properties");
	for (size_t i = 0; i < desc->field_count; i++) {
		schema_field(w, &desc->fields[i]);
		any_required = any_required || desc->fields[i].flags & ATL_JF_REQUIRED;
	}
	atl_jw_end_object(w);
	if (any_required) {
		atl_jw_array(w, "required");
		for (size_t i = 0; i < desc->field_count; i++)
			if (desc->fields[i].flags & ATL_JF_REQUIRED)
				atl_jw_str(w, NULL, desc->fields[i].name);
		atl_jw_end_array(w);
	}
	if (!desc->open)
		atl_jw_bool(w, "additionalProperties", false);
	atl_jw_end_object(w);
}
