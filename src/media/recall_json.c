/* recall_json.c - JSON of a recall, JSON of others made readable, and LoRAs in prompts; see recall.h and metadata.h. */
#include <math.h>

#include "base/str.h"
#include "media/recall.h"

#define TAG_MAX_BYTES 600
#define TAGS_MAX 256 /* further ones stay in the prompt */

/* ---- reading what others wrote ---- */

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Python writes NaN and Infinity. */
static size_t word_of_no_number(const char *p, const char *end)
{
	static const char *const words[] = {"NaN", "Infinity", "-Infinity", "-NaN"};
	for (size_t i = 0; i < ATL_COUNT(words); i++) {
		size_t n = strlen(words[i]);
		if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0 && (p + n == end || !is_name_char(p[n])))
			return n;
	}
	return 0;
}

static unsigned hex4(const char *p, const char *end)
{
	unsigned n = 0;
	for (int i = 0; i < 4; i++) {
		const char *digit = p + i < end && p[i] ? strchr("0123456789abcdefABCDEF", p[i]) : NULL;
		if (!digit)
			return 0xffff;
		unsigned value = (unsigned)(digit - "0123456789abcdefABCDEF");
		n = n << 4 | (value > 15 ? value - 6 : value);
	}
	return n;
}

/* An escape at `p`, appended; \u0000 and half a surrogate pair become U+FFFD. Returns its length. */
static size_t add_escape(struct atl_buf *out, const char *p, const char *end)
{
	if (end - p < 6 || p[1] != 'u') {
		size_t n = end - p < 2 ? 1 : 2;
		atl_buf_add(out, p, n);
		return n;
	}
	unsigned c = hex4(p + 2, end);
	bool high = c >= 0xd800 && c < 0xdc00, low = c >= 0xdc00 && c < 0xe000;
	if (high && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
		unsigned next = hex4(p + 8, end);
		if (next >= 0xdc00 && next < 0xe000) {
			atl_buf_add(out, p, 12);
			return 12;
		}
	}
	atl_buf_add(out, high || low || c == 0 ? "\\ufffd" : p, 6);
	return 6;
}

static void repair(struct atl_buf *out, const char *p, const char *end)
{
	bool string = false;
	while (p < end && !out->failed) {
		size_t skip = string || (*p != 'N' && *p != 'I' && *p != '-') ? 0 : word_of_no_number(p, end);
		if (skip) {
			atl_buf_adds(out, "null");
			p += skip;
		} else if (string && *p == '\\') {
			p += add_escape(out, p, end);
		} else if (string && (unsigned char)*p < 0x20) {
			atl_buf_addf(out, "\\u%04x", (unsigned)(unsigned char)*p++);
		} else {
			string = string != (*p == '"');
			atl_buf_addc(out, *p++);
		}
	}
}

struct atl_json *atl_json_tolerant(struct atl_arena *arena, const char *text, size_t length, const char **ret_text)
{
	while (length && strchr(" \t\r\n", *text))
		text++, length--;
	if (!length || *text != '{')
		return NULL;
	struct atl_json *tree = NULL;
	struct atl_buf out;
	atl_buf_init(&out, 2 * length + 64);
	repair(&out, text, text + length);
	const char *copy = out.failed ? NULL : atl_arena_strndup(arena, out.data, out.length);
	if (copy && !atl_json_parse(arena, copy, out.length, &tree, NULL))
		*ret_text = copy;
	else
		tree = NULL;
	atl_buf_finish(&out);
	return tree;
}

/* ---- LoRAs in prompts ---- */

/* "0.8", "0.8:0.6" (text encoder: picture model), "te=0.5:unet=1". */
static double lora_weight(const char *text)
{
	double weight;
	char part[32];
	const char *unet = strstr(text, "unet=");
	if (unet)
		text = unet + 5;
	size_t length = strcspn(text, ":");
	if (length >= sizeof part)
		return 1;
	memcpy(part, text, length);
	part[length] = 0;
	return atl_str_double(part, &weight) ? weight : 1;
}

