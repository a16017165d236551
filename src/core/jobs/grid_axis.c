/* grid_axis.c - see grid_axis.h. One table says what can be an axis. */
#include "core/jobs/grid_axis.h"

#include <math.h>
#include <stdio.h>

#include "base/str.h"

#define PIECE_MAX 48 /* bytes of a number */
#define OFF(member) offsetof(struct atl_picture_ask, member)

/* Smallest and largest are those of the same field of a job. */
static const struct parameter {
	const char *name;
	enum atl_grid_type type;
	size_t offset;
	double min, max;
} PARAMETERS[] = {
	{ "prompt", ATL_GRID_PROMPT, 0, 0, 0 },
	{ "model", ATL_GRID_CHOICE, OFF(model), 0, 300 },
	{ "style", ATL_GRID_CHOICE, OFF(style), 0, 200 },
	{ "sampler", ATL_GRID_CHOICE, OFF(sampler), 0, 60 },
	{ "scheduler", ATL_GRID_CHOICE, OFF(scheduler), 0, 60 },
	{ "steps", ATL_GRID_INTEGER, OFF(steps), 1, 1000 },
	{ "cfg_scale", ATL_GRID_NUMBER, OFF(cfg_scale), 0, 100 },
	{ "guidance", ATL_GRID_NUMBER, OFF(guidance), 0, 100 },
	{ "seed", ATL_GRID_INTEGER, OFF(seed), -1, 4294967295.0 },
	{ "clip_skip", ATL_GRID_INTEGER, OFF(clip_skip), 0, 12 },
	{ "strength", ATL_GRID_NUMBER, OFF(strength), 0, 1 },
	{ "lora_weight", ATL_GRID_LORA, 0, -10, 10 },
	{ "size", ATL_GRID_SIZE, 0, 0, 0 },
	{ "width", ATL_GRID_INTEGER, OFF(width), 1, 16384 },
	{ "height", ATL_GRID_INTEGER, OFF(height), 1, 16384 },
	{ "subseed_strength", ATL_GRID_NUMBER, OFF(subseed_strength), 0, 1 },
	{ "control_strength", ATL_GRID_NUMBER, OFF(control_strength), 0, 2 },
};
const char *const atl_grid_parameters[] = { "prompt", "model", "style", "sampler", "scheduler", "steps", "cfg_scale", "guidance",
					    "seed", "clip_skip", "strength", "lora_weight", "size", "width", "height",
					    "subseed_strength", "control_strength", NULL };
_Static_assert(ATL_COUNT(PARAMETERS) + 1 == ATL_COUNT(atl_grid_parameters), "the names are those of the table");

struct read {
	struct atl_arena *arena;
	const char *name; /* of the axis */
	const struct parameter *parameter;
	struct atl_grid_axis *axis;
	struct atl_errinfo *info;
};

static const struct parameter *find(const char *name)
{
	for (size_t i = 0; i < ATL_COUNT(PARAMETERS); i++)
		if (atl_str_eq(PARAMETERS[i].name, name))
			return &PARAMETERS[i];
	return NULL;
}

#define refuse(r, ...) atl_fail_field((r)->info, ATL_ERR_INVALID, (r)->name, __VA_ARGS__)

static enum atl_err push(struct read *r, const struct atl_grid_value *value)
{
	if (r->axis->count == ATL_GRID_CELLS_MAX)
		return refuse(r, "The axis %s has more than 100 values; a grid has 100 pictures at most.", r->name);
	if (!value->label)
		return atl_fail(r->info, ATL_ERR_NOMEM, "grid");
	r->axis->values[r->axis->count++] = *value;
	return ATL_OK;
}

/* ---- numbers and their ranges ---- */

