/* metadata_write.c - our metadata into a copy of a file; see metadata.h.
 *
 * What may stay is named (pixels, colour, animation, orientation); everything else goes, so that a kind of metadata
 * that we never heard of goes too.
 */
#include "base/str.h"
#include "media/bytes.h"
#include "media/exif.h"
#include "media/jpeg_segment.h"
#include "media/metadata.h"
#include "media/png_chunk.h"
#include "media/sniff.h"
#include "media/webp_chunk.h"
#include "media/xmp.h"

static enum atl_err broken(struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_PICTURE, "The picture file is damaged or cut short.");
}

static bool one_of(const char *type, const char *const *types)
{
	while (*types && memcmp(type, *types, 4) != 0)
		types++;
	return *types != NULL;
}

/* ---- PNG ---- */

static bool png_stays(const struct atl_png_chunk *chunk)
{
	static const char *const kept[] = {"cHRM", "cICP", "gAMA", "iCCP", "mDCV", "cLLI", "sBIT", "sRGB", "bKGD", "hIST",
					   "tRNS", "pHYs", "sPLT", "acTL", "fcTL", "fdAT", NULL};
	bool critical = !(chunk->type[0] & 0x20);
	return critical || one_of(chunk->type, kept);
}

static void png_add_ours(struct atl_buf *out, const struct atl_metadata_out *m, unsigned orientation)
{
	struct atl_buf part;
	atl_buf_init(&part, 65536);
	if (orientation > 1) {
		atl_exif_write(&part, NULL, orientation);
		atl_png_add(out, "eXIf", part.data, part.length);
		atl_buf_reset(&part);
	}
	if (m->parameters)
		atl_png_add_text(out, "parameters", m->parameters);
	if (m->atelier)
		atl_png_add_itxt(out, "atelier", m->atelier);
	atl_xmp_write(&part, m->composite, NULL);
	atl_png_add_itxt(out, ATL_TEXTS_XMP, part.data);
	out->failed = out->failed || part.failed;
	atl_buf_finish(&part);
}

static enum atl_err write_png(const void *data, size_t length, const struct atl_metadata_out *m, struct atl_buf *out,
			      struct atl_errinfo *info)
{
	struct atl_png_walk walk;
	struct atl_png_chunk chunk;
	unsigned orientation = 1;
	bool ended = false, pixels = false;
	if (!atl_png_walk_init(&walk, data, length))
		return broken(info);
	while (atl_png_next(&walk, &chunk))
		if (memcmp(chunk.type, "eXIf", 4) == 0)
			orientation = atl_exif_orientation(chunk.data, chunk.length);
	if (!atl_png_walk_init(&walk, data, length) || !atl_png_next(&walk, &chunk) ||
	    memcmp(chunk.type, "IHDR", 4) != 0 || chunk.length != 13)
		return broken(info);
	atl_buf_add(out, data, 8);
	atl_buf_add(out, chunk.whole, chunk.whole_length);
	png_add_ours(out, m, orientation);
	while (!ended && atl_png_next(&walk, &chunk)) {
		ended = memcmp(chunk.type, "IEND", 4) == 0;
		pixels = pixels || memcmp(chunk.type, "IDAT", 4) == 0;
		if (png_stays(&chunk))
			atl_buf_add(out, chunk.whole, chunk.whole_length);
	}
	return ended && pixels ? atl_buf_err(out, info) : broken(info);
}

/* ---- JPEG ---- */

static bool jpeg_stays(const struct atl_jpeg_segment *s)
{
	if (s->marker == ATL_JPEG_COM)
		return false;
	if (s->marker < ATL_JPEG_APP0 || s->marker > ATL_JPEG_APP0 + 15)
		return true;
	return (s->marker == ATL_JPEG_APP0 && atl_jpeg_named(s, "JFIF", sizeof "JFIF")) ||
	       (s->marker == ATL_JPEG_APP0 + 2 && atl_jpeg_named(s, "ICC_PROFILE", sizeof "ICC_PROFILE")) ||
	       (s->marker == ATL_JPEG_APP0 + 14 && atl_jpeg_named(s, "Adobe", sizeof "Adobe" - 1));
}

