/* png_chunk.c - see png_chunk.h. */
#include "media/png_chunk.h"

#include "base/str.h"
#include "media/bytes.h"
#include "media/inflate.h"
#include "media/metadata.h"

#define KEYWORD_MAX 79

bool atl_png_walk_init(struct atl_png_walk *walk, const void *data, size_t length)
{
	if (length < 8 || memcmp(data, "\x89PNG\r\n\x1a\n", 8) != 0)
		return false;
	*walk = (struct atl_png_walk){.at = (const uint8_t *)data + 8, .left = length - 8};
	return true;
}

bool atl_png_next(struct atl_png_walk *walk, struct atl_png_chunk *ret)
{
	if (!walk->left)
		return false;
	if (walk->left < 12 || atl_be32(walk->at) > walk->left - 12) {
		walk->broken = true;
		return false;
	}
	struct atl_png_chunk chunk = {.data = walk->at + 8, .whole = walk->at, .length = atl_be32(walk->at)};
	memcpy(chunk.type, walk->at + 4, 4);
	chunk.whole_length = chunk.length + 12;
	walk->at += chunk.whole_length;
	walk->left -= chunk.whole_length;
	*ret = chunk;
	return true;
}

static void add_inflated(struct atl_arena *arena, struct atl_texts *texts, const char *key, enum atl_charset charset,
			 const uint8_t *data, size_t length)
{
	struct atl_buf buf;
	atl_buf_init(&buf, ATL_METADATA_TEXT_MAX);
	if (atl_inflate(data, length, &buf))
		atl_texts_add(arena, texts, key, charset, buf.data, buf.length);
	else /* may have cost as much as the longest text: a file has few of them */
		texts->bytes = ATL_TEXTS_BYTES_MAX - texts->bytes > ATL_METADATA_TEXT_MAX
				       ? texts->bytes + ATL_METADATA_TEXT_MAX
				       : ATL_TEXTS_BYTES_MAX;
	atl_buf_finish(&buf);
}

void atl_png_read_text(struct atl_arena *arena, const struct atl_png_chunk *chunk, struct atl_texts *texts)
{
	bool itxt = memcmp(chunk->type, "iTXt", 4) == 0, ztxt = memcmp(chunk->type, "zTXt", 4) == 0;
	const uint8_t *p = chunk->data, *end = p + chunk->length;
	char key[KEYWORD_MAX + 1];
	size_t key_length = strnlen((const char *)p, chunk->length);
	if (!key_length || key_length > KEYWORD_MAX || key_length == chunk->length || texts->bytes == ATL_TEXTS_BYTES_MAX)
		return;
	memcpy(key, p, key_length + 1);
	p += key_length + 1;
	bool compressed = ztxt;
	if (itxt) {
		if (end - p < 2)
			return;
		compressed = p[0] == 1;
		p += 2;
		for (int skip = 0; skip < 2; skip++) { /* language, translated keyword */
			p += strnlen((const char *)p, (size_t)(end - p));
			if (p == end)
				return;
			p++;
		}
	} else if (ztxt) {
		if (p == end)
			return;
		p++; /* the method; there is one */
	}
	enum atl_charset charset = itxt ? ATL_CHARSET_UTF8 : ATL_CHARSET_LATIN1;
	/* Many writers put UTF-8 into tEXt against the specification. */
	if (!itxt && !compressed && atl_utf8_valid((const char *)p, (size_t)(end - p)))
		charset = ATL_CHARSET_UTF8;
	if (compressed)
		add_inflated(arena, texts, key, charset, p, (size_t)(end - p));
	else
		atl_texts_add(arena, texts, key, charset, p, (size_t)(end - p));
}

void atl_png_add(struct atl_buf *out, const char *type, const void *data, size_t length)
{
	atl_buf_add_be32(out, (uint32_t)length);
	atl_buf_add(out, type, 4);
	atl_buf_add(out, data, length);
	atl_buf_add_be32(out, atl_crc32(atl_crc32(0, type, 4), data, length));
}

/* The text in Latin-1, appended; false when it has other characters (the appended part is then taken back). */
static bool add_latin1(struct atl_buf *out, const char *text)
{
	size_t start = out->length;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		unsigned c = *p;
		if (c >= 0x80) {
			if ((c != 0xc2 && c != 0xc3) || (p[1] & 0xc0) != 0x80) {
				out->length = start;
				return false;
			}
			c = (c & 3) << 6 | (p[1] & 0x3f);
			p++;
		}
		atl_buf_addc(out, (char)c);
	}
	/* Readers that guess (ours too) would take such Latin-1 for UTF-8. */
	if (!out->failed && out->length - start != strlen(text) && atl_utf8_valid(out->data + start, out->length - start)) {
		out->length = start;
		return false;
	}
	return true;
}

static void add_text_chunk(struct atl_buf *out, const char *key, const char *text, bool latin1)
{
	struct atl_buf data;
	atl_buf_init(&data, 2 * ATL_METADATA_TEXT_MAX);
	atl_buf_add(&data, key, strlen(key) + 1);
	bool done = latin1 && add_latin1(&data, text);
	if (!done) {
		atl_buf_add(&data, "\0\0\0", 4); /* not compressed, no language, no translated keyword */
		atl_buf_adds(&data, text);
	}
	if (data.failed)
		out->failed = true;
	else
		atl_png_add(out, done ? "tEXt" : "iTXt", data.data, data.length);
	atl_buf_finish(&data);
}

void atl_png_add_text(struct atl_buf *out, const char *key, const char *text)
{
	add_text_chunk(out, key, text, true);
}

void atl_png_add_itxt(struct atl_buf *out, const char *key, const char *text)
{
	add_text_chunk(out, key, text, false);
}
