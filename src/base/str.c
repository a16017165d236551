/* str.c - text helpers; the only home of strtod(). */
#include "base/str.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>

static unsigned char fold(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool atl_str_ieq(const char *a, const char *b)
{
	if (!a || !b)
		return false;
	while (*a && fold(*a) == fold(*b)) {
		a++;
		b++;
	}
	return fold(*a) == fold(*b);
}

bool atl_str_starts(const char *text, const char *prefix)
{
	return text && prefix && strncmp(text, prefix, strlen(prefix)) == 0;
}

bool atl_str_ends(const char *text, const char *suffix)
{
	size_t length, tail;

	if (!text || !suffix)
		return false;
	length = strlen(text);
	tail = strlen(suffix);
	return tail <= length && memcmp(text + length - tail, suffix, tail) == 0;
}

bool atl_str_eq_secret(const void *a, const void *b, size_t length)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned char difference = 0;

	for (size_t i = 0; i < length; i++)
		difference |= (unsigned char)(x[i] ^ y[i]);
	return difference == 0;
}

/* Decimal digits up to `end` (exclusive); at least one. */
static bool digits(const char *text, const char *end, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (text == end)
		return false;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return false;
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value) || value > max)
			return false;
	}
	*ret = value;
	return true;
}

bool atl_str_u64(const char *text, uint64_t max, uint64_t *ret)
{
	return text && digits(text, text + strlen(text), max, ret);
}

bool atl_str_i64(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = text && *text == '-';
	uint64_t size;
	int64_t value;

	if (!text || !atl_str_u64(text + negative, (uint64_t)INT64_MAX + negative, &size))
		return false;
	value = negative ? (int64_t)(0 - size) : (int64_t)size;
	if (value < min || value > max)
		return false;
	*ret = value;
	return true;
}

static const char *skip_digits(const char *p)
{
	while (*p >= '0' && *p <= '9')
		p++;
	return p;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit before or after the point. */
static bool decimal_form(const char *p)
{
	const char *start;
	size_t count;

	p += *p == '+' || *p == '-';
	start = p;
	p = skip_digits(p);
	count = (size_t)(p - start);
	if (*p == '.') {
		start = ++p;
		p = skip_digits(p);
		count += (size_t)(p - start);
	}
	if (!count)
		return false;
	if (*p == 'e' || *p == 'E') {
		p++;
		p += *p == '+' || *p == '-';
		start = p;
		p = skip_digits(p);
		if (p == start)
			return false;
	}
	return *p == '\0';
}

bool atl_str_double(const char *text, double *ret)
{
	locale_t c_locale;
	double value;

	if (!text || !decimal_form(text))
		return false;
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* a constant of libc: nothing is allocated */
	if (!c_locale)
		return false;
	value = strtod_l(text, NULL, c_locale);
	freelocale(c_locale);
	if (!isfinite(value))
		return false;
	*ret = value;
	return true;
}

bool atl_str_size(const char *text, uint64_t *ret_bytes)
{
	size_t length = text ? strlen(text) : 0;
	unsigned shift = 0;
	uint64_t value;

	if (!length)
		return false;
	switch (text[length - 1]) {
	case 'K':
	case 'k':
		shift = 10;
		break;
	case 'M':
	case 'm':
		shift = 20;
		break;
	case 'G':
	case 'g':
		shift = 30;
		break;
	default:
		break;
	}
	if (!digits(text, text + length - (shift != 0), UINT64_MAX >> shift, &value))
		return false;
	*ret_bytes = value << shift;
	return true;
}

/* Lead byte -> length of the character, and the range of its second byte (RFC 3629, table 3-7 of Unicode). */
static unsigned lead(unsigned char c, unsigned char *low, unsigned char *high)
{
	*low = 0x80;
	*high = 0xBF;
	if (c < 0x80)
		return 1;
	if (c >= 0xC2 && c <= 0xDF)
		return 2;
	if (c >= 0xE0 && c <= 0xEF) {
		if (c == 0xE0)
			*low = 0xA0;
		if (c == 0xED)
			*high = 0x9F;
		return 3;
	}
	if (c >= 0xF0 && c <= 0xF4) {
		if (c == 0xF0)
			*low = 0x90;
		if (c == 0xF4)
			*high = 0x8F;
		return 4;
	}
	return 0;
}

size_t atl_utf8_char(const char *text, size_t length)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned char low, high;
	unsigned size;

	if (!length)
		return 0;
	size = lead(p[0], &low, &high);
	if (!size || size > length)
		return 0;
	if (size > 1 && (p[1] < low || p[1] > high))
		return 0;
	for (unsigned i = 2; i < size; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	return size;
}

bool atl_utf8_valid(const char *text, size_t length)
{
	size_t i = 0;

	while (i < length) {
		uint64_t eight;
		size_t size;

		if (length - i >= sizeof(eight)) {
			memcpy(&eight, text + i, sizeof(eight));
			if (!(eight & UINT64_C(0x8080808080808080))) {
				i += sizeof(eight);
				continue;
			}
		}
		size = atl_utf8_char(text + i, length - i);
		if (!size)
			return false;
		i += size;
	}
	return true;
}

size_t atl_utf8_incomplete(const char *text, size_t length)
{
	for (size_t back = 1; back <= 3 && back <= length; back++) {
		const unsigned char *p = (const unsigned char *)text + length - back;
		unsigned char low, high;

		if ((*p & 0xC0) == 0x80)
			continue;
		if (lead(*p, &low, &high) <= back)
			return 0;
		return back > 1 && (p[1] < low || p[1] > high) ? 0 : back;
	}
	return 0;
}

size_t atl_utf8_cut(const char *text, size_t length, size_t max)
{
	if (length <= max)
		return length;
	for (size_t back = 0; back <= 3 && back <= max; back++)
		if (((unsigned char)text[max - back] & 0xC0) != 0x80)
			return max - back;
	return max;
}

size_t atl_utf8_count(const char *text, size_t length)
{
	size_t count = 0;

	for (size_t i = 0; i < length; i++)
		count += ((unsigned char)text[i] & 0xC0) != 0x80;
	return count;
}

bool atl_str_copy(char *dst, size_t size, const char *src)
{
	size_t length = src ? strlen(src) : 0, cut;

	if (!size)
		return false;
	cut = length ? atl_utf8_cut(src, length, size - 1) : 0;
	if (cut)
		memmove(dst, src, cut);
	dst[cut] = '\0';
	return cut == length;
}