/* A segment holds 64 KiB: a longer text is left out (docs/limits.md), first the JSON, which nobody else reads. */
static void jpeg_add_ours(struct atl_buf *out, const struct atl_metadata_out *m, unsigned orientation)
{
	struct atl_buf part;
	atl_buf_init(&part, 4 * ATL_METADATA_TEXT_MAX);
	if (m->parameters || orientation > 1) {
		atl_exif_write(&part, m->parameters, orientation);
		if (!atl_jpeg_add(out, ATL_JPEG_APP0 + 1, ATL_JPEG_EXIF, sizeof ATL_JPEG_EXIF, part.data, part.length) &&
		    orientation > 1) {
			atl_buf_reset(&part);
			atl_exif_write(&part, NULL, orientation);
			(void)atl_jpeg_add(out, ATL_JPEG_APP0 + 1, ATL_JPEG_EXIF, sizeof ATL_JPEG_EXIF, part.data,
					   part.length);
		}
		atl_buf_reset(&part);
	}
	atl_xmp_write(&part, m->composite, m->atelier);
	if (!atl_jpeg_add(out, ATL_JPEG_APP0 + 1, ATL_JPEG_XMP, sizeof ATL_JPEG_XMP, part.data, part.length)) {
		atl_buf_reset(&part);
		atl_xmp_write(&part, m->composite, NULL);
		(void)atl_jpeg_add(out, ATL_JPEG_APP0 + 1, ATL_JPEG_XMP, sizeof ATL_JPEG_XMP, part.data, part.length);
	}
	out->failed = out->failed || part.failed;
	atl_buf_finish(&part);
}

static enum atl_err write_jpeg(const void *data, size_t length, const struct atl_metadata_out *m, struct atl_buf *out,
			       struct atl_errinfo *info)
{
	struct atl_jpeg_walk walk;
	struct atl_jpeg_segment s;
	unsigned orientation = 1;
	bool ours = false, ended = false, pixels = false;
	if (!atl_jpeg_walk_init(&walk, data, length))
		return broken(info);
	while (atl_jpeg_next(&walk, &s) && s.marker != ATL_JPEG_SOS)
		if (orientation == 1 && s.marker == ATL_JPEG_APP0 + 1 &&
		    atl_jpeg_named(&s, ATL_JPEG_EXIF, sizeof ATL_JPEG_EXIF))
			orientation = atl_exif_orientation(s.data, s.length);
	if (!atl_jpeg_walk_init(&walk, data, length))
		return broken(info);
	atl_buf_add(out, data, 2);
	while (atl_jpeg_next(&walk, &s)) {
		if (!jpeg_stays(&s))
			continue;
		if (!ours && s.marker != ATL_JPEG_APP0) { /* JFIF wants to be first */
			jpeg_add_ours(out, m, orientation);
			ours = true;
		}
		atl_buf_add(out, s.whole, s.whole_length);
		pixels = pixels || s.marker == ATL_JPEG_SOS;
		ended = s.marker == ATL_JPEG_EOI;
	}
	return ended && pixels ? atl_buf_err(out, info) : broken(info);
}

/* ---- WebP ---- */

struct webp_parts {
	struct atl_webp_canvas canvas;
	bool has_canvas, animated, icc, pixels;
	unsigned orientation;
};

