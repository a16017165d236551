/* sniff.c - see sniff.h. Signatures: the formats' own specifications. */
#include "media/sniff.h"

#include <string.h>

struct signature {
	enum atl_picture_kind kind;
	size_t offset;
	size_t length;
	const char *bytes;
};

/* A kind needs all of its rows. */
static const struct signature SIGNATURES[] = {
	{ATL_PICTURE_JPEG, 0, 3, "\xff\xd8\xff"},
	{ATL_PICTURE_PNG, 0, 8, "\x89PNG\r\n\x1a\n"},
	{ATL_PICTURE_WEBP, 0, 4, "RIFF"},
	{ATL_PICTURE_WEBP, 8, 4, "WEBP"},
	{ATL_PICTURE_GIF, 0, 4, "GIF8"},
};

enum atl_picture_kind atl_picture_sniff(const void *data, size_t length)
{
	for (enum atl_picture_kind kind = ATL_PICTURE_JPEG; kind <= ATL_PICTURE_GIF; kind++) {
		bool all = true;
		for (size_t i = 0; i < ATL_COUNT(SIGNATURES) && all; i++) {
			const struct signature *s = &SIGNATURES[i];
			if (s->kind == kind)
				all = length >= s->offset + s->length &&
				      memcmp((const char *)data + s->offset, s->bytes, s->length) == 0;
		}
		if (all)
			return kind;
	}
	return ATL_PICTURE_UNKNOWN;
}

const char *atl_picture_type(enum atl_picture_kind kind)
{
	switch (kind) {
	case ATL_PICTURE_JPEG:
		return "image/jpeg";
	case ATL_PICTURE_PNG:
		return "image/png";
	case ATL_PICTURE_WEBP:
		return "image/webp";
	case ATL_PICTURE_GIF:
		return "image/gif";
	case ATL_PICTURE_UNKNOWN:
		break;
	}
	return "application/octet-stream";
}
