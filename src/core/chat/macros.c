/* macros.c - see macros.h. */
#include "core/chat/macros.h"

#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/str.h"

#define NAME_MAX_BYTES 16
#define CHOICES_MAX 256
#define DICE_MAX 100

struct slice {
	const char *text;
	size_t length;
};

struct call {
	const struct atl_macros *macros;
	struct slice arg;
	size_t position; /* in the source text: what makes two {{pick}}s independent */
	struct atl_buf *out;
};

static struct slice trim(struct slice s)
{
	while (s.length && strchr(" \t\r\n", s.text[0])) {
		s.text++;
		s.length--;
	}
	while (s.length && strchr(" \t\r\n", s.text[s.length - 1]))
		s.length--;
	return s;
}

/* Choices are separated by "::" if there is one, else by commas. */
static size_t split_choices(struct slice arg, struct slice choices[CHOICES_MAX])
{
	bool colons = false;
	for (size_t i = 0; i + 1 < arg.length; i++)
		colons = colons || (arg.text[i] == ':' && arg.text[i + 1] == ':');
	size_t count = 0, start = 0, step = colons ? 2 : 1;
	for (size_t i = 0; i <= arg.length && count < CHOICES_MAX; i++) {
		bool cut = i == arg.length ||
			   (colons ? i + 1 < arg.length && arg.text[i] == ':' && arg.text[i + 1] == ':'
				   : arg.text[i] == ',');
		if (!cut)
			continue;
		choices[count++] = trim((struct slice){arg.text + start, i - start});
		start = i + step;
		i += step - 1;
	}
	return count;
}

static uint64_t random_below(uint64_t limit)
{
	uint64_t value;
	atl_random(&value, sizeof value);
	return value % limit;
}

static void put_choice(struct call *c, bool stable)
{
	struct slice choices[CHOICES_MAX];
	size_t count = split_choices(c->arg, choices);
	if (!count)
		return;
	size_t index;
	if (stable) {
		unsigned char hash[ATL_SHA256_SIZE];
		struct atl_sha256 ctx;
		const char *seed = c->macros->seed ? c->macros->seed : "";
		atl_sha256_begin(&ctx);
		atl_sha256_add(&ctx, seed, strlen(seed));
		atl_sha256_add(&ctx, &c->position, sizeof c->position);
		atl_sha256_add(&ctx, c->arg.text, c->arg.length);
		atl_sha256_end(&ctx, hash);
		uint32_t value;
		memcpy(&value, hash, sizeof value);
		index = value % count;
	} else {
		index = (size_t)random_below(count);
	}
	atl_buf_add(c->out, choices[index].text, choices[index].length);
}

static bool small_number(struct slice s, uint64_t max, uint64_t *ret)
{
	char text[12];
	if (s.length >= sizeof text)
		return false;
	memcpy(text, s.text, s.length);
	text[s.length] = '\0';
	return atl_str_u64(text, max, ret);
}

/* "2d6", "d20", "6" */
static void put_roll(struct call *c)
{
	struct slice arg = trim(c->arg);
	const char *d = memchr(arg.text, 'd', arg.length);
	if (!d)
		d = memchr(arg.text, 'D', arg.length);
	uint64_t dice = 1, sides = 0, sum = 0;
	struct slice left = {arg.text, d ? (size_t)(d - arg.text) : 0};
	struct slice right = d ? (struct slice){d + 1, arg.length - left.length - 1} : arg;
	if ((left.length && !small_number(left, DICE_MAX, &dice)) || !small_number(right, 1000000, &sides) || !sides)
		return;
	for (uint64_t i = 0; i < dice; i++)
		sum += 1 + random_below(sides);
	atl_buf_addf(c->out, "%llu", (unsigned long long)sum);
}

static void put_char(struct call *c)
{
	atl_buf_adds(c->out, c->macros->char_name);
}

static void put_user(struct call *c)
{
	atl_buf_adds(c->out, c->macros->user_name);
}

static void put_random(struct call *c)
{
	put_choice(c, false);
}

static void put_pick(struct call *c)
{
	put_choice(c, true);
}

static void put_date(struct call *c)
{
	char text[ATL_RFC3339_SIZE];
	atl_rfc3339_format(c->macros->now_ms, text);
	atl_buf_add(c->out, text, 10);
}

static void put_time(struct call *c)
{
	char text[ATL_RFC3339_SIZE];
	atl_rfc3339_format(c->macros->now_ms, text);
	atl_buf_add(c->out, text + 11, 5);
}

static void put_newline(struct call *c)
{
	atl_buf_addc(c->out, '\n');
}

static void put_nothing(struct call *c)
{
	(void)c;
}

static const struct {
	const char *name;
	void (*put)(struct call *call);
} MACROS[] = {
	{"char", put_char},   {"user", put_user}, {"random", put_random},   {"pick", put_pick},	   {"roll", put_roll},
	{"date", put_date},   {"time", put_time}, {"newline", put_newline}, {"noop", put_nothing}, {"trim", put_nothing},
};

static bool run_macro(struct call *call, struct slice inner)
{
	if (inner.length >= 2 && inner.text[0] == '/' && inner.text[1] == '/')
		return true;
	size_t name_length = 0;
	while (name_length < inner.length && inner.text[name_length] != ':' && inner.text[name_length] != ' ')
		name_length++;
	char name[NAME_MAX_BYTES];
	if (name_length >= sizeof name)
		return false;
	memcpy(name, inner.text, name_length);
	name[name_length] = '\0';
	size_t skip = name_length;
	while (skip < inner.length && (inner.text[skip] == ':' || inner.text[skip] == ' ') && skip < name_length + 2)
		skip++;
	call->arg = (struct slice){inner.text + skip, inner.length - skip};
	for (size_t i = 0; i < ATL_COUNT(MACROS); i++)
		if (atl_str_ieq(name, MACROS[i].name)) {
			MACROS[i].put(call);
			return true;
		}
	return false;
}

/* The old spellings. Returns the length of what was replaced, or 0. */
static size_t old_spelling(struct call *call, const char *text)
{
	if (strncmp(text, "<USER>", 6) == 0) {
		put_user(call);
		return 6;
	}
	if (strncmp(text, "<BOT>", 5) == 0) {
		put_char(call);
		return 5;
	}
	if (strncmp(text, "<CHAR>", 6) == 0) {
		put_char(call);
		return 6;
	}
	return 0;
}

void atl_macros_expand(const struct atl_macros *macros, const char *text, struct atl_buf *out)
{
	const char *p = text;
	while (*p) {
		const char *plain = p;
		while (*p && *p != '<' && !(p[0] == '{' && p[1] == '{' && p[2] != '{'))
			p++;
		atl_buf_add(out, plain, (size_t)(p - plain));
		if (!*p)
			return;
		struct call call = {.macros = macros, .position = (size_t)(p - text), .out = out};
		if (*p == '<') {
			size_t length = old_spelling(&call, p);
			if (!length)
				atl_buf_addc(out, *p);
			p += length ? length : 1;
			continue;
		}
		const char *end = strstr(p + 2, "}}");
		struct slice inner = {p + 2, end ? (size_t)(end - p - 2) : 0};
		if (end && run_macro(&call, trim(inner))) {
			p = end + 2;
		} else {
			atl_buf_adds(out, "{{");
			p += 2;
		}
	}
}
