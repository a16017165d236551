/* multipart.c - see multipart.h. */
#include "net/multipart.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

#define BOUNDARY_MAX 70 /* RFC 2046 */

static enum atl_err broken(struct atl_errinfo *info, const char *what)
{
	return atl_fail(info, ATL_ERR_INVALID, "The multipart body %s.", what);
}

/* The quoted text at *p (after the quote), without its backslashes; *p is then after the closing quote. NULL: there is
 * none, or no memory. */
static char *quoted(struct atl_arena *arena, const char **p)
{
	char *out = atl_arena_alloc(arena, strlen(*p) + 1);
	size_t at = 0;

	for (; out && **p && **p != '"'; (*p)++) {
		if (**p == '\\' && ((*p)[1] == '"' || (*p)[1] == '\\'))
			(*p)++;
		out[at++] = **p;
	}
	if (!out || **p != '"')
		return NULL;
	(*p)++;
	out[at] = '\0';
	return out;
}

/* A parameter of a header value: name="text" or name=text; in the arena, NULL: not there, or broken before it. */
static const char *parameter(struct atl_arena *arena, const char *value, const char *name)
{
	size_t length = strlen(name);
	const char *p = value + strcspn(value, ";");

	while (*p == ';') {
		const char *key, *text;
		size_t key_length, text_length;

		for (p++; *p == ' ' || *p == '\t';)
			p++;
		key = p;
		key_length = strcspn(p, "=;");
		p += key_length;
		if (*p != '=')
			continue;
		p++;
		if (*p == '"') {
			p++;
			text = quoted(arena, &p);
			if (!text)
				return NULL;
			text_length = strlen(text);
			p += strcspn(p, ";");
		} else {
			text = p;
			text_length = strcspn(p, "; \t");
			p += strcspn(p, ";");
		}
		if (key_length == length && strncasecmp(key, name, length) == 0)
			return atl_arena_strndup(arena, text, text_length);
	}
	return NULL;
}

static enum atl_err find_boundary(struct atl_arena *arena, const char *content_type, const char **ret, struct atl_errinfo *info)
{
	const char *text;

	if (!content_type || strncasecmp(content_type, "multipart/form-data", 19) != 0 ||
	    (content_type[19] && !strchr("; \t", content_type[19])))
		return atl_fail(info, ATL_ERR_MEDIA_TYPE, "Send multipart/form-data.");
	text = parameter(arena, content_type, "boundary");
	if (atl_str_empty(text) || strlen(text) > BOUNDARY_MAX)
		return broken(info, "names no boundary");
	*ret = atl_arena_printf(arena, "--%s", text);
	return *ret ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "multipart");
}

static enum atl_err read_head(struct atl_arena *arena, const char *head, size_t length, struct atl_part *part,
			      struct atl_errinfo *info)
{
	const char *end = head + length;

	while (head < end) {
		const char *stop = memmem(head, (size_t)(end - head), "\r\n", 2);
		char *line = atl_arena_strndup(arena, head, (size_t)((stop ? stop : end) - head)), *value;

		if (!line)
			return atl_fail(info, ATL_ERR_NOMEM, "multipart");
		value = strchr(line, ':');
		if (value) {
			*value++ = '\0';
			while (*value == ' ')
				value++;
			if (strcasecmp(line, "Content-Disposition") == 0) {
				part->name = parameter(arena, value, "name");
				part->file_name = parameter(arena, value, "filename");
			} else if (strcasecmp(line, "Content-Type") == 0) {
				part->type = value;
			}
		}
		head = stop ? stop + 2 : end;
	}
	return part->name && atl_utf8_valid(part->name, strlen(part->name)) ? ATL_OK : broken(info, "has a part without a name");
}

enum atl_err atl_multipart_parse(struct atl_arena *arena, const char *content_type, const char *body, size_t length,
				 struct atl_part **ret, size_t *ret_count, struct atl_errinfo *info)
{
	const char *end = body + length, *boundary, *p;
	struct atl_part *parts;
	size_t count = 0, size;
	enum atl_err err = find_boundary(arena, content_type, &boundary, info);

	if (err)
		return err;
	parts = ATL_ARENA_ARRAY(arena, struct atl_part, ATL_MULTIPART_PARTS_MAX);
	if (!parts)
		return atl_fail(info, ATL_ERR_NOMEM, "multipart");
	size = strlen(boundary);
	for (p = body;; p++) { /* what stands before the first line of a boundary is no part */
		p = memmem(p, (size_t)(end - p), boundary, size);
		if (!p)
			return broken(info, "has no part");
		if (p == body || (p >= body + 2 && memcmp(p - 2, "\r\n", 2) == 0))
			break;
	}
	for (p += size; !(end - p >= 2 && memcmp(p, "--", 2) == 0);) {
		const char *head, *data, *next;

		if (end - p < 2 || memcmp(p, "\r\n", 2) != 0)
			return broken(info, "breaks off after a boundary");
		head = p + 2;
		data = memmem(head, (size_t)(end - head), "\r\n\r\n", 4);
		if (!data || data - head > ATL_MULTIPART_HEAD_MAX)
			return broken(info, "has a part whose headers do not end");
		if (count == ATL_MULTIPART_PARTS_MAX)
			return broken(info, "has too many parts");
		err = read_head(arena, head, (size_t)(data - head), &parts[count], info);
		if (err)
			return err;
		data += 4;
		for (next = data;; next++) { /* CRLF, then the boundary */
			next = memmem(next, (size_t)(end - next), boundary, size);
			if (!next)
				return broken(info, "has a part that does not end");
			if (next >= data + 2 && memcmp(next - 2, "\r\n", 2) == 0)
				break;
		}
		parts[count].data = data;
		parts[count++].length = (size_t)(next - 2 - data);
		p = next + size;
	}
	*ret = parts;
	*ret_count = count;
	return ATL_OK;
}

const struct atl_part *atl_multipart_find(const struct atl_part *parts, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (atl_str_eq(parts[i].name, name))
			return &parts[i];
	return NULL;
}
