/* a1111_text.c - see a1111_text.h; atl_metadata_parameters() of metadata.h is here too. */
#include "media/a1111_text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

#include "base/str.h"
#include "media/recall.h"

#define KEY_MAX_BYTES 64
#define LORA_HASHES "Lora hashes"
#define TAIL_TRIES 4 /* places in a text that look like stable-diffusion.cpp's tail */
#define NEGATIVE "Negative prompt:"

struct span {
	const char *text;
	size_t length;
};
struct pair {
	struct span key, value;
	bool quoted;
};

static struct span trim(const char *text, size_t length)
{
	while (length && isspace((unsigned char)*text))
		text++, length--;
	while (length && isspace((unsigned char)text[length - 1]))
		length--;
	return (struct span){text, length};
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (c & 0x80);
}

static bool is_key(char c)
{
	return is_word(c) || c == ' ' || c == '-' || c == '/';
}

/* Bytes of a quoted string with \ escapes at `p`, when a comma or the end follows it; else 0. */
static size_t quoted_length(const char *p, const char *end)
{
	if (p == end || *p != '"')
		return 0;
	for (const char *q = p + 1; q < end; q++) {
		if (*q == '\\')
			q++;
		else if (*q == '"')
			return q > p + 1 && (q + 1 == end || q[1] == ',') ? (size_t)(q + 1 - p) : 0;
	}
	return 0;
}

/* The next `key: value` at or after *at; *at moves behind it. */
static bool next_pair(const char **at, const char *end, struct pair *ret)
{
	for (const char *p = *at; p < end; p++) {
		if (!is_word(*p))
			continue;
		const char *colon = p + 1;
		while (colon < end && is_key(*colon))
			colon++;
		if (colon == end)
			return false;
		if (*colon != ':' || colon < p + 2) {
			p = colon;
			continue;
		}
		const char *value = colon + 1;
		while (value < end && isspace((unsigned char)*value))
			value++;
		size_t length = quoted_length(value, end);
		bool quoted = length > 0;
		if (!quoted) {
			const char *comma = memchr(value, ',', (size_t)(end - value));
			length = (size_t)((comma ? comma : end) - value);
		}
		*at = value + length < end ? value + length + 1 : end;
		*ret = (struct pair){{p, (size_t)(colon - p)}, quoted ? (struct span){value, length} : trim(value, length),
				     quoted};
		return true;
	}
	return false;
}

static bool is_parameter_line(const char *line, size_t length)
{
	struct pair pair;
	const char *at = line;
	size_t count = 0;
	while (count < ATL_A1111_PAIRS_MIN && next_pair(&at, line + length, &pair))
		count++;
	return count == ATL_A1111_PAIRS_MIN;
}

static const char *value_text(struct atl_arena *arena, const struct pair *pair)
{
	struct atl_json *node;
	if (pair->quoted && !atl_json_parse(arena, pair->value.text, pair->value.length, &node, NULL) &&
	    node->kind == ATL_JSON_STRING)
		return node->string;
	return atl_arena_strndup(arena, pair->value.text, pair->value.length);
}

static void read_size(struct atl_recall *recall, const char *text)
{
	char width[24];
	size_t cut = strcspn(text, "x");
	if (!text[cut] || cut >= sizeof width)
		return;
	memcpy(width, text, cut);
	width[cut] = 0;
	(void)(atl_str_i64(width, 1, INT32_MAX, &recall->width) &&
	       atl_str_i64(text + cut + 1, 1, INT32_MAX, &recall->height));
}

/* "name: hash, name: hash": LoRAs that the prompt does not name. */
static void read_lora_hashes(struct atl_arena *arena, struct atl_recall *recall, const char *text)
{
	while (*text) {
		size_t item = strcspn(text, ",");
		const char *colon = memchr(text, ':', item);
		struct span name = trim(text, colon ? (size_t)(colon - text) : item);
		const char *copy = atl_arena_strndup(arena, name.text, name.length);
		if (copy)
			(void)atl_recall_add_lora(arena, recall, copy, 1);
		text += item + (text[item] == ',');
	}
}

