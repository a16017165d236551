/* exif.c - see exif.h. */
#include "media/exif.h"

#include "base/str.h"
#include "media/bytes.h"
#include "media/metadata.h"

#define GUESS_FROM 4096 /* bytes of a comment that tell its byte order */

enum { TAG_ORIENTATION = 0x0112, TAG_EXIF_IFD = 0x8769, TAG_USER_COMMENT = 0x9286 };
enum { TYPE_ASCII = 2, TYPE_SHORT = 3, TYPE_LONG = 4, TYPE_UNDEFINED = 7 };

struct tiff {
	const uint8_t *data;
	size_t length;
	bool big;
};
struct entry {
	uint32_t tag, type, count;
	const uint8_t *value; /* `bytes` of it; inside the file */
	size_t bytes;
};

static uint32_t u16(const struct tiff *t, const uint8_t *p)
{
	return t->big ? atl_be16(p) : atl_le16(p);
}

static uint32_t u32(const struct tiff *t, const uint8_t *p)
{
	return t->big ? atl_be32(p) : atl_le32(p);
}

static bool open_tiff(const void *data, size_t length, struct tiff *ret)
{
	const uint8_t *p = data;
	if (length >= 6 && memcmp(p, "Exif\0\0", 6) == 0)
		p += 6, length -= 6;
	if (length < 8 || (memcmp(p, "MM\0*", 4) != 0 && memcmp(p, "II*\0", 4) != 0))
		return false;
	*ret = (struct tiff){.data = p, .length = length, .big = *p == 'M'};
	return true;
}

/* How many entries the directory at `offset` has within the file. */
static size_t count_entries(const struct tiff *t, size_t offset)
{
	if (t->length < 2 || offset > t->length - 2)
		return 0;
	size_t count = u16(t, t->data + offset), room = (t->length - offset - 2) / 12;
	if (count > room)
		count = room;
	return count < ATL_EXIF_ENTRIES_MAX ? count : ATL_EXIF_ENTRIES_MAX;
}

/* False: of a type we do not read, or outside the file. */
static bool get_entry(const struct tiff *t, size_t offset, size_t index, struct entry *ret)
{
	const uint8_t *p = t->data + offset + 2 + 12 * index;
	struct entry e = {.tag = u16(t, p), .type = u16(t, p + 2), .count = u32(t, p + 4), .value = p + 8};
	size_t unit = e.type == TYPE_SHORT ? 2 : e.type == TYPE_LONG ? 4 : 1;
	if (e.type != TYPE_ASCII && e.type != TYPE_SHORT && e.type != TYPE_LONG && e.type != TYPE_UNDEFINED && e.type != 1)
		return false;
	e.bytes = unit * e.count;
	if (e.bytes > 4) {
		size_t at = u32(t, p + 8);
		if (at > t->length || e.bytes > t->length - at)
			return false;
		e.value = t->data + at;
	} else if (e.bytes < unit) {
		return false;
	}
	*ret = e;
	return true;
}

/* Writers do not agree on the byte order of UNICODE comments: the file's, or big endian always. Latin text has its zero
 * bytes in the even places when it is big endian, in the odd ones when little. */
static enum atl_charset guess_utf16(const struct tiff *t, const uint8_t *p, size_t length)
{
	size_t zeros[2] = {0};
	for (size_t i = 0; i < length && i < GUESS_FROM; i++)
		zeros[i % 2] += p[i] == 0;
	if (length >= 2 && (atl_be16(p) == 0xfeff || atl_be16(p) == 0xfffe))
		return p[0] == 0xfe ? ATL_CHARSET_UTF16BE : ATL_CHARSET_UTF16LE;
	if (zeros[0] == zeros[1])
		return t->big ? ATL_CHARSET_UTF16BE : ATL_CHARSET_UTF16LE;
	return zeros[0] > zeros[1] ? ATL_CHARSET_UTF16BE : ATL_CHARSET_UTF16LE;
}

static void read_comment(struct atl_arena *arena, const struct tiff *t, const struct entry *e, struct atl_texts *texts)
{
	if (e->bytes < 8 || texts->count == ATL_TEXTS_MAX || texts->bytes == ATL_TEXTS_BYTES_MAX)
		return;
	const uint8_t *p = e->value + 8;
	size_t length = e->bytes - 8;
	if (memcmp(e->value, "UNICODE\0", 8) == 0)
		atl_texts_add(arena, texts, "parameters", guess_utf16(t, p, length), p, length);
	else if (memcmp(e->value, "ASCII\0\0\0", 8) == 0 || memcmp(e->value, "\0\0\0\0\0\0\0\0", 8) == 0)
		atl_texts_add(arena, texts, "parameters", ATL_CHARSET_UTF8, p, length);
}