static void skip_blanks(const char **at)
{
	while (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r')
		(*at)++;
}

static bool scan_number(const char **at, double *ret)
{
	char digits[PIECE_MAX];
	size_t length = 0;

	skip_blanks(at);
	if (**at == '+')
		(*at)++;
	else if (**at == '-')
		digits[length++] = *(*at)++;
	while (((**at >= '0' && **at <= '9') || **at == '.') && length + 1 < sizeof(digits))
		digits[length++] = *(*at)++;
	digits[length] = '\0';
	skip_blanks(at);
	return atl_str_double(digits, ret);
}

static enum atl_err push_number(struct read *r, double number, const char *text)
{
	const struct parameter *p = r->parameter;
	bool whole = p->type == ATL_GRID_INTEGER;
	struct atl_grid_value value = { .number = whole ? number : round(number * 1e6) / 1e6 + 0.0 }; /* no -0 */

	if (whole && number != floor(number))
		return refuse(r, "\"%s\": whole numbers are needed here.", text);
	if (number < p->min || number > p->max)
		return refuse(r, "\"%s\": %s is from %.10g to %.10g.", text, p->name, p->min, p->max);
	value.integer = whole ? (int64_t)number : 0;
	value.label = atl_arena_printf(r->arena, "%.10g", value.number);
	return push(r, &value);
}

struct range {
	double from, to, step;
	int64_t count; /* 0: by step */
};

/* "3", "1-5", "1-10 (+3)", "0-1 [5]"; a single number is a range to itself. */
static bool scan_range(const char *text, struct range *ret)
{
	struct range range = { 0 };
	double count;

	if (!scan_number(&text, &range.from))
		return false;
	range.to = range.from;
	range.step = 1;
	if (*text == '-') {
		text++;
		if (!scan_number(&text, &range.to))
			return false;
		range.step = range.to < range.from ? -1 : 1;
		if (*text == '(') {
			text++;
			if (!scan_number(&text, &range.step) || *text != ')' || range.step == 0 ||
			    (range.to - range.from) * range.step < 0)
				return false;
			text++;
		} else if (*text == '[') {
			text++;
			if (!scan_number(&text, &count) || *text != ']' || count < 1 || count > 1e6 || count != floor(count))
				return false;
			text++;
			range.count = (int64_t)count;
		}
	}
	skip_blanks(&text);
	*ret = range;
	return *text == '\0';
}

static enum atl_err push_range(struct read *r, const char *text)
{
	struct range range;
	double steps;
	enum atl_err err = ATL_OK;

	if (!scan_range(text, &range))
		return refuse(r, "\"%s\" is neither a number nor a range like 1-5, 1-10 (+3) or 1-10 [5].", text);
	for (int64_t i = 0; !err && i < range.count; i++) {
		double value = range.count == 1 ? range.from
						: range.from + (range.to - range.from) * (double)i / (double)(range.count - 1);

		err = push_number(r, r->parameter->type == ATL_GRID_INTEGER ? trunc(value + 1e-9) : value, text);
	}
	if (range.count)
		return err;
	steps = floor((range.to - range.from) / range.step + 1e-9);
	for (double i = 0; !err && i <= steps; i++)
		err = push_number(r, range.from + i * range.step, text);
	return err;
}

/* ---- one value, one list ---- */

static const char *trimmed(struct atl_arena *arena, const char *text)
{
	size_t length;

	skip_blanks(&text);
	length = strlen(text);
	while (length && strchr(" \t\r\n", text[length - 1]))
		length--;
	return atl_arena_strndup(arena, text, length);
}

static enum atl_err push_text(struct read *r, const char *text)
{
	struct atl_grid_value value = { .label = r->parameter->type == ATL_GRID_PROMPT ? text : trimmed(r->arena, text) };

	if (!value.label)
		return atl_fail(r->info, ATL_ERR_NOMEM, "grid");
	switch (r->parameter->type) {
	case ATL_GRID_INTEGER:
	case ATL_GRID_NUMBER:
	case ATL_GRID_LORA:
		return push_range(r, value.label);
	case ATL_GRID_SIZE:
		if (!atl_picture_size(r->arena, value.label, &value.integer, &value.height))
			return refuse(r, "\"%s\" is not a size like 512x768.", value.label);
		return push(r, &value);
	case ATL_GRID_CHOICE:
		if (atl_utf8_count(value.label, strlen(value.label)) > (size_t)r->parameter->max)
			return refuse(r, "A value of %s is too long.", r->parameter->name);
		if (!*value.label && !atl_str_eq(r->parameter->name, "style"))
			return refuse(r, "A value of %s is empty.", r->parameter->name);
		return push(r, &value);
	case ATL_GRID_PROMPT:
		if (!*value.label && !r->axis->count)
			return refuse(r, "The first value of %s is what is searched; it cannot be empty.", r->parameter->name);
		return push(r, &value);
	}
	return ATL_ERR_INTERNAL;
}

/* Pieces between commas; empty ones are passed over, "quoted" ones are taken as they are ("" is one quote). */
static enum atl_err push_pieces(struct read *r, const char *text)
{
	enum atl_err err = ATL_OK;

	while (!err && *text) {
		char *piece = atl_arena_alloc(r->arena, strlen(text) + 1), *end = piece;
		bool quoted;

		if (!piece)
			return atl_fail(r->info, ATL_ERR_NOMEM, "grid");
		skip_blanks(&text);
		quoted = *text == '"';
		for (text += quoted ? 1 : 0; *text && (quoted ? *text != '"' || text[1] == '"' : *text != ','); text++) {
			if (quoted && *text == '"')
				text++;
			*end++ = *text;
		}
		if (quoted) {
			if (*text != '"')
				return refuse(r, "The axis %s has a quotation mark without its other.", r->name);
			text++;
			skip_blanks(&text);
			if (*text && *text != ',')
				return refuse(r, "The axis %s has text after a quotation mark; a comma belongs there.", r->name);
		}
		text += *text == ',' ? 1 : 0;
		if (!quoted)
			piece = (char *)trimmed(r->arena, piece);
		if (!piece)
			return atl_fail(r->info, ATL_ERR_NOMEM, "grid");
		if (*piece || quoted)
			err = push_text(r, piece);
	}
	return err;
}

static enum atl_err push_list(struct read *r, const struct atl_json *values)
{
	bool numbers = r->parameter->type == ATL_GRID_INTEGER || r->parameter->type == ATL_GRID_NUMBER ||
		       r->parameter->type == ATL_GRID_LORA;
	enum atl_err err = ATL_OK;

	if (values->kind != ATL_JSON_ARRAY)
		return refuse(r, "The values of the axis %s must be a list.", r->name);
	for (const struct atl_json *v = values->child; v && !err; v = v->next) {
		if (v->kind == ATL_JSON_STRING && v->string_length <= ATL_PICTURE_PROMPT_MAX)
			err = push_text(r, v->string);
		else if (v->kind == ATL_JSON_NUMBER && numbers)
			err = push_number(r, v->number, atl_arena_printf(r->arena, "%.10g", v->number));
		else
			err = refuse(r, "The axis %s has a value of the wrong kind.", r->name);
	}
	return err;
}

enum atl_err atl_grid_axis_read(struct atl_arena *arena, const char *name, const struct atl_grid_axis_in *in,
				struct atl_grid_axis *ret, struct atl_errinfo *info)
{
	const struct parameter *parameter = find(in->parameter);
	struct atl_grid_axis axis = { 0 };
	struct read r = { .arena = arena, .name = name, .parameter = parameter, .axis = &axis, .info = info };
	enum atl_err err;

	if (!parameter)
		return refuse(&r, "\"%s\" cannot be an axis.", in->parameter ? in->parameter : "");
	if (!in->values == !in->text)
		return refuse(&r, "The axis %s needs either values or a text.", name);
	axis.parameter = parameter->name;
	axis.type = parameter->type;
	axis.lora = atl_str_empty(in->lora) ? NULL : in->lora;
	axis.values = ATL_ARENA_ARRAY(arena, struct atl_grid_value, ATL_GRID_CELLS_MAX);
	if (!axis.values)
		return atl_fail(info, ATL_ERR_NOMEM, "grid");
	if (axis.lora && axis.type != ATL_GRID_LORA)
		return refuse(&r, "Only lora_weight takes a LoRA's name, not %s.", parameter->name);
	err = in->values ? push_list(&r, in->values) : push_pieces(&r, in->text);
	if (!err && !axis.count)
		err = refuse(&r, "The axis %s has no values.", name);
	if (!err)
		*ret = axis;
	return err;
}

/* ---- setting ---- */

static const char *replace(struct atl_arena *arena, const char *text, const char *search, const char *with, bool *found)
{
	size_t step = strlen(search), with_length = strlen(with), count = 0, length;
	char *out, *end;

	for (const char *at = text; at && (at = strstr(at, search)); at += step)
		count++;
	if (!count)
		return text;
	*found = true;
	length = strlen(text) + count * with_length;
	out = end = atl_arena_alloc(arena, length + 1);
	for (const char *at; out && (at = strstr(text, search)); text = at + step) {
		memcpy(end, text, (size_t)(at - text));
		end += at - text;
		memcpy(end, with, with_length);
		end += with_length;
	}
	if (out)
		memcpy(end, text, strlen(text) + 1);
	return out;
}

static enum atl_err apply_prompt(struct read *r, const char *with, struct atl_picture_ask *ask)
{
	const char *search = r->axis->values[0].label;
	bool found = false;
	const char *prompt = replace(r->arena, ask->prompt ? ask->prompt : "", search, with, &found);
	const char *negative = replace(r->arena, ask->negative_prompt ? ask->negative_prompt : "", search, with, &found);

	if (!prompt || !negative)
		return atl_fail(r->info, ATL_ERR_NOMEM, "grid");
	if (!found)
		return refuse(r, "\"%s\" is searched in the prompt and is not there.", search);
	ask->prompt = prompt;
	ask->negative_prompt = ask->negative_prompt ? negative : NULL;
	return ATL_OK;
}

static enum atl_err apply_lora(struct read *r, double weight, struct atl_picture_ask *ask)
{
	const struct atl_picture_lora_in *given = ask->loras.items;
	struct atl_picture_lora_in *loras;
	size_t count = ask->loras.count, at = 0;

	if (!r->axis->lora && count != 1)
		return refuse(r, "Say which LoRA the axis %s means: the request has %s.", r->name, count ? "several" : "none");
	while (r->axis->lora && at < count && !atl_str_eq(given[at].name, r->axis->lora))
		at++;
	if (at == ATL_IMAGE_LORAS_MAX)
		return refuse(r, "There are too many LoRAs for one more on the axis %s.", r->name);
	loras = ATL_ARENA_ARRAY(r->arena, struct atl_picture_lora_in, count + 1);
	if (!loras)
		return atl_fail(r->info, ATL_ERR_NOMEM, "grid");
	if (count)
		memcpy(loras, given, count * sizeof(*loras));
	if (at == count) {
		loras[at].name = r->axis->lora;
		count++;
	}
	loras[at].weight = weight;
	ask->loras = (struct atl_items){ loras, count };
	return ATL_OK;
}

enum atl_err atl_grid_axis_apply(struct atl_arena *arena, const char *name, const struct atl_grid_axis *axis, size_t index,
				 struct atl_picture_ask *ask, struct atl_errinfo *info)
{
	const struct atl_grid_value *value = &axis->values[index];
	const struct parameter *parameter = find(axis->parameter);
	struct atl_grid_axis same = *axis;
	struct read r = { .arena = arena, .name = name, .parameter = parameter, .axis = &same, .info = info };
	void *at = (char *)ask + parameter->offset;

	switch (axis->type) {
	case ATL_GRID_INTEGER:
		*(int64_t *)at = value->integer;
		break;
	case ATL_GRID_NUMBER:
		*(double *)at = value->number;
		break;
	case ATL_GRID_CHOICE:
		*(const char **)at = *value->label ? value->label : NULL;
		break;
	case ATL_GRID_LORA:
		return apply_lora(&r, value->number, ask);
	case ATL_GRID_SIZE:
		ask->width = value->integer;
		ask->height = value->height;
		break;
	case ATL_GRID_PROMPT:
		return apply_prompt(&r, value->label, ask);
	}
	return ATL_OK;
}