/* Older files have the schedule in the sampler's name: "DPM++ 2M Karras". */
static void split_sampler(struct atl_arena *arena, struct atl_recall *recall)
{
	static const char *const schedules[] = {" Karras", " Exponential", " Polyexponential", " SGM Uniform"};
	if (!recall->sampler || recall->scheduler)
		return;
	for (size_t i = 0; i < ATL_COUNT(schedules); i++) {
		if (!atl_str_ends(recall->sampler, schedules[i]) || strlen(recall->sampler) == strlen(schedules[i]))
			continue;
		recall->scheduler = schedules[i] + 1;
		recall->sampler = atl_arena_strndup(arena, recall->sampler, strlen(recall->sampler) - strlen(schedules[i]));
		return;
	}
}

static void read_pairs(struct atl_arena *arena, struct atl_recall *recall, const char *line, size_t length)
{
	struct pair pair;
	const char *at = line, *hashes = NULL;
	while (next_pair(&at, line + length, &pair)) {
		char key[KEY_MAX_BYTES];
		if (pair.key.length >= sizeof key)
			continue;
		memcpy(key, pair.key.text, pair.key.length);
		key[pair.key.length] = 0;
		const struct atl_recall_field *field = NULL;
		for (size_t i = 0; i < ATL_RECALL_FIELD_COUNT && !field; i++)
			if (atl_str_ieq(ATL_RECALL_FIELDS[i].a1111, key))
				field = ATL_RECALL_FIELDS + i;
		if (!field && !atl_str_ieq(key, "Size") && !atl_str_ieq(key, LORA_HASHES))
			continue;
		const char *value = value_text(arena, &pair);
		if (!value)
			return;
		if (field)
			atl_recall_set_text(arena, recall, field, value);
		else if (atl_str_ieq(key, "Size"))
			read_size(recall, value);
		else
			hashes = value;
	}
	split_sampler(arena, recall);
	atl_recall_take_loras(arena, recall);
	if (hashes)
		read_lora_hashes(arena, recall, hashes);
}

/* stable-diffusion.cpp's JSON goes to the end of the text and would look like pairs; the line itself says the same. */
static size_t without_tail(struct atl_arena *arena, const char *text, size_t length)
{
	static const char mark[] = "SDCPP: {";
	const char *p = text, *repaired;
	if (text[length - 1] != '}')
		return length;
	for (int tries = 0; tries < TAIL_TRIES; tries++, p++) {
		p = memmem(p, length - (size_t)(p - text), mark, sizeof mark - 1);
		if (!p)
			return length;
		const char *json = p + sizeof mark - 2;
		if (!atl_json_tolerant(arena, json, length - (size_t)(json - text), &repaired))
			continue;
		size_t left = trim(text, (size_t)(p - text)).length;
		return left && text[left - 1] == ',' ? left - 1 : left;
	}
	return length;
}

bool atl_a1111_parse(struct atl_arena *arena, const char *text, size_t length, struct atl_recall *recall,
		     bool *structured)
{
	struct span all = trim(text, length);
	struct atl_buf parts[2]; /* prompt, negative prompt */
	const char **members[2] = {&recall->prompt, &recall->negative_prompt};
	if (!all.length)
		return false;
	recall->source = "a1111";
	recall->raw = atl_arena_strndup(arena, all.text, all.length);
	all.length = without_tail(arena, all.text, all.length);
	const char *last = memrchr(all.text, '\n', all.length);
	last = last ? last + 1 : all.text;
	const char *end = all.text + all.length, *line = all.text;
	bool parameters = is_parameter_line(last, (size_t)(end - last)), negative = false;
	if (parameters)
		end = last;
	atl_buf_init(parts, length + 1);
	atl_buf_init(parts + 1, length + 1);
	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		stop = stop ? stop : end;
		struct span content = trim(line, (size_t)(stop - line));
		if (content.length >= sizeof NEGATIVE - 1 && memcmp(content.text, NEGATIVE, sizeof NEGATIVE - 1) == 0) {
			negative = true;
			content = trim(content.text + sizeof NEGATIVE - 1, content.length - (sizeof NEGATIVE - 1));
		}
		struct atl_buf *part = parts + negative;
		if (part->length)
			atl_buf_addc(part, '\n');
		atl_buf_add(part, content.text, content.length);
		line = stop + 1;
	}
	bool ok = recall->raw != NULL;
	for (size_t i = 0; i < 2; i++) {
		struct span whole = trim(parts[i].length ? parts[i].data : "", parts[i].length);
		if (whole.length)
			ok = (*members[i] = atl_arena_strndup(arena, whole.text, whole.length)) && ok;
		atl_buf_finish(parts + i);
	}
	if (parameters)
		read_pairs(arena, recall, last, (size_t)(all.text + all.length - last));
	else
		atl_recall_take_loras(arena, recall);
	*structured = parameters || negative;
	return ok;
}

