/* cond.c - see cond.h. */
#include "net/cond.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

static const char *skip_weak(const char *tag)
{
	return tag[0] == 'W' && tag[1] == '/' ? tag + 2 : tag;
}

bool cond_none_match(const char *header, const char *etag)
{
	size_t etag_length;

	if (!header)
		return false;
	etag = skip_weak(etag);
	etag_length = strlen(etag);
	while (*header) {
		header += strspn(header, " \t,");
		if (*header == '*')
			return true;
		header = skip_weak(header);
		if (strncmp(header, etag, etag_length) == 0 && strchr(" \t,", header[etag_length]))
			return true;
		if (*header == '"') {
			const char *end = strchr(header + 1, '"');

			if (!end)
				return false;
			header = end + 1;
		} else {
			header += strcspn(header, ",");
		}
	}
	return false;
}

static bool number(const char *text, size_t length, uint64_t *ret)
{
	char digits[24];

	if (!length || length >= sizeof(digits))
		return false;
	memcpy(digits, text, length);
	digits[length] = 0;
	return atl_str_u64(digits, INT64_MAX, ret);
}

enum cond_range cond_range_parse(const char *header, uint64_t size, uint64_t *ret_offset, uint64_t *ret_length)
{
	const char *dash;
	uint64_t first = 0, last = 0;
	bool has_first, has_last;

	*ret_offset = 0;
	*ret_length = size;
	if (!header || strncasecmp(header, "bytes=", 6) != 0)
		return COND_WHOLE;
	header += 6;
	dash = strchr(header, '-');
	if (!dash || strchr(header, ','))
		return COND_WHOLE;
	has_first = number(header, (size_t)(dash - header), &first);
	has_last = number(dash + 1, strlen(dash + 1), &last);
	if ((dash != header && !has_first) || (dash[1] && !has_last) || (!has_first && !has_last))
		return COND_WHOLE;
	if (!has_first) { /* the last N bytes */
		if (!last || !size)
			return COND_UNSATISFIABLE;
		first = last < size ? size - last : 0;
		last = size - 1;
	} else {
		if (has_last && last < first)
			return COND_WHOLE;
		if (first >= size)
			return COND_UNSATISFIABLE;
		if (!has_last || last >= size)
			last = size - 1;
	}
	*ret_offset = first;
	*ret_length = last - first + 1;
	return COND_PART;
}

/* Is `coding` listed with a weight other than zero? */
static bool accepts(const char *accept, const char *coding)
{
	size_t length = strlen(coding);

	while (*accept) {
		size_t item;
		const char *weight;

		accept += strspn(accept, " \t,");
		item = strcspn(accept, ",");
		if (strncasecmp(accept, coding, length) == 0 && strchr(" \t,;", accept[length])) {
			weight = memchr(accept, '=', item);
			if (!weight)
				return true;
			for (weight++; weight < accept + item; weight++) {
				if (*weight >= '1' && *weight <= '9')
					return true;
			}
			return false;
		}
		accept += item;
	}
	return false;
}

char cond_encoding(const char *accept, bool have_br, bool have_gzip)
{
	if (!accept)
		return 0;
	if (have_br && accepts(accept, "br"))
		return 'b';
	if (have_gzip && accepts(accept, "gzip"))
		return 'g';
	return 0;
}