/* Bytes of `<lora:...>` at `p`; 0: it is something else. */
static size_t tag_length(const char *p)
{
	if (!atl_str_starts(p, "<lora:") && !atl_str_starts(p, "<lyco:"))
		return 0;
	size_t length = 6;
	while (length < TAG_MAX_BYTES && p[length] && p[length] != '\n' && p[length] != '>')
		length++;
	return length < TAG_MAX_BYTES && p[length] == '>' ? length + 1 : 0;
}

/* Take the comma that a removed tag leaves doubled or at an end. */
static void tidy(struct atl_buf *out, const char **rest)
{
	size_t end = out->length;
	while (end && strchr(" \t", out->data[end - 1]))
		end--;
	const char *next = *rest + strspn(*rest, " \t");
	bool line_start = !end || out->data[end - 1] == '\n', comma_before = end && out->data[end - 1] == ',';
	if (line_start || comma_before) {
		if (*next == ',') {
			next++;
			next += strspn(next, " \t");
			*rest = next;
		} else if (line_start) {
			*rest = next;
		}
	}
	if (comma_before && (!*next || *next == '\n')) {
		out->length = end - 1;
		out->data[out->length] = 0;
	}
}

void atl_recall_take_loras(struct atl_arena *arena, struct atl_recall *recall)
{
	struct atl_buf out;
	if (!recall->prompt || !strstr(recall->prompt, "<l"))
		return;
	atl_buf_init(&out, strlen(recall->prompt) + 1);
	const char *p = recall->prompt;
	for (unsigned tags = 0; *p;) {
		size_t tag = tags < TAGS_MAX ? tag_length(p) : 0, name = tag ? strcspn(p + 6, ":>") : 0;
		if (!name || recall->lora_count == ATL_METADATA_LORAS_MAX) {
			atl_buf_addc(&out, *p++);
			continue;
		}
		const char *copy = atl_arena_strndup(arena, p + 6, name);
		const char *weight = p[6 + name] == ':' ? atl_arena_strndup(arena, p + 7 + name, tag - name - 8) : "1";
		if (copy && weight)
			(void)atl_recall_add_lora(arena, recall, copy, lora_weight(weight));
		p += tag;
		tags++;
		tidy(&out, &p);
	}
	while (out.length && strchr(" \t\n", out.data[out.length - 1]))
		out.length--;
	recall->prompt = out.length ? atl_arena_strndup(arena, out.data, out.length) : NULL;
	atl_buf_finish(&out);
}

/* ---- our JSON ---- */

static void write_field(struct atl_jw *w, const struct atl_recall *recall, const struct atl_recall_field *field)
{
	const void *member = (const char *)recall + field->offset;
	bool object = atl_str_eq(field->name, "workflow") || atl_str_eq(field->name, "atelier");
	if (field->kind == ATL_RECALL_TEXT) {
		const char *text = *(const char *const *)member;
		if (text && object)
			atl_jw_raw(w, field->name, text);
		else if (text)
			atl_jw_str(w, field->name, text);
	} else if (field->kind == ATL_RECALL_NUM) {
		if (isfinite(*(const double *)member))
			atl_jw_num(w, field->name, *(const double *)member);
	} else if (*(const int64_t *)member != INT64_MIN) {
		atl_jw_int(w, field->name, *(const int64_t *)member);
	}
}

const char *atl_metadata_json(struct atl_arena *arena, const struct atl_recall *recall)
{
	struct atl_buf out;
	struct atl_jw w;
	atl_buf_init(&out, 8 * ATL_METADATA_TEXT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	for (size_t i = 0; i < ATL_RECALL_FIELD_COUNT; i++)
		write_field(&w, recall, ATL_RECALL_FIELDS + i);
	if (recall->lora_count) {
		atl_jw_array(&w, "loras");
		for (size_t i = 0; i < recall->lora_count; i++) {
			atl_jw_object(&w, NULL);
			atl_jw_str(&w, "name", recall->loras[i].name);
			atl_jw_num(&w, "weight", recall->loras[i].weight);
			atl_jw_end_object(&w);
		}
		atl_jw_end_array(&w);
	}
	if (recall->ai_marked)
		atl_jw_bool(&w, "ai_marked", true);
	atl_jw_end_object(&w);
	const char *text = out.failed ? NULL : atl_arena_strndup(arena, out.data, out.length);
	atl_buf_finish(&out);
	return text;
}