/* ---- writing ---- */

static void add_pair(struct atl_buf *out, const char *key, const char *value)
{
	atl_buf_addf(out, "%s%s: ", out->length && out->data[out->length - 1] != '\n' ? ", " : "", key);
	if (strpbrk(value, ",:\n\"") || value[strspn(value, " ")] == 0) {
		struct atl_jw w;
		atl_jw_init(&w, out);
		atl_jw_str(&w, NULL, value);
	} else {
		atl_buf_adds(out, value);
	}
}

static void add_number(struct atl_buf *out, const char *key, double number)
{
	struct atl_buf text;
	struct atl_jw w;
	atl_buf_init(&text, 64);
	atl_jw_init(&w, &text);
	atl_jw_num(&w, NULL, number);
	if (!text.failed)
		add_pair(out, key, text.data);
	atl_buf_finish(&text);
}

static void add_field(struct atl_buf *out, const struct atl_recall *recall, const struct atl_recall_field *field)
{
	const void *member = (const char *)recall + field->offset;
	char digits[24];
	if (field->kind == ATL_RECALL_TEXT) {
		const char *text = *(const char *const *)member;
		if (!atl_str_empty(text))
			add_pair(out, field->a1111, text);
	} else if (field->kind == ATL_RECALL_NUM) {
		if (isfinite(*(const double *)member))
			add_number(out, field->a1111, *(const double *)member);
	} else if (*(const int64_t *)member != INT64_MIN) {
		(void)snprintf(digits, sizeof digits, "%lld", (long long)*(const int64_t *)member);
		add_pair(out, field->a1111, digits);
	}
}

static void add_pairs(struct atl_buf *out, const struct atl_recall *recall)
{
	for (size_t i = 0; i < ATL_RECALL_FIELD_COUNT; i++) {
		const struct atl_recall_field *field = ATL_RECALL_FIELDS + i;
		if (field->a1111 && !atl_str_eq(field->name, "version"))
			add_field(out, recall, field);
		if (atl_str_eq(field->name, "height") && recall->width > 0 && recall->height > 0)
			atl_buf_addf(out, "%sSize: %lldx%lld", out->length && out->data[out->length - 1] != '\n' ? ", " : "",
				     (long long)recall->width, (long long)recall->height);
	}
	add_pair(out, "Version", atl_str_empty(recall->version) ? "Atelier" : recall->version);
}

const char *atl_metadata_parameters(struct atl_arena *arena, const struct atl_recall *recall)
{
	struct atl_buf out;
	atl_buf_init(&out, ATL_METADATA_TEXT_MAX);
	if (recall->prompt)
		atl_buf_adds(&out, recall->prompt);
	for (size_t i = 0; i < recall->lora_count; i++) {
		struct atl_buf weight;
		struct atl_jw w;
		atl_buf_init(&weight, 64);
		atl_jw_init(&w, &weight);
		atl_jw_num(&w, NULL, recall->loras[i].weight);
		atl_buf_addf(&out, "%s<lora:%s:%s>", out.length ? ", " : "", recall->loras[i].name,
			     weight.length ? weight.data : "1");
		atl_buf_finish(&weight);
	}
	if (out.length)
		atl_buf_addc(&out, '\n');
	if (!atl_str_empty(recall->negative_prompt))
		atl_buf_addf(&out, NEGATIVE " %s\n", recall->negative_prompt);
	add_pairs(&out, recall);
	const char *text = out.failed ? NULL : atl_arena_strndup(arena, out.data, out.length);
	atl_buf_finish(&out);
	return text;
}
