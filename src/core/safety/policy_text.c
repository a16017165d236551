/* See policy_text.h. The tables that say what a character folds to are generated; here is what is done with them. */
#include "core/safety/policy_text.h"

#include <string.h>

#include "base/str.h"

/* ---- scan ---- */

struct scan {
	const struct atl_policy_sink *sink;
	char word[ATL_POLICY_WORD_MAX];
	size_t length;
	uint32_t pending; /* a character without spaces that a mark or the next part of a syllable may still change */
	bool first, rotated;
};

static bool is_soft(char c)
{
	return c == '@' || c == '$' || c == '!' || c == '|' || c == '+' || c == '(' || c == '*';
}

static void flush_word(struct scan *scan)
{
	size_t length = scan->length, start = 0;
	bool ended = false;

	/* signs at the ends are punctuation, unless they are more often letters there */
	while (length && is_soft(scan->word[length - 1]) && scan->word[length - 1] != '$' && scan->word[length - 1] != '@')
		ended |= scan->word[--length] == '!';
	while (start + 1 < length && is_soft(scan->word[start]) && scan->word[start] != '$' && scan->word[start] != '@' &&
	       scan->word[start] != '(')
		start++;
	if (length > start && scan->sink->word)
		scan->sink->word(scan->sink->user, scan->word + start, length - start);
	if (ended && scan->sink->sentence)
		scan->sink->sentence(scan->sink->user);
	scan->length = 0;
}

static void flush_spaceless(struct scan *scan)
{
	if (!scan->pending)
		return;
	if (scan->sink->spaceless)
		scan->sink->spaceless(scan->sink->user, scan->pending, scan->first);
	scan->first = false;
	scan->pending = 0;
}

static void end_spaceless(struct scan *scan)
{
	flush_spaceless(scan);
	scan->first = true;
}

static void add_letter(struct scan *scan, char c)
{
	size_t n = scan->length;

	if (scan->rotated && c >= 'a' && c <= 'z')
		c = (char)('a' + (c - 'a' + 13) % 26);
	/* more than three of a kind say nothing more, and would push the rest out of the buffer */
	if (n >= 3 && scan->word[n - 1] == c && scan->word[n - 2] == c && scan->word[n - 3] == c)
		return;
	if (n < ATL_POLICY_WORD_MAX)
		scan->word[scan->length++] = c;
}

static void add_spaceless(struct scan *scan, uint32_t c)
{
	flush_word(scan);
	flush_spaceless(scan);
	scan->pending = c;
}

/* A voicing mark after a kana, or the parts of a Hangul syllable. */
static void add_part(struct scan *scan, uint32_t c)
{
	uint32_t p = scan->pending;
	bool voiced = (p >= 0x304b && p <= 0x3068) || (p >= 0x306f && p <= 0x307d);

	flush_word(scan);
	if (c == 0x3099 && p == 0x3046)
		scan->pending = 0x3094;
	else if ((c == 0x3099 && voiced) || (c == 0x309a && p >= 0x306f && p <= 0x307d))
		scan->pending = p + (c - 0x3098);
	else if (c >= 0x1161 && c <= 0x1175 && p >= 0x1100 && p <= 0x1112)
		scan->pending = 0xac00 + ((p - 0x1100) * 21 + (c - 0x1161)) * 28;
	else if (c >= 0x11a8 && c <= 0x11c2 && p >= 0xac00 && p <= 0xd7a3 && (p - 0xac00) % 28 == 0)
		scan->pending = p + (c - 0x11a7);
	else if (c >= 0x1100 && c <= 0x1112)
		add_spaceless(scan, c);
}

static bool ends_sentence(uint32_t c)
{
	return c == '.' || c == '?' || c == '!' || c == ';' || c == ':' || c == '\n' || c == 0x3002 || c == 0xff01 || c == 0xff1f ||
	       c == 0xff1b || c == 0x2026;
}

static void take_char(struct scan *scan, uint32_t c)
{
	uint32_t folded = atl_policy_fold(c), value = folded & 0xffffff;

	switch (folded >> 24) {
	case ATL_FOLD_BYTES:
		end_spaceless(scan);
		for (; value; value >>= 8)
			add_letter(scan, (char)(value & 0xff));
		break;
	case ATL_FOLD_SPACELESS:
		add_spaceless(scan, value ? value : c);
		break;
	case ATL_FOLD_JAMO:
		add_part(scan, value ? value : c);
		break;
	case ATL_FOLD_OTHER:
		end_spaceless(scan);
		add_letter(scan, ATL_POLICY_OTHER_LETTER);
		break;
	case ATL_FOLD_SKIP:
		break;
	default:
		flush_word(scan);
		end_spaceless(scan);
		if (ends_sentence(c) && scan->sink->sentence)
			scan->sink->sentence(scan->sink->user);
	}
}

