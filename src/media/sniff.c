/* sniff.c - see sniff.h. Signatures: the formats' own specifications. */
#include "media/sniff.h"

#include <string.h>

struct part {
	size_t offset;
	size_t length;
	const char *bytes;
};

/* All parts of a row must be there; a kind may have several rows. */
static const struct signature {
	enum atl_picture_kind kind;
	struct part parts[2];
} SIGNATURES[] = {
	{ATL_PICTURE_JPEG, {{0, 3, "\xff\xd8\xff"}}},
	{ATL_PICTURE_PNG, {{0, 8, "\x89PNG\r\n\x1a\n"}}},
	{ATL_PICTURE_WEBP, {{0, 4, "RIFF"}, {8, 4, "WEBP"}}},
	{ATL_PICTURE_GIF, {{0, 4, "GIF8"}}},
	/* ISO base media is also HEIC, AVIF and sound: the brand says which */
	{ATL_PICTURE_MP4, {{4, 4, "ftyp"}, {8, 3, "iso"}}},
	{ATL_PICTURE_MP4, {{4, 4, "ftyp"}, {8, 3, "mp4"}}},
	{ATL_PICTURE_MP4, {{4, 4, "ftyp"}, {8, 4, "avc1"}}},
	{ATL_PICTURE_MP4, {{4, 4, "ftyp"}, {8, 4, "M4V "}}},
	{ATL_PICTURE_MP4, {{4, 4, "ftyp"}, {8, 4, "dash"}}},
	{ATL_PICTURE_MP4, {{4, 4, "ftyp"}, {8, 4, "MSNV"}}},
};

#define EBML "\x1a\x45\xdf\xa3"
#define WEBM_HEAD 64 /* the document type stands within the first element */

static bool is_webm(const char *data, size_t length)
{
	return length >= 8 && memcmp(data, EBML, 4) == 0 &&
	       memmem(data, length < WEBM_HEAD ? length : WEBM_HEAD, "\x42\x82\x84webm", 7) != NULL;
}

enum atl_picture_kind atl_picture_sniff(const void *data, size_t length)
{
	for (size_t i = 0; i < ATL_COUNT(SIGNATURES); i++) {
		bool all = true;
		for (size_t p = 0; p < ATL_COUNT(SIGNATURES[i].parts) && all; p++) {
			const struct part *part = &SIGNATURES[i].parts[p];
			all = part->length == 0 ||
			      (length >= part->offset + part->length &&
			       memcmp((const char *)data + part->offset, part->bytes, part->length) == 0);
		}
		if (all)
			return SIGNATURES[i].kind;
	}
	return is_webm(data, length) ? ATL_PICTURE_WEBM : ATL_PICTURE_UNKNOWN;
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
	case ATL_PICTURE_MP4:
		return "video/mp4";
	case ATL_PICTURE_WEBM:
		return "video/webm";
	case ATL_PICTURE_UNKNOWN:
		break;
	}
	return "application/octet-stream";
}

bool atl_picture_is_video(enum atl_picture_kind kind)
{
	return kind == ATL_PICTURE_MP4 || kind == ATL_PICTURE_WEBM;
}
