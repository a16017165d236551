/* json_decode.c - descriptor tables: tree to struct.
 *
 * Every message is a phrase that follows the field's name: "must be a whole number", "is required".
 */
#include "base/json.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"

/* Where we are, as a chain on the stack; written out only when something is wrong. */
struct place {
	const struct place *parent;
	const char *name; /* NULL: an index */
	size_t index;
};

struct decoder {
	struct atl_arena *arena;
	struct atl_errinfo *info;
};

static enum atl_err decode_object(const struct decoder *decoder, const struct place *place,
				  const struct atl_json *value, const struct atl_json_desc *desc, void *out);

static void put_place(struct atl_buf *out, const struct place *place)
{
	if (place->parent) {
		put_place(out, place->parent);
		if (out->length)
			atl_buf_addc(out, '.');
	}
	if (place->name)
		atl_buf_add(out, place->name, strnlen(place->name, ATL_ERRINFO_FIELD_MAX));
	else if (place->parent)
		atl_buf_addf(out, "%zu", place->index);
}

static enum atl_err invalid(const struct decoder *decoder, const struct place *place, const char *fmt, ...)
	ATL_PRINTF(3, 4);
static enum atl_err invalid(const struct decoder *decoder, const struct place *place, const char *fmt, ...)
{
	char detail[ATL_ERRINFO_DETAIL_MAX];
	struct atl_buf path;
	enum atl_err err;
	va_list args;

	atl_buf_init(&path, (ATL_JSON_DEPTH_MAX + 2) * (ATL_ERRINFO_FIELD_MAX + 1));
	put_place(&path, place);
	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	err = atl_fail_field(decoder->info, ATL_ERR_INVALID, path.data, "%s", detail);
	atl_buf_finish(&path);
	return err;
}

static enum atl_err no_memory(const struct decoder *decoder)
{
	return atl_fail(decoder->info, ATL_ERR_NOMEM, "There is no memory for so many values.");
}

/* A bound as people write it: "200", "0.5". */
static const char *number_text(double value, char out[32])
{
	bool whole = value > -1e15 && value < 1e15 && value == (double)(int64_t)value;

	snprintf(out, 32, whole ? "%.0f" : "%g", value);
	return out;
}

static bool bounded(const struct atl_json_field *field)
{
	return field->min != 0 || field->max != 0;
}

static bool has_max(const struct atl_json_field *field)
{
	return bounded(field) && field->max >= field->min;
}

/* "at least 1"; counted: "at most 200", "1 to 200"; measured: "from 1 to 200". */
static void bound_text(const struct atl_json_field *field, bool counted, char out[80])
{
	char low[32], high[32];

	number_text(field->min, low);
	number_text(field->max, high);
	if (!has_max(field))
		snprintf(out, 80, "at least %s", low);
	else if (counted && field->min <= 0)
		snprintf(out, 80, "at most %s", high);
	else
		snprintf(out, 80, "%s%s to %s", counted ? "" : "from ", low, high);
}

static bool in_bounds(const struct atl_json_field *field, double value)
{
	return !bounded(field) || (value >= field->min && (!has_max(field) || value <= field->max));
}

static enum atl_err decode_str(const struct decoder *decoder, const struct place *place,
			       const struct atl_json_field *field, const struct atl_json *value, const char **out)
{
	char bounds[80] = "";

	if (bounded(field))
		bound_text(field, true, bounds);
	if (value->kind != ATL_JSON_STRING) {
		if (bounds[0])
			return invalid(decoder, place, "must be a text of %s characters", bounds);
		return invalid(decoder, place, "must be a text");
	}
	if (bounded(field) && !in_bounds(field, (double)atl_utf8_count(value->string, value->string_length)))
		return invalid(decoder, place, "must be a text of %s characters", bounds);
	if (!has_max(field) && atl_utf8_count(value->string, value->string_length) > ATL_JSON_STR_MAX)
		return invalid(decoder, place, "must be a text of at most %d characters", ATL_JSON_STR_MAX);
	*out = value->string;
	return ATL_OK;
}

static enum atl_err decode_int(const struct decoder *decoder, const struct place *place,
			       const struct atl_json_field *field, const struct atl_json *value, int64_t *out)
{
	char bounds[80];
	int64_t number;
	bool whole = atl_json_integer(value, &number);

	if (whole && in_bounds(field, (double)number)) {
		*out = number;
		return ATL_OK;
	}
	if (!bounded(field))
		return invalid(decoder, place, "must be a whole number");
	bound_text(field, false, bounds);
	return invalid(decoder, place, "must be a whole number, %s", bounds);
}

static enum atl_err decode_num(const struct decoder *decoder, const struct place *place,
			       const struct atl_json_field *field, const struct atl_json *value, double *out)
{
	char bounds[80];

	if (value->kind == ATL_JSON_NUMBER && in_bounds(field, value->number)) {
		*out = value->number;
		return ATL_OK;
	}
	if (!bounded(field))
		return invalid(decoder, place, "must be a number");
	bound_text(field, false, bounds);
	return invalid(decoder, place, "must be a number, %s", bounds);
}