/* One code point of valid UTF-8; *p moves on. */
static uint32_t next_char(const unsigned char **p)
{
	const unsigned char *at = *p;
	uint32_t c = *at++;

	if (c >= 0xf0) {
		c = (c & 7) << 18 | (at[0] & 63u) << 12 | (at[1] & 63u) << 6 | (at[2] & 63u);
		at += 3;
	} else if (c >= 0xe0) {
		c = (c & 15) << 12 | (at[0] & 63u) << 6 | (at[1] & 63u);
		at += 2;
	} else if (c >= 0xc0) {
		c = (c & 31) << 6 | (at[0] & 63u);
		at++;
	}
	*p = at;
	return c;
}

void atl_policy_scan(const char *text, size_t length, bool rotated, const struct atl_policy_sink *sink)
{
	struct scan scan = { .sink = sink, .first = true, .rotated = rotated };
	const unsigned char *p = (const unsigned char *)text, *end = p + length;

	while (p < end)
		take_char(&scan, next_char(&p));
	flush_word(&scan);
	end_spaceless(&scan);
}

/* ---- other readings of a word ---- */

bool atl_policy_unleet(const char *word, char one, char out[ATL_POLICY_WORD_MAX + 1])
{
	static const char from[] = "023456789@$+(", to[] = "ozeasgtbgastc";
	bool changed = false, letter = false;
	size_t i;

	for (i = 0; word[i] && i < ATL_POLICY_WORD_MAX; i++) {
		const char *sign = strchr(from, word[i]);

		out[i] = sign ? to[sign - from] : word[i] == '1' || word[i] == '!' || word[i] == '|' ? one : word[i];
		changed |= out[i] != word[i];
		letter |= word[i] >= 'a' && word[i] <= 'z';
	}
	out[i] = '\0';
	return changed && letter;
}

bool atl_policy_squeeze(const char *word, size_t keep, char out[ATL_POLICY_WORD_MAX + 1])
{
	size_t length = 0, run = 0, i;

	for (i = 0; word[i] && i < ATL_POLICY_WORD_MAX; i++) {
		run = i > 0 && word[i] == word[i - 1] ? run + 1 : 1;
		if (run <= keep)
			out[length++] = word[i];
	}
	out[length] = '\0';
	return length != i;
}

bool atl_policy_reverse(const char *word, char out[ATL_POLICY_WORD_MAX + 1])
{
	size_t length = strnlen(word, ATL_POLICY_WORD_MAX);

	for (size_t i = 0; i < length; i++)
		out[i] = word[length - 1 - i];
	out[length] = '\0';
	return strcmp(out, word) != 0;
}

bool atl_policy_rotate(const char *word, char out[ATL_POLICY_WORD_MAX + 1])
{
	bool changed = false;
	size_t i;

	for (i = 0; word[i] && i < ATL_POLICY_WORD_MAX; i++) {
		bool letter = word[i] >= 'a' && word[i] <= 'z';

		out[i] = letter ? (char)('a' + (word[i] - 'a' + 13) % 26) : word[i];
		changed |= letter;
	}
	out[i] = '\0';
	return changed;
}

bool atl_policy_unstar(const char *word, unsigned n, char out[ATL_POLICY_WORD_MAX + 1])
{
	static const char vowels[] = "aeiou";
	unsigned stars = 0;
	size_t i;

	for (i = 0; word[i] && i < ATL_POLICY_WORD_MAX; i++) {
		out[i] = word[i];
		if (word[i] != '*')
			continue;
		out[i] = vowels[stars++ ? n / 5 % 5 : n % 5];
	}
	out[i] = '\0';
	return stars == 1 ? n < 5 : stars == 2 && n < 25;
}

/* ---- hidden texts ---- */

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int base64_value(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52
	       : c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static bool is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f;
}

/* Bytes that are no UTF-8 become '?'. Returns how many there were. */
static size_t make_valid(char *out, size_t length)
{
	size_t bad = 0;

	for (size_t i = 0; i < length;) {
		size_t size = atl_utf8_char(out + i, length - i);

		if (size == 0) {
			out[i] = '?';
			bad++;
		}
		i += size ? size : 1;
	}
	return bad;
}

/* A few bytes may be broken: one that is added to a text must not hide it. */
static bool make_text(char *out, size_t length)
{
	size_t bad = 0;

	for (size_t i = 0; i < length; i++)
		if (is_control(out[i])) {
			out[i] = ' ';
			bad++;
		}
	return length >= 3 && bad + make_valid(out, length) <= length / 8;
}

