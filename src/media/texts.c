/* texts.c - see texts.h. */
#include "media/texts.h"

#include "base/str.h"
#include "media/bytes.h"
#include "media/metadata.h"

static size_t put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

static char *decode_latin1(struct atl_arena *arena, const uint8_t *p, size_t length, size_t *ret_length)
{
	char *out = atl_arena_alloc(arena, 2 * length + 1);
	size_t n = 0;
	for (size_t i = 0; out && i < length && p[i]; i++)
		n += put_utf8(out + n, p[i]);
	*ret_length = n;
	return out;
}

/* Half a surrogate pair becomes U+FFFD. */
static char *decode_utf16(struct atl_arena *arena, const uint8_t *p, size_t length, bool big, size_t *ret_length)
{
	char *out = atl_arena_alloc(arena, length / 2 * 3 + 1);
	size_t n = 0;
	for (size_t i = 0; out && i + 1 < length; i += 2) {
		uint32_t c = big ? atl_be16(p + i) : atl_le16(p + i);
		if (!c)
			break;
		if (c == 0xfeff && i == 0)
			continue;
		if (c >= 0xd800 && c < 0xe000) {
			uint32_t low = i + 3 < length ? (big ? atl_be16(p + i + 2) : atl_le16(p + i + 2)) : 0;
			if (c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
				c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
				i += 2;
			} else {
				c = 0xfffd;
			}
		}
		n += put_utf8(out + n, c);
	}
	*ret_length = n;
	return out;
}

char *atl_text_decode(struct atl_arena *arena, enum atl_charset charset, const void *data, size_t length,
		      size_t *ret_length)
{
	const uint8_t *p = data;
	if (charset == ATL_CHARSET_UTF16LE || charset == ATL_CHARSET_UTF16BE)
		return decode_utf16(arena, p, length, charset == ATL_CHARSET_UTF16BE, ret_length);
	if (charset == ATL_CHARSET_UTF8 && length >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3, length -= 3;
	size_t end = strnlen((const char *)p, length);
	if (charset == ATL_CHARSET_UTF8 && atl_utf8_valid((const char *)p, end)) {
		*ret_length = end;
		return atl_arena_strndup(arena, (const char *)p, end);
	}
	return decode_latin1(arena, p, end, ret_length);
}

void atl_texts_add(struct atl_arena *arena, struct atl_texts *texts, const char *key, enum atl_charset charset,
		   const void *data, size_t length)
{
	if (!length || length > 2 * ATL_METADATA_TEXT_MAX || texts->count == ATL_TEXTS_MAX ||
	    length > ATL_TEXTS_BYTES_MAX - texts->bytes)
		return;
	texts->bytes += length;
	struct atl_text text = {.key = atl_arena_strdup(arena, key)};
	text.text = atl_text_decode(arena, charset, data, length, &text.length);
	if (!text.key || !text.text || !text.length || text.length > ATL_METADATA_TEXT_MAX)
		return;
	texts->items[texts->count++] = text;
}

const struct atl_text *atl_texts_find(const struct atl_texts *texts, const char *key)
{
	for (size_t i = 0; i < texts->count; i++)
		if (atl_str_ieq(texts->items[i].key, key))
			return texts->items + i;
	return NULL;
}
