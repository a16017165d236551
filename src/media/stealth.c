/* stealth.c - see stealth.h. */
#include "media/stealth.h"

#include <string.h>

#include "media/inflate.h"
#include "media/texts.h"

#define SIGNATURE_BYTES 15

struct bits {
	const uint8_t *rgba;
	size_t width, height, at; /* at: bits taken */
	bool colour;
};

static bool next_byte(struct bits *b, uint8_t *ret)
{
	size_t channels = b->colour ? 3 : 1;
	uint8_t byte = 0;
	if (b->width * b->height * channels - b->at < 8)
		return false;
	for (int i = 0; i < 8; i++, b->at++) {
		size_t pixel = b->at / channels, x = pixel / b->height, y = pixel % b->height;
		size_t channel = b->colour ? b->at % 3 : 3;
		byte = (uint8_t)(byte << 1 | (b->rgba[(y * b->width + x) * 4 + channel] & 1));
	}
	*ret = byte;
	return true;
}

static bool next_bytes(struct bits *b, void *to, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!next_byte(b, (uint8_t *)to + i))
			return false;
	return true;
}

static const char *take_text(struct atl_arena *arena, struct bits *b, bool packed, size_t *ret_length)
{
	uint8_t size[4];
	if (!next_bytes(b, size, sizeof size))
		return NULL;
	size_t length = ((size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3]) / 8;
	if (!length || length > ATL_METADATA_TEXT_MAX)
		return NULL;
	const char *text = NULL;
	struct atl_buf hidden, inflated;
	atl_buf_init(&hidden, ATL_METADATA_TEXT_MAX);
	atl_buf_init(&inflated, ATL_METADATA_TEXT_MAX);
	void *to = atl_buf_reserve(&hidden, length);
	if (to && next_bytes(b, to, length)) {
		if (!packed)
			text = atl_text_decode(arena, ATL_CHARSET_UTF8, to, length, ret_length);
		else if (atl_inflate(to, length, &inflated))
			text = atl_text_decode(arena, ATL_CHARSET_UTF8, inflated.data, inflated.length, ret_length);
	}
	atl_buf_finish(&hidden);
	atl_buf_finish(&inflated);
	return text;
}

const char *atl_stealth_text(struct atl_arena *arena, const void *rgba, size_t width, size_t height,
			     size_t *ret_length)
{
	static const struct {
		const char *signature;
		bool colour, packed;
	} forms[] = {
		{"stealth_pnginfo", false, false},
		{"stealth_pngcomp", false, true},
		{"stealth_rgbinfo", true, false},
		{"stealth_rgbcomp", true, true},
	};
	if (!width || !height || width > SIZE_MAX / 4 / height)
		return NULL;
	for (size_t i = 0; i < ATL_COUNT(forms); i++) {
		struct bits b = {.rgba = rgba, .width = width, .height = height, .colour = forms[i].colour};
		char signature[SIGNATURE_BYTES];
		if (next_bytes(&b, signature, sizeof signature) &&
		    memcmp(signature, forms[i].signature, sizeof signature) == 0)
			return take_text(arena, &b, forms[i].packed, ret_length);
	}
	return NULL;
}

enum atl_err atl_stealth_read(struct atl_arena *arena, const void *rgba, size_t width, size_t height,
			      struct atl_recall *ret, struct atl_errinfo *info)
{
	size_t length = 0;
	const char *text = atl_stealth_text(arena, rgba, width, height, &length);
	if (!text)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "Nothing is hidden in the pixels.");
	return atl_metadata_read_text(arena, text, length, ret, info);
}
