/* dynamic_prompt.c - see dynamic_prompt.h. */
#include "core/pictures/dynamic_prompt.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"

#define OPTIONS_MAX 256
#define NAME_MAX_BYTES 64

struct expand {
	struct atl_arena *arena;
	atl_wildcard_fn wildcard;
	void *arg;
	uint64_t state;
	unsigned steps;
	struct atl_errinfo *info;
};

static enum atl_err wrong(struct expand *e, const char *what)
{
	return atl_fail_field(e->info, ATL_ERR_INVALID, "prompt", "%s", what);
}

static uint64_t next_random(struct expand *e) /* splitmix64 */
{
	uint64_t z = e->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static double next_unit(struct expand *e)
{
	return (double)(next_random(e) >> 11) / 9007199254740992.0;
}

/* The end of the group that begins after '{' at `text`: the matching '}'; NULL: none. */
static const char *group_end(const char *text, const char *end)
{
	unsigned depth = 0;

	for (; text < end; text++) {
		if (*text == '\\' && text + 1 < end)
			text++;
		else if (*text == '{')
			depth++;
		else if (*text == '}' && depth-- == 0)
			return text;
	}
	return NULL;
}

struct option {
	const char *start, *end;
	double weight;
};

static size_t split(const char *text, const char *end, struct option *options)
{
	size_t count = 0;
	unsigned depth = 0;
	const char *start = text;

	for (const char *p = text;; p++) {
		if (p < end && *p == '\\' && p + 1 < end) {
			p++;
			continue;
		}
		if (p < end && *p == '{')
			depth++;
		if (p < end && *p == '}')
			depth--;
		if (p < end && (*p != '|' || depth > 0))
			continue;
		if (count == OPTIONS_MAX)
			return 0;
		options[count++] = (struct option){ start, p, 1 };
		start = p + 1;
		if (p == end)
			return count;
	}
}

/* "0.7::text" */
static void take_weight(struct option *option)
{
	char number[32];
	const char *colons = NULL;
	double weight;

	for (const char *p = option->start; p + 1 < option->end && p - option->start < (ptrdiff_t)sizeof(number) - 1; p++)
		if (p[0] == ':' && p[1] == ':') {
			colons = p;
			break;
		}
	if (!colons)
		return;
	memcpy(number, option->start, (size_t)(colons - option->start));
	number[colons - option->start] = '\0';
	if (atl_str_double(number, &weight) && weight >= 0) {
		option->weight = weight;
		option->start = colons + 2;
	}
}

static size_t pick(struct expand *e, const struct option *options, size_t count)
{
	double total = 0, at;

	for (size_t i = 0; i < count; i++)
		total += options[i].weight;
	if (total <= 0)
		return (size_t)(next_random(e) % count);
	at = next_unit(e) * total;
	for (size_t i = 0; i < count; i++) {
		at -= options[i].weight;
		if (at < 0)
			return i;
	}
	return count - 1;
}

static enum atl_err walk(struct expand *e, const char *text, const char *end, unsigned depth, struct atl_buf *out);

/* "2$$" or "2$$ and $$" before the options: how many, and what stands between them. */
static size_t take_count(const char **text, const char *end, const char **joint, size_t *joint_length)
{
	const char *p = *text;
	size_t count = 0;

	*joint = ", ";
	*joint_length = 2;
	while (p < end && isdigit((unsigned char)*p) && count < 100)
		count = count * 10 + (size_t)(*p++ - '0');
	if (p == *text || end - p < 2 || p[0] != '$' || p[1] != '$')
		return 1;
	*text = p += 2;
	for (; end - p >= 2 && *p != '|' && *p != '{'; p++)
		if (p[0] == '$' && p[1] == '$') {
			*joint = *text;
			*joint_length = (size_t)(p - *text);
			*text = p + 2;
			break;
		}
	return count;
}

static enum atl_err group(struct expand *e, const char *text, const char *end, unsigned depth, struct atl_buf *out)
{
	struct option *options = ATL_ARENA_ARRAY(e->arena, struct option, OPTIONS_MAX);
	const char *joint;
	size_t joint_length, wanted = take_count(&text, end, &joint, &joint_length), count;
	enum atl_err err = ATL_OK;

	if (!options)
		return atl_fail(e->info, ATL_ERR_NOMEM, "prompt");
	count = split(text, end, options);
	if (!count)
		return wrong(e, "A choice in braces has too many parts.");
	for (size_t i = 0; i < count; i++)
		take_weight(&options[i]);
	if (wanted > count)
		wanted = count;
	for (size_t n = 0; n < wanted && !err; n++) {
		size_t at = pick(e, options, count);

		if (n)
			atl_buf_add(out, joint, joint_length);
		err = walk(e, options[at].start, options[at].end, depth + 1, out);
		memmove(&options[at], &options[at + 1], (count - at - 1) * sizeof(options[0]));
		count--;
	}
	return err;
}

/* One line of the wildcard, chosen; it may hold choices and wildcards itself. */
static enum atl_err wildcard(struct expand *e, const char *name, size_t length, unsigned depth, struct atl_buf *out)
{
	const char *key = atl_arena_strndup(e->arena, name, length), *lines = key && e->wildcard ? e->wildcard(e->arg, key) : NULL;
	size_t count = 0, wanted;

	if (!lines)
		return atl_fail_field(e->info, ATL_ERR_INVALID, "prompt", "There is no wildcard __%.*s__.", (int)length, name);
	for (int pass = 0; pass < 2; pass++) {
		wanted = pass ? (size_t)(next_random(e) % count) : 0;
		for (const char *p = lines; *p;) {
			const char *stop = strchr(p, '\n');
			size_t size = stop ? (size_t)(stop - p) : strlen(p);

			while (size > 0 && isspace((unsigned char)p[size - 1]))
				size--;
			if (size > 0 && *p != '#' && pass && wanted-- == 0)
				return walk(e, p, p + size, depth + 1, out);
			if (size > 0 && *p != '#' && !pass)
				count++;
			p = stop ? stop + 1 : p + strlen(p);
		}
		if (!count)
			return atl_fail_field(e->info, ATL_ERR_INVALID, "prompt", "The wildcard __%.*s__ is empty.", (int)length, name);
	}
	return ATL_OK;
}

/* The length of a wildcard's name between "__" and "__"; 0: it is none. */
static size_t wildcard_name(const char *text, const char *end)
{
	for (const char *p = text; p + 1 < end && p - text <= NAME_MAX_BYTES; p++) {
		if (p[0] == '_' && p[1] == '_')
			return (size_t)(p - text);
		if (!isalnum((unsigned char)*p) && !strchr("_-/. ", *p))
			return 0;
	}
	return 0;
}

static enum atl_err walk(struct expand *e, const char *text, const char *end, unsigned depth, struct atl_buf *out)
{
	enum atl_err err = ATL_OK;

	if (depth > ATL_DYNAMIC_DEPTH_MAX)
		return wrong(e, "Choices and wildcards are nested too deeply.");
	for (const char *p = text; p < end && !err; p++) {
		size_t name = 0;

		if (*p == '\\' && p + 1 < end && strchr("{}|", p[1])) {
			atl_buf_addc(out, *++p);
			continue;
		}
		if (*p == '}')
			return wrong(e, "A closing brace has no opening one. Write \\} for the sign itself.");
		if (*p != '{' && !(end - p > 4 && p[0] == '_' && p[1] == '_' && (name = wildcard_name(p + 2, end)) > 0)) {
			atl_buf_addc(out, *p);
			continue;
		}
		if (++e->steps > ATL_DYNAMIC_STEPS_MAX)
			return wrong(e, "The prompt has too many choices.");
		if (name) {
			err = wildcard(e, p + 2, name, depth, out);
			p += name + 3;
			continue;
		}
		const char *close = group_end(p + 1, end);

		if (!close)
			return wrong(e, "An opening brace has no closing one. Write \\{ for the sign itself.");
		err = group(e, p + 1, close, depth, out);
		p = close;
	}
	return err;
}

enum atl_err atl_dynamic_expand(struct atl_arena *arena, const char *prompt, uint64_t seed, atl_wildcard_fn wildcard_fn,
				void *arg, const char **ret, struct atl_errinfo *info)
{
	struct expand e = { .arena = arena, .wildcard = wildcard_fn, .arg = arg, .state = seed, .info = info };
	struct atl_buf out;
	enum atl_err err;

	atl_buf_init(&out, ATL_DYNAMIC_OUT_MAX);
	err = walk(&e, prompt, prompt + strlen(prompt), 0, &out);
	if (!err && out.failed)
		err = wrong(&e, "The prompt becomes too long.");
	if (!err) {
		*ret = atl_arena_strndup(arena, out.length ? out.data : "", out.length);
		err = *ret ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "prompt");
	}
	atl_buf_finish(&out);
	return err;
}