static enum atl_err scan_webp(const void *data, size_t length, struct webp_parts *ret, struct atl_errinfo *info)
{
	struct atl_webp_walk walk;
	struct atl_webp_chunk c;
	struct webp_parts parts = {.orientation = 1};
	if (!atl_webp_walk_init(&walk, data, length))
		return broken(info);
	while (atl_webp_next(&walk, &c)) {
		struct atl_webp_canvas canvas;
		if (!parts.has_canvas && atl_webp_canvas(&c, &canvas)) /* VP8X is the first when it is there */
			parts.canvas = canvas, parts.has_canvas = true;
		parts.icc = parts.icc || memcmp(c.type, "ICCP", 4) == 0;
		parts.animated = parts.animated || memcmp(c.type, "ANMF", 4) == 0;
		parts.canvas.alpha = parts.canvas.alpha || memcmp(c.type, "ALPH", 4) == 0;
		parts.pixels = parts.pixels || memcmp(c.type, "ANMF", 4) == 0 || memcmp(c.type, "VP8 ", 4) == 0 ||
			       memcmp(c.type, "VP8L", 4) == 0;
		if (memcmp(c.type, "EXIF", 4) == 0)
			parts.orientation = atl_exif_orientation(c.data, c.length);
	}
	if (walk.broken || !parts.has_canvas || !parts.pixels)
		return broken(info);
	*ret = parts;
	return ATL_OK;
}

static enum atl_err write_webp(const void *data, size_t length, const struct atl_metadata_out *m, struct atl_buf *out,
			       struct atl_errinfo *info)
{
	static const char *const kept[] = {"ICCP", "ANIM", "ANMF", "ALPH", "VP8 ", "VP8L", NULL};
	struct webp_parts parts;
	enum atl_err err = scan_webp(data, length, &parts, info);
	if (err)
		return err;
	bool exif = m->parameters || parts.orientation > 1;
	unsigned flags = ATL_WEBP_XMP | (exif ? ATL_WEBP_EXIF : 0U) | (parts.canvas.alpha ? ATL_WEBP_ALPHA : 0U) |
			 (parts.animated ? ATL_WEBP_ANIM : 0U) | (parts.icc ? ATL_WEBP_ICC : 0U);
	size_t start = out->length;
	atl_buf_add(out, "RIFF\0\0\0\0WEBP", 12);
	atl_webp_add_vp8x(out, flags, &parts.canvas);
	struct atl_webp_walk walk;
	struct atl_webp_chunk c;
	if (!atl_webp_walk_init(&walk, data, length))
		return broken(info);
	while (atl_webp_next(&walk, &c))
		if (one_of(c.type, kept))
			atl_webp_add(out, c.type, c.data, c.length);
	struct atl_buf part;
	atl_buf_init(&part, 8 * ATL_METADATA_TEXT_MAX);
	if (exif) {
		atl_exif_write(&part, m->parameters, parts.orientation);
		atl_webp_add(out, "EXIF", part.data, part.length);
		atl_buf_reset(&part);
	}
	atl_xmp_write(&part, m->composite, m->atelier);
	atl_webp_add(out, "XMP ", part.data, part.length);
	out->failed = out->failed || part.failed;
	atl_buf_finish(&part);
	size_t riff = out->length - start - 8;
	if (!out->failed && riff <= UINT32_MAX - 1)
		for (unsigned i = 0; i < 4; i++)
			out->data[start + 4 + i] = (char)(riff >> 8 * i);
	return atl_buf_err(out, info);
}

enum atl_err atl_metadata_write(const void *data, size_t length, const struct atl_metadata_out *metadata,
				struct atl_buf *out, struct atl_errinfo *info)
{
	if ((metadata->parameters && strlen(metadata->parameters) > ATL_METADATA_TEXT_MAX) ||
	    (metadata->atelier && strlen(metadata->atelier) > ATL_METADATA_TEXT_MAX))
		return atl_fail(info, ATL_ERR_TOO_LARGE, "The description of the picture is longer than %zu MiB.",
				ATL_METADATA_TEXT_MAX >> 20);
	switch (atl_picture_sniff(data, length)) {
	case ATL_PICTURE_PNG:
		return write_png(data, length, metadata, out, info);
	case ATL_PICTURE_JPEG:
		return write_jpeg(data, length, metadata, out, info);
	case ATL_PICTURE_WEBP:
		return write_webp(data, length, metadata, out, info);
	default:
		return atl_fail(info, ATL_ERR_PICTURE, "This is not a PNG, JPEG or WebP picture.");
	}
}