static enum atl_err decode_time(const struct decoder *decoder, const struct place *place,
				const struct atl_json *value, int64_t *out)
{
	if (value->kind != ATL_JSON_STRING || !atl_rfc3339_parse(value->string, out))
		return invalid(decoder, place, "must be a time such as 2026-01-02T03:04:05Z");
	return ATL_OK;
}

static enum atl_err decode_enum(const struct decoder *decoder, const struct place *place,
				const struct atl_json_field *field, const struct atl_json *value, const char **out)
{
	struct atl_buf known;
	enum atl_err err;

	for (size_t i = 0; field->values[i] && value->kind == ATL_JSON_STRING; i++) {
		if (strcmp(field->values[i], value->string) == 0) {
			*out = field->values[i];
			return ATL_OK;
		}
	}
	atl_buf_init(&known, ATL_ERRINFO_DETAIL_MAX);
	for (size_t i = 0; field->values[i]; i++)
		atl_buf_addf(&known, "%s%s", i ? ", " : "", field->values[i]);
	err = invalid(decoder, place, "must be one of: %s", known.data);
	atl_buf_finish(&known);
	return err;
}

/* Kind and count of an array field; *ret is its zeroed memory (NULL for an empty array). */
static enum atl_err decode_array(const struct decoder *decoder, const struct place *place,
				 const struct atl_json_field *field, const struct atl_json *value, size_t item_size,
				 void **ret)
{
	char bounds[80];

	if (value->kind != ATL_JSON_ARRAY)
		return invalid(decoder, place, "must be a list");
	if (!in_bounds(field, (double)value->count)) {
		bound_text(field, true, bounds);
		return invalid(decoder, place, "must be a list of %s items", bounds);
	}
	*ret = NULL;
	if (!value->count)
		return ATL_OK;
	*ret = atl_arena_array(decoder->arena, item_size, value->count);
	return *ret ? ATL_OK : no_memory(decoder);
}

static enum atl_err decode_strs(const struct decoder *decoder, const struct place *place,
				const struct atl_json_field *field, const struct atl_json *value, struct atl_strs *out)
{
	struct atl_json_field item = { .type = ATL_JT_STR, .max = field->item_max };
	struct place here = { .parent = place };
	enum atl_err err;
	void *items;

	err = decode_array(decoder, place, field, value, sizeof(*out->items), &items);
	if (err)
		return err;
	out->items = items;
	out->count = value->count;
	for (const struct atl_json *node = value->child; node; node = node->next, here.index++) {
		err = decode_str(decoder, &here, &item, node, &out->items[here.index]);
		if (err)
			return err;
	}
	return ATL_OK;
}

static enum atl_err decode_list(const struct decoder *decoder, const struct place *place,
				const struct atl_json_field *field, const struct atl_json *value, struct atl_items *out)
{
	struct place here = { .parent = place };
	enum atl_err err;

	err = decode_array(decoder, place, field, value, field->sub->size, &out->items);
	if (err)
		return err;
	out->count = value->count;
	for (const struct atl_json *node = value->child; node; node = node->next, here.index++) {
		char *item = (char *)out->items + here.index * field->sub->size;

		err = decode_object(decoder, &here, node, field->sub, item);
		if (err)
			return err;
	}
	return ATL_OK;
}

static enum atl_err decode_raw(const struct decoder *decoder, const struct atl_json *value, const char **out)
{
	enum atl_err err = ATL_OK;
	struct atl_buf text;
	struct atl_jw w;

	atl_buf_init(&text, ATL_ARENA_MAX_DEFAULT);
	atl_jw_init(&w, &text);
	atl_jw_tree(&w, NULL, value);
	*out = text.failed ? NULL : atl_arena_strndup(decoder->arena, text.data, text.length);
	if (!*out)
		err = no_memory(decoder);
	atl_buf_finish(&text);
	return err;
}

static enum atl_err decode_obj(const struct decoder *decoder, const struct place *place,
			       const struct atl_json_field *field, const struct atl_json *value, const void **out)
{
	void *item = atl_arena_alloc(decoder->arena, field->sub->size);

	if (!item)
		return no_memory(decoder);
	*out = item;
	return decode_object(decoder, place, value, field->sub, item);
}

/* A null that is allowed; also undoes an earlier duplicate of the key. */
static void set_zero(const struct atl_json_field *field, void *out)
{
	static const size_t sizes[] = {
		[ATL_JT_STR] = sizeof(const char *),	  [ATL_JT_INT] = sizeof(int64_t),
		[ATL_JT_NUM] = sizeof(double),		  [ATL_JT_BOOL] = sizeof(bool),
		[ATL_JT_TIME] = sizeof(int64_t),	  [ATL_JT_ENUM] = sizeof(const char *),
		[ATL_JT_STRS] = sizeof(struct atl_strs),  [ATL_JT_ANY] = sizeof(const struct atl_json *),
		[ATL_JT_RAW] = sizeof(const char *),	  [ATL_JT_OBJ] = sizeof(const void *),
		[ATL_JT_LIST] = sizeof(struct atl_items),
	};

	memset(out, 0, sizes[field->type]);
}