static void read_ascii(struct atl_arena *arena, const struct entry *e, struct atl_texts *texts)
{
	static const char *const keys[] = {"prompt", "workflow"};
	for (size_t i = 0; i < ATL_COUNT(keys); i++) {
		size_t n = strlen(keys[i]);
		if (e->bytes > n + 2 && memcmp(e->value, keys[i], n) == 0 && e->value[n] == ':' && e->value[n + 1] == '{')
			atl_texts_add(arena, texts, keys[i], ATL_CHARSET_UTF8, e->value + n + 1, e->bytes - n - 1);
	}
}

void atl_exif_read(struct atl_arena *arena, const void *data, size_t length, struct atl_texts *texts)
{
	struct tiff t;
	if (!open_tiff(data, length, &t))
		return;
	size_t ifd = u32(&t, t.data + 4), exif = 0, count = count_entries(&t, ifd);
	struct entry e;
	for (size_t i = 0; i < count; i++) {
		if (!get_entry(&t, ifd, i, &e))
			continue;
		if (e.tag == TAG_EXIF_IFD && e.type == TYPE_LONG)
			exif = u32(&t, e.value);
		else if (e.tag == TAG_USER_COMMENT)
			read_comment(arena, &t, &e, texts);
		else if (e.type == TYPE_ASCII)
			read_ascii(arena, &e, texts);
	}
	count = exif ? count_entries(&t, exif) : 0;
	for (size_t i = 0; i < count; i++)
		if (get_entry(&t, exif, i, &e) && e.tag == TAG_USER_COMMENT)
			read_comment(arena, &t, &e, texts);
}

unsigned atl_exif_orientation(const void *data, size_t length)
{
	struct tiff t;
	if (!open_tiff(data, length, &t))
		return 1;
	size_t ifd = u32(&t, t.data + 4), count = count_entries(&t, ifd);
	struct entry e;
	for (size_t i = 0; i < count; i++)
		if (get_entry(&t, ifd, i, &e) && e.tag == TAG_ORIENTATION && e.type == TYPE_SHORT) {
			unsigned turn = u16(&t, e.value);
			return turn >= 1 && turn <= 8 ? turn : 1;
		}
	return 1;
}

static void add_utf16be(struct atl_buf *out, const char *text)
{
	size_t left = strlen(text);
	while (left) {
		size_t n = atl_utf8_char(text, left);
		const unsigned char *p = (const unsigned char *)text;
		uint32_t c = n == 1   ? p[0]
			     : n == 2 ? (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU)
			     : n == 3 ? (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU)
			     : n == 4 ? (p[0] & 0x07U) << 18 | (p[1] & 0x3fU) << 12 | (p[2] & 0x3fU) << 6 | (p[3] & 0x3fU)
				      : 0xfffd;
		if (c >= 0x10000) {
			atl_buf_add_be16(out, 0xd800 + ((c - 0x10000) >> 10));
			c = 0xdc00 + ((c - 0x10000) & 0x3ff);
		}
		atl_buf_add_be16(out, c);
		text += n ? n : 1;
		left -= n ? n : 1;
	}
}

static void add_entry(struct atl_buf *out, unsigned tag, unsigned type, uint32_t count, uint32_t value)
{
	atl_buf_add_be16(out, tag);
	atl_buf_add_be16(out, type);
	atl_buf_add_be32(out, count);
	atl_buf_add_be32(out, value);
}

void atl_exif_write(struct atl_buf *out, const char *comment, unsigned orientation)
{
	struct atl_buf text;
	atl_buf_init(&text, 2 * ATL_METADATA_TEXT_MAX + 8);
	if (comment) {
		atl_buf_add(&text, "UNICODE", 8);
		add_utf16be(&text, comment);
	}
	bool turned = orientation > 1 && orientation <= 8;
	unsigned entries = (unsigned)turned + (comment != NULL);
	uint32_t exif_ifd = 8 + 2 + 12 * entries + 4;
	atl_buf_add(out, "MM\0*", 4);
	atl_buf_add_be32(out, 8);
	atl_buf_add_be16(out, entries);
	if (turned)
		add_entry(out, TAG_ORIENTATION, TYPE_SHORT, 1, orientation << 16);
	if (comment)
		add_entry(out, TAG_EXIF_IFD, TYPE_LONG, 1, exif_ifd);
	atl_buf_add_be32(out, 0);
	if (comment) {
		atl_buf_add_be16(out, 1);
		add_entry(out, TAG_USER_COMMENT, TYPE_UNDEFINED, (uint32_t)text.length, exif_ifd + 2 + 12 + 4);
		atl_buf_add_be32(out, 0);
		atl_buf_add(out, text.data, text.length);
	}
	out->failed = out->failed || text.failed;
	atl_buf_finish(&text);
}