/* Pairs of digits, with one space between them or none, up to the first that is no text: so nothing is read twice. */
static size_t read_hex(const char *text, size_t length, char *out, size_t *ret_length)
{
	size_t at = 0, end = 0;

	*ret_length = 0;
	while (at + 1 < length && hex_value(text[at]) >= 0 && hex_value(text[at + 1]) >= 0) {
		char c = (char)(hex_value(text[at]) << 4 | hex_value(text[at + 1]));

		if (is_control(c))
			break;
		out[(*ret_length)++] = c;
		end = at += 2;
		if (at + 1 < length && text[at] == ' ' && hex_value(text[at + 1]) >= 0)
			at++;
	}
	return end;
}

static size_t read_base64(const char *text, size_t length, char *out, size_t *ret_length)
{
	uint32_t bits = 0;
	size_t at;

	*ret_length = 0;
	for (at = 0; at < length && base64_value(text[at]) >= 0; at++) {
		bits = bits << 6 | (uint32_t)base64_value(text[at]);
		if (at % 4 != 0)
			out[(*ret_length)++] = (char)(bits >> (6 - 2 * (at % 4)) & 0xff);
	}
	return at;
}

size_t atl_policy_encoded(const char *text, size_t length, char *out, size_t *ret_length)
{
	size_t taken = read_hex(text, length, out, ret_length);

	if (taken >= ATL_POLICY_ENCODED_HEX_MIN) {
		/* an identifier in hex is no text */
		if (!make_text(out, *ret_length))
			*ret_length = 0;
		return taken;
	}
	taken = read_base64(text, length, out, ret_length);
	if (taken < ATL_POLICY_ENCODED_MIN || !make_text(out, *ret_length))
		*ret_length = 0;
	return taken;
}

/* The number after `text`'s prefix, as digits in `base` up to `max_digits`; *ret_taken is 0 when there is none. */
static uint32_t read_number(const char *text, size_t length, unsigned base, size_t max_digits, size_t *ret_taken)
{
	uint32_t value = 0;
	size_t i;

	for (i = 0; i < length && i < max_digits && hex_value(text[i]) >= 0 && hex_value(text[i]) < (int)base; i++)
		value = value * base + (uint32_t)hex_value(text[i]);
	*ret_taken = i;
	return value;
}

static size_t put_char(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
		out[0] = '?';
		return 1;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 63));
		out[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63));
	out[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* One escape at the start of `text`: how many bytes it takes (0: none), and what it stands for in `out`. */
static size_t read_escape(const char *text, size_t length, char *out, size_t *ret_put)
{
	size_t taken = 0, prefix = 0;
	uint32_t value = 0;

	*ret_put = 0;
	if (text[0] == '%' || (text[0] == '\\' && length > 1 && text[1] == 'x')) { /* one byte */
		prefix = text[0] == '%' ? 1 : 2;
		value = read_number(text + prefix, length - prefix, 16, 2, &taken);
		if (taken != 2)
			return 0;
		out[(*ret_put)++] = (char)value;
		return prefix + taken;
	}
	if (text[0] == '\\' && length > 2 && text[1] == 'u') {
		prefix = 2;
		value = read_number(text + 2, length - 2, 16, 4, &taken);
		if (taken != 4)
			return 0;
	} else if (text[0] == '&' && length > 3 && text[1] == '#') {
		bool hex = text[2] == 'x' || text[2] == 'X';

		prefix = hex ? 3 : 2;
		value = read_number(text + prefix, length - prefix, hex ? 16 : 10, 7, &taken);
		if (taken == 0)
			return 0;
		if (prefix + taken < length && text[prefix + taken] == ';')
			taken++;
	} else
		return 0;
	*ret_put = put_char(value, out);
	return prefix + taken;
}

bool atl_policy_unescape(const char *text, size_t length, char *out, size_t *ret_length)
{
	bool any = false;
	size_t put = 0;

	for (size_t i = 0; i < length;) {
		size_t added = 0, taken = 0;

		if (text[i] == '%' || text[i] == '\\' || text[i] == '&')
			taken = read_escape(text + i, length - i, out + put, &added);
		if (taken) {
			any = true;
			i += taken;
			put += added;
		} else {
			out[put++] = text[i++];
		}
	}
	*ret_length = put;
	if (!any)
		return false;
	make_valid(out, put);
	return true;
}

void atl_policy_backwards(const char *text, size_t length, char *out)
{
	for (size_t i = 0; i < length;) {
		size_t size = atl_utf8_char(text + i, length - i);

		size = size ? size : 1;
		memcpy(out + length - i - size, text + i, size);
		i += size;
	}
}