static enum atl_err decode_field(const struct decoder *decoder, const struct place *place,
				 const struct atl_json_field *field, const struct atl_json *value, void *out)
{
	if (value->kind == ATL_JSON_NULL && field->flags & ATL_JF_NULLABLE) {
		set_zero(field, out);
		return ATL_OK;
	}
	switch (field->type) {
	case ATL_JT_STR:
		return decode_str(decoder, place, field, value, out);
	case ATL_JT_INT:
		return decode_int(decoder, place, field, value, out);
	case ATL_JT_NUM:
		return decode_num(decoder, place, field, value, out);
	case ATL_JT_BOOL:
		if (value->kind != ATL_JSON_BOOL)
			return invalid(decoder, place, "must be true or false");
		*(bool *)out = value->number != 0;
		return ATL_OK;
	case ATL_JT_TIME:
		return decode_time(decoder, place, value, out);
	case ATL_JT_ENUM:
		return decode_enum(decoder, place, field, value, out);
	case ATL_JT_STRS:
		return decode_strs(decoder, place, field, value, out);
	case ATL_JT_ANY:
		*(const struct atl_json **)out = value;
		return ATL_OK;
	case ATL_JT_RAW:
		return decode_raw(decoder, value, out);
	case ATL_JT_OBJ:
		return decode_obj(decoder, place, field, value, out);
	case ATL_JT_LIST:
		return decode_list(decoder, place, field, value, out);
	}
	return atl_fail(decoder->info, ATL_ERR_INTERNAL, "Field %s has an unknown type.", field->name);
}

/* Index of the field named `key`, or field_count. Keys mostly come in the table's order: look at `hint` first. */
static size_t find_field(const struct atl_json_desc *desc, const char *key, size_t hint)
{
	if (hint < desc->field_count && strcmp(desc->fields[hint].name, key) == 0)
		return hint;
	for (size_t i = 0; i < desc->field_count; i++)
		if (strcmp(desc->fields[i].name, key) == 0)
			return i;
	return desc->field_count;
}

static enum atl_err unknown_key(const struct decoder *decoder, const struct place *place,
				const struct atl_json_desc *desc)
{
	struct atl_buf known;
	enum atl_err err;

	atl_buf_init(&known, 4096);
	for (size_t i = 0; i < desc->field_count; i++)
		atl_buf_addf(&known, "%s%s", i ? ", " : "", desc->fields[i].name);
	err = invalid(decoder, place, "is not known here; known are: %s", known.data);
	atl_buf_finish(&known);
	return err;
}

static enum atl_err decode_object(const struct decoder *decoder, const struct place *place,
				  const struct atl_json *value, const struct atl_json_desc *desc, void *out)
{
	struct place here = { .parent = place };
	uint64_t seen = 0;
	size_t index = 0;
	enum atl_err err;

	if (desc->field_count > ATL_JSON_FIELDS_MAX)
		return atl_fail(decoder->info, ATL_ERR_INTERNAL, "Too many fields in %s.", desc->name);
	if (value->kind != ATL_JSON_OBJECT)
		return invalid(decoder, place, "must be an object");
	for (const struct atl_json *node = value->child; node; node = node->next) {
		index = find_field(desc, node->key, index);
		here.name = node->key;
		if (index == desc->field_count) {
			if (!desc->open)
				return unknown_key(decoder, &here, desc);
			index = 0;
			continue;
		}
		err = decode_field(decoder, &here, &desc->fields[index], node,
				   (char *)out + desc->fields[index].offset);
		if (err)
			return err;
		seen |= UINT64_C(1) << index++;
	}
	for (size_t i = 0; i < desc->field_count; i++) {
		if (desc->fields[i].flags & ATL_JF_REQUIRED && !(seen >> i & 1)) {
			here.name = desc->fields[i].name;
			return invalid(decoder, &here, "is required");
		}
	}
	if (desc->present_offset != ATL_JSON_NO_PRESENT)
		memcpy((char *)out + desc->present_offset, &seen, sizeof(seen));
	return ATL_OK;
}

enum atl_err atl_json_decode(struct atl_arena *arena, const struct atl_json *value, const struct atl_json_desc *desc,
			     void *out, struct atl_errinfo *info)
{
	static const struct atl_json nothing = { .kind = ATL_JSON_NULL };
	struct decoder decoder = { .arena = arena, .info = info };
	struct place root = { .name = "" };

	memset(out, 0, desc->size);
	return decode_object(&decoder, &root, value ? value : &nothing, desc, out);
}

bool atl_json_has(const struct atl_json_desc *desc, const void *decoded, const char *name)
{
	size_t index = find_field(desc, name, 0);
	uint64_t seen;

	if (index == desc->field_count || desc->present_offset == ATL_JSON_NO_PRESENT)
		return false;
	memcpy(&seen, (const char *)decoded + desc->present_offset, sizeof(seen));
	return seen >> index & 1;
}
