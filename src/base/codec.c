/* codec.c - hex, base64 and percent-encoding, strict when decoding. */
#include "base/codec.h"

#include "base/str.h"

static const char lower_hex[] = "0123456789abcdef";
static const char upper_hex[] = "0123456789ABCDEF";
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

void atl_hex_encode(const void *data, size_t length, char *out)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < length; i++) {
		*out++ = lower_hex[bytes[i] >> 4];
		*out++ = lower_hex[bytes[i] & 15];
	}
	*out = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool atl_hex_decode(const char *text, void *out, size_t out_length)
{
	unsigned char *bytes = out;

	if (!text || strlen(text) / 2 != out_length || strlen(text) % 2)
		return false;
	for (size_t i = 0; i < out_length * 2; i++)
		if (hex_value(text[i]) < 0)
			return false;
	for (size_t i = 0; i < out_length; i++)
		bytes[i] = (unsigned char)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
	return true;
}

static char sextet_char(enum atl_base64 kind, unsigned value)
{
	if (value < 62)
		return alphabet[value];
	if (kind == ATL_BASE64_URL)
		return value == 62 ? '-' : '_';
	return value == 62 ? '+' : '/';
}

static int sextet_value(enum atl_base64 kind, char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (kind == ATL_BASE64_URL ? '-' : '+'))
		return 62;
	if (c == (kind == ATL_BASE64_URL ? '_' : '/'))
		return 63;
	return -1;
}

void atl_base64_encode(struct atl_buf *out, enum atl_base64 kind, const void *data, size_t length)
{
	const unsigned char *bytes = data;
	size_t tail = length % 3, size;
	char *p;

	if (length > SIZE_MAX / 4 * 3 - 3) {
		out->failed = true;
		return;
	}
	size = length / 3 * 4 + (!tail ? 0 : kind == ATL_BASE64_URL ? tail + 1 : 4);
	p = atl_buf_reserve(out, size);
	if (!p)
		return;
	for (size_t i = 0; i < length; i += 3) {
		size_t left = length - i;
		unsigned value = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
				 (left > 2 ? bytes[i + 2] : 0);

		*p++ = sextet_char(kind, value >> 18);
		*p++ = sextet_char(kind, value >> 12 & 63);
		if (left > 1)
			*p++ = sextet_char(kind, value >> 6 & 63);
		else if (kind == ATL_BASE64_STANDARD)
			*p++ = '=';
		if (left > 2)
			*p++ = sextet_char(kind, value & 63);
		else if (kind == ATL_BASE64_STANDARD)
			*p++ = '=';
	}
	out->length += size;
	*p = '\0';
}

/* Without the padding; false: no text of that length exists. */
static bool unpadded(enum atl_base64 kind, const char *text, size_t *length)
{
	if (kind == ATL_BASE64_STANDARD) {
		if (*length % 4)
			return false;
		if (*length && text[*length - 1] == '=')
			*length -= text[*length - 2] == '=' ? 2 : 1;
	}
	return *length % 4 != 1;
}

/* `out` may be the text itself: what is written never overtakes what is read. */
static bool decode(enum atl_base64 kind, const char *text, size_t length, unsigned char *out, size_t *ret_length)
{
	unsigned bits = 0, value = 0;
	unsigned char *p = out;

	for (size_t i = 0; i < length; i++) {
		int sextet = sextet_value(kind, text[i]);

		if (sextet < 0)
			return false;
		value = (value << 6 | (unsigned)sextet) & 0xFFFF;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*p++ = (unsigned char)(value >> bits);
		}
	}
	*ret_length = (size_t)(p - out);
	/* Left-over bits must be zero, so that every value has one spelling. */
	return !(value & ((1u << bits) - 1));
}

bool atl_base64_decode(struct atl_buf *out, enum atl_base64 kind, const char *text, size_t length)
{
	unsigned char *start;
	size_t size;
	bool ok;

	if (!unpadded(kind, text, &length))
		return false;
	start = atl_buf_reserve(out, length / 4 * 3 + (length % 4 ? length % 4 - 1 : 0));
	if (!start)
		return false;
	ok = decode(kind, text, length, start, &size);
	if (ok)
		out->length += size;
	start[ok ? size : 0] = '\0';
	return ok;
}

bool atl_base64_decode_in_place(enum atl_base64 kind, char *text, size_t length, size_t *ret_length)
{
	return unpadded(kind, text, &length) && decode(kind, text, length, (unsigned char *)text, ret_length);
}

static bool unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

void atl_percent_encode(struct atl_buf *out, const char *text)
{
	for (; *text; text++) {
		if (unreserved(*text)) {
			atl_buf_addc(out, *text);
		} else {
			unsigned char byte = (unsigned char)*text;
			char escape[3] = { '%', upper_hex[byte >> 4], upper_hex[byte & 15] };

			atl_buf_add(out, escape, sizeof(escape));
		}
	}
}

bool atl_percent_decode(struct atl_arena *arena, const char *text, size_t length, bool plus_is_space, char **ret)
{
	char *decoded = length < SIZE_MAX ? atl_arena_alloc(arena, length + 1) : NULL;
	size_t size = 0;

	if (!decoded)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = text[i];

		if (c == '%') {
			int high = length - i > 2 ? hex_value(text[i + 1]) : -1;
			int low = length - i > 2 ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (!c)
			return false;
		decoded[size++] = c;
	}
	if (!atl_utf8_valid(decoded, size))
		return false;
	*ret = decoded;
	return true;
}