/* ---- <lora:name:weight> ---- */

static enum atl_err read_lora(struct atl_arena *arena, const char *text, size_t length, struct atl_prompt_lora *ret,
			      struct atl_errinfo *info)
{
	char *name = atl_arena_strndup(arena, text, length), *colon = name ? strrchr(name, ':') : NULL;
	double weight = 1;

	if (!name)
		return atl_fail(info, ATL_ERR_NOMEM, "prompt");
	if (colon) {
		if (!atl_str_double(colon + 1, &weight) || weight < -10 || weight > 10)
			return atl_fail_field(info, ATL_ERR_INVALID, "prompt", "The weight of <lora:%s> is no number from -10 to 10.",
					      name);
		*colon = '\0';
	}
	if (!*name)
		return atl_fail_field(info, ATL_ERR_INVALID, "prompt", "A <lora:> has no name.");
	*ret = (struct atl_prompt_lora){ name, weight };
	return ATL_OK;
}

enum atl_err atl_prompt_take_loras(struct atl_arena *arena, const char *prompt, const char **ret,
				   struct atl_prompt_lora *loras, size_t *count, struct atl_errinfo *info)
{
	char *out = atl_arena_alloc(arena, strlen(prompt) + 1);
	size_t length = 0;
	bool cut = false;

	if (!out)
		return atl_fail(info, ATL_ERR_NOMEM, "prompt");
	for (const char *p = prompt; *p; p++) {
		const char *close = strncmp(p, "<lora:", 6) == 0 ? strchr(p, '>') : NULL;

		if (close) {
			if (*count == ATL_DYNAMIC_LORAS_MAX)
				return atl_fail_field(info, ATL_ERR_INVALID, "prompt", "has more than %d LoRA", ATL_DYNAMIC_LORAS_MAX);
			enum atl_err err = read_lora(arena, p + 6, (size_t)(close - p) - 6, &loras[*count], info);

			if (err)
				return err;
			(*count)++;
			p = close;
			cut = true;
			continue;
		}
		/* where one was taken out: no two commas or blanks in a row */
		if (cut && (*p == ' ' || *p == ',') && (length == 0 || out[length - 1] == ' ' || out[length - 1] == ','))
			continue;
		cut = cut && (*p == ' ' || *p == ',');
		out[length++] = *p;
	}
	while (cut && length > 0 && (out[length - 1] == ' ' || out[length - 1] == ','))
		length--;
	out[length] = '\0';
	*ret = out;
	return ATL_OK;
}
